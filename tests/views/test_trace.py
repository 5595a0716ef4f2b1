"""A trace holds the timeline, and follows Google's Trace Event Format in every event."""

import json
import math
import os

import pytest

from archmodel.errors import ResultError
from archmodel.training.timeline import STREAMS, MemoryEvent, Span, Timeline
from archmodel.views.trace import save_trace, trace_events, trace_text
from tests.training.made_timelines import a_result, a_run, at_random, by_hand

# The keys that the format's document demands of a phase, beside ph; of those given the type.
REQUIRED = {
    "X": {"name": str, "cat": str, "pid": int, "tid": int, "ts": float, "dur": float},
    "C": {"name": str, "pid": int, "ts": float, "args": dict},
    "M": {"name": str, "pid": int, "args": dict},
    "s": {"name": str, "cat": str, "id": (str, int), "pid": int, "tid": int, "ts": float},
    "f": {"name": str, "cat": str, "id": (str, int), "pid": int, "tid": int, "ts": float},
}
# What the document lets a metadata event be called, and the argument that it has.
METADATA = {
    "process_name": ("name", str),
    "thread_name": ("name", str),
    "process_sort_index": ("sort_index", int),
    "thread_sort_index": ("sort_index", int),
}
OPTIONAL = {"args", "tid"}


def strictly_parsed(text: str) -> dict:
    """JSON without NaN and infinities, and without a key given twice."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)


def nanoseconds(microseconds: float) -> int:
    """A time as readers have it."""
    whole = round(1000 * microseconds)
    assert abs(1000 * microseconds - whole) < 1e-3, "finer than a reader's clock"
    return whole


def assert_event(event: dict) -> None:
    required = REQUIRED[event["ph"]]
    assert required.keys() <= event.keys(), event
    assert event.keys() <= required.keys() | OPTIONAL | {"ph"}, event
    for key, kind in required.items():
        assert isinstance(event[key], (int, float) if kind is float else kind), event
        assert not isinstance(event[key], bool), event
        assert event[key] != "", event
    for key in ("ts", "dur"):
        assert math.isfinite(event.get(key, 0)), event
        assert event.get(key, 0) >= 0, event
    if event["ph"] == "M":
        argument, kind = METADATA[event["name"]]
        assert isinstance(event["args"][argument], kind), event
    if event["ph"] == "C":
        assert event["args"], event
        assert all(type(value) in (int, float) and math.isfinite(value) for value in event["args"].values()), event


def assert_nested(spans: list[dict]) -> None:
    """Complete events of a thread do not cut each other."""
    open_ends: list[int] = []
    for span in sorted(spans, key=lambda span: (nanoseconds(span["ts"]), -nanoseconds(span["dur"]))):
        start = nanoseconds(span["ts"])
        end = start + nanoseconds(span["dur"])
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1], span
        open_ends.append(end)


def assert_valid(document: dict) -> None:
    """Everything that the document demands of a trace in the object form."""
    assert document["displayTimeUnit"] in ("ms", "ns")
    events = document["traceEvents"]
    for event in events:
        assert_event(event)
    threads: dict[tuple[int, int], list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            threads.setdefault((event["pid"], event["tid"]), []).append(event)
    for spans in threads.values():
        assert_nested(spans)
    named = {(event["pid"], event["tid"]) for event in events if event.get("name") == "thread_name"}
    assert threads.keys() <= named
    assert_arrows(events)


def assert_arrows(events: list[dict]) -> None:
    """An arrow starts once, inside a span, and ends once, where a later span of its thread begins, which it precedes.

    Readers of both kinds then find the same spans: those that take the span around the time, and those that take the
    span that is open or the next one in the order of the file.
    """
    starts = {event["id"]: index for index, event in enumerate(events) if event["ph"] == "s"}
    ends = {event["id"]: index for index, event in enumerate(events) if event["ph"] == "f"}
    assert len(starts) == sum(event["ph"] == "s" for event in events)
    assert len(ends) == sum(event["ph"] == "f" for event in events)
    assert ends.keys() <= starts.keys()
    for arrow, index in starts.items():
        offload = events[index - 1]
        assert (offload["ph"], offload["tid"], offload["ts"]) == ("X", events[index]["tid"], events[index]["ts"])
        assert arrow not in ends or ends[arrow] > index
    for index in ends.values():
        prefetch = events[index + 1]
        assert (prefetch["ph"], prefetch["tid"], prefetch["ts"]) == ("X", events[index]["tid"], events[index]["ts"])


def events_of(result, phase: str) -> list[dict]:
    return [event for event in trace_events(result) if event["ph"] == phase]


@pytest.mark.parametrize("seed", range(20))
def test_a_trace_follows_the_format(seed):
    runs = [a_run(timeline=at_random(seed + index, 1 + 7 * seed, 10.0**-index)) for index in range(1 + seed % 3)]
    assert_valid(strictly_parsed(trace_text(a_result(*runs))))


def test_times_that_no_clock_divides_do_not_overlap():
    ends = [0.0]
    for index in range(2000):
        ends.append(ends[-1] + (index % 7 + 1) * 1.23456789e-7 / 3)
    spans = tuple(Span("compute", "forward", f"s{i}", "l", a, b) for i, (a, b) in enumerate(zip(ends, ends[1:])))  # noqa: B905, RUF007
    assert_valid(strictly_parsed(trace_text(a_result(a_run(timeline=Timeline(spans, (), ends[-1]))))))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event.update(name=3),
        lambda event: event.update(ts=float("nan")),
        lambda event: event.update(ts=-1.0),
        lambda event: event.update(dur="3"),
        lambda event: event.update(dur=2500.0),
        lambda event: event.update(pid="one"),
        lambda event: event.update(ph="Z"),
        lambda event: event.update(colour="red"),
        lambda event: event.pop("cat"),
        lambda event: event.pop("tid"),
    ],
    ids=range(10),
)
def test_the_validator_notices(spoil):
    document = strictly_parsed(trace_text(a_result()))
    assert_valid(document)
    spoil(next(event for event in document["traceEvents"] if event["ph"] == "X"))
    with pytest.raises((AssertionError, KeyError)):
        assert_valid(document)


def test_every_span_is_an_event_in_microseconds():
    events = events_of(a_result(), "X")
    assert len(events) == len(by_hand().spans)
    [offload] = [event for event in events if event["cat"] == "offload"]
    assert (offload["name"], offload["ts"], offload["dur"]) == ("X:image", 0.0, 3000.0)
    assert offload["args"] == {"layer": "conv1", "num_bytes": 3000}
    [forward] = [event for event in events if event["name"] == "conv1.forward"]
    assert forward["args"] == {"layer": "conv1", "algorithm": "fft"}
    threads = {
        event["args"]["name"]: event["tid"] for event in events_of(a_result(), "M") if event["name"] == "thread_name"
    }
    assert list(threads) == list(STREAMS)
    assert (offload["tid"], forward["tid"]) == (threads["offload"], threads["compute"])


def test_a_stall_is_named_after_its_cause():
    stalls = [event for event in events_of(a_result(), "X") if event["cat"] == "stall"]
    assert [event["name"] for event in stalls] == ["stall: offload", "stall: prefetch"]
    assert [(event["ts"], event["dur"]) for event in stalls] == [(2000.0, 1000.0), (5000.0, 2000.0)]
    assert [event["args"]["cause"] for event in stalls] == ["offload", "prefetch"]


def test_memory_is_a_counter_of_what_is_held_and_reaches_to_the_end():
    counted = [(event["ts"], event["args"]["held_bytes"]) for event in events_of(a_result(), "C")]
    assert counted == [(0.0, 3500), (3000.0, 700), (4000.0, 3700), (9000.0, 500), (10000.0, 500)]


def test_an_arrow_leads_from_an_offload_to_its_prefetch():
    [start], [end] = events_of(a_result(), "s"), events_of(a_result(), "f")
    assert (start["ts"], end["ts"]) == (0.0, 4000.0)
    assert start["id"] == end["id"]
    assert (start["cat"], start["name"]) == (end["cat"], end["name"])
    names = [event["id"] for event in events_of(a_result(a_run(), a_run()), "s")]
    assert len(set(names)) == 2


def test_a_tensor_that_leaves_twice_has_two_arrows():
    moves = [("offload", 0, 1), ("prefetch", 2, 3), ("offload", 4, 5), ("prefetch", 6, 7), ("prefetch", 8, 9)]
    spans = tuple(Span(stream, stream, "Y:a", "a", start, end, 8) for stream, start, end in moves)
    result = a_result(a_run(timeline=Timeline(spans, (), 9.0)))
    assert [event["ts"] for event in events_of(result, "f")] == [2e6, 6e6]
    assert [event["id"] for event in events_of(result, "f")] == [event["id"] for event in events_of(result, "s")]
    assert_valid(strictly_parsed(trace_text(result)))


def test_a_run_is_a_process_with_a_name():
    names = [
        event for event in events_of(a_result(a_run(), a_run(net="other")), "M") if event["name"] == "process_name"
    ]
    assert [event["pid"] for event in names] == [1, 2]
    assert names[1]["args"]["name"] == "other (4), vdnn_all (p), titanx_maxwell, pcie3_x16"


def test_an_empty_timeline_and_odd_names_are_a_trace_too():
    odd = 'Y:größe "\\\n\ud800'
    spans = (Span("compute", "forward", odd, odd, 0.0, 0.0),)
    timelines = (Timeline((), (), 0.0), Timeline(spans, (MemoryEvent(0.0, odd, 1),), 0.0))
    assert_valid(strictly_parsed(trace_text(a_result(*(a_run(timeline=one, net=odd) for one in timelines)))))


def test_a_time_that_is_no_number_is_never_written(tmp_path):
    timeline = Timeline((), (MemoryEvent(0.0, "a", 1),), float("inf"))
    with pytest.raises((ValueError, OverflowError)):
        save_trace(a_result(a_run(timeline=timeline)), tmp_path / "out.json")
    assert os.listdir(tmp_path) == []


def test_bytes_that_are_no_number_are_never_written():
    spans = (Span("offload", "offload", "a", "a", 0.0, 1.0, float("nan")),)
    with pytest.raises(ValueError, match="not JSON compliant"):
        trace_text(a_result(a_run(timeline=Timeline(spans, (), 1.0))))


def test_what_belongs_to_a_process_is_on_a_thread_of_no_stream():
    events = [*events_of(a_result(), "C"), *(one for one in events_of(a_result(), "M") if "process" in one["name"])]
    assert {event["tid"] for event in events} == {0}
    assert 0 not in {event["tid"] for event in events_of(a_result(), "X")}


def test_a_trace_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    save_trace(a_result(), path)
    written = path.read_text()
    assert_valid(strictly_parsed(written))
    assert strictly_parsed(written)["otherData"]["command"] == "archmodel train --net tiny"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match=r"out\.json: cannot be written: No space left"):
        save_trace(a_result(a_run(net="other")), path)
    assert os.listdir(tmp_path) == ["out.json"]
    assert path.read_text() == written
    with pytest.raises(ResultError, match=r"a trace ends in \.json"):
        save_trace(a_result(), tmp_path / "out.txt")
