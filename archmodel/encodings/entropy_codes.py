"""Formats whose size depends on the values: Huffman's code and zlib. docs/encodings.md has them to the bit."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from archmodel.encodings.blocks import as_blocks
from archmodel.encodings.cell_encodings import Dense
from archmodel.encodings.codec import Cells, Codec, num_bytes, packed, unpacked
from archmodel.encodings.sparse_encodings import ZeroRun
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Values

Int64 = npt.NDArray[np.int64]
LENGTH_BITS = 6  # of a code's length in the book: 2**31 cells make no code longer than 43 bits
WIDEST_SYMBOL_BITS = 16
ZLIB_LEVEL = 6


@dataclass(frozen=True)
class Huffman(Codec):
    """Every code of the tensor in Huffman's code of their own counts, and the length of each of 2**bits codes.

    The code is canonical, so that the lengths are the book. A code that does not occur has the length 0, one that is
    alone has 1.
    """

    needs_values: ClassVar[bool] = True
    widest_bits: ClassVar[int] = WIDEST_SYMBOL_BITS

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        return coded_bytes("values", cells.code_counts, cells.bits)

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        return coded("values", cells.known_codes, cells.bits)

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        return decoded("values", parts, math.prod(shape), bits)


@dataclass(frozen=True)
class HuffmanZeroRun(Codec):
    """A zero-run code whose values and runs have a Huffman code each (Deep Compression, ICLR 2016, sec. 4)."""

    entries: ZeroRun = field(default_factory=ZeroRun)
    needs_values: ClassVar[bool] = True
    widest_bits: ClassVar[int] = WIDEST_SYMBOL_BITS

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        from archmodel.kernels.compression import run_counts

        runs = run_counts(as_blocks(cells.mask, self.entries.restart), 2**self.entries.index_bits - 1)
        num_entries = int(runs.sum())
        values = cells.code_counts.copy()
        values[0] = num_entries - cells.nonzeros  # of the zeros, explicit ones only
        return {
            "counts": self.entries.sizes(cells, num_entries)["counts"],
            **coded_bytes("values", values, cells.bits),
            **coded_bytes("runs", runs, self.entries.index_bits),
        }

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        counts, codes, runs = self.entries.fields(cells)
        return {
            "counts": counts,
            **coded("values", codes, cells.bits),
            **coded("runs", runs, self.entries.index_bits),
        }

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        per_block = self.entries.per_block(parts, shape)
        num_entries = int(per_block.sum())
        runs = decoded("runs", parts, num_entries, self.entries.index_bits)
        return self.entries.cells(per_block, runs, decoded("values", parts, num_entries, bits), shape)


@dataclass(frozen=True)
class Zlib(Codec):
    """The parts of another format, each as a zlib stream (RFC 1950) of level 6, or as one for every window of bytes.

    A window is compressed without a look at the others, so that it can be read alone. Streams follow each other: each
    says itself where it ends.
    """

    stored: Codec = field(default_factory=Dense)
    window_bytes: int | None = None
    needs_values: ClassVar[bool] = True
    makes_stream: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a window without bytes."""
        if self.window_bytes is not None and self.window_bytes < 1:
            raise WorkloadError(f"encoding: windows of {self.window_bytes} bytes; allowed: 1 or more, or None for all")

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec: what zlib makes of the bytes is known only then."""
        return {name: len(part) for name, part in self.parts(cells).items()}

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        return {name: self.compressed(part) for name, part in self.stored.parts(cells).items()}

    def compressed(self, part: bytes) -> bytes:
        """The streams of a part, at least one."""
        step = self.window_bytes or max(len(part), 1)
        windows = (part[start : start + step] for start in range(0, max(len(part), 1), step))
        return b"".join(zlib.compress(window, ZLIB_LEVEL) for window in windows)

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        return self.stored.codes({name: expanded(part) for name, part in parts.items()}, shape, bits)


def expanded(streams: bytes) -> bytes:
    """What zlib streams one behind the other hold."""
    found = []
    while streams:
        reader = zlib.decompressobj()
        found.append(reader.decompress(streams))
        if not reader.eof:
            raise WorkloadError("encoding: a zlib stream ends too early")
        streams = reader.unused_data
    return b"".join(found)


def coded_bytes(name: str, counts: Int64, bits: int) -> dict[str, int]:
    """Bytes of the book and of the codes of counted symbols."""
    from archmodel.kernels.huffman import code_lengths

    total_bits = int(counts @ code_lengths(counts).astype(np.int64))
    return {f"{name}_book": num_bytes(2**bits, LENGTH_BITS), name: num_bytes(total_bits, 1)}


def coded(name: str, symbols: Values, bits: int) -> dict[str, bytes]:
    """The book and the codes of symbols, the low `bits` of each."""
    from archmodel.kernels.bit_stream import pack_codes
    from archmodel.kernels.huffman import canonical_codes, code_counts, code_lengths

    flat = symbols.reshape(-1)
    lengths = code_lengths(code_counts(flat, bits))
    code, _, _ = canonical_codes(lengths)
    stream = pack_codes(flat & np.int32(2**bits - 1), code, lengths)
    return {f"{name}_book": packed(lengths, LENGTH_BITS), name: stream.tobytes()}


def decoded(name: str, parts: Mapping[str, bytes], num_symbols: int, bits: int) -> Values:
    """Symbols of `coded`, int32[num_symbols]."""
    from archmodel.kernels.bit_stream import unpack_codes
    from archmodel.kernels.huffman import canonical_codes

    lengths = unpacked(parts[f"{name}_book"], 2**bits, LENGTH_BITS).astype(np.uint8)
    _, num_of_length, symbol_order = canonical_codes(lengths)
    symbols = unpack_codes(np.frombuffer(parts[name], np.uint8), num_symbols, num_of_length, symbol_order)
    if symbols.size != num_symbols:
        raise WorkloadError(f"encoding: {name} end after {symbols.size} of {num_symbols}")
    return symbols
