"""Requests to a memory in order of time, and the accesses of a part that they are cut into."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, show

Int64: TypeAlias = npt.NDArray[np.int64]
Bool: TypeAlias = npt.NDArray[np.bool_]

MAX_REQUESTS = 100_000_000  # of 17 bytes each, and as much again for what becomes of them
MAX_CYCLE = 10**10  # 10 s at 1 GHz: idle time is walked from one refresh to the next
MAX_REQUEST_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in the order in which they arrive; a cycle is one of the memory's clock.

    cycles : int64[n]      of arrival; they do not fall
    addresses : int64[n]   of the first byte
    writes : bool[n]
    """

    cycles: Int64
    addresses: Int64
    writes: Bool

    @classmethod
    def of(
        cls, cycles: Sequence[int] | Int64, addresses: Sequence[int] | Int64, writes: Sequence[bool] | Bool
    ) -> "Trace":
        """A checked trace of three sequences; WorkloadError names the first request that cannot be."""
        flags = np.asarray(writes)
        check_num_requests(flags.size, "trace")
        arrived, first_bytes = whole_numbers("cycles", cycles), whole_numbers("addresses", addresses)
        if flags.dtype != np.bool_ or any(column.shape != (flags.size,) for column in (arrived, first_bytes, flags)):
            raise WorkloadError("trace: cycles, addresses and writes must be equally long; writes are booleans")
        check_requests(arrived, first_bytes, "trace", first=0)
        return cls(arrived, first_bytes, flags)


def whole_numbers(name: str, values: Sequence[int] | Int64) -> Int64:
    """Integers of 0 to 2**63 - 1, as an array."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError):
        array = np.zeros((), np.float64)
    if array.dtype.kind not in "iu" or array.ndim != 1 or (array.size and int(array.max()) > np.iinfo(np.int64).max):
        raise WorkloadError(f"trace: {name}: must be a list of whole numbers below 2**63")
    return array.astype(np.int64)


def check_requests(cycles: Int64, addresses: Int64, where: str, first: int, last_cycle: int = 0) -> None:
    """Raise WorkloadError about the first request that cannot be; `first` is the number of the one at index 0."""
    before = np.concatenate((np.array([last_cycle], np.int64), cycles[:-1]))
    wrong = (cycles < before) | (cycles > MAX_CYCLE) | (addresses < 0)
    if not wrong.any():
        return
    index = int(wrong.argmax())
    cycle, address = int(cycles[index]), int(addresses[index])
    if address < 0:
        reason = f"address {show(address)}: must be at least 0"
    elif cycle > MAX_CYCLE:
        reason = late(cycle)
    else:
        reason = earlier(cycle, int(before[index]))
    raise WorkloadError(f"{where}: request {first + index}: {reason}")


def earlier(cycle: int, before: int) -> str:
    """What is wrong with a cycle below that of the request before, or below 0."""
    return f"cycle {cycle} is before {before}: cycles must not fall" if cycle >= 0 else f"cycle {cycle}: at least 0"


def late(cycle: int) -> str:
    """What is wrong with a cycle that is too large."""
    return f"cycle {cycle}: must be at most {MAX_CYCLE}"


def check_num_requests(count: int, where: str) -> None:
    """Raise WorkloadError unless there are some requests, and not too many."""
    if count == 0:
        raise WorkloadError(f"{where}: has no requests")
    if count > MAX_REQUESTS:
        raise WorkloadError(f"{where}: more than {MAX_REQUESTS} requests")


@dataclass(frozen=True, eq=False)
class Accesses:
    """What a part is asked for: whole accesses of its own size, in order.

    request : int64[m]     index of the request that each belongs to, rising
    cycles, addresses, writes : as of a Trace
    """

    request: Int64
    cycles: Int64
    addresses: Int64
    writes: Bool

    @property
    def firsts(self) -> Int64:
        """int64[requests]: the first access of each request."""
        return np.flatnonzero(np.diff(self.request, prepend=-1))


def accesses_of(trace: Trace, access_bytes: int, request_bytes: int | None) -> Accesses:
    """The accesses that hold any byte of each request of `request_bytes`; None: the one at its address."""
    first = trace.addresses // access_bytes
    if request_bytes is None:
        everyone = np.arange(first.size)
        return Accesses(everyone, trace.cycles, first * access_bytes, trace.writes)
    shared = trace.addresses % access_bytes + request_bytes  # bytes from the start of the first access
    num_accesses = -(-shared // access_bytes)
    total = int(num_accesses.sum())
    if total > MAX_REQUESTS:
        raise WorkloadError(f"{first.size} requests of {request_bytes} bytes are more than {MAX_REQUESTS} accesses")
    request = np.repeat(np.arange(first.size), num_accesses)
    place = np.arange(total) - np.repeat(np.cumsum(num_accesses) - num_accesses, num_accesses)
    addresses = (first[request] + place) * access_bytes
    return Accesses(request, trace.cycles[request], addresses, trace.writes[request])
