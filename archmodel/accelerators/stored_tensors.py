"""What a tensor takes in the format that a machine's file names for it in [encoding].

Formats have the names of docs/encodings.md. Most machines compute on one format only and their files allow no other;
where the one in DRAM can be another (SCNN, DCNN-opt), those are allowed whose size words and non-zeros decide.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archmodel.config import FrozenModel
from archmodel.encodings.cell_encodings import Bitmask, Dense
from archmodel.encodings.codec import Cells, Codec
from archmodel.encodings.encoding_sizes import CODECS
from archmodel.operands.operands import Mask

InDram = Literal["zero_run", "bitmask", "zvc", "dense"]
WINDOW_WORDS = {"bitmask": 1, "zvc": 32}  # whose bits a mask has whole


class DenseEncoding(FrozenModel):
    """Of a machine that stores all zeros."""

    weights: Literal["dense"]
    activations: Literal["dense"]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the machine lays it out: matrices one behind the other, each in the same format.

    bits : of a code; uncounted : parts that the machine's own sizes leave out
    """

    codec: Codec
    bits: int
    matrices: Sequence[Mask]
    uncounted: tuple[str, ...] = ()

    def parts(self, bits: int | None = None) -> dict[str, int]:
        """Bytes by what they hold, of codes of other `bits` where given."""
        total: dict[str, int] = {}
        for matrix in self.matrices:
            for name, num_bytes in self.codec.part_bytes(Cells(matrix, bits or self.bits)).items():
                total[name] = total.get(name, 0) + num_bytes
        return total

    def num_bytes(self, bits: int | None = None) -> int:
        """Bytes that the machine counts."""
        return sum(size for name, size in self.parts(bits).items() if name not in self.uncounted)


Masks = Mapping[str, Mask]  # of `weights` [K, C / groups, R, S] and `inputs` [N, C, H, W], or of one of them
Stored = dict[str, StoredTensor]  # of the same


def all_dense(masks: Masks, weight_bits: int, input_bits: int) -> Stored:
    """All words of both."""
    bits = {"weights": weight_bits, "inputs": input_bits}
    return {operand: StoredTensor(Dense(), bits[operand], (mask,)) for operand, mask in masks.items()}


def bits_in_dram(encoding: InDram, words: float, nonzeros: float, data_bits: int) -> float:
    """Bits of a tensor in a format of `InDram` but zero runs, whose entries are counted where they are made."""
    if encoding == "dense":
        return words * data_bits
    window = WINDOW_WORDS[encoding]
    return math.ceil(words / window) * window + nonzeros * data_bits


def mask_codec(encoding: InDram) -> Codec:
    """The format of that name; only the number of non-zeros decides its size."""
    codec = CODECS[encoding]
    assert isinstance(codec, Bitmask | Dense)
    return codec
