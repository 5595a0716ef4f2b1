"""Every layer of a network as a line: how dense its weights and inputs are, and which of its MACs are effectual."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archmodel.simulation.inspection import Inspection
from archmodel.simulation.zero_counts import ZeroCounts
from archmodel.views.figure import BOUND, MISSED, OURS, PAGE_INCHES, hide_frame, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 60  # of one column; more layers stand in two
LINE_INCHES, FRAME_INCHES = 0.12, 0.75
MOST_INCHES = 200  # a picture of 50,000 points is as high as can be drawn
LEAST_LINES = 5  # fewer would have no room for the axes
UNKNOWN = "$?$"
MARGIN = 0.06  # of the axis of MACs, behind the longest bar


@dataclass(frozen=True)
class LayerDensities:
    """The layers of an inspected network from top to bottom, in one column or in two."""

    inspection: Inspection

    @property
    def caption(self) -> str:
        """What is drawn."""
        return (
            f"{self.inspection.net}, batch {self.inspection.batch}: non-zero fractions of the weights and of the inputs"
            " of every layer that multiplies, and its MACs with those of two non-zeros. What nothing is known of has no"
            " mark, and a ? behind its bar."
        )

    @property
    def columns(self) -> list[Sequence[ZeroCounts]]:
        """The layers of each column, the first at least as long as the second."""
        layers = self.inspection.layers
        half = len(layers) if len(layers) <= MOST_LINES else math.ceil(len(layers) / 2)
        return [layers[:half], layers[half:]] if len(layers) > half else [layers]

    @property
    def num_lines(self) -> int:
        """Lines of a column."""
        return max(LEAST_LINES, len(self.columns[0]))

    @property
    def inches(self) -> tuple[float, float]:
        """The text of a paper wide, as high as the lines need."""
        return PAGE_INCHES, min(MOST_INCHES, FRAME_INCHES + LINE_INCHES * self.num_lines)

    def draw(self, figure: "Figure") -> None:
        """Draw the columns, one legend for all."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.03)
        columns = self.columns
        axes = figure.subplots(1, 2 * len(columns), squeeze=False)[0]
        most_macs = max(layer.macs_dense for layer in self.inspection.layers)
        for index, layers in enumerate(columns):
            draw_densities(axes[2 * index], layers)
            draw_macs(axes[2 * index + 1], layers, most_macs)
            for one in axes[2 * index : 2 * index + 2]:
                one.set_ylim(self.num_lines - 0.4, -0.6)
                one.grid(axis="x")
                hide_frame(one, "top", "right")
        found: dict[str, Any] = {}
        for one in axes:
            found |= dict(zip(*reversed(one.get_legend_handles_labels()), strict=True))
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found))


def draw_densities(axes: "Axes", layers: Sequence[ZeroCounts]) -> None:
    """A dot for the weights and a hollow diamond for the inputs of a layer, and a line from one to the other."""
    for line, layer in enumerate(layers):
        known = [density for density in (layer.weight_density, layer.input_density) if density is not None]
        if len(known) > 1:
            axes.plot(known, [line, line], color="#A0A0A0", linewidth=0.7, zorder=2)
    looks: dict[str, dict[str, Any]] = {
        "weight_density": {"marker": "o", "ms": 3.6, "mfc": OURS, "mec": OURS, "label": "density of weights"},
        "input_density": {"marker": "D", "ms": 3.4, "mfc": "white", "mec": MISSED, "label": "density of inputs"},
    }
    for key, look in looks.items():
        points = [(density, line) for line, layer in enumerate(layers) if (density := getattr(layer, key)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), linestyle="", zorder=3, clip_on=False, **look)
    names = [layer.name for layer in layers]
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.tick_params("y", length=0, pad=4)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("non-zero fraction")


def draw_macs(axes: "Axes", layers: Sequence[ZeroCounts], most_macs: int) -> None:
    """Hatched bars of all MACs, filled ones of those of two non-zeros on them."""
    from matplotlib.ticker import EngFormatter

    lines = range(len(layers))
    axes.barh(lines, [layer.macs_dense for layer in layers], 0.72, fc="white", ec=BOUND, lw=0.5, hatch="//////",
              label="all MACs")  # fmt: skip
    known = [(line, layer.macs_effectual) for line, layer in enumerate(layers) if layer.macs_effectual is not None]
    if known:
        places, effectual = zip(*known, strict=True)
        axes.barh(places, effectual, 0.72, color=OURS, label="MACs of two non-zeros")
    unknown = [(layer.macs_dense, line) for line, layer in enumerate(layers) if layer.macs_effectual is None]
    if unknown:
        ends, places = zip(*unknown, strict=True)
        beside = [end + MARGIN / 2 * most_macs for end in ends]
        axes.plot(beside, places, marker=UNKNOWN, color="black", ms=4, mew=0.2, ls="", label="not known")
    axes.set_yticks([])
    axes.set_xlim(0, (1 + MARGIN) * most_macs)
    axes.locator_params("x", nbins=4, steps=(1, 2, 5, 10))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel("MACs")
