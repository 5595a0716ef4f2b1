"""Where a network is cut: what crosses a cut, which cuts are candidates, the budgets of Algorithm 3."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.network import Layer, Network
from archmodel.training import TrainingChoices, training_graph
from archmodel.training.checkpoints import Segmentation
from tests.training.random_networks import random_network


def crossing(steps, cut):
    """Maps that are complete behind the layer of that place and read beyond it; None if one is half written there."""
    here, beyond = steps[: cut + 1], steps[cut + 1 :]
    made = {name for _, writes in here for name in writes}
    if made & {name for _, writes in beyond for name in writes}:
        return None
    return made & {name for reads, _ in beyond for name in reads}


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.booleans(), st.sampled_from(["values", "indices"]))
def test_cuts_are_those_of_the_naive_search(seed, num_layers, in_place, max_pool):
    network = random_network(np.random.default_rng(seed), num_layers)
    graph = training_graph(network, 3, TrainingChoices(in_place=in_place, max_pool=max_pool))
    segmentation = Segmentation(graph, network)
    size = {name: tensor.num_bytes for name, tensor in graph.tensors.items()}
    steps = [(step.reads, step.writes) for step in graph.steps if step.phase == "forward"]
    maps = [crossing(steps, cut) for cut in range(num_layers - 1)]
    allowed = [cut for cut, names in enumerate(maps) if names is not None]
    held = {cut: sum(size[name] for name in maps[cut]) for cut in allowed}
    expected = []
    for place, cut in enumerate(allowed):
        assert segmentation.crossing_bytes[cut] == held[cut]
        beside = [held[one] for one in allowed[max(place - 1, 0) : place + 2]]
        if len(maps[cut]) == 1 or held[cut] == min(beside):
            expected.append(cut)
    assert segmentation.candidates == expected
    chosen = tuple(expected[seed % 3 :: 2])
    assert segmentation.dropped(chosen) == gone(graph, network, steps, maps, chosen)


def gone(graph, network, steps, maps, cuts):
    if not cuts:
        return set()
    kept = set().union(*(maps[cut] for cut in cuts))
    before = {name for _, writes in steps[: cuts[-1] + 1] for name in writes}
    dropped = {name for name in before - kept if name.startswith("Y:")}
    for name in before:
        if name.startswith("saved:") and network.layer(name[6:]).kind != "norm":
            dropped |= {name} if graph.maps[name[6:]] in dropped else set()
    return dropped


def chain(*widths):
    """Convolutions of these widths on planes of 2x2."""
    layers = [
        Layer(f"c{place}", "conv", (f"c{place - 1}" if place else "image",), (C, 2, 2), K, R=1, S=1)
        for place, (C, K) in enumerate(zip((1, *widths), widths, strict=False))
    ]
    network = Network("chain", "chain", "made up", {"image": (1, 2, 2)}, tuple(layers))
    return Segmentation(training_graph(network, 1), network)


def test_a_segment_ends_as_soon_as_it_makes_more_than_the_budget():
    segmentation = chain(1, 2, 3, 4, 5, 6)  # maps of 16, 32, ... bytes
    assert segmentation.candidates == [0, 1, 2, 3, 4]
    assert segmentation.budget_cuts(0) == (0, 1, 2, 3, 4)
    assert segmentation.budget_cuts(47) == (1, 2, 3, 4)
    assert segmentation.budget_cuts(48) == (2, 3, 4)
    assert segmentation.budget_cuts(16 * 21) == ()


def test_the_next_budget_is_the_mean_of_what_is_kept_and_the_largest_segment():
    segmentation = chain(1, 2, 3, 4, 5, 6)
    assert segmentation.next_budget((1, 3)) == pytest.approx(sqrt(16 * (2 + 4) * 16 * (5 + 6)))
    assert segmentation.next_budget((3,)) == pytest.approx(sqrt(16 * 4 * 16 * 11))
    assert segmentation.next_budget((0, 4)) == pytest.approx(sqrt(16 * (1 + 5) * 16 * (2 + 3 + 4 + 5)))


def test_even_cuts_part_the_bytes():
    assert chain(*[1] * 12).even_cuts(3) == (3, 7)
    assert chain(8, 1, 1, 1, 1, 1, 1, 1, 1).even_cuts(2) == (0,)
    assert chain(1).even_cuts(1) == ()


def test_the_search_tries_the_whole_network_and_around_the_last_budget():
    segmentation = chain(*[1] * 100)
    plans = list(segmentation.search())
    assert plans[0] == ()
    assert plans[1] == segmentation.even_cuts(10)
    assert len(set(plans)) == len(plans)
    lengths = {plan[0] + 1 for plan in plans if plan}
    assert {1, 10} < lengths
    # From all cuts: sqrt(99 x 1) maps, cuts behind 10; then sqrt(9 x 10), again behind 10; around it from 7 to 14.
    assert min(lengths - {1}) == 7
    assert max(lengths) == 14


def test_only_cuts_that_keep_little_are_tried():
    """A branch over a block: inside it two maps cross, at its end one; a cut in an in-place map is none."""

    def conv(name, source):
        return Layer(name, "conv", (source,), (2, 2, 2), 2, R=1, S=1)

    relu = Layer("r", "activation", ("b",), (2, 2, 2), 2, mode="relu")
    layers = (conv("a", "image"), conv("b", "a"), relu, conv("c", "r"), Layer("s", "add", ("a", "c"), (2, 2, 2), 2),
              conv("d", "s"))  # fmt: skip
    network = Network("block", "block", "made up", {"image": (2, 2, 2)}, layers)
    segmentation = Segmentation(training_graph(network, 1), network)
    assert segmentation.crossing_bytes[:5] == [32, 32, 64, 64, 32]
    assert segmentation.candidates == [0, 4]
