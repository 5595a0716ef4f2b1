"""A model runs in a process of its own; whatever the file does, that ends in tensors or in one line."""

import gc
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper

from archmodel.capture import onnx_run
from archmodel.capture.onnx_limits import GIB, RunLimits
from archmodel.capture.onnx_run import run_model
from archmodel.capture.onnx_session import reason_of
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_branches import inlined
from tests.exchange.onnx_models import floats, model_of, node, run, save

FEW = RunLimits(seconds=60, memory_bytes=GIB)


def images(count, *dims, seed=0):
    rng = np.random.default_rng(seed)
    return [{"x": rng.uniform(-1, 1, dims).astype(np.float32)} for _ in range(count)]


def small_net():
    nodes = [
        node("Conv", ["x", "w"], "conv", pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], "relu"),
        node("MaxPool", ["relu"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["pool"], "dims"),
        node("Cast", ["relu"], "half", to=TensorProto.FLOAT16),
        node("ReduceSum", ["half"], "total", keepdims=0),
    ]
    return model_of(nodes, {"x": ("n", 3, "h", "w")}, {"w": floats(4, 3, 3, 3)}, ["total"])


def refusal(model, folder, feeds=None, wanted=(), limits=FEW):
    path = save(model, folder) if not isinstance(model, Path) else model
    with pytest.raises(WorkloadError) as caught:
        run_model(path, images(1, 1, 3, 4, 4) if feeds is None else feeds, wanted, limits)
    assert str(caught.value).startswith("model.onnx: ")
    assert str(caught.value).isprintable()
    assert spools() == []
    return str(caught.value).removeprefix("model.onnx: ")


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("spools")
    monkeypatch.setattr("tempfile.tempdir", str(folder))


def spools():
    import tempfile

    return sorted(Path(tempfile.gettempdir()).iterdir())


def children():
    """Processes that this one has started and that have not been waited for."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [child for child in listed.read_text().split() if child not in OF_OTHER_TESTS] if listed.exists() else []


OF_OTHER_TESTS: set[str] = set()


@pytest.fixture(autouse=True)
def _processes_of_other_tests():
    OF_OTHER_TESTS.update(children())


def test_tensors_are_those_that_onnxruntime_gives_in_this_process(tmp_path):
    model, feeds = small_net(), [*images(2, 1, 3, 4, 6), *images(1, 2, 3, 8, 8, seed=1)]
    wanted = ["x", "relu", "w", "dims", "half", "total", "relu", "not there"]
    with run_model(save(model, tmp_path), feeds, wanted, FEW) as done:
        assert done.num_runs == 3
        for number, feed in enumerate(feeds):
            expected = {**run(model, feed), **feed, "w": floats(4, 3, 3, 3)}
            for name in wanted[:-1]:
                found = done.tensor(name, number)
                assert found.dtype == expected[name].dtype
                assert np.array_equal(found, expected[name])
        with pytest.raises(WorkloadError, match=r"model\.onnx: no tensor 'not there' was kept"):
            done.tensor("not there")


def test_shapes_are_those_of_all_tensors_in_the_first_run(tmp_path):
    model, feeds = small_net(), [*images(1, 1, 3, 4, 6), *images(1, 2, 3, 8, 8)]
    with run_model(save(model, tmp_path), feeds, [], FEW) as done:
        shapes = {name: array.shape for name, array in run(model, feeds[0]).items()}
        assert done.shapes == {**shapes, "x": (1, 3, 4, 6), "w": (4, 3, 3, 3)}
        assert done.shapes["total"] == ()
        assert done.conditions == {}
        assert len(spools()) == 1


def test_nothing_is_optimized_away(tmp_path):
    nodes = [*(node("Neg", [read], made) for read, made in ("xa", "ab", "bc")), node("Abs", ["w"], "unread")]
    model = model_of(nodes, {"x": ("n", 3)}, {"w": floats(2)}, ["c"])
    with run_model(save(model, tmp_path), images(1, 2, 3), ["a", "b"], FEW) as done:
        assert np.array_equal(done.tensor("b"), -done.tensor("a"))
        assert done.shapes["unread"] == (2,)


def test_an_empty_tensor_is_kept(tmp_path):
    model = model_of([node("Slice", ["x", "one", "one"], "none")], {"x": ("n", 3)}, {"one": np.array([1])})
    with run_model(save(model, tmp_path), images(1, 1, 3), ["none"], FEW) as done:
        assert done.tensor("none").shape == (0, 3)


def test_a_sequence_has_no_shape_and_everything_else_has(tmp_path):
    nodes = [node("SplitToSequence", ["x"], "parts"), node("SequenceLength", ["parts"], "n"), node("Neg", ["x"], "y")]
    with run_model(save(model_of(nodes, {"x": ("n", 3)}), tmp_path), images(1, 2, 3), ["y", "n"], FEW) as done:
        assert done.shapes == {"x": (2, 3), "n": (), "y": (2, 3)}
        assert done.tensor("n") == 2
    line = refusal(model_of(nodes, {"x": ("n", 3)}), tmp_path, images(1, 2, 3), ["parts"])
    assert line == "tensor 'parts': type seq(tensor(float)); allowed: those of numpy"


def test_a_tensor_called_like_one_of_ours_keeps_its_name(tmp_path):
    model = model_of([node("Neg", ["x"], "dims of 0"), node("Neg", ["dims of 0"], "y")], {"x": ("n", 3)})
    with run_model(save(model, tmp_path), images(1, 2, 3), ["dims of 0"], FEW) as done:
        assert done.shapes == {"x": (2, 3), "y": (2, 3), "dims of 0": (2, 3)}


def test_feeds_are_made_one_at_a_time(tmp_path):
    made = []

    class Lazy(list):
        def __iter__(self):
            for number, feed in enumerate(super().__iter__()):
                made.append((number, sorted(path.name for path in spools()[0].iterdir())))
                yield feed

    with run_model(save(small_net(), tmp_path), Lazy(images(3, 1, 3, 4, 4)), ["relu"], FEW):
        assert made == [(0, []), (1, ["0-0.npy"]), (2, ["0-0.npy", "1-0.npy"])]


def test_the_spool_is_removed_when_the_run_is_closed_or_forgotten(tmp_path):
    path = save(small_net(), tmp_path)
    with run_model(path, images(1, 1, 3, 4, 4), ["relu"], FEW) as done:
        assert len(spools()) == 1
    assert spools() == []
    done = run_model(path, images(1, 1, 3, 4, 4), ["relu"], FEW)
    assert len(spools()) == 1
    del done
    gc.collect()
    assert spools() == []
    assert children() == []


def branches(condition, then_types, else_types, name):
    """An If node over a tensor; each branch is a chain of operators of one input."""

    def graph(types, side):
        made = [f"{name}.{side}.{place}" for place in range(len(types))]
        nodes = [node(kind, [read], out) for kind, read, out in zip(types, ["x", *made], made, strict=False)]
        return helper.make_graph(nodes, side, [], [helper.make_empty_tensor_value_info(made[-1])])

    return node("If", [condition], name, then_branch=graph(then_types, "then"), else_branch=graph(else_types, "else"))


def deciding(output="choice"):
    nodes = [node("ReduceSum", ["x"], "sum", keepdims=0), node("Greater", ["sum", "zero"], "positive")]
    return [*nodes, branches("positive", ["Relu", "Exp"], ["Neg", "Abs"], output)]


POSITIVE, NEGATIVE = {"x": np.ones((1, 3), np.float32)}, {"x": -np.ones((1, 3), np.float32)}


@pytest.mark.parametrize(("feed", "taken", "other"), [(POSITIVE, "then", "else"), (NEGATIVE, "else", "then")])
def test_tensors_of_the_branch_that_was_taken_are_there(feed, taken, other, tmp_path):
    model = model_of(deciding(), {"x": ("n", 3)}, {"zero": np.float32(0)})
    wanted = [f"choice.{taken}.0", f"choice.{other}.0", "choice"]
    with run_model(save(model, tmp_path), [feed, feed], wanted, FEW) as done:
        assert done.conditions == {"choice": taken == "then"}
        flat = run(inlined(model, done.conditions), feed)
        assert done.shapes == {name: array.shape for name, array in flat.items()} | {"x": (1, 3), "zero": ()}
        assert np.array_equal(done.tensor("choice", 1), run(model, feed)["choice"])
        assert np.array_equal(done.tensor(f"choice.{taken}.0", 1), flat[f"choice.{taken}.0"])
        with pytest.raises(WorkloadError, match="was kept"):
            done.tensor(f"choice.{other}.0")


def test_a_branch_within_a_branch(tmp_path):
    choice = deciding()[-1]
    other = helper.make_graph([node("Neg", ["x"], "n")], "else", [], [helper.make_empty_tensor_value_info("n")])
    inner = [*deciding()[:2], choice]
    outer = helper.make_graph(inner, "then", [], [helper.make_empty_tensor_value_info("choice")])
    nodes = [node("If", ["yes"], "y", "outer", then_branch=outer, else_branch=other), node("Neg", ["y"], "z")]
    model = model_of(nodes, {"x": ("n", 3)}, {"zero": np.float32(0), "yes": np.array([True])})
    with run_model(save(model, tmp_path), [NEGATIVE], ["z", "choice.else.1"], FEW) as done:
        assert done.conditions == {"outer": True, "outer/choice": False}
        assert done.tensor("z").tolist() == [[-1, -1, -1]]
        assert done.tensor("choice.else.1").tolist() == [[1, 1, 1]]


def test_inputs_that_take_different_branches_are_refused(tmp_path):
    model = model_of(deciding(), {"x": ("n", 3)}, {"zero": np.float32(0)})
    line = refusal(model, tmp_path, [POSITIVE, POSITIVE, NEGATIVE])
    assert line == "node 'choice' (If): input 3 takes another branch than input 1"


def test_a_condition_that_is_no_boolean_is_refused(tmp_path):
    nodes = [node("Greater", ["x", "zero"], "positive"), branches("positive", ["Relu"], ["Neg"], "choice")]
    line = refusal(model_of(nodes, {"x": ("n", 3)}, {"zero": np.float32(0)}), tmp_path, [POSITIVE])
    assert "node 'choice' (If): its condition has dims [1, 3]; allowed: one boolean" in line


def outside(tmp_path, location, dims=(3, 4), length=None):
    """A product whose weights, 0 to 11, are said to be in another file."""
    (tmp_path / "weights.bin").write_bytes(b"\0" * 8 + np.arange(12, dtype=np.float32).tobytes())
    model = model_of([node("Gemm", ["x", "w"], "y")], {"x": ("n", 3)})
    stored = TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "8", "length": str(length or 4 * np.prod(dims))}.items():
        stored.external_data.add(key=key, value=value)
    model.graph.initializer.append(stored)
    return model


def test_weights_in_another_file_of_the_folder_are_read(tmp_path):
    with run_model(save(outside(tmp_path, "weights.bin"), tmp_path), [POSITIVE], ["y"], FEW) as done:
        assert done.tensor("y").tolist() == [[12, 15, 18, 21]]


@pytest.mark.parametrize("read", [True, False])
def test_large_weights_are_read_from_the_model_itself(read, tmp_path):
    """Also those that no operator reads, which onnxruntime drops."""
    stored = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "large": np.ones((4, 5000), np.float32)}
    nodes = [node("Gemm", ["x", "w"], "y"), node("MatMul", ["y", "large"], "z")]
    model = model_of(nodes if read else nodes[:1], {"x": ("n", 3)}, stored)
    path = save(model, tmp_path)
    with run_model(path, [POSITIVE], ["large"], FEW) as done:
        np.testing.assert_array_equal(done.tensor("large"), stored["large"])
    with run_model(path, [POSITIVE], ["y", "z"], FEW) as done:
        assert done.tensor("y").tolist() == [[12, 15, 18, 21]]
        assert done.has("z") is read
        assert not read or done.tensor("z").tolist() == [[66] * 5000]


@pytest.mark.parametrize(
    ("location", "dims", "length", "message"),
    [
        ("../weights.bin", (3, 4), None, "must be inside the model's folder"),
        ("/etc/passwd", (3, 4), None, "must be inside the model's folder"),
        ("nothing.bin", (3, 4), None, "no such file"),
        ("weights.bin", (3, 5), None, "ends at 56 bytes, not 68"),
        ("weights.bin", (3, 4), 44, "holds 44 bytes"),
    ],
)
def test_weights_in_other_files_are_checked_before_they_are_read(location, dims, length, message, tmp_path):
    assert message in refusal(outside(tmp_path, location, dims, length), tmp_path, [POSITIVE])


def test_weights_in_another_file_that_an_operator_or_a_branch_holds(tmp_path):
    inside = outside(tmp_path, "weights.bin")
    stored = inside.graph.initializer[0]
    inside.graph.node.insert(0, node("Constant", [], "w", "constant", value=stored))
    del inside.graph.initializer[:]
    with run_model(save(inside, tmp_path), [POSITIVE], ["y"], FEW) as done:
        assert done.tensor("y").tolist() == [[12, 15, 18, 21]]
    then = helper.make_graph(
        [node("Gemm", ["x", "w"], "g")], "then", [], [helper.make_empty_tensor_value_info("g")], [stored]
    )
    stored.data_location = TensorProto.EXTERNAL
    choice = node("If", ["yes"], "y", then_branch=then, else_branch=then)
    model = model_of([choice], {"x": ("n", 3)}, {"yes": np.array(True)})
    with run_model(save(model, tmp_path), [POSITIVE], ["y"], FEW) as done:
        assert done.tensor("y").tolist() == [[12, 15, 18, 21]]


# Bounds


def endless_loop():
    body = helper.make_graph(
        [node("Identity", ["go"], "on"), node("Neg", ["v"], "w")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [helper.make_empty_tensor_value_info("on"), helper.make_empty_tensor_value_info("w")],
    )
    return model_of([node("Loop", ["", "yes", "x"], "y", body=body)], {"x": ("n", 3)}, {"yes": np.array(True)})


def test_a_loop_without_end_ends_at_the_bound_on_time(tmp_path):
    start = time.monotonic()
    line = refusal(endless_loop(), tmp_path, [POSITIVE], limits=RunLimits(seconds=2))
    assert line == "its run takes more than 2 seconds; --input-limit seconds=4 allows more"
    assert 2 <= time.monotonic() - start < 10
    assert children() == []


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_a_tensor_of_100_gb_ends_at_the_bound_on_memory(operator, tmp_path):
    dims = {"dims": np.array([25_000_000_000])}
    made = node(operator, ["dims"] if operator == "ConstantOfShape" else ["one", "dims"], "y")
    model = model_of([made], {"x": ("n", 3)}, {**dims, "one": floats(1)}, ["y"])
    line = refusal(model, tmp_path, [POSITIVE])
    assert line == "its run needs more memory than 1 GiB; --input-limit memory_gib=2 allows more"


def test_many_tensors_together_end_at_the_bound_on_memory_too(tmp_path):
    # 32 tensors of 64 MiB that are all read at the end.
    names = [f"t{place}" for place in range(32)]
    nodes = [*(node("ConstantOfShape", ["dims"], name) for name in names), node("Sum", names, "y")]
    model = model_of(nodes, {"x": ("n", 3)}, {"dims": [2**24]})
    assert "needs more memory than 1 GiB" in refusal(model, tmp_path, [POSITIVE])
    with run_model(save(model, tmp_path), [POSITIVE], [], RunLimits(60, 4 * GIB)) as done:
        assert done.shapes["y"] == (2**24,)


def test_a_small_model_fits_into_a_gib_with_many_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_run, "available_cores", lambda: 32)
    with run_model(save(small_net(), tmp_path), images(1, 1, 3, 64, 64), ["pool"], FEW) as done:
        assert done.tensor("pool").shape == (1, 4, 32, 32)


def test_tensors_that_are_kept_end_at_the_bound_on_the_spool(tmp_path):
    path, feeds = save(small_net(), tmp_path), images(2, 1, 3, 4, 4)
    two_runs_bytes = 2 * 4 * 4 * 4 * 4
    with run_model(path, feeds, ["relu"], RunLimits(spool_bytes=two_runs_bytes)) as done:
        assert done.num_runs == 2
    line = refusal(path, tmp_path, feeds, ["relu"], RunLimits(spool_bytes=two_runs_bytes - 1))
    assert line.startswith("its run gives more tensors than ")
    assert line.endswith(" allows more")


def test_a_full_disk_is_a_line_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_run, "DISK_LEFT_BYTES", 2**62)
    line = refusal(small_net(), tmp_path, wanted=["relu"])
    assert line == f"its tensors do not fit on the disk of {spools_folder()}; TMPDIR names another"


def spools_folder():
    import tempfile

    return tempfile.gettempdir()


def replaced_worker(monkeypatch, code):
    monkeypatch.setattr(onnx_run, "WORKER", ("-c", code))


def test_a_crash_is_one_line(tmp_path, monkeypatch):
    replaced_worker(monkeypatch, "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 11)")
    assert refusal(small_net(), tmp_path) == "onnxruntime ended by signal 11"
    replaced_worker(monkeypatch, "raise SystemExit(3)")
    assert refusal(small_net(), tmp_path) == "onnxruntime ended with status 3"
    replaced_worker(monkeypatch, "print('half a li', end='')")
    assert refusal(small_net(), tmp_path) == "onnxruntime ended with status 0"


def test_an_interrupt_ends_the_child_and_removes_the_spool(tmp_path):
    path = save(endless_loop(), tmp_path)
    threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_model(path, [POSITIVE], [], FEW)
    assert spools() == []
    assert children() == []


def test_a_feed_that_cannot_be_made_ends_the_child_and_is_not_blamed_on_the_model(tmp_path):
    def feeds():
        yield from images(1, 1, 3, 4, 4)
        raise WorkloadError("photo.png: damaged")

    class Feeds(list):
        def __iter__(self):
            return feeds()

    with pytest.raises(WorkloadError, match=r"^photo\.png: damaged$"):
        run_model(save(small_net(), tmp_path), Feeds([0]), [], FEW)
    assert spools() == []
    assert children() == []


def test_a_model_without_feeds_is_refused(tmp_path):
    assert refusal(small_net(), tmp_path, []) == "no input to run it with"


def test_the_bounds_are_kept_by_the_system_too(tmp_path, monkeypatch):
    code = (
        "import json, resource; from archmodel.capture.onnx_worker import bound_process; bound_process(7, 2**33, 2);"
        "limits = [resource.getrlimit(getattr(resource, f'RLIMIT_{kind}')) for kind in ('DATA', 'CPU', 'CORE')];"
        "print(json.dumps({'error': str(limits)}))"
    )
    replaced_worker(monkeypatch, code)
    assert refusal(small_net(), tmp_path) == f"[({2**33}, {2**33}), (34, 34), (0, 0)]"
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != 2**33


# Files that are not what they seem, and what onnxruntime says


def test_what_is_no_model_is_one_line(tmp_path):
    path = tmp_path / "model.onnx"
    assert refusal(path, tmp_path) == "no such file"
    path.write_bytes(b"\x08\x08\x12")
    assert refusal(path, tmp_path) == "not an ONNX model, or a damaged one"


@pytest.mark.parametrize(
    ("nodes", "feed", "opset", "message"),
    [
        ([node("Gemm", ["x", "w"], "y")], {"x": np.ones((2, 5), np.float32)}, 17,
         "onnxruntime: node 'y' (Gemm): GEMM: Dimension mismatch, W: {3,4} K: 5 N:4"),
        ([node("Foo", ["x"], "y")], POSITIVE, 17, "No Op registered for Foo with domain_version of 17"),
        ([node("Foo", ["x"], "y", domain="my.own")], POSITIVE, 17, "No opset import for domain 'my.own'"),
        ([node("Relu", ["x"], "y")], POSITIVE, 99, "onnxruntime: ONNX Runtime only *guarantees* support for models"),
        ([node("Relu", ["x"], "y")], {"z": POSITIVE["x"]}, 17, "Required inputs (['x']) are missing"),
        ([node("Relu", ["x"], "y")], {"x": np.ones((1, 3), np.int64)}, 17, "Unexpected input data type"),
        ([node("Relu", ["x"], "y"), node("Neg", ["y"], "y")], POSITIVE, 17, "onnxruntime: "),
        ([node("Reshape", ["x", "d"], "y")], POSITIVE, 17, "node 'y' (Reshape): input_shape_size == requested"),
    ],
)  # fmt: skip
def test_what_onnxruntime_refuses_is_one_line_without_its_sources(nodes, feed, opset, message, tmp_path):
    model = model_of(nodes, {"x": ("n", "c")}, {"w": floats(3, 4), "d": np.array([7])}, opset=opset)
    line = refusal(model, tmp_path, [feed])
    assert message in line
    assert ".h:" not in line
    assert ".cc:" not in line
    assert "::" not in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : a\n\tb", "a b"),
        ("x /s/o/core/a.h:49 void o::F::G(const std::vector<int>&, std::function<void(int)>) const it was", "x it was"),
        ("External failed. tensor.cc:619 Validate path (a::b)", "External failed. path (a::b)"),
        ("a.cc:1 F x b.cc:2 G y", "x y"),
        ("a.cc:1 o::F(unclosed", "o::F(unclosed"),
        ("Non-zero status code returned while running F node. Name:'c\n1' Status Message: no", "node 'c\\n1' (F): no"),
    ],
)
def test_a_message_without_codes_source_lines_and_signatures(message, line):
    assert reason_of(message) == f"onnxruntime: {line}"


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("seconds=600,memory_gib=16", RunLimits(600, 16 * GIB)),
        (" disk_gib = 0.5 ", RunLimits(spool_bytes=GIB // 2)),
        ("seconds=1e6", RunLimits(1e6)),
    ],
)
def test_limits_are_read(text, limits):
    assert RunLimits.parse(text) == limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("second=5", "allowed: seconds=NUMBER, memory_gib=NUMBER, disk_gib=NUMBER; did you mean 'seconds'?"),
        ("", "--input-limit '': allowed: seconds=NUMBER"),
        ("seconds", "--input-limit 'seconds': allowed"),
        ("seconds=1,seconds=2", "--input-limit 'seconds=1,seconds=2': seconds is given twice"),
        ("memory_gib=0", "--input-limit 'memory_gib=0': must be a number from 0.001 to 1e+06"),
        ("seconds=nan", "must be a number"),
        ("seconds=1e7", "must be a number"),
        ("seconds=fast", "must be a number"),
    ],
)
def test_limits_that_are_none(text, message):
    with pytest.raises(WorkloadError) as caught:
        RunLimits.parse(text)
    assert message in str(caught.value)


def test_the_parent_does_not_load_onnxruntime(tmp_path):
    import subprocess

    code = "import sys, archmodel.capture.onnx_run; print({'onnx', 'onnxruntime', 'google'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
