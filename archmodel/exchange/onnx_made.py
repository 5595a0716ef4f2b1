"""Tensors that nodes of an ONNX file make of constants alone: computed here, or by a run where the operator is not."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from archmodel.errors import WorkloadError
from archmodel.exchange.onnx_constants import Constant, folded
from archmodel.exchange.onnx_file import Node, Proto, as_text
from archmodel.exchange.onnx_folding import folded_further
from archmodel.exchange.onnx_operands import VARYING

Stored = Callable[[str, Proto, Path], Constant]
BRANCHES = ("then_branch", "else_branch")


def as_stored(_: str, tensor: Proto, folder: Path) -> Constant:
    """A stored tensor of that name as the constant that it is."""
    return Constant.stored(tensor, folder)


def made_constant(
    node: Node, constants: Mapping[str, Constant | None], folder: Path, stored: Stored = as_stored
) -> Constant | None:
    """The first output of a node that reads `constants` only; None for another node, or where it is not computed."""
    if node.op_type == "Constant":
        return _constant(node, folder, stored)
    if not node.outputs or not node.inputs or any(name and constants.get(name) is None for name in node.inputs):
        return None
    inputs = [constants.get(name) for name in node.inputs]
    return folded(node, inputs) or folded_further(node, inputs)


def _constant(node: Node, folder: Path, stored: Stored) -> Constant:
    if not node.outputs:
        raise node.refuse("has no output")
    tensor = node.attribute("value", "t")
    if tensor is not None:
        return stored(node.outputs[0], tensor, folder)
    for key, read in (("value_int", "i"), ("value_ints", "ints"), ("value_float", "f"), ("value_floats", "floats")):
        numbers = node.attribute(key, read)
        if numbers is not None:
            return Constant.of(np.array(numbers, np.int64 if "int" in key else np.float32))
    raise node.refuse("has no tensor")


def left_to_run(model: Proto, folder: Path) -> list[str]:
    """Names of the tensors that layers read and that are made of constants alone, but not by `made_constant`.

    What cannot be read is no constant here: whoever reads the file says so.
    """
    return list(dict.fromkeys(_left(model.graph, {}, folder)))


def _left(graph: Proto, outside: Mapping[str, Constant | None], folder: Path) -> Iterator[str]:
    constants = {**outside, **dict(_initializers(graph.initializer, folder))}
    for proto in graph.node:
        node = Node.of(proto)
        if node.op_type == "If":
            for branch in BRANCHES:
                if branch in node.attributes:
                    yield from _left(node.attributes[branch].g, constants, folder)
        elif node.op_type == "Constant" or (any(node.inputs) and constants.keys() >= {*filter(None, node.inputs)}):
            constants.update(dict.fromkeys(node.outputs))
            if node.outputs:
                constants[node.outputs[0]] = _tried(node, constants, folder)
        elif node.op_type in VARYING:
            yield from (name for name in node.inputs if name in constants and constants[name] is None)


def _initializers(tensors: Iterable[Proto], folder: Path) -> Iterator[tuple[str, Constant]]:
    for tensor in tensors:
        with suppress(WorkloadError):
            yield as_text(tensor.name), Constant.stored(tensor, folder)


def _tried(node: Node, constants: Mapping[str, Constant | None], folder: Path) -> Constant | None:
    try:
        return made_constant(node, constants, folder)
    except WorkloadError:
        return None
