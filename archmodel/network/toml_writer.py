"""A network as the file that `toml_reader` reads: a line for every layer, nothing that is the default."""

import json
from collections.abc import Callable, Mapping

from archmodel.network.entries import ENTRIES, LayerEntry
from archmodel.network.layer import MODES, Layer, LayerKind
from archmodel.network.network import Network
from archmodel.network.published import PublishedTotal
from archmodel.network.zeros import Zeros

MAX_CHARACTERS = 1000  # of a text of the file
Cell = str | bool | int | float | tuple[int, ...] | list[str] | None

# What a layer has for every key of an entry, as short as the file allows; None is not written.
LAYER_KEYS: dict[str, Callable[[Layer], Cell]] = {
    "name": lambda layer: layer.name,
    "kind": lambda layer: layer.kind,
    "K": lambda layer: layer.K,
    "kernel": lambda layer: _short((layer.R, layer.S)),
    "stride": lambda layer: _short(layer.stride),
    "padding": lambda layer: _short(layer.padding),
    "dilation": lambda layer: _short(layer.dilation),
    "groups": lambda layer: layer.groups,
    "heads": lambda layer: layer.groups,
    "transpose": lambda layer: layer.mode == "transposed",
    "bias": lambda layer: layer.bias,
    "mode": lambda layer: layer.mode,
    "ceil": lambda layer: layer.ceil,
    "channels": lambda layer: _kept(layer, 0),
    "rows": lambda layer: _kept(layer, 1),
    "cols": lambda layer: _kept(layer, 2),
    "vocabulary": lambda layer: layer.vocabulary,
    "shape": lambda layer: layer.output_shape,
}
DEFAULTS: dict[str, Cell] = {
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "heads": 1,
    "transpose": False,
    "bias": True,
    "ceil": False,
}


def toml_text(network: Network) -> str:
    """The file of `network`, which reads back to an equal one; a mask of zeros stays a file beside it."""
    sources = {zeros.source for zeros in network.zeros.values()}
    common = next(iter(sources)) if len(sources) == 1 else None
    lines = [f"title = {_quoted(network.title)}", f"source = {_quoted(network.source)}"]
    if common is not None:
        lines.append(f"zeros_source = {_quoted(common)}")
    lines.append(f"inputs = {_table(dict(network.inputs), quoted_keys=True)}")
    if network.published:
        totals = {quantity: _total(total) for quantity, total in network.published.items()}
        lines.append("published = {" + ", ".join(f"{quantity} = {total}" for quantity, total in totals.items()) + "}")
    above = tuple(network.inputs) if len(network.inputs) == 1 else None
    lines.append("layers = [")
    for layer in network.layers:
        cells = layer_cells(layer, above, network.zeros.get(layer.name), common)
        lines.append(f"    {_table(cells)},")
        above = (layer.name,)
    return "\n".join([*lines, "]", ""])


def layer_cells(
    layer: Layer, above: tuple[str, ...] | None, zeros: Zeros | None, common: str | None
) -> dict[str, Cell]:
    """Keys of an entry and what it has there, the zeros last.

    `above` is what a layer reads that does not say it, `common` is the source of zeros that the file has.
    """
    keys = ENTRIES.get(layer.kind, LayerEntry).model_fields
    cells: dict[str, Cell] = {}
    for key in sorted(keys, key=lambda key: key not in (*LAYER_KEYS, "inputs")):
        value: Cell = None
        if key == "inputs":
            value = None if layer.inputs == above else list(layer.inputs)
        elif key in LAYER_KEYS:
            value = LAYER_KEYS[key](layer)
            value = None if value == _default(key, layer.kind) else value
        elif zeros is not None and key == "zeros_source":
            value = None if zeros.source == common else zeros.source
        elif zeros is not None:
            value = getattr(zeros, key)
        if value is not None:
            cells[key] = value
    return cells


def _default(key: str, kind: LayerKind) -> Cell:
    return MODES[kind][0] if key == "mode" else DEFAULTS.get(key)


def _short(numbers: tuple[int, ...]) -> Cell:
    """One number for equal ones, [vertical, horizontal] for sides that are equal in pairs."""
    if len(set(numbers)) == 1:
        return numbers[0]
    pairs = numbers[::2]
    return pairs if len(numbers) == 4 and pairs == numbers[1::2] else numbers


def _kept(layer: Layer, axis: int) -> Cell:
    assert layer.window is not None
    whole = (0, layer.input_shape[axis])
    return None if layer.window[axis] == whole else layer.window[axis]


def _total(total: PublishedTotal) -> str:
    said = {key: value for key, value in total if value is not None and value is not False}
    return _table(said) if len(said) > 1 else str(total.total)


def _table(cells: Mapping[str, Cell], quoted_keys: bool = False) -> str:
    written = (f"{_quoted(key) if quoted_keys else key} = {_value(value)}" for key, value in cells.items())
    return "{" + ", ".join(written) + "}"


def _value(value: Cell) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """A TOML string of at most MAX_CHARACTERS; JSON escapes the same, but for the character 127."""
    cut = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 3] + "..."
    printable = cut.encode("utf-8", "replace").decode()
    return json.dumps(printable, ensure_ascii=False).replace("\x7f", "\\u007f")
