"""What a machine asks of the memory behind it, and what the memory answers: one question for memories of every kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """

    latency_cycles: int
    cycles: Int64
    energy_pj: float | None = None
    time_s: float = 0.0
    reasons: Mapping[str, float] = field(default_factory=dict)
    relative_error: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)


class Memory(Protocol):
    """A memory behind machines."""

    @property
    def name(self) -> str:
        """As its file spells it."""

    def transfers(self, phases: Phases, clock_hz: float, port_bytes_per_s: float | None = None) -> Transfers:
        """The time of a layer's phases, seen through a port of that rate where the machine has one."""

    def transfer_pj(self, num_bytes: int) -> float:
        """Energy of a transfer of which only the size is known."""

    def idle_pj(self, seconds: float) -> float:
        """Energy of a memory without requests."""

    def model_dump(self) -> dict[str, Any]:
        """The configuration as a dictionary."""
