"""Machines of `sim` as devices: forward as `sim` has it, gradients as layers of as many MACs, the rest by its bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel import config, simulate
from archmodel.errors import WorkloadError
from archmodel.exchange import read_network
from archmodel.network import Layer, Network
from archmodel.operands.source import Source
from archmodel.training import STUDY, TrainingChoices, training_graph
from archmodel.training.devices import open_device
from archmodel.training.gradient_layers import kernel_parts, pass_layers
from archmodel.training.machine_device import MachineDevice, placed
from tests.training.random_networks import random_network

BACKWARD = ("data_gradient", "weight_gradient")


def one(device, network, layer, operation, batch, choices=STUDY):
    (option,) = device.options(network, layer, operation, batch, choices)
    assert option.workspace_bytes == 0
    assert option.seconds > 0
    assert 0 <= option.dram_s <= option.seconds
    return option


def conv(**others):
    fields = {"C": 8, "H": 12, "W": 12, "K": 16, "R": 3, "S": 3} | others
    C, H, W, K = (fields.pop(key) for key in "CHWK")
    return Layer("conv", "conv", ("x",), (C, H, W), K, **fields)


def alone(layer):
    return Network("alone", "alone", "made up", dict.fromkeys(layer.inputs, layer.input_shape), (layer,))


@pytest.mark.parametrize("arch", ["scnn", "dcnn", "tpu_v1", "cambricon_x", "cnvlutin"])
def test_a_forward_step_takes_what_sim_takes_for_the_layer_alone(arch):
    network, device = read_network("alexnet"), open_device(arch)
    for name in ("conv3", "fc7"):
        run = simulate(arch, "alexnet", layers=[name], fidelity="statistical", batch=4)
        step = one(device, network, network.layer(name), "forward", 4)
        (layer,) = run.layers
        assert step.seconds == pytest.approx(layer.cycles / run.clock_hz)
        assert step.dram_s == pytest.approx(min(step.seconds, layer.dram_bytes / 50e9))
        assert one(device, network, network.layer(name), "recompute", 4) == step


def test_an_exact_forward_step_takes_what_exact_sim_takes():
    network, device = read_network("alexnet"), open_device("scnn")
    exact = MachineDevice(device.machine, device.memory, fidelity="exact", seed=3)
    run = simulate("scnn", "alexnet", layers=["conv3"], seed=3)
    layer = network.layer("conv3")
    assert one(exact, network, layer, "forward", 1).seconds == pytest.approx(run.layers[0].cycles / run.clock_hz)
    assert one(exact, network, layer, "forward", 1) != one(device, network, layer, "forward", 1)
    for operation in BACKWARD:
        near = one(device, network, layer, operation, 1).seconds
        assert one(exact, network, layer, operation, 1).seconds == pytest.approx(near, rel=0.2)


SHAPES = st.builds(
    conv,
    C=st.sampled_from([2, 6, 8]),
    K=st.sampled_from([2, 4, 16]),
    H=st.integers(7, 14),
    W=st.integers(7, 14),
    R=st.integers(1, 5),
    S=st.integers(1, 5),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(*[st.integers(0, 2)] * 4),
    groups=st.sampled_from([1, 2]),
)


@settings(max_examples=200)
@given(SHAPES)
def test_both_gradients_have_the_macs_of_the_forward_pass(layer):
    for operation in BACKWARD:
        assert sum(part.layer.macs for part in pass_layers(layer, operation)) == layer.macs
    assert not any(part.layer.bias for part in pass_layers(layer, "data_gradient"))


@given(st.integers(1, 11), st.integers(1, 11))
def test_the_parts_of_a_kernel_are_its_taps_by_their_offset_from_the_stride(extent, stride):
    by_offset = {}
    for tap in range(extent):
        by_offset[tap % stride] = by_offset.get(tap % stride, 0) + 1
    assert kernel_parts(extent, stride) == [by_offset[offset] for offset in sorted(by_offset)]


def data_gradient(weights, gradients, extent, stride):
    """dX of one row, y[p] = sum w[r] x[p * stride + r]: the plain sum over everything that used x."""
    found = np.zeros(extent)
    for p, value in enumerate(gradients):
        for r, weight in enumerate(weights):
            found[p * stride + r] += weight * value
    return found


@pytest.mark.parametrize(("R", "stride"), [(3, 1), (3, 2), (5, 2), (11, 4), (1, 2), (2, 3)])
def test_a_strided_data_gradient_is_a_convolution_by_each_part_of_the_kernel(R, stride):
    """The equivalence itself, on numbers: inputs at one offset from the stride are dY convolved with the taps there."""
    rng = np.random.default_rng(R + stride)
    weights, gradients = rng.normal(size=R), rng.normal(size=9)
    extent = 8 * stride + R
    expected = data_gradient(weights, gradients, extent, stride)
    parts = kernel_parts(R, stride)
    for offset in range(stride):
        own = np.zeros(len(expected[offset::stride]))
        if offset < len(parts):
            made = np.convolve(gradients, weights[offset::stride])
            assert len(weights[offset::stride]) == parts[offset]
            own[: len(made)] = made
        np.testing.assert_allclose(expected[offset::stride], own, atol=1e-12)


def test_gradients_of_a_dense_machine_take_as_long_as_its_forward_pass_where_arithmetic_decides():
    """A plane of 64x64 on systolic arrays of 16x16: as many tiles in every pass, memory hidden."""
    layer = conv(C=64, K=64, H=64, W=64, padding=(1, 1, 1, 1))
    network, device = alone(layer), open_device("systolic_16x16_ws")
    passes = [one(device, network, layer, operation, 4).seconds for operation in ("forward", *BACKWARD)]
    assert passes == pytest.approx([passes[0]] * 3, rel=0.02)


def test_zeros_that_are_known_are_skipped_in_the_gradient_that_reads_them():
    """Density 0.25 of W: the data gradient profits and not the weight gradient; of X the other way round."""
    layer = conv(C=64, K=64, H=32, W=32, padding=(1, 1, 1, 1))
    network, scnn = alone(layer), open_device("scnn")
    dense = MachineDevice(scnn.machine, scnn.memory)
    sparse_w = MachineDevice(scnn.machine, scnn.memory, weights=Source(density=0.25))
    sparse_x = MachineDevice(scnn.machine, scnn.memory, activations=Source(density=0.25))
    sparse_gradient = MachineDevice(scnn.machine, scnn.memory, gradient_density=0.25)

    def seconds(device, operation):
        return one(device, network, layer, operation, 4).seconds

    assert seconds(sparse_w, "data_gradient") < 0.5 * seconds(dense, "data_gradient")
    assert seconds(sparse_w, "weight_gradient") == seconds(dense, "weight_gradient")
    assert seconds(sparse_x, "weight_gradient") < 0.5 * seconds(dense, "weight_gradient")
    assert seconds(sparse_x, "data_gradient") == seconds(dense, "data_gradient")
    assert all(seconds(sparse_gradient, which) < 0.5 * seconds(dense, which) for which in BACKWARD)
    assert seconds(sparse_gradient, "forward") == seconds(dense, "forward")


def test_what_nobody_states_is_dense():
    layer, device = conv(C=64, K=64), open_device("scnn")
    for given_weights, given_activations in ((None, None), (0.5, None), (None, 0.5)):
        sources = [Source(density=share) for share in (given_weights, given_activations)]
        some = MachineDevice(device.machine, device.memory, *sources)
        stated = MachineDevice(device.machine, device.memory, *[Source(density=one.density or 1.0) for one in sources])
        assert one(some, alone(layer), layer, "forward", 2) == one(stated, alone(layer), layer, "forward", 2)


def test_gradients_of_fully_connected_layers_and_of_attention():
    fc = Layer("fc", "fc", ("x",), (100, 1, 1), 30)
    (swapped,) = pass_layers(fc, "data_gradient")
    assert (swapped.layer.C, swapped.layer.K, swapped.layer.kind, swapped.layer.bias) == (30, 100, "fc", False)
    assert (swapped.kernels, swapped.inputs) == ("W", "gradient")
    product = Layer("product", "matmul", ("x", "y"), (8, 4, 4), 16, mode="transposed")
    assert [(part.kernels, part.inputs) for part in pass_layers(product, "data_gradient")] == [
        ("W", "gradient"),
        ("gradient", "X"),
    ]
    lstm = Layer("lstm", "lstm", ("x",), (8, 5, 1), 16)
    for operation in BACKWARD:
        assert sum(part.layer.macs for part in pass_layers(lstm, operation)) == lstm.macs


def test_other_layers_take_the_time_of_their_bytes():
    """50 GB/s and 100 ns at 1 GHz: a ReLU reads and writes its plane, and reads Y and dY and writes dX."""
    relu = Layer("relu", "activation", ("x",), (64, 32, 32), 64, mode="relu")
    network, device = alone(relu), open_device("scnn")
    num_bytes = 4 * 8 * 64 * 32 * 32
    for operation, tensors in (("forward", 2), ("recompute", 2), ("data_gradient", 3), ("loss", 2)):
        option = one(device, network, relu, operation, 8)
        assert option.seconds == pytest.approx(tensors * num_bytes / 50e9 + 100e-9, abs=3e-9)
        assert option.dram_s == pytest.approx(tensors * num_bytes / 50e9)
    fc = Layer("fc", "fc", ("x",), (1000, 1, 1), 1000, bias=False)
    update = one(device, alone(fc), fc, "update", 8, TrainingChoices(optimizer="adam"))
    assert update.dram_s == pytest.approx(7 * 4 * 1e6 / 50e9)


def test_a_layer_that_multiplies_and_does_not_run_is_refused():
    network, device = read_network("alexnet"), open_device("eie")
    with pytest.raises(WorkloadError, match=r"^layer 'conv1': eie runs no conv; allowed: fc, lstm, gru, rnn"):
        device.options(network, network.layer("conv1"), "forward", 1, STUDY)
    assert one(device, network, network.layer("fc7"), "weight_gradient", 1).seconds > 0


@pytest.mark.parametrize("arch", [name for name in config.names("accelerators") if not name.startswith("eie")])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_machine_times_every_step_of_any_network(arch, seed):
    network, device = random_network(np.random.default_rng(seed), 12), open_device(arch)
    for step in training_graph(network, 2, STUDY).steps:
        one(device, network, network.layer(step.layer), step.operation, 2)


def test_a_dram_part_has_a_capacity_and_an_ideal_memory_has_none():
    assert open_device("scnn").memory_bytes is None
    assert open_device("scnn").dram_bytes_per_s == 50e9
    behind = open_device("scnn", memory="hbm2")
    assert behind.memory_bytes == 8 * 2**30
    assert behind.dram_bytes_per_s == pytest.approx(256e9)
    relu = Layer("relu", "activation", ("x",), (64, 32, 32), 64, mode="relu")
    option = one(behind, alone(relu), relu, "forward", 8)
    assert option.seconds > option.dram_s == pytest.approx(2 * 4 * 8 * 65536 / 256e9)


def test_a_batch_of_more_words_than_an_operand_has_is_refused_where_masks_are_made():
    layer = conv(C=64, H=224, W=224)
    device = open_device("dcnn")
    exact = MachineDevice(device.machine, device.memory, fidelity="exact")
    with pytest.raises(WorkloadError, match=r"^layer 'conv': batch = 1000: takes at most 668 images$"):
        exact.options(alone(layer), layer, "weight_gradient", 1000, STUDY)


def test_zeros_of_gradients_are_as_many_as_their_density_says():
    from archmodel.operands.operands import Densities

    layer = conv()
    operands = placed(layer, Densities(3, 0.5, 0.25, 1.0), 0, 0)
    operands.check_shapes(layer)
    assert (operands.batch, operands.weight_density, operands.input_density) == (3, 0.5, 0.25)


def test_the_parts_of_a_data_gradient_run_one_after_the_other():
    layer, device = conv(C=32, K=32, H=33, W=33, R=5, S=5, stride=(2, 2)), open_device("systolic_16x16_ws")
    parts = [part.layer for part in pass_layers(layer, "data_gradient")]
    assert len(parts) == 4
    alike = [one(device, alone(part), part, "forward", 2) for part in parts]
    gradient = one(device, alone(layer), layer, "data_gradient", 2)
    assert gradient.seconds == pytest.approx(sum(part.seconds for part in alike))
    assert gradient.dram_s == pytest.approx(sum(part.dram_s for part in alike))


def test_layers_of_one_shape_are_computed_once_unless_their_zeros_are_walked():
    layers = tuple(Layer(name, "conv", ("x",), (16, 8, 8), 16, R=3, S=3) for name in ("a", "b"))
    network = Network("two", "two", "made up", {"x": (16, 8, 8)}, layers)
    half, device = Source(density=0.5), open_device("scnn")
    for fidelity, count in (("statistical", 1), ("exact", 2)):
        own = MachineDevice(device.machine, device.memory, half, half, fidelity=fidelity)
        times = [one(own, network, layer, "forward", 1).seconds for layer in layers]
        assert len(own.known) == len(set(times)) == count
