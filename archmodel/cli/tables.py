"""The table of a run: layers, where their slots went, totals with units, speed-up over the baseline."""

from collections.abc import Sequence
from textwrap import wrap

from rich.console import Console
from rich.table import Table

from archmodel.accelerators.made_outputs import EQUAL
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import energy
from archmodel.cli.common import UNBROKEN, WIDE, gap, left_out_line, num_fitting, print_wrapped
from archmodel.cli.memory_lines import memory_lines
from archmodel.errors import SHOWN_CHARACTERS, one_line

NARROW_CAUSES = (3, 2, 1, 0)  # causes with a column of their own on a narrower terminal: as many as have room
NARROW = 80  # columns of the lines below the table, at most
INDENT = 13 * " "  # of their values
OTHER = "other"
ROUNDS_UP = 0.9995  # of the next prefix: what three digits would show as 1000 of the one below
HEADINGS = {
    "stored_zero": "zeros",
    "out_of_range": "out",
    "fragmentation": "frag",
    "bank_conflict": "bank",
    "imbalance": "imbal",
    "weight_stall": "weights",
    "tile_shift": "shift",
    "drain": "drain",
    "memory": "memory",
    OTHER: "other",
}
CAPTURED = "captured: "  # how the origin of inputs starts that were seen in a run
Layers = Sequence[LayerResult]


def si(value: float, unit: str = "") -> str:
    """A number with a decimal prefix, for instance 15.3 G."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= ROUNDS_UP * factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def seconds(value: float) -> str:
    """A time with a decimal prefix."""
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u")):
        if value >= ROUNDS_UP * factor:
            return f"{value / factor:.3g} {prefix}s"
    return f"{value / 1e-9:.3g} ns"


def percent(part: float, whole: float) -> str:
    """A share; blank where it rounds to nothing."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f}" if share >= 0.05 else ""


def shown_causes(run: RunResult, most: int | None) -> list[str]:
    """Causes of lost slots with a column: all that occur, or the `most` largest and the rest as one."""
    losses = [cause for cause, slots in run.stack.items() if slots and cause != "busy"]
    if most is None or len(losses) <= most + 1:
        return losses
    largest = sorted(losses, key=lambda cause: -run.stack[cause])[:most]
    return [cause for cause in losses if cause in largest] + [OTHER]


def print_run(run: RunResult, console: Console) -> None:
    """Print the layers of a run, its totals and its speed-up; nothing is cut, columns without room are named."""
    for most in (None, *NARROW_CAUSES) if console.width >= WIDE else NARROW_CAUSES:
        causes = shown_causes(run, most)
        headings = ["layer", "MACs", "w", "in", "cycles", "util", *(HEADINGS[cause] for cause in causes), "DRAM"]
        if run.baseline is not None:
            headings.append("vs base")
        rows, sections = body(run, causes)
        lines = [[name, *row] for name, row in rows]
        count = num_fitting(console, headings, lines)
        if count == len(headings):
            break
    table = Table(box=None, pad_edge=False, padding=(0, gap(console), 0, 0))
    for index, heading in enumerate(headings[:count]):
        width = max(len(line[index]) for line in (headings, *lines))
        table.add_column(heading, justify="right" if index else "left", no_wrap=True, min_width=width)
    for index, line in enumerate(lines):
        table.add_row(*line[:count], style="bold" if index >= sections else None)
    print_wrapped(console, title(run))
    console.print(table, soft_wrap=True)
    for text in summary(run, headings[:count], min(console.width, NARROW)):
        print_wrapped(console, text, INDENT)
    if count < len(headings):
        print_wrapped(console, left_out_line(headings[count:]))


def body(run: RunResult, causes: list[str]) -> tuple[list[tuple[str, list[str]]], int]:
    """Names and cells of the layers and of the sums below them, and the number of layers."""

    def beside(indices: Sequence[int]) -> float | None:
        if run.baseline is None:
            return None
        return sum(run.baseline.layers[index].cycles for index in indices) * run.clock_hz / run.baseline.clock_hz

    rows = [(layer.name, cells([layer], causes, beside([index]))) for index, layer in enumerate(run.layers)]
    kinds: dict[str, list[int]] = {}
    for index, layer in enumerate(run.layers):
        kinds.setdefault(layer.kind, []).append(index)
    if len(kinds) > 1:
        for kind, indices in kinds.items():
            rows.append((f"all {kind}", cells([run.layers[i] for i in indices], causes, beside(indices))))
    rows.append(("total", cells(run.layers, causes, beside(range(len(run.layers))))))
    return rows, len(run.layers)


def cells(layers: Layers, causes: list[str], beside: float | None) -> list[str]:
    """Cells of one layer, or of the sum of several; `beside` is the baseline's time in cycles of this machine."""
    slots, cycles = sum(layer.slots for layer in layers), sum(layer.cycles for layer in layers)
    lost = {cause: sum(layer.stack.get(cause, 0) for layer in layers) for cause in HEADINGS}
    lost[OTHER] = sum(amount for cause, amount in lost.items() if cause not in causes)
    one = layers[0] if len(layers) == 1 else None
    row = [
        si(sum(layer.macs_dense for layer in layers)),
        f"{one.weight_density:.2f}" if one else "",
        f"{one.input_density:.2f}" if one else "",
        f"{cycles:,}",
        percent(sum(layer.macs_effectual for layer in layers), slots),
        *(percent(lost[cause], slots) for cause in causes),
        si(sum(layer.dram_bytes for layer in layers), "B"),
    ]
    if beside is not None:
        row.append(f"{beside / cycles:.2f}x" if cycles else "")
    return row


def title(run: RunResult) -> str:
    """What was run."""
    parts = [f"{run.net} on {run.machine}", run.fidelity, f"batch {run.batch}"]
    if run.fidelity != "statistical":  # which places no zeros
        parts.append(f"seed {run.seed}")
    if run.baseline is not None:
        parts.append(f"baseline {run.baseline.machine}")
    return one_line(", ".join([*parts, str(run.config["memory"]["name"])]), 4 * SHOWN_CHARACTERS)


def plus_minus(run: RunResult) -> str:
    """Half-width of the 95 % confidence interval of a sampled run's cycles."""
    if run.cycles_ci95 is None or not run.cycles:
        return ""
    low, high = run.cycles_ci95
    return f" +- {100 * (high - low) / 2 / run.cycles:.2g} % (95 %)"


def seed_lines(run: RunResult) -> list[str]:
    """Mean and 95 % interval over the placements of the zeros."""
    if run.seeds is None:
        return []
    cycles, spent, ratio = run.seeds.total_cycles, run.seeds.total_energy_pj, run.speedup_over_seeds
    spread = [f"{cycles.mean:,.0f} cycles +- {100 * cycles.relative_half_width:.2f} %"]
    if ratio is not None:
        spread.append(f"{ratio.mean:.3f}x +- {100 * ratio.relative_half_width:.2f} %")
    if spent is not None:
        spread.append(f"{joules(spent.mean)} +- {100 * spent.relative_half_width:.2f} %")
    count = len(run.seeds.seeds)
    return [f"seeds        mean of {count} placements and 95 % interval:", INDENT + ", ".join(spread)]


def zeros_lines(run: RunResult, width: int) -> list[str]:
    """The pattern of zeros that were placed, where it is not uniform: `zeros  Correlated: length 2.4, ...`."""
    parameters = dict(run.config.get("zeros", {}))
    name = parameters.pop("name", "")
    spelt = ", ".join(f"{key}{UNBROKEN}{value:g}" for key, value in parameters.items())
    return wrap(f"{'zeros':12} {name}: {spelt}", width, subsequent_indent=INDENT) if spelt else []


def energy_lines(run: RunResult, width: int) -> list[str]:
    """Energy and area, each with the share of every component in %, the largest first."""
    known = energy(run.layers)
    if not known["energy_pj"] or not run.area_mm2:
        return []
    spent = f"{joules(known['energy_pj'])} at {run.config['technology']['name']}, DRAM included"
    if run.baseline is not None and (beside := energy(run.baseline.layers)["energy_pj"]):
        ratio = beside / known["energy_pj"]
        spent += f"; {ratio:.2f}x less" if ratio >= 1 else f"; {1 / ratio:.2f}x more"
        spent += f" than {run.baseline.arch}"
    lines = []
    for heading, parts in ((f"energy       {spent}", known["energy_by_component_pj"]),
                           (f"area         {sum(run.area_mm2.values()):.3g} mm2", run.area_mm2)):  # fmt: skip
        whole, largest = sum(parts.values()), sorted(parts, key=lambda name: -parts[name])
        shares = [f"{name}{UNBROKEN}{share}" for name in largest if (share := percent(parts[name], whole))]
        lines += [heading, *wrap("in %: " + ", ".join(shares), width, initial_indent=INDENT, subsequent_indent=INDENT)]
    return lines


def joules(energy_pj: float) -> str:
    """An energy with a decimal prefix."""
    for factor, prefix in ((1e12, ""), (1e9, "m"), (1e6, "u"), (1e3, "n")):
        if energy_pj >= ROUNDS_UP * factor:
            return f"{energy_pj / factor:.3g} {prefix}J"
    return f"{energy_pj:.3g} pJ"


def summary(run: RunResult, headings: Sequence[str], width: int) -> list[str]:
    """Totals with units, and how to read the columns that are shown and the words of the totals."""
    effectual, dense = run.total("macs_effectual"), run.total("macs_dense")
    multipliers = run.layers[0].num_multipliers
    oracle = sum(-(-layer.macs_effectual // multipliers) for layer in run.layers)
    utilization = percent(effectual, sum(layer.slots for layer in run.layers)) or "0.0"
    rate = si(2 * dense / run.time_s if run.cycles else 0.0, "OP/s")
    lines = [
        f"time         {seconds(run.time_s)}, {run.cycles:,} cycles{plus_minus(run)} at {si(run.clock_hz, 'Hz')}",
        f"work         {si(effectual)} effectual of {si(dense)} MACs; {rate} dense-equivalent",
        f"utilization  {utilization} % of {multipliers:,} multipliers; the oracle needs {oracle:,} cycles",
        *([lost_line(run)] if not {HEADINGS[cause] for cause in shown_causes(run, None)} <= set(headings) else []),
        *memory_lines(run, si(run.total("dram_bytes"), "B"), INDENT),
        *energy_lines(run, width),
        *legend(headings, width),
    ]
    if run.speedup is not None and run.baseline is not None:
        lines.insert(1, f"speed-up     {run.speedup:.2f}x over {run.baseline.arch}, {seconds(run.baseline.time_s)}")
    lines += [*gap_lines(run.unsupported), *zeros_lines(run, width), *seed_lines(run)]
    if all(layer.checked for layer in run.layers):
        lines.append("check        outputs of the modelled dataflow equal the reference, bit for bit")
        found = [layer.origins["check"] for layer in run.layers if "check" in layer.origins]
        if not found and captured_lines(run):
            lines.append(f"{INDENT}but no layer was compared with what onnxruntime made of it")
        if found:
            floats = any(text != EQUAL for text in found)
            within = ", floats within what rounding can make" if floats else ", integers equal"
            lines.append(f"{INDENT}and are onnxruntime's in {len(found)} of {len(run.layers)} layers{within}")
            others = ", ".join(layer.name for layer in run.layers if "check" not in layer.origins)
            if others:
                lines.append(INDENT + one_line(f"not compared: {others}", 2 * SHOWN_CHARACTERS))
    return [*lines, f"simulated    in {seconds(run.wall_s)}"]


def gap_lines(left_out: Sequence[str]) -> list[str]:
    """Layers that a machine does not run, and nodes of an ONNX file that were not read."""
    nodes = [name for name in left_out if name.endswith(")")]  # which no layer's name has
    layers = [name for name in left_out if name not in nodes]
    lines = []
    for names, what in ((layers, "layers that a machine does not run"), (nodes, "nodes that cannot be read")):
        if names:
            text = one_line(f"{len(names)} {what}: {', '.join(names)}", 4 * SHOWN_CHARACTERS)
            lines.append(f"left out     {text}")
    return lines


def captured_lines(run: RunResult) -> list[str]:
    """The files on which a network was run, and what was left out of them; none where it was not run."""
    origins = dict.fromkeys(layer.origins["inputs"] for layer in run.layers)
    captured = [text.removeprefix(CAPTURED) for text in origins if text.startswith(CAPTURED)]
    return [f"inputs       {text}" for text in captured]


def lost_line(run: RunResult) -> str:
    """The slots of the whole run that were lost, in %, every cause by name, the largest first."""
    causes = sorted(shown_causes(run, None), key=lambda cause: -run.stack[cause])
    shares = [(HEADINGS[cause], percent(run.stack[cause], run.total("slots"))) for cause in causes]
    spelt = ", ".join(f"{name}{UNBROKEN}{share}" for name, share in shares if share)
    return f"lost         in % of all slots: {spelt}"


def legend(headings: Sequence[str], width: int) -> list[str]:
    """How to read the columns that are shown, and the words of the totals."""
    columns = ["w, in: densities", "util: effectual MACs in % of multiplier-slots"]
    if set(headings) & set(HEADINGS.values()) - {OTHER}:
        columns.append("then the slots lost, in %, by cause")
    if OTHER in headings:
        columns.append("other: slots lost to causes without a column")
    words = [
        "effectual: of two non-zeros",
        "oracle: these on all multipliers in every cycle",
        "dense-equivalent: all MACs over the time",
    ]
    return [
        line
        for name, texts in (("columns", columns), ("words", words))
        for line in wrap(f"{name:12} {'; '.join(texts)}", width, subsequent_indent=INDENT, break_on_hyphens=False)
    ]
