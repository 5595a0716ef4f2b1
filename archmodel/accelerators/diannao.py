"""DianNao: a dense functional unit of Tn neurons times Ti synapses behind three small buffers (ASPLOS 2014).

Every cycle the unit takes Ti input neurons from NBin and multiplies them with Ti synapses of each of Tn output
neurons, zeros included. Blocks of Tn output channels follow one another; DRAM is read and written beside them.
"""

from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from archmodel.accelerators.block_account import Work, account, neurons_of_blocks
from archmodel.accelerators.check import Outputs, check_images, exact_type
from archmodel.accelerators.context import Context
from archmodel.accelerators.dot_operands import candidate_neurons, synapse_rows
from archmodel.accelerators.output_blocks import Buffers, Positions
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.stored_tensors import DenseEncoding, Masks, Stored, all_dense
from archmodel.config import FrozenModel
from archmodel.errors import ResultError
from archmodel.memory.energy import Component, Counts
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, Values, effectual_macs

KINDS = ("conv", "fc")


class NFUConfig(FrozenModel):
    """The neural functional unit."""

    Tn: Annotated[int, Field(ge=1, le=4096)]
    Ti: Annotated[int, Field(ge=1, le=4096)]
    dot_product: Literal["channels", "flattened"]
    accumulator_bits: Annotated[int, Field(ge=1, le=64)]


class BufferConfig(FrozenModel):
    """NBin and NBout of `entries` rows of Ti and Tn neurons, SB of as many rows of Tn x Ti synapses."""

    entries: Annotated[int, Field(ge=1, le=2**20)]
    word_bits: Annotated[int, Field(ge=1, le=64)]


class Config(FrozenModel):
    """DianNao (Chen et al., ASPLOS 2014)."""

    model: Literal["diannao"]
    name: str
    clock_hz: Annotated[float, Field(ge=1, le=1e12)]
    technology: str
    nfu: NFUConfig
    buffers: BufferConfig
    encoding: DenseEncoding

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of a weight and of an activation, without what stands beside them."""
        return self.buffers.word_bits, self.buffers.word_bits

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""
        return self.nfu.Tn * self.nfu.Ti

    @property
    def memories(self) -> Buffers:
        """NBin, NBout and the part of SB that one output neuron has."""
        nfu, entries = self.nfu, self.buffers.entries
        return Buffers(
            num_pes=nfu.Tn,
            slice_channels=nfu.Ti,
            input_words=entries * nfu.Ti,
            output_words=entries * nfu.Tn,
            synapse_words=entries * nfu.Ti,
            word_bits=self.buffers.word_bits,
        )

    @property
    def synapse_bits(self) -> int:
        """Bits of a stored synapse in DRAM."""
        return self.buffers.word_bits

    @property
    def activation_bytes(self) -> int:
        """Bytes of NBin and NBout."""
        return self.stored_bytes(self.memories.input_words + self.memories.output_words, 1.0)

    @property
    def components(self) -> tuple[Component, ...]:
        """What the machine is built of; SB is cut into as many SRAMs as there are output neurons."""
        nfu, entries, word = self.nfu, self.buffers.entries, self.buffers.word_bits
        sram = partial(Component, kind="sram", bits=word)
        return (
            sram("nbin", instances=1, words=entries * nfu.Ti, words_per_row=nfu.Ti),
            sram("sb", instances=nfu.Tn, words=entries * nfu.Ti, words_per_row=nfu.Ti),
            Component("multipliers", "multiplier", self.num_multipliers, word),
            Component("adders", "adder", self.num_multipliers, nfu.accumulator_bits),
            Component("accumulators", "register_file", nfu.Tn, nfu.accumulator_bits),
            sram("nbout", instances=1, words=entries * nfu.Tn, words_per_row=nfu.Tn),
        )

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map: all its words."""
        return self.memories.num_bytes(words)

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Feature maps go through DRAM: NBin and NBout have a DMA each and no path between them."""
        return False, False


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of a conv or fc layer, over all images; zeros cost as much time as other values."""
    if context.check:
        check(config, layer, operands, context)
    return dense_account(config, layer, operands, effectual_macs(layer, operands), context)


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts: those of `run_layer`, for zeros change no cycle."""
    return dense_account(config, layer, densities, densities.effectual_macs(layer), context)


def dense_account(
    config: Config, layer: Layer, operands: Operands | Densities, effectual: int, context: Context
) -> LayerResult:
    """The account, of which zeros decide only how much is effectual."""
    neurons, positions = neurons_of_blocks(layer, config.nfu.Tn), Positions.of(layer, operands.batch).count
    depth, cycles = layer.weight_words // layer.K, positions * dot_cycles(config, layer)
    work = Work(
        issued=positions * layer.weight_words,
        pe_cycles=np.where(np.arange(config.nfu.Tn) < neurons[:, np.newaxis], cycles, 0),
        block_cycles=np.full(neurons.size, cycles),
        stored=neurons * depth,
        resident=np.full(neurons.size, depth),
    )
    return account(config, layer, operands, work, effectual, context, nothing_else)


def nothing_else(issued: int, loaded: int, candidates: int) -> Counts:
    """No other component counts."""
    return Counts({}, {}, {})


def dot_cycles(config: Config, layer: Layer) -> int:
    """Cycles of one position of a block: Ti channels of one kernel position at a time, or Ti of all synapses."""
    depth, taps = layer.weight_words // layer.K, layer.R * layer.S
    if config.nfu.dot_product == "flattened":
        return -(-depth // config.nfu.Ti)
    return -(-(depth // taps) // config.nfu.Ti) * taps


def check(config: Config, layer: Layer, operands: Operands, context: Context) -> None:
    """Raise ResultError unless blocks of Tn x Ti products give the outputs, in the cycles that are counted."""
    if len(taken_together(config, layer)) != dot_cycles(config, layer):
        raise ResultError(f"{layer.name}: --check: the modelled dataflow takes other cycles than counted")
    check_images(layer, operands, context.seed, partial(block_outputs, config, layer))


def taken_together(config: Config, layer: Layer) -> list[slice]:
    """Synapses of a dot product that the unit takes in each of its cycles, channels fastest."""
    depth, Ti = layer.weight_words // layer.K, config.nfu.Ti
    span = depth if config.nfu.dot_product == "flattened" else layer.C // layer.groups
    ends = range(span, depth + 1, span)
    return [slice(low, min(low + Ti, end)) for end in ends for low in range(end - span, end, Ti)]


def block_outputs(config: Config, layer: Layer, weights: Values, image: Values) -> Outputs:
    """Outputs of an image, formed from Ti synapses at a time of each block of Tn neurons.  int64[K, P, Q]"""
    exact, of_group = exact_type(layer, weights, image), layer.K // layer.groups
    outputs = np.zeros((layer.K, layer.P * layer.Q), np.int64)
    synapses, cycles = synapse_rows(layer, weights).astype(exact), taken_together(config, layer)
    for group in range(layer.groups):
        end = (group + 1) * of_group
        for at, neurons in candidate_neurons(layer, image, group):
            candidates = neurons.astype(exact)
            for first in range(end - of_group, end, config.nfu.Tn):
                block = slice(first, min(first + config.nfu.Tn, end))
                for taken in cycles:
                    outputs[block, at] += (synapses[block, taken] @ candidates[taken]).astype(np.int64)
    return outputs.reshape(layer.K, layer.P, layer.Q)

def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    return all_dense(masks, *config.operand_bits)
