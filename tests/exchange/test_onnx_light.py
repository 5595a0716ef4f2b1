"""Networks that come with the onnx wheel: layers without weights in the file, with the totals of the real ones."""

import math
from pathlib import Path

import pytest

pytest.importorskip("onnx")

import onnx

from archmodel.exchange import read_network
from archmodel.exchange.onnx_reader import weights_of

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = (
    *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50"),
    *("shufflenet", "squeezenet", "vgg19", "zfnet512"),
)
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="this onnx wheel has no light models")

# The same networks in workloads/, where their published totals are. The light AlexNet reads 224x224 images, and the
# pools of the light GoogLeNet round down: both have smaller planes than Caffe's, and the same weights.
SAME_WEIGHTS = {
    "bvlc_alexnet": "alexnet",
    "densenet121": "densenet121",
    "inception_v1": "googlenet",
    "resnet50": "resnet50",
    "vgg19": "vgg19",
}
SMALLER_PLANES = ("bvlc_alexnet", "inception_v1")


def path_of(name):
    return FOLDER / f"light_{name}.onnx"


def counted(name):
    """Parameters and MACs straight from the shapes that onnx infers: weights x the plane of a convolution's output."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path_of(name)))
    graph = model.graph
    dims = {
        one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (*graph.input, *graph.value_info, *graph.output)
    }
    parameters = macs = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            parameters += sum(math.prod(dims[name]) for name in node.input[1:])
            macs += math.prod(dims[node.input[1]]) * math.prod(dims[node.output[0]][2:])
        elif node.op_type == "BatchNormalization":
            parameters += sum(math.prod(dims[name]) for name in node.input[1:3])
    return parameters, macs


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_those_counted_from_the_shapes_that_onnx_infers(name):
    network = read_network(path_of(name))
    assert (network.parameters, network.macs) == counted(name)


@pytest.mark.parametrize("name", SAME_WEIGHTS)
def test_totals_are_those_of_the_same_network_in_workloads(name):
    light, own = read_network(path_of(name)), read_network(SAME_WEIGHTS[name])
    assert light.parameters == own.parameters
    weighted = [[layer.weight_shape for layer in net.compute_layers] for net in (light, own)]
    assert sorted(weighted[0]) == sorted(weighted[1])
    assert (light.macs < own.macs) == (name in SMALLER_PLANES)
    assert light.macs <= own.macs


def test_squeezenet_is_version_1_1():
    # torchvision's documentation of squeezenet1_1: num_params 1235496, 0.35 GFLOPS (multiply-adds).
    network = read_network(path_of("squeezenet"))
    assert network.parameters == 1_235_496
    assert round(network.macs / 1e9, 2) == 0.35


def test_every_layer_that_multiplies_has_weights():
    network, weights = read_network(path_of("resnet50")), weights_of(path_of("resnet50"))
    assert list(weights) == [layer.name for layer in network.compute_layers]
    for layer in network.compute_layers:
        assert weights[layer.name].shape == layer.weight_shape
        assert not any(weights[layer.name].strides)  # one number, repeated: they take no memory
