"""The operands of one layer: where its non-zeros are, and where that knowledge comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError
from archmodel.network.layer import GATES, Layer

Mask = npt.NDArray[np.uint8]
Values = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Made:
    """What another program made of the same operands, to compare outputs with.

    rule : how the outputs follow from sums of products: `sum`, `requantized`, `lstm` or `rnn`
    outputs : [N, K, P, Q]
    constants : the other numbers of the rule by name, for instance `bias`
    """

    rule: str
    outputs: npt.NDArray[Any]
    constants: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Operands:
    """Non-zero masks of a layer that multiplies; 1 where the value is not the zero point.

    weights : uint8[K, C / groups, R, S], of a recurrent layer [gates * K, C + K, 1, 1], of a matmul [N * K, C / groups,
        1, 1] because the kernels are those of an image
    inputs : uint8[N, C, H, W], of a recurrent layer [N, C + K, T, 1]: x_t and h_(t-1) of each step
    output_density : float in [0, 1], non-zero fraction of the outputs
    weight_values, input_values : int32 of the same shapes, where values are known
    weight_step, input_step : what 1 stands for in them
    made : outputs of another program from the same values, where there are some
    origins : what each of weights, inputs and outputs rests on, for the result file
    """

    weights: Mask
    inputs: Mask
    output_density: float
    weight_values: Values | None = None
    input_values: Values | None = None
    weight_step: float = 1.0
    input_step: float = 1.0
    made: Made | None = None
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Number of images N."""
        return self.inputs.shape[0]

    @cached_property
    def weight_nonzeros(self) -> int:
        """Non-zero weights."""
        return int(np.count_nonzero(self.weights))

    @cached_property
    def input_nonzeros(self) -> int:
        """Non-zero activations of all images."""
        return int(np.count_nonzero(self.inputs))

    @property
    def weight_density(self) -> float:
        """Non-zero fraction of the weights."""
        return self.weight_nonzeros / self.weights.size

    @property
    def input_density(self) -> float:
        """Non-zero fraction of the activations."""
        return self.input_nonzeros / self.inputs.size

    def image(self, index: int) -> "Operands":
        """One image of a matmul, with the kernels that are its own."""
        num_kernels = self.weights.shape[0] // self.batch
        own, one = slice(index * num_kernels, (index + 1) * num_kernels), slice(index, index + 1)
        return replace(
            self,
            weights=self.weights[own],
            inputs=self.inputs[one],
            weight_values=None if self.weight_values is None else self.weight_values[own],
            input_values=None if self.input_values is None else self.input_values[one],
        )

    def check_shapes(self, layer: Layer) -> None:
        """Raise WorkloadError unless the masks have the layer's shapes."""
        allowed = kernels_shape(layer, self.batch)
        if self.weights.shape != allowed:
            raise WorkloadError(f"{layer.name}: weights of shape {self.weights.shape}; allowed: {allowed}")
        if self.inputs.shape[1:] != layer.multiplied_shape:
            raise WorkloadError(
                f"{layer.name}: inputs of shape {self.inputs.shape[1:]} an image; allowed: {layer.multiplied_shape}"
            )


def kernels_shape(layer: Layer, batch: int) -> tuple[int, int, int, int]:
    """Shape of all kernels that `batch` images are multiplied with: every image of a matmul has its own."""
    K, *rest = layer.weight_shape
    return (batch * K if layer.kind == "matmul" else K, *rest)  # type: ignore[return-value]


@dataclass(frozen=True)
class Densities:
    """What is known of a layer without its tensors: the non-zero fractions, every placement equally likely."""

    batch: int
    weight_density: float
    input_density: float
    output_density: float
    origins: dict[str, str] = field(default_factory=dict)

    def effectual_macs(self, layer: Layer) -> int:
        """Expected products of two non-zeros whose output is in range, over all images."""
        if layer.kind in GATES:
            return round(self.batch * layer.macs * self.weight_density * self.input_density)
        taps_v = sum(window_length(layer, 0, r) for r in range(layer.R))
        taps_h = sum(window_length(layer, 1, s) for s in range(layer.S))
        in_range = self.batch * layer.K * (layer.C // layer.groups) * taps_v * taps_h
        return round(in_range * self.weight_density * self.input_density)


def window_length(layer: Layer, axis: int, kernel_index: int) -> int:
    """Outputs along an axis (0 rows, 1 columns) that a kernel position adds a product to."""
    size, num_outputs = ((layer.H, layer.P), (layer.W, layer.Q))[axis]
    covered = window(
        size, num_outputs, kernel_index, layer.stride[axis], layer.dilation[axis], layer.padding[2 * axis]
    )
    return len(range(covered.start, covered.stop, covered.step))


def effectual_macs(layer: Layer, operands: Operands) -> int:
    """Products of two non-zeros whose output is in range, over all images: the same number on every machine.

    Counted on the layer's own geometry, kernel position by kernel position, so that it can disagree with a machine's
    own account of what it multiplied.
    """
    if layer.kind == "fc" or layer.kind in GATES:
        per_channel = operands.inputs.sum(axis=(0, 2, 3), dtype=np.int64)
        return int(per_channel @ operands.weights.sum(axis=(0, 2, 3), dtype=np.int64))
    if layer.kind == "matmul" and operands.batch > 1:
        return sum(effectual_macs(layer, operands.image(index)) for index in range(operands.batch))
    per_group = layer.C // layer.groups
    weights = operands.weights.reshape(layer.groups, layer.K // layer.groups, per_group, layer.R, layer.S)
    weight_counts = weights.sum(axis=1, dtype=np.int64).reshape(layer.C, layer.R, layer.S)
    total = 0
    for s in range(layer.S):
        columns = window(layer.W, layer.Q, s, layer.stride[1], layer.dilation[1], layer.padding[2])
        in_row = operands.inputs[:, :, :, columns].sum(axis=3, dtype=np.int64)
        for r in range(layer.R):
            rows = window(layer.H, layer.P, r, layer.stride[0], layer.dilation[0], layer.padding[0])
            total += int(in_row[:, :, rows].sum(axis=(0, 2)) @ weight_counts[:, r, s])
    return total


def window(size: int, num_outputs: int, kernel_index: int, stride: int, dilation: int, padding: int) -> slice:
    """Input positions along one axis that a kernel position multiplies; those in the padding are left out."""
    first = kernel_index * dilation - padding
    start = first if first >= 0 else first % stride
    stop = min(first + (num_outputs - 1) * stride + 1, size)
    return slice(start, max(start, stop), stride)  # a negative stop would count from the end
