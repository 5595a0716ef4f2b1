"""Pruning: which weights of trained layers survive, by their magnitude.

A mask says where weights survive, bool of the weights' shape; a mapping of layers is pruned one layer at a time, each
when it is asked for. Activations are not touched: those of the pruned network are others (docs/pruning.md).
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from archmodel.errors import WorkloadError, did_you_mean, show
from archmodel.network.network import Network
from archmodel.operands.archive import real_mask
from archmodel.operands.synthetic import space_to_depth_cells
from archmodel.weights.magnitude import (
    CELLS_AT_A_TIME,
    Cut,
    Keep,
    Layers,
    Weights,
    above,
    check_density,
    finite_range,
    largest,
    layer_text,
)

Densities = float | Mapping[str, float]  # of every layer, or by the name of the layer


class Pruned(Mapping[str, Weights]):
    """Layers whose weights are zero but where a mask keeps them; a layer is made when it is asked for.

    mask_of : name and weights of a layer to its mask
    """

    def __init__(self, layers: Layers, mask_of: Callable[[str, Weights], Keep]) -> None:
        self.layers, self.mask_of = layers, mask_of

    def __getitem__(self, name: str) -> Weights:
        weights = self.layers[name]
        return pruned(weights, self.mask_of(name, weights))

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def pruned(weights: Weights, keep: Keep) -> Weights:
    """The weights of a mask, zero elsewhere; of the same type."""
    return np.where(keep, weights, weights.dtype.type(0))


def keep_largest(weights: Weights, density: float, name: str = "") -> Keep:
    """Mask of the round(density * size) weights of largest magnitude; of equal ones the first in C order survive.

    Where the array has fewer non-zeros than that, all survive and so do the first zeros.
    """
    check_density(density, name)
    finite_range(weights, name)
    return above(weights, largest({name: weights}, round(density * weights.size)), name)


def keep_beyond_deviation(weights: Weights, quality: float, name: str = "") -> Keep:
    """Mask of magnitudes above `quality` standard deviations of the layer's weights (Han et al., NIPS 2015, sec. 3)."""
    if not 0 <= quality < math.inf:
        raise WorkloadError(f"{layer_text(name)}quality {show(quality)}; allowed: 0 or more")
    finite_range(weights, name)
    return above(weights, Cut(np.float64(quality * _standard_deviation(weights)), {}), name)


def pruned_by_layer(layers: Layers, densities: Densities) -> Pruned:
    """Every layer at a density, the same or one of its own, by magnitude."""
    if not isinstance(densities, Mapping):
        check_density(densities)
    return Pruned(layers, lambda name, weights: keep_largest(weights, density_of(name, densities), name))


def pruned_globally(layers: Layers, density: float) -> Pruned:
    """All layers together at a density: one magnitude is the threshold of all, so that their own densities differ."""
    check_density(density)
    cut = largest(layers, round(density * sum(layers[name].size for name in layers)))
    return Pruned(layers, lambda name, weights: above(weights, cut, name))


def pruned_by_deviation(layers: Layers, quality: float) -> Pruned:
    """Every layer by a threshold of its own scale: `keep_beyond_deviation`."""
    return Pruned(layers, lambda name, weights: keep_beyond_deviation(weights, quality, name))


def density_of(name: str, densities: Densities) -> float:
    """The density of a layer; WorkloadError where a profile has none."""
    if not isinstance(densities, Mapping):
        return densities
    if name not in densities:
        raise WorkloadError(f"layer {show(name)}: no density is given{did_you_mean(name, densities)}")
    return densities[name]


def profile(network: Network) -> dict[str, float]:
    """The weight density of each layer as the network's file states it; a matmul has no weights.

    Those of `alexnet` and `vgg16` are what Han et al. (NIPS 2015) left. WorkloadError where a layer has none.
    """
    densities = {}
    for layer in network.compute_layers:
        if layer.kind == "matmul":
            continue
        zeros, stored = network.zeros.get(layer.name), network.weight_mask_file(layer.name)
        if stored is not None:
            mask, _ = real_mask(*stored, layer.weight_shape)
            num_nonzeros = int(np.count_nonzero(mask))
        elif zeros is not None and zeros.weight_nonzeros is not None:
            num_nonzeros = zeros.weight_nonzeros
        elif zeros is not None and zeros.weight_density is not None:
            kernel = zeros.space_to_depth
            cells = None if kernel is None else space_to_depth_cells(layer.weight_shape, kernel)
            num_positions = layer.weight_words if cells is None else int(cells.sum())
            num_nonzeros = round(zeros.weight_density * num_positions)
        else:
            raise WorkloadError(f"{network.name}: {layer.name}: no weight density is stated")
        densities[layer.name] = num_nonzeros / layer.weight_words
    return densities


def _standard_deviation(weights: Weights) -> float:
    """Of all weights, in float64, without a copy of them."""
    cells = weights.reshape(-1)
    chunks = [cells[start : start + CELLS_AT_A_TIME] for start in range(0, cells.size, CELLS_AT_A_TIME)]
    mean = math.fsum(float(chunk.sum(dtype=np.float64)) for chunk in chunks) / max(cells.size, 1)
    squares = math.fsum(float(np.square(chunk - np.float64(mean)).sum()) for chunk in chunks)
    return math.sqrt(squares / max(cells.size, 1))
