"""Where a network is cut so that only the maps between its segments are kept for the backward pass."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, pairwise
from math import isqrt, sqrt

from archmodel.network import Network
from archmodel.network.layer import GATES
from archmodel.training.steps import TrainingGraph

NUM_GUESSES = 3  # of a budget, each from the plan of the one before
NUM_TRIALS = 6  # of budgets around the last guess


class Segmentation:
    """The forward pass as a row of layers; a cut is the place of the layer behind which it lies.

    A map is kept if a layer on this side of a cut has made it and one on the other side reads it; nothing is dropped
    behind the last cut, as the backward pass wants that at once. A cut never parts layers that write the same map.

    ``spans`` : by map the places of its first and last writer and of its last reader in the forward pass
    ``made_bytes`` : of the maps and saved tensors that each layer makes
    ``crossing_bytes`` : of the maps that a cut behind each layer keeps
    ``candidates`` : cuts that a single map crosses, and those that keep no more than the cuts beside them
    """

    def __init__(self, graph: TrainingGraph, network: Network) -> None:
        self.graph, self.network = graph, network
        forward = [step for step in graph.steps if step.phase == "forward"]
        self.made_bytes = [0] * len(forward)
        self.spans: dict[str, tuple[int, int, int]] = {}
        self.saved: list[tuple[str, int]] = []  # what is not kept with a norm, and who makes it
        last_read = {name: place for place, step in enumerate(forward) for name in step.reads}
        for name, places in graph.forward_writers.items():
            tensor = graph.tensors[name]
            self.made_bytes[places[0]] += tensor.num_bytes
            if tensor.kind == "feature_map":
                self.spans[name] = (places[0], places[-1], last_read.get(name, -1))
            elif network.layer(tensor.layer).kind != "norm":
                self.saved.append((name, places[0]))
        self.crossing_bytes, self.candidates = self._cuts(len(forward))

    def _cuts(self, num_layers: int) -> tuple[list[int], list[int]]:
        """Bytes that cross each cut, and the cuts that are worth a trial."""
        entering, counts, parted = [0] * (num_layers + 1), [0] * (num_layers + 1), [0] * (num_layers + 1)
        for name, (first, last, read) in self.spans.items():
            parted[first] += 1
            parted[last] -= 1
            if read > last:
                for row, change in ((entering, self.graph.tensors[name].num_bytes), (counts, 1)):
                    row[last] += change
                    row[read] -= change
        crossing = list(accumulate(entering))
        crossed, whole = list(accumulate(counts)), [not one for one in accumulate(parted)]
        allowed = [cut for cut in range(num_layers - 1) if whole[cut]]
        beside = [crossing[allowed[0]], *(crossing[cut] for cut in allowed), crossing[allowed[-1]]] if allowed else []
        return crossing, [
            cut
            for place, cut in enumerate(allowed)
            if crossed[cut] == 1 or crossing[cut] <= min(beside[place], beside[place + 2])
        ]

    def dropped(self, cuts: tuple[int, ...]) -> set[str]:
        """Maps that no cut keeps, with what their layers saved; the gates of a recurrent layer in any case."""
        if not cuts:
            return set()
        gone = set()
        for name, (_, last, read) in self.spans.items():
            place = bisect_left(cuts, last)  # of the first cut behind the map
            if place < len(cuts) and not read > cuts[place]:
                gone.add(name)
        for name, place in self.saved:
            layer = self.network.layer(self.graph.tensors[name].layer)
            if place <= cuts[-1] and (layer.kind in GATES or self.graph.maps[layer.name] in gone):
                gone.add(name)
        return gone

    def even_cuts(self, segments: int) -> tuple[int, ...]:
        """At the candidates nearest to equal parts of the bytes, for at most so many segments."""
        made = list(accumulate(self.made_bytes))
        found = set()
        for part in range(1, segments) if self.candidates else ():
            aim = part * made[-1] / segments
            found.add(min(self.candidates, key=lambda cut: abs(made[cut] - aim)))
        return tuple(sorted(found))

    def budget_cuts(self, budget_bytes: float) -> tuple[int, ...]:
        """Algorithm 3 of Chen et al. 2016: a cut as soon as the segment makes more than the budget."""
        found, segment_bytes, worth = [], 0, set(self.candidates)
        for place, num_bytes in enumerate(self.made_bytes):
            segment_bytes += num_bytes
            if place in worth and segment_bytes > budget_bytes:
                found.append(place)
                segment_bytes = 0
        return tuple(found)

    def next_budget(self, cuts: tuple[int, ...]) -> float:
        """sqrt(x y) of a plan: x bytes kept at its cuts, y bytes of its largest segment."""
        kept = sum(self.crossing_bytes[cut] for cut in cuts)
        made = [0, *accumulate(self.made_bytes)]
        ends = [0, *(cut + 1 for cut in cuts), len(self.made_bytes)]
        return sqrt(kept * max(made[end] - made[begin] for begin, end in pairwise(ends)))

    def search(self) -> Iterator[tuple[int, ...]]:
        """Plans to choose from, each once: no cut, sqrt(n) equal segments, and the budgets of the paper's search.

        The first budget is 0, that is, all candidates; a further one is sqrt(x y) of the plan before. Around the last,
        B, lie the others, from B / sqrt(2) to B sqrt(2).
        """
        plans = [(), self.even_cuts(isqrt(len(self.spans)))]
        budget = 0.0
        for _ in range(NUM_GUESSES):
            plans.append(self.budget_cuts(budget))
            budget = self.next_budget(plans[-1])
        around = [budget * 2 ** (trial / (NUM_TRIALS - 1) - 0.5) for trial in range(NUM_TRIALS)]
        plans += [self.budget_cuts(one) for one in around]
        yield from dict.fromkeys(plans)
