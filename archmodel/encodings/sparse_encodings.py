"""Formats that store non-zeros block by block: zero runs, CSR, CSC, EIE's columns. docs/encodings.md has the bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from archmodel.encodings.blocks import (
    Restart,
    as_blocks,
    blocks_shape,
    dealt_blocks,
    filled_blocks,
    gathered_rows,
    in_order,
    pointers_of_pes,
    zero_run_entries,
)
from archmodel.encodings.codec import Cells, Codec, index_width, matrix_shape, num_bytes, packed, unpacked, width_of
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Values

MOST_INDEX_BITS = 16
MOST_ROWS = 2**16 - 1  # of a PE


def check_index_bits(index_bits: int) -> None:
    """Raise WorkloadError unless a run can have so many bits."""
    if not 1 <= index_bits <= MOST_INDEX_BITS:
        raise WorkloadError(f"encoding: runs of {index_bits} bits; allowed: 1 to {MOST_INDEX_BITS}")


@dataclass(frozen=True)
class ZeroRun(Codec):
    """Non-zeros, each with the zeros before it; a longer run stores explicit zeros (Deep Compression, ICLR 2016).

    `restart` says where runs start anew: nowhere (the released SqueezeNet), in every row (filter), every column
    or every channel (SCNN, ISCA 2017). Zeros behind the last non-zero of a block are not stored, so the number of
    entries of every block is.
    """

    index_bits: int = 4
    restart: Restart = "layer"

    def __post_init__(self) -> None:
        """Refuse an index that no counter of runs has."""
        check_index_bits(self.index_bits)

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        return self.sizes(cells, self.num_entries(cells))

    def sizes(self, cells: Cells, num_entries: int) -> dict[str, int]:
        """Bytes of the parts with so many entries."""
        num_blocks, length = blocks_shape(cells.shape, self.restart)
        return {
            "counts": num_bytes(num_blocks, width_of(length)),
            "values": num_bytes(num_entries, cells.bits),
            "runs": num_bytes(num_entries, self.index_bits),
        }

    def num_entries(self, cells: Cells) -> int:
        """Stored entries, explicit zeros included."""
        from archmodel.kernels.compression import num_column_entries, run_counts

        longest_run = 2**self.index_bits - 1
        if self.restart == "column":
            return int(num_column_entries(cells.mask.reshape(matrix_shape(cells.shape)), longest_run))
        return int(run_counts(as_blocks(cells.mask, self.restart), longest_run).sum())

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        counts, codes, runs = self.fields(cells)
        return {"counts": counts, "values": packed(codes, cells.bits), "runs": packed(runs, self.index_bits)}

    def fields(self, cells: Cells) -> tuple[bytes, Values, Values]:
        """The part of the counts, and of every entry its code and run."""
        entries = zero_run_entries(as_blocks(cells.mask, self.restart), 2**self.index_bits - 1)
        codes = as_blocks(cells.known_codes, self.restart).reshape(-1)[entries.cells]
        width = width_of(blocks_shape(cells.shape, self.restart)[1])
        return packed(np.diff(entries.pointers), width), codes, entries.runs

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        per_block = self.per_block(parts, shape)
        num_entries = int(per_block.sum())
        codes = unpacked(parts["values"], num_entries, bits)
        runs = unpacked(parts["runs"], num_entries, self.index_bits)
        return self.cells(per_block, runs, codes, shape)

    def per_block(self, parts: Mapping[str, bytes], shape: tuple[int, ...]) -> Values:
        """Entries of every block."""
        num_blocks, length = blocks_shape(shape, self.restart)
        return unpacked(parts["counts"], num_blocks, width_of(length))

    def cells(self, per_block: Values, runs: Values, codes: Values, shape: tuple[int, ...]) -> Values:
        """The codes of all cells from those of the entries."""
        blocks = filled_blocks(per_block.astype(np.int64), runs, codes, blocks_shape(shape, self.restart))
        return in_order(blocks, shape, self.restart)


@dataclass(frozen=True)
class CompressedSparse(Codec):
    """Non-zeros row by row (CSR) or column by column (CSC), each with its place in the row or column.

    A place has as many bits as the length of a row needs; a pointer to the first entry of each row, and one behind
    the last, has `pointer_bits`, or the smallest of 8, 16 and 32 that holds the number of non-zeros.
    """

    by: Literal["row", "column"] = "row"
    pointer_bits: int | None = None

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        num_blocks, length = blocks_shape(cells.shape, self.by)
        return {
            "pointers": num_bytes(num_blocks + 1, width_of(cells.nonzeros, self.pointer_bits)),
            "indices": num_bytes(cells.nonzeros, index_width(length)),
            "values": num_bytes(cells.nonzeros, cells.bits),
        }

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        blocks = as_blocks(cells.mask, self.by)
        length = blocks.shape[1]
        entries = zero_run_entries(blocks, length)  # no run is longer: non-zeros only
        codes = as_blocks(cells.known_codes, self.by).reshape(-1)[entries.cells]
        return {
            "pointers": packed(entries.pointers, width_of(cells.nonzeros, self.pointer_bits)),
            "indices": packed(entries.cells % max(length, 1), index_width(length)),
            "values": packed(codes, cells.bits),
        }

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        num_blocks, length = blocks_shape(shape, self.by)
        width = self.pointer_bits or len(parts["pointers"]) * 8 // (num_blocks + 1)
        pointers = unpacked(parts["pointers"], num_blocks + 1, width)
        per_block, nonzeros = np.diff(pointers), int(pointers[-1])
        place = unpacked(parts["indices"], nonzeros, index_width(length))
        codes = np.zeros(num_blocks * length, np.int32)
        codes[np.repeat(np.arange(num_blocks) * length, per_block) + place] = unpacked(parts["values"], nonzeros, bits)
        return in_order(codes, shape, self.by)


@dataclass(frozen=True)
class InterleavedColumns(Codec):
    """CSC of a matrix whose rows are dealt to PEs, places as zero runs that restart at each column (EIE, ISCA 2016).

    Every PE has a pointer to the first of its entries of each column, and one behind the last. EIE's pointers have
    16 bits; without a width they have the smallest of 8, 16 and 32 that holds the entries of the fullest PE.
    """

    num_pes: int = 64
    index_bits: int = 4
    pointer_bits: int | None = 16

    def __post_init__(self) -> None:
        """Refuse an index that no counter of runs has."""
        check_index_bits(self.index_bits)

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        from archmodel.kernels.interleaved_columns import interleaved_entries

        num_rows, columns = matrix_shape(cells.shape)
        if num_rows > self.num_pes * MOST_ROWS:
            raise WorkloadError(f"encoding: {num_rows} rows in {self.num_pes} PEs; allowed: {MOST_ROWS} a PE")
        mask = cells.mask.reshape(num_rows, columns)
        per_pe = interleaved_entries(mask, self.num_pes, self.index_bits).sum(axis=1, dtype=np.int64)
        return self.sizes(cells, columns, int(per_pe.max()), int(per_pe.sum()))

    def sizes(self, cells: Cells, columns: int, fullest: int, num_entries: int) -> dict[str, int]:
        """Bytes of the parts with so many entries, of the fullest PE and in all."""
        return {
            "pointers": num_bytes(self.num_pes * (columns + 1), width_of(fullest, self.pointer_bits)),
            "values": num_bytes(num_entries, cells.bits),
            "runs": num_bytes(num_entries, self.index_bits),
        }

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        num_rows, columns = matrix_shape(cells.shape)
        entries = zero_run_entries(
            dealt_blocks(cells.mask.reshape(num_rows, columns), self.num_pes), 2**self.index_bits - 1
        )
        codes = dealt_blocks(cells.known_codes.reshape(num_rows, columns), self.num_pes).reshape(-1)[entries.cells]
        pointers = pointers_of_pes(entries.pointers, self.num_pes, columns)
        pointers -= pointers[:, :1]
        return {
            "pointers": packed(pointers, width_of(int(pointers.max()), self.pointer_bits)),
            "values": packed(codes, cells.bits),
            "runs": packed(entries.runs, self.index_bits),
        }

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        num_rows, columns = matrix_shape(shape)
        num_pointers = self.num_pes * (columns + 1)
        width = self.pointer_bits or len(parts["pointers"]) * 8 // num_pointers
        pointers = unpacked(parts["pointers"], num_pointers, width)
        per_block = np.diff(pointers.reshape(self.num_pes, columns + 1)).reshape(-1).astype(np.int64)
        num_entries = int(per_block.sum())
        runs = unpacked(parts["runs"], num_entries, self.index_bits)
        blocks = filled_blocks(
            per_block,
            runs,
            unpacked(parts["values"], num_entries, bits),
            (self.num_pes * columns, -(-num_rows // self.num_pes)),
        )
        return gathered_rows(blocks, self.num_pes, (num_rows, columns))
