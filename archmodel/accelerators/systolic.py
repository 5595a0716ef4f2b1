"""Systolic arrays of any shape and dataflow, among them the TPU v1 (Jouppi et al., ISCA 2017); docs/systolic.md.

A dense machine: a product with a zero takes as long as any other, so that cycles follow from shapes and rates alone
and are the same in every fidelity.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.account import layer_account
from archmodel.accelerators.context import Context, layer_cycles, layer_phases
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.systolic_check import check
from archmodel.accelerators.systolic_config import BytesPerS, Config
from archmodel.accelerators.systolic_tiles import Tiling
from archmodel.kernels.tile_pipeline import tile_pipeline
from archmodel.memory.dram import Stream
from archmodel.memory.transfers import Memory, Phases, Transfers
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer"]

KINDS = ("conv", "fc")
TICKS = 1024  # of a cycle, in which arrivals are counted: a tile of a small array takes a fraction of a cycle

Int64 = npt.NDArray[np.int64]


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Cycles and counts of a conv or fc layer over all images."""
    if context.check:
        check(config, layer, operands, context)
    return account(config, layer, operands, effectual_macs(layer, operands), context)


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Those of `run_layer`: zeros change no cycle."""
    return account(config, layer, densities, densities.effectual_macs(layer), context)


@dataclass(frozen=True)
class ArrayTime:
    """Cycles of the array without waiting for activations, by cause; `of_blocks` sums to all of them."""

    of_blocks: list[int]
    active: int
    weight_stall: int
    tile_shift: int
    drain: int


def weight_arrivals(config: Config, tiling: Tiling, memory: Memory) -> Transfers:
    """When the weights of every tile arrive, in ticks."""
    fetched = np.concatenate([num_bytes for _, num_bytes in tiling.streams_and_fetches])
    phases = Phases((("weight", "read"),), fetched[:, np.newaxis])
    return memory.transfers(phases, TICKS * config.clock_hz, rate_of(config.weights.memory_bytes_per_s))


def array_time(config: Config, tiling: Tiling, arrivals: Transfers) -> ArrayTime:
    """Time of all tiles, with their weights arriving one behind the other."""
    array, known = config.array, tiling.streams_and_fetches
    stream = np.concatenate([cycles for cycles, _ in known])
    fetched = np.concatenate([num_bytes for _, num_bytes in known])
    shifted = array.dataflow == "weight_stationary"
    # The skew: the last PE ends rows + cols - 2 cycles after the first. Outputs that stay leave after that, row by row.
    lead, drain = array.rows, array.rows + array.cols - 2
    if array.dataflow == "output_stationary":
        lead, drain = 0, drain + array.rows
    hold = array.rows - lead
    shift_start, start = tile_pipeline(
        stream,
        arrivals.cycles,
        TICKS,
        max(2, config.weights.buffer_bytes // int(fetched.max())),
        lead,
        hold,
        -1 if array.double_buffered else drain,
        shifted,
    )
    end = start + stream
    previous_end, free = np.zeros_like(end), np.zeros_like(end)
    previous_end[1:] = end[:-1]
    free[1:] = start[:-1] + hold if array.double_buffered else previous_end[1:] + drain
    begin = np.maximum(previous_end, free)  # the array could go on
    shifting = start - np.maximum(begin, shift_start) if shifted else np.maximum(0, shift_start + lead - begin)
    end[-1] += drain
    last_of_block = np.cumsum([cycles.size for cycles, _ in known]) - 1
    return ArrayTime(
        of_blocks=np.diff(end[last_of_block], prepend=0).tolist(),
        active=int(stream.sum()),
        weight_stall=int((start - begin - shifting).sum()),
        tile_shift=int(shifting.sum()),
        drain=int((begin - previous_end).sum()) + drain,
    )


def rate_of(bytes_per_s: BytesPerS) -> float | None:
    """The rate of a port of its own; None where there is only the memory of the run."""
    return None if bytes_per_s == "memory" else bytes_per_s


def account(
    config: Config, layer: Layer, operands: Operands | Densities, effectual: int, context: Context
) -> LayerResult:
    """The layer's account, of which zeros decide only what part of the products is effectual."""
    tiling = Tiling(config, layer, operands.batch)
    arrivals, streams = weight_arrivals(config, tiling, context.memory), streams_of(config, tiling, context)
    time, shared = array_time(config, tiling, arrivals), config.weights.memory_bytes_per_s == "memory"
    issued, slots = layer.macs * operands.batch, config.num_multipliers
    on_port = tuple(replace(stream, num_bytes=0) if stream.kind == "weight" else stream for stream in streams)
    port = context.memory.transfers(
        layer_phases(len(time.of_blocks), on_port), config.clock_hz, rate_of(config.activations.host_bytes_per_s)
    )

    def behind(blocks: list[int], moved: Transfers) -> int:
        """Cycles of the layer; where weights are in the run's DRAM, its time is shared with activations."""
        if moved.end:
            blocks = array_time(config, tiling, arrivals.at(moved.end)).of_blocks
        if shared:
            blocks = list(map(max, blocks, moved.cycles[1:].tolist()))
        return layer_cycles(blocks, port.at(moved.end))

    return layer_account(
        config, layer, operands, context, time.of_blocks, streams,
        effectual=effectual,
        issued=issued,
        lost={
            "fragmentation": time.active * slots - issued,
            "weight_stall": time.weight_stall * slots,
            "tile_shift": time.tile_shift * slots,
            "drain": time.drain * slots,
        },
        time=behind,
        waited_for=None if shared else port,
        **actions(config, tiling, streams, issued),
        details={"blocks": len(tiling.blocks), "active_cycles": time.active},
    )


def streams_of(config: Config, tiling: Tiling, context: Context) -> tuple[Stream, ...]:
    """Weights of every block, and activations where they are not on chip: residency is planned for one image."""
    layer, batch = tiling.layer, tiling.batch
    inputs, outputs = (config.stored_bytes(batch * words, 1.0) for words in (layer.input_words, layer.output_words))
    spilled = inputs + outputs > config.activation_bytes
    streams = []
    for tile, (block, (_, fetched)) in enumerate(zip(tiling.blocks, tiling.streams_and_fetches, strict=True)):
        ends = [inputs * at // tiling.positions for at in (block.start, block.stop)]
        written = [outputs * at // tiling.positions for at in (block.start, block.stop)]
        streams.append(Stream("weight", "read", int(fetched.sum()), tile))
        if spilled or not context.input_on_chip:
            streams.append(Stream("input", "read", ends[1] - ends[0], tile))
        if spilled or not context.output_on_chip:
            streams.append(Stream("output", "write", written[1] - written[0], tile))
    return tuple(stream for stream in streams if stream.num_bytes)


def actions(config: Config, tiling: Tiling, streams: tuple[Stream, ...], issued: int) -> dict[str, Any]:
    """Words read and written, and operations, by component."""
    array, layer = config.array, tiling.layer
    moved = {"weight": 0, "input": 0, "output": 0}
    for stream in streams:
        bits = config.weight_bits if stream.kind == "weight" else config.input_bits
        moved[stream.kind] += 8 * stream.num_bytes // bits
    outputs, num_tiles = layer.output_words * tiling.batch, sum(x.size for x, _ in tiling.streams_and_fetches)
    steps = outputs * tiling.steps_of_depth
    # A word for row r passes through r + 1 registers of its column; so does, from the other end, an output that stayed.
    chained = num_tiles * array.cols * array.rows * (array.rows + 1) // 2
    read = dict.fromkeys(("stationary_registers", "moving_registers", "downward_registers"), steps)
    written = {**read, "stationary_registers": chained, "weight_buffer": moved["weight"]}
    operations = {config.product_part: issued, "adders": steps}
    if config.pe.lanes > 1:
        operations["lane_adders"] = steps
    if array.dataflow == "output_stationary":
        written["stationary_registers"] += steps
    else:
        sums = outputs * -(-tiling.depth // tiling.tile_depth)
        read["accumulators"] = written["accumulators"] = operations["accumulator_adders"] = sums
    read["weight_buffer"] = tiling.stored_weights * tiling.weight_uses
    read["activation_buffer"] = layer.groups * tiling.positions * tiling.depth * tiling.window_uses + moved["output"]
    written["activation_buffer"] = outputs + moved["input"]
    return {"words_read": read, "words_written": written, "operations": operations}
