"""How often the 95 % interval of a sampled layer holds its exact cycles: writes sampled_coverage.md beside this file.

    python results/fidelity/sampled_coverage.py [number of seeds]

First the same zeros under many samples: every layer that is sampled, and all layers of the network together, whose
half-widths add in quadrature. Then many placements of the zeros, each with its own sample.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.summary import cycles_ci95
from archmodel.memory.dram import load_memory
from archmodel.network.toml_reader import read_network
from archmodel.operands.sources import OperandSource

SEEDS = 500
FIRST = 5  # samples that tell an exact layer
NETWORKS = (
    ("scnn", "alexnet_scnn"),
    ("scnn", "vgg16"),
    ("scnn", "googlenet"),
    ("scnn", "squeezenet_pruned"),
    ("scnn_sparse_w", "alexnet_scnn"),
    ("scnn_sparse_a", "alexnet_scnn"),
)
PLACEMENTS = (
    ("scnn", "alexnet_scnn", "conv3"),
    ("scnn", "alexnet_scnn", "conv5"),
    ("scnn", "googlenet", "inception_5b/3x3"),
    ("scnn", "googlenet", "inception_4a/1x1"),
    ("scnn", "squeezenet_pruned", "fire8/expand3x3"),
    ("scnn_sparse_w", "alexnet_scnn", "conv4"),
)
HEADER = (
    "| machine | network | layer | units | coverage % | half-width % mean | max | error % mean of absolutes |",
    "|---|---|---|---:|---:|---:|---:|---:|",
)


@dataclass(frozen=True)
class Coverage:
    """Intervals [seeds, 2] and estimates [seeds] of cycles beside the exact ones [seeds]."""

    units: int
    ends: npt.NDArray[np.int64]
    estimates: npt.NDArray[np.int64]
    exact: npt.NDArray[np.int64]

    @property
    def is_sampled(self) -> bool:
        """Whether units were left out under any seed."""
        return bool((self.ends[:, 0] < self.ends[:, 1]).any())

    @property
    def holds(self) -> npt.NDArray[np.bool_]:
        """Seeds whose interval holds the exact cycles."""
        return (self.ends[:, 0] <= self.exact) & (self.exact <= self.ends[:, 1])

    @property
    def half_width(self) -> npt.NDArray[np.float64]:
        """Half the interval over the estimate."""
        return (self.ends[:, 1] - self.ends[:, 0]) / 2 / self.estimates

    def row(self, *names: str) -> str:
        """A row of the table."""
        error = np.abs(self.estimates / self.exact - 1)
        width = self.half_width
        numbers = (100 * self.holds.mean(), 100 * width.mean(), 100 * width.max(), 100 * error.mean())
        cells = [*names, f"{self.units or ''}", "{:.1f} | {:.3f} | {:.2f} | {:.3f}".format(*numbers)]
        return f"| {' | '.join(cells)} |"


def over_samples(arch: str, net: str, num_seeds: int) -> Iterator[tuple[str, Coverage]]:
    """Layers of a network that are sampled, and all of its layers, on the same zeros under every seed."""
    machine, source = load_machine(arch), OperandSource(read_network(net))
    context = Context(load_memory("ideal"))
    every: list[list[LayerResult]] = [[] for _ in range(num_seeds)]
    exact_cycles = 0
    for layer in source.network.compute_layers:
        if layer.kind not in machine.kinds:
            continue
        operands = source.operands(layer)
        exact = machine.run_layer(layer, operands, context)
        exact_cycles += exact.cycles
        results = []
        for seed in range(num_seeds):
            results.append(machine.run_layer(layer, operands, replace(context, fidelity="sampled", seed=seed)))
            if seed + 1 == FIRST and {result.cycles_ci95 for result in results} == {(exact.cycles, exact.cycles)}:
                results *= -(-num_seeds // FIRST)  # all units are walked, or memory decides: it stays like that
                break
        for of_seed, result in zip(every, results, strict=False):
            of_seed.append(result)
        assert exact.cycle_map is not None
        units, of_layer = len(exact.cycle_map), [[result] for result in results[:num_seeds]]
        yield layer.name, coverage_of(units, of_layer, [exact.cycles] * num_seeds)
    yield "all layers", coverage_of(0, every, [exact_cycles] * num_seeds)


def over_placements(arch: str, net: str, name: str, num_seeds: int) -> Coverage:
    """A layer under as many placements of its zeros, each with another sample."""
    machine, network = load_machine(arch), read_network(net)
    layer, context = network.layer(name), Context(load_memory("ideal"))
    exact, sampled = [], []
    for seed in range(num_seeds):
        operands = OperandSource(network, seed=seed).operands(layer)
        exact.append(machine.run_layer(layer, operands, context))
        sampled.append([machine.run_layer(layer, operands, replace(context, fidelity="sampled", seed=seed))])
    assert exact[0].cycle_map is not None
    return coverage_of(len(exact[0].cycle_map), sampled, [result.cycles for result in exact])


def coverage_of(units: int, sampled: list[list[LayerResult]], exact: list[int]) -> Coverage:
    """Coverage of the sum of some layers under each seed."""
    ends = np.array([cycles_ci95(layers) for layers in sampled])
    estimates = np.array([sum(layer.cycles for layer in layers) for layers in sampled])
    return Coverage(units, ends, estimates, np.array(exact))


def main() -> None:
    """Write the tables."""
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    lines = [
        "# How often the interval of a sampled layer holds",
        "",
        f"Made by `python results/fidelity/sampled_coverage.py {num_seeds}`: the share of {num_seeds} seeds whose",
        "95 % interval holds the exact cycles. `units`: output-channel groups of all sub-planes. Layers that are not",
        "listed are exact.",
        "",
        f"## The same zeros, {num_seeds} samples",
        "",
        *HEADER,
    ]
    pooled = []
    for arch, net in NETWORKS:
        for name, coverage in over_samples(arch, net, num_seeds):
            print(coverage.row(arch, net, name), flush=True)
            if coverage.is_sampled:
                lines.append(coverage.row(arch, net, name))
                pooled.append(coverage)
    lines += [*summary(pooled), "", f"## {num_seeds} placements of the zeros", "", *HEADER]
    pooled = []
    for arch, net, name in PLACEMENTS:
        coverage = over_placements(arch, net, name, num_seeds)
        print(coverage.row(arch, net, name), flush=True)
        lines.append(coverage.row(arch, net, name))
        pooled.append(coverage)
    lines += summary(pooled)
    Path(__file__).with_name("sampled_coverage.md").write_text("\n".join([*lines, ""]), "utf-8")


def summary(pooled: list[Coverage]) -> list[str]:
    """Coverage over all rows."""
    shares = [100 * coverage.holds.mean() for coverage in pooled]
    widest = 100 * max(coverage.half_width.max() for coverage in pooled)
    span = f"lowest {min(shares):.1f} %, highest {max(shares):.1f} %; largest half-width {widest:.2f} %"
    return ["", f"Mean of the {len(shares)} rows: {np.mean(shares):.1f} %, {span}."]


if __name__ == "__main__":
    main()
