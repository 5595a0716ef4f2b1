"""A run as a whole: threads, seeds, batches, the baseline, residency, and every argument that can be wrong."""

import dataclasses
import os
import time

import numpy as np
import pytest

from archmodel import config, simulate
from archmodel.accelerators import dcnn
from archmodel.accelerators.registry import load_machine
from archmodel.errors import ArchmodelError, WorkloadError
from archmodel.exchange import read_network
from archmodel.operands.correlated import load_zeros
from archmodel.operands.sources import OperandSource
from archmodel.simulation import simulate_machines, study

LENET = ("conv1", "conv2", "ip1", "ip2")


def timeless(run):
    """A run less the time it took."""
    return dataclasses.replace(run, wall_s=0.0, baseline=run.baseline and timeless(run.baseline))


def effectual(run):
    return {layer.name: layer.macs_effectual for layer in run.layers}


# Threads and seeds


@pytest.mark.parametrize(
    ("net", "layers"), [("lenet5", None), ("vgg16", "conv5_1"), ("googlenet", "inception_4a/*")], ids=str
)
def test_the_number_of_threads_changes_no_number(net, layers):
    one, two, four = (
        timeless(simulate("scnn", net, baseline="dcnn", layers=layers, threads=threads)) for threads in (1, 2, 4)
    )
    assert one == two
    assert one == four


def test_all_cores_are_used_where_no_number_is_given(monkeypatch):
    used = []
    monkeypatch.setattr(study, "available_cores", lambda: 3)
    monkeypatch.setattr(study, "run_layers", lambda *arguments: used.append(arguments[2].threads) or [[]])
    simulate("scnn", "lenet5")
    simulate("scnn", "lenet5", threads=2)
    assert used == [3, 2]


def test_the_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {2, 5} if process == 0 else set(), raising=False)
    assert study.available_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # not every system has it
    assert study.available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert study.available_cores() == 1


def test_the_seed_places_the_zeros():
    assert simulate("scnn", "lenet5", layers="ip2").seed == 0
    first, again, other = (timeless(simulate("scnn", "lenet5", seed=seed)) for seed in (0, 0, 1))
    assert first == again
    for name in ("macs_effectual", "cycles"):
        assert [getattr(layer, name) for layer in first.layers] != [getattr(layer, name) for layer in other.layers]
    for name in ("weight_density", "input_density", "macs_dense"):  # counts are stated, positions are not
        assert [getattr(layer, name) for layer in first.layers] == [getattr(layer, name) for layer in other.layers]


def test_a_seed_of_more_than_64_bits_is_a_seed():
    runs = [simulate("scnn", "lenet5", layers="ip2", seed=seed) for seed in (2**64, 2**64 + 1, 0)]
    assert len({run.cycles for run in runs} | {run.layers[0].macs_effectual for run in runs}) > 1
    assert runs[0].as_dict()["seed"] == 2**64


# Layers, batch and baseline


def test_chosen_layers_have_the_zeros_of_the_whole_network():
    whole, alone = simulate("scnn", "lenet5"), simulate("scnn", "lenet5", layers="conv2,ip2")
    assert [layer.name for layer in alone.layers] == ["conv2", "ip2"]
    for name in ("conv2", "ip2"):
        assert effectual(alone)[name] == effectual(whole)[name]
    assert {layer.name: layer.weight_density for layer in alone.layers}.items() <= {
        layer.name: layer.weight_density for layer in whole.layers
    }.items()


def test_layers_that_do_not_run_are_listed():
    assert simulate("scnn", "lenet5").skipped == ("pool1", "pool2", "relu1", "prob")
    assert simulate("scnn", "lenet5", layers="conv*,pool1").skipped == ("pool1", "pool2", "ip1", "relu1", "ip2", "prob")


def test_layers_that_a_machine_does_not_run_are_an_error_or_left_out(monkeypatch):
    monkeypatch.setattr(dcnn, "KINDS", ("fc",))
    message = "layer 'conv1': dcnn runs no conv; allowed: fc, lstm, gru, rnn, or --skip-unsupported"
    for machines in ({"arch": "dcnn"}, {"arch": "scnn", "baseline": "dcnn"}):
        with pytest.raises(WorkloadError, match=message):
            simulate(net="lenet5", **machines)
    alone = simulate("dcnn", "lenet5", skip_unsupported=True)
    beside = simulate("scnn", "lenet5", baseline="dcnn", skip_unsupported=True)
    for run in (alone, beside, beside.baseline):
        assert [layer.name for layer in run.layers] == ["ip1", "ip2"]
        assert run.unsupported == ("conv1", "conv2")
        assert run.skipped == ("conv1", "pool1", "conv2", "pool2", "relu1", "prob")
    with pytest.raises(WorkloadError, match="no layer is left for scnn and dcnn"):
        simulate("scnn", "lenet5", baseline="dcnn", layers="conv2", skip_unsupported=True)
    assert simulate("scnn", "lenet5", skip_unsupported=True).unsupported == ()


def test_a_sequence_is_a_run_like_any_other():
    run = simulate("scnn", "neuraltalk", baseline="dcnn", check=True)
    assert [layer.kind for layer in run.layers] == ["fc", "lstm", "fc"]
    assert all(layer.checked for layer in run.layers)
    assert run.total("macs_dense") == read_network("neuraltalk").macs
    again = simulate("scnn", "neuraltalk", layers="LSTM")
    assert effectual(again)["LSTM"] == effectual(run)["LSTM"]


def test_queries_stay_on_chip_and_keys_are_fetched_like_weights():
    """128 tokens of 768 channels are two positions a PE: 3.8 KB of its 10 KB."""
    network = read_network("bert_base")
    layers = network.select("block1/query,block1/key,block1/scores")
    placed = study.place_activations(load_machine("scnn"), layers, OperandSource(network))
    assert placed["block1/query"].output_on_chip
    assert placed["block1/scores"].input_on_chip
    assert not placed["block1/key"].output_on_chip


def test_the_batch_counts_what_a_layer_multiplies():
    # An LSTM of 600 + 600 inputs, and the words of each step, bound the batch.
    with pytest.raises(ArchmodelError, match="layer 'LSTM' takes at most 1789569 images"):
        simulate("scnn", "neuraltalk", layers="LSTM", batch=1_789_570)


def test_a_layer_between_chosen_ones_takes_their_tensors_through_dram():
    # All of LeNet-5 fits on chip: only what comes from and goes to layers that are not simulated moves.
    whole, ends = simulate("scnn", "lenet5"), simulate("scnn", "lenet5", layers="conv1,ip1")

    def moved(run, kind):
        return [layer.name for layer in run.layers if layer.dram_bytes_of(kind)]

    assert (moved(whole, "input"), moved(whole, "output")) == (["conv1"], ["ip2"])
    assert (moved(ends, "input"), moved(ends, "output")) == (["conv1", "ip1"], ["conv1", "ip1"])


def test_totals_cover_all_images_of_a_batch():
    one, three = (simulate("scnn", "lenet5", baseline="dcnn", batch=batch) for batch in (1, 3))
    for first, all_of_them in zip(one.layers, three.layers, strict=True):
        assert all_of_them.macs_dense == 3 * first.macs_dense
        assert all_of_them.macs_effectual == pytest.approx(3 * first.macs_effectual, rel=0.2)
        assert all_of_them.weight_density == first.weight_density
        assert first.cycles <= all_of_them.cycles <= 3.5 * first.cycles
    for first, all_of_them in zip(one.baseline.layers, three.baseline.layers, strict=True):
        assert (all_of_them.cycle_map == 3 * first.cycle_map).all()
    weights = [run.layers[2].dram_bytes_of("weight") for run in (one, three)]
    assert weights[0] == weights[1]  # an fc layer fetches its weights once for the images its accumulators hold
    assert three.as_dict()["batch"] == 3


@pytest.mark.parametrize(
    ("net", "layers"), [("lenet5", None), ("googlenet", "inception_4a/*"), ("squeezenet_pruned", "fire9/*")], ids=str
)
def test_both_machines_see_the_same_zeros(net, layers):
    run = simulate("scnn", net, layers=layers, baseline="dcnn")
    swapped = simulate("dcnn", net, layers=layers, baseline="scnn")
    assert effectual(run) == effectual(run.baseline) == effectual(swapped)
    for layer, beside in zip(run.layers, run.baseline.layers, strict=True):
        assert (layer.name, layer.kind, layer.origins) == (beside.name, beside.kind, beside.origins)
        assert (layer.weight_density, layer.input_density) == (beside.weight_density, beside.input_density)
        assert layer.macs_dense == beside.macs_dense
    assert run.speedup * swapped.speedup == pytest.approx(1)


def test_the_speed_up_is_baseline_cycles_over_cycles():
    run = simulate("scnn", "lenet5", baseline="dcnn")
    assert run.speedup == pytest.approx(run.baseline.cycles / run.cycles)
    assert run.speedup > 1
    assert simulate("scnn", "lenet5").speedup is None


def test_every_assignment_reaches_its_target():
    run = simulate(
        "scnn",
        "lenet5",
        layers="ip2",
        baseline="dcnn",
        assignments=("pe.rows=4", "memory.bytes_per_s=1e9", "clock_hz=5e8"),
        baseline_assignments=("pe.rows=2", "clock_hz=2e9"),
    )
    assert run.config["accelerator"]["pe"]["rows"] == 4
    assert run.baseline.config["accelerator"]["pe"]["rows"] == 2
    assert run.config["memory"]["bytes_per_s"] == run.baseline.config["memory"]["bytes_per_s"] == 1e9
    assert (run.clock_hz, run.baseline.clock_hz) == (5e8, 2e9)
    assert run.speedup == pytest.approx(run.baseline.cycles / run.cycles / 4)


def test_less_bandwidth_costs_both_machines():
    fast, slow = (
        simulate("scnn", "lenet5", baseline="dcnn", assignments=(f"memory.bytes_per_s={rate}",))
        for rate in ("50e9", "1e9")
    )
    assert slow.cycles > fast.cycles
    assert slow.baseline.cycles > fast.baseline.cycles


# Residency


def test_feature_maps_that_fit_stay_on_chip():
    run = simulate("scnn", "googlenet", layers="inception_4a/*", baseline="dcnn")
    for side in (run, run.baseline):
        inputs = {layer.name.partition("/")[2]: layer.dram_bytes_of("input") for layer in side.layers}
        outputs = {layer.name.partition("/")[2]: layer.dram_bytes_of("output") for layer in side.layers}
        assert inputs["3x3"] == inputs["5x5"] == 0  # made by the 3x3_reduce and the 5x5_reduce just before
        assert outputs["3x3_reduce"] == outputs["5x5_reduce"] == 0
        assert min(inputs[name] for name in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj")) > 0
        assert min(outputs[name] for name in ("1x1", "3x3", "5x5", "pool_proj")) > 0


def test_tiny_buffers_send_every_feature_map_through_dram():
    tiny = ("buffers.iaram_bytes=64", "buffers.oaram_bytes=64")
    run = simulate("scnn", "googlenet", layers="inception_4a/*", assignments=tiny)
    assert min(layer.dram_bytes_of("input") for layer in run.layers) > 0
    assert min(layer.dram_bytes_of("output") for layer in run.layers) > 0


# Provenance and progress


def test_a_run_says_what_made_it():
    before = time.perf_counter()
    run = simulate("scnn", "lenet5", layers="ip2", seed=7)
    assert 0 < run.wall_s <= time.perf_counter() - before
    assert not run.layers[0].checked
    assert (run.arch, run.net, run.fidelity, run.seed, run.batch) == ("scnn", "lenet5", "exact", 7, 1)
    assert {"archmodel", "numpy", "numba", "python"} <= run.provenance.keys()
    assert run.provenance["numpy"] == np.__version__
    assert run.config["memory"]["model"] == "ideal"


def test_progress_reports_every_layer_when_it_is_done():
    seen = []
    simulate("scnn", "lenet5", baseline="dcnn", progress=lambda *report: seen.append(report))
    network = read_network("lenet5")
    assert seen == [(name, network.layer(name).macs, network.macs) for name in LENET]


# Arguments that are wrong: one line


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"arch": "scn"}, f"'scn': unknown accelerator; allowed: {', '.join(config.names('accelerators'))} or"),
        ({"net": "lenet"}, "'lenet': unknown network"),
        ({"baseline": "dcn"}, "'dcn': unknown accelerator"),
        ({"memory": "idael"}, "'idael': unknown memory; allowed: "),
        ({"fidelity": "exac"}, "--fidelity 'exac': allowed: exact, sampled, statistical; did you mean 'exact'?"),
        ({"fidelity": ""}, "--fidelity '': allowed: exact"),
        ({"batch": 0}, "--batch 0: must be at least 1"),
        ({"batch": -1}, "--batch -1: must be at least 1"),
        ({"batch": 10**9}, "--batch 1000000000: layer 'conv1' takes at most 2739137 images"),
        ({"seed": -1}, "--seed -1: must be at least 0"),
        ({"threads": 0}, "--threads 0: must be at least 1"),
        ({"threads": -3}, "--threads -3: must be at least 1"),
        ({"threads": 10**6}, "--threads 1000000: must be at most 1024"),
        ({"layers": "conv9"}, "lenet5: no layer matches 'conv9'; did you mean 'conv2'?"),
        ({"layers": ""}, "lenet5: no layer matches ''"),
        ({"layers": "pool*"}, "--layers 'pool*': no layer that multiplies among them"),
        ({"assignments": ("pe.rows",)}, "--set pe.rows: expected section.key=value"),
        ({"assignments": ("pe.rows=0",)}, "--set pe.rows=0: must be at least 1"),
        ({"assignments": ("memory.bytes=1",)}, "--set memory.bytes=1: unknown key at the top level; allowed: model"),
        ({"assignments": ("memory.bytes_per_s=0",)}, "--set memory.bytes_per_s=0: must be"),
        ({"assignments": ("memory.bytes_per_s=1e-300",)}, "bytes_per_s"),
        ({"assignments": ("clock_hz=0.5",)}, "clock_hz"),
        ({"baseline": "dcnn", "baseline_assignments": ("clock_hz=0.5",)}, "clock_hz"),
        ({"assignments": ("clock_hz=5e-324",)}, "clock_hz"),
        ({"baseline_assignments": ("pe.rows=4",)}, "--set-baseline pe.rows=4: needs --baseline"),
        (
            {"baseline": "dcnn", "baseline_assignments": ("pe.rows=0",)},
            "--set-baseline pe.rows=0: must be at least 1",
        ),
        (
            {"weights": "dense"},
            "--weights 'dense': allowed: network, density=<0..1> or the path of an npz or safetensors file",
        ),
        ({"weights": "density=1.2"}, "--weights 'density=1.2': a density is from 0 to 1"),
        ({"activations": "density=nan"}, "--activations 'density=nan': a density is from 0 to 1"),
        ({"activations": "none.npz"}, "none.npz: No such file or directory"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_one_line(wrong, expected):
    arguments = {"arch": "scnn", "net": "lenet5"} | wrong
    with pytest.raises(ArchmodelError) as error:
        simulate(arguments.pop("arch"), arguments.pop("net"), **arguments)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_the_slowest_clock_and_the_most_threads_are_accepted():
    assert simulate("scnn", "lenet5", layers="ip2", assignments=("clock_hz=1.0",)).time_s >= 1
    assert simulate("scnn", "lenet5", layers="ip2", threads=study.MOST_THREADS).cycles > 0


@pytest.mark.parametrize(("most", "refused"), [(499, True), (500, False)])
def test_the_images_of_a_batch_are_bounded_by_the_words_of_a_layer(monkeypatch, most, refused):
    monkeypatch.setattr(study, "MAX_WORDS", most)  # ip2 has 500 inputs
    if refused:
        with pytest.raises(ArchmodelError, match="--batch 1: layer 'ip2' takes at most 0 images"):
            simulate("scnn", "lenet5", layers="ip2")
    else:
        assert simulate("scnn", "lenet5", layers="ip2").batch == 1


def test_layers_with_nothing_to_do_take_no_time():
    free = ("ppu.output_words_per_cycle=0", "ppu.halo_words_per_cycle=0")
    run = simulate("scnn", "lenet5", weights="density=0", activations="density=0", assignments=free, check=True)
    assert run.cycles == 0
    assert effectual(run) == dict.fromkeys(LENET, 0)


# Patterns of the zeros


def test_a_pattern_changes_where_the_zeros_are_and_the_run_says_so():
    uniform, by_name = (simulate("scnn", "vgg16", layers="conv5_1", **zeros) for zeros in ({}, {"zeros": "uniform"}))
    assert timeless(uniform) == timeless(by_name)
    assert uniform.config["zeros"] == {"name": "uniform"}
    moved = simulate("scnn", "vgg16", layers="conv5_1", zeros="correlated:length=3")
    assert moved.config["zeros"]["length"] == 3
    assert moved.config["zeros"]["channel_spread"] == load_zeros("correlated").channel_spread
    assert "length 3 on 14 x 14" in moved.layers[0].origins["inputs"]
    assert moved.cycles != uniform.cycles
    assert moved.layers[0].input_density == uniform.layers[0].input_density
    assert moved.layers[0].weight_density == uniform.layers[0].weight_density


def test_correlated_zeros_depend_on_nothing_else_that_is_simulated():
    alone = simulate("scnn", "lenet5", layers="conv2,ip1", zeros="correlated", threads=1)
    together = simulate("scnn", "lenet5", zeros="correlated", baseline="dcnn", threads=2)
    assert effectual(alone).items() <= effectual(together).items()
    assert effectual(together) == effectual(together.baseline)
    for layer in alone.layers:
        [other] = [other for other in together.layers if other.name == layer.name]
        assert layer.stack["fragmentation"] == other.stack["fragmentation"]


def test_the_outputs_of_correlated_operands_are_right():
    run = simulate("scnn", "lenet5", zeros="correlated", check=True)
    assert all(layer.checked for layer in run.layers)


def test_a_statistical_run_has_no_pattern():
    with pytest.raises(ArchmodelError) as error:
        simulate("scnn", "lenet5", fidelity="statistical", zeros="correlated")
    allowed = "allowed with --fidelity exact or sampled"
    assert str(error.value) == f"--zeros 'correlated': statistical runs know densities only; {allowed}"


def test_layers_can_be_a_list_of_globs():
    spelt, listed = (timeless(simulate("scnn", "lenet5", layers=layers)) for layers in ("conv*,ip2", ["conv*", "ip2"]))
    assert listed == spelt
    (one,) = simulate_machines(("eie",), "lenet5", layers=("ip2",))
    assert [layer.name for layer in one.layers] == ["ip2"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"assignments": "pe.rows=4"}, "assignments = 'pe.rows=4': expected a list of 'section.key=value'"),
        ({"assignments": [("pe.rows", 4)]}, "assignments = [('pe.rows', 4)]: expected a list of"),
        ({"assignments": {"pe.rows": 4}}, "assignments = {'pe.rows': 4}: expected a list of"),
        ({"baseline": "dcnn", "baseline_assignments": "pe.rows=4"}, "baseline_assignments = 'pe.rows=4': expected"),
        ({"layers": ["conv1", 2]}, "layers = ['conv1', 2]: expected a list of globs of layer names"),
        ({"layers": 3}, "layers = 3: expected a list of globs of layer names"),
        ({"layers": []}, "no layer matches ''"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_one_line(wrong, message):
    with pytest.raises(ArchmodelError) as error:
        simulate("scnn", "lenet5", **wrong)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_machines_are_a_list():
    with pytest.raises(ArchmodelError, match=r"^archs = 'scnn': expected a list of names of machines, for instance"):
        simulate_machines("scnn", "lenet5")
    with pytest.raises(ArchmodelError, match=r"^assignments = 'memory.bytes_per_s=1': expected a list"):
        simulate_machines(["scnn"], "lenet5", assignments="memory.bytes_per_s=1")
