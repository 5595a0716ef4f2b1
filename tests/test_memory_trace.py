"""`archmodel memory-trace`, trace_memory and sweep_memory: what is printed is what was served, by hand."""

import csv
import json
import os

import pytest

import archmodel
from archmodel.cli import main
from archmodel.errors import ConfigError, ResultError, WorkloadError
from archmodel.memory.dram import load_memory
from archmodel.memory.trace import Trace
from archmodel.simulation.load_sweep import LOADS

# A memory of 64 bytes a cycle of 1 ns after 10 cycles.
FAST = ("memory.bytes_per_s=64e9", "memory.latency_s=10e-9")
KEYS = {
    *("memory", "memory_name", "trace", "pattern", "requests", "reads", "writes", "request_bytes", "access_bytes"),
    *("accesses", "bytes", "cycle_ns", "cycles", "time_s", "peak_bytes_per_s", "bandwidth_bytes_per_s", "peak_share"),
    *(
        "forwarded_reads",
        "read_latency_ns",
        "wait_ns",
        "row_hit_rate",
        "commands",
        "energy_pj",
        "pj_per_bit",
        "io_energy_pj",
        "bus",
    ),
}


@pytest.fixture
def archmodel_run(capsys, monkeypatch, tmp_path):
    """Run the verb in a folder of its own on a terminal of 80 columns: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return main.run(["memory-trace", *map(str, arguments)]), *capsys.readouterr()

    return call


def fast(trace=None, **options):
    return archmodel.trace_memory("ideal", trace, assignments=FAST, **options)


def refusal(call, *arguments):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("archmodel: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("archmodel: error: ").rstrip()


# Numbers


def test_times_are_from_arrival_to_entry_to_last_data():
    found = fast(Trace.of([5, 5, 5, 30], [0, 64, 128, 0], [False, True, False, False]))
    assert found.arrived.tolist() == [5, 5, 5, 30]
    assert found.entered.tolist() == [5, 6, 7, 30]
    assert found.completed.tolist() == [16, 17, 18, 41]
    assert found.cycles == 36
    assert found.bandwidth_bytes_per_s == pytest.approx(4 * 64 / 36e-9)
    assert found.wait_ns["mean"] == pytest.approx(0.75)
    assert found.wait_ns["p50"] == pytest.approx(0.5)
    assert found.wait_ns["p99"] == pytest.approx(1.97)
    assert found.read_latency_ns == {key: pytest.approx(11) for key in ("mean", "p50", "p95", "p99")}


def test_a_request_is_done_with_its_last_access():
    found = fast(Trace.of([0, 0], [32, 0], [False, False]), request_bytes=64)
    assert found.num_accesses == 3
    assert found.entered.tolist() == [0, 2]
    assert found.completed.tolist() == [12, 13]
    assert found.num_bytes == 128  # what was asked for
    assert found.as_dict()["pj_per_bit"] == pytest.approx(3.92)  # of what was moved


def test_small_requests_take_a_whole_access():
    found = fast(pattern="sequential", requests=1000, request_bytes=16)
    assert found.num_accesses == 1000
    assert found.bandwidth_bytes_per_s == pytest.approx(16e9, rel=0.02)


def test_a_rate_is_delivered_up_to_the_peak():
    for rate in (0.1, 0.5, 1.0):
        assert fast(pattern="random", rate=rate).bandwidth_bytes_per_s == pytest.approx(rate * 64e9, rel=0.01)
    assert fast(pattern="random").bandwidth_bytes_per_s == pytest.approx(64e9, rel=0.01)


def test_without_reads_there_is_no_latency_of_reads():
    found = fast(pattern="sequential", requests=3, write_share=1).as_dict()
    assert set(found["read_latency_ns"].values()) == {None}
    assert (found["reads"], found["writes"]) == (0, 3)


# Banks


HAND = Trace.of([0, 0, 0, 1000], [0, 0x40, 0x20000, 0x20000], [False] * 4)  # opens a row, hits it, another row, hits it


def test_a_part_with_banks_is_timed_in_its_cycles(tmp_path):
    """DDR4-2400: ACT 17 RD 17 + 4 data; a hit tCCD_L = 6 later; PRE after tRAS = 39, ACT after tRP = 17."""
    found = archmodel.trace_memory("ddr4_2400", HAND, commands=tmp_path / "c.csv", completions=tmp_path / "d.csv")
    assert found.completed.tolist() == [38, 44, 94, 1021]
    assert found.read_latency_ns["mean"] == pytest.approx((38 + 44 + 94 + 21) / 4 * 0.83)
    assert found.row_hit_rate == 0.5
    assert found.as_dict()["commands"] == {"ACT": 2, "PRE": 1, "RD": 4, "WR": 0, "REF": 0, "PREA": 0, "REFB": 0}
    assert found.as_dict()["forwarded_reads"] == 0
    assert found.peak_bytes_per_s == pytest.approx(64 / (4 * 0.83e-9))
    assert found.io_energy_pj == pytest.approx(4 * 64 * 8 * load_memory("ddr4_2400").energy.io_pj_per_bit)
    assert (tmp_path / "d.csv").read_text() == "request,cycle\n0,38\n1,44\n2,94\n3,1021\n"
    with open(tmp_path / "c.csv", encoding="ascii") as file:
        sent = [(int(row["cycle"]), row["command"], row["bank"], row["row"]) for row in csv.DictReader(file)]
    acts, reads = [(0, "ACT", "0", "0"), (56, "ACT", "0", "1")], [(17, "0"), (23, "0"), (73, "1"), (1000, "1")]
    assert sent == sorted([*acts, (39, "PRE", "0", ""), *((cycle, "RD", "0", row) for cycle, row in reads)])


def test_reads_alone_never_turn_the_bus_around():
    """Reads at 17, 23, 73 and 1000, asked for at 0, 0, 0 and 1000; data 17 later for 4 cycles each."""
    bus = archmodel.trace_memory("ddr4_2400", HAND).served.bus
    assert bus == {"data": 16, "turnaround": 0, "refresh": 0, "latency": 17 + 2 + 46, "idle": 17 + 923}


def test_a_key_of_the_part_is_changed():
    slower = archmodel.trace_memory("ddr4_2400", HAND, assignments=["memory.timing.tRCDRD=20"])
    assert slower.completed.tolist() == [41, 47, 97, 1021]


def test_a_large_request_is_several_accesses_of_the_part():
    found = archmodel.trace_memory("ddr4_2400", HAND, request_bytes=128)
    assert found.num_accesses == 8
    assert found.completed[0] == 44


def test_a_read_of_waiting_data_needs_no_command():
    found = archmodel.trace_memory("ddr4_2400", Trace.of([0, 0], [0, 0], [True, False])).as_dict()
    assert (found["commands"]["RD"], found["commands"]["WR"], found["forwarded_reads"]) == (0, 1, 1)


# The verb


def test_json_has_the_keys_of_every_memory(archmodel_run):
    code, out, err = archmodel_run("--memory", "ideal", "--pattern", "streams", "--requests", 3000, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found.keys() == KEYS
    assert found["pattern"]["streams"] == 3
    assert found["commands"] == {"RD": 3000, "WR": 0}
    assert sum(found["bus"].values()) == pytest.approx(1)
    assert (found["row_hit_rate"], found["trace"]) == (None, None)


def test_a_file_is_served_and_its_completions_are_written(archmodel_run, tmp_path):
    (tmp_path / "t.csv").write_text("cycle,address,rw\n0,0,R\n2,0x40,W\n")
    options = [part for assignment in FAST for part in ("--set", assignment)]
    code, out, _ = archmodel_run("--memory", "ideal", "t.csv", *options, "--completions", "done.csv")
    assert code == 0
    assert (tmp_path / "done.csv").read_text() == "request,cycle\n0,11\n1,13\n"
    assert out.splitlines()[:2] == ["t.csv on ideal, Ideal DRAM, 50 GB/s", "requests     1 reads, 1 writes of 64 bytes"]
    for line in (
        "bandwidth    9.85 GB/s, 15.4 % of the peak of 64 GB/s",
        "time         13 ns, 13 cycles of 1 ns",
        "read latency mean 11 ns, p50 11 ns, p95 11 ns, p99 11 ns; from entry to last",
        "row hits     no rows",
        "commands     RD 1, WR 1",
    ):
        assert line in out.splitlines()
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["t.csv"], "Missing option '--memory'"),
        (["--memory", "hbm22", "t.csv"], "'hbm22': unknown memory; allowed: "),
        (["--memory", "ideal"], "neither a trace nor a pattern is given"),
        (["--memory", "ideal", "t.csv", "--pattern", "random"], "--pattern 'random': a trace is given too"),
        (["--memory", "ideal", "none.csv"], "none.csv: cannot be read: No such file or directory"),
        (["--memory", "ideal", "t.csv", "--streams", "3"], "--streams: needs --pattern"),
        (["--memory", "ideal", "t.csv", "--rate", "0.3"], "--rate: needs --pattern"),
        (["--memory", "ideal", "t.csv", "--request-bytes", "0"], "--request-bytes 0: must be a whole number from 1"),
        (["--memory", "ideal", "t.csv", "--set", "pe.rows=3"], "--set pe.rows=3: allowed: memory.KEY=VALUE"),
        (["--memory", "ideal", "t.csv", "--set", "memory.x=3"], "--set memory.x=3: unknown key at the top level"),
        (["--memory", "ideal", "t.csv", "--completions", "t.csv"], "t.csv: cannot be written: --completions would"),
        (["--memory", "ideal", "t.csv", "--completions", "d.txt"], "d.txt: cannot be written: --completions ends"),
        (["--memory", "ideal", "t.csv", "--commands", "c.csv"], "--commands: 'ideal' has no banks"),
        (["--memory", "ideal", "--sweep", "s.png", "--rate", "0.3"], "--rate: a sweep is of patterns at loads"),
        (["--memory", "ideal", "--sweep", "s.png", "t.csv"], "tRACE: a sweep is of patterns"),
        (["--memory", "ideal", "--sweep", "s.gif"], "s.gif: cannot be written: a figure ends in .png"),
        (["--memory", "ideal", "--sweep", "s.png", "--pattern", "random,x"], "--pattern 'x': allowed: sequential"),
        (["--memory", "ideal", "--sweep", "s.png", "--pattern", "random,random"], "--pattern 'random': given twice"),
        (["--memory", "ideal", "--sweep", "s.png", "--pattern", "random", "--streams", "2"], "--streams 2: used by no"),
        (["--memory", "ideal", "--sweep", "s.png", "--write-share", "1"], "--write-share 1: a sweep shows"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_touches_no_file(archmodel_run, tmp_path, arguments, reason):
    (tmp_path / "t.csv").write_text("0,0,R\n")
    assert refusal(archmodel_run, *arguments).startswith(reason[:1].lower() + reason[1:])
    assert os.listdir(tmp_path) == ["t.csv"]
    assert (tmp_path / "t.csv").read_text() == "0,0,R\n"


def test_both_files_are_different_ones(tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(ResultError, match="--commands would replace another file of this run"):
        archmodel.trace_memory("hbm2", pattern="random", completions=out, commands=out)


def test_from_python_mistakes_are_those_of_the_command_line(tmp_path):
    with pytest.raises(ConfigError, match=r"assignments = 'memory\.x=1': expected a list"):
        archmodel.trace_memory("ideal", pattern="random", assignments="memory.x=1")
    with pytest.raises(ConfigError, match="patterns = 'random': expected a list"):
        archmodel.sweep_memory("ideal", "random")
    with pytest.raises(WorkloadError, match="has no requests"):
        archmodel.trace_memory("ideal", Trace.of([], [], []))


# Sweeps


def test_a_sweep_offers_tenths_of_the_peak():
    seen = []
    found = archmodel.sweep_memory(
        "ideal",
        ("random", "strided"),
        stride_bytes=512,
        requests=2000,
        assignments=FAST,
        progress=lambda *a: seen.append(a),
    )
    rows = found.as_dict()["sweep"]
    assert [row["pattern"] for row in rows] == ["random"] * 10 + ["strided"] * 10
    assert [row["offered_share"] for row in rows] == [*LOADS, *LOADS]
    for row in rows:
        assert row["bandwidth_bytes_per_s"] == pytest.approx(row["offered_bytes_per_s"], rel=0.01)
        assert row["peak_share"] == pytest.approx(row["offered_share"], rel=0.01)
    assert found.curves["strided"][0].pattern["stride_bytes"] == 512
    assert found.as_dict()["requests"] == 2000
    assert seen[0] == ("random 10 %", 1, 20)
    assert len(seen) == 20


def test_the_verb_draws_and_prints_a_sweep(archmodel_run, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    arguments = ["--memory", "ideal", "--requests", 1000, "--pattern", "random", "--sweep", "s.svg"]
    code, out, _ = archmodel_run(*arguments)
    assert code == 0
    assert (tmp_path / "s.svg").stat().st_size > 5000
    assert out.splitlines()[0] == "ideal, Ideal DRAM, 50 GB/s: a peak of 50 GB/s"
    assert out.splitlines()[3].split()[:3] == ["random", "20", "19.7"]  # 64 kB in 999 x 6.4 + 102 ns
    code, out, _ = archmodel_run(*arguments, "--json")
    assert [row["pattern"] for row in json.loads(out)["sweep"]] == ["random"] * 10
