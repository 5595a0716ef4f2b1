"""`--precision`: the machines of configs/accelerators for operands of other widths."""

import functools
import json
from itertools import pairwise

import pytest

from archmodel import config, load, save, simulate, simulate_machines
from archmodel.accelerators.registry import load_machine
from archmodel.cli import main
from archmodel.cli.compare import flat
from archmodel.errors import ConfigError

MACHINES = config.names("accelerators")
SETS = [(arch, name) for arch in MACHINES for name in config.variants("accelerators", arch)]
# From more bits to fewer; a set that trades one width for another (EIE's shared5) is in none of them.
CHAINS = (
    ("int16", "int8", "int4"),
    ("int8", "w4a8", "int4"),
    ("int8", "ternary"),
    ("int8", "binary"),
    ("shared8", "shared4"),
    ("ternary", "w2a2"),
)
STEPS = [
    (arch, more, fewer)
    for arch in MACHINES
    for chain in CHAINS
    for more, fewer in pairwise(chain)
    if {more, fewer} <= config.variants("accelerators", arch).keys()
]
WIDTHS = ("bits", "kind", "lanes", "buffer_bytes")
LATER_FILL = 1.0001  # more words fit, so a block is larger, and the first one is there later: 3 cycles of 379,805
MANY_ROWS = 1.05  # an SRAM of as many bytes in twice as many rows of half the bits can be larger


@functools.cache
def run(arch, precision, net="lenet5", fidelity="exact", **changes):
    return simulate(arch, net, precision=precision, fidelity=fidelity, skip_unsupported=True, **changes)


@pytest.fixture
def command(capsys):
    """Runs a command: its exit code and all it says."""

    def answer(*words):
        code, said = main.run(words), capsys.readouterr()
        return code, said.out + said.err

    return answer


@pytest.mark.parametrize("arch", MACHINES)
def test_every_machine_has_precisions(arch):
    assert config.variants("accelerators", arch)


@pytest.mark.parametrize(("arch", "precision"), SETS)
def test_a_precision_changes_widths_alone(arch, precision):
    own, changed = (flat(load_machine(arch, precision=name).config.model_dump()) for name in (None, precision))
    assert own.keys() == changed.keys()
    assert all(key.endswith(WIDTHS) for key in own if own[key] != changed[key])


@pytest.mark.parametrize(
    ("arch", "precision"),
    [
        ("scnn", "int16"), ("dcnn", "int16"), ("dadiannao", "int16"), ("cnvlutin", "int16"), ("cambricon_x", "int16"),
        ("diannao", "int16"), ("eie", "int16"), ("eie", "shared4"), ("tpu_v1", "int8"), ("systolic_16x16_ws", "int8"),
        ("systolic_16x16_os", "int8"), ("systolic_16x16_is", "int8"), ("systolic_xnor", "binary"),
        ("systolic_ternary", "ternary"),
    ],
)  # fmt: skip
def test_a_machines_own_precision_is_the_machine(arch, precision):
    assert load_machine(arch, precision=precision).config == load_machine(arch).config


@pytest.mark.parametrize(("arch", "more", "fewer"), STEPS)
@pytest.mark.parametrize(("net", "fidelity"), [("lenet5", "exact"), ("alexnet", "statistical")])
def test_fewer_bits_never_cost_more(arch, more, fewer, net, fidelity):
    wide, narrow = run(arch, more, net, fidelity), run(arch, fewer, net, fidelity)
    for one, other in zip(wide.layers, narrow.layers, strict=True):
        assert other.cycles <= LATER_FILL * one.cycles
        assert other.dram_bytes <= one.dram_bytes
        assert sum(other.energy_pj.values()) < sum(one.energy_pj.values())
        assert other.macs_effectual == one.macs_effectual


@pytest.mark.parametrize(("arch", "more", "fewer"), [step for step in STEPS if step[2] != "w2a2"])  # which has 4 lanes
def test_fewer_bits_never_take_more_area(arch, more, fewer):
    """Each part but an SRAM, and the whole; what makes a product has another name in another kind of PE."""
    wide, narrow = (load_machine(arch, precision=name) for name in (more, fewer))
    parts = {part.name for part in wide.config.components if part.kind != "sram"} & narrow.area_mm2.keys()
    assert len(parts) >= 3
    assert all(narrow.area_mm2[part] <= wide.area_mm2[part] for part in parts)
    assert sum(narrow.area_mm2.values()) <= MANY_ROWS * sum(wide.area_mm2.values())


def test_every_chain_is_walked_on_some_machine():
    assert {(more, fewer) for _, more, fewer in STEPS} == {
        pair for chain in CHAINS for pair in pairwise(chain)
    }


@pytest.mark.parametrize(("precision", "share"), [("int16", 1), ("int8", 2), ("int4", 4)])
def test_words_of_half_the_bits_are_half_the_bytes(precision, share):
    """DCNN fetches all weights and, of a network that stays on chip, one input and one output."""
    whole, changed = run("dcnn", None), run("dcnn", precision)
    for one, other in zip(whole.layers, changed.layers, strict=True):
        assert other.dram_bytes == pytest.approx(one.dram_bytes / share, abs=2)


def test_more_words_stay_in_the_same_bytes():
    """AlexNet's first maps spill from 2 MB of 16-bit words at a batch of 1 only where a word is wide."""
    wide, narrow = (load_machine("scnn", precision=name).config for name in ("int16", "int4"))
    words = 600_000
    assert (wide.stored_bytes(words, 1.0), narrow.stored_bytes(words, 1.0)) == (words * 20 // 8, words * 8 // 8)


def test_assignments_come_after_the_precision():
    assert load_machine("scnn", ("compression.psum_bits=20",), precision="int8").config.compression.psum_bits == 20
    assert load_machine("scnn", precision="int8").config.compression.psum_bits == 24


def test_the_baseline_has_the_precision_too():
    both = run("scnn", "int8", baseline="dcnn")
    assert both.baseline.config["accelerator"]["buffers"]["word_bits"] == 8
    assert both.baseline.config["precision"] == "int8"


def test_a_run_without_a_precision_knows_of_none():
    assert "precision" not in run("scnn", None).config
    assert run("scnn", None).machine == "scnn"


def test_the_precision_survives_a_file(tmp_path, command):
    done = run("scnn", "int8")
    save(done, tmp_path / "run.h5")
    assert load(tmp_path / "run.h5") == done
    assert done.config["precision"] == "int8"
    _, shown = command("show", str(tmp_path / "run.h5"))
    assert shown.startswith("lenet5 on scnn int8, exact")
    save(run("scnn", None), tmp_path / "own.h5")
    compared = command("compare", str(tmp_path / "own.h5"), str(tmp_path / "run.h5"))[1]
    assert "lenet5 on scnn int8" in compared
    assert "precision: None in a, 'int8' in b" in compared
    assert "accelerator.compression.data_bits: 16 in a, 8 in b" in compared


def test_several_machines_show_the_precision(command):
    options = ("--net", "lenet5", "--precision", "int8", "--fidelity", "statistical")
    table = command("sim", "--arch", "scnn,dcnn", *options)[1]
    assert table.startswith("lenet5 on 2 machines, int8, statistical")
    rows = json.loads(command("sim", "--arch", "scnn,dcnn", *options, "--json")[1])["machines"]
    assert [row["precision"] for row in rows] == ["int8", "int8"]
    assert "baseline dcnn int8" in command("sim", "--arch", "scnn", "--baseline", "dcnn", *options)[1]


def test_all_machines_are_those_that_have_the_precision(command):
    options = ("--net", "lenet5", "--precision", "int8", "--fidelity", "statistical", "--json")
    able = [arch for arch in MACHINES if "int8" in config.variants("accelerators", arch)]
    assert {row["arch"] for row in json.loads(command("sim", "--arch", "all", *options)[1])["machines"]} == {*able}
    assert {"systolic_xnor", "systolic_ternary"} == {*MACHINES} - {*able}
    found = simulate_machines(["all"], "lenet5", precision="binary", fidelity="statistical")
    arrays = {f"systolic_16x16_{flow}" for flow in ("ws", "os", "is")}
    assert {one.arch for one in found} == {"systolic_xnor", *arrays}
    told = r"--precision 'binry': no machine has it; allowed: .*; did you mean 'binary'"
    with pytest.raises(ConfigError, match=told):
        simulate_machines(["all"], "lenet5", precision="binry")


def test_a_precision_that_a_machine_does_not_have_is_told_with_those_that_it_has(tmp_path, command):
    for arch, precision, told in (
        ("scnn", "int7", "--precision 'int7': 'scnn' has int16, int8, int4; did you mean 'int8'?"),
        ("systolic_xnor", "int8", "--precision 'int8': 'systolic_xnor' has binary"),
    ):
        answer = command("sim", "--arch", arch, "--net", "lenet5", "--precision", precision)
        assert answer == (2, f"archmodel: error: {told}\n")
    text = (config.folder("accelerators") / "scnn.toml").read_text("utf-8").partition("[precisions")[0]
    (tmp_path / "own.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="--precision 'int8': 'own' has no precision but its own"):
        load_machine(str(tmp_path / "own.toml"), precision="int8")


# Files


def machine_file(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return str(path)


def test_a_file_has_its_bases_precisions_unless_it_has_its_own(tmp_path):
    inherited = machine_file(tmp_path, 'base = "scnn"\n')
    assert list(config.variants("accelerators", inherited)) == ["int16", "int8", "int4"]
    assert load_machine(inherited, precision="int8").config.compression.data_bits == 8
    own = machine_file(tmp_path, 'base = "scnn"\n[precisions.int6]\ncompression.data_bits = 6\n')
    assert list(config.variants("accelerators", own)) == ["int6"]
    chosen = load_machine(own, precision="int6").config
    assert (chosen.compression.data_bits, chosen.compression.index_bits) == (6, 4)
    none = machine_file(tmp_path, 'base = "scnn"\n[precisions]\n')
    assert config.variants("accelerators", none) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("precisions = 3", "precisions = 3: must be a section"),
        ("[precisions]\nint8 = 8", "precisions.int8 = 8: must be a section"),
        ('[precisions."int 8"]\nx = 1', "precisions: 'int 8': must be 1 to 32 letters, digits, _ or -"),
    ],
)
def test_what_is_no_set_of_changes_is_refused_by_every_run(tmp_path, text, told):
    top, tables = (text, "") if text.startswith("precisions") else ("", text)
    with pytest.raises(ConfigError) as refused:
        load_machine(machine_file(tmp_path, f'{top}\nbase = "scnn"\n{tables}\n'))
    assert str(refused.value).endswith(told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("compression.data_bits = 0", "[precisions.int8]: compression.data_bits = 0: must be at least 1"),
        ("compression.data_bit = 8", "[precisions.int8]: compression.data_bit = 8: unknown key in [compression]"),
        ("compression = 8", "[precisions.int8]: compression = 8: must be a section"),
    ],
)
def test_a_mistake_in_a_precision_is_told_where_it_is(tmp_path, changes, told, command):
    path = machine_file(tmp_path, f'base = "scnn"\n[precisions.int8]\n{changes}\n')
    for precision in (None, "int8"):  # whether it is asked for or not
        with pytest.raises(ConfigError) as refused:
            load_machine(path, precision=precision)
        assert told in str(refused.value)
    code, shown = command("show", path)
    assert (code, told in shown) == (2, True)


def test_show_lists_the_precisions(command):
    shown = command("show", "scnn")[1]
    assert [f"[precisions.{name}]" in shown for name in ("int16", "int8", "int4", "int2")] == [True, True, True, False]
    assert json.loads(command("show", "scnn", "--json")[1])["precisions"]["int8"] == {
        "compression": {"data_bits": 8, "psum_bits": 24}
    }
    xnor = command("show", "systolic_xnor")[1]
    assert "[precisions.int8]" not in xnor  # its base's, which it does not have
    assert "[precisions.binary]" in xnor
    assert "[precisions.int8]" in command("show", "scnn_sparse_a")[1]


def test_only_machines_have_precisions(tmp_path, command):
    text = (config.folder("memory") / "ideal.toml").read_text("utf-8") + "\n[precisions.int8]\nlatency_s = 0.0\n"
    code, shown = command("show", machine_file(tmp_path, text))
    assert (code, "unknown" in shown) == (2, True)
    assert "precisions" not in json.loads(command("show", "ideal", "--json")[1])
