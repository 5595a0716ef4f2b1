"""Memory cube behind packet links: every flit has its place in time, exact fractions of a second, vaults tick by tick.

The part is that of dram_controller with a table `links` as in a file of configs/memory. Request i goes over link
i mod num_links, in order; a link sends one packet at a time in each direction. A request is on the way from its first
flit to the last flit of its response. A packet is whole before the crossbar takes it. A vault sees a request in the
first memory cycle that begins when it is there or later, and requests come to the vaults in the order in which they
leave the crossbar, then by their number.
"""

from fractions import Fraction
from math import ceil

from tests.reference.dram_controller import Memory


class Link:
    def __init__(self):
        self.to_send = []  # requests of the host
        self.to_return = []  # (ready, number of the request, flits)
        self.busy_out = self.busy_back = Fraction(0)  # until when
        self.sent = []  # numbers


def flits_of(part):
    """Flits of a packet (with data, without)."""
    organization, links = part["organization"], part["links"]
    data = organization["bus_bits"] // 8 * organization["burst_length"]
    return tuple(ceil((links["header_and_tail_bytes"] + payload) / links["flit_bytes"]) for payload in (data, 0))


class Cube:
    def __init__(self, part, requests):
        self.links_table = part["links"]
        self.memory = Memory(part)
        # as the file writes it: 0.8 is eight tenths
        self.cycle_s = Fraction(str(part["timing"]["tCK_ns"])) / 10**9
        self.crossbar_s = Fraction(str(self.links_table["crossbar_s"]))
        bits_per_s = self.links_table["lanes"] * Fraction(str(self.links_table["lane_bits_per_s"]))
        self.flit_s = self.links_table["flit_bytes"] * 8 / bits_per_s
        self.with_data, self.without_data = flits_of(part)
        self.links = [Link() for _ in range(self.links_table["num_links"])]
        self.requests = requests
        for number in range(len(requests)):
            self.links[number % len(self.links)].to_send.append(number)
        self.in_crossbar = []  # (when it leaves, number)
        self.at_vault = {}  # number -> request of the memory
        self.answered = set()
        self.sent, self.done = {}, {}  # number -> time of the first flit out, of the last flit back

    def send(self, link, now):
        """Requests whose first flit goes out by now."""
        while link.to_send:
            number = link.to_send[0]
            cycle, _, is_write = self.requests[number]
            start = max(cycle * self.cycle_s, link.busy_out, self.free_slot(link, now))
            if start > now:
                return
            link.to_send.pop(0)
            link.busy_out = start + self.flit_s * (self.with_data if is_write else self.without_data)
            link.sent.append(number)
            self.sent[number] = start
            self.in_crossbar.append((link.busy_out + self.crossbar_s, number))

    def free_slot(self, link, now):
        """When fewer than max_outstanding requests are on the way; after now, if that is not known yet."""
        known = sorted(self.done[number] for number in link.sent if number in self.done)
        num_waits = len(link.sent) + 1 - self.links_table["max_outstanding"]
        if num_waits <= 0:
            return Fraction(0)
        return known[num_waits - 1] if len(known) >= num_waits else now + 1

    def give_back(self, link, now):
        """Responses whose first flit goes back by now: of those that are ready, the one that was ready first."""
        while link.to_return:
            ready, number, flits = min(link.to_return)
            start = max(ready, link.busy_back)
            if start > now:
                return
            link.to_return.remove((ready, number, flits))
            link.busy_back = start + self.flit_s * flits
            self.done[number] = link.busy_back

    def tick(self, cycle):
        now = cycle * self.cycle_s
        for link in self.links:
            self.give_back(link, now)
            self.send(link, now)
        for leaves, number in sorted(self.in_crossbar):
            if leaves <= now:
                self.in_crossbar.remove((leaves, number))
                _, address, is_write = self.requests[number]
                self.at_vault[number] = self.memory.offer(number, cycle, address, is_write)
        self.memory.tick(cycle)
        for number, request in self.at_vault.items():
            if "completed" in request and number not in self.answered:
                self.answered.add(number)
                ready = request["completed"] * self.cycle_s + self.crossbar_s
                flits = self.without_data if request["is_write"] else self.with_data
                self.links[number % len(self.links)].to_return.append((ready, number, flits))


def serve(part, requests):
    """Serve (cycle, address, is_write) over links.

    As dram_controller.serve, where `entered` is the cycle in which a request enters its vault and `completed` the cycle
    in which the last flit of the response is there (rounded up); further `sent_s` and `completed_s`, exact.
    """
    cube = Cube(part, requests)
    cycle = 0
    while len(cube.done) < len(requests):
        cube.tick(cycle)
        cycle += 1
    completed = [ceil(cube.done[number] / cube.cycle_s) for number in range(len(requests))]
    until = max(completed, default=0)
    while cycle < until:
        cube.tick(cycle)
        cycle += 1
    outcome = cube.memory.outcome([cube.at_vault[number] for number in range(len(requests))], until)
    outcome["completed"] = completed
    outcome["sent_s"] = [cube.sent[number] for number in range(len(requests))]
    outcome["completed_s"] = [cube.done[number] for number in range(len(requests))]
    return outcome
