"""A dispatcher that fetches bricks of neurons from the banks of a memory, as far ahead as its buffers hold."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def banked_window_cycles(brick_cycles, lane_of, bank_of, windows, plane, stride, dilation, dispatcher):
    """Cycles of windows whose bricks come one by one from banks of one port (Cnvlutin, ISCA 2016).

    A window begins with empty buffers and ends when every lane is through with its bricks. The rules of a cycle are
    those of `lanes_served_by_banks`.

    Parameters
    ----------
    brick_cycles : uint16[M, H, W, B]  cycles of the bricks at each position of M padded planes
    lane_of : int64[R, S, B]           lane that takes the brick of a kernel position
    bank_of : int64[H, W, B]           bank that a brick lies in
    windows : int64[n]                 (m * P + p) * Q + q
    plane, stride, dilation : (int, int)  P and Q; vertical, horizontal
    dispatcher : (int, int, int)       lanes, banks, bricks that the buffer of a lane holds

    Returns
    -------
    int64[n]
    """
    (P, Q), (R, S, num_bricks) = plane, lane_of.shape
    num_lanes, num_banks, depth = dispatcher
    taken = np.zeros(windows.size, np.int64)
    cycles = np.zeros((num_lanes, R * S * num_bricks), np.int64)
    banks = np.zeros_like(cycles)
    num_of_lane = np.zeros(num_lanes, np.int64)
    for index in range(windows.size):
        row, q = divmod(windows[index], Q)
        m, p = divmod(row, P)
        num_of_lane[:] = 0
        for r in range(R):
            for s in range(S):
                h, w = p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]
                for brick in range(num_bricks):
                    lane = lane_of[r, s, brick]
                    cycles[lane, num_of_lane[lane]] = brick_cycles[m, h, w, brick]
                    banks[lane, num_of_lane[lane]] = bank_of[h, w, brick]
                    num_of_lane[lane] += 1
        taken[index] = lanes_served_by_banks(cycles, banks, num_of_lane, num_banks, depth)
    return taken


@njit(cache=True, nogil=True)
def lanes_served_by_banks(cycles, banks, num_of_lane, num_banks, depth):
    """Cycles until all lanes are through with their bricks, which they take in order.

    In a cycle each bank delivers a brick to one lane: of the lanes whose next brick lies in it and whose buffer has
    room, the first one behind the lane that it served last. The brick that a lane works on is in the buffer until its
    last cycle; its place is free in the next one. A brick is worked on in the cycle in which it comes, where nothing is
    before it: the latency of a bank is pipelined.

    cycles, banks : int64[lanes, most]   of each brick of a lane: cycles of work, and where it lies
    num_of_lane : int64[lanes]           bricks of each lane
    """
    num_lanes = num_of_lane.size
    fetched, done, left = np.zeros(num_lanes, np.int64), np.zeros(num_lanes, np.int64), np.zeros(num_lanes, np.int64)
    turn = np.zeros(num_banks, np.int64)  # lane that each bank asks first
    served = np.zeros(num_banks, np.int64)
    cycle, unfinished = np.int64(0), num_of_lane.sum()
    while unfinished:
        served[:] = -1
        for lane in range(num_lanes):
            if fetched[lane] == num_of_lane[lane] or fetched[lane] - done[lane] == depth:
                continue
            bank = banks[lane, fetched[lane]]
            behind = (lane - turn[bank]) % num_lanes
            if served[bank] < 0 or behind < (served[bank] - turn[bank]) % num_lanes:
                served[bank] = lane
        for bank in range(num_banks):
            if served[bank] >= 0:
                fetched[served[bank]] += 1
                turn[bank] = (served[bank] + 1) % num_lanes
        for lane in range(num_lanes):
            if done[lane] == fetched[lane]:
                continue
            if left[lane] == 0:
                left[lane] = cycles[lane, done[lane]]
            left[lane] -= 1
            if left[lane] == 0:
                done[lane] += 1
                unfinished -= 1
        cycle += 1
    return cycle
