"""The roofline of a machine (Williams et al., CACM 2009) with what applications reach of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import atan2, degrees
from typing import TYPE_CHECKING, Any

from archmodel.views.figure import COLUMN_INCHES, DOTS_PER_INCH, OURS, PUBLISHED, label_logarithmic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT_INCHES = 2.6
FRAME = (0.115, 0.135, 0.87, 0.85)  # left, below, width, height, as shares of the figure
MARGIN = 2.0  # factor from the outermost points to the edges
NAME_POINTS = 6.5
CHARACTER_POINTS, LINE_POINTS = 0.66 * NAME_POINTS, 1.1 * NAME_POINTS  # room of a name, capitals
AWAY_POINTS = 4.5  # from a point to its name
SIDES = ((1, 0), (0, -1), (-1, 0), (0, 1))  # right, below, left, above: where a name may stand, the first free one


@dataclass(frozen=True)
class Application:
    """What an application reaches, and its products a weight byte."""

    name: str
    intensity: float
    tops: float
    published_intensity: float
    published_tops: float

    @property
    def points(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Intensity and TOPS, ours and published."""
        return (self.intensity, self.tops), (self.published_intensity, self.published_tops)


@dataclass(frozen=True)
class Roofline:
    """Two operations a product: the slanted roof is 2 x weight bytes per second x products a byte."""

    caption: str
    peak_tops: float
    weight_bytes_per_s: float
    applications: Sequence[Application]

    @property
    def inches(self) -> tuple[float, float]:
        """A column of a paper."""
        return COLUMN_INCHES, HEIGHT_INCHES

    @property
    def ridge(self) -> float:
        """The intensity at which both roofs meet."""
        return self.peak_tops * 1e12 / (2 * self.weight_bytes_per_s)

    def roof_tops(self, intensity: float) -> float:
        """The most that can be reached at an intensity."""
        return min(self.peak_tops, 2 * self.weight_bytes_per_s * intensity / 1e12)

    def draw(self, figure: "Figure") -> None:
        """Both roofs, and for each application the published point joined to ours."""
        axes = figure.add_axes(FRAME)
        axes.set_xscale("log")
        axes.set_yscale("log")
        ours, published = zip(*(one.points for one in self.applications), strict=True)
        intensities, tops = zip(*ours, *published, strict=True)
        for axis in (axes.xaxis, axes.yaxis):
            label_logarithmic(axis)
        left, right = min(intensities) / MARGIN, max(*intensities, self.ridge) * MARGIN
        axes.set_xlim(left, right)
        axes.set_ylim(min(tops) / MARGIN, self.peak_tops * MARGIN)
        corners = (left, self.ridge, right)
        axes.plot(corners, [self.roof_tops(corner) for corner in corners], color="black", linewidth=1.2)
        for one in self.applications:
            axes.plot(*zip(*one.points, strict=True), color="0.5", linewidth=0.7, zorder=1.5)
        look: dict[str, Any] = {"ls": "", "mew": 0.8, "zorder": 3}
        axes.plot(*zip(*published, strict=True), "D", mfc="white", mec=PUBLISHED, label="published", **look)
        axes.plot(*zip(*ours, strict=True), "o", mfc=OURS, mec=OURS, label="ours", **look)
        self._name_roofs(axes)
        name_points(axes, self.applications)
        axes.set_xlabel("operational intensity, products a weight byte")
        axes.set_ylabel("TOPS", labelpad=1)
        axes.grid()
        axes.legend(loc="lower right")

    def _name_roofs(self, axes: "Axes") -> None:
        left, right = axes.get_xlim()
        ends = axes.transData.transform([(left, self.roof_tops(left)), (self.ridge, self.peak_tops)])
        across, up = ends[1] - ends[0]
        middle = (left * self.ridge) ** 0.5
        look: dict[str, Any] = {"textcoords": "offset points", "size": NAME_POINTS}
        slanted, at = f"{self.weight_bytes_per_s / 1e9:g} GB/s of weights", (middle, self.roof_tops(middle))
        axes.annotate(slanted, at, (-4, 4), ha="center", va="center", rotation=degrees(atan2(up, across)), **look)
        axes.annotate(f"{self.peak_tops:.1f} TOPS", (right, self.peak_tops), (-3, 3), ha="right", **look)


def name_points(axes: "Axes", applications: Sequence[Application]) -> None:
    """Write each name beside its point, where neither a point nor a line between two nor a name is."""
    points = DOTS_PER_INCH / 72
    taken = [dot for one in applications for dot in along(axes, one)]
    for one in applications:
        half = len(one.name) * CHARACTER_POINTS / 2 * points, LINE_POINTS / 2 * points
        x, y = axes.transData.transform(one.points[0])
        middles = [
            (x + across * (half[0] + AWAY_POINTS * points), y + up * (half[1] + AWAY_POINTS * points))
            for across, up in SIDES
        ]
        middle = min(middles, key=partial(num_inside, taken, half))
        axes.annotate(one.name, middle, xycoords="figure pixels", ha="center", va="center", size=NAME_POINTS)
        taken += [(middle[0] + share * half[0], middle[1]) for share in (-1, -0.5, 0, 0.5, 1)]


def num_inside(dots: Sequence[tuple[float, float]], half: tuple[float, float], middle: tuple[float, float]) -> int:
    """How many dots lie in a box."""
    return sum(abs(x - middle[0]) <= half[0] and abs(y - middle[1]) <= half[1] for x, y in dots)


def along(axes: "Axes", one: Application) -> Iterator[tuple[float, float]]:
    """Dots from our point to the published one."""
    (x, y), (to_x, to_y) = axes.transData.transform(one.points)
    for step in range(21):
        yield x + (to_x - x) * step / 20, y + (to_y - y) * step / 20
