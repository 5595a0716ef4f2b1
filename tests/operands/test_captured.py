"""What layers multiply in a run of onnxruntime, against the arrays of that run and against sums by other code."""

import tracemalloc

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime")

from archmodel.accelerators.made_outputs import FUNCTION_ERROR, compare_made
from archmodel.errors import ResultError, WorkloadError
from archmodel.exchange.onnx_operands import FileTensor, capture_points, name_states
from archmodel.exchange.onnx_reader import read_model
from archmodel.operands.captured import Capture
from archmodel.operands.operands import effectual_macs
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation.zero_counts import ZeroCounts
from tests.exchange.onnx_models import floats, model_of, node, run, save, tensor

IMAGE = (1, 4, 9, 8)


class EveryTensor:
    """All tensors of a model for each of some feeds, computed in this process."""

    def __init__(self, model, feeds):
        named = onnx.ModelProto()
        named.CopyFrom(model)
        name_states(named)
        self.runs = [dict(feed) | run(named, feed) for feed in feeds]

    @property
    def num_runs(self):
        return len(self.runs)

    def has(self, name):
        return name in self.runs[0]

    def tensor(self, name, run):
        return self.runs[run][name]


def sparse(*dims, seed=0):
    """Real numbers, half of them zero."""
    values = np.random.default_rng(seed).normal(size=dims).astype(np.float32)
    return np.maximum(values, 0)


def captured(nodes, dims, stored, tmp_path, feeds=1, outputs=None):
    """A capture of a model of one input `x`; `feeds` random runs or the feeds themselves."""
    model = model_of(nodes, {"x": dims}, stored, outputs=outputs)
    path = save(model, tmp_path)
    sizes = [dim if isinstance(dim, int) else 1 for dim in dims]
    given = [{"x": sparse(*sizes, seed=seed)} for seed in range(feeds)] if isinstance(feeds, int) else feeds
    network, builder = read_model(path, "model.onnx")
    return Capture(network, builder, EveryTensor(model, given), "x.npy")


def checked(capture, with_values=True):
    """Operands of all layers, whose outputs were found to be onnxruntime's; the words of what was found."""
    source = OperandSource(
        capture.network, activations=Source(capture=capture), batch=capture.batch, with_values=with_values
    )
    all_operands = {layer.name: source.operands(layer) for layer in capture.network.compute_layers}
    found = {
        layer.name: compare_made(layer, all_operands[layer.name], 0)
        for layer in capture.network.compute_layers
        if all_operands[layer.name].made is not None
    }
    return all_operands, found


CONVOLUTIONS = {
    "plain": ({}, (3, 4, 3, 3)),
    "strided": ({"strides": [2, 3], "pads": [1, 0, 2, 1]}, (3, 4, 3, 2)),
    "dilated": ({"dilations": [2, 1], "pads": [2, 1, 2, 1]}, (3, 4, 3, 3)),
    "grouped": ({"group": 2}, (6, 2, 2, 2)),
    "depthwise": ({"group": 4, "auto_pad": "SAME_UPPER"}, (4, 1, 3, 3)),
    "pointwise": ({"auto_pad": "VALID"}, (5, 4, 1, 1)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("biased", [False, True])
def test_outputs_of_a_convolution_are_those_of_onnxruntime(name, biased, tmp_path):
    attributes, shape = CONVOLUTIONS[name]
    stored = {"w": sparse(*shape, seed=5)} | ({"b": floats(shape[0])} if biased else {})
    nodes = [node("Conv", ["x", "w", *(["b"] if biased else [])], "y", **attributes)]
    capture = captured(nodes, IMAGE, stored, tmp_path, feeds=2)
    operands, found = checked(capture)
    assert list(found) == ["y"]
    np.testing.assert_array_equal(operands["y"].inputs, np.concatenate([one["x"] != 0 for one in capture.run.runs]))
    np.testing.assert_array_equal(operands["y"].weights, stored["w"] != 0)
    assert operands["y"].origins == {
        "weights": "real: model.onnx", "inputs": "captured: x.npy", "outputs": "unknown: taken as dense"
    }


def test_a_line_is_convolved_too(tmp_path):
    nodes = [node("Conv", ["x", "w"], "y", strides=[2], pads=[1, 0])]
    _, found = checked(captured(nodes, (1, 3, 11), {"w": sparse(4, 3, 3)}, tmp_path))
    assert list(found) == ["y"]


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [({}, (288, 5)), ({"transB": 1}, (5, 288)), ({"transB": 1, "alpha": 0.5, "beta": 2.0}, (5, 288))],
)
def test_outputs_behind_a_flatten_are_those_of_onnxruntime(attributes, shape, tmp_path):
    nodes = [node("Flatten", ["x"], "f"), node("Gemm", ["f", "w", "b"], "y", **attributes)]
    operands, found = checked(captured(nodes, IMAGE, {"w": sparse(*shape), "b": floats(5)}, tmp_path, feeds=3))
    assert list(found) == ["y"]
    assert operands["y"].inputs.shape == (3, 288, 1, 1)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 5), (1, 1)])
def test_a_bias_of_any_shape_is_added(shape, tmp_path):
    stored = {"w": sparse(6, 5), "b": floats(*shape)}
    _, found = checked(captured([node("Gemm", ["x", "w", "b"], "y")], (5, 6), stored, tmp_path))
    assert list(found) == ["y"]


@pytest.mark.parametrize("shape", [(5, 5), (5, 1), (2, 5), (2, 1)])
def test_a_bias_of_each_image_is_not_compared(shape, tmp_path):
    stored = {"w": sparse(6, 5), "b": floats(*shape)}
    operands, found = checked(captured([node("Gemm", ["x", "w", "b"], "y")], (shape[0], 6), stored, tmp_path))
    assert (list(operands), found) == (["y"], {})


def test_a_transposed_first_matrix_is_turned_back(tmp_path):
    nodes = [node("Transpose", ["x"], "t", perm=[1, 0]), node("Gemm", ["t", "w"], "y", transA=1)]
    _, found = checked(captured(nodes, (1, 6), {"w": sparse(6, 3)}, tmp_path))
    assert list(found) == ["y"]


def test_words_of_a_sequence_are_multiplied_at_their_places(tmp_path):
    operands, found = checked(captured([node("MatMul", ["x", "w"], "y")], (1, 7, 6), {"w": sparse(6, 3)}, tmp_path, 2))
    assert list(found) == ["y"]
    assert operands["y"].inputs.shape == (2, 6, 7, 1)


def test_the_second_input_of_a_matmul_is_captured_as_kernels(tmp_path):
    heads, depth, steps = 2, 3, 5
    stored = {name: sparse(6, 6, seed=seed) for seed, name in enumerate(("wq", "wk", "wv"))}
    stored |= {"split": np.array([1, steps, heads, depth]), "join": np.array([1, steps, -1])}
    nodes = [
        *(node("MatMul", ["x", f"w{one}"], one) for one in "qkv"),
        *(node("Reshape", [one, "split"], f"{one}s") for one in "qkv"),
        *(node("Transpose", [f"{one}s"], f"{one}t", perm=[0, 2, 1, 3]) for one in "qv"),
        node("Transpose", ["ks"], "kt", perm=[0, 2, 3, 1]),
        node("MatMul", ["qt", "kt"], "scores"),
        node("Softmax", ["scores"], "soft"),
        node("MatMul", ["soft", "vt"], "context"),
        node("Transpose", ["context"], "back", perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "join"], "z"),
    ]
    capture = captured(nodes, (1, steps, 6), stored, tmp_path, feeds=2)
    operands, found = checked(capture)
    assert list(found) == ["q", "k", "v", "scores", "context"]
    assert operands["scores"].weights.shape == (2 * heads * steps, depth, 1, 1)
    keys = np.stack([one["ks"] for one in capture.run.runs])[:, 0].transpose(0, 2, 1, 3)  # [N, heads, steps, depth]
    np.testing.assert_array_equal(operands["scores"].weights[..., 0, 0], keys.reshape(-1, depth) != 0)
    assert operands["q"].origins["outputs"] == "captured: the inputs of scores"
    assert operands["k"].origins["outputs"] == "captured: the second input of scores"


@pytest.mark.parametrize("op_type", ["LSTM", "RNN", "GRU"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("all_states", [False, True])
def test_states_of_recurrent_layers_are_those_of_onnxruntime(op_type, direction, with_states, all_states, tmp_path):
    gates, both = {"LSTM": 4, "RNN": 1, "GRU": 3}[op_type], 2 if direction == "bidirectional" else 1
    rng, T, C, K = np.random.default_rng(3), 5, 4, 3
    stored = {
        "w": rng.normal(size=(both, gates * K, C)), "r": rng.normal(size=(both, gates * K, K)),
        "b": rng.normal(size=(both, 2 * gates * K)), "h": rng.normal(size=(both, 1, K)),
        "c": rng.normal(size=(both, 1, K)),
    }
    stored = {name: array.astype(np.float32) for name, array in stored.items()}
    states = ["", "h", *(["c"] if op_type == "LSTM" else [])] if with_states else []
    made = ["y" if all_states else "", "last"]
    nodes = [node(op_type, ["x", "w", "r", "b", *states], made, "cell", hidden_size=K, direction=direction)]
    capture = captured(nodes, (T, 1, C), stored, tmp_path, outputs=["last"])
    operands, found = checked(capture)
    assert list(found) == ([] if op_type == "GRU" else [layer.name for layer in capture.network.compute_layers])
    first = operands[capture.network.compute_layers[0].name]
    x, last = capture.run.runs[0]["x"], capture.run.runs[0]["last"]
    np.testing.assert_array_equal(first.inputs[0, :C, :, 0], x[:, 0].T != 0)
    begin, before_end = (-1, 0) if direction == "reverse" else (0, -1)
    np.testing.assert_array_equal(first.inputs[0, C:, begin, 0], stored["h"][0, 0] != 0 if with_states else 0)
    assert np.all(first.inputs[0, C:, before_end, 0])
    assert last.shape == (both, 1, K)


@pytest.mark.parametrize(("op_type", "gates"), [("LSTM", 4), ("RNN", 1)])
def test_a_recurrent_layer_may_be_without_a_bias(op_type, gates, tmp_path):
    stored = {"w": sparse(1, gates * 3, 4, seed=1), "r": sparse(1, gates * 3, 3, seed=2)}
    nodes = [node(op_type, ["x", "w", "r"], "y", hidden_size=3)]
    _, found = checked(captured(nodes, (5, 1, 4), stored, tmp_path))
    assert list(found) == ["y"]


def test_states_of_each_run_are_its_own(tmp_path):
    T, C = 5, 4
    stored = {
        name: np.random.default_rng(seed).normal(size=dims).astype(np.float32)
        for seed, (name, dims) in enumerate({"w": (1, 4 * C, C), "r": (1, 4 * C, C), "b": (1, 8 * C)}.items())
    }
    lstm = node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["y"], "cell", hidden_size=C)
    dims = {"x": (T, 1, C), "h": (1, 1, C), "c": (1, 1, C)}
    model = model_of([lstm], dims, stored)
    feeds = [{name: sparse(*size, seed=seed) for name, size in dims.items()} for seed in range(3)]
    network, builder = read_model(save(model, tmp_path), "model.onnx")
    capture = Capture(network, builder, EveryTensor(model, feeds), "x.npy")
    operands, found = checked(capture)
    assert list(found) == ["cell"]
    for image, tensors in enumerate(capture.run.runs):
        before = np.concatenate([tensors["h"][0], tensors["y"][:-1, 0, 0]])
        np.testing.assert_array_equal(operands["cell"].inputs[image, C:, :, 0], before.T != 0)


def test_states_that_begin_at_zero_do_so_in_each_run(tmp_path):
    stored = {"w": floats(1, 12, 4), "r": floats(1, 12, 3)}
    capture = captured([node("LSTM", ["x", "w", "r"], ["y"], "cell", hidden_size=3)], (5, 1, 4), stored, tmp_path, 2)
    (operands,) = checked(capture)[0].values()
    assert not operands.inputs[:, 4:, 0].any()
    assert operands.inputs[:, 4:, 1:].all()


def quantized_values(seed, zero_point, *dims):
    """Codes around their zero point, many of them at it."""
    return np.clip(np.random.default_rng(seed).normal(zero_point, 2, dims).round(), 0, 255).astype(np.uint8)


def test_integers_are_equal_and_zero_is_the_zero_point(tmp_path):
    codes = quantized_values(0, 3, 5, 4, 3, 3)
    stored = {
        "w": codes, "wz": np.uint8(3), "s": np.float32(0.02), "z": np.uint8(7), "b": np.arange(5, dtype=np.int32),
        "ws": np.linspace(0.01, 0.02, 5).astype(np.float32), "wzs": np.full(5, 3, np.uint8),
        "os": np.float32(0.05), "oz": np.uint8(100), "m": quantized_values(1, 9, 288, 6), "mz": np.uint8(9),
        "ms": np.float32(0.1),
    }
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("ConvInteger", ["q", "w", "z", "wz"], "integer", pads=[1, 1, 1, 1]),
        node("QLinearConv", ["q", "s", "z", "w", "ws", "wzs", "os", "oz", "b"], "linear", pads=[1, 1, 1, 1]),
        node("Flatten", ["q"], "flat"),
        node("MatMulInteger", ["flat", "m", "z", "mz"], "product"),
        node("QLinearMatMul", ["flat", "s", "z", "m", "ms", "mz", "os", "oz"], "requantized"),
    ]
    capture = captured(nodes, IMAGE, stored, tmp_path, outputs=["integer", "linear", "product", "requantized"])
    operands, found = checked(capture)
    assert found == dict.fromkeys(["integer", "linear", "product", "requantized"], "onnxruntime: equal")
    q = capture.run.runs[0]["q"]
    np.testing.assert_array_equal(operands["integer"].input_values, q.astype(int) - 7)
    assert 0 < np.count_nonzero(q == 7) < q.size
    padded = np.pad(q != 7, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    by_hand = int(np.einsum("ncpqrs,kcrs->", windows.astype(np.int64), (codes != 3).astype(np.int64)))
    assert effectual_macs(capture.network.layer("integer"), operands["integer"]) == by_hand


def test_a_zero_point_found_in_the_run_is_the_zero(tmp_path):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        node("ConvInteger", ["q", "w", "zero", "wz"], "y"),
    ]
    image = np.random.default_rng(0).normal(size=IMAGE).astype(np.float32)
    image[0, 1] = 0
    capture = captured(
        nodes, IMAGE, {"w": quantized_values(0, 3, 5, 4, 3, 3), "wz": np.uint8(3)}, tmp_path, [{"x": image}]
    )
    operands, found = checked(capture)
    assert found == {"y": "onnxruntime: equal"}
    assert operands["y"].inputs[0, 1].sum() == 0
    assert capture.run.runs[0]["zero"] > 0


def test_dequantized_numbers_are_the_real_ones(tmp_path):
    stored = {
        "w": quantized_values(0, 3, 5, 4, 3, 3), "ws": np.linspace(0.01, 0.02, 5).astype(np.float32),
        "wz": np.full(5, 3, np.uint8), "s": np.float32(0.02), "z": np.uint8(7),
    }
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "d"),
        node("DequantizeLinear", ["w", "ws", "wz"], "wd", axis=0),
        node("Conv", ["d", "wd"], "y"),
    ]
    operands, found = checked(captured(nodes, IMAGE, stored, tmp_path))
    assert list(found) == ["y"]
    np.testing.assert_array_equal(operands["y"].weights, stored["w"] != 3)


def test_a_wrong_weight_is_noticed(tmp_path):
    capture = captured([node("Conv", ["x", "w"], "y")], IMAGE, {"w": sparse(3, 4, 3, 3)}, tmp_path)
    wrong = np.array(capture.weights(capture.network.layer("y")))
    wrong[tuple(np.argwhere(wrong)[0])] = 0
    capture.builder.weights["y"] = lambda: wrong
    with pytest.raises(ResultError, match=r"^y: --check: output \[0, 0, .*onnxruntime's"):
        checked(capture)


def test_what_the_next_layer_reads_is_the_output_density(tmp_path):
    nodes = [
        node("Conv", ["x", "w"], "one"),
        node("Relu", ["one"], "r"),
        node("MaxPool", ["r"], "p", kernel_shape=[2, 2]),
        node("Conv", ["p", "v"], "two"),
    ]
    stored = {"w": sparse(3, 4, 2, 2) - 0.3, "v": sparse(2, 3, 2, 2)}
    capture = captured(nodes, IMAGE, stored, tmp_path, feeds=2)
    source = OperandSource(capture.network, activations=Source(capture=capture), batch=2)
    density = np.mean([np.count_nonzero(one["p"]) / one["p"].size for one in capture.run.runs])
    assert 0 < density < 1
    one, two = capture.network.compute_layers
    assert source.output_density(one) == (density, "captured: the inputs of two")
    assert source.input_density(two) == source.densities(two).input_density == density
    assert source.operands(two).input_values is None


def test_inputs_of_other_sizes_are_refused(tmp_path):
    capture = captured([node("Conv", ["x", "w"], "y")], IMAGE, {"w": sparse(3, 4, 3, 3)}, tmp_path, feeds=2)
    capture.run.runs[1]["x"] = capture.run.runs[1]["x"][:, :, 1:]
    with pytest.raises(WorkloadError, match=r"model: tensor 'x': shape \[1, 4, 8, 8\]; the first run had \[1, 4, 9,"):
        checked(capture)


def test_activations_that_are_no_numbers_are_refused(tmp_path):
    capture = captured([node("Conv", ["x", "w"], "y")], IMAGE, {"w": sparse(3, 4, 3, 3)}, tmp_path)
    capture.run.runs[0]["x"][0, 0, 0, 0] = np.nan
    with pytest.raises(WorkloadError, match="model: y: activations are NaN or infinite on this input"):
        checked(capture)


def test_a_mask_of_many_runs_needs_the_numbers_of_one(tmp_path):
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        node("ConvInteger", ["q", "w", "zero"], "y"),
    ]
    stored = {"w": quantized_values(0, 3, 2, 4, 3, 3)}
    capture = captured(nodes, (1, 4, 64, 64), stored, tmp_path, feeds=16)
    (layer,) = capture.network.compute_layers
    tracemalloc.start()
    mask = capture.inputs(layer, only_mask=True)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, capture.inputs(layer) != 0)
    assert peak_bytes < 3 * mask.size  # the mask in parts and as one; numbers are four bytes each


def test_points_are_what_varies_and_is_multiplied():
    nodes = [
        node("DequantizeLinear", ["w", "s"], "wd"),
        node("Conv", ["w", "wd"], "folded"),
        node("Conv", ["x", "wd"], "c"),
        node("Relu", ["c"], "r"),
        node("ConvInteger", ["q", "w", "zero", "wz"], "i"),
        node("LSTM", ["steps", "a", "b", "", "", "h"], ["", "last"]),
    ]
    stored = {name: np.ones(1, np.float32) for name in ("w", "s", "wz", "a", "b")}
    model = model_of(nodes, {"x": (1,)}, stored)
    assert capture_points(model, with_outputs=True) == ["x", "c", "q", "zero", "i", "steps", "h", "last.states"]
    assert capture_points(model, with_outputs=False) == ["x", "q", "zero", "steps", "h", "last.states"]


def test_points_in_branches_are_those_of_their_nodes():
    inner = [node("Conv", ["x", "own"], "a"), node("LSTM", ["a", "own", "w"], ["", "last"])]
    named = onnx.helper.make_empty_tensor_value_info("last")
    branch = onnx.helper.make_graph(inner, "branch", [], [named], [tensor("own", np.ones(1, np.float32))])
    nodes = [
        node("If", ["flag"], "z", then_branch=branch, else_branch=branch),
        node("Conv", ["z", "w"], "y"),
    ]
    model = model_of(nodes, {"x": (1,)}, {"w": np.ones(1, np.float32), "flag": np.array(True)})
    assert capture_points(model, with_outputs=False) == ["x", "a", "last.states", "z"]
    name_states(model)
    for one in model.graph.node[0].attribute:
        assert [list(proto.output) for proto in one.g.node] == [["a"], ["last.states", "last"]]
    assert model.graph.node[1].output == ["y"]


def test_columns_of_every_head_are_kernels():
    axes = tuple(((letter, size),) for letter, size in zip("NCHW", (2, 3, 4, 5), strict=True))
    array = np.arange(120).reshape(2, 3, 4, 5)
    kernels = FileTensor("k", axes).kernels(array)
    assert kernels.shape == (30, 4, 1, 1)
    for image, head, column in np.ndindex(2, 3, 5):
        kernel = kernels[(image * 3 + head) * 5 + column, :, 0, 0]
        np.testing.assert_array_equal(kernel, array[image, head, :, column])


@pytest.mark.parametrize(("op_type", "function"), [("Sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("Tanh", np.tanh)])
def test_the_error_of_functions_is_what_comparisons_allow(op_type, function):
    x = np.linspace(-30, 30, 100_001).astype(np.float32)[np.newaxis]
    found = run(model_of([node(op_type, ["x"], "y")], {"x": x.shape}), {"x": x})["y"]
    error = np.abs(found - function(x.astype(np.float64))).max()
    assert 0 < error < FUNCTION_ERROR


def test_the_zeros_of_a_real_run_are_counted(tmp_path):
    stored = {"w": sparse(3, 4, 1, 1, seed=5), "v": sparse(2, 3, 1, 1, seed=6)}
    nodes = [node("Conv", ["x", "w"], "y"), node("Relu", ["y"], "r"), node("Conv", ["r", "v"], "z")]
    capture = captured(nodes, IMAGE, stored, tmp_path, feeds=2)
    source = OperandSource(capture.network, activations=Source(capture=capture), batch=capture.batch)
    first, last = (ZeroCounts.of(layer, source, 16) for layer in capture.network.compute_layers)
    between = np.concatenate([one["r"] for one in capture.run.runs])
    assert first.output_density == last.input_density == np.count_nonzero(between) / between.size
    assert first.macs_effectual == sum(
        np.count_nonzero(one["x"][0, c]) * np.count_nonzero(stored["w"][:, c])
        for one in capture.run.runs
        for c in range(4)
    )
    assert (last.output_density, last.origins["outputs"]) == (None, "unknown")
    assert last.origins["inputs"] == "captured: x.npy"


@pytest.mark.parametrize("coupled", [0, 1])
def test_gates_that_are_not_coupled_may_say_so(coupled, tmp_path):
    stored = {"w": sparse(1, 12, 4, seed=1), "r": sparse(1, 12, 3, seed=2)}
    nodes = [node("LSTM", ["x", "w", "r"], "y", hidden_size=3, input_forget=coupled)]
    _, found = checked(captured(nodes, (5, 1, 4), stored, tmp_path))
    assert list(found) == ([] if coupled else ["y"])
