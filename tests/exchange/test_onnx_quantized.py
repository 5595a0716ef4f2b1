"""Models as onnxruntime's quantizer writes them: the layers of the float model, zeros of the weights by their codes."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization")

import onnx
from onnx import helper
from onnxruntime import quantization

from archmodel.exchange.onnx_reader import read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, run, save


def pruned(*dims, seed=0):
    """Weights of which about half are zero."""
    weights = np.random.default_rng(seed).normal(size=dims).astype(np.float32)
    return np.where(abs(weights) < 0.6, np.float32(0), weights)


def typed(model, dims):
    model.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(1, dims))
    return model


def convolutional():
    nodes = [
        node("Conv", ["x", "w1", "b1"], "c1", pads=[1, 1, 1, 1]),
        node("MaxPool", ["c1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], "c2", pads=[1, 1, 1, 1]),
        node("Sigmoid", ["c2"], "s2"),
        node("Mul", ["c2", "s2"], "m2"),
        node("Add", ["m2", "p1"], "a"),
        node("LeakyRelu", ["a"], "l"),
        node("Concat", ["l", "p1"], "cc", axis=1),
        node("AveragePool", ["cc"], "ap", kernel_shape=[2, 2]),
        node("GlobalAveragePool", ["ap"], "g"),
        node("Flatten", ["g"], "f"),
        node("Gemm", ["f", "w3", "b3"], "y", transB=1),
        node("Softmax", ["y"], "z"),
    ]
    stored = {
        "w1": pruned(8, 3, 3, 3),
        "b1": floats(8),
        "w2": pruned(8, 8, 3, 3),
        "w3": pruned(10, 16),
        "b3": floats(10),
    }
    return typed(model_of(nodes, {"x": (1, 3, 12, 12)}, stored), (1, 10))


def recurrent():
    nodes = [
        node("Transpose", ["x"], "t", perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r", "b"], ["h", "last"], hidden_size=5, direction="bidirectional"),
        node("Transpose", ["last"], "v", perm=[1, 0, 2]),
        node("Reshape", ["v", "dims"], "flat"),
        node("MatMul", ["flat", "o"], "y"),
    ]
    stored = {"w": pruned(2, 20, 4), "r": pruned(2, 20, 5), "b": floats(2, 40), "o": pruned(10, 6)}
    return typed(model_of(nodes, {"x": (1, 7, 4)}, stored | {"dims": np.array([1, -1])}), (1, 6))


class Images(quantization.CalibrationDataReader):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.images = iter([{"x": rng.normal(size=(1, 3, 12, 12)).astype(np.float32)} for _ in range(2)])

    def get_next(self):
        return next(self.images, None)


def described(network):
    """All of a network but its names, which the quantizer changes."""
    place = {name: i for i, name in enumerate((*network.inputs, *(layer.name for layer in network.layers)))}
    return [
        (one.kind, one.mode, [place[name] for name in one.inputs], one.input_shape, one.output_shape, one.macs)
        for one in network.layers
    ]


def check_codes(path, stored, columns=None):
    """The weights are whole steps, and zero where those of the float model are or are rounded to it."""
    for found, wanted in zip(weights_of(path).values(), stored, strict=True):
        assert found.shape == wanted.shape
        assert not found[wanted == 0].any()
        assert np.all(np.sign(found[found != 0]) == np.sign(wanted[found != 0]))
        assert np.abs(wanted[found == 0]).max(initial=0) < 0.1 * np.abs(wanted).max()
        for codes, row in zip(found.reshape(len(found), -1), wanted.reshape(len(wanted), -1), strict=True):
            codes, row = codes[:columns], row[:columns]
            assert not row.any() or np.corrcoef(codes, row)[0, 1] > 0.99 or np.count_nonzero(row) < 3


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(("weights", "per_channel"), [("QInt8", True), ("QUInt8", False)])
def test_a_quantized_network_has_the_layers_of_the_float_one(form, weights, per_channel, tmp_path):
    source = save(convolutional(), tmp_path, "float.onnx")
    path = tmp_path / "quantized.onnx"
    quantization.quantize_static(
        source,
        path,
        Images(),
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType[weights],
        per_channel=per_channel,
    )
    types = {one.op_type for one in onnx.load(path).graph.node}
    assert ({"QGemm", "QLinearMul", "QLinearConcat"} <= types) == (form == "QOperator")
    assert described(read_onnx(path, "quantized.onnx")) == described(read_onnx(source, "float.onnx"))
    check_codes(path, list(weights_of(source).values()))


@pytest.mark.parametrize(("weights", "per_channel"), [("QInt8", True), ("QUInt8", False)])
def test_a_dynamically_quantized_lstm_has_the_gates_of_the_float_one(weights, per_channel, tmp_path):
    source, path = save(recurrent(), tmp_path, "float.onnx"), tmp_path / "quantized.onnx"
    kind = quantization.QuantType[weights]
    quantization.quantize_dynamic(
        source, path, weight_type=kind, per_channel=per_channel, op_types_to_quantize=["MatMul", "LSTM"]
    )
    assert "DynamicQuantizeLSTM" in {one.op_type for one in onnx.load(path).graph.node}
    assert described(read_onnx(path, "quantized.onnx")) == described(read_onnx(source, "float.onnx"))
    check_codes(path, list(weights_of(source).values()), columns=4)  # those of x; those of h have scales of their own


def microsoft(op_type, inputs, output, **attributes):
    made = node(op_type, inputs, output, **attributes)
    made.domain = "com.microsoft"
    return made


def read(nodes, inputs, stored, folder, **options):
    model = model_of(nodes, inputs, stored, **options)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return read_onnx(save(model, folder), "model.onnx"), model


def test_a_fused_convolution_is_a_convolution_an_add_and_an_activation(tmp_path):
    nodes = [microsoft("FusedConv", ["x", "w", "b", "x"], "y", activation="Relu", pads=[1, 1, 1, 1])]
    stored = {"w": floats(3, 3, 3, 3), "b": floats(3)}
    network, model = read(nodes, {"x": (1, 3, 6, 6)}, stored, tmp_path)
    assert [(layer.name, layer.kind, layer.inputs) for layer in network.layers] == [
        ("y", "conv", ("x",)),
        ("y.add", "add", ("y", "x")),
        ("y.activation", "activation", ("y.add",)),
    ]
    assert network.layers[-1].output_shape == run(model, {"x": floats(1, 3, 6, 6)})["y"].shape[1:]


@pytest.mark.parametrize("transposed", [0, 1])
def test_fused_products_have_the_weights_of_the_file(transposed, tmp_path):
    stored = {"w": floats(4, 6) if transposed else floats(6, 4), "b": floats(4)}
    nodes = [
        microsoft("FusedGemm", ["x", "w", "b"], "g", transB=transposed, activation="Relu"),
        microsoft("FusedMatMul", ["x", "w"], "m", transB=transposed),
    ]
    network, model = read(nodes, {"x": (1, 6)}, stored, tmp_path, outputs=["g", "m"])
    feed = floats(1, 6, seed=1)
    outputs = run(model, {"x": feed})
    weights = {name: array[:, :, 0, 0] for name, array in weights_of(tmp_path / "model.onnx").items()}
    np.testing.assert_allclose(np.maximum(weights["g"] @ feed[0] + stored["b"], 0), outputs["g"][0], rtol=1e-5)
    np.testing.assert_allclose(weights["m"] @ feed[0], outputs["m"][0], rtol=1e-5)
    assert [layer.kind for layer in network.layers] == ["fc", "activation", "fc"]


def test_integer_products_that_end_in_floats_are_fully_connected_layers(tmp_path):
    codes = np.random.default_rng(1).integers(0, 9, (6, 4)).astype(np.uint8)
    stored = {"w": codes, "s": np.float32([0.5]), "z": np.uint8([3]), "b": floats(4)}
    nodes = [microsoft("DynamicQuantizeMatMul", ["x", "w", "s", "z", "b"], "y")]
    nodes += [node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"])]
    nodes += [microsoft("MatMulIntegerToFloat", ["q", "w", "qs", "s", "qz", "z", "b"], "f")]
    network, model = read(nodes, {"x": (1, 6)}, stored, tmp_path, outputs=["y", "f"])
    feed = floats(1, 6, seed=1)
    for name, array in weights_of(tmp_path / "model.onnx").items():
        np.testing.assert_array_equal(array[:, :, 0, 0], codes.T.astype(int) - 3)
        outputs = 0.5 * array[:, :, 0, 0] @ feed[0] + stored["b"]
        np.testing.assert_allclose(outputs, run(model, {"x": feed})[name][0], rtol=0.02)
    assert all(layer.bias for layer in network.layers)


def test_an_added_norm_is_an_add_and_a_norm(tmp_path):
    nodes = [
        node("LayerNormalization", ["x", "s"], "n"),
        microsoft("SkipLayerNormalization", ["n", "x", "s", "s"], ["y", "", "", "sum"]),
        microsoft("BiasGelu", ["sum", "s"], "g"),
        microsoft("QuickGelu", ["y"], "z"),
    ]
    network, model = read(nodes, {"x": (1, 4, 6)}, {"s": floats(6)}, tmp_path, outputs=["g", "z"])
    assert [(layer.name, layer.kind, layer.inputs) for layer in network.layers] == [
        ("n", "norm", ("x",)),
        ("y.add", "add", ("n", "x")),
        ("y", "norm", ("y.add",)),
        ("g", "activation", ("y.add",)),
        ("z", "activation", ("y",)),
    ]
    assert network.layer("y").output_shape == (*run(model, {"x": floats(1, 4, 6)})["y"].shape[:0:-1], 1)
