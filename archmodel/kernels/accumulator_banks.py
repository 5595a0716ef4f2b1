"""SCNN's multiplier array, its crossbar queues and accumulator banks, and the weight FIFO that couples the PEs.

Time is counted in multiplier cycles from the start of an output-channel group. In a cycle a PE issues one pair of an
activation vector and a weight vector; every product enters the queue of its accumulator bank, every bank retires one
product. While a queue holds more than its depth the multipliers wait. Weight vectors are broadcast, some a cycle, as
long as every PE has room in its FIFO; a PE frees an entry when its last activation vector of that channel used it. A PE
without activations in a channel drops its weights as soon as it gets there; they arrive in order, so nobody waits.
"""

import numpy as np
from numba import njit, types
from numba.core import config
from numba.extending import intrinsic

from archmodel.kernels.lanes import DONE, NUM_LANES, ROW_SHIFT, generate_issue, issue_rotated_in_python

NOT_ISSUED = -2  # beside the outcomes of `issue`
UNUSED = -1  # slot of a vector that is not full
DROPPED = 255  # bank of a product that the PE discards before the crossbar


def issue_scattered(queues, pe, vectors, position, end_row, weights, span, depth, bank_of):
    """As `lanes.issue_rotated_in_python`, product by product: any bank function, any number of banks, any vector width.

    vectors : int32[V, I], weights : int32[W, F]   addends of the accumulator address, or UNUSED
    bank_of : uint8[T, addresses]                  bank of an accumulator of a PE, or DROPPED
    """
    first, end = span
    row, step = position >> ROW_SHIFT, position & (2**ROW_SHIFT - 1)
    while row < end_row:
        while step < end:
            for activation in vectors[row]:
                for weight in weights[step]:
                    if activation != UNUSED and weight != UNUSED:
                        bank = bank_of[pe, activation + weight]
                        if bank != DROPPED:
                            queues[pe, bank] += np.uint8(1)
            step += 1
            stalled = False
            for bank in range(queues.shape[1]):
                if queues[pe, bank] > 0:
                    queues[pe, bank] -= np.uint8(1)
                    stalled |= queues[pe, bank] > depth
            if stalled:
                return row << ROW_SHIFT | step
        row, step = row + 1, first
    return DONE


def issue_in_python(queues, pe, vectors, position, end_row, weights, span, depth, bank_of):
    """What `issue` does with the JIT off."""
    if vectors.dtype == np.uint8:
        return issue_rotated_in_python(queues, pe, vectors, position, end_row, weights, span, depth)
    return issue_scattered(queues, pe, vectors, position, end_row, weights, span, depth, bank_of)


@intrinsic
def _issue(typing_context, queues, pe, vectors, position, end_row, weights, span, depth, bank_of):
    pair, int64 = types.UniTuple(types.int64, 2), types.int64
    signature = int64(queues, int64, vectors, int64, int64, weights, pair, types.uint8, bank_of)

    def generate(context, builder, signature, args):
        if vectors.dtype.bitwidth == 8:
            return generate_issue(context, builder, signature, args)
        return context.compile_internal(builder, issue_scattered, signature, args)

    return signature, generate


issue = issue_in_python if config.DISABLE_JIT else _issue  # type: ignore[attr-defined]
"""Issue vector pairs until a queue is too long: bytes are bank counts that rotate, wider integers are addresses.

Arguments and result as `lanes.issue_rotated_in_python`, and `bank_of` as `issue_scattered`.
"""


@njit(nogil=True)
def retire(queues, pe, cycles):
    """Let every bank of a PE retire products for some cycles in which none arrives."""
    retired = np.uint8(min(cycles, 255))
    for bank in range(queues.shape[1]):
        queues[pe, bank] -= min(queues[pe, bank], retired)


@njit(nogil=True)
def longest_queue(queues, pe):
    """Products in the longest queue of a PE."""
    longest = np.int64(0)
    for bank in range(queues.shape[1]):
        longest = max(longest, np.int64(queues[pe, bank]))
    return longest


@njit(nogil=True)
def num_queues(bank_of):
    """Queues that a PE needs: at least one register of lanes."""
    most = np.int64(NUM_LANES)
    for pe in range(bank_of.shape[0]):
        for address in range(bank_of.shape[1]):
            if bank_of[pe, address] != DROPPED:
                most = max(most, np.int64(bank_of[pe, address]) + 1)
    return most


@njit(nogil=True)
def broadcast(fifo, first, end, entries, per_cycle):
    """Cycles in which weight vectors first..end-1 reach the FIFOs; a group starts with full FIFOs.

    fifo : int64[2, E]   arrival of a group's weight vectors; cycle in which the last PE is done with each
    Returns the first cycle from which a PE can use one vector a cycle without waiting for the next.
    """
    ready = np.int64(0)
    for vector in range(first, end):
        if vector < entries:
            fifo[0, vector] = -1
        else:
            leaves = max(fifo[0, vector - entries], fifo[1, vector - entries])  # a dropped one, as it arrives
            arrival = max(fifo[0, vector - 1], leaves + 1)
            if vector >= per_cycle:
                arrival = max(arrival, fifo[0, vector - per_cycle] + 1)
            fifo[0, vector] = arrival
            ready = max(ready, arrival - (vector - first))
    return ready


@njit(nogil=True)
def mark_freed(fifo, first, end, cycle):
    """A PE uses weight vectors first..end-1 for the last time, one a cycle from `cycle` on."""
    for vector in range(first, end):
        fifo[1, vector] = max(fifo[1, vector], cycle + vector - first)


@njit(nogil=True)
def run_hindered_block(queues, pe, activations, rows, weights, span, bank_of, depth, clock, fifo, outcome):
    """One PE multiplies one channel, waiting for weights and for full queues.

    rows = (first, end) activation vectors; span = (first, end) weight vectors; clock = (now, cycle from which the
    weights are there, the group's first weight vector); outcome = what `issue` returned for the whole block, or
    NOT_ISSUED. Marks in `fifo` when the PE is done with each weight vector.

    Returns the first free cycle and the stalled cycles.
    """
    now, ready, base = clock
    row, step = rows[0], span[0]
    stalls = np.int64(0)
    while row < rows[1]:
        end_row, of_row = rows[1], span
        if outcome == NOT_ISSUED:
            if row == rows[0] and now - (step - span[0]) < ready:  # behind the broadcast: by as many as are there
                wait = max(fifo[0, step - base] - now, 0)
                retire(queues, pe, wait)
                now += wait
                arrived = step + 1
                while arrived < span[1] and fifo[0, arrived - base] - now <= arrived - step:
                    arrived += 1
                end_row, of_row = row + 1, (step, arrived)
            position = row << ROW_SHIFT | step
            outcome = issue(queues, pe, activations, position, end_row, weights, of_row, depth, bank_of)
        if outcome == DONE:
            outcome = (end_row - 1) << ROW_SHIFT | of_row[1]
        last, stop = outcome >> ROW_SHIFT, outcome & (2**ROW_SHIFT - 1)
        now += (last - row) * (span[1] - span[0]) + stop - step
        if fifo.size and last == rows[1] - 1:
            first = step if row == last else span[0]
            mark_freed(fifo, first - base, stop - base, now - (stop - first))
        excess = max(longest_queue(queues, pe) - np.int64(depth), 0)
        retire(queues, pe, excess)
        now += excess
        stalls += excess
        row, step = (last + 1, span[0]) if stop == span[1] else (last, stop)
        outcome = NOT_ISSUED
    return now, stalls


@njit(nogil=True)
def busy_pes(activation_ptr):
    """PEs that have activations of each block, so that no loop looks at the others.

    Returns the first entry of each block, int64[B + 1], and entries of PE, first and end row, int64[E, 3].
    """
    num_blocks, num_pes = activation_ptr.shape[0], activation_ptr.shape[1] - 1
    first = np.zeros(num_blocks + 1, np.int64)
    entries = np.empty((num_blocks * num_pes, 3), np.int64)
    count = 0
    for block in range(num_blocks):
        for pe in range(num_pes):
            if activation_ptr[block, pe] < activation_ptr[block, pe + 1]:
                entries[count, 0] = pe
                entries[count, 1] = activation_ptr[block, pe]
                entries[count, 2] = activation_ptr[block, pe + 1]
                count += 1
        first[block + 1] = count
    return first, entries[:count]


@njit(nogil=True)
def meet(queues, clock, work, stalls, counted):
    """Barrier: every PE waits for the slowest; returns the cycles that its work since the last one took.

    counted : int64[T]   work and stalls of each PE up to the last barrier, updated
    """
    slowest, longest = np.int64(0), np.int64(0)
    for pe in range(clock.size):
        slowest = max(slowest, clock[pe])
        longest = max(longest, work[pe] + stalls[pe] - counted[pe])
        counted[pe] = work[pe] + stalls[pe]
    for pe in range(clock.size):
        retire(queues, pe, slowest - clock[pe])
        clock[pe] = slowest
    return longest


@njit(cache=True, nogil=True)
def bank_group_cycles(
    weight_ptr, weight_vectors, activation_ptr, activation_vectors, bank_of, queue_depth, weight_fifo, barrier_blocks
):
    """Cycles of every PE and output-channel group (SCNN, ISCA 2017, sec. 3 and 4).

    Parameters
    ----------
    weight_ptr : int64[G, B + 1]           first weight vector of block (input channel) b in group g
    weight_vectors : uint8[W, 4] rotations, or int32[W, F] address addends (see `issue`)
    activation_ptr : int64[B, T + 1]       first activation vector of block b in PE t
    activation_vectors : uint8[V, 128] bank counts, or int32[V, I] address addends
    bank_of : uint8[T, addresses]          bank of every accumulator; not read with rotations
    queue_depth : int                      products that a bank's queue holds; 0 charges the fullest bank at once
    weight_fifo : (int, int)               entries, and vectors broadcast a cycle; 0 entries: weights are always there
    barrier_blocks : int                   PEs meet after every so many blocks; 0 only at the end of the group

    Returns
    -------
    span : int64[G]           cycles of the group, until the last queue of the last PE is empty
    waiting : int64[G]        the part of span that the slowest PE's own work does not explain: the weight FIFO
    work : int64[G, T]        cycles in which PE t issues, stalls or empties its queues
    stalls : int64[G, T]      the part of work in which a full queue holds the multipliers
    emptying : int64[G, T]    the part of work after the last issue
    """
    num_groups, num_blocks, num_pes = weight_ptr.shape[0], weight_ptr.shape[1] - 1, activation_ptr.shape[1] - 1
    span, waiting = np.zeros(num_groups, np.int64), np.zeros(num_groups, np.int64)
    work, stalls = np.zeros((num_groups, num_pes), np.int64), np.zeros((num_groups, num_pes), np.int64)
    emptying = np.zeros((num_groups, num_pes), np.int64)
    queues = np.zeros((num_pes, num_queues(bank_of)), np.uint8)
    first_busy, busy = busy_pes(activation_ptr)
    depth = np.uint8(queue_depth)
    entries, per_cycle = weight_fifo
    for group in range(num_groups):
        base = weight_ptr[group, 0]
        fifo = np.full((2, weight_ptr[group, num_blocks] - base if entries else 0), -1, np.int64)
        clock, counted = np.zeros(num_pes, np.int64), np.zeros(num_pes, np.int64)
        explained = np.int64(0)
        for block in range(num_blocks):
            start, stop = weight_ptr[group, block], weight_ptr[group, block + 1]
            for first in range(start, stop, entries if entries else max(stop - start, 1)):
                end = min(first + entries, stop) if entries else stop  # a block larger than the FIFO comes in pieces
                ready = broadcast(fifo, first - base, end - base, entries, per_cycle) if entries else 0
                last_pass = np.int64(-1)
                for index in range(first_busy[block], first_busy[block + 1]):
                    pe, row, end_row = busy[index, 0], busy[index, 1], busy[index, 2]
                    now, issuing = clock[pe], (end_row - row) * (end - first)
                    outcome = NOT_ISSUED
                    if now < ready and ready == fifo[0, first - base]:  # one wait, before the first vector
                        retire(queues, pe, ready - now)
                        now = ready
                    if now >= ready:
                        position, span_ = row << ROW_SHIFT | first, (first, end)
                        outcome = issue(
                            queues, pe, activation_vectors, position, end_row, weight_vectors, span_, depth, bank_of
                        )
                    if outcome == DONE:
                        now += issuing
                        last_pass = max(last_pass, now - (end - first))
                    else:
                        now, stalled = run_hindered_block(
                            queues, pe, activation_vectors, (row, end_row), weight_vectors, (first, end), bank_of,
                            depth, (now, ready, base), fifo, outcome,
                        )  # fmt: skip
                        stalls[group, pe] += stalled
                    clock[pe] = now
                    work[group, pe] += issuing
                if entries and last_pass >= 0:
                    mark_freed(fifo, first - base, end - base, last_pass)
            if barrier_blocks and (block + 1) % barrier_blocks == 0:
                explained += meet(queues, clock, work[group], stalls[group], counted)
        longest = np.int64(0)
        for pe in range(num_pes):
            emptying[group, pe] = longest_queue(queues, pe)
            retire(queues, pe, emptying[group, pe])
            work[group, pe] += stalls[group, pe] + emptying[group, pe]
            longest = max(longest, work[group, pe] - counted[pe])
            span[group] = max(span[group], clock[pe] + emptying[group, pe])
        waiting[group] = span[group] - explained - longest
    return span, waiting, work, stalls, emptying
