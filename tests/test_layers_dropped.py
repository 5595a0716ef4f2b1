"""A run on real inputs holds the arrays of one layer at a time, however many layers and images there are."""

import weakref

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from archmodel.capture.onnx_run import ModelRun
from archmodel.operands.sources import OperandSource
from archmodel.simulation import simulate
from tests.exchange.onnx_models import floats, model_of, node, save

NUM_LAYERS, C, SIZE, NUM_IMAGES = 12, 4, 9, 3


class Watched:
    """What a function returned and how many arrays of it are still alive."""

    def __init__(self, function, arrays_of):
        self.function, self.arrays_of = function, arrays_of
        self.references = []

    def __call__(self, *arguments):
        returned = self.function(*arguments)
        self.references += [weakref.ref(array) for array in self.arrays_of(returned)]
        return returned

    @property
    def num_alive(self):
        return sum(reference() is not None for reference in self.references)


@pytest.mark.parametrize("check", [False, True])
def test_when_a_layer_begins_nothing_of_those_before_is_left(check, tmp_path, monkeypatch):
    nodes, tensor = [], "x"
    for layer in range(NUM_LAYERS):
        nodes.append(node("Conv", [tensor, f"w{layer}"], f"conv{layer}", pads=[1, 1, 1, 1]))
        nodes.append(node("Relu", [f"conv{layer}"], f"relu{layer}"))
        tensor = f"relu{layer}"
    weights = {f"w{layer}": floats(C, C, 3, 3, seed=layer) - 1 for layer in range(NUM_LAYERS)}
    path = save(model_of(nodes, {"x": ("n", C, SIZE, SIZE)}, weights), tmp_path)
    np.save(tmp_path / "x.npy", floats(NUM_IMAGES, C, SIZE, SIZE))

    made = Watched(
        OperandSource.operands,
        lambda one: [
            array for array in (one.weights, one.inputs, one.weight_values, one.input_values) if array is not None
        ],
    )
    read = Watched(ModelRun.tensor, lambda array: [array])
    alive = []

    def operands(source, layer):
        alive.append((made.num_alive, read.num_alive))
        return made(source, layer)

    monkeypatch.setattr(OperandSource, "operands", operands)
    monkeypatch.setattr(ModelRun, "tensor", lambda run, name, place=0: read(run, name, place))
    simulate("scnn", str(path), inputs=[str(tmp_path / "x.npy")], check=check)
    assert alive == [(0, 0)] * NUM_LAYERS
    assert len(made.references) == NUM_LAYERS * (4 if check else 2)
    assert len(read.references) >= NUM_LAYERS * NUM_IMAGES
