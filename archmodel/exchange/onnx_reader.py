"""Networks in ONNX: one walk over the graph, layer by layer; what cannot be read names its node."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from archmodel.errors import SHOWN_CHARACTERS, WorkloadError, one_line, show
from archmodel.exchange.onnx_axes import Axes, axis
from archmodel.exchange.onnx_branches import without_branches
from archmodel.exchange.onnx_builder import Builder, letter_size
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_edges import Readers
from archmodel.exchange.onnx_file import (
    MAX_RANK,
    OWN_DOMAINS,
    Array,
    Node,
    Proto,
    as_text,
    note_of,
    one_line_errors,
    open_model,
    with_note,
)
from archmodel.exchange.onnx_inference import declared_dims, inferred_dims
from archmodel.exchange.onnx_made import Stored, as_stored, left_to_run, made_constant
from archmodel.exchange.onnx_operators import PASSED_ON, PLANES, SEQUENCES, read_operator
from archmodel.exchange.onnx_others import WITH_GRAPHS
from archmodel.exchange.onnx_products import RECURRENT
from archmodel.exchange.onnx_stored import check_outside
from archmodel.network.layer import MAX_WORDS, Shape
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros

MOST_GAPS = 20  # nodes that were left out and are named
MOST_FOLLOWED = 100  # nodes from an input to the one that says which axis is which


class Run(Protocol):
    """What a run of a model shows: dims of its tensors, the branch that each If took, by node, and tensors it kept."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    @property
    def conditions(self) -> Mapping[str, bool]: ...

    def has(self, name: str) -> bool: ...

    def tensor(self, name: str, run: int) -> Array: ...


def read_onnx(path: Path, source: str, skip: bool = False, run: Run | None = None) -> Network:
    """The network in an ONNX file, whose weights are those of the file; `source` is how messages call it.

    With `skip` a node that cannot be read is left out and noted: what it makes becomes an input of the network. With a
    `run` the dims of tensors are those of the run, else those that the file declares and onnx infers.
    """
    return read_model(path, source, skip, run)[0]


def read_model(
    path: Path, source: str, skip: bool = False, run: Run | None = None, model: Proto | None = None
) -> tuple[Network, Builder]:
    """The network of `read_onnx`, and what is known of its tensors; `model` is the file where it is open already."""
    with one_line_errors(source):
        builder = walk(open_model(path) if model is None else model, path.parent, skip, run)
        read = {tensor for layer in builder.layers.values() for tensor in layer.inputs}
        file = one_line(path.name)
        origin = with_note(file, builder.note)
        shown, more = builder.left_out[:MOST_GAPS], len(builder.left_out) - MOST_GAPS
        gaps = (*shown, f"and {more} (more)") if more > 0 else tuple(shown)
        if not builder.layers:
            raise WorkloadError("no node of it is a layer")
        network = Network(
            name=path.stem,
            title=one_line(path.stem),
            source=f"{file}; left out: {', '.join(gaps)}" if gaps else file,
            inputs={name: shape for name, shape in builder.inputs.items() if name in read},
            layers=tuple(builder.layers.values()),
            zeros={name: Zeros(source=origin, weight_mask=f"{path.name}:{name}") for name in builder.weights},
            folder=path.parent,
            left_out=gaps,
            weights_note=builder.note,
        )
        return network, builder


class Weights(Mapping[str, Array]):
    """Weights by layer name in the layer's `weight_shape`, as distances from the zero point; read one at a time."""

    def __init__(self, builder: Builder, source: str) -> None:
        self._builder, self._source = builder, source

    def __getitem__(self, name: str) -> Array:
        load = self._builder.weights[name]
        with one_line_errors(self._source):
            weights = load()
            if weights.dtype.kind not in "biuf":  # bfloat16, which numpy only knows by another package
                weights = weights.astype(np.float32)
            once = weights[tuple(slice(None) if step else slice(1) for step in weights.strides)]  # what is not repeated
            if weights.dtype.kind == "f" and once.size and not (np.isfinite(once.min()) and np.isfinite(once.max())):
                raise WorkloadError(f"layer {show(name)}: weights are NaN or infinite; allowed: finite numbers")
            return weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._builder.weights)

    def __len__(self) -> int:
        return len(self._builder.weights)


def weights_of(path: str | Path) -> Weights:
    """The weights in an ONNX file, also those of a network that was read with `skip`."""
    path = Path(path)
    source = one_line(str(path), 4 * SHOWN_CHARACTERS)
    with one_line_errors(source):
        status = path.stat()
        return Weights(_walked(path, status.st_mtime_ns, status.st_size), source)


@lru_cache(maxsize=1)
def _walked(path: Path, modified_ns: int, size_bytes: int) -> Builder:
    """The walk over a file that has not changed since; a run asks for its layers one after the other."""
    return walk(open_model(path), path.parent, skip=True)


def walk(model: Proto, folder: Path, skip: bool, run: Run | None = None, stored: Stored = as_stored) -> Builder:
    """All that is known of the tensors of a model; `stored` makes constants of names, stored tensors and the folder."""
    builder = Builder(note=note_of(model))
    model = without_branches(model, folder, {} if run is None else run.conditions)
    check_outside(model, folder)
    graph = model.graph
    nodes = [Node.of(proto) for proto in graph.node]
    readers = Readers(nodes)
    for sparse in graph.sparse_initializer:
        raise WorkloadError(f"tensor {show(as_text(sparse.values.name))}: is a sparse initializer; not supported")
    for function in model.functions:
        if as_text(function.domain) in OWN_DOMAINS:
            raise WorkloadError(f"function {show(as_text(function.name))}: redefines an operator; not supported")
    for tensor in graph.initializer:
        builder.constants[as_text(tensor.name)] = stored(as_text(tensor.name), tensor, folder)
    for given in graph.input:
        if (name := as_text(given.name)) not in builder.constants:
            dims = declared_dims(given)
            if run is not None and name in run.shapes:
                dims = list(run.shapes[name])
            _add_input(builder, name, dims, readers)
    builder.read = {name for node in nodes for name in node.inputs}
    shown = {} if run is None else run.shapes
    if run is not None:
        kept = (name for name in left_to_run(model, folder) if run.has(name))
        builder.kept = {name: Constant(shown[name], partial(run.tensor, name, 0)) for name in kept}
    inferred = cache(lambda: inferred_dims(_with_sizes(model, builder)))
    builder.known_dims = lambda name: shown[name] if name in shown else _sizes(inferred().get(name))
    for node in nodes:
        before = builder.state(node)
        try:
            _read_node(builder, node, folder, stored)
            _check_sizes(builder, node, shown)
        except WorkloadError:
            if not skip:
                raise
            builder.undo(node, before)
            _leave_out(builder, node, readers)
    builder.known_dims = lambda name: None  # what it was holds the model in a circle
    return builder


def _check_sizes(builder: Builder, node: Node, shown: Mapping[str, tuple[int, ...]]) -> None:
    """What a node was read to make must be what it made in the run."""
    for name in node.outputs:
        if name in shown and name in builder.values and builder.values[name].sizes != shown[name]:
            found = list(builder.values.pop(name).sizes)
            raise node.refuse(f"was read to make {found}, the run made {list(shown[name])}")


def _read_node(builder: Builder, node: Node, folder: Path, stored: Stored) -> None:
    if node.op_type in ("Shape", "Size") and (dims := builder.dims_of(node.input(0))) is not None and node.outputs:
        part = dims[slice(node.integer("start", 0), node.integer("end", len(dims)))]
        numbers = np.array(part if node.op_type == "Shape" else math.prod(dims), np.int64)
        builder.constants[node.outputs[0]] = Constant.of(numbers)
        return None
    if (constant := made_constant(node, builder.constants, folder, stored)) is not None:
        builder.constants[node.outputs[0]] = constant
        return None
    if not node.outputs:
        raise node.refuse("has no output")
    if node.op_type in WITH_GRAPHS:
        return read_operator(builder, node)
    if any(node.inputs) and all(name in builder.constants or name in builder.factors for name in node.inputs if name):
        for output in filter(None, node.outputs):
            if output in builder.kept:
                builder.constants[output] = builder.kept[output]
            else:
                builder.factors[output] = builder.known_dims(output) or ()
        return None
    return read_operator(builder, node)


def _add_input(builder: Builder, name: str, dims: list[int | str] | None, readers: Readers) -> None:
    """A tensor that the network is given; a batch without a size is one image."""
    if dims == []:
        builder.factors[name] = ()  # a number, as a rate, multiplies nothing
        return
    if dims is None or len(dims) > MAX_RANK:
        raise WorkloadError(f"input {show(name)}: has no shape")
    order = _letters(name, dims, readers)
    known = [1 if letter == "N" and isinstance(dim, str) else dim for letter, dim in zip(order, dims, strict=True)]
    for dim in known:
        if isinstance(dim, str) or not 1 <= dim <= MAX_WORDS:
            raise WorkloadError(
                f"input {show(name)}: dims {show(dims)}: only the batch may be without a size; give --input"
            )
    axes: Axes = tuple(axis(letter, int(dim)) for letter, dim in zip(order, known, strict=True))
    C, H, W = (letter_size(axes, letter) for letter in "CHW")
    shape: Shape = (C, H, W)
    tensor = builder.add_input(name, shape)
    builder.give(Node(name, "", (), (name,), {}), tensor, axes)


def _letters(name: str, dims: Sequence[int | str], readers: Readers) -> str:
    """Which axis of an input is which, by the first operator that says it; axes beyond the fourth are channels."""
    rank = len(dims)
    order = list(range(rank))  # place in the input of every axis of the tensor that is followed
    planes = ("C", "NC", "NCH", "NCHW")[min(rank, 4) - 1] + "C" * (rank - 4)
    start = 0
    for _ in range(MOST_FOLLOWED):
        place = readers.first(name, start)
        if place is None:
            break
        node, start = readers.nodes[place], place + 1
        if node.op_type in RECURRENT and rank == 3:
            wanted = "NHC" if node.integer("layout", 0) else "HNC"
        elif node.op_type in SEQUENCES and rank == 3:
            # Rows of a product may stand in any order: one image is the axis of size 1 or none, else the first.
            free = (one for one in sorted(order[:2]) if dims[one] == 1 or isinstance(dims[one], str))
            batch = next(free, min(order[:2]))
            wanted = "NHC" if batch == order[0] else "HNC"
        elif node.op_type == "Gather" and rank <= 2 and name == node.input(1):
            wanted = "NH"[-rank:]
        elif node.op_type == "Transpose" and sorted(perm := node.integers("perm", ())) == list(range(rank)):
            order, name = [order[one] for one in perm], node.outputs[0] if node.outputs else ""
            continue
        elif node.op_type in PASSED_ON and node.outputs:
            name = node.outputs[0]
            continue
        elif node.op_type in PLANES:
            wanted = planes
        else:
            return planes
        letters = dict(zip(order, wanted, strict=True))
        return "".join(letters[one] for one in range(rank))
    return planes


def _leave_out(builder: Builder, node: Node, readers: Readers) -> None:
    """Note a node that is not read; what it makes becomes an input, of the shape of the run or that onnx infers."""
    builder.left_out.append(f"{one_line(node.name, SHOWN_CHARACTERS)} ({one_line(node.op_type, SHOWN_CHARACTERS)})")
    for output in node.outputs:
        if output and output not in builder.values:
            dims = builder.known_dims(output)
            _add_input(builder, output, None if dims is None else list(dims), readers)


def _sizes(dims: list[int | str] | None) -> tuple[int, ...] | None:
    """Dims that are all known."""
    known = [] if dims is None else [dim for dim in dims if isinstance(dim, int) and 1 <= dim <= MAX_WORDS]
    return None if dims is None or len(known) < len(dims) else tuple(known)


def _with_sizes(model: Proto, builder: Builder) -> Proto:
    """The model with inputs of the sizes that are read."""
    for given in model.graph.input:
        value = builder.values.get(as_text(given.name))
        if value is not None:
            for dim, size in zip(given.type.tensor_type.shape.dim, value.sizes, strict=False):
                dim.dim_value = size
    return model
