"""What a reader of ONNX knows while it walks the graph: layers so far, and of every tensor what it is of them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_axes import Axes, Axis, axis, letters, merged, sizes
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import Array, Node
from archmodel.exchange.onnx_operands import MOST_NARROW_BITS, RULES, FileTensor, LayerSource
from archmodel.network.chain import MAX_LAYERS
from archmodel.network.layer import Layer, Shape, Window
from archmodel.network.network import joined_shape

LONGEST_NAME = 120  # leaves room for the number of a second layer of that name


@dataclass(frozen=True)
class Value:
    """An ONNX tensor that depends on the input: the layer or network input that it is, and which axis is which."""

    tensor: str
    axes: Axes

    @property
    def sizes(self) -> tuple[int, ...]:
        return sizes(self.axes)


@dataclass(frozen=True)
class Padded:
    """A tensor that a Pad makes of `value` with zeros around its plane: (top, bottom, left, right)."""

    node: Node
    value: Value
    axes: Axes
    padding: tuple[int, int, int, int]

    @property
    def window(self) -> Window:
        """Where what is not padding lies in the padded tensor."""
        C, H, W = (letter_size(self.value.axes, letter) for letter in "CHW")
        top, _, left, _ = self.padding
        return ((0, C), (top, top + H), (left, left + W))


@dataclass(frozen=True)
class State:
    """What there is before a node is read: layers, the tensors that it reads, shapes of inputs among them."""

    num_layers: int
    values: dict[str, Value]
    inputs: dict[str, Shape]


@dataclass
class Builder:
    """Layers, tensors and weights read so far.

    inputs : shapes of the network's own tensors
    values, constants : ONNX tensors by name
    kept : constants that a run computed, which become constants where the walk comes to them
    factors : shapes of ONNX tensors that scale or shift others and are no layer, as those of a dynamic quantization
    weights : how to get the weights of a layer, in its `weight_shape`
    sources : where the operands of a layer are in the file
    padded : ONNX tensors that may become the padding of a convolution; no layer makes them yet
    known_dims : dims of an ONNX tensor in a run, or as onnx infers them; None where they are not known
    read : names of all ONNX tensors that a node reads or the graph returns
    left_out : nodes that were left out, `name (op_type)`
    repeats : how often a name has been asked for again
    note : what archmodel has done to the weights of the file
    """

    inputs: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    kept: dict[str, Constant] = field(default_factory=dict)
    factors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    weights: dict[str, Callable[[], Array]] = field(default_factory=dict)
    sources: dict[str, LayerSource] = field(default_factory=dict)
    padded: dict[str, Padded] = field(default_factory=dict)
    known_dims: Callable[[str], tuple[int, ...] | None] = lambda name: None
    read: set[str] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)
    repeats: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def value(self, node: Node, index: int = 0) -> Value:
        """The tensor that a node reads; WorkloadError if nothing above makes it or it is a constant."""
        name = node.input(index)
        if name in self.padded and name not in self.values:
            self._pad(name, self.padded[name])
        if name in self.values:
            return self.values[name]
        what = "is a constant" if name in self.constants else "is made by no node above"
        raise node.refuse(f"its input {name!r:.60} {what}")

    def weight_bits(self) -> dict[str, int]:
        """Bits of the stored words of the weights, by layer, where these are narrower than the floats of training.

        A layer's weights are the tensor with as many words that its node reads.
        """
        found = {}
        for name, source in self.sources.items():
            words = self.layers[name].weight_words if name in self.weights else 0
            read = (self.constants[one] for one in source.node.inputs if one in self.constants)
            bits = next((one.word_bits for one in read if one.words == words), None)
            if bits is not None and bits <= MOST_NARROW_BITS:
                found[name] = bits
        return found

    def dims_of(self, name: str) -> tuple[int, ...] | None:
        """Dims of a tensor above, of whatever sort it is."""
        if name in self.values:
            return self.values[name].sizes
        if name in self.constants:
            return self.constants[name].shape
        return sizes(self.padded[name].axes) if name in self.padded else None

    def constant(self, node: Node, index: int) -> Constant | None:
        """A constant that a node reads, None where it is left out."""
        name = node.input(index)
        if not name:
            return None
        if name not in self.constants:
            raise node.refuse(f"its input {name!r:.60} is no constant; weights must be in the file")
        return self.constants[name]

    def required(self, node: Node, index: int) -> Constant:
        """The weights that a node reads."""
        found = self.constant(node, index)
        if found is None:
            raise node.refuse("has no weights")
        return found

    def free_name(self, text: str) -> str:
        """`text` as the name of a layer or input: of allowed characters, and not taken."""
        allowed = re.sub(r"[^A-Za-z0-9_./+-]", "_", text).lstrip("./+-")[:LONGEST_NAME] or "unnamed"
        name = allowed
        while name in self.shapes:
            self.repeats[allowed] = number = self.repeats.get(allowed, 1) + 1
            name = f"{allowed}.{number}"
        return name

    def add_input(self, text: str, shape: Shape) -> str:
        """A tensor that the network is given; its name."""
        name = self.free_name(text)
        self.inputs[name] = self.shapes[name] = shape
        return name

    def add(self, node: Node, kind: Any, inputs: tuple[str, ...], K: int | None = None, **fields: Any) -> Layer:
        """A layer of the node's name."""
        if len(self.layers) >= MAX_LAYERS:
            raise node.refuse(f"more than {MAX_LAYERS} layers")
        name = self.free_name(node.name)
        try:
            shape = joined_shape(name, kind, inputs, self.shapes)
            layer = Layer(name, kind, inputs, shape, shape[0] if K is None else K, **fields)
        except WorkloadError as error:
            raise node.refuse(str(error)) from None
        self.layers[name], self.shapes[name] = layer, layer.output_shape
        return layer

    def add_other(self, node: Node, values: Sequence[Value], axes: Axes) -> Value:
        """A layer of kind other that makes a tensor of `axes`."""
        C, H, W = (letter_size(axes, letter) for letter in "CHW")
        tensors = tuple(dict.fromkeys(one.tensor for one in values))
        return Value(self.add(node, "other", tensors, C, result=(C, H, W)).name, axes)

    def _pad(self, name: str, waiting: Padded) -> None:
        """A padded tensor that something else than a convolution reads has a layer of its own."""
        own = waiting.node.outputs[0]
        if own not in self.values:
            self.values[own] = self.add_other(waiting.node, [waiting.value], waiting.axes)
        self.values[name] = self.values[own]

    def note_source(
        self, layer: Layer, node: Node, zero_point: str, made: Axes, kernels: FileTensor | None = None
    ) -> None:
        """A layer multiplies the first input of `node`, whose first output, of axes `made`, follows from its sums."""
        name = node.input(0)
        if name in self.values:
            inputs = FileTensor(name, self.values[name].axes, zero_point)
        else:
            inputs = FileTensor(name, self.padded[name].axes, zero_point, self.padded[name].window)
        outputs = FileTensor(node.outputs[0], made)
        self.sources[layer.name] = LayerSource(node, inputs, kernels, outputs, RULES.get(node.op_type, ""))

    def state(self, node: Node) -> "State":
        """What reading a node may change of what is above it."""
        values = {name: self.values[name] for name in node.inputs if name in self.values}
        inputs = {one.tensor: self.inputs[one.tensor] for one in values.values() if one.tensor in self.inputs}
        return State(len(self.layers), values, inputs)

    def undo(self, node: Node, before: "State") -> None:
        """Take back the layers of a node that could not be read to its end."""
        for name in list(self.layers)[before.num_layers :]:
            del self.layers[name], self.shapes[name]
            self.weights.pop(name, None)
            self.sources.pop(name, None)
        for name in node.outputs:
            self.values.pop(name, None)
        self.values.update(before.values)
        self.inputs.update(before.inputs)
        self.shapes.update(before.inputs)

    def give_bias(self, tensor: str) -> None:
        """A constant added to a layer's outputs is its bias."""
        self.layers[tensor] = replace(self.layers[tensor], bias=True)

    def give(self, node: Node, tensor: str, axes: Axes, index: int = 0) -> None:
        """An output of the node is a tensor of the network."""
        if tuple(letter_size(axes, letter) for letter in "CHW") != self.shapes[tensor]:
            raise node.refuse(f"makes axes {described(axes)} of {list(sizes(axes))}, not {list(self.shapes[tensor])}")
        if index < len(node.outputs) and node.outputs[index]:
            self.values[node.outputs[index]] = Value(tensor, axes)

    def give_factor(self, node: Node, shape: tuple[int, ...], first_output: int = 0) -> None:
        """Outputs of the node, from one on, are no layers and only scale others."""
        self.factors.update((name, shape) for name in node.outputs[first_output:] if name)

    def same(self, node: Node, value: Value, axes: Axes | None = None) -> None:
        """The node only passes on, or looks differently at, what it reads."""
        self.give(node, value.tensor, value.axes if axes is None else axes)


def renamed(node: Node, suffix: str) -> Node:
    """The node under the name of one of the layers that it becomes."""
    return replace(node, name=node.name + suffix)


def described(axes: Axes) -> str:
    """`N, CH, -`: the letters of every axis."""
    return ", ".join(letters(one) or "-" for one in axes)


def same_axes(first: Axes, second: Axes) -> bool:
    """Whether two tensors have the same words at the same places."""
    return [merged(one) for one in first] == [merged(one) for one in second]


def plane_axes(batch: Axis, shape: Shape, rank: int) -> Axes:
    """Axes of a feature map of `shape`."""
    return (batch, *(axis(letter, size) for letter, size in zip("CHW", shape, strict=True)))[:rank]


def letter_size(axes: Axes, letter: str) -> int:
    """The product of all factors of a letter."""
    return math.prod(size for one in axes for name, size in one if name == letter)
