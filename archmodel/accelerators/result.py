"""What a machine reports for a layer and for a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators import summary
from archmodel.accelerators.seeds import SeedRuns
from archmodel.accelerators.summary import CAUSES
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
    def dram_bytes(self) -> int:
        """Bytes moved to and from DRAM."""
        return sum(stream.num_bytes for stream in self.streams)

    def dram_bytes_of(self, kind: str) -> int:
        """Bytes of one kind of stream."""
        return sum(stream.num_bytes for stream in self.streams if stream.kind == kind)


@dataclass(frozen=True)
class RunResult:
    """One network on one machine."""

    arch: str
    net: str
    fidelity: str
    seed: int
    batch: int
    clock_hz: float
    config: Mapping[str, Any]  # the resolved machine, memory and technology, as in their TOML files
    layers: tuple[LayerResult, ...]
    skipped: tuple[str, ...] = ()  # layers without MACs, not selected, or unsupported
    unsupported: tuple[str, ...] = ()  # of these, the layers that a machine of the run does not run
    baseline: "RunResult | None" = None
    area_mm2: Mapping[str, float] = field(default_factory=dict)  # by component of the machine, then filler
    seeds: SeedRuns | None = None  # where several placements of the zeros were run
    provenance: Mapping[str, str] = field(default_factory=dict)  # versions
    wall_s: float = 0.0

    @property
    def cycles(self) -> int:
        """Cycles of all layers, one after the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def cycles_ci95(self) -> tuple[int, int] | None:
        """95 % confidence interval of a sampled run's cycles; layers are sampled independently of one another."""
        return summary.cycles_ci95(self.layers)

    @property
    def time_s(self) -> float:
        """Seconds at the machine's clock."""
        return self.cycles / self.clock_hz

    @property
    def stack(self) -> dict[str, int]:
        """Multiplier-slots by cause over all layers, in the order of CAUSES."""
        sums = {cause: sum(layer.stack.get(cause, 0) for layer in self.layers) for cause in CAUSES}
        return {cause: slots for cause, slots in sums.items() if any(cause in layer.stack for layer in self.layers)}

    @property
    def energy_pj(self) -> dict[str, float]:
        """Energy by component over all layers, then leakage and dram; empty where that of a layer is not known."""
        parts: dict[str, float] = summary.energy(self.layers)["energy_by_component_pj"]
        return parts

    @property
    def speedup(self) -> float | None:
        """Baseline cycles over cycles, at each machine's clock; None if a run takes no time."""
        return None if self.baseline is None else summary.speedup(self.baseline.time_s, self.time_s)

    def total(self, quantity: str) -> int:
        """Sum of an integer quantity of the layers, for instance macs_effectual or dram_bytes."""
        return sum(getattr(layer, quantity) for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """The object of `sim --json`."""
        return summary.as_dict(self)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame with one row for each layer; ResultError without pandas."""
        return summary.to_dataframe(self)
