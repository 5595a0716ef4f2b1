"""The memory that one iteration takes by itself: by allocator, by kind of tensor, as Caffe counts."""

from dataclasses import dataclass
from typing import get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.exchange import read_network
from archmodel.network import Network
from archmodel.training import (
    STUDY,
    CaffeForm,
    MemoryCurve,
    TrainingChoices,
    TrainingGraph,
    best_fit,
    caffe_data_bytes,
    liveness,
    network_wide,
    training_graph,
)
from archmodel.training.accounting import check_form
from archmodel.training.pool import MAX_BYTES
from archmodel.training.steps import TensorKind

ACCOUNTINGS = ("caffe",)


@dataclass(frozen=True)
class IterationMemory:
    """Bytes of one training iteration.

    curves : memory over the steps, by allocator
    caffe_bytes : what Caffe says it needs, where asked for
    capacity_bytes : of the device, where given
    """

    network: Network
    graph: TrainingGraph
    curves: dict[str, MemoryCurve]
    caffe_form: CaffeForm | None
    caffe_bytes: int | None
    capacity_bytes: int | None

    def as_dict(self) -> dict[str, object]:
        """As plain data."""
        choices = self.graph.choices
        found: dict[str, object] = {
            "net": self.network.name,
            "batch": self.graph.batch,
            "precision": choices.precision,
            "optimizer": choices.optimizer,
            "in_place": choices.in_place,
            "steps": len(self.graph.steps),
            "tensor_bytes": {kind: self.graph.bytes_of(kind) for kind in get_args(TensorKind)},
            "allocators": {name: self._of(curve) for name, curve in self.curves.items()},
            "left_out": list(self.network.left_out),
        }
        if self.caffe_bytes is not None:
            found["accounting"] = {"rule": "caffe", "form": self.caffe_form, "bytes": self.caffe_bytes}
        return found

    def _of(self, curve: MemoryCurve) -> dict[str, object]:
        return {
            "peak_bytes": curve.peak_bytes,
            "peak_live_bytes": curve.peak_live_bytes,
            "average_bytes": curve.average_bytes(),
            "fragmentation": curve.fragmentation,
            "fits": None if self.capacity_bytes is None else curve.peak_bytes <= self.capacity_bytes,
        }


def iteration_memory(
    net: str,
    batch: int,
    *,
    choices: TrainingChoices = STUDY,
    accounting: str | None = None,
    caffe_form: CaffeForm = "benchmark",
    capacity_bytes: int | None = None,
) -> IterationMemory:
    """The memory of one training iteration of a network, by all allocators.

    Parameters
    ----------
    net : a name of `archmodel list networks`, or the path of a file
    batch : images of an iteration
    choices : numbers, optimizer, what is overwritten
    accounting : 'caffe' counts what Caffe does, too, of a prototxt of the form `caffe_form`
    capacity_bytes : of the device, of which is said whether it is enough

    Raises WorkloadError or ConfigError with one line.
    """
    check_accounting(accounting, caffe_form)
    check_capacity(capacity_bytes)
    network = read_network(net)
    return memory_of(network, training_graph(network, batch, choices), accounting, caffe_form, capacity_bytes)


def check_accounting(accounting: str | None, caffe_form: CaffeForm) -> None:
    """ConfigError for a rule or a form that is not known."""
    if accounting is not None and accounting not in ACCOUNTINGS:
        raise ConfigError(f"accounting = {show(accounting)}: must be caffe{did_you_mean(str(accounting), ACCOUNTINGS)}")
    check_form(caffe_form, "caffe_form")


def check_capacity(capacity_bytes: int | None) -> None:
    """ConfigError for what is no size of a memory."""
    if capacity_bytes is not None and (type(capacity_bytes) is not int or not 1 <= capacity_bytes <= MAX_BYTES):
        raise ConfigError(f"capacity_bytes = {show(capacity_bytes)}: must be a whole number from 1 to {MAX_BYTES}")


def memory_of(
    network: Network,
    graph: TrainingGraph,
    accounting: str | None = None,
    caffe_form: CaffeForm = "benchmark",
    capacity_bytes: int | None = None,
) -> IterationMemory:
    """The memory of an iteration whose steps are known; `graph` has neither workspaces nor repeated steps."""
    curves: dict[str, MemoryCurve] = {}
    for curve in (network_wide(graph), liveness(graph), best_fit(graph)):
        curves[curve.method] = curve
    counted = None if accounting is None else caffe_data_bytes(network, graph.batch, caffe_form)
    form = None if accounting is None else caffe_form
    return IterationMemory(network, graph, curves, form, counted, capacity_bytes)
