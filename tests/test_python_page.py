"""docs/python.md: its examples run, its tables have what the functions and results have."""

import dataclasses
import inspect
import re
from itertools import zip_longest
from pathlib import Path

import pytest

import archmodel
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.simulation.inspection import Inspection
from archmodel.simulation.zero_counts import ZeroCounts

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text("utf-8")
FIRST, INSPECTION, TRAINING, SWEEP = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def rows(heading):
    """Cells of the table below a heading, without those of its own head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell):
    """What a cell names, methods without their arguments."""
    return [name.partition("(")[0] for name in re.findall(r"`([^`]*)`", cell)]


def test_the_first_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(FIRST, "python.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["conv1", "conv2", "ip1", "ip2", "scnn", "eie"]
    assert lines[-1].endswith("without ('conv1', 'conv2')")


def test_the_inspection_runs(capsys):
    pytest.importorskip("pandas", reason="pandas is an extra")
    exec(compile(INSPECTION, "python.md", "exec"), {"archmodel": archmodel})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["conv1", "conv2", "ip1", "ip2"]


def test_the_training_runs(capsys):
    exec(compile(TRAINING, "python.md", "exec"), {})
    *lines, largest = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["64", "none", "fits"],
        ["64", "vdnn_dyn", "fits"],
        ["256", "none", "no"],
        ["256", "vdnn_dyn", "fits"],
    ]
    assert int(largest) >= 256


def test_the_sweep_runs_and_draws(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    monkeypatch.chdir(tmp_path)
    exec(compile(SWEEP, "python.md", "exec"), {})
    found = re.findall(r"(\d+) PEs, queues of (\d): ([\d.]+) ms", capsys.readouterr().out)
    times = {(int(pes), int(depth)): float(time_ms) for pes, depth, time_ms in found}
    assert len(times) == 12
    for (pes, depth), time_ms in times.items():
        assert time_ms < times.get((pes // 2, depth), 1e9)
        assert time_ms <= times[pes, 1]
    assert (tmp_path / "sweep.png").stat().st_size > 5000


@pytest.mark.parametrize("function", [archmodel.simulate, archmodel.inspect, archmodel.train])
def test_the_arguments_are_those_of_the_function(function):
    cells = [(names(argument), re.findall("`(.*?)`", default)) for argument, default, *_ in rows(function.__name__)]
    stated = {name: value for group, values in cells for name, value in zip_longest(group, values, fillvalue="")}
    known = inspect.signature(function).parameters.values()
    defaults = {one.name: "" if one.default is one.empty else repr(one.default).replace("'", '"') for one in known}
    assert stated == defaults


@pytest.mark.parametrize("result", [RunResult, LayerResult, Inspection, ZeroCounts])
def test_the_attributes_are_those_of_the_results(result):
    public = {name for name, _ in inspect.getmembers(result) if name[0] != "_"} - {"of"}
    fields = {field.name for field in dataclasses.fields(result)}
    stated = [name for attribute, *_ in rows(result.__name__) for name in names(attribute)]
    assert sorted(stated) == sorted(public | fields)


def test_the_six_names_are_there():
    stated = [names(cell)[0] for cell, *_ in [row for row in rows_of_names() if row]]
    assert {name.split(".")[1] for name in stated} == {*archmodel.__all__, "errors"} - {"__version__"}


def rows_of_names():
    """Cells of the first table."""
    head = PAGE.partition("```python")[0]
    return [line.strip("|").split("|") for line in head.splitlines() if line.startswith("| `")]
