"""Bytes of the steps that any device makes alike: the gradient of the loss and the update of the weights."""

from archmodel.network import Layer
from archmodel.training.choices import TrainingChoices

Shape = tuple[object, ...]


def loss_bytes(layer: Layer, batch: int, choices: TrainingChoices) -> int:
    """The output of the network is read, its gradient written; labels are a word an image at most."""
    return 2 * batch * layer.output_words * choices.storage_bytes


def update_bytes(layer: Layer, choices: TrainingChoices) -> int:
    """dW is read; what the optimizer keeps and the weights that it changes are read and written.

    In mixed precision it changes the master copy, and the stored weights are only written.
    """
    stored = 2 if choices.precision == "mixed" else 1  # dW, and W where it is another copy
    kept = 1 + choices.state_words
    return layer.parameters * (stored * choices.storage_bytes + 2 * kept * choices.master_bytes)


def shape_of(layer: Layer) -> Shape:
    """All of a layer but its name and whom it reads: layers of one shape take one time."""
    return (len(layer.inputs), *(value for key, value in vars(layer).items() if key not in ("name", "inputs")))
