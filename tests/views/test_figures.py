"""The figures of the tables: what they draw is what was measured, and it can be read."""

import errno
import os
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from archmodel import config
from archmodel.errors import ResultError
from archmodel.validation import Check, PublishedRow, PublishedTable, Validation, published_table
from archmodel.views import deviations
from archmodel.views.bars import Bar, Bars
from archmodel.views.comparison import write_comparison
from archmodel.views.deviations import MARKS, Deviations
from archmodel.views.figure import MISSED, STYLE, check_figure, save_figure
from archmodel.views.roofline import Application, Roofline
from tests.test_validation import measured

RESULTS = Path(__file__).resolve().parents[2] / "results"
TABLES = {name: published_table(name) for name in config.names("published")}


def drawn(drawing):
    with style.context(["default", STYLE]):
        figure = Figure(drawing.inches, dpi=250)
        FigureCanvasAgg(figure)
        drawing.draw(figure)
        figure.canvas.draw()
    return figure


def table(*rows):
    """Rows as (what, kind, published, ours), judged within 10 %."""
    checks = []
    for what, kind, published, ours in rows:
        band = {"tolerance": 0.1} if kind in ("gate", "band") else {}
        row = PublishedRow(id=what, what=what, kind=kind, published=published, reason="test", **band)
        checks.append(Check("test", row, ours))
    return Validation("test", PublishedTable(title="T", citation="C", folder="t", rows=()), tuple(checks), {}).as_dict()


def marks(figure):
    """Of every kind's mark: its place, its shape and its colour."""
    lines = [line for axes in figure.axes for line in axes.lines if line.get_marker() in MARKS.values()]
    return [(line.get_xdata()[0], line.get_marker(), line.get_markerfacecolor()) for line in lines]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


# Ours over published


def test_a_mark_stands_at_ours_over_published_and_tells_kind_and_miss():
    rows = table(("a", "gate", 2.0, 2.1), ("b", "band", 2.0, 3.0), ("c", "report", 10.0, 9.0), ("d", "identity", 4, 5))
    found = marks(drawn(Deviations(rows["rows"])))
    assert [place for place, _, _ in found] == pytest.approx([1.05, 1.5, 0.9, 1.25])
    assert len({mark for _, mark, _ in found}) == 4
    assert [colour == MISSED for _, _, colour in found] == [False, True, False, True]


def test_the_marks_of_rows_that_check_nothing_are_hollow():
    kinds = ("gate", "band", "fitted", "report")
    found = marks(drawn(Deviations(table(*((kind, kind, 2.0, 2.02) for kind in kinds))["rows"])))
    assert [colour == "white" for _, _, colour in found] == [False, False, True, True]
    assert len({mark for _, mark, _ in found}) == 4


def test_the_deviation_is_written_and_a_miss_is_crossed():
    shown = texts(
        drawn(Deviations(table(("a", "gate", 2.0, 2.1), ("b", "band", 2.0, 1.0), ("c", "report", 1.0, 8.0))["rows"]))
    )
    assert shown == ["a", "+5.0%", "b", "−50.0% ×", "c", "+700%"]


def test_a_mark_beyond_the_axis_stays_on_it_behind_an_arrow():
    figure = drawn(Deviations(table(("far", "report", 1.0, 8.0), ("low", "report", 1.0, 0.01))["rows"]))
    low, high = figure.axes[0].get_xlim()
    assert high < 3
    assert all(low < place < high for place, _, _ in marks(figure))
    assert [line.get_marker() for line in figure.axes[0].lines if line.get_marker() in "<>"] == [">", "<"]


def test_a_value_published_as_zero_is_written():
    shown = texts(drawn(Deviations(table(("stall", "report", 0.0, 5.628), ("a", "gate", 1.0, 1.0))["rows"])))
    assert "published 0, ours 5.6" in shown


def test_the_band_is_drawn_as_accepted():
    figure = drawn(Deviations(table(("a", "gate", 2.0, 2.1))["rows"]))
    (band,) = figure.axes[0].collections
    across = band.get_paths()[0].get_extents()
    assert (across.x0, across.x1) == pytest.approx((0.9, 1.1))


def test_identities_that_are_met_are_counted_and_a_missed_one_is_drawn():
    rows = [(f"same {index}", "identity", 7, 7) for index in range(80)]
    one = Deviations(table(*rows, ("other", "identity", 7, 8), ("unpublished", "report", None, 1.0))["rows"])
    assert [row["what"] for row in one.drawn] == ["other"]
    assert "identities, met to the last digit (80); nothing published (1)" in one.caption


def test_a_table_of_met_identities_has_no_figure_and_says_so(tmp_path):
    rows = [(f"{index}", "identity", 7, 7) for index in range(80)]
    write_comparison(tmp_path, table(*rows), {}, (), {})
    assert [path.name for path in tmp_path.iterdir()] == ["compare.md"]
    assert "all published values are met, 80 to the last digit." in (tmp_path / "compare.md").read_text()
    assert "80 to the last digit, 1 to 0.05 %." in Deviations(table(*rows, ("x", "gate", 1.0, 1.0004))["rows"]).caption
    assert Deviations(table(*rows, ("x", "gate", 1.0, 1.0006))["rows"]).drawn
    missed = PublishedRow(id="x", what="x", kind="gate", published=1.0, tolerance=0.0, reason="test")
    assert Deviations([Check("test", missed, 1.0001).as_dict()]).drawn


@pytest.mark.parametrize("num_rows", [1, 30, 31, 200])
def test_every_row_of_a_long_table_is_drawn_once(num_rows):
    figure = drawn(Deviations(table(*((f"row {index}", "gate", 1.0, 1.01) for index in range(num_rows)))["rows"]))
    assert [text for text in texts(figure) if text.startswith("row")] == [f"row {index}" for index in range(num_rows)]
    assert len(figure.axes) == (1 if num_rows <= 30 else 2)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


@pytest.mark.parametrize("name", TABLES)
def test_no_label_of_a_table_leaves_the_figure_or_meets_another(name):
    checks = [
        Check(name, row, published + 98 if row.kind == "identity" else published * 0.7)
        for row in TABLES[name].rows
        for published in [row.published or 1]
    ]
    figure = drawn(Deviations(Validation(name, TABLES[name], tuple(checks), {}).as_dict()["rows"]))
    frame = figure.bbox
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts if text.get_text()]
    assert all(min(box.min) >= 0 and box.x1 <= frame.width and box.y1 <= frame.height for box in boxes)
    assert not [
        (one, other)
        for index, one in enumerate(boxes)
        for other in boxes[:index]
        if one.padded(-3).overlaps(other.padded(-3))
    ]


def test_a_label_takes_as_few_lines_as_it_needs():
    long = "SCNN over SCNN-SparseW, GoogLeNet at 0.4 / 0.4"
    first, second = deviations._label({"what": long})
    assert f"{first} {second}" == long
    assert abs(len(first) - len(second)) < 10


# The file


def test_the_bytes_depend_on_the_rows_alone(tmp_path, monkeypatch):
    one = Deviations(table(("a", "gate", 2.0, 2.1), ("b", "band", 2.0, 3.0))["rows"])
    save_figure(one, tmp_path / "first.png")
    monkeypatch.setitem(mpl.rcParams, "font.size", 20.0)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    save_figure(one, tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.info.keys() <= {"dpi"}
        assert picture.width == pytest.approx(3.5 * 250, abs=1)


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_drawing_without_points_has_no_date_either(tmp_path, suffix, start):
    one = Deviations(table(("a", "gate", 2.0, 2.1))["rows"])
    for name in ("first", "second"):
        save_figure(one, tmp_path / f"{name}{suffix}")
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("first", "second"))
    assert first.startswith(start)
    assert first == second
    assert not re.search(rb"CreationDate|<dc:date>", first)


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    one, path = Deviations(table(("a", "gate", 2.0, 2.1))["rows"]), tmp_path / "a.png"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match="No space left on device"):
        save_figure(one, path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["a.gif", "a", "missing/a.png"])
def test_a_figure_is_refused_before_the_work(tmp_path, name):
    with pytest.raises(ResultError, match=r"cannot be written: (a figure ends in \.png|there is no folder)"):
        check_figure(tmp_path / name)
    check_figure(tmp_path / "a.pdf")


@pytest.mark.parametrize("folder", sorted({one.folder for one in TABLES.values()}))
def test_every_table_of_the_results_has_its_figures(folder):
    page = (RESULTS / folder / "compare.md").read_text("utf-8")
    linked = re.findall(r"!\[.*\]\((.*\.png)\)", page)
    assert "compare.png" in linked or "No figure of the deviations" in page
    assert all((RESULTS / folder / name).is_file() for name in linked)


def test_the_figures_of_a_table_are_written_and_linked(tmp_path):
    done = measured("tpu_v1")
    write_comparison(tmp_path, done.as_dict(), {}, (), done.figures())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.md", "compare.png", "roofline.png"]
    page = (tmp_path / "compare.md").read_text("utf-8")
    assert "](compare.png)" in page
    assert "](roofline.png)" in page


# The field's own figures


def ours(name):
    return {check.row.id: check.ours for check in measured(name).checks}


def test_the_roofline_holds_the_six_applications_ours_and_published():
    roofline, values = measured("tpu_v1").figures()["roofline"], ours("tpu_v1")
    assert [one.name for one in roofline.applications] == ["MLP0", "MLP1", "LSTM0", "LSTM1", "CNN0", "CNN1"]
    assert {one.name: one.published_tops for one in roofline.applications}["CNN1"] == 14.1
    for one in roofline.applications:
        app = one.name.lower()
        assert (one.intensity, one.tops) == (values[f"{app}.intensity"], values[f"{app}.tops"])
        assert one.tops / roofline.roof_tops(one.intensity) == pytest.approx(values[f"{app}.roofline"])
        assert one.tops <= roofline.roof_tops(one.intensity)


def test_both_roofs_meet_at_the_ridge():
    roofline = Roofline("", 92.0, 34e9, [Application("a", 100, 5.0, 100, 4.0)])
    assert roofline.ridge == pytest.approx(1352.94, abs=0.01)
    assert roofline.roof_tops(roofline.ridge) == pytest.approx(92.0)
    assert [roofline.roof_tops(100), roofline.roof_tops(1e5)] == pytest.approx([6.8, 92.0])
    axes = drawn(roofline).axes[0]
    points = [list(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "None"]
    assert points == [[4.0], [5.0]]  # published, ours


def test_no_name_of_the_roofline_lies_on_another_or_on_a_point():
    axes = drawn(measured("tpu_v1").figures()["roofline"]).axes[0]
    names = [text for text in axes.texts if re.fullmatch(r"[A-Z]+\d", text.get_text())]
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 6
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    points = [
        axes.transData.transform(xy) for line in axes.lines if line.get_marker() in "oD" for xy in line.get_xydata()
    ]
    assert not [(box, point) for box in boxes for point in points if box.contains(*point)]


def test_the_bars_of_scnn_are_its_layers_and_its_networks():
    bars, values, runs = measured("scnn").figures()["speedups"], ours("scnn"), measured("scnn").runs
    assert [len(panel) for panel in bars.panels.values()] == [6 + 1, 13 + 1, 9 + 1, 1]
    for name, panel in zip(("alexnet", "vgg16", "googlenet"), bars.panels.values(), strict=False):
        *layers, network = panel
        assert network.ours == values[f"speedup.{name}"]
        assert network.ours / network.bound == pytest.approx(values[f"oracle.{name}"])
        assert min(bar.ours for bar in layers) < network.ours < max(bar.ours for bar in layers)
        assert all(bar.ours < bar.bound for bar in layers)
    module = [
        (layer.cycles, dense.cycles)
        for layer, dense in zip(runs["googlenet"].layers, runs["googlenet"].baseline.layers, strict=True)
        if layer.name.startswith("inception_4c/")
    ]
    assert len(module) == 6
    (shown,) = [bar.ours for bar in bars.panels["GoogLeNet"] if bar.name == "4c"]
    assert shown == pytest.approx(sum(dense for _, dense in module) / sum(cycles for cycles, _ in module))
    assert bars.panels[""][0].published == 2.7


def test_the_curve_of_scnn_goes_through_its_three_points():
    curves, values = measured("scnn").figures()["density"], ours("scnn")
    points = curves.series["Kc = 8"]
    expected = [(0.1, values["sparse.published"]), (values["crossover.published"], 1), (1.0, values["dense.published"])]
    assert [value for point in points for value in point] == pytest.approx([v for p in expected for v in p], abs=0.001)
    assert curves.series["Kc = capacity"][1] == (values["crossover.accumulator"], 1)
    assert [round(one.x, 3) for one in curves.published] == [0.1, 0.85, 1.0]
    assert curves.published[1].accepted_x == [0.7, 0.9]


def test_the_bars_of_cnvlutin_stand_in_the_published_range():
    bars, values = measured("cnvlutin").figures()["speedups"], ours("cnvlutin")
    assert bars.published_range == (1.24, 1.55)
    (panel,) = bars.panels.values()
    assert [bar.ours for bar in panel] == [
        *(values[f"speedup.{name}"] for name in ("alexnet", "googlenet", "nin", "vgg19", "cnn_m", "cnn_s")),
        values["mean"],
    ]
    assert [bar.published for bar in panel] == [None] * 6 + [1.37]


def test_the_times_of_eie_and_the_cycles_of_dnnsim_are_their_rows():
    eie, dnnsim = measured("eie").figures()["times"], measured("dnnsim").figures()["layers"]
    assert {name: len(panel) for name, panel in eie.panels.items()} == {"theoretical": 9, "actual": 9}
    assert eie.panels["actual"][0] == Bar("Alex-6", ours("eie")["actual.Alex-6"], 30.3)
    (panel,) = dnnsim.panels.values()
    assert [(bar.name, bar.published) for bar in panel[:2]] == [("m0", 292), ("m1", 26)]
    assert panel[2].ours == ours("dnnsim")["m2.cycles"]


def test_bars_are_as_high_as_ours_and_marks_stand_at_the_published():
    bars = Bars("", "x", {"one": [Bar("a", 2.0, 2.5, (2.0, 3.0), 4.0), Bar("b", 3.0)], "two": [Bar("c", 1.0)]}, "most")
    first, second = drawn(bars).axes
    assert sorted(patch.get_height() for patch in first.patches) == [2.0, 3.0, 4.0]
    assert [patch.get_height() for patch in second.patches] == [1.0]
    assert 2.5 in [value for line in first.lines if line.get_marker() == "D" for value in line.get_ydata()]
    assert [text.get_text() for text in first.get_xticklabels()] == ["a", "b"]
    assert first.get_ylim() == second.get_ylim()
