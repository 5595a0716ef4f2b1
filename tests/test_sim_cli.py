"""`archmodel sim` as a user meets it: table, JSON object, file, and one line for whatever is wrong."""

import contextlib
import dataclasses
import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archmodel
from archmodel import config, simulation
from archmodel.accelerators import dcnn
from archmodel.accelerators.columns import CAUSES
from archmodel.cli import main, tables
from archmodel.cli.tables import joules

LENET = ["--arch", "scnn", "--net", "lenet5"]
FAST = [*LENET, "--layers", "ip2"]
SUBPROCESS = [sys.executable, "-c", "import sys; from archmodel.cli.main import run; sys.exit(run())"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test runs in an empty folder of its own, on a terminal of 80 columns that is none."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def sim(*arguments):
    """Exit code, standard output and standard error of `archmodel sim`."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main.run(["sim", *arguments])
    return code, output.getvalue(), errors.getvalue()


def succeeded(*arguments):
    """Standard output of a run that must succeed in silence."""
    code, output, errors = sim(*arguments)
    assert (code, errors) == (0, "")
    return output


def assert_one_line(code, output, errors):
    assert (code, output) == (2, "")
    assert errors.startswith("archmodel: error: ")
    assert errors.endswith("\n")
    assert errors[:-1].isprintable()
    assert len(errors) < 6000


# The table


def rows_of(output):
    """Names and the rest of every line of the table, the sums included."""
    lines = output.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("layer "))
    end = next(index for index, line in enumerate(lines) if line.startswith("time "))
    rows = lines[start + 1 : end]
    return {line[: line.index(" ", 4 if line.startswith("all ") else 0)]: line for line in rows}


def test_the_table_has_every_layer_and_the_sums():
    output = succeeded(*LENET, "--baseline", "dcnn")
    run = archmodel.simulate("scnn", "lenet5", baseline="dcnn")
    rows = rows_of(output)
    assert list(rows) == ["conv1", "conv2", "ip1", "ip2", "all conv", "all fc", "total"]
    for layer, beside in zip(run.layers, run.baseline.layers, strict=True):
        cells = rows[layer.name].split()
        assert f"{layer.cycles:,}" in cells
        assert f"{100 * layer.multiplier_utilization:.1f}" in cells
        assert f"{layer.weight_density:.2f}" in cells
        assert f"{layer.input_density:.2f}" in cells
        assert cells[-1] == f"{beside.cycles / layer.cycles:.2f}x"
    assert f"{run.cycles:,}" in rows["total"].split()
    assert rows["total"].split()[-1] == f"{run.speedup:.2f}x"
    convs, fcs = (sum(layer.cycles for layer in run.layers if layer.kind == kind) for kind in ("conv", "fc"))
    assert f" {convs:,} " in rows["all conv"]
    assert f" {fcs:,} " in rows["all fc"]
    assert "2.29 M" in rows["total"]


def test_the_table_has_a_sum_for_every_kind():
    output = succeeded("--arch", "dcnn", "--net", "neuraltalk")
    assert list(rows_of(output)) == ["We", "LSTM", "Wd", "all fc", "all lstm", "total"]
    run = archmodel.simulate("dcnn", "neuraltalk")
    assert f" {run.layers[1].cycles:,} " in rows_of(output)["all lstm"]


def test_layers_that_are_left_out_are_named(monkeypatch):
    monkeypatch.setattr(dcnn, "KINDS", ("fc",))
    assert_one_line(*sim("--arch", "dcnn", "--net", "lenet5"))
    output = succeeded("--arch", "dcnn", "--net", "lenet5", "--skip-unsupported")
    assert "\nleft out     2 layers that a machine does not run: conv1, conv2\n" in output
    document = json.loads(succeeded("--arch", "dcnn", "--net", "lenet5", "--skip-unsupported", "--json"))
    assert document["unsupported"] == ["conv1", "conv2"]


def test_columns_have_headings_and_line_up_on_the_right(monkeypatch):
    stack = archmodel.simulate("scnn", "lenet5").stack
    every = " ".join(tables.HEADINGS[cause] for cause in CAUSES[1:] if stack.get(cause))
    for columns, causes in (("80", "frag imbal memory other"), ("160", every)):
        monkeypatch.setenv("COLUMNS", columns)
        output = succeeded(*LENET, "--baseline", "dcnn")
        (heading,) = [line for line in output.splitlines() if line.startswith("layer ")]
        assert heading.split() == ["layer", "MACs", "w", "in", "cycles", "util", *causes.split(), "DRAM", "vs", "base"]
        cycles = [line.index(f"{count} ") + len(count) for line, count in cycles_in(output)]
        assert set(cycles) == {heading.index("cycles") + len("cycles")}
        assert {len(line.rstrip()) for line in rows_of(output).values()} == {len(heading.rstrip())}


def cycles_in(output):
    """Lines of the layers with the cycles that they are to show."""
    run = archmodel.simulate("scnn", "lenet5")
    return [(rows_of(output)[layer.name], f"{layer.cycles:,}") for layer in run.layers]


def test_the_totals_have_units_and_agree_with_the_run():
    output = succeeded(*LENET, "--baseline", "dcnn", "--check", "--batch", "2", "--seed", "3")
    run = archmodel.simulate("scnn", "lenet5", baseline="dcnn", batch=2, seed=3)
    assert "lenet5 on scnn, exact, batch 2, seed 3, baseline dcnn, Ideal DRAM, 50 GB/s" in output
    assert f"time         {run.time_s * 1e6:.3g} us, {run.cycles:,} cycles at 1 GHz" in output
    assert f"speed-up     {run.speedup:.2f}x over dcnn, {run.baseline.time_s * 1e6:.3g} us" in output
    rate = 2 * run.total("macs_dense") / run.time_s / 1e12
    work = f"{run.total('macs_effectual') / 1e3:.3g} k effectual of 4.59 M MACs; {rate:.3g} TOP/s dense-equivalent"
    assert f"\nwork         {work}\n" in output
    assert (
        f"of 1,024 multipliers; the oracle needs {run.as_dict()['totals']['oracle_cycles']:,} cycles" in output
    )
    assert "outputs of the modelled dataflow equal the reference, bit for bit" in output
    assert re.search(r"^simulated    in [\d.]+ m?s$", output, re.M)
    assert re.search(r"^DRAM         [\d.]+ kB$", output, re.M)


def test_a_sampled_run_shows_how_sure_it_is():
    some = ["--arch", "scnn", "--net", "squeezenet_pruned", "--layers", "fire8/*", "--fidelity", "sampled"]
    output = succeeded(*some)
    document = json.loads(succeeded(*some, "--json"))
    low, high = document["totals"]["cycles_ci95"]
    cycles = document["totals"]["cycles"]
    assert low < cycles < high
    assert f"{cycles:,} cycles +- {50 * (high - low) / cycles:.2g} % (95 %) at 1 GHz" in output
    for layer in document["layers"]:
        assert layer["cycles_ci95"] == [layer["cycles_low"], layer["cycles_high"]]
    assert " +- " not in succeeded(*some[:-1], "exact")


def test_without_baseline_or_check_the_table_has_neither():
    output = succeeded(*FAST)
    for word in ("speed-up", "vs base", "bit for bit", "all conv"):
        assert word not in output
    assert list(rows_of(output)) == ["ip2", "total"]


def test_slots_lost_in_a_row_and_the_utilization_are_all_slots():
    for columns in ("80", "160"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", columns)
            rows = rows_of(succeeded(*LENET))
        for line in rows.values():
            bare = re.sub(r"[\d.]+ ([kMGT]B?|B)(?= |$)", "", line)
            shares = [float(cell) for cell in re.findall(r"(?<= )\d+\.\d(?= |$)", bare)]
            assert 98 < sum(shares) < 102, line


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 160])
@pytest.mark.parametrize(
    ("net", "layers", "memory"),
    [
        ("lenet5", "*", "50e9"),
        ("googlenet", "inception_3*,inception_5b/*,conv*,loss3*", "50e9"),
        ("squeezenet_pruned", "fire2/*,fire9/*", "50e9"),
        ("alexnet_scnn", "conv3,conv4", "1e6"),  # cycles of eleven digits
    ],
    ids=["lenet5", "googlenet", "squeezenet_pruned", "slow memory"],
)
def test_a_table_fits_its_terminal_and_cuts_no_number(monkeypatch, columns, net, layers, memory):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    rate = ["--set", f"memory.bytes_per_s={memory}"]
    output = succeeded("--arch", "scnn", "--net", net, "--layers", layers, "--baseline", "dcnn", *rate)
    assert max(len(line) for line in output.splitlines()) <= columns
    assert "…" not in output
    run = archmodel.simulate("scnn", net, layers=layers, assignments=(f"memory.bytes_per_s={memory}",))
    rows = list(rows_of(output).values())
    (heading,) = [line.rstrip() for line in output.splitlines() if line.startswith("layer ")]
    for layer, line in zip(run.layers, rows, strict=False):
        name, *cells = line.split()
        assert name == layer.name
        assert f"{layer.cycles:,}" in cells
    assert all(len(line.rstrip()) == len(heading) for line in rows)
    every = ["layer", "MACs", "w", "in", "cycles", "util", *map(tables.HEADINGS.get, CAUSES[1:]), "other"]
    every += ["DRAM", "vs base"]
    shown = [one for one in every if re.search(rf"(^| ){one}( |$)", heading)]
    _, no_room, left_out = " ".join(output.splitlines()).partition("no room for ")
    assert bool(no_room) == (shown[-1] != "vs base")
    missing = left_out.partition(": a wider terminal has them, and --json")[0].split(", ") if no_room else []
    assert [one for one in every if one in shown or one in missing] == shown + missing


def test_a_narrow_terminal_loses_columns_before_cycles_and_no_cause(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    layers = ["--arch", "scnn", "--net", "googlenet", "--layers", "inception_3b/*", "--baseline", "dcnn"]
    output = succeeded(*layers)
    assert output.endswith("no room for util, other, DRAM, vs base: a wider\nterminal has them, and --json\n")
    run = archmodel.simulate("scnn", "googlenet", layers="inception_3b/*")
    (lost,) = re.findall(r"^lost +in % of all slots: ((?:.+\n)(?: .+\n)*)", output, re.M)
    shares = dict(part.split() for part in lost.split(","))
    losses = {cause: slots / run.total("slots") for cause, slots in run.stack.items() if cause != "busy"}
    shown = {tables.HEADINGS[cause]: f"{100 * share:.1f}" for cause, share in losses.items() if share >= 0.0005}
    assert shares == shown
    monkeypatch.setenv("COLUMNS", "160")
    assert "\nlost " not in succeeded(*layers)


def test_the_words_of_the_totals_and_other_are_explained_where_they_stand(monkeypatch):
    for columns, has_other in (("80", True), ("160", False)):
        monkeypatch.setenv("COLUMNS", columns)
        output = succeeded(*LENET)
        for word in ("oracle: ", "dense-equivalent: ", "effectual: "):
            assert word in output
        assert ("other: slots lost to causes without a column" in " ".join(output.split())) == has_other


def test_energy_and_area_have_the_share_of_every_component(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run = archmodel.simulate("scnn", "lenet5", baseline="dcnn")
    lines = succeeded(*LENET, "--baseline", "dcnn").splitlines()
    totals, dense = run.as_dict()["totals"], run.baseline.as_dict()["totals"]
    gain = dense["energy_pj"] / totals["energy_pj"]
    at = lines.index(f"energy       {joules(totals['energy_pj'])} at 16 nm, DRAM included; {gain:.2f}x less than dcnn")
    area = lines.index(f"area         {sum(run.area_mm2.values()):.3g} mm2")
    for first, parts in ((at, totals["energy_by_component_pj"]), (area, run.area_mm2)):
        below = itertools.takewhile(lambda line: line.startswith(13 * " "), lines[first + 1 :])
        shares = dict(part.split() for part in " ".join(below).replace("in %:", "").split(","))
        expected = {name: f"{100 * part / sum(parts.values()):.1f}" for name, part in parts.items()}
        assert shares == {name: share for name, share in expected.items() if share != "0.0"}
    assert max(map(len, lines)) <= 80


def test_more_energy_than_the_baseline_is_not_called_less():
    output = succeeded("--arch", "dcnn", "--net", "lenet5", "--layers", "ip1", "--baseline", "scnn")
    run = archmodel.simulate("dcnn", "lenet5", layers="ip1", baseline="scnn")
    spent, beside = (one.as_dict()["totals"]["energy_pj"] for one in (run, run.baseline))
    assert f"DRAM included; {spent / beside:.2f}x more than scnn\n" in output


def test_the_lines_over_seeds_fit_the_terminal():
    lines = succeeded(*LENET, "--baseline", "dcnn", "--seeds", "2").splitlines()
    assert "seeds        mean of 2 placements and 95 % interval:" in lines
    assert max(map(len, lines)) <= 80


def test_a_technology_changes_energy_and_area_of_both_machines_and_no_cycle():
    documents = [
        json.loads(succeeded(*LENET, "--baseline", "dcnn", "--json", *option))
        for option in ([], ["--technology", "16nm"], ["--technology", "45nm"])
    ]
    assert documents[0] == documents[1]
    for small, large in zip(*([one, one["baseline"]] for one in documents[1:]), strict=True):
        assert small["totals"]["cycles"] == large["totals"]["cycles"]
        assert small["totals"]["energy_pj"] < large["totals"]["energy_pj"]
        assert small["area_mm2"] < large["area_mm2"]


@pytest.mark.parametrize(
    ("energy_pj", "text"),
    [(0.0, "0 pJ"), (999.4, "999 pJ"), (999.6, "1 nJ"), (4.43e9, "4.43 mJ"), (1.5e6, "1.5 uJ"), (2e12, "2 J")],
)
def test_an_energy_has_three_digits_and_a_prefix(energy_pj, text):
    assert joules(energy_pj) == text


def test_the_largest_causes_have_a_column_and_one_stands_for_the_rest():
    run = archmodel.simulate("scnn", "lenet5")
    losses = [cause for cause in CAUSES[1:] if run.stack.get(cause)]
    assert len(losses) >= 6
    assert tables.shown_causes(run, None) == tables.shown_causes(run, len(losses)) == losses
    assert tables.shown_causes(run, len(losses) - 1) == losses  # a column for the rest would be as wide
    for most in range(1, len(losses) - 1):
        *shown, rest = tables.shown_causes(run, most)
        assert (len(shown), rest) == (most, tables.OTHER)
        assert min(run.stack[cause] for cause in shown) >= max(run.stack[cause] for cause in set(losses) - set(shown))
        assert shown == [cause for cause in losses if cause in shown]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1 kB"),
        (1000, "1 kB"),
        (15.3e9, "15.3 GB"),
        (999.6e6, "1 GB"),
        (2e12, "2 TB"),
    ],
)
def test_a_quantity_has_three_digits_and_a_prefix(value, text):
    assert tables.si(value, "B") == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 ns"), (2e-9, "2 ns"), (3.23e-6, "3.23 us"), (0.9996e-3, "1 ms"), (12.0, "12 s")]
)
def test_a_time_has_three_digits_and_a_prefix(value, text):
    assert tables.seconds(value) == text


def test_the_column_of_the_baseline_is_in_times_as_the_speed_up():
    halved = succeeded(*FAST, "--baseline", "dcnn", "--set-baseline", "clock_hz=5e8")
    run = archmodel.simulate("scnn", "lenet5", layers="ip2", baseline="dcnn", baseline_assignments=("clock_hz=5e8",))
    assert rows_of(halved)["total"].split()[-1] == f"{run.speedup:.2f}x"


def test_layers_that_take_no_time_are_shown():
    free = ["--set", "ppu.output_words_per_cycle=0", "--set", "ppu.halo_words_per_cycle=0"]
    zeros = ["--weights", "density=0", "--activations", "density=0", *free]
    output = succeeded(*LENET, *zeros, "--baseline", "dcnn")
    assert "0 ns, 0 cycles" in output
    assert "utilization  0.0 % of 1,024" in output
    assert "0 OP/s" in output
    assert json.loads(succeeded(*LENET, *zeros, "--baseline", "dcnn", "--json"))["speedup"] is None


def test_a_name_of_several_lines_stays_on_one(tmp_path):
    path = tmp_path / "memory.toml"
    text = (config.folder("memory") / "ideal.toml").read_text()
    path.write_text(text.replace('"Ideal DRAM, 50 GB/s"', r'"two\nlines \u001b[31m"'))
    assert r"two lines \x1b[31m" in succeeded(*FAST, "--memory", str(path)).splitlines()[0]


def test_help_says_that_a_layer_alone_can_differ_and_the_layer_does():
    text = " ".join(succeeded("--help").split())
    assert "Tensors of layers left out go through DRAM: a layer alone can differ from the same layer in its" in text
    alone, whole = (archmodel.simulate("scnn", "lenet5", layers=layers) for layers in ("conv2", None))
    assert alone.layers[0].name == whole.layers[1].name == "conv2"
    assert alone.layers[0].dram_bytes > whole.layers[1].dram_bytes


# JSON

RUN_KEYS = {"arch", "net", "fidelity", "seed", "totals", "layers", "baseline", "speedup"}
TOTAL_KEYS = {
    *("cycles", "time_s", "macs_dense", "macs_effectual", "multiplier_utilization", "energy_pj", "dram_bytes"),
    "stalls",
}


def test_json_is_one_object_with_the_promised_keys():
    document = json.loads(succeeded(*LENET, "--baseline", "dcnn", "--json"))
    assert document.keys() >= RUN_KEYS
    for side in (document, document["baseline"]):
        assert side.keys() >= RUN_KEYS
        assert side["totals"].keys() >= TOTAL_KEYS
        assert [layer["name"] for layer in side["layers"]] == ["conv1", "conv2", "ip1", "ip2"]
        for layer in side["layers"]:
            assert layer.keys() >= {"name", "kind"} | TOTAL_KEYS
            assert layer["stalls"].keys() <= set(CAUSES)
            assert sum(layer["stalls"].values()) == pytest.approx(layer["cycles"])
        for key in ("cycles", "macs_dense", "macs_effectual", "dram_bytes"):
            assert side["totals"][key] == sum(layer[key] for layer in side["layers"])
    assert document["baseline"]["baseline"] is None
    assert document["speedup"] == pytest.approx(document["baseline"]["totals"]["time_s"] / document["totals"]["time_s"])
    assert json.loads(succeeded(*FAST, "--json"))["speedup"] is None


def test_json_is_the_same_every_time():
    first, again = (succeeded(*FAST, "--json", "--threads", threads) for threads in ("1", "2"))
    assert first == again


# Files


def timeless(run):
    """A run less the time it took."""
    return dataclasses.replace(run, wall_s=0.0, baseline=run.baseline and timeless(run.baseline))


def test_a_written_file_reads_back_equal(empty_folder):
    succeeded(*LENET, "--baseline", "dcnn", "--set", "pe.queue_depth=2", "-o", "out.h5")
    assert os.listdir(empty_folder) == ["out.h5"]
    run = archmodel.simulate("scnn", "lenet5", baseline="dcnn", assignments=("pe.queue_depth=2",))
    assert timeless(archmodel.load("out.h5")) == timeless(run)


def test_nothing_is_written_without_being_asked(empty_folder):
    succeeded(*FAST)
    succeeded(*FAST, "--json")
    assert os.listdir(empty_folder) == []


def test_json_and_a_file_at_once():
    document = json.loads(succeeded(*FAST, "--json", "-o", "out.h5"))
    assert document == json.loads(json.dumps(archmodel.load("out.h5").as_dict()))


@pytest.mark.parametrize(
    "output", ["", "out", "out.txt", "none/out.h5", "/dev/null/out.h5", "folder.h5", "x" * 300 + ".h5"], ids=repr
)
def test_an_output_that_cannot_be_written_fails_before_the_simulation(monkeypatch, empty_folder, output):
    (empty_folder / "folder.h5").mkdir()
    monkeypatch.setattr(simulation, "simulate", lambda *_, **__: pytest.fail("simulated"))
    code, printed, errors = sim(*FAST, "-o", output)
    assert_one_line(code, printed, errors)
    assert "cannot be written" in errors
    assert os.listdir(empty_folder) == ["folder.h5"]


@pytest.mark.parametrize("wrong", [["--layers", "nothing"], ["--set", "pe.rows=0"], ["--weights", "none.npz"]], ids=str)
def test_a_failed_run_leaves_no_file_and_keeps_the_old_one(empty_folder, wrong):
    assert_one_line(*sim(*LENET, *wrong, "-o", "new.h5"))
    assert os.listdir(empty_folder) == []
    (empty_folder / "old.h5").write_text("kept")
    assert_one_line(*sim(*LENET, *wrong, "-o", "old.h5"))
    assert (empty_folder / "old.h5").read_text() == "kept"
    assert os.listdir(empty_folder) == ["old.h5"]


# The progress bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def stderr_of_a_terminal(monkeypatch, *arguments):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(terminal):
        assert main.run(["sim", *arguments]) == 0
    return terminal.getvalue()


def test_a_terminal_sees_progress_and_a_pipe_none(monkeypatch):
    assert "ip2" in stderr_of_a_terminal(monkeypatch, *LENET)
    assert succeeded(*LENET)  # redirected: standard error stays empty


def test_json_has_no_progress_even_on_a_terminal(monkeypatch):
    assert stderr_of_a_terminal(monkeypatch, *LENET, "--json") == ""


# Whatever is thrown at it: one line, exit code 2, nothing written. First files, derived from the project's own.


def spelt(value):
    """A value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(spelt, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {spelt(one)}" for key, one in value.items()) + "}"
    return repr(value)


def places(node, path=()):
    """Paths of all keys and list elements."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def at(node, path):
    for key in path:
        node = node[key]
    return node


WRONG_NUMBERS = [-1, -(10**30), 10**16, 2**63, 10**30, math.nan, math.inf, -math.inf, -0.5, 1e308, -1e-300]
WRONG_TYPES = ["", "text", True, [], [1, "a"], {}, {"a": 1}, 3.5, "8", [[1]], None]


@st.composite
def broken(draw, text):
    """A broken TOML file as bytes, and whether no reading of it is a valid one."""
    data = tomllib.loads(text)
    how = draw(
        st.sampled_from(["drop", "add", "retype", "number", "zero", "tiny", "word", "move", "cut", "twice", "junk"])
    )
    if how in ("cut", "twice", "junk"):
        return broken_text(draw, text, how)
    every = list(places(data))
    path = draw(st.sampled_from(every))
    parent, key = at(data, path[:-1]), path[-1]
    value = parent[key]
    certain = True
    if how == "drop":
        del parent[key]
        certain = not {"layers", "published", "precisions"} & {*path}  # of which some keys are optional
    elif how == "add":
        parent = draw(
            st.sampled_from([node for node in (data, *(at(data, p) for p in every)) if isinstance(node, dict)])
        )
        parent[draw(st.sampled_from(["rowz", "bandwidth", "x", "MODEL", "ké"]))] = draw(st.sampled_from([1, "x", {}]))
        # A second input of a network is an error of another kind, or a new key of it; a precision may change nothing.
        certain = "inputs" not in data and parent is not data.get("precisions")
    elif how == "move":
        del parent[key]
        data[f"{key}"] = value
        certain = len(path) > 1 and not {"layers", "published", "precisions"} & {*path}
    elif how == "retype":
        wrong = draw(st.sampled_from([one for one in WRONG_TYPES if type(one) is not type(value)]))
        parent[key] = {"none": {}} if wrong is None else wrong
        alike = isinstance(value, float | int | str) and isinstance(wrong, float | str)
        certain = not alike and "layers" not in path and path != ("precisions",)
    else:
        numbers = [p for p in every if type(at(data, p)) in (int, float)]
        words = [
            p for p in every if isinstance(at(data, p), str) and p[-1] in ("model", "kind", "bank_hash", "barrier")
        ]
        path = draw(st.sampled_from(words if how == "word" and words else numbers))
        changes = {"number": WRONG_NUMBERS, "zero": [0, 0.0], "tiny": [5e-324, 1e-300], "word": ["scn", "", "é\n"]}
        at(data, path[:-1])[path[-1]] = draw(st.sampled_from(changes[how]))
        certain = how in ("number", "word") and "layers" not in path and "published" not in path
    return "\n".join(f"{json.dumps(key)} = {spelt(value)}" for key, value in data.items()).encode(), certain


def broken_text(draw, text, how):
    raw = text.encode()
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw) - 1))], False
    if how == "twice":
        lines = [line for line in text.splitlines() if re.match(r"\w+ = [^{\[]*$", line)]
        line = draw(st.sampled_from(lines[:3]))
        return f"{line}\n{text}".encode(), True
    junk = draw(
        st.one_of(st.binary(min_size=1, max_size=20), st.sampled_from([b"\0", b"\xff\xfe", b"[[", b"= =", b"\x1b[2J"]))
    )
    place = draw(st.integers(0, len(raw)))
    return raw[:place] + junk + raw[place:], False


def attempted(arguments, *, certain):
    """Run in an empty folder with an output file: refused in one line, or a success with its file."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        code, output, errors = sim(*arguments, "-o", "out.h5")
        written = os.listdir(folder)
    if code == 0 and not certain:
        assert (errors, written) == ("", ["out.h5"])
        assert output
        return "accepted"
    assert_one_line(code, output, errors)
    assert written == []
    return "refused"


def fuzz(attempt, strategy, examples, least_refused):
    """Attempt many examples; most are to be refused, or the mutations say nothing."""
    outcomes = Counter()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(strategy)
    def each(example):
        outcomes[attempt(example)] += 1

    each()
    assert sum(outcomes.values()) >= examples // 2
    assert outcomes["refused"] >= least_refused * sum(outcomes.values()), outcomes


@pytest.mark.parametrize(
    ("kind", "name", "option", "least_refused"),
    [
        ("accelerators", "scnn", "--arch", 0.7),
        ("accelerators", "dcnn", "--arch", 0.7),
        ("accelerators", "dcnn", "--baseline", 0.7),
        ("workloads", "lenet5", "--net", 0.6),
        ("memory", "ideal", "--memory", 0.6),
        ("technology", "45nm", "--technology", 0.5),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, kind, name, option, least_refused):
    text = (config.folder(kind) / f"{name}.toml").read_text()
    path = tmp_path / "broken.toml"
    base = {"--arch": "scnn", "--net": "lenet5"} | {option: str(path)}
    arguments = [word for pair in base.items() for word in pair]

    def attempt(example):
        content, certain = example
        path.write_bytes(content)
        return attempted([*arguments, "--layers", "ip2"], certain=certain)

    fuzz(attempt, broken(text), 150, least_refused)


# Then overrides


KEYS = [
    "pe.rows",
    "pe.Kc",
    "pe.F",
    "clock_hz",
    "pe.bank_hash",
    "buffers.iaram_bytes",
    "ppu.overlap",
    "memory.latency_s",
]
WRONG_VALUES = [
    "-1",
    "nan",
    "-inf",
    "'",
    "[",
    "{}",
    "1e999",
    "9" * 5000,
    "",
    " ",
    "'text'",
    "=",
    "1979-05-27",
    "é",
    "\0",
    "\n",
]
overrides = st.one_of(
    st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(WRONG_VALUES)),
    st.builds(
        "{}={}".format, st.sampled_from(["pe.row", "rows", "pe", "memory", "memory.x", "a.b.c", "."]), st.just("1")
    ),
    st.text(max_size=30).filter(lambda text: text.partition("=")[0] not in KEYS),
    st.sampled_from(
        ["pe.rows.x=1", "pe..rows=1", "pe.rows==1", "pe.rows", "=", "=1", "." * 50 + "=1", "pe=1", "a." * 99 + "a=1"]
    ),
)


@pytest.mark.parametrize("option", ["--set", "--set-baseline"])
def test_a_broken_override_is_one_line(option):
    def attempt(assignments):
        words = [word for assignment in assignments for word in (option, assignment)]
        return attempted([*FAST, "--baseline", "scnn", *words], certain=True)

    fuzz(attempt, st.lists(overrides, min_size=1, max_size=3), 200, 1.0)


# Then arguments


OPTIONS = [
    *("--arch", "--net", "--baseline", "--memory", "--technology"),
    *("--fidelity", "--layers", "--weights", "--activations"),
]
NUMBERS = ["--batch", "--seed", "--threads"]
WRONG_WORDS = [
    "",
    ".",
    "/",
    "..",
    "a/b",
    "none.toml",
    "/dev/null",
    "x" * 5000,
    "scnn ",
    "SCNN",
    "\0",
    "a\nb",
    "é",
    "[",
    "-",
    "\x1b[2J",
    "*.npz",
]
WRONG_COUNTS = ["0.5", "1e3", "-1", "x", "", "9" * 5000, "0x10", "nan", "-" + "9" * 100, "ten"]
arguments_that_are_wrong = st.one_of(
    st.tuples(st.sampled_from([option for option in OPTIONS if option != "--layers"]), st.sampled_from(WRONG_WORDS)),
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from(WRONG_COUNTS)),
    st.tuples(
        st.sampled_from(["--weights", "--activations"]),
        st.sampled_from(["density=", "density=2", "density=-0.1", "density=x"]),
    ),
    st.tuples(st.just("--batch"), st.sampled_from(["0", "99999999999", "9" * 4000])),
    st.tuples(st.just("--threads"), st.sampled_from(["0", "1025", "1000000000"])),
    st.tuples(
        st.text(min_size=1, max_size=12).filter(
            lambda text: text not in ("--json", "--check", "--help") and text[:2] != "-o"
        )
    ),
)
# What follows an option of the base call replaces it, so that any text is an attempt on that option.
any_text = st.tuples(
    st.sampled_from([*OPTIONS, *NUMBERS]), st.text(max_size=20).filter(lambda text: not text.isdigit())
)


def test_a_wrong_argument_is_one_line():
    def attempt(words):
        return attempted([*FAST, *words], certain=True)

    fuzz(attempt, arguments_that_are_wrong, 250, 1.0)


def test_any_text_for_an_option_is_a_run_or_one_line():
    def attempt(words):
        return attempted([*FAST, *words], certain=False)

    fuzz(attempt, any_text, 200, 0.8)


# Values at the end of what is accepted: they end, in time


@pytest.mark.parametrize(
    "assignments",
    [
        ["pe.rows=256", "pe.cols=256", "pe.F=16", "pe.I=15", "pe.queue_depth=0"],
        ["pe.rows=1", "pe.cols=1", "pe.F=1", "pe.I=1", "pe.Kc=1"],
        ["pe.Kc=accumulator", "pe.accumulator_entries=1048576"],
        ["pe.Kc=65536"],
        ["pe.accumulator_banks=254", "pe.queue_depth=200"],
        ["pe.accumulator_banks=1", "pe.queue_depth=0"],
        ["weight_fifo.entries=1", "weight_fifo.vectors_per_cycle=1"],
        ["weight_fifo.entries=1048576", "weight_fifo.vectors_per_cycle=4096"],
        ["buffers.iaram_bytes=64", "buffers.oaram_bytes=64"],
        ["compression.index_bits=16", "compression.data_bits=64"],
        ["compression.index_bits=1", "compression.data_bits=1"],
        ["clock_hz=1e12", "memory.bytes_per_s=1e6", "memory.latency_s=1e-3"],
        ["clock_hz=1.0", "memory.bytes_per_s=1e15"],
    ],
    ids=lambda assignments: ",".join(assignments),
)
def test_extreme_values_end_in_a_table_or_one_line(assignments):
    words = [word for assignment in assignments for word in ("--set", assignment)]
    assert attempted([*LENET, "--layers", "conv2,ip2", *words], certain=False) in ("accepted", "refused")


@pytest.mark.parametrize(
    "assignments", [["buffers.activation_bytes=64", "buffers.word_bits=64"], ["pe.Kc=65536"]], ids=str
)
def test_extreme_values_of_the_dense_machine_end(assignments):
    words = [word for assignment in assignments for word in ("--set", assignment)]
    assert attempted(["--arch", "dcnn", "--net", "vgg16", "--layers", "conv5_1", *words], certain=False) == "accepted"


# A few through a process of their own


@pytest.mark.parametrize(
    "arguments",
    [
        ["--arch", "scnn", "--net", "lenet"],
        ["--arch", "broken.toml", "--net", "lenet5"],
        [*LENET, "--set", "memory.bytes_per_s=-1"],
        [*LENET, "--threads", "0", "-o", "out.h5"],
        [*LENET, "-o", "none/out.h5"],
    ],
    ids=" ".join,
)
def test_a_process_of_its_own_fails_in_one_line(empty_folder, arguments):
    (empty_folder / "broken.toml").write_bytes(b"model = 'scnn'\npe = {\xff")
    root = Path(archmodel.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [*SUBPROCESS, "sim", *arguments], cwd=empty_folder, capture_output=True, text=True, env=environment
    )
    assert_one_line(done.returncode, done.stdout, done.stderr)
    assert os.listdir(empty_folder) == ["broken.toml"]


# Patterns of the zeros


def test_the_pattern_of_the_zeros_is_in_object_file_and_show(empty_folder):
    table = succeeded(*FAST, "--zeros", "correlated:length=3", "-o", "out.h5")
    document = json.loads(succeeded(*FAST, "--zeros", "correlated:length=3", "--json"))
    zeros = document["config"]["zeros"]
    assert zeros == config.read("zeros", "correlated")[0] | {"length": 3}
    assert archmodel.load("out.h5").config["zeros"] == zeros
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main.run(["show", "out.h5"]) == 0
    for text in (table, shown.getvalue()):
        [line] = [line for line in text.splitlines() if line.startswith("zeros ")]
        assert line.startswith("zeros        Correlated, as measured: length 3, length_plane 14,")


def test_a_uniform_run_shows_no_pattern(empty_folder):
    assert "\nzeros " not in succeeded(*FAST, "-o", "out.h5")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main.run(["show", "out.h5"]) == 0
    assert not [line for line in shown.getvalue().splitlines() if line.startswith("zeros ")]


def test_a_wrong_pattern_is_one_line(empty_folder):
    assert_one_line(*sim(*FAST, "--zeros", "clustered"))
    assert_one_line(*sim(*FAST, "--zeros", "correlated:lenght=3"))
