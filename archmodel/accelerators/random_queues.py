"""Accumulator banks under products whose banks are random: how long they hold the multipliers."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from archmodel.accelerators.random_blocks import Float64

MOST_ROUNDS = 50
MANY_ISSUES = 1 << 16  # a queue of 200 under as many arrivals as departures settles within its square
NEGLIGIBLE = 1e-15  # probability that is left out
SETTLED_CYCLES = 1e-4  # change of the expected stall at which the banks' mutual influence is settled


@dataclass(frozen=True, eq=False)
class RandomQueues:
    """The queues before a PE's banks.

    stall_cycles : expected cycles that a full queue adds to an issue, in the long run
    transition : float64[Q, Q], probability of a queue's length after an issue, from that before it
    num_banks : banks of a PE
    """

    stall_cycles: float
    transition: Float64
    num_banks: int

    def emptying(self, num_issues: float, num_pes: int = 1) -> tuple[float, float]:
        """Mean and variance of the longest queue of some PEs after a number of issues that began with empty queues."""
        lengths = np.linalg.matrix_power(self.transition, max(0, round(num_issues)))[0]
        below = np.minimum(np.cumsum(lengths), 1.0) ** (self.num_banks * num_pes)
        longest = np.diff(below, prepend=0.0)
        length = np.arange(longest.size)
        expected = float(length @ longest)
        return expected, max(float(length**2 @ longest) - expected**2, 0.0)


def random_queues(
    weight_fills: Float64, activation_fills: Float64, in_range: float, num_banks: int, depth: int
) -> RandomQueues:
    """Queues when every product goes to any bank alike, whatever the hash.

    A bank receives Binomial(products, in_range / num_banks) of an issue and retires one. Where that leaves a queue
    longer than `depth`, all banks retire while the multipliers wait, so each also loses what the others' longest queue
    is too long by. The others are taken as independent, which the iteration makes consistent.

    weight_fills, activation_fills : expected vectors with 0, 1, 2 ... entries
    """
    arrivals = bank_arrivals(weight_fills, activation_fills, in_range / num_banks)
    after_retiring = np.zeros((depth + 1, depth + max(arrivals.size, 2)))
    for before in range(depth + 1):
        after_retiring[before, before : before + arrivals.size] = arrivals
    after_retiring[:, 1] += after_retiring[:, 0]  # an empty queue has nothing to retire
    after_retiring = after_retiring[:, 1:]
    others = np.zeros(after_retiring.shape[1] - depth)
    others[0] = 1.0
    stall = 0.0
    for _ in range(MOST_ROUNDS):
        transition = shortened(after_retiring, others, depth)
        beyond = np.minimum(np.cumsum(long_run(transition) @ after_retiring)[depth:], 1.0)
        previous, stall = stall, float((1.0 - beyond**num_banks).sum())
        if abs(stall - previous) < SETTLED_CYCLES:
            break
        others = (others + np.diff(beyond ** (num_banks - 1), prepend=0.0)) / 2.0  # halfway, lest it swings
    return RandomQueues(stall, transition, num_banks)


def bank_arrivals(weight_fills: Float64, activation_fills: Float64, chance: float) -> Float64:
    """Probability that an issue sends 0, 1, 2 ... products to a bank."""
    pairs = np.outer(weight_fills, activation_fills)
    if not pairs.sum():
        return np.ones(1)
    products = np.outer(np.arange(weight_fills.size), np.arange(activation_fills.size))
    share = np.bincount(products.ravel(), pairs.ravel()) / pairs.sum()
    arrivals = share @ binomials(share.size, chance)
    return arrivals[: np.flatnonzero(arrivals > NEGLIGIBLE)[-1] + 1]


@cache
def binomials(size: int, chance: float) -> Float64:
    """Probability of 0, 1, 2 ... successes in 0, 1, 2 ... trials.  float64[size, size]"""
    probability = np.zeros((size, size))
    probability[0, 0] = 1.0
    for trials in range(1, size):
        probability[trials] = (1.0 - chance) * probability[trials - 1]
        probability[trials, 1:] += chance * probability[trials - 1, :-1]
    return probability


def shortened(after_retiring: Float64, others: Float64, depth: int) -> Float64:
    """Lengths when the multipliers go on: the queue's own excess or the `others`' has been retired by all."""
    transition = np.zeros((depth + 1, depth + 1))
    length = np.arange(after_retiring.shape[1])
    for excess in np.flatnonzero(others > NEGLIGIBLE):
        left = np.clip(length - np.maximum(excess, length - depth), 0, depth)
        np.add.at(transition.T, left, after_retiring.T * others[excess])
    return transition / transition.sum(axis=1, keepdims=True)


def long_run(transition: Float64) -> Float64:
    """Distribution of a queue that was empty many issues ago; where products arrive as fast as they go, it stays."""
    lengths: Float64 = np.linalg.matrix_power(transition, MANY_ISSUES)[0]
    return lengths / lengths.sum()
