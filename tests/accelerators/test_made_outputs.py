"""How far outputs may be apart: never less than what a step of each operand can change, and not much more."""

import itertools

import numpy as np
import pytest

from archmodel.accelerators.made_outputs import compare_made, of_gates, of_requantized_sums, sums_of
from archmodel.errors import ResultError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Made, Operands

EPSILON = np.finfo(np.float32).eps


def made(rule, outputs, **constants):
    return Made(rule, np.asarray(outputs), {name: np.asarray(value, float) for name, value in constants.items()})


def operands_of(weights, inputs, made=None, weight_step=1.0, input_step=1.0):
    weights, inputs = np.array(weights, np.int32), np.array(inputs, np.int32)
    masks = (weights != 0).astype(np.uint8), (inputs != 0).astype(np.uint8)
    return Operands(*masks, 1.0, weights, inputs, weight_step, input_step, made)


def test_a_step_of_every_operand_is_allowed_and_little_more():
    layer = Layer("y", "conv", ("x",), (4, 2, 3), 6, R=2, S=3, groups=2)
    rng = np.random.default_rng(0)
    weights, image = rng.integers(1, 50, (6, 2, 2, 3)), rng.integers(1, 50, (4, 2, 3))
    steps = {"weight_step": 0.5, "input_step": 0.25}
    outputs = np.zeros((1, 6, 1, 1), np.float32)
    sums, error = sums_of(layer, operands_of(weights, [image], **steps), weights, image, made("sum", outputs))
    exact = np.array([np.sum(weights[k] * image[2 * (k // 3) : 2 * (k // 3) + 2]) for k in range(6)]) / 8
    np.testing.assert_array_equal(sums[:, 0, 0], exact)
    moved = np.array([np.sum((weights[k] + 1) * (image[2 * (k // 3) : 2 * (k // 3) + 2] + 1)) for k in range(6)]) / 8
    # Twelve products, two operations more: the numbers become float32 before they are multiplied.
    np.testing.assert_allclose(error[:, 0, 0], moved - exact + 14 * EPSILON / 2 * exact, rtol=1e-12)


def test_integers_leave_nothing_out():
    layer = Layer("y", "fc", ("x",), (2, 1, 1), 1)
    weights, image = np.array([[3, 4]]).reshape(1, 2, 1, 1), np.array([5, 6]).reshape(2, 1, 1)
    of_floats, of_integers = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.int32)
    operands = operands_of(weights, [image])
    assert sums_of(layer, operands, weights, image, made("sum", of_integers))[1] == 0
    sums, error = sums_of(layer, operands, weights, image, made("sum", of_floats))
    assert sums == 39
    np.testing.assert_allclose(error, 4 * EPSILON / 2 * 39)


@pytest.mark.parametrize(("found", "fits"), [(39.5, True), (39.5001, False), (38.4999, False)])
def test_bias_and_factors_belong_to_the_outputs(found, fits):
    layer = Layer("y", "fc", ("x",), (2, 1, 1), 1)
    outputs = np.full((1, 1, 1, 1), found, np.float32)
    operands = operands_of(
        np.array([[3, 4]]).reshape(1, 2, 1, 1), np.array([5, 6]).reshape(1, 2, 1, 1),
        made("sum", outputs, alpha=0.5, beta=2, bias=[10]),
    )
    if fits:
        assert compare_made(layer, operands, 0) == "onnxruntime: 0 of what rounding can make"
    else:
        with pytest.raises(ResultError, match=r"output \[0, 0, 0, 0\] is 39.5, onnxruntime's"):
            compare_made(layer, operands, 0)


def test_requantized_sums_are_rounded_half_to_even_and_clipped():
    scales = {"input_scale": [0.5], "weight_scale": [0.5, 0.5, 0.5, 0.25], "output_scale": [0.5], "zero_point": [3]}
    sums = np.array([1.0, 3.0, 1000.0, -1000.0]).reshape(4, 1, 1)
    rule = made("requantized", np.zeros((1, 4, 1, 1), np.uint8), bias=[0, 2, 0, 0], **scales)
    expected, allowed = of_requantized_sums(rule, sums, np.zeros(1), 0)
    assert expected[:, 0, 0].tolist() == [3, 5, 255, 0]  # 0.5 -> 0, 2.5 -> 2, then the zero point
    assert np.all(allowed == 0)


def lstm(gates, cell):
    """States and cells of steps of gates [4, T], by the definition."""
    states, cells = [], []
    for i, o, f, g in gates.T:
        i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
        cell = f * cell + i * np.tanh(g)
        states.append(o * np.tanh(cell))
        cells.append(cell)
    return states, cells


def test_errors_of_gates_add_up_in_the_cell():
    rng = np.random.default_rng(1)
    rule = made("lstm", np.zeros((1, 1, 2, 1), np.float32), bias=np.zeros(4), cells=[[0.7]], backward=False)
    happens, bounds = 0.0, 0.0
    for _ in range(50):
        gates, errors = rng.normal(size=(4, 2)), rng.uniform(0, 0.02, (4, 2))
        sums, wrong = gates[:, :, np.newaxis], errors[:, :, np.newaxis]
        expected, allowed = of_gates(rule, sums, wrong, 0)
        states, _ = lstm(gates, 0.7)
        np.testing.assert_allclose(expected[0, :, 0], states, rtol=1e-12)
        signs = np.array(list(itertools.product((-1, 1), repeat=8))).reshape(-1, 4, 2)
        worst = np.max([np.abs(np.subtract(lstm(gates + sign * errors, 0.7)[0], states)) for sign in signs], axis=0)
        assert np.all(worst <= allowed[0, :, 0])
        happens, bounds = happens + worst, bounds + allowed[0, :, 0]
    assert np.all(bounds < 2.5 * happens)  # it takes the steepest slopes of sigmoid and tanh


def test_integers_that_differ_by_one_are_noticed():
    layer = Layer("y", "fc", ("x",), (2, 1, 1), 1)
    rule = made("sum", np.full((1, 1, 1, 1), 40, np.int32), alpha=1, beta=1, bias=[0])
    operands = operands_of(np.array([[3, 4]]).reshape(1, 2, 1, 1), np.array([5, 6]).reshape(1, 2, 1, 1), rule)
    with pytest.raises(ResultError, match=r"is 39, onnxruntime's 40; they may differ by 0$"):
        compare_made(layer, operands, 0)
