"""`archmodel prune` and `archmodel quantize`: networks of a few weights, whose every number is known by hand."""

import json
import sys

import numpy as np
import pytest

import archmodel
from archmodel.cli import main
from archmodel.errors import ConfigError, ResultError, WorkloadError
from archmodel.operands.archive import Archive
from archmodel.simulation.output_change import Effect, OutputChange, _cosine
from tests.test_startup import modules_after

NET = """title = "by hand"
source = "s"
zeros_source = "who says so"
inputs = {x = [4, 3, 3]}
layers = [
    {name = "conv", kind = "conv", K = 2, kernel = 1, weight_density = 0.5, input_density = 0.5},
    {name = "fc", kind = "fc", K = 2, weight_density = 0.25, input_density = 0.75},
]
"""
CONV = np.array([[1, -8, 3, 4], [-5, 6, 7, -2]], np.float32)
FC = np.zeros((2, 18, 1, 1), np.float32)
FC[0, :6, 0, 0], FC[1, 17] = [10, -20, 30, -40, 50, 0.5], 60


@pytest.fixture
def hand(tmp_path):
    """The path of a network and of its weights."""
    (tmp_path / "hand.toml").write_text(NET)
    np.savez(tmp_path / "own.npz", **{"conv.weights": CONV.reshape(2, 4, 1, 1), "fc.weights": FC})
    return str(tmp_path / "hand.toml"), str(tmp_path / "own.npz")


@pytest.fixture
def model(tmp_path):
    """y = relu(x W), of 4 x 3 weights, as ONNX; returns its path."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.exchange.onnx_models import model_of, node

    stored = {"w": np.array([[1, 2, 3], [-4, 5, -6], [7, 8, 9], [10, 11, 12]], np.float32)}
    made = model_of([node("MatMul", ["x", "w"], "fc"), node("Relu", ["fc"], "y")], {"x": ["batch", 4]}, stored)
    made.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3]))
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    np.save(tmp_path / "x.npy", np.array([[1, 1, 1, 1]], np.float32))
    return str(tmp_path / "model.onnx")


@pytest.fixture
def archmodel_run(capsys, monkeypatch):
    """Run the command line on a terminal of some width: exit code, standard output, standard error."""

    def call(*arguments, width=100):
        monkeypatch.setenv("COLUMNS", str(width))
        return main.run(list(map(str, arguments))), *capsys.readouterr()

    return call


def pruned(hand, tmp_path, **options):
    """The result, and the weights in the file that was written."""
    net, own = hand
    made = archmodel.prune(net, tmp_path / "out.npz", weights=own, **options)
    with np.load(tmp_path / "out.npz") as arrays:
        return made, arrays["conv.weights"].reshape(2, 4), arrays["fc.weights"]


# What survives


def test_each_layer_keeps_its_largest(hand, tmp_path):
    made, conv, fc = pruned(hand, tmp_path, density=0.25)
    np.testing.assert_array_equal(conv, [[0, -8, 0, 0], [0, 0, 7, 0]])
    np.testing.assert_array_equal(fc, np.where(np.abs(FC) > 0.4, FC, 0))  # 9 of 36, and only 7 are not zero
    assert made.rule == "magnitude per layer to 0.25"
    first, second = (layer.as_dict() for layer in made.layers)
    assert first == {
        "name": "conv",
        "kind": "conv",
        "weight_words": 8,
        "nonzeros_before": 8,
        "nonzeros": 2,
        "filters": 2,
        "filters_kept": 2,
        "density_before": 1.0,
        "density": 0.25,
    }
    assert (second["nonzeros_before"], second["nonzeros"]) == (7, 7)
    assert made.totals == {
        "weight_words": 44,
        "nonzeros_before": 15,
        "nonzeros": 9,
        "density_before": 15 / 44,
        "density": 9 / 44,
    }


def test_one_threshold_for_all_takes_from_the_layer_of_small_weights(hand, tmp_path):
    made, conv, fc = pruned(hand, tmp_path, density=7 / 44, scope="global")
    np.testing.assert_array_equal(conv, [[0, -8, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(fc, np.where(np.abs(FC) > 1, FC, 0))
    assert made.rule == "magnitude globally to 0.159091"


def test_a_profile_is_what_the_network_states(hand, tmp_path):
    made, conv, fc = pruned(hand, tmp_path, profile=hand[0])
    assert (np.count_nonzero(conv), np.count_nonzero(fc)) == (4, 7)
    assert made.rule == "magnitude per layer to those of hand"


def test_deviations_are_those_of_the_layer(hand, tmp_path):
    made, conv, _ = pruned(hand, tmp_path, quality=1.3, layers="conv")
    assert 6 < 1.3 * CONV.std() < 7
    np.testing.assert_array_equal(conv, [[0, -8, 0, 0], [0, 0, 7, 0]])
    assert made.rule == "magnitude above 1.3 deviations"


STRUCTURES = {
    "2:4": ({}, [[0, -8, 0, 4], [0, 6, 7, 0]], "2:4 along channels"),
    "1:2": ({}, [[0, -8, 0, 4], [0, 6, 7, 0]], "1:2 along channels"),
    "filters": ({"density": 0.5}, [[0, 0, 0, 0], [-5, 6, 7, -2]], "filters per layer to 0.5"),
    "channels": ({"density": 0.25}, [[0, -8, 0, 0], [0, 6, 0, 0]], "channels per layer to 0.25"),
    "blocks:2x2": ({"density": 0.5}, [[1, -8, 0, 0], [-5, 6, 0, 0]], "blocks:2x2 per layer to 0.5"),
    "blocks:1x2": ({"density": 0.25}, [[0, 0, 0, 0], [-5, 6, 0, 0]], "blocks:1x2 per layer to 0.25"),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures(structure, hand, tmp_path):
    options, wanted, rule = STRUCTURES[structure]
    made, conv, fc = pruned(hand, tmp_path, structure=structure, layers=["conv"], **options)
    np.testing.assert_array_equal(conv, wanted)
    np.testing.assert_array_equal(fc, FC)  # a layer that is not chosen stays
    assert (made.rule, [layer.name for layer in made.layers]) == (rule, ["conv"])
    assert made.layers[0].filters_kept == np.count_nonzero(conv.any(axis=1))


# Files and what they say


def test_the_file_says_what_was_done_and_a_simulation_shows_it(hand, tmp_path):
    net, own = hand
    archmodel.prune(net, tmp_path / "a.npz", weights=own, density=0.25, layers="conv")
    archmodel.quantize(net, tmp_path / "b.npz", weights=str(tmp_path / "a.npz"), to="int8")
    note = "pruned: magnitude per layer to 0.25 in 1 of 2 layers; quantized: int8 per tensor"
    assert Archive(tmp_path / "b.npz").note == note
    run = archmodel.simulate("scnn", net, weights=str(tmp_path / "b.npz"), check=True, activations="network")
    assert run.layers[0].origins["weights"] == f"file: b.npz ({note})"
    again = "not captured again since the weights were changed"
    assert run.layers[0].origins["inputs"].endswith(f"who says so, {again}")
    assert run.layers[0].weight_density == 0.25
    plain = archmodel.simulate("scnn", net, weights=own)
    assert "again" not in plain.layers[0].origins["inputs"]
    assert plain.layers[0].origins["weights"] == "file: own.npz"


def test_inputs_of_a_file_are_not_captured_again_either(hand, tmp_path):
    net, own = hand
    archmodel.prune(net, tmp_path / "a.npz", weights=own, density=0.5)
    np.savez(tmp_path / "in.npz", **{"conv.inputs": np.ones((4, 3, 3), np.int8)})
    options = {"layers": "conv", "activations": str(tmp_path / "in.npz")}
    run = archmodel.simulate("scnn", net, weights=str(tmp_path / "a.npz"), **options)
    assert run.layers[0].origins["inputs"] == "file: in.npz, not captured again since the weights were changed"
    given = archmodel.simulate("scnn", net, weights="density=0.5", **options)
    assert given.layers[0].origins["inputs"] == "file: in.npz"


def test_the_same_arrays_are_the_same_bytes(hand, tmp_path):
    for name in ("a.npz", "b.npz"):
        archmodel.prune(hand[0], tmp_path / name, weights=hand[1], density=0.5)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_hostile_note_is_one_short_line(tmp_path):
    np.savez(tmp_path / "a.npz", **{"archmodel.note": np.full(10_000, 27, np.uint8)})
    assert Archive(tmp_path / "a.npz").note == 300 * "\\x1b"
    np.savez(tmp_path / "b.npz", **{"archmodel.note": np.ones((2, 2), np.uint8)})
    with pytest.raises(WorkloadError, match="at most 300 bytes"):
        _ = Archive(tmp_path / "b.npz").note


def test_an_onnx_network_with_fewer_weights(model, tmp_path):
    from archmodel.exchange.onnx_reader import weights_of

    made = archmodel.prune(model, tmp_path / "out.onnx", density=0.5, inputs=[str(tmp_path / "x.npy")])
    kept = [[0, 0, 0], [0, 0, 0], [7, 8, 9], [10, 11, 12]]
    np.testing.assert_array_equal(weights_of(tmp_path / "out.onnx")["fc"][:, :, 0, 0].T, kept)
    effect = made.effect
    before, after = np.array([14, 26, 18]), np.array([17, 19, 21])
    cosine = before @ after / np.sqrt((before @ before) * (after @ after))
    assert (effect.inputs, effect.num_runs, len(effect.outputs)) == ("x.npy", 1, 1)
    assert effect.outputs[0].cosine == pytest.approx(cosine, rel=1e-12)
    assert (effect.outputs[0].largest_change, effect.outputs[0].largest) == (7, 26)
    assert effect.warning == "cosine 0.97 to the network of before, below 0.99: it needs retraining"
    run = archmodel.inspect(str(tmp_path / "out.onnx"), inputs=[str(tmp_path / "x.npy")])
    whose = "out.onnx (pruned: magnitude per layer to 0.5)"
    assert run.layers[0].origins["weights"] == f"real: {whose}"
    assert run.layers[0].origins["inputs"] == f"captured: x.npy, with the weights of {whose}"


def test_activations_of_the_dense_network_beside_pruned_weights_say_so(model, tmp_path):
    archmodel.prune(model, tmp_path / "out.npz", density=0.5)
    inputs = [str(tmp_path / "x.npy")]
    run = archmodel.inspect(model, inputs=inputs, weights=str(tmp_path / "out.npz"))
    assert run.layers[0].origins["weights"] == "file: out.npz (pruned: magnitude per layer to 0.5)"
    again = "not captured again since the weights were changed"
    assert run.layers[0].origins["inputs"] == f"captured: x.npy, {again}"
    assert archmodel.inspect(model, inputs=inputs).layers[0].origins["inputs"] == "captured: x.npy"


def test_an_npz_of_an_onnx_network_has_the_same_effect(model, tmp_path):
    options = {"density": 0.5, "inputs": [str(tmp_path / "x.npy")]}
    of_npz, of_onnx = (archmodel.prune(model, tmp_path / f"out{end}", **options) for end in (".npz", ".onnx"))
    assert of_npz.effect == of_onnx.effect


def test_without_an_input_it_is_noise_of_a_seed(model, tmp_path):
    first, again, other = (archmodel.prune(model, tmp_path / "o.onnx", density=0.5, seed=s).effect for s in (0, 0, 1))
    assert first.inputs == "noise of seed 0"
    assert first == again
    assert first.outputs != other.outputs


def test_without_noise_it_is_written_and_says_why_nothing_is_known(tmp_path):
    pytest.importorskip("onnxruntime")
    from tests.exchange.onnx_models import floats, model_of, node, save

    stored = {"w": floats(1, 3, 5), "r": floats(1, 3, 3, seed=1)}
    made = model_of([node("RNN", ["x", "w", "r"], "y", hidden_size=3)], {"x": [4, "several", 5]}, stored)
    path = save(made, tmp_path)
    result = archmodel.prune(str(path), tmp_path / "out.onnx", density=0.5)
    assert result.effect is None
    assert "nothing says how long 'several' is; give --input" in result.reason
    assert (tmp_path / "out.onnx").exists()


def test_a_larger_change_of_one_of_several_outputs_warns():
    near, far = OutputChange("a", 0.999, 0.1, 1.0), OutputChange("b", 0.5, 3.0, 3.0)
    assert Effect("x", 1, (near, far)).least_cosine == 0.5
    assert Effect("x", 1, (near,)).warning == ""
    assert Effect("x", 1, (near, OutputChange("c", None, None, None))).least_cosine is None


def test_the_cosine_of_nothing():
    assert _cosine(0.0, 0.0, 0.0) == 1.0
    assert _cosine(0.0, 4.0, 0.0) == _cosine(0.0, 0.0, 4.0) == 0.0
    assert _cosine(-6.0, 4.0, 9.0) == -1.0


# Quantize


def quantized(hand, tmp_path, **options):
    net, own = hand
    made = archmodel.quantize(net, tmp_path / "out.npz", weights=own, **options)
    with np.load(tmp_path / "out.npz") as arrays:
        return made, dict(arrays)


def test_codes_of_eight_bits_and_what_they_stand_for(hand, tmp_path):
    made, arrays = quantized(hand, tmp_path, to="int8", layers="conv")
    codes = np.rint(CONV / (8 / 127)).astype(np.int8)
    np.testing.assert_array_equal(arrays["conv.weights"][:, :, 0, 0], codes)
    assert arrays["conv.weights"].dtype == np.int8
    assert arrays["conv.scale"] == 8 / 127
    np.testing.assert_array_equal(arrays["fc.weights"], FC)
    [row] = made.layers
    errors = CONV - np.float32(codes * (8 / 127))
    assert row.signal_to_noise_db == pytest.approx(10 * np.log10((CONV**2).sum() / (errors**2).sum()), rel=1e-4)
    assert (row.weight_words, row.bits, row.distinct_codes, row.zeros_made) == (8, 8, 8, 0)
    assert (row.bytes_before, row.bytes_after) == (32, 8 + 4)
    assert made.form == "int8 per tensor"


def test_a_scale_for_each_channel_costs_its_bytes(hand, tmp_path):
    made, arrays = quantized(hand, tmp_path, to="int4", per="channel")
    np.testing.assert_array_equal(arrays["conv.scale"], [8 / 7, 7 / 7])
    assert [layer.bytes_after for layer in made.layers] == [4 + 8, 18 + 8]
    assert made.layers[1].zeros_made == 1  # 0.5 of steps of 50 / 7
    assert made.totals["zeros_made"] == 1


def test_affine_codes_are_stored_as_distances_from_their_zero_point(hand, tmp_path):
    made, arrays = quantized(hand, tmp_path, to="int8", affine=True)
    scale = 15 / 255  # from -8 to 7
    np.testing.assert_array_equal(arrays["conv.weights"][:, :, 0, 0], np.rint(CONV / scale))
    assert arrays["conv.weights"].dtype == np.int16  # -136 does not fit 8 bits
    np.testing.assert_array_equal(arrays["fc.weights"] == 0, (FC == 0))
    assert made.layers[0].bytes_after == 8 + 1 + 4
    assert made.form == "int8 affine per tensor"


def test_ternary_binary_shared_and_half(hand, tmp_path):
    ternary, arrays = quantized(hand, tmp_path, to="ternary")
    np.testing.assert_array_equal(arrays["conv.weights"][:, :, 0, 0], [[0, -1, 0, 1], [-1, 1, 1, 0]])
    assert arrays["conv.scale"] == 6  # mean of 8, 4, 5, 6, 7, those above 0.7 x 4.5
    assert (ternary.layers[0].zeros_made, ternary.layers[0].bytes_after) == (3, 2 + 4)
    binary, arrays = quantized(hand, tmp_path, to="binary")
    np.testing.assert_array_equal(arrays["conv.weights"][:, :, 0, 0], np.sign(CONV))
    assert (binary.layers[0].bytes_after, binary.layers[1].nonzeros) == (1 + 2 * 4, 36)
    shared, arrays = quantized(hand, tmp_path, to="shared4")
    np.testing.assert_array_equal(arrays["fc.codebook"][arrays["fc.weights"]], FC)  # 7 values in 15
    assert shared.layers[1].signal_to_noise_db is None
    assert shared.layers[1].bytes_after == 36 // 2 + 16 * 4
    half, arrays = quantized(hand, tmp_path, to="fp16")
    np.testing.assert_array_equal(arrays["conv.weights"].astype(np.uint16).view(np.float16).reshape(2, 4), CONV)
    assert (half.layers[0].bytes_after, half.layers[0].distinct_codes) == (16, 8)


@pytest.mark.parametrize("to", ["int16", "int8", "int4", "ternary", "binary", "shared8", "shared5", "shared4", "fp16"])
def test_every_form_can_be_simulated_and_checked(to, hand, tmp_path):
    made, _ = quantized(hand, tmp_path, to=to)
    np.savez(tmp_path / "in.npz", **{"conv.inputs": np.ones((4, 3, 3), np.int8), "fc.inputs": np.ones(18, np.int8)})
    files = {"weights": str(tmp_path / "out.npz"), "activations": str(tmp_path / "in.npz")}
    run = archmodel.simulate("scnn", hand[0], check=True, **files)
    assert [layer.checked for layer in run.layers] == [True, True]
    assert [layer.weight_density for layer in run.layers] == [one.nonzeros / one.weight_words for one in made.layers]


def test_an_onnx_network_has_the_values_of_its_codes(model, tmp_path):
    from archmodel.exchange.onnx_reader import weights_of

    made = archmodel.quantize(model, tmp_path / "out.onnx", to="int4", inputs=[str(tmp_path / "x.npy")])
    stored = weights_of(tmp_path / "out.onnx")["fc"][:, :, 0, 0].T
    before = np.array([[1, 2, 3], [-4, 5, -6], [7, 8, 9], [10, 11, 12]])
    np.testing.assert_array_equal(stored, np.float32(np.rint(before * 7 / 12) * (12 / 7)))
    assert made.effect.outputs[0].largest_change == pytest.approx(np.abs((stored - before).sum(axis=0)).max(), rel=1e-5)


def test_values_are_rounded_to_the_floats_of_the_file(tmp_path):
    pytest.importorskip("onnxruntime")
    from archmodel.exchange.onnx_reader import weights_of
    from tests.exchange.test_onnx_writer import half_model, save

    made = archmodel.quantize(str(save(half_model(), tmp_path)), tmp_path / "out.onnx", to="int8")
    stored = weights_of(tmp_path / "out.onnx")["y"]
    assert stored.dtype == np.float16
    assert len(np.unique(stored)) == made.layers[0].distinct_codes


# The command line


def test_the_table_of_prune(archmodel_run, hand, tmp_path):
    net, own = hand
    code, output, errors = archmodel_run("prune", net, "-o", tmp_path / "o.npz", "--weights", own, "--density", 0.25)
    assert (code, errors) == (0, "")
    lines = [line.split() for line in output.splitlines()]
    assert ["conv", "conv", "8", "1.000", "0.250", "2", "2/2"] in lines
    assert ["fc", "fc", "36", "0.194", "0.194", "7", "2/2"] in lines
    assert ["total", "44", "0.341", "0.205", "9"] in lines
    assert "outputs      not compared: the network has no values to compute with" in output


def test_the_table_of_quantize(archmodel_run, hand, tmp_path):
    net, own = hand
    code, output, errors = archmodel_run("quantize", net, "-o", tmp_path / "o.npz", "--weights", own, "--to", "fp16")
    assert (code, errors) == (0, "")
    lines = [line.split() for line in output.splitlines()]
    assert ["conv", "conv", "8", "exact", "8", "16", "0", "0.0", "0.0"] in lines
    assert "quantized    fp16\n" in output


def test_json_is_one_object_and_the_warning_is_beside_it(archmodel_run, model, tmp_path):
    arguments = "prune", model, "-o", tmp_path / "o.onnx", "--density", 0.5, "--input", tmp_path / "x.npy", "--json"
    code, output, errors = archmodel_run(*arguments)
    assert (code, errors) == (
        0,
        "archmodel: warning: cosine 0.97 to the network of before, below 0.99: it needs retraining\n",
    )
    made = json.loads(output)
    assert made["net"] == "model"
    assert made["output"] == str(tmp_path / "o.onnx")
    assert list(made) == ["net", "output", "rule", "totals", "effect", "reason", "layers"]
    assert list(made["effect"]) == ["inputs", "num_runs", "outputs", "least_cosine", "warning"]
    assert made["layers"][0]["nonzeros"] == 6
    code, output, _ = archmodel_run("quantize", model, "-o", tmp_path / "o.onnx", "--to", "int8", "--json")
    made = json.loads(output)
    assert list(made) == ["net", "output", "form", "totals", "effect", "reason", "layers"]
    assert made["effect"]["outputs"][0]["name"] == "y"


def test_a_data_frame_has_a_row_a_layer(hand, tmp_path):
    pytest.importorskip("pandas")
    assert list(pruned(hand, tmp_path, density=0.5)[0].to_dataframe()["nonzeros"]) == [4, 7]
    assert list(quantized(hand, tmp_path, to="int4")[0].to_dataframe()["bits"]) == [4, 4]


PRUNE_ERRORS = {
    "nothing says how many": ([], "nothing says how many weights are kept; allowed: one of --density"),
    "two": (["--density", "0.5", "--quality", "1"], "--density and --quality; allowed: one of"),
    "density": (["--density", "1.5"], "density 1.5; allowed: 0 to 1"),
    "NaN": (["--density", "nan"], "density nan; allowed: 0 to 1"),
    "quality": (["--quality", "-1"], "conv: weights: quality -1.0; allowed: 0 or more"),
    "scope": (["--density", "0.5", "--scope", "globl"], "--scope 'globl': allowed: layer, global; did you mean"),
    "scope and structure": (
        ["--density", "0.5", "--scope", "global", "--structure", "filters"],
        "--scope global: goes with --density alone",
    ),
    "structure": (["--structure", "filter", "--density", "1"], "--structure 'filter': allowed: none, N:M"),
    "3:2": (["--structure", "3:2"], "--structure 3:2: allowed: 1 <= N <= M <= 64"),
    "2:4 and density": (["--structure", "2:4", "--density", "1"], "--density: --structure 2:4 says already how many"),
    "quality of filters": (["--structure", "filters", "--quality", "1"], "--quality: goes with --structure none"),
    "blocks of nothing": (["--structure", "blocks:0x2", "--density", "1"], "blocks of 0 x 2; allowed: at least 1 x 1"),
    "profile": (["--profile", "lenet300_100"], "layer 'conv': no density is given"),
    "layers": (["--density", "1", "--layers", "x*"], "x*"),
    "input": (["--density", "1", "--input", "x.npy"], "--input: needs an ONNX network"),
    "preprocess": (["--density", "1", "--preprocess", "mean=1"], "--preprocess: needs --input"),
    "seed": (["--density", "1", "--seed", "-1"], "--seed -1: must be a whole number, 0 or more"),
}


@pytest.mark.parametrize("name", PRUNE_ERRORS)
def test_what_cannot_be_pruned_is_one_line_and_leaves_the_file(name, archmodel_run, hand, tmp_path):
    arguments, line = PRUNE_ERRORS[name]
    (tmp_path / "out.npz").write_text("mine")
    files = sorted(tmp_path.iterdir())
    net, own = hand
    code, output, errors = archmodel_run("prune", net, "-o", tmp_path / "out.npz", "--weights", own, *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("archmodel: error: ")
    assert line in errors
    assert errors.count("\n") == 1
    assert (tmp_path / "out.npz").read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"to": "int9"}, "--to 'int9': allowed: int16, int8, int4, ternary"),
        ({"to": "int8", "per": "row"}, "--per 'row': allowed: tensor, channel"),
        ({"to": "ternary", "affine": True}, "--affine: goes with --to int16, int8, int4, not ternary"),
        ({"to": "fp16", "per": "channel"}, "--per channel: goes with --to int16, int8, int4, not fp16"),
    ],
)
def test_what_cannot_be_quantized(options, line, hand, tmp_path):
    with pytest.raises(WorkloadError, match=line):
        quantized(hand, tmp_path, **options)
    assert not (tmp_path / "out.npz").exists()


def test_a_weight_that_half_precision_cannot_hold_names_its_layer(hand, tmp_path):
    np.savez(tmp_path / "own.npz", **{"conv.weights": CONV.reshape(2, 4, 1, 1), "fc.weights": FC * 1e6})
    with pytest.raises(WorkloadError, match=r"^fc: weights: 6e.07; allowed: magnitudes up to 65504"):
        quantized(hand, tmp_path, to="fp16")
    assert not (tmp_path / "out.npz").exists()


def test_where_weights_and_files_come_from(hand, model, tmp_path):
    net, own = hand
    for arguments, kind, line in (
        ((net, "o.onnx"), ResultError, "ends in .npz"),
        ((model, "o.h5"), ResultError, "ends in .onnx or .npz"),
        ((net, "o.npz"), ConfigError, "--weights: .* needs the weights of an npz or safetensors file"),
        ((model, str(tmp_path / "no" / "o.npz")), ResultError, "there is no folder"),
    ):
        with pytest.raises(kind, match=line):
            archmodel.prune(*arguments, density=0.5)
    with pytest.raises(ConfigError, match="--weights: an ONNX network has its own"):
        archmodel.prune(model, tmp_path / "o.npz", density=0.5, weights=own)
    with pytest.raises(ConfigError, match="needs the weights of"):
        archmodel.prune(net, tmp_path / "o.npz", density=0.5, weights="density=0.5")
    with pytest.raises(WorkloadError, match="no such file"):
        archmodel.prune(model, tmp_path / "o.onnx", density=0.5, inputs=["none.npy"])
    assert not (tmp_path / "o.onnx").exists()


def test_a_file_can_take_its_own_place(model, tmp_path):
    archmodel.prune(model, model, density=0.5)
    assert archmodel.inspect(model, activations="density=1").layers[0].weight_density == 0.5


def test_progress_counts_the_weights(hand, tmp_path):
    seen = []
    pruned(hand, tmp_path, density=0.5, progress=lambda *one: seen.append(one))
    assert seen == [("conv", 8, 44), ("fc", 36, 44)]


def test_help_imports_nothing_heavy():
    for verb in ("prune", "quantize"):
        modules = modules_after(f"from archmodel.cli.main import run; run([{verb!r}, '--help'])")
        assert not modules & {"numpy", "numba", "onnx", "onnxruntime", "rich", "pydantic"}


def test_without_onnx_it_is_one_line(archmodel_run, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, errors = archmodel_run("prune", model, "-o", tmp_path / "o.onnx", "--density", 0.5)
    assert code == 2
    assert errors.endswith("needs onnx: pip install 'archmodel[onnx]'\n")
