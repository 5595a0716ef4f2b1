"""VGG-16 as ONNX files: convolutions and a small classifier, 65 MB, its weights pruned to a third; and all, 553 MB."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from archmodel.network import Network

CONVOLUTIONS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # output channels, by block
CLASSIFIER = (1024, 1000)
KEPT = 1 / 3  # of the weights of every layer, about what is left of VGG-16 after pruning


def pruned_normal(rng, shape, fan_in):
    """Weights that keep the scale of what passes a ReLU, the smallest of them zero."""
    weights = (rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))).astype(np.float32)
    weights[np.abs(weights) < np.quantile(np.abs(weights), 1 - KEPT)] = 0
    return weights


def save_vgg(path: Path, size: int = 240) -> tuple[str, ...]:
    """Write the model for images `image` [N, 3, size, size]; the names of the inputs of its convolutions."""
    rng, nodes, stored, inputs, tensor, C = np.random.default_rng(0), [], [], [], "image", 3
    for block, widths in enumerate(CONVOLUTIONS, 1):
        for place, K in enumerate(widths, 1):
            name = f"conv{block}_{place}"
            stored.append(numpy_helper.from_array(pruned_normal(rng, (K, C, 3, 3), 9 * C), f"{name}.weight"))
            inputs.append(tensor)
            nodes.append(helper.make_node("Conv", [tensor, f"{name}.weight"], [name], name, pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], f"{name}.relu"))
            tensor, C = f"{name}.relu", K
        nodes.append(helper.make_node("MaxPool", [tensor], [f"pool{block}"], kernel_shape=[2, 2], strides=[2, 2]))
        tensor = f"pool{block}"
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    tensor = "flat"
    for place, K in enumerate(CLASSIFIER, 1):
        stored.append(numpy_helper.from_array(pruned_normal(rng, (C, K), C), f"fc{place}.weight"))
        nodes.append(helper.make_node("Gemm", [tensor, f"fc{place}.weight"], [f"fc{place}"], f"fc{place}"))
        tensor, C = f"fc{place}", K
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, size, size])
    graph = helper.make_graph(nodes, "vgg", [image], [helper.make_empty_tensor_value_info(tensor)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return tuple(inputs)


def save_whole_vgg(path: Path, network: Network, weights_of) -> None:
    """Write VGG-16 with the weights that `weights_of` makes of each of the layers of `network`."""
    nodes, stored, tensor = [], [], "image"
    for layer in network.compute_layers:
        begins_block, weights = layer.name.endswith("_1") or layer.name == "fc6", weights_of(layer)
        if begins_block and nodes:
            nodes.append(helper.make_node("MaxPool", [tensor], [f"{tensor}.pool"], kernel_shape=[2, 2], strides=[2, 2]))
            tensor = f"{tensor}.pool"
        if layer.name == "fc6":
            nodes.append(helper.make_node("Flatten", [tensor], ["flat"]))
            tensor = "flat"
        inputs = [tensor, f"{layer.name}.weight"]
        if layer.kind == "fc":
            weights = weights.reshape(weights.shape[:2])
            nodes.append(helper.make_node("Gemm", inputs, [layer.name], layer.name, transB=1))
        else:
            nodes.append(helper.make_node("Conv", inputs, [layer.name], layer.name, pads=[1, 1, 1, 1]))
        stored.append(numpy_helper.from_array(weights, inputs[1]))
        tensor = f"{layer.name}.relu"
        nodes.append(helper.make_node("Relu", [layer.name], [tensor], tensor))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])
    graph = helper.make_graph(nodes, "vgg", [image], [helper.make_empty_tensor_value_info(tensor)], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
