"""Which tensors a step must find in memory, asked of every tensor at every step."""


def live_bytes(steps, sizes, always, at_start):
    """Bytes held at each step.

    ``steps`` are pairs of the names read and written, ``sizes`` the bytes of each name; ``always`` are held throughout,
    ``at_start`` from the first step until nobody touches them any more.
    """
    totals = []
    for now in range(len(steps)):
        total = 0
        for name, size in sizes.items():
            touched = [place for place, (reads, writes) in enumerate(steps) if name in reads or name in writes]
            begun = name in at_start or any(place <= now for place in touched)
            wanted = any(place >= now for place in touched)
            if name in always or (begun and wanted):
                total += size
        totals.append(total)
    return totals
