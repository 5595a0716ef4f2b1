"""What `prune` and `quantize` report: the layers of a network before and after, their sums, and what it computes."""

import os
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from archmodel.accelerators.registry import source_name
from archmodel.accelerators.run_result import frame_of
from archmodel.simulation.changed_weights import Outcome, Request
from archmodel.simulation.output_change import Effect


@dataclass(frozen=True)
class ChangedLayer:
    """A layer before and after."""

    name: str
    kind: str
    weight_words: int
    nonzeros_before: int
    nonzeros: int

    def as_dict(self) -> dict[str, Any]:
        """The layer of `--json`."""
        return asdict(self)


Row = TypeVar("Row", bound=ChangedLayer)


@dataclass(frozen=True)
class ChangedNetwork(Generic[Row]):
    """What was written, and what it does to the outputs.

    description : what was done to the weights, in words
    effect : None where the network could not be run, for the `reason`
    """

    described_as: ClassVar[str]  # the key of the description
    summed: ClassVar[tuple[str, ...]]  # quantities of the layers

    net: str
    output: str
    description: str
    layers: tuple[Row, ...]
    effect: Effect | None
    reason: str

    @classmethod
    def of(cls, request: Request, description: str, outcome: Outcome[Row]) -> Self:
        """The report of a change."""
        files = source_name(request.net), os.fspath(request.output)
        return cls(*files, description, outcome.rows, outcome.effect, outcome.reason)

    @property
    def totals(self) -> dict[str, Any]:
        """Sums over the layers that were changed."""
        return {key: sum(getattr(layer, key) for layer in self.layers) for key in self.summed}

    def as_dict(self) -> dict[str, Any]:
        """The object of `--json`, of plain dictionaries and lists."""
        return {
            "net": self.net,
            "output": self.output,
            self.described_as: self.description,
            "totals": self.totals,
            "effect": None if self.effect is None else self.effect.as_dict(),
            "reason": self.reason,
            "layers": [layer.as_dict() for layer in self.layers],
        }

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame: one row for each layer; `attrs` has the rest. ResultError without pandas."""
        return frame_of(self.as_dict())
