"""Where cells of blocks can be non-zero, against the unfolding of layers of ones."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from archmodel.accelerators.cartesian import weight_cells
from archmodel.accelerators.planar import (
    SubPlane,
    tile_masks,
    tilings,
    unfold_inputs,
    unfold_weights,
    unit_stride,
)
from archmodel.accelerators.scnn_cells import Cells
from tests.accelerators.test_scnn_exact import random_layer

LAYERS = 40


def layer_of(seed):
    draw = random.Random(seed)
    layer = random_layer(draw)
    conv = unit_stride(layer, draw.random() < 0.3)
    return draw, layer, conv, Cells.of(layer, conv)


@pytest.mark.parametrize("seed", range(LAYERS))
def test_kernels_are_the_unfolded_ones(seed):
    draw, layer, conv, cells = layer_of(seed)
    order, Kc = draw.choice(["krs", "rsk"]), draw.randint(1, 4)
    kernels = conv.K // conv.groups
    unfolded = unfold_weights(layer, conv, np.ones(layer.weight_shape, np.uint8))[:kernels]
    blocks = weight_cells(unfolded, Kc, order).reshape(-1, cells.channels, conv.phases, Kc * conv.R * conv.S)
    for group, of_group in enumerate(blocks):
        for phase, expected in zip(cells.phases, np.moveaxis(of_group, 1, 0), strict=True):
            ours = cells.kernel(phase, min(Kc, kernels - group * Kc), Kc, order)
            assert (expected == ours).all()


@pytest.mark.parametrize("seed", range(LAYERS))
def test_tiles_are_the_unfolded_ones(seed):
    draw, layer, conv, cells = layer_of(seed)
    rows, cols = draw.randint(1, 4), draw.randint(1, 4)
    plane = unfold_inputs(layer, conv, np.ones(layer.input_shape, np.uint8))
    tiling = draw.choice(list(tilings(conv.plane, rows, cols)))
    for sub_plane in tiling.sub_planes():
        masks = tile_masks(sub_plane, plane, rows, cols).reshape(layer.C, conv.phases, rows * cols, -1)
        patterns = list(itertools.product(*cells.tiles(sub_plane, rows, cols)))
        ours = [[cells.tile(*pattern, phase) for pattern in patterns] for phase in cells.phases]
        assert (masks == np.array(ours)).all()


@pytest.mark.parametrize("seed", range(LAYERS))
def test_meetings_are_counted_as_position_by_position(seed):
    _, layer, conv, cells = layer_of(seed)
    sub_plane = SubPlane(0, 0, *conv.plane, *conv.plane)
    plane = unfold_inputs(layer, conv, np.ones(layer.input_shape, np.uint8))
    kernels = unfold_weights(layer, conv, np.ones(layer.weight_shape, np.uint8))
    meetings, in_range = 0, 0
    for channel in range(conv.phases):
        for r, s in zip(*np.nonzero(kernels[0, channel]), strict=True):
            for h, w in zip(*np.nonzero(plane[channel]), strict=True):
                meetings += 1
                p, q = h + conv.pad_top - r, w + conv.pad_left - s
                in_range += 0 <= p < conv.P and 0 <= q < conv.Q
    assert cells.meetings(sub_plane) == (meetings, in_range)


def test_products_of_a_full_tile_by_accumulator_row():
    _, layer, conv, _ = layer_of(0)
    cells = Cells.of(layer, conv)
    sub_plane = SubPlane(0, 0, 3, 2, *conv.plane)
    counted = Counter()
    for row in range(3):
        for mask in cells.rows.taps:
            counted.update(row + conv.R - 1 - r for r in np.flatnonzero(mask))
    rows, columns = cells.products(sub_plane)
    assert rows.tolist() == [counted[row] for row in range(3 + conv.R - 1)]
    assert columns.size == 2 + conv.S - 1
