"""examples/: their layers learn what they should, their files are what archmodel simulates and others read."""

import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import correlate
from sklearn.datasets import load_digits

import archmodel
import archmodel.cli.main
from archmodel.exchange import read_network

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "examples.md").read_text("utf-8")
BATCH = 16
LOWEST_ACCURACY = 0.95  # guessing has 0.1; six seeds of either example gave 0.96 or more
DENSITIES = {
    "digits_cnn": {"conv1": 0.6, "conv2": 0.3, "fc1": 0.18, "fc2": 0.4},
    "lenet300_100": {"ip1": 0.08, "ip2": 0.09, "ip3": 0.26},  # Han et al., NIPS 2015, Table 2
}
NETS = {"digits_cnn": str(ROOT / "examples" / "digits_cnn.toml"), "lenet300_100": "lenet300_100"}
# A convolution of every option, and a fully connected layer that flattens channels, rows and columns.
ODD = """
title = "Odd"
source = "a test"
inputs = {image = [2, 7, 6]}
layers = [
    {name = "a", kind = "conv", K = 3, kernel = [3, 2], stride = [2, 1], padding = [1, 0, 0, 1]},
    {name = "a/relu", kind = "activation"},
    {name = "b", kind = "conv", K = 4, kernel = 2, padding = [0, 1, 1, 0]},
    {name = "pool", kind = "pool", kernel = [3, 2], stride = [3, 2]},
    {name = "c", kind = "fc", K = 5},
    {name = "c/relu", kind = "activation"},
    {name = "d", kind = "fc", K = 3},
    {name = "prob", kind = "softmax"},
]
"""


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The examples by name, run as their page says but for the folder: network, what they print, files."""
    runs = {}
    for name, net in NETS.items():
        folder = tmp_path_factory.mktemp(name) / "made"
        command = [sys.executable, ROOT / "examples" / f"{name}.py", "-o", folder, "--images", str(BATCH)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with np.load(folder / f"{name}.npz") as file:
            arrays = dict(file)
        runs[name] = SimpleNamespace(name=name, net=net, folder=folder, printed=done.stdout, arrays=arrays)
    return runs


@pytest.fixture(scope="module", params=sorted(NETS))
def example(request, examples):
    """One of them."""
    return examples[request.param]


@pytest.fixture(scope="module")
def modules():
    """examples/training.py and files.py, imported as the examples do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        return SimpleNamespace(**{name: importlib.import_module(name) for name in ("training", "files")})


@pytest.fixture
def training(modules):
    return modules.training


@pytest.fixture
def odd(training, tmp_path):
    """A model of doubles with images and labels for it."""
    (tmp_path / "odd.toml").write_text(ODD)
    model, rng = training.Model(read_network(str(tmp_path / "odd.toml"))), np.random.default_rng(3)
    for layer in model.weighted:
        layer.weights = layer.weights.astype(float)
        layer.biases = rng.normal(0, 0.1, layer.biases.shape)
    return model, rng.normal(size=(4, 2, 7, 6)), np.array([0, 2, 1, 2])


def loss(model, images, labels):
    """Mean cross-entropy."""
    scores = model.forward(images)
    return np.mean([np.log(np.exp(score).sum()) - score[label] for score, label in zip(scores, labels, strict=True)])


def naive_conv(layer, weights, image):
    """One image [C, H, W] through a convolution without biases, position by position in scipy."""
    top, bottom, left, right = layer.padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
    planes = [correlate(padded, kernel, "valid", method="direct")[0] for kernel in weights]
    return np.array(planes)[:, :: layer.stride[0], :: layer.stride[1]]


def counted_macs(layer, weights, inputs):
    """Products of two non-zeros over all images."""
    held = (weights != 0).reshape(layer.weight_shape).astype(np.int64)
    images = (inputs != 0).astype(np.int64)
    return sum(int(naive_conv(layer, held, image.reshape(layer.input_shape)).sum()) for image in images)


def accuracies(printed):
    """Non-zero weights and accuracy of each of the three stages."""
    rows = re.findall(r"^(\w+) +([\d,]+) +([\d.]+)%$", printed, re.MULTILINE)
    return {what: (int(count.replace(",", "")), float(percent) / 100) for what, count, percent in rows}


def test_what_a_layer_reads_is_what_a_naive_pass_computes(odd):
    model, images, _ = odd
    model.forward(images)
    a, b, c, d = model.weighted
    for at, image in enumerate(images):
        first = np.maximum(naive_conv(a.layer, a.weights, image) + a.biases[:, None, None], 0)
        np.testing.assert_allclose(b.inputs[at], first)
        second = naive_conv(b.layer, b.weights, first) + b.biases[:, None, None]
        K, P, Q = second.shape
        corners = itertools.product(range(K), range(0, P, 3), range(0, Q, 2))
        tops = [second[k, p : p + 3, q : q + 2].max() for k, p, q in corners]
        np.testing.assert_allclose(c.inputs[at].ravel(), tops)
        third = np.maximum(c.weights[:, :, 0, 0] @ tops + c.biases, 0)
        np.testing.assert_allclose(d.inputs[at].ravel(), third)


def test_gradients_are_the_slopes_of_the_loss(odd):
    model, images, labels = odd
    model.backward(images, labels)
    step = 1e-6
    for layer in model.weighted:
        for gradient, parameters in ((layer.weight_gradient, layer.weights), (layer.bias_gradient, layer.biases)):
            slopes = np.zeros_like(parameters)
            for at in np.ndindex(parameters.shape):
                value, losses = parameters[at], []
                for parameters[at] in (value - step, value + step):
                    losses.append(loss(model, images, labels))
                parameters[at] = value
                slopes[at] = (losses[1] - losses[0]) / (2 * step)
            np.testing.assert_allclose(gradient, slopes, atol=1e-8)


def test_pruning_keeps_the_largest_magnitudes_for_good(odd):
    model, images, labels = odd
    layer = model.weighted[1]
    before = layer.weights.copy()
    layer.prune(0.66)
    kept = layer.weights != 0
    assert (before.size, kept.sum()) == (48, 32)  # 31.68 to the nearest
    assert abs(before[kept]).min() >= abs(before[~kept]).max()
    np.testing.assert_array_equal(layer.weights[kept], before[kept])
    model.backward(images, labels)
    assert layer.weight_gradient[~kept].any()
    layer.step(0.1)
    np.testing.assert_array_equal(layer.weights != 0, kept)


def test_a_step_goes_down_the_gradient_and_most_of_the_step_before(odd):
    layer = odd[0].weighted[0]
    weights, biases = layer.weights.copy(), layer.biases.copy()
    for gradient, moved in ((2.0, -0.2), (3.0, -0.2 - 0.3 - 0.9 * 0.2)):
        layer.weight_gradient, layer.bias_gradient = np.full_like(weights, gradient), np.full_like(biases, gradient)
        layer.step(0.1)
        np.testing.assert_allclose(layer.weights - weights, moved, rtol=1e-6)
        np.testing.assert_allclose(layer.biases - biases, moved, rtol=1e-6)


def test_scores_of_any_size_have_gradients(odd):
    model, images, labels = odd
    with np.errstate(over="raise", invalid="raise"):
        model.backward(images * 1e6, labels)
    assert all(np.isfinite(layer.weight_gradient).all() for layer in model.weighted)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{name = "x", kind = "conv", K = 2, kernel = 1, groups = 2}', "x: groups"),
        ('{name = "x", kind = "conv", K = 2, kernel = 2, dilation = 2}', "x: groups and dilation"),
        ('{name = "x", kind = "activation", mode = "tanh"}', "x: tanh"),
        ('{name = "x", kind = "pool", kernel = 2}', "x: only max pools"),
        ('{name = "x", kind = "pool", kernel = 2, stride = 2}', "x: only max pools"),  # a row of seven is left
        ('{name = "x", kind = "pool", kernel = [7, 2], stride = [7, 2], padding = [0, 0, 1, 0]}', "x: only max pools"),
        ('{name = "x", kind = "pool", kernel = [7, 6], mode = "average"}', "x: only max pools"),
    ],
)
def test_a_layer_that_is_not_learned_is_refused(training, tmp_path, line, message):
    head = 'title = "X"\nsource = "a test"\ninputs = {image = [2, 7, 6]}\n'
    (tmp_path / "x.toml").write_text(f"{head}layers = [{line}]")
    with pytest.raises(ValueError, match=message):
        training.Model(read_network(str(tmp_path / "x.toml")))


def test_a_layer_without_a_density_is_not_pruned(odd):
    with pytest.raises(ValueError, match="a: the network's file states no weight_density"):
        odd[0].prune()


def test_retraining_mends_what_pruning_broke(example):
    network, stages = read_network(example.net), accuracies(example.printed)
    kept = sum(np.count_nonzero(array) for key, array in example.arrays.items() if key.endswith(".weights"))
    weights = sum(layer.weight_words for layer in network.compute_layers)
    assert [count for count, _ in stages.values()] == [weights, kept, kept]
    trained, pruned, retrained = (accuracy for _, accuracy in stages.values())
    assert min(trained, retrained) >= LOWEST_ACCURACY
    assert pruned < retrained


@pytest.mark.parametrize("images", ["0", "501"])
def test_images_that_are_not_there_are_refused_before_the_training(tmp_path, images):
    command = [sys.executable, ROOT / "examples" / "digits_cnn.py", "-o", tmp_path / "new", "--images", images]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith(f"--images {images}: allowed: 1 to 500")
    assert not list(tmp_path.iterdir())


def test_every_layer_has_the_density_that_was_asked_for(example):
    layers = {layer.name: layer for layer in read_network(example.net).compute_layers}
    assert layers.keys() == DENSITIES[example.name].keys()
    for name, density in DENSITIES[example.name].items():
        weights = example.arrays[f"{name}.weights"]
        assert weights.shape == layers[name].weight_shape
        assert np.count_nonzero(weights) == round(density * weights.size)


def test_every_digit_is_for_training_or_for_the_test(training):
    known, digits = load_digits(), training.Digits.load()
    (to_train, _), (to_test, _) = parts = digits.to_train, digits.to_test
    assert (len(to_train), len(to_test)) == (1297, 500)
    ours = [(*image.ravel() * 16, label) for part in parts for image, label in zip(*part, strict=True)]
    assert sorted(ours) == sorted((*pixels, label) for pixels, label in zip(known.data, known.target, strict=True))


def test_the_first_layer_reads_the_first_digits_of_the_test(example, training):
    first = next(iter(DENSITIES[example.name]))
    [shape] = read_network(example.net).inputs.values()
    captured = example.arrays[f"{first}.inputs"].reshape(BATCH, *shape)
    pixels = np.arange(shape[1]) * 8 // shape[1]
    images = training.Digits.load().to_test[0][:BATCH, :, pixels][:, :, :, pixels]
    np.testing.assert_allclose(captured, images * (2**15 - 1), atol=1)


@pytest.mark.parametrize("arch", ["scnn", "cnvlutin", "eie"])
def test_the_operands_pass_the_check_and_have_the_work_that_is_counted_from_the_file(example, arch):
    file, network = str(example.folder / f"{example.name}.npz"), read_network(example.net)
    only = [layer.name for layer in network.compute_layers if arch != "eie" or layer.kind == "fc"]
    run = archmodel.simulate(
        arch, example.net, weights=file, activations=file, batch=BATCH, layers=only, check=True, threads=1
    )
    assert [layer.name for layer in run.layers] == only
    for result in run.layers:
        assert result.checked
        assert result.origins["weights"] == result.origins["inputs"] == f"file: {example.name}.npz"
        weights, inputs = (example.arrays[f"{result.name}.{what}"] for what in ("weights", "inputs"))
        assert result.macs_effectual == counted_macs(network.layer(result.name), weights, inputs)


def test_the_onnx_file_recognizes_as_many_digits_as_was_printed(example, training):
    onnx = pytest.importorskip("onnx", reason="onnx is an extra")
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(example.folder / f"{example.name}.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith(".weights"):
            nonzero = onnx.numpy_helper.to_array(tensor) != 0
            np.testing.assert_array_equal(nonzero.ravel(), example.arrays[tensor.name].ravel() != 0)
    images, labels = training.Digits.load().to_test
    side = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    at = np.arange(side) * 8 // side
    [likelihoods] = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: images[:, :, at][:, :, :, at]})
    recognized = int((likelihoods.argmax(axis=1) == labels).sum())
    assert abs(recognized - accuracies(example.printed)["retrained"][1] * len(labels)) <= 1


def test_without_onnx_no_onnx_file_is_written(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(modules.files, "find_spec", lambda name: None)
    model = modules.training.Model(read_network(NETS["digits_cnn"]))
    assert not modules.files.write_onnx(tmp_path / "x.onnx", model)
    assert not list(tmp_path.iterdir())


def test_pictures_are_the_images_that_the_network_reads(example, training):
    Image = pytest.importorskip("PIL.Image", reason="pillow is an extra")
    images, _ = training.Digits.load().to_test
    files = sorted((example.folder / f"{example.name}_pictures").iterdir())
    assert len(files) == BATCH
    side = read_network(example.net).inputs["image"][1]
    at = np.arange(side) * 8 // side
    for file, image in zip(files, images, strict=False):
        pixels = np.asarray(Image.open(file))
        np.testing.assert_allclose(pixels / 255, image[0][at][:, at], atol=0.5 / 255)
        np.testing.assert_array_equal(pixels != 0, image[0][at][:, at] != 0)


def test_without_pillow_no_pictures_are_written(modules, tmp_path, monkeypatch):
    monkeypatch.setattr(modules.files, "find_spec", lambda name: None)
    assert not modules.files.write_pictures(tmp_path / "pictures", np.zeros((1, 1, 8, 8)))
    assert not list(tmp_path.iterdir())


def test_a_code_is_zero_where_the_value_is(modules):
    values = np.array([0, 1e-9, -1e-9, 0.5, -1, 1], np.float32)
    assert modules.files.codes(values).tolist() == [0, 1, -1, 16384, -32767, 32767]
    with np.errstate(all="raise"):
        assert modules.files.codes(np.zeros(3, np.float32)).tolist() == [0, 0, 0]


def test_the_page_has_the_table_that_is_printed(example):
    def fixed(text):
        """The lines of a table without what another processor's order of additions may change."""
        stages = re.findall(r"^(\w+ +[\d,]+) +[\d.]+%$", text, re.MULTILINE)
        return stages + re.findall(r"^(\w+ +[\d,]+ +[\d.]+) +[\d.]+$", text, re.MULTILINE)

    [shown] = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if f"{example.name}.npz:" in block]
    assert fixed(example.printed)
    assert fixed(shown) == fixed(example.printed)
    for what, (_, accuracy) in accuracies(shown).items():
        assert accuracies(example.printed)[what][1] == pytest.approx(accuracy, abs=0.05)


def test_more_products_are_effectual_than_at_random_places(examples, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(examples["digits_cnn"].folder, tmp_path / "examples")
    shutil.copy(NETS["digits_cnn"], tmp_path / "examples")
    [snippet] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(snippet, "examples.md", "exec"), {})
    line = r"^(\w+) +effectual MACs +([\d,]+) +([\d,]+) +cycles +([\d,]+) +([\d,]+)$"
    printed, shown = (re.findall(line, text, re.MULTILINE) for text in (capsys.readouterr().out, PAGE))
    assert [name for name, *_ in printed] == [name for name, *_ in shown] == list(DENSITIES["digits_cnn"])
    for (_, *ours), (_, *page) in zip(printed, shown, strict=True):
        ours, page = ([int(number.replace(",", "")) for number in numbers] for numbers in (ours, page))
        assert ours[0] > ours[1]
        assert ours == pytest.approx(page, rel=0.1)


def test_the_commands_of_the_onnx_page_run(examples, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    page, example = (ROOT / "docs" / "onnx.md").read_text("utf-8"), examples["digits_cnn"]
    page = page.partition("## What a network is given")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    shutil.copytree(example.folder, tmp_path / "mine")
    first = min((tmp_path / "mine" / "digits_cnn_pictures").iterdir())
    first.replace(first.with_name("0.png"))
    commands = re.findall(r"^    archmodel (.*)$", page, re.MULTILINE)
    shown = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    assert [command.split()[0] for command in commands] == ["inspect", "sim", "sim"]
    assert len(shown) == 2
    for command, block in zip(commands, [*shown, ""], strict=True):
        assert archmodel.cli.main.run(command.split()) == 0
        printed = capsys.readouterr().out
        stable = [line.split()[:3] for line in block.splitlines() if re.match(r"(conv|fc|total)", line)]
        assert [line for line in stable if line not in [row.split()[:3] for row in printed.splitlines()]] == []
        if "--check" in command:
            for line in block.splitlines()[-2:]:
                assert line in printed
    assert (tmp_path / "mine" / "densities.png").exists()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "onnx.md", "exec"), {})
    assert "times faster" in capsys.readouterr().out
