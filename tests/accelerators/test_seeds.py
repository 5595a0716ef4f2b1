"""Mean and 95 % interval over placements of the zeros."""

import math
import random
import statistics
from dataclasses import replace

import numpy as np
import pytest

from archmodel.accelerators.seeds import Interval, SeedRuns, student_t
from archmodel.errors import ConfigError
from archmodel.simulation import simulate

SOURCES = {"weights": "density=0.3", "activations": "density=0.4"}


def run(**changes):
    return simulate("scnn", "lenet5", **(SOURCES | {"layers": "conv*"} | changes))


@pytest.mark.parametrize(("degrees", "quantile"), [(1, 12.706), (4, 2.776), (9, 2.262), (30, 2.042), (1000, 1.962)])
def test_quantiles_of_students_t_are_those_of_the_tables(degrees, quantile):
    # Abramowitz and Stegun, Handbook of Mathematical Functions, table 26.10
    assert student_t(degrees) == pytest.approx(quantile, abs=5e-4)


def test_an_interval_by_hand():
    interval = Interval.of([1.0, 2.0, 3.0])
    half_width = 4.303 * 1.0 / math.sqrt(3)  # t of 2 degrees of freedom; the standard deviation is 1
    assert interval.mean == 2.0
    assert interval.low == pytest.approx(2 - half_width, abs=1e-3)
    assert interval.high == pytest.approx(2 + half_width, abs=1e-3)
    assert interval.relative_half_width == pytest.approx(half_width / 2, abs=1e-3)
    assert interval.as_dict() == {"mean": 2.0, "ci95": [interval.low, interval.high]}


def test_one_value_says_nothing_about_the_spread():
    assert Interval.of([5]) == (5.0, -math.inf, math.inf)
    assert Interval.of([5, 5]) == (5.0, 5.0, 5.0)


def test_the_interval_covers_the_expectation_95_times_in_100():
    rng = np.random.default_rng(1)
    intervals = [Interval.of(rng.normal(10.0, 2.0, 5)) for _ in range(2000)]
    covered = statistics.fmean(low <= 10.0 <= high for _, low, high in intervals)
    assert 0.93 < covered < 0.97  # 4 standard errors


def test_every_seed_is_the_run_of_that_seed_alone():
    several = run(seed=3, seeds=3, baseline="dcnn")
    alone = [run(seed=seed) for seed in (3, 4, 5)]
    assert several.seeds.seeds == (3, 4, 5)
    assert several.seeds.cycles == tuple(tuple(layer.cycles for layer in one.layers) for one in alone)
    assert several.layers == alone[0].layers
    assert several.seeds.total_cycles.mean == statistics.fmean(one.cycles for one in alone)
    assert several.seeds.layer_cycles(1).mean == statistics.fmean(one.layers[1].cycles for one in alone)


def test_the_speedup_is_taken_seed_by_seed():
    several = run(seeds=4, baseline="dcnn")
    ratios = [run(seed=seed, baseline="dcnn").speedup for seed in range(4)]
    assert several.speedup_over_seeds.mean == pytest.approx(statistics.fmean(ratios), rel=1e-12)
    assert run(seeds=2).speedup_over_seeds is None
    assert run(baseline="dcnn").speedup_over_seeds is None


def test_runs_that_take_no_time_have_no_speedup():
    free = ("ppu.output_words_per_cycle=0", "ppu.halo_words_per_cycle=0", "memory.latency_s=0.0")
    several = run(seeds=2, baseline="dcnn", assignments=free, weights="density=0", activations="density=0")
    assert several.seeds.total_cycles == (0.0, 0.0, 0.0)
    assert several.speedup_over_seeds is None
    assert several.as_dict()["seeds"]["speedup"] is None


def test_what_json_shows_of_the_seeds():
    several = run(seeds=2, baseline="dcnn")
    shown = several.as_dict()["seeds"]
    assert shown["seeds"] == [0, 1]
    assert shown["cycles"] == several.seeds.total_cycles.as_dict()
    assert shown["energy_pj"] == several.seeds.total_energy_pj.as_dict()
    assert shown["speedup"] == several.speedup_over_seeds.as_dict()
    assert list(shown["layers"]) == [layer.name for layer in several.layers]
    assert shown["layers"]["conv2"] == several.seeds.layer_cycles(1).as_dict()
    assert run(seeds=2).as_dict()["seeds"]["speedup"] is None
    layers = [replace(several.layers[0], energy_pj={})]
    without = replace(several, layers=tuple(layers), seeds=SeedRuns.of(0, [layers] * 2))
    assert without.seeds.energy_pj == ((), ())
    assert without.as_dict()["seeds"]["energy_pj"] is None


def test_nothing_has_no_relative_half_width():
    assert Interval.of([0.0, 0.0]).relative_half_width == 0.0


def test_threads_do_not_change_the_interval():
    assert run(seeds=2, threads=1).as_dict() == run(seeds=2, threads=2).as_dict()


def test_energy_is_kept_where_every_layer_has_it():
    layers = run(seeds=1).layers
    rng = random.Random(0)
    with_energy = [list(layers)] * 2
    runs = SeedRuns.of(7, with_energy)
    known = all(layer.energy_pj for layer in layers)
    assert (runs.total_energy_pj is not None) == known
    assert runs.seeds == (7, 8)
    costs = tuple(tuple(rng.random() for _ in layers) for _ in range(3))
    spread = SeedRuns((0, 1, 2), ((1, 2),) * 3, costs)
    assert spread.total_energy_pj.mean == pytest.approx(statistics.fmean(map(sum, costs)))
    assert SeedRuns((0,), ((1,),), ((),)).total_energy_pj is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"seeds": 0}, "--seeds 0: must be at least 1"),
        ({"seeds": 10_001}, "--seeds 10001: must be at most 10000"),
        ({"seeds": 2, "fidelity": "statistical"}, "--seeds: statistical runs place no zeros; allowed with"),
    ],
)
def test_a_wrong_number_of_seeds_is_one_line(arguments, expected):
    with pytest.raises(ConfigError) as error:
        run(**arguments)
    assert str(error.value).startswith(expected)


def test_zeros_of_files_have_no_other_placements():
    with pytest.raises(ConfigError, match="--seeds: nothing is placed at random"):
        run(seeds=2, weights="w.npz", activations="a.npz")
