"""Memory of an iteration: the study's baseline, liveness against its twin, the pool above it, curves and averages."""

import numpy as np
import pytest

from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.training import (
    STUDY,
    BestFitPool,
    CapacityError,
    TrainingChoices,
    best_fit,
    lifetimes,
    liveness,
    network_wide,
    training_graph,
)
from tests.reference import tensor_lives
from tests.reference.memory_pool import CellPool
from tests.training.random_networks import random_network

GIB = 2**30
VGG = ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))


def random_graph(seed, **choices):
    rng = np.random.default_rng(seed)
    network = random_network(rng, int(rng.integers(1, 25)))
    return training_graph(network, 2, TrainingChoices(**choices), workspace=lambda layer, operation, batch: 700 * batch)


@pytest.mark.parametrize(
    ("name", "batch", "gib"), [("vgg416", 32, 65.27), ("vgg16", 256, 21.69), ("vgg16", 128, 11.36)]
)
def test_the_baseline_of_the_study(name, batch, gib):
    """Rhu et al., MICRO 2016; GiB as computed from the shapes by the study's rule, which 1 % must meet."""
    found = network_wide(training_graph(read_network(name), batch, STUDY)).peak_bytes / GIB
    assert found == pytest.approx(gib, rel=0.01)


@pytest.mark.parametrize("batch", [1, 64])
def test_the_baseline_of_vgg_by_hand(batch):
    maps = (
        3 * 224**2 + sum((2 + (K > 128)) * K * side**2 + K * (side // 2) ** 2 for K, side in VGG) + 2 * 4096 + 2 * 1000
    )
    masks = 2 * 4096
    words = batch * (maps + masks + 2 * 64 * 224**2) + 2 * 138_357_544
    assert network_wide(training_graph(read_network("vgg16"), batch, STUDY)).peak_bytes == 4 * words


def test_the_two_shared_gradients_and_the_workspace_are_the_largest():
    def workspace(layer, operation, batch):
        return {"conv1_2.data_gradient": 10**9, "conv3_1.forward": 2 * 10**9}.get(f"{layer.name}.{operation}", 0)

    network = read_network("vgg16")
    without = network_wide(training_graph(network, 4, STUDY)).peak_bytes
    assert network_wide(training_graph(network, 4, STUDY, workspace)).peak_bytes - without == 2 * 10**9


def test_out_of_place_the_baseline_has_every_activation_twice():
    network = read_network("vgg16")
    words = sum(layer.output_words for layer in network.layers if layer.kind in ("activation", "dropout"))
    plain, own = (training_graph(network, 8, TrainingChoices(optimizer="sgd", in_place=one)) for one in (True, False))
    assert network_wide(own).peak_bytes - network_wide(plain).peak_bytes == 4 * 8 * words


def test_the_baseline_takes_the_same_all_the_time():
    curve = network_wide(training_graph(read_network("lenet5"), 4))
    assert curve.average_bytes() == curve.peak_bytes == curve.peak_live_bytes
    assert curve.fragmentation == 0


# Liveness


@pytest.mark.parametrize(
    "choices", [{}, {"in_place": False, "precision": "mixed"}, {"update": "layer", "max_pool": "indices"}]
)
@pytest.mark.parametrize("seed", range(40))
def test_liveness_is_that_of_the_twin(seed, choices):
    graph = random_graph(seed, **choices)
    expected = tensor_lives.live_bytes(
        [(step.reads, step.writes) for step in graph.steps],
        {name: tensor.num_bytes for name, tensor in graph.tensors.items()},
        {name for name in graph.tensors if name.split(":")[0] in ("W", "master", "state")},
        {"X:image"},
    )
    assert liveness(graph).live_bytes.tolist() == expected


@pytest.mark.parametrize("seed", range(40))
def test_no_step_goes_without_what_it_touches(seed):
    graph = random_graph(seed)
    live = liveness(graph).live_bytes
    always = graph.bytes_of("weight", "master_weight", "optimizer_state")
    for step, held in zip(graph.steps, live, strict=True):
        assert held >= graph.step_bytes(step)
        assert held >= always
    assert max(live) <= sum(tensor.num_bytes for tensor in graph.tensors.values())


def test_a_map_lives_from_its_layer_to_the_last_backward_step_that_reads_it():
    graph = training_graph(read_network("lenet5"), 4, TrainingChoices(optimizer="momentum"))
    held = lifetimes(graph)
    names = [step.name for step in graph.steps]
    assert [names[place] for place in held["Y:pool1"]] == ["pool1.forward", "pool1.data_gradient"]
    assert [names[place] for place in held["dY:pool1"]] == ["conv2.data_gradient", "pool1.data_gradient"]
    assert [names[place] for place in held["dW:conv2"]] == ["conv2.weight_gradient", "conv2.update"]
    assert held["X:image"] == (0, names.index("conv1.weight_gradient"))
    assert held["W:conv2"] == held["state:conv2"] == (0, len(names) - 1)


def test_every_input_is_there_from_the_start():
    graph = training_graph(read_network("gnmt"), 4)
    assert graph.uses["X:target"][0] > 0
    assert lifetimes(graph)["X:target"][0] == lifetimes(graph)["X:source"][0] == 0


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet50", "bert_base", "gnmt"])
def test_sharing_never_takes_more_than_the_baseline(name):
    graph = training_graph(read_network(name), 16)
    assert liveness(graph).peak_bytes < network_wide(graph).peak_bytes


def test_early_updates_need_less_memory():
    network = read_network("vgg16")
    late, early = (training_graph(network, 1, TrainingChoices(update=one)) for one in ("end", "layer"))
    assert liveness(early).peak_bytes < liveness(late).peak_bytes


# The pool


@pytest.mark.parametrize("alignment", [1, 64, 512])
@pytest.mark.parametrize("seed", range(20))
def test_the_pool_of_an_iteration_is_that_of_the_cells(seed, alignment):
    graph = random_graph(seed)
    curve, cells, held = best_fit(graph, alignment), CellPool(64 * alignment), lifetimes(graph)
    assert (curve.reserved_bytes >= curve.live_bytes).all()
    assert 0 <= curve.fragmentation < 1
    coarse = best_fit(graph, 64 * alignment)
    order = [name for name in held if name.split(":")[0] in ("W", "state")]
    order += [name for name in held if name not in order]
    for place, _ in enumerate(graph.steps):
        for name in order:
            if held[name][0] == place:
                cells.allocate(name, graph.tensors[name].num_bytes)
        assert cells.reserved_bytes == coarse.reserved_bytes[place]
        for name in order:
            if held[name][1] == place:
                cells.free(name)
    assert set(cells.cells) == {None}


def test_every_block_is_given_back_once(monkeypatch):
    pools = []

    class Watched(BestFitPool):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            pools.append(self)

    monkeypatch.setattr("archmodel.training.allocator.BestFitPool", Watched)
    best_fit(training_graph(read_network("googlenet"), 8))
    (pool,) = pools
    assert pool.blocks == {}
    assert pool.free_blocks == [(0, pool.reserved_bytes)]


def test_what_does_not_fit_is_said():
    graph = training_graph(read_network("vgg16"), 256, STUDY)
    peak = best_fit(graph).peak_bytes
    assert best_fit(graph, capacity_bytes=peak).peak_bytes == peak
    with pytest.raises(
        CapacityError,
        match=r"^vgg16 with a batch of 256, step \w+\.\w+: \w+:\w+: [\d.]+ MiB \([\d,]+ bytes\) do not fit",
    ):
        best_fit(graph, capacity_bytes=peak - 1)


# Curves


def test_an_average_weighs_steps_by_their_time():
    curve = liveness(training_graph(read_network("lenet5"), 4))
    durations = np.arange(len(curve.live_bytes)) + 0.5
    by_hand = sum(int(b) * t for b, t in zip(curve.live_bytes, durations, strict=True)) / sum(durations)
    assert curve.average_bytes(durations) == pytest.approx(by_hand)
    assert curve.average_bytes(np.ones(len(durations))) == pytest.approx(curve.average_bytes())
    assert curve.average_bytes() == pytest.approx(sum(map(int, curve.live_bytes)) / len(durations))


def test_steps_follow_each_other():
    curve = liveness(training_graph(read_network("lenet5"), 4))
    durations = np.arange(len(curve.live_bytes)) + 0.5
    starts = curve.starts_s(durations)
    assert starts[0] == 0
    assert np.diff(starts).tolist() == durations[:-1].tolist()


@pytest.mark.parametrize("wrong", [[], [1.0], [-1.0], [float("nan")], [float("inf")], [1.0, 1.0]])
def test_durations_are_one_a_step(wrong):
    curve = liveness(training_graph(read_network("lenet5"), 4))
    others = [1.0] * (len(curve.live_bytes) - 1)
    durations = [*others, *wrong] if wrong != [1.0] else wrong
    for asked in (curve.average_bytes, curve.starts_s):
        with pytest.raises(
            ConfigError, match=rf"^durations_s: must be {len(others) + 1} times, one a step, none below 0$"
        ):
            asked(durations)


def test_durations_are_not_all_zero():
    curve = liveness(training_graph(read_network("lenet5"), 4))
    with pytest.raises(ConfigError, match=r"^durations_s: must not all be 0$"):
        curve.average_bytes([0.0] * len(curve.live_bytes))
