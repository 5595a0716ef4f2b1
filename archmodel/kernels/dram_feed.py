"""Requests into the channels of a memory, and its commands one after another, from event to event."""

from numba import njit

from archmodel.kernels.dram_bank import activate, choose, choose_refresh, move_data, precharge, refresh, serves, turn_around, want
from archmodel.kernels.dram_state import ACT, NEVER, NOTHING, PLACES, PRE

LOG_MARGIN = 64  # commands that one request can add to the log before its room is looked at again


@njit(nogil=True)
def step(part, state, c, until):
    """Issue the next command of channel `c` if it comes before `until`.

    Returns its cycle (NOTHING: none), the command, its bank or rank, and the row (of an ACT) or the turn (of a RD or WR).
    """
    channel = state.channel[c]
    if until <= channel.clock:
        return NOTHING, NOTHING, NOTHING, NOTHING
    if not part.unified:
        turn_around(part, state, c)
    cycle, index = choose(part, state, c)
    refresh_cycle, refresh_index, command = choose_refresh(part, state, c, min(cycle, until))
    refreshes = refresh_cycle <= cycle
    cycle = min(cycle, refresh_cycle)
    if cycle >= until:
        channel.next = cycle
        return NOTHING, NOTHING, NOTHING, NOTHING
    what = NOTHING
    if refreshes:
        index = refresh_index
        refresh(part, state, c, index, command, cycle)
        channel.row_bus = cycle + 1
    else:
        bank = state.bank[index]
        command = bank.wants
        if command == ACT:
            kind = 0 if part.unified else channel.drains
            what = state.entry[index, kind, bank.head[kind]].row
            activate(part, state, index, what, kind, cycle)
            channel.row_bus = cycle + 1
        elif command == PRE:
            precharge(part, state, index, cycle)
            channel.row_bus = cycle + 1
        else:
            what = bank.turn
            move_data(part, state, index, c, cycle)
        want(part, state, index, c)
    if not part.two_buses:
        channel.row_bus = channel.column_bus = cycle + 1
    channel.clock = cycle
    channel.next = cycle if part.two_buses else cycle + 1
    channel.commands[command] += 1
    return cycle, command, index, what


@njit(nogil=True)
def finds(state, b, kind, access):
    """Whether a list of bank `b` has an entry of this access."""
    head = state.bank[b].head[kind]
    for place in range(state.bank[b].length[kind]):
        if state.entry[b, kind, (head + place) & (PLACES - 1)].access == access:
            return True
    return False


@njit(nogil=True)
def has_place(part, state, b, c, writes, access):
    """Whether a request of bank `b` finds a place in its lists."""
    kind = 1 if writes and not part.unified else 0
    if kind and finds(state, b, 0, access):
        return False  # a read of the same data comes first
    return state.bank[b].length[kind] < part.visible or state.channel[c].waiting[kind] < part.buffer


@njit(nogil=True)
def put_in(part, state, b, c, writes, access, turn, cycle):
    """Append an entry to its bank's list."""
    bank, channel = state.bank[b], state.channel[c]
    kind = 1 if writes and not part.unified else 0
    length = bank.length[kind]
    entry = state.entry[b, kind, (bank.head[kind] + length) & (PLACES - 1)]
    entry.row = (access >> part.row_at) & part.row_mask
    entry.access = access
    entry.turn = turn
    entry.came = cycle
    entry.writes = writes
    bank.length[kind] = length + 1
    channel.entries[kind] += 1
    if length >= part.visible:
        channel.waiting[kind] += 1
    elif part.unified or kind == serves(part, state, b, c):
        want(part, state, b, c)
    channel.next = cycle  # the bank or, by the number of entries, the mode may allow a command now


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
                limit = cycle if placed else NEVER
            else:
                limit = closing if closing > 1 else NEVER if channel.entries[0] + channel.entries[1] else 0
            if limit <= channel.next:
                break
            if room and log.used[0] + LOG_MARGIN > room:
                break
            issued, command, index, what = step(part, state, c, limit)
            if issued == NOTHING:
                break
            if feeds and not placed:
                cycle = max(cycle, issued + 1)
            if command == 2 or command == 3:
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
