"""The steps of an iteration: by hand, and on random graphs that nothing is read before it is there."""

import numpy as np
import pytest

from archmodel.errors import ConfigError, WorkloadError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.training import TrainingChoices, training_graph
from archmodel.training.backward import FROM_OUTPUT
from tests.training.random_networks import random_network

BATCH = 3


def net(*layers, **inputs):
    return Network("net", "a net", "made up", inputs or {"image": (2, 4, 4)}, layers)


def conv(name, *inputs, C=2, K=2):
    return Layer(name, "conv", inputs, (C, 4, 4), K, bias=False)


def layer(name, kind, *inputs, C=2, mode=""):
    return Layer(name, kind, inputs, (C, 4, 4), C, mode=mode)


def relu(name, *inputs):
    return layer(name, "activation", *inputs, mode="relu")


def pool(name, *inputs, mode="max"):
    return Layer(name, "pool", inputs, (2, 4, 4), 2, 2, 2, (2, 2), mode=mode)


def written_down(network, **choices):
    graph = training_graph(network, BATCH, TrainingChoices(**({"optimizer": "sgd"} | choices)))
    return graph, [(step.name, set(step.reads), set(step.writes)) for step in graph.steps]


def reads(network, name, **choices):
    return {step: found for step, found, _ in written_down(network, **choices)[1]}[name]


CHAIN = net(conv("a", "image"), relu("r", "a"), pool("p", "r"), Layer("f", "fc", ("p",), (8, 1, 1), 5))


def test_a_chain_by_hand():
    _, steps = written_down(CHAIN)
    assert steps == [
        ("a.forward", {"X:image", "W:a"}, {"Y:a"}),
        ("r.forward", {"Y:a"}, {"Y:a"}),
        ("p.forward", {"Y:a"}, {"Y:p"}),
        ("f.forward", {"Y:p", "W:f"}, {"Y:f"}),
        ("f.loss", {"Y:f"}, {"dY:f"}),
        ("f.weight_gradient", {"Y:p", "dY:f"}, {"dW:f"}),
        ("f.data_gradient", {"W:f", "dY:f"}, {"dY:p"}),
        ("p.data_gradient", {"Y:a", "Y:p", "dY:p"}, {"dY:a"}),
        ("r.data_gradient", {"Y:a", "dY:a"}, {"dY:a"}),
        ("a.weight_gradient", {"X:image", "dY:a"}, {"dW:a"}),
        ("a.update", {"dW:a", "W:a"}, {"W:a"}),
        ("f.update", {"dW:f", "W:f"}, {"W:f"}),
    ]


def test_the_bytes_of_a_chain_by_hand():
    graph, _ = written_down(CHAIN)
    sizes = {name: one.num_bytes for name, one in graph.tensors.items()}
    assert sizes == {
        "X:image": 4 * 3 * 32, "Y:a": 4 * 3 * 32, "Y:p": 4 * 3 * 8, "Y:f": 4 * 3 * 5,
        "dY:a": 4 * 3 * 32, "dY:p": 4 * 3 * 8, "dY:f": 4 * 3 * 5,
        "W:a": 4 * 4, "dW:a": 4 * 4, "W:f": 4 * 45, "dW:f": 4 * 45,
    }  # fmt: skip
    assert graph.bytes_of("weight") == 4 * 49
    assert graph.bytes_of("weight", "weight_gradient") == 8 * 49
    assert graph.step_bytes(graph.steps[0]) == 4 * (96 + 96 + 4)
    assert {step.phase for step in graph.steps[:4]} == {"forward"}
    assert {step.phase for step in graph.steps[4:10]} == {"backward"}
    assert {step.phase for step in graph.steps[10:]} == {"update"}


@pytest.mark.parametrize(
    ("precision", "optimizer", "storage", "master", "state"),
    [
        ("fp32", "momentum", 4, 0, 4),
        ("fp32", "adam", 4, 0, 8),
        ("fp16", "momentum", 2, 0, 2),
        ("mixed", "momentum", 2, 4, 4),
        ("mixed", "adam", 2, 4, 8),
        ("mixed", "sgd", 2, 4, 0),
    ],
)
def test_the_bytes_of_a_parameter(precision, optimizer, storage, master, state):
    network = read_network("lenet5")
    graph = training_graph(network, 2, TrainingChoices(precision=precision, optimizer=optimizer))
    kinds = ("weight", "weight_gradient", "master_weight", "optimizer_state")
    assert [graph.bytes_of(kind) for kind in kinds] == [
        network.parameters * one for one in (storage, storage, master, state)
    ]
    words = sum(one.output_words for one in network.layers if graph.maps[one.name] == f"Y:{one.name}") + 28 * 28
    assert graph.bytes_of("feature_map") == 2 * words * storage
    update = graph.steps[-1]
    assert update.writes == tuple(name for name in update.reads if not name.startswith("dW"))
    assert len(update.writes) == 1 + (master > 0) + (state > 0)


def test_a_layer_is_updated_as_soon_as_its_gradients_are_there():
    _, steps = written_down(CHAIN, update="layer")
    names = [name for name, _, _ in steps]
    assert names[4:8] == ["f.loss", "f.weight_gradient", "f.data_gradient", "f.update"]
    assert names[-2:] == ["a.weight_gradient", "a.update"]


def test_out_of_place_an_activation_has_a_map_and_a_gradient_of_its_own():
    graph, steps = written_down(CHAIN, in_place=False)
    assert graph.maps["r"] == "Y:r"
    assert ("r.forward", {"Y:a"}, {"Y:r"}) in steps
    assert ("r.data_gradient", {"Y:r", "dY:r"}, {"dY:a"}) in steps


def test_a_fork_adds_gradients_and_a_join_splits_them():
    network = net(conv("a", "image"), conv("b", "a"), conv("c", "a"), layer("s", "add", "b", "c"))
    _, steps = written_down(network)
    assert ("s.data_gradient", {"dY:s"}, {"dY:b", "dY:c"}) in steps
    assert ("c.data_gradient", {"W:c", "dY:c"}, {"dY:a"}) in steps
    assert ("b.data_gradient", {"W:b", "dY:b", "dY:a"}, {"dY:a"}) in steps
    order = [name for name, _, _ in steps]
    assert order.index("c.data_gradient") < order.index("b.data_gradient") < order.index("a.weight_gradient")


def test_an_add_of_a_map_to_itself_has_one_gradient():
    _, steps = written_down(net(conv("a", "image"), layer("s", "add", "a", "a")))
    assert ("s.data_gradient", {"dY:s"}, {"dY:a"}) in steps


def above(kind, mode=""):
    """A network whose last layer is of that kind, behind a convolution that has another reader."""
    return net(conv("a", "image"), layer("x", kind, "a", mode=mode), conv("b", "a"))


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("norm", "lrn", {"Y:a", "Y:x"}),
        ("norm", "batch", {"Y:a", "W:x", "saved:x"}),
        ("norm", "rms", {"Y:a", "W:x", "saved:x"}),
        ("activation", "relu", {"Y:x"}),
        ("activation", "clipped_relu", {"Y:x"}),
        ("activation", "sigmoid", {"Y:x"}),
        ("activation", "tanh", {"Y:x"}),
        ("activation", "gelu", {"Y:a"}),
        ("softmax", "", {"Y:x"}),
        ("dropout", "", {"saved:x"}),
    ],
)
def test_what_a_backward_step_reads_beside_its_gradient(kind, mode, expected):
    network = above(kind, mode)
    assert reads(network, "x.data_gradient") - {"dY:a"} == expected | {"dY:x"}  # the gradient of b came first


@pytest.mark.parametrize(
    ("joined", "expected"),
    [("concat", set()), ("add", set()), ("multiply", {"Y:a", "Y:b"})],
)
def test_what_the_backward_step_of_a_join_reads(joined, expected):
    C = 4 if joined == "concat" else 2
    network = net(conv("a", "image"), conv("b", "image"), layer("x", joined, "a", "b", C=C))
    assert reads(network, "x.data_gradient") == expected | {"dY:x"}


def test_a_product_of_two_maps_needs_both():
    product = Layer("x", "matmul", ("a", "b"), (2, 4, 4), 16, bias=False, mode="transposed")
    _, steps = written_down(net(conv("a", "image"), conv("b", "image"), product))
    assert ("x.data_gradient", {"Y:a", "Y:b", "dY:x"}, {"dY:a", "dY:b"}) in steps
    assert "W:x" not in dict.fromkeys(name for _, read, _ in steps for name in read)


def test_a_slice_and_a_pool_of_averages_need_their_gradient_alone():
    kept = Layer("x", "slice", ("a",), (2, 4, 4), 1, window=((0, 1), (0, 4), (0, 4)))
    assert reads(net(conv("a", "image"), kept), "x.data_gradient") == {"dY:x"}
    assert reads(net(conv("a", "image"), pool("x", "a", mode="average")), "x.data_gradient") == {"dY:x"}


def test_of_an_unknown_layer_all_that_it_reads_is_kept():
    other = Layer("x", "other", ("a",), (2, 4, 4), 2, result=(2, 8, 8))
    assert reads(net(conv("a", "image"), other), "x.data_gradient") == {"Y:a", "dY:x"}


def test_a_max_pool_keeps_values_or_indices():
    network = net(conv("a", "image"), pool("x", "a"))
    assert reads(network, "x.data_gradient") == {"Y:a", "Y:x", "dY:x"}
    assert reads(network, "x.data_gradient", max_pool="indices") == {"saved:x", "dY:x"}
    graph, _ = written_down(network, max_pool="indices", precision="fp16")
    assert graph.tensors["saved:x"].num_bytes == 4 * BATCH * 8


@pytest.mark.parametrize(
    ("mode", "words"),
    [("batch", 2 * 3), ("layer", 2 * BATCH * 20), ("rms", BATCH * 20), ("instance", BATCH * 6), ("group", BATCH * 6)],
)
def test_the_statistics_of_a_norm_stay_in_four_bytes(mode, words):
    layers = (Layer("a", "conv", ("image",), (2, 4, 5), 3), Layer("x", "norm", ("a",), (3, 4, 5), 3, mode=mode))
    graph, _ = written_down(net(*layers, image=(2, 4, 5)), precision="mixed")
    assert graph.tensors["saved:x"].num_bytes == 4 * words


def test_a_local_normalization_saves_nothing():
    assert "saved:x" not in written_down(above("norm", "lrn"))[0].tensors


@pytest.mark.parametrize(("bits", "num_bytes"), [(32, 4 * 96), (8, 96), (1, 12)])
def test_the_mask_of_a_dropout(bits, num_bytes):
    graph, _ = written_down(above("dropout"), dropout_mask_bits=bits)
    assert graph.tensors["saved:x"].num_bytes == num_bytes


@pytest.mark.parametrize(("kind", "words"), [("lstm", 5), ("gru", 3), ("rnn", 1)])
def test_a_recurrent_layer_keeps_its_gates_and_cells(kind, words):
    network = net(Layer("e", kind, ("image",), (2, 7, 1), 3), Layer("x", kind, ("e",), (3, 7, 1), 3), image=(2, 7, 1))
    graph, steps = written_down(network, precision="fp16")
    assert graph.tensors["saved:x"].num_bytes == 2 * BATCH * 7 * 3 * words
    assert ("x.weight_gradient", {"Y:e", "Y:x", "saved:x", "dY:x"}, {"dW:x"}) in steps
    assert ("x.data_gradient", {"W:x", "Y:x", "saved:x", "dY:x"}, {"dY:e"}) in steps


def test_no_gradient_goes_where_nothing_learns():
    network = net(relu("r", "image"), layer("d", "dropout", "r"), conv("a", "d"), relu("s", "a"))
    graph, steps = written_down(network)
    names = [name for name, _, _ in steps]
    assert names == ["r.forward", "d.forward", "a.forward", "s.forward", "s.loss", "s.data_gradient",
                     "a.weight_gradient", "a.update"]  # fmt: skip
    assert not any(name.startswith(("saved", "dY:r", "dY:image")) for name in graph.tensors)


def test_a_table_passes_no_gradient_to_the_numbers_that_it_looks_up():
    table = Layer("t", "embedding", ("a",), (1, 4, 4), 5, vocabulary=9)
    _, steps = written_down(net(conv("a", "image", K=1), table))
    names = [name for name, _, _ in steps]
    assert names == ["a.forward", "t.forward", "t.loss", "t.weight_gradient", "t.update"]


# In place


@pytest.mark.parametrize("mode", ["relu", "clipped_relu", "sigmoid", "tanh", "gelu"])
def test_only_an_activation_whose_slope_follows_from_its_output_overwrites(mode):
    graph, _ = written_down(net(conv("a", "image"), layer("x", "activation", "a", mode=mode)))
    assert (graph.maps["x"] == "Y:a") == (mode in FROM_OUTPUT) == (mode != "gelu")


def test_a_map_with_another_reader_is_not_overwritten():
    graph, _ = written_down(above("activation", "relu"))
    assert graph.maps["x"] == "Y:x"


def test_an_input_of_the_network_is_not_overwritten():
    graph, _ = written_down(net(relu("r", "image"), conv("a", "r")))
    assert graph.maps["r"] == "Y:r"


@pytest.mark.parametrize(
    ("producer", "overwritten"),
    [
        (relu("p", "a"), False),
        (layer("p", "activation", "a", mode="sigmoid"), False),
        (layer("p", "softmax", "a"), False),
        (layer("p", "norm", "a", mode="lrn"), False),
        (layer("p", "norm", "a", mode="batch"), True),
        (layer("p", "activation", "a", mode="gelu"), True),
        (layer("p", "dropout", "a"), True),
        (Layer("p", "pool", ("a",), (2, 4, 4), 2, mode="max"), False),
        (Layer("p", "pool", ("a",), (2, 4, 4), 2, mode="average"), True),
    ],
)
def test_what_the_producer_reads_again_is_not_overwritten(producer, overwritten):
    graph, _ = written_down(net(conv("a", "image"), conv("b", "a"), producer, relu("x", "p")))
    assert (graph.maps["x"] == graph.maps["p"]) == overwritten


@pytest.mark.parametrize(("mode", "overwritten"), [("relu", True), ("clipped_relu", False), ("sigmoid", False)])
def test_a_dropout_overwrites_a_relu_and_no_other_activation(mode, overwritten):
    network = net(conv("a", "image"), layer("r", "activation", "a", mode=mode), layer("d", "dropout", "r"))
    graph, _ = written_down(network)
    assert (graph.maps["d"] == "Y:a") == overwritten


def test_indices_let_an_activation_overwrite_what_a_max_pool_made():
    network = net(conv("a", "image"), pool("p", "a"), Layer("r", "activation", ("p",), (2, 2, 2), 2, mode="relu"))
    assert written_down(network)[0].maps["r"] == "Y:r"
    assert written_down(network, max_pool="indices")[0].maps["r"] == "Y:p"


# Random graphs

CHOICES = [
    TrainingChoices(),
    TrainingChoices(in_place=False, optimizer="adam", precision="mixed"),
    TrainingChoices(max_pool="indices", update="layer", precision="fp16", optimizer="sgd"),
]


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_read_before_it_is_there(seed, choices):
    rng = np.random.default_rng(seed)
    network = random_network(rng, int(rng.integers(1, 25)))
    graph = training_graph(network, 2, choices)
    there = {name for name, tensor in graph.tensors.items() if tensor.persistent} | set(graph.inputs)
    for step in graph.steps:
        assert there.issuperset(step.reads), step.name
        there |= set(step.writes)
    assert there == set(graph.tensors) == set(graph.uses)
    updated = [step.layer for step in graph.steps if step.operation == "update"]
    assert sorted(updated) == sorted(layer.name for layer in network.layers if layer.parameters)


@pytest.mark.parametrize("seed", range(40))
def test_a_map_holds_what_the_backward_step_wants(seed):
    """The last layer that wrote a map is the one whose output is read; or a dropout over a ReLU, whose signs stay."""
    network = random_network(np.random.default_rng(seed), 20)
    graph = training_graph(network, 2)
    holds = {graph.maps[name]: name for name in network.inputs}
    for layer in network.layers:
        for name in layer.inputs:
            assert holds[graph.maps[name]] == name
        holds[graph.maps[layer.name]] = layer.name
    for step in graph.steps:
        if step.phase != "backward":
            continue
        layer = network.layer(step.layer)
        wanted = {graph.maps[name]: name for name in (layer.name, *layer.inputs)}
        if graph.maps[layer.name] in [graph.maps[name] for name in layer.inputs]:
            wanted[graph.maps[layer.name]] = layer.name
        for name in step.reads:
            if graph.tensors[name].kind == "feature_map" and holds[name] != wanted[name]:
                assert layer.mode == "relu"
                assert network.layer(holds[name]).kind == "dropout"


def test_the_workspace_of_a_step_is_touched_by_no_other():
    def needed(layer, operation, batch):
        return 100 * batch if layer.kind == "conv" and operation != "update" else 0

    graph = training_graph(CHAIN, BATCH, workspace=needed)
    touched = {name: uses for name, uses in graph.uses.items() if graph.tensors[name].kind == "workspace"}
    assert [graph.steps[use].name for uses in touched.values() for use in uses] == ["a.forward", "a.weight_gradient"]
    assert graph.bytes_of("workspace") == 2 * 100 * BATCH
    assert not training_graph(CHAIN, BATCH).bytes_of("workspace")


@pytest.mark.parametrize("batch", [0, -1, 2**20 + 1, 1.5, True, "8"])
def test_a_batch_is_a_number_of_images(batch):
    with pytest.raises(ConfigError, match=r"^batch = .*: must be a whole number from 1 to 1048576$"):
        training_graph(CHAIN, batch)


def test_tensors_beyond_all_memories_are_refused():
    large = [Layer(f"l{place}", "norm", (f"l{place - 1}" if place else "image",), (2**31, 1, 1), 2**31, mode="lrn")
             for place in range(600)]  # fmt: skip
    with pytest.raises(
        WorkloadError, match=r"^net: \d+ bytes with batch = 1048576: must be at most 4611686018427387904$"
    ):
        training_graph(net(*large, image=(2**31, 1, 1)), 2**20)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"precision": "fp61"}, "precision = 'fp61': must be fp32, fp16 or mixed; did you mean 'fp16'?"),
        ({"optimizer": "lion"}, "optimizer = 'lion': must be sgd, momentum or adam"),
        ({"max_pool": 3}, "max_pool = 3: must be values or indices"),
        ({"update": "never"}, "update = 'never': must be end or layer"),
        ({"in_place": 1}, "in_place = 1: must be true or false"),
        ({"dropout_mask_bits": 0}, "dropout_mask_bits = 0: must be from 1 to 32"),
    ],
)
def test_what_is_no_choice_is_said(choice, message):
    with pytest.raises(ConfigError) as caught:
        TrainingChoices(**choice)
    assert str(caught.value) == message
