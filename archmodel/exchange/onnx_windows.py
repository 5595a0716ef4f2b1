"""ONNX operators that keep planes: convolutions and pools, norms, activations, and what only passes on."""

import math
from typing import Any

from archmodel.exchange.onnx_axes import letters, reshaped
from archmodel.exchange.onnx_builder import Builder, Value, plane_axes
from archmodel.exchange.onnx_constants import moved_dims, zero_point_removed
from archmodel.exchange.onnx_file import Node
from archmodel.exchange.onnx_moves import unpadded
from archmodel.exchange.onnx_others import as_plane, laid_out, reduced_places, reduction
from archmodel.network.layer import Layer

Sides = tuple[int, int, int, int]
# Operators by the places of their inputs: zero point of the inputs, weights, zero point of the weights, bias.
CONVOLUTIONS = {"Conv": (-1, 1, -1, 2), "ConvInteger": (2, 1, 3, -1), "QLinearConv": (2, 3, 5, 8)}
CONVOLUTIONS["com.microsoft.FusedConv"] = CONVOLUTIONS["Conv"]
NORMS = {
    "BatchNormalization": "batch",
    "LayerNormalization": "layer",
    "LRN": "lrn",
    "InstanceNormalization": "instance",
    "GroupNormalization": "group",
    "RMSNormalization": "rms",
    "SimplifiedLayerNormalization": "rms",
}
ACTIVATIONS = {"Relu": "relu", "Clip": "clipped_relu", "Gelu": "gelu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


def convolution(builder: Builder, node: Node) -> None:
    """Conv, ConvInteger and QLinearConv over one or two dimensions."""
    value, padding = unpadded(builder, node)
    value = as_plane(builder, node, value)
    batch, *_ = value.axes
    input_zero_at, weights_at, zero_point_at, bias_at = CONVOLUTIONS[node.op_type]
    weights, rank = builder.required(node, weights_at), len(value.axes)
    if len(weights.shape) != rank:
        raise node.refuse(f"weights {list(weights.shape)} for an input of {rank} axes")
    K, depth, R, S = (*weights.shape, 1)[:4]
    kernel = node.integers("kernel_shape", (R, S)[: rank - 2])
    if kernel != weights.shape[2:]:
        raise node.refuse(f"kernel_shape = {list(kernel)}: its weights are {list(weights.shape)}")
    groups = node.integer("group", 1)
    if groups < 1 or depth * groups != builder.shapes[value.tensor][0]:
        raise node.refuse(f"weights {list(weights.shape)}, group = {groups}, for {list(value.sizes)}")
    zero_point = builder.constant(node, zero_point_at) if zero_point_at >= 0 else None
    codes = zero_point_removed(node, weights, zero_point, axis=0)
    fields = window_fields(node, builder.shapes[value.tensor], (R, S), rank - 2)
    fields["padding"] = tuple(own + more for own, more in zip(fields["padding"], padding, strict=True))
    biased = bias_at >= 0 and bool(node.input(bias_at))
    layer = builder.add(node, "conv", (value.tensor,), K, groups=groups, bias=biased, **fields)
    builder.weights[layer.name] = lambda: codes.load().reshape(layer.weight_shape)
    made = plane_axes(batch, layer.output_shape, rank)
    builder.note_source(layer, node, node.input(input_zero_at), made)
    builder.give(node, layer.name, made)


def window_fields(node: Node, shape: tuple[int, int, int], kernel: tuple[int, int], rank: int) -> dict[str, Any]:
    """R, S, stride, dilation and padding of a window over the last `rank` dimensions of a plane."""
    stride = spread(node.integers("strides", (1,) * rank))
    dilation = spread(node.integers("dilations", (1,) * rank))
    mode, pads = node.text("auto_pad", "NOTSET"), node.integers("pads", (0,) * 2 * rank)
    before, after = (*pads[:rank], 0)[:2], (*pads[rank:], 0)[:2]
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if min(stride) < 1:
            raise node.refuse(f"strides = {list(stride)}: must be at least 1")
        missing = [
            max(0, (-(-size // step) - 1) * step + apart * (taps - 1) + 1 - size)
            for size, step, apart, taps in zip(shape[1:], stride, dilation, kernel, strict=True)
        ]
        less, more = (missing[0] // 2, missing[1] // 2), (missing[0] - missing[0] // 2, missing[1] - missing[1] // 2)
        before, after = (less, more) if mode == "SAME_UPPER" else (more, less)
    elif mode == "VALID":
        before, after = (0, 0), (0, 0)
    elif mode != "NOTSET":
        raise node.refuse(f"auto_pad = {mode!r:.60}: allowed: NOTSET, SAME_UPPER, SAME_LOWER, VALID")
    padding = (before[0], after[0], before[1], after[1])
    return {"R": kernel[0], "S": kernel[1], "stride": stride, "dilation": dilation, "padding": padding}


def spread(numbers: tuple[int, ...]) -> tuple[int, int]:
    """Numbers of one or two dimensions as those of rows and columns."""
    return (*numbers, 1)[0], (*numbers, 1)[1]


def pool(builder: Builder, node: Node) -> None:
    """MaxPool and AveragePool."""
    value = as_plane(builder, node, builder.value(node))
    batch, *_ = value.axes
    rank = len(value.axes)
    if "kernel_shape" not in node.attributes:
        raise node.refuse("has no kernel_shape")
    kernel = spread(node.integers("kernel_shape", (1,) * (rank - 2)))
    fields = window_fields(node, builder.shapes[value.tensor], kernel, rank - 2)
    mode = "max" if node.op_type == "MaxPool" else "average"
    ceil = bool(node.integer("ceil_mode", 0))
    layer = builder.add(node, "pool", (value.tensor,), mode=mode, ceil=ceil, **fields)
    builder.give(node, layer.name, plane_axes(batch, layer.output_shape, rank))


def global_pool(builder: Builder, node: Node) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    value = as_plane(builder, node, builder.value(node))
    batch, *_ = value.axes
    layer = _pool_of_plane(builder, node, value, "max" if node.op_type == "GlobalMaxPool" else "average")
    builder.give(node, layer.name, plane_axes(batch, layer.output_shape, len(value.axes)))


def mean(builder: Builder, node: Node) -> None:
    """ReduceMean or ReduceMax over the whole plane, and no more, is a global pool."""
    value = builder.value(node)
    where = reduced_places(builder, node) or set()
    pooled = "".join(letters(value.axes[i]) for i in sorted(where))
    others = "".join(letters(one) for i, one in enumerate(value.axes) if i not in where)
    if not where or set(pooled) - set("HW") or set(others) & set("HW"):
        return reduction(builder, node)
    layer = _pool_of_plane(builder, node, value, "max" if node.op_type == "ReduceMax" else "average")
    kept = bool(node.integer("keepdims", 1))
    axes = tuple(() if i in where else one for i, one in enumerate(value.axes) if kept or i not in where)
    return builder.give(node, layer.name, axes)


def _pool_of_plane(builder: Builder, node: Node, value: Value, mode: str) -> Layer:
    _, H, W = builder.shapes[value.tensor]
    return builder.add(node, "pool", (value.tensor,), R=H, S=W, mode=mode)


def norm(builder: Builder, node: Node) -> None:
    """Norms over channels, or with a scale for each of them; one over another last axis has it laid out as channels."""
    value, mode = builder.value(node), NORMS[node.op_type]
    rank, behind = len(value.axes), mode in ("layer", "rms")
    place = node.integer("axis", -1) % max(1, rank) if behind else 1
    if behind and place == rank - 1 and not _is_channels(value, place) and letters(value.axes[0]) in ("", "N"):
        value = laid_out(builder, node, 0, ("N" + "H" * rank)[: rank - 1] + "C")
    in_groups = mode in ("instance", "group") and letters(value.axes[0]) in ("", "N")
    if not (in_groups or _is_channels(value, place)) or (behind and place != rank - 1):
        raise node.refuse(f"normalizes {list(value.sizes)} along an axis that is not its channels")
    builder.same(node, Value(builder.add(node, "norm", (value.tensor,), mode=mode).name, value.axes))


def _is_channels(value: Value, place: int) -> bool:
    others = "".join(letters(one) for i, one in enumerate(value.axes) if i != place)
    return place < len(value.axes) and letters(value.axes[place]) in ("", "C") and "C" not in others


def activation(builder: Builder, node: Node) -> None:
    """Functions of one element that a layer can have; a Clip from 0 on is a clipped ReLU."""
    value = builder.value(node)
    if node.op_type == "Clip":
        low = builder.constant(node, 1)
        if low is not None and low.words != 1:
            raise node.refuse(f"min of shape {list(low.shape)}: must be one number")
        if (node.real("min", -math.inf) if low is None else float(low.load().reshape(()))) != 0:
            return builder.same(node, value)
    layer = builder.add(node, "activation", (value.tensor,), mode=ACTIVATIONS[node.op_type])
    return builder.same(node, Value(layer.name, value.axes))


def softmax(builder: Builder, node: Node) -> None:
    """Softmax and LogSoftmax."""
    value = builder.value(node)
    builder.same(node, Value(builder.add(node, "softmax", (value.tensor,)).name, value.axes))


def transpose(builder: Builder, node: Node) -> None:
    value = builder.value(node)
    rank = len(value.axes)
    order = node.integers("perm", tuple(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise node.refuse(f"perm = {list(order)}: its input has {rank} axes")
    builder.same(node, value, tuple(value.axes[place] for place in order))


def reshape(builder: Builder, node: Node) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze."""
    value = builder.value(node)
    argument = builder.constants.get(node.input(1))
    unknown = node.input(1) and argument is None
    dims = builder.known_dims(node.outputs[0]) if unknown else moved_dims(node, value.sizes, argument)
    axes = None if dims is None else reshaped(value.axes, dims)
    if axes is None:
        raise node.refuse(f"cannot follow {list(value.sizes)} to {'an unknown shape' if dims is None else list(dims)}")
    builder.same(node, value, axes)


def pass_on(builder: Builder, node: Node) -> None:
    """What keeps every element where it is."""
    name = node.input(0)
    if name in builder.padded and name not in builder.values:
        builder.padded[node.outputs[0]] = builder.padded[name]
        return None
    if name in builder.factors:
        return builder.give_factor(node, builder.factors[name])
    if name in builder.constants:
        return builder.give_factor(node, builder.constants[name].shape)
    builder.same(node, builder.value(node))
    if node.op_type == "DynamicQuantizeLinear":
        builder.give_factor(node, (), first_output=1)
    return None
