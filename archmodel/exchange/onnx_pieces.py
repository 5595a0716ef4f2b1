"""A model as the pieces of its file: the data of large tensors, here or in other files, are copied from there."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from archmodel.exchange.onnx_file import Proto, as_text, external_data, regular_file
from archmodel.exchange.onnx_outline import GRAPH, INITIALIZER, RAW_DATA, fields, length_head

COPIED_BYTES = 2**22  # at a time


@dataclass(frozen=True)
class Outside:
    """The bytes of a tensor in a file."""

    name: str
    path: Path
    offset: int
    num_bytes: int

    def __len__(self) -> int:
        return self.num_bytes


Piece = bytes | Outside


def pieces_of(model: Proto, folder: Path) -> list[Piece]:
    """The model as protobuf serializes it, with the data of its initializers inside."""
    light = type(model)()
    light.CopyFrom(model)
    del light.graph.initializer[:]
    head, tail = _cut(light.graph.SerializeToString(), INITIALIZER)
    tensors = [piece for tensor in model.graph.initializer for piece in _tensor(tensor, folder)]
    graph = _message(GRAPH, [head, *tensors, tail])
    light.ClearField("graph")
    head, tail = _cut(light.SerializeToString(), GRAPH)
    return [head, *graph, tail]


def write_pieces(pieces: Iterable[Piece], output: Path, left_out: Container[str]) -> dict[str, int]:
    """Write a file; where in it the bytes begin that were outside, by the name of the tensor.

    left_out : names of tensors whose place stays empty, for others to fill
    """
    begins = {}
    with open(output, "wb") as file:
        for piece in pieces:
            if isinstance(piece, bytes):
                file.write(piece)
                continue
            begins[piece.name] = file.tell()
            if piece.name in left_out:
                file.seek(piece.num_bytes, 1)
                continue
            with regular_file(piece.path) as (source, _):
                source.seek(piece.offset)
                for start in range(0, piece.num_bytes, COPIED_BYTES):
                    file.write(source.read(min(COPIED_BYTES, piece.num_bytes - start)))
    return begins


def _tensor(tensor: Proto, folder: Path) -> list[Piece]:
    if not tensor.data_location:
        return _message(INITIALIZER, [tensor.SerializeToString()])
    outside = Outside(as_text(tensor.name), *external_data(tensor, folder))
    light = type(tensor)()
    light.CopyFrom(tensor)
    for key in ("external_data", "data_location"):
        light.ClearField(key)
    head, tail = _cut(light.SerializeToString(), RAW_DATA)
    return _message(INITIALIZER, [head, length_head(RAW_DATA, len(outside)), outside, tail])


def _message(number: int, pieces: list[Piece]) -> list[Piece]:
    """A field of a message of such pieces."""
    return [length_head(number, sum(map(len, pieces))), *pieces]


def _cut(message: bytes, number: int) -> tuple[bytes, bytes]:
    """A serialized message, in which fields ascend, before and behind the place of a field that it does not have."""
    place = next((field.start for field in fields(BytesIO(message), 0, len(message)) if field.number > number), None)
    return (message, b"") if place is None else (message[:place], message[place:])
