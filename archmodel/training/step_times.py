"""How long the steps of a training iteration take on a device, and the workspace that they want."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from archmodel.network import Layer, Network
from archmodel.training.choices import STUDY, TrainingChoices
from archmodel.training.graph import Workspace
from archmodel.training.steps import Operation

Mode = Literal["memory", "performance"]  # vDNN's m and p: no workspace, or the fastest algorithms
MODES: tuple[Mode, ...] = get_args(Mode)


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


def fastest_first(options: Iterable[StepTime]) -> tuple[StepTime, ...]:
    """The options that no other one beats in both time and workspace, as ``Device.options`` has them."""
    kept: list[StepTime] = []
    for option in sorted(options, key=lambda one: (one.seconds, one.workspace_bytes)):
        if not kept or option.workspace_bytes < kept[-1].workspace_bytes:
            kept.append(option)
    return tuple(kept)


def chosen(options: tuple[StepTime, ...], mode: Mode) -> StepTime:
    """The fastest option, or the one with the least workspace."""
    return options[0] if mode == "performance" else options[-1]


def workspace_of(device: Device, network: Network, mode: Mode, choices: TrainingChoices = STUDY) -> Workspace:
    """For ``training_graph``: the bytes that each step of the network wants on a device in a mode."""

    def workspace(layer: Layer, operation: Operation, batch: int) -> int:
        return chosen(device.options(network, layer, operation, batch, choices), mode).workspace_bytes

    return workspace
