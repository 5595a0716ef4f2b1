"""Lanes that skip zeros, against lists of what each lane does."""

import numpy as np
import pytest

from archmodel.kernels.zero_skip import accumulate_bricks, slowest_lane_cycles

LANES = 3


def case(seed):
    rng = np.random.default_rng(seed)
    R, S, bricks, P, Q = (int(one) for one in rng.integers(1, 4, 5))
    stride, dilation = tuple(rng.integers(1, 3, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
    height, width = (
        (outputs - 1) * stride[axis] + (taps - 1) * dilation[axis] + 1
        for axis, (outputs, taps) in enumerate(((P, R), (Q, S)))
    )
    return rng, (R, S, bricks), (P, Q), stride, dilation, (height, width)


@pytest.mark.parametrize("seed", range(8))
def test_the_slowest_lane_of_a_window_decides(seed):
    rng, kernel, (P, Q), stride, dilation, plane = case(seed)
    cycles = rng.integers(1, 9, (2, *plane, kernel[2])).astype(np.uint16)
    lane_of = rng.integers(0, LANES, kernel)
    expected = []
    for image in cycles:
        for p in range(P):
            for q in range(Q):
                lanes = [[] for _ in range(LANES)]
                for r, s, brick in np.ndindex(*kernel):
                    at = image[p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1], brick]
                    lanes[lane_of[r, s, brick]].append(int(at))
                expected.append(max(map(sum, lanes)))
    chosen = np.arange(0, 2 * P * Q, 1 + seed % 2)
    slowest = slowest_lane_cycles(cycles, lane_of, chosen, (P, Q), stride, dilation, LANES)
    assert slowest.dtype == np.int64
    assert slowest.tolist() == [expected[window] for window in chosen]


@pytest.mark.parametrize("seed", range(4))
def test_an_offset_names_the_synapses_of_a_neuron(seed):
    rng, kernel, (P, Q), stride, dilation, plane = case(seed)
    brick, filters = 2, 3
    first = np.arange(kernel[2]) * brick
    values = rng.integers(-3, 4, (*plane, kernel[2], brick)).astype(np.int32)
    values[..., 1][values[..., 0] == 0] = 0  # non-zeros first
    offsets = np.argsort(rng.random(values.shape), axis=-1)
    synapses = rng.integers(-3, 4, (*kernel[:2], kernel[2] * brick, filters)).astype(np.int32)
    lane_of = rng.integers(0, LANES, kernel)
    expected = np.zeros((P, Q, filters), int)
    for p, q, r, s, b, slot in np.ndindex(P, Q, *kernel, brick):
        at = (p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1], b, slot)
        expected[p, q] += values[at] * synapses[r, s, first[b] + offsets[at]]
    outputs = accumulate_bricks(values, offsets, first, lane_of, synapses, (P, Q), stride, dilation)
    assert outputs.dtype == np.int64
    assert outputs.tolist() == expected.tolist()


def test_no_window_takes_nothing():
    cycles = np.ones((1, 1, 1, 1), np.uint16)
    none = np.zeros(0, np.int64)
    lane_of = np.zeros((1, 1, 1), np.int64)
    assert slowest_lane_cycles(cycles, lane_of, none, (1, 1), (1, 1), (1, 1), LANES).size == 0
