"""The distribution of stored entries against the enumeration of all masks of small blocks."""

import itertools
import math

import numpy as np
import pytest

from archmodel.kernels.run_length_distribution import run_length_pmf
from tests.reference.run_length import stored_positions


def enumerated(cell_density, longest_run):
    """Probability of each number of entries, by adding those of all masks."""
    probability = [0.0] * (len(cell_density) + 1)
    for mask in itertools.product((0, 1), repeat=len(cell_density)):
        chance = math.prod(d if bit else 1 - d for d, bit in zip(cell_density, mask, strict=True))
        probability[len(stored_positions(mask, longest_run))] += chance
    return probability


@pytest.mark.parametrize("longest_run", [1, 2, 3, 15])
@pytest.mark.parametrize(
    "cell_density",
    [
        [0.3] * 9,
        [0.05] * 10,
        [1.0] * 5,
        [0.0] * 4,
        [0.9],
        [0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.2],  # cells that hold nothing before, between
        [0.5, 0.4, 0.0, 0.0, 0.0, 0.0],  # and behind the others
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.5],
    ],
)
def test_every_mask_counts_with_its_probability(cell_density, longest_run):
    expected = enumerated(cell_density, longest_run)
    assert run_length_pmf(np.array(cell_density), longest_run) == pytest.approx(expected, abs=1e-12)


def test_without_long_runs_the_entries_are_the_nonzeros():
    expected = [math.comb(16, k) * 0.3**k * 0.7 ** (16 - k) for k in range(17)]
    assert run_length_pmf(np.full(16, 0.3), 15) == pytest.approx(expected, abs=1e-12)


def test_one_cell_more_can_store_an_explicit_zero():
    density = np.zeros(17)
    density[16] = 1.0
    assert run_length_pmf(density[:16], 15)[0] == 1.0
    assert run_length_pmf(density, 15)[2] == 1.0


@pytest.mark.parametrize(("cells", "density"), [(300, 0.02), (300, 0.5), (120, 0.97)])
def test_a_large_block_forgets_nothing_that_matters(cells, density):
    probability = run_length_pmf(np.full(cells, density), 15)
    assert probability.sum() == pytest.approx(1.0, abs=1e-9)
    nonzeros = cells * density
    # A run of 16 zeros that ends in a non-zero stores a zero; the first 16 cells lack what is before them.
    runs = sum((cells - gap) * density * (1 - density) ** gap for gap in range(16, cells, 16))
    assert np.arange(cells + 1) @ probability == pytest.approx(nonzeros + runs, rel=1e-9)
