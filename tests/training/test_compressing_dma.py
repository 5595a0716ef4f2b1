"""A compressing DMA engine on an iteration: which tensors it makes smaller, by how much, and how fast it can fetch."""

import time

import numpy as np
import pytest

from archmodel import config
from archmodel.encodings.dma_sizes import cdma_bytes, expected_share
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network, Zeros
from archmodel.operands.correlated import correlated_inputs, load_zeros
from archmodel.training import STUDY, TrainingChoices, training_graph
from archmodel.training.compressing_dma import CompressingDma, load_dma
from archmodel.training.dma import PlainDma
from archmodel.training.dma_config import load_dma_config
from archmodel.training.map_densities import load_profile
from archmodel.training.map_sizes import drawn_share, sample_shape, some_windows
from archmodel.training.steps import Tensor

VGG16 = read_network("vgg16")
GRAPH = training_graph(VGG16, 128, STUDY)
KINDS = ("gradient_map", "weight", "weight_gradient", "saved", "workspace")


def engine_of(name="cdma_zvc", *assignments, graph=GRAPH, network=VGG16, **more):
    return load_dma(name, network, graph, assignments=assignments, **more)


def test_a_map_takes_its_density_and_a_bit_a_word():
    dma = engine_of("cdma_zvc", "densities=trained")
    tensor = GRAPH.tensors["Y:conv1_2"]  # the ReLU works in place
    share = 0.774166185 + 1 / 32
    assert dma.shares["conv1_2"] == pytest.approx(share)
    assert dma.link_bytes(tensor) == np.ceil(tensor.num_bytes * dma.shares["conv1_2"])
    assert isinstance(dma.link_bytes(tensor), int)


def test_words_of_two_bytes_have_a_bit_for_sixteen():
    mixed = training_graph(VGG16, 128, TrainingChoices(precision="mixed"))
    assert engine_of("cdma_zvc", "densities=trained", graph=mixed).shares["conv1_2"] == pytest.approx(
        0.774166185 + 1 / 16
    )


def test_only_maps_with_zeros_are_compressed():
    dma = engine_of()
    for name in ("X:image", "Y:fc8", "Y:prob"):
        assert dma.link_bytes(GRAPH.tensors[name]) == GRAPH.tensors[name].num_bytes
    for kind in KINDS:
        assert dma.link_bytes(Tensor("t", kind, "conv1_1", 1000)) == 1000
    assert dma.link_bytes(Tensor("Y:conv1_1@2", "feature_map", "conv1_1", 4000)) < 4000  # made a second time


def test_the_map_of_a_convolution_alone_is_dense():
    apart = training_graph(VGG16, 128, TrainingChoices(in_place=False))
    dma = engine_of(graph=apart)
    assert "conv1_1" not in dma.shares
    assert dma.shares["relu1_1"] == engine_of().shares["conv1_1"]


def test_stages_follow_the_curve_and_their_mean_is_the_training():
    profile = load_profile("u_shape")
    at = {stage: engine_of(stage=stage).shares["conv3_1"] for stage in (0.0, 0.2, 0.6, 1.0)}
    for stage, share in at.items():
        assert share == pytest.approx(profile.density(0.638543577, stage) + 1 / 32)
    mean = np.mean([profile.density(0.638543577, (place + 0.5) / 10) for place in range(10)])
    assert engine_of().shares["conv3_1"] == pytest.approx(mean + 1 / 32)


def test_the_ratio_is_of_all_maps_that_layers_write():
    dma = engine_of()
    maps = [one for name, one in GRAPH.tensors.items() if name.startswith("Y:")]
    expected = sum(one.num_bytes for one in maps) / sum(dma.link_bytes(one) for one in maps)
    assert dma.ratio(GRAPH) == pytest.approx(expected)
    assert CompressingDma("none", dma.config).ratio(GRAPH) == 1


def test_the_fetch_is_capped_by_the_memory_and_by_the_buffer():
    engine = load_dma_config("cdma_zvc")
    assert engine.fetch_bytes_per_s * engine.delay_s == pytest.approx(engine.buffer_bytes)  # 70 KB, as published
    assert engine_of().fetch_bytes_per_s == pytest.approx(200e9)
    assert engine_of("cdma_zvc", "buffer_bytes=35000").fetch_bytes_per_s == pytest.approx(100e9)
    assert engine_of("cdma_zvc", "buffer_bytes=140000").fetch_bytes_per_s == 200e9
    assert engine_of("cdma_zvc", "delay_s=700e-9").fetch_bytes_per_s == pytest.approx(100e9)
    assert engine_of("cdma_zvc", "delay_s=0.0").fetch_bytes_per_s == 200e9


def test_gathered_zeros_change_runs_and_not_masks():
    gathered = ("zeros=correlated",)
    assert engine_of("cdma_zvc", *gathered).shares == engine_of("cdma_zvc", "layout=CHWN").shares == engine_of().shares
    network = read_network("alexnet")
    small = {"network": network, "graph": training_graph(network, 32, STUDY)}
    for name in ("cdma_rle", "cdma_zlib"):
        layouts = ("NCHW", "CHWN", "NHWC")
        ratios = [engine_of(name, *gathered, f"layout={one}", **small).ratio(small["graph"]) for one in layouts]
        assert ratios == sorted(ratios, reverse=True)
        assert ratios[0] > 1.05 * engine_of(name, **small).ratio(small["graph"])  # than zeros by chance


def test_a_drawn_map_is_counted_as_an_array_is():
    engine = load_dma_config("cdma_rle", ("layout=NHWC",))
    shape, zeros = (32, 8, 8), load_zeros("correlated")
    assert sample_shape(shape, 4, engine) == (4, *shape)
    mask = correlated_inputs(np.random.default_rng(5), zeros, (4, *shape), round(0.3 * 4 * 2048))
    expected = cdma_bytes(mask, "rle", 4, "NHWC") / (mask.size * 4)
    assert drawn_share(shape, 4, 0.3, engine, 4, zeros, 5) == expected


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHWN"])
def test_some_windows_stand_for_a_large_map(layout):
    engine = load_dma_config("cdma_rle", (f"layout={layout}",))
    shape, zeros = (64, 112, 112), load_zeros("correlated")
    shares = [drawn_share(shape, 128, 0.4, engine, 4, zeros, seed) for seed in range(4)]
    assert np.std(shares) < 0.05 * np.mean(shares)
    N, C, H, W = sample_shape(shape, 128, engine)
    assert shape[1:] == (H, W)
    assert C == 64 if layout == "NHWC" else C >= 16
    assert N >= 16 if layout == "CHWN" else N == 1


@pytest.mark.parametrize(
    ("layout", "shape", "batch", "expected"),
    [
        ("NCHW", (64, 8, 8), 128, (16, 64, 8, 8)),  # 2**16 words: all channels of 16 images
        ("NCHW", (64, 8, 8), 4, (4, 64, 8, 8)),
        ("NCHW", (64, 64, 32), 128, (1, 32, 64, 32)),  # an image, half its channels
        ("NCHW", (64, 224, 224), 128, (1, 16, 224, 224)),
        ("NHWC", (64, 8, 8), 128, (16, 64, 8, 8)),
        ("NHWC", (64, 224, 224), 128, (1, 64, 224, 224)),
        ("CHWN", (512, 8, 16), 128, (16, 32, 8, 16)),
        ("CHWN", (512, 8, 16), 4, (4, 128, 8, 16)),
        ("CHWN", (8, 224, 224), 128, (16, 8, 224, 224)),
    ],
)
def test_what_is_drawn_of_a_map(layout, shape, batch, expected):
    assert sample_shape(shape, batch, load_dma_config("cdma_rle", (f"layout={layout}",))) == expected


def test_windows_that_are_counted_are_spread_and_whole():
    flat = np.repeat(np.arange(100), 8)  # windows of 8 words with their number in each
    np.testing.assert_array_equal(some_windows(flat, 8, 4), np.repeat([0, 25, 50, 75], 8))
    np.testing.assert_array_equal(some_windows(flat[:-3], 8, 33)[-8:], np.full(8, 96))  # not the broken last one
    np.testing.assert_array_equal(some_windows(flat[:-3], 8, 99), flat[:-3])


def test_only_some_windows_of_a_large_map_are_counted():
    engine, zeros, shape = load_dma_config("cdma_rle", ("layout=NHWC",)), load_zeros("correlated"), (64, 112, 112)
    mask = correlated_inputs(np.random.default_rng(3), zeros, (1, *shape), round(0.4 * np.prod(shape)))
    windows = mask.transpose(0, 2, 3, 1).reshape(-1, 1024)
    picked = windows[np.arange(256) * len(windows) // 256]
    expected = cdma_bytes(picked.reshape(-1), "rle") / (256 * 4096)
    assert drawn_share(shape, 128, 0.4, engine, 4, zeros, 3) == expected


def test_a_map_that_is_dense_in_the_end_is_compressed_before():
    layers = [
        Layer("c", "conv", ("image",), (2, 4, 4), 2, R=3, S=3, padding=(1, 1, 1, 1)),
        Layer("r", "activation", ("c",), (2, 4, 4), 2, mode="relu"),
    ]
    zeros = {"c": Zeros("made up", output_density=1.0)}
    network = Network("n", "n", "made up", {"image": (2, 4, 4)}, tuple(layers), zeros=zeros)
    graph = training_graph(network, 2, STUDY)
    assert engine_of(network=network, graph=graph, stage=1.0).shares == {}
    assert engine_of(network=network, graph=graph, stage=0.2).shares == {"c": pytest.approx(0.7 + 1 / 32)}
    assert set(engine_of(network=network, graph=graph).shares) == {"c"}


def test_uniform_zeros_drawn_are_the_expectation():
    engine = load_dma_config("cdma_rle")
    chance = load_zeros("correlated:length=0,channel_spread=0,position_spread=0")
    share = drawn_share((64, 56, 56), 32, 0.4, engine, 4, chance, 0)
    assert share == pytest.approx(expected_share(0.4, "rle", 4), rel=0.01)


def test_plain_moves_every_byte():
    dma = engine_of("plain")
    assert dma == PlainDma()
    with pytest.raises(ConfigError, match="codec=rle: plain has no keys"):
        engine_of("plain", "codec=rle")


@pytest.mark.parametrize("name", config.names("dma"))
def test_every_engine_has_its_codec_in_its_name(name):
    assert engine_of(name).name == name == f"cdma_{load_dma_config(name).codec}"


def test_an_unknown_engine_is_one_line():
    with pytest.raises(ConfigError) as caught:
        engine_of("cdma_zcv")
    assert str(caught.value) == (
        "--dma 'cdma_zcv': allowed: plain, cdma_rle, cdma_zlib, cdma_zvc or the path of a .toml file;"
        " did you mean 'cdma_zvc'?"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("codec=lz", "codec=lz: must be 'zvc', 'rle' or 'zlib'"),
        ("window_bytes=100", "must be at least 128"),
        ("window_bytes=192", "window_bytes must be a multiple of 128"),
        ("buffer_bytes=0", "must be at least 1"),
        ("fetch_bytes_per_s=0", "must be greater than 0"),
        ("densities=u", "'u': unknown profile of densities; allowed: trained, u_shape"),
        ("zeros=clumped", "--zeros 'clumped': allowed"),
    ],
)
def test_a_file_that_is_no_engine_is_one_line(change, message):
    with pytest.raises(ConfigError) as caught:
        engine_of("cdma_rle", change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_of_a_network_take_milliseconds():
    expected_share(0.5, "rle", 4)
    took = []
    for _ in range(3):
        start = time.perf_counter()
        engine_of()
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05
