"""The table of several machines on one network."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from archmodel.cli.common import console, left_out_line, num_fitting, print_json, print_wrapped, progress_bar
from archmodel.errors import ConfigError, ResultError, show

if TYPE_CHECKING:
    from archmodel.accelerators.run_result import RunResult

ALL = "all"
# Options that a single machine takes, and what to do instead.
OF_ONE = {
    "baseline": "name it in --arch beside the others",
    "baseline_assignments": "there is no baseline; a TOML file with 'base' is a changed machine",
}
EVERY = "every: from batch to batch over the link, double-buffered"
MOST_NAMES = 3  # layers that are spelt out
Row = Mapping[str, Any]


def names(arch: str) -> list[str]:
    """The machines of `--arch a,b,c`."""
    return list(dict.fromkeys(name.strip() for name in arch.split(",") if name.strip()))


def run(arch: str, output: str | None, as_json: bool, arguments: Mapping[str, Any]) -> None:
    """Run a network on several machines, print them beside each other and write a file for each into `output`."""
    from archmodel import results, simulation
    from archmodel.accelerators.registry import source_name

    for option, instead in OF_ONE.items():
        if arguments.get(option):
            spelt = {"baseline_assignments": "set-baseline"}.get(option, option)
            raise click.UsageError(f"--{spelt}: takes one machine; {instead}", click.get_current_context())
    options = {key: value for key, value in arguments.items() if key not in (*OF_ONE, "net")}
    chosen = simulation.all_machines(arguments["precision"]) if arch == ALL else names(arch)
    if not chosen:
        raise click.UsageError(f"--arch {show(arch)}: names no machine", click.get_current_context())
    files = {} if output is None else result_files(output, chosen)
    with progress_bar(quiet=as_json) as advance:
        found = simulation.simulate_machines(chosen, arguments["net"], progress=advance, **options)
    runs = sorted(found, key=lambda one: (bool(one.unsupported), one.time_s))
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
        for one in runs:
            results.save(one, files[one.arch])
    rows = [row(one) for one in runs]
    if as_json:
        print_json({"net": runs[0].net, "fidelity": runs[0].fidelity, "batch": runs[0].batch, "machines": rows})
        return
    print_machines(runs, rows, [name for name in map(source_name, chosen) if name not in {one.arch for one in runs}])


def result_files(output: str, chosen: Sequence[str]) -> dict[str, Path]:
    """The file of each machine in the folder `output`; an error unless all can be expected to be written."""
    from archmodel import results
    from archmodel.accelerators.registry import source_name
    from archmodel.views.comparison import check_folder

    if output.endswith(results.SUFFIXES):
        raise ResultError(f"-o {show(output)}: several machines write one file each; give a folder")
    check_folder(output)
    files: dict[str, Path] = {}
    for name in chosen:
        stem = source_name(name)
        if stem in files:
            raise ConfigError(f"--arch {show(name)}: another machine is written as {stem}.h5 too; rename its file")
        files[stem] = Path(output) / f"{stem}.h5"
        if Path(output).exists():
            results.check_writable(files[stem])
    return files


def row(run: "RunResult") -> dict[str, Any]:
    """What machines are compared by; `largest_loss` is the cause that takes most of the slots that are not busy."""
    from archmodel.accelerators import comparison
    from archmodel.cli.compare import flat

    losses = {cause: slots for cause, slots in run.stack.items() if slots and cause != "busy"}
    preloaded = [value for key, value in flat(run.config["accelerator"]).items() if key.endswith("preloaded")]
    return {
        **comparison.rates(run),
        **({} if run.host_transfers is None else run.host_transfers.totals),
        "largest_loss": max(losses, key=lambda cause: losses[cause], default=None),
        "weights_preloaded": True in preloaded,
    }


class Column(NamedTuple):
    """A column of the table: its cell of a row, and what the line below the table says of it."""

    heading: str
    cell: Callable[[Row], str]
    meaning: str = ""


def columns(linked: bool = False) -> list[Column]:
    """All columns, those that a narrow terminal does without on the right; `linked`: there is a link to a host."""
    from archmodel.cli.tables import joules, seconds, si

    return [
        Column("node", lambda row: row["technology"]),
        Column("layers", lambda row: f"{row['num_layers']}/{row['num_layers'] + len(row['unsupported'])}"),
        Column("time", lambda row: seconds(row["time_s"])),
        *([Column("every", lambda row: seconds(row["link_interval_s"]), EVERY)] if linked else []),
        Column("energy", lambda row: joules(row["energy_pj"]), "energy: DRAM included"),
        Column("limit", limit, "limit: what takes most slots, and after busy the next"),
        Column("dense", lambda row: si(row["dense_ops_per_s"]), "dense: OP/s of all MACs, two operations each"),
        Column("/W", lambda row: si(row["dense_ops_per_j"]), "/W: dense OP/s a watt"),
        Column("mm2", lambda row: f"{row['area_mm2']:.3g}"),
        Column("/mm2", lambda row: si(row["dense_ops_per_s_per_mm2"]), "/mm2: dense OP/s a mm2"),
        Column("effectual", lambda row: si(row["effectual_ops_per_s"]), "effectual: OP/s of MACs of two non-zeros"),
        Column("cycles", lambda row: f"{row['cycles']:,}"),
    ]


def limit(row: Row) -> str:
    """`memory`, or `busy, frag` where effectual work takes most slots: what keeps it from all of them."""
    from archmodel.cli.tables import HEADINGS

    causes = [row["limit"], row["largest_loss"]] if row["limit"] == "busy" and row["largest_loss"] else [row["limit"]]
    return ", ".join(HEADINGS.get(cause, cause) for cause in causes)


def print_machines(runs: Sequence["RunResult"], rows: Sequence[Row], without: Sequence[str] = ()) -> None:
    """One line for each machine, then what to know when they are compared; `without`: machines that ran nothing."""
    from archmodel.cli.compare import print_columns
    from archmodel.cli.tables import captured_lines, word_lines

    out, first, shown = console(), runs[0], columns(runs[0].host_transfers is not None)
    ran_fewer = fewer_layers(rows)
    headings = ["machine", *(column.heading for column in shown)]
    lines = [
        [row["arch"] + ("*" if row["arch"] in ran_fewer else ""), *(column.cell(row) for column in shown)]
        for row in rows
    ]
    count = num_fitting(out, headings, lines)
    placed = "" if first.fidelity == "statistical" else f", seed {first.seed}"
    memory = first.config["memory"]["name"]
    machines = f"{len(rows)} machine{'s' if len(rows) > 1 else ''}"
    machines += f", {first.config['precision']}" if "precision" in first.config else ""
    print_wrapped(out, f"{first.net} on {machines}, {first.fidelity}, batch {first.batch}{placed}, {memory}")
    print_columns(out, headings[:count], [line[:count] for line in lines], num_texts=2, flexible=())
    for line in (*notes(rows, ran_fewer), *word_lines(runs), *captured_lines(first)):
        print_wrapped(out, line)
    if without:
        print_wrapped(out, f"none of the layers runs on {', '.join(without)}")
    print_wrapped(out, "; ".join(column.meaning for column in shown[: count - 1] if column.meaning))
    if count < len(headings):
        print_wrapped(out, left_out_line(headings[count:]))


def fewer_layers(rows: Sequence[Row]) -> set[str]:
    """Machines that left out a layer that another one ran."""
    by_none = set.intersection(*(set(row["unsupported"]) for row in rows))
    return {row["arch"] for row in rows if set(row["unsupported"]) != by_none}


def notes(rows: Sequence[Row], ran_fewer: set[str]) -> list[str]:
    """What makes sums incomparable, whose weights are not loaded, and that nodes differ."""
    lines = []
    gaps: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if row["unsupported"]:
            gaps.setdefault(tuple(row["unsupported"]), []).append(row["arch"])
    for missing, machines in gaps.items():
        left = ", ".join(missing[:MOST_NAMES]) + (", ..." if len(missing) > MOST_NAMES else "")
        mark, end = ("* ", ": not comparable") if machines[0] in ran_fewer else ("", "")
        lines.append(f"{mark}not on {', '.join(machines)}: {left}; sums of the other layers{end}")
    preloaded = [row["arch"] for row in rows if row["weights_preloaded"]]
    if preloaded:
        lines.append(f"weights on chip before the run: {', '.join(preloaded)}")
    if len({row["technology"] for row in rows}) > 1:
        lines.append("node: each machine's own; --technology NODE puts all on one, at their own clocks")
    return lines
