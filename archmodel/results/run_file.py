"""A run of `sim` as HDF5 and back: the groups `layers`, `stack` and others of docs/results.md."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

import archmodel
from archmodel.accelerators.columns import CAUSES, DRAM_KINDS, LAYER_COLUMNS, Column
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.seeds import SeedRuns
from archmodel.accelerators.summary import layer_quantities
from archmodel.interconnect.batches import HostTransfers
from archmodel.memory.dram import Stream
from archmodel.results.result_file import (
    SCHEMA_VERSION,
    Array,
    json_text,
    read_dataset,
    to_array,
    to_values,
    utf8,
    write_dataset,
)

STREAM_FIELDS = ("kind", "direction", "num_bytes", "tile")
# Mappings of a layer, as matrices: group -> names of the columns, cells, type and unit of the cells.
MATRICES = {
    "stack": ("causes", "slots", "int64", "multiplier-slots"),
    "words_read": ("components", "words", "int64", "words"),
    "words_written": ("components", "words", "int64", "words"),
    "operations": ("components", "actions", "int64", "actions"),
    "energy_pj": ("components", "energy", "float64", "pJ"),
    "memory_stack": ("reasons", "slots", "int64", "multiplier-slots"),
}
OPTIONAL = ("memory_stack/",)  # groups of files in which a layer has one
SCHEMA: dict[str, Column] = {
    "skipped": Column("text", "text", "layers of the network that were not simulated"),
    "unsupported": Column("text", "text", "of these, what a machine does not run, or what of ONNX was not read"),
    **{f"layers/{name}": column for name, column in LAYER_COLUMNS.items()},
    "seeds/seed": Column("text", "text", "placements of the zeros where the run had several; the first is its own"),
    "seeds/cycles": Column("int64", "cycles", "[seeds, layers] cycles of each layer"),
    "seeds/energy_pj": Column("float64", "pJ", "[seeds, layers] energy of each layer; no layers where it is not known"),
    "area_mm2/components": Column("text", "text", "components of the machine, then filler"),
    "area_mm2/area": Column("float64", "mm2", "area of each of them"),
    "streams/layer": Column("int64", "1", "row of layers/ that the DRAM stream belongs to"),
    "streams/kind": Column("text", "text", f"one of {', '.join(DRAM_KINDS)}"),
    "streams/direction": Column("text", "text", "read or write"),
    "streams/num_bytes": Column("int64", "bytes", "bytes of the stream, after encoding"),
    "streams/tile": Column("int64", "1", "temporal tile of the layer that needs the stream"),
}
for _group, (_names, _cells, _dtype, _unit) in MATRICES.items():
    SCHEMA[f"{_group}/{_names}"] = Column("text", "text", f"{_names}: what the columns of the other datasets are")
    SCHEMA[f"{_group}/{_cells}"] = Column(_dtype, _unit, f"[layers, {_names}] {_unit}")
    SCHEMA[f"{_group}/reported"] = Column("bool", "1", f"[layers, {_names}] whether the layer has it; if not, 0 above")
# One dataset for each layer that has one, named by the layer's row.
CYCLE_MAP = Column("int64", "cycles", "[units, PEs] cycles in which a PE worked on a unit of the layer")
ATTRIBUTES: dict[str, type] = {
    **dict.fromkeys(("archmodel", "arch", "net", "fidelity", "config", "provenance", "origins", "seed"), str),
    **dict.fromkeys(("schema_version", "batch"), int),
    **dict.fromkeys(("clock_hz", "wall_s"), float),
}


def write_run(group: h5py.Group, run: RunResult) -> None:
    """Write a run, and its baseline into a group below."""
    group.attrs.update(_attributes(run))
    group.create_group("cycle_map")
    for path, array in _arrays(run).items():
        write_dataset(group, path, array, SCHEMA.get(path, CYCLE_MAP))
    if run.baseline is not None:
        write_run(group.create_group("baseline"), run.baseline)


def _attributes(run: RunResult) -> dict[str, Any]:
    operands = dict.fromkeys(operand for layer in run.layers for operand in layer.origins)
    origins = {key: sorted({layer.origins[key] for layer in run.layers if key in layer.origins}) for key in operands}
    return {
        "schema_version": SCHEMA_VERSION,
        "archmodel": archmodel.__version__,
        **{name: utf8(getattr(run, name)).decode() for name in ("arch", "net", "fidelity")},
        **{name: json_text(getattr(run, name)) for name in ("config", "provenance")},
        "origins": json_text(origins),
        "seed": str(run.seed),  # a seed may have more than 64 bits
        "batch": np.int64(run.batch),
        "clock_hz": float(run.clock_hz),
        "wall_s": float(run.wall_s),
        **({} if run.host_transfers is None else {"host_transfers": json_text(run.host_transfers.as_dict())}),
    }


def _arrays(run: RunResult) -> dict[str, Array]:
    """The datasets of a run by their paths."""
    rows = [layer_quantities(layer, run.clock_hz) for layer in run.layers]
    values: dict[str, Any] = {f"layers/{name}": [row[name] for row in rows] for name in LAYER_COLUMNS}
    values["skipped"], values["unsupported"] = run.skipped, run.unsupported
    values["area_mm2/components"], values["area_mm2/area"] = list(run.area_mm2), list(run.area_mm2.values())
    over_seeds = run.seeds or SeedRuns((), (), ())
    values["seeds/seed"] = [str(seed) for seed in over_seeds.seeds]
    values["seeds/cycles"], values["seeds/energy_pj"] = over_seeds.cycles, over_seeds.energy_pj
    for group, (names, cells, _, _) in MATRICES.items():
        mappings = [getattr(layer, group) for layer in run.layers]
        present = dict.fromkeys(key for mapping in mappings for key in mapping)
        columns = [cause for cause in CAUSES if cause in present] if group == "stack" else list(present)
        values[f"{group}/{names}"] = columns
        values[f"{group}/{cells}"] = [[mapping.get(key, 0) for key in columns] for mapping in mappings]
        values[f"{group}/reported"] = [[key in mapping for key in columns] for mapping in mappings]
    streams = [(index, stream) for index, layer in enumerate(run.layers) for stream in layer.streams]
    values["streams/layer"] = [index for index, _ in streams]
    for name in STREAM_FIELDS:
        values[f"streams/{name}"] = [getattr(stream, name) for _, stream in streams]
    known = any(layer.memory_stack for layer in run.layers)
    paths = [path for path in SCHEMA if known or not path.startswith(OPTIONAL)]
    arrays = {path: to_array(values[path], SCHEMA[path]) for path in paths}
    for index, layer in enumerate(run.layers):
        if layer.cycle_map is not None:
            arrays[f"cycle_map/{index}"] = np.asarray(layer.cycle_map, np.int64)
    return arrays


def read_run(group: h5py.Group) -> RunResult:
    """A run with its baseline."""
    attributes = {name: convert(group.attrs[name]) for name, convert in ATTRIBUTES.items()}
    absent = tuple(name for name in OPTIONAL if name not in group)
    paths = [path for path in SCHEMA if not path.startswith(absent)]
    values = {path: to_values(read_dataset(group, path), SCHEMA[path]) for path in paths}
    maps = [f"cycle_map/{index}" for index in range(len(values["layers/name"]))]
    cycle_maps = [np.asarray(read_dataset(group, path)[()], np.int64) if path in group else None for path in maps]
    return RunResult(
        **{name: attributes[name] for name in ("arch", "net", "fidelity", "batch", "clock_hz", "wall_s")},
        **{name: json.loads(attributes[name]) for name in ("config", "provenance", "seed")},
        layers=tuple(_layers(values, cycle_maps, attributes["fidelity"])),
        skipped=tuple(values["skipped"]),
        unsupported=tuple(values["unsupported"]),
        area_mm2=dict(zip(values["area_mm2/components"], values["area_mm2/area"], strict=True)),
        seeds=_seeds(values),
        host_transfers=_host_transfers(group),
        baseline=read_run(group["baseline"]) if "baseline" in group else None,
    )


def _host_transfers(group: h5py.Group) -> HostTransfers | None:
    """Transfers over a link, which few runs have."""
    return HostTransfers(**json.loads(group.attrs["host_transfers"])) if "host_transfers" in group.attrs else None


def _seeds(values: Mapping[str, list[Any]]) -> SeedRuns | None:
    seeds = tuple(json.loads(seed) for seed in values["seeds/seed"])
    rows = (tuple(tuple(row) for row in values[f"seeds/{name}"]) for name in ("cycles", "energy_pj"))
    return SeedRuns(seeds, *rows) if seeds else None


def _layers(values: Mapping[str, list[Any]], cycle_maps: list[Array | None], fidelity: str) -> Iterator[LayerResult]:
    fields: dict[str, list[Any]] = {"cycle_map": cycle_maps}
    if fidelity == "sampled":
        fields["cycles_ci95"] = list(zip(values["layers/cycles_low"], values["layers/cycles_high"], strict=True))
    for name in LAYER_COLUMNS.keys() & LayerResult.__dataclass_fields__.keys():
        fields[name] = values[f"layers/{name}"]
    for group, (names, cells, _, _) in MATRICES.items():
        if f"{group}/{names}" not in values:
            continue
        columns = values[f"{group}/{names}"]
        fields[group] = [
            {key: count for key, count, has in zip(columns, counts, reported, strict=True) if has}
            for counts, reported in zip(values[f"{group}/{cells}"], values[f"{group}/reported"], strict=True)
        ]
    fields["streams"] = [[] for _ in cycle_maps]
    for index, *stream in zip(*(values[f"streams/{name}"] for name in ("layer", *STREAM_FIELDS)), strict=True):
        fields["streams"][index].append(Stream(*stream))
    fields["streams"] = [tuple(streams) for streams in fields["streams"]]
    for row in zip(*fields.values(), strict=True):
        yield LayerResult(**dict(zip(fields, row, strict=True)))
