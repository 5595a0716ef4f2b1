"""A serialized ONNX model without its large tensors: each says where in the file it stands instead.

That is how ONNX writes tensors that lie in another file (onnx.proto: TensorProto.external_data), so that whoever reads
those reads these too, one at a time. Whatever is unusual stays as it is, and is checked with the rest.
"""

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_wire import DAMAGED, FIXED32, FIXED64, LENGTH, MAX_ENTRIES, VARINT, varint

LEAST_BYTES = 2**14  # of a tensor that is left in the file; what says a shape is smaller
# Numbers of fields, onnx.proto: ModelProto, GraphProto, three of TensorProto.
GRAPH, INITIALIZER, DATA_TYPE, RAW_DATA, OUTSIDE = 7, 5, 2, 9, (13, 14)
EXTERNAL = b"\x70\x01"  # the last of them: data_location says that another file has the data
# FLOAT, UINT8, INT8, FLOAT16 and DOUBLE, onnx.proto: those of weights. Wider integers say shapes and places, which
# are looked at before anything is run.
TYPES = (1, 2, 3, 10, 11)
MOST_FIELDS = 64  # of a tensor that is looked into
HEAD_BYTES = 20  # a tag and a length, ten bytes each at most


class Field(NamedTuple):
    """A field of a message in a file: its number, its type, its value if that is a number, and where it is."""

    number: int
    kind: int
    value: int
    start: int
    body: int
    end: int


def outlined(file: BinaryIO, size_bytes: int, location: str) -> bytes:
    """The bytes of a model in `file`, its large initializers as references to the file of the name `location`.

    Of a damaged model all bytes: its errors are found when they are read.
    """
    try:
        graphs = [
            (field, _references(file, field, location))
            for field in fields(file, 0, size_bytes)
            if field.number == GRAPH and field.kind == LENGTH
        ]
    except WorkloadError:
        graphs = []
    pieces, copied = list[bytes](), 0
    for graph, references in graphs:
        if not references:
            continue
        pieces.append(_read(file, copied, graph.start))
        begin = graph.body
        for tensor, reference in references:  # a graph in pieces is a graph: protobuf joins what stands several times
            before = _read(file, begin, tensor.start)
            pieces.append(length_field(GRAPH, before, length_field(INITIALIZER, reference)))
            begin = tensor.end
        pieces.append(length_field(GRAPH, _read(file, begin, graph.end)))
        copied = graph.end
    return b"".join([*pieces, _read(file, copied, size_bytes)])


def length_field(number: int, *parts: bytes) -> bytes:
    """A field of a length: a message, a text or bytes."""
    return length_head(number, sum(map(len, parts))) + b"".join(parts)


def length_head(number: int, num_bytes: int) -> bytes:
    """What stands before the bytes of a field of a length."""
    return _varint_bytes(number << 3 | LENGTH) + _varint_bytes(num_bytes)


def _varint_bytes(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _references(file: BinaryIO, graph: Field, location: str) -> list[tuple[Field, bytes]]:
    """The large initializers of a graph, and what stands for them."""
    large = (
        field
        for field in fields(file, graph.body, graph.end)
        if field.number == INITIALIZER and field.kind == LENGTH and field.end - field.body >= LEAST_BYTES
    )
    made = ((tensor, _reference(file, tensor, location)) for tensor in large)
    return [(tensor, reference) for tensor, reference in made if reference]


def _reference(file: BinaryIO, tensor: Field, location: str) -> bytes:
    """A tensor whose numbers are replaced by their place; empty for one that has no such, or none here."""
    found = list(islice(fields(file, tensor.body, tensor.end), MOST_FIELDS + 1))
    raw = [field for field in found if field.number == RAW_DATA]
    types = [field.value for field in found if field.number == DATA_TYPE]
    if len(found) > MOST_FIELDS or len(raw) != 1 or raw[0].kind != LENGTH or not types or types[-1] not in TYPES:
        return b""
    num_bytes = raw[0].end - raw[0].body
    if num_bytes < LEAST_BYTES or any(field.number in OUTSIDE for field in found):
        return b""
    entries = {"location": location, "offset": str(raw[0].body), "length": str(num_bytes)}
    return b"".join((
        _read(file, tensor.body, raw[0].start),
        _read(file, raw[0].end, tensor.end),
        *(
            length_field(OUTSIDE[0], length_field(1, key.encode()), length_field(2, text.encode()))
            for key, text in entries.items()
        ),
        EXTERNAL,
    ))  # fmt: skip


def fields(file: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """The fields of a message; WorkloadError where it is damaged or has too many."""
    for _ in range(MAX_ENTRIES):
        if start == end:
            return
        field = _field(_read(file, start, min(start + HEAD_BYTES, end)), start)
        if not field.number or field.end > end:
            raise WorkloadError(DAMAGED)
        yield field
        start = field.end
    raise WorkloadError(DAMAGED)


def _field(head: bytes, start: int) -> Field:
    tag, place = varint(head, 0, len(head))
    kind, value, num_bytes = tag & 7, 0, 0
    if kind in (VARINT, LENGTH):
        value, place = varint(head, place, len(head))
        num_bytes = value if kind == LENGTH else 0
    elif kind in (FIXED32, FIXED64):
        num_bytes = 4 if kind == FIXED32 else 8
    else:
        raise WorkloadError(DAMAGED)
    return Field(tag >> 3, kind, value, start, start + place, start + place + num_bytes)


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
