"""How correlated the non-zeros of a mask are, and the normal variables behind such correlations.

A mask is seen as normal variables above a bound: cell x is non-zero where z_x > t. Two cells whose variables
correlate by r (`latent`) have masks that correlate by less (`mask_covariance`). All spreads are
correlations of mask cells, so 0 is chance and 1 is all or nothing:

- channel spread: two positions of one channel, however far apart: the variance of the channels' densities beyond
  that of independent cells, divided by d (1 - d)
- position spread: one position of two channels
- length: positions one apart in a channel have latent correlation exp(-1 / length), beyond the channel's density
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
AnyMask = npt.NDArray[np.generic]

# Gauss-Legendre nodes: the integrand is smooth, 16 are exact to 1e-7 for densities from 0.001 to 0.999.
NODES = 16
PAIRED_ROWS = 8  # of all pairs: rows are drawn in no order
SHORTEST = 0.05  # positions: neighbours of such a field correlate by 2e-9
TABLE_STEPS = 128  # linear between them is exact to 1e-5


def mask_covariance(latent: float, first: Floats, second: Floats) -> Floats:
    """Covariance of mask cells of densities `first` and `second` whose normal variables correlate by `latent`, 0 to 1.

    The bivariate normal integral, as an integral over the correlation: its derivative by the correlation is the
    bivariate normal density (Plackett, Biometrika 41, 1954).
    """
    from scipy.special import ndtri  # 0.3 s, only where zeros are correlated

    inside = (first > 0) & (first < 1) & (second > 0) & (second < 1)
    nodes, weights = legendre()
    half = math.asin(latent) / 2
    sines = np.sin(half * (nodes + 1))
    h, k = (ndtri(np.where(inside, densities, 0.5))[:, np.newaxis] for densities in (first, second))
    steep = np.exp(-(h * h + k * k - 2 * h * k * sines) / (2 * (1 - sines * sines)))
    return np.where(inside, steep @ weights * half / (2 * math.pi), 0.0)


@cache
def legendre() -> tuple[Floats, Floats]:
    """Nodes in [-1, 1] and weights of the integral."""
    return np.polynomial.legendre.leggauss(NODES)


def within_rows(latent: float, densities: Floats) -> float:
    """Mask correlation of two cells of one row, pooled over rows of given densities; 0 if no row has both values."""
    variance = float((densities * (1 - densities)).sum())
    return float(mask_covariance(latent, densities, densities).sum()) / variance if variance else 0.0


def between_rows(latent: float, densities: Floats) -> float:
    """Mask correlation of two cells of different rows, pooled over pairs of rows: each with the next few rows."""
    shifts = range(1, min(len(densities), PAIRED_ROWS + 1))
    first = np.tile(densities, len(shifts))
    second = np.concatenate([np.roll(densities, shift) for shift in shifts]) if shifts else first
    scale = float(np.sqrt(first * (1 - first) * second * (1 - second)).sum())
    return float(mask_covariance(latent, first, second).sum()) / scale if scale else 0.0


def latent_correlation(
    mask_correlation: float, densities: Floats, pooled: Callable[[float, Floats], float] = within_rows
) -> float:
    """Correlation of the normal variables that gives `mask_correlation`; 0 to 1, the nearest where none does."""
    from scipy.optimize import brentq

    if mask_correlation <= 0 or pooled(1.0, densities) == 0:
        return 0.0
    if pooled(1.0, densities) <= mask_correlation:
        return 1.0
    return float(brentq(lambda latent: pooled(latent, densities) - mask_correlation, 0.0, 1.0, xtol=1e-9))


def row_spread(rows: AnyMask) -> float:
    """Correlation of two cells of one row: the spread of the rows' densities beyond chance, for mask[rows, cells]."""
    cells = rows.shape[1]
    densities = rows.mean(axis=1, dtype=np.float64)
    variance = density_variance(rows)
    if cells < 2 or not variance:
        return 0.0
    by_chance = float((densities * (1 - densities)).mean()) / (cells - 1)
    return (float(densities.var()) - by_chance) / variance


def density_variance(mask: AnyMask) -> float:
    """Variance d (1 - d) of a cell of the mask."""
    density = float(mask.mean(dtype=np.float64))
    return density * (1 - density)


def channel_spread(inputs: AnyMask) -> float:
    """Channel spread of activations [N, C, H, W], the images of a channel taken together."""
    return row_spread(np.moveaxis(inputs, 1, 0).reshape(inputs.shape[1], -1))


def lag_correlation(inputs: AnyMask, rows: int, columns: int) -> float:
    """Correlation of positions (rows, columns) apart within channels and images of [N, C, H, W], pooled over them."""
    planes = inputs.reshape(-1, *inputs.shape[2:]).astype(np.float64)
    deviations = planes - planes.mean(axis=(1, 2), keepdims=True)
    H, W = planes.shape[1:]
    products = deviations[:, rows:, columns:] * deviations[:, : H - rows, : W - columns]
    variance = float((deviations**2).mean())
    return float(products.mean()) / variance if products.size and variance else 0.0


def correlation_length(inputs: AnyMask) -> float:
    """Length in positions that explains the correlation of neighbours in activations [N, C, H, W]; 0 for none."""
    from scipy.optimize import brentq

    neighbours = (lag_correlation(inputs, 0, 1) + lag_correlation(inputs, 1, 0)) / 2
    planes = inputs.reshape(-1, *inputs.shape[2:])
    densities = planes.mean(axis=(1, 2), dtype=np.float64)
    angles = np.linspace(0, math.pi / 2, TABLE_STEPS + 1)
    of_angles = np.array([within_rows(math.sin(angle), densities) for angle in angles])

    def unexplained(length: float) -> float:
        latent = np.exp(-np.arange(sum(planes.shape[1:]) - 1) / length)
        of_distances = np.interp(np.arcsin(latent), angles, of_angles)
        return neighbours_within_planes(of_distances, planes.shape[1], planes.shape[2]) - neighbours

    if unexplained(SHORTEST) >= 0:
        return 0.0
    longest = 10.0 * max(planes.shape[1:])
    return math.inf if unexplained(longest) <= 0 else float(brentq(unexplained, SHORTEST, longest, rtol=1e-6))


def neighbours_within_planes(of_distances: Floats, H: int, W: int) -> float:
    """Correlation of neighbours, each seen against the density of its own plane of H x W, from the correlation of
    cells at distances of 0, 1, ... rows and columns.

    What all cells of a plane have in common, the mean over its pairs, does not show against the plane's density.
    """
    rows, columns = (np.array([n, *(2 * (n - lag) for lag in range(1, n))]) / n**2 for n in (H, W))
    common = float(of_distances @ np.convolve(rows, columns))
    return (float(of_distances[1]) - common) / (1 - common) if common < 1 else 0.0


def position_spread(inputs: AnyMask) -> float:
    """Correlation of two channels at one position of [N, C, H, W], beyond the channels' own densities."""
    images, channels, H, W = inputs.shape
    planes = np.moveaxis(inputs, 1, 0).reshape(channels, -1).astype(np.float64)
    deviations = planes - planes.mean(axis=1, keepdims=True)
    variances = (deviations**2).mean(axis=1)
    of_pairs = float((deviations.sum(axis=0) ** 2).sum() - (deviations**2).sum()) / (images * H * W)
    scale = float(np.sqrt(variances).sum() ** 2 - variances.sum())
    return of_pairs / scale if scale > 0 else 0.0


def weight_spreads(weights: AnyMask) -> tuple[float, float, float]:
    """Filter, channel and kernel spread of weights [K, C, R, S].

    Correlation of two weights of one filter, of one input channel, and what two weights of one R x S kernel have
    beyond both; the last is 0 for kernels of one weight.
    """
    K, channels, R, S = weights.shape
    filters = row_spread(weights.reshape(K, -1))
    inputs = row_spread(np.moveaxis(weights, 1, 0).reshape(channels, -1))
    variance = density_variance(weights)
    if R * S == 1 or not variance or K * channels == 1:
        return filters, inputs, 0.0
    both = row_spread(weights.reshape(K * channels, -1))
    return filters, inputs, both - filters - inputs
