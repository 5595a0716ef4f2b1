"""Operands from npz files: never pickled objects, shapes and sizes checked before anything is allocated."""

import lzma
import math
import os
import stat
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, did_you_mean, one_line, show
from archmodel.operands.operands import Mask, Values

LARGEST_VALUE = 2**31 - 1
EXACT_BITS = 53  # of whole numbers in float64
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

    def read(self, key: str, allowed: str, shapes: list[tuple[int, ...]]) -> npt.NDArray[np.generic]:
        """The array `key`, which has one of `shapes`; `allowed` describes them in the error."""
        if key not in self.keys:
            raise WorkloadError(f"{self.name}: no array {show(key)}{did_you_mean(key, self.keys)}")
        where = f"{self.name}: {one_line(key)}"
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.keys[key]) as stream:
                # Version 2.0 is for headers beyond 64 KiB, which no array of numbers needs and a bomb could use.
                if (version := np.lib.format.read_magic(stream)) != (1, 0):
                    raise WorkloadError(f"{where}: npy version {version[0]}.{version[1]}; allowed: 1.0")
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
                if shape not in shapes:
                    raise WorkloadError(f"{where}: shape {show(shape)}; allowed: {allowed}")
                if dtype.kind not in "biuf":
                    raise WorkloadError(f"{where}: type {dtype.name}; allowed: booleans, integers or floats")
                num_bytes = math.prod(shape) * dtype.itemsize
                data = stream.read(num_bytes + 1)
        except WorkloadError:
            raise
        except UNREADABLE:
            raise WorkloadError(f"{where}: damaged array") from None
        if len(data) != num_bytes:
            amount = "more" if len(data) > num_bytes else "fewer"
            raise WorkloadError(f"{where}: holds {amount} than the {num_bytes} bytes of its shape")
        array = np.frombuffer(data, dtype)
        if dtype.kind == "f" and not np.isfinite(array).all():
            raise WorkloadError(f"{where}: NaN or infinity; allowed: finite numbers")
        return array.reshape(shape, order="F" if fortran_order else "C")


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
    from archmodel.network.onnx_reader import weights_of

    stored = weights_of(path)
    weights = stored.get(key)
    if weights is None or weights.shape != shape:
        raise WorkloadError(f"{one_line(path.name)}: no weights {show(key)} of shape {show(shape)}")
    return mask_and_values(weights)
