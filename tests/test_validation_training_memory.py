"""Rows of the table of training memory: what passes, what is outside and why."""

import pytest

from archmodel import validation
from archmodel.exchange import read_network
from archmodel.training import STUDY, training_graph
from archmodel.training.devices import open_device
from archmodel.training.step_times import workspace_of
from archmodel.validation import Check
from archmodel.validation.training_memory import DEVICE, GIB, NETWORKS, measure_training_memory

ROWS = {row.id: row for row in validation.published_table("training_memory").rows}
OURS, _ = measure_training_memory()


def test_bytes_and_baselines_of_the_study_are_met():
    judged = {name: Check("training_memory", row, OURS[name]).verdict for name, row in ROWS.items()}
    assert {name for name, verdict in judged.items() if verdict == "pass"} == {
        *(name for name in ROWS if name.startswith("caffe")),
        "baseline.vgg16.128",
        "baseline.vgg16.256",
        "baseline.vgg416.32",
        "workspace.vgg16.128",
        "workspace.vgg16.256",
        "workspace.vgg416.32",
        "workspace.too_large",
    }
    assert not {name for name, verdict in judged.items() if verdict not in ("pass", "-")}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind == "identity"])
def test_a_byte_more_fails(name):
    assert type(OURS[name]) is int
    assert Check("training_memory", ROWS[name], OURS[name] + 1).verdict == "FAIL"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.kind == "gate"])
def test_the_gates_are_one_percent_wide(name):
    assert Check("training_memory", ROWS[name], 1.011 * ROWS[name].published).verdict == "FAIL"
    assert Check("training_memory", ROWS[name], 0.989 * ROWS[name].published).verdict == "FAIL"


@pytest.mark.parametrize(("rule", "count"), [("baseline", 5), ("workspace", 6)])
def test_the_networks_beyond_twelve_gibibytes_are_counted(rule, count):
    beyond = {(name, batch) for name, batch in NETWORKS if OURS[f"{rule}.{name}.{batch}"] > 12}
    assert OURS[f"{rule}.too_large"] == len(beyond) == count
    assert (("vgg16", 128) in beyond) == (rule == "workspace")


def test_one_layer_has_the_workspace_and_the_next_one_would_give_what_the_notes_say():
    """GiB of VGG-16 and of the fastest algorithms; the tensors alone are more than 67 GB in the largest network."""
    network, device = read_network("vgg16"), open_device(DEVICE)
    for batch, most, then in ((256, 9.1, 26.8), (128, 5.0, 13.6)):
        graph = training_graph(network, batch, STUDY, workspace_of(device, network, "performance", STUDY))
        largest = {}
        for one in graph.tensors.values():
            if one.kind == "workspace":
                largest[one.layer] = max(one.num_bytes / GIB, largest.get(one.layer, 0))
        conv1_2 = largest.pop("conv1_2")
        assert conv1_2 == pytest.approx(most, abs=0.05)
        assert OURS[f"workspace.vgg16.{batch}"] == pytest.approx(OURS[f"baseline.vgg16.{batch}"] + conv1_2)
        assert max(largest, key=largest.get) == "conv2_2"
        assert OURS[f"baseline.vgg16.{batch}"] + largest["conv2_2"] == pytest.approx(then, abs=0.05)
    assert OURS["baseline.vgg416.32"] * GIB / 1e9 == pytest.approx(70.1, abs=0.05)


def test_a_second_gradient_map_less_would_miss_the_gate():
    graph = training_graph(read_network("vgg16"), 256, STUDY)
    largest = max(one.num_bytes for one in graph.tensors.values() if one.kind == "gradient_map")
    row = ROWS["baseline.vgg16.256"]
    assert Check("training_memory", row, OURS["baseline.vgg16.256"] - largest / 2**30).verdict == "FAIL"
