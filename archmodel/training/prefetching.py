"""When offloaded feature maps come back: vDNN's prefetch window, and the ideal prefetch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archmodel.training.slots import Slot

Moves = dict[int, tuple[str, ...]]  # by slot


@dataclass(frozen=True)
class Prefetches:
    """Tensors that come back, by slot.

    ahead : whose prefetch begins with the slot, beside its steps; demanded : that the steps of the slot wait for,
        because no prefetch has reached them
    """

    ahead: Moves = field(default_factory=dict)
    demanded: Moves = field(default_factory=dict)


def window_prefetches(
    slots: Sequence[Slot], convolutions: Sequence[bool], left: Mapping[str, int], needed: Mapping[str, int]
) -> Prefetches:
    """vDNN's findPrefetchLayer: from a backward layer up to the nearest convolution the first layer whose X is away.

    Beside a backward layer the X of one layer is prefetched, all of its tensors. X is that of the layer that offloaded
    it, or of the one that first needs it again, if that stands below.

    convolutions : whether the layer at each forward position is one
    left, needed : for each offloaded tensor the slot beside which it leaves, and the first that reads it again
    """
    away: list[list[str]] = [[] for _ in convolutions]
    for name in left:
        away[max(slots[left[name]].position, slots[needed[name]].position)].append(name)
    wanted: dict[int, list[str]] = {}
    for name, at in needed.items():
        wanted.setdefault(at, []).append(name)
    back: set[str] = set()
    found = Prefetches()
    for at, slot in enumerate(slots):
        if slot.phase != "backward":
            continue
        missing = tuple(name for name in wanted.get(at, ()) if name not in back)
        if missing:
            found.demanded[at] = missing
        for position in range(slot.position - 1, -1, -1):
            coming = tuple(name for name in away[position] if name not in back)
            if coming:
                found.ahead[at] = coming
                back.update(coming)
            if coming or convolutions[position]:
                break
    return found


def ideal_prefetches(
    slots: Sequence[Slot],
    needed: Mapping[str, int],
    num_bytes: Mapping[str, int],
    room_bytes: Sequence[int] | None,
) -> Prefetches:
    """Every tensor in the order of need, from the first backward slot on, as early as there is room until it is needed.

    room_bytes : that are free in each slot while each tensor is there from its need on; None: without end
    """
    first = next((at for at, slot in enumerate(slots) if slot.phase == "backward"), 0)
    ahead: dict[int, list[str]] = {}
    room = None if room_bytes is None else list(room_bytes)
    for name, need in sorted(needed.items(), key=lambda item: item[1]):
        begin = first
        if room is not None:
            begin = need
            while begin > first and room[begin - 1] >= num_bytes[name]:
                begin -= 1
            for at in range(begin, need):
                room[at] -= num_bytes[name]
        ahead.setdefault(begin, []).append(name)
        first = begin
    return Prefetches({at: tuple(names) for at, names in ahead.items()})
