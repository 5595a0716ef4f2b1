"""Where the multiplier-slots of every layer of a run went, and the time that it takes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.run_result import RunResult
from archmodel.views.figure import BOUND, MISSED, OURS, PAGE_INCHES, hide_frame, short
from archmodel.views.units import TIME_UNITS, spelt, unit_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_INCHES, FRAME_INCHES = 0.13, 0.85
MOST_INCHES = 200  # a picture of 50,000 points is as high as can be drawn
LEAST_LINES = 5  # fewer would have no room for the axes
BAR_HEIGHT = 0.78
ALL = "all layers"
# Okabe and Ito's palette and two more; effectual work is dark blue, as everywhere.
COLOURS = dict(
    zip(
        CAUSES,
        (OURS, "#BBBBBB", "#777777", "#E69F00", MISSED, "#CC79A7", "#009E73", "#F0E442", "#882255", BOUND),
        strict=True,
    )
)


@dataclass(frozen=True)
class LayerStacks:
    """The layers of a run from top to bottom, and all of them together."""

    run: RunResult

    @property
    def caption(self) -> str:
        """What is drawn."""
        return (
            f"{self.run.net} on {self.run.machine}, batch {self.run.batch}, {self.run.fidelity}: share of the"
            " multiplier-slots by cause, busy is effectual work, and the time of every layer."
        )

    @property
    def num_lines(self) -> int:
        """Lines of the figure."""
        return max(LEAST_LINES, len(self.run.layers) + 1)

    @property
    def inches(self) -> tuple[float, float]:
        """The text of a paper wide, as high as the lines need."""
        return PAGE_INCHES, min(MOST_INCHES, FRAME_INCHES + LINE_INCHES * self.num_lines)

    def draw(self, figure: "Figure") -> None:
        """Draw shares to the left and times to the right, one legend for both."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.03)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        stacks = [*(layer.stack for layer in self.run.layers), self.run.stack]
        draw_shares(left, stacks)
        names = [*(layer.name for layer in self.run.layers), ALL]
        left.set_yticks(range(len(names)), [short(name) for name in names])
        left.set_title(self.title, loc="left", pad=3)
        draw_times(right, self.run)
        for axes in (left, right):
            axes.set_ylim(self.num_lines - 0.4, -0.6)
            axes.tick_params("y", length=0, pad=3)
            axes.grid(axis="x")
            hide_frame(axes, "top", "right")
        found: dict[str, Any] = {}
        for axes in (left, right):
            found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        ncols = math.ceil(len(found) / math.ceil(len(found) / 8))
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=ncols)

    @property
    def title(self) -> str:
        """What was run."""
        return f"{short(self.run.net)} on {short(self.run.machine)}, batch {self.run.batch}, {self.run.fidelity}"


def draw_shares(axes: "Axes", stacks: Sequence[Mapping[str, int]]) -> None:
    """A bar of 100 % for each stack, the causes in their order."""
    starts = [0.0] * len(stacks)
    for cause in (cause for cause in CAUSES if any(stack.get(cause) for stack in stacks)):
        shares = [100 * stack.get(cause, 0) / (sum(stack.values()) or 1) for stack in stacks]
        axes.barh(range(len(stacks)), shares, BAR_HEIGHT, starts, color=COLOURS[cause], label=cause.replace("_", " "))
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    axes.axhline(len(stacks) - 1.5, color="black", lw=0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("multiplier-slots, %")


def draw_times(axes: "Axes", run: RunResult) -> None:
    """Bars of the layers' times, on hatched ones of the baseline where there is one; the sums as a text below."""
    lines, total = range(len(run.layers)), spelt(run.time_s, TIME_UNITS)
    times = [layer.cycles / run.clock_hz for layer in run.layers]
    before: list[float] = []
    if run.baseline is not None:
        known = {layer.name: layer.cycles / run.baseline.clock_hz for layer in run.baseline.layers}
        before = [known.get(layer.name, 0.0) for layer in run.layers]
        total += f"; {short(run.baseline.machine)} {spelt(run.baseline.time_s, TIME_UNITS)}"
    unit, unit_s = unit_of(max([*times, *before], default=0.0), TIME_UNITS)
    if run.baseline is not None:
        look: dict[str, Any] = {"fc": "white", "ec": "0.55", "lw": 0.5, "hatch": "//////"}
        axes.barh(
            lines,
            [time / unit_s for time in before],
            BAR_HEIGHT,
            label=f"time on {short(run.baseline.machine)}",
            **look,
        )
    height = BAR_HEIGHT if run.baseline is None else BAR_HEIGHT / 2
    axes.barh(lines, [time / unit_s for time in times], height, color="black", label=f"time on {short(run.machine)}")
    beside = axes.get_yaxis_transform()
    axes.text(0.01, len(run.layers), total, transform=beside, va="center_baseline", size=6.5)
    axes.axhline(len(run.layers) - 0.5, color="black", lw=0.6)
    axes.set_yticks([])
    axes.set_xlim(left=0)
    axes.locator_params("x", nbins=5, steps=(1, 2, 5, 10))
    axes.set_xlabel(f"time, {unit}")
