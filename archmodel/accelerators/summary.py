"""Quantities of layers as plain data: what `--json`, data frames and result files show."""

import math
from collections.abc import Sequence
from typing import Any

from archmodel.accelerators.columns import CAUSES, DRAM_KINDS, LAYER_COLUMNS, MAPPINGS
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.sampling import PILOT_UNITS, STUDENT_T
from archmodel.accelerators.seeds import student_t
from archmodel.memory.transfers import REASONS


def layer_quantities(layer: LayerResult, clock_hz: float) -> dict[str, Any]:
    """A value for each of LAYER_COLUMNS, stored or derived."""
    derived = {
        "time_s": layer.cycles / clock_hz,
        "cycles_low": (layer.cycles_ci95 or (layer.cycles, layer.cycles))[0],
        "cycles_high": (layer.cycles_ci95 or (layer.cycles, layer.cycles))[1],
        "oracle_cycles": -(-layer.macs_effectual // layer.num_multipliers),
        **{f"dram_{kind}_bytes": layer.dram_bytes_of(kind) for kind in DRAM_KINDS},
    }
    return {name: derived[name] if name in derived else getattr(layer, name) for name in LAYER_COLUMNS}


def totals(layers: Sequence[LayerResult], clock_hz: float) -> dict[str, Any]:
    """Sums over layers that run one after the other, on the oracle too; stalls are cycles by cause."""
    rows = [layer_quantities(layer, clock_hz) for layer in layers]
    summed = ("cycles", "macs_dense", "macs_effectual", "macs_issued", "oracle_cycles", "dram_bytes")
    sums = {name: sum(row[name] for row in rows) for name in summed}
    slots = sum(layer.slots for layer in layers)
    causes = [cause for cause in CAUSES if any(cause in layer.stack for layer in layers)]
    return {
        **sums,
        **interval(cycles_ci95(layers)),
        "time_s": sums["cycles"] / clock_hz,
        "multiplier_utilization": sums["macs_effectual"] / slots if slots else 0.0,
        **energy(layers),
        "stalls": {cause: sum(layer.stall_cycles.get(cause, 0.0) for layer in layers) for cause in causes},
        **memory_stalls(layers),
    }


def memory_stalls(layers: Sequence[LayerResult]) -> dict[str, Any]:
    """The keys that layers have behind a memory which knows its reasons.

    Cycles of `memory` by reason; half-width of the 95 % interval of their cycles where not all requests were run.
    """
    if not any(layer.memory_stack for layer in layers):
        return {}
    cycles = {reason: sum(layer.memory_stall_cycles.get(reason, 0.0) for layer in layers) for reason in REASONS}
    error = sum(int(layer.details.get("dram_error_cycles", 0)) for layer in layers)  # layers share rates, and so errors
    return {"memory_stalls": cycles, "dram_error_cycles": error}


def cycles_ci95(layers: Sequence[LayerResult]) -> tuple[int, int] | None:
    """95 % confidence interval of the sum of the cycles of layers that are sampled independently of one another.

    None unless all layers have an interval.
    """
    intervals = [layer.cycles_ci95 for layer in layers if layer.cycles_ci95 is not None]
    if len(intervals) < len(layers) or not layers:
        return None
    cycles = [layer.cycles for layer in layers]
    below = half_width([middle - low for middle, (low, _) in zip(cycles, intervals, strict=True)])
    above = half_width([high - middle for middle, (_, high) in zip(cycles, intervals, strict=True)])
    return sum(cycles) - math.ceil(below), sum(cycles) + math.ceil(above)


def half_width(parts: Sequence[float]) -> float:
    """Half-width of the sum of independent estimates, of whose half-widths each rests on a pilot of its own.

    They add in quadrature, with the degrees of freedom of Welch and Satterthwaite (Biometrika 34, 1947): the more parts
    there are of one size, the surer is their sum of squares.
    """
    squares = sum(part**2 for part in parts)
    if not squares:
        return 0.0
    degrees_of_freedom = (PILOT_UNITS - 1) * squares**2 / sum(part**4 for part in parts)
    return math.sqrt(squares) * student_t(degrees_of_freedom) / STUDENT_T


def interval(ends: tuple[int, int] | None) -> dict[str, list[int]]:
    """The key that sampled layers and runs have besides those of the others."""
    return {} if ends is None else {"cycles_ci95": list(ends)}


def energy(layers: Sequence[LayerResult]) -> dict[str, Any]:
    """Energy of layers and its parts by component; None where a layer's energy is not known."""
    if not all(layer.energy_pj for layer in layers):
        return {"energy_pj": None, "energy_by_component_pj": {}}
    names = dict.fromkeys(name for layer in layers for name in layer.energy_pj)
    parts = {name: sum(layer.energy_pj.get(name, 0.0) for layer in layers) for name in names}
    return {"energy_pj": math.fsum(parts.values()), "energy_by_component_pj": parts}


def speedup(before_s: float, after_s: float) -> float | None:
    """How many times shorter the second time is; None if one of them is 0."""
    return before_s / after_s if before_s and after_s else None


def as_dict(layer: LayerResult, clock_hz: float) -> dict[str, Any]:
    """All of a layer; `stalls` are cycles by cause of the stack, `busy` among them: they sum to `cycles`."""
    return {
        **layer_quantities(layer, clock_hz),
        **interval(layer.cycles_ci95),
        **{name: dict(getattr(layer, name)) for name in MAPPINGS},
        **energy([layer]),
        "stalls": {cause: layer.stall_cycles[cause] for cause in CAUSES if cause in layer.stack},
        **memory_stalls([layer]),
    }
