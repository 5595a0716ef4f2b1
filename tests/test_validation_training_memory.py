"""Rows of the table of training memory: what passes, what is outside and why."""

import pytest

from archmodel import validation
from archmodel.exchange import read_network
from archmodel.training import STUDY, training_graph
from archmodel.validation import Check
from archmodel.validation.training_memory import NETWORKS, measure_training_memory

ROWS = {row.id: row for row in validation.published_table("training_memory").rows}
OURS, _ = measure_training_memory()


def test_bytes_and_baselines_of_the_study_are_met():
    judged = {name: Check("training_memory", row, OURS[name]).verdict for name, row in ROWS.items()}
    assert {name for name, verdict in judged.items() if verdict == "pass"} == {
        *(name for name in ROWS if name.startswith("caffe")),
        "baseline.vgg16.128",
        "baseline.vgg16.256",
        "baseline.vgg416.32",
    }
    assert {name for name, verdict in judged.items() if verdict == "outside"} == {"baseline.too_large"}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind == "identity"])
def test_a_byte_more_fails(name):
    assert type(OURS[name]) is int
    assert Check("training_memory", ROWS[name], OURS[name] + 1).verdict == "FAIL"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind == "gate"])
def test_the_gates_are_one_percent_wide(name):
    assert Check("training_memory", ROWS[name], 1.011 * ROWS[name].published).verdict == "FAIL"
    assert Check("training_memory", ROWS[name], 0.989 * ROWS[name].published).verdict == "FAIL"


def test_the_networks_beyond_twelve_gibibytes_are_counted():
    beyond = [name for name, batch in NETWORKS if OURS[f"baseline.{name}.{batch}"] > 12]
    assert OURS["baseline.too_large"] == len(beyond) == 5
    assert OURS["baseline.vgg16.256.gb"] == pytest.approx(OURS["baseline.vgg16.256"] * 1.073741824)


def test_a_second_gradient_map_less_would_miss_the_gate():
    graph = training_graph(read_network("vgg16"), 256, STUDY)
    largest = max(one.num_bytes for one in graph.tensors.values() if one.kind == "gradient_map")
    row = ROWS["baseline.vgg16.256"]
    assert Check("training_memory", row, OURS["baseline.vgg16.256"] - largest / 2**30).verdict == "FAIL"
