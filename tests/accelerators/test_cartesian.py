"""Banks of accumulators against the twin's hashes, coordinate by coordinate."""

import itertools

import numpy as np
import pytest

from archmodel.accelerators.cartesian import Accumulators
from tests.reference import bank_hashes


@pytest.mark.parametrize(
    ("bank_hash", "num_banks"),
    [(name, banks) for name in ("linear", "prime") for banks in (1, 7, 32, 64)]
    + [("xor", 1), ("xor", 4), ("xor", 32), ("dnnsim", 32)],
)
@pytest.mark.parametrize(("first_row", "first_column"), [(0, 0), (-2, 5), (7, -1)])
def test_every_accumulator_has_the_bank_of_its_coordinates(bank_hash, num_banks, first_row, first_column):
    accumulators = Accumulators(9, 3, 4, 3, 2, num_banks, bank_hash)
    places = itertools.product(range(9), range(5), range(5))
    expected = [
        bank_hashes.bank_of(bank_hash, num_banks, address, k, y, x, y + first_row, x + first_column)
        for address, (k, y, x) in enumerate(places)
    ]
    assert accumulators.banks(first_row, first_column).tolist() == expected
    assert accumulators.size == len(expected)


@pytest.mark.parametrize("bank_hash", ["linear", "prime"])
def test_banks_of_a_rotating_hash_add_up(bank_hash):
    accumulators = Accumulators(3, 2, 2, 3, 2, 32, bank_hash)
    k, y, x = np.indices((3, 4, 3)).reshape(3, -1)
    by_parts = accumulators.linear_bank(k, y, 0 * x) + accumulators.linear_bank(0, 0 * y, x)
    assert (by_parts % 32 == accumulators.banks()).all()
    assert accumulators.rotates
