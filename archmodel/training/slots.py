"""The layers of an iteration as vDNN's two streams see them: steps that run together, between two synchronizations."""

from dataclasses import dataclass
from itertools import groupby

from archmodel.training.steps import Phase, Step, TrainingGraph


@dataclass(frozen=True)
class Slot:
    """The steps ``first`` to ``last`` of one layer in one phase.

    A layer that works in place belongs to the layer above whose map it overwrites, if nothing runs between them; what
    a backward layer needs made again belongs to that layer. ``position`` is that of the layer in the forward order.
    """

    layer: str
    phase: Phase
    first: int
    last: int
    position: int


def layer_slots(graph: TrainingGraph) -> tuple[Slot, ...]:
    """The slots of a graph in the order of execution."""
    positions = _positions(graph)
    keys: list[tuple[Phase, int]] = []
    for step in reversed(graph.steps):
        again = keys and step.phase == "backward" and _makes_a_map(graph, step)
        keys.append(keys[-1] if again else (step.phase, positions[step.layer]))
    keys.reverse()
    owners = {position: layer for layer, position in reversed(positions.items())}
    slots = []
    for (phase, position), places in groupby(range(len(keys)), keys.__getitem__):
        first, *others = places
        slots.append(Slot(owners[position], phase, first, others[-1] if others else first, position))
    return tuple(slots)


def _positions(graph: TrainingGraph) -> dict[str, int]:
    """For every layer which of the forward slots it belongs to."""
    positions: dict[str, int] = {}
    before, count = "", -1
    for step in graph.steps:
        if step.phase == "forward":
            owner = graph.tensors[graph.maps[step.layer]].layer
            count += owner != before
            positions[step.layer], before = count, owner
    return positions


def _makes_a_map(graph: TrainingGraph, step: Step) -> bool:
    return any(graph.tensors[name].kind == "feature_map" for name in step.writes)
