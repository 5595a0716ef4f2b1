"""The operands of a layer as dot products: kernel position by kernel position, channels fastest."""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from archmodel.network.layer import Layer
from archmodel.operands.operands import Values

Array = TypeVar("Array", bound=npt.NDArray[Any])

STRIP_WORDS = 2**22  # neurons that are laid out at a time


def synapse_rows(layer: Layer, weights: Array) -> Array:
    """Kernels or their masks as rows: [K, C / groups, R, S] -> [K, R * S * C / groups]."""
    if layer.R * layer.S == 1:
        return weights.reshape(layer.K, -1)  # type: ignore[return-value]
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1)).reshape(layer.K, -1)  # type: ignore[return-value]


def candidate_neurons(layer: Layer, image: Values, group: int) -> Iterator[tuple[slice, Values]]:
    """Neurons under the outputs of a group, some rows at a time: which outputs, and int32[depth, outputs].

    Neurons in the padding are zeros that the machine stores.
    """
    channels = layer.C // layer.groups
    (stride_v, stride_h), (dilation_v, dilation_h) = layer.stride, layer.dilation
    top, bottom, left, right = layer.padding
    padded = np.pad(image[group * channels : (group + 1) * channels], ((0, 0), (top, bottom), (left, right)))
    strip_rows = max(1, STRIP_WORDS // (channels * layer.R * layer.S * layer.Q))
    for first in range(0, layer.P, strip_rows):
        rows = min(strip_rows, layer.P - first)
        strip = np.empty((layer.R, layer.S, channels, rows, layer.Q), np.int32)
        for r in range(layer.R):
            start = first * stride_v + r * dilation_v
            for s in range(layer.S):
                columns = slice(s * dilation_h, s * dilation_h + (layer.Q - 1) * stride_h + 1, stride_h)
                strip[r, s] = padded[:, start : start + (rows - 1) * stride_v + 1 : stride_v, columns]
        yield slice(first * layer.Q, (first + rows) * layer.Q), strip.reshape(-1, rows * layer.Q)
