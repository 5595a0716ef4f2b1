"""`archmodel quantize`: a network whose weights are the values of few bits, in a file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archmodel.config.targets import PathLike
from archmodel.errors import WorkloadError, one_line
from archmodel.network import Layer
from archmodel.simulation.changed_network import ChangedLayer, ChangedNetwork
from archmodel.simulation.changed_weights import Array, Arrays, Change, Changed, Request, change_weights, num_nonzeros
from archmodel.simulation.study import Progress
from archmodel.weights.quantization import Quantized
from archmodel.weights.weight_rules import Quantizer

FACTOR_BYTES = 4  # of a scale, and of a value of a code book
CODE_TYPES = (np.int8, np.int16, np.int32)


@dataclass(frozen=True)
class QuantizedLayer(ChangedLayer):
    """A layer before and after.

    signal_to_noise_db : of the values that codes stand for; None without an error, and without any weight but zeros
    zeros_made : weights that are not zero and whose code stands for zero
    distinct_codes : how many different codes there are
    bits : of a code
    bytes_before : of all weights in the type of the file
    bytes_after : of all codes, their scales and zero points, or their code book
    """

    signal_to_noise_db: float | None
    zeros_made: int
    distinct_codes: int
    bits: int
    bytes_before: int
    bytes_after: int


class QuantizedNetwork(ChangedNetwork[QuantizedLayer]):
    """What `quantize` wrote, and what it does to the outputs."""

    described_as = "form"
    summed = ("weight_words", "nonzeros_before", "nonzeros", "zeros_made", "bytes_before", "bytes_after")

    @property
    def form(self) -> str:
        """What weights became, in words."""
        return self.description


def quantize(
    net: str,
    output: PathLike,
    *,
    to: str,
    per: str = "tensor",
    affine: bool = False,
    layers: str | Sequence[str] | None = None,
    weights: str | None = None,
    inputs: Sequence[str] = (),
    preprocess: Sequence[str] = (),
    input_limit: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> QuantizedNetwork:
    """Round the weights of a network to what codes of few bits stand for, and write it.

    Parameters
    ----------
    net : an ONNX file, or any network with `weights`
    output : an .onnx file for an ONNX network: floats that only have the values of codes; or an .npz file with the
        codes as `<layer>.weights`, zero where the weight is, and what they stand for in `<layer>.scale` or
        `<layer>.codebook`
    to : 'int16', 'int8', 'int4', 'ternary', 'binary', 'shared8', 'shared5', 'shared4' (indices of a code book) or
        'fp16'
    per : of the integers 'tensor', or 'channel' for a scale of each output channel
    affine : of the integers, a zero point
    The other parameters are those of `prune`.

    Raises ConfigError, WorkloadError or ResultError with one line; `output` is then as it was.
    """
    quantizer = Quantizer.parse(to, per, affine)
    request = Request(net, output, layers, weights, inputs, preprocess, input_limit, seed)

    def change(layer: Layer, before: Array) -> Changed[QuantizedLayer]:
        try:
            quantized = quantizer.quantize(before)
        except WorkloadError as error:
            raise WorkloadError(f"{one_line(layer.name)}: {error}") from None
        values = quantized.values()
        row = _row(layer, before, quantized, values, quantizer)
        return Changed(_in_type(values, before), _stored(quantized, quantizer), row)

    def change_of(_: Arrays) -> Change[QuantizedLayer]:
        return change

    outcome = change_weights(request, f"quantized: {quantizer.description}", change_of, progress)
    return QuantizedNetwork.of(request, quantizer.description, outcome)


def _in_type(values: Array, before: Array) -> Array:
    """Values in the floats of the file; where that has integers as they are, which it then cannot take."""
    return values.astype(before.dtype) if before.dtype.kind == "f" else values


def _row(
    layer: Layer, before: Array, quantized: Quantized, values: Array, quantizer: Quantizer
) -> QuantizedLayer:
    signal_to_noise_db = quantized.signal_to_noise_db(before)
    codes = quantized.codes.reshape(-1)
    numbers_of_scales = 0 if quantized.codebook is not None else quantized.scale.size
    factors = quantized.codebook.size if quantizer.has_book and quantized.codebook is not None else numbers_of_scales
    zero_point_bits = quantized.zero_point.size * quantized.bits if quantized.zero_point.any() else 0
    return QuantizedLayer(
        name=layer.name,
        kind=layer.kind,
        weight_words=before.size,
        nonzeros_before=num_nonzeros(before),
        nonzeros=num_nonzeros(values),
        signal_to_noise_db=signal_to_noise_db if math.isfinite(signal_to_noise_db) else None,
        zeros_made=quantized.num_zeros_made(before),
        distinct_codes=int(np.count_nonzero(np.bincount(codes - codes.min()))) if codes.size else 0,
        bits=quantized.bits,
        bytes_before=before.nbytes,
        bytes_after=-(-(before.size * quantized.bits + zero_point_bits) // 8) + factors * FACTOR_BYTES,
    )


def _stored(quantized: Quantized, quantizer: Quantizer) -> dict[str, Array]:
    """Codes that are zero where the weight is, in the smallest integers that hold them, and what they stand for."""
    codes = quantized.codes
    if quantized.zero_point.any():
        codes = codes - quantized.zero_point.reshape(-1, *[1] * (codes.ndim - 1)).astype(np.int32)
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    fitting = next(kind for kind in CODE_TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    stored: dict[str, Array] = {"weights": codes.astype(fitting)}
    if quantizer.has_book and quantized.codebook is not None:
        return stored | {"codebook": quantized.codebook}
    return stored if quantized.codebook is not None else stored | {"scale": quantized.scale}
