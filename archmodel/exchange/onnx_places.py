"""Where in the stored tensors of a model the weights of a layer stand.

The layer is read with zeros in the place of the tensors: where that gives a part of the zeros, its address and its
strides say where the weights are. What moves weights by a copy is read with each word's number in the place of its
value, and gives the numbers of where each weight is from. What computes weights, as the difference of codes and a zero
point, does neither, and is refused.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from archmodel.errors import ArchmodelError, WorkloadError, show
from archmodel.exchange.onnx_builder import Builder
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import UNREADABLE, Array, Proto, raw_type, tensor_array, tensor_shape

COMPUTED = "its weights are computed in the file, not stored; they cannot be replaced"


@dataclass(frozen=True)
class Strided:
    """Weights that are words of one tensor, each another one.

    num_words : of the tensor
    first : the word of the first weight
    steps : words from a weight to the next, along each axis of `shape`
    """

    tensor: str
    num_words: int
    first: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Whether they are all words of the tensor."""
        return math.prod(self.shape) == self.num_words

    def of(self, words: Array) -> Array:
        """The weights in the words of the tensor, which they share."""
        strides = [step * words.itemsize for step in self.steps]
        return np.lib.stride_tricks.as_strided(words[self.first :], self.shape, strides)

    def in_order(self, values: Array) -> Array:
        """`values` of the weights of a whole tensor in the order of its words."""
        forwards = values[tuple(slice(None, None, -1 if step < 0 else 1) for step in self.steps)]
        return forwards.transpose(np.argsort([-abs(step) for step in self.steps], kind="stable"))


@dataclass(frozen=True)
class Numbered:
    """Weights that are words of any tensors: the number of each of them, in their shape."""

    numbers: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape


Places = Strided | Numbered


@dataclass
class StoredTensors:
    """The stored tensors of a model by name, each with its folder; their words are numbered one after the other.

    written : the file in which some have been written again, and where in it their words begin, by name
    instead : what tensors are read as, of name and shape; None for their values
    """

    tensors: dict[str, tuple[Proto, Path]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    num_words: int = 0
    written: tuple[Path, Mapping[str, int]] = (Path(), MappingProxyType({}))
    instead: Callable[[str, tuple[int, ...]], Array] | None = None

    def constant(self, name: str, tensor: Proto, folder: Path) -> Constant:
        """The constant of a stored tensor, whose words get the next numbers."""
        shape = tensor_shape(tensor, folder)
        self.tensors[name], self.starts[name] = (tensor, folder), self.num_words
        self.num_words += math.prod(shape)
        return Constant(shape, lambda: self.array(name) if self.instead is None else self.instead(name, shape))

    def array(self, name: str) -> Array:
        """The values of a tensor."""
        tensor, folder = self.tensors[name]
        path, begins = self.written
        if not self.is_outside(name) or name not in begins:
            return tensor_array(tensor, folder)
        count = math.prod(tensor.dims)
        return np.fromfile(path, self.dtype(name), count, offset=begins[name]).reshape(tensor.dims)

    def is_outside(self, name: str) -> bool:
        """Whether the words of a tensor are no part of the model, but in a file."""
        return bool(self.tensors[name][0].data_location)

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type of the words of a tensor that is outside."""
        return np.dtype(raw_type(self.tensors[name][0]))

    def stop(self, name: str) -> int:
        """Behind the number of the last word of a tensor."""
        return self.starts[name] + math.prod(self.tensors[name][0].dims)

    def places(self, builder: Builder, layer: str) -> Places:
        """Where the layer's weights are."""
        return self._strided(builder, layer) or Numbered(self._numbers(builder, layer))

    def holding(self, places: Places) -> Iterator[str]:
        """Names of the tensors that hold some of these words."""
        if isinstance(places, Strided):
            yield places.tensor
            return
        numbers = places.numbers
        least, most = int(numbers.min()), int(numbers.max())
        for name, start in self.starts.items():
            stop = self.stop(name)
            if start <= most and least < stop and ((numbers >= start) & (numbers < stop)).any():
                yield name

    def put(self, name: str, words: Array, places: Places, values: Array) -> None:
        """Put those of `values` whose places are in a tensor into the words of it."""
        if isinstance(places, Strided):
            places.of(words)[...] = values
            return
        start, inside = self.starts[name], slice(None)
        if places.numbers.min() < start or places.numbers.max() >= start + words.size:
            inside = (places.numbers >= start) & (places.numbers < start + words.size)  # type: ignore[assignment]
        words[places.numbers[inside].reshape(-1) - start] = values[inside].reshape(-1)

    def _strided(self, builder: Builder, layer: str) -> Strided | None:
        read = list[tuple[str, Array]]()

        def zeros(name: str, shape: tuple[int, ...]) -> Array:
            read.append((name, np.zeros(shape, np.int8)))  # of a large one no memory is taken until it is written
            return read[-1][1]

        found = self._read_as(zeros, builder, layer)
        if found is None:
            return None
        for name, array in read:
            first = found.ctypes.data - array.ctypes.data
            if found.size and 0 <= first < array.size and _all_apart(found):
                return Strided(name, array.size, first, found.shape, found.strides)
        return None

    def _numbers(self, builder: Builder, layer: str) -> Array:
        """The number of each of the layer's weights, in their shape."""
        kind = np.int32 if 2 * self.num_words < 2**31 else np.int64  # holds them all twice

        def numbers(added: int) -> Array:
            def of(name: str, shape: tuple[int, ...]) -> Array:
                first = self.starts[name] + added
                return np.arange(first, first + math.prod(shape), dtype=kind).reshape(shape)

            found = self._read_as(of, builder, layer)
            if found is None or found.dtype != kind:
                raise WorkloadError(f"layer {show(layer)}: {COMPUTED}")
            return found

        found = numbers(0)
        others = numbers(self.num_words) - found
        if not (others == self.num_words).all() or found.min() < 0 or found.max() >= self.num_words:
            raise WorkloadError(f"layer {show(layer)}: {COMPUTED}")
        return found

    def _read_as(self, instead: Callable[[str, tuple[int, ...]], Array], builder: Builder, layer: str) -> Array | None:
        """The weights of a layer where tensors are read as something else; None where that cannot be."""
        self.instead = instead
        try:
            return builder.weights[layer]()
        except ArchmodelError:
            raise
        except UNREADABLE:
            return None
        finally:
            self.instead = None


def _all_apart(array: Array) -> bool:
    """Whether no two cells of a part of int8 words are the same word."""
    axes = sorted((abs(step), length) for step, length in zip(array.strides, array.shape, strict=True) if length > 1)
    reach = 0  # words from the first to the last cell of the axes so far
    for step, length in axes:
        if step <= reach:
            return False
        reach += step * (length - 1)
    return True
