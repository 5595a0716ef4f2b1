"""Iterations of random networks under every policy: the checks of a timeline, the oracle, more bandwidth, the pool."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.interconnect.link import load_link
from archmodel.training import STUDY, best_fit, liveness
from archmodel.training.devices import open_device
from archmodel.training.policies import POLICIES, Policy, load_policy
from archmodel.training.virtualization import virtualize
from tests.training.timeline_checks import check_timeline
from tests.training.virtual_machines import INFINITE, RandomDevice, choices_of, link_of, network_of

SEEDS = st.integers(0, 10**6)
NAMES = st.sampled_from(sorted(POLICIES))


def iteration_of(seed, policy, link, **options):
    options = {"device": RandomDevice(seed), "choices": choices_of(seed), "input_batches": seed % 2 == 0, **options}
    return virtualize(network_of(seed), 2, link=link, policy=POLICIES[policy], **options)


@settings(max_examples=150, deadline=None)
@given(
    SEEDS,
    NAMES,
    st.sampled_from(["memory", "performance"]),
    st.sampled_from([1e5, 1e6, 1e7]),
    st.sampled_from([0, 1e-5]),
)
def test_every_tensor_is_there_when_it_is_needed(seed, policy, mode, bytes_per_s, setup_s):
    check_timeline(iteration_of(seed, policy, link_of(bytes_per_s, setup_s), mode=mode))


@settings(max_examples=150, deadline=None)
@given(SEEDS, NAMES, st.floats(0.3, 1.1), st.sampled_from(["memory", "performance"]))
def test_memory_never_exceeds_a_capacity_that_fits(seed, policy, part, mode):
    free = iteration_of(seed, "none", INFINITE)
    found = iteration_of(seed, policy, link_of(1e6), mode=mode, capacity_bytes=max(int(part * free.reserved_bytes), 1))
    check_timeline(found)
    assert found.fits == (not found.why_not)
    if found.fits:
        assert found.timeline.peak_bytes <= found.peak_live_bytes <= found.reserved_bytes <= found.capacity_bytes


@settings(max_examples=100, deadline=None)
@given(SEEDS, NAMES)
def test_an_infinite_link_is_the_oracle(seed, policy):
    found = iteration_of(seed, policy, INFINITE)
    again = sum(span.seconds for span in found.timeline.spans if span.kind == "recompute")
    if again:
        assert found.timeline.iteration_s == pytest.approx(found.oracle_s + again)
    else:
        assert found.timeline.iteration_s == found.oracle_s
        assert found.performance == 1
    assert not found.timeline.stalls_s


@settings(max_examples=200, deadline=None)
@given(SEEDS, NAMES, st.floats(1e4, 1e8), st.floats(1.0, 4.0), st.sampled_from([0, 1e-5]))
def test_more_bandwidth_never_hurts(seed, policy, bytes_per_s, factor, setup_s):
    slow, fast = (
        iteration_of(seed, policy, link_of(rate, setup_s)).timeline.iteration_s
        for rate in (bytes_per_s, factor * bytes_per_s)
    )
    assert fast <= slow * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(SEEDS, NAMES)
def test_more_lanes_never_hurt(seed, policy):
    ends = [iteration_of(seed, policy, load_link(f"pcie3_x{lanes}")).timeline.iteration_s for lanes in (1, 4, 16)]
    assert ends == sorted(ends, reverse=True)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("mode", ["memory", "performance"])
def test_without_offloads_memory_is_that_of_the_pool(seed, mode):
    found = iteration_of(seed, "none", link_of(1e6), mode=mode, input_batches=False)
    assert found.reserved_bytes == best_fit(found.graph).peak_bytes
    assert found.peak_live_bytes == liveness(found.graph).peak_bytes
    assert found.fragmentation == 1 - found.peak_live_bytes / found.reserved_bytes
    assert not found.offloaded


def test_every_policy_of_a_network_of_hundreds_of_layers_is_run_at_once():
    """Two seconds of a quiet processor, the sum of all; an ideal prefetch in a full memory loses to no window."""
    network, device, link = read_network("vgg416"), open_device("titanx_maxwell"), load_link("pcie3_x16")
    began_s = time.process_time()
    found = {
        name: virtualize(network, 32, device=device, link=link, policy=policy, choices=STUDY)
        for name, policy in POLICIES.items()
    }
    assert time.process_time() - began_s < 4  # twice the time, for a busy machine
    assert [name for name, one in found.items() if not one.fits] == ["none", "recompute", "checkpoint"]
    assert len(found["vdnn_dyn"].trials) == 3
    assert found["vdnn_dyn"].performance == found["vdnn_conv"].performance
    ideal = found["ideal_prefetch"]
    assert "prefetch" not in ideal.timeline.stalls_s
    assert ideal.performance > found["vdnn_all"].performance
    assert ideal.timeline.peak_bytes > found["vdnn_all"].timeline.peak_bytes


def test_a_policy_that_is_not_there_names_those_that_are():
    assert load_policy("vdnn_all").offload == "all"
    with pytest.raises(ConfigError, match=r"policy = 'vdnn_al': must be one of none, .*did you mean 'vdnn_all'"):
        load_policy("vdnn_al")
    with pytest.raises(ConfigError, match="offload = 'some': must be none, conv, all or dyn"):
        Policy("mine", offload="some")
