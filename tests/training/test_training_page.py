"""docs/training.md: its snippet prints what it shows, its table is that of the code."""

import re
from pathlib import Path

from archmodel.network.layer import KINDS
from archmodel.training.backward import FROM_OUTPUT

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")


def test_its_snippet_prints_what_it_shows(capsys):
    [snippet] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    [shown] = re.findall(r"prints\n\n```\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(snippet, "training.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_its_table_has_every_kind():
    rows = [line.split("|")[1].strip() for line in TEXT.partition("| kind |")[2].splitlines()[2:] if line[:1] == "|"]
    named = set(re.findall(r"[a-z]+", " ".join(rows[: rows.index("other") + 1])))
    assert set(KINDS) <= named
    assert f"activation: {', '.join(FROM_OUTPUT)}" in rows
