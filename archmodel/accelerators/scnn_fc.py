"""SCNN's fully connected layers: output neurons dealt to the PEs, weights streamed to each.

An fc layer has one position, so planar tiles leave 63 of 64 PEs without work. Here PE p computes its own share of the
output neurons; the activations are broadcast and each PE receives its own weights. An activation vector holds one
channel of up to I images: at batch 1 a quarter of the multipliers is used, as the study states, and DRAM, which
delivers every weight once for each set of images, usually bounds the layer.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.account import layer_account
from archmodel.accelerators.cartesian import Accumulators, Blocks, activation_vectors, weight_vectors
from archmodel.accelerators.check import compare_outputs, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import GroupWork
from archmodel.kernels.accumulator_banks import bank_group_cycles
from archmodel.kernels.cartesian_product import accumulate_products
from archmodel.kernels.compression import num_column_entries
from archmodel.kernels.lanes import WEIGHTS_PER_STEP
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, effectual_macs

PES_PER_TASK = 8  # bounds the weights that are unpacked at a time


@dataclass(frozen=True)
class Round:
    """Neurons and images that all PEs work on at one time, with the accumulators of a PE."""

    first_neuron: int
    per_pe: int
    images: slice
    accumulators: Accumulators

    @property
    def num_images(self) -> int:
        """Images of the round."""
        return self.accumulators.tile_w


@dataclass(frozen=True)
class RoundWork:
    """What the PEs did in a round; `work` has a row for each PE with neurons.

    nonzero_inputs, nonzero_weights : without explicit zeros
    """

    work: GroupWork
    stored_inputs: int
    stored_weights: int
    input_reads: int
    issued: int
    weight_reads: int
    nonzero_inputs: int
    nonzero_weights: int


def rounds_of(config: Config, layer: Layer, batch: int) -> list[Round]:
    """Rounds in execution order: as many neurons a PE, then as many images, as its accumulators hold."""
    pe = config.pe
    per_pe = min(-(-layer.K // pe.num_pes), pe.accumulator_entries)
    num_images = max(1, min(batch, pe.accumulator_entries // per_pe))
    rounds = []
    for first_image in range(0, batch, num_images):
        images = slice(first_image, min(first_image + num_images, batch))
        accumulators = Accumulators(
            per_pe, 1, images.stop - images.start, 1, 1, pe.accumulator_banks, pe.bank_hash
        )
        for first_neuron in range(0, layer.K, per_pe * pe.num_pes):
            rounds.append(Round(first_neuron, per_pe, images, accumulators))
    return rounds


def neurons_of(round_: Round, pes: range) -> slice:
    """Output neurons of some PEs; the last PEs of a layer can have fewer."""
    first = round_.first_neuron + pes.start * round_.per_pe
    return slice(first, first + len(pes) * round_.per_pe)


def neuron_cells(round_: Round, pes: range, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Weights of the neurons of some PEs as blocks of one channel: [neurons, C] -> [PEs * C, neurons of a PE]."""
    missing = len(pes) * round_.per_pe - rows.shape[0]
    if missing:
        rows = np.concatenate([rows, np.zeros((missing, rows.shape[1]), rows.dtype)])
    split = rows.reshape(len(pes), round_.per_pe, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(split).reshape(-1, round_.per_pe)


def image_cells(round_: Round, inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Activations as blocks of one channel: [N, C, 1, 1] -> [C, images of the round]."""
    return np.ascontiguousarray(inputs[round_.images, :, 0, 0].T)


def run_round(config: Config, round_: Round, operands: Operands, context: Context) -> RoundWork:
    """Walk every PE-cycle of a round; each PE is a group of its own to the kernel, with weights that are there.

    Weights of a channel without an activation are stored but not multiplied: they are counted and not laid out.
    """
    pe, longest_run = config.pe, config.compression.longest_run
    channels = operands.inputs.shape[1]
    activations = Blocks.compress(image_cells(round_, operands.inputs), (channels, 1), longest_run)
    rotate = round_.accumulators.rotates and pe.F <= WEIGHTS_PER_STEP
    activation_ptr, activation_codes = activation_vectors(activations, round_.accumulators, pe.I, rotate)
    banks = np.zeros((1, 1), np.uint8) if rotate else round_.accumulators.banks()[np.newaxis]
    nonzero_inputs = int(np.count_nonzero(operands.inputs[round_.images]))
    met = np.flatnonzero(activations.num_entries[:, 0])
    met = met if met.size else np.zeros(1, np.int64)  # the kernel takes at least one channel
    activation_ptr = activation_ptr[met]
    entries, vectors = activations.num_entries[met, 0], activations.num_vectors(pe.I)[met, 0]
    neurons = min(operands.weights.shape[0] - round_.first_neuron, round_.per_pe * pe.num_pes)
    num_busy = -(-neurons // round_.per_pe)

    def walk(pes: range) -> RoundWork:
        rows = operands.weights[neurons_of(round_, pes), :, 0, 0]
        cells = neuron_cells(round_, pes, rows if met.size == channels else rows[:, met])
        weights = Blocks.compress(cells, (len(pes), met.size), longest_run)
        weight_ptr, codes = weight_vectors(weights, round_.accumulators, pe.weight_order, pe.F, rotate)
        work = GroupWork(
            *bank_group_cycles(weight_ptr, codes, activation_ptr, activation_codes, banks, pe.queue_depth, (0, 0), 0)
        )
        stored, used = weights.num_entries.sum(axis=0), np.count_nonzero(weights.num_entries, axis=0)
        reads = int(used @ entries), int(stored @ entries), int(stored @ vectors)
        num_stored = sum(
            int(num_column_entries(rows[first : first + round_.per_pe], longest_run))
            for first in range(0, rows.shape[0], round_.per_pe)
        )
        nonzeros = nonzero_inputs, int(np.count_nonzero(rows))
        return RoundWork(work, int(entries.sum()), num_stored, *reads, *nonzeros)

    chunks = [range(first, min(first + PES_PER_TASK, num_busy)) for first in range(0, num_busy, PES_PER_TASK)]
    walked = context.run(walk, chunks)
    summed = ("stored_weights", "input_reads", "issued", "weight_reads", "nonzero_weights")
    return RoundWork(
        work=GroupWork.join([part.work for part in walked]),
        stored_inputs=walked[0].stored_inputs,
        nonzero_inputs=nonzero_inputs,
        **{name: sum(getattr(part, name) for part in walked) for name in summed},
    )


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of an fc layer on the non-zeros of `operands`, over all images."""
    rounds, stored = rounds_of(config, layer, operands.batch), config.stored(operands)
    works = [run_round(config, round_, stored, context) for round_ in rounds]
    if context.check:
        check_fc(config, layer, rounds, operands, context)
    return account(config, layer, rounds, works, operands, effectual_macs(layer, operands), context)


def account(
    config: Config,
    layer: Layer,
    rounds: list[Round],
    works: list[RoundWork],
    operands: Operands | Densities,
    effectual: int,
    context: Context,
) -> LayerResult:
    """The layer's account, of rounds that were walked or are expected; the causes sum to all multiplier-slots."""
    spans = [int(work.work.span.max()) for work in works]
    drains = exposed_drains(config, layer, rounds, spans)
    compute = [span + drain for span, drain in zip(spans, drains, strict=True)]
    streams = fc_streams(config, layer, rounds, works, operands.output_density, context)
    pe, bits, lanes = config.pe, config.compression, config.pe.multipliers_per_pe
    all_work = GroupWork.join([work.work for work in works])
    issued = sum(work.issued for work in works)
    stalled, emptying = int(all_work.stalls.sum()), int(all_work.emptying.sum())
    worked = int(all_work.work.sum())
    return layer_account(
        config, layer, operands, context, compute, streams,
        effectual=effectual,
        issued=issued,
        lost={
            "fragmentation": (worked - stalled - emptying) * lanes - issued,
            "bank_conflict": stalled * lanes,
            "imbalance": (sum(spans) * pe.num_pes - worked) * lanes,
            "drain": emptying * lanes + sum(drains) * config.num_multipliers,
        },
        words_read={
            "iaram": sum(work.input_reads for work in works),
            "weight_fifo": sum(work.weight_reads for work in works),
            "bank_queues": issued,
            "accumulators": issued + layer.K * operands.batch,
        },
        words_written={
            "activation_registers": sum(work.input_reads for work in works),
            "weight_fifo": sum(work.stored_weights for work in works),
            "bank_queues": issued,
            "accumulators": issued,
            "oaram": math.ceil(bits.stored_activations(layer.K * operands.batch, operands.output_density)),
        },
        operations=dict.fromkeys(("multipliers", "coordinates", "crossbar", "adders"), issued),
        cycle_map=all_work.work,
        details={"Kc": rounds[0].per_pe, "sub_planes": 1, "tiled_through_dram": 0},
    )


def exposed_drains(config: Config, layer: Layer, rounds: list[Round], spans: list[int]) -> list[int]:
    """Drain cycles of each round that the next round's computation does not hide."""
    rate = config.ppu.output_words_per_cycle
    drains = []
    for round_ in rounds:
        neurons = min(round_.per_pe, layer.K - round_.first_neuron)  # of the first PE, which has the most
        drains.append(-(-neurons * round_.accumulators.tile_w // rate) if rate else 0)
    if not config.ppu.overlap:
        return drains
    return [max(0, drain - following) for drain, following in zip(drains, [*spans[1:], 0], strict=True)]


def fc_streams(
    config: Config,
    layer: Layer,
    rounds: list[Round],
    works: list[RoundWork],
    output_density: float,
    context: Context,
) -> tuple[Stream, ...]:
    """Weights of every round; inputs and outputs with the first round of each set of images."""
    streams = []
    for tile, (round_, work) in enumerate(zip(rounds, works, strict=True)):
        neurons = min(layer.K - round_.first_neuron, round_.per_pe * config.pe.num_pes)
        weights = config.weight_dram_bits(work.stored_weights, neurons * layer.C, work.nonzero_weights)
        streams.append(Stream("weight", "read", math.ceil(weights / 8), tile))
        if round_.first_neuron == 0:
            inputs = config.activation_dram_bits(
                work.stored_inputs, round_.num_images * layer.C, work.nonzero_inputs
            )
            outputs = config.output_dram_bits(round_.num_images * layer.K, output_density)
            if not context.input_on_chip:
                streams.append(Stream("input", "read", math.ceil(inputs / 8), tile))
            if not context.output_on_chip:
                streams.append(Stream("output", "write", math.ceil(outputs / 8), tile))
    return tuple(stream for stream in streams if stream.num_bytes)


def check_fc(config: Config, layer: Layer, rounds: list[Round], operands: Operands, context: Context) -> None:
    """Raise ResultError unless the dataflow computes the layer's outputs bit for bit."""
    pe, longest_run = config.pe, config.compression.longest_run
    weights, inputs = values_of(layer, operands, context.seed)
    stored = config.stored(operands)
    outputs = np.zeros((operands.batch, layer.K, 1, 1), np.int64)
    for round_ in rounds:
        of_images = image_cells(round_, stored.inputs)
        activations = Blocks.compress(of_images, (layer.C, 1), longest_run)
        activation_ptr, address = activation_vectors(activations, round_.accumulators, pe.I, rotate=False)
        values = activations.pack_values(image_cells(round_, inputs), pe.I)
        for index in range(pe.num_pes):
            first = round_.first_neuron + index * round_.per_pe
            if first >= layer.K:
                break
            one = range(index, index + 1)
            masks, rows = (operand[neurons_of(round_, one), :, 0, 0] for operand in (stored.weights, weights))
            blocks = Blocks.compress(neuron_cells(round_, one, masks), (1, layer.C), longest_run)
            weight_ptr, weight_address = weight_vectors(blocks, round_.accumulators, pe.weight_order, pe.F, False)
            held = blocks.pack_values(neuron_cells(round_, one, rows), pe.F)
            accumulated = accumulate_products(
                weight_ptr, weight_address, held, activation_ptr, address, values, round_.accumulators.size
            )
            target = outputs[round_.images, first : first + round_.per_pe, 0, 0]
            target += accumulated.reshape(round_.per_pe, -1).T[:, : target.shape[1]]
    for image, of_image in zip(inputs, outputs, strict=True):
        compare_outputs(layer, of_image, reference_outputs(layer, weights, image))
