"""A machine from outside the package: a Python file beside the TOML file that names it."""

import sys
from pathlib import Path
from types import ModuleType

from archmodel.config import FrozenModel
from archmodel.errors import SHOWN_CHARACTERS, ConfigError, one_line
from archmodel.network.layer import KINDS

SUFFIX = ".py"
PARTS = ("KINDS", "Config", "run_layer", "expect_layer")  # of a module that models a machine
MAX_FILE_BYTES = 4 * 1024 * 1024


def load(folder: Path, file_name: str, where: str) -> ModuleType:
    """The module in `folder`, executed; ConfigError starting with `where` unless it has all parts of a machine.

    It is executed from its source, so that no compiled file is left beside it and no older one is taken for it.
    """
    if not file_name.removesuffix(SUFFIX).isidentifier():
        raise ConfigError(f"{where}: must be the name of a Python file beside it, for instance 'toy.py'")
    path = folder / file_name
    if not path.is_file():
        raise ConfigError(f"{where}: there is no such file beside it")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(f"{where}: {path.stat().st_size} bytes; a machine has at most {MAX_FILE_BYTES}")
    # A name that no package has; pydantic finds the types that a class of the module mentions through sys.modules.
    module = ModuleType(f"archmodel-machine:{path.resolve()}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:  # whatever the code of a user raises
        raise ConfigError(f"{where}: {reason(error, path)}") from error
    missing = [part for part in PARTS if not hasattr(module, part)]
    if missing:
        raise ConfigError(f"{where}: lacks {', '.join(missing)}; a machine has {', '.join(PARTS)}")
    if not isinstance(module.KINDS, tuple) or not all(kind in KINDS for kind in module.KINDS):
        raise ConfigError(f"{where}: KINDS must be a tuple of kinds of layers, for instance ('conv', 'fc')")
    if not isinstance(module.Config, type) or not issubclass(module.Config, FrozenModel):
        raise ConfigError(f"{where}: Config must be a class derived from archmodel.config.FrozenModel")
    return module


def reason(error: Exception, path: Path) -> str:
    """One line about what was raised, with the last line of the file that led to it."""
    lines = [error.lineno] if isinstance(error, SyntaxError) else []
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            lines.append(traceback.tb_lineno)
        traceback = traceback.tb_next
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    what = one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, 2 * SHOWN_CHARACTERS)
    return f"line {lines[-1]}: {what}" if lines else what
