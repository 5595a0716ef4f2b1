"""Effectual MACs of real inputs equal a count from onnxruntime's arrays that shares no code with archmodel."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import archmodel
from tests.exchange.onnx_models import model_of, node, run, save
from tests.reference import effectual_macs

ARCHS = ("tpu_v1", "scnn", "cnvlutin", "dcnn")


def numbers(rng, *dims):
    """Real numbers, about half of them zero."""
    return np.where(rng.random(dims) < rng.uniform(0.2, 0.8), rng.normal(size=dims), 0).astype(np.float32)


def codes(rng, zero_points, *dims, dtype="uint8"):
    """Codes around their zero points, many of them at it."""
    limits = np.iinfo(dtype)
    return np.clip(rng.normal(zero_points, 1.5, dims).round(), limits.min, limits.max).astype(dtype)


class Convolution:
    """A random window over [N, C, H, W]."""

    def __init__(self, rng, groups):
        self.groups = groups
        self.taps, self.strides, self.dilations = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
        self.pads = tuple(rng.integers(0, 3, 4).tolist())

    @property
    def attributes(self):
        return {
            "strides": self.strides, "dilations": self.dilations, "pads": self.pads, "group": self.groups,
            "kernel_shape": self.taps,
        }  # fmt: skip

    def count(self, inputs, weights):
        return effectual_macs.convolution(inputs, weights, self.strides, self.pads, self.dilations, self.groups)


def assert_counted(nodes, stored, image, expected, tmp_path, arch, outputs=None):
    """`expected` gives effectual MACs by layer from all tensors of a run; phases of a layer are summed."""
    model = model_of(nodes, {"x": ("n", *image.shape[1:])}, stored, outputs=outputs)
    np.save(tmp_path / "x.npy", image)
    wanted = [expected({"x": image[at : at + 1]} | run(model, {"x": image[at : at + 1]})) for at in range(len(image))]
    names = {name: sum(one[name] for one in wanted) for name in wanted[0]}
    result = archmodel.simulate(arch, str(save(model, tmp_path)), inputs=[str(tmp_path / "x.npy")], threads=1)
    found = dict.fromkeys(names, 0)
    for layer in result.layers:
        found[layer.name.partition(".")[0]] += layer.macs_effectual
    assert found == names
    assert all(0 < layer.macs_effectual < layer.macs_dense for layer in result.layers)


@pytest.mark.parametrize("seed", range(8))
def test_convolutions_of_floats(seed, tmp_path):
    rng = np.random.default_rng(seed)
    groups = (1, 2, 4)[seed % 3]
    first, second = Convolution(rng, groups), Convolution(rng, 1)
    w, v = numbers(rng, 8, 4 // groups, *first.taps), numbers(rng, 5, 8, *second.taps)
    nodes = [
        node("Conv", ["x", "w"], "first", **first.attributes),
        node("Relu", ["first"], "r"),
        node("Conv", ["r", "v"], "second", **second.attributes),
    ]

    def expected(arrays):
        return {"first": first.count(arrays["x"] != 0, w != 0), "second": second.count(arrays["r"] != 0, v != 0)}

    image = numbers(rng, 2, 4, 17, 18)
    assert_counted(nodes, {"w": w, "v": v}, image, expected, tmp_path, ARCHS[seed % len(ARCHS)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_convolutions_of_codes_have_zero_points(seed, kind, tmp_path):
    rng = np.random.default_rng(seed)
    groups = (1, 2)[seed % 2]
    window = Convolution(rng, groups)
    per_channel = kind == "static" and seed % 3 > 0
    signed = "int8" if per_channel else "uint8"
    zero_points = rng.integers(-3, 4, 6).astype(np.int8) if per_channel else np.uint8(rng.integers(1, 200))
    centre = zero_points.reshape(-1, 1, 1, 1) if per_channel else zero_points
    w = codes(rng, centre, 6, 4 // groups, *window.taps, dtype=signed)
    stored = {"w": w, "wz": zero_points, "s": np.float32(0.4), "z": np.uint8(rng.integers(1, 9))}
    stored |= {"ws": np.full(6, 0.1, np.float32) if per_channel else np.float32(0.1), "os": np.float32(9)}
    if kind == "static":
        first = node("QuantizeLinear", ["x", "s", "z"], ["q"])
        last = node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "os", "z"], "y", **window.attributes)
    else:
        first = node("DynamicQuantizeLinear", ["x"], ["q", "scale", "z2"])
        last = node("ConvInteger", ["q", "w", "z2", "wz"], "y", **window.attributes)

    def expected(arrays):
        zero = stored["z"] if kind == "static" else arrays["z2"]
        assert 0 < np.count_nonzero(arrays["q"] == zero) < arrays["q"].size
        return {"y": window.count(arrays["q"] != zero, w != centre)}

    assert_counted([first, last], stored, numbers(rng, 2, 4, 12, 11), expected, tmp_path, ARCHS[seed % 4])


@pytest.mark.parametrize("seed", range(6))
def test_phases_of_transposed_convolutions(seed, tmp_path):
    rng = np.random.default_rng(seed)
    groups, window = (1, 2)[seed % 2], Convolution(rng, 1)
    attributes = window.attributes | {"group": groups, "pads": (0, 1, 1, 0), "dilations": (1, 1)}
    w = numbers(rng, 4, 6 // groups, *window.taps)

    def expected(arrays):
        shape = arrays["y"].shape[2:]
        more = {"strides": window.strides, "pads": attributes["pads"]}
        return {"y": effectual_macs.transposed_convolution(arrays["x"] != 0, w != 0, shape, **more)}

    nodes = [node("ConvTranspose", ["x", "w"], "y", **attributes)]
    assert_counted(nodes, {"w": w}, numbers(rng, 2, 4, 5, 6), expected, tmp_path, ARCHS[seed % 4])


@pytest.mark.parametrize("seed", range(4))
def test_products_of_two_tensors(seed, tmp_path):
    rng = np.random.default_rng(seed)
    heads, steps, depth = (int(one) for one in rng.integers(2, 6, 3))
    stored = {name: numbers(rng, 4, heads * depth) for name in ("wq", "wk")}
    stored |= {"split": np.array([1, steps, heads, depth])}
    nodes = [
        node("MatMul", ["x", "wq"], "q"),
        node("MatMul", ["x", "wk"], "k"),
        node("Relu", ["q"], "qr"),
        node("Relu", ["k"], "kr"),
        node("Reshape", ["qr", "split"], "qs"),
        node("Reshape", ["kr", "split"], "ks"),
        node("Transpose", ["qs"], "qt", perm=[0, 2, 1, 3]),
        node("Transpose", ["ks"], "kt", perm=[0, 2, 3, 1]),
        node("MatMul", ["qt", "kt"], "scores"),
        node("Relu", ["scores"], "sr"),
        node("Transpose", ["ks"], "vt", perm=[0, 2, 1, 3]),
        node("MatMul", ["sr", "vt"], "y"),
    ]

    def expected(arrays):
        masks = {name: array != 0 for name, array in (arrays | stored).items()}
        pairs = {"q": ("x", "wq"), "k": ("x", "wk"), "scores": ("qt", "kt"), "y": ("sr", "vt")}
        return {name: effectual_macs.product(*(masks[one] for one in pair)) for name, pair in pairs.items()}

    assert_counted(nodes, stored, numbers(rng, 2, steps, 4), expected, tmp_path, ("tpu_v1", "dcnn")[seed % 2])


@pytest.mark.parametrize("seed", range(3))
def test_rows_behind_a_flatten_with_channels_last(seed, tmp_path):
    rng = np.random.default_rng(seed)
    stored = {"w": numbers(rng, 3, 4, 2, 2), "v": numbers(rng, 60, 7), "zero": np.uint8(5), "s": np.float32(0.05)}
    stored |= {"c": codes(rng, 9, 60, 6), "nine": np.uint8(9)}
    nodes = [
        node("Conv", ["x", "w"], "a"),
        node("Relu", ["a"], "r"),
        node("Transpose", ["r"], "t", perm=[0, 2, 3, 1]),
        node("Flatten", ["t"], "f"),
        node("Gemm", ["f", "v"], "float"),
        node("QuantizeLinear", ["f", "s", "zero"], "q"),
        node("MatMulInteger", ["q", "c", "zero", "nine"], "integer"),
    ]

    def expected(arrays):
        rows = arrays["f"] != 0
        return {
            "a": effectual_macs.convolution(arrays["x"] != 0, stored["w"] != 0),
            "float": effectual_macs.product(rows, stored["v"] != 0),
            "integer": effectual_macs.product(arrays["q"] != 5, stored["c"] != 9),
        }

    arch = ("tpu_v1", "scnn", "cnvlutin")[seed]
    outputs = ["float", "integer"]
    assert_counted(nodes, stored, numbers(rng, 3, 4, 5, 6), expected, tmp_path, arch, outputs)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gates_of_recurrent_layers(kind, gates, direction, tmp_path):
    rng = np.random.default_rng(gates)
    stored = {"w": numbers(rng, 1, gates * 3, 4), "r": numbers(rng, 1, gates * 3, 3), "h": numbers(rng, 1, 1, 3)}
    nodes = [node(kind, ["x", "w", "r", "", "", "h"], "y", hidden_size=3, direction=direction)]
    model = model_of(nodes, {"x": (7, 1, 4)}, stored)
    x = numbers(rng, 7, 1, 4)
    np.save(tmp_path / "x.npy", x)
    states, first = run(model, {"x": x})["y"][:, 0], stored["h"]
    before = [*states[1:], first[0]] if direction == "reverse" else [first[0], *states[:-1]]
    expected = effectual_macs.recurrent(x != 0, np.array(before) != 0, stored["w"][0] != 0, stored["r"][0] != 0)
    result = archmodel.simulate("tpu_v1", str(save(model, tmp_path)), inputs=[str(tmp_path / "x.npy")])
    assert [layer.macs_effectual for layer in result.layers] == [expected]
    assert 0 < expected < result.layers[0].macs_dense
