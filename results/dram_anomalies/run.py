"""Where more of a memory makes it slower: a search over random traces and changes that take a constraint away.

python results/dram_anomalies/run.py     writes compare.md, found.csv and case.csv, two minutes
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from archmodel.memory.banks import serve
from archmodel.memory.dram import load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.trace import Trace

FOLDER = Path(__file__).parent
MEMORY = "ddr4_2400"
LENGTHS = {12: 400, 64: 200, 256: 100, 4096: 25}  # requests of a trace: how many traces
LONGEST_CASE = 12
BOUNDS = {12: 40, 64: 40, 256: 30, 4096: 10}  # % of the time, of any change; tests hold other traces to them
# Keys of the part, the values of which are all of less constraint than the file's.
CHANGES = (
    *("timing.CL=15", "timing.tRCDRD=15", "timing.tRTP=5", "timing.tWR=16", "timing.tFAW=24", "timing.tRRD_L=5"),
    *("timing.tCCD_L=5", "timing.tWTR_L=7", "timing.tRAS=37 timing.tRC=54", "timing.tRP=15 timing.tRC=54"),
    *("controller.bank_queue_depth=16", "controller.buffer_depth=64", "organization.channels=2"),
)
NUM_ROWS, NUM_GROUPS, NUM_BANKS, NUM_COLUMNS = 3, 2, 4, 8  # that a trace goes to: few, so that rows conflict
GAPS, WRITE_SHARES = (1, 4, 12), (0.0, 0.3, 0.5)


class Found(NamedTuple):
    """What a change does to traces of one length."""

    change: str
    requests: int
    traces: int
    slower: int
    worst_percent: float  # slow-down; 0 where there is none
    worst_trace: int


@dataclass(frozen=True)
class Case:
    """A trace that a change makes slower, in cycles from 0 to the last data."""

    change: str
    trace: Trace
    before: int
    after: int

    @property
    def slow_down(self) -> float:
        """Relative to the time before."""
        return self.after / self.before - 1


def part_with(change: str) -> BankMemoryConfig:
    """The part with a change."""
    part = load_memory(MEMORY, tuple(change.split()))
    assert isinstance(part, BankMemoryConfig)
    return part


def random_trace(part: BankMemoryConfig, length: int, number: int) -> Trace:
    """Requests to a few rows, banks and columns."""
    rng = np.random.default_rng([length, number])
    fields = {"ro": NUM_ROWS, "bg": NUM_GROUPS, "ba": NUM_BANKS, "co": NUM_COLUMNS}
    places = sum(rng.integers(0, count, length) << part.field_positions[name] for name, count in fields.items())
    gaps = rng.integers(0, rng.choice(GAPS), length)
    return Trace.of(
        np.cumsum(gaps) - gaps[0], places * part.access_bytes, rng.random(length) < rng.choice(WRITE_SHARES)
    )


def cycles_of(part: BankMemoryConfig, trace: Trace) -> int:
    """To the last data of a trace."""
    return serve(part, trace.cycles, trace.addresses, trace.writes).cycles


def search(change: str, length: int, num_traces: int, first: int = 0) -> Found:
    """How often and how much a change slows traces of a length."""
    part, other = part_with(""), part_with(change)
    slow_downs = []
    for number in range(first, first + num_traces):
        trace = random_trace(part, length, number)
        slow_downs.append(cycles_of(other, trace) / cycles_of(part, trace) - 1)
    worst = int(np.argmax(slow_downs))
    slower = sum(value > 0 for value in slow_downs)
    return Found(change, length, num_traces, slower, 100 * max(0.0, slow_downs[worst]), first + worst)


def without(trace: Trace, index: int) -> Trace:
    """A trace without one request; what is left begins in cycle 0."""
    keep = np.arange(trace.cycles.size) != index
    cycles = trace.cycles[keep]
    return Trace.of(cycles - cycles[0], trace.addresses[keep], trace.writes[keep])


def case_of(change: str, trace: Trace) -> Case:
    """A trace before and after a change."""
    return Case(change, trace, cycles_of(part_with(""), trace), cycles_of(part_with(change), trace))


def shortened(case: Case) -> Case:
    """All requests made to come at once, if that slows no less; then one left out after another while that is so."""
    trace = case.trace
    at_once = case_of(case.change, Trace.of(np.zeros_like(trace.cycles), trace.addresses, trace.writes))
    if at_once.slow_down >= case.slow_down:
        case = at_once
    while case.trace.cycles.size > 1:
        fewer = [case_of(case.change, without(case.trace, index)) for index in range(case.trace.cycles.size)]
        best = max(fewer, key=lambda one: one.slow_down)
        if best.slow_down < case.slow_down:
            break
        case = best
    return case


HEADER = """# Where more of a memory makes it slower

Made by `python results/dram_anomalies/run.py`. A controller decides with what it has in its queues at a moment. Take a
cycle from a constraint, or give it a longer queue, and it decides otherwise: mostly better, sometimes worse. Below are
random traces to {banks} banks with {rows} rows each on `{memory}`, before and after one change: in how many of them the
last data come later, and by how much at most, in % of the time.

The largest slow-down found is {worst:.1f} %. Few traces of a dozen requests meet one. Of longer ones many are slower,
by less the longer they are: what is lost here is won there. `tests/test_dram_anomalies.py` holds other traces, of
which one meets 34 %, to at most {bounds} % for {lengths} requests. More bandwidth of `ideal` never
slows a layer: a test of every machine.
"""
CASE = """
## A case

{num} requests, and `{change}`: {before} cycles become {after}, {percent:.0f} % more. `case.csv` has them.

```
archmodel memory-trace --memory {memory} results/dram_anomalies/case.csv --commands before.csv
archmodel memory-trace --memory {memory} results/dram_anomalies/case.csv --commands after.csv \\
  {assignments}
```
"""


WHY = """
Two reads are of two rows of bank 1.3, group 1 and bank 3: the sooner the first row is open, the sooner the second one
can be. At 5 it is the only bank that can be activated. With the change bank 0.2 can be too, and its turn comes first;
two others follow, a fifth activation has to wait for tFAW, and that of 1.3 comes at 26. The last data come 21 cycles
later.
"""


def place(part: BankMemoryConfig, address: int) -> str:
    """Bank group, bank, row and column of an address."""
    number = address // part.access_bytes
    widths, at = part.field_widths, part.field_positions
    fields = [number >> at[name] & (1 << widths[name]) - 1 for name in ("bg", "ba", "ro", "co")]
    return " | ".join(str(value) for value in fields)


def sent(part: BankMemoryConfig, trace: Trace) -> list[str]:
    """Commands as `cycle name group.bank`, with the row of an ACT."""
    table = serve(part, trace.cycles, trace.addresses, trace.writes, commands=True).commands
    assert table is not None
    return [
        f"{one['cycle']} {one['command']} {one['bank_group']}.{one['bank']}"
        + f" row {one['row']}" * bool(one["row"] >= 0)
        for one in table
    ]


def case_lines(case: Case) -> list[str]:
    """Requests of a case with their completions, and the commands of both runs side by side."""
    parts = part_with(""), part_with(case.change)
    trace = case.trace
    ends = [serve(part, trace.cycles, trace.addresses, trace.writes).completed.tolist() for part in parts]
    lines = [
        "| request | | bank group | bank | row | column | done before | after |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for index, (address, write) in enumerate(zip(trace.addresses.tolist(), trace.writes.tolist(), strict=True)):
        row = f"| {index} | {'W' if write else 'R'} | {place(parts[0], address)} |"
        lines.append(f"{row} {ends[0][index]} | {ends[1][index]} |")
    lines += ["", "Commands, as cycle, name, bank group and bank:", "", "| before | after |", "|---|---|"]
    both = [sent(part, trace) for part in parts]
    rows = max(map(len, both))
    columns = [column + [""] * (rows - len(column)) for column in both]
    return lines + [f"| {before} | {after} |" for before, after in zip(*columns, strict=True)]


def page(found: list[Found], case: Case) -> str:
    """The search as a table, then the case."""
    worst = max(one.worst_percent for one in found)
    bounds, lengths = (", ".join(map(str, values)) for values in (BOUNDS.values(), BOUNDS))
    head = HEADER.format(
        banks=NUM_GROUPS * NUM_BANKS, rows=NUM_ROWS, memory=MEMORY, worst=worst, bounds=bounds, lengths=lengths
    )
    traces = " | ".join(f"{length} requests, {count} traces" for length, count in LENGTHS.items())
    lines = [head, f"| change | {traces} |", "|---|" + "---|" * len(LENGTHS)]
    for change in CHANGES:
        cells = [f"{one.slower} slower, {one.worst_percent:.1f} %" for one in found if one.change == change]
        lines.append(f"| {change} | " + " | ".join(cells) + " |")
    assignments = " ".join(f"--set memory.{one}" for one in case.change.split())
    shown = {"num": case.trace.cycles.size, "change": case.change, "before": case.before, "after": case.after}
    lines.append(CASE.format(memory=MEMORY, assignments=assignments, percent=100 * case.slow_down, **shown))
    return "\n".join([*lines, *case_lines(case), WHY])


def main() -> None:
    """Search, shorten the worst of the short traces, write both."""
    found = [search(change, length, count) for change in CHANGES for length, count in LENGTHS.items()]
    worst = max((one for one in found if one.requests == LONGEST_CASE), key=lambda one: one.worst_percent)
    case = shortened(case_of(worst.change, random_trace(part_with(""), LONGEST_CASE, worst.worst_trace)))
    with (FOLDER / "found.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Found._fields)
        writer.writerows(one._replace(worst_percent=round(one.worst_percent, 3)) for one in found)
    requests = zip(case.trace.cycles, case.trace.addresses, case.trace.writes, strict=True)
    lines = [f"{cycle},{address:#x},{'W' if write else 'R'}" for cycle, address, write in requests]
    (FOLDER / "case.csv").write_text("\n".join(["cycle,address,R|W", *lines]) + "\n", "utf-8")
    (FOLDER / "compare.md").write_text(page(found, case), "utf-8")


if __name__ == "__main__":
    main()
