"""Zero-run-length coding: which entries a compressed block stores."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def run_length_entries(mask, longest_run):
    """Stored entries of each block under a zero-run code (SCNN, ISCA 2017, sec. 4; Deep Compression, ICLR 2016).

    Every entry carries the number of zeros before it. A longer run stores explicit zeros, each after `longest_run`
    zeros; a block's trailing zeros are not stored.

    Parameters
    ----------
    mask : uint8[B, L]     non-zeros of B blocks of L cells
    longest_run : int      2**bits - 1 of the run field

    Returns
    -------
    entry_ptr : int64[B + 1]   first entry of each block
    position : int32[E]        cell of each entry in its block, explicit zeros included
    """
    num_blocks, length = mask.shape
    entry_ptr = np.zeros(num_blocks + 1, np.int64)
    for block in range(num_blocks):
        stored, after_last = 0, 0
        for cell in range(length):
            if mask[block, cell]:
                stored += 1 + (cell - after_last) // (longest_run + 1)
                after_last = cell + 1
        entry_ptr[block + 1] = entry_ptr[block] + stored
    position = np.empty(entry_ptr[num_blocks], np.int32)
    for block in range(num_blocks):
        entry, after_last = entry_ptr[block], 0
        for cell in range(length):
            if mask[block, cell]:
                while cell - after_last > longest_run:
                    position[entry] = after_last + longest_run
                    after_last += longest_run + 1
                    entry += 1
                position[entry] = cell
                after_last = cell + 1
                entry += 1
    return entry_ptr, position
