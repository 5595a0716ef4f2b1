"""ONNX operators of several tensors, element by element or side by side: add, multiply, concat."""

import math
from collections.abc import Sequence
from typing import Any

from archmodel.exchange.onnx_axes import Axes, Axis, axis, letters, merged, sizes
from archmodel.exchange.onnx_builder import Builder, Value, letter_size, renamed
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import Node
from archmodel.exchange.onnx_others import axes_like, give_other

# What joins become; what remains, as a maximum of two tensors, is an other. A difference is a sum with the negative,
# a quotient a product with the reciprocal: functions of one element, which are no layer.
KINDS = {"Add": "add", "Sum": "add", "Sub": "add", "Mul": "multiply", "Div": "multiply"}


def element_wise(builder: Builder, node: Node) -> None:
    """A sum of tensors is an add; with constants a scale or shift, which is no layer, or the bias of the one above."""
    values, factors, constants = [], [], []
    for index, name in enumerate(node.inputs):
        if name in builder.constants:
            constants.append(builder.constants[name])
            factors.append(constants[-1].shape)
        elif name in builder.factors:
            factors.append(builder.factors[name])
        elif name:
            values.append(builder.value(node, index))
    if not values:
        return builder.give_factor(node, max(factors, key=math.prod, default=()))
    axes = _joined_axes(node, values, factors)
    if len(values) > 1:
        return join(builder, node, KINDS.get(node.op_type, "other"), values, axes)
    first = values[0]
    if math.prod(sizes(axes)) > math.prod(first.sizes):
        give_other(builder, node, values, axes)
        return None
    if node.op_type in ("Add", "Sum") and constants and is_bias(builder, first, constants[0]):
        builder.give_bias(first.tensor)
    return builder.same(node, first, axes)


def _joined_axes(node: Node, values: Sequence[Value], factors: Sequence[tuple[int, ...]]) -> Axes:
    """Axes of what tensors and constants make together, each repeated along axes of size 1."""
    dims = [*factors, *(one.sizes for one in values)]
    rank = max(map(len, dims))
    result: list[Axis] = []
    for place in range(-rank, 0):
        found = {one[place] for one in dims if len(one) >= -place} - {1}
        if len(found) > 1:
            raise node.refuse(f"of {' and '.join(str(list(one)) for one in dims)}: must be equal")
        size = found.pop() if found else 1
        own = [one.axes[place] for one in values if len(one.axes) >= -place and sizes((one.axes[place],)) == (size,)]
        result.append(own[0] if own else axis("?", size))
    new = [place for place, one in enumerate(result) if letters(one) == "?"]
    if not new:
        return tuple(result)
    known = tuple(() if i in new else one for i, one in enumerate(result))
    return axes_like(known, [sizes((one,))[0] for one in result])


def join(builder: Builder, node: Node, kind: Any, values: Sequence[Value], axes: Axes) -> None:
    """A layer that goes through tensors element by element; what lies in other axes is laid out anew before it."""
    if kind == "other":
        give_other(builder, node, values, axes)
        return
    tensors = [_fitted(builder, renamed(node, f".input{i}"), one, axes) for i, one in enumerate(values)]
    layer = builder.add(node, kind, tuple(one.tensor for one in tensors))
    builder.give(node, layer.name, axes)


def _fitted(builder: Builder, node: Node, value: Value, axes: Axes) -> Value:
    """The tensor in `axes`, along which it may have size 1."""
    own = ((),) * (len(axes) - len(value.axes)) + value.axes
    lies_there = all(merged(one) in ((), merged(whole)) for one, whole in zip(own, axes, strict=True))
    whole_letters = all(letter_size(own, letter) in (1, letter_size(axes, letter)) for letter in "CHW")
    return value if lies_there and whole_letters else builder.add_other(node, [value], axes)


def is_bias(builder: Builder, value: Value, constant: Constant) -> bool:
    """Whether a constant that is added to a tensor is the bias of the layer that makes it."""
    layer = builder.layers.get(value.tensor)
    return layer is not None and layer.kind in ("conv", "fc") and constant.words == layer.K


def concat(builder: Builder, node: Node) -> None:
    """Concat of channels; along other axes, or with constants, it moves words."""
    known = [name in builder.constants or name in builder.factors for name in node.inputs]
    values = [builder.value(node, i) for i, is_known in enumerate(known) if not is_known]
    if not values:
        raise node.refuse("joins constants only")
    first, rank = values[0], len(values[0].axes)
    if len(node.inputs) == 1:
        return builder.same(node, first)
    place = node.integer("axis", 1)
    if not -rank <= place < rank or any(len(one.axes) != rank for one in values):
        raise node.refuse(f"axis = {place}: its inputs have {' and '.join(str(len(one.axes)) for one in values)} axes")
    place %= rank
    if any(known) or not all(_joins_channels(one, place) for one in values):
        return _mixed(builder, node, values, place)
    layer = builder.add(node, "concat", tuple(one.tensor for one in values))
    axes = (*first.axes[:place], axis("C", layer.K), *first.axes[place + 1 :])
    return builder.same(node, Value(layer.name, axes))


def _joins_channels(value: Value, place: int) -> bool:
    rest = [letters(other) for i, other in enumerate(value.axes) if i != place]
    return letters(value.axes[place]) in ("", "C") and not any("C" in other for other in rest)


def _mixed(builder: Builder, node: Node, values: Sequence[Value], place: int) -> None:
    shapes = [builder.constants[name].shape for name in node.inputs if name in builder.constants]
    shapes += [builder.factors[name] for name in node.inputs if name in builder.factors]
    if any(len(shape) != len(values[0].axes) for shape in shapes):
        raise node.refuse(f"joins {list(values[0].sizes)} and {' and '.join(str(list(shape)) for shape in shapes)}")
    dims = list(values[0].sizes)
    dims[place] = sum(one.sizes[place] for one in values) + sum(shape[place] for shape in shapes)
    give_other(builder, node, values, axes_like(values[0].axes, dims))
