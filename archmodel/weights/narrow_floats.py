"""Weights as floats of 16 bits: IEEE 754 half precision, and bfloat16."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.weights.magnitude import Weights, finite_range
from archmodel.weights.quantization import Quantized, rows_of

CODES = 2**16


@dataclass(frozen=True)
class FloatForm:
    """A binary float of 16 bits.

    significand_bits : of a normal number, the leading one included
    least_exponent : of 2, of the smallest normal number
    largest : finite magnitude
    """

    name: str
    significand_bits: int
    least_exponent: int
    largest: float

    @property
    def smallest_normal(self) -> float:
        """Below it a number has fewer bits of significand."""
        return float(np.ldexp(1.0, self.least_exponent))

    def codes(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """The 16 bits of values that the form has."""
        if self is FP16:
            return values.astype(np.float16).view(np.uint16).astype(np.int32)
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.int32)

    def codebook(self) -> npt.NDArray[np.float32]:
        """What each of all codes stands for, float32[65536]."""
        every = np.arange(CODES, dtype=np.uint32)
        if self is FP16:
            return every.astype(np.uint16).view(np.float16).astype(np.float32)
        return (every << 16).view(np.float32)


FP16 = FloatForm("fp16", 11, -14, 65504.0)  # IEEE 754-2019, binary16
BF16 = FloatForm("bf16", 8, -126, float(np.ldexp(255.0, 120)))  # the upper half of a binary32


def quantize_floats(weights: Weights, form: FloatForm) -> Quantized:
    """The nearest float of 16 bits, of two the one whose last bit is 0; a code is its bits, the code book has all.

    What would be rounded to infinity becomes the largest finite number and is counted as an overflow. A number below
    the smallest normal one that is not exact, or becomes zero, is counted as an underflow (IEEE 754, tiny and inexact).
    """
    finite_range(weights)
    codes, overflows, underflows = np.zeros(weights.shape, np.int32), 0, 0
    for rows in rows_of(weights):
        exact = weights[rows].astype(np.float64)
        values = rounded(exact, form)
        overflows += int(np.count_nonzero(np.abs(values) > form.largest))
        tiny = (np.abs(exact) < form.smallest_normal) & (values != exact)
        underflows += int(np.count_nonzero(tiny))
        codes[rows] = form.codes(values.clip(-form.largest, form.largest))
    return Quantized(codes, 16, np.array(1.0), np.array(0), form.codebook(), overflows, underflows)


def rounded(exact: npt.NDArray[np.float64], form: FloatForm) -> npt.NDArray[np.float64]:
    """To the nearest number of the form's significand, as if its exponent had no upper end; -0 is 0."""
    exponent = np.frexp(exact)[1].astype(np.int64)
    step = np.ldexp(1.0, np.maximum(exponent, form.least_exponent + 1) - form.significand_bits)
    return np.rint(exact / step) * step + 0.0
