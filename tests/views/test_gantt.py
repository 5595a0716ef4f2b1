"""The Gantt chart of a timeline draws every span in its place and its look, and the memory below it."""

import time

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is an extra")
from matplotlib.colors import to_hex

from archmodel.training.timeline import MemoryEvent, Span, Timeline
from archmodel.views.figure import MISSED, save_figure
from archmodel.views.gantt import MOST_RUNS, PHASES, STALLS, TRANSFERS, Gantt, layers_of, title
from tests.training.made_timelines import a_result, a_run, at_random
from tests.views.test_figures import drawn, texts


def bars(axes):
    """Of every bar: row, start, end, colour of its face, hatch."""
    found = []
    for collection in axes.collections:
        for path in collection.get_paths():
            box = path.get_extents()
            face, hatch = to_hex(collection.get_facecolor()[0]), collection.get_hatch() or ""
            found.append((round((box.y0 + box.y1) / 2), round(box.x0, 6), round(box.x1, 6), face, hatch))
    return sorted(found)


def look(of):
    return to_hex(of.face), of.hatch


def test_every_span_is_a_bar_in_the_row_of_its_stream():
    chart, _ = drawn(Gantt(a_result())).axes
    assert [label.get_text() for label in chart.get_yticklabels()] == ["compute", "offload", "prefetch", "input"]
    assert bars(chart) == [
        (0, 0.0, 2.0, *look(PHASES["forward"])),
        (0, 2.0, 3.0, *look(STALLS["offload"])),
        (0, 3.0, 4.0, *look(PHASES["forward"])),
        (0, 4.0, 5.0, *look(PHASES["backward"])),  # of one layer, its loss and its weight gradient
        (0, 5.0, 7.0, *look(STALLS["prefetch"])),
        (0, 7.0, 9.0, *look(PHASES["backward"])),
        (0, 9.0, 10.0, *look(PHASES["update"])),
        (1, 0.0, 3.0, *look(TRANSFERS["offload"])),
        (2, 4.0, 7.0, *look(TRANSFERS["prefetch"])),
        (3, 7.0, 8.0, *look(TRANSFERS["input"])),
    ]


def test_looks_differ_in_colour_or_hatch():
    looks = [look(one) for one in (*PHASES.values(), *TRANSFERS.values(), *STALLS.values())]
    assert len(set(looks)) == len(looks)
    assert all(one.hatch for one in STALLS.values())


def test_the_legend_has_what_is_drawn_and_no_more():
    [legend] = drawn(Gantt(a_result())).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("forward", "backward", "update", "offload", "prefetch", "input", "stall: offload", "stall: prefetch")
    ]
    spans = (
        Span("compute", "recompute", "a.recompute", "a", 0.0, 1.0),
        Span("compute", "stall", "a", "a", 1.0, 2.0, 0, "dram"),
    )
    [legend] = drawn(Gantt(a_result(a_run(timeline=Timeline(spans, (), 2.0))))).legends
    assert [text.get_text() for text in legend.get_texts()] == ["recompute", "stall: dram"]


def test_a_cause_that_nobody_foresaw_is_drawn_and_named():
    timeline = Timeline((Span("compute", "stall", "a", "a", 0.0, 1.0, 0, "paging"),), (), 1.0)
    [legend] = drawn(Gantt(a_result(a_run(timeline=timeline)))).legends
    assert [text.get_text() for text in legend.get_texts()] == ["stall: paging"]


def test_a_stream_that_moves_nothing_has_no_row():
    spans = (Span("compute", "forward", "a.forward", "a", 0.0, 1.0),)
    chart, _ = drawn(Gantt(a_result(a_run(timeline=Timeline(spans, (), 1.0))))).axes
    assert [label.get_text() for label in chart.get_yticklabels()] == ["compute"]


def test_names_stand_in_bars_that_have_room_for_them():
    assert texts(drawn(Gantt(a_result())))[:4] == ["conv1", "fc2", "fc2", "conv1"]
    long = a_run(timeline=Timeline((Span("compute", "forward", "a", "x" * 400, 0.0, 1.0),), (), 1.0))
    assert "x" * 400 not in texts(drawn(Gantt(a_result(long))))


def test_narrow_stalls_have_the_colour_of_their_lines():
    spans = (
        Span("compute", "forward", "a.forward", "a", 0.0, 0.9995),
        Span("compute", "stall", "a.forward", "a", 0.9995, 1.0, 0, "offload"),
    )
    chart, _ = drawn(Gantt(a_result(a_run(timeline=Timeline(spans, (), 1.0))))).axes
    assert bars(chart) == [(0, 0.0, 0.9995, *look(PHASES["forward"])), (0, 0.9995, 1.0, MISSED.lower(), "")]


def test_bars_of_a_layer_join_only_where_they_meet():
    def made(*ends, layer="a", kind="weight_gradient"):
        return Span("compute", kind, f"{layer}.{kind}", layer, *ends)

    def joined(*spans):
        return [(start, length, name) for _, start, length, name in layers_of(spans, 1.0)]

    assert joined(made(0.0, 1.0), made(1.0, 2.0, kind="data_gradient")) == [(0.0, 2.0, "a")]
    assert joined(made(0.0, 1.0), made(1.5, 2.0)) == [(0.0, 1.0, "a"), (1.5, 0.5, "a")]
    assert joined(made(0.0, 1.0), made(1.0, 2.0, layer="b")) == [(0.0, 1.0, "a"), (1.0, 1.0, "b")]
    assert joined(made(0.0, 1.0), made(1.0, 2.0, kind="forward")) == [(0.0, 1.0, "a"), (1.0, 1.0, "a")]
    assert joined() == []


def memory_lines(axes):
    return {line.get_linestyle(): line for line in axes.lines}


def test_the_memory_curve_is_what_is_held():
    _, memory = drawn(Gantt(a_result(a_run(capacity_bytes=5 * 1024)))).axes
    lines = memory_lines(memory)
    curve = lines["-"]
    assert curve.get_drawstyle() == "steps-post"
    assert curve.get_xdata().tolist() == pytest.approx([0, 3, 4, 9, 10])
    assert (1024 * curve.get_ydata()).tolist() == pytest.approx([3500, 700, 3700, 500, 500])
    assert lines["--"].get_ydata() == [5, 5]
    assert 1024 * lines[":"].get_ydata()[0] == pytest.approx(3020)
    assert memory.get_ylabel() == "memory, KiB"
    assert memory.get_xlabel() == "time, ms"
    assert texts(drawn(Gantt(a_result())))[-1] == "peak 3.613 KiB, average 2.949 KiB, capacity 12 GiB"


def test_a_capacity_far_above_is_written_and_not_drawn():
    for capacity_bytes, is_drawn in ((2 * 3700, True), (2 * 3700 + 1, False), (3000, True), (None, False)):
        _, memory = drawn(Gantt(a_result(a_run(capacity_bytes=capacity_bytes)))).axes
        assert ("--" in memory_lines(memory)) == is_drawn
        assert memory.get_ylim()[1] >= 1.1 * (capacity_bytes or 0) / 1024 or not is_drawn


def test_runs_of_one_network_and_batch_have_the_same_axes():
    other = a_run(policy="none", timeline=at_random(1, 3, 1.0))
    figure = drawn(Gantt(a_result(a_run(), other, a_run(batch=9))))
    assert len(figure.axes) == 6
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim() == (0, other.iteration_s)
    assert figure.axes[1].get_ylim() == figure.axes[3].get_ylim()
    assert figure.axes[4].get_xlim() == (0, 10)
    assert figure.axes[4].get_title(loc="left").startswith("tiny (9), vdnn_all (p)")


def test_a_title_has_the_performance_and_whether_it_fits():
    assert title(a_run()) == ("tiny (4), vdnn_all (p), titanx_maxwell, pcie3_x16, 10 ms, 70.0 % of the oracle")
    assert "pcie3_x16, cdma_zvc, 10 ms" in title(a_run(dma="cdma_zvc")).replace("\n", " ")
    assert title(a_run(fits=False)).replace("\n", " ").endswith("; does not fit")


def test_corners_are_drawn_too(tmp_path):
    empty = Timeline((), (), 0.0)
    held = Timeline((), (MemoryEvent(0.0, "a", 10**12),), 1.0)
    save_figure(Gantt(a_result(runs=())), tmp_path / "none.png")
    save_figure(Gantt(a_result(a_run(timeline=empty, oracle_s=0.0), a_run(timeline=held))), tmp_path / "empty.svg")
    strange = Timeline((Span("compute", "stall", "$x^$", "$x^$", 0.0, 1.0, 0, "a_$b"),), (), 1.0)
    save_figure(Gantt(a_result(a_run(net="$\\frac$", timeline=strange))), tmp_path / "odd.pdf")


def test_all_is_inside_the_figure():
    figure = drawn(Gantt(a_result(a_run(net="n" * 70), a_run(fits=False, timeline=at_random(1, 30)))))
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    for first, second in zip(figure.axes, figure.axes[1:], strict=False):
        assert first.get_tightbbox().y0 >= second.get_tightbbox().y1 - 1


def test_thousands_of_spans_are_drawn_in_seconds(tmp_path):
    result = a_result(a_run(timeline=at_random(1, 1000)), a_run(timeline=at_random(2, 1000)))
    assert sum(len(run.timeline.spans) for run in result.runs) > 8000
    begun = time.perf_counter()
    save_figure(Gantt(result), tmp_path / "out.png")
    assert time.perf_counter() - begun < 20
    assert (tmp_path / "out.png").stat().st_size > 5000


def test_more_runs_than_a_figure_holds_are_named():
    many = Gantt(a_result(*[a_run()] * (MOST_RUNS + 3)))
    assert len(many.runs) == MOST_RUNS
    assert many.caption.endswith(f"The first {MOST_RUNS} of {MOST_RUNS + 3} runs.")
    assert "runs." not in Gantt(a_result()).caption
    assert many.inches[1] * 250 < 2**16
