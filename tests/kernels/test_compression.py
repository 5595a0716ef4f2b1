"""The zero-run code against a walk over the cells, its decoder, and runs of exactly the lengths where it turns."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.kernels.compression import (
    COLUMNS_AT_A_TIME,
    num_column_entries,
    run_counts,
    run_length_entries,
    run_tokens,
)
from tests.reference.run_length import stored_positions

LONGEST_RUN = 15  # 4 bits


def encode(mask, longest_run=LONGEST_RUN):
    """Stored positions of each block as lists."""
    ptr, position = run_length_entries(np.array(mask, np.uint8), longest_run)
    assert ptr[0] == 0
    assert ptr[-1] == position.size
    return [position[start:end].tolist() for start, end in itertools.pairwise(ptr)]


def decode(runs_and_values, length):
    """What a reader of (zeros before, value) pairs sees."""
    cells = []
    for run, value in runs_and_values:
        cells += [0] * run + [value]
    return cells + [0] * (length - len(cells))


def as_runs(positions, mask):
    """(zeros before, value) of stored positions."""
    before = [-1, *positions][: len(positions)]
    return [(here - last - 1, int(mask[here])) for last, here in zip(before, positions, strict=True)]


@pytest.mark.parametrize(
    ("zeros", "explicit"),
    [(0, []), (1, []), (14, []), (15, []), (16, [15]), (31, [15]), (32, [15, 31]), (47, [15, 31]), (48, [15, 31, 47])],
)
def test_a_run_of_fifteen_stores_nothing_and_sixteen_store_a_zero(zeros, explicit):
    assert encode([[0] * zeros + [1]]) == [[*explicit, zeros]]
    # the same after another non-zero, and with zeros behind, which are never stored
    assert encode([[1] + [0] * zeros + [1] + [0] * 40]) == [[0, *(cell + 1 for cell in explicit), zeros + 1]]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 40])
def test_an_empty_block_stores_nothing_and_a_full_one_all(length):
    assert encode([[0] * length, [1] * length, [0] * length]) == [[], list(range(length)), []]


def test_a_run_ends_with_its_block():
    last = [0] * 20 + [1]
    assert encode([last, last]) == [[15, 20], [15, 20]]


def test_no_blocks_and_no_cells():
    assert encode(np.zeros((0, 5))) == []
    assert encode(np.zeros((3, 0))) == [[], [], []]


@pytest.mark.parametrize("longest_run", [1, 3, 15, 255])
def test_the_code_is_the_walk_over_the_cells(longest_run):
    rng = np.random.default_rng(longest_run)
    for density in (0.0, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0):
        for length in (1, 2, 16, 33, 120):
            mask = (rng.random((6, length)) < density).astype(np.uint8)
            assert encode(mask, longest_run) == [stored_positions(block, longest_run) for block in mask]


cells = st.lists(st.sampled_from([0] * 12 + [1]), min_size=1, max_size=150)


@settings(deadline=None, max_examples=150)
@given(mask=cells, bits=st.integers(1, 5))
def test_what_is_stored_decodes_to_the_block(mask, bits):
    longest_run = 2**bits - 1
    [positions] = encode([mask], longest_run)
    runs = as_runs(positions, mask)
    assert all(run <= longest_run for run, _ in runs)
    assert decode(runs, len(mask)) == mask
    assert all(value or run == longest_run for run, value in runs)  # a zero is stored only where it must be
    assert not runs or runs[-1][1] == 1


@pytest.mark.parametrize("longest_run", [1, 3, 15, 2**40])
@pytest.mark.parametrize("num_columns", [0, 1, 7, COLUMNS_AT_A_TIME - 1, COLUMNS_AT_A_TIME + 2])
def test_entries_of_columns_are_those_of_the_turned_mask(longest_run, num_columns):
    rng = np.random.default_rng(num_columns)
    for density in (0.0, 0.02, 0.3, 1.0):
        for length in (0, 1, 5, 40):
            mask = (rng.random((length, num_columns)) < density).astype(np.uint8)
            stored = run_length_entries(np.ascontiguousarray(mask.T), longest_run)[0][-1]
            assert num_column_entries(mask, longest_run) == stored


@pytest.mark.parametrize("longest_run", [1, 3, 15, 255])
def test_counts_of_runs_are_those_of_the_stored_entries(longest_run):
    rng = np.random.default_rng(longest_run)
    for density in (0.0, 0.01, 0.2, 1.0):
        for length in (0, 1, 17, 600):
            mask = (rng.random((4, length)) < density).astype(np.uint8)
            expected = [0] * (longest_run + 1)
            for block in mask:
                for run, _ in as_runs(stored_positions(block, longest_run), block):
                    expected[run] += 1
            assert run_counts(mask, longest_run).tolist() == expected


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 200])
@pytest.mark.parametrize("longest_run", [2, 3, 8, 128])
def test_runs_are_cut_where_a_walk_cuts_them(density, length, longest_run):
    mask = (np.random.default_rng(length).random((3, length)) < density).astype(np.uint8)
    expected = []
    for row in mask.tolist():
        runs, before, run = 0, None, 0
        for cell in row:
            starts = cell != before or run == longest_run
            runs, run, before = runs + starts, 1 if starts else run + 1, cell
        expected.append(runs)
    assert run_tokens(mask, longest_run).tolist() == expected
