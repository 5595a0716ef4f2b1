"""The streams of a layer as accesses of a memory of banks: where they lie, and in which order they are asked for.

A machine with double buffers asks at once for all that moves while it computes a tile: the streams of a phase take
turns, chunk by chunk, so that all of them end together. The next phase goes on where they stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from archmodel.memory.layout import Layout
from archmodel.memory.transfers import Int64, Phases

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spans:
    """Accesses of phases, numbered by address; those of a stream in a phase are consecutive.

    begin, end : int64[phases, streams], first access and the one behind the last
    writes : of each stream, whether it writes
    chunk : accesses of a stream in its turn
    """

    begin: Int64
    end: Int64
    writes: tuple[bool, ...]
    chunk: int

    @property
    def counts(self) -> Int64:
        """Accesses of each stream: int64[phases, streams]."""
        return self.end - self.begin

    @property
    def of_phases(self) -> Int64:
        """Accesses of each phase: int64[phases]."""
        return self.counts.sum(axis=1)

    def rows(self, rows: Int64) -> "Spans":
        """Some of the phases."""
        return replace(self, begin=self.begin[rows], end=self.end[rows])

    def cut(self, most: int) -> tuple["Spans", Int64]:
        """Phases of at most about `most` accesses, all streams of one cut alike; and the phase that each is part of."""
        parts = np.maximum(1, -(-self.of_phases // most))
        phase = np.repeat(np.arange(parts.size), parts)
        part = np.arange(phase.size) - np.repeat(np.cumsum(parts) - parts, parts)
        begin, counts, parts = self.begin[phase], self.counts[phase], parts[phase, np.newaxis]
        bounds = [begin + counts * at[:, np.newaxis] // parts for at in (part, part + 1)]
        return replace(self, begin=bounds[0], end=bounds[1]), phase


def placed(phases: Phases, layout: Layout, access_bytes: int) -> Spans:
    """The accesses of a layer; one that two phases share is made by the first of them."""
    ends = np.cumsum(phases.num_bytes, axis=0)
    bases, top = {}, 0
    for kind in dict.fromkeys(kind for kind, _ in phases.streams):
        columns = [index for index, (own, _) in enumerate(phases.streams) if own == kind]
        bases[kind] = -(-top // layout.base_alignment_bytes) * layout.base_alignment_bytes + layout.offset_bytes(kind)
        top = bases[kind] + int(ends[-1, columns].max())
    base = np.array([bases[kind] for kind, _ in phases.streams], np.int64)
    end = np.where(ends > 0, -(-(base + ends) // access_bytes), base // access_bytes)
    begin = np.vstack([base // access_bytes, end[:-1]])
    writes = tuple(direction == "write" for _, direction in phases.streams)
    return Spans(begin, end, writes, max(1, layout.chunk_bytes // access_bytes))


def in_turns(spans: Spans) -> tuple[Int64, Bool]:
    """All accesses in the order in which they are asked for, and which of them write.

    Of `m` chunks of a stream in a phase, chunk `j` has its turn at (j + 1/2) / m of the phase.
    """
    counts = spans.counts.ravel()
    chunks = -(-counts // spans.chunk)
    stream = np.repeat(np.arange(counts.size), chunks)  # of all phases
    index = np.arange(stream.size) - np.repeat(np.cumsum(chunks) - chunks, chunks)
    if len(spans.writes) > 1:
        turn = (2 * index + 1) / (2 * chunks[stream])
        order = np.lexsort((turn, stream // len(spans.writes)))  # stable: of equal turns the first stream's
        stream, index = stream[order], index[order]
    start, offset = spans.begin.ravel()[stream], spans.chunk * index
    length = np.minimum(spans.chunk, counts[stream] - offset)
    before = np.cumsum(length) - length
    accesses = np.repeat(start + offset - before, length) + np.arange(length.sum())
    writes = np.array(spans.writes, np.bool_)[stream % max(1, len(spans.writes))]
    return accesses, np.repeat(writes, length)


def sessions(spans: Spans, most: int) -> Iterator[tuple[Spans, Int64]]:
    """Phases in portions of about `most` accesses, with the phase that each row is a part of."""
    pieces, phase = spans.cut(most)
    portion = np.cumsum(pieces.of_phases) // most
    for bounds in np.split(np.arange(phase.size), np.flatnonzero(np.diff(portion)) + 1):
        yield pieces.rows(bounds), phase[bounds]
