"""Every published row of a table as a mark: ours over the published value, in its accepted band."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archmodel.views.figure import COLUMN_INCHES, MISSED, OURS, PAGE_INCHES, SHADE, hide_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MARKS = {"gate": "o", "band": "D", "identity": "s", "fitted": "v", "report": "^"}
NO_CHECK = ("fitted", "report")  # kinds that nothing is demanded of; their marks are hollow
LABEL_CHARACTERS = 33
LABEL_POINTS = 6.2
ROWS_OF_A_COLUMN = 30  # longer tables take two
LINE_INCHES, GAP_INCHES = 0.1, 0.05  # of a label, and between rows
LABEL_INCHES, ACROSS_INCHES, NUMBER_INCHES, LEGEND_INCHES, AXIS_INCHES = 1.74, 1.18, 0.58, 0.27, 0.36
LEAST_FACTOR, MOST_FACTOR = 1.1, 2.0  # of ours over published, up to which the axis goes
NO_DEVIATION = "0.0%"
STRIPE = "#FBE3D4"
TICKS = {1.0: (0.9, 1, 1.1), 1.2: (0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4), 1.5: (0.5, 0.7, 1, 1.4, 2)}


@dataclass(frozen=True)
class Deviations:
    """The rows of `Validation.as_dict` that have a published value; identities that are met are only counted."""

    rows: Sequence[Row]

    @property
    def drawn(self) -> list[Row]:
        """Rows with a mark; none where all would stand at 1."""
        rows = [row for row in self._published if not _is_met_identity(row)]
        return rows if any(_missed(row) or _number(row) != NO_DEVIATION for row in rows) else []

    @property
    def caption(self) -> str:
        """What the marks are, or why there are none."""
        published, num_met = self._published, sum(map(_is_met_identity, self._published))
        if not published:
            return "No figure of the deviations: nothing is published."
        if not self.drawn:
            others = f", {len(published) - num_met} to 0.05 %" if num_met < len(published) else ""
            return f"No figure of the deviations: all published values are met, {num_met} to the last digit{others}."
        counts = (
            (num_met, "identities, met to the last digit"),
            (len(self.rows) - len(published), "nothing published"),
        )
        left_out = "; ".join(f"{what} ({number})" for number, what in counts if number)
        return (
            "Ours over the published value, row by row, on a logarithmic axis; grey is what is accepted, missed rows "
            "are shaded, an arrow leads beyond the axis." + (f" Not drawn: {left_out}." if left_out else "")
        )

    @property
    def inches(self) -> tuple[float, float]:
        """A column of a paper, or both."""
        columns = self._columns
        width = COLUMN_INCHES if len(columns) == 1 else PAGE_INCHES
        return width, LEGEND_INCHES + AXIS_INCHES + max(_height(column) for column in columns)

    @property
    def _published(self) -> list[Row]:
        return [row for row in self.rows if row["published"] is not None]

    @property
    def _columns(self) -> list[list[Row]]:
        rows = self.drawn
        if len(rows) <= ROWS_OF_A_COLUMN:
            return [rows]
        half = _height(rows) / 2
        first = [row for index, row in enumerate(rows) if _height(rows[: index + 1]) <= half + LINE_INCHES]
        return [first, rows[len(first) :]]

    def draw(self, figure: "Figure") -> None:
        """Draw the columns beside each other, with one legend and one axis."""
        width, height = self.inches
        columns, factor = self._columns, axis_factor(self.drawn)
        step = width / len(columns)
        for index, column in enumerate(columns):
            tall = _height(column)
            left, below = index * step + LABEL_INCHES, height - LEGEND_INCHES - tall
            axes = figure.add_axes((left / width, below / height, ACROSS_INCHES / width, tall / height))
            _draw_column(axes, column, factor)
        handles = _legend(self.drawn)
        figure.legend(handles=handles, loc="upper center", ncols=len(handles), columnspacing=1.0, handletextpad=0.3)


def axis_factor(rows: Sequence[Row]) -> float:
    """Ours over published at the right end of the axis, its inverse at the left: room for marks and bands."""
    shown = [ratio for row in rows for ratio in (_ratio(row), *(_band(row) or ())) if ratio is not None and ratio > 0]
    most = max((max(ratio, 1 / ratio) for ratio in shown if math.isfinite(ratio)), default=1.0)
    return min(max(most, LEAST_FACTOR), MOST_FACTOR) * 1.07


def _is_met_identity(row: Row) -> bool:
    return bool(row["kind"] == "identity" and row["verdict"] == "pass")


def _ratio(row: Row) -> float | None:
    """Ours over published; None where there is no such number."""
    ratio = row["ours"] / row["published"] if row["published"] else math.nan
    return ratio if math.isfinite(ratio) else None


def _band(row: Row) -> tuple[float, float] | None:
    if row["accepted"] is None or not row["published"]:
        return None
    low, high = sorted(limit / row["published"] for limit in row["accepted"])
    return low, high


def _label(row: Row) -> list[str]:
    """As few lines as the column has room for, of much the same length."""
    fewest = len(textwrap.wrap(row["what"], LABEL_CHARACTERS))
    tries = (textwrap.wrap(row["what"], width) for width in range(LABEL_CHARACTERS // 2, LABEL_CHARACTERS))
    return next((lines for lines in tries if len(lines) == fewest), textwrap.wrap(row["what"], LABEL_CHARACTERS))


def _row_inches(row: Row) -> float:
    return len(_label(row)) * LINE_INCHES + GAP_INCHES


def _height(rows: Sequence[Row]) -> float:
    return sum(map(_row_inches, rows))


def _number(row: Row) -> str:
    """The deviation in %; nothing where there is none."""
    if _ratio(row) is None:
        return ""
    deviation = round(row["deviation"], 3)
    shown = f"{deviation:+.0%}" if deviation >= 1 else f"{deviation:+.1%}" if deviation else NO_DEVIATION
    return shown.replace("-", "\N{MINUS SIGN}")


def _draw_column(axes: "Axes", rows: Sequence[Row], factor: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1 / factor, factor)
    axes.set_ylim(_height(rows), 0)
    axes.minorticks_off()
    ticks = next(marks for least, marks in reversed(TICKS.items()) if factor >= least)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([])
    axes.set_xlabel("ours / published")
    axes.grid(axis="x")
    axes.axvline(1, color="black", linewidth=0.7, zorder=1.5)
    hide_frame(axes, "left", "right", "top")
    for row, middle in _placed(rows):
        _draw_row(axes, row, middle, factor)


def _placed(rows: Sequence[Row]) -> Iterator[tuple[Row, float]]:
    """Rows with the inches from the top to their middle."""
    above = 0.0
    for row in rows:
        yield row, above + _row_inches(row) / 2
        above += _row_inches(row)


def _draw_row(axes: "Axes", row: Row, middle: float, factor: float) -> None:
    _write_row(axes, row, middle)
    band, ratio = _band(row), _ratio(row)
    if band is not None and band[0] < band[1]:
        low, high = (min(max(limit, 1 / factor), factor) for limit in band)
        axes.fill_betweenx([middle - 0.045, middle + 0.045], low, high, color=SHADE, lw=0, zorder=1)
    if ratio is None:
        known = f"published {row['published']:g}, ours {row['ours']:.2g}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(1, middle, known, ha="center", va="center", size=LABEL_POINTS, bbox=box)
        return
    within = min(max(ratio, 1 / factor), factor)
    if within != ratio:
        arrow = ">" if ratio > 1 else "<"
        axes.plot(within, middle, marker=arrow, color="black", markersize=4, clip_on=False, zorder=3)
        within **= 0.84  # beside the arrow
    face = MISSED if _missed(row) else "white" if row["kind"] in NO_CHECK else OURS
    edge = "0.35" if row["kind"] in NO_CHECK else "black"
    axes.plot(within, middle, MARKS[row["kind"]], color=face, mec=edge, mew=0.6, clip_on=False, zorder=3)


def _write_row(axes: "Axes", row: Row, middle: float) -> None:
    beside = axes.get_yaxis_transform()
    axes.axhline(middle, color="#EEEEEE", linewidth=0.4, zorder=0.5)
    if _missed(row):
        ends = -(LABEL_INCHES - 0.03) / ACROSS_INCHES, 1 + (NUMBER_INCHES - 0.03) / ACROSS_INCHES
        half = _row_inches(row) / 2
        stripe = axes.fill_between(ends, middle - half, middle + half, color=STRIPE, transform=beside, lw=0, zorder=0)
        stripe.set_clip_on(False)
    label = "\n".join(_label(row))
    axes.text(-0.05, middle, label, transform=beside, ha="right", va="center", linespacing=1.0, size=LABEL_POINTS)
    number, weight = (f"{_number(row)} \N{MULTIPLICATION SIGN}", "bold") if _missed(row) else (_number(row), "normal")
    axes.text(1.05, middle, number, transform=beside, ha="left", va="center", weight=weight, size=LABEL_POINTS)


def _missed(row: Row) -> bool:
    return row["verdict"] in ("FAIL", "outside")


def _legend(rows: Sequence[Row]) -> list[Any]:
    """A handle for each kind of row that is drawn, the band, and a miss if there is one."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = [kind for kind in MARKS if any(row["kind"] == kind for row in rows)]
    looks = {kind: ("white", "0.35") if kind in NO_CHECK else (OURS, "black") for kind in kinds}
    handles: list[Any] = [
        Line2D([], [], ls="", marker=MARKS[kind], mfc=face, mec=edge, mew=0.6, label=kind)
        for kind, (face, edge) in looks.items()
    ]
    if any(_band(row) for row in rows):
        handles.append(Patch(color=SHADE, lw=0, label="accepted"))
    if any(map(_missed, rows)):
        handles.append(Patch(fc=STRIPE, ec=MISSED, lw=0.6, label="missed \N{MULTIPLICATION SIGN}"))
    return handles
