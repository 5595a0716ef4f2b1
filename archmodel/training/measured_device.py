"""Measured layer times as what computes the steps of an iteration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from archmodel.accelerators.measured_times import MeasuredRow, measured_times
from archmodel.errors import WorkloadError, show
from archmodel.network import Layer, Network
from archmodel.training.backward import makes_data_gradient
from archmodel.training.choices import TrainingChoices
from archmodel.training.gpu_device import GpuDevice
from archmodel.training.step_times import StepTime
from archmodel.training.steps import Operation

Seconds = tuple[float, float]  # forward and backward


@dataclass(frozen=True)
class MeasuredDevice:
    """A table of times of layers, forward and backward, of the batches that were measured.

    A layer without a row takes no time: it was measured with the layer above it, as an activation in place is, or was
    not run. Neither was the update. A backward time is shared out between the steps of the layer as a roofline's are.

    name : of the device
    rows : of the table, in which networks have their own names
    roofline : the device that was measured, for the shares and the memory
    """

    name: str
    rows: tuple[MeasuredRow, ...]
    roofline: GpuDevice
    known: dict[tuple[int, int], tuple[Network, Mapping[str, Seconds]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def memory_bytes(self) -> int:
        """Of the device that was measured."""
        return self.roofline.memory_bytes

    @property
    def dram_bytes_per_s(self) -> None:
        """Nothing is known of the bytes that layers move, so that a DMA engine never meets them."""
        return None

    def options(
        self, network: Network, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        """What was measured; WorkloadError for another network, batch or precision."""
        if choices.precision != "fp32":
            raise WorkloadError(f"{self.name}: precision = {show(choices.precision)}: measured in fp32")
        forward_s, backward_s = self._times(network, batch)[layer.name]
        if operation in ("loss", "update"):
            return (StepTime(0.0),)
        if operation not in ("weight_gradient", "data_gradient"):
            return (StepTime(forward_s),)
        made = [("weight_gradient", bool(layer.parameters)), ("data_gradient", makes_data_gradient(network, layer))]
        if not all(there for _, there in made):
            return (StepTime(backward_s),)
        own_s, other_s = (
            self.roofline.options(network, layer, which, batch, choices)[-1].seconds
            for which in (operation, "data_gradient" if operation == "weight_gradient" else "weight_gradient")
        )
        return (StepTime(backward_s * own_s / (own_s + other_s)),)

    def _times(self, network: Network, batch: int) -> Mapping[str, Seconds]:
        """Measured times of a network by layer."""
        key = (id(network), batch)
        if key not in self.known:
            times = measured_times(self.rows, network.name, network, batch)
            self.known[key] = network, {time.name: (time.forward_s, time.backward_s) for time in times}
        return self.known[key][1]
