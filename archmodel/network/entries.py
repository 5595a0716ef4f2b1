"""A layer as it is written in a network's file: strict keys for every kind."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from archmodel.config import FrozenModel
from archmodel.errors import WorkloadError, show
from archmodel.network.chain import Text
from archmodel.network.layer import GATES, MAX_WORDS, MODES, Layer, LayerKind, Shape, Window
from archmodel.network.network import matmul_kernels
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
    """What every layer has: add, multiply, concat, softmax and dropout have nothing else."""

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


class OtherEntry(LayerEntry):
    """What moves or mixes words; ``shape`` is what it makes."""

    shape: Annotated[list[Words], Field(min_length=3, max_length=3)]

    def layer(self, inputs: tuple[str, ...], shape: Shape, tensors: Mapping[str, Shape]) -> Layer:
        C, H, W = self.shape
        return Layer(self.name, self.kind, inputs, shape, K=C, result=(C, H, W))


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
    "other": OtherEntry,
}
