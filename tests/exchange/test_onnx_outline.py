"""Large tensors stay in the file until they are read: the model is the same, and so are the errors of damaged files."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, TensorProto, numpy_helper

import archmodel.exchange.onnx_outline as outline
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_file import open_model, tensor_array
from archmodel.exchange.onnx_inference import without_weights
from archmodel.exchange.onnx_reader import weights_of
from archmodel.exchange.onnx_writer import with_weights
from tests.exchange.onnx_models import floats, model_of, node, save, tensor

WORDS = outline.LEAST_BYTES // 4  # of the smallest tensor that stays in the file


def gemm(num_words=WORDS, kind=np.float32, seed=0):
    """A product with as many weights, in one row."""
    weights = floats(1, num_words, seed=seed).astype(kind)
    return model_of([node("Gemm", ["x", "w", "b"], "y")], {"x": [2, 1]}, {"w": weights, "b": floats(num_words)[:1]})


def outside(model):
    """Names of the tensors that are not in the model."""
    return [one.name for one in model.graph.initializer if one.data_location]


def whole(model, folder):
    """The model with the data of all tensors inside."""
    found = ModelProto()
    found.CopyFrom(model)
    for stored in found.graph.initializer:
        if stored.data_location:
            data = tensor_array(stored, folder).tobytes()
            for key in ("external_data", "data_location"):
                stored.ClearField(key)
            stored.raw_data = data
    return found


@pytest.mark.parametrize(("num_words", "stays"), [(WORDS - 1, []), (WORDS, ["w"])])
def test_a_tensor_of_so_many_bytes_stays_in_the_file(num_words, stays, tmp_path):
    model = gemm(num_words)
    model.graph.initializer[0].doc_string = "weights"
    model.metadata_props.add(key="licence", value="free")
    opened = open_model(save(model, tmp_path))
    assert outside(opened) == stays
    assert whole(opened, tmp_path) == model


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, np.uint8])
def test_tensors_of_weights_stay_in_the_file(kind, tmp_path):
    opened = open_model(save(gemm(4 * WORDS, kind), tmp_path))
    assert outside(opened) == ["w"]
    np.testing.assert_array_equal(
        tensor_array(opened.graph.initializer[0], tmp_path), floats(1, 4 * WORDS).astype(kind)
    )


def as_floats(stored):
    stored.float_data.extend(numpy_helper.to_array(stored).reshape(-1).tolist())
    stored.ClearField("raw_data")


def as_outside(stored):
    stored.data_location = TensorProto.EXTERNAL


def as_indices(stored):
    stored.CopyFrom(tensor("w", np.zeros((1, WORDS), np.int64)))


@pytest.mark.parametrize("change", [as_floats, as_outside, as_indices])
def test_what_is_unusual_is_left_as_it_is(change, tmp_path):
    model = gemm()
    change(model.graph.initializer[0])
    assert open_model(save(model, tmp_path)) == model


def test_a_graph_in_pieces_is_a_graph(tmp_path):
    first, second = gemm(), gemm(seed=1)
    second.graph.initializer[0].name = "other"
    (tmp_path / "model.onnx").write_bytes(first.SerializeToString() + second.SerializeToString())
    opened = open_model(tmp_path / "model.onnx")
    assert outside(opened) == ["w", "other"]
    both = ModelProto.FromString((tmp_path / "model.onnx").read_bytes())
    assert whole(opened, tmp_path) == both


def test_a_model_of_too_many_parts_is_read_as_a_whole(tmp_path, monkeypatch):
    """The bound that refuses it counts more than what is looked at here."""
    monkeypatch.setattr(outline, "MAX_ENTRIES", 3)
    assert open_model(save(gemm(), tmp_path)) == gemm()


def test_shapes_are_inferred_without_it(tmp_path):
    light = without_weights(open_model(save(gemm(), tmp_path)))
    assert [one.name for one in light.graph.initializer] == ["b"]
    assert [one.name for one in light.graph.input] == ["x", "w"]


def test_a_link_to_another_folder_is_followed(tmp_path):
    """Tensors of other files are read in the model's folder only; the model itself may be anywhere."""
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
    model = gemm()
    link = tmp_path / "here" / "model.onnx"
    link.symlink_to(save(model, tmp_path / "there"))
    assert open_model(link) == model
    beside = tmp_path / "there" / "link.onnx"
    beside.symlink_to("model.onnx")
    assert whole(open_model(beside), tmp_path / "there") == model


def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.onnx")
    try:
        path.write_bytes(gemm().SerializeToString())
    except OSError:
        pytest.skip("the file system has names of text only")
    assert open_model(path) == gemm()


def test_a_relative_path_is_of_the_folder_that_is_current(tmp_path, monkeypatch):
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        save(gemm(seed=seed), tmp_path / str(seed))
        monkeypatch.chdir(tmp_path / str(seed))
        assert outside(open_model(Path("model.onnx"))) == ["w"]
        np.testing.assert_array_equal(weights_of("model.onnx")["y"].reshape(1, -1), floats(1, WORDS, seed=seed))


def test_damaged_files_have_the_errors_of_files_that_are_read_as_a_whole(tmp_path, monkeypatch):
    data, path = model_of([node("Gemm", ["x", "w"], "y")], {"x": [1, 4]}, {"w": floats(4, 3)}), tmp_path / "model.onnx"
    data = data.SerializeToString()
    damaged = [data[:end] for end in range(len(data))]
    damaged += [data[:place] + b"\xff" + data[place + 1 :] for place in range(len(data))]

    def line_of(least):
        monkeypatch.setattr(outline, "LEAST_BYTES", least)
        try:
            return sorted(one.name for one in open_model(path).graph.node)
        except WorkloadError as error:
            return str(error)

    for one in damaged:
        path.write_bytes(one)
        assert line_of(1) == line_of(2**31)


def test_weights_are_replaced_one_tensor_at_a_time(tmp_path):
    """numpy's memory is at most that of a few of the layers, of which there are many."""
    sizes, names = 512, [f"y{place}" for place in range(12)]
    nodes = [node("MatMul", [before, f"w_{name}"], name) for before, name in zip(["x", *names], names, strict=False)]
    stored = {f"w_{name}": floats(sizes, sizes, seed=place) for place, name in enumerate(names)}
    path = save(model_of(nodes, {"x": [1, sizes]}, stored), tmp_path)
    present = weights_of(path)
    layer_bytes = present["y0"].nbytes

    class Halves(dict):
        def __getitem__(self, name):
            return present[name] * np.float32(0.5)

    tracemalloc.start()
    with_weights(path, Halves.fromkeys(names), tmp_path / "new.onnx")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 6 * layer_bytes
    for name in names:
        np.testing.assert_array_equal(weights_of(tmp_path / "new.onnx")[name], Halves()[name])
