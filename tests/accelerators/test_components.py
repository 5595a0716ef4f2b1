"""Every machine of configs/accelerators: what it is built of, what it counts, and the energy that follows."""

import functools
import math
import re
from pathlib import Path

import pytest

from archmodel import config, simulate
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.exchange import read_network
from archmodel.memory.dram import load_memory
from archmodel.memory.energy import Counts, cost_of
from archmodel.operands.sources import OperandSource

MACHINES = config.names("accelerators")
MEMORY = load_memory("ideal")
LENET = read_network("lenet5")


@functools.cache
def results(arch, *assignments):
    """LeNet-5 layer by layer; conv2 has halos between PEs, ip1 and ip2 are fully connected."""
    machine, source = load_machine(arch, assignments), OperandSource(LENET)
    layers = [layer for layer in LENET.compute_layers if layer.kind in machine.kinds]
    return machine, [machine.run_layer(layer, source.operands(layer), Context(MEMORY)) for layer in layers]


def spent(arch, *assignments):
    return sum(sum(layer.energy_pj.values()) for layer in results(arch, *assignments)[1])


@pytest.mark.parametrize("arch", MACHINES)
def test_everything_counted_is_a_component_and_every_component_is_counted(arch):
    machine, layers = results(arch)
    names = [component.name for component in machine.config.components]
    assert len(set(names)) == len(names)
    used = set()
    for layer in layers:
        counts = Counts(layer.words_read, layer.words_written, layer.operations)
        assert counts.unknown(machine.config.components) == set()
        used |= {name for counted in vars(counts).values() for name, actions in counted.items() if actions}
    assert used == set(names)


@pytest.mark.parametrize("arch", MACHINES)
def test_a_layers_energy_is_its_actions_times_their_cost(arch):
    machine, layers = results(arch)
    for layer in layers:
        by_hand = {}
        for component in machine.config.components:
            cost = cost_of(machine.technology, component)
            by_hand[component.name] = (
                layer.words_read.get(component.name, 0) * cost.read_pj
                + layer.words_written.get(component.name, 0) * cost.write_pj
                + layer.operations.get(component.name, 0) * cost.read_pj
            )
        assert {name: layer.energy_pj[name] for name in by_hand} == pytest.approx(by_hand)
        assert layer.energy_pj["clock"] == pytest.approx(0.2573 * sum(by_hand.values()))
        assert layer.energy_pj["dram"] == pytest.approx(8 * layer.dram_bytes * MEMORY.pj_per_bit)
        parts = machine.config.components
        leakage_w = sum(part.instances * cost_of(machine.technology, part).leakage_mw for part in parts) / 1000
        assert layer.energy_pj["leakage"] == pytest.approx(leakage_w * layer.cycles / machine.config.clock_hz * 1e12)
        assert set(layer.energy_pj) == {*by_hand, "clock", "leakage", "dram"}
        assert all(math.isfinite(part) and part >= 0 for part in layer.energy_pj.values())


@pytest.mark.parametrize("arch", MACHINES)
def test_leakage_is_power_times_time(arch):
    machine, layers = results(arch)
    leakage_mw = sum(
        component.instances * cost_of(machine.technology, component).leakage_mw
        for component in machine.config.components
    )
    for layer in layers:
        time_s = layer.cycles / machine.config.clock_hz
        assert layer.energy_pj["leakage"] == pytest.approx(leakage_mw * 1e-3 * time_s * 1e12)


@pytest.mark.parametrize("arch", MACHINES)
def test_a_machine_is_on_the_node_of_its_file_unless_asked(arch):
    stated = config.read("accelerators", arch)[0]["technology"]
    assert load_machine(arch).technology.name.replace(" ", "") == stated
    assert load_machine(arch, (), "45nm").technology.name == "45 nm"
    assert load_machine(arch, ("technology='28nm'",)).technology.name == "28 nm"


WHOLE = {
    "SCNN, PE array": "scnn",
    "DCNN, PE array": "dcnn",
    "EIE, 64 PEs at 45 nm": "eie",
    "Cambricon-X": "cambricon_x",
    "DianNao": "diannao",
    "DaDianNao, a node": "dadiannao",
}


@pytest.mark.parametrize("machine", WHOLE)
def test_the_pages_have_the_areas_that_the_library_gives(machine):
    area_mm2 = sum(load_machine(WHOLE[machine]).area_mm2.values())
    (ours,) = re.findall(rf"^\| {machine}\b.*\|[^|]*?([\d.]+) mm2[^|]*\|$", page("docs/energy.md"), re.MULTILINE)
    assert ours == f"{area_mm2:.3g}"
    short = machine.partition(",")[0]
    assert set(re.findall(rf"\b{short} ([\d.]+) of [\d.]+", page("README.md"))) <= {ours}


def page(name):
    return (Path(__file__).resolve().parents[2] / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("arch", "assignment", "component"),
    [
        ("scnn", "buffers.iaram_bytes=20480", "iaram"),
        ("scnn", "buffers.oaram_bytes=20480", "oaram"),
        ("scnn", "pe.accumulator_entries=2048", "accumulators"),
        ("scnn", "pe.queue_depth=9", "bank_queues"),
        ("scnn", "weight_fifo.entries=51", "weight_fifo"),
        ("scnn", "compression.data_bits=17", "multipliers"),
        ("scnn", "compression.psum_bits=25", "adders"),
        ("scnn", "compression.psum_bits=25", "crossbar"),
        ("scnn", "pe.accumulator_entries=2048", "coordinates"),
        ("scnn", "compression.index_bits=5", "activation_registers"),
        ("scnn", "ppu.halo_words_per_cycle=5", "halo"),
        ("dcnn", "buffers.activation_bytes=4194304", "activation_sram"),
        ("dcnn", "buffers.accumulator_entries=2048", "accumulators"),
        ("dcnn", "buffers.weight_fifo_words=201", "weight_fifo"),
        ("dcnn", "buffers.word_bits=17", "multipliers"),
        ("dcnn", "buffers.word_bits=17", "activation_registers"),
        ("dcnn", "buffers.psum_bits=25", "adders"),
        ("dcnn", "ppu.output_words_per_cycle=5", "halo"),
        ("eie", "pe.queue_depth=9", "activation_queue"),
        ("eie", "pe.registers=65", "activation_registers"),
        ("eie", "weights.value_bits=17", "multipliers"),
        ("eie", "weights.value_bits=17", "codebook"),
        ("eie", "buffers.pointer_bytes=65536", "pointer_sram"),
        ("eie", "buffers.matrix_bytes=262144", "matrix_sram"),
        ("eie", "buffers.activation_bytes=4096", "activation_sram"),
        ("diannao", "buffers.entries=128", "nbin"),
        ("diannao", "buffers.entries=128", "sb"),
        ("diannao", "buffers.entries=128", "nbout"),
        ("diannao", "nfu.accumulator_bits=33", "adders"),
        ("diannao", "nfu.accumulator_bits=33", "accumulators"),
        ("cambricon_x", "buffers.nbin_bytes=16384", "nbin"),
        ("cambricon_x", "buffers.nbout_bytes=16384", "nbout"),
        ("cambricon_x", "buffers.synapse_bytes=4096", "sb"),
        ("cambricon_x", "buffers.synapse_bytes=4096", "steps"),
        ("cambricon_x", "index.step_bits=9", "steps"),
        ("cambricon_x", "buffers.word_bits=17", "window"),
        ("cambricon_x", "index.window=512", "selectors"),
        ("cambricon_x", "index.window=512", "step_adders"),
        ("cambricon_x", "buffers.word_bits=17", "multipliers"),
        ("cambricon_x", "pe.accumulator_bits=33", "adders"),
    ],
)
def test_a_larger_part_costs_area_and_energy(arch, assignment, component):
    machine, layers = results(arch)
    larger, changed = results(arch, assignment)
    assert larger.area_mm2[component] > machine.area_mm2[component]
    before, after = (sum(layer.energy_pj[component] for layer in run) for run in (layers, changed))
    assert after > before


SCNN_PARTS = {  # instances, bits, words of an instance, words of a row
    "iaram": (64, 20, 4096, 4),  # 10 KB of 16 + 4 bits
    "activation_registers": (64, 20, 4, 1),
    "weight_fifo": (64, 20, 200, 1),  # 50 vectors of 4
    "multipliers": (1024, 16, 1, 1),
    "coordinates": (1024, 10, 1, 1),  # addresses of 1,024 accumulators
    "crossbar": (64, 29, 1, 1),  # a sum of 24 bits and one of the 32 entries of a bank
    "bank_queues": (2048, 29, 8, 1),
    "accumulators": (4096, 24, 32, 1),  # twice 32 banks a PE
    "adders": (2048, 24, 1, 1),
    "halo": (64, 24, 32, 1),  # 4 words for each of 8 neighbours
    "oaram": (64, 20, 4096, 4),
}
DCNN_PARTS = {
    "activation_sram": (64, 16, 16384, 16),  # 2 MB in 64 parts
    "activation_registers": (64, 16, 16, 1),
    "weight_fifo": (64, 16, 200, 1),
    "multipliers": (1024, 16, 1, 1),
    "adders": (1024, 24, 1, 1),
    "halo": (64, 16, 32, 1),
    "accumulators": (128, 24, 1024, 1),
}
BARE_SCNN = ("pe.accumulator_entries=150", "pe.queue_depth=0", "ppu.halo_words_per_cycle=0", "ppu.overlap=false")
BARE_SCNN_PARTS = {
    "coordinates": (1024, 8, 1, 1),
    "crossbar": (64, 27, 1, 1),  # five entries a bank
    "bank_queues": (2048, 27, 1, 1),  # a register each
    "accumulators": (2048, 24, 5, 1),
    "halo": (64, 24, 8, 1),
}
LEAST_SCNN = ("pe.accumulator_entries=1",)
LEAST_SCNN_PARTS = {
    "coordinates": (1024, 1, 1, 1),
    "crossbar": (64, 24, 1, 1),
    "bank_queues": (2048, 24, 8, 1),
    "accumulators": (4096, 24, 1, 1),
}
BARE_DCNN = ("ppu.output_words_per_cycle=0", "ppu.overlap=false", "buffers.activation_bytes=64")
BARE_DCNN_PARTS = {
    "activation_sram": (64, 16, 16, 16),  # at least a row
    "halo": (64, 16, 8, 1),
    "accumulators": (64, 24, 1024, 1),
}


@pytest.mark.parametrize(
    ("arch", "assignments", "parts"),
    [
        ("scnn", (), SCNN_PARTS),
        ("scnn", BARE_SCNN, SCNN_PARTS | BARE_SCNN_PARTS),
        ("scnn", LEAST_SCNN, SCNN_PARTS | LEAST_SCNN_PARTS),
        ("dcnn", (), DCNN_PARTS),
        ("dcnn", BARE_DCNN, DCNN_PARTS | BARE_DCNN_PARTS),
    ],
)
def test_the_parts_of_scnn_and_dcnn_by_hand(arch, assignments, parts):
    components = load_machine(arch, assignments).config.components
    assert {one.name: (one.instances, one.bits, one.words, one.words_per_row) for one in components} == parts
    assert {one.ports for one in components if one.kind == "crossbar"} <= {(16, 32)}


@pytest.mark.parametrize("arch", ["scnn", "dcnn"])
def test_one_port_and_single_accumulators_save_area(arch):
    whole = sum(load_machine(arch).area_mm2.values())
    for assignment in ("buffers.two_port=false", "ppu.overlap=false", "pe.rows=4"):
        assert sum(load_machine(arch, (assignment,)).area_mm2.values()) < whole


def test_half_the_pes_are_half_the_area():
    area, half = load_machine("scnn").area_mm2, load_machine("scnn", ("pe.rows=4",)).area_mm2
    assert half == pytest.approx({name: part / 2 for name, part in area.items()})


def test_the_calibration_scales_the_scatter_network_only():
    _, fitted = results("scnn")
    _, doubled = results("scnn", "pe.scatter_energy_calibration=0.1014")
    for one, two in zip(fitted, doubled, strict=True):
        ratios = {name: two.energy_pj[name] / part for name, part in one.energy_pj.items() if part and name != "clock"}
        scaled = {name for name, ratio in ratios.items() if ratio != pytest.approx(1.0)}
        assert scaled == {"crossbar", "bank_queues"}
        assert ratios["crossbar"] == pytest.approx(2.0)


def test_gating_saves_multipliers_and_compression_dram():
    _, dense = results("dcnn")
    _, optimized = results("dcnn_opt")
    gated = {"multipliers", "adders"}
    for one, two in zip(dense, optimized, strict=True):
        for name in one.energy_pj.keys() - {"clock", "leakage"}:
            assert two.energy_pj[name] < one.energy_pj[name] or name not in gated
            assert two.energy_pj[name] <= one.energy_pj[name]
    assert spent("dcnn_opt") < spent("dcnn")


def test_an_operand_of_dcnn_stays_for_a_group_of_outputs():
    # ip2 of LeNet-5: 10 neurons of 500 inputs, one for a PE; Kc = 8 holds them all, so each input leaves the SRAM once
    _, layers = results("dcnn")
    ip2 = layers[-1]
    assert (ip2.name, ip2.words_read["activation_sram"]) == ("ip2", 500)
    assert ip2.words_written["activation_registers"] == 10 * 500
    # conv2: 50 kernels of 20 x 5 x 5 over 8 x 8 positions
    conv2 = layers[1]
    assert conv2.words_read["activation_sram"] == 8 * 8 * 20 * 5 * 5 * math.ceil(50 / 8)
    assert results("dcnn", "pe.Kc=16")[1][1].words_read["activation_sram"] == 8 * 8 * 20 * 5 * 5 * math.ceil(50 / 16)


def test_a_run_has_the_energy_of_its_layers_and_the_area_of_its_machine():
    run = simulate("scnn", "lenet5", baseline="dcnn", technology="28nm")
    document = run.as_dict()
    for one, part in ((run, document), (run.baseline, document["baseline"])):
        assert one.config["technology"]["name"] == "28 nm"
        assert part["area_mm2"] == pytest.approx(sum(one.area_mm2.values()))
        by_layer = [layer["energy_pj"] for layer in part["layers"]]
        assert part["totals"]["energy_pj"] == pytest.approx(sum(by_layer))
        assert sum(part["totals"]["energy_by_component_pj"].values()) == pytest.approx(sum(by_layer))
    smaller = simulate("scnn", "lenet5")
    assert smaller.config["technology"]["name"] == "16 nm"
    assert smaller.as_dict()["totals"]["energy_pj"] < document["totals"]["energy_pj"]
