"""Quantities of layers and runs as plain data: what `--json`, data frames and result files show, with their units."""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from archmodel.accelerators import seeds
from archmodel.accelerators.sampling import PILOT_UNITS, STUDENT_T
from archmodel.errors import ResultError
from archmodel.memory.dram import StreamKind

if TYPE_CHECKING:
    from archmodel.accelerators.result import LayerResult, RunResult


# Causes of a multiplier-slot, in the order in which they are shown. `busy` is effectual work.
CAUSES = (
    "busy",
    "stored_zero",  # products with an explicit zero of the run-length code, or with a zero that is not skipped
    "out_of_range",  # products of two non-zeros that no output needs
    "fragmentation",  # slots of vectors that are not full, or of columns without an entry
    "bank_conflict",  # a full accumulator queue holds the multipliers
    "imbalance",  # PEs wait for the slowest one, or have no tile
    "weight_stall",  # weights have not arrived
    "tile_shift",  # a tile of operands shifts into an array that could go on
    "drain",  # queues, halos and outputs leave while nothing is multiplied
    "memory",  # DRAM takes longer than the computation, first fill included
)


class Column(NamedTuple):
    """A dataset: its type (text, which is UTF-8, int64, float64 or bool) and the attributes that explain it."""

    dtype: str
    unit: str
    description: str


MAPPINGS = ("words_read", "words_written", "operations", "details", "origins")
DRAM_KINDS: tuple[str, ...] = get_args(StreamKind)
LAYER_COLUMNS = {
    "name": Column("text", "text", "name of the layer; rows are in order of execution"),
    "kind": Column("text", "text", "kind of the layer in the network: conv, fc, lstm, gru, rnn or matmul"),
    "num_multipliers": Column("int64", "1", "multipliers of the machine"),
    "cycles": Column("int64", "cycles", "cycles of the layer, memory included"),
    "time_s": Column("float64", "s", "cycles at the machine's clock"),
    "oracle_cycles": Column("int64", "cycles", "effectual MACs over multipliers, rounded up"),
    "cycles_low": Column("int64", "cycles", "lower end of the 95 % confidence interval of a sampled layer, or cycles"),
    "cycles_high": Column("int64", "cycles", "upper end of it"),
    "macs_dense": Column("int64", "MACs", "multiply-accumulates with all zeros and padding"),
    "macs_effectual": Column("int64", "MACs", "products of two non-zeros whose output is in range"),
    "macs_issued": Column("int64", "MACs", "products that occupy a multiplier"),
    "multiplier_utilization": Column("float64", "1", "effectual MACs per multiplier-slot"),
    "weight_density": Column("float64", "1", "non-zero fraction of the weights"),
    "input_density": Column("float64", "1", "non-zero fraction of the input activations"),
    "output_density": Column("float64", "1", "non-zero fraction of the output activations"),
    "dram_bytes": Column("int64", "bytes", "bytes to and from DRAM, after encoding"),
    **{f"dram_{kind}_bytes": Column("int64", "bytes", f"those of {kind} streams") for kind in DRAM_KINDS},
    "checked": Column("bool", "1", "whether real outputs were compared with a reference"),
    "details": Column("text", "JSON", "what the machine chose for the layer"),
    "origins": Column("text", "JSON", "what weights, inputs and outputs rest on"),
}


def layer_quantities(layer: "LayerResult", clock_hz: float) -> dict[str, Any]:
    """A value for each of LAYER_COLUMNS, stored or derived."""
    derived = {
        "time_s": layer.cycles / clock_hz,
        "cycles_low": (layer.cycles_ci95 or (layer.cycles, layer.cycles))[0],
        "cycles_high": (layer.cycles_ci95 or (layer.cycles, layer.cycles))[1],
        "oracle_cycles": -(-layer.macs_effectual // layer.num_multipliers),
        **{f"dram_{kind}_bytes": layer.dram_bytes_of(kind) for kind in DRAM_KINDS},
    }
    return {name: derived[name] if name in derived else getattr(layer, name) for name in LAYER_COLUMNS}


def totals(layers: Sequence["LayerResult"], clock_hz: float) -> dict[str, Any]:
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
    }


def cycles_ci95(layers: Sequence["LayerResult"]) -> tuple[int, int] | None:
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
    return math.sqrt(squares) * seeds.student_t(degrees_of_freedom) / STUDENT_T


def interval(ends: tuple[int, int] | None) -> dict[str, list[int]]:
    """The key that sampled layers and runs have besides those of the others."""
    return {} if ends is None else {"cycles_ci95": list(ends)}


def energy(layers: Sequence["LayerResult"]) -> dict[str, Any]:
    """Energy of layers and its parts by component; None where a layer's energy is not known."""
    if not all(layer.energy_pj for layer in layers):
        return {"energy_pj": None, "energy_by_component_pj": {}}
    names = dict.fromkeys(name for layer in layers for name in layer.energy_pj)
    parts = {name: sum(layer.energy_pj.get(name, 0.0) for layer in layers) for name in names}
    return {"energy_pj": math.fsum(parts.values()), "energy_by_component_pj": parts}


def as_dict(run: "RunResult") -> dict[str, Any]:
    """The object of `sim --json`, of plain dictionaries and lists, the same for the same inputs.

    `stalls` are cycles by cause of the stack, `busy` among them: they sum to `cycles`.
    """
    return {
        **{name: getattr(run, name) for name in ("arch", "net", "fidelity", "seed", "batch", "clock_hz")},
        "config": dict(run.config),
        "provenance": dict(run.provenance),
        "skipped": list(run.skipped),
        "unsupported": list(run.unsupported),
        "area_mm2": sum(run.area_mm2.values()) if run.area_mm2 else None,
        "area_by_component_mm2": dict(run.area_mm2),
        "totals": totals(run.layers, run.clock_hz),
        "layers": [
            {
                **layer_quantities(layer, run.clock_hz),
                **interval(layer.cycles_ci95),
                **{name: dict(getattr(layer, name)) for name in MAPPINGS},
                **energy([layer]),
                "stalls": {cause: layer.stall_cycles[cause] for cause in CAUSES if cause in layer.stack},
            }
            for layer in run.layers
        ],
        "baseline": None if run.baseline is None else as_dict(run.baseline),
        "speedup": run.speedup,
        "seeds": seeds.as_dict(run),
    }


def rates(run: "RunResult") -> dict[str, Any]:
    """What machines are compared by, of the layers that were run; an operation is a multiplication or an addition.

    `limit` is the cause that takes most slots, `busy` where effectual work does.
    """
    sums = totals(run.layers, run.clock_hz)
    dense, effectual, energy_j = 2 * run.total("macs_dense"), 2 * run.total("macs_effectual"), sums["energy_pj"] * 1e-12
    area = sum(run.area_mm2.values())
    return {
        "arch": run.arch,
        "num_layers": len(run.layers),
        "unsupported": list(run.unsupported),
        "clock_hz": run.clock_hz,
        "technology": run.config["technology"]["name"],
        **{key: sums[key] for key in ("cycles", "time_s", "macs_dense", "macs_effectual", "dram_bytes", "energy_pj")},
        "area_mm2": area,
        "dense_ops_per_s": dense / sums["time_s"] if sums["time_s"] else 0.0,
        "effectual_ops_per_s": effectual / sums["time_s"] if sums["time_s"] else 0.0,
        "dense_ops_per_j": dense / energy_j if energy_j else 0.0,
        "dense_ops_per_s_per_mm2": dense / sums["time_s"] / area if sums["time_s"] and area else 0.0,
        "limit": max(run.stack, key=lambda cause: run.stack[cause]),
    }


def speedup(before_s: float, after_s: float) -> float | None:
    """How many times shorter the second time is; None if one of them is 0."""
    return before_s / after_s if before_s and after_s else None


def compare(first: "RunResult", second: "RunResult") -> list[dict[str, Any]]:
    """Rows by layer name, in the order of `first`, then those that only `second` has.

    A row has `name, differs, speedup` (time of the first over time of the second) and, for each of LAYER_COLUMNS and
    for `energy_pj`, the pair of values, None for a run without the layer; `differs` names those not equal. Runs of
    different networks compare where layers have the same name; ResultError if none has.
    """
    sides = [
        {layer.name: layer_quantities(layer, run.clock_hz) | energy([layer]) for layer in run.layers}
        for run in (first, second)
    ]
    if not sides[0].keys() & sides[1].keys():
        raise ResultError(f"nothing to compare: no layer name is in both runs, of {first.net} and of {second.net}")
    rows = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        left, right = (side.get(name, {}) for side in sides)
        pairs = {key: (left.get(key), right.get(key)) for key in (*LAYER_COLUMNS, "energy_pj") if key != "name"}
        differs = [key for key, (a, b) in pairs.items() if left and right and a != b]
        times = speedup(left["time_s"], right["time_s"]) if left and right else None
        rows.append({"name": name, "differs": differs, "speedup": times, **pairs})
    return rows


def to_dataframe(run: "RunResult") -> Any:
    """A pandas.DataFrame: one row for each layer, units in the names of the columns; `attrs` has run and totals.

    ResultError without pandas.
    """
    try:
        pandas = import_module("pandas")
    except ModuleNotFoundError:
        raise ResultError("to_dataframe: needs pandas: pip install 'archmodel[plot]'") from None
    document = as_dict(run)
    layers = document.pop("layers")
    for layer in layers:
        layer["stall_cycles"] = layer.pop("stalls")
    frame = pandas.json_normalize(layers, sep="_")
    frame.attrs = {key: value for key, value in document.items() if key != "baseline"}
    return frame
