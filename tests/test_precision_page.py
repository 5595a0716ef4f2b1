"""docs/precision.md has the figures that the machines give, and its commands run."""

import re
import runpy
from pathlib import Path

import pytest

from archmodel import config
from archmodel.cli import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "precision.md").read_text("utf-8")
COMMANDS = re.findall(r"^archmodel (.*?)(?:   .*)?$", TEXT, re.MULTILINE)


def test_the_tables_are_those_of_the_machines():
    made = runpy.run_path(str(DOCS / "precision.py"))["page"](TEXT)
    assert made == TEXT, "write it again: python docs/precision.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_run(command, capsys):
    words = command.split()
    faster = ["--fidelity", "statistical"] if words[0] == "sim" else []
    assert main.run([*words, *faster]) == 0
    assert capsys.readouterr().out


def test_every_precision_is_named():
    names = {name for arch in config.names("accelerators") for name in config.variants("accelerators", arch)}
    table = TEXT.partition("| name |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| ([\w, ]+) \| .* \| .* \|$", table, re.MULTILINE)
    assert {name for names_of_row in listed for name in names_of_row.split(", ")} == names


def test_its_example_is_that_of_the_file():
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert example in (config.folder("accelerators") / "scnn.toml").read_text("utf-8")


def test_published_ratios_are_what_the_page_says():
    """BrainTTA: 405 fJ over 35; ours from the table above it."""
    rows = re.findall(r"^\| `systolic_16x16_ws` \| (\w+) \| ([\d,.]+) (?:\| [\d,.]+ ){5}\|$", TEXT, re.MULTILINE)
    ours = {name: float(value.replace(",", "")) for name, value in rows}
    assert f"{405 / 35:.3g} times there and {ours['int8'] / ours['binary']:.0f} times here" in TEXT
