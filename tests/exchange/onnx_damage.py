"""Whole ONNX models and what can be made of them: bytes changed blindly, messages changed with knowledge of them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.exchange.onnx_models import floats, model_of, node
from tests.exchange.test_onnx_file import quantized_and_recurrent_model, small_model
from tests.exchange.test_onnx_light import FOLDER

LIGHT = ("squeezenet", "shufflenet", "zfnet512")
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))
REALS = (0.0, -1.0, 1e-45, 3.4e38, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "x",
    "w",
    "y",
    "\0",
    "a" * 300,
    "../w.bin",
    "n\nn",
    "é",
    "/",
    "ai.onnx",
    "com.microsoft",
    "NOTSET",
    "reverse",
)
PLACES = (
    *("w.bin", "./w.bin", "folder/../w.bin", "../w.bin", "../../../etc/passwd", "/etc/passwd", "/dev/zero", "", "."),
    *("folder", "link", "loop", "outside", "pipe", "w.bin\0", "C:w.bin", "\\w.bin", "model.onnx", "w.bin/", "a" * 5000),
)
EXTERNAL_ENTRIES = ("offset", "length", "checksum", "location")
OP_TYPES = (
    *("Conv", "Gemm", "MatMul", "LSTM", "GRU", "Relu", "Clip", "Reshape", "Flatten", "Transpose", "Squeeze", "Concat"),
    *("Add", "Mul", "MaxPool", "GlobalAveragePool", "BatchNormalization", "LayerNormalization", "Softmax", "Identity"),
    *("DequantizeLinear", "QuantizeLinear", "QLinearConv", "MatMulInteger", "ConstantOfShape", "Constant", "Shape"),
    *("Gather", "If", "Loop", "Unsqueeze", "ReduceMean", "DynamicQuantizeLinear", "Resize", "Slice", "Split", "Pad"),
)


@dataclass
class Seed:
    """A whole model and the files beside it."""

    name: str
    data: bytes
    beside: dict[str, bytes] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Any]:
        """Arrays that a run of the model takes, by name."""
        graph, rng = onnx.ModelProto.FromString(self.data).graph, np.random.default_rng(0)
        stored, arrays = {tensor.name for tensor in graph.initializer}, {}
        for given in graph.input:
            if given.name not in stored:
                dims = [dim.dim_value or 1 for dim in given.type.tensor_type.shape.dim]
                kind = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
                arrays[given.name] = (rng.random(dims) - 0.3).astype(kind)
        return arrays


def seed_models() -> list[Seed]:
    """About ten models: convolutions, codes, gates, products, constants, branches, functions, outside data."""
    made = {
        "convolutions": small_model(),
        "codes_and_gates": quantized_and_recurrent_model(),
        "integer_convolutions": _integer_convolutions(),
        "attention": _attention(),
        "constants": _constants(),
        "branches": _branches(),
        "functions": _functions(called=False),
        "function_calls": _functions(called=True),
    }
    seeds = [Seed(name, model.SerializeToString()) for name, model in made.items()]
    seeds.append(_outside())
    paths = [FOLDER / f"light_{name}.onnx" for name in LIGHT]
    return seeds + [Seed(path.stem, path.read_bytes()) for path in paths if path.is_file()]


def _integer_convolutions() -> onnx.ModelProto:
    codes = np.arange(54).reshape(2, 3, 3, 3)
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        node("ConvInteger", ["q", "w", "qz", "wz"], "c", pads=[1, 1, 1, 1]),
        node("Cast", ["c"], "f", to=1),
        node("QuantizeLinear", ["f", "s", "wz"], "g"),
        node("QLinearConv", ["g", "s", "wz", "v", "s", "wz", "s", "wz", "b"], "d"),
        node("DequantizeLinear", ["d", "s", "wz"], "e"),
        node("GlobalAveragePool", ["e"], "p"),
        node("Flatten", ["p"], "y"),
    ]
    stored = {"w": codes.astype(np.uint8), "v": codes.reshape(3, 2, 3, 3).astype(np.uint8), "s": np.float32(0.1)}
    return model_of(nodes, {"x": (1, 3, 8, 8)}, stored | {"wz": np.uint8(3), "b": np.ones(3, np.int32)})


def _attention() -> onnx.ModelProto:
    nodes = [
        *(node("MatMul", ["x", f"w{one}"], one) for one in "qkv"),
        *(node("Reshape", [one, "heads"], f"{one}h") for one in "qkv"),
        node("Transpose", ["qh"], "qt", perm=[0, 2, 1, 3]),
        node("Transpose", ["kh"], "kt", perm=[0, 2, 3, 1]),
        node("Transpose", ["vh"], "vt", perm=[0, 2, 1, 3]),
        node("MatMul", ["qt", "kt"], "scores"),
        node("Softmax", ["scores"], "p"),
        node("MatMul", ["p", "vt"], "o"),
        node("Transpose", ["o"], "ot", perm=[0, 2, 1, 3]),
        node("Reshape", ["ot", "flat"], "y"),
    ]
    stored = {f"w{one}": floats(8, 8) for one in "qkv"} | {"heads": np.array([0, 0, 2, 4]), "flat": np.array([0, 0, 8])}
    return model_of(nodes, {"x": (1, 6, 8)}, stored)


def _constants() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w"], "c", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Shape", ["c"], "s"),
        node("Gather", ["s", "first"], "n"),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        node("Concat", ["n", "rest"], "dims", axis=0),
        node("Reshape", ["c", "dims"], "f"),
        node("ConstantOfShape", ["size"], "m"),
        node("Add", ["m", "one"], "k"),
        node("Transpose", ["k"], "t", perm=[1, 0]),
        node("Gemm", ["f", "t", "one"], "y", transB=1),
    ]
    stored = {"w": floats(2, 3, 3, 3), "first": np.array([0]), "size": np.array([32, 5]), "one": np.float32(1)}
    return model_of(nodes, {"x": (1, 3, 8, 8)}, stored)


def _branches() -> onnx.ModelProto:
    def branch(name: str) -> onnx.GraphProto:
        made = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
        return helper.make_graph([helper.make_node("Gemm", ["h", "w"], ["z"], name=name)], name, [], made)

    nodes = [
        node("Relu", ["x"], "h"),
        node("If", ["flag"], "b", then_branch=branch("yes"), else_branch=branch("no")),
        node("Gemm", ["h", "w"], "y"),
    ]
    return model_of(nodes, {"x": (1, 4)}, {"w": floats(4, 4), "flag": np.array(True)}, outputs=["b", "y"])


def _functions(called: bool) -> onnx.ModelProto:
    """A model with a function; one that is called can be run but not read."""
    last = node("Own", ["g"], "y", domain="own") if called else node("Relu", ["g"], "y")
    model = model_of([node("Gemm", ["x", "w"], "g"), last], {"x": (1, 4)}, {"w": floats(4, 4)})
    model.opset_import.append(helper.make_opsetid("own", 1))
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("own", "Own", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    model.metadata_props.add(key="made", value="by hand")
    return model


def _outside() -> Seed:
    model, weights = model_of([node("Gemm", ["x", "w"], "y")], {"x": (1, 4)}), floats(4, 3)
    stored = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "w.bin"), ("offset", "16"), ("length", str(weights.nbytes))):
        stored.external_data.add(key=key, value=value)
    model.graph.initializer.append(stored)
    return Seed("outside", model.SerializeToString(), {"w.bin": bytes(16) + weights.tobytes()})


# Bytes


def damaged_bytes(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The file with one thing done to its bytes; `other` is another file to take from."""
    changed = bytearray(data)
    start = rng.randrange(len(changed) + 1)
    size = min(2 ** rng.randrange(10), len(changed) - start)
    match rng.randrange(8):
        case 0:
            for _ in range(2 ** rng.randrange(6)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        case 1:
            changed[start : start + size] = rng.randbytes(size)
        case 2:
            del changed[start : start + size]
        case 3:
            changed[start:start] = changed[start : start + size] * rng.choice((1, 2, 100))
        case 4:
            del changed[start:]
        case 5:
            from_other = rng.randrange(len(other))
            changed[start:] = other[from_other:]
        case 6:
            changed[start : start + 1] = b"\xff" * rng.randrange(1, 10) + bytes([rng.randrange(128)])
        case _:
            changed += rng.choice((b"\x3a\x02\x0a\x00", b"\x0b", b"\x3a\xff\xff\xff\xff\x0f", bytes(64), data))
    return bytes(changed)


# Messages


def parts(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every message in a message, and every field of it that is there."""
    for described, value in message.ListFields():
        yield message, described
        if described.message_type is not None:
            for below in value if described.is_repeated else (value,):
                yield from parts(below)


def damaged_message(rng: random.Random, model: Any) -> None:
    """Change one field of one message of the model."""
    names = [name for one in model.graph.node for name in (*one.input, *one.output)] or ["x"]
    found = list(parts(model))
    kind = rng.choice(sorted({described.name for _, described in found}))  # else the most common would be all
    message, described = rng.choice([one for one in found if one[1].name == kind])
    values = getattr(message, described.name)
    if described.is_repeated and rng.random() < 0.5:
        _change_list(rng, values)
    elif described.message_type is not None:
        same = [one for one, _ in found if one.DESCRIPTOR is described.message_type]
        target = rng.choice(list(values)) if described.is_repeated else values
        source = rng.choice(same) if same else None
        if source is None or rng.random() < 0.3:
            target.Clear()
        else:
            target.CopyFrom(type(source).FromString(source.SerializeToString()))
    else:
        new = _new_value(rng, described, names)
        if described.is_repeated:
            values[rng.randrange(len(values))] = new
        else:
            setattr(message, described.name, new)


def _change_list(rng: random.Random, values: Any) -> None:
    """Leave out, repeat or exchange elements of a repeated field."""
    place, stored = rng.randrange(len(values)), list(values)
    match rng.randrange(4):
        case 0:
            del values[place]
        case 1:
            values.extend([stored[place]] * rng.choice((1, 2, 20)))
        case 2:
            del values[:]
        case _:
            rng.shuffle(stored)
            copies = [type(one).FromString(one.SerializeToString()) if hasattr(one, "Clear") else one for one in stored]
            del values[:]
            values.extend(copies)


def _new_value(rng: random.Random, described: Any, names: list[str]) -> Any:
    if described.type in (described.TYPE_FLOAT, described.TYPE_DOUBLE):
        return rng.choice(REALS)
    if described.type == described.TYPE_BYTES:
        return rng.choice((b"", rng.randbytes(7), b"SAME_UPPER", b"bidirectional", b"\xff" * 100))
    if described.type == described.TYPE_STRING:
        if described.name == "op_type":
            return rng.choice(OP_TYPES)
        if described.name == "value":
            return rng.choice(PLACES + tuple(map(str, NUMBERS)))
        return rng.choice(TEXTS) if rng.random() < 0.4 else rng.choice(names)
    if described.type == described.TYPE_ENUM:
        return rng.choice(described.enum_type.values).number
    least, most = (-(2**31), 2**31 - 1) if described.type == described.TYPE_INT32 else (-(2**63), 2**63 - 1)
    least = 0 if described.type == described.TYPE_UINT64 else least
    return rng.choice([number for number in NUMBERS if least <= number <= most])


def bound_to_outside(rng: random.Random, model: Any) -> None:
    """Say that a stored tensor lies in another file, at a place and of a length that may not be."""
    tensors = list(model.graph.initializer)
    if not tensors:
        return
    tensor = rng.choice(tensors)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value=rng.choice(PLACES))
    for key in rng.sample(EXTERNAL_ENTRIES, rng.randrange(3)):
        tensor.external_data.add(key=key, value=rng.choice((*map(str, NUMBERS), "1e3", "٣", "")))


def joined_in_a_circle(rng: random.Random, model: Any) -> None:
    """Let a node read what a node below it makes, or itself."""
    nodes = list(model.graph.node)
    reader, maker = rng.choice(nodes), rng.choice(nodes)
    if reader.input and maker.output:
        reader.input[rng.randrange(len(reader.input))] = rng.choice(list(maker.output))


def damaged(rng: random.Random, seeds: list[Seed]) -> Seed:
    """One of the models with one thing or a few done to it."""
    seed = rng.choice(seeds)
    beside = seed.beside or {"w.bin": bytes(256)}
    if rng.random() < 0.4:
        return Seed(seed.name, damaged_bytes(rng, seed.data, rng.choice(seeds).data), beside)
    model = onnx.ModelProto.FromString(seed.data)
    changes: list[Callable[[random.Random, Any], None]] = [damaged_message] * 8 + [bound_to_outside, joined_in_a_circle]
    for _ in range(rng.choice((1, 1, 2, 4))):
        if model.graph.node:
            rng.choice(changes)(rng, model)
    if rng.random() < 0.3:
        beside = {name: rng.choice((data, data[:-1], data * 2, b"")) for name, data in beside.items()}
    return Seed(seed.name, model.SerializeToString(), beside)
