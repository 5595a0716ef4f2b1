"""The spatial array of the MC-DLA study: rounds of outputs, terms of dot products, what stays on chip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archmodel import config
from archmodel.accelerators.spatial import SpatialConfig, spatial_bytes, spatial_cycles, spatial_time
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer
from archmodel.training import STUDY, TrainingChoices, training_graph
from archmodel.training.devices import open_device

MCDLA = config.load("devices", "mcdla", SpatialConfig)
SMALL = MCDLA.model_copy(update={"num_pes": 10, "macs_per_pe": 4, "sram_bytes_per_pe": 20})  # 100 B of half its SRAM
PASSES = ("forward", "data_gradient", "weight_gradient")


def conv(C, K, H, R, **others):
    return Layer("conv", "conv", ("x",), (C, H, H), K, R, R, **others)


def test_the_device_multiplies_as_the_study_says():
    assert MCDLA.num_pes * MCDLA.macs_per_pe * MCDLA.clock_hz == 128e12
    assert (MCDLA.dram_bytes_per_s, MCDLA.latency_s) == (900e9, 100e-9)


def test_a_layer_that_fits_the_array_uses_all_multipliers_in_each_pass():
    """125 channels in and out, 1x1, 1,024 positions: dot products of 125 terms, but of 1,024 for the weights."""
    layer = Layer("conv", "conv", ("x",), (125, 32, 32), 125)
    cycles = {which: spatial_cycles(MCDLA, layer, which, 1) for which in PASSES}
    assert cycles["forward"] == cycles["data_gradient"] == layer.macs // (1024 * 125) == 125
    assert cycles["weight_gradient"] == 16 * 9  # 15,625 outputs in rounds of 1,024; 1,024 terms, 125 at a time


@pytest.mark.parametrize(
    ("K", "C", "cycles"),
    [(10, 4, 1), (11, 4, 2), (10, 5, 2), (20, 8, 4), (1, 1, 1)],
)
def test_what_does_not_fill_a_round_or_a_cycle_is_lost(K, C, cycles):
    assert spatial_cycles(SMALL, Layer("fc", "fc", ("x",), (C, 1, 1), K), "forward", 1) == cycles


def test_a_strided_data_gradient_has_the_macs_of_the_forward_pass():
    """8x8 inputs of 4 channels, 4x4 outputs of 40, kernels of 2x2: 40 terms an input at stride 2."""
    layer = conv(4, 40, 8, 2, stride=(2, 2))
    assert spatial_cycles(SMALL, layer, "data_gradient", 1) == -(-256 // 10) * 10
    assert layer.macs == 256 * 40


def test_recurrent_layers_and_attention_make_as_many_outputs_as_their_gates_and_kernels():
    lstm = Layer("lstm", "lstm", ("x",), (6, 5, 1), 10)  # 40 gates of 16 terms, 5 steps
    assert [spatial_cycles(SMALL, lstm, which, 1) for which in PASSES] == [20 * 4, 8 * 10, 64 * 2]
    product = Layer("product", "matmul", ("x", "y"), (8, 5, 1), 20, groups=2, mode="transposed")
    assert [spatial_cycles(SMALL, product, which, 3) for which in PASSES] == [30 * 1, 12 * 3, 24 * 2]
    own = 4 * (3 * 40 + 3 * 80 + 3 * 100)  # of every image its kernels; the inputs of 480 B stay in five pieces
    assert spatial_bytes(SMALL, product, "forward", 3, 4) == own + 4 * 4 * 240


def test_images_of_a_batch_are_terms_of_a_weight_gradient():
    fc = Layer("fc", "fc", ("x",), (4, 1, 1), 10)
    assert [spatial_cycles(SMALL, fc, which, 9) for which in PASSES] == [9 * 1, 4 * 3, 4 * 3]


@pytest.mark.parametrize(
    ("which", "K", "C", "N", "num_bytes"),
    [
        ("forward", 5, 5, 2, 4 * (10 + 25 + 10)),  # X of 40 B stays: all once
        ("forward", 5, 5, 5, 4 * (25 + 25 + 25)),  # 100 B are half the SRAM
        ("forward", 5, 5, 6, 4 * (30 + 25 + 30)),  # W stays
        ("forward", 6, 6, 7, 4 * (42 + 36 + 42) + 4 * 42),  # W of 144 B in two pieces: X twice
        ("data_gradient", 6, 6, 7, 4 * (42 + 36 + 42) + 4 * 42),  # dY twice
        ("weight_gradient", 6, 6, 7, 4 * (42 + 36 + 42) + 4 * 42),  # dW stays in two pieces, X twice
        ("forward", 20, 40, 3, 4 * (120 + 800 + 60) + 2 * 4 * 120),  # Y stays in three pieces, X thrice
    ],
)
def test_the_smallest_tensor_stays_on_chip_in_pieces(which, K, C, N, num_bytes):
    layer = Layer("fc", "fc", ("x",), (C, 1, 1), K)
    assert spatial_bytes(SMALL, layer, which, N, 4) == num_bytes


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_slower_of_arithmetic_and_memory_decides_behind_the_latency(cycles, num_bytes):
    time = spatial_time(MCDLA, cycles, num_bytes)
    assert time.dram_s == num_bytes / 900e9
    assert time.seconds == 100e-9 + max(cycles / 1e9, num_bytes / 900e9)


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet50", "bert_base", "deep_speech_2"])
def test_no_step_beats_its_multipliers_or_its_bytes(name):
    network, device = read_network(name), open_device("mcdla")
    graph = training_graph(network, 8, STUDY)
    for step in graph.steps:
        layer = network.layer(step.layer)
        (option,) = device.options(network, layer, step.operation, 8, STUDY)
        assert option.workspace_bytes == 0
        assert 0 < option.dram_s < option.seconds
        if layer.is_compute and step.operation in ("forward", *PASSES):
            assert option.seconds > 8 * layer.macs / 128e12


def test_a_step_takes_what_its_pass_takes_and_bytes_decide_elsewhere():
    network, device = read_network("vgg16"), open_device("mcdla")
    layer = network.layer("conv3_1")
    for which in PASSES:
        (option,) = device.options(network, layer, which, 64, STUDY)
        expected = spatial_time(
            MCDLA, spatial_cycles(MCDLA, layer, which, 64), spatial_bytes(MCDLA, layer, which, 64, 4)
        )
        assert (option.seconds, option.dram_s) == (expected.seconds, expected.dram_s)
    relu = network.layer("relu3_1")
    for choices, word_bytes in ((STUDY, 4), (TrainingChoices("fp16"), 2)):
        (option,) = device.options(network, relu, "data_gradient", 64, choices)
        assert option.dram_s == pytest.approx(3 * 64 * relu.output_words * word_bytes / 900e9)
    (update,) = device.options(network, layer, "update", 64, TrainingChoices(optimizer="momentum"))
    assert update.dram_s == pytest.approx(5 * 4 * layer.parameters / 900e9)


def test_both_gradients_of_attention_are_made():
    network, device = read_network("bert_base"), open_device("mcdla")
    layer = next(one for one in network.layers if one.kind == "matmul")
    (option,) = device.options(network, layer, "data_gradient", 8, STUDY)
    own = [
        spatial_time(MCDLA, spatial_cycles(MCDLA, layer, which, 8), spatial_bytes(MCDLA, layer, which, 8, 4)).seconds
        for which in PASSES[1:]
    ]
    assert option.seconds == pytest.approx(sum(own))


def test_its_fields_are_checked():
    for change, allowed in (
        ("num_pes=0", "at least 1"),
        ("macs_per_pe=1099511627777", "at most 1099511627776"),
        ("sram_bytes_per_pe=0", "at least 1"),
        ("clock_hz=1e-300", "at least 1000"),
        ("dram_bytes_per_s=1e19", "at most 1000000000000000000"),
        ("memory_bytes=0", "at least 1"),
        ("dram_latency_cycles=-1", "at least 0"),
    ):
        with pytest.raises(ConfigError, match=f"^--set {change}: must be {allowed}$"):
            open_device("mcdla", (change,), "--set ")
    with pytest.raises(ConfigError, match=r"^memory = 'hbm2': configs/devices/mcdla.toml has its own; allowed: behind"):
        open_device("mcdla", memory="hbm2")
