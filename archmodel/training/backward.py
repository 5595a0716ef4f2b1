"""What a layer of every kind leaves for its backward steps, and what these read."""

from dataclasses import dataclass
from typing import Literal

from archmodel.network import Layer, Network
from archmodel.network.layer import GATES
from archmodel.training.choices import TrainingChoices

# X: all that the layer reads; Y: its output; W: its weights; saved: what its forward step left; dY is always read.
Operand = Literal["X", "Y", "W", "saved"]

FROM_OUTPUT = ("relu", "clipped_relu", "sigmoid", "tanh")  # activations whose slope follows from Y
INDEX_BYTES = 4
STATISTIC_BYTES = 4  # means and inverse deviations stay in FP32


@dataclass(frozen=True)
class Needs:
    """What the two backward steps of a layer read beside dY; a layer without parameters has no weight gradient."""

    data_gradient: tuple[Operand, ...] = ()
    weight_gradient: tuple[Operand, ...] = ()

    @property
    def output(self) -> bool:
        """Whether a backward step reads Y, so that nobody may overwrite it."""
        return "Y" in self.data_gradient + self.weight_gradient


def backward_needs(layer: Layer, choices: TrainingChoices) -> Needs:
    """What the backward steps of a layer read beside dY.

    An other is unknown: all that it reads is kept. An embedding passes no gradient to the numbers that it reads.
    """
    match layer.kind:
        case "conv" | "fc":
            return Needs(("W",), ("X",))
        case "lstm" | "gru" | "rnn":
            return Needs(("W", "Y", "saved"), ("X", "Y", "saved"))
        case "norm" if layer.mode == "lrn":
            return Needs(("X", "Y"))
        case "norm":
            return Needs(("X", "W", "saved"), ("X", "saved"))
        case "activation":
            return Needs(("Y",) if layer.mode in FROM_OUTPUT else ("X",))
        case "pool" if layer.mode == "max":
            return Needs(("saved",) if choices.max_pool == "indices" else ("X", "Y"))
        case "softmax":
            return Needs(("Y",))
        case "dropout":
            return Needs(("saved",))
        case "matmul" | "multiply" | "other":
            return Needs(("X",))
        case "embedding":
            return Needs((), ("X",))
        case _:  # pool of averages, add, concat, slice: dY alone
            return Needs()


def makes_data_gradient(network: Network, layer: Layer) -> bool:
    """Whether something that the layer reads needs a gradient; an embedding passes none on."""
    return layer.kind != "embedding" and not network.learning.isdisjoint(layer.inputs)


def saved_bytes(layer: Layer, batch: int, choices: TrainingChoices) -> int:
    """Bytes that a forward step leaves for the backward steps beside Y.

    A batch norm: mean and inverse deviation of each channel; instance, layer and rms norms those of what they average
    over; a group norm at most as many as an instance norm. A recurrent layer: its gates, an LSTM its cells too.
    """
    words = batch * layer.output_words
    if layer.kind == "dropout":
        return -(-words * choices.dropout_mask_bits // 8)
    if layer.kind == "pool" and layer.mode == "max" and choices.max_pool == "indices":
        return words * INDEX_BYTES
    if layer.kind == "norm":
        positions = batch * layer.P * layer.Q
        statistics = {"lrn": 0, "batch": 2 * layer.C, "layer": 2 * positions, "rms": positions}
        return STATISTIC_BYTES * statistics.get(layer.mode, 2 * batch * layer.C)
    if layer.kind in GATES:
        return words * (GATES[layer.kind] + (layer.kind == "lstm")) * choices.storage_bytes
    return 0


def may_overwrite(layer: Layer, producer: Layer, choices: TrainingChoices) -> bool:
    """Whether ``layer`` may write its output over that of ``producer``, of which it is the only reader.

    An activation whose slope follows from its output may, and a dropout; but not over a map that the producer's own
    backward step reads. A dropout over a ReLU's may: what it drops has no gradient, the other signs stay.
    """
    if layer.kind == "dropout" and producer.kind == "activation" and producer.mode == "relu":
        return True
    overwrites = layer.kind == "dropout" or (layer.kind == "activation" and layer.mode in FROM_OUTPUT)
    return overwrites and not backward_needs(producer, choices).output
