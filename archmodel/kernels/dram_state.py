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
PLACES = 64  # of a list, a power of two; at least the visible entries and those of the buffer
WINDOW = 32  # ACTs of a rank that are remembered


def _record(*fields: tuple[object, ...]) -> np.dtype:
    return np.dtype((np.record, [(name, "i8", *shape) for name, *shape in fields]))


PART = _record(
    ("channels",),
    ("ranks",),  # of a channel
    ("bits_of_banks",),  # log2 of the banks of a group
    ("bits_of_groups",),  # log2 of the groups of a rank
    ("access_bits",),  # log2 of the bytes of an access
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
    ("unified",),  # one list of a bank for reads and writes
    ("closes",),  # a column command precharges its bank
    ("visible",),  # entries of a bank that the scheduler sees
    ("buffer",),  # entries of a channel behind them
    ("passes",),  # hits that may pass an older entry
    ("drain_from",),  # writes that make a channel drain them
    ("drain_to",),  # writes that are left when it goes back to reads
    ("refresh_cycles",),  # between two refreshes of a rank or, by bank, of a channel; 0: never
    ("by_bank",),
    ("in_order",),  # a request without a place holds up those of all channels
)

ENTRY = np.dtype((np.record, [("row", "i8"), ("access", "i8"), ("turn", "i8"), ("came", "i8"), ("writes", "i8")]))

BANK_STATE = _record(
    ("row",),  # that is open, or NOTHING
    ("wants",),  # command
    ("place",),  # in its list, of the entry that it wants served
    ("came",),  # when that entry did
    ("turn",),  # of that entry in the feed
    ("passed",),  # hits that passed an older entry since the last ACT
    ("fresh",),  # no column command yet since the last ACT
    ("opener",),  # kind of the entry that the last ACT was for
    ("index",),  # among the channel's banks that want something, or NOTHING
    ("refresh_from",),  # the last refresh, from when it was due
    ("refresh_until",),
    ("length", (2,)),  # of the lists of reads and writes, or of the one of both
    ("head", (2,)),
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
    ("drains",),  # writes: 1, reads are served: 0
    ("entries", (2,)),  # reads and writes in the lists
    ("waiting", (2,)),  # those that are not visible
    ("wanting",),  # banks that want something
    ("refresh_bank",),  # next in turn, by bank
    ("refresh_due",),
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
            ("entry", ENTRY, (BANKS, 2, PLACES)),
            ("rank", RANK_STATE, (RANKS,)),
            ("channel", CHANNEL_STATE, (CHANNELS,)),
            ("wanting", "i8", (CHANNELS, OF_CHANNEL)),  # the banks that want something
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
    state.rank["due"] = NEVER
    state.channel["refresh_due"] = NEVER
    state.channel["direction"] = NOTHING
    state.channel["refresh_bank"] = np.arange(CHANNELS) * (part.ranks << (part.bits_of_groups + part.bits_of_banks))
    if part.refresh_cycles and part.by_bank:
        state.channel["refresh_due"] = part.refresh_cycles
    elif part.refresh_cycles:
        state.rank["due"] = part.refresh_cycles + np.arange(RANKS) % part.ranks * part.refresh_cycles // part.ranks
    return state
