"""What a memory answers, whatever its kind: intervals, and waiting by reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.memory.dram import IdealMemoryConfig
from archmodel.memory.transfers import REASONS, Phases, Transfers, parts_of

SHARES = dict(zip(REASONS, (6.0, 2.0, 1.0, 1.0), strict=True))


def ideal(bytes_per_s=2e9, latency_s=5e-9):
    known = {"bytes_per_s": bytes_per_s, "latency_s": latency_s, "pj_per_bit": 1.0}
    return IdealMemoryConfig(model="ideal", name="test", **known)


def phases(*num_bytes):
    return Phases((("weight", "read"), ("output", "write")), np.array(num_bytes, np.int64))


def test_an_ideal_memory_begins_every_phase_with_a_cycle():
    moved = ideal().transfers(phases([3, 0], [1, 1], [0, 0], [4, 5]), 1e9)
    assert moved.cycles.tolist() == [2, 1, 0, 5]
    assert moved.latency_cycles == 5
    assert moved.waited(10) == {}
    assert moved.energy_pj is None
    assert moved.ends == ()


def test_the_slower_of_port_and_memory_decides():
    for rate, cycles in ((1e9, 8), (2e9, 4), (4e9, 4)):
        assert ideal().transfers(phases([8, 0]), 1e9, rate).cycles.tolist() == [cycles]


def test_without_streams_there_is_no_latency():
    moved = ideal().transfers(Phases((), np.zeros((2, 0), np.int64)), 1e9)
    assert (moved.latency_cycles, moved.cycles.tolist()) == (0, [0, 0])


def test_cycles_of_more_than_64_bits_are_kept():
    moved = ideal(1e6).transfers(phases([2**40, 0]), 1e12 * 2**20)
    assert moved.cycles.tolist() == [-(-(2**40) * 10**6 * 2**20 // 1)]


def test_the_latency_of_the_first_request_is_waited_for_first():
    moved = Transfers(10, np.array([100]), reasons=SHARES)
    assert moved.waited(4) == {"bandwidth": 0, "latency": 4, "turnaround": 0, "refresh": 0}
    assert moved.waited(110) == {"bandwidth": 60, "latency": 30, "turnaround": 10, "refresh": 10}


def test_what_has_no_share_is_bandwidth():
    assert Transfers(0, np.array([7]), reasons=dict.fromkeys(REASONS, 0.0)).waited(7)["bandwidth"] == 7


def test_what_is_left_goes_to_the_largest_remainders():
    assert parts_of(1, [1.0, 0.0, 0.0, 3.0]) == [0, 0, 0, 1]
    assert parts_of(10, [1.0, 1.0, 1.0]) == [4, 3, 3]


@given(st.integers(0, 10**15), st.lists(st.floats(0, 1e12), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_parts_are_integers_that_sum_to_all_and_are_near_their_shares(total, shares):
    parts = parts_of(total, shares)
    assert sum(parts) == total
    assert min(parts) >= 0
    if whole := sum(shares):
        for part, share in zip(parts, shares, strict=True):
            assert abs(part - total * share / whole) <= 1 + 1e-9 * total


@pytest.mark.parametrize("error", [0.01, 0.2])
def test_the_ends_of_an_interval_are_as_far_as_its_error(error):
    moved = Transfers(10, np.array([100, 0, 1000]), relative_error=error)
    low, high = moved.ends
    assert low.cycles.tolist() == [100 - 100 * error, 0, 1000 - 1000 * error]
    assert high.cycles.tolist() == [100 + 100 * error, 0, 1000 + 1000 * error]
    assert (low.end, moved.end, high.end) == (-1, 0, 1)
    assert low.latency_cycles == 10
