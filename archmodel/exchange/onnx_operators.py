"""What reads which operator of ONNX."""

from collections.abc import Callable

from archmodel.exchange.onnx_builder import Builder
from archmodel.exchange.onnx_contrib import CONTRIB
from archmodel.exchange.onnx_file import Node
from archmodel.exchange.onnx_joins import concat, element_wise
from archmodel.exchange.onnx_moves import cut, gather, pad, split
from archmodel.exchange.onnx_others import other, reduction
from archmodel.exchange.onnx_products import PRODUCTS, RECURRENT, product, recurrent
from archmodel.exchange.onnx_transposed import transposed_convolution
from archmodel.exchange.onnx_windows import (
    NORMS,
    activation,
    convolution,
    global_pool,
    mean,
    norm,
    pass_on,
    pool,
    reshape,
    softmax,
    transpose,
)

PASSED_ON = (
    *("Identity", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    # Functions of one element for which archmodel has no name, and which cost no multiplier.
    *("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "HardSwish", "Mish", "Softplus"),
    *("Softsign", "Erf", "Exp", "Log", "Sqrt", "Neg", "Abs", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Not"),
    *("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "IsNaN", "IsInf"),
    *("Shrink", "Swish", "BitwiseNot"),
)
ELEMENT_WISE = (
    *("Add", "Sum", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mean", "Mod", "Where"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "BitShift"),
    *("BitwiseAnd", "BitwiseOr", "BitwiseXor"),
)
REDUCTIONS = (
    *("ReduceSum", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"),
    *("ReduceLogSumExp", "ArgMax", "ArgMin"),
)
OPERATORS: dict[str, Callable[[Builder, Node], None]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), convolution),
    "ConvTranspose": transposed_convolution,
    **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(RECURRENT, recurrent),
    **dict.fromkeys(("MaxPool", "AveragePool"), pool),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), global_pool),
    **dict.fromkeys(("ReduceMean", "ReduceMax"), mean),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(NORMS, norm),
    **dict.fromkeys(("Relu", "Clip", "Gelu", "Sigmoid", "Tanh"), activation),
    **dict.fromkeys(("Softmax", "LogSoftmax"), softmax),
    **dict.fromkeys(ELEMENT_WISE, element_wise),
    "Concat": concat,
    "Transpose": transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Slice": cut,
    "Split": split,
    "Gather": gather,
    "Pad": pad,
    **dict.fromkeys(PASSED_ON, pass_on),
    **CONTRIB,
}


def read_operator(builder: Builder, node: Node) -> None:
    """Read a node that depends on the network's input."""
    OPERATORS.get(node.op_type, other)(builder, node)


PLANES = (
    *(
        "Conv",
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
        "MaxPool",
        "AveragePool",
        "GlobalMaxPool",
        "GlobalAveragePool",
    ),
    *("BatchNormalization", "LRN", "InstanceNormalization", "GroupNormalization", "com.microsoft.FusedConv"),
)
SEQUENCES = (*(name for name in PRODUCTS if "Gemm" not in name), "LayerNormalization", "RMSNormalization")
