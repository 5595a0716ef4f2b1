"""Which tensors of an ONNX file a layer multiplies and makes, and how they become arrays of archmodel's shapes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from archmodel.errors import WorkloadError, show
from archmodel.exchange.onnx_axes import Axes, Axis, sizes
from archmodel.exchange.onnx_file import Array, Node, Proto, as_text
from archmodel.network.layer import Window

Rule = Literal["", "sum", "requantized", "lstm", "rnn"]
# How what an operator makes follows from its sums of products, where it is known.
RULES: dict[str, Rule] = {
    **dict.fromkeys(("Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger"), "sum"),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), "requantized"),
    "LSTM": "lstm",
    "RNN": "rnn",
}
# Places of inputs that change with the network's input: those that are multiplied, their zero points, states.
VARYING = {
    **dict.fromkeys(("Conv", "ConvTranspose", "FusedConv"), (0,)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), (0, 1, 2, 3)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "com.microsoft.QGemm"), (0, 2, 3, 5)),
    **dict.fromkeys(("Gemm", "MatMul"), (0, 1)),
    **dict.fromkeys(("com.microsoft.FusedMatMul", "com.microsoft.FusedGemm", "com.microsoft.FusedConv"), (0, 1)),
    **dict.fromkeys(("com.microsoft.DynamicQuantizeMatMul", "com.microsoft.MatMulIntegerToFloat"), (0, 1, 4, 5)),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "com.microsoft.DynamicQuantizeLSTM"), (0, 5, 6)),
}
RECURRENT_TYPES = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")


MOST_NARROW_BITS = 16  # of a stored word that says how wide a network's weights are; wider ones are floats as trained


@dataclass(frozen=True)
class FileTensor:
    """A tensor of the file as it is stored, which axis is which, and what is zero in it.

    zero_point : name of the tensor that holds it, empty where zero is 0
    window : what the layer takes of it along C, H, W; None for all
    """

    name: str
    axes: Axes
    zero_point: str = ""
    window: Window | None = None

    def arranged(self, array: Array) -> Array:
        """`array` of the tensor as [N, C, H, W]; WorkloadError where it is of another shape."""
        whole = arranged(array, self.axes, "NCHW", self.name)
        if self.window is None:
            return whole
        return whole[:, *(slice(start, stop) for start, stop in self.window)]

    def kernels(self, array: Array) -> Array:
        """`array` of axes [..., depth, columns] as kernels [N x heads x columns, depth, 1, 1] of a matmul."""
        *outer, depth, columns = self.axes
        relabelled = (*outer, _as_one(depth, "D"), _as_one(columns, "K"))
        whole = arranged(array, relabelled, "NCKD", self.name)
        return whole.reshape(-1, whole.shape[-1], 1, 1)


@dataclass(frozen=True)
class LayerSource:
    """Where the operands of a layer are in the file.

    kernels : the second input of a matmul, axes as it is multiplied: reversed where the node has transB
    outputs : what the layer's node makes; None where nothing is known of how it follows from sums of products
    rule : how it does: they are the sums, with bias; requantized sums; the states of a recurrent layer
    direction : of a recurrent layer, 1 for the second one of a bidirectional node
    """

    node: Node
    inputs: FileTensor
    kernels: FileTensor | None = None
    outputs: FileTensor | None = None
    rule: Rule = ""
    direction: int = 0

    @property
    def backward(self) -> bool:
        """Whether the steps of a recurrent layer go from the last to the first."""
        return self.direction == 1 or self.node.text("direction", "forward") == "reverse"


def states_name(outputs: Sequence[str]) -> str:
    """The tensor with all states of a recurrent node; `outputs` may leave it out where only the last is used."""
    if outputs and outputs[0]:
        return outputs[0]
    return f"{next((name for name in outputs if name), '')}.states"


def name_states(model: Proto) -> None:
    """Give the tensors with all states the names of `states_name`, so that a run can show them; in branches too."""
    left = list(model.graph.node)
    while left:
        proto = left.pop()
        left += [inner for branch in proto.attribute if branch.HasField("g") for inner in branch.g.node]
        if proto.op_type in RECURRENT_TYPES and proto.output:
            proto.output[0] = states_name([as_text(name) for name in proto.output])


def arranged(array: Array, axes: Axes, letters: str, name: str) -> Array:
    """`array` with one axis for each of `letters`; factors of a letter stay in the order of the axes."""
    if array.shape != sizes(axes):
        raise WorkloadError(f"tensor {show(name)}: shape {list(array.shape)}; the first run had {list(sizes(axes))}")
    factors = [factor for one in axes for factor in one]
    order = sorted(range(len(factors)), key=lambda place: letters.index(factors[place][0]))
    dims = [math.prod(size for letter, size in factors if letter == wanted) for wanted in letters]
    return array.reshape([size for _, size in factors]).transpose(order).reshape(dims)


def _as_one(one: Axis, letter: str) -> Axis:
    return tuple((letter, size) for _, size in one)


def capture_points(model: Proto, with_outputs: bool) -> list[str]:
    """Names of all tensors that layers multiply, with zero points and states, and of what they make `with_outputs`.

    Tensors made of constants alone are left out. Those of both branches of an If are named; a run has those of one.
    """
    constants = {as_text(tensor.name) for tensor in model.graph.initializer}
    return list(dict.fromkeys(_points(model.graph.node, constants, with_outputs)))


def _points(nodes: Iterable[Proto], constants: set[str], with_outputs: bool) -> Iterator[str]:
    for proto in nodes:
        node = Node.of(proto)
        if node.op_type == "If":
            for branch in ("then_branch", "else_branch"):
                if branch in node.attributes:
                    graph = node.attributes[branch].g
                    inside = constants | {as_text(one.name) for one in graph.initializer}
                    yield from _points(graph.node, inside, with_outputs)
            continue
        if all(not name or name in constants for name in node.inputs):
            constants.update(node.outputs)
            continue
        if node.op_type in VARYING:
            places = (node.input(place) for place in VARYING[node.op_type])
            yield from (name for name in places if name and name not in constants)
            if proto.op_type in RECURRENT_TYPES or with_outputs:
                yield states_name(node.outputs)
