"""Counts of a layer's operands against loops over single outputs and taps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import WorkloadError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, effectual_macs, kernels_shape, window
from archmodel.operands.synthetic import place
from tests.reference.recurrent import effectual_products_of_steps


def conv(shape, K, R=1, S=1, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    return Layer("c", "conv", ("x",), shape, K, R, S, stride, padding, dilation, groups)


def random_operands(layer, batch=1, densities=(0.5, 0.5), seed=0):
    rng = np.random.default_rng(seed)
    shape = (batch, *layer.input_shape)
    return Operands(
        place(rng, layer.weight_shape, round(densities[0] * layer.weight_words)),
        place(rng, shape, round(densities[1] * batch * layer.input_words)),
        output_density=1.0,
    )


def all_ones(layer, batch=1):
    return random_operands(layer, batch, (1.0, 1.0))


def products(layer, operands):
    """Products of two non-zeros of every output, one after the other."""
    total = 0
    channels, kernels = layer.C // layer.groups, layer.K // layer.groups
    for n, k, p, q in np.ndindex(operands.batch, layer.K, layer.P, layer.Q):
        for c, r, s in np.argwhere(operands.weights[k]):
            h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
            w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
            if 0 <= h < layer.H and 0 <= w < layer.W:
                total += int(operands.inputs[n, k // kernels * channels + c, h, w])
    return total


@st.composite
def layers(draw):
    few = st.integers(1, 3)
    R, S, groups = draw(few), draw(few), draw(st.sampled_from([1, 1, 2, 3]))
    dilation, stride = (draw(few), draw(few)), (draw(few), draw(few))
    padding = tuple(draw(st.integers(0, 4)) for _ in range(4))
    height = draw(st.integers(max(1, dilation[0] * (R - 1) + 1 - padding[0] - padding[1]), 8))
    width = draw(st.integers(max(1, dilation[1] * (S - 1) + 1 - padding[2] - padding[3]), 8))
    channels, kernels = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return conv((channels, height, width), kernels, R, S, stride, padding, dilation, groups)


density = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


@given(layers(), st.integers(1, 2), st.tuples(density, density), st.integers(0, 9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_effectual_macs_are_the_products_counted_one_by_one(layer, batch, densities, seed):
    operands = random_operands(layer, batch, densities, seed)
    assert effectual_macs(layer, operands) == products(layer, operands)


@given(layers(), st.integers(1, 3))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_expected_products_without_zeros_are_those_whose_output_exists(layer, batch):
    all_of_them = effectual_macs(layer, all_ones(layer, batch))
    assert Densities(batch, 1.0, 1.0, 1.0).effectual_macs(layer) == all_of_them
    assert Densities(batch, 0.5, 0.25, 1.0).effectual_macs(layer) == round(all_of_them / 8)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_effectual_macs_of_a_fully_connected_layer_are_counted_one_by_one(batch, seed):
    layer = Layer("f", "fc", ("x",), (13, 1, 1), 5)
    operands = random_operands(layer, batch, (0.3, 0.6), seed)
    assert effectual_macs(layer, operands) == products(layer, operands) > 0


def test_without_zeros_and_padding_every_mac_is_effectual():
    layer = conv((4, 6, 7), 6, 3, 2, stride=(2, 1), dilation=(2, 3), groups=2)
    assert effectual_macs(layer, all_ones(layer, batch=3)) == 3 * layer.macs


def test_the_border_of_a_padded_layer_is_not_effectual():
    # 3x3 on 4x4, padded by one: along an axis 2 + 3 + 3 + 2 of 12 taps hit the plane
    layer = conv((1, 4, 4), 1, 3, 3, padding=(1, 1, 1, 1))
    assert effectual_macs(layer, all_ones(layer)) == 10 * 10


def test_padding_on_one_side_is_left_out_on_that_side():
    # one row above: row 0 has 1 of 2 taps; one column on the right: the last output has 1 of 2 taps
    layer = conv((1, 3, 3), 1, 2, 2, padding=(1, 0, 0, 1))
    assert effectual_macs(layer, all_ones(layer)) == 5 * 5
    inputs = np.zeros((1, 1, 3, 3), np.uint8)
    inputs[0, 0, 0, 0] = 1  # read by outputs of rows 0 and 1, column 0
    assert effectual_macs(layer, Operands(np.ones((1, 1, 2, 2), np.uint8), inputs, 1.0)) == 2


def test_a_kernel_position_that_only_meets_padding_does_nothing():
    # 1x1 on 1x1, padded by two: 25 outputs, one of them reads the pixel
    layer = conv((1, 1, 1), 1, padding=(2, 2, 2, 2))
    assert layer.P * layer.Q == 25
    assert effectual_macs(layer, all_ones(layer)) == 1


def test_groups_do_not_read_each_others_channels():
    layer = conv((2, 1, 1), 2, groups=2)
    weights = np.array([1, 0], np.uint8).reshape(2, 1, 1, 1)
    inputs = np.array([0, 1], np.uint8).reshape(1, 2, 1, 1)
    assert effectual_macs(layer, Operands(weights, inputs, 1.0)) == 0
    assert effectual_macs(layer, Operands(weights[::-1], inputs, 1.0)) == 1


def test_more_products_than_32_bits_are_counted():
    layer = conv((1, 1000, 1000), 1000)
    assert effectual_macs(layer, all_ones(layer, batch=3)) == 3 * 10**9 > 2**31
    wide = conv((1, 1, 1), 2**17)
    assert effectual_macs(wide, all_ones(wide)) == 2**17


@given(
    size=st.integers(1, 12),
    num_outputs=st.integers(1, 12),
    kernel_index=st.integers(0, 4),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 4),
    padding=st.integers(0, 9),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_a_window_holds_the_positions_in_the_plane(size, num_outputs, kernel_index, stride, dilation, padding):
    positions = [p * stride + kernel_index * dilation - padding for p in range(num_outputs)]
    used = window(size, num_outputs, kernel_index, stride, dilation, padding)
    expected = [position for position in positions if 0 <= position < size]
    assert list(range(used.start, used.stop, used.step)) == expected


def test_counts_and_densities_cover_all_images():
    layer = conv((2, 2, 2), 1)
    inputs = np.zeros((3, 2, 2, 2), np.uint8)
    inputs[2] = 1
    operands = Operands(np.array([1, 0], np.uint8).reshape(1, 2, 1, 1), inputs, 0.25)
    operands.check_shapes(layer)
    assert (operands.batch, operands.weight_nonzeros, operands.input_nonzeros) == (3, 1, 8)
    assert (operands.weight_density, operands.input_density) == (0.5, 8 / 24)


@pytest.mark.parametrize(
    ("weight_shape", "input_shape", "message"),
    [
        ((2, 3, 1, 1), (1, 2, 4, 4), "c: weights of shape (2, 3, 1, 1); allowed: (2, 2, 1, 1)"),
        ((2, 2), (1, 2, 4, 4), "c: weights of shape (2, 2); allowed: (2, 2, 1, 1)"),
        ((2, 2, 1, 1), (1, 2, 4, 5), "c: inputs of shape (2, 4, 5) an image; allowed: (2, 4, 4)"),
        ((2, 2, 1, 1), (2, 4, 4), "c: inputs of shape (4, 4) an image; allowed: (2, 4, 4)"),
    ],
)
def test_masks_of_another_layer_are_refused(weight_shape, input_shape, message):
    operands = Operands(np.ones(weight_shape, np.uint8), np.ones(input_shape, np.uint8), 1.0)
    with pytest.raises(WorkloadError) as error:
        operands.check_shapes(conv((2, 4, 4), 2))
    assert str(error.value) == message


def sequences(layer, batch=1, densities=(0.5, 0.5), seed=0):
    rng = np.random.default_rng(seed)
    kernels, inputs = kernels_shape(layer, batch), (batch, *layer.multiplied_shape)
    return Operands(
        place(rng, kernels, round(densities[0] * np.prod(kernels))),
        place(rng, inputs, round(densities[1] * np.prod(inputs))),
        output_density=1.0,
    )


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("densities", [(0.0, 1.0), (0.3, 0.6), (1.0, 1.0)])
@pytest.mark.parametrize("batch", [1, 2])
def test_products_of_a_recurrent_layer_are_those_of_its_steps(kind, densities, batch):
    layer = Layer("r", kind, ("x",), (3, 4, 1), 2)
    operands = sequences(layer, batch, densities)
    operands.check_shapes(layer)
    walked = effectual_products_of_steps(
        operands.weights[:, :, 0, 0].tolist(), operands.inputs[:, :, :, 0].transpose(0, 2, 1).tolist()
    )
    assert effectual_macs(layer, operands) == sum(walked)
    if densities == (1.0, 1.0):
        assert sum(walked) == batch * layer.macs == Densities(batch, 1.0, 1.0, 1.0).effectual_macs(layer)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("densities", [(0.4, 0.7), (1.0, 1.0)])
def test_products_of_a_matmul_use_the_kernels_of_their_image(batch, densities):
    layer = Layer("m", "matmul", ("a", "b"), (6, 5, 1), 8, groups=2, mode="transposed")
    operands = sequences(layer, batch, densities)
    operands.check_shapes(layer)
    grouped = conv((6, 5, 1), 8, groups=2)
    own = [products(grouped, operands.image(index)) for index in range(batch)]
    assert effectual_macs(layer, operands) == sum(own)
    if densities == (1.0, 1.0):
        assert sum(own) == batch * layer.macs == Densities(batch, 1.0, 1.0, 1.0).effectual_macs(layer)


def test_an_image_of_a_matmul_takes_its_values_along():
    layer = Layer("m", "matmul", ("a", "b"), (2, 3, 1), 4, mode="transposed")
    operands = sequences(layer, 2)
    values = np.arange(16, dtype=np.int32).reshape(8, 2, 1, 1)
    inputs = np.arange(12, dtype=np.int32).reshape(2, 2, 3, 1)
    second = replace(operands, weight_values=values, input_values=inputs).image(1)
    assert second.batch == 1
    assert second.weight_values.ravel().tolist() == list(range(8, 16))
    assert second.input_values.ravel().tolist() == list(range(6, 12))
    assert np.array_equal(second.weights, operands.weights[4:])


@pytest.mark.parametrize(
    ("layer", "batch", "weights", "inputs", "allowed"),
    [
        (Layer("r", "gru", ("x",), (3, 4, 1), 2), 1, (6, 5, 1, 1), (1, 5, 4, 1), None),
        (Layer("r", "gru", ("x",), (3, 4, 1), 2), 1, (8, 5, 1, 1), (1, 5, 4, 1), r"\(6, 5, 1, 1\)"),
        (Layer("r", "gru", ("x",), (3, 4, 1), 2), 1, (6, 5, 1, 1), (1, 3, 4, 1), r"\(5, 4, 1\)"),
        (Layer("m", "matmul", ("a", "b"), (3, 4, 1), 2, mode="product"), 2, (4, 3, 1, 1), (2, 3, 4, 1), None),
        (Layer("m", "matmul", ("a", "b"), (3, 4, 1), 2, mode="product"), 2, (2, 3, 1, 1), (2, 3, 4, 1), r"\(4, 3,"),
    ],
)
def test_masks_of_sequence_layers_have_their_shapes(layer, batch, weights, inputs, allowed):
    operands = Operands(np.ones(weights, np.uint8), np.ones(inputs, np.uint8), 1.0)
    assert operands.batch == batch
    if allowed is None:
        operands.check_shapes(layer)
    else:
        with pytest.raises(WorkloadError, match=allowed):
            operands.check_shapes(layer)
