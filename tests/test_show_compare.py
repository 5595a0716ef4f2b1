"""`archmodel show` and `archmodel compare` as a user meets them: tables at two widths, one object, one-line errors."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archmodel import config, results
from archmodel.accelerators import summary
from archmodel.accelerators.comparison import compare
from archmodel.cli import configurations, main
from archmodel.exchange import read_network
from archmodel.memory.dram import load_memory
from tests.test_results import a_layer, a_run

ROOT = Path(__file__).resolve().parents[1]
SHOWN = sorted(set(config.names("workloads")) - {"vgg216", "vgg316", "vgg416"})  # these are vgg116 with longer chains


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of some width: exit code, standard output, standard error."""

    def call(*arguments: object, width: int = 80) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        code = main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def output_of(call, *arguments: object, width: int = 80) -> str:
    code, output, errors = call(*arguments, width=width)
    assert (code, errors) == (0, "")
    return output


def object_of(call, *arguments: object) -> dict:
    return json.loads(output_of(call, *arguments, "--json"))


def assert_refused(call, expected: str, *arguments: object) -> None:
    code, output, errors = call(*arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("archmodel: error: ")
    assert errors.count("\n") == 1
    assert expected in errors


def table_of(output: str, first_heading: str = "layer") -> list[str]:
    """The heading and the rows of a table, up to its total."""
    lines = output.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(first_heading))
    stop = next(index for index in range(start, len(lines)) if lines[index].startswith("total"))
    return lines[start : stop + 1]


def assert_numbers_line_up(rows: list[str], heading: str) -> None:
    """Every number below a heading ends where the heading ends, whole."""
    end = rows[0].index(heading) + len(heading)
    for row in rows[1:]:
        cell = row[:end].rpartition(" ")[2]
        assert row[end : end + 1] in ("", " ")
        assert re.fullmatch(r"(\d{1,3}(,\d{3})*)?", cell), row


# show: configurations


@pytest.mark.parametrize(
    ("kind", "name"),
    [("memory", "ideal"), *(("accelerators", name) for name in config.names("accelerators"))],
)
def test_a_configuration_is_shown_as_it_is_written(archmodel_run, kind, name):
    output = output_of(archmodel_run, "show", name)
    written = (config.folder(kind) / f"{name}.toml").read_text("utf-8")
    own, base_line, _ = output.partition("\n# From its base, ")
    assert own == f"# configs/{kind}/{name}.toml\n\n{written.rstrip()}\n"
    assert bool(base_line) == ("base" in config.parse(written, ""))
    document = object_of(archmodel_run, "show", name)
    assert document["values"] == config.read(kind, name)[0]
    assert document["kind"] == config.SINGULAR.get(kind, kind.removesuffix("s"))
    assert document["file"] == f"configs/{kind}/{name}.toml"


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("name", [name for name in config.names("memory") if name != "ideal"])
def test_a_dram_part_is_shown_on_one_screen(archmodel_run, name, width):
    output, document = output_of(archmodel_run, "show", name, width=width), object_of(archmodel_run, "show", name)
    lines = output.splitlines()
    assert len(lines) <= 30
    assert 3 * width / 4 < max(map(len, lines[:-1])) <= width or width == 200  # the last has the paths
    assert lines[0] == f"# configs/memory/{name}.toml"
    assert lines[2] == document["values"]["name"]
    assert (document["kind"], document["file"]) == ("memory", f"configs/memory/{name}.toml")
    assert document["values"] == config.read("memory", name)[0]
    for timing, cycles in document["values"]["timing"].items():
        assert timing == "tCK_ns" or f"{timing} {cycles} (" in output
    memory = load_memory(name)
    for key, value in document["derived"].items():
        assert value == getattr(memory, key)
    own = config.written("memory", name)[0]
    for file in (name, own.get("base", name)):
        assert str(config.folder("memory") / f"{file}.toml") in lines[-1]


def test_the_screen_of_a_dram_part_says_what_follows_from_it(archmodel_run):
    hbm, cube = (output_of(archmodel_run, "show", name, width=120) for name in ("hbm2", "hmc1"))
    hbm, cube = " ".join(hbm.split()), " ".join(cube.split())  # as on one long line
    for text in (
        "1 stack x 8 channels x 1 rank x 4 bank groups x 4 banks, 32768 rows of 2048 B, accesses of 64 B",
        "8 GiB",
        "256.0 GB/s on 8 data buses",
        "ro 26-12, bg 11-10, ba 9-8, ch 7-5, co 4-0 of address / 64",
        "row hit 16.0 ns, closed bank 30.0 ns, row conflict 44.0 ns",
        "ACT 828.0, RD 804.0, WR 1068.0, REF 60840.0 pJ; a rank 66.0 pJ a cycle, 48.0 with all banks closed",
        "at least 1.94 pJ/bit read; I/O 0.8 pJ/bit more",
    ):
        assert text in hbm
    assert "links" not in hbm
    assert "charged" not in hbm  # a cycle of 1 ns, charged as 1 ns
    assert "a cycle is charged as 1 ns" in cube
    assert "on 1 data bus\n" in output_of(archmodel_run, "show", "gddr5")
    assert "4 of 16 lanes at 15 Gb/s each way: at most 96.0 GB/s of read data; 512 requests each" in cube
    assert "CL 17 (13.6)" in cube
    assert "tREFIB" not in cube


def test_a_dram_part_of_the_users_own_is_checked_and_shown(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("base = 'hbm2'\nname = 'mine'\n[organization]\nranks = 2\n[mapping]\norder = 'rorabgbachco'\n")
    output = output_of(archmodel_run, "show", path)
    assert "mine" in output.splitlines()
    assert "ro 27-13, ra 12, bg 11-10" in output
    assert object_of(archmodel_run, "show", path)["derived"]["capacity_bytes"] == 16 * 2**30
    path.write_text("base = 'hbm2'\nname = 'mine'\n[timing]\ntRC = 3\n")
    assert_refused(archmodel_run, "mine.toml: [timing]: tRC = 3: must be at least tRAS + tRP - 1 = 47", "show", path)


def test_a_configuration_of_the_users_own_is_a_path(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    for kind, name in (
        ("accelerators", "scnn"),
        ("memory", "ideal"),
        ("devices", "v100"),
        ("devices", "titanx_caffe"),
        ("systems", "titanx_pcie3"),
        ("technology", "45nm"),
        ("zeros", "correlated"),
    ):
        text = "# größer\n" + (config.folder(kind) / f"{name}.toml").read_text("utf-8").rstrip()
        path.write_text(text + "\n", "utf-8")
        assert output_of(archmodel_run, "show", path) == f"# {path}\n\n{text}\n"
        assert object_of(archmodel_run, "show", path)["kind"] == config.SINGULAR.get(kind, kind.removesuffix("s"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model = \n", "line 1, column 9"),
        (
            "",
            "network, accelerator, memory, link, device, system, DMA engine, technology, pattern of zeros, profile",
        ),
        ("# only a comment\n", "mine.toml: is empty"),
        ("colour = 3\n", "mine.toml: no key that is known; allowed: "),
        ("base = 'scnn'\n[pe]\nrowz = 3\n", "mine.toml: pe.rowz = 3: unknown key"),
        ("base = 'ideal'\nlatency = 3\n", "mine.toml: latency = 3: unknown key"),
        ("base = '45nm'\nnode_nm = 'x'\n", "mine.toml: node_nm = 'x'"),
        ("base = 'correlated'\nlength = -1\n", "mine.toml: length = -1"),
        ("base = 'scn'\n", "base = 'scn': allowed: a name of 'archmodel list'; did you mean 'scnn'?"),
        ("base = ['scnn']\n", "base = ['scnn']: allowed: a name of 'archmodel list'"),
        ("base = 'dcnn_opt'\n", "base = 'dcnn_opt': has a base itself"),
        ("model = 'scnn'\n", "mine.toml: "),
        ("name = 'x'\nbytes_per_s = 1e9\n", "required key is missing"),
        ("base = 'v100_pcie3'\nlink = 'pcie9'\n", "mine.toml: 'pcie9': unknown link"),
        ("base = 'v100'\nmodel = 'gpa'\n", "mine.toml: model = 'gpa'"),
        ("base = 'lenet5'\nlayers = 3\n", "mine.toml: layers = 3"),
    ],
)
def test_a_configuration_that_no_run_takes_is_one_line(archmodel_run, tmp_path, text, expected):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert_refused(archmodel_run, expected, "show", path)
    assert_refused(archmodel_run, expected, "show", path, "--json")


def test_a_base_that_two_kinds_have_is_one_line(archmodel_run, tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text("base = 'scnn'\n")
    monkeypatch.setattr(configurations, "KINDS", ("accelerators", "memory", "accelerators"))
    assert_refused(archmodel_run, "base = 'scnn': a name in each of accelerators, accelerators", "show", path)


BASES = [(kind, name) for kind in ("accelerators", "memory", "technology", "zeros") for name in config.names(kind)]
BASES = [(kind, name) for kind, name in BASES if "base" not in config.written(kind, name)[0]]


def leaves(data: dict, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """The values below nested sections, by path."""
    found = {}
    for key, value in data.items():
        found |= leaves(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
    return found


@pytest.mark.parametrize(("kind", "name"), BASES)
def test_of_a_base_the_lines_stay_whose_keys_are_not_replaced(kind, name):
    data, text, _ = config.written(kind, name)
    every = leaves(data)
    for path in every:
        own = {path[-1]: 1}
        for part in path[-2::-1]:
            own = {part: own}
        shown = configurations.still_holds(text, data, own)
        replaced = [key for key in every if key == path or key[0] == path[0] == config.VARIANTS.get(kind)]
        assert leaves(config.parse(shown, "")) == {key: value for key, value in every.items() if key not in replaced}
    assert configurations.still_holds(text, data, {}) == text.rstrip()
    assert {line[:1] for line in configurations.still_holds(text, data, data).splitlines()} <= {"#", ""}


def test_a_machine_on_top_of_another_is_shown_with_what_it_has_of_it(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    own = "base = 'scnn'  # mine\nname = 'Mine'\n[pe]\nrows = 4\n"
    path.write_text(own)
    output = output_of(archmodel_run, "show", path)
    assert output.startswith(f"# {path}\n\n{own}\n# From its base, configs/accelerators/scnn.toml:\n\n# SCNN: ")
    below = output.partition("# From its base, ")[2]
    source = (config.folder("accelerators") / "scnn.toml").read_text("utf-8").splitlines()
    replaced = [line for line in source if line.startswith(("name =", "rows ="))]
    assert len(replaced) == 2
    assert below.splitlines()[2:] == [line for line in source if line not in replaced]
    document = object_of(archmodel_run, "show", path)
    assert (document["kind"], document["base"]) == ("accelerator", "configs/accelerators/scnn.toml")
    assert document["values"] == config.read("accelerators", path)[0]


def test_a_network_on_top_of_another_is_a_network(archmodel_run, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("base = 'lenet5'\ntitle = 'My LeNet'\n")
    assert output_of(archmodel_run, "show", path).startswith(f"My LeNet ({path})\n")
    assert object_of(archmodel_run, "show", path)["kind"] == "network"


def test_show_of_a_machine_needs_no_arrays():
    code = (
        "import sys\nfrom archmodel.cli.main import run\nrun(['show', 'scnn'])\n"
        "print('modules:', *{'numpy', 'numba', 'h5py', 'rich'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "modules:"


# show: networks


@pytest.mark.parametrize("name", SHOWN)
def test_a_network_has_a_row_for_each_layer_and_for_each_further_input_of_a_join(archmodel_run, name):
    network = read_network(name)
    output = output_of(archmodel_run, "show", name)
    assert len(table_of(output)) == len(network.layers) + 2
    assert f"sums         {network.macs:,} MACs, {network.parameters:,} parameters; one image\n" in output
    rows = table_of(output_of(archmodel_run, "show", name, width=200))
    assert len(rows) == 2 + sum(len(layer.inputs) for layer in network.layers)
    assert [row.split()[0] for row in rows[1:-1] if not row.startswith(" ")] == [one.name for one in network.layers]
    start, stop = (re.search(rf"\b{heading}", rows[0]).start() for heading in ("inputs", "zeros"))
    cells = [row[start:stop].strip() for row in rows[1:-1]]
    assert cells == [producer for layer in network.layers for producer in layer.inputs]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", SHOWN)
def test_the_table_of_a_network_fits_the_terminal(archmodel_run, name, width):
    rows = table_of(output_of(archmodel_run, "show", name, width=width))
    assert max(len(row.rstrip()) for row in rows) <= width
    gap = " " if width == 80 else "  "
    assert rows[0].rstrip().endswith(f"in{gap} out")
    layers = object_of(archmodel_run, "show", name)["layers"]
    for row, layer in zip([row for row in rows[1:-1] if not row.startswith(" ")], layers, strict=True):
        assert width == 80 or layer["inputs"][0][-8:] in row
        assert " " + "x".join(map(str, layer["output_shape"])) in row
        assert layer["kind"] in row
        densities = [layer[key] for key in ("weight_density", "input_density", "output_density")]
        assert row.rstrip().endswith(gap.join(f"{one:.2f}" for one in densities if one is not None))


def test_a_table_too_wide_for_a_terminal_keeps_its_numbers(archmodel_run):
    narrow = table_of(output_of(archmodel_run, "show", "vgg16", width=30))
    assert [row.split()[-4:] for row in narrow] == [
        row.split()[-4:] for row in table_of(output_of(archmodel_run, "show", "vgg16", width=80))
    ]


def test_a_network_as_json_has_what_its_file_says(archmodel_run):
    document = object_of(archmodel_run, "show", "alexnet_scnn")
    network = read_network("alexnet_scnn")
    assert document["kind"] == "network"
    assert document["totals"]["macs"] == 695_112_192
    layers = {layer["name"]: layer for layer in document["layers"]}
    assert list(layers) == [layer.name for layer in network.layers]
    conv1 = layers["conv1"]
    assert (conv1["weights_from"], conv1["weight_nonzeros"]) == ("count", 29_452)
    assert conv1["weight_density"] == 29_452 / (96 * 48 * 3 * 3)
    assert conv1["output_shape"] == [96, 57, 57]
    assert conv1["inputs"] == ["image"]
    assert document["word_bits"] == 16
    assert conv1["weight_bytes"] == 2 * 96 * 48 * 3 * 3
    assert (conv1["input_bytes"], conv1["output_bytes"]) == (2 * 48 * 57 * 57, 2 * 96 * 57 * 57)
    assert document["totals"]["weight_bytes"] == sum(layer["weight_bytes"] for layer in document["layers"])
    assert (conv1["output_density"], conv1["outputs_from"][:8]) == (0.49149449, "profile:")
    assert (layers["relu1"]["weight_bytes"], layers["relu1"]["output_density"]) == (0, None)
    assert layers["concat2"]["inputs"] == ["relu2_1", "relu2_2"]
    assert layers["relu1"]["weights_from"] is None
    assert "Parashar" in conv1["zeros_source"]


def test_the_kernels_of_a_matmul_are_no_weights_and_a_table_has_bytes(archmodel_run):
    document = object_of(archmodel_run, "show", "bert_base")
    layers = {layer["name"]: layer for layer in document["layers"]}
    blocks = 12 * (4 * 768**2 + 2 * 768 * 3072) + 768**2
    tables = 768 * (30_522 + 512 + 2)
    assert document["totals"]["weight_words"] == blocks
    assert document["totals"]["weight_bytes"] == 2 * (blocks + tables)
    assert document["totals"]["weight_nonzeros"] == pytest.approx(0.6 * blocks, rel=1e-6)
    assert layers["block1/scores"]["weight_bytes"] == 2 * 768 * 128
    assert layers["word_embedding"]["vocabulary"] == 30_522
    assert re.search(r"^block1/scores +matmul g12 ", output_of(archmodel_run, "show", "bert_base"), re.M)


def test_real_masks_are_counted(archmodel_run):
    document = object_of(archmodel_run, "show", "squeezenet_pruned")
    assert document["totals"]["weight_nonzeros"] == 415_921
    assert {layer["weights_from"] for layer in document["layers"] if layer["weight_words"]} == {"real"}
    assert " 0.33 " in table_of(output_of(archmodel_run, "show", "squeezenet_pruned"))[-1]


def test_a_network_of_the_users_own_is_a_path(archmodel_run, tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(
        "title = 'Mine'\nsource = 'me'\nzeros_source = 'a guess'\ninputs = {image = [4, 8, 8]}\nlayers = [\n"
        "{name = 'a', kind = 'conv', K = 6, kernel = [1, 3], stride = [2, 1], weight_density = 0.25},\n"
        "{name = 'b', kind = 'fc', K = 10},\n]\n"
    )
    document = object_of(archmodel_run, "show", path)
    a, b = document["layers"]
    assert (a["weights_from"], a["weight_density"]) == ("stated", 0.25)
    assert (b["weights_from"], b["weight_density"]) == (None, None)
    assert document["totals"]["weight_nonzeros"] is None
    for width in (80, 160):
        assert "conv 1x3/2x1 " in output_of(archmodel_run, "show", path, width=width)
        assert "conv 11x11/4 " in output_of(archmodel_run, "show", "alexnet", width=width)
        assert "conv 5x5 g2 " in output_of(archmodel_run, "show", "alexnet", width=width)
    path.write_text(path.read_text().replace("K = 10", "K = 0"))
    assert_refused(archmodel_run, "'b': K = 0", "show", path)


# show: results


@pytest.fixture
def file(tmp_path):
    """Save a run under a name."""

    def save(run, name: str = "out.h5") -> Path:
        results.save(run, tmp_path / name)
        return tmp_path / name

    return save


def test_a_result_is_a_table_with_its_provenance_and_origins(archmodel_run, file):
    run = a_run(1, baseline=a_run(1, arch="dcnn"))
    for width in (80, 160):
        output = output_of(archmodel_run, "show", file(run), width=width)
        assert all(f"\n{layer.name} " in output for layer in run.layers)
        assert "archmodel 0.1.0, numpy 2.4.6" in output
        assert "weights      profile (3 layers): Han et al. – 2015\n" in output
        assert "inputs       synthetic (3 layers): density 0.5\n" in output


def test_many_different_origins_are_counted(archmodel_run, file):
    origins = [{"weights": f"profile: the input density of conv{index}"} for index in range(5)]
    layers = tuple(a_layer(index, f"conv{index}", origins=origin) for index, origin in enumerate(origins))
    assert "weights      profile (5 layers)\n" in output_of(archmodel_run, "show", file(a_run(layers=layers)))


def test_a_source_with_semicolons_is_shown_whole(archmodel_run, file):
    origins = {"weights": "profile: density 0.5, uniform; stated: a; b", "inputs": "real: c; d", "outputs": "file: e"}
    shown = output_of(archmodel_run, "show", file(a_run(layers=(a_layer(0, "conv", origins=origins),))))
    for line in ("profile (1 layer): stated: a; b", "real (1 layer): c; d", "file (1 layer): e"):
        assert f" {line}\n" in shown


def test_a_result_as_json_is_that_of_sim(archmodel_run, file):
    run = a_run(2, baseline=a_run(3))
    document = object_of(archmodel_run, "show", file(run))
    assert (document.pop("kind"), document.pop("wall_s")) == ("result", run.wall_s)
    assert document.pop("file").endswith("out.h5")
    assert document == run.as_dict()


# show: names that are not


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scn", "'scn': unknown name"),
        ("scn", "did you mean 'scnn'?"),
        ("vgg_16", "did you mean 'vgg16'?"),
        ("ideaal", "did you mean 'ideal'?"),
        ("", "'': unknown name"),
        ("\x1b[31m\n", "unknown name"),
        ("missing.h5", "missing.h5: cannot be read: No such file"),
        ("missing/out", "cannot be read: No such file"),
        ("missing.toml", "missing.toml: no such file"),
        ("/", "is a folder"),
        ("a\0.h5", "cannot be read"),
    ],
)
def test_a_name_that_is_not_is_one_line(archmodel_run, name, expected):
    assert_refused(archmodel_run, expected, "show", name)
    assert_refused(archmodel_run, expected, "show", name, "--json")


def test_a_damaged_result_is_one_line(archmodel_run, file):
    path = file(a_run())
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(archmodel_run, "truncated or changed", "show", path)
    assert_refused(archmodel_run, "truncated or changed", "compare", path, path)


# compare


@pytest.fixture
def pair(file):
    """Two runs of one network: b has one layer less, one more, one that is equal, and another K."""
    a = a_run(layers=tuple(a_layer(index, name) for index, name in enumerate(["conv1", "conv2", "fc3", "fc4"])))
    settings = {**a.config, "accelerator": {**a.config["accelerator"], "pe": {"rows": 16}}}
    changed = (a.layers[0], dataclasses.replace(a.layers[1], macs_dense=5), a_layer(9, "fc3"), a_layer(7, "fc9"))
    b = dataclasses.replace(a, layers=changed, config=settings, seed=5)
    return a, b, file(a, "a.h5"), file(b, "b.h5")


def test_runs_are_compared_layer_by_layer(archmodel_run, pair):
    a, b, *paths = pair
    output = output_of(archmodel_run, "compare", *paths)
    rows = table_of(output)
    assert [row.split()[0] for row in rows[1:]] == ["conv1", "conv2", "fc3", "fc4", "fc9", "total"]
    assert rows[1].split()[1:4] == [f"{a.layers[0].cycles:,}", f"{a.layers[0].cycles:,}", "1.000x"]
    common = [sum(layer.cycles for layer in run.layers[:3]) for run in (a, b)]
    assert rows[-1].split()[3:6] == [f"{common[0]:,}", f"{common[1]:,}", f"{common[0] / common[1]:.3f}x"]
    assert "seed: 0 in a, 5 in b\n" in output
    assert "accelerator.pe.rows: 8 in a, 16 in b\n" in output
    assert "layers in both: 3, with equal results: 1, only in a: 1, only in b: 1\n" in output
    assert "macs_dense" in output_of(archmodel_run, "compare", *paths, width=160)


@pytest.mark.parametrize("width", [80, 160])
def test_the_tables_of_a_comparison_fit_the_terminal(archmodel_run, file, width):
    long = "a_name_that_is_longer_than_any_column/of_a_terminal_has_room_for"
    layers = tuple(a_layer(index, f"{long}{index}") for index in range(3))
    paths = [file(a_run(layers=layers, net="n" * 60), f"{'x' * 90}{index}.h5") for index in range(3)]
    output = output_of(archmodel_run, "compare", *paths, width=width)
    assert max(len(line.rstrip()) for line in output.splitlines()) <= width
    rows = table_of(output)
    assert all(row.startswith(("…", "layer", "total")) or long in row for row in rows)
    assert_numbers_line_up(rows, "cycles a")
    assert_numbers_line_up(rows, "cycles b")
    assert all(f"{run_layer.cycles:,}" in output for run_layer in layers)
    assert len([line for line in output.splitlines() if line.startswith("total of both")]) == 2


def test_a_comparison_as_json(archmodel_run, pair):
    a, b, *paths = pair
    document = object_of(archmodel_run, "compare", *paths)
    assert [run["file"] for run in document["runs"]] == [str(path) for path in paths]
    assert document["runs"][1]["totals"] == json.loads(json.dumps(b.as_dict()["totals"]))
    (comparison,) = document["comparisons"]
    assert (comparison["first"], comparison["second"]) == tuple(map(str, paths))
    assert comparison["differences"] == {"seed": [0, 5], "accelerator.pe.rows": [8, 16]}
    assert comparison["layers"] == json.loads(json.dumps(compare(a, b)))
    totals = comparison["totals"]
    assert totals["num_layers"] == 3
    assert totals["cycles"] == [sum(layer.cycles for layer in run.layers[:3]) for run in (a, b)]
    assert totals["speedup"] == pytest.approx(totals["cycles"][0] / totals["cycles"][1])


def test_runs_of_two_fidelities_are_compared(archmodel_run, file):
    layer = a_layer(1, "conv1")
    sampled = dataclasses.replace(layer, cycles_ci95=(layer.cycles - 1, layer.cycles + 2))
    runs = a_run(1, layers=(sampled,), fidelity="sampled"), a_run(1, layers=(layer,))
    paths = [file(run, f"{run.fidelity}.h5") for run in runs]
    interval = list(summary.cycles_ci95((sampled,)))
    for files, expected in ((paths, [interval, None]), (paths[::-1], [None, interval])):
        assert "fidelity: " in output_of(archmodel_run, "compare", *files)
        (comparison,) = object_of(archmodel_run, "compare", *files)["comparisons"]
        assert comparison["totals"]["cycles_ci95"] == expected


def test_energies_are_compared(archmodel_run, file):
    a = a_run(1, layers=tuple(a_layer(index, f"conv{index}", energy_pj={"dram": 3e6}) for index in range(2)))
    cheap = dataclasses.replace(a.layers[0], energy_pj={"dram": 1e6})
    files = file(a, "a.h5"), file(dataclasses.replace(a, layers=(cheap, a.layers[1])), "b.h5")
    output = output_of(archmodel_run, "compare", *files)
    assert "layers in both: 2, with equal results: 1\n" in output
    assert "energy of the layers in both: 6 uJ in a, 4 uJ in b: 1.500x\n" in output
    (comparison,) = object_of(archmodel_run, "compare", *files)["comparisons"]
    assert comparison["layers"][0]["energy_pj"] == [3e6, 1e6]
    assert [row["differs"] for row in comparison["layers"]] == [["energy_pj"], []]
    unknown = file(a_run(1, layers=(dataclasses.replace(cheap, energy_pj={}),)), "c.h5")
    assert "energy of" not in output_of(archmodel_run, "compare", files[0], unknown)


def test_machines_of_two_models_are_not_listed_key_by_key(archmodel_run, file):
    a = a_run(1)
    other = {**a.config, "accelerator": {"model": "dcnn"}, "memory": {"x": 1}}
    b = dataclasses.replace(a, arch="dcnn", clock_hz=2e9, config=other)
    document = object_of(archmodel_run, "compare", file(a, "a.h5"), file(b, "b.h5"))
    (comparison,) = document["comparisons"]
    assert comparison["differences"] == {
        "arch": ["scnn", "dcnn"],
        "clock_hz": [1e9, 2e9],
        "memory.name": ["Ideal", None],
        "memory.x": [None, 1],
    }
    assert comparison["totals"]["speedup"] == 2.0


def test_a_clock_is_compared_once(archmodel_run, file):
    a = a_run(1)
    fast = {**a.config, "accelerator": {**a.config["accelerator"], "clock_hz": 2e9}}
    paths = file(a, "a.h5"), file(dataclasses.replace(a, clock_hz=2e9, config=fast), "b.h5")
    (comparison,) = object_of(archmodel_run, "compare", *paths)["comparisons"]
    assert comparison["differences"] == {"clock_hz": [1e9, 2e9]}


def test_many_differences_are_cut_with_their_number(archmodel_run, file):
    run = a_run(1)
    changed = {**run.config, "accelerator": {**run.config["accelerator"], **{f"key{index}": 1 for index in range(30)}}}
    output = output_of(archmodel_run, "compare", file(run, "a.h5"), file(a_run(1, config=changed), "b.h5"))
    assert output.count(": None in a, 1 in b\n") == 8
    assert output.endswith("... and 22 more keys: see --json\n")


def test_what_differs_stands_below_the_table_and_a_part_by_its_name(archmodel_run, file):
    run = a_run(1)
    nodes = [{"technology": {"name": f"{node} nm", "node_nm": node, "supply_v": node / 20}} for node in (16, 28)]
    runs = [dataclasses.replace(run, config=run.config | node) for node in nodes]
    paths = [file(one, f"{index}.h5") for index, one in enumerate(runs)]
    lines = output_of(archmodel_run, "compare", *paths).splitlines()
    at = lines.index("technology.name: '16 nm' in a, '28 nm' in b")
    assert at > next(index for index, line in enumerate(lines) if line.startswith("total of both"))
    assert lines[at + 1 :] == ["... and 2 more keys: see --json"]
    assert "node_nm" not in "".join(lines)
    same_name = {"technology": {**nodes[0]["technology"], "supply_v": 1.0}}
    changed = file(dataclasses.replace(run, config=run.config | same_name), "c.h5")
    assert "technology.supply_v: 0.8 in a, 1.0 in b\n" in output_of(archmodel_run, "compare", paths[0], changed)


def test_different_networks_are_compared_where_layers_share_a_name(archmodel_run, file):
    a, b = a_run(1), a_run(2, net="other", num_layers=1)
    output = output_of(archmodel_run, "compare", file(a, "a.h5"), file(b, "b.h5"))
    assert "net: 'lenet5' in a, 'other' in b\n" in output
    assert "layers in both: 1" in output
    none = a_run(3, layers=(a_layer(1, "else"),))
    assert_refused(archmodel_run, "no layer name is in both", "compare", file(a, "a.h5"), file(none, "b.h5"))


def test_impossible_comparisons_are_one_line(archmodel_run, file):
    path = file(a_run())
    assert_refused(archmodel_run, "give 2 to 26 result files (see 'archmodel compare --help')", "compare")
    assert_refused(archmodel_run, "1 files: give 2 to 26", "compare", path)
    assert_refused(archmodel_run, "27 files: give 2 to 26", "compare", *[path] * 27)
    assert_refused(archmodel_run, "missing.h5: cannot be read", "compare", path, "missing.h5")
    assert_refused(archmodel_run, "vgg16: cannot be read", "compare", path, "vgg16")
