"""What all result files are: HDF5 behind a line that says what it is, with a digest over all of it.

The digest is checked before HDF5 sees the file: the library loops forever on some damaged ones.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

import archmodel
from archmodel.accelerators.columns import Column
from archmodel.config.targets import SHOWN_CHARACTERS, PathLike, check_target, replace_file
from archmodel.errors import ResultError, one_line

SCHEMA_VERSION = 2
# The first line of a file, in the block that HDF5 leaves to its users; the digest is of all bytes behind the block.
HEADER = "archmodel result, schema {version}, sha256 {digest}\n"
HEADER_BYTES = 512
HEADER_PATTERN = re.compile(HEADER.format(version="([0-9]{1,9})", digest="([0-9a-f]{64})").encode())
SUFFIXES = (".h5", ".hdf5")
# What the system, HDF5 and the checks of our own types raise over a file that is not what it seems.
UNREADABLE = (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)

Array = npt.NDArray[Any]
Read = TypeVar("Read")


def check_writable(path: PathLike) -> None:
    """Raise ResultError unless `save` can be expected to write `path`; call it before long work."""
    check_target(path, SUFFIXES, "a result file")


def write_file(path: PathLike, write: Callable[[h5py.Group], None]) -> None:
    """Write what `write` puts into a file to `path`; what is there is replaced when all of the new is on the disk.

    ResultError if it cannot be written: the old file is as it was, and there is no other.
    """
    check_writable(path)
    shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
    try:
        replace_file(os.path.realpath(path), _image(write))
    except (OSError, OverflowError) as error:  # OverflowError: a count of more than 64 bits
        raise ResultError(f"{shown}: cannot be written: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, SHOWN_CHARACTERS)


def _image(write: Callable[[h5py.Group], None]) -> bytes:
    """The file, built in memory: a full disk then fails in one write of ours and not inside the library."""
    name = secrets.token_hex(8)
    with h5py.File(name, "w", driver="core", backing_store=False, userblock_size=HEADER_BYTES) as file:
        write(file)
        file.flush()
        body: bytes = file.id.get_file_image()  # without the block in front
    header = HEADER.format(version=SCHEMA_VERSION, digest=hashlib.sha256(body).hexdigest())
    return header.encode().ljust(HEADER_BYTES, b"\0") + body


def read_file(path: PathLike, read: Callable[[h5py.Group], Read]) -> Read:
    """What `read` finds in a file; ResultError if it is not a whole result file of a schema known here."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ResultError("is a folder, or something else that is not a file")
        _check_header(path)
        with h5py.File(path, "r", locking="best-effort") as file:
            return read(file)
    except ResultError as error:
        raise ResultError(f"{one_line(os.fspath(path), SHOWN_CHARACTERS)}: {error}") from None
    except UNREADABLE as error:
        shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
        raise ResultError(f"{shown}: cannot be read: {_reason(error)}") from None


def _check_header(path: PathLike) -> None:
    with open(path, "rb") as file:
        header = HEADER_PATTERN.match(file.read(HEADER_BYTES))
        if header is None:
            raise ResultError("is not a result file of archmodel")
        version, digest = int(header[1]), header[2].decode()
        if version != SCHEMA_VERSION:
            raise ResultError(f"schema {version}: archmodel {archmodel.__version__} reads schema {SCHEMA_VERSION}")
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ResultError("truncated or changed since it was written: its content does not have its digest")


def write_dataset(group: h5py.Group, path: str, array: Array, column: Column) -> None:
    """A dataset that explains itself."""
    dtype = h5py.string_dtype("utf-8", array.dtype.itemsize) if column.dtype == "text" else array.dtype
    packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if array.size else {}
    dataset = group.create_dataset(path, data=array.astype(dtype), **packing)
    dataset.attrs.update({"unit": column.unit, "description": column.description})


def read_dataset(group: h5py.Group, path: str) -> h5py.Dataset:
    """A dataset by its path; ResultError if there is none."""
    dataset = group.get(path)
    if not isinstance(dataset, h5py.Dataset):
        raise ResultError(f"incomplete: dataset {path} is missing")
    return dataset


def to_array(values: Sequence[Any], column: Column) -> Array:
    """The values of a column as they are stored."""
    if column.dtype != "text":
        return np.asarray(values, column.dtype)
    encoded = [utf8(json_text(value) if column.unit == "JSON" else value) for value in values]
    return np.array(encoded, f"S{max([1, *map(len, encoded)])}")


def to_values(dataset: h5py.Dataset, column: Column) -> list[Any]:
    """The values of a stored column."""
    if column.dtype != "text":
        return np.asarray(dataset[()], column.dtype).tolist()
    texts = dataset.asstr()[()].tolist()
    return [json.loads(text) for text in texts] if column.unit == "JSON" else texts


def utf8(text: str) -> bytes:
    """The text in UTF-8, what that cannot spell escaped."""
    # A file name that is no text has lone surrogates, which UTF-8 cannot spell; escaped, they are JSON's own spelling.
    return text.encode("utf-8", "backslashreplace")


def json_text(document: Mapping[str, Any]) -> str:
    """A mapping as JSON with letters as letters; ValueError for what JSON cannot spell."""
    text = json.dumps(dict(document), ensure_ascii=False, allow_nan=False, default=lambda value: value.tolist())
    return utf8(text).decode()
