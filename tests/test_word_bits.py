"""How wide a quantized network's weights are, where `inspect` and `sim` say it, and which --precision fits."""

import pytest

import archmodel
from tests.test_prune_cli import archmodel_run, hand, model  # noqa: F401


def run_of(net, weights, arch="scnn", **options):
    return archmodel.simulate(arch, net, fidelity="statistical", weights=str(weights), **options)


@pytest.fixture
def int8(hand, tmp_path):  # noqa: F811
    """A network, and its weights of 8 bits."""
    archmodel.quantize(hand[0], tmp_path / "int8.npz", weights=hand[1], to="int8")
    return hand[0], tmp_path / "int8.npz"


def test_a_machine_with_other_words_says_so_and_which_precision_fits(int8, archmodel_run):  # noqa: F811
    net, weights = int8
    line = "weights have 8 bits in the network and 16 on scnn, as all numbers here; --precision int8 has 8"
    assert run_of(net, weights).words == line
    assert run_of(net, weights).as_dict()["words"] == line
    _, output, _ = archmodel_run("sim", "--arch", "scnn", "--net", net, "--weights", weights, width=200)
    assert f"words        {line}" in output
    _, output, _ = archmodel_run("sim", "--arch", "scnn,dcnn", "--net", net, "--weights", weights, width=200)
    assert output.count("words  ") == 2


def test_the_words_of_the_machine_stay_those_of_its_file(int8, hand):  # noqa: F811
    net, weights = int8
    assert run_of(net, weights).cycles == run_of(net, hand[1]).cycles
    assert run_of(net, weights).total("dram_bytes") == run_of(net, hand[1]).total("dram_bytes")


def test_nothing_is_said_where_the_words_are_the_same_or_not_known(int8, hand, tmp_path):  # noqa: F811
    net, weights = int8
    assert run_of(net, weights, precision="int8").words == ""
    assert run_of(net, weights, "tpu_v1").words == ""  # an 8-bit machine
    assert run_of(net, hand[1]).words == ""
    assert archmodel.simulate("scnn", "lenet5", fidelity="statistical", activations="density=0.5").words == ""
    archmodel.quantize(net, tmp_path / "some.npz", weights=hand[1], to="int8", layers="fc")
    assert run_of(net, tmp_path / "some.npz").words == ""  # the other layer is as it was
    archmodel.quantize(net, tmp_path / "half.npz", weights=hand[1], to="fp16")
    assert run_of(net, tmp_path / "half.npz").words == ""


@pytest.mark.parametrize(("to", "arch", "hint"), [
    ("int4", "scnn", "4 bits in the network and 16 on scnn, as all numbers here; --precision int4 has 4"),
    ("ternary", "systolic_16x16_ws", "and 8 on systolic_16x16_ws, as all numbers here; --precision ternary has 2"),
    ("ternary", "dcnn", "no --precision of it has 2: int16, int8, int4"),
    ("int16", "tpu_v1", "no --precision of it has 16: int8, w4a8, int4"),
])  # fmt: skip
def test_the_fitting_precision_is_one_that_the_machine_has(to, arch, hint, hand, tmp_path):  # noqa: F811
    archmodel.quantize(hand[0], tmp_path / "q.npz", weights=hand[1], to=to)
    assert run_of(hand[0], tmp_path / "q.npz", arch).words.endswith(hint)


def test_eie_has_indices_of_shared_weights(hand, tmp_path):  # noqa: F811
    archmodel.quantize(hand[0], tmp_path / "q.npz", weights=hand[1], to="shared5")
    run = run_of(hand[0], tmp_path / "q.npz", "eie", layers="fc")
    assert run.words.endswith("5 bits in the network and 4 on eie, as all numbers here; --precision shared5 has 5")


def test_a_precision_of_the_name_of_the_form_is_the_one_that_fits(int8):
    net, weights = int8
    assert "--precision int8" in run_of(net, weights, "eie", layers="fc").words
    assert run_of(net, weights, "eie", layers="fc", precision="int8").words == ""


def test_inspect_counts_in_the_words_of_the_network(int8, hand, archmodel_run):  # noqa: F811
    net, weights = int8
    found = archmodel.inspect(net, weights=str(weights), encodings=True)
    assert (found.word_bits, found.words) == (8, "those of the network's weights")
    assert found.layers[0].weight_bytes == found.layers[0].weight_encodings["dense"] == 8
    assert found.encoding_bits == {"weight": 8, "input": 8}
    assert archmodel.inspect(net, weights=str(weights), bits=16).word_bits == 16
    assert archmodel.inspect(net, weights=hand[1]).word_bits == 16
    _, output, _ = archmodel_run("inspect", net, "--weights", weights, width=200)
    assert "of 8-bit words, those of the network's weights, zeros included" in " ".join(output.split())


def test_an_onnx_file_that_archmodel_quantized_says_it_in_its_note(model, tmp_path):  # noqa: F811
    archmodel.quantize(model, tmp_path / "q.onnx", to="int4")
    run = archmodel.simulate("scnn", str(tmp_path / "q.onnx"), fidelity="statistical", activations="density=0.5")
    assert "4 bits in the network" in run.words
    assert archmodel.inspect(str(tmp_path / "q.onnx")).word_bits == 4


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_codes_in_an_onnx_file_have_8_bits(form, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    from archmodel.exchange.onnx_reader import read_onnx
    from tests.exchange.onnx_models import save
    from tests.exchange.test_onnx_quantized import Images, convolutional

    source, path = save(convolutional(), tmp_path, "float.onnx"), tmp_path / "codes.onnx"
    quantization.quantize_static(source, path, Images(), quant_format=quantization.QuantFormat[form])
    bits = read_onnx(path, "codes.onnx").weight_bits
    assert list(bits.values()) == [8, 8, 8]
    assert read_onnx(source, "float.onnx").weight_bits == {}
    run = archmodel.simulate("scnn", str(path), fidelity="statistical", activations="density=0.5")
    assert "8 bits in the network and 16 on scnn" in run.words
    found = archmodel.inspect(str(path))
    assert found.totals["weight_bytes"] == found.totals["weight_words"]


def test_a_network_of_which_a_part_has_codes_says_nothing(tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    from archmodel.exchange.onnx_reader import read_onnx
    from tests.exchange.onnx_models import save
    from tests.exchange.test_onnx_quantized import Images, convolutional

    source, path = save(convolutional(), tmp_path, "float.onnx"), tmp_path / "codes.onnx"
    quantization.quantize_static(source, path, Images(), op_types_to_quantize=["Conv"])
    assert list(read_onnx(path, "codes.onnx").weight_bits.values()) == [8, 8]
    run = archmodel.simulate("scnn", str(path), fidelity="statistical", activations="density=0.5")
    assert run.words == ""
    some = archmodel.simulate("scnn", str(path), fidelity="statistical", activations="density=0.5", layers="c*")
    assert "8 bits in the network" in some.words
