"""Files of training runs: what is saved is what is loaded, and whatever happens to a file is one line at worst."""

import dataclasses
import json
import os
import random
from pathlib import Path

import h5py
import pytest

from archmodel import load, results, save
from archmodel.errors import ResultError
from archmodel.results import training_file
from archmodel.training.timeline import MemoryEvent, Span, Timeline
from archmodel.training.training_run import TrainingResult
from tests.test_results import a_run as a_sim_run
from tests.test_results import assert_one_line, cannot_load, changed, datasets, replace
from tests.training.made_timelines import a_result, a_run, at_random, by_hand

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "results.md").read_text("utf-8")


def saved(tmp_path: Path, result: TrainingResult) -> Path:
    path = tmp_path / "out.h5"
    save(result, path)
    return path


@pytest.mark.parametrize("seed", range(10))
def test_a_result_loads_as_it_was_saved(tmp_path, seed):
    runs = [a_run(timeline=at_random(seed + index, 1 + 5 * seed), batch=index + 1) for index in range(seed % 4 + 1)]
    result = a_result(*runs, seed=2**70 + seed)
    loaded = load(saved(tmp_path, result))
    assert loaded == result
    assert loaded.wall_s == result.wall_s
    assert loaded.as_dict() == result.as_dict()


@pytest.mark.parametrize(
    "result",
    [
        a_result(runs=()),
        a_result(command="", provenance={}),
        a_result(a_run(timeline=Timeline((), (), 0.0), oracle_s=0.0, algorithms={}, config={})),
        a_result(a_run(capacity_bytes=None, fits=False, why_not="größer als 12 GiB\nby 3")),
        a_result(a_run(net="größe/網 3", mode="", dma="", link="")),
        a_result(a_run(timeline=Timeline((Span("input", "input", "", "", 0.0, 0.1 + 0.2),), (), 1 / 3))),
        a_result(a_run(timeline=Timeline((), (MemoryEvent(0.0, "a", 2**62), MemoryEvent(0.0, "a", -(2**62))), 1.0))),
    ],
    ids=range(7),
)
def test_corners_load_as_they_were_saved(tmp_path, result):
    assert load(saved(tmp_path, result)) == result


def test_every_dataset_explains_itself_and_stands_in_the_document(tmp_path):
    with h5py.File(saved(tmp_path, a_result(a_run(), a_run(net="other")))) as file:
        found = datasets(file)
        assert set(found) == {f"runs/{run}/{name}" for run in (0, 1) for name in training_file.RUN_COLUMNS}
        for dataset in found.values():
            assert dataset.attrs["unit"]
            assert dataset.attrs["description"]
        assert set(file.attrs) == set(training_file.FILE_ATTRIBUTES)
        assert set(file["runs/1"].attrs) == {*training_file.RUN_ATTRIBUTES, "capacity_bytes"}
        for name in (*training_file.RUN_COLUMNS, *file.attrs, *file["runs/1"].attrs):
            assert f"`{name}`" in DOCUMENT


def test_the_document_names_no_dataset_that_does_not_exist():
    section = DOCUMENT.partition("## Files of `train`")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for cell in first_cells for name in cell.split("`")[1::2]}
    known = {*training_file.RUN_COLUMNS, *training_file.FILE_ATTRIBUTES, *training_file.RUN_ATTRIBUTES}
    assert named == known | {"capacity_bytes"}


def test_columns_and_totals_are_those_of_the_run(tmp_path):
    with h5py.File(saved(tmp_path, a_result(a_run(), a_run(policy="none")))) as file:
        assert file.attrs["kind"] == "training"
        group = file["runs/0"]
        assert group["spans/name"].asstr()[8] == "X:image"
        assert group["spans/end_s"][8] == 3e-3
        assert group["spans/num_bytes"][()].sum() == 7000
        assert group["memory_events/num_bytes"][()].cumsum().max() == group.attrs["peak_bytes"] == 3700
        assert dict(zip(group["stalls/cause"].asstr(), group["stalls/seconds"][()], strict=True)) == by_hand().stalls_s
        assert group.attrs["average_bytes"] == pytest.approx(3020)
        assert (group.attrs["offloaded_bytes"], group.attrs["prefetched_bytes"]) == (3000, 3000)
        assert json.loads(group.attrs["config"])["link"] == {"name": "PCIe 3.0 x16"}
        assert file["runs/1"].attrs["policy"] == "none"
        assert group["spans/start_s"].compression == "gzip"


def test_the_example_of_the_document_runs(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is an extra")
    saved(tmp_path, a_result())
    monkeypatch.chdir(tmp_path)
    example = DOCUMENT.partition("## Files of `train`")[2].partition("```python\n")[2].partition("```")[0]
    found = {}
    exec(compile(example, "results.md", "exec"), found)
    assert found["stalled_s"] == pytest.approx(3e-3)
    assert found["offloaded_bytes"] == 3000


@pytest.mark.parametrize("name", training_file.RUN_COLUMNS)
def test_a_missing_dataset_is_named(tmp_path, name):
    path = saved(tmp_path, a_result())
    changed(path, lambda file: file.pop(f"runs/0/{name}"))
    cannot_load(path, f"dataset {name} is missing")


@pytest.mark.parametrize("name", [*training_file.FILE_ATTRIBUTES[3:], *training_file.RUN_ATTRIBUTES])
def test_a_missing_attribute_is_named(tmp_path, name):
    path = saved(tmp_path, a_result())
    where = "/" if name in training_file.FILE_ATTRIBUTES else "runs/0"
    changed(path, lambda file: file[where].attrs.pop(name))
    if name in ("peak_bytes", "average_bytes", "offloaded_bytes", "prefetched_bytes"):  # follow from the rest
        assert load(path) == a_result()
    else:
        cannot_load(path, name)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (replace("runs/0/spans/start_s", [0.0]), ""),
        (replace("runs/0/spans/start_s", [float("nan")] * 11), "must be of compute, offload, prefetch, input"),
        (replace("runs/0/spans/start_s", [9.0] * 11), "must be of compute, offload, prefetch, input"),
        (replace("runs/0/spans/start_s", [-1.0] * 11), "must be of compute, offload, prefetch, input"),
        (replace("runs/0/spans/end_s", [float("inf")] * 11), "must be of compute, offload, prefetch, input"),
        (replace("runs/0/spans/stream", ["other"] * 11), "must be of compute, offload, prefetch, input"),
        (replace("runs/0/spans/kind", ["other"] * 11), "kind of a span = 'other': must be"),
        (replace("runs/0/spans/name", [1] * 11), ""),
        (replace("runs/0/memory_events/at_s", [1.0, *[0.0] * 6]), "in order of time"),
        (replace("runs/0/memory_events/at_s", [float("nan")] * 7), "in order of time"),
        (replace("runs/0/memory_events/num_bytes", ["many"] * 7), ""),
        (lambda file: file["runs/0"].attrs.update(iteration_s=float("nan")), "iteration_s"),
        (lambda file: file["runs/0"].attrs.update(iteration_s=-1.0), "iteration_s"),
        (lambda file: file["runs/0"].attrs.update(config="[1]"), "config: must be an object"),
        (lambda file: file["runs/0"].attrs.update(config="{"), ""),
        (lambda file: file.attrs.update(num_runs=2), ""),
        (lambda file: file.attrs.update(num_runs="many"), ""),
        (lambda file: file.attrs.update(kind="holiday"), "kind = 'holiday': must be training, or none"),
        (lambda file: file.attrs.pop("kind"), ""),
        (lambda file: file.attrs.update(kind=[1, 2]), ""),
    ],
    ids=range(20),
)
def test_a_file_that_contradicts_itself_is_one_line(tmp_path, change, expected):
    path = saved(tmp_path, a_result())
    changed(path, change)
    cannot_load(path, expected)


def test_a_run_of_sim_that_says_it_is_of_train_is_one_line(tmp_path):
    path = tmp_path / "out.h5"
    save(a_sim_run(), path)
    changed(path, lambda file: file.attrs.update(kind="training"))
    cannot_load(path, "num_runs")


def test_whatever_happens_to_its_bytes_a_file_loads_as_it_was_or_not_at_all(tmp_path):
    result = a_result(a_run(timeline=at_random(1, 9)))
    path = saved(tmp_path, result)
    whole, rng, refused = path.read_bytes(), random.Random(1), 0
    for trial in range(100):
        image = bytearray(whole)
        if trial % 4 == 0:
            del image[rng.randrange(len(image)) :]
        for _ in range(rng.choice([1, 3, 30]) if image and trial % 4 else 0):
            image[rng.randrange(rng.choice([600, len(image)]))] = rng.randrange(256)
        path.write_bytes(image)
        try:
            loaded = load(path)
        except ResultError:
            refused += 1
        else:
            assert loaded == result
    assert refused > 50


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = saved(tmp_path, a_result())

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ResultError, match="No space left") as caught:
            save(a_result(a_run(net="other")), path)
    assert_one_line(caught, path)
    assert os.listdir(tmp_path) == ["out.h5"]
    assert load(path) == a_result()
    with pytest.raises(ResultError, match="too large"):
        save(a_result(a_run(batch=2**64)), path)
    with pytest.raises(ResultError, match=r"ends in \.h5 or \.hdf5"):
        save(a_result(), tmp_path / "out.json")
    assert load(path) == a_result()


def test_no_infinity_gets_into_a_file(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.save(a_result(a_run(config={"x": float("inf")})), tmp_path / "out.h5")
    assert os.listdir(tmp_path) == []


def test_equal_results_may_have_taken_different_times():
    assert dataclasses.replace(a_result(), wall_s=9.0) == a_result()
