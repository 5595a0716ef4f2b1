"""The table of a run: layers, where their slots went, totals with units, speed-up over the baseline."""

from collections.abc import Sequence
from textwrap import wrap

from rich.console import Console
from rich.table import Table

from archmodel.accelerators.result import LayerResult, RunResult
from archmodel.accelerators.seeds import speedup_over_seeds
from archmodel.accelerators.summary import energy
from archmodel.errors import SHOWN_CHARACTERS, one_line

WIDE = 120  # columns of a terminal that has room for every cause
NARROW_CAUSES = (3, 2, 1)  # causes with a column of their own on a narrower one: as many as leave the names whole
SHORTEST_NAME = 8
NARROW = 80  # columns of the lines below the table
INDENT = 13 * " "  # of their values
UNBROKEN = "\xa0"  # a space at which a line is not wrapped
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
    """Print the layers of a run, its totals and its speed-up."""
    gap = 2 if console.width >= WIDE else 1
    for most in (None, *NARROW_CAUSES) if console.width >= WIDE else NARROW_CAUSES:
        causes = shown_causes(run, most)
        headings = ["MACs", "w", "in", "cycles", "util", *(HEADINGS[cause] for cause in causes), "DRAM"]
        if run.baseline is not None:
            headings.append("vs base")
        rows, sections = body(run, causes)
        columns = zip(headings, *(row for _, row in rows), strict=True)
        widths = [max(len(cell) for cell in column) for column in columns]
        room = max(SHORTEST_NAME, console.width - sum(widths) - gap * (len(widths) + 1))
        if all(len(name) <= room for name, _ in rows):
            break
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column("layer", no_wrap=True)
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, justify="right", no_wrap=True, min_width=width)
    names = shortened([name for name, _ in rows], room)
    for index, (name, (_, row)) in enumerate(zip(names, rows, strict=True)):
        table.add_row(name, *row, style="bold" if index >= sections else None)
    console.print(title(run))
    console.print(table)
    for line in summary(run):
        console.print(line, soft_wrap=True)


def shortened(names: Sequence[str], room: int) -> list[str]:
    """Names that fit and still differ: a part near the middle is left out, the same in all that are too long."""

    def cut(name: str, tail: int) -> str:
        return name if len(name) <= room else name[: room - 1 - tail] + "…" + name[len(name) - tail :]

    middle = room // 2
    cuts = [[cut(name, tail) for name in names] for tail in sorted(range(room), key=lambda tail: abs(tail - middle))]
    return max(cuts, key=lambda shown: len(set(shown)))


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
    parts = [f"{run.net} on {run.arch}", run.fidelity, f"batch {run.batch}"]
    if run.fidelity != "statistical":  # which places no zeros
        parts.append(f"seed {run.seed}")
    if run.baseline is not None:
        parts.append(f"baseline {run.baseline.arch}")
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
    cycles, spent, ratio = run.seeds.total_cycles, run.seeds.total_energy_pj, speedup_over_seeds(run)
    spread = [f"{cycles.mean:,.0f} cycles +- {100 * cycles.relative_half_width:.2f} %"]
    if ratio is not None:
        spread.append(f"{ratio.mean:.3f}x +- {100 * ratio.relative_half_width:.2f} %")
    if spent is not None:
        spread.append(f"{joules(spent.mean)} +- {100 * spent.relative_half_width:.2f} %")
    count = len(run.seeds.seeds)
    return [f"seeds        mean of {count} placements and 95 % interval:", INDENT + ", ".join(spread)]


def zeros_lines(run: RunResult) -> list[str]:
    """The pattern of zeros that were placed, where it is not uniform: `zeros  Correlated: length 2.4, ...`."""
    parameters = dict(run.config.get("zeros", {}))
    name = parameters.pop("name", "")
    spelt = ", ".join(f"{key}{UNBROKEN}{value:g}" for key, value in parameters.items())
    lines = wrap(f"{'zeros':12} {name}: {spelt}", NARROW, subsequent_indent=INDENT) if spelt else []
    return [line.replace(UNBROKEN, " ") for line in lines]


def energy_lines(run: RunResult) -> list[str]:
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
        below = wrap("in %: " + ", ".join(shares), NARROW, initial_indent=INDENT, subsequent_indent=INDENT)
        lines += [heading, *(line.replace(UNBROKEN, " ") for line in below)]
    return lines


def joules(energy_pj: float) -> str:
    """An energy with a decimal prefix."""
    for factor, prefix in ((1e12, ""), (1e9, "m"), (1e6, "u"), (1e3, "n")):
        if energy_pj >= ROUNDS_UP * factor:
            return f"{energy_pj / factor:.3g} {prefix}J"
    return f"{energy_pj:.3g} pJ"


def summary(run: RunResult) -> list[str]:
    """Totals with units, and how to read the columns."""
    effectual, dense = run.total("macs_effectual"), run.total("macs_dense")
    multipliers = run.layers[0].num_multipliers
    oracle = sum(-(-layer.macs_effectual // multipliers) for layer in run.layers)
    utilization = percent(effectual, sum(layer.slots for layer in run.layers)) or "0.0"
    rate = si(2 * dense / run.time_s if run.cycles else 0.0, "OP/s")
    lines = [
        f"time         {seconds(run.time_s)}, {run.cycles:,} cycles{plus_minus(run)} at {si(run.clock_hz, 'Hz')}",
        f"work         {si(effectual)} effectual of {si(dense)} MACs; {rate} dense-equivalent",
        f"utilization  {utilization} % of {multipliers:,} multipliers; the oracle needs {oracle:,} cycles",
        f"DRAM         {si(run.total('dram_bytes'), 'B')}",
        *energy_lines(run),
        "columns      w, in: densities; util: effectual MACs in % of multiplier-slots;",
        "             then the slots lost, in %, by cause",
    ]
    if run.speedup is not None and run.baseline is not None:
        lines.insert(1, f"speed-up     {run.speedup:.2f}x over {run.baseline.arch}, {seconds(run.baseline.time_s)}")
    if run.unsupported:
        names = f"{len(run.unsupported)} layers that a machine does not run: {', '.join(run.unsupported)}"
        lines.append(f"left out     {one_line(names, 4 * SHOWN_CHARACTERS)}")
    lines += [*zeros_lines(run), *seed_lines(run)]
    if all(layer.checked for layer in run.layers):
        lines.append("check        outputs of the modelled dataflow equal the reference, bit for bit")
    return [*lines, f"simulated    in {seconds(run.wall_s)}"]
