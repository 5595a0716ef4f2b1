"""Cambricon-X and DianNao against a twin that walks every position, and what must hold of them."""

import dataclasses
import random
from functools import cache

import numpy as np
import pytest

from archmodel import config, simulate
from archmodel.accelerators import cambricon_x, diannao
from archmodel.accelerators.block_account import neurons_of_blocks
from archmodel.accelerators.cambricon_x_expected import binomial, entries_pmf, expected_work, explicit_zeros
from archmodel.accelerators.context import Context
from archmodel.accelerators.output_blocks import Axis, Buffers, Positions, inputs_under, plan
from archmodel.errors import ConfigError, ResultError
from archmodel.exchange import read_network
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from tests.accelerators import cases
from tests.accelerators.cases import FREE, at_densities, memory
from tests.reference import output_blocks as twin
from tests.reference.run_length import stored_positions

MODULES = {"cambricon_x": cambricon_x, "diannao": diannao}
DENSITIES = (0.0, 0.1, 0.3, 0.7, 1.0)
LAYERS_A_TEST = 10


def machine(arch, *assignments):
    return config.load("accelerators", arch, MODULES[arch].Config, assignments)


def random_layer(draw):
    if draw.random() < 0.3:
        return Layer("ip", "fc", ("x",), (draw.randint(1, 90), 1, 1), draw.randint(1, 30))
    groups = draw.choice([1, 1, 2, 3])
    stride = draw.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    R, S = draw.randint(1, 3), draw.randint(1, 3)
    height, width = (dilation[i] * (kernel - 1) + draw.randint(1, 5) for i, kernel in enumerate((R, S)))
    shape = (groups * draw.randint(1, 8), height, width)
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 5), R, S, stride, padding, dilation, groups)


def random_machine(draw, arch):
    word = f"buffers.word_bits={draw.choice([5, 16])}"
    if arch == "diannao":
        return machine(
            arch,
            f"nfu.Tn={draw.choice([1, 2, 3, 16])}",
            f"nfu.Ti={draw.choice([1, 3, 4, 16])}",
            f"nfu.dot_product={draw.choice(['channels', 'flattened'])}",
            f"buffers.entries={draw.choice([1, 2, 7, 64])}",
            word,
        )
    return machine(
        arch,
        f"pe.pes={draw.choice([1, 2, 3, 16])}",
        f"pe.multipliers={draw.choice([1, 2, 3, 16])}",
        f"pe.barrier={draw.choice(['group', 'window'])}",
        f"index.window={draw.choice([1, 3, 8, 256])}",
        f"index.step_bits={draw.choice([1, 2, 8])}",
        f"buffers.nbin_bytes={draw.choice([64, 90, 8192])}",
        f"buffers.nbout_bytes={draw.choice([64, 200, 8192])}",
        f"buffers.synapse_bytes={draw.choice([64, 80, 2048])}",
        word,
    )


def random_case(seed, arch):
    """A small layer with its zeros, a small machine, and what is around it."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = at_densities(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    context = Context(
        memory(draw.choice([0.25e9, 2e9, 50e9]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.3,
        output_on_chip=draw.random() < 0.3,
        threads=draw.choice([1, 2]),
    )
    return random_machine(draw, arch), layer, operands, context


@cache
def random_run(seed, arch):
    """A random case and the machine's result of it."""
    case = random_case(seed, arch)
    return case, run(arch, *case)


def account(result):
    return cases.account(result) | {"cycle_map": result.cycle_map.tolist(), "details": result.details}


def run(arch, chosen, layer, operands, context=FREE):
    return MODULES[arch].run_layer(chosen, layer, operands, context)


@pytest.mark.parametrize("arch", MODULES)
@pytest.mark.parametrize("block", range(15))
def test_a_layer_is_its_naive_twin(arch, block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        (chosen, layer, operands, context), result = random_run(seed, arch)
        result, sparse = account(result), arch == "cambricon_x"
        expected = twin.run_layer(chosen, layer, operands.weights, operands.inputs, context, sparse)
        for quantity, value in expected.items():
            assert result[quantity] == value, (seed, quantity)


@pytest.mark.parametrize("arch", MODULES)
def test_the_random_layers_reach_every_rule(arch):
    runs = [random_run(seed, arch) for seed in range(15 * LAYERS_A_TEST)]
    cases = [case for case, _ in runs]
    for few in (
        [layer for _, layer, _, _ in cases if layer.kind == "fc"],
        [layer for _, layer, _, _ in cases if layer.groups > 1],
        [operands for _, _, operands, _ in cases if operands.batch > 1],
        [layer for chosen, layer, _, _ in cases if layer.weight_words // layer.K > chosen.memories.input_words],
        [result for _, result in runs if result.details["outer_loop"] == "tiles"],
        [result for _, result in runs if result.details["blocks_together"] > 1],
        [result for _, result in runs if result.details["tile_rows"] * result.details["tile_cols"] == 1],
        [result for (_, layer, o, _), result in runs if result.words_read["nbout"] > layer.output_words * o.batch],
        [result for (_, layer, _, _), result in runs if result.words_written["sb"] > layer.weight_words],
        [result for _, result in runs if result.stack["memory"]],
    ):
        assert few


# By hand


def one_neuron(weights):
    """An fc layer with these synapses and all neurons non-zero."""
    masks = np.array(weights, np.uint8).reshape(len(weights), -1, 1, 1)
    layer = Layer("ip", "fc", ("x",), (masks.shape[1], 1, 1), masks.shape[0])
    return layer, Operands(masks, np.ones((1, masks.shape[1], 1, 1), np.uint8), 1.0)


def cycles_of(weights, *assignments):
    return run("cambricon_x", machine("cambricon_x", *assignments), *one_neuron(weights)).cycles


@pytest.mark.parametrize(
    ("needed", "cycles"), [(0, 1), (1, 1), (16, 1), (17, 2), (32, 2), (33, 3), (256, 16)]
)
def test_a_window_takes_a_cycle_for_every_16_needed_neurons_and_at_least_one(needed, cycles):
    assert cycles_of([[1] * needed + [0] * (256 - needed)]) == cycles


def test_a_cycle_takes_neurons_of_one_window_only():
    before, behind = [0] * 255 + [1], [1] + [0] * 255
    assert cycles_of([before + behind]) == 2
    assert cycles_of([before + [0] * 256 + behind]) == 3


def test_the_slowest_pe_decides_a_block_and_another_barrier_every_window():
    early, late = [1] * 48 + [0] * 464, [0] * 464 + [1] * 48
    assert cycles_of([early, late]) == 3 + 1
    assert cycles_of([early, late], "pe.barrier=window") == 3 + 3
    assert cycles_of([early] * 17) == 2 * 4  # a second block


@pytest.mark.parametrize(("zeros", "entries"), [(254, 1), (255, 1), (256, 2), (511, 2), (512, 3)])
def test_a_step_that_overflows_stores_an_explicit_zero(zeros, entries):
    result = run("cambricon_x", machine("cambricon_x"), *one_neuron([[0] * zeros + [1]]))
    assert result.macs_issued == entries
    assert result.stack["stored_zero"] == entries - 1
    assert result.words_read["steps"] == result.operations["selectors"] == entries


def test_zeros_behind_the_last_synapse_are_not_stored():
    assert run("cambricon_x", machine("cambricon_x"), *one_neuron([[1] + [0] * 999])).macs_issued == 1


def test_zero_neurons_are_multiplied():
    layer = Layer("conv", "conv", ("x",), (16, 6, 6), 16, 3, 3, padding=(1, 1, 1, 1))
    full, empty = (run("cambricon_x", machine("cambricon_x"), layer, at_densities(layer, 0.4, d)) for d in (1.0, 0.0))
    assert full.cycles == empty.cycles
    assert full.macs_issued == empty.macs_issued == empty.stack["stored_zero"]


def test_dense_synapses_take_the_cycles_of_a_dense_machine():
    layer = Layer("conv", "conv", ("x",), (32, 5, 5), 32, 3, 3, padding=(1, 1, 1, 1))
    operands = at_densities(layer, 1.0, 1.0)
    assert run("diannao", machine("diannao"), layer, operands).cycles == 25 * 2 * 9 * 2
    assert run("cambricon_x", machine("cambricon_x"), layer, operands).cycles == 25 * 2 * 288 // 16


def test_a_stem_of_three_channels_leaves_most_of_a_dense_machine_idle():
    layer = read_network("alexnet").layer("conv1")
    operands = at_densities(layer, 1.0, 1.0)
    assert run("diannao", machine("diannao"), layer, operands).cycles == 55 * 55 * 6 * 121
    assert run("diannao", machine("diannao", "nfu.dot_product=flattened"), layer, operands).cycles == 55 * 55 * 6 * 23


def test_a_large_fc_layer_waits_for_its_synapses():
    layer = Layer("ip", "fc", ("x",), (2048, 1, 1), 1024)
    context, operands = Context(memory(50e9, 0.0)), at_densities(layer, 0.09, 0.4)
    dense = run("diannao", machine("diannao"), layer, operands, context)
    assert dense.dram_bytes_of("weight") == 2 * layer.weight_words
    assert dense.cycles == pytest.approx(dense.dram_bytes * 0.98e9 / 50e9, rel=0.002)
    assert dense.stack["memory"] > 0.8 * dense.slots
    sparse = run("cambricon_x", machine("cambricon_x"), layer, operands, context)
    assert sparse.dram_bytes_of("weight") == 3 * sparse.words_written["sb"]  # 16 + 8 bits


def test_more_images_share_a_fetch_of_the_weights_of_an_fc_layer():
    layer = Layer("ip", "fc", ("x",), (64, 1, 1), 32)
    for arch in MODULES:
        one, four = (run(arch, machine(arch), layer, at_densities(layer, 0.5, 0.5, batch=n)) for n in (1, 4))
        assert four.cycles == 4 * one.cycles
        assert four.dram_bytes_of("weight") == one.dram_bytes_of("weight") > 0


def test_synapses_that_fit_stay_and_one_more_comes_for_every_tile():
    tight = "buffers.nbout_bytes=64", "buffers.synapse_bytes=64"  # two positions of 16 PEs; 32 synapses
    chosen = machine("cambricon_x", *tight, "buffers.nbin_bytes=2048")
    for depth, tiles in ((32, 1), (33, 32)):
        layer = Layer("conv", "conv", ("x",), (depth, 8, 8), 1)
        result = run("cambricon_x", chosen, layer, at_densities(layer, 1.0, 1.0))
        assert result.words_written["sb"] == depth * tiles
        assert (result.details["tile_rows"], result.details["tile_cols"]) == (1, 2)


@pytest.mark.parametrize(("depth", "fetches"), [(31, 1), (32, 1), (33, 2)])
def test_neurons_that_fit_stay_for_all_blocks(depth, fetches):
    small = "buffers.nbin_bytes=64", "buffers.nbout_bytes=64"  # 32 neurons; sums of two of the four blocks
    layer = Layer("ip", "fc", ("x",), (depth, 1, 1), 64)
    result = run("cambricon_x", machine("cambricon_x", *small), layer, at_densities(layer, 1.0, 1.0))
    assert result.words_written["nbin"] == fetches * depth
    assert result.details["outer_loop"] == ("tiles" if fetches == 1 else "blocks")
    assert result.details["blocks_together"] == fetches  # ties go to the fewest


# Buffers and tiles


def sizes(**changes):
    return Buffers(**({"num_pes": 2, "slice_channels": 2, "input_words": 64, "output_words": 16, "synapse_words": 8,
                       "word_bits": 16} | changes))  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_larger_buffers_never_move_more(seed):
    draw = random.Random(seed)
    layer = random_layer(draw)
    positions = Positions.of(layer, draw.randint(1, 3))
    blocks = np.random.default_rng(seed).integers(0, 40, (layer.groups, 3))

    def moved(**changes):
        chosen = plan(positions, sizes(**changes), 3 * blocks, blocks)
        return int((np.add.reduceat(3 * blocks, np.arange(0, 3, chosen.depth_blocks), 1) * chosen.weight_fetches).sum()
                   + 2 * chosen.input_words * layer.groups)  # fmt: skip

    for name in ("synapse_words", "input_words"):
        amounts = [moved(**{name: size}) for size in (4, 16, 64, 256, 10**6)]
        assert amounts == sorted(amounts, reverse=True)
    everything = {"input_words": 10**6, "synapse_words": 10**6, "output_words": 10**6}
    used = positions.tiled_inputs((positions.rows.num_outputs, positions.cols.num_outputs))[1]
    assert moved(**everything) == int((3 * blocks).sum()) + 2 * used * layer.groups


def test_inputs_under_a_tile_leave_out_padding_and_what_a_stride_skips():
    assert inputs_under(Axis(5, 5, kernel=3, before=1), 5) == (1, 5, 5)
    assert inputs_under(Axis(5, 5, kernel=3, before=1), 2) == (3, 3 + 4 + 2, 4)
    assert inputs_under(Axis(3, 7, kernel=1, stride=3), 3) == (1, 3, 3)
    assert inputs_under(Axis(3, 1, before=1), 1) == (3, 1, 1)  # two of three tiles are in the padding


def test_many_images_are_tiled_in_little_memory():
    assert inputs_under(Axis(300_000, 300_000), 1) == (300_000, 300_000, 1)


# Expectations


@pytest.mark.parametrize(("density", "bits"), [(0.04, 4), (0.1, 4), (0.3, 2), (0.3, 8), (0.02, 8), (0.9, 1)])
def test_an_expected_layer_is_the_mean_of_exact_ones(density, bits):
    layer = Layer("conv", "conv", ("x",), (100, 5, 5), 64, 3, 3, padding=(1, 1, 1, 1))
    for barrier in ("group", "window"):
        chosen = machine("cambricon_x", f"index.step_bits={bits}", f"pe.barrier={barrier}")
        exact = [run("cambricon_x", chosen, layer, at_densities(layer, density, 0.5, seed=seed)) for seed in range(10)]
        expected = cambricon_x.expect_layer(chosen, layer, Densities(1, density, 0.5, 0.5), FREE)
        assert expected.cycles == pytest.approx(np.mean([result.cycles for result in exact]), rel=0.02)
        assert expected.macs_issued == pytest.approx(np.mean([result.macs_issued for result in exact]), rel=0.02)
        assert expected.macs_effectual == pytest.approx(np.mean([r.macs_effectual for r in exact]), rel=0.02)


@pytest.mark.parametrize(("depth", "density"), [(150, 0.01), (150, 0.05), (1000, 0.003)])
def test_no_explicit_zeros_are_expected_behind_the_last_synapse(depth, density):
    layer, chosen = Layer("ip", "fc", ("x",), (depth, 1, 1), 400), machine("cambricon_x", "index.step_bits=4")
    exact = [run("cambricon_x", chosen, layer, at_densities(layer, density, 1.0, seed=seed)) for seed in range(10)]
    expected = cambricon_x.expect_layer(chosen, layer, Densities(1, density, 1.0, 0.5), FREE)
    assert expected.macs_issued == pytest.approx(np.mean([result.macs_issued for result in exact]), rel=0.04)


def test_expected_products_are_at_least_the_effectual_ones_of_many_images():
    layer = Layer("ip", "fc", ("x",), (25, 1, 1), 1)
    expected = cambricon_x.expect_layer(machine("cambricon_x"), layer, Densities(100, 0.05, 1.0, 0.5), FREE)
    assert expected.macs_issued == expected.macs_effectual == 125  # of a synapse and a quarter


@pytest.mark.parametrize("arch", MODULES)
def test_whatever_the_densities_expected_slots_have_causes_and_pes_the_cycles_of_their_products(arch):
    for seed in range(200):
        chosen, layer, _, context = random_case(seed, arch)
        draw = random.Random(seed)
        density = draw.choice([draw.random(), 0.1 * draw.random()])
        known = Densities(draw.choice([1, 3, 100]), density, draw.choice([draw.random(), 1.0]), 0.5)
        expected = MODULES[arch].expect_layer(chosen, layer, known, context)
        assert min(expected.stack.values()) >= 0, seed
        lanes = chosen.num_multipliers // chosen.memories.num_pes
        products = known.batch * layer.macs * (density if arch == "cambricon_x" else 1.0)
        assert products - 1 <= expected.macs_issued <= expected.cycle_map.sum() * lanes, seed
        assert expected.cycle_map.sum(axis=1).min() > 0, seed

@pytest.mark.parametrize("num_neurons", [1, 3, 40])
def test_the_fullest_pe_is_expected_to_hold_its_share_of_the_explicit_zeros(num_neurons):
    chosen = machine("cambricon_x", "index.window=8", "index.step_bits=4")
    layer = Layer("ip", "fc", ("x",), (900, 1, 1), num_neurons)
    work = expected_work(chosen, layer, Densities(1, 0.01, 1.0, 0.5))
    assert work.stored.sum() > 5 * num_neurons * 9  # nine synapses each
    assert (work.resident * neurons_of_blocks(layer, 16) >= work.stored).all()


@pytest.mark.parametrize("density", [0.1, 0.6])
def test_synapses_are_expected_to_come_again_where_they_do_not_fit(density):
    chosen = machine("cambricon_x", "buffers.nbout_bytes=64", "buffers.synapse_bytes=64")  # 32 synapses a PE
    layer = Layer("conv", "conv", ("x",), (100, 8, 8), 32)
    exact = run("cambricon_x", chosen, layer, at_densities(layer, density, 1.0))
    expected = cambricon_x.expect_layer(chosen, layer, Densities(1, density, 1.0, 0.5), FREE)
    assert (exact.words_written["sb"] > layer.weight_words) == (density == 0.6)
    assert expected.words_written["sb"] == pytest.approx(exact.words_written["sb"], rel=0.06)


CORNERS = [(3, 0.5, 1), (7, 0.3, 1), (7, 0.2, 2), (4, 0.1, 3), (5, 0.1, 3)]


@pytest.mark.parametrize(("depth", "density", "longest_run"), CORNERS)
def test_expected_explicit_zeros_are_the_mean_over_all_rows(depth, density, longest_run):
    expected = 0.0
    for cells in range(2**depth):
        row = [cells >> cell & 1 for cell in range(depth)]
        chance = density ** sum(row) * (1 - density) ** (depth - sum(row))
        expected += chance * (len(stored_positions(row, longest_run)) - sum(row))
    assert explicit_zeros(depth, density, longest_run) == pytest.approx(expected)


@pytest.mark.parametrize("density", [0.0, 1.0])
@pytest.mark.parametrize("arch", MODULES)
def test_without_chance_the_expectation_is_exact(arch, density):
    for shape, K in (((40, 4, 4), 20), ((600, 1, 1), 7)):
        kind = "conv" if shape[1] > 1 else "fc"
        layer = Layer("l", kind, ("x",), shape, K)
        exact = run(arch, machine(arch), layer, at_densities(layer, density, 1.0), Context(memory()))
        expected = MODULES[arch].expect_layer(machine(arch), layer, Densities(1, density, 1.0, 0.5), Context(memory()))
        assert account(exact) == account(expected)


@pytest.mark.parametrize(("window", "density", "run"), [(20, 0.3, 3), (9, 0.05, 1), (40, 0.02, 15), (6, 0.5, 255)])
def test_entries_of_a_window_are_those_of_an_endless_row(window, density, run):
    rng = np.random.default_rng(3)
    row = rng.random(400_000) < density
    counts, zeros = np.zeros(row.size // window, int), 0
    for cell, nonzero in enumerate(row[: counts.size * window].tolist()):
        stored = nonzero or zeros == run
        zeros = 0 if stored else zeros + 1
        counts[cell // window] += stored
    measured = np.bincount(counts, minlength=window + 1) / counts.size
    assert entries_pmf(window, density, run) == pytest.approx(measured, abs=0.012)


def test_a_window_of_an_empty_row_has_no_entries_and_one_of_a_full_row_is_full():
    assert entries_pmf(20, 0.0, 3).tolist() == [1.0] + [0.0] * 20
    assert entries_pmf(20, 1.0, 3).tolist() == [0.0] * 20 + [1.0]

def test_explicit_zeros_that_no_window_is_expected_to_have_take_their_cycles():
    chosen = machine("cambricon_x", "pe.multipliers=1", "index.window=7", "index.step_bits=3")
    layer = Layer("ip", "fc", ("x",), (700, 1, 1), 3)
    expected = cambricon_x.expect_layer(chosen, layer, Densities(1, 0.3, 1.0, 0.5), FREE)
    assert 700 * 3 * 0.3 < expected.macs_issued <= expected.cycle_map.sum() < expected.macs_issued + 4


def test_a_window_no_longer_than_a_run_is_taken_to_have_no_explicit_zeros():
    assert entries_pmf(15, 0.05, 15).tolist() == binomial(15, 0.05).tolist()
    assert entries_pmf(16, 0.05, 15) @ np.arange(17) > 1.2 * binomial(16, 0.05) @ np.arange(17)


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_the_binomial_sums_to_one_around_its_mean(density):
    probability = binomial(256, density)
    assert probability.sum() == pytest.approx(1.0)
    assert np.arange(257) @ probability == pytest.approx(256 * density)


# Outputs through the dataflow


@pytest.mark.parametrize("arch", MODULES)
@pytest.mark.parametrize("block", range(4))
def test_the_outputs_of_the_dataflow_are_those_of_the_layer(arch, block, monkeypatch):
    monkeypatch.setattr("archmodel.accelerators.dot_operands.STRIP_WORDS", 100)
    for seed in range(1000 + 10 * block, 1010 + 10 * block):
        chosen, layer, operands, context = random_case(seed, arch)
        assert run(arch, chosen, layer, operands, dataclasses.replace(context, check=True, seed=seed)).checked


def test_a_wrong_selection_is_found(monkeypatch):
    def shifted(*arguments):
        entry_ptr, step, synapse = steps(*arguments)
        step[entry_ptr[0]] += 1
        return entry_ptr, step, synapse

    steps = cambricon_x.step_indices
    monkeypatch.setattr(cambricon_x, "step_indices", shifted)
    with pytest.raises(ResultError, match=r"^conv2: --check: "):
        simulate("cambricon_x", "lenet5", layers="conv2", check=True)


def test_cycles_that_the_dataflow_does_not_take_are_found(monkeypatch):
    counted = cambricon_x.window_entries
    monkeypatch.setattr(cambricon_x, "window_entries", lambda *arguments: counted(*arguments) + 16)
    with pytest.raises(ResultError, match=r"^conv2: --check: the modelled dataflow takes other cycles than counted"):
        simulate("cambricon_x", "lenet5", layers="conv2", check=True)


@pytest.mark.parametrize("wrong", [slice(16, 31), slice(15, 32)])
def test_a_synapse_that_a_dense_machine_leaves_out_or_takes_twice_is_found(monkeypatch, wrong):
    right = diannao.taken_together
    monkeypatch.setattr(diannao, "taken_together", lambda *of: [right(*of)[0], wrong, *right(*of)[2:]])
    with pytest.raises(ResultError, match=r"^conv2: --check: output"):
        simulate("diannao", "lenet5", layers="conv2", check=True, weights="density=1", activations="density=1")


def test_cycles_that_a_dense_machine_does_not_take_are_found(monkeypatch):
    monkeypatch.setattr(diannao, "dot_cycles", lambda *of: 49)  # 25 kernel positions of 20 channels: 50
    with pytest.raises(ResultError, match=r"^conv2: --check: the modelled dataflow takes other cycles than counted"):
        simulate("diannao", "lenet5", layers="conv2", check=True)


@pytest.mark.parametrize("arch", MODULES)
def test_feature_maps_go_through_dram(arch):
    layer = read_network("lenet5").layer("conv2")
    assert machine(arch).fits(layer, 0.0, 0.0) == (False, False)
    done = simulate(arch, "lenet5")
    assert all(one.dram_bytes_of("input") and one.dram_bytes_of("output") for one in done.layers)


# Configurations


def test_the_machines_are_the_published_ones():
    sparse, dense = machine("cambricon_x"), machine("diannao")
    assert (sparse.num_multipliers, dense.num_multipliers) == (256, 256)
    assert (sparse.synapse_bits, dense.synapse_bits) == (24, 16)
    assert sparse.memories == Buffers(16, 16, 4096, 4096, 1024, 16)
    assert dense.memories == Buffers(16, 16, 1024, 1024, 1024, 16)
    assert (sparse.activation_bytes, dense.activation_bytes) == (16384, 4096)


def stored_bytes(chosen):
    """Bytes of every memory of a machine."""
    stored = [component for component in chosen.components if component.stores]
    return {one.name: one.instances * one.words * one.bits // 8 for one in stored}


def test_the_memories_that_cost_area_are_those_that_hold_the_layer():
    of_both = {"accumulators": 16 * 4, "sb": 32 * 1024}
    sparse = {"nbin": 8192, "nbout": 8192, "window": 256 * 2, "steps": 16 * 1024}
    assert stored_bytes(machine("cambricon_x")) == of_both | sparse
    assert stored_bytes(machine("diannao")) == of_both | {"nbin": 2048, "nbout": 2048}
    wide = stored_bytes(machine("diannao", "nfu.Tn=8", "nfu.Ti=4"))
    assert wide == {"accumulators": 8 * 4, "sb": 64 * 8 * 4 * 2, "nbin": 64 * 4 * 2, "nbout": 64 * 8 * 2}


def test_every_memory_has_a_row_at_least():
    tiny = (f"buffers.{name}_bytes=64" for name in ("nbin", "nbout", "synapse"))
    lanes = 64 * 2
    chosen = machine("cambricon_x", "pe.multipliers=64", "index.window=100", *tiny)
    rows = {"nbin": 2 * lanes, "window": 2 * lanes, "nbout": lanes, "sb": 16 * lanes, "steps": 8 * lanes}
    assert stored_bytes(chosen) == rows | {"accumulators": 16 * 4}


@pytest.mark.parametrize(("window", "bits"), [(1, 1), (2, 1), (256, 8), (257, 9)])
def test_adders_of_the_indexing_module_reach_every_place_of_a_window(window, bits):
    parts = {part.name: part for part in machine("cambricon_x", f"index.window={window}").components}
    assert (parts["step_adders"].instances, parts["step_adders"].bits) == (256, bits)
    assert (parts["selectors"].instances, parts["selectors"].bits, parts["selectors"].ports) == (16, 16, (window, 16))


@pytest.mark.parametrize("arch", MODULES)
def test_a_multiplier_has_an_adder_as_wide_as_the_sum(arch):
    parts = {part.name: part for part in machine(arch).components}
    assert [(parts[name].instances, parts[name].bits) for name in ("multipliers", "adders")] == [(256, 16), (256, 32)]


@pytest.mark.parametrize(
    ("arch", "key", "lowest", "highest"),
    [
        ("diannao", "nfu.Tn", 1, 4096),
        ("diannao", "buffers.entries", 1, 2**20),
        ("cambricon_x", "index.window", 1, 65536),
        ("cambricon_x", "index.step_bits", 1, 16),
        ("cambricon_x", "buffers.synapse_bytes", 64, 2**40),
    ],
)
def test_a_size_outside_its_bounds_is_refused(arch, key, lowest, highest):
    for accepted in (lowest, highest):
        machine(arch, f"{key}={accepted}")
    for refused in (lowest - 1, highest + 1):
        with pytest.raises(ConfigError, match=rf"^--set {key}={refused}: must be at (least|most)"):
            machine(arch, f"{key}={refused}")
