"""Pruning: exact counts, the largest survive, structures hold, layers are read when they are asked for."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.weights import magnitude
from archmodel.weights.gradual_pruning import Masks, cubic_schedule, narrowed
from archmodel.weights.pruning import (
    Pruned,
    keep_beyond_deviation,
    keep_largest,
    profile,
    pruned,
    pruned_by_deviation,
    pruned_by_layer,
    pruned_globally,
)
from archmodel.weights.structured_pruning import keep_blocks, keep_channels, keep_filters, keep_n_of_m

TYPES = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32]
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=6)
# Few different magnitudes, so that many are equal.
FEW = st.sampled_from([-2, -1, -0.5, 0, 0.5, 1, 2])
TENSORS = hnp.arrays(np.float32, SHAPES, elements=FEW)
ANY = hnp.arrays(np.float64, SHAPES, elements=st.floats(-1e300, 1e300))
MATRICES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=7), elements=FEW)
DENSITY = st.floats(0, 1)
LENET = ("ip1", "ip2", "ip3")


class Asked(dict):
    """Layers that count how often each is read."""

    def __init__(self, layers):
        super().__init__(layers)
        self.reads = dict.fromkeys(layers, 0)

    def __getitem__(self, name):
        self.reads[name] += 1
        return super().__getitem__(name)


def unstated():
    """A network with a layer of which nothing is known."""
    network = read_network("lenet300_100")
    zeros = {name: zeros for name, zeros in network.zeros.items() if name != "ip2"}
    return dataclasses.replace(network, zeros=zeros)


def sorted_out(layers, num_kept):
    """By sorting all weights: magnitude down, then layer, then place."""
    cells = [
        (-abs(float(value)), which, place)
        for which, weights in enumerate(layers.values())
        for place, value in enumerate(weights.ravel())
    ]
    kept = {cell[1:] for cell in sorted(cells)[:num_kept]}
    return [
        np.array([(which, place) in kept for place in range(weights.size)]).reshape(weights.shape)
        for which, weights in enumerate(layers.values())
    ]


@given(st.one_of(TENSORS, ANY), DENSITY)
def test_as_many_survive_as_are_asked_for_and_they_are_the_largest(weights, density):
    keep = keep_largest(weights, density)
    [expected] = sorted_out({"x": weights}, round(density * weights.size))
    np.testing.assert_array_equal(keep, expected)
    made = pruned(weights, keep)
    assert np.count_nonzero(made) == min(round(density * weights.size), np.count_nonzero(weights))
    np.testing.assert_array_equal(pruned(made, keep_largest(made, density)), made)


@given(st.lists(st.one_of(TENSORS, ANY), min_size=1, max_size=4), DENSITY)
def test_one_threshold_over_all_layers(arrays, density):
    layers = {str(index): array for index, array in enumerate(arrays)}
    num_kept = round(density * sum(array.size for array in arrays))
    made = pruned_globally(layers, density)
    assert list(made) == list(layers)
    assert len(made) == len(layers)
    for (name, weights), keep in zip(layers.items(), sorted_out(layers, num_kept), strict=True):
        np.testing.assert_array_equal(made[name], np.where(keep, weights, 0))


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_of_every_type_keep_it(dtype):
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    weights = np.array([3, info.max, 1, info.min, 2, 0], dtype)
    made = pruned(weights, keep_largest(weights, 0.5))
    assert made.dtype == dtype
    largest = [3, info.max, 0, 0, 2, 0] if info.min == 0 else [3, info.max, 0, info.min, 0, 0]
    np.testing.assert_array_equal(made, np.array(largest, dtype))


def test_magnitudes_that_float32_cannot_tell_apart_are_told_apart():
    weights = np.array([1 + 1e-12, 1 + 2e-12, -(1 + 3e-12), 1])
    assert keep_largest(weights, 0.5).tolist() == [False, True, True, False]
    layers = {"a": np.array([1, 2], np.float32), "b": np.array([1 + 1e-12, 0.5])}
    assert pruned_globally(layers, 0.5)["b"].tolist() == [1 + 1e-12, 0]
    assert pruned_globally(layers, 0.5)["a"].tolist() == [0, 2]


@pytest.mark.parametrize("at_a_time", [1, 3, 1000])
def test_weights_are_looked_at_in_parts(monkeypatch, at_a_time):
    monkeypatch.setattr(magnitude, "CELLS_AT_A_TIME", at_a_time)
    weights = np.array([[1, -2, 2, 1], [2, 1, 2, 0]], np.float32)
    # Three of the four of magnitude 2, in C order.
    assert keep_largest(weights, 3 / 8).astype(int).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    layers = {"a": weights, "b": weights.T}
    made = pruned_globally(layers, 6 / 16)
    assert made["a"].tolist() == [[0, -2, 2, 0], [2, 0, 2, 0]]
    assert made["b"].tolist() == [[0, 2], [-2, 0], [0, 0], [0, 0]]


def test_layers_are_read_one_digit_at_a_time_and_made_when_asked_for():
    rng = np.random.default_rng(0)
    layers = Asked({name: rng.normal(size=(30, 40)).astype(np.float32) for name in "abc"})
    made = pruned_globally(layers, 0.25)
    assert layers.reads == dict.fromkeys("abc", 3)  # the sizes and two digits
    sizes = [np.count_nonzero(made[name]) for name in "abc"]
    assert sum(sizes) == 900
    assert layers.reads == dict.fromkeys("abc", 4)
    one = pruned_by_layer(layers, {"a": 0.1, "b": 0.2, "c": 1})
    assert layers.reads == dict.fromkeys("abc", 4)
    assert np.count_nonzero(one["b"]) == 240
    assert layers.reads == {"a": 4, "b": 5, "c": 4}


def test_the_deviation_of_a_layer_is_its_scale():
    """Mean 1, squares of the distances 9 + 1 + 1 + 9 = 20 over 4: a deviation of the root of 5, 2.236."""
    weights = np.array([-2, 0, 2, 4], np.float32)
    assert keep_beyond_deviation(weights, 0.89).tolist() == [True, False, True, True]  # 1.990
    assert keep_beyond_deviation(weights, 0.90).tolist() == [False, False, False, True]  # 2.012
    assert keep_beyond_deviation(weights, 0).tolist() == [True, False, True, True]
    assert pruned_by_deviation({"a": weights, "b": weights * 1000}, 0.9)["b"].tolist() == [0, 0, 0, 4000]


@given(st.lists(TENSORS, min_size=1, max_size=3), st.floats(0, 4))
def test_a_larger_quality_keeps_no_more(arrays, quality):
    for weights in arrays:
        keep, fewer = (keep_beyond_deviation(weights, value) for value in (quality, quality + 0.5))
        assert not (fewer & ~keep).any()


def test_neighbours_along_channels_compete_and_the_first_wins_a_draw():
    weights = np.array([[1, -3, 2, 3, 5, 5, 5, 5, 0, 1]], np.float32)
    expected = [[0, 1, 0, 1, 1, 1, 0, 0, 1, 1]]
    assert keep_n_of_m(weights, 2, 4).astype(int).tolist() == expected
    turned = np.stack([weights.T, weights.T[::-1]], axis=2)[np.newaxis, :, :, :]  # [1, 10, 1, 2]
    keep = keep_n_of_m(turned, 2, 4)
    assert keep[0, :, 0, 0].astype(int).tolist() == expected[0]
    # 1 0 5 5 | 5 5 3 2 | -3 1
    assert keep[0, :, 0, 1].astype(int).tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 1, 1]


@given(MATRICES, st.integers(1, 4), st.integers(0, 3))
def test_every_group_holds_n_of_m_and_the_largest(weights, N, more):
    keep, M = keep_n_of_m(weights, N, N + more), N + more
    for k, *place in itertools.product(range(weights.shape[0]), *(range(size) for size in weights.shape[2:])):
        column, kept = weights[(k, slice(None), *place)], keep[(k, slice(None), *place)]
        for first in range(0, len(column), M):
            group = sorted(range(first, min(first + M, len(column))), key=lambda c: (-abs(column[c]), c))
            assert sorted(group[:N]) == [c for c in sorted(group) if kept[c]]


def test_filters_and_channels_go_whole():
    weights = np.zeros((3, 2, 1, 2), np.float32)
    weights[0, 0], weights[1, 1], weights[2] = [[3, 0]], [[-1, -1]], [[1, 1]]
    # L1 norms of filters 3, 2, 4; of channels 3 + 0 + 2 = 5 and 0 + 2 + 2 = 4.
    assert keep_filters(weights, 2 / 3)[:, 1, 0, 1].tolist() == [True, False, True]
    assert keep_filters(weights, 1 / 3).all(axis=(1, 2, 3)).tolist() == [False, False, True]
    assert keep_channels(weights, 0.5).all(axis=(0, 2, 3)).tolist() == [True, False]
    assert not keep_channels(weights, 0.5)[:, 1].any()
    assert keep_filters(np.ones((4, 3)), 0.5).all(axis=1).tolist() == [True, True, False, False]


def test_blocks_go_whole_and_those_at_the_ends_count_by_their_mean():
    weights = np.array([[1, 1, 4], [1, -2, 0], [-3, 0, 2]], np.float32)
    # Means of 2 x 2 blocks: 5/4, 4/2, 3/2, 2/1.
    assert keep_blocks(weights, 0.25, 2, 2).astype(int).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert keep_blocks(weights, 0.5, 2, 2).astype(int).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert keep_blocks(weights, 0.75, 2, 2).astype(int).tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 1]]
    # 1 x 3: means 2, 1, 5/3.
    assert keep_blocks(weights, 2 / 3, 1, 3).all(axis=1).tolist() == [True, False, True]
    # 3 x 1 blocks of two kernel positions: means 5/3, 1, 2 and 5, 3, 6.
    both = np.stack([weights, weights * 3], axis=2)
    assert keep_blocks(both, 0.5, 3, 1).all(axis=0).tolist() == [[False, True], [False, True], [False, True]]
    assert keep_blocks(both, 4 / 6, 3, 1).all(axis=0).tolist() == [[False, True], [False, True], [True, True]]


@given(MATRICES, DENSITY, st.integers(1, 4), st.integers(1, 4))
def test_as_many_blocks_filters_and_channels_survive_as_are_asked_for(weights, density, height, width):
    K, C = weights.shape[:2]
    keep = keep_blocks(weights, density, height, width)
    blocks = keep[::height, ::width]
    assert np.count_nonzero(blocks) == round(density * blocks.size)
    np.testing.assert_array_equal(keep, blocks.repeat(height, 0)[:K].repeat(width, 1)[:, :C])
    assert np.count_nonzero(keep_filters(weights, density)) == round(density * K) * weights[0].size
    assert np.count_nonzero(keep_channels(weights, density)) == round(density * C) * weights[:, 0].size


def test_a_schedule_goes_down_by_the_third_power():
    """Zhu and Gupta, eq. 1: after half of the steps seven eighths of the way."""
    assert cubic_schedule(1, 0.2, 2) == pytest.approx((1, 0.2 + 0.8 / 8, 0.2))
    assert cubic_schedule(0.5, 0.5, 1) == (0.5, 0.5)
    assert cubic_schedule(0.9, 0, 3) == pytest.approx((0.9, 0.9 * 8 / 27, 0.9 / 27, 0))


def test_what_is_pruned_stays_so():
    before = np.array([5, 4, -3, 2, 1, 0], np.float32)
    masks = Masks({"a": before})
    assert masks.prune({"a": before}, 0.5)["a"].tolist() == [5, 4, -3, 0, 0, 0]
    trained = np.array([0.1, 0, -3, 9, 9, 9], np.float32)
    assert masks.hold({"a": trained})["a"].tolist() == [np.float32(0.1), 0, -3, 0, 0, 0]
    assert masks.densities == {"a": 0.5}
    assert masks.prune({"a": trained}, {"a": 1 / 3})["a"].tolist() == [np.float32(0.1), 0, -3, 0, 0, 0]
    assert masks.densities == {"a": 1 / 3}
    masks.prune({"a": trained}, 1)  # never back
    assert masks.densities == {"a": 1 / 3}
    assert masks.by_layer["a"].tolist() == [True, False, True, False, False, False]
    assert not narrowed(np.zeros(3, bool), np.ones(3), 0.5).any()


def test_a_weight_that_is_zero_by_chance_is_not_pruned_for_that():
    masks = Masks({"a": np.zeros(4)})
    masks.prune({"a": np.array([0, 1.0, 0, 0])}, 0.5)
    assert masks.by_layer["a"].tolist() == [True, True, False, False]


def test_a_profile_is_what_the_file_of_the_network_states():
    alexnet = profile(read_network("alexnet"))
    assert list(alexnet) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert round(alexnet["conv1"] * 96 * 3 * 11 * 11) == 29_452
    assert alexnet["conv2"] == 116_407 / (256 * 48 * 5 * 5)
    assert alexnet["fc8"] == pytest.approx(0.25)
    rows = profile(read_network("alexnet_scnn"))
    layers = {layer.name: layer for layer in read_network("alexnet_scnn").compute_layers}
    assert round(rows["conv1"] * layers["conv1"].weight_words) == 29_452
    squeezenet = read_network("squeezenet_pruned")
    first = squeezenet.compute_layers[0]
    assert 0 < profile(squeezenet)[first.name] < 1
    assert sum(profile(squeezenet)[layer.name] * layer.weight_words for layer in squeezenet.compute_layers) == (
        pytest.approx(415_921)  # non-zeros of the released file: configs/published/squeezenet_code.toml
    )


def test_a_density_of_a_rearranged_kernel_is_of_the_weights_that_it_has():
    """conv1 of AlexNet, 11 x 11 with stride 4: 96 * 3 * 121 weights on 96 * 48 * 9 positions."""
    network = read_network("alexnet_scnn")
    stated = dataclasses.replace(network.zeros["conv1"], weight_nonzeros=None, weight_density=0.5)
    half = dataclasses.replace(network, zeros={**network.zeros, "conv1": stated})
    assert profile(half)["conv1"] == pytest.approx(0.5 * 96 * 3 * 121 / (96 * 48 * 9))


def test_a_matmul_has_no_weights_to_prune():
    network = read_network("bert_base")
    kinds = {network.layer(name).kind for name in profile(network)}
    assert "matmul" not in kinds
    assert "matmul" in {layer.kind for layer in network.compute_layers}


def test_a_layer_is_pruned_to_the_profile_of_its_network():
    rng, network = np.random.default_rng(1), read_network("lenet300_100")
    layers = {layer.name: rng.normal(size=layer.weight_shape) for layer in network.compute_layers}
    made = pruned_by_layer(layers, profile(network))
    assert [np.count_nonzero(made[name]) for name in LENET] == [18_816, 2_700, 260]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: keep_largest(np.ones(3), 1.5), "weights: density 1.5; allowed: 0 to 1"),
        (lambda: keep_largest(np.ones(3), float("nan")), "density nan; allowed"),
        (lambda: pruned_globally({"a": np.ones(3)}, -1), "density -1; allowed"),
        (lambda: pruned_by_layer({"a": np.ones(3)}, 2), "density 2; allowed"),
        (lambda: pruned_by_layer({"a": np.ones(3)}, {"a": 2})["a"], "a: weights: density 2; allowed"),
        (lambda: pruned_by_layer({"fc6": np.ones(3)}, {"fc7": 1})["fc6"], "'fc6': no density is given; did you mean"),
        (lambda: keep_largest(np.array([1, np.nan]), 0), "NaN or infinity"),
        (lambda: pruned_globally({"a": np.ones(2), "b": np.array([np.inf])}, 0.5), "b: weights: NaN or infinity"),
        (lambda: pruned_globally({"b": np.array([1j])}, 1), "b: weights: type complex128; allowed: float16"),
        (lambda: keep_largest(np.array(["a"]), 0.5), "type str"),
        (lambda: keep_beyond_deviation(np.ones(3), -1), "quality -1; allowed: 0 or more"),
        (lambda: keep_beyond_deviation(np.ones(3), float("nan")), "quality nan"),
        (lambda: keep_n_of_m(np.ones((3, 3)), 3, 2), "3:2; allowed: 1 <= N <= M"),
        (lambda: keep_n_of_m(np.ones((3, 3)), 0, 2), "0:2; allowed"),
        (lambda: keep_n_of_m(np.ones(3), 1, 2), r"shape \(3,\); allowed: \[K, C, ...\]"),
        (lambda: keep_filters(np.ones((0, 3)), 0.5), r"shape \(0, 3\)"),
        (lambda: keep_channels(np.full((2, 3), np.nan), 0.5), "NaN"),
        (lambda: keep_channels(np.ones((2, 3)), 3), "density 3"),
        (lambda: keep_filters(np.ones((2, 3)), 3), "density 3"),
        (lambda: keep_blocks(np.ones((2, 3)), 3, 1, 1), "density 3"),
        (lambda: keep_blocks(np.ones((2, 3)), 0.5, 0, 1), "blocks of 0 x 1; allowed: at least 1 x 1"),
        (lambda: narrowed(np.ones(3, bool), np.ones(3), 2), "density 2"),
        (lambda: cubic_schedule(0.2, 0.5, 3), "from density 0.2 to 0.5; allowed: to a lower one"),
        (lambda: cubic_schedule(0.5, 0.2, 0), "0 steps; allowed: at least 1"),
        (lambda: cubic_schedule(1.5, 0.2, 1), "density 1.5"),
        (lambda: cubic_schedule(1, -0.2, 1), "density -0.2"),
        (lambda: profile(unstated()), "lenet300_100: ip2: no weight density is stated"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(call, message):
    with pytest.raises(WorkloadError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_any_mask_prunes_a_mapping():
    layers = {"a": np.array([[-1, 2, -3, 4]], np.int8)}
    made = Pruned(layers, lambda name, weights: keep_n_of_m(weights, 1, 2, name))
    assert made["a"].tolist() == [[0, 2, 0, 4]]


def test_arrays_without_weights_have_nothing_to_prune():
    assert keep_largest(np.zeros((0, 3), np.float32), 0.5).shape == (0, 3)
    assert keep_beyond_deviation(np.zeros(0, np.float32), 1).shape == (0,)
    assert pruned_globally({"a": np.zeros(0)}, 0.5)["a"].size == 0
