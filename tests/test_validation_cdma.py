"""Rows of the table of the compressing DMA engine: what passes, what is outside and why."""

import pytest

from archmodel import validation
from archmodel.training import STUDY, training_graph
from archmodel.training.map_densities import STAGES, TrainedDensities, load_profile
from archmodel.validation import Check
from archmodel.validation.cdma import CODECS, NETWORKS, measure_cdma, ratio, read_network, share_of_zeros

ROWS = {row.id: row for row in validation.published_table("cdma").rows}


@pytest.fixture(scope="module")
def ours():
    return measure_cdma()[0]


def test_the_formula_and_the_bands(ours):
    assert set(ours) == set(ROWS)
    judged = {name: Check("cdma", row, ours[name]).verdict for name, row in ROWS.items()}
    assert {name for name, verdict in judged.items() if verdict == "outside"} == {"zeros.alexnet"}
    assert "FAIL" not in judged.values()
    assert all(judged[name] == "pass" for name, row in ROWS.items() if row.kind in ("gate", "identity"))


def test_the_gates_can_fail(ours):
    for name in ("zvc.353", "zvc.0412", "buffer"):
        assert Check("cdma", ROWS[name], 1.01 * ours[name]).verdict == "FAIL"
    assert Check("cdma", ROWS["zvc.none"], 31).verdict == "FAIL"


def test_means_are_of_the_networks(ours):
    assert ours["ratio.average"] == pytest.approx(sum(ours[f"ratio.zvc.{name}"] for name in NETWORKS) / 6)
    for codec in ("rle", "zlib"):
        mean = sum(ours[f"ratio.{codec}.{name}"] for name in NETWORKS) / 6
        assert ours[f"ratio.{codec}.NCHW"] == pytest.approx(mean)
        assert ours[f"ratio.{codec}.NCHW"] > ours[f"ratio.{codec}.CHWN"] > ours[f"ratio.{codec}.NHWC"]
    assert set(CODECS) == {"zvc", "rle", "zlib"}


def test_zeros_are_weighed_by_words():
    network = read_network("vgg16")
    graph = training_graph(network, 4, STUDY)
    share, most = share_of_zeros(network, graph)
    profile = load_profile("u_shape")
    trained = TrainedDensities.of(network, 0.5)
    total = nonzero = 0.0
    for stage in STAGES:
        density = trained.at(network, profile, stage)
        for layer in network.layers:
            if layer.kind in ("pool", "softmax") or layer.name in ("fc8",):
                last = layer.name
            elif layer.kind in ("conv", "fc"):
                last = layer.name.replace("conv", "relu").replace("fc", "drop")
            else:
                continue
            total += layer.output_words
            nonzero += layer.output_words * density[last]
    assert share == pytest.approx(100 * (1 - nonzero / total))
    assert most == pytest.approx(100 * (1 - 0.7 * 0.14188058), abs=3)  # conv5_3 or behind a dropout
    assert ratio("cdma_zvc", network, graph) == pytest.approx(1 / (1 - share / 100 + 1 / 32), rel=1e-3)
