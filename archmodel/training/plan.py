"""What moves beside which layer, and from where to where each tensor is held: a policy's plan, before any time."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from archmodel.network import Network
from archmodel.training.allocator import lifetimes
from archmodel.training.offloading import Static, offloaded_maps
from archmodel.training.prefetching import Moves, Prefetches, window_prefetches
from archmodel.training.slots import Slot, layer_slots
from archmodel.training.steps import TrainingGraph


def by_slot(slots_of: Mapping[str, int]) -> Moves:
    """Tensors by slot, from the slot of each."""
    found: dict[int, tuple[str, ...]] = {}
    for name, at in slots_of.items():
        found[at] = (*found.get(at, ()), name)
    return found


@dataclass(frozen=True)
class Stay:
    """A tensor in memory: from a step, or from the beginning of its slot, to a step, or to the end of its slot."""

    tensor: str
    num_bytes: int
    first: int
    last: int
    from_slot: bool = False
    to_slot: bool = False


@dataclass(frozen=True)
class Plan:
    """The slots of an iteration and what moves beside them.

    left, needed : for each offloaded tensor the slot beside which it leaves, and the first that reads it again
    streams_freely : prefetches follow each other over the borders of slots; only who reads their tensor waits
    buffers : tensors that are held all the time beside those of the graph, with their bytes
    """

    graph: TrainingGraph
    slots: tuple[Slot, ...]
    left: dict[str, int]
    needed: dict[str, int]
    prefetches: Prefetches
    streams_freely: bool = False
    buffers: tuple[tuple[str, int], ...] = ()

    @property
    def offloads(self) -> Moves:
        """Tensors that leave, by slot."""
        return by_slot(self.left)

    @cached_property
    def stays(self) -> tuple[Stay, ...]:
        """When each tensor is in memory, a second time after it was offloaded; what is always there comes first.

        As `lifetimes`, but an offloaded tensor is given back when its last forward reader and its offload are over, and
        has memory again from the slot on in which its prefetch begins.
        """
        held = lifetimes(self.graph)
        begins = {
            name: at
            for moves in (self.prefetches.ahead, self.prefetches.demanded)
            for at in moves
            for name in moves[at]
        }
        last_step = len(self.graph.steps) - 1
        found = [Stay(name, num_bytes, 0, last_step) for name, num_bytes in self.buffers]
        for name in sorted(held, key=lambda name: not self.graph.tensors[name].persistent):
            first, last = held[name]
            num_bytes = self.graph.tensors[name].num_bytes
            if name not in self.left:
                found.append(Stay(name, num_bytes, first, last))
                continue
            found.append(Stay(name, num_bytes, first, self.slots[self.left[name]].last, to_slot=True))
            found.append(Stay(name, num_bytes, self.slots[begins[name]].first, last, from_slot=True))
        return tuple(found)


def make_plan(
    network: Network, graph: TrainingGraph, offload: Static, buffers: tuple[tuple[str, int], ...] = ()
) -> Plan:
    """Offloads of a static policy, and vDNN's prefetch window."""
    slots = layer_slots(graph)
    left = offloaded_maps(network, graph, slots, offload)
    slot_of = {place: at for at, slot in enumerate(slots) for place in range(slot.first, slot.last + 1)}
    needed = {
        name: next(slot_of[place] for place in graph.uses[name] if graph.steps[place].phase == "backward")
        for name in left
    }
    convolutions = [network.layer(slot.layer).kind == "conv" for slot in slots if slot.phase == "forward"]
    return Plan(graph, slots, left, needed, window_prefetches(slots, convolutions, left, needed), buffers=buffers)
