"""The figure of a sweep draws what was measured, each pattern in a look of its own, without colour too."""

from dataclasses import dataclass, replace

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is an extra")
from archmodel.memory.patterns import PATTERNS
from archmodel.simulation.load_sweep import LOADS, LoadSweep, sweep_memory
from archmodel.views.load_curves import LOOKS, LoadCurves
from tests.views.test_figures import drawn


@dataclass
class Result:
    """What the figure asks of a result: latency grows with the load, and 60 % of the peak is delivered at most."""

    load: float
    slower: float
    peak_bytes_per_s: float = 200.0

    @property
    def read_latency_ns(self):
        return {"mean": 100 * self.slower * self.load, "p99": 300 * self.slower * self.load}

    @property
    def bandwidth_bytes_per_s(self):
        return self.peak_bytes_per_s * min(self.load, 0.6)


def swept(*patterns):
    curves = {name: tuple(Result(load, 1 + index) for load in LOADS) for index, name in enumerate(patterns)}
    return LoadCurves(LoadSweep("m", "A memory", 200e9, curves))


def points(axes, label):
    [line] = [one for one in axes.lines if one.get_label() == label]
    return list(map(tuple, line.get_xydata().round(6)))


def test_lines_go_through_what_was_measured():
    above, below = drawn(swept("random", "streams")).axes
    assert points(above, "random")[:2] == [(10, 10), (20, 20)]
    assert points(above, "streams")[-1] == (100, 200)
    assert points(below, "random")[-5:] == [(60, 60), (70, 60), (80, 60), (90, 60), (100, 60)]
    assert points(below, "all that is offered") == [(0, 0), (100, 100)]
    assert "200 GB/s" in below.get_xlabel()
    assert above.get_title() == "A memory"


def test_a_line_reaches_to_the_99th_percentile():
    above, _ = drawn(swept("random")).axes
    [bars] = above.collections
    assert [tuple(map(tuple, part.round(6))) for part in bars.get_segments()][:1] == [((10, 10), (10, 30))]
    above, _ = drawn(swept("random", "streams")).axes
    assert [round(bars.get_segments()[0][0][0], 6) for bars in above.collections] == [9.55, 10.45]


def test_patterns_differ_in_mark_and_line():
    assert LOOKS.keys() == set(PATTERNS)
    for part in range(4):
        assert len({look[part] for look in LOOKS.values()}) == len(LOOKS)
    _, below = drawn(swept(*PATTERNS)).axes
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["all that is offered", *PATTERNS]


def test_all_is_inside_the_figure():
    figure = drawn(LoadCurves(sweep_memory("ideal", requests=500)))
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, 104)


def test_the_caption_names_the_memory():
    assert swept("random").caption.startswith("A memory: mean time of reads from entry to last data")


def test_a_dollar_sign_in_the_name_of_a_memory_begins_no_formula():
    one = swept("random")
    above, _ = drawn(LoadCurves(replace(one.sweep, memory_name="$\\frac$"))).axes
    assert above.get_title() == r"\$\frac\$"
