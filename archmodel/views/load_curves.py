"""What patterns get of a memory over the load that is offered: latency of their reads above, bandwidth below."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archmodel.simulation.load_sweep import LOADS, LoadSweep
from archmodel.views.figure import BOUND, COLUMN_INCHES, MISSED, OURS, label_logarithmic, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT_INCHES = 3.6
TAIL_DISTANCE = 0.9  # between the lines to the 99th percentile of two patterns, in % of load
# By pattern, so that it looks the same in every figure; shape and line tell them apart without colour, marks
# that coincide lie in each other.
LOOKS = {
    "sequential": ("o", "-", OURS, 3),
    "random": ("s", "--", MISSED, 4.5),
    "strided": ("^", "-.", BOUND, 5.5),
    "streams": ("D", ":", "black", 6),
}


@dataclass(frozen=True)
class LoadCurves:
    """A line for each pattern in both frames; the straight one below is all that is offered."""

    sweep: LoadSweep

    @property
    def caption(self) -> str:
        """What is drawn."""
        return (
            f"{self.sweep.memory_name}: mean time of reads from entry to last data, with a line to the 99th percentile,"
            " and delivered bandwidth, over the offered load."
        )

    @property
    def inches(self) -> tuple[float, float]:
        """A column of a paper."""
        return COLUMN_INCHES, HEIGHT_INCHES

    def draw(self, figure: "Figure") -> None:
        """Draw both frames above each other, with one axis of loads."""
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        above, below = figure.subplots(2, 1, sharex=True)
        offered = [100 * load for load in LOADS]
        below.plot((0, 100), (0, 100), color="0.6", lw=0.8, label="all that is offered")
        middle = (len(self.sweep.curves) - 1) / 2
        for index, (name, results) in enumerate(self.sweep.curves.items()):
            means = [result.read_latency_ns["mean"] for result in results]
            tails = [result.read_latency_ns["p99"] for result in results]
            look = look_of(name)
            above.plot(offered, means, label=name, **look)
            beside = [load + TAIL_DISTANCE * (index - middle) for load in offered]  # lines do not hide each other
            above.vlines(beside, means, tails, color=look["color"], lw=0.6)
            shares = [100 * result.bandwidth_bytes_per_s / result.peak_bytes_per_s for result in results]
            below.plot(offered, shares, label=name, **look)
        self._label(above, below)

    def _label(self, above: "Axes", below: "Axes") -> None:
        above.set_yscale("log")
        label_logarithmic(above.yaxis)
        above.set_title(plain(self.sweep.memory_name))
        above.set_ylabel("read latency, ns")
        below.set_ylabel("delivered, % of the peak")
        below.set_xlabel(f"offered, % of the peak of {self.sweep.peak_bytes_per_s / 1e9:.4g} GB/s")
        below.set_xlim(0, 104)
        below.set_ylim(0, 104)
        for axes in (above, below):
            axes.grid()
        below.legend()


def look_of(pattern: str) -> dict[str, Any]:
    """How a pattern is drawn."""
    marker, line, colour, wide = LOOKS[pattern]
    return {"marker": marker, "ms": wide, "mfc": "none", "ls": line, "color": colour, "lw": 1}
