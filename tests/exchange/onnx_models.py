"""Small ONNX models for tests, and what onnxruntime makes of them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def tensor(name, array):
    """An initializer."""
    return numpy_helper.from_array(np.array(array, order="C"), name)


def floats(*dims, seed=0):
    """Random weights, none of them zero."""
    return (np.random.default_rng(seed).uniform(0.5, 1.5, dims)).astype(np.float32)


def node(op_type, inputs, output, name=None, **attributes):
    """An operator whose name is that of its first output."""
    outputs = [output] if isinstance(output, str) else list(output)
    return helper.make_node(op_type, list(inputs), outputs, name=outputs[0] if name is None else name, **attributes)


def model_of(nodes, inputs, initializers=(), outputs=None, opset=OPSET):
    """A model; `inputs` are dims by name, `initializers` arrays by name, outputs those of the last node."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs.items()]
    names = outputs or [name for name in nodes[-1].output if name]
    made = [helper.make_empty_tensor_value_info(name) for name in names]
    stored = [tensor(name, array) for name, array in dict(initializers).items()]
    graph = helper.make_graph(nodes, "test", given, made, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(model, folder, name="model.onnx"):
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def run(model, feeds):
    """All tensors that the nodes make, by name, as onnxruntime computes them."""
    onnxruntime = pytest.importorskip("onnxruntime")
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    names = [name for one in shown.graph.node for name in one.output if name]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feeds), strict=True))
