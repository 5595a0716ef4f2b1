"""Timings of a DRAM part under their JEDEC names, in cycles of its clock."""

# ruff: noqa: N815 - JEDEC writes tRCDRD

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from archmodel.config import FrozenModel

ABSENT = "none"  # what takes a key of a base or a part away, for a file or --set cannot delete
Absent = BeforeValidator(lambda value: None if value == ABSENT else value)
Cycles = Annotated[int, Field(ge=1, le=2**20)]
OptionalCycles = Annotated[Cycles | None, Absent]
OrZero = Annotated[int, Field(ge=0, le=2**20)]  # cycles of a constraint that may be nothing


class Timing(FrozenModel):
    """Cycles from a command to the next that it holds up; _S: of any two bank groups, _L: of the same.

    tCK_ns : the clock's period
    CL, CWL : column command to first data, read and write; tRCDRD, tRCDWR : ACT to RD, to WR; tRP : PRE to ACT
    tRAS : ACT to PRE; tRC : ACT to ACT of a bank; tRRD : of two banks; tFAW, t32AW : in which at most 4, 32 ACTs are
    tCCD : column commands; tWR, tRTP : last written data, RD to PRE; tWTR : last written data to RD
    tRTRS : gap on the data bus where its driver changes; tPPD : PRE to PRE
    tRFC, tREFI : a refresh of a rank, and how often; tRFCB, tREFIB : of a bank, and how often one of a channel's is due
    """

    tCK_ns: Annotated[float, Field(ge=1e-3, le=1e3)]
    CL: Cycles
    CWL: Cycles
    tRCDRD: Cycles
    tRCDWR: Cycles
    tRP: Cycles
    tRAS: Cycles
    tRC: Cycles
    tRRD_S: Cycles
    tRRD_L: Cycles
    tCCD_S: Cycles
    tCCD_L: Cycles
    tFAW: Cycles
    t32AW: OptionalCycles = None
    tPPD: OptionalCycles = None
    tWR: Cycles
    tWTR_S: OrZero
    tWTR_L: OrZero
    tRTP: Cycles
    tRTRS: OrZero
    tRFC: Cycles
    tREFI: Cycles
    tRFCB: OptionalCycles = None
    tREFIB: OptionalCycles = None

    @model_validator(mode="after")
    def _consistent(self) -> "Timing":
        if (self.tRFCB is None) != (self.tREFIB is None):
            here, absent = ("tREFIB", "tRFCB") if self.tRFCB is None else ("tRFCB", "tREFIB")
            raise ValueError(f"{absent} is missing: {here} needs it")
        # A cycle less than the sum: each is rounded up to cycles from nanoseconds.
        self._at_least("tRC", self.tRAS + self.tRP - 1, "tRAS + tRP - 1")
        for name in ("tRRD", "tCCD", "tWTR"):
            self._at_least(f"{name}_L", getattr(self, f"{name}_S"), f"{name}_S")
        self._at_least("t32AW", 8 * self.tFAW, "8 * tFAW")  # a shorter one would hold nothing up
        self._at_least("tREFI", self.tRFC + 1, "tRFC + 1")
        self._at_least("tREFIB", (self.tRFCB or 0) + 1, "tRFCB + 1")
        return self

    def _at_least(self, name: str, least: int, spelt: str) -> None:
        value = getattr(self, name)
        if value is not None and value < least:
            raise ValueError(f"{name} = {value}: must be at least {spelt} = {least}")
