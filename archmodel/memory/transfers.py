"""What a machine asks of the memory behind it, and what the memory answers: one question for memories of every kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

REASONS = ("bandwidth", "latency", "turnaround", "refresh")
"""Why a machine waits for its memory: bytes at the peak rate; first words, rows that open and channels without
requests; the data bus changing its direction; banks that are refreshed."""


@dataclass(frozen=True)
class Phases:
    """What a layer moves, phase after phase; the streams of a phase move at the same time.

    streams : kind and direction of each column
    num_bytes : int64[phases, streams]
    """

    streams: tuple[tuple[str, str], ...]
    num_bytes: Int64


@dataclass(frozen=True)
class Transfers:
    """The time of phases whose requests are offered as fast as the memory takes them, in cycles of the machine's clock.

    latency_cycles : from the first request to its first byte
    cycles : int64[phases], of each phase behind the former one, the latency apart
    energy_pj : of commands, bits and the memory's own time; None where it follows from the bytes alone
    time_s : how long the memory works
    reasons : shares of `cycles` by REASONS, of any sum; empty for a memory that does not know them
    relative_error : half-width of the 95 % interval of `cycles` where a part of the requests was run
    counts : what the memory did, by name
    end : -1 and 1 at the ends of that interval
    """

    latency_cycles: int
    cycles: Int64
    energy_pj: float | None = None
    time_s: float = 0.0
    reasons: Mapping[str, float] = field(default_factory=dict)
    relative_error: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    end: int = 0

    def at(self, end: int) -> "Transfers":
        """The transfers at the lower (-1) or the upper end (1) of the interval of their time."""
        factor = 1 + end * self.relative_error
        return replace(self, cycles=np.rint(factor * self.cycles).astype(np.int64), end=end)

    @property
    def ends(self) -> tuple["Transfers", ...]:
        """Both ends of their interval, or none where there is no error."""
        return (self.at(-1), self.at(1)) if self.relative_error else ()

    def waited(self, cycles: int) -> dict[str, int]:
        """Cycles that a machine waited, by reason; they sum to all. The latency of the first request comes first."""
        if not self.reasons:
            return {}
        first = min(cycles, self.latency_cycles)
        shares = dict.fromkeys(REASONS, 0.0) | dict(self.reasons)
        split = parts_of(cycles - first, [shares[name] for name in REASONS])
        return {name: part + first * (name == "latency") for name, part in zip(REASONS, split, strict=True)}


def parts_of(total: int, shares: Sequence[float]) -> list[int]:
    """Integers that sum to `total`, each within one of its share; all of it is the first one's if no share is more."""
    if not sum(shares):
        shares = [1.0, *([0.0] * (len(shares) - 1))]
    exact = [total * Fraction(share) / sum(map(Fraction, shares)) for share in shares]
    parts = [math.floor(part) for part in exact]
    missing = sorted(range(len(parts)), key=lambda at: parts[at] - exact[at])[: total - sum(parts)]
    return [part + (at in missing) for at, part in enumerate(parts)]


class Memory(Protocol):
    """A memory behind machines."""

    @property
    def name(self) -> str:
        """As its file spells it."""

    @property
    def extent(self) -> str | None:
        """What of a layer's requests is run; None for a memory that has none."""

    def transfers(self, phases: Phases, clock_hz: float, port_bytes_per_s: float | None = None) -> Transfers:
        """The time of a layer's phases, seen through a port of that rate where the machine has one."""

    def transfer_pj(self, num_bytes: int) -> float:
        """Energy of a transfer of which only the size is known."""

    def idle_pj(self, seconds: float) -> float:
        """Energy of a memory without requests."""

    def model_dump(self) -> dict[str, Any]:
        """The configuration as a dictionary."""
