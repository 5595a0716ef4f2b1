"""An ONNX file as it is on disk: opened, its nodes with typed attributes, its tensors checked before they are read."""

import math
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, one_line, show
from archmodel.exchange.onnx_outline import outlined
from archmodel.exchange.onnx_wire import DAMAGED, check_wire, fields_of

Array = npt.NDArray[Any]
Proto = Any  # protobuf makes the classes of messages at run time; onnx may be missing

MAX_FILE_BYTES = 2**31 - 1  # what protobuf can hold, onnx/checker.py: MAXIMUM_PROTOBUF
MAX_TENSOR_WORDS = 2**28  # 1 GiB of float32; the largest of VGG-16 has 2**27
MAX_OUTSIDE_BYTES = 2**33  # of all tensors in other files; they are read one after the other
MAX_NODES = 100_000
MAX_EDGES = 500_000  # tensors that the nodes read and make
MAX_TEXT = 2**16  # characters of a name
MAX_RANK = 8
MAX_ATTRIBUTE_NUMBERS = 2**20
NOTE_KEY, MAX_NOTE = "archmodel", 300  # of the metadata, and characters of it
ATTRIBUTE_TYPES = {"i": "INT", "f": "FLOAT", "s": "STRING", "t": "TENSOR", "ints": "INTS", "floats": "FLOATS"}
OWN_DOMAINS = ("", "ai.onnx")
# The field of a TensorProto that holds values of a type where raw_data does not, and bits of a value; onnx.proto.
FIELDS = {
    "FLOAT": ("float_data", 32),
    "DOUBLE": ("double_data", 64),
    "FLOAT16": ("int32_data", 16),
    "BFLOAT16": ("int32_data", 16),
    "INT8": ("int32_data", 8),
    "UINT8": ("int32_data", 8),
    "BOOL": ("int32_data", 8),
    "INT16": ("int32_data", 16),
    "UINT16": ("int32_data", 16),
    "INT32": ("int32_data", 32),
    "UINT32": ("uint64_data", 32),
    "INT64": ("int64_data", 64),
    "UINT64": ("uint64_data", 64),
}
# What protobuf, numpy and Python raise over a file that is not what it seems.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError)


def import_onnx() -> Any:
    """The package, of the extra that a plain installation is without."""
    try:
        import onnx
    except ImportError:
        raise WorkloadError("needs onnx: pip install 'archmodel[onnx]'") from None
    return onnx


@contextmanager
def one_line_errors(source: str) -> Iterator[None]:
    """Whatever goes wrong over a damaged file is one line that names it."""
    try:
        yield
    except WorkloadError as error:
        raise WorkloadError(f"{source}: {error}") from None
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None)
        raise WorkloadError(f"{source}: {one_line(reason) if reason else 'a damaged model'}") from None


def as_text(stored: str | bytes) -> str:
    """A text of the file; protobuf leaves one that is not UTF-8 as bytes."""
    if len(stored) > MAX_TEXT:
        raise WorkloadError(f"a name of {len(stored)} characters; at most {MAX_TEXT}")
    return stored.decode("utf-8", "backslashreplace") if isinstance(stored, bytes) else stored


@dataclass(frozen=True)
class Node:
    """An operator of the graph; `name` is its own or that of its first output."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Proto]

    @classmethod
    def of(cls, proto: Proto) -> "Node":
        inputs, outputs = tuple(map(as_text, proto.input)), tuple(map(as_text, proto.output))
        name = as_text(proto.name) or next((output for output in outputs if output), "")
        domain, op_type = as_text(proto.domain), as_text(proto.op_type)
        attributes = {as_text(one.name): one for one in proto.attribute}
        return cls(name, op_type if domain in OWN_DOMAINS else f"{domain}.{op_type}", inputs, outputs, attributes)

    def refuse(self, reason: str) -> WorkloadError:
        """The error that names the node."""
        return WorkloadError(f"node {show(self.name)} ({one_line(self.op_type, 60)}): {reason}")

    def input(self, index: int) -> str:
        """The name of an input, empty where it is left out; -1 is the place of one that the operator does not have."""
        return self.inputs[index] if 0 <= index < len(self.inputs) else ""

    def attribute(self, key: str, field: str) -> Any:
        """What a `field` of the attribute holds, as `i` or `floats`; None where the node does not have it."""
        stored = self.attributes.get(key)
        if stored is None:
            return None
        kind = ATTRIBUTE_TYPES[field]
        if stored.type not in (0, stored.AttributeType.Value(kind)):  # models before IR version 2 say no type
            raise self.refuse(f"{key} is of type {stored.type}; must be {kind}")
        return getattr(stored, field)

    def integer(self, key: str, default: int) -> int:
        number = self.attribute(key, "i")
        return default if number is None else int(number)

    def real(self, key: str, default: float) -> float:
        number = self.attribute(key, "f")
        return default if number is None else float(number)

    def text(self, key: str, default: str) -> str:
        stored = self.attribute(key, "s")
        return default if stored is None else str(stored.decode("ascii", "replace"))

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list as long as `default`; of any length where that is empty."""
        stored = self.attribute(key, "ints")
        if stored is None:
            return default
        if len(stored) > MAX_ATTRIBUTE_NUMBERS:
            raise self.refuse(f"{key}: {len(stored)} numbers; at most {MAX_ATTRIBUTE_NUMBERS}")
        numbers = tuple(stored)
        if default and len(numbers) != len(default):
            raise self.refuse(f"{key} = {show(list(numbers))}: must be {len(default)} numbers")
        return numbers


def open_model(path: Path) -> Proto:
    """The parsed ModelProto, without the data of tensors in other files and of large ones, which stay in this one."""
    onnx = import_onnx()
    from google.protobuf.message import DecodeError

    if not path.exists():
        raise WorkloadError("no such file")
    if not path.is_file():
        raise WorkloadError("is not a regular file")
    real = Path(os.path.realpath(path))
    with regular_file(real) as (file, size_bytes):
        if size_bytes > MAX_FILE_BYTES:
            raise WorkloadError(f"{size_bytes} bytes; a model has at most {MAX_FILE_BYTES}, its weights may be outside")
        location = _location(real, path.parent)
        data = outlined(file, size_bytes, location) if location else file.read(size_bytes)
    check_wire(data, fields_of(onnx.ModelProto.DESCRIPTOR))
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise WorkloadError(DAMAGED) from None
    del data  # where its tensors cannot stay in the file, as large as all weights
    if not model.graph.node:
        raise WorkloadError("not an ONNX model: its graph has no nodes")
    if len(model.graph.node) > MAX_NODES:
        raise WorkloadError(f"{len(model.graph.node)} nodes; at most {MAX_NODES}")
    num_edges = sum(len(node.input) + len(node.output) for node in model.graph.node)
    if num_edges > MAX_EDGES:
        raise WorkloadError(f"its nodes read and make {num_edges} tensors; at most {MAX_EDGES}")
    return model


def note_of(model: Proto) -> str:
    """What archmodel has done to the weights of a model, of its metadata; empty where there is nothing."""
    texts = [as_text(entry.value[:MAX_NOTE]) for entry in model.metadata_props if entry.key == NOTE_KEY]
    return one_line("; ".join(texts), MAX_NOTE)


def with_note(file: str, note: str) -> str:
    """`file (note)`, for origins."""
    return f"{file} ({note})" if note else file


@contextmanager
def regular_file(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A file of a resolved path and its size in bytes, opened once: what has been put in its place since is refused."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise WorkloadError("is not a regular file")
        yield file, status.st_size


def tensor_shape(tensor: Proto, folder: Path) -> tuple[int, ...]:
    """Dims of a stored tensor whose data have exactly that size; nothing is allocated."""
    where = f"tensor {show(tensor.name)}: "
    dims = tuple(tensor.dims[: MAX_RANK + 1])
    if len(dims) > MAX_RANK or min(dims, default=0) < 0 or math.prod(dims) > MAX_TENSOR_WORDS:
        raise WorkloadError(f"{where}dims {show(list(dims))}: at most {MAX_RANK} dims and {MAX_TENSOR_WORDS} words")
    field, bits = _field(tensor)
    num_bytes = math.prod(dims) * bits // 8
    if tensor.data_location:
        _, _, stored_bytes = external_data(tensor, folder)
    elif tensor.HasField("raw_data"):
        stored_bytes = len(tensor.raw_data)
    else:
        stored_bytes = len(getattr(tensor, field)) * bits // 8
    if stored_bytes != num_bytes:
        raise WorkloadError(f"{where}holds {stored_bytes} bytes, its dims {show(list(dims))} need {num_bytes}")
    return dims


def tensor_array(tensor: Proto, folder: Path) -> Array:
    """The values of a stored tensor that `tensor_shape` has checked."""
    onnx = import_onnx()
    if not tensor.data_location:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    path, offset, num_bytes = external_data(tensor, folder)
    with regular_file(path) as (file, _):
        file.seek(offset)
        if (dtype := raw_type(tensor)) is not None:
            return np.fromfile(file, dtype, math.prod(tensor.dims)).reshape(tensor.dims)
        data = file.read(num_bytes)
    inside = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=data)
    return np.asarray(onnx.numpy_helper.to_array(inside))


def raw_type(tensor: Proto) -> np.dtype[Any] | None:
    """The type as which numpy has the words of a tensor just as they are stored; None where it has no such."""
    _, bits = _field(tensor)
    dtype = np.dtype(import_onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return dtype if 8 * dtype.itemsize == bits and sys.byteorder == "little" else None


def external_data(tensor: Proto, folder: Path) -> tuple[Path, int, int]:
    """File inside the model's `folder`, offset and length in bytes of a tensor that is stored outside the model."""
    where = f"tensor {show(tensor.name)}: external data"
    entries = {as_text(entry.key): as_text(entry.value) for entry in tensor.external_data}
    location = entries.get("location", "")
    home = _home(folder)
    path = Path(os.path.realpath(os.path.join(home, location if "\0" not in location else "")))
    if os.path.isabs(location) or ".." in Path(location).parts or not path.is_relative_to(home):
        raise WorkloadError(f"{where} {show(location)}: must be inside the model's folder")
    if not path.is_file():
        raise WorkloadError(f"{where} {show(location)}: no such file")
    size_bytes, numbers = path.stat().st_size, list[int]()
    for key, default in (("offset", "0"), ("length", "")):
        text = entries.get(key, default) or str(size_bytes - numbers[0])
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise WorkloadError(f"{where} {show(location)}: {key} = {show(text)}: must be a whole number")
        numbers.append(int(text))
    offset, num_bytes = numbers
    if offset + num_bytes > size_bytes:
        raise WorkloadError(f"{where} {show(location)}: ends at {size_bytes} bytes, not {offset + num_bytes}")
    return path, offset, num_bytes


def _location(real: Path, folder: Path) -> str:
    """How a tensor would name the file of the model; empty where a link leads out of `folder`, or it is no UTF-8."""
    home = _home(folder)
    name = os.path.relpath(real, home)
    return name if real.is_relative_to(home) and name.encode(errors="ignore").decode() == name else ""


def _home(folder: Path) -> str:
    """Where a folder really is."""
    return _real(os.path.abspath(folder))


@lru_cache(maxsize=8)
def _real(folder: str) -> str:
    """A model with very many tensors asks for it at each."""
    return os.path.realpath(folder)


def _field(tensor: Proto) -> tuple[str, int]:
    name = _type_names().get(tensor.data_type, str(tensor.data_type))
    if name not in FIELDS:
        raise WorkloadError(f"tensor {show(tensor.name)}: type {name}; allowed: {', '.join(FIELDS)}")
    return FIELDS[name]


@cache
def _type_names() -> dict[int, str]:
    return {number: name for name, number in import_onnx().TensorProto.DataType.items()}
