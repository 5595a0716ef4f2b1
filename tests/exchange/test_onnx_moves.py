"""Operators that move words: shapes as onnxruntime makes them, slices, embeddings, paddings, unlike joins."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx")

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import read_model, read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, run, save


def read(model, folder, **options):
    return read_onnx(save(model, folder), "model.onnx", **options)


def ints(*numbers):
    return np.array(numbers, np.int64)


IMAGE, LINE = (1, 4, 6, 5), (1, 7, 6)
C = {
    "zero": ints(0),
    "one": ints(1),
    "two": ints(2),
    "minus": ints(-1),
    "far": ints(2**62),
    "number": np.array(2),
    "shuffled": ints(2, 0),
    "range": ints(1, 2, 3),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "repeats": ints(1, 2, 1, 3),
    "grown": ints(1, 4, 6, 5),
    "parts": ints(1, 3),
    "pads": ints(0, 0, 1, 2, 0, 0, 0, 1),
    "all pads": ints(0, 1, 0, 0, 0, 1, 0, 0),
    "column": floats(1, 4, 1, 1),
    "token": floats(1, 1, 6),
    "wide": floats(1, 4, 6, 5),
}
MOVED = [
    ("Slice", ["x", "one", "far", "two"], {}, "slice"),
    ("Slice", ["x", "minus", "zero", "two", "minus"], {}, "other"),
    ("Slice", ["x", "zero", "far", "minus", "two"], {}, "other"),
    ("Gather", ["x", "number"], {"axis": 1}, "slice"),
    ("Gather", ["x", "range"], {"axis": 3}, "slice"),
    ("Gather", ["x", "shuffled"], {"axis": 1}, "other"),
    ("Pad", ["x", "all pads"], {}, "other"),
    ("Pad", ["x", "pads"], {"mode": "reflect"}, "other"),
    ("Resize", ["x", "", "twice"], {}, "other"),
    ("Tile", ["x", "repeats"], {}, "other"),
    ("Expand", ["x", "grown"], {}, "other"),
    ("DepthToSpace", ["x"], {"blocksize": 2}, "other"),
    ("SpaceToDepth", ["x"], {"blocksize": 1}, "other"),
    ("CumSum", ["x", "number"], {}, "other"),
    ("ReduceSum", ["x", "one"], {}, "other"),
    ("ReduceMax", ["x"], {"axes": [2, 3]}, "pool"),
    ("ReduceL2", ["x"], {"axes": [3], "keepdims": 0}, "other"),
    ("ArgMax", ["x"], {"axis": 1}, "other"),
    ("TopK", ["x", "two"], {}, "other"),
    ("Max", ["x", "x"], {}, "other"),
    ("Mul", ["x", "x"], {}, "multiply"),
    ("Div", ["x", "x"], {}, "multiply"),
    ("Sub", ["x", "x"], {}, "add"),
    ("Concat", ["x", "x"], {"axis": 2}, "other"),
    ("Concat", ["x", "wide"], {"axis": 1}, "other"),
    ("InstanceNormalization", ["x", "four", "four"], {}, "norm"),
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "kind"), MOVED)
def test_what_moves_words_makes_what_onnxruntime_makes(op_type, inputs, attributes, kind, tmp_path):
    outputs = ["y", "places"] if op_type == "TopK" else ["y"]
    nodes = [node(op_type, inputs, outputs, **attributes), node("Tanh", ["y"], "z")]
    if op_type == "ArgMax":
        nodes[1:] = [node("Cast", ["y"], "c", to=1), node("Tanh", ["c"], "z")]
    model = model_of(nodes, {"x": IMAGE}, C | {"four": floats(4)})
    network = read(model, tmp_path)
    assert [layer.kind for layer in network.layers] == [kind, "activation"]
    shape = run(model, {"x": floats(*IMAGE)})["z"].shape[1:]
    dropped = {"Gather": (6, 5, 1), "ReduceL2": (4, 6, 1)} if len(shape) == 2 else {}
    if dropped and op_type == "Gather":  # of one channel rows and columns are left
        shape = (1, *shape)
    assert network.layers[0].output_shape == (*shape, 1)[:3]
    assert network.macs == network.parameters - (2 * 4 if kind == "norm" else 0) == 0


def test_a_split_is_a_slice_for_each_part_that_is_read(tmp_path):
    nodes = [node("Split", ["x", "parts"], ["a", "b"], axis=1), node("Relu", ["b"], "y")]
    network = read(model_of(nodes, {"x": IMAGE}, C), tmp_path)
    assert [(layer.name, layer.window) for layer in network.layers[:-1]] == [("a.1", ((1, 4), (0, 6), (0, 5)))]
    assert network.layer("y").input_shape == (3, 6, 5)


def test_heads_that_are_gathered_are_slices_of_the_channels(tmp_path):
    nodes = [
        node("Reshape", ["x", "dims"], "r"),
        node("Transpose", ["r"], "t", perm=[2, 0, 1, 3]),
        node("Gather", ["t", "number"], "g", axis=0),
        node("LayerNormalization", ["g", "scale"], "y"),
    ]
    stored = C | {"dims": ints(1, 7, 3, 2), "scale": floats(2)}
    nodes.insert(0, node("LayerNormalization", ["x", "six"], "n"))
    nodes[1].input[0] = "n"
    network = read(model_of(nodes, {"x": LINE}, stored | {"six": floats(6)}), tmp_path)
    assert network.layer("g").window == ((4, 6), (0, 7), (0, 1))
    assert network.layer("y").input_shape == (2, 7, 1)


def test_rows_of_a_table_are_an_embedding(tmp_path):
    nodes = [node("Cast", ["x"], "i", to=7), node("Gather", ["table", "i"], "e"), node("MatMul", ["e", "w"], "y")]
    model = model_of(nodes, {"x": ("n", 9)}, {"table": floats(20, 6), "w": floats(6, 5)})
    network, outputs = read(model, tmp_path), run(model, {"x": np.zeros((1, 9), np.float32)})
    embedding, product = network.layers
    assert (embedding.kind, embedding.vocabulary, embedding.input_shape) == ("embedding", 20, (1, 9, 1))
    assert embedding.output_shape == (*outputs["e"].shape[:0:-1], 1)
    assert product.output_shape == (5, 9, 1)
    assert network.parameters == 20 * 6 + 6 * 5


def test_zeros_around_a_plane_are_the_padding_of_the_convolution_behind(tmp_path):
    nodes = [node("Pad", ["x", "pads"], "p"), node("Conv", ["p", "w"], "y", pads=[1, 0, 0, 0])]
    model = model_of(nodes, {"x": IMAGE}, C | {"w": floats(2, 4, 3, 3)})
    network, builder = read_model(save(model, tmp_path), "model.onnx")
    (layer,) = network.layers
    assert (layer.inputs, layer.padding) == (("x",), (2, 0, 2, 1))
    feed = floats(*IMAGE)
    outputs = run(model, {"x": feed})
    assert layer.output_shape == outputs["y"].shape[1:]
    np.testing.assert_array_equal(builder.sources["y"].inputs.arranged(outputs["p"]), feed)


def test_a_padded_tensor_that_others_read_has_a_layer_and_so_has_one_for_a_convolution_that_pads_by_size(tmp_path):
    nodes = [node("Pad", ["x", "pads"], "p"), node("Conv", ["p", "w"], "c"), node("Relu", ["p"], "y")]
    weights = {"w": floats(2, 4, 3, 3)}
    network = read(model_of(nodes, {"x": IMAGE}, C | weights), tmp_path)
    assert [(layer.name, layer.kind, layer.inputs) for layer in network.layers] == [
        ("c", "conv", ("x",)),
        ("p", "other", ("x",)),
        ("y", "activation", ("p",)),
    ]
    nodes = [nodes[0], node("Conv", ["p", "w"], "c", auto_pad="SAME_UPPER")]
    assert [layer.kind for layer in read(model_of(nodes, {"x": IMAGE}, C | weights), tmp_path).layers] == [
        "other",
        "conv",
    ]


def test_a_pad_with_something_else_than_zeros_is_no_padding(tmp_path):
    nodes = [node("Pad", ["x", "pads", "value"], "p"), node("Conv", ["p", "w"], "c")]
    stored = C | {"w": floats(2, 4, 3, 3), "value": np.float32(1)}
    assert [layer.kind for layer in read(model_of(nodes, {"x": IMAGE}, stored), tmp_path).layers] == ["other", "conv"]


def test_gates_of_channels_are_repeated_over_the_plane(tmp_path):
    nodes = [
        node("GlobalAveragePool", ["x"], "g"),
        node("Conv", ["g", "w"], "c"),
        node("Sigmoid", ["c"], "s"),
        node("Mul", ["s", "x"], "y"),
    ]
    model = model_of(nodes, {"x": IMAGE}, {"w": floats(4, 4, 1, 1)})
    layer = read(model, tmp_path).layer("y")
    assert (layer.kind, layer.inputs, layer.output_shape) == ("multiply", ("s", "x"), IMAGE[1:])


def test_a_mask_is_laid_out_anew_before_it_is_added_to_the_scores_of_all_heads(tmp_path):
    nodes = [
        node("Reshape", ["x", "split"], "r"),
        node("Transpose", ["r"], "q", perm=[0, 2, 1, 3]),
        node("Transpose", ["r"], "k", perm=[0, 2, 3, 1]),
        node("MatMul", ["q", "k"], "scores"),
        node("Unsqueeze", ["mask", "places"], "m"),
        node("Add", ["scores", "m"], "y"),
    ]
    nodes.insert(0, node("LayerNormalization", ["x", "six"], "n"))
    nodes[1].input[0] = "n"
    stored = {"split": ints(1, 7, 2, 3), "places": ints(1, 2), "six": floats(6)}
    model = model_of(nodes, {"x": LINE, "mask": (1, 7)}, stored)
    network, outputs = read(model, tmp_path), run(model, {"x": floats(*LINE), "mask": floats(1, 7)})
    assert network.layer("y").inputs == ("scores", "y.input1")
    assert network.layer("y.input1").kind == "other"
    assert math.prod(network.layer("y").output_shape) == outputs["y"].size


def test_weights_on_the_left_multiply_the_channels_of_every_position(tmp_path):
    model = model_of([node("MatMul", ["w", "x"], "y")], {"x": (1, 4, 9)}, {"w": floats(5, 4)})
    feed = floats(1, 4, 9, seed=1)
    layer = read(model, tmp_path).layer("y")
    assert (layer.kind, layer.C, layer.K, layer.macs) == ("conv", 4, 5, 5 * 4 * 9)
    weights = weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0]
    np.testing.assert_allclose(weights @ feed[0], run(model, {"x": feed})["y"][0], rtol=1e-5)


def test_a_product_over_rows_has_them_laid_out_as_channels(tmp_path):
    nodes = [node("LayerNormalization", ["x", "six"], "n"), node("Transpose", ["n"], "t", perm=[0, 2, 1])]
    model = model_of([*nodes, node("MatMul", ["t", "w"], "y")], {"x": LINE}, {"six": floats(6), "w": floats(7, 3)})
    network, outputs = read(model, tmp_path), run(model, {"x": floats(*LINE)})
    product = network.layer("y")
    assert (network.layer("y.input").kind, product.input_shape, product.C) == ("other", (7, 6, 1), 7)
    assert product.macs == outputs["y"].size * 7


def test_weights_are_found_behind_slices_joins_and_arithmetic(tmp_path):
    nodes = [
        node("Slice", ["w", "two", "far", "zero"], "tail"),
        node("Slice", ["w", "zero", "two", "zero"], "head"),
        node("Concat", ["tail", "head"], "turned", axis=0),
        node("Sqrt", ["turned"], "root"),
        node("Gather", ["root", "shuffled"], "picked", axis=1),
        node("Gemm", ["x", "picked"], "y"),
    ]
    stored = C | {"w": floats(6, 4)}
    model, feed = model_of(nodes, {"x": (1, 6)}, stored), floats(1, 6, seed=3)
    read(model, tmp_path)
    weights = weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0]
    np.testing.assert_array_equal(weights.T, np.sqrt(np.roll(stored["w"], -2, 0))[:, [2, 0]])
    np.testing.assert_allclose(weights @ feed[0], run(model, {"x": feed})["y"][0], rtol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ([node("Split", ["x", "parts"], ["y", "b"], axis=2)], "parts [1, 3] of 6 for 2 outputs"),
        ([node("Gather", ["x", "far"], "y")], "an index is out of range"),
        ([node("Slice", ["x", "two", "one", "one"], "y")], "makes an empty tensor"),
        ([node("Pad", ["x", "range"], "y")], "pads = [1, 2, 3]: its input has 4 axes"),
        ([node("DeformConv", ["x"], "y")], "this operator is not supported"),
        ([node("Loop", ["x"], "y")], "this operator is not supported"),
        ([node("Resize", ["x", "", "sizes"], "y")], "the shape of what it makes is not known; give --input"),
    ],
)
def test_mistakes_are_one_line(nodes, line, tmp_path):
    with pytest.raises(WorkloadError) as error:
        read(model_of([*nodes, node("Relu", ["y"], "z")], {"x": IMAGE, "sizes": (4,)}, C), tmp_path)
    assert str(error.value) == f"model.onnx: node 'y' ({nodes[0].op_type}): {line}"


def test_what_becomes_more_than_the_batch_is_not_taken_for_images(tmp_path):
    nodes = [node("Tile", ["x", "three"], "y"), node("Transpose", ["x"], "t", perm=[1, 0, 2, 3])]
    nodes += [node("Tile", ["t", "three"], "z")]
    model = model_of(nodes, {"x": IMAGE}, {"three": ints(1, 3, 1, 1), "all": ints(3, 1, 1, 1)}, outputs=["y", "z"])
    outputs = run(model, {"x": floats(*IMAGE)})
    network = read(model, tmp_path)
    assert {layer.name: layer.output_words for layer in network.layers} == {
        name: outputs[name].size for name in ("y", "z")
    }
    whole = model_of([node("Tile", ["x", "all"], "y")], {"x": IMAGE}, {"all": ints(3, 1, 1, 1)})
    assert read(whole, tmp_path).layer("y").output_words == 3 * 4 * 6 * 5
    whole = model_of([node("Tile", ["x", "all"], "y")], {"x": (2, *IMAGE[1:])}, {"all": ints(3, 1, 1, 1)})
    assert read(whole, tmp_path).layer("y").output_words == 6 * 4 * 6 * 5


def test_what_a_node_that_is_left_out_has_begun_is_taken_back(tmp_path):
    nodes = [
        node("LayerNormalization", ["x", "six"], "n"),
        node("Conv", ["n", "w"], "y"),  # its input is laid out before its weights are found not to fit
        node("Relu", ["n"], "r"),
    ]
    model = model_of(nodes, {"x": LINE}, {"six": floats(6), "w": floats(3, 5, 1)})
    network = read(model, tmp_path, skip=True, run=SimpleNamespace(shapes={"y": (1, 3, 6)}, conditions={}))
    assert [(layer.name, layer.inputs) for layer in network.layers] == [("n", ("x",)), ("r", ("n",))]
    assert network.source == "model.onnx; left out: y (Conv)"
