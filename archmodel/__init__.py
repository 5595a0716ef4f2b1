"""archmodel: where time, energy and memory go in a deep-learning machine that skips zeros.

``simulate`` runs a network on a machine, ``simulate_machines`` on several, ``train`` one iteration of its training,
``inspect`` says what a network is made of, ``prune`` and ``quantize`` write one with other weights, ``trace_memory``
sends requests to a memory, ``sweep_memory`` does so at rising loads, ``save`` and ``load`` write and read result files
(docs/python.md). They are imported at their first use, so that ``import archmodel`` and ``archmodel --help`` stay fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archmodel.iteration import train
    from archmodel.results import load, save
    from archmodel.simulation import simulate, simulate_machines
    from archmodel.simulation.inspection import inspect
    from archmodel.simulation.load_sweep import sweep_memory
    from archmodel.simulation.memory_trace import trace_memory
    from archmodel.simulation.pruned_network import prune
    from archmodel.simulation.quantized_network import quantize

__all__ = [
    "__version__",
    "inspect",
    "load",
    "prune",
    "quantize",
    "save",
    "simulate",
    "simulate_machines",
    "sweep_memory",
    "trace_memory",
    "train",
]

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("load", "save"), "archmodel.results"),
    **dict.fromkeys(("simulate", "simulate_machines"), "archmodel.simulation"),
    "inspect": "archmodel.simulation.inspection",
    "prune": "archmodel.simulation.pruned_network",
    "sweep_memory": "archmodel.simulation.load_sweep",
    "trace_memory": "archmodel.simulation.memory_trace",
    "train": "archmodel.iteration",
    "quantize": "archmodel.simulation.quantized_network",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'archmodel' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
