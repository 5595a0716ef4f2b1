"""A run over several placements of the zeros: mean and 95 % confidence interval of what it measures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.result import LayerResult


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
    def of(cls, first_seed: int, runs: Sequence[Sequence[LayerResult]]) -> "SeedRuns":
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

    def speedup_over(self, slower: "SeedRuns", clocks: float) -> Interval | None:
        """Speed-up over another machine on the same zeros, seed by seed; None where a run takes no time.

        clocks : this machine's clock over the other's
        """
        pairs = list(zip(map(sum, slower.cycles), map(sum, self.cycles), strict=True))
        return Interval.of([clocks * slow / fast for slow, fast in pairs]) if all(map(all, pairs)) else None
