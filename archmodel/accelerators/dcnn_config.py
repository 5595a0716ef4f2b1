"""DCNN's parameters; configs/accelerators/dcnn.toml gives the published values and the reasons of the open choices."""

import math
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from archmodel.accelerators.stored_tensors import InDram, bits_in_dram
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer

LINKS = 8  # of a PE to its neighbours, as wide as the link to its SRAM


class PEConfig(FrozenModel):
    """The PE array and the dot product of a PE."""

    rows: Annotated[int, Field(ge=1, le=256)]
    cols: Annotated[int, Field(ge=1, le=256)]
    multipliers: Annotated[int, Field(ge=1, le=4096)]
    dot_product: Literal["flattened", "channels"]
    Kc: Annotated[int, Field(ge=1, le=65536)]
    zero_gating: bool

    @property
    def num_pes(self) -> int:
        """PEs of the array."""
        return self.rows * self.cols


class BufferConfig(FrozenModel):
    """The activation SRAM of the machine, dealt to the PEs, and the weights and partial sums of a PE."""

    activation_bytes: Annotated[int, Field(ge=64, le=2**40)]
    word_bits: Annotated[int, Field(ge=1, le=64)]
    index_bits: Annotated[int, Field(ge=1, le=16)]
    two_port: bool
    weight_fifo_words: Annotated[int, Field(ge=1, le=2**20)]
    accumulator_entries: Annotated[int, Field(ge=1, le=2**20)]
    psum_bits: Annotated[int, Field(ge=1, le=64)]


class EncodingConfig(FrozenModel):
    """Formats in DRAM; the SRAMs hold all words."""

    weights: Literal["dense"]
    activations: InDram


class PPUConfig(FrozenModel):
    """The post-processing unit of a PE."""

    output_words_per_cycle: Annotated[int, Field(ge=0, le=4096)]
    overlap: bool


class Config(FrozenModel):
    """DCNN (Parashar et al., ISCA 2017)."""

    model: Literal["dcnn"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    pe: PEConfig
    buffers: BufferConfig
    encoding: EncodingConfig
    ppu: PPUConfig

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.buffers.word_bits, self.buffers.word_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""
        return self.pe.num_pes * self.pe.multipliers

    @property
    def activation_bytes(self) -> int:
        """Bytes of the activation SRAM."""
        return self.buffers.activation_bytes

    @property
    def components(self) -> tuple[Component, ...]:
        """What the PEs are built of; a row of the SRAM is one operand of a dot product."""
        pe, buffers, pes = self.pe, self.buffers, self.pe.num_pes
        word, lanes = buffers.word_bits, pe.multipliers
        stored_words = max(lanes, 8 * buffers.activation_bytes // (word * pes))
        copies = 2 if self.ppu.overlap else 1  # of the accumulators: one drains while the other fills
        registers = partial(Component, kind="register_file", instances=pes, bits=word)
        ram = partial(Component, kind="sram", two_port=buffers.two_port)
        return (
            ram("activation_sram", instances=pes, bits=word, words=stored_words, words_per_row=lanes),
            registers("activation_registers", words=lanes),
            registers("weight_fifo", words=buffers.weight_fifo_words),
            Component("multipliers", "multiplier", self.num_multipliers, word),
            Component("adders", "adder", self.num_multipliers, buffers.psum_bits),
            registers("halo", words=LINKS * max(1, self.ppu.output_words_per_cycle)),
            ram("accumulators", instances=copies * pes, bits=buffers.psum_bits, words=buffers.accumulator_entries),
        )

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored: all its words."""
        return math.ceil(words * self.buffers.word_bits / 8)

    def dram_bytes(self, words: int, density: float) -> int:
        """Bytes of activations in DRAM: all words, or less where their format has less.

        Of zero runs the non-zeros with their runs, without the zeros that runs beyond their index store.
        """
        buffers, encoding, dense = self.buffers, self.encoding.activations, self.stored_bytes(words, density)
        if encoding == "zero_run":
            bits = words * density * (buffers.word_bits + buffers.index_bits)
        else:
            bits = bits_in_dram(encoding, words, words * density, buffers.word_bits)
        return min(dense, math.ceil(bits / 8))

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether inputs and outputs fit the SRAM together; where they do not, neither stays."""
        fit = self.stored_bytes(layer.input_words + layer.output_words, 1.0) <= self.activation_bytes
        return fit, fit
