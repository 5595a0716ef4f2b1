"""`archmodel memory-trace`: what a memory does with a trace of requests."""

from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.common import console, json_option, print_json, print_wrapped, progress_bar

if TYPE_CHECKING:
    from archmodel.memory.trace_result import TraceResult
    from archmodel.simulation.load_sweep import LoadSweep

INDENT = 13 * " "
FILES = ("completions", "commands")


@click.command("memory-trace")
@click.argument("trace", required=False, metavar="[TRACE]")
@click.option("--memory", required=True, metavar="NAME", help="A name of `archmodel list memory`, or a TOML file.")
@click.option("--pattern", metavar="NAME", help="In the place of a trace: sequential, random, strided or streams.")
@click.option("--requests", type=int, metavar="N", help="Of a pattern; 100,000 by default.")
@click.option(
    "--request-bytes",
    type=int,
    metavar="N",
    help="Of every request, cut into accesses of the memory; by default each is one access.",
)
@click.option("--write-share", type=float, metavar="X", help="Requests of a pattern that write; 0 by default.")
@click.option("--stride-bytes", type=int, metavar="N", help="Between requests of strided; 4096 by default.")
@click.option("--streams", type=int, metavar="N", help="How many streams take turns; 3 by default.")
@click.option("--chunk-bytes", type=int, metavar="N", help="Of a stream's turn; about 4096 by default.")
@click.option(
    "--alignment-bytes",
    type=int,
    metavar="N",
    help="What streams begin at multiples of, and all addresses of random are; by default a request.",
)
@click.option(
    "--rate",
    type=float,
    metavar="X",
    help="Bytes that a pattern offers, as a share of the peak; all at once by default.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="S", help="Of random, and of who writes.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="memory.KEY=VALUE",
    help="Change the memory, as memory.timing.tFAW=16; repeatable.",
)
@click.option("--completions", metavar="FILE.csv", help="Write the cycle of each request's last data.")
@click.option("--commands", metavar="FILE.csv", help="Write every command with its cycle, bank and row.")
@click.option(
    "--sweep",
    metavar="FILE.png|.svg|.pdf",
    help="Draw latency and bandwidth of patterns (all, or a,b of --pattern) at 10 to 100 % of the peak.",
)
@json_option
def memory_trace(trace: str | None, sweep: str | None, as_json: bool, **arguments: Any) -> None:
    """Send a trace of requests to a memory and show bandwidth, latency, commands and energy.

    TRACE has lines of cycle,address,R|W, cycles of the memory's clock; named .bin it has pairs of words of 64 bits.
    Either may be packed by gzip.

    \b
    archmodel memory-trace --memory hbm2 trace.csv --completions done.csv
    archmodel memory-trace --memory ddr4_2400 --pattern random --write-share 0.3 --rate 0.5
    archmodel memory-trace --memory hbm2 --pattern streams --alignment-bytes 1048576
    archmodel memory-trace --memory hbm2 --sweep curves.png
    """
    if sweep is not None:
        run_sweep(trace, sweep, as_json, arguments)
        return
    from archmodel.simulation.memory_trace import trace_memory

    with progress_bar(quiet=as_json, beginning="requests"):
        result = trace_memory(trace=trace, **arguments)
    if as_json:
        print_json(result.as_dict())
    else:
        print_result(result)


def run_sweep(trace: str | None, path: str, as_json: bool, arguments: dict[str, Any]) -> None:
    """Run patterns at all loads, draw them, and print them."""
    from pathlib import Path

    from archmodel.memory.patterns import PATTERNS
    from archmodel.simulation.load_sweep import sweep_memory
    from archmodel.views.figure import check_figure, save_figure
    from archmodel.views.load_curves import LoadCurves

    given = {"TRACE": trace, **{f"--{name}": arguments.pop(name) for name in ("rate", *FILES)}}
    for name, value in given.items():
        if value is not None:
            raise click.UsageError(f"{name}: a sweep is of patterns at loads of its own", click.get_current_context())
    check_figure(path)
    names = arguments.pop("pattern")
    patterns = PATTERNS if names is None else names.split(",")
    with progress_bar(quiet=as_json) as advance:
        found = sweep_memory(patterns=patterns, progress=advance, **arguments)
    save_figure(LoadCurves(found), Path(path))
    if as_json:
        print_json(found.as_dict())
    else:
        print_sweep(found)


def print_result(result: "TraceResult") -> None:
    """Print what became of a trace, a line a quantity."""
    from archmodel.cli.tables import joules, seconds, si

    found = result.as_dict()
    of = (result.trace or "trace") if result.pattern is None else result.pattern["name"]
    delivered, peak = si(found["bandwidth_bytes_per_s"], "B/s"), si(found["peak_bytes_per_s"], "B/s")
    latency, hits = found["read_latency_ns"], found["row_hit_rate"]
    sent = ", ".join(f"{name} {count:,}" for name, count in found["commands"].items() if count)
    forwarded = found["forwarded_reads"]
    used, io = joules(found["energy_pj"]), joules(found["io_energy_pj"])
    values = {
        "requests": f"{found['reads']:,} reads, {found['writes']:,} writes of {found['request_bytes']:,} bytes",
        "bandwidth": f"{delivered}, {100 * found['peak_share']:.1f} % of the peak of {peak}",
        "time": f"{seconds(found['time_s'])}, {found['cycles']:,} cycles of {found['cycle_ns']:g} ns",
        "read latency": "no reads" if latency["mean"] is None else f"{spread(latency)}; from entry to last data",
        "wait": f"{spread(found['wait_ns'])}; from arrival to entry",
        "row hits": "no rows" if hits is None else f"{100 * hits:.1f} % of RD and WR found their row open",
        "commands": sent + (f"; {forwarded:,} reads answered from waiting writes" if forwarded else ""),
        "energy": f"{used}, {found['pj_per_bit']:.3g} pJ/bit; I/O apart, {io}",
        "data buses": f"in %: {', '.join(f'{cause} {100 * share:.1f}' for cause, share in found['bus'].items())}",
    }
    out = console()
    print_wrapped(out, f"{of} on {found['memory']}, {found['memory_name']}")
    for name, value in values.items():
        print_wrapped(out, f"{name:12} {value}", INDENT)


def spread(nanoseconds: dict[str, float]) -> str:
    """`mean 85 ns, p50 80 ns, p95 120 ns, p99 150 ns`."""
    from archmodel.cli.tables import seconds

    return ", ".join(f"{name} {seconds(value * 1e-9)}" for name, value in nanoseconds.items())


def digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_sweep(found: "LoadSweep") -> None:
    """Print a line a pattern and load."""
    from archmodel.cli.compare import print_columns

    rows = [
        [
            row["pattern"],
            f"{100 * row['offered_share']:.0f}",
            f"{100 * row['peak_share']:.1f}",
            digits(row["bandwidth_bytes_per_s"] / 1e9),
            *(digits(row["read_latency_ns"][key]) for key in ("mean", "p50", "p99")),
            digits(row["wait_ns"]["mean"]),
        ]
        for row in found.as_dict()["sweep"]
    ]
    out = console()
    peak = f"{found.peak_bytes_per_s / 1e9:.4g} GB/s"
    print_wrapped(out, f"{found.memory}, {found.memory_name}: a peak of {peak}")
    headings = ["pattern", "offered", "delivered", "GB/s", "mean", "p50", "p99", "wait"]
    print_columns(out, headings, rows, num_texts=1, flexible=(), num_bold=0)
    meanings = (
        "offered, delivered: % of the peak",
        "mean, p50, p99: ns of reads from entry to last data",
        "wait: mean ns",
    )
    print_wrapped(out, f"{'columns':12} {'; '.join(meanings)} from arrival to entry", INDENT)
