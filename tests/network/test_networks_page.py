"""docs/networks.md tells what the files in workloads/ are and which keys a file has; its examples run."""

import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest

from archmodel import simulate
from archmodel.cli.main import run
from archmodel.exchange import read_network
from archmodel.network.chain import Chain
from archmodel.network.entries import ENTRIES, LayerEntry
from archmodel.network.layer import COMPUTE_KINDS, KINDS, MODES
from archmodel.network.toml_reader import NetworkFile

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_networks_is_that_of_the_files():
    text = (DOCS / "networks.md").read_text("utf-8")
    assert runpy.run_path(str(DOCS / "networks.py"))["page"](text) == text, "write it again: python docs/networks.py"


def test_the_example_is_a_network(tmp_path):
    text = (DOCS / "networks.md").read_text("utf-8")
    example, *_ = re.findall(r"\n\n((?:    .*\n){5,})", text)
    (tmp_path / "example.toml").write_text(textwrap.dedent(example))
    network = read_network(tmp_path / "example.toml")
    assert network.layer("block3/add").inputs == ("block3/conv2", "block2/relu")
    assert network.parameters == 3 * 16 * 9 + 16 + 6 * (16 * 16 * 9 + 16) + 16 * 10 + 10


def keys_of_layers():
    """Rows of the table of keys: key, kinds, type, what holds if it is not said, what it is."""
    text = (DOCS / "networks.md").read_text("utf-8").partition("### Keys")[2].partition("## ")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]


def test_the_keys_of_a_layer_are_those_that_the_reader_accepts():
    kinds_of = {"all": KINDS, "all that multiply": COMPUTE_KINDS}
    stated = {(kind, key): absent == "required"
              for keys, kinds, _, absent, _ in keys_of_layers()
              for key in re.findall("`(.*?)`", keys)
              for kind in kinds_of.get(kinds, kinds.split(", "))}  # fmt: skip
    accepted = {
        (kind, key): field.is_required()
        for kind in KINDS
        for key, field in ENTRIES.get(kind, LayerEntry).model_fields.items()
    }
    assert stated == accepted


def test_kinds_and_modes_are_all_there():
    (kinds,) = [what for key, _, _, _, what in keys_of_layers() if key == "`kind`"]
    assert kinds.replace(" or ", ", ").split(", ") == list(KINDS)
    ((_, of, _, absent, modes),) = [row for row in keys_of_layers() if row[0] == "`mode`"]
    assert absent.split(", ") == [MODES[kind][0] for kind in of.split(", ")]
    assert dict(part.split(": ") for part in modes.split("; ")) == {k: ", ".join(MODES[k]) for k in of.split(", ")}


@pytest.mark.parametrize("model", [NetworkFile, Chain])
def test_the_keys_of_a_file_and_of_a_chain_are_named(model):
    text = (DOCS / "networks.md").read_text("utf-8").partition("### Keys")[2].partition("| key |")[0]
    named = text.partition("Of a chain:")[2 if model is Chain else 0]
    before = named.partition("required")[0]
    for key, field in model.model_fields.items():
        assert f"`{key}`" in named
        assert (f"`{key}`" in before) == field.is_required()


def test_the_depthwise_line_is_a_layer(tmp_path):
    (line,) = re.findall(r'`(\{name = "depthwise".*\})`', (DOCS / "networks.md").read_text("utf-8"))
    head = "title = 't'\nsource = 's'\nzeros_source = 'z'\ninputs = {x = [32, 8, 8]}\n"
    (tmp_path / "net.toml").write_text(f"{head}layers = [{line}]\n")
    (layer,) = read_network(tmp_path / "net.toml").layers
    assert layer.weight_shape == (32, 1, 3, 3)
    assert layer.output_shape == (32, 8, 8)


def test_the_arrays_of_the_example_are_run_and_checked(tmp_path, monkeypatch):
    text = (DOCS / "networks.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"\n    archmodel (sim .*)\n", text)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "networks.md", "exec"), {})
    assert run(command.split()) == 0


def test_a_real_mask_is_written_as_the_page_says(tmp_path):
    text = (DOCS / "networks.md").read_text("utf-8")
    (saving,) = re.findall(r'`(np\.savez\("masks\.npz".*?\))`', text)
    weights = np.random.default_rng(0).integers(-1, 2, (4, 3, 3, 3))
    exec(saving.replace('"masks.npz"', f'"{tmp_path}/masks.npz"'), {"np": np, "weights": weights})
    entry = '{name = "conv1", kind = "conv", K = 4, kernel = 3, weight_mask = "masks.npz:conv1", input_density = 1.0}'
    head = "title = 't'\nsource = 's'\nzeros_source = 'z'\ninputs = {x = [3, 8, 8]}\n"
    (tmp_path / "net.toml").write_text(f"{head}layers = [{entry}]\n")
    (layer,) = simulate("scnn", str(tmp_path / "net.toml")).layers
    assert layer.weight_density == np.count_nonzero(weights) / weights.size
