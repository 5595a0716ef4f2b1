"""Addresses chosen beforehand: nothing that is held at a time overlaps, the largest lies lowest."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.exchange import read_network
from archmodel.training import STUDY, load_policy, training_graph, virtualize
from archmodel.training.placement import Placement, aligned
from archmodel.training.plan import Stay, make_plan
from archmodel.training.residency import fit, live_bytes
from archmodel.training.step_times import StepTime
from archmodel.training.systems import load_system

STAYS = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9), st.integers(0, 9)), max_size=12)


def stays_of(rows):
    return [Stay(f"t{at}", size, min(a, b), max(a, b)) for at, (size, a, b) in enumerate(rows)]


@given(STAYS)
def test_what_is_held_at_a_time_does_not_overlap(rows):
    stays = stays_of(rows)
    placed = Placement(stays)
    blocks = list(
        zip(placed.first.tolist(), placed.last.tolist(), placed.starts.tolist(), placed.sizes.tolist(), strict=True)
    )
    assert sorted(size for *_, size in blocks) == sorted(aligned(stay.num_bytes) for stay in stays)
    for (first, last, start, size), (begin, end, other, length) in combinations(blocks, 2):
        if first <= end and begin <= last:
            assert start + size <= other or other + length <= start
    assert placed.reserved_bytes == max((start + size for *_, start, size in blocks), default=0)
    for step in range(10):
        held = sum(size for first, last, _, size in blocks if first <= step <= last)
        assert held <= placed.reserved_bytes
        assert placed.end_bytes(step, 700) >= 1024
        assert placed.end_bytes(step, 700) <= max(placed.reserved_bytes, held) + 1024


def test_the_largest_come_first_and_a_hole_is_filled():
    placed = Placement(stays_of([(512, 0, 3), (2048, 0, 1), (1024, 2, 3), (1000, 2, 2)]))
    assert placed.starts.tolist() == [0, 0, 1024, 2048]
    assert placed.end_bytes(0, 1) == 2048 + 512 + 512
    assert placed.end_bytes(3, 1024) == 2048


def test_vgg_16_with_256_images_fits_12_gibibytes_only_beforehand():
    network = read_network("vgg16")
    plan = make_plan(network, training_graph(network, 256, STUDY), "conv")
    options = [(StepTime(0.0),)] * len(plan.graph.steps)
    picks = [0] * len(options)
    found = fit(plan, options, picks, 12 * 2**30)
    assert found.fits
    assert found.placed
    assert found.reserved_bytes / 2**30 == pytest.approx(11.75, abs=0.01)
    assert found.peak_live_bytes == live_bytes(plan, plan.stays, picks).max() <= found.reserved_bytes
    in_pool = fit(plan, options, picks, None)
    assert in_pool.reserved_bytes / 2**30 == pytest.approx(14.8, abs=0.05)
    assert not in_pool.placed


@pytest.mark.parametrize(
    ("net", "batch", "policy", "least"), [("vgg16", 128, "none", 1.08), ("googlenet", 16, "vdnn_all", 1.005)]
)
def test_workspaces_have_addresses_among_the_tensors(net, batch, policy, least):
    system = load_system("titanx_pcie3")
    asked = {"device": system.device, "link": system.link, "policy": load_policy(policy), "mode": "performance"}

    def iteration(capacity_bytes):
        return virtualize(read_network(net), batch, capacity_bytes=capacity_bytes, **asked)

    peak = iteration(2**40).peak_live_bytes
    found = [iteration(int(part * peak)) for part in (least, 1.1, 1.24, 1.4, 2.0)]
    assert all(one.fits for one in found)
    assert found[0].trials[-1].fit.placed
    assert not found[0].trials[-1].late
    assert peak == found[0].peak_live_bytes <= found[0].reserved_bytes <= least * peak


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30_000), min_size=10, max_size=10))
def test_more_memory_never_takes_less(wanted):
    network = read_network("lenet5")
    graph = training_graph(network, 1, STUDY)
    plan = make_plan(network, graph, "none")
    sizes = [wanted[at % len(wanted)] for at in range(len(graph.steps))]
    options = [(StepTime(0.0, workspace_bytes=size),) for size in sizes]
    picks = [0] * len(options)
    peak = fit(plan, options, picks, None).peak_live_bytes
    found = [fit(plan, options, picks, peak + 512 * more).fits for more in range(0, 40, 4)]
    assert found == sorted(found)
