"""How long the steps of a training iteration take on a device, and the workspace that they want."""

from dataclasses import dataclass
from typing import Literal, Protocol

from archmodel.network import Layer, Network
from archmodel.training.choices import TrainingChoices
from archmodel.training.steps import Operation

Mode = Literal["memory", "performance"]  # vDNN's m and p: no workspace, or the fastest algorithms


@dataclass(frozen=True)
class StepTime:
    """One step alone on the device.

    dram_s : seconds for which the device's memory is busy with it; a DMA engine that moves bytes meanwhile adds its own
    """

    seconds: float
    dram_s: float = 0.0
    workspace_bytes: int = 0
    algorithm: str = ""


class Device(Protocol):
    """What computes the steps.

    memory_bytes : capacity; None where nothing is known of it
    dram_bytes_per_s : that a DMA engine and the steps share; None where they never meet
    """

    @property
    def name(self) -> str: ...

    @property
    def memory_bytes(self) -> int | None: ...

    @property
    def dram_bytes_per_s(self) -> float | None: ...

    def options(
        self, network: Network, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        """The ways to run a step, fastest first; each needs less workspace than the one before; never empty.

        The last one is vDNN's m, the first one its p.
        """
        ...
