"""Times of an iteration by hand, stalls by cause, and the memory held at every instant against a naive twin."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ConfigError
from archmodel.network import Layer, Network
from archmodel.training import POLICIES, STUDY, TrainingChoices, virtualize
from archmodel.training.dma import PlainDma
from archmodel.training.policies import Policy, cheap
from archmodel.training.step_times import StepTime
from tests.training.timeline_checks import check_timeline
from tests.training.virtual_machines import INFINITE, RandomDevice, choices_of, link_of, network_of

MS = 1e-3
MAP_BYTES = 4 * 4 * 4 * 2 * 4  # of a batch of 4: 2 channels of 4x4 words
LINK = link_of(MAP_BYTES / MS)  # a map a millisecond


def chain(*kinds):
    """Layers of 2 channels on planes of 4x4, one behind the other."""
    layers, source = [], "image"
    for at, kind in enumerate(kinds):
        mode = {"pool": "average", "activation": "relu", "norm": "lrn"}.get(kind, "")
        shape = (2, 4, 4) if source == "image" or layers[-1].kind != "fc" else (32, 1, 1)
        C = shape if kind != "fc" else (32, 1, 1)
        layers.append(Layer(f"{kind}{at}", kind, (source,), C, 32 if kind == "fc" else C[0], mode=mode))
        source = layers[-1].name
    return Network("chain", "chain", "made up", {"image": (2, 4, 4)}, tuple(layers))


@dataclass(frozen=True)
class Device:
    """Every step takes as long as its operation says."""

    forward_ms: float = 2.0
    backward_ms: float = 2.0
    dram_part: float = 0.0
    dram_bytes_per_s: float | None = None
    memory_bytes: int | None = None
    name: str = "by hand"

    def options(self, network, layer, operation, batch, choices):
        if layer.kind in ("softmax", "activation") or operation in ("loss", "update"):
            return (StepTime(0.0),)
        seconds = MS * (self.forward_ms if operation == "forward" else self.backward_ms)
        return (StepTime(seconds, seconds * self.dram_part),)


def run(network, policy="vdnn_all", **options):
    device = options.pop("device", Device())
    options = {"link": LINK, "choices": STUDY, "input_batches": False, **options}
    found = virtualize(network, 4, device=device, policy=POLICIES[policy], **options)
    check_timeline(found)
    return found


def moves(found, stream):
    return [(span.name, round(span.start_s / MS, 6), round(span.end_s / MS, 6)) for span in found.timeline.of(stream)]


def stalls(found):
    return {cause: pytest.approx(seconds / MS) for cause, seconds in found.timeline.stalls_s.items()}


def test_a_chain_of_convolutions_by_hand():
    """Forward 2 ms a layer; backward 2 ms a step, two steps but for the first layer. X of the last layer stays."""
    found = run(chain("conv", "conv", "conv"))
    assert moves(found, "offload") == [("X:image", 0, 1), ("Y:conv0", 2, 3)]
    assert moves(found, "prefetch") == [("Y:conv0", 6, 7), ("X:image", 10, 11)]
    assert found.timeline.iteration_s == pytest.approx(16 * MS)
    assert not found.timeline.stalls_s


def test_a_slow_link_stalls_by_its_causes():
    found = run(chain("conv", "conv", "conv"), link=link_of(MAP_BYTES / MS / 5))
    assert moves(found, "offload") == [("X:image", 0, 5), ("Y:conv0", 5, 10)]
    assert moves(found, "prefetch") == [("Y:conv0", 12, 17), ("X:image", 17, 22)]
    assert stalls(found) == {"offload": 6, "prefetch": 2}
    assert found.timeline.iteration_s == pytest.approx(24 * MS)


def test_an_activation_in_place_belongs_to_its_convolution():
    """conv0 and its ReLU are one layer; the ReLU of conv2 has no X that could leave."""
    found = run(chain("conv", "activation", "conv", "activation", "conv"))
    assert moves(found, "offload") == [("X:image", 0, 1), ("Y:conv0", 2, 3)]
    assert found.offloaded == ("X:image", "Y:conv0")
    assert found.timeline.iteration_s == pytest.approx(16 * MS)


def test_conv_leaves_what_a_pool_reads_and_a_map_that_nobody_needs_is_freed():
    """The norm reads X and Y again; a pool of averages and an fc's input do not leave with conv."""
    network = chain("conv", "norm", "conv", "pool", "fc", "softmax")
    assert run(network, "vdnn_conv").offloaded == ("X:image", "Y:norm1")
    assert run(network, "vdnn_all").offloaded == ("X:image", "Y:conv0", "Y:norm1")
    found = run(network, "vdnn_all")
    gone = [
        event.at_s / MS
        for event in found.timeline.memory_events
        if (event.tensor, event.num_bytes < 0) == ("Y:conv2", True)
    ]
    assert gone == [pytest.approx(8)]  # the pool has read it


def test_the_classifier_keeps_its_maps_unless_a_convolution_follows():
    assert run(chain("conv", "conv", "fc", "fc", "softmax")).offloaded == ("X:image", "Y:conv0")
    network = chain("fc", "fc", "conv", "fc")
    assert run(network).offloaded == ("X:image", "Y:fc0", "Y:fc1")


def test_a_forked_map_leaves_with_its_last_reader():
    layers = (
        Layer("a", "conv", ("image",), (2, 4, 4), 2),
        Layer("b", "conv", ("a",), (2, 4, 4), 2),
        Layer("c", "conv", ("a",), (2, 4, 4), 2),
        Layer("d", "add", ("b", "c"), (2, 4, 4), 2),
        Layer("e", "conv", ("d",), (2, 4, 4), 2),
        Layer("f", "conv", ("e",), (2, 4, 4), 2),
    )
    found = run(Network("fork", "fork", "made up", {"image": (2, 4, 4)}, layers))
    assert moves(found, "offload") == [("X:image", 0, 1), ("Y:a", 4, 5), ("Y:d", 8, 9)]
    # f: Y:d; e: nothing, d is an add, before it is c: Y:a; c: none; b: none up to a, X:image
    assert moves(found, "prefetch") == [("Y:d", 12, 13), ("Y:a", 16, 17), ("X:image", 26, 27)]


def test_norms_are_prefetched_one_by_one_before_the_convolution():
    found = run(chain("conv", "norm", "norm", "norm", "conv"), link=link_of(MAP_BYTES / MS / 3))
    assert [name for name, _, _ in moves(found, "prefetch")] == ["Y:norm2", "Y:norm1", "Y:conv0", "X:image"]


def test_what_no_window_reaches_is_demanded():
    """b makes no gradient, so that nothing runs backward before c: c waits for its X."""
    layers = (
        Layer("a", "conv", ("image",), (2, 4, 4), 2),
        Layer("c", "conv", ("a",), (2, 4, 4), 2),
        Layer("b", "pool", ("image",), (2, 4, 4), 2, mode="average"),
    )
    found = run(Network("late", "late", "made up", {"image": (2, 4, 4)}, layers))
    assert moves(found, "offload") == [("Y:a", 2, 3)]
    assert moves(found, "prefetch") == [("Y:a", 6, 7)]
    assert stalls(found) == {"prefetch": 1}
    assert found.timeline.iteration_s == pytest.approx(13 * MS)
    taken = [event.at_s / MS for event in found.timeline.memory_events if event.tensor == "Y:a" and event.num_bytes > 0]
    assert taken == pytest.approx([0, 6])


def test_what_a_layer_needs_made_again_is_prefetched_as_its_own():
    """The norm is made again from Y:conv0 for conv2: the window of conv3 reaches it there, above the norm."""
    policy = Policy("mine", "all", recompute=cheap)
    found = virtualize(
        chain("conv", "norm", "conv", "conv"),
        4,
        device=Device(),
        link=LINK,
        policy=policy,
        choices=STUDY,
        input_batches=False,
    )
    check_timeline(found)
    assert moves(found, "offload") == [("X:image", 0, 1), ("Y:conv0", 2, 3)]
    assert moves(found, "prefetch") == [("Y:conv0", 8, 9), ("X:image", 12, 13)]


def test_ideal_prefetches_stall_only_where_the_link_is_too_slow():
    network = chain("conv", "conv", "conv", "fc", "fc")
    slow = link_of(MAP_BYTES / MS / 4.5)
    window, ideal = run(network, link=slow), run(network, "ideal_prefetch", link=slow)
    assert moves(window, "prefetch") == [("Y:conv1", 17.5, 22), ("Y:conv0", 26, 30.5), ("X:image", 30.5, 35)]
    assert moves(ideal, "prefetch") == [("Y:conv1", 17.5, 22), ("Y:conv0", 22, 26.5), ("X:image", 26.5, 31)]
    assert stalls(window) == {"offload": 7.5, "prefetch": 1.5}
    assert stalls(ideal) == {"offload": 7.5}
    slower = run(network, "ideal_prefetch", link=link_of(MAP_BYTES / MS / 10))
    assert moves(slower, "prefetch") == [("Y:conv1", 34, 44), ("Y:conv0", 44, 54), ("X:image", 54, 64)]
    assert stalls(slower) == {"offload": 24, "prefetch": 2 + 6 + 6}


def test_an_ideal_prefetch_waits_for_memory():
    """A block less than for all maps at once: the last prefetch begins when another map has been given back."""
    network = chain("conv", "conv", "conv", "conv", "conv")
    choices = TrainingChoices(optimizer="sgd", update="layer")
    free = run(network, "ideal_prefetch", choices=choices)
    tight = run(network, "ideal_prefetch", choices=choices, capacity_bytes=free.reserved_bytes - 512)
    assert tight.fits
    assert [start for _, start, _ in moves(free, "prefetch")] == [10, 11, 12, 13]
    assert [start for _, start, _ in moves(tight, "prefetch")][:2] == [10, 11]
    assert moves(tight, "prefetch")[-1][1] > 13
    assert tight.reserved_bytes <= tight.capacity_bytes < free.reserved_bytes


def test_dma_takes_the_memory_from_a_layer_that_needs_all_of_it():
    """A map a millisecond over the link and in memory alike: a layer with its memory busy all the time waits for it."""
    device = Device(dram_part=1.0, dram_bytes_per_s=MAP_BYTES / MS)
    found = run(chain("conv", "conv", "conv"), device=device)
    assert stalls(found) == {"dram": 4}
    half = run(chain("conv", "conv", "conv"), device=Device(dram_part=0.75, dram_bytes_per_s=MAP_BYTES / MS))
    assert stalls(half) == {"dram": pytest.approx(2 * 0.5 + 0)}
    assert not run(chain("conv", "conv"), link=INFINITE, device=device).timeline.stalls_s


def test_an_ideal_prefetch_takes_memory_bandwidth_from_who_needs_it():
    device, network = Device(dram_part=1.0, dram_bytes_per_s=MAP_BYTES / MS), chain("conv", "conv", "conv")
    for policy, layers in (("vdnn_all", ["conv2", "conv1"]), ("ideal_prefetch", ["conv1", "conv0"])):
        spans = run(network, policy, device=device).timeline.of("compute")
        assert [span.layer for span in spans if span.cause == "dram"] == ["conv0", "conv1", *layers]


def test_inputs_of_the_next_iteration_share_the_link_and_have_a_buffer():
    found = run(chain("conv", "conv"), "none", input_batches=True, link=link_of(MAP_BYTES / MS / 20))
    assert moves(found, "input") == [("X:image", 0, 20)]
    assert stalls(found) == {"input": 10}
    assert found.timeline.peak_bytes - run(chain("conv", "conv"), "none").timeline.peak_bytes == MAP_BYTES
    shared = run(chain("conv", "conv", "conv"), input_batches=True, link=link_of(MAP_BYTES / MS / 5))
    assert moves(shared, "input") == [("X:image", 0, 5)]
    assert stalls(shared) == {"offload": 6, "prefetch": 2}


def test_inputs_take_memory_bandwidth_over_the_whole_iteration():
    device = Device(dram_part=1.0, dram_bytes_per_s=MAP_BYTES / MS)
    found = run(chain("conv", "conv"), "none", input_batches=True, device=device)
    assert stalls(found) == {"dram": 1}


def test_bytes_on_the_link_are_those_of_the_dma_engine():
    @dataclass(frozen=True)
    class Half:
        name: str = "half"
        fetch_bytes_per_s: float | None = None

        def link_bytes(self, tensor):
            return tensor.num_bytes // 2

    found = run(chain("conv", "conv", "conv"), dma=Half())
    assert moves(found, "offload") == [("X:image", 0, 0.5), ("Y:conv0", 2, 2.5)]
    assert found.timeline.moved_bytes("prefetch") == MAP_BYTES
    assert run(chain("conv", "conv"), dma=PlainDma()).timeline.moved_bytes("offload") == MAP_BYTES


def test_what_does_not_fit_says_where():
    found = run(chain("conv", "conv", "conv"), capacity_bytes=2000)
    assert not found.fits
    assert found.why_not.startswith("chain with a batch of 4, step conv2.loss: ")
    assert found.why_not.endswith(" bytes are needed at once, of 2,000 bytes")
    scattered = run(chain("conv", "conv", "conv"), capacity_bytes=3000)  # blocks of 512 bytes
    assert not scattered.fits
    assert "conv2.loss: Y:conv0: 512 bytes do not fit: 2,560 bytes of 3,000 bytes are in use" in scattered.why_not
    assert scattered.timeline == run(chain("conv", "conv", "conv")).timeline
    assert scattered.reserved_bytes > 3000
    with pytest.raises(ConfigError, match="capacity_bytes = 0"):
        run(chain("conv"), capacity_bytes=0)
    with pytest.raises(ConfigError, match="mode = 'fast': must be memory or performance"):
        run(chain("conv"), mode="fast")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["none", "vdnn_conv", "vdnn_all"]), st.sampled_from([1e5, 1e6, 1e7]))
def test_memory_at_every_instant(seed, policy, bytes_per_s):
    """Asked in the middle between any two events: who has been written or fetched, and who is still wanted."""
    network = network_of(seed)
    found = virtualize(
        network,
        2,
        device=RandomDevice(seed),
        link=link_of(bytes_per_s),
        policy=POLICIES[policy],
        choices=choices_of(seed),
        mode="memory",
        input_batches=False,
    )
    graph, timeline = found.graph, found.timeline
    steps = [span for span in timeline.of("compute") if span.kind != "stall"]
    away = {span.name: span for span in timeline.of("offload")}
    back = {span.name: span for span in timeline.of("prefetch")}
    times, held = timeline.memory_curve
    for (now, later), ours in zip(pairwise(times.tolist()), held.tolist(), strict=False):
        middle = (now + later) / 2
        total = 0
        for name, tensor in graph.tensors.items():
            uses = [span for span, step in zip(steps, graph.steps, strict=True) if name in step.tensors]
            begin = 0 if name in graph.inputs else uses[0].start_s
            here = begin <= middle < uses[-1].end_s
            if name in away:
                begun = [span.start_s for span in steps if span.start_s >= away[name].end_s]
                released = min((at for at in begun if at >= away[name].end_s), default=timeline.iteration_s)
                gap = (released, back[name].start_s)
                here = here and not gap[0] <= middle < gap[1]
            total += tensor.num_bytes * (here or tensor.persistent)
        assert total == ours
