"""Naive twin of archmodel/kernels/link_sharing.py, in fractions: water that rises until the first tank is full."""

from fractions import Fraction


def fair_rates(usage, capacity):
    """Rates of flows; None: nothing limits it. usage[f][l], capacity[l] as fractions."""
    flows = dict(enumerate(usage))
    rates = {}
    while flows:
        levels = {}
        for link, room in enumerate(capacity):
            fixed = sum((rate * usage[f][link] for f, rate in rates.items()), Fraction(0))
            slope = sum((needs[link] for needs in flows.values()), Fraction(0))
            if slope:
                levels[link] = (room - fixed) / slope  # the common rate at which the link is full
        if not levels:
            break
        level = min(levels.values())
        full = {link for link, one in levels.items() if one == level}
        stopped = [f for f, needs in flows.items() if any(needs[link] for link in full)]
        for f in stopped:
            rates[f] = level
            del flows[f]
    return [rates.get(f) for f in range(len(usage))]


def completion_times(usage, capacity, num_bytes, starts):
    """Ends of flows; None: never. One event after the other, every sum made anew."""
    left = {f: Fraction(count) for f, count in enumerate(num_bytes)}
    ends = [None] * len(usage)
    now = min(starts, default=0)
    while left:
        going = [f for f in left if starts[f] <= now]
        rates = dict(zip(going, fair_rates([usage[f] for f in going], capacity), strict=True))
        for f in going:
            if rates[f] is None or left[f] == 0:  # nothing limits it, or there is nothing to move
                ends[f] = now
        if any(ends[f] is not None for f in going):
            left = {f: count for f, count in left.items() if ends[f] is None}
            continue
        events = [starts[f] for f in left if starts[f] > now]
        events += [now + left[f] / rates[f] for f in going if rates[f]]
        if not events:
            break
        until = min(events)
        for f in going:
            left[f] -= rates[f] * (until - now)
        now = until
    return ends
