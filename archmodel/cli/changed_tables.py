"""What `prune` and `quantize` print: a table of the layers, and how far the outputs are from those of before."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.common import console, left_out_line, num_fitting, print_json, print_wrapped, progress_bar
from archmodel.errors import SHOWN_CHARACTERS, one_line

if TYPE_CHECKING:
    from archmodel.simulation.changed_network import ChangedNetwork
    from archmodel.simulation.output_change import Effect, OutputChange

INDENT = 13 * " "
NUM_TEXTS = 2  # columns that are no numbers
MOST_OUTPUTS = 8  # that are named


def run_change(
    change: Callable[..., "ChangedNetwork[Any]"],
    shown: Callable[[Any], None],
    as_json: bool,
    arguments: dict[str, Any],
) -> None:
    """Change a network under a progress bar; warn of its outputs, then print it as JSON or as it is `shown`."""
    with progress_bar(quiet=as_json, beginning="reading") as advance:
        made = change(progress=advance, **arguments)
    if made.effect is not None and made.effect.warning:
        click.echo(f"archmodel: warning: {made.effect.warning}", err=True)
    if as_json:
        print_json(made.as_dict())
    else:
        shown(made)


def print_changed(
    made: "ChangedNetwork[Any]",
    headings: Sequence[str],
    row: Callable[[dict[str, Any]], list[str]],
    lines: Sequence[str],
) -> None:
    """Print layers with their sums as the last row, lines about them, and what became of the outputs.

    row : from a layer or the sums, as for JSON, to the columns behind name, kind and weights
    """
    from archmodel.cli.compare import print_columns

    shown = [*(layer.as_dict() for layer in made.layers), {"name": "total", "kind": ""} | made.totals]
    rows = [[one["name"], one["kind"], f"{one['weight_words']:,}", *row(one)] for one in shown]
    headings = ["layer", "kind", "weights", *headings]
    out = console()
    count = num_fitting(out, headings, rows)
    print_wrapped(out, one_line(f"{made.net} to {made.output}", 4 * SHOWN_CHARACTERS))
    cut = [row[:count] for row in rows]
    print_columns(out, headings[:count], cut, num_texts=NUM_TEXTS, flexible=(), num_bold=1)
    for line in (*lines, *effect_lines(made.effect, made.reason)):
        print_wrapped(out, line, INDENT)
    if count < len(headings):
        print_wrapped(out, left_out_line(headings[count:]))


def effect_lines(effect: "Effect | None", reason: str) -> list[str]:
    """Each output on the inputs, or why nothing is known."""
    if effect is None:
        return [f"{'outputs':12} not compared: {reason}"]
    runs = "" if effect.num_runs == 1 else f", {effect.num_runs} runs"
    lines = [f"{'outputs':12} to those of before, on {effect.inputs}{runs}:"]
    lines += [f"{INDENT}{output_text(output)}" for output in effect.outputs[:MOST_OUTPUTS]]
    more = len(effect.outputs) - MOST_OUTPUTS
    return [*lines, f"{INDENT}and {more} more"] if more > 0 else lines


def output_text(output: "OutputChange") -> str:
    """`fc2: cosine 0.9871, largest change 3.1 of 12`."""
    name = one_line(output.name, SHOWN_CHARACTERS)
    if output.cosine is None or output.largest_change is None or output.largest is None:
        return f"{name}: of another shape, or not finite"
    return f"{name}: cosine {output.cosine:.4f}, largest change {output.largest_change:.3g} of {output.largest:.3g}"
