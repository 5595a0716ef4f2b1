"""Huffman's code of counted symbols (Proc. IRE 40, 1952), in its canonical form: the lengths say all."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def code_counts(words, bits):
    """How often each of the 2**bits codes occurs as the low `bits` of a word; int32[n] -> int64[2**bits]."""
    counts = np.zeros(1 << bits, np.int64)
    low, nonzeros = (1 << bits) - 1, np.int64(0)
    for word in words:
        if word:  # most are zero, and one counter for all of them would wait for itself
            counts[word & low] += 1
            nonzeros += 1
    counts[0] += words.size - nonzeros
    return counts


@njit(cache=True, nogil=True)
def code_lengths(counts):
    """Bits of each symbol's code in a code of the least total length; 0 where a symbol does not occur.

    A symbol that is alone has one bit. The symbols in ascending order of their counts and the pairs in the order in
    which they are made are two sorted queues, so that the two rarest are at their heads.

    counts : int64[symbols] -> uint8[symbols]
    """
    lengths = np.zeros(counts.size, np.uint8)
    used = np.flatnonzero(counts)
    if used.size < 2:
        lengths[used] = 1
        return lengths
    order = used[np.argsort(counts[used], kind="mergesort")]
    num_leaves = order.size
    count = np.empty(2 * num_leaves - 1, np.int64)
    count[:num_leaves] = counts[order]
    parent = np.empty(2 * num_leaves - 1, np.int64)
    leaf, pair = 0, num_leaves
    for made in range(num_leaves, 2 * num_leaves - 1):
        count[made] = 0
        for _ in range(2):
            if leaf < num_leaves and (pair == made or count[leaf] <= count[pair]):
                rarest = leaf
                leaf += 1
            else:
                rarest = pair
                pair += 1
            count[made] += count[rarest]
            parent[rarest] = made
    depth = np.zeros(2 * num_leaves - 1, np.uint8)
    for node in range(2 * num_leaves - 3, -1, -1):
        depth[node] = depth[parent[node]] + np.uint8(1)
    lengths[order] = depth[:num_leaves]
    return lengths


@njit(cache=True, nogil=True)
def canonical_codes(lengths):
    """The code of each symbol: ascending with the length, then with the symbol, each the one before plus 1.

    lengths : uint8[symbols], at most 63
    Returns code : uint64[symbols], num_of_length : int64[64], symbol_order : int32[used symbols].
    """
    num_of_length = np.zeros(64, np.int64)
    for length in lengths:
        if length:
            num_of_length[length] += 1
    next_code, place = np.zeros(64, np.uint64), np.zeros(64, np.int64)
    for length in range(1, 64):
        next_code[length] = (next_code[length - 1] + np.uint64(num_of_length[length - 1])) << np.uint64(1)
        place[length] = place[length - 1] + num_of_length[length - 1]
    code = np.zeros(lengths.size, np.uint64)
    symbol_order = np.empty(num_of_length.sum(), np.int32)
    for symbol in range(lengths.size):
        length = lengths[symbol]
        if length:
            code[symbol] = next_code[length]
            next_code[length] += np.uint64(1)
            symbol_order[place[length]] = symbol
            place[length] += 1
    return code, num_of_length, symbol_order
