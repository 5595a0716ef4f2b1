"""Accumulator banks under products whose accumulators are random: how long they hold the multipliers."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np

from archmodel.accelerators.cartesian import Accumulators, Int64
from archmodel.accelerators.random_blocks import Float64, RandomBlock

MOST_ROUNDS = 50
MANY_ISSUES = 1 << 16  # a queue of 200 under as many arrivals as departures settles within its square
SETTLED_CYCLES = 1e-4  # change of the expected stall at which the banks' mutual influence is settled
FEW_STALLS = 1e-3  # cycles an issue below which it does not matter that queues are empty at first
FILLING = 4  # times the depth of a queue after which it is as long as it gets
NEGLIGIBLE = 1e-15  # probability that is left out
EQUAL_SHARES = 6  # decimals to which banks of equal load have the same share of the products


@dataclass(frozen=True, eq=False)
class RandomQueues:
    """The queues before a PE's banks, of kinds that get the same share of the products.

    stall_cycles : expected cycles that a full queue adds to an issue, in the long run
    retired : float64[kinds, Q, lengths], probability of a queue's length after an issue before any wait
    any_issue, last_row, last_issue : float64[kinds, Q, Q], probability of a queue's length after an issue, from that
        before it; of any, of one of the last activation vector, and of the last one of a channel
    row_issues : issues of an activation vector
    num_banks : int64[kinds]
    """

    stall_cycles: float
    retired: Float64
    any_issue: Float64
    last_row: Float64
    last_issue: Float64
    row_issues: float
    num_banks: Int64

    def stalls(self, num_issues: float) -> float:
        """Expected cycles that full queues add to each of a number of issues that began with empty queues."""
        if self.stall_cycles < FEW_STALLS:
            return self.stall_cycles
        depth = self.any_issue.shape[1] - 1
        lengths = np.zeros((self.num_banks.size, 1, depth + 1))
        lengths[:, :, 0] = 1.0
        issues = max(1, round(num_issues))
        filling = min(issues, FILLING * (depth + 1))
        total = 0.0
        for _ in range(filling):
            total += expected_wait((lengths @ self.retired)[:, 0], self.num_banks, depth)
            lengths = lengths @ self.any_issue
        return (total + (issues - filling) * self.stall_cycles) / issues

    def emptying(self, num_issues: float, num_pes: int = 1) -> tuple[float, float]:
        """Mean and deviation of the longest queue of some PEs after a number of issues that began with empty queues.

        The last issues are of the last vectors of a channel, which are seldom full.
        """
        issues = max(1, round(num_issues))
        of_row = min(max(1, round(self.row_issues)), issues)
        lengths = np.linalg.matrix_power(self.any_issue, issues - of_row)[:, :1]
        lengths = (lengths @ np.linalg.matrix_power(self.last_row, of_row - 1) @ self.last_issue)[:, 0]
        longest = increments(all_below(np.cumsum(lengths, axis=1), self.num_banks * num_pes))
        length = np.arange(longest.size)
        expected = float(length @ longest)
        return expected, max(float(length**2 @ longest) - expected**2, 0.0) ** 0.5


@dataclass(frozen=True, eq=False)
class Banks:
    """What the banks of a PE hold; arrays by bank.

    accumulators : int64[banks], those in use
    shares : float64[banks], of the products; those that are dropped are in none
    """

    accumulators: Int64
    shares: Float64

    @classmethod
    def of(
        cls, accumulators: Accumulators, rows: Float64, columns: Float64, first: tuple[int, int] = (0, 0)
    ) -> "Banks":
        """Banks of accumulators of which each row and column gets so many products, relative to the others.

        first : output row and column of the first accumulator, which some hashes look at
        """
        bank = accumulators.banks(*first)
        products = np.tile(np.outer(rows, columns).ravel(), accumulators.Kc)
        shares = np.bincount(bank, products, accumulators.num_banks) / max(products.sum(), 1.0)
        return cls(np.bincount(bank, minlength=accumulators.num_banks), shares)

    def times(self, kept: float) -> "Banks":
        """The same when only a fraction of the products is kept."""
        return Banks(self.accumulators, self.shares * kept)

    def kinds(self) -> "tuple[Banks, Int64]":
        """Banks that differ, and how many there are of each."""
        kinds = Counter(zip(self.accumulators.tolist(), np.round(self.shares, EQUAL_SHARES).tolist(), strict=True))
        accumulators, shares = zip(*kinds, strict=True)
        return Banks(np.array(accumulators), np.array(shares)), np.array(list(kinds.values()))


@dataclass(frozen=True, eq=False)
class Fills:
    """Expected vectors with 0, 1, 2 ... entries; of all, and of those that are a block's last."""

    every: Float64
    last: Float64

    @classmethod
    def of(cls, numbers: Int64, kinds: list[list[RandomBlock]]) -> "Fills":
        """Those of blocks, as many of each kind, of all phases."""
        blocks = [(number, block) for number, kind in zip(numbers, kinds, strict=True) for block in kind]
        return cls(
            np.array(sum(number * block.fills for number, block in blocks)),
            np.array(sum(number * block.last_fill for number, block in blocks)),
        )


def random_queues(weights: Fills, activations: Fills, banks: Banks, depth: int) -> RandomQueues:
    """Queues when each product goes to a bank with a given chance, and what the former issues sent does not matter.

    A bank receives products of an issue (`bank_arrivals`) and retires one. Where that leaves a queue longer than
    `depth`, all banks retire while the multipliers wait, so each also loses what the others' longest queue is too long
    by. The others are taken as independent, which the iteration makes consistent.
    """
    distinct, num_banks = banks.kinds()
    after_retiring = retired(bank_arrivals(weights.every, activations.every, distinct), depth)
    others = np.zeros((num_banks.size, after_retiring.shape[2] - depth))
    others[:, 0] = 1.0
    all_but_one = num_banks - np.eye(num_banks.size, dtype=np.int64)
    stall = 0.0
    for _ in range(MOST_ROUNDS):
        transition = shortened(after_retiring, others, depth)
        lengths = (long_run(transition)[:, np.newaxis] @ after_retiring)[:, 0]
        previous, stall = stall, expected_wait(lengths, num_banks, depth)
        if abs(stall - previous) < SETTLED_CYCLES:
            break
        within = np.cumsum(lengths, axis=1)[:, depth:]
        longest = np.array([all_below(within, number) for number in all_but_one])
        others = (others + increments(longest)) / 2.0  # halfway, lest it swings
    last_row, last_issue = (
        shortened(retired(bank_arrivals(fills, activations.last, distinct), depth), others, depth)
        for fills in (weights.every, weights.last)
    )
    row_issues = float(weights.every.sum() / max(weights.last.sum(), NEGLIGIBLE))
    return RandomQueues(stall, after_retiring, transition, last_row, last_issue, row_issues, num_banks)


def expected_wait(lengths: Float64, num_banks: Int64, depth: int) -> float:
    """Expected cycles until no queue is longer than `depth`; lengths : float64[kinds, lengths] of one of each kind."""
    return float((1.0 - all_below(np.cumsum(lengths, axis=1)[:, depth:], num_banks)).sum())


def retired(arrivals: Float64, depth: int) -> Float64:
    """Probability of each length after products arrived and one left, from a length of up to `depth` before."""
    after = np.zeros((arrivals.shape[0], depth + 1, depth + max(arrivals.shape[1], 2)))
    for before in range(depth + 1):
        after[:, before, before : before + arrivals.shape[1]] = arrivals
    after[:, :, 1] += after[:, :, 0]  # an empty queue has nothing to retire
    return after[:, :, 1:]


def increments(cumulated: Float64) -> Float64:
    """Probabilities from those of at most 0, 1, 2 ... along the last axis."""
    probability = cumulated.copy()
    probability[..., 1:] -= cumulated[..., :-1]
    return probability


def all_below(below: Float64, numbers: Int64) -> Float64:
    """Probability that all of some independent variables are below; below : float64[kinds, values] of one of a kind."""
    every: Float64 = np.prod(np.minimum(below, 1.0) ** numbers[:, np.newaxis], axis=0)
    return every


def bank_arrivals(weight_fills: Float64, activation_fills: Float64, banks: Banks) -> Float64:
    """Probability that an issue sends 0, 1, 2 ... products to each bank.  float64[banks, products]

    The products of one weight go to different accumulators, as do those of one activation: each accumulator of a bank
    gets at most one of each. So a bank gets Binomial(products of the shorter vector), with more trials, up to that
    limit, where its share needs them.
    """
    issues = np.outer(weight_fills, activation_fills)
    weights, activations = np.nonzero(issues)
    if not weights.size:
        return np.ones((banks.shares.size, 1))
    issues = issues[weights, activations]
    expected = weights * activations * banks.shares[:, np.newaxis]  # [banks, pairs of fills]
    one_each = np.minimum(weights, activations)
    most = np.minimum(one_each * np.maximum(banks.accumulators[:, np.newaxis], 1), weights * activations)
    trials = np.clip(np.ceil(expected).astype(np.int64), one_each, most)
    chance = np.minimum(expected / np.maximum(trials, 1), 1.0)[:, :, np.newaxis]
    sent = np.arange(int(trials.max()) + 1)
    ways = combinations(sent.size)[trials]
    kept = np.maximum(trials[:, :, np.newaxis] - sent, 0)
    arrivals: Float64 = np.einsum("p,kps->ks", issues / issues.sum(), ways * chance**sent * (1.0 - chance) ** kept)
    return arrivals[:, : np.flatnonzero(arrivals.max(axis=0) > NEGLIGIBLE)[-1] + 1]


@cache
def combinations(size: int) -> Float64:
    """Ways to choose some of a number.  float64[number, some]"""
    return np.array([[comb(number, some) for some in range(size)] for number in range(size)], np.float64)


def shortened(after_retiring: Float64, others: Float64, depth: int) -> Float64:
    """Lengths when the multipliers go on: the queue's own excess or the `others`' has been retired by all."""
    transition = np.zeros((depth + 1, others.shape[0], depth + 1))
    length = np.arange(after_retiring.shape[2])
    by_length = np.moveaxis(after_retiring, 2, 0)
    for excess in np.flatnonzero(others.max(axis=0) > NEGLIGIBLE):
        left = np.clip(length - np.maximum(excess, length - depth), 0, depth)
        np.add.at(transition, left, by_length * others[:, excess, np.newaxis])
    transition = np.moveaxis(transition, 0, 2)
    return transition / transition.sum(axis=2, keepdims=True)


def long_run(transition: Float64) -> Float64:
    """Distribution of a queue that was empty many issues ago; where products arrive as fast as they go, it stays."""
    lengths: Float64 = np.linalg.matrix_power(transition, MANY_ISSUES)[:, 0]
    return lengths / lengths.sum(axis=1, keepdims=True)
