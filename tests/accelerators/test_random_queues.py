"""Bank queues under random products: hand cases, and a walk with random banks."""

import numpy as np
import pytest

from archmodel.accelerators.cartesian import Accumulators
from archmodel.accelerators.random_queues import Banks, Fills, bank_arrivals, random_queues


def fills(*expected):
    every = np.array([0.0, *expected])
    return Fills(every, every)


def even(num_banks, accumulators=32):
    return Banks(np.full(num_banks, accumulators), np.full(num_banks, 1 / num_banks))


FULL = fills(0, 0, 0, 1)  # vectors of four


def walked(products, num_banks, depth, num_issues=20000):
    """Stall cycles an issue and longest queue after it, with every product in a random bank."""
    rng = np.random.default_rng(0)
    queues, stalled, longest = np.zeros(num_banks, int), 0, 0
    for _ in range(num_issues):
        # Four products of a weight go to four banks.
        for _ in range(products // 4):
            queues[rng.choice(num_banks, 4, replace=False)] += 1
        queues = np.maximum(queues - 1, 0)
        excess = max(queues.max() - depth, 0)
        queues = np.maximum(queues - excess, 0)
        stalled, longest = stalled + excess, longest + queues.max()
    return stalled / num_issues, longest / num_issues


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_queues_stall_as_a_walk_with_random_banks(depth):
    queues = random_queues(FULL, FULL, even(32), depth)
    stall, longest = walked(16, 32, depth)
    assert queues.stall_cycles == pytest.approx(stall, rel=0.12, abs=0.005)  # banks are not quite independent
    assert queues.emptying(1000)[0] == pytest.approx(longest, abs=0.25)


def test_eight_entries_a_queue_hardly_ever_stall():
    assert random_queues(FULL, FULL, even(32), 8).stall_cycles < 1e-3


@pytest.mark.parametrize("depth", [0, 3])
def test_one_bank_takes_a_cycle_for_each_product(depth):
    queues = random_queues(FULL, FULL, even(1), depth)
    assert queues.stall_cycles == pytest.approx(15.0)
    assert queues.stalls(10_000) == pytest.approx(15.0, rel=1e-2)


def test_a_short_group_begins_with_empty_queues():
    queues = random_queues(FULL, FULL, even(1), 20)
    assert queues.stalls(1) == 0.0
    assert queues.emptying(1)[0] == pytest.approx(15.0)
    assert queues.emptying(10_000)[0] == pytest.approx(20.0)


def test_without_products_nothing_waits():
    none = fills(0, 0, 0, 0)
    queues = random_queues(none, FULL, even(32), 8)
    assert queues.stall_cycles == 0.0
    assert queues.emptying(5) == (0.0, 0.0)


def test_products_that_fit_the_retired_ones_need_no_queue():
    """One activation: the four weights go to four accumulators of which each has its own bank."""
    queues = random_queues(FULL, fills(1), Banks(np.ones(4, int), np.full(4, 0.25)), 8)
    assert queues.stall_cycles == 0.0
    assert queues.emptying(100)[0] == 0.0


def test_arrivals_are_the_products_of_the_issues():
    banks = Banks(np.array([32, 32, 1]), np.array([0.5, 0.4, 0.1]))
    arrivals = bank_arrivals(np.array([0.0, 1.0, 0, 0, 3.0]), np.array([0.0, 0, 2.0, 0, 2.0]), banks)
    products = (1 + 4 * 3) / 4 * (2 * 2 + 4 * 2) / 4
    assert arrivals.sum(axis=1) == pytest.approx(1.0)
    assert arrivals @ np.arange(arrivals.shape[1]) == pytest.approx(products * banks.shares)


def test_an_accumulator_gets_one_product_of_each_weight():
    arrivals = bank_arrivals(np.array([0.0, 0, 1.0]), FULL.every, Banks(np.ones(1, int), np.ones(1) * 0.3))
    assert arrivals.shape[1] == 3
    unused = Banks(np.full(1, 32), np.zeros(1))
    assert bank_arrivals(FULL.every, FULL.every, unused).tolist() == [[1.0]]


def test_the_last_vector_sends_few_products():
    few = Fills(FULL.every, np.array([0.0, 1.0, 0, 0, 0]))
    full, ended = (random_queues(FULL, activations, even(16), 8).emptying(200)[0] for activations in (FULL, few))
    assert ended < full


def test_queues_empty_during_a_long_last_row_of_few_activations():
    few = Fills(FULL.every, np.array([0.0, 1.0, 0, 0, 0]))
    rows = (Fills(FULL.every * issues, FULL.every) for issues in (1, 8))
    one, eight = (random_queues(weights, few, even(16), 8).emptying(200)[0] for weights in rows)
    assert eight < one - 0.5


def test_more_pes_have_a_longer_longest_queue():
    queues = random_queues(FULL, FULL, even(32), 8)
    assert queues.emptying(100, num_pes=64)[0] > queues.emptying(100)[0] + 1
    assert queues.emptying(100)[1] > 0


def test_a_hash_decides_the_shares_of_the_banks():
    """Two by two positions and kernel: nine accumulators, of which the middle one gets a fourth of all products."""
    accumulators = Accumulators(1, 2, 2, 2, 2, 32, "linear")
    rows = np.array([1.0, 2.0, 1.0])
    banks = Banks.of(accumulators, rows, rows)
    assert banks.shares[:9] == pytest.approx(np.array([1, 2, 1, 2, 4, 2, 1, 2, 1]) / 16)
    assert banks.accumulators.tolist() == [1] * 9 + [0] * 23
    kinds, numbers = banks.kinds()
    assert sorted(zip(kinds.shares.tolist(), numbers.tolist(), strict=True)) == [
        (0.0, 23), (0.0625, 4), (0.125, 4), (0.25, 1),
    ]  # fmt: skip
    assert banks.times(0.5).shares.sum() == pytest.approx(0.5)


def test_one_accumulator_gets_every_product():
    banks = Banks.of(Accumulators(1, 1, 1, 1, 1, 2, "linear"), np.ones(1), np.ones(1))
    assert banks.shares.tolist() == [1.0, 0.0]
    assert not Banks.of(Accumulators(1, 1, 1, 1, 1, 2, "linear"), np.zeros(1), np.ones(1)).shares.any()


@pytest.mark.parametrize(
    ("num_issues", "stalls"), [(0, 0.0), (1, 0.0), (2, 10 / 2), (3, 25 / 3), (4, 40 / 4), (200, 2980 / 200)]
)
def test_a_queue_that_fills_up_stalls_from_then_on(num_issues, stalls):
    """Sixteen products an issue to one bank: 15 wait after the first, 20 fit, and from then on 15 too many come."""
    queues = random_queues(FULL, FULL, even(1), 20)
    assert queues.stalls(num_issues) == pytest.approx(stalls)


@pytest.mark.parametrize(("num_issues", "longest"), [(0, 15), (1, 15), (2, 20), (3, 20)])
def test_a_group_ends_with_what_its_last_issues_left(num_issues, longest):
    assert random_queues(FULL, FULL, even(1), 20).emptying(num_issues) == (pytest.approx(longest), pytest.approx(0.0))


def test_the_last_activation_vector_is_met_by_as_many_issues_as_a_block_has_weight_vectors():
    """One bank: a full issue leaves 15, the one that ends a channel brings four products and takes one."""
    few = Fills(FULL.every, np.array([0.0, 1.0, 0, 0, 0]))
    assert random_queues(FULL, few, even(1), 20).emptying(2) == (pytest.approx(18.0), pytest.approx(0.0))
