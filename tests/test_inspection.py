"""`archmodel inspect` and `archmodel.inspect`: a network whose every number is computed by hand."""

import json
import sys

import numpy as np
import pytest

import archmodel
from archmodel.cli import main
from archmodel.cli.inspect import kib
from archmodel.errors import ConfigError, ResultError, WorkloadError
from archmodel.exchange import read_network
from tests.test_show_compare import assert_refused, output_of
from tests.test_startup import modules_after

NET = """title = "by hand"
source = "s"
zeros_source = "who says so"
inputs = {x = [2, 3, 3]}
layers = [
    {name = "conv", kind = "conv", K = 2, kernel = 2, output_density = 0.5},
    {name = "relu", kind = "activation"},
    {name = "fc", kind = "fc", K = 3},
]
"""
# Filter 0 has one weight, at channel 0 in its upper left corner; filter 1 has all 4 of channel 1.
WEIGHTS = np.array([[[[7, 0], [0, 0]], [[0, 0], [0, 0]]], [[[0, 0], [0, 0]], [[1, 2], [3, 4]]]])
# Channel 0 is full; of channel 1 only the centre, which all four windows see.
INPUTS = np.array([[[1, 1, 1], [1, 1, 1], [1, 1, 1]], [[0, 0, 0], [0, 5, 0], [0, 0, 0]]])
FC_WEIGHTS = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
FC_INPUTS = np.array([0, 1, 1, 0, 0, 0, 0, 1])
CONV = {
    "macs_dense": 64,  # 2 filters x 4 positions x 8 weights
    "macs_of_nonzero_weights": 20,  # 5 weights x 4 positions
    "macs_of_nonzero_inputs": 40,  # 2 filters x (4 positions x 4 of channel 0, 4 x 1 of channel 1)
    "macs_effectual": 8,  # filter 0: 4 positions x 1; filter 1: the centre with each of its weights
    "weight_words": 16,
    "weight_nonzeros": 5,
    "weight_bytes": 32,
    "input_words": 18,
    "input_nonzeros": 10,
    "input_bytes": 36,
}
FC = {
    "macs_dense": 24,
    "macs_of_nonzero_weights": 9,
    "macs_of_nonzero_inputs": 9,  # 3 inputs x 3 neurons
    "macs_effectual": 3,  # the first neuron; the second has its one weight at a zero
    "weight_words": 24,
    "weight_nonzeros": 9,
    "weight_bytes": 48,
    "input_words": 8,
    "input_nonzeros": 3,
    "input_bytes": 16,
}


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of some width: exit code, standard output, standard error."""

    def call(*arguments, width=80):
        monkeypatch.setenv("COLUMNS", str(width))
        return main.run(list(map(str, arguments))), *capsys.readouterr()

    return call


@pytest.fixture
def hand(tmp_path):
    """The path of the network and the options that give it its arrays."""
    (tmp_path / "hand.toml").write_text(NET)
    arrays = {"conv.weights": WEIGHTS, "conv.inputs": INPUTS, "fc.weights": FC_WEIGHTS, "fc.inputs": FC_INPUTS}
    np.savez(tmp_path / "own.npz", **arrays)
    own = str(tmp_path / "own.npz")
    return str(tmp_path / "hand.toml"), {"weights": own, "activations": own}


def options_of(own):
    return [text for key, value in own.items() for text in (f"--{key}", value)]


def test_every_number_by_hand(hand):
    net, own = hand
    found = archmodel.inspect(net, **own).as_dict()
    assert (found["net"], found["batch"], found["seed"], found["word_bits"]) == ("hand", 1, 0, 16)
    conv, fc = found["layers"]
    assert {key: conv[key] for key in CONV} == CONV
    assert {key: fc[key] for key in FC} == FC
    assert (conv["weight_density"], conv["input_density"], conv["output_density"]) == (5 / 16, 10 / 18, 0.5)
    assert (conv["effectual_share"], fc["output_density"]) == (1 / 8, None)
    assert conv["filter_densities"] == {"least": 1 / 8, "median": 5 / 16, "largest": 1 / 2}
    assert conv["channel_densities"] == {"least": 1 / 9, "median": 5 / 9, "largest": 1.0}
    assert found["kinds"]["fc"]["speedup"] == {"weights": 24 / 9, "activations": 24 / 9, "both": 8.0}
    totals = found["totals"]
    assert {key: totals[key] for key in CONV} == {key: CONV[key] + FC[key] for key in CONV}
    assert totals["num_layers"] == 2
    assert totals["speedup"] == {"weights": 88 / 29, "activations": 88 / 49, "both": 8.0}
    assert (totals["weight_density"], totals["input_density"]) == (14 / 40, 13 / 26)
    assert totals["effectual_share"] == 1 / 8


def test_the_object_is_what_the_function_returns(hand, archmodel_run):
    net, own = hand
    printed = json.loads(output_of(archmodel_run, "inspect", net, *options_of(own), "--bits", 8, "--json"))
    assert printed == json.loads(json.dumps(archmodel.inspect(net, **own, bits=8).as_dict()))
    assert [layer["weight_bytes"] for layer in printed["layers"]] == [16, 24]


def test_options_choose_layers_images_zeros_and_bits():
    one = archmodel.inspect("lenet5", layers=["conv*"], batch=3, activations="density=0.25", bits=1, seed=7)
    assert [layer.name for layer in one.layers] == ["conv1", "conv2"]
    assert one.layers[0].macs_dense == 3 * read_network("lenet5").layer("conv1").macs
    assert [layer.input_density for layer in one.layers] == [0.25, 0.25]
    assert one.layers[1].weight_bytes == -(-25_000 // 8)
    other = archmodel.inspect("lenet5", layers="conv*", batch=3, activations="density=0.25", seed=8)
    assert one.totals["input_nonzeros"] == other.totals["input_nonzeros"]
    assert one.totals["macs_effectual"] != other.totals["macs_effectual"]
    gathered = archmodel.inspect("lenet5", layers="conv2", zeros="correlated:channel_spread=0.3").layers[0]
    spread = archmodel.inspect("lenet5", layers="conv2").layers[0]
    assert gathered.channel_densities.largest > spread.channel_densities.largest


def test_effectual_macs_are_those_of_a_run():
    run = archmodel.simulate("scnn", "lenet5", seed=2)
    found = archmodel.inspect("lenet5", seed=2)
    assert [layer.macs_effectual for layer in found.layers] == [layer.macs_effectual for layer in run.layers]
    assert [layer.macs_dense for layer in found.layers] == [layer.macs_dense for layer in run.layers]
    assert [layer.weight_density for layer in found.layers] == [layer.weight_density for layer in run.layers]


def test_progress_names_every_layer():
    seen = []
    archmodel.inspect("lenet5", progress=lambda *told: seen.append(told))
    layers = read_network("lenet5").compute_layers
    assert seen == [(layer.name, layer.macs, sum(one.macs for one in layers)) for layer in layers]


def test_the_second_inputs_of_matmuls_are_no_weights_of_the_network():
    found = archmodel.inspect("bert_base", layers="block1/*")
    totals, kinds = found.totals, found.kinds
    assert kinds["matmul"]["weight_words"] == 2 * 128 * 768
    assert totals["weight_words"] == kinds["conv"]["weight_words"] == 12 * 768 * 768
    assert totals["macs_dense"] == kinds["conv"]["macs_dense"] + kinds["matmul"]["macs_dense"]


def test_a_network_without_stated_zeros_is_left_open(hand):
    net, own = hand
    totals = archmodel.inspect(net, weights=own["weights"]).totals
    assert totals["macs_of_nonzero_weights"] == 29
    assert (totals["macs_effectual"], totals["input_density"], totals["effectual_share"]) == (None, None, None)
    assert totals["speedup"] == {"weights": 88 / 29, "activations": None, "both": None}


def test_a_data_frame_has_a_row_for_each_layer(hand, monkeypatch):
    pytest.importorskip("pandas", reason="pandas is an extra")
    net, own = hand
    found = archmodel.inspect(net, **own)
    frame = found.to_dataframe()
    assert frame["name"].tolist() == ["conv", "fc"]
    assert frame["macs_effectual"].tolist() == [8, 3]
    assert frame["filter_densities_largest"].tolist() == [0.5, 1.0]
    assert frame.attrs["totals"] == found.totals
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ResultError, match="needs pandas"):
        found.to_dataframe()


# The table

ROWS = """layer    kind        w   in  out MACs effectual    % weights w KiB in KiB input K
conv     conv 2x2 0.31 0.56 0.50   64         8 12.5      16   0.0    0.0 2x3x3 2
fc       fc       0.38 0.38    ?   24         3 12.5      24   0.0    0.0 8     3
all conv          0.31 0.56        64         8 12.5      16   0.0    0.0
all fc            0.38 0.38        24         3 12.5      24   0.0    0.0
total             0.35 0.50        88        11 12.5      40   0.1    0.1"""


def test_the_table_by_hand(hand, archmodel_run):
    net, own = hand
    output = output_of(archmodel_run, "inspect", net, *options_of(own), width=100)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert lines[0] == "hand, batch 1, seed 0"
    assert lines[1:7] == [" ".join(line.split()) for line in ROWS.splitlines()]
    text = " ".join(lines)
    assert "skipping zero weights 3.03x, zero activations 1.80x, both 8.00x: MACs over those left" in text
    assert " fc: zero weights 2.67x, zero activations 2.67x, both 8.00x" in text
    assert "weights file (2 layers): own.npz" in text
    assert "outputs profile (1 layer): who says so outputs unknown (1 layer) columns" in text
    assert "KiB: of 16-bit words, zeros included, no biases; input: C x H x W of one image; ?: not known" in text
    assert "no room" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 90])
def test_a_narrow_table_has_fewer_columns_whole_cells_and_names_the_others(archmodel_run, width):
    narrow, wide = (output_of(archmodel_run, "inspect", "vgg16", width=one).splitlines() for one in (width, 200))
    assert max(map(len, narrow)) <= width
    headings = ["layer", "kind", "w", "in", "out", "MACs", "effectual", "%", "weights", "w KiB", "in KiB", "input", "K"]
    left_out = " ".join(narrow).partition("no room for ")[2].partition(":")[0].split(", ")
    assert narrow[1].split() == " ".join(headings[: -len(left_out)]).split()
    assert left_out == headings[-len(left_out) :]
    for row, whole in zip(narrow[2:21], wide[2:21], strict=True):
        assert whole.split()[: len(row.split())] == row.split()


def test_what_is_not_known_is_asked_for_below_the_table(hand, archmodel_run):
    net, own = hand
    output = " ".join(output_of(archmodel_run, "inspect", net, "--weights", own["weights"], width=100).split())
    assert "conv conv 2x2 0.31 ? 0.50 64 ? ? 16" in output
    assert "zero weights 3.03x, zero activations ?, both ?" in output
    remedy = "give --activations density=<0..1> or the path of an npz or safetensors file"
    assert f"inputs unknown (2 layers): {remedy}" in output


def test_bytes_are_binary_and_whole_where_they_are_many():
    assert [kib(size) for size in (1024, 102_349, 102_400, 205_520_896)] == ["1.0", "100.0", "100", "200,704"]


@pytest.mark.parametrize(("chosen", "has_matmul"), [("block1/query", False), ("block1/query,block1/scores", True)])
def test_one_kind_has_no_sums_of_its_own_and_a_matmul_a_line(archmodel_run, chosen, has_matmul):
    output = output_of(archmodel_run, "inspect", "bert_base", "--layers", chosen, width=160)
    assert ("all conv" in output, "conv: zero weights" in output) == (has_matmul, has_matmul)
    assert ("the total of weights is without them" in output) == has_matmul


def test_weights_that_are_all_zero_leave_no_mac(archmodel_run):
    output = output_of(archmodel_run, "inspect", "lenet5", "--weights", "density=0", width=120)
    assert "zero weights leaves no MAC, zero activations 1.38x, both leaves no MAC" in " ".join(output.split())
    found = archmodel.inspect("lenet5", weights="density=0").totals
    assert (found["macs_effectual"], found["speedup"]["both"]) == (0, None)


# What is refused


@pytest.mark.parametrize(
    ("expected", "arguments"),
    [
        ("unknown network", ["vgg17"]),
        ("--bits 0: must be from 1 to 64", ["lenet5", "--bits", "0"]),
        ("--bits 65: must be from 1 to 64", ["lenet5", "--bits", "65"]),
        ("--batch 0: must be at least 1", ["lenet5", "--batch", "0"]),
        ("takes at most", ["lenet5", "--batch", "100000000"]),
        ("no layer matches 'cnv*'", ["lenet5", "--layers", "cnv*"]),
        ("no layer that multiplies among them", ["lenet5", "--layers", "pool1"]),
        ("--weights 'density=2': a density is from 0 to 1", ["lenet5", "--weights", "density=2"]),
        ("--zeros 'corelated': allowed: uniform", ["lenet5", "--zeros", "corelated"]),
        ("missing argument 'NET'", []),
        ("out.gif: cannot be written: a figure ends in .png or .svg or .pdf", ["lenet5", "-o", "out.gif"]),
        ("there is no folder", ["lenet5", "-o", "nowhere/out.png"]),
    ],
)
def test_mistakes_are_one_line(archmodel_run, expected, arguments):
    assert_refused(archmodel_run, expected, "inspect", *arguments)


def test_the_function_raises_the_same():
    with pytest.raises(ConfigError, match="--bits 0"):
        archmodel.inspect("lenet5", bits=0)
    with pytest.raises(WorkloadError, match="no layer matches"):
        archmodel.inspect("lenet5", layers=["cnv*"])
    with pytest.raises(ConfigError, match="expected a list of globs"):
        archmodel.inspect("lenet5", layers=5)


# The figure


def test_the_figure_is_written_and_refused_before_the_work_without_matplotlib(tmp_path, archmodel_run, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")):
        shown = output_of(archmodel_run, "inspect", "lenet5", "-o", tmp_path / name)
        assert shown == output_of(archmodel_run, "inspect", "lenet5")
        assert (tmp_path / name).read_bytes().startswith(start)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("archmodel.simulation.inspection.inspect", None)
    expected = "matplotlib is not installed; install it with: pip install 'archmodel[plot]'"
    assert_refused(archmodel_run, expected, "inspect", "lenet5", "-o", tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_counting_needs_no_compiler_and_no_figures():
    modules = modules_after("from archmodel.cli.main import run; run(['inspect', 'lenet5'])")
    assert not {"numba", "matplotlib", "h5py"} & modules


def test_the_verb_has_the_operand_options_of_sim():
    commands = [main.group.get_command(None, verb) for verb in ("inspect", "sim")]
    own, of_sim = ({option.name: option.default for option in command.params} for command in commands)
    shared = {"batch", "seed", "layers", "weights", "activations", "zeros"}
    assert shared <= own.keys()
    assert {name: own[name] for name in shared} == {name: of_sim[name] for name in shared}


# The formats

# Of 16-bit words, by hand. conv's weights: 5 of 16, in two rows of 8; a run of 11 zeros is within 4 bits.
CONV_WEIGHT_BYTES = {
    "dense": 32,
    "bitmask": 2 + 10,
    "zvc": 4 + 10,  # one window of 32
    "zero_run": 1 + 10 + 3,  # one count, 5 values, 5 runs of 4 bits
    "csr": 3 + 2 + 10,  # 3 pointers of 8 bits, 5 places of 3 bits
    "csc": 9 + 1 + 10,  # 9 pointers, 5 places of 1 bit
    "interleaved_csc": 64 * 9 + 3 + 10,  # 64 PEs with 9 pointers each
    "coordinate": 4 + 4 * 1 + 10,  # a count, and 5 places of 1 bit along each of four dimensions
}
# conv's inputs: 10 of 18, in two channels of 9; the centre of channel 1 is after 4 zeros.
CONV_INPUT_BYTES = {
    "dense": 36,
    "bitmask": 3 + 20,
    "zvc": 4 + 20,
    "zero_run": 1 + 20 + 5,
    "csr": 3 + 5 + 20,  # places of 4 bits
    "csc": 10 + 2 + 20,  # places of 1 bit
    "coordinate": 4 + 2 + 5 + 20,
}


def test_bytes_in_every_format_by_hand(hand):
    net, own = hand
    found = archmodel.inspect(net, **own, encodings=True)
    conv, fc = found.layers
    assert conv.weight_encodings == CONV_WEIGHT_BYTES
    assert conv.input_encodings == CONV_INPUT_BYTES
    totals = found.totals
    for key in ("weight_encodings", "input_encodings"):
        of_conv, of_fc = getattr(conv, key), getattr(fc, key)
        smallest = min(of_conv.values()) + min(of_fc.values())
        sums = {name: of_conv[name] + of_fc[name] for name in of_conv}
        assert totals[key] == {**sums, "smallest": smallest}
    assert archmodel.inspect(net, **own).totals["weight_encodings"] is None


def test_formats_are_printed_for_what_is_known(hand, archmodel_run):
    net, own = hand
    output = output_of(archmodel_run, "inspect", net, "--encodings", "--weights", own["weights"], width=100)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    begin = lines.index("weights, KiB of 16-bit words by format")
    assert lines[begin + 1] == "layer smallest dense bitmask zvc zero_run csr csc interleaved_csc coordinate"
    assert [line.split()[:2] for line in lines[begin + 2 : begin + 5]] == [
        ["conv", "bitmask"],
        ["fc", "bitmask"],
        ["total", "bitmask"],
    ]
    assert lines[begin + 5] == "every layer in its smallest format: 0.0 KiB, 41.2 % of dense"  # 12 + 21 of 80 bytes
    assert lines[begin + 7] == "inputs: nothing says where their zeros are"


def test_formats_have_no_sums_where_a_layer_is_not_known(tmp_path, archmodel_run):
    (tmp_path / "some.toml").write_text(NET.replace("kernel = 2", "kernel = 2, weight_density = 0.5"))
    network = str(tmp_path / "some.toml")
    output = output_of(archmodel_run, "inspect", network, "--encodings", "--activations", "density=0.5", width=100)
    of_weights = output.partition("weights, KiB")[2].partition("inputs, KiB")[0].splitlines()
    assert [line.split()[0] for line in of_weights[2:] if line] == ["conv"]
    of_inputs = output.partition("inputs, KiB")[2].splitlines()
    assert [line.split()[0] for line in of_inputs[2:]] == ["conv", "fc", "total", "every"]


def test_formats_of_a_real_network(archmodel_run):
    output = output_of(archmodel_run, "inspect", "squeezenet_pruned", "--encodings", "--bits", 8, width=60)
    lines = output.splitlines()
    assert max(map(len, lines)) <= 60
    of_weights = lines[lines.index("weights, KiB of 8-bit words by format") :]
    [conv10, _] = [line.split() for line in of_weights if line.startswith("conv10")]
    # 105,973 stored entries of 12 bits and a count of 32
    assert conv10[:2] == ["conv10", "zero_run"]
    assert conv10[5] == f"{(105_973 + 52_987 + 4) / 1024:.1f}"
    assert "no room for csr, csc, interleaved_csc, coordinate" in " ".join(output.split())


def test_the_format_of_a_machine_stands_beside_the_others(hand, archmodel_run):
    net, own = hand
    found = archmodel.inspect(net, **own, encodings=True, arch="scnn")
    conv, fc = found.layers
    assert (found.arch, found.formats) == ("scnn", {"weights": "zero_run", "inputs": "zero_run"})
    assert found.encoding_bits == {"weight": 16, "input": 16}
    # conv: 5 weights of two channels in blocks of 8, no long run; inputs 9 and 1, of 20 bits each: 25 and 12.5 bytes
    assert (conv.weight_stored_bytes, conv.input_stored_bytes) == (13, 25)
    assert found.totals["weight_stored_bytes"] == 13 + fc.weight_stored_bytes
    assert conv.weight_encodings == CONV_WEIGHT_BYTES
    assert archmodel.inspect(net, **own, encodings=True).layers[0].weight_stored_bytes is None
    narrow = archmodel.inspect(net, **own, encodings=True, arch="scnn", bits=4).layers[0]
    assert narrow.weight_stored_bytes == 3 + 3  # 5 codes and 5 runs of 4 bits
    output = output_of(archmodel_run, "inspect", net, "--encodings", "--arch", "scnn", *options_of(own), width=100)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    begin = lines.index("weights, KiB of 16-bit words by format; scnn: its zero_run")
    assert lines[begin + 1].startswith("layer smallest scnn dense")


def test_a_machine_has_its_own_widths_and_no_format_of_layers_that_it_does_not_run(hand):
    net, own = hand
    conv, fc = archmodel.inspect(net, **own, encodings=True, arch="eie").layers
    assert (conv.weight_stored_bytes, conv.input_stored_bytes) == (None, None)
    assert fc.weight_stored_bytes == 64 * 9 * 2 + 5 + 5  # pointers of 16 bits, 9 codes and 9 runs of 4
    assert fc.weight_encodings["dense"] == 12
    assert fc.input_encodings["dense"] == fc.input_stored_bytes == 16


def test_a_machine_goes_with_encodings(archmodel_run):
    assert_refused(archmodel_run, "--arch 'scnn': goes with --encodings", "inspect", "lenet5", "--arch", "scnn")
    assert_refused(archmodel_run, "scn", "inspect", "lenet5", "--encodings", "--arch", "scn")


def test_formats_have_codes_of_up_to_32_bits(archmodel_run):
    arguments = ("inspect", "lenet5", "--encodings", "--bits", "33")
    assert_refused(archmodel_run, "--bits 33: must be from 1 to 32 with --encodings", *arguments)
