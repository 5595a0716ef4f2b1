"""Speed of pruning and quantization on a network of VGG-16's size, beside what numpy takes to make the weights."""

import json
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest

from archmodel.exchange import read_network
from archmodel.validation.pruned_totals import random_weights
from archmodel.weights.pruning import profile, pruned_by_layer, pruned_globally
from archmodel.weights.quantization import quantize_linear
from archmodel.weights.shared_weights import share_weights

NETWORK = read_network("vgg16")
MOST_BYTES = 1.5e9
MOST_CPU_S = {"npz": 10, "onnx": 12}  # of which two runs of the model are a third
PEAK = """
import resource
import numpy as np
from benchmarks.test_pruning import HOW, Made
for prune in HOW.values():
    for weights in prune(Made()).values():
        np.count_nonzero(weights)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
STARTED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = status
assert not status
print(json.dumps([usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss * 1024]))
"""
HOW = {
    "globally": lambda layers: pruned_globally(layers, 0.075),
    "by_layer": lambda layers: pruned_by_layer(layers, profile(NETWORK)),
}


class Made(dict):
    """Layers that are made each time they are read; counts the seconds that this takes."""

    def __init__(self):
        super().__init__({layer.name: None for layer in NETWORK.compute_layers})
        self.making_s = 0.0

    def __getitem__(self, name):
        start = time.process_time()
        weights = random_weights(NETWORK.layer(name))
        self.making_s += time.process_time() - start
        return weights

    def values(self):
        return (self[name] for name in self)


@pytest.mark.parametrize("how", HOW)
def test_pruning_beside_a_sort_of_the_magnitudes(benchmark, how):
    layers = Made()
    start = time.process_time()
    kept = sum(np.count_nonzero(weights) for weights in HOW[how](layers).values())
    pruning_s = time.process_time() - start - layers.making_s
    one = random_weights(NETWORK.layer("fc7"))
    start = time.process_time()
    np.sort(np.abs(one), axis=None)
    sorting_s = (time.process_time() - start) * NETWORK.parameters / one.size
    benchmark.extra_info |= {
        "kept": int(kept),
        "pruning_s": round(pruning_s, 2),
        "sorting_over_pruning": round(sorting_s / pruning_s, 1),
    }
    benchmark.pedantic(lambda: HOW[how]({"fc7": one})["fc7"], rounds=3)
    print(benchmark.extra_info)
    assert pruning_s < 5


def test_memory_of_pruning():
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    print({"peak_gb": round(int(done.stdout) / 1e9, 2)})
    assert int(done.stdout) < MOST_BYTES


@pytest.mark.parametrize("suffix", ["npz", "onnx"])
def test_the_verb_beside_a_copy_of_the_file(benchmark, tmp_path, suffix):
    """`archmodel prune` and the bytes of all encodings, whole processes, beside numpy or onnx that copies the file.

    An ONNX file is also run before and after, in processes of their own: the peak is that of the largest process.
    """
    own, out = tmp_path / f"own.{suffix}", tmp_path / f"out.{suffix}"
    if suffix == "npz":
        np.savez(own, **{f"{layer.name}.weights": random_weights(layer) for layer in NETWORK.compute_layers})
        given, made = ["vgg16", "--weights", own], ["vgg16", "--weights", out]
        copy = "import sys, numpy\nwith numpy.load(sys.argv[1]) as own: numpy.savez(sys.argv[2], **own)"
    else:
        pytest.importorskip("onnxruntime")
        from benchmarks.onnx_vgg import save_whole_vgg

        save_whole_vgg(own, NETWORK, random_weights)
        given, made = [own], [out]
        copy = "import sys, onnx\nonnx.save(onnx.load(sys.argv[1]), sys.argv[2])"
    verb = [sys.executable, "-m", "archmodel"]
    prune = [*verb, "prune", *given, "-o", out, "--density", "0.075", "--json"]
    pruned, encoded, copied = (
        Spent.by(command)
        for command in (
            prune,
            [*verb, "inspect", *made, "--encodings", "--json"],
            [sys.executable, "-c", copy, own, tmp_path / f"copy.{suffix}"],
        )
    )
    peak_bytes = max(pruned.peak_bytes, encoded.peak_bytes)
    benchmark.extra_info |= {
        "pruned_cpu_s": round(pruned.cpu_s, 2),
        "encoded_cpu_s": round(encoded.cpu_s, 2),
        "wall_s": round(pruned.wall_s + encoded.wall_s, 2),
        "both_over_copied": round((pruned.cpu_s + encoded.cpu_s) / copied.cpu_s, 1),
        "peak_gb": round(peak_bytes / 1e9, 2),
        "peak_over_copied": round(peak_bytes / copied.peak_bytes, 2),
    }
    benchmark.pedantic(Spent.by, (prune,), rounds=1)
    print(benchmark.extra_info)
    assert pruned.cpu_s + encoded.cpu_s < MOST_CPU_S[suffix]
    assert peak_bytes < MOST_BYTES


class Spent(NamedTuple):
    """What a process took: seconds of all cores and by the clock, and the most bytes that it or one it started had."""

    cpu_s: float
    wall_s: float
    peak_bytes: int

    @classmethod
    def by(cls, command):
        """Of a process that a small one starts: Linux counts what the starting process has in memory too."""
        done = subprocess.run([sys.executable, "-c", STARTED, *map(str, command)], check=True, capture_output=True)
        return cls(*json.loads(done.stdout))


def test_sharing_beside_linear_quantization(benchmark):
    weights = np.random.default_rng(0).normal(0, 0.05, (4096, 1024)).astype(np.float32)
    start = time.process_time()
    quantize_linear(weights, 8)
    linear_s = time.process_time() - start
    start = time.process_time()
    share_weights(weights, 5)
    shared_s = time.process_time() - start
    benchmark.extra_info |= {"shared_s": round(shared_s, 2), "shared_over_linear": round(shared_s / linear_s, 1)}
    benchmark.pedantic(quantize_linear, (weights, 8), rounds=3)
    print(benchmark.extra_info)
