"""Bytes that a step moves: those of the tensors that the graph says it reads and writes."""

import pytest

from archmodel.exchange import read_network
from archmodel.network import Layer
from archmodel.training import TrainingChoices, training_graph
from archmodel.training.step_bytes import shape_of, step_bytes

CHOICES = (
    TrainingChoices(in_place=False, optimizer="sgd"),
    TrainingChoices(in_place=False, optimizer="adam", max_pool="indices"),
    TrainingChoices(in_place=False, precision="fp16", dropout_mask_bits=8),
)


@pytest.mark.parametrize("choices", CHOICES, ids=["sgd", "adam", "fp16"])
@pytest.mark.parametrize("name", ["vgg16", "alexnet", "googlenet", "resnet18", "bert_base", "deep_speech_2"])
def test_a_step_moves_the_tensors_of_the_graph(name, choices):
    network = read_network(name)
    graph = training_graph(network, 3, choices)
    kinds = set()
    for step in graph.steps:
        layer = network.layer(step.layer)
        summed = {one for one in step.reads if one in step.writes and step.operation != "update"}
        if layer.kind in ("multiply", "slice", "embedding", "recurrent", "lstm", "gru", "rnn") or summed:
            continue  # maps of other sizes, and summands, which are left out
        read, written = step_bytes(layer, step.operation, 3, choices)
        assert read == sum(graph.tensors[one].num_bytes for one in step.reads), step.name
        assert written == sum(graph.tensors[one].num_bytes for one in step.writes), step.name
        assert step_bytes(layer, step.operation, 3, choices).moved == read + written
        kinds.add(layer.kind)
    assert len(kinds) > 3 or name == "deep_speech_2"


def test_mixed_precision_updates_the_master_copy_and_writes_the_weights():
    fc = Layer("fc", "fc", ("x",), (10, 1, 1), 10, bias=False)
    assert step_bytes(fc, "update", 8, TrainingChoices("mixed", "adam")) == (100 * (2 + 3 * 4), 100 * (3 * 4 + 2))


def test_a_repeated_forward_step_moves_what_the_first_one_did():
    fc = Layer("fc", "fc", ("x",), (10, 1, 1), 20, bias=False)
    assert step_bytes(fc, "recompute", 8, CHOICES[0]) == (4 * (80 + 200), 4 * 160)


def test_layers_are_alike_whatever_their_names_and_whomever_they_read():
    one = Layer("one", "conv", ("x",), (8, 4, 4), 8, R=3, S=3)
    assert shape_of(one) == shape_of(Layer("two", "conv", ("y",), (8, 4, 4), 8, R=3, S=3))
    for other in ({"S": 1}, {"stride": (2, 1)}, {"bias": False}):
        assert shape_of(one) != shape_of(Layer("one", "conv", ("x",), (8, 4, 4), 8, **({"R": 3, "S": 3} | other)))
    joins = [Layer("add", "add", inputs, (8, 4, 4), 8) for inputs in (("x", "y"), ("x", "y", "z"))]
    assert shape_of(joins[0]) != shape_of(joins[1])
