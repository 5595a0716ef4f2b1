"""What a run tells a machine besides the layer: the memory behind it, where activations wait, how to execute."""

import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

import numpy as np

from archmodel.accelerators.sampling import Expectation, Walk, Walked, walk_all, walk_sample
from archmodel.memory.dram import IdealMemoryConfig, Stream

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

    memory: IdealMemoryConfig
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


def layer_cycles(compute: list[int], streams: tuple[Stream, ...], context: Context, clock_hz: float) -> int:
    """First fill + sum over tiles of max(compute, memory); `compute` holds the cycles of each temporal tile.

    The fill is the latency of the first request and the first tile's inputs, which must be on chip before they are
    multiplied; everything else moves while the machine computes (double buffering).
    """
    memory = context.memory
    num_bytes, first_inputs = [0] * len(compute), 0
    for stream in streams:
        if stream.kind == "input" and stream.tile == 0:
            first_inputs += stream.num_bytes
        else:
            num_bytes[stream.tile] += stream.num_bytes
    fill = memory.transfer_cycles(first_inputs, clock_hz)
    if streams:
        fill += memory.latency_cycles(clock_hz)
    return fill + sum(
        max(cycles, memory.transfer_cycles(moved, clock_hz)) for cycles, moved in zip(compute, num_bytes, strict=True)
    )
