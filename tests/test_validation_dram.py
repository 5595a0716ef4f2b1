"""The table of DRAM: what its rows measure, and that the files of the parts decide."""

import pytest

from archmodel import validation
from archmodel.memory.dram import load_memory
from archmodel.simulation import memory_trace
from archmodel.validation import dram
from archmodel.validation.published import csv_rows


@pytest.fixture(autouse=True)
def fresh():
    dram.read_cycles.cache_clear()
    yield
    dram.read_cycles.cache_clear()


@pytest.mark.parametrize(
    ("memory", "place", "address"),
    [
        ("ddr4_2400", (0, 0, 1), 64),
        ("ddr4_2400", (0, 1, 0), 8 << 10),  # 128 accesses of a row, then the bank groups
        ("ddr4_2400", (0, 4, 0), 32 << 10),  # the next bank of the first group
        ("ddr4_2400", (1, 0, 0), 128 << 10),
        ("gddr5x", (0, 5, 0), 5 * 64 * 256),  # one bank group
        ("hbm2", (0, 1, 2), 128 + (64 << 10)),  # columns, channels, banks, bank groups, rows
        ("hbm2", (3, 4, 0), (16 << 10) + (3 * 256 << 10)),
    ],
)
def test_a_place_is_where_the_mapping_has_it(memory, place, address):
    assert dram.address_of(load_memory(memory), place) == address


def test_a_row_of_the_file_is_judged_by_its_limits():
    rows = {row.id: row for row in dram.rows_of_latencies()}
    assert len(rows) == len(csv_rows(dram.LATENCIES_FILE))
    assert rows["ddr4_2400.eight_hits.8"].limits == (79, 82)
    assert rows["ddr4_2400.eight_hits.8"].what == "ddr4_2400, eight reads of a row at once, number 8, cycles"
    assert rows["hbm2.row_hit.1"].kind == "identity"
    assert rows["hbm2.row_hit.1"].what == "hbm2, a read of an open row, cycles"
    assert rows["hbm2.eight_banks.5"].limits == (60, 62)
    reasons = {name: rows[name].reason for name in ("ddr4_2400.row_hit.1", "hbm2.row_hit.1", "hbm2.eight_banks.5")}
    assert list(reasons.values()) == [dram.OF_TWO_SIMULATORS, dram.OF_TIMINGS, dram.OF_BANKS]


@pytest.mark.parametrize("example", dram.EXAMPLES)
def test_every_example_is_in_the_table(example):
    assert example in {row["example"] for row in csv_rows(dram.LATENCIES_FILE)}


@pytest.mark.parametrize(
    ("key", "missed"),
    [
        ("CL", {"closed_bank_read.1", "row_hit.1", "row_conflict.1", "two_rows.2", "eight_hits.1", "eight_banks.1"}),
        ("tRP", {"row_conflict.1", "two_rows.2"}),
        ("tRAS", {"two_rows.2"}),
        ("tCCD_L", {"eight_hits.8"}),
        ("tFAW", {"eight_banks.5"}),
    ],
)
def test_a_wrong_timing_fails_the_rows_that_it_is_in(monkeypatch, key, missed):
    later = getattr(load_memory("ddr4_2400").timing, key) + 3
    changes = [f"memory.timing.{key}={later}"] + (["memory.timing.tRC=59"] if key in ("tRP", "tRAS") else [])
    monkeypatch.setattr(
        dram,
        "trace_memory",
        lambda memory, trace: memory_trace.trace_memory(memory, trace, assignments=changes),
    )
    rows = zip(csv_rows(dram.LATENCIES_FILE), dram.rows_of_latencies(), strict=True)
    failed = set()
    for row, published in rows:
        if row["memory"] == "ddr4_2400":
            ours = dram.read_cycles("ddr4_2400", row["example"])[int(row["request"]) - 1]
            if not published.limits[0] <= ours <= published.limits[1]:
                failed.add(f"{row['example']}.{row['request']}")
    assert missed <= failed
    assert ("row_hit.1" in failed) == (key == "CL")


def test_the_unloaded_read_of_a_cube_is_near_what_it_was_calibrated_to():
    values = dram.measure_dram()[0]
    row = next(row for row in validation.published_table("dram").rows if row.id == "hmc1.unloaded")
    assert row.kind == "fitted"
    assert values[row.id] == pytest.approx(row.published, rel=0.1)
    assert values["hmc1.random"] <= 96
