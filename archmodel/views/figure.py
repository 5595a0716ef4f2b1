"""What all figures share: size, type, colours, and a file whose bytes depend on nothing but the data.

A drawing is plain data until it is saved; matplotlib, of the extra `plot`, is imported then.
"""

import io
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from archmodel.config.targets import check_target, replace_file
from archmodel.errors import ResultError, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

Rows = Mapping[str, Mapping[str, Any]]  # of `Validation.as_dict`, by their id

COLUMN_INCHES, PAGE_INCHES = 3.5, 7.16  # widths of a column and of the text of a two-column paper
UNDATED = {".svg": "Date", ".pdf": "CreationDate"}  # the key of the date that matplotlib would write
FORMATS = (".png", *UNDATED)
NAME_CHARACTERS = 26  # of a name beside the axes
DOTS_PER_INCH, NUM_COLOURS = 250, 64  # a third of the bytes of full colour
# Of Okabe and Ito's palette, which the colour-blind tell apart; in grey, the marks do that.
OURS, PUBLISHED, MISSED, BOUND, SHADE = "#0072B2", "black", "#D55E00", "#56B4E9", "#D9D9D9"
STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "axes.formatter.use_mathtext": True,
    "svg.hashsalt": "archmodel",  # names of parts of a file, random otherwise
}


class Drawing(Protocol):
    """A figure as data."""

    @property
    def caption(self) -> str:
        """One sentence or a few on what is drawn."""

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height."""

    def draw(self, figure: "Figure") -> None:
        """Draw on an empty figure of that size."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def check_figure(path: str | Path) -> None:
    """Raise ResultError unless `save_figure` can be expected to write `path`; call it before long work.

    ModuleNotFoundError without matplotlib.
    """
    check_target(path, FORMATS, "a figure")
    import_module("matplotlib")


def save_figure(drawing: Drawing, path: Path) -> None:
    """Write a drawing as its suffix says, in one style whatever the user's settings; ResultError if that fails."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=drawing.inches, dpi=DOTS_PER_INCH)
        canvas = FigureCanvasAgg(figure)
        drawing.draw(figure)
        canvas.draw()
        image = io.BytesIO()
        if path.suffix in UNDATED:
            figure.savefig(image, format=path.suffix[1:], metadata={UNDATED[path.suffix]: None})
        else:
            save_dots(canvas, image)
    try:
        replace_file(os.path.realpath(path), image.getvalue())
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror or error}") from None


def save_dots(canvas: "FigureCanvasAgg", image: io.BytesIO) -> None:
    """Write what is drawn as a PNG of few colours."""
    import numpy as np
    from PIL import Image

    dots = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    few = dots.quantize(NUM_COLOURS, Image.Quantize.MAXCOVERAGE)
    few.save(image, "PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


def plain(text: str) -> str:
    """A text of a user's as it stands: no dollar sign of it begins a formula, nothing of it a line."""
    return one_line(text).replace("$", r"\$")


def short(name: str) -> str:
    """A name that fits beside the axes: of a long one the end."""
    return plain(name if len(name) <= NAME_CHARACTERS else "…" + name[1 - NAME_CHARACTERS :])


def label_logarithmic(axis: "Axis") -> None:
    """Plain numbers at 1, 2 and 5 times the powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def hide_frame(axes: "Axes", *sides: str) -> None:
    """Leave out sides of the frame."""
    for side in sides:
        axes.spines[side].set_visible(False)
