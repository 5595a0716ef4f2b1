"""Commands of a DRAM channel: which comes next, row buffers, constraints, refresh, the data bus."""

from numba import njit

from archmodel.kernels.dram_lists import take_out, want
from archmodel.kernels.dram_state import (
    ACT,
    BANK,
    DATA,
    GROUP,
    GROUPS_AT,
    IDLE,
    LATENCY,
    LIST,
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
def groups_first(part, b):
    """The number of a bank among those of its channel if bank groups run fastest, then banks, then ranks."""
    of_group, in_rank = part.bits_of_banks, part.bits_of_groups + part.bits_of_banks
    group, bank = (b >> of_group) & ((1 << part.bits_of_groups) - 1), b & ((1 << of_group) - 1)
    return (b >> in_rank << in_rank) + (bank << part.bits_of_groups) + group


@njit(nogil=True)
def choose(part, state, c):
    """First cycle, bank and command of channel `c` but for refreshes, and the place in the list of a RD or WR.

    Bank NOTHING: there is none. At equal cycles banks take turns: the first one after the bank that was served last,
    counted bank by bank, but for an ACT group by group; as far from it, the ACT last. In a bank PRE goes first, then
    the older entry.
    """
    ready, channel = state.ready, state.channel[c]
    column_from, row_from = max(channel.clock, channel.column_bus), max(channel.clock, channel.row_bus)
    last_bank = (part.ranks << (part.bits_of_groups + part.bits_of_banks)) - 1  # banks are a power of two
    best, best_bank, best_command, best_place, best_order = NEVER, NOTHING, NOTHING, NOTHING, NEVER
    for index in range(channel.busy):
        if state.own[c, index] > best:
            continue
        b = state.busy[c, index]
        bank = state.bank[b]
        group = GROUPS_AT + (b >> part.bits_of_banks)
        r = b >> (part.bits_of_banks + part.bits_of_groups)
        rank = RANKS_AT + r
        cycle, command, place = NEVER, NOTHING, NOTHING
        if bank.row_command >= 0:
            command = bank.row_command
            cycle = max(max(row_from, ready[b, command]), max(ready[group, command], ready[rank, command]))
        if bank.row >= 0:
            if bank.read_place >= 0:
                asked = max(max(column_from, ready[b, RD]), max(ready[group, RD], ready[rank, RD]))
                if asked < cycle:
                    cycle, command, place = asked, RD, bank.read_place
            if bank.write_place >= 0:
                asked = max(max(column_from, ready[b, WR]), max(ready[group, WR], ready[rank, WR]))
                if asked < cycle or (asked == cycle and command == RD and bank.write_place < place):
                    cycle, command, place = asked, WR, bank.write_place
        if cycle > best or cycle >= state.rank[r].due or cycle >= bank.due:
            continue
        if command == ACT:
            order = ((groups_first(part, b) - groups_first(part, channel.served) - 1) & last_bank) * 2 + 1
        else:
            order = ((b - channel.served - 1) & last_bank) * 2
        if cycle == best and order > best_order:
            continue
        best, best_bank, best_command, best_place, best_order = cycle, b, command, place, order
    return best, best_bank, best_command, best_place


@njit(nogil=True)
def activate(part, state, b, row, cycle):
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
    bank.columns = 0


@njit(nogil=True)
def precharge(part, state, b, cycle):
    """A PRE."""
    hold_up(part, state, b, PRE, cycle)
    close(part, state, b, cycle)


@njit(nogil=True)
def precharge_by_itself(part, state, b):
    """The precharge that belongs to a column command. No PRE waits for it (tPPD), for it is none."""
    ready, cycle = state.ready, state.ready[b, PRE]
    rank = RANKS_AT + (b >> (part.bits_of_groups + part.bits_of_banks))
    ready[b, ACT] = max(ready[b, ACT], cycle + part.limits[BANK, PRE, ACT])
    ready[b, REF] = max(ready[b, REF], cycle + part.limits[BANK, PRE, REF])
    ready[rank, REF] = max(ready[rank, REF], cycle + part.limits[RANK, PRE, REF])
    close(part, state, b, cycle)


@njit(nogil=True)
def close(part, state, b, cycle):
    """The row is closed from `cycle` on; time with a bank open."""
    state.bank[b].row = NOTHING
    rank = state.rank[(b >> (part.bits_of_groups + part.bits_of_banks))]
    rank.open -= 1
    rank.open_until = max(rank.open_until, cycle)
    if rank.open == 0:
        rank.active_cycles += rank.open_until - rank.open_since


@njit(nogil=True)
def count_bus_cycles(part, state, b, c, command, came, cycle):
    """What the data bus of the channel did since its last data, by cause, and the new data."""
    bank, channel = state.bank[b], state.channel[c]
    start = cycle + (part.read_cycles if command == RD else part.write_cycles)
    gap = start - channel.data_end
    if gap > 0:
        could = cycle - gap  # when the command would have come if the bus alone counted
        idle = min(max(came - could, 0), gap)
        refresh = max(min(cycle, bank.refresh_until) - max(could + idle, bank.refresh_from), 0)
        turn = 0
        if channel.direction != NOTHING and command != channel.direction:
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
def move_data(part, state, b, c, command, place, cycle):
    """A column command for an entry of the list of bank `b`; the entry's turn."""
    bank, channel = state.bank[b], state.channel[c]
    entry = state.entry[b, LIST, (bank.head[LIST] + place) & (PLACES - 1)]
    turn = entry.turn
    count_bus_cycles(part, state, b, c, command, entry.came, cycle)
    channel.hits += 1 if bank.columns else 0
    bank.columns += 1
    hold_up(part, state, b, command, cycle)
    channel.column_bus = cycle + 1
    if part.closes:
        precharge_by_itself(part, state, b)
    take_out(part, state, b, c, place)
    return turn


@njit(nogil=True)
def choose_refresh(part, state, c, until):
    """First cycle, rank or bank, and command of a refresh that is due up to `until`; NEVER if none is."""
    ready, channel = state.ready, state.channel[c]
    row_from = max(channel.clock, channel.row_bus)
    best, best_index, best_command = NEVER, NOTHING, NOTHING
    if part.by_bank:
        banks = part.ranks << (part.bits_of_groups + part.bits_of_banks)
        for b in range(c * banks, (c + 1) * banks if channel.refresh_due <= until else 0):
            bank = state.bank[b]
            if bank.due > until:
                continue
            rank = RANKS_AT + (b >> (part.bits_of_groups + part.bits_of_banks))
            command, asked = (PRE, PRE) if bank.row >= 0 else (REFB, REF)
            cycle = max(max(bank.due, row_from), max(ready[b, asked], ready[rank, asked]))
            if cycle < best:
                best, best_index, best_command = cycle, b, command
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
def next_refresh(part, state, c):
    """Cycle in which the next refresh of channel `c` is due."""
    if part.by_bank:
        return state.channel[c].refresh_due
    due = NEVER
    for r in range(c * part.ranks, (c + 1) * part.ranks):
        due = min(due, state.rank[r].due)
    return due


@njit(nogil=True)
def refresh(part, state, c, index, command, cycle):
    """A command of a refresh: of all banks of rank `index`, or of bank `index`."""
    channel = state.channel[c]
    banks = 1 << (part.bits_of_groups + part.bits_of_banks)
    first, last = (index, index + 1) if part.by_bank else (index * banks, (index + 1) * banks)
    if command in (PRE, PREA):
        for b in range(first, last):
            if state.bank[b].row >= 0:
                precharge(part, state, b, cycle)
                want(part, state, b, c)
        return
    hold_up(part, state, first, REF, cycle)
    if part.by_bank:
        due, until = state.bank[index].due, state.ready[first, ACT]
        of_channel = banks * part.ranks
        state.bank[index].due += part.refresh_cycles * of_channel
        channel.refresh_due = NEVER
        for b in range(c * of_channel, (c + 1) * of_channel):
            channel.refresh_due = min(channel.refresh_due, state.bank[b].due)
    else:
        due, until = state.rank[index].due, state.ready[RANKS_AT + index, ACT]
        state.rank[index].due += part.refresh_cycles
    for b in range(first, last):
        state.bank[b].refresh_from, state.bank[b].refresh_until = due, until
    if part.by_bank:
        want(part, state, index, c)
