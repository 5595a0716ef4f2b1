"""A spatial array as what computes the steps of an iteration: accelerators/spatial.py."""

from dataclasses import dataclass, field

from archmodel.accelerators.spatial import SpatialConfig, spatial_bytes, spatial_cycles, spatial_time
from archmodel.network import Layer, Network
from archmodel.training.choices import TrainingChoices
from archmodel.training.gpu_device import Key, passes_of
from archmodel.training.step_bytes import shape_of, step_bytes
from archmodel.training.step_times import StepTime
from archmodel.training.steps import Operation


@dataclass(frozen=True)
class SpatialDevice:
    """An array of PEs; there is one way to run a step, without workspace.

    known : what was asked before; layers of one shape are computed once
    """

    config: SpatialConfig
    known: dict[Key, tuple[StepTime, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """As its file spells it."""
        return self.config.name

    @property
    def memory_bytes(self) -> int:
        """Of the device."""
        return self.config.memory_bytes

    @property
    def dram_bytes_per_s(self) -> float:
        """Of its memory, which steps use to the full."""
        return self.config.dram_bytes_per_s

    def options(
        self, network: Network, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        """Dot products on the PEs, behind the memory; other steps take the time of their bytes."""
        key = (operation, shape_of(layer), batch, choices)
        if key not in self.known:
            self.known[key] = (self._step(layer, operation, batch, choices),)
        return self.known[key]

    def _step(self, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices) -> StepTime:
        if operation in ("loss", "update") or not layer.is_compute:
            parts = [(0, step_bytes(layer, operation, batch, choices).moved)]
        else:
            parts = [
                (
                    spatial_cycles(self.config, layer, which, batch),
                    spatial_bytes(self.config, layer, which, batch, choices.storage_bytes),
                )
                for which in passes_of(layer, operation)
            ]
        times = [spatial_time(self.config, *part) for part in parts]
        return StepTime(sum(time.seconds for time in times), sum(time.dram_s for time in times))
