"""Totals of networks beside the published ones: which kind a row is, and that a wrong total or network is missed."""

import dataclasses

import pytest

from archmodel import config, validation
from archmodel.exchange import read_network
from archmodel.network import PublishedTotal
from archmodel.validation import Check, network_totals
from archmodel.validation.network_totals import row_of_total

ROWS = validation.published_table("network_totals").rows
JUDGED = [row for row in ROWS if row.kind != "report"]


def total(number=724_000_000, provenance="primary", **stated):
    return PublishedTotal(total=number, provenance=provenance, source="a paper", **stated)


def test_every_published_total_is_a_row_with_its_source():
    stated = [f"{name}.{quantity}" for name in config.names("workloads") for quantity in read_network(name).published]
    assert [row.id for row in ROWS] == stated
    assert len(ROWS) > 50
    for row in ROWS:
        provenance, _, source = row.provenance.partition(", ")
        assert provenance in ("primary", "transcribed", "computed", "recalled")
        assert source not in ("", "None")


def test_no_published_total_is_missed():
    checks = validation.validate("network_totals").checks
    assert {check.row.id for check in checks if check.verdict != "pass"} == {
        row.id for row in ROWS if row.kind == "report"
    }


@pytest.mark.parametrize(
    ("published", "kind", "limits"),
    [
        (total(), "gate", (723.5, 724.5)),
        (total(2_293_000, "transcribed"), "gate", (2.2925, 2.2935)),
        (total(695_112_192, "computed"), "identity", (695.112192, 695.112192)),
        (total(695_112_190), "gate", (695.112185, 695.112195)),
        (total(695_112_190, exact=True), "identity", (695.11219, 695.11219)),
        (total(provenance="recalled"), "band", (723.5, 724.5)),
        (total(695_112_192, "recalled"), "band", (695.1121915, 695.1121925)),
        (total(difference="a proxy"), "report", None),
        (total(695_112_192, "recalled", difference="a proxy"), "report", None),
    ],
    ids=str,
)
def test_the_digits_and_the_provenance_of_a_total_make_its_row(published, kind, limits):
    row = row_of_total("net", "macs", published)
    assert row.kind == kind
    assert row.limits == (None if limits is None else pytest.approx(limits, rel=1e-12))
    assert (row.id, row.what, row.provenance) == ("net.macs", "net, M MACs", f"{published.provenance}, a paper")
    assert row.reason == (published.difference or network_totals.REASONS[kind])


def test_bytes_are_rounded_to_the_mib_and_parameters_are_counts():
    assert row_of_total("net", "parameters_mib", total(393)).limits == (392.5, 393.5)
    assert row_of_total("net", "parameters_mib", total(393)).kind == "gate"
    assert row_of_total("net", "parameters", total(393)).limits == (393, 393)
    assert row_of_total("net", "parameters", total(267_000)).limits == (266_500, 267_500)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "bert_base"])
def test_totals_are_sums_over_the_layers(name):
    network = read_network(name)
    totals = network.totals
    assert totals["parameters"] == sum(layer.parameters for layer in network.layers)
    assert totals["macs"] == sum(layer.macs for layer in network.layers)
    assert totals["conv_macs"] == sum(layer.macs for layer in network.layers if layer.kind == "conv")
    assert totals["parameters_mib"] * 1024 * 1024 == 4 * totals["parameters"]


@pytest.mark.parametrize("row", JUDGED, ids=lambda row: row.id)
def test_a_network_whose_total_is_twice_the_published_one_is_missed(row):
    assert Check("network_totals", row, 2 * row.published).verdict == ("outside" if row.kind == "band" else "FAIL")


def test_a_network_that_loses_a_layer_is_missed(monkeypatch):
    whole = read_network("alexnet_owt")
    gone = ("fc8", "prob")
    cut = dataclasses.replace(
        whole,
        layers=tuple(layer for layer in whole.layers if layer.name not in gone),
        zeros={name: zeros for name, zeros in whole.zeros.items() if name not in gone},
    )
    monkeypatch.setattr(network_totals, "read_network", lambda name: cut)
    monkeypatch.setattr(config, "names", lambda kind: ["alexnet_owt"])
    values, runs = network_totals.measure_network_totals()
    verdicts = {row.id: Check("t", row, values[row.id]).verdict for row in network_totals.rows_of_networks()}
    assert verdicts == {"alexnet_owt.parameters": "FAIL", "alexnet_owt.macs": "FAIL"}
    assert runs == {}


def reported(quantity):
    return {row.id.partition(".")[0]: row for row in ROWS if row.kind == "report" and row.id.endswith(f".{quantity}")}


def test_the_auxiliary_classifiers_make_the_difference_of_googlenet():
    """Each: a 1x1 convolution to 128 channels, 4 x 4 of them to 1,024 to 1,000; from 512 and 528 channels."""
    auxiliary = sum((C + 1) * 128 + (128 * 16 + 1) * 1024 + 1025 * 1000 for C in (512, 528))
    assert auxiliary == 6_379_728
    published = reported("parameters_mib")["googlenet"].published
    assert round(4 * (read_network("googlenet").parameters + auxiliary) / 2**20) == published


def test_running_means_and_variances_make_the_difference_of_the_resnets():
    rows = {name: row for name, row in reported("parameters_mib").items() if name != "googlenet"}
    assert rows.keys() == {"resnet50", "resnet101", "resnet152"}
    for name, row in rows.items():
        network = read_network(name)
        moments = sum(2 * layer.K for layer in network.layers if layer.kind == "norm")
        assert round(4 * (network.parameters + moments) / 2**20) == row.published


def test_the_proxies_have_the_weights_that_they_were_chosen_for():
    rows = reported("parameters")
    assert rows.keys() == {name for name in config.names("workloads") if name.startswith("tpu_")}
    for name, row in rows.items():
        rounding = read_network(name).published["parameters"].rounding
        assert abs(read_network(name).parameters - row.published) <= rounding
