"""Which nodes of an ONNX graph read a tensor."""

from bisect import bisect_left
from collections.abc import Sequence

from archmodel.exchange.onnx_file import Node


class Readers:
    """The nodes in their order, and for every tensor those that read it."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.places: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            for name in dict.fromkeys(node.inputs):
                self.places.setdefault(name, []).append(place)

    def first(self, name: str, start: int) -> int | None:
        """Place of the first node from `start` on that reads the tensor."""
        places = self.places.get(name, [])
        where = bisect_left(places, start)
        return places[where] if where < len(places) else None
