"""The passes of a layer that multiplies, as layers that a machine of `sim` runs.

Both gradients have the MACs of the forward pass; docs/systems.md says what of the equivalence is exact.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from archmodel.network.layer import Layer
from archmodel.training.steps import Operation

Role = Literal["W", "X", "gradient"]


class PassLayer(NamedTuple):
    """A layer, and the tensors of the network's own layer whose zeros its kernels and its inputs have."""

    layer: Layer
    kernels: Role
    inputs: Role


def pass_layers(layer: Layer, operation: Operation) -> tuple[PassLayer, ...]:
    """What a machine runs for a forward step (or one that is repeated), a data gradient or a weight gradient."""
    if operation == "data_gradient":
        return tuple(_data_gradient(layer))
    if operation == "weight_gradient":
        return (PassLayer(layer, "gradient", "X"),)
    return (PassLayer(layer, "W", "X"),)


def _data_gradient(layer: Layer) -> Iterator[PassLayer]:
    """dX: the kernels with channels swapped over the plane of dY; a matmul has the gradient of its kernels too."""
    if layer.kind == "matmul":
        yield PassLayer(layer, "W", "gradient")
        yield PassLayer(layer, "gradient", "X")
    elif layer.kind == "fc":
        yield PassLayer(replace(layer, input_shape=(layer.K, 1, 1), K=layer.C, bias=False), "W", "gradient")
    elif layer.kind == "conv":
        for R in kernel_parts(layer.R, layer.stride[0]):
            for S in kernel_parts(layer.S, layer.stride[1]):
                yield PassLayer(_over_gradient(layer, R, S), "W", "gradient")
    else:
        yield PassLayer(layer, "W", "gradient")


def kernel_parts(extent: int, stride: int) -> list[int]:
    """Rows of a kernel that meet the inputs at each offset from the stride, of those offsets that have any."""
    return [-(-(extent - offset) // stride) for offset in range(min(stride, extent))]


def _over_gradient(layer: Layer, R: int, S: int) -> Layer:
    """A convolution of dY with a part of the kernels that makes a plane as large as that of dY."""
    spans = [rows * (taps - 1) for rows, taps in zip(layer.dilation, (R, S), strict=True)]
    before = [span // 2 for span in spans]
    return replace(
        layer,
        input_shape=layer.output_shape,
        K=layer.C,
        R=R,
        S=S,
        stride=(1, 1),
        padding=(before[0], spans[0] - before[0], before[1], spans[1] - before[1]),
        bias=False,
    )
