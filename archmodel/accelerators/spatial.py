"""A spatial array of processing elements (PEs) as the MC-DLA study has its devices: rooflines of whole passes.

The study's simulator is not public. What follows is a model of ours with its parameters: docs/systems.md has the rules.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from archmodel.accelerators.conv_algorithms import Pass
from archmodel.accelerators.gpu_config import PerSecond
from archmodel.config import FrozenModel
from archmodel.network.layer import Layer

Count = Annotated[int, Field(ge=1, le=2**40)]


class SpatialConfig(FrozenModel):
    """A device of equal PEs, each with multipliers that add up one dot product, and an SRAM."""

    model: Literal["spatial"]
    name: str
    num_pes: Count
    macs_per_pe: Count  # terms of a dot product that a PE takes in a cycle
    clock_hz: PerSecond
    sram_bytes_per_pe: Count
    dram_bytes_per_s: PerSecond
    dram_latency_cycles: Annotated[int, Field(ge=0, le=10**6)]
    memory_bytes: Annotated[int, Field(ge=1, le=2**62)]

    @property
    def latency_s(self) -> float:
        """From the first request of a pass to its first word."""
        return self.dram_latency_cycles / self.clock_hz


@dataclass(frozen=True)
class SpatialTime:
    """One pass: seconds in all, and those for which the memory is busy."""

    seconds: float
    dram_s: float


def spatial_cycles(config: SpatialConfig, layer: Layer, which: Pass, N: int) -> int:
    """Cycles of a pass of a layer that multiplies over N images.

    A PE makes one output at a time, `macs_per_pe` terms of it in a cycle: what does not fill the PEs in the last round,
    or the multipliers in the last cycle of an output, is lost.
    """
    outputs = {
        "forward": N * layer.weight_shape[0] * layer.P * layer.Q,
        "data_gradient": N * math.prod(layer.multiplied_shape),
        "weight_gradient": (N if layer.kind == "matmul" else 1) * layer.weight_words,
    }[which]
    terms = -(-N * layer.macs // outputs)
    return -(-outputs // config.num_pes) * -(-terms // config.macs_per_pe)


def spatial_bytes(config: SpatialConfig, layer: Layer, which: Pass, N: int, word_bytes: int) -> int:
    """Bytes to and from the memory: the smallest of the three tensors of a pass stays on chip.

    It does in pieces of half the SRAM, the other half being filled meanwhile. Results are written once and operands
    are read once, but one of them for every piece: the other operand, or the smaller one where results stay.
    """
    x, y = N * math.prod(layer.multiplied_shape), N * layer.weight_shape[0] * layer.P * layer.Q
    w = (N if layer.kind == "matmul" else 1) * layer.weight_words
    first, second, result = (
        word_bytes * words
        for words in {"forward": (x, w, y), "data_gradient": (y, w, x), "weight_gradient": (x, y, w)}[which]
    )
    kept = min(first, second, result)
    pieces = -(-2 * kept // (config.num_pes * config.sram_bytes_per_pe))
    again = min(first, second) if kept == result else max(first, second)
    return first + second + result + (pieces - 1) * again


def spatial_time(config: SpatialConfig, cycles: int, num_bytes: int) -> SpatialTime:
    """A pass behind the memory's latency: whichever of arithmetic and transfers takes longer hides the other."""
    dram_s = num_bytes / config.dram_bytes_per_s
    return SpatialTime(config.latency_s + max(cycles / config.clock_hz, dram_s), dram_s)
