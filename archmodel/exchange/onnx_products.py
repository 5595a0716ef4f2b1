"""ONNX operators that multiply matrices: fully connected layers, products of two tensors, recurrent layers."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_axes import Axes, Axis, axis, letters, merged, sizes
from archmodel.exchange.onnx_builder import Builder, Value, described, renamed, same_axes
from archmodel.exchange.onnx_constants import Constant, zero_point_removed
from archmodel.exchange.onnx_file import Array, Node
from archmodel.exchange.onnx_operands import RULES, FileTensor, LayerSource, states_name
from archmodel.exchange.onnx_others import laid_out
from archmodel.network.layer import GATES, Layer
from archmodel.network.network import matmul_kernels

# Operators by the places of their inputs: zero point of the first matrix, second one, its zero point, the bias.
PRODUCTS = {
    "MatMul": (-1, 1, -1, -1),
    "MatMulInteger": (2, 1, 3, -1),
    "QLinearMatMul": (2, 3, 5, -1),
    **dict.fromkeys(("Gemm", "com.microsoft.FusedGemm"), (-1, 1, -1, 2)),
    "com.microsoft.FusedMatMul": (-1, 1, -1, -1),
    "com.microsoft.QGemm": (2, 3, 5, 6),
    "com.microsoft.DynamicQuantizeMatMul": (-1, 1, 3, 4),
    "com.microsoft.MatMulIntegerToFloat": (4, 1, 5, 6),
}
FEATURES = ("", "C", "W", "CW")  # of a step: columns are further features, channels slowest
SPECIAL_GATES = {"activations", "activation_alpha", "activation_beta", "clip"}
RECURRENT = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn", "com.microsoft.DynamicQuantizeLSTM": "lstm"}
ENDS = {1: ".end", 2: ".cell"}  # of the names of last states, by output
DIRECTIONS = {"forward": ("",), "reverse": ("",), "bidirectional": (".forward", ".backward")}


def product(builder: Builder, node: Node) -> None:
    """Gemm, MatMul, MatMulInteger and QLinearMatMul: of two tensors a matmul, with weights a fully connected layer."""
    input_zero_at, second_at, zero_point_at, bias_at = PRODUCTS[node.op_type]
    if node.op_type == "MatMul" and node.input(0) in builder.constants:
        return product_from_left(builder, node)
    value = builder.value(node)
    if node.integer("transA", 0):
        value = Value(value.tensor, _transposed(value.axes))
    if node.integer("transBatchA", 0) or node.integer("transBatchB", 0):
        raise node.refuse("transposed batches are not supported")
    if node.input(second_at) in builder.values:
        return matmul(builder, node, value, builder.value(node, second_at))
    weights = builder.required(node, second_at)
    if len(weights.shape) != 2:
        raise node.refuse(f"weights {list(weights.shape)}: must be a matrix")
    zero_point = builder.constant(node, zero_point_at) if zero_point_at >= 0 else None
    transposed = bool(node.integer("transB", 0))
    if zero_point is not None and zero_point.words > 1:
        zero_point = zero_point.moved(lambda array: array.reshape(-1))
    codes = zero_point_removed(node, weights, zero_point, axis=0 if transposed else 1)
    matrix = codes if transposed else codes.moved(lambda array: array.T)
    if bias_at >= 0 and node.input(bias_at) in builder.values:
        raise node.refuse("adds a tensor that is no constant")
    layer, made = connected(builder, node, value, matrix, bias=bias_at >= 0 and bool(node.input(bias_at)))
    builder.note_source(layer, node, node.input(input_zero_at), made)
    return builder.give(node, layer.name, made)


def _transposed(axes: Axes) -> Axes:
    return (*axes[:-2], *axes[:-3:-1])


def product_from_left(builder: Builder, node: Node) -> None:
    """MatMul of weights [K, C] and a tensor [..., C, positions]: a 1x1 convolution."""
    weights, rank = builder.required(node, 0), len(builder.value(node, 1).axes)
    if len(weights.shape) != 2 or rank < 2 or weights.shape[1] != builder.value(node, 1).sizes[-2]:
        raise node.refuse(f"weights {list(weights.shape)} for {list(builder.value(node, 1).sizes)}")
    value = laid_out(builder, node, 1, positions(builder.value(node, 1), rank - 2) + "CW")
    layer = builder.add(node, "conv", (value.tensor,), weights.shape[0], bias=False)
    builder.weights[layer.name] = lambda: weights.load().reshape(layer.weight_shape)
    made = (*value.axes[:-2], axis("C", layer.K), value.axes[-1])
    inputs, outputs = FileTensor(node.input(1), value.axes), FileTensor(node.outputs[0], made)
    builder.sources[layer.name] = LayerSource(node, inputs, None, outputs, RULES.get(node.op_type, ""))
    builder.give(node, layer.name, made)


def positions(value: Value, count: int) -> str:
    """Letters of the first axes of a tensor, over which a product goes: the batch, if it is there, and rows."""
    batch_first = value.axes and letters(value.axes[0]) in ("", "N")
    return (("N" if batch_first else "H") + "H" * count)[:count]


def connected(builder: Builder, node: Node, value: Value, matrix: Constant, bias: bool) -> tuple[Layer, Axes]:
    """An fc layer, or over the positions of a plane a 1x1 convolution, and what it makes; `matrix` is [K, C]."""
    *rows, columns = value.axes
    K, C = matrix.shape
    if math.prod(size for _, size in columns) != C:
        raise node.refuse(f"weights of {C} inputs for {list(value.sizes)}")
    before = set("".join(letters(one) for one in rows))
    if before <= {"N"}:
        if merged(columns) != whole(builder, value):
            matrix = _in_order(builder, node, value, matrix)
        layer = builder.add(node, "fc", (value.tensor,), K, bias=bias)
    elif before <= set("NHW") and set(letters(columns)) <= {"C"}:
        layer = builder.add(node, "conv", (value.tensor,), K, bias=bias)
    elif node.integer("transA", 0):
        raise node.refuse(
            f"reads axes {described(value.axes)}, transposed: only channels can be multiplied with weights"
        )
    else:
        value = laid_out(builder, node, 0, positions(value, len(rows)) + "C")
        layer = builder.add(node, "conv", (value.tensor,), K, bias=bias)
    builder.weights[layer.name] = lambda: matrix.load().reshape(layer.weight_shape)
    return layer, (*value.axes[:-1], axis("C", K))


def _in_order(builder: Builder, node: Node, value: Value, matrix: Constant) -> Constant:
    """The weights [K, C] of a tensor that is flattened in another order, as those of channels, rows, columns."""
    columns, shape = value.axes[-1], builder.shapes[value.tensor]
    if "N" in letters(columns):
        raise node.refuse(f"reads axes {described(value.axes)}: must be all of {list(shape)}, flattened")
    factors = [size for _, size in columns]
    order = sorted(range(len(columns)), key=lambda place: "CHW".index(columns[place][0]))

    def move(array: Array) -> Array:
        parts = array.reshape(-1, *factors)
        return parts.transpose(0, *(1 + place for place in order)).reshape(array.shape)

    return matrix.moved(move)


def whole(builder: Builder, value: Value) -> Axis:
    """All of a tensor as one axis in the order channels, rows, columns."""
    C, H, W = builder.shapes[value.tensor]
    return (*axis("C", C), *axis("H", H), *axis("W", W))


def matmul(builder: Builder, node: Node, first: Value, second: Value) -> None:
    """The product of two tensors whose heads are the leading axes: A times B, or A times B transposed."""
    second_axes = _transposed(second.axes) if node.integer("transB", 0) else second.axes
    if len(first.axes) != len(second_axes) or len(first.axes) < 2:
        raise node.refuse(f"of {list(first.sizes)} and {list(second.sizes)}: must have equally many axes")
    *outer, rows, depth = first.axes
    *second_outer, second_depth, columns = second_axes
    fits = set(letters(rows)) <= set("NHW") and letters(depth) in ("", "C")
    if not fits or not same_axes(tuple(outer), tuple(second_outer)):
        raise node.refuse(f"of axes {described(first.axes)} and {described(second_axes)} is not supported")
    heads = math.prod(size for one in outer for letter, size in one if letter == "C")
    is_product = letters(columns) in ("", "C") and set(letters(second_depth)) <= set("HW")
    is_transposed = letters(second_depth) in ("", "C") and set(letters(columns)) <= set("HW")
    if not (is_product or is_transposed) or sizes((depth,)) != sizes((second_depth,)):
        raise node.refuse(f"of axes {described(first.axes)} and {described(second_axes)} is not supported")
    mode, tensors = "product" if is_product else "transposed", (first.tensor, second.tensor)
    try:
        K = matmul_kernels(node.name, tensors, mode, heads, builder.shapes)
    except WorkloadError as error:
        raise node.refuse(str(error)) from None
    layer = builder.add(node, "matmul", tensors, K, groups=heads, bias=False, mode=mode)
    made = (*outer, rows, axis("C", layer.K // heads))
    input_zero_at, second_at, zero_point_at, _ = PRODUCTS[node.op_type]
    kernels = FileTensor(node.input(second_at), second_axes, node.input(zero_point_at))
    builder.note_source(layer, node, node.input(input_zero_at), made, kernels)
    builder.give(node, layer.name, made)


def recurrent(builder: Builder, node: Node) -> None:
    """LSTM, GRU and RNN: a layer for each direction, joined by a concat."""
    kind, value = RECURRENT[node.op_type], builder.value(node)
    batch_first = bool(node.integer("layout", 0))
    if len(value.axes) != 3:
        raise node.refuse(f"reads {list(value.sizes)}: must be steps, batch, features")
    steps, batch = (value.axes[1], value.axes[0]) if batch_first else value.axes[:2]
    if letters(steps) not in ("", "H") or letters(batch) not in ("", "N") or letters(value.axes[2]) not in FEATURES:
        value = laid_out(builder, node, 0, "NHC" if batch_first else "HNC")
        steps, batch = (value.axes[1], value.axes[0]) if batch_first else value.axes[:2]
    of_input, of_state = (_gates(builder, node, place) for place in (1, 2))
    suffixes = DIRECTIONS.get(node.text("direction", "forward"), ())
    C, K = value.sizes[2], of_state.shape[-1] if of_state.shape else 0
    rows = len(suffixes), GATES[kind] * K
    if of_input.shape != (*rows, C) or of_state.shape != (*rows, K):
        raise node.refuse(f"weights {list(of_input.shape)} and {list(of_state.shape)} for {list(value.sizes)}")
    layers = []
    for direction, suffix in enumerate(suffixes):
        named = renamed(node, suffix)
        layer = builder.add(named, kind, (value.tensor,), K, bias=bool(node.input(3)))
        builder.weights[layer.name] = gate_matrix(of_input, of_state, direction, layer)
        builder.sources[layer.name] = state_source(builder, node, layer, direction, (steps, batch))
        layers.append(layer)
    give_states(builder, node, layers, steps, batch, batch_first)


def _gates(builder: Builder, node: Node, place: int) -> Constant:
    """Input or recurrent weights [directions, gates x K, words]; quantized ones have the last two axes swapped."""
    weights = builder.required(node, place)
    if not node.op_type.startswith("com.microsoft."):
        return weights
    zero_point = builder.constant(node, 7 + 2 * place)
    if len(weights.shape) != 3 or zero_point is None:
        raise node.refuse(f"weights {list(weights.shape)}: must be of three axes and have a zero point")
    directions, _, rows = weights.shape
    if zero_point.shape not in ((directions,), (directions, rows)):
        raise node.refuse(f"zero point of shape {list(zero_point.shape)} for weights {list(weights.shape)}")
    offsets = zero_point.moved(lambda array: array.reshape(directions, 1, -1))
    codes = Constant(
        weights.shape, lambda: weights.load().astype(np.int32) - offsets.load().astype(np.int32), weights.num_tensors
    )
    return codes.moved(lambda array: array.transpose(0, 2, 1))


def gate_matrix(of_input: Constant, of_state: Constant, direction: int, layer: Layer) -> Callable[[], Array]:
    """Input and recurrent weights of a direction side by side, [gates x K, C + K, 1, 1]."""

    def load() -> Array:
        both = [one.load()[direction] for one in (of_input, of_state)]
        return np.concatenate(both, axis=1).reshape(layer.weight_shape)

    return load


def state_source(builder: Builder, node: Node, layer: Layer, direction: int, outer: tuple[Axis, Axis]) -> LayerSource:
    """The tensors of a direction; states of a plain LSTM or RNN follow from its gates."""
    steps, batch = outer
    both, K = axis("C", builder.required(node, 1).shape[0]), axis("C", layer.K)
    axes: Axes = (batch, steps, both, K) if node.integer("layout", 0) else (steps, both, batch, K)
    window = ((direction * layer.K, (direction + 1) * layer.K), (0, layer.H), (0, 1))
    special = {*node.attributes} & SPECIAL_GATES or node.integer("input_forget", 0)
    plain = not special and not any(node.input(place) for place in (4, 7))
    return LayerSource(
        node,
        FileTensor(node.input(0), builder.values[node.input(0)].axes),
        outputs=FileTensor(states_name(node.outputs), axes, window=window),
        rule=RULES.get(node.op_type, "") if plain else "",
        direction=direction,
    )


def give_states(builder: Builder, node: Node, layers: list[Layer], steps: Axis, batch: Axis, batch_first: bool) -> None:
    """Y, all states, Y_h, the last one of each direction, and Y_c, that of the cells, where a node reads it."""
    K, directions, last = axis("C", layers[0].K), axis("C", len(layers)), layers[0].H - 1
    if node.outputs and node.outputs[0]:
        tensor = joined(builder, node, [layer.name for layer in layers])
        axes: Axes = (batch, steps, directions, K) if batch_first else (steps, directions, batch, K)
        builder.give(node, tensor, axes)
    forward = [i == 0 and node.text("direction", "forward") != "reverse" for i in range(len(layers))]
    axes = (batch, directions, K) if batch_first else (directions, batch, K)
    for index, name in enumerate(node.outputs[1:], 1):
        if index in ENDS and name and (index == 1 or name in builder.read):
            steps_taken = [last if ahead else 0 for ahead in forward]
            ends = [
                layer.name if (last, index) == (0, 1) else end_of(builder, node, layer, step, ENDS[index])
                for layer, step in zip(layers, steps_taken, strict=True)
            ]
            builder.give(node, joined(builder, node, ends), axes, index)


def end_of(builder: Builder, node: Node, layer: Layer, step: int, suffix: str) -> str:
    """The state that a direction ends with; the backward one ends at the first step.

    That of the cells of an LSTM is no output of its layer. It has the same shape, and is shown as the same slice.
    """
    named = replace(node, name=layer.name + suffix)
    window = ((0, layer.K), (step, step + 1), (0, 1))
    return builder.add(named, "slice", (layer.name,), layer.K, window=window).name


def joined(builder: Builder, node: Node, tensors: list[str]) -> str:
    """The tensors as one, their channels side by side."""
    return tensors[0] if len(tensors) == 1 else builder.add(node, "concat", tuple(tensors)).name
