"""Rows of the table of the compressing DMA engine: what passes, what is outside and why."""

import pytest

from archmodel import validation
from archmodel.exchange import read_network
from archmodel.training import STUDY, training_graph
from archmodel.training.compressing_dma import load_dma
from archmodel.training.dma import PlainDma
from archmodel.training.map_densities import STAGES, TrainedDensities, load_profile
from archmodel.training.policies import load_policy
from archmodel.training.systems import load_system
from archmodel.training.virtualization import virtualize
from archmodel.validation import Check
from archmodel.validation.cdma import (
    CODECS,
    NETWORKS,
    SYSTEMS,
    loss_and_gain,
    measure_cdma,
    ratio,
    share_of_zeros,
)

ROWS = {row.id: row for row in validation.published_table("cdma").rows}


@pytest.fixture(scope="module")
def ours():
    return measure_cdma()[0]


def test_the_formula_and_the_bands(ours):
    assert set(ours) == set(ROWS)
    judged = {name: Check("cdma", row, ours[name]).verdict for name, row in ROWS.items()}
    assert {name for name, verdict in judged.items() if verdict == "outside"} == {"zeros.alexnet", "gain.hpca.most"}
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


@pytest.mark.parametrize("system", SYSTEMS.values())
def test_a_gain_is_no_more_than_the_ratio_and_than_the_loss(system):
    network = read_network("squeezenet")
    graph = training_graph(network, NETWORKS["squeezenet"], STUDY)
    loss, gain = loss_and_gain(load_system(system), network, graph)
    assert 0 < gain < 100 * (1 / (1 - loss / 100) - 1)  # the oracle's gain over vDNN
    assert gain < 100 * (ratio("cdma_zvc", network, graph) - 1)


def test_an_engine_that_fetches_no_faster_than_the_link_gains_nothing():
    system, network = load_system("titanx_pcie3"), read_network("alexnet")
    graph = training_graph(network, 256, STUDY)

    def seconds(dma):
        iteration = virtualize(
            network, 256, device=system.device, link=system.link, policy=load_policy("vdnn_all"), choices=STUDY, dma=dma
        )
        return iteration.timeline.iteration_s

    def engine(buffer_bytes):
        return load_dma("cdma_zvc", network, graph, assignments=(f"buffer_bytes={buffer_bytes}",))

    plain, slowest_link_bytes_per_s = seconds(PlainDma()), 12.9e9
    held = round(slowest_link_bytes_per_s * 350e-9)
    assert seconds(engine(held)) == pytest.approx(plain, rel=0.01)
    times = [seconds(engine(held * times)) for times in (1, 2, 3, 16)]
    assert times == sorted(times, reverse=True)
    assert times[-1] < 0.8 * plain
    assert seconds(engine(70_000)) == pytest.approx(times[-1])  # beyond the ratio the fetch is never the limit


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
