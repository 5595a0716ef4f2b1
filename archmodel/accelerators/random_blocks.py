"""What is expected of compressed blocks of cells that are non-zero by chance: entries, vectors, how full these are."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from archmodel.kernels.run_length_distribution import run_length_pmf

Float64 = npt.NDArray[np.float64]

CACHED_BLOCKS = 4096  # kinds of blocks that are remembered: a network has some hundred


@dataclass(frozen=True, eq=False)
class Count:
    """A random count; probability : float64, of 0, 1, 2 ..."""

    probability: Float64

    @cached_property
    def mean(self) -> float:
        """Expected value."""
        return float(np.arange(self.probability.size) @ self.probability)

    @cached_property
    def mean_square(self) -> float:
        """Expected square."""
        return float(np.arange(self.probability.size) ** 2 @ self.probability)

    @cached_property
    def variance(self) -> float:
        """Variance."""
        return max(self.mean_square - self.mean**2, 0.0)

    @property
    def none(self) -> float:
        """Probability of 0."""
        return float(self.probability[0])


@dataclass(frozen=True, eq=False)
class RandomBlock:
    """A block stored in a zero-run code and fetched in vectors.

    entries : stored entries, explicit zeros included
    width : entries of a vector
    """

    entries: Count
    width: int

    @classmethod
    def of(cls, cell_density: Float64, longest_run: int, width: int) -> "RandomBlock":
        """A block of independent cells, given by the probability that each is non-zero in storage order."""
        return _block(np.ascontiguousarray(cell_density, np.float64).tobytes(), longest_run, width)

    @cached_property
    def vectors(self) -> Count:
        """Vectors of the entries."""
        entries = self.entries.probability
        return Count(np.bincount(-(-np.arange(entries.size) // self.width), entries).astype(np.float64))

    @cached_property
    def fills(self) -> Float64:
        """Expected vectors with each number of entries.  float64[width + 1]"""
        entries = self.entries.probability
        full, left = np.divmod(np.arange(entries.size), self.width)
        fills = np.bincount(left, entries, self.width + 1).astype(np.float64)
        fills[0], fills[-1] = 0.0, full @ entries
        return fills

    @cached_property
    def last_fill(self) -> Float64:
        """Expected blocks whose last vector has each number of entries.  float64[width + 1]"""
        left = (np.arange(self.entries.probability.size) - 1) % self.width + 1
        return np.bincount(left[1:], self.entries.probability[1:], self.width + 1).astype(np.float64)

    def mean_passes(self, fifo_entries: int) -> float:
        """Expected times that a channel's activations are fetched for this block of weights."""
        vectors = np.arange(self.vectors.probability.size)
        passes = -(-vectors // fifo_entries) if fifo_entries else np.minimum(vectors, 1)
        return float(passes @ self.vectors.probability)


@lru_cache(maxsize=CACHED_BLOCKS)
def _block(cells: bytes, longest_run: int, width: int) -> RandomBlock:
    return RandomBlock(Count(run_length_pmf(np.frombuffer(cells), longest_run)), width)
