"""What is imported when, asked of fresh interpreters, and where compiled kernels are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "numba", "h5py", "pydantic", "rich", "scipy", "matplotlib", "pandas", "onnx", "PIL"}
ROOT = Path(__file__).resolve().parents[1]


def modules_after(code: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh interpreter once it has run ``code``."""
    report = "import sys; print('modules:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("modules: ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["smi"]], ids=" ".join)
def test_the_front_of_the_command_line_imports_nothing_heavy(arguments):
    modules = modules_after(f"from archmodel.cli.main import run; run({arguments!r})")
    assert "click" in modules
    assert not HEAVY & modules


def test_the_package_imports_nothing_heavy():
    modules = modules_after("import archmodel; archmodel.__version__; dir(archmodel)")
    assert not (HEAVY | {"click"}) & modules


def test_list_needs_no_arrays():
    modules = modules_after("from archmodel.cli.main import run; run(['list'])")
    assert not {"numpy", "numba", "h5py", "scipy"} & modules


def test_validate_draws_nothing_unless_it_writes(tmp_path):
    assert "matplotlib" not in modules_after("from archmodel.cli.main import run; run(['validate', 'dnnsim'])")
    writing = f"run(['validate', 'dnnsim', '-o', {str(tmp_path)!r}])"
    assert "matplotlib" in modules_after(f"from archmodel.cli.main import run; {writing}")


def chosen_cache(**environment: str) -> str:
    """The folder that numba keeps compiled code in when the kernels are imported with ``environment``."""
    code = "import archmodel.kernels, numba; print(numba.config.CACHE_DIR)"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={**clean, **environment}
    )
    return done.stdout.strip()


def test_the_users_own_kernel_cache_is_respected(tmp_path):
    assert chosen_cache(NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)


def test_bounds_checked_code_has_a_cache_of_its_own():
    assert chosen_cache(NUMBA_BOUNDSCHECK="1") == chosen_cache() + "-bounds"


@pytest.fixture
def cache_folder(monkeypatch):
    import numba  # imported here: collecting the tests stays fast

    # Importing the kernels points numba at their cache; other tests find it as it was.
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    from archmodel.kernels import cache_folder

    return cache_folder


def test_the_kernel_cache_is_named_by_every_source(cache_folder, tmp_path):
    (tmp_path / "caller.py").write_text("1")
    (tmp_path / "callee.py").write_text("2")
    before = cache_folder(tmp_path, {}, bounds_checked=False)
    assert before == cache_folder(tmp_path, {}, bounds_checked=False)
    (tmp_path / "callee.py").write_text("3")
    after = cache_folder(tmp_path, {}, bounds_checked=False)
    assert after != before
    assert before.parent == after.parent == tmp_path / "__pycache__"


@pytest.fixture
def read_only_package(tmp_path):
    """A package beside whose sources no folder can be made, by any user: a file stands in its place."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__pycache__").write_text("")
    return package


def test_a_read_only_package_uses_the_users_cache_folder(cache_folder, read_only_package, tmp_path):
    named = cache_folder(read_only_package, {"XDG_CACHE_HOME": str(tmp_path / "cache")}, bounds_checked=False)
    assert named.parent == tmp_path / "cache" / "archmodel"
    at_home = cache_folder(read_only_package, {"HOME": str(tmp_path / "home")}, bounds_checked=False)
    assert at_home.parent == tmp_path / "home" / ".cache" / "archmodel"


def test_without_any_cache_folder_compiled_code_is_private(cache_folder, read_only_package):
    nowhere = str(read_only_package / "__pycache__")
    private = cache_folder(read_only_package, {"XDG_CACHE_HOME": nowhere}, bounds_checked=False)
    assert private != cache_folder(read_only_package, {"XDG_CACHE_HOME": nowhere}, bounds_checked=False)
    assert private.is_dir()
    assert private.stat().st_mode & 0o077 == 0
