"""docs/virtualization.md: its snippet runs, its policies are those that there are."""

import re
from pathlib import Path

from archmodel.training import POLICIES

PAGE = (Path(__file__).parents[2] / "docs" / "virtualization.md").read_text("utf-8")


def test_the_snippet_prints_what_the_table_of_the_study_has(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "virtualization.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    (shown,) = re.findall(r"prints\n\n```\n(.*?)\n```", PAGE, re.DOTALL)
    assert lines == shown.splitlines()


def test_the_table_has_every_policy():
    names = re.findall(r"^\| `(\w+)` \|", PAGE.split("## Policies")[1].split("\n\n`mode`")[0], re.MULTILINE)
    assert names == list(POLICIES)
