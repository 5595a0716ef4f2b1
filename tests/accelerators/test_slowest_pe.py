"""The slowest PE: sums and maxima against enumeration, waits for weights against the exact kernel."""

import functools

import numpy as np
import pytest

from archmodel.accelerators.random_blocks import Count
from archmodel.accelerators.slowest_pe import (
    Broadcast,
    Own,
    Steps,
    activity,
    expected_maximum,
    mean_work,
    slowest_work,
    sum_of_steps,
    waiting_for_weights,
    work_deviation,
)
from archmodel.kernels import lanes
from archmodel.kernels.accumulator_banks import bank_group_cycles

COIN = Count(np.array([0.5, 0.5]))
DIE = Count(np.append(0.0, np.full(6, 1 / 6)))
FIFO = (50, 5)


def always(vectors):
    return Count(np.append(np.zeros(vectors), 1.0))


def test_the_larger_of_two_dice():
    values = np.arange(1.0, 7.0)
    assert expected_maximum([(2, values, np.full(6, 1 / 6))]) == pytest.approx(161 / 36)


def test_the_larger_of_a_die_and_a_coin_worth_four_and_a_half():
    values = np.arange(1.0, 7.0)
    coin = (1, np.array([0.0, 4.5]), np.array([0.5, 0.5]))
    expected = (3.5 + (4.5 * 4 + 5 + 6) / 6) / 2
    assert expected_maximum([(1, values, np.full(6, 1 / 6)), coin]) == pytest.approx(expected)


def test_a_kind_that_is_always_less_changes_nothing():
    values = np.arange(1.0, 7.0)
    die = (1, values, np.full(6, 1 / 6))
    assert expected_maximum([die, (50, np.array([0.5]), np.ones(1))]) == pytest.approx(3.5)


@pytest.mark.parametrize("numbers", [(1, 0), (3, 2), (40, 7), (0, 300)])
def test_sums_are_convolutions(numbers):
    steps = Steps(list(numbers), 1.0)
    exact = np.ones(1)
    for number, count in zip(numbers, (COIN, DIE), strict=True):
        for _ in range(number):
            exact = np.convolve(exact, count.probability)
    summed = sum_of_steps(steps, Own(1, [COIN, DIE]))
    assert summed.sum() == pytest.approx(1.0)
    kept = exact[exact > 1e-9]
    assert np.abs(np.sort(summed)[::-1][: kept.size] - np.sort(kept)[::-1]).max() < 1e-9
    assert Count(summed).variance == pytest.approx(Count(exact).variance)


def test_the_smaller_mean_of_large_counts_does_not_fold_over():
    """A sum whose values are far larger than its spread."""
    many = Count(np.append(np.zeros(200), [0.5, 0.5]))
    assert Count(sum_of_steps(Steps([9], 1.0), Own(1, [many]))).variance == pytest.approx(9 / 4)


def test_steps_keep_the_mean_and_the_spread_of_random_blocks():
    phases = [Broadcast.of(100, DIE), Broadcast.of(50, COIN)]
    steps = Steps.of(phases)
    mean, square = 100 * 3.5 + 50 * 0.5, 100 * 91 / 6 + 50 * 0.5
    assert steps.total * steps.vectors == pytest.approx(mean)
    assert steps.total * steps.vectors**2 == pytest.approx(square, rel=0.01)
    assert steps.num_steps[1] / steps.total == pytest.approx(25 / square, abs=0.01)


def test_a_sum_that_is_hardly_ever_more_than_nothing():
    rare = Count(np.array([1 - 1e-6, 1e-6]))
    summed = sum_of_steps(Steps([1], 1.0), Own(1, [rare]))
    assert np.sort(summed)[-2:] == pytest.approx([1e-6, 1 - 1e-6], rel=1e-6)
    both_sides = Count(np.array([1e-6, 1 - 2e-6, 1e-6]))
    assert np.sort(sum_of_steps(Steps([1], 1.0), Own(1, [both_sides])))[-3:] == pytest.approx([1e-6, 1e-6, 1 - 2e-6])
    assert slowest_work([Broadcast.of(1, always(5))], [Own(10, [rare])]) == pytest.approx(5 * 10 * 1e-6, rel=1e-4)


def test_a_step_of_some_phase_is_one_of_each_as_often_as_there_are():
    mixed = Steps([1, 3], 2.0).mixture(Own(1, [DIE, COIN]))
    assert mixed.probability == pytest.approx([3 / 8, 1 / 24 + 3 / 8, *[1 / 24] * 5])


def test_less_than_a_broadcast_vector_is_some_work():
    phases, own = [Broadcast.of(1, COIN)], Own(3, [always(4)])
    assert (Steps.of(phases).num_steps, Steps.of(phases).vectors) == ([1], 0.5)
    assert slowest_work(phases, [own]) == pytest.approx(2.0)
    assert activity(Steps.of(phases), own) == 1.0
    assert Steps.of([Broadcast.of(1, always(0))]).vectors == 0.0


def test_one_block_is_one_step():
    steps = Steps.of([Broadcast.of(1, DIE)])
    assert (steps.num_steps, steps.vectors) == ([1], 3.5)


def test_no_broadcast_vectors_are_no_work():
    phases = [Broadcast.of(10, always(0))]
    assert slowest_work(phases, [Own(8, [DIE])]) == 0.0
    assert waiting_for_weights(phases, [Own(8, [DIE])], FIFO) == 0.0
    assert activity(Steps.of(phases), Own(8, [DIE])) == 0.0


def test_alike_pes_are_all_the_slowest():
    phases, own = [Broadcast.of(10, DIE)], Own(64, [always(3)])
    assert slowest_work(phases, [own]) == pytest.approx(10 * 3.5 * 3) == pytest.approx(mean_work(phases, own))
    assert work_deviation(Steps.of(phases), own) == 0.0


def test_phases_add_up_with_their_own_means():
    phases = [Broadcast.of(4, always(2)), Broadcast.of(4, always(1))]
    own = Own(5, [always(3), always(7)])
    assert mean_work(phases, own) == slowest_work(phases, [own]) == pytest.approx(4 * 2 * 3 + 4 * 7)


def test_blocks_together_have_the_sum_of_means_and_variances():
    both = Broadcast.together([(2, Broadcast.of(9, DIE)), (1, Broadcast.of(9, COIN))])
    assert (both.num_blocks, both.mean_vectors) == (9, 7.5)
    assert both.mean_square - both.mean_vectors**2 == pytest.approx(2 * 35 / 12 + 1 / 4)


@functools.cache
def walked(num_pes, num_blocks, own, weights, entries=50, per_cycle=5, num_groups=40, seeds=4):
    """Mean span and waiting of exact groups of random vectors whose products go nowhere."""
    spans, waits = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        of_weights = rng.choice(len(weights), (num_groups, num_blocks), p=weights)
        of_pes = rng.choice(len(own), (num_blocks, num_pes), p=own)
        weight_ptr, activation_ptr = ends(of_weights), ends(of_pes)
        vectors = np.full((weight_ptr[-1, -1], 4), lanes.NO_WEIGHT, np.uint8)
        rows = np.zeros((activation_ptr[-1, -1], lanes.ROW_BYTES), np.uint8)
        nowhere = np.zeros((1, 1), np.uint8)
        span, waiting, *_ = bank_group_cycles(
            weight_ptr, vectors, activation_ptr, rows, nowhere, 8, (entries, per_cycle), 0
        )
        spans.append(span.mean())
        waits.append(waiting.mean())
    return np.mean(spans), np.mean(waits)


def ends(sizes):
    """First vector of each block, and the end of the last one of each row."""
    edges = np.concatenate([[0], np.cumsum(sizes)])
    rows, columns = sizes.shape
    return np.column_stack([edges[:-1].reshape(rows, columns), edges[columns::columns]])


SMALL_BLOCKS = (0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.25, 0.2, 0.15, 0.1)  # vectors of weights: about a 3x3 kernel of Kc = 8
FORTY_OR_NONE = (0.5, *(0.0,) * 39, 0.5)
LARGE_BLOCKS = (0.0,) * 16 + (0.2, 0.3, 0.3, 0.2)  # a 5x5 kernel


@pytest.mark.parametrize(
    ("num_pes", "num_blocks", "own", "weights", "entries", "per_cycle"),
    [
        (49, 192, (0.7, 0.3), SMALL_BLOCKS, 50, 5),  # 7x7 planes, few non-zeros
        (49, 160, (0.4, 0.6), SMALL_BLOCKS, 50, 5),
        (49, 300, (0.2, 0.6, 0.2), SMALL_BLOCKS, 50, 5),
        (49, 48, (0.4, 0.6), LARGE_BLOCKS, 50, 5),
        (64, 96, (0.0, 0.3, 0.4, 0.3), LARGE_BLOCKS, 25, 5),
        (16, 200, (0.5, 0.5), SMALL_BLOCKS, 20, 2),
        (49, 400, (0.9, 0.1), (0.3, 0.5, 0.2), 50, 1),
        (49, 100, FORTY_OR_NONE, (0.0, 1.0), 9, 5),
    ],
)
def test_a_group_takes_as_long_as_the_exact_kernel_finds(num_pes, num_blocks, own, weights, entries, per_cycle):
    span, waiting = walked(num_pes, num_blocks, own, weights, entries, per_cycle)
    phases = [Broadcast.of(num_blocks, Count(np.array(weights)))]
    owns = [Own(num_pes, [Count(np.array(own))])]
    slowest, waits = slowest_work(phases, owns), waiting_for_weights(phases, owns, (entries, per_cycle))
    assert slowest == pytest.approx(span - waiting, rel=0.04)
    assert slowest + waits == pytest.approx(span, rel=0.05)
    assert waits == pytest.approx(waiting, abs=0.05 * span)


def test_a_pe_with_much_work_or_none_is_waited_for_within_a_deviation():
    """100 blocks of 20 on average with a deviation of 200; the FIFO holds 9, which is 180."""
    _, waiting = walked(49, 100, FORTY_OR_NONE, (0.0, 1.0), 9, 5)
    phases, owns = [Broadcast.of(100, always(1))], [Own(49, [Count(np.array(FORTY_OR_NONE))])]
    assert waiting_for_weights(phases, owns, (9, 5)) == pytest.approx(waiting, rel=0.5)
    assert waiting > 50


def test_the_waits_of_these_groups_are_not_small():
    span, waiting = walked(49, 192, (0.7, 0.3), SMALL_BLOCKS, 50, 5)
    assert waiting > 0.15 * span


def test_weights_that_all_fit_the_fifo_are_not_waited_for():
    phases, owns = [Broadcast.of(7, always(7))], [Own(49, [COIN])]
    assert waiting_for_weights(phases, owns, (49, 5)) == 0.0
    assert waiting_for_weights(phases, owns, (0, 0)) == 0.0


def test_a_large_fifo_does_not_replace_a_fast_broadcast():
    """6000 vectors, 1000 of them there at first, one a cycle, for PEs that use half of them."""
    phases, owns = [Broadcast.of(3000, always(2))], [Own(8, [COIN])]
    total = slowest_work(phases, owns) + waiting_for_weights(phases, owns, (1000, 1))
    assert total == pytest.approx(5000, rel=0.02)
    assert waiting_for_weights(phases, owns, (1000, 5)) == pytest.approx(0.0, abs=10)


def test_a_smaller_fifo_is_waited_for_longer():
    phases, owns = [Broadcast.of(100, Count(np.array(SMALL_BLOCKS)))], [Own(49, [COIN])]
    waits = [waiting_for_weights(phases, owns, (entries, 5)) for entries in (3, 10, 25, 50, 100, 1000)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] == 0.0


def test_a_block_larger_than_the_fifo_is_a_meeting_for_each_piece():
    """PEs with 1 or 2 vectors: with two pieces of 20 a block, nobody begins one before all are in their last pass."""
    phases, owns = [Broadcast.of(30, always(40))], [Own(400, [Count(np.array([0.0, 0.5, 0.5]))])]
    total = slowest_work(phases, owns) + waiting_for_weights(phases, owns, (20, 50))
    assert 30 * 40 * 1.5 < total <= 30 * 40 * 2 * 1.02


def test_a_step_is_of_each_phase_as_often_as_the_phase_has_steps():
    mixed = Steps([1, 3], 2.0).mixture(Own(1, [COIN, DIE]))
    assert mixed.probability == pytest.approx(0.25 * np.append([0.5, 0.5], np.zeros(5)) + 0.75 * DIE.probability)


def test_a_single_block_of_a_vector_is_a_step():
    assert Steps.of([Broadcast(1, 1.0, 1.0)]).num_steps == [1]
    assert slowest_work([Broadcast(1, 1.0, 1.0)], [Own(2, [COIN])]) == pytest.approx(0.75)
