"""The project's own networks against what is published about them."""

import numpy as np
import pytest

from archmodel import config, simulate
from archmodel.exchange import read_network
from archmodel.validation.published import csv_rows
from tests.network.test_sequence_networks import NAMES as SEQUENCE_NETWORKS

NAMES = config.names("workloads")
PREFIXES = {"alexnet": "ALEX_", "vgg16": "VGG_", "googlenet": ""}
SIDE_BY_SIDE = {"eie_layers"}  # layers of several networks, which do not feed each other
STUDY_NETWORKS = {"alexnet": "alexnet_scnn", "vgg16": "vgg16", "googlenet": "googlenet"}


SCNN_ROWS = csv_rows("scnn_layers.csv")


def study_name(row):
    return row["layer"].removeprefix(PREFIXES[row["net"]]).replace("-", "/", 1)


def chain(channels, layers):
    """Parameters with biases, and MACs, of convolutions that feed each other; (K, kernel, output side) of each."""
    parameters = macs = 0
    for K, kernel, side in layers:
        weights = K * channels * kernel**2
        parameters, macs, channels = parameters + weights + K, macs + weights * side**2, K
    return np.array([parameters, macs])


def classifier(*widths):
    """The same of fully connected layers."""
    return chain(widths[0], [(K, 1, 1) for K in widths[1:]])


def vgg(*depths):
    """The same of a VGG: 3x3 convolutions in five groups of these depths, each half as wide and high as the last."""
    groups = zip(depths, (64, 128, 256, 512, 512), (224, 112, 56, 28, 14), strict=True)
    return chain(3, [(K, 3, side) for depth, K, side in groups for _ in range(depth)]) + classifier(
        512 * 7 * 7, 4096, 4096, 1000
    )


MLPCONV = ((96, 11, 54), (256, 5, 27), (384, 3, 13), (1024, 3, 6))
# Inputs and outputs of the layers of EIE's Table III.
EIE_LAYERS = ((9216, 4096), (4096, 4096), (4096, 1000), (25088, 4096), (4096, 4096), (4096, 1000), (4096, 600),
              (600, 8791), (1201, 2400))  # fmt: skip
# Counted from the architectures, for networks whose totals are not published, or not to their digits.
COUNTED = {
    "grasp": chain(3, [(64, 5, 112), (128, 3, 28), (128, 3, 14), (128, 3, 14), (256, 3, 14)])
    + classifier(256 * 7 * 7, 512, 512, 6),
    "overfeat_fast": chain(3, [(96, 11, 56), (256, 5, 24), (512, 3, 12), (1024, 3, 12), (1024, 3, 12)])
    + classifier(1024 * 6 * 6, 3072, 4096, 1000),
    "overfeat_accurate": chain(
        3, [(96, 7, 108), (256, 7, 30), (512, 3, 15), (512, 3, 15), (1024, 3, 15), (1024, 3, 15)]
    )
    + classifier(1024 * 5 * 5, 4096, 4096, 1000),
    "cnn_m": chain(3, [(96, 7, 109), (256, 5, 26), *[(512, 3, 13)] * 3]) + classifier(512 * 6 * 6, 4096, 4096, 1000),
    "cnn_s": chain(3, [(96, 7, 109), (256, 5, 33), *[(512, 3, 17)] * 3]) + classifier(512 * 6 * 6, 4096, 4096, 1000),
    # A kernel and two 1x1 layers of the same width, but the very last has as many maps as there are classes.
    "nin": chain(3, [one for K, R, side in MLPCONV for one in ((K, R, side), (K, 1, side), (K, 1, side))][:-1])
    + chain(1024, [(1000, 1, 6)]),
    "eie_layers": tuple(map(sum, zip(*(classifier(C, K) for C, K in EIE_LAYERS), strict=True))),
    "lenet5": chain(1, [(20, 5, 24), (50, 5, 8)]) + classifier(50 * 4 * 4, 500, 10),
    "vgg_a": vgg(1, 1, 2, 2, 2),
    "vgg19": vgg(2, 2, 4, 4, 4),
    **{f"vgg{16 + 5 * more}": vgg(2 + more, 2 + more, 3 + more, 3 + more, 3 + more) for more in (20, 40, 60, 80)},
}


@pytest.mark.parametrize("name", COUNTED)
def test_totals_are_those_of_the_architecture(name):
    network = read_network(name)
    assert [network.parameters, network.macs] == list(COUNTED[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_network_has_a_published_total_or_one_counted_by_hand(name):
    assert read_network(name).published or name in COUNTED or name in SEQUENCE_NETWORKS


def test_the_macs_of_googlenet_are_those_of_the_rows_of_its_paper():
    """Szegedy et al., CVPR 2015, Table 1, rows to half a million or so; stem and 5a from their shapes."""
    millions = 118.0 + 360 + 128 + 304 + 73 + 88 + 100 + 119 + 170 + 51.1 + 71 + 1
    assert read_network("googlenet").macs == pytest.approx(1e6 * millions, abs=5e6)


def test_the_study_has_695_million_macs_in_six_alexnet_rows():
    layers = read_network("alexnet_scnn").compute_layers
    assert [layer.name for layer in layers] == ["conv1", "conv2_1", "conv2_2", "conv3", "conv4", "conv5"]
    assert sum(layer.macs for layer in layers) == 695_112_192


@pytest.mark.parametrize("row", SCNN_ROWS, ids=lambda row: row["layer"])
def test_a_row_of_the_scnn_study_is_a_layer(row):
    network = read_network(STUDY_NETWORKS[row["net"]])
    layer, zeros = network.layer(study_name(row)), network.zeros[study_name(row)]
    dimensions = {letter: int(row[letter]) for letter in "RSPQCK"}
    assert {letter: getattr(layer, letter) for letter in "RSPQCK"} == dimensions
    assert layer.stride == (1, 1)
    assert layer.groups == 1
    assert layer.macs == np.prod(list(dimensions.values()))
    assert zeros.weight_nonzeros == int(row["w_nnz"])
    assert zeros.weight_nonzeros / layer.weight_words == pytest.approx(float(row["w_density"]), abs=1e-9)
    assert zeros.input_density == float(row["ia_density"])
    assert zeros.output_density == float(row["oa_density"])


@pytest.mark.parametrize("study_network", STUDY_NETWORKS)
def test_every_convolution_with_study_counts_is_a_row(study_network):
    network = read_network(STUDY_NETWORKS[study_network])
    counted = {name for name, zeros in network.zeros.items() if zeros.weight_nonzeros is not None}
    assert counted == {study_name(row) for row in SCNN_ROWS if row["net"] == study_network}


@pytest.mark.parametrize(("name", "reduction"), [("alexnet_scnn", 3.01), ("googlenet", 4.25), ("vgg16", 4.86)])
def test_the_ideal_reduction_of_work_is_that_of_the_study(name, reduction):
    """Dense MACs over the MACs with both operands non-zero, computed from the study's own table."""
    network = read_network(name)
    dense, effectual = 0, 0.0
    for layer in network.compute_layers:
        zeros = network.zeros[layer.name]
        if zeros.weight_nonzeros is not None:
            dense += layer.macs
            effectual += layer.macs * zeros.weight_nonzeros / layer.weight_words * zeros.input_density
    assert dense / effectual == pytest.approx(reduction, abs=0.005)


@pytest.mark.parametrize(
    ("name", "published", "band"),
    [
        # Han et al., NIPS 2015, Table 1. Densities of fully connected layers are whole per cents there: 4 % may be 3.5.
        ("alexnet", 6.7e6, 0.02),
        ("vgg16", 10.3e6, 0.03),
        ("lenet5", 36e3, 0.02),
        ("lenet300_100", 22e3, 0.02),
    ],
)
def test_the_pruned_networks_have_the_published_number_of_weights(name, published, band):
    network = read_network(name)
    nonzeros = 0.0
    for layer in network.compute_layers:
        zeros = network.zeros[layer.name]
        counted = zeros.weight_nonzeros is not None
        nonzeros += zeros.weight_nonzeros if counted else zeros.weight_density * layer.weight_words
    assert nonzeros == pytest.approx(published, rel=band)


def test_grouped_alexnet_has_the_weights_of_both_halves_of_the_study():
    rows = {row["layer"]: row for row in SCNN_ROWS}
    halves = [rows["ALEX_conv2_1"], rows["ALEX_conv2_2"]]
    network = read_network("alexnet")
    assert network.zeros["conv2"].weight_nonzeros == sum(int(half["w_nnz"]) for half in halves)
    assert network.zeros["conv2"].input_density == pytest.approx(sum(float(half["ia_density"]) for half in halves) / 2)
    for name in ("conv1", "conv3", "conv4", "conv5"):
        zeros, row = network.zeros[name], rows[f"ALEX_{name}"]
        assert zeros.weight_nonzeros == int(row["w_nnz"])
        assert zeros.input_density == float(row["ia_density"])
        assert zeros.output_density == float(row["oa_density"])


@pytest.mark.parametrize(
    ("name", "densities"),
    [
        ("alexnet", {"fc6": (0.09, 0.34), "fc7": (0.09, 0.36), "fc8": (0.25, 0.40)}),  # Table 4
        ("vgg16", {"fc6": (0.04, 0.19), "fc7": (0.04, 0.38), "fc8": (0.23, 0.42)}),  # Table 5
        ("lenet5", {"conv1": (0.66, 0.19), "conv2": (0.12, 0.82), "ip1": (0.08, 0.72), "ip2": (0.19, 0.55)}),  # Table 3
        ("lenet300_100", {"ip1": (0.08, 0.19), "ip2": (0.09, 0.38), "ip3": (0.26, 0.65)}),  # Table 2
    ],
)
def test_weights_and_inputs_have_the_densities_of_han(name, densities):
    """Han et al., NIPS 2015: non-zero weights of a layer, non-zero activations of the layer before it."""
    zeros = read_network(name).zeros
    assert {layer: (zeros[layer].weight_density, zeros[layer].input_density) for layer in densities} == densities


# Caffe's bvlc_alexnet: C, H -> K, P and parameters with biases.
ALEXNET = {
    "conv1": (3, 227, 96, 55, 34_944),
    "norm1": (96, 55, 96, 55, 0),
    "pool1": (96, 55, 96, 27, 0),
    "conv2": (96, 27, 256, 27, 307_456),
    "pool2": (256, 27, 256, 13, 0),
    "conv3": (256, 13, 384, 13, 885_120),
    "conv4": (384, 13, 384, 13, 663_936),
    "conv5": (384, 13, 256, 13, 442_624),
    "pool5": (256, 13, 256, 6, 0),
    "fc6": (9216, 1, 4096, 1, 37_752_832),
    "fc7": (4096, 1, 4096, 1, 16_781_312),
    "fc8": (4096, 1, 1000, 1, 4_097_000),
}


@pytest.mark.parametrize("name", ALEXNET)
def test_alexnet_has_the_shapes_of_caffe(name):
    layer = read_network("alexnet").layer(name)
    assert (layer.C, layer.H, layer.K, layer.P, layer.parameters) == ALEXNET[name]
    assert (layer.H, layer.P) == (layer.W, layer.Q)


# convnet-benchmarks' alexnet.prototxt and overfeat.prototxt: C, H -> K, P and parameters with biases.
BENCHMARKS = {
    "alexnet_owt": {
        "conv1": (3, 224, 64, 55, 23_296),
        "pool1": (64, 55, 64, 27, 0),
        "conv2": (64, 27, 192, 27, 307_392),
        "pool2": (192, 27, 192, 13, 0),
        "conv3": (192, 13, 384, 13, 663_936),
        "conv4": (384, 13, 256, 13, 884_992),
        "conv5": (256, 13, 256, 13, 590_080),
        "pool5": (256, 13, 256, 6, 0),
        "fc6": (9216, 1, 4096, 1, 37_752_832),
        "fc7": (4096, 1, 4096, 1, 16_781_312),
        "fc8": (4096, 1, 1000, 1, 4_097_000),
    },
    "overfeat_fast": {
        "conv1": (3, 231, 96, 56, 34_944),
        "pool1": (96, 56, 96, 28, 0),
        "conv2": (96, 28, 256, 24, 614_656),
        "pool2": (256, 24, 256, 12, 0),
        "conv3": (256, 12, 512, 12, 1_180_160),
        "conv4": (512, 12, 1024, 12, 4_719_616),
        "conv5": (1024, 12, 1024, 12, 9_438_208),
        "pool5": (1024, 12, 1024, 6, 0),
        "fc6": (36_864, 1, 3072, 1, 113_249_280),
        "fc7": (3072, 1, 4096, 1, 12_587_008),
        "fc8": (4096, 1, 1000, 1, 4_097_000),
    },
}


@pytest.mark.parametrize(
    ("network", "name"), [(network, name) for network in BENCHMARKS for name in BENCHMARKS[network]]
)
def test_a_benchmark_network_has_the_shapes_of_its_prototxt(network, name):
    layer = read_network(network).layer(name)
    assert (layer.C, layer.H, layer.K, layer.P, layer.parameters) == BENCHMARKS[network][name]
    assert (layer.H, layer.P, layer.groups) == (layer.W, layer.Q, 1)


# Planes of what a network leaves, layer by layer, where only these tell one rounding or padding from another.
PLANES = {
    "cnn_m": {"conv1": 109, "pool1": 54, "conv2": 26, "pool2": 13, "conv5": 13, "pool5": 6},
    "cnn_s": {"conv1": 109, "pool1": 37, "conv2": 33, "pool2": 17, "conv5": 17, "pool5": 6},
    "overfeat_accurate": {"conv1": 108, "pool1": 36, "conv2": 30, "pool2": 15, "conv6": 15, "pool6": 5},
    "nin": {"conv1": 54, "pool0": 27, "conv2": 27, "pool2": 13, "conv3": 13, "pool3": 6, "cccp8-1024": 6, "pool4": 1},
    "grasp": {"conv1": 112, "pool1": 56, "conv2": 28, "pool2": 14, "conv5": 14, "pool5": 7},
    "densenet121": {"conv0": 112, "pool0": 56, "transition1.pool": 28, "transition3.pool": 7, "avgpool": 1},
    "mobilenet_v1": {"conv1": 112, "conv2_2/dw": 56, "conv3_2/dw": 28, "conv5_5/sep": 14, "conv6/sep": 7, "pool6": 1},
}


@pytest.mark.parametrize("name", PLANES)
def test_planes_are_those_of_the_model_definitions(name):
    network = read_network(name)
    assert {layer: network.layer(layer).output_shape[1:] for layer in PLANES[name]} == {
        layer: (side, side) for layer, side in PLANES[name].items()
    }


# He et al., CVPR 2016, Table 1: blocks of the four stages, convolutions of a block.
RESNETS = {18: ((2, 2, 2, 2), 2), 34: ((3, 4, 6, 3), 2), 50: ((3, 4, 6, 3), 3), 101: ((3, 4, 23, 3), 3)}
RESNETS[152] = ((3, 8, 36, 3), 3)


@pytest.mark.parametrize("depth", RESNETS)
def test_every_block_of_a_resnet_adds_its_input_and_a_projection_only_where_shapes_change(depth):
    network = read_network(f"resnet{depth}")
    stages, convolutions = RESNETS[depth]
    assert 2 + sum(stages) * convolutions == depth
    block_input = "maxpool"
    for stage, (num_blocks, side) in enumerate(zip(stages, (56, 28, 14, 7), strict=True), start=1):
        for block in range(num_blocks):
            prefix = f"layer{stage}.{block}."
            join = network.layer(prefix + "add")
            assert network.layer(prefix + "conv1").inputs == (block_input,)
            assert join.inputs[0] == f"{prefix}bn{convolutions}"
            before, shortcut = (network.layer(name) for name in (block_input, join.inputs[1]))
            if before.output_shape == join.output_shape:
                assert shortcut is before
            else:
                assert network.layer(prefix + "downsample.0").inputs == (block_input,)
                assert shortcut.name == prefix + "downsample.1"
            expected = 64 * 2 ** (stage - 1) * (4 if convolutions == 3 else 1)
            assert join.output_shape == (expected, side, side)
            block_input = prefix + "relu"
    assert network.layer("avgpool").inputs == (block_input,)
    strided = [layer.name for layer in network.compute_layers if layer.stride == (2, 2) and layer.R == 3]
    # Version 1.5 strides in the 3x3 convolution of a bottleneck, its second; a basic block in its first.
    assert strided == [f"layer{stage}.0.conv{convolutions - 1}" for stage in (2, 3, 4)]


def test_a_dense_block_reads_everything_before_it():
    network = read_network("densenet121")
    channels = 64
    for block, num_layers in enumerate((6, 12, 24, 16), start=1):
        for index in range(1, num_layers + 1):
            layer = network.layer(f"denseblock{block}.denselayer{index}.norm1")
            assert channels + 32 * (index - 1) == layer.C
        channels = (channels + 32 * num_layers) // (2 if block < 4 else 1)
    assert network.layer("classifier").C == channels == 1024


def test_mobilenet_spends_what_its_paper_says_in_each_kind_of_layer():
    """Howard et al., arXiv 1704.04861, Table 2: per cent of weights (from a transcription) and of MACs (recalled).

    For the MACs of the first layer it has 1.19 %, which does not follow from its shape: the other three leave 1.9 %.
    """
    network = read_network("mobilenet_v1")
    convolutions = [layer for layer in network.layers if layer.kind == "conv"]
    pointwise = [layer for layer in convolutions if layer.R == 1]
    depthwise = [layer for layer in convolutions if layer.groups > 1]
    assert all(layer.groups == layer.C == layer.K for layer in depthwise)
    assert [len(convolutions), len(pointwise), len(depthwise)] == [27, 13, 13]
    weights = sum(layer.weight_words for layer in network.layers)
    for layers, weight_share, mac_share in (
        (pointwise, 74.59, 94.86),
        (depthwise, 1.06, 3.06),
        (convolutions[:1], 0.02, 1.90),
        ([network.layer("fc7")], 24.33, 0.18),
    ):
        assert 100 * sum(layer.weight_words for layer in layers) / weights == pytest.approx(weight_share, abs=0.006)
        assert 100 * sum(layer.macs for layer in layers) / network.macs == pytest.approx(mac_share, abs=0.008)


# Han et al., NIPS 2015, Tables 4 and 5 (from a transcription): per cent of non-zero weights, of non-zero activations
# that a layer leaves, conv by conv, for VGG-16 stage by stage.
HAN_ALEXNET = [(84, 88), (38, 52), (35, 37), (37, 40), (37, 34)]
HAN_VGG16 = [
    [(58, 53), (22, 89)],
    [(34, 80), (36, 81)],
    [(53, 68), (24, 70), (42, 64)],
    [(32, 51), (27, 45), (34, 34)],
    [(35, 32), (29, 29), (36, 19)],
]


def densities(network, name):
    zeros = network.zeros[name]
    return round(100 * zeros.weight_density), round(100 * zeros.input_density)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("vgg") and name != "vgg16"])
def test_a_vgg_has_the_densities_of_the_layer_of_vgg16_in_the_same_place(name):
    network = read_network(name)
    for layer in network.compute_layers:
        if layer.kind != "conv":
            continue
        stage, place = (int(part) - 1 for part in layer.name.removeprefix("conv").split("_"))
        place = min(place, len(HAN_VGG16[stage]) - 1)
        above = HAN_VGG16[stage][place - 1] if place else HAN_VGG16[stage - 1][-1] if stage else (0, 100)
        assert densities(network, layer.name) == (HAN_VGG16[stage][place][0], above[1]), layer.name
    assert [densities(network, name) for name in ("fc6", "fc7", "fc8")] == [(4, 19), (4, 38), (23, 42)]


@pytest.mark.parametrize("name", ["alexnet_owt", "cnn_m", "cnn_s", "overfeat_fast", "grasp"])
def test_a_network_of_alexnets_depth_has_the_densities_of_alexnet(name):
    network = read_network(name)
    inputs = [100, *(activations for _, activations in HAN_ALEXNET)]
    expected = [(weights, inputs[index]) for index, (weights, _) in enumerate(HAN_ALEXNET)]
    expected += [(9, 34), (9, 36), (25, 40)]
    assert [densities(network, layer.name) for layer in network.compute_layers] == expected


@pytest.mark.parametrize("layers", [116, 216, 316, 416])
def test_a_very_deep_vgg_has_as_many_layers_as_its_name_says(layers):
    network = read_network(f"vgg{layers}")
    assert len(network.compute_layers) == layers
    assert len(network.select("conv3_*")) - len(read_network("vgg16").select("conv3_*")) == (layers - 16) // 5


def test_the_deepest_vgg_needs_the_memory_that_vdnn_is_about():
    """Rhu et al., MICRO 2016: 67 GB for VGG-416 at batch 32 (from a transcription), with the network-wide allocation:

    feature maps and weights with their gradients, of these maps one pair of the largest size, in 4-byte words. The
    band of 5 % covers workspaces and whether GB is 10^9 or 2^30 bytes, 7 % apart: the count is 70.1 and 65.3.
    """
    network = read_network("vgg416")
    stored = [layer.output_words for layer in network.layers if layer.kind in ("conv", "pool", "fc", "softmax")]
    maps = sum(stored) + 3 * 224 * 224 + 2 * max(stored)
    assert 4 * (32 * maps + 2 * network.parameters) == pytest.approx(67e9, rel=0.05)


def test_space_to_depth_keeps_every_weight_of_alexnet_conv1():
    real = read_network("alexnet").layer("conv1")
    network = read_network("alexnet_scnn")
    rearranged, zeros = network.layer("conv1"), network.zeros["conv1"]
    assert zeros.space_to_depth == (real.R, real.S, real.stride[0])
    assert rearranged.input_shape[0] == real.C * real.stride[0] ** 2
    assert zeros.weight_nonzeros <= real.weight_words
    assert network.layer("crop1").output_shape == real.output_shape


# Szegedy et al., CVPR 2015, Table 1 (from a transcription): module -> its channels (1x1, 3x3 reduce, 3x3, 5x5 reduce,
# 5x5, pool proj), plane, MACs in millions. Two rows there do not follow from their own shapes: 5a, 54 M, whose channels
# give the 51.1 M here, and the 7x7 stem, 34 M.
INCEPTION = {
    "3a": ((64, 96, 128, 16, 32, 32), 28, 128),
    "3b": ((128, 128, 192, 32, 96, 64), 28, 304),
    "4a": ((192, 96, 208, 16, 48, 64), 14, 73),
    "4b": ((160, 112, 224, 24, 64, 64), 14, 88),
    "4c": ((128, 128, 256, 24, 64, 64), 14, 100),
    "4d": ((112, 144, 288, 32, 64, 64), 14, 119),
    "4e": ((256, 160, 320, 32, 128, 128), 14, 170),
    "5a": ((256, 160, 320, 32, 128, 128), 7, 51.1),
    "5b": ((384, 192, 384, 48, 128, 128), 7, 71),
}


@pytest.mark.parametrize("module", INCEPTION)
def test_an_inception_module_forks_four_ways_and_joins(module):
    network = read_network("googlenet")
    channels, plane, millions = INCEPTION[module]
    prefix = f"inception_{module}/"
    convolutions = [
        network.layer(prefix + name) for name in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    ]
    assert tuple(layer.K for layer in convolutions) == channels
    (block_input,) = convolutions[0].inputs
    branches = (prefix + "1x1", prefix + "3x3_reduce", prefix + "5x5_reduce", prefix + "pool")
    assert network.consumers[block_input] == branches
    join = network.layer(prefix + "output")
    assert join.output_shape == (channels[0] + channels[2] + channels[4] + channels[5], plane, plane)
    assert join.inputs == tuple(prefix + name for name in ("relu_1x1", "relu_3x3", "relu_5x5", "relu_pool_proj"))
    # The table gives whole millions, cut or rounded.
    assert sum(layer.macs for layer in convolutions) / 1e6 == pytest.approx(millions, abs=0.7)


def test_the_stem_of_googlenet_has_the_planes_of_the_paper():
    network = read_network("googlenet")
    planes = {
        "conv1/7x7_s2": 112,
        "pool1/3x3_s2": 56,
        "conv2/3x3": 56,
        "pool2/3x3_s2": 28,
        "pool3/3x3_s2": 14,
        "pool4/3x3_s2": 7,
    }
    assert {name: network.layer(name).P for name in planes} == planes
    assert network.layer("pool5/7x7_s1").output_shape == (1024, 1, 1)
    assert network.layer("conv2/3x3_reduce").macs + network.layer("conv2/3x3").macs == pytest.approx(360e6, abs=0.5e6)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_runs_without_options_on_the_zeros_that_it_states(name):
    network = read_network(name)
    smallest = min(network.compute_layers, key=lambda layer: layer.macs)
    run = simulate("scnn", name, layers=smallest.name, check=True)
    (result,) = run.layers
    assert result.cycles > 0
    assert {text.partition(":")[0] for text in result.origins.values()} <= {"profile", "real", "unknown"}


def test_branches_that_read_one_tensor_state_one_density():
    for name in NAMES:
        network = read_network(name)
        for tensor, readers in network.consumers.items():
            stated = {network.zeros[reader].input_density for reader in readers if reader in network.zeros}
            assert len(stated) <= 1, (name, tensor, stated)


@pytest.mark.parametrize("name", ["squeezenet", "squeezenet_pruned"])
def test_a_fire_module_squeezes_forks_and_joins(name):
    network = read_network(name)
    for index, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        prefix = f"fire{index}/"
        assert network.layer(prefix + "squeeze1x1").output_shape[0] == squeezed
        assert network.consumers[prefix + "relu_squeeze1x1"] == (prefix + "expand1x1", prefix + "expand3x3")
        join = network.layer(prefix + "concat")
        assert join.K == network.layer(prefix + "expand1x1").K + network.layer(prefix + "expand3x3").K == 8 * squeezed
    planes = {"conv1": 111, "pool1": 55, "pool4": 27, "pool8": 13, "conv10": 15, "pool10": 1}
    assert {layer: network.layer(layer).P for layer in planes} == planes


def test_dense_and_pruned_squeezenet_are_one_graph():
    assert read_network("squeezenet").layers == read_network("squeezenet_pruned").layers


@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_a_whole_graph(name):
    network = read_network(name)
    made = set(network.inputs)
    for layer in network.layers:
        assert set(layer.inputs) <= made, "execution order is topological"
        made.add(layer.name)
    unread = [tensor for tensor, readers in network.consumers.items() if not readers]
    outputs = [layer.name for layer in network.layers] if name in SIDE_BY_SIDE else [network.layers[-1].name]
    assert unread == outputs, "only the last tensor leaves the network"
    assert {layer.name for layer in network.compute_layers} == set(network.zeros), "every layer states its zeros"
    for zeros in network.zeros.values():
        assert zeros.input_density is not None
        assert {zeros.weight_nonzeros, zeros.weight_density, zeros.weight_mask} != {None}


@pytest.mark.parametrize(
    ("name", "num_joins"),
    [("googlenet", 9), ("squeezenet", 8), ("squeezenet_pruned", 8), ("alexnet_scnn", 1), ("densenet121", 58)],
)
def test_branches_are_concatenated_as_often_as_there_are_modules(name, num_joins):
    assert [layer.kind for layer in read_network(name).layers].count("concat") == num_joins
