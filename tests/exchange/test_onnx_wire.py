"""A file is counted before it is parsed: small files that become large, and files that are no messages."""

import pytest

pytest.importorskip("onnx")

import onnx
from google.protobuf.message import DecodeError

from archmodel.errors import WorkloadError
from archmodel.exchange import onnx_wire
from archmodel.exchange.onnx_file import open_model
from archmodel.exchange.onnx_wire import check_wire, fields_of
from tests.exchange.onnx_models import floats, model_of, node
from tests.exchange.test_onnx_light import FOLDER

MODEL = fields_of(onnx.ModelProto.DESCRIPTOR)
WHOLE = model_of([node("Gemm", ["x", "w"], "y")], {"x": (1, 4)}, {"w": floats(4, 3)}).SerializeToString()
GRAPH, NODE, INITIALIZER, ATTRIBUTE = 7, 1, 5, 5  # numbers of fields, onnx.proto


def number(value):
    """A varint."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(rest) if rest else bytes([low])


def field(place, content):
    """A field of a length."""
    return number(place << 3 | 2) + number(len(content)) + content


def refusal(data):
    with pytest.raises(WorkloadError) as caught:
        check_wire(data, MODEL)
    assert str(caught.value).isprintable()
    return str(caught.value)


def nested(depth):
    """A graph in an attribute of a node of a graph, and so on: three messages each."""
    content = b""
    for _ in range(depth):
        content = field(NODE, field(ATTRIBUTE, field(6, content)))
    return field(GRAPH, content)


EMPTY_NODE = field(NODE, b"")
MOST_EMPTY = onnx_wire.MAX_PARSED_BYTES // (onnx_wire.MESSAGE_BYTES + onnx_wire.ENTRY_BYTES)


@pytest.mark.parametrize(
    "content",
    [
        EMPTY_NODE * (MOST_EMPTY + 1),
        field(NODE, b"\x0a\x00" * (onnx_wire.MAX_ENTRIES + 1)),
        field(INITIALIZER, field(1, b"\x01" * (onnx_wire.MAX_PARSED_BYTES // 8 + 1))),
        field(NODE, field(ATTRIBUTE, field(8, b"\x01" * (onnx_wire.MAX_PARSED_BYTES // 8)) + field(1, b"name"))),
    ],
    ids=["messages", "texts", "dims", "numbers"],
)
def test_a_small_file_that_becomes_large_is_refused(content):
    assert refusal(WHOLE + field(GRAPH, content)).startswith("too many parts: at most 2000000 and 536870912 bytes")


def test_the_bound_counts_what_the_parser_makes(monkeypatch):
    monkeypatch.setattr(onnx_wire, "MAX_PARSED_BYTES", 10 * (onnx_wire.MESSAGE_BYTES + onnx_wire.ENTRY_BYTES))
    check_wire(field(GRAPH, EMPTY_NODE * 9), MODEL)
    refusal(field(GRAPH, EMPTY_NODE * 10))
    monkeypatch.setattr(onnx_wire, "MAX_ENTRIES", 5)
    check_wire(field(GRAPH, EMPTY_NODE * 4), MODEL)
    refusal(field(GRAPH, EMPTY_NODE * 5))


def test_weights_and_texts_take_what_they_take_in_the_file():
    raw = field(INITIALIZER, field(9, bytes(onnx_wire.MAX_PARSED_BYTES // 8)))
    check_wire(WHOLE + field(GRAPH, raw) + field(2, b"\xff" * 1000), MODEL)
    check_wire(field(GRAPH, field(INITIALIZER, field(4, bytes(2**20)))), MODEL)


def test_messages_in_messages_have_a_depth():
    check_wire(nested(21), MODEL)
    assert refusal(nested(22)) == "messages in messages deeper than 64"
    assert refusal(nested(5000)) == "messages in messages deeper than 64"


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a",  # a tag without its length
        b"\x3a\x05\x0a\x00",  # a length beyond the end
        b"\x3a\x02\x0a\x01",  # a length beyond that of the message around it
        b"\x0b\x0c",  # a group
        b"\x0e\x00",  # a type that there is not
        b"\x02\x00",  # field 0
        b"\x00\x00",
        b"\x08" + b"\x80" * 10 + b"\x01",  # a number of eleven bytes
        b"\x0d\x00\x00\x00",  # four bytes of which there are three
        b"\x09\x00\x00\x00\x00",
    ],
)
def test_what_is_no_message_is_refused(data):
    assert refusal(data) == "not an ONNX model, or a damaged one"


def is_refused(read, data, errors):
    try:
        read(data)
    except errors:
        return True
    return False


def test_a_file_cut_short_is_refused_where_the_parser_refuses_it():
    cuts = [WHOLE[:length] for length in range(len(WHOLE) + 1)]
    refused = [is_refused(lambda data: check_wire(data, MODEL), cut, WorkloadError) for cut in cuts]
    assert refused == [is_refused(onnx.ModelProto.FromString, cut, DecodeError) for cut in cuts]
    assert set(refused) == {False, True}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="this onnx wheel has no light models")
def test_real_models_are_far_below_the_bounds(monkeypatch):
    monkeypatch.setattr(onnx_wire, "MAX_PARSED_BYTES", onnx_wire.MAX_PARSED_BYTES // 100)
    monkeypatch.setattr(onnx_wire, "MAX_ENTRIES", onnx_wire.MAX_ENTRIES // 50)
    paths = sorted(FOLDER.glob("*.onnx"))
    assert len(paths) >= 9
    for path in paths:
        check_wire(path.read_bytes(), MODEL)


def test_a_file_is_counted_before_it_is_parsed(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(WHOLE + field(GRAPH, EMPTY_NODE * 10))
    assert len(open_model(path).graph.node) == 11
    monkeypatch.setattr(onnx_wire, "MAX_PARSED_BYTES", 2000)
    with pytest.raises(WorkloadError, match="too many parts"):
        open_model(path)
