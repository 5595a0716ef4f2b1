"""How a tensor is cut into blocks, the zero runs of which start anew, and the entries that blocks store."""

import math
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from archmodel.encodings.codec import matrix_shape
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Mask, Values

Array = TypeVar("Array", bound=npt.NDArray[Any])
Int64 = npt.NDArray[np.int64]
Restart = Literal["layer", "row", "column", "channel"]


def blocks_shape(shape: tuple[int, ...], restart: Restart) -> tuple[int, int]:
    """Blocks of a tensor and the cells of each; rows and columns are those of `matrix_shape`.

    A channel is a plane of the last two dimensions: of one kernel, or of one channel of an image.
    """
    rows, columns = matrix_shape(shape)
    if restart == "column":
        return columns, rows
    if restart == "row" or (restart == "channel" and len(shape) < 3):
        return rows, columns
    if restart == "channel":
        return math.prod(shape[:-2]), math.prod(shape[-2:])
    if restart == "layer":
        return 1, math.prod(shape)
    raise WorkloadError(f"encoding: runs restart at {restart!r}; allowed: layer, row, column, channel")


def as_blocks(array: Array, restart: Restart) -> Array:
    """[blocks, cells] of a tensor, a copy where the blocks are columns."""
    shape = blocks_shape(array.shape, restart)
    if restart == "column":
        return np.ascontiguousarray(array.reshape(shape[::-1]).T)  # type: ignore[return-value]
    return array.reshape(shape)  # type: ignore[return-value]


def in_order(blocks: Array, shape: tuple[int, ...], restart: Restart) -> Array:
    """The cells of `as_blocks` in the order of the tensor, flat."""
    turned = blocks.reshape(blocks_shape(shape, restart))
    return (turned.T if restart == "column" else turned).reshape(-1)  # type: ignore[return-value]


def dealt_blocks(matrix: Array, num_pes: int) -> Array:
    """[PE x columns, rows of a PE] of a matrix whose row i is in PE i mod `num_pes`; missing rows are zeros."""
    num_rows, columns = matrix.shape
    rows_of_pe = -(-num_rows // num_pes)
    dealt = np.zeros((rows_of_pe * num_pes, columns), matrix.dtype)
    dealt[:num_rows] = matrix
    turned = dealt.reshape(rows_of_pe, num_pes, columns).transpose(1, 2, 0)
    return turned.reshape(num_pes * columns, rows_of_pe)  # type: ignore[return-value]


def gathered_rows(blocks: Array, num_pes: int, shape: tuple[int, int]) -> Array:
    """The matrix of `shape` from `dealt_blocks`, flat."""
    num_rows, columns = shape
    rows_of_pe = -(-num_rows // num_pes)
    dealt = blocks.reshape(num_pes, columns, rows_of_pe).transpose(2, 0, 1)
    return dealt.reshape(rows_of_pe * num_pes, columns)[:num_rows].reshape(-1)  # type: ignore[return-value]


def pointers_of_pes(pointers: Int64, num_pes: int, columns: int) -> Int64:
    """First entry of every column of every PE, and the one behind its last: int64[PE, columns + 1].

    pointers : int64[PE x columns + 1], first entries of `dealt_blocks`
    """
    return pointers[np.arange(num_pes)[:, np.newaxis] * columns + np.arange(columns + 1)]


class Entries(NamedTuple):
    """What blocks store under a zero-run code.

    pointers : int64[B + 1], first entry of each block
    cells : int64[E], place of each entry among the cells of all blocks
    runs : int32[E], zeros before it in its block
    """

    pointers: Int64
    cells: Int64
    runs: Values


def zero_run_entries(blocks: Mask, longest_run: int) -> Entries:
    """Entries of the blocks, explicit zeros included; see kernels/compression.py."""
    from archmodel.kernels.compression import run_length_entries

    pointers, position = run_length_entries(blocks, longest_run)
    per_block = np.diff(pointers)
    runs = np.diff(position, prepend=np.int32(-1)) - 1
    first = pointers[:-1][per_block > 0]
    runs[first] = position[first]  # the runs of a block start at its first cell
    return Entries(pointers, position + np.repeat(np.arange(per_block.size) * blocks.shape[1], per_block), runs)


def filled_blocks(per_block: Int64, runs: Values, codes: Values, shape: tuple[int, int]) -> Values:
    """Cells of all blocks, flat, from the number of entries of each, and of every entry its run and code."""
    behind = np.cumsum(runs.astype(np.int64) + 1)
    ends = np.cumsum(per_block)
    before = np.concatenate([[0], behind])[ends - per_block]  # cells that entries of earlier blocks cover
    cells = behind - 1 + np.repeat(np.arange(shape[0]) * shape[1] - before, per_block)
    filled = np.zeros(math.prod(shape), np.int32)
    filled[cells] = codes
    return filled
