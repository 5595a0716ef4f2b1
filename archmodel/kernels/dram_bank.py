"""What the banks of a DRAM channel want, and what commands do: row buffers, constraints, refresh, who goes first."""

from numba import njit

from archmodel.kernels.dram_state import (
    ACT,
    BANK,
    DATA,
    GROUP,
    GROUPS_AT,
    IDLE,
    LATENCY,
    NEVER,
    NOTHING,
    OTHER_RANKS,
    PLACES,
    PRE,
    PREA,
    RANK,
    RANKS_AT,
    RD,
    REF,
    REFB,
    REFRESH,
    TURNAROUND,
    WINDOW,
    WR,
)


@njit(nogil=True)
def serves(part, state, b, c):
    """Which of its lists bank `b` serves: that of the mode, but first the entry that it was activated for."""
    if part.unified:
        return 0
    bank = state.bank[b]
    return bank.opener if bank.fresh and bank.row >= 0 else state.channel[c].drains


@njit(nogil=True)
def want(part, state, b, c):
    """Note what bank `b` of channel `c` wants, and keep the channel's list of banks that want something."""
    bank, channel = state.bank[b], state.channel[c]
    kind = serves(part, state, b, c)
    length = bank.length[kind]
    if length == 0:
        if bank.index >= 0:
            channel.wanting -= 1
            moved = state.wanting[c, channel.wanting]
            state.wanting[c, bank.index] = moved
            state.bank[moved].index = bank.index
            bank.index = NOTHING
        return
    if bank.index < 0:
        bank.index = channel.wanting
        state.wanting[c, channel.wanting] = b
        channel.wanting += 1
    head, place, command = bank.head[kind], 0, ACT
    if bank.row >= 0:
        command = PRE
        hits = min(length, part.visible) if bank.passed < part.passes else 1
        for candidate in range(hits):
            if state.entry[b, kind, (head + candidate) & (PLACES - 1)].row == bank.row:
                place = candidate
                command = RD
                break
    entry = state.entry[b, kind, (head + place) & (PLACES - 1)]
    bank.wants = WR if command == RD and entry.writes else command
    bank.place = place
    bank.came = entry.came
    bank.turn = entry.turn


@njit(nogil=True)
def turn_around(part, state, c):
    """Change between serving reads and draining writes where their numbers say so."""
    channel = state.channel[c]
    reads, writes = channel.entries[0], channel.entries[1]
    if channel.drains:
        changes = reads > 0 and writes <= part.drain_to
    else:
        changes = writes >= part.drain_from or (reads == 0 and writes > 0)
    if changes:
        channel.drains = 1 - channel.drains
        banks = part.ranks << (part.bits_of_groups + part.bits_of_banks)
        for b in range(c * banks, (c + 1) * banks):
            want(part, state, b, c)


@njit(nogil=True)
def hold_up(part, state, b, command, cycle):
    """Earliest cycles of all commands that have to wait for `command` to bank `b`."""
    ready, limits = state.ready, part.limits
    group = b >> part.bits_of_banks
    rank = group >> part.bits_of_groups
    for later in range(5):
        ready[b, later] = max(ready[b, later], cycle + limits[BANK, command, later])
        at = GROUPS_AT + group
        ready[at, later] = max(ready[at, later], cycle + limits[GROUP, command, later])
        at = RANKS_AT + rank
        ready[at, later] = max(ready[at, later], cycle + limits[RANK, command, later])
    if part.ranks > 1:
        first = rank & -part.ranks
        for other in range(first, first + part.ranks):
            at = RANKS_AT + other
            for later in range(5):
                if other != rank:
                    ready[at, later] = max(ready[at, later], cycle + limits[OTHER_RANKS, command, later])


@njit(nogil=True)
def choose(part, state, c):
    """First cycle and bank of the next command of channel `c` but for refreshes; bank NOTHING: there is none.

    At equal cycles a column command comes first, then the entry that is first in the feed.
    """
    ready, channel = state.ready, state.channel[c]
    column_from, row_from = max(channel.clock, channel.column_bus), max(channel.clock, channel.row_bus)
    refreshed = channel.refresh_bank if part.by_bank else NOTHING
    best, best_bank, best_is_row, best_turn = NEVER, NOTHING, True, NEVER
    for index in range(channel.wanting):
        b = state.wanting[c, index]
        bank = state.bank[b]
        command = bank.wants
        group = b >> part.bits_of_banks
        rank = group >> part.bits_of_groups
        is_row = command < RD
        cycle = max(row_from if is_row else column_from, ready[b, command])
        cycle = max(cycle, max(ready[GROUPS_AT + group, command], ready[RANKS_AT + rank, command]))
        if cycle > best or cycle >= state.rank[rank].due:
            continue
        if b == refreshed and cycle >= channel.refresh_due:
            continue
        turn = bank.turn
        if cycle == best and (is_row > best_is_row or (is_row == best_is_row and turn > best_turn)):
            continue
        best, best_bank, best_is_row, best_turn = cycle, b, is_row, turn
    return best, best_bank


@njit(nogil=True)
def activate(part, state, b, row, opener, cycle):
    """An ACT: the row is open; the windows that bound the number of ACTs; time with a bank open."""
    bank, r = state.bank[b], (b >> (part.bits_of_groups + part.bits_of_banks))
    rank = state.rank[r]
    hold_up(part, state, b, ACT, cycle)
    if rank.open == 0:
        rank.open_since = max(cycle, rank.open_until)
    rank.open += 1
    rank.window[rank.acts & (WINDOW - 1)] = cycle
    rank.acts += 1
    for window in range(2):
        acts = part.windows[window, 0]
        if acts > 0:
            limit = rank.window[(rank.acts - acts) & (WINDOW - 1)] + part.windows[window, 1]
            state.ready[RANKS_AT + r, ACT] = max(state.ready[RANKS_AT + r, ACT], limit)
    bank.row = row
    bank.opener = opener
    bank.passed = 0
    bank.fresh = 1


@njit(nogil=True)
def precharge(part, state, b, cycle):
    """A PRE, or the precharge of a column command: the bank is closed."""
    hold_up(part, state, b, PRE, cycle)
    state.bank[b].row = NOTHING
    rank = state.rank[(b >> (part.bits_of_groups + part.bits_of_banks))]
    rank.open -= 1
    rank.open_until = max(rank.open_until, cycle)
    if rank.open == 0:
        rank.active_cycles += rank.open_until - rank.open_since


@njit(nogil=True)
def count_bus_cycles(part, state, b, c, command, cycle):
    """What the data bus of the channel did since its last data, by cause, and the new data."""
    bank, channel = state.bank[b], state.channel[c]
    start = cycle + (part.read_cycles if command == RD else part.write_cycles)
    gap = start - channel.data_end
    if gap > 0:
        could = cycle - gap  # when the command would have come if the bus alone counted
        idle = min(max(bank.came - could, 0), gap)
        refresh = max(min(cycle, bank.refresh_until) - max(could + idle, bank.refresh_from), 0)
        turn = 0
        if command != channel.direction:
            ahead = part.write_cycles - part.read_cycles
            least = part.limits[RANK, RD, WR] + ahead if command == WR else part.limits[RANK, WR, RD] - ahead
            turn = min(gap - idle - refresh, max(least - part.burst_cycles, 0))
        channel.bus[IDLE] += idle
        channel.bus[REFRESH] += refresh
        channel.bus[TURNAROUND] += turn
        channel.bus[LATENCY] += gap - idle - refresh - turn
    channel.bus[DATA] += part.burst_cycles
    channel.data_end = start + part.burst_cycles
    channel.direction = command


@njit(nogil=True)
def take_out(part, state, b, c, kind, place):
    """Remove an entry from a bank's list; those before it move up by one."""
    bank, channel = state.bank[b], state.channel[c]
    head = bank.head[kind]
    for before in range(place, 0, -1):
        to, source = (head + before) & (PLACES - 1), (head + before - 1) & (PLACES - 1)
        state.entry[b, kind, to] = state.entry[b, kind, source]
    bank.head[kind] = (head + 1) & (PLACES - 1)
    if bank.length[kind] > part.visible:
        channel.waiting[kind] -= 1
    bank.length[kind] -= 1
    channel.entries[kind] -= 1


@njit(nogil=True)
def move_data(part, state, b, c, cycle):
    """A column command for the entry that bank `b` wants served."""
    bank, channel = state.bank[b], state.channel[c]
    command = bank.wants
    count_bus_cycles(part, state, b, c, command, cycle)
    kind = serves(part, state, b, c)
    channel.hits += 1 - bank.fresh
    bank.fresh = 0
    if bank.place > 0:
        bank.passed += 1
    take_out(part, state, b, c, kind, bank.place)
    hold_up(part, state, b, command, cycle)
    channel.column_bus = cycle + 1
    if part.closes:
        precharge(part, state, b, state.ready[b, PRE])


@njit(nogil=True)
def choose_refresh(part, state, c, until):
    """First cycle, rank or bank, and command of a refresh that is due up to `until`; NEVER if none is."""
    ready, channel = state.ready, state.channel[c]
    row_from = max(channel.clock, channel.row_bus)
    best, best_index, best_command = NEVER, NOTHING, NOTHING
    if part.by_bank:
        if channel.refresh_due <= until:
            b = channel.refresh_bank
            rank = RANKS_AT + (b >> (part.bits_of_groups + part.bits_of_banks))
            best_index = b
            best_command = PRE if state.bank[b].row >= 0 else REFB
            asked = PRE if best_command == PRE else REF
            best = max(max(channel.refresh_due, row_from), max(ready[b, asked], ready[rank, asked]))
        return best, best_index, best_command
    for r in range(c * part.ranks, (c + 1) * part.ranks):
        rank = state.rank[r]
        if rank.due > until:
            continue
        command = PREA if rank.open > 0 else REF
        cycle = max(max(rank.due, row_from), ready[RANKS_AT + r, PRE if command == PREA else REF])
        if command == PREA:
            banks = 1 << (part.bits_of_groups + part.bits_of_banks)
            for b in range(r * banks, (r + 1) * banks):
                if state.bank[b].row >= 0:
                    cycle = max(cycle, ready[b, PRE])
        if cycle < best:
            best, best_index, best_command = cycle, r, command
    return best, best_index, best_command


@njit(nogil=True)
def refresh(part, state, c, index, command, cycle):
    """A command of a refresh: of all banks of rank `index`, or of bank `index`."""
    channel = state.channel[c]
    banks = 1 << (part.bits_of_groups + part.bits_of_banks)
    first, last = (index, index + 1) if part.by_bank else (index * banks, (index + 1) * banks)
    if command == PRE or command == PREA:
        for b in range(first, last):
            if state.bank[b].row >= 0:
                precharge(part, state, b, cycle)
                want(part, state, b, c)
        return
    hold_up(part, state, first, REF, cycle)
    if part.by_bank:
        due, until = channel.refresh_due, state.ready[first, ACT]
        channel.refresh_due += part.refresh_cycles
        of_channel = banks * part.ranks
        channel.refresh_bank = c * of_channel + (index + 1 - c * of_channel) % of_channel
    else:
        due, until = state.rank[index].due, state.ready[RANKS_AT + index, ACT]
        state.rank[index].due += part.refresh_cycles
    for b in range(first, last):
        state.bank[b].refresh_from, state.bank[b].refresh_until = due, until
