"""What pruned and shared weights occupy, as Deep Compression stores them (Han et al., ICLR 2016, secs. 2 to 4)."""

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from layers import Conv

from archmodel.kernels.compression import run_length_entries

WORD_BYTES = 4  # of a weight, a bias and a value of a code book: float32
INDEX_BITS = 5  # of the run of zeros before a weight of a fully connected layer
LENGTH_BITS = 5  # of a Huffman code, in its book

Counts = npt.NDArray[np.int64]


def dense_bytes(layer: Conv) -> int:
    """Weights and biases."""
    return WORD_BYTES * layer.weights.size + bias_bytes(layer)


def pruned_bytes(layer: Conv) -> int:
    """Non-zeros with the runs of zeros before them, and zeros where a run is too long for its index."""
    values, _ = entries(layer)
    return -(-values.size * (8 * WORD_BYTES + INDEX_BITS) // 8) + bias_bytes(layer)


def shared_bytes(layer: Conv, bits: int) -> int:
    """As pruned, with indices of `bits` bits into a code book instead of values."""
    codes, _ = entries(layer)
    return -(-codes.size * (bits + INDEX_BITS) // 8) + 2**bits * WORD_BYTES + bias_bytes(layer)


class HuffmanLengths(NamedTuple):
    """What a layer stores: entries, those of them that are zeros, and the mean bits of a code and of a run."""

    entries: int
    explicit_zeros: int
    code_bits: float
    run_bits: float


def huffman_lengths(layer: Conv, bits: int) -> HuffmanLengths:
    """Of the Huffman codes of `huffman_bytes`."""
    codes, runs = entries(layer)
    of_codes, of_runs = np.bincount(codes, minlength=2**bits), np.bincount(runs, minlength=2**INDEX_BITS)
    means = huffman_bits(of_codes) / codes.size, huffman_bits(of_runs) / codes.size
    return HuffmanLengths(codes.size, int(of_codes[0]), *means)


def huffman_bytes(layer: Conv, bits: int) -> int:
    """As shared, with a Huffman code of the indices and one of the runs, and a length of each of their codes."""
    codes, runs = entries(layer)
    counts = np.bincount(codes, minlength=2**bits), np.bincount(runs, minlength=2**INDEX_BITS)
    num_bits = sum(huffman_bits(symbols) + LENGTH_BITS * symbols.size for symbols in counts)
    return -(-num_bits // 8) + 2**bits * WORD_BYTES + bias_bytes(layer)


def bias_bytes(layer: Conv) -> int:
    """Biases are neither pruned nor shared."""
    return WORD_BYTES * layer.biases.size


def entries(layer: Conv) -> tuple[Counts, Counts]:
    """Of each stored weight the code (1 where weights do not share values) and the run of zeros before it."""
    codes = layer.mask.astype(np.int64) if layer.codes is None else layer.codes
    mask = (codes != 0).astype(np.uint8).reshape(1, -1)
    _, places = run_length_entries(mask, 2**INDEX_BITS - 1)
    return codes.reshape(-1)[places], np.diff(places, prepend=-1) - 1


def huffman_bits(counts: Counts) -> int:
    """Bits of all symbols that occur so often, each in its Huffman code: the sum of all joined counts."""
    heap = [int(count) for count in counts if count]
    if len(heap) == 1:
        return heap[0]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total
