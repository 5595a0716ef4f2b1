"""Tensors that a model keeps in other files, taken into the process, so that nobody else opens those files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_file import (
    MAX_OUTSIDE_BYTES,
    Array,
    Proto,
    as_text,
    external_data,
    import_onnx,
    raw_type,
    tensor_array,
    tensor_shape,
)


def taken_in(model: Proto, folder: Path) -> dict[str, Array]:
    """Arrays of the stored tensors of the main graph that lie in other files, by name.

    Tensors of graphs and attributes below, and types that numpy does not have, are put into the model itself.
    """
    arrays: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        if tensor.data_location:
            array = _read(tensor, folder)
            if array.dtype.kind in "biuf":
                arrays[as_text(tensor.name)] = array
            else:
                _put_inside(tensor, array)
    for tensor in _tensors_below(model):
        if tensor.data_location:
            _put_inside(tensor, _read(tensor, folder))
    return arrays


def check_outside(model: Proto, folder: Path) -> None:
    """WorkloadError if the tensors of the main graph that lie in other files are more bytes than a model may have."""
    outside = (tensor for tensor in model.graph.initializer if tensor.data_location)
    num_bytes = sum(external_data(tensor, folder)[2] for tensor in outside)
    if num_bytes > MAX_OUTSIDE_BYTES:
        raise WorkloadError(f"{num_bytes} bytes of tensors in other files; at most {MAX_OUTSIDE_BYTES}")


def put_inside(model: Proto, folder: Path) -> None:
    """Put what lies in other files into the model itself, but tensors of the main graph that numpy has as they are."""
    for tensor in model.graph.initializer:
        if tensor.data_location and raw_type(tensor) is None:
            _put_inside(tensor, _read(tensor, folder))
    for tensor in _tensors_below(model):
        if tensor.data_location:
            _put_inside(tensor, _read(tensor, folder))


def serialized(model: Proto) -> bytes:
    """The model as bytes; WorkloadError if it is larger than a file may be."""
    from google.protobuf.message import EncodeError

    try:
        return bytes(model.SerializeToString())
    except (EncodeError, ValueError):
        raise WorkloadError("larger than a model may be with what it keeps in other files") from None


def _read(tensor: Proto, folder: Path) -> Array:
    tensor_shape(tensor, folder)
    return tensor_array(tensor, folder)


def _put_inside(tensor: Proto, array: Array) -> None:
    inside = import_onnx().TensorProto(dims=tensor.dims, data_type=tensor.data_type, name=tensor.name)
    inside.raw_data = array.tobytes()
    tensor.CopyFrom(inside)


def _tensors_below(model: Proto) -> Iterator[Proto]:
    """All tensors of a model but those that the main graph stores."""
    yield from _of_sparse(model.graph.sparse_initializer)
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        yield from _of_node(node)


def _of_node(node: Proto) -> Iterator[Proto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        yield from _of_sparse((attribute.sparse_tensor, *attribute.sparse_tensors))
        for graph in (attribute.g, *attribute.graphs):
            yield from graph.initializer
            yield from _of_sparse(graph.sparse_initializer)
            for inner in graph.node:
                yield from _of_node(inner)


def _of_sparse(tensors: Iterable[Proto]) -> Iterator[Proto]:
    for sparse in tensors:
        yield from (sparse.values, sparse.indices)
