"""Tiles through an array, cycle by cycle: what may begin in each, from what is there. No formula, no look ahead."""


def tile_pipeline(stream_cycles, fetch_ticks, ticks, entries, lead, hold, drain, fetched_is_shifted):
    """As archmodel.kernels.tile_pipeline: cycles in which each tile begins to shift, and to stream."""
    tiles = len(stream_cycles)
    needs = [sum(fetch > 0 for fetch in fetch_ticks[: tile + 1]) for tile in range(tiles)]
    waiting = [fetch for fetch in fetch_ticks if fetch > 0]
    shifts, starts = [], []
    free_entries, progress, arrived = entries, 0, 0
    now = 0

    def entry_is_left(cycle):
        """Whether an entry becomes free in this cycle: the last tile that uses it is shifted in, or has streamed."""
        left = 0
        for tile in range(tiles):
            last_user = needs[tile] > 0 and (tile + 1 == tiles or fetch_ticks[tile + 1] > 0)
            if not last_user:
                continue
            if fetched_is_shifted:
                left += tile < len(shifts) and shifts[tile] + lead == cycle
            else:
                left += tile < len(starts) and starts[tile] + stream_cycles[tile] == cycle
        return left

    while len(starts) < tiles:
        # A tile of no length to shift and the one behind it may begin in one cycle.
        for _ in range(2):
            if len(starts) < len(shifts):
                tile = len(starts)
                is_in = now >= shifts[tile] + lead
                is_there = fetched_is_shifted or arrived >= needs[tile]
                is_over = tile == 0 or now >= starts[-1] + stream_cycles[tile - 1]
                if is_in and is_there and is_over:
                    starts.append(now)
            if len(shifts) == len(starts) and len(shifts) < tiles:
                tile = len(shifts)
                before = tile == 0 or now >= (
                    starts[-1] + hold if drain < 0 else starts[-1] + stream_cycles[tile - 1] + drain
                )
                if before and (not fetched_is_shifted or arrived >= needs[tile]):
                    shifts.append(now)
        free_entries += entry_is_left(now)
        budget = ticks
        while budget and waiting:
            if progress == 0:
                if not free_entries:
                    break
                free_entries -= 1
            done = min(budget, waiting[0] - progress)
            budget, progress = budget - done, progress + done
            if progress == waiting[0]:
                waiting.pop(0)
                progress, arrived = 0, arrived + 1
        now += 1
    return shifts, starts
