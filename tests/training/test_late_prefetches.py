"""A prefetch that finds no room is put off: by hand, against what is published, and where only this fits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.exchange import read_network
from archmodel.interconnect.link import load_link
from archmodel.training import POLICIES, TrainingChoices, trials, virtualize
from archmodel.training.devices import open_device
from archmodel.training.prefetching import Prefetches, late_prefetches
from archmodel.training.residency import fit
from tests.training.test_engine import MAP_BYTES, MS, chain, moves, run, stalls
from tests.training.timeline_checks import check_timeline
from tests.training.virtual_machines import RandomDevice, choices_of, link_of, network_of

WINDOW = [name for name, policy in POLICIES.items() if policy.offload != "none" and policy.prefetch == "window"]
NEEDED = {"a": 3, "b": 4, "c": 4}
SIZES = {"a": 10, "b": 20, "c": 5}


@pytest.mark.parametrize(
    ("room", "ahead", "demanded"),
    [
        ([10, 30, 30, 25, 0], {0: "a", 1: "b", 3: "c"}, {}),  # just enough
        ([9, 30, 30, 25, 0], {1: "ab", 3: "c"}, {}),  # a byte less: to the next slot
        ([10, 29, 30, 25, 0], {0: "a", 2: "b", 3: "c"}, {}),  # a has the room first
        ([10, 30, 30, 24, 0], {0: "a", 1: "b"}, {4: "c"}),  # at the latest to the slot that needs it
        ([10, 30, 9, 25, 0], {3: "bc"}, {3: "a"}),  # room is wanted until the need
        ([10, 10, 10, 19, 0], {0: "a", 3: "c"}, {4: "b"}),  # c comes before b, for which there is none
        ([0, 0, 0, 0, 0], {}, {3: "a", 4: "bc"}),
        ([-5, -5, -5, -5, -5], {}, {3: "a", 4: "bc"}),
    ],
)
def test_a_prefetch_begins_where_there_is_room_until_its_need(room, ahead, demanded):
    window = Prefetches({0: ("a",), 1: ("b",), 3: ("c",)}, {1: ("x",)})
    found = late_prefetches(window, NEEDED, SIZES, tuple(room))
    assert found.ahead == {at: tuple(names) for at, names in ahead.items()}
    assert found.demanded == {1: ("x",), **{at: tuple(names) for at, names in demanded.items()}}
    assert window.demanded == {1: ("x",)}


@pytest.mark.parametrize(
    ("num_blocks", "late", "prefetched", "waits", "end_ms"),
    [
        (7, False, [("Y:conv0", 6, 7), ("X:image", 10, 11)], {}, 16),
        (6, True, [("Y:conv0", 10, 11), ("X:image", 15, 16)], {"prefetch": 2}, 18),
    ],
)
def test_a_chain_whose_memory_is_a_map_too_small_waits_for_its_prefetches(num_blocks, late, prefetched, waits, end_ms):
    """Beside the loss are 3 weights, Y of the last two layers, dY, and Y:conv0 if it is there; a block is a map."""
    network, capacity_bytes = chain("conv", "conv", "conv"), num_blocks * MAP_BYTES
    found = run(network, capacity_bytes=capacity_bytes, choices=TrainingChoices(optimizer="sgd", update="layer"))
    assert found.fits
    assert [trial.late for trial in found.trials] == [False, True][: 1 + late]
    assert moves(found, "prefetch") == prefetched
    assert stalls(found) == waits
    assert found.timeline.iteration_s == pytest.approx(end_ms * MS)


@pytest.mark.parametrize("policy", ["vdnn_all", "vdnn_dyn", "ideal_prefetch"])
def test_what_does_not_fit_with_late_prefetches_either_is_as_published(policy, monkeypatch):
    tried = []

    def counted(plan, options, picks, capacity_bytes, *, greedy=False):
        tried.append((plan.prefetches, capacity_bytes))
        return fit(plan, options, picks, capacity_bytes, greedy=greedy)

    monkeypatch.setattr(trials, "fit", counted)
    choices = TrainingChoices(optimizer="sgd", update="layer")
    found = run(chain("conv", "conv", "conv"), policy, capacity_bytes=5 * MAP_BYTES, choices=choices)
    most = max(tried.count(one) for one in tried)
    whole = run(chain("conv", "conv", "conv"), "vdnn_all" if policy == "vdnn_dyn" else policy, choices=choices)
    assert not found.fits
    assert [trial.late for trial in found.trials] == [False]
    assert found.timeline == whole.timeline
    assert most == 1 + (policy != "ideal_prefetch")  # as published, and once more where there seems to be room


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WINDOW), st.floats(0.5, 1.0), st.sampled_from(["memory", "performance"]))
def test_prefetches_are_late_only_where_the_published_plan_finds_no_room(seed, policy, part, mode):
    options = {"device": RandomDevice(seed), "choices": choices_of(seed), "input_batches": seed % 2 == 0, "mode": mode}
    options |= {"link": link_of(1e6), "policy": POLICIES[policy]}
    whole = virtualize(network_of(seed), 20, **options)
    capacity_bytes = max(int(part * whole.reserved_bytes), 1)
    found = virtualize(network_of(seed), 20, capacity_bytes=capacity_bytes, **options)
    check_timeline(found)
    published = [trial for trial in found.trials if not trial.late]
    assert found.trials[: len(published)] == tuple(published)
    assert published[-1].fit.fits == (found.fits and published == list(found.trials))
    if len(published) < len(found.trials):
        assert found.fits
        assert found.timeline.peak_bytes <= found.reserved_bytes <= capacity_bytes
    elif policy != "vdnn_dyn":
        assert found.timeline == whole.timeline
    if part == 1.0:
        assert published == list(found.trials)


def test_vgg_16_with_256_images_and_momentum_fits_12_gibibytes_only_with_late_prefetches():
    """Y:conv1_1 has 3.06 GiB and no room beside pool1, whose three maps are the most that is held at once."""
    network, device, link = read_network("vgg16"), open_device("titanx_maxwell"), load_link("pcie3_x16_vdnn")
    policy, choices = POLICIES["vdnn_dyn"], TrainingChoices(optimizer="momentum")
    found = virtualize(network, 256, device=device, link=link, policy=policy, choices=choices)
    check_timeline(found)
    assert found.fits
    taken, first = found.trials[-1], found.trials[0]
    assert (taken.late, first.late, first.fit.fits) == (True, False, False)
    assert "pool1.data_gradient: 12.41 GiB (13,323,446,496 bytes) are needed at once" in first.fit.why_not
    slot = next(at for at, slot in enumerate(taken.plan.slots) if (slot.layer, slot.phase) == ("conv1_2", "backward"))
    assert "Y:conv1_1" in taken.plan.prefetches.demanded[slot]
    assert found.timeline.stalls_s["prefetch"] > 3.06 * 2**30 / 12.8e9
    assert found.timeline.peak_bytes <= 12 * 2**30
    assert found.performance == pytest.approx(0.70, abs=0.01)  # docs/virtualization.md
