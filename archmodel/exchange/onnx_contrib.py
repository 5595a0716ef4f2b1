"""Operators of onnxruntime's own domain, as its quantizer and its graph optimizer write them."""

from collections.abc import Callable
from dataclasses import replace

from archmodel.exchange.onnx_builder import Builder, Value, renamed
from archmodel.exchange.onnx_file import Node
from archmodel.exchange.onnx_joins import concat, element_wise, is_bias, join
from archmodel.exchange.onnx_products import product
from archmodel.exchange.onnx_windows import activation, convolution, global_pool, mean, pass_on, pool, softmax
from archmodel.network.layer import MODES

DOMAIN = "com.microsoft"
Reader = Callable[[Builder, Node], None]
FUSED = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Clip": "clipped_relu"}


def as_onnx(op_type: str, reader: Reader, *places: int) -> Reader:
    """Reads an operator as one of ONNX's own, whose inputs are at `places` of it."""

    def read(builder: Builder, node: Node) -> None:
        if node.integer("channels_last", 0):
            raise node.refuse("channels_last is not supported")
        reader(builder, replace(node, op_type=op_type, inputs=tuple(node.input(place) for place in places)))

    return read


def quantized_concat(builder: Builder, node: Node) -> None:
    """QLinearConcat: scale and zero point of what it makes, then a tensor, scale and zero point of each input."""
    concat(builder, replace(node, op_type="Concat", inputs=node.inputs[2::3]))


def fused(reader: Reader, added_at: int) -> Reader:
    """A convolution or product that adds a tensor, if it has one at `added_at`, and ends in an activation."""

    def read(builder: Builder, node: Node) -> None:
        reader(builder, node)
        made, name = builder.values[node.outputs[0]], node.text("activation", "")
        if node.input(added_at):
            other = builder.value(node, added_at)
            join(builder, renamed(node, ".add"), "add", (made, other), made.axes)
            made = builder.values[node.outputs[0]]
        if name in FUSED:
            after = renamed(node, ".activation")
            layer = builder.add(after, "activation", (made.tensor,), mode=FUSED[name])
            builder.same(node, Value(layer.name, made.axes))

    return read


def biased_gelu(builder: Builder, node: Node) -> None:
    """BiasGelu and FastGelu: a bias, which may be that of the layer above, and a Gelu."""
    value = builder.value(node)
    if node.input(1) in builder.constants and is_bias(builder, value, builder.constants[node.input(1)]):
        builder.give_bias(value.tensor)
    activation(builder, replace(node, op_type="Gelu", inputs=node.inputs[:1]))


def skip_norm(builder: Builder, node: Node) -> None:
    """SkipLayerNormalization and SkipSimplifiedLayerNormalization: an add and a norm."""
    both = replace(node, op_type="Add", outputs=(f"{node.outputs[0]}.add",), inputs=node.inputs[:2])
    element_wise(builder, renamed(both, ".add"))
    summed = builder.values.pop(both.outputs[0])
    mode = "rms" if "Simplified" in node.op_type else MODES["norm"][2]
    layer = builder.add(node, "norm", (summed.tensor,), mode=mode)
    builder.give(node, layer.name, summed.axes)
    builder.give(node, summed.tensor, summed.axes, index=3)


CONTRIB: dict[str, Reader] = {
    f"{DOMAIN}.{op_type}": reader
    for op_type, reader in {
        "FusedGemm": fused(product, -1),
        "FusedConv": fused(convolution, 3),
        "QLinearAdd": as_onnx("Add", element_wise, 0, 3),
        "QLinearMul": as_onnx("Mul", element_wise, 0, 3),
        "QLinearConcat": quantized_concat,
        "QLinearAveragePool": as_onnx("AveragePool", pool, 0),
        "QLinearGlobalAveragePool": as_onnx("GlobalAveragePool", global_pool, 0),
        "QLinearReduceMean": as_onnx("ReduceMean", mean, 0),
        "QLinearSigmoid": as_onnx("Sigmoid", activation, 0),
        "QLinearLeakyRelu": as_onnx("LeakyRelu", pass_on, 0),
        "QLinearSoftmax": as_onnx("Softmax", softmax, 0),
        **dict.fromkeys(("Gelu", "QuickGelu"), as_onnx("Gelu", activation, 0)),
        **dict.fromkeys(("BiasGelu", "FastGelu"), biased_gelu),
        **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), skip_norm),
        **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), pass_on),
    }.items()
}
