"""Further operators on tensors that do not depend on the input: parts and joins of weights, arithmetic of shapes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from archmodel.exchange.onnx_constants import MOST_SHAPE_NUMBERS, Constant
from archmodel.exchange.onnx_file import MAX_TENSOR_WORDS, Array, Node

ELEMENT_WISE: dict[str, Callable[..., Array]] = {
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Neg": np.negative,
    "Abs": np.abs,
    "Reciprocal": np.reciprocal,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Sign": np.sign,
    "Not": np.logical_not,
    "Sin": np.sin,
    "Cos": np.cos,
    "Tanh": np.tanh,
}
# Of few numbers, which say a shape.
SMALL: dict[str, Callable[..., Array]] = {
    "Min": np.minimum,
    "Max": np.maximum,
    "Mod": np.mod,
    "Pow": np.power,
    "Where": np.where,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Range": np.arange,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
}
KINDS = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}  # of a Cast; onnx.proto: DataType


def folded_further(node: Node, inputs: Sequence[Constant | None]) -> Constant | None:
    """The output of a `node` that reads constants only; None where it is no operator for constants."""
    given = [one for one in inputs if one is not None]
    if not given or sum(one.num_tensors for one in given) > MOST_SHAPE_NUMBERS:
        return None
    if node.op_type in ELEMENT_WISE and len(given) == 1:
        return _each(given[0], ELEMENT_WISE[node.op_type])
    if node.op_type == "Concat":
        return _joined(node, given)
    if node.op_type == "Slice":
        return _sliced(node, inputs)
    if node.op_type == "Expand" and len(given) == 2:
        return _expanded(given[0], given[1])
    if node.op_type == "Gather" and len(given) == 2:
        return _gathered(node, given[0], given[1])
    return _small(node, given)


def _each(first: Constant, function: Callable[..., Array]) -> Constant:
    def load() -> Array:
        with np.errstate(all="ignore"):  # what is not finite is refused where it is a weight
            return np.asarray(function(first.load()))

    return Constant(first.shape, load, first.num_tensors)


def _joined(node: Node, parts: Sequence[Constant]) -> Constant | None:
    rank, place = len(parts[0].shape), node.integer("axis", 0)
    if not -rank <= place < rank:
        return None
    place %= rank
    rests = {(*part.shape[:place], *part.shape[place + 1 :]) for part in parts if len(part.shape) == rank}
    shape = list(parts[0].shape)
    shape[place] = sum(part.shape[place] for part in parts if len(part.shape) == rank)
    if len(rests) != 1 or any(len(part.shape) != rank for part in parts) or math.prod(shape) > MAX_TENSOR_WORDS:
        return None
    num_tensors = sum(part.num_tensors for part in parts)
    return Constant(tuple(shape), lambda: np.concatenate([part.load() for part in parts], axis=place), num_tensors)


def _sliced(node: Node, inputs: Sequence[Constant | None]) -> Constant | None:
    given: dict[str, tuple[int, ...]] = {key: node.integers(key, ()) for key in ("starts", "ends", "axes", "steps")}
    first, *others = inputs
    for key, one in zip(given, others, strict=False):
        numbers = () if one is None else one.integers()
        if numbers is None:
            return None
        given[key] = numbers
    starts, ends, axes, steps = given.values()
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    if first is None or not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        return None
    taken = [slice(None)] * len(first.shape)
    for place, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -len(taken) <= place < len(taken):
            return None
        before = step < 0 and end < -first.shape[place]  # down to the first one
        taken[place] = slice(start, None if before else end, step)
    return first.moved(lambda array: array[tuple(taken)])


def _expanded(first: Constant, wanted: Constant) -> Constant | None:
    dims = wanted.integers()
    if dims is None or min(dims, default=1) < 1 or math.prod(dims) > MAX_TENSOR_WORDS:
        return None
    shape = np.broadcast_shapes(first.shape, dims)
    if math.prod(shape) > MAX_TENSOR_WORDS:
        return None
    return Constant(shape, lambda: np.broadcast_to(first.load(), shape), first.num_tensors)


def _gathered(node: Node, first: Constant, indices: Constant) -> Constant | None:
    numbers, rank, place = indices.integers(), len(first.shape), node.integer("axis", 0)
    if numbers is None or not -rank <= place < rank:
        return None
    if any(not -first.shape[place] <= one < first.shape[place] for one in numbers):
        raise node.refuse("an index is out of range")
    places = np.array(numbers, np.int64).reshape(indices.shape)
    return first.moved(lambda array: array.take(places, axis=place))


def _small(node: Node, given: Sequence[Constant]) -> Constant | None:
    if any(one.words > MOST_SHAPE_NUMBERS for one in given):
        return None
    arrays = [one.load() for one in given]
    if node.op_type == "Cast":
        kind: Any = KINDS.get(node.integer("to", 0))
        with np.errstate(all="ignore"):
            return None if kind is None else Constant.of(arrays[0].astype(kind))
    of_axes = node.op_type.startswith("Reduce") and (len(given) > 1 or "axes" in node.attributes)
    if node.op_type not in SMALL or of_axes:
        return None
    if node.op_type == "Range":
        start, stop, step = (float(one.reshape(())) for one in arrays)
        if not step or not abs((stop - start) / step) <= MOST_SHAPE_NUMBERS:
            return None
        return Constant.of(np.arange(start, stop, step).astype(arrays[0].dtype))
    with np.errstate(all="ignore"):
        return Constant.of(np.asarray(SMALL[node.op_type](*arrays)))
