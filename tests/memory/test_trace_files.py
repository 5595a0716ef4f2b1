"""Files of traces: what is read, and files that are not what they seem, each of which ends in one line."""

import gzip
import os
import struct
import time

import numpy as np
import pytest

from archmodel.errors import ArchmodelError, ResultError, WorkloadError
from archmodel.memory import trace, trace_files
from archmodel.memory.trace import Trace, accesses_of
from archmodel.memory.trace_files import read_trace
from archmodel.memory.trace_tables import check_table, write_table

HAND = [(0, 64, False), (3, 4096, True), (3, 0, False)]
TEXT = b"0,64,R\n3,0x1000,W\n3,0,R\n"
BINARY = b"".join(struct.pack("<QQ", cycle, address | writes << 63) for cycle, address, writes in HAND)


def requests(found):
    return list(zip(found.cycles.tolist(), found.addresses.tolist(), found.writes.tolist(), strict=True))


def written(tmp_path, content, name="trace.csv"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def refusal(path):
    with pytest.raises(WorkloadError) as raised:
        read_trace(path)
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


# What is read


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip(),
        b"cycle,address,R|W\n" + TEXT,
        b"\xef\xbb\xbf# cycle, address, type\r\n" + TEXT.replace(b"\n", b"\r\n"),
        b'"cycle","address","rw"\n' + TEXT,
        b"\n\n" + TEXT + b"\n\n",
        gzip.compress(TEXT),
        gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]),
    ],
)
def test_text_is_read_whatever_surrounds_it(tmp_path, content):
    assert requests(read_trace(written(tmp_path, content))) == HAND


@pytest.mark.parametrize(("content", "name"), [(BINARY, "t.bin"), (gzip.compress(BINARY), "t.bin.gz")])
def test_words_are_little_endian_and_the_top_bit_writes(tmp_path, content, name):
    assert requests(read_trace(written(tmp_path, content, name))) == HAND


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.bin", "t.bin.gz"])
@pytest.mark.parametrize("chunk_bytes", [16, 48, 1024])
def test_chunks_leave_no_trace(tmp_path, monkeypatch, name, chunk_bytes):
    monkeypatch.setattr(trace_files, "CHUNK_BYTES", chunk_bytes)
    rng = np.random.default_rng(1)
    rows = list(zip(np.sort(rng.integers(0, 999, 300)).tolist(), rng.integers(0, 2**62, 300).tolist(), strict=True))
    made = [(cycle, address, address % 3 == 0) for cycle, address in rows]
    text = "".join(f"{cycle},{address},{'RW'[writes]}\n" for cycle, address, writes in made).encode()
    words = b"".join(struct.pack("<QQ", cycle, address | writes << 63) for cycle, address, writes in made)
    content = words if ".bin" in name else text
    found = read_trace(written(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name))
    assert requests(found) == made


def test_a_million_lines_take_less_than_a_second(tmp_path):
    lines = "".join(f"{index},{hex(64 * index)},R\n" for index in range(200_000)).encode()
    read_trace(written(tmp_path, lines[:100_000].rpartition(b"\n")[0]))  # compiled
    path = written(tmp_path, lines)
    start = time.process_time()
    found = read_trace(path)
    assert time.process_time() - start < 0.2
    assert found.addresses[-1] == 64 * 199_999


# What is not


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no requests"),
        (b"\n\n", "has no requests"),
        (b"cycle,address,R|W\n", "has no requests"),
        (b"-1,0,R\n", "line 1: cycle '-1': must be a whole number from 0, decimal or 0x, below 2**63"),
        (b"0,-64,R\n", "line 1: address '-64': must be a whole number from 0, decimal or 0x, below 2**63"),
        (b"0,18446744073709551616,R\n", "line 1: address '18446744073709551616': must be"),
        (b"c,a,d\n0,0,R\n5,0,R\n4,0,R\n", "line 4: cycle 4 is before 5: cycles must not fall"),
        (b"0,0,R\n\n0,0,READ\n", "line 3: 'READ': allowed: R or W"),
        (b"0x2540be401,0,R\n", "line 1: cycle 10000000001: must be at most 10000000000"),
        (b"0,0\n", "line 1: '0,0': expected cycle,address,R|W"),
        (b"0,0,R,7\n", "line 1: '0,0,R,7': expected cycle,address,R|W"),
        (b"0,0,R\n\0\0\0\0\n", "line 2: NUL byte; a binary trace is named .bin or .bin.gz"),
        (b"0,0,R\n\xff\xfe\n", r"line 2: '\\xff\\xfe': expected cycle,address,R|W"),
        (gzip.compress(TEXT)[:-9], "damaged gzip file"),
        (b"\x1f\x8bnothing of it", "damaged gzip file"),
        (gzip.compress(TEXT)[:20] + b"\xff" * 20, "damaged gzip file"),
    ],
)
def test_a_text_that_cannot_be_is_one_line(tmp_path, content, reason):
    assert refusal(written(tmp_path, content)).startswith(reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no requests"),
        (BINARY[:-1], "request 2: has fewer than 16 bytes"),
        (BINARY[32:] + BINARY[:16], "request 1: cycle 0 is before 3: cycles must not fall"),
        (b"\xff" * 16, "request 0: cycle 10000000001: must be at most 10000000000"),
    ],
)
def test_words_that_cannot_be_are_one_line(tmp_path, content, reason):
    assert refusal(written(tmp_path, content, "t.bin")) == reason


def test_a_cycle_may_not_fall_from_one_chunk_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_files, "CHUNK_BYTES", 16)
    words = struct.pack("<QQQQ", 9, 0, 8, 0)
    assert refusal(written(tmp_path, words, "t.bin")) == "request 1: cycle 8 is before 9: cycles must not fall"
    text = b"9,0,R\n9,0000000001,R\n8,0,R\n"
    assert refusal(written(tmp_path, text)) == "line 3: cycle 8 is before 9: cycles must not fall"


def test_a_file_of_too_much_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "MAX_REQUESTS", 2)
    assert refusal(written(tmp_path, TEXT)) == "more than 2 requests"
    assert refusal(written(tmp_path, BINARY, "t.bin")) == "more than 2 requests"
    monkeypatch.setattr(trace, "MAX_REQUESTS", 3)
    assert requests(read_trace(tmp_path / "trace.csv")) == HAND
    monkeypatch.setattr(trace_files, "MAX_TEXT_BYTES", 100)
    assert requests(read_trace(written(tmp_path, TEXT + b"\n" * (100 - len(TEXT))))) == HAND
    assert refusal(written(tmp_path, gzip.compress(b"\n" * 101))) == "more than 100 bytes of text"
    monkeypatch.setattr(trace_files, "CHUNK_BYTES", 64)
    monkeypatch.setattr(trace_files, "MAX_TEXT_BYTES", 10**9)
    assert refusal(written(tmp_path, b"1" * 999)).startswith("a line of more than 200 bytes: '1111")


def test_what_is_no_file_is_one_line(tmp_path):
    assert refusal(tmp_path) == "is a folder, or something else that is not a file"
    assert refusal(tmp_path / "none.csv") == "cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "is a folder, or something else that is not a file"
    with pytest.raises(WorkloadError, match="not a possible name of a file"):
        read_trace("a\0b.csv")


# Traces of arrays, and accesses


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (([0, 1], [0], [False, True]), "trace: cycles, addresses and writes must be equally long"),
        (([0], [0], [1]), "trace: cycles, addresses and writes must be equally long; writes are booleans"),
        (([0.5], [0], [False]), "trace: cycles: must be a list of whole numbers below 2"),
        (([0], [2**63], [False]), "trace: addresses: must be a list of whole numbers below 2"),
        (([0, 0], [2**63, 0], [False] * 2), "trace: addresses: must be a list of whole numbers below 2"),
        (([0], [2**70], [False]), "trace: addresses: must be a list of whole numbers below 2"),
        (([0, 0], [0, -4], [False] * 2), "trace: request 1: address -4: must be at least 0"),
        (([-1], [0], [False]), "trace: request 0: cycle -1: at least 0"),
        (([2, 1], [0, 0], [False] * 2), "trace: request 1: cycle 1 is before 2"),
        (([10**10 + 1], [0], [False]), "trace: request 0: cycle 10000000001: must be at most"),
        (([], [], []), "trace: has no requests"),
    ],
)
def test_arrays_that_are_no_trace_are_refused(columns, reason):
    with pytest.raises(WorkloadError, match=reason):
        Trace.of(*columns)


def test_a_request_is_the_accesses_that_hold_its_bytes():
    made = Trace.of([0, 1, 2, 3], [0, 60, 64, 190], [False, True, False, False])
    found = accesses_of(made, 64, 8)
    assert found.request.tolist() == [0, 1, 1, 2, 3, 3]
    assert found.addresses.tolist() == [0, 0, 64, 64, 128, 192]
    assert found.cycles.tolist() == [0, 1, 1, 2, 3, 3]
    assert found.writes.tolist() == [False, True, True, False, False, False]
    assert found.firsts.tolist() == [0, 1, 3, 4]
    assert accesses_of(made, 64, 200).request.tolist() == [0] * 4 + [1] * 5 + [2] * 4 + [3] * 5


def test_without_a_size_a_request_is_one_access_wherever_it_begins():
    found = accesses_of(Trace.of([0, 1], [63, 190], [False, True]), 64, None)
    assert found.addresses.tolist() == [0, 128]
    assert found.firsts.tolist() == [0, 1]


def test_too_many_accesses_are_refused(monkeypatch):
    monkeypatch.setattr(trace, "MAX_REQUESTS", 7)
    with pytest.raises(WorkloadError, match="2 requests of 256 bytes are more than 7 accesses"):
        accesses_of(Trace.of([0, 1], [0, 256], [False, True]), 64, 256)


# Tables


def test_a_table_has_headings_labels_and_empty_fields(tmp_path, monkeypatch):
    monkeypatch.setattr("archmodel.memory.trace_tables.CHUNK_ROWS", 2)
    columns = [np.array([5, 6, 7]), np.array([1, 0, 1]), np.array([-1, 9, 8])]
    write_table(tmp_path / "out.csv", ("cycle", "command", "row"), columns, ("ACT", "RD"))
    assert (tmp_path / "out.csv").read_text() == "cycle,command,row\n5,RD,\n6,ACT,9\n7,RD,8\n"
    write_table(tmp_path / "out.csv", ("request", "cycle"), columns[:2])
    assert (tmp_path / "out.csv").read_text() == "request,cycle\n5,1\n6,0\n7,1\n"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_table_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_text("before")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match=r"out\.csv: No space left on device"):
        write_table(tmp_path / "out.csv", ("request",), [np.arange(3)])
    assert (tmp_path / "out.csv").read_text() == "before"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_table_replaces_no_file_that_the_run_needs(tmp_path):
    check_table(tmp_path / "a.csv", "--completions", (None, tmp_path / "b.csv"))
    with pytest.raises(ArchmodelError, match=r"a\.csv: cannot be written: --completions would replace another file"):
        check_table(tmp_path / "a.csv", "--completions", (f"{tmp_path}/./a.csv",))
    with pytest.raises(ArchmodelError, match=r"--completions ends in \.csv"):
        check_table(tmp_path / "a.txt", "--completions", ())
