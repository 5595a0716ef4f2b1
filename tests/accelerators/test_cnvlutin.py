"""DaDianNao and Cnvlutin against a twin that walks every lane, and what must hold of the two."""

import dataclasses
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators import cnvlutin, dadiannao
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.errors import ConfigError, ResultError
from archmodel.exchange import read_network
from archmodel.memory.energy import cost_of
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from archmodel.simulation import simulate
from tests.accelerators.cases import FREE, account, at_densities, memory
from tests.reference import cnvlutin as twin

MODULES = {"dadiannao": dadiannao, "cnvlutin": cnvlutin}
BLOCKS, LAYERS_A_TEST = 15, 12
DENSITIES = (0.0, 0.2, 0.6, 1.0)


def machine(arch, *assignments):
    return config.load("accelerators", arch, MODULES[arch].Config, assignments)


def run(arch, layer, operands, *assignments, context=FREE):
    return MODULES[arch].run_layer(machine(arch, *assignments), layer, operands, context)


def conv(C, height=4, K=3, R=3, **changes):
    padding = (R // 2,) * 4
    return Layer("conv", "conv", ("x",), (C, height, height), K, R, R, padding=padding, **changes)


def of_mask(layer, inputs):
    return Operands(np.ones(layer.weight_shape, np.uint8), np.asarray(inputs, np.uint8)[np.newaxis], 0.5)


def random_layer(draw):
    if draw.random() < 0.2:
        return Layer("ip", "fc", ("x",), (draw.randint(1, 40), 1, 1), draw.randint(1, 12))
    groups = draw.choice([1, 1, 1, 2, 3])
    stride = draw.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    R, S = draw.randint(1, 3), draw.randint(1, 3)
    height, width = (dilation[i] * (kernel - 1) + draw.randint(1, 4) for i, kernel in enumerate((R, S)))
    shape = (groups * draw.choice([1, 2, 3, 5, 9]), height, width)
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 6), R, S, stride, padding, dilation, groups)


def random_case(seed):
    """A machine, a small layer with its zeros, a small node, and what is around it."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = at_densities(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    arch = draw.choice(["dadiannao", "cnvlutin", "cnvlutin"])
    assignments = [
        f"array.units={draw.randint(1, 3)}",
        f"array.lanes={draw.choice([1, 2, 3, 4])}",
        f"array.filters={draw.randint(1, 3)}",
        f"array.pipeline_cycles={draw.choice([0, 8])}",
        f"array.image_layers={draw.choice(['flattened', 'channels'])}",
        f"buffers.sb_bytes={draw.choice([60, 150, 2**20])}",
        f"buffers.nm_bytes={draw.choice([64, 100, 2**20])}",
        f"buffers.nm_banks={draw.choice([1, 2, 4])}",
        f"buffers.word_bits={draw.choice([5, 16])}",
        f"buffers.nbout_entries={draw.choice([1, 2, 64])}",
        f"buffers.weights_preloaded={draw.choice(['true', 'false'])}",
    ]
    if arch == "cnvlutin":
        assignments += [
            f"dispatch.brick_neurons={draw.choice([1, 2, 3, 4])}",
            f"dispatch.assignment={draw.choice(['slab', 'dealt'])}",
        ]
    context = Context(
        memory(draw.choice([0.25e9, 2e9, 50e9]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.3,
        output_on_chip=draw.random() < 0.3,
        check=True,
    )
    return arch, machine(arch, *assignments), layer, operands, context


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        arch, chosen, layer, operands, context = random_case(seed)
        result = account(MODULES[arch].run_layer(chosen, layer, operands, context))
        expected = twin.run_layer(chosen, layer, operands.weights, operands.inputs, context)
        for quantity, value in expected.items():
            assert result[quantity] == value, (seed, quantity)


def test_the_random_layers_reach_every_rule():
    cases = [random_case(seed) for seed in range(BLOCKS * LAYERS_A_TEST)]
    results = [MODULES[arch].run_layer(chosen, *rest) for arch, chosen, *rest in cases]
    skipping = [case for case in cases if case[0] == "cnvlutin"]
    for few in (
        [layer for _, _, layer, _, _ in cases if layer.kind == "fc"],
        [layer for _, _, layer, _, _ in skipping if layer.groups > 1],
        [layer for _, _, layer, _, _ in skipping if layer.stride != (1, 1)],
        [layer for _, _, layer, _, _ in skipping if layer.dilation != (1, 1)],
        [layer for _, chosen, layer, _, _ in cases if dadiannao.is_image(chosen, layer)],
        [layer for _, chosen, layer, _, _ in skipping if not dadiannao.is_image(chosen, layer)],
        [result for result in results if result.stack.get("bank_conflict")],
        [result for result in results if result.stack.get("imbalance")],
        [result for result in results if result.details["passes"] > 1],
        [result for result in results if result.dram_bytes_of("weight")],
        [chosen for _, chosen, *_ in skipping if chosen.dispatch.assignment == "dealt"],
        [operands for *_, operands, _ in cases if operands.batch > 1],
    ):
        assert len(few) >= 10


# By hand


def test_a_window_of_dadiannao_takes_a_cycle_for_each_16_channels_of_a_kernel_position():
    for channels, bricks in ((16, 1), (17, 2), (32, 2), (33, 3)):
        layer = conv(channels)
        assert run("dadiannao", layer, at_densities(layer)).cycles == 16 * 9 * bricks + 8


def test_257_filters_are_two_passes():
    for filters, passes in ((256, 1), (257, 2), (512, 2), (513, 3)):
        layer = Layer("ip", "fc", ("x",), (64, 1, 1), filters)
        assert run("dadiannao", layer, at_densities(layer)).cycles == 4 * passes + 8


def test_an_image_is_flattened():
    layer = Layer("conv", "conv", ("x",), (3, 11, 11), 96, 11, 11)
    assert run("dadiannao", layer, at_densities(layer)).cycles == 23 + 8  # 363 cells
    assert run("dadiannao", layer, at_densities(layer), "array.image_layers=channels").cycles == 121 + 8
    assert run("cnvlutin", layer, at_densities(layer, inputs=0.1)).cycles == 23 + 8


def test_the_fullest_lane_decides():
    # 64 channels, 4 in each lane's slab: lane 5 has three non-zeros, all others one.
    layer = conv(64, height=1, R=1)
    inputs = np.zeros((64, 1, 1))
    inputs[::4] = 1
    inputs[20:23] = 1
    result = run("cnvlutin", layer, of_mask(layer, inputs))
    assert result.cycles == 3 + 8
    assert result.stack["imbalance"] == 15 * 2 * 256
    # Dealt, the channels are four bricks for four lanes, of 4, 6, 4 and 4 non-zeros.
    assert run("cnvlutin", layer, of_mask(layer, inputs), "dispatch.assignment=dealt").cycles == 6 + 8


def test_a_brick_of_zeros_takes_a_cycle():
    layer = conv(256, height=1, R=1)
    result = run("cnvlutin", layer, of_mask(layer, np.zeros((256, 1, 1))))
    assert result.cycles == 1 + 8
    assert result.stack["fragmentation"] == 16 * 256
    one = np.zeros((256, 1, 1))
    one[3] = 1
    assert run("cnvlutin", layer, of_mask(layer, one)).cycles == 1 + 8
    one[9] = 1
    assert run("cnvlutin", layer, of_mask(layer, one)).cycles == 2 + 8


def test_a_slab_of_more_than_16_channels_is_more_bricks():
    layer = conv(17 * 16, height=1, R=1)  # 17 channels a lane, two bricks
    assert run("cnvlutin", layer, of_mask(layer, np.zeros((272, 1, 1)))).cycles == 2 + 8


def test_lanes_meet_after_each_window():
    # Two windows; lane 0 has two non-zeros in the first, lane 1 in the second.
    layer = Layer("conv", "conv", ("x",), (32, 1, 2), 1)
    inputs = np.zeros((32, 1, 2))
    inputs[0:2, 0, 0] = inputs[2:4, 0, 1] = 1
    assert run("cnvlutin", layer, of_mask(layer, inputs)).cycles == 2 + 2 + 8


def test_padding_costs_a_cycle_for_each_brick():
    layer = Layer("conv", "conv", ("x",), (256, 1, 1), 1, 3, 3, padding=(1, 1, 1, 1))
    assert run("cnvlutin", layer, of_mask(layer, np.ones((256, 1, 1)))).cycles == 16 + 8 + 8


def test_fewer_banks_than_lanes_hold_empty_bricks_up():
    layer = conv(256, height=1, R=1)
    nothing = of_mask(layer, np.zeros((256, 1, 1)))
    for banks, cycles in ((16, 1), (8, 2), (4, 4)):
        result = run("cnvlutin", layer, nothing, f"buffers.nm_banks={banks}")
        assert result.cycles == cycles + 8
        assert result.stack["bank_conflict"] == (cycles - 1) * 4096


def test_filters_that_do_not_fit_come_from_dram():
    layer = Layer("ip", "fc", ("x",), (1024, 1, 1), 16)  # 32 KiB of weights
    for size, num_bytes in ((2048, 0), (1024, 16384), (512, 24576)):
        result = run("cnvlutin", layer, at_densities(layer), f"buffers.sb_bytes={size}")
        assert result.dram_bytes_of("weight") == num_bytes
    loaded = run("cnvlutin", layer, at_densities(layer), "buffers.weights_preloaded=false")
    assert loaded.dram_bytes_of("weight") == 32768


# What must hold


def layers_of_many_shapes():
    return [
        conv(64, height=6),
        conv(100, height=5, K=300),
        conv(48, R=1),
        conv(96, height=5, groups=2, K=4),
        conv(20, height=5, groups=20, K=20),
        Layer("ip", "fc", ("x",), (1000, 1, 1), 300),
    ]


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_slabs_are_never_slower_than_dadiannao_nor_16_times_as_fast(density):
    for layer in layers_of_many_shapes():
        operands = at_densities(layer, inputs=density)
        dense = run("dadiannao", layer, operands).cycles - 8
        skipped = run("cnvlutin", layer, operands).cycles - 8
        assert dense / 16 <= skipped <= dense


def test_slabs_without_zeros_or_padding_take_what_dadiannao_takes():
    for layer in layers_of_many_shapes():
        unpadded = dataclasses.replace(layer, padding=(0, 0, 0, 0))
        operands = at_densities(unpadded)
        assert run("cnvlutin", unpadded, operands).cycles == run("dadiannao", unpadded, operands).cycles


def test_dealt_bricks_are_slower_where_a_window_has_few_and_none_is_zero():
    for channels, ratio in ((16, 16 / 9), (64, 48 / 36), (256, 1.0)):  # 9, 36 and 144 bricks for 16 lanes
        layer = Layer("conv", "conv", ("x",), (channels, 3, 3), 1, 3, 3)
        dense = run("dadiannao", layer, at_densities(layer)).cycles - 8
        dealt = run("cnvlutin", layer, at_densities(layer), "dispatch.assignment=dealt").cycles - 8
        assert dealt / dense == pytest.approx(ratio)


def test_more_zeros_never_cost_cycles():
    for layer in layers_of_many_shapes():
        cycles, inputs = [], at_densities(layer).inputs
        for density in (0.9, 0.7, 0.4, 0.1):
            inputs = inputs & at_densities(layer, inputs=density, seed=1).inputs
            cycles.append(run("cnvlutin", layer, of_mask(layer, inputs[0])).cycles)
        assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("assignment", ["slab", "dealt"])
@pytest.mark.parametrize("banks", [16, 2])
@pytest.mark.parametrize("density", [0.05, 0.5, 0.9, 1.0])
def test_the_expected_cycles_are_the_mean_over_placements(assignment, banks, density):
    options = (f"dispatch.assignment={assignment}", f"buffers.nm_banks={banks}")
    skewed = Layer("conv", "conv", ("x",), (70, 9, 7), 4, 3, 2, (2, 1), (1, 0, 0, 2), (1, 3))
    for layer, batch in ((skewed, 4), (Layer("ip", "fc", ("x",), (600, 1, 1), 4), 40)):
        runs = [run("cnvlutin", layer, at_densities(layer, 0.5, density, batch, seed), *options) for seed in range(60)]
        densities = Densities(batch, 0.5, density, 0.5)
        expected = cnvlutin.expect_layer(machine("cnvlutin", *options), layer, densities, FREE)
        assert expected.cycles == pytest.approx(np.mean([one.cycles for one in runs]), rel=0.01)
        for cause in ("fragmentation", "imbalance", "bank_conflict"):
            measured = np.mean([one.stack[cause] for one in runs])
            assert expected.stack[cause] == pytest.approx(measured, abs=0.01 * expected.slots)


def test_expected_layers_without_chance_are_exact():
    for seed in range(60):
        arch, chosen, layer, operands, context = random_case(seed)
        for density in (0.0, 1.0):
            exact = MODULES[arch].run_layer(chosen, layer, at_densities(layer, 1.0, density, operands.batch), context)
            densities = Densities(operands.batch, 1.0, density, 0.5)
            expected = MODULES[arch].expect_layer(chosen, layer, densities, context)
            assert account(expected) == account(exact), (seed, density)


# Pruning


def test_a_threshold_prunes_smaller_magnitudes():
    layer = Layer("ip", "fc", ("x",), (4, 1, 1), 1)
    values = np.array([3, -2, 2, -5], np.int32).reshape(1, 4, 1, 1)
    operands = Operands(np.ones((1, 4, 1, 1), np.uint8), np.ones((1, 4, 1, 1), np.uint8), 0.5, None, values)
    for threshold, kept in ((0, 4), (2, 4), (3, 2), (4, 1), (6, 0)):
        result = run("cnvlutin", layer, operands, f"pruning.threshold={threshold}")
        assert result.macs_effectual == kept
        assert result.origins.get("inputs", "") == (f"; pruned: below {threshold}" if threshold else "")
    both = run("cnvlutin", layer, operands, "pruning.threshold=3", "pruning.share=1")
    assert both.origins["inputs"] == "; pruned: below 3 and 1 of the non-zeros"


def test_a_threshold_needs_values():
    layer = Layer("ip", "fc", ("x",), (4, 1, 1), 1)
    with pytest.raises(ConfigError, match=r"ip: pruning.threshold needs the values .* or pruning.share"):
        run("cnvlutin", layer, at_densities(layer), "pruning.threshold=2")
    with pytest.raises(ConfigError, match=r"needs the values"):
        simulate("cnvlutin", "lenet5", fidelity="statistical", assignments=("pruning.threshold=2",))


def test_a_share_of_the_non_zeros_is_pruned():
    layer = conv(256, height=12)
    operands = at_densities(layer, 1.0, 0.5)
    whole, pruned = (run("cnvlutin", layer, operands, f"pruning.share={share}") for share in (0.0, 0.25))
    assert pruned.input_density == pytest.approx(0.75 * whole.input_density, rel=0.02)
    assert pruned.cycles < whole.cycles
    assert pruned.origins["inputs"] == "; pruned: 0.25 of the non-zeros"
    densities = Densities(1, 1.0, 0.5, 0.5)
    expected = cnvlutin.expect_layer(machine("cnvlutin", "pruning.share=0.25"), layer, densities, FREE)
    assert (expected.input_density, expected.origins) == (0.375, dict(pruned.origins))
    assert expected.cycles == pytest.approx(pruned.cycles, rel=0.02)
    assert run("cnvlutin", layer, operands, "pruning.share=1").macs_effectual == 0


def test_an_image_is_not_pruned():
    layer = conv(3)
    operands = at_densities(layer)
    assert run("cnvlutin", layer, operands, "pruning.share=0.5") == run("cnvlutin", layer, operands)
    pruning, densities = machine("cnvlutin", "pruning.share=0.5"), Densities(1, 1.0, 1.0, 0.5)
    assert cnvlutin.expect_layer(pruning, layer, densities, FREE).input_density == 1.0


# Energy, area, outputs


def test_offsets_and_brick_buffers_are_the_area_of_cnvlutin():
    dense, skipping = load_machine("dadiannao").area_mm2, load_machine("cnvlutin").area_mm2
    assert {name for name in skipping if skipping[name] > dense.get(name, 0)} == {"nm", "nbin", "dispatcher", "filler"}
    assert skipping["sb"] == dense["sb"]


def test_memories_hold_what_they_should():
    parts = {component.name: component for component in machine("dadiannao").components}
    for name, size in (("sb", 32 * 2**20), ("nm", 4 * 2**20)):
        assert parts[name].instances * parts[name].words * parts[name].bits == 8 * size
    assert parts["nbin"].words == 16 * 16
    assert (parts["nbout"].instances, parts["nbout"].words, parts["nbout"].bits) == (16, 64 * 16, 32)
    (dispatcher,) = (one for one in machine("cnvlutin").components if one.name == "dispatcher")
    assert (dispatcher.instances, dispatcher.words, dispatcher.bits) == (16, 16, 20)


def test_a_row_of_a_neuron_memory_bank_is_what_a_cycle_takes_from_it():
    for arch, option in (("dadiannao", "array.lanes=8"), ("cnvlutin", "dispatch.brick_neurons=8")):
        (nm,) = (component for component in machine(arch, option).components if component.name == "nm")
        assert nm.words_per_row == 8
        assert nm.instances * nm.words == 2**21


@pytest.mark.parametrize(
    ("arch", "key", "least", "options"),
    [
        ("dadiannao", "sb_bytes", 16 * 8 * 2, ["array.filters=8"]),
        ("dadiannao", "nm_bytes", 4 * 16 * 2, ["buffers.nm_banks=4"]),
        ("cnvlutin", "nm_bytes", 16 * 8 * 2, ["dispatch.brick_neurons=8"]),
    ],
)
def test_every_bank_holds_a_row(arch, key, least, options):
    parts = machine(arch, f"buffers.{key}={least}", *options).components
    assert {part.words / part.words_per_row for part in parts if part.name == key[:2]} == {1.0}
    with pytest.raises(ConfigError, match=f"buffers.{key} = {least - 1}: must be at least {least}, a "):
        machine(arch, f"buffers.{key}={least - 1}", *options)


def test_offsets_name_every_place_of_a_brick():
    for neurons, bits in ((16, 4), (17, 5), (256, 8)):
        machine("cnvlutin", f"dispatch.brick_neurons={neurons}", f"dispatch.offset_bits={bits}")
        with pytest.raises(ConfigError, match=f"brick_neurons = {neurons}: offset_bits must be at least {bits}$"):
            machine("cnvlutin", f"dispatch.brick_neurons={neurons}", f"dispatch.offset_bits={bits - 1}")


def test_inputs_and_outputs_share_the_neuron_memory():
    layer = conv(16, height=8, K=16)  # 1,024 words each
    for size, fits in ((4096, True), (4095, False)):
        chosen = machine("dadiannao", f"buffers.nm_bytes={size}")
        assert chosen.fits(layer, 0.1, 0.1) == (fits, fits)
        tiles = run("dadiannao", layer, at_densities(layer), f"buffers.nm_bytes={size}").details["tiles"]
        assert tiles == (1 if fits else 2)


def test_the_edram_factors_scale_the_edram_only():
    before, after = (load_machine("dadiannao", (f"buffers.edram_area_factor={f}",)).area_mm2 for f in (0.5, 1.0))
    for name in before:
        ratio = 2.0 if name in ("sb", "nm") else 1.0
        assert name == "filler" or after[name] == pytest.approx(ratio * before[name])


def test_denser_cells_leak_less():
    technology = load_machine("dadiannao").technology
    sb = next(component for component in machine("dadiannao").components if component.name == "sb")
    half, whole = (cost_of(technology, dataclasses.replace(sb, area_factor=factor)) for factor in (0.5, 1.0))
    assert (half.area_mm2, half.leakage_mw) == pytest.approx((whole.area_mm2 / 2, whole.leakage_mw / 2))
    assert half.read_pj == whole.read_pj


def test_the_edram_energy_is_scaled():
    layer = conv(32)
    operands = at_densities(layer)
    once, twice = (
        load_machine("dadiannao", (f"buffers.edram_energy_factor={f}",)).run_layer(layer, operands, FREE).energy_pj
        for f in (0.5, 1.0)
    )
    for name in ("sb", "nm", "nbin", "multipliers"):
        assert twice[name] == pytest.approx((2.0 if name in ("sb", "nm") else 1.0) * once[name])


def test_skipped_neurons_save_synapse_reads():
    layer, density = conv(64, height=8, K=20), 0.25
    operands = at_densities(layer, 1.0, density)
    dense, skipped = (run(arch, layer, operands) for arch in ("dadiannao", "cnvlutin"))
    assert skipped.words_read["sb"] == skipped.macs_issued == skipped.macs_effectual
    assert dense.words_read["sb"] == layer.macs
    assert skipped.words_read["nm"] == dense.words_read["nm"]
    assert skipped.macs_effectual == dense.macs_effectual


@pytest.mark.parametrize("arch", ["dadiannao", "cnvlutin"])
def test_what_comes_from_dram_is_written_to_the_neuron_memory_and_what_leaves_is_read_from_it(arch):
    layer = conv(32, height=5, K=7)
    inside, outside = (
        run(arch, layer, at_densities(layer, batch=2), context=dataclasses.replace(FREE, **where))
        for where in ({}, {"input_on_chip": False, "output_on_chip": False})
    )
    assert outside.words_written["nm"] - inside.words_written["nm"] == 2 * layer.input_words
    assert outside.words_read["nm"] - inside.words_read["nm"] == 2 * layer.output_words
    for name in ("nbin", "nbout", "sb", *(["dispatcher"] if arch == "cnvlutin" else [])):
        assert outside.words_read[name] == inside.words_read[name]
        assert outside.words_written[name] == inside.words_written[name]


@pytest.mark.parametrize("arch", ["dadiannao", "cnvlutin"])
def test_check_notices_a_wrong_output(arch, monkeypatch):
    layer = conv(20)
    ones = np.ones(layer.output_shape, int)
    monkeypatch.setattr("archmodel.accelerators.check.reference_outputs", lambda *_: ones)
    with pytest.raises(ResultError, match="--check"):
        run(arch, layer, at_densities(layer), context=dataclasses.replace(FREE, check=True))


def test_check_walks_as_many_steps_as_a_window_takes():
    for seed in range(60):
        _, chosen, layer, _, _ = random_case(seed)
        steps = dadiannao.steps(chosen, layer)
        assert len(steps) == dadiannao.window_steps(chosen, layer)
        assert max(map(len, steps)) <= chosen.array.lanes


@pytest.mark.parametrize("banks", [16, 3])
def test_sampled_windows_have_an_interval(banks):
    layer = conv(512, height=36, K=4)  # windows of more than a hundred cycles: shorter ones are all walked
    operands = at_densities(layer, 1.0, 0.4 if banks == 16 else 0.3)
    option = f"buffers.nm_banks={banks}"
    exact = run("cnvlutin", layer, operands, option)
    sampled = run("cnvlutin", layer, operands, option, context=dataclasses.replace(FREE, fidelity="sampled"))
    low, high = sampled.cycles_ci95
    assert low < sampled.cycles < high
    assert low <= exact.cycles <= high
    for cause, slots in exact.stack.items():
        assert sampled.stack[cause] == pytest.approx(slots, abs=0.02 * exact.slots)
    assert (sampled.stack["bank_conflict"] > 0) == (banks == 3)


def test_fc7_of_alexnet_takes_a_cycle_for_4096_macs():
    layer = read_network("alexnet").layer("fc7")
    assert run("dadiannao", layer, of_mask(layer, np.ones(layer.input_shape))).cycles == 4096 + 8
