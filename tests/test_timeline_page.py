"""docs/timeline.md: its example runs, and it names what is drawn and traced."""

import re
from pathlib import Path

import pytest

from archmodel import save
from archmodel.training.timeline import STREAMS
from archmodel.views.gantt import CAPACITY_SHOWN, MOST_RUNS, PHASES, STALLS
from archmodel.views.trace import trace_events
from tests.training.made_timelines import a_result

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "timeline.md").read_text("utf-8")


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    monkeypatch.chdir(tmp_path)
    save(a_result(), "train.h5")
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "timeline.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tiny (4), vdnn_all (p) 1.42")
    assert {path.name for path in tmp_path.iterdir()} == {"train.h5", "trace.json", "timeline.png"}


def test_the_page_names_every_stream_phase_and_cause():
    for name in (*STREAMS, *PHASES, *STALLS):
        assert name in PAGE
    assert f"more than {MOST_RUNS} runs" in PAGE
    assert CAPACITY_SHOWN == 2
    assert "above twice the peak" in PAGE


def test_the_page_has_every_phase_of_events_and_no_other():
    named = {
        name for line in PAGE.splitlines() if line.startswith("| `") for name in line.split("|")[1].split("`")[1::2]
    }
    assert named == {event["ph"] for event in trace_events(a_result())}
