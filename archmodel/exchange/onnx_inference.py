"""Shapes of tensors as onnx's own shape inference finds them, in a process of its own.

A damaged model can stop that process, and one of functions that call functions keeps it busy for years.
"""

import subprocess
import sys

from archmodel.exchange.onnx_file import Proto, as_text, import_onnx

Dims = dict[str, list[int | str] | None]
MAX_SECONDS = 10
MAX_MEMORY_BYTES = 2**31
MAX_KEPT_BYTES = 1024  # of a tensor that may say a shape; larger ones are weights
# The process finds modules where this one does, which is not the folder that it runs in.
START = "import sys; sys.path[:] = sys.argv[1:]; from archmodel.exchange.onnx_inference import main; main()"


def inferred_dims(model: Proto) -> Dims:
    """Dims of every tensor of the graph that onnx infers within its bounds; where it cannot, those of the file."""
    from google.protobuf.message import Error

    command = [sys.executable, "-c", START, *sys.path]
    try:
        given = without_weights(model).SerializeToString()
        child = subprocess.run(command, input=given, capture_output=True, timeout=MAX_SECONDS, check=True)
        graph = import_onnx().ModelProto.FromString(child.stdout).graph
    except (subprocess.SubprocessError, OSError, ValueError, Error):
        graph = model.graph
    return {as_text(one.name): declared_dims(one) for one in (*graph.value_info, *graph.output)}


def declared_dims(given: Proto) -> list[int | str] | None:
    """Dims of a tensor that the file declares, a symbol as its name; None if it has no shape."""
    if not given.type.HasField("tensor_type") or not given.type.tensor_type.HasField("shape"):
        return None
    dims = given.type.tensor_type.shape.dim
    return [int(dim.dim_value) if dim.HasField("dim_value") else as_text(dim.dim_param) or "?" for dim in dims]


def without_weights(model: Proto) -> Proto:
    """The model with inputs in the place of large constants, and without functions."""
    onnx = import_onnx()
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.graph.name = "shapes"
    for field in ("input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    declared = {given.name for given in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.ByteSize() <= MAX_KEPT_BYTES and not tensor.data_location:
            light.graph.initializer.append(tensor)
        elif tensor.name not in declared:
            light.graph.input.append(_as_input(tensor.name, tensor))
    for node in model.graph.node:
        if node.op_type == "Constant" and node.ByteSize() > MAX_KEPT_BYTES and node.attribute[0].HasField("t"):
            light.graph.input.append(_as_input(node.output[0], node.attribute[0].t))
        else:
            light.graph.node.append(node)
    return light


def _as_input(name: str, tensor: Proto) -> Proto:
    return import_onnx().helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)


def main() -> None:
    """Read a serialized model from standard input, write it with the shapes that onnx infers."""
    limit_memory()
    onnx = import_onnx()
    model = onnx.ModelProto.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(onnx.shape_inference.infer_shapes(model).SerializeToString())


def limit_memory() -> None:
    """Give this process no more than its bound, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = MAX_MEMORY_BYTES if most == resource.RLIM_INFINITY else min(MAX_MEMORY_BYTES, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
