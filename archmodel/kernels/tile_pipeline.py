"""Tiles that follow one another through an array whose operands wait in a queue of tiles."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def tile_pipeline(stream_cycles, fetch_ticks, ticks, entries, lead, hold, drain, fetched_is_shifted):
    """When each tile begins to shift into the array, and when it begins to stream.

    A tile shifts into shadow registers while the tile before it streams, and streams when that is done. What it needs
    from memory is fetched in order into a queue; an entry is free again when its tile is shifted in, or streamed. A
    tile that fetches nothing uses the entry of the tile before it.

    Parameters
    ----------
    stream_cycles : int64[T]    cycles in which operands stream through the tile, at least 1
    fetch_ticks : int64[T]      time in which the tile's entry arrives when nothing holds it up, in 1 / ticks cycles
    ticks : int                 ticks of a cycle
    entries : int               entries of the queue, at least 1
    lead : int                  cycles of shifting a tile in before it streams
    hold : int                  cycles from the start of a tile for which the shadow registers are in use
    drain : int                 cycles after its last stream cycle before the next tile may shift in; -1: no wait,
                                there are shadow registers
    fetched_is_shifted : bool   what is fetched is shifted in, else it streams

    Returns
    -------
    shift_start, stream_start : int64[T]
    """
    num_tiles = stream_cycles.size
    shift_start, stream_start = np.empty(num_tiles, np.int64), np.empty(num_tiles, np.int64)
    entries = min(entries, num_tiles)  # more are never taken; a large buffer has millions of small ones
    released = np.zeros(entries, np.int64)  # cycle in which each entry was free last
    entry, arrival = -1, 0
    free, previous_end = 0, 0
    for tile in range(num_tiles):
        if fetch_ticks[tile] > 0:
            entry = (entry + 1) % entries
            arrival = max(arrival, released[entry] * ticks) + fetch_ticks[tile]
        arrived = -(-arrival // ticks)
        if fetched_is_shifted:
            shift = max(free, arrived)
            start = max(shift + lead, previous_end)
        else:
            shift = free
            start = max(shift + lead, arrived, previous_end)
        shift_start[tile], stream_start[tile] = shift, start
        previous_end = start + stream_cycles[tile]
        free = start + hold if drain < 0 else previous_end + drain
        if entry >= 0:
            released[entry] = shift + lead if fetched_is_shifted else previous_end
    return shift_start, stream_start
