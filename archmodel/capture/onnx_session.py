"""onnxruntime as a run needs it: nothing optimized away, nothing loaded from files, errors in one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.errors import SHOWN_CHARACTERS, WorkloadError, one_line, show

Array = npt.NDArray[Any]
LONGEST_REASON = 300
# How onnxruntime calls types that numpy has.
ALLOWED_TYPES = {
    f"tensor({name})"
    for name in (
        *("float", "double", "float16", "bool"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
}
OUT_OF_MEMORY = re.compile(r"bad_alloc|Failed to allocate memory|bad allocation")
# What pybind11 makes of C++ exceptions that onnxruntime has no own class for, and of arguments that do not fit.
OF_PYBIND11 = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, SystemError)
SOURCE_LINE = re.compile(r"\S*\.(?:cc|cpp|cu|h|hpp):\d+ ")
FAILED_NODE = re.compile(r"(?s)Non-zero status code returned while running (\S+) node\. Name:'(.*?)' Status Message: ")


class OutOfMemoryError(Exception):
    """The bound on memory was hit."""


@contextmanager
def one_line_failures() -> Iterator[None]:
    """What onnxruntime raises, as a WorkloadError of one line or as OutOfMemoryError."""
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    own = [one for one in vars(raised).values() if isinstance(one, type) and issubclass(one, Exception)]
    failures: tuple[type[Exception], ...] = (*own, *OF_PYBIND11)
    try:
        yield
    except WorkloadError:
        raise
    except MemoryError:
        raise OutOfMemoryError from None
    except failures as error:
        if OUT_OF_MEMORY.search(str(error)):
            raise OutOfMemoryError from None
        raise WorkloadError(reason_of(str(error))) from None


def reason_of(message: str) -> str:
    """A message of onnxruntime in one line, without codes, lines of its sources and signatures of functions."""
    message = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", message)
    while place := SOURCE_LINE.search(message):
        message = message[: place.start()] + _behind_function(message[place.end() :])
    failed = FAILED_NODE.search(message)
    if failed:
        where = f"node {show(failed[2])} ({one_line(failed[1], SHOWN_CHARACTERS)}): "
        message = where + message[failed.end() :]
    return f"onnxruntime: {one_line(message, LONGEST_REASON)}"


def _behind_function(text: str) -> str:
    """What follows the function that a source line is of: one word, or a signature with parentheses."""
    opening = text.find("(")
    if opening < 0 or "::" not in text[:opening]:
        return text.partition(" ")[2]
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return text[place + 1 :].removeprefix(" const").lstrip()
    return text


class Session:
    """A model that is loaded for running; `stored` are tensors that it keeps outside, by name."""

    def __init__(self, model: bytes, stored: Mapping[str, Array], num_threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Shape nodes run as soon as their input is there, so that they keep nothing alive.
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        options.enable_cpu_mem_arena = False  # what is freed goes back at once
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 4
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in stored.values()]
        with one_line_failures():
            if stored:
                options.add_external_initializers(list(stored), self._values)
                for name, value in zip(stored, self._values, strict=True):
                    options.add_initializer(name, value)  # or each would be copied
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self.types = {one.name: one.type for one in self._session.get_outputs()}

    def run(self, names: Sequence[str], feed: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name; where `names` is empty, all of them."""
        for name in names:
            if self.types[name] not in ALLOWED_TYPES:
                raise WorkloadError(f"tensor {show(name)}: type {self.types[name]}; allowed: those of numpy")
        asked = list(names) or list(self.types)
        with one_line_failures():
            arrays = self._session.run(asked, dict(feed))
        return dict(zip(asked, map(np.asarray, arrays), strict=True))
