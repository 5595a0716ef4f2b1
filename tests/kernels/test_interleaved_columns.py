"""Stored entries of interleaved rows against a walk over the cells, lines against a walk over addresses."""

import numpy as np
import pytest

from archmodel.kernels.interleaved_columns import accumulate_columns, interleaved_entries, line_reads
from tests.reference.run_length import stored_positions


def entries_of(mask, num_pes, index_bits=4):
    return interleaved_entries(np.array(mask, np.uint8), num_pes, index_bits).tolist()


@pytest.mark.parametrize("index_bits", [1, 2, 4])
@pytest.mark.parametrize("num_pes", [1, 3, 7])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.3, 1.0])
def test_every_pe_stores_the_runs_of_its_own_rows(index_bits, num_pes, density):
    rng = np.random.default_rng(num_pes)
    for rows in (1, 5, 80):
        mask = (rng.random((rows, 9)) < density).astype(np.uint8)
        by_hand = [
            [len(stored_positions(mask[pe::num_pes, column], 2**index_bits - 1)) for column in range(9)]
            for pe in range(num_pes)
        ]
        assert entries_of(mask, num_pes, index_bits) == by_hand


@pytest.mark.parametrize(("zeros", "stored"), [(0, 1), (15, 1), (16, 2), (31, 2), (32, 3)])
def test_a_run_starts_again_in_every_column_and_pe(zeros, stored):
    # Two PEs with the same rows, two columns with the same cells.
    column = np.repeat([0] * zeros + [1], 2)
    assert entries_of(np.stack([column, column], axis=1), 2) == [[stored, stored]] * 2


def test_zeros_behind_the_last_weight_are_not_stored():
    assert entries_of([[1]] + [[0]] * 100, 1) == [[1]]


def lines_by_address(entries, columns, per_line):
    reads = 0
    for of_pe in entries:
        places = np.repeat(np.arange(len(of_pe)), of_pe)
        lines = [address // per_line for address, column in enumerate(places) if column in columns]
        reads += sum(index == 0 or line != lines[index - 1] for index, line in enumerate(lines))
    return reads


@pytest.mark.parametrize("per_line", [1, 3, 8, 64])
@pytest.mark.parametrize("seed", range(6))
def test_lines_are_those_of_the_addresses(per_line, seed):
    rng = np.random.default_rng(seed)
    entries = rng.poisson(rng.choice([0.2, 2.0, 9.0]), (3, 20))
    columns = np.flatnonzero(rng.random(20) < rng.choice([0.2, 0.7, 1.0]))
    entry_ptr = np.concatenate([np.zeros((3, 1), np.int64), np.cumsum(entries, axis=1)], axis=1)
    assert line_reads(entry_ptr, columns, per_line) == lines_by_address(entries, columns.tolist(), per_line)


def test_no_columns_read_nothing():
    assert line_reads(np.zeros((2, 4), np.int64), np.zeros(0, np.int64), 8) == 0


def test_sums_follow_runs_and_codes():
    # PE 0: column 0 has rows 1 and 2, column 1 has row 0; PE 1: column 1 has row 2 behind a stored zero.
    entry_ptr = np.array([[0, 2, 3], [3, 3, 5]])
    run, code = np.array([1, 0, 0, 1, 0], np.uint8), np.array([1, 2, 2, 0, 1], np.uint8)
    codebook, activations = np.array([0, 7, -3]), np.array([10, 100])
    sums = accumulate_columns(entry_ptr, run, code, codebook, np.array([0, 1]), activations)
    assert sums.tolist() == [[-300, 70, -30], [0, 0, 700]]
    assert accumulate_columns(entry_ptr, run, code, codebook, np.array([0]), activations).tolist() == [
        [0, 70, -30],
        [0] * 3,
    ]
