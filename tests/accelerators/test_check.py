"""The reference convolution, the values that fill masks, and `--check` of both machines on layers of real networks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel import simulate
from archmodel.accelerators import check, dcnn, scnn_check, scnn_fc
from archmodel.accelerators.check import compare_outputs, exact_type, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.errors import ResultError
from archmodel.memory.dram import load_memory
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands

LARGEST = 2**31 - 1


@st.composite
def conv_layers(draw):
    groups = draw(st.integers(1, 3))
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    (R, S), stride, dilation = draw(pair), draw(pair), draw(pair)
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    height = draw(st.integers(max(1, dilation[0] * (R - 1) + 1 - sum(padding[:2])), 8))
    width = draw(st.integers(max(1, dilation[1] * (S - 1) + 1 - sum(padding[2:])), 8))
    channels, kernels = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return Layer("conv", "conv", ("x",), (channels, height, width), kernels, R, S, stride, padding, dilation, groups)


fc_layers = st.builds(lambda C, K: Layer("ip", "fc", ("x",), (C, 1, 1), K), C=st.integers(1, 20), K=st.integers(1, 5))


def by_definition(layer, weights, image):
    """Every output by four loops over Python's integers, the padding as zeros."""
    outputs = []
    for k in range(layer.K):
        first = k // (layer.K // layer.groups) * (layer.C // layer.groups)
        plane = []
        for p in range(layer.P):
            row = []
            for q in range(layer.Q):
                total = 0
                for c in range(layer.C // layer.groups):
                    for r in range(layer.R):
                        for s in range(layer.S):
                            h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
                            w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
                            if 0 <= h < layer.H and 0 <= w < layer.W:
                                total += int(weights[k, c, r, s]) * int(image[first + c, h, w])
                row.append(total)
            plane.append(row)
        outputs.append(plane)
    return outputs


def some_values(shape, largest, seed):
    return np.random.default_rng(seed).integers(-largest, largest, shape, np.int32, endpoint=True)


@settings(max_examples=150, deadline=None)
@given(st.one_of(conv_layers(), fc_layers), st.sampled_from([1, 127, 2**20]), st.integers(0, 2**32))
def test_the_reference_is_the_definition_of_a_layer(layer, largest, seed):
    weights, image = some_values(layer.weight_shape, largest, seed), some_values(layer.input_shape, largest, seed + 1)
    assert reference_outputs(layer, weights, image).tolist() == by_definition(layer, weights, image)


@pytest.mark.parametrize(("channels", "largest"), [(1, LARGEST), (30, 2**29)])
def test_the_largest_values_are_exact(channels, largest):
    layer = Layer("conv", "conv", ("x",), (channels, 3, 3), 2)
    weights, image = some_values(layer.weight_shape, largest, 0), some_values(layer.input_shape, largest, 1)
    weights.flat[0] = image.flat[0] = largest
    assert reference_outputs(layer, weights, image).tolist() == by_definition(layer, weights, image)


@pytest.mark.parametrize(("channels", "R", "S"), [(9, 1, 1), (1, 9, 1), (1, 1, 9)])
def test_a_sum_is_exact_where_only_its_products_are_small(channels, R, S):
    layer = Layer("conv", "conv", ("x",), (channels, R, S), 1, R, S)
    value = 2**26 - 1  # nine products below 2**53 with an odd sum above it
    weights, image = (np.full(shape, value, np.int32) for shape in (layer.weight_shape, layer.input_shape))
    assert reference_outputs(layer, weights, image).tolist() == [[[9 * value**2]]]


@pytest.mark.parametrize("arch", ["scnn", "dcnn"])
@pytest.mark.parametrize("kind", ["conv", "fc"])
def test_the_largest_values_are_exact_in_the_modelled_dataflow(arch, kind):
    shape, kernel = ((8, 5, 5), (2, 2)) if kind == "conv" else ((32, 1, 1), (1, 1))
    layer = Layer("wide", kind, ("x",), shape, 3, *kernel)
    weights, inputs = some_values(layer.weight_shape, 2**29, 0), some_values((1, *shape), 2**29, 1)
    masks = (np.ones(weights.shape, np.uint8), np.ones(inputs.shape, np.uint8))
    operands = Operands(*masks, 1.0, weights, inputs)
    assert load_machine(arch).run_layer(layer, operands, Context(load_memory("ideal"), check=True)).checked


# Values where only masks are known


def filled(layer, seed=0, **values):
    rng = np.random.default_rng(7)
    weights = (rng.random(layer.weight_shape) < 0.5).astype(np.uint8)
    inputs = (rng.random((2, *layer.input_shape)) < 0.5).astype(np.uint8)
    operands = Operands(weights, inputs, 1.0, **values)
    return operands, *values_of(layer, operands, seed)


LAYER = Layer("conv", "conv", ("x",), (4, 9, 9), 8, 3, 3)


def test_masks_are_filled_with_non_zero_integers_of_both_signs():
    operands, weights, inputs = filled(LAYER)
    for mask, values in ((operands.weights, weights), (operands.inputs, inputs)):
        assert ((values != 0) == (mask != 0)).all()
        assert values.min() < -64
        assert values.max() > 64
        assert np.abs(values).max() <= 127


def test_the_filling_is_a_function_of_seed_layer_and_operand():
    _, weights, inputs = filled(LAYER)
    assert (filled(LAYER)[1] == weights).all()
    assert (filled(LAYER, seed=1)[1] != weights).any()
    assert (filled(dataclasses.replace(LAYER, name="other"))[1] != weights).any()
    square = Layer("square", "conv", ("x",), (8, 3, 3), 2, 3, 3)  # operands of one shape
    ones = np.ones((2, 8, 3, 3), np.uint8)
    weights, inputs = values_of(square, Operands(ones, ones, 1.0), 0)
    assert (weights != inputs).any()


def test_known_values_are_used_where_the_mask_has_them():
    known = some_values(LAYER.weight_shape, 1000, 3)
    operands, weights, _ = filled(LAYER, weight_values=known)
    assert (weights == np.where(operands.weights, known, 0)).all()


# Wrong outputs are errors that say where


def test_a_wrong_output_is_an_error_with_layer_and_position():
    expected = some_values((3, 4, 5), 100, 0).astype(np.int64)
    compare_outputs(LAYER, expected.copy(), expected)
    for position in np.ndindex(expected.shape):
        wrong = expected.copy()
        wrong[position] += 1
        with pytest.raises(ResultError) as error:
            compare_outputs(LAYER, wrong, expected)
        assert str(error.value).startswith(f"{LAYER.name}: --check: output {list(position)} ")


def test_outputs_of_another_shape_are_an_error():
    with pytest.raises(ResultError, match="conv: --check: output shape"):
        compare_outputs(LAYER, np.zeros((3, 4, 4), np.int64), np.zeros((3, 4, 5), np.int64))


def test_a_dataflow_that_gets_its_sums_wrong_is_found(monkeypatch):
    honest = {"tiled_outputs": dcnn.tiled_outputs, "accumulate_products": scnn_check.accumulate_products}

    def off_by_one(name):
        def corrupted(*arguments):
            outputs = honest[name](*arguments)
            outputs[outputs != 0] += 1
            return outputs

        return corrupted

    for module, name, arch in ((dcnn, "tiled_outputs", "dcnn"), (scnn_check, "accumulate_products", "scnn")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, off_by_one(name))
            with pytest.raises(ResultError, match=r"^conv2: --check: output \[\d+, \d+, \d+\]"):
                simulate(arch, "lenet5", layers="conv2", check=True)
        assert simulate(arch, "lenet5", layers="conv2", check=True).layers[0].checked


@pytest.mark.parametrize(
    ("arch", "module", "layer"),
    [("dcnn", check, "conv1"), ("dcnn", check, "ip2"), ("scnn", scnn_check, "conv1"), ("scnn", scnn_fc, "ip2")],
    ids=str,
)
def test_a_difference_in_the_last_image_of_any_kind_of_layer_is_found(monkeypatch, arch, module, layer):
    images = []

    def wrong_for_the_second(*arguments):
        images.append(arguments)
        return reference_outputs(*arguments) + (len(images) == 2)

    monkeypatch.setattr(module, "reference_outputs", wrong_for_the_second)
    with pytest.raises(ResultError, match=rf"^{layer}: --check: output \[0, 0, 0\]"):
        simulate(arch, "lenet5", layers=layer, batch=2, check=True)
    assert len(images) == 2


# Layers of real networks

CHECKED = [
    ("lenet5", "*", 1),
    ("lenet5", "*", 3),
    ("squeezenet_pruned", "fire8/*,fire9/*,conv10", 1),
    ("alexnet_scnn", "conv1", 1),
    ("alexnet_scnn", "conv2_1", 1),
    ("alexnet", "conv2,conv5", 1),  # groups
    ("googlenet", "inception_5a/*,loss3/classifier", 1),
]


@pytest.mark.parametrize(("net", "layers", "batch"), CHECKED, ids=lambda value: str(value))
def test_both_machines_compute_the_outputs_of_published_layers(net, layers, batch):
    run = simulate("scnn", net, layers=layers, batch=batch, baseline="dcnn", check=True)
    assert all(layer.checked for layer in (*run.layers, *run.baseline.layers))
    assert not any(layer.checked for layer in simulate("dcnn", "lenet5", layers="ip2").layers)


STRIDED = """
title = "A strided stem"
source = "test"
zeros_source = "test"
inputs = {image = [3, 39, 37]}
layers = [
    {name = "conv1", kind = "conv", K = 8, kernel = 11, stride = 4, weight_density = 0.8, input_density = 1.0},
    {name = "conv2", kind = "conv", K = 6, kernel = [3, 5], stride = [1, 2], padding = [0, 1, 2, 3], groups = 2, weight_density = 0.5, input_density = 0.5},
    {name = "conv3", kind = "conv", K = 4, kernel = 3, dilation = [2, 1], padding = 2, weight_density = 0.5, input_density = 0.5},
    {name = "conv4", kind = "conv", K = 5, kernel = 1, stride = 3, weight_density = 0.5, input_density = 0.5},
]
"""  # noqa: E501


@pytest.mark.parametrize("policy", ["pe.rows=8", "pe.rows=2", "tile_plane=padded", "buffers.iaram_bytes=64"])
def test_strides_dilation_groups_and_asymmetric_padding_are_computed_right(tmp_path, policy):
    path = tmp_path / "stem.toml"
    path.write_text(STRIDED)
    run = simulate("scnn", str(path), assignments=(policy,), baseline="dcnn", check=True, batch=2)
    assert [layer.checked for layer in run.layers] == [True] * 4


@pytest.mark.parametrize(("largest", "expected"), [(2**26 - 1, np.float64), (2**26, np.int64)])
def test_sums_are_of_floats_as_long_as_these_hold_them(largest, expected):
    layer = Layer("ip", "fc", ("x",), (2, 1, 1), 1)
    weights, image = (np.array([largest, -largest], np.int32).reshape(shape) for shape in ((1, 2, 1, 1), (2, 1, 1)))
    assert exact_type(layer, weights, image) is expected  # two products of 2**52 are 2**53
    assert reference_outputs(layer, weights, image).tolist() == [[[2 * largest**2]]]
