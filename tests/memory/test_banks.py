"""Memories of banks against what DRAMsim3 and Ramulator 2 take, closed forms of JEDEC's timings, and bounds."""

import functools

import numpy as np
import pytest

from archmodel import config
from archmodel.memory.banks import serve
from archmodel.memory.dram import load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.validation.published import csv_rows
from tests.check_dram_commands import RANDOM, checked
from tests.memory.random_parts import address_of, hand_part

ROWS = csv_rows("dram_examples.csv")
PARTS = [name for name in config.names("memory") if config.read("memory", name)[0]["model"] == "banks"]
LINKED = [name for name in PARTS if "links" in config.read("memory", name)[0]]
LATER = 1000  # cycles after which an open bank has no work left; before the first refresh
NUM_ACCESSES = 200_000


@functools.cache
def data_of(name):
    return config.read("memory", name)[0] | {"name": name}


def run(part, *requests, commands=False):
    """Serve (cycle, place, is a write)."""
    model = BankMemoryConfig.model_validate(part)
    cycles = np.array([cycle for cycle, _, _ in requests])
    addresses = np.array([address_of(part, **place) for _, place, _ in requests])
    return serve(model, cycles, addresses, np.array([kind for _, _, kind in requests]), commands)


def completions(part, *places):
    """Completion cycles of reads that arrive together, in order."""
    return run(part, *[(0, place, False) for place in places]).completed.tolist()


def after_a_read(part, place):
    """Cycles of a read when the former one, of row 0 of bank 0, is long over."""
    return [int(run(part, (0, {}, False), (LATER, place, False)).completed[1]) - LATER]


EXAMPLES = {
    "closed_bank_read": lambda part: completions(part, {}),
    "row_hit": lambda part: after_a_read(part, {"column": 1}),
    "row_conflict": lambda part: after_a_read(part, {"row": 1}),
    "eight_hits_one_bank": lambda part: completions(part, *[{"column": column} for column in range(8)]),
    "eight_acts_eight_banks": lambda part: completions(
        part, *[{"bank_group": i % 4, "bank": i // 4} for i in range(8)]
    ),
}


@functools.cache
def reads(name, pattern):
    """Reads of a whole access each, as fast as the memory takes them."""
    part, cycles = load_memory(name), np.zeros(NUM_ACCESSES, np.int64)
    numbers = np.arange(NUM_ACCESSES)
    if pattern == "random":
        numbers = np.random.default_rng(0).integers(0, part.capacity_bytes // part.access_bytes, NUM_ACCESSES)
    return part, serve(part, cycles, numbers * part.access_bytes, np.zeros(NUM_ACCESSES, bool))


def bytes_per_s(part, served):
    return NUM_ACCESSES * part.access_bytes / served.cycles * part.clock_hz


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['memory']}-{row['pattern']}-{row['source']}" for row in ROWS])
def test_a_published_example_is_met(row):
    if row["what"] == "completion_cycles":
        found = EXAMPLES[row["pattern"]](data_of(row["memory"]))
        published = [int(cycles) for cycles in row["published"].split()]
        assert len(found) == len(published)
        assert found == pytest.approx(published, abs=float(row["band"]), rel=0)
        return
    part, served = reads(row["memory"], row["pattern"])
    energy = served.energy_pj / (8 * NUM_ACCESSES * part.access_bytes)
    found = {"bytes_per_s": bytes_per_s(part, served), "pj_per_bit": energy}[row["what"]]
    assert found == pytest.approx(float(row["published"]), rel=float(row["band"]))


# Closed forms: exact, for the rules of the model are those of the forms


@pytest.mark.parametrize("name", [name for name in PARTS if name not in LINKED])
def test_reads_of_an_idle_memory_take_the_closed_forms(name):
    part, t = data_of(name), load_memory(name).timing
    burst, groups = part["organization"]["burst_cycles"], part["organization"]["bank_groups"]
    hit = t.CL + burst
    first = t.tRCDRD + hit
    assert completions(part, {}) == [first]
    assert after_a_read(part, {"column": 1}) == [hit]
    assert after_a_read(part, {"row": 1}) == [t.tRP + first]
    assert completions(part, {}, {"row": 1})[1] == max(t.tRAS, t.tRCDRD + t.tRTP) + t.tRP + first
    hits = completions(part, *[{"column": column} for column in range(8)])
    assert hits == [first + k * max(t.tCCD_L, burst) for k in range(8)]
    if groups == 4:
        over = completions(part, *[{"bank_group": group} for group in range(4)])
        buses = 0 if part["organization"]["command_buses"] == 2 else 1  # an ACT and a RD want the bus in the same cycle
        assert over == pytest.approx([first + k * max(t.tCCD_S, t.tRRD_S, burst) for k in range(4)], abs=buses)
    eight = completions(part, *[{"bank_group": i % groups, "bank": i // groups} for i in range(8)])
    window = max(t.tFAW, 4 * (t.tRRD_S if groups > 1 else t.tRRD_L))
    assert eight[4] - eight[0] in (window, window + 1)  # a RD may hold the bus


@pytest.mark.parametrize("name", PARTS)
def test_random_reads_come_near_the_bound(name):
    """Of ACTs, data buses, refreshes and links: DRAMsim3 and Ramulator reach 0.92 to 0.99 of it."""
    part, served = reads(name, "random")
    t, access = part.timing, part.access_bytes
    acts = min(4 / t.tFAW, 1 / t.tRRD_S, 32 / t.t32AW if t.t32AW else 1)
    ranks = part.organization.ranks
    rate = min(ranks * acts, 1 / part.organization.burst_cycles) * part.num_channels * (1 - t.tRFC / t.tREFI)
    bound = min(rate * access * part.clock_hz, part.peak_read_bytes_per_s)
    assert 0.90 <= bytes_per_s(part, served) / bound <= 1.0


@pytest.mark.parametrize("name", LINKED)
def test_read_data_never_exceed_the_links(name):
    for pattern in ("sequential", "random"):
        part, served = reads(name, pattern)
        limit = part.links.bytes_per_s * 64 / 80  # a flit of header and tail with four of data
        assert 0.9 * min(limit, part.peak_bytes_per_s) < bytes_per_s(part, served) <= limit
    part, served = reads("hmc1", "sequential")
    assert bytes_per_s(part, served) <= 96e9


@pytest.mark.parametrize("name", ["hmc1"])
def test_an_unloaded_read_of_a_cube_takes_46_ns(name):
    part = load_memory(name)
    served = serve(part, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, bool))
    assert served.completed[0] * part.timing.tCK_ns == pytest.approx(46, rel=0.1)


# Edges of rules

CLOSED = {"page_policy": "closed", "row_hit_cap": None}


def test_a_column_command_of_a_closed_page_names_its_row():
    served = run(hand_part(**CLOSED), (0, {"row": 5}, False), commands=True)
    assert served.commands[["command", "row"]].tolist() == [("ACT", 5), ("RD", 5)]


def test_a_page_that_closes_after_the_last_data_is_charged_to_the_last_data():
    part = hand_part(**CLOSED)
    served = run(part, (0, {}, True))
    model = BankMemoryConfig.model_validate(part)
    assert served.cycles == 17 + 12 + 4  # the page closes tWR = 18 later
    assert served.energy_pj == pytest.approx(model.act_pj + model.write_pj + 33 * model.active_standby_pj_per_cycle)


def test_the_precharge_of_a_closed_page_is_no_precharge_command():
    part = hand_part(**CLOSED, tPPD=9, tRTP=39, refresh="all_bank", tREFI=1000)
    served = run(part, (964, {}, False), (985, {"bank": 1}, False), (1900, {}, False), commands=True)
    # the page of the first closes at 964 + 17 + 39 = 1020, that of the other may be closed at 985 + 39
    assert served.commands["cycle"][served.commands["command"] == "PREA"].tolist() == [1024]
    assert served.commands["cycle"][served.commands["command"] == "REF"].tolist() == [1024 + 17]


def test_a_refresh_of_a_bank_does_not_wait_for_that_of_a_busy_one():
    part = hand_part(refresh="per_bank", tREFIB=30, tRFCB=10)
    served = run(part, (20, {}, False), (900, {}, False), commands=True)
    refreshes = served.commands[served.commands["command"] == "REFB"]
    # bank 0 is due at 30 and open from 20 to 59, bank 1 is due at 60
    assert refreshes[["cycle", "bank_group", "bank"]][:3].tolist() == [(60, 0, 1), (76, 0, 0), (90, 0, 2)]


PER_BANK, ALL_BANKS = {"refresh": "per_bank", "tREFIB": 200, "tRFCB": 10}, {"refresh": "all_bank", "tREFI": 200}


@pytest.mark.parametrize(("refresh", "precharge"), [(PER_BANK, "PRE"), (ALL_BANKS, "PREA")])
def test_from_the_cycle_it_is_due_a_refresh_holds_up_the_requests_of_its_banks(refresh, precharge):
    part = hand_part(**refresh, tRFC=10)
    for arrival, third in ((199, (199, "RD")), (200, (170 + 39, precharge))):
        served = run(part, (170, {}, False), (arrival, {"column": 1}, False), commands=True)
        assert served.commands[["cycle", "command"]].tolist()[2] == third


@pytest.mark.parametrize(("kinds", "first"), [((False, True), "RD"), ((True, False), "WR")])
def test_of_a_bank_the_older_hit_goes_first(kinds, first):
    part = hand_part(queue="unified", write_high=None, write_idle=None)
    served = run(part, *((0, {"column": column}, kind) for column, kind in enumerate(kinds)), commands=True)
    assert served.commands[["cycle", "command"]].tolist()[1] == (17, first)


@pytest.mark.parametrize("kind", [False, True])
def test_of_a_bank_a_precharge_goes_before_a_hit(kind):
    part = hand_part(queue="unified", write_high=None, write_idle=None, row_hit_cap=1)
    served = run(part, (0, {}, False), (500, {"row": 1}, False), (500, {"column": 1}, kind), commands=True)
    assert served.commands[["cycle", "command"]].tolist()[2] == (500, "PRE")


def test_writes_are_drained_in_the_order_they_came_in():
    part = hand_part(write_high=2, write_idle=1, bank_queue_depth=1)
    two, late = [(0, {"bank": 2, "column": i}, True) for i in range(2)], [(1, {"bank": i}, True) for i in (3, 1)]
    served = run(part, *two, *late, (5000, {}, False))
    assert served.completed[2] < served.completed[3]


@pytest.mark.parametrize("feed", ["in_order", "per_channel"])
def test_the_last_writes_of_a_channel_wait_for_the_last_request_of_all(feed):
    part = hand_part(channels=2, feed=feed)
    write, others = (0, {"channel": 1}, True), [(10, {"channel": 1, "row": 1}, False), (500, {}, False)]
    assert run(part, write, others[1]).completed[0] == 500 + 17 + 12 + 4
    served = run(part, write, *others, commands=True)
    assert served.commands[served.commands["channel"] == 1][["cycle", "command"]].tolist() == [
        *[(10, "ACT"), (27, "RD"), (500, "PRE"), (517, "ACT"), (534, "WR")],
    ]


@pytest.mark.parametrize(("key", "value"), [("queue", "separate"), ("feed", "per_channel")])
def test_links_have_one_buffer_and_one_order(key, value):
    data = data_of("hmc1")
    controller = data["controller"] | {key: value}
    if key == "queue":
        controller |= {"write_high": 32, "write_idle": 8}
    with pytest.raises(ValueError, match=f"controller.{key} = '{value}': must be '.*' with"):
        BankMemoryConfig.model_validate(data | {"controller": controller})


@pytest.mark.parametrize("name", [*PARTS, RANDOM])
def test_no_command_of_a_part_breaks_a_rule(name):
    """A sample; `python tests/check_dram_commands.py` does ten million."""
    _, num, found = checked((name, 2000, 1))
    assert num > 2000
    assert found == []
