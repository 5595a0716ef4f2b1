"""What `train` reports: one iteration of a network under a policy, and several of them as one result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from archmodel.accelerators.run_result import frame_of
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.training.steps import PHASES
from archmodel.training.timeline import Span, Timeline

SPAN_FIELDS = ("stream", "kind", "name", "layer", "start_s", "end_s", "num_bytes", "cause")
MEMORY_FIELDS = ("at_s", "tensor", "num_bytes")
ROWS = ("layers", "spans", "memory_events")
PHASE_OF_KIND: dict[str, str] = {str(kind): phase for kind, phase in PHASES.items()} | {"recompute": "recompute"}
Rows = Literal["layers", "spans", "memory_events"]


@dataclass(frozen=True)
class TrainingRun:
    """One iteration of a network on a device behind a link.

    policy, mode, device, link, dma : names of what was asked for
    oracle_s : sum of the fastest steps, without a link and with all memory that they want
    capacity_bytes : of the device; None where nothing is known of it
    why_not : one line where the iteration does not fit, else empty; the timeline is then that of a larger memory
    reserved_bytes, peak_live_bytes : of the pool of the device's memory, and of the tensors in it
    algorithms : what ran a step, by the step's name, where the device has several
    config : the network's choices, device, link and others as they were used
    """

    net: str
    batch: int
    policy: str
    timeline: Timeline
    oracle_s: float
    fits: bool = True
    mode: str = ""
    device: str = ""
    link: str = ""
    dma: str = ""
    capacity_bytes: int | None = None
    why_not: str = ""
    reserved_bytes: int = 0
    peak_live_bytes: int = 0
    algorithms: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def iteration_s(self) -> float:
        """Seconds of the iteration, stalls included."""
        return self.timeline.iteration_s

    @property
    def slowdown(self) -> float | None:
        """Seconds over those of the oracle; None for an oracle that takes no time."""
        return self.iteration_s / self.oracle_s if self.oracle_s else None

    @property
    def fragmentation(self) -> float:
        """The part of what the pool reserves that no tensor needs, even when most is needed."""
        return 1 - self.peak_live_bytes / self.reserved_bytes if self.reserved_bytes else 0.0

    @property
    def offloaded_bytes(self) -> int:
        """Over the link, to the host."""
        return self.timeline.moved_bytes("offload")

    @property
    def prefetched_bytes(self) -> int:
        """Over the link, back from the host."""
        return self.timeline.moved_bytes("prefetch")

    @property
    def policy_title(self) -> str:
        """The policy and the first letter of its mode, as the vDNN study writes it: `vdnn_all (p)`."""
        return self.policy + (f" ({self.mode[0]})" if self.mode else "")

    @property
    def title(self) -> str:
        """The run in a few words, with its batch: `vgg16 (256), vdnn_all (p)`."""
        return f"{self.net} ({self.batch:,}), {self.policy_title}"

    def totals(self) -> dict[str, Any]:
        """What the run is and comes to, as plain data without its layers."""
        names = ("net", "batch", "policy", "mode", "device", "link", "dma", "iteration_s", "oracle_s", "slowdown")
        return {
            **{name: getattr(self, name) for name in names},
            "peak_bytes": self.timeline.peak_bytes,
            "average_bytes": self.timeline.average_bytes,
            **{name: getattr(self, name) for name in ("capacity_bytes", "reserved_bytes", "fragmentation")},
            **{name: getattr(self, name) for name in ("offloaded_bytes", "prefetched_bytes")},
            "stalls": dict(self.timeline.stalls_s),
            "fits": self.fits,
            "why_not": self.why_not,
        }

    def as_dict(self) -> dict[str, Any]:
        """The object of `train --json` of one run."""
        return {**self.totals(), "config": dict(self.config), "layers": layer_rows(self.timeline, self.algorithms)}

    def rows(self, of: Rows) -> list[dict[str, Any]]:
        """Layers, spans or memory events as plain data; ConfigError for other rows."""
        if of == "layers":
            return layer_rows(self.timeline, self.algorithms)
        if of == "spans":
            return [{name: getattr(span, name) for name in SPAN_FIELDS} for span in self.timeline.spans]
        if of == "memory_events":
            return [{name: getattr(one, name) for name in MEMORY_FIELDS} for one in self.timeline.memory_events]
        raise ConfigError(f"rows = {show(of)}: must be {', '.join(ROWS)}{did_you_mean(str(of), ROWS)}")

    def to_dataframe(self, rows: Rows = "layers") -> Any:
        """A pandas.DataFrame with a row for each layer, span or memory event; `attrs` has the totals.

        ResultError without pandas.
        """
        return frame_of({**self.totals(), "layers": self.rows(rows)})


@dataclass(frozen=True)
class TrainingResult:
    """Runs of one command: several networks, batches or policies, in the order in which they were asked for.

    command : as it was typed; empty from Python
    """

    runs: tuple[TrainingRun, ...]
    command: str = ""
    seed: int = 0
    provenance: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = field(default=0.0, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, the same for the same runs: no wall time."""
        return {
            "command": self.command,
            "seed": self.seed,
            "provenance": dict(self.provenance),
            "runs": [run.as_dict() for run in self.runs],
        }

    def to_dataframe(self, rows: Rows = "layers") -> Any:
        """The rows of all runs below each other, each with what its run is; ResultError without pandas."""
        names = ("net", "batch", "policy", "mode", "device", "link", "dma")
        found = [
            {"run": index, **{name: getattr(run, name) for name in names}, **row}
            for index, run in enumerate(self.runs)
            for row in run.rows(rows)
        ]
        document = {"command": self.command, "seed": self.seed, "provenance": dict(self.provenance)}
        return frame_of({**document, "totals": [run.totals() for run in self.runs], "layers": found})


def layer_rows(timeline: Timeline, algorithms: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of every layer its seconds by phase, the stalls before it and what it moves over the link; in order of time."""
    by_layer: dict[str, list[Span]] = {}
    for span in timeline.spans:
        by_layer.setdefault(span.layer, []).append(span)
    return [_layer_row(name, spans, algorithms) for name, spans in by_layer.items()]


def _layer_row(name: str, spans: Sequence[Span], algorithms: Mapping[str, str]) -> dict[str, Any]:
    seconds = dict.fromkeys(("forward", "backward", "update", "recompute"), 0.0)
    stalls: dict[str, float] = {}
    moved = dict.fromkeys(("offload", "prefetch", "input"), 0)
    for span in spans:
        if span.stream != "compute":
            moved[span.stream] += span.num_bytes
        elif span.kind == "stall":
            stalls[span.cause] = stalls.get(span.cause, 0.0) + span.seconds
        else:
            seconds[phase_of(span.kind)] += span.seconds
    steps = [span.name for span in spans if span.stream == "compute" and span.name in algorithms]
    return {
        "name": name,
        **{f"{phase}_s": length for phase, length in seconds.items()},
        "stalls": stalls,
        "offloaded_bytes": moved["offload"],
        "prefetched_bytes": moved["prefetch"],
        "input_bytes": moved["input"],
        "algorithms": {step: algorithms[step] for step in dict.fromkeys(steps)},
    }


def phase_of(kind: str) -> str:
    """The phase of a compute span: forward, backward, update, or recompute; ConfigError for what is no work."""
    if kind not in PHASE_OF_KIND:
        raise ConfigError(f"kind of a span = {show(kind)}: must be {', '.join(PHASE_OF_KIND)}")
    return PHASE_OF_KIND[kind]
