"""What configs/published/pruned_totals.toml measures: the weights that pruning to the published densities leaves."""

import numpy as np

from archmodel.exchange import read_network
from archmodel.network import Layer
from archmodel.validation.scnn import Measured
from archmodel.weights.magnitude import Weights
from archmodel.weights.pruning import profile, pruned_by_layer

NETS = ("alexnet", "vgg16")
SEED = 0


def measure_pruned_totals() -> Measured:
    """Values of configs/published/pruned_totals.toml."""
    return {net: num_nonzeros_left(net) for net in NETS}, {}


def num_nonzeros_left(net: str) -> int:
    """Non-zeros of random weights, one layer at a time, pruned to the densities of the network's file."""
    network = read_network(net)
    densities = profile(network)
    return sum(
        int(np.count_nonzero(pruned_by_layer({layer.name: random_weights(layer)}, densities)[layer.name]))
        for layer in network.compute_layers
    )


def random_weights(layer: Layer) -> Weights:
    """float32 of the layer's shape, between -1/2 and 1/2."""
    rng = np.random.default_rng([SEED, layer.weight_words])
    return rng.random(layer.weight_shape, np.float32) - np.float32(0.5)
