"""Tensors of an ONNX file that do not depend on its input: shapes at once, values when they are asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from archmodel.exchange.onnx_axes import flattened, target_dims, with_ones, without
from archmodel.exchange.onnx_file import MAX_RANK, Array, Node, Proto, tensor_array, tensor_shape, word_bits

MOST_SHAPE_NUMBERS = 64  # of a tensor that says a shape
MOST_TENSORS = 64  # that a constant may be made of, each as often as it is read
MAX_MADE_WORDS = 2**27  # of a constant that is larger than what the file has of it
NARROW_BITS, WIDE_FLOATS = 16, (1, 11)  # of a narrow float; float and double; onnx.proto: DataType
ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}
Move = Callable[[Array], Array]


@dataclass(frozen=True)
class Constant:
    """Dims of a tensor and how to get its values; `num_tensors` are those that are read for it.

    word_bits : of a word in the file, whose values it has or stands for; None where it is computed
    """

    shape: tuple[int, ...]
    load: Callable[[], Array]
    num_tensors: int = 1
    word_bits: int | None = None

    @classmethod
    def stored(cls, tensor: Proto, folder: Path) -> "Constant":
        """A tensor of the file."""
        return cls(tensor_shape(tensor, folder), lambda: tensor_array(tensor, folder), word_bits=word_bits(tensor))

    @classmethod
    def of(cls, array: Array) -> "Constant":
        return cls(array.shape, lambda: array)

    @property
    def words(self) -> int:
        return math.prod(self.shape)

    def moved(self, move: Move) -> "Constant":
        """The constant behind an operator; its shape comes from a placeholder that takes no memory."""
        placeholder = np.broadcast_to(np.int8(0), self.shape)
        return Constant(move(placeholder).shape, lambda: move(self.load()), self.num_tensors, self.word_bits)

    def integers(self) -> tuple[int, ...] | None:
        """Its few numbers; None for a tensor that says no shape."""
        if self.words > MOST_SHAPE_NUMBERS:
            return None
        values = self.load().reshape(-1)
        return tuple(int(value) for value in values) if values.dtype.kind in "iu" else None


def folded(node: Node, inputs: Sequence[Constant | None]) -> Constant | None:
    """The output of a `node` that reads constants only; None where it is no operator for constants.

    inputs : one for each of the node's, None where it is left out
    """
    first, *others = inputs
    if first is None:
        return None
    given = [one for one in others if one is not None]
    if node.op_type in ARITHMETIC and len(given) == 1:
        return _arithmetic(node, first, given[0])
    if node.op_type == "ConstantOfShape":
        return _filled(node, first)
    if node.op_type == "Concat":
        return _side_by_side(node, [first, *given])
    if node.op_type == "Gather" and len(given) == 1:
        return _picked(node, first, given[0])
    if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        return _quantization(node, first, [*others, None])
    narrow = first.word_bits == NARROW_BITS and node.integer("to", 0) in WIDE_FLOATS  # values stay, few ones too
    if node.op_type in ("Identity", "Dropout"):
        return first
    if node.op_type == "Cast" and (narrow or first.words > MOST_SHAPE_NUMBERS):
        return first
    move = _move(node, first, others[0] if others else None)
    return None if move is None else first.moved(move)


def zero_point_removed(node: Node, codes: Constant, zero_point: Constant | None, axis: int) -> Constant:
    """Integer codes as distances from their zero point, one for all or one for each place along `axis`."""
    if zero_point is None:
        return codes
    aligned = _aligned(node, zero_point, codes.shape, axis)

    def load() -> Array:
        distances = codes.load().astype(np.int32)
        distances -= aligned(np.int32)
        return distances

    return made_of(node, (codes, zero_point), load)


def made_of(node: Node, parts: Sequence[Constant], load: Callable[[], Array]) -> Constant:
    """A constant of a `node` in the shape of the first of its parts; WorkloadError where they are very many."""
    num_tensors = sum(part.num_tensors for part in parts)
    if num_tensors > MOST_TENSORS:
        raise node.refuse(f"made of more than {MOST_TENSORS} tensors")
    return Constant(parts[0].shape, load, num_tensors)


def _aligned(node: Node, scales: Constant, shape: tuple[int, ...], axis: int) -> Callable[[Any], Array]:
    """Numbers along one `axis` of `shape`, or one number, in a shape that broadcasts."""
    rank = len(shape)
    if scales.words == 1:
        return lambda dtype: scales.load().reshape(()).astype(dtype)
    if not -rank <= axis < rank or scales.shape != (shape[axis],):
        raise node.refuse(f"scale or zero point of shape {list(scales.shape)} for {list(shape)}: not supported")
    dims = tuple(-1 if i == axis % rank else 1 for i in range(rank))
    return lambda dtype: scales.load().reshape(dims).astype(dtype)


def _move(node: Node, first: Constant, argument: Constant | None) -> Move | None:
    rank = len(first.shape)
    if node.op_type == "Transpose":
        order = node.integers("perm", tuple(range(rank))[::-1])
        return (lambda array: array.transpose(order)) if sorted(order) == list(range(rank)) else None
    dims = moved_dims(node, first.shape, argument)
    return None if dims is None else lambda array: array.reshape(dims)


def _quantization(node: Node, first: Constant, others: Sequence[Constant | None]) -> Constant | None:
    """Codes and the numbers that they stand for, of which 0 is the zero point's."""
    axis, (scale, zero_point) = node.integer("axis", 1), others[:2]
    if node.integer("block_size", 0):
        raise node.refuse("scales of blocks are not supported")
    if scale is None:
        return None
    scales = _aligned(node, scale, first.shape, axis)
    if node.op_type == "DequantizeLinear":
        steps = zero_point_removed(node, first, zero_point, axis)

        def numbers() -> Array:
            multiples = steps.load().astype(np.float32)
            multiples *= scales(np.float32)
            return multiples

        return replace(made_of(node, (steps, scale), numbers), word_bits=first.word_bits)
    offsets = None if zero_point is None else _aligned(node, zero_point, first.shape, axis)

    def codes() -> Array:
        with np.errstate(all="ignore"):  # a scale of zero is found as a weight that is not finite
            rounded = np.asarray(first.load() / scales(np.float32))
        np.rint(rounded, out=rounded)
        limits = np.iinfo(np.uint8) if zero_point is None else np.iinfo(zero_point.load().dtype)
        if offsets is not None:
            rounded += offsets(rounded.dtype)
        return np.clip(rounded, limits.min, limits.max, out=rounded)

    # The zero point is read for its type too.
    parts = [first, scale] if zero_point is None else [first, scale, zero_point, zero_point]
    return made_of(node, parts, codes)


def moved_dims(node: Node, dims: tuple[int, ...], argument: Constant | None) -> tuple[int, ...] | None:
    """Dims behind Reshape, Flatten, Squeeze or Unsqueeze; `argument` is its second input. None if they are unknown."""
    if node.op_type == "Flatten":
        first = node.integer("axis", 1)
        return flattened(dims, first) if -len(dims) <= first <= len(dims) else None
    if node.op_type not in ("Reshape", "Squeeze", "Unsqueeze"):
        return None
    numbers = node.integers("shape" if node.op_type == "Reshape" else "axes", ())
    if argument is not None:
        read = argument.integers()
        if read is None:
            return None
        numbers = read
    if len(numbers) + len(dims) > 2 * MAX_RANK:
        return None
    if node.op_type == "Reshape":
        return target_dims(dims, numbers, bool(node.integer("allowzero", 0)))
    return without(dims, numbers) if node.op_type == "Squeeze" else with_ones(dims, numbers)


def _arithmetic(node: Node, first: Constant, second: Constant) -> Constant | None:
    shape = np.broadcast_shapes(first.shape, second.shape)
    num_tensors = first.num_tensors + second.num_tensors
    if not 0 < math.prod(shape) <= max(MAX_MADE_WORDS, first.words, second.words) or num_tensors > MOST_TENSORS:
        return None

    def load() -> Array:
        a, b = first.load(), second.load()
        with np.errstate(all="ignore"):  # what is not finite is refused where it is a weight
            integers = node.op_type == "Div" and a.dtype.kind in "iu" and b.dtype.kind in "iu"
            return a // b if integers else ARITHMETIC[node.op_type](a, b)

    return Constant(shape, load, num_tensors)


def _filled(node: Node, dims: Constant) -> Constant | None:
    shape = dims.integers()
    if shape is None or len(shape) > MAX_RANK or min(shape, default=0) < 0 or math.prod(shape) > MAX_MADE_WORDS:
        raise node.refuse(f"its shape is not that of a tensor of at most {MAX_MADE_WORDS} words")
    value = np.zeros(1, np.float32)
    stored = node.attribute("value", "t")
    if stored is not None:
        if stored.data_location or math.prod(tensor_shape(stored, Path())) != 1:
            raise node.refuse("its value must be one number in the file itself")
        value = tensor_array(stored, Path())
    return Constant(shape, lambda: np.broadcast_to(value.reshape(()), shape))


def _side_by_side(node: Node, parts: Sequence[Constant]) -> Constant | None:
    numbers = [part.integers() for part in parts]
    if any(len(part.shape) != 1 for part in parts) or node.integer("axis", 0) not in (0, -1):
        return None
    joined = [one for part in numbers if part is not None for one in part]
    if None in numbers or len(joined) > MOST_SHAPE_NUMBERS:
        return None
    return Constant.of(np.array(joined, np.int64))


def _picked(node: Node, numbers: Constant, indices: Constant) -> Constant | None:
    values, places = numbers.integers(), indices.integers()
    if values is None or places is None or len(numbers.shape) != 1:
        return None
    if any(not -len(values) <= place < len(values) for place in places):
        raise node.refuse("an index is out of range")
    return Constant.of(np.array([values[place] for place in places], np.int64).reshape(indices.shape))
