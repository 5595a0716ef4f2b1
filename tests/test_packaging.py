"""A wheel built from the tree, installed alone into a fresh environment, used from another directory."""

import json
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import archmodel
from archmodel import config

ROOT = Path(__file__).resolve().parents[1]
GENERATED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist", ".*")
SOURCES = ["archmodel", "configs", "workloads", "tests"]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tree: a build leaves files beside the sources."""
    tree = tmp_path_factory.mktemp("tree")
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=GENERATED)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", tree / "dist", tree, cwd=tree)
    [path] = (tree / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The scripts folder of an environment with archmodel from the wheel and its dependencies from the running one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    [packages] = home.glob("lib/python*/site-packages")
    python = home / "bin" / "python"
    run(
        *[sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"],
        *["--no-deps", "--no-index", wheel],
        cwd=home,
    )
    # Plain lines of a .pth file extend the path behind site-packages, and the .pth files of those folders are not read:
    # neither an editable install of the tree nor the tree itself can stand in for the wheel.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return home / "bin"


@pytest.fixture
def elsewhere(tmp_path):
    return tmp_path


def test_the_wheel_has_code_data_and_licences_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"archmodel-{archmodel.__version__}.dist-info/"
    assert {name.split("/")[0] + "/" for name in names} == {"archmodel/", metadata}
    assert not [name for name in names if "test" in name]
    assert {metadata + "licenses/LICENSE", metadata + "licenses/THIRD_PARTY.md"} <= set(names)


@pytest.mark.parametrize(
    ("folder", "patterns"),
    [("configs", ["*/*.toml", "*/*.csv"]), ("workloads", ["*.toml", "*.npz"]), ("archmodel", ["**/*.py"])],
)
def test_the_wheel_has_every_file_of(wheel, folder, patterns):
    inside = "" if folder == "archmodel" else "archmodel/"
    expected = {inside + str(path.relative_to(ROOT)) for pattern in patterns for path in (ROOT / folder).glob(pattern)}
    assert expected
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_no_data_file_is_of_a_kind_that_the_wheel_leaves_out():
    suffixes = {path.suffix for path in (ROOT / "configs").rglob("*") if path.is_file()}
    assert suffixes <= {".toml", ".csv"}
    assert {path.suffix for path in (ROOT / "workloads").rglob("*") if path.is_file()} <= {".toml", ".npz"}


def test_the_metadata_has_lower_bounds_only(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(f"archmodel-{archmodel.__version__}.dist-info/METADATA").decode()
    required = re.findall(r"^Requires-Dist: ([^;\n]+)", metadata, re.MULTILINE)
    assert len(required) >= 7
    assert all(re.fullmatch(r"[\w.\[\]-]+>=[\w.]+", name.strip()) for name in required)


def test_the_installed_command_lists_what_the_tree_holds(installed, elsewhere):
    listed = json.loads(run(installed / "archmodel", "list", "--json", cwd=elsewhere))
    assert [entry["name"] for entry in listed["accelerators"]] == config.names("accelerators")
    assert [entry["name"] for entry in listed["networks"]] == config.names("workloads")
    assert run(installed / "archmodel", "list", "accelerators", cwd=elsewhere)


def test_only_archmodel_is_installed_and_it_is_the_wheels(installed, elsewhere):
    report = (
        "import archmodel, importlib.metadata as m, json; d = m.distribution('archmodel');"
        "print(json.dumps([archmodel.__file__, sorted({f.parts[0] for f in d.files})]))"
    )
    where, tops = json.loads(run(installed / "python", "-I", "-c", report, cwd=elsewhere))
    assert Path(where).is_relative_to(installed.parent)
    assert tops == ["..", "archmodel", f"archmodel-{archmodel.__version__}.dist-info"]  # "..": the command in bin/


def test_a_run_from_the_wheel_reads_its_own_data(installed, elsewhere):
    output = run(installed / "archmodel", "sim", "--arch", "scnn", "--net", "lenet5", "--json", cwd=elsewhere)
    result = json.loads(output)
    assert (result["arch"], result["net"]) == ("scnn", "lenet5")
    assert result["totals"]["cycles"] > 0
    assert not list(elsewhere.iterdir())
