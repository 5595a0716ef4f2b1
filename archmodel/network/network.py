"""A network: layers in execution order, joined by the names of the tensors that they read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from archmodel.errors import WorkloadError, did_you_mean, show
from archmodel.network.layer import GATES, Layer, Shape, check_input_count
from archmodel.network.published import PublishedTotal
from archmodel.network.reach import Reach
from archmodel.network.zeros import Zeros

BYTES_PER_PARAMETER = 4  # what frameworks store and publish


def joined_shape(
    name: str, kind: str, inputs: tuple[str, ...], shapes: Mapping[str, Shape], below: Collection[str] = ()
) -> Shape:
    """The input shape of a layer that reads ``inputs``, given the ``shapes`` of all tensors made before it.

    An add and a multiply repeat what has size 1 along an axis, a concat adds channels, an fc flattens, a recurrent
    layer takes the columns of a row as further features of that step; of a matmul and an other it is the shape of the
    first input. Raises WorkloadError for an unknown producer, for one of the layers ``below`` (which would be a cycle),
    and where shapes do not join.
    """
    check_input_count(name, kind, inputs)
    where = f"layer {show(name)}: inputs = {show(list(inputs))}: "
    for producer in inputs:
        if producer not in shapes:
            what = "stands below or is itself" if producer in below else "is no layer or network input"
            raise WorkloadError(
                f"{where}{show(producer)} {what}; a layer reads network inputs and layers above it"
                f"{did_you_mean(producer, shapes)}"
            )
    first, *others = (shapes[producer] for producer in inputs)
    if kind in ("add", "multiply"):
        C, H, W = (max(sizes) for sizes in zip(first, *others, strict=True))
        if any(size not in (1, whole) for one in (first, *others) for size, whole in zip(one, (C, H, W), strict=True)):
            raise WorkloadError(f"{where}{kind} needs equal shapes, not {_listed(inputs, shapes)}")
        return (C, H, W)
    if kind == "concat":
        if any(other[1:] != first[1:] for other in others):
            raise WorkloadError(f"{where}concat needs equal planes (H, W), not {_listed(inputs, shapes)}")
        return (first[0] + sum(other[0] for other in others), first[1], first[2])
    if kind == "fc":
        return (first[0] * first[1] * first[2], 1, 1)
    if kind in GATES:
        return (first[0] * first[2], first[1], 1)
    return first


def matmul_kernels(name: str, inputs: tuple[str, ...], mode: str, heads: int, shapes: Mapping[str, Shape]) -> int:
    """Kernels (output channels) of all heads of a matmul, which its second input holds.

    ``mode`` transposed: a kernel for each position of B in each head; product: one for each channel of B. Raises
    WorkloadError where the shapes do not multiply.
    """
    first, second = (shapes[producer] for producer in inputs)
    positions = second[1] * second[2]
    where = f"layer {show(name)}: inputs = {show(list(inputs))}: "
    if mode == "transposed":
        if first[0] != second[0]:
            raise WorkloadError(f"{where}A times B^T needs equal channels, not {_listed(inputs, shapes)}")
        return heads * positions
    if first[0] != heads * positions:
        raise WorkloadError(
            f"{where}A times B needs {heads * positions} channels of A, heads x positions of B,"
            f" not {_listed(inputs, shapes)}"
        )
    return second[0]


def _listed(inputs: tuple[str, ...], shapes: Mapping[str, Shape]) -> str:
    return " and ".join("x".join(map(str, shapes[producer])) for producer in dict.fromkeys(inputs))


@dataclass(frozen=True)
class Network:
    """A directed acyclic graph of layers; the batch is an argument of a run, not a field.

    ``inputs`` are the network's own tensors (C, H, W); the output of a layer is a tensor of the layer's name.
    ``zeros`` describes layers that multiply by name, those with a ``weight_mask`` have it in a file in ``folder``.
    ``published`` are those of the ``totals`` that others give, ``left_out`` what of a file could not be read, as
    ``name (operator)``, ``weights_note`` what archmodel has done to the weights of the file, ``weight_bits`` by layer
    those of a stored weight where the file has codes or narrow floats. Inconsistent graphs raise WorkloadError.
    """

    name: str
    title: str
    source: str
    inputs: Mapping[str, Shape]
    layers: tuple[Layer, ...]
    zeros: Mapping[str, Zeros] = field(default_factory=dict)
    published: Mapping[str, PublishedTotal] = field(default_factory=dict)
    folder: Path = Path()
    left_out: tuple[str, ...] = ()
    weights_note: str = ""
    weight_bits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = dict(self.inputs)
        below = {layer.name for layer in self.layers}
        for layer in self.layers:
            if layer.name in shapes:
                raise WorkloadError(f"layer {show(layer.name)}: name is already taken; names must differ")
            shape = joined_shape(layer.name, layer.kind, layer.inputs, shapes, below)
            if layer.input_shape != shape:
                raise WorkloadError(
                    f"layer {show(layer.name)}: input shape = {list(layer.input_shape)}:"
                    f" its producers give {list(shape)}"
                )
            if layer.kind == "matmul":
                kernels = matmul_kernels(layer.name, layer.inputs, layer.mode, layer.groups, shapes)
                if kernels != layer.K:
                    raise WorkloadError(f"layer {show(layer.name)}: K = {layer.K}: its second input has {kernels}")
            shapes[layer.name] = layer.output_shape
        for name in self.inputs:
            if not self.consumers[name]:
                raise WorkloadError(f"network input {show(name)}: no layer reads it")
        for name, zeros in self.zeros.items():
            zeros.check(self.layer(name))

    @cached_property
    def _by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> Layer:
        """The layer of that name; WorkloadError with the nearest one if there is none."""
        if name not in self._by_name:
            raise WorkloadError(f"{self.name}: no layer {show(name)}{did_you_mean(name, self._by_name)}")
        return self._by_name[name]

    @cached_property
    def compute_layers(self) -> tuple[Layer, ...]:
        """The layers that multiply, in execution order."""
        return tuple(layer for layer in self.layers if layer.is_compute)

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """For every tensor (network inputs, layer outputs) the names of the layers that read it, in order."""
        readers: dict[str, list[str]] = {name: [] for name in (*self.inputs, *self._by_name)}
        for layer in self.layers:
            for tensor in dict.fromkeys(layer.inputs):
                readers[tensor].append(layer.name)
        return {tensor: tuple(names) for tensor, names in readers.items()}

    @cached_property
    def learning(self) -> frozenset[str]:
        """The layers in or above which weights stand: training needs the gradients of their outputs."""
        found: set[str] = set()
        for layer in self.layers:
            if layer.parameters or not found.isdisjoint(layer.inputs):
                found.add(layer.name)
        return frozenset(found)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each layer stands in the order of execution, by name."""
        return {name: place for place, name in enumerate(self._by_name)}

    @cached_property
    def reach(self) -> Reach:
        """Who reads every tensor, behind layers that machines apply on the way."""
        return Reach.of(self.inputs, self.layers)

    @cached_property
    def states_inputs(self) -> bool:
        """Whether something is stated of the zeros that any layer reads."""
        return any(zeros.input_density is not None or zeros.weight_density is not None for zeros in self.zeros.values())

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Trained words."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def totals(self) -> dict[str, float]:
        """What is published of networks, for one image; parameters_mib is that of 4-byte words."""
        return {
            "parameters": self.parameters,
            "parameters_mib": BYTES_PER_PARAMETER * self.parameters / 2**20,
            "macs": self.macs,
            "conv_macs": sum(layer.macs for layer in self.layers if layer.kind == "conv"),
        }

    def select(self, pattern: str) -> tuple[Layer, ...]:
        """The layers, in execution order, whose name matches one of the comma-separated globs.

        A glob that matches nothing raises WorkloadError with the nearest name.
        """
        globs = [glob.strip() for glob in pattern.split(",")]
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in self._by_name):
                nearest = did_you_mean(glob, self._by_name)
                raise WorkloadError(f"{self.name}: no layer matches {show(glob)}{nearest}")
        return tuple(layer for layer in self.layers if any(fnmatchcase(layer.name, glob) for glob in globs))

    def weight_mask_file(self, name: str) -> tuple[Path, str] | None:
        """File and key of the real weight mask of a layer, or None if it has none."""
        zeros = self.zeros.get(name)
        if zeros is None or zeros.weight_mask is None:
            return None
        file, _, key = zeros.weight_mask.rpartition(":")
        return self.folder / file, key
