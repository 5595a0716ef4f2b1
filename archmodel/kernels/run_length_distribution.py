"""How many entries a zero-run code stores of a block of cells that are non-zero by chance."""

import numpy as np
from numba import njit

NEGLIGIBLE = 1e-15  # probability that a distribution forgets: below the rounding of sums near 1


@njit(cache=True, nogil=True)
def run_length_pmf(cell_density, longest_run):
    """Probability of each number of entries that `compression.run_length_entries` stores of a block.

    Cells are non-zero independently. The chain walks from the last cell to the first: behind the last non-zero nothing
    is stored, before it every `longest_run` + 1 zeros in a row become one explicit zero, so the state is whether a
    non-zero was met and the zeros since the last entry.

    cell_density : float64[L]   probability that each cell is non-zero, in storage order
    Returns float64[L + 1], the probability of 0..L entries.
    """
    length, none = cell_density.size, longest_run + 1
    state = np.zeros((none + 1, length + 1))
    state[none, 0] = 1.0
    lowest, highest = 0, 0  # entries that are not negligible; a first one can follow as long as the block can be empty
    for cell in range(length - 1, -1, -1):
        density = cell_density[cell]
        following = np.zeros_like(state)
        following[none, 0] = state[none, 0] * (1.0 - density)
        following[0, 1] = state[none, 0] * density
        for entries in range(lowest, highest + 1):
            for run in range(none):
                probability = state[run, entries]
                following[0, entries + 1] += probability * density
                if run == longest_run:
                    following[0, entries + 1] += probability * (1.0 - density)
                else:
                    following[run + 1, entries] += probability * (1.0 - density)
        state = following
        highest = min(highest + 1, length)
        while state[none, 0] < NEGLIGIBLE and lowest < highest and state[:none, lowest].sum() < NEGLIGIBLE:
            lowest += 1
        while highest > lowest and state[:none, highest].sum() < NEGLIGIBLE:
            highest -= 1
    return state.sum(axis=0)
