"""A run over several placements of the zeros: mean and 95 % confidence interval of what it measures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from archmodel.accelerators.result import LayerResult, RunResult


class Interval(NamedTuple):
    """A mean and the 95 % confidence interval of the expectation behind it (Student's t)."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Interval":
        """Interval of the expectation of independent values; the whole line for a single one."""
        sample = np.asarray(values, np.float64)
        mean = float(sample.mean())
        if sample.size < 2:
            return cls(mean, -math.inf, math.inf)
        half_width = student_t(sample.size - 1) * float(sample.std(ddof=1)) / math.sqrt(sample.size)
        return cls(mean, mean - half_width, mean + half_width)

    @property
    def relative_half_width(self) -> float:
        """Half the interval over the mean."""
        return (self.high - self.mean) / self.mean if self.mean else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The interval as plain data."""
        return {"mean": self.mean, "ci95": [self.low, self.high]}


def student_t(degrees_of_freedom: float) -> float:
    """What a variable of Student's t distribution exceeds, in absolute value, with 5 % probability."""
    from scipy.special import stdtrit  # 285 ms that other runs do not need

    return float(stdtrit(degrees_of_freedom, 0.975))


@dataclass(frozen=True)
class SeedRuns:
    """Layers of a run under each of its seeds, the first of which is the run's own."""

    seeds: tuple[int, ...]
    cycles: tuple[tuple[int, ...], ...]  # [seeds][layers]
    energy_pj: tuple[tuple[float, ...], ...]  # [seeds][layers]; no layers where the energy is not known

    @classmethod
    def of(cls, first_seed: int, runs: Sequence[Sequence["LayerResult"]]) -> "SeedRuns":
        """What is kept of the layers of every seed."""
        known = all(layer.energy_pj for layers in runs for layer in layers)
        return cls(
            tuple(range(first_seed, first_seed + len(runs))),
            tuple(tuple(layer.cycles for layer in layers) for layers in runs),
            tuple(tuple(sum(layer.energy_pj.values()) for layer in layers) if known else () for layers in runs),
        )

    @property
    def total_cycles(self) -> Interval:
        """All layers."""
        return Interval.of([sum(layers) for layers in self.cycles])

    @property
    def total_energy_pj(self) -> Interval | None:
        """All layers; None where the energy is not known."""
        return Interval.of([sum(layers) for layers in self.energy_pj]) if any(self.energy_pj) else None

    def layer_cycles(self, index: int) -> Interval:
        """One layer."""
        return Interval.of([layers[index] for layers in self.cycles])


def speedup_over_seeds(run: "RunResult") -> Interval | None:
    """Speed-up over the baseline on the same zeros, seed by seed; None where a run takes no time."""
    if run.seeds is None or run.baseline is None or run.baseline.seeds is None:
        return None
    clocks = run.clock_hz / run.baseline.clock_hz
    pairs = list(zip(map(sum, run.baseline.seeds.cycles), map(sum, run.seeds.cycles), strict=True))
    return Interval.of([clocks * slower / faster for slower, faster in pairs]) if all(map(all, pairs)) else None


def as_dict(run: "RunResult") -> dict[str, Any] | None:
    """What a run measured over its seeds, as plain data; None for a run of one placement."""
    if run.seeds is None:
        return None
    energy, speedup = run.seeds.total_energy_pj, speedup_over_seeds(run)
    return {
        "seeds": list(run.seeds.seeds),
        "cycles": run.seeds.total_cycles.as_dict(),
        "energy_pj": None if energy is None else energy.as_dict(),
        "speedup": None if speedup is None else speedup.as_dict(),
        "layers": {layer.name: run.seeds.layer_cycles(index).as_dict() for index, layer in enumerate(run.layers)},
    }
