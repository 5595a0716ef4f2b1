"""Entries packed into vectors, against portions of a list."""

import numpy as np
import pytest

from archmodel.kernels.lanes import NUM_LANES, ROW_BYTES
from archmodel.kernels.vectors import pack_bank_counts, pack_vectors, vector_ptr
from tests.reference.run_length import in_vectors

SIZES = [[], [0], [1], [0, 0, 3, 0], [4, 4], [5, 0, 1, 8, 7], [3, 13, 2, 0]]


def blocks_of(sizes, highest, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, highest, size).tolist() for size in sizes]


def entry_ptr_of(blocks):
    return np.cumsum([0, *(len(block) for block in blocks)]).astype(np.int64)


def cells_and_codes(blocks, dtype):
    """Entries dealt to cells in a random order, and the code of every cell."""
    entries = [entry for block in blocks for entry in block]
    position = np.random.default_rng(2).permutation(len(entries) + 3)[: len(entries)].astype(np.int32)
    code = np.full(len(entries) + 3, 7, dtype)
    code[position] = entries
    return position, code


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("width", [1, 2, 4, 16])
@pytest.mark.parametrize(("dtype", "unused"), [(np.uint8, 64), (np.int32, -1)])
def test_a_vector_holds_entries_of_one_block(sizes, width, dtype, unused):
    blocks = blocks_of(sizes, 60)
    first, packed = pack_vectors(entry_ptr_of(blocks), *cells_and_codes(blocks, dtype), width, unused)
    expected = [in_vectors(block, width) for block in blocks]
    assert np.diff(first).tolist() == [len(vectors) for vectors in expected]
    full = [vector + [unused] * (width - len(vector)) for vectors in expected for vector in vectors]
    assert packed.tolist() == full
    assert packed.dtype == dtype
    assert vector_ptr(entry_ptr_of(blocks), width).tolist() == first.tolist()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("width", [1, 2, 4, 16])
def test_bank_counts_are_the_histogram_of_a_vector_twice_and_then_zeros(sizes, width):
    blocks = blocks_of(sizes, NUM_LANES, seed=1)
    first, counts = pack_bank_counts(entry_ptr_of(blocks), *cells_and_codes(blocks, np.uint8), width)
    vectors = [vector for block in blocks for vector in in_vectors(block, width)]
    histograms = [[vector.count(lane) for lane in range(NUM_LANES)] for vector in vectors]
    assert counts.shape == (len(vectors), ROW_BYTES)
    assert counts.tolist() == [histogram * 2 + [0] * (ROW_BYTES - 2 * NUM_LANES) for histogram in histograms]
    assert first.tolist() == vector_ptr(entry_ptr_of(blocks), width).tolist()


@pytest.mark.parametrize("width", [1, 4])
def test_a_vector_of_the_width_is_full_and_one_more_entry_starts_another(width):
    assert vector_ptr(np.array([0, width, 2 * width + 1]), width).tolist() == [0, 1, 3]
