"""Planar tiling: a plane of activations over a grid of PEs, sub-planes in time, halos between them.

Used by machines that keep one tile of the plane in every PE (SCNN and its dense twin, ISCA 2017, sec. 3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from archmodel.network.layer import Layer

Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class UnitStrideConv:
    """A convolution as the PEs see it: stride 1, the stride's phases in the channels, zeros between dilated taps.

    H, W : the plane of inputs; R, S : the reach of the kernel; P, Q : outputs; C, K : channels of all groups.
    An input row h meets kernel row r in output row h + pad_top - r. The PE with input row h owns output row
    h - own_top, which centres its halo where the padding is part of the plane.
    """

    C: int
    K: int
    groups: int
    H: int
    W: int
    R: int
    S: int
    P: int
    Q: int
    pad_top: int
    pad_left: int
    own_top: int
    own_left: int
    phases: int  # channels that one channel of the layer became
    tapped_phases: int  # of them, those with a tap: a stride beyond the kernel leaves some without

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns that the PEs divide: inputs and outputs."""
        return max(self.H, self.P), max(self.W, self.Q)


def unit_stride(layer: Layer, pad_inputs: bool = False) -> UnitStrideConv:
    """Geometry of `layer` after space-to-depth.

    With a stride, with padding beyond the reach of the kernel, or `pad_inputs`, the padding is part of the plane.
    """
    stride_v, stride_h = layer.stride
    top, bottom, left, right = layer.padding
    reach_v, reach_h = (layer.R - 1) * layer.dilation[0] + 1, (layer.S - 1) * layer.dilation[1] + 1
    height, width, own_top, own_left = layer.H, layer.W, 0, 0
    if pad_inputs or layer.stride != (1, 1) or top >= reach_v or left >= reach_h:
        height, width = height + top + bottom, width + left + right
        own_top, own_left, top, left = top // stride_v, left // stride_h, 0, 0
    phases = stride_v * stride_h
    taps_v, taps_h = -(-reach_v // stride_v), -(-reach_h // stride_h)
    return UnitStrideConv(
        C=layer.C * phases,
        K=layer.K,
        groups=layer.groups,
        H=-(-height // stride_v),
        W=-(-width // stride_h),
        R=taps_v,
        S=taps_h,
        P=layer.P,
        Q=layer.Q,
        pad_top=top,
        pad_left=left,
        own_top=min(own_top, taps_v - 1),
        own_left=min(own_left, taps_h - 1),
        phases=phases,
        tapped_phases=_tapped(layer.R, stride_v, layer.dilation[0]) * _tapped(layer.S, stride_h, layer.dilation[1]),
    )


def _tapped(num_taps: int, stride: int, dilation: int) -> int:
    """Phases of a stride, along one axis, in which a tap is."""
    return len({tap * dilation % stride for tap in range(num_taps)})


def unfold_inputs(layer: Layer, conv: UnitStrideConv, image: Array) -> Array:
    """Space-to-depth of one image: [C, H, W] of the layer -> [C, H, W] of `conv`."""
    stride_v, stride_h = layer.stride
    if conv.phases == 1 and image.shape[1:] == (conv.H, conv.W):
        return image
    top, left = layer.padding[0] - conv.pad_top, layer.padding[2] - conv.pad_left
    padded = np.zeros((layer.C, conv.H * stride_v, conv.W * stride_h), image.dtype)
    padded[:, top : top + layer.H, left : left + layer.W] = image
    split = padded.reshape(layer.C, conv.H, stride_v, conv.W, stride_h)
    return split.transpose(0, 2, 4, 1, 3).reshape(conv.C, conv.H, conv.W)  # type: ignore[return-value]


def unfold_weights(layer: Layer, conv: UnitStrideConv, weights: Array) -> Array:
    """Space-to-depth of the kernels: [K, C / groups, R, S] of the layer -> [K, C / groups, R, S] of `conv`."""
    stride_v, stride_h = layer.stride
    if conv.phases == 1 and layer.dilation == (1, 1):
        return weights
    channels = layer.C // layer.groups
    spread = np.zeros((layer.K, channels, conv.R * stride_v, conv.S * stride_h), weights.dtype)
    taps_v, taps_h = layer.R * layer.dilation[0], layer.S * layer.dilation[1]
    spread[:, :, 0 : taps_v : layer.dilation[0], 0 : taps_h : layer.dilation[1]] = weights
    split = spread.reshape(layer.K, channels, conv.R, stride_v, conv.S, stride_h)
    unfolded = split.transpose(0, 1, 3, 5, 2, 4)
    return unfolded.reshape(layer.K, channels * conv.phases, conv.R, conv.S)  # type: ignore[return-value]


@dataclass(frozen=True)
class SubPlane:
    """Rows and columns that all PEs work on at one time; PE (i, j) has rows top + i * tile_h onwards."""

    top: int
    left: int
    tile_h: int
    tile_w: int
    height: int
    width: int

    def tile_sizes(self, rows: int, cols: int) -> npt.NDArray[np.int64]:
        """Positions of the plane in the tile of each PE.  int64[rows * cols]"""
        heights = np.clip(self.height - np.arange(rows) * self.tile_h, 0, self.tile_h)
        widths = np.clip(self.width - np.arange(cols) * self.tile_w, 0, self.tile_w)
        return np.outer(heights, widths).ravel()


@dataclass(frozen=True)
class PlanarTiling:
    """A plane cut for a grid of PEs, and each tile cut again into splits_v x splits_h parts that follow in time.

    Every part takes a contiguous sub-plane whose sides are multiples of the grid, so that splitting a tile in time
    idles no PE: 56 rows on 8 PEs in two parts are 32 and 24 rows, not 28 and 28.
    """

    plane: tuple[int, int]
    rows: int
    cols: int
    splits_v: int = 1
    splits_h: int = 1

    def sub_planes(self) -> Iterator[SubPlane]:
        """The sub-planes in the order of their execution, row by row; empty ones are left out."""
        for top, height, tile_h in _cuts(self.plane[0], self.rows, self.splits_v):
            for left, width, tile_w in _cuts(self.plane[1], self.cols, self.splits_h):
                yield SubPlane(top, left, tile_h, tile_w, height, width)

    @property
    def largest_tile(self) -> tuple[int, int]:
        """Rows and columns of the largest tile of a PE."""
        tile_h, tile_w = -(-self.plane[0] // self.rows), -(-self.plane[1] // self.cols)
        return -(-tile_h // self.splits_v), -(-tile_w // self.splits_h)


def _cuts(size: int, num_pes: int, splits: int) -> list[tuple[int, int, int]]:
    """First position, length and tile of each sub-plane along one axis."""
    tile = -(-size // num_pes)
    cuts, start = [], 0
    for part in range(splits):
        part_tile = tile // splits + (part < tile % splits)
        length = min(part_tile * num_pes, size - start)
        if length > 0:
            cuts.append((start, length, part_tile))
            start += length
    return cuts


def tilings(plane: tuple[int, int], rows: int, cols: int) -> Iterator[PlanarTiling]:
    """Tilings with more and more sub-planes.

    The numbers of parts along the two axes differ at most by a factor of two, to keep halos short, unless the tile
    cannot be cut further along one of them.
    """
    tallest, widest = -(-plane[0] // rows), -(-plane[1] // cols)
    for parts in range(1, tallest * widest + 1):
        pairs = [
            (splits_v, parts // splits_v)
            for splits_v in range(max(1, parts // widest), min(tallest, parts) + 1)
            if parts % splits_v == 0 and parts // splits_v <= widest
        ]
        for splits_v, splits_h in sorted(pairs, key=lambda pair: (abs(pair[0] - pair[1]), pair)):
            if (splits_v <= 2 * splits_h or splits_h == widest) and (splits_h <= 2 * splits_v or splits_v == tallest):
                yield PlanarTiling(plane, rows, cols, splits_v, splits_h)


def tile_masks(sub_plane: SubPlane, plane: Array, rows: int, cols: int) -> Array:
    """Tiles of every channel and PE, short tiles filled with zeros.

    plane : mask or values [C, H, W]  ->  [C * rows * cols, tile_h * tile_w]
    """
    channels = plane.shape[0]
    part = plane[
        :, sub_plane.top : sub_plane.top + sub_plane.height, sub_plane.left : sub_plane.left + sub_plane.width
    ]
    full = np.zeros((channels, rows * sub_plane.tile_h, cols * sub_plane.tile_w), plane.dtype)
    full[:, : part.shape[1], : part.shape[2]] = part
    split = full.reshape(channels, rows, sub_plane.tile_h, cols, sub_plane.tile_w).transpose(0, 1, 3, 2, 4)
    return split.reshape(channels * rows * cols, sub_plane.tile_h * sub_plane.tile_w)  # type: ignore[return-value]


def halo_outputs(conv: UnitStrideConv, sub_plane: SubPlane) -> int:
    """Outputs of one channel that a sub-plane contributes to and does not own: partial sums of its neighbours."""
    top, left = sub_plane.top + conv.pad_top - conv.R + 1, sub_plane.left + conv.pad_left - conv.S + 1
    bottom, right = top + sub_plane.height + conv.R - 1, left + sub_plane.width + conv.S - 1
    own_top, own_left = sub_plane.top - conv.own_top, sub_plane.left - conv.own_left
    reached = _overlap(top, bottom, conv.P) * _overlap(left, right, conv.Q)
    own_rows = _overlap(max(top, own_top), min(bottom, own_top + sub_plane.height), conv.P)
    own_columns = _overlap(max(left, own_left), min(right, own_left + sub_plane.width), conv.Q)
    return reached - own_rows * own_columns


def owned_outputs(conv: UnitStrideConv, sub_plane: SubPlane) -> int:
    """Outputs of one channel that a sub-plane completes."""
    top, left = sub_plane.top - conv.own_top, sub_plane.left - conv.own_left
    return _overlap(top, top + sub_plane.height, conv.P) * _overlap(left, left + sub_plane.width, conv.Q)


def largest_halo(conv: UnitStrideConv, sub_plane: SubPlane) -> int:
    """Outputs of one channel in the largest of the eight regions that a PE hands to its neighbours."""
    below, right = conv.pad_top + conv.own_top, conv.pad_left + conv.own_left
    rows = (max(0, conv.R - 1 - below), sub_plane.tile_h, min(below, conv.R - 1))
    columns = (max(0, conv.S - 1 - right), sub_plane.tile_w, min(right, conv.S - 1))
    return max(rows[i] * columns[j] for i in range(3) for j in range(3) if (i, j) != (1, 1))


def _overlap(first: int, end: int, size: int) -> int:
    return max(0, min(end, size) - max(first, 0))
