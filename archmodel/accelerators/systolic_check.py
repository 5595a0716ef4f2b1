"""Outputs of a systolic array tile by tile, in the arithmetic of its PEs, for `--check`."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.check import Outputs, compare_outputs, exact_type, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.systolic_config import Config, PEKind
from archmodel.accelerators.systolic_tiles import Tile, Tiling
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands, Values


def check(config: Config, layer: Layer, operands: Operands, context: Context) -> None:
    """Raise ResultError unless the tiles, added up in their order, give the outputs of the values that PEs hold."""
    weights, inputs = coded(config.pe.kind, *values_of(layer, operands, context.seed))
    padded = np.pad(inputs, edges(layer), constant_values=padding_value(config.pe.kind))
    outputs = tiled_outputs(Tiling(config, layer, operands.batch), weights, padded)
    whole = replace(layer, input_shape=padded.shape[1:], padding=(0, 0, 0, 0))
    for image, of_image in zip(padded, outputs, strict=True):
        compare_outputs(layer, of_image, reference_outputs(whole, weights, image))


def coded(kind: PEKind, weights: Values, inputs: Values) -> tuple[Values, Values]:
    """Operands as a PE holds them: ternary weights are signs; a bit is +1 or -1, and zero is +1."""
    if kind == "ternary":
        return np.sign(weights), inputs
    if kind == "xnor":
        return np.where(weights < 0, -1, 1).astype(np.int32), np.where(inputs < 0, -1, 1).astype(np.int32)
    return weights, inputs


def padding_value(kind: PEKind) -> int:
    """What stands around an image: a bit has no zero, and padding is its -1."""
    return -1 if kind == "xnor" else 0


def edges(layer: Layer) -> tuple[tuple[int, int], ...]:
    """Padding of inputs [N, C, H, W]."""
    top, bottom, left, right = layer.padding
    return (0, 0), (0, 0), (top, bottom), (left, right)


def tiled_outputs(tiling: Tiling, weights: Values, padded: Values) -> Outputs:
    """Outputs tile by tile, each from the windows that are read for it.  int64[N, K, P, Q]"""
    layer, kind = tiling.layer, tiling.config.pe.kind
    exact = exact_type(layer, weights, padded)
    images, by_group = padded.astype(exact), weights.reshape(layer.groups, tiling.kernels, tiling.depth).astype(exact)
    sums: npt.NDArray[Any] = np.zeros((layer.groups, tiling.positions, tiling.kernels), exact)
    for tile in tiling.tiles():
        kernels = by_group[tile.group, tile.kernels, tile.depth]
        sums[tile.group, tile.positions, tile.kernels] += tile_sums(kind, windows_of(tiling, images, tile), kernels)
    outputs = sums.reshape(layer.groups, tiling.batch, layer.P, layer.Q, tiling.kernels)
    return outputs.transpose(1, 0, 4, 2, 3).reshape(tiling.batch, layer.K, layer.P, layer.Q).astype(np.int64)


def tile_sums(kind: PEKind, windows: npt.NDArray[Any], kernels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums of a tile, from windows [positions, depth] and kernels [kernels, depth]: [positions, kernels]."""
    if kind == "multiplier":
        return windows @ kernels.T
    plus, minus = ((kernels * sign > 0).astype(kernels.dtype) for sign in (1, -1))
    if kind == "ternary":
        return windows @ plus.T - windows @ minus.T
    ones = (windows > 0).astype(windows.dtype)
    agree = ones @ plus.T + (1 - ones) @ minus.T  # the population count of XNOR
    return 2 * agree - windows.shape[1]


def windows_of(tiling: Tiling, padded: npt.NDArray[Any], tile: Tile) -> npt.NDArray[Any]:
    """What the rows of a tile read from the padded inputs [N, C, H, W]: [positions, depth]."""
    layer = tiling.layer
    positions = np.arange(tile.positions.start, tile.positions.stop)[:, np.newaxis]
    image, p, q = np.unravel_index(positions, (tiling.batch, layer.P, layer.Q))
    c, r, s = np.unravel_index(np.arange(tile.depth.start, tile.depth.stop), layer.weight_shape[1:])
    rows = p * layer.stride[0] + r * layer.dilation[0]
    columns = q * layer.stride[1] + s * layer.dilation[1]
    return padded[image, tile.group * (layer.C // layer.groups) + c, rows, columns]
