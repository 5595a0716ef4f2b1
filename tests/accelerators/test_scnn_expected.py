"""Statistical SCNN layers: equal to exact where nothing is random, near their mean elsewhere, and always consistent."""

import bisect
import dataclasses
import functools
import itertools
import math
import statistics

import numpy as np
import pytest

from archmodel import config, simulate
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import PlanarTiling, tilings, unit_stride
from archmodel.accelerators.random_blocks import Count
from archmodel.accelerators.random_queues import Banks, Fills, random_queues
from archmodel.accelerators.scnn import Config, expect_layer, run_layer
from archmodel.accelerators.scnn_cells import Cells
from archmodel.accelerators.scnn_expected import RandomInputs, banks_of, log_normal_cdf
from archmodel.accelerators.scnn_expected_work import ExpectedGroup, group_works, whole
from archmodel.accelerators.scnn_tiling import Cut
from archmodel.accelerators.slowest_pe import Broadcast, Own
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands
from archmodel.operands.synthetic import place
from tests.accelerators import test_scnn_fc
from tests.accelerators.test_scnn_exact import memory, random_case
from tests.reference.bank_hashes import bank_of

CASES_A_TEST, SMALL_CASES = 10, 12
QUEUED = ("bank_conflict", "imbalance", "drain", "memory")  # causes that the queues reach


def load(*assignments):
    return config.load("accelerators", "scnn", Config, assignments)


def context(bytes_per_s=50e9):
    return Context(memory(bytes_per_s))


def conv(channels, size, kernels, kernel, **changes):
    layer = Layer("conv", "conv", ("x",), (channels, size, size), kernels, kernel, kernel, padding=(kernel // 2,) * 4)
    return dataclasses.replace(layer, **changes)


def fc(channels, kernels):
    return Layer("ip", "fc", ("x",), (channels, 1, 1), kernels)


def known(operands):
    """What a statistical run is told of operands."""
    return Densities(operands.batch, operands.weight_density, operands.input_density, operands.output_density)


def filled(layer, weights, inputs, batch=1):
    """Operands that are all ones or all zeros."""
    return Operands(
        np.full(layer.weight_shape, weights, np.uint8), np.full((batch, *layer.input_shape), inputs, np.uint8), 0.5
    )


def placements(layer, densities, number):
    """Operands with the same densities and different places of the zeros."""
    shapes = layer.weight_shape, (densities.batch, *layer.input_shape)
    for seed in range(number):
        weights, inputs = (
            place(np.random.default_rng([seed, operand]), shape, round(density * np.prod(shape)))
            for operand, (shape, density) in enumerate(
                zip(shapes, (densities.weight_density, densities.input_density), strict=True)
            )
        )
        yield Operands(weights, inputs, densities.output_density)


def changed(case, **values):
    """The machine of a case with some values changed; double underscores stand for the dot."""
    assignments = case.assignments | {key.replace("__", "."): value for key, value in values.items()}
    return dataclasses.replace(case, assignments=assignments).config


def check_account(result):
    """What holds of any result; the sum of the stack is checked when it is made."""
    assert 0 <= result.macs_effectual <= result.macs_issued <= result.slots
    assert all(count >= 0 for counts in (result.words_read, result.words_written) for count in counts.values())
    assert result.details["compute_cycles"] <= result.cycles
    assert (result.cycle_map >= 0).all()


@pytest.mark.parametrize("first", range(0, CASES_A_TEST * SMALL_CASES, CASES_A_TEST))
def test_any_machine_and_layer_has_a_consistent_account(first):
    for seed in range(first, first + CASES_A_TEST):
        case = random_case(seed)
        expected = expect_layer(case.config, case.layer, known(case.operands), case.context)
        check_account(expected)
        exact = case.run()
        assert expected.details.keys() == exact.details.keys()
        assert expected.stack.keys() == exact.stack.keys()
        assert expected.operations.keys() == exact.operations.keys()
        assert (expected.words_read.keys(), expected.words_written.keys()) == (
            exact.words_read.keys(), exact.words_written.keys(),
        )  # fmt: skip
        machine, layer, operands = test_scnn_fc.random_case(seed)[:3]
        check_account(expect_layer(machine, layer, known(operands), case.context))


@pytest.mark.parametrize("seed", range(60))
def test_without_zeros_only_the_queues_are_uncertain(seed):
    case = random_case(seed)
    machine = changed(case, compression__index_bits=16)  # no explicit zeros, which may be dropped or not
    operands = filled(case.layer, 1, 1, case.operands.batch)
    exact = run_layer(machine, case.layer, operands, case.context)
    expected = expect_layer(machine, case.layer, known(operands), case.context)
    assert expected.macs_issued == exact.macs_issued
    assert (expected.words_read, expected.words_written) == (exact.words_read, exact.words_written)
    assert (expected.operations, expected.streams) == (exact.operations, exact.streams)
    for cause in set(exact.stack) - {*QUEUED, "weight_stall"}:
        assert expected.stack[cause] == exact.stack[cause], cause
    assert [expected.details[key] for key in ("Kc", "sub_planes", "tiled_through_dram")] == [
        exact.details[key] for key in ("Kc", "sub_planes", "tiled_through_dram")
    ]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize(("weights", "inputs"), [(0, 1), (1, 0), (0, 0)])
def test_without_nonzeros_all_is_certain(seed, weights, inputs):
    case = random_case(seed)
    machine = changed(case, compression__sparse_weights="true", compression__sparse_activations="true")
    operands = filled(case.layer, weights, inputs)
    exact = run_layer(machine, case.layer, operands, case.context)
    expected = expect_layer(machine, case.layer, known(operands), case.context)
    if machine.weight_fifo.broadcast == "ideal" or not weights:
        assert expected == exact
    assert (expected.words_read, expected.words_written) == (exact.words_read, exact.words_written)
    assert (expected.streams, expected.macs_issued) == (exact.streams, 0)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(("weights", "inputs"), [(1, 1), (0, 1), (1, 0), (0, 0)])
def test_an_fc_layer_of_equal_operands_is_counted_as_it_is_walked(seed, weights, inputs):
    """Also where zeros are stored; only the queues are uncertain."""
    machine, layer, operands, surroundings = test_scnn_fc.random_case(seed)
    no_explicit_zeros = machine.compression.model_copy(update={"index_bits": 16})
    machine = machine.model_copy(update={"compression": no_explicit_zeros})
    operands = filled(layer, weights, inputs, operands.batch)
    exact = run_layer(machine, layer, operands, dataclasses.replace(surroundings, check=False))
    expected = expect_layer(machine, layer, known(operands), surroundings)
    assert expected.macs_issued == exact.macs_issued
    assert (expected.words_read, expected.words_written) == (exact.words_read, exact.words_written)
    assert (expected.operations, expected.streams) == (exact.operations, exact.streams)
    for cause in set(exact.stack) - set(QUEUED):
        assert expected.stack[cause] == exact.stack[cause], cause


LAYERS = {
    "3x3": (conv(64, 28, 64, 3), 0.35, 0.5),
    "1x1": (conv(192, 14, 64, 1), 0.4, 0.5),
    "5x5 on a small plane": (conv(48, 7, 64, 5), 0.4, 0.6),
    "3x3 on a small plane": (conv(192, 7, 128, 3), 0.35, 0.3),
    "sparse, with explicit zeros": (conv(64, 28, 64, 3), 0.08, 0.1),
    "stem": (conv(3, 56, 32, 7, stride=(2, 2), padding=(3, 3, 3, 3)), 0.6, 1.0),
    "strided": (conv(32, 27, 48, 3, stride=(2, 2)), 0.4, 0.5),
    "strided 1x1": (conv(64, 28, 64, 1, stride=(2, 2)), 0.4, 0.5),
    "depthwise": (conv(64, 14, 64, 3, groups=64), 1.0, 0.6),
    "two groups": (conv(48, 13, 64, 3, groups=2), 0.35, 0.4),
    "dilated": (conv(32, 28, 32, 3, dilation=(2, 2), padding=(2, 2, 2, 2)), 0.4, 0.5),
    "last group shorter": (conv(32, 13, 43, 3), 0.4, 0.5),
    "through DRAM": (conv(256, 28, 32, 3), 0.4, 0.8),
    "fc": (fc(500, 1000), 0.1, 0.4),
    "fc of few neurons": (fc(500, 10), 0.2, 0.5),
}


@functools.cache
def both(name, assignments=(), batch=1, number=4):
    """The expected layer, and exact ones of several placements."""
    layer, weight_density, input_density = LAYERS[name]
    densities = Densities(batch, weight_density, input_density, 0.4)
    machine = load(*assignments)
    exact = [run_layer(machine, layer, operands, context()) for operands in placements(layer, densities, number)]
    return expect_layer(machine, layer, densities, context()), exact


@pytest.mark.parametrize("name", LAYERS)
def test_cycles_are_near_the_mean_of_the_exact_ones(name):
    expected, exact = both(name)
    assert expected.cycles == pytest.approx(statistics.mean(result.cycles for result in exact), rel=0.03)
    assert expected.details["sub_planes"] == exact[0].details["sub_planes"]


@pytest.mark.parametrize("name", LAYERS)
def test_causes_are_near_the_mean_of_the_exact_ones(name):
    expected, exact = both(name)
    check_account(expected)
    for cause, slots in expected.stack.items():
        share = statistics.mean(result.stack[cause] / result.slots for result in exact)
        assert slots / expected.slots == pytest.approx(share, abs=0.03), cause


@pytest.mark.parametrize("name", LAYERS)
def test_counts_are_near_the_mean_of_the_exact_ones(name):
    expected, exact = both(name)
    for field in ("words_read", "words_written", "operations"):
        for component, count in getattr(expected, field).items():
            mean = statistics.mean(getattr(result, field)[component] for result in exact)
            assert count == pytest.approx(mean, rel=0.01, abs=2), (field, component)
    assert expected.macs_effectual == pytest.approx(statistics.mean(r.macs_effectual for r in exact), rel=0.01)
    assert expected.dram_bytes == pytest.approx(statistics.mean(r.dram_bytes for r in exact), rel=0.005)


@pytest.mark.parametrize(
    "assignments",
    [
        ("pe.barrier=layer",),
        ("pe.barrier=channel", "weight_fifo.broadcast=ideal"),
        ("weight_fifo.broadcast=ideal",),
        ("weight_fifo.entries=10", "weight_fifo.vectors_per_cycle=1"),
        ("pe.Kc=accumulator", "weight_fifo.entries=5"),
        ("pe.Kc=3", "pe.weight_order=rsk"),
        ("pe.rows=4", "pe.cols=16", "pe.F=2", "pe.I=8"),
        ("pe.out_of_range=drop", "tile_plane=padded"),
        ("ppu.overlap=false", "compression.index_bits=2"),
        ("compression.sparse_weights=false", "encoding.weights=dense"),
        ("compression.sparse_activations=false", "encoding.activations=dense"),
        ("pe.queue_depth=2", "pe.bank_hash=xor"),
        ("pe.queue_depth=0", "pe.bank_hash=xor"),
    ],
)
@pytest.mark.parametrize("name", ["3x3", "3x3 on a small plane"])
def test_every_policy_is_near_its_exact_model(name, assignments):
    expected, exact = both(name, assignments, number=2)
    cycles = statistics.mean(result.cycles for result in exact)
    assert expected.cycles == pytest.approx(cycles, rel=0.10 if "pe.queue_depth=0" in assignments else 0.06)


def test_pes_that_meet_more_often_take_longer():
    cycles = [
        both("3x3 on a small plane", (f"pe.barrier={barrier}", "weight_fifo.broadcast=ideal"), number=0)[0].cycles
        for barrier in ("layer", "group", "channel")
    ]
    assert cycles == sorted(cycles)
    assert cycles[0] * 1.2 < cycles[2]


@pytest.mark.parametrize("name", ["3x3", "fc"])
def test_images_follow_one_another(name):
    one, three = (both(name, (), batch, 0)[0] for batch in (1, 3))
    assert three.macs_issued == pytest.approx(3 * one.macs_issued, rel=1e-6)
    assert three.macs_effectual == pytest.approx(3 * one.macs_effectual, rel=1e-6)
    if name == "3x3":
        compute = [result.details["compute_cycles"] for result in (one, three)]
        assert compute[1] == pytest.approx(3 * compute[0], rel=0.01)


def test_denser_operands_take_longer():
    layer, machine = LAYERS["3x3"][0], load()
    cycles = [
        [expect_layer(machine, layer, Densities(1, *pair, 0.5), context()).cycles for pair in ((d, 0.4), (0.4, d))]
        for d in np.linspace(0.1, 1.0, 10)
    ]
    for column in zip(*cycles, strict=True):
        assert list(column) == sorted(column)


def test_a_slow_memory_is_charged_to_memory():
    layer, machine, densities = LAYERS["3x3"][0], load(), Densities(1, 0.4, 0.4, 0.4)
    fast, slow = (expect_layer(machine, layer, densities, context(bandwidth)) for bandwidth in (1e12, 1e9))
    assert slow.stack["memory"] > slow.slots / 2 > fast.stack["memory"]
    assert slow.details == fast.details


def test_tiling_follows_the_expected_fullest_tile():
    """Channels near the number at which the fullest of 64 tiles no longer fits the IARAM."""
    machine = load()
    decisions = []
    for channels in range(480, 540, 10):
        layer = conv(channels, 32, 8, 1)
        densities = Densities(1, 0.5, 0.48, 0.1)
        expected = expect_layer(machine, layer, densities, context())
        exact = [run_layer(machine, layer, operands, context()) for operands in placements(layer, densities, 3)]
        tiled = statistics.median(result.details["tiled_through_dram"] for result in exact)
        decisions.append((expected.details["tiled_through_dram"], tiled))
    assert sum(ours != theirs for ours, theirs in decisions) <= 1
    assert {ours for ours, _ in decisions} == {0, 1}


def test_a_run_is_the_same_whatever_the_seed_and_the_threads():
    first, second = (
        simulate("scnn", "lenet5", fidelity="statistical", seed=seed, threads=threads)
        for seed, threads in ((0, 1), (7, 2))
    )
    assert first.layers == second.layers


@pytest.mark.parametrize("net", ["lenet5", "alexnet_scnn", "squeezenet"])
def test_layers_of_networks_keep_the_promise(net):
    """Half within 3 %, all within 10 %, of one placement."""
    exact, expected = (simulate("scnn", net, fidelity=fidelity) for fidelity in ("exact", "statistical"))
    deviations = [
        abs(ours.cycles / theirs.cycles - 1) for ours, theirs in zip(expected.layers, exact.layers, strict=True)
    ]
    assert statistics.median(deviations) <= 0.03
    assert max(deviations) <= 0.10
    assert expected.cycles == pytest.approx(exact.cycles, rel=0.02)


def group(issuing, stalls, emptying, slowest, waiting=0.0):
    return ExpectedGroup(np.array(issuing), np.array(stalls), np.array(emptying), slowest, waiting)


def test_a_stalled_issue_takes_longer_for_the_slowest_pe_too():
    """One bank for vectors of four by four: 15 cycles more for each of 10 blocks of 2 by 3 vectors."""
    full = Fills(np.eye(5)[4], np.eye(5)[4])
    queues = random_queues(full, full, Banks(np.array([32]), np.ones(1)), 0)
    phases, own = [Broadcast(10, 2.0, 4.0)], Own(2, [Count(np.eye(4)[3])])
    stalled = ExpectedGroup.of(phases, [own], np.zeros(2, np.int64), queues, (0, 0))
    assert stalled.issuing == pytest.approx([60.0, 60.0])
    assert stalled.stalls == pytest.approx([900.0, 900.0])
    assert stalled.slowest == pytest.approx(960.0)
    assert (stalled.emptying.tolist(), stalled.waiting) == ([0.0, 0.0], 0.0)


def test_groups_without_barriers_add_up_and_end_once():
    first = group([10.0, 30.0], [1.0, 3.0], [2.0, 5.0], 60.0, 4.0)
    last = group([20.0, 0.0], [2.0, 0.0], [1.0, 0.0], 25.0)
    together = ExpectedGroup.without_barriers([(2, first), (1, last)], 70.0)
    assert together.issuing.tolist() == [40.0, 60.0]
    assert together.stalls.tolist() == [4.0, 6.0]
    assert together.emptying.tolist() == [5.0, 10.0]
    assert together.waiting == 8.0
    assert together.slowest == pytest.approx(70.0 * 1.1 + 10.0)  # a tenth of all issues stalls
    idle = group([0.0], [0.0], [0.0], 0.0)
    assert ExpectedGroup.without_barriers([(3, idle)], 0.0).slowest == 0.0


def test_the_slowest_pe_takes_as_long_as_the_mean_of_whole_numbers():
    (work,) = group_works([[group([10.1], [0.5], [0.5], 11.1, 2.0)]])
    assert (work.work.tolist(), work.stalls.tolist(), work.emptying.tolist()) == ([[13]], [[1]], [[1]])  # 11 + 1 + 1
    assert (work.span.tolist(), work.waiting.tolist()) == ([15], [2])
    (work,) = group_works([[group([10.0, 2.0], [0.0, 0.0], [0.0, 0.0], 10.0)]])
    assert work.span.tolist() == [10]


def test_groups_are_given_back_part_by_part():
    one, other = group([1.0, 2.0], [0.0, 0.0], [0.0, 0.0], 2.0), group([5.0, 6.0], [0.0, 0.0], [0.0, 0.0], 6.0)
    works = group_works([[one, one], [other]])
    assert [work.work.tolist() for work in works] == [[[1, 2], [1, 2]], [[5, 6]]]
    assert [work.span.tolist() for work in works] == [[2, 2], [6]]


def test_whole_numbers_keep_the_sum():
    assert whole([0.4] * 10).tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert whole([0.25] * 5, upwards=True).sum() == 2
    assert whole([3.0, 2.0000000001], upwards=True).tolist() == [3, 2]
    assert whole([np.array([0.5, 0.5]), np.array([1.25, 0.0])]).sum() == 2


def smallest_fit(layer, density, pes=1, batch=1):
    """Entries that the IARAM of each of some PEs must take; no explicit zeros."""
    machine = load(f"pe.rows={pes}", "pe.cols=1", "compression.index_bits=16")
    conv_ = unit_stride(layer, False)
    inputs = RandomInputs(machine, Cells.of(layer, conv_), Densities(batch, 1.0, density, 1.0))
    tiling = PlanarTiling(conv_.plane, pes, 1)
    return bisect.bisect_left(range(layer.input_words + 1), True, key=lambda most: inputs.fit(tiling, most))


def median_of_fullest(num_cells, density, num_tiles):
    """The smallest count that the fullest of some tiles exceeds in less than half of all placements."""
    below = 0.0
    for count in itertools.count():
        ways = math.lgamma(num_cells + 1) - math.lgamma(count + 1) - math.lgamma(num_cells - count + 1)
        below += math.exp(ways + count * math.log(density) + (num_cells - count) * math.log(1 - density))
        if below**num_tiles >= 0.5:
            return count
    return None


def test_a_tile_fits_where_the_median_of_its_entries_does():
    assert smallest_fit(conv(100, 4, 1, 1), 0.5) == 800  # 1,600 cells, as many above half as below
    assert smallest_fit(conv(100, 4, 1, 1), 1.0) == 1600
    assert smallest_fit(conv(100, 4, 1, 1), 0.0) == 0


@pytest.mark.parametrize(("pes", "batch"), [(4, 1), (1, 4), (4, 16)])
def test_the_fullest_tile_of_all_pes_and_images_must_fit(pes, batch):
    layer = conv(64, 4 * pes, 1, 1)
    layer = dataclasses.replace(layer, input_shape=(64, 4 * pes, 4))
    expected = median_of_fullest(64 * 16, 0.5, pes * batch)
    assert smallest_fit(layer, 0.5, pes, batch) == expected


def test_the_phases_of_a_stride_fill_a_tile_together():
    strided = conv(64, 8, 1, 2, stride=(2, 2), padding=(0,) * 4)
    assert smallest_fit(strided, 0.5, batch=16) == smallest_fit(conv(256, 4, 1, 1), 0.5, batch=16)


def test_probabilities_of_a_normal_variable():
    normal = statistics.NormalDist(0.0, 3.0)
    for excess in (-4.0, -0.5, 0.0, 0.5, 7.0):
        assert log_normal_cdf(excess, 3.0) == pytest.approx(math.log(normal.cdf(excess)))
    assert log_normal_cdf(-1000.0, 3.0) == -math.inf
    assert [log_normal_cdf(excess, 0.0) for excess in (-0.5, 0.0, 0.5)] == [-math.inf, 0.0, 0.0]


def test_banks_get_the_products_of_their_outputs_in_every_sub_plane():
    """A hash that looks at the outputs' place in the layer, on one PE whose tiles begin at odd and even rows."""
    machine = load("pe.rows=1", "pe.cols=1", "pe.bank_hash=dnnsim")
    layer = dataclasses.replace(conv(1, 9, 5, 2), R=3, input_shape=(1, 9, 7), padding=(1, 0, 1, 1))
    conv_ = unit_stride(layer, False)
    cells = Cells.of(layer, conv_)
    tiling = next(tiling for tiling in tilings(conv_.plane, 1, 1) if (tiling.splits_v, tiling.splits_h) == (3, 3))
    for sub_plane in tiling.sub_planes():
        banks = banks_of(machine, cells, Cut(tiling, 5, True, 1), sub_plane)
        products = [0] * 32
        accumulators = set()
        for k, y, x, r, s in itertools.product(
            range(5), range(sub_plane.tile_h), range(sub_plane.tile_w), range(3), range(2)
        ):
            row, column = sub_plane.top + y + 1 - r, sub_plane.left + x + 1 - s
            bank = bank_of("dnnsim", 32, None, k, None, None, row, column)
            products[bank] += 1
            accumulators.add((bank, k, row, column))
        assert banks.shares == pytest.approx(np.array(products) / sum(products))
        assert banks.accumulators.tolist() == [sum(bank == own for own, *_ in accumulators) for bank in range(32)]


def test_what_is_issued_of_many_products_is_not_one_below_what_is_effectual():
    """1.25e9 products of a dense layer: a share of them that rounding could lose is more than one of them."""
    run = simulate("scnn", "vgg16", layers=["fc6"], weights="density=1", batch=64, fidelity="statistical")
    (layer,) = run.layers
    assert layer.macs_issued == layer.macs_effectual == layer.stack["busy"]
    for total in (1249567047.68, 3e9, 4e12 + 0.5):
        assert round(total) <= int(whole([total / 3] * 3, upwards=True).sum()) <= round(total) + 1
        assert abs(int(whole([total / 3] * 3).sum()) - total) <= 0.75
