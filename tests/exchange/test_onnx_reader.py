"""Networks of ONNX files: sizes as onnxruntime computes them, graphs, names, and weights in archmodel's layout."""

import builtins
import math

import numpy as np
import pytest

pytest.importorskip("onnx")

from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.exchange.onnx_reader import read_onnx, weights_of
from archmodel.network import Zeros
from tests.exchange.onnx_models import floats, model_of, node, run, save


def planes(outputs):
    """Shapes [C, H, W] of one image of tensors [1, C, H, W], [1, C, H] or [1, C]."""
    return {name: (*array.shape[1:], 1, 1)[:3] for name, array in outputs.items()}


def read(model, tmp_path, **options):
    return read_onnx(save(model, tmp_path), "model.onnx", **options)


def check_shapes(model, feeds, tmp_path):
    """Every layer has the output that onnxruntime makes; the network."""
    network, computed = read(model, tmp_path), planes(run(model, feeds))
    assert network.layers
    assert {layer.name: layer.output_shape for layer in network.layers} == {
        layer.name: computed[layer.name] for layer in network.layers
    }
    return network


@pytest.mark.parametrize(
    ("weights", "dims", "attributes"),
    [
        ((6, 4, 3, 3), (1, 4, 9, 8), {}),
        ((6, 4, 3, 2), (1, 4, 9, 8), {"strides": [2, 1], "pads": [1, 0, 2, 3]}),
        ((6, 2, 3, 3), (1, 4, 9, 8), {"group": 2, "dilations": [2, 3]}),
        ((8, 1, 5, 5), (1, 4, 11, 11), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((6, 4, 4, 4), (1, 4, 9, 8), {"auto_pad": "SAME_LOWER", "strides": [3, 1]}),
        ((6, 4, 4, 4), (1, 4, 9, 8), {"auto_pad": "VALID", "kernel_shape": [4, 4]}),
        ((6, 4, 3), (1, 4, 9), {"strides": [2], "pads": [1, 2]}),
        ((6, 4, 3), ("batch", 4, 9), {"dilations": [3]}),
    ],
)
def test_a_convolution_has_the_outputs_of_onnxruntime(weights, dims, attributes, tmp_path):
    stored = {"w": floats(*weights), "b": floats(weights[0])}
    model = model_of([node("Conv", ["x", "w", "b"], "y", **attributes)], {"x": dims}, stored)
    network = check_shapes(model, {"x": floats(1, *dims[1:])}, tmp_path)
    (layer,) = network.layers
    assert layer.weight_words == math.prod(weights)
    assert layer.bias
    assert layer.groups == attributes.get("group", 1)


def test_pads_of_lower_and_upper_lie_on_different_sides(tmp_path):
    sides = []
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        model = model_of([node("Conv", ["x", "w"], "y", auto_pad=mode)], {"x": (1, 1, 8, 8)}, {"w": floats(1, 1, 2, 4)})
        sides.append(read(model, tmp_path).layers[0].padding)
    assert sides == [(0, 1, 1, 2), (1, 0, 2, 1)]


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("dims", "attributes"),
    [
        ((1, 3, 9, 8), {"kernel_shape": [3, 2], "strides": [2, 2]}),
        ((1, 3, 9, 8), {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1}),
        ((1, 3, 10, 7), {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "pads": [0, 1, 1, 0]}),
        ((1, 3, 9, 8), {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]}),
        ((1, 3, 9, 8), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((1, 3, 9), {"kernel_shape": [4], "strides": [2]}),
    ],
)
def test_a_pool_has_the_outputs_of_onnxruntime(op_type, dims, attributes, tmp_path):
    model = model_of([node(op_type, ["x"], "y", **attributes)], {"x": dims})
    network = check_shapes(model, {"x": floats(*dims)}, tmp_path)
    assert network.layers[0].mode == {"MaxPool": "max", "AveragePool": "average"}[op_type]


def test_a_residual_network_keeps_fork_join_and_names(tmp_path):
    nodes = [
        node("Conv", ["x", "w1"], "stem:0", name="/stem/Conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["stem:0", "s", "s", "s", "s"], "norm"),
        node("Relu", ["norm"], "relu"),
        node("LeakyRelu", ["relu"], "leaky"),
        node("Conv", ["leaky", "w2"], "branch"),
        node("Add", ["branch", "relu"], "sum"),
        node("LRN", ["sum"], "lrn", size=3),
        node("Concat", ["lrn", "relu"], "concat", axis=1),
        node("GlobalAveragePool", ["concat"], "pool"),
        node("Flatten", ["pool"], "flat"),
        node("Dropout", ["flat"], "dropout"),
        node("Gemm", ["dropout", "w3", "b3"], "fc", name="", transB=1),
        node("Softmax", ["fc"], "softmax"),
    ]
    stored = {"w1": floats(4, 3, 3, 3), "w2": floats(4, 4, 1, 1), "s": floats(4), "w3": floats(5, 8), "b3": floats(5)}
    model = model_of(nodes, {"x": ("n", 3, 6, 6)}, stored)
    network = read(model, tmp_path)
    assert [(layer.name, layer.kind, layer.inputs) for layer in network.layers] == [
        ("stem/Conv", "conv", ("x",)),
        ("norm", "norm", ("stem/Conv",)),
        ("relu", "activation", ("norm",)),
        ("branch", "conv", ("relu",)),
        ("sum", "add", ("branch", "relu")),
        ("lrn", "norm", ("sum",)),
        ("concat", "concat", ("lrn", "relu")),
        ("pool", "pool", ("concat",)),
        ("fc", "fc", ("pool",)),
        ("softmax", "softmax", ("fc",)),
    ]
    computed = planes(run(model, {"x": floats(1, 3, 6, 6)}))
    assert all(layer.output_shape == computed[layer.name] for layer in network.layers[1:])
    assert [layer.mode for layer in network.layers if layer.kind == "norm"] == ["batch", "lrn"]
    assert network.parameters == 4 * 27 + 2 * 4 + 16 + 5 * 8 + 5
    assert network.name == "model"
    assert network.zeros["fc"] == Zeros(source="model.onnx", weight_mask="model.onnx:fc")


def test_two_nodes_of_one_name_are_two_layers(tmp_path):
    nodes = [node("Relu", ["x"], "a", name="same"), node("Tanh", ["a"], "b", name="same")]
    network = read(model_of(nodes, {"x": (1, 3)}), tmp_path)
    assert [(layer.name, layer.inputs) for layer in network.layers] == [("same", ("x",)), ("same.2", ("same",))]


@pytest.mark.parametrize("transposed", [0, 1])
def test_the_weights_of_a_gemm_give_the_outputs_of_onnxruntime(transposed, tmp_path):
    stored = {"w": floats(7, 12) if transposed else floats(12, 7), "b": floats(7)}
    nodes = [node("Flatten", ["x"], "flat"), node("Gemm", ["flat", "w", "b"], "y", transB=transposed)]
    model = model_of(nodes, {"x": (1, 3, 2, 2)}, stored)
    feed = floats(1, 3, 2, 2, seed=1)
    network = check_shapes(model, {"x": feed}, tmp_path)
    weights = weights_of(tmp_path / "model.onnx")["y"]
    assert weights.shape == network.layer("y").weight_shape
    outputs = weights[:, :, 0, 0] @ feed.reshape(-1) + stored["b"]
    np.testing.assert_allclose(outputs, run(model, {"x": feed})["y"][0], rtol=1e-5)


def test_a_product_with_weights_over_positions_is_a_1x1_convolution_and_what_is_added_its_bias(tmp_path):
    nodes = [node("MatMul", ["x", "w"], "y"), node("Add", ["y", "b"], "z"), node("Relu", ["z"], "r")]
    stored = {"w": floats(6, 5), "b": floats(5)}
    model, feed = model_of(nodes, {"x": (1, 4, 6)}, stored), floats(1, 4, 6, seed=1)
    network = read(model, tmp_path)
    layer = network.layer("y")
    assert (layer.kind, layer.input_shape, layer.output_shape, layer.bias) == ("conv", (6, 4, 1), (5, 4, 1), True)
    weights = weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0]
    np.testing.assert_allclose(feed[0] @ weights.T, run(model, {"x": feed})["y"][0], rtol=1e-5)
    assert network.parameters == 6 * 5 + 5


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1, 3)])
def test_weights_of_a_plane_flattened_in_another_order_are_put_in_the_order_of_channels(order, tmp_path):
    nodes = [node("Transpose", ["x"], "t", perm=order), node("Flatten", ["t"], "f")]
    model = model_of([*nodes, node("Gemm", ["f", "w"], "y")], {"x": (1, 3, 2, 5)}, {"w": floats(30, 4)})
    feed = floats(1, 3, 2, 5, seed=1)
    read(model, tmp_path)
    outputs = weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0] @ feed.reshape(-1)
    np.testing.assert_allclose(outputs, run(model, {"x": feed})["y"][0], rtol=1e-5)


def test_a_batch_that_is_flattened_into_the_channels_is_refused(tmp_path):
    nodes = [node("Reshape", ["x", "d"], "f"), node("Gemm", ["f", "w"], "y")]
    with pytest.raises(WorkloadError, match=r"^model.onnx: node 'y' \(Gemm\): reads axes -, NC: must be all of"):
        read(model_of(nodes, {"x": (4, 3)}, {"d": np.array([1, 12]), "w": floats(12, 4)}), tmp_path)


def test_attention_is_two_products_of_two_tensors(tmp_path):
    heads, depth, steps = 2, 3, 5
    split, order = np.array([0, 0, heads, depth]), [0, 2, 1, 3]
    nodes = []
    for name in "qkv":
        nodes += [node("MatMul", ["x", f"w{name}"], name), node("Reshape", [name, "split"], f"{name}1")]
        nodes += [node("Transpose", [f"{name}1"], f"{name}2", perm=[0, 2, 3, 1] if name == "k" else order)]
    nodes += [
        node("MatMul", ["q2", "k2"], "scores"),
        node("Div", ["scores", "root"], "scaled"),
        node("Softmax", ["scaled"], "softmax"),
        node("MatMul", ["softmax", "v2"], "context"),
        node("Transpose", ["context"], "back", perm=order),
        node("Reshape", ["back", "join"], "joined"),
        node("MatMul", ["joined", "wo"], "projection"),
        node("Add", ["projection", "x"], "add"),
        node("LayerNormalization", ["add", "s", "s"], "norm"),
    ]
    stored = {f"w{name}": floats(6, 6) for name in "qkvo"} | {"split": split, "root": np.float32(2), "s": floats(6)}
    model = model_of(nodes, {"x": (1, steps, 6)}, stored | {"join": np.array([1, steps, -1])})
    network, computed = read(model, tmp_path), run(model, {"x": floats(1, steps, 6)})
    scores, context = network.layer("scores"), network.layer("context")
    assert (scores.kind, scores.mode, scores.groups) == ("matmul", "transposed", heads)
    assert (context.kind, context.mode, context.inputs) == ("matmul", "product", ("softmax", "v"))
    assert math.prod(scores.output_shape) == computed["scores"].size == heads * steps * steps
    assert context.output_shape == (6, steps, 1)
    assert scores.macs == computed["scores"].size * depth
    assert context.macs == computed["context"].size * steps
    assert network.layer("norm").mode == "layer"


RECURRENT = {"LSTM": 4, "GRU": 3, "RNN": 1}


@pytest.mark.parametrize("op_type", RECURRENT)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_a_recurrent_layer_has_all_gates_and_a_layer_for_each_direction(op_type, direction, tmp_path):
    steps, C, K, gates, both = 4, 3, 5, RECURRENT[op_type], 2 if direction == "bidirectional" else 1
    rows = both, gates * K
    stored = {"w": floats(*rows, C), "r": floats(*rows, K, seed=2), "b": floats(both, 2 * gates * K)}
    nodes = [
        node("Transpose", ["x"], "t", perm=[1, 0, 2]),
        node(op_type, ["t", "w", "r", "b"], ["y", "last"], hidden_size=K, direction=direction),
        node("Transpose", ["y"], "u", perm=[2, 0, 1, 3]),
        node("Reshape", ["u", "dims"], "joined"),
        node("MatMul", ["joined", "out"], "z"),
        node("Transpose", ["last"], "v", perm=[1, 0, 2]),
        node("Flatten", ["v"], "flat"),
        node("Gemm", ["flat", "out"], "end"),
    ]
    stored |= {"dims": np.array([1, steps, -1]), "out": floats(both * K, 2)}
    model = model_of(nodes, {"x": ("n", steps, C)}, stored, outputs=["z", "end"])
    network, computed = read(model, tmp_path), run(model, {"x": floats(1, steps, C)})
    layers = [layer for layer in network.layers if layer.kind == op_type.lower()]
    assert [layer.name for layer in layers] == (["y"] if both == 1 else ["y.forward", "y.backward"])
    for index, layer in enumerate(layers):
        assert (layer.input_shape, layer.output_shape) == ((C, steps, 1), (K, steps, 1))
        weights = weights_of(tmp_path / "model.onnx")[layer.name]
        assert weights.shape == layer.weight_shape == (gates * K, C + K, 1, 1)
        np.testing.assert_array_equal(weights[:, :C, 0, 0], stored["w"][index])
        np.testing.assert_array_equal(weights[:, C:, 0, 0], stored["r"][index])
    assert network.layer("z").output_shape == (*computed["z"].shape[:0:-1], 1)
    assert network.layer("end").output_shape == (2, 1, 1)
    ends = [layer.window[1][0] for layer in network.layers if layer.kind == "slice"]
    assert ends == {"forward": [3], "reverse": [0], "bidirectional": [3, 0]}[direction]


def quantized(zero_point=3):
    """Codes of weights [4, 2, 3, 3], of which the zero point stands for the zeros."""
    codes = np.random.default_rng(5).integers(0, 8, (4, 2, 3, 3)).astype(np.uint8)
    return codes, np.uint8(zero_point), int((codes != zero_point).sum())


def one(value, kind=np.float32):
    return np.array(value, kind)


def test_the_zeros_of_quantized_weights_are_the_zero_points(tmp_path):
    codes, zero_point, nonzeros = quantized()
    stored = {"w": codes, "wz": zero_point, "s": one(0.5), "z": one(0, np.uint8), "b": np.ones(4, np.int32)}
    conv = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z", "b"], "linear", **conv),
        node("ConvInteger", ["q", "w", "z", "wz"], "integer", **conv),
        node("DequantizeLinear", ["w", "s", "wz"], "wf"),
        node("Conv", ["x", "wf"], "behind", **conv),
    ]
    model = model_of(nodes, {"x": (1, 2, 5, 5)}, stored, outputs=["linear", "integer", "behind"])
    network = check_shapes(model, {"x": floats(1, 2, 5, 5)}, tmp_path)
    weights = weights_of(tmp_path / "model.onnx")
    assert list(weights) == ["linear", "integer", "behind"]
    assert [layer.bias for layer in network.layers] == [True, False, False]
    for name, scale in {"linear": 1, "integer": 1, "behind": 0.5}.items():
        np.testing.assert_array_equal(weights[name], scale * (codes.astype(int) - 3))
        assert np.count_nonzero(weights[name]) == nonzeros


def test_zero_points_of_channels_belong_to_the_kernels(tmp_path):
    codes = np.array([[1, 2, 3], [1, 2, 3]], np.uint8).T  # [C, K]
    stored = {"w": codes, "wz": one([1, 3], np.uint8), "s": one([0.5, 0.25])}
    nodes = [node("DequantizeLinear", ["w", "s", "wz"], "wf", axis=1), node("Gemm", ["x", "wf"], "y")]
    read(model_of(nodes, {"x": (1, 3)}, stored), tmp_path)
    np.testing.assert_array_equal(weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0], [[0, 0.5, 1], [-0.5, -0.25, 0]])


def test_integer_products_of_matrices_are_fully_connected_layers(tmp_path):
    stored = {"w": one([[1, 2], [3, 4], [3, 2]], np.uint8), "wz": one(3, np.uint8), "s": one([0.5, 0.1])}
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        node("MatMulInteger", ["q", "w", "zero", "wz"], "y"),
        node("Cast", ["y"], "f", to=1),
        node("Mul", ["scale", "s"], "both"),
        node("Mul", ["f", "both"], "m"),
        node("Add", ["m", "b"], "a"),
        node("Relu", ["a"], "r"),
    ]
    model = model_of(nodes, {"x": (1, 3)}, stored | {"b": floats(2)})
    network = check_shapes(model, {"x": floats(1, 3)}, tmp_path)
    assert [(layer.kind, layer.inputs) for layer in network.layers] == [("fc", ("x",)), ("activation", ("y",))]
    assert network.layer("y").bias
    np.testing.assert_array_equal(weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0], [[-2, 0, 0], [-1, 1, -1]])


def test_weights_are_found_behind_transpose_cast_identity_and_reshape(tmp_path):
    stored = {"w": floats(2, 3, 4), "dims": np.array([6, -1]), "mask": (floats(4, 6) > 1).astype(np.float32)}
    nodes = [
        node("Reshape", ["w", "dims"], "w1"),
        node("Identity", ["w1"], "w2"),
        node("Transpose", ["w2"], "w3"),
        node("Cast", ["w3"], "w4", to=1),
        node("Mul", ["w4", "mask"], "w5"),
        node("MatMul", ["x", "w5"], "y"),
    ]
    model, feed = model_of(nodes, {"x": (1, 4)}, stored), floats(1, 4)
    check_shapes(model, {"x": feed}, tmp_path)
    weights = weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0]
    np.testing.assert_array_equal(weights, (stored["w"].reshape(6, 4).T * stored["mask"]).T)
    np.testing.assert_allclose(weights @ feed[0], run(model, {"x": feed})["y"][0], rtol=1e-5)


def test_weights_that_are_quantized_to_zero_are_zeros(tmp_path):
    stored = {"w": one([[0.2, 1.4], [-0.3, -1.6]]), "s": one(1.0), "z": one(0, np.int8)}
    nodes = [
        node("QuantizeLinear", ["w", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("Gemm", ["x", "d"], "y", transB=1),
    ]
    read(model_of(nodes, {"x": (1, 2)}, stored), tmp_path)
    np.testing.assert_array_equal(weights_of(tmp_path / "model.onnx")["y"][:, :, 0, 0], [[0, 1], [0, -2]])


def test_a_shape_that_the_graph_computes_is_followed(tmp_path):
    nodes = [
        node("Shape", ["x"], "dims"),
        node("Gather", ["dims", "zero"], "batch"),
        node("Unsqueeze", ["batch", "axis"], "one"),
        node("Concat", ["one", "rest"], "target", axis=0),
        node("Reshape", ["x", "target"], "flat"),
        node("Gemm", ["flat", "w"], "y"),
    ]
    stored = {"zero": np.array(0), "axis": np.array([0]), "rest": np.array([-1]), "w": floats(12, 2)}
    check_shapes(model_of(nodes, {"x": ("n", 3, 2, 2)}, stored), {"x": floats(1, 3, 2, 2)}, tmp_path)


def test_a_mean_of_the_plane_is_a_global_pool(tmp_path):
    nodes = [node("ReduceMean", ["x"], "y", axes=[2, 3], keepdims=0), node("Gemm", ["y", "w"], "z")]
    model = model_of(nodes, {"x": (1, 3, 4, 5)}, {"w": floats(3, 2)})
    network = check_shapes(model, {"x": floats(1, 3, 4, 5)}, tmp_path)
    assert (network.layers[0].kind, network.layers[0].R, network.layers[0].S) == ("pool", 4, 5)
    network = read(model_of([node("ReduceMean", ["x"], "y", axes=[2])], {"x": (1, 3, 4, 5)}), tmp_path)
    assert [(layer.kind, layer.output_shape) for layer in network.layers] == [("other", (3, 1, 5))]


def test_shuffled_channels_are_followed_through_five_axes(tmp_path):
    nodes = [
        node("Reshape", ["x", "split"], "a"),
        node("Transpose", ["a"], "b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["b", "join"], "c"),
        node("Conv", ["c", "w"], "y", group=2),
    ]
    stored = {"split": np.array([1, 2, 3, 4, 4]), "join": np.array([1, 6, 4, 4]), "w": floats(4, 3, 1, 1)}
    network = check_shapes(model_of(nodes, {"x": (1, 6, 4, 4)}, stored), {"x": floats(1, 6, 4, 4)}, tmp_path)
    assert [layer.inputs for layer in network.layers] == [("x",)]


def with_einsum():
    nodes = [
        node("Conv", ["x", "w"], "down"),
        node("Einsum", ["down"], "up", equation="nchw->nchw"),
        node("Relu", ["up"], "relu"),
    ]
    return model_of(nodes, {"x": (1, 3, 6, 6)}, {"w": floats(3, 3, 3, 3)})


def test_what_cannot_be_read_names_its_node(tmp_path):
    with pytest.raises(WorkloadError) as error:
        read(with_einsum(), tmp_path)
    assert str(error.value) == "model.onnx: node 'up' (Einsum): this operator is not supported"


def test_with_skip_what_a_node_makes_becomes_an_input_and_the_gap_is_noted(tmp_path):
    network = read(with_einsum(), tmp_path, skip=True)
    assert network.inputs == {"x": (3, 6, 6), "up": (3, 4, 4)}
    assert [(layer.name, layer.inputs) for layer in network.layers] == [("down", ("x",)), ("relu", ("up",))]
    assert network.source == "model.onnx; left out: up (Einsum)"


def op_type(one):
    """How messages call the operator of a node."""
    return f"{one.domain}.{one.op_type}" if one.domain else one.op_type


W = {"s": floats(3), "w": floats(3, 3, 3, 3), "m": floats(3, 3), "p": floats(1, 3, 1, 6)}


@pytest.mark.parametrize(
    ("nodes", "dims", "line"),
    [
        ([node("Conv", ["x", "x"], "y")], (1, 3, 6, 6), "its input 'x' is no constant; weights must be"),
        ([node("Conv", ["x", "w"], "y")], (1, 4, 6, 6), "weights [3, 3, 3, 3], group = 1, for [1, 4, 6, 6]"),
        ([node("Conv", ["x", "w"], "y", strides=[1])], (1, 3, 6, 6), "strides = [1]: must be 2 numbers"),
        ([node("Conv", ["x", "w"], "y", strides=[0, 1])], (1, 3, 6, 6), "layer 'y': stride = [0, 1]: must be"),
        ([node("Conv", ["x", "w"], "y", kernel_shape=[3, 2])], (1, 3, 6, 6), "kernel_shape = [3, 2]: its"),
        ([node("Conv", ["x", "w"], "y", auto_pad="SOME")], (1, 3, 6, 6), "auto_pad = 'SOME': allowed:"),
        ([node("Conv", ["x", "w"], "y")], (1, 3, 2, 2), "layer 'y': kernel = [3, 3]: must be at most"),
        ([node("Conv", ["x", "w"], "y")], (1, 3, 6, 6, 6), "reads [1, 3, 6, 6, 6] as"),
        (
            [node("BatchNormalization", ["x", "s", "s", "s", "s"], "y")],
            (1, 3, 4, 4, 4),
            "normalizes [1, 3, 4, 4, 4] along an axis that is not its channels",
        ),
        ([node("Gemm", ["x", "m"], "y")], (1, 4), "weights of 3 inputs for [1, 4]"),
        ([node("MatMul", ["m", "x"], "y")], (4, 1), "weights [3, 3] for [4, 1]"),
        ([node("Gemm", ["m", "x"], "y")], (3, 1), "its input 'm' is a constant"),
        ([node("Add", ["x", "p"], "y")], (1, 3, 6, 4), "of [1, 3, 1, 6] and [1, 3, 6, 4]: must be equal"),
        ([node("Relu", ["z"], "y")], (1, 4), "its input 'z' is made by no node above"),
        ([node("Concat", ["x", "x"], "y", axis=4)], (1, 3, 6, 6), "axis = 4: its inputs have 4 and 4 axes"),
        ([node("Transpose", ["x"], "y", perm=[0, 0])], (1, 4), "perm = [0, 0]: its input has 2 axes"),
        ([node("Softmax", ["x"], "y", domain="com.microsoft")], (1, 4), "this operator"),
        ([node("Relu", ["x"], "y")], (1, 3, "height", 6), "input 'x': dims [1, 3, 'height', 6]: only the batch may be"),
        (
            [node("Relu", ["x"], "y")],
            (1, 3, 0, 6),
            "input 'x': dims [1, 3, 0, 6]: only the batch may be without a size",
        ),
    ],
)
def test_mistakes_are_one_line(nodes, dims, line, tmp_path):
    with pytest.raises(WorkloadError) as error:
        read(model_of(nodes, {"x": dims}, W), tmp_path)
    where = "" if line.startswith("input") else f"node 'y' ({op_type(nodes[-1])}): "
    assert str(error.value).startswith(f"model.onnx: {where}{line}")
    assert "\n" not in str(error.value)


def test_the_batch_of_a_file_is_no_part_of_the_network(tmp_path):
    nodes = [node("Conv", ["x", "w"], "y"), node("Flatten", ["y"], "f"), node("Gemm", ["f", "g"], "z")]
    network = read(model_of(nodes, {"x": (8, 3, 4, 4)}, W | {"g": floats(12, 2)}), tmp_path)
    assert [layer.output_shape for layer in network.layers] == [(3, 2, 2), (2, 1, 1)]


def test_read_network_takes_the_path_of_an_onnx_file(tmp_path):
    path = save(model_of([node("Conv", ["x", "w"], "y")], {"x": (1, 3, 4, 4)}, W), tmp_path)
    network = read_network(path)
    assert network.folder == tmp_path
    assert network.weight_mask_file("y") == (path, "y")


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    path = save(model_of([node("Relu", ["x"], "y")], {"x": (1, 3)}), tmp_path)
    found = builtins.__import__

    def without_onnx(name, *rest):
        if name == "onnx":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(WorkloadError, match=r"model.onnx: needs onnx: pip install 'archmodel\[onnx\]'$"):
        read_network(path)
