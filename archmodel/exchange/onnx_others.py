"""ONNX operators that move or mix words and multiply no weights: layers of kind other, and tensors laid out anew."""

import math
from collections.abc import Sequence

from archmodel.exchange.onnx_axes import Axes, Axis, axis, letters, merged, sizes
from archmodel.exchange.onnx_builder import Builder, Value, described, letter_size, renamed
from archmodel.exchange.onnx_file import MAX_RANK, Node

UNKNOWN = "the shape of what it makes is not known; give --input"
# What multiplies, or runs a graph of its own, in a way that is not followed.
WITH_GRAPHS = ("If", "Loop", "Scan", "SequenceMap")  # they read tensors that are not among their inputs
NOT_FOLLOWED = (
    *("Einsum", "DeformConv", "Attention", "Loop", "Scan", "SequenceMap", "LinearAttention"),
    *("CausalConvWithState",),
    *("StringNormalizer", "TfIdfVectorizer", "Optional", "ImageDecoder"),
)


def other(builder: Builder, node: Node) -> None:
    """What is left of ONNX's own operators: its outputs have the shapes of the run, or those that onnx infers."""
    if node.op_type == "If":
        raise node.refuse("the branch that it takes is not known; give --input")
    if node.op_type in NOT_FOLLOWED or "." in node.op_type:
        raise node.refuse("this operator is not supported")
    wanted = [index for index, name in enumerate(node.outputs) if name in builder.read]
    for index in wanted or range(min(1, len(node.outputs))):
        dims = builder.known_dims(node.outputs[index])
        if dims is None:
            raise node.refuse(UNKNOWN)
        values = values_read(builder, node)
        one = node if len(wanted) < 2 else renamed(node, f".{index}")
        give_other(builder, one, values, axes_like(values[0].axes, dims), index)


def values_read(builder: Builder, node: Node) -> list[Value]:
    """The tensors that a node reads and that depend on the network's input."""
    known = (*builder.constants, *builder.factors)
    values = [builder.value(node, i) for i, name in enumerate(node.inputs) if name and name not in known]
    if not values:
        raise node.refuse("reads nothing that depends on the input")
    return values


def give_other(builder: Builder, node: Node, values: Sequence[Value], axes: Axes, index: int = 0) -> Value:
    """A layer of kind other that makes a tensor of `axes`, which is an output of the node."""
    made = builder.add_other(node, values, axes)
    builder.give(node, made.tensor, axes, index)
    return made


def axes_like(axes: Axes, dims: Sequence[int]) -> Axes:
    """Axes of a tensor of `dims` that is made of one of `axes`: those of equal size stay what they are."""
    batch = letter_size(axes, "N")
    if len(dims) != len(axes):
        order = default_letters(dims, batch)
        return tuple(axis(letter, size) for letter, size in zip(order, dims, strict=True))
    result: list[Axis] = []
    for place, (one, size) in enumerate(zip(axes, dims, strict=True)):
        if sizes((one,)) == (size,):
            result.append(one)
            continue
        taken = "".join(letters(other) for i, other in enumerate(axes) if i != place) + "".join(map(letters, result))
        own = letters(one) if len(letters(one)) == 1 else default_letters(dims, batch)[place]
        fitting = [letter for letter in own + "CHW" if letter not in taken and (letter != "N" or size == batch)]
        result.append(axis((*fitting, "C")[0], size))
    return tuple(result)


def default_letters(dims: Sequence[int], batch: int) -> str:
    """Letters of a tensor of which nothing is known: the batch where it has its size, channels, rows, columns."""
    first = "N" if len(dims) > 1 and dims[0] == batch else ""
    rest = len(dims) - len(first)
    return first + "C" * max(1, rest - 2) * (rest > 0) + "HW"[: max(0, min(rest - 1, 2))]


def laid_out(builder: Builder, node: Node, index: int, order: str) -> Value:
    """The tensor that a node reads with an axis for each letter of `order`; other hardware moves it where it is not.

    An input of the network that no layer has read becomes a tensor of those letters; it is given as it is needed.
    """
    value, name = builder.value(node, index), node.input(index)
    dims = value.sizes
    axes = tuple(axis(letter, size) for letter, size in zip(order, dims, strict=True))
    if [merged(one) for one in axes] == [merged(one) for one in value.axes]:
        return value
    shape = (letter_size(axes, "C"), letter_size(axes, "H"), letter_size(axes, "W"))
    if math.prod(shape) != math.prod(builder.shapes[value.tensor]):
        raise node.refuse(f"reads axes {described(value.axes)}; must be {', '.join(order)} with the same batch")
    is_read = any(value.tensor in layer.inputs for layer in builder.layers.values())
    if value.tensor in builder.inputs and not is_read:
        builder.inputs[value.tensor] = builder.shapes[value.tensor] = shape
        moved = Value(value.tensor, axes)
    else:
        made = Node(f"{node.name}.input", "", (), (), {})
        moved = give_other(builder, made, [value], axes)
    builder.values[name] = moved
    return moved


def as_plane(builder: Builder, node: Node, value: Value) -> Value:
    """The first input of a node as a tensor [N, C, H] or [N, C, H, W]; WorkloadError where it has other axes."""
    rank = len(value.axes)
    if all(letters(one) in ("", letter) for one, letter in zip(value.axes, "NCHW", strict=False)) and rank in (3, 4):
        return value
    if rank not in (3, 4):
        raise node.refuse(f"reads {list(value.sizes)} as {described(value.axes)}; allowed: N, C, H or N, C, H, W")
    return laid_out(builder, node, 0, "NCHW"[:rank])


def reduction(builder: Builder, node: Node) -> None:
    """ReduceMax and its like, ArgMax, ArgMin: axes that go, or stay with size 1."""
    value = builder.value(node)
    rank, where = len(value.axes), reduced_places(builder, node)
    if where is None:
        return other(builder, node)
    kept = bool(node.integer("keepdims", 1))
    axes = tuple(() if i in where else one for i, one in enumerate(value.axes) if kept or i not in where)
    if any("N" in letters(value.axes[i]) for i in where) or rank > MAX_RANK:
        raise node.refuse("reduces the batch")
    give_other(builder, node, [value], axes)
    return None


def reduced_places(builder: Builder, node: Node) -> set[int] | None:
    """Axes that a reduction removes; None where they are not known."""
    rank = len(builder.value(node).axes)
    if node.op_type in ("ArgMax", "ArgMin"):
        numbers: tuple[int, ...] | None = (node.integer("axis", 0),)
    elif node.input(1) in builder.constants:
        numbers = builder.constants[node.input(1)].integers()
    else:
        numbers = None if node.input(1) else node.integers("axes", ())
    if numbers is None or any(not -rank <= one < rank for one in numbers):
        return None
    if not numbers:
        return set() if node.integer("noop_with_empty_axes", 0) else set(range(rank))
    return {one % rank for one in numbers}
