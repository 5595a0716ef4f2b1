"""What SCNN's PEs do in every output-channel group of a layer: all groups walked, or a sample of them."""

from dataclasses import dataclass
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

    def walk(units: Int64) -> Int64:
        of_parts = zip(parts, ends[:-1], np.split(units, np.searchsorted(units, ends[1:-1])), strict=True)
        return as_rows(walk_groups(config, conv, [(part, of - first) for part, first, of in of_parts if of.size], context))

    if config.pe.barrier == "layer":  # groups do not add up where PEs meet only after all of them
        walked = walk_all(int(ends[-1]), walk)
    else:
        walked = context.walk(layer, int(ends[-1]), walk, lambda: expect_groups(config, conv, parts))
    work = complete(config, parts, walked)
    of_parts = [slice(first, end) for first, end in pairwise(ends)]
    if config.pe.barrier == "layer":
        joined = [work.of(groups).without_barriers() for groups in of_parts]
        return [PartWork(part, part.span, part.span) for part in joined]
    return [PartWork(work.of(groups), walked.low[groups], walked.high[groups]) for groups in of_parts]


def as_rows(work: GroupWork) -> Int64:
    """Groups as rows: span, waiting, then of every PE work, stalls and emptying.  int64[G, 2 + 3 T]"""
    return np.column_stack([work.span, work.waiting, work.work, work.stalls, work.emptying])


def issuing_cycles(config: Config, parts: list[Part]) -> list[Int64]:
    """Cycles in which each PE issues a pair of vectors, for each group of each part.  int64[G, T]"""
    issuing = []
    for part in parts:
        weights, activations = part.weights.num_vectors(config.pe.F), part.activations.num_vectors(config.pe.I)
        # Sums of products below 2**53 are exact in float64, for which numpy calls a fast library.
        issuing.append((weights.astype(np.float64) @ activations.astype(np.float64)).astype(np.int64))
    return issuing


def expect_groups(config: Config, conv: UnitStrideConv, parts: list[Part]) -> Expectation:
    """Expected work of every group of every part.

    A group takes at least what its slowest PE issues, and little more but for stalls, incidents that a few groups may
    not show. What all PEs issue, scaled to the slowest ones of the part, is nearly as good and leaves residuals of one
    kind. A group of fewer than Kc channels is unlike the others.
    """
    work, least, certain = [], [], []
    for part, issuing in zip(parts, issuing_cycles(config, parts), strict=True):
        slowest, issued = issuing.max(axis=1), issuing.sum(axis=1)
        work.append(issued * (slowest.sum() / max(1, issued.sum())))
        least.append(slowest)
        certain.append(np.zeros(slowest.size, np.bool_))
        certain[-1][-1] = conv.K // conv.groups % part.accumulators.Kc != 0
    return Expectation(np.concatenate(work), np.concatenate(least), np.concatenate(certain))


def complete(config: Config, parts: list[Part], walked: Walked) -> GroupWork:
    """All groups, from those that were walked.

    The others wait for weights in the walked ones' share of the cycles beyond the least. Their PEs stall and empty
    queues in proportion to what they issue, as far as the cycles of the group leave room for it.
    """
    measured, rest, num_pes = walked.measured, walked.rest, config.pe.num_pes
    of_walked = GroupWork(measured[:, 0], measured[:, 1], *np.split(measured[:, 2:], 3, axis=1))
    if not rest.size:
        return of_walked
    issuing = np.concatenate(issuing_cycles(config, parts))
    beyond = walked.cycles - issuing.max(axis=1)
    waiting = extended(of_walked.waiting, beyond, walked)
    room = (walked.cycles - waiting)[:, np.newaxis] - issuing
    stalls = np.minimum(extended(of_walked.stalls, issuing, walked), room)
    emptying = np.minimum(extended(of_walked.emptying, issuing, walked), room - stalls)
    return GroupWork(walked.cycles, waiting, issuing + stalls + emptying, stalls, emptying)


def extended(measured: Int64, base: Int64, walked: Walked) -> Int64:
    """A count of the walked groups [n, ...], and of the others in proportion to a base [U, ...] that all have."""
    of_walked, of_rest = base[walked.units], base[walked.rest]
    total = round(int(measured.sum()) * int(of_rest.sum()) / max(1, int(of_walked.sum())))
    everywhere = np.empty_like(base)
    everywhere[walked.units] = measured
    everywhere[walked.rest] = split(total, of_rest.ravel()).reshape(of_rest.shape)
    return everywhere
