"""The bank and FIFO kernel against queues stepped cycle by cycle, and cases computed by hand."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest

from archmodel.kernels.accumulator_banks import DROPPED, UNUSED, bank_group_cycles
from archmodel.kernels.lanes import NO_WEIGHT, NUM_LANES, ROW_BYTES, WEIGHTS_PER_STEP
from tests.reference import bank_hashes, scnn_pe_array
from tests.reference.run_length import in_vectors

HASHES = ("linear", "prime", "xor", "dnnsim", "random")
ROTATING = ("linear", "prime")
DENSITIES = (0.0, 0.05, 0.3, 0.6, 1.0)
NAMES = ("span", "waiting", "work", "stalls", "emptying")


@dataclass
class Case:
    """Entries as coordinates: weights[group][channel] of (k, y, x), activations[pe][channel] of (0, y, x)."""

    weights: list
    activations: list
    Kc: int
    height: int
    width: int
    F: int = 4
    I: int = 4
    depth: int = 2
    capacity: int = 0  # entries of the FIFO; 0 for weights that are always there
    per_cycle: int = 1  # vectors broadcast a cycle
    barrier: int = 0
    bank_hash: str = "linear"
    num_banks: int = 32
    dropped: tuple = ()  # (pe, address)
    seed: int = 0

    @property
    def weight_fifo(self):
        return (self.capacity, self.per_cycle) if self.capacity else (0, 0)

    def address(self, entry):
        k, y, x = entry
        return (k * self.height + y) * self.width + x

    def bank_table(self):
        """Bank of every address of every PE."""
        if self.bank_hash == "random":
            return np.random.default_rng(self.seed).integers(
                0, self.num_banks, (len(self.activations), self.Kc * self.height * self.width), np.uint8
            )
        table = np.zeros((len(self.activations), self.Kc * self.height * self.width), np.uint8)
        for pe in range(table.shape[0]):
            for k, y, x in np.ndindex(self.Kc, self.height, self.width):
                address = self.address((k, y, x))
                table[pe, address] = bank_hashes.bank_of(
                    self.bank_hash, self.num_banks, address, k, y, x, y + 3 * pe - 2, x - pe
                )
        for pe, address in self.dropped:
            table[pe, address] = DROPPED
        return table

    def blocks(self, width, entries_of):
        return [[in_vectors([self.address(e) for e in entries], width) for entries in one] for one in entries_of]


def kernel_on_addresses(case):
    weight_ptr, weights = pointers(case.blocks(case.F, case.weights))
    activation_ptr, activations = pointers(transposed(case.blocks(case.I, case.activations)))
    return run_kernel(
        case,
        weight_ptr,
        padded(weights, case.F, UNUSED, np.int32),
        activation_ptr,
        padded(activations, case.I, UNUSED, np.int32),
        case.bank_table(),
    )


def kernel_on_rotations(case):
    """As the addresses, with every entry's own bank; the bank of a product is the sum of both."""

    def bank(entry):
        k, y, x = entry
        return bank_hashes.bank_of(case.bank_hash, NUM_LANES, case.address(entry), k, y, x, 0, 0)

    offsets = [[in_vectors([NUM_LANES - bank(e) for e in es], case.F) for es in group] for group in case.weights]
    banks = [[in_vectors([bank(e) for e in es], case.I) for es in pe] for pe in case.activations]
    weight_ptr, weights = pointers(offsets)
    activation_ptr, activations = pointers(transposed(banks))
    counts = np.zeros((len(activations), ROW_BYTES), np.uint8)
    for row, vector in enumerate(activations):
        for lane in vector:
            counts[row, [lane, lane + NUM_LANES]] += 1
    weights = padded(weights, WEIGHTS_PER_STEP, NO_WEIGHT, np.uint8)
    return run_kernel(case, weight_ptr, weights, activation_ptr, counts, np.zeros((1, 1), np.uint8))


def run_kernel(case, weight_ptr, weights, activation_ptr, activations, table):
    outcome = bank_group_cycles(
        weight_ptr, weights, activation_ptr, activations, table, case.depth, case.weight_fifo, case.barrier
    )
    return {name: array.tolist() for name, array in zip(NAMES, outcome, strict=True)}


def pointers(blocks):
    """blocks[row][column] of vectors -> int64[rows, columns + 1] and all vectors in a list."""
    ptr, vectors = [], []
    for row in blocks:
        ptr.append([len(vectors)])
        for block in row:
            vectors += block
            ptr[-1].append(len(vectors))
    return np.array(ptr, np.int64), vectors


def transposed(blocks):
    return [list(column) for column in zip(*blocks, strict=True)]


def padded(vectors, width, unused, dtype):
    array = np.full((len(vectors), width), unused, dtype)
    for row, vector in enumerate(vectors):
        array[row, : len(vector)] = vector
    return array


def stepped(case):
    """The twin's account of every group, in the form of the kernel's."""
    table = case.bank_table().tolist()

    def bank_of(pe, address):
        return None if table[pe][address] == DROPPED else table[pe][address]

    activations = case.blocks(case.I, case.activations)
    measured = [
        scnn_pe_array.run_group(group, activations, bank_of, case.depth, case.weight_fifo, case.barrier)
        for group in case.blocks(case.F, case.weights)
    ]
    return {name: [getattr(group, name) for group in measured] for name in NAMES}


def random_case(seed):
    """A small random layer; every policy and every degenerate density occurs in a few hundred of them."""
    draw = random.Random(seed)
    Kc, R, S = draw.randint(1, 8), draw.randint(1, 3), draw.randint(1, 3)
    tile_h, tile_w = draw.randint(1, 4), draw.randint(1, 4)
    kernel = [(k, r, s) for k in range(Kc) for r in range(R) for s in range(S)]
    tile = [(0, y, x) for y in range(tile_h) for x in range(tile_w)]
    num_channels, num_pes = draw.randint(1, 4), draw.randint(1, 4)

    def some_of(cells):
        density = draw.choice(DENSITIES)
        return [cell for cell in cells if draw.random() < density]

    case = Case(
        weights=[[some_of(kernel) for _ in range(num_channels)] for _ in range(draw.randint(1, 3))],
        activations=[[some_of(tile) for _ in range(num_channels)] for _ in range(num_pes)],
        Kc=Kc,
        height=tile_h + R - 1,
        width=tile_w + S - 1,
        F=draw.choice([1, 2, 3, 4, 4, 4, 6]),
        I=draw.choice([1, 2, 4, 4, 5]),
        depth=draw.choice([0, 1, 2, 8]),
        capacity=draw.choice([0, 0, 1, 2, 3, 5, 8, 50]),
        per_cycle=draw.choice([1, 1, 1, 2, 5]),
        bank_hash=draw.choice(HASHES),
        num_banks=32,
        seed=seed,
    )
    if case.bank_hash != "dnnsim":
        case.num_banks = draw.choice([32, 32, 32, 1, 2, 8, 64] + ([5, 33, 254] if case.bank_hash != "xor" else []))
    if not case.capacity:
        case.barrier = draw.choice([0, 1, 2])
    if draw.random() < 0.3:
        addresses = range(Kc * case.height * case.width)
        case.dropped = tuple((pe, a) for pe in range(num_pes) for a in addresses if draw.random() < 0.3)
    return case


def rotates(case):
    return case.bank_hash in ROTATING and case.num_banks == NUM_LANES and case.F <= 4 and not case.dropped


@pytest.mark.parametrize("block", range(20))
def test_the_kernel_is_the_stepped_array(block):
    for seed in range(block * 20, block * 20 + 20):
        case = random_case(seed)
        expected = stepped(case)
        assert kernel_on_addresses(case) == expected, seed
        if rotates(case):
            assert kernel_on_rotations(case) == expected, seed


@pytest.mark.parametrize("block", range(10))
def test_rotations_are_the_stepped_array(block):
    for seed in range(1000 + block * 15, 1000 + block * 15 + 15):
        case = random_case(seed)
        case.bank_hash, case.num_banks = ROTATING[seed % 2], NUM_LANES
        case.F, case.dropped = min(case.F, WEIGHTS_PER_STEP), ()
        expected = stepped(case)
        assert kernel_on_rotations(case) == expected, seed
        assert kernel_on_addresses(case) == expected, seed


def test_the_random_cases_reach_every_corner():
    cases = [random_case(seed) for seed in range(400)]
    assert sum(rotates(case) for case in cases) >= 20
    assert {case.bank_hash for case in cases} == set(HASHES)
    assert {case.barrier for case in cases} == {0, 1, 2}
    assert {case.depth for case in cases} == {0, 1, 2, 8}
    assert any(len(case.activations) == 1 and case.capacity for case in cases)
    largest = [max(len(entries) for group in case.weights for entries in group) for case in cases]
    assert any(case.capacity and size > case.F * case.capacity for case, size in zip(cases, largest, strict=True))
    assert any(not any(any(group) for group in case.weights) for case in cases)


def only(num_entries):
    """Entries that all have address 0."""
    return [(0, 0, 0)] * num_entries


def one_bank(num_products, depth, num_vectors=1, **fields):
    """`num_vectors` steps, each with `num_products` products for bank 0."""
    return Case([[only(num_products * num_vectors)]], [[only(1)]], 1, 1, 1, F=num_products, I=1, depth=depth, **fields)


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_queue_of_its_depth_does_not_stall_and_one_more_does(run, depth):
    full = run(one_bank(depth + 1, depth))  # one of the products retires at once
    assert (full["stalls"], full["emptying"], full["work"]) == ([[0]], [[depth]], [[1 + depth]])
    overfull = run(one_bank(depth + 2, depth))
    assert (overfull["stalls"], overfull["emptying"], overfull["work"]) == ([[1]], [[depth]], [[2 + depth]])


@pytest.mark.parametrize("run", [kernel_on_addresses, stepped])
def test_a_queue_counts_up_to_a_byte(run):
    case = one_bank(16, 239, num_vectors=17)  # 15 more each step: 239 after 15 steps hold, 240 stalls, then 239 + 15
    outcome = run(case)
    assert outcome["work"] == [[17 * 16]]  # a bank that never runs dry retires one product a cycle
    assert outcome["stalls"] == [[1 + 15]]


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
def test_the_fullest_bank_of_each_step_decides_at_depth_zero(run):
    # Steps of 4 weights in columns 0, 1, 2 and 32: 32 banks, so columns 0 and 32 share one.
    weights = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 32)]
    activations = [(0, 0, 0), (0, 0, 32), (0, 0, 1), (0, 0, 2)]
    outcome = run(Case([[weights]], [[activations[:2]]], 1, 1, 65, depth=0))
    assert outcome["span"] == [4]  # bank 0: both weights with both activations
    outcome = run(Case([[weights]], [[activations]], 1, 1, 65, depth=0))
    # bank 0 as before; bank 1: (1 with 0 and 32), (0 and 32 with 1); bank 2: 2 twice, 1 with 1, 0 and 32 with 2
    assert outcome["span"] == [5]
    assert outcome["stalls"] == [[4]]


@pytest.mark.parametrize("seed", range(30))
def test_at_depth_zero_every_step_takes_its_fullest_bank(seed):
    case = random_case(seed)
    case.depth = case.capacity = case.barrier = 0
    table = case.bank_table()
    outcome = kernel_on_addresses(case)
    activations = case.blocks(case.I, case.activations)
    for group, weights in enumerate(case.blocks(case.F, case.weights)):
        for pe, of_pe in enumerate(activations):
            cycles = 0
            for channel, block in enumerate(weights):
                for one in of_pe[channel]:
                    for other in block:
                        banks = [int(table[pe, a + w]) for a in one for w in other]
                        cycles += max([1] + [banks.count(bank) for bank in set(banks) - {DROPPED}])
            assert outcome["work"][group][pe] == cycles
            assert outcome["emptying"][group][pe] == 0


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
def test_a_held_pe_is_no_closer_to_weights_that_are_still_to_come(run):
    # One bank, two weights a vector, the last has one. PE 1 sends 6, 6, 6 and 3 products: it issues w0 in 0, is held
    # in 1 to 4, w1 in 5, held in 6 to 10, w2 in 11, held in 12 to 16, w3 in 17, held in 18 and 19, empties in 20. So
    # w2 arrives in 1 and w3 in 6. PE 0 sends 2, 2, 2 and 1: w0 in 0, w1 in 1, held in 2, w2 in 3, held in 4; its queue
    # empties in 5, and w3 in 6 leaves nothing behind.
    case = Case([[only(7)]], [[only(1)], [only(3)]], 1, 1, 1, F=2, depth=1, capacity=2, per_cycle=2)
    outcome = run(case)
    assert outcome["work"] == [[6, 21]]
    assert outcome["stalls"] == [[2, 16]]
    assert outcome["emptying"] == [[0, 1]]
    assert (outcome["span"], outcome["waiting"]) == ([21], [0])


# Two PEs, each busy in the other's idle channel; without conflicts, one weight a vector.
# Channel 0: weights w0, w1; PE 0 has three activation vectors, PE 1 none. Channel 1: w2, w3; PE 0 has one, PE 1 three.
COUPLED = Case(
    weights=[[[(0, 0, 0), (0, 0, 1)], [(0, 0, 2), (0, 0, 3)]]],
    activations=[[only(3), only(1)], [[], only(3)]],
    Kc=1,
    height=1,
    width=8,
    F=1,
    I=1,
)


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
@pytest.mark.parametrize(
    ("capacity", "span", "waiting"),
    [
        (0, 8, 0),  # PE 0: 6 + 2; PE 1: 6
        (4, 8, 0),  # the whole group
        (3, 10, 2),  # w3 follows w0, which PE 0 uses last in cycle 4: PE 1 has w2 in 0, w3 in 5, the others in 6 to 9
        (2, 11, 3),  # w2 arrives in 5 and w3 in 6: PE 1 issues in 5 and 6, then 7 to 10
        (1, 12, 4),  # pieces: w0 in 0 to 2, w1 in 3 to 5, w2 at PE 1 in 6 to 8, w3 in 9 to 11
    ],
)
def test_a_pe_waits_for_weights_that_another_one_keeps(run, capacity, span, waiting):
    outcome = run(replace(COUPLED, capacity=capacity))
    assert (outcome["span"], outcome["waiting"], outcome["work"]) == ([span], [waiting], [[8, 6]])


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
@pytest.mark.parametrize(("capacity", "stalls"), [(2, 1), (1, 0), (0, 1)])
def test_a_block_of_the_fifos_size_passes_whole_and_one_vector_more_in_pieces(run, capacity, stalls):
    case = Case(
        weights=[[[(0, 0, 0), (0, 0, 32), (0, 0, 0), (0, 0, 32)]]],
        activations=[[[(0, 0, 0), (0, 0, 1)]]],
        Kc=1,
        height=1,
        width=34,
        F=2,
        I=1,
        depth=1,
        capacity=capacity,
    )
    # w0 = w1 = two weights of bank 0; a0 in bank 0, a1 in bank 1.
    # Whole: a0.w0 = 0, 0 (1 left), a0.w1 = 0, 0 (2 left: held), a1.w0, a1.w1 = 1, 1 (2 left: held).
    # In pieces: a0.w0 = 0, 0 (1 left), a1.w0 = 1, 1 (0 and 1 left), a0.w1 = 0, 0 (1 left), a1.w1 = 1, 1 (1 left).
    assert run(case)["stalls"] == [[2 * stalls]]


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
@pytest.mark.parametrize(("per_cycle", "waiting"), [(1, 5), (2, 2), (3, 1), (5, 1), (50, 1)])
def test_no_more_vectors_arrive_in_a_cycle_than_the_fifo_has_room_for(run, per_cycle, waiting):
    # As below with 3 entries: w7 and w8 are there in 13. At 2 a cycle w9 and w10 arrive in 14, w11 and w12 in 15, w13
    # and w14, which the PE issues, in 16. From 3 a cycle on, the FIFO decides: w9 to w11 in 14, w12 to w14 in 15.
    seven = [(0, 0, column) for column in range(7)]
    case = Case([[seven] * 3], [[only(2), [], only(1)]], 1, 1, 8, F=1, I=1, capacity=3, per_cycle=per_cycle)
    outcome = run(case)
    assert outcome["work"] == [[14 + 7]]
    assert outcome["waiting"] == [waiting]


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_a_block_that_a_pe_does_not_need_still_passes_through_its_fifo(run, capacity):
    # 7 vectors a channel. Channel 0 is issued twice, in 0 to 13, in pieces. Channel 1 is only dropped: its first
    # capacity - 1 vectors are there in 13, the others and the first of channel 2 arrive in 14 and later, one a cycle.
    seven = [(0, 0, column) for column in range(7)]
    case = Case([[seven] * 3], [[only(2), [], only(1)]], 1, 1, 8, F=1, I=1, capacity=capacity)
    outcome = run(case)
    assert outcome["work"] == [[14 + 7]]
    assert outcome["waiting"] == [8 - capacity]
    assert outcome["span"] == [21 + 8 - capacity]


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
def test_a_pe_whose_multipliers_are_held_still_drops_weights(run):
    # w0 sends four products to one bank in cycle 0 and holds the multipliers in 1 to 3. Meanwhile w1 and w2, which
    # nobody needs, arrive and go, w3 arrives in 3 and is issued in 4.
    case = Case([[only(4), only(2 * 4), only(1)]], [[only(1), [], only(1)]], 1, 1, 1, I=1, depth=0, capacity=1)
    outcome = run(case)
    assert (outcome["stalls"], outcome["span"], outcome["waiting"]) == ([[3]], [5], [0])


@pytest.mark.parametrize("run", [kernel_on_addresses, stepped])
@pytest.mark.parametrize(
    ("barrier", "span", "emptying"),
    [
        (0, 8, [0, 0]),  # PE 0: 6 + 2, PE 1: 2 + 6
        (1, 12, [0, 0]),  # the slower one in each channel
        (2, 8, [0, 0]),
    ],
)
def test_a_barrier_costs_the_slowest_pe_of_every_channel(run, barrier, span, emptying):
    case = Case(
        weights=[[[(0, 0, 0), (0, 0, 1)], [(0, 0, 2), (0, 0, 3)]]],
        activations=[[only(3), only(1)], [only(1), only(3)]],
        Kc=1,
        height=1,
        width=8,
        F=1,
        I=1,
        barrier=barrier,
    )
    outcome = run(case)
    assert (outcome["span"], outcome["waiting"], outcome["emptying"]) == ([span], [0], [emptying])


@pytest.mark.parametrize("run", [kernel_on_addresses, kernel_on_rotations, stepped])
def test_queues_empty_while_a_pe_waits_at_a_barrier(run):
    case = Case([[only(4)]], [[only(5)], [only(1)]], 1, 1, 1, I=1, depth=3)
    assert run(case)["emptying"] == [[3, 3]]
    case.barrier = 1  # PE 0 has 5 steps of 4 products: three are left, then every step is held for three cycles
    outcome = run(case)
    assert (outcome["span"], outcome["emptying"], outcome["work"]) == ([20], [[3, 0]], [[20, 1]])


def test_weights_that_are_always_there_never_cost_a_wait():
    for seed in range(60):
        case = random_case(seed)
        case.capacity = 0
        assert set(kernel_on_addresses(case)["waiting"]) == {0}
