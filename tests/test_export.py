"""`archmodel export`: files of other tools by hand and read back, our own file read back to an equal network."""

import dataclasses
import os

import numpy as np
import pytest
import yaml

from archmodel import config
from archmodel.cli.export import what_is_not_said
from archmodel.cli.main import run
from archmodel.exchange import read_network
from archmodel.exchange.scale_sim_writer import convolutions_text, products_text
from archmodel.exchange.sparseloop_writer import sparseloop_text
from archmodel.network import Layer, Network, Zeros
from archmodel.network.entries import ENTRIES, LayerEntry
from archmodel.network.toml_writer import LAYER_KEYS, toml_text
from archmodel.operands.sources import OperandSource, Source
from archmodel.operands.stated import all_densities, with_numbers

NETWORKS = config.names("workloads")


def network_of(*layers, zeros=None, **inputs):
    return Network("net", "a net", "by hand", inputs, layers, zeros or {})


def exported(name, path, *options):
    assert run(["export", name, str(path), *options]) == 0
    return read_network(path)


CONV = Layer("conv", "conv", ("x",), (4, 12, 9), K=6, R=3, S=2, stride=(2, 2), padding=(1, 2, 0, 1), groups=2)
DEEP = Layer("deep", "conv", ("conv",), (6, 7, 5), K=12, R=3, S=3, padding=(1, 1, 1, 1), groups=6, bias=False)
DP_NAME = Layer("DPN", "conv", ("deep",), (12, 7, 5), K=3, R=2, S=2, stride=(1, 3), dilation=(2, 1))
FC = Layer("fc", "fc", ("DPN",), (3 * 5 * 2, 1, 1), K=8)
LSTM = Layer("lstm", "lstm", ("steps",), (3, 7, 1), K=2)
SCORES = Layer("scores", "matmul", ("lstm", "lstm"), (2, 7, 1), K=14, groups=2, bias=False, mode="transposed")
RELU = Layer("relu", "activation", ("scores",), (14, 7, 1), K=14, mode="relu")
SMALL = network_of(CONV, DEEP, DP_NAME, FC, LSTM, SCORES, RELU, x=(4, 12, 9), steps=(3, 7, 1))


def test_convolutions_are_rows_over_padded_inputs():
    assert convolutions_text(SMALL).splitlines() == [
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,",
        "conv_group0, 15, 10, 3, 2, 2, 3, 2,",  # 7 x 5 windows, which reach all rows and columns
        "conv_group1, 15, 10, 3, 2, 2, 3, 2,",
        "deep_DP, 9, 7, 3, 3, 6, 2, 1,",
        "DpN, 10, 48, 1, 48, 1, 3, 1,",  # two strides: its matrix product, as SCALE-Sim writes one
        "fc, 1, 1, 1, 1, 30, 8, 1,",
        "lstm, 7, 5, 1, 5, 1, 8, 1,",
        "scores_group0, 7, 1, 1, 1, 1, 7, 1,",
        "scores_group1, 7, 1, 1, 1, 1, 7, 1,",
    ]


def test_a_depthwise_convolution_of_two_channels_is_one_row():
    two = Layer("two", "conv", ("x",), (2, 5, 5), K=4, R=3, S=3, groups=2)
    assert convolutions_text(network_of(two, x=(2, 5, 5))).splitlines()[1:] == ["two_DP, 5, 5, 3, 3, 2, 2, 1,"]


def test_products_are_positions_filters_and_words_of_a_window():
    assert products_text(SMALL).splitlines() == [
        "Layer, M, N, K,",
        *(f"conv_group{group}, 35, 3, 12," for group in range(2)),
        *(f"deep_group{group}, 35, 2, 9," for group in range(6)),
        "DPN, 10, 3, 48,",
        "fc, 1, 8, 30,",
        "lstm, 7, 8, 5,",
        *(f"scores_group{group}, 7, 7, 1," for group in range(2)),
    ]


def macs_by_name(network):
    """Of the layers of a file of SCALE-Sim, rows of one layer together."""
    counts = {}
    for layer in network.compute_layers:
        name = layer.name.partition("_group")[0].removesuffix("_DP").replace("Dp", "DP")
        counts[name] = counts.get(name, 0) + layer.macs
    return counts


@pytest.mark.parametrize("form", ["scale_sim", "scale_sim_gemm"])
@pytest.mark.parametrize("name", [*NETWORKS, "small"])
def test_scale_sim_counts_the_macs_of_every_layer(tmp_path, name, form):
    network = SMALL if name == "small" else read_network(name)
    path = tmp_path / "topology.csv"
    path.write_text(convolutions_text(network) if form == "scale_sim" else products_text(network))
    assert macs_by_name(read_network(path)) == {layer.name: layer.macs for layer in network.compute_layers}


def test_a_problem_of_sparseloop_by_hand():
    dilated = dataclasses.replace(DP_NAME, inputs=("x",), input_shape=(12, 7, 5))
    zeros = {"DPN": Zeros("who says so: # not a comment", None, 0.25, None, 1e-7, 1.0)}
    (document,) = yaml.safe_load_all(sparseloop_text(network_of(dilated, x=(12, 7, 5)), zeros))
    problem = document["problem"]
    assert problem["instance"] == {
        "N": 1, "G": 1, "C": 12, "M": 3, "P": 5, "Q": 2, "R": 2, "S": 2,
        "Hstride": 1, "Wstride": 3, "Hdilation": 2, "Wdilation": 1,
        "densities": {
            "Weights": {"distribution": "hypergeometric", "density": 0.25},
            "Inputs": {"distribution": "hypergeometric", "density": 1e-7},
            "Outputs": {"distribution": "hypergeometric", "density": 1.0},
        },
    }
    shape = problem["shape"]
    assert shape["name"] == "DPN"
    assert sorted(shape["dimensions"]) == sorted("NGCMPQRS")
    assert [space["name"] for space in shape["data-spaces"]] == ["Weights", "Inputs", "Outputs"]
    assert shape["data-spaces"][2]["read-write"] is True
    assert {one["name"] for one in shape["coefficients"]} == problem["instance"].keys() - {*"NGCMPQRS", "densities"}


def extent(projection, instance):
    """Words along one axis of a data space: a sum of indices, each by its coefficient."""
    return 1 + sum((instance[term[0]] - 1) * (instance[term[1]] if len(term) > 1 else 1) for term in projection)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v1", "deep_speech_2", "bert_base", "small"])
def test_sparseloop_sees_the_words_and_the_macs_of_every_layer(name):
    network = SMALL if name == "small" else read_network(name)
    source = OperandSource(network, Source(density=0.5), Source(density=0.25))
    documents = list(yaml.safe_load_all(sparseloop_text(network, all_densities(source))))
    for layer, document in zip(network.compute_layers, documents, strict=True):
        instance, shape = document["problem"]["instance"], document["problem"]["shape"]
        words = {
            space["name"]: np.prod([extent(axis, instance) for axis in space["projection"]], dtype=np.int64)
            for space in shape["data-spaces"]
        }
        assert shape["name"] == layer.name
        assert np.prod([instance[dim] for dim in shape["dimensions"]], dtype=np.int64) == layer.macs
        assert words["Weights"] == layer.weight_words
        assert words["Outputs"] == np.prod([layer.weight_shape[0], layer.P, layer.Q])
        reached = [(layer.P - 1) * layer.stride[0], (layer.Q - 1) * layer.stride[1]]
        reached[0] += (layer.R - 1) * layer.dilation[0] + 1
        reached[1] += (layer.S - 1) * layer.dilation[1] + 1
        assert words["Inputs"] == layer.multiplied_shape[0] * reached[0] * reached[1]


def test_the_densities_of_sparseloop_are_measured_where_operands_are_real(tmp_path, capsys):
    source = OperandSource(read_network("squeezenet_pruned"))
    measured = all_densities(source)
    for layer in source.network.compute_layers[:3]:
        assert measured[layer.name].weight_density == source.operands(layer).weight_density
    net, path = network_file(tmp_path), tmp_path / "out.yaml"
    weights = np.zeros((3, 2, 3, 3), "int8")
    weights[1, 1, :, 0] = 5
    inputs = np.zeros((2, 5, 5), "int8")
    inputs[0, :2] = 1
    np.savez(tmp_path / "w.npz", **{"conv.weights": weights, "conv.inputs": inputs})
    file = str(tmp_path / "w.npz")
    assert run(["export", net, str(path), "--weights", file, "--activations", file]) == 0
    densities = yaml.safe_load(path.read_text())["problem"]["instance"]["densities"]
    assert densities["Weights"]["density"] == 3 / 54
    assert densities["Inputs"]["density"] == 10 / 50
    assert "where zeros lie, only how many they are" in capsys.readouterr().err


def network_file(tmp_path, more=""):
    path = tmp_path / "net.toml"
    path.write_text(
        'title = "t"\nsource = "s"\ninputs = {x = [2, 5, 5]}\n'
        f'layers = [{{name = "conv", kind = "conv", K = 3, kernel = 3{more}}}]\n'
    )
    return str(path)


def test_sparseloop_needs_densities(tmp_path, capsys):
    path = tmp_path / "out.yaml"
    assert run(["export", network_file(tmp_path), str(path)]) == 2
    assert "conv: no weight density is stated; give --weights density=<0..1>" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize("name", NETWORKS)
def test_our_own_file_reads_back_to_an_equal_network(tmp_path, name):
    network = read_network(name)
    found = exported(name, tmp_path / f"{name}.toml")
    assert found == dataclasses.replace(with_numbers(OperandSource(network)), folder=tmp_path)
    masks = any(zeros.weight_mask for zeros in network.zeros.values())
    assert masks or found.zeros == network.zeros


def test_real_weights_are_counted(tmp_path):
    real = OperandSource(read_network("squeezenet_pruned"))
    found = exported("squeezenet_pruned", tmp_path / "squeezenet_pruned.toml")
    for layer in found.compute_layers[::6]:
        assert found.zeros[layer.name].weight_nonzeros == real.operands(layer).weight_nonzeros
        assert found.zeros[layer.name].input_density == real.network.zeros[layer.name].input_density


EVERY_KIND = """\
title = "every \\"kind\\" \\u007f of \\\\ layer"
source = "a tab\\tand a line\\nand \\u00e9 and \\U0001F600"
inputs = {"an image" = [8, 9, 7], ids = [1, 6, 1]}
published = {macs = {total = 1000, exact = true, provenance = "computed", source = "x"}, parameters = 5}
layers = [
    {name = "c1", kind = "conv", inputs = ["an image"], K = 4, kernel = [3, 2], stride = [1, 2], \
padding = [1, 2, 0, 1], dilation = [2, 1], groups = 2, bias = false, weight_nonzeros = 7, zeros_source = "one"},
    {name = "c2", kind = "conv", K = 4, kernel = 3, padding = [1, 0], weight_density = 0.1, input_density = 1e-05, \
output_density = 0.0, structure = "space_to_depth:6,6,2", zeros_source = "two"},
    {name = "p", kind = "pool", kernel = 2, ceil = true, mode = "average"},
    {name = "n", kind = "norm", mode = "batch"},
    {name = "n2", kind = "norm"},
    {name = "r", kind = "activation", mode = "gelu"},
    {name = "r2", kind = "activation"},
    {name = "s", kind = "slice", channels = [0, 4], rows = [1, 2]},
    {name = "e", kind = "embedding", inputs = ["ids"], K = 8, vocabulary = 11},
    {name = "l", kind = "lstm", K = 4},
    {name = "g", kind = "gru", K = 4, bias = false},
    {name = "mm", kind = "matmul", inputs = ["l", "g"], transpose = true, heads = 2},
    {name = "sm", kind = "softmax"},
    {name = "mp", kind = "matmul", inputs = ["sm", "g"], heads = 2, weight_density = 0.5, zeros_source = "three"},
    {name = "a", kind = "add", inputs = ["mp", "l"]},
    {name = "j", kind = "concat", inputs = ["a", "g"]},
    {name = "d", kind = "dropout"},
    {name = "f", kind = "fc", K = 3},
]
"""


def test_every_kind_and_every_key_comes_back(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(EVERY_KIND, "utf-8")
    network = read_network(path)
    path.write_text(toml_text(network), "utf-8")
    assert read_network(path) == network


def test_a_line_has_nothing_that_is_the_default():
    relu = Layer("relu", "activation", ("conv",), (4, 4, 4), K=4, mode="relu")
    conv = Layer("conv", "conv", ("x",), (3, 6, 6), K=4, R=3, S=3)
    zeros = {"conv": Zeros("who", weight_density=0.5)}
    assert toml_text(network_of(conv, relu, zeros=zeros, x=(3, 6, 6))) == (
        'title = "a net"\nsource = "by hand"\nzeros_source = "who"\ninputs = {"x" = [3, 6, 6]}\nlayers = [\n'
        '    {name = "conv", kind = "conv", K = 4, kernel = 3, weight_density = 0.5},\n'
        '    {name = "relu", kind = "activation"},\n]\n'
    )


def test_the_writer_knows_every_key_of_every_kind():
    zeros = {field.name for field in dataclasses.fields(Zeros)} | {"zeros_source"}
    for entry in (LayerEntry, *ENTRIES.values()):
        assert entry.model_fields.keys() <= {*LAYER_KEYS, "inputs"} | zeros


def test_options_replace_what_the_network_states(tmp_path):
    path = tmp_path / "lenet5.toml"
    found = exported("lenet5", path, "--weights", "density=0.25", "--activations", "density=0.5")
    for layer in found.compute_layers:
        zeros = found.zeros[layer.name]
        assert (zeros.weight_density, zeros.weight_nonzeros) == (0.25, None)
        assert (zeros.input_density, zeros.output_density) == (0.5, 0.5)
        assert zeros.source == "weights: synthetic: density 0.25; activations: synthetic: density 0.5"
    only = exported("lenet5", path, "--weights", "density=0.25").zeros["conv2"]
    stated = read_network("lenet5").zeros["conv2"]
    assert (only.weight_density, only.input_density) == (0.25, stated.input_density)
    assert only.source == f"weights: synthetic: density 0.25; {stated.source}"


def test_the_second_input_of_a_matmul_is_an_activation():
    zeros = with_numbers(OperandSource(SMALL, Source(density=0.5), Source(density=0.25))).zeros
    assert (zeros["scores"].weight_density, zeros["scores"].input_density) == (0.25, 0.25)
    assert (zeros["fc"].weight_density, zeros["fc"].input_density) == (0.5, 0.25)


def test_a_file_of_weights_becomes_counts(tmp_path):
    net = network_file(tmp_path)
    weights = np.zeros((3, 2, 3, 3), "int8")
    weights[2, :, 1] = 4
    np.savez(tmp_path / "w.npz", **{"conv.weight": weights})
    zeros = exported(net, tmp_path / "out.toml", "--weights", str(tmp_path / "w.npz")).zeros["conv"]
    assert zeros == Zeros("weights: file: w.npz", weight_nonzeros=6)


def test_an_onnx_file_becomes_one_that_can_be_edited(tmp_path):
    onnx_models = pytest.importorskip("tests.exchange.onnx_models")
    kernels = np.where(onnx_models.floats(6, 3, 3, 3) > 1.0, 1.5, 0.0).astype("float32")
    nodes = [
        onnx_models.node("Conv", ["image", "k"], "conv", pads=[0, 1, 1, 1], strides=[2, 2]),
        onnx_models.node("Relu", ["conv"], "relu"),
        onnx_models.node("LSTM", ["steps", "w", "r"], ["", "last"], name="lstm", hidden_size=5),
    ]
    stored = {"k": kernels, "w": onnx_models.floats(1, 20, 4), "r": onnx_models.floats(1, 20, 5)}
    inputs = {"image": ("n", 3, 9, 9), "steps": (6, 1, 4)}
    model = onnx_models.model_of(nodes, inputs, stored, outputs=["relu", "last"])
    network = read_network(path := onnx_models.save(model, tmp_path, "small.onnx"))
    found = exported(str(path), tmp_path / "small.toml")
    assert found == dataclasses.replace(network, zeros=found.zeros)
    assert found.zeros["conv"] == Zeros("small.onnx", weight_nonzeros=np.count_nonzero(kernels))


def test_what_is_not_said_is_one_line(tmp_path, capsys):
    assert run(["export", "deep_speech_2", str(tmp_path / "d.csv")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("archmodel: note: ")
    assert line.endswith(
        "d.csv does not say: 15 layers that do not multiply (norm, activation, add, softmax); which layer reads which;"
        " zeros; that padding is zeros; that steps of a recurrent layer wait for each other; that two strides differ, a"
        " product instead"
    )
    assert run(["export", "lenet5", str(tmp_path / "l.toml")]) == 0
    assert capsys.readouterr() == ("", "")


OTHERS, GRAPH = "1 layers that do not multiply (activation)", "which layer reads which"
PADDING, DILATION = "that padding is zeros", "gaps of dilated kernels"
STEPS, STRIDES = "that steps of a recurrent layer wait for each other", "that two strides differ, a product instead"


@pytest.mark.parametrize(
    ("form", "unsaid"),
    [
        ("scale_sim", [OTHERS, GRAPH, PADDING, DILATION, STEPS, STRIDES]),
        ("scale_sim_gemm", [OTHERS, GRAPH, PADDING, DILATION, STEPS]),
        ("sparseloop", [OTHERS, GRAPH, PADDING, STEPS]),
        ("toml", []),
    ],
)
def test_only_what_the_network_has_is_unsaid(form, unsaid):
    assert what_is_not_said(OperandSource(SMALL), form) == unsaid
    plain = network_of(Layer("fc", "fc", ("x",), (4, 1, 1), K=2), x=(4, 1, 1))
    assert what_is_not_said(OperandSource(plain), form) == ([] if form == "toml" else [GRAPH])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg16", "out.txt"], "'out.txt': allowed: a file that ends in .csv, .yaml, .yml, .toml, or --format"),
        (["vgg16", "out.csv", "--format", "scalesim"], "--format 'scalesim': allowed: scale_sim, scale_sim_gemm,"),
        (["vgg16", "no/out.csv"], "no/out.csv: cannot be written: there is no folder"),
        (["vgg17", "out.csv"], "'vgg17': unknown network"),
        (["vgg16", "out.yaml", "--weights", "dense"], "--weights 'dense': allowed: network,"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(["export", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"archmodel: error: {message}")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_format_may_have_any_suffix(tmp_path):
    assert run(["export", "lenet5", str(tmp_path / "t.txt"), "--format", "scale_sim_gemm"]) == 0
    assert (tmp_path / "t.txt").read_text().startswith("Layer, M, N, K,\n")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, capsys):
    path = tmp_path / "net.csv"
    path.write_text("old")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    assert run(["export", "lenet5", str(path)]) == 2
    assert "net.csv: cannot be written: No space left on device" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["net.csv"]
