"""A matrix whose rows are dealt to PEs, its columns stored in each PE in a zero-run code (EIE, ISCA 2016, sec. III)."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def interleaved_entries(mask, num_pes, index_bits):
    """Stored entries of every column in every PE; row i is in PE i mod num_pes.

    An entry is a non-zero with the number of zeros before it in this PE's part of the column. A longer run than
    2**index_bits - 1 stores explicit zeros; zeros behind the last non-zero are not stored.

    mask : uint8[K, C]   non-zeros, 0 or 1; K below 2**16 rows a PE
    Returns uint16[PE, C].
    """
    num_rows, num_columns = mask.shape
    entries = np.zeros((num_pes, num_columns), np.uint16)
    run = np.zeros(num_columns, np.uint16)  # zeros since the last non-zero
    shift = np.uint16(index_bits)
    for pe in range(num_pes):
        run[:] = 0
        for row in range(pe, num_rows, num_pes):
            for column in range(num_columns):  # without a branch, so that it runs on many columns at a time
                nonzero = np.uint16(mask[row, column])
                entries[pe, column] += nonzero * (np.uint16(1) + (run[column] >> shift))
                run[column] = (run[column] + np.uint16(1)) * (np.uint16(1) - nonzero)
    return entries


@njit(cache=True, nogil=True)
def line_reads(entry_ptr, columns, entries_per_line):
    """Lines that the PEs read of their memory when they walk some columns, which lie one behind the other in it.

    A column may begin anywhere in a line. The line that was read last is held, so that a column which begins in it
    costs a read only for what lies beyond.

    entry_ptr : int64[PE, C + 1]   place of the first entry of every column
    columns : int64[J]             columns that are walked, ascending
    """
    reads = np.int64(0)
    for pe in range(entry_ptr.shape[0]):
        held = np.int64(-1)
        for column in columns:
            first, after = entry_ptr[pe, column], entry_ptr[pe, column + 1]
            if first == after:
                continue
            last_line = (after - 1) // entries_per_line
            reads += last_line - max(first // entries_per_line - 1, held)
            held = last_line
    return reads


@njit(cache=True, nogil=True)
def accumulate_columns(entry_ptr, run, code, codebook, columns, activations):
    """Sums of the rows of every PE: the stored zero runs say which row an entry is of, the codebook what it weighs.

    entry_ptr : int64[PE, C + 1]; run, code : uint8[E], of every stored entry; codebook : int64[codes];
    columns : int64[J], those of non-zero activations; activations : int64[C]
    Returns int64[PE, rows], as many rows as any entry reaches.
    """
    reached = np.int64(0)
    for pe in range(entry_ptr.shape[0]):
        for column in range(entry_ptr.shape[1] - 1):
            row = np.int64(0)
            for entry in range(entry_ptr[pe, column], entry_ptr[pe, column + 1]):
                row += np.int64(run[entry]) + 1
            reached = max(reached, row)
    sums = np.zeros((entry_ptr.shape[0], reached), np.int64)
    for pe in range(entry_ptr.shape[0]):
        for column in columns:
            row = np.int64(-1)
            for entry in range(entry_ptr[pe, column], entry_ptr[pe, column + 1]):
                row += np.int64(run[entry]) + 1
                sums[pe, row] += codebook[code[entry]] * activations[column]
    return sums
