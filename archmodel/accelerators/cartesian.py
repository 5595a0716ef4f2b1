"""Compressed operands as a Cartesian-product array fetches them: blocks, vectors and accumulator addresses (SCNN)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archmodel.kernels import compression, lanes, vectors
from archmodel.kernels.accumulator_banks import DROPPED, UNUSED

BankHash = Literal["linear", "prime", "xor", "dnnsim"]
WeightOrder = Literal["krs", "rsk"]

Int64 = npt.NDArray[np.int64]
Cells = npt.NDArray[Any]  # masks or values

ROTATING_HASHES: tuple[BankHash, ...] = ("linear", "prime")  # additive in the address: a weight rotates the banks
PRIME_STRIDES = (11, 5, 1)  # banks between neighbours along k, y and x: distinct small primes, odd for any 2**n banks


@dataclass(frozen=True)
class Accumulators:
    """The accumulators of a PE for one group: Kc channels of a tile with its output halo, row-major in k, y, x."""

    Kc: int
    tile_h: int
    tile_w: int
    R: int
    S: int
    num_banks: int
    bank_hash: BankHash

    @property
    def height(self) -> int:
        """Rows of a channel: those of the tile and R - 1 of halo."""
        return self.tile_h + self.R - 1

    @property
    def width(self) -> int:
        """Columns of a channel: those of the tile and S - 1 of halo."""
        return self.tile_w + self.S - 1

    @property
    def size(self) -> int:
        """Accumulators in use."""
        return self.Kc * self.height * self.width

    @property
    def rotates(self) -> bool:
        """Whether a weight permutes the banks of an activation vector by a rotation of one register."""
        return self.bank_hash in ROTATING_HASHES and self.num_banks == lanes.NUM_LANES

    def address(self, k: Cells | int, y: Cells, x: Cells) -> Int64:
        """Address of coordinates; linear, so an activation and a weight each contribute an addend."""
        return np.asarray((k * np.int64(self.height) + y) * self.width + x, np.int64)

    def linear_bank(self, k: Cells | int, y: Cells, x: Cells) -> Int64:
        """Bank before the modulo, of a rotating hash: additive in the coordinates."""
        if self.bank_hash == "linear":
            return self.address(k, y, x)
        stride_k, stride_y, stride_x = PRIME_STRIDES
        return np.asarray(k * np.int64(stride_k) + y * stride_y + x * stride_x, np.int64)

    def banks(self, first_row: int = 0, first_column: int = 0) -> npt.NDArray[np.uint8]:
        """Bank of every accumulator; dnnsim hashes the coordinates in the layer.  uint8[size]"""
        k, y, x = np.indices((self.Kc, self.height, self.width)).reshape(3, -1)
        if self.bank_hash in ROTATING_HASHES:
            bank = self.linear_bank(k, y, x) % self.num_banks
        elif self.bank_hash == "xor":
            bits = self.num_banks.bit_length() - 1
            address = self.address(k, y, x)
            bank = (address ^ (address >> bits) ^ (address >> 2 * bits)) % self.num_banks
        else:  # the bank function of DNNsim's SCNN.cpp, with x the row and y the column
            row, column = y + first_row, x + first_column
            high = ((k & 4) << 2) ^ ((row & 2) << 3) ^ ((column & 2) << 3)
            bank = (high + ((row & 1) << 3) + ((column & 1) << 2) + (k & 3)) % self.num_banks
        return bank.astype(np.uint8)


@dataclass(frozen=True)
class Blocks:
    """Entries that a zero-run code stores of equal blocks of cells, explicit zeros included."""

    shape: tuple[int, ...]  # of the blocks: (groups, channels) of weights or (channels, PEs) of activations
    entry_ptr: Int64
    position: npt.NDArray[np.int32]

    @classmethod
    def compress(cls, cells: Cells, shape: tuple[int, ...], longest_run: int) -> "Blocks":
        """Blocks of a mask uint8[prod(shape), cells of a block]."""
        entry_ptr, position = compression.run_length_entries(np.ascontiguousarray(cells), longest_run)
        return cls(shape, entry_ptr, position)

    @classmethod
    def join(cls, parts: "list[Blocks]") -> "Blocks":
        """Rows of blocks below one another."""
        if len(parts) == 1:
            return parts[0]
        sizes = np.concatenate([np.diff(part.entry_ptr) for part in parts])
        position = np.concatenate([part.position for part in parts])
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        return cls(shape, np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), position)

    def rows(self, chosen: Int64) -> "Blocks":
        """Some of the rows of blocks, ascending."""
        if chosen.size == self.shape[0]:
            return self
        columns = self.shape[1]
        ends = self.entry_ptr[::columns]
        sizes = self.num_entries[chosen].ravel()
        position = np.concatenate([self.position[ends[row] : ends[row + 1]] for row in chosen])
        return Blocks((chosen.size, columns), np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), position)

    @cached_property
    def num_entries(self) -> Int64:
        """Entries of each block.  int64[shape]"""
        return np.diff(self.entry_ptr).reshape(self.shape)

    def num_vectors(self, width: int) -> Int64:
        """Vectors of each block.  int64[shape]"""
        return -(-self.num_entries // width)

    def ptr(self, first: Int64) -> Int64:
        """First vector of each block with the end of the last one in each row.  int64[shape[0], shape[1] + 1]"""
        rows, columns = self.shape
        ends = np.empty((rows, columns + 1), np.int64)
        ends[:, :-1] = first[:-1].reshape(rows, columns)
        ends[:, -1] = first[columns::columns]
        return ends

    def pack(self, code: npt.NDArray[Any], width: int, unused: int) -> tuple[Int64, npt.NDArray[Any]]:
        """Entries as vectors, by the code of their cells [L]: `ptr` and codes [V, width]."""
        first, packed = vectors.pack_vectors(self.entry_ptr, self.position, code, width, unused)
        return self.ptr(first), packed

    def pack_values(self, cells: Cells, width: int) -> npt.NDArray[Any]:
        """What the entries hold, as vectors with zeros in unused slots: cells [B, L] -> [V, width]."""
        block = np.repeat(np.arange(self.entry_ptr.size - 1), np.diff(self.entry_ptr))
        held = cells[block, self.position]
        in_order = np.arange(held.size, dtype=np.int32)
        packed: npt.NDArray[Any] = vectors.pack_vectors(self.entry_ptr, in_order, held, width, 0)[1]
        return packed


def weight_cells(weights: Cells, Kc: int, order: WeightOrder) -> Cells:
    """Kernels of one conv group as blocks of Kc channels.

    weights : [K, C, R, S]  ->  [ceil(K / Kc) * C, Kc * R * S], a block linearised in `order`
    """
    K, C, R, S = weights.shape
    num_groups = -(-K // Kc)
    if K % Kc:
        weights = np.concatenate([weights, np.zeros((num_groups * Kc - K, C, R, S), weights.dtype)])
    split = weights.reshape(num_groups, Kc, C, R, S)
    split = split.transpose(0, 2, 1, 3, 4) if order == "krs" else split.transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(split).reshape(num_groups * C, Kc * R * S)


def weight_coordinates(accumulators: Accumulators, order: WeightOrder) -> tuple[Int64, Int64, Int64]:
    """Channel, row and column that a weight in each cell of a block adds to a place.  int64[Kc * R * S] each"""
    R, S, Kc = accumulators.R, accumulators.S, accumulators.Kc
    cells = np.arange(Kc * R * S)
    if order == "krs":
        k, r, s = np.unravel_index(cells, (Kc, R, S))
    else:
        r, s, k = np.unravel_index(cells, (R, S, Kc))
    return k, R - 1 - r, S - 1 - s


def weight_vectors(
    blocks: Blocks, accumulators: Accumulators, order: WeightOrder, F: int, rotate: bool
) -> tuple[Int64, npt.NDArray[Any]]:
    """Weight vectors as `bank_group_cycles` takes them: rotations, or address addends."""
    coordinates = weight_coordinates(accumulators, order)
    if not rotate:
        return blocks.pack(accumulators.address(*coordinates).astype(np.int32), F, UNUSED)
    bank = accumulators.linear_bank(*coordinates) % lanes.NUM_LANES
    ptr, packed = blocks.pack((lanes.NUM_LANES - bank).astype(np.uint8), F, lanes.NO_WEIGHT)
    if F == lanes.WEIGHTS_PER_STEP:
        return ptr, packed
    padded = np.full((packed.shape[0], lanes.WEIGHTS_PER_STEP), lanes.NO_WEIGHT, np.uint8)
    padded[:, :F] = packed
    return ptr, padded


def activation_vectors(
    blocks: Blocks, accumulators: Accumulators, I: int, rotate: bool
) -> tuple[Int64, npt.NDArray[Any]]:
    """Activation vectors as `bank_group_cycles` takes them: bank counts, or address addends."""
    y, x = np.divmod(np.arange(accumulators.tile_h * accumulators.tile_w), accumulators.tile_w)
    if not rotate:
        return blocks.pack(accumulators.address(0, y, x).astype(np.int32), I, UNUSED)
    bank = (accumulators.linear_bank(0, y, x) % lanes.NUM_LANES).astype(np.uint8)
    first, packed = vectors.pack_bank_counts(blocks.entry_ptr, blocks.position, bank, I)
    return blocks.ptr(first), packed


def drop_outside(banks: npt.NDArray[np.uint8], accumulators: Accumulators, rows: slice, columns: slice) -> None:
    """Mark the accumulators outside the given rows and columns as DROPPED."""
    inside = np.zeros((accumulators.height, accumulators.width), bool)
    inside[rows, columns] = True
    banks.reshape(accumulators.Kc, -1)[:, ~inside.ravel()] = DROPPED
