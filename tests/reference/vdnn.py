"""vDNN from the published pseudocode, in plain loops over layers, steps and times."""


def layers_of(steps, owner_of):
    """Groups of forward layers: a layer whose map is that of the group above belongs to it.

    ``steps`` are (layer, phase, reads, writes); ``owner_of`` says whose map holds the output of a layer.
    """
    groups = []
    for layer, phase, _, _ in steps:
        if phase == "forward":
            if groups and owner_of[groups[-1][0]] == owner_of[layer]:
                groups[-1].append(layer)
            else:
                groups.append([layer])
    return groups


def offloaded(steps, kinds, feature_maps, extraction, policy):
    """For each tensor that a policy offloads the layer that does it: the last one that reads it going forward."""
    found = {}
    real = [
        layer for layer, phase, _, _ in steps if phase == "forward" and kinds[layer] not in ("activation", "softmax")
    ]
    for name in feature_maps:
        readers = [
            layer
            for layer, phase, reads, writes in steps
            if phase == "forward" and name in reads and name not in writes
        ]
        wanted = any(phase == "backward" and name in reads + writes for _, phase, reads, writes in steps)
        if policy == "none" or not readers or not wanted:
            continue
        last = readers[-1]
        if last not in extraction or (real and last == real[-1]):
            continue
        if policy == "conv" and not any(kinds[layer] == "conv" for layer in readers):
            continue
        found[name] = last
    return found


def find_prefetch_layer(cur_layer, to_offload, prefetched, is_conv):
    for at in range(cur_layer - 1, -1, -1):
        if to_offload[at] and not prefetched[at]:
            prefetched[at] = True
            return at
        if is_conv[at]:
            return -1
    return -1


def prefetch_order(steps, groups, kinds, who):
    """(number of the first step of a backward layer, what it waits for, what is prefetched beside it), in order."""
    place = {layer: at for at, group in enumerate(groups) for layer in group}
    tensors = [[name for name in who if place[who[name]] == at] for at in range(len(groups))]
    to_offload = [bool(names) for names in tensors]
    prefetched = [False] * len(groups)
    is_conv = [kinds[group[0]] == "conv" for group in groups]
    order, back = [], set()
    for first, (layer, phase, _, _) in enumerate(steps):
        at = place[layer]
        before = (place[steps[first - 1][0]], steps[first - 1][1]) if first else None
        if phase != "backward" or before == (at, phase):
            continue
        touched = []
        for other, kind, reads, writes in steps[first:]:
            if (place[other], kind) != (at, phase):
                break
            touched += [*reads, *writes]
        demanded = [name for name in who if name in touched and name not in back]
        back.update(demanded)
        for layer_at, names in enumerate(tensors):
            if names and all(name in back for name in names):
                prefetched[layer_at] = True
        ahead = find_prefetch_layer(at, to_offload, prefetched, is_conv)
        coming = [name for name in tensors[ahead] if name not in back] if ahead >= 0 else []
        back.update(coming)
        order.append((first, demanded, coming))
    return order


def room_of(steps, groups, sizes, held, workspaces, capacity, part):
    """The slot of every step, and what may be filled in each slot: a part of what is free while ``held`` is there."""
    place = {layer: at for at, group in enumerate(groups) for layer in group}
    slot_of, room, before = [], [], None
    for at, (layer, phase, _, _) in enumerate(steps):
        live = workspaces[at] + sum(sizes[name] for name, first, last, _ in held if first <= at <= last)
        key = (place[layer], phase)
        if key != before:
            room.append(capacity - live)
        slot_of.append(len(room) - 1)
        room[-1] = min(room[-1], capacity - live)
        before = key
    return slot_of, [int(part * free) for free in room]


def put_off(steps, order, sizes, slot_of, room, cell):
    """The same order with prefetches put off from slot to slot until nothing overflows, at the latest to their need."""
    room = list(room)
    moved = {slot_of.index(slot): ([], []) for slot in range(len(room))}
    for first, demanded, _ in order:
        moved[first][0].extend(demanded)
    for first, _, ahead in order:
        for name in ahead:
            need = next(slot_of[at] for at in range(first, len(steps)) if name in steps[at][2] + steps[at][3])
            slot, size = slot_of[first], -(-sizes[name] // cell) * cell
            while any(size > room[between] for between in range(slot, need)):
                slot += 1
            for between in range(slot, need):
                room[between] -= size
            moved[slot_of.index(slot)][slot < need].append(name)
    return [(first, *names) for first, names in moved.items()]


def stays(steps, tensors, always, at_start, groups, who, order):
    """(tensor, first step, last step, whether it was prefetched) in the order of ``tensors``: the release rule."""
    found = []
    for name in tensors:
        uses = [at for at, (_, _, reads, writes) in enumerate(steps) if name in reads or name in writes]
        if name in always:
            found.append((name, 0, len(steps) - 1, False))
            continue
        first = 0 if name in at_start else uses[0]
        if name not in who:
            found.append((name, first, uses[-1], False))
            continue
        group = next(group for group in groups if who[name] in group)
        found.append(
            (name, first, max(at for at, step in enumerate(steps) if step[1] == "forward" and step[0] in group), False)
        )
        begin = next(at for at, demanded, ahead in order if name in demanded or name in ahead)
        found.append((name, begin, uses[-1], True))
    return found


def in_pool(num_steps, held, sizes, ways, picks, greedy, pool, capacity):
    """The options taken if everything finds a block, else None. ``ways`` are the workspaces of each step's options."""
    picks = list(picks)
    for now in range(num_steps):
        for again in (True, False):
            for name, first, _, prefetched in held:
                if first == now and prefetched == again:
                    pool.allocate(name, sizes[name])
        if pool.reserved_bytes > capacity:
            return None
        while ways[now][picks[now]]:
            before = list(pool.cells)
            pool.allocate("workspace", ways[now][picks[now]])
            fits = pool.reserved_bytes <= capacity
            if fits:
                pool.free("workspace")
                break
            pool.cells = before
            picks[now] += 1
            if not greedy or picks[now] == len(ways[now]):
                return None
        for name, _, last, _ in held:
            if last == now:
                pool.free(name)
    return picks


def at_addresses(num_steps, held, sizes, ways, picks, greedy, cell, capacity):
    """The same, each block at the lowest free cells while it stays, the largest first.

    Workspaces are among the blocks; if that does not fit, or what they take is not known, they come last.
    """
    tensors = [(sizes[name], first, last) for name, first, last, _ in held]
    known = [(ways[now][picks[now]], now, now) for now in range(num_steps) if ways[now][picks[now]]]
    if not greedy and occupied(num_steps, [*tensors, *known], cell, capacity) is not None:
        return picks
    picks, owned = list(picks), occupied(num_steps, tensors, cell, capacity)
    if owned is None:
        return None
    for now in range(num_steps):
        while ways[now][picks[now]] and lowest(owned, ways[now][picks[now]], now, now, cell)[1] * cell > capacity:
            picks[now] += 1
            if not greedy or picks[now] == len(ways[now]):
                return None
    return picks


def occupied(num_steps, blocks, cell, capacity):
    """Of each step the cells that are taken; None where a block ends beyond the capacity."""
    owned = [set() for _ in range(num_steps)]
    for num_bytes, first, last in sorted(blocks, key=lambda block: (-block[0], block[1])):
        start, end = lowest(owned, num_bytes, first, last, cell)
        if end * cell > capacity:
            return None
        for now in range(first, last + 1):
            owned[now].update(range(start, end))
    return owned


def lowest(owned, num_bytes, first, last, cell):
    """The lowest cells that are free during these steps."""
    count = max(-(-num_bytes // cell), 1)
    start = 0
    while any(at in owned[now] for now in range(first, last + 1) for at in range(start, start + count)):
        start += 1
    return start, start + count


def dyn(fits):
    """vDNNOptimize: ``fits(offload, algorithms, hard)``; what it takes, or None."""
    if not fits("all", "memory", True):
        return None
    if fits("none", "performance", True):
        return ("none", "performance", True)
    if fits("conv", "performance", True):
        return ("conv", "performance", True)
    if fits("all", "performance", True):
        return ("all", "performance", True)
    if fits("conv", "performance", False):
        return ("conv", "performance", False)
    if fits("all", "performance", False):
        return ("all", "performance", False)
    if fits("conv", "memory", True):
        return ("conv", "memory", True)
    return ("all", "memory", True)
