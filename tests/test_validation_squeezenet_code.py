"""The code of the pruned SqueezeNet: our codec, its twin and the released file agree entry by entry."""

import numpy as np
import pytest

from archmodel import validation
from archmodel.exchange import read_network
from archmodel.kernels.compression import run_length_entries
from archmodel.validation import squeezenet_code
from archmodel.validation.published import csv_rows
from archmodel.validation.squeezenet_code import LAYERS_FILE, LONGEST_RUN, NET, weight_mask
from tests.reference.run_length import stored_positions

ROWS = csv_rows(LAYERS_FILE)
NETWORK = read_network(NET)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["layer"])
def test_a_layer_has_the_shape_and_the_code_of_the_file(row):
    layer = NETWORK.layer(row["layer"])
    assert layer.weight_shape == tuple(int(row[letter]) for letter in "KCRS")
    assert layer.weight_words == int(row["params"])
    mask = weight_mask(NETWORK, layer)
    _, position = run_length_entries(mask[np.newaxis], LONGEST_RUN)
    assert position.tolist() == stored_positions(mask.tolist(), LONGEST_RUN)
    assert int(np.diff(position, prepend=-1).max()) - 1 == int(row["max_gap"])


def test_the_file_has_every_layer_once_and_its_totals_are_their_sums():
    assert [layer.name for layer in NETWORK.compute_layers] == [row["layer"] for row in ROWS]
    assert len({NETWORK.weight_mask_file(row["layer"]) for row in ROWS}) == len(ROWS) == 26
    totals = {row.id: row.published for row in validation.published_table("squeezenet_code").rows}
    sums = {column: sum(int(row[column]) for row in ROWS) for column in (*squeezenet_code.QUANTITIES, "params")}
    assert {column: totals[column] for column in squeezenet_code.QUANTITIES} | {"params": totals["weights"]} == sums
    for row in ROWS:
        assert int(row["stored_entries"]) == int(row["nonzero"]) + int(row["padding_entries"])


def missed():
    return {check.row.id for check in validation.validate("squeezenet_code").checks if check.verdict == "FAIL"}


def test_a_code_of_three_bits_is_missed_wherever_a_run_is_longer(monkeypatch):
    monkeypatch.setattr(squeezenet_code, "LONGEST_RUN", 2**3 - 1)
    longer = [f"{row['layer']}." for row in ROWS if int(row["max_gap"]) > 2**3 - 1]
    expected = {f"{name}{column}" for name in [*longer, ""] for column in ("stored_entries", "padding_entries")}
    assert missed() == expected


def test_one_weight_more_is_missed_in_its_layer_and_in_the_totals(monkeypatch):
    def with_one_more(network, layer):
        mask = weight_mask(network, layer).copy()
        if layer.name == "conv1":
            mask[np.flatnonzero(mask == 0)[0]] = 1
        return mask

    monkeypatch.setattr(squeezenet_code, "weight_mask", with_one_more)
    assert missed() == {"conv1.nonzero", "conv1.stored_entries", "nonzero", "stored_entries"}


def test_a_layer_less_is_missed_in_the_totals(monkeypatch):
    class WithoutConv1:
        compute_layers = NETWORK.compute_layers[1:]
        weight_mask_file = staticmethod(NETWORK.weight_mask_file)

    monkeypatch.setattr(squeezenet_code, "read_network", lambda name: WithoutConv1)
    values, _ = squeezenet_code.measure_squeezenet_code()
    assert values["weights"] == 1_244_448 - 14_112
    assert values["nonzero"] == 415_921 - 13_902
    assert values["density"] == pytest.approx((415_921 - 13_902) / (1_244_448 - 14_112))
