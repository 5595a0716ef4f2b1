"""`archmodel train`: its numbers are those of the allocators, its errors one line; docs/training.md shows it."""

import json
import re
from pathlib import Path

import pytest

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

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "training.md").read_text("utf-8")


def printed(capsys, *arguments):
    assert run(["train", *arguments]) == 0
    return capsys.readouterr().out


def test_the_page_shows_what_it_prints(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    [(command, shown)] = re.findall(r"```\n\$ archmodel train (.*)\n([^`]*)```", TEXT)
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
        (["--accounting", "caffe", "--caffe-form", "x"], "form = 'x': must be benchmark, deploy or train"),
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
