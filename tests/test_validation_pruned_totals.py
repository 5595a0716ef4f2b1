"""Weights that pruning to the published densities leaves, beside the totals of Han et al."""

import pytest

from archmodel import validation
from archmodel.exchange import read_network
from archmodel.validation import Check, pruned_totals
from archmodel.validation.pruned_totals import num_nonzeros_left

ROWS = {row.id: row for row in validation.published_table("pruned_totals").rows}
# 84, 38, 35, 37, 37, 9, 9 and 25 %; 58, 22, 34, 36, 53, 24, 42, 32, 27, 34, 35, 29, 36, 4, 4 and 23 % of the weights:
# Han et al., NIPS 2015, Tables 4 and 5 (recalled), multiplied with the shapes by hand.
WHOLE_PERCENTS = {"alexnet": 6_796_192, "vgg16": 10_532_392}


@pytest.mark.parametrize("net", ["alexnet", "vgg16"])
def test_the_published_totals_are_left(net):
    ours = num_nonzeros_left(net)
    assert Check("pruned_totals", ROWS[net], ours).verdict == "pass"
    assert ours == pytest.approx(WHOLE_PERCENTS[net], rel=0.005)
    assert ROWS[net].tolerance == {"alexnet": 0.02, "vgg16": 0.05}[net]


@pytest.mark.parametrize("net", ["alexnet", "vgg16"])
def test_half_a_percent_of_the_largest_layer_is_the_reason_of_the_band(net):
    half = 0.005 * read_network(net).layer("fc6").weight_words / ROWS[net].published
    assert f"{half:.1%}".replace("%", " %") in ROWS[net].reason
    assert ROWS[net].tolerance <= half + 0.0005


def test_a_profile_with_another_density_of_the_largest_layer_is_missed(monkeypatch):
    stated = pruned_totals.profile
    monkeypatch.setattr(pruned_totals, "profile", lambda network: stated(network) | {"fc6": 0.1})
    assert Check("pruned_totals", ROWS["alexnet"], num_nonzeros_left("alexnet")).verdict == "FAIL"
