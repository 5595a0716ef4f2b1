"""One training iteration of a network on a device with limited memory, behind a link."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.interconnect.sharing import LinkConfig
from archmodel.network import Network
from archmodel.training.choices import TrainingChoices
from archmodel.training.dma import Dma, PlainDma
from archmodel.training.engine import run
from archmodel.training.graph import DEFAULT_CHOICES, training_graph
from archmodel.training.offloading import Static
from archmodel.training.placement import aligned
from archmodel.training.plan import Plan, make_plan
from archmodel.training.policies import Policy
from archmodel.training.prefetching import ideal_prefetches
from archmodel.training.residency import Fit, Options, fit, live_bytes, workspace_id
from archmodel.training.step_times import Device, Mode, StepTime
from archmodel.training.steps import Tensor, TrainingGraph
from archmodel.training.timeline import Timeline

# dyn's trials in order: what is offloaded, by which mode, and whether algorithms are downgraded where they overflow.
DYN_TRIALS: tuple[tuple[Static, Mode, bool], ...] = (
    ("all", "memory", False),  # trainability
    ("none", "performance", False),
    ("conv", "performance", False),
    ("all", "performance", False),
    ("conv", "performance", True),
    ("all", "performance", True),
    ("conv", "memory", False),
    ("all", "memory", False),
)
ROOM_PARTS = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the room in each slot, that an ideal prefetch fills: a pool has fragments

PLAIN = PlainDma()


@dataclass(frozen=True)
class Trial:
    """A plan with its algorithms, and whether a pool of the capacity took it."""

    offload: Static
    mode: Mode
    greedy: bool
    plan: Plan
    fit: Fit


@dataclass(frozen=True)
class Iteration:
    """What became of an iteration.

    graph : with the workspaces of the algorithms that were taken; algorithms : the StepTime of each step by its name
    oracle_s : the fastest option of every step of the network, without a link and with all memory
    trials : of dyn, all that were made; of another policy one. The last one is what was run
    why_not : the first thing that found no room; the timeline is then that of a larger memory
    reserved_bytes, peak_live_bytes : of the pool, and of the tensors in it
    """

    graph: TrainingGraph
    policy: Policy
    algorithms: dict[str, StepTime]
    timeline: Timeline
    oracle_s: float
    capacity_bytes: int | None
    trials: tuple[Trial, ...]
    offloaded: tuple[str, ...]
    why_not: str
    reserved_bytes: int
    peak_live_bytes: int

    @property
    def fits(self) -> bool:
        return not self.why_not

    @property
    def fragmentation(self) -> float:
        """The part of what the pool reserves that no tensor needs, even when most is needed."""
        return 1 - self.peak_live_bytes / self.reserved_bytes if self.reserved_bytes else 0.0

    @property
    def performance(self) -> float:
        """Of the oracle's: 1 where nothing is lost."""
        return self.oracle_s / self.timeline.iteration_s if self.timeline.iteration_s else 1.0


@dataclass(frozen=True)
class Prepared:
    """What all policies have in common: a network with a batch, on a device."""

    network: Network
    batch: int
    device: Device
    choices: TrainingChoices = DEFAULT_CHOICES

    @cached_property
    def graph(self) -> TrainingGraph:
        """Without workspaces, and without anything that is made again."""
        return training_graph(self.network, self.batch, self.choices)

    @cached_property
    def options(self) -> Options:
        """Of every step of the graph."""
        return self.options_of(self.graph)

    @property
    def oracle_s(self) -> float:
        """The fastest option of every step, one after the other."""
        total_s = 0.0
        for fastest, *_ in self.options:
            total_s += fastest.seconds
        return total_s

    def options_of(self, graph: TrainingGraph) -> Options:
        """Of every step of a graph of the network."""
        layers = {layer.name: layer for layer in self.network.layers}
        return [
            self.device.options(self.network, layers[step.layer], step.operation, self.batch, self.choices)
            for step in graph.steps
        ]


@dataclass(frozen=True)
class Decision:
    """What a policy makes of an iteration, before any time: the trials, of which the last one is taken."""

    graph: TrainingGraph
    options: Options
    inputs: tuple[tuple[str, int], ...]
    trials: tuple[Trial, ...]

    @property
    def taken(self) -> Trial:
        return self.trials[-1]


def virtualize(
    network: Network,
    batch: int,
    *,
    device: Device,
    link: LinkConfig,
    policy: Policy,
    mode: Mode = "performance",
    choices: TrainingChoices = DEFAULT_CHOICES,
    dma: Dma = PLAIN,
    capacity_bytes: int | None = None,
    input_batches: bool = True,
) -> Iteration:
    """Plan, fit and time an iteration.

    capacity_bytes : of memory; the device's own if None, without end if that is unknown
    input_batches : the inputs of the next iteration are uploaded meanwhile, into a second buffer
    """
    prepared = Prepared(network, batch, device, choices)
    capacity_bytes = device.memory_bytes if capacity_bytes is None else capacity_bytes
    decision = decide(prepared, policy, mode, capacity_bytes, input_batches)
    return iterate(prepared, decision, policy, link, dma, capacity_bytes)


def decide(
    prepared: Prepared, policy: Policy, mode: Mode, capacity_bytes: int | None, input_batches: bool = True
) -> Decision:
    """Plan an iteration and see whether it fits; a capacity of None has no end."""
    if mode not in get_args(Mode):
        raise ConfigError(
            f"mode = {show(mode)}: must be memory or performance{did_you_mean(str(mode), get_args(Mode))}"
        )
    network, plain = prepared.network, prepared.graph
    graph = plain if policy.recompute is None else policy.recompute(plain, network)
    options = prepared.options if graph is plain else prepared.options_of(graph)
    inputs = tuple((name, plain.tensors[name].num_bytes) for name in plain.inputs) if input_batches else ()
    buffers = tuple((f"next:{name}", num_bytes) for name, num_bytes in inputs)

    def plan_of(offload: Static) -> Plan:
        return make_plan(network, graph, offload, buffers)

    return Decision(graph, options, inputs, tuple(_trials(plan_of, options, policy, mode, capacity_bytes)))


def iterate(
    prepared: Prepared,
    decision: Decision,
    policy: Policy,
    link: LinkConfig,
    dma: Dma = PLAIN,
    capacity_bytes: int | None = None,
) -> Iteration:
    """Time the plan that was taken; one that does not fit has a larger memory."""
    graph, options, taken = decision.graph, decision.options, decision.taken
    times = [choice[pick] for choice, pick in zip(options, taken.fit.picks, strict=True)]
    fitted = taken.fit if taken.fit.fits else fit(taken.plan, options, taken.fit.picks, None)
    return Iteration(
        graph=_with_workspaces(graph, times),
        policy=policy,
        algorithms={step.name: time for step, time in zip(graph.steps, times, strict=True)},
        timeline=run(taken.plan, times, link, dma, prepared.device.dram_bytes_per_s, decision.inputs),
        oracle_s=prepared.oracle_s,
        capacity_bytes=capacity_bytes,
        trials=decision.trials,
        offloaded=tuple(taken.plan.left),
        why_not=taken.fit.why_not,
        reserved_bytes=fitted.reserved_bytes,
        peak_live_bytes=fitted.peak_live_bytes,
    )


def _trials(
    plan_of: Callable[[Static], Plan], options: Options, policy: Policy, mode: Mode, capacity_bytes: int | None
) -> list[Trial]:
    """What is tried, up to the first that fits. dyn's first trial only tells whether any can."""
    if policy.offload != "dyn":
        return [_trial(plan_of(policy.offload), options, policy, (policy.offload, mode, False), capacity_bytes)]
    plans: dict[Static, Plan] = {}
    found: list[Trial] = []
    for number, rule in enumerate(DYN_TRIALS):
        if rule[0] not in plans:
            plans[rule[0]] = plan_of(rule[0])
        found.append(_trial(plans[rule[0]], options, policy, rule, capacity_bytes))
        if found[-1].fit.fits == (number > 0):
            break
    return found


def _trial(
    plan: Plan, options: Options, policy: Policy, rule: tuple[Static, Mode, bool], capacity_bytes: int | None
) -> Trial:
    offload, mode, greedy = rule
    picks = [len(choices) - 1 if mode == "memory" else 0 for choices in options]
    if policy.prefetch == "ideal":
        plan, fitted = _ideal(plan, options, picks, capacity_bytes)
    else:
        fitted = fit(plan, options, picks, capacity_bytes, greedy=greedy)
    return Trial(offload, mode, greedy, plan, fitted)


def _ideal(plan: Plan, options: Options, picks: list[int], capacity_bytes: int | None) -> tuple[Plan, Fit]:
    """The plan with ideal prefetches: the earliest that the pool takes."""
    sizes = {name: aligned(plan.graph.tensors[name].num_bytes) for name in plan.needed}
    workspaces = [choices[pick].workspace_bytes for choices, pick in zip(options, picks, strict=True)]
    late = replace(
        plan, streams_freely=True, prefetches=ideal_prefetches(plan.slots, plan.needed, sizes, [0] * len(plan.slots))
    )
    live = live_bytes(late, late.stays, workspaces)
    highest = [int(live[slot.first : slot.last + 1].max()) for slot in plan.slots]
    without_end = replace(late, prefetches=ideal_prefetches(plan.slots, plan.needed, sizes, None))
    if capacity_bytes is None:
        return without_end, fit(without_end, options, picks, None)
    for part in ROOM_PARTS:
        room = [int(part * (capacity_bytes - one)) for one in highest]
        early = replace(late, prefetches=ideal_prefetches(plan.slots, plan.needed, sizes, room))
        fitted = fit(early, options, picks, capacity_bytes)
        if fitted.fits:
            return early, fitted
    return without_end, fitted


def _with_workspaces(graph: TrainingGraph, times: Sequence[StepTime]) -> TrainingGraph:
    """The graph whose steps write the workspaces of their algorithms."""
    tensors, steps = dict(graph.tensors), list(graph.steps)
    for place, (step, time) in enumerate(zip(graph.steps, times, strict=True)):
        if time.workspace_bytes:
            name = workspace_id(step)
            tensors[name] = Tensor(name, "workspace", step.layer, time.workspace_bytes)
            steps[place] = replace(step, writes=(*step.writes, name))
    return replace(graph, tensors=tensors, steps=tuple(steps))
