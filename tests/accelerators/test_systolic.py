"""Systolic arrays against a twin that moves every word from register to register, and what must hold of them."""

import dataclasses
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators.check import reference_outputs
from archmodel.accelerators.context import Context
from archmodel.accelerators.systolic import Config, run_layer
from archmodel.memory.dram import IdealMemoryConfig
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from tests.reference import systolic_array as twin

LAYERS_A_TEST = 15
BLOCKS = 16
DENSITIES = (0.0, 0.3, 0.7, 1.0)
DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")


def machine(*assignments, arch="systolic_16x16_ws"):
    return config.load("accelerators", arch, Config, assignments)


def memory(bytes_per_s=1e15, latency_s=0.0):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


FREE = Context(memory(), input_on_chip=True, output_on_chip=True)


def small(rows, cols, dataflow, shadow=True, *others):
    return machine(
        f"array.rows={rows}",
        f"array.cols={cols}",
        f"array.dataflow={dataflow}",
        f"array.double_buffered={str(shadow).lower()}",
        *others,
    )


def operands_of(layer, weights=1.0, inputs=1.0, batch=1, seed=0):
    """Values with zeros at random."""
    rng = np.random.default_rng(seed)
    masks = [
        (rng.random(shape) < density).astype(np.uint8)
        for shape, density in ((layer.weight_shape, weights), ((batch, *layer.input_shape), inputs))
    ]
    values = [mask * rng.integers(1, 100, mask.shape) * rng.choice([-1, 1], mask.shape) for mask in masks]
    return Operands(*masks, 0.5, *(value.astype(np.int32) for value in values))


def fc(C, K):
    return Layer("ip", "fc", ("x",), (C, 1, 1), K)


def random_layer(draw):
    if draw.random() < 0.3:
        return fc(draw.randint(1, 14), draw.randint(1, 12))
    groups = draw.choice([1, 1, 1, 2, 3])
    stride = draw.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    R, S = draw.choice([(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
    height, width = (dilation[i] * (kernel - 1) + draw.randint(1, 3) for i, kernel in enumerate((R, S)))
    shape = (groups * draw.randint(1, 2), height, width)
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 4), R, S, stride, padding, dilation, groups)


def random_case(seed):
    """A small layer with its values, a small array, and what is around it."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = operands_of(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    chosen = small(
        draw.randint(1, 4),
        draw.randint(1, 4),
        draw.choice(DATAFLOWS),
        draw.random() < 0.6,
        f"word_bits={draw.choice([5, 8, 16])}",
        f"weights.buffer_bytes={draw.choice([4, 16, 40, 2**20])}",
        f"weights.memory_bytes_per_s={draw.choice(['memory', '0.3e9', '2e9'])}",
        f"weights.kept={draw.choice(['true', 'false'])}",
        f"weights.whole_tiles={draw.choice(['true', 'false'])}",
        f"activations.buffer_bytes={draw.choice([64, 2**20])}",
        f"activations.host_bytes_per_s={draw.choice(['memory', '0.5e9'])}",
        f"accumulators.rows={draw.choice([2, 5, 12, 4096])}",
        f"accumulators.double_buffered={draw.choice(['true', 'false'])}",
    )
    context = Context(
        memory(draw.choice([0.2e9, 1.5e9, 50e9, 1e15]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.4,
        output_on_chip=draw.random() < 0.4,
    )
    return chosen, layer, operands, context


def account(result):
    return {
        "cycles": result.cycles,
        "stack": {cause: slots for cause, slots in result.stack.items() if slots},
        "effectual": result.macs_effectual,
        "issued": result.macs_issued,
        "read": dict(result.words_read),
        "written": dict(result.words_written),
        "operations": dict(result.operations),
        "streams": [dataclasses.astuple(stream) for stream in result.streams],
    }


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        chosen, layer, operands, context = random_case(seed)
        result = account(run_layer(chosen, layer, operands, dataclasses.replace(context, check=True)))
        outputs, expected = twin.run_layer(chosen, layer, operands.weight_values, operands.input_values, context)
        for quantity, value in expected.items():
            assert result[quantity] == value, (seed, quantity)
        assert outputs == true_outputs(layer, operands), seed


def true_outputs(layer, operands):
    """Outputs by (group, position, kernel of the group)."""
    kernels, plane = layer.K // layer.groups, layer.P * layer.Q
    outputs = {}
    for n, image in enumerate(operands.input_values):
        for (k, p, q), value in np.ndenumerate(reference_outputs(layer, operands.weight_values, image)):
            outputs[k // kernels, n * plane + p * layer.Q + q, k % kernels] = int(value)
    return outputs
