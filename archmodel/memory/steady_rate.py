"""The rate at which a memory of banks serves one mix of streams that goes on for long, from the first part of it."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from archmodel.memory.bank_session import Session, offered, start_cycle
from archmodel.memory.banks import Served
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.requests import Spans
from archmodel.memory.transfers import Int64

MOST_BATCHES = 10  # whose means give the interval
WARM_UP = 16  # one of so many accesses comes before the rate is taken
CACHED = 1024  # rates; layers of a network ask for the same ones


@dataclass(frozen=True)
class Rate:
    """Cycles of an access among many, the half-width of its 95 % interval over it, and what was run."""

    cycles: float
    relative_error: float
    session: Session


def steady_rate(part: BankMemoryConfig, spans: Spans, most: int) -> Rate:
    """The rate of phases that are alike, of which about `most` accesses are run; of fewer it is their own."""
    first = shortened(spans, most)
    begin, end = (array.tobytes() for array in (first.begin, first.end))
    return _steady_rate(part, first.begin.shape, begin, end, first.writes, first.chunk, first is spans)


def shortened(spans: Spans, most: int) -> Spans:
    """The first phases, the last of them in part, all streams alike."""
    bounds = np.cumsum(spans.of_phases)
    if bounds[-1] <= most:
        return spans
    last = int(np.searchsorted(bounds, most))
    first = spans.rows(np.arange(last + 1))
    left, counts = most - int(bounds[last] - spans.of_phases[last]), spans.counts[last]
    end = first.end.copy()
    end[last] = first.begin[last] - (-counts * left // counts.sum())
    return replace(first, end=end)


@lru_cache(CACHED)
def _steady_rate(
    part: BankMemoryConfig,
    shape: tuple[int, int],
    begin: bytes,
    end: bytes,
    writes: tuple[bool, ...],
    chunk: int,
    all_of_them: bool,
) -> Rate:
    first, last = (np.frombuffer(array, np.int64).reshape(shape) for array in (begin, end))
    served, is_write = offered(part, Spans(first, last, writes, chunk))
    session = Session.of(part, served, is_write, start_cycle(part))
    if all_of_them:
        return Rate(session.cycles / served.completed.size, 0.0, session)
    window = part.refresh_cycles
    mean, half_width = batch_means(completed_in_windows(served, window))
    return Rate(window / mean, half_width / mean, session)


def completed_in_windows(served: Served, window: int) -> Int64:
    """Accesses completed in each whole window between the first requests and the last.

    A window is an interval of refreshes, so that none has more of them than another.
    """
    completed = np.sort(served.completed)
    edges = np.arange(completed[completed.size // WARM_UP], int(served.entered.max()) + 1, window)
    return np.diff(np.searchsorted(completed, edges))


def batch_means(values: Int64) -> tuple[float, float]:
    """The mean of values, and the half-width of the 95 % interval of its expectation, from equal batches of them."""
    from scipy.special import stdtrit  # 0.3 s that short layers do not need

    together = -(-values.size // MOST_BATCHES)
    batches = values[: values.size // together * together].reshape(-1, together).mean(axis=1)
    half_width = stdtrit(batches.size - 1, 0.975) * batches.std(ddof=1) / math.sqrt(batches.size)
    return float(batches.mean()), float(half_width)
