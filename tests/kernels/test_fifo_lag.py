"""PEs behind a broadcast: limits in which their expected time is known."""

import itertools
import math

import numpy as np
import pytest

from archmodel.kernels.fifo_lag import expected_coupled_cycles
from tests.reference import fifo_lag

WINDOW = (200, 100)


def cycles(steps, num_pes, num_steps, vectors=4.0, entries=50, per_cycle=5, grid=4):
    return expected_coupled_cycles(
        np.array(steps), np.array(num_pes), num_steps, vectors, entries, per_cycle, grid, WINDOW
    )


def slowest_of(probability, num_pes, num_steps):
    """Expected maximum over PEs of the sum over steps, by adding all outcomes of a PE."""
    outcomes = {}
    for values in itertools.product(range(len(probability)), repeat=num_steps):
        total = sum(values)
        outcomes[total] = outcomes.get(total, 0.0) + math.prod(probability[value] for value in values)
    below, expected = 0.0, 0.0
    for total in range(max(outcomes)):
        below += outcomes.get(total, 0.0)
        expected += 1 - below**num_pes
    return expected


def test_without_a_wait_the_slowest_sum_decides():
    probability = [0.3, 0.5, 0.2]
    assert cycles([probability], [7], 5, entries=1000) == pytest.approx(4.0 * slowest_of(probability, 7, 5), rel=1e-6)


def test_pes_that_are_alike_never_wait():
    assert cycles([[0.0, 0.0, 1.0]], [64], 30) == pytest.approx(30 * 2 * 4.0)


def test_pes_with_less_to_do_change_nothing():
    alone = cycles([[0.0, 0.0, 0.5, 0.5]], [8], 40)
    assert cycles([[0.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.0, 0.0]], [8, 40], 40) == pytest.approx(alone, rel=1e-3)


def test_pes_with_nothing_to_do_wait_for_nobody():
    assert cycles([[1.0, 0.0]], [64], 100) == 0.0


def test_a_fifo_of_one_block_lets_no_pe_start_before_the_last_pass_over_the_former():
    """All PEs end a block after the slowest of it: its passes but the last, then their own."""
    steps, vectors, num_steps = [0.0, 0.5, 0.0, 0.5], 4.0, 60
    grid = 8
    coupled = cycles([steps], [400], num_steps, vectors, entries=4, grid=grid)
    # Of 400 PEs some have 3 vectors in every block, but none in all; who waits starts 8 cycles after the former block.
    assert coupled > 0.98 * num_steps * 8
    assert coupled < num_steps * 12


def test_a_larger_fifo_never_makes_a_group_longer():
    lengths = [cycles([[0.5, 0.3, 0.2]], [49], 100, entries=entries) for entries in (5, 10, 20, 50, 100, 400)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 1.2 * lengths[-1]


def test_a_slow_broadcast_is_the_limit_of_pes_with_little_to_do():
    """200 blocks of 4 vectors, of which 50 are there at first, one a cycle."""
    length = cycles([[0.99, 0.01]], [400], 200, per_cycle=1)
    assert 200 * 4 - 50 - 4 <= length <= 200 * 4
    assert cycles([[0.99, 0.01]], [400], 200, per_cycle=5) < length / 2


def test_a_slow_broadcast_also_limits_blocks_larger_than_the_fifo():
    """50 blocks of 40 vectors, of which 20 are there at first, one a cycle."""
    length = cycles([[0.99, 0.01]], [400], 50, vectors=40.0, entries=20, per_cycle=1)
    assert 50 * 40 - 20 - 40 <= length <= 51 * 40


def test_a_finer_grid_changes_little():
    coarse, fine = (cycles([[0.4, 0.6]], [49], 150, vectors=7.3, grid=grid) for grid in (2, 8))
    assert coarse == pytest.approx(fine, rel=0.01)


@pytest.mark.parametrize(
    ("steps", "num_pes", "num_steps", "vectors", "entries", "per_cycle"),
    [
        ([[0.3, 0.5, 0.2]], [7], 6, 4.0, 50, 5),  # nobody waits
        ([[0.3, 0.5, 0.2]], [7], 7, 4.0, 4, 5),  # a block fits the FIFO,
        ([[0.3, 0.5, 0.2]], [7], 7, 4.0, 6, 5),  # one and a half do,
        ([[0.3, 0.5, 0.2]], [7], 7, 4.0, 8, 5),  # two do,
        ([[0.3, 0.5, 0.2]], [7], 7, 4.0, 3, 5),  # or a part of one
        ([[0.3, 0.5, 0.2], [0.0, 0.7, 0.3]], [30, 2], 6, 5.0, 7, 2),
        ([[0.3, 0.5, 0.2], [0.0, 0.7, 0.3]], [30, 2], 6, 5.0, 4, 2),
        ([[0.9, 0.1]], [1], 9, 8.0, 15, 1),  # the broadcast is what takes long
        ([[0.9, 0.1]], [1], 9, 8.0, 8, 1),
        ([[0.9, 0.1]], [1], 9, 8.0, 7, 1),
        ([[0.5, 0.0, 0.5]], [2], 2, 1.0, 1, 1),  # 1.5 cycles, then 3.3125: PEs at 1.5 or 2 begin
        ([[0.0, 0.5, 0.0, 0.5]], [400], 3, 4.0, 4, 5),
    ],
)
@pytest.mark.parametrize("window", [WINDOW, (150, 200)])
def test_all_outcomes_of_a_pe_give_the_same_time(steps, num_pes, num_steps, vectors, entries, per_cycle, window):
    of_step = vectors, entries, per_cycle
    expected = fifo_lag.expected_cycles(steps, num_pes, num_steps, *of_step)
    found = expected_coupled_cycles(np.array(steps), np.array(num_pes), num_steps, *of_step, 16, window)
    assert found == pytest.approx(expected, rel=2e-3)
