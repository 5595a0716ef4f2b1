"""Time of a layer's training steps on a GPU: a roofline for each pass, convolutions by algorithm.

A kernel takes max(operations / (peak x efficiency), bytes / (peak x efficiency)); the kernels of a pass run one after
the other. Efficiencies are calibrations in the device's file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from archmodel.accelerators.conv_algorithms import ALGORITHMS, PASSES, Algorithm, ConvWork, Pass, conv_work, limit
from archmodel.accelerators.gpu_config import DeviceConfig
from archmodel.accelerators.gpu_kernels import traffic
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network import Network
from archmodel.network.layer import Layer

Choice = Literal["memory", "performance"]
CHOICES = ("memory", "performance", *ALGORITHMS)
WORD_BYTES = (2, 4)
GEMM_ALGORITHMS = ("implicit_gemm", "precomputed_gemm")


@dataclass(frozen=True)
class Step:
    """One pass of a layer over a batch.

    operations_s, transfer_s : what arithmetic alone and bytes alone would take; seconds : the sum over the kernels of
    the larger of the two
    """

    seconds: float
    operations_s: float
    transfer_s: float
    workspace_bytes: int = 0
    algorithm: Algorithm | None = None


@dataclass(frozen=True)
class LayerTime:
    """Forward and backward of a layer; a modelled one has its passes in ``steps``, a measured one none."""

    name: str
    kind: str
    forward_s: float
    backward_s: float
    steps: Mapping[Pass, Step]

    @property
    def seconds(self) -> float:
        """Both directions."""
        return self.forward_s + self.backward_s

    @property
    def workspace_bytes(self) -> int:
        """The largest of the passes: they run one after the other."""
        return max((step.workspace_bytes for step in self.steps.values()), default=0)


@dataclass(frozen=True)
class Gpu:
    """A device with a way to choose algorithms.

    algorithm : "memory" is the choice without workspace (vDNN's m), "performance" the fastest (vDNN's p), an
    algorithm's name that one wherever its limits let it; else implicit_gemm
    library : of the device's file; its own when None
    word_bytes : of stored tensors, 4 or 2; FP16 products run at the device's ``fp16_rate``, transforms in FP32
    workspace_limit_bytes : algorithms that need more are left out
    """

    device: DeviceConfig
    algorithm: str = "performance"
    library: str | None = None
    word_bytes: int = 4
    workspace_limit_bytes: int | None = None

    def __post_init__(self) -> None:
        allowed = {"algorithm": CHOICES, "library": tuple(self.device.libraries), "word_bytes": WORD_BYTES}
        values = {"algorithm": self.algorithm, "library": self._library, "word_bytes": self.word_bytes}
        for key, value in values.items():
            if value not in allowed[key]:
                choices = ", ".join(map(str, allowed[key]))
                nearest = did_you_mean(str(value), [str(one) for one in allowed[key]])
                raise ConfigError(f"{self.device.name}: {key} = {show(value)}: allowed: {choices}{nearest}")
        if self.workspace_limit_bytes is not None and self.workspace_limit_bytes < 0:
            given = show(self.workspace_limit_bytes)
            raise ConfigError(f"{self.device.name}: workspace_limit_bytes = {given}: allowed: 0 or more")

    @property
    def _library(self) -> str:
        return self.device.library if self.library is None else self.library

    def network_times(self, network: Network, N: int) -> tuple[LayerTime, ...]:
        """All layers in order over N images; what reads a network input only makes no data gradient."""
        given = set(network.inputs)
        return tuple(self.layer_time(layer, N, first=set(layer.inputs) <= given) for layer in network.layers)

    def layer_time(self, layer: Layer, N: int, *, first: bool = False) -> LayerTime:
        """A layer over N images; the ``first`` of a network makes no data gradient."""
        passes = [which for which in PASSES if not (first and which == "data_gradient")]
        steps = {which: self.step(layer, which, N) for which in passes}
        backward_s = sum(step.seconds for which, step in steps.items() if which != "forward")
        return LayerTime(layer.name, layer.kind, steps["forward"].seconds, backward_s, steps)

    def step(self, layer: Layer, which: Pass, N: int) -> Step:
        """One pass: its convolution or matrix product, then its other kernel."""
        beside = self.beside(layer, which, N)
        if layer.kind != "conv":
            return beside
        conv = self._conv(layer, which, N)
        return Step(
            conv.seconds + beside.seconds,
            conv.operations_s + beside.operations_s,
            conv.transfer_s + beside.transfer_s,
            conv.workspace_bytes,
            conv.algorithm,
        )

    def candidates(self, layer: Layer, which: Pass, N: int) -> dict[Algorithm, Step]:
        """Every algorithm of the library that takes the layer and keeps to the workspace limit."""
        found = {}
        for algorithm in self.device.libraries[self._library].algorithms(which):
            if limit(algorithm, layer) is None:
                work = conv_work(algorithm, layer, which, N, self.word_bytes)
                if self.workspace_limit_bytes is None or work.workspace_bytes <= self.workspace_limit_bytes:
                    found[algorithm] = self._conv_step(algorithm, work)
        return found

    def _conv(self, layer: Layer, which: Pass, N: int) -> Step:
        found = self.candidates(layer, which, N)
        if self.algorithm == "performance":
            return min(found.values(), key=lambda step: step.seconds)
        if self.algorithm == "memory":
            return min(found.values(), key=lambda step: (step.workspace_bytes, step.seconds))
        named = {str(name): step for name, step in found.items()}
        return named.get(self.algorithm, named["implicit_gemm"])

    def _conv_step(self, algorithm: Algorithm, work: ConvWork) -> Step:
        rate = self.device.fp16_rate if algorithm in GEMM_ALGORITHMS and self.word_bytes == 2 else 1.0
        efficiency: float = getattr(self.device.efficiency, algorithm)
        peak = rate * efficiency * self.device.operations_per_s
        parts = [
            (one.operations / (peak * self._busy(one.blocks)), self._transfer_s(one.bytes_moved))
            for one in work.kernels
        ]
        seconds = sum(max(part) for part in parts)
        operations_s, transfer_s = (sum(times) for times in zip(*parts, strict=True))
        return Step(seconds, operations_s, transfer_s, work.workspace_bytes, algorithm)

    def _busy(self, blocks: int | None) -> float:
        """Fraction of the multiprocessors that have a block."""
        if blocks is None or self.device.libraries[self._library].splits_dot_products:
            return 1.0
        return min(1.0, blocks / self.device.multiprocessors)

    def beside(self, layer: Layer, which: Pass, N: int) -> Step:
        """The kernel of a pass that is no convolution: a bias, a matrix product, or all of a layer of another kind."""
        work = traffic(layer, which, N)
        efficiency = self.device.efficiency
        rate = self.device.fp16_rate if self.word_bytes == 2 else 1.0
        operations_s = work.operations / (rate * efficiency.gemm * self.device.operations_per_s)
        transfer_s = self._transfer_s(self.word_bytes * work.words)
        if layer.kind == "pool" and which == "data_gradient":
            transfer_s *= efficiency.dram / efficiency.pool_gradient
        return Step(max(operations_s, transfer_s), operations_s, transfer_s)

    def _transfer_s(self, num_bytes: float) -> float:
        return num_bytes / (self.device.efficiency.dram * self.device.dram_bytes_per_s)
