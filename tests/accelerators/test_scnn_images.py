"""Images that share the weights of SCNN's FIFOs: fetched once for as many as find room, and nothing else changes."""

import collections
import dataclasses
import functools
import random

import numpy as np
import pytest

from archmodel import simulate
from archmodel.accelerators.context import Context
from archmodel.accelerators.scnn import expect_layer, run_layer
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from tests.accelerators.test_scnn_exact import (
    Case,
    account,
    expected_of,
    load,
    memory,
    random_layer,
    random_machine,
    random_zeros,
)
from tests.accelerators.test_scnn_expected import filled, known

LAYERS_A_TEST = 10
QUANTITIES = (
    "cycles",
    "stack",
    "effectual",
    "issued",
    "read",
    "written",
    "operations",
    "streams",
    "cycle_map",
    "details",
)


def random_case(seed, most_images=4):
    """A small random layer of several images, on a small machine with room for some of them."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = random_zeros(draw, layer, draw.randint(2, 5))
    context = Context(memory(draw.choice([0.25e9, 2e9, 50e9])), draw.random() < 0.3, draw.random() < 0.3)
    machine = random_machine(draw, layer) | {
        "weight_fifo.images": draw.randint(2, most_images),
        "pe.accumulator_entries": draw.choice([50, 100, 300, 1024, 4096]),
        "buffers.iaram_bytes": draw.choice([64, 80, 100, 130, 10240]),
        "buffers.oaram_bytes": draw.choice([64, 80, 100, 10240]),
    }
    return Case(machine | {"pe.Kc": draw.choice(["published", "accumulator", 1, 2])}, layer, operands, context)


@functools.cache
def result_of(seed):
    return random_case(seed).run()


@pytest.mark.parametrize("block", range(12))
def test_images_that_share_weights_are_those_of_the_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        result, twin = account(result_of(seed)), expected_of(random_case(seed))
        for quantity in QUANTITIES:
            assert result[quantity] == twin[quantity], (seed, quantity)


def test_the_random_layers_share_in_every_way():
    found = collections.Counter()
    for seed in range(12 * LAYERS_A_TEST):
        case, result = random_case(seed), result_of(seed)
        images, batch = result.details["images_at_a_time"], case.operands.batch
        found["images", "shared" if images > 1 else "alone"] += 1
        found["last set", "smaller" if batch % images else "as large"] += 1
        found["room", "for all" if images == min(batch, case.config.weight_fifo.images) else "for fewer"] += 1
        found["conv groups", case.layer.groups > 1 and images > 1] += 1
    assert min(found.values()) >= 5, found
    assert len(found) == 8


def in_halves():
    """A plane that does not fit, whose halves do: fifteen zeros between two non-zeros are seven explicit ones."""
    layer = Layer("halves", "conv", ("x",), (1, 1, 31), 3, 1, 3, padding=(0, 0, 1, 1))
    inputs = np.zeros((5, 1, 1, 31), np.uint8)
    inputs[:, :, :, [0, 16]] = 1
    inputs[1::2, :, :, 17] = inputs[2:, :, :, 1] = 1
    machine = {"pe.rows": 1, "pe.cols": 1, "compression.index_bits": 1, "compression.data_bits": 64}
    machine |= {"buffers.iaram_bytes": 64, "weight_fifo.images": 3, "ppu.output_words_per_cycle": 1}
    return Case(machine, layer, Operands(np.ones(layer.weight_shape, np.uint8), inputs, 0.5), Context(memory(1e9)))


def test_a_sub_plane_of_all_images_of_a_set_comes_before_the_next():
    case = in_halves()
    result, twin = case.run(), expected_of(case)
    assert (result.details["sub_planes"], result.details["images_at_a_time"]) == (2, 3)
    assert [stream.tile for stream in result.streams if stream.kind == "weight"] == [0, 1, 2, 3]
    assert [stream.tile for stream in result.streams if stream.kind == "input"] == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    for quantity in QUANTITIES:
        assert account(result)[quantity] == twin[quantity], quantity


def test_expected_sub_planes_come_in_the_order_of_exact_ones():
    # One non-zero a channel costs eight explicit zeros in the plane and four in a half of it.
    layer = Layer("halves", "conv", ("x",), (40, 1, 31), 3, 1, 3, padding=(0, 0, 1, 1))
    machine = in_halves().assignments | {"buffers.iaram_bytes": 1950, "weight_fifo.images": 2}
    inputs = np.zeros((5, 40, 1, 31), np.uint8)
    inputs[:, np.arange(40), 0, np.arange(40) * 17 % 31] = 1
    case = Case(machine, layer, Operands(np.ones(layer.weight_shape, np.uint8), inputs, 0.5), Context(memory(1e9)))
    expected, exact = expect_layer(case.config, layer, known(case.operands), case.context), case.run()
    for result in (expected, exact):
        assert (result.details["sub_planes"], result.details["images_at_a_time"]) == (2, 2)
    moved = [[stream for stream in result.streams if stream.kind != "input"] for result in (expected, exact)]
    assert moved[0] == moved[1]


def test_an_image_has_its_share_of_the_rams():
    case = dense(1)  # 12 inputs of 20 bits a PE are 30 bytes, 32 outputs 80
    for iaram, oaram, fit in ((90, 240, (True, True)), (89, 240, (False, True)), (90, 239, (True, False))):
        machine = dense(1, buffers__iaram_bytes=iaram, buffers__oaram_bytes=oaram, weight_fifo__images=3).config
        assert machine.fits(case.layer, 1.0, 1.0) == fit
        assert machine.activation_bytes == 4 * (iaram + oaram) // 3


@pytest.mark.parametrize("seed", range(100, 140))
def test_products_and_traffic_of_activations_stay_and_weights_come_once_a_set(seed):
    case = random_case(seed)
    shared, alone = case.run(), case.run(weight_fifo__images=1)
    sets = -(-case.operands.batch // shared.details["images_at_a_time"])
    for kind in ("input", "output", "psum"):
        assert shared.dram_bytes_of(kind) == alone.dram_bytes_of(kind)
    assert shared.dram_bytes_of("weight") * case.operands.batch == alone.dram_bytes_of("weight") * sets
    assert shared.words_written["weight_fifo"] * case.operands.batch == alone.words_written["weight_fifo"] * sets
    assert (shared.words_read, shared.operations) == (alone.words_read, alone.operations)
    for cause in set(alone.stack) - {"memory", "drain"}:
        assert shared.stack[cause] == alone.stack[cause], cause
    if shared.details["sub_planes"] == 1:
        assert shared.details["compute_cycles"] == alone.details["compute_cycles"]
        assert (shared.cycle_map == alone.cycle_map).all()


@pytest.mark.parametrize("seed", range(200, 230))
def test_a_batch_of_one_shares_nothing(seed):
    case = random_case(seed)
    one = Operands(case.operands.weights, case.operands.inputs[:1], case.operands.output_density)
    alone = run_layer(load(*(f"{k}={v}" for k, v in (case.assignments | {"weight_fifo.images": 1}).items())),
                      case.layer, one, case.context)  # fmt: skip
    shared = run_layer(case.config, case.layer, one, case.context)
    assert shared.details.pop("images_at_a_time") == 1
    assert shared == alone


@pytest.mark.parametrize("seed", range(300, 330))
def test_expected_layers_share_as_exact_ones_do(seed):
    case = random_case(seed)
    assignments = case.assignments | {"compression.index_bits": 16}  # no explicit zeros, which may be dropped or not
    machine = dataclasses.replace(case, assignments=assignments).config
    operands = filled(case.layer, 1, 1, case.operands.batch)
    exact = run_layer(machine, case.layer, operands, case.context)
    expected = expect_layer(machine, case.layer, known(operands), case.context)
    assert (expected.streams, expected.words_written) == (exact.streams, exact.words_written)
    assert expected.details["images_at_a_time"] == exact.details["images_at_a_time"]


@pytest.mark.parametrize("seed", range(400, 410))
def test_sampled_layers_share_as_exact_ones_do(seed):
    case = random_case(seed)
    sampled = case.run(context=dataclasses.replace(case.context, fidelity="sampled"))
    assert dataclasses.replace(sampled, cycles_ci95=None) == case.run()  # too few groups to leave any out


@pytest.mark.parametrize("seed", range(500, 520))
def test_the_real_outputs_of_shared_images_are_checked(seed):
    case = random_case(seed)
    assert case.run(context=dataclasses.replace(case.context, check=True)).dram_bytes_of("weight") == (
        case.run().dram_bytes_of("weight")
    )


def dense(batch, **machine):
    """A layer whose PEs, 2x2, hold 4 inputs of a channel, 16 accumulators for each of 8 outputs and 32 outputs."""
    layer = Layer("by_hand", "conv", ("x",), (3, 4, 4), 8, 3, 3, padding=(1, 1, 1, 1))
    ones = Operands(np.ones(layer.weight_shape, np.uint8), np.ones((batch, *layer.input_shape), np.uint8), 1.0)
    values = {key.replace("__", "."): value for key, value in machine.items()}
    return Case({"pe.rows": 2, "pe.cols": 2, "weight_fifo.images": 9} | values, layer, ones, Context(memory()))


@pytest.mark.parametrize(
    ("machine", "images"),
    [
        ({}, 8),  # 1,024 accumulators for 8 x 4 x 4 of an image
        ({"pe__accumulator_entries": 1152}, 9),
        ({"pe__accumulator_entries": 1151}, 8),
        ({"buffers__iaram_bytes": 150}, 5),  # 12 entries of 20 bits are 30 bytes
        ({"buffers__iaram_bytes": 149}, 4),
        ({"buffers__oaram_bytes": 240}, 3),  # 32 outputs are 80 bytes
        ({"buffers__oaram_bytes": 239}, 2),
        ({"weight_fifo__images": 6}, 6),
    ],
)
def test_accumulators_and_rams_bound_the_images(machine, images):
    result = dense(9, **machine).run()
    assert result.details["images_at_a_time"] == images
    stored = 3 * 8 * 9 * 20 // 8
    assert result.dram_bytes_of("weight") == stored * -(-9 // images)


def test_feature_maps_stay_on_chip_where_those_of_all_images_fit():
    # AlexNet's conv4, 384 x 13 x 13, and conv5's inputs: one image fits, and four; not sixteen.
    def spilled(images):
        run = simulate("scnn", "alexnet_scnn", layers="conv3,conv4,conv5", batch=16, fidelity="statistical",
                       assignments=[f"weight_fifo.images={images}"])  # fmt: skip
        return [run.layers[1].dram_bytes_of(kind) > 0 for kind in ("input", "output")]

    assert [spilled(images) for images in (1, 4, 16)] == [[False, False], [False, False], [True, True]]
