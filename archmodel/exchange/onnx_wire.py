"""How much memory a serialized ONNX model takes once it is parsed, counted from its lengths before it is.

A message of two bytes becomes hundreds in memory, so that a small file could fill it. The count follows the wire format
of protobuf (https://protobuf.dev/programming-guides/encoding) and looks into messages only: texts, weights and fields
that ONNX does not have are stepped over.
"""

from functools import cache
from typing import Any

from archmodel.errors import WorkloadError

MAX_PARSED_BYTES = 2**29  # beside what the file has itself; the largest of the models beside onnx takes 2**22
MAX_ENTRIES = 2_000_000  # fields of all messages; the networks beside onnx have about 20 a node
MAX_DEPTH = 64  # messages in messages; protobuf itself ends at 100, an If in an If takes four
MESSAGE_BYTES = 200  # of an empty one, measured for upb, the parser of protobuf's wheels: 40 to 185
ENTRY_BYTES = 32  # of a text or number in a list: 17 to 27
NUMBER_BYTES = 8  # of a number in a packed list, which takes one byte or more in the file
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # types of a field on the wire; 3 and 4 are groups, which ONNX has not
MORE = 0x80  # of a byte of a varint: another one follows
DAMAGED = "not an ONNX model, or a damaged one"

Fields = dict[int, "Fields | None"]  # by number: a message's own fields, None for a packed list of varints


def check_wire(data: bytes, fields: Fields) -> None:
    """WorkloadError unless the serialized message is whole and takes a bounded space and time to parse.

    fields : what is below the message, of `fields_of`
    """
    position, end, entries, parsed_bytes = 0, len(data), 0, 0
    above: list[tuple[int, Fields]] = []  # ends and fields of the messages around this one
    while True:
        if entries > MAX_ENTRIES or parsed_bytes > MAX_PARSED_BYTES:
            raise WorkloadError(
                f"too many parts: at most {MAX_ENTRIES} and {MAX_PARSED_BYTES} bytes of them in memory, without weights"
            )
        while position == end:
            if not above:
                return
            end, fields = above.pop()
        entries += 1
        parsed_bytes += ENTRY_BYTES
        tag, position = varint(data, position, end)
        kind, number = tag & 7, tag >> 3
        if not number:
            raise WorkloadError(DAMAGED)
        if kind == VARINT:
            _, position = varint(data, position, end)
            continue
        if kind == LENGTH:
            length, position = varint(data, position, end)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise WorkloadError(DAMAGED)
        if length > end - position:
            raise WorkloadError(DAMAGED)
        if kind == LENGTH and number in fields:
            below = fields[number]
            if below is not None:
                if len(above) >= MAX_DEPTH:
                    raise WorkloadError(f"messages in messages deeper than {MAX_DEPTH}")
                above.append((end, fields))
                end, fields = position + length, below
                parsed_bytes += MESSAGE_BYTES
                continue
            parsed_bytes += NUMBER_BYTES * length
        position += length


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A number of at most ten bytes, seven bits in each, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        number |= (byte & ~MORE) << shift
        if byte < MORE:
            return number, position
    raise WorkloadError(DAMAGED)


@cache
def fields_of(descriptor: Any) -> Fields:
    """The fields of a message's descriptor that can become larger than they are in the file."""
    return _fields_of(descriptor, {})


def _fields_of(descriptor: Any, known: dict[str, Fields]) -> Fields:
    if descriptor.full_name not in known:
        found = known[descriptor.full_name] = Fields()  # before its fields, which may hold the same message
        for field in descriptor.fields:
            if field.message_type is not None:
                found[field.number] = _fields_of(field.message_type, known)
            elif field.type not in STEPPED_OVER:
                found[field.number] = None
    return known[descriptor.full_name]


# FieldDescriptor.TYPE_DOUBLE, FLOAT, FIXED64, FIXED32, STRING, BYTES, SFIXED32, SFIXED64: as large in memory.
STEPPED_OVER = (1, 2, 6, 7, 9, 12, 15, 16)
