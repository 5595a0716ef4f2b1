"""EIE: sparse matrix times sparse vector (Han et al., ISCA 2016).

Rows of the matrix are dealt to the PEs, each of which stores its part of every column in a zero-run code. Non-zero
activations are broadcast, one a cycle, into queues; a PE works through the column of the activation at the head of its
queue, one stored entry a cycle. A vector longer than the registers of all PEs comes in batches.

The queues couple all columns of a batch, so a layer has no parts whose cycles add up: a sampled run is exact.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.account import layer_account
from archmodel.accelerators.context import Context
from archmodel.accelerators.eie_batches import Batches, Work, num_pointers, storage_counts
from archmodel.accelerators.eie_check import check
from archmodel.accelerators.eie_config import Config
from archmodel.accelerators.eie_expected import expected_work
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.stored_tensors import Masks, Stored, StoredTensor, all_dense
from archmodel.encodings.sparse_encodings import InterleavedColumns
from archmodel.kernels.column_queue import column_queue_cycles
from archmodel.kernels.interleaved_columns import interleaved_entries, line_reads
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Mask, Operands, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = ("fc",)

Int64 = npt.NDArray[np.int64]


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of an fc layer on the non-zeros of `operands`, over all images."""
    parts = Batches.of(config, layer)
    if context.check:
        check(config, layer, parts, operands, context)
    work = walk(config, parts, operands, context)
    return account(config, layer, parts, work, operands, effectual_macs(layer, operands), context)


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts of an fc layer of which only the densities are known."""
    parts = Batches.of(config, layer)
    effectual = densities.effectual_macs(layer)
    work = expected_work(config, parts, densities, effectual)
    return account(config, layer, parts, work, densities, effectual, context)


def walk(config: Config, parts: Batches, operands: Operands, context: Context) -> Work:
    """Every PE and column of every batch."""
    weights = operands.weights[:, :, 0, 0]
    images = operands.inputs[:, :, 0, 0]

    def store(rows: range) -> npt.NDArray[np.uint16]:
        return interleaved_entries(weights[rows.start : rows.stop], config.pe.count, config.weights.index_bits)

    stored = context.run(store, parts.rows)
    spans, cycle_map = [], []
    issued = empty = pointer_stalls = broadcasts = reads = 0
    for image in images:
        span = 0
        for entries in stored:
            reads += fetched_lines(config, entries, image)
            for part in parts.columns:
                columns = np.flatnonzero(image[part.start : part.stop]) + part.start
                sent = np.ascontiguousarray(entries[:, columns].T)
                held = np.maximum(sent, np.uint16(config.pointer_cycles))
                span += int(column_queue_cycles(held, config.pe.queue_depth))
                cycle_map.append(held.sum(axis=0, dtype=np.int64))
                issued += int(sent.sum(dtype=np.int64))
                without = int(np.count_nonzero(sent == 0))
                empty += without
                pointer_stalls += int(cycle_map[-1].sum()) - int(sent.sum(dtype=np.int64)) - without
                broadcasts += columns.size
        spans.append(span)
    of_pes = sum(entries.sum(axis=1, dtype=np.int64) for entries in stored)
    stored_entries, fullest_pe = int(of_pes.sum()), int(of_pes.max())
    return Work(
        spans, stored_entries, fullest_pe, issued, empty, pointer_stalls, broadcasts, reads, np.stack(cycle_map)
    )


def fetched_lines(config: Config, entries: npt.NDArray[np.uint16], image: Mask) -> int:
    """Reads of the matrix SRAMs for an image."""
    entry_ptr = np.zeros((entries.shape[0], entries.shape[1] + 1), np.int64)
    np.cumsum(entries, axis=1, out=entry_ptr[:, 1:])
    return int(line_reads(entry_ptr, np.flatnonzero(image), config.entries_per_row))


def account(
    config: Config,
    layer: Layer,
    parts: Batches,
    work: Work,
    operands: Operands | Densities,
    effectual: int,
    context: Context,
) -> LayerResult:
    """The layer's account, of work that was walked or is expected; the causes sum to all multiplier-slots."""
    num_pes, batch = config.pe.count, operands.batch
    overhead = parts.overhead_cycles(config, context)
    compute = [span + overhead for span in work.spans]
    fetches = weight_fetches(config, work, batch)
    streams = vector_streams(config, layer, batch, context) + weight_streams(config, layer, parts, work, fetches)
    return layer_account(
        config, layer, operands, context, compute, streams,
        effectual=effectual,
        issued=work.issued,
        lost={
            "fragmentation": work.empty,
            "bank_conflict": work.pointer_stalls,
            "imbalance": sum(work.spans) * num_pes - work.issued - work.empty - work.pointer_stalls,
            "drain": overhead * batch * num_pes,
        },
        **storage_counts(config, layer, parts, work, batch, fetches, context),
        operations={"multipliers": work.issued, "adders": work.issued},
        cycle_map=work.cycle_map,
        details={
            "batches": len(parts.rows) * len(parts.columns),
            "stored_entries": work.stored_entries,
            "weights_resident": int(fits_on_chip(config, work)),
        },
    )


def fits_on_chip(config: Config, work: Work) -> bool:
    """Whether the matrix SRAMs hold all entries. Pointers beyond their SRAM are neither refused nor charged."""
    return work.fullest_pe <= config.matrix_entries


def weight_fetches(config: Config, work: Work, batch: int) -> int:
    """How often the weights come from DRAM: never if they are on chip before, for every image if they do not fit."""
    if not fits_on_chip(config, work):
        return batch
    return 0 if config.weights.preloaded else 1


def vector_streams(config: Config, layer: Layer, batch: int, context: Context) -> tuple[Stream, ...]:
    """Inputs and outputs of every image, zeros included."""
    inputs, outputs = (config.stored_bytes(words, 1.0) for words in (layer.input_words, layer.output_words))
    streams = []
    for image in range(batch):
        if not context.input_on_chip:
            streams.append(Stream("input", "read", inputs, image))
        if not context.output_on_chip:
            streams.append(Stream("output", "write", outputs, image))
    return tuple(streams)


def weight_streams(
    config: Config, layer: Layer, parts: Batches, work: Work, fetches: int
) -> tuple[Stream, ...]:
    """Entries and pointers, as often as they are fetched."""
    entry_bits = work.stored_entries * config.weights.entry_bits
    pointer_bits = num_pointers(config, layer, parts) * config.buffers.pointer_bits
    num_bytes = math.ceil((entry_bits + pointer_bits) / 8)
    return tuple(Stream("weight", "read", num_bytes, image) for image in range(fetches))

def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    stored = all_dense(masks, *config.operand_bits)
    if "weights" in masks:
        matrix, buffers = masks["weights"][:, :, 0, 0], config.buffers
        parts = tuple(matrix[rows.start : rows.stop] for rows in Batches.of(config, layer).rows)
        codec = InterleavedColumns(config.pe.count, config.weights.index_bits, buffers.pointer_bits)
        entries = [interleaved_entries(part, config.pe.count, config.weights.index_bits) for part in parts]
        fullest = max(int(one.sum(axis=1, dtype=np.int64).max()) for one in entries)
        if fullest >> buffers.pointer_bits:  # which the machine does not refuse
            codec = replace(codec, pointer_bits=32)
        stored["weights"] = StoredTensor(codec, config.weights.code_bits, parts)
    return stored
