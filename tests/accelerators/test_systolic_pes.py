"""What the PEs of systolic arrays are built of and what they compute: lanes, ternary weights, bits."""

import dataclasses

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators import systolic_check
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.systolic import Config, expect_layer, run_layer
from archmodel.accelerators.systolic_check import coded, tile_sums, tiled_outputs
from archmodel.accelerators.systolic_tiles import Tiling
from archmodel.errors import ConfigError, ResultError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from tests.accelerators.cases import FREE

DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")
DENSE = Densities(1, 1.0, 1.0, 1.0)
XNOR = ("pe.kind=xnor", "weight_bits=1", "input_bits=1")
TERNARY = ("pe.kind=ternary", "weight_bits=2")


def machine(*assignments, arch="systolic_16x16_ws"):
    return config.load("accelerators", arch, Config, assignments)


def parts_of(chosen):
    """Of every component: instances, bits of a word, bits of a second operand, words of an instance and of a row."""
    return {
        part.name: (part.instances, part.bits, part.other_bits, part.words, part.words_per_row)
        for part in chosen.components
    }


@pytest.mark.parametrize(
    ("lanes", "product_bits", "bits"),
    [(1, 16, 0), (2, 1, 1), (3, 8, 8 + 9), (4, 1, 2 + 2), (5, 3, 2 * 3 + 4 + 5), (64, 1, 32 + 32 + 24 + 16 + 10 + 6)],
)
def test_a_sum_is_a_bit_wider_than_what_it_adds(lanes, product_bits, bits):
    assert machine(f"pe.lanes={lanes}").pe.tree_bits(product_bits) == bits


def test_a_pe_of_four_8_bit_products_by_hand():
    """Operands of 4 lanes move together; 8 x 8 bits are 16, the tree adds two of 16 and one of 17."""
    parts = parts_of(machine("pe.lanes=4"))
    assert parts["multipliers"] == (1024, 8, 8, 1, 1)
    assert parts["lane_adders"] == (256, 2 * 16 + 17, None, 1, 1)
    assert parts["adders"] == (256, 32, None, 1, 1)
    assert parts["stationary_registers"] == parts["moving_registers"] == (256, 32, None, 1, 1)
    assert parts["downward_registers"] == (256, 32, None, 1, 1)
    assert parts["activation_buffer"] == (16, 8, None, 65536, 64)
    assert parts["weight_buffer"] == (1, 8, None, 524288, 64)


@pytest.mark.parametrize(
    ("dataflow", "stationary", "moving", "downward"),
    [
        ("weight_stationary", 2 * 3, 2 * 7, 32),
        ("output_stationary", 32, 2 * 7, 2 * 3),
        ("input_stationary", 2 * 7, 2 * 3, 32),
    ],
)
def test_every_register_is_as_wide_as_what_it_holds(dataflow, stationary, moving, downward):
    chosen = machine("pe.lanes=2", "weight_bits=3", "input_bits=7", f"array.dataflow={dataflow}")
    assert chosen.register_bits == (stationary, moving, downward)
    parts = parts_of(chosen)
    names = ("stationary_registers", "moving_registers", "downward_registers")
    assert tuple(parts[name][1] for name in names) == (stationary, moving, downward)
    assert parts["multipliers"] == (512, 3, 7, 1, 1)
    assert parts["lane_adders"] == (256, 10, None, 1, 1)
    assert (parts["activation_buffer"][1], parts["weight_buffer"][1]) == (7, 3)


def test_a_ternary_pe_negates_and_adds():
    parts = parts_of(machine(arch="systolic_ternary"))
    assert "multipliers" not in parts
    assert parts["negations"] == (256, 9, None, 1, 1)
    assert parts["stationary_registers"] == (256, 2, None, 1, 1)
    assert parts["weight_buffer"] == (1, 2, None, 2097152, 16)
    assert parts_of(machine(*TERNARY, "pe.lanes=2"))["lane_adders"] == (256, 9, None, 1, 1)


def test_an_xnor_pe_is_gates_and_a_population_count():
    parts = parts_of(machine(arch="systolic_xnor"))
    assert "multipliers" not in parts
    assert parts["xnors"] == (16384, 1, 1, 1, 1)
    assert parts["lane_adders"] == (256, 120, None, 1, 1)
    assert parts["stationary_registers"] == parts["moving_registers"] == (256, 64, None, 1, 1)
    assert parts["activation_buffer"] == (16, 1, None, 524288, 1024)


def test_a_gate_costs_a_1024th_of_a_32_bit_multiplier():
    known = load_machine("systolic_xnor", technology="45nm")
    assert known.area_mm2["xnors"] == pytest.approx(16384 * 6350e-6 / 1024)


@pytest.mark.parametrize("lanes", [1, 3, 4, 16])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_lanes_divide_the_depth_in_scale_sims_equation(dataflow, lanes):
    """216 products an output, in steps of `lanes`; the rest of the equation does not know of lanes."""
    layer = Layer("c", "conv", ("x",), (24, 14, 14), 70, 3, 3, padding=(1, 1, 1, 1))
    chosen = machine("array.rows=8", "array.cols=4", f"array.dataflow={dataflow}", f"pe.lanes={lanes}")
    result = expect_layer(chosen, layer, DENSE, FREE)
    steps = -(-216 // lanes)
    spatial_rows, spatial_cols, temporal = {
        "weight_stationary": (steps, 70, 196),
        "output_stationary": (196, 70, steps),
        "input_stationary": (steps, 196, 70),
    }[dataflow]
    waiting = (result.stack["weight_stall"] + result.stack["memory"]) // chosen.num_multipliers
    assert result.cycles - waiting == -(-spatial_rows // 8) * -(-spatial_cols // 4) * (2 * 8 + 4 + temporal - 2)
    assert sum(result.stack.values()) == result.cycles * 8 * 4 * lanes
    assert result.macs_issued == layer.macs


def test_lanes_without_a_pair_are_fragmentation():
    """Nine products an output in lanes of four: three steps, of which the last has one pair."""
    layer = Layer("c", "conv", ("x",), (1, 3, 3), 1, 3, 3)
    chosen = machine("array.rows=1", "array.cols=1", "array.dataflow=output_stationary", "pe.lanes=4")
    result = expect_layer(chosen, layer, DENSE, FREE)
    assert result.details["active_cycles"] == 3
    assert result.stack["fragmentation"] == 3 * 4 - 9
    assert [result.operations[name] for name in ("multipliers", "adders", "lane_adders")] == [9, 3, 3]


def test_whole_tiles_are_filled_up_over_all_lanes():
    layer = Layer("ip", "fc", ("x",), (20, 1, 1), 5)
    chosen = machine("array.rows=4", "array.cols=4", "pe.lanes=3", "weight_bits=4", "weights.whole_tiles=true")
    assert expect_layer(chosen, layer, DENSE, FREE).dram_bytes == 2 * 2 * (4 * 3 * 4) * 4 // 8


def test_weights_and_inputs_are_stored_in_bits_of_their_own():
    layer = Layer("ip", "fc", ("x",), (64, 1, 1), 16)
    chosen = machine("weight_bits=3", "input_bits=5")
    result = expect_layer(chosen, layer, DENSE, dataclasses.replace(FREE, input_on_chip=False, output_on_chip=False))
    assert [result.dram_bytes_of(kind) for kind in ("weight", "input", "output")] == [64 * 16 * 3 // 8, 40, 10]
    assert result.words_written["weight_buffer"] == 64 * 16
    assert result.words_written["activation_buffer"] == 64 + 16
    assert (chosen.stored_bytes(9, 0.5), chosen.weight_bytes(9)) == (6, 4)


def test_a_layer_of_bits_by_hand():
    """Three bits in a row, -1 around them; zero is +1, and a population count of two of three is +1."""
    layer = Layer("c", "conv", ("x",), (1, 1, 3), 1, 1, 3, padding=(0, 0, 1, 1))
    weights, inputs = coded("xnor", np.array([[[[5, -2, 0]]]], np.int32), np.array([[[[-7, 0, 9]]]], np.int32))
    assert weights.tolist() == [[[[1, -1, 1]]]]
    assert inputs.tolist() == [[[[-1, 1, 1]]]]
    padded = np.pad(inputs, systolic_check.edges(layer), constant_values=systolic_check.padding_value("xnor"))
    outputs = tiled_outputs(Tiling(machine(*XNOR, "pe.lanes=2"), layer, 1), weights, padded)
    # -1 -1 +1, -1 +1 +1 and +1 +1 -1 against +1 -1 +1
    assert outputs.tolist() == [[[[1, -1, -1]]]]


@pytest.mark.parametrize("kind", ["ternary", "xnor"])
def test_adding_subtracting_and_counting_are_multiplying(kind):
    rng = np.random.default_rng(3)
    windows = rng.choice([-1, 1], (7, 30)) if kind == "xnor" else rng.integers(-99, 100, (7, 30))
    kernels = rng.choice([-1, 1] if kind == "xnor" else [-1, 0, 1], (5, 30))
    assert np.array_equal(tile_sums(kind, windows, kernels), windows @ kernels.T)


def test_ternary_weights_are_signs():
    weights, inputs = coded("ternary", np.array([-90, 0, 3]), np.array([5, -7, 0]))
    assert (weights.tolist(), inputs.tolist()) == ([-1, 0, 1], [5, -7, 0])


@pytest.mark.parametrize("arch", ["systolic_xnor", "systolic_ternary"])
def test_the_check_notices_a_pe_that_adds_what_it_should_subtract(arch, monkeypatch):
    layer = Layer("c", "conv", ("x",), (2, 6, 6), 3, 3, 3, padding=(1, 1, 1, 1))
    rng = np.random.default_rng(0)
    weights, inputs = rng.integers(-1, 2, (3, 2, 3, 3)), rng.integers(-9, 9, (1, 2, 6, 6))
    operands = Operands(*((values != 0).astype(np.uint8) for values in (weights, inputs)), 0.5,
                        *(values.astype(np.int32) for values in (weights, inputs)))  # fmt: skip
    asked = dataclasses.replace(FREE, check=True)
    assert run_layer(machine(arch=arch), layer, operands, asked).checked
    monkeypatch.setattr(systolic_check, "tile_sums", lambda kind, windows, kernels: windows @ abs(kernels).T)
    with pytest.raises(ResultError, match="c: --check: output"):
        run_layer(machine(arch=arch), layer, operands, asked)


def test_zeros_of_bits_are_values_and_lost_all_the_same():
    """What is effectual follows the operands that are given, whatever a PE makes of a zero."""
    layer = Layer("ip", "fc", ("x",), (64, 1, 1), 16)
    result = expect_layer(machine(arch="systolic_xnor"), layer, Densities(1, 0.5, 0.5, 1.0), FREE)
    assert (result.macs_effectual, result.macs_issued) == (256, 1024)
    assert result.stack["stored_zero"] == 768


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (("pe.kind=xnor",), "pe.kind = 'xnor': weight_bits must be 1, not 8"),
        (("pe.kind=xnor", "weight_bits=1"), "pe.kind = 'xnor': input_bits must be 1, not 8"),
        (("pe.kind=ternary",), "pe.kind = 'ternary': weight_bits must be 2, not 8"),
        (("pe.kind=binary",), "pe.kind=binary: must be 'multiplier', 'ternary' or 'xnor'"),
        (("pe.lanes=0",), "pe.lanes=0"),
        (("pe.lanes=4097",), "pe.lanes=4097"),
        (("weight_bits=65",), "weight_bits=65"),
    ],
)
def test_a_pe_that_does_not_take_its_operands_is_refused(assignments, message):
    with pytest.raises(ConfigError) as refused:
        machine(*assignments)
    assert message in str(refused.value)


def test_less_to_multiply_costs_less():
    """The same array at one product a PE and cycle: a multiplier of 8 bits, one of 8 x 2, a negation, a gate."""
    layer = Layer("c", "conv", ("x",), (24, 14, 14), 70, 3, 3)
    spent, area = [], []
    for assignments in ((), ("weight_bits=2",), TERNARY, XNOR):
        known = load_machine("systolic_16x16_ws", assignments)
        parts = ("multipliers", "negations", "xnors")
        result = known.expect_layer(layer, DENSE, FREE)
        spent.append(sum(result.energy_pj.get(part, 0) for part in parts))
        area.append(sum(known.area_mm2.get(part, 0) for part in parts))
    assert spent == sorted(set(spent), reverse=True)
    assert area == sorted(set(area), reverse=True)


@pytest.mark.parametrize(("buffer_bytes", "fetches"), [(1023, 2), (1024, 1)])
def test_two_tiles_of_narrow_weights_serve_all_positions_from_half_the_buffer(buffer_bytes, fetches):
    """Four tiles of 64 x 16 weights of 4 bits, each for two tiles of positions; inputs of 8 bits change nothing."""
    chosen = machine("array.dataflow=output_stationary", "weight_bits=4", f"weights.buffer_bytes={buffer_bytes}")
    layer = Layer("ip", "fc", ("x",), (64, 1, 1), 64)
    result = expect_layer(chosen, layer, Densities(32, 1.0, 1.0, 1.0), FREE)
    assert result.dram_bytes == fetches * 64 * 64 // 2
