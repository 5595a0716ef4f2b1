"""How the rows of the tables of DaDianNao and Cnvlutin follow from the runs behind them."""

import pytest

from archmodel import simulate
from archmodel.validation import cnvlutin
from tests.test_validation import measured


def ours(name):
    return {check.row.id: check.ours for check in measured(name).checks}


def test_the_rows_of_cnvlutin_are_those_of_its_six_networks():
    values, runs = ours("cnvlutin"), measured("cnvlutin").runs
    speedups = []
    for name, run in runs.items():
        assert {layer.kind for layer in run.layers} == {"conv"}
        assert {round(layer.input_density, 2) for layer in run.layers} == {0.56}
        first, *rest = zip(run.layers, run.baseline.layers, strict=True)
        assert first[0].cycles == first[1].cycles
        assert all(layer.cycles <= dense.cycles for layer, dense in rest)
        speedups.append(run.speedup)
        assert values[f"speedup.{name}"] == pytest.approx(run.speedup)
    assert len(speedups) == 6
    assert values["mean"] == pytest.approx(sum(speedups) / 6)
    assert (values["least"], values["most"]) == pytest.approx((min(speedups), max(speedups)))
    assert values["mean.expected"] == pytest.approx(values["mean"], rel=0.01)


def test_energy_of_cnvlutin_is_without_dram():
    values, runs = ours("cnvlutin"), measured("cnvlutin").runs
    saved = []
    for run in runs.values():
        spent, dense = (
            sum(sum(layer.energy_pj.values()) - layer.energy_pj["dram"] for layer in one.layers)
            for one in (run, run.baseline)
        )
        saved.append((dense / spent, run.speedup))
    assert values["energy"] == pytest.approx(sum(ratio for ratio, _ in saved) / 6)
    assert values["edp"] == pytest.approx(sum(ratio * speedup for ratio, speedup in saved) / 6)
    assert values["ed2p"] == pytest.approx(sum(ratio * speedup**2 for ratio, speedup in saved) / 6)


def test_the_pruned_share_lies_between_those_that_were_run(monkeypatch):
    def gains(option):
        return 2.0 + 2 * float(option.removeprefix("pruning.share="))

    monkeypatch.setattr(cnvlutin, "expected_mean", gains)
    assert cnvlutin.pruned_share(2.0) == pytest.approx(100 * (cnvlutin.PRUNING_GAIN - 1))


def test_fc7_runs_at_the_clock_of_a_node():
    values = ours("dadiannao")
    assert values["fc7"] == pytest.approx(606e6 / 4105)  # 16 passes over 256 bricks, the pipeline, a cycle of fill
    run = simulate("dadiannao", "alexnet", layers="fc7", fidelity="statistical")
    assert 1 / run.time_s < values["fc7"]  # where inputs come from DRAM
