"""Non-zeros placed at random: an exact number of them, every placement equally likely."""

import numpy as np
import numpy.typing as npt

from archmodel.operands.operands import Mask

DRAWS_AT_A_TIME = 2**22  # bounds the memory of the drawn positions


def generator(seed: int, layer_index: int, operand: int) -> np.random.Generator:
    """The random stream of one operand: the same zeros on every machine, whatever else is simulated."""
    return np.random.default_rng([seed, layer_index, operand])


def place(rng: np.random.Generator, shape: tuple[int, ...], num_nonzeros: int) -> Mask:
    """A mask of `shape`, below 2**32 cells, with exactly `num_nonzeros` ones.

    Cells are drawn again until enough different ones are drawn, of ones or of zeros, whichever are fewer: 0.4 s and
    little more memory than the mask for 10^8 cells, where a permutation takes seconds.
    """
    mask = np.zeros(shape, np.uint8)
    cells = mask.reshape(-1)
    few = min(num_nonzeros, cells.size - num_nonzeros)
    missing = few
    while missing:
        cells[rng.integers(0, cells.size, min(missing, DRAWS_AT_A_TIME), np.uint32)] = 1
        missing = few - int(np.count_nonzero(cells))
    if few != num_nonzeros:
        np.bitwise_xor(cells, 1, out=cells)
    return mask


def place_among(rng: np.random.Generator, allowed: npt.NDArray[np.bool_], num_nonzeros: int) -> Mask:
    """As `place`, but only where `allowed`: kernels whose rearranged form has cells that no weight occupies."""
    mask = np.zeros(allowed.shape, np.uint8)
    mask[allowed] = place(rng, (int(np.count_nonzero(allowed)),), num_nonzeros)
    return mask


def space_to_depth_cells(
    weight_shape: tuple[int, int, int, int], kernel: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """Cells of a rearranged kernel [K, C * stride**2, R', S'] that the original R x S kernel has; (R, S, stride)."""
    R, S, stride = kernel
    K, channels, rows, columns = weight_shape
    phase = np.arange(channels) % (stride * stride)
    r = np.arange(rows)[:, np.newaxis] * stride + (phase // stride)[:, np.newaxis, np.newaxis]
    s = np.arange(columns)[np.newaxis, :] * stride + (phase % stride)[:, np.newaxis, np.newaxis]
    return np.broadcast_to((r < R) & (s < S), (K, channels, rows, columns))
