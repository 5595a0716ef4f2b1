"""Offloads, prefetches, stays, fits and dyn's decisions against a twin of the published pseudocode, on random DAGs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.training import POLICIES, training_graph, virtualize
from archmodel.training.offloading import feature_extraction
from archmodel.training.plan import make_plan
from tests.reference import vdnn
from tests.reference.memory_pool import CellPool
from tests.training.virtual_machines import RandomDevice, choices_of, link_of, network_of

BATCH = 20
CELL = 512
SEEDS = st.integers(0, 10**6)


class Twin:
    """A network and its graph as plain lists."""

    def __init__(self, seed):
        self.network = network_of(seed)
        self.graph = training_graph(self.network, BATCH, choices_of(seed))
        tensors = self.graph.tensors
        self.steps = [(step.layer, step.phase, step.reads, step.writes) for step in self.graph.steps]
        self.kinds = {layer.name: layer.kind for layer in self.network.layers}
        self.maps = [name for name, tensor in tensors.items() if tensor.kind == "feature_map"]
        self.sizes = {name: tensor.num_bytes for name, tensor in tensors.items()}
        owners = {layer: tensors[self.graph.maps[layer]].layer for layer in self.kinds}
        self.groups = vdnn.layers_of(self.steps, owners)

    def plan(self, offload):
        who = vdnn.offloaded(self.steps, self.kinds, self.maps, feature_extraction(self.network), offload)
        order = vdnn.prefetch_order(self.steps, self.groups, self.kinds, who)
        always = [name for name, tensor in self.graph.tensors.items() if tensor.persistent]
        names = sorted(self.sizes, key=lambda name: name not in always)
        return who, order, vdnn.stays(self.steps, names, always, self.graph.inputs, self.groups, who, order)

    def picks(self, offload, algorithms, hard, ways, capacity):
        held = self.plan(offload)[2]
        first = [len(one) - 1 if algorithms == "memory" else 0 for one in ways]
        pool = vdnn.in_pool(len(self.steps), held, self.sizes, ways, first, not hard, CellPool(CELL), capacity)
        if pool is not None:
            return pool
        return vdnn.at_addresses(len(self.steps), held, self.sizes, ways, first, not hard, CELL, capacity)


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.sampled_from(["none", "conv", "all"]))
def test_what_is_offloaded_and_prefetched_and_how_long_it_stays(seed, offload):
    twin = Twin(seed)
    who, order, held = twin.plan(offload)
    plan = make_plan(twin.network, twin.graph, offload)
    group_of = {layer: at for at, group in enumerate(twin.groups) for layer in group}
    assert {name: plan.slots[at].position for name, at in plan.left.items()} == {
        name: group_of[layer] for name, layer in who.items()
    }
    backward = {slot.first: at for at, slot in enumerate(plan.slots) if slot.phase == "backward"}
    assert sorted(backward) == [first for first, _, _ in order]
    for first, demanded, ahead in order:
        assert sorted(plan.prefetches.demanded.get(backward[first], ())) == sorted(demanded)
        assert sorted(plan.prefetches.ahead.get(backward[first], ())) == sorted(ahead)
    assert [(stay.tensor, stay.first, stay.last, stay.from_slot) for stay in plan.stays] == held


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.floats(0.1, 1.2))
def test_dyn_decides_as_its_twin(seed, part):
    twin, device = Twin(seed), RandomDevice(seed)
    options = {"device": device, "link": link_of(1e6), "choices": choices_of(seed), "input_batches": False}
    whole = virtualize(twin.network, BATCH, policy=POLICIES["none"], **options)
    ours = virtualize(
        twin.network,
        BATCH,
        policy=POLICIES["vdnn_dyn"],
        capacity_bytes=max(int(part * whole.reserved_bytes), 1),
        **options,
    )
    layers = {layer.name: layer for layer in twin.network.layers}
    ways = [
        [way.workspace_bytes for way in device.options(twin.network, layers[step.layer], step.operation, BATCH, None)]
        for step in twin.graph.steps
    ]

    def fits(offload, algorithms, hard):
        return twin.picks(offload, algorithms, hard, ways, ours.capacity_bytes) is not None

    decided = vdnn.dyn(fits)
    taken = ours.trials[-1]
    assert ours.fits == (decided is not None)
    if decided is not None:
        assert (taken.offload, taken.mode, not taken.greedy) == decided
        assert list(taken.fit.picks) == twin.picks(*decided, ways, ours.capacity_bytes)


def test_random_networks_reach_the_trials_of_dyn():
    seen = set()
    for seed in range(300):
        options = {"device": RandomDevice(seed), "link": link_of(1e6), "choices": choices_of(seed)}
        whole = virtualize(network_of(seed), BATCH, policy=POLICIES["none"], **options)
        capacity_bytes = max(whole.reserved_bytes * (60 + 10 * (seed % 5)) // 100, 1)
        policy = POLICIES["vdnn_dyn"]
        found = virtualize(network_of(seed), BATCH, policy=policy, capacity_bytes=capacity_bytes, **options)
        seen.add(len(found.trials))
        if seen >= {1, 2, 3, 4, 5, 6}:
            return
    pytest.fail(f"only {sorted(seen)}")


@pytest.mark.parametrize(
    ("kinds", "away", "order"),
    [
        ("conv conv conv", [0, 1, 2], [1, 0, -1]),  # each beside the one before it
        ("conv pool conv", [0, 1], [1, 0, -1]),
        ("conv pool pool conv pool", [0, 1, 2, 3, 4], [3, 2, 1, 0, -1]),
        ("conv conv fc fc", [0, 1], [1, -1, 0, -1]),  # from the classifier on, and not beyond a convolution
        ("conv fc fc fc", [0], [0, -1, -1, -1]),
    ],
)
def test_the_twin_goes_through_a_chain_as_the_pseudocode_does(kinds, away, order):
    is_conv = [kind == "conv" for kind in kinds.split()]
    to_offload, prefetched = [at in away for at in range(len(is_conv))], [False] * len(is_conv)
    backward = reversed(range(len(is_conv)))
    assert [vdnn.find_prefetch_layer(at, to_offload, prefetched, is_conv) for at in backward] == order
