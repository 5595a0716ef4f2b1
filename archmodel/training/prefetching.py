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
        if room is not None:
            first = _take_room(room, first, need, num_bytes[name])
        ahead.setdefault(first, []).append(name)
    return Prefetches({at: tuple(names) for at, names in ahead.items()})


def late_prefetches(
    prefetches: Prefetches, needed: Mapping[str, int], num_bytes: Mapping[str, int], room_bytes: Sequence[int]
) -> Prefetches:
    """The window's prefetches, each put off until there is room from its slot on; at the latest, it is demanded.

    In the order of the window: one that comes before another has the room first.

    room_bytes : as of `ideal_prefetches`
    """
    room = list(room_bytes)
    ahead: dict[int, list[str]] = {}
    demanded = {at: list(names) for at, names in prefetches.demanded.items()}
    for at, names in prefetches.ahead.items():
        for name in names:
            begin = _take_room(room, at, needed[name], num_bytes[name])
            (ahead if begin < needed[name] else demanded).setdefault(begin, []).append(name)
    return Prefetches(*({at: tuple(moves[at]) for at in sorted(moves)} for moves in (ahead, demanded)))


def _take_room(room_bytes: list[int], first: int, need: int, num_bytes: int) -> int:
    """The earliest slot from ``first`` on from which there is room for a tensor until its need; the room is taken."""
    begin = need
    while begin > first and room_bytes[begin - 1] >= num_bytes:
        begin -= 1
    for at in range(begin, need):
        room_bytes[at] -= num_bytes
    return begin
