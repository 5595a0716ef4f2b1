"""An ONNX file is not trusted: whatever is in it, it is read or refused in one line."""

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, save, tensor

NODES = [
    node("Conv", ["x", "w"], "conv", pads=[1, 1, 1, 1]),
    node("BatchNormalization", ["conv", "s", "s", "s", "s"], "norm"),
    node("Relu", ["norm"], "relu"),
    node("Reshape", ["relu", "dims"], "flat"),
    node("Gemm", ["flat", "m", "b"], "fc"),
]
STORED = {"w": floats(2, 3, 3, 3), "s": floats(2), "dims": np.array([1, -1]), "m": floats(32, 4), "b": floats(4)}


def small_model():
    return model_of(NODES, {"x": ("n", 3, 4, 4)}, STORED)


def quantized_and_recurrent_model():
    nodes = [
        node("DequantizeLinear", ["codes", "scale", "zero"], "w"),
        node("MatMul", ["x", "w"], "product"),
        node("Transpose", ["product"], "steps", perm=[1, 0, 2]),
        node("LSTM", ["steps", "wi", "wr"], ["states", "last"], hidden_size=2, direction="bidirectional"),
        node("Transpose", ["last"], "t", perm=[1, 0, 2]),
        node("Flatten", ["t"], "f"),
        node("Cast", ["f"], "q", to=TensorProto.UINT8),
        node("ConstantOfShape", ["two"], "ones", value=tensor("one", np.ones(1, np.uint8))),
        node("MatMulInteger", ["q", "ones"], "integer"),
        node("Cast", ["integer"], "real", to=TensorProto.FLOAT),
        node("Concat", ["real", "real"], "both", axis=1),
        node("Sum", ["both", "both"], "sum"),
        node("Clip", ["sum", "low"], "clip"),
    ]
    stored = {"codes": np.ones((3, 4), np.uint8), "scale": np.float32(0.5), "zero": np.uint8(1), "low": np.float32(0)}
    stored |= {"wi": floats(2, 8, 4), "wr": floats(2, 8, 2), "two": np.array([4, 2])}
    return model_of(nodes, {"x": ("n", 5, 3)}, stored, opset=12)


WHOLE = small_model().SerializeToString()
WHOLES = [WHOLE, quantized_and_recurrent_model().SerializeToString()]


def refusal(path, skip=False):
    """The line that the file is refused with; None if it is read, and all its weights too."""
    try:
        network = read_onnx(path, "model.onnx", skip)
        shapes = {name: array.shape for name, array in weights_of(path).items()}
    except WorkloadError as error:
        line = str(error)
    else:
        assert skip or shapes == {name: network.layer(name).weight_shape for name in shapes}
        return None
    assert line.isprintable()
    return line


@pytest.mark.parametrize("model", [small_model(), quantized_and_recurrent_model()])
def test_the_whole_file_is_read(model, tmp_path):
    assert refusal(save(model, tmp_path)) is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path_factory, data):
    damaged = bytearray(data.draw(st.sampled_from(WHOLES)))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(damaged)))
    kind = data.draw(st.sampled_from(["bytes", "cut", "hole", "repeat"]))
    if kind == "cut":
        damaged = damaged[:start]
    elif kind == "hole":
        del damaged[start : start + data.draw(st.integers(1, 64))]
    elif kind == "repeat":
        damaged[start:start] = damaged[start : start + data.draw(st.integers(1, 200))]
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(damaged)
    refusal(path, skip=data.draw(st.booleans()))


@pytest.mark.parametrize("length", [0, 1, 20, 200, len(WHOLE) - 1])
def test_a_file_cut_short_is_refused(length, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(WHOLE[:length])
    assert refusal(path).startswith("model.onnx: not an ONNX model")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refusal(tmp_path / "none.onnx") == "model.onnx: no such file"
    assert refusal(tmp_path) == "model.onnx: is not a regular file"


def changed(tmp_path, name, change):
    """The refusal of a file whose tensor `name` is changed."""
    model = small_model()
    change(next(tensor for tensor in model.graph.initializer if tensor.name == name))
    return refusal(save(model, tmp_path))


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        ([2, 3, 3, 4], "holds 216 bytes, its dims [2, 3, 3, 4] need 288"),
        ([2**40, 2**40], "dims [1099511627776, 1099511627776]: at most 8 dims and 268435456 words"),
        ([-2, 27], "dims [-2, 27]: at most 8 dims and 268435456 words"),
        ([1] * 9, "dims [1, 1, 1, 1, 1, 1, 1, 1, 1]: at most 8 dims and 268435456 words"),
    ],
)
def test_dims_that_the_data_do_not_have_are_refused(dims, reason, tmp_path):
    assert changed(tmp_path, "w", lambda tensor: tensor.ClearField("dims") or tensor.dims.extend(dims)) == (
        f"model.onnx: tensor 'w': {reason}"
    )


def test_a_constant_of_shape_takes_no_memory_and_has_a_limit(tmp_path):
    def filled(*dims):
        nodes = [node("ConstantOfShape", ["dims"], "w"), node("Gemm", ["x", "w"], "y")]
        return save(model_of(nodes, {"x": (1, dims[0])}, {"dims": np.array(dims)}), tmp_path)

    assert weights_of(filled(2**13, 2**14))["y"].strides == (0, 0, 0, 0)
    for dims in ((2**31, 2), (2**14, 2**13 + 1)):
        assert refusal(filled(*dims)) == (
            "model.onnx: node 'w' (ConstantOfShape): its shape is not that of a tensor of at most 134217728 words"
        )


def test_sums_of_sums_do_not_grow_without_end(tmp_path):
    nodes = [node("Add", [f"w{i}", f"w{i}"], f"w{i + 1}") for i in range(60)] + [node("MatMul", ["x", "w60"], "y")]
    line = refusal(save(model_of(nodes, {"x": (1, 2)}, {"w0": floats(2, 2)}), tmp_path))
    assert line == "model.onnx: node 'y' (MatMul): its input 'w60' is no constant; weights must be in the file"


def test_weights_that_are_not_finite_are_refused(tmp_path):
    line = changed(tmp_path, "w", lambda tensor: setattr(tensor, "raw_data", b"\xff" * 216))
    assert line.endswith("model.onnx: layer 'conv': weights are NaN or infinite; allowed: finite numbers")


def outside(tmp_path, **entries):
    """The refusal of a file whose convolution's weights are stored elsewhere."""

    def move(tensor):
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return changed(tmp_path, "w", move)


def test_external_data_beside_the_model_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(bytes(16) + STORED["w"].tobytes())
    assert outside(tmp_path, location="data/w.bin", offset="16", length="216") is None
    np.testing.assert_array_equal(weights_of(tmp_path / "model.onnx")["conv"], STORED["w"])
    assert outside(tmp_path, location="data/w.bin", offset="16") is None


@pytest.mark.parametrize("location", ["../w.bin", "data/../../w.bin", "/etc/hostname", "", ".", "link.bin", "a\0b"])
def test_external_data_elsewhere_are_refused(location, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(STORED["w"].tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    line = outside(folder, location=location)
    assert "must be inside the model's folder" in line or "no such file" in line
    assert line.startswith("model.onnx: tensor 'w': external data '")
    if location in ("../w.bin", "link.bin", "/etc/hostname"):
        assert line.endswith("must be inside the model's folder")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"length": "216", "offset": "8"}, "ends at 216 bytes, not 224"),
        ({"length": "999999999999999999999"}, "length = '999999999999999999999': must be a whole number"),
        ({"offset": "-8"}, "offset = '-8': must be a whole number"),
        ({"offset": "8"}, "holds 208 bytes"),
    ],
)
def test_external_data_of_another_size_are_refused(entries, reason, tmp_path):
    (tmp_path / "w.bin").write_bytes(STORED["w"].tobytes())
    assert reason in outside(tmp_path, location="w.bin", **entries)


def test_a_chain_of_very_many_nodes_ends_in_one_line(tmp_path):
    def chain(op_type):
        nodes = [node(op_type, [f"w{i}"], f"w{i + 1}") for i in range(3000)] + [node("MatMul", ["x", "w3000"], "y")]
        return refusal(save(model_of(nodes, {"x": (1, 2)}, {"w0": floats(2, 2)}), tmp_path))

    assert chain("Identity") is None
    assert chain("Transpose").endswith("a damaged model")


def test_a_type_that_is_no_number_is_refused(tmp_path):
    line = changed(tmp_path, "w", lambda tensor: setattr(tensor, "data_type", onnx.TensorProto.STRING))
    assert line.startswith("model.onnx: tensor 'w': type STRING; allowed: FLOAT, DOUBLE, ")
