"""Bytes that a step reads and writes, of every tensor once; workspace apart."""

from typing import NamedTuple

from archmodel.network import Layer
from archmodel.training.backward import Operand, backward_needs, saved_bytes
from archmodel.training.choices import TrainingChoices
from archmodel.training.steps import Operation

Shape = tuple[object, ...]


class StepBytes(NamedTuple):
    """From and to the memory of a device."""

    read: int
    written: int

    @property
    def moved(self) -> int:
        """Both."""
        return self.read + self.written


def step_bytes(layer: Layer, operation: Operation, batch: int, choices: TrainingChoices) -> StepBytes:
    """What a step of a layer moves; a summand of a gradient that another step wrote is left out.

    A loss reads the output and writes its gradient. An update reads dW, and reads and writes the weights and what the
    optimizer keeps; in mixed precision it does so with the master copy, and only writes the weights.
    """
    y, dw = batch * layer.output_words * choices.storage_bytes, layer.parameters * choices.storage_bytes
    x = batch * _input_words(layer) * choices.storage_bytes
    saved = saved_bytes(layer, batch, choices)
    if operation == "loss":
        return StepBytes(y, y)
    if operation == "update":
        kept = (1 + choices.state_words) * layer.parameters * choices.master_bytes
        return StepBytes(dw + kept, kept + (dw if choices.precision == "mixed" else 0))
    sizes: dict[Operand, int] = {"X": x, "Y": y, "W": dw, "saved": saved}
    needs = backward_needs(layer, choices)
    if operation == "data_gradient":
        return StepBytes(y + sum(sizes[operand] for operand in needs.data_gradient), x)
    if operation == "weight_gradient":
        return StepBytes(y + sum(sizes[operand] for operand in needs.weight_gradient), dw)
    return StepBytes(x + dw, y + saved)


def _input_words(layer: Layer) -> int:
    """All that a layer reads of an image; a matmul has a second input."""
    return layer.input_words + (layer.weight_words if layer.kind == "matmul" else 0)


def shape_of(layer: Layer) -> Shape:
    """All of a layer but its name and whom it reads: layers of one shape take one time."""
    return (len(layer.inputs), *(value for key, value in vars(layer).items() if key not in ("name", "inputs")))
