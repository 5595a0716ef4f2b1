"""Networks in the project's own TOML: strict keys for every layer kind, shapes inferred layer by layer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field

from archmodel import config
from archmodel.config import FrozenModel
from archmodel.errors import WorkloadError, show
from archmodel.network.chain import MAX_LAYERS, LayerOrChain, Text, write_out
from archmodel.network.layer import GATES, MAX_WORDS, MODES, Layer, LayerKind, Shape, Window
from archmodel.network.network import Network, joined_shape, matmul_kernels
from archmodel.network.published import PublishedTotal
from archmodel.network.zeros import Zeros


def _spread(value: object, *lengths: int) -> tuple[int, ...]:
    """A whole number, or a list of as many as one of ``lengths``, as a tuple of the longest length."""
    numbers = _whole_numbers(value if isinstance(value, list | tuple) else [value] * max(lengths))
    if len(numbers) not in lengths:
        raise ValueError(f"must be a whole number or a list of {' or '.join(map(str, lengths))}")
    repeats = max(lengths) // len(numbers)
    return tuple(number for number in numbers for _ in range(repeats))


def _from_to(value: object) -> tuple[int, ...]:
    numbers = _whole_numbers(value)
    if len(numbers) != 2:
        raise ValueError("must be a list of two whole numbers, [from, to)")
    return numbers


def _whole_numbers(value: object) -> tuple[int, ...]:
    """The numbers of a list, or none at all if it is no list or one of them is not whole."""
    numbers = tuple(one for one in value if type(one) is int) if isinstance(value, list | tuple) else ()
    return numbers if isinstance(value, list | tuple) and len(numbers) == len(value) else ()


Words = Annotated[int, Field(ge=1, le=MAX_WORDS)]
Pair = Annotated[tuple[int, int], BeforeValidator(lambda value: _spread(value, 2))]
# One number for all sides, [vertical, horizontal], or [top, bottom, left, right].
Sides = Annotated[tuple[int, int, int, int], BeforeValidator(lambda value: _spread(value, 2, 4))]
Range = Annotated[tuple[int, int], BeforeValidator(_from_to)]


class LayerEntry(FrozenModel):
    """What every layer has: add, concat, softmax and dropout have nothing else."""

    name: Text
    kind: LayerKind
    inputs: list[Text] | None = None

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        """The layer that reads ``inputs``, joined to ``shape``; ``tensors`` are those of the network above it."""
        return Layer(self.name, self.kind, inputs, shape, K=shape[0])

    def zeros(self, source: str | None) -> Zeros | None:
        """What the entry says about non-zeros; ``source`` is the one of the file."""
        return None


class MultiplyingEntry(LayerEntry):
    """What is known of the zeros of any layer that multiplies."""

    weight_density: float | None = None
    input_density: float | None = None
    output_density: float | None = None
    zeros_source: Text | None = None

    def zeros(self, source: str | None) -> Zeros | None:
        stated: dict[str, Any] = {
            key: getattr(self, key)
            for key in Zeros.__dataclass_fields__
            if key != "source" and getattr(self, key, None) is not None
        }
        try:
            if stated:
                return Zeros(source=self.zeros_source or source or "", **stated)
            if self.zeros_source is not None:
                raise WorkloadError(f"zeros_source = {show(self.zeros_source)}: the layer states no non-zeros")
        except WorkloadError as error:
            raise WorkloadError(f"layer {show(self.name)}: {error}") from None
        return None


class MatmulEntry(MultiplyingEntry):
    """The product of two inputs, of the second transposed if said; ``weight_density`` is of the second."""

    heads: int = 1
    transpose: bool = False

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        mode = "transposed" if self.transpose else "product"
        K = matmul_kernels(self.name, inputs, mode, self.heads, tensors)
        return Layer(self.name, self.kind, inputs, shape, K, groups=self.heads, bias=False, mode=mode)


class WeightedEntry(MultiplyingEntry):
    """Layers with weights; fc and recurrent layers have no further keys."""

    K: int
    bias: bool = True
    weight_nonzeros: int | None = None
    weight_mask: str | None = None

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        return Layer(self.name, self.kind, inputs, shape, self.K, bias=self.bias)


class ConvEntry(WeightedEntry):
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    structure: str | None = None

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        R, S = self.kernel
        return Layer(
            self.name,
            self.kind,
            inputs,
            shape,
            self.K,
            R,
            S,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=self.bias,
        )


class PoolEntry(LayerEntry):
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    mode: str = MODES["pool"][0]
    ceil: bool = False

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        R, S = self.kernel
        return Layer(
            self.name,
            self.kind,
            inputs,
            shape,
            shape[0],
            R,
            S,
            stride=self.stride,
            padding=self.padding,
            mode=self.mode,
            ceil=self.ceil,
        )


class ModeEntry(LayerEntry):
    """norm (lrn if not said) and activation (relu if not said)."""

    mode: str | None = None

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        mode = MODES[self.kind][0] if self.mode is None else self.mode
        return Layer(self.name, self.kind, inputs, shape, K=shape[0], mode=mode)


class SliceEntry(LayerEntry):
    """What is kept, [from, to); an axis that is not named is kept whole."""

    channels: Range | None = None
    rows: Range | None = None
    cols: Range | None = None

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        window: Window = (self.channels or (0, shape[0]), self.rows or (0, shape[1]), self.cols or (0, shape[2]))
        return Layer(self.name, self.kind, inputs, shape, K=window[0][1] - window[0][0], window=window)


class EmbeddingEntry(LayerEntry):
    """A table of ``vocabulary`` rows of K words."""

    K: int
    vocabulary: Words

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        return Layer(self.name, self.kind, inputs, shape, self.K, vocabulary=self.vocabulary)


ENTRIES: dict[str, type[LayerEntry]] = {
    "conv": ConvEntry,
    "fc": WeightedEntry,
    **dict.fromkeys(GATES, WeightedEntry),
    "matmul": MatmulEntry,
    "embedding": EmbeddingEntry,
    "pool": PoolEntry,
    "norm": ModeEntry,
    "activation": ModeEntry,
    "slice": SliceEntry,
}

Entry = TypeVar("Entry", bound=LayerEntry)


class OneLayer(FrozenModel, Generic[Entry]):
    """One entry in the place it has in the file, so that messages say ``layers[name].key``."""

    layers: list[Entry]


def _with_digits(value: object) -> object:
    """A bare number is a total without a source."""
    if type(value) is int:
        return {"total": value}
    if not isinstance(value, dict):
        raise ValueError("must be a whole number or a section with total")
    return value


Total = Annotated[PublishedTotal, BeforeValidator(_with_digits)]


class Published(FrozenModel):
    """What others publish of `Network.totals`."""

    parameters: Total | None = None
    parameters_mib: Total | None = None
    macs: Total | None = None
    conv_macs: Total | None = None

    def totals(self) -> dict[str, PublishedTotal]:
        """Those that are given."""
        return {quantity: total for quantity, total in self if total is not None}


class NetworkFile(FrozenModel):
    title: Text
    source: Text
    zeros_source: Text | None = None
    inputs: Annotated[dict[Text, Annotated[list[Words], Field(min_length=3, max_length=3)]], Field(min_length=1)]
    published: Published = Published()
    layers: Annotated[list[LayerOrChain], Field(min_length=1, max_length=MAX_LAYERS)]


def read_network(name_or_path: str | Path) -> Network:
    """The network of a bare name (the project's own) or of a TOML file.

    Raises ConfigError where the file is not a network file, WorkloadError where the network cannot be; each is one
    line with the file, the layer and what is allowed.
    """
    path, source = config.locate("workloads", name_or_path)
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
