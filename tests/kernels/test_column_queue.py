"""Queues of columns against real queues, walked cycle by cycle."""

from collections import deque

import numpy as np
import pytest

from archmodel.kernels.column_queue import column_queue_cycles


def cycles(entries, depth):
    return int(column_queue_cycles(np.array(entries, np.uint16), depth))


def walked(entries, depth):
    """Cycles until all queues are empty and everything was sent."""
    waiting, queues, cycle = deque(entries), [deque() for _ in entries[0]], 0
    while waiting or any(queues):
        if waiting and all(len(queue) < depth for queue in queues):
            for queue, own in zip(queues, waiting.popleft(), strict=True):
                queue.append(max(1, own))
        for queue in queues:
            if queue:
                queue[0] -= 1
                if queue[0] == 0:
                    queue.popleft()
        cycle += 1
    return cycle


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 100])
@pytest.mark.parametrize("seed", range(10))
def test_cycles_are_those_of_real_queues(depth, seed):
    rng = np.random.default_rng(seed)
    num_columns, num_pes = rng.integers(1, 30), rng.integers(1, 6)
    entries = rng.poisson(rng.choice([0.1, 1.0, 5.0]), (num_columns, num_pes))
    assert cycles(entries, depth) == walked(entries.tolist(), depth)


def test_no_columns_take_no_time():
    assert column_queue_cycles(np.zeros((0, 3), np.uint16), 2) == 0


@pytest.mark.parametrize(("depth", "expected"), [(1, 8), (2, 5), (3, 5)])
def test_a_place_is_free_in_the_cycle_after_the_last_entry(depth, expected):
    # PE 0 is done with the columns in 4, 5, ...; PE 1 in 1 and then works for four cycles.
    assert cycles([[4, 1], [1, 4]], depth) == expected


def test_one_full_queue_holds_all():
    # Two places: the third column enters when PE 0 has done the first, in cycle 6.
    assert cycles([[6, 1], [1, 1], [1, 6]], 2) == 12
    assert cycles([[6, 1], [1, 1], [1, 6]], 3) == 8
