"""Result files: a run as HDF5 and back.

docs/results.md describes the file. A digest covers all of it, so a file loads as it was saved or not at all. It is
checked before HDF5 sees the file: the library loops forever on some damaged ones.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

import archmodel
from archmodel.accelerators.columns import CAUSES, DRAM_KINDS, LAYER_COLUMNS, Column
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.seeds import SeedRuns
from archmodel.accelerators.summary import layer_quantities
from archmodel.config.targets import SHOWN_CHARACTERS, PathLike, check_target, replace_file
from archmodel.errors import ResultError, one_line
from archmodel.memory.dram import Stream

SCHEMA_VERSION = 2
# The first line of a file, in the block that HDF5 leaves to its users; the digest is of all bytes behind the block.
HEADER = "archmodel result, schema {version}, sha256 {digest}\n"
HEADER_BYTES = 512
HEADER_PATTERN = re.compile(HEADER.format(version="([0-9]{1,9})", digest="([0-9a-f]{64})").encode())
SUFFIXES = (".h5", ".hdf5")
# What the system, HDF5 and the checks of our own types raise over a file that is not what it seems.
UNREADABLE = (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)

Array = npt.NDArray[Any]


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


def check_writable(path: PathLike) -> None:
    """Raise ResultError unless `save` can be expected to write `path`; call it before long work."""
    check_target(path, SUFFIXES, "a result file")


def save(run: RunResult, path: PathLike) -> None:
    """Write `run` to `path` (.h5, .hdf5); what is there is replaced at once, when all of the new file is on the disk.

    ResultError if it cannot be written: the old file is as it was, and there is no other.
    """
    check_writable(path)
    shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
    try:
        replace_file(os.path.realpath(path), _image(run))
    except (OSError, OverflowError) as error:  # OverflowError: a count of more than 64 bits
        raise ResultError(f"{shown}: cannot be written: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, SHOWN_CHARACTERS)


def _image(run: RunResult) -> bytes:
    """The file, built in memory: a full disk then fails in one write of ours and not inside the library."""
    name = secrets.token_hex(8)
    with h5py.File(name, "w", driver="core", backing_store=False, userblock_size=HEADER_BYTES) as file:
        _write(file, run)
        file.flush()
        body: bytes = file.id.get_file_image()  # without the block in front
    header = HEADER.format(version=SCHEMA_VERSION, digest=hashlib.sha256(body).hexdigest())
    return header.encode().ljust(HEADER_BYTES, b"\0") + body


def _write(group: h5py.Group, run: RunResult) -> None:
    """Write a run, and its baseline into a group below."""
    group.attrs.update(_attributes(run))
    group.create_group("cycle_map")
    for path, array in _arrays(run).items():
        column = SCHEMA.get(path, CYCLE_MAP)
        dtype = h5py.string_dtype("utf-8", array.dtype.itemsize) if column.dtype == "text" else array.dtype
        packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if array.size else {}
        dataset = group.create_dataset(path, data=array.astype(dtype), **packing)
        dataset.attrs.update({"unit": column.unit, "description": column.description})
    if run.baseline is not None:
        _write(group.create_group("baseline"), run.baseline)


def _attributes(run: RunResult) -> dict[str, Any]:
    operands = dict.fromkeys(operand for layer in run.layers for operand in layer.origins)
    origins = {key: sorted({layer.origins[key] for layer in run.layers if key in layer.origins}) for key in operands}
    return {
        "schema_version": SCHEMA_VERSION,
        "archmodel": archmodel.__version__,
        **{name: _utf8(getattr(run, name)).decode() for name in ("arch", "net", "fidelity")},
        **{name: _json(getattr(run, name)) for name in ("config", "provenance")},
        "origins": _json(origins),
        "seed": str(run.seed),  # a seed may have more than 64 bits
        "batch": np.int64(run.batch),
        "clock_hz": float(run.clock_hz),
        "wall_s": float(run.wall_s),
    }


def _utf8(text: str) -> bytes:
    # A file name that is no text has lone surrogates, which UTF-8 cannot spell; escaped, they are JSON's own spelling.
    return text.encode("utf-8", "backslashreplace")


def _json(document: Mapping[str, Any]) -> str:
    text = json.dumps(dict(document), ensure_ascii=False, allow_nan=False, default=lambda value: value.tolist())
    return _utf8(text).decode()


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
    arrays = {path: _array(values[path], SCHEMA[path]) for path in paths}
    for index, layer in enumerate(run.layers):
        if layer.cycle_map is not None:
            arrays[f"cycle_map/{index}"] = np.asarray(layer.cycle_map, np.int64)
    return arrays


def _array(values: Any, column: Column) -> Array:
    if column.dtype != "text":
        return np.asarray(values, column.dtype)
    encoded = [_utf8(_json(value) if column.unit == "JSON" else value) for value in values]
    return np.array(encoded, f"S{max([1, *map(len, encoded)])}")


def load(path: PathLike) -> RunResult:
    """The run that was saved to `path`; ResultError if it is not a whole result file of a schema known here."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ResultError("is a folder, or something else that is not a file")
        _check_header(path)
        with h5py.File(path, "r", locking="best-effort") as file:
            return _read(file)
    except ResultError as error:
        raise ResultError(f"{one_line(os.fspath(path), SHOWN_CHARACTERS)}: {error}") from None
    except UNREADABLE as error:
        shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
        raise ResultError(f"{shown}: cannot be read: {_reason(error)}") from None


def _check_header(path: PathLike) -> None:
    with open(path, "rb") as file:
        header = HEADER_PATTERN.match(file.read(HEADER_BYTES))
        if header is None:
            raise ResultError("is not a result file of archmodel")
        version, digest = int(header[1]), header[2].decode()
        if version != SCHEMA_VERSION:
            raise ResultError(f"schema {version}: archmodel {archmodel.__version__} reads schema {SCHEMA_VERSION}")
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ResultError("truncated or changed since it was written: its content does not have its digest")


def _read(group: h5py.Group) -> RunResult:
    """A run with its baseline."""
    attributes = {name: convert(group.attrs[name]) for name, convert in ATTRIBUTES.items()}
    absent = tuple(name for name in OPTIONAL if name not in group)
    paths = [path for path in SCHEMA if not path.startswith(absent)]
    values = {path: _values(_dataset(group, path), SCHEMA[path]) for path in paths}
    maps = [f"cycle_map/{index}" for index in range(len(values["layers/name"]))]
    cycle_maps = [np.asarray(_dataset(group, path)[()], np.int64) if path in group else None for path in maps]
    return RunResult(
        **{name: attributes[name] for name in ("arch", "net", "fidelity", "batch", "clock_hz", "wall_s")},
        **{name: json.loads(attributes[name]) for name in ("config", "provenance", "seed")},
        layers=tuple(_layers(values, cycle_maps, attributes["fidelity"])),
        skipped=tuple(values["skipped"]),
        unsupported=tuple(values["unsupported"]),
        area_mm2=dict(zip(values["area_mm2/components"], values["area_mm2/area"], strict=True)),
        seeds=_seeds(values),
        baseline=_read(group["baseline"]) if "baseline" in group else None,
    )


def _seeds(values: Mapping[str, list[Any]]) -> SeedRuns | None:
    seeds = tuple(json.loads(seed) for seed in values["seeds/seed"])
    rows = (tuple(tuple(row) for row in values[f"seeds/{name}"]) for name in ("cycles", "energy_pj"))
    return SeedRuns(seeds, *rows) if seeds else None


def _dataset(group: h5py.Group, path: str) -> h5py.Dataset:
    dataset = group.get(path)
    if not isinstance(dataset, h5py.Dataset):
        raise ResultError(f"incomplete: dataset {path} is missing")
    return dataset


def _values(dataset: h5py.Dataset, column: Column) -> list[Any]:
    if column.dtype != "text":
        return np.asarray(dataset[()], column.dtype).tolist()
    texts = dataset.asstr()[()].tolist()
    return [json.loads(text) for text in texts] if column.unit == "JSON" else texts


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
