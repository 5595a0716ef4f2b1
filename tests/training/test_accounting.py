"""Caffe's "Memory required for data": published lines to the byte, and every rule by hand."""

import dataclasses

import pytest

from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.training import caffe_data_bytes


def net(*layers):
    return Network("net", "a net", "made up", {"image": (2, 4, 4)}, layers)


def conv(name, *inputs, C=2, K=2):
    return Layer(name, "conv", inputs, (C, 4, 4), K)


def layer(name, kind, *inputs, C=2, mode=""):
    return Layer(name, kind, inputs, (C, 4, 4), C, mode=mode)


@pytest.mark.parametrize(
    ("name", "batch", "published"),
    [("alexnet_owt", 128, 623_628_288), ("overfeat_fast", 128, 999_192_064), ("vgg_a", 64, 4_234_799_104)],
)
def test_convnet_benchmarks(name, batch, published):
    """soumith/convnet-benchmarks, caffe/output_*.log of 2016-02-28."""
    assert caffe_data_bytes(read_network(name), batch) == published


def test_convnet_benchmarks_before_caffe_counted_the_input():
    """The same repository, caffe/output_alexnet.log of April 2015: 546,557,952 without the tops of an input layer."""
    images = 128 * 3 * 224 * 224 * 4
    assert caffe_data_bytes(read_network("alexnet_owt"), 128) - images == 546_557_952


def test_convnet_benchmarks_googlenet_with_its_splits():
    """6,648,061,952: that prototxt has no normalization, and a ReLU at the end, where ours has a softmax."""
    network = read_network("googlenet")
    norms = {one.name: one.inputs[0] for one in network.layers if one.kind == "norm"}
    layers = [
        dataclasses.replace(one, inputs=tuple(norms.get(name, name) for name in one.inputs))
        for one in network.layers
        if one.kind not in ("norm", "softmax")
    ]
    *_, last = layers
    bare = Network("googlenet", "t", "s", network.inputs, (*layers, layer_behind(last)))
    assert caffe_data_bytes(bare, 128, "deploy") - dropped(network, 128) == 6_648_061_952
    assert len(norms) == 2


def layer_behind(last):
    return Layer("relu_at_the_end", "activation", (last.name,), (1000, 1, 1), 1000, mode="relu")


def dropped(network, batch):
    """Bytes of the tops of the dropouts, which that prototxt has not."""
    return sum(4 * batch * one.output_words for one in network.layers if one.kind == "dropout")


def test_the_reference_model_of_caffe_itself():
    """bvlc_reference_caffenet/deploy.prototxt, 10 images: 62,497,920 in logs without the input (recalled).

    It is AlexNet with the pools before the norms.
    """
    network = read_network("alexnet")
    norms = {"norm1": 96 * 27 * 27, "norm2": 256 * 13 * 13}
    ours = {name: network.layer(name).output_words for name in norms}
    difference = 4 * 10 * sum(ours[name] - norms[name] for name in norms)
    assert caffe_data_bytes(network, 10, "deploy") - difference - 4 * 10 * 3 * 227 * 227 == 62_497_920


def test_every_top_counts_the_in_place_ones_too():
    network = net(conv("a", "image", K=3), layer("r", "activation", "a", C=3, mode="relu"))
    assert caffe_data_bytes(network, 5) == 4 * 5 * (32 + 48 + 48)


def test_a_split_has_a_top_for_every_reader():
    two = net(conv("a", "image"), conv("b", "a"), conv("c", "a"))
    assert caffe_data_bytes(two, 1) == 4 * (4 * 32 + 2 * 32)
    three = net(conv("a", "image"), conv("b", "a"), conv("c", "a"), conv("d", "a"))
    assert caffe_data_bytes(three, 1) == 4 * (5 * 32 + 3 * 32)


def test_a_network_input_is_split_too():
    assert caffe_data_bytes(net(conv("a", "image"), conv("b", "image")), 1) == 4 * (3 * 32 + 2 * 32)


def test_a_map_that_is_read_twice_by_one_layer_is_split():
    assert caffe_data_bytes(net(conv("a", "image"), layer("s", "add", "a", "a")), 1) == 4 * (3 * 32 + 2 * 32)


def test_readers_behind_a_layer_that_is_left_out_are_readers_of_what_it_reads():
    network = net(conv("a", "image"), layer("d", "dropout", "a"), conv("b", "d"), conv("c", "d"))
    assert caffe_data_bytes(network, 1) == 4 * (4 * 32 + 2 * 32)
    assert caffe_data_bytes(network, 1, "deploy") == 4 * (5 * 32 + 2 * 32)


def test_a_batch_norm_is_two_layers_and_another_norm_is_one():
    assert caffe_data_bytes(net(layer("n", "norm", "image", mode="batch")), 1) == 4 * 3 * 32
    assert caffe_data_bytes(net(layer("n", "norm", "image", mode="lrn")), 1) == 4 * 2 * 32


CLASSIFIER = net(
    conv("a", "image"),
    layer("r", "activation", "a", mode="relu"),
    Layer("f", "fc", ("r",), (32, 1, 1), 6),
    Layer("g", "activation", ("f",), (6, 1, 1), 6, mode="relu"),
    Layer("d", "dropout", ("g",), (6, 1, 1), 6),
    Layer("h", "activation", ("d",), (6, 1, 1), 6, mode="tanh"),
    Layer("p", "softmax", ("h",), (6, 1, 1), 6),
)


def test_the_forms_differ_in_what_stands_behind_a_fully_connected_layer():
    body = 32 + 32 + 32 + 6
    assert caffe_data_bytes(CLASSIFIER, 7, "benchmark") == 4 * 7 * body
    assert caffe_data_bytes(CLASSIFIER, 7, "deploy") == 4 * 7 * (body + 4 * 6)
    assert caffe_data_bytes(CLASSIFIER, 7, "train") == 4 * (7 * (body + 3 * 6) + 7 + 1)


def test_a_softmax_inside_a_network_is_no_loss():
    network = net(layer("p", "softmax", "image"), conv("a", "p"))
    assert caffe_data_bytes(network, 1, "train") == 4 * (3 * 32 + 1)


def test_an_activation_of_the_image_is_measured():
    assert caffe_data_bytes(net(layer("r", "activation", "image", mode="relu")), 1) == 4 * 64


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match=r"^batch = 0: must be"):
        caffe_data_bytes(CLASSIFIER, 0)
    with pytest.raises(
        ConfigError, match=r"^form = 'deplyo': must be benchmark, deploy or train; did you mean 'deploy'"
    ):
        caffe_data_bytes(CLASSIFIER, 1, "deplyo")
