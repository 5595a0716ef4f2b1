"""How many words of the feature maps are not zero: of a trained network, and while it learns.

Only activations that clip make zeros. What is between them passes zeros on: pools, concats, dropouts, local response
normalization. Everything else is dense.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from archmodel import config
from archmodel.errors import ConfigError, show
from archmodel.network import Layer, Network
from archmodel.training.steps import TrainingGraph

CLIPPING = ("relu", "clipped_relu")
STAGES = tuple((place + 0.5) / 10 for place in range(10))  # that stand for a whole training
Share = Annotated[float, Field(ge=0, le=1)]


class DensityProfile(config.FrozenModel):
    """How the density of a ReLU's map goes from random weights to the trained network.

    At each of ``stages``, parts of all iterations from 0 to 1, it is ``of_initial`` x ``initial_density`` +
    ``of_trained`` x that of the trained network, straight lines in between.
    """

    name: str
    stages: Annotated[tuple[Share, ...], Field(min_length=2, strict=False)]
    of_initial: Annotated[tuple[Share, ...], Field(strict=False)]
    of_trained: Annotated[tuple[Share, ...], Field(strict=False)]
    initial_density: Share
    unknown_density: Share
    dropout_kept: Share

    @model_validator(mode="after")
    def _one_curve(self) -> "DensityProfile":
        if self.stages[0] != 0 or self.stages[-1] != 1 or list(self.stages) != sorted(set(self.stages)):
            raise ValueError("stages must rise from 0 to 1")
        if not len(self.stages) == len(self.of_initial) == len(self.of_trained):
            raise ValueError(f"of_initial and of_trained must have {len(self.stages)} values, one a stage")
        if any(sum(both) > 1 + 1e-9 for both in zip(self.of_initial, self.of_trained, strict=True)):
            raise ValueError("of_initial and of_trained must add up to at most 1 at every stage")
        return self

    def density(self, trained: float, stage: float) -> float:
        """Of a ReLU's map at a stage from 0 to 1; ConfigError for another stage."""
        if not 0 <= stage <= 1:
            raise ConfigError(f"stage = {show(stage)}: must be from 0, the first iteration, to 1, the last")
        initial = float(np.interp(stage, self.stages, self.of_initial))
        return initial * self.initial_density + float(np.interp(stage, self.stages, self.of_trained)) * trained


def load_profile(name_or_path: str, assignments: tuple[str, ...] = ()) -> DensityProfile:
    """Read and check a profile of configs/densities/ or a TOML file."""
    return config.load("densities", name_or_path, DensityProfile, assignments)


@dataclass(frozen=True)
class TrainedDensities:
    """What is known of a trained network.

    activations : density of what each clipping activation writes
    pools : how many independent cells the window of a pool is worth, so that its output has the density that is known
    """

    activations: Mapping[str, float]
    pools: Mapping[str, float]

    @classmethod
    def of(cls, network: Network, unknown: float, measured: Mapping[str, float] | None = None) -> "TrainedDensities":
        """From what the network's file states of layers that multiply, or from what was ``measured``, by layer.

        A layer's stated output density is that behind its activation. Without one the inputs of the layers below say
        it, and where a pool is in between, its window is taken for as many independent cells as its side is long.
        """
        known = dict(measured or {})
        below = _stated_below(network)
        activations, pools, density = {}, {}, dict.fromkeys(network.inputs, 1.0)
        for layer in network.layers:
            if layer.kind == "activation" and layer.mode in CLIPPING:
                found = known.get(layer.name, _stated_output(network, layer))
                if found is None and layer.name in below:
                    reader, cells = below[layer.name]
                    found = 1 - (1 - reader) ** (1 / cells)
                activations[layer.name] = density[layer.name] = unknown if found is None else found
                continue
            cells = window_side(layer)
            if layer.kind == "pool":
                after = known.get(layer.name)
                if after is None and layer.name in below and below[layer.name][1] == 1:
                    after = below[layer.name][0]
                before = density[layer.inputs[0]]
                if after is not None and 0 < after < 1 and 0 < before < 1:
                    cells = math.log1p(-after) / math.log1p(-before)
                pools[layer.name] = cells
            density[layer.name] = passed_on(network, layer, density, cells, 1.0)
        return cls(activations, pools)

    def at(self, network: Network, profile: DensityProfile, stage: float) -> dict[str, float]:
        """Density of every network input and of what every layer writes, at a stage of the training."""
        density = dict.fromkeys(network.inputs, 1.0)
        for layer in network.layers:
            if layer.name in self.activations:
                density[layer.name] = profile.density(self.activations[layer.name], stage)
            else:
                cells = self.pools.get(layer.name, 1.0)
                density[layer.name] = passed_on(network, layer, density, cells, profile.dropout_kept)
        return density


def window_side(layer: Layer) -> float:
    """Independent cells that the window of a pool is worth where nothing more is known: its side; 1 of other layers.

    Where both densities are known (SCNN study), 2x2 windows are worth 1.4 to 2.0 cells, 3x3 windows 2.3 to 4.1.
    """
    return math.sqrt(layer.R * layer.S)


def passed_on(network: Network, layer: Layer, density: Mapping[str, float], cells: float, dropout_kept: float) -> float:
    """Density of what a layer that is no clipping activation writes, from that of what it reads.

    cells : independent cells that the window of a pool is worth
    """
    read = [density[name] for name in layer.inputs]
    match layer.kind:
        case "pool":
            return 1 - (1 - read[0]) ** cells
        case "slice":
            return read[0]
        case "norm" if layer.mode == "lrn":
            return read[0]
        case "dropout":
            return read[0] * dropout_kept
        case "concat":
            words = [_words(network, name) for name in layer.inputs]
            return sum(map(operator.mul, read, words)) / sum(words)
        case "add":
            return 1 - math.prod(1 - one for one in read)
        case "multiply":
            return math.prod(read)
        case _:
            return 1.0


def _words(network: Network, name: str) -> int:
    return math.prod(network.inputs[name]) if name in network.inputs else network.layer(name).output_words


def by_map(graph: TrainingGraph, of_layers: Mapping[str, float]) -> dict[str, float]:
    """The same by the layer or input that a feature map belongs to: the last layer that writes a map decides."""
    return {graph.tensors[graph.maps[name]].layer: value for name, value in of_layers.items()}


def _stated_output(network: Network, activation: Layer) -> float | None:
    """What is stated behind a layer that multiplies, which the activation reads, with a batch norm between or not."""
    name = activation.inputs[0]
    while name not in network.inputs and network.layer(name).kind == "norm":
        name = network.layer(name).inputs[0]
    zeros = network.zeros.get(name)
    return None if zeros is None else zeros.output_density


def _stated_below(network: Network) -> dict[str, tuple[float, float]]:
    """By tensor the stated input density of a layer that reads it, and what the pools in between are worth in cells.

    Of several readers the one behind the fewest pools, then the first.
    """
    found: dict[str, tuple[float, float]] = {}
    for layer in reversed(network.layers):
        if layer.is_compute:
            zeros = network.zeros.get(layer.name)
            if zeros is None or zeros.input_density is None:
                continue
            stated = (zeros.input_density, 1.0)
        elif layer.name in found and (
            layer.kind in ("pool", "slice", "dropout", "concat") or (layer.kind == "norm" and layer.mode == "lrn")
        ):
            stated = (found[layer.name][0], found[layer.name][1] * window_side(layer))
        else:
            continue
        for name in layer.inputs[:1] if layer.is_compute else layer.inputs:
            if name not in found or stated[1] <= found[name][1]:
                found[name] = stated
    return found
