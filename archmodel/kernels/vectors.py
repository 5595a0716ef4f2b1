"""Packing the entries of compressed blocks into the vectors that a multiplier array fetches."""

import numpy as np
from numba import njit

from archmodel.kernels.lanes import NUM_LANES, ROW_BYTES


@njit(cache=True, nogil=True)
def vector_ptr(entry_ptr, width):
    """First vector of each block; a vector holds up to `width` entries of one block.  int64[B + 1]"""
    first = np.zeros(entry_ptr.size, np.int64)
    for block in range(entry_ptr.size - 1):
        first[block + 1] = first[block] + (entry_ptr[block + 1] - entry_ptr[block] + width - 1) // width
    return first


@njit(cache=True, nogil=True)
def pack_vectors(entry_ptr, position, code, width, unused):
    """Entries as vectors of one block each, spelt by the code of their cells.

    entry_ptr : int64[B + 1]; position : int32[E], cell of each entry; code : uint8[L] or int32[L], of each cell;
    width : entries a vector; unused : code of a slot without an entry
    Returns the first vector of each block, int64[B + 1], and the vectors, [V, width] in the type of `code`.
    """
    first = vector_ptr(entry_ptr, width)
    vectors = np.full((first[-1], width), unused, code.dtype)
    for block in range(entry_ptr.size - 1):
        for index in range(entry_ptr[block + 1] - entry_ptr[block]):
            vectors[first[block] + index // width, index % width] = code[position[entry_ptr[block] + index]]
    return first, vectors


@njit(cache=True, nogil=True)
def pack_bank_counts(entry_ptr, position, bank, width):
    """Activation vectors as the bank counts that `lanes.issue_rotated_in_python` rotates.

    entry_ptr : int64[B + 1]; position : int32[E], cell of each entry; bank : uint8[L], of each cell with a weight of
    bank 0; width : entries a vector
    Returns the first vector of each block, int64[B + 1], and the counts, uint8[V, 128].
    """
    first = vector_ptr(entry_ptr, width)
    counts = np.zeros((first[-1], ROW_BYTES), np.uint8)
    for block in range(entry_ptr.size - 1):
        row, filled = first[block], 0
        for entry in range(entry_ptr[block], entry_ptr[block + 1]):
            if filled == width:
                row, filled = row + 1, 0
            lane = np.int64(bank[position[entry]])
            counts[row, lane] += np.uint8(1)
            counts[row, lane + NUM_LANES] += np.uint8(1)
            filled += 1
    return first, counts
