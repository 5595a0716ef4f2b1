"""Arrays of npz and npy files: never pickled objects, shapes and sizes checked before anything is allocated."""

import lzma
import math
import os
import stat
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, did_you_mean, one_line, show
from archmodel.operands.operands import Mask, Values

LARGEST_VALUE = 2**31 - 1
EXACT_BITS = 53  # of whole numbers in float64
NOTE_KEY, MAX_NOTE = "archmodel.note", 300  # bytes that say what was done to the arrays, and how many count
MOST_CODE_BITS = 23  # beyond what float32 tells apart
# What the system, zipfile, its decompressors and numpy's reader of headers raise over a file that is not what it seems.
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, SyntaxError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


class Archive:
    """A zip file of npy arrays, as `numpy.savez` writes it."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`; WorkloadError if it is not a readable npz."""
        self.path = Path(path)
        self.name = one_line(self.path.name)
        try:
            if stat.S_ISFIFO(os.stat(self.path).st_mode):  # opening it would wait for a writer
                raise WorkloadError(f"{self.name}: is a pipe, not a file")
            with zipfile.ZipFile(self.path) as archive:
                self.keys = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        except WorkloadError:
            raise
        except UNREADABLE as error:
            raise WorkloadError(f"{self.name}: {getattr(error, 'strerror', None) or 'not an npz archive'}") from None

    @cached_property
    def note(self) -> str:
        """What archmodel has done to the arrays; empty where the file does not say."""
        if NOTE_KEY not in self.keys:
            return ""
        shape = self.header(NOTE_KEY).shape
        stored = self.read(NOTE_KEY, f"at most {MAX_NOTE} bytes", [shape] if len(shape) == 1 else [])
        return one_line(stored[:MAX_NOTE].astype(np.uint8).tobytes().decode("utf-8", "replace"))

    def header(self, key: str) -> "NpyHeader":
        """What the array `key`, one of `keys`, is."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.keys[key]) as stream:
                return read_header(stream)
        except UNREADABLE as error:
            raise _refusal(f"{self.name}: {one_line(key)}", error) from None

    def read(self, key: str, allowed: str, shapes: list[tuple[int, ...]]) -> npt.NDArray[np.generic]:
        """The array `key`, which has one of `shapes`; `allowed` describes them in the error."""
        if key not in self.keys:
            raise WorkloadError(f"{self.name}: no array {show(key)}{did_you_mean(key, self.keys)}")
        where = f"{self.name}: {one_line(key)}"
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.keys[key]) as stream:
                header = read_header(stream)
                if header.shape not in shapes:
                    raise WorkloadError(f"shape {show(header.shape)}; allowed: {allowed}")
                data = stream.read(header.num_bytes + 1)
            return header.array(data)
        except UNREADABLE as error:
            raise _refusal(where, error) from None


@dataclass(frozen=True)
class NpyHeader:
    """What stands before the numbers of an array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[np.generic]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self, data: bytes) -> npt.NDArray[np.generic]:
        """The numbers, all finite, whose bytes are exactly `data`."""
        if len(data) != self.num_bytes:
            amount = "more" if len(data) > self.num_bytes else "fewer"
            raise WorkloadError(f"holds {amount} than the {self.num_bytes} bytes of its shape")
        array = np.frombuffer(data, self.dtype)
        if self.dtype.kind == "f" and not np.isfinite(array).all():
            raise WorkloadError("NaN or infinity; allowed: finite numbers")
        return array.reshape(self.shape, order="F" if self.fortran_order else "C")


def read_header(stream: IO[bytes]) -> NpyHeader:
    """The header of an array of numbers; the stream then stands at the first of them."""
    # Version 2.0 is for headers beyond 64 KiB, which no array of numbers needs and a bomb could use.
    if (version := np.lib.format.read_magic(stream)) != (1, 0):
        raise WorkloadError(f"npy version {version[0]}.{version[1]}; allowed: 1.0")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biuf":
        raise WorkloadError(f"type {dtype.name}; allowed: booleans, integers or floats")
    return NpyHeader(shape, fortran_order, dtype)


def _refusal(where: str, error: BaseException) -> WorkloadError:
    """The line about an array that cannot be read."""
    return WorkloadError(f"{where}: {error if isinstance(error, WorkloadError) else 'damaged array'}")


class NpyFile:
    """An array as `numpy.save` writes it, read one entry of its first axis at a time."""

    def __init__(self, path: Path) -> None:
        """Read the header of `path`; WorkloadError if the file is not exactly as long as that says."""
        self.path, self.name = path, one_line(path.name)
        try:
            with path.open("rb") as stream:
                self._header, self._offset = read_header(stream), stream.tell()
            stored_bytes, num_bytes = path.stat().st_size - self._offset, self._header.num_bytes
            if stored_bytes != num_bytes:
                raise WorkloadError(f"holds {stored_bytes} bytes, its shape {show(self._header.shape)} has {num_bytes}")
        except UNREADABLE as error:
            raise _refusal(self.name, error) from None
        self.shape, self.num_bytes = self._header.shape, self._header.num_bytes
        self.in_one_piece = self._header.fortran_order  # entries of the first axis are scattered over the file

    def read(self, index: int | None = None) -> npt.NDArray[np.generic]:
        """All of the array, or entry `index` of its first axis."""
        header = self._header
        if index is not None and self.in_one_piece:
            return self.read()[index]
        if index is not None:
            header = replace(header, shape=header.shape[1:])
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._offset + (index or 0) * header.num_bytes)
                return header.array(stream.read(header.num_bytes))
        except UNREADABLE as error:
            raise _refusal(self.name, error) from None


def mask_and_values(array: npt.NDArray[np.generic]) -> tuple[Mask, Values | None]:
    """Non-zero mask of an array, and its values where they are integers that `--check` can use."""
    mask = np.ascontiguousarray(array != 0).view(np.uint8)
    if array.dtype.kind not in "iu" or max(int(array.max()), -int(array.min())) > LARGEST_VALUE:
        return mask, None
    return mask, array.astype(np.int32)


def codes_of(array: npt.NDArray[np.generic], num_products: int) -> tuple[Values, float]:
    """Integers for the values of an array and what 1 stands for: integers as they are, reals in steps of their largest.

    Steps are as small as sums of `num_products` products leave exact in float64; no value that is not zero becomes 0.
    """
    if array.dtype.kind in "biu":
        return array.astype(np.int32), 1.0
    bits = min(MOST_CODE_BITS, (EXACT_BITS - num_products.bit_length()) // 2)
    step = float(np.abs(array).max(initial=0)) / (2**bits - 1) or 1.0
    steps = array.astype(np.float64) / step
    codes = np.where(np.abs(steps) < 1, np.sign(steps), np.rint(steps))
    return codes.astype(np.int32), step


def packed_mask(path: Path, key: str, shape: tuple[int, ...]) -> Mask:
    """A mask stored as `numpy.packbits` of its flattened cells, or as booleans in its own `shape`."""
    size = math.prod(shape)
    archive, packed = Archive(path), (-(-size // 8),)
    stored = archive.read(key, f"{packed}, one bit a weight, or {shape}", [packed, shape])
    expected, what = (np.uint8, "uint8, packed bits") if stored.shape == packed else (np.bool_, "booleans")
    if stored.dtype != expected:
        raise WorkloadError(f"{archive.name}: {one_line(key)}: type {stored.dtype}; allowed: {what}")
    if stored.shape == packed:
        return np.unpackbits(stored.view(np.uint8), count=size).reshape(shape)
    return np.ascontiguousarray(stored).view(np.uint8)


def real_mask(path: Path, key: str, shape: tuple[int, ...]) -> tuple[Mask, Values | None]:
    """Mask of a layer's real weights, of an npz or of an ONNX file, which also has their values."""
    if path.suffix != ".onnx":
        return packed_mask(path, key, shape), None
    from archmodel.exchange.onnx_reader import weights_of

    stored = weights_of(path)
    weights = stored.get(key)
    if weights is None or weights.shape != shape:
        raise WorkloadError(f"{one_line(path.name)}: no weights {show(key)} of shape {show(shape)}")
    return mask_and_values(weights)
