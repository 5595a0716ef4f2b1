"""The snippet of docs/pruning.md runs and prints what the page says; the file that it writes is simulated."""

import re
from pathlib import Path

import archmodel

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "pruning.md").read_text("utf-8")


def test_the_snippet_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [snippet] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shown = re.search(r"prints\n\n```\n(.*?)```", PAGE, re.DOTALL)[1]
    exec(compile(snippet, "pruning.md", "exec"), {})
    assert capsys.readouterr().out == shown
    run = archmodel.simulate("scnn", "lenet300_100", weights="pruned.npz", layers=["ip2"])
    assert run.layers[0].origins["weights"] == "file: pruned.npz"
