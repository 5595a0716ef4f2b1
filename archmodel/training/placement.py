"""Addresses chosen before an iteration, which is the same every time: the largest tensors first."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from archmodel.training.plan import Stay
from archmodel.training.pool import ALIGNMENT_BYTES

Int64 = npt.NDArray[np.int64]


class Placement:
    """Stays of tensors at addresses such that none that are held at a time overlap.

    Greedy by size (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020): in falling
    order of bytes each takes the lowest address that is free as long as it stays.

    fits : whether all end within the capacity; what comes after the first that does not has no address
    """

    def __init__(self, stays: Sequence[Stay], capacity_bytes: int | None = None) -> None:
        order = sorted(range(len(stays)), key=lambda at: (-stays[at].num_bytes, stays[at].first))
        self.first = np.array([stays[at].first for at in order], np.int64)
        self.last = np.array([stays[at].last for at in order], np.int64)
        self.sizes = np.array([aligned(stays[at].num_bytes) for at in order], np.int64)
        self.starts = np.zeros(len(stays), np.int64)
        self.fits = True
        for at, size in enumerate(self.sizes.tolist()):
            begins, ends = self._taken(int(self.first[at]), int(self.last[at]), at)
            self.starts[at] = lowest = _lowest(begins, ends, size)
            if capacity_bytes is not None and lowest + size > capacity_bytes:
                self.fits = False
                break

    @property
    def reserved_bytes(self) -> int:
        """The end of the highest address."""
        return int((self.starts + self.sizes).max(initial=0))

    def end_bytes(self, step: int, num_bytes: int) -> int:
        """Where a block ends that is held during a step alone, at the lowest address that is free."""
        begins, ends = self._taken(step, step, len(self.sizes))
        return _lowest(begins, ends, aligned(num_bytes)) + aligned(num_bytes)

    def _taken(self, first: int, last: int, count: int) -> tuple[Int64, Int64]:
        """Starts of what is placed among the ``count`` largest during these steps, and where all below each end."""
        held = (self.first[:count] <= last) & (self.last[:count] >= first)
        begins, sizes = self.starts[:count][held], self.sizes[:count][held]
        order = begins.argsort(kind="stable")
        begins = begins[order]
        ends = np.zeros(len(begins) + 1, np.int64)
        np.maximum.accumulate(begins + sizes[order], out=ends[1:])
        return begins, ends


def _lowest(begins: Int64, ends: Int64, size: int) -> int:
    """The lowest address with ``size`` free bytes; begins[i] is that of a block, ends[i] where those below it end."""
    fitting = (begins - ends[:-1] >= size).nonzero()[0]
    return int(ends[fitting[0]] if len(fitting) else ends[-1])


def aligned(num_bytes: int) -> int:
    """Bytes that a tensor takes, as in a pool."""
    return max(-(-num_bytes // ALIGNMENT_BYTES), 1) * ALIGNMENT_BYTES
