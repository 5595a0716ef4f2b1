"""Timelines as a trace that Perfetto (ui.perfetto.dev) and Chrome (chrome://tracing) open.

The format is Google's Trace Event Format, as an object with `traceEvents`. A run is a process, a stream a thread of it,
memory a counter; an arrow leads from an offload to the prefetch of the same tensor. Docs: docs/timeline.md.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

from archmodel.config.targets import SHOWN_CHARACTERS, PathLike, check_target, replace_file
from archmodel.errors import ResultError, one_line
from archmodel.training.timeline import STREAMS, Span
from archmodel.training.training_run import TrainingResult, TrainingRun

SUFFIXES = (".json",)
Event = dict[str, Any]
THREADS = {stream: number for number, stream in enumerate(STREAMS, 1)}
NANOSECONDS = 1e9  # a span begins and ends at a whole one, so that none overlaps the next when a reader rounds


def check_trace(path: PathLike) -> None:
    """Raise ResultError unless `save_trace` can be expected to write `path`; call it before long work."""
    check_target(path, SUFFIXES, "a trace")


def save_trace(result: TrainingResult, path: PathLike) -> None:
    """Write a trace (.json), whole or not at all; ResultError if it cannot be written."""
    check_trace(path)
    try:
        replace_file(os.path.realpath(path), trace_text(result).encode())
    except OSError as error:
        shown = one_line(os.fspath(path), SHOWN_CHARACTERS)
        raise ResultError(f"{shown}: cannot be written: {error.strerror or error}") from None


def trace_text(result: TrainingResult) -> str:
    """The trace as JSON, an event a line."""
    lines = ",\n".join(json.dumps(event, allow_nan=False) for event in trace_events(result))
    known = json.dumps({"command": result.command, **result.provenance})
    return f'{{"displayTimeUnit": "ms", "otherData": {known}, "traceEvents": [\n{lines}\n]}}\n'


def trace_events(result: TrainingResult) -> Iterator[Event]:
    """The events of all runs, one process after the other."""
    for process, run in enumerate(result.runs, 1):
        yield from _names(run, process)
        yield from _spans(run, process)
        yield from _memory(run, process)


def _names(run: TrainingRun, process: int) -> Iterator[Event]:
    """What a process and its threads are called, in the order in which they stand below each other."""
    title = ", ".join(filter(None, (run.title, run.device, run.link)))
    yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": title}}
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0, "args": {"sort_index": process}}
    for stream, thread in THREADS.items():
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": stream}}
        yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread, "args": {"sort_index": thread}}


def _spans(run: TrainingRun, process: int) -> Iterator[Event]:
    """A complete event for each span, and the two ends of an arrow for each tensor that comes back.

    The start of an arrow stands behind its offload, its end before its prefetch: it leads from the span that is
    running to the next one of the thread.
    """
    waiting: dict[str, int] = {}  # tensors on the host, with the number of their arrow
    num_arrows = 0
    for span in sorted(run.timeline.spans, key=lambda span: (span.start_s, THREADS[span.stream])):
        if span.stream == "prefetch" and span.name in waiting:
            yield _arrow("f", process, span, waiting.pop(span.name))
        yield _complete(run, process, span)
        if span.stream == "offload":
            num_arrows += 1
            waiting[span.name] = num_arrows
            yield _arrow("s", process, span, num_arrows)


def _complete(run: TrainingRun, process: int, span: Span) -> Event:
    start, end = (round(time * NANOSECONDS) for time in (span.start_s, span.end_s))
    known = {"num_bytes": span.num_bytes, "cause": span.cause, "algorithm": run.algorithms.get(span.name, "")}
    return {
        "ph": "X",
        "name": f"stall: {span.cause}" if span.kind == "stall" else span.name,
        "cat": span.kind,
        "pid": process,
        "tid": THREADS[span.stream],
        "ts": start / 1e3,
        "dur": (end - start) / 1e3,
        "args": {"layer": span.layer, **{key: value for key, value in known.items() if value}},
    }


def _arrow(phase: str, process: int, span: Span, number: int) -> Event:
    microseconds = round(span.start_s * NANOSECONDS) / 1e3
    place = {"pid": process, "tid": THREADS[span.stream], "ts": microseconds}
    return {"ph": phase, "name": "on the host", "cat": "virtualization", "id": f"{process}.{number}", **place}


def _memory(run: TrainingRun, process: int) -> Iterator[Event]:
    """The memory that is held from each time on; the last value once more at the end."""
    times, held = run.timeline.memory_curve
    points = list(zip(times.tolist(), held.tolist(), strict=True))
    for time, num_bytes in [*points, *((run.iteration_s, num_bytes) for _, num_bytes in points[-1:])]:
        place = {"pid": process, "tid": 0, "ts": round(time * NANOSECONDS) / 1e3}
        yield {"ph": "C", "name": "device memory", **place, "args": {"held_bytes": num_bytes}}
