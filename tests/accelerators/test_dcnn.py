"""The dense baseline against a twin that walks every output, and what must hold of it."""

import dataclasses
import functools
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.dcnn import Config, run_layer
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network.layer import Layer
from tests.accelerators import cases
from tests.accelerators.cases import FREE, at_densities, memory
from tests.reference import dcnn as twin

LAYERS_A_TEST = 10
DENSITIES = (0.0, 0.3, 0.7, 1.0)


def machine(*assignments):
    return config.load("accelerators", "dcnn", Config, assignments)


def random_layer(draw):
    if draw.random() < 0.2:
        return Layer("ip", "fc", ("x",), (draw.randint(1, 40), 1, 1), draw.randint(1, 30))
    groups = draw.choice([1, 1, 2, 3])
    stride = draw.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    R, S = draw.randint(1, 3), draw.randint(1, 3)
    height, width = (dilation[i] * (kernel - 1) + draw.randint(1, 5) for i, kernel in enumerate((R, S)))
    shape = (groups * draw.randint(1, 3), height, width)
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 4), R, S, stride, padding, dilation, groups)


def random_case(seed):
    """A small layer with its zeros, a small machine, and what is around it."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = at_densities(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    chosen = machine(
        f"pe.rows={draw.randint(1, 3)}",
        f"pe.cols={draw.randint(1, 3)}",
        f"pe.multipliers={draw.choice([1, 3, 4, 16])}",
        f"pe.dot_product={draw.choice(['flattened', 'channels'])}",
        f"pe.Kc={draw.choice([1, 2, 3, 8])}",
        f"buffers.activation_bytes={draw.choice([64, 100, 2**20])}",
        f"buffers.word_bits={draw.choice([5, 16])}",
        f"buffers.index_bits={draw.choice([2, 4])}",
        f"encoding.activations={draw.choice(['zero_run', 'dense', 'zero_run', 'bitmask', 'zvc', 'dense'])}",
        f"pe.zero_gating={draw.choice(['true', 'false'])}",
        f"ppu.output_words_per_cycle={draw.choice([0, 1, 3, 4])}",
        f"ppu.overlap={draw.choice(['true', 'false'])}",
    )
    context = Context(
        memory(draw.choice([0.25e9, 2e9, 50e9]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.3,
        output_on_chip=draw.random() < 0.3,
    )
    return chosen, layer, operands, context


@functools.cache
def result_of(seed):
    return run_layer(*random_case(seed))


def with_buffers(chosen, **changes):
    return chosen.model_copy(update={"buffers": chosen.buffers.model_copy(update=changes)})


def without_compression(chosen):
    return chosen.model_copy(update={"encoding": chosen.encoding.model_copy(update={"activations": "dense"})})


def account(result):
    return cases.account(result) | {"cycle_map": result.cycle_map.tolist(), "details": dict(result.details)}


@pytest.mark.parametrize("block", range(20))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        chosen, layer, operands, context = random_case(seed)
        result = account(result_of(seed))
        expected = twin.run_layer(chosen, layer, operands.weights, operands.inputs, operands.output_density, context)
        for quantity, value in expected.items():
            assert result[quantity] == value, (seed, quantity)


def test_the_random_layers_reach_every_rule():
    cases = [random_case(seed) for seed in range(20 * LAYERS_A_TEST)]
    layers = [layer for _, layer, _, _ in cases]
    machines = [chosen for chosen, *_ in cases]
    for few in (
        [layer for layer in layers if layer.kind == "fc"],
        [layer for layer in layers if layer.groups > 1],
        [layer for layer in layers if layer.stride != (1, 1)],
        [layer for layer in layers if layer.dilation != (1, 1)],
        [chosen for chosen in machines if chosen.pe.dot_product == "channels"],
        [chosen for chosen in machines if not chosen.ppu.overlap],
        [operands for _, _, operands, _ in cases if operands.batch > 1],
        [chosen for chosen, layer, _, _ in cases if twin.temporal_tiles(chosen, layer) > 1],
    ):
        assert len(few) >= 30
    results = [result_of(seed) for seed in range(20 * LAYERS_A_TEST)]
    for cause in ("busy", "stored_zero", "fragmentation", "imbalance", "drain", "memory"):
        assert len([result for result in results if result.stack[cause]]) >= 30, cause


@pytest.mark.parametrize("seed", range(1000, 1030))
def test_the_stack_sums_and_nothing_beats_the_multipliers(seed):
    result = run_layer(*random_case(seed))
    assert sum(result.stack.values()) == result.cycles * result.num_multipliers
    assert min(result.stack.values()) >= 0
    assert result.macs_effectual <= result.macs_dense <= result.macs_issued <= result.cycles * result.num_multipliers


@pytest.mark.parametrize("seed", range(1100, 1130))
def test_zeros_cost_as_much_time_as_other_values(seed):
    chosen, layer, operands, context = random_case(seed)
    chosen = without_compression(chosen)
    dense = dataclasses.replace(
        operands, weights=np.ones_like(operands.weights), inputs=np.ones_like(operands.inputs), output_density=1.0
    )
    empty = dataclasses.replace(dense, weights=np.zeros_like(operands.weights), output_density=0.0)
    of_dense, of_empty = (account(run_layer(chosen, layer, one, context)) for one in (dense, empty))
    assert of_empty["effectual"] == 0
    for quantity in ("cycles", "issued", "read", "written", "streams", "cycle_map"):
        assert of_dense[quantity] == of_empty[quantity], quantity


@pytest.mark.parametrize("seed", range(1200, 1230))
def test_every_byte_of_a_tiled_feature_map_is_moved_once(seed):
    chosen, layer, operands, context = random_case(seed)
    tight = without_compression(with_buffers(chosen, activation_bytes=64))
    result = run_layer(tight, layer, operands, Context(context.memory))
    assert result.dram_bytes_of("input") == tight.stored_bytes(layer.input_words, 1.0) * operands.batch
    assert result.dram_bytes_of("output") == tight.stored_bytes(layer.output_words, 1.0) * operands.batch


@pytest.mark.parametrize("seed", range(1300, 1320))
def test_more_bandwidth_never_hurts(seed):
    chosen, layer, operands, context = random_case(seed)
    offers = [(1e8, 1e-6), (1e9, 1e-6), (1e9, 1e-7), (3e9, 1e-7), (1e15, 0.0)]
    cycles = [
        run_layer(chosen, layer, operands, dataclasses.replace(context, memory=memory(*offer))).cycles
        for offer in offers
    ]
    assert cycles == sorted(cycles, reverse=True)


def test_a_convolution_of_vgg16_by_hand():
    # conv3_2: 56x56 on 8x8 PEs are tiles of 7x7; 256 outputs of 256 x 3 x 3 products, 16 a cycle; the last 8 channels
    # of a tile leave at 4 words a cycle.
    layer = read_network("vgg16").layer("conv3_2")
    result = run_layer(machine(), layer, at_densities(layer, 0.2, 0.6), FREE)
    assert result.cycles == 49 * 256 * (256 * 9 // 16) + 49 * 8 // 4
    assert result.cycle_map.tolist() == [[49 * 256 * 144] * 64]


def test_an_uneven_plane_by_hand():
    # 13x13 on 8x8 PEs: tiles of 2x2, the seventh row and column have one position, the eighth none.
    layer = Layer("conv", "conv", ("x",), (3, 13, 13), 5, 3, 3, padding=(1, 1, 1, 1))
    result = run_layer(machine("ppu.output_words_per_cycle=0"), layer, at_densities(layer, 1.0, 1.0), FREE)
    sides = [2] * 6 + [1, 0]
    assert result.cycles == 4 * 5 * 2  # 27 products are two steps of 16
    assert result.cycle_map.tolist() == [[v * h * 5 * 2 for v in sides for h in sides]]
    assert result.stack["fragmentation"] == 13 * 13 * 5 * (2 * 16 - 27)


def test_a_dot_product_along_channels_only_leaves_multipliers_idle():
    layer = Layer("conv", "conv", ("x",), (3, 8, 8), 4, 3, 3, padding=(1, 1, 1, 1))
    operands = at_densities(layer, 1.0, 1.0)
    free = ("ppu.output_words_per_cycle=0",)
    assert run_layer(machine(*free), layer, operands, FREE).cycles == 4 * 2
    assert run_layer(machine(*free, "pe.dot_product=channels"), layer, operands, FREE).cycles == 4 * 9


def test_a_stride_becomes_channels_and_its_empty_cells_cost_cycles():
    # 11x11 stride 4 on 3 channels becomes 3x3 on 48: 432 products instead of 363.
    layer = Layer("conv1", "conv", ("x",), (3, 227, 227), 2, 11, 11, stride=(4, 4))
    result = run_layer(machine("ppu.output_words_per_cycle=0"), layer, at_densities(layer, 1.0, 1.0), FREE)
    assert result.cycles == 49 * 2 * 27
    assert result.macs_issued == 55 * 55 * 2 * 432
    assert result.stack["busy"] == result.macs_effectual == result.macs_dense == 55 * 55 * 2 * 363


@pytest.mark.parametrize("dot_product", ["flattened", "channels"])
@pytest.mark.parametrize(("R", "dilation"), [(1, 1), (2, 2)])
def test_inputs_between_the_strides_that_no_weight_meets_are_not_multiplied(dot_product, R, dilation):
    # ResNet's shortcut, 1x1 stride 2, and taps as far apart as the stride: one of four phases has weights.
    layer = Layer("shortcut", "conv", ("x",), (32, 18, 16), 2, R, 1, stride=(2, 2), dilation=(dilation, 1))
    chosen = machine("ppu.output_words_per_cycle=0", f"pe.dot_product={dot_product}")
    result = run_layer(chosen, layer, at_densities(layer, 1.0, 1.0), FREE)
    tile = -(-layer.P // 8) * -(-layer.Q // 8)
    assert result.cycles == tile * 2 * R * 2  # 32 channels are two steps of 16
    assert result.macs_issued == result.macs_dense


def test_only_the_last_group_of_the_last_image_drains_in_sight():
    layer = Layer("conv", "conv", ("x",), (16, 8, 8), 20)  # 1 output a PE and channel, 20 cycles an image
    operands = at_densities(layer, 1.0, 1.0, batch=3)
    hidden = run_layer(machine("ppu.output_words_per_cycle=1"), layer, operands, FREE)
    exposed = run_layer(machine("ppu.output_words_per_cycle=1", "ppu.overlap=false"), layer, operands, FREE)
    assert (hidden.cycles, exposed.cycles) == (3 * 20 + 20 % 8, 3 * (20 + 20))


def test_a_layer_larger_than_the_sram_is_tiled_and_fetches_its_weights_for_every_tile():
    layer = Layer("conv", "conv", ("x",), (4, 16, 16), 4)  # 2 x 2,048 bytes
    operands = at_densities(layer, 1.0, 1.0)
    for size, tiles in ((4096, 1), (4095, 2), (2048, 2), (2047, 3)):
        result = run_layer(machine(f"buffers.activation_bytes={size}"), layer, operands, Context(memory()))
        assert result.details["sub_planes"] == tiles, size
        assert result.dram_bytes_of("weight") == tiles * 32


def test_a_layer_stays_on_chip_if_inputs_and_outputs_fit_together():
    layer = Layer("conv", "conv", ("x",), (4, 16, 16), 4)
    assert machine("buffers.activation_bytes=4096").fits(layer, 0.1, 0.1) == (True, True)
    assert machine("buffers.activation_bytes=4095").fits(layer, 0.1, 0.1) == (False, False)


def test_the_study_has_as_many_multipliers_as_scnn():
    assert machine().num_multipliers == 1024
    assert machine().activation_bytes == 2 * 2**20
    assert machine().stored_bytes(3, 0.1) == 6


BOUNDS = {
    "pe.rows": (1, 256),
    "pe.cols": (1, 256),
    "pe.multipliers": (1, 4096),
    "pe.Kc": (1, 65536),
    "buffers.activation_bytes": (64, 2**40),
    "buffers.word_bits": (1, 64),
    "ppu.output_words_per_cycle": (0, 4096),
}


@pytest.mark.parametrize("key", BOUNDS)
def test_a_size_outside_its_bounds_is_refused(key):
    lowest, highest = BOUNDS[key]
    for accepted in (lowest, highest):
        machine(f"{key}={accepted}")
    for refused in (lowest - 1, highest + 1):
        with pytest.raises(ConfigError, match=rf"^--set {key}={refused}: must be at (least|most)"):
            machine(f"{key}={refused}")


@pytest.mark.parametrize("seed", range(1400, 1440))
def test_the_outputs_of_the_dot_products_are_those_of_the_layer(seed):
    chosen, layer, operands, context = random_case(seed)
    result = run_layer(chosen, layer, operands, dataclasses.replace(context, check=True, seed=seed))
    assert result.checked
    assert not run_layer(chosen, layer, operands, context).checked
