"""Speed of encodings on VGG-16's 138 million weights at the density of its pruned form, layer by layer: `make bench`.

CPU seconds on one thread, beside those of finding the non-zeros, which has to read every code once.
"""

import resource
import time

import numpy as np
import pytest

from archmodel.encodings.encoding_sizes import CODECS, sizes
from archmodel.exchange import read_network

DENSITY = 0.075  # Han et al., NIPS 2015: 138 M weights to 10.3 M
BITS = 8
STREAMS = ("zero_run", "bitmask", "huffman_zero_run")


def weights():
    """Codes of each layer, int32[K, C, R, S], one layer at a time."""
    rng = np.random.default_rng(0)
    for layer in read_network("vgg16").compute_layers:
        held = rng.random(layer.weight_shape, dtype=np.float32) < DENSITY
        codes = np.zeros(layer.weight_shape, np.int32)
        codes[held] = rng.integers(1, 2 ** (BITS - 1), np.count_nonzero(held))
        yield codes


def all_sizes(codes):
    """Every format that needs no byte stream."""
    return sizes((codes != 0).view(np.uint8), BITS, codes)


def cpu_s(work):
    """CPU seconds over all layers, without making the weights."""
    taken = 0.0
    for codes in weights():
        start = time.process_time()
        work(codes)
        taken += time.process_time() - start
    return taken


def warm(work):
    work(np.eye(2, 9, dtype=np.int32))
    return work


def encoder(name):
    return lambda codes: CODECS[name].encode(codes, BITS)


def decoder(name):
    """Seconds of encoding are those of `encoder`."""
    return lambda codes: CODECS[name].encode(codes, BITS).decode()


@pytest.mark.parametrize("work", ["sizes", *STREAMS])
def test_the_weights_of_vgg16(benchmark, work):
    function = warm(all_sizes if work == "sizes" else encoder(work))
    mask_s, work_s = cpu_s(lambda codes: codes != 0), cpu_s(function)
    benchmark.extra_info |= {"work_s": round(work_s, 2), "over_finding_non_zeros": round(work_s / mask_s, 1)}
    if work != "sizes":
        both_s = cpu_s(warm(decoder(work)))
        benchmark.extra_info |= {"decode_s": round(both_s - work_s, 2)}
    most_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    benchmark.extra_info |= {"peak_mib_so_far": round(most_mib)}
    benchmark.pedantic(function, (np.eye(64, 4096, dtype=np.int32),), rounds=5)
    print(work, benchmark.extra_info)
