"""Runs of `train` as HDF5 and back: a group for each, with its spans and its memory (docs/results.md)."""

import json
import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

import archmodel
from archmodel.accelerators.columns import Column
from archmodel.results.result_file import (
    SCHEMA_VERSION,
    json_text,
    read_dataset,
    to_array,
    to_values,
    utf8,
    write_dataset,
)
from archmodel.training.timeline import STREAMS, MemoryEvent, Span, Timeline
from archmodel.training.training_run import MEMORY_FIELDS, SPAN_FIELDS, TrainingResult, TrainingRun, phase_of

KIND = "training"
RUN_COLUMNS: dict[str, Column] = {
    "spans/stream": Column("text", "text", f"who worked: {', '.join(STREAMS)}"),
    "spans/kind": Column("text", "text", "operation of a step, stall, or the stream's own name"),
    "spans/name": Column("text", "text", "the step or the tensor"),
    "spans/layer": Column("text", "text", "the layer that it belongs to"),
    "spans/start_s": Column("float64", "s", "from the start of the iteration"),
    "spans/end_s": Column("float64", "s", "the same"),
    "spans/num_bytes": Column("int64", "bytes", "over the link"),
    "spans/cause": Column("text", "text", "of a stall: what compute waits for; else empty"),
    "memory_events/at_s": Column("float64", "s", "from the start of the iteration, in order of time"),
    "memory_events/tensor": Column("text", "text", "what takes or gives back memory of the device"),
    "memory_events/num_bytes": Column("int64", "bytes", "taken (above 0) or given back (below 0)"),
    "stalls/cause": Column("text", "text", "causes of stalls of compute"),
    "stalls/seconds": Column("float64", "s", "by cause, over the iteration"),
    "algorithms/step": Column("text", "text", "steps for which the device had several algorithms"),
    "algorithms/algorithm": Column("text", "text", "that ran the step"),
}
TEXTS = ("net", "policy", "mode", "device", "link", "dma", "why_not")
TOTALS = ("iteration_s", "oracle_s", "peak_bytes", "average_bytes", "offloaded_bytes", "prefetched_bytes")
POOL = ("reserved_bytes", "peak_live_bytes")
FILE_ATTRIBUTES = ("kind", "schema_version", "archmodel", "command", "seed", "provenance", "wall_s", "num_runs")
RUN_ATTRIBUTES = (*TEXTS, "batch", "fits", "config", *POOL, *TOTALS)  # and capacity_bytes where it is known


def write_training(group: h5py.Group, result: TrainingResult) -> None:
    """Write all runs, each into a group of its own."""
    group.attrs.update(
        {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "archmodel": archmodel.__version__,
            "command": utf8(result.command).decode(),
            "seed": str(result.seed),
            "provenance": json_text(result.provenance),
            "wall_s": float(result.wall_s),
            "num_runs": len(result.runs),
        }
    )
    for index, run in enumerate(result.runs):
        _write(group.create_group(f"runs/{index}"), run)


def _write(group: h5py.Group, run: TrainingRun) -> None:
    totals = run.totals()
    group.attrs.update({name: utf8(getattr(run, name)).decode() for name in TEXTS})
    group.attrs.update({"batch": np.int64(run.batch), "fits": run.fits, "config": json_text(run.config)})
    group.attrs.update({name: totals[name] for name in TOTALS})
    group.attrs.update({name: np.int64(getattr(run, name)) for name in POOL})
    if run.capacity_bytes is not None:
        group.attrs["capacity_bytes"] = np.int64(run.capacity_bytes)
    timeline, stalls = run.timeline, run.timeline.stalls_s
    values: dict[str, Any] = {
        **{f"spans/{name}": [getattr(span, name) for span in timeline.spans] for name in SPAN_FIELDS},
        **{f"memory_events/{name}": [getattr(one, name) for one in timeline.memory_events] for name in MEMORY_FIELDS},
        "stalls/cause": list(stalls),
        "stalls/seconds": list(stalls.values()),
        "algorithms/step": list(run.algorithms),
        "algorithms/algorithm": list(run.algorithms.values()),
    }
    for path, column in RUN_COLUMNS.items():
        write_dataset(group, path, to_array(values[path], column), column)


def read_training(group: h5py.Group) -> TrainingResult:
    """All runs of a file."""
    attributes = group.attrs
    return TrainingResult(
        runs=tuple(_read(group[f"runs/{index}"]) for index in range(int(attributes["num_runs"]))),
        command=str(attributes["command"]),
        seed=int(str(attributes["seed"])),
        provenance=json.loads(str(attributes["provenance"])),
        wall_s=float(attributes["wall_s"]),
    )


def _read(group: h5py.Group) -> TrainingRun:
    attributes = group.attrs
    values = {path: to_values(read_dataset(group, path), column) for path, column in RUN_COLUMNS.items()}
    spans = zip(*(values[f"spans/{name}"] for name in SPAN_FIELDS), strict=True)
    events = zip(*(values[f"memory_events/{name}"] for name in MEMORY_FIELDS), strict=True)
    timeline = Timeline(
        spans=tuple(Span(*cells) for cells in spans),
        memory_events=tuple(MemoryEvent(*cells) for cells in events),
        iteration_s=float(attributes["iteration_s"]),
    )
    _check(timeline)
    return TrainingRun(
        **{name: str(attributes[name]) for name in TEXTS},
        batch=int(attributes["batch"]),
        reserved_bytes=int(attributes["reserved_bytes"]),
        peak_live_bytes=int(attributes["peak_live_bytes"]),
        timeline=timeline,
        oracle_s=float(attributes["oracle_s"]),
        fits=bool(attributes["fits"]),
        capacity_bytes=int(attributes["capacity_bytes"]) if "capacity_bytes" in attributes else None,
        algorithms=dict(zip(values["algorithms/step"], values["algorithms/algorithm"], strict=True)),
        config=_mapping(json.loads(str(attributes["config"]))),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("config: must be an object")
    return value


def _check(timeline: Timeline) -> None:
    """ValueError for spans and memory that no iteration has."""
    if not 0 <= timeline.iteration_s < math.inf:
        raise ValueError("iteration_s: must be a time from 0 s")
    for span in timeline.spans:
        if span.stream not in STREAMS or not 0 <= span.start_s <= span.end_s < math.inf:
            raise ValueError(f"span {span.name}: must be of {', '.join(STREAMS)}, and end after its start")
        if span.stream == "compute" and span.kind != "stall":
            phase_of(span.kind)
    at_s = [event.at_s for event in timeline.memory_events]
    if not all(0 <= time < math.inf for time in at_s) or sorted(at_s) != at_s:
        raise ValueError("memory_events/at_s: must be in order of time")
