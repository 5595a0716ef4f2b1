"""Two flows on a link: the closed form against the kernel, and an iteration's transfers against `LinkConfig.end_s`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.interconnect.link import load_link
from archmodel.interconnect.sharing import Transfer
from archmodel.kernels.link_sharing import completion_times, fair_rates
from archmodel.training.transfers import SharedLink, fair_pair
from tests.training.virtual_machines import INFINITE, link_of

PCIE = load_link("pcie3_x16")
TIGHT = load_link("pcie3_x16", ("host_bytes_per_s=1.6e10",))
USES = st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0, 1.5, 2.0])
BYTES = st.integers(1, 10**7)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(USES, USES, st.sampled_from([1.0, 3.0, 1e9])), max_size=4))
def test_rates_of_two_flows_are_those_of_the_kernel(limits):
    first, second, capacity = (tuple(column) for column in zip(*limits, strict=True)) if limits else ((), (), ())
    usage = np.array([first, second], np.float64).reshape(2, len(limits))
    expected = fair_rates(usage, np.array(capacity, np.float64))
    assert fair_pair(first, second, capacity) == pytest.approx(tuple(expected), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([PCIE, TIGHT, link_of(1e9), link_of(1e9, 1e-3), link_of(1e9, 1e-5, 1.2e9)]),
    st.sampled_from(["upload", "download"]),
    BYTES,
    BYTES,
    st.floats(0, 0.02),
)
def test_a_transfer_beside_the_inputs_ends_as_on_the_kernel(link, direction, num_bytes, input_bytes, start_s):
    shared = SharedLink(link, [input_bytes])
    end_s = shared.transfer(direction, num_bytes, num_bytes, start_s)
    expected = link.end_s([Transfer("upload", input_bytes), Transfer(direction, num_bytes, start_s)])
    assert [shared.finish_inputs(), end_s] == pytest.approx(expected, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(BYTES, st.floats(0, 0.01)), min_size=1, max_size=5), st.lists(BYTES, min_size=1, max_size=3))
def test_transfers_follow_each_other_and_so_do_inputs(moves, inputs):
    """One flow of all uploads on the same limit ends when their sum is through, if the link is never idle."""
    shared, end_s = SharedLink(link_of(1e9), inputs), 0.0
    for num_bytes, _ in moves:
        end_s = shared.transfer("upload", num_bytes, num_bytes, end_s)
    last_s = max(end_s, shared.finish_inputs())
    assert last_s == pytest.approx((sum(num_bytes for num_bytes, _ in moves) + sum(inputs)) / 1e9)
    assert [start for start, _ in shared.input_spans_s] == [0.0, *(end for _, end in shared.input_spans_s[:-1])]


def test_the_dma_engine_fetches_tensors_and_not_inputs():
    shared = SharedLink(link_of(1e9), [5_000_000], fetch_bytes_per_s=2e9)
    assert shared.transfer("download", 1_000_000, 4_000_000, 0.0) == pytest.approx(2e-3)  # 4 MB at 2 GB/s
    assert shared.transfer("download", 3_000_000, 4_000_000, 2e-3) == pytest.approx(5e-3)  # 3 MB at 1 GB/s
    assert shared.finish_inputs() == pytest.approx(5e-3)
    link = SharedLink(link_of(1e9), [1_000_000], fetch_bytes_per_s=1e9)
    # an upload that is fetched four times as slowly leaves the inputs three quarters of the link
    assert link.transfer("upload", 1_000_000, 4_000_000, 0.0) == pytest.approx(4e-3)
    assert link.finish_inputs() == pytest.approx(1e-3 / 0.75)


def test_nothing_to_move_takes_no_time_and_an_infinite_link_only_its_set_up():
    assert SharedLink(PCIE).transfer("upload", 0, 100, 3.0) == 3.0
    assert SharedLink(PCIE).finish_inputs() == 0
    assert SharedLink(INFINITE, [10], 1e3).transfer("upload", 10**9, 10**9, 3.0) == 3.0
    late = load_link("infinite", ("setup_s=0.5",))
    assert SharedLink(late).transfer("upload", 10**9, 10**9, 3.0) == 3.5


def test_the_kernel_and_the_link_agree_on_a_case_by_hand():
    """8 MB of inputs and, from 2 ms on, 2 MB back: the first 2 ms alone, then half each for 4 ms, then alone."""
    usage = np.array([[1.0], [1.0]])
    expected = completion_times(usage, np.array([1e9]), np.array([8e6, 2e6]), np.array([0.0, 2e-3]))
    shared = SharedLink(link_of(1e9), [8_000_000])
    end_s = shared.transfer("upload", 2_000_000, 2_000_000, 2e-3)
    assert expected.tolist() == pytest.approx([10e-3, 6e-3])
    assert [shared.finish_inputs(), end_s] == pytest.approx([10e-3, 6e-3])
