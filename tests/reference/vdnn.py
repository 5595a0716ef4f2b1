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
    """(backward layer, what it waits for, what is prefetched beside it), in the order of the backward pass."""
    place = {layer: at for at, group in enumerate(groups) for layer in group}
    tensors = [[name for name in who if place[who[name]] == at] for at in range(len(groups))]
    to_offload = [bool(names) for names in tensors]
    prefetched = [False] * len(groups)
    is_conv = [kinds[group[0]] == "conv" for group in groups]
    order, before = [], None
    backward = [(place[layer], phase, reads + writes) for layer, phase, reads, writes in steps if phase != "forward"]
    for number, (at, phase, _) in enumerate(backward):
        if (at, phase) == before:
            continue
        before = (at, phase)
        if phase != "backward":
            continue
        touched = []
        for other, kind, names in backward[number:]:
            if (other, kind) != before:
                break
            touched += names
        demanded = [
            layer for layer in range(len(groups)) if not prefetched[layer] and set(tensors[layer]) & set(touched)
        ]
        assert not demanded or demanded == [at]
        for layer in demanded:
            prefetched[layer] = True
        ahead = find_prefetch_layer(at, to_offload, prefetched, is_conv)
        order.append(
            (at, [name for layer in demanded for name in tensors[layer]], tensors[ahead] if ahead >= 0 else [])
        )
    return order
