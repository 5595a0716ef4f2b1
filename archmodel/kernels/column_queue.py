"""PEs that work through the same columns, each at its own pace, within the depth of the queues between them."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def column_queue_cycles(entries, depth):
    """Cycles until the slowest PE is done with the last column (EIE, ISCA 2016, sec. IV).

    One column a cycle enters the queues of all PEs, unless a queue is full. A PE works on the column at the head of
    its queue, one entry a cycle and at least one cycle; the column leaves when its last entry is done, and its place is
    free in the next cycle. A column that meets an empty queue is worked on in the cycle in which it enters. No PE takes
    less than a cycle for a column, so that it never waits for the rate of the broadcast.

    entries : uint16[J, PE]   stored entries of every column in every PE, in the order of the broadcast
    depth : int               columns that a queue holds, the one that is worked on included; at least 1
    """
    num_columns, num_pes = entries.shape
    done = np.zeros(num_pes, np.int64)  # cycle from which each PE is free
    slowest = np.zeros(num_columns, np.int64)  # cycle from which a column is in no queue
    for column in range(num_columns):
        entering = slowest[column - depth] if column >= depth else np.int64(0)  # from this cycle all queues have room
        last = np.int64(0)
        for pe in range(num_pes):
            done[pe] = max(done[pe], entering) + max(np.int64(entries[column, pe]), 1)
            last = max(last, done[pe])
        slowest[column] = last
    return slowest[num_columns - 1] if num_columns else np.int64(0)
