"""Published values beside ours, as a Markdown page with figures and the runs behind it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import energy
from archmodel.config.targets import MAX_NAME_BYTES
from archmodel.errors import SHOWN_CHARACTERS, ResultError, one_line
from archmodel.results import save
from archmodel.views.deviations import Deviations
from archmodel.views.figure import Drawing, save_figure


def check_folder(folder: str | Path) -> None:
    """Raise ResultError unless `write_comparison` can be expected to write below `folder`; call it before long work."""
    name = os.fspath(folder)
    shown = one_line(name, SHOWN_CHARACTERS)
    target = Path(os.path.abspath(name.replace("\0", "�")))
    if not name or "\0" in name or any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in target.parts):
        raise ResultError(f"{shown}: cannot be written: not a possible name of a folder")
    nearest = next(path for path in (target, *target.parents) if os.path.lexists(path))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        reason = f"{one_line(str(nearest), SHOWN_CHARACTERS)} is no folder to write in"
        raise ResultError(f"{shown}: cannot be written: {reason}")


def write_comparison(
    folder: str | Path,
    table: Mapping[str, Any],
    runs: Mapping[str, RunResult],
    notes: Sequence[str] = (),
    figures: Mapping[str, Drawing] | None = None,
) -> None:
    """Write compare.md, its figures and one HDF5 file for each run into `folder`; ResultError if that cannot be.

    table : title, citation, command and rows as `Validation.as_dict` gives them; notes : paragraphs below the table;
    figures : drawings by the name of their file, beside compare.png; None: no figures at all
    """
    target = Path(folder)
    deviations = Deviations(table["rows"])
    drawings = {} if figures is None else ({"compare": deviations} if deviations.drawn else {}) | dict(figures)
    shown = [f"![{table['title']}: {name}]({name}.png)\n\n{drawing.caption}" for name, drawing in drawings.items()]
    if figures is not None and not deviations.drawn:
        shown.insert(0, deviations.caption)
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "compare.md").write_text(comparison(table, runs, notes, shown), "utf-8")
    except OSError as error:
        raise ResultError(f"{target}: {error.strerror or error}") from None
    for name, drawing in drawings.items():
        save_figure(drawing, target / f"{name}.png")
    for name, run in runs.items():
        save(run, target / f"{name}.h5")


def comparison(
    table: Mapping[str, Any], runs: Mapping[str, RunResult], notes: Sequence[str] = (), figures: Sequence[str] = ()
) -> str:
    """The rows as a Markdown table, the notes, the figures, then where the slots of every run went."""
    lines = [
        f"# {table['title']}",
        "",
        f"{table['citation']}.",
        "",
        f"Made by `{table['command']}`. A missed gate or identity fails the command, a missed band is shown.",
        "",
        "| check | published | ours | deviation | accepted | kind | verdict | provenance | reason |",
        "|---|---:|---:|---:|---:|---|---|---|---|",
        *(_row(row) for row in table["rows"]),
    ]
    for paragraph in (*notes, *(["## Figures", *figures] if figures else [])):
        lines += ["", paragraph]
    if runs:
        lines += ["", "## Where the slots go", "", "Share of multiplier-slots, in %, by cause.", ""]
        lines += ["| run | cycles | " + " | ".join(CAUSES) + " |", "|---|---:|" + "---:|" * len(CAUSES)]
        for name, run in runs.items():
            lines.append(_stack(name, run))
            if run.baseline is not None:
                lines.append(_stack(f"{name}, {run.baseline.arch}", run.baseline))
    priced = {name: run for name, run in runs.items() if energy(run.layers)["energy_pj"]}
    if priced:
        lines += ["", "## Where the energy goes", "", "Share of the energy, in %, by component; the largest first.", ""]
        lines += ["| run | energy, uJ | components |", "|---|---:|---|"]
        for name, run in priced.items():
            lines.append(_energy(name, run))
            if run.baseline is not None:
                lines.append(_energy(f"{name}, {run.baseline.arch}", run.baseline))
    return "\n".join(lines) + "\n"


def _energy(name: str, run: RunResult) -> str:
    known = energy(run.layers)
    whole, parts = known["energy_pj"], known["energy_by_component_pj"]
    largest = sorted(parts, key=lambda part: -parts[part])
    shares = ", ".join(f"{part} {100 * parts[part] / whole:.1f}" for part in largest if parts[part] >= 0.0005 * whole)
    return f"| {name} | {whole / 1e6:,.1f} | {shares} |"


def shown_limits(low: float, high: float) -> tuple[str, str]:
    """Two limits with four digits, or as many more as a narrow band needs: none is off by a tenth of it."""
    digits = 4
    while any(abs(float(f"{limit:.{digits}g}") - limit) > (high - low) / 10 for limit in (low, high)):
        digits += 1
    return f"{low:.{digits}g}", f"{high:.{digits}g}"


def _row(row: Mapping[str, Any]) -> str:
    published = "" if row["published"] is None else f"{row['published']:,}"
    deviation = "" if row["deviation"] is None else f"{row['deviation']:+.1%}"
    shown = row["accepted"] is not None and row["kind"] != "identity"
    accepted = " to ".join(shown_limits(*row["accepted"])) if shown else ""
    ours = f"{row['ours']:,}" if isinstance(row["ours"], int) else f"{row['ours']:.3f}"
    cells = (row["what"], published, ours, deviation, accepted, row["kind"], row["verdict"])
    return "| " + " | ".join((*cells, row["provenance"], row["reason"])) + " |"


def _stack(name: str, run: RunResult) -> str:
    slots = run.total("slots")
    shares = (f"{100 * run.stack.get(cause, 0) / slots:.1f}" for cause in CAUSES)
    return f"| {name} | {run.cycles:,} | " + " | ".join(shares) + " |"
