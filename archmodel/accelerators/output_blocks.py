"""How a layer passes through small buffers: blocks of output neurons, tiles of positions, and what DRAM moves for them.

Used by machines with a buffer of input neurons (NBin), of output neurons (NBout) and of synapses (SB): DianNao
(ASPLOS 2014) and Cambricon-X (MICRO 2016). A block is as many output channels as the machine has PEs. The tiling of
the studies is not published; the model takes, of those that fit, the one that moves the fewest bytes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.context import Context
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Buffers:
    """Sizes in words; a slice of `slice_channels` input channels is what a tile needs in NBin at one time."""

    num_pes: int  # output neurons of a block
    slice_channels: int
    input_words: int
    output_words: int
    synapse_words: int  # of one PE
    word_bits: int

    def num_bytes(self, words: int) -> int:
        """Bytes of neurons."""
        return math.ceil(words * self.word_bits / 8)


@dataclass(frozen=True)
class Axis:
    """Rows or columns: outputs, and the inputs under them."""

    num_outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def reach(self) -> int:
        """Inputs that one output spans."""
        return (self.kernel - 1) * self.dilation + 1


@dataclass(frozen=True)
class Positions:
    """Where a layer has outputs; the images of an fc layer are rows of a plane with one column.

    channels : input channels under an output; planes : images that are not such rows
    """

    rows: Axis
    cols: Axis
    channels: int
    planes: int

    @classmethod
    def of(cls, layer: Layer, batch: int) -> "Positions":
        """Positions of all images."""
        if layer.kind == "fc":
            return cls(Axis(batch, batch), Axis(1, 1), layer.C, 1)
        top, _, left, _ = layer.padding
        rows = Axis(layer.P, layer.H, layer.R, layer.stride[0], layer.dilation[0], top)
        cols = Axis(layer.Q, layer.W, layer.S, layer.stride[1], layer.dilation[1], left)
        return cls(rows, cols, layer.C // layer.groups, batch)

    @property
    def count(self) -> int:
        """Outputs of one channel over all images."""
        return self.planes * self.rows.num_outputs * self.cols.num_outputs

    def tiled_inputs(self, tile: tuple[int, int]) -> tuple[int, int, int]:
        """Tiles of all images, and input words under all of them and under the largest one."""
        row_tiles, all_rows, most_rows = inputs_under(self.rows, tile[0])
        col_tiles, all_cols, most_cols = inputs_under(self.cols, tile[1])
        return (
            self.planes * row_tiles * col_tiles,
            self.planes * all_rows * all_cols * self.channels,
            most_rows * most_cols * self.channels,
        )


@lru_cache(maxsize=4096)
def inputs_under(axis: Axis, tile: int) -> tuple[int, int, int]:
    """Tiles of `tile` outputs along an axis, inputs that all of them need, and those of the largest; padding is not."""
    output, tap = np.indices((axis.num_outputs, axis.kernel))
    at = output * axis.stride + tap * axis.dilation - axis.before
    inside = (at >= 0) & (at < axis.size)
    needed = np.unique(output[inside] // tile * axis.size + at[inside])
    counts = np.bincount(needed // axis.size, minlength=1)
    return -(-axis.num_outputs // tile), needed.size, int(counts.max())


@dataclass(frozen=True)
class Plan:
    """A tiling: `depth_blocks` blocks of output neurons are computed on a tile of positions before the next.

    blocks_outer : all tiles of these blocks follow one another, so that their synapses can stay in SB; else all
                   blocks of a tile do, so that its neurons can stay in NBin
    weight_fetches : int64[groups, steps], times that the synapses of these blocks come from DRAM
    input_words : words that come from DRAM, for each group of channels
    passes : times that a sum comes to NBout, once for every slice of the dot product that fits NBin and SB
    """

    tile: tuple[int, int]
    depth_blocks: int
    blocks_outer: bool
    weight_fetches: Int64
    input_words: int
    passes: int
    first_words: int  # words of NBin before the first product


def plan(positions: Positions, buffers: Buffers, weight_bytes: Int64, resident_words: Int64) -> Plan:
    """The tiling with the least traffic; ties go to the first.

    weight_bytes, resident_words : int64[groups, blocks], bytes of a block in DRAM and words of its fullest PE in SB
    """
    best, least = None, math.inf
    for rows, cols, depth_blocks in candidates(positions, buffers, weight_bytes.shape[1]):
        num_tiles, inputs, largest = positions.tiled_inputs((rows, cols))
        of_steps, resident = in_steps(weight_bytes, depth_blocks), in_steps(resident_words, depth_blocks)
        num_steps = of_steps.shape[1]
        in_nbin = largest <= buffers.input_words
        for blocks_outer in (True, False) if in_nbin and num_steps > 1 else (True,):
            kept = resident if blocks_outer else np.broadcast_to(resident.sum(axis=1, keepdims=True), resident.shape)
            fetches = np.where(kept <= buffers.synapse_words, 1, num_tiles)
            words = inputs * num_steps if blocks_outer else inputs
            total = int((of_steps * fetches).sum()) + buffers.num_bytes(words * weight_bytes.shape[0])
            if total < least:
                slices = -(-largest // buffers.input_words), -(-int(resident.max()) // buffers.synapse_words)
                passes = max(1, *slices) if rows * cols * depth_blocks > 1 else 1
                first = min(largest, buffers.input_words)
                least = total
                best = Plan((rows, cols), depth_blocks, blocks_outer, fetches, words, passes, first)
    assert best is not None
    return best


def candidates(positions: Positions, buffers: Buffers, num_blocks: int) -> Iterator[tuple[int, int, int]]:
    """Rows and columns of a tile, and blocks computed on it, whose sums fit NBout and whose inputs, by slices, NBin.

    Rows and blocks are powers of two or all; columns are as many as fit. A single position always does: its neurons
    may be streamed.
    """
    entries = max(1, buffers.output_words // buffers.num_pes)
    slice_words = min(buffers.slice_channels, positions.channels)
    for depth_blocks in powers(min(num_blocks, entries)):
        for rows in powers(min(positions.rows.num_outputs, entries // depth_blocks)):
            span = min(positions.rows.size, (rows - 1) * positions.rows.stride + positions.rows.reach)
            cols = min(positions.cols.num_outputs, entries // (depth_blocks * rows))
            room = buffers.input_words // (slice_words * span)
            if room < positions.cols.size:
                cols = min(cols, (room - positions.cols.reach) // positions.cols.stride + 1)
            if cols >= 1 or rows == 1:
                yield rows, max(1, cols), depth_blocks


def powers(most: int) -> list[int]:
    """Powers of two below a number, and the number."""
    return [1 << exponent for exponent in range(most.bit_length()) if 1 << exponent < most] + [most]


def in_steps(values: Int64, depth_blocks: int) -> Int64:
    """Sums over as many consecutive blocks of a group.  [groups, blocks] -> [groups, steps]"""
    sums: Int64 = np.add.reduceat(values, np.arange(0, values.shape[1], depth_blocks), axis=1)
    return sums


def streams_of(
    chosen: Plan, buffers: Buffers, weight_bytes: Int64, output_words: Int64, context: Context
) -> tuple[Stream, ...]:
    """What DRAM moves: tile 0 is the first fill of NBin, each of the following the blocks computed together.

    output_words : int64[groups, blocks]
    """
    weights = (in_steps(weight_bytes, chosen.depth_blocks) * chosen.weight_fetches).ravel()
    outputs = in_steps(output_words, chosen.depth_blocks).ravel()
    groups = chosen.weight_fetches.shape[0]
    inputs = buffers.num_bytes(chosen.input_words * groups)
    fill = min(inputs, buffers.num_bytes(chosen.first_words))
    ends = [(inputs - fill) * step // weights.size for step in range(weights.size + 1)]
    streams = [] if context.input_on_chip else [Stream("input", "read", fill)]
    for step in range(weights.size):
        streams.append(Stream("weight", "read", int(weights[step]), step + 1))
        if not context.input_on_chip:
            streams.append(Stream("input", "read", ends[step + 1] - ends[step], step + 1))
        if not context.output_on_chip:
            streams.append(Stream("output", "write", buffers.num_bytes(int(outputs[step])), step + 1))
    return tuple(stream for stream in streams if stream.num_bytes)
