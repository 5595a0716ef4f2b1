"""Zero-free neuron arrays: how channels become bricks, which lane takes a brick, and what bricks hold."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.cnvlutin_config import Config
from archmodel.network.layer import Layer
from archmodel.operands.operands import Mask, Values, window

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bricks:
    """The bricks at a position of a group's plane.

    first : int64[B]        channel of the group at which each begins
    sizes : int64[B]        channels of each
    lane_of : int64[R, S, B]  lane that takes the brick of a kernel position
    num_banks : banks of the NM, a brick a cycle each
    depth : bricks that the buffer of a lane holds
    dealt : whether bricks are dealt to the lanes, and to the banks, in turn
    """

    layer: Layer
    first: Int64
    sizes: Int64
    lane_of: Int64
    num_lanes: int
    num_banks: int
    depth: int
    dealt: bool

    @classmethod
    def of(cls, config: Config, layer: Layer) -> "Bricks":
        """Bricks along C: from the start of each lane's slab, or of the group and then dealt to the lanes in turn."""
        lanes, brick = config.array.lanes, config.dispatch.brick_neurons
        channels, kernel = layer.C // layer.groups, layer.R * layer.S
        slab = -(-channels // lanes) if config.dispatch.assignment == "slab" else channels
        starts = [start for begin in range(0, channels, slab) for start in range(begin, begin + slab, brick)]
        first = np.array([start for start in starts if start < channels])
        ends = np.minimum(np.minimum(first + brick, first - first % slab + slab), channels)
        if config.dispatch.assignment == "slab":
            lane_of = np.tile(first // slab, kernel)
        else:
            lane_of = np.arange(kernel * first.size) % lanes
        shaped = lane_of.reshape(layer.R, layer.S, first.size)
        dispatch = config.dispatch
        dealt, banks = dispatch.assignment == "dealt", config.buffers.nm_banks
        return cls(layer, first, ends - first, shaped, lanes, banks, dispatch.brick_buffers, dealt)

    @cached_property
    def bank_cycles(self) -> int:
        """Cycles in which the fullest bank delivers the bricks of a window, if lane l reads from bank l % num_banks."""
        return int(np.bincount(self.lane_of.ravel() % self.num_banks).max())

    @cached_property
    def bank_of(self) -> Int64:
        """Bank of the bricks at each position of a padded plane: that of their slab, or in turn.  int64[H, W, B]"""
        top, bottom, left, right = self.layer.padding
        shape = (self.layer.H + top + bottom, self.layer.W + left + right, self.first.size)
        if self.dealt:
            return np.arange(math.prod(shape)).reshape(shape) % self.num_banks
        return np.broadcast_to(self.lane_of[0, 0] % self.num_banks, shape).copy()

    @property
    def dispatcher(self) -> tuple[int, int, int]:
        """Lanes, banks, and bricks that a lane buffers."""
        return self.num_lanes, self.num_banks, self.depth

    def nonzeros(self, mask: Mask) -> Int64:
        """Non-zeros of each brick.  [N, C, H, W] -> int64[N * groups, B, H, W]"""
        layer = self.layer
        grouped = mask.reshape(-1, layer.C // layer.groups, *layer.input_shape[1:])
        return np.add.reduceat(grouped, self.first, axis=1, dtype=np.int64)

    def padded_cycles(self, nonzeros: Int64) -> npt.NDArray[np.uint16]:
        """Cycles of each brick, at least one, those of the padding too.  uint16[M, H, W, B] of the padded plane"""
        top, bottom, left, right = self.layer.padding
        cycles = np.maximum(nonzeros, 1).astype(np.uint16).transpose(0, 2, 3, 1)
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.ascontiguousarray(np.pad(cycles, around, constant_values=1))

    def work_of_windows(self, cycles: npt.NDArray[np.uint16]) -> Int64:
        """Cycles of all lanes together in each window.  int64[windows], ascending"""
        layer, of_position = self.layer, cycles.sum(axis=3, dtype=np.int64)
        work = np.zeros((cycles.shape[0], layer.P, layer.Q), np.int64)
        (stride_v, stride_h), (dilation_v, dilation_h) = layer.stride, layer.dilation
        for r in range(layer.R):
            rows = slice(r * dilation_v, r * dilation_v + (layer.P - 1) * stride_v + 1, stride_v)
            for s in range(layer.S):
                columns = slice(s * dilation_h, s * dilation_h + (layer.Q - 1) * stride_h + 1, stride_h)
                work += of_position[:, rows, columns]
        return work.ravel()

    def encode(self, plane: Values) -> tuple[npt.NDArray[np.int32], Int64]:
        """Values and offsets of a padded plane [C of a group, H, W], non-zeros first.  [H, W, B, brick] each"""
        width = int(self.sizes.max())
        channel = np.minimum(self.first[:, np.newaxis] + np.arange(width), plane.shape[0] - 1)
        inside = np.arange(width) < self.sizes[:, np.newaxis]
        neurons = np.where(inside, plane.transpose(1, 2, 0)[:, :, channel], 0)
        order = np.ascontiguousarray(np.argsort(neurons == 0, axis=3, kind="stable"))
        return np.ascontiguousarray(np.take_along_axis(neurons, order, axis=3), np.int32), order


def coverage(layer: Layer) -> Int64:
    """Windows that each input position is in.  int64[H, W]"""
    axes = []
    for axis, (size, outputs, taps) in enumerate(((layer.H, layer.P, layer.R), (layer.W, layer.Q, layer.S))):
        covered = np.zeros(size, np.int64)
        for tap in range(taps):
            covered[window(size, outputs, tap, layer.stride[axis], layer.dilation[axis], layer.padding[2 * axis])] += 1
        axes.append(covered)
    return np.outer(*axes)
