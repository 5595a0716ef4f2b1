"""Cambricon-X from densities alone: expected entries of a window, its cycles, and the slowest of the PEs."""

from functools import lru_cache

import numpy as np

from archmodel.accelerators.block_account import Work, neurons_of_blocks
from archmodel.accelerators.cambricon_x_config import Config
from archmodel.accelerators.output_blocks import Positions
from archmodel.accelerators.random_blocks import Count, Float64
from archmodel.accelerators.sampling import split
from archmodel.accelerators.slowest_pe import Broadcast, Own, slowest_work
from archmodel.kernels.index_match import window_entries_pmf
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities

RARE_OVERFLOW = 1e-4  # share of steps that overflow, below which explicit zeros are left out of a distribution


def expected_work(config: Config, layer: Layer, densities: Densities) -> Work:
    """The work of a layer whose weights are non-zero independently."""
    lanes, num_pes = config.pe.multipliers, config.pe.pes
    depth, positions = layer.weight_words // layer.K, Positions.of(layer, densities.batch).count
    neurons = neurons_of_blocks(layer, num_pes)
    entries, number = windows_of(config, depth, densities.weight_density)
    cycles = [in_cycles(count, lanes) for count in entries]
    zeros = layer.K * explicit_zeros(depth, densities.weight_density, config.index.longest_run)
    total = layer.weight_words * densities.weight_density + zeros
    a_neuron = max(sum(n * count.mean for n, count in zip(number, cycles, strict=True)), total / layer.K / lanes)
    slowest = {int(busy): slowest_of(config, cycles, number, int(busy)) for busy in np.unique(neurons)}
    stored = split(round(total), neurons.astype(np.float64))
    fullest = {int(busy): slowest_group(entries, number, int(busy)) for busy in np.unique(neurons)}
    pe_cycles = np.where(np.arange(num_pes) < neurons[:, np.newaxis], int(np.ceil(positions * a_neuron)), 0)
    blocks = np.array([round(positions * max(slowest[busy], a_neuron)) for busy in neurons.tolist()])
    return Work(
        issued=round(positions * layer.weight_words * densities.weight_density + positions * zeros),
        pe_cycles=pe_cycles,
        block_cycles=np.maximum(blocks, pe_cycles.max(axis=1)),
        stored=stored,
        resident=np.maximum([round(fullest[busy]) for busy in neurons.tolist()], -(-stored // neurons)),
    )


def windows_of(config: Config, depth: int, density: float) -> tuple[list[Count], list[int]]:
    """Entries of the kinds of windows of a dot product, full ones and the last, and how many there are of each."""
    full, rest = divmod(depth, config.index.window)
    kinds = [(size, number) for size, number in ((config.index.window, full), (rest, 1)) if size and number]
    return [Count(entries_pmf(size, density, config.index.longest_run)) for size, _ in kinds], [n for _, n in kinds]


@lru_cache(maxsize=4096)
def entries_pmf(window: int, density: float, longest_run: int) -> Float64:
    """Probability of each number of entries of a window."""
    if density in (0.0, 1.0) or (1.0 - density) ** (longest_run + 1) < RARE_OVERFLOW or window <= longest_run:
        return binomial(window, density)
    probability: Float64 = window_entries_pmf(window, density, longest_run)
    return probability


def binomial(trials: int, density: float) -> Float64:
    """Probability of each number of successes, by the ratio of one to the next from the likeliest outwards."""
    if density in (0.0, 1.0):
        return np.eye(1, trials + 1, trials if density else 0)[0]
    at = np.arange(1, trials + 1)
    logs = np.append(0.0, np.cumsum(np.log((trials - at + 1) / at) + np.log(density / (1.0 - density))))
    likely = np.exp(logs - logs.max())
    probability: Float64 = likely / likely.sum()
    return probability


def in_cycles(entries: Count, lanes: int) -> Count:
    """Cycles of a window, at least one."""
    probability = entries.probability
    cycles = np.maximum(1, -(-np.arange(probability.size) // lanes))
    return Count(np.bincount(cycles, probability).astype(np.float64))


def explicit_zeros(depth: int, density: float, longest_run: int) -> float:
    """Expected explicit zeros of an output neuron: one for each `longest_run` + 1 zeros in a row before a synapse."""
    zeros = np.arange(longest_run + 1, depth, longest_run + 1)
    return float(density * ((depth - zeros) * (1.0 - density) ** zeros).sum())


def slowest_of(config: Config, cycles: list[Count], number: list[int], num_pes: int) -> float:
    """Expected cycles of a block at one position."""
    if config.pe.barrier == "group":
        return slowest_group(cycles, number, num_pes)
    return sum(n * slowest_group([count], [1], num_pes) for n, count in zip(number, cycles, strict=True))


def slowest_group(windows: list[Count], number: list[int], num_pes: int) -> float:
    """Expected maximum over the PEs of their sums over windows."""
    phases = [Broadcast(n, 1.0, 1.0) for n in number]
    return slowest_work(phases, [Own(num_pes, windows)])
