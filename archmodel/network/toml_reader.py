"""Networks in the project's own TOML: strict keys for every layer kind, shapes inferred layer by layer."""

from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

from archmodel import config
from archmodel.config import FrozenModel
from archmodel.errors import WorkloadError, show
from archmodel.network.chain import MAX_LAYERS, LayerOrChain, Text, write_out
from archmodel.network.entries import ENTRIES, LayerEntry, Words
from archmodel.network.layer import Layer, Shape
from archmodel.network.network import Network, joined_shape
from archmodel.network.published import Published

Entry = TypeVar("Entry", bound=LayerEntry)


class OneLayer(FrozenModel, Generic[Entry]):
    """One entry in the place it has in the file, so that messages say ``layers[name].key``."""

    layers: list[Entry]


class NetworkFile(FrozenModel):
    title: Text
    source: Text
    zeros_source: Text | None = None
    inputs: Annotated[dict[Text, Annotated[list[Words], Field(min_length=3, max_length=3)]], Field(min_length=1)]
    published: Published = Published()
    layers: Annotated[list[LayerOrChain], Field(min_length=1, max_length=MAX_LAYERS)]


def read_toml(name_or_path: str | Path, path: Path, source: str) -> Network:
    """The network of a TOML file, which messages call ``source``; `readers.read_network` says what it raises."""
    data, _ = config.read("workloads", name_or_path)
    file = config.validate(NetworkFile, data, source)
    try:
        entries = [_entry(table, source) for table in write_out(file.layers, data["layers"])]
        return _network(file, entries, path)
    except WorkloadError as error:
        raise WorkloadError(f"{source}: {error}") from None


def _entry(table: dict[str, Any], source: str) -> LayerEntry:
    model = ENTRIES.get(table["kind"], LayerEntry)
    return config.validate(OneLayer[model], {"layers": [table]}, source).layers[0]  # type: ignore[valid-type]


def _network(file: NetworkFile, entries: list[LayerEntry], path: Path) -> Network:
    inputs: dict[str, Shape] = {name: (C, H, W) for name, (C, H, W) in file.inputs.items()}
    shapes = dict(inputs)
    below = {entry.name for entry in entries}
    layers: list[Layer] = []
    for entry in entries:
        names = _input_names(entry, inputs, layers)
        layer = entry.layer(names, joined_shape(entry.name, entry.kind, names, shapes, below), shapes)
        shapes[layer.name] = layer.output_shape
        layers.append(layer)
    stated = {entry.name: entry.zeros(file.zeros_source) for entry in entries}
    network = Network(
        name=path.stem,
        title=file.title,
        source=file.source,
        inputs=inputs,
        layers=tuple(layers),
        zeros={name: zeros for name, zeros in stated.items() if zeros is not None},
        published=file.published.totals(),
        folder=path.parent,
    )
    _check_mask_files(network)
    return network


def _input_names(entry: LayerEntry, inputs: dict[str, Shape], above: list[Layer]) -> tuple[str, ...]:
    """The inputs of an entry; where it names none the layer above it, or for the first the only network input."""
    if entry.inputs is not None:
        return tuple(entry.inputs)
    if not above and len(inputs) > 1:
        raise WorkloadError(f"layer {show(entry.name)}: inputs: is missing; allowed: {', '.join(map(show, inputs))}")
    return (above[-1].name,) if above else tuple(inputs)


def _check_mask_files(network: Network) -> None:
    for name, zeros in network.zeros.items():
        mask = network.weight_mask_file(name)
        if mask is not None and not mask[0].is_file():
            raise WorkloadError(
                f"layer {show(name)}: weight_mask = {show(zeros.weight_mask)}: no such file beside the network"
            )
