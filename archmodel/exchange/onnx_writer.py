"""An ONNX file with other weights: the same bytes but for those of the layers that are replaced.

The file is copied, and then the words of one tensor after the other are replaced in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archmodel.errors import WorkloadError, one_line, show
from archmodel.exchange.onnx_branches import without_branches
from archmodel.exchange.onnx_builder import Builder
from archmodel.exchange.onnx_file import (
    FIELDS,
    MAX_FILE_BYTES,
    NOTE_KEY,
    Array,
    Node,
    Proto,
    one_line_errors,
    open_model,
)
from archmodel.exchange.onnx_pieces import pieces_of, write_pieces
from archmodel.exchange.onnx_places import Numbered, Places, StoredTensors, Strided
from archmodel.exchange.onnx_reader import Run, walk
from archmodel.exchange.onnx_stored import put_inside

WORDS_AT_A_TIME = 2**20  # that are put into the type of the file
Outputs = tuple[str, ...]  # names of what a node makes, which no other node makes


def with_weights(
    path: Path, weights: Mapping[str, Array], output: Path, note: str = "", run: Run | None = None
) -> None:
    """Write the model in `path` to `output` with other weights of some layers, read one layer at a time.

    weights : by layer name, in the layer's `weight_shape`
    note : what was done to them, for the metadata of the file, which `read_onnx` shows
    run : shapes and branches of a run, as for `read_onnx`

    WorkloadError, one line, where weights are computed in the file, are shared with a layer that has others or with
    another operator, or are not exact in the type that the file has; `output` is then not written.
    """
    source = one_line(path.name)
    with one_line_errors(source):
        model = open_model(path)
        if without_branches(model, path.parent, {} if run is None else run.conditions) is not model:
            raise WorkloadError("has If nodes; weights of such a model cannot be replaced")
        put_inside(model, path.parent)
        stored, declared = StoredTensors(), [_copy(one) for one in model.graph.input]
        builder = walk(model, path.parent, True, run, stored.constant)
        del model.graph.input[:]  # inference of shapes gives them sizes
        model.graph.input.extend(declared)
        replacement = _Replacement(builder, stored, _final_readers(model, builder), weights)
        replacement.find()
        replacement.put_into_model()
        if note:
            _add_note(model, note)
        pieces = pieces_of(model, path.parent)
        if (num_bytes := sum(map(len, pieces))) > MAX_FILE_BYTES:
            raise WorkloadError(f"{num_bytes} bytes with all weights inside; a model has at most {MAX_FILE_BYTES}")
    try:
        stored.written = output, write_pieces(pieces, output, replacement.whole)
        replacement.put_into_file()
    except BaseException as error:
        with suppress(OSError):
            output.unlink()
        if isinstance(error, WorkloadError):
            raise WorkloadError(f"{source}: {error}") from None
        raise


@dataclass
class _Replacement:
    """Weights of layers that take the place of others in a model.

    final : nodes that read a stored tensor, moved or not, by its name
    strided : where weights are that take the place of words of one tensor
    tensors : which the weights of a layer stand in, by its name
    beside : weights, as they are, of layers that are not asked for and stand in tensors of others
    """

    builder: Builder
    stored: StoredTensors
    final: Mapping[str, set[Outputs]]
    weights: Mapping[str, Array]
    strided: dict[str, Strided] = field(default_factory=dict)
    tensors: dict[str, list[str]] = field(default_factory=dict)
    beside: dict[str, Array] = field(default_factory=dict)

    def find(self) -> None:
        """Where the weights of all layers are; WorkloadError where others read these tensors too."""
        layers: dict[Outputs, list[str]] = {}
        for name, source in self.builder.sources.items():
            layers.setdefault(source.node.outputs, []).append(name)
        for name in self.weights:
            if name not in self.builder.weights:
                raise WorkloadError(f"no layer {show(name)} with weights")
            places = self.stored.places(self.builder, name)
            if isinstance(places, Strided):
                self.strided[name] = places
            self.tensors[name] = list(self.stored.holding(places))
            for reader in (reader for tensor in self.tensors[name] for reader in self.final.get(tensor, set())):
                if reader not in layers:
                    made = next(filter(None, reader), "")
                    raise WorkloadError(f"layer {show(name)}: the node that makes {show(made)} reads its weights too")
                for other in layers[reader]:
                    if other not in self.weights and other not in self.beside and other in self.builder.weights:
                        self.beside[other] = np.array(self.builder.weights[other]())

    @property
    def whole(self) -> set[str]:
        """Names of tensors all of whose words are replaced by those of one layer."""
        return {places.tensor for places in self.strided.values() if places.is_whole}

    def put_into_model(self) -> None:
        """Replace the words of tensors that are a part of the model."""
        for name, tensors in self.tensors.items():
            inside = [tensor for tensor in tensors if not self.stored.is_outside(tensor)]
            if inside:
                places, values = self._asked(name)
                for tensor in inside:
                    self._put_inside(tensor, places, values, name)
                if isinstance(places, Numbered) and len(inside) == len(tensors):
                    self._read_back(name, values)

    def put_into_file(self) -> None:
        """Replace the words of tensors that are copied to the file; WorkloadError unless all can be read back."""
        for name, tensors in self.tensors.items():
            outside = [tensor for tensor in tensors if self.stored.is_outside(tensor)]
            if outside:
                places, values = self._asked(name)
                for tensor in outside:
                    self._put_outside(tensor, places, values, name)
                if isinstance(places, Numbered):
                    self._read_back(name, values)
        holders = Counter(tensor for tensors in self.tensors.values() for tensor in tensors)
        shared = {name for name, tensors in self.tensors.items() if any(holders[tensor] > 1 for tensor in tensors)}
        for name in sorted(shared | self.beside.keys()):
            self._read_back(name, self.weights[name] if name in self.weights else self.beside[name])

    def _asked(self, name: str) -> tuple[Places, Array]:
        """Where the weights of a layer are, and the new ones."""
        places = self.strided.get(name) or self.stored.places(self.builder, name)
        values = self.weights[name]
        if values.shape != places.shape:
            raise WorkloadError(f"layer {show(name)}: weights of shape {values.shape}; allowed: {places.shape}")
        return places, values

    def _put_inside(self, name: str, places: Places, values: Array, layer: str) -> None:
        """Replace words of a tensor of the model; nothing where they stand there already."""
        before = self.stored.array(name).reshape(-1)
        words = before.copy()
        self.stored.put(name, words, places, _exact(values, words.dtype, layer))
        if not np.array_equal(words, before):
            tensor, _ = self.stored.tensors[name]
            for key in {key for key, _ in FIELDS.values()}:
                tensor.ClearField(key)
            tensor.raw_data = words.tobytes()

    def _put_outside(self, name: str, places: Places, values: Array, layer: str) -> None:
        """Replace words of a tensor in the file: all of them some at a time, or some of all."""
        path, begins = self.stored.written
        dtype = self.stored.dtype(name)
        parts: Iterable[Array]
        if isinstance(places, Strided) and places.is_whole:
            words = places.in_order(values)
            rows = max(1, WORDS_AT_A_TIME * len(words) // words.size)
            parts = (_exact(words[row : row + rows], dtype, layer) for row in range(0, len(words), rows))
        else:
            array = self.stored.array(name).reshape(-1)
            self.stored.put(name, array, places, _exact(values, dtype, layer))
            parts = [array]
        with open(path, "r+b") as file:
            file.seek(begins[name])
            for part in parts:
                file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)

    def _read_back(self, name: str, values: Array) -> None:
        if not np.array_equal(self.builder.weights[name](), values):
            raise WorkloadError(
                f"layer {show(name)}: the file has one word for several of its or another layer's"
                " weights, which would differ"
            )


def _exact(values: Array, dtype: np.dtype[Any], layer: str) -> Array:
    """The same values in the type of the file."""
    exact = values.astype(dtype, copy=False)
    if exact is not values and not np.array_equal(exact, values):
        raise WorkloadError(
            f"layer {show(layer)}: weights of {values.dtype} are not exact in {dtype}, the type of its file"
        )
    return exact


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
