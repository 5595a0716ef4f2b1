"""Tables of training runs: those of one file, and of several beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, NamedTuple

from archmodel.cli.common import console, print_json, print_wrapped
from archmodel.cli.compare import flat, print_columns, print_differences
from archmodel.cli.tables import seconds
from archmodel.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.training.training_run import TrainingResult, TrainingRun

INDENT = 13 * " "
BINARY = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
ASKED = ("net", "batch", "policy", "mode", "device", "link", "dma", "capacity_bytes")
PAIRED = ("net", "batch", "policy", "mode")  # runs of two files that are of the same are compared
MEASURED = ("iteration_s", "oracle_s", "slowdown", "peak_bytes", "average_bytes", "offloaded_bytes", "prefetched_bytes")
HEADINGS = ["net", "batch", "policy", "time", "perf", "stall", "peak", "average", "offload", "fits"]
COLUMNS = "perf: oracle's time, stall: time that compute waits, both in % of the time"


class NamedRun(NamedTuple):
    """A run of a file; `name` is the file's letter, and its place where the file has several."""

    name: str
    file: str
    run: "TrainingRun"


def binary(num_bytes: float) -> str:
    """Bytes with a binary prefix, for instance 11.3 GiB."""
    for unit, size in BINARY:
        if num_bytes >= size:
            return f"{num_bytes / size:.4g} {unit}"
    return f"{num_bytes:.0f} B"


def show_training(result: "TrainingResult", path: str, as_json: bool) -> None:
    """Print the runs of a file, what they waited for and what made them."""
    if as_json:
        print_json({"kind": "training", "file": path, "wall_s": result.wall_s, **result.as_dict()})
        return
    from archmodel.cli.show import made_by

    out = console()
    print_training(out, result.runs)
    if result.command:
        print_wrapped(out, f"{'command':12} {one_line(result.command)}", INDENT)
    out.print(made_by(result.provenance), soft_wrap=True)


def print_training(out: "Console", runs: Sequence["TrainingRun"]) -> None:
    """A line for each run, then what they ran on, why some do not fit, and what compute waited for."""
    print_columns(out, HEADINGS, [cells(run) for run in runs], num_texts=1, flexible=(0, 2))
    for device in dict.fromkeys((run.device, run.link, run.dma) for run in runs):
        print_wrapped(out, f"{'device':12} {', '.join(filter(None, device))} DMA", INDENT)
    for run in runs:
        if run.why_not:
            print_wrapped(out, f"{'does not fit':12} {run.title}: {one_line(run.why_not)}", INDENT)
        if run.timeline.stalls_s:
            waits = ", ".join(f"{cause} {seconds(length)}" for cause, length in run.timeline.stalls_s.items())
            print_wrapped(out, f"{'stalls':12} {run.title}: {waits}", INDENT)
    print_wrapped(out, f"{'columns':12} {COLUMNS}", INDENT)


def cells(run: "TrainingRun") -> list[str]:
    """A line of a run."""
    whole, timeline = run.iteration_s, run.timeline
    return [
        *(run.net, f"{run.batch:,}", run.policy_title, seconds(whole)),
        *(f"{100 * part / whole:.1f}" if whole else "" for part in (run.oracle_s, sum(timeline.stalls_s.values()))),
        *(binary(timeline.peak_bytes), binary(timeline.average_bytes)),
        *(binary(run.offloaded_bytes) if run.offloaded_bytes else "", "yes" if run.fits else "no"),
    ]


def compare_training(files: Sequence[str], results: Sequence["TrainingResult"], as_json: bool) -> None:
    """Print every run beside the run of the first file that was asked the same, else beside its first run."""
    runs = list(named(files, results))
    first = [one for one in runs if one.name.startswith("a")]
    pairs = [(reference(first, one), one) for one in runs if one is not first[0]] if first else []
    found = {one.name: differences(base.run, one.run) for base, one in pairs}
    if as_json:
        described = [{"name": one.name, "file": one.file, **one.run.totals()} for one in runs]
        compared = [{**comparison(base, one), "differences": found[one.name]} for base, one in pairs]
        print_json({"kind": "training", "runs": described, "comparisons": compared})
        return
    out = console()
    gains = {one.name: f"{gain(base.run, one.run)} {base.name}" for base, one in pairs}
    rows = [[one.name, one_line(one.file), *cells(one.run), gains.get(one.name, "")] for one in runs]
    print_columns(out, ["", "file", *HEADINGS, "speed-up"], rows, num_texts=3, flexible=(1, 2, 4))
    print_wrapped(out, f"{'columns':12} {COLUMNS}; speed-up: over the time of the run behind it", INDENT)
    for base, one in pairs:
        print_differences(out, one.name, found[one.name], base.name)


def named(files: Sequence[str], results: Sequence["TrainingResult"]) -> Iterator[NamedRun]:
    """The runs of all files with their names."""
    for letter, file, result in zip(ascii_lowercase, files, results, strict=False):
        for index, run in enumerate(result.runs, 1):
            yield NamedRun(letter if len(result.runs) == 1 else f"{letter}{index}", file, run)


def reference(first: Sequence[NamedRun], one: NamedRun) -> NamedRun:
    """The run of the first file that a run is compared with."""
    for base in first:
        if base is not one and all(getattr(base.run, name) == getattr(one.run, name) for name in PAIRED):
            return base
    return first[0]


def comparison(base: NamedRun, one: NamedRun) -> dict[str, Any]:
    """Two runs as plain data: quantities of the first and of the second."""
    first, second = base.run.totals(), one.run.totals()
    causes = first["stalls"] | second["stalls"]
    return {
        "first": base.name,
        "second": one.name,
        "speedup": first["iteration_s"] / second["iteration_s"] if second["iteration_s"] else None,
        **{name: (first[name], second[name]) for name in MEASURED},
        "stalls": {cause: tuple(run["stalls"].get(cause, 0.0) for run in (first, second)) for cause in causes},
    }


def gain(base: "TrainingRun", one: "TrainingRun") -> str:
    """How much faster the second run is."""
    return f"{base.iteration_s / one.iteration_s:,.3f}x" if one.iteration_s else ""


def differences(base: "TrainingRun", one: "TrainingRun") -> Mapping[str, tuple[object, object]]:
    """What two runs were asked that is not the same, by dotted key."""
    a, b = ({name: getattr(run, name) for name in ASKED} | flat(run.config) for run in (base, one))
    return {key: (a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}
