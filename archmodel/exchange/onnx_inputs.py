"""What an ONNX model is given: names, dims and types of its inputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archmodel.errors import WorkloadError, one_line, show
from archmodel.exchange.onnx_file import (
    FIELDS,
    MAX_RANK,
    Node,
    Proto,
    as_text,
    import_onnx,
    one_line_errors,
    open_model,
)
from archmodel.exchange.onnx_inference import declared_dims

RECURRENT = ("LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class ModelInput:
    """A tensor that a run of the model is given."""

    name: str
    dims: tuple[int | str, ...] | None  # a dim without a size is its symbol, "?" if it has none
    dtype: np.dtype[Any]
    steps_first: bool = False  # a recurrent operator reads it, whose first axis is time or direction

    @property
    def batched(self) -> bool:
        """Whether the first axis counts images; an only axis does where its symbol says batch."""
        says_batch = ["batch" in str(dim).lower() for dim in self.dims or ()]
        return bool(says_batch) and (says_batch[0] or not (len(says_batch) == 1 or any(says_batch) or self.steps_first))

    @property
    def batch_axis(self) -> int | None:
        """Which axis counts images, as far as dims say it: the only one behind sizes that has no name, or the first."""
        dims = self.dims or ()
        if dims.count("?") == 1 and isinstance(dims[0], int):
            return dims.index("?")
        return 0 if self.batched else None

    def refuse(self, reason: str) -> WorkloadError:
        """The error that names the input."""
        dims = "no shape" if self.dims is None else show(list(self.dims))
        return WorkloadError(f"input {show(self.name)} ({self.dtype}, {dims}): {reason}")


def model_inputs(path: Path, model: Proto | None = None) -> tuple[ModelInput, ...]:
    """The inputs of the graph that the file has no values for; `model` is the file where it is open already."""
    with one_line_errors(one_line(path.name)):
        graph = (open_model(path) if model is None else model).graph
        stored = {as_text(tensor.name) for tensor in graph.initializer}
        stored |= {as_text(tensor.values.name) for tensor in graph.sparse_initializer}
        recurrent = [Node.of(proto) for proto in graph.node if proto.op_type in RECURRENT]
        steps_first = {node.input(place) for node in recurrent if not node.integer("layout", 0) for place in (0, 5, 6)}
        found: dict[str, ModelInput] = {}
        for given in graph.input:
            name = as_text(given.name)
            if name in found:
                raise WorkloadError(f"input {show(name)}: stands twice")
            if name not in stored:
                found[name] = _model_input(name, given, name in steps_first)
        return tuple(found.values())


def _model_input(name: str, given: Proto, steps_first: bool) -> ModelInput:
    types = {number: kind for kind, number in import_onnx().TensorProto.DataType.items()}
    number = given.type.tensor_type.elem_type
    kind = types.get(number, str(number)) if given.type.HasField("tensor_type") else "no tensor"
    allowed = [field for field in FIELDS if field != "BFLOAT16"]  # which numpy does not have
    if kind not in allowed:
        raise WorkloadError(f"input {show(name)}: type {kind}; allowed: {', '.join(allowed)}")
    declared = declared_dims(given)
    if declared is not None and len(declared) > MAX_RANK:
        raise WorkloadError(f"input {show(name)}: {len(declared)} dims; at most {MAX_RANK}")
    dims = None if declared is None else tuple("?" if isinstance(dim, int) and dim < 1 else dim for dim in declared)
    spelt = {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind.lower())
    return ModelInput(name, dims, np.dtype(spelt), steps_first)
