"""SCNN's convolutions: what every PE does in every output-channel group, walked cycle by cycle."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.cartesian import (
    Accumulators,
    Blocks,
    Int64,
    activation_vectors,
    drop_outside,
    weight_cells,
    weight_coordinates,
    weight_vectors,
)
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import SubPlane, UnitStrideConv, tile_masks
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_tiling import Cut
from archmodel.kernels.accumulator_banks import bank_group_cycles
from archmodel.kernels.lanes import WEIGHTS_PER_STEP
from archmodel.operands.operands import Mask

Vectors = npt.NDArray[Any]
KernelOperands = tuple[Int64, Vectors, Int64, Vectors, npt.NDArray[np.uint8]]

TASKS_PER_THREAD = 4  # pieces of a layer a thread: enough to even out their lengths


@dataclass(frozen=True)
class GroupWork:
    """What the kernel measured of consecutive output-channel groups; arrays as `bank_group_cycles` returns them."""

    span: Int64
    waiting: Int64
    work: Int64
    stalls: Int64
    emptying: Int64

    @classmethod
    def join(cls, parts: list["GroupWork"]) -> "GroupWork":
        """Parts one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__))

    def of(self, groups: slice) -> "GroupWork":
        """Some of the groups."""
        return GroupWork(*(getattr(self, name)[groups] for name in self.__annotations__))

    def without_barriers(self) -> "GroupWork":
        """All groups as one, for PEs that meet only at the end of the tile."""
        work = self.work.sum(axis=0, keepdims=True)
        waiting = self.waiting.sum(keepdims=True)
        stalls, emptying = self.stalls.sum(axis=0, keepdims=True), self.emptying.sum(axis=0, keepdims=True)
        return GroupWork(work.max(axis=1) + waiting, waiting, work, stalls, emptying)


@dataclass(frozen=True)
class Part:
    """One conv group on one sub-plane: compressed operands, and the accumulators that their products meet in.

    nonzeros : activations that are not zero
    """

    sub_plane: SubPlane
    conv_group: int
    weights: Blocks
    activations: Blocks
    accumulators: Accumulators
    nonzeros: int


def compress_weights(
    config: Config, conv: UnitStrideConv, weights: Mask, Kc: int, context: Context
) -> list[Blocks]:
    """Stored weights of each conv group in blocks [output group, channel]; weights : uint8[K, C / groups, R, S]."""
    kernels = conv.K // conv.groups
    per_task = -(-kernels // (Kc * context.threads)) * Kc  # whole output groups

    def compress(task: tuple[int, int]) -> Blocks:
        first = task[0] * kernels + task[1]
        part = weights[first : min(first + per_task, (task[0] + 1) * kernels)]
        shape = (-(-part.shape[0] // Kc), conv.C // conv.groups)
        return Blocks.compress(weight_cells(part, Kc, config.pe.weight_order), shape, config.compression.longest_run)

    tasks = [(group, first) for group in range(conv.groups) for first in range(0, kernels, per_task)]
    parts = context.run(compress, tasks)
    per_group = len(tasks) // conv.groups
    return [Blocks.join(parts[first : first + per_group]) for first in range(0, len(parts), per_group)]


def compress_parts(
    config: Config, conv: UnitStrideConv, cut: Cut, weights: list[Blocks], planes: Sequence[Mask], context: Context
) -> list[Part]:
    """All parts of images that share weights, in the order of their execution; planes : uint8[C, H, W] each."""
    channels = conv.C // conv.groups

    def compress(task: tuple[SubPlane, Mask, int]) -> Part:
        sub_plane, plane, group = task
        tiles = tile_masks(sub_plane, plane[group * channels : (group + 1) * channels], config.pe.rows, config.pe.cols)
        activations = Blocks.compress(tiles, (channels, config.pe.num_pes), config.compression.longest_run)
        accumulators, nonzeros = accumulators_of(config, conv, cut, sub_plane), int(np.count_nonzero(tiles))
        return Part(sub_plane, group, weights[group], activations, accumulators, nonzeros)

    return context.run(compress, product(cut.tiling.sub_planes(), planes, range(conv.groups)))


def accumulators_of(config: Config, conv: UnitStrideConv, cut: Cut, sub_plane: SubPlane) -> Accumulators:
    """The accumulators of a PE while it works on a sub-plane."""
    return Accumulators(
        Kc=cut.Kc,
        tile_h=sub_plane.tile_h,
        tile_w=sub_plane.tile_w,
        R=conv.R,
        S=conv.S,
        num_banks=config.pe.accumulator_banks,
        bank_hash=config.pe.bank_hash,
    )


def walk_groups(
    config: Config, conv: UnitStrideConv, chosen: list[tuple[Part, Int64]], context: Context
) -> GroupWork:
    """Walk every PE-cycle of some groups of some parts; the result does not depend on how threads share them."""
    pieces = -(-TASKS_PER_THREAD * context.threads // len(chosen)) if context.threads > 1 else 1
    packed = context.run(lambda task: kernel_operands(config, conv, *task), chosen)
    barrier_blocks = conv.phases if config.pe.barrier == "channel" else 0

    def walk(task: tuple[KernelOperands, slice]) -> GroupWork:
        (weight_ptr, weights, activation_ptr, activations, banks), rows = task
        measured = bank_group_cycles(
            weight_ptr[rows], weights, activation_ptr, activations, banks, config.pe.queue_depth, config.fifo,
            barrier_blocks,
        )  # fmt: skip
        return GroupWork(*measured)

    tasks = [
        (operands, slice(rows[0], rows[-1] + 1))
        for operands, (_, groups) in zip(packed, chosen, strict=True)
        for rows in np.array_split(np.arange(groups.size), min(pieces, groups.size))
    ]
    return GroupWork.join(context.run(walk, tasks))


def kernel_operands(config: Config, conv: UnitStrideConv, part: Part, groups: Int64) -> KernelOperands:
    """The arrays of `bank_group_cycles` for some groups of a part."""
    pe, blocks = config.pe, part.weights.rows(groups)
    rotate = part.accumulators.rotates and pe.out_of_range == "accumulate" and pe.F <= WEIGHTS_PER_STEP
    weight_ptr, weights = weight_vectors(blocks, part.accumulators, pe.weight_order, pe.F, rotate)
    activation_ptr, activations = activation_vectors(part.activations, part.accumulators, pe.I, rotate)
    banks = np.zeros((1, 1), np.uint8) if rotate else bank_tables(config, conv, part)
    return weight_ptr, weights, activation_ptr, activations, banks


def bank_tables(config: Config, conv: UnitStrideConv, part: Part) -> npt.NDArray[np.uint8]:
    """Bank of every accumulator of every PE.  uint8[T, addresses]"""
    sub_plane, accumulators = part.sub_plane, part.accumulators
    tables = []
    for row in range(config.pe.rows):
        top = sub_plane.top + row * sub_plane.tile_h + conv.pad_top - conv.R + 1  # output row of the first accumulator
        for column in range(config.pe.cols):
            left = sub_plane.left + column * sub_plane.tile_w + conv.pad_left - conv.S + 1
            table = accumulators.banks(top, left)
            if config.pe.out_of_range == "drop":
                inside = slice(max(0, -top), max(0, conv.P - top)), slice(max(0, -left), max(0, conv.Q - left))
                drop_outside(table, accumulators, *inside)
            tables.append(table)
    return np.stack(tables)


def products_in_range(config: Config, conv: UnitStrideConv, part: Part) -> int:
    """Products of stored entries whose output exists: those that reach the banks when others are dropped."""
    accumulators, sub_plane = part.accumulators, part.sub_plane
    channels = part.activations.shape[0]
    _, below, right = weight_coordinates(accumulators, config.pe.weight_order)
    of_weight = np.repeat(np.arange(part.weights.num_entries.size) % channels, part.weights.num_entries.ravel())
    taps = np.zeros((channels, conv.R, conv.S), np.int64)
    np.add.at(taps, (of_weight, below[part.weights.position], right[part.weights.position]), 1)
    tile = np.repeat(np.arange(part.activations.num_entries.size), part.activations.num_entries.ravel())
    of_activation, pe = np.divmod(tile, config.pe.num_pes)
    y, x = np.divmod(part.activations.position, sub_plane.tile_w)
    row = sub_plane.top + pe // config.pe.cols * sub_plane.tile_h + y + conv.pad_top - conv.R + 1
    column = sub_plane.left + pe % config.pe.cols * sub_plane.tile_w + x + conv.pad_left - conv.S + 1
    total = 0
    for tap_row in range(conv.R):
        for tap_column in range(conv.S):
            p, q = row + tap_row, column + tap_column
            inside = (p >= 0) & (p < conv.P) & (q >= 0) & (q < conv.Q)
            total += int(np.bincount(of_activation[inside], minlength=channels) @ taps[:, tap_row, tap_column])
    return total
