"""Feature maps that are dropped after the forward pass and made again when the backward pass wants them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal, get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network import Network
from archmodel.network.layer import KINDS
from archmodel.training.allocator import liveness
from archmodel.training.checkpoints import Segmentation
from archmodel.training.steps import Step, Tensor, TrainingGraph

Rule = Literal["cheap", "sqrt"]

# No weights to multiply: bytes are read and written, little more. What an "other" costs is unknown.
CHEAP_KINDS = (
    "pool", "norm", "activation", "add", "multiply", "concat", "softmax", "slice", "dropout", "embedding",
)  # fmt: skip


def recomputed(
    graph: TrainingGraph,
    network: Network,
    rule: Rule,
    *,
    kinds: Collection[str] | None = None,
    segments: int | None = None,
) -> TrainingGraph:
    """The graph with forward steps run again in the backward pass, none of them more than once.

    cheap : maps that layers of ``kinds`` (`CHEAP_KINDS` if not said) make from maps that are kept anyway (`cheap_maps`)
    sqrt : all within a segment (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"); ``segments`` of
    them, or as many as give the lowest peak of those that the search tries

    Its `liveness` never has a higher peak than that of ``graph``, which is the answer where nothing helps, unless
    ``segments`` are asked for. ConfigError for options that are not allowed and for a graph that has such steps.
    """
    if rule not in get_args(Rule):
        raise ConfigError(f"rule = {show(rule)}: must be cheap or sqrt{did_you_mean(str(rule), get_args(Rule))}")
    if any(step.operation == "recompute" for step in graph.steps):
        raise ConfigError(f"{graph.network}: its steps have been made to run again already; this is done once")
    for kind in kinds or ():
        if kind not in KINDS:
            raise ConfigError(f"kinds = {show(kind)}: is no kind of layer{did_you_mean(str(kind), KINDS)}")
    if rule == "cheap":
        if segments is not None:
            raise ConfigError(f"segments = {show(segments)}: only for rule = sqrt")
        without = drop(graph, cheap_maps(graph, network, CHEAP_KINDS if kinds is None else kinds))
        return without if liveness(without).peak_bytes <= liveness(graph).peak_bytes else graph
    if kinds is not None:
        raise ConfigError(f"kinds = {show(list(kinds))}: only for rule = cheap")
    segmentation = Segmentation(graph, network)
    if segments is None:
        return min((drop(graph, segmentation.dropped(cuts)) for cuts in segmentation.search()), key=_peak)
    most = len(network.layers)
    if type(segments) is not int or not 1 <= segments <= most:
        raise ConfigError(f"segments = {show(segments)}: must be a whole number from 1 to {most}, its layers")
    return drop(graph, segmentation.dropped(segmentation.even_cuts(segments)))


def _peak(graph: TrainingGraph) -> tuple[int, int]:
    """What is compared: bytes first, then steps."""
    return liveness(graph).peak_bytes, len(graph.steps)


def cheap_maps(graph: TrainingGraph, network: Network, kinds: Collection[str]) -> set[str]:
    """Maps that a backward step reads and that layers of ``kinds`` alone write, where dropping them frees memory.

    From the first layer on, a map is dropped if what it is made from is there in the backward pass: a map that a
    backward step reads and that is not dropped itself, or one made from such maps by layers of ``kinds``, which no
    backward step reads and which is made again on the way. Else what it is made from has to be kept longer, and
    that must take less than the map. In-place layers belong to the map that they write.
    """
    wanted = {name for step in graph.steps if step.phase == "backward" for name in step.reads}
    kept_longer: set[str] = set()
    on_the_way: dict[str, set[str]] = {}  # by map that no backward step reads: what is dropped to make it again
    dropped: set[str] = set()
    for name, places in graph.forward_writers.items():
        steps = [graph.steps[place] for place in places]
        if not all(network.layer(step.layer).kind in kinds for step in steps):
            continue
        sources = {one for step in steps for one in step.reads if graph.tensors[one].kind == "feature_map"} - {name}
        if graph.tensors[name].kind != "feature_map" or sources & dropped & wanted:
            continue
        again = set().union(*(on_the_way[one] for one in sources if one in on_the_way))
        longer = sources - wanted - on_the_way.keys() - kept_longer
        if sum(graph.tensors[one].num_bytes for one in longer) >= graph.tensors[name].num_bytes:
            continue
        if name in wanted:
            dropped |= again | {name}
            kept_longer |= longer
        elif not longer:
            on_the_way[name] = again | {name}
    return dropped


def drop(graph: TrainingGraph, dropped: Collection[str]) -> TrainingGraph:
    """The graph without these feature maps and ``saved`` tensors between the passes.

    Right before the first backward step that reads one of them, the forward steps that make it run again, after those
    that make what they read and is dropped too. They have the operation ``recompute``, write tensors of their own (the
    id has ``@2`` behind it) and read what their first run saved, if that is kept: so a dropout has the same mask and a
    norm the same statistics. A dropped mask is drawn again from the same state of the generator.
    """
    repetition = Repetition(graph, frozenset(dropped))
    for step in graph.steps:
        if step.phase == "backward" and not repetition.dropped.isdisjoint(step.reads):
            repetition.before(step)
            step = repetition.on_copies(step)
        repetition.steps.append(step)
    return replace(graph, tensors=repetition.tensors, steps=tuple(repetition.steps))


class Repetition:
    """Steps as far as they are written down; ``done`` are places of forward steps that have been run again."""

    def __init__(self, graph: TrainingGraph, dropped: frozenset[str]) -> None:
        self.graph, self.dropped = graph, dropped
        self.tensors, self.steps = dict(graph.tensors), list[Step]()
        self.done: set[int] = set()
        for name in dropped:
            if name not in graph.forward_writers:
                raise ConfigError(f"dropped = {show(name)}: is nothing that a forward step of {graph.network} makes")

    def before(self, step: Step) -> None:
        """Write down what ``step`` wants to have made again."""
        for place in self.missing(step):
            self.steps.append(self.again(self.graph.steps[place]))
            self.done.add(place)

    def on_copies(self, step: Step) -> Step:
        """A backward step that reads copies of what is dropped."""
        reads = tuple(self.copy(name) if name in self.dropped else name for name in step.reads)
        return Step(step.layer, step.operation, reads, step.writes)

    def missing(self, step: Step) -> list[int]:
        """Places of the forward steps that must run again before ``step``, in order."""
        writers, found = self.graph.forward_writers, set[int]()
        places = [place for name in step.reads if name in self.dropped for place in writers[name]]
        while places:
            place = places.pop()
            if place in found or place in self.done:
                continue
            found.add(place)
            earlier = self.graph.steps[place]
            for name in earlier.reads:
                if name in earlier.writes:  # in place: what stands there before
                    places += [one for one in writers[name] if one < place]
                elif name in self.dropped:
                    places += writers[name]
        return sorted(found)

    def again(self, step: Step) -> Step:
        """A forward step on copies of what is dropped and of what it writes; what it saved and is kept it reads."""
        kept = [one for one in step.writes if self.tensors[one].kind == "saved" and one not in self.dropped]
        reads = [self.copy(one) if one in self.dropped or one in step.writes else one for one in step.reads]
        writes = [self.copy(one) for one in step.writes if one not in kept]
        return Step(step.layer, "recompute", (*reads, *kept), tuple(writes))

    def copy(self, name: str) -> str:
        """The id of the tensor that is made in the place of ``name``."""
        first = self.tensors[name]
        second = f"workspace.recompute:{first.layer}" if first.kind == "workspace" else f"{name}@2"
        self.tensors.setdefault(second, Tensor(second, first.kind, first.layer, first.num_bytes))
        return second
