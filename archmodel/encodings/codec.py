"""What every encoding of a tensor has: it stores parts, says how many bytes they have, and gives the tensor back.

A tensor is an array of codes of `bits` bits, 0 the one that is not stored where zeros are skipped. Shape, width of a
code and sign are in a layer's description and not counted; anything else that a reader needs is in a part and counted.
Fields of a part follow each other without gaps, the most significant bit first; a part ends at a byte.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError
from archmodel.operands.operands import Mask, Values

AnyArray = npt.NDArray[Any]
WIDEST = 32  # bits of a code: a float32 is the uint32 that its array's `view` gives
MOST_CELLS = 2**31 - 1  # positions are int32


@dataclass(frozen=True)
class Cells:
    """A tensor as the codecs see it.

    mask : uint8 of the tensor's shape, 1 where the code is not 0
    bits : width of a code
    codes : int32 of the same shape, whose low `bits` are the code; None where only the zeros are known
    """

    mask: Mask
    bits: int
    codes: Values | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.mask.shape

    @property
    def size(self) -> int:
        """Cells of the tensor."""
        return self.mask.size

    @cached_property
    def nonzeros(self) -> int:
        """Cells whose code is not 0."""
        return int(np.count_nonzero(self.mask.view(np.bool_)))

    @cached_property
    def code_counts(self) -> npt.NDArray[np.int64]:
        """How often each code occurs: int64[2**bits]."""
        from archmodel.kernels.huffman import code_counts

        return code_counts(self.known_codes.reshape(-1), self.bits)

    @property
    def known_codes(self) -> Values:
        """The codes; WorkloadError where there are none."""
        if self.codes is None:
            raise WorkloadError("encoding: only the mask of the tensor is known; this needs its values")
        return self.codes


def cells_of(values: AnyArray, bits: int) -> Cells:
    """The cells of an array of whole numbers, each of which `bits` bits hold, with or without a sign."""
    check_tensor(values, bits)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    allowed = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if low < 0 else (0, 2**bits - 1)
    if low < allowed[0] or high > allowed[1]:
        raise WorkloadError(
            f"encoding: values {low} to {high}; allowed in {bits} bits: {allowed[0]} to {allowed[1]}"
        )
    codes = np.ascontiguousarray(values).astype(np.int32, copy=False).reshape(values.shape)
    return Cells((codes != 0).view(np.uint8), bits, codes)


def check_tensor(array: AnyArray, bits: int) -> None:
    """Raise WorkloadError unless the array is one that codecs take."""
    if not 1 <= bits <= WIDEST:
        raise WorkloadError(f"encoding: {bits} bits a value; allowed: 1 to {WIDEST}")
    if array.dtype.kind not in "biu":
        raise WorkloadError(f"encoding: values of type {array.dtype}; allowed: whole numbers, or float32 as uint32")
    if array.size > MOST_CELLS:
        raise WorkloadError(f"encoding: {array.size} values; allowed: up to {MOST_CELLS}")


@dataclass(frozen=True)
class Encoded:
    """A tensor as a codec stores it.

    parts : bytes by the name of what they hold
    codec, shape, bits, dtype : how it was made and what it was; `dtype` says whether codes have a sign
    """

    codec: "Codec"
    parts: Mapping[str, bytes]
    shape: tuple[int, ...]
    bits: int
    dtype: np.dtype[Any]
    signed: bool

    @property
    def num_bytes(self) -> int:
        """What is stored."""
        return sum(len(part) for part in self.parts.values())

    def decode(self) -> AnyArray:
        """The array that was encoded, of its shape and type."""
        codes = self.codec.codes(self.parts, self.shape, self.bits)
        if self.signed:
            above = WIDEST - self.bits
            codes = codes << above >> above
        elif self.bits == WIDEST:
            codes = codes.view(np.uint32)
        return codes.astype(self.dtype).reshape(self.shape)


class Codec(ABC):
    """A way to store a tensor; an instance is one format with its widths."""

    needs_values: ClassVar[bool] = False  # the size depends on the codes and not only on where zeros are
    makes_stream: ClassVar[bool] = False  # the size is known only from the bytes
    widest_bits: ClassVar[int] = WIDEST  # of a code

    def encode(self, values: AnyArray, bits: int) -> Encoded:
        """Store an array of whole numbers of `bits` bits each, of any shape."""
        cells = cells_of(values, bits)
        self.check_bits(bits)
        signed = bool(values.size and values.min() < 0)
        return Encoded(self, self.parts(cells), values.shape, bits, values.dtype, signed)

    def size_bytes(self, values: AnyArray, bits: int) -> int:
        """Bytes that `encode` stores, without storing where the format lets it be counted."""
        return sum(self.part_bytes(cells_of(values, bits)).values())

    def check_bits(self, bits: int) -> None:
        """Raise WorkloadError where a code of `bits` bits is wider than the format takes."""
        if bits > self.widest_bits:
            raise WorkloadError(f"{type(self).__name__}: {bits} bits a value; allowed: 1 to {self.widest_bits}")

    @abstractmethod
    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """Bytes of every part that `parts` would store."""

    @abstractmethod
    def parts(self, cells: Cells) -> dict[str, bytes]:
        """What is stored of cells whose codes are known."""

    @abstractmethod
    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """The codes of all cells, in order, without sign: int32[cells], of 32 bits those of the int32."""


def num_bytes(num_fields: int, bits: int) -> int:
    """Bytes of a part of fields of the same width."""
    return -(-num_fields * bits // 8)


def packed(fields: AnyArray, bits: int) -> bytes:
    """A part of fields of the same width; a width of 0 stores nothing."""
    from archmodel.kernels.bit_stream import pack_fields

    return pack_fields(fields.reshape(-1).astype(np.int32, copy=False), bits).tobytes() if bits else b""


def unpacked(part: bytes, num_fields: int, bits: int) -> Values:
    """The fields of a part, int32[num_fields]."""
    from archmodel.kernels.bit_stream import unpack_fields

    if len(part) != num_bytes(num_fields, bits):
        raise WorkloadError(f"encoding: a part of {len(part)} bytes; {num_fields} fields of {bits} bits are expected")
    return unpack_fields(np.frombuffer(part, np.uint8), num_fields, bits) if bits else np.zeros(num_fields, np.int32)


def width_of(largest: int, given: int | None = None) -> int:
    """Bits of a pointer or count up to `largest`: the smallest of 8, 16 and 32 that holds it, or the given width."""
    if given is None:
        return next(bits for bits in (8, 16, 32) if largest < 2**bits)
    if largest >= 2**given:
        raise WorkloadError(f"encoding: a pointer of {given} bits; {largest} entries need {largest.bit_length()}")
    return given


def index_width(length: int) -> int:
    """Bits that name one of `length` places."""
    return max(length - 1, 0).bit_length()


def nonzero_codes(cells: Cells) -> Values:
    """Codes of the non-zeros in order, int32[non-zeros]."""
    return cells.known_codes[cells.mask.view(np.bool_)]


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """A tensor as a matrix: its first dimension are the rows, the others the columns; a vector is one row."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))
