"""Weights that take the place of others in an ONNX file: read back exactly, run, and everything else as it was."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper, numpy_helper

import archmodel.exchange.onnx_outline as outline
import archmodel.exchange.onnx_writer as writer
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import read_onnx, weights_of
from archmodel.exchange.onnx_writer import with_weights
from tests.exchange.onnx_models import floats, model_of, node, run, save, tensor


@pytest.fixture(autouse=True, params=[1, outline.LEAST_BYTES], ids=["words in the file", "words in the model"])
def least_bytes(request, monkeypatch):
    """Tensors are left in the file until they are read, or are a part of the model as small ones are."""
    monkeypatch.setattr(outline, "LEAST_BYTES", request.param)


def conv_model(**attributes):
    groups = attributes.get("group", 1)
    weights = {"w": floats(4, 4 // groups, 3, 3), "b": floats(4, seed=1)}
    return model_of([node("Conv", ["x", "w", "b"], "y", **attributes)], {"x": [1, 4, 6, 6]}, weights)


def gemm_model(transposed):
    stored = floats(3, 8) if transposed else floats(8, 3)
    nodes = [node("Gemm", ["x", "w", "b"], "y", transB=int(transposed))]
    return model_of(nodes, {"x": [2, 8]}, {"w": stored, "b": floats(3, seed=1)})


def matmul_model():
    return model_of([node("MatMul", ["x", "w"], "y")], {"x": [1, 5, 8]}, {"w": floats(8, 3)})


def left_model():
    return model_of([node("MatMul", ["w", "x"], "y")], {"x": [1, 8, 5]}, {"w": floats(3, 8)})


def flattened_model():
    """A plane with channels last that is flattened: the reader puts the columns in another order."""
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 2, 3, 1]),
        node("Flatten", ["t"], "f"),
        node("MatMul", ["f", "w"], "y"),
    ]
    return model_of(nodes, {"x": [1, 2, 3, 4]}, {"w": floats(24, 3)})


def moved_model():
    """Half of a stored tensor, transposed, joined with another one; what is left of it, nobody reads."""
    nodes = [
        node("Slice", ["both", "starts", "ends"], "part"),
        node("Transpose", ["part"], "moved", perm=[1, 0]),
        node("Concat", ["moved", "more"], "w", axis=0),
        node("MatMul", ["x", "w"], "y"),
    ]
    stored = {"both": floats(6, 5), "starts": np.array([2]), "ends": np.array([5]), "more": floats(3, 3, seed=1)}
    return model_of(nodes, {"x": [1, 8]}, stored)


def part_model():
    """The middle columns of a stored tensor; the others nobody reads."""
    nodes = [node("Slice", ["all", "starts", "ends", "axes"], "w"), node("MatMul", ["x", "w"], "y")]
    stored = {"all": floats(8, 7), "starts": np.array([2]), "ends": np.array([5]), "axes": np.array([1])}
    return model_of(nodes, {"x": [1, 8]}, stored)


def backwards_model():
    """All rows of a stored tensor, the last one first."""
    nodes = [node("Slice", ["all", "start", "end", "axis", "step"], "w"), node("MatMul", ["x", "w"], "y")]
    places = {"start": 7, "end": -9, "axis": 0, "step": -1}
    stored = {"all": floats(8, 3), **{name: np.array([place]) for name, place in places.items()}}
    return model_of(nodes, {"x": [1, 8]}, stored)


def transposed_model(strides, groups=1):
    nodes = [node("ConvTranspose", ["x", "w"], "y", strides=strides, group=groups, pads=[1, 1, 1, 1])]
    return model_of(nodes, {"x": [1, 4, 4, 4]}, {"w": floats(4, 3, 3, 3)})


def recurrent_model(op_type, direction):
    gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type], 2 if direction == "bidirectional" else 1
    nodes = [node(op_type, ["x", "w", "r", "b"], ["y", "h"], hidden_size=3, direction=direction)]
    stored = {
        "w": floats(directions, gates * 3, 5),
        "r": floats(directions, gates * 3, 3, seed=1),
        "b": floats(directions, gates * 6, seed=2),
    }
    return model_of(nodes, {"x": [4, 1, 5]}, stored)


def half_model():
    """float16 behind a Cast."""
    stored = {"w": floats(3, 4, 3, 3).astype(np.float16)}
    nodes = [node("Cast", ["w"], "wide", to=TensorProto.FLOAT), node("Conv", ["x", "wide"], "y")]
    return model_of(nodes, {"x": [1, 4, 6, 6]}, stored)


def constant_model():
    weights = tensor("", floats(3, 4, 3, 3))
    return model_of([node("Constant", [], "w", value=weights), node("Conv", ["x", "w"], "y")], {"x": [1, 4, 6, 6]})


def field_model():
    """Weights in float_data, the other way in which a tensor can hold its numbers."""
    model = conv_model()
    stored = model.graph.initializer[0]
    numbers = numpy_helper.to_array(stored).reshape(-1).tolist()
    stored.ClearField("raw_data")
    stored.float_data.extend(numbers)
    return model


def codes_model():
    """8-bit weights without a zero point."""
    stored = {"w": np.arange(1, 25, dtype=np.int8).reshape(8, 3)}
    model = model_of([node("MatMulInteger", ["x", "w"], "y")], {"x": [1, 8]}, stored)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    return model


MODELS = {
    "conv": conv_model(),
    "conv in groups": conv_model(group=2),
    "depthwise conv": conv_model(group=4),
    "gemm": gemm_model(False),
    "gemm transposed": gemm_model(True),
    "matmul": matmul_model(),
    "weights from the left": left_model(),
    "flattened": flattened_model(),
    "moved": moved_model(),
    "a part": part_model(),
    "backwards": backwards_model(),
    "ConvTranspose": transposed_model([2, 2]),
    "ConvTranspose in groups": transposed_model([1, 1], 2),
    **{
        f"{one} {way}": recurrent_model(one, way)
        for one in ("LSTM", "GRU", "RNN")
        for way in ("reverse", "bidirectional")
    },
    "float16": half_model(),
    "constant node": constant_model(),
    "float_data": field_model(),
    "codes": codes_model(),
}


def others_of(weights):
    """Other numbers for every layer, each one different and exact in float16 and int8; some zeros."""
    rng = np.random.default_rng(7)
    return {name: rng.integers(-60, 61, array.shape).astype(array.dtype) for name, array in weights.items()}


def feeds_of(model):
    kinds = {TensorProto.FLOAT: np.float32, TensorProto.INT8: np.int8}
    rng = np.random.default_rng(3)
    return {
        one.name: rng.integers(-5, 6, [dim.dim_value for dim in one.type.tensor_type.shape.dim]).astype(
            kinds[one.type.tensor_type.elem_type]
        )
        for one in model.graph.input
    }


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_back_is_what_was_asked_for_and_it_runs(name, tmp_path):
    path = save(MODELS[name], tmp_path)
    wanted = others_of(weights_of(path))
    assert wanted
    with_weights(path, wanted, tmp_path / "new.onnx")
    found = weights_of(tmp_path / "new.onnx")
    assert found.keys() == wanted.keys()
    for layer, array in wanted.items():
        assert found[layer].dtype == array.dtype
        np.testing.assert_array_equal(found[layer], array)
    changed = onnx.load(tmp_path / "new.onnx")
    before, after = (run(model, feeds_of(model)) for model in (MODELS[name], changed))
    assert before.keys() == after.keys()
    assert not np.array_equal(before["y"], after["y"])


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_of_before_make_the_file_of_before(name, tmp_path):
    path = save(MODELS[name], tmp_path)
    with_weights(path, dict(weights_of(path)), tmp_path / "new.onnx")
    assert (tmp_path / "new.onnx").read_bytes() == path.read_bytes()


def test_an_output_follows_from_the_new_weights(tmp_path):
    path = save(gemm_model(True), tmp_path)
    weights = np.zeros((3, 8, 1, 1), np.float32)
    weights[1, 2] = 4
    with_weights(path, {"y": weights}, tmp_path / "new.onnx")
    feed = np.arange(16, dtype=np.float32).reshape(2, 8)
    made = run(onnx.load(tmp_path / "new.onnx"), {"x": feed})["y"]
    np.testing.assert_array_equal(made, np.outer(4 * feed[:, 2], np.eye(3, dtype=np.float32)[1]) + floats(3, seed=1))


def test_only_the_weights_of_the_layer_change(tmp_path):
    nodes = [node("Conv", ["x", "w1"], "a"), node("Conv", ["a", "w2", "b"], "y")]
    stored = {"w1": floats(4, 3, 1, 1), "w2": floats(2, 4, 1, 1), "b": floats(2)}
    model = model_of(nodes, {"x": ["batch", 3, 4, 4]}, stored)
    model.producer_name = "someone"
    model.metadata_props.add(key="licence", value="free")
    path = save(model, tmp_path)
    with_weights(path, {"y": np.zeros((2, 4, 1, 1), np.float32)}, tmp_path / "new.onnx", "pruned: all of it")
    changed = onnx.load(tmp_path / "new.onnx")
    assert [(one.key, one.value) for one in changed.metadata_props] == [
        ("licence", "free"),
        ("archmodel", "pruned: all of it"),
    ]
    assert not numpy_helper.to_array(changed.graph.initializer[1]).any()
    changed.graph.initializer[1].CopyFrom(model.graph.initializer[1])
    del changed.metadata_props[1]
    assert changed.SerializeToString() == model.SerializeToString()


def test_what_is_done_is_noted_behind_what_was_done_and_shown(tmp_path):
    path = save(conv_model(), tmp_path)
    assert read_onnx(path, "x").zeros["y"].source == "model.onnx"
    with_weights(path, {}, tmp_path / "a.onnx", "pruned: one")
    with_weights(tmp_path / "a.onnx", {}, tmp_path / "b.onnx", "quantized: two")
    assert read_onnx(tmp_path / "b.onnx", "x").zeros["y"].source == "b.onnx (pruned: one; quantized: two)"


def test_a_hostile_note_is_one_short_line(tmp_path):
    model = conv_model()
    model.metadata_props.add(key="archmodel", value="\x1b[2J\n" + 70_000 * "x")
    source = read_onnx(save(model, tmp_path), "x").zeros["y"].source
    assert source.startswith("model.onnx (\\x1b[2J xxx")
    assert source.isprintable()
    assert len(source) < 400


def test_data_of_other_files_are_put_inside(tmp_path):
    (tmp_path / "new").mkdir()
    onnx.save_model(
        conv_model(), tmp_path / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0
    )
    wanted = others_of(weights_of(tmp_path / "model.onnx"))
    with_weights(tmp_path / "model.onnx", wanted, tmp_path / "new" / "inside.onnx")
    np.testing.assert_array_equal(weights_of(tmp_path / "new" / "inside.onnx")["y"], wanted["y"])
    inside = onnx.load(tmp_path / "new" / "inside.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(inside.graph.initializer[1]), floats(4, seed=1))
    assert not [one.name for one in inside.graph.initializer if one.external_data or one.data_location]


# What cannot be replaced, in one line, and nothing is written


def subtracted_model():
    """Codes with a zero point of their own."""
    stored = {
        "w": np.arange(24, dtype=np.int8).reshape(8, 3),
        "zx": np.array(0, np.int8),
        "zw": np.array(3, np.int8),
    }
    model = model_of([node("MatMulInteger", ["x", "w", "zx", "zw"], "y")], {"x": [1, 8]}, stored)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    return model


def dequantized_model():
    stored = {"codes": np.arange(24, dtype=np.int8).reshape(8, 3), "scale": np.array(0.5, np.float32)}
    nodes = [node("DequantizeLinear", ["codes", "scale"], "w"), node("MatMul", ["x", "w"], "y")]
    return model_of(nodes, {"x": [1, 8]}, stored)


def summed_model():
    """A sum of two stored tensors less a third: its numbers change as those of one tensor would."""
    nodes = [node("Add", ["a", "b"], "s"), node("Sub", ["s", "c"], "w"), node("MatMul", ["x", "w"], "y")]
    stored = {name: floats(8, 8, seed=seed) for seed, name in enumerate("abc")}
    return model_of(nodes, {"x": [1, 8]}, stored)


def shifted_model():
    """A number is added to all weights, the first that the file stores."""
    nodes = [node("Add", ["w", "one"], "more"), node("MatMul", ["x", "more"], "y")]
    return model_of(nodes, {"x": [1, 8]}, {"one": np.ones(1, np.float32), "w": floats(8, 8)})


def tied_model():
    nodes = [node("MatMul", ["x", "w"], "first"), node("Gemm", ["first", "w"], "y", transB=1)]
    return model_of(nodes, {"x": [1, 8]}, {"w": floats(8, 8)})


def embedding_model():
    """The table of words is also what the last layer multiplies with."""
    nodes = [
        node("Gather", ["w", "ids"], "words"),
        node("Transpose", ["w"], "turned", perm=[1, 0]),
        node("MatMul", ["words", "turned"], "y"),
    ]
    model = model_of(nodes, {"ids": [1, 4]}, {"w": floats(9, 8)})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def repeated_model():
    """One row of weights for every output."""
    nodes = [node("Expand", ["row", "dims"], "w"), node("Gemm", ["x", "w"], "y", transB=1)]
    return model_of(nodes, {"x": [1, 70]}, {"row": floats(1, 70), "dims": np.array([3, 70])})


def branch_model():
    weights = {"then_branch": floats(8, 3), "else_branch": floats(8, 3, seed=1)}
    branches = {
        key: helper.make_graph(
            [node("MatMul", ["x", f"{key}.w"], f"{key}.y")],
            key,
            [],
            [helper.make_empty_tensor_value_info(f"{key}.y")],
            [tensor(f"{key}.w", array)],
        )
        for key, array in weights.items()
    }
    return model_of([node("If", ["yes"], "y", **branches)], {"x": [1, 8]}, {"yes": np.array(True)})


def loop_model():
    """A loop whose body reads the weights too."""
    body = helper.make_graph(
        [node("Identity", ["going"], "on"), node("Add", ["state", "w"], "next")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [8, 3]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [8, 3]),
        ],
    )
    nodes = [node("MatMul", ["x", "w"], "y"), node("Loop", ["times", "yes", "state"], "last", body=body)]
    stored = {"w": floats(8, 3), "times": np.array(2), "yes": np.array(True), "state": floats(8, 3)}
    model = model_of(nodes, {"x": [1, 8]}, stored, outputs=["y", "last"])
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("last", TensorProto.FLOAT, [8, 3]))
    return model


COMPUTED = "its weights are computed in the file"
OTHERS = {"y": lambda array: array + 1}
REFUSED = {
    "codes less a zero point": (subtracted_model(), OTHERS, f"layer 'y': {COMPUTED}"),
    "dequantized": (dequantized_model(), OTHERS, f"layer 'y': {COMPUTED}"),
    "shifted": (shifted_model(), OTHERS, f"layer 'y': {COMPUTED}"),
    "a sum": (summed_model(), OTHERS, f"layer 'y': {COMPUTED}"),
    "tied, one asked": (tied_model(), OTHERS, "layer 'first': the file has one word for several"),
    "tied, asked differently": (
        tied_model(),
        {"first": lambda array: array + 1, "y": lambda array: array + 2},
        "layer 'first': the file has one word for several",
    ),
    "an embedding": (embedding_model(), OTHERS, "layer 'y': the node that makes 'words' reads its weights too"),
    "a loop": (loop_model(), OTHERS, "layer 'y': the node that makes 'last' reads its weights too"),
    "repeated": (repeated_model(), {"y": others_of}, "layer 'y': the file has one word for several"),
    "not exact": (half_model(), {"y": lambda array: array.astype(np.float32) + 1e-6}, "not exact in float16"),
    "branches": (branch_model(), OTHERS, "has If nodes"),
    "no such layer": (conv_model(), {"z": lambda array: array}, "no layer 'z' with weights"),
    "shape": (conv_model(), {"y": lambda array: array[1:]}, "weights of shape (3, 4, 3, 3); allowed: (4, 4, 3, 3)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_replaced_is_one_line_and_no_file(name, tmp_path):
    model, asked, line = REFUSED[name]
    path = save(model, tmp_path)
    present = weights_of(path)
    some = next(iter(present.values()))
    made = {
        layer: (others_of({layer: present[layer]})[layer] if change is others_of else change(present.get(layer, some)))
        for layer, change in asked.items()
    }
    with pytest.raises(WorkloadError) as error:
        with_weights(path, made, tmp_path / "new.onnx")
    assert str(error.value).startswith("model.onnx: ")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new.onnx").exists()


def test_tied_layers_that_agree_are_replaced(tmp_path):
    path, new = save(tied_model(), tmp_path), floats(8, 8, seed=9)
    wanted = {"first": new.T.reshape(8, 8, 1, 1), "y": new.reshape(8, 8, 1, 1)}
    with_weights(path, wanted, tmp_path / "new.onnx")
    for name, array in weights_of(tmp_path / "new.onnx").items():
        np.testing.assert_array_equal(array, wanted[name])


def test_a_row_that_stands_once_can_be_zero_everywhere(tmp_path):
    path = save(repeated_model(), tmp_path)
    with_weights(path, {"y": np.zeros((3, 70, 1, 1), np.float32)}, tmp_path / "new.onnx")
    assert not weights_of(tmp_path / "new.onnx")["y"].any()


def test_a_model_that_would_be_too_large_is_not_written(tmp_path, monkeypatch):
    path = save(conv_model(), tmp_path)
    monkeypatch.setattr(writer, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(WorkloadError, match=f"{path.stat().st_size} bytes with all weights inside; a model has"):
        with_weights(path, {}, tmp_path / "new.onnx")
    assert not (tmp_path / "new.onnx").exists()


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path):
    path = save(conv_model(), tmp_path)
    with pytest.raises(FileNotFoundError):
        with_weights(path, {}, tmp_path / "nowhere" / "new.onnx")


def test_a_file_that_is_there_stays_where_nothing_can_be_replaced(tmp_path):
    path, there = save(summed_model(), tmp_path), tmp_path / "new.onnx"
    there.write_text("mine")
    with pytest.raises(WorkloadError):
        with_weights(path, {"y": np.zeros((8, 8, 1, 1), np.float32)}, there)
    assert there.read_text() == "mine"


def test_two_layers_have_parts_of_one_tensor(tmp_path):
    nodes = [
        node("Slice", ["both", "start", "middle", "axis"], "w1"),
        node("Slice", ["both", "middle", "end", "axis"], "w2"),
        node("MatMul", ["x", "w1"], "h"),
        node("MatMul", ["h", "w2"], "y"),
    ]
    places = {name: np.array([place]) for name, place in {"start": 0, "middle": 4, "end": 8, "axis": 1}.items()}
    path = save(model_of(nodes, {"x": [1, 4]}, {"both": floats(4, 8), **places}), tmp_path)
    wanted = others_of(weights_of(path))
    assert len(wanted) == 2
    with_weights(path, wanted, tmp_path / "new.onnx")
    for name, array in weights_of(tmp_path / "new.onnx").items():
        np.testing.assert_array_equal(array, wanted[name])
