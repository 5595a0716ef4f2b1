"""Tensors of one training iteration and the steps that read and write them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from archmodel.training.choices import TrainingChoices

TensorKind = Literal[
    "feature_map", "gradient_map", "weight", "weight_gradient", "master_weight", "optimizer_state", "saved", "workspace"
]
Operation = Literal["forward", "loss", "recompute", "weight_gradient", "data_gradient", "update"]
Phase = Literal["forward", "backward", "update"]

PERSISTENT: tuple[TensorKind, ...] = ("weight", "master_weight", "optimizer_state")  # from one iteration to the next
PHASES: dict[Operation, Phase] = {
    "forward": "forward",
    "loss": "backward",
    "recompute": "backward",  # a forward step once more
    "weight_gradient": "backward",
    "data_gradient": "backward",
    "update": "update",
}


@dataclass(frozen=True)
class Tensor:
    """A place in memory; ``layer`` is who makes it, or the network input that it holds.

    saved : what a forward step leaves for its backward step beside Y: masks, indices, statistics, gates
    """

    id: str
    kind: TensorKind
    layer: str
    num_bytes: int

    @property
    def persistent(self) -> bool:
        return self.kind in PERSISTENT


@dataclass(frozen=True)
class Step:
    """One kernel or group of kernels; what it reads is there before, what it writes from its start."""

    layer: str
    operation: Operation
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.operation}"

    @property
    def phase(self) -> Phase:
        return PHASES[self.operation]

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """All that must be in memory, once each, in the order of reads and writes."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))


@dataclass(frozen=True)
class TrainingGraph:
    """The steps of one iteration in order, and every tensor they touch, by id.

    ``maps`` says which feature map holds the output of a layer, or a network input: an in-place layer has that of the
    layer above. ``inputs`` are the feature maps that no step writes: they are there when the iteration begins.
    """

    network: str
    batch: int
    choices: TrainingChoices
    tensors: Mapping[str, Tensor]
    steps: tuple[Step, ...]
    maps: Mapping[str, str]
    inputs: tuple[str, ...]

    @cached_property
    def uses(self) -> dict[str, tuple[int, ...]]:
        """For every tensor the steps that read or write it, in order."""
        places: dict[str, list[int]] = {name: [] for name in self.tensors}
        for place, step in enumerate(self.steps):
            for name in step.tensors:
                places[name].append(place)
        return {name: tuple(of_one) for name, of_one in places.items()}

    @cached_property
    def forward_writers(self) -> dict[str, list[int]]:
        """By feature map and ``saved`` tensor the places of the forward steps that write it, in order."""
        found: dict[str, list[int]] = {}
        for place, step in enumerate(self.steps):
            if step.phase == "forward":
                for name in step.writes:
                    if self.tensors[name].kind != "workspace":
                        found.setdefault(name, []).append(place)
        return found

    @cached_property
    def lifetimes(self) -> dict[str, tuple[int, int]]:
        """As `allocator.lifetimes` says."""
        last_step = len(self.steps) - 1
        first: dict[str, int] = dict.fromkeys(self.inputs, 0)
        last: dict[str, int] = {}
        for place, step in enumerate(self.steps):
            for name in step.tensors:
                first.setdefault(name, place)
                last[name] = place
        return {
            name: (0, last_step) if tensor.kind in PERSISTENT else (first[name], last[name])
            for name, tensor in self.tensors.items()
        }

    def bytes_of(self, *kinds: TensorKind) -> int:
        """Bytes of all tensors of these kinds together."""
        return sum(tensor.num_bytes for tensor in self.tensors.values() if tensor.kind in kinds)

    def step_bytes(self, step: Step) -> int:
        """Bytes of all that a step touches: no allocator does with less."""
        return sum(self.tensors[name].num_bytes for name in step.tensors)
