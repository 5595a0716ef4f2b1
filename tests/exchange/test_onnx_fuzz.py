"""A few hundred damaged ONNX files, each read or refused in one line; `python tests/fuzz_onnx.py 2000` makes more."""

import os
import random
from collections import Counter

import click
import numpy as np
import pytest

pytest.importorskip("onnx")

from archmodel.cli import main
from archmodel.exchange import onnx_reader
from tests import fuzz_onnx
from tests.exchange.onnx_damage import damaged, seed_models

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes lie beside the files")
SEEDS = seed_models()
SMALL = [seed for seed in SEEDS if not seed.name.startswith("light")]


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_reader, "inferred_dims", lambda model: {})  # a process each; tests/fuzz_onnx.py has them
    ends = Counter()
    for number in range(120):
        made = damaged(random.Random(f"test {number}"), SMALL)
        found = fuzz_onnx.tried(fuzz_onnx.write(tmp_path / "model", made.data, made.beside), [])
        assert not found.fault, f"file {number} ({made.name}): {found.fault}"
        assert found.seconds < fuzz_onnx.SECONDS
        ends[found.codes[0]] += 1
    assert min(ends[fuzz_onnx.READ], ends[fuzz_onnx.REFUSED]) > 10


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_whole_models_are_read(seed, tmp_path):
    inputs = [] if seed.name.startswith("light") else fuzz_onnx.write_inputs(tmp_path / "inputs", seed.inputs)
    found = fuzz_onnx.tried(fuzz_onnx.write(tmp_path / "model", seed.data, seed.beside), inputs)
    assert not found.fault
    end = fuzz_onnx.REFUSED if seed.name == "function_calls" else fuzz_onnx.READ
    assert found.codes == (end,) * (3 if inputs else 2)


def test_an_only_input_goes_without_its_name(tmp_path):
    one, two = (fuzz_onnx.write_inputs(tmp_path, dict.fromkeys(names, np.zeros(2))) for names in ("a", "ab"))
    assert (one, two) == ([f"{tmp_path}/0.npy"], [f"a={tmp_path}/0.npy", f"b={tmp_path}/1.npy"])


def no_line(arguments):
    click.echo("archmodel: error: one\narchmodel: error: two", err=True)
    return 2


def another_code(arguments):
    return 1


def traceback(arguments):
    raise TypeError("not caught")


@pytest.mark.parametrize(("run", "fault"), [(no_line, "one"), (another_code, "ended with 1"), (traceback, "TypeError")])
def test_faults_are_found(run, fault, tmp_path, monkeypatch):
    monkeypatch.setattr(main, "run", run)
    found = fuzz_onnx.tried(fuzz_onnx.write(tmp_path / "model", SEEDS[0].data, {}), [])
    assert fault in found.fault


def test_a_file_without_end_and_a_process_that_dies_are_faults(tmp_path):
    worker = fuzz_onnx.Worker()
    try:
        assert worker.outcome(tmp_path, [], 0.0).fault == "no end after 0 s"
        worker.process.kill()
        worker.process.join()
        assert worker.outcome(tmp_path / "none.onnx", [], 60).fault.startswith("the process died with")
        assert worker.outcome(tmp_path / "none.onnx", [], 60).codes == (fuzz_onnx.REFUSED, fuzz_onnx.REFUSED)
    finally:
        worker.end()


def test_the_same_seed_makes_the_same_files():
    first, second = (damaged(random.Random("one"), SEEDS).data for _ in range(2))
    assert first == second
    assert [seed.data for seed in seed_models()] == [seed.data for seed in SEEDS]
