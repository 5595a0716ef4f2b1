"""Result files: what is saved is what is loaded, and whatever happens to a file or a disk is one line at worst."""

import copy
import dataclasses
import errno
import hashlib
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from archmodel import results
from archmodel.accelerators import columns, comparison
from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.seeds import SeedRuns
from archmodel.cli.tables import HEADINGS, OTHER
from archmodel.errors import ResultError
from archmodel.memory.dram import Stream
from archmodel.results import result_file, run_file

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "results.md").read_text("utf-8")


def a_layer(seed: int, name: str = "conv1", **changes) -> LayerResult:
    """A layer with made-up counts: each seed has other causes, components, streams and arrays."""
    rng = random.Random(seed)
    causes = ["busy", *rng.sample(CAUSES[1:], rng.randrange(1, len(CAUSES)))]
    num_multipliers = rng.choice([1, 4, 1024])
    slots = {cause: rng.randrange(10**6) * num_multipliers for cause in causes}
    busy = slots["busy"]
    components = rng.sample(["iaram", "oaram", "weight_fifo", "accumulators"], rng.randrange(5))
    layer = LayerResult(
        name=name,
        kind=rng.choice(["conv", "fc"]),
        num_multipliers=num_multipliers,
        cycles=sum(slots.values()) // num_multipliers,
        stack=slots,
        macs_dense=3 * busy,
        macs_effectual=busy,
        macs_issued=2 * busy,
        weight_density=rng.random(),
        input_density=rng.random(),
        output_density=1 / 3,
        words_read={component: rng.randrange(2**62) for component in components},
        words_written={component: rng.randrange(9) for component in components[1:]},
        operations={component: rng.randrange(2**40) for component in components[:1]},
        energy_pj={component: rng.random() for component in [*components, "dram"]} if rng.random() < 0.7 else {},
        streams=tuple(
            Stream(rng.choice(columns.DRAM_KINDS), rng.choice(["read", "write"]), rng.randrange(2**40), tile)
            for tile in range(rng.randrange(4))
        ),
        cycle_map=None if seed % 4 == 3 else np.random.default_rng(seed).integers(0, 2**40, (rng.randrange(9), 64)),
        details={"Kc": rng.randrange(64), "rule": "größer", "share": rng.random()} if rng.random() < 0.7 else {},
        origins={"weights": f"profile: {seed} non-zeros; Han et al. – 2015", "inputs": "synthetic: density 0.5"},
        checked=rng.random() < 0.5,
    )
    return dataclasses.replace(layer, **changes)


def a_run(seed: int = 0, num_layers: int = 3, **changes) -> RunResult:
    """A run of made-up layers conv0, conv1, ..."""
    run = RunResult(
        arch="scnn",
        net="lenet5",
        fidelity="exact",
        seed=seed,
        batch=2,
        clock_hz=1e9,
        config={
            "accelerator": {"model": "scnn", "clock_hz": 1e9, "pe": {"rows": 8}},
            "memory": {"name": "Ideal"},
            "technology": {"name": "16 nm"},
        },
        layers=tuple(a_layer(100 * seed + index, f"conv{index}") for index in range(num_layers)),
        skipped=("relu1", "fire2/concat"),
        unsupported=("lstm1",),
        area_mm2={"iaram": 0.1 + seed, "größe": 2.0, "filler": 0.0},
        provenance={"archmodel": "0.1.0", "numpy": "2.4.6"},
        wall_s=0.1 + seed,
    )
    return dataclasses.replace(run, **changes)


def plain(value: object) -> object:
    """A result as something that == compares, types and all: arrays as dtype, shape and list."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tolist())
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    assert type(value) in (int, float, str, bool, type(None), list), type(value)
    return value


def saved(tmp_path: Path, run: RunResult, name: str = "out.h5") -> Path:
    path = tmp_path / name
    results.save(run, path)
    return path


def assert_one_line(error: pytest.ExceptionInfo, path: os.PathLike) -> None:
    text = str(error.value)
    assert text.isprintable()
    assert text.startswith(str(path)[:150])
    assert len(text) < 500


# What is saved is what is loaded


@pytest.mark.parametrize("seed", range(20))
def test_a_run_loads_as_it_was_saved(tmp_path, seed):
    run = a_run(seed, num_layers=seed % 5 + 1, baseline=a_run(seed + 50, arch="dcnn") if seed % 2 else None)
    assert plain(results.load(saved(tmp_path, run))) == plain(run)


@pytest.mark.parametrize(
    "run",
    [
        a_run(layers=()),
        a_run(skipped=(), provenance={}, config={}),
        a_run(net="größe/網 3"),
        a_run(seed=2**200),
        a_run(wall_s=0.1 + 0.2, clock_hz=7e8 / 3),
        a_run(layers=(a_layer(1, words_read={}, words_written={}, streams=(), cycle_map=None, origins={}),)),
        a_run(layers=(a_layer(1, cycle_map=np.zeros((0, 64), np.int64)),)),
        a_run(layers=(a_layer(1, cycles=0, stack={"busy": 0}),)),
        a_run(layers=(a_layer(1, words_read={"a/b": 2**63 - 1, "größe": 0, "\ud800": 1} | {"": 3}),)),
        a_run(layers=(a_layer(1, details={"text": "\0 \ud800 \"'\\ \n", "": -1}),)),
    ],
    ids=range(10),
)
def test_corners_load_as_they_were_saved(tmp_path, run):
    if any("\ud800" in layer.words_read for layer in run.layers):
        escaped = {key.replace("\ud800", "\\ud800"): words for key, words in run.layers[0].words_read.items()}
        expected = dataclasses.replace(run, layers=(dataclasses.replace(run.layers[0], words_read=escaped),))
    else:
        expected = run
    assert plain(results.load(saved(tmp_path, run))) == plain(expected)


def test_the_order_of_causes_and_components_is_kept(tmp_path):
    run = a_run(layers=(a_layer(3, words_read={"z": 1, "a": 2}),))
    (layer,) = results.load(saved(tmp_path, run)).layers
    assert list(layer.words_read) == ["z", "a"]
    assert list(layer.stack) == [cause for cause in CAUSES if cause in layer.stack]


def test_numpy_scalars_become_numbers(tmp_path):
    run = a_run(layers=(a_layer(1, details={"Kc": np.int64(8), "share": np.float64(0.5)}, macs_issued=np.int64(3)),))
    (layer,) = results.load(saved(tmp_path, run)).layers
    assert plain(layer.details) == {"Kc": 8, "share": 0.5}
    assert type(layer.macs_issued) is int


def test_a_file_name_that_is_no_text_is_escaped(tmp_path):
    assert results.load(saved(tmp_path, a_run(net="net\udcff"))).net == "net\\udcff"


def test_both_suffixes_strings_and_paths_are_taken(tmp_path):
    for path in (tmp_path / "a.hdf5", str(tmp_path / "b.h5")):
        results.save(a_run(), path)
        assert results.load(path).arch == "scnn"


# The schema


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def waiting(run: RunResult, **reasons: int) -> RunResult:
    """The run with a layer in front that waited for its memory."""
    slots = sum(reasons.values())
    first = a_layer(0, "waits", num_multipliers=1, cycles=slots, stack={"memory": slots}, memory_stack=reasons)
    return dataclasses.replace(run, layers=(first, *run.layers))


def test_only_layers_that_know_why_they_waited_have_reasons(tmp_path):
    known = waiting(a_run(3), latency=3, bandwidth=4)
    for run in (known, dataclasses.replace(known, layers=(a_layer(3, memory_stack={}),))):
        path = saved(tmp_path, run)
        assert results.load(path).layers == run.layers
        with h5py.File(path) as file:
            assert ("memory_stack" in file) == (run is known)


def test_reasons_sum_to_the_slots_of_memory():
    with pytest.raises(ValueError, match="does not sum to the slots of memory"):
        a_layer(0, num_multipliers=1, cycles=7, stack={"memory": 7}, memory_stack={"latency": 6})


def test_cycles_of_memory_by_reason_are_in_totals_and_layers():
    document = waiting(a_run(3), latency=3, bandwidth=4).as_dict()
    assert document["totals"].keys() == TOTALS | {"memory_stalls", "dram_error_cycles"}
    assert document["totals"]["memory_stalls"] == {"bandwidth": 4.0, "latency": 3.0, "turnaround": 0.0, "refresh": 0.0}
    assert document["layers"][0]["memory_stalls"] == document["totals"]["memory_stalls"]
    assert all("memory_stalls" not in layer for layer in document["layers"][1:])


def test_every_dataset_explains_itself_and_stands_in_the_document(tmp_path):
    path = saved(tmp_path, waiting(a_run(5, num_layers=5, baseline=waiting(a_run(6), refresh=2)), latency=1))
    with h5py.File(path) as file:
        found = datasets(file)
        assert {f"baseline/{name}" for name in run_file.SCHEMA} | set(run_file.SCHEMA) < set(found)
        assert any(name.startswith("cycle_map/") for name in found)
        for name, dataset in found.items():
            assert dataset.attrs["unit"]
            assert dataset.attrs["description"]
            known = name.removeprefix("baseline/")
            assert f"`{'cycle_map/<row>' if known.startswith('cycle_map/') else known}`" in DOCUMENT
        for name in file.attrs:
            assert f"`{name}`" in DOCUMENT


def test_the_document_names_no_dataset_that_does_not_exist():
    table = DOCUMENT.partition("## Datasets")[2].partition("The group `baseline`")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for cell in first_cells for name in cell.split("`")[1::2]}
    assert named == set(run_file.SCHEMA) | {"cycle_map/<row>"}


def test_the_document_lists_every_cause_with_its_column_of_the_table():
    section = DOCUMENT.partition("## Causes")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]
    columns = {"busy": "util", **{cause: heading for cause, heading in HEADINGS.items() if cause != OTHER}}
    assert [(cause, column) for cause, column, _ in rows] == [(f"`{cause}`", columns[cause]) for cause in CAUSES]
    assert all(what for _, _, what in rows)


def test_the_examples_of_the_document_run(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is an extra")
    layers = tuple(a_layer(seed, f"conv{seed}", energy_pj={"iaram": seed + 0.1, "dram": 2.0}) for seed in range(3))
    run = a_run(layers=layers)
    saved(tmp_path, run)
    monkeypatch.chdir(tmp_path)
    file_example, _, frame_example = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    found = {}
    exec(compile(file_example, "results.md", "exec"), found)
    assert found["slots"] == run.stack
    exec(compile(frame_example, "results.md", "exec"), found)
    assert found["stalls"].sum().sum() == pytest.approx(run.cycles)


def test_columns_have_the_layers_quantities(tmp_path):
    run = a_run(7)
    with h5py.File(saved(tmp_path, run)) as file:
        for index, layer in enumerate(run.layers):
            assert file["layers/name"].asstr()[index] == layer.name
            assert file["layers/multiplier_utilization"][index] == layer.multiplier_utilization
            assert file["layers/time_s"][index] == layer.cycles / run.clock_hz
            for kind in columns.DRAM_KINDS:
                assert file[f"layers/dram_{kind}_bytes"][index] == layer.dram_bytes_of(kind)
            assert file["stack/slots"][index].sum() == layer.slots
        assert file["streams/num_bytes"][()].sum() == run.total("dram_bytes")
        assert json.loads(file.attrs["config"]) == run.config
        assert file.attrs["schema_version"] == result_file.SCHEMA_VERSION


def test_cycle_maps_are_compressed(tmp_path):
    run = a_run(layers=(a_layer(1, cycle_map=np.arange(100 * 64).reshape(100, 64)),))
    with h5py.File(saved(tmp_path, run)) as file:
        dataset = file["cycle_map/0"]
        assert (dataset.compression, dataset.compression_opts, dataset.shuffle) == ("gzip", 4, True)
        assert dataset.dtype == np.int64


def test_the_first_line_says_what_the_file_is(tmp_path):
    path = saved(tmp_path, a_run())
    line = path.read_bytes().split(b"\n")[0].decode()
    assert line == f"archmodel result, schema 2, sha256 {hashlib.sha256(path.read_bytes()[512:]).hexdigest()}"
    assert h5py.is_hdf5(path)


# Files that are no result files


def sealed(path: Path, version: int = result_file.SCHEMA_VERSION) -> None:
    """Give a changed file the header of a whole one."""
    body = path.read_bytes()[512:]
    header = result_file.HEADER.format(version=version, digest=hashlib.sha256(body).hexdigest())
    path.write_bytes(header.encode().ljust(512, b"\0") + body)


def changed(path: Path, change) -> None:
    with h5py.File(path, "r+") as file:
        change(file)
    sealed(path)


def cannot_load(path: os.PathLike, expected: str) -> None:
    with pytest.raises(ResultError) as error:
        results.load(path)
    assert expected in str(error.value)
    assert_one_line(error, path)


def test_what_is_no_file_of_ours_is_one_line(tmp_path):
    (tmp_path / "text.h5").write_text("no\nHDF5\n")
    (tmp_path / "empty.h5").write_bytes(b"")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["cycles"] = [1]
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("text.h5", "empty.h5", "other.h5"):
        cannot_load(tmp_path / name, "is not a result file of archmodel")
    cannot_load(tmp_path / "missing.h5", "No such file")
    cannot_load(tmp_path, "is a folder")
    cannot_load(tmp_path / "pipe.h5", "not a file")
    cannot_load(tmp_path / "text.h5" / "below.h5", "Not a directory")
    cannot_load(tmp_path / ("x" * 300 + ".h5"), "name too long")
    with pytest.raises(ResultError, match="null byte"):
        results.load("a\0.h5")
    with pytest.raises(ResultError, match="No such file"):
        results.load("a\n\x1b[31m.h5")


@pytest.mark.parametrize("version", [1, 3])
def test_another_schema_says_so(tmp_path, version):
    path = saved(tmp_path, a_run())
    sealed(path, version=version)
    cannot_load(path, f"schema {version}: archmodel 0.1.0 reads schema 2")


def test_a_file_that_was_changed_says_so(tmp_path):
    path = saved(tmp_path, a_run())
    with h5py.File(path, "r+") as file:
        file["layers/cycles"][0] += 1
    cannot_load(path, "changed since it was written")


@pytest.mark.parametrize("name", [*run_file.SCHEMA, "baseline/layers/cycles"])
def test_a_missing_dataset_is_named(tmp_path, name):
    path = saved(tmp_path, waiting(a_run(baseline=a_run(1)), latency=1))

    def remove(file):
        del file[name]

    changed(path, remove)
    cannot_load(path, f"dataset {name.removeprefix('baseline/')} is missing")


@pytest.mark.parametrize("name", list(run_file.ATTRIBUTES))
def test_a_missing_attribute_is_named(tmp_path, name):
    path = saved(tmp_path, a_run())

    def remove(file):
        del file.attrs[name]

    changed(path, remove)
    cannot_load(path, name)


def replace(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    "change",
    [
        replace("layers/cycles", [1, 2]),
        replace("layers/cycles", ["one", "two", "three"]),
        replace("layers/cycles", 3),
        replace("layers/name", [1, 2, 3]),
        replace("layers/details", ["{", "{}", "{}"]),
        replace("layers/details", ["[" * 100_000, "{}", "{}"]),
        replace("stack/slots", np.zeros((3, 2), np.int64)),
        replace("stack/causes", ["busy", "unheard"]),
        replace("streams/layer", [99]),
        lambda file: file.attrs.update(config="no JSON"),
        lambda file: file.attrs.update(seed="none"),
        lambda file: file.attrs.update(batch="many"),
        lambda file: file.attrs.update(batch=[1, 2]),
        lambda file: file.create_dataset("baseline", data=1),
        lambda file: file.create_group("baseline"),
    ],
    ids=range(15),
)
def test_a_file_that_contradicts_itself_is_one_line(tmp_path, change):
    path = saved(tmp_path, a_run())
    changed(path, change)
    cannot_load(path, "")


def test_whatever_happens_to_its_bytes_a_file_loads_as_it_was_or_not_at_all(tmp_path):
    run = a_run(9, baseline=a_run(10))
    whole, path, rng = saved(tmp_path, run).read_bytes(), tmp_path / "fuzzed.h5", random.Random(1)
    expected, refused = plain(run), 0
    for trial in range(300):
        image = bytearray(whole)
        if trial % 4 == 0:
            del image[rng.randrange(len(image)) :]
        for _ in range(rng.choice([1, 1, 3, 30]) if image and trial % 4 else 0):
            image[rng.randrange(rng.choice([600, len(image)]))] = rng.randrange(256)
        path.write_bytes(image)
        try:
            loaded = results.load(path)
        except ResultError:
            refused += 1
        else:
            assert plain(loaded) == expected
    assert refused > 150


# Targets that cannot be written


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out.txt", "ends in .h5 or .hdf5"),
        ("out", "ends in .h5 or .hdf5"),
        ("", "ends in .h5 or .hdf5"),
        ("missing/out.h5", "there is no folder"),
        ("file.h5/out.h5", "there is no folder"),
        ("folder.h5", "is a folder"),
        ("pipe.h5", "not a file"),
        ("loop.h5", "not a file"),
        ("a\0.h5", "not a possible name"),
        ("x" * 300 + ".h5", "not a possible name"),
        ("a\nb/out.h5", "there is no folder"),
    ],
)
def test_an_impossible_target_is_one_line(tmp_path, name, expected):
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "file.h5").write_text("")
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    before = sorted(tmp_path.iterdir())
    for act in (results.check_writable, lambda path: results.save(a_run(), path)):
        with pytest.raises(ResultError, match="cannot be written") as error:
            act(f"{tmp_path}/{name}")
        assert expected in str(error.value)
        assert_one_line(error, tmp_path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("kind", "right", "expected"),
    [
        ("folder", os.W_OK, "no permission"),
        ("folder", os.X_OK, "no permission"),
        ("file", os.W_OK, "write-protected"),
    ],
)
def test_missing_permissions_are_noticed_before_the_run(tmp_path, monkeypatch, kind, right, expected):
    path = saved(tmp_path, a_run())
    denied = str(tmp_path if kind == "folder" else path)

    def access(asked, mode):  # root may write everywhere
        return str(asked) != denied or not mode & right

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(ResultError, match=expected):
        results.check_writable(path)


def test_what_can_be_written_passes_and_leaves_no_trace(tmp_path, monkeypatch):
    results.check_writable(tmp_path / "new.h5")
    monkeypatch.chdir(tmp_path)
    results.check_writable("new.hdf5")
    assert list(tmp_path.iterdir()) == []
    results.save(a_run(), "new.h5")
    results.check_writable("new.h5")
    assert os.listdir() == ["new.h5"]


def test_a_link_stays_a_link_and_permissions_follow_the_umask(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.h5"
    link.symlink_to(tmp_path / "elsewhere" / "real.h5")
    before = os.umask(0o027)
    try:
        results.save(a_run(), link)
    finally:
        os.umask(before)
    assert link.is_symlink()
    real = tmp_path / "elsewhere" / "real.h5"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert results.load(link).net == "lenet5"


# Writes that fail


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "function", "error", "expected"),
    [
        (h5py.Group, "create_dataset", FULL, "No space left"),
        (h5py.Group, "create_dataset", OSError("Can't write data"), "Can't write data"),
        (os, "fsync", FULL, "No space left"),
        (os, "fsync", OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (os, "replace", PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, owner, function, error, expected):
    path = saved(tmp_path, a_run(1))
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, failing(error))
        with pytest.raises(ResultError, match=expected) as caught:
            results.save(a_run(2), path)
    assert_one_line(caught, path)
    assert os.listdir(tmp_path) == ["out.h5"]
    assert plain(results.load(path)) == plain(a_run(1))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, error):
    path = saved(tmp_path, a_run(1))
    monkeypatch.setattr(os, "fsync", failing(error))
    with pytest.raises(type(error)):
        results.save(a_run(2), path)
    assert os.listdir(tmp_path) == ["out.h5"]
    assert results.load(path).seed == 1


def test_a_count_of_more_than_64_bits_is_one_line(tmp_path):
    with pytest.raises(ResultError, match="too large"):
        results.save(a_run(layers=(a_layer(1, macs_issued=2**64),)), tmp_path / "out.h5")
    with pytest.raises(ResultError, match="too large"):
        results.save(a_run(batch=2**64), tmp_path / "out.h5")
    assert os.listdir(tmp_path) == []


def test_letters_are_stored_as_letters(tmp_path):
    with h5py.File(saved(tmp_path, a_run(config={"name": "Öresund"}))) as file:
        assert file.attrs["config"] == '{"name": "Öresund"}'


def test_no_infinity_gets_into_a_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.save(a_run(layers=(a_layer(1, details={"x": float("inf")}),)), tmp_path / "out.h5")
    assert os.listdir(tmp_path) == []


def child(code: str, *arguments: object) -> subprocess.Popen:
    """A process of its own that has `results` and its arguments."""
    start = "import os, resource, signal, sys, time\nfrom archmodel import results\narguments = sys.argv[1:]\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(tmp_path):
    path, new = saved(tmp_path, a_run(1)), saved(tmp_path, a_run(2), "new.h5")
    limit = new.stat().st_size // 2
    process = child(
        "run = results.load(arguments[0])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n    results.save(run, arguments[1])\n"
        "except ValueError as error:\n    print(error)\n",
        *(new, path),
    )
    output, errors = process.communicate(timeout=60)
    assert "File too large" in output, errors
    assert sorted(os.listdir(tmp_path)) == ["new.h5", "out.h5"]
    assert results.load(path).seed == 1


def test_kill_9_at_any_moment_leaves_a_whole_file(tmp_path):
    (tmp_path / "work").mkdir()
    runs = [a_run(1), a_run(2)]
    sources = [saved(tmp_path, run, f"{run.seed}.h5") for run in runs]
    path, rng = saved(tmp_path / "work", runs[0]), random.Random(0)
    code = (
        "runs = [results.load(path) for path in arguments[:2]]\nprint('ready', flush=True)\n"
        "while True:\n    for run in runs:\n        results.save(run, arguments[2])\n"
    )
    for _ in range(5):
        process = child(code, *sources, path)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert plain(results.load(path)) in [plain(run) for run in runs]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_kill_9_before_the_rename_leaves_the_old_file(tmp_path, moment):
    (tmp_path / "work").mkdir()
    new, path = saved(tmp_path, a_run(2), "new.h5"), saved(tmp_path / "work", a_run(1))
    process = child(
        "run = results.load(arguments[0])\n"
        "def wait(*_):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        f"os.{moment} = wait\nresults.save(run, arguments[1])\n",
        *(new, path),
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(os.listdir(tmp_path / "work")) == 2
    assert plain(results.load(path)) == plain(a_run(1))
    results.save(a_run(3), path)
    assert results.load(path).seed == 3


def test_two_processes_write_into_one_folder(tmp_path):
    (tmp_path / "work").mkdir()
    sources = [saved(tmp_path, a_run(seed), f"{seed}.h5") for seed in (1, 2)]
    code = (
        "run = results.load(arguments[0])\n"
        "for _ in range(8):\n"
        "    for name in (f'own{run.seed}.h5', 'shared.h5'):\n        results.save(run, f'{arguments[1]}/{name}')\n"
        "        results.load(f'{arguments[1]}/shared.h5') if os.path.exists(f'{arguments[1]}/shared.h5') else None\n"
    )
    processes = [child(code, source, tmp_path / "work") for source in sources]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert sorted(os.listdir(tmp_path / "work")) == ["own1.h5", "own2.h5", "shared.h5"]
    assert [results.load(tmp_path / "work" / f"own{seed}.h5").seed for seed in (1, 2)] == [1, 2]
    assert results.load(tmp_path / "work" / "shared.h5").seed in (1, 2)


# The object of --json

TOTALS = {
    "cycles", "time_s", "macs_dense", "macs_effectual", "macs_issued", "multiplier_utilization", "oracle_cycles",
    "energy_pj", "energy_by_component_pj", "dram_bytes", "stalls",
}
LAYER = TOTALS | {"name", "kind", "weight_density", "input_density", "origins", "details"}
RUN = {"arch", "net", "fidelity", "seed", "batch", "totals", "layers", "baseline", "speedup", "seeds"}


def test_the_keys_of_the_object_are_an_interface():
    document = a_run(baseline=a_run(1)).as_dict()
    for run in (document, document["baseline"]):
        assert run.keys() >= RUN
        assert run["totals"].keys() == TOTALS
        assert all(layer.keys() >= LAYER for layer in run["layers"])
    assert document["baseline"]["baseline"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_stalls_are_cycles_that_sum_to_the_cycles():
    document = a_run(4).as_dict()
    for part in (document["totals"], *document["layers"]):
        assert sum(part["stalls"].values()) == pytest.approx(part["cycles"], rel=1e-12)
        assert list(part["stalls"]) == [cause for cause in CAUSES if cause in part["stalls"]]


def test_totals_are_sums_by_hand():
    def layer(name, cycles, busy):
        return a_layer(
            0,
            name,
            num_multipliers=4,
            cycles=cycles,
            stack={"busy": busy, "memory": 4 * cycles - busy},
            macs_effectual=busy,
            streams=(Stream("weight", "read", 100), Stream("output", "write", 7)),
            energy_pj={"iaram": busy / 2, "dram": 100.0},
        )

    run = a_run(layers=(layer("a", 10, 21), layer("b", 30, 39)), clock_hz=2e9)
    totals = run.as_dict()["totals"]
    assert totals["cycles"] == 40
    assert totals["time_s"] == 20e-9
    assert totals["macs_effectual"] == 60
    assert totals["multiplier_utilization"] == 60 / 160
    assert totals["oracle_cycles"] == 6 + 10  # ceil(21 / 4) + ceil(39 / 4)
    assert totals["dram_bytes"] == 214
    assert totals["stalls"] == {"busy": 15.0, "memory": 25.0}
    assert totals["energy_by_component_pj"] == {"iaram": 30.0, "dram": 200.0}
    assert totals["energy_pj"] == 230.0
    assert run.energy_pj == {"iaram": 30.0, "dram": 200.0}


def test_the_energy_of_a_run_is_unknown_where_that_of_a_layer_is():
    run = a_run(layers=(a_layer(1, "a", energy_pj={"dram": 1.0}), a_layer(2, "b", energy_pj={})))
    document = run.as_dict()
    assert [layer["energy_pj"] for layer in document["layers"]] == [1.0, None]
    assert document["totals"]["energy_pj"] is None
    assert document["totals"]["energy_by_component_pj"] == run.energy_pj == {}


def test_a_run_keeps_its_seeds(tmp_path):
    layers = (a_layer(1, "a"), a_layer(2, "b"))
    for energy in (((0.5, 1.5), (2.5, 3.5)), ((), ())):
        run = a_run(layers=layers, seeds=SeedRuns((2**70, 2**70 + 1), ((1, 2), (3, 4)), energy))
        assert results.load(saved(tmp_path, run)) == run
    assert run.as_dict()["seeds"]["cycles"]["mean"] == 5.0
    assert a_run().as_dict()["seeds"] is None


def test_a_sampled_layer_keeps_its_interval(tmp_path):
    layers = (sampled(a_layer(1), below=3, above=4), sampled(a_layer(2, "b"), below=0, above=0))
    run = a_run(layers=layers, fidelity="sampled")
    assert results.load(saved(tmp_path, run)) == run
    rows = run.as_dict()["layers"]
    ends = [(layers[0].cycles - 3, layers[0].cycles + 4), (layers[1].cycles, layers[1].cycles)]
    assert [(row["cycles_low"], row["cycles_high"]) for row in rows] == ends
    assert [row["cycles_ci95"] for row in rows] == [list(pair) for pair in ends]


def test_half_widths_of_independent_layers_add_in_quadrature():
    layers = (sampled(a_layer(1), below=0, above=900), sampled(a_layer(2, "b"), below=400, above=1200))
    run = a_run(layers=layers, fidelity="sampled")
    # Of one layer it is the layer's. Above: 1500 in quadrature, of Student's t with 6 degrees of freedom; those of the
    # sum are 6 * (9**2 + 12**2)**2 / (9**4 + 12**4) = 11.13, where tables have t = 2.198 instead of 2.447.
    low, high = run.cycles_ci95
    assert low == run.cycles - 400
    assert high - run.cycles == pytest.approx(1500 * 2.198 / 2.447, abs=2)
    assert run.as_dict()["totals"]["cycles_ci95"] == [low, high]


def test_a_run_that_is_not_sampled_has_no_interval():
    assert a_run().cycles_ci95 is None
    assert a_run(layers=()).cycles_ci95 is None
    document = a_run().as_dict()
    assert "cycles_ci95" not in document["totals"]
    assert not any("cycles_ci95" in layer for layer in document["layers"])


def sampled(layer, below, above):
    return dataclasses.replace(layer, cycles_ci95=(layer.cycles - below, layer.cycles + above))


def test_the_speedup_is_one_of_time():
    layers = (a_layer(0, cycles=10, num_multipliers=1, stack={"busy": 10}),)
    twice_the_clock = a_run(layers=layers, clock_hz=2e9, baseline=a_run(layers=layers, clock_hz=1e9))
    assert twice_the_clock.as_dict()["speedup"] == 2.0
    assert a_run().as_dict()["speedup"] is None
    nothing = (a_layer(0, cycles=0, stack={"busy": 0}),)
    assert a_run(layers=nothing, baseline=a_run()).as_dict()["speedup"] is None


def test_equal_runs_have_equal_objects_whatever_they_took():
    assert a_run(wall_s=1.0).as_dict() == a_run(wall_s=2.0).as_dict()


def test_the_object_survives_the_file(tmp_path):
    run = a_run(8, baseline=a_run(9))
    assert results.load(saved(tmp_path, run)).as_dict() == run.as_dict()


def test_a_data_frame_has_a_row_for_each_layer():
    pytest.importorskip("pandas", reason="pandas is an extra")
    run = a_run(3, baseline=a_run(4))
    frame = run.to_dataframe()
    assert list(frame["name"]) == [layer.name for layer in run.layers]
    assert list(frame["cycles"]) == [layer.cycles for layer in run.layers]
    stalls = frame[[column for column in frame if column.startswith("stall_cycles_")]]
    assert list(stalls.sum(axis=1)) == pytest.approx([layer.cycles for layer in run.layers])
    assert not [column for column in frame if column.startswith("stalls")]
    assert frame.attrs["totals"]["cycles"] == run.cycles
    assert "baseline" not in frame.attrs
    assert copy.deepcopy(frame).attrs == frame.attrs


def test_a_data_frame_without_pandas_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ResultError) as error:
        a_run().to_dataframe()
    assert str(error.value) == "to_dataframe: needs pandas: pip install 'archmodel[plot]'"


# Comparison


def test_a_run_compared_with_itself_differs_nowhere():
    run = a_run(1)
    for row in comparison.compare(run, run):
        assert row["differs"] == []
        assert row["speedup"] == 1.0
        assert row["cycles"][0] == row["cycles"][1]


def test_layers_are_compared_by_name():
    first = a_run(layers=(a_layer(1, "a"), a_layer(2, "b"), a_layer(3, "c")))
    second = a_run(layers=(a_layer(4, "d"), a_layer(3, "c"), a_layer(1, "a", macs_issued=5)), clock_hz=2e9)
    rows = {row["name"]: row for row in comparison.compare(first, second)}
    assert list(rows) == ["a", "b", "c", "d"]
    assert rows["a"]["differs"] == ["time_s", "macs_issued"]
    assert rows["c"]["differs"] == ["time_s"]
    assert rows["c"]["speedup"] == 2.0
    assert rows["b"]["cycles"] == (first.layers[1].cycles, None)
    assert rows["d"]["cycles"] == (None, second.layers[0].cycles)
    assert rows["b"]["differs"] == rows["d"]["differs"] == []
    assert rows["b"]["speedup"] is rows["d"]["speedup"] is None


def test_runs_without_a_layer_in_common_do_not_compare():
    with pytest.raises(ResultError, match="no layer name is in both"):
        comparison.compare(a_run(layers=(a_layer(1, "a"),)), a_run(layers=(a_layer(1, "b"),)))


# The results of the repository


RESULT_FILES = sorted((ROOT / "results").glob("*/*.h5"))


@pytest.mark.parametrize("path", RESULT_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_result_of_the_repository_loads(path):
    run = results.load(path)
    assert run.layers
    assert run.as_dict()["totals"]["cycles"] == run.cycles > 0
