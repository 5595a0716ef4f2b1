"""The steps of random networks are carried out on real numbers, with nothing at hand but the maps that they read.

A buffer is what its last writer left, so that a map overwritten too early, a gradient not added or a step in the wrong
place gives wrong gradients of weights. They are compared with those of a plain function of the weights.
"""

import math

import numpy as np
import pytest

from archmodel.network import Layer, Network
from archmodel.training import TrainingChoices, training_graph

KINDS = ("conv", "relu", "sigmoid", "tanh", "gelu", "dropout", "add", "multiply", "concat", "softmax", "slice")
POINTS = 3  # of a plane, as rows of one image
DIFFERENCE = 1e-6


def random_network(rng, num_layers):
    shapes, layers = {"image": (2, POINTS, 1)}, []
    for place in range(num_layers):
        kind = str(rng.choice(KINDS))
        first = str(rng.choice(list(shapes)[-2:])) if place else "image"
        others = [name for name, shape in shapes.items() if shape == shapes[first] and name != first]
        C = shapes[first][0]
        inputs, K, mode, window = (first,), C, "", None
        if kind in ("add", "multiply", "concat"):
            inputs = (first, str(rng.choice([*others, first])))
            C = K = 2 * C if kind == "concat" else C
        elif kind == "conv":
            K = int(rng.integers(1, 4))
        elif kind == "slice":
            K, window = 1, ((C - 1, C), (0, POINTS), (0, 1))
        elif kind not in ("dropout", "softmax"):
            kind, mode = "activation", kind
        name = f"{mode or kind}{place}"
        layers.append(Layer(name, kind, inputs, (C, POINTS, 1), K, mode=mode, window=window, bias=False))
        shapes[name] = (K, POINTS, 1)
    return Network("random", "random", "made up", {"image": (2, POINTS, 1)}, tuple(layers))


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def output(layer, inputs, weights, mask):
    """[K, POINTS] of a layer."""
    x = inputs[0]
    match layer.kind:
        case "conv":
            return weights @ x
        case "activation":
            functions = {"relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
                         "tanh": np.tanh, "gelu": gelu}  # fmt: skip
            return functions[layer.mode](x)
        case "dropout":
            return 2 * x * mask
        case "add":
            return inputs[0] + inputs[1]
        case "multiply":
            return inputs[0] * inputs[1]
        case "concat":
            return np.concatenate(inputs)
        case "softmax":
            return np.exp(x) / np.exp(x).sum(axis=0)
    return x[-1:]


def gradients(layer, read, dY):
    """The gradient of every input of a layer from what its step has read."""
    match layer.kind:
        case "conv":
            return [read["W"].T @ dY]
        case "activation" if layer.mode == "gelu":
            x = read["X"][0]
            density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
            return [dY * (np.where(x == 0, 0.5, gelu(x) / np.where(x == 0, 1, x)) + x * density)]
        case "activation":
            y = read["Y"]
            return [dY * {"relu": y > 0, "sigmoid": y * (1 - y), "tanh": 1 - y**2}[layer.mode]]
        case "dropout":
            return [2 * dY * read["saved"]]
        case "add":
            return [dY, dY]
        case "multiply":
            return [dY * read["X"][1], dY * read["X"][0]]
        case "concat":
            return list(np.split(dY, 2))
        case "softmax":
            return [read["Y"] * (dY - (dY * read["Y"]).sum(axis=0))]
    return [np.concatenate([np.zeros((layer.C - 1, POINTS)), dY])]


def carried_out(network, graph, image, weights, masks, slopes):
    """dW of every convolution; ``slopes`` are the gradients of the network's outputs."""
    held = {"X:image": image} | {f"W:{name}": one for name, one in weights.items()}
    for step in graph.steps:
        if step.phase == "update":
            continue
        layer = network.layer(step.layer)
        there = {name: held[name] for name in step.reads}
        maps = [there.get(graph.maps[name]) for name in layer.inputs]
        read = {"X": maps, "Y": there.get(graph.maps[layer.name]), "W": there.get(f"W:{layer.name}")}
        read["saved"] = there.get(f"saved:{layer.name}")
        own = f"dY:{graph.maps[layer.name][2:]}"
        if step.operation == "forward":
            held[graph.maps[layer.name]] = output(layer, maps, read["W"], masks[layer.name])
            held[f"saved:{layer.name}"] = masks[layer.name]
        elif step.operation == "loss":
            held[own] = slopes[layer.name]
        elif step.operation == "weight_gradient":
            held[f"dW:{layer.name}"] = there[own] @ read["X"][0].T
        elif step.operation == "data_gradient":
            found = gradients(layer, read, there[own])
            begun = set(step.reads) - {own}
            for name, one in zip(layer.inputs, found, strict=True):
                made = f"dY:{graph.maps[name][2:]}"
                if made in step.writes:
                    held[made] = held[made] + one if made in begun else one
                    begun.add(made)
    return {name: held[f"dW:{name}"] for name in weights if f"dW:{name}" in held}


def loss(network, image, weights, masks, slopes):
    made = {"image": image}
    for layer in network.layers:
        inputs = [made[name] for name in layer.inputs]
        made[layer.name] = output(layer, inputs, weights.get(layer.name), masks[layer.name])
    return sum(float((slopes[name] * made[name]).sum()) for name in slopes)


@pytest.mark.parametrize("choices", [TrainingChoices(), TrainingChoices(in_place=False, update="layer")])
@pytest.mark.parametrize("seed", range(60))
def test_the_steps_give_the_gradients(seed, choices):
    rng = np.random.default_rng(seed)
    network = random_network(rng, int(rng.integers(2, 14)))
    graph = training_graph(network, 1, choices)
    image = rng.normal(size=(2, POINTS))
    weights = {one.name: rng.normal(size=(one.K, one.C)) for one in network.layers if one.kind == "conv"}
    masks = {one.name: rng.integers(0, 2, (one.K, POINTS)) for one in network.layers}
    slopes = {one.name: rng.normal(size=(one.K, POINTS)) for one in network.layers if not network.consumers[one.name]}
    found = carried_out(network, graph, image, weights, masks, slopes)
    assert set(found) == set(weights)
    for name, kernel in weights.items():
        for cell in np.ndindex(kernel.shape):
            ends = []
            for step in (DIFFERENCE, -DIFFERENCE):
                moved = kernel.copy()
                moved[cell] += step
                ends.append(loss(network, image, weights | {name: moved}, masks, slopes))
            assert found[name][cell] == pytest.approx((ends[0] - ends[1]) / (2 * DIFFERENCE), rel=1e-3, abs=1e-4)


def test_the_random_networks_work_in_place():
    networks = [random_network(np.random.default_rng(seed), 12) for seed in range(60)]
    graphs = [training_graph(network, 1) for network in networks]
    overwritten = [name for graph in graphs for name, held in graph.maps.items() if held != f"Y:{name}"]
    kinds = {name.rstrip("0123456789") for name in overwritten} - {"image"}
    assert kinds == {"relu", "sigmoid", "tanh", "dropout"}
