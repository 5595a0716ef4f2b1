"""How often the 95 % interval of a sampled layer holds its exact cycles: writes sampled_coverage.md beside this file.

    python results/fidelity/sampled_coverage.py [number of seeds]     a few minutes

First the same zeros under many samples: every layer that is sampled, and all of a network together. The groups are
walked once and handed to every sample, so that these are the cycles of the groups, without drains and memory. Then
many placements of the zeros with a sample each, from beginning to end.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.sampling import Expectation, Walk, Walked, walk_all
from archmodel.accelerators.summary import half_width
from archmodel.exchange import read_network
from archmodel.memory.dram import load_memory
from archmodel.operands.correlated import load_zeros
from archmodel.operands.sources import OperandSource, Source

SEEDS = 500
UNSTATED = (Source(density=0.4), Source(density=0.5))  # of weights and activations where a network has none
NETWORKS = (
    ("scnn", "alexnet_scnn", "uniform"),
    ("scnn", "vgg16", "uniform"),
    ("scnn", "googlenet", "uniform"),
    ("scnn", "squeezenet_pruned", "uniform"),
    ("scnn", "resnet18", "uniform"),
    ("scnn", "mobilenet_v1", "uniform"),
    ("scnn", "alexnet_scnn", "correlated"),
    ("scnn", "vgg16", "correlated"),
    ("scnn_sparse_w", "alexnet_scnn", "uniform"),
    ("scnn_sparse_a", "alexnet_scnn", "uniform"),
)
PLACEMENTS = (
    ("scnn", "alexnet_scnn", "conv3", "uniform"),
    ("scnn", "alexnet_scnn", "conv5", "uniform"),
    ("scnn", "googlenet", "inception_5b/3x3", "uniform"),
    ("scnn", "googlenet", "inception_4a/1x1", "uniform"),
    ("scnn", "squeezenet_pruned", "fire8/expand3x3", "uniform"),
    ("scnn", "alexnet_scnn", "conv4", "correlated"),
    ("scnn_sparse_w", "alexnet_scnn", "conv4", "uniform"),
)
HEADER = (
    "| machine | network | zeros | layer | units | walked | coverage % | half-width %, mean | largest | mean error % |",
    "|---|---|---|---|---:|---:|---:|---:|---:|---:|",
)


@dataclass(frozen=True)
class Recording(Context):
    """Exact surroundings that keep what is known and what is measured of each layer's units."""

    layers: dict[str, tuple[Expectation, npt.NDArray[np.int64]]] = field(default_factory=dict)

    def walk(self, layer: str, num_units: int, walk: Walk, expect: object) -> Walked:
        """All units."""
        assert callable(expect)
        walked = walk_all(num_units, walk)
        self.layers[layer] = expect(), walked.measured
        return walked


@dataclass(frozen=True)
class Coverage:
    """Estimates and ends of their intervals beside the exact cycles, over seeds; `walked` units of `units`."""

    units: int
    walked: float
    low: npt.NDArray[np.float64]
    estimate: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    exact: npt.NDArray[np.float64]

    @property
    def holds(self) -> float:
        """Percentage of the seeds whose interval holds the exact cycles."""
        return 100 * float(np.mean((self.low <= self.exact) & (self.exact <= self.high)))

    @property
    def widths(self) -> npt.NDArray[np.float64]:
        """Half the interval in per cent of the estimate."""
        return 50 * (self.high - self.low) / self.estimate

    def row(self, *names: str) -> str:
        """A row of the table."""
        error = 100 * np.abs(self.estimate / self.exact - 1).mean()
        units = f"{self.units}", f"{self.walked:.0f}"
        numbers = f"{self.holds:.1f}", f"{self.widths.mean():.3f}", f"{self.widths.max():.2f}", f"{error:.3f}"
        return f"| {' | '.join([*names, *units, *numbers])} |"


def source_of(net: str, zeros: str, seed: int = 0) -> OperandSource:
    """Operands of a network; densities of UNSTATED where it states none."""
    network = read_network(net)
    stated = all(
        network.zeros.get(layer.name) and network.zeros[layer.name].input_density is not None
        for layer in network.compute_layers
    )
    weights, activations = (Source(), Source()) if stated else UNSTATED
    return OperandSource(network, weights, activations, seed, zeros=load_zeros(zeros))


def over_samples(arch: str, net: str, zeros: str, num_seeds: int) -> Iterator[tuple[str, Coverage]]:
    """Layers of a network that are sampled, and all of them together, on the same zeros under every seed."""
    machine, source, record = load_machine(arch), source_of(net, zeros), Recording(load_memory("ideal"))
    for layer in source.network.compute_layers:
        if layer.kind == "conv":
            machine.run_layer(layer, source.operands(layer), record)
    sampled = []
    for name, (expectation, measured) in record.layers.items():
        contexts = [Context(record.memory, seed=seed, fidelity="sampled") for seed in range(num_seeds)]
        known = (name, len(measured), measured.__getitem__, partial(identity, expectation))
        walks = [context.walk(*known) for context in contexts]
        low, estimate, high = (
            np.array([getattr(walked, end).sum() for walked in walks], float) for end in ("low", "cycles", "high")
        )
        exact = np.full(num_seeds, measured[:, 0].sum(), float)
        walked = float(np.mean([walk.units.size for walk in walks]))
        if walked < len(measured):
            sampled.append(Coverage(len(measured), walked, low, estimate, high, exact))
            yield name, sampled[-1]
    below = [half_width(parts) for parts in zip(*(one.estimate - one.low for one in sampled), strict=True)]
    above = [half_width(parts) for parts in zip(*(one.high - one.estimate for one in sampled), strict=True)]
    units, walked = sum(one.units for one in sampled), sum(one.walked for one in sampled)
    estimate, exact = sum(one.estimate for one in sampled), sum(one.exact for one in sampled)
    yield "all of these", Coverage(units, walked, estimate - below, estimate, estimate + above, exact)


def identity(expectation: Expectation) -> Expectation:
    """What is known already."""
    return expectation


def over_placements(arch: str, net: str, name: str, zeros: str, num_seeds: int) -> Coverage:
    """A layer under as many placements of its zeros, each with another sample; drains and memory included."""
    machine, context = load_machine(arch), Context(load_memory("ideal"))
    cycles = []
    for seed in range(num_seeds):
        source = source_of(net, zeros, seed)
        layer = source.network.layer(name)
        operands = source.operands(layer)
        exact = machine.run_layer(layer, operands, context)
        sampled = machine.run_layer(layer, operands, replace(context, fidelity="sampled", seed=seed))
        assert exact.cycle_map is not None
        assert sampled.cycles_ci95 is not None
        cycles.append((sampled.cycles_ci95[0], sampled.cycles, sampled.cycles_ci95[1], exact.cycles))
    low, estimate, high, of_exact = np.array(cycles, float).T
    return Coverage(len(exact.cycle_map), float("nan"), low, estimate, high, of_exact)


def main() -> None:
    """Write the tables."""
    start = time.perf_counter()
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    lines = [
        "# How often the interval of a sampled layer holds",
        "",
        f"Made by `python results/fidelity/sampled_coverage.py {num_seeds}`: the share of {num_seeds} seeds whose",
        "95 % interval holds the exact cycles; 500 seeds show a coverage of 95 % to within 1.9 (95 % of the time).",
        "Units are output-channel groups of all sub-planes. Layers that are not listed have too few or too short ones",
        "and are exact. Networks without densities: 0.4 of the weights, 0.5 of the activations.",
        "",
        f"## The same zeros, {num_seeds} samples: cycles of the groups",
        "",
        *HEADER,
    ]
    layers, networks, placements = [], [], []
    for arch, net, zeros in NETWORKS:
        for name, coverage in over_samples(arch, net, zeros, num_seeds):
            (networks if name == "all of these" else layers).append(coverage)
            lines.append(coverage.row(arch, net, zeros, name))
        print(lines[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    lines += ["", summary("Layers", layers), summary("Networks", networks)]
    lines += ["", f"## {num_seeds} placements of the zeros, a sample each: cycles of the layer", "", *HEADER]
    for arch, net, name, zeros in PLACEMENTS:
        placements.append(over_placements(arch, net, name, zeros, num_seeds))
        lines.append(placements[-1].row(arch, net, zeros, name).replace("| nan |", "| |"))
        print(lines[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    lines += ["", summary("Placements", placements), ""]
    Path(__file__).with_name("sampled_coverage.md").write_text("\n".join(lines), "utf-8")


def summary(what: str, rows: list[Coverage]) -> str:
    """Coverage over some rows."""
    holds = np.array([coverage.holds for coverage in rows])
    inside = np.count_nonzero((holds >= 92) & (holds <= 98))
    widest = max(coverage.widths.max() for coverage in rows)
    spread = f"{holds.mean():.1f} % on average, {holds.min():.1f} to {holds.max():.1f} %"
    return f"{what}: {spread}; {inside} of {holds.size} from 92 to 98 %; largest half-width {widest:.2f} %.  "


if __name__ == "__main__":
    main()
