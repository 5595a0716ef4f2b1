"""Zeros that gather: as many as asked for, where the parameters say, and as real masks have them."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.operands import correlated
from archmodel.operands.correlated import (
    CorrelatedZeros,
    correlated_inputs,
    correlated_weights,
    field,
    load_zeros,
    mark_largest,
    row_counts,
    settled,
)
from archmodel.operands.mask_statistics import (
    channel_spread,
    correlation_length,
    lag_correlation,
    position_spread,
    row_spread,
    weight_spreads,
)
from archmodel.operands.sources import OperandSource
from archmodel.operands.synthetic import space_to_depth_cells

NONE = {
    "name": "by chance", "length": 0.0, "length_plane": 14, "length_exponent": 0.0, "channel_spread": 0.0,
    "position_spread": 0.0, "weight_filter_spread": 0.0, "weight_channel_spread": 0.0, "weight_kernel_spread": 0.0,
}  # fmt: skip


def pattern(**parameters):
    """A pattern that has the given parameters, and chance for the rest."""
    return CorrelatedZeros(**(NONE | parameters))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def spreads(most):
    return st.one_of(st.just(0.0), st.floats(0, most))


PATTERNS = st.builds(
    pattern,
    length=st.one_of(st.just(0.0), st.floats(0, 1e4)),
    length_exponent=st.floats(0, 1),
    channel_spread=spreads(0.9),
    position_spread=spreads(0.9),
    weight_filter_spread=spreads(0.3),
    weight_channel_spread=spreads(0.3),
    weight_kernel_spread=spreads(0.3),
)
SIZES = st.integers(1, 7)
SEEDS = st.integers(0, 2**32)


def same_twice(make, seed):
    """The mask that `make` makes of a random stream, after checking that the stream decides it."""
    mask = make(np.random.default_rng(seed))
    assert np.array_equal(mask, make(np.random.default_rng(seed)))
    return mask


@settings(deadline=None)
@given(PATTERNS, st.tuples(st.integers(1, 3), SIZES, SIZES, SIZES), st.floats(0, 1), SEEDS)
@example(pattern(length=1e4, channel_spread=0.9, position_spread=0.9), (1, 1, 1, 1), 1.0, 0)
@example(pattern(length=5e-324, channel_spread=0.9), (3, 7, 1, 1), 0.5, 0)
def test_as_many_activations_as_asked_for(zeros, shape, density, seed):
    count = round(density * math.prod(shape))
    mask = same_twice(lambda rng: correlated_inputs(rng, zeros, shape, count), seed)
    assert (mask.shape, mask.dtype, int(mask.sum())) == (shape, np.uint8, count)
    assert mask.max(initial=0) <= 1
    assert mask.flags.c_contiguous


@settings(deadline=None)
@given(PATTERNS, st.integers(1, 3), SIZES, st.tuples(SIZES, *[st.integers(1, 3)] * 2), st.floats(0, 1), SEEDS)
@example(pattern(weight_filter_spread=0.3, weight_channel_spread=0.3), 1, 1, (1, 1, 1), 0.4, 0)
def test_as_many_weights_as_asked_for(zeros, groups, filters, kernel, density, seed):
    shape = (groups * filters, *kernel)
    count = round(density * math.prod(shape))
    mask = same_twice(lambda rng: correlated_weights(rng, zeros, shape, count, groups), seed)
    assert (mask.shape, mask.dtype, int(mask.sum())) == (shape, np.uint8, count)
    assert mask.max(initial=0) <= 1


@settings(deadline=None, max_examples=50)
@given(PATTERNS, st.sampled_from([(11, 11, 4), (3, 3, 2), (2, 3, 4)]), SIZES, SIZES, st.floats(0, 1), SEEDS)
def test_weights_of_a_rearranged_kernel_stand_on_its_own_positions(zeros, kernel, K, channels, density, seed):
    R, S, stride = kernel
    shape = (K, channels * stride**2, -(-R // stride), -(-S // stride))
    allowed = space_to_depth_cells(shape, kernel)
    count = round(density * int(allowed.sum()))
    mask = correlated_weights(np.random.default_rng(seed), zeros, shape, count, 1, allowed, stride**2)
    assert int(mask.sum()) == count
    assert not mask[~allowed].any()


@pytest.mark.parametrize("cells_at_a_time", [1, 100, 10**6])
def test_parts_of_a_layer_are_exact_too(rng, monkeypatch, cells_at_a_time):
    monkeypatch.setattr(correlated, "CELLS_AT_A_TIME", cells_at_a_time)
    zeros = load_zeros("correlated")
    inputs = correlated_inputs(rng, zeros, (2, 40, 9, 9), 2345)
    weights = correlated_weights(rng, zeros, (40, 30, 3, 3), 3456)
    assert (int(inputs.sum()), int(weights.sum())) == (2345, 3456)
    assert correlation_length(inputs) == pytest.approx(zeros.length_on(9, 9), rel=0.35)
    assert weight_spreads(weights)[2] == pytest.approx(zeros.weight_kernel_spread, rel=0.25)
    for shape in ((400, 12, 3, 3), (400, 108, 1, 1)):
        uneven = correlated_weights(rng, pattern(weight_filter_spread=0.3), shape, 14_000)
        assert weight_spreads(uneven)[0] == pytest.approx(0.3, rel=0.25)


def test_streams_of_seeds_differ():
    zeros = load_zeros("correlated")
    masks = {correlated_inputs(np.random.default_rng(seed), zeros, (1, 8, 8, 8), 200).tobytes() for seed in range(5)}
    masks |= {correlated_weights(np.random.default_rng(seed), zeros, (8, 8, 3, 3), 200).tobytes() for seed in range(5)}
    assert len(masks) == 10


# The parameters are what is measured. Tolerances are about four standard deviations over seeds.


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.24, 0.6, 0.9])
@pytest.mark.parametrize("density", [0.15, 0.5, 0.9])
def test_channels_spread_as_asked(rng, spread, density):
    shape = (1, 1500, 8, 8)
    mask = correlated_inputs(rng, pattern(channel_spread=spread), shape, round(density * math.prod(shape)))
    assert channel_spread(mask) == pytest.approx(spread, abs=0.002 + 0.2 * spread)
    assert abs(lag_correlation(mask, 0, 1) + 1 / 64) < 0.02  # one of 64 cells that share a count
    assert abs(position_spread(mask)) < 0.002


@pytest.mark.parametrize(("length", "plane"), [(0.5, 28), (1.7, 7), (2.4, 14), (3.4, 28), (7.0, 28), (10.0, 56)])
@pytest.mark.parametrize("spread", [0.0, 0.24])
def test_patches_are_as_long_as_asked(rng, length, plane, spread):
    shape = (1, 300000 // plane**2, plane, plane)
    zeros = pattern(length=length, channel_spread=spread)
    mask = correlated_inputs(rng, zeros, shape, round(0.4 * math.prod(shape)))
    assert correlation_length(mask) == pytest.approx(length, rel=0.12)


def test_a_length_is_of_its_plane_and_grows_with_others():
    zeros = pattern(length=2.0, length_plane=14, length_exponent=0.5)
    assert zeros.length_on(14, 14) == zeros.length_on(7, 28) == 2.0
    assert zeros.length_on(56, 56) == pytest.approx(4.0)
    assert pattern(length=2.0).length_on(56, 7) == 2.0


def test_correlation_falls_exponentially_along_rows_and_columns(rng):
    normals = field(rng, (40, 30, 400, 1), math.exp(-1 / 3)).astype(float)
    assert normals[0].var() == pytest.approx(1, abs=0.06)
    assert normals[-1, -1].var() == pytest.approx(1, abs=0.3)
    assert normals.var() == pytest.approx(1, abs=0.03)
    for down, right in ((1, 0), (0, 1), (2, 3), (0, 9)):
        products = normals[down:, right:] * normals[: 40 - down, : 30 - right]
        assert products.mean() == pytest.approx(math.exp(-(down + right) / 3), abs=0.03)


@pytest.mark.parametrize("spread", [0.032, 0.1, 0.3])
@pytest.mark.parametrize("other", [0.0, 0.24])
def test_positions_are_busy_in_all_channels_as_asked(rng, spread, other):
    # length 0: 1,600 positions vary independently
    mask = correlated_inputs(rng, pattern(position_spread=spread, channel_spread=other), (1, 200, 40, 40), 130_000)
    assert position_spread(mask) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("shape", [(512, 96, 3, 3), (384, 384, 1, 1)])
@pytest.mark.parametrize("asked", [(0.0, 0.0, 0.0), (0.2, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.2), (0.1, 0.1, 0.2)])
def test_weights_spread_as_asked(rng, shape, asked):
    names = ("weight_filter_spread", "weight_channel_spread", "weight_kernel_spread")
    zeros = pattern(**dict(zip(names, asked, strict=True)))
    found = weight_spreads(correlated_weights(rng, zeros, shape, round(0.3 * math.prod(shape))))
    possible = (*asked[:2], asked[2] if shape[2] > 1 else 0.0)
    tolerances = (0.25, 0.45, 0.1)  # of 512 filters, 96 channels and 49,152 kernels
    for one, wanted, tolerance in zip(found, possible, tolerances, strict=True):
        assert one == pytest.approx(wanted, abs=0.004 + tolerance * wanted)


def test_input_channels_spread_as_asked_beside_uneven_filters(rng):
    zeros = pattern(weight_filter_spread=0.4, weight_channel_spread=0.2)
    filters, channels, _ = weight_spreads(correlated_weights(rng, zeros, (1000, 1000, 1, 1), 200_000))
    assert filters == pytest.approx(0.4, rel=0.15)
    assert channels == pytest.approx(0.2, rel=0.15)


def test_what_one_channel_has_in_common_leaves_the_filters_alone():
    zeros = pattern(weight_filter_spread=0.3, weight_channel_spread=0.4)
    for seed in range(5):
        weights = correlated_weights(np.random.default_rng(seed), zeros, (1500, 1, 3, 3), 4000)
        assert weight_spreads(weights)[0] == pytest.approx(0.3, rel=0.2)


def test_kernels_of_one_weight_have_no_spread_of_their_own():
    alone, with_kernels = (
        correlated_weights(np.random.default_rng(1), pattern(weight_kernel_spread=spread), (50, 60, 1, 1), 900)
        for spread in (0.0, 0.4)
    )
    assert np.array_equal(alone, with_kernels)


def test_full_filters_stay_full(rng):
    weights = correlated_weights(rng, pattern(weight_filter_spread=0.5), (500, 60, 1, 1), 27_000)
    assert (weights.reshape(500, 60).mean(axis=1) == 1).mean() > 0.4
    # probit-normal: 6 % of the filters have a density below 0.5
    assert (weights.reshape(500, 60).mean(axis=1) < 0.1).mean() < 0.05


def test_a_channel_is_dead_in_all_images(rng):
    mask = correlated_inputs(rng, pattern(channel_spread=0.8, length=2.0), (4, 300, 12, 12), 40_000)
    densities = mask.mean(axis=(2, 3))
    assert np.corrcoef(densities)[np.triu_indices(4, 1)].min() > 0.9
    assert (densities.max(axis=0) == 0).sum() > 100


def test_a_busy_position_is_one_of_its_image(rng):
    mask = correlated_inputs(rng, pattern(position_spread=0.3), (2, 200, 20, 20), 80_000)
    first, second = mask.mean(axis=1).reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_of_planes_of_one_position_only_the_channels_spread():
    shape, count = (6, 500, 1, 1), 900
    channels = pattern(channel_spread=0.3)
    masks = [
        correlated_inputs(np.random.default_rng(1), zeros, shape, count)
        for zeros in (channels, channels.model_copy(update={"position_spread": 0.5, "length": 9.0}))
    ]
    assert np.array_equal(*masks)
    assert channel_spread(masks[0]) == pytest.approx(0.3, abs=0.08)


def test_groups_have_input_channels_of_their_own(rng, monkeypatch):
    monkeypatch.setattr(correlated, "CELLS_AT_A_TIME", 64 * 9 * 10)  # ten filters
    weights = correlated_weights(rng, pattern(weight_channel_spread=0.5), (256, 64, 3, 3), 40_000, groups=2)
    halves = weights[:128].mean(axis=(0, 2, 3)), weights[128:].mean(axis=(0, 2, 3))
    assert min(half.std() for half in halves) > 0.2
    assert abs(np.corrcoef(*halves)[0, 1]) < 0.5
    alone = correlated_weights(rng, pattern(weight_channel_spread=0.5), (256, 64, 3, 3), 40_000)
    halves = alone[:128].mean(axis=(0, 2, 3)), alone[128:].mean(axis=(0, 2, 3))
    assert np.corrcoef(*halves)[0, 1] > 0.99


def test_the_phases_of_a_rearranged_channel_are_one_channel(rng):
    shape, kernel = (64, 4 * 32, 2, 2), (4, 4, 2)
    allowed = space_to_depth_cells(shape, kernel)
    zeros = pattern(weight_channel_spread=0.5)
    weights = correlated_weights(rng, zeros, shape, 12_000, 1, allowed, 4)
    densities = weights.mean(axis=(0, 2, 3)).reshape(32, 4)
    assert densities.mean(axis=1).std() > 0.2
    assert densities.std(axis=1).max() < 0.1


def test_without_a_pattern_counts_vary_as_by_chance(rng):
    rows, cells, total = 4000, 50, 60_000
    counts = row_counts(rng, rows, cells, total, 0.0)
    # hypergeometric: 0.3 * 0.7 * 50, less one part in 4,000; the estimate's standard deviation is 2 %
    assert counts.var() == pytest.approx(0.3 * 0.7 * cells, rel=0.1)
    assert counts.sum() == total
    mask = correlated_weights(rng, pattern(), (1000, 50, 1, 1), 15_000)
    assert abs(row_spread(mask.reshape(1000, 50))) < 0.005


@pytest.mark.parametrize("total", [0, 1, 7, 11, 12])
def test_what_chance_lacks_goes_where_there_is_room(rng, total):
    for counts in ([0, 0, 0], [4, 4, 4], [4, 0, 1]):
        found = settled(rng, np.array(counts), 4, total)
        assert found.sum() == total
        assert found.min() >= 0
        assert found.max() <= 4


def test_what_chance_lacks_goes_to_any_free_cell_alike(rng):
    free = np.zeros(3)
    for _ in range(3000):
        free += settled(rng, np.array([0, 5, 9]), 10, 15) - np.array([0, 5, 9])
    assert free / 3000 == pytest.approx([10 / 16, 5 / 16, 1 / 16], abs=0.05)


def test_of_equal_cells_the_first_are_marked():
    latent = np.array([[1, 2, 2, 2, 0], [1, 1, 1, 1, 1], [3, 3, 0, 0, 0], [0, 1, 2, 3, 4]], np.float32)
    mask = np.zeros((4, 5), np.uint8)
    mark_largest(mask, latent, np.array([2, 3, 0, 5]))
    assert mask.tolist() == [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0] * 5, [1] * 5]


def test_the_spreads_of_weights_are_those_of_the_pruned_squeezenet():
    network, zeros = read_network("squeezenet_pruned"), load_zeros("correlated")
    masks = [OperandSource(network).operands(layer).weights for layer in network.compute_layers]
    pruned = [mask for mask in masks if mask.mean() < 0.9]
    filters, channels, _ = np.median([weight_spreads(mask) for mask in pruned], axis=0)
    kernels = np.median([weight_spreads(mask)[2] for mask in pruned if mask[0, 0].size > 1])
    assert (len(pruned), sum(mask[0, 0].size > 1 for mask in pruned)) == (13, 8)
    assert zeros.weight_filter_spread == pytest.approx(filters, abs=0.0005)
    assert zeros.weight_channel_spread == pytest.approx(channels, abs=0.0005)
    assert zeros.weight_kernel_spread == pytest.approx(kernels, abs=0.005)


# --zeros


def test_uniform_is_no_pattern():
    assert load_zeros("uniform") is None


def test_a_pattern_is_the_file_with_what_is_changed():
    measured = load_zeros("correlated")
    assert measured.model_dump() == config.read("zeros", "correlated")[0]
    changed = load_zeros("correlated:length=3,channel_spread=0.3")
    assert changed.model_dump() == measured.model_dump() | {"length": 3, "channel_spread": 0.3}


def test_the_spreads_of_weights_may_leave_a_tenth_to_chance():
    assert pattern(weight_filter_spread=0.9).weight_filter_spread == 0.9
    with pytest.raises(ValueError, match=r"must add up to at most 0\.9"):
        pattern(weight_filter_spread=0.9, weight_channel_spread=1e-9)


def test_a_pattern_may_be_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in NONE.items()))
    assert load_zeros(str(path)) == pattern()
    assert load_zeros(f"{path}:length=2.0") == pattern(length=2.0)


FORMS = "allowed: uniform, correlated, correlated:key=value,key=value or the path of a .toml file"
KEYS = ", ".join(NONE)
MEASURED, TOO_MUCH = "configs/zeros/correlated.toml", "the spreads of the weights must add up to at most 0.9"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"--zeros '': {FORMS}"),
        ("corelated", f"--zeros 'corelated': {FORMS}; did you mean 'correlated'?"),
        ("uniform:length=3", f"--zeros 'uniform:length=3': {FORMS}"),
        ("correlated:", f"--zeros 'correlated:': {FORMS}"),
        ("correlated:lenght=3",
         f"--zeros lenght=3: unknown key at the top level; allowed: {KEYS}; did you mean 'length'?"),
        ("correlated:length=long", "--zeros length=long: must be a number"),
        ("correlated:length=-1", "--zeros length=-1: must be at least 0"),
        ("correlated:channel_spread=1.0", "--zeros channel_spread=1.0: must be at most 0.9"),
        ("correlated:length=1,length=2", "--zeros length=2: length is already set by another --zeros"),
        ("correlated:weight_filter_spread=0.9", f"{MEASURED} with --zeros weight_filter_spread=0.9: {TOO_MUCH}"),
        ("nowhere.toml", "nowhere.toml: no such file"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_said_in_one_line(text, message):
    with pytest.raises(ConfigError) as error:
        load_zeros(text)
    assert str(error.value) == message
