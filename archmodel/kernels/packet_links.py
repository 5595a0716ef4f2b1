"""Packet links between a host and the vaults of a cube: requests out, responses back, a crossbar between."""

import numpy as np
from numba import njit

from archmodel.kernels.dram_feed import LOG_MARGIN, flush, has_place, put_in, step, where, write_down
from archmodel.kernels.dram_lists import settle
from archmodel.kernels.dram_state import NEVER, NOTHING, RD, WR

LINKS, OUTSTANDING = 16, 1024  # of the largest memory; a power of two

# Times are ticks, `ticks` to a cycle of the vaults.
LINK = np.dtype(
    (
        np.record,
        [
            ("out_free", "i8"),  # the link takes the next request
            ("back_free", "i8"),  # and the next response
            ("entered", "i8"),  # cycle in which its last request entered a vault
            ("outstanding", "i8"),
            ("ready", "i8", (OUTSTANDING,)),  # responses before the link, in order of these ticks
            ("turn", "i8", (OUTSTANDING,)),
            ("num_ready", "i8"),
            ("ends", "i8", (OUTSTANDING,)),  # ring of the ends of responses, in order
            ("first_end", "i8"),
            ("num_ends", "i8"),
        ],
    )
)
HOST = np.dtype(
    (
        np.record,
        [
            ("num_links", "i8"),
            ("ticks", "i8"),
            ("flit_ticks", "i8"),
            ("crossbar_ticks", "i8"),
            ("request_flits", "i8", (2,)),  # of a read and a write
            ("response_flits", "i8", (2,)),
            ("max_outstanding", "i8"),  # of a link
            ("sent", "i8"),  # when the last request left
            ("link", LINK, (LINKS,)),
        ],
    )
)


@njit(nogil=True)
def is_full(log):
    """Whether a log of commands has no room for those that one request may cause."""
    return log.commands.shape[0] > 0 and log.used[0] + LOG_MARGIN > log.commands.shape[0]


@njit(nogil=True)
def make_ready(host, trace, turn):
    """The data of a request leave their vault for the crossbar."""
    link = host.link[turn % host.num_links]
    ready = trace.completed[turn - trace.first] * host.ticks + host.crossbar_ticks
    place = link.num_ready
    while place > 0 and (
        link.ready[place - 1] > ready or (link.ready[place - 1] == ready and link.turn[place - 1] > turn)
    ):
        link.ready[place], link.turn[place] = link.ready[place - 1], link.turn[place - 1]
        place -= 1
    link.ready[place], link.turn[place] = ready, turn
    link.num_ready += 1


@njit(nogil=True)
def issue(part, host, state, trace, log, c, until):
    """One command of vault `c` before `until`, written down; its cycle or NOTHING. Its data leave for the crossbar."""
    cycle, command, index, row, turn = step(part, state, c, until)
    if cycle == NOTHING:
        return NOTHING
    if command in (RD, WR):
        trace.completed[turn - trace.first] = state.channel[c].data_end
        make_ready(host, trace, turn)
    if log.commands.shape[0]:
        write_down(log, cycle, command, index, row)
    return cycle


@njit(nogil=True)
def respond(host, trace, writes, horizon):
    """Send the responses that are ready up to `horizon`; no other one will be."""
    for number in range(host.num_links):
        link = host.link[number]
        sent = 0
        while sent < link.num_ready and link.ready[sent] <= horizon:
            turn = link.turn[sent]
            flits = host.response_flits[1 if writes[turn - trace.first] else 0]
            link.back_free = max(link.back_free, link.ready[sent]) + flits * host.flit_ticks
            trace.completed[turn - trace.first] = -(-link.back_free // host.ticks)
            link.ends[(link.first_end + link.num_ends) & (OUTSTANDING - 1)] = link.back_free
            link.num_ends += 1
            sent += 1
        for place in range(sent, link.num_ready):
            link.ready[place - sent], link.turn[place - sent] = link.ready[place], link.turn[place]
        link.num_ready -= sent


@njit(nogil=True)
def go_on(part, host, state, trace, writes, log, until):
    """All commands of all vaults before cycle `until`, and the responses that follow; False: the log is full."""
    for c in range(part.channels):
        issued = 0
        while issued != NOTHING:
            if is_full(log):
                return False
            issued = issue(part, host, state, trace, log, c, until)
    least = min(part.read_cycles, part.write_cycles) + part.burst_cycles  # from a command to the end of its data
    respond(host, trace, writes, (until + least) * host.ticks + host.crossbar_ticks - 1)
    return True


@njit(nogil=True)
def departure(part, host, state, trace, writes, log, link, tick):
    """First tick from `tick` on in which a link has a tag left; NOTHING: the log is full."""
    while True:
        if not go_on(part, host, state, trace, writes, log, tick // host.ticks):
            return NOTHING
        while link.num_ends > 0 and link.ends[link.first_end] <= tick:
            link.first_end = (link.first_end + 1) & (OUTSTANDING - 1)
            link.num_ends -= 1
            link.outstanding -= 1
        if link.outstanding < host.max_outstanding:
            return tick
        if link.num_ends > 0:
            tick = link.ends[link.first_end]
            continue
        following = NEVER
        for c in range(part.channels):
            following = min(following, state.channel[c].next)
        following = max((tick // host.ticks + 1) * host.ticks, (following + 1) * host.ticks)
        if link.num_ready > 0:  # a command that is still to come may be ready before it
            following = min(following, max(tick + 1, link.ready[0]))
        tick = following


@njit(nogil=True)
def arrive(part, host, state, trace, log, turn, cycle):
    """A request comes to its vault at `cycle` and enters as soon as it finds a place."""
    access = (trace.addresses[turn] >> part.access_bits) & part.access_mask
    writes = np.int64(trace.writes[turn])
    c, b = where(part, access)
    channel = state.channel[c]
    cycle = max(cycle, state.fed[c])
    placed = False
    while True:
        placed = placed or has_place(part, state, b, c, writes, access)
        if not placed and channel.entered:
            settle(part, state, c)
            cycle = max(cycle, channel.clock + 1)
            continue
        issued = issue(part, host, state, trace, log, c, cycle if placed else NEVER)
        if issued == NOTHING:
            break
        if not placed:
            cycle = max(cycle, issued + 1)
    state.fed[c] = cycle
    channel.clock = max(channel.clock, cycle)
    put_in(part, state, b, c, writes, access, trace.next + turn, cycle)
    return cycle


@njit(cache=True, nogil=True)
def serve_over_links(part, host, state, trace, writes, log, closing):
    """Feed requests to the vaults of a cube over its links.

    Request i goes over link i mod num_links. Requests leave the host in the order of the feed, each when its link is
    free and has a tag left; those of a link, and those of a vault, arrive in this order, so that one without a place
    holds up the others of its link. Responses take the link of their request, first ready first.

    Parameters
    ----------
    part, state, trace, log, closing : as in dram_feed.py; `entered` is when a request left the host, `completed` when
        its response has arrived
    host : HOST   the links and what is on them
    writes : bool[next - first + n]   of all requests that are not completed

    Returns
    -------
    int   as `serve`
    """
    turn, num = 0, trace.cycles.size
    while turn < num:
        link = host.link[(trace.next + turn) % host.num_links]
        tick = max(max(trace.cycles[turn] * host.ticks, host.sent), link.out_free)
        tick = departure(part, host, state, trace, writes, log, link, tick)
        if tick == NOTHING:
            return turn
        host.sent = tick
        flits = host.request_flits[1 if trace.writes[turn] else 0]
        link.out_free = tick + flits * host.flit_ticks
        link.outstanding += 1
        cycle = -(-(link.out_free + host.crossbar_ticks) // host.ticks)
        link.entered = arrive(part, host, state, trace, log, turn, max(cycle, link.entered))
        trace.entered[turn] = tick // host.ticks
        turn += 1
    for c in range(part.channels if closing else 0):
        issued = 0
        while issued != NOTHING:
            if is_full(log):
                return turn
            issued = issue(part, host, state, trace, log, c, flush(part, state, c, 0) if closing == 1 else closing)
        turn += 1
    if closing == 1:
        respond(host, trace, writes, NEVER)
    return turn
