"""Parameters of systolic arrays; the TOML files give the published values and the reasons of the open choices."""

import math
from typing import Annotated, Literal

from pydantic import Field

from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
BytesPerS = Annotated[float, Field(ge=1e6, le=1e15)] | Literal["memory"]


class ArrayConfig(FrozenModel):
    """The array: operands enter at the left and move right, partial sums or weights move down.

    double_buffered : PEs have shadow registers, so that a tile moves in (or finished outputs move out) while another
    one is multiplied; without, the array is filled and drained for every tile
    """

    rows: Annotated[int, Field(ge=1, le=4096)]
    cols: Annotated[int, Field(ge=1, le=4096)]
    dataflow: Dataflow
    double_buffered: bool


class WeightConfig(FrozenModel):
    """Where weights wait for the array.

    memory_bytes_per_s : of a memory of their own, or "memory", the run's DRAM, shared with activations
    kept : a layer's weights that fit stay for all its blocks; a FIFO keeps none
    whole_tiles : weights are stored and fetched as tiles of the array's size, edges filled up with zeros
    """

    buffer_bytes: Annotated[int, Field(ge=1, le=2**40)]
    memory_bytes_per_s: BytesPerS
    kept: bool
    whole_tiles: bool


class ActivationConfig(FrozenModel):
    """The buffer of inputs and outputs.

    host_bytes_per_s : rate at which activations enter and leave, or "memory", the run's DRAM
    """

    buffer_bytes: Annotated[int, Field(ge=64, le=2**40)]
    host_bytes_per_s: BytesPerS
    num_banks: Annotated[int, Field(ge=1, le=65536)]


class AccumulatorConfig(FrozenModel):
    """Partial sums below every column; an output-stationary array has them in its PEs, and no rows here.

    double_buffered : half of the rows are written out while the other half adds up
    """

    rows: Annotated[int, Field(ge=2, le=2**24)]
    bits: Annotated[int, Field(ge=1, le=64)]
    double_buffered: bool

    @property
    def rows_per_block(self) -> int:
        """Partial sums of a column that add up at a time."""
        return self.rows // 2 if self.double_buffered else self.rows


class Config(FrozenModel):
    """A systolic array with its buffers."""

    model: Literal["systolic"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    word_bits: Annotated[int, Field(ge=1, le=64)]
    array: ArrayConfig
    weights: WeightConfig
    activations: ActivationConfig
    accumulators: AccumulatorConfig

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine: one a PE."""
        return self.array.rows * self.array.cols

    @property
    def activation_bytes(self) -> int:
        """Bytes of the activation buffer."""
        return self.activations.buffer_bytes

    @property
    def components(self) -> tuple[Component, ...]:
        """The buffers, with a row as wide as the array or more, the parts of every PE, and what is below columns."""
        array, word, pes = self.array, self.word_bits, self.num_multipliers
        banks, copies = self.activations.num_banks, 2 if array.double_buffered else 1
        windows, weights = array.rows, array.cols  # words that enter the array in a cycle
        if array.dataflow == "input_stationary":
            windows, weights = weights, windows
        bank_words = max(windows, 8 * self.activations.buffer_bytes // (word * banks))
        weight_words = max(weights, 8 * self.weights.buffer_bytes // word)
        parts = [
            Component("activation_buffer", "sram", banks, word, words=bank_words, words_per_row=windows),
            Component("weight_buffer", "sram", 1, word, words=weight_words, words_per_row=weights),
            Component("stationary_registers", "register_file", pes, self.stationary_bits, words=copies),
            Component("moving_registers", "register_file", pes, word),
            Component("downward_registers", "register_file", pes, self.downward_bits),
            Component("multipliers", "multiplier", pes, word),
            Component("adders", "adder", pes, self.accumulators.bits),
        ]
        if array.dataflow != "output_stationary":
            rows, bits = self.accumulators.rows, self.accumulators.bits
            parts.append(Component("accumulators", "sram", array.cols, bits, words=rows, two_port=True))
            parts.append(Component("accumulator_adders", "adder", array.cols, bits))
        return tuple(parts)

    @property
    def stationary_bits(self) -> int:
        """Of what stays in a PE: a word, or the partial sum of an output."""
        return self.accumulators.bits if self.array.dataflow == "output_stationary" else self.word_bits

    @property
    def downward_bits(self) -> int:
        """Of what moves down from PE to PE: partial sums, or the weights of an output-stationary array."""
        return self.word_bits if self.array.dataflow == "output_stationary" else self.accumulators.bits

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored: all its words."""
        return math.ceil(words * self.word_bits / 8)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether inputs and outputs of an image fit the buffer together; where they do not, neither stays."""
        fit = self.stored_bytes(layer.input_words + layer.output_words, 1.0) <= self.activation_bytes
        return fit, fit
