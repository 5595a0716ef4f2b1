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
        return who, order, self.held(who, order)

    def held(self, who, order):
        always = [name for name, tensor in self.graph.tensors.items() if tensor.persistent]
        names = sorted(self.sizes, key=lambda name: name not in always)
        return vdnn.stays(self.steps, names, always, self.graph.inputs, self.groups, who, order)

    def fitted(self, rule, late, ways, capacity):
        """(options taken, stays) of the first plan that fits, else None."""
        offload, algorithms, hard = rule
        who, order, held = self.plan(offload)
        first = [len(one) - 1 if algorithms == "memory" else 0 for one in ways]
        tried = [held]
        if late:
            least = [one[pick] if hard else one[-1] for one, pick in zip(ways, first, strict=True)]
            tried = [self.held(who, moved) for moved in self.late_orders(who, order, least, capacity)]
        for held in tried:
            rows = len(self.steps), held, self.sizes, ways, first, not hard
            found = vdnn.in_pool(*rows, CellPool(CELL), capacity)
            found = vdnn.at_addresses(*rows, CELL, capacity) if found is None else found
            if found is not None:
                return found, held
        return None

    def ways(self, device):
        """Workspaces of the options of each step."""
        layers = {layer.name: layer for layer in self.network.layers}
        return [
            [way.workspace_bytes for way in device.options(self.network, layers[one.layer], one.operation, BATCH, None)]
            for one in self.graph.steps
        ]

    def late_orders(self, who, order, workspaces, capacity):
        needed = {}
        for first in sorted((first for first, _, _ in order), reverse=True):
            group = next(group for group in self.groups if self.steps[first][0] in group)
            for layer, phase, reads, writes in self.steps:
                if phase == "backward" and layer in group:
                    needed.update((name, first) for name in who if name in reads + writes)
        demanded = [(first, [name for name in who if needed[name] == first], []) for first, _, _ in order]
        least = self.held(who, demanded)
        for part in (1, 0.75, 0.5, 0.25, 0):
            room = vdnn.room_of(self.steps, self.groups, self.sizes, least, workspaces, capacity, part)
            yield vdnn.put_off(self.steps, order, self.sizes, *room, CELL)


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
    ways, capacity_bytes = twin.ways(device), ours.capacity_bytes

    def decided():
        for late in (False, True):
            rule = vdnn.dyn(lambda *rule: twin.fitted(rule, late, ways, capacity_bytes) is not None)  # noqa: B023
            if rule is not None:
                return rule, late
        return None

    taken, expected = ours.trials[-1], decided()
    assert ours.fits == (expected is not None)
    if expected is not None:
        assert ((taken.offload, taken.mode, not taken.greedy), taken.late) == expected
        assert_is(taken, twin.fitted(*expected, ways, capacity_bytes))


def assert_is(trial, fitted):
    picks, held = fitted
    assert list(trial.fit.picks) == picks
    assert [(stay.tensor, stay.first, stay.last, stay.from_slot) for stay in trial.plan.stays] == held


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.sampled_from(["conv", "all", "dyn"]), st.sampled_from(["memory", "performance"]), st.floats(0.7, 1.0))
def test_prefetches_are_put_off_as_by_the_twin(seed, offload, mode, part):
    """In a memory that is a little smaller than what the policy takes if it may."""
    twin, device = Twin(seed), RandomDevice(seed)
    options = {"device": device, "link": link_of(1e6), "choices": choices_of(seed), "input_batches": False}
    options |= {"policy": POLICIES[f"vdnn_{offload}"], "mode": mode}
    whole = virtualize(twin.network, BATCH, **options)
    ours = virtualize(twin.network, BATCH, capacity_bytes=max(int(part * whole.reserved_bytes), 1), **options)
    for trial in ours.trials:
        rule = trial.offload, trial.mode, not trial.greedy
        found = twin.fitted(rule, trial.late, twin.ways(device), ours.capacity_bytes)
        assert trial.fit.fits == (found is not None)
        if found is not None:
            assert_is(trial, found)
    if not ours.fits and offload != "dyn":
        assert twin.fitted((offload, mode, True), True, twin.ways(device), ours.capacity_bytes) is None


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
