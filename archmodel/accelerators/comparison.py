"""Runs beside each other: the rates of machines on one network, and two runs layer by layer."""

from typing import Any

from archmodel.accelerators.columns import LAYER_COLUMNS
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import energy, layer_quantities, speedup, totals
from archmodel.errors import ResultError


def rates(run: RunResult) -> dict[str, Any]:
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
        **({"precision": run.config["precision"]} if "precision" in run.config else {}),
        **{key: sums[key] for key in ("cycles", "time_s", "macs_dense", "macs_effectual", "dram_bytes", "energy_pj")},
        "area_mm2": area,
        "dense_ops_per_s": dense / sums["time_s"] if sums["time_s"] else 0.0,
        "effectual_ops_per_s": effectual / sums["time_s"] if sums["time_s"] else 0.0,
        "dense_ops_per_j": dense / energy_j if energy_j else 0.0,
        "dense_ops_per_s_per_mm2": dense / sums["time_s"] / area if sums["time_s"] and area else 0.0,
        "limit": max(run.stack, key=lambda cause: run.stack[cause]),
    }


def compare(first: RunResult, second: RunResult) -> list[dict[str, Any]]:
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
