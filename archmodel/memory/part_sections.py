"""Sections of a DRAM part but its timings: organisation, address mapping, controller, currents, links."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.config import FrozenModel
from archmodel.memory.part_timing import ABSENT, Absent

FIELDS = ("ro", "ra", "bg", "ba", "ch", "co")  # row, rank, bank group, bank, channel, column
Count = Annotated[int, Field(ge=1, le=2**20)]
Depth = Annotated[int, Field(ge=1, le=64)]  # as the kernel has room for, kernels/dram_state.py
MOST_CHANNELS, MOST_RANKS, MOST_BANKS, MOST_BANKS_OF_CHANNEL = 64, 128, 2048, 64  # likewise
MOST_BYTES = 2**50
Milliamperes = Annotated[float, Field(ge=0, le=1e6)]


class Organization(FrozenModel):
    """What there is of everything; powers of two, for an address is cut into bits.

    channels, ranks : of a stack, of a channel; bank_groups : of a rank
    columns : of a row, each as wide as the bus
    device_bits : of the bus, those that one device of a rank drives
    burst_length, burst_cycles : transfers of an access, and cycles that the data bus takes for them
    command_buses : 1, or 2 where column commands (RD, WR) have a bus apart from all others (HBM)
    """

    stacks: Count
    channels: Count
    ranks: Count
    bank_groups: Count
    banks_per_group: Count
    rows: Count
    columns: Count
    bus_bits: Annotated[int, Field(ge=8, le=4096)]
    device_bits: Annotated[int, Field(ge=1, le=4096)]
    burst_length: Annotated[int, Field(ge=1, le=256)]
    burst_cycles: Annotated[int, Field(ge=1, le=256)]
    command_buses: Annotated[int, Field(ge=1, le=2)]

    @model_validator(mode="after")
    def _cut_into_bits(self) -> "Organization":
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{name} = {value}: must be a power of two")
        if self.columns < self.burst_length:
            raise ValueError(f"columns = {self.columns}: must be at least burst_length = {self.burst_length}")
        if self.device_bits > self.bus_bits:
            raise ValueError(f"device_bits = {self.device_bits}: must be at most bus_bits = {self.bus_bits}")
        for what, number, most in (
            ("channels in all", self.num_channels, MOST_CHANNELS),
            ("ranks in all", self.num_channels * self.ranks, MOST_RANKS),
            ("banks of a channel", self.ranks * self.banks, MOST_BANKS_OF_CHANNEL),
            ("banks in all", self.num_channels * self.ranks * self.banks, MOST_BANKS),
        ):
            if number > most:
                raise ValueError(f"{number} {what}: at most {most}")
        if self.capacity_bytes > MOST_BYTES:
            raise ValueError(f"{self.capacity_bytes} bytes in all; at most {MOST_BYTES}")
        return self

    @property
    def num_channels(self) -> int:
        """Of all stacks."""
        return self.stacks * self.channels

    @property
    def banks(self) -> int:
        """Of a rank."""
        return self.bank_groups * self.banks_per_group

    @property
    def devices(self) -> int:
        """Of a rank."""
        return self.bus_bits // self.device_bits

    @property
    def access_bytes(self) -> int:
        """What one column command moves."""
        return self.bus_bits * self.burst_length // 8

    @property
    def row_accesses(self) -> int:
        """Column commands that a row has data for."""
        return self.columns // self.burst_length

    @property
    def capacity_bytes(self) -> int:
        """Of the whole memory."""
        rows = self.num_channels * self.ranks * self.banks * self.rows
        return rows * self.row_accesses * self.access_bytes

    @property
    def field_counts(self) -> dict[str, int]:
        """How many values each field of an address has."""
        counts = (self.rows, self.ranks, self.bank_groups, self.banks_per_group, self.num_channels, self.row_accesses)
        return dict(zip(FIELDS, counts, strict=True))


class Mapping(FrozenModel):
    """Where the fields of an address stand: the letters of FIELDS, most significant first."""

    order: str

    @model_validator(mode="after")
    def _every_field_once(self) -> "Mapping":
        if sorted(self.fields) != sorted(FIELDS):
            raise ValueError(f"order must have each of {', '.join(FIELDS)} once, most significant first")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """Most significant first."""
        return tuple(self.order[at : at + 2] for at in range(0, len(self.order), 2))


class Controller(FrozenModel):
    """What decides about the next command.

    page_policy : "open" rows stay open until another is wanted; "closed" ones are precharged with their column command
    bank_queue_depth : entries of a bank's list, which are chosen from
    queue, buffer_depth : requests of a channel wait for their bank's list in "separate" buffers of reads and writes, of
    this depth each, or in one "unified" buffer
    row_hit_cap : column commands to a row after which an older entry for another row may close it
    write_high : waiting writes that make a channel move them to the lists before any more reads
    write_idle : as soon as the lists are empty, more waiting writes than this do so too
    feed : "in_order" requests wait for the one before; "per_channel", only for the one before of their channel
    refresh : of all banks of a rank at once, bank by bank, or none
    """

    page_policy: Literal["open", "closed"]
    queue: Literal["separate", "unified"]
    bank_queue_depth: Depth
    buffer_depth: Depth
    row_hit_cap: Annotated[Depth | None, Absent] = None
    write_high: Annotated[Depth | None, Absent] = None
    write_idle: Annotated[int | None, Field(ge=0, le=1024), Absent] = None
    feed: Literal["in_order", "per_channel"]
    refresh: Literal["all_bank", "per_bank", "none"]

    @model_validator(mode="after")
    def _only_what_is_used(self) -> "Controller":
        self._used("row_hit_cap", "page_policy", "open")
        for name in ("write_high", "write_idle"):
            self._used(name, "queue", "separate")
        if self.write_high is not None and self.write_idle is not None:
            if self.write_high > self.buffer_depth:
                raise ValueError(f"write_high = {self.write_high}: must be at most buffer_depth = {self.buffer_depth}")
            if self.write_idle >= self.write_high:
                raise ValueError(f"write_idle = {self.write_idle}: must be less than write_high = {self.write_high}")
        return self

    def _used(self, name: str, choice: str, user: str) -> None:
        """ValueError where a key is missing that `choice` uses, or stands where it does not."""
        chosen, value = getattr(self, choice), getattr(self, name)
        if chosen == user and value is None:
            raise ValueError(f"{name} is missing: {choice} = {chosen!r} needs it")
        if chosen != user and value is not None:
            raise ValueError(f"{name} = {value}: {choice} = {chosen!r} does not use it; {ABSENT!r} takes it away")


class Energy(FrozenModel):
    """Supply and currents of a device, JEDEC's names, from which the energy of commands follows.

    IDD0 : ACT and PRE every tRC; IDD2N, IDD3N : standby, all banks precharged and one open; IDD4R, IDD4W : reads and
    writes without a gap; IDD5AB : refreshes without a gap
    charged_ns_per_cycle : nanoseconds that V x mA x cycles is multiplied with to make pJ; physically the clock's period
    io_pj_per_bit : of the pins or links, not in the currents
    """

    supply_v: Annotated[float, Field(gt=0, le=10)]
    IDD0_mA: Milliamperes
    IDD2N_mA: Milliamperes
    IDD3N_mA: Milliamperes
    IDD4R_mA: Milliamperes
    IDD4W_mA: Milliamperes
    IDD5AB_mA: Milliamperes
    charged_ns_per_cycle: Annotated[float, Field(gt=0, le=1000)]
    io_pj_per_bit: Annotated[float, Field(ge=0, le=1e6)]

    @model_validator(mode="after")
    def _work_takes_more_than_standby(self) -> "Energy":
        if self.IDD2N_mA > self.IDD3N_mA:
            raise ValueError(f"IDD2N_mA = {self.IDD2N_mA}: must be at most IDD3N_mA = {self.IDD3N_mA}")
        for name in ("IDD4R_mA", "IDD4W_mA", "IDD5AB_mA"):
            if getattr(self, name) < self.IDD3N_mA:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least IDD3N_mA = {self.IDD3N_mA}")
        return self


class Links(FrozenModel):
    """Packet links between a host and the vaults, which are the channels; both directions run at once.

    lanes : of a link in a direction; crossbar_s : once through the crossbar
    max_outstanding : requests of a link that are on the way
    header_and_tail_bytes : of every packet; a read request and a write response have nothing else
    """

    num_links: Annotated[int, Field(ge=1, le=16)]
    lanes: Annotated[int, Field(ge=1, le=256)]
    lane_bits_per_s: Annotated[float, Field(ge=1e6, le=1e13)]
    flit_bytes: Annotated[int, Field(ge=1, le=4096)]
    header_and_tail_bytes: Annotated[int, Field(ge=1, le=4096)]
    crossbar_s: Annotated[float, Field(ge=0, le=1e-3)]
    max_outstanding: Annotated[int, Field(ge=1, le=1024)]

    @property
    def bytes_per_s(self) -> float:
        """Of all links in one direction, packets whole."""
        return self.num_links * self.lanes * self.lane_bits_per_s / 8

    @property
    def flit_s(self) -> float:
        """Time of a flit on a link."""
        return 8 * self.flit_bytes / (self.lanes * self.lane_bits_per_s)

    def flits(self, payload_bytes: int) -> int:
        """Of a packet."""
        return -(-(self.header_and_tail_bytes + payload_bytes) // self.flit_bytes)
