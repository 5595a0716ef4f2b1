"""Values of the table of Cambricon-X follow from its runs."""

import functools

import pytest

from archmodel import validation
from archmodel.validation.cambricon_x import OTHERS, PRUNED


@functools.cache
def measured():
    return validation.validate("cambricon_x")


def test_ratios_follow_from_the_runs():
    runs, ours = measured().runs, {check.row.id: check.ours for check in measured().checks}
    speedups, energies, on_chip = [], [], []
    for net in (*PRUNED, *OTHERS):
        document = runs[net].as_dict()
        dense = document["baseline"]
        speedups.append(document["speedup"])
        energies.append(dense["totals"]["energy_pj"] / document["totals"]["energy_pj"])
        without = [
            part["totals"]["energy_pj"] - part["totals"]["energy_by_component_pj"]["dram"] for part in (dense, document)
        ]
        on_chip.append(without[0] / without[1])
        assert (ours[f"speedup.{net}"], ours[f"energy.{net}"]) == pytest.approx((speedups[-1], energies[-1]))
        for kind in ("conv", "fc"):
            times = [
                sum(layer["time_s"] for layer in part["layers"] if layer["kind"] == kind) for part in (dense, document)
            ]
            assert (f"speedup.{kind}.{net}" in ours) == (times[1] > 0)
            if times[1]:
                assert ours[f"speedup.{kind}.{net}"] == pytest.approx(times[0] / times[1])
    num = len(PRUNED)
    assert ours["speedup.mean"] == pytest.approx(sum(speedups[:num]) / num)
    assert ours["energy.mean"] == pytest.approx(sum(energies[:num]) / num)
    assert ours["energy.mean.on_chip"] == pytest.approx(sum(on_chip[:num]) / num)


def test_every_layer_of_the_study_gains_less_than_its_zeros_allow():
    for run in measured().runs.values():
        for layer, dense in zip(run.layers, run.baseline.layers, strict=True):
            assert layer.macs_effectual == dense.macs_effectual
            assert layer.macs_issued < dense.macs_issued


def test_power_is_energy_over_time_and_the_machines_have_the_peaks_of_their_units():
    run, ours = measured().runs["alexnet"], {check.row.id: check.ours for check in measured().checks}
    for name, one in (("cambricon_x", run), ("diannao", run.baseline)):
        convolutions = [layer for layer in one.as_dict()["layers"] if layer["kind"] == "conv"]
        picojoules = sum(layer["energy_pj"] - layer["energy_by_component_pj"]["dram"] for layer in convolutions)
        watts = picojoules * 1e-12 / sum(layer["time_s"] for layer in convolutions)
        assert ours[f"power.{name}"] == pytest.approx(1e3 * watts)
    assert ours["peak.cambricon_x"] == pytest.approx(16 * (16 + 16))
    assert ours["peak.diannao"] == pytest.approx(0.98 * (256 + 16 * 15))
    areas = [sum(one.area_mm2.values()) for one in (run, run.baseline)]
    assert [ours["area.cambricon_x"], ours["area.diannao"]] == pytest.approx(areas)
    assert ours["area.ratio"] == pytest.approx(areas[0] / areas[1])
