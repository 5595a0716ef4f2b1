"""Maps that are dropped and made again: the same gradients, at most one more run of a layer, less memory."""

import re
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.training import (
    CHEAP_KINDS,
    TrainingChoices,
    best_fit,
    drop,
    lifetimes,
    liveness,
    network_wide,
    recomputed,
    training_graph,
)
from archmodel.training.recomputation import cheap_maps
from tests.reference.symbolic_iteration import Symbols, carried_out
from tests.training.random_networks import random_network

GIB = 2**30
choices = st.builds(
    TrainingChoices,
    precision=st.sampled_from(["fp32", "mixed"]),
    in_place=st.booleans(),
    max_pool=st.sampled_from(["values", "indices"]),
    update=st.sampled_from(["end", "layer"]),
)


def layer(name, kind, *inputs, C=2, K=None, plane=(4, 4), **more):
    return Layer(name, kind, inputs, (C, *plane), K or C, **more)


def conv(name, source, C=2, K=2, plane=(4, 4)):
    return layer(name, "conv", source, C=C, K=K, plane=plane, R=3, S=3, padding=(1, 1, 1, 1))


def net(*layers, C=2, plane=(4, 4)):
    return Network("net", "net", "made up", {"image": (C, *plane)}, layers)


def again(graph):
    return [step.layer for step in graph.steps if step.operation == "recompute"]


def gradients(graph, symbols):
    saved = {name for name, tensor in graph.tensors.items() if tensor.kind == "saved"}
    steps = [(step.layer, step.operation, step.reads, step.writes) for step in graph.steps]
    return carried_out(steps, saved, symbols)


def check_same_work(plain, changed):
    """The gradients, maps and weights of all steps, and the rules that hold for every such graph."""
    symbols = Symbols()
    assert gradients(changed, symbols) == gradients(plain, symbols)
    assert len(set(again(changed))) == len(again(changed))
    assert set(changed.tensors) == {name for step in changed.steps for name in step.tensors}
    assert {name: changed.tensors[name] for name in plain.tensors} == plain.tensors
    for name in set(changed.tensors) - set(plain.tensors):
        first = plain.tensors[name.removesuffix("@2").replace("recompute:", "forward:")]
        copy = changed.tensors[name]
        assert (copy.kind, copy.layer, copy.num_bytes) == (first.kind, first.layer, first.num_bytes)


def workspace(layer, operation, batch):
    return 100 * batch if operation == "forward" and layer.kind == "conv" else 0


# The same gradients


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), choices)
def test_whatever_is_dropped_the_gradients_are_the_same(seed, num_layers, chosen):
    rng = np.random.default_rng(seed)
    plain = training_graph(random_network(rng, num_layers), 2, chosen, workspace)
    made = list(plain.forward_writers)
    dropped = {name for name in made if rng.random() < 0.6}
    changed = drop(plain, dropped)
    check_same_work(plain, changed)
    forgotten = lifetimes(changed)
    num_forward = sum(step.phase == "forward" for step in plain.steps)
    assert all(forgotten[name][1] < num_forward for name in dropped)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), choices, st.sampled_from(["cheap", "sqrt"]))
def test_a_rule_gives_the_same_gradients_in_no_more_memory(seed, num_layers, chosen, rule):
    network = random_network(np.random.default_rng(seed), num_layers)
    plain = training_graph(network, 2, chosen, workspace)
    changed = recomputed(plain, network, rule)
    check_same_work(plain, changed)
    assert liveness(changed).peak_bytes <= liveness(plain).peak_bytes
    assert best_fit(changed).peak_live_bytes == liveness(changed).peak_bytes
    if rule == "cheap":
        assert {network.layer(name).kind for name in again(changed)} <= set(CHEAP_KINDS)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), choices, st.integers(1, 12))
def test_any_number_of_segments_gives_the_same_gradients(seed, num_layers, chosen, segments):
    network = random_network(np.random.default_rng(seed), num_layers)
    plain = training_graph(network, 2, chosen, workspace)
    check_same_work(plain, recomputed(plain, network, "sqrt", segments=min(segments, num_layers)))


@pytest.mark.parametrize("rule", ["cheap", "sqrt"])
@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet50", "densenet121", "bert_base", "gnmt"])
def test_networks_keep_their_gradients_and_need_less(name, rule):
    network = read_network(name)
    plain = training_graph(network, 128, TrainingChoices(max_pool="indices"))
    changed = recomputed(plain, network, rule)
    check_same_work(plain, changed)
    assert liveness(changed).peak_bytes < liveness(plain).peak_bytes
    assert again(changed)


def test_the_twin_notices_a_map_that_is_another():
    plain = training_graph(net(conv("a", "image"), conv("b", "a"), conv("c", "b")), 2)
    wrong = [(s.layer, s.operation, tuple("Y:a" if r == "Y:b" else r for r in s.reads), s.writes) for s in plain.steps]
    right = [(s.layer, s.operation, s.reads, s.writes) for s in plain.steps]
    symbols = Symbols()
    assert carried_out(wrong, set(), symbols) != carried_out(right, set(), symbols)
    early = [step for step in right if step[:2] != ("a", "forward")]
    with pytest.raises(KeyError, match="Y:a"):
        carried_out(early, set(), symbols)


# Steps that run again


CHAIN = net(conv("a", "image"), layer("n", "norm", "a", mode="batch"), layer("r", "activation", "n", mode="relu"),
            conv("b", "r"), layer("d", "dropout", "b"), conv("c", "d"))  # fmt: skip


def backward(graph):
    return [(step.name, step.reads, step.writes) for step in graph.steps if step.phase == "backward"]


def test_an_in_place_map_is_made_again_by_all_that_write_it():
    graph = drop(training_graph(CHAIN, 2), {"Y:n"})
    steps = backward(graph)
    names = [name for name, _, _ in steps]
    place = names.index("n.recompute")
    assert steps[place : place + 3] == [
        ("n.recompute", ("Y:a", "W:n", "saved:n"), ("Y:n@2",)),
        ("r.recompute", ("Y:n@2",), ("Y:n@2",)),
        ("b.weight_gradient", ("Y:n@2", "dY:b"), ("dW:b",)),
    ]
    assert ("r.data_gradient", ("Y:n@2", "dY:n"), ("dY:n",)) in steps
    assert again(graph) == ["n", "r"]


def test_what_is_dropped_and_read_on_the_way_is_made_first():
    graph = drop(training_graph(CHAIN, 2), {"Y:a", "Y:n", "Y:b"})
    assert again(graph) == ["a", "n", "r", "b", "d"]
    [(_, reads, writes)] = [one for one in backward(graph) if one[0] == "d.recompute"]
    assert (reads, writes) == (("Y:b@2", "saved:d"), ("Y:b@2",))  # the mask of the first run


def test_a_dropped_mask_is_drawn_again():
    graph = drop(training_graph(CHAIN, 2), {"Y:b", "saved:d"})
    assert ("d.recompute", ("Y:b@2",), ("Y:b@2", "saved:d@2")) in backward(graph)
    assert ("d.data_gradient", ("saved:d@2", "dY:b"), ("dY:b",)) in backward(graph)


def test_what_overwrites_a_map_later_does_not_run_again():
    network = net(conv("a", "image"), layer("d", "dropout", "a"), layer("r", "activation", "d", mode="relu"),
                  conv("b", "r"))  # fmt: skip
    graph = training_graph(network, 2)
    assert graph.maps["r"] == "Y:a"
    assert again(drop(graph, {"saved:d"})) == ["a", "d"]


def test_what_is_saved_is_made_again_without_the_map():
    network = net(layer("l", "lstm", "image", plane=(4, 1)), conv("c", "l", plane=(4, 1)), plane=(4, 1))
    graph = drop(training_graph(network, 2), {"saved:l"})
    assert ("l.recompute", ("X:image", "W:l"), ("Y:l@2", "saved:l@2")) in backward(graph)
    assert ("l.weight_gradient", ("X:image", "Y:l", "saved:l@2", "dY:l"), ("dW:l",)) in backward(graph)


def test_a_step_that_runs_again_has_a_workspace_of_its_own():
    graph = drop(training_graph(CHAIN, 2, workspace=workspace), {"Y:a"})
    held = lifetimes(graph)
    [place] = [place for place, step in enumerate(graph.steps) if step.name == "a.recompute"]
    assert held["workspace.forward:a"] == (0, 0)
    assert held["workspace.recompute:a"] == (place, place)


def test_a_repeated_step_belongs_to_the_backward_pass():
    graph = drop(training_graph(CHAIN, 2), {"Y:n"})
    assert {step.phase for step in graph.steps if step.operation == "recompute"} == {"backward"}
    assert graph.maps == training_graph(CHAIN, 2).maps


def test_a_static_baseline_pays_for_the_second_maps():
    plain = training_graph(CHAIN, 2)
    graph = drop(plain, {"Y:n"})
    assert network_wide(graph).peak_bytes - network_wide(plain).peak_bytes == plain.tensors["Y:n"].num_bytes


# Cheap layers


def test_a_norm_and_its_activation_run_again():
    graph = training_graph(CHAIN, 2)
    assert again(recomputed(graph, CHAIN, "cheap")) == ["n", "r"]
    apart = training_graph(CHAIN, 2, TrainingChoices(in_place=False))
    assert again(recomputed(apart, CHAIN, "cheap")) == ["n", "r"]
    assert again(recomputed(apart, CHAIN, "cheap", kinds=["norm"])) == []  # no backward step reads its map
    assert again(recomputed(apart, CHAIN, "cheap", kinds=["activation"])) == []  # its input would be kept in its place


def test_what_runs_again_has_an_input_that_is_kept():
    """Of a row of max pools, which all read what the one above has made, every other one is dropped."""
    rows = [layer(f"p{place}", "pool", f"p{place - 1}" if place else "a", R=3, S=3, padding=(1,) * 4, mode="max")
            for place in range(4)]  # fmt: skip
    network = net(conv("a", "image"), *rows, conv("b", "p3"))
    graph = training_graph(network, 2)
    assert again(recomputed(graph, network, "cheap")) == ["p2", "p0"]


def test_a_small_map_is_not_made_again_from_a_large_one_that_nobody_else_keeps():
    def network(kind, mode):
        small = layer("p", kind, "a", R=2, S=2, stride=(2, 2), mode=mode)
        return net(conv("a", "image"), small, conv("b", "p", plane=(2, 2)), conv("c", "b", plane=(2, 2)))

    for mode, expected in (("average", []), ("max", ["p"])):  # a max pool's backward step reads its input anyway
        graph = training_graph(network("pool", mode), 2)
        assert again(recomputed(graph, network("pool", mode), "cheap")) == expected


def test_a_large_map_is_made_again_from_a_small_one():
    """A concat of a map and itself takes twice its bytes; of two maps that nobody keeps it takes theirs."""
    twice = net(conv("a", "image"), layer("t", "concat", "a", "a", C=4), conv("b", "t", C=4))
    assert again(recomputed(training_graph(twice, 2), twice, "cheap")) == ["t"]
    both = net(conv("a", "image"), conv("z", "image"), layer("t", "concat", "a", "z", C=4), conv("b", "t", C=4))
    assert again(recomputed(training_graph(both, 2), both, "cheap")) == []


def test_a_network_input_is_kept_longer_only_for_a_larger_map():
    for kind, more, expected in (("norm", {"mode": "lrn"}, []), ("concat", {"C": 4}, ["t"])):
        sources = ("image", "image") if kind == "concat" else ("image",)
        network = net(layer("t", kind, *sources, **more), conv("b", "t", **{"C": 2} | more if "C" in more else {}))
        assert again(recomputed(training_graph(network, 2), network, "cheap")) == expected


def test_one_input_that_is_kept_longer_serves_two_maps():
    """The concat alone is worth keeping its input; then a slice of the same input costs nothing."""
    whole = ((0, 2), (0, 4), (0, 4))
    network = net(conv("a", "image"), layer("t", "concat", "a", "a", C=4), layer("s", "slice", "a", window=whole),
                  conv("b", "t", C=4), conv("e", "s"))  # fmt: skip
    assert set(again(recomputed(training_graph(network, 2), network, "cheap"))) == {"t", "s"}
    without = net(conv("a", "image"), layer("s", "slice", "a", window=whole), conv("e", "s"))
    assert again(recomputed(training_graph(without, 2), without, "cheap")) == []


def test_maps_on_the_way_run_again_with_those_that_need_them():
    """Norm and add are read by no backward step, but what the ReLU reads is made from a map that is kept."""
    network = net(conv("a", "image"), layer("n", "norm", "a", mode="batch"), layer("s", "add", "n", "n"),
                  layer("r", "activation", "s", mode="relu"), conv("b", "r"))  # fmt: skip
    apart = training_graph(network, 2, TrainingChoices(in_place=False))
    assert again(recomputed(apart, network, "cheap")) == ["n", "s", "r"]
    fork = net(*network.layers[:2], layer("r", "activation", "n", mode="relu"), conv("b", "r"),
               layer("t", "activation", "n", mode="tanh"), conv("c", "t"))  # fmt: skip
    assert again(recomputed(training_graph(fork, 2), fork, "cheap")) == ["n", "t", "r"]


def test_a_map_on_the_way_that_is_written_in_place_runs_again_whole():
    network = net(conv("a", "image"), layer("n", "norm", "a", mode="batch"), layer("d", "dropout", "n"),
                  layer("s", "add", "d", "d"), layer("r", "activation", "s", mode="relu"), conv("b", "r"))  # fmt: skip
    graph = training_graph(network, 2)
    assert graph.maps["d"] == "Y:n"
    assert again(recomputed(graph, network, "cheap")) == ["n", "d", "s", "r"]


def test_nothing_on_the_way_is_made_from_what_would_be_kept_in_its_place():
    network = net(conv("a", "image"), layer("s", "add", "a", "a"), layer("r", "activation", "s", mode="relu"),
                  conv("b", "r"))  # fmt: skip
    apart = training_graph(network, 2, TrainingChoices(in_place=False))
    assert again(recomputed(apart, network, "cheap")) == []
    half = net(conv("a", "image"), layer("t", "concat", "a", "a", C=4),
               layer("s", "slice", "t", C=4, K=2, window=((0, 2), (0, 4), (0, 4))), conv("b", "s"))  # fmt: skip
    assert cheap_maps(training_graph(half, 2), half, CHEAP_KINDS) == set()


def test_the_rule_of_mc_dla_repeats_activations_and_pools():
    """Kwon and Rhu, MICRO 2018: ACTV and POOL. In place an activation has no map of its own: the pools of VGG-16."""
    network = read_network("vgg16")
    graph = recomputed(training_graph(network, 64), network, "cheap", kinds=("activation", "pool"))
    assert again(graph) == [f"pool{place}" for place in (5, 4, 3, 2, 1)]


# Segments


def chain(num_layers):
    layers = [conv(f"c{place}", f"c{place - 1}" if place else "image") for place in range(num_layers)]
    return net(*layers)


def maps_at_the_peak(num_layers, **options):
    network = chain(num_layers)
    batch = 1000  # so that weights are nothing beside maps
    graph = recomputed(training_graph(network, batch), network, "sqrt", **options)
    return liveness(graph).peak_bytes / (batch * 4 * 4 * 4 * 2)


def test_a_chain_needs_the_square_root_of_its_layers():
    """n/k maps kept, k made again, two gradients, one input: no fewer than 2 sqrt(n) but for the last segment."""
    for num_layers in (16, 64, 256, 1024):
        assert maps_at_the_peak(num_layers) <= 2 * sqrt(num_layers) + 4
    assert maps_at_the_peak(64, segments=1) >= 64


@pytest.mark.parametrize(("segments", "kept"), [(2, [7]), (4, [3, 7, 11]), (16, list(range(15)))])
def test_segments_are_equal_and_the_last_is_kept(segments, kept):
    graph = recomputed(training_graph(chain(16), 4), chain(16), "sqrt", segments=segments)
    expected = [f"c{place}" for place in range(kept[-1]) if place not in kept]
    assert sorted(again(graph)) == sorted(expected)


def test_a_segment_runs_again_when_the_backward_pass_comes_to_it():
    graph = recomputed(training_graph(chain(9), 4), chain(9), "sqrt", segments=3)
    names = [step.name for step in graph.steps if step.phase == "backward"]
    assert names.index("c3.recompute") == names.index("c4.recompute") - 1 == names.index("c5.weight_gradient") - 2
    assert names.index("c0.recompute") == names.index("c1.recompute") - 1 == names.index("c2.weight_gradient") - 2
    assert names.index("c6.weight_gradient") < names.index("c3.recompute") + 3


def test_the_chosen_plan_is_no_worse_than_any_number_of_segments_of_a_chain():
    network = chain(40)
    plain = training_graph(network, 100)
    by_number = [liveness(recomputed(plain, network, "sqrt", segments=one)).peak_bytes for one in range(1, 41)]
    assert liveness(recomputed(plain, network, "sqrt")).peak_bytes <= 1.1 * min(by_number)


def test_where_weights_decide_nothing_runs_again():
    network = read_network("lenet5")
    assert again(recomputed(training_graph(network, 1), network, "sqrt")) == []


def test_gates_run_again_even_where_the_map_is_kept():
    names = [f"l{place}" for place in range(8)]
    rows = [layer(name, "lstm", source, C=8, plane=(4, 1)) for name, source in zip(names, ["image", *names])]  # noqa: B905
    network = net(*rows, C=8, plane=(4, 1))
    graph = recomputed(training_graph(network, 64), network, "sqrt", segments=4)
    assert set(again(graph)) == set(names[:6])
    held = lifetimes(graph)
    assert all(held[f"saved:{name}"][1] < 8 for name in names[:6])
    assert held["Y:l1"][1] > 8 > held["Y:l2"][1]


def test_statistics_of_a_norm_stay():
    network = net(*CHAIN.layers, conv("e", "c"), conv("f", "e"), conv("g", "f"), conv("h", "g"))
    graph = recomputed(training_graph(network, 64), network, "sqrt", segments=2)
    assert again(graph) == ["a", "n", "r"]
    assert "saved:n@2" not in graph.tensors


# Published


def authors_resnet(blocks):
    """The network of the authors' example (github.com/dmlc/mxnet-memonger, example_resnet.py), any stages."""
    layers, shapes = [], {"image": (3, 224, 224)}

    def made(name, kind, *inputs, K=None, **more):
        shape = (2048, 1, 1) if kind == "fc" else shapes[inputs[0]]
        layers.append(Layer(name, kind, inputs, shape, K or shape[0], **more))
        shapes[name] = layers[-1].output_shape
        return name

    def module(name, source, K, R, stride):
        window = {"R": R, "S": R, "stride": (stride, stride), "padding": (R // 2,) * 4}
        source = made(name, "conv", source, K=K, **window)
        return made(f"{name}.act", "activation", made(f"{name}.bn", "norm", source, mode="batch"), mode="relu")

    window = {"R": 3, "S": 3, "stride": (2, 2), "padding": (1,) * 4}
    top = made("pool", "pool", module("conv", "image", 64, 7, 2), mode="max", **window)
    for stage, count in enumerate(blocks):
        K = 64 * 2**stage
        for block in range(count):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            bottom = module(
                f"{name}c3", module(f"{name}c2", module(f"{name}c1", top, K, 1, 1), K, 3, stride), 4 * K, 1, 1
            )
            side = top if block else module(f"{name}p", top, 4 * K, 1, stride)
            top = made(f"{name}add", "add", side, bottom)
    top = made("mean", "pool", top, mode="average", R=7, S=7)
    made("softmax", "softmax", made("fc", "fc", top, K=1000))
    return Network("authors_resnet", "ResNet", "made up", {"image": (3, 224, 224)}, tuple(layers))


def test_a_residual_network_of_1000_layers_as_published():
    """Chen et al. 2016, abstract: from 48 GB to 7 GB. How deep the stages are is not in it: five times the example's
    3, 24, 36, 3, a batch of 32 as there. Without repetition 10 % are allowed for that; with it their planner, which
    cuts behind blocks alone, is an upper limit, and half of it a lower one."""
    network = authors_resnet([15, 121, 181, 15])
    assert sum(one.kind in ("conv", "fc") and not one.name.endswith("p") for one in network.layers) == 998
    plain = training_graph(network, 32, TrainingChoices(optimizer="sgd"))
    changed = recomputed(plain, network, "sqrt")
    assert liveness(plain).peak_bytes / GIB == pytest.approx(48, rel=0.1)
    assert 3.5 < liveness(changed).peak_bytes / GIB < 7
    assert len(again(changed)) < len(network.layers)


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "squirt"}, "rule = 'squirt': must be cheap or sqrt; did you mean 'sqrt'?"),
        ({"rule": "sqrt", "segments": 0}, "segments = 0: must be a whole number from 1 to 6, its layers"),
        ({"rule": "sqrt", "segments": 7}, "segments = 7: must be a whole number from 1 to 6, its layers"),
        ({"rule": "sqrt", "segments": True}, "segments = true: must be a whole number from 1 to 6, its layers"),
        ({"rule": "cheap", "segments": 2}, "segments = 2: only for rule = sqrt"),
        ({"rule": "sqrt", "kinds": ["pool"]}, "kinds = ['pool']: only for rule = cheap"),
        ({"rule": "cheap", "kinds": ["pol"]}, "kinds = 'pol': is no kind of layer; did you mean 'pool'?"),
    ],
)
def test_options_that_are_not_allowed(options, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        recomputed(training_graph(CHAIN, 2), CHAIN, **options)


def test_nothing_is_repeated_twice():
    graph = recomputed(training_graph(CHAIN, 2), CHAIN, "cheap")
    with pytest.raises(ConfigError, match="already"):
        recomputed(graph, CHAIN, "sqrt")


def test_only_what_a_forward_step_makes_is_dropped():
    for name in ("X:image", "W:a", "dY:a", "Y:nobody"):
        with pytest.raises(ConfigError, match=f"^dropped = '{name}': is nothing that a forward step of net makes$"):
            drop(training_graph(CHAIN, 2), {name})
