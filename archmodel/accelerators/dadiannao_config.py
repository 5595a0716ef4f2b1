"""Parameters of a DaDianNao node, which Cnvlutin shares; configs/accelerators/dadiannao.toml has values and sources."""

import math
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.accelerators.stored_tensors import DenseEncoding
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer

Factor = Annotated[float, Field(gt=0, le=100)]


class ArrayConfig(FrozenModel):
    """The units; a cycle of a unit multiplies a neuron in each lane with a synapse of each of its filters."""

    units: Annotated[int, Field(ge=1, le=1024)]
    lanes: Annotated[int, Field(ge=1, le=256)]
    filters: Annotated[int, Field(ge=1, le=256)]
    pipeline_cycles: Annotated[int, Field(ge=0, le=1024)]
    image_layers: Literal["flattened", "channels"]

    @property
    def filters_a_pass(self) -> int:
        """Filters that all units together work on at a time."""
        return self.units * self.filters


class BufferConfig(FrozenModel):
    """Synapse buffer SB of a unit, neuron memory NM of the node, neuron buffers NBin and NBout of a unit."""

    sb_bytes: Annotated[int, Field(ge=1, le=2**40)]
    nm_bytes: Annotated[int, Field(ge=64, le=2**40)]
    nm_banks: Annotated[int, Field(ge=1, le=1024)]
    word_bits: Annotated[int, Field(ge=1, le=64)]
    psum_bits: Annotated[int, Field(ge=1, le=64)]
    nbin_entries: Annotated[int, Field(ge=1, le=65536)]
    nbout_entries: Annotated[int, Field(ge=1, le=65536)]
    edram_area_factor: Factor
    edram_energy_factor: Factor
    weights_preloaded: bool


class SynapseBankConfig(FrozenModel):
    """The eDRAM banks of a unit, to which rows of synapses are dealt in turn; a cycle of the unit reads a row."""

    count: Annotated[int, Field(ge=1, le=64)]
    busy_cycles: Annotated[int, Field(ge=1, le=64)]

    @model_validator(mode="after")
    def _in_turn_they_give_a_row_a_cycle(self) -> "SynapseBankConfig":
        if self.busy_cycles > self.count:
            raise ValueError(f"busy_cycles = {self.busy_cycles}: must be at most {self.count}, the banks in turn")
        return self

    def stall_cycles(self, num_rows: int) -> int:
        """Cycles between the last of some rows and the first, which begins again at the first bank."""
        since_first_bank = (num_rows - 1) % self.count + 1
        return max(0, self.busy_cycles - since_first_bank)


class NodeConfig(FrozenModel):
    """A node: units that share a broadcast of neurons, and the eDRAM around them."""

    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    array: ArrayConfig
    buffers: BufferConfig

    @model_validator(mode="after")
    def _a_row_in_every_bank(self) -> "NodeConfig":
        buffers = self.buffers
        for name, size, row_words, whose in (
            ("sb_bytes", buffers.sb_bytes, self.array.lanes * self.array.filters, "a synapse for each lane and filter"),
            ("nm_bytes", buffers.nm_bytes, buffers.nm_banks * self.nm_row_words, "a row of neurons for each bank"),
        ):
            least = math.ceil(row_words * buffers.word_bits / 8)
            if size < least:
                raise ValueError(f"buffers.{name} = {size}: must be at least {least}, {whose}")
        return self

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.buffers.word_bits, self.buffers.word_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the node."""
        return self.array.lanes * self.array.filters_a_pass

    @property
    def activation_bytes(self) -> int:
        """Bytes of the neuron memory."""
        return self.buffers.nm_bytes

    @property
    def weight_bytes(self) -> int:
        """Bytes of all synapse buffers."""
        return self.array.units * self.buffers.sb_bytes

    @property
    def neuron_bits(self) -> int:
        """Bits that a neuron takes in the NM and on its way to the lanes."""
        return self.buffers.word_bits

    @property
    def nm_row_words(self) -> int:
        """Neurons that one access of an NM bank reads or writes: those of a cycle."""
        return self.array.lanes

    def synapse_stall_cycles(self, rows_of_portions: list[int], num_windows: int) -> int:
        """Cycles in which no bank has the next row of synapses; every window reads all rows of a portion."""
        return 0

    @property
    def components(self) -> tuple[Component, ...]:
        """What the node is built of; each lane of a unit has an SB bank of its own, whose row is a synapse a filter."""
        array, buffers = self.array, self.buffers
        word, per_unit = buffers.word_bits, array.lanes
        edram = partial(
            Component,
            kind="sram",
            calibration=buffers.edram_energy_factor,
            area_factor=buffers.edram_area_factor,
        )
        registers = partial(Component, kind="register_file", instances=array.units)
        sb_words = 8 * buffers.sb_bytes // (word * per_unit)
        nm_row, nm_words = self.nm_row_words, 8 * buffers.nm_bytes // (word * buffers.nm_banks)
        return (
            edram("sb", instances=array.units * per_unit, bits=word, words=sb_words, words_per_row=array.filters),
            edram("nm", instances=buffers.nm_banks, bits=self.neuron_bits, words=nm_words, words_per_row=nm_row),
            registers("nbin", bits=self.neuron_bits, words=buffers.nbin_entries * array.lanes),
            registers("nbout", bits=buffers.psum_bits, words=buffers.nbout_entries * array.filters),
            Component("multipliers", "multiplier", self.num_multipliers, word),
            Component("adders", "adder", self.num_multipliers, buffers.psum_bits),
        )

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map: all its words; the offsets of Cnvlutin have room of their own."""
        return math.ceil(words * self.buffers.word_bits / 8)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether inputs and outputs of a layer fit the NM together."""
        fit = self.stored_bytes(layer.input_words + layer.output_words, 1.0) <= self.activation_bytes
        return fit, fit


class Config(NodeConfig):
    """DaDianNao (Chen et al., MICRO 2014), one node of it."""

    model: Literal["dadiannao"]
    encoding: DenseEncoding
    synapse_banks: SynapseBankConfig

    def synapse_stall_cycles(self, rows_of_portions: list[int], num_windows: int) -> int:
        """Those between one window and the next, all windows for one portion of the filters after the other."""
        between = [self.synapse_banks.stall_cycles(num_rows) for num_rows in rows_of_portions]
        return num_windows * sum(between) - between[-1]  # nothing follows the last window
