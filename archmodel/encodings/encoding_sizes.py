"""What a tensor takes in every format, beside each other, and as indices of shared weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.encodings.cell_encodings import Bitmask, Coordinate, Dense, ZeroFreeBricks
from archmodel.encodings.codec import AnyArray, Cells, Codec, Encoded, cells_of, check_tensor, index_width
from archmodel.encodings.entropy_codes import Huffman, HuffmanZeroRun, Zlib
from archmodel.encodings.sparse_encodings import CompressedSparse, InterleavedColumns, ZeroRun
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Mask

CODECS: Mapping[str, Codec] = {
    "dense": Dense(),
    "bitmask": Bitmask(),
    "zvc": Bitmask(window=32),
    "zero_run": ZeroRun(),
    "csr": CompressedSparse("row"),
    "csc": CompressedSparse("column"),
    "interleaved_csc": InterleavedColumns(pointer_bits=None),
    "coordinate": Coordinate(),
    "huffman": Huffman(),
    "huffman_zero_run": HuffmanZeroRun(),
    "zlib": Zlib(),
    "zlib_4k": Zlib(window_bytes=4096),
    "zlib_zvc": Zlib(Bitmask(window=32)),
}
MACHINE_CODECS: Mapping[str, Codec] = {  # whose sizes say something about the machine only
    "step_index": ZeroRun(index_bits=8, restart="row"),
    "zfnaf": ZeroFreeBricks(),
}
CATALOGUE: Mapping[str, Codec] = {**CODECS, **MACHINE_CODECS}


@dataclass(frozen=True)
class Sizes:
    """Bytes of a tensor in one format, by what they hold."""

    parts: Mapping[str, int]

    @property
    def num_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


def sizes(
    mask: Mask, bits: int, values: AnyArray | None = None, codecs: Mapping[str, Codec] = CODECS, streams: bool = False
) -> dict[str, Sizes]:
    """Bytes of a tensor of codes of `bits` bits in every format that what is known of it decides.

    mask : uint8, 1 where the value is not 0
    values : whole numbers of the same shape; without them formats whose size depends on values are left out
    streams : also formats whose size is known only from the bytes, zlib's
    """
    if values is None:
        check_tensor(mask, bits)
        cells = Cells(mask, bits)
    else:
        cells = cells_of(values, bits)
        if mask.shape != cells.shape or not np.array_equal(mask, cells.mask):
            raise WorkloadError("encoding: the mask is not that of the values")
    return {
        name: Sizes(codec.part_bytes(cells))
        for name, codec in codecs.items()
        if bits <= codec.widest_bits
        and (values is not None or not codec.needs_values)
        and (streams or not codec.makes_stream)
    }


def smallest(found: Mapping[str, Sizes]) -> str:
    """The format with the fewest bytes; of equal ones the first."""
    return min(found, key=lambda name: found[name].num_bytes)


def bytes_of_weights(mask: Mask, bits: int) -> dict[str, int]:
    """Bytes of kernels [K, C / groups, R, S] in every format that the zeros decide: rows are filters."""
    return {name: found.num_bytes for name, found in sizes(mask, bits).items()}


def bytes_of_inputs(mask: Mask, bits: int) -> dict[str, int]:
    """The same of activations [N, C, H, W], as a matrix with a row for each channel of an image.

    Without the columns of EIE, which deals rows of weights to its PEs.
    """
    N, C, H, W = mask.shape
    codecs = {name: codec for name, codec in CODECS.items() if not isinstance(codec, InterleavedColumns)}
    return {name: found.num_bytes for name, found in sizes(mask.reshape(N * C, H * W), bits, codecs=codecs).items()}


@dataclass(frozen=True)
class SharedWeights:
    """Weights that share values: codes as a codec stores them, and the book (Han et al., Deep Compression, ICLR 2016).

    book : float32[codes], the value of every code, that of code 0, which is zero, included
    """

    codes: Encoded
    book: npt.NDArray[np.float32]

    @property
    def parts(self) -> dict[str, bytes]:
        """Parts of the codes, and of the book 4 bytes a value, the lowest byte first."""
        return {**self.codes.parts, "book": self.book.astype("<f4").tobytes()}

    @property
    def num_bytes(self) -> int:
        """What is stored."""
        return sum(len(part) for part in self.parts.values())

    def decode(self) -> npt.NDArray[np.float32]:
        """The weights."""
        return self.book[self.codes.decode()]


def encode_shared(codec: Codec, codes: AnyArray, book: npt.NDArray[np.float32]) -> SharedWeights:
    """Store weights `book[codes]` by indices of as many bits as the book needs."""
    if not book.size or book[0] != 0:
        raise WorkloadError("encoding: the first of the shared weights is not 0, which code 0 stands for")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < book.size:
        raise WorkloadError(f"encoding: codes {codes.min()} to {codes.max()}; allowed: 0 to {book.size - 1}")
    return SharedWeights(codec.encode(codes, max(index_width(book.size), 1)), book)
