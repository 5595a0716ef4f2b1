"""The command line as a user meets it: help, lists, and one line for everything that can go wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archmodel
from archmodel import config
from archmodel.cli import common, listing, main
from archmodel.errors import ResultError
from archmodel.exchange import read_network

ROOT = Path(__file__).resolve().parents[1]
ARCHMODEL = [sys.executable, "-c", "import sys; from archmodel.cli.main import run; sys.exit(run())"]


@pytest.fixture
def archmodel_run(capsys):
    """Run the command line in this process: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main.run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def verb_that(monkeypatch):
    """Put a verb ``act`` into the group that does what it is told."""

    def install(action):
        module = types.ModuleType("archmodel_test_verb")
        module.act = click.Command("act", callback=action)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(main.VERBS, "act", main.Verb(module.__name__, "act", "A test."))

    return install


def raising(error: BaseException):
    def action():
        raise error

    return action


# Help, version and lists


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=["no arguments", "--help"])
def test_help_names_every_verb(archmodel_run, arguments):
    code, output, errors = archmodel_run(*arguments)
    assert (code, errors) == (0, "")
    for name, verb in main.VERBS.items():
        assert f"  {name}" in output
        assert verb.summary in output


def test_help_fits_a_terminal_of_80_columns(archmodel_run):
    assert max(len(line) for line in archmodel_run("--help")[1].splitlines()) <= 80


def test_the_version_is_that_of_the_package(archmodel_run):
    assert archmodel_run("--version") == (0, f"archmodel {archmodel.__version__}\n", "")


def test_list_prints_every_name_with_its_title(archmodel_run):
    code, output, errors = archmodel_run("list", "networks")
    assert (code, errors) == (0, "")
    assert [line.split()[0] for line in output.splitlines()] == config.names("workloads")
    assert "VGG-16" in next(line for line in output.splitlines() if line.startswith("vgg16"))


def test_list_of_all_kinds_has_a_heading_for_each_that_has_names(archmodel_run):
    code, output, _ = archmodel_run("list")
    assert code == 0
    headings = [line[:-1] for line in output.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == list(listing.KINDS) == list(json.loads(archmodel_run("list", "--json")[1]))
    assert all(config.names(kind) for kind in listing.KINDS.values())


def test_every_kind_is_offered_by_the_help(archmodel_run):
    offered = archmodel_run("list", "--help")[1].partition("[OPTIONS]")[2].partition("]")[0].strip(" [\n")
    assert [name.strip() for name in offered.split("|")] == list(listing.KINDS)
    assert all(config.names(listing.KINDS[name]) for name in (name.strip() for name in offered.split("|")))


def test_a_network_is_listed_with_the_densities_that_a_run_takes(archmodel_run):
    listed = {entry["name"]: entry for entry in json.loads(archmodel_run("list", "networks", "--json")[1])["networks"]}
    lines = {line.split()[0]: line for line in archmodel_run("list", "networks")[1].splitlines()}
    for name in ("vgg16", "squeezenet", "squeezenet_pruned", "bert_base"):
        run = archmodel.simulate("dcnn", name, fidelity="statistical")
        layers = dict(zip((layer.name for layer in run.layers), run.layers, strict=True))
        network = read_network(name).compute_layers
        inputs = sum(layers[one.name].input_density * one.input_words for one in network)
        weights = sum(layers[one.name].weight_density * one.weight_words for one in network if one.kind != "matmul")
        inputs /= sum(one.input_words for one in network)
        weights /= sum(one.weight_words for one in network if one.kind != "matmul")
        entry = listed[name]
        assert (entry["weight_density"], entry["input_density"]) == pytest.approx((weights, inputs), rel=1e-6)
        assert f"  w {weights:.2f}  in {inputs:.2f}  {entry['title']}" in lines[name]


@pytest.mark.parametrize(
    "arguments", [["list", "--json"], ["list", "memory", "--json"], ["list", "networks", "--json"]], ids=" ".join
)
def test_list_as_json_is_one_object(archmodel_run, arguments):
    code, output, errors = archmodel_run(*arguments)
    assert (code, errors) == (0, "")
    found = json.loads(output)
    kind = arguments[1]
    assert list(found) == ([kind] if kind in listing.KINDS else list(listing.KINDS))
    densities = {"weight_density", "input_density"} if kind == "networks" else set()
    for name, entries in found.items():
        assert all(entry.keys() == {"name", "title"} | densities for entry in entries)
        assert [entry["name"] for entry in entries] == config.names(listing.KINDS[name])


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# A comment.\ntitle = 'The title'\nname = 'x'", "The title"),
        ("# A comment.\nname = 'The name'", "The name"),
        ("\n#  The first comment.\n# Another.\nx = 1", "The first comment."),
        ("name = 3", ""),
    ],
)
def test_a_title_is_the_title_the_name_or_the_first_comment(tmp_path, text, title):
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert listing.title(config.parse(text, "x.toml"), path) == title


# Errors: one line on standard error, exit code 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["lsit"],
            "show, export, prune, quantize, memory-trace, train, compare, plot, validate; did you mean 'list'?",
        ),
        (["\x1b[31m\n"], "unknown verb"),
        (["x" * 10_000], "unknown verb"),
        (["--jsn"], "no such option '--jsn' (see 'archmodel --help')"),
        (["list", "netwroks"], "did you mean 'networks'? (see 'archmodel list --help')"),
        (["list", "--jsn"], "Did you mean '--json'? (see 'archmodel list --help')"),
        (["list", "networks", "links"], "unexpected extra argument (links)"),
        (["list", ""], "'': unknown kind"),
    ],
)
def test_a_mistyped_command_is_one_line(archmodel_run, arguments, expected):
    code, output, errors = archmodel_run(*arguments)
    assert (code, output) == (2, "")
    assert expected in errors
    assert_one_line(errors)


def assert_one_line(errors: str) -> None:
    line, end = errors[:-1], errors[-1:]
    assert end == "\n"
    assert line.isprintable()
    assert line.startswith("archmodel: error: ")
    assert len(line) < 400


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (ResultError("out.h5: is\nno HDF5 file"), 2, "out.h5: is no HDF5 file"),
        (PermissionError(errno.EACCES, "Permission denied", "out.h5"), 2, "out.h5: Permission denied"),
        (OSError("unable to write"), 2, "unable to write"),
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.BadParameter("no\nnumber"), 2, "no number"),
        (ModuleNotFoundError("x", name="pandas.core"), 2, "install it with: pip install 'archmodel[plot]'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_whatever_a_verb_meets_is_one_line(archmodel_run, verb_that, error, code, expected):
    verb_that(raising(error))
    returned, output, errors = archmodel_run("act")
    assert (returned, output) == (code, "")
    assert expected in errors
    assert_one_line(errors)


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="archmodel.missing"), ZeroDivisionError()])
def test_a_fault_of_ours_is_not_hidden(archmodel_run, verb_that, error):
    verb_that(raising(error))
    with pytest.raises(type(error)):
        archmodel_run("act")


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (1, 1), ({"a": 1}, 0)])
def test_a_verb_decides_its_exit_code(archmodel_run, verb_that, returned, code):
    verb_that(lambda: returned)
    assert archmodel_run("act")[0] == code


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30).filter(lambda text: text not in main.VERBS), min_size=1, max_size=4))
def test_any_arguments_after_list_give_a_list_or_one_line(arguments):
    assert main.run(["list", *arguments]) in (0, 2)
    assert main.run(arguments) in (0, 2)


# Streams: only a process of its own shows what an interpreter does at its exit, and only with its usual buffers

BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


def listed(stdout: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARCHMODEL, "list"], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, env=BUFFERED
    )


def test_an_output_that_cannot_be_written_is_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = listed(full)
    assert done.returncode == 2
    assert_one_line(done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "--json"],
        ["show", "scnn"],
        ["show", "lenet5"],
        ["sim", "--arch", "scnn", "--net", "alexnet", "--fidelity", "statistical"],
        ["sim", "--arch", "scnn", "--net", "alexnet", "--fidelity", "statistical", "--json"],
        ["sim", "--arch", "scnn,dcnn", "--net", "alexnet", "--fidelity", "statistical"],
    ],
    ids=" ".join,
)
def test_a_reader_that_has_enough_ends_every_verb_in_the_same_way(arguments):
    """Silent, with 128 + SIGPIPE: what a shell reports of `cat` and `grep` there, so `pipefail` treats all alike."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*ARCHMODEL, *arguments], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, env=BUFFERED
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(closing):
    command = f'"$@" list {closing}'
    done = subprocess.run(["sh", "-c", command, "sh", *ARCHMODEL], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_locale_cannot_spell_is_escaped():
    code = "from archmodel.cli import main; import click; main.run(['--version']); click.echo('3 \\u2192 5')"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 \\u2192 5" in done.stdout


def test_ctrl_c_is_one_line_and_130(tmp_path):
    ready = tmp_path / "ready"
    (tmp_path / "slow_verb.py").write_text(
        "import time, pathlib, click\n"
        f"def wait():\n    pathlib.Path({str(ready)!r}).touch()\n    time.sleep(60)\n"
        "act = click.Command('act', callback=wait)\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from archmodel.cli import main\n"
        "main.VERBS['act'] = main.Verb('slow_verb', 'act', '')\n"
        "sys.exit(main.run(['act']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "archmodel: error: interrupted\n")


# What the verbs share


def test_json_has_numbers_where_numpy_had_scalars(capsys):
    common.print_json(
        {"cycles": np.int64(3), "density": np.float32(0.5), "lanes": np.arange(3), "fits": np.bool_(True)}
    )
    assert json.loads(capsys.readouterr().out) == {"cycles": 3, "density": 0.5, "lanes": [0, 1, 2], "fits": True}


def test_json_refuses_what_it_cannot_spell():
    with pytest.raises(ValueError, match="JSON"):
        common.print_json({"speedup": float("nan")})
    with pytest.raises(TypeError, match="object has no JSON form"):
        common.print_json({"x": object()})


def test_the_console_prints_text_as_it_is(capsys):
    common.console().print("[bold]layers[0] :smile: 3x3")
    assert capsys.readouterr().out == "[bold]layers[0] :smile: 3x3\n"
