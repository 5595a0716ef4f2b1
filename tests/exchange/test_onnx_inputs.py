"""What a model says of its inputs: names, dims, types, and whether the first axis counts images."""

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_inputs import ModelInput, model_inputs
from tests.exchange.onnx_models import floats, model_of, node, save


def saved(folder, *inputs, nodes=None, initializers=None):
    """A model with the inputs (name, type, dims)."""
    model = model_of(nodes or [node("Relu", ["x"], "y")], {}, initializers or {})
    model.graph.input.extend(helper.make_tensor_value_info(*one) for one in inputs)
    return save(model, folder)


def found(path):
    return [(one.name, one.dims, one.dtype) for one in model_inputs(path)]


def refusal(path):
    with pytest.raises(WorkloadError) as error:
        model_inputs(path)
    assert str(error.value).isprintable()
    return str(error.value)


def test_dims_are_sizes_symbols_or_unknown(tmp_path):
    path = saved(
        tmp_path, ("x", TensorProto.FLOAT, ["n", 3, None]), ("s", TensorProto.INT64, []), ("u", TensorProto.FLOAT, None)
    )
    assert found(path) == [("x", ("n", 3, "?"), np.float32), ("s", (), np.int64), ("u", None, np.float32)]


def test_a_size_below_one_is_unknown(tmp_path):
    assert found(saved(tmp_path, ("x", TensorProto.FLOAT, [-1, 0, 1]))) == [("x", ("?", "?", 1), np.float32)]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("FLOAT", "float32"), ("DOUBLE", "float64"), ("FLOAT16", "float16"), ("BOOL", "bool")]
    + [(kind.upper(), kind) for kind in ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")],
)
def test_types_are_those_of_numpy(tmp_path, kind, dtype):
    assert found(saved(tmp_path, ("x", getattr(TensorProto, kind), [1]))) == [("x", (1,), np.dtype(dtype))]


def test_an_input_with_values_in_the_file_is_not_given(tmp_path):
    path = saved(tmp_path, ("w", TensorProto.FLOAT, [2]), ("x", TensorProto.FLOAT, [2]), initializers={"w": floats(2)})
    assert [name for name, _, _ in found(path)] == ["x"]
    model = onnx.load(path)
    values = helper.make_tensor("x", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2]))
    assert found(save(model, tmp_path)) == []


@pytest.mark.parametrize(
    ("dims", "batched"),
    [
        (("n", 3), True),
        ((1, 3), True),
        ((4, 3), True),
        (("seq", "batch", 3), False),
        ((5, "batch", 3), False),
        (("batch_size", "batch_2"), True),
        (("samples",), False),
        ((5,), False),
        (("batch",), True),
        ((), False),
        (None, False),
    ],
)
def test_the_first_axis_counts_images_unless_another_says_so(dims, batched):
    assert ModelInput("x", dims, np.dtype("float32")).batched == batched


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_steps_and_states_of_a_recurrent_operator_are_no_images(tmp_path, kind):
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    weights = {"w": floats(1, gates * 2, 3), "r": floats(1, gates * 2, 2)}
    shapes = {"x": ["t", "n", 3], "h": [1, "n", 2], "z": ["n", 2]}
    dims = [(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    for layout in (0, 1):
        one = node(kind, ["x", "w", "r", "", "", "h"], "y", hidden_size=2, layout=layout)
        given = model_inputs(saved(tmp_path, *dims, nodes=[one], initializers=weights))
        assert [one.batched for one in given] == [layout == 1, layout == 1, True]
    one = node(kind, ["x", "w", "r", "", "", "h"], "y", hidden_size=2)
    given = model_inputs(saved(tmp_path, *dims, nodes=[one], initializers=weights))
    assert [one.batched for one in given] == [False, False, True]


def test_the_first_cells_of_an_lstm_are_no_images(tmp_path):
    weights = {"w": floats(1, 8, 3), "r": floats(1, 8, 2)}
    dims = [(name, TensorProto.FLOAT, [1, "n", 2]) for name in ("c", "p")]
    one = node("LSTM", ["x", "w", "r", "", "", "", "c", "p"], "y", hidden_size=2)
    given = model_inputs(saved(tmp_path, *dims, nodes=[one], initializers=weights))
    assert [(one.name, one.batched) for one in given] == [("c", False), ("p", True)]


def test_what_is_no_tensor_of_numbers_is_refused(tmp_path):
    line = refusal(saved(tmp_path, ("x", TensorProto.STRING, [1])))
    assert line.startswith("model.onnx: input 'x': type STRING; allowed: FLOAT, DOUBLE")
    assert "input 'x': type BFLOAT16; allowed" in refusal(saved(tmp_path, ("x", TensorProto.BFLOAT16, [1])))
    assert "type UNDEFINED; allowed" in refusal(saved(tmp_path, ("x", 0, [1])))
    assert "type 77; allowed" in refusal(saved(tmp_path, ("x", 77, [1])))
    model = model_of([node("Relu", ["x"], "y")], {})
    model.graph.input.append(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1]))
    assert "type no tensor; allowed" in refusal(save(model, tmp_path))


def test_as_many_dims_as_are_allowed(tmp_path):
    assert found(saved(tmp_path, ("x", TensorProto.FLOAT, [1] * 8))) == [("x", (1,) * 8, np.float32)]


def test_a_model_that_is_not_one(tmp_path):
    assert refusal(tmp_path / "no.onnx") == "no.onnx: no such file"
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    assert refusal(tmp_path / "x.onnx").startswith("x.onnx: not an ONNX model")
    twice = [("x", TensorProto.FLOAT, [1])] * 2
    assert refusal(saved(tmp_path, *twice)) == "model.onnx: input 'x': stands twice"
    assert refusal(saved(tmp_path, ("x", TensorProto.FLOAT, [1] * 9))) == "model.onnx: input 'x': 9 dims; at most 8"
