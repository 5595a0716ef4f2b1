"""`archmodel plot`, and `show` and `compare` of training files, as a user meets them."""

import json

import pytest

from archmodel import save
from archmodel.cli import main
from tests.test_results import a_run as a_sim_run
from tests.test_show_compare import assert_refused, object_of, output_of
from tests.training.made_timelines import a_result, a_run, at_random
from tests.views.test_trace import assert_valid, strictly_parsed


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of some width: exit code, standard output, standard error."""

    def call(*arguments, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        return main.run([str(argument) for argument in arguments]), *capsys.readouterr()

    return call


@pytest.fixture
def training(tmp_path):
    """A file of two runs."""
    path = tmp_path / "train.h5"
    save(
        a_result(a_run(), a_run(policy="none", mode="memory", timeline=at_random(1, 5), fits=False, why_not="too big")),
        path,
    )
    return path


@pytest.fixture
def sim(tmp_path):
    path = tmp_path / "sim.h5"
    save(a_sim_run(), path)
    return path


# plot


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_both_kinds_of_files_are_drawn(archmodel_run, training, sim, suffix, start):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    for path, shown in ((training, "One training iteration"), (sim, "lenet5 on scnn")):
        target = path.with_suffix(suffix)
        output = output_of(archmodel_run, "plot", path, "-o", target, width=300)
        assert output.startswith(f"{target}: {shown}")
        assert target.read_bytes().startswith(start)


def test_a_picture_without_a_name_stands_beside_its_file(archmodel_run, training):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    document = object_of(archmodel_run, "plot", training)
    assert document["output"] == str(training.with_suffix(".png"))
    assert training.with_suffix(".png").exists()


def test_the_same_file_gives_the_same_bytes(archmodel_run, training, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    for suffix in (".png", ".svg", ".json"):
        targets = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for target in targets:
            output_of(archmodel_run, "plot", training, "-o", target)
        assert targets[0].read_bytes() == targets[1].read_bytes()


def test_a_trace_is_of_a_training_run(archmodel_run, training, sim, tmp_path):
    target = tmp_path / "trace.json"
    assert "ui.perfetto.dev" in output_of(archmodel_run, "plot", training, "-o", target)
    assert_valid(strictly_parsed(target.read_text()))
    target.unlink()
    assert_refused(archmodel_run, "is of sim, a trace is of train", "plot", sim, "-o", target)
    assert not target.exists()


def test_mistakes_are_one_line(archmodel_run, training, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    assert_refused(archmodel_run, "No such file", "plot", tmp_path / "missing.h5")
    assert_refused(archmodel_run, "cannot be read", "plot", "")
    assert_refused(archmodel_run, "a figure ends in .png", "plot", training, "-o", tmp_path / "out.gif")
    assert_refused(archmodel_run, "a figure ends in .png", "plot", training, "-o", "")
    assert_refused(archmodel_run, "there is no folder", "plot", training, "-o", tmp_path / "none" / "out.png")
    assert_refused(archmodel_run, "there is no folder", "plot", training, "-o", tmp_path / "none" / "out.json")
    (tmp_path / "text.h5").write_text("text")
    assert_refused(archmodel_run, "is not a result file of archmodel", "plot", tmp_path / "text.h5")
    assert_refused(archmodel_run, "missing argument", "plot")


def test_without_matplotlib_it_says_what_to_install(archmodel_run, training, monkeypatch, tmp_path):
    from archmodel.views import figure

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(figure, "import_module", missing)
    assert_refused(archmodel_run, "pip install 'archmodel[plot]'", "plot", training, "-o", tmp_path / "out.png")


# show


@pytest.mark.parametrize("width", [80, 120, 200])
def test_show_has_a_line_for_each_run(archmodel_run, training, width):
    lines = output_of(archmodel_run, "show", training, width=width).splitlines()
    assert lines[0].split() == ["net", "batch", "policy", "time", "perf", "stall", "peak", "average", "offload", "fits"]
    assert lines[1].split() == [
        *("tiny", "4", "vdnn_all", "(p)", "10", "ms", "70.0", "30.0"),
        *("3.613", "KiB", "2.949", "KiB", "2.93", "KiB", "yes"),
    ]
    assert lines[2].split()[:4] == ["tiny", "4", "none", "(m)"]
    assert lines[2].endswith("no")
    whole = " ".join(" ".join(lines).split())
    assert "device titanx_maxwell, pcie3_x16, plain DMA" in whole
    assert "stalls tiny (4), vdnn_all (p): offload 1 ms, prefetch 2 ms" in whole
    assert "does not fit tiny (4), none (m): too big" in whole
    assert "command archmodel train --net tiny" in whole
    assert "made by archmodel 0.1.0, numpy 2.4.6" in whole
    assert all(len(line) <= width for line in lines if not line.startswith("made by"))


def test_show_as_json_is_the_result(archmodel_run, training):
    document = object_of(archmodel_run, "show", training)
    assert (document["kind"], document["file"], document["wall_s"]) == ("training", str(training), 0.5)
    assert len(document["runs"]) == 2
    assert document["runs"][0] == json.loads(json.dumps(a_run().as_dict()))


# compare


def test_compare_sets_every_run_beside_its_like_of_the_first_file(archmodel_run, training, tmp_path):
    other = tmp_path / "other.h5"
    faster = a_run(link="nvlink1", oracle_s=5e-3, config={"link": {"name": "NVLink"}, "choices": {"precision": "fp32"}})
    save(a_result(faster), other)
    output = output_of(archmodel_run, "compare", training, other, width=160)
    assert "1.000x a1" in output
    assert "link: 'pcie3_x16' in a1, 'nvlink1' in b" in output
    assert "policy: 'vdnn_all' in a1, 'none' in a2" in output
    assert "link.name: 'PCIe 3.0 x16' in a1, 'NVLink' in b" not in output.split("policy")[0]
    document = object_of(archmodel_run, "compare", training, other)
    assert document["kind"] == "training"
    assert [run["name"] for run in document["runs"]] == ["a1", "a2", "b"]
    assert [(pair["first"], pair["second"]) for pair in document["comparisons"]] == [("a1", "a2"), ("a1", "b")]
    pair = document["comparisons"][1]
    assert pair["oracle_s"] == [7e-3, 5e-3]
    assert pair["speedup"] == 1.0
    assert pair["stalls"]["prefetch"] == pytest.approx([2e-3, 2e-3])
    assert pair["differences"] == {"link": ["pcie3_x16", "nvlink1"], "link.name": ["PCIe 3.0 x16", "NVLink"]}


def test_compare_takes_the_run_that_was_asked_the_same(archmodel_run, training):
    document = object_of(archmodel_run, "compare", training, training)
    pairs = [(pair["first"], pair["second"], pair["speedup"]) for pair in document["comparisons"]]
    slower = a_run().iteration_s / at_random(1, 5).iteration_s
    assert pairs == [("a1", "a2", pytest.approx(slower)), ("a1", "b1", 1.0), ("a2", "b2", 1.0)]
    assert all(not pair["differences"] for pair in document["comparisons"][1:])


def test_files_of_two_verbs_are_not_compared(archmodel_run, training, sim):
    assert_refused(archmodel_run, "is of sim", "compare", training, sim)
    assert_refused(archmodel_run, "train.h5 of train: give files of one verb", "compare", sim, training)


def test_files_without_runs_are_shown_and_compared(archmodel_run, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    path = tmp_path / "empty.h5"
    save(a_result(runs=(), command="", provenance={}), path)
    for arguments in (("show", path), ("compare", path, path), ("plot", path)):
        output_of(archmodel_run, *arguments)
    assert object_of(archmodel_run, "compare", path, path)["comparisons"] == []


def test_the_verb_is_listed():
    assert "plot" in main.VERBS
