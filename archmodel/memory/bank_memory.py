"""A memory of banks behind a machine: the time of a layer's transfers from its requests, one by one.

All requests of a layer are offered at once, in their order; a phase takes from the last data of the former one to its
own. A layer of many bytes is run in part: phases with about the same mix of streams have one rate.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.bank_session import Session, run, standby_pj
from archmodel.memory.dram import IdealMemoryConfig, load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.requests import Spans, placed, sessions
from archmodel.memory.steady_rate import Rate, steady_rate
from archmodel.memory.transfers import Int64, Memory, Phases, Transfers

EXTENTS = ("sampled", "full")
"""What of a layer's requests is run: of a long one the first of each mix of streams, or all."""
MOST_ACCESSES = 2**22  # of one session: arrays of 200 MB
WORTH_SAMPLING = 2  # a layer of not more times what would be run of it is run whole
MIX_STEPS = 16  # of a stream's share of a phase, in which mixes are told apart
Work = tuple[Session, Int64, float]
"""What was done, the cycles of each phase, and the relative error of these."""


@dataclass(frozen=True)
class BankMemory:
    """A part behind a machine; `full`: every request of every layer is run."""

    part: BankMemoryConfig
    full: bool = False

    @property
    def name(self) -> str:
        """As its file spells it."""
        return self.part.name

    @property
    def extent(self) -> str:
        """One of EXTENTS."""
        return "full" if self.full else "sampled"

    def model_dump(self) -> dict[str, Any]:
        """The configuration as a dictionary, without the keys that the part does not have."""
        return self.part.model_dump(exclude_none=True)

    def transfers(self, phases: Phases, clock_hz: float, port_bytes_per_s: float | None = None) -> Transfers:
        """The time of phases; each ends with a whole cycle of the machine, counted from the first request."""
        if not phases.streams:
            return Transfers(0, np.zeros(len(phases.num_bytes), np.int64), 0.0)
        session, cycles, relative_error = self._work(phases)
        per_cycle = Fraction(str(self.part.timing.tCK_ns)) * Fraction(clock_hz) / 10**9
        ends = [0, *(-(-end * per_cycle.numerator // per_cycle.denominator) for end in np.cumsum(cycles).tolist())]
        own = np.diff(np.array(ends, np.int64)).astype(np.int64)
        ported = own if port_bytes_per_s is None else np.maximum(own, port_cycles(phases, clock_hz, port_bytes_per_s))
        reasons = {name: float(per_cycle) * share for name, share in self._reasons(session).items()}
        reasons["bandwidth"] += int((ported - own).sum())
        return Transfers(
            latency_cycles=-(-session.latency_cycles * per_cycle.numerator // per_cycle.denominator),
            cycles=ported,
            energy_pj=self._energy_pj(session),
            time_s=(session.latency_cycles + session.cycles) / self.part.clock_hz,
            reasons=reasons,
            relative_error=relative_error,
            counts={name: round(count) for name, count in session.counts.items()},
        )

    def transfer_pj(self, num_bytes: int) -> float:
        """Energy of a read of consecutive bytes."""
        phases = Phases((("weight", "read"),), np.array([[num_bytes]]))
        session, _, _ = self._work(phases)
        return self._energy_pj(session)

    def idle_pj(self, seconds: float) -> float:
        """Standby with all banks closed, and refreshes."""
        part = self.part
        refresh_pj = 0.0 if part.controller.refresh == "none" else part.refresh_pj
        num_refreshes = part.num_channels * part.organization.ranks / part.timing.tREFI
        return seconds * part.clock_hz * (standby_pj(part) + refresh_pj * num_refreshes)

    def _work(self, phases: Phases) -> Work:
        spans = placed(phases, self.part.layout, self.part.access_bytes)
        num_accesses = int(spans.counts.sum())
        if num_accesses == 0:  # a request that moves nothing has the latency of a read
            read, _ = run(self.part, Spans(np.array([[0]]), np.array([[1]]), (False,), 1))
            return read.times(0), np.zeros(len(phases.num_bytes), np.int64), 0.0
        most = self.part.sampled_bytes // self.part.access_bytes
        alike = list(mixes(spans))
        num_run = sum(min(most, int(spans.rows(rows).counts.sum())) for rows in alike)
        if self.full or num_accesses <= WORTH_SAMPLING * num_run:
            return self._whole(spans)
        return self._in_part(spans, alike, most)

    def _whole(self, spans: Spans) -> Work:
        """Every access, in portions that begin anew."""
        cycles, done = np.zeros(len(spans.begin), np.int64), []
        for portion, phase in sessions(spans, MOST_ACCESSES):
            session, ends = run(self.part, portion)
            np.add.at(cycles, phase, np.diff(ends, prepend=0))
            done.append(session)
        return reduce(Session.then, done), cycles, 0.0

    def _in_part(self, spans: Spans, alike: list[Int64], most: int) -> Work:
        """Of phases that are alike so many accesses are run; the others take as long as these.

        The error is that of the rates, and a refresh: how many a layer meets is a whole number.
        """
        counts, ends, done = spans.of_phases, np.zeros(len(spans.begin)), []
        variance = 0.0
        for rows in alike:
            rate = steady_rate(self.part, spans.rows(rows), most)
            ends[rows] = rate.cycles * counts[rows]
            num_accesses = int(counts[rows].sum())
            left_out = 1 - rate.session.counts["accesses"] / num_accesses
            variance += (rate.cycles * num_accesses * rate.relative_error * left_out) ** 2
            done.append(extrapolated(rate, num_accesses))
        cycles = np.diff(np.rint(np.cumsum(ends)), prepend=0).astype(np.int64)
        error = math.sqrt(variance) + self.part.refresh_pause_cycles
        return reduce(Session.then, done), cycles, error / int(cycles.sum())

    def _reasons(self, session: Session) -> dict[str, float]:
        """Cycles of the session by reason: bytes at the peak rate, and the rest as the data buses were idle.

        Links have a peak of their own in each direction.
        """
        part, written = self.part, session.counts["WR"]
        read = session.counts["accesses"] - written
        per_cycle = part.access_bytes * part.clock_hz
        peak = (read + written) * per_cycle / part.peak_bytes_per_s
        bandwidth = min(session.cycles, max(peak, max(read, written) * per_cycle / part.peak_read_bytes_per_s))
        lost = {name: session.bus[name] for name in ("turnaround", "refresh")}
        lost["latency"] = session.bus["latency"] + session.bus["idle"]
        factor = (session.cycles - bandwidth) / max(1, sum(lost.values()))
        return {"bandwidth": bandwidth, **{name: factor * cycles for name, cycles in lost.items()}}

    def _energy_pj(self, session: Session) -> float:
        """Of the first latency, the transfers and their bits on the pins."""
        io_pj = 8 * self.part.access_bytes * session.counts["accesses"] * self.part.energy.io_pj_per_bit
        return standby_pj(self.part) * session.latency_cycles + session.energy_pj + io_pj


def mixes(spans: Spans) -> Iterator[Int64]:
    """Phases by their mix of streams, those without accesses left out."""
    moving = np.flatnonzero(spans.of_phases)
    shares = np.rint(MIX_STEPS * spans.counts[moving] / spans.of_phases[moving, np.newaxis]).astype(np.int64)
    _, mix = np.unique(shares, axis=0, return_inverse=True)
    for index in range(int(mix.max()) + 1):
        yield moving[mix.ravel() == index]


def extrapolated(rate: Rate, num_accesses: int) -> Session:
    """What a memory does with so many accesses at a rate."""
    session = rate.session.times(num_accesses / rate.session.counts["accesses"])
    return Session(session.latency_cycles, rate.cycles * num_accesses, session.energy_pj, session.bus, session.counts)


def port_cycles(phases: Phases, clock_hz: float, bytes_per_s: float) -> Int64:
    """Cycles of every phase through a port."""
    return np.ceil(phases.num_bytes.sum(axis=1) * clock_hz / bytes_per_s).astype(np.int64)


def open_memory(name_or_path: str, assignments: tuple[str, ...] = (), dram: str = "sampled") -> Memory:
    """A memory of configs/memory/ or a TOML file, to stand behind machines; `dram` is one of EXTENTS."""
    if dram not in EXTENTS:
        raise ConfigError(f"--dram {show(dram)}: allowed: {', '.join(EXTENTS)}{did_you_mean(dram, EXTENTS)}")
    loaded = load_memory(name_or_path, assignments)
    return loaded if isinstance(loaded, IdealMemoryConfig) else BankMemory(loaded, dram == "full")
