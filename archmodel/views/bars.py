"""Measured values side by side, with what is published of them: bars, or points on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from archmodel.views.figure import (
    BOUND,
    COLUMN_INCHES,
    OURS,
    PAGE_INCHES,
    PUBLISHED,
    SHADE,
    hide_frame,
    label_logarithmic,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_IN_A_COLUMN = 14  # bars that fit the width of a paper's column
HEIGHT_INCHES = 2.1
BAR_WIDTH = 0.62
NAME_CHARACTERS = 11  # of a line


@dataclass(frozen=True)
class Bar:
    """One measured value."""

    name: str
    ours: float
    published: float | None = None
    accepted: Sequence[float] | None = None  # lowest and highest accepted value
    bound: float | None = None  # what is possible at most

    @classmethod
    def of(cls, name: str, row: Mapping[str, Any], bound: float | None = None) -> "Bar":
        """A row of `Validation.as_dict`."""
        return cls(name, row["ours"], row["published"], row["accepted"], bound)


@dataclass(frozen=True)
class Bars:
    """Panels of bars with the same unit, from left to right."""

    caption: str
    unit: str
    panels: Mapping[str, Sequence[Bar]]  # by title
    bound_is: str = ""
    published_range: tuple[float, float] | None = None  # of all bars together
    reference: float | None = None  # a line across
    logarithmic: bool = False

    @property
    def inches(self) -> tuple[float, float]:
        """A column of a paper, or both."""
        wide = sum(map(len, self.panels.values())) > MOST_IN_A_COLUMN
        return PAGE_INCHES if wide else COLUMN_INCHES, HEIGHT_INCHES

    def draw(self, figure: "Figure") -> None:
        """Draw the panels, one legend for all."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        widths = [len(bars) + 1 for bars in self.panels.values()]
        all_axes = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, (title, bars) in zip(all_axes, self.panels.items(), strict=True):
            self._draw_panel(axes, bars)
            axes.set_title(title)
        all_axes[0].set_ylabel(self.unit)
        found: dict[str, Any] = {}
        for axes in all_axes:
            found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(found.values(), found.keys(), loc="outside upper center", ncols=len(found))

    def _draw_panel(self, axes: "Axes", bars: Sequence[Bar]) -> None:
        if self.published_range is not None:
            axes.axhspan(*self.published_range, color=SHADE, lw=0, zorder=0, label="published range")
        if self.reference is not None:
            axes.axhline(self.reference, color="black", linewidth=0.6, linestyle=(0, (4, 2)))
        places = range(len(bars))
        if self.logarithmic:
            axes.set_yscale("log")
            axes.use_sticky_edges = False  # room around the grey of what is accepted
            axes.margins(y=0.1)
            label_logarithmic(axes.yaxis)
            axes.plot(places, [bar.ours for bar in bars], "o", ms=3, color=OURS, label="ours", ls="", zorder=3.5)
        else:
            self._draw_bounds(axes, bars)
            axes.bar(places, [bar.ours for bar in bars], BAR_WIDTH, color=OURS, label="ours")
            axes.locator_params("y", nbins=4, steps=(1, 2, 5, 10))
        self._draw_published(axes, bars)
        axes.set_xlim(-0.7, len(bars) - 0.3)
        names = [fill(bar.name, NAME_CHARACTERS) for bar in bars]
        axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
        axes.tick_params("x", length=0, pad=2)
        axes.grid(axis="y")
        hide_frame(axes, "top", "right")

    def _draw_bounds(self, axes: "Axes", bars: Sequence[Bar]) -> None:
        known = [(place, bar.bound) for place, bar in enumerate(bars) if bar.bound is not None]
        if known:
            places, bounds = zip(*known, strict=True)
            axes.bar(places, bounds, BAR_WIDTH, fc="white", ec=BOUND, lw=0.7, hatch="//////", label=self.bound_is)

    def _draw_published(self, axes: "Axes", bars: Sequence[Bar]) -> None:
        """Diamonds; what is accepted is a whisker on a bar, and grey behind a point."""
        size, face = (6, "none") if self.logarithmic else (3.6, "white")
        look: dict[str, Any] = {"ms": size, "mfc": face, "mec": PUBLISHED, "mew": 0.8, "zorder": 3}
        known = [(place, bar) for place, bar in enumerate(bars) if bar.published is not None]
        if known:
            places, published = zip(*((place, bar.published) for place, bar in known), strict=True)
            axes.plot(places, published, "D", label="published", **look)
        for place, bar in known:
            if bar.accepted is None:
                continue
            low, high = bar.accepted
            if self.logarithmic:
                axes.bar(place, high - low, BAR_WIDTH, low, color=SHADE, label="accepted")
            else:
                whisker: dict[str, Any] = {"elinewidth": 0.8, "capsize": 2, "color": PUBLISHED, "label": "accepted"}
                axes.errorbar(place, (low + high) / 2, (high - low) / 2, ls="", **whisker)
