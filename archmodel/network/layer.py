"""One layer of a network: its shapes and sizes in words."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from archmodel.errors import WorkloadError, did_you_mean, show

# fmt: off
LayerKind = Literal[
    "conv", "fc", "lstm", "gru", "rnn", "matmul",
    "pool", "norm", "activation", "add", "multiply", "concat", "softmax", "slice", "dropout", "embedding", "other",
]
# fmt: on
Shape = tuple[int, int, int]
Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

KINDS: tuple[str, ...] = get_args(LayerKind)
GATES = {"lstm": 4, "gru": 3, "rnn": 1}  # matrices of a recurrent layer
COMPUTE_KINDS = ("conv", "fc", *GATES, "matmul")
WINDOW_KINDS = ("conv", "pool")
JOIN_KINDS = ("add", "multiply", "concat")
MODES = {
    "pool": ("max", "average"),
    "norm": ("lrn", "batch", "layer", "instance", "group", "rms"),
    "activation": ("relu", "clipped_relu", "gelu", "sigmoid", "tanh"),
    "matmul": ("product", "transposed"),
}
NORM_VECTORS = {"lrn": 0, "rms": 1}  # trained vectors of C words; the others have a scale and a shift

# Bounds every size and every tensor, so that the MACs of an image, at most output words x weight words, fit int64.
MAX_WORDS = 2**31
WORD_BITS = 16  # of the words whose bytes are shown: those of the machines' arithmetic
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
    """Joins read two tensors or more, a matmul two, an other any, the rest one; else WorkloadError."""
    if kind in JOIN_KINDS:
        fits, allowed = len(inputs) >= 2, "two or more"
    elif kind == "other":
        fits, allowed = len(inputs) >= 1, "one or more"
    elif kind == "matmul":
        fits, allowed = len(inputs) == 2, "two"
    else:
        fits, allowed = len(inputs) == 1, "one"
    if not fits:
        raise WorkloadError(f"layer {show(name)}: inputs = {show(list(inputs))}: {kind} must have {allowed}")


@dataclass(frozen=True)
class Layer:
    """A layer, for one image.

    ``inputs`` are names of layers or network inputs. ``input_shape`` is (C, H, W): of the result for an add, multiply
    and concat, of the first input for an other, (C*H*W, 1, 1) for an fc. ``padding`` is (top, bottom, left, right),
    ``stride`` and ``dilation`` (vertical, horizontal). ``window`` ([from, to) along C, H, W) is what a slice keeps,
    ``ceil`` rounds the outputs of a pool up as Caffe does. Impossible layers raise WorkloadError.

    A recurrent layer has K hidden units and reads C features at each of T steps, which stand in the place of rows:
    (C, T, 1) to (K, T, 1). Its weights are those of all gates, input and recurrent ones side by side; a gate has one
    bias vector, as in Keras (PyTorch has two). A matmul multiplies ``groups`` heads of its first input A, at each
    position of its plane a vector of C / groups channels, with kernels that its second input B is: B's positions
    where "transposed" (A times B^T, as Q K^T), B's channels in a "product" (A times B, as weights times V).
    An embedding looks up rows of K words in a table of ``vocabulary``. An other moves or mixes words and multiplies no
    weights, as a resize: ``result`` is what it makes.
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
    vocabulary: int = 0
    result: Shape | None = None

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
        self._check_vocabulary()
        self._check_result()
        sizes = {"input": self.input_words, "output": self.output_words, "weight": self.weight_words}
        for key, words in (sizes | {"table": self.vocabulary * self.K}).items():
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
        if self.groups > 1 and self.kind not in ("conv", "matmul"):
            self._refuse("groups", self.groups, f"{self.kind} has no groups")
        if self.kind == "fc" and (self.H, self.W) != (1, 1):
            self._refuse("input shape", list(self.input_shape), "fc reads a flattened input, [C, 1, 1]")
        if self.kind in GATES and self.W != 1:
            self._refuse("input shape", list(self.input_shape), f"{self.kind} reads steps as rows, [C, T, 1]")
        changing = (*COMPUTE_KINDS, "slice", "embedding", "other")
        if self.kind not in changing and self.K != self.C:
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

    def _check_vocabulary(self) -> None:
        if (self.vocabulary > 0) != (self.kind == "embedding"):
            self._refuse("vocabulary", self.vocabulary, "is the number of rows of an embedding, and of no other kind")
        if self.kind == "embedding" and self.C != 1:
            self._refuse("input shape", list(self.input_shape), "an embedding reads one number a position, [1, H, W]")

    def _check_result(self) -> None:
        shown = None if self.result is None else list(self.result)
        if (self.result is None) == (self.kind == "other"):
            self._refuse("shape", shown, "is what an other makes, and of no other kind")
        if self.result is None:
            return
        if not all(1 <= size <= MAX_WORDS for size in self.result):
            self._refuse("shape", shown, f"must be from 1 to {MAX_WORDS}")
        if self.result[0] != self.K:
            self._refuse("K", self.K, "must be the number of channels that an other makes")

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
        if self.result is not None:
            return self.result[1 + axis]
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
        """Whether the layer multiplies: conv, fc, lstm, gru, rnn and matmul."""
        return self.kind in COMPUTE_KINDS

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(K, C/groups, R, S) of a conv, fc or matmul, (gates*K, C+K, 1, 1) of a recurrent layer; else meaningless."""
        if self.kind in GATES:
            return (GATES[self.kind] * self.K, self.C + self.K, 1, 1)
        return (self.K, self.C // self.groups, self.R, self.S)

    @property
    def multiplied_shape(self) -> Shape:
        """What the weights multiply: the inputs, of a recurrent layer x_t and h_(t-1) of each step, (C+K, T, 1)."""
        return (self.C + self.K, self.H, 1) if self.kind in GATES else self.input_shape

    @property
    def weight_words(self) -> int:
        """Words of the kernels; those of a matmul are its second input."""
        return math.prod(self.weight_shape) if self.is_compute else 0

    @property
    def bias_words(self) -> int:
        if not self.is_compute or not self.bias or self.kind == "matmul":
            return 0
        return GATES.get(self.kind, 1) * self.K

    @property
    def parameters(self) -> int:
        """Trained words: weights, biases, tables; a norm has a scale and a shift per channel, an rms norm a scale."""
        scales = NORM_VECTORS.get(self.mode, 2) * self.C if self.kind == "norm" else 0
        weights = 0 if self.kind == "matmul" else self.weight_words
        return weights + self.bias_words + scales + self.vocabulary * self.K

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one image, K*P*Q*(C/groups)*R*S, T*gates*K*(C+K); with padding."""
        return self.weight_words * self.P * self.Q

    @property
    def input_words(self) -> int:
        """Words that the layer reads: of all inputs of an add, of the first of a matmul, of no recurrent state."""
        return self.C * self.H * self.W * (len(self.inputs) if self.kind in ("add", "multiply") else 1)

    @property
    def output_words(self) -> int:
        return self.K * self.P * self.Q
