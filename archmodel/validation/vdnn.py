"""What configs/published/vdnn.toml measures: policies on a Titan X behind PCIe 3.0 x16, beside the vDNN study."""

from collections.abc import Iterator
from dataclasses import replace

from archmodel.exchange import read_network
from archmodel.interconnect.link import load_link
from archmodel.network import Network
from archmodel.training import POLICIES, STUDY, Iteration, network_wide, virtualize
from archmodel.training.devices import open_device
from archmodel.training.offloading import feature_extraction
from archmodel.training.step_times import Device, Mode
from archmodel.training.steps import TrainingGraph
from archmodel.validation.scnn import Measured
from archmodel.validation.training_memory import CAPACITY_BYTES, NETWORKS

LINK = "pcie3_x16_vdnn"
MEASURED = (("alexnet_owt", 128), ("overfeat_fast", 128), ("vgg_a", 64))
AVERAGED = (("alexnet_owt", 128), ("overfeat_fast", 128), ("googlenet", 128))
NOT_MEASURED = ("dropout", "softmax")
GB = 1e9


def measured_network(name: str) -> Network:
    """A network as convnet-benchmarks has it: without dropouts and softmax."""
    network = read_network(name)
    held = {one: one for one in network.inputs}
    layers = []
    for layer in network.layers:
        inputs = tuple(held[one] for one in layer.inputs)
        if layer.kind in NOT_MEASURED:
            held[layer.name] = inputs[0]
        else:
            held[layer.name] = layer.name
            layers.append(replace(layer, inputs=inputs))
    return replace(network, layers=tuple(layers))


def iteration_of(network: Network, batch: int, device: Device, policy: str, mode: Mode = "performance") -> Iteration:
    """As the study counts: no words of an optimizer, and inputs that are there."""
    return virtualize(
        network,
        batch,
        device=device,
        link=load_link(LINK),
        policy=POLICIES[policy],
        mode=mode,
        choices=STUDY,
        capacity_bytes=CAPACITY_BYTES,
        input_batches=False,
    )


def measure_vdnn() -> Measured:
    """Values of configs/published/vdnn.toml."""
    values = dict(_with_measured_times())
    device = open_device("titanx_maxwell")
    trained = {"none": 0, "dyn": 0}
    for name, batch in NETWORKS:
        network = read_network(name)
        baseline = network_wide(iteration_of(network, batch, device, "none").graph).peak_bytes
        dyn = iteration_of(network, batch, device, "vdnn_dyn")
        fits = {"none": baseline <= CAPACITY_BYTES, "dyn": dyn.fits}
        for which, one in fits.items():
            values[f"trains.{which}.{name}.{batch}"] = int(one)
            trained[which] += one
        values[f"loss.{name}.{batch}"] = 100 * (1 - dyn.performance)
        values[f"peak.{name}.{batch}"] = dyn.timeline.peak_bytes / GB
    values |= {f"trains.{which}": count for which, count in trained.items()}
    for name, batch in AVERAGED:
        values |= {f"{key}.{name}.{batch}": one for key, one in _reductions(name, batch, device).items()}
    return values, {}


def _with_measured_times() -> Iterator[tuple[str, float]]:
    """Performance of the static policies with Caffe's times of layers, of the oracle's."""
    device = open_device("titanx_caffe")
    for name, batch in MEASURED:
        network = measured_network(name)
        for policy in ("all", "conv"):
            yield f"{policy}.{name}.{batch}", iteration_of(network, batch, device, f"vdnn_{policy}").performance


def _reductions(name: str, batch: int, device: Device) -> dict[str, float]:
    """Percent that the average memory of vDNN-all (m) is below the baseline's (p).

    whole : of the whole network; extraction : of the tensors of the feature extraction, which vDNN manages
    """
    network = read_network(name)
    baseline = iteration_of(network, batch, device, "none").graph
    found = iteration_of(network, batch, device, "vdnn_all", "memory")
    extraction = feature_extraction(network).union(network.inputs)
    held = {one.id for one in found.graph.tensors.values() if one.layer in extraction}
    part = replace(
        found.timeline, memory_events=tuple(one for one in found.timeline.memory_events if one.tensor in held)
    )
    pairs = {
        "whole": (found.timeline.average_bytes, network_wide(baseline).peak_bytes),
        "extraction": (part.average_bytes, network_wide(_without_others(baseline, extraction)).peak_bytes),
    }
    return {which: 100 * (1 - average / whole) for which, (average, whole) in pairs.items()}


def _without_others(graph: TrainingGraph, layers: set[str]) -> TrainingGraph:
    """The steps of some layers, and the tensors of these layers."""
    tensors = {name: tensor for name, tensor in graph.tensors.items() if tensor.layer in layers}
    steps = tuple(
        replace(
            step,
            reads=tuple(name for name in step.reads if name in tensors),
            writes=tuple(name for name in step.writes if name in tensors),
        )
        for step in graph.steps
        if step.layer in layers
    )
    return replace(graph, tensors=tensors, steps=steps)
