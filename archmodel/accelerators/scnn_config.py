"""SCNN's parameters; configs/accelerators/scnn.toml gives the published values and the reasons of the open choices."""

import math
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from archmodel.accelerators.cartesian import BankHash, WeightOrder
from archmodel.accelerators.planar import tilings, unit_stride
from archmodel.accelerators.stored_tensors import InDram, bits_in_dram
from archmodel.config import FrozenModel
from archmodel.memory.energy import Component
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands

PUBLISHED_KC = 8  # output channels of a group, stated for 1x1 layers (SCNN, ISCA 2017)
LINKS = 8  # of a PE to its neighbours
MOST_QUEUED = 255  # products in a bank's queue and on their way to it fit a byte

Side = Annotated[int, Field(ge=1, le=256)]
VectorWidth = Annotated[int, Field(ge=1, le=16)]
Bytes = Annotated[int, Field(ge=64, le=2**30)]
WordsPerCycle = Annotated[int, Field(ge=0, le=4096)]


class PEConfig(FrozenModel):
    """The PE array, its multipliers and accumulators."""

    rows: Side
    cols: Side
    F: VectorWidth
    I: VectorWidth
    accumulator_banks: Annotated[int, Field(ge=1, le=254)]
    accumulator_entries: Annotated[int, Field(ge=1, le=2**20)]
    bank_hash: BankHash
    queue_depth: Annotated[int, Field(ge=0, le=200)]
    out_of_range: Literal["accumulate", "drop"]
    Kc: Literal["published", "accumulator"] | Annotated[int, Field(ge=1, le=65536)]
    barrier: Literal["group", "channel", "layer"]
    weight_order: WeightOrder
    scatter_energy_calibration: Annotated[float, Field(ge=0, le=100)]

    @property
    def num_pes(self) -> int:
        """PEs of the array."""
        return self.rows * self.cols

    @property
    def multipliers_per_pe(self) -> int:
        """Multipliers of a PE: F * I."""
        return self.F * self.I

    @model_validator(mode="after")
    def _banks_match(self) -> "PEConfig":
        banks = self.accumulator_banks
        if self.bank_hash == "dnnsim" and banks != 32:
            raise ValueError(f"accumulator_banks = {banks}: bank_hash 'dnnsim' is defined for 32 banks")
        if self.bank_hash == "xor" and banks & (banks - 1):
            raise ValueError(f"accumulator_banks = {banks}: bank_hash 'xor' needs a power of two")
        if self.queue_depth + self.multipliers_per_pe > MOST_QUEUED:
            raise ValueError(f"queue_depth = {self.queue_depth}: must be at most {MOST_QUEUED} - F * I")
        return self


class WeightFifoConfig(FrozenModel):
    """The weight FIFO of every PE; an entry is one vector of F weights. `images` share what is in it, at most."""

    entries: Annotated[int, Field(ge=1, le=2**20)]
    vectors_per_cycle: Annotated[int, Field(ge=1, le=4096)]
    broadcast: Literal["fifo", "ideal"]
    images: Annotated[int, Field(ge=1, le=65536)]


class BufferConfig(FrozenModel):
    """Activation RAMs of a PE; with two ports one is read and written in the same cycle."""

    iaram_bytes: Bytes
    oaram_bytes: Bytes
    two_port: bool


class CompressionConfig(FrozenModel):
    """Which operands are stored without their zeros, and bits of an entry; `index_bits` bounds the zero run.

    A dense operand is stored and multiplied with its zeros and without indices.
    """

    sparse_weights: bool
    sparse_activations: bool
    data_bits: Annotated[int, Field(ge=1, le=64)]
    index_bits: Annotated[int, Field(ge=1, le=16)]
    psum_bits: Annotated[int, Field(ge=1, le=64)]

    @property
    def weight_bits(self) -> int:
        """Bits of a stored weight, with its zero run."""
        return self.data_bits + (self.index_bits if self.sparse_weights else 0)

    @property
    def activation_bits(self) -> int:
        """Bits of a stored activation, with its zero run."""
        return self.data_bits + (self.index_bits if self.sparse_activations else 0)

    def stored_activations(self, words: int, density: float) -> float:
        """Expected stored ones of `words` activations."""
        return words * density if self.sparse_activations else words

    @property
    def longest_run(self) -> int:
        """Zeros that one entry can skip."""
        return 2**self.index_bits - 1


class EncodingConfig(FrozenModel):
    """Formats in DRAM. On chip and in the datapath an operand has zero runs, or is dense if it is not compressed."""

    weights: InDram
    activations: InDram


class PPUConfig(FrozenModel):
    """The post-processing unit: halo exchange, activation function, compression of the outputs."""

    output_words_per_cycle: WordsPerCycle
    halo_words_per_cycle: WordsPerCycle
    overlap: bool


class Config(FrozenModel):
    """SCNN (Parashar et al., ISCA 2017)."""

    model: Literal["scnn"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    tile_plane: Literal["input", "padded"]
    pe: PEConfig
    weight_fifo: WeightFifoConfig
    buffers: BufferConfig
    compression: CompressionConfig
    encoding: EncodingConfig
    ppu: PPUConfig

    @model_validator(mode="after")
    def _a_dense_operand_has_no_format(self) -> "Config":
        for operand in ("weights", "activations"):
            if not getattr(self.compression, f"sparse_{operand}") and getattr(self.encoding, operand) != "dense":
                raise ValueError(f"compression.sparse_{operand} = false: encoding.{operand} must be 'dense'")
        return self

    @model_validator(mode="after")
    def _barrier_without_fifo(self) -> "Config":
        if self.pe.barrier == "channel" and self.weight_fifo.broadcast == "fifo":
            raise ValueError("pe.barrier = 'channel': needs weight_fifo.broadcast = 'ideal'")
        return self

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.compression.data_bits, self.compression.data_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""
        return self.pe.num_pes * self.pe.multipliers_per_pe

    @property
    def components(self) -> tuple[Component, ...]:
        """What the PEs are built of, in the order of a product's way through them."""
        pe, bits, buffers, pes = self.pe, self.compression, self.buffers, self.pe.num_pes
        banks, depth = pes * pe.accumulator_banks, -(-pe.accumulator_entries // pe.accumulator_banks)
        routed = bits.psum_bits + math.ceil(math.log2(depth))  # a product and its address in the bank
        address_bits = max(1, math.ceil(math.log2(pe.accumulator_entries)))
        queued = max(1, pe.queue_depth)  # without a queue a register still holds what a bank accumulates
        copies = 2 if self.ppu.overlap else 1  # of the accumulators: one drains while the other fills
        stored, scatter = bits.activation_bits, pe.scatter_energy_calibration
        registers = partial(Component, kind="register_file")
        ram = partial(Component, kind="sram", instances=pes, bits=stored, words_per_row=pe.I, two_port=buffers.two_port)
        crossbar = partial(Component, kind="crossbar", ports=(pe.multipliers_per_pe, pe.accumulator_banks))
        return (
            ram("iaram", words=8 * buffers.iaram_bytes // stored),
            registers("activation_registers", instances=pes, bits=stored, words=pe.I),
            registers("weight_fifo", instances=pes, bits=bits.weight_bits, words=pe.F * self.weight_fifo.entries),
            Component("multipliers", "multiplier", self.num_multipliers, bits.data_bits),
            Component("coordinates", "adder", self.num_multipliers, address_bits),
            crossbar("crossbar", instances=pes, bits=routed, calibration=scatter),
            registers("bank_queues", instances=banks, bits=routed, words=queued, calibration=scatter),
            registers("accumulators", instances=copies * banks, bits=bits.psum_bits, words=depth),
            Component("adders", "adder", banks, bits.psum_bits),
            registers("halo", instances=pes, bits=bits.psum_bits, words=LINKS * max(1, self.ppu.halo_words_per_cycle)),
            ram("oaram", words=8 * buffers.oaram_bytes // stored),
        )

    @property
    def fifo(self) -> tuple[int, int]:
        """Entries and vectors a cycle of the weight FIFO as the kernel takes them; zeros for ideal weights."""
        fifo = self.weight_fifo
        return (fifo.entries, fifo.vectors_per_cycle) if fifo.broadcast == "fifo" else (0, 0)

    @property
    def activation_bytes(self) -> int:
        """Bytes that an image has of all activation RAMs."""
        return self.pe.num_pes * (self.buffers.iaram_bytes + self.buffers.oaram_bytes) // self.weight_fifo.images

    @property
    def weight_bits(self) -> int:
        """Bits of a weight without its index."""
        return self.compression.data_bits

    @property
    def input_bits(self) -> int:
        """Bits of an activation without its index."""
        return self.compression.data_bits

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored: its non-zeros with their zero runs, or all of it."""
        compression = self.compression
        return math.ceil(compression.stored_activations(words, density) * compression.activation_bits / 8)

    def weight_dram_bits(self, entries: float, words: float, nonzeros: float) -> float:
        """Bits in DRAM of weights that are so many entries on chip."""
        compression, encoding = self.compression, self.encoding.weights
        if encoding == "zero_run" or not compression.sparse_weights:
            return entries * compression.weight_bits
        return bits_in_dram(encoding, words, nonzeros, compression.data_bits)

    def activation_dram_bits(self, entries: float, words: float, nonzeros: float) -> float:
        """Bits in DRAM of activations that are so many entries on chip."""
        compression, encoding = self.compression, self.encoding.activations
        if encoding == "zero_run" or not compression.sparse_activations:
            return entries * compression.activation_bits
        return bits_in_dram(encoding, words, nonzeros, compression.data_bits)

    def output_dram_bits(self, words: int, density: float) -> float:
        """Expected bits in DRAM of outputs."""
        entries = self.compression.stored_activations(words, density)
        return self.activation_dram_bits(entries, words, words * density)

    def stored(self, operands: Operands) -> Operands:
        """The masks of what is stored and multiplied: a dense operand has no zeros."""
        weights, inputs = operands.weights, operands.inputs
        if not self.compression.sparse_weights:
            weights = np.ones_like(weights)
        if not self.compression.sparse_activations:
            inputs = np.ones_like(inputs)
        return replace(operands, weights=weights, inputs=inputs)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether all inputs and all outputs of a layer, at these densities, fit what an image has of the RAMs."""
        if layer.kind == "fc":  # neurons are dealt to the PEs
            inputs, outputs = -(-layer.C // self.pe.num_pes), -(-layer.K // self.pe.num_pes)
        else:
            conv = unit_stride(layer, self.tile_plane == "padded")
            tile_h, tile_w = next(tilings(conv.plane, self.pe.rows, self.pe.cols)).largest_tile
            inputs, outputs = tile_h * tile_w * conv.C, tile_h * tile_w * conv.K
        return (
            self.stored_bytes(inputs, input_density) * self.weight_fifo.images <= self.buffers.iaram_bytes,
            self.stored_bytes(outputs, output_density) * self.weight_fifo.images <= self.buffers.oaram_bytes,
        )
