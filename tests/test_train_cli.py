"""`archmodel train`: its numbers are those of the allocators, its errors one line; docs/training.md shows it."""

import json
import re
from pathlib import Path

import pytest

import archmodel
from archmodel.cli.main import run
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.iteration import iteration_memory
from archmodel.training import (
    STUDY,
    TrainingChoices,
    best_fit,
    caffe_data_bytes,
    liveness,
    network_wide,
    training_graph,
)

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "training.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def printed(capsys, *arguments):
    assert run(["train", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("text", [TEXT, README], ids=["training.md", "README.md"])
def test_the_page_shows_what_it_prints(capsys, monkeypatch, text):
    monkeypatch.setenv("COLUMNS", "80")
    [(command, shown)] = re.findall(r"```\n\$ archmodel train (.*)\n([^`]*)```", text)
    assert printed(capsys, *command.split()) == shown


def test_the_page_has_the_keys(capsys):
    found = json.loads(printed(capsys, "--net", "lenet5", "--batch", "4", "--accounting", "caffe", "--json"))
    rows = [line.split("|")[1:3] for line in TEXT.partition("| key of")[2].splitlines() if line.startswith("| `")]
    keys = {key: what for cell, what in rows for key in re.findall(r"`(\w+)`", cell)}
    assert set(found) <= set(keys)
    for curve in found["allocators"].values():
        assert set(curve) == set(re.findall(r"`(\w+)`", keys["allocators"]))
    assert set(found["accounting"]) == set(re.findall(r"`(\w+)`", keys["accounting"]))
    assert set(found["tensor_bytes"]) == set(re.findall(r"\w+_\w+|weight|saved|workspace", keys["tensor_bytes"]))
    assert list(found["allocators"]) == ["network_wide", "liveness", "best_fit"]


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_the_bytes_are_those_of_the_allocators(capsys, precision):
    options = ["--net", "googlenet", "--batch", "8", "--precision", precision, "--optimizer", "adam", "--out-of-place"]
    found = json.loads(printed(capsys, *options, "--accounting", "caffe", "--caffe-form", "train", "--json"))
    network = read_network("googlenet")
    graph = training_graph(network, 8, TrainingChoices(precision=precision, optimizer="adam", in_place=False))
    for curve in (network_wide(graph), liveness(graph), best_fit(graph)):
        assert found["allocators"][curve.method] == {
            "peak_bytes": curve.peak_bytes,
            "peak_live_bytes": curve.peak_live_bytes,
            "average_bytes": curve.average_bytes(),
            "fragmentation": curve.fragmentation,
            "fits": curve.peak_bytes <= 12 * 2**30,
        }
    assert found["tensor_bytes"]["optimizer_state"] == 8 * network.parameters
    assert found["steps"] == len(graph.steps)
    assert found["in_place"] is False
    assert found["accounting"] == {"rule": "caffe", "form": "train", "bytes": caffe_data_bytes(network, 8, "train")}


@pytest.mark.parametrize(
    ("net", "batch", "published"),
    [("alexnet_owt", "128", 623_628_288), ("overfeat_fast", "128", 999_192_064), ("vgg_a", "64", 4_234_799_104)],
)
def test_the_published_bytes_of_caffe(capsys, net, batch, published):
    arguments = ["--net", net, "--batch", batch, "--accounting", "caffe"]
    assert json.loads(printed(capsys, *arguments, "--json"))["accounting"]["bytes"] == published
    assert f"{published:,} bytes (benchmark)" in printed(capsys, *arguments).replace("\n", " ")


def test_the_capacity_is_a_limit_to_the_byte(capsys):
    peak = best_fit(training_graph(read_network("lenet5"), 4, STUDY)).peak_bytes
    for capacity, fits in ((peak, True), (peak - 1, False)):
        found = printed(capsys, "--net", "lenet5", "--batch", "4", "--capacity-bytes", str(capacity), "--json")
        assert json.loads(found)["allocators"]["best_fit"]["fits"] is fits


@pytest.mark.parametrize(("batch", "unit", "size"), [("1", "MiB", 2**20), ("8192", "GiB", 2**30)])
def test_small_networks_are_shown_in_small_units(capsys, batch, unit, size):
    peak = best_fit(training_graph(read_network("lenet5"), int(batch), STUDY)).peak_bytes
    shown = printed(capsys, "--net", "lenet5", "--batch", batch)
    assert f"peak {unit} average {unit}" in shown
    assert re.search(rf"best fit +yes +{peak / size:.2f} ", shown)
    assert f"\n{unit} of " in shown


def test_without_a_capacity_nothing_is_said_to_fit(capsys):
    shown = printed(capsys, "--net", "lenet5", "--batch", "4", "--device", "scnn")  # behind an ideal memory
    assert "allocator    peak" in shown
    assert "GiB," not in shown.splitlines()[0]
    found = json.loads(printed(capsys, "--net", "lenet5", "--batch", "4", "--device", "scnn", "--json"))
    assert found["fits"] is True
    assert found["capacity_bytes"] is None
    assert {curve["fits"] for curve in found["allocators"].values()} == {None}


def test_what_of_a_file_could_not_be_read_is_said(monkeypatch, capsys):
    import dataclasses

    network = dataclasses.replace(read_network("lenet5"), left_out=("nonsense (Foo)",))
    monkeypatch.setattr("archmodel.iteration.runner.read_network", lambda name: network)
    assert "left out     nonsense (Foo)" in printed(capsys, "--net", "x", "--batch", "4")
    assert json.loads(printed(capsys, "--net", "x", "--batch", "4", "--json"))["left_out"] == ["nonsense (Foo)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--net", "vgg61"], "'vgg61': unknown network; allowed: "),
        (["--batch", "0"], "batch = 0: must be a whole number from 1 to 1048576"),
        (["--batch", "1.5"], "batch = '1.5': must be a whole number from 1 to 1048576"),
        (["--precision", "fp61"], "precision = 'fp61': must be fp32, fp16 or mixed; did you mean 'fp16'?"),
        (["--optimizer", "adma"], "optimizer = 'adma': must be sgd, momentum or adam; did you mean 'adam'?"),
        (["--accounting", "cafe"], "accounting = 'cafe': must be caffe; did you mean 'caffe'?"),
        (["--accounting", "caffe", "--caffe-form", "x"], "caffe_form = 'x': must be benchmark, deploy or train"),
        (["--capacity-bytes", "0"], "capacity_bytes = 0: must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, arguments, message):
    assert run(["train", "--net", "lenet5", "--batch", "4", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"archmodel: error: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("value", [1.5, True, "8"])
def test_a_capacity_is_whole(value):
    with pytest.raises(ConfigError, match=r"^capacity_bytes = .*: must be a whole number from 1 to 1099511627776$"):
        iteration_memory("lenet5", 4, capacity_bytes=value)


def test_a_run_and_a_list_are_the_python_call(capsys):
    arguments = ["--net", "alexnet_owt", "--batch", "128", "--policy"]
    one = json.loads(printed(capsys, *arguments, "vdnn_all", "--json"))
    assert one == archmodel.train("alexnet_owt", 128, policy="vdnn_all").as_dict()
    several = json.loads(printed(capsys, *arguments, "none,vdnn_all", "--json"))
    assert [run["policy"] for run in several["runs"]] == ["none", "vdnn_all"]
    assert several["runs"][1] == one


def test_every_run_of_a_list_is_a_row(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = printed(
        capsys, "--net", "alexnet_owt,lenet5", "--batch", "64,128", "--policy", "none,vdnn_all"
    ).splitlines()
    runs = archmodel.train("alexnet_owt,lenet5", "64,128", policy="none,vdnn_all")
    assert shown[1].split()[:6] == ["net", "batch", "policy", "fits", "peak", "avg"]
    for line, one in zip(shown[2:], runs, strict=False):
        assert line.split()[:4] == [one.net, str(one.batch), one.policy, "yes"]
        assert f"{one.slowdown:.3f}" in line.split()
    assert all(len(line) <= 80 for line in shown)


def test_what_does_not_fit_is_a_row_with_the_reason(capsys):
    arguments = ["--net", "alexnet_owt", "--batch", "128", "--policy", "none,vdnn_dyn"]
    arguments += ["--capacity-bytes", "800000000"]
    shown = printed(capsys, *arguments)
    [line] = [line for line in shown.splitlines() if line.startswith("none ")]
    assert line.split()[:3] == ["none", "(p)", "no"]
    whole = " ".join(shown.split())
    assert f"no room none (p): {archmodel.train('alexnet_owt', 128, capacity_bytes=800_000_000).why_not}" in whole
    assert "what does not fit has the times of a memory without end" in whole


def test_fit_says_how_many_images_fit(capsys):
    arguments = ["--net", "lenet5", "--fit", "--capacity-bytes"]
    largest = archmodel.train("lenet5", fit=True, capacity_bytes=2**23).batch
    assert f"fit          at most {largest} images" in printed(capsys, *arguments, str(2**23))
    assert "fit          not even one image" in printed(capsys, *arguments, str(2**20))
    assert json.loads(printed(capsys, *arguments, str(2**23), "--json"))["largest_batch"] == largest


def test_what_dyn_decided_is_said(capsys):
    shown = " ".join(printed(capsys, "--net", "vgg16", "--batch", "256", "--policy", "vdnn_dyn").split())
    trials = archmodel.train("vgg16", 256, policy="vdnn_dyn").facts["trials"]
    assert f"dyn trial {len(trials)} of 8: offload {trials[-1]['offload']}, performance algorithms, less" in shown
    late = ["--net", "vgg16", "--batch", "256", "--optimizer", "momentum"]
    shown = " ".join(printed(capsys, *late, "--policy", "vdnn_dyn").split())
    assert "late prefetches are put off until there is room, as nothing fits with all of them ahead" in shown
    assert "dyn trial 5 of 8: offload conv, performance algorithms, less" in shown
    shown = printed(capsys, *late, "--policy", "vdnn_all", "--algorithms", "memory")
    assert "late         prefetches" in shown
    assert "dyn " not in shown
    assert "dyn          trial 2 of 8: offload none" in printed(
        capsys, "--net", "lenet5", "--batch", "4", "--policy", "vdnn_dyn"
    )
    tight = " ".join(printed(capsys, "--net", "lenet5", "--batch", "4", "--policy", "vdnn_dyn",
                             "--capacity-bytes", "9").split())  # fmt: skip
    assert "dyn nothing fits, not even trial 1 of 8: offload all, memory algorithms" in tight


def test_a_result_file_and_a_trace_are_of_the_same_runs(capsys, tmp_path):
    result, trace = tmp_path / "out.h5", tmp_path / "out.json"
    arguments = [
        "--net",
        "lenet5",
        "--batch",
        "8",
        "--policy",
        "none,vdnn_all",
        "-o",
        str(result),
        "--trace",
        str(trace),
    ]
    printed(capsys, *arguments)
    loaded = archmodel.load(result)
    assert loaded.runs == archmodel.train("lenet5", 8, policy="none,vdnn_all").runs
    assert loaded.command == " ".join(["archmodel train", *arguments])
    events = json.loads(trace.read_text("utf-8"))["traceEvents"]
    assert len({event["pid"] for event in events}) == 2
    assert run(["show", str(result)]) == 0
    assert capsys.readouterr().out.startswith("lenet5, 8 images, fp32, sgd, performance algorithms, titanx_maxwell")
    assert run(["compare", str(result), str(result)]) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--policy", "none,vdn_all"], "policy = 'vdn_all': must be one of none, "),
        (["--algorithms", "fast"], "algorithms = 'fast': must be memory or performance"),
        (["--system", "titanx"], "'titanx': unknown system; allowed: "),
        (["--device", "titanx"], "'titanx': unknown device; allowed: "),
        (["--link", "pcie3_x17"], "'pcie3_x17': unknown link; allowed: "),
        (["--dma", "plain,cdma_zcv"], "--dma 'cdma_zcv': allowed: plain, "),
        (["--device", "scnn", "--memory", "hbm9"], "'hbm9': unknown memory; allowed: "),
        (["--device", "titanx_caffe"], "'lenet5': not measured; allowed: "),
        (["--fit"], "batch = '4': fit finds the largest; allowed: one of the two"),
        (["-o", "out.txt"], "out.txt: cannot be written: a result file ends in .h5 or .hdf5"),
        (["--trace", "out.txt"], "out.txt: cannot be written: a trace ends in .json"),
    ],
)
def test_a_mistake_writes_nothing(capsys, tmp_path, monkeypatch, wrong, message):
    monkeypatch.chdir(tmp_path)
    files = ["-o", "out.h5", "--trace", "out.json"]
    assert run(["train", "--net", "lenet5", "--batch", "4", *files, *wrong]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"archmodel: error: {message}")
    assert told.err.count("\n") == 1
    assert not told.out
    assert not list(tmp_path.iterdir())


def test_every_option_is_in_the_page():
    from archmodel.cli.train import train

    section = TEXT.partition("| option | |")[2].partition("| key of")[0]
    options = {name for one in train.params for name in one.opts if name.startswith("--")} - {"--json", "--output"}
    assert options - {"--in-place"} <= set(re.findall(r"`(--[a-z-]+)", section))
