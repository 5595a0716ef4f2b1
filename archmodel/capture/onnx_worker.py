"""The child process of a run: `python -m archmodel.capture.onnx_worker`, a line of JSON in for each thing to do.

The first line says what to run, each further one a feed; every feed is answered by one line, and so is what ends the
run: `error` with its reason, or `bound` with the name of the bound that was hit.
"""

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from archmodel.capture.onnx_session import Array, OutOfMemoryError, Session
from archmodel.errors import WorkloadError, one_line, show
from archmodel.exchange.onnx_branches import (
    add_shape_nodes,
    deciding_tensors,
    inlined,
    made_tensors,
    read_names,
    refuse_condition,
    set_outputs,
    stored_dims,
    with_outputs,
)
from archmodel.exchange.onnx_file import UNREADABLE, Proto, open_model
from archmodel.exchange.onnx_operands import name_states
from archmodel.exchange.onnx_stored import serialized, taken_in

START_SECONDS = 10  # of all cores, for imports and what is not counted from the start


class SpoolFullError(Exception):
    """The bound on the space for tensors was hit."""


class Worker:
    """A model that is loaded when the first feed is there, which decides the branches.

    _deciding : the tensor that decides, by If node
    _shown : tensors that every run gives, wanted or deciding
    _dims : the tensor that holds the dims of another, by its name
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        path = Path(request["path"])
        self._wanted: list[str] = request["wanted"]
        self._num_threads: int = request["num_threads"]
        self._spool = Path(request["spool"])
        self._free_bytes: int = request["spool_bytes"]
        self._model = open_model(path)
        name_states(self._model)
        self._stored = taken_in(self._model, path.parent)
        self._session: Session | None = None
        self._deciding: dict[str, str] = {}
        self._conditions: dict[str, bool] = {}
        self._shown: list[str] = []
        self._dims: dict[str, str] = {}
        self._stored_dims: dict[str, list[int]] = {}
        self._num_runs = 0

    def run(self, feed: Mapping[str, Array]) -> dict[str, Any]:
        """Run one feed and spool what is wanted; file names by tensor, and after the first run dims and branches."""
        first = self._session is None
        session = self._session or self._load(feed)
        outputs = session.run([*self._shown, *(self._dims.values() if first else ())], feed)
        self._check_branches(outputs)
        answer: dict[str, Any] = {"files": self._write(outputs)}
        if first:
            made = {name: outputs[output].tolist() for name, output in self._dims.items()}
            answer["shapes"] = self._stored_dims | {name: list(array.shape) for name, array in feed.items()} | made
            answer["conditions"] = self._conditions
        self._num_runs += 1
        return answer

    def _load(self, feed: Mapping[str, Array]) -> Session:
        model = self._decided(feed)
        del self._model
        tensors, self._stored_dims, num_nodes = made_tensors(model), stored_dims(model), len(model.graph.node)
        there = {*tensors, *self._stored_dims, *(one.name for one in model.graph.input)}
        self._shown = [name for name in dict.fromkeys((*self._wanted, *self._deciding.values())) if name in there]
        set_outputs(model, self._shown)
        self._dims = add_shape_nodes(model, tensors)
        try:
            self._session = self._opened(model)
        except WorkloadError:
            # A sequence has no dims: the types of all tensors say which they are.
            del model.graph.node[num_nodes:]
            set_outputs(model, tensors)
            types = self._opened(model).types
            set_outputs(model, self._shown)
            self._dims = add_shape_nodes(model, [name for name in tensors if types[name].startswith("tensor(")])
            self._session = self._opened(model)
        return self._session

    def _decided(self, feed: Mapping[str, Array]) -> Proto:
        """The model without If nodes in its main graph; a run for every level of nesting finds their conditions."""
        while True:
            model = inlined(self._model, self._conditions)
            undecided = deciding_tensors(model)
            if not undecided:
                return model
            self._deciding |= undecided
            tensors = list(dict.fromkeys(undecided.values()))
            outputs = self._opened(with_outputs(model, tensors)).run(tensors, feed)
            self._conditions |= {name: _condition(name, outputs[tensor]) for name, tensor in undecided.items()}

    def _opened(self, model: Proto) -> Session:
        # onnxruntime drops what nothing reads, and then does not find it.
        stored = {tensor.name for tensor in model.graph.initializer} & read_names(model)
        arrays = {name: array for name, array in self._stored.items() if name in stored}
        return Session(serialized(model), arrays, self._num_threads)

    def _check_branches(self, outputs: Mapping[str, Array]) -> None:
        for name, tensor in self._deciding.items():
            if _condition(name, outputs[tensor]) != self._conditions[name]:
                where = f"node {show(name)} (If)"
                raise WorkloadError(f"{where}: input {self._num_runs + 1} takes another branch than input 1")

    def _write(self, outputs: Mapping[str, Array]) -> dict[str, str]:
        """Spool the wanted tensors: name of the file of each."""
        files = {}
        for place, name in enumerate(self._wanted):
            if name in outputs:
                self._free_bytes -= outputs[name].nbytes
                if self._free_bytes < 0:
                    raise SpoolFullError
                files[name] = f"{self._num_runs}-{place}.npy"
                np.save(self._spool / files[name], outputs[name], allow_pickle=False)
        return files


def _condition(name: str, array: Array) -> bool:
    if array.size != 1 or array.dtype != np.bool_:
        raise refuse_condition(name, array.shape)
    return bool(array.reshape(()))


def bound_process(seconds: float, memory_bytes: int, num_threads: int) -> None:
    """Bounds that the system keeps, where it has them: memory, processor time, no core files.

    RLIMIT_DATA counts what may be written. RLIMIT_AS would count what threads and their allocators only reserve too,
    1 GiB for 16 threads of a model that needs 0.1 GiB.
    """
    try:
        import resource
    except ImportError:  # Windows: the parent keeps the time
        return
    processor_seconds = math.ceil((seconds + START_SECONDS) * num_threads)
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        lowest = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (lowest, lowest))


def main() -> None:
    """Answer the parent until it closes the pipe or a bound is hit."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    try:
        _serve(sys.stdin, answers)
    except WorkloadError as error:
        _say(answers, error=str(error))
    except (OutOfMemoryError, MemoryError):
        _say(answers, bound="memory")
    except SpoolFullError:
        _say(answers, bound="spool")
    except OSError as error:
        _say(answers, error=one_line(error.strerror or "cannot be read"))
    except UNREADABLE:
        _say(answers, error="a damaged model")


def _serve(requests: TextIO, answers: TextIO) -> None:
    request = json.loads(requests.readline())
    import onnxruntime  # noqa: F401  before the bounds: what it takes itself is trusted

    bound_process(request["seconds"], request["memory_bytes"], request["num_threads"])
    worker = Worker(request)
    for line in requests:
        files = json.loads(line)
        feed = {name: np.load(worker._spool / file, allow_pickle=False) for name, file in files.items()}
        _say(answers, **worker.run(feed))


def _say(answers: TextIO, **answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
