"""Requests into the channels of a memory, and its commands one after another, from event to event."""

import numpy as np
from numba import njit

from archmodel.kernels.dram_bank import activate, choose, choose_refresh, move_data, next_refresh, precharge, refresh
from archmodel.kernels.dram_lists import drain, settle, want
from archmodel.kernels.dram_state import ACT, LIST, NEVER, NOTHING, PLACES, PRE, RD, READS, WR, WRITES

LOG_MARGIN = 64  # commands that one request can add to the log before its room is looked at again


@njit(nogil=True)
def step(part, state, c, until):
    """Issue the next command of channel `c` if it comes before `until`.

    Returns its cycle (NOTHING: none), the command, its bank or rank, its row and the turn of a RD or WR.
    """
    channel = state.channel[c]
    if until <= channel.next or until <= channel.clock:
        return NOTHING, NOTHING, NOTHING, NOTHING, NOTHING
    if channel.entered:
        settle(part, state, c)
    cycle, index, command, place = choose(part, state, c)
    refresh_cycle, refresh_index, refresh_command = choose_refresh(part, state, c, min(cycle, until))
    refreshes = refresh_cycle <= cycle
    cycle = min(cycle, refresh_cycle)
    if cycle >= until:
        channel.next = min(cycle, next_refresh(part, state, c))
        return NOTHING, NOTHING, NOTHING, NOTHING, NOTHING
    row, turn = NOTHING, NOTHING
    if refreshes:
        index, command = refresh_index, refresh_command
        refresh(part, state, c, index, command, cycle)
        channel.row_bus = cycle + 1
    else:
        channel.served = index
        if command == ACT:
            row = state.entry[index, LIST, state.bank[index].head[LIST]].row
            activate(part, state, index, row, cycle)
            channel.row_bus = cycle + 1
        elif command == PRE:
            precharge(part, state, index, cycle)
            channel.row_bus = cycle + 1
        else:
            row = state.bank[index].row
            turn = move_data(part, state, index, c, command, place, cycle)
        want(part, state, index, c)
    if not part.two_buses:
        channel.row_bus = channel.column_bus = cycle + 1
    channel.clock = cycle
    channel.next = cycle if part.two_buses else cycle + 1
    channel.commands[command] += 1
    if not part.unified:
        drain(part, state, c, False)
    return cycle, command, index, row, turn


@njit(nogil=True)
def finds(state, b, ring, kind, access):
    """Whether bank `b` has a read or a write of this access, in its list or waiting in `ring`."""
    bank = state.bank[b]
    for searched in (ring, LIST):
        for place in range(bank.length[searched]):
            entry = state.entry[b, searched, (bank.head[searched] + place) & (PLACES - 1)]
            if entry.access == access and entry.writes == kind:
                return True
    return False


@njit(nogil=True)
def has_place(part, state, b, c, writes, access):
    """Whether the buffer of a channel takes a request of bank `b`.

    A write waits for the reads of the same data; with one buffer for both, a read for the writes too.
    """
    if part.unified:
        return state.channel[c].waiting[READS] < part.buffer and not finds(state, b, READS, 1 - writes, access)
    if writes:
        return state.channel[c].waiting[WRITES] < part.buffer and not finds(state, b, READS, READS, access)
    return state.channel[c].waiting[READS] < part.buffer


@njit(nogil=True)
def put_in(part, state, b, c, writes, access, turn, cycle):
    """Into the buffer of the channel."""
    bank, channel = state.bank[b], state.channel[c]
    kind = WRITES if writes and not part.unified else READS
    entry = state.entry[b, kind, (bank.head[kind] + bank.length[kind]) & (PLACES - 1)]
    entry.row = (access >> part.row_at) & part.row_mask
    entry.access = access
    entry.turn = turn
    entry.came = cycle
    entry.writes = writes
    bank.length[kind] += 1
    channel.waiting[kind] += 1
    come(state, b, c, cycle)


@njit(nogil=True)
def come(state, b, c, cycle):
    """A request for bank `b` is there: the channel settles before its next command."""
    channel = state.channel[c]
    channel.entered += 1
    channel.entered_bank = b
    channel.next = cycle


@njit(nogil=True)
def where(part, access):
    """Channel and bank of an access."""
    c = (access >> part.channel_at) & (part.channels - 1)
    rank = c * part.ranks + ((access >> part.rank_at) & (part.ranks - 1))
    group = (rank << part.bits_of_groups) + ((access >> part.group_at) & ((1 << part.bits_of_groups) - 1))
    return c, (group << part.bits_of_banks) + ((access >> part.bank_at) & ((1 << part.bits_of_banks) - 1))


@njit(nogil=True)
def flush(part, state, c, last):
    """No request comes after `last`: what waits then goes to the lists; until when there is something to do."""
    channel = state.channel[c]
    if channel.clock < last:
        return last
    if channel.entered:
        settle(part, state, c)
    if not part.unified and channel.listed == 0:
        drain(part, state, c, True)
    return NEVER if channel.listed else 0


@njit(nogil=True)
def write_down(log, cycle, command, index, row):
    """A command into the log."""
    used = log.used[0]
    log.commands[used, 0], log.commands[used, 1] = cycle, command
    log.commands[used, 2], log.commands[used, 3] = index, row
    log.used[0] = used + 1


@njit(cache=True, nogil=True)
def serve(part, state, trace, log, closing):
    """Feed requests to the memory.

    Parameters
    ----------
    part, state, trace, log : as in dram_state.py; the state goes on from the call before
    closing : int   0: more requests will come; 1: serve all that entered; else: go on to this cycle, for refreshes

    Returns
    -------
    int   requests that entered; if closing, and the channels that are done. Fewer: the log of commands is full
    """
    turn, num, room = 0, trace.cycles.size, log.commands.shape[0]
    while turn < num or (closing and turn < num + part.channels):
        feeds, placed = turn < num, False
        c, b, cycle, access, writes = turn - num, 0, 0, 0, 0
        last = 0 if feeds or closing != 1 else state.fed.max()
        if feeds:
            access = (trace.addresses[turn] >> part.access_bits) & part.access_mask
            writes = np.int64(trace.writes[turn])
            c, b = where(part, access)
            cycle = max(trace.cycles[turn], state.fed[0 if part.in_order else c])
        channel = state.channel[c]
        while not (room and log.used[0] + LOG_MARGIN > room):
            if feeds:
                placed = placed or has_place(part, state, b, c, writes, access)
                if not placed and channel.entered:
                    settle(part, state, c)
                    cycle = max(cycle, channel.clock + 1)
                    continue
                until = cycle if placed else NEVER
            else:
                until = flush(part, state, c, last) if closing == 1 else closing
            issued, command, index, row, served = step(part, state, c, until)
            if issued == NOTHING and channel.clock < last:
                channel.clock = last
                continue
            if issued == NOTHING:
                break
            if not placed:
                cycle = max(cycle, issued + 1)
            if command in (RD, WR):
                trace.completed[served - trace.first] = channel.data_end
            if room:
                write_down(log, issued, command, index, row)
        if feeds:
            state.fed[0 if part.in_order else c] = cycle
        if room and log.used[0] + LOG_MARGIN > room:
            break
        if feeds:
            trace.entered[turn] = cycle
            channel.clock = max(channel.clock, cycle)
            if not writes and not part.unified and finds(state, b, WRITES, WRITES, access):
                trace.completed[trace.next + turn - trace.first] = cycle + 1
                channel.forwarded += 1
                come(state, b, c, cycle)
            else:
                put_in(part, state, b, c, writes, access, trace.next + turn, cycle)
        turn += 1
    return turn
