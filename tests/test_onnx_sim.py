"""`archmodel sim --onnx model.onnx --input photo.png`: networks on real inputs, as a user runs them."""

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from scipy.io import wavfile
from sklearn.datasets import load_digits

pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from onnxruntime import quantization
from PIL import Image

import archmodel
from archmodel.accelerators import scnn_check
from archmodel.capture.capture_run import description_of
from archmodel.cli import main
from archmodel.errors import ConfigError, WorkloadError
from archmodel.exchange.onnx_operands import FileTensor
from archmodel.operands.captured import Capture
from tests.exchange.onnx_models import model_of, node, run, save
from tests.reference import effectual_macs

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {"scnn": 4, "cnvlutin": 4, "eie": 2, "tpu_v1": 4}  # of the digits' network that a machine runs


def sim(*arguments, verb="sim"):
    """Exit code, standard output and standard error of a verb."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main.run([verb, *map(str, arguments)])
    return code, output.getvalue(), errors.getvalue()


def succeeded(*arguments, verb="sim"):
    """Standard output of a run that must succeed in silence."""
    code, output, errors = sim(*arguments, verb=verb)
    assert (code, errors) == (0, "")
    return output


def refused(*arguments, verb="sim"):
    """The one line of a run that must not succeed and writes nothing."""
    before = sorted(Path().rglob("*"))
    code, output, errors = sim(*arguments, verb=verb)
    assert (code, output) == (2, "")
    assert errors.startswith("archmodel: error: ")
    assert errors.endswith("\n")
    assert errors[:-1].isprintable()
    assert len(errors) < 600
    assert sorted(Path().rglob("*")) == before
    return errors[len("archmodel: error: ") : -1]


def layers_of(*arguments):
    """Layers of `--json` by name."""
    return {layer["name"]: layer for layer in json.loads(succeeded(*arguments, "--json"))["layers"]}


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The example's network, trained and pruned as its page says, and two digits of scikit-learn as pictures."""
    folder = tmp_path_factory.mktemp("digits")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, ROOT / "examples" / "digits_cnn.py", "-o", folder / "made", "--images", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pixels = np.rint(load_digits().images[:2] * 255 / 16).astype(np.uint8)
    for name, image in zip(("photo.png", "other.png"), pixels, strict=True):
        Image.fromarray(image).save(folder / name)
    path = (folder / "made" / "digits_cnn.onnx").rename(folder / "digits_pruned.onnx")
    given = np.float32(pixels[:, np.newaxis]) / 255
    runs = [run(onnx.load(path), {"image": image[np.newaxis]}) for image in given]
    return SimpleNamespace(folder=folder, path=path, photo=folder / "photo.png", given=given, runs=runs)


@pytest.fixture(autouse=True)
def empty_folders(tmp_path, monkeypatch):
    """Every test runs in an empty folder, and what runs leave on disk while they last is gone afterwards."""
    spool, here = tmp_path / "spool", tmp_path / "cwd"
    spool.mkdir()
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "120")
    yield
    assert not list(spool.iterdir())


def counted(digits, images=1):
    """Effectual MACs of the digits' layers from the arrays of onnxruntime alone."""
    graph = onnx.load(digits.path).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes, found = {one.name: one for one in graph.node}, {}
    for at, made in enumerate(digits.runs[:images]):
        values = made | {"image": digits.given[at : at + 1]}
        for name in ("conv1", "conv2", "fc1", "fc2"):
            inputs, weights = values[nodes[name].input[0]] != 0, stored[nodes[name].input[1]] != 0
            if name.startswith("conv"):
                attributes = {one.name: onnx.helper.get_attribute_value(one) for one in nodes[name].attribute}
                count = effectual_macs.convolution(inputs, weights, attributes["strides"], attributes["pads"])
            else:
                count = effectual_macs.product(inputs, weights.T)
            found[name] = found.get(name, 0) + count
    return found


# The digits


@pytest.mark.parametrize("arch", LAYERS)
def test_a_digit_on_a_machine_is_what_onnxruntime_computes(digits, arch):
    command = ["--arch", arch, "--onnx", digits.path, "--input", digits.photo, "--check"]
    if LAYERS[arch] < 4:
        assert refused(*command).startswith("layer 'conv1'")
        command.append("--skip-unsupported")
    layers, expected = layers_of(*command), counted(digits)
    assert list(layers) == list(expected)[-LAYERS[arch] :]
    for name, layer in layers.items():
        assert layer["macs_effectual"] == expected[name]
        assert layer["checked"]
        assert layer["origins"]["weights"] == "real: digits_pruned.onnx"
        assert layer["origins"]["inputs"] == "captured: photo.png"
        compared, _, rest = layer["origins"]["check"].partition(" of what rounding can make")
        assert 0 < float(compared.removeprefix("onnxruntime: ")) < 1
        assert rest == ""
    output = succeeded(*command)
    assert "\ncheck        outputs of the modelled dataflow equal the reference, bit for bit\n" in output
    all_layers = f"{LAYERS[arch]} of {LAYERS[arch]} layers"
    assert f"\n             and are onnxruntime's in {all_layers}, floats within what rounding can make\n" in output
    assert output.endswith("\ninputs       photo.png\n")


def test_a_wrong_weight_is_noticed(digits, monkeypatch):
    weights = Capture.weights

    def one_changed(capture, layer):
        array = np.array(weights(capture, layer))
        array.flat[np.flatnonzero(array)[0]] *= 1.5
        return array

    command = ["--arch", "tpu_v1", "--onnx", digits.path, "--input", digits.photo, "--check"]
    monkeypatch.setattr(Capture, "weights", one_changed)
    line = refused(*command, "-o", "out.h5")
    assert line.startswith("conv1: --check: output [0, ")
    assert "onnxruntime's" in line


def test_a_wrong_order_of_axes_is_noticed(digits, monkeypatch):
    arranged = FileTensor.arranged
    monkeypatch.setattr(FileTensor, "arranged", lambda tensor, array: arranged(tensor, array).swapaxes(2, 3))
    line = refused("--arch", "tpu_v1", "--onnx", digits.path, "--input", digits.photo, "--check", "--layers", "conv1")
    assert line.startswith("conv1: --check: output [0, ")


def test_a_product_at_a_wrong_place_is_noticed(digits, monkeypatch):
    accumulate = scnn_check.accumulate_products
    monkeypatch.setattr(scnn_check, "accumulate_products", lambda *operands: np.roll(accumulate(*operands), 1))
    line = refused("--arch", "scnn", "--onnx", digits.path, "--input", digits.photo, "--check", "--layers", "conv1")
    assert line.startswith("conv1: --check: output [")
    assert line.endswith("of the modelled dataflow differs from the reference")


# Other networks


class Images(quantization.CalibrationDataReader):
    """What the ranges of a quantized network are found on."""

    def __init__(self, digits):
        self.left = [{"image": image[np.newaxis]} for image in digits.given]

    def get_next(self):
        return self.left.pop() if self.left else None


def quantized(digits, kind, path):
    """The digits' network in 7 bits of weights, which no processor's instructions saturate on."""
    if kind == "dynamic":
        quantization.quantize_dynamic(digits.path, path, weight_type=quantization.QuantType.QUInt8, reduce_range=True)
        return
    name, _, channels = kind.partition(" ")
    quantization.quantize_static(
        digits.path,
        path,
        Images(digits),
        quant_format=quantization.QuantFormat[name],
        per_channel=bool(channels),
        reduce_range=True,
        weight_type=quantization.QuantType.QInt8,
    )


@pytest.mark.parametrize(
    ("kind", "arch", "integers", "floats"),
    [
        ("QDQ", "tpu_v1", 0, 4),
        ("QDQ channels", "scnn", 0, 4),
        ("QOperator", "scnn", 2, 0),  # the others are QGemm, of onnxruntime's own
        ("QOperator channels", "cnvlutin", 2, 0),
        ("dynamic", "scnn", 4, 0),
    ],
)
def test_a_quantized_network_is_what_onnxruntime_computes(digits, kind, arch, integers, floats):
    quantized(digits, kind, "model.onnx")
    layers = layers_of("--arch", arch, "--onnx", "model.onnx", "--input", digits.photo, "--check").values()
    assert len(layers) == 4
    assert all(layer["checked"] for layer in layers)
    found = [layer["origins"].get("check", "") for layer in layers]
    assert found.count("onnxruntime: equal") == integers
    assert sum("of what rounding can make" in text for text in found) == floats
    for layer, expected in zip(layers, counted(digits).values(), strict=True):
        assert layer["macs_effectual"] == pytest.approx(expected, rel=0.02)  # small numbers become zero
    if integers == 4:
        output = succeeded("--arch", arch, "--onnx", "model.onnx", "--input", digits.photo, "--check")
        assert "are onnxruntime's in 4 of 4 layers, integers equal\n" in output


def numbers(*dims, seed=0):
    """Real numbers, half of them zero."""
    return np.maximum(np.random.default_rng(seed).normal(size=dims), 0).astype(np.float32)


def saved(nodes, inputs, stored, **options):
    return save(model_of(nodes, inputs, stored, **options), Path())


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("RNN", 1), ("GRU", 3)])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_recurrent_network(kind, gates, direction):
    both = 1 if direction == "forward" else 2
    stored = {"w": numbers(both, gates * 3, 4, seed=1), "r": numbers(both, gates * 3, 3, seed=2)}
    stored["b"] = np.random.default_rng(3).normal(size=(both, gates * 6)).astype(np.float32)
    nodes = [node(kind, ["x", "w", "r", "b"], "y", "cell", hidden_size=3, direction=direction)]
    path = saved(nodes, {"x": ("steps", 1, 4)}, stored)
    np.save("x.npy", numbers(6, 1, 4, seed=4))
    command = ["--arch", "tpu_v1", "--onnx", path, "--input", "x.npy", "--check"]
    layers, output = layers_of(*command).values(), succeeded(*command)
    assert len(layers) == both
    assert {layer["kind"] for layer in layers} == {kind.lower()}
    compared = [layer["origins"].get("check", "none") for layer in layers]
    if kind == "GRU":
        assert compared == ["none"] * both
        assert "\n             but no layer was compared with what onnxruntime made of it\n" in output
    else:
        assert all(0 < float(text.split()[1]) < 1 for text in compared)
        assert f"are onnxruntime's in {both} of {both} layers" in output


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
@pytest.mark.parametrize("branch", [False, True])
def test_states_that_a_network_does_not_give_are_captured(kind, gates, branch):
    stored = {"w": numbers(1, gates * 3, 4, seed=1), "r": numbers(1, gates * 3, 3, seed=2)}
    cell = node(kind, ["x", "w", "r"], ["", "last"], "cell", hidden_size=3)
    nodes = [cell]
    if branch:
        taken, other = (onnx.helper.make_empty_tensor_value_info(name) for name in ("last", "zero"))
        nothing = node("ConstantOfShape", ["dims"], "zero")
        nodes = [
            node("Greater", ["flag", "least"], "positive"),
            node(
                "If",
                ["positive"],
                "y",
                then_branch=onnx.helper.make_graph([cell], "then", [], [taken]),
                else_branch=onnx.helper.make_graph([nothing], "else", [], [other]),
            ),
        ]
        stored |= {"least": np.float32(0), "dims": np.array([1, 1, 3])}
    path = saved(nodes, {"x": (6, 1, 4)} | ({"flag": ()} if branch else {}), stored)
    x = numbers(6, 1, 4, seed=4)
    np.save("x.npy", x)
    all_states = node(kind, ["x", "w", "r"], ["y"], hidden_size=3)
    states = run(model_of([all_states], {"x": x.shape}, stored), {"x": x})["y"][:, 0]
    before = np.concatenate([np.zeros((1, 1, 3)), states[:-1]])
    flag = ["--input", "flag=1"] if branch else []
    layers = layers_of("--arch", "tpu_v1", "--onnx", path, "--input", "x.npy", *flag)
    expected = effectual_macs.recurrent(x != 0, before != 0, stored["w"][0] != 0, stored["r"][0] != 0)
    assert [layer["macs_effectual"] for layer in layers.values()] == [expected]


def test_a_sound_is_cut_into_windows_for_a_convolution_of_lines():
    wavfile.write("sound.wav", 8000, np.random.default_rng(0).integers(-(2**15), 2**15, 70).astype(np.int16))
    first, last = node("Conv", ["x", "w"], "first", strides=[2]), node("Conv", ["r", "v"], "y")
    nodes = [first, node("Relu", ["first"], "r"), last]
    path = saved(nodes, {"x": ("n", 1, 32)}, {"w": numbers(4, 1, 5), "v": numbers(3, 4, 3)})
    command = ["--arch", "scnn", "--onnx", path, "--input", "sound.wav", "--check", "--preprocess", "rate=8000"]
    layers, output = layers_of(*command), succeeded(*command)
    assert list(layers) == ["first", "y"]
    assert all(0 < float(layer["origins"]["check"].split()[1]) < 1 for layer in layers.values())
    left_out = "sound.wav; sound.wav: the last 6 samples are no window of 32 and are left out"
    assert output.endswith(f"\ninputs       {left_out}\n")
    assert ", batch 2, " in output
    assert layers["first"]["macs_dense"] == 2 * 4 * 5 * 14
    assert refused(*command[:-1], "rate=16000").startswith("sound.wav: 8000 samples a second, not 16000")


def test_a_network_of_two_inputs():
    nodes = [
        node("Conv", ["left", "w"], "a"),
        node("Flatten", ["a"], "flat"),
        node("MatMul", ["right", "v"], "b"),
        node("Add", ["flat", "b"], "sum"),
        node("MatMul", ["sum", "last"], "y"),
    ]
    inputs = {"left": ("n", 1, 4, 5), "right": ("n", 6)}
    path = saved(nodes, inputs, {"w": numbers(2, 1, 2, 2), "v": numbers(6, 24, seed=8), "last": numbers(24, 3)})
    left, right = numbers(3, 1, 4, 5, seed=1), numbers(3, 6, seed=2)
    np.save("left.npy", left)
    np.savez("both.npz", left=left, right=right)
    np.save("right.npy", right)
    command = ["--arch", "tpu_v1", "--onnx", path, "--check"]
    line = refused(*command, "--input", "left=left.npy")
    assert line.startswith("input 'right' (float32, ['n', 6]): nothing is given; say --input right=FILE or")
    layers = layers_of(*command, "--input", "left=left.npy", "--input", "right=right.npy")
    assert list(layers) == ["a", "b", "y"]
    assert all("check" in layer["origins"] for layer in layers.values())
    assert {layer["origins"]["inputs"] for layer in layers.values()} == {"captured: left=left.npy, right=right.npy"}
    again = layers_of(*command, "--input", "both.npz")
    assert [layer["macs_effectual"] for layer in again.values()] == [one["macs_effectual"] for one in layers.values()]
    assert layers["a"]["input_density"] == np.count_nonzero(left) / left.size
    assert layers["b"]["input_density"] == np.count_nonzero(right) / right.size


# What is asked and cannot be done


@pytest.fixture
def given(digits):
    """Options of a run that is right; what is added makes it wrong."""
    return ["--arch", "tpu_v1", "--onnx", digits.path, "--input", digits.photo, "-o", "out.h5"]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--batch", "3"], "--batch 3: --input gives 1 images"),
        (["--activations", "density=0.4"], "--activations 'density=0.4': --input gives them already; allowed: one of"),
        (["--seeds", "2"], "--seeds: nothing is placed at random, weights and activations are of files"),
        (["--net", "lenet5"], "--net and --onnx: both name the network; allowed: one of them"),
        (["--input", "nowhere.png"], "--input 'nowhere.png': no such file"),
        (["--input", "imag=zeros"], "--input 'imag=zeros': no such file, and no input 'imag'; did you mean 'image'?"),
        (["--input", "image=zeros"], "photo.png: for which input? say NAME=FILE; inputs: image"),
        (["--input", "wrong.npy"], "input 'image' (float32, ['N', 1, 8, 8]): wrong.npy has [1, 1, 8, 7]; allowed: its"),
        (["--preprocess", "meen=1"], "--preprocess meen=1: no key 'meen'; did you mean 'mean'?"),
        (["--preprocess", "rate=1"], "--preprocess rate: is for sounds, and no --input is one"),
        (["--input-limit", "seconds"], "--input-limit 'seconds': allowed: seconds=NUMBER, memory_gib=NUMBER"),
        (["--input-limit", "disk_gib=1,seconds=0.001"], "digits_pruned.onnx: its run takes more than 0.001 seconds"),
        (["--fidelity", "statistical", "--check"], "--check: statistical runs have no operands"),
        (["--layers", "conv9"], "digits_pruned: no layer matches 'conv9'; did you mean 'conv2'?"),
    ],
)
def test_what_is_wrong_is_one_line(given, more, line):
    np.save("wrong.npy", np.zeros((1, 1, 8, 7), np.float32))
    assert refused(*given, *more).startswith(line)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["--net", "lenet5", "--input", "x.npy"], "--input: needs an ONNX network; 'lenet5' has no values to compute"),
        (["--net", "lenet5", "--preprocess", "mean=1"], "--preprocess: needs --input"),
        (["--net", "lenet5", "--input-limit", "seconds=1"], "--input-limit: needs --input"),
        (["--onnx", "net.toml"], "--onnx 'net.toml': must be an .onnx file"),
        (["--onnx", "nowhere.onnx", "--input", "x.npy"], "nowhere.onnx: no such file"),
        ([], "--net: is missing"),
    ],
)
@pytest.mark.parametrize("arch", ["tpu_v1", "tpu_v1,scnn"])
def test_options_without_what_they_need(arch, command, line):
    assert refused("--arch", arch, *command).startswith(line)


def test_what_is_not_installed_is_named(given, monkeypatch):
    find_spec = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
        assert refused(*given) == "needs onnxruntime: pip install 'archmodel[onnx]'"
    for module, package in (("PIL", "pillow"), ("onnx", "onnx")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert refused(*given) == f"needs {package}: pip install 'archmodel[onnx]'"


def test_without_inputs_activations_are_asked_for(digits):
    line = refused("--arch", "tpu_v1", "--onnx", digits.path)
    assert "--input FILE, or --activations density=" in line


# What can be asked beside


@pytest.fixture
def gap():
    """A network with an operator in its middle that is not read, and an image for it."""
    nodes = [
        node("Conv", ["x", "w"], "first"),
        node("Einsum", ["first"], "turned", "the turn", equation="nchw->nchw"),
        node("Conv", ["turned", "v"], "last"),
    ]
    saved(nodes, {"x": ("n", 2, 6, 6)}, {"w": numbers(3, 2, 2, 2), "v": numbers(2, 3, 2, 2)})
    np.save("x.npy", numbers(1, 2, 6, 6))
    return ["model.onnx", "--input", "x.npy"]


def test_a_node_that_cannot_be_read_is_left_out_if_that_is_allowed(gap):
    one, several = ["--arch", "tpu_v1", "--onnx", *gap], ["--arch", "tpu_v1,scnn", "--onnx", *gap]
    for verb, command in (("sim", one), ("sim", several), ("inspect", gap)):
        line = refused(*command, verb=verb)
        assert line.startswith("model.onnx: node 'the turn' (Einsum): ")
    skip = "--skip-unsupported"
    left_out = "\nleft out     1 nodes that cannot be read: the turn (Einsum)\n"
    assert left_out in succeeded(*one, skip, "--check")
    assert left_out in succeeded(*gap, skip, verb="inspect")
    assert "\nnot on scnn, tpu_v1: the turn (Einsum); sums of the other layers\n" in succeeded(*several, skip)
    assert json.loads(succeeded(*gap, skip, "--json", verb="inspect"))["left_out"] == ["the turn (Einsum)"]
    layers = layers_of(*one, skip, "--check")
    assert list(layers) == ["first", "last"]
    assert all("check" in layer["origins"] for layer in layers.values())  # what follows is of the run all the same


@pytest.mark.parametrize("fidelity", ["statistical", "sampled"])
def test_estimates_rest_on_the_densities_of_the_run(digits, given, fidelity):
    layers, exact = layers_of(*given, "--fidelity", fidelity), layers_of(*given)
    for name, layer in layers.items():
        assert layer["input_density"] == exact[name]["input_density"]
        assert layer["origins"]["inputs"] == "captured: photo.png"
        assert layer["output_density"] == exact[name]["output_density"]


def test_several_pictures_are_a_batch_and_a_folder_is_its_pictures(digits, given):
    (digits.folder / "both").mkdir(exist_ok=True)
    for name in ("photo.png", "other.png"):
        (digits.folder / "both" / name).write_bytes((digits.folder / name).read_bytes())
    (digits.folder / "both" / "labels.txt").write_text("0 1")
    both = layers_of(*given, "--input", digits.folder / "other.png", "--check")
    assert {name: layer["macs_effectual"] for name, layer in both.items()} == counted(digits, images=2)
    folder = [*given[:4], "--input", digits.folder / "both", "--batch", "2"]
    again = layers_of(*folder)
    assert {layer["cycles"] for layer in again.values()} == {layer["cycles"] for layer in both.values()}
    output = succeeded(*folder)
    assert ", batch 2, " in output
    left_out = "2 files of both/; both/: 1 files of other types are left out"
    assert output.endswith(f"\ninputs       {left_out}\n")
    assert f"\ninputs       {left_out}\n" in succeeded("--arch", "tpu_v1,eie", *folder[2:])


def test_many_notes_are_counted():
    feeds = SimpleNamespace(description="3 sounds", notes=("a", "b", "c", "d"))
    assert description_of(feeds) == "3 sounds; a; b; 2 such lines more"
    feeds.notes = feeds.notes[:2]
    assert description_of(feeds) == "3 sounds; a; b"


def test_other_weights_are_not_compared_with_onnxruntime(given):
    layers = layers_of(*given, "--weights", "density=0.3", "--check")
    for name, layer in layers.items():
        assert layer["origins"]["weights"] == "synthetic: density 0.3"
        assert layer["origins"]["inputs"] == "captured: photo.png"
        assert layer["weight_density"] == pytest.approx(0.3, abs=0.01), name
        assert "check" not in layer["origins"]
        assert layer["checked"]
    output = succeeded(*given, "--weights", "density=0.3", "--check", "--seeds", "2")
    assert "\n             but no layer was compared with what onnxruntime made of it\n" in output


def test_a_result_says_what_it_rests_on(digits, given):
    output = succeeded(*given, "--check")
    assert "\ninputs       photo.png\n" in output
    lines = succeeded("out.h5", verb="show").splitlines()
    assert "weights      real (4 layers): digits_pruned.onnx" in lines
    assert "inputs       captured (4 layers): photo.png" in lines
    assert any(line.startswith("check        onnxruntime (4 layers)") for line in lines)
    assert archmodel.load("out.h5").layers[0].origins["inputs"] == "captured: photo.png"


# From Python


def test_from_python(digits):
    path, photo = str(digits.path), str(digits.photo)
    run = archmodel.simulate("scnn", path, inputs=[photo], preprocess=["mean=0", "std=1"], check=True)
    assert {layer.name: layer.macs_effectual for layer in run.layers} == counted(digits)
    machines = archmodel.simulate_machines(["scnn", "eie"], path, inputs=[photo], check=True)
    assert machines[0].layers == run.layers
    assert machines[1].unsupported == ("conv1", "conv2")
    found = archmodel.inspect(path, inputs=[photo], preprocess=["invert=true"])
    assert found.layers[0].input_density == np.count_nonzero(digits.given[0] != 1) / digits.given[0].size
    assert [layer.output_density for layer in found.layers[:3]] == [one.input_density for one in found.layers[1:]]
    assert (found.layers[3].output_density, found.left_out) == (None, ())


@pytest.mark.parametrize("function", [archmodel.inspect, lambda *a, **o: archmodel.simulate("scnn", *a, **o)])
def test_lists_of_texts_are_lists(function, digits):
    for name, value in (("inputs", str(digits.photo)), ("inputs", [3]), ("preprocess", "mean=1"), ("preprocess", None)):
        with pytest.raises(ConfigError, match=rf"^{name} = .*: expected a list of "):
            function(str(digits.path), **{"inputs": [str(digits.photo)], name: value})


def test_a_run_that_fails_leaves_nothing_behind(digits, monkeypatch):
    monkeypatch.setattr(Capture, "inputs", lambda capture, layer, only_mask=False: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        archmodel.inspect(str(digits.path), inputs=[str(digits.photo)])
    with pytest.raises(WorkloadError, match=r"more than 0\.001 seconds"):
        archmodel.inspect(str(digits.path), inputs=[str(digits.photo)], input_limit="seconds=0.001")
