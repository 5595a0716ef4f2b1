"""Several machines on one network: the table, the object, and what is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from archmodel import config, simulate
from archmodel.accelerators import summary
from archmodel.errors import ConfigError, WorkloadError
from archmodel.memory.technology import load_technology
from archmodel.simulation import simulate_machines

DENSITIES = {"weights": "density=0.3", "activations": "density=0.4"}
OPTIONS = ["--net", "lenet5", "--weights", "density=0.3", "--activations", "density=0.4"]


def run(*arguments, columns=80):
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "dumb"}
    command = [sys.executable, "-m", "archmodel", "sim", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_every_machine_has_the_numbers_of_its_own_run():
    runs = simulate_machines(["scnn", "eie", "scnn"], "lenet5", **DENSITIES)
    assert [one.arch for one in runs] == ["scnn", "eie"]
    assert runs[0].layers == simulate("scnn", "lenet5", **DENSITIES).layers
    assert runs[1].unsupported == ("conv1", "conv2")
    assert [layer.name for layer in runs[1].layers] == ["ip1", "ip2"]


def test_machines_that_run_nothing_are_left_out_unless_all_are():
    runs = simulate_machines(["eie", "dcnn"], "lenet5", layers="conv*", **DENSITIES)
    assert [one.arch for one in runs] == ["dcnn"]
    with pytest.raises(WorkloadError, match="none of eie runs any of the layers"):
        simulate_machines(["eie"], "lenet5", layers="conv*", **DENSITIES)
    with pytest.raises(ConfigError, match="'scn': unknown accelerator"):
        simulate_machines(["scnn", "scn"], "lenet5", **DENSITIES)


def test_rates_by_hand():
    one = simulate("dcnn", "lenet5", **DENSITIES)
    rates = summary.rates(one)
    area = sum(one.area_mm2.values())
    assert rates["dense_ops_per_s"] == 2 * one.total("macs_dense") / one.time_s
    assert rates["effectual_ops_per_s"] == 2 * one.total("macs_effectual") / one.time_s
    assert rates["dense_ops_per_s_per_mm2"] == pytest.approx(rates["dense_ops_per_s"] / area)
    assert rates["dense_ops_per_j"] * rates["energy_pj"] * 1e-12 == pytest.approx(2 * one.total("macs_dense"))
    assert rates["limit"] == "memory"
    assert one.stack["memory"] == max(one.stack.values())


def test_a_machine_that_takes_no_time_and_energy_has_no_rates():
    one = simulate("dcnn", "lenet5", layers="ip1", **DENSITIES)
    free = replace(one.layers[0], cycles=0, stack={"busy": 0}, energy_pj={"dram": 0.0})
    rates = summary.rates(replace(one, layers=(free,)))
    assert rates["time_s"] == 0.0
    assert {rates[key] for key in rates if key.startswith(("dense_ops", "effectual_ops"))} == {0.0}


def test_the_table_has_a_line_for_each_machine_and_names_the_gaps():
    for columns in (80, 160):
        table = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, columns=columns)
        assert (table.returncode, table.stderr) == (0, "")
        lines = table.stdout.splitlines()
        assert [line.split()[0] for line in lines[2:5]] == ["scnn", "eie", "tpu_v1"]
        assert "not on eie: conv1, conv2; its sums are of the other layers" in lines
        assert max(map(len, lines)) <= max(columns, 100)
        assert ("cycles" in lines[1]) == (columns == 160)


def test_the_table_says_the_node_of_each_machine_and_that_they_differ():
    own = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, columns=120).stdout
    one = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, "--technology", "28nm", columns=120).stdout
    assert [line.split()[1] for line in own.splitlines()[2:5]] == ["16", "45", "28"]
    assert [line.split()[1] for line in one.splitlines()[2:5]] == ["28", "28", "28"]
    assert "--technology NODE puts all on one" in own
    assert "--technology" not in one


def test_another_node_scales_energy_and_area_and_no_time():
    own, moved = (
        simulate_machines(["scnn", "eie"], "lenet5", technology=node, **DENSITIES) for node in (None, "28nm")
    )
    nodes = {node: load_technology(node).scale for node in ("16nm", "45nm", "28nm")}
    for here, there, node in zip(own, moved, ("16nm", "45nm"), strict=True):
        assert (there.cycles, there.time_s) == (here.cycles, here.time_s)
        energy = nodes["28nm"].energy / nodes[node].energy
        for before, after in zip(here.layers, there.layers, strict=True):
            assert after.energy_pj["dram"] == before.energy_pj["dram"]
            for part in ("multipliers", "clock"):
                assert after.energy_pj[part] == pytest.approx(energy * before.energy_pj[part])
            leakage = nodes["28nm"].leakage / nodes[node].leakage
            assert after.energy_pj["leakage"] == pytest.approx(leakage * before.energy_pj["leakage"])
        area = nodes["28nm"].area / nodes[node].area
        assert there.area_mm2["multipliers"] == pytest.approx(area * here.area_mm2["multipliers"])
        (sram,) = {"iaram", "matrix_sram"} & here.area_mm2.keys()
        cells = nodes["28nm"].sram_area / nodes[node].sram_area
        assert there.area_mm2[sram] == pytest.approx(cells * here.area_mm2[sram])


def test_all_is_every_machine_of_the_list():
    answer = run("--arch", "all", *OPTIONS, "--fidelity", "statistical", "--json")
    document = json.loads(answer.stdout)
    assert [row["arch"] for row in document["machines"]] == config.names("accelerators")
    assert all(row["cycles"] > 0 and row["energy_pj"] > 0 and row["area_mm2"] > 0 for row in document["machines"])


@pytest.mark.parametrize(
    "option", [("--baseline", "dcnn"), ("--set", "pe.rows=4"), ("-o", "out.h5"), ("--set-baseline", "pe.rows=4")]
)
def test_what_one_machine_takes_is_refused_for_several(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run("--arch", "scnn,eie", *OPTIONS, *option)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "takes one machine; --arch names several" in answer.stderr
    assert not list(tmp_path.iterdir())
