"""Expected cycles of Cnvlutin's windows: the slowest of 16 lanes, each a sum over bricks of binomial non-zeros."""

import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.cnvlutin_bricks import Bricks
from archmodel.accelerators.cnvlutin_config import Config
from archmodel.accelerators.dadiannao import Windows, stored_neurons
from archmodel.accelerators.random_blocks import Float64
from archmodel.accelerators.slowest_pe import expected_maximum
from archmodel.kernels.brick_dispatch import banked_window_cycles
from archmodel.kernels.zero_skip import slowest_lane_cycles
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities

Profile = tuple[tuple[int, int], ...]  # of a lane in a window: (size, number) of its bricks; padding has size 0
DRAWN_WINDOWS = 200  # of each kind: the delay of a window scatters less than the window, whose mean is not drawn
CACHED_LANES = 4096  # kinds of lanes that are remembered: a network has some hundred


def expected_windows(config: Config, layer: Layer, densities: Densities) -> Windows:
    """Windows of all images and groups; neurons are taken as non-zero independently of each other."""
    bricks = Bricks.of(config, layer)
    density, planes = densities.input_density, densities.batch * layer.groups
    cycles = by_lanes = empty = 0.0
    for inside, number in window_kinds(layer):
        lanes = lane_profiles(bricks, inside)
        kinds = [(count, *lane_cycles(profile, density)) for profile, count in lanes.items()]
        slowest = expected_maximum(kinds)
        if config.dispatch.fetch_ahead == "window":
            bank = (1, np.array([float(bricks.bank_cycles)]), np.ones(1))
            cycles += number * expected_maximum([*kinds, bank])
        else:
            cycles += number * (slowest + banked_delay(bricks, inside, density))
        by_lanes += number * slowest
        empty += number * sum(
            count * bricks_of_size * (1 - density) ** size
            for profile, count in lanes.items()
            for size, bricks_of_size in profile
        )
    neurons = math.ceil(densities.batch * stored_neurons(layer) * density)
    empties = round(planes * empty)
    total = max(round(planes * cycles), -(-(neurons + empties) // bricks.num_lanes))
    idle = total * bricks.num_lanes - neurons - empties
    conflicts = min(idle, round(planes * max(0.0, cycles - by_lanes) * bricks.num_lanes))
    lost = {"fragmentation": empties, "bank_conflict": conflicts, "imbalance": idle - conflicts}
    return Windows((total, total, total), neurons, neurons, -(-neurons // bricks.num_lanes), lost)


def banked_delay(bricks: Bricks, inside: npt.NDArray[np.bool_], density: float) -> float:
    """Expected cycles that banks of one port add to a window: the mean over drawn windows, which are always the same.

    Where the first brick lies only changes the names of the banks.
    """
    layer, sizes = bricks.layer, np.where(inside[:, :, np.newaxis], bricks.sizes, 0)
    drawn = np.random.default_rng(DRAWN_WINDOWS).binomial(sizes, density, (DRAWN_WINDOWS, *sizes.shape))
    cycles = np.maximum(drawn, 1).astype(np.uint16)
    (down, across), (R, S, _) = layer.dilation, sizes.shape
    bank_of = np.ascontiguousarray(bricks.bank_of[: R * down : down, : S * across : across])
    windows, shape = np.arange(DRAWN_WINDOWS), ((1, 1), (1, 1), (1, 1))
    banked = banked_window_cycles(cycles, bricks.lane_of, bank_of, windows, *shape, bricks.dispatcher)
    slowest = slowest_lane_cycles(cycles, bricks.lane_of, windows, *shape, bricks.num_lanes)
    return float((banked - slowest).mean())


def window_kinds(layer: Layer) -> Iterator[tuple[npt.NDArray[np.bool_], int]]:
    """Which kernel positions of a window are not padding, [R, S], and how many windows of a plane that is so for."""
    sides = []
    for axis, (size, outputs, taps) in enumerate(((layer.H, layer.P, layer.R), (layer.W, layer.Q, layer.S))):
        at = np.arange(taps) * layer.dilation[axis] - layer.padding[2 * axis]
        first = np.arange(outputs)[:, np.newaxis] * layer.stride[axis]
        sides.append(np.unique((first + at >= 0) & (first + at < size), axis=0, return_counts=True))
    (rows, num_rows), (columns, num_columns) = sides
    for in_rows, down in zip(rows, num_rows, strict=True):
        for in_columns, across in zip(columns, num_columns, strict=True):
            yield np.outer(in_rows, in_columns), int(down * across)


def lane_profiles(bricks: Bricks, inside: npt.NDArray[np.bool_]) -> Counter[Profile]:
    """Lanes of a window by the bricks that they have."""
    sizes = np.where(inside[:, :, np.newaxis], bricks.sizes, 0).ravel()
    kinds, kind = np.unique(sizes, return_inverse=True)
    cells = np.bincount(bricks.lane_of.ravel() * kinds.size + kind, minlength=bricks.num_lanes * kinds.size)
    named = cells.reshape(bricks.num_lanes, kinds.size).tolist()
    sizes_of = kinds.tolist()
    return Counter(tuple((size, n) for size, n in zip(sizes_of, lane, strict=True) if n) for lane in named)


@lru_cache(maxsize=CACHED_LANES)
def lane_cycles(profile: Profile, density: float) -> tuple[Float64, Float64]:
    """Cycles of a lane in a window, ascending, and their probabilities."""
    most = sum(max(size, 1) * number for size, number in profile)
    period = 1 << most.bit_length()
    spectrum = np.ones(period // 2 + 1, complex)
    for size, number in profile:
        spectrum *= np.fft.rfft(brick_probability(size, density), period) ** number
    probability = np.maximum(np.fft.irfft(spectrum, period)[: most + 1], 0.0)
    return np.arange(most + 1.0), probability / probability.sum()


def brick_probability(size: int, density: float) -> Float64:
    """Probability that a brick takes 0, 1, 2 ... cycles: one for each non-zero, and one where there is none."""
    nonzero = np.array([math.comb(size, n) * density**n * (1 - density) ** (size - n) for n in range(size + 1)])
    cycles = np.zeros(max(size, 1) + 1)
    cycles[: nonzero.size] = nonzero
    cycles[1] += nonzero[0]
    cycles[0] = 0.0
    return cycles
