"""What pruned and shared weights occupy, as Deep Compression stores them (Han et al., ICLR 2016, secs. 2 to 4)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from layers import Conv

from archmodel.encodings.codec import cells_of
from archmodel.encodings.entropy_codes import HuffmanZeroRun
from archmodel.encodings.sparse_encodings import ZeroRun
from archmodel.kernels.huffman import code_counts, code_lengths

WORD_BYTES = 4  # of a weight, a bias and a value of a code book: float32
INDEX_BITS = 5  # of the run of zeros before a weight of a fully connected layer
ENTRIES = ZeroRun(INDEX_BITS)  # non-zeros with the zeros before them


def dense_bytes(layer: Conv) -> int:
    """Weights and biases."""
    return WORD_BYTES * layer.weights.size + bias_bytes(layer)


def pruned_bytes(layer: Conv) -> int:
    """Non-zeros with the runs of zeros before them, and zeros where a run is too long for its index."""
    return ENTRIES.size_bytes(layer.mask, 8 * WORD_BYTES) + bias_bytes(layer)


def shared_bytes(layer: Conv, bits: int) -> int:
    """As pruned, with indices of `bits` bits into a code book instead of values."""
    return ENTRIES.size_bytes(layer.codes, bits) + book_bytes(bits) + bias_bytes(layer)


class HuffmanLengths(NamedTuple):
    """What a layer stores: entries, those of them that are zeros, and the mean bits of a code and of a run."""

    entries: int
    explicit_zeros: int
    code_bits: float
    run_bits: float


def huffman_lengths(layer: Conv, bits: int) -> HuffmanLengths:
    """Of the Huffman codes of `huffman_bytes`."""
    _, codes, runs = ENTRIES.fields(cells_of(layer.codes, bits))
    return HuffmanLengths(codes.size, int((codes == 0).sum()), mean_bits(codes, bits), mean_bits(runs, INDEX_BITS))


def mean_bits(symbols: npt.NDArray[np.int32], bits: int) -> float:
    """Of the Huffman code of symbols of `bits` bits."""
    counts = code_counts(symbols, bits)
    return float(counts @ code_lengths(counts).astype(np.int64) / symbols.size)


def huffman_bytes(layer: Conv, bits: int) -> int:
    """As shared, with a Huffman code of the indices and one of the runs, and a length of each of their codes."""
    return HuffmanZeroRun(ENTRIES).size_bytes(layer.codes, bits) + book_bytes(bits) + bias_bytes(layer)


def book_bytes(bits: int) -> int:
    """A value for each index."""
    return 2**bits * WORD_BYTES


def bias_bytes(layer: Conv) -> int:
    """Biases are neither pruned nor shared."""
    return WORD_BYTES * layer.biases.size
