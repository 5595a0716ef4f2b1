"""Unit-stride convolutions, planar tiles and halos against walks over single cells, taps and outputs."""

import itertools
import random

import numpy as np
import pytest

from archmodel.accelerators.planar import (
    PlanarTiling,
    halo_outputs,
    largest_halo,
    owned_outputs,
    tile_masks,
    tilings,
    unfold_inputs,
    unfold_weights,
    unit_stride,
)
from archmodel.network.layer import Layer


def conv(shape, K, R, S, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    return Layer("c", "conv", ("x",), shape, K, R, S, stride, padding, dilation, groups)


LAYERS = [
    conv((2, 5, 6), 3, 3, 3),
    conv((1, 1, 1), 1, 1, 1),
    conv((3, 4, 4), 2, 1, 1, padding=(1, 1, 1, 1)),
    conv((2, 5, 4), 2, 3, 2, padding=(1, 0, 2, 1)),
    conv((1, 2, 2), 1, 5, 5, padding=(2, 2, 2, 2)),
    conv((2, 6, 7), 2, 3, 3, stride=(2, 2)),
    conv((2, 6, 7), 2, 3, 3, stride=(2, 2), padding=(1, 0, 0, 1)),
    conv((1, 9, 8), 2, 5, 4, stride=(3, 3), padding=(2, 1, 1, 2)),
    conv((1, 11, 11), 1, 7, 7, stride=(4, 4), padding=(3, 3, 3, 3)),
    conv((1, 7, 8), 1, 3, 3, stride=(2, 3), padding=(0, 2, 1, 0)),
    conv((2, 7, 7), 2, 1, 1, stride=(2, 2)),  # stride beyond the kernel: cells that no output reads
    conv((1, 9, 9), 1, 2, 2, stride=(4, 3)),
    conv((2, 7, 8), 2, 3, 3, dilation=(2, 3), padding=(2, 1, 3, 0)),
    conv((1, 9, 9), 2, 3, 2, dilation=(2, 3), stride=(2, 2), padding=(1, 1, 0, 2)),
    conv((1, 8, 8), 1, 3, 3, dilation=(3, 2), stride=(4, 1)),
    conv((4, 5, 5), 6, 3, 3, padding=(1, 1, 1, 1), groups=2),
    conv((3, 5, 6), 3, 3, 2, stride=(2, 1), padding=(1, 1, 1, 1), groups=3),
]
IDS = [f"{i}-{x.R}x{x.S}-stride{x.stride[0]}{x.stride[1]}" for i, x in enumerate(LAYERS)]


def random_layer(seed):
    draw = random.Random(seed)
    R, S, groups = draw.randint(1, 4), draw.randint(1, 4), draw.choice([1, 1, 2])
    dilation = draw.randint(1, 3), draw.randint(1, 3)
    return conv(
        (
            groups * draw.randint(1, 2),
            dilation[0] * (R - 1) + draw.randint(1, 6),
            dilation[1] * (S - 1) + draw.randint(1, 6),
        ),
        groups * draw.randint(1, 2),
        R,
        S,
        (draw.randint(1, 4), draw.randint(1, 4)),
        tuple(draw.randint(0, 3) for _ in range(4)),
        dilation,
        groups,
    )


RANDOM_LAYERS = [random_layer(seed) for seed in range(60)]


def direct(layer, weights, image):
    """Convolution output by output, on the layer's own geometry."""
    outputs = np.zeros((layer.K, layer.P, layer.Q), np.int64)
    channels, kernels = layer.C // layer.groups, layer.K // layer.groups
    for k, p, q in np.ndindex(*outputs.shape):
        for c, r, s in np.ndindex(channels, layer.R, layer.S):
            h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
            w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
            if 0 <= h < layer.H and 0 <= w < layer.W:
                outputs[k, p, q] += weights[k, c, r, s] * image[k // kernels * channels + c, h, w]
    return outputs


def scattered(form, weights, image):
    """Every input of the unit-stride form meets every tap of its channel; products outside the plane are let go."""
    outputs = np.zeros((form.K, form.P, form.Q), np.int64)
    channels, kernels = form.C // form.groups, form.K // form.groups
    for c, h, w in np.argwhere(image):
        first = c // channels * kernels
        for k, r, s in np.ndindex(kernels, form.R, form.S):
            p, q = h + form.pad_top - r, w + form.pad_left - s
            if 0 <= p < form.P and 0 <= q < form.Q:
                outputs[first + k, p, q] += weights[first + k, c % channels, r, s] * image[c, h, w]
    return outputs


@pytest.mark.parametrize("pad_inputs", [False, True])
@pytest.mark.parametrize("layer", LAYERS + RANDOM_LAYERS, ids=IDS + [f"random{i}" for i in range(60)])
def test_the_unit_stride_form_computes_the_convolution(layer, pad_inputs):
    rng = np.random.default_rng(7)
    weights = rng.integers(-9, 10, layer.weight_shape)
    image = rng.integers(-9, 10, layer.input_shape)
    form = unit_stride(layer, pad_inputs)
    inputs, kernels = unfold_inputs(layer, form, image), unfold_weights(layer, form, weights)
    assert inputs.shape == (form.C, form.H, form.W)
    assert kernels.shape == (form.K, form.C // form.groups, form.R, form.S)
    assert (form.P, form.Q) == (layer.P, layer.Q)
    assert form.phases == layer.stride[0] * layer.stride[1]
    taps = unfold_weights(layer, form, np.ones(layer.weight_shape, np.uint8))[0]
    assert form.tapped_phases == int(taps[: form.phases].any(axis=(1, 2)).sum())
    assert np.array_equal(scattered(form, kernels, inputs), direct(layer, weights, image))


@pytest.mark.parametrize("pad_inputs", [False, True])
@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_no_operand_is_lost_or_doubled(layer, pad_inputs):
    form = unit_stride(layer, pad_inputs)
    image = np.arange(1, layer.input_words + 1).reshape(layer.input_shape)
    weights = np.arange(1, layer.weight_words + 1).reshape(layer.weight_shape)
    for original, unfolded in (
        (image, unfold_inputs(layer, form, image)),
        (weights, unfold_weights(layer, form, weights)),
    ):
        assert sorted(unfolded[unfolded != 0].tolist()) == original.ravel().tolist()


def test_a_stride_of_one_without_padding_changes_nothing():
    layer = conv((3, 6, 5), 4, 3, 2, padding=(1, 1, 0, 1))
    form = unit_stride(layer)
    image, weights = np.ones(layer.input_shape, np.uint8), np.ones(layer.weight_shape, np.uint8)
    assert (form.C, form.H, form.W, form.R, form.S, form.pad_top, form.pad_left) == (3, 6, 5, 3, 2, 1, 0)
    assert unfold_inputs(layer, form, image) is image
    assert unfold_weights(layer, form, weights) is weights


def test_the_stem_of_alexnet_by_hand():
    # 11x11 stride 4 on 227x227: 16 phases of 3 channels, taps of ceil(11 / 4), planes of ceil(227 / 4)
    form = unit_stride(conv((3, 227, 227), 96, 11, 11, stride=(4, 4)))
    assert (form.C, form.H, form.W, form.R, form.S, form.P, form.Q) == (48, 57, 57, 3, 3, 55, 55)


def random_plane(seed):
    draw = random.Random(seed)
    return (draw.randint(1, 20), draw.randint(1, 20)), draw.randint(1, 5), draw.randint(1, 5)


def cells_of(tiling, sub_plane):
    """(row, column) -> PE of all positions of a sub-plane, by walking the tile of every PE."""
    owner = {}
    for i, j in np.ndindex(tiling.rows, tiling.cols):
        for y, x in np.ndindex(sub_plane.tile_h, sub_plane.tile_w):
            row, column = sub_plane.top + i * sub_plane.tile_h + y, sub_plane.left + j * sub_plane.tile_w + x
            if row < sub_plane.top + sub_plane.height and column < sub_plane.left + sub_plane.width:
                assert (row, column) not in owner
                owner[row, column] = i * tiling.cols + j
    return owner


@pytest.mark.parametrize("seed", range(40))
def test_every_position_has_one_sub_plane_and_one_pe(seed):
    plane, rows, cols = random_plane(seed)
    cells = np.arange(1, plane[0] * plane[1] + 1).reshape(1, *plane)
    for tiling in itertools.islice(tilings(plane, rows, cols), 12):
        seen = []
        for sub_plane in tiling.sub_planes():
            owner = cells_of(tiling, sub_plane)
            sizes = [list(owner.values()).count(pe) for pe in range(rows * cols)]
            assert sub_plane.tile_sizes(rows, cols).tolist() == sizes
            masks = tile_masks(sub_plane, cells, rows, cols)
            assert masks.shape == (rows * cols, sub_plane.tile_h * sub_plane.tile_w)
            for pe, mask in enumerate(masks):
                here = [int(cells[0, row, column]) for (row, column), other in owner.items() if other == pe]
                assert mask[mask != 0].tolist() == sorted(here)
            seen += owner
        assert sorted(seen) == list(np.ndindex(*plane))
        assert tiling.largest_tile == (
            max(part.tile_h for part in tiling.sub_planes()),
            max(part.tile_w for part in tiling.sub_planes()),
        )


@pytest.mark.parametrize("seed", range(40))
def test_tilings_get_finer_and_start_with_the_whole_plane(seed):
    plane, rows, cols = random_plane(seed)
    found = list(tilings(plane, rows, cols))
    counts = [tiling.splits_v * tiling.splits_h for tiling in found]
    assert found[0] == PlanarTiling(plane, rows, cols)
    assert found[0].largest_tile == (-(-plane[0] // rows), -(-plane[1] // cols))
    assert counts == sorted(counts)
    assert len(set(found)) == len(found)
    for tiling in found:
        assert max(tiling.splits_v, tiling.splits_h) <= 2 * min(tiling.splits_v, tiling.splits_h) or 1 in (
            tiling.largest_tile
        )


@pytest.mark.parametrize(("plane", "rows", "cols"), [((9, 9), 2, 2), ((1, 64), 2, 2), ((64, 3), 4, 1), ((5, 40), 8, 8)])
def test_the_finest_tiling_gives_every_pe_one_position(plane, rows, cols):
    assert min(tiling.largest_tile for tiling in tilings(plane, rows, cols)) == (1, 1)


def test_splitting_a_tile_in_time_idles_no_pe():
    # 56 rows on 8 PEs are tiles of 7: two parts of 4 and 3 rows a PE
    parts = list(PlanarTiling((56, 8), 8, 8, 2, 1).sub_planes())
    assert [(part.top, part.height, part.tile_h) for part in parts] == [(0, 32, 4), (32, 24, 3)]


def test_tiles_keep_their_row_major_order_and_fill_up_with_zeros():
    # 3x3 plane on 2x2 PEs: tiles of 2x2, the last row and column short
    plane = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3)
    [sub_plane] = PlanarTiling((3, 3), 2, 2).sub_planes()
    assert tile_masks(sub_plane, plane, 2, 2).tolist() == [[1, 2, 4, 5], [3, 0, 6, 0], [7, 8, 0, 0], [9, 0, 0, 0]]


def test_tiles_of_channels_follow_each_other():
    plane = np.arange(1, 9, dtype=np.uint8).reshape(2, 2, 2)
    [sub_plane] = PlanarTiling((2, 2), 1, 2).sub_planes()
    assert tile_masks(sub_plane, plane, 1, 2).tolist() == [[1, 3], [2, 4], [5, 7], [6, 8]]


def owner_of(form, p, q):
    """Position of the plane whose PE completes output (p, q)."""
    return p + form.own_top, q + form.own_left


def reached_from(form, h, w):
    """Outputs in the plane that the input at (h, w) contributes to."""
    taps = np.ndindex(form.R, form.S)
    outputs = [(h + form.pad_top - r, w + form.pad_left - s) for r, s in taps]
    return {(p, q) for p, q in outputs if 0 <= p < form.P and 0 <= q < form.Q}


@pytest.mark.parametrize("pad_inputs", [False, True])
@pytest.mark.parametrize("layer", LAYERS + RANDOM_LAYERS[:30], ids=IDS + [f"random{i}" for i in range(30)])
def test_owned_and_halo_outputs_are_counted_one_by_one(layer, pad_inputs):
    form = unit_stride(layer, pad_inputs)
    outputs = list(np.ndindex(form.P, form.Q))
    for tiling in itertools.islice(tilings(form.plane, 2, 3), 5):
        completed = 0
        for sub_plane in tiling.sub_planes():
            cells = cells_of(tiling, sub_plane)
            owned = {output for output in outputs if owner_of(form, *output) in cells}
            reached = set().union(*(reached_from(form, *cell) for cell in cells))
            assert owned_outputs(form, sub_plane) == len(owned)
            assert halo_outputs(form, sub_plane) == len(reached - owned)
            completed += len(owned)
        assert completed == form.P * form.Q


def regions_of_a_tile(form, sub_plane):
    """Accumulators of a PE by the neighbour that owns their output: (-1, 0, 1) rows down, (-1, 0, 1) columns right."""
    regions = {}
    for y, x in np.ndindex(sub_plane.tile_h + form.R - 1, sub_plane.tile_w + form.S - 1):
        row, column = owner_of(form, y - (form.R - 1) + form.pad_top, x - (form.S - 1) + form.pad_left)
        side = int(row >= sub_plane.tile_h) - int(row < 0), int(column >= sub_plane.tile_w) - int(column < 0)
        regions[side] = regions.get(side, 0) + 1
    return regions


@pytest.mark.parametrize("pad_inputs", [False, True])
@pytest.mark.parametrize("layer", LAYERS + RANDOM_LAYERS[:30], ids=IDS + [f"random{i}" for i in range(30)])
def test_the_largest_of_eight_halo_regions_is_counted_one_by_one(layer, pad_inputs):
    form = unit_stride(layer, pad_inputs)
    for tiling in itertools.islice(tilings(form.plane, 2, 3), 5):
        for sub_plane in tiling.sub_planes():
            regions = regions_of_a_tile(form, sub_plane)
            expected = max([words for side, words in regions.items() if side != (0, 0)], default=0)
            assert largest_halo(form, sub_plane) == expected


def test_a_centred_kernel_sends_the_same_halo_to_every_side():
    layer = conv((1, 8, 8), 1, 3, 3, padding=(1, 1, 1, 1))
    for pad_inputs in (False, True):
        form = unit_stride(layer, pad_inputs)
        regions = regions_of_a_tile(form, next(PlanarTiling((8, 8), 2, 2).sub_planes()))
        assert {side: words for side, words in regions.items() if side != (0, 0)} == {
            **dict.fromkeys([(-1, -1), (-1, 1), (1, -1), (1, 1)], 1),
            **dict.fromkeys([(-1, 0), (1, 0), (0, -1), (0, 1)], 4),
        }
