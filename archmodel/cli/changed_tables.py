"""What `prune` and `quantize` print: a table of the layers, and how far the outputs are from those of before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archmodel.cli.common import left_out_line, num_fitting, print_wrapped
from archmodel.errors import SHOWN_CHARACTERS, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.simulation.output_change import Effect, OutputChange

INDENT = 13 * " "
NUM_TEXTS = 2  # columns that are no numbers
MOST_OUTPUTS = 8  # that are named


def print_changed(
    out: "Console",
    title: str,
    headings: Sequence[str],
    rows: Sequence[list[str]],
    lines: Sequence[str],
    effect: "Effect | None",
    reason: str,
) -> None:
    """Print layers with their sums as the last row, lines about them, and what became of the outputs."""
    from archmodel.cli.compare import print_columns

    count = num_fitting(out, headings, rows)
    print_wrapped(out, one_line(title, 4 * SHOWN_CHARACTERS))
    cut = [row[:count] for row in rows]
    print_columns(out, headings[:count], cut, num_texts=NUM_TEXTS, flexible=(), num_bold=1)
    for line in (*lines, *effect_lines(effect, reason)):
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
