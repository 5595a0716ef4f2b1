"""The pool against a row of cells, and its rules by hand."""

import numpy as np
import pytest

from archmodel.errors import ConfigError
from archmodel.training import BestFitPool, CapacityError
from archmodel.training.pool import spelt_bytes
from tests.reference.memory_pool import CellPool


@pytest.mark.parametrize("seed", range(60))
def test_offsets_are_those_of_the_cells(seed):
    rng = np.random.default_rng(seed)
    alignment = int(rng.choice([1, 3, 16]))
    pool, cells = BestFitPool(alignment), CellPool(alignment)
    held = {}
    for turn in range(120):
        if held and rng.random() < (0.3 if turn < 60 else 0.7):
            name = str(rng.choice(sorted(held)))
            pool.free(name)
            cells.free(name)
            del held[name]
        else:
            held[str(turn)] = num_bytes = int(rng.integers(0, 90))
            assert pool.allocate(str(turn), num_bytes) == cells.allocate(str(turn), num_bytes)
        assert pool.reserved_bytes == cells.reserved_bytes
        assert pool.free_blocks == [(start * alignment, size * alignment) for start, size in cells.free_runs()]
        assert pool.held_bytes == alignment * sum(owner is not None for owner in cells.cells)
        assert pool.held_bytes >= sum(held.values())


def filled(*sizes, alignment=1, capacity=None):
    pool = BestFitPool(alignment, capacity)
    for place, size in enumerate(sizes):
        pool.allocate(f"{place}", size)
    return pool


def test_the_smallest_block_that_fits_is_taken_and_the_rest_stays_free():
    pool = filled(9, 1, 5, 1, 6, 1)
    for name in "024":
        pool.free(name)
    assert pool.allocate("new", 5) == 10
    assert pool.allocate("newer", 5) == 16
    assert pool.free_blocks == [(0, 9), (21, 1)]


def test_of_equal_blocks_the_lowest_address_is_taken():
    pool = filled(4, 1, 4, 1)
    pool.free("2")
    pool.free("0")
    assert pool.allocate("new", 4) == 0


@pytest.mark.parametrize("order", ["012", "021", "102", "120", "201", "210"])
def test_neighbours_merge_in_any_order(order):
    pool = filled(3, 4, 5, 1)
    for name in order:
        pool.free(name)
    assert pool.free_blocks == [(0, 12)]


def test_a_free_block_at_the_end_grows():
    pool = filled(3, 4)
    pool.free("1")
    assert pool.allocate("new", 6) == 3
    assert pool.reserved_bytes == 9


def test_fragments_do_not_serve_a_large_request():
    pool = filled(4, 1, 4, 1)
    pool.free("0")
    pool.free("2")
    assert pool.allocate("new", 8) == 10
    assert (pool.held_bytes, pool.reserved_bytes) == (10, 18)


@pytest.mark.parametrize(("num_bytes", "held"), [(0, 512), (1, 512), (512, 512), (513, 1024)])
def test_blocks_are_rounded_up_to_the_alignment(num_bytes, held):
    pool = BestFitPool()
    pool.allocate("a", num_bytes)
    assert pool.held_bytes == held


def test_the_capacity_is_a_limit_to_the_byte():
    assert filled(4, 6, capacity=10).reserved_bytes == 10
    with pytest.raises(CapacityError) as caught:
        filled(4, 7, capacity=10)
    assert (
        str(caught.value) == "1: 7 bytes do not fit: 4 bytes of 10 bytes are in use, the largest free block has 6 bytes"
    )


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (2**20 - 1, "1,048,575 bytes"),
        (2**20, "1 MiB (1,048,576 bytes)"),
        (12 * 2**30, "12 GiB (12,884,901,888 bytes)"),
        (16_583_011_488, "15.44 GiB (16,583,011,488 bytes)"),
        (3 * 2**39, "1.50 TiB (1,649,267,441,664 bytes)"),
    ],
)
def test_many_bytes_have_a_prefix_and_all_their_digits(num_bytes, text):
    assert spelt_bytes(num_bytes) == text


def test_a_request_that_fits_in_a_hole_needs_no_capacity():
    pool = filled(4, 6, capacity=10)
    pool.free("0")
    assert pool.allocate("new", 4) == 0
    with pytest.raises(CapacityError, match=r"the largest free block has 0 bytes$"):
        pool.allocate("more", 1)


def test_nothing_is_freed_or_allocated_twice():
    pool = filled(4)
    with pytest.raises(RuntimeError, match="allocated twice"):
        pool.allocate("0", 1)
    pool.free("0")
    with pytest.raises(RuntimeError, match="is not allocated"):
        pool.free("0")


@pytest.mark.parametrize("key", ["alignment_bytes", "capacity_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, 2**40 + 1])
def test_sizes_are_whole(key, value):
    with pytest.raises(ConfigError, match=f"^{key} = .*: must be a whole number from 1 to 1099511627776$"):
        BestFitPool(**{key: value})
