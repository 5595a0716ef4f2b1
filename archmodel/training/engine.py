"""A plan in time: compute and DMA streams that meet at the end of every layer, and the memory held in between."""

from collections.abc import Sequence

from archmodel.interconnect.sharing import Direction, LinkConfig
from archmodel.training.dma import Dma
from archmodel.training.plan import Plan, by_slot
from archmodel.training.residency import workspace_id
from archmodel.training.step_times import StepTime
from archmodel.training.timeline import MemoryEvent, Span, StreamName, Timeline
from archmodel.training.transfers import SharedLink

DIRECTIONS: dict[StreamName, Direction] = {"offload": "download", "prefetch": "upload"}


def run(
    plan: Plan,
    times: Sequence[StepTime],
    link: LinkConfig,
    dma: Dma,
    dram_bytes_per_s: float | None,
    inputs: Sequence[tuple[str, int]] = (),
) -> Timeline:
    """The timeline of an iteration.

    times : of each step, by the algorithm that was chosen
    inputs : network inputs, with their bytes, of the next iteration, which are uploaded meanwhile
    """
    engine = Engine(plan, times, link, dma, dram_bytes_per_s, inputs)
    for at in range(len(plan.slots)):
        engine.run_slot(at)
    engine.finish()
    return engine.timeline()


class Engine:
    """The clock and what has happened so far.

    starts_s, ends_s : of every step; slot_ends_s : of every slot
    begun_s, back_s : when the prefetch of each tensor began and ended
    """

    def __init__(
        self,
        plan: Plan,
        times: Sequence[StepTime],
        link: LinkConfig,
        dma: Dma,
        dram_bytes_per_s: float | None,
        inputs: Sequence[tuple[str, int]],
    ) -> None:
        self.plan, self.times, self.dma, self.inputs = plan, times, dma, inputs
        self.link = SharedLink(link, [num_bytes for _, num_bytes in inputs], dma.fetch_bytes_per_s)
        self.dram_bytes_per_s = None if self.link.infinite else dram_bytes_per_s
        self.offloads, self.wanted = plan.offloads, by_slot(plan.needed)
        self.dma_bytes = self._dma_bytes()
        self.spans: list[Span] = []
        self.clock_s = self.prefetched_s = 0.0  # of the compute stream; end of the last prefetch
        self.starts_s, self.ends_s = [0.0] * len(times), [0.0] * len(times)
        self.slot_ends_s = [0.0] * len(plan.slots)
        self.begun_s: dict[str, float] = {}
        self.back_s: dict[str, float] = {}

    def run_slot(self, at: int) -> None:
        """What the slot waits for, then its steps beside its transfers; it is over when all of these are."""
        slot, prefetches = self.plan.slots[at], self.plan.prefetches
        ahead = prefetches.ahead.get(at, ())
        if self.plan.streams_freely:
            self._prefetch(ahead, self.clock_s)
        self._prefetch(prefetches.demanded.get(at, ()), self.clock_s)
        self._wait(slot.layer, "prefetch", max((self.back_s[name] for name in self.wanted.get(at, ())), default=0.0))
        offloaded_s = self.clock_s
        for name in self.offloads.get(at, ()):
            offloaded_s = self._move("offload", name, offloaded_s)
        if not self.plan.streams_freely:
            self._prefetch(ahead, self.clock_s)
        self._compute(at)
        self._wait(slot.layer, "offload", offloaded_s)
        if not self.plan.streams_freely:
            self._wait(slot.layer, "prefetch", self.prefetched_s)
        self.slot_ends_s[at] = self.clock_s

    def finish(self) -> None:
        """The iteration is over when the inputs of the next one are there, too."""
        self._wait("", "input", self.link.finish_inputs())
        moving = [(name, num_bytes) for name, num_bytes in self.inputs if num_bytes]
        for (name, num_bytes), (start_s, end_s) in zip(moving, self.link.input_spans_s, strict=True):
            self.spans.append(Span("input", "input", name, "", start_s, end_s, num_bytes))

    def timeline(self) -> Timeline:
        """All spans by their start, and all memory events."""
        spans = sorted(self.spans, key=lambda span: span.start_s)
        return Timeline(tuple(spans), tuple(self._memory_events()), self.clock_s)

    def _compute(self, at: int) -> None:
        """The steps of a slot; where the DMA engine takes the bandwidth of the memory, the slot waits for the rest."""
        slot, begin_s = self.plan.slots[at], self.clock_s
        for place in range(slot.first, slot.last + 1):
            step = self.plan.graph.steps[place]
            self.starts_s[place] = self.clock_s
            self.clock_s += self.times[place].seconds
            self.ends_s[place] = self.clock_s
            self.spans.append(
                Span("compute", step.operation, step.name, step.layer, self.starts_s[place], self.clock_s)
            )
        if self.dram_bytes_per_s is not None and self.dma_bytes[at]:
            dram_s = sum(self.times[place].dram_s for place in range(slot.first, slot.last + 1))
            self._wait(slot.layer, "dram", begin_s + dram_s + self.dma_bytes[at] / self.dram_bytes_per_s)

    def _prefetch(self, names: Sequence[str], start_s: float) -> None:
        """Prefetches one after the other, behind those before."""
        for name in names:
            self.begun_s[name] = max(start_s, self.prefetched_s)
            self.back_s[name] = self.prefetched_s = self._move("prefetch", name, self.begun_s[name])

    def _wait(self, layer: str, cause: str, until_s: float) -> None:
        """A stall of the compute stream, if the time has not come yet."""
        if until_s > self.clock_s:
            name = f"{layer}.stall" if layer else "stall"
            self.spans.append(Span("compute", "stall", name, layer, self.clock_s, until_s, cause=cause))
            self.clock_s = until_s

    def _move(self, stream: StreamName, name: str, start_s: float) -> float:
        """A span of a DMA stream; its end."""
        tensor = self.plan.graph.tensors[name]
        num_bytes = self.dma.link_bytes(tensor)
        end_s = self.link.transfer(DIRECTIONS[stream], num_bytes, tensor.num_bytes, start_s)
        self.spans.append(Span(stream, stream, name, tensor.layer, start_s, end_s, num_bytes))
        return end_s

    def _dma_bytes(self) -> list[float]:
        """Bytes that transfers read or write in the device's memory beside the steps of each slot.

        A prefetch that streams freely counts where its tensor is needed, and inputs over the iteration in proportion to
        the compute time: not where the link happens to move them, so that a faster link can only gain. A demanded
        prefetch has the memory for itself.
        """
        plan, tensors = self.plan, self.plan.graph.tensors
        found = [0.0] * len(plan.slots)
        back = self.wanted if plan.streams_freely else plan.prefetches.ahead
        for moves in (self.offloads, back):
            for at, names in moves.items():
                found[at] += sum(tensors[name].num_bytes for name in names)
        total_s = sum(time.seconds for time in self.times)
        if total_s:
            input_bytes = sum(num_bytes for _, num_bytes in self.inputs)
            for at, slot in enumerate(plan.slots):
                seconds = sum(time.seconds for time in self.times[slot.first : slot.last + 1])
                found[at] += input_bytes * seconds / total_s
        return found

    def _memory_events(self) -> list[MemoryEvent]:
        """Of every stay of a tensor that takes any time; what stays for good is not given back."""
        events = []
        for stay in self.plan.stays:
            kept = stay.tensor not in self.plan.graph.tensors or self.plan.graph.tensors[stay.tensor].persistent
            start_s = self.begun_s[stay.tensor] if stay.from_slot else self.starts_s[stay.first]
            end_s = self.slot_ends_s[self.plan.left[stay.tensor]] if stay.to_slot else self.ends_s[stay.last]
            if kept:
                events.append(MemoryEvent(0.0, stay.tensor, stay.num_bytes))
            elif end_s > start_s:
                events.append(MemoryEvent(start_s, stay.tensor, stay.num_bytes))
                events.append(MemoryEvent(end_s, stay.tensor, -stay.num_bytes))
        for place, time in enumerate(self.times):
            if time.workspace_bytes and time.seconds:
                name = workspace_id(self.plan.graph.steps[place])
                events.append(MemoryEvent(self.starts_s[place], name, time.workspace_bytes))
                events.append(MemoryEvent(self.ends_s[place], name, -time.workspace_bytes))
        return sorted(events, key=lambda event: (event.at_s, event.num_bytes > 0))
