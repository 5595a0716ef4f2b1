"""docs/networks.md tells what the files in workloads/ are, and its example is a network."""

import re
import runpy
import textwrap
from pathlib import Path

from archmodel.network import read_network

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_networks_is_that_of_the_files():
    text = (DOCS / "networks.md").read_text("utf-8")
    assert runpy.run_path(str(DOCS / "networks.py"))["page"](text) == text, "write it again: python docs/networks.py"


def test_the_example_is_a_network(tmp_path):
    text = (DOCS / "networks.md").read_text("utf-8")
    (example,) = re.findall(r"\n\n((?:    .*\n)+)", text)
    (tmp_path / "example.toml").write_text(textwrap.dedent(example))
    network = read_network(tmp_path / "example.toml")
    assert network.layer("block3/add").inputs == ("block3/conv2", "block2/relu")
    assert network.parameters == 3 * 16 * 9 + 16 + 6 * (16 * 16 * 9 + 16) + 16 * 10 + 10
