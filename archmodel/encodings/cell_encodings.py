"""Formats that store a tensor as it is, or its non-zeros cell by cell. docs/encodings.md has them to the bit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archmodel.encodings.codec import (
    Cells,
    Codec,
    index_width,
    matrix_shape,
    nonzero_codes,
    num_bytes,
    packed,
    unpacked,
)
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Values

COUNT_BITS = 32  # of the one count that a list of coordinates has


@dataclass(frozen=True)
class Dense(Codec):
    """Every code."""

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        return {"values": num_bytes(cells.size, cells.bits)}

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        return {"values": packed(cells.known_codes, cells.bits)}

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        return unpacked(parts["values"], math.prod(shape), bits)


@dataclass(frozen=True)
class Bitmask(Codec):
    """A bit for every code, 1 where it is not 0, and the codes that are not 0.

    The mask is of whole windows. With windows of 32 it is cDMA's zero-value compression (Rhu et al., HPCA 2018,
    recalled: 32 words of 4 bytes have a mask of 32 bits), where masks stand between the words of their windows.
    """

    window: int = 1

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        mask_bits = -(-cells.size // self.window) * self.window
        return {"mask": num_bytes(mask_bits, 1), "values": num_bytes(cells.nonzeros, cells.bits)}

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        mask = np.packbits(cells.mask).tobytes()
        return {
            "mask": mask.ljust(self.part_bytes(cells)["mask"], b"\0"),
            "values": packed(nonzero_codes(cells), cells.bits),
        }

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        mask = np.unpackbits(np.frombuffer(parts["mask"], np.uint8), count=math.prod(shape)).view(np.bool_)
        codes = np.zeros(mask.size, np.int32)
        codes[mask] = unpacked(parts["values"], int(np.count_nonzero(mask)), bits)
        return codes


@dataclass(frozen=True)
class Coordinate(Codec):
    """Non-zeros, their number (32 bits), and of each the place along every dimension in as many bits as that needs."""

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        places = {
            f"axis_{axis}": num_bytes(cells.nonzeros, index_width(length)) for axis, length in enumerate(cells.shape)
        }
        values = num_bytes(cells.nonzeros, cells.bits)
        return {"count": num_bytes(1, COUNT_BITS), **places, "values": values}

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        place = np.flatnonzero(cells.mask)
        places = {}
        for axis, length in reversed(list(enumerate(cells.shape))):
            place, along = np.divmod(place, length)
            places[f"axis_{axis}"] = packed(along, index_width(length))
        count = packed(np.array([cells.nonzeros]), COUNT_BITS)
        return {"count": count, **places, "values": packed(nonzero_codes(cells), cells.bits)}

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        nonzeros = int(unpacked(parts["count"], 1, COUNT_BITS)[0])
        place = np.zeros(nonzeros, np.int64)
        for axis, length in enumerate(shape):
            place = place * length + unpacked(parts[f"axis_{axis}"], nonzeros, index_width(length))
        codes = np.zeros(math.prod(shape), np.int32)
        codes[place] = unpacked(parts["values"], nonzeros, bits)
        return codes


@dataclass(frozen=True)
class ZeroFreeBricks(Codec):
    """Rows in bricks of cells, the non-zeros of each first, with a place in the brick beside every code.

    Cnvlutin's zero-free neuron array format (Albericio et al., ISCA 2016): bricks of 16 neurons along the features and
    offsets of 4 bits. A brick keeps the room of all its cells, so that it can be found without its neighbours: the
    format saves cycles and no bytes. The last brick of a row has the cells that are left.
    """

    brick: int = 16
    offset_bits: int = 4

    def __post_init__(self) -> None:
        """Refuse offsets that do not reach every cell of a brick."""
        if not 1 <= self.brick <= 2**self.offset_bits:
            raise WorkloadError(
                f"encoding: bricks of {self.brick}; allowed with {self.offset_bits} bits of offset: "
                f"1 to {2**self.offset_bits}"
            )

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        return {"values": num_bytes(cells.size, cells.bits), "offsets": num_bytes(cells.size, self.offset_bits)}

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        rows, columns = matrix_shape(cells.shape)
        brick, offset = np.divmod(np.arange(columns), self.brick)
        is_zero = cells.mask.reshape(rows, columns) == 0
        order = np.argsort(2 * brick + is_zero, axis=1, kind="stable")
        codes = np.take_along_axis(cells.known_codes.reshape(rows, columns), order, axis=1)
        return {"values": packed(codes, cells.bits), "offsets": packed(offset[order], self.offset_bits)}

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        rows, columns = matrix_shape(shape)
        offsets = unpacked(parts["offsets"], rows * columns, self.offset_bits).reshape(rows, columns)
        first = np.arange(columns) // self.brick * self.brick
        codes = np.zeros((rows, columns), np.int32)
        values = unpacked(parts["values"], rows * columns, bits).reshape(rows, columns)
        np.put_along_axis(codes, (first + offsets).astype(np.int64), values, axis=1)
        return codes.reshape(-1)
