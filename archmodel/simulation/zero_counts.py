"""What the zeros of one layer are worth: exact counts of non-zeros and of the MACs that they leave.

Padding is a zero of the inputs: who skips only zero weights multiplies it, who skips zero activations does not.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from archmodel.network.layer import Layer
from archmodel.operands.operands import Mask, Operands, effectual_macs, kernels_shape
from archmodel.operands.sources import TAKEN_AS_DENSE, OperandSource
from archmodel.simulation.formats import Formats


@dataclass(frozen=True)
class Spread:
    """Least, median and largest density of the filters or of the input channels of a layer."""

    least: float
    median: float
    largest: float

    @classmethod
    def of(cls, mask: Mask, axis: int) -> "Spread":
        """Over the slices of a mask along `axis`."""
        others = tuple(other for other in range(mask.ndim) if other != axis)
        densities = mask.sum(axis=others, dtype=np.int64) * mask.shape[axis] / mask.size
        return cls(float(densities.min()), float(np.median(densities)), float(densities.max()))

    def as_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"least": self.least, "median": self.median, "largest": self.largest}


@dataclass(frozen=True)
class ZeroCounts:
    """A layer that multiplies, over all images; None for what nothing is known of.

    weight_nonzeros : of the kernels; those of a matmul are its second input, image after image
    input_nonzeros : of what the weights multiply; of a recurrent layer x_t and h_(t-1) of each step
    output_density : expected non-zero fraction of the outputs
    macs_of_nonzero_weights, macs_of_nonzero_inputs : dense MACs less those with a zero weight, with a zero input
    macs_effectual : products of two non-zeros whose output is in range
    filter_densities, channel_densities : how evenly weights lie over filters, inputs over channels
    origins : what weights, inputs and outputs rest on
    weight_encodings, input_encodings : bytes in every format of encodings/encoding_sizes.py; None where not asked for
    weight_stored_bytes, input_stored_bytes : as the machine stores them that was asked for; None of other layers
    """

    layer: Layer
    batch: int
    word_bits: int
    weight_nonzeros: int | None
    input_nonzeros: int | None
    output_density: float | None
    macs_of_nonzero_weights: int | None
    macs_of_nonzero_inputs: int | None
    macs_effectual: int | None
    filter_densities: Spread | None
    channel_densities: Spread | None
    origins: dict[str, str]
    weight_encodings: dict[str, int] | None = None
    input_encodings: dict[str, int] | None = None
    weight_stored_bytes: int | None = None
    input_stored_bytes: int | None = None

    @classmethod
    def of(cls, layer: Layer, source: OperandSource, word_bits: int, formats: Formats | None = None) -> "ZeroCounts":
        """Make the operands of a layer, count and drop them; `formats` are those whose bytes are wanted."""
        known = source.known_masks(layer)
        weights, inputs = (known[operand][0] for operand in ("weights", "inputs"))
        output_density: float | None
        output_density, output_origin = source.output_density(layer)
        if output_origin == TAKEN_AS_DENSE:
            output_density, output_origin = None, "unknown"
        origins = {operand: origin for operand, (_, origin) in known.items()} | {"outputs": output_origin}
        weight_nonzeros = None if weights is None else int(np.count_nonzero(weights))
        return cls(
            layer,
            source.batch,
            word_bits,
            weight_nonzeros,
            None if inputs is None else int(np.count_nonzero(inputs)),
            output_density,
            None if weight_nonzeros is None else weight_nonzeros * uses_of_a_weight(layer, source.batch),
            products(layer, source.batch, None, inputs),
            None if weights is None else products(layer, source.batch, weights, inputs),
            None if weights is None else Spread.of(weights, axis=0),
            None if inputs is None else Spread.of(inputs, axis=1),
            origins,
            **({} if formats is None else formats.sizes(layer, weights, inputs, output_density)),
        )

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.layer.name

    @property
    def kind(self) -> str:
        """Of the layer."""
        return self.layer.kind

    @property
    def macs_dense(self) -> int:
        """All MACs, zeros and padding included."""
        return self.batch * self.layer.macs

    @property
    def weight_words(self) -> int:
        """Words of the kernels."""
        return math.prod(kernels_shape(self.layer, self.batch))

    @property
    def input_words(self) -> int:
        """Words that the weights multiply."""
        return self.batch * math.prod(self.layer.multiplied_shape)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the kernels, zeros included."""
        return -(-self.weight_words * self.word_bits // 8)

    @property
    def input_bytes(self) -> int:
        """Bytes of what the weights multiply, zeros included."""
        return -(-self.input_words * self.word_bits // 8)

    @property
    def weight_density(self) -> float | None:
        """Non-zero fraction of the weights."""
        return None if self.weight_nonzeros is None else self.weight_nonzeros / self.weight_words

    @property
    def input_density(self) -> float | None:
        """Non-zero fraction of the inputs."""
        return None if self.input_nonzeros is None else self.input_nonzeros / self.input_words

    @property
    def effectual_share(self) -> float | None:
        """Effectual over dense MACs."""
        return None if self.macs_effectual is None else self.macs_effectual / self.macs_dense

    def as_dict(self) -> dict[str, Any]:
        """The layer of `inspect --json`."""
        of_layer = ("name", "kind", "input_shape", "output_shape", "K", "R", "S", "stride", "groups")
        counted = ("macs_dense", "macs_of_nonzero_weights", "macs_of_nonzero_inputs", "macs_effectual")
        of_weights, of_inputs = (
            (f"{part}_words", f"{part}_nonzeros", f"{part}_density", f"{part}_bytes") for part in ("weight", "input")
        )
        encodings = {"weight_encodings": self.weight_encodings, "input_encodings": self.input_encodings}
        stored = ("weight_stored_bytes", "input_stored_bytes")
        spreads = {"filter_densities": self.filter_densities, "channel_densities": self.channel_densities}
        return {
            **{key: getattr(self.layer, key) for key in of_layer},
            **{key: getattr(self, key) for key in (*counted, "effectual_share")},
            **{key: getattr(self, key) for key in (*of_weights, *of_inputs, "output_density")},
            **{key: None if spread is None else spread.as_dict() for key, spread in spreads.items()},
            **{key: None if found is None else dict(found) for key, found in encodings.items()},
            **{key: getattr(self, key) for key in stored},
            "origins": dict(self.origins),
        }


def uses_of_a_weight(layer: Layer, batch: int) -> int:
    """Dense MACs of one weight over all images; a weight of a matmul is one image's own."""
    return layer.P * layer.Q * (1 if layer.kind == "matmul" else batch)


def products(layer: Layer, batch: int, weights: Mask | None, inputs: Mask | None) -> int | None:
    """Products of a non-zero input, in range, with the non-zero weights, or with all of them where these are None."""
    if inputs is None:
        return None
    if weights is None:
        weights = np.broadcast_to(np.uint8(1), kernels_shape(layer, batch))
    return effectual_macs(layer, Operands(weights, inputs, 1.0))
