"""What the ideal memory does with a trace, in closed form: accesses one after the other, each after a latency."""

from fractions import Fraction
from math import ceil

import numpy as np

from archmodel.memory.banks import Served
from archmodel.memory.dram import IdealMemoryConfig
from archmodel.memory.trace import Bool, Int64

CYCLE_S = 1e-9  # of a trace: this memory has no clock of its own
ACCESS_BYTES = 64  # as most parts have; the memory knows none
CAPACITY_BYTES = 2**32  # over which addresses of a pattern spread; the memory has room for all
MOST_PARTS = 10**6  # that a cycle is cut into


def serve_ideal(memory: IdealMemoryConfig, cycles: Int64, writes: Bool) -> Served:
    """Accesses at cycles of CYCLE_S; one enters when the one before has passed, and waits for nothing else.

    cycles, writes : of the accesses, in order
    """
    taken = (ACCESS_BYTES / (Fraction(str(memory.bytes_per_s)) * Fraction(str(CYCLE_S)))).limit_denominator(MOST_PARTS)
    parts = taken.denominator
    step = taken.numerator  # parts of a cycle that an access takes
    exact_latency = Fraction(str(memory.latency_s)) / Fraction(str(CYCLE_S)) * parts
    latency = ceil(exact_latency)  # ends are rounded up to cycles, and may be to parts of them before
    passed = np.arange(cycles.size) * step
    start = np.maximum.accumulate(cycles * parts - passed) + passed
    num_writes, all_bytes = int(writes.sum()), cycles.size * ACCESS_BYTES
    gaps = np.diff(start) - step
    completed = -(-(start + step + latency) // parts)
    num_cycles = int(completed[-1])
    data = -(-cycles.size * step // parts)
    short = gaps[gaps < latency]  # accesses follow each other under way; in others the last one's latency ends
    waiting = ceil((int(short.sum()) + exact_latency * (gaps.size - short.size + 1)) / parts)
    waiting = min(waiting, num_cycles - data)  # both are rounded up
    return Served(
        entered=start // parts,
        completed=completed,
        counts={"RD": cycles.size - num_writes, "WR": num_writes},
        row_hits=0,
        cycles=num_cycles,
        energy_pj=memory.transfer_pj(all_bytes),
        bus={"data": data, "turnaround": 0, "refresh": 0, "latency": waiting, "idle": num_cycles - data - waiting},
        commands=None,
    )
