"""Expected cycles of SCNN's PEs as the whole numbers that its account adds up."""

import math
from dataclasses import dataclass

import numpy as np

from archmodel.accelerators.cartesian import Int64
from archmodel.accelerators.random_blocks import Float64
from archmodel.accelerators.random_queues import RandomQueues
from archmodel.accelerators.scnn_conv import GroupWork
from archmodel.accelerators.slowest_pe import (
    Broadcast,
    Own,
    Steps,
    activity,
    mean_work,
    slowest_work,
    waiting_for_weights,
    work_deviation,
)

ROUNDING = 1e-9  # share of a sum of expectations by which its terms may have lost precision
MOST_SLACK = 0.25  # so that a sum is not one below what is effectual of it, which is rounded to the nearest


@dataclass(frozen=True, eq=False)
class ExpectedGroup:
    """Expected cycles of an output-channel group; arrays are float64[T], by PE.

    slowest : of the PE with most work of its own; waiting : by which weights make the group longer
    """

    issuing: Float64
    stalls: Float64
    emptying: Float64
    slowest: float
    waiting: float

    @classmethod
    def of(
        cls,
        phases: list[Broadcast],
        kinds: list[Own],
        pe_kinds: Int64,
        queues: RandomQueues,
        fifo: tuple[int, int],
        meetings: int = 1,
    ) -> "ExpectedGroup":
        """A group whose PEs meet as many times, the last time at its end; pe_kinds : int64[T], the kind of each PE.

        A PE empties its queues after its last issue, so the slowest one is that with the largest sum of both: beside a
        spread of the work s, the longest of all queues, of spread e, counts by sqrt(s^2 + e^2) - s of its excess.
        """
        steps = Steps.of(phases)
        issuing = np.array([mean_work(phases, own) for own in kinds])
        longest, deviation = queues.emptying(issuing.max())
        stalls = queues.stalls(issuing.max())
        emptying = np.array([longest * activity(steps, own) for own in kinds])
        between = [phase.share(meetings) for phase in phases]
        slowest = meetings * slowest_work(between, kinds) * (1.0 + stalls)
        busiest = int(issuing.argmax())
        if deviation > 0.0:
            longest_of_all = queues.emptying(issuing.max(), kinds[busiest].num_pes)[0]
            spread = work_deviation(Steps.of(between), kinds[busiest])
            excess = (math.hypot(spread, deviation) - spread) / deviation * (longest_of_all - longest)
        else:
            excess = 0.0
        waiting = waiting_for_weights(phases, kinds, fifo) * (1.0 + stalls)
        return cls(
            issuing=issuing[pe_kinds],
            stalls=issuing[pe_kinds] * stalls,
            emptying=emptying[pe_kinds],
            slowest=slowest + emptying[busiest] + excess,
            waiting=waiting,
        )

    @classmethod
    def without_barriers(cls, groups: "list[tuple[int, ExpectedGroup]]", slowest: float) -> "ExpectedGroup":
        """As many groups of each kind, whose PEs meet only at the end of all; slowest : issues of the one with most."""
        issuing, stalls, emptying = (
            sum((number * getattr(group, name) for number, group in groups), np.zeros(groups[0][1].issuing.size))
            for name in ("issuing", "stalls", "emptying")
        )
        waiting = sum(number * group.waiting for number, group in groups)
        stretch = 1.0 + float(stalls.sum() / max(issuing.sum(), 1.0))
        return cls(issuing, stalls, emptying, slowest * stretch + float(emptying.max()), waiting)


def group_works(parts: list[list[ExpectedGroup]]) -> list[GroupWork]:
    """Whole numbers for the groups of each part, with the sums of the expectations over all.

    The slowest PE is not faster than the mean one, which rounding could make of a few cycles.
    """
    groups = [group for part in parts for group in part]
    issuing = whole([group.issuing for group in groups], upwards=True)
    stalls = whole([group.stalls for group in groups])
    emptying = whole([group.emptying for group in groups])
    work = issuing + stalls + emptying
    slowest = whole([group.slowest for group in groups], upwards=True)
    slowest[-1] += max(0, -(-int(work.sum()) // work.shape[1]) - int(slowest.sum()))
    waiting = whole([group.waiting for group in groups])
    arrays = slowest + waiting, waiting, work, stalls, emptying
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return [GroupWork(*split) for split in zip(*(np.split(array, ends) for array in arrays), strict=True)]


def whole(values: list[Float64] | list[float], *, upwards: bool = False) -> Int64:
    """Integers near the values, none negative, whose sum is theirs to the nearest integer, or the next one above."""
    exact = np.asarray(values, np.float64)
    ends = np.cumsum(exact.ravel())
    total = float(ends[-1]) if ends.size else 0.0
    slack = min(MOST_SLACK, ROUNDING * max(1.0, total))
    steps = np.zeros(ends.size + 1, np.int64)
    steps[1:] = np.ceil(ends - slack) if upwards else np.round(ends + slack)
    return (steps[1:] - steps[:-1]).reshape(exact.shape)
