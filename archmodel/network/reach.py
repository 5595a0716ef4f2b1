"""Who reads every tensor of a network, directly or behind layers that machines apply on the way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archmodel.network.layer import Layer


@dataclass(frozen=True)
class Reach:
    """By tensor, the layers that multiply it, each a bit: bit i is the i-th of those that multiply, in order.

    first : layers whose first input the tensor is or becomes
    further : layers whose other inputs it becomes, the kernels of a matmul
    other : tensors that other hardware reads
    """

    first: dict[str, int]
    further: dict[str, int]
    other: set[str]

    @classmethod
    def of(cls, inputs: Iterable[str], layers: tuple[Layer, ...]) -> "Reach":
        """Of a network with these inputs and layers, from the last layer to the first.

        Activations, pools, norms, joins and slices are applied as outputs are stored: who reads what they make reads
        their inputs. What a layer of kind other makes is a tensor of its own.
        """
        first = dict.fromkeys((*inputs, *(layer.name for layer in layers)), 0)
        further, other = first.copy(), set[str]()
        bit = 1 << sum(layer.is_compute for layer in layers)
        for layer in reversed(layers):
            if layer.is_compute:
                bit >>= 1
                first[layer.inputs[0]] |= bit
                for tensor in layer.inputs[1:]:
                    further[tensor] |= bit
            elif layer.kind == "other":
                other.update(layer.inputs)
            else:
                for tensor in layer.inputs:
                    first[tensor] |= first[layer.name]
                    further[tensor] |= further[layer.name]
                if layer.name in other:
                    other.update(layer.inputs)
        return cls(first, further, other)


def places(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, the lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
