"""Flows on shared links: the naive twin in fractions, and what makes rates max-min fair."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.kernels.link_sharing import completion_times, fair_rates
from tests.reference import link_sharing

WEIGHTS = st.one_of(st.just(0), st.integers(1, 5))


@st.composite
def shared_links(draw, most_flows=6):
    """usage[flows][links], capacity[links] in small whole numbers; some links and flows have none."""
    num_flows, num_links = draw(st.integers(1, most_flows)), draw(st.integers(1, 5))
    rows = st.lists(WEIGHTS, min_size=num_links, max_size=num_links)
    usage = draw(st.lists(rows, min_size=num_flows, max_size=num_flows))
    return usage, draw(st.lists(st.integers(0, 20), min_size=num_links, max_size=num_links))


def floats(values):
    return np.array(values, np.float64)


def fractions(rows):
    return [[Fraction(cell) for cell in row] for row in rows]


def from_twin(values):
    return [np.inf if value is None else float(value) for value in values]


@settings(max_examples=300, deadline=None)
@given(shared_links())
def test_rates_are_those_of_naive_progressive_filling(links):
    usage, capacity = links
    expected = link_sharing.fair_rates(fractions(usage), [Fraction(one) for one in capacity])
    assert fair_rates(floats(usage), floats(capacity)) == pytest.approx(from_twin(expected), rel=1e-12, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(shared_links())
def test_no_link_is_overfull_and_every_flow_has_a_full_link_on_which_none_is_faster(links):
    usage, capacity = floats(links[0]), floats(links[1])
    rates = fair_rates(usage, capacity)
    bound = np.isfinite(rates)
    assert (bound == (usage > 0).any(axis=1)).all()
    taken = rates[bound] @ usage[bound]
    assert (taken <= capacity * (1 + 1e-12) + 1e-9).all()
    for f in np.flatnonzero(bound):
        full = (usage[f] > 0) & (taken >= capacity * (1 - 1e-12) - 1e-9)
        assert any(rates[f] >= rates[usage[:, link] > 0].max() - 1e-9 for link in np.flatnonzero(full))


@settings(max_examples=300, deadline=None)
@given(shared_links(), st.data())
def test_flows_end_when_those_of_the_twin_do(links, data):
    usage, capacity = links
    counts = st.lists(st.integers(0, 12), min_size=len(usage), max_size=len(usage))
    num_bytes, starts = data.draw(counts), data.draw(counts)
    expected = link_sharing.completion_times(
        fractions(usage), [Fraction(one) for one in capacity], num_bytes, [Fraction(one) for one in starts]
    )
    ends = completion_times(floats(usage), floats(capacity), floats(num_bytes), floats(starts))
    assert ends == pytest.approx(from_twin(expected), rel=1e-9, abs=1e-9)


def test_two_flows_halve_a_link_and_the_third_takes_what_they_leave_of_its_own():
    usage = floats([[1, 0], [1, 1], [0, 1]])
    assert fair_rates(usage, floats([10, 100])).tolist() == [5, 5, 95]


def test_a_flow_that_takes_twice_as_much_of_a_link_has_the_same_rate():
    assert fair_rates(floats([[2], [1]]), floats([9])).tolist() == [3, 3]


def test_a_flow_on_no_link_and_one_on_an_endless_link_are_unlimited():
    rates = fair_rates(floats([[0, 0], [0, 1], [1, 1]]), floats([4, np.inf]))
    assert rates.tolist() == [np.inf, np.inf, 4]


def test_a_flow_alone_again_has_the_whole_link():
    ends = completion_times(floats([[1], [1]]), floats([10]), floats([30, 10]), floats([0, 1]))
    assert ends.tolist() == [4, 3]  # 10 alone, then 5 each for 2 s, then 10 alone


def test_a_flow_that_starts_later_finds_the_link_free():
    ends = completion_times(floats([[1], [1]]), floats([10]), floats([10, 10]), floats([0, 5]))
    assert ends.tolist() == [1, 6]


def test_nothing_to_move_ends_at_its_start_and_a_link_without_capacity_never_ends():
    ends = completion_times(floats([[1], [1]]), floats([0]), floats([0, 1]), floats([3, 2]))
    assert ends.tolist() == [3, np.inf]


def test_no_flows_at_all():
    assert fair_rates(np.zeros((0, 2)), floats([1, 1])).tolist() == []
    assert completion_times(np.zeros((0, 2)), floats([1, 1]), floats([]), floats([])).tolist() == []


def test_a_faster_link_and_a_smaller_flow_of_one_size_end_no_later():
    usage, num_bytes, starts = floats([[1], [1], [1]]), floats([5, 7, 9]), floats([0, 1, 2])
    slow, fast = (completion_times(usage, floats([rate]), num_bytes, starts) for rate in (2, 3))
    assert (fast < slow).all()
