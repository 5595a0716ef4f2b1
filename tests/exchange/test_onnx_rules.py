"""Rules of the reader of ONNX: what is a bias, which axis is which, what is refused."""

import numpy as np
import pytest

pytest.importorskip("onnx")

from archmodel.errors import WorkloadError
from archmodel.exchange import onnx_file
from archmodel.exchange.onnx_axes import reshaped, without
from archmodel.exchange.onnx_reader import read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, run, save


def read(nodes, dims, stored, folder, **options):
    inputs = dims if isinstance(dims, dict) else {"x": dims}
    return read_onnx(save(model_of(nodes, inputs, stored, **options), folder), "model.onnx")


def loaded(folder, name="y"):
    return weights_of(folder / "model.onnx")[name]


def refusal(nodes, dims, stored, folder):
    with pytest.raises(WorkloadError) as error:
        read(nodes, dims, stored, folder)
    return str(error.value)


@pytest.mark.parametrize(("mode", "kernel"), [("VALID", 1), ("VALID", 2), ("VALID", 3), ("SAME_UPPER", 3)])
def test_a_pool_that_pads_by_itself_is_rounded_up_too(mode, kernel, tmp_path):
    nodes = [node("MaxPool", ["x"], "y", kernel_shape=[kernel] * 2, strides=[2, 3], auto_pad=mode, ceil_mode=1)]
    network = read(nodes, (1, 1, 8, 9), {}, tmp_path)
    outputs = run(model_of(nodes, {"x": (1, 1, 8, 9)}), {"x": floats(1, 1, 8, 9)})
    assert network.layers[0].output_shape == outputs["y"].shape[1:]


@pytest.mark.parametrize(("words", "biased"), [(3, True), (1, False)])
def test_a_bias_has_a_number_for_every_kernel(words, biased, tmp_path):
    nodes = [node("Conv", ["x", "w"], "y"), node("Add", ["y", "b"], "z")]
    network = read(nodes, (1, 2, 4, 4), {"w": floats(3, 2, 1, 1), "b": floats(words, 1, 1)}, tmp_path)
    assert network.layer("y").bias == biased


def test_a_clip_from_below_zero_is_no_relu(tmp_path):
    nodes = [node("Clip", ["x", "low"], "y"), node("Clip", ["y", "zero"], "z")]
    network = read(nodes, (1, 3), {"low": np.float32(-1), "zero": np.float32(0)}, tmp_path)
    assert [(layer.name, layer.mode) for layer in network.layers] == [("z", "clipped_relu")]


def test_a_tensor_is_laid_out_anew_before_its_transpose_is_added(tmp_path):
    nodes = [node("Transpose", ["x"], "t", perm=[0, 1, 3, 2]), node("Add", ["x", "t"], "y")]
    network = read(nodes, (1, 2, 4, 4), {}, tmp_path)
    assert [(layer.name, layer.kind, layer.inputs) for layer in network.layers] == [
        ("y.input1", "other", ("x",)),
        ("y", "add", ("x", "y.input1")),
    ]


@pytest.mark.parametrize("kept", [0, 1])
def test_a_mean_keeps_its_axes_where_it_says_so(kept, tmp_path):
    convolution = {"w": floats(2, 3, 1, 1)}
    nodes = [node("ReduceMean", ["x"], "m", axes=[2, 3], **({} if kept else {"keepdims": 0}))]
    if kept:
        nodes += [node("Conv", ["m", "w"], "y")]
        assert read(nodes, (1, 3, 4, 4), convolution, tmp_path).layer("y").output_shape == (2, 1, 1)
    else:
        line = refusal([*nodes, node("Conv", ["m", "w"], "y")], (1, 3, 4, 4), convolution, tmp_path)
        assert "(Conv): reads [1, 3]" in line


def test_a_gemm_can_transpose_what_it_reads(tmp_path):
    stored = {"w": floats(3, 2)}
    nodes = [node("Transpose", ["x"], "t"), node("Gemm", ["t", "w"], "y", transA=1)]
    layer = read(nodes, (1, 3), stored, tmp_path).layers[0]
    assert (layer.kind, layer.input_shape, layer.K) == ("fc", (3, 1, 1), 2)


def test_zero_points_of_a_matrix_belong_to_its_columns(tmp_path):
    stored = {"w": np.array([[1, 2], [3, 4]], np.uint8), "z": np.array([1, 4], np.uint8)}
    read([node("MatMulInteger", ["x", "w", "", "z"], "y")], (1, 2), stored, tmp_path)
    np.testing.assert_array_equal(loaded(tmp_path)[:, :, 0, 0], [[0, 2], [-2, 0]])


def test_heads_and_depths_of_two_tensors_must_fit(tmp_path):
    split = [node("Reshape", ["x", "dims"], "r"), node("Transpose", ["r"], "a", perm=[0, 2, 1, 3])]
    stored = {"dims": np.array([1, 4, 2, 3])}
    shifted = node("Transpose", ["r"], "b", perm=[0, 3, 2, 1])  # depth in the place of the heads
    line = refusal([*split, shifted, node("MatMul", ["a", "b"], "y")], {"x": (1, 4, 6)}, stored, tmp_path)
    assert line.startswith("model.onnx: node 'y' (MatMul): of axes")
    flipped = node("Transpose", ["x"], "t", perm=[0, 2, 1])
    nodes = [flipped, node("MatMul", ["z", "t"], "y"), node("LayerNormalization", ["y", "s"], "n")]
    line = refusal(nodes, {"z": (1, 4, 5), "x": (1, 4, 6)}, {"s": floats(4)}, tmp_path)
    assert line.startswith("model.onnx: node 'y' (MatMul): ")


def test_a_gemm_of_two_tensors_can_transpose_the_second(tmp_path):
    nodes = [node("Squeeze", ["x", "zero"], "s"), node("Gemm", ["s", "s"], "y", transB=1)]
    nodes = [node("LayerNormalization", ["x", "n"], "m"), node("Squeeze", ["m", "zero"], "s"), nodes[1]]
    layer = read(nodes, (1, 4, 6), {"zero": np.array([0]), "n": floats(6)}, tmp_path).layer("y")
    assert (layer.kind, layer.mode, layer.input_shape, layer.K) == ("matmul", "transposed", (6, 4, 1), 4)


def test_a_gemm_that_adds_a_tensor_is_refused(tmp_path):
    line = refusal([node("Gemm", ["x", "w", "x"], "y")], (1, 2), {"w": floats(2, 2)}, tmp_path)
    assert line == "model.onnx: node 'y' (Gemm): adds a tensor that is no constant"


@pytest.mark.parametrize("biased", [True, False])
def test_a_recurrent_layer_that_reads_its_batch_first(biased, tmp_path):
    stored = {
        "w": floats(1, 8, 3),
        "r": floats(1, 8, 2),
        "b": floats(1, 16),
        "m": floats(2, 5),
        "d": np.array([0, 4, 2]),
    }
    nodes = [
        node("LSTM", ["x", "w", "r", *(["b"] if biased else [])], ["y", "last"], hidden_size=2, layout=1),
        node("Reshape", ["y", "d"], "states"),
        node("MatMul", ["states", "m"], "all"),
        node("Flatten", ["last"], "flat"),
        node("Gemm", ["flat", "m"], "end"),
    ]
    network = read(nodes, ("n", 4, 3), stored, tmp_path, outputs=["all", "end"])
    assert network.inputs == {"x": (3, 4, 1)}
    assert network.layer("y").bias == biased
    assert network.layer("all").output_shape == (5, 4, 1)
    assert network.layer("end").output_shape == (5, 1, 1)


def test_the_last_of_one_step_is_the_step(tmp_path):
    stored = {"w": floats(1, 8, 3), "r": floats(1, 8, 2)}
    nodes = [node("LSTM", ["x", "w", "r"], ["", "last"], name="lstm", hidden_size=2), node("Relu", ["last"], "y")]
    assert [layer.kind for layer in read(nodes, (1, 1, 3), stored, tmp_path).layers] == ["lstm", "activation"]


def test_the_shape_of_a_reshape_can_be_divided(tmp_path):
    nodes = [
        node("Div", ["whole", "two"], "half"),
        node("Concat", ["one", "half", "one"], "dims", axis=0),
        node("Reshape", ["x", "dims"], "r"),
        node("Squeeze", ["r", "last"], "s"),
        node("Gemm", ["s", "w"], "y"),
    ]
    stored = {"whole": np.array([12]), "two": np.array([2]), "one": np.array([1]), "last": np.array([2])}
    assert read(nodes, (1, 6), stored | {"w": floats(6, 2)}, tmp_path).layers[0].kind == "fc"


def test_a_reshape_that_loses_words_is_refused(tmp_path):
    line = refusal([node("Reshape", ["x", "dims"], "y")], (1, 6), {"dims": np.array([1, 5])}, tmp_path)
    assert line == "model.onnx: node 'y' (Reshape): cannot follow [1, 6] to an unknown shape"


def test_codes_are_clipped_to_their_type_behind_the_zero_point(tmp_path):
    stored = {"w": np.array([[-9, 0.4, 300]], np.float32), "s": np.float32(1), "z": np.uint8(5)}
    nodes = [node("QuantizeLinear", ["w", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"], "d")]
    read([*nodes, node("Gemm", ["x", "d"], "y", transB=1)], (1, 3), stored, tmp_path)
    np.testing.assert_array_equal(loaded(tmp_path)[:, :, 0, 0], [[-5, 0, 250]])


def test_axes_by_hand():
    assert without((1, 6, 1), (2,)) == (1, 6)
    assert without((1, 6, 1), ()) == (6,)
    assert without((1, 6, 1), (1,)) is None
    assert reshaped(((("C", 6),),), (3, 2)) == ((("C", 3),), (("C", 2),))
    assert reshaped(((("C", 6),),), (3,)) is None
    assert reshaped(((("C", 6),),), (4,)) is None


def test_an_input_is_followed_through_a_transpose_to_what_says_its_axes(tmp_path):
    nodes = [node("Transpose", ["x"], "t", perm=[1, 2, 0]), node("Conv", ["t", "w"], "y")]
    network = read(nodes, (5, "n", 4), {"w": floats(2, 4, 3)}, tmp_path)
    assert network.inputs == {"x": (4, 5, 1)}


def test_scales_of_blocks_are_refused(tmp_path):
    stored = {"w": np.ones((2, 2), np.int8), "s": floats(1, 2)}
    nodes = [node("DequantizeLinear", ["w", "s"], "d", block_size=2), node("Gemm", ["x", "d"], "y")]
    assert "'d' (DequantizeLinear): scales of blocks" in refusal(nodes, (1, 2), stored, tmp_path)


def test_numbers_of_constant_nodes_are_read(tmp_path):
    nodes = [
        node("Constant", [], "dims", value_ints=[1, -1]),
        node("Constant", [], "half", value_float=0.5),
        node("Reshape", ["x", "dims"], "r"),
        node("Mul", ["r", "half"], "m"),
        node("Gemm", ["m", "w"], "y"),
    ]
    assert read(nodes, (1, 3, 2, 2), {"w": floats(12, 2)}, tmp_path).layers[0].kind == "fc"


def test_part_of_a_shape_is_not_taken_for_all_of_it(tmp_path):
    nodes = [node("Shape", ["x"], "dims", start=1, end=3), node("Reshape", ["x", "dims"], "y")]
    assert "'y' (Reshape): cannot follow [1, 3, 2, 2] to an unknown shape" in refusal(nodes, (1, 3, 2, 2), {}, tmp_path)


def test_an_input_that_no_layer_reads_is_left_out(tmp_path):
    nodes = [node("Relu", ["x"], "y")]
    assert read(nodes, {"x": (1, 3), "state": (1, 5)}, {}, tmp_path).inputs == {"x": (3, 1, 1)}


def test_a_long_name_is_cut_to_what_a_layer_can_have(tmp_path):
    nodes = [node("Relu", ["x"], "y", name="n" * 500), node("Relu", ["y"], "z", name="n" * 501)]
    assert [layer.name for layer in read(nodes, (1, 3), {}, tmp_path).layers] == ["n" * 120, f"{'n' * 120}.2"]


@pytest.mark.parametrize(
    ("limit", "line"), [("MAX_FILE_BYTES", "bytes; a model has"), ("MAX_NODES", "nodes; at most 1")]
)
def test_files_have_limits(limit, line, tmp_path, monkeypatch):
    nodes = [node("Relu", ["x"], "y"), node("Relu", ["y"], "z")]
    assert len(read(nodes, (1, 3), {}, tmp_path).layers) == 2
    monkeypatch.setattr(onnx_file, limit, 1)
    assert line in refusal(nodes, (1, 3), {}, tmp_path)


@pytest.mark.parametrize(("dims", "swapped"), [((1, 5, 4), True), (("batch", 5, 4), True), ((5, 1, 4), False)])
def test_rows_of_a_product_are_positions_of_the_image_that_stands_alone(dims, swapped, tmp_path):
    nodes = [
        *([node("Transpose", ["x"], "t", perm=[1, 0, 2])] if swapped else [node("Identity", ["x"], "t")]),
        node("MatMul", ["t", "w"], "y"),
    ]
    network = read(nodes, dims, {"w": floats(4, 3)}, tmp_path)
    assert network.inputs == {"x": (4, 5, 1)}
    assert network.layers[0].output_shape == (3, 5, 1)
