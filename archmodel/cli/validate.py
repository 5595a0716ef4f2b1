"""`archmodel validate`: published values beside ours."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archmodel.cli.common import console, json_option, print_json

if TYPE_CHECKING:
    from archmodel.validation import Validation

WIDE_COLUMNS = 100


@click.command()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("-o", "--output", metavar="FOLDER", help="Write compare.md, figures and runs of each table there.")
@json_option
def validate(tables: tuple[str, ...], *, output: str | None, as_json: bool) -> int:
    """Set published tables beside the model's values; exit 1 if a gate or an identity is missed.

    \b
    gate      a miss fails          band    a miss is shown
    identity  equal to the digit    report  nothing published, or a difference explained
    fitted    no prediction: a constant was fitted to this value
    """
    from archmodel import validation
    from archmodel.views.comparison import check_folder, write_comparison
    from archmodel.views.figure import can_draw

    names = list(dict.fromkeys(tables)) or validation.tables()
    validation.check_tables(names)
    if output is not None:
        check_folder(output)
        if not can_draw():
            click.echo("archmodel: no figures without matplotlib: pip install 'archmodel[plot]'", err=True)
    done = []
    for name in names:
        measured = validation.validate(name)
        done.append(measured)
        if output is not None:
            folder = Path(output) / measured.published.folder
            figures = measured.figures() if can_draw() else None
            write_comparison(folder, measured.as_dict(), measured.runs, measured.published.notes, figures)
        if not as_json:
            print_table(measured)
    failed = any(measured.failed for measured in done)
    if as_json:
        print_json({"passed": not failed, "tables": [measured.as_dict() for measured in done]})
    return 1 if failed else 0


def print_table(measured: "Validation") -> None:
    """A table of the checks with the published value beside ours; a narrow terminal has no room for the limits."""
    from rich.table import Table

    from archmodel.views.comparison import shown_limits

    out = console()
    table = Table(box=None, pad_edge=False, title=None)
    table.add_column("check", overflow="fold", ratio=1)
    wide = out.width >= WIDE_COLUMNS
    for heading in ("published", "ours", "dev.", *(["accepted"] if wide else []), "kind", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for check in measured.checks:
        row = check.row
        accepted = "" if row.limits is None or row.kind == "identity" else "-".join(shown_limits(*row.limits))
        deviation = "" if check.deviation is None else f"{check.deviation:+.1%}"
        published = "" if row.published is None else number(row.published)
        limits = [accepted] if wide else []
        table.add_row(row.what, published, number(check.ours), deviation, *limits, row.kind, check.verdict)
    out.print(f"{measured.published.title}: {measured.published.citation}")
    out.print(table)
    out.print()


def number(value: float) -> str:
    """Counts in full, measured values to three digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
