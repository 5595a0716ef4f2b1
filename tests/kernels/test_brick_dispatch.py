"""Bricks from banks of one port, against lanes and buffers that are walked as objects."""

import numpy as np
import pytest

from archmodel.kernels.brick_dispatch import banked_window_cycles
from archmodel.kernels.zero_skip import slowest_lane_cycles
from tests.kernels.test_zero_skip import case
from tests.reference import brick_dispatch as twin


def one_window(lanes, num_banks, depth):
    """Cycles of one window, of lanes with bricks (bank, cycles)."""
    bricks = [(lane, *brick) for lane, own in enumerate(lanes) for brick in own]
    lane_of, bank_of, cycles = (np.array(column).reshape(1, 1, -1) for column in zip(*bricks, strict=True))
    shape = ((1, 1), (1, 1), (1, 1))
    numbers = cycles[np.newaxis].astype(np.uint16)
    found = banked_window_cycles(numbers, lane_of, bank_of, np.zeros(1, int), *shape, (len(lanes), num_banks, depth))
    return int(found[0])


@pytest.mark.parametrize("seed", range(40))
def test_windows_take_what_the_twin_takes(seed):
    rng, kernel, (P, Q), stride, dilation, plane = case(seed)
    num_lanes, num_banks, depth = (int(one) for one in rng.integers(1, (6, 5, 4)))
    cycles = rng.integers(1, 6, (2, *plane, kernel[2])).astype(np.uint16)
    lane_of = rng.integers(0, num_lanes, kernel)
    bank_of = rng.integers(0, num_banks, (*plane, kernel[2]))
    expected = []
    for image, p, q in np.ndindex(2, P, Q):
        lanes = [[] for _ in range(num_lanes)]
        for r, s, brick in np.ndindex(*kernel):
            at = p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1], brick
            lanes[lane_of[r, s, brick]].append((int(bank_of[at]), int(cycles[image][at])))
        expected.append(twin.window_cycles(lanes, num_banks, depth))
    chosen = np.arange(seed % 2, 2 * P * Q, 1 + seed % 2)
    dispatcher = (num_lanes, num_banks, depth)
    found = banked_window_cycles(cycles, lane_of, bank_of, chosen, (P, Q), stride, dilation, dispatcher)
    assert found.dtype == np.int64
    assert found.tolist() == [expected[window] for window in chosen]


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("seed", range(6))
def test_a_lane_with_a_bank_of_its_own_never_waits(seed, depth):
    rng, kernel, (P, Q), stride, dilation, plane = case(seed)
    lane_of_brick = rng.integers(0, 5, kernel[2])
    cycles = rng.integers(1, 4, (2, *plane, kernel[2])).astype(np.uint16)
    lane_of = np.broadcast_to(lane_of_brick, kernel).copy()
    bank_of = np.broadcast_to(lane_of_brick, (*plane, kernel[2])).copy()
    windows, shape = np.arange(2 * P * Q), ((P, Q), stride, dilation)
    found = banked_window_cycles(cycles, lane_of, bank_of, windows, *shape, (5, 5, depth))
    assert found.tolist() == slowest_lane_cycles(cycles, lane_of, windows, *shape, 5).tolist()


def test_a_bank_delivers_a_brick_a_cycle():
    assert one_window([[(0, 1)], [(0, 1)], [(0, 1)]], 1, 1) == 3
    assert one_window([[(0, 1)], [(1, 1)], [(0, 1)]], 2, 1) == 2


def test_a_buffer_of_one_brick_asks_for_the_next_when_the_last_neuron_has_left():
    # Both lanes have a brick of three neurons and one of one neuron, all in one bank: lane 1 begins a cycle later.
    assert one_window([[(0, 3), (0, 1)], [(0, 3), (0, 1)]], 1, 1) == 5
    # Two bricks of one neuron and then one of three in lane 0; lane 1 takes the bank in every other cycle.
    lanes = [[(0, 1), (0, 1), (0, 3)], [(0, 1), (0, 1), (0, 1)]]
    assert one_window(lanes, 1, 1) == 7


def test_a_deeper_buffer_hides_what_other_lanes_take():
    # With one place all lanes ask bank 0 in cycle 4, and lane 0, which it served last, comes in cycle 6. With two they
    # ask from cycle 1 on, while they work on their first brick.
    lanes = [[(0, 4), (0, 4)], [(1, 4), (0, 1)], [(2, 4), (0, 1)]]
    assert [one_window(lanes, 3, depth) for depth in (1, 2)] == [10, 8]
    crossed = [[(1, 4), (0, 1)], [(2, 4), (0, 1)], [(0, 4), (0, 1)]]
    assert [one_window(crossed, 3, depth) for depth in (1, 2)] == [7, 5]


def test_a_bank_asks_the_lane_behind_the_one_it_served():
    # Lane 0 was served first, so lane 1 comes before it when both ask again: its long brick begins a cycle earlier.
    lanes = [[(0, 2), (0, 1)], [(1, 2), (0, 5)]]
    assert one_window(lanes, 2, 1) == 7
    assert one_window([[(0, 2), (0, 5)], [(1, 2), (0, 1)]], 2, 1) == 8


def test_lanes_without_bricks_take_nothing():
    assert one_window([[], [(0, 2)], []], 1, 1) == 2
