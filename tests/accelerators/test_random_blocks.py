"""Vectors of random blocks: hand cases and enumerations."""

import numpy as np
import pytest

from archmodel.accelerators.random_blocks import Count, RandomBlock


def dense(cells, width=4):
    return RandomBlock.of(np.ones(cells), 15, width)


def test_a_full_block_is_one_vector_longer_than_its_full_vectors():
    block = dense(9)
    assert block.vectors.mean == 3.0
    assert block.vectors.variance == 0.0
    assert block.fills.tolist() == [0.0, 1.0, 0.0, 0.0, 2.0]
    assert block.last_fill.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]


def test_a_block_that_fills_its_vectors_ends_with_a_full_one():
    block = dense(8)
    assert block.fills.tolist() == [*block.last_fill.tolist()[:4], 2.0]
    assert block.last_fill.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_an_empty_block_has_no_vector():
    block = RandomBlock.of(np.zeros(5), 15, 4)
    assert block.entries.none == 1.0
    assert block.vectors.mean == 0.0
    assert not block.fills.any()
    assert not block.last_fill.any()


def test_a_block_smaller_than_a_vector_still_has_a_place_for_full_ones():
    block = RandomBlock.of(np.array([0.25]), 15, 4)
    assert block.fills.tolist() == block.last_fill.tolist() == [0.0, 0.25, 0.0, 0.0, 0.0]


def test_vectors_follow_from_the_enumeration_of_the_entries():
    """Five cells at 0.5: Binomial(5), so 31 of 32 blocks have one vector of up to 4, and one more has two."""
    block = RandomBlock.of(np.full(5, 0.5), 15, 4)
    assert block.vectors.probability == pytest.approx([1 / 32, 30 / 32, 1 / 32])
    assert block.entries.mean == pytest.approx(2.5)
    assert block.entries.variance == pytest.approx(1.25)
    assert block.fills == pytest.approx([0, 6 / 32, 10 / 32, 10 / 32, 6 / 32])
    assert block.fills @ np.arange(5) == pytest.approx(block.entries.mean)
    assert block.last_fill.sum() == pytest.approx(31 / 32)


def test_activations_are_read_again_for_each_piece_that_fits_the_fifo():
    assert dense(40).mean_passes(10) == 1.0
    assert dense(41).mean_passes(10) == 2.0
    assert dense(41).mean_passes(3) == 4.0


def test_a_channel_without_weights_reads_no_activations():
    block = RandomBlock.of(np.array([0.25]), 15, 4)
    assert block.mean_passes(50) == block.mean_passes(0) == pytest.approx(0.25)


def test_equal_blocks_are_computed_once():
    assert RandomBlock.of(np.full(7, 0.3), 15, 4) is RandomBlock.of(np.full(7, 0.3), 15, 4)


def test_moments_of_a_count():
    die = Count(np.append(0.0, np.full(6, 1 / 6)))
    assert die.mean == pytest.approx(3.5)
    assert die.mean_square == pytest.approx(91 / 6)
    assert die.variance == pytest.approx(35 / 12)
