"""The weights of a layer in a file, under the names that people give them."""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from archmodel.network.layer import GATES, Layer

SUFFIXES = (".weights", ".weight", "")
# PyTorch's names of the two halves of a recurrent layer. The order of its gates is another, which exchanges rows of the
# weights and moves no zero to another column.
INPUT_HALF, STATE_HALF = ".weight_ih_l0", ".weight_hh_l0"


class Arrays(Protocol):
    """A file of arrays by name."""

    keys: dict[str, str]

    def read(self, key: str, allowed: str, shapes: list[tuple[int, ...]]) -> npt.NDArray[np.generic]:
        """The array `key`, which has one of `shapes`."""


def stored_weights(file: Arrays, layer: Layer, shape: tuple[int, int, int, int]) -> npt.NDArray[np.generic]:
    """The kernels of a layer in their `shape` [K, C / groups, R, S]; WorkloadError where the file has none.

    Names are tried in the order of `SUFFIXES`; a 1x1 kernel and an fc may leave the last two axes out.
    """
    halves = (INPUT_HALF,) if layer.kind in GATES else ()
    found = [suffix for suffix in (*SUFFIXES, *halves) if layer.name + suffix in file.keys]
    suffix = found[0] if found else SUFFIXES[0]
    if suffix == INPUT_HALF:
        rows, inputs = shape[0], layer.C
        parts = [
            file.read(layer.name + ending, str(half), [half])
            for ending, half in ((INPUT_HALF, (rows, inputs)), (STATE_HALF, (rows, layer.K)))
        ]
        return np.concatenate(parts, axis=1).reshape(shape)
    shapes: list[tuple[int, ...]] = [shape, shape[:2]] if math.prod(shape[2:]) == 1 else [shape]
    return file.read(layer.name + suffix, " or ".join(map(str, shapes)), shapes).reshape(shape)
