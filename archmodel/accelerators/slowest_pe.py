"""Expected work of the slowest PE: sums over channels of random vectors, their maximum, and what FIFOs add to it."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from archmodel.accelerators.random_blocks import Count, Float64
from archmodel.kernels.fifo_lag import expected_coupled_cycles

DEVIATIONS = 8.0  # standard deviations around its mean within which a sum is looked at
UNCOUPLED = 8.0  # standard deviations between a PE that is ahead and the slowest one that do not happen
CELLS = 200  # of the coupled walk's window, about: twice as many move no layer by a thousandth
MOST_GRID = 8  # cells of one vector of a PE's own operand


@dataclass(frozen=True, eq=False)
class Broadcast:
    """The operand that all PEs share, of channels that are alike (a phase of the stride).

    num_blocks : channels
    mean_vectors, mean_square : moments of the vectors of a block
    """

    num_blocks: int
    mean_vectors: float
    mean_square: float

    @classmethod
    def of(cls, num_blocks: int, vectors: Count) -> "Broadcast":
        """Independent blocks of random vectors."""
        return cls(num_blocks, vectors.mean, vectors.mean_square)

    @classmethod
    def together(cls, groups: "list[tuple[int, Broadcast]]") -> "Broadcast":
        """As many of each kind of independent blocks of a channel as one."""
        expected = sum(number * group.mean_vectors for number, group in groups)
        spread = sum(number * (group.mean_square - group.mean_vectors**2) for number, group in groups)
        return cls(groups[0][1].num_blocks, expected, expected**2 + spread)

    def share(self, parts: int) -> "Broadcast":
        """One of equal parts of the channels."""
        return Broadcast(self.num_blocks // parts, self.mean_vectors, self.mean_square)


@dataclass(frozen=True, eq=False)
class Own:
    """The operand of PEs that are alike: the vectors of a block of each phase."""

    num_pes: int
    vectors: list[Count]


@dataclass(frozen=True, eq=False)
class Steps:
    """Equal steps with the same expected work and the same spread as blocks of random size.

    Given the broadcast vectors v, the work sum(v a) of a PE has mean sum(v) E[a] and variance sum(v^2) Var[a]. So
    E[v]^2 / E[v^2] as many blocks, each of E[v^2] / E[v] vectors, do what the random ones do; at least one.

    num_steps : of each phase
    vectors : broadcast vectors of a step
    """

    num_steps: list[int]
    vectors: float

    @classmethod
    def of(cls, phases: list[Broadcast]) -> "Steps":
        """Steps that stand for all blocks of all phases."""
        total = sum(phase.num_blocks * phase.mean_vectors for phase in phases)
        squares = [phase.num_blocks * phase.mean_square for phase in phases]
        if total <= 0.0:
            return cls([0] * len(phases), 0.0)
        num_steps = max(1, round(total**2 / sum(squares)))
        ends = [0, *(round(part * num_steps / sum(squares)) for part in accumulate(squares))]
        return cls([end - start for start, end in pairwise(ends)], total / num_steps)

    @property
    def total(self) -> int:
        """Steps of all phases."""
        return sum(self.num_steps)

    def mixture(self, own: Own) -> Count:
        """Vectors of a PE in any step."""
        if len(own.vectors) == 1:
            return own.vectors[0]
        mixed = np.zeros(max(vectors.probability.size for vectors in own.vectors))
        for steps, vectors in zip(self.num_steps, own.vectors, strict=True):
            mixed[: vectors.probability.size] += steps / self.total * vectors.probability
        return Count(mixed)


def mean_work(phases: list[Broadcast], own: Own) -> float:
    """Expected multiplier cycles of a PE."""
    pairs = zip(phases, own.vectors, strict=True)
    return sum(phase.num_blocks * phase.mean_vectors * vectors.mean for phase, vectors in pairs)


def work_deviation(steps: Steps, own: Own) -> float:
    """Standard deviation of a PE's multiplier cycles, given the broadcast vectors."""
    pairs = zip(steps.num_steps, own.vectors, strict=True)
    return steps.vectors * math.sqrt(sum(number * vectors.variance for number, vectors in pairs))


def activity(steps: Steps, own: Own) -> float:
    """Probability that a PE has any work."""
    pairs = zip(steps.num_steps, own.vectors, strict=True)
    return 1.0 - math.prod(vectors.none**number for number, vectors in pairs)


def slowest_work(phases: list[Broadcast], owns: list[Own]) -> float:
    """Expected multiplier cycles of the PE that has most, without waits.

    PEs are taken as independent. That the non-zeros of a whole tensor are counted makes their sums depend on each
    other, but for equal tiles lowers every sum by the same share, which leaves the expected maximum as it is.
    """
    steps = Steps.of(phases)
    kinds = []
    for own in owns:
        probability = sum_of_steps(steps, own)
        vectors = np.arange(probability.size, dtype=np.float64) - Count(probability).mean
        kinds.append((own.num_pes, mean_work(phases, own) + steps.vectors * vectors, probability))
    return expected_maximum(kinds)


def sum_of_steps(steps: Steps, own: Own) -> Float64:
    """Distribution of a PE's own vectors over all steps: probability of some number, of one more, and so on.

    A power of the characteristic function. It is sampled as finely as the sum's spread needs, so that the sum is known
    up to a multiple of the period, and that multiple from its mean.
    """
    pairs = list(zip(steps.num_steps, own.vectors, strict=True))
    expected = sum(number * vectors.mean for number, vectors in pairs)
    spread = math.sqrt(sum(number * vectors.variance for number, vectors in pairs))
    if spread < 1e-9:
        return np.ones(1)
    below = min(math.ceil(DEVIATIONS * spread) + 1, math.ceil(expected))
    above = math.ceil(DEVIATIONS * spread) + 1
    period = 1 << (below + above).bit_length()
    spectrum = np.ones(period // 2 + 1, complex)
    for number, vectors in pairs:
        folded = np.bincount(np.arange(vectors.probability.size) % period, vectors.probability, period)
        spectrum *= np.fft.rfft(folded) ** number
    first = math.floor(expected) - below
    cells = np.arange(first, first + below + above) % period
    probability = np.maximum(np.fft.irfft(spectrum, period)[cells], 0.0)
    return probability / probability.sum()


def expected_maximum(kinds: list[tuple[int, Float64, Float64]]) -> float:
    """Expected maximum of independent variables; of each kind: how many, their values ascending, and probabilities."""
    lowest = max(values[0] for _, values, _ in kinds)
    kinds = [kind for kind in kinds if kind[1][-1] >= lowest]
    points = np.unique(np.concatenate([values[values >= lowest] for _, values, _ in kinds]))
    below = np.ones(points.size)
    for number, values, probability in kinds:
        cumulated = np.append(0.0, np.minimum(np.cumsum(probability), 1.0))
        below *= cumulated[np.searchsorted(values, points, side="right")] ** number
    return float(points[-1] - np.diff(points) @ below[:-1])


def waiting_for_weights(phases: list[Broadcast], owns: list[Own], fifo: tuple[int, int]) -> float:
    """Expected cycles by which the weight FIFO makes a group longer than its slowest PE's own work."""
    entries, per_cycle = fifo
    steps = Steps.of(phases)
    if not entries or steps.total * steps.vectors <= entries:
        return 0.0
    mixed = [steps.mixture(own) for own in owns]
    fullest = max(vectors.mean for vectors in mixed)
    spread = math.sqrt(max(vectors.variance for vectors in mixed) * steps.total)
    held = fullest * entries / steps.vectors  # own vectors that a PE can be ahead
    if held > UNCOUPLED * spread and fullest * per_cycle > 1.0:
        return 0.0
    size = max(vectors.probability.size for vectors in mixed)
    ahead = min(DEVIATIONS * spread, 2.0 * max(held, fullest)) + size
    behind = 0.75 * DEVIATIONS * spread + size  # the slowest PE is itself some deviations behind the mean
    grid = max(1, min(MOST_GRID, math.ceil(CELLS / (ahead + behind))))
    coupled = expected_coupled_cycles(
        np.array([np.pad(vectors.probability, (0, size - vectors.probability.size)) for vectors in mixed]),
        np.array([own.num_pes for own in owns]),
        steps.total,
        steps.vectors,
        entries,
        per_cycle,
        grid,
        (math.ceil(ahead * grid), math.ceil(behind * grid)),
    )
    alike = [Broadcast(steps.total, steps.vectors, steps.vectors**2)]
    uncoupled = slowest_work(alike, [Own(own.num_pes, [vectors]) for own, vectors in zip(owns, mixed, strict=True)])
    return max(0.0, coupled - uncoupled)
