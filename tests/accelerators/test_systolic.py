"""Systolic arrays against a twin that moves every word from register to register, and what must hold of them."""

import dataclasses
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators import systolic_check
from archmodel.accelerators.check import reference_outputs
from archmodel.accelerators.context import Context
from archmodel.accelerators.systolic import Config, expect_layer, run_layer
from archmodel.accelerators.systolic_check import windows_of
from archmodel.errors import ConfigError, ResultError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from tests.accelerators.cases import FREE, account, memory
from tests.reference import systolic_array as twin

LAYERS_A_TEST = 15
BLOCKS = 16
DENSITIES = (0.0, 0.3, 0.7, 1.0)
KINDS = ("multiplier", "ternary", "xnor")
DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")


def machine(*assignments, arch="systolic_16x16_ws"):
    return config.load("accelerators", arch, Config, assignments)


def small(rows, cols, dataflow, shadow=True, *others):
    return machine(
        f"array.rows={rows}",
        f"array.cols={cols}",
        f"array.dataflow={dataflow}",
        f"array.double_buffered={str(shadow).lower()}",
        *others,
    )


def operands_of(layer, weights=1.0, inputs=1.0, batch=1, seed=0):
    """Values with zeros at random."""
    rng = np.random.default_rng(seed)
    masks = [
        (rng.random(shape) < density).astype(np.uint8)
        for shape, density in ((layer.weight_shape, weights), ((batch, *layer.input_shape), inputs))
    ]
    values = [mask * rng.integers(1, 100, mask.shape) * rng.choice([-1, 1], mask.shape) for mask in masks]
    return Operands(*masks, 0.5, *(value.astype(np.int32) for value in values))


def fc(C, K):
    return Layer("ip", "fc", ("x",), (C, 1, 1), K)


def random_layer(draw):
    if draw.random() < 0.3:
        return fc(draw.randint(1, 14), draw.randint(1, 12))
    groups = draw.choice([1, 1, 1, 2, 3])
    stride = draw.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    R, S = draw.choice([(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
    height, width = (dilation[i] * (kernel - 1) + draw.randint(1, 3) for i, kernel in enumerate((R, S)))
    shape = (groups * draw.randint(1, 2), height, width)
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 4), R, S, stride, padding, dilation, groups)


def pe_of(draw):
    """Assignments of a PE, and of what its operands are."""
    kind = draw.choice(["multiplier", "multiplier", "ternary", "xnor"])
    weight_bits, input_bits = draw.choice([5, 8, 16]), draw.choice([5, 8, 16])
    weight_bits, input_bits = {"ternary": (2, input_bits), "xnor": (1, 1)}.get(kind, (weight_bits, input_bits))
    lanes = draw.choice([1, 1, 2, 3, 8])
    return (f"pe.kind={kind}", f"pe.lanes={lanes}", f"weight_bits={weight_bits}", f"input_bits={input_bits}")


def random_case(seed):
    """A small layer with its values, a small array, and what is around it."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = operands_of(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    chosen = small(
        draw.randint(1, 4),
        draw.randint(1, 4),
        draw.choice(DATAFLOWS),
        draw.random() < 0.6,
        *pe_of(draw),
        f"weights.buffer_bytes={draw.choice([4, 16, 40, 2**20])}",
        f"weights.memory_bytes_per_s={draw.choice(['memory', '0.3e9', '2e9'])}",
        f"weights.kept={draw.choice(['true', 'false'])}",
        f"weights.whole_tiles={draw.choice(['true', 'false'])}",
        f"activations.buffer_bytes={draw.choice([64, 2**20])}",
        f"activations.host_bytes_per_s={draw.choice(['memory', '0.5e9'])}",
        f"accumulators.rows={draw.choice([2, 5, 12, 4096])}",
        f"accumulators.double_buffered={draw.choice(['true', 'false'])}",
    )
    context = Context(
        memory(draw.choice([0.2e9, 1.5e9, 50e9, 1e15]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.4,
        output_on_chip=draw.random() < 0.4,
    )
    return chosen, layer, operands, context


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        chosen, layer, operands, context = random_case(seed)
        result = account(run_layer(chosen, layer, operands, dataclasses.replace(context, check=True)))
        outputs, expected = twin.run_layer(chosen, layer, operands.weight_values, operands.input_values, context)
        for quantity, value in expected.items():
            assert result[quantity] == value, (seed, quantity)
        assert outputs == true_outputs(layer, operands, chosen.pe.kind), seed


def true_outputs(layer, operands, kind):
    """Outputs by (group, position, kernel of the group)."""
    kernels, plane = layer.K // layer.groups, layer.P * layer.Q
    weights, inputs = operands.weight_values, operands.input_values
    if kind == "ternary":
        weights = np.sign(weights)
    if kind == "xnor":
        weights, inputs = (1 - 2 * np.signbit(values.astype(float)).astype(np.int32) for values in (weights, inputs))
        top, bottom, left, right = layer.padding
        C, H, W = layer.input_shape
        around = np.full((len(inputs), C, H + top + bottom, W + left + right), -1)
        around[:, :, top : top + H, left : left + W] = inputs
        layer = dataclasses.replace(layer, input_shape=around.shape[1:], padding=(0, 0, 0, 0))
        inputs = around
    outputs = {}
    for n, image in enumerate(inputs):
        for (k, p, q), value in np.ndenumerate(reference_outputs(layer, weights, image)):
            outputs[k // kernels, n * plane + p * layer.Q + q, k % kernels] = int(value)
    return outputs


def test_the_check_notices_a_window_that_is_read_one_position_late(monkeypatch):
    layer = Layer("c", "conv", ("x",), (2, 6, 6), 3, 3, 3)

    def late(tiling, padded, tile):
        return np.roll(windows_of(tiling, padded, tile), 1, axis=0)

    run_layer(small(4, 3, "weight_stationary"), layer, operands_of(layer), dataclasses.replace(FREE, check=True))
    monkeypatch.setattr(systolic_check, "windows_of", late)
    with pytest.raises(ResultError, match="c: --check: output"):
        run_layer(small(4, 3, "weight_stationary"), layer, operands_of(layer), dataclasses.replace(FREE, check=True))


def test_the_random_layers_reach_every_rule():
    cases = [random_case(seed) for seed in range(BLOCKS * LAYERS_A_TEST)]
    results = [run_layer(chosen, layer, operands, context) for chosen, layer, operands, context in cases]
    for dataflow in DATAFLOWS:
        of_dataflow = [
            (chosen, layer, result)
            for (chosen, layer, _, _), result in zip(cases, results, strict=True)
            if chosen.array.dataflow == dataflow
        ]
        for few in (
            [layer for _, layer, _ in of_dataflow if layer.kind == "fc"],
            [layer for _, layer, _ in of_dataflow if layer.groups > 1],
            [layer for _, layer, _ in of_dataflow if layer.stride != (1, 1)],
            [layer for _, layer, _ in of_dataflow if layer.dilation != (1, 1)],
            [chosen for chosen, _, _ in of_dataflow if not chosen.array.double_buffered],
            *([chosen for chosen, _, _ in of_dataflow if chosen.pe.kind == kind] for kind in KINDS),
            [layer for chosen, layer, _ in of_dataflow if layer.macs // layer.output_words % chosen.pe.lanes],
            [chosen for chosen, _, _ in of_dataflow if chosen.weight_bits != chosen.input_bits],
            [chosen for chosen, _, _ in of_dataflow if chosen.weights.memory_bytes_per_s != "memory"],
            [result for _, _, result in of_dataflow if result.details["blocks"] > 1],
            [result for _, _, result in of_dataflow if result.stack["weight_stall"]],
            [result for _, _, result in of_dataflow if result.stack["memory"]],
            [result for _, _, result in of_dataflow if result.words_written["weight_buffer"] < result.macs_issued],
        ):
            assert len(few) >= 5


def test_nothing_is_there_too_early_and_nothing_leaves_too_late():
    """The twin's array refuses a tile that is used a cycle before it is in; the model's lead is the least."""
    array = twin.ShiftedArray(3, 2, shadow=True)
    one = [(1, 1)]  # a word of a lane
    array.send_tile([[one, one]] * 3)
    for _ in range(3 - 1):
        array.step()
    array.send_vector((0, 0), True, [one] * 3)
    with pytest.raises(AssertionError, match="the tile is not there"):
        list(map(twin.ShiftedArray.step, [array] * 6))


# SCALE-Sim


def scale_sim_cycles(rows, cols, dataflow, positions, kernels, depth):
    """Samajdar et al., ISPASS 2020: tiles of the two spatial dimensions, 2 * rows + cols + T - 2 cycles each."""
    spatial_rows, spatial_cols, temporal = {
        "weight_stationary": (depth, kernels, positions),
        "output_stationary": (positions, kernels, depth),
        "input_stationary": (depth, positions, kernels),
    }[dataflow]
    return -(-spatial_rows // rows) * -(-spatial_cols // cols) * (2 * rows + cols + temporal - 2)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("rows", "cols"), [(16, 16), (8, 32), (32, 8), (1, 5)])
def test_without_waiting_a_layer_takes_what_scale_sim_says(dataflow, rows, cols):
    layer = Layer("c", "conv", ("x",), (24, 14, 14), 70, 3, 3, padding=(1, 1, 1, 1))
    chosen = small(rows, cols, dataflow, False)
    result = expect_layer(chosen, layer, Densities(1, 1.0, 1.0, 1.0), FREE)
    assert result.stack["weight_stall"] <= num_tiles(result, chosen) * rows * cols  # a cycle for a tile that is fetched
    waiting = (result.stack["weight_stall"] + result.stack["memory"]) // (rows * cols)
    assert result.cycles - waiting == scale_sim_cycles(rows, cols, dataflow, 14 * 14, 70, 24 * 9)


def num_tiles(result, chosen):
    stream = {"weight_stationary": 14 * 14, "output_stationary": 24 * 9, "input_stationary": 70}
    return result.details["active_cycles"] // stream[chosen.array.dataflow]


# Cases by hand


def tpu(*assignments):
    return machine(*assignments, arch="tpu_v1")


def test_a_layer_bound_by_weight_memory_takes_a_tile_every_1349_cycles():
    """The TPU, batch 200: 64 KiB at 34 GB/s take 1349.3 cycles of 700 MHz; 256 of them shift, 200 multiply."""
    result = expect_layer(tpu(), fc(2048, 2048), Densities(200, 1.0, 1.0, 1.0), FREE)
    last_arrival = -(-64 * 65536 * 700 // 34000)
    assert result.details["compute_cycles"] == last_arrival + 256 + 200 + 2 * 256 - 2
    slots = 65536
    assert result.stack["tile_shift"] == 64 * 256 * slots
    assert result.macs_issued == 64 * 200 * slots
    assert result.stack["fragmentation"] == 0
    assert result.stack["weight_stall"] == (last_arrival - 63 * (256 + 200)) * slots
    assert result.stack["drain"] == 510 * slots


@pytest.mark.parametrize(("batch", "exposed"), [(255, 1), (256, 0), (257, 0)])
def test_a_tile_that_streams_as_long_as_one_shifts_hides_it(batch, exposed):
    chosen = tpu("weights.memory_bytes_per_s=1e15")
    result = expect_layer(chosen, fc(256, 256 * 5), Densities(batch, 1.0, 1.0, 1.0), FREE)
    assert result.stack["tile_shift"] == (256 + 4 * exposed) * 65536
    one_buffer = expect_layer(tpu("weights.memory_bytes_per_s=1e15", "array.double_buffered=false"), fc(256, 256 * 5),
                              Densities(batch, 1.0, 1.0, 1.0), FREE)  # fmt: skip
    assert one_buffer.stack["tile_shift"] == 5 * 256 * 65536


@pytest.mark.parametrize(("batch", "blocks"), [(2047, 1), (2048, 1), (2049, 2), (4097, 3)])
def test_half_of_the_accumulators_bounds_a_block(batch, blocks):
    result = expect_layer(tpu(), fc(256, 256), Densities(batch, 1.0, 1.0, 1.0), FREE)
    assert result.details["blocks"] == blocks
    assert result.dram_bytes == blocks * 65536  # a FIFO keeps no weights for the next block


def test_blocks_are_nearly_equal_so_that_none_waits():
    """2,888 products a weight, as in CNN0: two blocks of 1,444 hide the 1,349 cycles, 2,048 and 840 would not."""
    result = expect_layer(tpu(), fc(2560, 256), Densities(2888, 1.0, 1.0, 1.0), FREE)
    assert result.stack["weight_stall"] == 1350 * 65536  # the first tile


def test_edges_are_fetched_as_whole_tiles_or_as_they_are():
    whole = expect_layer(tpu(), fc(257, 300), Densities(1, 1.0, 1.0, 1.0), FREE)
    cut = expect_layer(tpu("weights.whole_tiles=false"), fc(257, 300), Densities(1, 1.0, 1.0, 1.0), FREE)
    assert whole.dram_bytes == 4 * 65536
    assert cut.dram_bytes == 257 * 300
    assert whole.macs_issued == cut.macs_issued == 257 * 300
    for result in (whole, cut):  # a FIFO gives what it was given
        assert result.words_read["weight_buffer"] == result.words_written["weight_buffer"] == result.dram_bytes


def test_inputs_come_from_the_host_before_the_first_tile():
    """Batch 200 of 2,048 bytes at 15.03 GB/s; the outputs go out while the array works."""
    context = Context(memory(1e15, 100e-9))
    far = expect_layer(tpu(), fc(2048, 2048), Densities(200, 1.0, 1.0, 1.0), context)
    near = expect_layer(tpu(), fc(2048, 2048), Densities(200, 1.0, 1.0, 1.0), FREE)
    assert far.cycles - near.cycles == -(-200 * 2048 * 700 // 15030) + 70
    assert far.stack["memory"] == (far.cycles - near.cycles) * 65536


def test_weights_of_the_shared_dram_do_not_pass_the_hosts_port():
    """64 tiles at 34 GB/s; the host's 15.03 GB/s are for activations, which are on chip or bound by nothing here."""
    for surroundings in (FREE, Context(FREE.memory)):
        behind_34 = dataclasses.replace(surroundings, memory=memory(34e9, 0.0))
        own, shared = (
            expect_layer(tpu(f"weights.memory_bytes_per_s={source}"), fc(2048, 2048), Densities(1, 1, 1, 1), behind_34)
            for source in ("34e9", "memory")
        )
        assert shared.cycles == own.cycles


@pytest.mark.parametrize(("outputs", "fit"), [(39, True), (40, True), (41, False)])
def test_inputs_and_outputs_stay_on_chip_when_the_buffer_holds_both(outputs, fit):
    assert machine("activations.buffer_bytes=100").fits(fc(60, outputs), 0.1, 0.1) == (fit, fit)


def test_a_batch_that_does_not_fit_goes_through_memory_in_blocks():
    layer = Layer("c", "conv", ("x",), (64, 32, 32), 64, 3, 3, padding=(1, 1, 1, 1))
    chosen = small(16, 16, "output_stationary")
    few, many = (expect_layer(chosen, layer, Densities(batch, 1.0, 1.0, 1.0), FREE) for batch in (8, 9))
    assert (few.details["blocks"], many.details["blocks"]) == (1, 2)
    assert few.dram_bytes_of("input") == 0
    assert many.dram_bytes_of("input") == many.dram_bytes_of("output") == 9 * 64 * 32 * 32


def test_kept_weights_are_fetched_once():
    layer = fc(64, 64)
    for dataflow in DATAFLOWS:
        for kept, fetches in (("true", 1), ("false", 4)):
            chosen = small(16, 16, dataflow, True, f"weights.kept={kept}", "accumulators.rows=64")
            result = expect_layer(chosen, layer, Densities(64 * 2, 1.0, 1.0, 1.0), FREE)
            expected = {"weight_stationary": fetches, "output_stationary": 2 * fetches, "input_stationary": 2 * fetches}
            assert result.dram_bytes == 64 * 64 * (1 if fetches == 1 else expected[dataflow]), dataflow


def parts_of(chosen):
    """Of every component: kind, instances, bits of a word, words of an instance, words of a row."""
    return {
        part.name: (part.kind, part.instances, part.bits, part.words, part.words_per_row) for part in chosen.components
    }


def test_the_tpu_is_built_of_the_parts_of_its_floor_plan():
    """24 MiB, 4 tiles of 64 KiB, 65,536 PEs with shadow registers, 4096 accumulators of 256 32-bit elements."""
    parts = parts_of(tpu())
    assert parts == {
        "activation_buffer": ("sram", 96, 8, 24 * 2**20 // 96, 256),
        "weight_buffer": ("sram", 1, 8, 4 * 65536, 256),
        "stationary_registers": ("register_file", 65536, 8, 2, 1),
        "moving_registers": ("register_file", 65536, 8, 1, 1),
        "downward_registers": ("register_file", 65536, 32, 1, 1),
        "multipliers": ("multiplier", 65536, 8, 1, 1),
        "adders": ("adder", 65536, 32, 1, 1),
        "accumulators": ("sram", 256, 32, 4096, 1),
        "accumulator_adders": ("adder", 256, 32, 1, 1),
    }
    assert [part.name for part in tpu().components if part.two_port] == ["accumulators"]
    wider = parts_of(tpu("weight_bits=16", "input_bits=16", "array.cols=128", "array.double_buffered=false"))
    assert wider["activation_buffer"] == ("sram", 96, 16, 12 * 2**20 // 96, 256)
    assert wider["weight_buffer"] == ("sram", 1, 16, 2 * 65536, 128)
    assert wider["stationary_registers"] == ("register_file", 32768, 16, 1, 1)


def test_sums_that_stay_need_wide_registers_and_no_accumulators():
    parts = parts_of(
        machine("array.rows=8", "weights.buffer_bytes=1", "activations.buffer_bytes=64", arch="systolic_16x16_os")
    )
    assert parts.keys() == parts_of(tpu()).keys() - {"accumulators", "accumulator_adders"}
    assert parts["stationary_registers"] == ("register_file", 128, 32, 1, 1)
    assert parts["downward_registers"] == ("register_file", 128, 8, 1, 1)
    assert parts["activation_buffer"] == ("sram", 16, 8, 8, 8)  # a row at least
    assert parts["weight_buffer"] == ("sram", 1, 8, 16, 16)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_buffer_is_as_wide_as_the_side_of_the_array_that_it_feeds(dataflow):
    """Inputs that stay come through the columns, and the weights that stream past them through the rows."""
    parts = parts_of(small(8, 32, dataflow))
    of_rows, of_columns = ("weight_buffer", "activation_buffer")[:: 1 if dataflow == "input_stationary" else -1]
    assert (parts[of_rows][-1], parts[of_columns][-1]) == (8, 32)


def test_a_column_adds_once_for_every_tile_of_the_depth():
    """257 products in two tiles, whose sums are added below the array for each of 200 x 300 outputs."""
    result = expect_layer(tpu(), fc(257, 300), Densities(200, 1.0, 1.0, 1.0), FREE)
    assert result.operations["accumulator_adders"] == 2 * 200 * 300
    assert result.operations["adders"] == 257 * 200 * 300


@pytest.mark.parametrize(("buffer_bytes", "fetches"), [(2047, 2), (2048, 1), (4096, 1)])
def test_two_tiles_of_weights_in_their_buffer_serve_all_positions_above_sums_that_stay(buffer_bytes, fetches):
    """Four tiles of 64 x 16 words, each for two tiles of positions: one is used while the next one comes."""
    chosen = small(16, 16, "output_stationary", True, f"weights.buffer_bytes={buffer_bytes}")
    result = expect_layer(chosen, fc(64, 64), Densities(32, 1.0, 1.0, 1.0), FREE)
    assert result.dram_bytes == fetches * 64 * 64


# Zeros, fidelities, bounds


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_zeros_cost_as_much_as_other_values(dataflow):
    layer, chosen = Layer("c", "conv", ("x",), (6, 5, 5), 7, 3, 3), small(4, 3, dataflow)
    runs = {}
    for weights in DENSITIES:
        for inputs in DENSITIES:
            operands = operands_of(layer, weights, inputs)
            runs[weights, inputs] = run_layer(chosen, layer, operands, Context(memory(50e9, 1e-7)))
            expected = expect_layer(chosen, layer, Densities(1, weights, inputs, 0.5), Context(memory(50e9, 1e-7)))
            assert expected.cycles == runs[weights, inputs].cycles
    assert len({run.cycles for run in runs.values()}) == 1
    assert {run.macs_issued for run in runs.values()} == {layer.macs}
    assert runs[1.0, 1.0].stack["stored_zero"] == 0
    assert runs[0.0, 1.0].stack["busy"] == 0


@pytest.mark.parametrize("seed", range(40))
def test_no_array_beats_its_multipliers_and_shadow_registers_never_hurt(seed):
    chosen, layer, operands, context = random_case(seed)
    known = Densities(operands.batch, 1.0, 1.0, 1.0)
    with_shadow, without = (
        expect_layer(
            chosen.model_copy(update={"array": chosen.array.model_copy(update={"double_buffered": shadow})}),
            layer,
            known,
            context,
        )
        for shadow in (True, False)
    )
    assert with_shadow.cycles <= without.cycles
    assert with_shadow.macs_dense <= with_shadow.slots
    more_buffer = chosen.model_copy(update={"weights": chosen.weights.model_copy(update={"buffer_bytes": 2**30})})
    assert expect_layer(more_buffer, layer, known, context).cycles <= expect_layer(chosen, layer, known, context).cycles


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("array.rows=0", "array.rows"),
        ("array.cols=4097", "array.cols"),
        ("array.dataflow=weights", "array.dataflow"),
        ("weights.memory_bytes_per_s=0.0", "memory_bytes_per_s"),
        ("weights.memory_bytes_per_s=dram", "memory_bytes_per_s"),
        ("accumulators.rows=1", "accumulators.rows"),
        ("activations.buffer_bytes=63", "activations.buffer_bytes"),
    ],
)
def test_what_no_array_can_be_is_refused(assignment, message):
    with pytest.raises(ConfigError, match=message):
        machine(assignment)
