"""ConvTranspose: its phases, convolved by hand and interleaved, are what onnxruntime makes; its MACs by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import read_model, read_onnx, weights_of
from tests.exchange.onnx_models import floats, model_of, node, run, save


def convolved(layer, weights, inputs):
    """A plain convolution, place by place: [C, H, W] to [K, P, Q]."""
    top, bottom, left, right = layer.padding
    padded = np.pad(inputs, ((0, 0), (top, bottom), (left, right)))
    outputs = np.zeros(layer.output_shape)
    per_group, channels = layer.K // layer.groups, layer.C // layer.groups
    for k, p, q in np.ndindex(outputs.shape):
        first = k // per_group * channels
        rows = slice(p, p + layer.dilation[0] * (layer.R - 1) + 1, layer.dilation[0])
        cols = slice(q, q + layer.dilation[1] * (layer.S - 1) + 1, layer.dilation[1])
        outputs[k, p, q] = (weights[k] * padded[first : first + channels, rows, cols]).sum()
    return outputs


def phases_of(network, weights, inputs):
    """The outputs of all phases in order, [K, P, Q] each."""
    tensors = {"x": inputs}
    for layer in network.layers:
        if layer.kind == "slice":
            _, rows, cols = layer.window
            tensors[layer.name] = tensors["x"][:, slice(*rows), slice(*cols)]
        elif layer.kind == "conv":
            tensors[layer.name] = convolved(layer, weights[layer.name], tensors[layer.inputs[0]])
    return [tensors[layer.name] for layer in network.compute_layers]


small = st.integers(1, 3)
pair = st.tuples(small, small)


@st.composite
def operators(draw):
    """Attributes of a ConvTranspose, dims of its input, and groups with channels in and out."""
    strides, dilations, kernel = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    attributes = {"strides": strides, "dilations": dilations}
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "output_shape"]))
    if mode == "NOTSET":
        attributes["pads"] = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    elif mode == "output_shape":
        attributes["output_shape"] = draw(st.lists(st.integers(4, 9), min_size=2, max_size=2))
    else:
        attributes["auto_pad"] = mode
    if mode in ("NOTSET", "VALID"):
        attributes["output_padding"] = [draw(st.integers(0, stride - 1)) for stride in strides]
    groups = draw(st.integers(1, 2))
    return attributes, kernel, draw(pair), groups, (groups * draw(small), draw(small))


@given(operators())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_phases_side_by_side_are_the_outputs_of_onnxruntime(tmp_path_factory, described):
    attributes, kernel, plane, groups, (C, columns) = described
    stored = {"w": floats(C, columns, *kernel, seed=1)}
    model = model_of(
        [node("ConvTranspose", ["x", "w"], "y", group=groups, **attributes)], {"x": (1, C, *plane)}, stored
    )
    inputs = floats(1, C, *plane, seed=2)
    try:
        expected = run(model, {"x": inputs})["y"][0]
    except (InvalidArgument, Fail, RuntimeException):  # an output without places, a shape that it finds inconsistent
        assume(False)
    assume(expected.size and expected.any())
    path = save(model, tmp_path_factory.mktemp("model"))
    network, weights = read_onnx(path, "model.onnx"), weights_of(path)
    assert network.layers[-1].output_shape == expected.shape
    phases = phases_of(network, weights, inputs[0].astype(float))
    rows, cols = attributes["strides"]
    for row, col in np.ndindex(rows, cols):
        wanted = expected[:, row::rows, col::cols]
        if wanted.any():  # no weight and no input is zero
            np.testing.assert_allclose(phases.pop(0), wanted, rtol=1e-4)
    assert not phases


def test_every_weight_is_in_one_phase(tmp_path):
    weights = np.arange(1, 1 + 4 * 3 * 5 * 5, dtype=np.float32).reshape(4, 3, 5, 5)
    stored = {"w": weights, "b": floats(6)}
    nodes = [node("ConvTranspose", ["x", "w", "b"], "y", group=2, strides=[2, 3], pads=[1, 2, 1, 2])]
    path = save(model_of(nodes, {"x": (1, 4, 6, 7)}, stored), tmp_path)
    network, kernels = read_onnx(path, "model.onnx"), weights_of(path)
    assert [layer.name for layer in network.layers] == [*(f"y.{i}" for i in range(6)), "y"]
    assert sorted(np.concatenate([kernel.ravel() for kernel in kernels.values()])) == sorted(weights.ravel())
    assert network.parameters == weights.size + 6
    assert network.layer("y").kind == "other"
    assert network.layer("y").inputs == tuple(f"y.{i}" for i in range(6))
    # 13 rows: 7 with the taps 1 and 3, since pad - tap is even, 6 with 3; 19 columns: 7 with tap 2, 6 and 6 with 2 each
    assert network.macs == 6 * 2 * (7 * 2 + 6 * 3) * (7 * 1 + 6 * 2 + 6 * 2)


def test_a_stride_of_one_is_one_convolution(tmp_path):
    nodes = [node("ConvTranspose", ["x", "w"], "y"), node("Relu", ["y"], "z")]
    network = read_onnx(save(model_of(nodes, {"x": (1, 3, 4)}, {"w": floats(3, 2, 3)}), tmp_path), "model.onnx")
    assert [(layer.name, layer.kind, layer.output_shape) for layer in network.layers] == [
        ("y", "conv", (2, 6, 1)),
        ("z", "activation", (2, 6, 1)),
    ]


def test_what_no_input_reaches_is_cut_off_and_named(tmp_path):
    nodes = [node("ConvTranspose", ["x", "w"], "y", pads=[3, 0, 0, 0])]
    path = save(model_of(nodes, {"x": (1, 1, 4, 4)}, {"w": floats(1, 1, 2, 2)}), tmp_path)
    network, builder = read_model(path, "model.onnx")
    (crop, convolution) = network.layers
    assert (crop.name, crop.kind, crop.window) == ("y.input", "slice", ((0, 1), (2, 4), (0, 4)))
    assert (convolution.inputs, convolution.padding) == (("y.input",), (0, 1, 1, 1))
    assert builder.sources["y"].inputs.window == crop.window


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"strides": [0, 1]}, "strides, dilations and pads must not be negative, strides and dilations not 0"),
        ({"pads": [9, 9, 9, 9]}, "makes -13 places of 4"),
        ({"group": 3}, "weights [2, 1, 2, 2], group = 3, for [1, 2, 4, 4]"),
        ({"auto_pad": "SOME"}, "auto_pad = 'SOME': allowed: NOTSET, SAME_UPPER, SAME_LOWER, VALID"),
        ({"strides": [2**40, 1]}, "layer 'y': shape = [1, 3298534883330, 5]: must be from 1 to 2147483648"),
        ({"output_shape": [5]}, "output_shape = [5]: must be 2 numbers"),
        ({"kernel_shape": [3, 3]}, "kernel_shape = [3, 3]: its weights are [2, 1, 2, 2]"),
    ],
)
def test_mistakes_are_one_line(attributes, line, tmp_path):
    nodes = [node("ConvTranspose", ["x", "w"], "y", **attributes)]
    path = save(model_of(nodes, {"x": (1, 2, 4, 4)}, {"w": floats(2, 1, 2, 2)}), tmp_path)
    with pytest.raises(WorkloadError) as error:
        read_onnx(path, "model.onnx")
    assert str(error.value) == f"model.onnx: node 'y' (ConvTranspose): {line}"
