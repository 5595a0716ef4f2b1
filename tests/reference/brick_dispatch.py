"""Naive twin of kernels/brick_dispatch.py: buffers and bricks as objects, one cycle after the other."""

from collections import deque
from itertools import count


def window_cycles(lanes, num_banks, depth):
    """Cycles until every lane has worked through its bricks (bank, cycles), which banks of one port deliver."""
    waiting = [deque(bricks) for bricks in lanes]
    buffers = [deque() for _ in lanes]
    order = {bank: list(range(len(lanes))) for bank in range(num_banks)}  # in which a bank asks the lanes
    for cycle in count():
        if not any(waiting) and not any(buffers):
            return cycle
        wants = {
            lane: bricks[0][0]
            for lane, (bricks, buffer) in enumerate(zip(waiting, buffers, strict=True))
            if bricks and len(buffer) < depth
        }
        for bank, asked in order.items():
            takers = [lane for lane in asked if wants.get(lane) == bank]
            if takers:
                buffers[takers[0]].append([None] * waiting[takers[0]].popleft()[1])
                at = asked.index(takers[0]) + 1
                order[bank] = asked[at:] + asked[:at]
        for buffer in buffers:
            if buffer:
                buffer[0].pop()
                if not buffer[0]:
                    buffer.popleft()
    return None
