"""The import ladder of the package and the limits on its shape, read from the sources and not from a run."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "archmodel"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part imports from its left only; those that share a rung do not know each other.
LADDER = [
    {"kernels"},
    {"errors"},
    {"config"},
    {"network"},
    {"exchange"},
    {"operands"},
    {"capture", "encodings", "weights"},
    {"memory"},
    {"interconnect"},
    {"accelerators"},
    {"training"},
    {"simulation", "iteration"},
    {"results"},
    {"views"},
    {"validation"},
    {"exploration"},
    {"cli"},
]
RUNG = {part: rung for rung, parts in enumerate(LADDER) for part in parts}
# The package and its __main__ are the front door: they may lead anywhere.
FRONT = {"__init__", "__main__"}
KEPT_TO = {"numba": "kernels", "llvmlite": "kernels", "h5py": "results", "matplotlib": "views"}
KEPT_TO |= {"click": "cli", "rich": "cli", "onnx": "exchange", "google": "exchange"}
KEPT_TO |= {"onnxruntime": "capture", "safetensors": "operands", "PIL": "capture or views"}
KERNELS_MAY_IMPORT = {"numpy", "numba", "llvmlite"}  # llvmlite: the types of numba's intrinsics
MAX_LINES = 300


def imported_names(source: str, module: str) -> set[str]:
    """Dotted names that ``source`` imports at any depth; ``from a import b`` gives ``a.b``, relative ones resolved."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def broken_rules(source: str, module: str) -> list[str]:
    """What ``module`` (``archmodel.part.name``; ``__init__`` spelt out) imports against the ladder."""
    part = module.split(".")[1]
    rules = []
    for name in sorted(imported_names(source, module)):
        top, _, below = name.partition(".")
        if top != "archmodel":
            if top in KEPT_TO and part not in KEPT_TO[top].split(" or "):
                rules.append(f"{module} imports {top}, which only {KEPT_TO[top]} may")
            if part == "kernels" and top not in KERNELS_MAY_IMPORT | sys.stdlib_module_names:
                rules.append(f"{module} imports {top}; kernels know numpy and numba only")
            continue
        other = below.partition(".")[0]
        if part in FRONT or other == part or name in ("archmodel.__version__", "archmodel"):
            continue
        if other not in RUNG:
            rules.append(f"{module} imports {name}, which has no rung")
        elif RUNG[other] >= RUNG[part]:
            rules.append(f"{module} imports {name}: {other} is not to the left of {part}")
    return rules


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_part_imports_from_its_left_only(path):
    assert broken_rules(path.read_text("utf-8"), module_name(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_has_a_rung_and_no_folder_is_nested(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    assert parts[0] in RUNG.keys() | FRONT
    assert len(parts) <= 2


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_a_naive_twin_imports_nothing_of_what_it_checks():
    for path in (ROOT / "tests" / "reference").glob("*.py"):
        names = imported_names(path.read_text("utf-8"), "tests.reference.x")
        assert not [name for name in names if name.startswith("archmodel")], path.name


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("archmodel.network.layer", "from archmodel.accelerators import scnn"),
        ("archmodel.network.layer", "def late():\n    import archmodel.cli.main"),
        ("archmodel.errors", "from archmodel.config import load"),
        ("archmodel.simulation", "from archmodel.iteration import train"),
        ("archmodel.config", "from . import simulation"),
        ("archmodel.network.layer", "from ..cli.common import console"),
        ("archmodel.kernels.dram_bank", "from archmodel.errors import ConfigError"),
        ("archmodel.kernels.dram_bank", "import scipy.special"),
        ("archmodel.accelerators.scnn", "from numba import njit"),
        ("archmodel.views.plots", "import h5py"),
        ("archmodel.validation", "import rich.table"),
        ("archmodel.validation.tpu", "def late():\n    from matplotlib.figure import Figure"),
        ("archmodel.results", "import click"),
        ("archmodel.operands", "import onnx.numpy_helper"),
        ("archmodel.operands.sources", "from archmodel.capture import capture_run"),
        ("archmodel.weights.pruning", "from archmodel.encodings import codec"),
        ("archmodel.network.toml_reader", "from archmodel.exchange import read_network"),
        ("archmodel.network", "import onnx.helper"),
        ("archmodel.exchange", "def late():\n    import onnxruntime"),
        ("archmodel.exchange.onnx_file", "from PIL import Image"),
        ("archmodel.results", "from archmodel.tools import x"),
    ],
)
def test_the_rules_notice(module, source):
    assert len(broken_rules(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("archmodel.accelerators.scnn", "from archmodel.kernels.cartesian_product import cycles\nimport scipy.special"),
        ("archmodel.kernels.column_queue", "import numpy\nfrom numba import njit\nfrom archmodel.kernels import lanes"),
        ("archmodel.results", "import h5py\nfrom archmodel import __version__"),
        ("archmodel.__init__", "from archmodel.results import load"),
        ("archmodel.network.toml_reader", "from .layer import Layer\nfrom archmodel import config"),
    ],
)
def test_the_rules_let_pass(module, source):
    assert broken_rules(source, module) == []


def test_every_folder_of_code_is_packaged():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    folders = {"archmodel"} | {f"archmodel.{path.parent.name}" for path in PACKAGE.glob("*/*.py")}
    assert sorted(packages) == sorted(folders | {"archmodel.configs", "archmodel.workloads"})
    for folder in folders:
        assert (ROOT / folder.replace(".", "/") / "__init__.py").is_file()


def test_the_page_has_the_parts_in_their_order():
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page[page.index("| part | owns |") :].split("\n\n")[0].splitlines()[2:]
    named = [line.split("`")[1] for line in table]
    there = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()} - FRONT
    assert named == [part for rung in LADDER for part in sorted(rung) if part in there]
