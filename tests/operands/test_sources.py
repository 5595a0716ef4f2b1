"""Where operands come from: exact counts, origins that say what they rest on, errors that say what to give."""

from pathlib import Path

import numpy as np
import pytest

from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.network.layer import Layer
from archmodel.network.network import Network
from archmodel.network.zeros import Zeros
from archmodel.operands import sources
from archmodel.operands.correlated import correlated_inputs, correlated_weights, load_zeros
from archmodel.operands.sources import OperandSource, Source
from archmodel.operands.synthetic import generator, place, space_to_depth_cells


def conv(name, producer, C=4, K=4):
    return Layer(name, "conv", (producer,), (C, 4, 4), K, 3, 3, padding=(1, 1, 1, 1))


def relu(name, producer, C=4):
    return Layer(name, "activation", (producer,), (C, 4, 4), C, mode="relu")


def chain(**zeros):
    """image -> a -> relu -> b -> c; `zeros` gives what is stated of a layer, with the source 'a paper'."""
    layers = (conv("a", "image"), relu("relu", "a"), conv("b", "relu"), conv("c", "b"))
    stated = {name: Zeros("a paper", **numbers) for name, numbers in zeros.items()}
    return Network("net", "a net", "made up", {"image": (4, 4, 4)}, layers, stated)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("network", Source()),
        ("density=0", Source(density=0.0)),
        ("density=1", Source(density=1.0)),
        ("density=0.25", Source(density=0.25)),
        ("density=2.5e-1", Source(density=0.25)),
    ],
)
def test_a_source_is_the_network_or_a_density(text, source):
    assert Source.parse(text, "--weights") == source


@pytest.mark.parametrize("text", ["a.npz", "some/where/a.npz", "density.npz"])
def test_a_source_is_a_file(text):
    source = Source.parse(text, "--weights")
    assert source.path == Path(text)
    assert source.density is None


@pytest.mark.parametrize("option", ["--weights", "--activations"])
@pytest.mark.parametrize("density", ["-0.1", "1.0001", "nan", "inf", "-inf", "", "half", "0,5", "0.5.npz"])
def test_a_density_is_from_0_to_1(option, density):
    with pytest.raises(WorkloadError) as error:
        Source.parse(f"density={density}", option)
    assert str(error.value) == f"{option} 'density={density}': a density is from 0 to 1"


@pytest.mark.parametrize(
    "text", ["", "networks", "Network", "0.5", "density", "density 0.5", "a.npy", "anpz", "a.npz "]
)
def test_what_is_no_source_names_the_option_and_the_forms(text):
    with pytest.raises(WorkloadError) as error:
        Source.parse(text, "--weights")
    forms = "network, density=<0..1> or the path of an npz or safetensors file"
    assert str(error.value) == f"--weights {text!r}: allowed: {forms}"


@pytest.mark.parametrize("start", ["", "density="])
def test_any_text_is_shown_in_one_line(start):
    with pytest.raises(WorkloadError) as error:
        Source.parse(start + "a\nb" * 999, "--weights")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200


def test_a_profile_has_exactly_the_published_non_zeros():
    vgg16 = read_network("vgg16")
    operands = OperandSource(vgg16).operands(vgg16.layer("conv1_1"))
    assert operands.weight_nonzeros == 977
    assert operands.weights.shape == (64, 3, 3, 3)
    assert operands.input_density == 1.0
    assert operands.weight_values is None
    assert operands.input_values is None
    conv1_2 = OperandSource(vgg16).operands(vgg16.layer("conv1_2"))
    assert conv1_2.weight_nonzeros == 8_007
    assert conv1_2.input_nonzeros == round(0.506187595 * 64 * 224 * 224)


def test_the_origins_of_a_profile_say_what_is_stated_and_by_whom():
    network = chain(a={"weight_nonzeros": 7, "input_density": 0.5, "output_density": 0.125})
    operands = OperandSource(network).operands(network.layer("a"))
    assert (operands.weight_nonzeros, operands.input_nonzeros, operands.output_density) == (7, 32, 0.125)
    assert operands.origins == {
        "weights": "profile: 7 non-zeros, uniform positions; a paper",
        "inputs": "profile: density 0.5, uniform positions; a paper",
        "outputs": "profile: density 0.125; a paper",
    }


@pytest.mark.parametrize(("density", "count"), [(0.0, 0), (0.001, 0), (0.25, 36), (0.4, 58), (1.0, 144)])
def test_a_stated_weight_density_is_the_nearest_count(density, count):
    network = chain(a={"weight_density": density, "input_density": 1.0})
    operands = OperandSource(network).operands(network.layer("a"))
    assert operands.weight_nonzeros == count
    assert operands.origins["weights"] == f"profile: density {density:g}, uniform positions; a paper"


def test_weights_of_a_rearranged_kernel_stand_on_its_own_positions():
    network = read_network("alexnet_scnn")
    conv1 = network.layer("conv1")
    weights = OperandSource(network).operands(conv1).weights
    cells = space_to_depth_cells(conv1.weight_shape, (11, 11, 4))
    assert int(cells.sum()) == 96 * 3 * 11 * 11
    assert int(weights.sum()) == 29_452
    assert not weights[~cells].any()


@pytest.mark.parametrize("density", [0.0, 0.5, 0.9, 1.0])
def test_a_weight_density_of_a_rearranged_kernel_counts_the_positions_it_has(density):
    # 3x3 stride 2 on one channel becomes 2x2 on four: 9 of 16 positions exist
    layer = Layer("a", "conv", ("image",), (4, 5, 5), 10, 2, 2)
    zeros = Zeros("a paper", weight_density=density, input_density=1.0, structure="space_to_depth:3,3,2")
    network = Network("net", "a net", "made up", {"image": (4, 5, 5)}, (layer,), {"a": zeros})
    operands = OperandSource(network).operands(layer)
    assert operands.weight_nonzeros == round(density * 90)


def test_real_masks_are_used_as_they_are():
    network = read_network("squeezenet_pruned")
    layer = network.layer("fire2/squeeze1x1")
    first, second = (OperandSource(network, seed=seed).operands(layer) for seed in (0, 1))
    assert np.array_equal(first.weights, second.weights)
    assert not np.array_equal(first.inputs, second.inputs)
    with np.load(network.folder / "squeezenet_pruned.npz") as archive:
        assert np.array_equal(np.packbits(first.weights), archive["fire2__squeeze1x1"])
    assert first.origins["weights"].startswith("real: weights: songhan/SqueezeNet-Deep-Compression")


def test_a_density_overrides_everything_that_is_stated():
    for name in ("vgg16", "squeezenet_pruned"):
        network = read_network(name)
        layer = network.compute_layers[0]
        operands = OperandSource(network, Source(density=0.25), Source(density=0.75)).operands(layer)
        assert operands.weight_nonzeros == round(0.25 * layer.weight_words)
        assert operands.input_nonzeros == round(0.75 * layer.input_words)
        assert operands.output_density == 0.75
        assert operands.origins == {
            "weights": "synthetic: density 0.25",
            "inputs": "synthetic: density 0.75",
            "outputs": "synthetic: density 0.75",
        }


def test_a_density_needs_nothing_stated():
    network = chain()
    operands = OperandSource(network, Source(density=0.4), Source(density=0.3)).operands(network.layer("b"))
    assert (operands.weight_nonzeros, operands.input_nonzeros) == (58, 19)  # of 144 and 64, the nearest counts


@pytest.fixture
def file(tmp_path):
    """Saves arrays as x.npz and gives the Source of it."""

    def save(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return Source.parse(str(tmp_path / "x.npz"), "--weights")

    return save


def test_arrays_of_a_file_are_used_as_they_are(file):
    rng = np.random.default_rng(1)
    weights = rng.integers(-2, 3, (4, 4, 3, 3), np.int8)
    inputs = rng.integers(0, 2, (4, 4, 4)).astype(np.float32)
    source = file(**{"a.weights": weights, "a.inputs": inputs})
    network = chain()
    operands = OperandSource(network, source, source).operands(network.layer("a"))
    assert np.array_equal(operands.weights, weights != 0)
    assert np.array_equal(operands.inputs, inputs[np.newaxis] != 0)
    assert np.array_equal(operands.weight_values, weights)
    assert operands.input_values is None
    assert operands.origins["weights"] == operands.origins["inputs"] == "file: x.npz"


def test_the_images_of_a_file_are_the_batch(file):
    network = chain()
    layer, ones = network.layer("a"), Source(density=1.0)
    images = np.random.default_rng(1).integers(0, 3, (2, 4, 4, 4))
    operands = OperandSource(network, ones, file(**{"a.inputs": images}), batch=2).operands(layer)
    assert np.array_equal(operands.input_values, images)
    one = OperandSource(network, ones, file(**{"a.inputs": images[:1]})).operands(layer)
    assert np.array_equal(one.input_values, images[:1])
    for number in (1, 3):
        with pytest.raises(WorkloadError) as error:
            OperandSource(network, ones, file(**{"a.inputs": images}), batch=number).operands(layer)
        allowed = f"({number}, 4, 4, 4) or, for one image, (4, 4, 4)"
        assert str(error.value) == f"x.npz: a.inputs: shape (2, 4, 4, 4); allowed: {allowed}"
    with pytest.raises(WorkloadError) as error:
        OperandSource(network, ones, file(**{"a.inputs": images[0]}), batch=2).operands(layer)
    assert str(error.value) == "x.npz: a.inputs: one image; --batch is 2"


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_an_fc_layer_takes_matrices(file, flat, batch):
    layer = Layer("ip", "fc", ("x",), (6, 1, 1), 5)
    network = Network("net", "Net", "here", {"x": (6, 1, 1)}, (layer,))
    weights = np.arange(30).reshape(5, 6) % 3
    inputs = np.arange(6 * batch).reshape(batch, 6) % 2
    if not flat:
        weights, inputs = weights[:, :, np.newaxis, np.newaxis], inputs[:, :, np.newaxis, np.newaxis]
    source = file(**{"ip.weights": weights, "ip.inputs": inputs})
    operands = OperandSource(network, source, source, batch=batch).operands(layer)
    assert np.array_equal(operands.weight_values, weights.reshape(5, 6, 1, 1))
    assert np.array_equal(operands.input_values, inputs.reshape(batch, 6, 1, 1))


def test_arrays_of_a_file_are_found_by_layer_and_checked(file):
    network = chain()
    source = file(**{"a.weights": np.ones((4, 4, 3, 3)), "b.weights": np.ones((4, 4, 3))})
    ones = Source(density=1.0)
    with pytest.raises(WorkloadError) as error:
        OperandSource(network, source, ones).operands(network.layer("c"))
    assert str(error.value).startswith("x.npz: no array 'c.weights'; did you mean '")
    with pytest.raises(WorkloadError) as error:
        OperandSource(network, source, ones).operands(network.layer("b"))
    assert str(error.value) == "x.npz: b.weights: shape (4, 4, 3); allowed: (4, 4, 3, 3)"


def test_a_file_that_is_missing_is_found_when_operands_are_made(tmp_path):
    network = chain()
    source = Source.parse(str(tmp_path / "y.npz"), "--weights")
    with pytest.raises(WorkloadError, match=r"^y\.npz: No such file or directory$"):
        OperandSource(network, source, Source(density=1.0)).operands(network.layer("a"))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_every_image_of_a_batch_has_zeros_of_its_own(batch):
    network = chain(a={"weight_nonzeros": 1, "input_density": 0.5})
    operands = OperandSource(network, batch=batch).operands(network.layer("a"))
    assert operands.inputs.shape == (batch, 4, 4, 4)
    assert operands.input_nonzeros == 32 * batch
    assert len({image.tobytes() for image in operands.inputs}) == batch


def test_a_layer_has_the_same_zeros_whatever_else_is_simulated():
    network = read_network("lenet5")
    everything = OperandSource(network, seed=3)
    made = {layer.name: everything.operands(layer) for layer in reversed(network.compute_layers)}
    for layer in network.compute_layers:
        alone = OperandSource(network, seed=3).operands(layer)
        assert np.array_equal(alone.weights, made[layer.name].weights)
        assert np.array_equal(alone.inputs, made[layer.name].inputs)


def test_layers_of_one_shape_weights_and_inputs_and_seeds_have_different_zeros():
    layers = tuple(Layer(name, "conv", ("image",), (8, 3, 3), 1, 3, 3) for name in ("a", "b"))
    network = Network("net", "a net", "made up", {"image": (8, 3, 3)}, layers)
    half = Source(density=0.5)
    masks = [
        mask.tobytes()
        for seed in (0, 1)
        for layer in layers
        for operands in [OperandSource(network, half, half, seed).operands(layer)]
        for mask in (operands.weights, operands.inputs)
    ]
    assert len(set(masks)) == 8


def test_outputs_have_the_published_density():
    network = chain(a={"output_density": 0.25}, b={"input_density": 0.75})
    assert OperandSource(network).output_density(network.layer("a")) == (0.25, "profile: density 0.25; a paper")


def test_outputs_without_a_published_density_have_that_of_their_consumer():
    network = chain(a={"input_density": 0.5}, b={"input_density": 0.75})
    density = OperandSource(network).output_density(network.layer("a"))
    assert density == (0.75, "profile: the input density of b")


def test_a_consumer_of_which_nothing_is_stated_is_passed_over():
    layers = (conv("a", "image"), relu("relu", "a"), conv("b", "relu"), conv("c", "relu"))
    network = Network(
        "net", "a net", "made up", {"image": (4, 4, 4)}, layers, {"c": Zeros("a paper", input_density=0.1)}
    )
    assert OperandSource(network).output_density(layers[0]) == (0.1, "profile: the input density of c")


def test_outputs_of_which_nothing_is_known_are_dense():
    network = chain(a={"input_density": 0.5}, b={"weight_nonzeros": 1})
    dense = (1.0, "unknown: taken as dense")
    assert OperandSource(network).output_density(network.layer("a")) == dense
    assert OperandSource(network).output_density(network.layer("c")) == dense


def test_with_inputs_of_a_file_a_consumers_published_density_says_nothing(file):
    network = chain(a={"output_density": 0.25}, c={"input_density": 0.75})
    source = OperandSource(network, activations=file(x=np.ones(1)))
    assert source.output_density(network.layer("a"))[0] == 0.25
    assert source.output_density(network.layer("b")) == (1.0, "unknown: taken as dense")


def test_the_density_known_before_a_run_is_the_stated_or_given_one(file):
    network = chain(a={"input_density": 0.5})
    layer = network.layer("a")
    assert OperandSource(network).input_density(layer) == 0.5
    assert OperandSource(network, activations=Source(density=0.25)).input_density(layer) == 0.25
    assert OperandSource(network, activations=file(x=np.ones(1))).input_density(layer) == 1.0


@pytest.mark.parametrize(
    ("zeros", "message"),
    [
        ({"input_density": 0.5}, "no weight density is stated; give --weights"),
        ({"weight_density": 0.5}, "no input density is stated; give --activations"),
    ],
)
def test_where_nothing_is_known_the_error_names_layer_and_option(zeros, message):
    network = chain(b=zeros)
    with pytest.raises(WorkloadError) as error:
        OperandSource(network).operands(network.layer("b"))
    assert str(error.value) == f"net: b: {message} density=<0..1> or the path of an npz or safetensors file"


def test_all_shipped_networks_state_their_zeros_exactly():
    for name in ("lenet5", "alexnet_scnn", "googlenet"):
        network = read_network(name)
        source = OperandSource(network)
        for layer in network.compute_layers:
            zeros = network.zeros[layer.name]
            operands = source.operands(layer)
            stated = zeros.weight_nonzeros
            if stated is None:
                stated = round(zeros.weight_density * layer.weight_words)
            assert operands.weight_nonzeros == stated
            assert operands.input_nonzeros == round(zeros.input_density * layer.input_words)
            assert all(operands.origins.values())


def attention(**zeros):
    """x -> q, k -> scores -> r, an LSTM."""
    layers = (
        Layer("q", "conv", ("x",), (8, 6, 1), 8),
        Layer("k", "conv", ("x",), (8, 6, 1), 8),
        Layer("scores", "matmul", ("q", "k"), (8, 6, 1), 12, groups=2, mode="transposed"),
        Layer("r", "lstm", ("scores",), (12, 6, 1), 5),
    )
    stated = {name: Zeros("a paper", **numbers) for name, numbers in zeros.items()}
    return Network("net", "a net", "made up", {"x": (8, 6, 1)}, layers, stated)


STATED = {
    "q": {"weight_density": 0.3, "input_density": 0.9},
    "k": {"weight_density": 0.3, "input_density": 0.9},
    "scores": {"weight_density": 0.25, "input_density": 0.5},
    "r": {"weight_density": 0.1, "input_density": 0.75},
}


@pytest.mark.parametrize("batch", [1, 3])
def test_operands_of_sequence_layers_have_exact_counts(batch):
    source = OperandSource(attention(**STATED), batch=batch)
    scores, r = (source.operands(source.network.layer(name)) for name in ("scores", "r"))
    assert scores.weights.shape == (batch * 12, 4, 1, 1)
    assert scores.weight_nonzeros == round(0.25 * batch * 48)
    assert scores.input_nonzeros == round(0.5 * batch * 48)
    assert r.weights.shape == (20, 17, 1, 1)
    assert r.inputs.shape == (batch, 17, 6, 1)
    assert (r.weight_nonzeros, r.input_nonzeros) == (34, round(0.75 * batch * 17 * 6))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("activations", ["network", "density=0.5"])
def test_densities_of_sequence_layers_are_those_of_their_operands(batch, activations):
    source = OperandSource(attention(**STATED), activations=Source.parse(activations, "--activations"), batch=batch)
    for layer in source.network.layers:
        operands, densities = source.operands(layer), source.densities(layer)
        assert densities.weight_density == operands.weight_density
        assert densities.input_density == pytest.approx(operands.input_density, abs=0.01)
        assert (densities.origins, densities.output_density) == (operands.origins, operands.output_density)


def test_the_kernels_of_a_matmul_are_activations():
    network = attention(**STATED)
    scores = network.layer("scores")
    stated = OperandSource(network).operands(scores)
    assert stated.origins["weights"] == "profile: density 0.25, uniform positions, the second input, k; a paper"
    as_weights = OperandSource(network, weights=Source(density=1.0)).operands(scores)
    assert (as_weights.weight_density, as_weights.origins) == (0.25, stated.origins)
    as_activations = OperandSource(network, activations=Source(density=1.0)).operands(scores)
    assert (as_activations.weight_density, as_activations.input_density) == (1.0, 1.0)
    assert as_activations.origins["weights"] == "synthetic: density 1, uniform positions, the second input, k"
    with pytest.raises(WorkloadError, match="scores: no weight density is stated; give --activations density="):
        OperandSource(attention()).operands(scores)


@pytest.mark.parametrize("mode", ["transposed", "product"])
def test_correlated_kernels_of_a_matmul_are_correlated_channels_of_its_second_input(mode):
    heads, depth, keys, batch = 2, 4, 6, 2
    channels, K = (heads * depth, heads * keys) if mode == "transposed" else (heads * keys, heads * depth)
    layer = Layer("m", "matmul", ("a", "b"), (channels, 5, 1), K, groups=heads, mode=mode)
    inputs = {"a": (channels, 5, 1), "b": (heads * depth, keys, 1)}
    network = Network("net", "a net", "made up", inputs, (layer,), {"m": Zeros("a paper", weight_density=0.4)})
    pattern = load_zeros("correlated:channel_spread=0.5")
    operands = OperandSource(network, activations=Source(density=0.4), batch=batch, zeros=pattern).operands(layer)
    b = correlated_inputs(generator(0, 0, 0), pattern, (batch, heads * depth, keys, 1), round(0.4 * batch * 48))
    kernels = operands.weights.reshape(batch, K, -1)
    for n, head, c, position in np.ndindex(batch, heads, depth, keys):
        place_of = (head * keys + position, c) if mode == "transposed" else (head * depth + c, position)
        assert kernels[n][place_of] == b[n, head * depth + c, position, 0]
    assert pattern.of_activations in operands.origins["weights"]
    assert operands.origins["weights"].endswith(", the second input, b")


def test_outputs_are_as_dense_as_the_layer_that_reads_them_says():
    source = OperandSource(attention(**STATED))
    known = {layer.name: source.output_density(layer) for layer in source.network.layers}
    assert known["q"] == (0.5, "profile: the input density of scores")
    assert known["k"] == (0.25, "profile: the density of scores's second input")
    assert known["scores"] == (0.75, "profile: the input density of r")


def test_kernels_and_states_come_from_the_file_of_activations(tmp_path):
    network, path = attention(**STATED), tmp_path / "a.npz"
    kernels = np.arange(48).reshape(12, 4, 1, 1) % 2
    states = np.arange(17 * 6).reshape(17, 6, 1) % 3
    np.savez(path, **{"scores.weights": kernels, "scores.inputs": np.ones((8, 6, 1), int), "r.inputs": states})
    source = OperandSource(network, activations=Source(path=path))
    scores, r = (source.operands(network.layer(name)) for name in ("scores", "r"))
    assert np.array_equal(scores.weights, kernels)
    assert np.array_equal(scores.weight_values, kernels)
    assert scores.origins["weights"] == "file: a.npz"
    assert np.array_equal(r.inputs[0], states != 0)
    assert source.densities(network.layer("scores")).weight_density == 0.5


# Patterns of the zeros


def test_without_a_pattern_every_placement_is_the_uniform_one():
    # What a seed placed before there were patterns, it places today.
    network = read_network("alexnet_scnn")
    for layer in (network.layer("conv1"), network.layer("conv3")):
        index = network.layers.index(layer)
        operands = OperandSource(network, seed=3, batch=2).operands(layer)
        shape = (2, *layer.input_shape)
        inputs = place(np.random.default_rng([3, index, 1]), shape, operands.input_nonzeros)
        cells = np.ones(layer.weight_shape, np.bool_)
        if layer.name == "conv1":
            cells = space_to_depth_cells(layer.weight_shape, (11, 11, 4))
        weights = np.zeros(layer.weight_shape, np.uint8)
        weights[cells] = place(np.random.default_rng([3, index, 0]), (int(cells.sum()),), operands.weight_nonzeros)
        assert np.array_equal(operands.inputs, inputs)
        assert np.array_equal(operands.weights, weights)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_pattern_moves_zeros_and_changes_no_number(batch):
    network, pattern = read_network("alexnet_scnn"), load_zeros("correlated")
    for layer in network.compute_layers[:3]:
        uniform = OperandSource(network, batch=batch).operands(layer)
        moved, again = (OperandSource(network, batch=batch, zeros=pattern).operands(layer) for _ in range(2))
        assert (moved.weight_nonzeros, moved.input_nonzeros) == (uniform.weight_nonzeros, uniform.input_nonzeros)
        assert moved.output_density == uniform.output_density
        assert not np.array_equal(moved.weights, uniform.weights)
        assert np.array_equal(moved.weights, again.weights)
        assert np.array_equal(moved.inputs, again.inputs)
    conv1 = network.layer("conv1")
    weights = OperandSource(network, zeros=pattern).operands(conv1).weights
    assert not weights[~space_to_depth_cells(conv1.weight_shape, (11, 11, 4))].any()


def test_a_pattern_takes_the_stream_of_seed_layer_and_operand():
    network, pattern = read_network("vgg16"), load_zeros("correlated")
    layer = network.layer("conv4_1")
    operands = OperandSource(network, seed=5, zeros=pattern).operands(layer)
    rngs = [np.random.default_rng([5, network.layers.index(layer), operand]) for operand in (0, 1)]
    weights = correlated_weights(rngs[0], pattern, layer.weight_shape, operands.weight_nonzeros)
    inputs = correlated_inputs(rngs[1], pattern, (1, *layer.input_shape), operands.input_nonzeros)
    assert np.array_equal(operands.weights, weights)
    assert np.array_equal(operands.inputs, inputs)


def test_groups_of_a_layer_are_groups_of_its_pattern():
    layer = Layer("a", "conv", ("image",), (64, 4, 4), 64, 3, 3, groups=2)
    network = Network("net", "a net", "made up", {"image": (64, 4, 4)}, (layer,))
    pattern = load_zeros("correlated:weight_channel_spread=0.5,weight_kernel_spread=0.0")
    source = OperandSource(network, Source(density=0.5), Source(density=0.5), zeros=pattern)
    weights = source.operands(layer).weights
    halves = [half.mean(axis=(0, 2, 3)) for half in (weights[:32], weights[32:])]
    assert abs(np.corrcoef(*halves)[0, 1]) < 0.6


def test_the_phases_of_a_rearranged_layer_share_their_spread():
    network = read_network("alexnet_scnn")
    pattern = load_zeros("correlated:weight_kernel_spread=0.5")
    conv1 = network.layer("conv1")
    weights = OperandSource(network, zeros=pattern).operands(conv1).weights
    kernels = weights.reshape(96, 3, -1).mean(axis=2)
    # 121 weights of one filter and one original channel, 29,452 of 34,848 in all: by chance 0.03
    assert kernels.std() > 0.1


def test_a_density_of_a_rearranged_layer_is_one_of_all_its_cells():
    network, pattern = read_network("alexnet_scnn"), load_zeros("correlated:weight_channel_spread=0.5")
    conv1 = network.layer("conv1")
    weights = OperandSource(network, Source(density=0.5), zeros=pattern).operands(conv1).weights
    count = round(0.5 * conv1.weight_words)
    assert np.array_equal(weights, correlated_weights(generator(0, 0, 0), pattern, conv1.weight_shape, count))


@pytest.mark.parametrize("weights", ["network", "density=0.5"])
def test_densities_of_layers_without_a_file_make_no_mask(weights, monkeypatch):
    def refuse(*_):
        raise AssertionError("a mask was made")

    monkeypatch.setattr(sources, "place", refuse)
    source = OperandSource(read_network("vgg16"), Source.parse(weights, "--weights"))
    layer = source.network.compute_layers[0]
    expected = 0.5 if weights == "density=0.5" else 977 / 1728
    assert source.densities(layer).weight_density == expected


def test_origins_say_the_pattern():
    network = chain(a={"weight_nonzeros": 7, "input_density": 0.5, "output_density": 0.125})
    pattern = load_zeros("correlated:length=3,length_exponent=0.0,channel_spread=0.25")
    of_inputs = "correlated positions (length 3 on 14 x 14, exponent 0, channel spread 0.25, position spread 0.011)"
    of_weights = "correlated positions (filter spread 0.008, channel spread 0.021, kernel spread 0.13)"
    assert OperandSource(network, zeros=pattern).operands(network.layer("a")).origins == {
        "weights": f"profile: 7 non-zeros, {of_weights}; a paper",
        "inputs": f"profile: density 0.5, {of_inputs}; a paper",
        "outputs": "profile: density 0.125; a paper",
    }
    given = OperandSource(network, Source(density=0.25), Source(density=0.75), zeros=pattern)
    assert given.operands(network.layer("b")).origins == {
        "weights": f"synthetic: density 0.25, {of_weights}",
        "inputs": f"synthetic: density 0.75, {of_inputs}",
        "outputs": "synthetic: density 0.75",
    }


def test_a_pattern_leaves_real_masks_and_files_alone(file):
    pattern = load_zeros("correlated")
    squeezenet = read_network("squeezenet_pruned")
    layer = squeezenet.layer("fire2/expand3x3")
    plain, moved = (OperandSource(squeezenet, zeros=zeros).operands(layer) for zeros in (None, pattern))
    assert np.array_equal(plain.weights, moved.weights)
    assert plain.origins["weights"] == moved.origins["weights"]
    network, rng = chain(), np.random.default_rng(1)
    arrays = file(**{"a.weights": rng.integers(0, 2, (4, 4, 3, 3)), "a.inputs": rng.integers(0, 2, (4, 4, 4))})
    plain, moved = (
        OperandSource(network, arrays, arrays, zeros=zeros).operands(network.layer("a")) for zeros in (None, pattern)
    )
    assert np.array_equal(plain.weights, moved.weights)
    assert np.array_equal(plain.inputs, moved.inputs)
    assert plain.origins == moved.origins
