"""A network as a topology file of SCALE-Sim, as convolutions or as matrix products (GEMM).

SCALE-Sim knows no padding, groups, dilation or graph. A layer is written so that SCALE-Sim counts its MACs: the input
has the rows that windows reach, padding among them, the taps of a dilated kernel lie side by side, and every group is
a row. It runs M x N x K as a convolution of 1 x K filters over M x K words, and so are products written among them.
"""

import math
from collections.abc import Iterator

from archmodel.exchange.scale_sim_reader import DEPTHWISE
from archmodel.network.layer import Layer
from archmodel.network.network import Network

CONV_HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
GEMM_HEADER = "Layer, M, N, K,"
Row = tuple[str | int, ...]


def convolutions_text(network: Network) -> str:
    """The layers that multiply, as convolutions: name, input, filter, channels, filters, stride."""
    return _text(CONV_HEADER, [row for layer in network.compute_layers for row in _convolutions(layer)])


def products_text(network: Network) -> str:
    """The layers that multiply, as products of M x K with K x N, a row for every group."""
    return _text(GEMM_HEADER, [row for layer in network.compute_layers for row in _products(layer)])


def _text(header: str, rows: list[Row]) -> str:
    return "\n".join([header, *(", ".join(map(str, row)) + "," for row in rows), ""])


def _convolutions(layer: Layer) -> Iterator[Row]:
    if layer.kind == "fc":
        yield (_plain(layer.name), 1, 1, 1, 1, layer.C, layer.K, 1)
    elif layer.kind != "conv" or layer.stride[0] != layer.stride[1]:
        for name, M, N, K in _products(layer):
            yield (_plain(str(name)), M, K, 1, K, 1, N, 1)
    else:
        stride, (K, C, R, S) = layer.stride[0], layer.weight_shape
        window = ((layer.P - 1) * stride + R, (layer.Q - 1) * stride + S, R, S)
        if layer.groups > 1 and C == 1:
            name = layer.name if DEPTHWISE in layer.name else f"{layer.name}_{DEPTHWISE}"
            yield (name, *window, layer.C, K // layer.groups, stride)
        else:
            for name in _group_names(layer):
                yield (_plain(name), *window, C, K // layer.groups, stride)


def _products(layer: Layer) -> Iterator[Row]:
    """Rows of the input matrix are output positions, steps of a recurrent layer, or positions of a matmul."""
    K, *window = layer.weight_shape
    for name in _group_names(layer):
        yield (name, layer.P * layer.Q, K // layer.groups, math.prod(window))


def _group_names(layer: Layer) -> list[str]:
    return [layer.name] if layer.groups == 1 else [f"{layer.name}_group{group}" for group in range(layer.groups)]


def _plain(name: str) -> str:
    """A name that SCALE-Sim does not take for that of a depthwise convolution."""
    return name.replace(DEPTHWISE, DEPTHWISE.capitalize())
