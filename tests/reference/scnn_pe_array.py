"""Naive twin of kernels/accumulator_banks.py: one output-channel group on real queues, all PEs stepped together.

Nothing here computes when something happens: every cycle the broadcaster looks for room, every PE that may issue
does, every bank takes one product off its queue, and the counters say what was seen.
"""

from collections import deque
from dataclasses import dataclass


@dataclass
class Measured:
    """What the stepping saw; work, stalls and emptying have one number for each PE."""

    span: int
    waiting: int
    work: list[int]
    stalls: list[int]
    emptying: list[int]
    activation_reads: int  # words that the PEs fetched, a vector once for each piece of a weight block
    weight_reads: int  # words that the multipliers took from the FIFOs
    products: int
    queued: int  # products that entered a queue


@dataclass
class Issue:
    """Multiply an activation vector with weight vector `number`."""

    activation: list[int]
    number: int
    is_fetch: bool  # the activation vector is new
    is_last_use: bool  # the weight vector is free afterwards


@dataclass
class Discard:
    """Let go of weight vector `number`: the PE has no activation of its channel."""

    number: int


class Meet:
    """Wait for all PEs."""


def pieces_of(numbers, capacity):
    """A channel's weight vectors in the portions in which they pass the FIFO."""
    portions = []
    for number in numbers:
        if not portions or (capacity and len(portions[-1]) == capacity):
            portions.append([])
        portions[-1].append(number)
    return portions


def agenda(weight_blocks, activation_blocks, capacity, barrier_blocks):
    """All that one PE has to do in a group, in order."""
    tasks, number = deque(), 0
    for block, (weights, activations) in enumerate(zip(weight_blocks, activation_blocks, strict=True), start=1):
        numbers = range(number, number + len(weights))
        number += len(weights)
        for piece in pieces_of(numbers, capacity):
            if not activations and capacity:
                tasks.extend(Discard(vector) for vector in piece)
            for turn, activation in enumerate(activations, start=1):
                is_last = turn == len(activations)
                tasks.extend(Issue(activation, vector, vector == piece[0], is_last) for vector in piece)
        if barrier_blocks and block % barrier_blocks == 0:
            tasks.append(Meet())
    return tasks


class PE:
    """Multipliers, a weight FIFO, a queue of products before every accumulator bank."""

    def __init__(self, tasks, bank_of, depth):
        self.tasks = tasks
        self.bank_of = bank_of
        self.depth = depth
        self.fifo = []  # (number, weight vector)
        self.queues = {}
        self.is_held = False
        self.issued = self.stalls = self.emptying = 0
        self.activation_reads = self.weight_reads = self.products = self.queued = 0

    @property
    def has_products(self):
        return any(self.queues.values())

    @property
    def must_issue(self):
        return any(isinstance(task, Issue) for task in self.tasks)

    @property
    def is_at_barrier(self):
        return bool(self.tasks) and isinstance(self.tasks[0], Meet) and not self.is_held

    @property
    def only_empties(self):
        return all(isinstance(task, Discard) for task in self.tasks)

    def discard(self):
        """Drop weights of channels without activations from the head of the FIFO."""
        while self.tasks and isinstance(self.tasks[0], Discard) and self.fifo:
            number, _ = self.fifo.pop(0)
            assert number == self.tasks.popleft().number

    def step(self):
        """One cycle."""
        if self.is_held:
            self.stalls += 1
        elif self.tasks and isinstance(self.tasks[0], Issue):
            self.try_to_issue()
        elif self.has_products and self.only_empties:
            self.emptying += 1
        for queue in self.queues.values():
            if queue:
                queue.pop(0)
        self.is_held = any(len(queue) > self.depth for queue in self.queues.values())

    def try_to_issue(self):
        task = self.tasks[0]
        weights = [vector for number, vector in self.fifo if number == task.number]
        if not weights:
            return
        self.tasks.popleft()
        self.issued += 1
        self.activation_reads += len(task.activation) if task.is_fetch else 0
        self.weight_reads += len(weights[0])
        self.products += len(task.activation) * len(weights[0])
        for activation in task.activation:
            for weight in weights[0]:
                bank = self.bank_of(activation + weight)
                if bank is not None:
                    self.queues.setdefault(bank, []).append((activation, weight))
                    self.queued += 1
        if task.is_last_use:
            self.fifo = [(number, vector) for number, vector in self.fifo if number != task.number]
            self.discard()


def run_group(weight_blocks, activation_blocks, bank_of, depth, weight_fifo, barrier_blocks):
    """Step until every PE has issued everything and all queues are empty.

    weight_blocks[channel] : weight vectors, each a list of address addends
    activation_blocks[pe][channel] : activation vectors, each a list of address addends
    bank_of(pe, address) : bank of an accumulator, or None for a product that is dropped before the crossbar
    depth : products that a queue holds
    weight_fifo : weight vectors that a FIFO holds, and the most that are broadcast a cycle; (0, 0): all are there
    """
    capacity, per_cycle = weight_fifo
    supply = deque(enumerate(vector for weights in weight_blocks for vector in weights))
    pes = []
    for pe, activations in enumerate(activation_blocks):
        tasks = agenda(weight_blocks, activations, capacity, barrier_blocks)
        pes.append(PE(tasks, lambda address, pe=pe: bank_of(pe, address), depth))
    for _ in range(capacity or len(supply)):
        deliver(supply, pes)
    for pe in pes:
        pe.discard()
    cycle = 0
    while any(pe.must_issue or pe.has_products for pe in pes):
        for _ in range(per_cycle):
            if all(len(pe.fifo) < capacity for pe in pes):
                deliver(supply, pes)
        for pe in pes:
            pe.discard()
        while all(pe.is_at_barrier for pe in pes):
            for pe in pes:
                pe.tasks.popleft()
        for pe in pes:
            pe.step()
        cycle += 1
    work = [pe.issued + pe.stalls + pe.emptying for pe in pes]
    return Measured(
        span=cycle,
        waiting=cycle - max(work) if capacity else 0,
        work=work,
        stalls=[pe.stalls for pe in pes],
        emptying=[pe.emptying for pe in pes],
        activation_reads=sum(pe.activation_reads for pe in pes),
        weight_reads=sum(pe.weight_reads for pe in pes),
        products=sum(pe.products for pe in pes),
        queued=sum(pe.queued for pe in pes),
    )


def deliver(supply, pes):
    """Broadcast the next weight vector, if any is left."""
    if supply:
        number, vector = supply.popleft()
        for pe in pes:
            pe.fifo.append((number, vector))
