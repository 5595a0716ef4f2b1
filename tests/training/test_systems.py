"""Systems: every file of configs/systems/ opens, and what is wrong with one is a line."""

import re
from pathlib import Path

import pytest

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.training.devices import MODELS, open_device
from archmodel.training.systems import load_system, system_of

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


@pytest.mark.parametrize(
    ("name", "memory_bytes", "low", "high"),
    [
        ("titanx_pcie3", 12 * GIB, 12.5e9, 13.5e9),
        ("p100_pcie3", 16 * GIB, 12.5e9, 13.5e9),
        ("p100_nvlink1", 16 * GIB, 36e9, 40e9),
        ("v100_pcie3", 16 * GIB, 12.5e9, 13.5e9),
        ("v100_nvlink2", 16 * GIB, 47e9, 50e9),
        ("mcdla_pcie3", 16 * GIB, 12.5e9, 13.5e9),
    ],
)
def test_a_system_has_its_memory_and_its_link(name, memory_bytes, low, high):
    system = load_system(name)
    assert system.memory_bytes == memory_bytes == system.device.memory_bytes
    assert all(low < system.link.bytes_per_s(direction) < high for direction in ("upload", "download"))
    assert system.mode == "performance"


def test_every_system_opens():
    for name in config.names("systems"):
        assert load_system(name).name


def test_memory_and_mode_are_changed_like_any_key():
    system = load_system("titanx_pcie3", ("memory_bytes=1000", "mode=memory", "link=infinite"))
    assert (system.memory_bytes, system.mode, system.link.limits) == (1000, "memory", {})


SYSTEM = 'name = "own"\ndevice = "v100"\nlink = "pcie4_x16"\nmode = "memory"\n'


def test_files_of_your_own_are_named_from_the_folder_of_the_system(tmp_path):
    (tmp_path / "board.toml").write_text('base = "v100"\nname = "board"\nmemory_bytes = 5\n')
    (tmp_path / "wire.toml").write_text(
        'model = "measured"\nname = "wire"\nsetup_s = 0.0\nbytes_per_s_calibration = 1e9\n'
    )
    text = SYSTEM.replace("v100", "board.toml").replace("pcie4_x16", "wire.toml")
    (tmp_path / "own.toml").write_text(text)
    system = load_system(tmp_path / "own.toml")
    assert (system.device.name, system.memory_bytes, system.link.name) == ("board", 5, "wire")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "v100",
            "v10",
            "own.toml: 'v10': unknown device; allowed: mcdla, p100, .*scnn, .*; did you mean 'v100'\\?",
        ),
        ("pcie4_x16", "pcie4x16", "own.toml: 'pcie4x16': unknown link; allowed: .*; did you mean 'pcie4_x16'\\?"),
        ("memory", "slow", "own.toml: mode = 'slow': must be 'memory' or 'performance'"),
        ("mode", "mod", "own.toml: .*mod.*"),
        ('name = "own"\n', "", "own.toml: name: required key is missing"),
        ('name = "own"', 'name = "own"\nmemory_bytes = 0', "own.toml: memory_bytes = 0: must be at least 1"),
        ('name = "own"', 'name = "own"\nmemory_bytes = 1.5', "own.toml: memory_bytes = 1.5: .*"),
        ("v100", "none.toml", "own.toml: .*none.toml: no such file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path, old, new, message):
    (tmp_path / "own.toml").write_text(SYSTEM.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message + "$") as caught:
        load_system(tmp_path / "own.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\n', "own.toml: model: required key is missing; allowed: 'gpu' or .*"),
        ('model = "gpi"\n', "own.toml: model = 'gpi': must be 'gpu' or .*; did you mean 'gpu'\\?"),
        ("model = [1]\n", "own.toml: model = \\[1\\]: must be 'gpu' or .*"),
        ('model = "gpu"\n', "own.toml: .*required.*"),
    ],
)
def test_a_device_is_of_a_model_that_there_is(tmp_path, text, message):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError, match=message + "$"):
        open_device(tmp_path / "own.toml")


def test_the_page_prints_what_it_says(capsys):
    page = (ROOT / "docs" / "systems.md").read_text("utf-8")
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in page


def test_the_page_names_every_system_and_every_model():
    page = (ROOT / "docs" / "systems.md").read_text("utf-8")
    for name in (*config.names("systems"), *MODELS):
        assert f"`{name}`" in page


def test_a_machine_and_a_memory_are_a_system_without_a_file():
    system = system_of("scnn", "pcie3_x16", "hbm2", "memory")
    assert (system.memory_bytes, system.mode) == (8 * GIB, "memory")
    assert system.name == system.device.name
    assert system_of("scnn", "infinite").memory_bytes is None
    assert system_of("v100", "infinite").memory_bytes == 16 * GIB


def test_a_system_of_your_own_has_a_machine_and_its_memory(tmp_path):
    (tmp_path / "tpu.toml").write_text('base = "tpu_v1"\nname = "mine"\n')
    text = 'name = "own"\ndevice = "tpu.toml"\nmemory = "hbm2"\nlink = "infinite"\nmode = "memory"\nmemory_bytes = 7\n'
    (tmp_path / "own.toml").write_text(text)
    system = load_system(tmp_path / "own.toml")
    assert (system.device.name, system.memory_bytes, system.device.memory_bytes) == ("mine", 7, 8 * GIB)
    (tmp_path / "own.toml").write_text(text.replace("tpu.toml", "v100"))
    with pytest.raises(ConfigError, match=r"own.toml: memory = 'hbm2': configs/devices/v100.toml has its own"):
        load_system(tmp_path / "own.toml")


def test_machines_of_a_file_are_told_from_devices(tmp_path):
    path = tmp_path / "own.toml"
    text = (config.folder("accelerators") / "scnn.toml").read_text("utf-8")
    path.write_text(text)
    assert open_device(path).machine.model == "scnn"
    path.write_text('base = "titanx_caffe"\nname = "other"\n')
    assert open_device(path).name == "other"
    path.write_text('base = "scnn"\nname = 3\n')
    with pytest.raises(ConfigError, match=r"own.toml: name = 3: "):
        open_device(path)
