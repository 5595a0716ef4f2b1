"""The search for the largest batch: against walking through all of them, on lines, steps and holes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archmodel.iteration.largest_batch import LOOK_BEYOND, largest_batch
from archmodel.training.graph import MAX_BATCH

CAPACITY = 10**9


class Memory:
    """Bytes that grow along a line, but for batches that jump out of it; counts what it was asked."""

    def __init__(self, fixed, per_image, misfits=(), steps=0):
        self.fixed, self.per_image, self.misfits, self.steps = fixed, per_image, set(misfits), steps
        self.asked = []

    def __call__(self, batch):
        self.asked.append(batch)
        assert 1 <= batch <= MAX_BATCH
        needed = self.fixed + self.per_image * batch + (self.steps if batch % 3 else 0)
        return needed <= CAPACITY and batch not in self.misfits, needed


@given(st.integers(0, CAPACITY), st.integers(1, CAPACITY))
def test_on_a_line_it_is_the_quotient(fixed, per_image):
    memory = Memory(fixed, per_image)
    assert largest_batch(memory, CAPACITY) == min((CAPACITY - fixed) // per_image, MAX_BATCH)
    assert len(set(memory.asked)) == len(memory.asked)
    assert len(memory.asked) <= 50


@pytest.mark.parametrize("largest", [1, 2, 15, 16, 17, 83, 710, 5000])
def test_on_a_line_a_few_questions_are_enough(largest):
    memory = Memory(0, CAPACITY // largest)
    assert largest_batch(memory, CAPACITY) == CAPACITY // (CAPACITY // largest)
    assert len(memory.asked) <= 12 + LOOK_BEYOND


@given(st.integers(1, 200), st.integers(0, 300), st.sets(st.integers(1, 60), max_size=12))
def test_no_batch_that_fits_stands_right_behind(images, steps, misfits):
    memory = Memory(0, CAPACITY // images, misfits, steps * CAPACITY // 1000)
    found = largest_batch(memory, CAPACITY)
    assert found == 0 or memory(found)[0]
    assert not any(memory(batch)[0] for batch in range(found + 1, found + 1 + LOOK_BEYOND))


def test_a_hole_does_not_hide_what_is_behind():
    memory = Memory(0, CAPACITY // 100, misfits=[98])
    assert largest_batch(memory, CAPACITY) == 100


def test_not_even_one_image():
    assert largest_batch(Memory(2 * CAPACITY, 1), CAPACITY) == 0


def test_all_batches_fit():
    assert largest_batch(Memory(0, 0), CAPACITY) == MAX_BATCH


@pytest.mark.parametrize("largest", [3, 10, 19, 40, 77, 212, 1000])
def test_what_no_line_goes_through_is_found_between(largest):
    def fits(batch):
        return batch <= largest, batch**3  # far from the capacity, in which lines would have to end

    assert largest_batch(fits, CAPACITY) == largest


def test_the_last_batch_is_looked_at():
    memory = Memory(0, 0, misfits=[MAX_BATCH - 1])
    memory.per_image = CAPACITY // MAX_BATCH
    assert memory(MAX_BATCH)[0]
    assert largest_batch(memory, CAPACITY) == MAX_BATCH
