"""A link as `show` prints it: what there is, and the rates that follow from it."""

import math
from typing import TYPE_CHECKING, Any

import click

from archmodel import config
from archmodel.cli.common import print_json
from archmodel.cli.configurations import document

if TYPE_CHECKING:
    from archmodel.interconnect.sharing import LinkConfig

SIZES_BYTES = tuple(4**power * 1024 for power in range(8))  # 1 KiB to 16 MiB
MARGIN = 16  # columns of the headings
CELL = 10


def show_link(name: str, as_json: bool) -> None:
    """Print a link on one screen: limits, rates by payload where packets are modelled, and by size of a transfer."""
    from archmodel.interconnect.link import load_link

    link = load_link(name)
    if as_json:
        print_json({**document("links", name), "derived": derived(link)})
        return
    own, _, source = config.written("links", name)
    click.echo(f"# {source}\n\n{link.name}\n")
    for heading, text in summary(link).items():
        click.echo(f"{heading:<{MARGIN}}{text}")
    for title, rows in tables(link).items():
        click.echo(f"\n{title:<{MARGIN}}{'upload':>{CELL}}{'download':>{CELL}}{'both, each':>{CELL + 2}}   GB/s")
        for heading, rates in rows.items():
            cells = "".join(f"{giga(rate):>{width}}" for rate, width in zip(rates, (CELL, CELL, CELL + 2), strict=True))
            click.echo(f"{heading:<{MARGIN}}{cells}".rstrip())
    click.echo("\nupload: host to device; sizes with set-up; both: at once, the slower direction")
    files = [str(config.locate("links", one)[0]) for one in (name, own.get("base")) if one]
    click.echo(f"The source of every value stands in its line: {' and '.join(files)}")


def derived(link: "LinkConfig") -> dict[str, Any]:
    """What follows from a link in bytes per second, None where nothing limits it."""
    keys = ("upload_bytes_per_s", "download_bytes_per_s", "both_bytes_per_s")
    found = {
        title: {heading: dict(zip(keys, map(finite, rates), strict=True)) for heading, rates in rows.items()}
        for title, rows in {"by_max_payload_bytes": by_payload(link), "by_transfer_bytes": by_size(link)}.items()
    }
    raw = getattr(link, "raw_bytes_per_s", None)
    return {"raw_bytes_per_s": raw, "limits_bytes_per_s": link.limits, "setup_s": link.setup_s} | found


def summary(link: "LinkConfig") -> dict[str, str]:
    """A line for each aspect."""
    from archmodel.cli.tables import seconds
    from archmodel.interconnect.link import MeasuredLinkConfig, NvlinkConfig
    from archmodel.interconnect.pcie import PcieConfig

    lines = {}
    if isinstance(link, PcieConfig):
        lanes, packets, reads = link.lanes, link.packets, link.reads
        lines["raw"] = (
            f"{giga(link.raw_bytes_per_s)} GB/s each way: {lanes.lanes} x {lanes.transfers_per_s / 1e9:g} GT/s,"
            f" {lanes.data_bits} of {lanes.coded_bits} bits"
        )
        kept = "" if link.acknowledgements is None else "acknowledgements, credits, "
        lines["packets"] = f"{giga(link.packet_bytes_per_s)} GB/s: {link.overhead:.1%} go to {kept}ordered sets"
        lines["bytes"] = (
            f"write {packets.request_bytes} + payload, read request {packets.request_bytes},"
            f" completion {packets.completion_bytes} + payload"
        )
        lines["payload"] = (
            f"{packets.max_payload_bytes} B at most, requests of {packets.max_read_request_bytes} B,"
            f" boundary {packets.read_completion_boundary_bytes} B"
        )
        lines["reads"] = f"{reads.tags} tags, {seconds(reads.latency_s)} each"
    elif isinstance(link, NvlinkConfig):
        lines["raw"] = f"{giga(link.raw_bytes_per_s)} GB/s each way: {link.links} x {giga(link.link_bytes_per_s)}"
        lines["efficiency"] = f"{link.efficiency_calibration:.1%}, measured: {giga(link.rate_bytes_per_s)} GB/s"
    elif isinstance(link, MeasuredLinkConfig):
        lines["measured"] = f"{giga(link.rate_bytes_per_s)} GB/s each way"
    lines["set-up"] = f"{seconds(link.setup_s)} a transfer"
    limits = ", ".join(f"{name} {giga(rate)}" for name, rate in link.limits.items())
    return lines | {"limits": f"{limits} GB/s" if limits else "none"}


def tables(link: "LinkConfig") -> dict[str, dict[str, tuple[float, float, float]]]:
    """What is printed below the summary, by the heading of the first column."""
    payloads = {f"MPS {size}": rates for size, rates in by_payload(link).items()}
    sizes = {f"{size // 1024:,} KiB": rates for size, rates in by_size(link).items()}
    return ({"payload": payloads} if payloads else {}) | {"transfer": sizes}


def by_payload(link: "LinkConfig") -> dict[int, tuple[float, float, float]]:
    """Rates of long transfers at every maximum payload at which the link has any."""
    from archmodel.interconnect.pcie import PACKET_SIZES, PcieConfig

    if not isinstance(link, PcieConfig):
        return {}
    others = {size: link.with_payload(size) for size in PACKET_SIZES}
    rows = {}
    for size, other in others.items():
        if other.overhead < 1:
            alone = other.bytes_per_s("upload"), other.bytes_per_s("download")
            rows[size] = (*alone, min(other.both_bytes_per_s().values()))
    return rows


def by_size(link: "LinkConfig") -> dict[int, tuple[float, float, float]]:
    """Rates of single transfers with their set-up."""
    from archmodel.interconnect.sharing import DIRECTIONS, Transfer

    rows = {}
    for size in SIZES_BYTES:
        alone = [link.seconds(direction, size) for direction in DIRECTIONS]
        both = max(link.end_s([Transfer(direction, size) for direction in DIRECTIONS]))
        upload, download, each = (size / time if time else math.inf for time in (*alone, both))
        rows[size] = upload, download, each
    return rows


def finite(rate: float) -> float | None:
    """A rate as JSON has it."""
    return rate if math.isfinite(rate) else None


def giga(bytes_per_s: float) -> str:
    """GB/s in four digits."""
    if not math.isfinite(bytes_per_s):
        return "no limit"
    return f"{bytes_per_s / 1e9:.4g}" if bytes_per_s < 1e12 else f"{bytes_per_s / 1e9:,.0f}"
