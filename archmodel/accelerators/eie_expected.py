"""EIE from densities alone: entries of a random column, their lines, and the slowest of PEs that queues couple."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.eie_batches import Batches, Work
from archmodel.accelerators.eie_config import Config
from archmodel.accelerators.random_blocks import Count, Float64, RandomBlock
from archmodel.kernels.fifo_lag import expected_coupled_cycles
from archmodel.operands.operands import Densities

DEVIATIONS = 8.0  # standard deviations of a PE's time that are looked at
MOST_GRID = 8  # parts of a cycle in which a PE's time is kept: where PEs meet often, rounding it would add up
MOST_POINTER_CYCLES = 2  # both pointers of a column out of one bank
LEAST_WINDOW = 16  # cycles looked at on either side of the slowest PE, at least


@dataclass(frozen=True, eq=False)
class RandomColumns:
    """Columns of a batch of rows: PEs by the rows that they have, and the entries of a column in each.

    num_pes : int64[kinds]
    entries : of each kind
    """

    num_pes: npt.NDArray[np.int64]
    entries: list[Count]

    @classmethod
    def of(cls, config: Config, num_rows: int, density: float) -> "RandomColumns":
        """Rows dealt to the PEs: some have one more than the others."""
        each, more = divmod(num_rows, config.pe.count)
        kinds = [(more, each + 1), (config.pe.count - more, each)]
        longest_run = 2**config.weights.index_bits - 1
        counts = [
            RandomBlock.of(np.full(rows, density), longest_run, 1).entries if rows else Count(np.ones(1))
            for number, rows in kinds
            if number
        ]
        return cls(np.array([number for number, _ in kinds if number]), counts)

    @property
    def mean_entries(self) -> float:
        """Expected entries of a column in all PEs."""
        return float(self.num_pes @ [entries.mean for entries in self.entries])

    @property
    def mean_empty(self) -> float:
        """Expected PEs in which a column has no entry."""
        return float(self.num_pes @ [entries.none for entries in self.entries])

    def mean_stalls(self, pointer_cycles: int) -> float:
        """Expected PE-cycles in which a column waits for its second pointer."""
        stalls = [
            (work_of_a_column(entries, pointer_cycles) - work_of_a_column(entries, 1)) for entries in self.entries
        ]
        return float(self.num_pes @ [stall @ np.arange(stall.size) for stall in stalls])

    def mean_lines(self, input_density: float, entries_per_line: int) -> float:
        """Expected line reads of a column in all PEs."""
        lines = [lines_of_a_column(entries, input_density, entries_per_line) for entries in self.entries]
        return float(self.num_pes @ lines)

    def expected_cycles(self, num_columns: int, depth: int, pointer_cycles: int) -> float:
        """Expected cycles of the slowest PE over some columns."""
        if not num_columns:
            return 0.0
        works = [work_of_a_column(entries, pointer_cycles) for entries in self.entries]
        size = max(work.size for work in works)
        slowest = max(Count(work).mean for work in works)
        spread = DEVIATIONS * math.sqrt(max(Count(work).variance for work in works) * num_columns)
        apart = 2.0 * depth * slowest + spread / math.sqrt(num_columns)  # no PE is more columns ahead than queues hold
        window = math.ceil(min(spread, apart)) + LEAST_WINDOW + size
        steps = np.array([np.pad(work, (0, size - work.size)) for work in works])
        grid = max(1, MOST_GRID // depth)
        reach = (window * grid, window * grid)
        return float(expected_coupled_cycles(steps, self.num_pes, num_columns, 1.0, depth, 1, grid, reach))


def work_of_a_column(entries: Count, pointer_cycles: int) -> Float64:
    """Probability of each number of cycles that a PE takes for a column: one an entry, and as many as its pointers."""
    work = np.zeros(max(1 + MOST_POINTER_CYCLES, entries.probability.size))
    work[: entries.probability.size] = entries.probability
    for fewer in range(pointer_cycles):
        work[pointer_cycles] += work[fewer]
        work[fewer] = 0.0
    return work


def lines_of_a_column(entries: Count, input_density: float, entries_per_line: int) -> float:
    """Expected lines that a column of a PE costs, which begins anywhere in a line.

    n entries lie in 1 + (n - 1) / L lines of L. The first of these is held already if what lies between the entry read
    last and this column, the entries of columns that were skipped, does not fill it: a renewal series in their number.
    """
    filled = 1.0 - entries.none
    if not filled * input_density:
        return 0.0
    fresh = filled * (entries_per_line - 1) / entries_per_line + entries.mean / entries_per_line
    skipped = (1.0 - input_density) * entries.probability[:entries_per_line]
    skipped = np.pad(skipped, (0, entries_per_line - skipped.size))
    skipped[0] += input_density * entries.none
    between = np.zeros(entries_per_line)  # probability of 0, 1, 2 ... entries between
    for number in range(entries_per_line):
        start = input_density * filled if number == 0 else 0.0
        between[number] = (start + skipped[1 : number + 1] @ between[:number][::-1]) / (1.0 - skipped[0])
    shared = float(between @ (entries_per_line - 1 - np.arange(entries_per_line))) / entries_per_line
    return fresh - filled * shared


def expected_work(config: Config, parts: Batches, densities: Densities, effectual: int) -> Work:
    """What to expect of all images, which are alike."""
    batch, density = densities.batch, densities.input_density
    columns = [round(density * len(part)) for part in parts.columns]
    inputs = sum(map(len, parts.columns))
    span = entries = empty = stalls = lines = fullest = 0.0
    for rows in parts.rows:
        random = RandomColumns.of(config, len(rows), densities.weight_density)
        depth, pointer_cycles = config.pe.queue_depth, config.pointer_cycles
        span += sum(random.expected_cycles(number, depth, pointer_cycles) for number in columns)
        entries += random.mean_entries
        empty += random.mean_empty
        stalls += random.mean_stalls(pointer_cycles)
        fullest += max(count.mean for count in random.entries)
        lines += random.mean_lines(density, config.entries_per_row)
    broadcasts = round(batch * density * inputs)
    issued = max(effectual, round(broadcasts * entries))
    unused, stalled = round(broadcasts * empty), round(broadcasts * stalls)
    least = -(-(issued + unused + stalled) // (batch * config.pe.count))
    return Work(
        [max(math.ceil(span), least)] * batch,
        round(inputs * entries),
        round(inputs * fullest),
        issued,
        unused,
        stalled,
        broadcasts * len(parts.rows),
        round(broadcasts * lines),
        None,
    )
