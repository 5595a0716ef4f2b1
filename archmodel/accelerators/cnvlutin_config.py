"""Parameters of Cnvlutin; configs/accelerators/cnvlutin.toml has values and sources."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.accelerators.dadiannao_config import NodeConfig
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component


class DispatchConfig(FrozenModel):
    """How the neurons of a window come to the lanes."""

    brick_neurons: Annotated[int, Field(ge=1, le=256)]
    offset_bits: Annotated[int, Field(ge=1, le=8)]
    brick_buffers: Annotated[int, Field(ge=1, le=1024)]
    assignment: Literal["slab", "dealt"]
    fetch_ahead: Literal["window", "buffers"]

    @model_validator(mode="after")
    def _an_offset_names_every_place(self) -> "DispatchConfig":
        if self.brick_neurons > 1 << self.offset_bits:
            needed = (self.brick_neurons - 1).bit_length()
            raise ValueError(f"brick_neurons = {self.brick_neurons}: offset_bits must be at least {needed}")
        return self


class PruningConfig(FrozenModel):
    """Activations that are taken for zeros: those below a threshold, or a stated share of the non-zeros."""

    threshold: Annotated[int, Field(ge=0, le=2**31)]
    share: Annotated[float, Field(ge=0, le=1)]


class EncodingConfig(FrozenModel):
    """Bricks of neurons in the NM, whose offsets the lanes read; DRAM has their values."""

    weights: Literal["dense"]
    activations: Literal["zfnaf"]


class Config(NodeConfig):
    """Cnvlutin (Albericio et al., ISCA 2016): DaDianNao with lanes that skip zeros."""

    model: Literal["cnvlutin"]
    dispatch: DispatchConfig
    pruning: PruningConfig
    encoding: EncodingConfig

    @property
    def neuron_bits(self) -> int:
        """A value and its offset."""
        return self.buffers.word_bits + self.dispatch.offset_bits

    @property
    def nm_row_words(self) -> int:
        """A brick, which a bank delivers in a cycle."""
        return self.dispatch.brick_neurons

    @property
    def components(self) -> tuple[Component, ...]:
        """Those of DaDianNao, wider where neurons carry offsets, and the dispatcher's brick buffers of each lane."""
        words = self.dispatch.brick_buffers * self.dispatch.brick_neurons
        buffers = Component("dispatcher", "register_file", self.array.lanes, self.neuron_bits, words=words)
        return (*super().components, buffers)
