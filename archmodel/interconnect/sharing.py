"""What every link has: limits that its transfers share, and from these rates and times in both directions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from archmodel.config import FrozenModel

Direction = Literal["upload", "download"]  # host -> device, device -> host
DIRECTIONS: tuple[Direction, ...] = ("upload", "download")
PAYLOAD_BYTES = 4096  # of a transfer where none is said; whole packets of every size
HOST = "host"

BytesPerSecond = Annotated[float, Field(ge=1e3, le=1e16)]
Seconds = Annotated[float, Field(ge=0, le=1.0)]


@dataclass(frozen=True)
class Transfer:
    """Bytes that a DMA engine is told to move at `start_s`."""

    direction: Direction
    num_bytes: int
    start_s: float = 0.0


class LinkConfig(FrozenModel):
    """A link between a device and its host: `limits`, and what a transfer takes of each.

    host_bytes_per_s : bandwidth of the host's DRAM, both directions together; None: never the limit
    """

    name: str
    setup_s: Seconds  # from the start of a transfer to its first byte
    host_bytes_per_s: BytesPerSecond | None = None

    @property
    def own_limits(self) -> dict[str, float]:
        """Bytes per second of each part of the link."""
        raise NotImplementedError

    def own_usage(self, direction: Direction, num_bytes: int) -> dict[str, float]:
        """Bytes of each limit that a transfer of `num_bytes` takes."""
        raise NotImplementedError

    @property
    def limits(self) -> dict[str, float]:
        """Bytes per second of all that transfers share."""
        host = {} if self.host_bytes_per_s is None else {HOST: self.host_bytes_per_s}
        return self.own_limits | host

    def usage(self, direction: Direction, num_bytes: int) -> dict[str, float]:
        """Bytes of each of `limits` that a transfer of `num_bytes` takes."""
        host = {} if self.host_bytes_per_s is None else {HOST: float(num_bytes)}
        return {**self.own_usage(direction, num_bytes), **host}

    def limited_by(self, direction: Direction, payload_bytes: int = PAYLOAD_BYTES) -> str:
        """The limit that a transfer alone on the link meets first; '' if there is none."""
        times = busy_s(self.limits, self.usage(direction, payload_bytes))
        return max(times, key=lambda name: times[name], default="")

    def bytes_per_s(self, direction: Direction, payload_bytes: int = PAYLOAD_BYTES) -> float:
        """Payload per second of transfers of `payload_bytes`, back to back, alone on the link and without set-up."""
        slowest = max(busy_s(self.limits, self.usage(direction, payload_bytes)).values(), default=0.0)
        return payload_bytes / slowest if slowest else math.inf

    def both_bytes_per_s(self, payload_bytes: int = PAYLOAD_BYTES) -> dict[Direction, float]:
        """Payload per second of both directions at once, max-min fair."""
        usage, capacity = self._matrix([Transfer(direction, payload_bytes) for direction in DIRECTIONS])
        from archmodel.kernels.link_sharing import fair_rates

        return dict(zip(DIRECTIONS, fair_rates(usage, capacity).tolist(), strict=True))

    def seconds(self, direction: Direction, num_bytes: int) -> float:
        """Time of a transfer alone on the link, set-up included; nothing to move takes none."""
        return self.setup_s + num_bytes / self.bytes_per_s(direction, num_bytes) if num_bytes else 0.0

    def end_s(self, transfers: Sequence[Transfer]) -> list[float]:
        """When each of several transfers has ended, which share the link max-min fairly once they are set up."""
        usage, capacity = self._matrix(transfers)
        sizes = np.array([one.num_bytes for one in transfers], np.float64)
        starts = np.array([one.start_s + (self.setup_s if one.num_bytes else 0.0) for one in transfers], np.float64)
        from archmodel.kernels.link_sharing import completion_times

        ends: list[float] = completion_times(usage, capacity, sizes, starts).tolist()
        return ends

    def _matrix(self, transfers: Sequence[Transfer]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """[transfers, limits] bytes of each limit for a byte of payload, and the limits."""
        limits = self.limits
        usage = np.zeros((len(transfers), len(limits)))
        for row, one in zip(usage, transfers, strict=True):
            taken = self.usage(one.direction, one.num_bytes) if one.num_bytes else {}
            row[:] = [taken.get(name, 0.0) / max(one.num_bytes, 1) for name in limits]
        return usage, np.array(list(limits.values()), np.float64)


def busy_s(limits: Mapping[str, float], usage: Mapping[str, float]) -> dict[str, float]:
    """Seconds for which a transfer takes each limit whole."""
    return {name: taken / limits[name] for name, taken in usage.items() if taken}
