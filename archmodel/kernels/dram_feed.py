"""Requests into the channels of a memory, and its commands one after another, from event to event."""

from numba import njit

from archmodel.kernels.dram_bank import activate, choose, choose_refresh, move_data, next_refresh, precharge, refresh
from archmodel.kernels.dram_lists import drain, settle, want
from archmodel.kernels.dram_state import ACT, LIST, NEVER, NOTHING, PLACES, PRE, RD, READS, WR, WRITES

LOG_MARGIN = 64  # commands that one request can add to the log before its room is looked at again


@njit(nogil=True)
def step(part, state, c, until):
    """Issue the next command of channel `c` if it comes before `until`.

    Returns its cycle (NOTHING: none), the command, its bank or rank, and the row of an ACT or the turn of a RD or WR.
    """
    channel = state.channel[c]
    if until <= channel.clock:
        return NOTHING, NOTHING, NOTHING, NOTHING
    if channel.entered:
        settle(part, state, c)
    cycle, index, command, place = choose(part, state, c)
    refresh_cycle, refresh_index, refresh_command = choose_refresh(part, state, c, min(cycle, until))
    refreshes = refresh_cycle <= cycle
    cycle = min(cycle, refresh_cycle)
    if cycle >= until:
        channel.next = min(cycle, next_refresh(part, state, c))
        return NOTHING, NOTHING, NOTHING, NOTHING
    what = NOTHING
    if refreshes:
        index, command = refresh_index, refresh_command
        refresh(part, state, c, index, command, cycle)
        channel.row_bus = cycle + 1
    else:
        channel.served = index
        if command == ACT:
            what = state.entry[index, LIST, state.bank[index].head[LIST]].row
            activate(part, state, index, what, cycle)
            channel.row_bus = cycle + 1
        elif command == PRE:
            precharge(part, state, index, cycle)
            channel.row_bus = cycle + 1
        else:
            what = move_data(part, state, index, c, command, place, cycle)
        want(part, state, index, c)
    if not part.two_buses:
        channel.row_bus = channel.column_bus = cycle + 1
    channel.clock = cycle
    channel.next = cycle if part.two_buses else cycle + 1
    channel.commands[command] += 1
    if not part.unified:
        drain(part, state, c, False)
    return cycle, command, index, what


@njit(nogil=True)
def finds(state, b, writes, access):
    """Whether bank `b` has a read, or a write, of this access in its list or waiting."""
    bank = state.bank[b]
    for ring in (writes, LIST):
        for place in range(bank.length[ring]):
            entry = state.entry[b, ring, (bank.head[ring] + place) & (PLACES - 1)]
            if entry.access == access and entry.writes == writes:
                return True
    return False


@njit(nogil=True)
def has_place(part, state, b, c, writes, access):
    """Whether the buffer of a channel takes a request of bank `b`; a write waits for reads of the same data."""
    kind = WRITES if writes and not part.unified else READS
    if state.channel[c].waiting[kind] >= part.buffer:
        return False
    return kind == READS or not finds(state, b, 0, access)


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
    channel.entered += 1
    channel.entered_bank = b
    channel.next = cycle


@njit(cache=True, nogil=True)
def serve(part, state, trace, log, closing):
    """Feed requests to the memory; the number of requests that entered (fewer if the log of commands is full).

    Parameters
    ----------
    part, state, trace, log : as in dram_state.py; the state goes on from the call before
    closing : int   0: more requests will come; 1: serve all that entered; else: go on to this cycle, for refreshes

    Returns
    -------
    int
    """
    room = log.commands.shape[0]
    turn, cycle = 0, 0
    while turn < trace.cycles.size or closing:
        feeds = turn < trace.cycles.size
        if feeds:
            access = trace.addresses[turn] >> part.access_bits
            writes = trace.writes[turn]
            c = (access >> part.channel_at) & (part.channels - 1)
            rank = c * part.ranks + ((access >> part.rank_at) & (part.ranks - 1))
            group = (rank << part.bits_of_groups) + ((access >> part.group_at) & ((1 << part.bits_of_groups) - 1))
            b = (group << part.bits_of_banks) + ((access >> part.bank_at) & ((1 << part.bits_of_banks) - 1))
            feed = 0 if part.in_order else c
            cycle = max(trace.cycles[turn], state.fed[feed])
        else:
            c = turn - trace.cycles.size
            if c == part.channels:
                break
        channel = state.channel[c]
        placed = False
        while True:
            if feeds:
                placed = placed or has_place(part, state, b, c, writes, access)
                if not placed and channel.entered:
                    settle(part, state, c)
                    cycle = max(cycle, channel.clock + 1)
                    continue
                limit = cycle if placed else NEVER
            else:
                if channel.entered:
                    settle(part, state, c)
                if not part.unified:
                    drain(part, state, c, True)
                limit = closing if closing > 1 else NEVER if channel.listed else 0
            if limit <= channel.next:
                break
            if room and log.used[0] + LOG_MARGIN > room:
                break
            issued, command, index, what = step(part, state, c, limit)
            if issued == NOTHING:
                break
            if feeds and not placed:
                cycle = max(cycle, issued + 1)
            if command in (RD, WR):
                trace.completed[what - trace.first] = channel.data_end
                what = state.bank[index].row
            if room:
                used = log.used[0]
                log.commands[used, 0], log.commands[used, 1] = issued, command
                log.commands[used, 2], log.commands[used, 3] = index, what
                log.used[0] = used + 1
        if feeds:
            state.fed[feed] = cycle
        if room and log.used[0] + LOG_MARGIN > room:
            break
        if feeds:
            trace.entered[turn] = cycle
            channel.clock = max(channel.clock, cycle)
            if not writes and not part.unified and finds(state, b, 1, access):
                trace.completed[trace.next + turn - trace.first] = cycle + 1
                channel.forwarded += 1
            else:
                put_in(part, state, b, c, writes, access, trace.next + turn, cycle)
        turn += 1
    return turn
