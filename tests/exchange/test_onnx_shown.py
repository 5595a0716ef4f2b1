"""What a run of a model shows: sizes that the file leaves open, branches that are taken, states between calls."""

from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_reader import read_onnx
from tests.exchange.onnx_models import floats, model_of, node, run, save, tensor


@dataclass(frozen=True)
class Shown:
    """A run as the reader wants it."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    conditions: dict[str, bool] = field(default_factory=dict)


def shown(model, feeds):
    """The shapes of all tensors as onnxruntime makes them."""
    made = {name: array.shape for name, array in run(model, feeds).items()}
    return Shown(made | {name: array.shape for name, array in feeds.items()})


def read(model, folder, run=None, **options):
    return read_onnx(save(model, folder), "model.onnx", run=run, **options)


def test_sizes_that_the_file_leaves_open_are_those_of_the_run(tmp_path):
    nodes = [
        node("Resize", ["x", "", "", "sizes"], "r"),
        node("Conv", ["r", "w"], "y"),
        node("NonZero", ["y"], "where"),
        node("Cast", ["where"], "z", to=1),
    ]
    model = model_of(nodes, {"x": ("n", 3, "h", "w")}, {"w": floats(2, 3, 3, 3)}, outputs=["y"])
    model.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]))
    feeds = {"x": floats(1, 3, 5, 4), "sizes": np.array([1, 3, 10, 7])}
    with pytest.raises(WorkloadError, match=r"input 'x': dims .* only the batch may be without a size; give --input$"):
        read(model, tmp_path)
    network = read(model, tmp_path, shown(model, feeds))
    assert network.inputs["x"] == (3, 5, 4)
    assert network.layer("r").output_shape == (3, 10, 7)
    assert network.layer("y").output_shape == (2, 8, 5)


def test_a_node_that_is_read_to_make_another_shape_than_it_did_is_refused(tmp_path):
    model = model_of(
        [node("Conv", ["x", "w"], "y"), node("Relu", ["y"], "z")], {"x": (1, 3, 6, 6)}, {"w": floats(2, 3, 3, 3)}
    )
    line = r"^model.onnx: node 'y' \(Conv\): was read to make \[1, 2, 4, 4\], the run made \[1, 2, 5, 4\]$"
    wrong = Shown({"x": (1, 3, 6, 6), "y": (1, 2, 5, 4)})
    with pytest.raises(WorkloadError, match=line):
        read(model, tmp_path, wrong)
    network = read(model, tmp_path, wrong, skip=True)
    assert network.inputs == {"y": (2, 5, 4)}
    assert [layer.name for layer in network.layers] == ["z"]


def branching(condition=None):
    """A convolution, or none, by a boolean that is an input or a constant of the file."""

    def branch(name, *nodes):
        return helper.make_graph(list(nodes), name, [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])

    then = branch("yes", node("Conv", ["x", "w"], "c"))
    otherwise = branch("no", node("Relu", ["x"], "r"))
    nodes = [node("If", ["flag"], "y", then_branch=then, else_branch=otherwise), node("Tanh", ["y"], "z")]
    model = model_of(nodes, {"x": (1, 3, 6, 6)}, {"w": floats(2, 3, 3, 3)})
    if condition is None:
        model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    else:
        model.graph.initializer.append(tensor("flag", np.array(condition)))
    return model


@pytest.mark.parametrize(("taken", "kinds"), [(True, ["conv", "activation"]), (False, ["activation"] * 2)])
def test_the_branch_of_the_run_or_of_a_constant_is_the_network(taken, kinds, tmp_path):
    by_run = read(branching(), tmp_path, Shown(conditions={"y": taken}))
    by_constant = read(branching(taken), tmp_path)
    assert [layer.kind for layer in by_run.layers] == [layer.kind for layer in by_constant.layers] == kinds


def test_a_branch_that_nothing_decides_is_refused(tmp_path):
    line = r"^model.onnx: node 'y' \(If\): the branch that it takes is not known; give --input$"
    with pytest.raises(WorkloadError, match=line):
        read(branching(), tmp_path)


def test_states_are_given_and_taken_and_change_no_shapes(tmp_path):
    stored = {"w": floats(1, 20, 4), "r": floats(1, 20, 5), "b": floats(1, 40), "m": floats(5, 2)}
    nodes = [
        node("Transpose", ["x"], "t", perm=[1, 0, 2]),
        node("LSTM", ["t", "w", "r", "b", "lengths", "h0", "c0"], ["h", "last", "cell"], hidden_size=5),
        node("Concat", ["last", "cell"], "states", axis=0),
        node("Squeeze", ["cell", "zero"], "s"),
        node("Gemm", ["s", "m"], "y"),
    ]
    inputs = {"x": (1, 7, 4), "h0": (1, 1, 5), "c0": (1, 1, 5)}
    model = model_of(nodes, inputs, stored | {"zero": np.array([0])}, outputs=["states", "y"])
    model.graph.input.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [1]))
    feeds = {name: floats(*dims) for name, dims in inputs.items()} | {"lengths": np.array([7], np.int32)}
    network = read(model, tmp_path, shown(model, feeds))
    assert network.inputs == {"x": (4, 7, 1)}
    assert network.layer("h").output_shape == (5, 7, 1)
    assert network.layer("h.cell").window == network.layer("h.end").window == ((0, 5), (6, 7), (0, 1))
    assert network.layer("y").inputs == ("h.cell",)
    assert network.layer("states").output_words == 10
