"""What is known of the zeros of a network's layers as numbers that a file can state."""

from dataclasses import replace
from typing import Any

from archmodel.network.layer import Layer
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros
from archmodel.operands.operands import Densities
from archmodel.operands.sources import OperandSource, Source

DENSE = Source(density=1.0)
MAX_CHARACTERS = 1000  # of a source in a network's file


def all_densities(source: OperandSource) -> dict[str, Zeros]:
    """The three densities of every layer that multiplies, measured where they are real; WorkloadError if unknown."""
    known = {layer.name: source.densities(layer) for layer in source.network.compute_layers}
    return {
        name: Zeros(_origin(one), None, one.weight_density, None, one.input_density, one.output_density)
        for name, one in known.items()
    }


def with_numbers(source: OperandSource) -> Network:
    """The network, its zeros as numbers: real weights are counted, options replace what the network states.

    Layers of which nothing is known stay so.
    """
    stated = {layer.name: _stated(source, layer) for layer in source.network.compute_layers}
    return replace(source.network, zeros={name: zeros for name, zeros in stated.items() if zeros is not None})


def _stated(source: OperandSource, layer: Layer) -> Zeros | None:
    """What is known of a layer; sources of options come before that of the network."""
    zeros = source.network.zeros.get(layer.name)
    changes, origins = _weights(source, layer, zeros)
    if source.activations != Source():
        known = replace(source, weights=DENSE).densities(layer)
        changes["input_density"] = known.input_density
        if source.activations.density is not None:
            changes["output_density"] = source.activations.density
        origins.append(f"activations: {known.origins['inputs']}")
    if not changes:
        return zeros
    if zeros is not None and len(origins) < 2:
        origins.append(zeros.source)
    text = "; ".join(origins)[:MAX_CHARACTERS]
    return replace(zeros or Zeros(text), source=text, **changes)


def _weights(source: OperandSource, layer: Layer, zeros: Zeros | None) -> tuple[dict[str, Any], list[str]]:
    """Changed numbers of the kernels, and who says so if it is not the network."""
    kernels = source.activations if layer.kind == "matmul" else source.weights
    if kernels == Source():
        if zeros is None or zeros.weight_mask is None:
            return {}, []
        known = replace(source, activations=DENSE).densities(layer)
        return {"weight_mask": None, "weight_nonzeros": round(known.weight_density * layer.weight_words)}, []
    known = (source if layer.kind == "matmul" else replace(source, activations=DENSE)).densities(layer)
    # The positions of a rearranged kernel are those that the network states, not those of the option.
    changes: dict[str, Any] = dict.fromkeys(("weight_nonzeros", "weight_density", "weight_mask", "structure"))
    if kernels.density is not None or layer.kind == "matmul":
        changes["weight_density"] = known.weight_density if kernels.density is None else kernels.density
    else:
        changes["weight_nonzeros"] = round(known.weight_density * layer.weight_words)
    return changes, [f"weights: {known.origins['weights']}"]


def _origin(known: Densities) -> str:
    return "; ".join(f"{operand}: {origin}" for operand, origin in known.origins.items())
