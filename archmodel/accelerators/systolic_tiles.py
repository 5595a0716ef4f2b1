"""A layer as a matrix product, cut into blocks that the buffers hold and tiles that the array holds.

Outputs [positions, kernels] = windows [positions, depth] x weights [depth, kernels], for each group of channels; the
windows are read from the activation buffer as they are needed. Dimensions by dataflow, as in SCALE-Sim (Samajdar et
al., ISPASS 2020, table of spatio-temporal allocation):

    dataflow            rows        columns     streamed
    weight stationary   depth       kernels     positions
    output stationary   positions   kernels     depth
    input stationary    depth       positions   kernels

A PE takes the pairs of `lanes` neighbours in the depth at a time: as many rows of the depth are one row of the array,
or one step of what streams.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.systolic_config import Config, Dataflow
from archmodel.network.layer import Layer

Int64 = npt.NDArray[np.int64]


class Tile(NamedTuple):
    """What the array multiplies at a time, as slices of the product."""

    group: int
    positions: slice
    kernels: slice
    depth: slice


@dataclass(frozen=True)
class Tiling:
    """All tiles of a layer of `batch` images in their order: blocks of positions, groups of channels, then

    weight stationary: kernels, depth (partial sums of a tile's columns add up over the depth);
    output stationary: kernels, positions (the weights of the columns serve all rows);
    input stationary: blocks of kernels, positions, depth.
    """

    config: Config
    layer: Layer
    batch: int

    @property
    def dataflow(self) -> Dataflow:
        """What stays in the PEs."""
        return self.config.array.dataflow

    @property
    def positions(self) -> int:
        """Output positions of all images."""
        return self.layer.P * self.layer.Q * self.batch

    @property
    def kernels(self) -> int:
        """Output channels of a group."""
        return self.layer.K // self.layer.groups

    @property
    def depth(self) -> int:
        """Products of an output."""
        return self.layer.C // self.layer.groups * self.layer.R * self.layer.S

    @property
    def steps_of_depth(self) -> int:
        """Steps in which a PE, or a column of them, takes the products of an output: `lanes` a step."""
        return -(-self.depth // self.config.pe.lanes)

    @property
    def tile_depth(self) -> int:
        """Depth that the rows of the array hold."""
        return self.config.array.rows * self.config.pe.lanes

    @cached_property
    def blocks(self) -> list[slice]:
        """Blocks of positions, as many as the activation buffer or the accumulators need.

        Nearly equal: the last of full ones would be a short one that waits for its weights.
        """
        words = (self.layer.input_words + self.layer.output_words) * self.batch
        num_blocks = -(-self.config.stored_bytes(words, 1.0) // self.config.activation_bytes)
        if self.dataflow == "weight_stationary":
            num_blocks = max(num_blocks, -(-self.positions // self.config.accumulators.rows_per_block))
        return shares(self.positions, min(num_blocks, self.positions))

    @cached_property
    def kernel_blocks(self) -> list[slice]:
        """Kernels that stream through a tile of an input-stationary array at a time."""
        return shares(self.kernels, -(-self.kernels // self.config.accumulators.rows_per_block))

    @cached_property
    def tile_kernels(self) -> Int64:
        """Kernels of each tile of columns, as they are stored; those that stream are not cut into tiles."""
        if self.dataflow == "input_stationary":
            return np.array([self.kernels])
        return extents(self.kernels, self.config.array.cols, self.config.weights.whole_tiles)

    @cached_property
    def tile_depths(self) -> Int64:
        """Depth of each tile of rows, as weights are stored; what streams is not cut into tiles."""
        if self.dataflow == "output_stationary":
            return np.array([self.depth])
        return extents(self.depth, self.tile_depth, self.config.weights.whole_tiles)

    @property
    def stored_weights(self) -> int:
        """Words of all weights as they are stored, with those that fill tiles up."""
        return self.layer.groups * int(self.tile_kernels.sum()) * int(self.tile_depths.sum())

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights as they are stored."""
        return self.config.weight_bytes(self.stored_weights)

    def stays(self, num_bytes: int) -> bool:
        """Whether weights are still in their buffer when they are used again."""
        return self.config.weights.kept and num_bytes <= self.config.weights.buffer_bytes

    @property
    def weight_uses(self) -> int:
        """Times that every weight is read from its buffer."""
        if self.dataflow == "weight_stationary":
            return len(self.blocks)
        along = self.config.array.rows if self.dataflow == "output_stationary" else self.config.array.cols
        return sum(-(-(block.stop - block.start) // along) for block in self.blocks)

    @property
    def window_uses(self) -> int:
        """Times that every window is read from the activation buffer."""
        if self.dataflow == "input_stationary":
            return len(self.kernel_blocks)
        return int(-(-self.kernels // self.config.array.cols))

    @cached_property
    def streams_and_fetches(self) -> list[tuple[Int64, Int64]]:
        """Of every block: the cycles that operands stream through each tile, and the bytes that it waits for."""
        known = []
        for index, block in enumerate(self.blocks):
            stream, words = self._of_group(block.stop - block.start)
            if index and self.stays(self.weight_bytes):
                words = np.zeros_like(words)
            fetched = -(-words * self.config.weight_bits // 8)
            known.append((np.tile(stream, self.layer.groups), np.tile(fetched, self.layer.groups)))
        return known

    def _of_group(self, positions: int) -> tuple[Int64, Int64]:
        """Stream cycles and fetched words of the tiles of one group in a block of so many positions."""
        rows, cols = self.config.array.rows, self.config.array.cols
        tile_words = np.outer(self.tile_kernels, self.tile_depths)
        if self.dataflow == "weight_stationary":
            return np.full(tile_words.size, positions), tile_words.ravel()
        if self.dataflow == "output_stationary":
            words = np.repeat(tile_words, -(-positions // rows), axis=1)
            two_tiles = 2 * self.config.weight_bytes(int(tile_words.max()))
            if self.stays(min(two_tiles, self.weight_bytes)):
                words[:, 1:] = 0  # one is used by all rows of positions, while the next one comes
            return np.full(words.size, self.steps_of_depth), words.ravel()
        streamed = np.array([kernels.stop - kernels.start for kernels in self.kernel_blocks])
        words = np.repeat(np.outer(streamed, self.tile_depths)[:, np.newaxis], -(-positions // cols), axis=1)
        if self.stays(self.weight_bytes):
            words[:, 1:] = 0
        return np.repeat(streamed, words[0].size), words.ravel()

    def tiles(self) -> Iterator[Tile]:
        """Every tile, in order."""
        rows, cols, deep = self.config.array.rows, self.config.array.cols, self.tile_depth
        kernels, depth = slice(0, self.kernels), slice(0, self.depth)
        for block, group in product(self.blocks, range(self.layer.groups)):
            match self.dataflow:
                case "weight_stationary":
                    for columns, part in product(steps(kernels, cols), steps(depth, deep)):
                        yield Tile(group, block, columns, part)
                case "output_stationary":
                    for columns, part in product(steps(kernels, cols), steps(block, rows)):
                        yield Tile(group, part, columns, depth)
                case "input_stationary":
                    for streamed, columns, part in product(self.kernel_blocks, steps(block, cols), steps(depth, deep)):
                        yield Tile(group, columns, streamed, part)


def shares(total: int, num_parts: int) -> list[slice]:
    """Nearly equal consecutive parts of a range."""
    bounds = [total * part // num_parts for part in range(num_parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def steps(whole: slice, step: int) -> list[slice]:
    """Consecutive parts of a range, all but the last of `step`."""
    return [slice(start, min(start + step, whole.stop)) for start in range(whole.start, whole.stop, step)]


def extents(total: int, step: int, padded: bool = False) -> Int64:
    """Sizes of `steps`; `padded` ones are all full."""
    sizes = np.full(-(-total // step), step, np.int64)
    if not padded:
        sizes[-1] = total - step * (sizes.size - 1)
    return sizes
