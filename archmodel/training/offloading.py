"""Which feature maps a vDNN policy offloads, and beside which layer each of them leaves."""

from typing import Literal

from archmodel.network import Layer, Network
from archmodel.network.layer import GATES
from archmodel.training.slots import Slot
from archmodel.training.steps import TrainingGraph

Static = Literal["none", "conv", "all"]

CLASSIFIER = ("fc", "softmax")
EXTRACTING = ("conv", "matmul", *GATES)  # after one of these a fully connected layer is no classifier
NEVER_LAST = ("activation", "softmax")


def feature_extraction(network: Network) -> set[str]:
    """All layers but the classifier: what is or follows a fully connected layer or softmax, at the network's end.

    A fully connected layer that a convolution, a recurrent layer or a matmul follows is no part of the end.
    """
    later: set[str] = set()  # layers above one that extracts
    for layer in reversed(network.layers):
        if layer.kind in EXTRACTING or layer.name in later:
            later.update(layer.inputs)
    classifier: set[str] = set()
    for layer in network.layers:
        begins = layer.kind in CLASSIFIER or not classifier.isdisjoint(layer.inputs)
        if begins and layer.name not in later:
            classifier.add(layer.name)
    return {layer.name for layer in network.layers} - classifier


def offloaded_maps(network: Network, graph: TrainingGraph, slots: tuple[Slot, ...], policy: Static) -> dict[str, int]:
    """For every feature map that is offloaded the slot of its last reader, beside whose forward steps it leaves.

    The last reader must belong to the feature extraction, and not be the last layer that is no activation or softmax:
    its backward step wants X at once. What no backward step reads is not offloaded but freed.
    """
    if policy == "none":
        return {}
    layers = {layer.name: layer for layer in network.layers}
    others = [layer.name for layer in network.layers if layer.kind not in NEVER_LAST]
    may_offload = feature_extraction(network) - set(others[-1:])
    slot_of = {place: at for at, slot in enumerate(slots) for place in range(slot.first, slot.last + 1)}
    found = {}
    for name, uses in graph.uses.items():
        phases = {graph.steps[place].phase for place in uses}
        if graph.tensors[name].kind != "feature_map" or not {"forward", "backward"} <= phases:
            continue
        readers = _forward_readers(graph, name, uses, layers)
        if not readers or readers[-1][1].name not in may_offload:
            continue
        if policy == "all" or any(layer.kind == "conv" for _, layer in readers):
            found[name] = slot_of[readers[-1][0]]
    return found


def _forward_readers(
    graph: TrainingGraph, name: str, uses: tuple[int, ...], layers: dict[str, Layer]
) -> list[tuple[int, Layer]]:
    """The forward steps, with their layers, that read a map as X; one that works in place has no X of its own."""
    return [
        (place, layers[graph.steps[place].layer])
        for place in uses
        if graph.steps[place].phase == "forward" and name not in graph.steps[place].writes
    ]
