"""Arrays of safetensors files: every type of number, the names that people give to weights, files that do harm."""

import json
import os
import random
import struct
import sys
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import save_file

from archmodel import simulate
from archmodel.errors import WorkloadError
from archmodel.network import Layer, Network
from archmodel.operands.safetensors_file import MAX_HEADER_BYTES, SafetensorsFile
from archmodel.operands.sources import OperandSource, Source

SHAPE = (2, 3)
ARRAY = np.array([[0, 1, 2], [3, 0, -5]])


def packed(header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one_tensor(dtype, data, shape=SHAPE):
    return packed({"a": {"dtype": dtype, "shape": list(shape), "data_offsets": [0, len(data)]}}, data)


@pytest.fixture
def opened(tmp_path):
    def of(content):
        path = tmp_path / "w.safetensors"
        path.write_bytes(content)
        return SafetensorsFile(path)

    return of


def refusal(act, *arguments):
    with pytest.raises(WorkloadError) as error:
        act(*arguments)
    assert str(error.value).isprintable()
    return str(error.value)


def read(file, key="a", shape=SHAPE):
    return file.read(key, str(shape), [shape])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_numbers_come_back_as_they_were_saved(tmp_path, dtype):
    save_file({"other": np.ones(5, "int16"), "a": ARRAY.astype(dtype)}, tmp_path / "w.safetensors")
    found = read(SafetensorsFile(tmp_path / "w.safetensors"))
    assert found.dtype == dtype
    assert (found == ARRAY).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "bool"])
def test_numbers_without_a_sign_come_back_too(tmp_path, dtype):
    save_file({"a": abs(ARRAY).astype(dtype)}, tmp_path / "w.safetensors")
    found = read(SafetensorsFile(tmp_path / "w.safetensors"))
    assert found.dtype == dtype
    assert (found == abs(ARRAY).astype(dtype)).all()


def test_bf16_is_the_upper_half_of_a_float(opened):
    halves = (ARRAY.astype("<f4").view("<u4") >> 16).astype("<u2")
    assert (read(opened(one_tensor("BF16", halves.tobytes()))) == ARRAY).all()
    halves[0, 0] = 0x7FC0
    message = refusal(read, opened(one_tensor("BF16", halves.tobytes())))
    assert message == "w.safetensors: a: NaN or infinity; allowed: finite numbers"


@pytest.mark.parametrize(("dtype", "largest", "not_finite"), [("F8_E4M3", 0x7E, 0x7F), ("F8_E5M2", 0x7B, 0x7C)])
def test_of_8_bit_floats_the_zeros_are_known_of_either_sign(opened, dtype, largest, not_finite):
    found = read(opened(one_tensor(dtype, bytes([0, 0x80, 1, largest, 0x80 | largest, 0x81]))))
    assert found.tolist() == [[False, False, True], [True, True, True]]
    for code in (not_finite, 0x80 | not_finite):
        assert "NaN or infinity" in refusal(read, opened(one_tensor(dtype, bytes([0, 1, 2, 3, 4, code]))))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "w.safetensors: not a safetensors file"),
        (b"\x01\x00", "w.safetensors: not a safetensors file"),
        (struct.pack("<Q", 2**63) + b"{}", f"a header of {2**63} bytes; allowed: {MAX_HEADER_BYTES}"),
        (packed(b"{}", b"", length=MAX_HEADER_BYTES + 1), f"a header of {MAX_HEADER_BYTES + 1} bytes"),
        (packed(b"{}", b"", length=MAX_HEADER_BYTES), "not a safetensors file"),
        (packed(b"[" * 100_000, b""), "not a safetensors file"),
        (packed(b"\xff\xfe", b""), "not a safetensors file"),
        (packed({"a": 5}, b""), "not a safetensors file"),
        (packed({"a": {"dtype": "F9", "shape": [1], "data_offsets": [0, 1]}}, b"1"), "not a safetensors file"),
        (packed({"a": {"dtype": "I8", "shape": [-1], "data_offsets": [0, 1]}}, b"1"), "not a safetensors file"),
        (packed({"a": {"dtype": "I8", "shape": [2**62, 2**62], "data_offsets": [0, 1]}}, b"1"), "not a safetensors"),
        (packed({"a": {"dtype": "I8", "shape": [6], "data_offsets": [0, 6]}}, b"12345"), "not a safetensors file"),
        (packed({k: {"dtype": "I8", "shape": [4], "data_offsets": [o, o + 4]} for k, o in (("a", 0), ("b", 2))},
                b"123456"), "not a safetensors file"),
        (packed(b'{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":5}', b"1"), "not a safetensors file"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(opened, content, message):
    assert message in refusal(opened, content)


def test_an_array_that_does_not_fit_is_one_line(opened):
    file = opened(one_tensor("I8", bytes(6)))
    assert refusal(read, file, "b") == "w.safetensors: no array 'b'"
    assert refusal(read, file, "aa") == "w.safetensors: no array 'aa'; did you mean 'a'?"
    assert refusal(read, file, "a", (3, 2)) == "w.safetensors: a: shape (2, 3); allowed: (3, 2)"
    assert "a: type 'C64'; allowed: BF16, BOOL," in refusal(read, opened(one_tensor("C64", bytes(48))))


def test_a_file_that_is_cut_after_its_header_was_read_is_one_line(opened):
    file = opened(one_tensor("I8", bytes(6)))
    file.path.write_bytes(file.path.read_bytes()[:-1])
    assert refusal(read, file) == "w.safetensors: a: damaged array"


def test_what_is_no_file_is_one_line(tmp_path):
    assert refusal(SafetensorsFile, tmp_path / "none.safetensors") == "none.safetensors: No such file or directory"
    (tmp_path / "folder.safetensors").mkdir()
    assert refusal(SafetensorsFile, tmp_path / "folder.safetensors").endswith("is not a regular file")
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert refusal(SafetensorsFile, tmp_path / "pipe.safetensors").endswith("is not a regular file")


def test_damage_ends_in_nothing_but_errors_of_a_user(opened):
    rng, whole = random.Random(5), bytearray(one_tensor("I16", bytes(12)))
    for _ in range(300):
        damaged = bytearray(whole[: rng.randint(len(whole) // 2, len(whole))])
        for _ in range(rng.randint(0, 3)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        with suppress(WorkloadError):
            read(opened(bytes(damaged)))


def test_an_array_is_read_alone(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"large": np.ones(2**23, "int8"), "a": ARRAY.astype("int8")}, path)
    tracemalloc.start()
    try:
        read(SafetensorsFile(path))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_without_the_library_there_is_one_line_that_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "w.safetensors").write_bytes(one_tensor("I8", bytes(6)))
    message = refusal(SafetensorsFile, tmp_path / "w.safetensors")
    assert message == "needs safetensors: pip install 'archmodel[safetensors]'"


CONV = Layer("conv", "conv", ("x",), (3, 6, 6), K=4, R=3, S=3)
POINTWISE = Layer("features.0", "conv", ("conv",), (4, 4, 4), K=5)
LSTM = Layer("lstm", "lstm", ("steps",), (3, 7, 1), K=2)
FC = Layer("fc", "fc", ("features.0",), (80, 1, 1), K=6)
NET = Network("net", "net", "by hand", {"x": (3, 6, 6), "steps": (3, 7, 1)}, (CONV, POINTWISE, LSTM, FC))
STATE = {
    "conv.weight": np.arange(4 * 3 * 3 * 3).reshape(4, 3, 3, 3) % 3,
    "conv.bias": np.zeros(4),
    "features.0.weight": np.arange(20).reshape(5, 4) % 2,
    "lstm.weight_ih_l0": np.arange(24).reshape(8, 3) % 4,
    "lstm.weight_hh_l0": np.arange(16).reshape(8, 2) % 5,
    "fc": np.arange(480).reshape(6, 80) % 7,
}


@pytest.fixture(params=["npz", "safetensors"])
def weights(request, tmp_path):
    def of(arrays):
        path = tmp_path / f"state.{request.param}"
        if request.param == "npz":
            np.savez(path, **arrays)
        else:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, path)
        return OperandSource(NET, Source.parse(str(path), "--weights"), Source.parse("density=0.5", "--activations"))

    return of


def test_weights_have_the_names_of_a_state_dict(weights):
    source = weights(STATE)
    masks = {layer.name: source.operands(layer) for layer in NET.layers}
    assert (masks["conv"].weight_values == STATE["conv.weight"]).all()
    assert (masks["features.0"].weights[:, :, 0, 0] == (STATE["features.0.weight"] != 0)).all()
    assert (masks["fc"].weights[:, :, 0, 0] == (STATE["fc"] != 0)).all()
    halves = np.hstack([STATE["lstm.weight_ih_l0"], STATE["lstm.weight_hh_l0"]])
    assert (masks["lstm"].weight_values[:, :, 0, 0] == halves).all()
    assert masks["conv"].origins["weights"].startswith("file: state.")


def test_the_name_of_this_project_comes_first(weights):
    own = np.ones((8, 5), int)
    assert weights(STATE | {"lstm.weights": own.reshape(8, 5, 1, 1)}).operands(LSTM).weight_nonzeros == 40
    assert weights({"fc": 0 * STATE["fc"], "fc.weight": STATE["fc"]}).operands(FC).weight_nonzeros > 0


def test_a_missing_or_misshapen_half_is_one_line(weights):
    lost = {key: array for key, array in STATE.items() if key != "lstm.weight_hh_l0"}
    assert "no array 'lstm.weight_hh_l0'; did you mean 'lstm.weight_ih_l0'?" in refusal(weights(lost).operands, LSTM)
    wide = STATE | {"lstm.weight_hh_l0": np.ones((8, 3))}
    assert "lstm.weight_hh_l0: shape (8, 3); allowed: (8, 2)" in refusal(weights(wide).operands, LSTM)


def test_only_a_kernel_of_one_word_may_leave_its_axes_out(weights):
    flat = {"conv.weight": np.ones((4, 27), "int8")}
    assert "conv.weight: shape (4, 27); allowed: (4, 3, 3, 3)" in refusal(weights(flat).operands, CONV)
    flat["conv.weight"] = np.ones((4, 3), "int8")
    assert "conv.weight: shape (4, 3); allowed: (4, 3, 3, 3)" in refusal(weights(flat).operands, CONV)


def test_names_of_others_are_exact_and_the_nearest_is_told(weights):
    assert "no array 'conv.weights'; did you mean 'conv.weight_'?" in refusal(
        weights({"conv.weight_": STATE["conv.weight"]}).operands, CONV
    )
    assert "no array 'conv.weights'" in refusal(weights({"conv.weight_ih_l0": STATE["conv.weight"]}).operands, CONV)


def test_a_run_takes_a_safetensors_file(tmp_path):
    net = tmp_path / "net.toml"
    net.write_text(
        'title = "t"\nsource = "s"\ninputs = {x = [2, 5, 5]}\n'
        'layers = [{name = "conv", kind = "conv", K = 3, kernel = 3}]\n'
    )
    kernels = np.zeros((3, 2, 3, 3), "float32")
    kernels[0, 0, 1, 1] = kernels[2, 1, 0, 2] = 0.5
    path = str(tmp_path / "w.safetensors")
    save_file({"conv.weight": kernels}, path)
    run = simulate("scnn", str(net), weights=path, activations="density=1.0", check=True)
    assert run.total("macs_effectual") == 2 * 9
