"""Which cells of SCNN's blocks can hold a non-zero: tiles at the plane's edge, phases of a stride, dilated kernels."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.cartesian import WeightOrder
from archmodel.accelerators.planar import SubPlane, UnitStrideConv
from archmodel.accelerators.random_blocks import Float64
from archmodel.network.layer import Layer

Bools = npt.NDArray[np.bool_]
Pattern = bytes  # bool[phases, rows or columns of a tile]
Tiles = tuple[tuple[Pattern, ...], tuple[Pattern, ...]]  # of the rows and of the columns of PEs


@dataclass(frozen=True, eq=False)
class Axis:
    """Rows or columns of a convolution after space-to-depth.

    inputs : bool[phases, size of the plane], where an input of the layer is
    taps : bool[phases, taps], where a weight of the layer is
    padding : of the unit-stride form
    num_outputs : rows or columns of outputs
    """

    inputs: Bools
    taps: Bools
    padding: int
    num_outputs: int

    def tiles(self, first: int, size: int, tile: int, num_pes: int) -> tuple[Pattern, ...]:
        """Inputs in the part of a sub-plane that each PE along the axis has."""
        inside = np.zeros((self.inputs.shape[0], num_pes * tile), bool)
        held = self.inputs[:, first : first + size]
        inside[:, : held.shape[1]] = held
        return tuple(inside[:, start : start + tile].tobytes() for start in range(0, num_pes * tile, tile))

    def meetings(self, first: int, size: int) -> tuple[int, int]:
        """Pairs of an input of a sub-plane and a tap of its phase: all, and those whose output exists."""
        held = self.inputs[:, first : first + size]
        output = np.arange(first, first + held.shape[1])[:, np.newaxis] + self.padding - np.arange(self.taps.shape[1])
        in_range = (output >= 0) & (output < self.num_outputs)
        pairs = held[:, :, np.newaxis] & self.taps[:, np.newaxis]
        return int(pairs.sum()), int((pairs & in_range).sum())


@dataclass(frozen=True, eq=False)
class Cells:
    """Both axes of a convolution; the phases of its channels are those of the rows times those of the columns."""

    conv: UnitStrideConv
    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, layer: Layer, conv: UnitStrideConv) -> "Cells":
        """Where inputs and weights of a layer are in its unit-stride form."""
        return cls(conv, _axis(layer, conv, 0), _axis(layer, conv, 1))

    @cached_property
    def channels(self) -> int:
        """Channels of a phase in a conv group."""
        return self.conv.C // self.conv.groups // self.conv.phases

    @cached_property
    def phases(self) -> list[tuple[int, int]]:
        """Phases of rows and of columns."""
        return [(v, h) for v in range(self.rows.taps.shape[0]) for h in range(self.columns.taps.shape[0])]

    @property
    def weight_words(self) -> int:
        """Weights of a conv group."""
        taps = int(self.rows.taps.sum()) * int(self.columns.taps.sum())
        return self.conv.K // self.conv.groups * self.channels * taps

    def input_words(self, sub_plane: SubPlane) -> int:
        """Inputs of a conv group in a sub-plane."""
        held = (
            self.rows.inputs[:, sub_plane.top : sub_plane.top + sub_plane.height],
            self.columns.inputs[:, sub_plane.left : sub_plane.left + sub_plane.width],
        )
        return self.channels * int(held[0].sum()) * int(held[1].sum())

    def kernel(self, phase: tuple[int, int], num_kernels: int, Kc: int, order: WeightOrder) -> Float64:
        """1 in the cells of a block that hold a weight, of a group with `num_kernels` of Kc kernels.  float64[cells]"""
        taps = np.outer(self.rows.taps[phase[0]], self.columns.taps[phase[1]]).astype(float)
        present = (np.arange(Kc) < num_kernels).astype(float)
        block = np.multiply.outer(present, taps) if order == "krs" else np.multiply.outer(taps, present)
        return block.ravel()

    def tiles(self, sub_plane: SubPlane, rows: int, cols: int) -> Tiles:
        """Inputs in the rows and in the columns of the PEs' tiles; equal patterns are equal tiles."""
        return (
            self.rows.tiles(sub_plane.top, sub_plane.height, sub_plane.tile_h, rows),
            self.columns.tiles(sub_plane.left, sub_plane.width, sub_plane.tile_w, cols),
        )

    def tile(self, tall: Pattern, wide: Pattern, phase: tuple[int, int]) -> Float64:
        """1 in the cells of a tile that hold an input of a channel of a phase.  float64[cells]"""
        rows = np.frombuffer(tall, bool).reshape(self.rows.inputs.shape[0], -1)[phase[0]]
        columns = np.frombuffer(wide, bool).reshape(self.columns.inputs.shape[0], -1)[phase[1]]
        return np.outer(rows, columns).astype(float).ravel()

    def products(self, sub_plane: SubPlane) -> tuple[Float64, Float64]:
        """Pairs of a position of a full tile and a tap, of all phases, in each row and column of the accumulators."""
        rows = np.convolve(np.ones(sub_plane.tile_h), self.rows.taps.sum(axis=0)[::-1])
        columns = np.convolve(np.ones(sub_plane.tile_w), self.columns.taps.sum(axis=0)[::-1])
        return rows, columns

    def meetings(self, sub_plane: SubPlane) -> tuple[int, int]:
        """Pairs of an input and a tap of a channel of each phase in a sub-plane: all, and those whose output exists."""
        rows, rows_in_range = self.rows.meetings(sub_plane.top, sub_plane.height)
        columns, columns_in_range = self.columns.meetings(sub_plane.left, sub_plane.width)
        return rows * columns, rows_in_range * columns_in_range


def _axis(layer: Layer, conv: UnitStrideConv, axis: int) -> Axis:
    stride, dilation, padding = layer.stride[axis], layer.dilation[axis], layer.padding[2 * axis]
    size, kernel, num_taps = ((layer.H, layer.R, conv.R), (layer.W, layer.S, conv.S))[axis]
    of_conv, num_outputs = ((conv.pad_top, conv.P), (conv.pad_left, conv.Q))[axis]
    phase = np.arange(stride)[:, np.newaxis]
    position = np.arange(conv.plane[axis]) * stride + phase - (padding - of_conv)
    tap = np.arange(num_taps) * stride + phase
    return Axis(
        (position >= 0) & (position < size),
        (tap % dilation == 0) & (tap < kernel * dilation),
        of_conv,
        num_outputs,
    )
