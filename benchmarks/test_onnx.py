"""What it costs to keep the activations of a model and to simulate it on them, as ratios in one run: `make bench`."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from PIL import Image

from archmodel.capture.onnx_run import run_model
from benchmarks.onnx_vgg import save_vgg

ROUNDS = 7
MOST_TIMES_A_PLAIN_RUN = 3
WHOLE_ROUNDS = 3
MOST_TIMES_BOTH = 1.5
MOST_BYTES = 1.5e9
# As a user would run a model without archmodel, in a process of its own.
PLAIN_RUN = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"image": numpy.load(sys.argv[2])})
"""


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A model of 65 MB, its image, also as a picture, and the inputs of its convolutions."""
    folder = tmp_path_factory.mktemp("vgg")
    wanted = save_vgg(folder / "vgg.onnx")
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 240, 240)).astype(np.float32)
    np.save(folder / "image.npy", image)
    Image.fromarray((image[0].transpose(1, 2, 0) * 255).astype(np.uint8)).save(folder / "picture.png")
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


def simulated(*network):
    """Seconds of `archmodel sim` in a process of its own, and the most bytes that it or its child had."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "archmodel", "sim", "--arch", "scnn", *map(str, network)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def test_a_picture_through_a_model_and_scnn_against_a_plain_run_and_vgg16_by_name(benchmark, vgg):
    """Whole processes: VGG-16 by its name is as much work for SCNN, with random zeros and without an inference."""
    path, _, _ = vgg
    real = ("--onnx", path, "--input", path.with_name("picture.png"))
    rounds = [
        (seconds_of(plain_run, path), simulated("--net", "vgg16")[0], *simulated(*real))
        for _ in range(1 + WHOLE_ROUNDS)
    ]
    plain_s, by_name_s, real_s, peak_bytes = np.median(rounds[1:], axis=0)
    benchmark.extra_info |= {
        "first_s": round(rounds[0][2], 2),
        "real_s": round(float(real_s), 2),
        "real_over_plain": round(float(real_s / plain_s), 2),
        "real_over_by_name": round(float(real_s / by_name_s), 2),
        "peak_mb_of_each_process": round(float(peak_bytes) / 1e6),
    }
    benchmark.pedantic(simulated, real, rounds=WHOLE_ROUNDS)
    print(benchmark.extra_info)
    assert real_s <= MOST_TIMES_BOTH * (plain_s + by_name_s)
    assert 2 * peak_bytes <= MOST_BYTES  # two processes at once: the model in one, the simulation in the other
