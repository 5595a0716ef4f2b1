"""Tables of training runs: those of one file, and of several beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, NamedTuple

from archmodel.cli.common import console, left_out_line, num_fitting, print_json, print_wrapped
from archmodel.cli.compare import flat, print_columns, print_differences
from archmodel.cli.tables import seconds
from archmodel.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.training.training_run import TrainingResult, TrainingRun

INDENT = 13 * " "
BINARY = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
ASKED = ("net", "batch", "policy", "mode", "device", "link", "dma", "capacity_bytes")
KINDS = {
    "maps": ("feature_map",),
    "their gradients": ("gradient_map",),
    "weights and optimizer": ("weight", "master_weight", "optimizer_state"),
    "weight gradients": ("weight_gradient",),
    "saved": ("saved",),
}
PAIRED = ("net", "batch", "policy", "mode")  # runs of two files that are of the same are compared, the most alike first
MEASURED = ("iteration_s", "oracle_s", "slowdown", "peak_bytes", "average_bytes", "offloaded_bytes", "prefetched_bytes")
HEADINGS = ["net", "batch", "policy", "fits", "peak", "avg", "time", "slowdown", "offload", "stall"]
TEXTS = ("net", "batch", "policy", "mode", "device", "link", "dma")  # what runs of one table may differ in
SMALLEST_SHARE = 0.05  # in %, of a stall that is shown
FEW_RUNS = 4  # of which all stalls are told
NO_ROOM = "what does not fit has the times of a memory without end"


class NamedRun(NamedTuple):
    """A run of a file; `name` is the file's letter, and its place where the file has several."""

    name: str
    file: str
    run: "TrainingRun"


def unit_of(num_bytes: float) -> tuple[str, int]:
    """The binary unit that shows a number of bytes as 1 or more."""
    return next(((unit, size) for unit, size in BINARY if num_bytes >= size), ("B", 1))


def binary(num_bytes: float) -> str:
    """Bytes with a binary prefix, for instance 11.3 GiB."""
    unit, size = unit_of(num_bytes)
    return f"{num_bytes / size:.4g} {unit}" if size > 1 else f"{num_bytes:.0f} B"


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
    """A line for each run, why some do not fit, then what the allocators make of the network if it is one."""
    differing = [name for name in TEXTS if len({getattr(run, name) for run in runs}) > 1]
    shown = [name for name in TEXTS if name in {"policy", *differing}]
    print_wrapped(out, title(runs, shown))
    most_bytes = max((max(run.timeline.peak_bytes, run.offloaded_bytes) for run in runs), default=0)
    headings = [name for name in shown if name != "mode"] + HEADINGS[3:]
    with_mode = "mode" in shown
    rows = [
        [text(run, name, with_mode) for name in shown if name != "mode"] + cells(run, most_bytes)[3:] for run in runs
    ]
    count = num_fitting(out, headings, rows)
    texts = tuple(place for place in range(count) if headings[place] in TEXTS and headings[place] != "batch")
    print_columns(out, headings[:count], [row[:count] for row in rows], flexible=texts)
    names = [", ".join(text(run, name, with_mode) for name in shown if name != "mode") for run in runs]
    reasons: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        if run.why_not:
            reasons.setdefault(one_line(run.why_not), []).append(one_line(name))
    for reason, without in reasons.items():
        print_wrapped(out, f"{'no room':12} {'; '.join(without)}: {reason}", INDENT)
    no_room = f"; {NO_ROOM}" if any(run.why_not for run in runs) else ""
    print_wrapped(out, f"{'columns':12} {columns_line(most_bytes)}{no_room}", INDENT)
    if count < len(headings):
        print_wrapped(out, left_out_line(headings[count:]))
    for run, name in zip(runs, names, strict=True) if len(runs) <= FEW_RUNS else ():
        print_one(out, run, f"{one_line(name)}: " if len(runs) > 1 else "")
    if runs and len({(run.net, run.batch) for run in runs}) == 1:
        print_memory(out, runs[0])


def images_of(batch: int) -> str:
    """The word behind a number of them."""
    return "image" if batch == 1 else "images"


def title(runs: Sequence["TrainingRun"], shown: Sequence[str]) -> str:
    """What all runs of a table have in common; what they differ in is in its columns."""
    if not runs:
        return "no runs"
    run = runs[0]
    choices = run.config.get("choices", {})
    parts = {
        "net": run.net,
        "batch": f"{run.batch:,} {images_of(run.batch)}",
        "choices": ", ".join(str(choices[name]) for name in ("precision", "optimizer") if name in choices),
        "mode": f"{run.mode} algorithms" if run.mode else "",
        "device": run.device,
        "capacity": "" if run.capacity_bytes is None else f"{binary(run.capacity_bytes)}",
        "link": run.link,
        "dma": f"{run.dma} DMA" if run.dma else "",
    }
    return ", ".join(part for name, part in parts.items() if part and name not in shown)


def text(run: "TrainingRun", name: str, with_mode: bool = True) -> str:
    """A cell of what a run was asked; a policy with its algorithms, p or m as vDNN has them."""
    if name == "policy":
        return run.policy_title if with_mode else run.policy
    return f"{run.batch:,}" if name == "batch" else str(getattr(run, name))


def cells(run: "TrainingRun", most_bytes: float, with_mode: bool = True) -> list[str]:
    """A line of a run; bytes in the unit of the table's most."""
    whole, timeline, (_, size) = run.iteration_s, run.timeline, unit_of(most_bytes)
    stalls = timeline.stalls_s
    largest = max(stalls, key=lambda cause: stalls[cause], default="")
    share = 100 * stalls[largest] / whole if largest else 0.0
    return [
        *(text(run, name, with_mode) for name in ("net", "batch", "policy")),
        "yes" if run.fits else "no",
        *(amount(num_bytes / size) for num_bytes in (timeline.peak_bytes, timeline.average_bytes)),
        seconds(whole),
        "" if run.slowdown is None else f"{run.slowdown:.3f}",
        amount(run.offloaded_bytes / size) if run.offloaded_bytes else "",
        f"{largest} {share:.2g}%" if share >= SMALLEST_SHARE else "",
    ]


def amount(value: float) -> str:
    """Two decimals; two digits of what is far below the unit of a table."""
    return f"{value:.2f}" if value >= 0.1 or not value else f"{value:.2g}"


def columns_line(most_bytes: float) -> str:
    """What the columns of runs are."""
    unit = unit_of(most_bytes)[0]
    return (
        f"peak, avg (average) and offload: {unit}; slowdown: time over that of the fastest steps without a link;"
        " stall: the largest, in % of the time"
    )


def print_one(out: "Console", run: "TrainingRun", name: str) -> None:
    """What a run waited for, what dyn has decided, what fits; `name` stands before it where there are several."""
    lines = []
    if run.timeline.stalls_s:
        waits = ", ".join(f"{cause} {seconds(length)}" for cause, length in run.timeline.stalls_s.items())
        lines.append(("stalls", waits))
    trials = run.facts.get("trials", ())
    if trials and trials[-1]["late"]:
        lines.append(("late", "prefetches are put off until there is room, as nothing fits with all of them ahead"))
    if trials and not (len(trials) == 2 and trials[-1]["late"]):  # these two are of another policy
        taken = trials[-1]
        greedy = ", less workspace where it overflows" if taken["greedy"] else ""
        number = sum(one["late"] == taken["late"] for one in trials)
        decided = f"trial {number} of 8: offload {taken['offload']}, {taken['mode']} algorithms{greedy}"
        lines.append(("dyn", decided if taken["fits"] else f"nothing fits, not even {decided}"))
    if "largest_batch" in run.facts:
        largest = run.facts["largest_batch"]
        lines.append(("fit", f"at most {largest:,} {images_of(largest)}" if largest else "not even one image"))
    for label, line in lines:
        print_wrapped(out, f"{label:12} {name}{line}", INDENT)


def print_memory(out: "Console", run: "TrainingRun") -> None:
    """What the allocators make of the steps of a run's network, by kind of tensor, and what Caffe counts."""
    allocators, kinds = run.facts.get("allocators", {}), run.facts.get("tensor_bytes", {})
    if allocators:
        unit, size = unit_of(max(one["peak_bytes"] for one in allocators.values()))
        known = run.capacity_bytes is not None
        rows = [
            [
                name.replace("_", " "),
                *(["yes" if one["fits"] else "no"] if known else []),
                *(f"{one[key] / size:.2f}" for key in ("peak_bytes", "average_bytes")),
                f"{100 * one['fragmentation']:.1f}",
            ]
            for name, one in allocators.items()
        ]
        out.print()
        headings = ["allocator", *(["fits"] if known else []), f"peak {unit}", f"average {unit}", "unused %"]
        print_columns(out, headings, rows, num_texts=1, flexible=(), num_bold=0)
        sums = {label: sum(kinds[kind] for kind in of_label) for label, of_label in KINDS.items()}
        listed = ", ".join(f"{label} {num_bytes / size:.2f}" for label, num_bytes in sums.items())
        print_wrapped(out, f"{f'{unit} of':12} {listed}; without workspace", INDENT)
    counted = run.facts.get("accounting")
    if counted:
        line = f"memory required for data: {counted['bytes']:,} bytes ({counted['form']})"
        print_wrapped(out, f"{'Caffe':12} {line}", INDENT)
    if run.facts.get("left_out"):
        print_wrapped(out, f"{'left out':12} {', '.join(run.facts['left_out'])}", INDENT)


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
    most_bytes = max(max(one.run.timeline.peak_bytes, one.run.offloaded_bytes) for one in runs) if runs else 0
    with_mode = len({one.run.mode for one in runs}) > 1
    rows = [
        [one.name, one_line(one.file), *cells(one.run, most_bytes, with_mode), gains.get(one.name, "")] for one in runs
    ]
    print_columns(out, ["", "file", *HEADINGS, "speed-up"], rows, num_texts=3, flexible=(1, 2, 4))
    print_wrapped(
        out, f"{'columns':12} {columns_line(most_bytes)}; speed-up: over the time of the run behind it", INDENT
    )
    for base, one in pairs:
        print_differences(out, one.name, found[one.name], base.name)


def named(files: Sequence[str], results: Sequence["TrainingResult"]) -> Iterator[NamedRun]:
    """The runs of all files with their names."""
    for letter, file, result in zip(ascii_lowercase, files, results, strict=False):
        for index, run in enumerate(result.runs, 1):
            yield NamedRun(letter if len(result.runs) == 1 else f"{letter}{index}", file, run)


def reference(first: Sequence[NamedRun], one: NamedRun) -> NamedRun:
    """The run of the first file that a run is compared with: of those that pair, the one that was asked most alike."""

    def num_alike(base: NamedRun, names: Sequence[str]) -> int:
        return sum(getattr(base.run, name) == getattr(one.run, name) for name in names)

    pairing = [base for base in first if base is not one and num_alike(base, PAIRED) == len(PAIRED)]
    return max(pairing, key=lambda base: num_alike(base, ASKED), default=first[0])


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
