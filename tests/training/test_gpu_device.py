"""Steps of an iteration on a GPU: their options, by hand and as a set that nothing beats."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.accelerators.gpu import Gpu
from archmodel.accelerators.gpu_config import load_device
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.training import STUDY, TrainingChoices, training_graph
from archmodel.training.gpu_device import GpuDevice
from archmodel.training.step_times import StepTime, chosen, fastest_first, workspace_of
from tests.training.random_networks import random_network

TITANX = load_device("titanx_maxwell")
V100 = load_device("v100")


def steps_of(network, batch, choices=STUDY):
    return [(network.layer(step.layer), step.operation) for step in training_graph(network, batch, choices).steps]


def options_of(device, network, batch, choices=STUDY):
    return [
        device.options(network, layer, operation, batch, choices)
        for layer, operation in steps_of(network, batch, choices)
    ]


@pytest.mark.parametrize("name", ["alexnet_owt", "googlenet", "resnet50", "bert_base"])
@pytest.mark.parametrize("config", [TITANX, V100], ids=["titanx", "v100"])
def test_each_option_is_slower_with_less_workspace_and_the_last_has_none(name, config):
    for options in options_of(GpuDevice(config), read_network(name), 16):
        for fast, slow in pairwise(options):
            assert fast.seconds < slow.seconds
            assert fast.workspace_bytes > slow.workspace_bytes
        assert options[-1].workspace_bytes == 0
        assert all(one.seconds > 0 and 0 <= one.dram_s <= one.seconds for one in options)


def test_no_algorithm_of_the_library_beats_an_option():
    network, device = read_network("vgg16"), GpuDevice(V100)
    for layer, operation in steps_of(network, 32):
        if layer.kind != "conv" or operation == "update":
            continue
        gpu = Gpu(V100)
        beside = gpu.beside(layer, operation, 32).seconds
        options = device.options(network, layer, operation, 32, STUDY)
        for algorithm, step in gpu.candidates(layer, operation, 32).items():
            as_good = [
                one
                for one in options
                if one.seconds <= step.seconds + beside and one.workspace_bytes <= step.workspace_bytes
            ]
            assert as_good, algorithm
        assert options[0].seconds == Gpu(V100).step(layer, operation, 32).seconds
        assert options[-1].seconds == Gpu(V100, "memory").step(layer, operation, 32).seconds


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1))
def test_what_is_kept_is_what_nothing_beats(pairs):
    options = [StepTime(float(seconds), 0.0, num_bytes) for seconds, num_bytes in pairs]
    kept = {(one.seconds, one.workspace_bytes) for one in fastest_first(options)}
    beaten = {(a, b) for a, b in pairs if any((c <= a and d <= b) and (c, d) != (a, b) for c, d in pairs)}
    assert kept == set(pairs) - beaten
    assert len(fastest_first(options)) == len(kept)


def test_a_step_takes_what_its_pass_takes():
    network, device = read_network("alexnet_owt"), GpuDevice(TITANX)
    gpu = Gpu(TITANX)
    for layer, operation in steps_of(network, 128):
        if operation in ("loss", "update"):
            continue
        step, time_of = gpu.step(layer, operation, 128), device.options(network, layer, operation, 128, STUDY)[0]
        assert (time_of.seconds, time_of.dram_s) == (step.seconds, step.transfer_s)
        assert (time_of.workspace_bytes, time_of.algorithm) == (step.workspace_bytes, step.algorithm or "")


def test_a_repeated_forward_step_takes_as_long_as_the_first():
    network, device = read_network("vgg16"), GpuDevice(TITANX)
    for layer in network.layers:
        first, again = (device.options(network, layer, one, 64, STUDY) for one in ("forward", "recompute"))
        assert first == again


@pytest.mark.parametrize(
    ("choices", "bytes_a_parameter", "bytes_an_output"),
    [
        (TrainingChoices(optimizer="sgd"), 4 * 3, 8),
        (TrainingChoices(optimizer="momentum"), 4 * 5, 8),
        (TrainingChoices(optimizer="adam"), 4 * 7, 8),
        (TrainingChoices("fp16", "momentum"), 2 * 5, 4),
        (TrainingChoices("mixed", "adam"), 2 + 2 + 4 * 6, 4),
    ],
)
def test_an_update_and_a_loss_take_the_time_of_their_bytes(choices, bytes_a_parameter, bytes_an_output):
    network, device = read_network("alexnet_owt"), GpuDevice(TITANX)
    layer = network.layer("fc6")
    rate = 0.6 * 336.5e9
    (update,) = device.options(network, layer, "update", 128, choices)
    assert update.seconds == update.dram_s == pytest.approx(bytes_a_parameter * layer.parameters / rate)
    (loss,) = device.options(network, network.layers[-1], "loss", 128, choices)
    assert loss.seconds == pytest.approx(bytes_an_output * 128 * 1000 / rate)


def test_half_words_move_in_half_the_time():
    network, device = read_network("vgg16"), GpuDevice(V100)
    layer = network.layer("relu1_1")
    (whole,) = device.options(network, layer, "forward", 32, STUDY)
    for precision in ("fp16", "mixed"):
        (half,) = device.options(network, layer, "forward", 32, TrainingChoices(precision))
        assert half.seconds == pytest.approx(whole.seconds / 2)


def small(layers, **inputs):
    return Network("small", "", "", inputs, tuple(layers))


def test_a_matmul_makes_gradients_of_both_its_inputs():
    first = Layer("first", "conv", ("x",), (8, 4, 4), 8)
    product = Layer("product", "matmul", ("first", "first"), (8, 4, 4), 16, mode="transposed")
    network, device = small([first, product], x=(8, 4, 4)), GpuDevice(TITANX)
    (forward,), (backward,) = (device.options(network, product, one, 4, STUDY) for one in ("forward", "data_gradient"))
    assert backward.seconds == pytest.approx(2 * forward.seconds)


def test_the_table_of_an_embedding_changes_in_no_less_than_its_bytes():
    table = Layer("table", "embedding", ("x",), (1, 16, 1), 64, vocabulary=1000)
    network, device = small([table], x=(1, 16, 1)), GpuDevice(TITANX)
    (gradient,) = device.options(network, table, "weight_gradient", 4, STUDY)
    assert gradient.seconds == pytest.approx(4 * 4 * (16 + 16 * 64) / (0.6 * 336.5e9))


def test_a_limit_leaves_out_algorithms_and_another_library_has_others():
    network = read_network("vgg16")
    layer = network.layer("conv3_2")
    free, limited, winograd = (
        device.options(network, layer, "forward", 64, STUDY)
        for device in (GpuDevice(TITANX), GpuDevice(TITANX, workspace_limit_bytes=2**20), GpuDevice(TITANX, "cudnn5"))
    )
    assert max(one.workspace_bytes for one in limited) <= 2**20 < free[0].workspace_bytes
    assert limited[-1] == free[-1]
    assert winograd[0].algorithm == "winograd_4x4"


def test_workspace_stands_in_the_graph_as_the_mode_has_it():
    network, device = read_network("vgg16"), GpuDevice(TITANX)
    fast = training_graph(network, 16, STUDY, workspace_of(device, network, "performance", STUDY))
    for step in fast.steps:
        options = device.options(network, network.layer(step.layer), step.operation, 16, STUDY)
        own = [fast.tensors[name].num_bytes for name in step.tensors if fast.tensors[name].kind == "workspace"]
        assert sum(own) == chosen(options, "performance").workspace_bytes == options[0].workspace_bytes
    assert fast.bytes_of("workspace") > 0
    small_one = training_graph(network, 16, STUDY, workspace_of(device, network, "memory", STUDY))
    assert small_one == training_graph(network, 16, STUDY)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 4))
def test_any_network_has_options_for_every_step(seed, num_layers, batch):
    network = random_network(np.random.default_rng(seed), num_layers)
    for options in options_of(GpuDevice(TITANX), network, batch):
        assert options
        assert options == fastest_first(options)


def test_equal_layers_are_computed_once_and_fast():
    network, device = read_network("vgg416"), GpuDevice(TITANX)
    steps = steps_of(network, 32)
    start = time.perf_counter()
    for layer, operation in steps:
        device.options(network, layer, operation, 32, STUDY)
    assert time.perf_counter() - start < 0.3
    assert len(device.known) < 100 < len(steps)
