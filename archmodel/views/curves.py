"""A ratio over a parameter: measured points joined by lines, published ones with what is accepted of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archmodel.views.figure import BOUND, COLUMN_INCHES, OURS, PUBLISHED, label_logarithmic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT_INCHES = 2.2
LOOKS = (("o", "-", OURS, 4), ("s", "--", BOUND, 6.5), ("^", ":", "0.4", 9))  # marks that coincide lie in each other


@dataclass(frozen=True)
class Published:
    """A published point, with the accepted range along one axis."""

    x: float
    y: float
    accepted_x: tuple[float, float] | None = None
    accepted_y: tuple[float, float] | None = None


@dataclass(frozen=True)
class Curves:
    """Ratios on a logarithmic axis, with a line where both sides are equal."""

    caption: str
    x_is: str
    y_is: str
    series: Mapping[str, Sequence[tuple[float, float]]]  # by name
    published: Sequence[Published]

    @property
    def inches(self) -> tuple[float, float]:
        """A column of a paper."""
        return COLUMN_INCHES, HEIGHT_INCHES

    def draw(self, figure: "Figure") -> None:
        """Draw all series in one frame."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        axes = figure.add_subplot()
        axes.set_yscale("log")
        axes.axhline(1, color="black", linewidth=0.6)
        for (name, points), (marker, line, colour, wide) in zip(self.series.items(), LOOKS, strict=False):
            look: dict[str, Any] = {"marker": marker, "ms": wide, "mfc": "none", "ls": line, "color": colour, "lw": 1}
            axes.plot(*zip(*points, strict=True), label=f"ours, {name}", **look)
        for index, one in enumerate(self.published):
            reach = whisker(one.y, one.accepted_y), whisker(one.x, one.accepted_x)
            look = {"marker": "D", "ms": 4, "mfc": "white", "mew": 0.8, "color": PUBLISHED, "ls": "", "zorder": 3}
            label = "_" * (index > 0) + "published, accepted"  # one line of the legend for all
            axes.errorbar(one.x, one.y, *reach, elinewidth=0.8, capsize=2, capthick=0.8, label=label, **look)
        label_logarithmic(axes.yaxis)
        axes.set_xlabel(self.x_is)
        axes.set_ylabel(self.y_is)
        axes.grid()
        axes.legend()


def whisker(value: float, accepted: tuple[float, float] | None) -> list[list[float]] | None:
    """How far what is accepted goes below and above a value."""
    return None if accepted is None else [[value - accepted[0]], [accepted[1] - value]]
