"""Stored floats of an ONNX file in a narrower type, with a Cast behind each to the type that its readers expect."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_file import FIELDS, OWN_DOMAINS, Array, Proto, as_text, import_onnx
from archmodel.exchange.onnx_pieces import Outside
from archmodel.exchange.onnx_places import StoredTensors

FloatType = Literal["FLOAT16", "BFLOAT16"]
LEAST_OPSET = {"FLOAT16": 6, "BFLOAT16": 13}  # whose Cast has the type
WIDE = ("FLOAT", "DOUBLE")
WORDS_AT_A_TIME = 2**20  # that are made narrow


def check_opset(model: Proto, floats: FloatType) -> None:
    """WorkloadError where the model is of an opset without the type."""
    opset = max((one.version for one in model.opset_import if one.domain in OWN_DOMAINS), default=1)
    if opset < LEAST_OPSET[floats]:
        raise WorkloadError(f"opset {opset} has no Cast from {floats}; allowed: {LEAST_OPSET[floats]} or later")


def narrow(
    model: Proto, names: Collection[str], floats: FloatType, stored: StoredTensors, path: Path
) -> dict[str, Outside]:
    """Store the named tensors in a type of 16 bits, where all their words have it.

    A tensor that holds words beside those that were rounded, of layers that were not asked for, stays as it is.

    path : a file for the words of tensors that are no part of the model; where they are in it, by their new names
    """
    onnx = import_onnx()
    types = onnx.TensorProto.DataType
    taken = {as_text(name) for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= {as_text(tensor.name) for tensor in model.graph.initializer}
    casts, written = [], {}
    with open(path, "wb") as file:
        for name, tensor, node in list(stored_tensors(model, names)):
            wide = types.Name(tensor.data_type)
            bits = None if wide not in WIDE else narrow_bits(stored.array(name), floats)
            if bits is None:
                continue
            new_name = free_name(f"{name}_{floats.lower()}", taken)
            if stored.is_outside(name):
                written[new_name] = Outside(new_name, path, file.tell(), bits.nbytes)
                file.write(bits.data)
            else:
                for key in {key for key, _ in FIELDS.values()}:
                    tensor.ClearField(key)
                tensor.raw_data = bits.tobytes()
            tensor.data_type = types.Value(floats)
            rename(model, name, tensor, node, new_name)
            cast = onnx.helper.make_node("Cast", [new_name], [name], name=f"{new_name}_cast", to=types.Value(wide))
            casts.append((cast, node))
    for cast, node in casts:
        place = 0 if node is None else list(model.graph.node).index(node) + 1
        model.graph.node.insert(place, cast)
    return written


def rename(model: Proto, name: str, tensor: Proto, node: Proto | None, new_name: str) -> None:
    """Give an initializer, or what a Constant node makes, another name."""
    if node is not None:
        node.output[0] = new_name
        return
    tensor.name = new_name
    declared = [one for one in model.graph.input if as_text(one.name) == name]
    for one in declared:  # as files of IR 3 have it; a value that is cast cannot be given from outside
        model.graph.input.remove(one)


def stored_tensors(model: Proto, names: Collection[str]) -> Iterator[tuple[str, Proto, Proto | None]]:
    """Name and tensor of initializers, and of Constant nodes with the node."""
    for tensor in model.graph.initializer:
        if as_text(tensor.name) in names:
            yield as_text(tensor.name), tensor, None
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output and as_text(node.output[0]) in names:
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield as_text(node.output[0]), attribute.t, node


def narrow_bits(array: Array, floats: FloatType) -> Array | None:
    """The 16 bits of every word, in order, little-endian; None where one of them is not of the type."""
    words = array.reshape(-1)
    bits = np.empty(words.size, "<u2")
    for start in range(0, words.size, WORDS_AT_A_TIME):
        part = slice(start, start + WORDS_AT_A_TIME)
        of_part = _narrow_bits(words[part], floats)
        if of_part is None:
            return None
        bits[part] = of_part
    return bits


def _narrow_bits(words: Array, floats: FloatType) -> Array | None:
    with np.errstate(over="ignore"):
        if floats == "FLOAT16":
            half = words.astype(np.float16)
            return half.view(np.uint16) if np.array_equal(half, words) else None
        single = words.astype(np.float32)
    bits = single.view(np.uint32)
    return (bits >> 16).astype(np.uint16) if np.array_equal(single, words) and not (bits & 0xFFFF).any() else None


def free_name(wanted: str, taken: set[str]) -> str:
    """A name that no tensor has, noted as taken."""
    name = wanted
    while name in taken:
        name += "_"
    taken.add(name)
    return name
