"""Pruning in steps with training between them: the densities of the steps, masks under which weights stay zero."""

import math
from collections.abc import Mapping

import numpy as np

from archmodel.errors import WorkloadError, show
from archmodel.weights.magnitude import Keep, Layers, Weights, check_density
from archmodel.weights.pruning import Densities, Pruned, density_of, keep_largest


def cubic_schedule(start: float, end: float, num_steps: int) -> tuple[float, ...]:
    """`num_steps` + 1 densities from start to end: many weights go first, few at last.

    Zhu and Gupta, arXiv 1710.01878, eq. 1, there of sparsities: s_t = s_f + (s_i - s_f) (1 - t / n)^3.
    """
    check_density(start)
    check_density(end)
    if end > start:
        raise WorkloadError(f"schedule from density {show(start)} to {show(end)}; allowed: to a lower one")
    if num_steps < 1:
        raise WorkloadError(f"schedule of {show(num_steps)} steps; allowed: at least 1")
    return tuple(end + (start - end) * (1 - step / num_steps) ** 3 for step in range(num_steps + 1))


def narrowed(keep: Keep, weights: Weights, density: float, name: str = "") -> Keep:
    """The round(density * size) weights of largest magnitude among those of a mask, or the mask if it has fewer."""
    check_density(density, name)
    among = int(np.count_nonzero(keep))
    num_kept = min(round(density * weights.size), among)
    narrower = keep.copy()
    narrower[keep] = keep_largest(weights[keep], num_kept / among if among else 0, name)
    return narrower


class Masks:
    """Masks of layers that are pruned again and again while somebody trains what is left.

    After every step of training `hold` gives the layers with their pruned weights at zero; `prune` takes more away.
    """

    def __init__(self, layers: Layers) -> None:
        self.by_layer: dict[str, Keep] = {name: np.ones(layers[name].shape, bool) for name in layers}

    def prune(self, layers: Layers, densities: Densities) -> Pruned:
        """Bring every layer down to a density, the same or one of its own; never back."""
        for name, keep in self.by_layer.items():
            self.by_layer[name] = narrowed(keep, layers[name], density_of(name, densities), name)
        return self.hold(layers)

    def hold(self, layers: Layers) -> Pruned:
        """The layers with zeros where they are pruned."""
        return Pruned(layers, lambda name, _: self.by_layer[name])

    @property
    def densities(self) -> Mapping[str, float]:
        """Share of each layer's weights that survive."""
        return {name: np.count_nonzero(keep) / math.prod(keep.shape) for name, keep in self.by_layer.items()}
