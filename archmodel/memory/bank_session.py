"""Accesses that a memory of banks runs one behind the other, all of them offered at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archmodel.memory.banks import Served, serve
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.requests import Bool, Spans, in_turns
from archmodel.memory.transfers import Int64


@dataclass(frozen=True)
class Session:
    """What a memory did; counts may be those of accesses like the ones that were run.

    latency_cycles : from the first request to its first data
    cycles : from there to the last data
    energy_pj : in these cycles, I/O apart
    bus : cycles of all data buses by cause, from the first request on
    counts : accesses, those that found their row open, commands
    """

    latency_cycles: int
    cycles: float
    energy_pj: float
    bus: Mapping[str, float]
    counts: Mapping[str, float]

    @classmethod
    def of(cls, part: BankMemoryConfig, served: Served, writes: Bool, start: int) -> "Session":
        """What was done with requests that were all there in cycle `start`; a write has no first data to wait for."""
        latency = 0 if writes[0] else int(served.completed[0]) - start - part.organization.burst_cycles
        counts = {"accesses": writes.size, "row_hits": served.row_hits, **served.counts}
        idle, bus = standby_pj(part) * (start + latency), dict(served.bus)
        bus["idle"] -= part.num_channels * start
        return cls(latency, served.cycles - start - latency, served.energy_pj - idle, bus, counts)

    def times(self, factor: float) -> "Session":
        """As many times of it, the latency once."""
        bus = {cause: factor * cycles for cause, cycles in self.bus.items()}
        counts = {name: factor * count for name, count in self.counts.items()}
        return Session(self.latency_cycles, factor * self.cycles, factor * self.energy_pj, bus, counts)

    def then(self, other: "Session") -> "Session":
        """Both, one behind the other."""

        def sums(mine: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
            return {name: mine.get(name, 0) + others.get(name, 0) for name in dict.fromkeys((*mine, *others))}

        return Session(
            self.latency_cycles,
            self.cycles + other.cycles,
            self.energy_pj + other.energy_pj,
            sums(self.bus, other.bus),
            sums(self.counts, other.counts),
        )


def start_cycle(part: BankMemoryConfig) -> int:
    """When a layer begins: half way between two refreshes, so that many short ones meet as many as a long one."""
    return part.refresh_cycles // 2


def standby_pj(part: BankMemoryConfig) -> float:
    """Of a cycle in which all banks are closed."""
    return part.num_channels * part.organization.ranks * part.precharge_standby_pj_per_cycle


def offered(part: BankMemoryConfig, spans: Spans) -> tuple[Served, Bool]:
    """All accesses of some phases, offered at once, and which of them write; there is at least one."""
    accesses, writes = in_turns(spans)
    served = serve(part, np.full(accesses.size, start_cycle(part)), accesses * part.access_bytes, writes)
    return served, writes


def run(part: BankMemoryConfig, spans: Spans) -> tuple[Session, Int64]:
    """Run all accesses; and the cycles from the first data to the end of each phase: int64[phases].

    A read ends with its data, a write when the memory has taken it; only the end of all waits for the last write. A
    phase without accesses ends with the former one.
    """
    start, (served, writes) = start_cycle(part), offered(part, spans)
    session = Session.of(part, served, writes, start)
    ends = np.where(writes, served.entered, served.completed) - start - session.latency_cycles
    bounds = np.cumsum(spans.of_phases)
    of_phases = np.maximum.accumulate(np.maximum(ends, 0))[np.maximum(bounds, 1) - 1]
    of_phases[bounds == bounds[-1]] = session.cycles
    return session, np.where(bounds > 0, of_phases, 0)
