"""Which feature maps stay on chip from their producer to all their consumers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archmodel.network.layer import Layer
from archmodel.network.network import Network
from archmodel.network.reach import places


def compute_consumers(network: Network, tensor: str) -> Iterator[Layer]:
    """The layers that multiply `tensor`, directly or through layers that machines apply on the way, in order.

    A matmul consumes its first input; its second one is its kernels.
    """
    return (network.compute_layers[place] for place in places(network.reach.first[tensor]))


def kernel_consumers(network: Network, tensor: str) -> Iterator[Layer]:
    """The matmuls whose kernels `tensor` is, directly or through layers that machines apply on the way, in order."""
    return (network.compute_layers[place] for place in places(network.reach.further[tensor]))


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
    layers, reach = network.compute_layers, network.reach
    simulated = _bits(layer.name in stored for layer in layers)
    takers = _bits(layer.name in stored and stored[layer.name].input_fits for layer in layers)
    needed_bytes = np.zeros(len(layers), np.int64)
    for place in places(simulated):
        needed_bytes[place] = stored[layers[place].name].input_bytes + stored[layers[place].name].output_bytes
    kept: set[str] = set()
    for place in places(simulated):
        name = layers[place].name
        readers, output_bytes = reach.first[name], stored[name].output_bytes
        if not readers or readers & ~takers or not stored[name].output_fits:
            continue
        if reach.further[name] or name in reach.other:
            continue
        between = needed_bytes[place + 1 : readers.bit_length() - 1]
        held = _flags(simulated & ~readers, place + 1, len(between))
        if (between[held] + output_bytes <= capacity_bytes).all():
            between[held] += output_bytes
            kept.add(name)
    makers = (layer.name for layer in network.layers if layer.is_compute or layer.kind == "other")
    fetched = 0
    for tensor in (*network.inputs, *makers):
        if tensor not in kept:
            fetched |= reach.first[tensor]
    return {
        layers[place].name: Placement(not fetched >> place & 1, layers[place].name in kept)
        for place in places(simulated)
    }


def _bits(flags: Iterable[bool]) -> int:
    """A number whose bits are the flags."""
    return int("".join("01"[flag] for flag in flags)[::-1] or "0", 2)


def _flags(bits: int, start: int, count: int) -> npt.NDArray[np.bool_]:
    """Some of the bits of a number."""
    found = (bits >> start & (1 << count) - 1).to_bytes(-(-count // 8), "little")
    return np.unpackbits(np.frombuffer(found, np.uint8), bitorder="little", count=count).view(np.bool_)
