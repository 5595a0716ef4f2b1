"""The figure of `inspect` draws what was counted, and can be read for five layers and for many."""

from dataclasses import replace
from itertools import pairwise

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is an extra")
from matplotlib.colors import to_hex

from archmodel.network.layer import Layer
from archmodel.simulation.inspection import Inspection
from archmodel.simulation.zero_counts import ZeroCounts
from archmodel.views.densities import UNKNOWN, LayerDensities
from archmodel.views.figure import MISSED, OURS
from tests.views.test_figures import drawn, texts


def layer_named(name, weights=2, inputs=3, effectual=4):
    layer = Layer(name, "fc", ("x",), (4, 1, 1), 5)
    return ZeroCounts(layer, 1, 16, weights, inputs, None, None, None, effectual, None, None, {})


def inspected(*layers):
    return LayerDensities(Inspection("net", 1, 0, 16, layers))


def points(axes, marker):
    return [tuple(xy) for line in axes.lines if line.get_marker() == marker for xy in line.get_xydata()]


def lengths(axes, filled):
    return [patch.get_width() for patch in axes.patches if (to_hex(patch.get_facecolor()) == OURS.lower()) == filled]


def test_marks_stand_at_the_densities_and_bars_are_as_long_as_the_macs():
    left, right = drawn(inspected(layer_named("a"), layer_named("b", weights=10, inputs=0, effectual=0))).axes
    assert points(left, "o") == [(0.1, 0), (0.5, 1)]
    assert points(left, "D") == [(0.75, 0), (0.0, 1)]
    assert lengths(right, filled=False) == [20, 20]
    assert lengths(right, filled=True) == [4, 0]
    assert [text.get_text() for text in left.get_yticklabels()] == ["a", "b"]
    assert left.get_xlim() == (0, 1)
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first layer is above


def test_weights_and_inputs_differ_in_shape_and_filling_too():
    left, right = drawn(inspected(layer_named("a"))).axes
    looks = {line.get_marker(): (line.get_markerfacecolor(), line.get_markeredgecolor()) for line in left.lines}
    assert looks["o"] == (OURS, OURS)
    assert looks["D"] == ("white", MISSED)
    assert [bool(patch.get_hatch()) for patch in right.patches] == [True, False]


def test_what_is_not_known_has_no_mark_and_says_so():
    figure = drawn(inspected(layer_named("a", inputs=None, effectual=None), layer_named("b")))
    left, right = figure.axes
    assert points(left, "o") == [(0.1, 0), (0.1, 1)]
    assert points(left, "D") == [(0.75, 1)]
    assert lengths(right, filled=True) == [4]
    assert [line for _, line in points(right, UNKNOWN)] == [0]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["density of weights", "density of inputs", "not known", "all MACs", "MACs of two non-zeros"]
    left, right = drawn(inspected(layer_named("a", None, None, None))).axes
    assert [points(left, marker) for marker in "oD"] == [[], []]


@pytest.mark.parametrize("num_layers", [1, 5, 60, 61, 150])
def test_every_layer_has_a_line_whose_name_is_inside_and_meets_no_other(num_layers):
    names = [f"stage{index}/a_long_name_of_a_convolution/conv{index}" for index in range(num_layers)]
    figure = drawn(inspected(*map(layer_named, names)))
    labels = [text for axes in figure.axes[::2] for text in axes.get_yticklabels()]
    assert len(figure.axes) == (2 if num_layers <= 60 else 4)
    assert [text.get_text()[-8:] for text in labels] == [name[-8:] for name in names]
    boxes = [text.get_window_extent() for text in labels]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert len({axes.get_xlim() for axes in figure.axes[1::2]}) == 1
    assert texts(figure) == []
    assert all(axes.get_window_extent().width > 0.1 * figure.bbox.width for axes in figure.axes)


def test_a_long_network_takes_two_columns_and_a_line_an_eighth_of_an_inch():
    one, half, odd = (inspected(*(layer_named(f"conv{index}") for index in range(count))) for count in (60, 120, 121))
    assert [len(column) for column in odd.columns] == [61, 60]
    assert one.inches == half.inches
    assert odd.inches[1] - half.inches[1] == pytest.approx(0.12)


def test_a_very_long_network_has_a_picture_that_can_be_drawn():
    width, height = inspected(*(layer_named(f"conv{index}") for index in range(10_000))).inches
    assert (width, height) == (7.16, 200)
    assert height * 250 < 2**16


def test_the_caption_names_the_network():
    one = inspected(layer_named("a"))
    assert replace(one, inspection=replace(one.inspection, batch=3)).caption.startswith("net, batch 3: ")
