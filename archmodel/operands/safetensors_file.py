"""Arrays of a safetensors file, one at a time: the library checks the header, no array is read before its shape is."""

import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, did_you_mean, one_line, show

MAX_HEADER_BYTES = 16 * 2**20
LENGTH_BYTES = 8  # in front of the header
TYPES = {
    **{f"{letter}{8 * size}": f"<{kind}{size}" for letter, kind in (("I", "i"), ("U", "u")) for size in (1, 2, 4, 8)},
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BOOL": "|b1",
    "BF16": "<u2",
    "F8_E4M3": "|u1",
    "F8_E5M2": "|u1",
}


class SafetensorsFile:
    """A safetensors file, with the interface of an `Archive`."""

    note = ""  # archmodel writes none of these

    def __init__(self, path: str | Path) -> None:
        """Check the header of `path`; WorkloadError if it is not a readable safetensors file."""
        self.path = Path(path)
        self.name = one_line(self.path.name)
        library = import_safetensors()
        try:
            if not self.path.is_file() and self.path.exists():  # opening a pipe would wait for a writer
                raise WorkloadError(f"{self.name}: is not a regular file")
            header = self._header()
            with library.safe_open(self.path, framework="numpy") as file:  # offsets, sizes and types, against the file
                self.keys = {key: key for key in file.offset_keys()}
            self._entries = {key: header[key] for key in self.keys}
        except WorkloadError:
            raise
        except (OSError, RecursionError, ValueError, LookupError, MemoryError, library.SafetensorError) as error:
            reason = getattr(error, "strerror", None) or "not a safetensors file"
            raise WorkloadError(f"{self.name}: {reason}") from None

    def _header(self) -> dict[str, Any]:
        with open(self.path, "rb") as file:
            num_bytes = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if num_bytes > MAX_HEADER_BYTES:
                raise WorkloadError(f"{self.name}: a header of {num_bytes} bytes; allowed: {MAX_HEADER_BYTES}")
            self._start = LENGTH_BYTES + num_bytes
            return json.loads(file.read(num_bytes), object_pairs_hook=_without_repeats)

    def read(self, key: str, allowed: str, shapes: list[tuple[int, ...]]) -> npt.NDArray[np.generic]:
        """The array `key`, which has one of `shapes`; `allowed` describes them in the error.

        Of floats of 8 bits it is whether they are not zero, those of the type bf16 become float32.
        """
        if key not in self.keys:
            raise WorkloadError(f"{self.name}: no array {show(key)}{did_you_mean(key, self.keys)}")
        where, entry = f"{self.name}: {one_line(key)}", self._entries[key]
        shape, stored = tuple(entry["shape"]), entry["dtype"]
        if shape not in shapes:
            raise WorkloadError(f"{where}: shape {show(shape)}; allowed: {allowed}")
        if stored not in TYPES:
            raise WorkloadError(f"{where}: type {show(stored)}; allowed: {', '.join(sorted(TYPES))}")
        dtype = np.dtype(TYPES[stored])
        try:
            with open(self.path, "rb") as file:
                file.seek(self._start + entry["data_offsets"][0])
                data = file.read(math.prod(shape) * dtype.itemsize)
            array, finite = _numbers(np.frombuffer(data, dtype).reshape(shape), str(stored))
        except (OSError, ValueError):  # the file has been changed since its header was read
            raise WorkloadError(f"{where}: damaged array") from None
        if not finite:
            raise WorkloadError(f"{where}: NaN or infinity; allowed: finite numbers")
        return array


def _numbers(array: npt.NDArray[np.generic], stored: str) -> tuple[npt.NDArray[np.generic], bool]:
    """Numbers of the array as numpy knows them, and whether all are finite."""
    if stored == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif stored.startswith("F8"):
        magnitude = array.view(np.uint8) & 0x7F
        largest = 0x7E if stored == "F8_E4M3" else 0x7B  # above it are NaN, and infinity where the type has one
        return magnitude != 0, bool((magnitude <= largest).all())
    return array, array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key is given twice, of which the library might take the other."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("repeated key")
    return dict(pairs)


def import_safetensors() -> ModuleType:
    """The library; WorkloadError with the command that installs it."""
    try:
        import safetensors
    except ModuleNotFoundError:
        raise WorkloadError("needs safetensors: pip install 'archmodel[safetensors]'") from None
    return safetensors
