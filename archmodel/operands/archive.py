"""Operands from npz files: never pickled objects, shapes and sizes checked before anything is allocated."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, did_you_mean, show
from archmodel.operands.operands import Mask, Values

LARGEST_VALUE = 2**31 - 1


class Archive:
    """A zip file of npy arrays, as `numpy.savez` writes it."""

    def __init__(self, path: str | Path) -> None:
        """Open `path`; WorkloadError if it is not a readable npz."""
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                self.keys = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an npz archive"
            raise WorkloadError(f"{self.path.name}: {reason}") from None

    def read(self, key: str, allowed: str, shapes: list[tuple[int | None, ...]]) -> npt.NDArray[np.generic]:
        """The array `key`; None in a shape stands for any size. `allowed` describes the shapes in the error."""
        if key not in self.keys:
            raise WorkloadError(f"{self.path.name}: no array {show(key)}{did_you_mean(key, self.keys)}")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.keys[key]) as stream:
                version = np.lib.format.read_magic(stream)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                if header is None:
                    raise WorkloadError(f"{self.path.name}: {key}: npy version {version}; allowed: 1.0")
                shape, fortran_order, dtype = header(stream)
                self._check(key, shape, dtype, allowed, shapes)
                size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                data = stream.read(size + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, SyntaxError) as error:
            if isinstance(error, WorkloadError):
                raise
            raise WorkloadError(f"{self.path.name}: {key}: damaged array") from None
        if len(data) != size:
            raise WorkloadError(f"{self.path.name}: {key}: holds {len(data)} bytes; its shape needs {size}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")

    def _check(
        self,
        key: str,
        shape: tuple[int, ...],
        dtype: np.dtype[np.generic],
        allowed: str,
        shapes: list[tuple[int | None, ...]],
    ) -> None:
        fits = any(
            len(shape) == len(wanted) and all(w in (None, size) for w, size in zip(wanted, shape, strict=True))
            for wanted in shapes
        )
        if not fits or 0 in shape:
            raise WorkloadError(f"{self.path.name}: {key}: shape {shape}; allowed: {allowed}")
        if dtype.kind not in "biuf":
            raise WorkloadError(f"{self.path.name}: {key}: type {dtype}; allowed: booleans, integers or floats")


def mask_and_values(array: npt.NDArray[np.generic]) -> tuple[Mask, Values | None]:
    """Non-zero mask of an array, and its values where they are integers that `--check` can use."""
    mask = np.ascontiguousarray(array != 0).view(np.uint8)
    if array.dtype.kind not in "iu" or np.abs(array.astype(np.float64)).max(initial=0) > LARGEST_VALUE:
        return mask, None
    return mask, array.astype(np.int32)


def packed_mask(path: Path, key: str, shape: tuple[int, ...]) -> Mask:
    """A mask stored as `numpy.packbits` of its flattened cells."""
    size = int(np.prod(shape))
    stored = Archive(path).read(key, f"({-(-size // 8)},), one bit a weight", [(-(-size // 8),)])
    if stored.dtype != np.uint8:
        raise WorkloadError(f"{path.name}: {key}: type {stored.dtype}; allowed: uint8, packed bits")
    return np.unpackbits(stored.view(np.uint8), count=size).reshape(shape)
