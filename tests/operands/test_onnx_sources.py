"""`--weights network` on an ONNX file: its own zeros, and its values where they are integers."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")

import archmodel
from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.operands.archive import real_mask
from archmodel.operands.sources import OperandSource, Source
from tests.exchange.onnx_models import floats, model_of, node, save

CODES = np.random.default_rng(1).integers(0, 4, (8, 4, 3, 3)).astype(np.uint8)  # 2 is the zero point
PRUNED = np.where(floats(10, 128, seed=3) > 1.2, floats(10, 128, seed=4), 0)


@pytest.fixture
def path(tmp_path):
    nodes = [
        node("QuantizeLinear", ["image", "s", "z"], "q"),
        node("QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z"], "conv", pads=[1, 1, 1, 1]),
        node("DequantizeLinear", ["conv", "s", "z"], "f"),
        node("Relu", ["f"], "relu"),
        node("MaxPool", ["relu"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool"], "flat"),
        node("Gemm", ["flat", "m"], "fc", transB=1),
    ]
    stored = {"w": CODES, "wz": np.uint8(2), "s": np.float32(0.1), "z": np.uint8(0), "m": PRUNED.astype(np.float32)}
    return save(model_of(nodes, {"image": ("n", 4, 8, 8)}, stored), tmp_path, "small.onnx")


def test_real_weights_are_those_of_the_file(path):
    network = read_network(path)
    source = OperandSource(network, activations=Source(density=0.5))
    conv, fc = (source.operands(network.layer(name)) for name in ("conv", "fc"))
    np.testing.assert_array_equal(conv.weights, CODES != 2)
    np.testing.assert_array_equal(conv.weight_values, CODES.astype(int) - 2)
    np.testing.assert_array_equal(fc.weights[:, :, 0, 0], PRUNED != 0)
    assert fc.weight_values is None
    assert conv.origins["weights"] == fc.origins["weights"] == "real: small.onnx"
    densities = source.densities(network.layer("fc"))
    assert densities.weight_density == np.count_nonzero(PRUNED) / PRUNED.size


def test_a_given_density_stands_above_the_weights_of_the_file(path):
    network = read_network(path)
    operands = OperandSource(network, Source(density=0.25), Source(density=0.5)).operands(network.layer("conv"))
    assert operands.weight_nonzeros == 8 * 4 * 9 // 4
    assert operands.origins["weights"] == "synthetic: density 0.25"


def test_effectual_macs_are_those_counted_from_the_codes(path):
    run = archmodel.simulate("scnn", str(path), activations="density=1.0", layers="conv", check=True)
    # A dense 8x8 plane padded by 1: a kernel's corner misses a row and a column of it, an edge one of them.
    reach = np.array([7, 8, 7])
    products = ((CODES != 2) * np.outer(reach, reach)).sum()
    assert run.layers[0].macs_effectual == products
    assert run.net == "small"


def test_the_weights_of_another_layer_do_not_fit(path):
    with pytest.raises(WorkloadError, match=r"small.onnx: no weights 'fc' of shape \(1, 2\)"):
        real_mask(path, "fc", (1, 2))
    with pytest.raises(WorkloadError, match=r"small.onnx: no weights 'other' of shape \(1, 2\)"):
        real_mask(path, "other", (1, 2))


def test_a_toml_network_can_have_the_weights_of_an_onnx_file(path, tmp_path):
    (tmp_path / "own.toml").write_text(
        'title = "t"\nsource = "s"\nzeros_source = "z"\ninputs = {image = [128, 1, 1]}\n'
        'layers = [{name = "last", kind = "fc", K = 10, weight_mask = "small.onnx:fc", input_density = 1.0}]\n'
    )
    network = read_network(tmp_path / "own.toml")
    operands = OperandSource(network).operands(network.layers[0])
    assert operands.weight_nonzeros == np.count_nonzero(PRUNED)


def invoke(*arguments):
    command = [sys.executable, "-m", "archmodel", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_show_describes_an_onnx_file(path):
    shown = json.loads(invoke("show", path, "--json").stdout)
    assert [layer["name"] for layer in shown["layers"]] == ["conv", "relu", "pool", "fc"]
    assert [layer["weights_from"] for layer in shown["layers"]] == ["real", None, None, "real"]
    assert shown["totals"]["weight_nonzeros"] == np.count_nonzero(CODES != 2) + np.count_nonzero(PRUNED)
    assert shown["inputs"] == {"image": [4, 8, 8]}


def test_sim_runs_an_onnx_file(path):
    arguments = ("sim", "--arch", "scnn", "--net", path, "--weights", "density=0.3", "--activations", "density=0.4")
    result = invoke(*arguments, "--json")
    assert result.returncode == 0
    assert [layer["name"] for layer in json.loads(result.stdout)["layers"]] == ["conv", "fc"]


def test_a_file_that_is_no_model_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("title = 'not a model'")
    for arguments in (("show", tmp_path / "text.onnx"), ("sim", "--arch", "scnn", "--net", tmp_path / "text.onnx")):
        result = invoke(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == f"archmodel: error: {tmp_path}/text.onnx: not an ONNX model, or a damaged one\n"
