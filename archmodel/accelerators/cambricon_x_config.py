"""Cambricon-X's parameters; configs/accelerators/cambricon_x.toml gives the published values and the open choices."""

import math
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from archmodel.accelerators.output_blocks import Buffers
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer

BufferBytes = Annotated[int, Field(ge=64, le=2**40)]


class PEConfig(FrozenModel):
    """The PEs, one output neuron each."""

    pes: Annotated[int, Field(ge=1, le=4096)]
    multipliers: Annotated[int, Field(ge=1, le=4096)]
    barrier: Literal["group", "window"]
    accumulator_bits: Annotated[int, Field(ge=1, le=64)]


class IndexConfig(FrozenModel):
    """The indexing module: candidates of a selection, and bits of the distance to the synapse before."""

    window: Annotated[int, Field(ge=1, le=65536)]
    step_bits: Annotated[int, Field(ge=1, le=16)]

    @property
    def longest_run(self) -> int:
        """Zeros that a step skips at most."""
        return 2**self.step_bits - 1


class BufferConfig(FrozenModel):
    """NBin and NBout of the machine, SB of a PE."""

    nbin_bytes: BufferBytes
    nbout_bytes: BufferBytes
    synapse_bytes: BufferBytes
    word_bits: Annotated[int, Field(ge=1, le=64)]


class EncodingConfig(FrozenModel):
    """Synapses with their steps, which the indexing module adds up; all neurons."""

    weights: Literal["step_index"]
    activations: Literal["dense"]


class Config(FrozenModel):
    """Cambricon-X (Zhang et al., MICRO 2016)."""

    model: Literal["cambricon_x"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    pe: PEConfig
    index: IndexConfig
    buffers: BufferConfig
    encoding: EncodingConfig

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.buffers.word_bits, self.buffers.word_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""
        return self.pe.pes * self.pe.multipliers

    @property
    def memories(self) -> Buffers:
        """NBin, NBout, and SB of a PE, in words."""
        buffers, word = self.buffers, self.buffers.word_bits
        return Buffers(
            num_pes=self.pe.pes,
            slice_channels=self.pe.multipliers,
            input_words=8 * buffers.nbin_bytes // word,
            output_words=8 * buffers.nbout_bytes // word,
            synapse_words=8 * buffers.synapse_bytes // word,
            word_bits=word,
        )

    @property
    def synapse_bits(self) -> int:
        """Bits of a stored synapse in DRAM, with its step."""
        return self.buffers.word_bits + self.index.step_bits

    @property
    def activation_bytes(self) -> int:
        """Bytes of NBin and NBout."""
        return self.buffers.nbin_bytes + self.buffers.nbout_bytes

    @property
    def components(self) -> tuple[Component, ...]:
        """What the machine is built of, in the order of a neuron's way through it.

        NBin has a bank for each part of the window, so that a window is read in one cycle. The indexing module has,
        for every PE, the steps of its synapses, adders that make places of them and a crossbar from the window.
        """
        pe, index, memories = self.pe, self.index, self.memories
        word, lanes, pes = memories.word_bits, pe.multipliers, pe.pes
        banks = -(-index.window // lanes)
        place_bits = max(1, math.ceil(math.log2(index.window)))
        sram = partial(Component, kind="sram", words_per_row=lanes)
        registers = partial(Component, kind="register_file")
        bank_words, synapses = max(lanes, memories.input_words // banks), max(lanes, memories.synapse_words)
        return (
            sram("nbin", instances=banks, bits=word, words=bank_words),
            registers("window", instances=banks, bits=word, words=lanes),
            sram("steps", instances=pes, bits=index.step_bits, words=synapses),
            Component("step_adders", "adder", pes * lanes, place_bits),
            Component("selectors", "crossbar", pes, word, ports=(index.window, lanes)),
            sram("sb", instances=pes, bits=word, words=synapses),
            Component("multipliers", "multiplier", self.num_multipliers, word),
            Component("adders", "adder", self.num_multipliers, pe.accumulator_bits),
            registers("accumulators", instances=pes, bits=pe.accumulator_bits, words=1),
            sram("nbout", instances=1, bits=word, words=max(lanes, memories.output_words)),
        )

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map: all its words, for zero neurons are not skipped."""
        return self.memories.num_bytes(words)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Feature maps go through DRAM, as in DianNao: no path from NBout to NBin is known."""
        return False, False
