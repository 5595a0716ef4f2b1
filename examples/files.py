"""A trained model as files: the operands that archmodel reads, the network as ONNX, and pictures for it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from layers import Array, Conv
from training import Model

from archmodel.network import Layer

LARGEST_CODE = 2**15 - 1  # words of 16 bits, as SCNN and Cnvlutin compute with
# Operator sets and file formats of onnx 1.8 (2020), which every reader of today knows.
OPSET, IR_VERSION = 13, 7


def codes(values: Array) -> npt.NDArray[np.int16]:
    """Values on a scale of their own in 16 bits, rounded away from zero: a non-zero stays one, a zero too."""
    scaled = values * (LARGEST_CODE / (abs(values).max() or 1))
    return (np.sign(scaled) * np.ceil(abs(scaled)).clip(max=LARGEST_CODE)).astype(np.int16)


def write_operands(path: Path, model: Model, images: Array) -> None:
    """`<layer>.weights` and the `<layer>.inputs` of these images, for --weights and --activations."""
    model.forward(images)
    arrays: dict[str, Any] = {}
    for layer in model.weighted:
        arrays[f"{layer.layer.name}.weights"] = codes(layer.weights)
        arrays[f"{layer.layer.name}.inputs"] = codes(layer.inputs)
    np.savez_compressed(path, **arrays)


def write_onnx(path: Path, model: Model) -> bool:
    """The network with its weights as floats, for any number of images; False without the package onnx."""
    if find_spec("onnx") is None:
        return False
    from onnx import TensorProto, checker, helper, numpy_helper, save_model

    [(tensor, shape)] = model.network.inputs.items()
    image = helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", *shape])
    nodes, flat = [], False
    for layer in model.network.layers:
        if layer.kind == "fc" and not flat:
            nodes.append(helper.make_node("Flatten", [tensor], ["flat"], "flat"))
            tensor, flat = "flat", True
        operator, attributes = operator_of(layer)
        parameters = [f"{layer.name}.weights", f"{layer.name}.biases"] if layer.is_compute else []
        nodes.append(helper.make_node(operator, [tensor, *parameters], [layer.name], layer.name, **attributes))
        tensor = layer.name
    initializers = [
        numpy_helper.from_array(array, f"{layer.layer.name}.{what}")
        for layer in model.weighted
        for what, array in parameters_of(layer).items()
    ]
    scores = helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", model.network.layers[-1].K])
    graph = helper.make_graph(nodes, model.network.name, [image], [scores], initializers)
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(file, full_check=True)
    save_model(file, path)
    return True


def write_pictures(folder: Path, images: Array) -> bool:
    """The images as gray PNG files, 0.png and on; False without the package pillow."""
    if find_spec("PIL") is None:
        return False
    from PIL import Image

    folder.mkdir(exist_ok=True)
    digits = len(str(len(images) - 1))
    for number, image in enumerate(images):
        Image.fromarray(np.rint(255 * image[0]).astype(np.uint8)).save(folder / f"{number:0{digits}}.png")
    return True


def operator_of(layer: Layer) -> tuple[str, dict[str, Any]]:
    """ONNX's name of a layer and its attributes."""
    top, bottom, left, right = layer.padding
    kernel = {"kernel_shape": [layer.R, layer.S], "strides": list(layer.stride)}
    operators: dict[str, tuple[str, dict[str, Any]]] = {
        "conv": ("Conv", kernel | {"pads": [top, left, bottom, right]}),
        "fc": ("Gemm", {"transB": 1}),
        "activation": ("Relu", {}),
        "pool": ("MaxPool", kernel),
        "softmax": ("Softmax", {"axis": 1}),
    }
    return operators[layer.kind]


def parameters_of(layer: Conv) -> dict[str, Array]:
    """Weights, of a fully connected layer [K, C], and biases."""
    weights = layer.weights[:, :, 0, 0] if layer.layer.kind == "fc" else layer.weights
    return {"weights": np.ascontiguousarray(weights), "biases": layer.biases}
