"""Ways to compute a convolution on a GPU: arithmetic, bytes moved and workspace of each, and the layers it takes."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from archmodel.accelerators.conv_transforms import COMPLEX_OPERATIONS, FFT_TILE, TAPS, Fourier, WinogradTile
from archmodel.errors import WorkloadError, show
from archmodel.network.layer import Layer

Algorithm = Literal["implicit_gemm", "precomputed_gemm", "fft", "fft_tiled", "winograd_2x2", "winograd_4x4"]
Pass = Literal["forward", "data_gradient", "weight_gradient"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
PASSES: tuple[Pass, ...] = get_args(Pass)

MAX_FFT_EXTENT = 256  # cuDNN's limit on the padded plane of an untiled transform
ON_CHIP_EXTENT = 64  # 64x33 complex words fit the 48 KiB of a block; larger planes go by rows, then by columns
RESULT = {"forward": "y", "data_gradient": "x", "weight_gradient": "w"}
GEMM_TILE = 64  # rows and columns of a result that a block makes, cuDNN's smaller tile for Maxwell
OFFSET_BYTES = 4
FLOAT_BYTES = 4  # of transformed words: fast convolutions compute in FP32 whatever is stored
COMPLEX_BYTES = 8


@dataclass(frozen=True)
class Kernel:
    """One launch: multiply-adds, an addition of a transform being one too, and bytes to and from the memory.

    blocks : tiles of the result, each of which one multiprocessor makes; None where there are enough for any device
    """

    operations: int
    bytes_moved: int
    blocks: int | None = None


@dataclass(frozen=True)
class ConvWork:
    """What one pass of a convolution over a batch asks of a device: kernels one after the other, and a workspace."""

    kernels: tuple[Kernel, ...]
    workspace_bytes: int

    @property
    def operations(self) -> int:
        """Of all kernels."""
        return sum(kernel.operations for kernel in self.kernels)

    @property
    def bytes_moved(self) -> int:
        """Operands, results, and the workspace as often as it is written and read."""
        return sum(kernel.bytes_moved for kernel in self.kernels)


@dataclass(frozen=True)
class Transformed:
    """Words, transformed bytes and operations of the transforms of x (inputs), y (outputs), w (kernels), one group."""

    words: dict[str, int]
    stored_bytes: dict[str, int]
    operations: dict[str, int]
    products: int  # multiply-adds between the transforms
    sweeps: int = 1  # over the transformed words, by a transform


def limit(algorithm: Algorithm, layer: Layer) -> str | None:
    """Why the algorithm does not take the layer, or None; the same for all passes."""
    if algorithm in ("implicit_gemm", "precomputed_gemm"):
        return None
    if layer.stride != (1, 1) or layer.dilation != (1, 1):
        return "needs stride and dilation 1"
    if algorithm in ("winograd_2x2", "winograd_4x4"):
        return None if (layer.R, layer.S) == (TAPS, TAPS) else "needs kernels of 3x3"
    top, bottom, left, right = layer.padding
    if max(top, bottom) >= layer.R or max(left, right) >= layer.S:
        return "needs kernels larger than the padding"
    if algorithm == "fft" and max(_padded(layer)) > MAX_FFT_EXTENT:
        return f"needs a padded plane of at most {MAX_FFT_EXTENT}x{MAX_FFT_EXTENT}"
    if algorithm == "fft_tiled" and max(layer.R, layer.S) >= FFT_TILE:
        return f"needs kernels below {FFT_TILE}x{FFT_TILE}"
    return None


def conv_work(algorithm: Algorithm, layer: Layer, which: Pass, N: int, word_bytes: int = FLOAT_BYTES) -> ConvWork:
    """Work of one pass over N images; groups one after the other, each in the same workspace.

    Raises WorkloadError where the layer is beyond the limits of the algorithm.
    """
    if layer.kind != "conv":
        raise WorkloadError(f"layer {show(layer.name)}: {layer.kind}: only conv has algorithms")
    reason = limit(algorithm, layer)
    if reason is not None:
        raise WorkloadError(f"layer {show(layer.name)}: {algorithm} {reason}")
    tensors = word_bytes * (N * (layer.input_words + layer.output_words) + layer.weight_words)
    blocks = _result_blocks(layer, which, N)
    if algorithm == "implicit_gemm":
        return ConvWork((Kernel(N * layer.macs, tensors, blocks),), 0)
    if algorithm == "precomputed_gemm":
        table = OFFSET_BYTES * _offsets(layer, which)
        return ConvWork((Kernel(0, table), Kernel(N * layer.macs, tensors + table, blocks)), table)
    made = (_winograd if algorithm.startswith("winograd") else _fourier)(algorithm, layer, which, N)
    fused = algorithm == "winograd_2x2"
    kernels = (_fused_kernels if fused else _separate_kernels)(made, which, word_bytes)
    workspace = made.stored_bytes["w"] if fused else sum(made.stored_bytes.values())
    groups = layer.groups
    return ConvWork(tuple(Kernel(groups * one.operations, groups * one.bytes_moved) for one in kernels), workspace)


def _padded(layer: Layer) -> tuple[int, int]:
    top, bottom, left, right = layer.padding
    return layer.H + top + bottom, layer.W + left + right


def _result_blocks(layer: Layer, which: Pass, N: int) -> int:
    """Tiles of the matrix that a pass makes: positions by channels, or kernels; a dot product is not split over blocks.

    The kernels of a first layer are few: its weight gradient keeps a part of the device busy.
    """
    C, K = layer.C // layer.groups, layer.K // layer.groups
    rows, cols = {
        "forward": (N * layer.P * layer.Q, K),
        "data_gradient": (N * layer.H * layer.W, C),
        "weight_gradient": (C * layer.R * layer.S, K),
    }[which]
    return layer.groups * math.ceil(rows / GEMM_TILE) * math.ceil(cols / GEMM_TILE)


def _offsets(layer: Layer, which: Pass) -> int:
    """Words of the table of offsets: one for each term of a dot product, one for each position of the plane made."""
    kernel = layer.R * layer.S
    channels = (layer.K if which == "data_gradient" else layer.C) // layer.groups
    plane = layer.H * layer.W if which == "data_gradient" else layer.P * layer.Q
    return channels * kernel + plane


def _separate_kernels(made: Transformed, which: Pass, word_bytes: int) -> tuple[Kernel, ...]:
    """Transforms of both operands, their products, the transform back; the workspace holds all that is between them."""
    result = RESULT[which]
    operands = [name for name in "xyw" if name != result]
    sweeps = 2 * made.sweeps - 1  # the first of a transform only writes, the others read too
    into = sum(word_bytes * made.words[name] + sweeps * made.stored_bytes[name] for name in operands)
    back = word_bytes * made.words[result] + sweeps * made.stored_bytes[result]
    return (
        Kernel(sum(made.operations[name] for name in operands), into),
        Kernel(made.products, sum(made.stored_bytes.values())),
        Kernel(made.operations[result], back),
    )


def _fused_kernels(made: Transformed, which: Pass, word_bytes: int) -> tuple[Kernel, ...]:
    """Only the kernels' transforms go through the workspace; those of the planes stay on chip beside the products."""
    planes = word_bytes * (made.words["x"] + made.words["y"]) + made.stored_bytes["w"]
    operations = made.products + made.operations["x"] + made.operations["y"]
    transform = Kernel(made.operations["w"], word_bytes * made.words["w"] + made.stored_bytes["w"])
    main = Kernel(operations, planes)
    return (main, transform) if which == "weight_gradient" else (transform, main)


def _words(layer: Layer, N: int) -> dict[str, int]:
    sizes = {"x": N * layer.input_words, "y": N * layer.output_words, "w": layer.weight_words}
    return {name: words // layer.groups for name, words in sizes.items()}


def _winograd(algorithm: Algorithm, layer: Layer, which: Pass, N: int) -> Transformed:
    """Tiles of the plane that a pass makes; the weight gradient is F(3x3, m x m), whose tiles have the same size."""
    tile = WinogradTile(2 if algorithm == "winograd_2x2" else 4)
    C, K = layer.C // layer.groups, layer.K // layer.groups
    num_tiles = N * tile.tiles(*_tiled_plane(layer, which))
    counts = {"x": num_tiles * C, "y": num_tiles * K, "w": C * K}
    back = {"x": tile.output_operations, "y": tile.data_operations}  # of a data gradient: dY is read, dX made
    planes = back if which == "data_gradient" else {"x": tile.data_operations, "y": tile.output_operations}
    each = planes | {"w": tile.filter_operations}
    return Transformed(
        _words(layer, N),
        {name: FLOAT_BYTES * tile.points * count for name, count in counts.items()},
        {name: each[name] * count for name, count in counts.items()},
        num_tiles * tile.points * C * K,
    )


def _fourier(algorithm: Algorithm, layer: Layer, which: Pass, N: int) -> Transformed:
    """Planes of inputs, outputs and kernels as complex words: whole ones, or in tiles of 32x32."""
    C, K = layer.C // layer.groups, layer.K // layer.groups
    num_tiles, transform = N, Fourier.covering(*_padded(layer))
    if algorithm == "fft_tiled":
        transform = Fourier(FFT_TILE, FFT_TILE)
        rows, cols = _tiled_plane(layer, which)
        num_tiles = N * math.ceil(rows / (FFT_TILE - layer.R + 1)) * math.ceil(cols / (FFT_TILE - layer.S + 1))
    counts = {"x": num_tiles * C, "y": num_tiles * K, "w": C * K}
    return Transformed(
        _words(layer, N),
        {name: COMPLEX_BYTES * transform.frequencies * count for name, count in counts.items()},
        {name: transform.operations * count for name, count in counts.items()},
        COMPLEX_OPERATIONS * transform.frequencies * num_tiles * C * K,
        1 if max(transform.rows, transform.cols) <= ON_CHIP_EXTENT else 2,
    )


def _tiled_plane(layer: Layer, which: Pass) -> tuple[int, int]:
    return (layer.H, layer.W) if which == "data_gradient" else (layer.P, layer.Q)
