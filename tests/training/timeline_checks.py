"""What must hold of every timeline, asked of its spans and memory events alone."""

from itertools import pairwise


def check_timeline(iteration):
    """Streams do not overlap, no step is left out, and every tensor is there while somebody needs it."""
    timeline, graph = iteration.timeline, iteration.graph
    for stream in ("compute", "offload", "prefetch", "input"):
        for one, other in pairwise(timeline.of(stream)):
            assert one.end_s <= other.start_s
    for span in timeline.spans:
        assert 0 <= span.start_s <= span.end_s <= timeline.iteration_s
    compute = timeline.of("compute")
    assert [one.end_s for one in compute] == [one.start_s for one in compute[1:]] + [timeline.iteration_s]
    steps = [span for span in compute if span.kind != "stall"]
    assert [span.name for span in steps] == [step.name for step in graph.steps]
    held = check_memory(iteration)
    for span, step in zip(steps, graph.steps, strict=True):
        if span.end_s > span.start_s:
            for name in step.tensors:
                assert any(start <= span.start_s and span.end_s <= end for start, end in held[name]), (step.name, name)
    check_moves(iteration, held, steps)


def check_memory(iteration):
    """Nothing is taken twice, given back twice or leaked; the intervals in which each tensor is held."""
    graph, timeline = iteration.graph, iteration.timeline
    order = [(event.at_s, event.num_bytes > 0) for event in timeline.memory_events]
    assert order == sorted(order)
    sizes = {name: tensor.num_bytes for name, tensor in graph.tensors.items()}
    sizes |= {f"next:{name}": sizes[name] for name in graph.inputs}
    total, since, held = 0, {}, {}
    for event in timeline.memory_events:
        assert abs(event.num_bytes) == sizes[event.tensor]
        total += event.num_bytes
        if event.num_bytes > 0:
            assert event.tensor not in since
            since[event.tensor] = event.at_s
        else:
            held.setdefault(event.tensor, []).append((since.pop(event.tensor), event.at_s))
        assert total >= 0
        if iteration.fits and iteration.capacity_bytes is not None:
            assert total <= iteration.capacity_bytes
    for name, start in since.items():
        assert start == 0
        assert name.startswith("next:") or graph.tensors[name].persistent
        held[name] = [(0, timeline.iteration_s)]
    return held


def check_moves(iteration, held, steps):
    """What leaves comes back once, before anybody reads it, and its memory is there while it moves."""
    timeline, graph = iteration.timeline, iteration.graph
    away = {span.name: span for span in timeline.of("offload")}
    back = {span.name: span for span in timeline.of("prefetch")}
    assert set(away) == set(back) == set(iteration.offloaded)
    assert len(timeline.of("offload")) == len(timeline.of("prefetch")) == len(away)
    for name, span in away.items():
        assert span.end_s <= back[name].start_s
        moves = [one for one in (span, back[name]) if one.end_s > one.start_s]
        for one in moves:
            assert any(start <= one.start_s and one.end_s <= end for start, end in held[name])
        for step, time in zip(graph.steps, steps, strict=True):
            if name in step.tensors and step.phase == "forward":
                assert time.start_s <= span.start_s
            elif name in step.tensors:
                assert back[name].end_s <= time.start_s
