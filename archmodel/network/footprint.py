"""Which feature maps stay on chip from their producer to all their consumers."""

from collections.abc import Mapping
from dataclasses import dataclass

from archmodel.network.layer import Layer
from archmodel.network.network import Network


def compute_consumers(network: Network, tensor: str) -> tuple[Layer, ...]:
    """The layers that multiply `tensor`, directly or through layers that machines apply on the way, in order.

    Activations, pools, norms, joins and slices are applied as outputs are stored; they own no tensor here. What a layer
    of kind other makes is a tensor of its own. A matmul consumes its first input; its second one is its kernels.
    """
    reached = reached_tensors(network, tensor)
    return tuple(layer for layer in network.compute_layers if layer.inputs[0] in reached)


def kernel_consumers(network: Network, tensor: str) -> tuple[Layer, ...]:
    """The matmuls whose kernels `tensor` is, directly or through layers that machines apply on the way, in order."""
    reached = reached_tensors(network, tensor)
    return tuple(layer for layer in network.compute_layers if not reached.isdisjoint(layer.inputs[1:]))


def read_by_others(network: Network, tensor: str) -> bool:
    """Whether other hardware reads `tensor`, directly or behind layers that machines apply on the way."""
    reached = reached_tensors(network, tensor)
    return any(layer.kind == "other" and not reached.isdisjoint(layer.inputs) for layer in network.layers)


def reached_tensors(network: Network, tensor: str) -> set[str]:
    """`tensor` and what layers make of it that machines apply on the way; an other is done by other hardware."""
    reached = {tensor}
    for layer in network.layers:
        if not layer.is_compute and layer.kind != "other" and not reached.isdisjoint(layer.inputs):
            reached.add(layer.name)
    return reached


@dataclass(frozen=True)
class Placement:
    """Whether a layer finds its inputs on chip and may leave its outputs there."""

    input_on_chip: bool
    output_on_chip: bool


@dataclass(frozen=True)
class StoredLayer:
    """What residency needs to know of a layer: stored bytes, and whether a machine's buffers take them."""

    input_bytes: int
    output_bytes: int
    input_fits: bool
    output_fits: bool


def plan_residency(network: Network, stored: Mapping[str, StoredLayer], capacity_bytes: int) -> dict[str, Placement]:
    """Placement of every layer in `stored`, in the order of execution.

    Outputs stay on chip if the producer's buffers and those of all consumers take them and if they fit, beside what
    every layer on the way needs for itself and what is already kept, into `capacity_bytes`. Network inputs and
    outputs, and tensors whose producer or consumers are not simulated, are in DRAM; so is what a layer of kind other
    reads and makes, and so are the kernels of a matmul, which machines fetch as they fetch weights.
    """
    order = [layer.name for layer in network.compute_layers if layer.name in stored]
    step = {name: index for index, name in enumerate(order)}
    makers = (layer.name for layer in network.layers if layer.is_compute or layer.kind == "other")
    tensors = (*network.inputs, *makers)
    readers = {tensor: [layer.name for layer in compute_consumers(network, tensor)] for tensor in tensors}
    sources: dict[str, list[str]] = {}
    for tensor, names in readers.items():
        for name in names:
            sources.setdefault(name, []).append(tensor)
    needed = [stored[name].input_bytes + stored[name].output_bytes for name in order]
    kept: set[str] = set()
    for name in order:
        if not readers[name] or any(reader not in stored for reader in readers[name]):
            continue
        if kernel_consumers(network, name) or read_by_others(network, name):
            continue
        if not (stored[name].output_fits and all(stored[reader].input_fits for reader in readers[name])):
            continue
        between = range(step[name] + 1, max(step[reader] for reader in readers[name]))
        held = [index for index in between if order[index] not in readers[name]]
        if all(needed[index] + stored[name].output_bytes <= capacity_bytes for index in held):
            for index in held:
                needed[index] += stored[name].output_bytes
            kept.add(name)
    return {name: Placement(all(tensor in kept for tensor in sources[name]), name in kept) for name in order}
