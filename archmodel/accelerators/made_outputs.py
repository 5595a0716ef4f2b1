"""`--check` against another program: outputs of the checked dataflow beside those that onnxruntime made.

A machine's dataflow equals the reference sums to the last bit (check.py). Here the same sums, of integers that stand
for the real values, give the outputs by the rule of the layer's operator. Integers must be equal. Floats may differ by
what the integers leave out, at most a step of each operand, and by what sums in the program's own precision round off:
n u of the sum of all magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.check import reference_outputs, values_of
from archmodel.errors import ResultError
from archmodel.network.layer import GATES, Layer
from archmodel.operands.operands import Made, Operands, Values

Reals = npt.NDArray[np.float64]
EQUAL = "onnxruntime: equal"
FUNCTION_ERROR = 1e-6  # of onnxruntime's sigmoid and tanh, rational approximations; a test measures them


def compare_made(layer: Layer, operands: Operands, seed: int) -> str:
    """What was compared and how far outputs are apart, in words; ResultError where they differ by more than allowed."""
    made = operands.made
    assert made is not None
    weights, inputs = values_of(layer, operands, seed)
    worst = 0.0
    for image, outputs in enumerate(made.outputs):
        own = operands.image(image) if layer.kind == "matmul" else operands
        kernels = weights[image * layer.K : (image + 1) * layer.K] if layer.kind == "matmul" else weights
        sums, error = sums_of(layer, own, kernels, inputs[image], made)
        expected, allowed = RULES[made.rule](made, sums, error, image)
        worst = max(worst, share_of_allowed(layer, image, outputs, expected, allowed))
    if made.outputs.dtype.kind in "iu":
        return EQUAL
    return f"onnxruntime: {worst:.2g} of what rounding can make"


def sums_of(layer: Layer, operands: Operands, weights: Values, image: Values, made: Made) -> tuple[Reals, Reals]:
    """Sums of products in real units, [K, P, Q] or of all gates [gates x K, T, 1], and how wrong each can be."""
    if layer.kind in GATES:
        shape = layer.multiplied_shape
        layer = Layer(layer.name, "conv", layer.inputs, shape, layer.weight_shape[0])
    step = operands.weight_step * operands.input_step
    sums = reference_outputs(layer, weights, image).astype(np.float64) * step
    if made.outputs.dtype.kind in "iu":
        return sums, np.zeros(1)
    magnitudes = np.abs(weights), np.abs(image)
    num_products = layer.C // layer.groups * layer.R * layer.S
    unit = (num_products + 2) * epsilon(made) / 2 * step
    rounded = reference_outputs(layer, *magnitudes).astype(np.float64) * unit
    if operands.weight_step == operands.input_step == 1:
        return sums, rounded
    ones = replace(layer, K=layer.groups)
    of_inputs = reference_outputs(ones, np.ones(ones.weight_shape, np.int32), magnitudes[1])
    of_weights = magnitudes[0].sum(axis=(1, 2, 3), dtype=np.int64)[:, np.newaxis, np.newaxis]
    left_out = np.repeat(of_inputs, layer.K // layer.groups, axis=0) + of_weights + num_products
    return sums, rounded + left_out * step


def epsilon(made: Made) -> float:
    """The distance of 1 to the next number in which outputs are; 0 for integers."""
    return 0.0 if made.outputs.dtype.kind in "iu" else float(np.finfo(made.outputs.dtype).eps)


def of_sums(made: Made, sums: Reals, error: Reals, image: int) -> tuple[Reals, Reals]:
    """Sums with their bias, [K] or one for all."""
    alpha, beta = (float(made.constants[name]) for name in ("alpha", "beta"))
    bias = made.constants["bias"].astype(np.float64).reshape(-1, 1, 1)
    expected = alpha * sums + beta * bias
    return expected, abs(alpha) * error + epsilon(made) * (np.abs(expected) + np.abs(beta * bias))


def of_requantized_sums(made: Made, sums: Reals, error: Reals, image: int) -> tuple[Reals, Reals]:
    """Sums and an integer bias in steps of the output's scale, rounded half to even, in the range of its type."""
    of_input, of_weights, of_output = (
        made.constants[f"{name}_scale"].astype(np.float32) for name in ("input", "weight", "output")
    )
    scale = (of_input * of_weights / of_output).reshape(-1, 1, 1)
    zero_point, limits = int(made.constants["zero_point"].reshape(-1)[0]), np.iinfo(made.outputs.dtype)
    steps: npt.NDArray[Any] = (sums + made.constants["bias"].reshape(-1, 1, 1)).astype(np.float32) * scale
    return np.clip(np.rint(steps) + zero_point, limits.min, limits.max).astype(np.float64), np.zeros(1)


def of_gates(made: Made, sums: Reals, error: Reals, image: int) -> tuple[Reals, Reals]:
    """States of an LSTM from its gates, in ONNX's order: input, output, forget, cell."""
    gates = (sums[:, :, 0] + made.constants["bias"][:, np.newaxis]).reshape(4, -1, sums.shape[1])
    gate_errors = error[:, :, 0].reshape(gates.shape)
    cell = made.constants["cells"][image].astype(np.float64)
    cell_error = np.zeros_like(cell)
    states, state_errors = np.empty(gates.shape[1:]), np.empty(gates.shape[1:])
    for step in steps_of(made, gates.shape[2]):
        i, o, f = (sigmoid(gates[gate, :, step]) for gate in range(3))
        g = np.tanh(gates[3, :, step])
        di, do, df = (gate_errors[gate, :, step] / 4 + FUNCTION_ERROR for gate in range(3))
        dg = gate_errors[3, :, step] + FUNCTION_ERROR
        cell_error = f * cell_error + np.abs(cell) * df + i * dg + np.abs(g) * di + df * cell_error + di * dg
        cell = f * cell + i * g
        states[:, step] = o * np.tanh(cell)
        state_errors[:, step] = do * (np.abs(np.tanh(cell)) + cell_error) + o * cell_error + FUNCTION_ERROR
    return states[:, :, np.newaxis], state_errors[:, :, np.newaxis]


def of_single_gate(made: Made, sums: Reals, error: Reals, image: int) -> tuple[Reals, Reals]:
    """States of a plain recurrent layer: the tanh of its sums."""
    return np.tanh(sums + made.constants["bias"].reshape(-1, 1, 1)), error + FUNCTION_ERROR


RULES: dict[str, Callable[[Made, Reals, Reals, int], tuple[Reals, Reals]]] = {
    "sum": of_sums,
    "requantized": of_requantized_sums,
    "lstm": of_gates,
    "rnn": of_single_gate,
}


def steps_of(made: Made, num_steps: int) -> range:
    """Steps in the order in which the states follow each other."""
    return range(num_steps - 1, -1, -1) if made.constants["backward"] else range(num_steps)


def sigmoid(values: Reals) -> Reals:
    return 0.5 * (1 + np.tanh(values / 2))


def share_of_allowed(
    layer: Layer, image: int, outputs: npt.NDArray[np.generic], expected: Reals, allowed: Reals
) -> float:
    """The largest difference as a share of what is allowed; ResultError where it is more."""
    found = outputs.astype(np.float64)
    difference = np.abs(found - expected)
    allowed = np.broadcast_to(allowed, difference.shape)
    wrong = difference > allowed
    if wrong.any():
        first = np.argwhere(wrong)[0]
        where = tuple(first)
        raise ResultError(
            f"{layer.name}: --check: output {[image, *first.tolist()]} is {expected[where]:.6g}, onnxruntime's"
            f" {found[where]:.6g}; they may differ by {allowed[where]:.2g}"
        )
    positive = allowed > 0
    return float((difference[positive] / allowed[positive]).max(initial=0.0))
