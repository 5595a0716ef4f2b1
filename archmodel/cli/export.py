"""`archmodel export`: a network as a file of another tool, or as an own file to be edited."""

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archmodel.errors import ConfigError, ResultError, did_you_mean, one_line, show

if TYPE_CHECKING:
    from archmodel.operands.sources import OperandSource

FORMATS = ("scale_sim", "scale_sim_gemm", "sparseloop", "toml")
SUFFIXES = {".csv": "scale_sim", ".yaml": "sparseloop", ".yml": "sparseloop", ".toml": "toml"}


@click.command("export")
@click.argument("net")
@click.argument("file")
@click.option("--format", "form", metavar="FORMAT",
              help="scale_sim, scale_sim_gemm, sparseloop or toml; by default what the suffix of FILE means.")
@click.option("--weights", default="network", show_default=True, metavar="SOURCE",
              help="Zeros of sparseloop and toml: network, density=0.3, or a file as for `archmodel sim`.")
@click.option("--activations", default="network", show_default=True, metavar="SOURCE",
              help="network, density=0.4, or a file as for `archmodel sim`.")
def export(net: str, file: str, form: str | None, weights: str, activations: str) -> None:
    """Write a network as a file of SCALE-Sim (.csv), Sparseloop (.yaml) or archmodel (.toml).

    NET is a network as for `archmodel sim`. What the format cannot say is one line on stderr.

    \b
    archmodel export model.onnx model.toml
    archmodel export vgg16 vgg16.csv
    archmodel export squeezenet_pruned problems.yaml
    """
    form = format_of(file, form)
    from archmodel.config.targets import check_target, replace_file
    from archmodel.exchange import read_network
    from archmodel.operands.sources import OperandSource, Source

    check_target(file, [Path(file).suffix], "an exported file")
    sources = Source.parse(weights, "--weights"), Source.parse(activations, "--activations")
    source = OperandSource(read_network(net), *sources)
    text = written(source, form).encode()
    try:
        replace_file(os.path.realpath(file), text)
    except OSError as error:
        raise ResultError(f"{one_line(file)}: cannot be written: {error.strerror or error}") from None
    if unsaid := what_is_not_said(source, form):
        click.echo(f"archmodel: note: {one_line(file)} does not say: {'; '.join(unsaid)}", err=True)


def format_of(file: str, form: str | None) -> str:
    """One of FORMATS: the one asked for, or that of the suffix; ConfigError with what is allowed."""
    if form is not None:
        if form not in FORMATS:
            raise ConfigError(f"--format {show(form)}: allowed: {', '.join(FORMATS)}{did_you_mean(form, FORMATS)}")
        return form
    suffix = Path(file).suffix
    if suffix not in SUFFIXES:
        raise ConfigError(f"{show(file)}: allowed: a file that ends in {', '.join(SUFFIXES)}, or --format")
    return SUFFIXES[suffix]


def written(source: "OperandSource", form: str) -> str:
    """The text of the file."""
    from archmodel.exchange import scale_sim_writer, sparseloop_writer
    from archmodel.network import toml_writer
    from archmodel.operands.stated import all_densities, with_numbers

    if form == "toml":
        return toml_writer.toml_text(with_numbers(source))
    if form == "sparseloop":
        return sparseloop_writer.sparseloop_text(source.network, all_densities(source))
    if form == "scale_sim":
        return scale_sim_writer.convolutions_text(source.network)
    return scale_sim_writer.products_text(source.network)


def what_is_not_said(source: "OperandSource", form: str) -> list[str]:
    """What the network has and the format has no word for."""
    from archmodel.network.layer import GATES

    network = source.network
    layers, others = network.compute_layers, Counter(layer.kind for layer in network.layers if not layer.is_compute)
    scale_sim, toml = form.startswith("scale_sim"), form == "toml"
    recurrent = any(layer.kind in GATES for layer in layers)
    real = source.weights.path or any(network.weight_mask_file(layer.name) for layer in layers)
    has = {
        f"{others.total()} layers that do not multiply ({', '.join(others)})": not toml and others,
        "which layer reads which": not toml,
        "zeros": scale_sim and network.zeros,
        "where zeros lie, only how many they are": not scale_sim and (real or source.activations.path),
        "that padding is zeros": not toml and any(any(layer.padding) for layer in layers),
        "gaps of dilated kernels": scale_sim and any(layer.dilation != (1, 1) for layer in layers),
        "that steps of a recurrent layer wait for each other": not toml and recurrent,
        "that two strides differ, a product instead": form == "scale_sim"
        and any(layer.stride[0] != layer.stride[1] for layer in layers),
    }
    return [what for what, there in has.items() if there]
