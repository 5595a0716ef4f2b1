"""A DRAM part as `show` prints it: what there is, and what follows from it without a trace."""

import shutil
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from archmodel import config
from archmodel.cli.common import WIDE, print_json
from archmodel.cli.configurations import document, show_file

if TYPE_CHECKING:
    from archmodel.memory.part import BankMemoryConfig

MARGIN = 16  # columns of the headings
TIMING_COLUMNS = 20  # of the longest timing with its gap


def show_memory(name: str, as_json: bool) -> None:
    """Print a memory: a part of banks on one screen, another as it is written."""
    from archmodel.memory.dram import load_memory
    from archmodel.memory.part import BankMemoryConfig

    memory = load_memory(name)
    if not isinstance(memory, BankMemoryConfig):
        show_file("memory", name, as_json)
    elif as_json:
        print_json({**document("memory", name), "derived": derived(memory)})
    else:
        own, _, source = config.written("memory", name)
        click.echo(f"# {source}\n\n{memory.name}\n")
        width = min(shutil.get_terminal_size().columns, WIDE)
        for heading, text in summary(memory).items():
            first, *others = wrap(text, max(width - MARGIN, MARGIN))
            click.echo(f"{heading:<{MARGIN}}{first}")
            for line in others:
                click.echo(" " * MARGIN + line)
        click.echo("")
        for line in timing_lines(memory, max(width // TIMING_COLUMNS, 1)):
            click.echo(line)
        files = [str(config.locate("memory", one)[0]) for one in (name, own.get("base")) if one]
        click.echo(f"\nThe source of every value stands in its line: {' and '.join(files)}")


def derived(memory: "BankMemoryConfig") -> dict[str, Any]:
    """What follows from a part, under the names of its properties."""
    names = ("num_channels", "access_bytes", "capacity_bytes", "peak_bytes_per_s", "peak_read_bytes_per_s")
    energies = ("act_pj", "read_pj", "write_pj", "refresh_pj", "refresh_bank_pj", "active_standby_pj_per_cycle")
    others = ("precharge_standby_pj_per_cycle", "sequential_pj_per_bit", "read_cycles", "read_ns")
    fields = ("field_widths", "field_positions")
    return {name: getattr(memory, name) for name in (*names, *energies, *others, *fields)}


def summary(memory: "BankMemoryConfig") -> dict[str, str]:
    """A line for each aspect but the timings."""
    organization, controller = memory.organization, memory.controller
    counts = {
        "stack": organization.stacks,
        "channel": organization.channels,
        "rank": organization.ranks,
        "bank group": organization.bank_groups,
        "bank": organization.banks_per_group,
    }
    banks = " x ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items())
    row_bytes = organization.row_accesses * memory.access_bytes
    reads = [f"{state.replace('_', ' ')} {memory.read_ns[state]:.1f} ns" for state in memory.read_cycles]
    buses = f"{memory.num_channels} data bus{'es' if memory.num_channels > 1 else ''}"
    lines = {
        "organisation": f"{banks}, {organization.rows} rows of {row_bytes} B, accesses of {memory.access_bytes} B",
        "capacity": f"{memory.capacity_bytes / 2**30:g} GiB",
        "peak": f"{memory.peak_bytes_per_s / 1e9:.1f} GB/s on {buses}",
        "address": f"{memory.mapping.order}: {bits(memory)} of address / {memory.access_bytes}",
        "controller": f"{controller.page_policy} pages, {controller.queue} queue of {controller.bank_queue_depth} a"
        f" bank and {controller.buffer_depth} a channel behind, fed {controller.feed}, refresh {controller.refresh}",
        "unloaded read": ", ".join(reads),
        "energy": f"ACT {memory.act_pj:.1f}, RD {memory.read_pj:.1f}, WR {memory.write_pj:.1f},"
        f" REF {memory.refresh_pj:.1f} pJ; a rank {memory.active_standby_pj_per_cycle:.1f} pJ a cycle,"
        f" {memory.precharge_standby_pj_per_cycle:.1f} with all banks closed{charged(memory)}",
        "sequential": f"at least {memory.sequential_pj_per_bit:.2f} pJ/bit read; I/O"
        f" {memory.energy.io_pj_per_bit:g} pJ/bit more",
    }
    if memory.links is not None:
        one = memory.links
        lines["links"] = (
            f"{one.num_links} of {one.lanes} lanes at {one.lane_bits_per_s / 1e9:g} Gb/s each way: at most"
            f" {memory.peak_read_bytes_per_s / 1e9:.1f} GB/s of read data; {one.max_outstanding} requests each"
        )
    return lines | {"timings": f"in cycles (in ns) of {memory.timing.tCK_ns:g} ns"}


def charged(memory: "BankMemoryConfig") -> str:
    """What to know of the energies where a cycle is not charged as long as it takes."""
    ns = memory.energy.charged_ns_per_cycle
    return "" if ns == memory.timing.tCK_ns else f"; a cycle is charged as {ns:g} ns, see charged_ns_per_cycle"


def bits(memory: "BankMemoryConfig") -> str:
    """`ro 12-26, ch 5-7`: the bits of every field that has any, highest first."""
    spelt = []
    for field in memory.mapping.fields:
        low, width = memory.field_positions[field], memory.field_widths[field]
        if width:
            spelt.append(f"{field} {low + width - 1}-{low}" if width > 1 else f"{field} {low}")
    return ", ".join(spelt) or "no bits"


def timing_lines(memory: "BankMemoryConfig", in_a_row: int) -> list[str]:
    """The timings that the part has, `in_a_row` beside each other."""
    cycles = memory.timing.model_dump(exclude={"tCK_ns"}, exclude_none=True)
    cells = [f"{name} {count} ({count * memory.timing.tCK_ns:.4g})" for name, count in cycles.items()]
    rows = [cells[at : at + in_a_row] for at in range(0, len(cells), in_a_row)]
    return ["".join(cell.ljust(TIMING_COLUMNS) for cell in row).rstrip() for row in rows]
