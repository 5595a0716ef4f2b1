"""How far statistical runs are from exact ones: each layer's cycles, over all networks.

python results/fidelity/run.py                writes compare.md beside this file, some minutes on two cores
python results/fidelity/run.py NETWORK ...    only prints the rows of these networks

A network without stated densities is run at the densities of UNSTATED. An exact run is one placement of the zeros, and
short layers differ from one placement to the next; their own spread stands beside the deviation.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archmodel import config, simulate
from archmodel.accelerators.run_result import RunResult
from archmodel.errors import WorkloadError

SEEDS = (0, 1, 2)
STATED = {"weights": "network", "activations": "network"}
UNSTATED = {"weights": "density=0.4", "activations": "density=0.5"}  # choice: about those of the SCNN study
SWEPT = [("googlenet", density) for density in (0.1, 0.3, 0.6, 1.0)]  # the study's sweep of densities
CORRELATED = ("alexnet_scnn", "vgg16", "googlenet", "squeezenet", "resnet50")  # compared on correlated zeros too
MEDIAN, WORST = 0.03, 0.10  # deviations that are promised on uniform zeros

HEADER = "| network | densities | layers | one: median | worst | mean: median | worst | spread | total | exact | ours |"
RULE = "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"


@dataclass(frozen=True)
class Comparison:
    """A network in both fidelities; arrays are float64[layers], relative to exact cycles.

    one : deviation of the statistical cycles from the first placement; mean : from the mean of all placements;
    spread : standard deviation of the placements
    """

    net: str
    densities: str
    layers: tuple[str, ...]
    one: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    total: float
    exact_s: float
    statistical_s: float

    @property
    def row(self) -> str:
        """A line of the table."""
        worst, worst_of_mean = (int(np.abs(deviations).argmax()) for deviations in (self.one, self.mean))
        return (
            f"| {self.net} | {self.densities} | {len(self.layers)}"
            f" | {np.median(np.abs(self.one)):.2%} | {self.one[worst]:+.1%} ({self.layers[worst]})"
            f" | {np.median(np.abs(self.mean)):.2%} | {self.mean[worst_of_mean]:+.1%} ({self.layers[worst_of_mean]})"
            f" | {self.spread.max():.1%} | {self.total:+.2%} | {self.exact_s:.2f} | {self.statistical_s:.3f} |"
        )

    @property
    def kept(self) -> bool:
        """Whether the promise holds for this network."""
        deviations = np.abs(self.one)
        return bool(np.median(deviations) <= MEDIAN and deviations.max() <= WORST)


def compare(net: str, densities: dict[str, str], zeros: str = "uniform") -> Comparison:
    """Both fidelities of a network; only the exact one knows the pattern of the zeros."""
    exact, exact_s = zip(*(timed(net, densities, "exact", seed, zeros=zeros) for seed in SEEDS), strict=True)
    timed(net, densities, "statistical", 0)  # compiles
    (expected, statistical_s), *_ = sorted(
        (timed(net, densities, "statistical", 0) for _ in range(3)), key=lambda run: run[1]
    )
    cycles = np.array([[layer.cycles for layer in run.layers] for run in exact], float)
    ours = np.array([layer.cycles for layer in expected.layers])
    mean = cycles.mean(axis=0)
    return Comparison(
        net,
        "stated" if densities == STATED else ", ".join(f"{key} {value}" for key, value in densities.items()),
        tuple(layer.name for layer in expected.layers),
        ours / cycles[0] - 1,
        ours / mean - 1,
        cycles.std(axis=0, ddof=1) / mean,
        float(ours.sum() / mean.sum() - 1),
        statistics.median(exact_s),
        statistical_s,
    )


def timed(
    net: str, densities: dict[str, str], fidelity: str, seed: int, **options: object
) -> tuple[RunResult, float]:
    """A run on one thread, and its CPU seconds."""
    start = time.process_time()
    run = simulate("scnn", net, fidelity=fidelity, seed=seed, threads=1, **densities, **options)  # type: ignore[arg-type]
    return run, time.process_time() - start


def all_points(names: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Networks with the densities to run them at."""
    points = []
    for net in names or config.names("workloads"):
        try:
            simulate("scnn", net, fidelity="statistical", threads=1)
            points.append((net, STATED))
        except WorkloadError:
            points.append((net, UNSTATED))
    for net, density in SWEPT:
        if not names or net in names:
            points.append((net, {"weights": f"density={density}", "activations": f"density={density}"}))
    return points


def table(points: list[tuple[str, dict[str, str], str]]) -> tuple[list[str], list[Comparison]]:
    """Rows and comparisons of networks with densities and a pattern of zeros."""
    rows, comparisons = [HEADER, RULE], []
    for net, densities, zeros in points:
        print(f"{net} {densities} {zeros} ...", file=sys.stderr, flush=True)
        comparisons.append(compare(net, densities, zeros))
        rows.append(comparisons[-1].row)
        print(rows[-1], flush=True)
    return rows, comparisons


def main() -> None:
    """Compare every network and write the tables."""
    chosen = sys.argv[1:]
    uniform, comparisons = table([(net, densities, "uniform") for net, densities in all_points(chosen)])
    correlated, _ = table([(net, STATED, "correlated") for net in CORRELATED if not chosen or net in chosen])
    if chosen:
        return
    every = np.abs(np.concatenate([comparison.one for comparison in comparisons]))
    missed = [f"{comparison.net} ({comparison.densities})" for comparison in comparisons if not comparison.kept]
    lines = [
        "# Statistical against exact",
        "",
        "Cycles of each layer on SCNN; made by `python results/fidelity/run.py`.",
        f"`one` compares with one placement, seed {SEEDS[0]}, `mean` with the mean of {len(SEEDS)} seeds; `spread` is",
        "the largest standard deviation of a layer's exact cycles over the seeds, which no expectation can follow.",
        "`exact` and `ours` are CPU seconds of one thread, reading the network and compiled code included.",
        "",
        "## Uniform zeros",
        "",
        f"Promised for one placement: median {MEDIAN:.0%}, worst {WORST:.0%}.",
        f"Over all {every.size} layers: median {np.median(every):.2%}, worst {every.max():.1%}.",
        f"Beyond the promise: {', '.join(missed) or 'none'}.",
        "",
        *uniform,
        "",
        "## Correlated zeros",
        "",
        "Exact runs with `--zeros correlated`; the statistical ones know the densities only and take zeros as uniform.",
        "",
        *correlated,
    ]
    (Path(__file__).parent / "compare.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
