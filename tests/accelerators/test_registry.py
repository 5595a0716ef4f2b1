"""From a name to a machine: what is loaded, and one line for what cannot be."""

import dataclasses
from types import SimpleNamespace

import pytest

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine, source_name
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.memory.dram import load_memory
from archmodel.operands.sources import OperandSource

MODELS = ", ".join(sorted({config.read("accelerators", name)[0]["model"] for name in config.names("accelerators")}))


def file_of(name):
    return config.folder("accelerators") / f"{name}.toml"


def changed(tmp_path, name, old, new):
    path = tmp_path / "mine.toml"
    text = file_of(name).read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.parametrize("name", config.names("accelerators"))
def test_every_file_of_the_folder_is_a_machine_that_runs(name):
    machine = load_machine(name)
    assert machine.arch == name
    network = read_network("lenet5")
    layer = network.layer("ip2")
    result = machine.run_layer(layer, OperandSource(network).operands(layer), Context(load_memory("ideal")))
    assert result.num_multipliers == machine.config.num_multipliers > 0
    assert result.macs_dense == layer.macs
    assert machine.config.activation_bytes > 0


def test_the_model_is_what_the_file_says_and_not_its_name(tmp_path):
    machine = load_machine(changed(tmp_path, "dcnn", 'name = "DCNN"', 'name = "Mine"'))
    assert (machine.arch, machine.model, machine.config.name) == ("mine", "dcnn", "Mine")


def test_assignments_change_the_machine():
    assert load_machine("scnn", ("pe.rows=4", "pe.Kc=accumulator")).config.num_multipliers == 4 * 8 * 16
    assert load_machine("scnn").config.num_multipliers == 1024


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ('"scn"', f"unknown model; allowed: {MODELS} or the name of a Python file beside it; did you mean 'scnn'?"),
        ("3", f"model = 3: unknown model; allowed: {MODELS}"),
        ('["scnn"]', f"unknown model; allowed: {MODELS}"),
        ('""', f"model = '': unknown model; allowed: {MODELS}"),
        ('"context.py"', "there is no such file beside it"),  # a module of the package is not beside the file
        ('"../toy.py"', "must be the name of a Python file beside it"),
        ('"/toy.py"', "must be the name of a Python file beside it"),
        ('"toy-1.py"', "must be the name of a Python file beside it"),
        ('".py"', "must be the name of a Python file beside it"),
        ('"os.path"', "unknown model"),
        ('"context"', f"model = 'context': is not a machine; allowed: {MODELS}"),  # a module beside the machines
        ('"__pycache__"', f"allowed: {MODELS}"),
        ('"scnn_config"', "is not a machine"),  # it has a Config and cannot run a layer
        ('"scnn_fc"', "model = 'scnn_fc'"),  # it has both by accident; its Config says which model it is
    ],
)
def test_a_model_that_is_no_machine_is_one_line(tmp_path, model, expected):
    path = changed(tmp_path, "scnn", 'model = "scnn"', f"model = {model}")
    with pytest.raises(ConfigError) as error:
        load_machine(path)
    assert expected in str(error.value)
    assert str(error.value).startswith(path)
    assert "\n" not in str(error.value)


def test_a_file_without_a_model_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=f"model = None: unknown model; allowed: {MODELS}"):
        load_machine(changed(tmp_path, "scnn", 'model = "scnn"', ""))


@pytest.mark.parametrize(
    ("name", "assignments", "expected"),
    [
        ("scn", (), f"'scn': unknown accelerator; allowed: {', '.join(config.names('accelerators'))} "),
        ("scn", (), " or the path of a .toml file; did you mean 'scnn'"),
        ("nowhere.toml", (), "nowhere.toml: no such file"),
        ("scnn", ("pe.row=4",), "--set pe.row=4: unknown key in [pe]; allowed: rows, cols"),
        ("scnn", ("pe.rows=0",), "--set pe.rows=0: must be at least 1"),
        ("scnn", ("model=dcnn",), "--set model=dcnn: must be 'scnn'"),
        ("scnn", ("pe.accumulator_banks=33", "pe.bank_hash=xor"), "needs a power of two"),
    ],
)
def test_a_wrong_name_or_value_is_one_line(name, assignments, expected):
    with pytest.raises(ConfigError) as error:
        load_machine(name, assignments)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("path", "name"), [("scnn", "scnn"), ("a/b/my.toml", "my"), ("C:\\x\\my.toml", "my"), ("./my.v2.toml", "my.v2")]
)
def test_a_run_is_named_by_the_stem_of_its_file(path, name):
    assert source_name(path) == name


def test_a_result_of_another_type_is_not_passed_on():
    nothing = SimpleNamespace(__name__="dcnn", KINDS=("fc",), run_layer=lambda *_: None, expect_layer=lambda *_: None)
    machine = dataclasses.replace(load_machine("dcnn"), module=nothing)
    layer = read_network("lenet5").layer("ip2")
    for run in (machine.run_layer, machine.expect_layer):
        with pytest.raises(TypeError, match="the machine returned NoneType, not LayerResult"):
            run(layer, None, Context(load_memory("ideal")))
