"""A layer from a random sample of its units: which to walk, what the others take, how sure that is.

A unit is a part of a layer that runs on its own, so that the layer's cycles are a sum over units. A machine says what
work it expects of every unit and walks those that are asked for. The cycles of the others are estimated by the ratio
of measured cycles to expected work (Cochran, Sampling Techniques, 3rd ed. 1977, ch. 6); simple random sampling, for the
expected work already holds what strata would separate.

The interval takes its variance from a pilot sample alone, also after the sample was enlarged to reach the wanted width
(Stein's two-stage procedure, Annals of Mathematical Statistics 16, 1945): the width then does not choose its own luck.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Walk = Callable[[Int64], Int64]
"""Walks units [n], ascending, and returns what it measured of them, int64[n, Q], cycles in the first column."""

PILOT_UNITS = 7  # choice: a ninth of the 64 groups of SCNN's large layers; intervals of fewer are wide and less sure
STUDENT_T = 2.446912  # 97.5 % quantile of Student's t with PILOT_UNITS - 1 degrees of freedom
MOST_SAMPLED = 1 / 3  # choice: where it takes a larger share of the units, all are walked
SHORTEST = 100  # choice: cycles of a unit below which whole cycles hide the scatter; all are walked, at little cost
WIDEST = 0.02  # half-width of the 95 % interval over the layer's cycles that is promised
AIM = 0.018  # half-width for which a sample is enlarged: the estimate still moves when units are added


@dataclass(frozen=True)
class Expectation:
    """What a machine knows of the units of a layer before it walks them.

    work : float64[U]   work of each unit, up to a factor common to all: cycles in proportion to it are the best guess
    least : int64[U]    cycles that the account of a unit needs; estimates are raised to it, so that it must be far
                        enough below them to leave them without bias
    certain : bool[U]   units unlike the others, which are walked in any case

    The work should leave residuals of the kind that a few units show. An expectation that is right but for rare
    incidents makes most samples look free of error, and an interval from them means nothing.
    """

    work: npt.NDArray[np.float64]
    least: Int64
    certain: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, work: npt.ArrayLike) -> "Expectation":
        """An expectation of the work alone."""
        expected = np.asarray(work, np.float64)
        return cls(expected, np.zeros(expected.size, np.int64), np.zeros(expected.size, np.bool_))


@dataclass(frozen=True)
class Walked:
    """Cycles of all units of a layer.

    units : int64[n]       those that were walked, ascending
    measured : int64[n, Q] what `walk` measured of them
    cycles : int64[U]      measured or estimated; `low` and `high` are the same at the ends of the 95 % interval
    """

    units: Int64
    measured: Int64
    cycles: Int64
    low: Int64
    high: Int64

    @property
    def rest(self) -> Int64:
        """Units that were not walked, ascending."""
        others = np.ones(self.cycles.size, np.bool_)
        others[self.units] = False
        return np.flatnonzero(others)


def walk_all(num_units: int, walk: Walk) -> Walked:
    """Every unit walked: nothing is estimated."""
    units = np.arange(num_units)
    measured = walk(units)
    cycles = measured[:, 0]
    return Walked(units, measured, cycles, cycles, cycles)


def walk_sample(expectation: Expectation, walk: Walk, rng: np.random.Generator) -> Walked:
    """As few units, chosen at random, as show the layer's cycles to within `WIDEST`; all where that is no saving."""
    num_units = expectation.work.size
    order = rng.permutation(np.flatnonzero(~expectation.certain))
    if order.size * MOST_SAMPLED < PILOT_UNITS:
        return walk_all(num_units, walk)
    sample = _Sample(expectation, walk)
    sample.add(np.flatnonzero(expectation.certain))
    pilot = order[:PILOT_UNITS]
    sample.add(pilot)
    error = sample.residual_error(pilot)
    enough = units_for(AIM * sample.estimate(), error, order.size)
    if enough <= order.size * MOST_SAMPLED and sample.mean_cycles >= SHORTEST:
        sample.add(order[PILOT_UNITS:enough])
        half_width = error * spread(max(enough, PILOT_UNITS), order.size)
        if half_width <= WIDEST * sample.estimate():
            return sample.impute(half_width)
    sample.add(np.setdiff1d(order, sample.units))
    return sample.impute(0.0)


def spread(sampled: int, population: int) -> float:
    """Standard error of an estimated total over the standard deviation of a unit, without replacement."""
    return population * float(np.sqrt(1 / sampled - 1 / population))


def units_for(half_width: float, error: float, population: int) -> int:
    """Units to sample for a half-width in cycles; `error` as of `residual_error`."""
    if error == 0.0:
        return 0
    if not half_width > 0.0 or not np.isfinite(error):
        return population
    return int(np.ceil(1 / ((half_width / (error * population)) ** 2 + 1 / population)))


def split(total: int, weights: npt.ArrayLike) -> Int64:
    """A count shared out in proportion to weights, in whole numbers that sum to it; nothing where all weigh nothing."""
    cumulated = np.cumsum(weights, dtype=np.float64)
    if not cumulated.size or not cumulated[-1]:
        return np.zeros(cumulated.size, np.int64)
    ends = np.floor(cumulated * (total / cumulated[-1]) + 0.5).astype(np.int64)
    return np.diff(ends, prepend=0)


class _Sample:
    """The units walked so far."""

    def __init__(self, expectation: Expectation, walk: Walk) -> None:
        self._expectation, self._walk = expectation, walk
        self.units = np.zeros(0, np.int64)
        self._measured: list[Int64] = []

    def add(self, units: Int64) -> None:
        """Walk some more."""
        if units.size:
            self.units = np.concatenate([self.units, np.sort(units)])
            self._measured.append(self._walk(np.sort(units)))

    @property
    def _cycles(self) -> Int64:
        return np.concatenate([measured[:, 0] for measured in self._measured])

    @property
    def mean_cycles(self) -> float:
        """Cycles of a walked unit."""
        return float(self._cycles.mean())

    def _ratio(self) -> float:
        """Cycles per expected work of the units drawn at random."""
        drawn = ~self._expectation.certain[self.units]
        work = self._expectation.work[self.units][drawn].sum()
        return float(self._cycles[drawn].sum() / work) if work else np.inf

    def residual_error(self, pilot: Int64) -> float:
        """Student's t times the standard deviation of the pilot's cycles about the ratio, for the mean work."""
        work, drawn = self._expectation.work, np.isin(self.units, pilot)
        if not work[pilot].sum():
            return float("inf")
        residuals = self._cycles[drawn] - self._ratio() * work[self.units][drawn]
        mean_work = work[~self._expectation.certain].mean()
        return float(STUDENT_T * residuals.std(ddof=1) * mean_work / work[pilot].mean())

    def _rest(self) -> npt.NDArray[np.bool_]:
        rest = np.ones(self._expectation.work.size, np.bool_)
        rest[self.units] = False
        return rest

    def estimate(self) -> float:
        """Cycles of the layer."""
        work = self._expectation.work[self._rest()].sum()
        return float(self._cycles.sum()) + (self._ratio() * work if work else 0.0)

    def impute(self, half_width: float) -> Walked:
        """Cycles of all units; estimates are raised to what the units take at least."""
        rest, order = self._rest(), np.argsort(self.units)
        work, least = self._expectation.work[rest], self._expectation.least[rest]
        estimate = self._ratio() * work.sum() if work.sum() else 0.0

        def of_total(total: int) -> Int64:
            cycles = np.zeros(rest.size, np.int64)
            cycles[self.units] = self._cycles
            cycles[rest] = least + split(max(0, total - int(least.sum())), work)
            return cycles

        cycles = of_total(round(estimate))
        low, high = of_total(int(np.floor(estimate - half_width))), of_total(int(np.ceil(estimate + half_width)))
        # Each unit is within its ends, which whole shares may miss by one: what follows from the units then is, too.
        low, high = np.minimum(low, cycles), np.maximum(high, cycles)
        return Walked(self.units[order], np.concatenate(self._measured)[order], cycles, low, high)
