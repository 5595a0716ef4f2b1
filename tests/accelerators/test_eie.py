"""EIE against a twin with real queues, cases by hand, and what must hold of its queues, codes and batches."""

import dataclasses
import functools
import random
from itertools import pairwise

import numpy as np
import pytest

from archmodel import config, simulate
from archmodel.accelerators.context import Context
from archmodel.accelerators.eie import Config, expect_layer, run_layer
from archmodel.accelerators.eie_check import deal_back, share_weights, store
from archmodel.accelerators.eie_expected import RandomColumns
from archmodel.accelerators.registry import load_machine
from archmodel.errors import ConfigError, ResultError
from archmodel.kernels import interleaved_columns
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from archmodel.operands.synthetic import place
from archmodel.validation.eie import load_balance
from tests.accelerators import cases
from tests.accelerators.cases import FREE, at_densities, memory
from tests.reference import eie as twin

LAYERS_A_TEST = 15
BLOCKS = 20
DENSITIES = (0.0, 0.05, 0.3, 0.7, 1.0)


def machine(*assignments):
    return config.load("accelerators", "eie", Config, assignments)


def fc(C, K):
    return Layer("ip", "fc", ("x",), (C, 1, 1), K)


def of_masks(weights, inputs):
    """Operands of a mask [K][C] and one image [C]."""
    held = np.array(weights, np.uint8)[:, :, np.newaxis, np.newaxis]
    return Operands(held, np.array(inputs, np.uint8).reshape(1, -1, 1, 1), output_density=1.0)


def random_case(seed):
    """A small layer with its zeros, a small machine, and what is around it."""
    draw = random.Random(seed)
    layer = fc(draw.randint(1, 30), draw.randint(1, 60))
    operands = at_densities(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), draw.choice([1, 1, 2, 3]), seed)
    index_bits = draw.choice([1, 2, 4])
    chosen = machine(
        f"pe.count={draw.choice([1, 2, 3, 5, 8])}",
        f"pe.queue_depth={draw.choice([1, 2, 3, 8])}",
        f"pe.registers={draw.choice([1, 2, 5, 64])}",
        f"pe.pipeline_stages={draw.choice([0, 4])}",
        f"pe.lnzd_fan_in={draw.choice([2, 4])}",
        f"weights.index_bits={index_bits}",
        f"weights.preloaded={draw.choice(['true', 'false'])}",
        f"buffers.matrix_bytes={draw.choice([64, 131072])}",
        f"buffers.matrix_row_bits={(4 + index_bits) * draw.choice([1, 3, 8])}",
        f"buffers.activation_row_bits={draw.choice([16, 64])}",
        f"buffers.pointer_banks={draw.choice([1, 2])}",
    )
    context = Context(
        memory(draw.choice([0.25e9, 2e9, 50e9]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.3,
        output_on_chip=draw.random() < 0.3,
    )
    return chosen, layer, operands, context


def account(result):
    details = {name: result.details[name] for name in ("stored_entries", "compute_cycles", "batches")}
    return cases.account(result) | details | {"cycle_map": result.cycle_map.tolist()}


@functools.cache
def twin_result(seed):
    chosen, layer, operands, context = random_case(seed)
    weights, inputs = operands.weights[:, :, 0, 0].tolist(), operands.inputs[:, :, 0, 0].tolist()
    return twin.run_layer(chosen, layer, weights, inputs, context)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        chosen, layer, operands, context = random_case(seed)
        result = account(run_layer(chosen, layer, operands, context))
        for quantity, value in twin_result(seed).items():
            assert result[quantity] == value, (seed, quantity)


def test_the_random_layers_reach_every_rule():
    cases = [random_case(seed) for seed in range(BLOCKS * LAYERS_A_TEST)]
    results = [twin_result(seed) for seed in range(BLOCKS * LAYERS_A_TEST)]
    for few in (
        [layer for chosen, layer, *_ in cases if chosen.pe.vector_length < layer.K],
        [layer for chosen, layer, *_ in cases if chosen.pe.vector_length < layer.C],
        [layer for chosen, layer, *_ in cases if chosen.pe.count > layer.K],
        [operands for _, _, operands, _ in cases if operands.batch > 1],
        *([result for result in results if result["stack"].get(cause)] for cause in
          ("busy", "stored_zero", "fragmentation", "bank_conflict", "imbalance", "drain", "memory")),
        [result for result in results if result["written"]["matrix_sram"]],
        [result for result in results if not result["stored_entries"]],
    ):  # fmt: skip
        assert len(few) >= 15


@pytest.mark.parametrize("seed", range(0, BLOCKS * LAYERS_A_TEST, 3))
def test_outputs_through_the_stored_form_are_the_layers(seed):
    chosen, layer, operands, context = random_case(seed)
    assert run_layer(chosen, layer, operands, dataclasses.replace(context, check=True)).checked


# By hand

PAPER = [  # Figure 2: the rows of W as drawn, 1 where it is not zero
    *("1.1.111.", ".1.1..1.", "..1.1..1", ".1...1.."),
    *(".1..1...", "...1...1", "....1.1.", "1..1..1."),
    *("1......1", "1.....11", "....1...", "..1....1"),
    *("1.1..1.1", "11....1.", "..1111..", "..1.11.."),
]
FIGURE_2 = [[int(cell == "1") for cell in row] for row in PAPER]
ACTIVATIONS = [0, 0, 1, 0, 1, 1, 0, 1]


def test_the_pointers_are_those_of_the_papers_figure():
    # Figure 3: column pointers of PE 0 of 4, and its relative row indices.
    entry_ptr, run, _ = store(machine("pe.count=4"), np.array(FIGURE_2, np.uint8))
    assert entry_ptr[0].tolist() == [0, 3, 4, 6, 6, 8, 10, 11, 13]
    assert run[:13].tolist() == [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 2, 0]


def test_the_papers_figure_cycle_by_cycle():
    # Columns 2, 4, 5, 7: PE 1 has all zeros in column 2, as section III says.
    matrix = np.array(FIGURE_2)[:, np.flatnonzero(ACTIVATIONS)]
    entries = [matrix[pe::4].sum(axis=0).tolist() for pe in range(4)]
    work = [sum(max(1, number) for number in of_pe) for of_pe in entries]
    result = run_layer(machine("pe.count=4"), fc(8, 16), of_masks(FIGURE_2, ACTIVATIONS), FREE)
    assert entries[0] == [2, 2, 2, 2]
    assert entries[1][0] == 0
    assert result.cycle_map.tolist() == [work]
    assert result.cycles == max(work) + 1 + 4  # one level of the tree, four stages; the queues hold all columns
    assert result.stack["busy"] == result.macs_issued == matrix.sum()
    assert result.stack["fragmentation"] == sum(of_pe.count(0) for of_pe in entries)


def test_the_code_of_the_papers_example():
    # Section III: [0,0,1,2,18 zeros,3] is v = [1,2,0,3], z = [2,0,15,2].
    column = np.zeros((23, 1), np.uint8)
    column[[2, 3, 22], 0] = 1, 2, 3
    entry_ptr, run, code = store(machine("pe.count=1"), column)
    assert (entry_ptr.tolist(), run.tolist(), code.tolist()) == ([[0, 4]], [2, 0, 15, 2], [1, 2, 0, 3])


def two_pes(depth, *columns):
    """Cycles of columns, each with a number of entries in either PE."""
    rows = 2 * max(max(column) for column in columns)
    weights = [[int(row // 2 < column[row % 2]) for column in columns] for row in range(rows)]
    chosen = machine("pe.count=2", f"pe.queue_depth={depth}", "pe.pipeline_stages=0")
    return run_layer(chosen, fc(len(columns), rows), of_masks(weights, [1] * len(columns)), FREE).cycles - 1


def test_a_queue_of_one_is_a_barrier_after_every_column():
    assert two_pes(1, (3, 1), (1, 3), (3, 1), (1, 3)) == 12


def test_deeper_queues_let_the_pes_run_apart():
    assert two_pes(4, (3, 1), (1, 3), (3, 1), (1, 3)) == 8
    # With two places the third column enters in cycle 3, when PE 0 is done with the first; PE 1 works until then.
    assert two_pes(2, (3, 1), (1, 3), (3, 1), (1, 3)) == 8
    # PE 1 is through with two columns in cycle 2 and waits until cycle 5 for the third.
    assert two_pes(2, (5, 1), (1, 1), (1, 5)) == 10
    assert two_pes(3, (5, 1), (1, 1), (1, 5)) == 7


def test_one_column_a_cycle_enters():
    assert two_pes(8, (1, 1), (1, 1), (1, 1)) == 3
    assert two_pes(8, (1, 0), (0, 1), (1, 0)) == 3  # a column without an entry costs a cycle


def test_the_pointers_of_a_column_are_in_different_banks():
    # Two PEs, columns of 0 to 3 entries in each: the second pointer costs a cycle only where one bank holds both.
    columns = [(0, 0), (1, 1), (2, 2), (3, 3)]
    weights = [[int(row // 2 < column[row % 2]) for column in columns] for row in range(6)]
    results = []
    for banks in (2, 1):
        chosen = machine("pe.count=2", f"buffers.pointer_banks={banks}")
        results.append(run_layer(chosen, fc(4, 6), of_masks(weights, [1] * 4), FREE))
    two, one = results
    assert two.stack["bank_conflict"] == 0
    assert one.stack["bank_conflict"] == 2 * 2  # the columns of none and of one entry, in either PE
    assert one.cycles == two.cycles + 2
    assert one.words_read == two.words_read


def rows_a_cycle(chosen, layer, operands):
    """Rows that a PE reads in each of its cycles with an entry, walked entry by entry; none for a row it holds."""
    weights, image = operands.weights[:, :, 0, 0].tolist(), operands.inputs[0, :, 0, 0].tolist()
    for entries in twin.stored_matrix(chosen, weights, range(layer.K)):
        held = None
        for address, (column, _) in enumerate(entries):
            if image[column]:
                row = address // chosen.entries_per_row
                yield int(row != held)
                held = row


@pytest.mark.parametrize("row_bits", [8, 64])
def test_one_port_of_the_matrix_sram_is_enough(row_bits):
    # An entry a cycle lies in one row, so a column that straddles rows reads the next one when it gets there.
    layer, chosen = fc(60, 50), machine("pe.count=4", f"buffers.matrix_row_bits={row_bits}")
    operands = at_densities(layer, 0.3, 0.5)
    reads = list(rows_a_cycle(chosen, layer, operands))
    result = run_layer(chosen, layer, operands, FREE)
    assert len(reads) == result.macs_issued
    assert sum(reads) == result.words_read["matrix_sram"] // chosen.entries_per_row
    assert result.stack["bank_conflict"] == 0
    if row_bits == 8:
        assert all(reads)  # the port is busy in every cycle of work, and in none twice


def test_a_column_without_an_entry_starves_a_pe():
    # Two PEs, 4 columns of one entry each: half of the PE-cycles find none.
    result = run_layer(machine("pe.count=2"), fc(4, 2), of_masks([[1, 0, 1, 0], [0, 1, 0, 1]], [1] * 4), FREE)
    assert load_balance(result) == 0.5


def test_long_vectors_come_in_batches():
    chosen = machine("pe.count=2", "pe.registers=4", "buffers.activation_row_bits=16")
    # 20 inputs are batches of 8, 8, 4; 10 outputs are batches of 8, 2; all inputs pass for each of these.
    result = run_layer(chosen, fc(20, 10), of_masks(np.ones((10, 20)), [1] * 20), FREE)
    assert result.details["batches"] == 6
    loads, saves = 2 * (4 + 4 + 2), 4 + 1
    columns = 20 * 4 + 20 * 1  # entries of a PE in each column: 4 of the first rows, 1 of the others
    assert result.cycles == columns + loads + saves + 6 * (1 + 4)
    assert result.words_read["activation_sram"] == 2 * 20
    assert result.words_written["activation_sram"] == 10


def test_vectors_that_fit_the_registers_stay_there():
    layer = fc(20, 10)
    operands = of_masks(np.ones((10, 20)), [1] * 20)
    stays = run_layer(machine(), layer, operands, FREE)
    assert (stays.words_read["activation_sram"], stays.words_written["activation_sram"]) == (0, 0)
    comes = run_layer(machine(), layer, operands, dataclasses.replace(FREE, input_on_chip=False))
    assert (comes.words_read["activation_sram"], comes.words_written["activation_sram"]) == (20, 20)
    assert comes.cycles == stays.cycles + 2  # one row of the SRAM, and the DRAM


def test_weights_on_chip_are_not_fetched():
    layer, around = fc(40, 40), Context(memory())
    operands = of_masks(np.ones((40, 40)), [1] * 40)

    def weight_bytes(*assignments, images=operands):
        return run_layer(machine("pe.count=4", *assignments), layer, images, around).dram_bytes_of("weight")

    once = 40 * 40 + 2 * 4 * 41  # an entry has 8 bits, a pointer 16
    assert weight_bytes() == 0
    assert weight_bytes("weights.preloaded=false") == once
    three = Operands(operands.weights, np.ones((3, 40, 1, 1), np.uint8), 1.0)
    assert weight_bytes("weights.preloaded=false", images=three) == once
    # 400 entries a PE: 400 bytes hold them, 392 do not, and every image fetches them
    assert weight_bytes("buffers.matrix_bytes=400", images=three) == 0
    assert weight_bytes("buffers.matrix_bytes=392", images=three) == 3 * once


def test_the_fullest_pe_decides_whether_weights_fit():
    weights = np.zeros((40, 10))
    weights[::4] = 1  # all in PE 0: 100 entries, in batches of 4 outputs 10 entries each
    operands = of_masks(weights, [1] * 10)
    around = Context(memory())
    for registers in (1, 64):
        for num_bytes, fits in ((100, 1), (99, 0)):
            chosen = machine("pe.count=4", f"pe.registers={registers}", f"buffers.matrix_bytes={num_bytes}")
            result = run_layer(chosen, fc(10, 40), operands, around)
            assert result.details["weights_resident"] == fits
            assert (result.dram_bytes_of("weight") == 0) == fits
            dense = run_layer(chosen, fc(10, 40), of_masks(np.ones((40, 10)), [1] * 10), around)
            expected = expect_layer(chosen, fc(10, 40), Densities(1, 1.0, 1.0, 1.0), around)
            assert expected.details["weights_resident"] == dense.details["weights_resident"] == fits


def test_vectors_stay_on_chip_where_both_fit():
    chosen = machine("pe.count=2", "buffers.activation_bytes=64")  # 64 words in all
    assert chosen.fits(fc(40, 24), 0.1, 0.1) == (True, True)
    assert chosen.fits(fc(40, 25), 0.1, 0.1) == (False, False)
    assert chosen.activation_bytes == 128
    assert machine("buffers.activation_bits=5", "buffers.activation_row_bits=5").stored_bytes(5, 0.1) == 4


def test_columns_without_an_entry_leave_a_line_held():
    layer, chosen = fc(4000, 64), machine("pe.count=8", "buffers.matrix_row_bits=512")
    operands = at_densities(layer, 0.02, 0.5)  # 0.16 entries a column
    exact = run_layer(chosen, layer, operands, FREE)
    expected = expect_layer(chosen, layer, Densities(1, operands.weight_density, operands.input_density, 0.5), FREE)
    lines = exact.words_read["matrix_sram"]
    assert expected.words_read["matrix_sram"] == pytest.approx(lines, rel=0.05)


def test_a_line_that_is_held_is_not_read_again():
    def lines(inputs, row_bits=64):
        # One PE, columns of 6 entries: bytes 0-5, 6-11, 12-17 of its memory.
        chosen = machine("pe.count=1", f"buffers.matrix_row_bits={row_bits}")
        result = run_layer(chosen, fc(3, 6), of_masks(np.ones((6, 3)), inputs), FREE)
        return result.words_read["matrix_sram"] // (row_bits // 8)

    assert lines([1, 0, 0]) == 1
    assert lines([0, 1, 0]) == 2  # begins at 6, in line 0
    assert lines([1, 1, 0]) == 2  # line 0 is held
    assert lines([1, 0, 1]) == 3  # line 0, then lines 1 and 2
    assert lines([1, 1, 1]) == 3
    assert lines([1, 1, 1], row_bits=512) == 1
    assert lines([1, 1, 1], row_bits=8) == 18


# The codebook


def test_weights_of_few_values_keep_them():
    weights = np.array([[5, 0, -3], [5, 7, 0]], np.int32)
    codes, codebook = share_weights(weights, 4)
    assert np.array_equal(codebook[codes], weights)
    assert codebook[0] == 0
    assert codebook.size == 4


def test_no_more_values_are_shared_than_the_codebook_has():
    weights = np.arange(-200, 201, dtype=np.int32).reshape(1, -1)
    codes, codebook = share_weights(weights, 4)
    assert codebook.size == 16
    assert np.array_equal(codes == 0, weights == 0)
    distances = abs(codebook[1:, np.newaxis] - weights[weights != 0])
    assert np.array_equal(abs(codebook[codes] - weights)[weights != 0], distances.min(axis=0))


def test_shared_weights_stand_for_equal_shares():
    weights = np.arange(1, 31, dtype=np.int32).reshape(5, 6)
    assert share_weights(weights, 2)[1].tolist() == [0, 6, 16, 26]  # the middle of every ten
    assert share_weights(weights, 1)[1].tolist() == [0, 16]


def test_a_layer_without_weights_has_an_empty_codebook():
    codes, codebook = share_weights(np.zeros((2, 3), np.int32), 4)
    assert not codes.any()
    assert codebook.tolist() == [0]


def test_a_wrong_sum_is_found(monkeypatch):
    chosen, layer = machine("pe.count=4"), fc(20, 30)
    right = interleaved_columns.accumulate_columns

    def wrong(*arguments):
        sums = right(*arguments)
        sums[3, 2] += 1
        return sums

    monkeypatch.setattr("archmodel.accelerators.eie_check.accumulate_columns", wrong)
    with pytest.raises(ResultError, match=r"output \[11, 0, 0\]"):
        run_layer(chosen, layer, at_densities(layer, 0.5, 0.5), dataclasses.replace(FREE, check=True))


def test_rows_that_no_entry_reaches_are_zero():
    assert deal_back(np.array([[1, 3], [2, 4]]), 3).tolist() == [1, 2, 3]
    assert deal_back(np.array([[1], [2]]), 5).tolist() == [1, 2, 0, 0, 0]
    assert deal_back(np.zeros((2, 0), np.int64), 2).tolist() == [0, 0]


# What must hold


@pytest.mark.parametrize("seed", range(30))
def test_deeper_queues_never_cost_cycles(seed):
    draw = random.Random(seed)
    layer = fc(draw.randint(20, 200), draw.randint(10, 100))
    operands = at_densities(layer, draw.choice([0.05, 0.2, 0.6]), draw.choice([0.3, 1.0]), seed=seed)
    spans = [
        run_layer(machine("pe.count=8", f"pe.queue_depth={depth}"), layer, operands, FREE).cycles
        for depth in (1, 2, 3, 4, 8, 16, 64, 256)
    ]
    assert all(shallow >= deep for shallow, deep in pairwise(spans))
    work = run_layer(machine("pe.count=8", "pe.queue_depth=256"), layer, operands, FREE).cycle_map
    assert spans[-1] == work.max() + 2 + 4  # queues that hold everything leave the PE with most work


def test_the_work_does_not_depend_on_queues_and_lines():
    layer = fc(300, 200)
    operands = at_densities(layer, 0.2, 0.4)
    for assignment in ("pe.queue_depth=1", "buffers.matrix_row_bits=512"):
        one, other = (run_layer(machine(*changes), layer, operands, FREE) for changes in ((), (assignment,)))
        assert one.macs_issued == other.macs_issued
        assert np.array_equal(one.cycle_map, other.cycle_map)


def test_padding_is_less_with_more_pes():
    layer = fc(100, 512)
    operands = at_densities(layer, 0.05, 1.0)
    issued = [run_layer(machine(f"pe.count={pes}"), layer, operands, FREE).macs_issued for pes in (1, 4, 16, 64)]
    assert all(few > many for few, many in pairwise(issued))
    assert issued[-1] == operands.weight_nonzeros  # eight rows a PE: no run is too long


def test_a_sampled_run_is_exact():
    exact, sampled = (simulate("eie", "lenet300_100", fidelity=fidelity) for fidelity in ("exact", "sampled"))
    for one, other in zip(exact.layers, sampled.layers, strict=True):
        assert dataclasses.replace(other, cycles_ci95=None) == one
        assert other.cycles_ci95 == (one.cycles, one.cycles)


@pytest.mark.parametrize(("depth", "banks"), [(1, 2), (2, 2), (8, 2), (64, 2), (2, 1), (8, 1)])
@pytest.mark.parametrize(("C", "K", "weights", "inputs"), [(900, 640, 0.1, 0.35), (400, 200, 0.3, 1.0),
                                                           (2000, 3000, 0.04, 0.2)])  # fmt: skip
def test_expectations_are_near_the_mean_of_many_placements(C, K, weights, inputs, depth, banks):
    layer, changes = fc(C, K), (f"pe.queue_depth={depth}", f"buffers.pointer_banks={banks}")
    chosen = machine("pe.count=16", "pe.registers=128", *changes)

    def placed(seed):
        rng = np.random.default_rng(seed)
        return Operands(
            place(rng, (K, C, 1, 1), round(weights * K * C)), place(rng, (1, C, 1, 1), round(inputs * C)), 0.5
        )

    runs = [run_layer(chosen, layer, placed(seed), FREE) for seed in range(6)]
    expected = expect_layer(chosen, layer, Densities(1, weights, inputs, 0.5), FREE)

    def mean(quantity):
        return np.mean([quantity(run) for run in runs])

    assert expected.cycles == pytest.approx(mean(lambda run: run.cycles), rel=0.025)
    assert expected.macs_issued == pytest.approx(mean(lambda run: run.macs_issued), rel=0.025)
    for cause in ("fragmentation", "stored_zero", "bank_conflict"):
        assert expected.stack[cause] == pytest.approx(mean(lambda run: run.stack[cause]), rel=0.05, abs=200)  # noqa: B023
    lines = mean(lambda run: run.words_read["matrix_sram"])
    assert expected.words_read["matrix_sram"] == pytest.approx(lines, rel=0.025)


@pytest.mark.parametrize("seed", range(0, BLOCKS * LAYERS_A_TEST, 4))
def test_expected_slots_have_a_cause_each_and_none_is_negative(seed):
    chosen, layer, operands, context = random_case(seed)
    densities = Densities(operands.batch, operands.weight_density, operands.input_density, operands.output_density)
    expected = expect_layer(chosen, layer, densities, context)
    assert min(expected.stack.values()) >= 0
    assert sum(expected.stack.values()) == expected.cycles * chosen.pe.count
    assert expected.details["batches"] == twin_result(seed)["batches"]


def test_without_chance_expectations_are_exact():
    layer = fc(100, 90)
    for chosen in (machine("pe.count=16"), machine("pe.count=16", "pe.registers=2"), machine("pe.count=128")):
        for weights, inputs in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
            exact = run_layer(chosen, layer, at_densities(layer, weights, inputs, 2), Context(memory()))
            expected = expect_layer(chosen, layer, Densities(2, weights, inputs, 0.5), Context(memory()))
            for quantity in ("cycles", "stack", "words_written", "operations", "streams", "details"):
                assert getattr(expected, quantity) == getattr(exact, quantity), (weights, inputs, quantity)


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("buffers.matrix_row_bits=60", "must be a multiple of 8"),
        ("buffers.activation_row_bits=40", "must be a multiple of 16"),
        ("buffers.matrix_bytes=0", "matrix_bytes"),
        ("pe.queue_depth=0", "queue_depth"),
        ("pe.count=0", "count"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(assignment, says):
    with pytest.raises(ConfigError, match=says):
        machine(assignment)


def test_a_row_is_not_larger_than_its_memory():
    assert machine("buffers.matrix_bytes=64", "buffers.matrix_row_bits=512").entries_per_row == 64
    with pytest.raises(ConfigError, match="at most its SRAM"):
        machine("buffers.matrix_bytes=64", "buffers.matrix_row_bits=520")


def test_the_parts_of_a_pe_are_those_of_the_paper():
    parts = {part.name: part for part in machine().components}
    assert (parts["matrix_sram"].words, parts["matrix_sram"].words_per_row) == (131072, 8)
    assert (parts["pointer_sram"].instances, parts["pointer_sram"].words) == (128, 8192)
    (single,) = (part for part in machine("buffers.pointer_banks=1").components if part.name == "pointer_sram")
    assert (single.instances, single.words) == (64, 16384)
    assert (parts["activation_sram"].instances, parts["activation_sram"].words) == (64, 1024)
    assert parts["activation_sram"].words_per_row == 4
    assert (parts["activation_queue"].words, parts["activation_queue"].bits) == (8, 16 + 12)
    assert (parts["activation_registers"].instances, parts["activation_registers"].words) == (128, 64)
    assert (parts["codebook"].words, parts["codebook"].bits) == (16, 16)
    assert machine().pe.lnzd_levels == 3
    wide = load_machine("eie_256")
    assert wide.config.num_multipliers == 256
    assert wide.technology.node_nm == 28
    assert wide.config.pe.lnzd_levels == 4


def test_an_expected_span_is_rounded_up(monkeypatch):
    eie, layer = load_machine("eie").config, fc(64, 64)

    def compute_cycles(span):
        monkeypatch.setattr(RandomColumns, "expected_cycles", lambda *_: span)
        return expect_layer(eie, layer, Densities(1, 0.5, 0.5, 1.0, {}), FREE).details["compute_cycles"]

    assert compute_cycles(1000.0) + 1 == compute_cycles(1000.25) == compute_cycles(1001.0)
