"""Speed of the exact SCNN model, as ratios within one run: `make bench`.

Times depend on the machine and on what else it does; the ratios to the innermost loop, between one and two threads
and between kernels are what a change should keep.
"""

import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from archmodel.accelerators import scnn_conv, scnn_fc
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.exchange import read_network
from archmodel.kernels import lanes
from archmodel.kernels.accumulator_banks import bank_group_cycles
from archmodel.memory.dram import load_memory
from archmodel.operands.sources import OperandSource

ROUNDS = 9
MACHINE, MEMORY = load_machine("scnn"), load_memory("ideal")


@pytest.fixture(scope="module")
def vgg16():
    """Convolutions of VGG-16 with the published non-zero counts; made before anything is timed."""
    network = read_network("vgg16")
    source = OperandSource(network)
    return [(layer, source.operands(layer)) for layer in network.compute_layers if layer.kind == "conv"]


def run_all(layers, threads):
    context = Context(MEMORY, threads=threads)
    return [MACHINE.run_layer(layer, operands, context) for layer, operands in layers]


def cpu_and_wall(function, rounds=ROUNDS):
    """Median CPU and wall seconds of a warm function."""
    function()
    measured = []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        function()
        measured.append((time.process_time() - cpu, time.perf_counter() - wall))
    return tuple(np.median(measured, axis=0))


def innermost_loop_s():
    """Seconds of one PE-cycle where nothing but the innermost loop runs: one PE, one long block."""
    rng = np.random.default_rng(0)
    num_rows, num_vectors = 2000, 2000
    counts = np.zeros((num_rows, lanes.ROW_BYTES), np.uint8)
    for bank in rng.integers(0, lanes.NUM_LANES, (4, num_rows)):
        np.add.at(counts, (np.arange(num_rows), bank), 1)
        np.add.at(counts, (np.arange(num_rows), bank + lanes.NUM_LANES), 1)
    offsets = rng.integers(1, lanes.NUM_LANES + 1, (num_vectors, 4)).astype(np.uint8)
    weight_ptr, row_ptr = np.array([[0, num_vectors]]), np.array([[0, num_rows]])
    banks = np.zeros((1, 1), np.uint8)
    call = (weight_ptr, offsets, row_ptr, counts, banks, 200, (0, 0), 0)
    return cpu_and_wall(lambda: bank_group_cycles(*call))[0] / (num_rows * num_vectors)


def lengths_of_loops(monkeypatch, layers):
    """Mean PE-cycles of an activation vector, and activation vectors of a PE in a channel of a group."""
    sums = np.zeros(3, np.int64)

    def counted(weight_ptr, weight_vectors, activation_ptr, *others):
        steps, rows = np.diff(weight_ptr, axis=1), np.diff(activation_ptr, axis=1)
        issuing = np.count_nonzero(steps, axis=0)
        of_channels = rows.sum(axis=1)
        busy_pes = np.count_nonzero(rows, axis=1)
        sums[:] += steps.sum(axis=0) @ of_channels, issuing @ of_channels, issuing @ busy_pes
        return bank_group_cycles(weight_ptr, weight_vectors, activation_ptr, *others)

    monkeypatch.setattr(scnn_conv, "bank_group_cycles", counted)
    run_all(layers, threads=1)
    return sums[0] / sums[1], sums[1] / sums[2]


def test_exact_vgg16_against_the_innermost_loop(benchmark, monkeypatch, vgg16):
    results = run_all(vgg16, threads=1)
    pe_cycles = sum(int(r.cycle_map.sum()) - r.stack["bank_conflict"] // 16 for r in results)
    macs = sum(r.macs_dense for r in results)
    cpu_s, _ = cpu_and_wall(lambda: run_all(vgg16, threads=1))
    limit_s = innermost_loop_s()
    with monkeypatch.context() as patch:
        kernel_s = np.median([kernel_and_cpu_s(patch, vgg16, Context(MEMORY))[0] for _ in range(ROUNDS)])
    with monkeypatch.context() as patch:
        steps, rows = lengths_of_loops(patch, vgg16)
    benchmark.extra_info |= {
        "dense_gmacs_per_cpu_s": round(float(macs / cpu_s / 1e9), 2),
        "ns_per_pe_cycle": round(float(cpu_s / pe_cycles * 1e9), 2),
        "ns_per_pe_cycle_of_the_kernel": round(float(kernel_s / pe_cycles * 1e9), 2),
        "ns_per_pe_cycle_of_the_innermost_loop": round(float(limit_s * 1e9), 2),
        "pe_cycles_of_an_activation_vector": round(float(steps), 1),
        "activation_vectors_of_a_pe_in_a_channel": round(float(rows), 1),
        "share_of_the_limit": round(float(limit_s * pe_cycles / cpu_s), 2),
    }
    benchmark.pedantic(run_all, (vgg16, 1), rounds=ROUNDS)
    print(benchmark.extra_info)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_second_thread(benchmark, vgg16):
    pairs = []
    for _ in range(ROUNDS):
        one, two = (cpu_and_wall(lambda threads=threads: run_all(vgg16, threads), 1)[1] for threads in (1, 2))
        pairs.append(one / two)
    benchmark.extra_info |= {"speedup_of_two_threads": round(float(np.median(pairs)), 2)}
    benchmark.pedantic(run_all, (vgg16, 2), rounds=ROUNDS)
    print(benchmark.extra_info)


def kernel_and_cpu_s(monkeypatch, layers, context):
    """CPU seconds in the kernel that walks PE-cycles, and of the whole model."""
    in_kernel = []

    def timed(*arguments):
        start = time.thread_time()
        measured = bank_group_cycles(*arguments)
        in_kernel.append(time.thread_time() - start)
        return measured

    for module in (scnn_conv, scnn_fc):
        monkeypatch.setattr(module, "bank_group_cycles", timed)
    start = time.thread_time()
    for layer, operands in layers:
        MACHINE.run_layer(layer, operands, context)
    return sum(in_kernel), time.thread_time() - start


def test_a_sample_of_vgg16_against_all_of_it(benchmark, monkeypatch):
    network = read_network("vgg16")
    source = OperandSource(network)
    layers = [(layer, source.operands(layer)) for layer in network.compute_layers]
    contexts = [Context(MEMORY, fidelity=fidelity) for fidelity in ("exact", "sampled")]
    rounds = [[kernel_and_cpu_s(monkeypatch, layers, context) for context in contexts] for _ in range(1 + ROUNDS)]
    (exact_kernel_s, exact_s), (sampled_kernel_s, sampled_s) = np.median(rounds[1:], axis=0)
    benchmark.extra_info |= {
        "kernel_s_of_exact_over_sampled": round(float(exact_kernel_s / sampled_kernel_s), 2),
        "model_s_of_exact_over_sampled": round(float(exact_s / sampled_s), 2),
    }
    benchmark.pedantic(kernel_and_cpu_s, (monkeypatch, layers, contexts[1]), rounds=ROUNDS)
    print(benchmark.extra_info)


def test_the_whole_command(benchmark):
    command = [sys.executable, "-m", "archmodel", "sim", "--arch", "scnn", "--net", "vgg16"]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=3, warmup_rounds=1)
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    benchmark.extra_info |= {"peak_mb_of_any_child": round(peak_bytes / 1e6)}
    print(benchmark.extra_info)
