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
def pack_vectors(entry_ptr, code, width, unused):
    """Codes of the entries as vectors of one block each.

    entry_ptr : int64[B + 1]; code : uint8[E] or int32[E]; unused : code of a slot without an entry
    Returns the first vector of each block, int64[B + 1], and the vectors, [V, width] in the type of `code`.
    """
    first = vector_ptr(entry_ptr, width)
    vectors = np.full((first[-1], width), unused, code.dtype)
    for block in range(entry_ptr.size - 1):
        for index in range(entry_ptr[block + 1] - entry_ptr[block]):
            vectors[first[block] + index // width, index % width] = code[entry_ptr[block] + index]
    return first, vectors


@njit(cache=True, nogil=True)
def pack_bank_counts(entry_ptr, rotation, width):
    """Activation vectors as the bank counts that `lanes.issue_rotated_in_python` rotates.

    entry_ptr : int64[B + 1]; rotation : uint8[E], bank of each entry for a weight of bank 0; width : entries a vector
    Returns the first vector of each block, int64[B + 1], and the counts, uint8[V, 128].
    """
    first = vector_ptr(entry_ptr, width)
    counts = np.zeros((first[-1], ROW_BYTES), np.uint8)
    for block in range(entry_ptr.size - 1):
        for index in range(entry_ptr[block + 1] - entry_ptr[block]):
            row, bank = first[block] + index // width, np.int64(rotation[entry_ptr[block] + index])
            counts[row, bank] += np.uint8(1)
            counts[row, bank + NUM_LANES] += np.uint8(1)
    return first, counts
