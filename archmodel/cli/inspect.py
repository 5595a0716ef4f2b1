"""`archmodel inspect`: what a network is made of, before a machine is chosen."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from archmodel.cli.common import (
    console,
    json_option,
    left_out_line,
    num_fitting,
    print_json,
    print_wrapped,
    progress_bar,
)
from archmodel.cli.operand_options import operand_options
from archmodel.network.layer import WORD_BITS

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.simulation.inspection import Inspection

INDENT = 13 * " "
SKIPPED = {"weights": "zero weights", "activations": "zero activations", "both": "both"}
NUM_TEXTS = 2  # columns that are no numbers


@click.command()
@click.argument("net")
@operand_options()
@click.option("--bits", type=int, metavar="N",
              help=f"Of a word, for the bytes; by default those of a quantized network's weights, else {WORD_BITS}.")
@click.option("--encodings", is_flag=True, help="Bytes of weights and inputs in formats that skip zeros.")
@click.option("--arch", metavar="NAME", help="With --encodings: also as that machine stores them, and all as wide.")
@click.option("-o", "--output", metavar="FILE.png|.svg|.pdf", help="Draw densities and MACs of every layer.")
@json_option
def inspect(net: str, output: str | None, as_json: bool, **arguments: Any) -> None:
    """Show the densities of a network's layers, the MACs that its zeros leave, and its bytes.

    NET is a name of `archmodel list`, a TOML, an ONNX or a SCALE-Sim CSV file. Non-zeros are counted, not estimated;
    where nothing states them they are left open.

    \b
    archmodel inspect vgg16
    archmodel inspect vgg16 --encodings --layers 'fc*'
    archmodel inspect vgg16 --encodings --arch scnn
    archmodel inspect model.onnx --activations density=0.4 -o densities.png
    """
    from pathlib import Path

    from archmodel.simulation import inspection

    if output is not None:
        from archmodel.views.figure import check_figure

        check_figure(output)
    with progress_bar(quiet=as_json, beginning="reading") as advance:
        found = inspection.inspect(net, progress=advance, **arguments)
    if output is not None:
        from archmodel.views.densities import LayerDensities
        from archmodel.views.figure import save_figure

        save_figure(LayerDensities(found), Path(output))
    if as_json:
        print_json(found.as_dict())
    else:
        print_inspection(console(), found)
        if arguments["encodings"]:
            from archmodel.cli.encoding_tables import print_encodings

            print_encodings(console(), found)


class Column(NamedTuple):
    """A column of the table, and what the lines below the table say of it."""

    heading: str
    meaning: str = ""


def columns(word_bits: int, words: str) -> list[Column]:
    """All of them, those that a narrow terminal does without on the right."""
    return [
        Column("layer"),
        Column("kind"),
        Column("w", "w, in, out: densities of weights, inputs, outputs"),
        Column("in"),
        Column("out"),
        Column("MACs"),
        Column("effectual", "effectual: MACs of two non-zeros, and these in % of all"),
        Column("%"),
        Column("weights", "weights: words"),
        Column("w KiB", f"KiB: of {word_bits}-bit words{words and f', {words}'}, zeros included, no biases"),
        Column("in KiB"),
        Column("input", "input: C x H x W of one image"),
        Column("K"),
    ]


def print_inspection(out: "Console", found: "Inspection") -> None:
    """Print the layers, their sums, and what skipping zeros would gain at most; columns without room are named."""
    from archmodel.cli.compare import print_columns
    from archmodel.cli.show import origin_lines
    from archmodel.cli.tables import gap_lines

    shown = columns(found.word_bits, found.words)
    rows = [layer_row(layer.as_dict()) for layer in found.layers]
    kinds = found.kinds
    if len(kinds) > 1:
        rows += [sum_row(f"all {kind}", of_kind) for kind, of_kind in kinds.items()]
    rows.append(sum_row("total", found.totals))
    count = num_fitting(out, [column.heading for column in shown], rows)
    num_bold = len(rows) - len(found.layers)
    print_wrapped(out, f"{found.net}, batch {found.batch}, seed {found.seed}")
    headings = [column.heading for column in shown[:count]]
    cut = [row[:count] for row in rows]
    print_columns(out, headings, cut, num_texts=NUM_TEXTS, flexible=(), num_bold=num_bold)
    for line in summary(found):
        print_wrapped(out, line, INDENT)
    for line in (*origin_lines([layer.origins for layer in found.layers]), *gap_lines(found.left_out)):
        print_wrapped(out, line, INDENT)
    meanings = "; ".join(column.meaning for column in shown[:count] if column.meaning)
    print_wrapped(out, f"{'columns':12} {meanings}; ?: not known", INDENT)
    if count < len(shown):
        print_wrapped(out, left_out_line([column.heading for column in shown[count:]]))


def layer_row(layer: Mapping[str, Any]) -> list[str]:
    """Cells of a layer of `inspect --json`."""
    from archmodel.cli.show import shape_of_kind

    shape = "x".join(map(str, layer["input_shape"])).removesuffix("x1").removesuffix("x1")
    counted = numbers(layer, density(layer["output_density"]))
    return [layer["name"], shape_of_kind(layer), *counted, shape, str(layer["K"])]


def sum_row(name: str, of_layers: Mapping[str, Any]) -> list[str]:
    """Cells of sums; layers have outputs and shapes of their own."""
    return [name, "", *numbers(of_layers, ""), "", ""]


def numbers(counted: Mapping[str, Any], output_density: str) -> list[str]:
    """The cells that layers and sums both have."""
    from archmodel.cli.tables import si

    effectual, share = counted["macs_effectual"], counted["effectual_share"]
    return [
        *(density(counted[f"{operand}_density"]) for operand in ("weight", "input")),
        output_density,
        si(counted["macs_dense"]),
        "?" if effectual is None else si(effectual),
        "?" if share is None else f"{100 * share:.1f}",
        f"{counted['weight_words']:,}",
        *(kib(counted[f"{operand}_bytes"]) for operand in ("weight", "input")),
    ]


def kib(num_bytes: int) -> str:
    """KiB, whole ones where they are many."""
    amount = num_bytes / 1024
    return f"{amount:,.1f}" if amount < 100 else f"{amount:,.0f}"


def density(known: float | None) -> str:
    """Two digits, or a ? where it is not known."""
    return "?" if known is None else f"{known:.2f}"


def summary(found: "Inspection") -> list[str]:
    """What a machine would gain that skips zeros and loses nothing, kind by kind where there are several."""
    kinds = found.kinds
    lines = [f"{'skipping':12} {gains(found.totals)}: MACs over those left"]
    if len(kinds) > 1:
        lines += [f"{INDENT}{kind}: {gains(of_kind)}" for kind, of_kind in kinds.items()]
    if "matmul" in kinds:
        lines.append(f"{'matmul':12} weights are the second input, of all images; the total of weights is without them")
    return lines


def gains(of_layers: Mapping[str, Any]) -> str:
    """`zero weights 3.09x, zero activations 1.69x, both 5.04x`."""
    return ", ".join(f"{name} {gain(of_layers, skipped)}" for skipped, name in SKIPPED.items())


def gain(of_layers: Mapping[str, Any], skipped: str) -> str:
    """A speed-up; a ? where it is not known, and words where no MAC is left."""
    from archmodel.simulation.inspection import LEFT

    if of_layers[LEFT[skipped]] == 0:
        return "leaves no MAC"
    speedup = of_layers["speedup"][skipped]
    return "?" if speedup is None else f"{speedup:.2f}x"
