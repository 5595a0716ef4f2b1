"""Which maps have zeros, and how many: by hand on small networks, bounds on random ones, what the files state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network, Zeros
from archmodel.training import TrainingChoices, training_graph
from archmodel.training.map_densities import STAGES, TrainedDensities, by_map, load_profile
from tests.training.random_networks import random_network

TRAINED, U_SHAPE = load_profile("trained"), load_profile("u_shape")


def layer(name, kind, *inputs, shape=(4, 8, 8), K=4, **more):
    return Layer(name, kind, inputs, shape, K, **more)


def network_of(*layers, zeros=None, shape=(4, 8, 8)):
    stated = {name: Zeros("made up", **values) for name, values in (zeros or {}).items()}
    return Network("n", "n", "made up", {"image": shape}, layers, zeros=stated)


def conv(name, source, **more):
    return layer(name, "conv", source, R=3, S=3, padding=(1, 1, 1, 1), **more)


def relu(name, source, **more):
    return layer(name, "activation", source, mode="relu", **more)


def densities(network, profile=TRAINED, stage=1.0, measured=None):
    return TrainedDensities.of(network, profile.unknown_density, measured).at(network, profile, stage)


def test_only_clipping_activations_make_zeros():
    modes = ("relu", "clipped_relu", "gelu", "sigmoid", "tanh")
    layers = [layer(mode, "activation", "image", mode=mode) for mode in modes]
    found = densities(network_of(*layers, conv("conv", "relu"), layer("soft", "softmax", "relu")))
    assert found == {
        "image": 1,
        "relu": 0.5,
        "clipped_relu": 0.5,
        "gelu": 1,
        "sigmoid": 1,
        "tanh": 1,
        "conv": 1,
        "soft": 1,
    }


def test_what_stands_behind_an_activation_passes_zeros_on():
    layers = [
        relu("a", "image"),
        relu("b", "image"),
        layer("lrn", "norm", "a", mode="lrn"),
        layer("batch", "norm", "a", mode="batch"),
        layer("drop", "dropout", "a"),
        layer("slice", "slice", "a", window=((0, 2), (0, 8), (0, 8)), K=2),
        layer("pool", "pool", "a", R=2, S=2, stride=(2, 2), mode="max"),
        layer("mean", "pool", "a", R=3, S=3, stride=(1, 1), mode="average"),
        layer("add", "add", "a", "b"),
        layer("multiply", "multiply", "a", "b"),
        layer("join", "concat", "a", "slice", shape=(6, 8, 8), K=6),
    ]
    measured = {"a": 0.2, "b": 0.5}
    found = densities(network_of(*layers), measured=measured)
    assert [found[name] for name in ("lrn", "slice", "join")] == pytest.approx([0.2] * 3)
    assert found["batch"] == 1
    assert found["drop"] == pytest.approx(0.1)
    assert found["pool"] == pytest.approx(1 - 0.8**2)
    assert found["mean"] == pytest.approx(1 - 0.8**3)
    assert found["add"] == pytest.approx(1 - 0.8 * 0.5)
    assert found["multiply"] == pytest.approx(0.1)


def test_a_concat_has_the_mean_of_its_words():
    layers = [
        conv("one", "image", K=1),
        conv("three", "image", K=3),
        relu("a", "one", shape=(1, 8, 8), K=1),
        relu("b", "three", shape=(3, 8, 8), K=3),
        layer("join", "concat", "a", "b", "image", shape=(8, 8, 8), K=8),
    ]
    found = densities(network_of(*layers), measured={"a": 0.2, "b": 0.6})
    assert found["join"] == pytest.approx((0.2 + 3 * 0.6 + 4) / 8)


def test_the_stated_output_of_a_layer_comes_first_then_who_reads_then_half():
    layers = [
        conv("c1", "image"),
        relu("r1", "c1"),
        conv("c2", "r1"),
        layer("n2", "norm", "c2", mode="batch"),
        relu("r2", "n2"),
        conv("c3", "r2"),
        relu("r3", "c3"),
        layer("drop", "dropout", "r3"),
        conv("c4", "drop"),
        relu("r4", "c4"),
    ]
    zeros = {
        "c1": {"output_density": 0.3},
        "c2": {"input_density": 0.9, "output_density": 0.4},
        "c4": {"input_density": 0.6},
    }
    found = TrainedDensities.of(network_of(*layers, zeros=zeros), 0.5).activations
    assert found == pytest.approx({"r1": 0.3, "r2": 0.4, "r3": 0.6, "r4": 0.5})


def test_what_lies_in_front_of_a_pool_follows_from_what_is_stated_behind_it():
    layers = [
        conv("c1", "image"),
        relu("r1", "c1"),
        layer("pool", "pool", "r1", R=2, S=2, stride=(2, 2), mode="max"),
        conv("c2", "pool", shape=(4, 4, 4)),
    ]
    behind = network_of(*layers, zeros={"c2": {"input_density": 0.64}})
    found = densities(behind)
    assert found["r1"] == pytest.approx(0.4)
    assert found["pool"] == pytest.approx(0.64)
    both = network_of(*layers, zeros={"c1": {"output_density": 0.2}, "c2": {"input_density": 0.5}})
    known = TrainedDensities.of(both, 0.5)
    assert known.pools["pool"] == pytest.approx(np.log(0.5) / np.log(0.8))
    assert densities(both)["pool"] == pytest.approx(0.5)
    # the window keeps what it is worth while the map in front of it changes
    early = known.at(both, U_SHAPE, 0.2)
    assert early["pool"] == pytest.approx(1 - (1 - early["r1"]) ** known.pools["pool"])


def test_what_is_stated_below_is_of_all_that_a_concat_joins_but_not_of_what_a_batch_norm_reads():
    layers = [
        relu("a", "image"),
        relu("b", "image"),
        layer("join", "concat", "a", "b", shape=(8, 8, 8), K=8),
        conv("reader", "join", shape=(8, 8, 8)),
        relu("c", "reader"),
        layer("norm", "norm", "c", mode="batch"),
        conv("last", "norm"),
    ]
    zeros = {"reader": {"input_density": 0.3}, "last": {"input_density": 0.9}}
    found = TrainedDensities.of(network_of(*layers, zeros=zeros), 0.5).activations
    assert found == pytest.approx({"a": 0.3, "b": 0.3, "c": 0.5})


def test_the_input_density_of_a_product_is_of_its_first_tensor():
    layers = [
        relu("a", "image", shape=(4, 8, 1)),
        relu("b", "image", shape=(4, 8, 1)),
        Layer("product", "matmul", ("a", "b"), (4, 8, 1), 8, mode="transposed"),
    ]
    network = network_of(*layers, zeros={"product": {"input_density": 0.3}}, shape=(4, 8, 1))
    assert TrainedDensities.of(network, 0.5).activations == pytest.approx({"a": 0.3, "b": 0.5})


def test_a_direct_reader_is_believed_before_one_behind_a_pool():
    layers = [
        relu("r", "image"),
        layer("pool", "pool", "r", R=3, S=3, stride=(1, 1), padding=(1, 1, 1, 1), mode="max"),
        conv("far", "pool"),
        conv("near", "r"),
        conv("second", "r"),
    ]
    zeros = {name: {"input_density": value} for name, value in (("far", 0.8), ("near", 0.3), ("second", 0.4))}
    assert densities(network_of(*layers, zeros=zeros))["r"] == pytest.approx(0.3)


def test_the_last_that_writes_a_map_decides():
    layers = [conv("c", "image"), relu("r", "c"), layer("drop", "dropout", "r"), conv("last", "drop")]
    network = network_of(*layers)
    found = TrainedDensities.of(network, 0.5).at(network, TRAINED, 1.0)
    in_place = by_map(training_graph(network, 2), found)
    assert in_place == {"image": 1, "c": 0.25, "last": 1}
    apart = by_map(training_graph(network, 2, TrainingChoices(in_place=False)), found)
    assert apart == {"image": 1, "c": 1, "r": 0.5, "drop": 0.25, "last": 1}


def test_the_curve_starts_with_random_weights_falls_early_and_recovers_in_part():
    for trained in (0.1, 0.3, 0.5):
        curve = [U_SHAPE.density(trained, stage) for stage in np.linspace(0, 1, 21)]
        assert curve[0] == 0.5
        assert curve[-1] == pytest.approx(trained)
        lowest = int(np.argmin(curve))
        assert lowest == 4
        assert curve[lowest] == pytest.approx(0.7 * trained)
        assert curve[: lowest + 1] == sorted(curve[: lowest + 1], reverse=True)
        assert curve[lowest:] == sorted(curve[lowest:])
    assert {TRAINED.density(0.3, stage) for stage in STAGES} == {0.3}


def test_ten_stages_have_the_mean_of_the_curve():
    fine = np.linspace(0, 1, 100_001)
    mean = np.trapezoid([U_SHAPE.density(0.3, stage) for stage in fine], fine)
    assert np.mean([U_SHAPE.density(0.3, stage) for stage in STAGES]) == pytest.approx(mean, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 25), st.floats(0, 1), st.booleans())
def test_every_map_of_a_random_network_has_a_density(seed, num_layers, stage, in_place):
    network = random_network(np.random.default_rng(seed), num_layers)
    found = densities(network, U_SHAPE, stage)
    assert all(0 <= value <= 1 for value in found.values())
    graph = training_graph(network, 2, TrainingChoices(in_place=in_place))
    maps = {one.layer for one in graph.tensors.values() if one.kind == "feature_map"}
    assert set(by_map(graph, found)) == maps
    assert all(found[one.name] == 1 for one in network.layers if one.kind in ("conv", "softmax"))


@pytest.mark.parametrize("name", config.names("workloads"))
def test_every_shipped_network_has_densities(name):
    network = read_network(name)
    found = densities(network, U_SHAPE, 0.5)
    assert all(0 <= value <= 1 for value in found.values())


def test_published_densities_are_those_of_the_maps():
    found = densities(read_network("vgg16"))
    assert (found["relu1_1"], found["relu1_2"], found["relu5_3"]) == (0.506187595, 0.774166185, 0.14188058)
    assert found["pool1"] == pytest.approx(0.89668741)
    assert found["pool5"] == pytest.approx(0.19)
    assert found["drop6"] == pytest.approx(found["relu6"] / 2)
    assert found["relu6"] == pytest.approx(0.38)


def test_pools_of_both_known_densities_are_worth_about_their_side():
    sides = {2: [], 3: []}
    for name in ("alexnet", "vgg16", "googlenet"):
        network = read_network(name)
        for pool, cells in TrainedDensities.of(network, 0.5).pools.items():
            side = network.layer(pool).R
            if side in sides and abs(cells - side) > 1e-6:
                sides[side].append(cells)
    assert (round(min(sides[2]), 1), round(max(sides[2]), 1)) == (1.4, 2.0)
    assert (round(min(sides[3]), 1), round(max(sides[3]), 1)) == (2.3, 4.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages=[0.1,1.0]", "stages must rise from 0 to 1"),
        ("stages=[0.0,0.6,0.5,1.0]", "stages must rise from 0 to 1"),
        ("of_initial=[1.0]", "must have 3 values, one a stage"),
        ("of_initial=[1.0,0.5,0.0]", "must add up to at most 1 at every stage"),
        ("dropout_kept=2", "dropout_kept=2: must be at most 1"),
    ],
)
def test_a_profile_that_is_no_curve_is_one_line(change, message):
    with pytest.raises(ConfigError) as caught:
        load_profile("u_shape", (change,))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stage", [-0.1, 1.01, float("nan")])
def test_a_stage_lies_in_the_training(stage):
    with pytest.raises(ConfigError, match="must be from 0, the first iteration, to 1, the last"):
        U_SHAPE.density(0.5, stage)
