"""`archmodel quantize`: a network with weights of few bits."""

from typing import TYPE_CHECKING, Any

import click

from archmodel.cli.changed_tables import print_changed, run_change
from archmodel.cli.common import json_option
from archmodel.cli.operand_options import changing_options

if TYPE_CHECKING:
    from archmodel.simulation.quantized_network import QuantizedNetwork


@click.command()
@click.argument("net", metavar="MODEL")
@click.option("--to", required=True, metavar="FORM",
              help="int16, int8, int4, ternary, binary, fp16, or shared8, shared5, shared4: indices of a code book.")
@click.option("--per", default="tensor", show_default=True, metavar="PART",
              help="Scales of the integers: tensor; channel, one for each output channel.")
@click.option("--affine", is_flag=True, help="Integers over the range of the weights, with a zero point.")
@changing_options("quantized")
@json_option
def quantize(as_json: bool, **arguments: Any) -> None:
    """Round weights to the values of codes of few bits and write the network.

    MODEL is an ONNX file, or any network as for `archmodel sim` with --weights. An ONNX file keeps floats, of the
    values that codes stand for; an npz file has the codes. An ONNX network is run before and after.

    \b
    archmodel quantize model.onnx -o int8.onnx --to int8 --per channel --input photo.png
    archmodel quantize lenet5 -o ternary.npz --weights lenet5.npz --to ternary
    """
    from archmodel.simulation import quantized_network

    run_change(quantized_network.quantize, print_quantized, as_json, arguments)


def print_quantized(made: "QuantizedNetwork") -> None:
    """The layers, their sums, and what became of the outputs."""
    from archmodel.cli.inspect import kib

    def row(of: dict[str, Any]) -> list[str]:
        sizes = (kib(of[key]) for key in ("bytes_before", "bytes_after"))
        texts = [decibels(of), str(of["distinct_codes"]), str(of["bits"])] if "bits" in of else ["", "", ""]
        return [*texts, f"{of['zeros_made']:,}", *sizes]

    floats = "; the file has floats of the values that codes stand for" if made.output.endswith(".onnx") else ""
    lines = [
        f"{'quantized':12} {made.form}{floats}",
        f"{'columns':12} dB: signal to noise; codes: different ones; zeros: made by it; before, after: KiB",
    ]
    print_changed(made, ["dB", "codes", "bits", "zeros", "before", "after"], row, lines)


def decibels(layer: dict[str, Any]) -> str:
    """Signal to noise; `exact` where there is no error, blank where there is no signal."""
    if layer["signal_to_noise_db"] is None:
        return "exact" if layer["nonzeros_before"] == layer["nonzeros"] else ""
    return f"{layer['signal_to_noise_db']:.1f}"
