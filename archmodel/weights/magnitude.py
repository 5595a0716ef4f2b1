"""Which weights are the largest: a cut between magnitudes, found one layer at a time without a copy of it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, one_line, show

Weights = npt.NDArray[Any]
Layers = Mapping[str, Weights]  # may read a layer when it is asked for, as numpy.load does
Keep = npt.NDArray[np.bool_]

DIGIT_BITS = 16  # of a magnitude that one pass over the weights looks at
CELLS_AT_A_TIME = 2**20  # bounds the memory beside a layer to a few times as many words
EXACT_IN_FLOAT32 = ("float16", "float32", "int8", "int16", "uint8", "uint16")
EXACT_IN_FLOAT64 = ("float64", "int32", "uint32")


class Cut(NamedTuple):
    """What survives: larger magnitudes, and the first `ties` weights of each layer that have exactly this one."""

    magnitude: np.float64  # a Python float would be rounded to float32 beside float32 weights
    ties: Mapping[str, int]


class _TooNarrowError(Exception):
    """A layer has magnitudes that the chosen floats cannot tell apart."""


def largest(layers: Layers, num_kept: int) -> Cut:
    """The cut that leaves the `num_kept` weights of largest magnitude of all layers together, exactly.

    Of equal magnitudes those of earlier layers survive, and within a layer those that come first in C order. The
    magnitudes are sorted by the digits of their bits, the highest first: a pass over the layers for every digit, which
    is two for float32 and four for float64, and one more where only some of equal magnitudes survive.
    """
    if num_kept == 0:
        return Cut(np.float64(np.inf), {})
    try:
        return _cut(layers, num_kept, np.dtype(np.float32))
    except _TooNarrowError:
        return _cut(layers, num_kept, np.dtype(np.float64))


def above(weights: Weights, cut: Cut, name: str = "") -> Keep:
    """Where the weights of the layer of that name survive a cut: bool of their shape."""
    cells, keep, ties = weights.reshape(-1), np.empty(weights.size, bool), cut.ties.get(name, 0)
    for chunk in _chunks(cells):
        magnitudes = np.abs(cells[chunk].astype(float_type(weights, name)))
        keep[chunk] = magnitudes > cut.magnitude
        if ties:
            survivors = np.flatnonzero(magnitudes == cut.magnitude)[:ties]
            keep[chunk][survivors] = True
            ties -= survivors.size
    return keep.reshape(weights.shape)


def float_type(weights: Weights, name: str) -> np.dtype[Any]:
    """The floats that hold the weights exactly; WorkloadError for types that are no weights."""
    if weights.dtype.name in EXACT_IN_FLOAT32:
        return np.dtype(np.float32)
    if weights.dtype.name in EXACT_IN_FLOAT64:
        return np.dtype(np.float64)
    allowed = ", ".join((*EXACT_IN_FLOAT32, *EXACT_IN_FLOAT64))
    raise WorkloadError(f"{layer_text(name)}type {weights.dtype.name}; allowed: {allowed}")


def layer_text(name: str) -> str:
    """The start of an error's line."""
    return f"{one_line(name)}: weights: " if name else "weights: "


def check_density(density: float, name: str = "") -> None:
    """WorkloadError unless it is a share."""
    if not 0 <= density <= 1:
        raise WorkloadError(f"{layer_text(name)}density {show(density)}; allowed: 0 to 1")


def finite_range(weights: Weights, name: str = "") -> tuple[float, float]:
    """Smallest and largest weight, 0 and 0 of none; WorkloadError for NaN, infinity and types that are no weights."""
    float_type(weights, name)
    low, high = (float(weights.min()), float(weights.max())) if weights.size else (0.0, 0.0)
    if not np.isfinite(low) or not np.isfinite(high):
        raise WorkloadError(f"{layer_text(name)}NaN or infinity; allowed: finite numbers")
    return low, high


def _cut(layers: Layers, num_kept: int, floats: np.dtype[Any]) -> Cut:
    missing, digits = num_kept, 8 * floats.itemsize // DIGIT_BITS
    prefix = num_equal = 0
    for digit in reversed(range(digits)):
        counts = np.zeros(2**DIGIT_BITS, np.int64)
        for name in layers:
            for bits in _magnitude_bits(layers[name], name, floats):
                shifted = bits >> (digit * DIGIT_BITS)
                if digit < digits - 1:
                    shifted = shifted[shifted >> DIGIT_BITS == prefix] & (2**DIGIT_BITS - 1)
                counts += np.bincount(shifted, minlength=2**DIGIT_BITS)
        at_least = np.cumsum(counts[::-1])[::-1]  # [d]: weights whose digit is d or more
        chosen = int(np.flatnonzero(at_least >= missing)[-1])
        num_equal = int(counts[chosen])
        missing -= int(at_least[chosen]) - num_equal
        prefix = prefix << DIGIT_BITS | chosen
    magnitude = np.float64(np.array([prefix], f"u{floats.itemsize}").view(floats)[0])
    return Cut(magnitude, _ties(layers, magnitude, missing, all_survive=missing == num_equal))


def _ties(layers: Layers, magnitude: np.float64, num_surviving: int, *, all_survive: bool) -> dict[str, int]:
    """How many of the weights at the cut survive in each layer, where the earlier ones come first."""
    if all_survive or len(layers) == 1:
        return dict.fromkeys(layers, num_surviving)
    ties = {}
    for name in layers:
        cells = layers[name].reshape(-1)
        floats = float_type(cells, name)
        there = sum(int((np.abs(cells[chunk].astype(floats)) == magnitude).sum()) for chunk in _chunks(cells))
        ties[name] = min(there, num_surviving)
        num_surviving -= ties[name]
    return ties


def _magnitude_bits(weights: Weights, name: str, floats: np.dtype[Any]) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    """The magnitudes as unsigned integers in the same order, some at a time."""
    if float_type(weights, name).itemsize > floats.itemsize:
        raise _TooNarrowError
    unsigned, cells = np.dtype(f"u{floats.itemsize}"), weights.reshape(-1)
    infinity = np.array(np.inf, floats).view(unsigned)
    for chunk in _chunks(cells):
        bits = np.abs(cells[chunk].astype(floats)).view(unsigned)
        if bits.max() >= infinity:
            raise WorkloadError(f"{layer_text(name)}NaN or infinity; allowed: finite numbers")
        yield bits


def _chunks(cells: Weights) -> Iterator[slice]:
    for start in range(0, cells.size, CELLS_AT_A_TIME):
        yield slice(start, start + CELLS_AT_A_TIME)
