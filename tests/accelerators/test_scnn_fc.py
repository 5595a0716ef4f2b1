"""SCNN's fully connected layers against a twin that steps every PE, and which feature maps fit its buffers."""

import functools
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.scnn import Config, run_layer
from archmodel.errors import ConfigError
from archmodel.memory.dram import IdealMemoryConfig
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from tests.reference import scnn_fc

DENSITIES = (0.0, 0.1, 0.4, 1.0)
LAYERS_A_TEST = 10


def load(**values):
    for operand in ("weights", "activations"):
        if values.get(f"compression__sparse_{operand}") == "false":
            values[f"encoding__{operand}"] = "dense"
    assignments = tuple(f"{key.replace('__', '.')}={value}" for key, value in values.items())
    return config.load("accelerators", "scnn", Config, assignments)


def memory(bytes_per_s=50e9, latency_s=100e-9):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


def fc(C, K):
    return Layer("ip", "fc", ("x",), (C, 1, 1), K)


def dense(layer, batch=1):
    return Operands(np.ones(layer.weight_shape, np.uint8), np.ones((batch, layer.C, 1, 1), np.uint8), 1.0)


def random_case(seed):
    draw = random.Random(seed)
    layer, batch = fc(draw.randint(1, 12), draw.randint(1, 40)), draw.randint(1, 5)
    bank_hash = draw.choice(["linear", "prime", "xor", "dnnsim"])
    machine = load(
        pe__rows=draw.randint(1, 3),
        pe__cols=draw.randint(1, 3),
        pe__F=draw.choice([1, 3, 4, 4, 5]),
        pe__I=draw.choice([1, 2, 4, 4]),
        pe__accumulator_banks=draw.choice([32, 32, 4, 1]) if bank_hash != "dnnsim" else 32,
        pe__accumulator_entries=draw.choice([3, 10, 25, 1024]),
        pe__bank_hash=bank_hash,
        pe__queue_depth=draw.choice([0, 1, 8]),
        compression__index_bits=draw.choice([1, 2, 4]),
        compression__sparse_weights=draw.choice(["true", "true", "false"]),
        compression__sparse_activations=draw.choice(["true", "true", "false"]),
        compression__data_bits=draw.choice([7, 16]),
        ppu__output_words_per_cycle=draw.choice([0, 1, 3, 4]),
        ppu__overlap=draw.choice(["true", "false"]),
    )
    rng = np.random.default_rng(seed)
    weights = (rng.random(layer.weight_shape) < draw.choice(DENSITIES)).astype(np.uint8)
    inputs = (rng.random((batch, layer.C, 1, 1)) < draw.choice(DENSITIES)).astype(np.uint8)
    operands = Operands(weights, inputs, draw.choice([0.0, 0.25, 1.0]))
    bandwidth, latency = draw.choice([1e9, 50e9, 1e15]), draw.choice([0.0, 100e-9])
    on_chip = draw.random() < 0.5, draw.random() < 0.5
    return machine, layer, operands, Context(memory(bandwidth, latency), *on_chip, check=True)


@functools.cache
def result_of(seed):
    return run_layer(*random_case(seed))


def account(result):
    return {
        "cycles": result.cycles,
        "stack": dict(result.stack),
        "issued": result.macs_issued,
        "read": dict(result.words_read),
        "written": dict(result.words_written),
        "operations": dict(result.operations),
        "streams": [(stream.kind, stream.direction, stream.num_bytes, stream.tile) for stream in result.streams],
    }


@pytest.mark.parametrize("block", range(20))
def test_an_fc_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        assert account(result_of(seed)) == scnn_fc.run(*random_case(seed)), seed


def test_the_random_layers_reach_what_they_should():
    results = [result_of(seed) for seed in range(20 * LAYERS_A_TEST)]
    for cause in ("stored_zero", "fragmentation", "bank_conflict", "imbalance", "drain", "memory"):
        assert len([result for result in results if result.stack[cause]]) >= 10, cause
    cases = [random_case(seed) for seed in range(20 * LAYERS_A_TEST)]
    rounds = [scnn_fc.shares(machine, layer.K, operands.batch) for machine, layer, operands, _ in cases]
    assert len([found for found in rounds if len({images[0] for _, images in found}) > 1]) >= 20
    assert len([found for found in rounds if len({images[0] for _, images in found}) < len(found)]) >= 20


def test_one_image_uses_a_quarter_of_the_multipliers():
    # 64 PEs with 4 neurons each: a channel is one activation and one full weight vector, 4 of 16 products.
    layer = fc(100, 256)
    result = run_layer(load(), layer, dense(layer), Context(memory(1e15, 0.0), True, True))
    assert result.cycles == 100 + 1  # and the 4 outputs of a PE leave in a cycle
    assert result.stack["busy"] == 100 * 256
    assert result.stack["fragmentation"] == 3 * result.stack["busy"]
    assert result.multiplier_utilization == pytest.approx(0.25, rel=0.02)


def test_four_images_share_the_weights():
    layer = fc(100, 256)
    context = Context(memory(1e15, 0.0))
    one, four = (run_layer(load(), layer, dense(layer, batch), context) for batch in (1, 4))
    assert four.dram_bytes_of("weight") == one.dram_bytes_of("weight") == 100 * 256 * 20 // 8
    # 16 accumulators a PE are 16 consecutive banks: a full vector pair sends one product to each. 16 outputs at 4.
    assert (one.details["compute_cycles"], four.details["compute_cycles"]) == (101, 104)


def test_inputs_and_outputs_of_an_fc_layer_are_dealt_to_the_pes():
    machine = load(pe__rows=2, pe__cols=3, buffers__iaram_bytes=100, buffers__oaram_bytes=100)
    fits = 6 * 40  # 100 bytes a PE hold 40 entries of 20 bits
    assert machine.fits(fc(fits, fits), 1.0, 1.0) == (True, True)
    assert machine.fits(fc(fits + 1, fits), 1.0, 1.0) == (False, True)
    assert machine.fits(fc(fits, fits + 1), 1.0, 1.0) == (True, False)
    assert machine.fits(fc(2 * fits, 2 * fits), 0.5, 0.5) == (True, True)


def test_the_largest_tile_of_a_convolution_decides():
    machine = load()
    # 9x9 on 8x8 PEs: a tile of 2x2, 4,096 entries for 1,024 channels.
    inputs = Layer("c", "conv", ("x",), (1024, 9, 9), 8)
    assert machine.fits(inputs, 1.0, 1.0) == (True, True)
    more = Layer("c", "conv", ("x",), (1025, 9, 9), 8)
    assert machine.fits(more, 1.0, 1.0) == (False, True)
    assert machine.fits(more, 0.99, 1.0) == (True, True)
    outputs = Layer("c", "conv", ("x",), (8, 9, 9), 1025)
    assert machine.fits(outputs, 1.0, 1.0) == (True, False)


def test_tiles_of_the_padded_plane_keep_fewer_channels():
    # 8x8 with a border of one on 8x8 PEs: a tile of 1x1, or of 2x2 where the border is tiled too; 4,096 entries
    layer = Layer("c", "conv", ("x",), (1025, 8, 8), 1024, 3, 3, padding=(1, 1, 1, 1))
    assert load().fits(layer, 1.0, 1.0) == (True, True)
    assert load(tile_plane="padded").fits(layer, 1.0, 1.0) == (False, True)


def test_iarams_and_oarams_of_all_pes_keep_feature_maps():
    machine = load(pe__rows=2, pe__cols=3, buffers__iaram_bytes=100, buffers__oaram_bytes=1000)
    assert machine.activation_bytes == 6 * 1100
    assert machine.stored_bytes(10, 0.5) == 13  # 5 entries of 20 bits are 100 bits
    assert machine.num_multipliers == 6 * 16


def test_queued_products_fit_a_byte():
    assert load(pe__queue_depth=200, pe__F=5, pe__I=11).pe.queue_depth == 200  # 200 + 55 = 255
    with pytest.raises(ConfigError) as error:
        load(pe__queue_depth=200, pe__F=7, pe__I=8)
    assert "queue_depth = 200: must be at most 255 - F * I" in str(error.value)
