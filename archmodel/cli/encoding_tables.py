"""`inspect --encodings`: what weights and inputs take in formats that store zeros in less."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archmodel.cli.common import left_out_line, num_fitting, print_wrapped

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.simulation.inspection import Inspection

NUM_TEXTS = 2  # columns that are no numbers
KIB = 1024


def print_encodings(out: "Console", found: "Inspection") -> None:
    """Print a table of the weights and one of the inputs; formats without room are named."""
    for operand in ("weight", "input"):
        out.print()
        print_operand(out, found, operand)


def print_operand(out: "Console", found: "Inspection", operand: str) -> None:
    """A line for each layer whose zeros are known, and the sums of all layers."""
    from archmodel.cli.compare import print_columns

    of_layers = {layer.name: layer.as_dict()[f"{operand}_encodings"] for layer in found.layers}
    known = {name: encodings for name, encodings in of_layers.items() if encodings is not None}
    if not known:
        print_wrapped(out, f"{operand}s: nothing says where their zeros are")
        return
    formats = list(next(iter(known.values())))
    rows = [row(name, encodings, formats) for name, encodings in known.items()]
    totals = found.totals[f"{operand}_encodings"]
    if totals is not None:
        rows.append(row("total", {name: totals[name] for name in formats}, formats))
    headings = ["layer", "smallest", *formats]
    if found.arch is not None:
        headings.insert(NUM_TEXTS, found.arch)
        stored = {layer.name: layer.as_dict() for layer in found.layers} | {"total": found.totals}
        for cells in rows:
            num_bytes = stored[cells[0]][f"{operand}_stored_bytes"]
            cells.insert(NUM_TEXTS, "" if num_bytes is None else f"{num_bytes / KIB:,.1f}")
    count = num_fitting(out, headings, rows)
    bits = found.encoding_bits[operand]
    print_wrapped(out, f"{operand}s, KiB of {bits}-bit words by format{as_stored(found, operand)}")
    cut = [cells[:count] for cells in rows]
    print_columns(
        out, headings[:count], cut, num_texts=NUM_TEXTS, flexible=(), num_bold=0 if totals is None else 1
    )
    if totals is not None:
        share = f"{100 * totals['smallest'] / totals['dense']:.1f} % of dense"
        print_wrapped(out, f"every layer in its smallest format: {totals['smallest'] / KIB:,.1f} KiB, {share}")
    if count < len(headings):
        print_wrapped(out, left_out_line(headings[count:]))


def as_stored(found: "Inspection", operand: str) -> str:
    """`; scnn: its zero_run`."""
    return "" if found.arch is None else f"; {found.arch}: its {found.formats[f'{operand}s']}"


def row(name: str, encodings: Mapping[str, int], formats: list[str]) -> list[str]:
    """Cells of a layer; of formats that are equal the first is the smallest."""
    smallest = min(formats, key=lambda one: encodings[one])
    return [name, smallest, *(f"{encodings[one] / KIB:,.1f}" for one in formats)]
