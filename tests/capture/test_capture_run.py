"""A file, run on inputs in a process of its own: what layers multiply and make comes from that run."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from archmodel.accelerators.made_outputs import compare_made
from archmodel.capture.capture_run import captured
from archmodel.operands.sources import OperandSource, Source
from tests.exchange.onnx_models import floats, model_of, node, save


def test_weights_that_only_the_run_computes_make_the_outputs_of_the_run(tmp_path):
    nodes = [
        node("ScatterElements", ["zeros", "places", "numbers"], "scattered", axis=0),
        node("Reshape", ["scattered", "dims"], "w"),
        node("MatMul", ["x", "w"], "y"),
        node("GreaterOrEqual", ["limits", "least"], "allowed"),
        node("ArgMax", ["y"], "best", axis=1, keepdims=0),
        node("Gather", ["allowed", "best"], "z"),
    ]
    stored = {
        "zeros": np.zeros(20, np.float32),
        "places": np.array([3, 0, 17]),
        "numbers": floats(3),
        "dims": np.array([5, 4]),
        "limits": floats(4),
    }
    path = save(model_of(nodes, {"x": ("n", 5), "least": ()}, stored), tmp_path)
    np.save(tmp_path / "x.npy", floats(3, 5))
    with captured(path, "model.onnx", [str(tmp_path / "x.npy"), "least=1"], with_outputs=True) as capture:
        source = OperandSource(
            capture.network, activations=Source(capture=capture), batch=capture.batch, with_values=True
        )
        (layer,) = capture.network.compute_layers
        operands = source.operands(layer)
        assert np.count_nonzero(operands.weights) == 3
        assert "onnxruntime" in compare_made(layer, operands, 0)
    assert [layer.name for layer in capture.network.layers] == ["y", "best", "z"]
    assert capture.network.layer("z").inputs == ("best",)
