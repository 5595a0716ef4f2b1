"""The reference that `--check` compares a machine's outputs with, and values where only masks are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.errors import ResultError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Mask, Operands, Values, window

LARGEST_FILL = 127  # int8 magnitudes: no sum of products of a layer overflows
EXACT_IN_FLOAT64 = 2**53

Outputs = npt.NDArray[np.int64]


def check_images(
    layer: Layer, operands: Operands, seed: int, through: Callable[[Values, Values], Outputs]
) -> None:
    """Raise ResultError unless `through` gives the outputs of every image: weights, image -> int64[K, P, Q]."""
    weights, inputs = values_of(layer, operands, seed)
    for image in inputs:
        compare_outputs(layer, through(weights, image), reference_outputs(layer, weights, image))


def values_of(layer: Layer, operands: Operands, seed: int) -> tuple[Values, Values]:
    """Weights and inputs as integers; masks without values are filled with random non-zero ones."""

    def fill(mask: Mask, values: Values | None, which: int) -> Values:
        if values is not None:
            return np.where(mask, values, 0).astype(np.int32)
        name = np.frombuffer(layer.name.encode(), np.uint8)
        rng = np.random.default_rng([seed, which, *name.tolist()])
        magnitude = rng.integers(1, LARGEST_FILL, mask.shape, np.int32, endpoint=True)
        return np.where(mask, np.where(rng.integers(0, 2, mask.shape, np.int8), magnitude, -magnitude), 0)

    return fill(operands.weights, operands.weight_values, 0), fill(operands.inputs, operands.input_values, 1)


def reference_outputs(layer: Layer, weights: Values, image: Values) -> Outputs:
    """Convolution or fc layer of one image by its definition, kernel position by kernel position.  int64[K, P, Q]"""
    exact = exact_type(layer, weights, image)
    outputs: npt.NDArray[Any] = np.zeros((layer.K, layer.P, layer.Q), exact)
    channels, kernels = layer.C // layer.groups, layer.K // layer.groups
    for group in range(layer.groups):
        of_group = slice(group * kernels, (group + 1) * kernels)
        inputs = image[group * channels : (group + 1) * channels].astype(exact)
        for r in range(layer.R):
            rows = window(layer.H, layer.P, r, layer.stride[0], layer.dilation[0], layer.padding[0])
            p = first_output(r, layer.stride[0], layer.dilation[0], layer.padding[0])
            for s in range(layer.S):
                columns = window(layer.W, layer.Q, s, layer.stride[1], layer.dilation[1], layer.padding[2])
                q = first_output(s, layer.stride[1], layer.dilation[1], layer.padding[2])
                part = np.tensordot(weights[of_group, :, r, s].astype(exact), inputs[:, rows, columns], 1)
                outputs[of_group, p : p + part.shape[1], q : q + part.shape[2]] += part
    return outputs.astype(np.int64)


def exact_type(layer: Layer, weights: Values, image: Values) -> type[np.float64] | type[np.int64]:
    """A type that holds every sum of products of the layer: float64, whose products are fast, or int64."""
    largest = float(np.abs(weights).max(initial=0)) * float(np.abs(image).max(initial=0)) * layer.C * layer.R * layer.S
    return np.float64 if largest < EXACT_IN_FLOAT64 else np.int64


def first_output(kernel_index: int, stride: int, dilation: int, padding: int) -> int:
    """First output position whose input is not in the padding before the plane."""
    return max(0, -((kernel_index * dilation - padding) // stride))


def compare_outputs(layer: Layer, outputs: Outputs, expected: Outputs) -> None:
    """Raise ResultError at the first output that the modelled dataflow got wrong."""
    if outputs.shape == expected.shape and np.array_equal(outputs, expected):
        return
    wrong = np.argwhere(outputs != expected)[0].tolist() if outputs.shape == expected.shape else "shape"
    raise ResultError(f"{layer.name}: --check: output {wrong} of the modelled dataflow differs from the reference")
