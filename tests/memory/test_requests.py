"""The accesses of a layer's streams: where they lie, and the order in which they are asked for."""

import random

import numpy as np
import pytest

from archmodel.memory.dram import STREAM_ORDER
from archmodel.memory.layout import Layout
from archmodel.memory.requests import Spans, in_turns, placed, sessions
from archmodel.memory.transfers import Phases
from tests.reference.request_order import requests

READS = (("weight", "read"), ("input", "read"))


def layout(alignment=64, chunk=64, **offsets):
    known = {f"{kind}_offset_bytes": offsets.get(kind, 0) for kind in ("weight", "input", "output", "psum")}
    return Layout(base_alignment_bytes=alignment, chunk_bytes=chunk, **known)


def asked(streams, num_bytes, access_bytes=64, **where):
    """Accesses in their order, negative where they write (of access 0 none does here)."""
    phases = Phases(streams, np.array(num_bytes, np.int64))
    accesses, writes = in_turns(placed(phases, layout(**where), access_bytes))
    return [-access if write else access for access, write in zip(accesses.tolist(), writes.tolist(), strict=True)]


def test_a_started_access_is_made_whole():
    assert asked(READS[:1], [[129]]) == [0, 1, 2]


def test_an_access_that_two_phases_share_is_made_by_the_first():
    assert asked(READS[:1], [[100], [28], [1]]) == [0, 1, 2]


def test_the_next_phase_goes_on_where_the_streams_stopped():
    assert asked(READS, [[64, 64], [128, 64]], alignment=1024) == [0, 16, 1, 17, 2]


def test_kinds_lie_one_behind_the_other_from_aligned_bases_on():
    assert asked(READS, [[64 * 5, 64]], alignment=256, input=128) == [0, 1, 2, 10, 3, 4]


def test_a_base_may_be_within_an_access():
    assert asked(READS[:1], [[64]], weight=32) == [0, 1]
    assert asked(READS[:1], [[32], [64]], weight=32) == [0, 1]


def test_partial_sums_are_read_where_they_were_written():
    streams = (("psum", "read"), ("psum", "write"))
    assert asked(streams, [[0, 192], [128, 0]], psum=64) == [-1, -2, -3, 1, 2]


def test_the_next_kind_lies_behind_the_longer_of_what_is_read_and_written():
    streams = (("input", "read"), ("input", "write"), ("output", "write"))
    assert asked(streams, [[64, 64 * 3, 0], [0, 0, 64]], input=64) == [-1, 1, -2, -3, -4]


def test_streams_of_a_phase_take_turns_chunk_by_chunk_and_end_together():
    order = asked(READS, [[64 * 8, 64 * 4]], alignment=4096, chunk=128)
    assert order == [0, 1, 64, 65, 2, 3, 4, 5, 66, 67, 6, 7]


def test_a_chunk_is_at_least_an_access():
    assert asked(READS, [[128, 128]], alignment=4096, chunk=1) == [0, 64, 1, 65]


def test_phases_do_not_mix():
    order = asked(READS, [[64 * 3, 0], [0, 64 * 3]], alignment=4096)
    assert order == [0, 1, 2, 64, 65, 66]


@pytest.mark.parametrize("seed", range(60))
def test_the_order_is_that_of_the_reference(seed):
    draw = random.Random(seed)
    streams = tuple(sorted(draw.sample(STREAM_ORDER, draw.randint(1, 4)), key=STREAM_ORDER.index))
    biggest = draw.choice([0, 1, 100, 3000])
    num_bytes = [[draw.randint(0, biggest) * draw.randint(0, 1) for _ in streams] for _ in range(draw.randint(1, 6))]
    offsets = {kind: draw.choice([0, 0, 1, 32, 4096]) for kind in ("weight", "input", "output", "psum")}
    alignment, chunk, access = draw.choice([1, 64, 256]), draw.choice([1, 64, 200, 1024]), draw.choice([32, 64, 256])
    phases = Phases(streams, np.array(num_bytes, np.int64))
    spans = placed(phases, layout(alignment, chunk, **offsets), access)
    accesses, writes = in_turns(spans)
    phase = np.repeat(np.arange(len(num_bytes)), spans.of_phases)
    found = list(zip(phase.tolist(), accesses.tolist(), writes.tolist(), strict=True))
    assert found == requests(streams, num_bytes, alignment, offsets, chunk, access)


@pytest.mark.parametrize("most", [1, 7, 64, 10**6])
def test_sessions_have_every_access_once_and_are_short(most):
    rng = np.random.default_rng(most)
    num_bytes = rng.integers(0, 5000, (9, 3)) * rng.integers(0, 2, (9, 1))
    phases = Phases((("weight", "read"), ("input", "read"), ("output", "write")), num_bytes)
    spans = placed(phases, layout(4096), 64)
    portions = list(sessions(spans, most))
    made = [sorted(in_turns(portion)[0].tolist()) for portion, _ in portions]
    assert sorted(access for own in made for access in own) == sorted(in_turns(spans)[0].tolist())
    assert all(len(own) <= 2 * most + 3 for own in made)
    assert len(portions) == 1 or most < 10**6
    counts = np.zeros(9, np.int64)
    for portion, phase in portions:
        np.add.at(counts, phase, portion.of_phases)
    assert counts.tolist() == spans.of_phases.tolist()


def test_a_phase_is_cut_with_all_its_streams():
    spans = Spans(np.array([[0, 100]]), np.array([[8, 104]]), (False, True), 1)
    pieces, phase = spans.cut(4)
    assert phase.tolist() == [0, 0, 0]
    assert pieces.begin.tolist() == [[0, 100], [2, 101], [5, 102]]
    assert pieces.end.tolist() == [[2, 101], [5, 102], [8, 104]]
    assert spans.cut(12)[1].tolist() == [0]


def test_layouts_are_checked():
    with pytest.raises(ValueError, match="must be a power of two"):
        layout(alignment=48)
