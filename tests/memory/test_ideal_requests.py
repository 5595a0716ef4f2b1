"""The ideal memory's answer to a trace, against one access after the other in fractions, and by hand."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest

from archmodel.memory.dram import load_memory
from archmodel.memory.ideal_requests import serve_ideal


def one_by_one(bytes_per_s, latency_s, cycles):
    """Cycles of 1 ns in which each access of 64 bytes enters and is done, and those in which one is under way."""
    step = 64 / (Fraction(str(bytes_per_s)) / 10**9)
    latency = Fraction(str(latency_s)) * 10**9
    free, entered, completed = Fraction(0), [], []
    under_way, until = Fraction(0), Fraction(0)
    for cycle in cycles:
        start = max(Fraction(cycle), free)
        free = start + step
        entered.append(floor(start))
        completed.append(ceil(free + latency))
        under_way += free + latency - max(start, until)
        until = free + latency
    return entered, completed, under_way


def served(cycles, writes=None, **changes):
    memory = load_memory("ideal", tuple(f"{key}={value}" for key, value in changes.items()))
    arrived = np.array(cycles)
    return serve_ideal(memory, arrived, np.zeros(arrived.size, bool) if writes is None else np.array(writes))


@pytest.mark.parametrize("bytes_per_s", [1e6, 50e9, 47.3e9, 64e9, 999e9, 1e15])
@pytest.mark.parametrize("latency_s", [0.0, 100e-9, 1.3e-9])
def test_accesses_pass_one_after_the_other(bytes_per_s, latency_s):
    rng = np.random.default_rng(0)
    for most in (0, 3, 100_000):
        cycles = np.sort(rng.integers(0, most + 1, 300))
        found = served(cycles, bytes_per_s=bytes_per_s, latency_s=latency_s)
        entered, completed, under_way = one_by_one(bytes_per_s, latency_s, cycles.tolist())
        assert found.entered.tolist() == entered
        assert found.completed.tolist() == completed
        assert found.cycles == completed[-1]
        assert sum(found.bus.values()) == completed[-1]
        assert min(found.bus.values()) >= 0
        data = 300 * 64e9 / bytes_per_s
        assert data <= found.bus["data"] < data + 1
        assert abs(found.bus["data"] + found.bus["latency"] - under_way) <= 2  # each rounded up


def test_the_bus_is_busy_waiting_or_idle():
    """64 bytes a cycle after 10 cycles: data at 10, 11 and at 110; in flight without data 10 and 10; the rest idle."""
    found = served([0, 0, 100], bytes_per_s=64e9, latency_s=10e-9)
    assert found.completed.tolist() == [11, 12, 111]
    assert found.bus == {"data": 3, "turnaround": 0, "refresh": 0, "latency": 20, "idle": 88}


def test_reads_writes_and_energy_are_counted():
    found = served([0, 0, 0], [True, False, True], pj_per_bit=2.0)
    assert found.counts == {"RD": 1, "WR": 2}
    assert found.energy_pj == 3 * 64 * 8 * 2.0
    assert found.row_hits == 0
    assert found.commands is None


def test_a_long_slow_trace_does_not_overflow():
    cycles = np.linspace(0, 10**11, 1000).astype(np.int64)
    found = served(cycles, bytes_per_s=47.123456789e9)
    assert (found.completed >= cycles + 101).all()
    assert (found.completed <= cycles + 103).all()
