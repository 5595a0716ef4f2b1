"""What is expected of compressed blocks of cells that are non-zero by chance: entries, vectors, how full these are."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from archmodel.kernels.run_length_distribution import run_length_pmf

Float64 = npt.NDArray[np.float64]

CACHED_BLOCKS = 4096  # kinds of blocks that are remembered: a network has some hundred


@dataclass(frozen=True, eq=False)
class RandomBlock:
    """A block stored in a zero-run code and fetched in vectors.

    entries : float64[E], probability of each number of stored entries, explicit zeros included
    width : entries of a vector
    """

    entries: Float64
    width: int

    @classmethod
    def of(cls, cell_density: Float64, longest_run: int, width: int) -> "RandomBlock":
        """A block of independent cells, given by the probability that each is non-zero in storage order."""
        return _block(np.ascontiguousarray(cell_density, np.float64).tobytes(), longest_run, width)

    @property
    def mean_entries(self) -> float:
        """Expected entries."""
        return mean(self.entries)

    @cached_property
    def vectors(self) -> Float64:
        """Probability of each number of vectors."""
        vectors: Float64 = np.bincount(-(-np.arange(self.entries.size) // self.width), self.entries)
        return vectors

    @property
    def mean_vectors(self) -> float:
        """Expected vectors."""
        return mean(self.vectors)

    @cached_property
    def fills(self) -> Float64:
        """Expected vectors with each number of entries.  float64[width + 1]"""
        full, left = np.divmod(np.arange(self.entries.size), self.width)
        fills: Float64 = np.bincount(left, self.entries, self.width + 1)
        fills[0], fills[-1] = 0.0, full @ self.entries
        return fills

    def mean_passes(self, fifo_entries: int) -> float:
        """Expected times that a channel's activations are fetched for this block of weights."""
        vectors = np.arange(self.vectors.size)
        passes = -(-vectors // fifo_entries) if fifo_entries else np.minimum(vectors, 1)
        return float(passes @ self.vectors)


@lru_cache(maxsize=CACHED_BLOCKS)
def _block(cells: bytes, longest_run: int, width: int) -> RandomBlock:
    return RandomBlock(run_length_pmf(np.frombuffer(cells), longest_run), width)


def mean(probability: Float64) -> float:
    """Mean of a count, from the probability of 0, 1, 2 ..."""
    return float(np.arange(probability.size) @ probability)


def mean_square(probability: Float64) -> float:
    """Mean of the square of a count."""
    return float(np.arange(probability.size) ** 2 @ probability)


def variance(probability: Float64) -> float:
    """Variance of a count."""
    return max(mean_square(probability) - mean(probability) ** 2, 0.0)
