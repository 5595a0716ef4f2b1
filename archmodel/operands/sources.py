"""Where the operands of a run come from: the network's own record, a density, or a file."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archmodel.errors import UnknownDensityError, WorkloadError
from archmodel.exchange.onnx_file import with_note
from archmodel.network.footprint import compute_consumers, kernel_consumers
from archmodel.network.layer import Layer
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros
from archmodel.operands.archive import codes_of, mask_and_values, real_mask
from archmodel.operands.correlated import CorrelatedZeros, correlated_inputs, correlated_weights
from archmodel.operands.named_weights import stored_weights
from archmodel.operands.operands import Densities, Mask, Operands, Values, kernels_shape
from archmodel.operands.source import FORMS, STATED, Source
from archmodel.operands.synthetic import generator, place, place_among, space_to_depth_cells

if TYPE_CHECKING:
    from archmodel.operands.captured import Capture

__all__ = ["OperandSource", "Source", "UnknownDensityError"]
WEIGHTS, INPUTS = 0, 1  # operand numbers of the random streams
UNIFORM_POSITIONS = "uniform positions"
NOT_CAPTURED_AGAIN = "not captured again since the weights were changed"
TAKEN_AS_DENSE = "unknown: taken as dense"


class Tensor(NamedTuple):
    """One operand of a layer: its mask, its values and what 1 stands for in them, and what they rest on."""

    mask: Mask
    values: Values | None
    origin: str
    step: float = 1.0


@dataclass(frozen=True)
class OperandSource:
    """Makes the operands of a network's layers, one layer at a time; the same seed gives the same zeros.

    `zeros` says how zeros that no file states gather: None, every placement is equally likely. With `with_values` real
    numbers of a capture become integers that outputs can be computed with.
    """

    network: Network
    weights: Source = STATED
    activations: Source = STATED
    seed: int = 0
    batch: int = 1
    zeros: CorrelatedZeros | None = None
    with_values: bool = False

    def operands(self, layer: Layer) -> Operands:
        """Masks of a layer that multiplies, with their origins."""
        index = self.network.places[layer.name]
        weights, inputs = self._weights(layer, index), self._inputs(layer, index)
        density, output_origin = self.output_density(layer)
        captured = self.activations.capture if self._all_captured and self.with_values else None
        operands = Operands(
            weights.mask,
            inputs.mask,
            density,
            weights.values,
            inputs.values,
            weights.step,
            inputs.step,
            made=None if captured is None else captured.made(layer),
            origins={"weights": weights.origin, "inputs": inputs.origin, "outputs": output_origin},
        )
        operands.check_shapes(layer)
        return operands

    def known_masks(self, layer: Layer) -> dict[str, tuple[Mask | None, str]]:
        """Masks of weights and inputs with their origins; None where nothing says how many non-zeros there are."""
        index = self.network.places[layer.name]
        found: dict[str, tuple[Mask | None, str]] = {}
        for operand, make in (("weights", self._weights), ("inputs", self._inputs)):
            try:
                made = make(layer, index)
                found[operand] = made.mask, made.origin
            except UnknownDensityError as error:
                found[operand] = None, f"unknown: {error.remedy}"
        return found

    def densities(self, layer: Layer) -> Densities:
        """What a statistical run knows of a layer; masks are made only where they are real or of a file."""
        index, source = self.network.places[layer.name], self._kernel_source(layer)
        real = source.density is None and self.network.weight_mask_file(layer.name) is not None
        if source.is_real or real:
            weights = self._weights(layer, index)
            weight_nonzeros, weight_origin = int(np.count_nonzero(weights.mask)), weights.origin
        else:
            weight_nonzeros, weight_origin = self._stated_weights(layer)
        if self.activations.is_real:
            inputs = self._inputs(layer, index)
            input_density, input_origin = int(np.count_nonzero(inputs.mask)) / inputs.mask.size, inputs.origin
        else:
            input_density, input_origin = self._input_density(layer)
        density, output_origin = self.output_density(layer)
        origins = {"weights": weight_origin, "inputs": input_origin, "outputs": output_origin}
        weight_density = weight_nonzeros / math.prod(kernels_shape(layer, self.batch))
        return Densities(self.batch, weight_density, input_density, density, origins)

    def _kernel_source(self, layer: Layer) -> Source:
        """Where kernels come from; those of a matmul are activations."""
        return self.activations if layer.kind == "matmul" else self.weights

    @property
    def is_random(self) -> bool:
        """Whether some zeros are placed by the seed."""
        real = all(self.network.weight_mask_file(layer.name) for layer in self.network.compute_layers)
        return not (self.activations.is_real and (self.weights.is_real or (self.weights == Source() and real)))

    @property
    def _all_captured(self) -> bool:
        """Whether weights and activations are those of a real run."""
        return self.weights == Source() and self.activations.capture is not None

    @property
    def weights_note(self) -> str:
        """What archmodel has done to the weights of the run; empty where they are as somebody else made them."""
        if self.weights.path is not None:
            return self.weights.archive.note
        return self.network.weights_note if self.weights.density is None else ""

    @property
    def _before(self) -> str:
        """What the origin of activations says beside weights that archmodel has changed."""
        return f", {NOT_CAPTURED_AGAIN}" if self.weights_note else ""

    def _captured(self, layer: Layer, array: npt.NDArray[Any], origin: str) -> Tensor:
        """An operand from the numbers of a real run, or from its mask where no values are wanted."""
        mask = np.ascontiguousarray(array if array.dtype == np.bool_ else array != 0).view(np.uint8)
        if not self.with_values:
            return Tensor(mask, None, origin)
        values, step = codes_of(array, layer.multiplied_shape[0] * layer.R * layer.S)
        return Tensor(mask, values, origin, step)

    def _weights(self, layer: Layer, index: int) -> Tensor:
        shape, source = kernels_shape(layer, self.batch), self._kernel_source(layer)
        if layer.kind == "matmul" and source.capture is not None:
            kernels = source.capture.kernels(layer, only_mask=not self.with_values)
            return self._captured(layer, kernels, f"captured: {source.capture.description}")
        if self._all_captured and self.activations.capture is not None:
            return self._captured(layer, self.activations.capture.weights(layer), f"real: {self._zeros(layer).source}")
        if source.path is not None:
            stored = stored_weights(source.archive, layer, shape)
            return Tensor(*mask_and_values(stored), f"file: {with_note(source.archive.name, source.archive.note)}")
        real = self.network.weight_mask_file(layer.name)
        if real is not None and source.density is None:
            return Tensor(*real_mask(*real, shape), f"real: {self._zeros(layer).source}")
        count, origin = self._stated_weights(layer)
        return Tensor(self._placed_weights(layer, generator(self.seed, index, WEIGHTS), count), None, origin)

    def _placed_weights(self, layer: Layer, rng: np.random.Generator, count: int) -> Mask:
        if layer.kind == "matmul":
            return self._placed_kernels(layer, rng, count)
        allowed = self._weight_cells(layer)
        if self.zeros is not None:
            kernel = None if allowed is None else self._zeros(layer).space_to_depth
            phases = 1 if kernel is None else kernel[2] ** 2
            return correlated_weights(rng, self.zeros, layer.weight_shape, count, layer.groups, allowed, phases)
        return place(rng, layer.weight_shape, count) if allowed is None else place_among(rng, allowed, count)

    def _placed_kernels(self, layer: Layer, rng: np.random.Generator, count: int) -> Mask:
        """The second input of a matmul as kernels: its positions where it is transposed, else its channels."""
        shape, heads = kernels_shape(layer, self.batch), layer.groups
        if self.zeros is None:
            return place(rng, shape, count)
        kernels, depth = layer.K // heads, layer.C // heads
        if layer.mode == "product":
            return correlated_inputs(rng, self.zeros, (self.batch, layer.K, depth, 1), count).reshape(shape)
        second = correlated_inputs(rng, self.zeros, (self.batch, layer.C, kernels, 1), count)
        return second.reshape(self.batch, heads, depth, kernels).transpose(0, 1, 3, 2).reshape(shape)

    def _weight_cells(self, layer: Layer) -> npt.NDArray[np.bool_] | None:
        """Cells that a weight can occupy, where a rearranged kernel has others; None for all."""
        kernel = self._zeros(layer).space_to_depth
        if kernel is None or self.weights.density is not None:
            return None
        return space_to_depth_cells(layer.weight_shape, kernel)

    def _stated_weights(self, layer: Layer) -> tuple[int, str]:
        """Non-zero weights that are placed at random, and what their number rests on."""
        density, positions = self._kernel_source(layer).density, math.prod(kernels_shape(layer, self.batch))
        pattern = self._kernel_pattern(layer)
        if density is not None:
            return round(density * positions), self._synthetic(density, pattern)
        zeros, allowed = self._zeros(layer), self._weight_cells(layer)
        if zeros.weight_nonzeros is not None:
            count, stated = zeros.weight_nonzeros, f"{zeros.weight_nonzeros} non-zeros"
        elif zeros.weight_density is not None:
            positions = positions if allowed is None else int(allowed.sum())
            count, stated = round(zeros.weight_density * positions), f"density {zeros.weight_density:g}"
        else:
            option = "--activations" if layer.kind == "matmul" else "--weights"
            raise self._unknown(layer, "weight", option)
        return count, f"profile: {stated}, {pattern or UNIFORM_POSITIONS}; {zeros.source}"

    def _kernel_pattern(self, layer: Layer) -> str | None:
        """Where the non-zeros of the kernels lie, and for a matmul which tensor these are."""
        if layer.kind == "matmul":
            return f"{self._input_pattern or UNIFORM_POSITIONS}, the second input, {layer.inputs[1]}"
        return None if self.zeros is None else self.zeros.of_weights

    @property
    def _input_pattern(self) -> str | None:
        return None if self.zeros is None else self.zeros.of_activations

    @staticmethod
    def _synthetic(density: float, pattern: str | None) -> str:
        return f"synthetic: density {density:g}" + (f", {pattern}" if pattern else "")

    def _inputs(self, layer: Layer, index: int) -> Tensor:
        one_image, captured = layer.multiplied_shape, self.activations.capture
        shape = (self.batch, *one_image)
        if captured is not None:
            of_these = self.weights_note and self._all_captured
            whose = f", with the weights of {self._zeros(layer).source}" if of_these else self._before
            inputs = captured.inputs(layer, only_mask=not self.with_values)
            return self._captured(layer, inputs, f"captured: {captured.description}{whose}")
        if self.activations.path is not None:
            key = f"{layer.name}.inputs"
            shapes = [shape, shape[:2], one_image, one_image[:1]] if layer.kind == "fc" else [shape, one_image]
            read = self.activations.archive.read(key, f"{shape} or, for one image, {one_image}", shapes)
            if read.size == math.prod(one_image) and self.batch > 1:
                raise WorkloadError(f"{self.activations.archive.name}: {key}: one image; --batch is {self.batch}")
            return Tensor(*mask_and_values(read.reshape(shape)), f"file: {self.activations.archive.name}{self._before}")
        density, origin = self._input_density(layer)
        rng, count = generator(self.seed, index, INPUTS), round(density * math.prod(shape))
        mask = place(rng, shape, count) if self.zeros is None else correlated_inputs(rng, self.zeros, shape, count)
        return Tensor(mask, None, origin)

    def _input_density(self, layer: Layer) -> tuple[float, str]:
        if self.activations.density is not None:
            return self.activations.density, self._synthetic(self.activations.density, self._input_pattern)
        zeros = self._zeros(layer)
        if zeros.input_density is None:
            raise self._unknown(layer, "input", "--activations")
        pattern = self._input_pattern or UNIFORM_POSITIONS
        return zeros.input_density, f"profile: density {zeros.input_density:g}, {pattern}; {zeros.source}{self._before}"

    def input_density(self, layer: Layer) -> float:
        """Density that is known of a layer's inputs before they are made; 1 for those of a file."""
        if self.activations.capture is not None:
            return self.activations.capture.input_density(layer)
        return 1.0 if self.activations.path is not None else self._input_density(layer)[0]

    def output_density(self, layer: Layer) -> tuple[float, str]:
        """Expected non-zero fraction of a layer's outputs and what it rests on."""
        if self.activations.density is not None:
            return self.activations.density, self._synthetic(self.activations.density, None)
        if self.activations.capture is not None:
            return self._captured_output_density(layer, self.activations.capture)
        zeros = self.network.zeros.get(layer.name)
        if zeros is not None and zeros.output_density is not None:
            return zeros.output_density, f"profile: density {zeros.output_density:g}; {zeros.source}"
        if self.activations.path is not None or not self.network.states_inputs:
            return 1.0, TAKEN_AS_DENSE
        for consumer in compute_consumers(self.network, layer.name):
            known = self.network.zeros.get(consumer.name)
            if known is not None and known.input_density is not None:
                return known.input_density, f"profile: the input density of {consumer.name}"
        for consumer in kernel_consumers(self.network, layer.name):
            known = self.network.zeros.get(consumer.name)
            if known is not None and known.weight_density is not None:
                return known.weight_density, f"profile: the density of {consumer.name}'s second input"
        return 1.0, TAKEN_AS_DENSE

    def _captured_output_density(self, layer: Layer, capture: "Capture") -> tuple[float, str]:
        """What the next layers read is what this one stores, after activations and pools on the way."""
        for consumer in compute_consumers(self.network, layer.name):
            return capture.input_density(consumer), f"captured: the inputs of {consumer.name}"
        for consumer in kernel_consumers(self.network, layer.name):
            return capture.kernel_density(consumer), f"captured: the second input of {consumer.name}"
        return 1.0, TAKEN_AS_DENSE

    def _zeros(self, layer: Layer) -> Zeros:
        return self.network.zeros.get(layer.name) or Zeros(source=self.network.source)

    def _unknown(self, layer: Layer, operand: str, option: str) -> UnknownDensityError:
        mask = self.network.weight_mask_file(layer.name)
        runs = option == "--activations" and mask is not None and mask[0].suffix == ".onnx"
        remedy = f"give {'--input FILE, or ' if runs else ''}{option} {FORMS}"
        return UnknownDensityError(f"{self.network.name}: {layer.name}", operand, remedy)
