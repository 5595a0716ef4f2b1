"""A training iteration as a Gantt chart of its streams above its memory; a panel for each run of a file."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from archmodel.training.dma import PlainDma
from archmodel.training.timeline import STREAMS, Span, StreamName, Timeline
from archmodel.training.training_run import TrainingResult, TrainingRun, phase_of
from archmodel.views.figure import BOUND, MISSED, OURS, PAGE_INCHES, hide_frame, plain
from archmodel.views.units import BYTE_UNITS, TIME_UNITS, spelt, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_INCHES, MEMORY_INCHES, FRAME_INCHES = 0.2, 0.8, 0.55
MOST_RUNS = 40  # a picture of 50,000 points is as high as can be drawn
BAR_HEIGHT = 0.74
CHART_POINTS = 72 * (PAGE_INCHES - 1.0)  # width of the axes
EDGED_POINTS = 2.5  # narrower bars have no edge, which would hide them
CHARACTER_POINTS, NAME_POINTS = 3.2, 5.5
TITLE_CHARACTERS = 118  # of a line
MOST_IN_A_LINE = 8  # of the legend
CAPACITY_SHOWN = 2.0  # times the peak: a capacity above that is written instead of drawn


class Look(NamedTuple):
    """How the bars of one kind of work are drawn."""

    label: str
    face: str
    edge: str = "white"
    hatch: str = ""
    ink: str = "black"  # of a name on it


# Of Okabe and Ito's palette; what waits is hatched, so that it is told apart in grey too.
PHASES = {
    "forward": Look("forward", BOUND),
    "backward": Look("backward", OURS, ink="white"),
    "update": Look("update", "#009E73"),
    "recompute": Look("recompute", "#F0E442", "0.6"),
}
TRANSFERS = {
    "offload": Look("offload", "#E69F00"),
    "prefetch": Look("prefetch", "#CC79A7"),
    "input": Look("input", "0.6"),
}
STALLS = {
    "offload": Look("stall: offload", "white", MISSED, "//////"),
    "prefetch": Look("stall: prefetch", "white", MISSED, "\\\\\\\\\\\\"),
    "input": Look("stall: input", "white", MISSED, "......"),
    "dram": Look("stall: dram", "white", MISSED, "xxxxxx"),
}


@dataclass(frozen=True)
class Gantt:
    """The runs of a result below each other; those of one network and batch have the same axes."""

    result: TrainingResult

    @property
    def caption(self) -> str:
        """What is drawn."""
        return (
            "One training iteration: what computes and what the DMA engine moves, each layer a bar, stalls hatched by"
            " cause; below it the device memory that is held, with the capacity (dashed) and the average (dotted)."
            + (f" The first {MOST_RUNS} of {len(self.result.runs)} runs." if len(self.result.runs) > MOST_RUNS else "")
        )

    @property
    def runs(self) -> Sequence[TrainingRun]:
        """Those that are drawn."""
        return self.result.runs[:MOST_RUNS]

    @property
    def inches(self) -> tuple[float, float]:
        """The text of a paper wide, as high as the streams need."""
        rows = sum(len(streams_of(run.timeline)) * ROW_INCHES for run in self.runs)
        return PAGE_INCHES, rows + max(1, len(self.runs)) * (MEMORY_INCHES + FRAME_INCHES) + 0.2

    def draw(self, figure: "Figure") -> None:
        """Draw two frames for each run, one legend for all."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, hspace=0.0)
        if not self.runs:
            figure.text(0.5, 0.5, "no runs", ha="center", va="center")
            return
        heights = [
            inches for run in self.runs for inches in (len(streams_of(run.timeline)) * ROW_INCHES, MEMORY_INCHES)
        ]
        frames = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        looks: dict[str, Look] = {}
        for index, run in enumerate(self.runs):
            chart, memory = frames[2 * index : 2 * index + 2]
            alike = [one for one in self.runs if (one.net, one.batch) == (run.net, run.batch)]
            unit, unit_s = unit_of(max(one.iteration_s for one in alike), TIME_UNITS)
            end = max(one.iteration_s for one in alike) / unit_s or 1.0
            looks |= draw_streams(chart, run.timeline, unit_s, end)
            chart.set_title(title(run), loc="left", pad=3)
            draw_memory(memory, run, unit_s, max(one.timeline.peak_bytes for one in alike))
            for axes in (chart, memory):
                axes.set_xlim(0, end)
            chart.tick_params("x", labelbottom=False, length=0)
            memory.set_xlabel(f"time, {unit}", labelpad=1)
        draw_legend(figure, looks)


def draw_legend(figure: "Figure", looks: Mapping[str, Look]) -> None:
    """The looks that occur, work first and stalls last, in lines of about the same length."""
    known = {look.label: look for look in (*PHASES.values(), *TRANSFERS.values(), *STALLS.values())}
    handles = [patch(look) for label, look in {**known, **looks}.items() if label in looks]
    if handles:
        num_lines = math.ceil(len(handles) / MOST_IN_A_LINE)
        figure.legend(handles=handles, loc="outside upper center", ncols=math.ceil(len(handles) / num_lines))


def title(run: TrainingRun) -> str:
    """What a run is and what it comes to; an engine that moves all bytes as they are needs no word."""
    engine = "" if run.dma == PlainDma().name else run.dma
    known = [run.title, *filter(None, (run.device, run.link, engine)), spelt(run.iteration_s, TIME_UNITS)]
    if run.iteration_s:
        known.append(f"{100 * run.oracle_s / run.iteration_s:.1f} % of the oracle")
    return fill(plain(", ".join(known)) + ("" if run.fits else "; does not fit"), TITLE_CHARACTERS)


def streams_of(timeline: Timeline) -> list[StreamName]:
    """The streams that have a row: compute and those that move anything."""
    moving = {span.stream for span in timeline.spans}
    return [stream for stream in STREAMS if stream in moving or stream == "compute"]


def look_of(span: Span) -> Look:
    """How a span is drawn."""
    if span.stream != "compute":
        return TRANSFERS[span.stream]
    if span.kind == "stall":
        return STALLS.get(span.cause, Look(plain(f"stall: {span.cause}"), "white", MISSED, "||||||"))
    return PHASES[phase_of(span.kind)]


def draw_streams(axes: "Axes", timeline: Timeline, unit_s: float, end: float) -> dict[str, Look]:
    """A row for each stream; the looks that occur, by label."""
    streams = streams_of(timeline)
    found: dict[str, Look] = {}
    edged = EDGED_POINTS * end / CHART_POINTS
    for row, stream in enumerate(streams):
        bars: dict[tuple[Look, bool], list[tuple[float, float]]] = {}
        for look, start, length, name in layers_of(timeline.of(stream), unit_s):
            found[look.label] = look
            bars.setdefault((look, length > edged), []).append((start, length))
            if name and len(name) * CHARACTER_POINTS < length * CHART_POINTS / end and not look.hatch:
                axes.text(start + length / 2, row, plain(name), ha="center", va="center_baseline", size=NAME_POINTS,
                          color=look.ink, clip_on=True)  # fmt: skip
        for (look, wide), places in bars.items():
            axes.broken_barh(places, (row - BAR_HEIGHT / 2, BAR_HEIGHT), **style_of(look, wide))
    axes.set_ylim(len(streams) - 0.5, -0.5)
    axes.set_yticks(range(len(streams)), streams)
    axes.tick_params("y", length=0)
    hide_frame(axes, "top", "right", "bottom")
    return found


def style_of(look: Look, wide: bool) -> dict[str, Any]:
    """How bars are filled: narrow ones in one colour, which for a hatched look is that of its lines.

    Edges of narrow work leave no gaps between neighbours; narrow stalls have none, so that they look no longer than
    they are, and stand above.
    """
    if wide:
        return {"fc": look.face, "ec": look.edge, "lw": 0.4, "hatch": look.hatch}
    if look.hatch:
        return {"fc": look.edge, "lw": 0, "zorder": 2}
    return {"fc": look.face, "ec": look.face, "lw": 0.15}


def layers_of(spans: Sequence[Span], unit_s: float) -> Iterator[tuple[Look, float, float, str]]:
    """Look, start, length and name of bars: the steps of a layer that follow each other in one look are one bar."""
    held: tuple[Look, Span, float] | None = None
    for span in spans:
        look = look_of(span)
        if held and held[0] == look and held[1].layer == span.layer and held[2] == span.start_s:
            held = (look, held[1], span.end_s)
            continue
        if held:
            yield held[0], held[1].start_s / unit_s, (held[2] - held[1].start_s) / unit_s, held[1].layer
        held = (look, span, span.end_s)
    if held:
        yield held[0], held[1].start_s / unit_s, (held[2] - held[1].start_s) / unit_s, held[1].layer


def draw_memory(axes: "Axes", run: TrainingRun, unit_s: float, peak_bytes: int) -> None:
    """The held bytes as an area, with the capacity and the average; `peak_bytes` is of all runs on these axes."""
    timeline = run.timeline
    unit, size = unit_of(peak_bytes, BYTE_UNITS)
    times, held = timeline.memory_curve
    if len(times):
        places = [*(times / unit_s).tolist(), run.iteration_s / unit_s]
        values = [*(held / size).tolist(), held[-1] / size]
        axes.fill_between(places, values, step="post", color=BOUND, alpha=0.35, lw=0)
        axes.step(places, values, where="post", color=OURS, lw=0.7)
        average = timeline.average_bytes / size
        axes.plot([0, places[-1]], [average, average], color="0.25", lw=0.7, ls=":")
    top = peak_bytes
    if run.capacity_bytes is not None:
        if run.capacity_bytes <= CAPACITY_SHOWN * peak_bytes:
            axes.axhline(run.capacity_bytes / size, color=MISSED, lw=0.9, ls="--")
            top = max(top, run.capacity_bytes)
        note = f"capacity {spelt(run.capacity_bytes, BYTE_UNITS)}"
    else:
        note = ""
    reached = [
        f"peak {spelt(timeline.peak_bytes, BYTE_UNITS)}",
        f"average {spelt(timeline.average_bytes, BYTE_UNITS)}",
        note,
    ]
    axes.set_ylim(0, 1.3 * top / size if top else 1.0)
    axes.text(0.995, 0.97, ", ".join(filter(None, reached)), transform=axes.transAxes, ha="right", va="top", size=6)
    axes.set_ylabel(f"memory, {unit}")
    axes.locator_params("y", nbins=4, steps=(1, 2, 5, 10))
    hide_frame(axes, "top", "right")


def patch(look: Look) -> Any:
    """The look's box in the legend."""
    from matplotlib.patches import Patch

    return Patch(fc=look.face, ec=look.edge if look.hatch else look.face, hatch=look.hatch, lw=0.5, label=look.label)
