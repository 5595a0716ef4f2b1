"""The register of bank counters against its steps in Python and against single products."""

import numpy as np
import pytest
from numba import njit

from archmodel.kernels.accumulator_banks import issue
from archmodel.kernels.lanes import (
    DONE,
    NO_WEIGHT,
    NUM_LANES,
    ROW_BYTES,
    ROW_SHIFT,
    WEIGHTS_PER_STEP,
    issue_rotated_in_python,
)

NO_BANKS = np.zeros((1, 1), np.uint8)  # rotations read no bank table


@njit
def _issue_compiled(queues, pe, counts, position, end_row, offsets, span, depth, bank_of):
    return issue(queues, pe, counts, position, end_row, offsets, span, depth, bank_of)


def issue_compiled(*arguments):
    return _issue_compiled(*arguments, NO_BANKS)


def position_of(row, step):
    return row << ROW_SHIFT | step


def counts_of(activation_banks):
    """One row of counts for each list of banks."""
    counts = np.zeros((len(activation_banks), ROW_BYTES), np.uint8)
    for row, banks in enumerate(activation_banks):
        for bank in banks:
            counts[row, [bank, bank + NUM_LANES]] += 1
    return counts


def product_by_product(queues, activation_banks, weight_banks, pairs, depth):
    """Queue lengths after the pairs (row, step), or after the one that overfills a queue, and that pair or None."""
    lengths = [int(length) for length in queues]
    for row, step in pairs:
        for activation in activation_banks[row]:
            for weight in weight_banks[step]:
                lengths[(activation + weight) % NUM_LANES] += 1
        lengths = [max(0, length - 1) for length in lengths]
        if max(lengths) > depth:
            return lengths, (row, step)
    return lengths, None


def offsets_of(weight_banks):
    offsets = np.full((len(weight_banks), WEIGHTS_PER_STEP), NO_WEIGHT, np.uint8)
    for step, banks in enumerate(weight_banks):
        offsets[step, : len(banks)] = [NUM_LANES - bank for bank in banks]
    return offsets


both = pytest.mark.parametrize("run", [issue_compiled, issue_rotated_in_python], ids=["compiled", "python"])


@both
@pytest.mark.parametrize("seed", range(60))
def test_the_register_is_a_queue_for_every_bank(run, seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 17))
    activation_banks = [rng.integers(0, NUM_LANES, rng.integers(1, width + 1)).tolist() for _ in range(4)]
    weight_banks = [rng.integers(0, NUM_LANES, rng.integers(0, WEIGHTS_PER_STEP + 1)).tolist() for _ in range(9)]
    depth = int(rng.choice([0, 1, 2, 8, 30, 100]))
    queues = rng.integers(0, depth + 1, (2, NUM_LANES), np.uint8)
    untouched = queues[0].copy()
    row, end_row = sorted(rng.integers(0, 5, 2).tolist())
    first, end = sorted(rng.integers(0, 10, 2).tolist())
    step = int(rng.integers(first, end + 1))  # a position may stand behind the last vector of its row
    pairs = [(r, s) for r in range(row, end_row) for s in range(first, end) if (r, s) >= (row, step)]
    lengths, stalled = product_by_product(queues[1], activation_banks, weight_banks, pairs, depth)
    counts, offsets = counts_of(activation_banks), offsets_of(weight_banks)
    outcome = run(queues, 1, counts, position_of(row, step), end_row, offsets, (first, end), np.uint8(depth))
    assert outcome == (DONE if stalled is None else position_of(stalled[0], stalled[1] + 1))
    assert queues[1].tolist() == lengths
    assert queues[0].tolist() == untouched.tolist()


@both
@pytest.mark.parametrize(
    ("depth", "position", "left"),
    [(2, position_of(0, 1), 3), (3, position_of(0, 2), 6), (8, position_of(0, 3), 9), (9, position_of(1, 1), 12)],
)
def test_a_stall_tells_the_position_behind_it(run, depth, position, left):
    counts = counts_of([[5], [5]])
    offsets = offsets_of([[0, 0, 0, 0]] * 3)  # four products for bank 5 a step, one of which retires
    queues = np.zeros((1, NUM_LANES), np.uint8)
    assert run(queues, 0, counts, 0, 2, offsets, (0, 3), np.uint8(depth)) == position
    assert queues[0].tolist() == [left if lane == 5 else 0 for lane in range(NUM_LANES)]


@both
def test_without_a_stall_all_rows_are_done(run):
    queues = np.zeros((1, NUM_LANES), np.uint8)
    counts, offsets = counts_of([[5], [5]]), offsets_of([[0, 0, 0, 0]] * 3)
    assert run(queues, 0, counts, 0, 2, offsets, (0, 3), np.uint8(18)) == DONE
    assert queues[0, 5] == 6 * 3


@both
def test_an_unused_slot_adds_nothing(run):
    queues = np.zeros((1, NUM_LANES), np.uint8)
    counts, offsets = counts_of([list(range(NUM_LANES))]), offsets_of([[]])
    assert run(queues, 0, counts, 0, 1, offsets, (0, 1), np.uint8(0)) == DONE
    assert not queues.any()


@both
def test_counters_hold_255_and_no_lane_carries_into_the_next(run):
    counts, offsets = counts_of([[7] * 16]), offsets_of([[0]])
    queues = np.zeros((1, NUM_LANES), np.uint8)
    queues[0, 7] = 239
    assert run(queues, 0, counts, 0, 1, offsets, (0, 1), np.uint8(239)) == position_of(0, 1)
    assert queues[0].tolist() == [254 if lane == 7 else 0 for lane in range(NUM_LANES)]
