"""Compiled kernels: arrays in, arrays out.

Importing this package tells numba where to keep compiled code. Its own rule compares only the file of the function it
compiles, so a caller keeps running the old code of a callee edited in another file, and NUMBA_BOUNDSCHECK=1 finds the
unchecked code of an earlier run. Here the folder is named by all the kernels' sources and by the bounds check.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numba


def cache_folder(package: Path, environment: Mapping[str, str], *, bounds_checked: bool) -> Path:
    """Where compiled code is kept: beside the sources, else in the user's cache folder, else for this process only."""
    sources = hashlib.sha256()
    for path in sorted(package.glob("*.py")):
        sources.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    name = sources.hexdigest()[:16] + ("-bounds" if bounds_checked else "")
    user_cache = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME") or "~", ".cache")
    for parent in (package / "__pycache__", Path(user_cache).expanduser() / "archmodel"):
        folder = parent / f"numba-{name}"
        if _is_writable(folder):
            return folder
    # A fixed name in a folder that everyone may write to would let others plant code.
    private = Path(tempfile.mkdtemp(prefix="archmodel-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


# numba fills its configuration from the environment, so that types know none of it.
if not os.environ.get("NUMBA_CACHE_DIR"):
    bounds_checked = bool(numba.config.BOUNDSCHECK)  # type: ignore[attr-defined]
    folder = cache_folder(Path(__file__).resolve().parent, os.environ, bounds_checked=bounds_checked)
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
