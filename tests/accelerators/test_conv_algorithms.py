"""Algorithms of convolutions: what they multiply, move and keep, and the layers that they take."""

import math

import numpy as np
import pytest

from archmodel.accelerators.conv_algorithms import ALGORITHMS, PASSES, conv_work, limit
from archmodel.accelerators.conv_transforms import (
    DATA_NONZEROS,
    FILTER_NONZEROS,
    OUTPUT_NONZEROS,
    Fourier,
    WinogradTile,
)
from archmodel.errors import WorkloadError
from archmodel.network import Layer

# Lavin and Gray, CVPR 2016, sections 4.1 and 4.3: B^T, G and A^T of F(2x2, 3x3) and F(4x4, 3x3).
MATRICES = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}


def conv(C=64, H=56, K=64, R=3, padding=1, stride=1, **others):
    """A square convolution."""
    sides = padding if isinstance(padding, tuple) else (padding,) * 4
    given = {"stride": (stride, stride), "padding": sides} | others
    return Layer("conv", "conv", ("x",), (C, H, H), K, R, R, **given)


@pytest.mark.parametrize("m", [2, 4])
def test_the_matrices_of_winograd_convolve_and_have_the_counted_entries(m):
    data, kernel, output = (np.array(matrix, float) for matrix in MATRICES[m])
    rng = np.random.default_rng(m)
    tile, weights = rng.normal(size=(m + 2, m + 2)), rng.normal(size=(3, 3))
    made = output @ ((kernel @ weights @ kernel.T) * (data @ tile @ data.T)) @ output.T
    direct = [[np.sum(tile[p : p + 3, q : q + 3] * weights) for q in range(m)] for p in range(m)]
    np.testing.assert_allclose(made, direct, atol=1e-12)
    counted = (DATA_NONZEROS[m], FILTER_NONZEROS[m], OUTPUT_NONZEROS[m])
    assert counted == tuple(tuple(np.count_nonzero(matrix, axis=1)) for matrix in (data, kernel, output))


def test_the_transforms_of_lavin_and_gray():
    two, four = WinogradTile(2), WinogradTile(4)
    assert (two.data_operations, two.filter_operations, two.output_operations) == (32, 28, 24)
    assert four.filter_operations == 72
    assert four.data_operations == (2 + 3 + 3 + 3 + 3 + 2) * 12  # 144 where common terms are shared
    assert four.output_operations == (4 + 3 + 3 + 4) * 10


@pytest.mark.parametrize(
    ("algorithm", "H", "saved"),
    [("winograd_2x2", 56, 2.25), ("winograd_4x4", 56, 4.0), ("winograd_4x4", 28, 4.0), ("winograd_4x4", 14, 3.0625)],
)
@pytest.mark.parametrize("which", PASSES)
def test_winograd_saves_what_is_published(algorithm, H, saved, which):
    """The plane of VGG and ResNet is covered by whole tiles: 14 needs 4 of 4."""
    layer, N = conv(C=512, K=512, H=H), 8
    tile = WinogradTile(2 if algorithm == "winograd_2x2" else 4)
    tiles = N * tile.tiles(H, H)
    transforms = 512 * tiles * (tile.data_operations + tile.output_operations) + 512 * 512 * tile.filter_operations
    products = conv_work(algorithm, layer, which, N).operations - transforms
    assert N * layer.macs / products == pytest.approx(saved)


def test_the_fused_winograd_keeps_its_kernels_as_cudnn_does():
    """256 KiB for res2a_branch2b (LBANN, pull request 437); 16 MiB, the most of Lavin and Gray's."""
    assert conv_work("winograd_2x2", conv(), "forward", 32).workspace_bytes == 256 * 1024
    assert conv_work("winograd_2x2", conv(C=512, K=512, H=14), "data_gradient", 64).workspace_bytes == 16 * 2**20


def test_separate_winograd_steps_keep_all_tiles():
    work = conv_work("winograd_4x4", conv(C=16, K=8, H=8), "forward", 3)
    assert work.workspace_bytes == 4 * 36 * (16 * 8 + 3 * 4 * (16 + 8))
    tensors = 4 * (3 * (16 + 8) * 64 + 16 * 8 * 9)
    assert work.bytes_moved == tensors + 2 * work.workspace_bytes
    assert len(work.kernels) == 3


@pytest.mark.parametrize(
    ("which", "inputs", "outputs", "tiles"),
    [("forward", 32, 24, 9), ("data_gradient", 24, 32, 16), ("weight_gradient", 32, 24, 9)],
)
def test_winograd_transforms_what_a_pass_reads_and_makes(which, inputs, outputs, tiles):
    """8 x 8 inputs and, without padding, 6 x 6 outputs in tiles of 2 x 2; dY is read where dX is made."""
    work = conv_work("winograd_2x2", conv(C=5, K=7, H=8, padding=0), which, 2)
    assert work.operations == 2 * tiles * (16 * 5 * 7 + inputs * 5 + outputs * 7) + 28 * 5 * 7
    main = work.kernels[0 if which == "weight_gradient" else 1]
    assert main.bytes_moved == 4 * (2 * (5 * 64 + 7 * 36) + 16 * 5 * 7)


def test_the_tiles_of_a_data_gradient_cover_the_inputs():
    layer = conv(C=2, K=2, H=31, padding=0)  # 29 x 29 outputs: one tile of 30 x 30
    tiles = {which: conv_work("fft_tiled", layer, which, 1).workspace_bytes for which in PASSES}
    one, four = (8 * 32 * 17 * (num_tiles * 4 + 4) for num_tiles in (1, 4))
    assert tiles == {"forward": one, "data_gradient": four, "weight_gradient": one}


@pytest.mark.parametrize("which", PASSES)
def test_a_fourier_transform_keeps_what_the_published_formula_says(which):
    """(N Ci + N Co + Ci Co) P (P/2 + 1) 8 bytes; VGG-16's conv2_2 at batch 128: 3.05 GiB."""
    work = conv_work("fft", conv(C=128, K=128, H=112), which, 128)
    assert work.workspace_bytes == (128 * 128 * 2 + 128 * 128) * 128 * 65 * 8
    assert round(work.workspace_bytes / 2**30, 2) == 3.05


def test_a_larger_plane_goes_through_memory_twice_for_each_transform():
    small, large = (conv_work("fft", conv(H=H, C=4, K=4), "forward", 2) for H in (62, 63))
    for work, H, sweeps in ((small, 62, 1), (large, 63, 2)):
        tensors = 4 * (2 * (4 + 4) * H * H + 4 * 4 * 9)
        assert work.bytes_moved == tensors + (2 * sweeps - 1 + 1) * work.workspace_bytes


def butterflies(points):
    """Of a transform of complex points, by halving."""
    return 0 if points == 1 else 2 * butterflies(points // 2) + points // 2


@pytest.mark.parametrize("extent", [2, 8, 32])
def test_half_of_the_butterflies_of_a_plane_transform_real_words(extent):
    rows_then_columns = 2 * extent * butterflies(extent)
    assert Fourier(extent, extent).operations == 6 * rows_then_columns // 2


def test_fourier_products_are_complex():
    layer, N = conv(C=5, K=7, H=12), 3
    for which in PASSES:
        work = conv_work("fft", layer, which, N)
        planes = N * 5 + N * 7 + 5 * 7
        assert work.operations == 4 * 16 * 9 * N * 5 * 7 + planes * Fourier(16, 16).operations
        assert work.kernels[1].operations == 4 * 16 * 9 * N * 5 * 7


@pytest.mark.parametrize(("H", "tiles"), [(30, 1), (31, 4), (60, 4), (61, 9)])
def test_tiles_of_a_fourier_transform_overlap_by_the_kernel(H, tiles):
    work = conv_work("fft_tiled", conv(C=2, K=2, H=H), "forward", 1)
    assert work.workspace_bytes == 8 * 32 * 17 * (tiles * (2 + 2) + 4)


def test_powers_of_two_cover_the_padded_plane():
    assert [Fourier.covering(n, n).rows for n in (1, 2, 3, 16, 17, 256)] == [2, 2, 4, 16, 32, 256]


def test_precomputed_offsets():
    layer = conv(C=6, K=4, H=9, R=3, padding=0, groups=2)
    expected = {"forward": 3 * 9 + 49, "data_gradient": 2 * 9 + 81, "weight_gradient": 3 * 9 + 49}
    for which, words in expected.items():
        work = conv_work("precomputed_gemm", layer, which, 5)
        assert work.workspace_bytes == 4 * words
        assert work.bytes_moved == conv_work("implicit_gemm", layer, which, 5).bytes_moved + 2 * 4 * words
        assert work.operations == 5 * layer.macs


def test_a_matrix_product_multiplies_every_term_and_moves_every_tensor_once():
    layer = conv(C=3, K=64, H=224)
    work = conv_work("implicit_gemm", layer, "weight_gradient", 64, word_bytes=2)
    assert work.operations == 64 * 64 * 224 * 224 * 27
    assert work.bytes_moved == 2 * (64 * (3 + 64) * 224 * 224 + 64 * 27)
    assert work.workspace_bytes == 0


@pytest.mark.parametrize(
    ("which", "C", "K", "blocks"),
    [
        ("weight_gradient", 3, 64, 1),
        ("weight_gradient", 7, 64, 1),
        ("weight_gradient", 8, 64, 2),
        ("weight_gradient", 7, 65, 2),
        ("forward", 3, 64, 49),
        ("data_gradient", 3, 64, 49),
        ("data_gradient", 65, 64, 98),
    ],
)
def test_blocks_are_tiles_of_the_result(which, C, K, blocks):
    (kernel,) = conv_work("implicit_gemm", conv(C=C, K=K), which, 1).kernels
    assert kernel.blocks == blocks


def test_groups_use_one_workspace_one_after_the_other():
    whole, grouped = conv(C=8, K=8, H=14), conv(C=32, K=32, H=14, groups=4)
    for algorithm in ALGORITHMS[2:]:
        one, four = (conv_work(algorithm, layer, "forward", 2) for layer in (whole, grouped))
        assert four.workspace_bytes == one.workspace_bytes
        assert four.operations == 4 * one.operations
        assert four.bytes_moved == 4 * one.bytes_moved


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_data_gradient_is_the_convolution_back(algorithm):
    """With the plane kept, it is the forward pass of a layer with C and K exchanged."""
    back, forth = (conv_work(algorithm, conv(C=C, K=K, H=20), which, 3) for C, K, which in PAIR)
    assert (back.workspace_bytes, back.bytes_moved) == (forth.workspace_bytes, forth.bytes_moved)
    assert back.operations == forth.operations


PAIR = ((24, 10, "data_gradient"), (10, 24, "forward"))

FAST = ("fft", "fft_tiled", "winograd_2x2", "winograd_4x4")


@pytest.mark.parametrize(
    ("layer", "refused"),
    [
        (conv(), ()),
        (conv(stride=2), FAST),
        (conv(dilation=(2, 2)), FAST),
        (conv(R=5, padding=2), FAST[2:]),
        (conv(R=1, padding=0), FAST[2:]),
        (conv(R=1, padding=1), FAST),
        (conv(padding=(3, 0, 0, 0)), FAST[:2]),
        (conv(padding=(0, 3, 0, 0)), FAST[:2]),
        (conv(padding=(0, 0, 3, 0)), FAST[:2]),
        (conv(padding=(2, 2, 2, 2)), ()),
        (conv(H=254), ()),
        (conv(H=255), ("fft",)),
        (conv(R=31, padding=0), FAST[2:]),
        (conv(R=32, padding=0), FAST[1:]),
    ],
)
def test_the_layers_that_an_algorithm_takes(layer, refused):
    assert tuple(name for name in ALGORITHMS if limit(name, layer) is not None) == refused
    for name in refused:
        with pytest.raises(WorkloadError, match=rf"^layer 'conv': {name} needs "):
            conv_work(name, layer, "forward", 1)


def test_other_kinds_have_no_algorithm():
    layer = Layer("fc", "fc", ("x",), (10, 1, 1), 5)
    with pytest.raises(WorkloadError, match="fc: only conv has algorithms"):
        conv_work("implicit_gemm", layer, "forward", 1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("which", PASSES)
def test_the_work_is_integer_and_moves_at_least_the_tensors(algorithm, which):
    layer = conv(C=7, K=11, H=33)
    work = conv_work(algorithm, layer, which, 5)
    assert work.bytes_moved >= 4 * (5 * (layer.input_words + layer.output_words) + layer.weight_words)
    assert all(isinstance(one, int) for kernel in work.kernels for one in (kernel.operations, kernel.bytes_moved))
    assert math.prod((work.operations, work.bytes_moved)) > 0
