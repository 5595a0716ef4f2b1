"""Tensors made of constants alone: which of them a run has to compute, and that they become weights."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import helper

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_made import left_to_run
from archmodel.exchange.onnx_reader import read_model
from tests.exchange.onnx_models import floats, model_of, node, run, save, tensor

SCATTERED = [
    node("ScatterElements", ["zeros", "places", "numbers"], "scattered", axis=0),
    node("Reshape", ["scattered", "dims"], "w"),
]
STORED = {
    "zeros": np.zeros(20, np.float32),
    "places": np.array([3, 0, 17]),
    "numbers": floats(3),
    "dims": np.array([5, 4]),
}


@dataclass(frozen=True)
class Kept:
    """A run that kept some tensors."""

    tensors: dict[str, np.ndarray]
    kept: tuple[str, ...]

    @property
    def shapes(self):
        return {name: array.shape for name, array in self.tensors.items()}

    conditions: dict[str, bool] = field(default_factory=dict)

    def has(self, name):
        return name in self.kept

    def tensor(self, name, run):
        assert name in self.kept
        return self.tensors[name]


def read(model, folder, kept):
    feeds = {"x": floats(2, 5)}
    return read_model(save(model, folder), "model.onnx", run=Kept(feeds | run(model, feeds), kept))


def test_weights_of_an_unknown_operator_are_those_of_the_run(tmp_path):
    model = model_of([*SCATTERED, node("MatMul", ["x", "w"], "y")], {"x": (2, 5)}, STORED)
    assert left_to_run(model, tmp_path) == ["w"]
    network, builder = read(model, tmp_path, ("w",))
    expected = np.zeros(20, np.float32)
    expected[[3, 0, 17]] = STORED["numbers"]
    assert [layer.name for layer in network.layers] == ["y"]
    assert np.array_equal(builder.weights["y"]()[:, :, 0, 0], expected.reshape(5, 4).T)


def test_without_the_tensor_the_line_says_that_weights_are_missing(tmp_path):
    model = model_of([*SCATTERED, node("MatMul", ["x", "w"], "y")], {"x": (2, 5)}, STORED)
    with pytest.raises(WorkloadError, match=r"^model.onnx: node 'y' \(MatMul\): its input 'w' is no constant;"):
        read(model, tmp_path, ())


def test_what_the_reader_computes_itself_is_not_asked_for():
    nodes = [
        node("Constant", [], "stored", value=tensor("", floats(4, 5))),
        node("Transpose", ["stored"], "w", perm=[1, 0]),
        node("MatMul", ["x", "w"], "y"),
        node("Add", ["y", "scattered"], "z"),
    ]
    model = model_of([SCATTERED[0], *nodes], {"x": (2, 5)}, STORED)
    assert left_to_run(model, Path()) == []  # `scattered` is read by no layer


def test_what_depends_on_the_input_is_no_constant():
    nodes = [node("ScatterElements", ["x", "places", "numbers"], "w", axis=0), node("MatMul", ["a", "w"], "y")]
    model = model_of(
        [*nodes, node("RandomNormal", [], "r", shape=[5, 4]), node("MatMul", ["x", "r"], "z")], {"x": (5,)}
    )
    model.graph.initializer.extend(tensor(name, array) for name, array in STORED.items())
    assert left_to_run(model, Path()) == []


def test_constants_of_both_branches_are_asked_for():
    def branch(name):
        nodes = [
            node("ScatterElements", ["zeros", "places", "numbers"], f"{name}.s", axis=0),
            node("Reshape", [f"{name}.s", f"{name}.dims"], f"{name}.w"),
            node("MatMul", ["x", f"{name}.w"], f"{name}.y"),
        ]
        made = [helper.make_empty_tensor_value_info(f"{name}.y")]
        return helper.make_graph(nodes, name, [], made, [tensor(f"{name}.dims", STORED["dims"])])

    choice = node("If", ["c"], "y", then_branch=branch("then"), else_branch=branch("else"))
    model = model_of([choice], {"x": (2, 5)}, {**STORED, "c": np.array([True])})
    assert left_to_run(model, Path()) == ["then.w", "else.w"]


def test_a_damaged_tensor_is_left_to_whoever_reads_it():
    model = model_of([*SCATTERED, node("MatMul", ["x", "w"], "y")], {"x": (2, 5)}, STORED)
    model.graph.initializer[-1].raw_data = b"\0"
    assert left_to_run(model, Path()) == []


def test_every_output_of_such_a_node_is_one(tmp_path):
    stored = {"both": floats(10, 4)}
    nodes = [node("Split", ["both"], ["a", "b"], axis=0), node("MatMul", ["x", "b"], "y")]
    model = model_of(nodes, {"x": (2, 5)}, stored)
    assert left_to_run(model, tmp_path) == ["b"]
    _, builder = read(model, tmp_path, ("b",))
    assert np.array_equal(builder.weights["y"]()[:, :, 0, 0], stored["both"][5:].T)
