"""What the files of one input of a network hold: images one after the other, or tensors for whole runs."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.errors import show
from archmodel.exchange.onnx_inputs import ModelInput

Array = npt.NDArray[Any]
MAX_TENSOR_BYTES = 2**30  # of an input in one run


@dataclass(frozen=True)
class Part:
    """What a file holds: `load` gives image `index` without the axis of the batch, or a tensor as a run gets it."""

    source: str
    num: int
    whole: bool
    load: Callable[[int], Array]


class Supply:
    """What an input is given in each run."""

    def __init__(self, given: ModelInput, parts: Sequence[Part]) -> None:
        """Count the runs; WorkloadError if the images do not fill them."""
        self.given, self.parts = given, parts
        self._ends = list(accumulate(part.num for part in parts))
        num, batch = self._ends[-1], given.dims[0] if given.dims else 1
        kinds = {part.whole for part in parts}
        if len(kinds) > 1:
            raise given.refuse("some files hold images and some the whole tensor of a run")
        self._whole = True in kinds
        self._batch = 1 if self._whole or isinstance(batch, str) else batch
        if num % self._batch:
            raise given.refuse(f"{num} images; the network takes {self._batch} at a time: give a multiple of them")
        self.num_runs = num // self._batch

    def tensor(self, run: int) -> Array:
        """What the input is given in a run."""
        if self._whole:
            return self._image(run)[1]
        images = [self._image(run * self._batch + place) for place in range(self._batch)]
        first_source, first = images[0]
        for source, image in images:
            if image.shape != first.shape:
                shapes = f"{first_source} {show(list(first.shape))}, {source} {show(list(image.shape))}"
                raise self.given.refuse(f"images of one run differ: {shapes}")
        check_bytes(self.given, self._batch * first.size)
        return np.stack([image for _, image in images])

    def _image(self, index: int) -> tuple[str, Array]:
        place = bisect_right(self._ends, index)
        part = self.parts[place]
        return part.source, part.load(index - (self._ends[place] - part.num))


def check_bytes(given: ModelInput, num_words: int) -> None:
    """Refuse a tensor beyond what an input may take."""
    num_bytes = num_words * given.dtype.itemsize
    if num_bytes > MAX_TENSOR_BYTES:
        raise given.refuse(f"a run would take {num_bytes} bytes; at most {MAX_TENSOR_BYTES}")


def exactly(array: Array, dtype: np.dtype[Any]) -> Array | None:
    """`array` as `dtype`; None if a number would change, other than a float that is rounded to a shorter float."""
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(dtype)
        if array.dtype.kind == dtype.kind == "f":
            same = np.isfinite(cast)
        else:
            same = (cast.astype(array.dtype) == array) & ((cast < 0) == (array < 0))
    return cast if same.all() else None
