"""Quantized weights: small integers and what they stand for.

Scales are one of the whole array, or one of each output channel (axis 0). Arithmetic is in float64 on a few rows at a
time; nothing depends on the machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, show
from archmodel.weights.magnitude import CELLS_AT_A_TIME, Weights, finite_range, layer_text

LINEAR_BITS = (4, 8, 16)
TERNARY_THRESHOLD = 0.7  # of the mean magnitude: Li and Liu, arXiv 1605.04711, eq. 6 (0.7, rounded from 2/3 and 0.75)


@dataclass(frozen=True, eq=False)
class Quantized:
    """Weights as integers.

    codes : int32, shape of the weights
    bits : int, of the word that stores a code
    scale : float64[] or float64[K], what a step of the codes stands for
    zero_point : int64[] or int64[K], the code of 0
    codebook : float32[number of codes] or None, what each code stands for where steps are not equal
    overflows, underflows : of floats, weights beyond the largest, and tiny ones that lost bits
    """

    codes: npt.NDArray[np.int32]
    bits: int
    scale: npt.NDArray[np.float64]
    zero_point: npt.NDArray[np.int64]
    codebook: npt.NDArray[np.float32] | None = None
    overflows: int = 0
    underflows: int = 0

    def values(self) -> npt.NDArray[np.float32]:
        """What the codes stand for, float32 of their shape."""
        if self.codebook is not None:
            return self.codebook[self.codes]
        made = np.empty(self.codes.shape, np.float32)
        for rows in rows_of(self.codes):
            codes = self.codes[rows]
            made[rows] = (codes - _of_rows(self.zero_point, rows, codes)) * _of_rows(self.scale, rows, codes)
        return made

    def num_zeros_made(self, original: Weights) -> int:
        """Weights that are not zero and whose code stands for zero."""
        return int(np.count_nonzero((self.values() == 0) & (original != 0)))

    def signal_to_noise_db(self, original: Weights) -> float:
        """10 log10 of the squares of the weights over those of the errors; infinite without an error."""
        values, signal, noise = self.values(), 0.0, 0.0
        for rows in rows_of(original):
            weights = original[rows].astype(np.float64)
            signal += float(np.square(weights).sum())
            noise += float(np.square(weights - values[rows]).sum())
        if noise == 0:
            return np.inf
        return float(10 * np.log10(signal / noise)) if signal else -np.inf


def quantize_linear(weights: Weights, bits: int, *, symmetric: bool = True, per_channel: bool = False) -> Quantized:
    """Codes in equal steps of 4, 8 or 16 bits, rounded to the nearest, in the middle to the even one.

    Symmetric: codes from -(2^(bits-1) - 1) to 2^(bits-1) - 1, the zero point is 0, a step is the largest magnitude over
    the largest code. Affine: codes from 0 to 2^bits - 1 over the range of the weights and 0, which has a code of its
    own, the zero point. What is all zero has steps of 1. An error is at most half a step.

    onnxruntime's quantizer has the same scales and zero points for QInt8 and QInt16 with symmetric=True, and for
    QUInt4, QUInt8 and QUInt16 with symmetric=False; its affine QInt8 is 128 less in codes and zero point. It differs
    where reduce_range leaves out a bit, and in symmetric QInt4, whose step is the range over 15 codes from -8 to 7.
    It keeps scales as float32, so that a weight in the middle between two codes may get the other one.
    """
    if bits not in LINEAR_BITS:
        raise WorkloadError(f"{layer_text('')}{show(bits)} bits; allowed: {', '.join(map(str, LINEAR_BITS))}")
    finite_range(weights)
    low, high = _ranges(weights, per_channel=per_channel)
    if symmetric:
        largest = 2 ** (bits - 1) - 1
        first, last, scale = -largest, largest, np.maximum(-low, high) / largest
        scale = np.where(scale > 0, scale, 1.0)
        zero_point = np.zeros(scale.shape, np.int64)
    else:
        first, last = 0, 2**bits - 1
        scale = (high - low) / last
        scale = np.where(scale > 0, scale, 1.0)
        zero_point = np.rint(-low / scale).astype(np.int64)
    codes = np.empty(weights.shape, np.int32)
    for rows in rows_of(weights):
        steps = np.rint(weights[rows] / _of_rows(scale, rows, weights)) + _of_rows(zero_point, rows, weights)
        codes[rows] = steps.clip(first, last)
    return Quantized(codes, bits, scale, zero_point)


def quantize_ternary(weights: Weights) -> Quantized:
    """Ternary weight network: -1, 0 and 1 of one scale (Li and Liu, arXiv 1605.04711).

    Magnitudes above 0.7 times the mean magnitude are not zero; the scale is their mean.
    """
    finite_range(weights)
    total = sum(float(np.abs(weights[rows].astype(np.float64)).sum()) for rows in rows_of(weights))
    threshold = TERNARY_THRESHOLD * total / max(weights.size, 1)
    codes, beyond = np.zeros(weights.shape, np.int32), 0.0
    for rows in rows_of(weights):
        magnitudes = np.abs(weights[rows].astype(np.float64))
        codes[rows] = np.where(magnitudes > threshold, np.sign(weights[rows]), 0)
        beyond += float(magnitudes[magnitudes > threshold].sum())
    scale = beyond / max(int(np.count_nonzero(codes)), 1) or 1.0
    return Quantized(codes, 2, np.array(scale), np.array(0))


def quantize_binary(weights: Weights) -> Quantized:
    """XNOR-Net's binary weights: signs, 1 for 0, times the filter's mean magnitude (Rastegari et al., ECCV 2016).

    No code stands for zero: pruned weights come back.
    """
    finite_range(weights)
    codes = np.where(weights >= 0, np.int32(1), np.int32(-1))
    means = [float(np.abs(filter_.astype(np.float64)).mean()) if filter_.size else 0.0 for filter_ in weights]
    return Quantized(codes, 1, np.array(means, np.float64), np.zeros(len(means), np.int64))


def _ranges(weights: Weights, *, per_channel: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Smallest and largest weight or 0, of the array [] or of each channel [K]."""
    axes = tuple(range(1, weights.ndim)) if per_channel else None
    low, high = weights.min(axis=axes, initial=0), weights.max(axis=axes, initial=0)
    return low.astype(np.float64), high.astype(np.float64)


def rows_of(weights: Weights) -> Iterator[slice | tuple[()]]:
    """Parts of an array along axis 0 that are small beside it."""
    if weights.ndim == 0:
        yield ()
        return
    at_a_time = max(CELLS_AT_A_TIME * len(weights) // max(weights.size, 1), 1)
    for first in range(0, len(weights), at_a_time):
        yield slice(first, first + at_a_time)


def _of_rows(per_channel: Weights, rows: slice | tuple[()], weights: Weights) -> Weights:
    """The numbers of some rows, to be combined with their weights; a single number is that of all."""
    if per_channel.ndim == 0:
        return per_channel
    return per_channel[rows].reshape(-1, *[1] * (weights.ndim - 1))
