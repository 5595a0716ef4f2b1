"""What pruned and shared weights occupy, as Deep Compression stores them (Han et al., ICLR 2016, secs. 2 to 4)."""

from layers import Conv

from archmodel.encodings.entropy_codes import HuffmanZeroRun
from archmodel.encodings.sparse_encodings import ZeroRun

WORD_BYTES = 4  # of a weight, a bias and a value of a code book: float32
ENTRIES = ZeroRun(index_bits=5)  # non-zeros with the zeros before them; 5 bits in fully connected layers


def dense_bytes(layer: Conv) -> int:
    """Weights and biases."""
    return WORD_BYTES * layer.weights.size + bias_bytes(layer)


def pruned_bytes(layer: Conv) -> int:
    """Non-zeros with the runs of zeros before them, and zeros where a run is too long for its index."""
    return ENTRIES.size_bytes(layer.mask, 8 * WORD_BYTES) + bias_bytes(layer)


def shared_bytes(layer: Conv, bits: int) -> int:
    """As pruned, with indices of `bits` bits into a code book instead of values."""
    return ENTRIES.size_bytes(layer.codes, bits) + book_bytes(bits) + bias_bytes(layer)


def huffman_bytes(layer: Conv, bits: int) -> int:
    """As shared, with a Huffman code of the indices and one of the runs, and a length of each of their codes."""
    return HuffmanZeroRun(ENTRIES).size_bytes(layer.codes, bits) + book_bytes(bits) + bias_bytes(layer)


def book_bytes(bits: int) -> int:
    """A value for each index."""
    return 2**bits * WORD_BYTES


def bias_bytes(layer: Conv) -> int:
    """Biases are neither pruned nor shared."""
    return WORD_BYTES * layer.biases.size
