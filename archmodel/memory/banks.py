"""What a memory of banks does with requests: when each is served, by which commands, at what energy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from archmodel.memory.constraints import limits, windows
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.part_sections import Links

Int64 = NDArray[np.int64]

BUS = ("data", "turnaround", "refresh", "latency", "idle")
WHERE = ("channel", "rank", "bank_group", "bank")
COMMAND = np.dtype([("cycle", "i8"), *((name, "i8") for name in WHERE), ("command", "U4"), ("row", "i8")])
MOST_TICKS = 1000  # of a cycle, in which times on links are counted
LOGGED = 1 << 16  # commands that are logged before they are looked at


@dataclass(frozen=True)
class Served:
    """What became of n requests; cycles are those of the memory's clock.

    entered : Int64[n]   cycle in which each request found a place, or left the host for a link
    completed : Int64[n]   cycle after the last data of each, which a link has brought back
    counts : commands by name, and `forwarded`: reads that found their data among the waiting writes
    row_hits : column commands to a row that was open already
    cycles : up to the last data of all
    energy_pj : of the commands and of standby in these cycles, I/O apart
    bus : cycles of all data buses by cause: data, turnaround, refresh, latency of rows and banks, idle (nothing to do)
    commands : COMMAND[...] in order of time; row -1 where a command names none, group and bank -1 where it is of a rank
    """

    entered: Int64
    completed: Int64
    counts: Mapping[str, int]
    row_hits: int
    cycles: int
    energy_pj: float
    bus: Mapping[str, int]
    commands: np.ndarray | None


def serve(
    part: BankMemoryConfig, cycles: Int64, addresses: Int64, writes: NDArray[np.bool_], commands: bool = False
) -> Served:
    """Run requests through an idle memory, to their end.

    Parameters
    ----------
    cycles : Int64[n]   arrival of each request, in the order of the feed; not before the one before it
    addresses : Int64[n]   first byte; a request is one access of the part
    writes : bool[n]
    commands : whether all commands are kept
    """
    from archmodel.kernels import dram_state
    from archmodel.kernels.dram_feed import serve as feed
    from archmodel.kernels.dram_state import Log, Trace
    from archmodel.kernels.packet_links import serve_over_links

    numbers, num = as_numbers(part), cycles.size
    state = dram_state.fresh_state(numbers)
    host = None if part.links is None else as_host(part, part.links)
    log = Log(np.zeros((LOGGED if commands else 0, 4), np.int64), np.zeros(1, np.int64))
    logged: list[Int64] = []
    entered, completed = np.full(num, -1, np.int64), np.full(num, -1, np.int64)

    def run(begin: int, closing: int) -> None:
        while True:
            trace = Trace(begin, cycles[begin:], addresses[begin:], writes[begin:], entered[begin:], 0, completed)
            if host is None:
                done = feed(numbers, state, trace, log, closing)
            else:
                done = serve_over_links(numbers, host, state, trace, writes, log, closing)
            logged.append(log.commands[: log.used[0]].copy())
            log.used[0] = 0
            if done == num - begin + int(numbers.channels):
                return
            begin = min(begin + done, num)

    run(0, 1)
    end = int(completed.max(initial=0))
    run(num, end + 1)  # the refreshes of channels that were done before
    channel, rank = state.channel[: numbers.channels], state.rank[: numbers.channels * numbers.ranks]
    counts = dict(zip(dram_state.COMMANDS, channel["commands"].sum(axis=0).tolist(), strict=True))
    return Served(
        entered=entered,
        completed=completed,
        counts={**counts, "forwarded": int(channel["forwarded"].sum())},
        row_hits=int(channel["hits"].sum()),
        cycles=end,
        energy_pj=energy_pj(part, counts, active_cycles(rank, end), end),
        bus=bus_cycles(channel["bus"].sum(axis=0), end * int(numbers.channels)),
        commands=as_table(part, np.concatenate(logged)) if commands else None,
    )


def as_numbers(part: BankMemoryConfig) -> np.record:
    """A part as the kernel reads it."""
    from archmodel.kernels import dram_state

    organization, timing, controller = part.organization, part.timing, part.controller
    positions, widths = part.field_positions, part.field_widths
    by_bank = controller.refresh == "per_bank"
    refresh_cycles = {"all_bank": timing.tREFI, "per_bank": timing.tREFIB, "none": 0}[controller.refresh]
    values = {
        "channels": part.num_channels,
        "ranks": organization.ranks,
        "bits_of_banks": widths["ba"],
        "bits_of_groups": widths["bg"],
        "access_bits": part.access_bytes.bit_length() - 1,
        "access_mask": part.capacity_bytes // part.access_bytes - 1,
        "row_at": positions["ro"],
        "rank_at": positions["ra"],
        "group_at": positions["bg"],
        "bank_at": positions["ba"],
        "channel_at": positions["ch"],
        "row_mask": organization.rows - 1,
        "limits": limits(part, dram_state.ALWAYS),
        "windows": windows(part),
        "read_cycles": timing.CL,
        "write_cycles": timing.CWL,
        "burst_cycles": organization.burst_cycles,
        "two_buses": organization.command_buses == 2,
        "unified": controller.queue == "unified",
        "closes": controller.page_policy == "closed",
        "listed": controller.bank_queue_depth,
        "buffer": controller.buffer_depth,
        "hits": dram_state.NEVER if controller.row_hit_cap is None else controller.row_hit_cap,
        "drain_from": dram_state.NEVER if controller.write_high is None else controller.write_high,
        "drain_idle": dram_state.NEVER if controller.write_idle is None else controller.write_idle,
        "refresh_cycles": refresh_cycles,
        "by_bank": by_bank,
        "in_order": controller.feed == "in_order",
    }
    numbers = np.zeros(1, dram_state.PART).view(np.recarray)[0]
    for name in values:
        numbers[name] = values[name]
    return numbers


def as_host(part: BankMemoryConfig, links: Links) -> np.record:
    """The links of a part as the kernel reads them, with nothing on them."""
    from archmodel.kernels.packet_links import HOST

    flit_cycles = Fraction(8 * links.flit_bytes) / links.lanes / Fraction(links.lane_bits_per_s)
    flit_cycles = (flit_cycles * 10**9 / Fraction(str(part.timing.tCK_ns))).limit_denominator(MOST_TICKS)
    crossbar_cycles = Fraction(str(links.crossbar_s)) * 10**9 / Fraction(str(part.timing.tCK_ns))
    host = np.zeros(1, HOST).view(np.recarray)[0]
    host.num_links, host.ticks = links.num_links, flit_cycles.denominator
    host.flit_ticks, host.crossbar_ticks = flit_cycles.numerator, math.ceil(crossbar_cycles * flit_cycles.denominator)
    host.request_flits[:] = links.flits(0), links.flits(part.access_bytes)
    host.response_flits[:] = links.flits(part.access_bytes), links.flits(0)
    host.max_outstanding = links.max_outstanding
    return host


def active_cycles(ranks: np.ndarray, end: int) -> int:
    """Cycles before `end` in which a rank had a bank open, summed over ranks."""
    still = (ranks["open"] > 0) * np.maximum(end - ranks["open_since"], 0)
    after = (ranks["open"] == 0) * np.maximum(ranks["open_until"] - end, 0)  # pages that close themselves late
    return int(ranks["active_cycles"].sum() + still.sum() - after.sum())


def energy_pj(part: BankMemoryConfig, counts: Mapping[str, int], active: int, cycles: int) -> float:
    """Of commands and of standby, I/O apart; `active` cycles with a bank open, summed over ranks."""
    of_command = {"ACT": part.act_pj, "RD": part.read_pj, "WR": part.write_pj}
    of_command |= {"REF": part.refresh_pj, "REFB": part.refresh_bank_pj}
    idle = cycles * part.num_channels * part.organization.ranks - active
    standby = active * part.active_standby_pj_per_cycle + idle * part.precharge_standby_pj_per_cycle
    return standby + sum(counts[name] * energy for name, energy in of_command.items())


def bus_cycles(counted: Int64, total: int) -> dict[str, int]:
    """Cycles of all data buses by cause; what comes after the last data of a channel is idle."""
    cycles = dict(zip(BUS, counted.tolist(), strict=True))
    cycles["idle"] += total - sum(cycles.values())
    return cycles


def as_table(part: BankMemoryConfig, logged: Int64) -> np.ndarray:
    """Commands with what they are called and where they went, in order of time."""
    from archmodel.kernels import dram_state

    organization = part.organization
    table = np.zeros(len(logged), COMMAND)
    cycle, command, index, row = logged.T
    of_rank = (command == dram_state.REF) | (command == dram_state.PREA)
    rank = np.where(of_rank, index, index // organization.banks)
    table["cycle"], table["row"] = cycle, row
    table["channel"], table["rank"] = rank // organization.ranks, rank % organization.ranks
    in_rank = index % organization.banks
    table["bank_group"] = np.where(of_rank, -1, in_rank // organization.banks_per_group)
    table["bank"] = np.where(of_rank, -1, in_rank % organization.banks_per_group)
    table["command"] = np.array(dram_state.COMMANDS)[command]
    return table[np.argsort(cycle, kind="stable")]
