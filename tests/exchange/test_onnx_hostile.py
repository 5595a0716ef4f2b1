"""Files that were made to do harm: read, or refused in one line, in little time and memory."""

import gc
import os
import time
import tracemalloc
import weakref

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper

from archmodel.errors import WorkloadError
from archmodel.exchange import onnx_constants, onnx_file, onnx_folding, onnx_inference, onnx_reader, onnx_stored
from archmodel.exchange.onnx_builder import Builder
from archmodel.exchange.onnx_file import regular_file
from archmodel.exchange.onnx_inference import inferred_dims, without_weights
from archmodel.exchange.onnx_reader import read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, save, tensor

SECONDS = 10


def refusal(model, folder, skip=False):
    with pytest.raises(WorkloadError) as caught:
        read_onnx(save(model, folder), "m", skip)
    assert str(caught.value).isprintable()
    return str(caught.value)


def read(model, folder, skip=False):
    """The network of the model, which is read in time."""
    start = time.perf_counter()
    network = read_onnx(save(model, folder), "m", skip)
    assert time.perf_counter() - start < SECONDS
    return network


def gemm(tmp_path, location, **changes):
    """A model whose weights are stored in the file `location`."""
    stored = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **changes}.items():
        stored.external_data.add(key=key, value=value)
    model = model_of([node("Gemm", ["x", "w"], "y")], {"x": (1, 4)})
    model.graph.initializer.append(stored)
    return model


# Files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_a_folder_and_a_link_to_itself_are_no_data(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for location in ("pipe", "folder", "loop", "C:w.bin", "\\w.bin", "w.bin:stream", "data/" * 2000 + "w"):
        assert refusal(gemm(tmp_path, location), tmp_path).startswith("m: "), location
    with pytest.raises(WorkloadError, match="is not a regular file"):
        read_onnx(tmp_path / "pipe", "m")


def test_a_device_is_no_data(tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    for location in ("zero", "/dev/zero"):
        assert refusal(gemm(tmp_path, location), tmp_path).endswith("must be inside the model's folder")


def test_a_model_can_be_its_own_data(tmp_path):
    network = read(gemm(tmp_path, "model.onnx", length="48"), tmp_path)
    assert network.layers[0].weight_words == 12
    assert weights_of(tmp_path / "model.onnx")["y"].shape == (3, 4, 1, 1)


def test_what_takes_the_place_of_a_checked_file_is_not_opened(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(48))
    (tmp_path / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"), regular_file(tmp_path / "w.bin"):
        pass
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(WorkloadError, match="is not a regular file"), regular_file(tmp_path / "pipe"):
            pass


def test_data_that_are_cut_after_the_check_are_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(floats(4, 3).tobytes())
    path = save(gemm(tmp_path, "w.bin"), tmp_path)
    weights = weights_of(path)
    np.testing.assert_array_equal(weights["y"].reshape(3, 4), floats(4, 3).T)
    (tmp_path / "w.bin").write_bytes(bytes(47))
    with pytest.raises(WorkloadError, match="damaged"):
        weights["y"]


def test_a_constant_of_shape_reads_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(bytes(4))
    model = model_of([node("ConstantOfShape", ["d"], "w"), node("Gemm", ["x", "w"], "y")], {"x": (1, 4)})
    model.graph.initializer.append(tensor("d", np.array([4, 3])))
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="w.bin")
    model.graph.node[0].attribute.append(helper.make_attribute("value", value))
    assert refusal(model, tmp_path) == "m: node 'w' (ConstantOfShape): its value must be one number in the file itself"
    model.graph.node[0].attribute[0].t.CopyFrom(tensor("", np.zeros(2, np.float32)))
    assert "must be one number" in refusal(model, tmp_path)


# Messages


@pytest.mark.parametrize(
    ("op_type", "key", "value", "expected"),
    [
        ("Conv", "strides", 2, "strides is of type 2; must be INTS"),
        ("Conv", "group", [1], "group is of type 7; must be INT"),
        ("Conv", "auto_pad", [1], "auto_pad is of type 7; must be STRING"),
        ("Constant", "value", 3, "value is of type 2; must be TENSOR"),
        ("Constant", "value_floats", 3.0, "value_floats is of type 1; must be FLOATS"),
        ("Clip", "min", 1, "min is of type 2; must be FLOAT"),
    ],
)
def test_an_attribute_of_another_type_is_refused(op_type, key, value, expected, tmp_path):
    one = node(op_type, {"Conv": ["x", "w"], "Clip": ["x"]}.get(op_type, []), "y", **{key: value})
    line = refusal(model_of([one], {"x": (1, 2, 4, 4)}, {"w": floats(2, 2, 3, 3)}), tmp_path)
    assert line == f"m: node 'y' ({op_type}): {expected}"


def test_an_attribute_without_a_type_is_of_an_old_file(tmp_path):
    model = model_of([node("Conv", ["x", "w"], "y", strides=[2, 2])], {"x": (1, 2, 4, 4)}, {"w": floats(2, 2, 1, 1)})
    model.graph.node[0].attribute[0].ClearField("type")
    assert read(model, tmp_path).layers[0].stride == (2, 2)


def test_numbers_names_and_edges_have_a_limit(tmp_path, monkeypatch):
    long = model_of([node("Relu", ["x"], "y", name="a" * (onnx_file.MAX_TEXT + 1))], {"x": (1, 4)})
    assert refusal(long, tmp_path) == "m: a name of 65537 characters; at most 65536"
    many = model_of([node("Conv", ["x", "w"], "y", strides=[1] * 9)], {"x": (1, 2, 4, 4)}, {"w": floats(2, 2, 3, 3)})
    monkeypatch.setattr(onnx_file, "MAX_ATTRIBUTE_NUMBERS", 8)
    assert refusal(many, tmp_path) == "m: node 'y' (Conv): strides: 9 numbers; at most 8"
    monkeypatch.setattr(onnx_file, "MAX_EDGES", 3)
    read(model_of([node("Add", ["x", "x"], "y")], {"x": (1, 4)}), tmp_path)
    wide = model_of([node("Sum", ["x"] * 3, "y")], {"x": (1, 4)})
    assert refusal(wide, tmp_path) == "m: its nodes read and make 4 tensors; at most 3"


def test_sparse_initializers_and_redefined_operators_are_refused(tmp_path):
    model = model_of([node("Gemm", ["x", "w"], "y")], {"x": (1, 4)})
    sparse = helper.make_sparse_tensor(tensor("w", np.ones(2, np.float32)), tensor("", np.array([0, 5])), [4, 3])
    model.graph.sparse_initializer.append(sparse)
    assert refusal(model, tmp_path) == "m: tensor 'w': is a sparse initializer; not supported"
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model = model_of([node("Relu", ["x"], "y")], {"x": (1, 4)})
    own, other = (helper.make_function(d, "Relu", ["a"], ["b"], body, model.opset_import) for d in ("", "mine"))
    model.functions.append(other)
    assert len(read(model, tmp_path).layers) == 1
    model.functions.append(own)
    assert refusal(model, tmp_path) == "m: function 'Relu': redefines an operator; not supported"


# Time and memory


def test_very_many_inputs_and_nodes_take_no_product_of_both(tmp_path):
    count = 20_000
    nodes = [node("Relu", ["i0"], "y"), *(node("Identity", [f"i{i}"], f"o{i}") for i in range(count))]
    assert len(read(model_of(nodes, {f"i{i}": (1, 4) for i in range(count)}), tmp_path).layers) == 1
    nodes = [node("Dropout", [f"i{i}" for i in range(count)], "d0"), node("Relu", ["i0"], "y")]
    nodes += [node("Identity", [f"d{i}"], f"d{i + 1}") for i in range(count)]
    assert len(read(model_of(nodes, {f"i{i}": (1, 4) for i in range(count)}), tmp_path).layers) == 1


def test_very_many_nodes_of_one_name_are_numbered(tmp_path):
    names = [f"r{i}" for i in range(9_999)]
    nodes = [node("Relu", [before], after, name="same") for before, after in zip(["x", *names], names, strict=False)]
    layers = read(model_of(nodes, {"x": (1, 4)}), tmp_path).layers
    assert [layers[0].name, layers[1].name, layers[-1].name] == ["same", "same.2", "same.9999"]


@pytest.mark.parametrize(("op_type", "refused"), [("DequantizeLinear", "z6"), ("QuantizeLinear", "z4")])
def test_codes_of_codes_do_not_grow_without_end(op_type, refused, tmp_path):
    def chain(length):
        nodes = [node(op_type, [f"z{i}", "s", f"z{i}"], f"z{i + 1}") for i in range(length)]
        nodes = [*nodes, node("Clip", ["x", f"z{length}"], "y")]
        return model_of(nodes, {"x": (1, 4)}, {"z0": np.uint8(0), "s": np.float32(1)})

    assert len(read(chain(1), tmp_path).layers) == 1
    assert refusal(chain(60), tmp_path) == f"m: node '{refused}' ({op_type}): made of more than 64 tensors"


def test_a_constant_without_words_reads_no_large_one(tmp_path):
    nodes = [node("Add", ["none", "large"], "nothing"), node("Clip", ["x", "nothing"], "y")]
    stored = {"none": np.zeros((0, 1), np.float32), "large": floats(1, 10)}
    assert "is no constant" in refusal(model_of(nodes, {"x": (1, 4)}, stored), tmp_path)


def test_constants_that_are_made_are_smaller_than_those_that_are_stored(tmp_path, monkeypatch):
    nodes = [node("Add", ["a", "b"], "w"), node("Gemm", ["x", "w"], "y")]
    grown = model_of(nodes, {"x": (1, 4)}, {"a": floats(4, 1), "b": floats(1, 3)})
    equal = model_of(nodes, {"x": (1, 4)}, {"a": floats(4, 3), "b": floats(1, 3)})
    monkeypatch.setattr(onnx_constants, "MAX_MADE_WORDS", 12)
    read(grown, tmp_path)
    monkeypatch.setattr(onnx_constants, "MAX_MADE_WORDS", 11)
    read(equal, tmp_path)
    assert "is no constant" in refusal(grown, tmp_path)


def test_truth_values_cannot_be_subtracted(tmp_path):
    nodes = [node("Sub", ["a", "a"], "dims"), node("Reshape", ["x", "dims"], "y")]
    assert refusal(model_of(nodes, {"x": (1, 4)}, {"a": np.array([True, False])}), tmp_path) == "m: a damaged model"


# Memory


def test_a_stored_or_joined_tensor_has_a_limit(tmp_path, monkeypatch):
    nodes = [node("Concat", ["w", "w"], "both", axis=0), node("Gemm", ["x", "both"], "y")]
    model = model_of(nodes, {"x": (1, 8)}, {"w": floats(4, 3)})
    read(model, tmp_path)
    monkeypatch.setattr(onnx_folding, "MAX_TENSOR_WORDS", 23)
    assert "is no constant" in refusal(model, tmp_path)
    monkeypatch.setattr(onnx_file, "MAX_TENSOR_WORDS", 11)
    assert refusal(model, tmp_path) == "m: tensor 'w': dims [4, 3]: at most 8 dims and 11 words"


def test_an_expanded_constant_has_a_limit(tmp_path, monkeypatch):
    nodes = [node("Expand", ["w", "dims"], "more"), node("Gemm", ["x", "more"], "y")]
    model = model_of(nodes, {"x": (1, 4)}, {"w": floats(4, 1), "dims": np.array([4, 3])})
    read(model, tmp_path)
    monkeypatch.setattr(onnx_folding, "MAX_TENSOR_WORDS", 11)
    assert "is no constant" in refusal(model, tmp_path)


def test_tensors_outside_have_a_limit_together(tmp_path, monkeypatch):
    (tmp_path / "w.bin").write_bytes(floats(4, 4).tobytes())
    model = model_of([node("Gemm", ["x", "w0"], "h"), node("Gemm", ["h", "w1"], "y")], {"x": (1, 4)})
    for name in ("w0", "w1"):
        stored = model.graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=[4, 4])
        stored.data_location = TensorProto.EXTERNAL
        stored.external_data.add(key="location", value="w.bin")
    read(model, tmp_path)
    monkeypatch.setattr(onnx_stored, "MAX_OUTSIDE_BYTES", 127)
    assert refusal(model, tmp_path) == "m: 128 bytes of tensors in other files; at most 127"


def test_a_network_that_is_read_holds_nothing_of_its_file(tmp_path, monkeypatch):
    builders = []

    def noted(**fields):
        made = Builder(**fields)
        builders.append(weakref.ref(made))
        return made

    monkeypatch.setattr(onnx_reader, "Builder", noted)
    gc.disable()
    try:
        network = read(model_of([node("Gemm", ["x", "w"], "y")], {"x": (1, 4)}, {"w": floats(4, 4)}), tmp_path)
        assert builders[0]() is None
    finally:
        gc.enable()
    assert len(network.layers) == 1


def test_codes_become_numbers_in_place(tmp_path):
    nodes = [node("DequantizeLinear", ["q", "s"], "w"), node("Gemm", ["x", "w"], "y")]
    stored = {"q": np.ones((1024, 1024), np.int8), "s": np.float32(0.5)}
    weights = weights_of(save(model_of(nodes, {"x": (1, 1024)}, stored), tmp_path))
    tracemalloc.start()
    try:
        assert weights["y"].dtype == np.float32
        assert tracemalloc.get_traced_memory()[1] < 7 * 2**20  # a byte a word of the file, twice, and four
    finally:
        tracemalloc.stop()


# onnx's shape inference


def calling(depth):
    """A function that calls another twice, which does so too: 2**depth nodes."""
    model = model_of([node("F0", ["x"], "y", domain="f")], {"x": (1, 4)})
    model.opset_import.append(helper.make_opsetid("f", 1))
    for i in range(depth):
        body = [helper.make_node(f"F{i + 1}", [a], [b], domain="f") for a, b in (("a", "m"), ("m", "b"))]
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], body, model.opset_import))
    return model


def test_functions_that_call_functions_end(tmp_path):
    assert "has no shape" in refusal(calling(40), tmp_path, skip=True)


def test_inference_has_a_time_and_gives_what_the_file_declares(monkeypatch):
    model = model_of([node("Relu", ["x"], "y")], {"x": (1, 4)})
    assert inferred_dims(model) == {"y": [1, 4]}
    monkeypatch.setattr(onnx_inference, "START", "import time; time.sleep(60)")
    monkeypatch.setattr(onnx_inference, "MAX_SECONDS", 0.2)
    start = time.perf_counter()
    assert inferred_dims(model) == {"y": None}
    assert time.perf_counter() - start < SECONDS


@pytest.mark.parametrize("end", ["import os; os.abort()", "raise MemoryError", "print('no model')"])
def test_inference_that_is_stopped_gives_what_the_file_declares(end, monkeypatch):
    model = model_of([node("Relu", ["x"], "y")], {"x": (1, 4)})
    monkeypatch.setattr(onnx_inference, "START", end)
    assert inferred_dims(model) == {"y": None}


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems limit memory")
def test_inference_has_a_memory(monkeypatch):
    model = model_of([node("Relu", ["x"], "y")], {"x": (1, 4)})
    unlimited = onnx_inference.START.replace("import main; main()", "import limit_memory; bytearray(2**31)")
    monkeypatch.setattr(onnx_inference, "START", unlimited)
    assert inferred_dims(model) == {}
    monkeypatch.setattr(onnx_inference, "START", unlimited.replace("; bytearray", "; limit_memory(); bytearray"))
    assert inferred_dims(model) == {"y": None}


def test_inference_is_given_the_constants_that_say_shapes_and_no_weights():
    large, dims = floats(40, 40), np.array([40, -1])
    constant = helper.make_node("Constant", [], ["c"], value=tensor("", large))
    nodes = [
        constant,
        node("Reshape", ["x", "dims"], "r"),
        node("MatMul", ["r", "w"], "p"),
        node("Add", ["p", "c"], "y"),
    ]
    model = model_of(nodes, {"x": (4, 400)}, {"w": large, "dims": dims})
    assert without_weights(model).ByteSize() < large.nbytes < model.ByteSize()
    assert inferred_dims(model) == {"r": [40, 40], "p": [40, 40], "y": [40, 40]}
    model.graph.input.append(onnx.helper.make_tensor_value_info("w", TensorProto.FLOAT, (40, 40)))
    assert inferred_dims(model)["y"] == [40, 40]


def test_names_that_are_no_text_end_inference_in_what_the_file_declares():
    model = model_of([node("Relu", ["x"], "y")], {"x": (1, 4)}, {"w": floats(40, 40)})
    damaged = onnx.ModelProto.FromString(model.SerializeToString().replace(b"\x01w", b"\x01\xff"))
    assert inferred_dims(damaged) in ({"y": None}, {"y": [1, 4]})
