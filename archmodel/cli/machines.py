"""The table of several machines on one network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.common import console, print_json

if TYPE_CHECKING:
    from archmodel.accelerators.result import RunResult

ALL = "all"
OF_ONE = ("baseline", "baseline_assignments", "assignments", "output")  # options that a single machine takes


def names(arch: str) -> list[str]:
    """The machines of `--arch a,b,c`."""
    return [name.strip() for name in arch.split(",") if name.strip()]


def run(arch: str, as_json: bool, arguments: Mapping[str, Any]) -> None:
    """Run a network on several machines and print them beside each other."""
    from archmodel import simulation
    from archmodel.accelerators import summary

    for option in OF_ONE:
        if arguments.get(option):
            spelt = {"assignments": "set", "baseline_assignments": "set-baseline"}.get(option, option)
            raise click.UsageError(f"--{spelt}: takes one machine; --arch names several", click.get_current_context())
    options = {key: value for key, value in arguments.items() if key not in (*OF_ONE, "net", "skip_unsupported")}
    runs = simulation.simulate_machines(names(arch), arguments["net"], **options)
    rows = [summary.rates(one) for one in runs]
    if as_json:
        print_json({"net": runs[0].net, "fidelity": runs[0].fidelity, "batch": runs[0].batch, "machines": rows})
        return
    print_machines(runs, rows)


def print_machines(runs: Sequence["RunResult"], rows: Sequence[Mapping[str, Any]]) -> None:
    """One line for each machine, and what it left out."""
    from archmodel.cli.compare import print_columns
    from archmodel.cli.tables import HEADINGS, WIDE, joules, seconds, si

    out, first = console(), runs[0]
    wide = out.width >= WIDE  # a narrow terminal has room for whole names, and not for what can be worked out
    headings = ["machine", "node", "layers", *(["cycles"] if wide else []), "time", "energy", "mm2"]
    headings += ["dense", *(["effectual"] if wide else []), "/W", "/mm2", "limit"]
    shown = [f"{kind}_ops_per_{unit}" for kind, unit in (("dense", "s"), ("effectual", "s"), ("dense", "j"))]
    lines = [
        [
            *(row["arch"], row["technology"], f"{row['num_layers']}/{row['num_layers'] + len(row['unsupported'])}"),
            *([f"{row['cycles']:,}"] if wide else []),
            *(seconds(row["time_s"]), joules(row["energy_pj"]), f"{row['area_mm2']:.3g}"),
            *(si(row[key]) for key in shown if wide or key != "effectual_ops_per_s"),
            *(si(row["dense_ops_per_s_per_mm2"]), HEADINGS.get(row["limit"], row["limit"])),
        ]
        for row in rows
    ]
    placed = "" if first.fidelity == "statistical" else f", seed {first.seed}"
    memory = first.config["memory"]["name"]
    title = f"{first.net} on {len(rows)} machines, {first.fidelity}, batch {first.batch}{placed}, {memory}"
    out.print(title, soft_wrap=True)
    print_columns(out, headings, lines, num_texts=2)
    for row in rows:
        if row["unsupported"]:
            left = ", ".join(row["unsupported"][:3]) + (", ..." if len(row["unsupported"]) > 3 else "")
            out.print(f"not on {row['arch']}: {left}; its sums are of the other layers", soft_wrap=True)
    if len({row["technology"] for row in rows}) > 1:
        out.print("node: each machine's own; --technology NODE puts all on one, at their own clocks", soft_wrap=True)
    out.print("dense: OP/s of all MACs, two operations each; effectual: of those of non-zeros;", soft_wrap=True)
    out.print("/W, /mm2: dense OP/s a watt, DRAM included, and a mm2; limit: most of the slots", soft_wrap=True)
