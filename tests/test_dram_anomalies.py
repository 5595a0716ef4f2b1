"""More of a memory may slow a trace, within bounds: traces that results/dram_anomalies has not searched.

The bounds are wide because every trace is a matter of chance: none is more than twice what the search has found.
"""

import csv

import pytest

import archmodel
from archmodel.memory.trace_files import read_trace
from tests.test_dram_results import RESULTS, script

FIRST = 10_000  # the search has seen the traces before
COUNTS = {12: 60, 64: 20, 256: 10, 4096: 2}


@pytest.fixture(scope="module")
def anomalies():
    return script("dram_anomalies")


@pytest.fixture(scope="module")
def found(anomalies):
    """What the search has written."""
    with (RESULTS / "dram_anomalies" / "found.csv").open() as file:
        return list(csv.DictReader(file))


def test_no_change_slows_other_traces_beyond_its_bound(anomalies):
    slower = 0
    for change in anomalies.CHANGES:
        for length, count in COUNTS.items():
            one = anomalies.search(change, length, count, FIRST)
            assert one.worst_percent <= anomalies.BOUNDS[length], one
            slower += one.slower
    assert slower > 0  # there are such traces


def test_bounds_hold_what_was_found_and_not_much_more(anomalies, found):
    for length, bound in anomalies.BOUNDS.items():
        worst = max(float(row["worst_percent"]) for row in found if row["requests"] == str(length))
        assert 1.2 * worst <= bound <= 4 * worst


def test_what_was_found_is_found_again(anomalies, found):
    rows = [row for row in found if row["requests"] == "12" and float(row["worst_percent"]) > 0]
    for row in rows:
        number = int(row["worst_trace"])
        again = anomalies.search(row["change"], 12, 1, number)
        assert again.worst_percent == pytest.approx(float(row["worst_percent"]), abs=0.001)
        assert (again.slower, again.worst_trace) == (1, number)


def test_the_case_of_the_page_is_slower(anomalies):
    folder = RESULTS / "dram_anomalies"
    page = (folder / "compare.md").read_text("utf-8")
    before = archmodel.trace_memory(anomalies.MEMORY, folder / "case.csv")
    assert before.arrived.size <= anomalies.LONGEST_CASE
    change = next(word for word in page.split("`") if word in anomalies.CHANGES and f", and `{word}`: " in page)
    changes = [f"memory.{one}" for one in change.split()]
    after = archmodel.trace_memory(anomalies.MEMORY, folder / "case.csv", assignments=changes)
    assert f"{before.cycles} cycles become {after.cycles}," in page
    assert after.cycles > before.cycles
    part, trace = anomalies.part_with(""), read_trace(folder / "case.csv")
    activated = [anomalies.sent(each, trace)[index] for each, index in ((part, 1), (anomalies.part_with(change), 6))]
    assert activated == ["5 ACT 1.3 row 2", "26 ACT 1.3 row 2"]
    assert after.cycles - before.cycles == 21
    assert "At 5 it is the only bank that can be activated." in anomalies.WHY
    assert "that of 1.3 comes at 26. The last data come 21 cycles" in anomalies.WHY
    assert all(f"--set {one}" in page for one in changes)


def test_a_case_is_shortened_while_it_stays_as_slow(anomalies, found):
    worst = max((row for row in found if row["requests"] == "12"), key=lambda row: float(row["worst_percent"]))
    trace = anomalies.random_trace(anomalies.part_with(""), 12, int(worst["worst_trace"]))
    case = anomalies.case_of(worst["change"], trace)
    assert 100 * case.slow_down == pytest.approx(float(worst["worst_percent"]), abs=0.001)
    short = anomalies.shortened(case)
    assert short.slow_down >= case.slow_down
    assert short.trace.cycles.size <= 12
    for index in range(short.trace.cycles.size):
        assert anomalies.case_of(worst["change"], anomalies.without(short.trace, index)).slow_down < short.slow_down
