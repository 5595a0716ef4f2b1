"""A branch that is moved to the main graph computes what the If node did."""

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_branches import deciding_tensors, inlined, with_outputs
from tests.exchange.onnx_models import floats, model_of, node, run, tensor

X = {"x": np.array([[1, -2, 3]], np.float32)}


def branch(nodes, outputs, stored=()):
    """The graph of one branch."""
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    return helper.make_graph(nodes, "branch", [], made, [tensor(name, array) for name, array in dict(stored).items()])


def same():
    """A branch that gives the input; onnxruntime wants an operator in it."""
    return branch([node("Identity", ["x"], "same")], ["same"])


def if_node(condition, then, otherwise, outputs, name=""):
    return node("If", [condition], outputs, name, then_branch=then, else_branch=otherwise)


def two_ways(name="choice"):
    then = branch([node("Add", ["x", "w"], "sum")], ["sum"], {"w": floats(3)})
    otherwise = branch([node("Relu", ["x"], "positive"), node("Neg", ["positive"], "negative")], ["negative"])
    return if_node("condition", then, otherwise, "y", name)


def model_with(nodes, condition=True, outputs=None, **stored):
    return model_of(nodes, {"x": ("n", 3)}, {"condition": np.array(condition), **stored}, outputs)


def op_types(model):
    return [one.op_type for one in model.graph.node]


def output_of(model, name="y"):
    return run(model, X)[name]


@pytest.mark.parametrize(("condition", "types"), [(True, ["Add", "Identity"]), (False, ["Relu", "Neg", "Identity"])])
def test_the_branch_taken_computes_what_the_if_node_did(condition, types):
    model = model_with([two_ways(), node("Exp", ["y"], "z")], condition)
    flat = inlined(model, {"choice": condition})
    assert op_types(flat) == [*types, "Exp"]
    for name in ("y", "z"):
        assert np.array_equal(output_of(flat, name), output_of(model, name))


def test_the_condition_given_decides_and_not_the_one_stored():
    flat = inlined(model_with([two_ways()], condition=True), {"choice": False})
    assert output_of(flat).tolist() == [[-1, 0, -3]]


def test_names_stay_those_of_the_branch():
    flat = inlined(model_with([two_ways()]), {"choice": True})
    assert [one.name for one in flat.graph.initializer] == ["condition", "w"]
    assert list(flat.graph.node[0].output) == ["sum"]


def test_the_model_given_is_not_changed_and_is_the_answer_where_nothing_is_replaced():
    model = model_with([two_ways()])
    before = model.SerializeToString()
    assert inlined(model, {}) is model
    assert inlined(model, {"another": True}) is model
    assert inlined(model, {"choice": True}) is not model
    assert model.SerializeToString() == before


def test_an_if_node_without_a_name_is_called_by_its_first_output():
    model = model_with([two_ways("")])
    assert deciding_tensors(model) == {"y": "condition"}
    assert op_types(inlined(model, {"y": True})) == ["Add", "Identity"]


def nested():
    ways = branch([node("Exp", ["h"], "e")], ["e"]), branch([node("Neg", ["h"], "m")], ["m"])
    then = branch([node("Relu", ["x"], "h"), if_node("second", *ways, "i", "in")], ["i"])
    return if_node("condition", then, branch([node("Abs", ["x"], "a")], ["a"]), "y", "out")


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_an_if_node_in_a_branch_is_called_by_its_path(first, second):
    model = model_with([nested()], first, second=np.array(second))
    flat = inlined(model, {"out": first, "out/in": second})
    assert "If" not in op_types(flat)
    assert np.array_equal(output_of(flat), output_of(model))


def test_an_if_node_whose_condition_is_not_known_stays():
    flat = inlined(model_with([nested()], second=np.array(True)), {"out": True})
    assert deciding_tensors(flat) == {"out/in": "second"}
    assert op_types(flat) == ["Relu", "If", "Identity"]


def test_branches_of_two_nodes_that_use_one_name_keep_apart():
    def choice(source, output, weight):
        nodes = [node("Mul", [source, "w"], "t"), node("Add", ["t", "w"], "u")]
        return if_node("condition", branch(nodes, ["u"], {"w": np.float32(weight)}), same(), output, output)

    model = model_with([choice("x", "first", 2), choice("first", "y", 5)])
    flat = inlined(model, {"first": True, "y": True})
    made = [name for one in flat.graph.node for name in one.output]
    assert len(set(made)) == len(made)
    # ((x * 2 + 2) * 5 + 5)
    assert output_of(flat).tolist() == [[25, -5, 45]]
    assert np.array_equal(output_of(flat), output_of(model))


def test_a_loop_in_a_branch_reads_the_new_names_but_keeps_its_own():
    body = helper.make_graph(
        [node("Add", ["v", "t"], "w"), node("Identity", ["go"], "on")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [helper.make_empty_tensor_value_info("on"), helper.make_empty_tensor_value_info("w")],
    )
    loop = node("Loop", ["three", "", "x"], "looped", body=body)
    then = branch([node("Neg", ["x"], "t"), loop], ["looped"], {"three": np.int64(3)})
    other = if_node("condition", branch([node("Abs", ["x"], "t")], ["t"]), same(), "z")
    model = model_with([if_node("condition", then, same(), "y"), other], outputs=["y", "z"])
    flat = inlined(model, {"y": True, "z": True})
    assert output_of(flat).tolist() == [[-2, 4, -6]]
    assert output_of(flat, "z").tolist() == [[1, 2, 3]]


def test_outputs_that_the_branch_does_not_make_itself():
    weights = floats(2)
    then = branch([], ["x", "w", "w"], {"w": weights})
    model = model_with([if_node("condition", then, same(), ["y", "p", "q"])], outputs=["y", "p", "q"])
    made = run(inlined(model, {"y": True}), X)
    assert [made[name].tolist() for name in ("y", "p", "q")] == [X["x"].tolist(), weights.tolist(), weights.tolist()]


def test_what_is_no_branch_is_refused():
    empty = helper.make_graph([], "branch", [], [])
    given = branch([], ["x"])
    given.input.add(name="into")
    for then, message in [(empty, "must have no inputs and 1 outputs"), (given, "must have no inputs and 1 outputs")]:
        with pytest.raises(WorkloadError, match=message):
            inlined(model_with([if_node("condition", then, same(), "y")]), {"y": True})
    with pytest.raises(WorkloadError, match=r"node 'y' \(If\): has no then_branch"):
        inlined(model_with([node("If", ["condition"], "y", "y", else_branch=given)]), {"y": True})
    with pytest.raises(WorkloadError, match="another If node has this name"):
        deciding_tensors(model_with([two_ways("a"), two_ways("a")]))


def test_a_graph_cut_down_to_some_tensors_has_only_what_they_need():
    body = branch([node("Add", ["x", "outer"], "sum")], ["sum"])
    nodes = [
        node("Neg", ["x"], "outer"),
        node("Abs", ["x"], "unneeded"),
        if_node("condition", body, branch([node("Abs", ["hidden"], "a")], ["a"]), "y"),
        node("Exp", ["y"], "late"),
    ]
    model = model_with(nodes, hidden=floats(3), heavy=floats(5))
    part = with_outputs(model, ["y"])
    assert op_types(part) == ["Neg", "If"]
    assert [one.name for one in part.graph.initializer] == ["condition", "hidden"]
    assert [one.name for one in part.graph.output] == ["y"]
    assert output_of(part).tolist() == [[0, 0, 0]]
