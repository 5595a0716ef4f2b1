"""`archmodel train`: the memory of one training iteration."""

from typing import TYPE_CHECKING

import click

from archmodel.cli.common import console, json_option, print_json, print_wrapped

if TYPE_CHECKING:
    from archmodel.iteration import IterationMemory

UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
INDENT = 13 * " "


@click.command()
@click.option("--net", required=True, metavar="NAME", help="A name of `archmodel list networks`, or a file.")
@click.option("--batch", type=int, required=True, metavar="N", help="Images of an iteration.")
@click.option("--precision", default="fp32", show_default=True, metavar="NAME", help="fp32, fp16 or mixed.")
@click.option("--optimizer", default="sgd", show_default=True, metavar="NAME", help="sgd, momentum or adam.")
@click.option("--in-place/--out-of-place", default=True, show_default=True, help="Whether activations overwrite.")
@click.option("--capacity-bytes", type=int, metavar="N", help="Of the device; 12 GiB are 12884901888.")
@click.option("--accounting", metavar="NAME", help="Count as a framework does, too: caffe.")
@click.option(
    "--caffe-form",
    default="benchmark",
    show_default=True,
    metavar="NAME",
    help="Prototxt that Caffe counts: benchmark, deploy or train.",
)
@json_option
def train(
    *,
    net: str,
    batch: int,
    precision: str,
    optimizer: str,
    in_place: bool,
    capacity_bytes: int | None,
    accounting: str | None,
    caffe_form: str,
    as_json: bool,
) -> None:
    """Show the memory that one training iteration of a network takes.

    \b
    archmodel train --net vgg16 --batch 256 --capacity-bytes 12884901888
    archmodel train --net alexnet_owt --batch 128 --accounting caffe
    """
    from archmodel.iteration import iteration_memory
    from archmodel.training import TrainingChoices

    choices = TrainingChoices(precision=precision, optimizer=optimizer, in_place=in_place)  # type: ignore[arg-type]
    found = iteration_memory(
        net,
        batch,
        choices=choices,
        accounting=accounting,
        caffe_form=caffe_form,  # type: ignore[arg-type]
        capacity_bytes=capacity_bytes,
    )
    if as_json:
        print_json(found.as_dict())
    else:
        print_memory(found)


def print_memory(found: "IterationMemory") -> None:
    """Print a line for every allocator, one for the kinds of tensors, one for Caffe."""
    from archmodel.cli.compare import print_columns
    from archmodel.training.steps import PERSISTENT

    graph, out = found.graph, console()
    choices = graph.choices
    print_wrapped(
        out,
        f"{found.network.name}, a batch of {graph.batch:,}, {choices.precision}, {choices.optimizer}:"
        f" {len(graph.steps):,} steps",
    )
    peak = max(curve.peak_bytes for curve in found.curves.values())
    unit = next((name for name, size in UNITS.items() if peak >= size), "KiB")
    size = UNITS[unit]
    rows = [
        [
            name.replace("_", " "),
            f"{curve.peak_bytes / size:.2f}",
            f"{curve.average_bytes() / size:.2f}",
            f"{100 * curve.fragmentation:.1f}",
            *([] if found.capacity_bytes is None else ["yes" if curve.peak_bytes <= found.capacity_bytes else "no"]),
        ]
        for name, curve in found.curves.items()
    ]
    headings = ["allocator", f"peak {unit}", f"average {unit}", "unused %"]
    headings += [] if found.capacity_bytes is None else ["fits"]
    print_columns(out, headings, rows, num_texts=1, flexible=(), num_bold=0)
    kinds = {
        "maps": graph.bytes_of("feature_map"),
        "their gradients": graph.bytes_of("gradient_map"),
        "weights and optimizer": graph.bytes_of(*PERSISTENT),
        "weight gradients": graph.bytes_of("weight_gradient"),
        "saved": graph.bytes_of("saved"),
    }
    listed = ", ".join(f"{kind} {num_bytes / size:.2f}" for kind, num_bytes in kinds.items())
    print_wrapped(out, f"{f'{unit} of':12} {listed}; without workspace", INDENT)
    if found.caffe_bytes is not None:
        print_wrapped(
            out, f"{'Caffe':12} memory required for data: {found.caffe_bytes:,} bytes ({found.caffe_form})", INDENT
        )
    if found.network.left_out:
        print_wrapped(out, f"{'left out':12} {', '.join(found.network.left_out)}", INDENT)
