"""ConvTranspose as what it multiplies: plain convolutions of its input, one for each phase of the stride.

Along an axis the output at s * p + f is a sum over the taps r for which f + pad - r * dilation is a multiple of s, of
the input at p + (f + pad - r * dilation) / s. For one f these taps are equally far apart, so that they are a kernel of
their own, last tap first. The phases are computed one after the other and interleaved by other hardware.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

import numpy as np

from archmodel.exchange.onnx_builder import Builder, Value, plane_axes, renamed
from archmodel.exchange.onnx_constants import Constant
from archmodel.exchange.onnx_file import Array, Node
from archmodel.exchange.onnx_operands import FileTensor, LayerSource
from archmodel.exchange.onnx_others import as_plane
from archmodel.exchange.onnx_windows import spread
from archmodel.network.layer import Layer

MOST_TAPS = 1024  # along an axis; bounds the search for phases
PAIR = tuple[int, int]


@dataclass(frozen=True)
class Phase:
    """A phase along one axis: a convolution of stride 1 over the rows [start, stop) of the input.

    taps : of the kernel of the ConvTranspose, in the order of the inputs that they multiply
    """

    taps: tuple[int, ...]
    dilation: int
    start: int
    stop: int
    padding: PAIR


@dataclass(frozen=True)
class Line:
    """A ConvTranspose along one axis of `size` inputs, whose outputs begin `before` places behind the first tap's."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    num_outputs: int

    def firsts(self) -> list[int]:
        """First outputs of the phases that have taps."""
        found = {(tap * self.dilation - self.before) % self.stride for tap in range(self.kernel)}
        return sorted(first for first in found if first < self.num_outputs)

    def phase(self, first: int) -> Phase | None:
        """The outputs first, first + stride, ...; None where no tap reaches an input."""
        num_outputs = -(-(self.num_outputs - first) // self.stride)
        shifts = {tap: first + self.before - tap * self.dilation for tap in range(self.kernel)}
        reaching = range((1 - num_outputs) * self.stride, self.size * self.stride, self.stride)
        taps = tuple(tap for tap in reversed(shifts) if shifts[tap] in reaching)
        if not taps:
            return None
        from_first, to_last = shifts[taps[0]] // self.stride, num_outputs - 1 + shifts[taps[-1]] // self.stride
        start, stop = max(0, from_first), min(self.size, to_last + 1)
        padding = (max(0, -from_first), max(0, to_last + 1 - self.size))
        return Phase(taps, self.dilation // gcd(self.dilation, self.stride), start, stop, padding)


def transposed_convolution(builder: Builder, node: Node) -> None:
    """ConvTranspose over one or two dimensions."""
    value, weights = as_plane(builder, node, builder.value(node)), builder.required(node, 1)
    batch, *_ = value.axes
    rank, (C, H, W) = len(value.axes), builder.shapes[value.tensor]
    if len(weights.shape) != rank:
        raise node.refuse(f"weights {list(weights.shape)} for an input of {rank} axes")
    depth, columns, R, S = (*weights.shape, 1)[:4]
    kernel, groups = node.integers("kernel_shape", (R, S)[: rank - 2]), node.integer("group", 1)
    if kernel != weights.shape[2:]:
        raise node.refuse(f"kernel_shape = {list(kernel)}: its weights are {list(weights.shape)}")
    if max(R, S) > MOST_TAPS:
        raise node.refuse(f"a kernel of {[R, S]}: at most {MOST_TAPS} along an axis")
    if groups < 1 or depth != C or depth % groups or min(weights.shape) < 1:
        raise node.refuse(f"weights {list(weights.shape)}, group = {groups}, for {list(value.sizes)}")
    rows, cols = _lines(node, (H, W), (R, S), rank - 2)
    phases = [
        (along, across)
        for along in map(rows.phase, rows.firsts())
        for across in map(cols.phase, cols.firsts())
        if along is not None and across is not None
    ]
    if not phases:
        raise node.refuse("no weight reaches an input")
    K, alone = columns * groups, rows.stride * cols.stride == 1
    tensors = []
    for index, phase in enumerate(phases):
        named = node if alone else renamed(node, f".{index}")
        biased = index == 0 and bool(node.input(2))
        layer = _phase_layer(builder, named, value, phase, {"K": K, "groups": groups, "bias": biased})
        builder.weights[layer.name] = _kernel(weights, groups, phase, layer)
        tensors.append(layer.name)
    made = plane_axes(batch, (K, rows.num_outputs, cols.num_outputs), rank)
    if alone:
        return builder.give(node, tensors[0], made)
    joined = builder.add_other(node, [Value(tensor, ()) for tensor in tensors], made)
    return builder.give(node, joined.tensor, made)


def _lines(node: Node, sizes: PAIR, kernel: PAIR, rank: int) -> tuple[Line, Line]:
    """The two axes of a ConvTranspose; the rule of pads and output shape is that of the operator's page."""
    strides, dilations = (spread(node.integers(key, (1,) * rank)) for key in ("strides", "dilations"))
    more = (*node.integers("output_padding", (0,) * rank), 0)
    pads, wanted = node.integers("pads", (0,) * 2 * rank), node.integers("output_shape", ())
    mode = node.text("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"):
        raise node.refuse(f"auto_pad = {mode!r:.60}: allowed: NOTSET, SAME_UPPER, SAME_LOWER, VALID")
    if min(*strides, *dilations) < 1 or min(*more, *pads) < 0:
        raise node.refuse("strides, dilations and pads must not be negative, strides and dilations not 0")
    if wanted and len(wanted) < rank:
        raise node.refuse(f"output_shape = {list(wanted)}: must be {rank} numbers")
    lines = []
    for i in range(2):
        whole = strides[i] * (sizes[i] - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1
        before, after = (pads[i], pads[rank + i]) if i < rank and mode == "NOTSET" else (0, 0)
        if i < rank and (wanted or mode.startswith("SAME")):
            outputs = wanted[len(wanted) - rank + i] if wanted else sizes[i] * strides[i]
            total = max(0, whole - outputs)
            before = total // 2 if mode == "SAME_UPPER" else total - total // 2
            after = total - before
        outputs = whole - before - after
        if outputs < 1:
            raise node.refuse(f"makes {outputs} places of {sizes[i]}")
        lines.append(Line(sizes[i], kernel[i], strides[i], dilations[i], before, outputs))
    return lines[0], lines[1]


def _phase_layer(
    builder: Builder, node: Node, value: Value, phase: tuple[Phase, Phase], fields: dict[str, int]
) -> Layer:
    """The convolution of a phase, behind a slice where it reads a part of the input."""
    along, across = phase
    C, H, W = builder.shapes[value.tensor]
    tensor, window = value.tensor, ((0, C), (along.start, along.stop), (across.start, across.stop))
    if window != ((0, C), (0, H), (0, W)):
        tensor = builder.add(renamed(node, ".input"), "slice", (tensor,), C, window=window).name
    layer = builder.add(
        node,
        "conv",
        (tensor,),
        R=len(along.taps),
        S=len(across.taps),
        dilation=(along.dilation, across.dilation),
        padding=(*along.padding, *across.padding),
        **fields,
    )
    inputs = FileTensor(node.input(0), builder.values[node.input(0)].axes, window=window)
    builder.sources[layer.name] = LayerSource(node, inputs)
    return layer


def _kernel(weights: Constant, groups: int, phase: tuple[Phase, Phase], layer: Layer) -> Callable[[], Array]:
    """The weights [C, K / groups, R, S] of the taps of a phase as [K, C / groups, taps, taps]."""
    along, across = phase

    def load() -> Array:
        array = weights.load()
        C, columns, *_ = array.shape
        kernels = array.reshape(groups, C // groups, columns, array.shape[2], -1)
        taken = kernels[:, :, :, list(along.taps)][..., list(across.taps)]
        return np.ascontiguousarray(taken.swapaxes(1, 2)).reshape(layer.weight_shape)

    return load
