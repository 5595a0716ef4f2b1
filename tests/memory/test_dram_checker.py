"""The checker of DRAM commands: each rule one cycle too early and just in time, and what must not happen at all."""

import random

import pytest

from tests.memory.random_parts import address_of, hand_part, random_case
from tests.reference import dram_controller
from tests.reference.dram_checker import refresh_allowance, violations

# Everything may follow everything after a cycle, but for reads after writes and what a case names.
ONE = dict.fromkeys(
    ("tRCDRD", "tRCDWR", "tRP", "tRAS", "tRC", "tRRD_S", "tRRD_L", "tCCD_S", "tCCD_L", "tFAW"), 1
) | dict.fromkeys(("tWR", "tWTR_S", "tWTR_L", "tRTP", "tRFC", "burst_cycles"), 1)
EASY = ONE | {"CL": 10, "CWL": 10, "tRTRS": 0}


def command(name, cycle, bank_group=0, bank=0, rank=0, row=0, channel=0):
    if name in ("PREA", "REF"):
        bank_group, bank = -1, -1
    return cycle, channel, rank, bank_group, bank, name, row if name[:3] in ("ACT", "RD", "WR", "RDA", "WRA") else -1


def broken(part, commands, **request_checks):
    """Names of the broken rules."""
    return sorted({sentence.split(": ")[1] for sentence in violations(part, commands, **request_checks)})


# Rule; what differs from EASY; the commands before (name, cycle, place); the last one (name, place); its first cycle.
OPEN = [("ACT", 0, {})]
OTHER_BANK, OTHER_GROUP, OTHER_RANK = {"bank": 1}, {"bank_group": 1}, {"rank": 1}
TWO_OPEN = [*OPEN, ("ACT", 10, OTHER_BANK)]
TWO_GROUPS = [*OPEN, ("ACT", 10, OTHER_GROUP)]
TWO_RANKS = [*OPEN, ("ACT", 10, OTHER_RANK)]
FOUR_ACTS = [("ACT", 10 * i, {"bank_group": i}) for i in range(4)]
MANY_ACTS = [("ACT", 10 * i, {"bank_group": i % 4, "bank": i // 4}) for i in range(32)]
CASES = [
    ("tRCDRD", {"tRCDRD": 9}, OPEN, ("RD", {}), 9),
    ("tRCDRD", {"tRCDRD": 9}, OPEN, ("RDA", {}), 9),
    ("tRCDWR", {"tRCDWR": 9}, OPEN, ("WR", {}), 9),
    ("tRCDWR", {"tRCDWR": 9}, OPEN, ("WRA", {}), 9),
    ("tRAS", {"tRAS": 9}, OPEN, ("PRE", {}), 9),
    ("tRAS", {"tRAS": 9}, OPEN, ("PREA", {}), 9),
    ("tRC", {"tRC": 30}, [*OPEN, ("PRE", 20, {})], ("ACT", {}), 30),
    ("tRP", {"tRP": 9}, [*OPEN, ("PRE", 50, {})], ("ACT", {}), 59),
    ("tRP", {"tRP": 9}, [*OPEN, ("PREA", 50, {})], ("ACT", {}), 59),
    ("tRP", {"tRP": 9}, [*OPEN, ("PRE", 50, {})], ("REF", {}), 59),
    ("tRP", {"tRP": 9}, [*OPEN, ("PREA", 50, {})], ("REF", {}), 59),
    ("tRP", {"tRP": 9, "tRFCB": 1}, [*OPEN, ("PRE", 50, {})], ("REFB", {}), 59),
    ("tRTP", {"tRTP": 9}, [*OPEN, ("RD", 50, {})], ("PRE", {}), 59),
    ("tRTP", {"tRTP": 9}, [*TWO_OPEN, ("RD", 50, {})], ("PREA", {}), 59),
    ("tWR", {"tWR": 9}, [*OPEN, ("WR", 50, {})], ("PRE", {}), 50 + 10 + 1 + 9),
    ("tWR", {"tWR": 9, "burst_cycles": 4}, [*TWO_OPEN, ("WR", 50, {})], ("PREA", {}), 50 + 10 + 4 + 9),
    ("tPPD", {"tPPD": 9}, [*TWO_OPEN, ("PRE", 50, {})], ("PRE", OTHER_BANK), 59),
    ("tPPD", {"tPPD": 9}, [*TWO_OPEN, ("PRE", 50, {})], ("PREA", {}), 59),
    ("tRRD_L", {"tRRD_L": 9}, OPEN, ("ACT", OTHER_BANK), 9),
    ("tRRD_S", {"tRRD_S": 9}, OPEN, ("ACT", OTHER_GROUP), 9),
    ("tFAW", {"tFAW": 90}, FOUR_ACTS, ("ACT", OTHER_BANK), 90),
    (
        "tFAW",
        {"tFAW": 90},
        [("ACT", 0, {"bank": 2}), *[("ACT", (50, 51, 52, 90)[i], {"bank_group": i}) for i in range(4)]],
        ("ACT", OTHER_BANK),
        140,
    ),
    ("t32AW", {"t32AW": 900, "banks_per_group": 16}, MANY_ACTS, ("ACT", {"bank": 15}), 900),
    (
        "t32AW",
        {"t32AW": 900, "banks_per_group": 16},
        [*MANY_ACTS, ("ACT", 900, {"bank": 14})],
        ("ACT", {"bank": 15}),
        910,
    ),
    ("tCCD_L", {"tCCD_L": 9}, [*OPEN, ("RD", 50, {})], ("RD", {}), 59),
    ("tCCD_L", {"tCCD_L": 9}, [*TWO_OPEN, ("RD", 50, {})], ("RD", OTHER_BANK), 59),
    ("tCCD_L", {"tCCD_L": 9}, [*TWO_OPEN, ("WR", 50, {})], ("WR", OTHER_BANK), 59),
    ("tCCD_S", {"tCCD_S": 9}, [*TWO_GROUPS, ("RD", 50, {})], ("RD", OTHER_GROUP), 59),
    ("tCCD_S", {"tCCD_S": 9}, [*TWO_GROUPS, ("WR", 50, {})], ("WR", OTHER_GROUP), 59),
    ("tWTR_L", {"tWTR_L": 9}, [*TWO_OPEN, ("WR", 50, {})], ("RD", OTHER_BANK), 50 + 10 + 1 + 9),
    ("tWTR_S", {"tWTR_S": 9}, [*TWO_GROUPS, ("WR", 50, {})], ("RD", OTHER_GROUP), 50 + 10 + 1 + 9),
    ("tWTR_S", {"tWTR_S": 9, "burst_cycles": 4}, [*TWO_GROUPS, ("WR", 50, {})], ("RD", OTHER_GROUP), 50 + 10 + 4 + 9),
    ("tWTR_L", {"tWTR_L": 9, "burst_cycles": 4}, [*TWO_OPEN, ("WR", 50, {})], ("RD", OTHER_BANK), 50 + 10 + 4 + 9),
    ("tRFC", {"tRFC": 40}, [("REF", 0, {})], ("ACT", {}), 40),
    ("tRFC", {"tRFC": 40}, [("REF", 0, {})], ("REF", {}), 40),
    ("tRFCB", {"tRFCB": 9}, [("REFB", 0, {})], ("ACT", {}), 9),
    ("tRFCB", {"tRFCB": 9, "ranks": 2}, [("REFB", 0, {})], ("REFB", OTHER_RANK), 9),
    ("data bus", {"burst_cycles": 4}, [*TWO_GROUPS, ("RD", 50, {})], ("RD", OTHER_GROUP), 54),
    ("data bus", {"burst_cycles": 4}, [*TWO_GROUPS, ("WR", 50, {})], ("WR", OTHER_GROUP), 54),
    ("data bus", {"burst_cycles": 4, "tRTRS": 3}, [*TWO_GROUPS, ("RD", 50, {})], ("RD", OTHER_GROUP), 54),
    ("data bus", {"burst_cycles": 4, "tRTRS": 3}, [*TWO_GROUPS, ("WR", 50, {})], ("WR", OTHER_GROUP), 54),
    ("data bus", {"burst_cycles": 4, "tRTRS": 3, "CWL": 7}, [*OPEN, ("RD", 50, {})], ("WR", {}), 50 + 10 + 4 - 7 + 3),
    ("data bus", {"burst_cycles": 4, "tRTRS": 3, "ranks": 2}, [*TWO_RANKS, ("RD", 50, {})], ("RD", OTHER_RANK), 57),
    ("data bus", {"burst_cycles": 4, "tRTRS": 3, "ranks": 2}, [*TWO_RANKS, ("WR", 50, {})], ("WR", OTHER_RANK), 54),
    (
        "data bus",
        {"burst_cycles": 4, "tRTRS": 3, "ranks": 2, "CWL": 7},
        [*TWO_RANKS, ("RD", 50, {})],
        ("WR", OTHER_RANK),
        50 + 10 + 4 - 7 + 3,
    ),
    (
        "data bus",
        {"burst_cycles": 4, "tRTRS": 3, "ranks": 2, "CL": 8},
        [*TWO_RANKS, ("WR", 50, {})],
        ("RD", OTHER_RANK),
        50 + 10 + 4 + 3 - 8,
    ),
    # the data would be written before they are read: still out of order
    ("data bus", {"tRTRS": 1, "CWL": 2}, [*OPEN, ("RD", 50, {})], ("WR", {}), 50 + 10 + 1 - 2 + 1),
    # A column command that closes its page: at the end of tRAS or when the data have moved, whatever is later.
    ("tRP", {"tRP": 9, "tRAS": 70}, [*OPEN, ("RDA", 50, {})], ("ACT", {}), 70 + 9),
    ("tRP", {"tRP": 9, "tRTP": 30}, [*OPEN, ("RDA", 50, {})], ("ACT", {}), 80 + 9),
    ("tRP", {"tRP": 9, "tWR": 30}, [*OPEN, ("WRA", 50, {})], ("ACT", {}), 50 + 10 + 1 + 30 + 9),
    ("tRP", {"tRP": 9, "tRAS": 99}, [*OPEN, ("WRA", 50, {})], ("ACT", {}), 99 + 9),
    ("tRP", {"tRP": 9, "tRTP": 30, "page_policy": "closed"}, [*OPEN, ("RD", 50, {})], ("ACT", {}), 80 + 9),
    ("tRP", {"tRP": 9, "tRTP": 30, "tRFCB": 1}, [*OPEN, ("RDA", 50, {})], ("REFB", {}), 80 + 9),
    ("tRP", {"tRP": 9, "tRTP": 30}, [*TWO_OPEN, ("RDA", 50, {}), ("PRE", 60, OTHER_BANK)], ("REF", {}), 80 + 9),
    ("command bus", {}, [("ACT", 0, {})], ("ACT", OTHER_GROUP), 1),
    ("command bus", {"ranks": 2, "tRRD_S": 1}, [*OPEN, ("RD", 50, {})], ("ACT", OTHER_RANK), 51),
    ("command bus", {"ranks": 2, "command_buses": 2}, [("REF", 50, {})], ("ACT", OTHER_RANK), 51),
    ("column bus", {"ranks": 2, "command_buses": 2, "CWL": 5}, [*TWO_RANKS, ("RD", 50, {})], ("RD", OTHER_RANK), 51),
]


@pytest.mark.parametrize(("rule", "changes", "before", "last", "cycle"), CASES)
def test_a_command_is_allowed_in_its_first_cycle_and_not_before(rule, changes, before, last, cycle):
    part = hand_part(**EASY | changes)
    commands = [command(name, when, **place) for name, when, place in before]
    name, place = last
    assert broken(part, [*commands, command(name, cycle, **place)]) == []
    assert rule in broken(part, [*commands, command(name, cycle - 1, **place)])
    alone = {"command bus": {"tRRD_S", "tRRD_L", "tFAW"}, "column bus": {"data bus"}}  # these cannot but fall together
    assert set(broken(part, [*commands, command(name, cycle - 1, **place)])) <= {rule} | alone.get(rule, set())


@pytest.mark.parametrize(
    ("changes", "commands"),
    [
        # the other rank: no tRRD, tFAW, tPPD, tWTR, tRFC; the other channel: nothing at all
        ({"tRRD_S": 9, "tRRD_L": 9, "ranks": 2}, [("ACT", 0, {}), ("ACT", 1, OTHER_RANK)]),
        ({"tFAW": 99, "ranks": 2}, [*FOUR_ACTS, ("ACT", 31, OTHER_RANK)]),
        ({"tPPD": 9, "ranks": 2}, [*TWO_RANKS, ("PRE", 50, {}), ("PRE", 51, OTHER_RANK)]),
        ({"tWTR_S": 9, "tWTR_L": 9, "ranks": 2}, [*TWO_RANKS, ("WR", 50, {}), ("RD", 51, OTHER_RANK)]),
        ({"tRFC": 40, "ranks": 2}, [("REF", 0, {}), ("ACT", 1, OTHER_RANK)]),
        ({"channels": 2}, [("ACT", 0, {}), ("ACT", 0, {"channel": 1}), ("RD", 9, {}), ("RD", 9, {"channel": 1})]),
        # the other bank group: tRRD_S, tCCD_S, tWTR_S and not the long ones
        ({"tRRD_L": 9}, [("ACT", 0, {}), ("ACT", 1, OTHER_GROUP)]),
        ({"tCCD_L": 9}, [*TWO_GROUPS, ("RD", 50, {}), ("RD", 51, OTHER_GROUP)]),
        ({"tCCD_L": 9}, [*TWO_GROUPS, ("WR", 50, {}), ("WR", 51, OTHER_GROUP)]),
        ({"tWTR_L": 9}, [*TWO_GROUPS, ("WR", 50, {}), ("RD", 62, OTHER_GROUP)]),
        # row and column commands of two buses
        ({"command_buses": 2, "ranks": 2}, [*OPEN, ("RD", 50, {}), ("ACT", 50, OTHER_RANK)]),
    ],
)
def test_a_rule_ends_with_its_scope(changes, commands):
    part = hand_part(**EASY | changes)
    assert broken(part, [command(name, cycle, **place) for name, cycle, place in commands]) == []


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("row 3 is open", [("ACT", 0, {"row": 3}), ("ACT", 99, {"row": 4})]),
        ("no row is open", [("RD", 0, {})]),
        ("no row is open", [*OPEN, ("RDA", 10, {}), ("RD", 99, {})]),
        ("no row is open", [*OPEN, ("PRE", 10, {}), ("WR", 99, {})]),
        ("no row is open", [*TWO_OPEN, ("PREA", 20, {}), ("WR", 99, OTHER_BANK)]),
        ("row 3 is open, not 4", [("ACT", 0, {"row": 3}), ("RD", 99, {"row": 4})]),
        ("row 3 is open, not 4", [("ACT", 0, {"row": 3}), ("WR", 99, {"row": 4})]),
        ("row 0 of bank group 0 bank 1 is open", [*TWO_OPEN, ("PRE", 50, {}), ("REF", 99, {})]),
        ("row 0 is open", [*OPEN, ("REFB", 99, {})]),
        ("no row is open", [("PRE", 0, {})]),
        ("no row is open", [("PREA", 0, {})]),
        ("out of order, after a command at 9", [("ACT", 9, {}), ("ACT", 8, OTHER_RANK)]),
        ("no such place", [("ACT", 0, {"channel": 1})]),
        ("no such place", [("REF", 0, {"rank": 2})]),
        ("no such place", [("ACT", 0, {"bank_group": 4})]),
        ("no such place", [("ACT", 0, {"bank": -1})]),
        ("no such command", [("NOP", 0, {})]),
    ],
)
def test_what_must_not_happen_at_all(text, commands):
    part = hand_part(**EASY, ranks=2, tRFCB=1)
    assert broken(part, [command(name, cycle, **place) for name, cycle, place in commands]) == [text]


def test_a_part_without_refresh_of_banks_gets_none():
    assert broken(hand_part(**EASY), [command("REFB", 0)]) == ["the part has no tRFCB"]


@pytest.mark.parametrize(("first", "second"), [("RD", "WR"), ("WR", "RD")])
def test_no_burst_overtakes_another(first, second):
    latencies = {"CL": 10, "CWL": 2} if first == "RD" else {"CL": 2, "CWL": 10}
    part = hand_part(**EASY | latencies, ranks=2)
    commands = [command("ACT", 0), command("ACT", 10, rank=1), command(first, 50), command(second, 51, rank=1)]
    assert broken(part, commands) == ["data bus"]  # though the second moves its data at 53


def test_a_burst_that_comes_too_early_is_told_by_its_neighbour():
    part = hand_part(**EASY | {"burst_cycles": 4}, ranks=2)
    for name in ("RD", "WR"):
        commands = [command("ACT", 0), command("ACT", 10, rank=1), command(name, 50), command(name, 53, rank=1)]
        word = {"RD": "read", "WR": "write"}[name]
        told = f"data bus: from 63 on, the {word} of 50 and a gap need it to 64"
        assert violations(part, commands) == [f"{name} at 53 to channel 0 rank 1 bank group 0 bank 0: {told}"]


def test_a_sentence_names_command_cycle_place_and_rule():
    commands = [command("ACT", 100, bank_group=2, bank=3), command("ACT", 103, bank_group=1, bank=3)]
    assert violations(hand_part(), commands) == [
        "ACT at 103 to channel 0 rank 0 bank group 1 bank 3: tRRD_S: 1 too early, 4 cycles from 100 on"
    ]


# Refreshes


def test_every_rank_is_refreshed_in_time():
    part = hand_part(**EASY, ranks=2, refresh="all_bank", tREFI=1000)

    def late(*cycles_and_ranks, until=2600, allowance=30):
        commands = [command("REF", cycle, rank=rank) for cycle, rank in cycles_and_ranks]
        return violations(part, commands, until=until, allowance=allowance)

    good = [(1000, 0), (1500, 1), (2000, 0), (2500, 1)]
    assert late(*good) == []
    assert late((1030, 0), (1530, 1), (2030, 0), (2530, 1)) == []
    told = "the refresh due at 1500 comes at 1531, 30 cycles are allowed"
    assert late((1030, 0), (1531, 1), (2030, 0), (2530, 1)) == [f"channel 0 rank 1: {told}"]
    told = "the refresh due at 2500 has not come, 30 cycles are allowed"
    assert late(*good[:3]) == [f"channel 0 rank 1: {told}"]
    assert late(*good[:3], until=2530) == []
    assert late(*good[:3], until=2531) == [f"channel 0 rank 1: {told}"]
    assert late(*good[:3], until=None) == []  # as far as the list goes
    assert late(*good[:3], (2531, 0), until=None) == [f"channel 0 rank 1: {told}"]


def test_ranks_are_due_one_after_the_other():
    part = hand_part(**EASY, ranks=4, refresh="all_bank", tREFI=1001)
    commands = [command("REF", due, rank=rank) for rank, due in enumerate((1001, 1251, 1501, 1751))]
    assert violations(part, commands, until=1800, allowance=0) == []
    for rank in range(4):
        later = [(one[0] + (one[2] == rank), *one[1:]) for one in commands]
        assert len(violations(part, later, until=1800, allowance=0)) == 1


def test_every_bank_is_refreshed_in_time():
    small = {"ranks": 2, "bank_groups": 2, "banks_per_group": 1, "tRFCB": 5, "tREFIB": 100}
    part = hand_part(**EASY, **small, refresh="per_bank")
    places = [{"rank": rank, "bank_group": group} for rank in range(2) for group in range(2)]
    commands = [command("REFB", 100 * (i + 1) + 7, **places[i % 4]) for i in range(8)]
    assert violations(part, commands, until=900, allowance=7) == []
    assert violations(part, commands, until=900, allowance=6)[:1] == [
        "channel 0 rank 0 bank group 0 bank 0: the refresh due at 100 comes at 107, 6 cycles are allowed"
    ]
    assert violations(part, [*commands[:5], *commands[6:]], until=900, allowance=7) == [
        "channel 0 rank 0 bank group 1 bank 0: the refresh due at 600 has not come, 7 cycles are allowed"
    ]


def test_a_refresh_may_wait_for_the_work_of_an_open_bank():
    assert refresh_allowance(hand_part(ranks=2)) == 39 + 17 + 4  # tRAS, tRP; a command for each bank of each rank
    assert refresh_allowance(hand_part(tWR=40, tPPD=3)) == 12 + 4 + 40 + 17 + 3 + 2
    assert refresh_allowance(hand_part(tRTP=60)) == 60 + 17 + 2
    assert refresh_allowance(hand_part(refresh="per_bank", tRFCB=20)) == 39 + 17 + 20 + 2


# Requests


READ, WRITE = False, True


def test_every_request_has_its_column_command():
    part = hand_part(**EASY)
    address = address_of(part, bank_group=2, bank=1, row=5, column=3)
    commands = [command("ACT", 3, 2, 1, row=5), command("RD", 9, 2, 1, row=5)]

    def told(commands=commands, request=(2, address, READ), entered=3, completed=20):
        return broken(part, commands, requests=[request], entered=[entered], completed=[completed])

    assert told() == []
    assert told(request=(2, address + 63, READ)) == []  # the last byte of the same access
    lost = ["belongs to no request", "completes at 20, but no command of 9 moves its data"]
    assert told(request=(2, address_of(part, bank_group=2, bank=2, row=5), READ)) == lost
    assert told(request=(2, address_of(part, bank_group=2, bank=1, row=6), READ)) == lost
    assert told(request=(2, address, WRITE)) == lost
    assert told(completed=21) == ["belongs to no request", "completes at 21, but no command of 10 moves its data"]
    assert told(commands[:1]) == ["completes at 20, but no command of 9 moves its data"]
    assert told([*commands, command("RD", 30, 2, 1, row=5)]) == ["belongs to no request"]
    assert told(request=(4, address, READ)) == ["enters at 3 and arrives at 4"]
    assert told(entered=9) == []
    assert told(entered=10) == ["its command goes at 9, before it enters at 10"]


@pytest.mark.parametrize(("opened", "rules"), [(0, 0), (1, 2)])
def test_a_column_command_may_leave_its_row_to_the_bank(opened, rules):
    commands = [command("ACT", 3, row=opened), command("RD", 9, row=-1)]
    found = violations(hand_part(**EASY), commands, requests=[(0, 0, READ)], entered=[0], completed=[20])
    assert len(found) == rules


@pytest.mark.parametrize("kind", [READ, WRITE])
def test_a_command_that_closes_its_page_serves_a_request_too(kind):
    commands = [command("ACT", 3), command("WRA" if kind else "RDA", 9)]
    assert broken(hand_part(**EASY), commands, requests=[(0, 0, kind)], entered=[0], completed=[20]) == []
    assert broken(hand_part(**EASY), commands, requests=[(0, 0, not kind)], entered=[0], completed=[20]) != []


def test_a_read_may_be_answered_by_a_write_that_waits():
    part = hand_part(**EASY)
    commands = [command("ACT", 3), command("WR", 9)]

    def told(part=part, read_address=0, entered=5, completed=6):
        requests = [(0, 0, WRITE), (5, read_address, READ)]
        return broken(part, commands, requests=requests, entered=[0, entered], completed=[20, completed])

    assert told() == []
    assert told(entered=9, completed=10) == []
    answered_by_none = "but no write waits that could answer it"
    assert told(entered=10, completed=11) == [f"completes at 11, {answered_by_none}"]
    assert told(read_address=64) == [f"completes at 6, {answered_by_none}"]
    assert told(hand_part(**EASY, queue="unified", write_high=None, write_idle=None)) == [
        "completes at 6, but no command of -5 moves its data",
        "goes at -5, before an older request of the same address",
        "its command goes at -5, before it enters at 5",
    ]


def test_requests_of_one_address_keep_their_order():
    part = hand_part(**EASY)
    commands = [command("ACT", 3), command("RD", 9), command("WR", 30)]
    requests = [(0, 0, WRITE), (0, 0, READ)]
    assert broken(part, commands, requests=requests, entered=[0, 0], completed=[41, 20]) == [
        "goes at 9, before an older request of the same address"
    ]
    assert broken(part, commands, requests=requests[::-1], entered=[0, 10], completed=[20, 41]) == []


def test_requests_enter_in_the_order_of_their_feed():
    for feed, expected in (("in_order", ["enters at 4, before an older request of its feed"]), ("per_channel", [])):
        part = hand_part(**EASY, channels=2, feed=feed)
        commands = [command("ACT", 4), command("ACT", 6, channel=1), command("RD", 10), command("RD", 12, channel=1)]
        requests = [(0, address_of(part, channel=1), READ), (0, 0, READ)]
        assert broken(part, commands, requests=requests, entered=[6, 4], completed=[23, 21]) == expected
        assert broken(part, commands, requests=requests, entered=[4, 4], completed=[23, 21]) == []


# Random lists: a command that comes a cycle earlier, or not at all, is seen.


@pytest.mark.parametrize("seed", range(12))
def test_a_command_that_is_moved_or_lost_is_noticed(seed):
    part, trace = random_case(seed, 120)
    served = dram_controller.serve(part, trace)
    requests = {"requests": trace, "entered": served["entered"], "completed": served["completed"]}
    commands = served["commands"]
    assert violations(part, commands, until=served["cycles"], **requests) == []
    rng = random.Random(seed)
    columns = [i for i, one in enumerate(commands) if one[5] in ("RD", "WR")]
    acts = [i for i, one in enumerate(commands) if one[5] == "ACT"]
    for position in rng.sample(columns + acts, min(10, len(columns + acts))):
        assert violations(part, commands[:position] + commands[position + 1 :], **requests)
    for position in rng.sample(columns, min(10, len(columns))):
        moved = (commands[position][0] - 1, *commands[position][1:])
        assert violations(part, sorted([*commands[:position], moved, *commands[position + 1 :]]), **requests)
