"""Zero-run-length coding: which entries a compressed block stores."""

import numpy as np
from numba import njit

COLUMNS_AT_A_TIME = 1024


@njit(cache=True, nogil=True)
def run_length_entries(mask, longest_run):
    """Stored entries of each block under a zero-run code (SCNN, ISCA 2017, sec. 4; Deep Compression, ICLR 2016).

    Every entry carries the number of zeros before it. A longer run stores explicit zeros, each after `longest_run`
    zeros; a block's trailing zeros are not stored.

    Parameters
    ----------
    mask : uint8[B, L]     non-zeros of B blocks of L cells, 0 or 1
    longest_run : int      2**bits - 1 of the run field

    Returns
    -------
    entry_ptr : int64[B + 1]   first entry of each block
    position : int32[E]        cell of each entry in its block, explicit zeros included
    """
    num_blocks, length = mask.shape
    nonzero_ptr = np.zeros(num_blocks + 1, np.int64)
    for block in range(num_blocks):
        nonzeros = np.int64(0)
        for cell in range(length):
            nonzeros += mask[block, cell]
        nonzero_ptr[block + 1] = nonzero_ptr[block] + nonzeros
    nonzero = np.empty(nonzero_ptr[num_blocks] + 1, np.int32)
    stored = np.int64(0)
    for block in range(num_blocks):
        for cell in range(length):  # without a branch, which random zeros would make the processor mispredict
            nonzero[stored] = cell
            stored += mask[block, cell]
    if length <= longest_run + 1:
        return nonzero_ptr, nonzero[:stored]
    return with_explicit_zeros(nonzero_ptr, nonzero, longest_run)


@njit(nogil=True)
def with_explicit_zeros(nonzero_ptr, nonzero, longest_run):
    """Entries of `run_length_entries` from the cells of the non-zeros, by adding the explicit zeros."""
    num_blocks = nonzero_ptr.size - 1
    entry_ptr = np.zeros(num_blocks + 1, np.int64)
    for block in range(num_blocks):
        stored, after_last = np.int64(0), np.int64(0)
        for index in range(nonzero_ptr[block], nonzero_ptr[block + 1]):
            stored += 1 + (nonzero[index] - after_last) // (longest_run + 1)
            after_last = nonzero[index] + 1
        entry_ptr[block + 1] = entry_ptr[block] + stored
    position = np.empty(entry_ptr[num_blocks], np.int32)
    entry = 0
    for block in range(num_blocks):
        after_last = np.int64(0)
        for index in range(nonzero_ptr[block], nonzero_ptr[block + 1]):
            while nonzero[index] - after_last > longest_run:
                position[entry] = after_last + longest_run
                after_last += longest_run + 1
                entry += 1
            position[entry] = nonzero[index]
            after_last = nonzero[index] + 1
            entry += 1
    return entry_ptr, position


@njit(cache=True, nogil=True)
def run_counts(mask, longest_run):
    """How many of the entries that `run_length_entries` stores have each run before them, without storing them.

    mask : uint8[B, L] -> int64[longest_run + 1], explicit zeros included: each comes after `longest_run` zeros
    """
    num_blocks, length = mask.shape
    counts = np.zeros(longest_run + 1, np.int64)
    for block in range(num_blocks):
        after_last = 0
        for cell in range(length):
            if mask[block, cell]:
                run = cell - after_last
                while run > longest_run:
                    counts[longest_run] += 1
                    run -= longest_run + 1
                counts[run] += 1
                after_last = cell + 1
    return counts


@njit(cache=True, nogil=True)
def num_column_entries(mask, longest_run):
    """Entries that `run_length_entries` stores of all columns, each a block: of mask.T, without storing or turning it.

    mask : uint8[L, B], 0 or 1, with L below 2**31; a part of the columns at a time, so that what is known of them stays
    in the processor's first cache, and choices instead of branches, so that the inner loop becomes vector instructions
    """
    length, num_blocks = mask.shape
    longest, zero, one = np.int32(min(longest_run, length)), np.int32(0), np.int32(1)
    run, explicit = np.zeros(COLUMNS_AT_A_TIME, np.int32), np.zeros(COLUMNS_AT_A_TIME, np.int32)
    total = np.int64(0)
    for first in range(0, num_blocks, COLUMNS_AT_A_TIME):
        stored = np.zeros(COLUMNS_AT_A_TIME, np.int32)
        run[:], explicit[:] = 0, 0
        for cell in range(length):
            row = mask[cell, first : first + COLUMNS_AT_A_TIME]
            for column in range(row.size):
                nonzero, waiting = np.int32(row[column]), explicit[column]
                ends = np.int32(run[column] == longest)  # an explicit zero, if a non-zero follows
                stored[column] += waiting + one if nonzero else zero
                explicit[column] = zero if nonzero else waiting + ends
                run[column] = zero if nonzero | ends else run[column] + one
        total += stored.sum()
    return total


@njit(cache=True, nogil=True)
def run_tokens(mask, longest_run):
    """Runs of zeros and of non-zeros that each block is cut into, none longer than `longest_run`, at least 2.

    mask : uint8[B, L], 0 or 1 -> int64[B]; changes are counted without branches, and runs are followed only in blocks
    with a stretch of equal cells half as long as the longest run, which every longer one covers
    """
    num_blocks, length = mask.shape
    stretch = longest_run // 2
    tokens = np.zeros(num_blocks, np.int64)
    for block in range(num_blocks):
        cells = mask[block]
        changes = np.int32(0)
        for cell in range(1, length):
            changes += np.int32(cells[cell] != cells[cell - 1])
        tokens[block] = changes + (length > 0)
        equal = False
        for first in range(0, length - stretch + 1, stretch):
            nonzeros = np.int32(0)
            for cell in range(first, first + stretch):
                nonzeros += np.int32(cells[cell])
            equal |= nonzeros == 0 or nonzeros == stretch
        if equal:
            tokens[block] += num_cuts(cells, longest_run)
    return tokens


@njit(nogil=True)
def num_cuts(cells, longest_run):
    """Cuts that runs longer than `longest_run` need: uint8[L] -> int."""
    cuts, started = np.int64(0), np.int64(0)
    for cell in range(1, cells.size + 1):
        if cell == cells.size or cells[cell] != cells[started]:
            cuts += (cell - started - 1) // longest_run
            started = cell
    return cuts
