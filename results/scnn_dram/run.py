"""SCNN behind less and less DRAM bandwidth, and behind memories of banks.

python results/scnn_dram/run.py     writes compare.md, points.csv and, with matplotlib, scnn_dram.png; some minutes
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archmodel import simulate
from archmodel.accelerators.run_result import RunResult
from archmodel.memory.dram import load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.validation.scnn import STUDY_ROWS
from archmodel.views.figure import BOUND, MISSED, OURS, PAGE_INCHES, SHADE, can_draw, label_logarithmic, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
STUDY_GB_PER_S = 50  # of the study's machine, Table 2; "flat" is said of this point
SWEPT_GB_PER_S = (1, 2, 3, 4, 6, 8, 10, 16, 25, STUDY_GB_PER_S, 100, 1000)
PARTS = ("ddr4_2400", "gddr5", "hmc1", "hbm1", "hmc2", "gddr5x", "hbm2")
NETS = {"AlexNet": "alexnet", "VGG-16": "vgg16", "GoogLeNet": "googlenet"}
FC_LAYERS = {"AlexNet": ("alexnet", "fc*"), "VGG-16": ("vgg16", "fc*"), "GoogLeNet": ("googlenet", "loss3*")}
CONV, FC = "convolutions", "fully connected"
KEPT = 0.95  # of the performance at the study's bandwidth
PUBLISHED_FALL = 4  # GB/s below which the study sees performance fall

NUM_IMAGES = 4  # that would have to share every weight for the needs of AlexNet and GoogLeNet to be below it

HEADER = """# SCNN and DRAM bandwidth

Made by `python results/scnn_dram/run.py`: cycles of one image behind 50 GB/s, the study's bandwidth, over cycles behind
each memory; exact, seed 0. Convolutions are the study's rows, fully connected layers those of the three networks. Of
`ideal` the bandwidth is swept; a memory of banks ([docs/dram.md](../../docs/dram.md)) stands at the peak of its reads.

The study says that performance is flat at 50 GB/s and falls only below some 4 GB/s (SCNN, ISCA 2017, transcribed).

![performance over DRAM bandwidth](scnn_dram.png)

Lines are behind `ideal`, marks behind memories of banks, from the left: DDR4-2400, GDDR5, HMC, HBM1, HMC2, GDDR5X,
HBM2. Shaded is where the study sees performance fall; dotted, its own bandwidth.

**Flat at 50 GB/s: yes,** for convolutions. Twice the bandwidth gains {gain:.1f} % at most.

**Falling below 4 GB/s: earlier here.** At least {share:.0f} % of the performance remain down to {kept} GB/s. The
reason is what the convolutions move in the time in which they compute, GB/s over all layers:
"""
MIDDLE = """\
Here every image fetches every weight; whether images share them in the study, what is transcribed of it does not
say. Were each weight fetched once for {images} images (not simulated), the needs would be {shared} GB/s:
AlexNet and GoogLeNet would fall where the study says. VGG-16 would not: the planes of most of its layers do not
fit on chip, and its inputs, outputs and partial sums go through DRAM.
"""
OF_BANKS = """\
Behind DDR4-2400 the convolutions take longer than behind `ideal` at its peak, and VGG-16, which writes as much as it
reads, the longest of all: buses turn around and rows conflict."""
OF_FC = """\
One image uses a weight once, so that all but the smallest layers are as fast as the memory and never flat. How far a
mark is below the line is what banks and refreshes take of the peak."""


class Point(NamedTuple):
    """A network behind a memory."""

    layers: str
    net: str
    memory: str  # "ideal", or a part
    gb_per_s: float  # of the ideal memory, or the peak of the part's read data
    cycles: int
    performance: float  # cycles behind the study's bandwidth over these


def rows_of(layers: str, net: str) -> tuple[str, str]:
    """A workload and its layers: the study's rows, or those behind them."""
    return STUDY_ROWS[NETS[net]] if layers == CONV else FC_LAYERS[net]


def run(layers: str, net: str, memory: str, *assignments: str) -> RunResult:
    """One image, exact, seed 0."""
    workload, chosen = rows_of(layers, net)
    return simulate("scnn", workload, layers=chosen, memory=memory, assignments=assignments)


def swept(layers: str, net: str) -> list[Point]:
    """All points of a network, the ideal ones first."""
    found = [("ideal", gb, run(layers, net, "ideal", f"memory.bytes_per_s={gb}e9").cycles) for gb in SWEPT_GB_PER_S]
    study = next(cycles for _, gb, cycles in found if gb == STUDY_GB_PER_S)
    found += [(part, peak_gb_per_s(part), run(layers, net, part).cycles) for part in PARTS]
    return [Point(layers, net, memory, gb, cycles, study / cycles) for memory, gb, cycles in found]


def peak_gb_per_s(part: str) -> float:
    """Of a part's read data, through its links where it has them."""
    config = load_memory(part)
    assert isinstance(config, BankMemoryConfig)
    return config.peak_read_bytes_per_s / 1e9


def least_kept(points: list[Point]) -> float:
    """The lowest swept bandwidth that keeps KEPT of the performance."""
    return min(point.gb_per_s for point in points if point.memory == "ideal" and point.performance >= KEPT)


def needs(net: str) -> dict[str, float]:
    """GB/s of each kind of stream of the convolutions, behind a memory that costs next to nothing."""
    result = run(CONV, net, "ideal", "memory.bytes_per_s=1e15", "memory.latency_s=0.0")
    return {
        kind: sum(layer.dram_bytes_of(kind) for layer in result.layers) / result.time_s / 1e9
        for kind in ("weight", "input", "output", "psum")
    }


@dataclass(frozen=True)
class Sensitivity:
    """Performance over bandwidth: lines behind the ideal memory, marks for memories of banks."""

    points: list[Point]
    caption: str = "Performance over DRAM bandwidth."
    inches: tuple[float, float] = (PAGE_INCHES, 2.6)

    def draw(self, figure: "Figure") -> None:
        """Convolutions and fully connected layers beside each other."""
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02)
        for axes, layers in zip(figure.subplots(1, 2, sharey=True), (CONV, FC), strict=True):
            axes.axvspan(SWEPT_GB_PER_S[0], PUBLISHED_FALL, color=SHADE, lw=0)
            axes.axvline(STUDY_GB_PER_S, color="0.6", lw=0.8, ls=":")
            for net, (marker, colour) in zip(NETS, (("o", OURS), ("s", MISSED), ("^", BOUND)), strict=True):
                chosen = [point for point in self.points if (point.layers, point.net) == (layers, net)]
                line = [(point.gb_per_s, point.performance) for point in chosen if point.memory == "ideal"]
                banks = [(point.gb_per_s, point.performance) for point in chosen if point.memory != "ideal"]
                axes.plot(*zip(*line, strict=True), color=colour, lw=1, label=net)
                axes.plot(*zip(*banks, strict=True), ls="", marker=marker, mfc="none", color=colour)
            axes.set_xscale("log")
            axes.set_yscale("log")
            label_logarithmic(axes.xaxis)
            label_logarithmic(axes.yaxis)
            axes.set_title(layers)
            axes.set_xlabel("GB/s; marks: the peak of a part with banks")
            axes.grid()
        figure.axes[0].set_ylabel(f"performance, that behind {STUDY_GB_PER_S} GB/s = 1")
        figure.axes[0].legend()


def table(points: list[Point], layers: str) -> list[str]:
    """Points down, networks across."""
    chosen = [point for point in points if point.layers == layers]
    lines = ["| memory | GB/s | " + " | ".join(NETS) + " |", "|---|---:|" + "---:|" * len(NETS)]
    for memory, gb in dict.fromkeys((point.memory, point.gb_per_s) for point in chosen):
        cells = [f"{p.performance:.3f}" for p in chosen if (p.memory, p.gb_per_s) == (memory, gb)]
        lines.append(f"| {memory} | {gb:.4g} | " + " | ".join(cells) + " |")
    return lines


def page(points: list[Point], needed: dict[str, dict[str, float]]) -> str:
    """The sweep beside what the study says."""
    of_net = {net: [point for point in points if (point.layers, point.net) == (CONV, net)] for net in NETS}
    kept = ", ".join(f"{least_kept(of_net[net]):.4g} ({net})" for net in NETS)
    twice = [p.performance for p in points if (p.layers, p.memory, p.gb_per_s) == (CONV, "ideal", 2 * STUDY_GB_PER_S)]
    lines = [
        HEADER.format(kept=kept, share=100 * KEPT, gain=100 * (max(twice) - 1)),
        "| network | weights | inputs | outputs | partial sums | all |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for net, kinds in needed.items():
        cells = " | ".join(f"{value:.1f}" for value in (*kinds.values(), sum(kinds.values())))
        lines.append(f"| {net} | {cells} |")
    sharing = [sum(kinds.values()) - kinds["weight"] * (1 - 1 / NUM_IMAGES) for kinds in needed.values()]
    shared = ", ".join(f"{need:.1f}" for need in sharing)
    lines += ["", MIDDLE.format(images=NUM_IMAGES, shared=shared), "## Convolutions", "", OF_BANKS, ""]
    lines += [*table(points, CONV), "", "## Fully connected layers", "", OF_FC, "", *table(points, FC)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every point; write the page, the points and the figure."""
    points = []
    for layers in (CONV, FC):
        for net in NETS:
            points += swept(layers, net)
            print(layers, net, flush=True)
    with (FOLDER / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows(point._replace(performance=round(point.performance, 6)) for point in points)
    (FOLDER / "compare.md").write_text(page(points, {net: needs(net) for net in NETS}), "utf-8")
    if can_draw():
        save_figure(Sensitivity(points), FOLDER / "scnn_dram.png")


if __name__ == "__main__":
    main()
