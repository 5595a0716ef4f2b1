"""One layer of a network: its shapes and sizes in words, and what is known about its zeros."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from archmodel.errors import WorkloadError, did_you_mean, show

LayerKind = Literal["conv", "fc", "pool", "norm", "activation", "add", "concat", "softmax", "slice", "dropout"]
Shape = tuple[int, int, int]
Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

KINDS: tuple[str, ...] = get_args(LayerKind)
COMPUTE_KINDS = ("conv", "fc")
WINDOW_KINDS = ("conv", "pool")
JOIN_KINDS = ("add", "concat")
MODES = {"pool": ("max", "average"), "norm": ("lrn", "batch"), "activation": ("relu", "sigmoid", "tanh")}

# Bounds every size and every tensor, so that the MACs of an image, at most output words x weight words, fit int64.
MAX_WORDS = 2**31
STRUCTURE_PATTERN = r"space_to_depth:[1-9]\d{0,4}(,[1-9]\d{0,4}){2}"
NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_./:+-]{0,127}"


def window_count(extent: int, kernel: int, stride: int, before: int, after: int, dilation: int, ceil: bool) -> int:
    """Positions of a sliding window along one axis of ``extent`` words, padded ``before`` and ``after``.

    ``ceil`` is Caffe's pooling rule: a last window may hang over the end, but one that would start beyond the
    input, in the padding behind it, is dropped.
    """
    free = extent + before + after - (dilation * (kernel - 1) + 1)
    steps = -(-free // stride) if ceil else free // stride
    if ceil and steps * stride >= extent + before:
        steps -= 1
    return steps + 1


def check_input_count(name: str, kind: str, inputs: tuple[str, ...]) -> None:
    """Joins read two tensors or more, every other kind reads one; else WorkloadError."""
    fits = len(inputs) >= 2 if kind in JOIN_KINDS else len(inputs) == 1
    if not fits:
        allowed = "two or more" if kind in JOIN_KINDS else "one"
        raise WorkloadError(f"layer {show(name)}: inputs = {show(list(inputs))}: {kind} must have {allowed}")


@dataclass(frozen=True)
class Layer:
    """A layer, for one image.

    ``inputs`` are names of layers or network inputs. ``input_shape`` is (C, H, W): of the first input for an add, of
    the result for a concat, (C*H*W, 1, 1) for an fc. ``padding`` is (top, bottom, left, right), ``stride`` and
    ``dilation`` (vertical, horizontal). ``window`` ([from, to) along C, H, W) is what a slice keeps, ``ceil``
    rounds the outputs of a pool up as Caffe does. Impossible layers raise WorkloadError.
    """

    name: str
    kind: LayerKind
    inputs: tuple[str, ...]
    input_shape: Shape
    K: int
    R: int = 1
    S: int = 1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    mode: str = ""
    ceil: bool = False
    window: Window | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME_PATTERN, self.name):
            raise WorkloadError(
                f"layer {show(self.name)}: name must be 1 to 128 letters, digits or any of _ . / : + -,"
                " a letter, digit or _ first"
            )
        if self.kind not in KINDS:
            self._refuse("kind", self.kind, f"must be one of {', '.join(KINDS)}{did_you_mean(self.kind, KINDS)}")
        check_input_count(self.name, self.kind, self.inputs)
        modes = MODES.get(self.kind, ("",))
        if self.mode not in modes:
            allowed = f"must be {' or '.join(modes)}" if self.kind in MODES else f"{self.kind} has no mode"
            self._refuse("mode", self.mode, allowed + did_you_mean(self.mode, modes))
        self._check_ranges()
        self._check_channels()
        if self.kind in WINDOW_KINDS:
            self._check_kernel()
        self._check_slice()
        for key, words in (("input", self.input_words), ("output", self.output_words), ("weight", self.weight_words)):
            if words > MAX_WORDS:
                self._refuse(f"{key} words", words, f"must be at most {MAX_WORDS}")

    def _refuse(self, key: str, value: object, allowed: str) -> None:
        raise WorkloadError(f"layer {show(self.name)}: {key} = {show(value)}: {allowed}")

    def _check_ranges(self) -> None:
        at_least_one = {
            "input shape": list(self.input_shape),
            "K": [self.K],
            "kernel": [self.R, self.S],
            "stride": list(self.stride),
            "dilation": list(self.dilation),
            "groups": [self.groups],
        }
        for key, values in (*at_least_one.items(), ("padding", list(self.padding))):
            lowest = 1 if key in at_least_one else 0
            if not all(lowest <= value <= MAX_WORDS for value in values):
                self._refuse(key, values[0] if len(values) == 1 else values, f"must be from {lowest} to {MAX_WORDS}")

    def _check_channels(self) -> None:
        if self.C % self.groups or self.K % self.groups:
            self._refuse("groups", self.groups, f"must divide C = {self.C} and K = {self.K}")
        if self.groups > 1 and self.kind != "conv":
            self._refuse("groups", self.groups, f"{self.kind} has no groups")
        if self.kind == "fc" and (self.H, self.W) != (1, 1):
            self._refuse("input shape", list(self.input_shape), "fc reads a flattened input, [C, 1, 1]")
        if self.kind not in (*COMPUTE_KINDS, "slice") and self.K != self.C:
            self._refuse("K", self.K, f"{self.kind} keeps its channels, K must be C = {self.C}")

    def _check_kernel(self) -> None:
        top, bottom, left, right = self.padding
        span = [self.dilation[0] * (self.R - 1) + 1, self.dilation[1] * (self.S - 1) + 1]
        padded = [self.H + top + bottom, self.W + left + right]
        if span[0] > padded[0] or span[1] > padded[1]:
            spanning = f" spans {span} with dilation {list(self.dilation)}," if self.dilation != (1, 1) else ""
            self._refuse("kernel", [self.R, self.S], f"{spanning} must be at most the padded input, {padded}".strip())
        if self.kind == "pool" and (max(top, bottom) >= self.R or max(left, right) >= self.S):
            self._refuse("padding", list(self.padding), f"must be below the kernel, {[self.R, self.S]}")

    def _check_slice(self) -> None:
        if (self.window is None) == (self.kind == "slice"):
            self._refuse("window", self.window, "is what a slice keeps, and of no other kind")
        if self.window is None:
            return
        for key, (start, stop), size in zip(("channels", "rows", "cols"), self.window, self.input_shape, strict=True):
            if not 0 <= start < stop <= size:
                self._refuse(key, [start, stop], f"must be [from, to) with 0 <= from < to <= {size}")
        start, stop = self.window[0]
        if stop - start != self.K:
            self._refuse("K", self.K, "must be the number of channels that the slice keeps")

    @property
    def C(self) -> int:
        return self.input_shape[0]

    @property
    def H(self) -> int:
        return self.input_shape[1]

    @property
    def W(self) -> int:
        return self.input_shape[2]

    @property
    def P(self) -> int:
        """Output rows."""
        return self._outputs(axis=0)

    @property
    def Q(self) -> int:
        """Output columns."""
        return self._outputs(axis=1)

    def _outputs(self, axis: int) -> int:
        extent = self.input_shape[1 + axis]
        if self.window is not None:
            start, stop = self.window[1 + axis]
            return stop - start
        if self.kind not in WINDOW_KINDS:
            return extent
        before, after = self.padding[2 * axis : 2 * axis + 2]
        kernel = (self.R, self.S)[axis]
        return window_count(extent, kernel, self.stride[axis], before, after, self.dilation[axis], self.ceil)

    @property
    def output_shape(self) -> Shape:
        return (self.K, self.P, self.Q)

    @property
    def is_compute(self) -> bool:
        """Whether the layer multiplies: conv and fc."""
        return self.kind in COMPUTE_KINDS

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(K, C/groups, R, S) of a conv or fc; meaningless for other kinds."""
        return (self.K, self.C // self.groups, self.R, self.S)

    @property
    def weight_words(self) -> int:
        return self.K * (self.C // self.groups) * self.R * self.S if self.is_compute else 0

    @property
    def bias_words(self) -> int:
        return self.K if self.is_compute and self.bias else 0

    @property
    def parameters(self) -> int:
        """Trained words: weights and biases; a batch norm has a scale and a shift per channel."""
        batch_norm = 2 * self.C if self.kind == "norm" and self.mode == "batch" else 0
        return self.weight_words + self.bias_words + batch_norm

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one image, K*P*Q*(C/groups)*R*S, those with padding included."""
        return self.weight_words * self.P * self.Q

    @property
    def input_words(self) -> int:
        """Words of everything the layer reads; an add reads all its inputs."""
        return self.C * self.H * self.W * (len(self.inputs) if self.kind == "add" else 1)

    @property
    def output_words(self) -> int:
        return self.K * self.P * self.Q


@dataclass(frozen=True)
class Zeros:
    """What is published or stated about the non-zeros of a conv or fc layer; ``source`` says by whom or why.

    At most one of ``weight_nonzeros`` (a count), ``weight_density`` and ``weight_mask`` ("file.npz:key", the
    numpy.packbits of the flattened K, C, R, S mask). Densities are fractions of non-zeros; ``output_density`` is
    after the activation, before any pooling. ``structure`` = "space_to_depth:R,S,stride" says that the layer is an
    R x S kernel with a stride, rearranged to stride 1: only weights of that kernel exist.
    """

    source: str
    weight_nonzeros: int | None = None
    weight_density: float | None = None
    weight_mask: str | None = None
    input_density: float | None = None
    output_density: float | None = None
    structure: str | None = None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise WorkloadError("zeros_source: is missing; say where the numbers of non-zeros come from")
        for key in ("weight_density", "input_density", "output_density"):
            density = getattr(self, key)
            if density is not None and not 0.0 <= density <= 1.0:
                raise WorkloadError(f"{key} = {show(density)}: must be from 0 to 1")
        keys = ("weight_nonzeros", "weight_density", "weight_mask")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise WorkloadError(f"{given[1]} = {show(getattr(self, given[1]))}: {given[0]} is given already")
        if self.weight_mask is not None and not re.fullmatch(r".+\.npz:[^:]+", self.weight_mask):
            raise WorkloadError(f'weight_mask = {show(self.weight_mask)}: must be "file.npz:key"')
        if self.structure is not None and not re.fullmatch(STRUCTURE_PATTERN, self.structure):
            raise WorkloadError(f'structure = {show(self.structure)}: must be "space_to_depth:R,S,stride"')

    @property
    def space_to_depth(self) -> tuple[int, int, int] | None:
        """R, S and stride of the kernel before it was rearranged."""
        if self.structure is None:
            return None
        R, S, stride = (int(part) for part in self.structure.partition(":")[2].split(","))
        return R, S, stride

    def check(self, layer: Layer) -> None:
        """WorkloadError if ``layer`` cannot have these zeros."""
        where = f"layer {show(layer.name)}: "
        if not layer.is_compute:
            raise WorkloadError(f"{where}only conv and fc layers have non-zeros, not {layer.kind}")
        positions = layer.weight_words
        if self.space_to_depth is not None:
            R, S, stride = self.space_to_depth
            channels, rest = divmod(layer.C // layer.groups, stride * stride)
            if rest or (layer.R, layer.S, layer.stride) != (-(-R // stride), -(-S // stride), (1, 1)):
                raise WorkloadError(
                    f"{where}structure = {show(self.structure)}: does not make a stride-1 kernel {[layer.R, layer.S]}"
                    f" over {layer.C // layer.groups} channels"
                )
            positions = layer.K * channels * R * S
        if self.weight_nonzeros is not None and not 0 <= self.weight_nonzeros <= positions:
            raise WorkloadError(
                f"{where}weight_nonzeros = {show(self.weight_nonzeros)}: must be from 0 to its {positions} weights"
            )
