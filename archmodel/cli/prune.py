"""`archmodel prune`: a network with fewer weights."""

from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.changed_tables import print_changed, run_change
from archmodel.cli.common import json_option
from archmodel.cli.operand_options import changing_options

if TYPE_CHECKING:
    from archmodel.simulation.pruned_network import PrunedNetwork


@click.command()
@click.argument("net", metavar="MODEL")
@click.option("--density", type=float, metavar="D", help="Share of the weights that survive, for instance 0.1.")
@click.option("--profile", metavar="NETWORK", help="The densities that a network states for layers of the same names.")
@click.option("--quality", type=float, metavar="Q", help="Magnitudes above Q standard deviations of the layer survive.")
@click.option("--scope", default="layer", show_default=True, metavar="SCOPE",
              help="layer; global: one threshold, so that layers have densities of their own.")
@click.option("--structure", default="none", show_default=True, metavar="STRUCTURE",
              help="none; 2:4, two of each four along channels; filters, channels or blocks:4x4, whole ones.")
@changing_options("pruned")
@json_option
def prune(as_json: bool, **arguments: Any) -> None:
    """Set weights to zero and write the network.

    MODEL is an ONNX file, or any network as for `archmodel sim` with --weights. An ONNX network is run before and
    after: a warning says when its outputs are no longer those of before. Nothing is retrained.

    \b
    archmodel prune model.onnx -o pruned.onnx --density 0.1 --input photo.png
    archmodel prune model.onnx -o pruned.onnx --structure 2:4 --layers 'conv*'
    archmodel prune vgg16 -o pruned.npz --weights vgg16.safetensors --profile vgg16
    """
    from archmodel.simulation import pruned_network

    run_change(pruned_network.prune, print_pruned, as_json, arguments)


def print_pruned(made: "PrunedNetwork") -> None:
    """The layers, their sums, and what became of the outputs."""

    def row(of: dict[str, Any]) -> list[str]:
        filters = f"{of['filters_kept']:,}/{of['filters']:,}" if "filters" in of else ""
        return [f"{of['density_before']:.3f}", f"{of['density']:.3f}", f"{of['nonzeros']:,}", filters]

    lines = [f"{'pruned':12} {made.rule}; kept: non-zero weights, filters: those with one of them"]
    print_changed(made, ["before", "after", "kept", "filters"], row, lines)
