"""What happened when in one training iteration: spans on streams, and the memory that is held in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

StreamName = Literal["compute", "offload", "prefetch", "input"]  # the device, and what its DMA engine moves
STREAMS: tuple[StreamName, ...] = ("compute", "offload", "prefetch", "input")


@dataclass(frozen=True)
class Span:
    """Work of one stream.

    kind : an operation of a step on the compute stream ("forward", "weight_gradient", "recompute", ...) or "stall";
        the stream's own name on the others
    name : of the step or the tensor
    num_bytes : that go over the link
    cause : of a stall: "offload", "prefetch", "input" or "dram"
    """

    stream: StreamName
    kind: str
    name: str
    layer: str
    start_s: float
    end_s: float
    num_bytes: int = 0
    cause: str = ""

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class MemoryEvent:
    """A tensor takes (above 0) or gives back (below 0) its bytes of device memory."""

    at_s: float
    tensor: str
    num_bytes: int


@dataclass(frozen=True)
class Timeline:
    """One iteration; spans of a stream follow each other, memory events are in the order of time.

    At one time what is given back comes before what is taken; the first events, at 0 s, are what is there before.
    """

    spans: tuple[Span, ...]
    memory_events: tuple[MemoryEvent, ...]
    iteration_s: float

    def of(self, stream: StreamName) -> tuple[Span, ...]:
        """The spans of one stream, in order."""
        return tuple(span for span in self.spans if span.stream == stream)

    @cached_property
    def stalls_s(self) -> Mapping[str, float]:
        """Seconds for which the compute stream waits, by cause."""
        found: dict[str, float] = {}
        for span in self.spans:
            if span.kind == "stall":
                found[span.cause] = found.get(span.cause, 0.0) + span.seconds
        return found

    def moved_bytes(self, stream: StreamName) -> int:
        """Over the link, by one stream."""
        return sum(span.num_bytes for span in self.spans if span.stream == stream)

    @cached_property
    def memory_curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(float64[E] s, int64[E] bytes): what is held from each time to the next one, and from the last to the end."""
        times = np.array([event.at_s for event in self.memory_events], np.float64)
        held = np.array([event.num_bytes for event in self.memory_events], np.int64).cumsum()
        last = np.append(times[1:] != times[:-1], True)[: len(times)]  # of the events of one time
        return times[last], held[last]

    @property
    def peak_bytes(self) -> int:
        """The most that is held at a time."""
        return int(self.memory_curve[1].max(initial=0))

    @property
    def average_bytes(self) -> float:
        """Mean of what is held over the iteration, by time."""
        times, held = self.memory_curve
        lengths = np.diff(np.append(times, self.iteration_s))
        return float(held @ lengths / self.iteration_s) if self.iteration_s else float(self.peak_bytes)
