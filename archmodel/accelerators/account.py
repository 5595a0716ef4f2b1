"""The account of a layer: its time behind the memory and all multiplier-slots by cause, from what a machine did."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from archmodel.accelerators.context import Context, layer_cycles, layer_phases
from archmodel.accelerators.result import LayerResult
from archmodel.memory.dram import Stream
from archmodel.memory.transfers import Transfers
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands

DRAM_PREFIX = "dram_"  # of details that are counts of the memory


class Clocked(Protocol):
    """What the account asks of a configuration."""

    @property
    def clock_hz(self) -> float:
        """Cycles of a second."""

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""


def layer_account(
    config: Clocked,
    layer: Layer,
    operands: Operands | Densities,
    context: Context,
    compute: list[int],
    streams: tuple[Stream, ...],
    *,
    effectual: int,
    issued: int,
    lost: Mapping[str, int],
    ends: Sequence[list[int]] = (),
    time: Callable[[list[int], Transfers], int] = layer_cycles,
    waited_for: Transfers | None = None,
    details: Mapping[str, int | float | str] | None = None,
    **counts: Any,
) -> LayerResult:
    """The result of a layer; causes sum to all slots if `lost` has every slot of `compute` that multiplies nothing.

    compute : cycles of each temporal tile without memory
    effectual, issued : products of two non-zeros that an output needs, and all that occupied a multiplier
    lost : multiplier-slots of `compute` by cause: products that no output needs, and slots without a product
    ends : `compute` at the ends of a sampled layer's 95 % interval, in any order
    time : cycles of a layer from its `compute` and its transfers, where a machine waits for other things
    waited_for : what the machine waits for where that is not all of its transfers
    counts : words_read, words_written, operations, and what else a LayerResult has
    """
    moved = context.memory.transfers(layer_phases(len(compute), streams), config.clock_hz)
    cycles = time(compute, moved)
    waited = cycles - sum(compute)
    dram_ends = [time(compute, end) for end in moved.ends]
    reached = [cycles, *dram_ends, *(time(tiles, end) for tiles in ends for end in moved.ends or (moved,))]
    return LayerResult.of(
        layer,
        operands,
        context.check,
        num_multipliers=config.num_multipliers,
        cycles=cycles,
        stack={
            "busy": effectual,
            "stored_zero": issued - effectual - lost.get("out_of_range", 0),
            **lost,
            "memory": waited * config.num_multipliers,
        },
        memory_stack=in_slots((waited_for or moved).waited(waited), config.num_multipliers),
        macs_effectual=effectual,
        macs_issued=issued,
        streams=streams,
        cycles_ci95=(min(reached), max(reached)) if len(reached) > 1 and context.sampled else None,
        energy_pj=dram_energy(context, moved, cycles / config.clock_hz),
        details={
            **(details or {}),
            "compute_cycles": sum(compute),
            **dram_details(moved),
            **({f"{DRAM_PREFIX}error_cycles": max(abs(end - cycles) for end in dram_ends)} if dram_ends else {}),
        },
        **counts,
    )


def in_slots(cycles: Mapping[str, int], num_multipliers: int) -> dict[str, int]:
    """Multiplier-slots by reason."""
    return {reason: count * num_multipliers for reason, count in cycles.items()}


def dram_energy(context: Context, moved: Transfers, time_s: float) -> dict[str, float]:
    """Energy of a memory that knows its own: while it works, and for the rest of the layer's time."""
    if moved.energy_pj is None:
        return {}
    return {"dram": moved.energy_pj + context.memory.idle_pj(max(0.0, time_s - moved.time_s))}


def dram_details(moved: Transfers) -> dict[str, int]:
    """What a memory counts for a layer, as details of its result."""
    return {DRAM_PREFIX + name: count for name, count in moved.counts.items()}


def share(total: int, part: int, num_parts: int) -> int:
    """What one of nearly equal parts has of a total; the parts sum to it."""
    return total * (part + 1) // num_parts - total * part // num_parts
