"""What a DRAM controller knows and remembers: records that compiled code reads and writes in place.

They have room for the largest memory, so that one compilation serves all parts. Banks, groups of banks and ranks are
numbered through, channel by channel. Times are cycles of the memory's clock.
"""

from typing import NamedTuple

import numpy as np

ACT, PRE, RD, WR, REF = range(5)  # commands that constraints are about
PREA, REFB = 5, 6  # all banks of a rank, and the refresh of one bank: constrained as PRE and REF
COMMANDS = ("ACT", "PRE", "RD", "WR", "REF", "PREA", "REFB")
BANK, GROUP, RANK, OTHER_RANKS = range(4)  # scopes of a constraint
DATA, TURNAROUND, REFRESH, LATENCY, IDLE = range(5)  # what a data bus does
NOTHING = -1
NEVER, ALWAYS = 1 << 60, -(1 << 60)

CHANNELS, RANKS, BANKS = 64, 128, 2048  # of the largest memory
OF_CHANNEL = 64  # banks of a channel
PLACES = 64  # of a ring of entries, a power of two; at least those of a bank's list, and of a buffer
READS, WRITES, LIST = range(3)  # a bank's rings: entries that wait in the channel's buffers, and its list
WINDOW = 32  # ACTs of a rank that are remembered


def _record(*fields: tuple[object, ...]) -> np.dtype:
    return np.dtype((np.record, [(name, "i8", *shape) for name, *shape in fields]))


PART = _record(
    ("channels",),
    ("ranks",),  # of a channel
    ("bits_of_banks",),  # log2 of the banks of a group
    ("bits_of_groups",),  # log2 of the groups of a rank
    ("access_bits",),  # log2 of the bytes of an access
    ("access_mask",),  # of the numbers of accesses; addresses beyond the memory wrap
    ("row_at",),  # first bit of each field in the number of an access
    ("rank_at",),
    ("group_at",),
    ("bank_at",),
    ("channel_at",),
    ("row_mask",),
    ("limits", (4, 5, 5)),  # [scope, before, after] least cycles between two commands; ALWAYS: no constraint
    ("windows", (2, 2)),  # no more ACTs of a rank than [0] in [1] cycles (tFAW, t32AW); 0: no window
    ("read_cycles",),  # from a command to its first data
    ("write_cycles",),
    ("burst_cycles",),
    ("two_buses",),  # row and column commands do not share a bus
    ("unified",),  # one buffer of a channel for reads and writes
    ("closes",),  # a column command precharges its bank
    ("listed",),  # entries of a bank that the scheduler sees
    ("buffer",),  # entries of a channel behind them, of each kind
    ("hits",),  # column commands of a row after which an older entry for another one may close it
    ("drain_from",),  # waiting writes that make a channel drain them
    ("drain_idle",),  # more waiting writes than this are drained when nothing else is to do
    ("refresh_cycles",),  # between two refreshes of a rank or, by bank, of a channel; 0: never
    ("by_bank",),
    ("in_order",),  # a request without a place holds up those of all channels
)

ENTRY = np.dtype((np.record, [("row", "i8"), ("access", "i8"), ("turn", "i8"), ("came", "i8"), ("writes", "i8")]))

BANK_STATE = _record(
    ("row",),  # that is open, or NOTHING
    ("index",),  # among the channel's banks with a list that is not empty, or NOTHING
    ("read_place",),  # in the list, of the first read of the open row, or NOTHING
    ("write_place",),  # of the first write
    ("row_command",),  # ACT or PRE, where the bank wants one, or NOTHING
    ("columns",),  # commands since the last ACT
    ("due",),  # next refresh, by bank
    ("refresh_from",),  # the last refresh, from when it was due
    ("refresh_until",),
    ("length", (3,)),  # of its rings
    ("head", (3,)),
)

RANK_STATE = _record(
    ("due",),  # next refresh
    ("open",),  # banks
    ("open_since",),
    ("open_until",),
    ("active_cycles",),  # with a bank open, but for the time that still lasts
    ("acts",),
    ("window", (WINDOW,)),  # cycles of the last ACTs
)

CHANNEL_STATE = _record(
    ("clock",),  # of the last event
    ("column_bus",),  # free from here on
    ("row_bus",),
    ("served",),  # bank of the last command that was not for a refresh
    ("draining",),  # writes that go to the lists before another read does
    ("waiting", (2,)),  # reads and writes in the buffers
    ("entered",),  # requests of the cycle `clock`, which go to the lists at its end
    ("entered_bank",),  # of the last of them
    ("listed",),  # entries in the lists
    ("busy",),  # banks with a list that is not empty
    ("refresh_due",),  # of the first of its banks, by bank
    ("data_end",),
    ("direction",),  # of the last data: RD or WR
    ("next",),  # no command comes before
    ("commands", (7,)),  # number of each
    ("forwarded",),  # reads that found their data among the waiting writes
    ("hits",),  # column commands to a row that was open
    ("bus", (5,)),  # cycles of the data bus by cause
)

STATE = np.dtype(
    (
        np.record,
        [
            ("ready", "i8", (BANKS * 2 + RANKS, 5)),  # first cycle that a bank, group, rank allows each command in
            ("bank", BANK_STATE, (BANKS,)),
            ("entry", ENTRY, (BANKS, 3, PLACES)),
            ("rank", RANK_STATE, (RANKS,)),
            ("channel", CHANNEL_STATE, (CHANNELS,)),
            ("busy", "i8", (CHANNELS, OF_CHANNEL)),  # the banks whose list is not empty
            ("own", "i8", (CHANNELS, OF_CHANNEL)),  # no command of each of them comes before, for its own constraints
            ("fed", "i8", (CHANNELS,)),  # when the last request entered; [0] of all channels if fed in order
        ],
    )
)
GROUPS_AT, RANKS_AT = BANKS, BANKS * 2  # rows of `ready`


class Trace(NamedTuple):
    """Requests in the order of the feed, and what became of them; int64."""

    next: int  # number in the feed of the first request
    cycles: np.ndarray  # [n]  arrival
    addresses: np.ndarray  # [n]  bytes
    writes: np.ndarray  # bool[n]
    entered: np.ndarray  # [n]  cycle in which a request found a place
    first: int  # number in the feed of the first of those that are not completed
    completed: np.ndarray  # [next - first + n]  cycle after the last data of each; kept where there was none


class Log(NamedTuple):
    """Commands, in order of time within a channel."""

    commands: np.ndarray  # int64[room, 4]  cycle, command, bank (rank for REF and PREA), row or -1; no room: no log
    used: np.ndarray  # int64[1]


def fresh_state(part: np.record) -> np.record:
    """A memory that is idle, precharged and has refreshed nothing yet."""
    state = np.zeros(1, STATE).view(np.recarray)[0]
    state.ready[:] = ALWAYS
    for name in ("row", "index", "refresh_until"):
        state.bank[name] = NOTHING
    state.rank["window"] = ALWAYS
    state.rank["due"] = state.bank["due"] = NEVER
    state.channel["refresh_due"] = NEVER
    state.channel["direction"] = NOTHING
    banks = part.ranks << (part.bits_of_groups + part.bits_of_banks)
    state.channel["served"] = np.arange(CHANNELS) * banks - 1
    if part.refresh_cycles and part.by_bank:
        state.bank["due"] = (np.arange(BANKS) % banks + 1) * part.refresh_cycles
        state.channel["refresh_due"] = part.refresh_cycles
    elif part.refresh_cycles:
        state.rank["due"] = part.refresh_cycles + np.arange(RANKS) % part.ranks * part.refresh_cycles // part.ranks
    return state
