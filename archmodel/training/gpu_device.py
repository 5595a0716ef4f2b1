"""A GPU as what computes the steps of an iteration: the rooflines of accelerators/gpu.py, by algorithm."""

from dataclasses import dataclass, field

from archmodel.accelerators.conv_algorithms import PASSES, Pass
from archmodel.accelerators.gpu import Gpu
from archmodel.accelerators.gpu_config import DeviceConfig
from archmodel.network import Layer, Network
from archmodel.training.choices import TrainingChoices
from archmodel.training.step_bytes import Shape, shape_of, step_bytes
from archmodel.training.step_times import StepTime, fastest_first
from archmodel.training.steps import Operation

Key = tuple[Operation, Shape, int, TrainingChoices]


@dataclass(frozen=True)
class GpuDevice:
    """A GPU with a library of convolutions; the options of a convolution are its algorithms.

    library : of the device's file; its own when None
    workspace_limit_bytes : algorithms that need more are no options
    known : what was asked before; layers of one shape are computed once
    """

    config: DeviceConfig
    library: str | None = None
    workspace_limit_bytes: int | None = None
    known: dict[Key, tuple[StepTime, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """As its file spells it."""
        return self.config.name

    @property
    def memory_bytes(self) -> int:
        """Of the board."""
        return self.config.memory_bytes

    @property
    def dram_bytes_per_s(self) -> float:
        """At the peak: what kernels do not reach of it a DMA engine can have."""
        return self.config.dram_bytes_per_s

    def options(
        self, network: Network, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        """The algorithms of a convolution that none other beats in time and workspace; one option of the rest."""
        key = (operation, shape_of(layer), batch, choices)
        if key not in self.known:
            self.known[key] = self._options(layer, operation, batch, choices)
        return self.known[key]

    def _options(
        self, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        if operation in ("loss", "update"):  # kernels that only read and write
            rate = self.config.efficiency.dram * self.config.dram_bytes_per_s
            seconds = step_bytes(layer, operation, batch, choices).moved / rate
            return (StepTime(seconds, seconds),)
        gpu = Gpu(self.config, "performance", self.library, choices.storage_bytes, self.workspace_limit_bytes)
        if layer.kind == "conv":
            (which,) = passes_of(layer, operation)
            beside = gpu.beside(layer, which, batch)
            return fastest_first(
                StepTime(
                    step.seconds + beside.seconds, step.transfer_s + beside.transfer_s, step.workspace_bytes, algorithm
                )
                for algorithm, step in gpu.candidates(layer, which, batch).items()
            )
        steps = [gpu.step(layer, which, batch) for which in passes_of(layer, operation)]
        return (StepTime(sum(step.seconds for step in steps), sum(step.transfer_s for step in steps)),)


def passes_of(layer: Layer, operation: Operation) -> tuple[Pass, ...]:
    """The passes that a step makes; a forward step that is repeated is a forward pass.

    A matmul has gradients of both its inputs in one step; an embedding's table is all that its backward pass changes.
    """
    if layer.kind == "matmul" and operation == "data_gradient":
        return ("data_gradient", "weight_gradient")
    if layer.kind == "embedding" and operation == "weight_gradient":
        return ("data_gradient",)
    return tuple(which for which in PASSES if which == operation) or ("forward",)
