"""Samples of a layer's units: what is walked, what the others are said to take, how often the interval holds."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.accelerators.context import Context
from archmodel.accelerators.sampling import (
    AIM,
    MOST_SAMPLED,
    PILOT_UNITS,
    SHORTEST,
    STUDENT_T,
    WIDEST,
    Expectation,
    split,
    spread,
    units_for,
    walk_all,
    walk_sample,
)
from archmodel.accelerators.seeds import student_t
from archmodel.memory.dram import load_memory

NUM_UNITS = 64


class Layer:
    """Units that take known cycles; remembers what was asked for."""

    def __init__(self, cycles, work=None, least=None, certain=None):
        self.cycles = np.asarray(cycles, np.int64)
        size = self.cycles.size
        self.expectation = Expectation(
            np.ones(size) if work is None else np.asarray(work, float),
            np.zeros(size, np.int64) if least is None else np.asarray(least, np.int64),
            np.zeros(size, bool) if certain is None else np.asarray(certain, bool),
        )
        self.asked = []

    def walk(self, units):
        assert (np.diff(units) > 0).all()
        self.asked += units.tolist()
        return np.column_stack([self.cycles[units], units])

    def sample(self, seed=0):
        self.asked = []
        walked = walk_sample(self.expectation, self.walk, np.random.default_rng(seed))
        assert sorted(self.asked) == walked.units.tolist()  # nothing is walked twice
        assert (walked.measured == np.column_stack([self.cycles[walked.units], walked.units])).all()
        assert (walked.cycles[walked.units] == self.cycles[walked.units]).all()
        assert (walked.low <= walked.cycles).all()
        assert (walked.cycles <= walked.high).all()
        return walked


def noisy_layer(spread, num_units=NUM_UNITS, seed=1):
    """Units of different size whose cycles scatter by `spread` around 1.3 times their expected work."""
    rng = np.random.default_rng(seed)
    work = rng.uniform(5000, 20000, num_units)
    return Layer(1.3 * work * (1 + spread * rng.standard_normal(num_units)), work)


def half_width(walked):
    return (walked.high.sum() - walked.low.sum()) / 2 / walked.cycles.sum()


def test_the_quantile_is_that_of_the_pilots_degrees_of_freedom():
    assert pytest.approx(student_t(PILOT_UNITS - 1), abs=1e-5) == STUDENT_T


def test_the_promise_is_two_per_cent():
    assert WIDEST == 0.02
    assert AIM < WIDEST


def test_a_pilot_is_enough_where_the_expectation_is_good():
    walked = noisy_layer(0.005).sample()
    assert walked.units.size == PILOT_UNITS
    assert 0 < half_width(walked) < WIDEST


def test_cycles_in_proportion_to_the_expectation_are_exact():
    work = np.arange(1, NUM_UNITS + 1)
    layer = Layer(300 * work, 100 * work)
    walked = layer.sample()
    assert walked.units.size == PILOT_UNITS
    assert (walked.cycles == layer.cycles).all()
    assert walked.high.sum() - walked.low.sum() <= 2  # rounding outwards


def test_a_sample_grows_until_the_interval_is_as_narrow_as_promised():
    layer = noisy_layer(0.04, num_units=200)
    walks = [layer.sample(seed) for seed in range(40)]
    assert max(half_width(walked) for walked in walks) <= WIDEST
    sizes = [walked.units.size for walked in walks]
    assert all(size <= 200 * MOST_SAMPLED or size == 200 for size in sizes)
    # 4 % of scatter need about 22 units: few pilots are lucky enough to look like less than half of it
    assert np.mean([PILOT_UNITS < size < 200 for size in sizes]) > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_units_that_scatter_too_much_are_all_walked(seed):
    layer = noisy_layer(0.5)
    walked = layer.sample(seed)
    assert walked.units.size == NUM_UNITS
    assert (walked.cycles == layer.cycles).all()
    assert half_width(walked) == 0


@pytest.mark.parametrize(("num_units", "walked"), [(1, 1), (20, 20), (21, PILOT_UNITS), (22, PILOT_UNITS)])
def test_a_layer_of_few_units_is_exact(num_units, walked):
    assert PILOT_UNITS == 21 * MOST_SAMPLED
    assert Layer([100] * num_units).sample().units.size == walked


@pytest.mark.parametrize(("spread", "seed"), [(0.005, 0), (0.005, 1), (0.04, 0), (0.04, 2)])
def test_the_interval_by_hand(spread, seed):
    layer = noisy_layer(spread, num_units=200)
    walked = layer.sample(seed)
    pilot, n, N = layer.asked[:PILOT_UNITS], walked.units.size, 200
    cycles, work = layer.cycles, layer.expectation.work
    ratio_of_pilot = cycles[pilot].sum() / work[pilot].sum()
    scatter = statistics.stdev(cycles[unit] - ratio_of_pilot * work[unit] for unit in pilot)
    half = 2.446912 * N * scatter * math.sqrt((1 - n / N) / n) * work.mean() / work[pilot].mean()
    estimate = cycles[walked.units].sum() / work[walked.units].sum() * work.sum()
    assert n == (PILOT_UNITS if spread < 0.01 else pytest.approx(30, abs=20))
    assert walked.cycles.sum() == pytest.approx(estimate, abs=1)
    assert walked.low.sum() == pytest.approx(estimate - half, abs=2)
    assert walked.high.sum() == pytest.approx(estimate + half, abs=2)


def test_a_sample_whose_estimate_falls_while_it_grows_is_walked_on():
    # The seven units that seed 0 draws first take twice as long as the others: 2 % of the estimate is half as much.
    pilot = noisy_layer(0.001, num_units=300).sample(0).units
    cycles = np.full(300, 1000)
    cycles[pilot] = 2000 + 60 * np.arange(-3, 4)
    walked = Layer(cycles).sample(0)
    assert walked.units.size == 300


def test_whole_cycles_keep_each_unit_within_its_ends():
    rng = np.random.default_rng(2)
    layer = Layer(1000 + rng.integers(-1, 2, 400), rng.uniform(999, 1001, 400))
    for seed in range(10):
        assert 0 < half_width(layer.sample(seed)) < 0.002


@pytest.mark.parametrize(("cycles", "walked"), [(SHORTEST - 1, NUM_UNITS), (SHORTEST, PILOT_UNITS)])
def test_short_units_are_all_walked(cycles, walked):
    assert Layer([cycles] * NUM_UNITS).sample().units.size == walked


def test_units_unlike_the_others_are_always_walked():
    certain = np.arange(NUM_UNITS) % 16 == 15
    cycles = np.where(certain, 70, 1000)
    layer = Layer(cycles, cycles + 300 * certain, certain=certain)
    for seed in range(5):
        walked = layer.sample(seed)
        assert walked.units.size == PILOT_UNITS + certain.sum()
        assert certain[walked.units].sum() == certain.sum()
        assert (walked.cycles == cycles).all()  # they do not enter the ratio


def test_units_take_at_least_what_is_known():
    # Units 0 to 31 take 10 % more than the least, the others the least; many samples suggest less than that for all.
    rng = np.random.default_rng(0)
    least = rng.integers(1000, 1010, NUM_UNITS)
    layer = Layer(least, rng.uniform(990, 1010, NUM_UNITS), least)
    at_least = 0
    for seed in range(20):
        walked = layer.sample(seed)
        assert (walked.cycles >= least).all()
        assert (walked.low >= least).all()
        at_least += walked.cycles.sum() == least.sum()
    assert 4 <= at_least <= 16  # the others are estimates from above


def test_units_without_work_take_no_time():
    work = np.where(np.arange(NUM_UNITS) < 30, 0, 5000)
    walked = Layer(2 * work, work).sample()
    assert walked.cycles.tolist() == (2 * work).tolist()
    assert Layer(np.zeros(NUM_UNITS), np.zeros(NUM_UNITS)).sample().cycles.tolist() == [0] * NUM_UNITS


def test_work_that_nobody_expects_is_walked():
    layer = Layer(np.arange(NUM_UNITS), np.zeros(NUM_UNITS))
    assert layer.sample().cycles.tolist() == list(range(NUM_UNITS))


@pytest.mark.parametrize("spread", [0.002, 0.01, 0.03])
def test_the_interval_holds_in_95_of_100_samples(spread):
    # 400 seeds: the count of holds is binomial, 95 % +- 3.3 % is three standard deviations.
    layer = noisy_layer(spread, num_units=150)
    walks = [layer.sample(seed) for seed in range(400)]
    holds = [walked.low.sum() <= layer.cycles.sum() <= walked.high.sum() for walked in walks]
    assert 0.917 <= np.mean(holds) <= 0.983
    errors = [walked.cycles.sum() / layer.cycles.sum() - 1 for walked in walks]
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 1e-4  # and the estimate is not biased


def test_every_unit_is_as_likely_as_any_other():
    layer = noisy_layer(0.001)
    counts = np.bincount(np.concatenate([layer.sample(seed).units for seed in range(600)]), minlength=NUM_UNITS)
    expected = 600 * PILOT_UNITS / NUM_UNITS
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_walking_all_measures_all():
    layer = Layer([5, 6, 7])
    walked = walk_all(3, layer.walk)
    assert walked.cycles.tolist() == walked.low.tolist() == walked.high.tolist() == [5, 6, 7]
    assert walked.rest.size == 0


@pytest.mark.parametrize("fidelity", ["exact", "sampled"])
def test_the_choice_depends_on_seed_and_layer_only(fidelity):
    layer = noisy_layer(0.005)

    def chosen(name="conv1", **changes):
        context = Context(load_memory("ideal"), fidelity=fidelity, **changes)
        return context.walk(name, NUM_UNITS, layer.walk, lambda: layer.expectation).units.tolist()

    assert chosen() == chosen() == chosen(threads=2) == chosen(input_on_chip=True)
    if fidelity == "exact":
        assert chosen() == list(range(NUM_UNITS))
    else:
        assert len({tuple(units) for units in (chosen(), chosen(seed=1), chosen("conv2"))}) == 3


def test_what_an_exact_walk_does_not_need_is_not_expected():
    context = Context(load_memory("ideal"))
    assert context.walk("conv1", 3, Layer([1, 2, 3]).walk, None).cycles.tolist() == [1, 2, 3]


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_count_is_shared_out_whole_and_in_proportion(total, weights):
    shares = split(total, weights)
    if not sum(weights):
        assert not shares.any()
        return
    assert shares.sum() == total
    exact = [total * weight / sum(weights) for weight in weights]
    assert all(abs(share - part) < 1 + 1e-6 for share, part in zip(shares, exact, strict=True))
    assert all(share == 0 for share, weight in zip(shares, weights, strict=True) if not weight)


@pytest.mark.parametrize("population", [30, 1000])
@pytest.mark.parametrize("half_width", [0.5, 3.0, 40.0, 900.0])
def test_no_fewer_units_have_an_interval_as_narrow(half_width, population):
    enough = units_for(half_width, 1.7, population)
    assert 1.7 * spread(enough, population) <= half_width
    if enough > 1:
        assert 1.7 * spread(enough - 1, population) > half_width


def test_only_all_units_are_enough_where_the_error_has_no_bound():
    assert units_for(10.0, 0.0, 30) == 0
    assert [units_for(*of, 30) for of in ((10.0, math.inf), (0.0, 1.0), (math.nan, 1.0))] == [30, 30, 30]


def test_nothing_is_shared_among_nobody():
    assert split(0, []).tolist() == []
