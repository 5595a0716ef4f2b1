"""What is measured of a mask, against pairs counted one by one and laws of normal variables."""

import math

import numpy as np
import pytest

from archmodel.operands.mask_statistics import (
    between_rows,
    channel_spread,
    correlation_length,
    lag_correlation,
    latent_correlation,
    mask_covariance,
    neighbours_within_planes,
    position_spread,
    row_spread,
    weight_spreads,
    within_rows,
)
from tests.reference.mask_pairs import (
    neighbour_correlation,
    neighbours_of_a_plane,
    pair_correlation,
    position_correlation,
)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def of(*densities):
    return np.array(densities, np.float64)


@pytest.mark.parametrize("latent", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_of_two_signs_the_arcsine_law_holds(latent):
    assert mask_covariance(latent, of(0.5), of(0.5))[0] == pytest.approx(math.asin(latent) / (2 * math.pi), rel=1e-9)


@pytest.mark.parametrize("density", [0.01, 0.2, 0.5, 0.97])
def test_of_one_variable_both_cells_are_alike(density):
    assert mask_covariance(1.0, of(density), of(density))[0] == pytest.approx(density * (1 - density), rel=1e-3)


@pytest.mark.parametrize("latent", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize(("first", "second"), [(0.5, 0.1), (0.3, 0.9), (0.02, 0.05), (0.25, 0.25)])
def test_a_covariance_is_that_of_the_bivariate_normal(latent, first, second):
    from scipy.stats import multivariate_normal, norm

    both = multivariate_normal.cdf(norm.ppf([first, second]), cov=[[1, latent], [latent, 1]])
    expected = both - first * second
    assert mask_covariance(latent, of(first), of(second))[0] == pytest.approx(expected, rel=1e-3, abs=2e-6)


def test_cells_that_never_change_do_not_correlate():
    assert mask_covariance(0.9, of(0, 1, 0.5), of(0.5, 0.5, 1)).tolist() == [0, 0, 0]
    assert within_rows(0.9, of(0, 1)) == between_rows(0.9, of(0, 1, 1)) == 0
    assert latent_correlation(0.5, of(0, 1)) == 0


def test_one_row_has_no_other():
    assert between_rows(0.5, of(0.5)) == 0
    assert latent_correlation(0.5, of(0.5), between_rows) == 0


@pytest.mark.parametrize("pooled", [within_rows, between_rows])
@pytest.mark.parametrize("target", [0.0, 0.01, 0.3, 0.6])
def test_a_latent_correlation_gives_the_one_of_the_mask(pooled, target):
    densities = of(0.1, 0.12, 0.11, 0.13)
    assert pooled(latent_correlation(target, densities, pooled), densities) == pytest.approx(target, abs=1e-7)


def test_a_correlation_out_of_reach_is_the_nearest():
    densities = of(0.1, 0.9)  # the two cells differ in four of five cases at least
    assert between_rows(1.0, densities) < 0.2
    assert latent_correlation(0.5, densities, between_rows) == 1.0
    assert latent_correlation(-0.1, densities) == 0.0


def test_a_spread_is_the_correlation_of_the_pairs_of_a_row(rng):
    mask = rng.random((5, 7)) < rng.random((5, 1))
    expected = pair_correlation({index: int(cell) for index, cell in np.ndenumerate(mask)}, lambda a, b: a[0] == b[0])
    assert row_spread(mask) == pytest.approx(expected)


def test_full_and_empty_rows_have_all_the_spread_and_alike_rows_none():
    assert row_spread(np.array([[1, 1, 1], [0, 0, 0]])) == 1
    assert row_spread(np.array([[1, 0], [0, 1]])) == -1
    assert row_spread(np.ones((3, 4))) == row_spread(np.zeros((3, 4))) == row_spread(np.array([[0], [1]])) == 0


def test_a_channel_is_all_its_images(rng):
    inputs = rng.random((3, 4, 2, 2)) < 0.4
    cells = {index: int(cell) for index, cell in np.ndenumerate(inputs)}
    assert channel_spread(inputs) == pytest.approx(pair_correlation(cells, lambda a, b: a[1] == b[1]))


@pytest.mark.parametrize(("down", "right"), [(0, 1), (1, 0), (2, 1), (0, 3)])
def test_neighbours_are_counted_one_by_one(rng, down, right):
    inputs = (rng.random((2, 3, 4, 5)) < 0.5).astype(int)
    expected = neighbour_correlation(inputs.reshape(-1, 4, 5).tolist(), down, right)
    assert lag_correlation(inputs, down, right) == pytest.approx(expected)


def test_stripes_correlate_along_and_not_across():
    stripes = np.zeros((1, 1, 6, 6), np.uint8)
    stripes[:, :, ::2] = 1
    assert lag_correlation(stripes, 0, 1) == 1
    assert lag_correlation(stripes, 1, 0) == -1
    assert lag_correlation(stripes, 0, 6) == lag_correlation(np.ones((1, 1, 6, 6)), 0, 1) == 0


def test_positions_are_seen_against_their_channels(rng):
    inputs = (rng.random((2, 5, 3, 3)) < rng.random((2, 1, 3, 3))).astype(int)
    channels = np.moveaxis(inputs, 1, 0).reshape(5, -1).tolist()
    assert position_spread(inputs) == pytest.approx(position_correlation(channels))
    assert position_spread(inputs[:, :1]) == position_spread(np.ones((1, 3, 2, 2))) == 0


def test_channels_alike_in_every_position_have_all_the_spread():
    plane = np.array([[1, 0], [0, 0]])
    assert position_spread(np.stack([plane, plane, plane])[np.newaxis]) == pytest.approx(1)


def test_spreads_of_weights_are_correlations_of_their_pairs(rng):
    weights = rng.random((4, 3, 2, 2)) < rng.random((4, 3, 1, 1)) * rng.random((4, 1, 1, 1))
    cells = {index: int(cell) for index, cell in np.ndenumerate(weights)}
    of_filters = pair_correlation(cells, lambda a, b: a[0] == b[0])
    of_channels = pair_correlation(cells, lambda a, b: a[1] == b[1])
    of_kernels = pair_correlation(cells, lambda a, b: a[:2] == b[:2])
    expected = (of_filters, of_channels, of_kernels - of_filters - of_channels)
    assert weight_spreads(weights) == pytest.approx(expected)


def test_a_kernel_of_one_weight_has_no_spread_of_its_own(rng):
    assert weight_spreads(rng.random((8, 8, 1, 1)) < 0.5)[2] == 0
    assert weight_spreads(np.ones((4, 4, 3, 3))) == (0, 0, 0)


def test_a_single_kernel_differs_from_no_other():
    assert weight_spreads(np.eye(3)[np.newaxis, np.newaxis])[2] == 0


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (3, 3), (4, 2), (7, 7)])
def test_what_a_plane_has_in_common_does_not_show(rows, columns):
    def correlation(distance):
        return math.exp(-distance / 2.5)

    of_distances = np.array([correlation(distance) for distance in range(rows + columns - 1)])
    expected = neighbours_of_a_plane(correlation, rows, columns)
    assert neighbours_within_planes(of_distances, rows, columns) == pytest.approx(expected)


def test_the_length_of_noise_is_none_and_of_flat_planes_endless(rng):
    assert correlation_length(rng.random((1, 64, 14, 14)) < 0.5) < 0.3
    alternating = (np.indices((8, 8)).sum(axis=0) % 2)[np.newaxis, np.newaxis]
    assert correlation_length(alternating) == 0
    halves = np.zeros((1, 3, 9, 9), np.uint8)
    halves[:, :, :, :4] = 1
    assert correlation_length(halves) == math.inf


def test_rows_and_columns_have_the_same_length(rng):
    inputs = np.repeat(rng.random((1, 400, 4, 5)) < 0.4, 2, axis=3)  # planes of 4 x 10 with pairs in a row
    length = correlation_length(inputs)
    assert 0.2 < length < 5
    assert correlation_length(inputs.swapaxes(2, 3)) == pytest.approx(length)
