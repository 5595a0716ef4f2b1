"""A memory of DRAM banks: a part as data, and what follows from it without running it; configs/memory/ has the values.

Every key is applied. Optional keys stand where a part or a choice of its file uses them, and are refused where nothing
does: t32AW and tPPD are constraints of the parts that have them; tRFCB and tREFIB come together, may stand beside any
choice of refresh, for they are the part's, and "per_bank" needs them; row_hit_cap is of open pages, write_high and
write_idle are of separate queues; [links] is of parts whose channels are vaults behind packet links. With one bank
group all banks share it, so that _S and _L are one constraint and must be equal. A file that has a base, or --set,
takes an optional key away with "none".
"""

import math
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.config import FrozenModel
from archmodel.memory.layout import Layout, Sampling
from archmodel.memory.part_sections import FIELDS, Controller, Energy, Links, Mapping, Organization
from archmodel.memory.part_timing import Timing

NS_PER_S = 1e9
CYCLES_WITHOUT = 2048  # that are enough for a steady rate where nothing is refreshed


class BankMemoryConfig(FrozenModel):
    """A DRAM part, its controller and, where it has them, its links."""

    model: Literal["banks"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    organization: Organization
    timing: Timing
    mapping: Mapping
    controller: Controller
    energy: Energy
    layout: Layout
    sampling: Sampling
    links: Links | None = None

    @model_validator(mode="after")
    def _sections_agree(self) -> "BankMemoryConfig":
        timing, organization = self.timing, self.organization
        if organization.bank_groups == 1:
            for name in ("tRRD", "tCCD", "tWTR"):
                short, long = getattr(timing, f"{name}_S"), getattr(timing, f"{name}_L")
                if short != long:
                    raise ValueError(f"timing.{name}_L = {long}: must be {name}_S = {short} with one bank group")
        if self.controller.refresh == "per_bank" and timing.tRFCB is None:
            raise ValueError("controller.refresh = 'per_bank': needs timing.tRFCB and timing.tREFIB")
        self._refresh_leaves_time()
        return self

    def _refresh_leaves_time(self) -> None:
        """ValueError where a bank may be refreshed again before it has served anything: nothing would ever end."""
        timing, organization = self.timing, self.organization
        wait = max(timing.tRCDRD, timing.tRCDWR) + timing.CWL + organization.burst_cycles + timing.tWR
        serve = timing.tRC + timing.tRP + wait
        if self.controller.refresh == "all_bank" and timing.tREFI < timing.tRFC + serve:
            raise ValueError(
                f"timing.tREFI = {timing.tREFI}: must be at least {timing.tRFC + serve}, tRFC and an access"
            )
        if self.controller.refresh == "per_bank" and timing.tREFIB is not None and timing.tRFCB is not None:
            banks = organization.ranks * organization.banks
            if banks * timing.tREFIB < timing.tRFCB + serve:
                raise ValueError(
                    f"timing.tREFIB = {timing.tREFIB}: times {banks} banks must be at least {timing.tRFCB + serve},"
                    " tRFCB and an access"
                )

    # Sizes and rates

    @property
    def num_channels(self) -> int:
        """Of all stacks."""
        return self.organization.num_channels

    @property
    def access_bytes(self) -> int:
        """What one column command moves."""
        return self.organization.access_bytes

    @property
    def capacity_bytes(self) -> int:
        """Of the whole memory."""
        return self.organization.capacity_bytes

    @property
    def clock_hz(self) -> float:
        """Of the cycles that timings are in."""
        return NS_PER_S / self.timing.tCK_ns

    @property
    def peak_bytes_per_s(self) -> float:
        """Of all data buses, without a gap; links apart."""
        return self.num_channels * self.access_bytes / self.organization.burst_cycles * self.clock_hz

    @property
    def peak_read_bytes_per_s(self) -> float:
        """Of the data buses, or of the data in the response packets where links are narrower."""
        if self.links is None:
            return self.peak_bytes_per_s
        packet_bytes = self.links.flits(self.access_bytes) * self.links.flit_bytes
        return min(self.peak_bytes_per_s, self.links.bytes_per_s * self.access_bytes / packet_bytes)

    @property
    def refresh_cycles(self) -> int:
        """After how many cycles the refreshes of the memory repeat; some time where there are none."""
        timing, organization = self.timing, self.organization
        if self.controller.refresh == "per_bank" and timing.tREFIB is not None:
            return timing.tREFIB * organization.ranks * organization.banks
        return timing.tREFI if self.controller.refresh == "all_bank" else CYCLES_WITHOUT

    @property
    def refresh_pause_cycles(self) -> int:
        """For which a refresh keeps a bank from its next access: it is closed before and opened behind."""
        timing = self.timing
        known = {"all_bank": timing.tRFC, "per_bank": timing.tRFCB, "none": None}[self.controller.refresh]
        return 0 if known is None else timing.tRP + known + timing.tRCDRD

    @property
    def sampled_bytes(self) -> int:
        """So many bytes of a layer are run one by one, and of each mix of streams of a longer one."""
        seconds = self.sampling.refresh_intervals * self.refresh_cycles / self.clock_hz
        return math.ceil(seconds * self.peak_bytes_per_s)

    # Addresses

    @cached_property
    def field_widths(self) -> dict[str, int]:
        """Bits of each field of FIELDS in the number of an access."""
        counts = self.organization.field_counts
        return {field: counts[field].bit_length() - 1 for field in FIELDS}

    @cached_property
    def field_positions(self) -> dict[str, int]:
        """Lowest bit of each field of FIELDS in the number of an access, address / access_bytes."""
        positions, at = {}, 0
        for field in reversed(self.mapping.fields):
            positions[field] = at
            at += self.field_widths[field]
        return positions

    # Unloaded reads

    @cached_property
    def read_cycles(self) -> dict[str, int]:
        """Cycles from a read at an idle memory to its last data, links apart, by what its bank has open.

        Closed pages are never open when nothing is waiting.
        """
        timing = self.timing
        row_hit = timing.CL + self.organization.burst_cycles
        closed_bank = timing.tRCDRD + row_hit
        if self.controller.page_policy == "closed":
            return {"closed_bank": closed_bank}
        return {"row_hit": row_hit, "closed_bank": closed_bank, "row_conflict": timing.tRP + closed_bank}

    @property
    def link_read_ns(self) -> float:
        """What links add to an unloaded read: its request, its response, twice the crossbar."""
        if self.links is None:
            return 0.0
        flits = self.links.flits(0) + self.links.flits(self.access_bytes)
        return NS_PER_S * (flits * self.links.flit_s + 2 * self.links.crossbar_s)

    @property
    def read_ns(self) -> dict[str, float]:
        """`read_cycles` in nanoseconds, links included."""
        return {state: cycles * self.timing.tCK_ns + self.link_read_ns for state, cycles in self.read_cycles.items()}

    # Energy, of all devices of a rank, I/O apart. As DRAMsim3 does it: what a command takes above standby, whose own
    # energy is charged for every cycle.

    @property
    def act_pj(self) -> float:
        """Of an ACT with its PRE."""
        one, timing = self.energy, self.timing
        standby = one.IDD3N_mA * timing.tRAS + one.IDD2N_mA * timing.tRP
        return self._pj(one.IDD0_mA * timing.tRC - standby)

    @property
    def read_pj(self) -> float:
        """Of a RD."""
        return self._pj((self.energy.IDD4R_mA - self.energy.IDD3N_mA) * self.organization.burst_cycles)

    @property
    def write_pj(self) -> float:
        """Of a WR."""
        return self._pj((self.energy.IDD4W_mA - self.energy.IDD3N_mA) * self.organization.burst_cycles)

    @property
    def refresh_pj(self) -> float:
        """Of a REF."""
        return self._pj((self.energy.IDD5AB_mA - self.energy.IDD3N_mA) * self.timing.tRFC)

    @property
    def refresh_bank_pj(self) -> float:
        """Of a REFB: a bank's share of a REF. The one IDD5PB among the parts, GDDR5's, is less than its standby."""
        return self.refresh_pj / self.organization.banks

    @property
    def active_standby_pj_per_cycle(self) -> float:
        """Of a rank with a bank open."""
        return self._pj(self.energy.IDD3N_mA)

    @property
    def precharge_standby_pj_per_cycle(self) -> float:
        """Of a rank with all banks closed."""
        return self._pj(self.energy.IDD2N_mA)

    @property
    def sequential_pj_per_bit(self) -> float:
        """The least that a bit of a stream of reads takes: every row opened once, the data bus never idle."""
        accesses = 1 if self.controller.page_policy == "closed" else self.organization.row_accesses
        idle_pj = self.organization.ranks * self.active_standby_pj_per_cycle + self._refresh_pj_per_cycle
        access_pj = self.read_pj + self.act_pj / accesses + idle_pj * self.organization.burst_cycles
        return access_pj / (8 * self.access_bytes)

    @property
    def _refresh_pj_per_cycle(self) -> float:
        """Of the refreshes of a channel."""
        if self.controller.refresh == "per_bank" and self.timing.tREFIB is not None:
            return self.refresh_bank_pj / self.timing.tREFIB
        if self.controller.refresh == "all_bank":
            return self.organization.ranks * self.refresh_pj / self.timing.tREFI
        return 0.0

    def _pj(self, current_cycles: float) -> float:
        """Energy of a rank for mA x cycles of a device."""
        return self.energy.supply_v * current_cycles * self.organization.devices * self.energy.charged_ns_per_cycle
