"""The tick-by-tick DRAM controller: published latencies, each rule by hand, and the checker's word for the rest."""

import pytest
from hypothesis import given, settings

from tests.memory.random_parts import address_of, cases, hand_part
from tests.reference.dram_checker import violations
from tests.reference.dram_controller import decode, serve

READ, WRITE = False, True
LATER = 1000  # cycles after which an open bank has no work left


def completions(part, *requests):
    """Completion cycles of (cycle, place, is a write)."""
    return serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in requests])["completed"]


def commands(part, *requests):
    """(cycle, command) of everything that is sent."""
    served = serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in requests])
    return [(command[0], command[5]) for command in served["commands"]]


# Closed forms and the DDR4-2400 17-17-17 examples of Ramulator 2 (published/dram_parts.yaml)


def test_a_read_of_a_closed_bank_takes_activation_latency_and_burst():
    assert completions(hand_part(), (0, {}, READ)) == [38]
    assert completions(hand_part(), (7, {}, READ)) == [7 + 38]


def test_a_row_hit_takes_latency_and_burst():
    assert completions(hand_part(), (0, {}, READ), (LATER, {"column": 1}, READ))[1] - LATER == 21


def test_a_row_conflict_precharges_first():
    assert completions(hand_part(), (0, {}, READ), (LATER, {"row": 1}, READ))[1] - LATER == 55


def test_eight_hits_in_one_bank_follow_at_tccd_l():
    hits = [(0, {"column": column}, READ) for column in range(8)]
    assert completions(hand_part(), *hits) == [38, 44, 50, 56, 62, 68, 74, 80]


def test_the_fifth_activation_waits_for_tfaw():
    # in the order of the trace, as in Ramulator 2
    reads = [(0, {"bank_group": i % 4, "bank": i // 4}, READ) for i in range(8)]
    assert completions(hand_part(), *reads) == [38, 42, 46, 50, 64, 68, 72, 76]


def test_a_second_row_of_a_bank_waits_for_tras():
    assert completions(hand_part(), (0, {}, READ), (0, {"row": 1}, READ))[1] == 39 + 17 + 17 + 17 + 4


def test_a_write_takes_its_own_latency():
    assert completions(hand_part(tRCDWR=20), (0, {}, WRITE)) == [20 + 12 + 4]


def test_a_closed_page_is_activated_again():
    part = hand_part(page_policy="closed", row_hit_cap=None)
    assert completions(part, (0, {}, READ), (LATER, {}, READ))[1] - LATER == 38
    assert commands(part, (0, {}, READ), (0, {"column": 1}, READ)) == [(0, "ACT"), (17, "RD"), (56, "ACT"), (73, "RD")]


def test_32_activations_share_a_window():
    reads = [(0, {"bank_group": i % 4, "bank": i // 4}, READ) for i in range(33)]
    part = hand_part(banks_per_group=16, t32AW=1000, buffer_depth=64)
    acts = [cycle for cycle, name in commands(part, *reads) if name == "ACT"]
    assert acts[31] < 250
    assert acts[32] == 1000


# Cycles between commands: banks A and B are opened first, then two requests come, the second as soon as it may

BANK, GROUP, RANK = {"bank": 1}, {"bank_group": 1}, {"rank": 1}
TURN = 17 + 4 - 12 + 1  # CL, burst, CWL, tRTRS


@pytest.mark.parametrize(
    ("changes", "place", "kinds", "gap"),
    [
        ({}, {"column": 1}, (READ, READ), 6),
        ({}, BANK, (READ, READ), 6),
        ({}, GROUP, (READ, READ), 4),
        ({"tCCD_S": 5}, GROUP, (READ, READ), 5),
        ({}, BANK, (WRITE, WRITE), 6),
        ({}, GROUP, (WRITE, WRITE), 4),
        ({"tCCD_S": 5}, GROUP, (WRITE, WRITE), 5),
        ({"burst_cycles": 8}, BANK, (READ, READ), 8),
        ({"burst_cycles": 8}, GROUP, (READ, READ), 8),
        ({"burst_cycles": 8}, BANK, (WRITE, WRITE), 8),
        ({"burst_cycles": 8}, GROUP, (WRITE, WRITE), 8),
        ({}, BANK, (READ, WRITE), TURN),
        ({}, GROUP, (READ, WRITE), TURN),
        ({}, BANK, (WRITE, READ), 12 + 4 + 9),
        ({}, GROUP, (WRITE, READ), 12 + 4 + 3),
        ({}, RANK, (READ, READ), 4 + 1),
        ({}, RANK, (WRITE, WRITE), 4),
        ({}, RANK, (READ, WRITE), TURN),
        ({}, RANK, (WRITE, READ), 1),  # CWL + burst + tRTRS = CL
        ({"CL": 10}, RANK, (WRITE, READ), 12 + 4 + 1 - 10),
    ],
)
def test_the_second_access_goes_when_rules_allow(changes, place, kinds, gap):
    part = hand_part(ranks=2, write_idle=0, **changes)
    opened = [(0, {}, READ), (0, place, READ)]
    first, second = kinds
    sent = commands(part, *opened, (LATER, {}, first), (LATER + 1, place | {"column": 2}, second))
    assert [cycle - LATER for cycle, _ in sent[-2:]] == [0, gap]


@pytest.mark.parametrize(("kind", "gap"), [(READ, 9), (WRITE, 12 + 4 + 18)])
def test_a_bank_precharges_when_its_data_have_moved(kind, gap):
    part = hand_part(write_idle=0)
    sent = commands(part, (0, {}, READ), (LATER, {}, kind), (LATER + 1, {"row": 1}, kind))
    assert [(cycle - LATER, name) for cycle, name in sent[3:5]] == [(gap, "PRE"), (gap + 17, "ACT")]


@pytest.mark.parametrize(("tPPD", "gap"), [(None, 1), (7, 7)])
def test_precharges_of_a_rank_keep_their_distance(tPPD, gap):
    part = hand_part(ranks=2) if tPPD is None else hand_part(ranks=2, tPPD=tPPD)
    places = [{}, BANK, RANK]
    reads = [*[(0, place, READ) for place in places], *[(LATER, place | {"row": 1}, READ) for place in places]]
    sent = [cycle - LATER for cycle, name in commands(part, *reads) if name == "PRE"]
    assert sorted(sent) == [0, 1, 1 + gap]  # that of the other rank first


@pytest.mark.parametrize(("place", "gap"), [(BANK, 6), (GROUP, 4), (RANK, 1)])
def test_activations_keep_their_distance(place, gap):
    assert commands(hand_part(ranks=2), (0, {}, READ), (0, place, READ))[1] == (gap, "ACT")


def test_activations_of_a_bank_keep_their_distance():
    assert commands(hand_part(tRC=70), (0, {}, READ), (0, {"row": 1}, READ))[2:4] == [(39, "PRE"), (70, "ACT")]


# Address mapping

LAST = {"rank": 1, "bank_group": 3, "bank": 3, "channel": 3, "column": 127}


@pytest.mark.parametrize(
    ("order", "address", "place"),
    [
        # DDR4, rochrababgco: 7 bits of column above the 64 bytes of an access, then 2 of bank group, 2 of bank
        ("rochrababgco", 63, {}),
        ("rochrababgco", 64, {"column": 1}),
        ("rochrababgco", 64 << 7, {"bank_group": 1}),
        ("rochrababgco", 64 << 9, {"bank": 1}),
        ("rochrababgco", 64 << 11, {"rank": 1}),
        ("rochrababgco", 64 << 12, {"channel": 1}),
        ("rochrababgco", 64 << 14, {"row": 1}),
        ("rochrababgco", (64 << 20) + 64, {"column": 1}),  # 6 bits of row: what lies above wraps around
        # the channel low mapping of HBM2
        ("rorabacobgch", 64, {"channel": 1}),
        ("rorabacobgch", 64 << 2, {"bank_group": 1}),
        ("rorabacobgch", 64 << 4, {"column": 1}),
        ("rorabacobgch", (64 << 4) * 128, {"bank": 1}),
        ("rorabacobgch", -64 % (64 << 20), {**LAST, "row": 63}),
    ],
)
def test_an_address_is_cut_by_the_mapping(order, address, place):
    part = hand_part(order=order, ranks=2, channels=2, stacks=2)
    zeros = dict.fromkeys(("row", "rank", "bank_group", "bank", "channel", "column"), 0)
    assert decode(part, address) == zeros | place


# Refresh


def test_a_rank_precharges_and_refreshes_when_it_is_due():
    part = hand_part(refresh="all_bank", tREFI=1000)
    busy = commands(part, (0, {}, READ), (0, {"bank": 1}, READ), (1100, {}, READ))
    assert busy[-4:] == [(1000, "PREA"), (1017, "REF"), (1437, "ACT"), (1454, "RD")]
    assert commands(part, (1100, {}, READ)) == [(1000, "REF"), (1420, "ACT"), (1437, "RD")]
    # tRAS of a bank that was opened a cycle before; its read has to wait for the refresh
    late = commands(part, (999, {}, READ))
    assert late == [(999, "ACT"), (1038, "PREA"), (1055, "REF"), (1475, "ACT"), (1492, "RD")]


def test_an_automatic_precharge_ends_before_the_refresh():
    part = hand_part(refresh="all_bank", tREFI=1000, page_policy="closed", row_hit_cap=None, write_idle=0)
    assert commands(part, (980, {}, READ), (2000, {}, READ))[2] == (980 + 39 + 17, "REF")
    assert commands(part, (980, {}, WRITE), (2000, {}, READ))[2] == (997 + 12 + 4 + 18 + 17, "REF")


def test_ranks_take_turns_and_idle_ones_are_refreshed_too():
    part = hand_part(refresh="all_bank", tREFI=1001, ranks=4)
    served = serve(part, [(2210, address_of(part, rank=3), READ)])
    refreshes = [command[:3] for command in served["commands"] if command[5] == "REF"]
    # 1001 // 4 between ranks; the read ends at 2248
    assert refreshes == [(1001, 0, 0), (1251, 0, 1), (1501, 0, 2), (1751, 0, 3), (2002, 0, 0)]
    assert serve(part, [(2215, address_of(part, rank=3), READ)])["counts"]["REF"] == 6  # ends at 2253


def test_a_channel_without_requests_is_refreshed_until_the_end():
    part = hand_part(refresh="all_bank", tREFI=1000, channels=2)
    served = serve(part, [(3000, 0, READ)])
    assert [command[0] for command in served["commands"] if command[1] == 1] == [1000, 2000, 3000]


def test_banks_are_refreshed_one_after_the_other():
    part = hand_part(refresh="per_bank", tREFIB=500, tRFCB=30, bank_groups=2, banks_per_group=1, ranks=2)
    served = serve(part, [(0, 0, READ), (510, 0, READ), (2600, 0, READ)])
    refreshes = [command[:5] for command in served["commands"] if command[5] == "REFB"]
    # the bank of the requests is open: PRE at 500
    assert refreshes == [
        (517, 0, 0, 0, 0),
        (1000, 0, 0, 1, 0),
        (1500, 0, 1, 0, 0),
        (2000, 0, 1, 1, 0),
        (2517, 0, 0, 0, 0),
    ]
    assert served["completed"] == [38, 517 + 30 + 38, 2600 + 38]


def test_a_bank_is_refreshed_after_the_one_before():
    part = hand_part(refresh="per_bank", tREFIB=20, tRFCB=30)
    sent = commands(part, (80, {"bank": 3}, READ))
    assert [cycle for cycle, name in sent if name == "REFB"] == [
        20,
        50,
        80,
        110,
        140,
        170,
    ]  # until its read at 140 + 38


# Queues


def test_a_bank_takes_its_depth_and_the_channel_buffers_the_rest():
    part = hand_part(bank_queue_depth=2, buffer_depth=3, write_high=3)
    reads = [(0, address_of(part, column=column), READ) for column in range(7)]
    # three in the buffer, of which two go to the list; when it is full, one a column command (17, 23, ...)
    assert serve(part, reads)["entered"] == [0, 0, 0, 1, 1, 18, 24]
    others = [(0, address_of(part, bank=1, column=column), READ) for column in range(3)]
    # the other bank's list is free, the buffer is full; then each makes room for the next
    assert serve(part, [*reads[:5], *others])["entered"][5:] == [18, 19, 20]


def test_writes_fill_the_channels_buffer():
    part = hand_part(bank_queue_depth=1, buffer_depth=3, write_high=3, write_idle=0)
    writes = [(0, address_of(part, column=column), WRITE) for column in range(5)]
    assert serve(part, writes)["entered"] == [0, 0, 0, 1, 18]
    # reads have a buffer of their own
    assert serve(part, [*writes[:4], (0, address_of(part, column=9), READ)])["entered"][4] == 1


def test_one_list_of_both_kinds():
    part = hand_part(queue="unified", bank_queue_depth=1, buffer_depth=1, write_high=None, write_idle=None)
    requests = [(0, address_of(part, column=column), kind) for column, kind in enumerate((WRITE, READ, WRITE))]
    served = serve(part, requests)
    assert served["entered"] == [0, 1, 18]
    # in the order of the list; and no write answers a read
    assert [command[5] for command in served["commands"]] == ["ACT", "WR", "RD", "WR"]
    same = serve(part, [(0, 0, WRITE), (0, 0, READ)])
    assert (same["counts"]["forwarded"], same["entered"]) == (0, [0, 18])


def test_a_blocked_request_holds_up_its_feed():
    requests = [*[(0, {"column": column}, READ) for column in range(3)], (0, {"channel": 1}, READ)]
    for feed, entered in (("in_order", [0, 1, 18, 18]), ("per_channel", [0, 1, 18, 0])):
        part = hand_part(channels=2, bank_queue_depth=1, buffer_depth=1, write_high=1, write_idle=0, feed=feed)
        trace = [(cycle, address_of(part, **place), kind) for cycle, place, kind in requests]
        assert serve(part, trace)["entered"] == entered


def test_a_read_is_answered_by_a_waiting_write():
    part = hand_part(write_idle=0)
    served = serve(part, [(0, 64, WRITE), (0, 0, WRITE), (3, 0, READ)])
    assert served["completed"][2] == 4
    assert served["counts"]["forwarded"] == 1
    # the write's command goes at 17 + 6; a read that enters in the same cycle still finds it
    assert serve(part, [(0, 64, WRITE), (0, 0, WRITE), (23, 0, READ)])["counts"]["forwarded"] == 1
    assert serve(part, [(0, 64, WRITE), (0, 0, WRITE), (24, 0, READ)])["counts"]["forwarded"] == 0


@pytest.mark.parametrize(
    "other", [{"row": 1}, {"bank": 1}, {"column": 1}, {"bank_group": 1}, {"rank": 1}, {"channel": 1}]
)
def test_a_write_answers_reads_of_its_own_address_only(other):
    part = hand_part(ranks=2, channels=2)
    requests = [(0, address_of(part), WRITE), (0, address_of(part, **other), READ)]
    assert serve(part, requests)["counts"]["forwarded"] == 0


def test_a_write_waits_for_the_read_of_its_address():
    part = hand_part()
    assert serve(part, [(0, 0, READ), (0, 0, WRITE)])["entered"] == [0, 18]
    assert serve(part, [(0, 0, READ), (0, 64, WRITE)])["entered"] == [0, 0]


# What goes first


def test_reads_go_before_writes_until_enough_writes_wait():
    part = hand_part(write_high=3, write_idle=2)
    reads = [(0, {"column": column}, READ) for column in range(6)]

    def kinds(num_writes):
        writes = [(0, {"column": 10 + i}, WRITE) for i in range(num_writes)]
        return "".join(name[0] for _, name in commands(part, *writes, *reads) if name in ("RD", "WR"))

    assert kinds(2) == "RRRRRRWW"
    assert kinds(3) == "WWWRRRRRR"


def test_without_reads_the_writes_go():
    assert commands(hand_part(), (0, {}, WRITE)) == [(0, "ACT"), (17, "WR")]
    few = [(0, {}, WRITE), (0, {"column": 1}, WRITE), (90, {"column": 2}, READ)]
    assert commands(hand_part(write_idle=1), *few) == [(0, "ACT"), (17, "WR"), (23, "WR"), (90, "RD")]
    # while few wait and more requests are to come, they wait
    late = [(90, "ACT"), (107, "RD"), (107 + 17 + 4 - 12 + 1, "WR"), (117 + 6, "WR")]
    assert commands(hand_part(write_idle=2), *few) == late


def test_the_last_writes_of_a_channel_wait_for_the_last_request_of_all():
    part = hand_part(channels=2)
    early, late = (0, {"channel": 1}, WRITE), (500, {}, READ)
    assert commands(part, early, late)[:2] == [(500, "ACT"), (500, "ACT")]
    busy = (490, {"channel": 1, "row": 1}, READ)  # done at 507: then the list of its bank is empty
    assert commands(part, early, busy, late) == [
        *[(490, "ACT"), (500, "ACT"), (507, "RD"), (517, "RD")],  # of 1, 0, 1, 0
        *[(529, "PRE"), (546, "ACT"), (563, "WR")],
    ]


def test_writes_that_come_during_a_drain_wait_for_the_next():
    part = hand_part(write_high=2, write_idle=1, bank_queue_depth=1)
    writes = [(0, {"column": column}, WRITE) for column in range(2)]
    late = [(1, {"column": 5}, READ), (1, {"column": 2}, WRITE)]
    sent = [name for _, name in commands(part, *writes, *late) if name != "ACT"]
    assert sent == ["WR", "WR", "RD", "WR"]


@pytest.mark.parametrize(("cap", "rows"), [(1, "010000"), (2, "001000"), (4, "000010")])
def test_so_many_hits_may_pass_an_older_request(cap, rows):
    part = hand_part(row_hit_cap=cap, tRAS=18, tCCD_L=12)  # PRE could come before the second read
    reads = [(0, {}, READ), (0, {"row": 1}, READ), *[(0, {"column": column}, READ) for column in range(1, 5)]]
    served = serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in reads])
    assert "".join(str(command[6]) for command in served["commands"] if command[5] == "RD") == rows


def test_only_hits_in_the_list_pass():
    part = hand_part(bank_queue_depth=2)
    reads = [(0, {}, READ), (0, {"row": 1}, READ), (0, {"row": 2}, READ), (0, {"column": 1}, READ)]
    served = serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in reads])
    assert [command[6] for command in served["commands"] if command[5] == "RD"] == [0, 1, 2, 0]


def sent(part, *requests):
    """(bank group, bank, command) of everything that is sent."""
    served = serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in requests])
    return [(command[3], command[4], command[5]) for command in served["commands"]]


def test_open_banks_take_turns_bank_by_bank():
    places = [{"bank_group": group, "bank": bank} for bank in (1, 0) for group in (1, 0)]
    hits = [(LATER, place | {"column": 1}, READ) for place in places]
    part = hand_part(tCCD_L=4)  # so that groups do not matter
    reads = [(i * 100, place, READ) for i, place in enumerate(places)]  # group 0, bank 0 comes last
    columns = [(group, bank) for group, bank, name in sent(part, *reads, *hits) if name == "RD"][4:]
    assert columns == [(0, 1), (1, 0), (1, 1), (0, 0)]


def test_closed_banks_take_turns_group_by_group():
    part = hand_part(tRRD_L=4)
    closed = [(LATER, {"bank_group": group, "bank": bank}, READ) for bank in (2, 1) for group in (1, 0)]
    first = (0, {"bank_group": 0, "bank": 1}, READ)
    activated = [(group, bank) for group, bank, name in sent(part, first, *closed) if name == "ACT"]
    assert activated == [(0, 1), (1, 1), (0, 2), (1, 2)]
    part = hand_part(tRRD_S=1, tRRD_L=1, ranks=2)
    closed = [(LATER, {"rank": rank, "bank": bank}, READ) for rank in (1, 0) for bank in (3, 2)]
    served = serve(part, [(cycle, address_of(part, **place), kind) for cycle, place, kind in (first, *closed)])
    assert [(of[2], of[4]) for of in served["commands"] if of[5] == "ACT"] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]


@pytest.mark.parametrize(("bank_group", "bank", "first"), [(0, 1, "RD"), (1, 0, "RD"), (1, 1, "ACT")])
def test_open_and_closed_banks_take_turns_with_each_other(bank_group, bank, first):
    # after bank 0 of group 0: an open bank, the first, second or third one, and the closed second one
    part, place = hand_part(banks_per_group=2), {"bank_group": bank_group, "bank": bank}
    earlier = [(0, place, READ), (LATER, {}, READ)]
    both = [(2 * LATER, place | {"column": 1}, READ), (2 * LATER, {"bank_group": 2}, READ)]
    assert sent(part, *earlier, *both)[4][2] == first


def test_of_a_bank_the_older_hit_goes_first():
    part = hand_part(queue="unified", write_high=None, write_idle=None)
    for kinds in ((READ, WRITE), (WRITE, READ)):
        requests = [(0, {}, kinds[0]), (0, {"column": 1}, kinds[1])]
        assert commands(part, *requests)[1] == (17, "WR" if kinds[0] else "RD")


def test_a_refresh_goes_before_all_others():
    part = hand_part(refresh="all_bank", tREFI=1000, ranks=2)
    both = commands(part, (1500, {}, READ))
    assert both == [(1000, "REF"), (1500, "REF"), (1501, "ACT"), (1518, "RD")]


def test_a_command_names_what_it_goes_to():
    part = hand_part(refresh="all_bank", tREFI=1000, channels=2, ranks=2)
    place = {"channel": 1, "rank": 1, "bank_group": 2, "bank": 3}
    reads = [(0, address_of(part, row=5, **place), READ), (100, address_of(part, row=6, **place), READ)]
    named = [command for command in serve(part, [*reads, (1600, 0, READ)])["commands"] if command[1:3] == (1, 1)]
    assert named[:-2] == [
        (0, 1, 1, 2, 3, "ACT", 5),
        (17, 1, 1, 2, 3, "RD", 5),
        (100, 1, 1, 2, 3, "PRE", -1),
        (117, 1, 1, 2, 3, "ACT", 6),
        (134, 1, 1, 2, 3, "RD", 6),
    ]
    assert named[-2:] == [(1500, 1, 1, -1, -1, "PREA", -1), (1517, 1, 1, -1, -1, "REF", -1)]


def test_row_hits_are_column_commands_that_found_their_row_open():
    part = hand_part()
    reads = [(0, address_of(part, column=column), READ) for column in range(3)]
    served = serve(part, [*reads, (0, address_of(part, row=1), READ)])
    assert served["counts"] == {"ACT": 2, "RD": 4, "PRE": 1, "row_hits": 2, "forwarded": 0}


def test_nothing_asked_nothing_done():
    assert serve(hand_part(refresh="all_bank"), [])["cycles"] == 0


@given(cases())
@settings(max_examples=120, deadline=None)
def test_no_command_breaks_a_rule(case):
    part, trace = case
    served = serve(part, trace)
    requests = {"requests": trace, "entered": served["entered"], "completed": served["completed"]}
    assert violations(part, served["commands"], until=served["cycles"], **requests) == []
