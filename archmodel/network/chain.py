"""What stands in the `layers` of a network file: layers, and chains of layers written once and repeated."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag

from archmodel.config import FrozenModel
from archmodel.errors import WorkloadError
from archmodel.network.layer import LayerKind

MAX_LAYERS = 10_000
NUMBER, NUMBER_BEFORE = "{}", "{-1}"


def _check_number(name: str) -> str:
    if NUMBER not in name:
        raise ValueError(f"must contain {NUMBER}, which becomes the number of the repetition")
    return name


Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class LayerHead(FrozenModel):
    """Name and kind; the kind decides which other keys there are."""

    model_config = ConfigDict(extra="ignore")
    name: Text
    kind: LayerKind


class ChainLayerHead(LayerHead):
    """Name and kind of a layer in a chain."""

    name: Annotated[Text, AfterValidator(_check_number)]


class Chain(FrozenModel):
    """Layers that stand in the network ``repeat`` times, one repetition below the other, numbered from ``first``.

    In their names, and in their inputs, ``{}`` becomes the number of the repetition; in inputs ``{-1}`` becomes the
    number of the one before. Layers outside a chain call those inside by the names that this gives.
    """

    repeat: Annotated[int, Field(ge=1, le=MAX_LAYERS)]
    first: Annotated[int, Field(ge=0, le=MAX_LAYERS)] = 1
    layers: Annotated[list[ChainLayerHead], Field(min_length=1, max_length=MAX_LAYERS)]


def _tag(entry: object) -> str:
    return "a chain" if isinstance(entry, dict) and not entry.keys().isdisjoint(("repeat", "layers")) else "a layer"


LayerOrChain = Annotated[
    Annotated[LayerHead, Tag("a layer")] | Annotated[Chain, Tag("a chain")],
    Discriminator(_tag),
]


def write_out(entries: Sequence[LayerHead | Chain], tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tables of single layers, in order, given the checked ``entries`` of a file and the tables they come from.

    WorkloadError if the repetitions make more layers than a network may have.
    """
    num_layers = sum(entry.repeat * len(entry.layers) if isinstance(entry, Chain) else 1 for entry in entries)
    if num_layers > MAX_LAYERS:
        raise WorkloadError(f"layers: {num_layers} with their repetitions, must be at most {MAX_LAYERS}")
    written: list[dict[str, Any]] = []
    for entry, table in zip(entries, tables, strict=True):
        if isinstance(entry, Chain):
            numbers = range(entry.first, entry.first + entry.repeat)
            written += [_numbered(layer, number) for number in numbers for layer in table["layers"]]
        else:
            written.append(table)
    return written


def _numbered(table: dict[str, Any], number: int) -> dict[str, Any]:
    """The table of a layer in one repetition of its chain."""
    numbered = table | {"name": table["name"].replace(NUMBER, str(number))}
    inputs = table.get("inputs")
    if isinstance(inputs, list):
        numbered["inputs"] = [_input(one, number) if isinstance(one, str) else one for one in inputs]
    return numbered


def _input(name: str, number: int) -> str:
    return name.replace(NUMBER, str(number)).replace(NUMBER_BEFORE, str(number - 1))
