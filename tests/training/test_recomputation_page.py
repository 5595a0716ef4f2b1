"""docs/recomputation.md: its snippet prints what it shows, its kinds are those of the code."""

import re
from pathlib import Path

from archmodel.training import CHEAP_KINDS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "recomputation.md").read_text("utf-8")


def test_its_snippet_prints_what_it_shows(capsys):
    [snippet] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    [shown] = re.findall(r"prints\n\n```\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(snippet, "recomputation.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_it_names_the_cheap_kinds():
    [listed] = re.findall(r"multiply no weights: (.*?), or those", TEXT)
    plural = {"multiply": "multiplies", "softmax": "softmaxes"}
    assert set(re.findall(r"[a-z]+", listed)) - {"and"} == {plural.get(kind, f"{kind}s") for kind in CHEAP_KINDS}
