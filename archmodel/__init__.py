"""archmodel: where time, energy and memory go in a deep-learning machine that skips zeros.

``simulate`` runs a network on a machine, ``load`` reads a result file; both are imported at their first use, so that
``import archmodel`` and ``archmodel --help`` stay fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archmodel.results import load
    from archmodel.simulation import simulate

__all__ = ["__version__", "load", "simulate"]

__version__ = "0.1.0"

_HOMES = {"load": "archmodel.results", "simulate": "archmodel.simulation"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'archmodel' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
