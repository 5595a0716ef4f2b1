"""A machine from outside the package: the example of docs/new_machine.md in a temporary folder, by the public API."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from archmodel import inspect, simulate
from archmodel.accelerators.context import Context
from archmodel.accelerators.plug_in import reason
from archmodel.accelerators.registry import load_machine
from archmodel.errors import SHOWN_CHARACTERS, ConfigError
from archmodel.memory.dram import load_memory
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from tests.accelerators.invariants import INVARIANTS, results_survive_a_file

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "new_machine.md"


def blocks(language):
    """The listings of the guide in a language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


(TOML,), (SPARSE, DENSE) = blocks("toml"), blocks("python")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The path of the toy's TOML file."""
    return write(tmp_path_factory.mktemp("machines"))


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """The path of the TOML file of the toy that ignores zeros: its functions replace the toy's of the same names."""
    folder = tmp_path_factory.mktemp("dense")
    path = write(folder)
    (folder / "toy.py").write_text(f"{SPARSE}\n\n{DENSE}")
    return path


def write(folder, old="", new="", model="toy.py"):
    """The toy with a part of its module replaced; the path of its TOML file."""
    code = SPARSE
    assert old in code
    (folder / "toy.py").write_text(code.replace(old, new, 1) if old else code)
    (folder / "toy.toml").write_text(TOML.replace('"toy.py"', f'"{model}"'))
    return str(folder / "toy.toml")


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_what_holds_of_every_machine_holds_of_the_toy(toy, invariant):
    invariant(toy)


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_what_holds_of_every_machine_holds_of_the_toy_that_ignores_zeros(dense, invariant):
    invariant(dense)


def test_its_results_survive_a_file(toy, tmp_path):
    results_survive_a_file(toy, tmp_path)


def test_zeros_change_no_cycle_of_the_toy_that_ignores_them(toy, dense):
    found = set()
    for weights, fidelity in (("0.1", "exact"), ("0.9", "exact"), ("0.9", "sampled"), ("0.9", "statistical")):
        stated = {"weights": f"density={weights}", "activations": "density=0.5", "fidelity": fidelity}
        unlimited = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")
        found.add(simulate(dense, "lenet5", assignments=unlimited, **stated).cycles)
        assert simulate(toy, "lenet5", assignments=unlimited, **stated).cycles < max(found)
    assert len(found) == 1


def test_it_takes_what_its_fullest_kernel_takes(toy):
    # 2x2 outputs; kernels of 3, 1, 2, 2 and then 4 non-zeros: rounds of 4 PEs take 3 and 4 cycles a position.
    layer = Layer("by_hand", "conv", ("x",), (4, 2, 2), 5)
    weights = (np.arange(4) < np.array([3, 1, 2, 2, 4])[:, np.newaxis]).astype(np.uint8).reshape(5, 4, 1, 1)
    ones = Operands(weights, np.ones((1, 4, 2, 2), np.uint8), 1.0)
    memory = load_memory("ideal", ("latency_s=0.0", "bytes_per_s=1e15"))
    result = load_machine(toy).run_layer(layer, ones, Context(memory, input_on_chip=True))
    assert result.cycles == 4 * (3 + 4)
    assert result.stack == {"busy": 4 * 12, "stored_zero": 0, "imbalance": 4 * (28 - 12), "memory": 0}


def test_few_units_are_walked_in_a_sample(toy):
    machine = load_machine(toy)
    run = {"weights": "density=0.3", "activations": "density=0.4", "layers": "ip1"}
    exact, sampled = (simulate(toy, "lenet5", fidelity=fidelity, **run) for fidelity in ("exact", "sampled"))
    assert sampled.cycles != exact.cycles  # 125 rounds
    assert sampled.cycles_ci95[0] <= exact.cycles <= sampled.cycles_ci95[1]
    assert exact.config["accelerator"]["pes"] == machine.config.pes


def test_a_machine_that_names_no_formats_has_none_to_show(tmp_path):
    path = write(tmp_path)
    assert load_machine(str(path)).precisions == {}
    with pytest.raises(ConfigError) as error:
        inspect("lenet5", encodings=True, arch=str(path))
    line = "toy: names no formats of its operands; allowed: machines with [encoding] and stored_tensors"
    assert str(error.value) == line


def test_the_command_runs_it_and_leaves_nothing_beside_it(tmp_path):
    path = write(tmp_path)
    command = [sys.executable, "-m", "archmodel", "sim", "--arch", path, "--net", "lenet5", "--json"]
    command += ["--weights", "density=0.3", "--activations", "density=0.4", "--set", "pes=8", "--fidelity", "sampled"]
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert document["arch"] == "toy"
    assert document["layers"][0]["num_multipliers"] == 8
    low, high = document["totals"]["cycles_ci95"]
    assert low <= document["totals"]["cycles"] <= high
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.py", "toy.toml"]


def test_an_edited_module_is_read_anew(tmp_path):
    before = load_machine(write(tmp_path)).config.num_multipliers
    path = write(tmp_path, "        return self.pes\n", "        return self.pes + 1\n")
    assert load_machine(path).config.num_multipliers == before + 1


def test_annotations_may_be_text(tmp_path):
    path = write(tmp_path, "import math\n", "from __future__ import annotations\n\nimport math\n")
    assert load_machine(path, ("pes=6",)).config.num_multipliers == 6


def refused(path, *assignments):
    with pytest.raises(ConfigError) as error:
        load_machine(path, assignments)
    text = str(error.value)
    assert text.startswith(path) or assignments
    assert "\n" not in text
    return text


def test_a_missing_module_is_one_line(tmp_path):
    assert "model = 'toi.py': there is no such file beside it" in refused(write(tmp_path, model="toi.py"))


@pytest.mark.parametrize("model", ["machines/toy.py", "../toy.py", "/toy.py", "toy.v2.py"])
def test_a_module_elsewhere_is_one_line(tmp_path, model):
    assert "must be the name of a Python file beside it" in refused(write(tmp_path, model=model))


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ('KINDS = ("conv", "fc")', "KINDS"),
        ("class Config(", "Config"),
        ("def run_layer(", "run_layer"),
        ("def expect_layer(", "expect_layer"),
    ],
)
def test_a_missing_part_is_one_line(tmp_path, part, missing):
    text = refused(write(tmp_path, part, part.replace(missing, "other")))
    assert f"lacks {missing}; a machine has KINDS, Config, run_layer, expect_layer" in text


@pytest.mark.parametrize("attribute", ["num_multipliers", "activation_bytes", "components", "stored_bytes", "fits"])
def test_a_config_that_cannot_be_asked_is_one_line(tmp_path, attribute):
    text = refused(write(tmp_path, f"def {attribute}(", "def other("))
    assert f"Config lacks {attribute}; it needs name, clock_hz" in text


@pytest.mark.parametrize("attribute", ["name: str", "technology: str"])
def test_a_config_without_a_common_parameter_is_one_line(tmp_path, attribute):
    assert "unknown key at the top level" in refused(write(tmp_path, f"    {attribute}\n", ""))


def test_a_config_that_is_none_is_one_line(tmp_path):
    text = refused(write(tmp_path, "class Config(FrozenModel)", "class Config"))
    assert "Config must be a class derived from archmodel.config.FrozenModel" in text


@pytest.mark.parametrize("kinds", ['"conv"', '("conv", "fully_connected")', "None"])
def test_kinds_that_are_none_are_one_line(tmp_path, kinds):
    path = write(tmp_path, 'KINDS = ("conv", "fc")', f"KINDS = {kinds}")
    with pytest.raises(ConfigError, match="KINDS must be a tuple of kinds of layers, for instance"):
        load_machine(path)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import nowhere", "line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("\n\n1 / 0", "line 3: ZeroDivisionError: division by zero"),
        ("def f(:", "line 1: SyntaxError: invalid syntax"),
        ("raise ValueError('a\\nb')", "line 1: ValueError: a b"),
        ("raise ValueError", "line 1: ValueError"),
        ("def f():\n    import json\n    json.loads('{')\nf()", "line 3: JSONDecodeError: Expecting property name"),
        ("\0", "null bytes"),
        ("x = 'é'.encode('ascii')", "line 1: UnicodeEncodeError"),
    ],
)
def test_what_a_module_raises_is_one_line(tmp_path, code, expected):
    path = write(tmp_path)
    (tmp_path / "toy.py").write_text(code, "utf-8")
    assert expected in refused(path)


def test_what_is_raised_without_a_text_or_with_a_long_one():
    assert reason(ValueError(), Path("toy.py")) == "ValueError"
    shown = reason(ValueError("x" * 999), Path("toy.py"))
    assert shown == "ValueError: ".ljust(2 * SHOWN_CHARACTERS - 3, "x") + "..."


def test_a_module_that_is_not_utf_8_is_one_line(tmp_path):
    path = write(tmp_path)
    (tmp_path / "toy.py").write_bytes(b"x = '\xe9'\n")
    assert "SyntaxError" in refused(path)


def test_its_own_parameters_are_checked_like_any_others(toy):
    assert "--set pes=1: must be at least 2" in refused(toy, "pes=1")
    assert "--set pe=4: unknown key at the top level" in refused(toy, "pe=4")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('words_read={"activations"', 'words_read={"activatons"', "ValueError: counted, but no component: activatons"),
        ("config.pes - issued}", "config.pes}", "ValueError: conv1: the stack"),
        ('lost={"imbalance"', 'lost={"waiting"', "ValueError: conv1: unknown causes ['waiting']; allowed: busy"),
        ("    return layer_account(", "    layer_account(", "TypeError: the machine returned NoneType"),
        ("positions = layer.P", "positions = layer.rows", "AttributeError: 'Layer' object has no attribute 'rows'"),
        ('"sram", 1', '"srams", 1', "ValueError: component activations: kind 'srams'"),
        ("words=words", "words=0", "ValueError: component activations: words"),
    ],
)
def test_what_a_run_of_it_raises_is_one_line(tmp_path, old, new, expected):
    toy = write(tmp_path, old, new)
    with pytest.raises(ConfigError) as error:
        simulate(str(toy), "lenet5", layers="conv1", weights="density=0.3", activations="density=0.4")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
