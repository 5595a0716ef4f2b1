"""Tiles through an array against a walk of every cycle, and cases by hand."""

import random

import numpy as np
import pytest

from archmodel.kernels.tile_pipeline import tile_pipeline
from tests.reference import tile_pipeline as twin

TICKS = 8


def piped(stream, fetch, **changes):
    rule = {"entries": 2, "lead": 3, "hold": 0, "drain": -1, "fetched_is_shifted": True} | changes
    arrays = np.array(stream, np.int64), np.array(fetch, np.int64)
    shift, start = tile_pipeline(
        *arrays, TICKS, rule["entries"], rule["lead"], rule["hold"], rule["drain"], rule["fetched_is_shifted"]
    )
    return shift.tolist(), start.tolist()


@pytest.mark.parametrize("seed", range(60))
def test_tiles_begin_when_the_walk_says(seed):
    draw = random.Random(seed)
    tiles = draw.randint(1, 12)
    stream = [draw.randint(1, 9) for _ in range(tiles)]
    fetch = [draw.choice([0, 1, 5, 8, 30, 64, 100]) for _ in range(tiles)]
    rule = {
        "entries": draw.randint(2, 4),
        "lead": draw.randint(0, 5),
        "hold": draw.choice([0, 3]),
        "drain": draw.choice([-1, 0, 4]),
        "fetched_is_shifted": draw.random() < 0.5,
    }
    assert piped(stream, fetch, **rule) == twin.tile_pipeline(stream, fetch, TICKS, **rule)


def test_a_tile_shifts_while_the_one_before_streams():
    assert piped([5, 5, 5], [0, 0, 0]) == ([0, 3, 8], [3, 8, 13])
    assert piped([2, 2, 2], [0, 0, 0]) == ([0, 3, 6], [3, 6, 9])


def test_without_shadow_registers_the_array_is_empty_first():
    assert piped([5, 5], [0, 0], drain=4) == ([0, 12], [3, 15])


def test_arrivals_are_in_ticks_and_a_tile_waits_for_the_whole_cycle():
    assert piped([1, 1], [8, 9])[0] == [1, 4]
    assert piped([1, 1], [9, 40])[0] == [2, 7]  # at 9 and 49 ticks


def test_a_full_queue_holds_the_fetch_until_a_tile_is_in():
    shift, _ = piped([20, 20, 20, 20], [8, 8, 8, 8], entries=1)
    assert shift == [1, 5, 24, 44]
    assert piped([1, 20, 1], [8, 8, 160], entries=2, lead=0)[0] == [1, 2, 22]
    assert piped([1, 20, 1], [8, 8, 160], entries=2, lead=0, fetched_is_shifted=False)[1] == [1, 2, 22]


def test_a_queue_takes_no_more_memory_than_its_tiles():
    assert piped([1, 20, 1], [8, 8, 160], entries=2**50) == piped([1, 20, 1], [8, 8, 160], entries=3)


def test_what_streams_keeps_its_entry_until_its_last_tile_has_streamed():
    _, start = piped([10, 10, 10], [8, 0, 8], entries=1, lead=0, fetched_is_shifted=False)
    assert start == [1, 11, 22]
