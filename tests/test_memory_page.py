"""docs/memory.md: its commands print what it shows, its snippet runs, its table has the keys of --json."""

import re
import runpy
from pathlib import Path

import pytest

import archmodel

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "memory.md").read_text("utf-8")


def test_its_commands_print_what_it_shows():
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    assert runpy.run_path(str(DOCS / "memory.py"))["page"](TEXT) == TEXT, "write it again: python docs/memory.py"


def test_its_snippet_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(snippet, "memory.md", "exec"), {})
    assert len(capsys.readouterr().out.split()) == 3
    assert (tmp_path / "quarter_writes.bin").stat().st_size == 16_000


def test_its_table_has_the_keys():
    section = TEXT.partition("\n## JSON\n")[2]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    stated = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert sorted(stated) == sorted(archmodel.trace_memory("ideal", pattern="random", requests=1).as_dict())
