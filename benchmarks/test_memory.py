"""Speed of memories of banks: requests per CPU-second, and a machine behind them against `ideal`: `make bench`."""

import time

import numpy as np
import pytest

from archmodel import simulate
from archmodel.memory.banks import serve
from archmodel.memory.dram import load_memory
from archmodel.memory.patterns import Pattern
from archmodel.validation.published import csv_rows

NUM_REQUESTS = 10_000_000
ROUNDS = 3
RUNS = 5  # of a machine: its runs are shorter
PEERS = csv_rows("dram_speed.csv")


@pytest.mark.parametrize("row", PEERS, ids=lambda row: f"{row['memory']}-{row['pattern']}")
def test_requests_per_cpu_second(benchmark, row):
    part = load_memory(row["memory"])
    pattern = Pattern.of(row["pattern"], {"requests": NUM_REQUESTS}, part.access_bytes, None, 0)
    trace = pattern.trace(part.capacity_bytes, part.peak_bytes_per_s / part.clock_hz)
    requests = trace.cycles, trace.addresses, trace.writes
    serve(part, *(column[:1000] for column in requests))
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        serve(part, *requests)
        times.append(time.process_time() - start)
    per_s = NUM_REQUESTS / float(np.median(times))
    benchmark.extra_info |= {"m_requests_per_cpu_s": round(per_s / 1e6, 2)}
    benchmark.extra_info |= {f"over_{name}": round(per_s / float(row[name]), 1) for name in row if row[name].isdigit()}
    benchmark.pedantic(serve, (part, *(column[: NUM_REQUESTS // 10] for column in requests)), rounds=ROUNDS)
    print(row["memory"], row["pattern"], benchmark.extra_info)


def cpu_s(memory):
    """CPU seconds of a run of exact VGG-16 on SCNN, files and zeros included."""
    start = time.process_time()
    simulate("scnn", "vgg16", memory=memory, threads=1)
    return time.process_time() - start


def test_exact_vgg16_behind_hbm2_against_ideal(benchmark):
    for memory in ("ideal", "hbm2"):
        cpu_s(memory)
    times = np.array([[cpu_s(memory) for memory in ("ideal", "hbm2")] for _ in range(RUNS)])
    ideal_s, hbm2_s = np.median(times, axis=0)
    benchmark.extra_info |= {
        "ideal_s": round(float(ideal_s), 2),
        "hbm2_s": round(float(hbm2_s), 2),
        "hbm2_over_ideal": round(float(np.median(times[:, 1] / times[:, 0])), 2),
    }
    benchmark.pedantic(simulate, ("scnn", "vgg16"), {"memory": "hbm2", "threads": 1}, rounds=1)
    print(benchmark.extra_info)
