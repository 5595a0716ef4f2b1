"""Structured pruning: masks that hardware can use without an index for every weight.

Each mask is bool of the shape of the weights, [K, C] or [K, C, R, S]; with groups C is that of a group. Of equal
magnitudes and norms the first survive.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from archmodel.errors import WorkloadError, show
from archmodel.weights.magnitude import Keep, Weights, check_density, finite_range, layer_text
from archmodel.weights.pruning import keep_largest

FILTERS, CHANNELS = 0, 1  # axes of the weights


def keep_n_of_m(weights: Weights, N: int, M: int, name: str = "") -> Keep:
    """Of M neighbours along C the N of largest magnitude, for instance 2:4 (Mishra et al., arXiv 2104.08378).

    The groups start at channel 0 of each filter and kernel position; where M does not divide C the last is shorter and
    keeps N too, or all that it has.
    """
    _check(weights, name)
    if not 1 <= N <= M:
        raise WorkloadError(f"{layer_text(name)}{show(N)}:{show(M)}; allowed: 1 <= N <= M")
    C = weights.shape[CHANNELS]
    keep = np.empty(weights.shape, bool)
    for k, row in enumerate(weights):
        magnitudes = np.full((-(-C // M) * M, *row.shape[1:]), -1.0)  # what fills the last group is beaten by all
        magnitudes[:C] = np.abs(row.astype(np.float64))
        groups = magnitudes.reshape(-1, M, *row.shape[1:])
        keep[k] = (_ranks(groups) < N).reshape(magnitudes.shape)[:C]
    return keep


def keep_filters(weights: Weights, density: float, name: str = "") -> Keep:
    """The round(density * K) filters of largest L1 norm, whole (Li et al., ICLR 2017)."""
    _check(weights, name)
    check_density(density, name)
    norms = np.array([row.sum() for row in _channel_norms(weights)])
    return _along(weights, keep_largest(norms, density), FILTERS)


def keep_channels(weights: Weights, density: float, name: str = "") -> Keep:
    """The round(density * C) input channels of largest L1 norm over all filters, whole."""
    _check(weights, name)
    check_density(density, name)
    norms = sum(_channel_norms(weights), np.zeros(weights.shape[CHANNELS]))
    return _along(weights, keep_largest(norms, density), CHANNELS)


def keep_blocks(weights: Weights, density: float, height: int, width: int, name: str = "") -> Keep:
    """The round(density * blocks) blocks of `height` filters x `width` channels of largest mean magnitude, whole.

    Every kernel position has a K x C matrix of its own, which the blocks tile from its first cell; those at the ends
    may be smaller, therefore the mean and not the sum.
    """
    _check(weights, name)
    check_density(density, name)
    if min(height, width) < 1:
        raise WorkloadError(f"{layer_text(name)}blocks of {show(height)} x {show(width)}; allowed: at least 1 x 1")
    K, C, *taps = weights.shape
    columns, means = np.arange(0, C, width), []
    widths = np.diff(columns, append=C).reshape(-1, *[1] * len(taps))
    for first in range(0, K, height):
        rows = np.abs(weights[first : first + height].astype(np.float64))
        means.append(np.add.reduceat(rows.sum(axis=0), columns, axis=0) / (widths * len(rows)))
    blocks = keep_largest(np.array(means), density)
    return blocks.repeat(height, axis=0)[:K].repeat(width, axis=1)[:, :C]


def _ranks(groups: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many of its group, axis 1, come before each magnitude: larger ones, and equal ones of lower index."""
    ranks = np.zeros(groups.shape, np.int64)
    M = groups.shape[1]
    for own in range(M):
        for other in range(M):
            if other != own:
                beats = np.greater_equal if other < own else np.greater
                ranks[:, own] += beats(groups[:, other], groups[:, own])
    return ranks


def _channel_norms(weights: Weights) -> Iterator[npt.NDArray[np.float64]]:
    """Of each filter the L1 norm of each channel, [C]."""
    for row in weights:
        yield np.abs(row.astype(np.float64)).reshape(len(row), -1).sum(axis=1)


def _along(weights: Weights, keep: Keep, axis: int) -> Keep:
    """A mask of one axis for the whole array."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    return np.broadcast_to(keep.reshape(shape), weights.shape).copy()


def _check(weights: Weights, name: str) -> None:
    """WorkloadError unless there are filters and channels of finite numbers."""
    if weights.ndim < 2 or not weights.size:
        raise WorkloadError(f"{layer_text(name)}shape {show(weights.shape)}; allowed: [K, C, ...], none of them 0")
    finite_range(weights, name)
