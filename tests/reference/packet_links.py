"""Memory cube behind packet links: every flit has its place in time, vaults cycle by cycle.

The part is that of dram_controller with a table `links` as in a file of configs/memory. Request i goes over link
i mod num_links, and none leaves the host before the one before it; a link sends one packet at a time in each direction.
A packet is whole before the crossbar takes it. Times on links are ticks, of which a cycle has so many that a flit takes
a whole number; the crossbar takes the next whole number. A vault sees a request in the first cycle that begins when it
is there or later.
"""

from fractions import Fraction
from math import ceil

from tests.reference.dram_controller import Memory


class Link:
    def __init__(self):
        self.num_sent = 0
        self.busy_out = self.busy_back = 0  # until which tick
        self.to_return = []  # (tick when it is ready, number of the request)
        self.done = []  # ticks of the ends of responses


def flits_of(part):
    """Flits of a packet (with data, without)."""
    organization, links = part["organization"], part["links"]
    data = organization["bus_bits"] // 8 * organization["burst_length"]
    return tuple(ceil((links["header_and_tail_bytes"] + payload) / links["flit_bytes"]) for payload in (data, 0))


class Cube:
    def __init__(self, part, requests):
        self.table = part["links"]
        self.memory = Memory(part)
        # as the file writes it: 0.8 is eight tenths
        cycle_s = Fraction(str(part["timing"]["tCK_ns"])) / 10**9
        bits_per_s = self.table["lanes"] * Fraction(str(self.table["lane_bits_per_s"]))
        flit_cycles = self.table["flit_bytes"] * 8 / bits_per_s / cycle_s
        self.ticks = flit_cycles.denominator
        self.crossbar = ceil(Fraction(str(self.table["crossbar_s"])) / cycle_s * self.ticks)
        with_data, without_data = (flits * flit_cycles.numerator for flits in flits_of(part))
        self.request_ticks = {True: with_data, False: without_data}
        self.response_ticks = {True: without_data, False: with_data}
        self.links = [Link() for _ in range(self.table["num_links"])]
        self.requests = [self.memory.request(number, *request) for number, request in enumerate(requests)]
        self.at_host = list(self.requests)
        self.to_enter, self.in_vaults = [], []
        self.last_left = 0

    def link(self, request):
        return self.links[request["index"] % len(self.links)]

    def leave_host(self, now):
        """Requests whose first flit goes out by now."""
        while self.at_host:
            request = self.at_host[0]
            link = self.link(request)
            soonest = (request["cycle"] * self.ticks, self.last_left, link.busy_out, self.free_slot(link, now))
            if max(soonest) > now:
                return
            self.at_host.pop(0)
            request["left"] = self.last_left = max(soonest)
            link.num_sent += 1
            link.busy_out = request["left"] + self.request_ticks[request["is_write"]]
            request["there"] = ceil(Fraction(link.busy_out + self.crossbar, self.ticks))
            self.to_enter.append(request)

    def free_slot(self, link, now):
        """When fewer than max_outstanding requests are on the way; after now, if that is not known yet."""
        num_waits = link.num_sent + 1 - self.table["max_outstanding"]
        if num_waits <= 0:
            return 0
        return sorted(link.done)[num_waits - 1] if len(link.done) >= num_waits else now + 1

    def give_back(self, link, now):
        """Responses that are ready by now, one after the other."""
        for ready, number in sorted(link.to_return):
            if ready <= now:
                link.to_return.remove((ready, number))
                request = self.requests[number]
                link.busy_back = max(ready, link.busy_back) + self.response_ticks[request["is_write"]]
                request["done"] = link.busy_back
                link.done.append(link.busy_back)

    def enter_vaults(self, cycle):
        """Numbers of the vaults that a request enters; none passes another of its link or of its vault."""
        held_up, entered_to = set(), set()
        for request in list(self.to_enter):
            ways = {("link", request["index"] % len(self.links)), ("vault", request["channel"])}
            vault = self.memory.channels[request["channel"]]
            if not ways & held_up and request["there"] <= cycle and vault.enter(request, cycle):
                self.to_enter.remove(request)
                self.in_vaults.append(request)
                entered_to.add(request["channel"])
            else:
                held_up |= ways
        return entered_to

    def tick(self, cycle):
        now = cycle * self.ticks
        for link in self.links:
            self.give_back(link, now)
        self.leave_host(now)
        entered_to = self.enter_vaults(cycle)
        self.memory.work(cycle, entered_to)
        for request in list(self.in_vaults):
            if "completed" in request:
                self.in_vaults.remove(request)
                ready = request["completed"] * self.ticks + self.crossbar
                self.link(request).to_return.append((ready, request["index"]))


def serve(part, requests):
    """Serve (cycle, address, is_write) over links.

    As dram_controller.serve, where `entered` is the cycle in which a request leaves the host and `completed` that in
    which the last flit of its response is there (rounded up); further the same as exact cycles, `left` and `done`, and
    `at_vault`, the cycle in which it enters its vault.
    """
    cube = Cube(part, requests)
    cycle = 0
    while not all("done" in request for request in cube.requests):
        cube.tick(cycle)
        cycle += 1
    until = max((ceil(Fraction(request["done"], cube.ticks)) for request in cube.requests), default=0)
    while cycle <= until:
        cube.tick(cycle)
        cycle += 1
    at_vault = [request["entered"] for request in cube.requests]
    for request in cube.requests:
        request["entered"] = request["left"] // cube.ticks
        request["completed"] = ceil(Fraction(request["done"], cube.ticks))
    outcome = cube.memory.outcome(cube.requests, until)
    outcome["at_vault"] = at_vault
    outcome["left"] = [Fraction(request["left"], cube.ticks) for request in cube.requests]
    outcome["done"] = [Fraction(request["done"], cube.ticks) for request in cube.requests]
    return outcome
