"""A compressing DMA engine as data: what it does with a window, and how fast it reads the device's memory."""

from typing import Annotated

from pydantic import Field, model_validator

from archmodel import config
from archmodel.encodings.dma_sizes import WORD_BYTES, Layout, WindowCodec

Rate = Annotated[float, Field(gt=0, le=1e15)]


class DmaConfig(config.FrozenModel):
    """A compressing DMA engine (Rhu et al., HPCA 2018).

    zeros : how zeros gather where only densities are known, as `--zeros` of `sim` has it
    densities : the profile of a training, a name of configs/densities/ or a file
    """

    name: str
    codec: WindowCodec
    window_bytes: Annotated[int, Field(ge=128, le=2**20)]
    layout: Layout
    fetch_bytes_per_s: Rate
    buffer_bytes: Annotated[int, Field(ge=1, le=2**40)]
    delay_s: Annotated[float, Field(ge=0, le=1)]
    zeros: str
    densities: str

    @model_validator(mode="after")
    def _windows_of_whole_masks(self) -> "DmaConfig":
        if self.window_bytes % (32 * max(WORD_BYTES)):
            raise ValueError("window_bytes must be a multiple of 128, 32 words of 4 bytes")
        return self

    @property
    def sustained_bytes_per_s(self) -> float:
        """What the engine fetches in the long run: what is under way for a delay must have room in the buffer."""
        return min(self.fetch_bytes_per_s, self.buffer_bytes / self.delay_s) if self.delay_s else self.fetch_bytes_per_s


def load_dma_config(name_or_path: str, assignments: tuple[str, ...] = ()) -> DmaConfig:
    """Read and check an engine of configs/dma/ or a TOML file."""
    return config.load("dma", name_or_path, DmaConfig, assignments)
