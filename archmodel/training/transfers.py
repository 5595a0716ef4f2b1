"""A link that offloads and prefetches, one after the other, share max-min fairly with an upload in the background."""

import math
from collections.abc import Sequence

from archmodel.interconnect.sharing import Direction, LinkConfig

FETCH = "fetch"  # the limit of the DMA engine


def fair_pair(first: Sequence[float], second: Sequence[float], capacity: Sequence[float]) -> tuple[float, float]:
    """Max-min fair rates of two flows, by what a byte of each takes of each limit: `kernels.link_sharing` for two.

    Both rise together to the first limit that is full. Those that use it stay there; the other one rises on with what
    is left. Infinite for a flow that no limit holds.
    """
    together = [one + other for one, other in zip(first, second, strict=True)]
    level, full = min(
        ((limit / taken, at) for at, (taken, limit) in enumerate(zip(together, capacity, strict=True)) if taken),
        default=(math.inf, 0),
    )
    if level == math.inf:
        return math.inf, math.inf
    left = [limit - level * taken for limit, taken in zip(capacity, together, strict=True)]
    rates = [
        level
        if flow[full]
        else level + min((room / one for one, room in zip(flow, left, strict=True) if one), default=math.inf)
        for flow in (first, second)
    ]
    return rates[0], rates[1]


class SharedLink:
    """The link of one device during an iteration.

    Transfers of tensors come one after the other; the inputs of the next iteration are uploaded beside them from the
    start, one after the other too. Each is set up for ``setup_s`` before its first byte. A link without limits takes no
    other time, whatever the DMA engine.

    fetch_bytes_per_s : of tensors, that the DMA engine reads or writes at most; a limit of their transfers alone
    """

    def __init__(
        self, link: LinkConfig, input_bytes: Sequence[int] = (), fetch_bytes_per_s: float | None = None
    ) -> None:
        limits = dict(link.limits)
        self.link, self.infinite = link, not limits
        if fetch_bytes_per_s is not None and limits:
            limits[FETCH] = fetch_bytes_per_s
        self._names, self._capacity = tuple(limits), tuple(limits.values())
        self._nothing = (0.0,) * len(limits)
        self._usages: dict[tuple[Direction, int, int], tuple[float, ...]] = {}
        self._pairs: dict[tuple[tuple[float, ...], tuple[float, ...]], tuple[float, float]] = {}
        self.input_spans_s: list[tuple[float, float]] = []
        self._inputs = [num_bytes for num_bytes in input_bytes if num_bytes]
        self._now = 0.0
        self._set_up_input(0.0)

    def transfer(self, direction: Direction, num_bytes: int, tensor_bytes: int, start_s: float) -> float:
        """When a transfer has ended that starts at ``start_s``, which is not before the end of the one before.

        num_bytes : on the link; tensor_bytes : that the DMA engine reads or writes for them
        """
        if not num_bytes:
            return start_s
        begin_s = start_s + self.link.setup_s
        while self._inputs and self._now < begin_s:
            self._next_event(self._nothing, 0.0, begin_s)
        self._now = begin_s
        usage, left = self._usage(direction, num_bytes, tensor_bytes), float(num_bytes)
        while left:
            left = self._next_event(usage, left, math.inf)
        return self._now

    def finish_inputs(self) -> float:
        """When the last of the inputs has been uploaded, if no more transfers come; 0 without inputs."""
        while self._inputs:
            self._next_event(self._nothing, 0.0, math.inf)
        return self.input_spans_s[-1][1] if self.input_spans_s else 0.0

    def _next_event(self, usage: tuple[float, ...], left: float, until_s: float) -> float:
        """Go on until the transfer or an input ends or an input begins; what is left of the transfer."""
        moves = bool(self._inputs) and self._ready_s <= self._now
        other = self._usage("upload", self._inputs[0], 0) if moves else self._nothing
        mine, others = self._rates(usage, other)
        ends_s = self._now + left / mine if left else math.inf
        waits_s = self._ready_s if self._inputs else math.inf
        border_s = self._now + self._input_left / others if moves else waits_s
        event_s = min(ends_s, border_s, until_s)
        if left:
            left = 0.0 if event_s == ends_s else left - (event_s - self._now) * mine
        if moves and event_s == border_s:
            self.input_spans_s.append((self._input_start_s, event_s))
            del self._inputs[0]
            self._set_up_input(event_s)
        elif moves:
            self._input_left -= (event_s - self._now) * others
        self._now = event_s
        return left

    def _set_up_input(self, at_s: float) -> None:
        self._input_start_s, self._ready_s = at_s, at_s + self.link.setup_s
        self._input_left = float(self._inputs[0]) if self._inputs else 0.0

    def _usage(self, direction: Direction, num_bytes: int, tensor_bytes: int) -> tuple[float, ...]:
        """What a byte of a transfer takes of each limit."""
        key = (direction, num_bytes, tensor_bytes)
        if key not in self._usages:
            taken = {**self.link.usage(direction, num_bytes), FETCH: float(tensor_bytes)}
            self._usages[key] = tuple(taken.get(name, 0.0) / num_bytes for name in self._names)
        return self._usages[key]

    def _rates(self, first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, float]:
        key = (first, second)
        if key not in self._pairs:
            self._pairs[key] = fair_pair(first, second, self._capacity)
        return self._pairs[key]
