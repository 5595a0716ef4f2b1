"""What a memory did with a trace, request by request, and the numbers that say how well."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from archmodel.memory.banks import Served
from archmodel.memory.trace import Bool, Int64

NS_PER_S = 1e9
PERCENTILES = (50, 95, 99)
ACTIVATE, COLUMN_COMMANDS = "ACT", ("RD", "WR")
FORWARDED = "forwarded"  # among the counts of commands: reads that were answered from waiting writes, without one


@dataclass(frozen=True, eq=False)
class TraceResult:
    """A trace that a memory has served.

    memory, memory_name : as it was asked for, and the name in its file
    trace : the file; None for a pattern
    pattern : what was made; None for a file
    request_bytes : of every request, access_bytes those that the memory moves for an access
    arrived, entered, completed : int64[requests], cycle of arrival, of entry into its channel, of its last data
    writes : bool[requests]
    """

    memory: str
    memory_name: str
    trace: str | None
    pattern: Mapping[str, Any] | None
    request_bytes: int
    access_bytes: int
    num_accesses: int
    cycle_s: float
    peak_bytes_per_s: float
    io_pj_per_bit: float
    arrived: Int64
    entered: Int64
    completed: Int64
    writes: Bool
    served: Served

    @cached_property
    def cycles(self) -> int:
        """From the first arrival to the last data."""
        return int(self.completed.max()) - int(self.arrived[0])

    @property
    def time_s(self) -> float:
        """The same in seconds."""
        return self.cycles * self.cycle_s

    @property
    def num_bytes(self) -> int:
        """Of all requests."""
        return self.arrived.size * self.request_bytes

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """What was asked for, over the time that it took."""
        return self.num_bytes / self.time_s

    @property
    def row_hit_rate(self) -> float | None:
        """Column commands that found their row open; None of a memory without rows, or where none was sent."""
        columns = sum(self.served.counts.get(name, 0) for name in COLUMN_COMMANDS)
        return self.served.row_hits / columns if columns and ACTIVATE in self.served.counts else None

    @property
    def io_energy_pj(self) -> float:
        """Of pins and links, by the bytes that were moved."""
        return 8 * self.num_accesses * self.access_bytes * self.io_pj_per_bit

    @cached_property
    def read_latency_ns(self) -> dict[str, float | None]:
        """From entry to last data, of reads."""
        return self._distribution((self.completed - self.entered)[~self.writes])

    @cached_property
    def wait_ns(self) -> dict[str, float | None]:
        """From arrival to entry, of reads and writes."""
        return self._distribution(self.entered - self.arrived)

    @property
    def bus_shares(self) -> dict[str, float]:
        """Cycles of the data buses by cause, as shares of all; 0 where there are none."""
        total = sum(self.served.bus.values())
        return {cause: cycles / total if total else 0.0 for cause, cycles in self.served.bus.items()}

    def _distribution(self, cycles: Int64) -> dict[str, float | None]:
        """Mean and percentiles in ns; None of nothing."""
        names = ("mean", *(f"p{one}" for one in PERCENTILES))
        if not cycles.size:
            return dict.fromkeys(names)
        values = (cycles.mean(), *np.percentile(cycles, PERCENTILES))
        return {name: float(value) * self.cycle_s * NS_PER_S for name, value in zip(names, values, strict=True)}

    def as_dict(self) -> dict[str, Any]:
        """The object of `memory-trace --json`, of plain dictionaries and numbers."""
        num_writes = int(self.writes.sum())
        moved_bits = 8 * self.num_accesses * self.access_bytes
        return {
            **{key: getattr(self, key) for key in ("memory", "memory_name", "trace")},
            "pattern": None if self.pattern is None else dict(self.pattern),
            "requests": self.arrived.size,
            "reads": self.arrived.size - num_writes,
            "writes": num_writes,
            **{key: getattr(self, key) for key in ("request_bytes", "access_bytes")},
            "accesses": self.num_accesses,
            "bytes": self.num_bytes,
            "cycle_ns": self.cycle_s * NS_PER_S,
            **{key: getattr(self, key) for key in ("cycles", "time_s", "peak_bytes_per_s", "bandwidth_bytes_per_s")},
            "peak_share": self.bandwidth_bytes_per_s / self.peak_bytes_per_s,
            **{key: getattr(self, key) for key in ("read_latency_ns", "wait_ns", "row_hit_rate")},
            "commands": {name: count for name, count in self.served.counts.items() if name != FORWARDED},
            "forwarded_reads": self.served.counts.get(FORWARDED, 0),
            "energy_pj": self.served.energy_pj,
            "pj_per_bit": self.served.energy_pj / moved_bits,
            "io_energy_pj": self.io_energy_pj,
            "bus": self.bus_shares,
        }
