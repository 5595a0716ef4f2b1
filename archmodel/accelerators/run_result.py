"""What a run reports: the layers of a network on one machine, and their sums."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any

from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.seeds import Interval, SeedRuns
from archmodel.accelerators.summary import as_dict, cycles_ci95, energy, speedup, totals
from archmodel.errors import ResultError
from archmodel.interconnect.batches import HostTransfers


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
    unsupported: tuple[str, ...] = ()  # of these, what a machine does not run, and `node (operator)` that was not read
    baseline: "RunResult | None" = None
    area_mm2: Mapping[str, float] = field(default_factory=dict)  # by component of the machine, then filler
    seeds: SeedRuns | None = None  # where several placements of the zeros were run
    host_transfers: HostTransfers | None = None  # where there is a link to a host
    provenance: Mapping[str, str] = field(default_factory=dict)  # versions
    wall_s: float = 0.0
    words: str = field(default="", compare=False)  # how the network's differ from the machine's; not in a file

    @property
    def machine(self) -> str:
        """The machine's name, and the precision that was asked for."""
        return " ".join([self.arch, *([self.config["precision"]] if "precision" in self.config else [])])

    @property
    def cycles(self) -> int:
        """Cycles of all layers, one after the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def cycles_ci95(self) -> tuple[int, int] | None:
        """95 % confidence interval of a sampled run's cycles; layers are sampled independently of one another."""
        return cycles_ci95(self.layers)

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
        parts: dict[str, float] = energy(self.layers)["energy_by_component_pj"]
        return parts

    @property
    def speedup(self) -> float | None:
        """Baseline cycles over cycles, at each machine's clock; None if a run takes no time."""
        return None if self.baseline is None else speedup(self.baseline.time_s, self.time_s)

    @property
    def speedup_over_seeds(self) -> Interval | None:
        """Speed-up on the same zeros, seed by seed; None without a baseline, or for one placement of the zeros."""
        if self.seeds is None or self.baseline is None or self.baseline.seeds is None:
            return None
        return self.seeds.speedup_over(self.baseline.seeds, self.clock_hz / self.baseline.clock_hz)

    def total(self, quantity: str) -> int:
        """Sum of an integer quantity of the layers, for instance macs_effectual or dram_bytes."""
        return sum(getattr(layer, quantity) for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """The object of `sim --json`, of plain dictionaries and lists, the same for the same inputs."""
        moved = self.host_transfers
        return {
            **{name: getattr(self, name) for name in ("arch", "net", "fidelity", "seed", "batch", "clock_hz")},
            "config": dict(self.config),
            "provenance": dict(self.provenance),
            "skipped": list(self.skipped),
            "unsupported": list(self.unsupported),
            "words": self.words,
            "area_mm2": sum(self.area_mm2.values()) if self.area_mm2 else None,
            "area_by_component_mm2": dict(self.area_mm2),
            "totals": totals(self.layers, self.clock_hz) | ({} if moved is None else moved.totals),
            **({} if moved is None else {"host_transfers": moved.as_dict()}),
            "layers": [as_dict(layer, self.clock_hz) for layer in self.layers],
            "baseline": None if self.baseline is None else self.baseline.as_dict(),
            "speedup": self.speedup,
            "seeds": self._over_seeds(),
        }

    def _over_seeds(self) -> dict[str, Any] | None:
        """What was measured over the seeds, as plain data; None for one placement of the zeros."""
        if self.seeds is None:
            return None
        energy, gain = self.seeds.total_energy_pj, self.speedup_over_seeds
        return {
            "seeds": list(self.seeds.seeds),
            "cycles": self.seeds.total_cycles.as_dict(),
            "energy_pj": None if energy is None else energy.as_dict(),
            "speedup": None if gain is None else gain.as_dict(),
            "layers": {layer.name: self.seeds.layer_cycles(at).as_dict() for at, layer in enumerate(self.layers)},
        }

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame: one row for each layer, units in the names of the columns; `attrs` has run and totals.

        ResultError without pandas.
        """
        document = self.as_dict()
        document.pop("baseline")
        for layer in document["layers"]:
            layer["stall_cycles"] = layer.pop("stalls")
        return frame_of(document)


def frame_of(document: Mapping[str, Any]) -> Any:
    """A pandas.DataFrame with a row for each of the `layers` of an object of `--json`; `attrs` has the rest of it."""
    try:
        pandas = import_module("pandas")
    except ModuleNotFoundError:
        raise ResultError("to_dataframe: needs pandas: pip install 'archmodel[plot]'") from None
    frame = pandas.json_normalize(document["layers"], sep="_")
    frame.attrs = {key: value for key, value in document.items() if key != "layers"}
    return frame


def versions() -> dict[str, str]:
    """What produced a result."""
    packages = {name: version(name) for name in ("archmodel", "numpy", "numba")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine()}
