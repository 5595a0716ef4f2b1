"""What a machine reports for a layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.columns import CAUSES
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands


@dataclass(frozen=True)
class LayerResult:
    """Integer counts of one layer over all images of the batch."""

    name: str
    kind: str
    num_multipliers: int
    cycles: int
    stack: Mapping[str, int]  # multiplier-slots by cause; they sum to cycles * num_multipliers
    macs_dense: int
    macs_effectual: int
    macs_issued: int
    weight_density: float
    input_density: float
    output_density: float
    words_read: Mapping[str, int]  # by component of the machine
    words_written: Mapping[str, int]
    operations: Mapping[str, int]  # arithmetic and transfers by component; what is gated is not counted
    streams: tuple[Stream, ...] = ()
    memory_stack: Mapping[str, int] = field(default_factory=dict)  # slots of `memory` by reason, where it knows them
    cycle_map: npt.NDArray[np.int64] | None = None  # [units, PEs] cycles of work
    details: Mapping[str, int | float | str] = field(default_factory=dict)  # what the machine chose: Kc, tiles
    origins: Mapping[str, str] = field(default_factory=dict)
    checked: bool = False  # outputs through the modelled dataflow equal a reference
    cycles_ci95: tuple[int, int] | None = None  # of a sampled layer: 95 % confidence interval of its cycles
    energy_pj: Mapping[str, float] = field(default_factory=dict)  # by component, then leakage and dram

    def __post_init__(self) -> None:
        unknown = set(self.stack) - set(CAUSES)
        if unknown:
            raise ValueError(f"{self.name}: unknown causes {sorted(unknown)}; allowed: {', '.join(CAUSES)}")
        if sum(self.stack.values()) != self.slots or min(self.stack.values()) < 0:
            raise ValueError(f"{self.name}: the stack {dict(self.stack)} does not sum to {self.slots} slots")
        if self.memory_stack and sum(self.memory_stack.values()) != self.stack.get("memory", 0):
            raise ValueError(f"{self.name}: {dict(self.memory_stack)} does not sum to the slots of memory")
        low, high = self.cycles_ci95 or (self.cycles, self.cycles)
        if not low <= self.cycles <= high:
            raise ValueError(f"{self.name}: {self.cycles} cycles are not within their interval {low} to {high}")

    @classmethod
    def of(cls, layer: Layer, operands: Operands | Densities, checked: bool, **counts: Any) -> "LayerResult":
        """A machine's `counts` of a layer, with what follows from the layer and its operands."""
        return cls(
            name=layer.name,
            kind=layer.kind,
            macs_dense=layer.macs * operands.batch,
            weight_density=operands.weight_density,
            input_density=operands.input_density,
            output_density=operands.output_density,
            origins=operands.origins,
            checked=checked,
            **counts,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LayerResult):
            return NotImplemented
        mine, others = vars(self).copy(), vars(other).copy()
        mine_map, other_map = mine.pop("cycle_map"), others.pop("cycle_map")
        if mine_map is None or other_map is None:
            return mine == others and mine_map is other_map
        return mine == others and np.array_equal(mine_map, other_map)

    @property
    def slots(self) -> int:
        """Multiplier-slots: cycles times multipliers."""
        return self.cycles * self.num_multipliers

    @property
    def multiplier_utilization(self) -> float:
        """Effectual MACs per multiplier-slot."""
        return self.macs_effectual / self.slots if self.slots else 0.0

    @property
    def stall_cycles(self) -> dict[str, float]:
        """Cycles by cause: slots / multipliers; they sum to the cycles."""
        return {cause: slots / self.num_multipliers for cause, slots in self.stack.items()}

    @property
    def memory_stall_cycles(self) -> dict[str, float]:
        """Those of `memory` by reason."""
        return {reason: slots / self.num_multipliers for reason, slots in self.memory_stack.items()}

    @property
    def dram_bytes(self) -> int:
        """Bytes moved to and from DRAM."""
        return sum(stream.num_bytes for stream in self.streams)

    def dram_bytes_of(self, kind: str) -> int:
        """Bytes of one kind of stream."""
        return sum(stream.num_bytes for stream in self.streams if stream.kind == kind)
