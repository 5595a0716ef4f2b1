"""Speed of pruning and quantization on a network of VGG-16's size, beside what numpy takes to make the weights."""

import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from archmodel.exchange import read_network
from archmodel.validation.pruned_totals import random_weights
from archmodel.weights.pruning import profile, pruned_by_layer, pruned_globally
from archmodel.weights.quantization import quantize_linear
from archmodel.weights.shared_weights import share_weights

NETWORK = read_network("vgg16")
PEAK = """
import resource
import numpy as np
from benchmarks.test_pruning import HOW, Made
for prune in HOW.values():
    for weights in prune(Made()).values():
        np.count_nonzero(weights)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
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
    assert int(done.stdout) < 1.5e9


def test_the_verb_beside_reading_and_writing_the_weights(benchmark, tmp_path):
    """`archmodel prune` and the bytes of all encodings, whole processes, beside numpy that only copies the file."""
    own, out = tmp_path / "own.npz", tmp_path / "out.npz"
    np.savez(own, **{f"{layer.name}.weights": random_weights(layer) for layer in NETWORK.compute_layers})
    verb = [sys.executable, "-m", "archmodel"]
    prune = [*verb, "prune", "vgg16", "-o", out, "--weights", own, "--density", "0.075", "--json"]
    encode = [*verb, "inspect", "vgg16", "--weights", out, "--encodings", "--json"]
    copy = "import sys, numpy\nwith numpy.load(sys.argv[1]) as own: numpy.savez(sys.argv[2], **own)"
    copied_s = spent(sys.executable, "-c", copy, own, tmp_path / "copy.npz")
    pruned_s, encoded_s = spent(*prune), spent(*encode)
    benchmark.extra_info |= {
        "pruned_cpu_s": round(pruned_s, 2),
        "encoded_cpu_s": round(encoded_s, 2),
        "both_over_copied": round((pruned_s + encoded_s) / copied_s, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9, 2),
    }
    benchmark.pedantic(spent, prune, rounds=1)
    print(benchmark.extra_info)
    assert pruned_s + encoded_s < 10


def spent(*command):
    """Seconds of all cores that a process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
