"""If nodes of an ONNX graph replaced by the branch that is taken, and graphs cut down to the tensors asked for."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from archmodel.errors import WorkloadError, show
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import Node, Proto, as_text, import_onnx

BRANCHES = {True: "then_branch", False: "else_branch"}


def deciding_tensors(model: Proto) -> dict[str, str]:
    """The boolean tensor that decides, by the name of every If node of the main graph."""
    found: dict[str, str] = {}
    for proto in model.graph.node:
        if proto.op_type == "If":
            node = Node.of(proto)
            if node.name in found:
                raise node.refuse("another If node has this name")
            found[node.name] = node.input(0)
    return found


def inlined(model: Proto, conditions: Mapping[str, bool]) -> Proto:
    """A model without the If nodes that `conditions` has by name, their own or that of their first output.

    Nodes and stored tensors of the branch taken move to the main graph, where an Identity gives each of its outputs the
    name that the If node has for it. A tensor or node of the branch keeps its name unless that is taken elsewhere; an
    If node in the branch of `outer` is called `outer/name`. The model itself where there is nothing to replace.
    """
    copy = model
    while not conditions.keys().isdisjoint(deciding_tensors(copy)):
        if copy is model:
            copy = import_onnx().ModelProto()
            copy.CopyFrom(model)
        _inline_once(copy.graph, conditions)
    return copy


def without_branches(model: Proto, folder: Path, conditions: Mapping[str, bool]) -> Proto:
    """The model with the branches of `conditions`, or that constants of the file choose; itself where there is none."""
    while True:
        model = inlined(model, conditions)
        stored = {as_text(tensor.name): tensor for tensor in model.graph.initializer}
        for proto in model.graph.node:
            if proto.op_type == "Constant" and proto.output and proto.attribute:
                stored[as_text(proto.output[0])] = proto.attribute[0].t
        chosen = {
            name: bool(Constant.stored(stored[decides], folder).load().reshape(-1)[0])
            for name, decides in deciding_tensors(model).items()
            if decides in stored and Constant.stored(stored[decides], folder).words == 1
        }
        if not chosen:
            return model
        conditions = chosen


def _inline_once(graph: Proto, conditions: Mapping[str, bool]) -> None:
    defined = Counter(_all_names(graph))
    nodes = list(graph.node)
    node_names = {proto.name for proto in nodes}
    del graph.node[:]
    for proto in nodes:
        name = Node.of(proto).name
        if proto.op_type != "If" or name not in conditions:
            graph.node.append(proto)
            continue
        branch = _branch(proto, conditions[name])
        elsewhere = defined - Counter(_names_below(proto))
        new_names: dict[str, str] = {}
        for old in _own_names(branch):
            if old in elsewhere:
                new_names[old] = _free_name(f"{name}/{old}", defined)
                defined[new_names[old]] += 1
        _rename(branch, new_names)
        _move_branch(branch, proto, node_names, graph)


def _branch(proto: Proto, condition: bool) -> Proto:
    """The graph that a condition chooses; WorkloadError if it does not give what the If node gives."""
    node = Node.of(proto)
    attribute = node.attributes.get(BRANCHES[condition])
    if attribute is None or not attribute.HasField("g"):
        raise node.refuse(f"has no {BRANCHES[condition]}")
    branch = attribute.g
    if branch.input or len(branch.output) != len(proto.output):
        raise node.refuse(f"its {BRANCHES[condition]} must have no inputs and {len(proto.output)} outputs")
    return branch


def _move_branch(branch: Proto, proto: Proto, node_names: set[str], graph: Proto) -> None:
    """Append what a branch holds to the main graph, whose nodes have `node_names`: those stay unique."""
    name = Node.of(proto).name
    for inner in branch.node:
        if inner.op_type == "If":
            inner.name = _free_name(f"{name}/{Node.of(inner).name}", node_names)
        elif inner.name and inner.name in node_names:
            inner.name = _free_name(f"{name}/{inner.name}", node_names)
        node_names.add(inner.name)
    graph.node.extend(branch.node)
    graph.initializer.extend(branch.initializer)
    graph.sparse_initializer.extend(branch.sparse_initializer)
    for output, inner in zip(proto.output, branch.output, strict=True):
        if output:
            own_name = _free_name(output, node_names)
            node_names.add(own_name)
            graph.node.add(op_type="Identity", name=own_name, input=[inner.name], output=[output])


def _free_name(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _graphs(node: Proto) -> Iterator[Proto]:
    """The graphs right below a node: branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _own_names(graph: Proto) -> Iterator[Any]:
    """Names of the tensors that a graph itself defines, without those of graphs below."""
    yield from (one.name for one in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (tensor.values.name for tensor in graph.sparse_initializer)
    yield from (name for node in graph.node for name in node.output if name)


def _all_names(graph: Proto) -> Iterator[Any]:
    yield from dict.fromkeys(_own_names(graph))
    for node in graph.node:
        yield from _names_below(node)


def _names_below(node: Proto) -> Iterator[Any]:
    for below in _graphs(node):
        yield from _all_names(below)


def _rename(graph: Proto, new_names: Mapping[str, str]) -> None:
    """Give tensors of a graph new names, also where graphs below read them."""
    if not new_names:
        return
    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer), *graph.output):
        tensor.name = new_names.get(tensor.name, tensor.name)
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in new_names:
                    names[place] = new_names[name]
        for below in _graphs(node):
            hidden = set(_own_names(below))
            _rename(below, {old: new for old, new in new_names.items() if old not in hidden})


def made_tensors(model: Proto) -> list[str]:
    """Names of the tensors that the nodes of the main graph make; one that is no text is left out."""
    return [name for node in model.graph.node for name in node.output if name and isinstance(name, str)]


def stored_dims(model: Proto) -> dict[str, list[int]]:
    """Dims of the stored tensors of the main graph, as the file says them."""
    return {as_text(tensor.name): list(tensor.dims) for tensor in model.graph.initializer}


def with_outputs(model: Proto, names: Iterable[str]) -> Proto:
    """A model of the nodes and stored tensors that `names` need, with `names` as its outputs and all inputs."""
    names = list(dict.fromkeys(names))
    needed, nodes = set(names), []
    for node in reversed(model.graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(_reads(node))
            nodes.append(node)
    part = import_onnx().ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.functions.extend(model.functions)
    graph = part.graph
    graph.name = "part"
    graph.node.extend(reversed(nodes))
    graph.input.extend(model.graph.input)
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in needed)
    graph.sparse_initializer.extend(one for one in model.graph.sparse_initializer if one.values.name in needed)
    set_outputs(part, names)
    return part


def _reads(node: Proto) -> Iterator[Any]:
    """Names that a node or a graph below it reads; those that a graph below makes itself are among them."""
    yield from node.input
    for below in _graphs(node):
        yield from (output.name for output in below.output)
        for inner in below.node:
            yield from _reads(inner)


def read_names(model: Proto) -> set[Any]:
    """Names of the tensors that something reads: nodes, graphs below them, or who runs the model."""
    return {name for node in model.graph.node for name in _reads(node)} | {one.name for one in model.graph.output}


def set_outputs(model: Proto, names: Iterable[str]) -> None:
    """Make tensors of the main graph the outputs of the model, whose types and dims are left to be found."""
    del model.graph.output[:]
    for name in dict.fromkeys(names):
        model.graph.output.add(name=name)


def add_shape_nodes(model: Proto, names: Iterable[str]) -> dict[str, str]:
    """Give the model an output for the dims of each tensor `names`: name of that output by tensor."""
    taken = set(_all_names(model.graph))
    outputs = {}
    for place, name in enumerate(names):
        output = _free_name(f"dims of {place}", taken)
        model.graph.node.add(op_type="Shape", input=[name], output=[output])
        model.graph.output.add(name=output)
        outputs[name] = output
    return outputs


def refuse_condition(name: str, shape: tuple[int, ...]) -> WorkloadError:
    """The error over an If node whose condition is not one boolean."""
    return WorkloadError(f"node {show(name)} (If): its condition has dims {list(shape)}; allowed: one boolean")
