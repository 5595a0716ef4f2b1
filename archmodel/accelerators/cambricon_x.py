"""Cambricon-X: PEs that store compressed synapses and are sent the neurons they need (Zhang et al., MICRO 2016).

Every PE computes one output neuron of a block from its non-zero synapses. The indexing module adds up their steps and
selects, from a window of candidate neurons, those that the PE needs, as many a cycle as it has multipliers. PEs do not
wait for each other within a block. Zero neurons are multiplied.

A kernel takes as many cycles at one position as at any other, so the whole layer follows from one pass over its
weights: that is less than drawing them, and `sampled` leaves nothing out.
"""

from itertools import pairwise

import numpy as np

from archmodel.accelerators.block_account import Work, account, neurons_of_blocks
from archmodel.accelerators.cambricon_x_config import Config
from archmodel.accelerators.cambricon_x_expected import expected_work
from archmodel.accelerators.check import compare_outputs, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.dot_operands import candidate_neurons, synapse_rows
from archmodel.accelerators.output_blocks import Int64, Positions
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.stored_tensors import Masks, Stored, StoredTensor, all_dense
from archmodel.encodings.sparse_encodings import ZeroRun
from archmodel.errors import ResultError
from archmodel.kernels.compression import run_length_entries
from archmodel.kernels.index_match import match_neurons, window_entries
from archmodel.memory.energy import Counts
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Mask, Operands, Values, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = ("conv", "fc")


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of a conv or fc layer on the non-zeros of its weights, over all images."""
    entries = entries_of_windows(config, layer, operands.weights, context)
    if context.check:
        check(config, layer, operands, window_cycles(config, entries).sum(axis=1), context)
    work = work_of(config, layer, entries, Positions.of(layer, operands.batch).count)
    return account(config, layer, operands, work, effectual_macs(layer, operands), context, index_counts)


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts of a layer of which only the densities are known."""
    work = expected_work(config, layer, densities)
    return account(config, layer, densities, work, densities.effectual_macs(layer), context, index_counts)


def entries_of_windows(config: Config, layer: Layer, weights: Mask, context: Context) -> Int64:
    """Stored synapses of every output neuron in every window.  int64[K, windows]"""
    rows = synapse_rows(layer, weights)
    ends = [rows.shape[0] * part // context.threads for part in range(context.threads + 1)]
    parts = [rows[first:end] for first, end in pairwise(ends)]

    def count(part: Mask) -> Int64:
        entries: Int64 = window_entries(part, config.index.window, config.index.longest_run)
        return entries

    return np.concatenate(context.run(count, parts))


def window_cycles(config: Config, entries: Int64) -> Int64:
    """Cycles of a PE in each window; one of which it needs nothing passes by in a cycle."""
    return np.maximum(1, -(-entries // config.pe.multipliers))


def work_of(config: Config, layer: Layer, entries: Int64, positions: int) -> Work:
    """What the PEs do, at as many positions: a block ends with its slowest PE, or each of its windows does."""
    of_blocks = in_blocks(layer, entries, config.pe.pes)
    cycles = in_blocks(layer, window_cycles(config, entries), config.pe.pes)
    stored = of_blocks.sum(axis=2)
    slowest = cycles.max(axis=1).sum(axis=1) if config.pe.barrier == "window" else cycles.sum(axis=2).max(axis=1)
    return Work(
        issued=positions * int(stored.sum()),
        pe_cycles=positions * cycles.sum(axis=2),
        block_cycles=positions * slowest,
        stored=stored.sum(axis=1),
        resident=stored.max(axis=1),
    )


def in_blocks(layer: Layer, of_neurons: Int64, num_pes: int) -> Int64:
    """Rows of the output neurons, [K, windows], dealt to PEs: [blocks, PEs, windows], zeros for a PE without one."""
    num_neurons = neurons_of_blocks(layer, num_pes)
    dealt = np.zeros((num_neurons.size, num_pes, of_neurons.shape[1]), np.int64)
    dealt[np.arange(num_pes) < num_neurons[:, np.newaxis]] = of_neurons
    return dealt


def index_counts(issued: int, loaded: int, candidates: int) -> Counts:
    """What the indexing module does: each product's step is read and added, and its neuron selected.

    The registers of the window drive the selectors' wires, whose energy is that of a selection.
    """
    return Counts(
        words_read={"steps": issued},
        words_written={"steps": loaded, "window": candidates},
        operations={"step_adders": issued, "selectors": issued},
    )


def check(config: Config, layer: Layer, operands: Operands, cycles: Int64, context: Context) -> None:
    """Raise ResultError unless the selected neurons give the layer's outputs in the cycles that were counted."""
    weights, inputs = values_of(layer, operands, context.seed)
    rows, masks = synapse_rows(layer, weights), synapse_rows(layer, operands.weights)
    of_group = layer.K // layer.groups
    for image in inputs:
        outputs = np.zeros((layer.K, layer.P * layer.Q), np.int64)
        for group in range(layer.groups):
            chosen = slice(group * of_group, (group + 1) * of_group)
            entry_ptr, step, synapse = step_indices(config, masks[chosen], rows[chosen])
            for at, neurons in candidate_neurons(layer, image, group):
                outputs[chosen, at], spent = match_neurons(
                    entry_ptr, step, synapse, neurons.astype(np.int64), config.index.window, config.pe.multipliers
                )
                if not np.array_equal(spent, cycles[chosen]):
                    raise ResultError(f"{layer.name}: --check: the modelled dataflow takes other cycles than counted")
        through = outputs.reshape(layer.K, layer.P, layer.Q)
        compare_outputs(layer, through, reference_outputs(layer, weights, image))


def step_indices(config: Config, masks: Mask, rows: Values) -> tuple[Int64, Int64, Int64]:
    """Compressed synapses: first entry of each row, steps from the entry before, and values, explicit zeros too."""
    entry_ptr, position = run_length_entries(np.ascontiguousarray(masks), config.index.longest_run)
    row = np.repeat(np.arange(masks.shape[0]), np.diff(entry_ptr))
    step = np.diff(position.astype(np.int64), prepend=-1)
    first = entry_ptr[:-1][np.diff(entry_ptr) > 0]
    step[first] = position[first] + 1
    return entry_ptr, step, rows[row, position].astype(np.int64)

def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    bits = config.buffers.word_bits
    stored = all_dense(masks, bits, bits)
    if "weights" in masks:
        rows = synapse_rows(layer, masks["weights"])
        stored["weights"] = StoredTensor(ZeroRun(config.index.step_bits, "row"), bits, (rows,), uncounted=("counts",))
    return stored
