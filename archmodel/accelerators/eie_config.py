"""EIE's parameters; configs/accelerators/eie.toml gives the published values and the reasons of the open choices."""

import math
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer


class PEConfig(FrozenModel):
    """The PEs, their queues and registers, and the tree that finds the next non-zero activation."""

    count: Annotated[int, Field(ge=1, le=65536)]
    queue_depth: Annotated[int, Field(ge=1, le=65536)]
    registers: Annotated[int, Field(ge=1, le=32768)]
    pipeline_stages: Annotated[int, Field(ge=0, le=64)]
    lnzd_fan_in: Annotated[int, Field(ge=2, le=65536)]

    @property
    def vector_length(self) -> int:
        """Activations that the registers of all PEs hold, source and destination each."""
        return self.count * self.registers

    @property
    def lnzd_levels(self) -> int:
        """Levels of the tree."""
        levels, reached = 0, 1
        while reached < self.count:
            levels, reached = levels + 1, reached * self.lnzd_fan_in
        return levels


class WeightConfig(FrozenModel):
    """An entry: the code of a shared weight, and the zeros before it."""

    code_bits: Annotated[int, Field(ge=1, le=8)]
    index_bits: Annotated[int, Field(ge=1, le=8)]
    value_bits: Annotated[int, Field(ge=1, le=64)]
    preloaded: bool

    @property
    def entry_bits(self) -> int:
        """Bits of a stored entry."""
        return self.code_bits + self.index_bits


class BufferConfig(FrozenModel):
    """The SRAMs of a PE."""

    matrix_bytes: Annotated[int, Field(ge=64, le=2**40)]
    matrix_row_bits: Annotated[int, Field(ge=1, le=65536)]
    pointer_bytes: Annotated[int, Field(ge=64, le=2**40)]
    pointer_bits: Annotated[int, Field(ge=1, le=64)]
    pointer_banks: Literal[1, 2]
    activation_bytes: Annotated[int, Field(ge=64, le=2**40)]
    activation_row_bits: Annotated[int, Field(ge=1, le=65536)]
    activation_bits: Annotated[int, Field(ge=1, le=64)]


class EncodingConfig(FrozenModel):
    """The columns that the PEs walk, of indices of shared weights; whole vectors."""

    weights: Literal["interleaved_csc"]
    activations: Literal["dense"]


class Config(FrozenModel):
    """EIE (Han et al., ISCA 2016)."""

    model: Literal["eie"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    pe: PEConfig
    weights: WeightConfig
    buffers: BufferConfig
    encoding: EncodingConfig

    @model_validator(mode="after")
    def _rows_hold_whole_words(self) -> "Config":
        rows = (
            ("matrix_row_bits", self.buffers.matrix_row_bits, self.weights.entry_bits, self.buffers.matrix_bytes),
            (
                "activation_row_bits",
                self.buffers.activation_row_bits,
                self.buffers.activation_bits,
                self.buffers.activation_bytes,
            ),
        )
        for key, row_bits, word_bits, num_bytes in rows:
            if row_bits % word_bits or row_bits > 8 * num_bytes:
                raise ValueError(f"buffers.{key} = {row_bits}: must be a multiple of {word_bits}, at most its SRAM")
        return self

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of the index of a shared weight and of an activation."""
        return self.weights.code_bits, self.buffers.activation_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine: one a PE."""
        return self.pe.count

    @property
    def activation_bytes(self) -> int:
        """Bytes of the activation SRAMs."""
        return self.pe.count * self.buffers.activation_bytes

    @property
    def entries_per_row(self) -> int:
        """Entries that one read of the matrix SRAM fetches."""
        return self.buffers.matrix_row_bits // self.weights.entry_bits

    @property
    def activations_per_row(self) -> int:
        """Activations that one access of the activation SRAM moves."""
        return self.buffers.activation_row_bits // self.buffers.activation_bits

    @property
    def pointer_cycles(self) -> int:
        """Cycles in which the two pointers of a column are read from banks of one port each.

        They are at neighbouring addresses, whose lowest bit selects one of two banks.
        """
        return 2 // self.buffers.pointer_banks

    @property
    def matrix_entries(self) -> int:
        """Entries that the matrix SRAM of a PE holds."""
        return 8 * self.buffers.matrix_bytes // self.weights.entry_bits

    @property
    def components(self) -> tuple[Component, ...]:
        """What the PEs are built of; a queue holds an activation and its index."""
        pe, buffers, pes = self.pe, self.buffers, self.pe.count
        activation, value = buffers.activation_bits, self.weights.value_bits
        queued = activation + max(1, (pe.vector_length - 1).bit_length())
        registers = partial(Component, kind="register_file", instances=pes)
        ram = partial(Component, kind="sram")
        return (
            registers("activation_queue", bits=queued, words=pe.queue_depth),
            ram(
                "pointer_sram",
                instances=buffers.pointer_banks * pes,
                bits=buffers.pointer_bits,
                words=max(1, 8 * buffers.pointer_bytes // (buffers.pointer_banks * buffers.pointer_bits)),
            ),
            ram(
                "matrix_sram",
                instances=pes,
                bits=self.weights.entry_bits,
                words=self.matrix_entries,
                words_per_row=self.entries_per_row,
            ),
            registers("codebook", bits=value, words=2**self.weights.code_bits),
            Component("multipliers", "multiplier", pes, value),
            Component("adders", "adder", pes, activation),
            registers("activation_registers", instances=2 * pes, bits=activation, words=pe.registers),
            ram(
                "activation_sram",
                instances=pes,
                bits=activation,
                words=8 * buffers.activation_bytes // activation,
                words_per_row=self.activations_per_row,
            ),
        )

    @property
    def weight_bits(self) -> int:
        """Bits of a weight without its index: those of its code."""
        return self.weights.code_bits

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a vector as it is stored: all its words, for zeros are found when they are sent."""
        return math.ceil(words * self.buffers.activation_bits / 8)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether inputs and outputs fit the activation SRAMs together; where they do not, neither stays."""
        fit = self.stored_bytes(layer.input_words + layer.output_words, 1.0) <= self.activation_bytes
        return fit, fit
