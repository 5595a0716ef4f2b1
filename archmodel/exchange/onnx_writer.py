"""An ONNX file with other weights: the same bytes but for those of the layers that are replaced.

Where the weights of a layer stand in the file is found by reading it with each stored word's number in the place of its
value: what only moves weights, as a transpose or a slice, leaves numbers that say where each of them is from. What
computes weights, as the difference of codes and a zero point, does not, and is refused.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from archmodel.errors import ArchmodelError, WorkloadError, one_line, show
from archmodel.exchange.onnx_branches import without_branches
from archmodel.exchange.onnx_builder import Builder
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import (
    FIELDS,
    MAX_FILE_BYTES,
    NOTE_KEY,
    UNREADABLE,
    Array,
    Node,
    Proto,
    one_line_errors,
    open_model,
    tensor_array,
    tensor_shape,
    word_bits,
)
from archmodel.exchange.onnx_narrow import FloatType, narrow
from archmodel.exchange.onnx_reader import Run, walk
from archmodel.exchange.onnx_stored import put_all_inside, serialized

COMPUTED = "its weights are computed in the file, not stored; they cannot be replaced"
Outputs = tuple[str, ...]  # names of what a node makes, which no other node makes


def with_weights(
    path: Path,
    weights: Mapping[str, Array],
    output: Path,
    note: str = "",
    run: Run | None = None,
    floats: FloatType | None = None,
) -> None:
    """Write the model in `path` to `output` with other weights of some layers, read one layer at a time.

    weights : by layer name, in the layer's `weight_shape`
    note : what was done to them, for the metadata of the file, which `read_onnx` shows
    run : shapes and branches of a run, as for `read_onnx`
    floats : the type in which the file is to store them, from which a Cast makes the type that it had

    WorkloadError, one line, where weights are computed in the file, are shared with a layer that has others or with
    another operator, or are not exact in the type that the file has. `output` is then not written.
    """
    with one_line_errors(one_line(path.name)):
        model = open_model(path)
        if without_branches(model, path.parent, {} if run is None else run.conditions) is not model:
            raise WorkloadError("has If nodes; weights of such a model cannot be replaced")
        put_all_inside(model, path.parent)
        stored, declared = _Stored(path.parent), [_copy(one) for one in model.graph.input]
        builder = walk(model, path.parent, True, run, stored.constant)
        del model.graph.input[:]  # inference of shapes gives them sizes
        model.graph.input.extend(declared)
        replacement = _Replacement(builder, stored, _final_readers(model, builder))
        replacement.replace(weights)
        if floats is not None:
            narrow(model, list(replacement.holders), floats)
        if note:
            _add_note(model, note)
        if (num_bytes := model.ByteSize()) > MAX_FILE_BYTES:
            raise WorkloadError(f"{num_bytes} bytes with all weights inside; a model has at most {MAX_FILE_BYTES}")
        image = serialized(model)
    with open(output, "wb") as file:
        file.write(image)


@dataclass
class _Stored:
    """The stored tensors of a model by name; their words are numbered one after the other.

    added : to the numbers, None for the values themselves
    """

    folder: Path
    tensors: dict[str, Proto] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    num_words: int = 0
    added: int | None = None

    def constant(self, name: str, tensor: Proto, folder: Path) -> Constant:
        """The constant of a stored tensor, whose words get the next numbers."""
        shape, start = tensor_shape(tensor, folder), self.num_words
        self.tensors[name], self.starts[name] = tensor, start
        self.num_words += math.prod(shape)

        def load() -> Array:
            if self.added is None:
                return tensor_array(tensor, folder)
            first = start + self.added
            return np.arange(first, first + math.prod(shape), dtype=self.numbers).reshape(shape)

        return Constant(shape, load, word_bits=word_bits(tensor))

    @property
    def numbers(self) -> type[np.signedinteger]:
        """An integer that holds them all twice."""
        return np.int32 if 2 * self.num_words < 2**31 else np.int64

    def places(self, builder: Builder, layer: str) -> Array:
        """The number of each of the layer's weights, in their shape."""
        try:
            self.added = 0
            numbers = builder.weights[layer]()
            self.added = self.num_words
            others = builder.weights[layer]()
        except UNREADABLE as error:
            if isinstance(error, ArchmodelError):
                raise
            raise WorkloadError(f"layer {show(layer)}: {COMPUTED}") from None
        finally:
            self.added = None
        if numbers.dtype != self.numbers or others.dtype != self.numbers:
            raise WorkloadError(f"layer {show(layer)}: {COMPUTED}")
        others = others - numbers
        if not (others == self.num_words).all() or numbers.min() < 0 or numbers.max() >= self.num_words:
            raise WorkloadError(f"layer {show(layer)}: {COMPUTED}")
        return numbers

    def holding(self, places: Array) -> Iterator[str]:
        """Names of the tensors that hold some of these words."""
        least, most = int(places.min()), int(places.max())
        for name, start in self.starts.items():
            stop = start + math.prod(self.tensors[name].dims)
            if start <= most and least < stop and ((places >= start) & (places < stop)).any():
                yield name

    def put(self, name: str, places: Array, values: Array, layer: str) -> None:
        """Store those of `values` whose places are in a tensor; nothing where they stand there already."""
        tensor, start = self.tensors[name], self.starts[name]
        array = tensor_array(tensor, self.folder)
        words, inside = array.reshape(-1), slice(None)
        if places.min() < start or places.max() >= start + words.size:
            inside = (places >= start) & (places < start + words.size)  # type: ignore[assignment]
        places, values = places[inside].reshape(-1) - start, values[inside].reshape(-1)
        exact = values.astype(words.dtype)
        if not np.array_equal(exact, values):
            raise WorkloadError(
                f"layer {show(layer)}: weights of {values.dtype} are not exact in {words.dtype}, the type of its file"
            )
        if not np.array_equal(words[places], exact):
            words = words.copy()
            words[places] = exact
            for key in {key for key, _ in FIELDS.values()}:
                tensor.ClearField(key)
            tensor.raw_data = words.tobytes()


@dataclass
class _Replacement:
    """Weights of layers that take the place of others in a model.

    final : nodes that read a stored tensor, moved or not, by its name
    holders : layers whose weights stand in a tensor, by its name
    beside : weights, as they are, of layers that are not asked for and stand in tensors of others
    """

    builder: Builder
    stored: _Stored
    final: Mapping[str, set[Outputs]]
    holders: dict[str, list[str]] = field(default_factory=dict)
    beside: dict[str, Array] = field(default_factory=dict)

    def replace(self, weights: Mapping[str, Array]) -> None:
        """Put the weights of all layers in; WorkloadError unless they can be read back."""
        layers: dict[Outputs, list[str]] = {}
        for name, source in self.builder.sources.items():
            layers.setdefault(source.node.outputs, []).append(name)
        for name in weights:
            self._put(name, weights, layers)
        shared = {name for holders in self.holders.values() if len(holders) > 1 for name in holders}
        for name in sorted(shared | self.beside.keys()):
            self._read_back(name, weights[name] if name in weights else self.beside[name])

    def _put(self, name: str, weights: Mapping[str, Array], layers: Mapping[Outputs, list[str]]) -> None:
        """The weights of a layer, after a look at who else reads the tensors in which they stand."""
        if name not in self.builder.weights:
            raise WorkloadError(f"no layer {show(name)} with weights")
        places = self.stored.places(self.builder, name)
        tensors = list(self.stored.holding(places))
        for tensor in tensors:
            for reader in self.final.get(tensor, set()):
                if reader not in layers:
                    made = next(filter(None, reader), "")
                    raise WorkloadError(f"layer {show(name)}: the node that makes {show(made)} reads its weights too")
                for other in layers[reader]:
                    if other not in weights and other not in self.beside and other in self.builder.weights:
                        self.beside[other] = np.array(self.builder.weights[other]())
            self.holders.setdefault(tensor, []).append(name)
        values = weights[name]
        if values.shape != places.shape:
            raise WorkloadError(f"layer {show(name)}: weights of shape {values.shape}; allowed: {places.shape}")
        for tensor in tensors:
            self.stored.put(tensor, places, values, name)
        self._read_back(name, values)

    def _read_back(self, name: str, values: Array) -> None:
        if not np.array_equal(self.builder.weights[name](), values):
            raise WorkloadError(f"layer {show(name)}: the file has one word for several of its or another layer's"
                                " weights, which would differ")


def _final_readers(model: Proto, builder: Builder) -> dict[str, set[Outputs]]:
    """By the name of each stored tensor the nodes that read it, also behind others that make constants of constants."""
    readers: dict[str, list[Node]] = {}
    for proto in model.graph.node:
        for name in _read_names(proto):
            readers.setdefault(name, []).append(Node.of(proto))
    found: dict[str, set[Outputs]] = {}

    def behind(name: str) -> set[Outputs]:
        if name not in found:
            found[name] = set()
            for node in readers.get(name, []):
                if node.outputs and all(output in builder.constants for output in node.outputs if output):
                    found[name].update(*(behind(output) for output in node.outputs if output))
                else:
                    found[name].add(node.outputs)
        return found[name]

    for name in reversed(builder.constants):  # those below first, so that none waits for many others
        behind(name)
    return found


def _read_names(proto: Proto) -> Iterable[str]:
    """Names of tensors that a node and the graphs below it read."""
    yield from Node.of(proto).inputs
    for attribute in proto.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_names(inner)


def _add_note(model: Proto, note: str) -> None:
    """Note in the metadata what was done, behind what was done before."""
    for entry in model.metadata_props:
        if entry.key == NOTE_KEY:
            entry.value = f"{entry.value}; {note}"
            return
    model.metadata_props.add(key=NOTE_KEY, value=note)


def _copy(message: Proto) -> Proto:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
