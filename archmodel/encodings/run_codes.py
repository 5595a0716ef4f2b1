"""Runs of zeros and of words, window by window, as a compressing DMA engine stores them. docs/cdma.md has the bytes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from archmodel.encodings.codec import Cells, Codec, nonzero_codes, num_bytes, packed, unpacked
from archmodel.errors import WorkloadError
from archmodel.operands.operands import Mask, Values

LENGTH_BITS = 7  # of a run, less one; the eighth bit of its byte says whether words follow
LONGEST_RUN = 2**LENGTH_BITS
WORDS_FOLLOW = 1 << LENGTH_BITS


@dataclass(frozen=True)
class Runs(Codec):
    """A byte for every run of zeros or of other words, none longer than 128, and the words that are not 0.

    Runs start anew in every window of so many words, which can so be read alone. A window grows by a byte for 128 words
    at most, where none of them is 0.
    """

    window: int = 1024

    def __post_init__(self) -> None:
        """Refuse a window without words."""
        if self.window < 1:
            raise WorkloadError(f"encoding: windows of {self.window} words; allowed: 1 or more")

    def part_bytes(self, cells: Cells) -> dict[str, int]:
        """As Codec."""
        return {"runs": self.num_runs(cells.mask), "values": num_bytes(cells.nonzeros, cells.bits)}

    def num_runs(self, mask: Mask) -> int:
        """Runs of all windows."""
        from archmodel.kernels.compression import run_tokens

        flat = mask.reshape(-1)
        whole = flat.size // self.window * self.window
        blocks = (flat[:whole].reshape(-1, self.window), flat[np.newaxis, whole:])
        return sum(int(run_tokens(block, LONGEST_RUN).sum()) for block in blocks)

    def parts(self, cells: Cells) -> dict[str, bytes]:
        """As Codec."""
        starts, lengths = self.runs(cells.mask.reshape(-1))
        kinds = cells.mask.reshape(-1)[starts].astype(np.int64)
        return {
            "runs": (kinds * WORDS_FOLLOW + lengths - 1).astype(np.uint8).tobytes(),
            "values": packed(nonzero_codes(cells), cells.bits),
        }

    def runs(self, mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First word and length of every run of a flat mask."""
        changes = np.flatnonzero(mask[1:] != mask[:-1]) + 1
        bounds = np.union1d(changes, np.arange(0, mask.size, self.window))
        whole = np.diff(np.append(bounds, mask.size))
        pieces = -(-whole // LONGEST_RUN)
        first = np.cumsum(pieces) - pieces  # piece that a whole run begins with
        starts = np.repeat(bounds - first * LONGEST_RUN, pieces) + np.arange(pieces.sum()) * LONGEST_RUN
        return starts, np.diff(np.append(starts, mask.size))

    def codes(self, parts: Mapping[str, bytes], shape: tuple[int, ...], bits: int) -> Values:
        """As Codec."""
        runs = np.frombuffer(parts["runs"], np.uint8).astype(np.int64)
        mask = np.repeat(runs >= WORDS_FOLLOW, runs % WORDS_FOLLOW + 1)
        if mask.size != math.prod(shape):
            raise WorkloadError(f"encoding: runs of {mask.size} words; {math.prod(shape)} are expected")
        codes = np.zeros(mask.size, np.int32)
        codes[mask] = unpacked(parts["values"], int(np.count_nonzero(mask)), bits)
        return codes


@lru_cache(maxsize=4096)
def expected_runs(density: float, window: int) -> float:
    """Runs of a window of words that are non-zero independently of each other.

    A run starts at a word behind one of the other kind, behind 128 of its own kind that started there, behind 256, ...
    """
    place = np.arange(window)
    total = 0.0
    for share in (density, 1 - density):
        own = np.float64(share)
        whole = place // LONGEST_RUN  # full runs that fit before a word
        behind_other = np.where(place % LONGEST_RUN, whole + 1, whole)  # with a word of the other kind before them
        full = own**LONGEST_RUN
        powers = np.cumsum(full ** np.arange(window // LONGEST_RUN + 2))
        after_change = np.where(behind_other > 0, powers[np.maximum(behind_other, 1) - 1], 0.0) * (1 - own)
        from_start = np.where(place % LONGEST_RUN == 0, own**place, 0.0)
        total += float((own * (after_change + from_start)).sum())
    return total
