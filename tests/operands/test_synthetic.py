"""Placed non-zeros: how many, where, and that every placement is as likely as any other."""

import itertools
import math

import numpy as np
import pytest

from archmodel.accelerators.planar import unfold_weights, unit_stride
from archmodel.network.layer import Layer
from archmodel.operands import synthetic
from archmodel.operands.synthetic import generator, place, place_among, space_to_depth_cells


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 2, 1), (1, 4, 5)])
def test_a_mask_has_exactly_as_many_ones_as_asked_for(rng, shape):
    for num_nonzeros in range(math.prod(shape) + 1):
        mask = place(rng, shape, num_nonzeros)
        assert mask.shape == shape
        assert mask.dtype == np.uint8
        assert set(mask.ravel().tolist()) <= {0, 1}
        assert int(mask.sum()) == num_nonzeros


class CountingGenerator:
    """A random stream that knows how many numbers were drawn from it, in all and at once."""

    def __init__(self):
        self.rng, self.drawn, self.most = np.random.default_rng(5), 0, 0

    def integers(self, low, high, size, dtype):
        self.drawn, self.most = self.drawn + size, max(self.most, size)
        return self.rng.integers(low, high, size, dtype)


@pytest.mark.parametrize("num_nonzeros", [0, 1, 4097, 99_999, 100_000, 150_000, 199_999, 200_000])
def test_large_masks_are_exact_and_drawn_in_parts(monkeypatch, num_nonzeros):
    monkeypatch.setattr(synthetic, "DRAWS_AT_A_TIME", 4096)
    rng = CountingGenerator()
    assert int(place(rng, (200_000,), num_nonzeros).sum()) == num_nonzeros
    assert rng.most <= 4096
    # of ones or zeros, whichever are fewer; at half of the cells ln(4) draws for each
    assert rng.drawn <= 1.5 * min(num_nonzeros, 200_000 - num_nonzeros)


@pytest.mark.parametrize("draws_at_a_time", [1, 2, 2**22])
@pytest.mark.parametrize(("num_cells", "num_nonzeros"), [(4, 1), (5, 2), (5, 3), (6, 3), (4, 3)])
def test_every_placement_is_equally_likely(rng, monkeypatch, draws_at_a_time, num_cells, num_nonzeros):
    monkeypatch.setattr(synthetic, "DRAWS_AT_A_TIME", draws_at_a_time)
    placements = list(itertools.combinations(range(num_cells), num_nonzeros))
    seen = dict.fromkeys(placements, 0)
    trials = 150 * len(placements)
    for _ in range(trials):
        seen[tuple(np.flatnonzero(place(rng, (num_cells,), num_nonzeros)).tolist())] += 1
    expected, freedom = trials / len(placements), len(placements) - 1
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_squared < freedom + 5 * math.sqrt(2 * freedom)  # about five standard deviations
    assert chi_squared > 0.01  # a stream that repeats itself is more even than chance


def test_the_same_stream_places_the_same_zeros():
    masks = [place(generator(3, 5, 1), (9, 9), 40) for _ in range(2)]
    assert np.array_equal(*masks)


def test_streams_of_seeds_layers_and_operands_differ():
    streams = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)]
    masks = {place(generator(*stream), (20, 20), 200).tobytes() for stream in streams}
    assert len(masks) == len(streams)


def test_a_stream_is_numpys_of_seed_layer_and_operand():
    # The seed rule: anybody can make the same zeros.
    assert generator(4, 7, 1).integers(0, 2**32, 8).tolist() == (
        np.random.default_rng([4, 7, 1]).integers(0, 2**32, 8).tolist()
    )


def test_weights_stand_only_where_they_are_allowed(rng):
    allowed = np.array([[True, False, True], [False, True, True]])
    for num_nonzeros in range(5):
        mask = place_among(rng, allowed, num_nonzeros)
        assert mask.shape == allowed.shape
        assert mask.dtype == np.uint8
        assert int(mask.sum()) == num_nonzeros
        assert not mask[~allowed].any()


def test_every_allowed_cell_is_used_as_often(rng):
    allowed = np.array([True, False, True, True, False, True])
    counts = sum(place_among(rng, allowed, 2).astype(int) for _ in range(2000))
    # each of four cells in half of 2000 placements; the standard deviation is 22
    assert counts[allowed] == pytest.approx([1000] * 4, abs=110)


def test_no_cell_allowed_and_none_asked_for_is_an_empty_mask(rng):
    assert not place_among(rng, np.zeros((2, 2), np.bool_), 0).any()


KERNELS = [(11, 11, 4), (7, 7, 2), (3, 5, 2), (4, 4, 4), (2, 3, 4), (3, 3, 1), (1, 1, 1), (1, 1, 3), (5, 2, 3)]


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_cells_of_a_rearranged_kernel_are_those_that_rearranging_fills(kernel):
    R, S, stride = kernel
    layer = Layer("c", "conv", ("x",), (3, R + 2, S + 3), 2, R, S, (stride, stride))
    weights = np.arange(1, layer.weight_words + 1).reshape(layer.weight_shape)
    form = unit_stride(layer)
    rearranged = unfold_weights(layer, form, weights)
    cells = space_to_depth_cells((form.K, form.C, form.R, form.S), kernel)
    assert np.array_equal(cells, rearranged != 0)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_cells_of_a_rearranged_kernel_are_found_weight_by_weight(kernel):
    R, S, stride = kernel
    K, C, phases = 2, 3, stride * stride
    cells = np.zeros((K, C * phases, -(-R // stride), -(-S // stride)), np.bool_)
    for k, c, r, s in np.ndindex(K, C, R, S):
        cells[k, c * phases + r % stride * stride + s % stride, r // stride, s // stride] = True
    assert cells.sum() == K * C * R * S
    assert np.array_equal(space_to_depth_cells(cells.shape, kernel), cells)
