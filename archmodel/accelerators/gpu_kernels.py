"""What the passes of a layer move and multiply on a GPU, convolutions apart: words, and how well they stream."""

from dataclasses import dataclass

from archmodel.accelerators.conv_algorithms import Pass
from archmodel.network.layer import GATES, Layer

MATRIX_KINDS = ("fc", *GATES, "matmul")


@dataclass(frozen=True)
class Traffic:
    """One pass over N images: multiply-adds of a matrix product, words to and from memory."""

    operations: int = 0
    words: float = 0


def traffic(layer: Layer, which: Pass, N: int) -> Traffic:
    """What a layer does in a pass beside its convolution: its matrix product, its bias, or all of another kind.

    Layers without weights have their whole backward step in the data gradient.
    """
    if layer.kind in MATRIX_KINDS:
        return _matrix_product(layer, which, N)
    if layer.kind == "conv":
        return Traffic(words=_bias_words(layer, which, N))
    if which == "weight_gradient":
        return Traffic(words=_norm_gradient_words(layer, N))
    x, y = N * layer.input_words, N * layer.output_words
    if layer.kind == "pool":
        rows = reread(layer) * x
        return Traffic(words=rows + y if which == "forward" else rows + x + 2 * y)
    forward, backward = _streams(layer)
    return Traffic(words=x + (forward - 1) * y if which == "forward" else x + (backward - 1) * y)


def reread(layer: Layer) -> float:
    """How often a pool fetches a row: by every window row that has it; neighbours in a row share the cache."""
    return max(1.0, layer.R / layer.stride[0])


def _streams(layer: Layer) -> tuple[int, int]:
    """Tensors that the kernels of a kind read or write forward and backward, the first one of the inputs' size."""
    if layer.kind == "norm":  # statistics or scales in a first pass, then the result; dX of X, dY and these
        return 3, 5
    return {"activation": (2, 3), "softmax": (2, 3), "dropout": (3, 3), "multiply": (2, 4)}.get(layer.kind, (2, 2))


def _bias_words(layer: Layer, which: Pass, N: int) -> int:
    """A kernel of its own adds the bias to Y; another sums dY over all positions."""
    y = N * layer.output_words if layer.bias_words else 0
    return {"forward": 2 * y, "data_gradient": 0, "weight_gradient": y}[which]


def _norm_gradient_words(layer: Layer, N: int) -> int:
    """Scales and shifts of a norm are summed over X and dY."""
    return 2 * N * layer.input_words if layer.parameters and layer.kind == "norm" else 0


def _matrix_product(layer: Layer, which: Pass, N: int) -> Traffic:
    """X, Y and the weights once; a recurrent layer fetches its weights each step, a matmul has some for each image."""
    if layer.kind in GATES:
        fetched = layer.H * layer.weight_words
    else:
        fetched = (N if layer.kind == "matmul" else 1) * layer.weight_words
    words = fetched + N * (layer.input_words + layer.output_words)
    return Traffic(N * layer.macs, words + _bias_words(layer, which, N))
