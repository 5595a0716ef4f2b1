"""What SCNN's PEs do in every output-channel group of a layer: all groups walked, or a sample of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from archmodel.accelerators.cartesian import Int64
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import UnitStrideConv
from archmodel.accelerators.sampling import Expectation, Walked, split, walk_all
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import GroupWork, Part, walk_groups


@dataclass(frozen=True)
class PartWork:
    """What the groups of a part took, and their spans at the ends of the 95 % interval of a sampled layer."""

    work: GroupWork
    low: Int64
    high: Int64


def run_parts(config: Config, layer: str, conv: UnitStrideConv, parts: list[Part], context: Context) -> list[PartWork]:
    """Work of the parts of the layer of this name. A unit is an output-channel group of a part with all its PEs."""
    ends = np.cumsum([0] + [part.weights.shape[0] for part in parts])
    issuing = cache(lambda: [issuing_cycles(config, part) for part in parts])

    def walk(units: Int64) -> Int64:
        of_parts = zip(parts, ends[:-1], np.split(units, np.searchsorted(units, ends[1:-1])), strict=True)
        chosen = [(part, groups - first) for part, first, groups in of_parts if groups.size]
        return as_rows(walk_groups(config, conv, chosen, context))

    if config.pe.barrier == "layer":  # groups do not add up where PEs meet only after all of them
        walked = walk_all(int(ends[-1]), walk)
    else:
        walked = context.walk(layer, int(ends[-1]), walk, lambda: expect_groups(conv, parts, issuing()))
    work = complete(walked, issuing)
    of_parts = [slice(first, end) for first, end in pairwise(ends)]
    if config.pe.barrier == "layer":
        joined = [work.of(groups).without_barriers() for groups in of_parts]
        return [PartWork(part, part.span, part.span) for part in joined]
    return [PartWork(work.of(groups), walked.low[groups], walked.high[groups]) for groups in of_parts]


def as_rows(work: GroupWork) -> Int64:
    """Groups as rows: span, waiting, then of every PE work, stalls and emptying.  int64[G, 2 + 3 T]"""
    return np.column_stack([work.span, work.waiting, work.work, work.stalls, work.emptying])


def issuing_cycles(config: Config, part: Part) -> Int64:
    """Cycles in which each PE issues a pair of vectors, for each group of a part.  int64[G, T]"""
    return part.weights.num_vectors(config.pe.F) @ part.activations.num_vectors(config.pe.I)


def expect_groups(conv: UnitStrideConv, parts: list[Part], issuing: list[Int64]) -> Expectation:
    """Expected work of every group of every part, whose PEs issue so many cycles.

    What the slowest PE issues is nearly what a group takes, but for stalls, incidents that a few groups may not show.
    What all PEs issue, scaled to the slowest ones of the part, is nearly as good and leaves residuals of one kind. A
    group of fewer than Kc channels is unlike the others.
    """
    work, least, certain = [], [], []
    for part, of_part in zip(parts, issuing, strict=True):
        issued = of_part.sum(axis=1)
        work.append(issued * (of_part.max(axis=1).sum() / max(1, issued.sum())))
        least.append(-(-issued // of_part.shape[1]))
        certain.append(np.zeros(issued.size, np.bool_))
        certain[-1][-1] = conv.K // conv.groups % part.accumulators.Kc != 0
    return Expectation(np.concatenate(work), np.concatenate(least), np.concatenate(certain))


def complete(walked: Walked, issuing_of_parts: Callable[[], list[Int64]]) -> GroupWork:
    """All groups, from those that were walked and what PEs issue in the others.

    The others wait for weights as the walked ones do, in proportion to their cycles; their PEs stall and empty queues
    in proportion to what they issue; each as far as the cycles of the group leave room for it.
    """
    span, waiting, measured = np.split(walked.measured, [1, 2], axis=1)
    work, stalls, emptying = np.split(measured, 3, axis=1)
    if walked.units.size == walked.cycles.size:
        return GroupWork(span[:, 0], waiting[:, 0], work, stalls, emptying)
    issuing = np.concatenate(issuing_of_parts())
    num_pes = issuing.shape[1]
    room = walked.cycles * num_pes - issuing.sum(axis=1)  # cycles of PEs that do not issue
    waiting = np.minimum(extended(waiting[:, 0], walked.cycles, walked), room // num_pes)
    room -= waiting * num_pes
    stalls = within(extended(stalls, issuing, walked), room)
    emptying = within(extended(emptying, issuing, walked), room - stalls.sum(axis=1))
    return GroupWork(walked.cycles, waiting, issuing + stalls + emptying, stalls, emptying)


def within(cycles: Int64, room: Int64) -> Int64:
    """Cycles [U, T] of PEs, fewer in groups where their sum exceeds the room [U]."""
    sums = cycles.sum(axis=1)
    crowded = sums > room
    fewer = cycles.copy()
    fewer[crowded] = cycles[crowded] * room[crowded, np.newaxis] // sums[crowded, np.newaxis]
    return fewer


def extended(measured: Int64, base: Int64, walked: Walked) -> Int64:
    """A count of the walked groups [n, ...], and of the others in proportion to a base [U, ...] that all have."""
    of_walked, of_rest = base[walked.units], base[walked.rest]
    total = round(int(measured.sum()) * int(of_rest.sum()) / max(1, int(of_walked.sum())))
    everywhere = np.empty_like(base)
    everywhere[walked.units] = measured
    everywhere[walked.rest] = split(total, of_rest.ravel()).reshape(of_rest.shape)
    return everywhere
