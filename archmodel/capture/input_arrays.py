"""Arrays of npy and npz files as inputs of a network: one image, many, or tensors for whole runs."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from archmodel.capture.input_parts import MAX_TENSOR_BYTES, Array, Part, check_bytes, exactly
from archmodel.errors import WorkloadError, one_line, show
from archmodel.exchange.onnx_inputs import ModelInput
from archmodel.operands.archive import Archive, NpyFile

Shape = tuple[int, ...]


def npy_part(path: Path, given: ModelInput) -> Part:
    """The array of an npy file; images are read one at a time."""
    file = NpyFile(path)
    if file.in_one_piece and file.num_bytes > MAX_TENSOR_BYTES:
        raise WorkloadError(f"{file.name}: {file.num_bytes} bytes in Fortran order; at most {MAX_TENSOR_BYTES}")
    return _part(file.name, given, file.shape, file.read)


def npz_part(archive: Archive, key: str, given: ModelInput) -> Part:
    """An array of an npz file, which is read as a whole when it is first asked for."""
    shape, num_bytes = archive.header(key).shape, archive.header(key).num_bytes
    if num_bytes > MAX_TENSOR_BYTES:
        raise WorkloadError(f"{archive.name}: {show(key)}: {num_bytes} bytes; at most {MAX_TENSOR_BYTES}, npy more")

    @lru_cache(maxsize=1)
    def whole() -> Array:
        return archive.read(key, str(shape), [shape])

    return _part(
        f"{archive.name}: {one_line(key, 60)}", given, shape, lambda index: whole() if index is None else whole()[index]
    )


def _part(source: str, given: ModelInput, shape: Shape, read: Callable[[int | None], Array]) -> Part:
    """The entries of the first axis, or the array as it is, by how its shape fits the dims of the input."""
    dims = shape if given.dims is None else given.dims
    if len(shape) == len(dims) + 1 and _fits(shape[1:], dims):
        num, whole, single = shape[0], True, False
    elif given.batched and len(shape) == len(dims) and _fits(shape[1:], dims[1:]):
        num, whole, single = shape[0], False, False
    elif given.batched and len(shape) == len(dims) - 1 and _fits(shape, dims[1:]):
        num, whole, single = 1, False, True
    elif not given.batched and len(shape) == len(dims) and _fits(shape, dims):
        num, whole, single = 1, True, True
    else:
        also = " with any number of images or without that axis" if given.batched else ""
        raise given.refuse(f"{source} has {show(list(shape))}; allowed: its dims{also}, or an axis of runs more")
    if num < 1:
        raise given.refuse(f"{source} has no images")
    check_bytes(given, math.prod(shape if single else shape[1:]))

    def load(index: int) -> Array:
        found = exactly(read(None if single else index), given.dtype)
        if found is None:
            raise given.refuse(f"{source} has numbers that are not exact in {given.dtype}")
        return found

    return Part(source, num, whole, load)


def _fits(shape: Shape, dims: tuple[int | str, ...]) -> bool:
    pairs = zip(shape, dims, strict=True)
    return all(length >= 1 and (isinstance(dim, str) or length == dim) for length, dim in pairs)
