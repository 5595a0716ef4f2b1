"""`archmodel show`: what is behind a name, or in a result file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from archmodel import config, errors
from archmodel.cli.common import WIDE, console, json_option, print_json
from archmodel.cli.configurations import KINDS, kind_of_file, show_file
from archmodel.cli.links import show_link
from archmodel.cli.memories import show_memory
from archmodel.network.layer import WORD_BITS

if TYPE_CHECKING:
    from rich.console import Console

    from archmodel.network import Layer, Network

RESULT_SUFFIXES = (".h5", ".hdf5")
DENSITIES = ("weight_density", "input_density", "output_density")
MOST_ORIGINS = 2  # different origins of one kind that are spelt out


@click.command("show")
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Describe a machine, a network, a memory, a link, or the result in a file.

    NAME is a name of `archmodel list`, or the path of a .h5, .onnx, .csv or .toml file. A file with a base is shown
    with the lines of the base that still hold, a DRAM part and a link with what follows; a file of your own is checked.
    """
    kind = kind_of(name)
    if kind == "result":
        show_result(name, as_json)
    elif kind == "workloads":
        show_network(name, as_json)
    elif kind == "memory":
        show_memory(name, as_json)
    elif kind == "links":
        show_link(name, as_json)
    else:
        show_file(kind, name, as_json)


def kind_of(name: str) -> str:
    """A kind of archmodel.config, or `result`; ConfigError with the nearest name."""
    known = {kind: config.names(kind) for kind in KINDS}
    for kind, names in known.items():
        if name in names:
            return kind
    if name.endswith(".toml"):
        return kind_of_file(name)
    if name.endswith((".onnx", ".csv")):
        return "workloads"
    if name.endswith(RESULT_SUFFIXES) or "/" in name:
        return "result"
    allowed = "a name of 'archmodel list', the path of a .h5, .onnx, .csv or .toml file"
    nearest = errors.did_you_mean(name, [one for names in known.values() for one in names])
    raise errors.ConfigError(f"{errors.show(name)}: unknown name; allowed: {allowed}{nearest}")


# Networks


def show_network(name: str, as_json: bool) -> None:
    """Print the layers of a network, its sums, and what is known of its zeros."""
    from archmodel.exchange import read_network

    network = read_network(name)
    _, source = config.locate("workloads", name)
    layers = [describe_layer(network, layer) for layer in network.layers]
    if as_json:
        print_json(
            {
                "kind": "network",
                "file": source,
                "name": network.name,
                "title": network.title,
                "source": network.source,
                "inputs": network.inputs,
                "word_bits": WORD_BITS,
                "totals": network_totals(layers),
                "published": {quantity: published.total for quantity, published in network.published.items()},
                "layers": layers,
            }
        )
        return
    print_network(console(), network, source, layers)


def describe_layer(network: "Network", layer: "Layer") -> dict[str, Any]:
    """A layer with its bytes and what is published or stated about its zeros; `weights_from` is count, real or stated.

    Densities are what a run uses if it is not told others; outputs of which nothing is known are dense.
    """
    from archmodel.operands.sources import OperandSource

    zeros = network.zeros.get(layer.name)
    weights_from, nonzeros = weight_nonzeros(network, layer)
    out, outputs_from = OperandSource(network).output_density(layer) if layer.is_compute else (None, None)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": layer.inputs,
        "input_shape": layer.input_shape,
        "K": layer.K,
        **{key: getattr(layer, key) for key in ("R", "S", "stride", "padding", "dilation", "groups", "mode")},
        "vocabulary": layer.vocabulary,
        "output_shape": layer.output_shape,
        "macs": layer.macs,
        "parameters": layer.parameters,
        "weight_words": layer.weight_words,
        "weight_bytes": (layer.weight_words + layer.vocabulary * layer.K) * WORD_BITS // 8,
        **{f"{key}_bytes": getattr(layer, f"{key}_words") * WORD_BITS // 8 for key in ("input", "output")},
        "weight_nonzeros": nonzeros,
        "weight_density": None if nonzeros is None else nonzeros / layer.weight_words,
        "weights_from": weights_from,
        "input_density": zeros.input_density if zeros else None,
        "output_density": out,
        "outputs_from": outputs_from,
        "zeros_source": zeros.source if zeros else None,
    }


def weight_nonzeros(network: "Network", layer: "Layer") -> tuple[str | None, int | None]:
    """How the non-zero weights are known, and how many they are."""
    zeros = network.zeros.get(layer.name)
    mask = network.weight_mask_file(layer.name)
    if mask is not None:
        from archmodel.operands.archive import real_mask

        return "real", int(real_mask(*mask, layer.weight_shape)[0].sum(dtype="int64"))
    if zeros is not None and zeros.weight_nonzeros is not None:
        return "count", zeros.weight_nonzeros
    if zeros is not None and zeros.weight_density is not None:
        return "stated", round(zeros.weight_density * layer.weight_words)
    return None, None


def network_totals(layers: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """Sums over the layers, for one image; non-zero weights where those of every layer are known.

    The kernels of a matmul are activations and no weights of the network.
    """
    weighted = [layer for layer in layers if layer["kind"] != "matmul"]
    totals: dict[str, int | None] = {key: sum(layer[key] for layer in layers) for key in ("macs", "parameters")}
    totals |= {key: sum(layer[key] for layer in weighted) for key in ("weight_words", "weight_bytes")}
    counts = [layer["weight_nonzeros"] for layer in weighted if layer["weight_words"]]
    return totals | {"weight_nonzeros": None if None in counts else sum(counts)}


def print_network(out: "Console", network: "Network", source: str, layers: Sequence[Mapping[str, Any]]) -> None:
    """The table of a network; a terminal too narrow for them has no inputs and no sources of weights."""
    from archmodel.cli.compare import print_columns

    wide = out.width >= WIDE
    headings = ["layer", "kind", *(["inputs", "zeros"] if wide else [])]
    num_texts = len(headings)
    headings += ["output", "MACs", "weights", "outputs", "w", "in", "out"]
    rows = [row for layer in layers for row in layer_rows(layer, wide)]
    sums = network_totals(layers)
    rows.append(total_row(sums, num_texts))
    out.print(f"{network.title} ({source})", soft_wrap=True)
    flexible = (0, headings.index("inputs")) if wide else (0,)
    print_columns(out, headings, rows, num_texts=num_texts, flexible=flexible, num_bold=1)
    out.print(f"sums         {sums['macs']:,} MACs, {sums['parameters']:,} parameters; one image", soft_wrap=True)
    inputs = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in network.inputs.items())
    for line in (f"inputs       {inputs}", f"source       {network.source}"):
        out.print(line, soft_wrap=True)
    for stated in dict.fromkeys(layer["zeros_source"] for layer in layers if layer["zeros_source"]):
        out.print(f"zeros        {stated}", soft_wrap=True)
    out.print(f"columns      weights, outputs: bytes of {WORD_BITS}-bit words, zeros included, no biases;")
    out.print("             w, in, out: densities of weights, inputs, outputs (1 if unknown)")
    if wide:
        out.print("             zeros: what is known of the weights, a count, a real mask, or a stated density")
    else:
        out.print(f"             what each layer reads: on {WIDE} columns, or with --json")


def layer_rows(layer: Mapping[str, Any], wide: bool) -> list[list[str]]:
    """Cells of a layer, blank what its kind does not have; each further input of a join has a row of its own."""
    from archmodel.cli.tables import si

    densities = ["" if layer[key] is None else f"{layer[key]:.2f}" for key in DENSITIES]
    first, *further = layer["inputs"]
    row = [
        *(layer["name"], shape_of_kind(layer)),
        *([first, layer["weights_from"] or ""] if wide else []),
        "x".join(map(str, layer["output_shape"])),
        si(layer["macs"]) if layer["macs"] else "",
        *(si(layer[key], "B") if layer[key] else "" for key in ("weight_bytes", "output_bytes")),
        *densities,
    ]
    return [row, *(["", "", name, *[""] * (len(row) - 3)] for name in (further if wide else []))]


def total_row(sums: Mapping[str, int | None], num_texts: int) -> list[str]:
    """Cells below the layers."""
    from archmodel.cli.tables import si

    macs, weight_bytes, nonzeros = sums["macs"] or 0, sums["weight_bytes"] or 0, sums["weight_nonzeros"]
    density = "" if nonzeros is None else f"{nonzeros / (sums['weight_words'] or 1):.2f}"
    return ["total", *[""] * num_texts, si(macs), si(weight_bytes, "B"), "", density, "", ""]


def shape_of_kind(layer: Mapping[str, Any]) -> str:
    """`conv 3x3/2 g32`: the kind, its kernel, its stride if that is not 1, its groups if there are any."""
    text = str(layer["kind"])
    if text in ("conv", "pool"):
        stride = by(layer["stride"])
        text += f" {layer['R']}x{layer['S']}" + ("" if stride == "1" else f"/{stride}")
    return text + (f" g{layer['groups']}" if layer["groups"] > 1 else "")


def by(stride: Sequence[int]) -> str:
    """2 for a stride that is the same both ways, else 2x1."""
    return str(stride[0]) if stride[0] == stride[1] else f"{stride[0]}x{stride[1]}"


# Results


def show_result(path: str, as_json: bool) -> None:
    """Print the table of a result file, what made it, and what its zeros rest on."""
    from archmodel import results
    from archmodel.accelerators.run_result import RunResult

    run = results.load(path)
    if not isinstance(run, RunResult):
        from archmodel.cli.training_tables import show_training

        show_training(run, path, as_json)
        return
    if as_json:
        print_json({"kind": "result", "file": path, "wall_s": run.wall_s, **run.as_dict()})
        return
    from archmodel.cli.tables import print_run

    out = console()
    print_run(run, out)
    out.print(made_by(run.provenance), soft_wrap=True)
    for line in origin_lines([layer.origins for layer in run.layers]):
        out.print(line, soft_wrap=True)


def made_by(provenance: Mapping[str, str]) -> str:
    """The line of what made a result."""
    return f"made by      {', '.join(f'{name} {version}' for name, version in provenance.items())}"


def origin_lines(origins: Sequence[Mapping[str, str]]) -> list[str]:
    """What weights, inputs and outputs of the layers rest on: `profile (6 layers): SCNN study`."""
    lines = []
    for operand in dict.fromkeys(operand for of_layer in origins for operand in of_layer):
        texts = [of_layer[operand] for of_layer in origins if operand in of_layer]
        for kind, count in Counter(text.partition(":")[0] for text in texts).items():
            sources = dict.fromkeys(source_of(text) for text in texts if text.partition(":")[0] == kind)
            spelt = f": {'; '.join(sources)}" if len(sources) <= MOST_ORIGINS and any(sources) else ""
            lines.append(f"{operand:12} {kind} ({count} layer{'s' if count > 1 else ''}){spelt}")
    return lines


def source_of(origin: str) -> str:
    """The source in `profile: numbers of the layer; source`, or in `kind: source`; either may have semicolons."""
    kind, _, rest = origin.partition(": ")
    numbers, _, source = rest.partition("; ")
    return source or numbers if kind == "profile" else rest
