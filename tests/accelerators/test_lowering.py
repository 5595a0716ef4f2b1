"""Layers that a machine does not have, as layers that it has: every part once, every count summed, nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.accelerators import lowering
from archmodel.accelerators.check import reference_outputs
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.result import LayerResult
from archmodel.errors import WorkloadError
from archmodel.memory.dram import Stream, load_memory
from archmodel.network.layer import GATES, Layer
from archmodel.operands.operands import Densities, Operands, effectual_macs, kernels_shape
from archmodel.operands.synthetic import place
from tests.reference.recurrent import effectual_products_of_steps, scores, weighted_values

MEMORY = load_memory("ideal")
KINDS = ("conv", "fc")


def recurrent(kind="lstm", C=6, K=4, T=5, **fields):
    return Layer("r", kind, ("x",), (C, T, 1), K, **fields)


def transposed(heads=2, depth=3, positions=(4, 1), keys=5):
    """Scores: heads * keys kernels of depth weights."""
    return Layer("m", "matmul", ("q", "k"), (heads * depth, *positions), heads * keys, groups=heads, mode="transposed")


def product(heads=2, depth=3, positions=(4, 1), keys=5):
    """Weighted values: heads * depth kernels of keys weights."""
    return Layer("m", "matmul", ("p", "v"), (heads * keys, *positions), heads * depth, groups=heads, mode="product")


def operands_of(layer, batch=1, densities=(0.5, 0.6), output_density=0.7, seed=0):
    rng = np.random.default_rng(seed)
    kernels, inputs = kernels_shape(layer, batch), (batch, *layer.multiplied_shape)
    return Operands(
        place(rng, kernels, round(densities[0] * np.prod(kernels))),
        place(rng, inputs, round(densities[1] * np.prod(inputs))),
        output_density,
        origins={"weights": "made up"},
    )


def context(**fields):
    return Context(MEMORY, **fields)


# Which layer runs


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_a_recurrent_layer_is_steps_of_all_gates(kind, gates):
    step = lowering.part_of(KINDS, recurrent(kind))
    assert (step.kind, step.input_shape, step.K) == ("fc", (10, 1, 1), gates * 4)
    assert step.macs * 5 == recurrent(kind).macs


@pytest.mark.parametrize("layer", [transposed(), product(), transposed(heads=1), product(positions=(3, 4))])
def test_a_matmul_is_a_grouped_convolution(layer):
    conv = lowering.part_of(KINDS, layer)
    assert (conv.kind, conv.groups, conv.C, conv.K) == ("conv", layer.groups, layer.C, layer.K)
    assert (conv.macs, conv.weight_shape) == (layer.macs, layer.weight_shape)
    assert conv.parameters == conv.weight_words


@pytest.mark.parametrize(
    ("shape", "plane"),
    [
        ((3, 128, 1), (8, 16)),
        ((3, 1, 128), (8, 16)),
        ((3, 36, 1), (6, 6)),
        ((3, 12, 1), (3, 4)),
        ((3, 7, 1), (1, 7)),  # a prime number of positions has no other plane
        ((3, 2, 1), (1, 2)),
        ((3, 1, 1), (1, 1)),
        ((3, 6, 2), (6, 2)),  # a plane as it is
        ((3, 14, 14), (14, 14)),
    ],
)
def test_a_line_of_positions_is_folded_into_the_most_square_plane(shape, plane):
    conv = Layer("c", "conv", ("x",), shape, 5)
    assert lowering.folded(conv).input_shape == (3, *plane)
    assert lowering.folded(conv).macs == conv.macs


@pytest.mark.parametrize(
    "layer",
    [
        Layer("c", "conv", ("x",), (3, 12, 1), 5, 3, 1),
        Layer("c", "conv", ("x",), (3, 12, 1), 5, stride=(2, 1)),
        Layer("c", "conv", ("x",), (3, 12, 1), 5, padding=(1, 0, 0, 0)),
        Layer("f", "fc", ("x",), (12, 1, 1), 5),
    ],
)
def test_neighbours_are_not_torn_apart(layer):
    assert lowering.folded(layer) is layer


@pytest.mark.parametrize("layer", [recurrent(), transposed()])
def test_a_machine_that_has_the_kind_runs_it_itself(layer):
    assert lowering.part_of((*KINDS, layer.kind), layer) is layer
    seen, operands = [], operands_of(layer)
    lowering.run_lowered((layer.kind,), None, layer, operands, context(), lambda *all_: seen.append(all_))
    assert seen == [(layer, operands, context())]


@pytest.mark.parametrize(
    ("kinds", "runs"),
    [
        (("conv", "fc"), {"conv", "fc", "lstm", "gru", "rnn", "matmul"}),
        (("fc",), {"fc", "lstm", "gru", "rnn"}),
        (("conv",), {"conv", "matmul"}),
        (("lstm",), {"lstm"}),
    ],
)
def test_what_a_machine_runs_follows_from_its_kinds(kinds, runs):
    layers = [recurrent(kind) for kind in GATES] + [transposed(), Layer("c", "conv", ("x",), (3, 4, 4), 5)]
    layers.append(Layer("f", "fc", ("x",), (12, 1, 1), 5))
    assert {layer.kind for layer in layers if lowering.runs(kinds, layer)} == runs


@pytest.mark.parametrize("kinds", [KINDS, ("fc",), ("lstm",)])
def test_all_steps_of_inputs_and_outputs_must_fit(kinds):
    stored = lowering.stored_as(kinds, recurrent(C=6, K=4, T=9))
    assert (stored.input_words, stored.output_words) == (6 * 9, 4 * 9)
    assert stored.kind in (*kinds, "conv")
    if stored.kind == "conv":
        assert (stored.H, stored.W) == (3, 3)


def test_long_sequences_are_stored_on_a_machine_of_fc_layers():
    stored = lowering.stored_as(("fc",), recurrent(C=1312, K=1280, T=2000))  # an fc layer of them would be too large
    assert (stored.input_words, stored.output_words) == (1312 * 2000, 1280 * 2000)


def test_buffers_are_asked_about_the_layer_that_runs():
    machine = load_machine("scnn")
    line = Layer("c", "conv", ("x",), (768, 128, 1), 768)
    # 2 of 8 x 16 positions a PE and 768 channels: 1,536 entries of 20 bits. One column of PEs: 16 x 768.
    assert machine.fits(line, 1.0, 1.0) == (True, True)
    assert machine.config.fits(line, 1.0, 1.0) == (False, False)


# Counts of the parts


def fake_result(layer, known, surroundings, cycles=10):
    """A result of a machine with 3 multipliers that read its counts off the operands."""
    work = effectual_macs(layer, known) if isinstance(known, Operands) else known.effectual_macs(layer)
    return LayerResult.of(
        layer,
        known,
        surroundings.check,
        num_multipliers=3,
        cycles=cycles + work,
        stack={"busy": work, "imbalance": 2 * work + 3 * cycles},
        macs_effectual=work,
        macs_issued=work + 1,
        words_read={"buffer": work},
        words_written={"buffer": 2},
        operations={"multipliers": work},
        streams=(Stream("weight", "read", 100, 0), Stream("weight", "read", 50, 1)),
        cycle_map=np.array([[work]]),
        details={"Kc": 8, "compute_cycles": cycles},
        cycles_ci95=(cycles + work - 1, cycles + work + 2) if surroundings.fidelity == "sampled" else None,
    )


def on_chip(**fields):
    return context(input_on_chip=True, output_on_chip=True, **fields)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_steps_have_the_products_of_a_walk_over_them(kind, batch):
    layer = recurrent(kind)
    operands = operands_of(layer, batch)
    counts = effectual_products_of_steps(
        operands.weights[:, :, 0, 0].tolist(), operands.inputs[:, :, :, 0].transpose(0, 2, 1).tolist()
    )
    seen = []

    def run(part, own, surroundings):
        seen.append((effectual_macs(part, own), own.inputs.shape))
        return fake_result(part, own, surroundings)

    result = lowering.run_lowered(KINDS, load_machine("scnn").config, layer, operands, on_chip(), run)
    assert seen == [(count, (batch, 10, 1, 1)) for count in counts]
    assert result.macs_effectual == sum(counts) == effectual_macs(layer, operands)
    assert result.macs_dense == layer.macs * batch


def test_every_count_of_the_steps_is_summed():
    layer = recurrent(T=4)
    operands = operands_of(layer, 2)
    result = lowering.run_lowered(KINDS, load_machine("scnn").config, layer, operands, on_chip(), fake_result)
    work = effectual_macs(layer, operands)
    assert (result.name, result.kind, result.cycles) == ("r", "lstm", 4 * 10 + work)
    assert result.stack == {"busy": work, "imbalance": 2 * work + 3 * 40, "memory": 0}
    assert (result.macs_issued, result.words_read, result.words_written) == (work + 4, {"buffer": work}, {"buffer": 8})
    assert result.operations == {"multipliers": work}
    assert (result.weight_density, result.input_density, result.output_density) == (
        operands.weight_density,
        operands.input_density,
        0.7,
    )
    assert result.details == {"Kc": 8, "compute_cycles": 40, "lowered_to": "fc", "parts": 4}
    assert result.cycle_map is None
    assert result.cycles_ci95 is None
    assert result.origins == {"weights": "made up"}


def test_the_weights_are_fetched_at_every_step():
    result = lowering.run_lowered(
        KINDS, load_machine("scnn").config, recurrent(T=3), operands_of(recurrent(T=3)), on_chip(), fake_result
    )
    assert [stream.num_bytes for stream in result.streams] == [100, 50] * 3
    assert [stream.tile for stream in result.streams] == [0, 1, 2, 3, 4, 5]


def test_equal_steps_run_once_and_count_as_often_as_they_occur():
    layer = recurrent(T=6)
    operands = operands_of(layer, densities=(0.5, 1.0))
    operands.inputs[:, 0, 2:4] = 0  # steps 2 and 3 are alike and differ from the others
    ran = []

    def run(part, own, surroundings):
        ran.append(int(own.inputs.sum()))
        return fake_result(part, own, surroundings)

    config = load_machine("scnn").config
    result = lowering.run_lowered(KINDS, config, layer, operands, on_chip(), run)
    assert ran == [10, 9]
    assert (result.details["parts"], result.macs_effectual) == (6, effectual_macs(layer, operands))
    assert result.details["compute_cycles"] == 60
    assert len(result.streams) == 12
    # Where the values of a step are used, equal zeros are not enough.
    values = np.arange(1, operands.inputs.size + 1, dtype=np.int32).reshape(operands.inputs.shape)
    ran.clear()
    lowering.run_lowered(KINDS, config, layer, replace(operands, input_values=values), on_chip(check=True), run)
    assert len(ran) == 6
    ran.clear()
    lowering.run_lowered(KINDS, config, layer, replace(operands, input_values=values), on_chip(), run)
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("where", "kinds"),
    [
        ({}, ["input", "output"]),
        ({"input_on_chip": True}, ["output"]),
        ({"output_on_chip": True}, ["input"]),
        ({"input_on_chip": True, "output_on_chip": True}, []),
    ],
)
def test_steps_find_their_state_on_chip_and_sequences_move_once(where, kinds):
    layer, config = recurrent(C=600, K=400, T=5), load_machine("scnn").config
    operands = operands_of(layer, 2, densities=(0.01, 0.5))

    def run(part, own, surroundings):
        assert (surroundings.input_on_chip, surroundings.output_on_chip) == (True, True)
        return fake_result(part, own, surroundings)

    plain = lowering.run_lowered(KINDS, config, layer, operands, on_chip(), run)
    result = lowering.run_lowered(KINDS, config, layer, operands, context(**where), run)
    # 20 bits for each of the expected non-zeros of two images
    num_bytes = {"input": 2 * 600 * 5 * 5 // 10 * 20 // 8, "output": 2 * 400 * 5 * 7 // 10 * 20 // 8}
    own = [stream for stream in result.streams if stream.kind != "weight"]
    assert [(stream.kind, stream.num_bytes) for stream in own] == [(kind, num_bytes[kind]) for kind in kinds]
    assert all(stream.direction == ("read" if stream.kind == "input" else "write") for stream in own)
    assert [stream.tile for stream in own] == [0 if kind == "input" else 9 for kind in kinds]
    extra = sum(num_bytes[kind] // 50 for kind in kinds)  # 50 bytes a cycle
    assert result.cycles - plain.cycles == extra
    assert result.stack["memory"] == extra * 3


def test_a_sequence_without_non_zeros_moves_nothing():
    layer = recurrent()
    nothing = operands_of(layer, densities=(0.5, 0.0), output_density=0.0)
    result = lowering.run_lowered(KINDS, load_machine("scnn").config, layer, nothing, context(), fake_result)
    assert {stream.kind for stream in result.streams} == {"weight"}


@pytest.mark.parametrize("batch", [1, 3])
def test_every_image_of_a_matmul_has_its_own_kernels(batch):
    layer = transposed()
    operands = operands_of(layer, batch)
    seen = []

    def run(part, own, surroundings):
        seen.append((own.weights, own.inputs))
        return fake_result(part, own, surroundings)

    result = lowering.run_lowered(KINDS, load_machine("scnn").config, layer, operands, context(), run)
    for index, (weights, inputs) in enumerate(seen):
        assert np.array_equal(weights, operands.weights[index * 10 : (index + 1) * 10])
        assert np.array_equal(inputs.reshape(6, 4, 1), operands.inputs[index])
    assert len(seen) == batch
    products = 0
    for n in range(batch):
        for k in range(10):
            for m in range(4):
                group = operands.inputs[n, k // 5 * 3 : k // 5 * 3 + 3, m, 0]
                products += int(group @ operands.weights[n * 10 + k, :, 0, 0].astype(int))
    assert result.macs_effectual == effectual_macs(layer, operands) == products
    assert result.macs_dense == batch * layer.macs
    assert (result.kind, result.details["parts"]) == ("matmul", batch)
    assert (result.weight_density, result.input_density) == (operands.weight_density, operands.input_density)
    assert (result.cycle_map is None) == (batch > 1)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_matmul_computes_the_products_of_attention(heads, depth, queries, keys, seed):
    rng = np.random.default_rng(seed)
    q = rng.integers(-9, 9, (heads * depth, queries))
    k, v = rng.integers(-9, 9, (2, heads * depth, keys))
    layer = transposed(heads, depth, (queries, 1), keys)
    # Kernel number l of a head holds the l-th position of K.
    kernels = k.reshape(heads, depth, keys).transpose(0, 2, 1).reshape(layer.weight_shape)
    out = reference_outputs(lowering.part_of(KINDS, layer), kernels, on_plane(q, layer)).reshape(layer.K, queries)
    assert out.tolist() == scores(q.tolist(), k.tolist(), heads)
    by_head = np.einsum("hdm,hdl->hlm", q.reshape(heads, depth, -1), k.reshape(heads, depth, -1))
    assert np.array_equal(out.reshape(heads, keys, queries), by_head)
    layer = product(heads, depth, (queries, 1), keys)
    kernels = v.reshape(layer.weight_shape)  # kernel c of a head holds channel c of V
    weighted = reference_outputs(lowering.part_of(KINDS, layer), kernels, on_plane(out, layer))
    assert weighted.reshape(layer.K, queries).tolist() == weighted_values(out.tolist(), v.tolist(), heads)


def on_plane(sequence, layer):
    return sequence.reshape(lowering.part_of(KINDS, layer).input_shape)


# Sampled and statistical


@pytest.mark.parametrize("density", [0.5, 1.0])
def test_the_intervals_of_sampled_parts_add_up(density):
    layer = recurrent(T=4)
    operands = operands_of(layer, densities=(0.5, density))
    config = load_machine("scnn").config
    result = lowering.run_lowered(KINDS, config, layer, operands, context(fidelity="sampled"), fake_result)
    assert result.cycles_ci95 == (result.cycles - 4, result.cycles + 8)


def test_a_statistical_layer_is_its_expected_step_as_often_as_there_are_steps():
    layer, config = recurrent(T=7), load_machine("scnn").config
    densities = Densities(2, 0.5, 0.5, 0.7)
    ran = []

    def run(part, own, surroundings):
        ran.append((part, own, surroundings.input_on_chip, surroundings.output_on_chip))
        return fake_result(part, own, surroundings)

    result = lowering.expect_lowered(KINDS, config, layer, densities, context(), run)
    assert ran == [(lowering.part_of(KINDS, layer), densities, True, True)]
    step = densities.effectual_macs(lowering.part_of(KINDS, layer))
    assert (result.kind, result.macs_effectual, result.words_written) == ("lstm", 7 * step, {"buffer": 14})
    assert [stream.kind for stream in result.streams] == ["weight"] * 14 + ["input", "output"]
    assert result.cycles == 7 * (10 + step) + result.stack["memory"] // 3


def test_a_statistical_matmul_is_one_image_as_often_as_there_are_images():
    layer = transposed()
    ran = []

    def run(part, own, surroundings):
        ran.append(own.batch)
        return fake_result(part, own, surroundings)

    result = lowering.expect_lowered(KINDS, None, layer, Densities(3, 0.5, 0.5, 0.7), context(), run)
    assert (ran, result.details["parts"]) == ([1], 3)
    assert result.macs_dense == 3 * layer.macs


# The machines


@pytest.mark.parametrize("arch", ["scnn", "dcnn"])
@pytest.mark.parametrize(
    "layer", [recurrent(C=30, K=40, T=3), transposed(3, 8, (12, 1), 10), product(3, 8, (12, 1), 10)]
)
@pytest.mark.parametrize("batch", [1, 2])
def test_machines_compute_the_right_outputs_through_the_lowered_layer(arch, layer, batch):
    machine = load_machine(arch)
    operands = operands_of(layer, batch)
    result = machine.run_layer(layer, operands, context(check=True))
    assert result.checked
    assert result.macs_effectual == effectual_macs(layer, operands)
    assert result.stack["busy"] == result.macs_effectual <= result.macs_issued <= result.slots


@pytest.mark.parametrize("arch", ["scnn", "dcnn"])
def test_a_recurrent_layer_takes_as_long_as_its_steps_one_by_one(arch):
    machine, layer = load_machine(arch), recurrent("gru", C=200, K=100, T=4)
    operands = operands_of(layer, 2)
    result = machine.run_layer(layer, operands, on_chip())
    step = Layer("r", "fc", ("x",), (300, 1, 1), 300)
    alone = [
        machine.run_layer(step, replace(operands, inputs=operands.inputs[:, :, t : t + 1]), on_chip()) for t in range(4)
    ]
    assert result.cycles == sum(one.cycles for one in alone)
    assert result.dram_bytes == sum(one.dram_bytes for one in alone)
    assert result.words_read == {key: sum(one.words_read[key] for one in alone) for key in alone[0].words_read}
    energy = {key: sum(one.energy_pj[key] for one in alone) for key in alone[0].energy_pj}
    assert result.energy_pj == pytest.approx(energy)


def test_values_go_onto_the_folded_plane_with_their_masks():
    line = Layer("c", "conv", ("x",), (2, 6, 1), 3)
    operands = operands_of(line, 2)
    values = np.arange(24, dtype=np.int32).reshape(2, 2, 6, 1)
    placed = lowering.on_plane(replace(operands, input_values=values), lowering.folded(line))
    assert placed.inputs.tolist() == operands.inputs.reshape(2, 2, 2, 3).tolist()
    assert placed.input_values.tolist() == values.reshape(2, 2, 2, 3).tolist()
    assert lowering.on_plane(operands, lowering.folded(line)).input_values is None


def test_a_folded_line_uses_all_columns_of_pes():
    machine = load_machine("dcnn")
    line = Layer("c", "conv", ("x",), (16, 64, 1), 16)
    square = replace(line, input_shape=(16, 8, 8))
    operands = operands_of(line)
    on_square = replace(operands, inputs=operands.inputs.reshape(1, 16, 8, 8))
    assert machine.run_layer(line, operands, on_chip()) == machine.run_layer(square, on_square, on_chip())


def test_a_layer_that_cannot_be_lowered_is_one_line():
    machine = load_machine("dcnn")
    only_fc = replace(machine, module=type("Module", (), {"KINDS": ("fc",)}))
    conv = Layer("c1", "conv", ("x",), (3, 4, 4), 5)
    for run in (only_fc.run_layer, only_fc.expect_layer):
        with pytest.raises(WorkloadError) as error:
            run(conv, None, context())
        assert str(error.value) == (
            "layer 'c1': dcnn runs no conv; allowed: fc, lstm, gru, rnn, or --skip-unsupported,"
            " which leaves such layers out"
        )
