"""Activations of a network as onnxruntime computed them on real inputs, one layer at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, show
from archmodel.exchange.onnx_builder import Builder, letter_size
from archmodel.exchange.onnx_operands import FileTensor, LayerSource
from archmodel.exchange.onnx_reader import Weights
from archmodel.network.layer import GATES, Layer
from archmodel.network.network import Network
from archmodel.operands.operands import Made

Array = npt.NDArray[Any]
REQUANTIZATION = {"input_scale": 1, "weight_scale": 4, "output_scale": 6, "zero_point": 7}  # places of inputs


class Run(Protocol):
    """Tensors of a model by name, for each of its runs."""

    @property
    def num_runs(self) -> int:
        """Runs of the model, one after the other."""

    def has(self, name: str) -> bool:
        """Whether a tensor was kept."""

    def tensor(self, name: str, run: int) -> Array:
        """The values of a tensor that was kept."""


@dataclass(frozen=True)
class Capture:
    """A network, its weights and what a run of it on real inputs multiplied; zero is the zero point.

    builder : what is known of the tensors of its file
    description : of the inputs, for the origin of the operands
    """

    network: Network
    builder: Builder
    run: Run
    description: str
    densities: dict[str, float] = field(default_factory=dict)  # found so far

    @property
    def batch(self) -> int:
        """Images: those of a run times the runs."""
        of_a_run = max(letter_size(source.inputs.axes, "N") for source in self.builder.sources.values())
        return of_a_run * self.run.num_runs

    def weights(self, layer: Layer) -> Array:
        """Real weights of a layer, in its `weight_shape`."""
        return Weights(self.builder, self.network.source)[layer.name]

    def inputs(self, layer: Layer, only_mask: bool = False) -> Array:
        """What the weights multiply, for all images: [N, *layer.multiplied_shape]; or only where it is not zero."""
        source = self._source(layer)

        def of_run(run: int) -> Array:
            inputs = source.inputs.arranged(self._distances(source.inputs, run))
            if layer.kind not in GATES:
                return inputs
            N, C, T, columns = inputs.shape
            features = inputs.transpose(0, 1, 3, 2).reshape(N, C * columns, T, 1)
            return np.concatenate([features, self._states_before(layer, source, run)], axis=1)

        return self._all_runs(layer, of_run, (self.batch, *layer.multiplied_shape), only_mask)

    def kernels(self, layer: Layer, only_mask: bool = False) -> Array:
        """The second input of a matmul for all images: [N x K, C / groups, 1, 1]; or only where it is not zero."""
        tensor = self._source(layer).kernels
        if tensor is None:
            raise WorkloadError(f"{self.network.name}: {layer.name}: has no second input that was captured")
        transposed = bool(self._source(layer).node.integer("transB", 0))

        def of_run(run: int) -> Array:
            stored = self._distances(tensor, run)
            return tensor.kernels(stored.T if transposed else stored)

        K, *rest = layer.weight_shape
        return self._all_runs(layer, of_run, (self.batch * K, *rest), only_mask)

    def made(self, layer: Layer) -> Made | None:
        """What onnxruntime made of the layer; None where it is not known how it follows from sums of products."""
        source = self._source(layer)
        if not source.rule or source.outputs is None:
            return None
        outputs = source.outputs
        constants = self._constants(layer, source)
        if constants is None or not self.run.has(outputs.name):
            return None
        shape = (self.batch, *layer.output_shape)
        values = self._all_runs(layer, lambda run: outputs.arranged(self.run.tensor(outputs.name, run)), shape)
        return Made(source.rule, values, constants)

    def input_density(self, layer: Layer) -> float:
        """Non-zero fraction of a layer's inputs, without the states of a recurrent one."""
        return self._density(layer.name, lambda: self.inputs(layer, only_mask=True)[:, : layer.C])

    def kernel_density(self, layer: Layer) -> float:
        """Non-zero fraction of the second input of a matmul."""
        return self._density(f"{layer.name} kernels", lambda: self.kernels(layer, only_mask=True))

    def _density(self, key: str, read: Callable[[], Array]) -> float:
        if key not in self.densities:
            values = read()
            self.densities[key] = int(np.count_nonzero(values)) / values.size
        return self.densities[key]

    def _source(self, layer: Layer) -> LayerSource:
        if layer.name not in self.builder.sources:
            raise WorkloadError(f"{self.network.name}: {layer.name}: its activations cannot be captured")
        return self.builder.sources[layer.name]

    def _all_runs(
        self, layer: Layer, of_run: Callable[[int], Array], shape: tuple[int, ...], only_mask: bool = False
    ) -> Array:
        """Arrays of all runs as one of `shape`; of a mask the numbers of one run are in memory at a time."""
        parts = []
        for run in range(self.run.num_runs):
            try:
                part = of_run(run)
            except WorkloadError as error:
                raise WorkloadError(f"{self.network.name}: {error}") from None
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise WorkloadError(f"{self.network.name}: {layer.name}: activations are NaN or infinite on this input")
            parts.append(part != 0 if only_mask else part)
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if whole.size != np.prod(shape):
            raise WorkloadError(
                f"{self.network.name}: {layer.name}: {list(whole.shape)} words were captured; expected {list(shape)}"
            )
        return whole.reshape(shape)

    def _distances(self, tensor: FileTensor, run: int) -> Array:
        """Values of a tensor as distances from its zero point."""
        values = self.run.tensor(tensor.name, run)
        if not tensor.zero_point:
            return values
        zero_point = self._any(tensor.zero_point, run)
        if zero_point.size != 1:
            raise WorkloadError(f"tensor {show(tensor.name)}: a zero point for each row is not supported")
        return values.astype(np.int32) - zero_point.reshape(()).astype(np.int32)

    def _any(self, name: str, run: int) -> Array:
        """A tensor of the run or a constant of the file."""
        if name in self.builder.constants:
            return np.asarray(self.builder.constants[name].load())
        return self.run.tensor(name, run)

    def _states_before(self, layer: Layer, source: LayerSource, run: int) -> Array:
        """The state that each step of a run reads, [N, K, T, 1]."""
        outputs = source.outputs
        assert outputs is not None
        after = outputs.arranged(self.run.tensor(outputs.name, run))
        before = np.empty_like(after)
        first = self._initial(layer, source, 5, run)[:, :, np.newaxis, np.newaxis]
        if source.backward:
            before[:, :, :-1], before[:, :, -1:] = after[:, :, 1:], first
        else:
            before[:, :, 1:], before[:, :, :1] = after[:, :, :-1], first
        return before

    def _initial(self, layer: Layer, source: LayerSource, place: int, run: int) -> Array:
        """An initial state [N, K] of a direction in a run; zeros where the node has none."""
        name, axis = source.node.input(place), 1 if source.node.integer("layout", 0) else 0
        if not name:
            return np.zeros((self.batch // self.run.num_runs, layer.K), np.float32)
        return self._any(name, run).take(source.direction, axis)

    def _constants(self, layer: Layer, source: LayerSource) -> dict[str, Array] | None:
        """The other numbers that outputs follow from, by their names in the rule; None where one was not kept."""
        node = source.node
        others = [name for name in node.inputs[1:] if name and name not in self.builder.constants]
        if not all(self.run.has(name) for name in others):
            return None
        if source.rule in ("lstm", "rnn"):
            both = self._any(node.input(3), 0)[source.direction] if node.input(3) else np.zeros(2)
            bias = both.astype(np.float64).reshape(2, -1).sum(axis=0)  # of the inputs and of the states
            constants = {"bias": bias, "backward": np.array(source.backward)}
            if source.rule == "lstm":
                shape = (self.batch, layer.K)
                constants["cells"] = self._all_runs(layer, lambda run: self._initial(layer, source, 6, run), shape)
            return constants
        bias_at = 8 if node.op_type == "QLinearConv" else 2
        biased = node.op_type in ("Conv", "Gemm", "QLinearConv") and node.input(bias_at)
        constants = {"bias": self._any(node.input(bias_at), 0) if biased else np.zeros(1)}
        if len(constants["bias"].shape) > 1 and constants["bias"].shape[0] > 1:
            return None  # a bias for each image
        if source.rule == "requantized":
            return constants | {name: self._any(node.input(place), 0) for name, place in REQUANTIZATION.items()}
        return constants | {"alpha": np.array(node.real("alpha", 1.0)), "beta": np.array(node.real("beta", 1.0))}
