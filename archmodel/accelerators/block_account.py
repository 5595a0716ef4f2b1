"""The account of a layer whose output neurons are dealt to PEs in blocks, from the work of the PEs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from archmodel.accelerators.account import Clocked, layer_account
from archmodel.accelerators.context import Context
from archmodel.accelerators.output_blocks import Buffers, Int64, Positions, in_steps, plan, streams_of
from archmodel.accelerators.result import LayerResult
from archmodel.memory.energy import Counts
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands

Also = Callable[[int, int, int], Counts]
"""What a machine counts besides, from products, synapses brought to SB, and neurons read from NBin."""


class BlockMachine(Clocked, Protocol):
    """What the account asks of a configuration."""

    @property
    def memories(self) -> Buffers:
        """Sizes of the buffers."""

    @property
    def synapse_bits(self) -> int:
        """Bits of a stored synapse in DRAM."""


@dataclass(frozen=True)
class Work:
    """What the PEs do for a layer; blocks are in the order of their channels, group after group.

    issued : products over all positions, explicit zeros included
    pe_cycles : int64[blocks, PEs], over all positions
    block_cycles : int64[blocks], until all PEs have finished
    stored : int64[blocks], synapses of a block
    resident : int64[blocks], synapses of its fullest PE
    """

    issued: int
    pe_cycles: Int64
    block_cycles: Int64
    stored: Int64
    resident: Int64


def neurons_of_blocks(layer: Layer, num_pes: int) -> Int64:
    """Output channels in each block; a block has channels of one group.  int64[blocks]"""
    of_group = layer.K // layer.groups
    return np.tile(np.minimum(num_pes, of_group - np.arange(0, of_group, num_pes)), layer.groups)


def account(
    config: BlockMachine,
    layer: Layer,
    operands: Operands | Densities,
    work: Work,
    effectual: int,
    context: Context,
    also: Also,
) -> LayerResult:
    """The layer's result; what memory adds is counted where DRAM takes longer than the blocks computed meanwhile."""
    buffers, positions = config.memories, Positions.of(layer, operands.batch)
    neurons = neurons_of_blocks(layer, buffers.num_pes)
    by_group = (layer.groups, -1)
    weight_bytes = -(-work.stored * config.synapse_bits // 8).reshape(by_group)
    chosen = plan(positions, buffers, weight_bytes, work.resident.reshape(by_group))
    streams = streams_of(chosen, buffers, weight_bytes, (neurons * positions.count).reshape(by_group), context)
    compute = [0, *in_steps(work.block_cycles.reshape(by_group), chosen.depth_blocks).ravel().tolist()]
    computing, lanes = int(work.block_cycles.sum()), config.num_multipliers // buffers.num_pes
    busy_slots = int(work.pe_cycles.sum()) * lanes
    stored = in_steps(work.stored.reshape(by_group), chosen.depth_blocks)
    loaded = int((stored * chosen.weight_fetches).sum())
    depth = layer.weight_words // layer.K
    candidates = depth * positions.count * neurons.size
    outputs = layer.output_words * operands.batch
    more = also(work.issued, loaded, candidates)
    return layer_account(
        config, layer, operands, context, compute, streams,
        effectual=effectual,
        issued=work.issued,
        lost={
            "fragmentation": busy_slots - work.issued,
            "imbalance": computing * config.num_multipliers - busy_slots,
        },
        words_read={
            "nbin": candidates,
            "nbout": outputs * chosen.passes,
            "sb": work.issued,
            "accumulators": int(work.pe_cycles.sum()),
            **more.words_read,
        },
        words_written={
            "nbin": chosen.input_words * layer.groups,
            "nbout": outputs * chosen.passes,
            "sb": loaded,
            "accumulators": int(work.pe_cycles.sum()),
            **more.words_written,
        },
        operations={"multipliers": work.issued, "adders": work.issued, **more.operations},
        cycle_map=work.pe_cycles,
        details={
            "tile_rows": chosen.tile[0],
            "tile_cols": chosen.tile[1],
            "blocks_together": chosen.depth_blocks,
            "outer_loop": "blocks" if chosen.blocks_outer else "tiles",
        },
    )
