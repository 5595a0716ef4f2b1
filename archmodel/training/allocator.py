"""Memory that an iteration takes: allocated once for the network, by liveness, and from a pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from archmodel.errors import ConfigError
from archmodel.training.pool import ALIGNMENT_BYTES, BestFitPool, CapacityError
from archmodel.training.steps import TrainingGraph

Method = Literal["network_wide", "liveness", "best_fit"]


@dataclass(frozen=True)
class MemoryCurve:
    """Memory over the steps of an iteration.

    live_bytes : int64[steps], bytes of the tensors that are held during a step
    reserved_bytes : int64[steps], what is taken from the device at that time; more where blocks do not fit
    """

    method: Method
    live_bytes: npt.NDArray[np.int64]
    reserved_bytes: npt.NDArray[np.int64]

    @property
    def peak_bytes(self) -> int:
        """The most that is taken from the device."""
        return int(self.reserved_bytes.max())

    @property
    def peak_live_bytes(self) -> int:
        """The most that tensors need at a time."""
        return int(self.live_bytes.max())

    @property
    def fragmentation(self) -> float:
        """The part of the peak that no tensor needs, even when most is needed: in [0, 1)."""
        return 1 - self.peak_live_bytes / self.peak_bytes

    def average_bytes(self, durations_s: Sequence[float] | npt.NDArray[np.float64] | None = None) -> float:
        """The mean of ``live_bytes``, each step weighing as long as it takes; without durations all weigh the same."""
        if durations_s is None:
            return float(self.live_bytes.mean())
        weights = self._durations(durations_s)
        if not weights.any():
            raise ConfigError("durations_s: must not all be 0")
        return float(self.live_bytes @ (weights / weights.sum()))

    def starts_s(self, durations_s: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """When each step begins, if one follows the other: the time axis of the curve."""
        weights = self._durations(durations_s)
        return np.concatenate([[0.0], weights.cumsum()[:-1]])

    def _durations(self, durations_s: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        weights = np.asarray(durations_s, np.float64)
        if weights.shape != self.live_bytes.shape or not np.isfinite(weights).all() or (weights < 0).any():
            raise ConfigError(f"durations_s: must be {len(self.live_bytes)} times, one a step, none below 0")
        return weights


def network_wide(graph: TrainingGraph) -> MemoryCurve:
    """Everything is allocated once and kept, as frameworks did when the vDNN study measured them.

    All feature maps, weights, weight gradients, optimizer words and what forward steps save; two buffers that all
    layers share for gradient maps, one as large as the largest gradient that a layer makes, one as the largest that a
    layer reads; one workspace as large as the largest.
    """
    tensors = graph.tensors
    made, given, workspaces = [0], [0], [0]
    for step in graph.steps:
        maps = {name for name in step.tensors if tensors[name].kind == "gradient_map"}
        made += [tensors[name].num_bytes for name in maps.intersection(step.writes)]
        given += [tensors[name].num_bytes for name in maps.difference(step.writes)]
        workspaces += [tensors[name].num_bytes for name in step.writes if tensors[name].kind == "workspace"]
    kept = sum(one.num_bytes for one in tensors.values() if one.kind not in ("gradient_map", "workspace"))
    total = np.full(len(graph.steps), kept + max(made) + max(given) + max(workspaces), np.int64)
    return MemoryCurve("network_wide", total, total)


def lifetimes(graph: TrainingGraph) -> Mapping[str, tuple[int, int]]:
    """The first and the last step during which each tensor is held.

    From the step that first writes it to the last that touches it; network inputs are there from the first step on,
    weights and what the optimizer keeps always.
    """
    return graph.lifetimes


def liveness(graph: TrainingGraph) -> MemoryCurve:
    """Every tensor takes memory while it is live and shares it with others at other times, without any loss."""
    changes = np.zeros(len(graph.steps) + 1, np.int64)
    for name, (first, last) in lifetimes(graph).items():
        changes[first] += graph.tensors[name].num_bytes
        changes[last + 1] -= graph.tensors[name].num_bytes
    live = changes.cumsum()[:-1]
    return MemoryCurve("liveness", live, live)


def best_fit(
    graph: TrainingGraph, alignment_bytes: int = ALIGNMENT_BYTES, capacity_bytes: int | None = None
) -> MemoryCurve:
    """Tensors come from a `BestFitPool` when they become live and go back after their last step.

    What is always held comes first, then in the order in which a step names it. CapacityError, with the step, where
    something does not fit.
    """
    pool = BestFitPool(alignment_bytes, capacity_bytes)
    begins: list[list[str]] = [[] for _ in graph.steps]
    ends: list[list[str]] = [[] for _ in graph.steps]
    held = lifetimes(graph)
    for name in sorted(held, key=lambda name: not graph.tensors[name].persistent):
        begins[held[name][0]].append(name)
        ends[held[name][1]].append(name)
    reserved = np.zeros(len(graph.steps), np.int64)
    for place, (new, old) in enumerate(zip(begins, ends, strict=True)):
        try:
            for name in new:
                pool.allocate(name, graph.tensors[name].num_bytes)
        except CapacityError as error:
            where = f"{graph.network} with a batch of {graph.batch}, step {graph.steps[place].name}"
            raise CapacityError(f"{where}: {error}") from None
        reserved[place] = pool.reserved_bytes
        for name in old:
            pool.free(name)
    return MemoryCurve("best_fit", liveness(graph).live_bytes, reserved)
