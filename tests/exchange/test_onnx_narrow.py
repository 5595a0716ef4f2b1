"""Weights that a file stores in 16 bits: read back and run as from a wide file, wherever their words are until then."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

import archmodel.exchange.onnx_narrow as narrow
import archmodel.exchange.onnx_outline as outline
import archmodel.exchange.onnx_writer as writer
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import weights_of
from archmodel.exchange.onnx_writer import with_weights
from tests.exchange.onnx_models import floats, model_of, node, save
from tests.exchange.test_onnx_writer import MODELS, feeds_of, others_of

STAY = {"codes", "float16", "a part"}  # no floats of 32 bits; numbers beside the weights that are not of 16


@pytest.fixture(autouse=True, params=[1, outline.LEAST_BYTES], ids=["words in the file", "words in the model"])
def least_bytes(request, monkeypatch):
    """Tensors are left in the file until they are read, or are a part of the model as small ones are."""
    monkeypatch.setattr(outline, "LEAST_BYTES", request.param)


@pytest.fixture
def pair(tmp_path):
    """A file of two layers, 8 to 4 to 3, and weights of 16 bits for both."""
    nodes = [node("MatMul", ["x", "w1"], "h"), node("MatMul", ["h", "w2"], "y")]
    path = save(model_of(nodes, {"x": [1, 8]}, {"w1": floats(8, 4), "w2": floats(4, 3)}), tmp_path)
    return SimpleNamespace(path=path, output=tmp_path / "new.onnx", weights=others_of(weights_of(path)))


def types_of(path):
    return {one.name: TensorProto.DataType.Name(one.data_type) for one in onnx.load(path).graph.initializer}


def output_of(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], feeds_of(model))[0]


def left_in(folder):
    """What is there, so that nothing stays behind."""
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.parametrize("kind", narrow.LEAST_OPSET)
@pytest.mark.parametrize("name", MODELS)
def test_a_narrow_file_is_that_of_a_wide_one_in_fewer_bytes(name, kind, tmp_path):
    path = save(MODELS[name], tmp_path)
    wanted = others_of(weights_of(path))
    with_weights(path, wanted, tmp_path / "wide.onnx")
    with_weights(path, wanted, tmp_path / "new.onnx", floats=kind)
    for layer, array in weights_of(tmp_path / "new.onnx").items():
        np.testing.assert_array_equal(array.astype(np.float32), wanted[layer])
    made, wide = (onnx.load(tmp_path / file) for file in ("new.onnx", "wide.onnx"))
    np.testing.assert_array_equal(output_of(made), output_of(wide))
    casts = len(made.graph.node) - len(wide.graph.node)
    if name in STAY:
        assert (tmp_path / "new.onnx").read_bytes() == (tmp_path / "wide.onnx").read_bytes()
    else:
        assert casts > 0
    assert left_in(tmp_path) == ["model.onnx", "new.onnx", "wide.onnx"]


@pytest.mark.parametrize("kind", narrow.LEAST_OPSET)
def test_the_words_are_the_bits_of_each_weight_in_order(kind, pair):
    with_weights(pair.path, pair.weights, pair.output, floats=kind)
    made = {one.name: one for one in onnx.load(pair.output).graph.initializer}
    bits = np.frombuffer(made[f"w1_{kind.lower()}"].raw_data, "<u2")
    wanted = pair.weights["h"].reshape(4, 8).T.reshape(-1)
    half = wanted.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(bits, half if kind == "FLOAT16" else wanted.view(np.uint32) >> 16)
    assert made[f"w1_{kind.lower()}"].dims == [8, 4]


def test_a_tensor_with_a_weight_that_is_not_of_the_type_stays_wide(pair):
    pair.weights["h"][-1, -1] = 1 + 2**-11
    with_weights(pair.path, pair.weights, pair.output, floats="FLOAT16")
    assert types_of(pair.output) == {"w1": "FLOAT", "w2_float16": "FLOAT16"}
    for layer, array in weights_of(pair.output).items():
        np.testing.assert_array_equal(array.astype(np.float32), pair.weights[layer])


def test_layers_that_are_not_asked_for_stay_as_they_are(pair):
    with_weights(pair.path, {"y": pair.weights["y"]}, pair.output, floats="BFLOAT16")
    assert types_of(pair.output) == {"w1": "FLOAT", "w2_bfloat16": "BFLOAT16"}
    np.testing.assert_array_equal(weights_of(pair.output)["h"], weights_of(pair.path)["h"])


@pytest.mark.parametrize("narrow_beside", [True, False])
def test_a_tensor_that_another_layer_reads_too_is_narrow_only_if_that_keeps_its_weights(narrow_beside, tmp_path):
    nodes = [
        node("Slice", ["both", "start", "middle", "axis"], "w1"),
        node("Slice", ["both", "middle", "end", "axis"], "w2"),
        node("MatMul", ["x", "w1"], "h"),
        node("MatMul", ["h", "w2"], "y"),
    ]
    places = {name: np.array([place]) for name, place in {"start": 0, "middle": 4, "end": 8, "axis": 1}.items()}
    both = np.full((4, 8), 0.5 if narrow_beside else 0.1, np.float32)
    path = save(model_of(nodes, {"x": [1, 4]}, {"both": both, **places}), tmp_path)
    weights = {"y": np.arange(16, dtype=np.float32).reshape(4, 4, 1, 1)}
    with_weights(path, weights, tmp_path / "new.onnx", floats="FLOAT16")
    assert ("both_float16" in types_of(tmp_path / "new.onnx")) == narrow_beside
    found = weights_of(tmp_path / "new.onnx")
    np.testing.assert_array_equal(found["y"].astype(np.float32), weights["y"])
    np.testing.assert_array_equal(found["h"].astype(np.float32), weights_of(path)["h"])


def test_words_are_made_narrow_some_at_a_time(pair, monkeypatch):
    with_weights(pair.path, pair.weights, pair.output, floats="BFLOAT16")
    at_once = pair.output.read_bytes()
    monkeypatch.setattr(narrow, "WORDS_AT_A_TIME", 5)
    with_weights(pair.path, pair.weights, pair.output, floats="BFLOAT16")
    assert pair.output.read_bytes() == at_once


def test_data_of_other_files_become_narrow_inside(tmp_path):
    model = onnx.ModelProto.FromString(MODELS["conv"].SerializeToString())
    (tmp_path / "new").mkdir()
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    wanted, data = others_of(weights_of(tmp_path / "model.onnx")), (tmp_path / "data.bin").read_bytes()
    with_weights(tmp_path / "model.onnx", wanted, tmp_path / "new" / "new.onnx", floats="FLOAT16")
    assert types_of(tmp_path / "new" / "new.onnx") == {"w_float16": "FLOAT16", "b": "FLOAT"}
    inside = onnx.load(tmp_path / "new" / "new.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(inside.graph.initializer[0]), wanted["y"])
    np.testing.assert_array_equal(numpy_helper.to_array(inside.graph.initializer[1]), floats(4, seed=1))
    assert not [one.name for one in inside.graph.initializer if one.external_data or one.data_location]
    assert (tmp_path / "data.bin").read_bytes() == data
    assert left_in(tmp_path / "new") == ["new.onnx"]


def test_only_the_narrow_file_must_not_be_too_large(tmp_path, monkeypatch):
    path, output = (
        save(model_of([node("MatMul", ["x", "w"], "y")], {"x": [1, 32]}, {"w": floats(32, 32)}), tmp_path),
        tmp_path / "n",
    )
    weights = others_of(weights_of(path))
    with_weights(path, weights, output, floats="FLOAT16")
    made = output.read_bytes()
    assert len(made) < path.stat().st_size - 1500
    monkeypatch.setattr(writer, "MAX_FILE_BYTES", len(made))
    with_weights(path, weights, output, floats="FLOAT16")
    assert output.read_bytes() == made
    monkeypatch.setattr(writer, "MAX_FILE_BYTES", len(made) - 1)
    with pytest.raises(WorkloadError, match=rf"^model.onnx: {len(made)} bytes with all weights inside; a model has"):
        with_weights(path, weights, output, floats="FLOAT16")
    assert output.read_bytes() == made
    assert left_in(tmp_path) == ["model.onnx", "n"]


@pytest.mark.parametrize("shape", [(3, 5, 1, 1), (3, 4)])
def test_what_cannot_be_replaced_leaves_what_was_there(shape, pair):
    pair.output.write_text("mine")
    with pytest.raises(WorkloadError, match=r"^model.onnx: layer 'y': weights of shape .*; allowed: \(3, 4, 1, 1\)$"):
        with_weights(pair.path, {"y": np.zeros(shape, np.float32)}, pair.output, floats="FLOAT16")
    assert pair.output.read_text() == "mine"
    assert left_in(pair.output.parent) == ["model.onnx", "new.onnx"]


def test_a_file_that_cannot_be_written_to_its_end_is_not_there(pair, monkeypatch):
    def full(*_):
        pair.output.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    real = writer.write_pieces
    monkeypatch.setattr(
        writer, "write_pieces", lambda pieces, path, out: (full if path == pair.output else real)(pieces, path, out)
    )
    with pytest.raises(OSError, match="No space left"):
        with_weights(pair.path, pair.weights, pair.output, floats="FLOAT16")
    assert left_in(pair.output.parent) == ["model.onnx"]


def test_tensors_are_made_narrow_one_at_a_time(tmp_path):
    """Python's memory is at most that of a few of the layers, of which there are many."""
    size, names = 512, [f"y{place}" for place in range(12)]
    nodes = [node("MatMul", [before, f"w_{name}"], name) for before, name in zip(["x", *names], names, strict=False)]
    stored = {f"w_{name}": floats(size, size, seed=place) for place, name in enumerate(names)}
    path = save(model_of(nodes, {"x": [1, size]}, stored), tmp_path)
    present = weights_of(path)

    class Halves(dict):
        def __getitem__(self, name):
            return present[name].astype(np.float16).astype(np.float32)

    tracemalloc.start()
    with_weights(path, Halves.fromkeys(names), tmp_path / "new.onnx", floats="FLOAT16")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 6 * present["y0"].nbytes
    assert set(types_of(tmp_path / "new.onnx").values()) == {"FLOAT16"}
    for name, array in weights_of(tmp_path / "new.onnx").items():
        np.testing.assert_array_equal(array.astype(np.float32), Halves()[name])
