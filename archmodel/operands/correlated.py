"""Non-zeros as real networks have them: patches in feature maps, busy and quiet channels, uneven filters.

Uniform placement makes every PE's share nearly equal; real zeros do not. Each cell gets a normal variable, and the
largest become non-zero: exactly as many as uniform placement would have. mask_statistics.py defines the parameters
and measures them; configs/zeros/ holds measured ones.
"""

import math
from collections.abc import Callable
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from archmodel import config
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.operands.mask_statistics import between_rows, latent_correlation, within_rows
from archmodel.operands.operands import Mask

Normals = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Densities = npt.NDArray[np.float64]

UNIFORM = "uniform"
FORMS = "uniform, correlated, correlated:key=value,key=value or the path of a .toml file"
CELLS_AT_A_TIME = 2**20  # bounds the memory of the normal variables
ROWS_POOLED = 256  # rows are drawn in no order: these few stand for all
CHANCE_BITS = 16
BOUND_STEPS = 64  # of a standard deviation
LARGEST_SPREAD = 0.9
SMALL = 1e-12  # what filters that are all full or empty leave of the variance, instead of nothing
LARGEST_SHARE = 0.999  # something is left to tell cells apart
Spread = Annotated[float, Field(ge=0, le=LARGEST_SPREAD)]


class CorrelatedZeros(config.FrozenModel):
    """Where zeros gather; every spread is a correlation of two cells of a mask, 0 for chance."""

    name: str
    length: Annotated[float, Field(ge=0, le=1e4)]  # positions, on a plane of `length_plane` x `length_plane`
    length_plane: Annotated[int, Field(ge=1, le=2**16)]
    length_exponent: Annotated[float, Field(ge=0, le=1)]  # the length grows with the side of the plane to this power
    channel_spread: Spread
    position_spread: Spread
    weight_filter_spread: Spread
    weight_channel_spread: Spread
    weight_kernel_spread: Spread

    @model_validator(mode="after")
    def _spreads_leave_room_for_chance(self) -> "CorrelatedZeros":
        if self.weight_filter_spread + self.weight_channel_spread + self.weight_kernel_spread > LARGEST_SPREAD:
            raise ValueError(f"the spreads of the weights must add up to at most {LARGEST_SPREAD}")
        return self

    def length_on(self, H: int, W: int) -> float:
        """Correlation length in positions on a plane of H x W."""
        return self.length * (math.sqrt(H * W) / self.length_plane) ** self.length_exponent

    @property
    def of_activations(self) -> str:
        """The pattern of activations, for their origin."""
        return (
            f"correlated positions (length {self.length:g} on {self.length_plane} x {self.length_plane}, exponent"
            f" {self.length_exponent:g}, channel spread {self.channel_spread:g}, position spread"
            f" {self.position_spread:g})"
        )

    @property
    def of_weights(self) -> str:
        """The pattern of weights, for their origin."""
        return (
            f"correlated positions (filter spread {self.weight_filter_spread:g}, channel spread"
            f" {self.weight_channel_spread:g}, kernel spread {self.weight_kernel_spread:g})"
        )


def load_zeros(text: str) -> CorrelatedZeros | None:
    """The pattern that `--zeros` asks for; None for uniform. ConfigError says what is allowed."""
    name, colon, assignments = text.partition(":")
    known = [UNIFORM, *config.names("zeros")]
    if (name not in known and not name.endswith(".toml")) or (name == UNIFORM and colon) or (colon and not assignments):
        raise ConfigError(f"--zeros {show(text)}: allowed: {FORMS}{'' if name in known else did_you_mean(name, known)}")
    if name == UNIFORM:
        return None
    return config.load("zeros", name, CorrelatedZeros, tuple(assignments.split(",")) if colon else (), "--zeros ")


def correlated_inputs(
    rng: np.random.Generator, zeros: CorrelatedZeros, shape: tuple[int, int, int, int], num_nonzeros: int
) -> Mask:
    """A mask [N, C, H, W] with exactly `num_nonzeros` ones.

    A channel has the same density in all images. Its positions are those where a field is largest; part of the field
    is common to the channels of an image, as a sky or a face is seen by all of them. Where a plane is one position,
    only the channels differ.
    """
    N, C, H, W = shape
    cells = N * H * W
    counts = row_counts(rng, C, cells, num_nonzeros, zeros.channel_spread)
    mask = np.zeros((C, cells), np.uint8)
    length = zeros.length_on(H, W)
    persistence = math.exp(-1 / length) if length else 0.0
    share = common_share(zeros.position_spread, counts / cells, between_rows) if H * W > 1 else 0.0
    common = field(rng, (H, W, 1, N), persistence) * np.float32(math.sqrt(share))
    channels_at_a_time = max(1, CELLS_AT_A_TIME // cells)
    for first in range(0, C, channels_at_a_time):
        chunk = counts[first : first + channels_at_a_time]
        latent = field(rng, (H, W, len(chunk), N), persistence)
        latent *= np.float32(math.sqrt(1 - share))
        latent += common
        rows = np.ascontiguousarray(latent.transpose(2, 3, 0, 1)).reshape(len(chunk), cells)
        mark_largest(mask[first : first + len(chunk)], rows, chunk)
    return np.ascontiguousarray(mask.reshape(C, N, H, W).swapaxes(0, 1))


def field(rng: np.random.Generator, shape: tuple[int, int, int, int], persistence: float) -> Normals:
    """Standard normals [H, W, channels, N] that correlate by persistence ** (rows + columns apart).

    A first-order autoregression along rows, then along columns: stationary from the first position, and made of
    single multiplications and additions, so that every machine makes the same field.
    """
    normals = rng.standard_normal(shape, np.float32)
    if persistence:
        kept, fresh = np.float32(persistence), np.float32(math.sqrt(1 - persistence**2))
        normals[1:] *= fresh
        for row in range(1, shape[0]):
            normals[row] += kept * normals[row - 1]
        normals[:, 1:] *= fresh
        for column in range(1, shape[1]):
            normals[:, column] += kept * normals[:, column - 1]
    return normals


def correlated_weights(
    rng: np.random.Generator,
    zeros: CorrelatedZeros,
    shape: tuple[int, int, int, int],
    num_nonzeros: int,
    groups: int = 1,
    allowed: npt.NDArray[np.bool_] | None = None,
    channels_per_kernel: int = 1,
) -> Mask:
    """A mask [K, C / groups, R, S] with exactly `num_nonzeros` ones.

    Filters differ, input channels differ for all filters, and so do single R x S kernels. Of a rearranged kernel only
    the cells `allowed`, the same in every filter, are used; `channels_per_kernel` channels are one of the original.
    """
    K, channels, R, S = shape
    kernels, kernel_cells = channels // channels_per_kernel, channels_per_kernel * R * S
    free = np.ones((kernels, kernel_cells), np.bool_) if allowed is None else allowed[0].reshape(kernels, kernel_cells)
    cells = int(free.sum())
    mask = np.zeros((K, *free.shape), np.uint8)
    density = num_nonzeros / (K * cells)
    if density in (0, 1):
        mask[:, free] = density
        return mask.reshape(shape)
    filters = row_densities(rng, K, density, zeros.weight_filter_spread)
    chances = kernel_chances(rng, zeros, filters, (groups, kernels), cells > kernels)
    filters_at_a_time = max(1, CELLS_AT_A_TIME // free.size)
    for first in range(0, K, filters_at_a_time):
        chance = chances(first, min(first + filters_at_a_time, K))
        drawn = rng.integers(0, 2**CHANCE_BITS, (len(chance), *free.shape), np.uint16)
        np.logical_and(drawn < chance[..., np.newaxis], free, out=mask[first : first + len(chance)].view(np.bool_))
    mask = mask.reshape(K, -1)
    counts = np.count_nonzero(mask.view(np.bool_), axis=1)
    for row, change in enumerate((settled(rng, counts, cells, num_nonzeros) - counts).tolist()):
        if change:
            candidates = np.flatnonzero((mask[row] == (change < 0)) & free.reshape(-1))
            mask[row, rng.choice(candidates, abs(change), replace=False)] = change > 0
    return mask.reshape(shape)


def kernel_chances(
    rng: np.random.Generator,
    zeros: CorrelatedZeros,
    filters: Densities,
    sizes: tuple[int, int],
    several_cells: bool,
) -> Callable[[int, int], npt.NDArray[np.uint16]]:
    """Chances, in units of 2**-16, that a weight is non-zero: uint16[filters, kernels] of a range of filters.

    `filters` are their densities, `sizes` the numbers of groups and of kernels in a filter. Kernels that are one cell
    have no spread of their own; filters of one group and, nearly, one density then share a row.
    """
    from scipy.special import ndtr, ndtri

    # Spreads are shares of the variance of a cell; filters that are nearly full or empty leave less of it.
    deviations = np.sqrt(filters * (1 - filters))
    variance = float(filters.mean() * (1 - filters.mean()))
    of_channels_alone = zeros.weight_channel_spread * variance / max(SMALL, float(deviations.mean()) ** 2)
    of_kernels_too = zeros.weight_channel_spread + zeros.weight_kernel_spread
    channel_share = common_share(of_channels_alone, filters, between_rows)
    both = common_share(of_kernels_too * variance / max(SMALL, float((deviations**2).mean())), filters, within_rows)
    kernel_share = max(0.0, both - channel_share) if several_cells else 0.0
    of_channels = rng.standard_normal(sizes)
    of_channels -= of_channels.mean(axis=1, keepdims=True)  # else few channels would shift the density of all filters
    of_channels *= math.sqrt(channel_share)
    own_deviation = math.sqrt(1 - channel_share * (1 - 1 / sizes[1]) - kernel_share)
    groups = np.arange(len(filters)) * sizes[0] // len(filters)
    bounds = -np.round(ndtri(filters) * BOUND_STEPS) / BOUND_STEPS

    def above(normals: npt.NDArray[np.float64], bound: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
        chance = ndtr((normals - bound[:, np.newaxis]) / own_deviation)
        return np.minimum(np.round(chance * 2**CHANCE_BITS), 2**CHANCE_BITS - 1).astype(np.uint16)

    if not several_cells:
        pairs, row_of_filter = np.unique(np.stack([groups, bounds]), axis=1, return_inverse=True)
        rows = above(of_channels[pairs[0].astype(int)], pairs[1])
        return lambda first, last: rows[row_of_filter[first:last]]

    def drawn(first: int, last: int) -> npt.NDArray[np.uint16]:
        of_kernels = rng.standard_normal((last - first, sizes[1])) * math.sqrt(kernel_share)
        return above(of_channels[groups[first:last]] + of_kernels, bounds[first:last])

    return drawn


def row_counts(rng: np.random.Generator, num_rows: int, cells: int, num_nonzeros: int, spread: float) -> Counts:
    """Non-zeros of rows of `cells`, in all `num_nonzeros`, whose densities have `spread` beyond chance.

    A row's normal variables share a term, so that its density is probit-normal; its count is then binomial.
    """
    density = num_nonzeros / (num_rows * cells)
    if density in (0, 1):
        return np.full(num_rows, cells if density else 0, np.int64)
    counts = rng.binomial(cells, row_densities(rng, num_rows, density, spread)).astype(np.int64)
    return settled(rng, counts, cells, num_nonzeros)


def settled(rng: np.random.Generator, counts: Counts, cells: int, num_nonzeros: int) -> Counts:
    """`counts` of rows of `cells` with what chance lacks of `num_nonzeros` put on any free cell, or taken off any."""
    while difference := num_nonzeros - int(counts.sum()):
        spare = cells - counts if difference > 0 else counts
        moved = np.minimum(rng.multinomial(abs(difference), spare / spare.sum()), spare)
        counts = counts + (moved if difference > 0 else -moved)
    return counts


def row_densities(rng: np.random.Generator, num_rows: int, density: float, spread: float) -> Densities:
    """Densities of rows with mean `density` and variance `spread` * density * (1 - density)."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    share = common_share(spread, np.array([density]), within_rows)
    terms = rng.standard_normal(num_rows) * math.sqrt(share)

    def densities(bound: float) -> Densities:
        above: Densities = ndtr((terms - bound) / math.sqrt(1 - share))
        return above

    # Rows with one of these terms alone would have the density asked for, those with other terms need a bound between.
    at_zero = -float(ndtri(density)) * math.sqrt(1 - share)
    low, high = at_zero + float(terms.min()), at_zero + float(terms.max())
    margin = 1e-3  # keeps the ends apart, and the signs there different, when all terms are equal
    return densities(brentq(lambda bound: float(densities(bound).mean()) - density, low - margin, high + margin))


def common_share(spread: float, densities: Densities, pooled: Callable[[float, Densities], float]) -> float:
    """Share of the variance that cells have in common, of one row or of different ones, for a spread of the mask."""
    return min(LARGEST_SHARE, latent_correlation(spread, densities[:ROWS_POOLED], pooled))


def mark_largest(mask: Mask, latent: Normals, counts: Counts) -> None:
    """Set to 1, in each row of mask[rows, cells], the `counts[row]` cells whose `latent` is largest; of equals, the
    first."""
    cells = latent.shape[1]
    for marks, values, count in zip(mask, latent, counts.tolist(), strict=True):
        if count == 0:
            continue
        bound = np.partition(values, cells - count)[cells - count]
        np.greater(values, bound, out=marks.view(np.bool_))
        missing = count - int(np.count_nonzero(marks))
        marks[np.flatnonzero(values == bound)[:missing]] = 1
