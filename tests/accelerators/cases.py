"""What tests of machines share: memories, operands at a density, a result in the form of the twins."""

import dataclasses

import numpy as np

from archmodel.accelerators.context import Context
from archmodel.memory.dram import IdealMemoryConfig
from archmodel.operands.operands import Operands


def memory(bytes_per_s=50e9, latency_s=100e-9):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


FREE = Context(memory(1e15, 0.0), input_on_chip=True, output_on_chip=True)  # nothing waits for DRAM


def at_densities(layer, weights=1.0, inputs=1.0, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    return Operands(
        (rng.random(layer.weight_shape) < weights).astype(np.uint8),
        (rng.random((batch, *layer.input_shape)) < inputs).astype(np.uint8),
        output_density=0.5,
    )


def account(result):
    """Cycles, counts and streams; causes that took no slot are left out."""
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
