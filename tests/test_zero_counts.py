"""What the zeros of a layer are worth, counted MAC by MAC in plain loops."""

from itertools import product

import numpy as np
import pytest

from archmodel.errors import UnknownDensityError, WorkloadError
from archmodel.exchange import read_network
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation.zero_counts import Spread, ZeroCounts

HEAD = 'title = "t"\nsource = "s"\nzeros_source = "z"\n'
BATCH = 2


def network_of(tmp_path, inputs, *layers):
    (tmp_path / "net.toml").write_text(f"{HEAD}inputs = {inputs}\nlayers = [{', '.join(layers)}]\n")
    return read_network(tmp_path / "net.toml")


def source_of(tmp_path, network, arrays, **options):
    np.savez(tmp_path / "own.npz", **arrays)
    own = Source(path=tmp_path / "own.npz")
    return OperandSource(network, own, own, **options)


def sparse(shape, seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < 0.4, rng.integers(1, 9, shape), 0)


def loop_counts(layer, weights, inputs):
    """Dense MACs of one layer over all images: all, of non-zero weights, of non-zero inputs, of both."""
    images, counts = inputs.shape[0], [0, 0, 0, 0]
    top, left = layer.padding[0], layer.padding[2]
    per_group, filters = layer.C // layer.groups, layer.K // layer.groups
    for n, k, p, q, c, r, s in product(
        range(images), range(layer.K), range(layer.P), range(layer.Q), range(per_group), range(layer.R), range(layer.S)
    ):
        row = p * layer.stride[0] + r * layer.dilation[0] - top
        column = q * layer.stride[1] + s * layer.dilation[1] - left
        inside = 0 <= row < layer.H and 0 <= column < layer.W
        one = inside and inputs[n, k // filters * per_group + c, row, column] != 0
        other = weights[k, c, r, s] != 0
        for index, counted in enumerate((True, other, one, one and other)):
            counts[index] += bool(counted)
    return counts


def counts_of(counted):
    return [counted.macs_dense, counted.macs_of_nonzero_weights, counted.macs_of_nonzero_inputs, counted.macs_effectual]


CONVOLUTIONS = [
    '{name = "conv", kind = "conv", K = 4, kernel = 3, padding = 1}',
    '{name = "conv", kind = "conv", K = 4, kernel = [3, 2], padding = [2, 0, 1, 1], stride = [2, 1]}',
    '{name = "conv", kind = "conv", K = 4, kernel = 3, groups = 2, dilation = 2, padding = 2, stride = 2}',
    '{name = "conv", kind = "conv", K = 8, kernel = 1, groups = 4}',
]


@pytest.mark.parametrize("entry", CONVOLUTIONS)
def test_the_macs_of_a_convolution_are_those_of_a_loop(tmp_path, entry):
    network = network_of(tmp_path, "{x = [4, 6, 5]}", entry)
    layer = network.layers[0]
    arrays = {"conv.weights": sparse(layer.weight_shape, 1), "conv.inputs": sparse((BATCH, 4, 6, 5), 2)}
    counted = ZeroCounts.of(layer, source_of(tmp_path, network, arrays, batch=BATCH), 16)
    assert counts_of(counted) == loop_counts(layer, *arrays.values())
    assert counted.effectual_share == counted.macs_effectual / counted.macs_dense


def test_the_macs_of_a_matmul_are_those_of_each_image_with_its_own_kernels(tmp_path):
    entries = [
        '{name = "k", kind = "conv", K = 4, kernel = 1}',
        '{name = "product", kind = "matmul", inputs = ["x", "k"], transpose = true, heads = 2}',
    ]
    network = network_of(tmp_path, "{x = [4, 3, 1]}", *entries)
    layer = network.layer("product")
    kernels, inputs = sparse((BATCH * layer.K, 2, 1, 1), 1), sparse((BATCH, 4, 3, 1), 2)
    arrays = {"product.weights": kernels, "product.inputs": inputs}
    counted = ZeroCounts.of(layer, source_of(tmp_path, network, arrays, batch=BATCH), 8)
    images = [loop_counts(layer, kernels[n * layer.K : (n + 1) * layer.K], inputs[n : n + 1]) for n in range(BATCH)]
    assert counts_of(counted) == np.sum(images, axis=0).tolist()
    assert (counted.weight_words, counted.weight_bytes) == (kernels.size, kernels.size)
    assert counted.weight_nonzeros == np.count_nonzero(kernels)


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_the_macs_of_a_recurrent_layer_are_those_of_its_steps(tmp_path, kind, gates):
    network = network_of(tmp_path, "{x = [5, 3, 1]}", f'{{name = "cell", kind = "{kind}", K = 2}}')
    weights, inputs = sparse((gates * 2, 7, 1, 1), 1), sparse((BATCH, 7, 3, 1), 2)
    source = source_of(tmp_path, network, {"cell.weights": weights, "cell.inputs": inputs}, batch=BATCH)
    counted = ZeroCounts.of(network.layers[0], source, 16)
    pairs = [(weights[:, :, 0, 0] != 0, inputs[n, :, t, 0] != 0) for n in range(BATCH) for t in range(3)]
    assert counts_of(counted) == [
        len(pairs) * weights.size,
        sum(int(own.sum()) for own, _ in pairs),
        sum(len(own) * int(step.sum()) for own, step in pairs),
        sum(int(own[:, step].sum()) for own, step in pairs),
    ]
    assert (counted.input_words, counted.input_bytes) == (BATCH * 7 * 3, BATCH * 7 * 3 * 2)


def test_a_fully_connected_layer_by_hand(tmp_path):
    network = network_of(tmp_path, "{x = [3, 1, 1]}", '{name = "fc", kind = "fc", K = 2}')
    arrays = {"fc.weights": np.array([[1, 0, 5], [0, 0, -2]]), "fc.inputs": np.array([[0, 7, 1], [3, 0, 0]])}
    counted = ZeroCounts.of(network.layers[0], source_of(tmp_path, network, arrays, batch=2), 9)
    assert counts_of(counted) == [12, 6, 6, 3]
    assert (counted.weight_nonzeros, counted.input_nonzeros) == (3, 3)
    assert (counted.weight_density, counted.input_density) == (0.5, 0.5)
    assert (counted.weight_bytes, counted.input_bytes) == (7, 7)  # 54 bits, in whole bytes
    assert counted.filter_densities == Spread(1 / 3, 0.5, 2 / 3)
    assert counted.channel_densities == Spread(0.5, 0.5, 0.5)
    assert counted.output_density is None
    assert counted.origins == {"weights": "file: own.npz", "inputs": "file: own.npz", "outputs": "unknown"}


def test_a_spread_is_over_the_slices_of_its_axis():
    mask = np.zeros((2, 3, 2, 2), np.uint8)
    mask[:, 0] = 1
    mask[0, 1] = 1
    assert Spread.of(mask, axis=1) == Spread(0.0, 0.5, 1.0)
    assert Spread.of(mask, axis=0) == Spread(1 / 3, 0.5, 2 / 3)
    assert Spread.of(mask, axis=0).as_dict() == {"least": 1 / 3, "median": 0.5, "largest": 2 / 3}


def test_what_nothing_states_is_unknown_and_the_rest_is_counted(tmp_path):
    network = network_of(
        tmp_path,
        "{x = [2, 4, 4]}",
        '{name = "a", kind = "conv", K = 2, kernel = 1, weight_density = 0.5}',
        '{name = "b", kind = "conv", K = 2, kernel = 1, input_density = 0.25}',
    )
    a, b = (ZeroCounts.of(layer, OperandSource(network), 16) for layer in network.layers)
    assert counts_of(a) == [64, 32, None, None]
    assert (a.input_nonzeros, a.input_density, a.effectual_share, a.channel_densities) == (None, None, None, None)
    assert a.origins["inputs"] == "unknown: give --activations density=<0..1> or the path of an npz or safetensors file"
    assert a.output_density == 0.25
    assert counts_of(b) == [64, None, 16, None]
    assert (b.weight_nonzeros, b.weight_density, b.filter_densities) == (None, None, None)
    assert b.as_dict()["filter_densities"] is None
    assert b.origins["weights"].startswith("unknown: give --weights density=")


def test_a_run_still_asks_for_what_is_unknown(tmp_path):
    network = network_of(tmp_path, "{x = [2, 4, 4]}", '{name = "a", kind = "conv", K = 2, kernel = 1}')
    with pytest.raises(UnknownDensityError, match="net: a: no weight density is stated; give --weights density="):
        OperandSource(network).operands(network.layers[0])


def test_an_array_that_a_file_lacks_is_no_unknown(tmp_path):
    network = network_of(tmp_path, "{x = [3, 1, 1]}", '{name = "fc", kind = "fc", K = 2}')
    with pytest.raises(WorkloadError, match=r"no array 'fc\.inputs'"):
        ZeroCounts.of(network.layers[0], source_of(tmp_path, network, {"fc.weights": np.ones((2, 3))}), 16)


def test_counts_are_those_of_a_run():
    network = read_network("lenet5")
    source = OperandSource(network, seed=3)
    for layer in network.compute_layers:
        counted, operands = ZeroCounts.of(layer, source, 16), source.operands(layer)
        assert (counted.weight_density, counted.input_density) == (operands.weight_density, operands.input_density)
        assert counted.origins["weights"] == operands.origins["weights"]
