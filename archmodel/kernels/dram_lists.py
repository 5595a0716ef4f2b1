"""Requests that wait in a DRAM channel: its buffers, the lists of its banks, and what the lists ask for."""

from numba import njit

from archmodel.kernels.dram_state import (
    ACT,
    LIST,
    NEVER,
    NOTHING,
    PLACES,
    PRE,
    RD,
    READS,
    WR,
    WRITES,
)


@njit(nogil=True)
def copy(to, source):
    """Write one entry over another."""
    to.row = source.row
    to.access = source.access
    to.turn = source.turn
    to.came = source.came
    to.writes = source.writes


@njit(nogil=True)
def want(part, state, b, c):
    """Note what the list of bank `b` asks for, and keep the channel's table of banks whose list is not empty."""
    bank, channel = state.bank[b], state.channel[c]
    length, head = bank.length[LIST], bank.head[LIST]
    if length == 0:
        if bank.index >= 0:
            channel.busy -= 1
            moved = state.busy[c, channel.busy]
            state.busy[c, bank.index] = moved
            state.own[c, bank.index] = state.own[c, channel.busy]
            state.bank[moved].index = bank.index
            bank.index = NOTHING
        return
    if bank.index < 0:
        bank.index = channel.busy
        state.busy[c, channel.busy] = b
        channel.busy += 1
    bank.read_place = bank.write_place = NOTHING
    bank.row_command = ACT
    if bank.row >= 0:
        for place in range(length):
            entry = state.entry[b, LIST, (head + place) & (PLACES - 1)]
            if entry.row == bank.row:
                if entry.writes:
                    if bank.write_place < 0:
                        bank.write_place = place
                elif bank.read_place < 0:
                    bank.read_place = place
        hit = max(bank.read_place, bank.write_place) >= 0
        first = bank.read_place == 0 or bank.write_place == 0
        bank.row_command = PRE if not first and (not hit or bank.columns >= part.hits) else NOTHING
    own = NEVER if bank.row_command < 0 else state.ready[b, bank.row_command]
    if bank.read_place >= 0:
        own = min(own, state.ready[b, RD])
    if bank.write_place >= 0:
        own = min(own, state.ready[b, WR])
    state.own[c, bank.index] = own


@njit(nogil=True)
def list_waiting(part, state, b, c, kind, most):
    """Move up to `most` waiting entries of a kind to the list of bank `b` while it has room; how many there were."""
    bank, moved = state.bank[b], 0
    while moved < most and bank.length[kind] > 0 and bank.length[LIST] < part.listed:
        source = state.entry[b, kind, bank.head[kind]]
        to = state.entry[b, LIST, (bank.head[LIST] + bank.length[LIST]) & (PLACES - 1)]
        copy(to, source)
        bank.head[kind] = (bank.head[kind] + 1) & (PLACES - 1)
        bank.length[kind] -= 1
        bank.length[LIST] += 1
        moved += 1
    state.channel[c].waiting[kind] -= moved
    state.channel[c].listed += moved
    return moved


@njit(nogil=True)
def list_oldest(part, state, c, kind, most):
    """Move up to `most` waiting entries of a kind to the lists of banks that have room, in the order they came in."""
    banks, moved, found = part.ranks << (part.bits_of_groups + part.bits_of_banks), 0, 0
    while moved < most and found >= 0:
        found, oldest = NOTHING, NEVER
        for b in range(c * banks, (c + 1) * banks):
            bank = state.bank[b]
            if bank.length[kind] > 0 and bank.length[LIST] < part.listed:
                turn = state.entry[b, kind, bank.head[kind]].turn
                if turn < oldest:
                    found, oldest = b, turn
        if found >= 0:
            moved += list_waiting(part, state, found, c, kind, 1)
            want(part, state, found, c)
    return moved


@njit(nogil=True)
def list_all(part, state, c, kind, most):
    """Move waiting entries of a kind to the lists of all banks that have room."""
    if most < state.channel[c].waiting[kind]:
        return list_oldest(part, state, c, kind, most)
    banks, moved = part.ranks << (part.bits_of_groups + part.bits_of_banks), 0
    for b in range(c * banks, (c + 1) * banks):
        if state.bank[b].length[kind] > 0:
            of_bank = list_waiting(part, state, b, c, kind, most)
            moved += of_bank
            if of_bank > 0:
                want(part, state, b, c)
    return moved


@njit(nogil=True)
def drain(part, state, c, flushes):
    """Begin to drain the waiting writes where their number says so, and go back to reads when they are listed."""
    channel = state.channel[c]
    writes = channel.waiting[WRITES]
    if channel.draining == 0 and writes > 0:
        idle = channel.listed == 0 and (writes > part.drain_idle or flushes)
        if writes >= part.drain_from or idle:
            channel.draining = writes
            channel.next = channel.clock
            channel.draining -= list_all(part, state, c, WRITES, writes)
            if channel.draining == 0:
                list_all(part, state, c, READS, NEVER)


@njit(nogil=True)
def settle(part, state, c):
    """Requests that entered in this cycle go to the lists of their banks, where these have room."""
    channel = state.channel[c]
    if not part.unified:
        drain(part, state, c, False)
    kind = WRITES if channel.draining > 0 else READS
    most = channel.draining if kind == WRITES else NEVER
    if channel.entered == 1:
        moved = list_waiting(part, state, channel.entered_bank, c, kind, most)
        if moved > 0:
            want(part, state, channel.entered_bank, c)
    else:
        moved = list_all(part, state, c, kind, most)
    channel.entered = 0
    if kind == WRITES:
        channel.draining -= moved
        if channel.draining == 0:
            list_all(part, state, c, READS, NEVER)


@njit(nogil=True)
def take_out(part, state, b, c, place):
    """Remove an entry from a bank's list; those before it move up by one, and one that waited follows."""
    bank, channel = state.bank[b], state.channel[c]
    head = bank.head[LIST]
    for before in range(place, 0, -1):
        to = state.entry[b, LIST, (head + before) & (PLACES - 1)]
        source = state.entry[b, LIST, (head + before - 1) & (PLACES - 1)]
        copy(to, source)
    bank.head[LIST] = (head + 1) & (PLACES - 1)
    bank.length[LIST] -= 1
    channel.listed -= 1
    if channel.draining > 0:
        channel.draining -= list_waiting(part, state, b, c, WRITES, 1)
        if channel.draining == 0:
            list_all(part, state, c, READS, NEVER)
    else:
        list_waiting(part, state, b, c, READS, 1)
