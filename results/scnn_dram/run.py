"""SCNN behind less and less DRAM bandwidth, and behind memories of banks; images that share weights; tiled layers.

python results/scnn_dram/run.py     writes compare.md, points.csv, sharing.csv and, with matplotlib, scnn_dram.png
"""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archmodel import simulate
from archmodel.accelerators.result import LayerResult
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
MARKS = dict(zip(NETS, (("o", OURS), ("s", MISSED), ("^", BOUND)), strict=True))
FC_LAYERS = {"AlexNet": ("alexnet", "fc*"), "VGG-16": ("vgg16", "fc*"), "GoogLeNet": ("googlenet", "loss3*")}
CONV, FC = "convolutions", "fully connected"
KEPT = 0.95  # of the performance at the study's bandwidth
PUBLISHED_FALL = 4  # GB/s below which the study sees performance fall
SHARING = (1, 2, 4, 16)  # images of a batch that share the weights in the FIFOs, where they find room
FREE = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")
WIDE_GB_PER_S = 25  # half of the study's: layers that need more are why a network falls early
KINDS = {"weights": "weight", "inputs": "input", "outputs": "output", "partial sums": "psum"}
PUBLISHED_PENALTY = (5, 62, 18)  # % of energy by tiling nine layers: least, most, mean (the study, transcribed)


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


def least_kept(points: Sequence["Point | Shared"]) -> float:
    """The lowest swept bandwidth that keeps KEPT of the performance."""
    return min(point.gb_per_s for point in points if point.performance >= KEPT)


def gb_per_s(layers: Sequence[LayerResult], kind: str) -> float:
    """A kind of stream over the time in which the layers compute; a cycle is a nanosecond."""
    return sum(layer.dram_bytes_of(kind) for layer in layers) / sum(layer.cycles for layer in layers)


def needs(result: RunResult) -> dict[str, float]:
    """GB/s of each kind of stream, of a run behind a memory that costs next to nothing."""
    assert result.clock_hz == 1e9
    return {name: gb_per_s(result.layers, kind) for name, kind in KINDS.items()}


def overlapped_performance(result: RunResult, study_cycles: int) -> list[float]:
    """Over the swept bandwidths, if the longer of all computing and all moving decided."""
    num_bytes = sum(layer.dram_bytes for layer in result.layers)
    return [study_cycles / max(result.cycles, num_bytes / gb) for gb in SWEPT_GB_PER_S]


class Shared(NamedTuple):
    """A network of which so many images share weights, behind a bandwidth."""

    net: str
    images: int
    gb_per_s: float
    cycles: int
    performance: float


def run_batch(net: str, images: int, *assignments: str) -> RunResult:
    """A batch of images, statistical."""
    workload, chosen = rows_of(CONV, net)
    return simulate("scnn", workload, layers=chosen, batch=images, fidelity="statistical", assignments=assignments)


def sharing_of(images: int) -> str:
    """The assignment that lets so many images share weights."""
    return f"weight_fifo.images={images}"


def shared(net: str, images: int) -> list[Shared]:
    """The sweep of a batch."""
    cycles: dict[float, int] = {
        gb: run_batch(net, images, sharing_of(images), f"memory.bytes_per_s={gb}e9").cycles for gb in SWEPT_GB_PER_S
    }
    return [Shared(net, images, gb, count, cycles[STUDY_GB_PER_S] / count) for gb, count in cycles.items()]


class Tiled(NamedTuple):
    """A layer that is cut into sub-planes: GB/s while it computes, and energy in % of the layer on chip.

    gb_per_s : weights once, weights again, partial sums, inputs, outputs
    """

    layer: str
    sub_planes: int
    gb_per_s: tuple[float, ...]
    added_percent: float
    all_percent: float
    outputs_percent: float

    @classmethod
    def of(cls, layer: LayerResult) -> "Tiled":
        """Of a run behind a memory that costs next to nothing."""
        tiles = int(layer.details["sub_planes"])
        weights, inputs, outputs, psums = (layer.dram_bytes_of(kind) for kind in KINDS.values())
        once, added, maps = weights / tiles, weights * (1 - 1 / tiles) + psums, inputs + outputs
        dram_pj = layer.energy_pj["dram"]
        pj_per_byte = dram_pj / (once + added + maps)
        percent = 100 * pj_per_byte / (sum(layer.energy_pj.values()) - dram_pj + pj_per_byte * once)
        return cls(
            layer=layer.name,
            sub_planes=tiles,
            gb_per_s=tuple(count / layer.cycles for count in (once, weights - once, psums, inputs, outputs)),
            added_percent=percent * added,
            all_percent=percent * (added + maps),
            outputs_percent=percent * outputs,
        )


def weights_once_gb_per_s(layers: Sequence[LayerResult]) -> float:
    """Weights if each were fetched once, not for every sub-plane."""
    once = sum(layer.dram_bytes_of("weight") / int(layer.details["sub_planes"]) for layer in layers)
    return once / sum(layer.cycles for layer in layers)


def unshared(net: str, images: int, gb: int) -> float:
    """Performance of a batch without sharing, that of the same batch behind the study's bandwidth = 1."""
    cycles = {at: run_batch(net, images, f"memory.bytes_per_s={at}e9").cycles for at in (STUDY_GB_PER_S, gb)}
    return cycles[STUDY_GB_PER_S] / cycles[gb]


def tiled_layers(result: RunResult) -> list[LayerResult]:
    """Those cut into sub-planes because their tiles do not fit the activation RAMs."""
    return [layer for layer in result.layers if layer.details["tiled_through_dram"]]


def pooled_gb_per_s(result: RunResult) -> float:
    """Outputs of a chain of layers if what is stored were what the next one reads once, GB/s over all layers."""
    following = [layer.dram_bytes_of("input") for layer in result.layers[1:]]
    stored = [layer.dram_bytes_of("output") for layer in result.layers]
    return sum(map(min, stored, [*following, stored[-1]])) / result.cycles


@dataclass(frozen=True)
class Sensitivity:
    """Performance over bandwidth: lines behind the ideal memory, marks for memories of banks.

    overlapped : of each network's convolutions, one image, if all layers overlapped in full
    """

    points: list[Point]
    sharing: list[Shared]
    overlapped: dict[str, list[float]]
    caption: str = "Performance over DRAM bandwidth."
    inches: tuple[float, float] = (PAGE_INCHES, 4.6)

    def draw(self, figure: "Figure") -> None:
        """Convolutions and fully connected layers beside each other; below them images that share weights."""
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02)
        above, below = figure.subplots(2, 2, sharex=True, sharey="row")
        for axes, layers in zip(above, (CONV, FC), strict=True):
            for net, (marker, colour) in MARKS.items():
                chosen = [point for point in self.points if (point.layers, point.net) == (layers, net)]
                line = [(point.gb_per_s, point.performance) for point in chosen if point.memory == "ideal"]
                banks = [(point.gb_per_s, point.performance) for point in chosen if point.memory != "ideal"]
                axes.plot(*zip(*line, strict=True), color=colour, lw=1, label=net)
                axes.plot(*zip(*banks, strict=True), ls="", marker=marker, mfc="none", color=colour)
                if layers == CONV:
                    axes.plot(SWEPT_GB_PER_S, self.overlapped[net], color=colour, lw=0.8, ls="--")
            axes.set_title(f"{layers}; marks: the peak of a part with banks")
        for axes, images in zip(below, SHARING[-2:], strict=True):
            for net, (_, colour) in MARKS.items():
                for number, style in ((images, "-"), (1, ":")):
                    line = [(p.gb_per_s, p.performance) for p in self.sharing if (p.net, p.images) == (net, number)]
                    axes.plot(*zip(*line, strict=True), color=colour, lw=1, ls=style)
            axes.set_title(f"convolutions, {images} images may share weights; dotted: 1")
            axes.set_xlabel("GB/s")
        for axes in (*above, *below):
            axes.axvspan(SWEPT_GB_PER_S[0], PUBLISHED_FALL, color=SHADE, lw=0)
            axes.axvline(STUDY_GB_PER_S, color="0.6", lw=0.8, ls=":")
            axes.set_xscale("log")
            axes.set_yscale("log")
            label_logarithmic(axes.xaxis)
            label_logarithmic(axes.yaxis)
            axes.grid()
        for axes in (above[0], below[0]):
            axes.set_ylabel(f"performance, that behind {STUDY_GB_PER_S} GB/s = 1")
        above[0].legend()


def table(points: list[Point], layers: str) -> str:
    """Points down, networks across."""
    chosen = [point for point in points if point.layers == layers]
    lines = ["| memory | GB/s | " + " | ".join(NETS) + " |", "|---|---:|" + "---:|" * len(NETS)]
    for memory, gb in dict.fromkeys((point.memory, point.gb_per_s) for point in chosen):
        cells = [f"{p.performance:.3f}" for p in chosen if (p.memory, p.gb_per_s) == (memory, gb)]
        lines.append(f"| {memory} | {gb:.4g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def needs_table(first: str, rows: dict[str, dict[str, float]]) -> str:
    """GB/s of each kind of stream, and of all."""
    lines = [f"| {first} | " + " | ".join(KINDS) + " | all |", "|---|" + "---:|" * (len(KINDS) + 1)]
    for name, kinds in rows.items():
        cells = " | ".join(f"{value:.1f}" for value in (*kinds.values(), sum(kinds.values())))
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def sharing_table(sharing: list[Shared]) -> str:
    """Bandwidths down, networks and images across."""
    heads = [f"{net}, {images}" for net in NETS for images in SHARING]
    lines = ["| GB/s | " + " | ".join(heads) + " |", "|---:|" + "---:|" * len(heads)]
    for gb in SWEPT_GB_PER_S:
        cells = [f"{p.performance:.3f}" for p in sharing if p.gb_per_s == gb]
        lines.append(f"| {gb} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tiled_table(rows: list[Tiled]) -> str:
    """Layers down."""
    heads = "sub-planes", "weights once", "weights again", "partial sums", "inputs", "outputs"
    lines = [f"| layer | {' | '.join(heads)} | energy: tiling | with inputs, outputs |", "|---|" + "---:|" * 8]
    for row in rows:
        rates = " | ".join(f"{rate:.1f}" for rate in row.gb_per_s)
        lines.append(
            f"| {row.layer} | {row.sub_planes} | {rates} | {row.added_percent:.0f} % | {row.all_percent:.0f} % |"
        )
    return "\n".join(lines)


def percents(values: list[float]) -> str:
    """Least, most and mean."""
    return f"{min(values):.0f} to {max(values):.0f} %, {statistics.mean(values):.0f} % on average"


def page(points: list[Point], sharing: list[Shared], alone: dict[str, RunResult]) -> str:
    """The sweeps beside what the study says; alone : one image of each network behind a free memory, exact."""
    ideal = [point for point in points if (point.layers, point.memory) == (CONV, "ideal")]
    of_net = {net: [point for point in ideal if point.net == net] for net in NETS}
    of_four = {net: [point for point in sharing if (point.net, point.images) == (net, 4)] for net in NETS}
    kept = {net: f"{least_kept(of_net[net]):.4g}" for net in NETS}
    twice = [p.performance for p in points if (p.layers, p.memory, p.gb_per_s) == (CONV, "ideal", 2 * STUDY_GB_PER_S)]
    needed = {net: needs(result) for net, result in alone.items()}
    shared_needs = {
        f"{net}, {images}": needs(run_batch(net, images, sharing_of(images), *FREE))
        for net in NETS
        for images in SHARING
    }
    return (
        (FOLDER / "page.txt")
        .read_text("utf-8")
        .format(
            gain=100 * (max(twice) - 1),
            share=100 * KEPT,
            kept=", ".join(f"{gb} ({net})" for net, gb in kept.items()),
            kept_values=", ".join(kept.values()),
            kept_by_four=", ".join(f"{least_kept(line):.4g}" for line in of_four.values()),
            needs=needs_table("network", needed),
            all_needs=", ".join(f"{sum(kinds.values()):.1f}" for kinds in needed.values()),
            nets=", ".join(alone),
            weights_once=", ".join(f"{weights_once_gb_per_s(result.layers):.1f}" for result in alone.values()),
            convolutions=table(points, CONV),
            sharing=sharing_table(sharing),
            sharing_needs=needs_table("network, images", shared_needs),
            unshared=f"{unshared('AlexNet', 4, PUBLISHED_FALL):.3f}",
            fully_connected=table(points, FC),
            **about_tiles([layer for result in alone.values() for layer in tiled_layers(result)]),
            **about_vgg(alone["VGG-16"]),
        )
    )


def about_tiles(tiled: list[LayerResult]) -> dict[str, object]:
    """What the page says of tiled layers."""
    rows = [Tiled.of(layer) for layer in tiled]
    again = gb_per_s(tiled, "weight") - weights_once_gb_per_s(tiled)
    return {
        "tiled": len(tiled),
        "added": again + gb_per_s(tiled, "psum"),
        "moved": gb_per_s(tiled, "input") + gb_per_s(tiled, "output"),
        "least": PUBLISHED_PENALTY[0],
        "most": PUBLISHED_PENALTY[1],
        "mean": PUBLISHED_PENALTY[2],
        "added_percent": percents([row.added_percent for row in rows]),
        "all_percent": percents([row.all_percent for row in rows]),
        "first": rows[0].layer,
        "outputs_percent": rows[0].outputs_percent,
        "tiles": tiled_table(rows),
    }


def about_vgg(result: RunResult) -> dict[str, object]:
    """What the page says of VGG-16's outputs and of its layers that need the most."""
    wide = [layer for layer in result.layers if layer.dram_bytes > WIDE_GB_PER_S * layer.cycles]
    return {
        "pooled": pooled_gb_per_s(result),
        "outputs": gb_per_s(result.layers, "output"),
        "wide": " and ".join(layer.name for layer in wide),
        "wide_share": 100 * sum(layer.cycles for layer in wide) / result.cycles,
        "wide_gb_per_s": WIDE_GB_PER_S,
    }


def write_points(points: Sequence[Point] | Sequence[Shared], name: str) -> None:
    """Points as a table of numbers."""
    with (FOLDER / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(points[0]._fields)
        writer.writerows(point._replace(performance=round(point.performance, 6)) for point in points)


def main() -> None:
    """Run every point; write the page, the points and the figure."""
    points, sharing = [], []
    for layers in (CONV, FC):
        for net in NETS:
            points += swept(layers, net)
            print(layers, net, flush=True)
    for net in NETS:
        for images in SHARING:
            sharing += shared(net, images)
        print("images that share weights", net, flush=True)
    alone = {net: run(CONV, net, "ideal", *FREE) for net in NETS}
    write_points(points, "points.csv")
    write_points(sharing, "sharing.csv")
    (FOLDER / "compare.md").write_text(page(points, sharing, alone), "utf-8")
    if can_draw():
        at_study = {p.net: p.cycles for p in points if (p.layers, p.gb_per_s) == (CONV, STUDY_GB_PER_S)}
        overlapped = {net: overlapped_performance(result, at_study[net]) for net, result in alone.items()}
        save_figure(Sensitivity(points, sharing, overlapped), FOLDER / "scnn_dram.png")


if __name__ == "__main__":
    main()
