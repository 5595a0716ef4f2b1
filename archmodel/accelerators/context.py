"""What a run tells a machine besides the layer: the memory behind it, where activations wait, how to execute."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

import numpy as np

from archmodel.accelerators.sampling import Expectation, Walk, Walked, walk_all, walk_sample
from archmodel.memory.dram import STREAM_ORDER, Stream
from archmodel.memory.transfers import Memory, Phases, Transfers

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
Fidelity = Literal["exact", "sampled", "statistical"]

SAMPLING = 100  # number of the random stream that chooses units; those of the operands count from 0


@dataclass(frozen=True)
class Context:
    """Surroundings of one layer.

    input_on_chip : a former layer left the inputs in the machine's buffers
    output_on_chip : the outputs can stay there until all their consumers have run
    threads : worker threads; results do not depend on them
    fidelity : walk all units of a layer, a random sample of them, or none
    check : compute real outputs through the modelled dataflow and compare them with a reference
    """

    memory: Memory
    input_on_chip: bool = False
    output_on_chip: bool = False
    threads: int = 1
    check: bool = False
    seed: int = 0
    fidelity: Fidelity = "exact"

    @property
    def sampled(self) -> bool:
        """Whether a random sample of a layer's units is walked."""
        return self.fidelity == "sampled"

    def walk(self, layer: str, num_units: int, walk: Walk, expect: Callable[[], Expectation]) -> Walked:
        """Cycles of the independent units of a layer: all walked, or as many as its sampled cycles need.

        layer : its name, which with the seed decides the choice, whatever the threads and the other layers are
        walk : walks the units that it is given, ascending; their order must not matter
        expect : what is known of all units before; not called when all are walked
        """
        if not self.sampled:
            return walk_all(num_units, walk)
        rng = np.random.default_rng([self.seed, zlib.crc32(layer.encode()), SAMPLING])
        return walk_sample(expect(), walk, rng)

    def run(self, work: Callable[[Task], Outcome], tasks: Iterable[Task]) -> list[Outcome]:
        """Outcomes of all tasks, in their order."""
        if self.threads == 1:
            return [work(task) for task in tasks]
        return list(_pool(self.threads).map(work, tasks))

    def start(self, work: Callable[[], Outcome]) -> Callable[[], Outcome]:
        """Begin a task beside others where there are threads for it; the result is a function that waits for it."""
        return work if self.threads == 1 else _pool(self.threads).submit(work).result


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """The workers, kept for all layers: starting them takes longer than a small layer."""
    return ThreadPoolExecutor(threads)


def layer_phases(num_tiles: int, streams: Sequence[Stream]) -> Phases:
    """What moves before a layer, which is the first tile's inputs, then what else moves in each temporal tile."""
    kinds = sorted({(stream.kind, stream.direction) for stream in streams}, key=STREAM_ORDER.index)
    column = {kind: index for index, kind in enumerate(kinds)}
    num_bytes = [[0] * len(kinds) for _ in range(num_tiles + 1)]
    for stream in streams:
        before = stream.kind == "input" and stream.tile == 0
        num_bytes[0 if before else stream.tile + 1][column[stream.kind, stream.direction]] += stream.num_bytes
    return Phases(tuple(kinds), np.array(num_bytes, np.int64))


def layer_cycles(compute: Sequence[int], moved: Transfers) -> int:
    """First fill + sum over tiles of max(compute, memory); `compute` holds the cycles of each temporal tile.

    The fill is the latency of the first request and the first tile's inputs, which must be on chip before they are
    multiplied; everything else moves while the machine computes (double buffering).

    moved : of `layer_phases`
    """
    fill, *transfers = moved.cycles.tolist()
    return int(moved.latency_cycles + fill + sum(map(max, zip(compute, transfers, strict=True))))
