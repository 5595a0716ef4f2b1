"""The timing constraints of a part: which command waits for which, in what scope, and for how many cycles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archmodel.memory.part import BankMemoryConfig

SCOPES = ("bank", "bank group", "rank", "other ranks")
COMMANDS = ("ACT", "PRE", "RD", "WR", "REF")


class Constraint(NamedTuple):
    """`after` comes at least `cycles` after `before` where both go to the same `scope` (or to ranks of a channel)."""

    scope: str
    before: str
    after: str
    cycles: int


def constraints(part: BankMemoryConfig) -> tuple[Constraint, ...]:
    """All rows of a part but the windows of several ACTs; formulas as JEDEC's data sheets draw them."""
    t, burst = part.timing, part.organization.burst_cycles
    write_end = t.CWL + burst  # from a WR to the end of its data
    read_then_write = t.CL + burst - t.CWL + t.tRTRS
    rows = [
        Constraint("bank", "ACT", "RD", t.tRCDRD),
        Constraint("bank", "ACT", "WR", t.tRCDWR),
        Constraint("bank", "ACT", "PRE", t.tRAS),
        Constraint("bank", "ACT", "ACT", t.tRC),
        Constraint("bank", "RD", "PRE", t.tRTP),
        Constraint("bank", "WR", "PRE", write_end + t.tWR),
        Constraint("bank", "PRE", "ACT", t.tRP),
        Constraint("bank group", "ACT", "ACT", t.tRRD_L),
        Constraint("bank group", "RD", "RD", max(burst, t.tCCD_L)),
        Constraint("bank group", "WR", "WR", max(burst, t.tCCD_L)),
        Constraint("bank group", "WR", "RD", write_end + t.tWTR_L),
        Constraint("rank", "ACT", "ACT", t.tRRD_S),
        Constraint("rank", "RD", "RD", max(burst, t.tCCD_S)),
        Constraint("rank", "WR", "WR", max(burst, t.tCCD_S)),
        Constraint("rank", "WR", "RD", write_end + t.tWTR_S),
        Constraint("rank", "RD", "WR", read_then_write),
        Constraint("other ranks", "RD", "RD", burst + t.tRTRS),
        Constraint("other ranks", "WR", "WR", burst),
        Constraint("other ranks", "RD", "WR", read_then_write),
        Constraint("other ranks", "WR", "RD", max(write_end + t.tRTRS - t.CL, 1)),
    ]
    if t.tPPD is not None:
        rows.append(Constraint("rank", "PRE", "PRE", t.tPPD))
    return (*rows, *_of_refresh(part))


def _of_refresh(part: BankMemoryConfig) -> list[Constraint]:
    t = part.timing
    if part.controller.refresh == "all_bank":
        return [
            Constraint("rank", "PRE", "REF", t.tRP),
            Constraint("rank", "REF", "ACT", t.tRFC),
            Constraint("rank", "REF", "REF", t.tRFC),
        ]
    if part.controller.refresh == "per_bank":
        assert t.tRFCB is not None  # the class sees to it
        return [
            Constraint("bank", "PRE", "REF", t.tRP),
            Constraint("bank", "REF", "ACT", t.tRFCB),
            Constraint("rank", "REF", "REF", t.tRFCB),
            Constraint("other ranks", "REF", "REF", t.tRFCB),
        ]
    return []


def limits(part: BankMemoryConfig, none: int) -> NDArray[np.int64]:
    """int64[scope, before, after] least cycles between two commands; `none` where there is no constraint."""
    table = np.full((len(SCOPES), len(COMMANDS), len(COMMANDS)), none, np.int64)
    for row in constraints(part):
        cell = SCOPES.index(row.scope), COMMANDS.index(row.before), COMMANDS.index(row.after)
        table[cell] = max(table[cell], row.cycles)
    return table


def windows(part: BankMemoryConfig) -> NDArray[np.int64]:
    """int64[2, 2] how many ACTs of a rank may come in how many cycles: tFAW and, where the part has it, t32AW."""
    t = part.timing
    return np.array([[4, t.tFAW], [32, t.t32AW] if t.t32AW is not None else [0, 0]], np.int64)
