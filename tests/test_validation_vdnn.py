"""Rows of the table of virtualized memory: what passes, what is outside and why."""

import pytest

from archmodel import validation
from archmodel.accelerators.measured_times import load_measured
from archmodel.validation import Check
from archmodel.validation.training_memory import NETWORKS
from archmodel.validation.vdnn import measure_vdnn, measured_network

ROWS = {row.id: row for row in validation.published_table("vdnn").rows}
OURS, _ = measure_vdnn()
GATES = [name for name, row in ROWS.items() if row.kind == "gate"]
PCIE_BYTES_PER_S = 12.8e9


def by_the_rule(name, batch, policy):
    """Performance of a chain: sums of max(time, X / bandwidth), the window by the pseudocode, without archmodel."""
    measured = {row.layer: row for row in load_measured() if row.network == name}
    layers = [layer for layer in measured_network(name).layers if layer.name in measured]
    x_s = [4 * batch * layer.C * layer.H * layer.W / PCIE_BYTES_PER_S for layer in layers]
    away = [layer.kind == "conv" or (policy == "all" and layer.kind == "pool") for layer in layers]
    total_s = sum(
        max(measured[layer.name].forward_s, x if leaves else 0)
        for layer, x, leaves in zip(layers, x_s, away, strict=True)
    )
    for at in reversed(range(len(layers))):
        beside_s = 0.0
        for above in range(at - 1, -1, -1):
            if away[above]:
                away[above], beside_s = False, x_s[above]
                break
            if layers[above].kind == "conv":
                break
        total_s += max(measured[layers[at].name].backward_s, beside_s)
    return sum(row.forward_s + row.backward_s for row in measured.values()) / total_s


@pytest.mark.parametrize("row", GATES)
def test_measured_layer_times_give_the_rule(row):
    policy, name, batch = row.split(".")
    assert OURS[row] == pytest.approx(by_the_rule(name, int(batch), policy), rel=1e-9)
    assert Check("vdnn", ROWS[row], OURS[row]).verdict == "pass"
    assert Check("vdnn", ROWS[row], OURS[row] - 0.025).verdict == "FAIL"
    assert len(GATES) == 6


def test_six_of_the_ten_networks_need_vdnn():
    fail = [f"{name}.{batch}" for name, batch in NETWORKS if not OURS[f"trains.none.{name}.{batch}"]]
    assert fail == ["vgg16.128", "vgg16.256", "vgg116.32", "vgg216.32", "vgg316.32", "vgg416.32"]
    assert (OURS["trains.none"], OURS["trains.dyn"]) == (4, 10)
    assert OURS["loss.vgg16.128"] == 0  # fits without offloads where tensors share memory
    for name in fail[1:]:
        assert 1 < OURS[f"loss.{name}"] < 26


def test_what_is_outside_its_band():
    outside = {name for name, row in ROWS.items() if Check("vdnn", row, OURS[name]).verdict not in ("pass", "-")}
    assert outside == {"extraction.alexnet_owt.128"}
    assert set(OURS) >= set(ROWS)
