"""Traces in files: `cycle,address,R|W` as text, or two words of 64 bits a request; both also packed by gzip."""

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from archmodel.config.targets import PathLike
from archmodel.errors import SHOWN_CHARACTERS, WorkloadError, one_line, show
from archmodel.memory.trace import MAX_CYCLE, MAX_REQUESTS, Trace, check_num_requests, check_requests, earlier, late

CHUNK_BYTES = 2**24
MAX_LINE_BYTES = 200
MAX_TEXT_BYTES = 64 * MAX_REQUESTS
BINARY = (".bin", ".bin.gz")
GZIP_START = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
RECORD_BYTES = 16
WRITE_BIT = np.uint64(1 << 63)


def read_trace(path: PathLike) -> Trace:
    """The requests of a file; one whose name ends in .bin or .bin.gz is binary. WorkloadError says what is wrong."""
    where = one_line(os.fspath(path), 4 * SHOWN_CHARACTERS)
    try:
        with opened(Path(path), where) as file:
            reader = requests_of_words if os.fspath(path).endswith(BINARY) else requests_of_text
            parts = list(bounded(reader(file, where), where))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise WorkloadError(f"{where}: damaged gzip file") from None
    except OSError as error:
        raise WorkloadError(f"{where}: cannot be read: {one_line(error.strerror or str(error))}") from None
    except ValueError as error:
        if isinstance(error, WorkloadError):
            raise
        raise WorkloadError(f"{where}: not a possible name of a file") from None
    check_num_requests(sum(part.cycles.size for part in parts), where)
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("cycles", "addresses", "writes"))
    return Trace(*columns)


def bounded(parts: Iterator[Trace], where: str) -> Iterator[Trace]:
    """The parts of a trace as they come; an error as soon as they are too many."""
    count = 0
    for part in parts:
        count += part.cycles.size
        check_num_requests(max(count, 1), where)
        yield part


@contextmanager
def opened(path: Path, where: str) -> Iterator[IO[bytes]]:
    """The bytes of a regular file, unpacked where it is of gzip."""
    if path.exists() and not path.is_file():
        raise WorkloadError(f"{where}: is a folder, or something else that is not a file")
    with path.open("rb") as file:
        start = file.read(len(GZIP_START))
        file.seek(0)
        yield gzip.GzipFile(fileobj=file) if start == GZIP_START else file  # type: ignore[misc]


def requests_of_words(file: IO[bytes], where: str) -> Iterator[Trace]:
    """Little-endian pairs of 64 bits: the cycle, and the address with the top bit set for a write."""
    count, last_cycle = 0, 0
    while chunk := read_fully(file, CHUNK_BYTES):
        if len(chunk) % RECORD_BYTES:
            raise WorkloadError(f"{where}: request {count + len(chunk) // RECORD_BYTES}: has fewer than 16 bytes")
        words = np.frombuffer(chunk, "<u8").reshape(-1, 2)
        # A cycle beyond 63 bits becomes a negative one and would be said to be before the last.
        cycles = np.minimum(words[:, 0], np.uint64(MAX_CYCLE + 1)).astype(np.int64)
        addresses = (words[:, 1] & ~WRITE_BIT).astype(np.int64)
        check_requests(cycles, addresses, where, count, last_cycle)
        yield Trace(cycles, addresses, (words[:, 1] & WRITE_BIT).astype(np.bool_))
        count, last_cycle = count + cycles.size, int(cycles[-1])


def requests_of_text(file: IO[bytes], where: str) -> Iterator[Trace]:
    """Lines of `cycle,address,R|W`; a first line that begins with a letter is a header."""
    from archmodel.kernels.trace_text import requests_of_lines

    num_lines, last_cycle = 0, 0
    for text in whole_lines(file, where):
        if num_lines == 0:
            text = without_header(text)
        codes = np.frombuffer(text, np.uint8)
        cycles, addresses, writes, read, mistake = requests_of_lines(codes, last_cycle, MAX_CYCLE)
        if mistake:
            before = int(cycles[-1]) if cycles.size else last_cycle
            line = text.split(b"\n", read + 1)[read]
            raise WorkloadError(f"{where}: line {num_lines + read + 1}: {wrong_with(line, mistake, before)}")
        yield Trace(cycles, addresses, writes)
        num_lines += read
        last_cycle = int(cycles[-1]) if cycles.size else last_cycle


def without_header(text: bytes) -> bytes:
    """A text whose first line is empty if it was a header."""
    text = text.removeprefix(BYTE_ORDER_MARK)
    first, _, rest = text.partition(b"\n")
    return b"\n" + rest if first.lstrip(b" \t\"'#")[:1].isalpha() else text


def whole_lines(file: IO[bytes], where: str) -> Iterator[bytes]:
    """The text of a file in parts of whole lines, the last one ended too."""
    begun, num_bytes = b"", 0
    while chunk := read_fully(file, CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > MAX_TEXT_BYTES:
            raise WorkloadError(f"{where}: more than {MAX_TEXT_BYTES} bytes of text")
        ended, newline, rest = (begun + chunk).rpartition(b"\n")
        if newline:
            yield ended + newline
        begun = rest
        if len(begun) > MAX_LINE_BYTES:
            raise WorkloadError(f"{where}: a line of more than {MAX_LINE_BYTES} bytes: {shown(begun)}")
    if begun:
        yield begun + b"\n"


def read_fully(file: IO[bytes], num_bytes: int) -> bytes:
    """So many bytes, fewer only at the end of the file."""
    parts, missing = [], num_bytes
    while missing and (part := file.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def wrong_with(line: bytes, mistake: int, before: int) -> str:
    """What is wrong with a line of the text, as the kernel found it."""
    from archmodel.kernels import trace_text

    number = "must be a whole number from 0, decimal or 0x, below 2**63"
    if b"\0" in line:
        return f"NUL byte; a binary trace is named {' or '.join(BINARY)}"
    fields = [field.strip() for field in line.split(b",")]
    if len(fields) != 3:
        return f"{shown(line)}: expected cycle,address,R|W"
    if mistake == trace_text.BAD_CYCLE:
        return f"cycle {shown(fields[0])}: {number}"
    if mistake == trace_text.BAD_ADDRESS:
        return f"address {shown(fields[1])}: {number}"
    if mistake == trace_text.BAD_DIRECTION:
        return f"{shown(fields[2])}: allowed: R or W"
    cycle = int(fields[0], 16 if fields[0][:2].lower() == b"0x" else 10)
    return late(cycle) if mistake == trace_text.LATE_CYCLE else earlier(cycle, before)


def shown(text: bytes) -> str:
    """A piece of a file in a message."""
    return show(text[:MAX_LINE_BYTES].decode("ascii", "backslashreplace"))
