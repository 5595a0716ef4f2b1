"""Training steps on a GPU: rooflines by hand, choices of algorithms, and the device files."""

import re
import runpy
from pathlib import Path

import pytest

from archmodel import config
from archmodel.accelerators.conv_algorithms import PASSES, conv_work
from archmodel.accelerators.gpu import Gpu
from archmodel.accelerators.gpu_config import load_device
from archmodel.errors import ConfigError
from archmodel.exchange import read_network
from archmodel.network import Layer

ROOT = Path(__file__).resolve().parents[2]
TITANX = load_device("titanx_maxwell")
LIMITS = ("lanes=1000", "clock_hz=1e9", "dram_bytes_per_s=1e11", "multiprocessors=8", "fp16_rate=2.0")
EVEN = tuple(f"efficiency.{name}=0.5" for name in type(TITANX.efficiency).model_fields)
DEVICE = load_device("titanx_maxwell", LIMITS + EVEN)  # 5e11 multiply-adds and 5e10 bytes a second


def layer_of(kind, C=8, H=16, K=None, inputs=("x",), **others):
    """A layer that keeps its channels unless K is given."""
    return Layer(kind, kind, inputs, (C, H, H), C if K is None else K, **others)


CONV = layer_of("conv", C=256, K=256, R=3, S=3, padding=(1, 1, 1, 1))
NARROW = layer_of("conv", C=1, K=4, R=3, S=3, padding=(1, 1, 1, 1), bias=False)


def test_arithmetic_bounds_a_deep_convolution_and_its_bias_is_a_kernel_of_its_own():
    step = Gpu(DEVICE, "memory").step(CONV, "forward", 4)
    assert step.seconds == pytest.approx(4 * CONV.macs / 5e11 + 2 * 4 * 4 * CONV.output_words / 5e10)
    gradient = Gpu(DEVICE, "memory").step(CONV, "weight_gradient", 4)
    assert gradient.seconds == pytest.approx(4 * CONV.macs / 5e11 + 4 * 4 * CONV.output_words / 5e10)
    assert (step.algorithm, step.workspace_bytes) == ("implicit_gemm", 0)


def test_bytes_bound_a_narrow_convolution():
    step = Gpu(DEVICE, "memory").step(NARROW, "forward", 16)
    assert step.seconds == step.transfer_s == pytest.approx(4 * (16 * 5 * 256 + 36) / 5e10)
    assert step.operations_s == pytest.approx(16 * NARROW.macs / 5e11)


def test_few_kernels_keep_few_multiprocessors_busy():
    """One tile of 64x64 holds the gradient of all weights: one of 8 multiprocessors sums it, unless sums are split."""
    deep = layer_of("conv", C=7, K=64, R=3, S=3, padding=(1, 1, 1, 1), bias=False)
    steps = {name: Gpu(DEVICE, "memory", name).step(deep, "weight_gradient", 64) for name in ("cudnn4", "neon")}
    assert steps["neon"].operations_s == pytest.approx(64 * deep.macs / 5e11)
    assert steps["cudnn4"].operations_s == pytest.approx(8 * steps["neon"].operations_s)
    assert Gpu(DEVICE, "memory").step(deep, "forward", 64).operations_s == steps["neon"].operations_s


def test_kernels_of_a_fast_convolution_run_one_after_the_other():
    work = conv_work("fft", CONV, "forward", 4)
    wide = load_device("titanx_maxwell", (*LIMITS[:2], "dram_bytes_per_s=4e11", *EVEN))
    step = Gpu(wide).candidates(CONV, "forward", 4)["fft"]
    assert step.seconds == pytest.approx(
        sum(max(one.operations / 5e11, one.bytes_moved / 2e11) for one in work.kernels)
    )
    assert step.seconds > max(step.operations_s, step.transfer_s)
    assert step.workspace_bytes == work.workspace_bytes


WORDS = {  # of one image, forward and backward, in planes of 8 x 16 x 16
    "activation": (layer_of("activation", mode="relu"), 2, 3),
    "softmax": (layer_of("softmax"), 2, 3),
    "dropout": (layer_of("dropout"), 3, 3),
    "norm": (layer_of("norm", mode="lrn"), 3, 5),
    "batch norm": (layer_of("norm", mode="batch"), 3, 5 + 2),
    "add": (layer_of("add", inputs=("x", "y")), 3, 3),
    "multiply": (layer_of("multiply", inputs=("x", "y")), 3, 5),
    "concat": (layer_of("concat", inputs=("x", "y")), 2, 2),
    "pool": (layer_of("pool", mode="max", R=2, S=2, stride=(2, 2)), 1.25, 2.5),
    "overlapping pool": (layer_of("pool", mode="max", R=3, S=3, padding=(1, 1, 1, 1)), 3 + 1, 3 + 1 + 2),
}


@pytest.mark.parametrize("name", WORDS)
def test_other_layers_move_their_tensors(name):
    layer, forward, backward = WORDS[name]
    time = Gpu(DEVICE).layer_time(layer, 10)
    plane_s = 4 * 10 * 8 * 16 * 16 / 5e10
    assert time.forward_s == pytest.approx(forward * plane_s)
    assert time.backward_s == pytest.approx(backward * plane_s)
    assert time.seconds == time.forward_s + time.backward_s


def test_the_gradient_of_a_pool_has_its_own_efficiency():
    layer = WORDS["pool"][0]
    slow = Gpu(load_device("titanx_maxwell", (*LIMITS, *EVEN[:-1], "efficiency.pool_gradient=0.25")))
    assert slow.step(layer, "data_gradient", 3).seconds == pytest.approx(
        2 * Gpu(DEVICE).step(layer, "data_gradient", 3).seconds
    )
    assert slow.step(layer, "forward", 3) == Gpu(DEVICE).step(layer, "forward", 3)


def test_a_fully_connected_layer_fetches_its_weights_once():
    layer = Layer("fc", "fc", ("x",), (1000, 1, 1), 500)
    for N, operations in ((1, 500e3), (1000, 500e6)):
        step = Gpu(DEVICE).step(layer, "data_gradient", N)
        assert step.operations_s == pytest.approx(operations / 5e11)
        assert step.transfer_s == pytest.approx(4 * (500e3 + N * 1500) / 5e10)
        assert step.seconds == max(step.operations_s, step.transfer_s)
    assert Gpu(DEVICE).step(layer, "forward", 7).transfer_s == pytest.approx(4 * (500e3 + 7 * 2500) / 5e10)


def test_a_recurrent_layer_fetches_its_weights_each_step_and_a_matmul_for_each_image():
    lstm = Layer("l", "lstm", ("x",), (10, 6, 1), 20, bias=False)
    assert Gpu(DEVICE).step(lstm, "forward", 3).transfer_s == pytest.approx(4 * (6 * 2400 + 3 * 6 * 30) / 5e10)
    product = Layer("m", "matmul", ("a", "b"), (8, 4, 1), 5, mode="transposed")
    assert Gpu(DEVICE).step(product, "forward", 3).transfer_s == pytest.approx(4 * 3 * (40 + 32 + 20) / 5e10)


def test_half_words_halve_the_bytes_and_only_products_are_faster():
    half = Gpu(DEVICE, "memory", word_bytes=2)
    assert half.step(NARROW, "forward", 16).seconds == pytest.approx(2 * (16 * 5 * 256 + 36) / 5e10)
    full, fast = Gpu(DEVICE).candidates(CONV, "forward", 4), half.candidates(CONV, "forward", 4)
    assert fast["implicit_gemm"].operations_s == pytest.approx(full["implicit_gemm"].operations_s / 2)
    assert fast["fft"].operations_s == full["fft"].operations_s
    fc = Layer("fc", "fc", ("x",), (1000, 1, 1), 500)
    assert half.step(fc, "forward", 9).operations_s == pytest.approx(
        Gpu(DEVICE).step(fc, "forward", 9).operations_s / 2
    )


def test_the_first_layer_makes_no_data_gradient():
    network = read_network("alexnet_owt")
    times = Gpu(TITANX).network_times(network, 8)
    assert [time.name for time in times if len(time.steps) < 3] == ["conv1"]
    assert "data_gradient" not in times[0].steps
    assert times[0].backward_s == times[0].steps["weight_gradient"].seconds


@pytest.mark.parametrize("name", ["alexnet_owt", "vgg16", "googlenet"])
@pytest.mark.parametrize("library", ["cudnn4", "cudnn5", "neon"])
def test_performance_is_the_fastest_and_memory_needs_no_workspace(name, library):
    fast, small = Gpu(TITANX, "performance", library), Gpu(TITANX, "memory", library)
    for layer in read_network(name).layers:
        if layer.kind != "conv":
            continue
        for which in PASSES:
            found = fast.candidates(layer, which, 32)
            best = found[fast.step(layer, which, 32).algorithm]
            assert best.seconds == min(step.seconds for step in found.values())
            assert small.step(layer, which, 32).workspace_bytes == 0
            assert set(found) <= set(TITANX.libraries[library].algorithms(which))
        assert fast.layer_time(layer, 32).workspace_bytes == max(
            fast.step(layer, w, 32).workspace_bytes for w in PASSES
        )


def test_a_workspace_limit_leaves_out_what_needs_more():
    needed = Gpu(TITANX).candidates(CONV, "forward", 4)["fft"].workspace_bytes
    for num_bytes, there in ((needed, True), (needed - 1, False)):
        assert ("fft" in Gpu(TITANX, workspace_limit_bytes=num_bytes).candidates(CONV, "forward", 4)) is there
    assert set(Gpu(TITANX, workspace_limit_bytes=0).candidates(CONV, "forward", 4)) == {"implicit_gemm"}


def test_a_named_algorithm_is_used_where_it_can_be():
    gpu = Gpu(TITANX, "winograd_2x2", "cudnn5")
    strided = layer_of("conv", C=4, K=4, R=3, S=3, stride=(2, 2))
    assert gpu.step(CONV, "forward", 1).algorithm == "winograd_2x2"
    assert gpu.step(CONV, "weight_gradient", 1).algorithm == "implicit_gemm"  # cuDNN has none
    assert gpu.step(strided, "forward", 1).algorithm == "implicit_gemm"


@pytest.mark.parametrize("faster", ["lanes=6144", "dram_bytes_per_s=673e9"])
def test_a_faster_device_is_never_slower(faster):
    for name in ("alexnet_owt", "resnet18"):
        network = read_network(name)
        slow, fast = (
            Gpu(device).network_times(network, 16) for device in (TITANX, load_device("titanx_maxwell", (faster,)))
        )
        assert all(new.forward_s <= old.forward_s for new, old in zip(fast, slow, strict=True))
        assert all(new.backward_s <= old.backward_s for new, old in zip(fast, slow, strict=True))
        assert sum(time.seconds for time in fast) < sum(time.seconds for time in slow)


def test_nothing_beats_the_peak_of_matrix_products():
    for time, layer in zip(
        Gpu(TITANX, "memory").network_times(read_network("vgg16"), 4), read_network("vgg16").layers, strict=True
    ):
        assert time.forward_s >= 4 * layer.macs / TITANX.operations_per_s


@pytest.mark.parametrize(
    ("name", "flops", "gib"), [("titanx_maxwell", 6.6e12, 12), ("p100", 10.6e12, 16), ("v100", 15.7e12, 16)]
)
def test_devices_have_their_published_peaks(name, flops, gib):
    device = load_device(name)
    assert 2 * device.operations_per_s == pytest.approx(flops, rel=0.005)
    assert device.memory_bytes == gib * 2**30
    assert device.efficiency == TITANX.efficiency.model_copy()


def test_every_device_is_read():
    assert config.names("devices") == ["mcdla", "p100", "titanx_caffe", "titanx_maxwell", "v100"]


def test_the_efficiencies_are_those_of_the_fit():
    fit = runpy.run_path(str(ROOT / "results" / "gpu_calibration" / "fit.py"))
    start = fit["with_efficiency"](TITANX, tuple(type(TITANX.efficiency).model_fields), 0.5)
    fitted, lines = fit["fit"](start)
    assert fitted.efficiency == TITANX.efficiency
    page = (ROOT / "results" / "gpu_calibration" / "fit.md").read_text("utf-8")
    assert all(line in page for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "winograd_2x"}, "algorithm = 'winograd_2x': allowed: memory, performance, impl.*'winograd_2x2'"),
        ({"library": "cudnn3"}, "library = 'cudnn3': allowed: cudnn4, cudnn5, neon; did you mean 'cudnn"),
        ({"word_bytes": 8}, "word_bytes = 8: allowed: 2, 4"),
        ({"workspace_limit_bytes": -1}, "workspace_limit_bytes = -1: allowed: 0 or more"),
    ],
)  # fmt: skip
def test_what_a_device_has_not_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Gpu(TITANX, **arguments)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("library='cudnn9'", "library = 'cudnn9': allowed: cudnn4, cudnn5, neon"),
        ("libraries.cudnn4.forward=['fft']", "forward lacks implicit_gemm"),
        ("efficiency.fft=1.1", "must be at most 1"),
        ("fp16_rate=0.5", "must be at least 1"),
        ("memory_bytes=0", "must be greater than 0"),
    ],
)
def test_mistakes_in_a_device_file(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load_device("titanx_maxwell", (assignment,))


@pytest.mark.parametrize("change", ["clock_hz=1e-300", "dram_bytes_per_s=1e-300", "clock_hz=inf", "clock_hz=1e300"])
def test_rates_are_numbers_that_times_can_be_made_of(change):
    with pytest.raises(ConfigError, match=f"^--set {re.escape(change)}: must be (a finite|at least|at most) "):
        load_device("v100", (change,))
