"""Where the streams of a layer lie in a memory of banks, and how many of them are asked for one by one."""

from typing import Annotated

from pydantic import Field, model_validator

from archmodel.config import FrozenModel

Offset = Annotated[int, Field(ge=0, le=2**40)]


class Layout(FrozenModel):
    """Addresses of a layer's streams, and the order of its requests.

    base_alignment_bytes : weights, inputs, outputs and partial sums lie one behind the other, each kind from the next
        multiple of this on
    weight_offset_bytes, ... : and so much further
    chunk_bytes : of a stream that are asked for before another stream of the same tile has its turn
    """

    base_alignment_bytes: Annotated[int, Field(ge=1, le=2**40)]
    weight_offset_bytes: Offset
    input_offset_bytes: Offset
    output_offset_bytes: Offset
    psum_offset_bytes: Offset
    chunk_bytes: Annotated[int, Field(ge=1, le=2**30)]

    @model_validator(mode="after")
    def _aligned(self) -> "Layout":
        if self.base_alignment_bytes & (self.base_alignment_bytes - 1):
            raise ValueError(f"base_alignment_bytes = {self.base_alignment_bytes}: must be a power of two")
        return self

    def offset_bytes(self, kind: str) -> int:
        """Of a kind of stream from its aligned base."""
        return int(getattr(self, f"{kind}_offset_bytes"))


class Sampling(FrozenModel):
    """How much of a layer is asked for one by one.

    refresh_intervals : a layer of more bytes than move in so many at the peak rate is run in part, so much of each mix
        of its streams; its time follows from their rates
    """

    refresh_intervals: Annotated[int, Field(ge=3, le=10**6)]
