"""The twin of a cube's packet links: flits of a nanosecond, 64 bytes are five of them with header and tail."""

import copy
from fractions import Fraction

import pytest

from tests.memory.random_parts import address_of, hand_part, random_cube_case
from tests.reference.dram_checker import violations
from tests.reference.packet_links import serve

READ, WRITE = False, True
VAULT_READ, VAULT_WRITE = 38, 17 + 12 + 4  # cycles of 1 ns
LINKS = {
    "num_links": 1,
    "lanes": 16,
    "lane_bits_per_s": 8e9,  # 16 B in 1 ns
    "flit_bytes": 16,
    "header_and_tail_bytes": 16,
    "crossbar_s": 3e-9,
    "max_outstanding": 64,
}


def cube(num_vaults=16, **links):
    """Closed pages, a unified queue, neighbouring accesses in different vaults."""
    policy = {"page_policy": "closed", "row_hit_cap": None, "queue": "unified", "write_high": None, "write_idle": None}
    part = hand_part(tCK_ns=1.0, channels=num_vaults, order="rocorabgbach", **policy)
    return part | {"links": LINKS | links}


def test_an_unloaded_read_crosses_twice():
    served = serve(cube(), [(0, 0, READ)])
    assert served["entered"] == [0]
    assert served["at_vault"] == [1 + 3]
    assert served["completed"] == [1 + 3 + VAULT_READ + 3 + 5]


def test_a_write_carries_its_data_out():
    served = serve(cube(), [(7, 0, WRITE)])
    assert served["at_vault"] == [7 + 5 + 3]
    assert served["completed"] == [7 + 5 + 3 + VAULT_WRITE + 3 + 1]


def test_a_vault_sees_a_packet_at_its_next_cycle():
    served = serve(cube(crossbar_s=3.5e-9), [(0, 0, READ)])
    assert served["at_vault"] == [5]
    assert served["done"] == [5 + VAULT_READ + 4 + 5]  # in ticks of a flit, 1 ns
    assert served["completed"] == [52]
    assert serve(cube(crossbar_s=3e-9), [(0, 0, READ)])["at_vault"] == [4]


def test_an_odd_lane_rate_is_exact():
    served = serve(cube(lane_bits_per_s=15e9), [(0, 0, READ)])
    assert served["done"] == [4 + VAULT_READ + 3 + Fraction(5 * 128, 16 * 15)]


@pytest.mark.parametrize(("num_links", "together"), [(1, 1), (2, 2), (4, 4)])
def test_responses_of_a_link_come_one_after_the_other(num_links, together):
    served = serve(cube(num_links=num_links), [(0, 64 * i, READ) for i in range(16)])
    first = 1 + 3 + VAULT_READ + 3 + 5
    assert sorted(served["completed"]) == sorted(first + 5 * (i // together) for i in range(16))


def test_writes_fill_the_way_out():
    served = serve(cube(), [(0, 64 * i, WRITE) for i in range(16)])
    assert served["at_vault"] == [5 * (i + 1) + 3 for i in range(16)]


def test_both_directions_run_at_once():
    mixed = [(0, 64 * i, WRITE if i % 2 else READ) for i in range(16)]
    served = serve(cube(), mixed)
    assert served["at_vault"] == [6 * (i // 2) + (9 if i % 2 else 4) for i in range(16)]
    last_read = 6 * 7 + 4 + VAULT_READ + 3 + 5
    assert served["completed"][14] <= last_read + 1  # at most the flit of a write's response before it


def test_requests_of_a_link_stay_in_order():
    assert serve(cube(), [(0, 0, WRITE), (0, 64, READ)])["at_vault"] == [8, 9]
    assert serve(cube(num_links=2), [(0, 0, WRITE), (0, 64, READ)])["at_vault"] == [8, 4]
    assert serve(cube(), [(9, 0, READ), (0, 64, READ)])["at_vault"] == [13, 14]


def test_so_many_requests_of_a_link_are_on_the_way():
    alone = 1 + 3 + VAULT_READ + 3 + 5
    reads = [(0, 64 * i, READ) for i in range(4)]
    assert serve(cube(max_outstanding=1), reads)["left"] == [i * alone for i in range(4)]
    assert serve(cube(max_outstanding=2), reads)["left"] == [0, 1, alone, alone + 5]
    assert serve(cube(max_outstanding=1, num_links=2), reads)["left"] == [0, 0, alone, alone]


def test_the_response_that_is_ready_first_goes_first():
    part = cube()
    one_bank = [(0, address_of(part, row=row), READ) for row in range(2)]
    served = serve(part, [*one_bank, (0, 64, READ)])
    assert served["completed"][2] < served["completed"][1]
    # both are ready in the same cycle: two links, entered together; the lower number goes first
    together = serve(cube(num_links=1, crossbar_s=3.5e-9, lane_bits_per_s=32e9), [(0, 0, READ), (0, 64, READ)])
    assert together["at_vault"] == [4, 4]
    assert together["done"] == [4 + VAULT_READ + Fraction(7, 2) + Fraction(5, 4) * i for i in (1, 2)]


@pytest.mark.parametrize(("num_links", "entered"), [(1, 22 + 56), (2, 22), (4, 5)])
def test_a_full_vault_holds_up_its_links(num_links, entered):
    part = copy.deepcopy(cube(num_links=num_links))
    part["controller"] |= {"bank_queue_depth": 1, "buffer_depth": 1}
    same_bank = [(0, address_of(part, row=row), READ) for row in range(4)]
    served = serve(part, [*same_bank, (0, 64, READ)])
    # places are free after the column commands at 4 + 17 and a tRC of 56 later
    assert served["at_vault"] == [4, 5, 22, 22 + 56, entered]


def test_read_data_never_exceed_the_links():
    """Four links of 16 lanes at 15 Gb/s: 120 GB/s of flits, 96 GB/s of data in packets of five flits."""
    part = cube(num_links=4, lane_bits_per_s=15e9)
    served = serve(part, [(0, 64 * i, READ) for i in range(320)])
    seconds = (max(served["done"]) - min(served["done"])) / 10**9  # without the first response of each link
    assert 0.98 * 96e9 < 316 * 64 / seconds <= 96e9


@pytest.mark.parametrize("seed", range(8))
def test_no_command_of_a_vault_breaks_a_rule(seed):
    part, trace = random_cube_case(seed, 80)
    served = serve(part, trace)
    assert violations(part, served["commands"], until=served["cycles"]) == []
    moved = served["counts"].get("RD", 0) + served["counts"].get("WR", 0)
    assert moved == len(trace)
    num_on_way = part["links"]["max_outstanding"]
    for link in range(part["links"]["num_links"]):
        numbers = range(link, len(trace), part["links"]["num_links"])
        for number in numbers:
            left = served["left"][number]
            on_way = [n for n in numbers if served["left"][n] <= left < served["done"][n]]
            assert len(on_way) <= num_on_way
