"""What other weights do to the outputs of a network: both run on the same inputs."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.capture.input_files import read_inputs
from archmodel.capture.noise_inputs import noise_feed
from archmodel.capture.onnx_limits import RunLimits
from archmodel.capture.onnx_run import Feed, ModelRun, run_model
from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_file import as_text, one_line_errors, open_model
from archmodel.exchange.onnx_inputs import model_inputs

# Below it a network is told to need retraining. On the digits of docs/pruning.md a network above it recognizes within
# one point as many as the dense one, and below it ever fewer; other networks may bear more or less.
LEAST_COSINE = 0.99


@dataclass(frozen=True)
class OutputChange:
    """How far an output of the network is from that of before, over all runs.

    cosine : of the angle between the two, all words of all runs as one vector; None where one of them is not finite or
        the two have other shapes
    largest_change, largest : of a word, and the largest magnitude of before; None in the same cases
    """

    name: str
    cosine: float | None
    largest_change: float | None
    largest: float | None


@dataclass(frozen=True)
class Effect:
    """What became of the outputs of a network.

    inputs : what it was run on, in words
    outputs : of both networks, in the order of the file
    """

    inputs: str
    num_runs: int
    outputs: tuple[OutputChange, ...]

    @property
    def least_cosine(self) -> float | None:
        """Of the output that changed most; None where one is not known."""
        cosines = [output.cosine for output in self.outputs]
        return None if not cosines or None in cosines else min(cosine for cosine in cosines if cosine is not None)

    @property
    def warning(self) -> str:
        """A line where an output is too far from what it was; empty otherwise."""
        if self.least_cosine is None or self.least_cosine >= LEAST_COSINE:
            return ""
        return f"cosine {self.least_cosine:.2f} to the network of before, below {LEAST_COSINE:g}: it needs retraining"

    def as_dict(self) -> dict[str, Any]:
        """Of plain dictionaries and lists."""
        outputs = [asdict(output) for output in self.outputs]
        return asdict(self) | {"outputs": outputs, "least_cosine": self.least_cosine, "warning": self.warning}


class BeforeAndAfter:
    """A network that has been run and waits for the same network with other weights.

    run : that of before; None where it could not be run, for the `reason`
    """

    def __init__(
        self,
        path: Path,
        source: str,
        inputs: Sequence[str],
        preprocess: Sequence[str],
        limit: str | None,
        seed: int,
    ) -> None:
        """Run the network in `path` on `inputs`, or where there are none on noise if that can be.

        source : how messages call the file
        WorkloadError, one line, where it cannot be run on the inputs given.
        """
        self._limits = RunLimits() if limit is None else RunLimits.parse(limit)
        self._opened = ExitStack()
        self.run: ModelRun | None = None
        self.reason = ""
        with one_line_errors(source):
            signature = model_inputs(path)
            self._names = [as_text(output.name) for output in open_model(path).graph.output]
        if inputs:
            feeds = read_inputs(inputs, preprocess, signature)
            self._feeds: Sequence[Feed] = feeds
            self._description = feeds.description
            self.run = self._run(path)
            return
        self._description = f"noise of seed {seed}"
        try:
            self._feeds = [noise_feed(signature, seed)]
            self.run = self._run(path)
        except WorkloadError as error:
            self.reason = str(error)

    def _run(self, path: Path) -> ModelRun:
        return self._opened.enter_context(run_model(path, self._feeds, self._names, self._limits))

    def close(self) -> None:
        """Remove what the runs have kept."""
        self._opened.close()

    def effect(self, changed: Path) -> Effect | None:
        """Run the network with other weights, in `changed`, and compare; None where the first could not be run."""
        if self.run is None:
            return None
        after = self._run(changed)
        outputs = tuple(_change(name, self.run, after) for name in self._names if self.run.has(name))
        return Effect(self._description, self.run.num_runs, outputs)


def _change(name: str, before: ModelRun, after: ModelRun) -> OutputChange:
    """The change of one output, a run in memory at a time."""
    dot = square_before = square_after = change = largest = 0.0
    for run in range(before.num_runs):
        old, new = (np.asarray(one.tensor(name, run)) for one in (before, after))
        if old.shape != new.shape or old.dtype.kind not in "biuf":
            return OutputChange(name, None, None, None)
        first, second = (one.astype(np.float64).reshape(-1) for one in (old, new))
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            return OutputChange(name, None, None, None)
        dot += float(first @ second)
        square_before += float(first @ first)
        square_after += float(second @ second)
        change = max(change, _largest(first - second))
        largest = max(largest, _largest(first))
    return OutputChange(name, _cosine(dot, square_before, square_after), change, largest)


def _largest(words: npt.NDArray[np.float64]) -> float:
    return float(np.abs(words).max(initial=0.0))


def _cosine(dot: float, square_before: float, square_after: float) -> float:
    """Between two vectors; 1 where both are 0, 0 where one is."""
    if not square_before or not square_after:
        return float(square_before == square_after)
    return max(-1.0, min(1.0, dot / math.sqrt(square_before) / math.sqrt(square_after)))
