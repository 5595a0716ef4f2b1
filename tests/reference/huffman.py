"""Naive twin of kernels/huffman.py: trees of symbols in a heap, and codes as text."""

import heapq


def least_bits(counts):
    """Bits of all symbols in Huffman's code: every merge lengthens the codes of what it merges by one bit."""
    heap = [count for count in counts if count]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        total += pair
        heapq.heappush(heap, pair)
    return total


def canonical(lengths):
    """Codes as text, symbol by symbol, '' where there is none: counting up in binary, shortest first."""
    codes, value, width = [""] * len(lengths), 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        if width:
            value += 1
        value <<= length - width
        width = length
        codes[symbol] = format(value, f"0{length}b")
    return codes
