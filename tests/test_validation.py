"""The published tables: every row measured, verdicts two-sided, and the tables themselves, one test a row."""

import dataclasses
import functools
import json
import math
import os
import re
import sys

import pytest
from pydantic import ValidationError

import archmodel
from archmodel import config, simulate, validation
from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.registry import load_machine
from archmodel.cli import main
from archmodel.errors import ConfigError, ResultError
from archmodel.validation import Check, PublishedRow, PublishedTable, Validation, cambricon_x, scnn, scnn_energy
from archmodel.validation.published import csv_rows
from archmodel.views.comparison import check_folder, comparison, shown_limits, write_comparison

TABLES = {name: validation.published_table(name) for name in config.names("published")}


@functools.cache
def measured(name):
    """A table measured once for all tests of it: about 15 s for the study of SCNN."""
    return validation.validate(name)


# The tables


@pytest.mark.parametrize(("table", "row"), [(name, row.id) for name, table in TABLES.items() for row in table.rows])
def test_published(table, row):
    check = next(check for check in measured(table).checks if check.row.id == row)
    assert math.isfinite(check.ours)
    assert check.verdict != "FAIL", (check.row.what, check.row.limits, check.ours)
    if check.row.kind in ("gate", "identity"):
        low, high = check.row.limits
        assert low <= check.ours <= high


@pytest.mark.parametrize("name", TABLES)
def test_every_row_states_its_ground_and_is_measured_once(name):
    rows = TABLES[name].rows
    assert len({row.id for row in rows}) == len(rows)
    assert {row.id for row in rows} == (set(validation.MEASURES[name]()[0]) if name == "dnnsim" else row_ids(name))
    for row in rows:
        assert row.reason
        assert row.provenance or row.published is None
        assert "|" not in f"{row.what}{row.provenance}{row.reason}"  # it would break the written table


def row_ids(name):
    return {check.row.id for check in measured(name).checks}


def test_every_table_has_a_measure():
    assert validation.tables() == sorted(validation.MEASURES) == sorted(TABLES)


def test_the_runs_of_the_study_are_its_rows():
    runs = measured("scnn").runs
    for name in ("alexnet", "vgg16", "googlenet"):
        rows = {
            row["layer"].removeprefix("ALEX_").removeprefix("VGG_").replace("-", "/"): row
            for row in csv_rows("scnn_layers.csv")
            if row["net"] == name
        }
        layers = {layer.name: layer for layer in runs[name].layers}
        assert layers.keys() == rows.keys()
        for key, row in rows.items():
            R, S, P, Q, C, K, nonzeros = (int(row[column]) for column in ("R", "S", "P", "Q", "C", "K", "w_nnz"))
            assert layers[key].macs_dense == R * S * P * Q * C * K
            assert layers[key].weight_density == nonzeros / (R * S * C * K)
            assert layers[key].input_density == pytest.approx(float(row["ia_density"]), abs=1e-4)
        assert runs[name].baseline is not None


def test_values_of_the_study_follow_from_its_runs():
    runs, ours = measured("scnn").runs, {check.row.id: check.ours for check in measured("scnn").checks}
    speedups = [runs[name].baseline.cycles / runs[name].cycles for name in ("alexnet", "vgg16", "googlenet")]
    assert ours["speedup.vgg16"] == pytest.approx(speedups[1])
    assert ours["speedup.mean"] == pytest.approx(sum(speedups) / 3)
    tiled = {name: [x.name for x in runs[name].layers if x.details["tiled_through_dram"]] for name in runs}
    assert ours["tiled.vgg16"] == len(tiled["vgg16"])
    assert ours["tiled.layers"] == len(tiled["alexnet"] + tiled["vgg16"] + tiled["googlenet"])
    assert isinstance(ours["tiled.layers"], int)
    conflicts = [
        runs[name].stack["bank_conflict"] / runs[name].total("slots") for name in ("alexnet", "vgg16", "googlenet")
    ]
    assert ours["bank_conflict.most"] == pytest.approx(100 * max(conflicts))
    for name in ("alexnet", "vgg16", "googlenet"):
        assert ours[f"oracle.{name}"] == pytest.approx(
            sum(math.ceil(layer.macs_effectual / 1024) for layer in runs[name].layers) / runs[name].cycles
        )
        assert ours[f"oracle.{name}"] < 1


@pytest.mark.parametrize("rule", ["published", "accumulator"])
def test_the_density_sweep_runs_both_operands_under_its_rule(rule):
    runs, ours = measured("scnn").runs, {check.row.id: check.ours for check in measured("scnn").checks}
    for name, density in (("dense", 1.0), ("sparse", 0.1)):
        run = runs[f"{name}_{rule}"]
        assert run.config["accelerator"]["pe"]["Kc"] == rule
        assert ours[f"{name}.{rule}"] == pytest.approx(run.speedup)
        assert [layer.name for layer in run.layers] == [layer.name for layer in runs["googlenet"].layers]
        for layer in run.layers:
            assert layer.weight_density == pytest.approx(density, abs=0.001)
            assert layer.input_density == pytest.approx(density, abs=0.001)


def test_the_shares_of_the_tpu_are_those_of_its_runs():
    runs, ours = measured("tpu_v1").runs, {check.row.id: check.ours for check in measured("tpu_v1").checks}
    assert [run.batch for run in runs.values()] == [200, 168, 64, 96, 8, 32]
    for app, run in runs.items():
        stalls = run.as_dict()["totals"]["stalls"]
        active = stalls["busy"] + stalls["stored_zero"] + stalls["fragmentation"]
        matrix = active + stalls["weight_stall"] + stalls["tile_shift"]
        assert ours[f"{app}.tops"] == pytest.approx(2 * run.total("macs_dense") / run.time_s / 1e12)
        assert sum(ours.get(f"{app}.{part}", math.nan) for part in ("active", "stall", "shift")) == pytest.approx(100)
        assert ours[f"{app}.active"] == pytest.approx(100 * active / matrix)
        assert ours[f"{app}.shift"] == pytest.approx(100 * stalls["tile_shift"] / matrix)
        roofline = min(91.7504, 2 * 0.034 * ours[f"{app}.intensity"])
        assert ours[f"{app}.roofline"] == pytest.approx(ours[f"{app}.tops"] / roofline)
    assert ours["mlp0.useful"] == pytest.approx(100 * (2000 / 2048) ** 2)
    assert ours["mlp0.per_s.200"] == pytest.approx(200 / runs["mlp0"].time_s)
    assert ours["mlp0.per_s.200"] < ours["mlp0.per_s.250"] < 250 / 200 * ours["mlp0.per_s.200"]


@pytest.mark.parametrize("true_density", [0.55, 0.74, 0.9])
def test_the_crossover_is_found_by_halving(monkeypatch, true_density):
    asked = []

    def speedup_at(density, rule):
        asked.append(rule)
        return dataclasses.replace(
            RUN, baseline=dataclasses.replace(RUN, clock_hz=RUN.clock_hz * density / true_density)
        )

    monkeypatch.setattr(scnn, "at_density", speedup_at)
    assert scnn.crossover("accumulator") == pytest.approx(true_density, abs=0.004)
    assert set(asked) == {"accumulator"}


RUN = simulate("scnn", "lenet5", layers="ip2", baseline="dcnn")


def energies(name):
    return {check.row.id: check.ours for check in measured(name).checks}


def test_the_one_fitted_number_is_what_the_fit_gives():
    dense = measured("scnn_energy").runs["dense"]
    stated = dense.config["accelerator"]["pe"]["scatter_energy_calibration"]
    assert scnn_energy.fitted_calibration(dense) == pytest.approx(stated, abs=0.00006)  # stated to four digits
    assert energies("scnn_energy")["dense"] == pytest.approx(scnn_energy.DENSE_RATIO, abs=1e-4)


def test_without_the_fit_the_scatter_network_costs_what_the_library_says():
    net, rows = scnn.STUDY_ROWS["googlenet"]
    stated = {"weights": "density=1.0", "activations": "density=1.0", "layers": rows}
    plain = simulate("scnn", net, baseline="dcnn", assignments=("pe.scatter_energy_calibration=1.0",), **stated)
    ours = scnn_energy.spent(plain) / scnn_energy.spent(plain.baseline)
    assert energies("scnn_energy")["dense.uncalibrated"] == pytest.approx(ours)
    assert scnn_energy.uncalibrated(plain) == pytest.approx(scnn_energy.spent(plain))


def test_energies_of_the_study_follow_from_its_runs():
    runs, ours = measured("scnn_energy").runs, energies("scnn_energy")
    names = ("alexnet", "vgg16", "googlenet")
    totals = {name: runs[name].as_dict() for name in names}
    gains = {
        name: one["baseline"]["totals"]["energy_pj"] / one["totals"]["energy_pj"] for name, one in totals.items()
    }
    assert {name: ours[f"scnn.{name}"] for name in names} == pytest.approx(gains)
    assert ours["scnn.mean"] == pytest.approx(sum(gains.values()) / 3)
    assert ours["opt.mean"] == pytest.approx(sum(ours[f"opt.{name}"] for name in names) / 3)
    by_layer = [
        dense["energy_pj"] / layer["energy_pj"]
        for one in totals.values()
        for layer, dense in zip(one["layers"], one["baseline"]["layers"], strict=True)
    ]
    assert (ours["layer.least"], ours["layer.most"]) == pytest.approx((min(by_layer), max(by_layer)))
    area = sum(runs["vgg16"].area_mm2.values())
    assert (ours["area.scnn"], 64 * ours["area.pe"]) == pytest.approx((area, area))


def test_areas_of_a_pe_are_those_of_its_parts():
    ours, area = energies("scnn_energy"), load_machine("scnn").area_mm2
    assert ours["area.multipliers"] == pytest.approx(area["multipliers"] / 64)
    assert ours["area.scatter"] == pytest.approx((area["crossbar"] + area["bank_queues"]) / 64)
    memories = area["iaram"] + area["oaram"] + area["accumulators"]
    assert ours["area.memories"] == pytest.approx(memories / sum(area.values()))
    assert ours["area.dcnn"] == pytest.approx(sum(load_machine("dcnn").area_mm2.values()))


def test_energies_at_a_density_follow_from_its_runs():
    runs, ours = measured("scnn_energy").runs, energies("scnn_energy")
    for name in ("dense", "sparse"):
        assert ours[name] == pytest.approx(scnn_energy.spent(runs[name]) / scnn_energy.spent(runs[name].baseline))
    assert [runs[name].layers[0].input_density for name in ("dense", "sparse")] == pytest.approx([1.0, 0.1], abs=0.001)
    both, weights_only = (scnn_energy.at_density(0.4, arch)[0] for arch in ("scnn", "scnn_sparse_w"))
    assert ours["sparse_w"] == pytest.approx(scnn_energy.spent(weights_only) / scnn_energy.spent(both))


@pytest.mark.parametrize("density", [0.1, 1.0])
def test_the_energy_sweep_runs_both_operands_on_the_rows_of_the_study(density):
    over_dcnn, optimized = scnn_energy.at_density(density)
    names = [layer.name for layer in measured("scnn_energy").runs["googlenet"].layers]
    for run in (over_dcnn, over_dcnn.baseline, optimized):
        assert [layer.name for layer in run.layers] == names
        for layer in run.layers:
            assert layer.weight_density == pytest.approx(density, abs=0.001)
            assert layer.input_density == pytest.approx(density, abs=0.001)
    assert (over_dcnn.arch, over_dcnn.baseline.arch, optimized.arch) == ("scnn", "dcnn", "dcnn_opt")


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([0.5, 0.9, 1.1], 0.8), ([0.5, 1.0, 1.5], 0.7), ([0.2, 0.4, 0.6], math.nan), ([1.1, 1.2, 1.3], math.nan)],
)
def test_energies_cross_between_the_densities(ratios, expected):
    crossing = scnn_energy.crossing((0.5, 0.7, 0.9), ratios)
    assert crossing == pytest.approx(expected, nan_ok=True)


def test_ratios_over_diannao_follow_from_the_runs():
    runs, ours = measured("cambricon_x").runs, energies("cambricon_x")
    speedups, spent, on_chip = [], [], []
    for net in (*cambricon_x.PRUNED, *cambricon_x.OTHERS):
        document = runs[net].as_dict()
        dense = document["baseline"]
        speedups.append(document["speedup"])
        spent.append(dense["totals"]["energy_pj"] / document["totals"]["energy_pj"])
        without = [
            part["totals"]["energy_pj"] - part["totals"]["energy_by_component_pj"]["dram"] for part in (dense, document)
        ]
        on_chip.append(without[0] / without[1])
        assert (ours[f"speedup.{net}"], ours[f"energy.{net}"]) == pytest.approx((speedups[-1], spent[-1]))
        for kind in ("conv", "fc"):
            times = [
                sum(layer["time_s"] for layer in part["layers"] if layer["kind"] == kind) for part in (dense, document)
            ]
            assert (f"speedup.{kind}.{net}" in ours) == (times[1] > 0)
            if times[1]:
                assert ours[f"speedup.{kind}.{net}"] == pytest.approx(times[0] / times[1])
    num = len(cambricon_x.PRUNED)
    assert ours["speedup.mean"] == pytest.approx(sum(speedups[:num]) / num)
    assert ours["energy.mean"] == pytest.approx(sum(spent[:num]) / num)
    assert ours["energy.mean.on_chip"] == pytest.approx(sum(on_chip[:num]) / num)


def test_every_layer_of_the_study_gains_less_than_its_zeros_allow():
    for run in measured("cambricon_x").runs.values():
        for layer, dense in zip(run.layers, run.baseline.layers, strict=True):
            assert layer.macs_effectual == dense.macs_effectual
            assert layer.macs_issued < dense.macs_issued


def test_power_is_energy_over_time_and_the_machines_have_the_peaks_of_their_units():
    run, ours = measured("cambricon_x").runs["alexnet"], energies("cambricon_x")
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


def test_modules_and_types_of_eie_take_the_same_power():
    run, ours = measured("eie").runs["layers"].as_dict(), energies("eie")
    layer = next(layer for layer in run["layers"] if layer["name"] == "Alex-7")
    spent = layer["energy_by_component_pj"]
    milliwatts = (layer["energy_pj"] - spent["dram"]) * 1e-9 / layer["time_s"]
    modules = sum(ours[f"power.{name}"] for name in ("queue", "pointers", "matrix", "arithmetic", "activations"))
    types = sum(ours[f"power.{name}"] for name in ("memory", "registers", "combinational", "clock"))
    assert modules == pytest.approx(types)
    assert types + ours["power.leakage"] == pytest.approx(ours["power.pe"])
    assert 64 * ours["power.pe"] == pytest.approx(milliwatts) == pytest.approx(1e3 * ours["power.machine"])


@pytest.mark.parametrize("row", csv_rows("dnnsim_micro_layers.csv"), ids=lambda row: row["layer"])
def test_a_micro_layer_has_the_seeded_non_zeros(row):
    layer, operands = scnn.dnnsim_layer(row)
    assert operands.weight_nonzeros == int(row["nnz_wgt"])
    assert operands.input_nonzeros == int(row["nnz_act"])
    assert layer.stride == (int(row["stride"]),) * 2
    assert layer.groups == int(row["groups"])


# Rows and verdicts


def row(**stated):
    return PublishedRow(**({"id": "x", "what": "x", "kind": "gate", "reason": "test"} | stated))


def verdict(ours, **stated):
    return Check("test", row(**stated), ours).verdict


@pytest.mark.parametrize(("kind", "miss"), [("gate", "FAIL"), ("band", "outside")])
def test_a_tolerance_is_two_sided(kind, miss):
    stated = {"kind": kind, "published": 2.0, "tolerance": 0.1}
    found = {ours: verdict(ours, **stated) for ours in (1.79, 1.81, 2.0, 2.19, 2.21)}
    assert found == {1.79: miss, 1.81: "pass", 2.0: "pass", 2.19: "pass", 2.21: miss}


@pytest.mark.parametrize(("kind", "miss"), [("gate", "FAIL"), ("band", "outside")])
def test_limits_are_two_sided_and_belong_to_the_band(kind, miss):
    stated = {"kind": kind, "published": 24.0, "low": 14.0, "high": 26.0}
    found = [verdict(ours, **stated) for ours in (13.999, 14.0, 26.0, 26.001)]
    assert found == [miss, "pass", "pass", miss]


def test_an_identity_is_equal_to_the_last_digit():
    assert [verdict(ours, kind="identity", published=33687) for ours in (33686, 33687, 33688)] == [
        "FAIL",
        "pass",
        "FAIL",
    ]


def test_a_tolerance_of_zero_is_a_count():
    assert [verdict(ours, published=9, tolerance=0.0) for ours in (8, 9, 10)] == ["FAIL", "pass", "FAIL"]


def test_a_report_passes_no_judgement():
    assert verdict(1e9, kind="report", published=1.0) == "-"
    assert verdict(1e9, kind="report") == "-"


def test_what_was_fitted_to_is_no_check():
    stated = {"kind": "fitted", "published": 1.33}
    assert [verdict(ours, **stated) for ours in (1.0, 1.33)] == ["-", "-"]
    assert row(**stated).limits is None


def test_rows_that_a_calibration_is_fitted_to_are_called_so():
    fitted = {name: [row for row in TABLES[name].rows if row.kind == "fitted"] for name in TABLES}
    assert {name for name in TABLES if fitted[name]} == {"dram", "links", "scnn_energy", "titanx_times"}
    assert all(re.search("fitted|calibrat|efficiency|sum of", row.reason) for rows in fitted.values() for row in rows)
    rows = {row.id: row for row in fitted["scnn_energy"]}
    assert list(rows) == ["dense"]
    assert rows["dense"].published == scnn_energy.DENSE_RATIO
    assert "pe.scatter_energy_calibration" in rows["dense"].reason


def test_nothing_measured_is_a_miss():
    assert verdict(math.nan, published=2.0, tolerance=0.1) == "FAIL"


def test_the_deviation_is_relative_to_the_published_value():
    assert Check("test", row(published=2.0, tolerance=0.1), 2.5).deviation == 0.25
    assert Check("test", row(published=0.0, low=0.0, high=2.0), 0.5).deviation is None
    assert Check("test", row(kind="report"), 0.5).deviation is None


@pytest.mark.parametrize(
    "stated",
    [
        {"tolerance": 0.1},
        {"published": 2.0},
        {"published": 2.0, "tolerance": 0.1, "low": 1.0, "high": 3.0},
        {"published": 2.0, "low": 1.0},
        {"published": 2.0, "high": 1.0},
        {"published": 2.0, "tolerance": 0.1, "low": 1.0},
        {"published": 2.0, "low": 3.0, "high": 1.0},
        {"kind": "band", "published": 2.0},
        {"kind": "band", "low": 1.0, "high": 3.0},
        {"kind": "identity"},
        {"kind": "fitted"},
        {"kind": "exact", "published": 2.0},
        {"published": 2.0, "tolerance": 1.1},
        {"published": 2.0, "tolerance": -0.1},
        {"published": math.nan, "tolerance": 0.1},
    ],
    ids=str,
)
def test_a_row_without_exactly_one_band_is_refused(stated):
    with pytest.raises(ValidationError):
        row(**stated)


FAILING = [("gate", True), ("identity", True), ("band", False), ("fitted", False), ("report", False)]


@pytest.mark.parametrize(("kind", "failed"), FAILING)
def test_a_missed_gate_or_identity_fails_the_table(kind, failed):
    stated = {"kind": kind, "published": 2.0} | ({"tolerance": 0.1} if kind in ("gate", "band") else {})
    good = Check("test", row(published=1.0, tolerance=0.1), 1.0)
    table = PublishedTable(title="t", citation="c", folder="t", rows=())
    assert Validation("test", table, (good, Check("test", row(**stated), 3.0)), {}).failed is failed
    assert not Validation("test", table, (good,), {}).failed


@pytest.mark.parametrize("name", ["", "scn", "all", "../scnn", "scnn.toml"])
def test_an_unknown_table_is_one_line(name):
    with pytest.raises(ConfigError, match=f"unknown table; allowed: {', '.join(validation.tables())}"):
        validation.validate(name)


# The command


@pytest.fixture
def validate(capsys, monkeypatch, tmp_path):
    """`archmodel validate` in an empty folder: exit code, standard output, standard error."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        code = main.run(["validate", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def quick_study(monkeypatch):
    """The values of the studies without measuring them again, and one small run behind them."""
    for name in ("cambricon_x", "cnvlutin", "eie", "scnn", "scnn_energy"):
        values = {check.row.id: check.ours for check in measured(name).checks}
        monkeypatch.setitem(validation.MEASURES, name, lambda values=values: (values, {"lenet5": RUN}))
        monkeypatch.delitem(validation.FIGURES, name, raising=False)  # they need all runs


def publish(monkeypatch, **values):
    """Other published values than those of the files, by row."""
    load = config.load

    def changed(kind, name, model, *others):
        table = load(kind, name, model, *others)
        if kind != "published":
            return table
        rows = [one.model_copy(update={"published": values.get(one.id, one.published)}) for one in table.rows]
        return table.model_copy(update={"rows": tuple(rows)})

    monkeypatch.setattr(config, "load", changed)


def test_dnnsim_passes(validate):
    code, output, errors = validate("dnnsim")
    assert (code, errors) == (0, "")
    assert "SCNN as DNNsim models it" in output
    assert max(len(line) for line in output.splitlines()) <= 80
    for line in ("33,687   33,687   +0.0%", "1,191    1,191", "identity  pass", "report     -"):
        assert line in output
    assert "…" not in output
    assert "e+" not in output  # an identity accepts its value only


@pytest.mark.parametrize(
    ("missed", "code"),
    [({"m0.cycles": 300}, 0), ({"m0.cycles": 302}, 1), ({"m3.products": 40556}, 1), ({"m2.cycles": 1}, 0)],
    ids=str,
)
def test_the_exit_code_says_whether_a_gate_or_identity_is_missed(validate, monkeypatch, missed, code):
    publish(monkeypatch, **missed)
    assert validate("dnnsim")[0] == code
    document = json.loads(validate("dnnsim", "--json")[1])
    assert document["passed"] is document["tables"][0]["passed"] is (code == 0)


def test_a_missed_band_is_shown_and_does_not_fail(validate, monkeypatch, quick_study):
    load = config.load
    table = load("published", "scnn", PublishedTable)
    narrow = [one.model_copy(update={"low": 99.0, "high": 99.5}) if one.kind == "band" else one for one in table.rows]
    monkeypatch.setattr(config, "load", lambda *arguments: table.model_copy(update={"rows": tuple(narrow)}))
    code, output, _ = validate("scnn")
    assert code == 0
    assert "outside" in output


def test_json_is_one_object_with_every_row(validate):
    code, output, errors = validate("dnnsim", "--json")
    assert (code, errors) == (0, "")
    document = json.loads(output)
    (table,) = document["tables"]
    assert document["passed"] is table["passed"] is True
    assert [one["id"] for one in table["rows"]] == [one.id for one in TABLES["dnnsim"].rows]
    first, second = table["rows"][:2]
    assert first == {
        "id": "m0.products",
        "what": "m0, products of two non-zeros in range",
        "kind": "identity",
        "published": 33687,
        "provenance": "computed",
        "reason": "an identity of any correct model",
        "ours": 33687,
        "deviation": 0.0,
        "accepted": [33687, 33687],
        "verdict": "pass",
    }
    assert second["accepted"] == pytest.approx([292 * 0.97, 292 * 1.03])


def test_all_tables_are_validated_where_none_is_named(validate, quick_study):
    code, output, errors = validate("--json")
    assert (code, errors) == (0, "")
    assert [table["table"] for table in json.loads(output)["tables"]] == validation.tables()
    assert len(json.loads(validate("dnnsim", "dnnsim", "--json")[1])["tables"]) == 1


def test_nothing_is_written_without_being_asked(validate):
    validate("dnnsim")
    assert os.listdir() == []


def test_a_comparison_is_written_with_the_runs_behind_it(validate, quick_study):
    code, _, errors = validate("scnn", "dnnsim", "-o", "new/results")
    assert (code, errors) == (0, "")
    assert sorted(os.listdir("new/results")) == ["scnn_dnnsim", "scnn_isca17"]
    assert sorted(os.listdir("new/results/scnn_isca17")) == ["compare.md", "compare.png", "lenet5.h5"]
    assert archmodel.load("new/results/scnn_isca17/lenet5.h5").cycles == RUN.cycles
    with open("new/results/scnn_isca17/compare.md", encoding="utf-8") as file:
        page = file.read()
    assert page.startswith(f"# {TABLES['scnn'].title}\n")
    assert TABLES["scnn"].citation in page
    assert "`archmodel validate scnn -o results`" in page
    for one in TABLES["scnn"].rows:
        assert f"| {one.what} |" in page
        assert one.reason in page
    assert "| VGG-16, speed-up over DCNN | 3.52 |" in page
    for note in TABLES["scnn"].notes:
        assert note in page


def test_without_matplotlib_all_but_the_figures_is_written(validate, quick_study, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, errors = validate("scnn", "dnnsim", "-o", "results")
    assert (code, errors) == (0, "archmodel: no figures without matplotlib: pip install 'archmodel[plot]'\n")
    assert sorted(os.listdir("results/scnn_isca17")) == ["compare.md", "lenet5.h5"]
    with open("results/scnn_isca17/compare.md", encoding="utf-8") as file:
        assert "## Figures" not in file.read()
    assert validate("dnnsim")[2] == ""


@pytest.mark.parametrize("output", ["", "file", "file/below", "\0", "x" * 5000], ids=lambda output: repr(output[:20]))
def test_a_folder_that_cannot_be_written_fails_before_the_measurement(validate, monkeypatch, output):
    with open("file", "w"):
        pass
    monkeypatch.setattr(validation, "validate", lambda name: pytest.fail("measured"))
    code, printed, errors = validate("dnnsim", "-o", output)
    assert (code, printed) == (2, "")
    assert "cannot be written" in errors
    assert errors.count("\n") == 1
    assert os.listdir() == ["file"]


@pytest.mark.parametrize("arguments", [["scn"], ["dnnsim", "scn"], ["--jsn"], ["dnnsim", "-o"], [""]], ids=str)
def test_a_wrong_argument_is_one_line(validate, arguments):
    code, output, errors = validate(*arguments)
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert os.listdir() == []


# The written page


def page_of(checks, runs, notes=()):
    table = PublishedTable(title="T", citation="C", folder="t", notes=notes, rows=())
    return comparison(Validation("t", table, tuple(checks), runs).as_dict(), runs, notes)


def test_the_page_has_a_row_for_every_check():
    checks = [
        Check("t", row(what="speed-up", published=3.52, tolerance=0.12, provenance="Fig. 8", reason="why"), 3.6134),
        Check("t", row(what="layers", kind="identity", published=33687), 33687),
        Check("t", row(what="missed", kind="band", published=24.0, low=14.0, high=26.0), 12.7),
        Check("t", row(what="reported", kind="report"), 0.5),
    ]
    lines = page_of(checks, {}).splitlines()
    assert "| speed-up | 3.52 | 3.613 | +2.7% | 3.098 to 3.942 | gate | pass | Fig. 8 | why |" in lines
    assert "| layers | 33,687 | 33,687 | +0.0% |  | identity | pass |  | test |" in lines
    assert "| missed | 24.0 | 12.700 | -47.1% | 14 to 26 | band | outside |  | test |" in lines
    assert "| reported |  | 0.500 |  |  | report | - |  | test |" in lines
    assert lines[0] == "# T"
    assert not any("slots go" in line for line in lines)


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        ((3.0976, 3.9424), ("3.098", "3.942")),
        ((14.0, 26.0), ("14", "26")),
        ((11513.5, 11514.5), ("11513.5", "11514.5")),
        ((7608.5, 7609.5), ("7608.5", "7609.5")),
        ((0.33415, 0.33425), ("0.33415", "0.33425")),
        ((2.0, 2.0), ("2", "2")),
    ],
)
def test_a_narrow_band_is_shown_with_the_digits_that_it_needs(limits, shown):
    assert shown_limits(*limits) == shown


def test_the_page_shows_where_the_slots_of_both_machines_went():
    lines = page_of([], {"small": RUN}, notes=("A note.", "Another.")).splitlines()
    assert lines.index("A note.") < lines.index("Another.") < lines.index("## Where the slots go")
    heading = f"| run | cycles | {' | '.join(CAUSES)} |"
    assert heading in lines
    for name, run in (("small", RUN), ("small, dcnn", RUN.baseline)):
        line, spent = [line for line in lines if line.startswith(f"| {name} |")]
        shown, cycles, *shares = (cell.strip() for cell in line.strip("|").split("|"))
        assert (shown, cycles) == (name, f"{run.cycles:,}")
        assert len(shares) == len(CAUSES)
        assert shares[0] == f"{100 * run.stack['busy'] / run.total('slots'):.1f}"
        assert sum(map(float, shares)) == pytest.approx(100, abs=0.5)
        assert f"| {sum(run.layers[0].energy_pj.values()) / 1e6:,.1f} | dram " in spent
        assert sum(float(part.split()[1]) for part in spent.split("|")[3].split(",")) == pytest.approx(100, abs=0.5)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("kept")
    table = Validation("t", PublishedTable(title="T", citation="C", folder="t", rows=()), (), {}).as_dict()
    with pytest.raises(ResultError, match="file"):
        write_comparison(tmp_path / "file", table, {})
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_may_be_new_several_levels_deep(tmp_path):
    check_folder(tmp_path)
    check_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(ResultError, match="cannot be written"):
            check_folder(path)
