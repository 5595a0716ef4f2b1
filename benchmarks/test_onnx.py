"""What it costs to keep the activations of a model's run, as a ratio within one run: `make bench`."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from archmodel.operands.onnx_run import run_model
from benchmarks.onnx_vgg import save_vgg

ROUNDS = 7
MOST_TIMES_A_PLAIN_RUN = 3
# As a user would run a model without archmodel, in a process of its own.
PLAIN_RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"image": numpy.load(sys.argv[2])})
"""


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A model of 65 MB, its image, and the inputs of its convolutions."""
    folder = tmp_path_factory.mktemp("vgg")
    wanted = save_vgg(folder / "vgg.onnx")
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 240, 240)).astype(np.float32)
    np.save(folder / "image.npy", image)
    return folder / "vgg.onnx", image, wanted


def seconds_of(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def plain_run(path: Path):
    subprocess.run([sys.executable, "-c", PLAIN_RUN, path, path.with_name("image.npy")], check=True)


def kept_run(path, image, wanted):
    with run_model(path, [{"image": image}], wanted) as done:
        assert sum(done.tensor(name).nbytes for name in wanted) > 40e6


def test_keeping_all_inputs_of_convolutions_against_a_plain_run(benchmark, vgg):
    path, image, wanted = vgg
    pairs = [(seconds_of(plain_run, path), seconds_of(kept_run, path, image, wanted)) for _ in range(1 + ROUNDS)]
    plain_s, kept_s = np.median(pairs[1:], axis=0)
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    benchmark.extra_info |= {
        "plain_s": round(float(plain_s), 2),
        "kept_over_plain": round(float(kept_s / plain_s), 2),
        "peak_mb_of_any_child": round(peak_bytes / 1e6),
    }
    benchmark.pedantic(kept_run, (path, image, wanted), rounds=ROUNDS)
    print(benchmark.extra_info)
    assert kept_s <= MOST_TIMES_A_PLAIN_RUN * plain_s
