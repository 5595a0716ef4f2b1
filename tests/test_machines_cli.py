"""Several machines on one network: the table, the object, and what is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from archmodel import config, load, simulate
from archmodel.accelerators import comparison
from archmodel.cli import machines
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
    rates = comparison.rates(one)
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
    rates = comparison.rates(replace(one, layers=(free,)))
    assert rates["time_s"] == 0.0
    assert {rates[key] for key in rates if key.startswith(("dense_ops", "effectual_ops"))} == {0.0}


def test_the_table_has_a_line_for_each_machine_and_names_the_gaps():
    for columns in (80, 160):
        table = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, columns=columns)
        assert (table.returncode, table.stderr) == (0, "")
        lines = table.stdout.splitlines()
        assert [line.split()[0] for line in lines[2:5]] == ["scnn", "tpu_v1", "eie*"]
        assert "* not on eie: conv1, conv2; sums of the other layers: not comparable" in lines
        assert max(map(len, lines)) <= columns
        assert ("cycles" in lines[1]) == (columns == 160)


def test_the_table_says_the_node_of_each_machine_and_that_they_differ():
    own = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, columns=120).stdout
    one = run("--arch", "scnn,eie,tpu_v1", *OPTIONS, "--technology", "28nm", columns=120).stdout
    assert [line.split()[1] for line in own.splitlines()[2:5]] == ["16", "28", "45"]
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
    assert sorted(row["arch"] for row in document["machines"]) == config.names("accelerators")
    assert all(row["cycles"] > 0 and row["energy_pj"] > 0 and row["area_mm2"] > 0 for row in document["machines"])


def test_the_fastest_machine_is_first():
    answer = run("--arch", "systolic_16x16_ws,scnn,dcnn", *OPTIONS, "--json")
    times = {row["arch"]: row["time_s"] for row in json.loads(answer.stdout)["machines"]}
    assert list(times.values()) == sorted(times.values())
    assert list(times) != ["systolic_16x16_ws", "scnn", "dcnn"]
    lines = run("--arch", "systolic_16x16_ws,scnn,dcnn", *OPTIONS).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:5]] == list(times)


def test_machines_that_all_left_out_the_same_layers_are_comparable():
    table = run("--arch", "eie,eie_256", *OPTIONS).stdout
    assert "not on eie_256, eie: conv1, conv2; sums of the other layers\n" in table
    assert "*" not in table


def test_a_machine_that_runs_none_of_the_layers_is_named():
    table = run("--arch", "eie,dcnn", *OPTIONS, "--layers", "conv*").stdout
    assert table.startswith("lenet5 on 1 machine, ")
    assert "none of the layers runs on eie\n" in table


def test_machines_whose_weights_are_on_chip_before_the_run_are_named(tmp_path):
    loads = tmp_path / "loads.toml"
    loads.write_text("base = 'cnvlutin'\n[buffers]\nweights_preloaded = false\n")
    names = f"scnn,dadiannao,cnvlutin,eie,{loads}"
    named = {"dadiannao", "cnvlutin", "eie"}
    (line,) = [one for one in run("--arch", names, *OPTIONS).stdout.splitlines() if one.startswith("weights on")]
    assert set(line.removeprefix("weights on chip before the run: ").split(", ")) == named
    rows = json.loads(run("--arch", names, *OPTIONS, "--json").stdout)["machines"]
    assert {row["arch"] for row in rows if row["weights_preloaded"]} == named
    assert "weights on chip" not in run("--arch", "scnn,dcnn", *OPTIONS).stdout


def test_behind_busy_the_largest_loss_is_shown():
    rows = {"limit": "busy", "largest_loss": "fragmentation"}, {"limit": "memory", "largest_loss": "memory"}
    assert [machines.limit(row) for row in rows] == ["busy, frag", "memory"]
    assert machines.limit({"limit": "busy", "largest_loss": None}) == "busy"
    (one,) = simulate_machines(["eie"], "lenet5", **DENSITIES)
    losses = {cause: slots for cause, slots in one.stack.items() if cause != "busy"}
    assert losses[machines.row(one)["largest_loss"]] == max(losses.values())


@pytest.fixture(scope="module")
def every_machine():
    return simulate_machines(["all"], "lenet5", fidelity="statistical", **DENSITIES)


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 160])
def test_a_narrow_table_has_fewer_columns_and_whole_cells(every_machine, columns, monkeypatch, capsys):
    def lines_at(width):
        monkeypatch.setenv("COLUMNS", str(width))
        machines.print_machines(every_machine, [machines.row(one) for one in every_machine])
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    wide, narrow = lines_at(160), lines_at(columns)
    assert max(map(len, narrow)) <= columns
    start = next(index for index, line in enumerate(narrow) if line.startswith("machine "))
    shown = narrow[start].split()
    assert shown == wide[1].split()[: len(shown)]
    for row, whole in zip(narrow[start + 1 : start + 16], wide[2:17], strict=True):
        assert " ".join(whole.split()).startswith(" ".join(row.split()))
    meanings, _, left_out = " ".join(narrow[start + 16 :]).partition("no room for ")
    for heading in wide[1].split():
        assert (f" {heading}: " in meanings) <= (heading in shown)
        assert heading != shown[-1] or heading in ("cycles", "mm2") or f" {heading}: " in meanings
    expected = ", ".join(wide[1].split()[len(shown) :])
    assert left_out == (f"{expected}: a wider terminal has them, and --json" if expected else "")


def test_no_column_is_left_out_of_a_wide_table():
    assert "no room for" not in run("--arch", "scnn,eie", *OPTIONS, columns=160).stdout


def test_the_memory_behind_several_machines_can_be_changed():
    fast = run("--arch", "scnn,dcnn", *OPTIONS, "--set", "memory.bytes_per_s=1e9", "--json")
    for row in json.loads(fast.stdout)["machines"]:
        alone = simulate(row["arch"], "lenet5", assignments=("memory.bytes_per_s=1e9",), **DENSITIES)
        assert row["cycles"] == alone.cycles


def test_each_machine_is_written_to_a_file_of_its_own(tmp_path):
    folder = tmp_path / "new" / "runs"
    for _ in range(2):  # a folder that is made, and one that is there
        answer = run("--arch", "scnn,eie", *OPTIONS, "-o", str(folder))
        assert (answer.returncode, answer.stderr) == (0, "")
        assert sorted(os.listdir(folder)) == ["eie.h5", "scnn.h5"]
    for name in ("scnn", "eie"):
        (expected,) = simulate_machines([name], "lenet5", **DENSITIES)
        assert load(folder / f"{name}.h5").layers == expected.layers


def refused(folder, monkeypatch, *option, arch="scnn,eie"):
    """The one line with which a run ends before it starts, and that it leaves no file."""
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    answer = run("--arch", arch, *OPTIONS, *option)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
    return answer.stderr


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (("--baseline", "dcnn"), "--baseline: takes one machine; name it in --arch beside the others"),
        (("--set-baseline", "pe.rows=4"), "--set-baseline: takes one machine; there is no baseline"),
        (("--set", "pe.rows=4"), "--set pe.rows=4: several machines; allowed: memory.KEY=VALUE"),
        (("-o", "out.h5"), "-o 'out.h5': several machines write one file each; give a folder"),
        (("-o", "file"), "file: cannot be written: "),
        (("-o", "blocked"), "scnn.h5: cannot be written: is a folder"),
        (("-o", ""), "cannot be written: not a possible name of a folder"),
    ],
)
def test_what_one_machine_takes_is_refused_for_several(option, expected, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "blocked" / "scnn.h5").mkdir(parents=True)
    assert expected in refused(tmp_path, monkeypatch, *option)


def test_a_list_without_a_name_is_refused(tmp_path, monkeypatch):
    assert "--arch ', ,': names no machine" in refused(tmp_path, monkeypatch, arch=", ,")


def test_two_machines_of_one_name_are_not_written_over_each_other(tmp_path, monkeypatch):
    (tmp_path / "scnn.toml").write_text("base = 'scnn'\n")
    message = refused(tmp_path, monkeypatch, "-o", "runs", arch="scnn,./scnn.toml")
    assert "'./scnn.toml': another machine is written as scnn.h5 too" in message
