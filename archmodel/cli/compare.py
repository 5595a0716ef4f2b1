"""`archmodel compare`: result files beside each other, layer by layer."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.common import WIDE, console, gap, json_option, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.accelerators.run_result import RunResult

LEAST_TEXT = 8  # columns that are left of a text that is cut
MOST_DIFFERENCES = 8  # lines of what two runs were asked differently
NAMED_PARTS = ("memory", "technology", "zeros", "device", "link", "dma")  # of a run's configuration
INPUTS = ("kind", "macs_dense", "macs_effectual", "weight_density", "input_density", "output_density")
ASKED = ("arch", "net", "fidelity", "seed", "batch", "clock_hz")


@click.command()
@click.argument("files", nargs=-1, metavar="A.h5 B.h5 [...]")
@json_option
def compare(files: tuple[str, ...], *, as_json: bool) -> None:
    """Compare result files with the first of them: runs of sim layer by layer, those of train by their totals."""
    if not 2 <= len(files) <= len(ascii_lowercase):
        allowed = f"give 2 to {len(ascii_lowercase)} result files"
        raise click.UsageError(f"{len(files)} files: {allowed}", click.get_current_context())
    from archmodel import results
    from archmodel.accelerators.run_result import RunResult
    from archmodel.errors import ResultError, one_line

    loaded = [results.load(file) for file in files]
    runs = [run for run in loaded if isinstance(run, RunResult)]
    trained = [run for run in loaded if not isinstance(run, RunResult)]
    if runs and trained:
        one, other = (one_line(files[loaded.index(run)]) for run in (runs[0], trained[0]))
        raise ResultError(f"{one} is of sim, {other} of train: give files of one verb")
    if trained:
        from archmodel.cli.training_tables import compare_training

        compare_training(files, trained, as_json)
        return
    pairs = [comparison(runs[0], run) for run in runs[1:]]
    if as_json:
        described = [{"file": file, **asked(run), "totals": totals(run)} for file, run in zip(files, runs, strict=True)]
        named = [{"first": files[0], "second": file, **pair} for file, pair in zip(files[1:], pairs, strict=True)]
        print_json({"runs": described, "comparisons": named})
        return
    out = console()
    print_runs(out, files, runs)
    for letter, pair in zip(ascii_lowercase[1:], pairs, strict=False):
        print_pair(out, letter, pair)


def asked(run: "RunResult") -> dict[str, Any]:
    """What identifies a run."""
    return {name: getattr(run, name) for name in ASKED}


def totals(run: "RunResult", names: set[str] | None = None) -> dict[str, Any]:
    """Totals of a run, or of some of its layers."""
    from archmodel.accelerators.summary import totals as of_layers

    return of_layers([layer for layer in run.layers if names is None or layer.name in names], run.clock_hz)


def comparison(first: "RunResult", second: "RunResult") -> dict[str, Any]:
    """Two runs: what they were asked that differs, the rows of their layers, sums over the layers of both."""
    from archmodel.accelerators.comparison import compare
    from archmodel.accelerators.summary import speedup

    rows = compare(first, second)
    common = {row["name"] for row in rows if None not in row["cycles"]}
    sums = [totals(run, common) for run in (first, second)]
    return {
        "differences": differences(first, second),
        "layers": rows,
        "totals": {
            "num_layers": len(common),
            **{key: tuple(one.get(key) for one in sums) for key in sums[0] | sums[1] if key != "stalls"},
            "speedup": speedup(*(one["time_s"] for one in sums)),
        },
    }


def differences(first: "RunResult", second: "RunResult") -> dict[str, tuple[object, object]]:
    """What two runs were asked that is not the same, by dotted key; machines of one model key by key."""
    a, b = (asked(run) | flat(run.config) | {"archmodel": run.provenance.get("archmodel")} for run in (first, second))
    same_model = a.get("accelerator.model") == b.get("accelerator.model")
    keys = [key for key in dict.fromkeys([*a, *b]) if same_model or not key.startswith("accelerator.")]
    return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)}


def flat(section: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The values of nested sections by dotted key; the clock is `clock_hz` of the run already."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{key}.")
        elif above + key != "accelerator.clock_hz":
            found[above + key] = value
    return found


def print_runs(out: "Console", files: Sequence[str], runs: Sequence["RunResult"]) -> None:
    """One line for each file, with the totals of all its layers."""
    from archmodel.cli.tables import joules, percent, seconds, si
    from archmodel.errors import one_line

    rows = []
    for letter, file, run in zip(ascii_lowercase, files, runs, strict=False):
        sums = totals(run)
        cells = [f"{sums['cycles']:,}", seconds(sums["time_s"]), percent(sums["multiplier_utilization"], 1.0)]
        spent = "" if sums["energy_pj"] is None else joules(sums["energy_pj"])
        rows.append([letter, one_line(file), f"{run.net} on {run.machine}", *cells, si(sums["dram_bytes"], "B"), spent])
    headings = ["", "file", "run", "cycles", "time", "util", "DRAM", "energy"]
    print_columns(out, headings, rows, num_texts=3, flexible=(1, 2))


def print_pair(out: "Console", letter: str, pair: Mapping[str, Any]) -> None:
    """The layers of run a and of run `letter`, and the energy of those that both have."""
    from archmodel.cli.tables import joules

    out.print()
    headings = ["layer"]
    headings += [f"{quantity} {run}" for quantity in ("cycles", "util", "DRAM") for run in ("a", letter)]
    headings.insert(3, "speed-up")
    rows = [pair_cells(row) for row in pair["layers"]]
    rows.append(pair_cells({"name": "total of both", **pair["totals"]}))
    flexible: tuple[int, ...] = (0,)
    if out.width >= WIDE and any(differing_inputs(layer) for layer in pair["layers"]):
        flexible = (0, len(headings))
        headings.append("inputs that differ")
        for row, text in zip(rows, [*map(differing_inputs, pair["layers"]), ""], strict=True):
            row.append(text)
    print_columns(out, headings, rows, flexible=flexible, num_bold=1)
    same = sum(not row["differs"] and None not in row["cycles"] for row in pair["layers"])
    only = [sum(row["cycles"][1 - side] is None for row in pair["layers"]) for side in (0, 1)]
    counts = f"layers in both: {pair['totals']['num_layers']}, with equal results: {same}"
    missing = "".join(f", only in {run}: {count}" for count, run in zip(only, ("a", letter), strict=True) if count)
    out.print(f"{counts}{missing}", soft_wrap=True)
    first, second = pair["totals"]["energy_pj"]
    if first and second:
        spent = f"{joules(first)} in a, {joules(second)} in {letter}: {first / second:,.3f}x"
        out.print(f"energy of the layers in both: {spent}", soft_wrap=True)
    out.print(f"speed-up: time in a over time in {letter}; util: effectual MACs in % of slots")
    print_differences(out, letter, pair["differences"])


def print_differences(
    out: "Console", letter: str, found: Mapping[str, tuple[object, object]], first: str = "a"
) -> None:
    """What two runs were asked differently; a part with another name is told by it, the rest by `--json`."""
    from archmodel.errors import show

    renamed = [part for part in NAMED_PARTS if f"{part}.name" in found]
    parts = {f"{part}." for part in renamed}
    told = [key for key in found if not key.startswith(tuple(parts)) or key.endswith(".name")][:MOST_DIFFERENCES]
    for key in told:
        a, b = found[key]
        out.print(f"{key}: {show(a)} in {first}, {show(b)} in {letter}", soft_wrap=True)
    if len(found) > len(told):
        out.print(f"... and {len(found) - len(told)} more keys: see --json", soft_wrap=True)


def pair_cells(row: Mapping[str, Any]) -> list[str]:
    """A line of two runs; blank where a run does not have the layer."""
    from archmodel.cli.tables import percent, si

    cycles = ["" if value is None else f"{value:,}" for value in row["cycles"]]
    utilization = ["" if value is None else percent(value, 1.0) for value in row["multiplier_utilization"]]
    dram = ["" if value is None else si(value, "B") for value in row["dram_bytes"]]
    speedup = "" if row["speedup"] is None else f"{row['speedup']:,.3f}x"
    return [row["name"], *cycles, speedup, *utilization, *dram]


def differing_inputs(row: Mapping[str, Any]) -> str:
    """What the machines were given that differs; that results differ is seen in their columns."""
    return ", ".join(key for key in row["differs"] if key in INPUTS)


def print_columns(
    out: "Console",
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    num_texts: int = 1,
    flexible: tuple[int, ...] = (0,),
    num_bold: int = 0,
) -> None:
    """Print a table whose first columns are texts and whose others are numbers, right-aligned and never cut.

    Texts of the `flexible` columns lose their beginning where the terminal is narrow, the longest first. The last
    `num_bold` rows are bold.
    """
    from rich.table import Table

    lines = [list(row) for row in rows]
    widths = [max(len(line[index]) for line in (headings, *lines)) for index in range(len(headings))]
    gaps = gap(out) * (len(widths) - 1)
    while sum(widths) + gaps > out.width:
        longest = max(flexible, key=lambda index: widths[index], default=None)
        if longest is None or widths[longest] <= LEAST_TEXT:
            out.width = sum(widths) + gaps  # a line that a terminal wraps is better than a number without its end
        else:
            widths[longest] -= 1
    table = Table(box=None, pad_edge=False, padding=(0, gap(out), 0, 0))
    for index, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        is_text = index < num_texts or (index in flexible and index > 0)
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True, min_width=width)
    for index, line in enumerate(lines):
        for column in flexible:
            text, width = line[column], widths[column]
            line[column] = text if len(text) <= width else "…" + text[1 - width :]
        table.add_row(*line, style="bold" if index >= len(lines) - num_bold else None)
    out.print(table)
