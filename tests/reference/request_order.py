"""The accesses of a layer's streams, one by one: plain lists, chunks dealt by who is furthest behind."""

from fractions import Fraction


def bases(streams, totals, alignment, offsets):
    """First byte of every stream; the kinds lie one behind the other in the order of `streams`."""
    known, free = {}, 0
    for kind, _ in streams:
        if kind in known:
            continue
        while free % alignment:
            free += 1
        known[kind] = free + offsets[kind]
        free = known[kind] + max(total for (other, _), total in zip(streams, totals, strict=True) if other == kind)
    return [known[kind] for kind, _ in streams]


def requests(streams, phases, alignment, offsets, chunk_bytes, access_bytes):
    """(phase, access, whether it writes) in the order in which they are asked for; `phases`: bytes of each stream."""
    totals = [sum(phase[index] for phase in phases) for index in range(len(streams))]
    at = bases(streams, totals, alignment, offsets)
    asked = [set() for _ in streams]
    chunk, found = max(1, chunk_bytes // access_bytes), []
    for number, phase in enumerate(phases):
        queues = []
        for index, num_bytes in enumerate(phase):
            own = []
            for byte in range(at[index], at[index] + num_bytes):
                if byte // access_bytes not in asked[index]:
                    asked[index].add(byte // access_bytes)
                    own.append(byte // access_bytes)
            at[index] += num_bytes
            queues.append([own[start : start + chunk] for start in range(0, len(own), chunk)])
        turns = []
        for index, chunks in enumerate(queues):
            for place, accesses in enumerate(chunks):
                turns.append((Fraction(2 * place + 1, 2 * len(chunks)), index, accesses))
        for _, index, accesses in sorted(turns, key=lambda turn: turn[:2]):
            found += [(number, access, streams[index][1] == "write") for access in accesses]
    return found
