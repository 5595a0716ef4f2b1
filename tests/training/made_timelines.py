"""Timelines for tests of what shows them: made without a model, so that a view is tested on its own."""

import random

from archmodel.training.timeline import MemoryEvent, Span, Timeline
from archmodel.training.training_run import TrainingResult, TrainingRun

CAPACITY = 12 * 2**30


def by_hand() -> Timeline:
    """Two layers, 10 ms: an offload that is too long by 1 ms, and a prefetch that is too long by 2 ms."""
    spans = (
        Span("compute", "forward", "conv1.forward", "conv1", 0.0, 2e-3),
        Span("compute", "stall", "conv1.forward", "conv1", 2e-3, 3e-3, 0, "offload"),
        Span("compute", "forward", "fc2.forward", "fc2", 3e-3, 4e-3),
        Span("compute", "loss", "fc2.loss", "fc2", 4e-3, 4.5e-3),
        Span("compute", "weight_gradient", "fc2.weight_gradient", "fc2", 4.5e-3, 5e-3),
        Span("compute", "stall", "conv1.weight_gradient", "conv1", 5e-3, 7e-3, 0, "prefetch"),
        Span("compute", "weight_gradient", "conv1.weight_gradient", "conv1", 7e-3, 9e-3),
        Span("compute", "update", "conv1.update", "conv1", 9e-3, 10e-3),
        Span("offload", "offload", "X:image", "conv1", 0.0, 3e-3, 3000),
        Span("prefetch", "prefetch", "X:image", "conv1", 4e-3, 7e-3, 3000),
        Span("input", "input", "X:image", "conv1", 7e-3, 8e-3, 1000),
    )
    events = (
        MemoryEvent(0.0, "W:conv1", 500),
        MemoryEvent(0.0, "X:image", 3000),
        MemoryEvent(3e-3, "X:image", -3000),
        MemoryEvent(3e-3, "Y:fc2", 200),
        MemoryEvent(4e-3, "X:image", 3000),
        MemoryEvent(9e-3, "X:image", -3000),
        MemoryEvent(9e-3, "Y:fc2", -200),
    )
    return Timeline(spans, events, 10e-3)


def a_run(**changes) -> TrainingRun:
    """The run of the hand-made timeline."""
    known = {
        "net": "tiny",
        "batch": 4,
        "policy": "vdnn_all",
        "mode": "performance",
        "device": "titanx_maxwell",
        "link": "pcie3_x16",
        "dma": "plain",
        "timeline": by_hand(),
        "oracle_s": 7e-3,
        "capacity_bytes": CAPACITY,
        "reserved_bytes": 4096,
        "peak_live_bytes": 3584,
        "algorithms": {"conv1.forward": "fft"},
        "config": {"link": {"name": "PCIe 3.0 x16"}, "choices": {"precision": "fp32"}},
    }
    return TrainingRun(**{**known, **changes})


def a_result(*runs: TrainingRun, **changes) -> TrainingResult:
    """A result of some runs, or of the one by hand."""
    known = {
        "runs": runs or (a_run(),),
        "command": "archmodel train --net tiny",
        "seed": 0,
        "provenance": {"archmodel": "0.1.0", "numpy": "2.4.6"},
        "wall_s": 0.5,
    }
    return TrainingResult(**{**known, **changes})


def at_random(seed: int, num_layers: int, longest_s: float = 5e-3) -> Timeline:
    """Layers that are offloaded or not, and prefetched a layer ahead; every layer waits for its transfer."""
    rng = random.Random(seed)
    spans: list[Span] = []
    changes = [(0.0, f"W:{layer}", rng.randrange(2**20)) for layer in range(num_layers)]
    offloaded: dict[int, int] = {}
    now = link_free = 0.0

    def work(kind: str, layer: int, seconds: float) -> None:
        nonlocal now
        spans.append(Span("compute", kind, f"conv{layer}.{kind}", f"conv{layer}", now, now + seconds))
        now += seconds

    def wait(until: float, kind: str, layer: int, cause: str) -> None:
        nonlocal now
        if until > now:
            spans.append(Span("compute", "stall", f"conv{layer}.{kind}", f"conv{layer}", now, until, 0, cause))
            now = until

    for layer in range(num_layers):
        num_bytes, tensor = rng.randrange(1, 2**28), f"Y:conv{layer - 1}"
        changes.append((now, tensor, num_bytes))
        start = now
        work("forward", layer, rng.uniform(0, longest_s))
        if rng.random() < 0.7 and layer < num_layers - 1:
            offloaded[layer] = num_bytes
            end = start + num_bytes / 12e9
            spans.append(Span("offload", "offload", tensor, f"conv{layer}", start, end, num_bytes))
            wait(end, "forward", layer, "offload")
            changes.append((now, tensor, -num_bytes))
        else:
            changes.append((1e9 + layer, tensor, -num_bytes))  # its end is known in the backward pass
    kept = {tensor: num_bytes for _, tensor, num_bytes in changes if num_bytes > 0}
    changes = [one for one in changes if one[0] < 1e9]
    arrives: dict[int, float] = {}
    for layer in reversed(range(num_layers)):
        wanted = [one for one in range(layer, -1, -1) if one in offloaded and one not in arrives][:1]
        for one in wanted:
            begin = max(now, link_free)
            link_free = arrives[one] = begin + offloaded[one] / 12e9
            name = f"Y:conv{one - 1}"
            spans.append(Span("prefetch", "prefetch", name, f"conv{one}", begin, link_free, offloaded[one]))
            changes.append((begin, name, offloaded[one]))
        wait(arrives.get(layer, 0.0), "weight_gradient", layer, "prefetch")
        work("weight_gradient", layer, rng.uniform(0, longest_s))
        work("data_gradient", layer, rng.uniform(0, longest_s))
        changes.append((now, f"Y:conv{layer - 1}", -kept[f"Y:conv{layer - 1}"]))
    for layer in range(num_layers):
        work("update", layer, rng.uniform(0, longest_s / 20))
    changes.sort(key=lambda one: (one[0], one[2]))
    return Timeline(tuple(spans), tuple(MemoryEvent(*one) for one in changes), now)
