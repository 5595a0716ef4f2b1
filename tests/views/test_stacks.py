"""The figure of a run of sim: a bar of 100 % for each layer and for all, times beside them."""

import dataclasses
import itertools

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is an extra")
from matplotlib.colors import to_hex

from archmodel.accelerators.columns import CAUSES
from archmodel.views.figure import save_figure
from archmodel.views.stacks import COLOURS, LayerStacks
from tests.test_results import a_layer, a_run
from tests.views.test_figures import drawn, texts


def layer(name, cycles, **stack):
    return a_layer(0, name, num_multipliers=1, cycles=cycles, stack=stack)


RUN = a_run(
    layers=(layer("conv1", 4000, busy=3000, memory=1000), layer("fc2", 1000, busy=250, drain=750)),
    clock_hz=1e6,
)


def shares(axes, line):
    """By colour the share of a line."""
    found = {}
    for patch in axes.patches:
        if round(patch.get_y() + patch.get_height() / 2) == line and patch.get_width():
            found[to_hex(patch.get_facecolor())] = patch.get_width()
    return found


def of(**causes):
    return {to_hex(COLOURS[cause]): pytest.approx(share) for cause, share in causes.items()}


def test_a_bar_is_the_stack_of_its_layer():
    left, _ = drawn(LayerStacks(RUN)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["conv1", "fc2", "all layers"]
    assert shares(left, 0) == of(busy=75, memory=25)
    assert shares(left, 1) == of(busy=25, drain=75)
    assert shares(left, 2) == of(busy=65, memory=20, drain=15)
    ends = [
        max(patch.get_x() + patch.get_width() for patch in left.patches if round(patch.get_y() + 0.39) == line)
        for line in range(3)
    ]
    assert ends == pytest.approx([100, 100, 100])


def test_causes_that_never_occur_are_not_in_the_legend():
    [legend] = drawn(LayerStacks(RUN)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["busy", "drain", "memory", "time on scnn"]
    assert COLOURS.keys() == set(CAUSES)
    assert len(set(COLOURS.values())) == len(CAUSES)


def test_times_are_at_the_clock_of_each_machine():
    _, right = drawn(LayerStacks(RUN)).axes
    assert [patch.get_width() for patch in right.patches] == pytest.approx([4, 1])
    assert right.get_xlabel() == "time, ms"
    assert texts(drawn(LayerStacks(RUN)))[-1] == "5 ms"
    base = a_run(arch="dcnn", clock_hz=1e5, layers=(layer("fc2", 700, busy=700), layer("conv1", 900, busy=900)))
    figure = drawn(LayerStacks(a_run(layers=RUN.layers, clock_hz=1e6, baseline=base)))
    _, right = figure.axes
    assert [(patch.get_width(), patch.get_hatch()) for patch in right.patches] == [
        *((pytest.approx(9), "//////"), (pytest.approx(7), "//////")),
        *((pytest.approx(4), None), (pytest.approx(1), None)),
    ]
    assert texts(figure)[-1] == "5 ms; dcnn 16 ms"
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["time on dcnn", "time on scnn"]


@pytest.mark.parametrize("num_layers", [0, 1, 12, 200])
def test_all_is_inside_the_figure(num_layers):
    layers = tuple(a_layer(index, f"a_rather_long_name_of_layer{index}") for index in range(num_layers))
    figure = drawn(LayerStacks(a_run(layers=layers)))
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    labels = figure.axes[0].get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 >= below.y1 - 1 for above, below in itertools.pairwise(boxes))


def test_layers_without_slots_are_drawn_too(tmp_path):
    strange = a_run(net="$_", arch="$\\frac$", layers=(layer("a$_^$", 0, busy=0),))
    save_figure(LayerStacks(dataclasses.replace(strange, baseline=strange)), tmp_path / "out.svg")
