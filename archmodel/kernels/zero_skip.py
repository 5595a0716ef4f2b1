"""Neuron lanes that skip zeros: what a window takes where lanes meet at its end, and what its lanes compute."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def slowest_lane_cycles(brick_cycles, lane_of, windows, plane, stride, dilation, num_lanes):
    """Cycles of the slowest lane in each of some windows (Cnvlutin, ISCA 2016).

    Parameters
    ----------
    brick_cycles : uint16[M, H, W, B]  cycles of the bricks at each position of M padded planes
    lane_of : int64[R, S, B]           lane that takes the brick of a kernel position
    windows : int64[n]                 (m * P + p) * Q + q
    plane, stride, dilation : (int, int)  P and Q; vertical, horizontal
    num_lanes : int

    Returns
    -------
    int64[n]
    """
    (P, Q), (R, S, num_bricks) = plane, lane_of.shape
    slowest = np.zeros(windows.size, np.int64)
    work = np.zeros(num_lanes, np.int64)
    for index in range(windows.size):
        row, q = divmod(windows[index], Q)
        m, p = divmod(row, P)
        work[:] = 0
        for r in range(R):
            for s in range(S):
                bricks = brick_cycles[m, p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]]
                lanes = lane_of[r, s]
                for brick in range(num_bricks):
                    work[lanes[brick]] += bricks[brick]
        slowest[index] = work.max()
    return slowest


@njit(cache=True, nogil=True)
def accumulate_bricks(values, offsets, first_channel, lane_of, synapses, plane, stride, dilation):
    """Outputs of a group: each lane multiplies the neurons of its bricks with the synapses that their offsets name.

    Parameters
    ----------
    values : int32[H, W, B, brick]     non-zero neurons of a padded plane, first in their brick; then zeros
    offsets : int64[H, W, B, brick]    channel of a neuron in its brick
    first_channel : int64[B]           channel at which a brick begins
    lane_of : int64[R, S, B]           lane that takes the brick of a kernel position
    synapses : int32[R, S, C, K]
    plane, stride, dilation : (int, int)  P and Q; vertical, horizontal

    Returns
    -------
    int64[P, Q, K]
    """
    (P, Q), (R, S, num_bricks), num_filters = plane, lane_of.shape, synapses.shape[3]
    outputs = np.zeros((P, Q, num_filters), np.int64)
    for p in range(P):
        for q in range(Q):
            for lane in range(lane_of.max() + 1):
                for r in range(R):
                    for s in range(S):
                        h, w = p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]
                        for brick in range(num_bricks):
                            if lane_of[r, s, brick] != lane:
                                continue
                            for slot in range(values.shape[3]):
                                value = np.int64(values[h, w, brick, slot])
                                if value == 0:
                                    break
                                channel = first_channel[brick] + offsets[h, w, brick, slot]
                                for k in range(num_filters):
                                    outputs[p, q, k] += value * synapses[r, s, channel, k]
    return outputs
