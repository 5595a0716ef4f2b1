"""SCNN from a sample of its output-channel groups: what is measured stays, what is left out is accounted for."""

import dataclasses
import functools
import random
from types import SimpleNamespace

import numpy as np
import pytest

from archmodel.accelerators import sampling, scnn_walk
from archmodel.accelerators.cartesian import Blocks
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import unit_stride
from archmodel.accelerators.sampling import PILOT_UNITS, WIDEST, Walked
from archmodel.accelerators.scnn import run_layer
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from archmodel.simulation import simulate
from tests.accelerators.test_scnn_exact import Case, load, memory, random_machine, random_zeros

COUNTS = ("macs_dense", "macs_effectual", "macs_issued", "words_read", "words_written", "operations", "streams")


def random_case(seed):
    """A random layer with many groups on a random small machine."""
    draw = random.Random(seed)
    groups, kernel = draw.choice([1, 1, 2, 3]), draw.choice([1, 2, 3])
    shape = (groups * draw.randint(1, 4), draw.randint(3, 9), draw.randint(3, 9))
    padding = (draw.randrange(kernel),) * 4
    K = groups * draw.randint(40, 99)
    layer = Layer("conv", "conv", ("x",), shape, K, kernel, kernel, draw.choice([(1, 1), (1, 1), (2, 1)]), padding,
                  groups=groups)  # fmt: skip
    operands = random_zeros(draw, layer, draw.choice([1, 1, 2]))
    machine = random_machine(draw, layer)
    if machine["pe.Kc"] == "accumulator":
        machine["pe.Kc"] = "published"
    return Case(machine, layer, operands, Context(memory(draw.choice([0.25e9, 50e9])), fidelity="sampled"))


def exact(case):
    return case.run(context=dataclasses.replace(case.context, fidelity="exact"))


def look_inside(case):
    """The sampled result, which groups were walked, what all issue, and what all are said to take."""
    seen = []
    complete = scnn_walk.complete

    def noting(walked, issuing):
        seen.append((walked, issuing, complete(walked, issuing)))
        return seen[-1][2]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SHORTEST", 0)  # so that small layers are sampled too
        patch.setattr(scnn_walk, "complete", noting)
        result = case.run()
    ((walked, issuing, work),) = seen
    return result, walked, np.concatenate(issuing()), work


@pytest.mark.parametrize("block", range(8))
def test_what_is_walked_is_as_in_the_exact_run_and_counts_are_not_estimated(block):
    for seed in range(8 * block, 8 * block + 8):
        case = random_case(seed)
        result, walked, _, _ = look_inside(case)
        reference = exact(case)
        for quantity in COUNTS:
            assert getattr(result, quantity) == getattr(reference, quantity), (seed, quantity)
        if case.assignments["pe.barrier"] != "layer":
            assert (result.cycle_map[walked.units] == reference.cycle_map[walked.units]).all(), seed
        low, high = result.cycles_ci95
        assert low <= result.cycles <= high
        if not walked.rest.size:
            assert dataclasses.replace(result, cycles_ci95=None) == reference, seed
            assert low == high


@pytest.mark.parametrize("block", range(4))
def test_every_group_is_possible(block):
    for seed in range(100 + 10 * block, 110 + 10 * block):
        _, walked, issued, work = look_inside(random_case(seed))
        assert (work.work == issued + work.stalls + work.emptying).all()
        assert min(work.waiting.min(), work.stalls.min(), work.emptying.min()) >= 0
        assert (work.work.shape[1] * (work.span - work.waiting) >= work.work.sum(axis=1)).all()
        least = -(-issued.sum(axis=1) // issued.shape[1])
        assert (walked.low >= least).all()


def test_the_random_layers_are_sampled():
    sampled = []
    for seed in range(64):
        case = random_case(seed)
        _, walked, _, _ = look_inside(case)
        sampled.append(walked.rest.size > 0 and (case.assignments["pe.barrier"], case.layer.groups))
    assert len([case for case in sampled if case]) >= 15
    assert {("group", 1), ("channel", 1), ("group", 2)} <= {case for case in sampled if case}
    assert not [case for case in sampled if case and case[0] == "layer"]


def test_pes_that_meet_at_the_end_of_the_layer_are_walked_in_all_groups():
    case = uniform_case(K=64)
    case = dataclasses.replace(case, assignments=case.assignments | {"pe.barrier": "layer"})
    result = case.run()
    assert dataclasses.replace(result, cycles_ci95=None) == exact(case)
    assert result.cycles_ci95 == (result.cycles, result.cycles)


def uniform_case(K, density=0.4, batch=1, seed=0, bytes_per_s=1e15, **machine):
    """Kernels of 3x3 on 4x4 PEs, behind a memory that is as fast as need be."""
    layer = Layer("uniform", "conv", ("x",), (40, 16, 16), K, 3, 3, padding=(1, 1, 1, 1))
    rng = np.random.default_rng(seed)
    weights = (rng.random(layer.weight_shape) < density).astype(np.uint8)
    inputs = (rng.random((batch, *layer.input_shape)) < density).astype(np.uint8)
    around = Context(memory(bytes_per_s, 0.0), True, True, fidelity="sampled")
    return Case({"pe.rows": 4, "pe.cols": 4, "pe.Kc": 2} | machine, layer, Operands(weights, inputs, density), around)


@functools.cache
def coverage(num_seeds=200, **changes):
    """How often the interval of a layer holds its exact cycles, and the half-widths, over seeds of the sample."""
    case = uniform_case(**changes)
    reference = exact(case).cycles
    results = [case.run(context=dataclasses.replace(case.context, seed=seed)) for seed in range(num_seeds)]
    ends = np.array([result.cycles_ci95 for result in results])
    widths = (ends[:, 1] - ends[:, 0]) / 2 / reference
    return np.mean((ends[:, 0] <= reference) & (reference <= ends[:, 1])), widths


@pytest.mark.parametrize("density", [0.4, 0.7])
def test_the_interval_holds_in_95_of_100_samples(density):
    holds, widths = coverage(K=100, density=density)
    assert 0.90 <= holds <= 0.995  # 95 % of 200, three standard deviations
    assert 0 < widths.max() <= WIDEST


def test_the_interval_holds_over_placements_of_the_zeros():
    holds = sampled = 0
    for seed in range(60):
        case = uniform_case(K=100, density=0.4, seed=seed)
        result = case.run(context=dataclasses.replace(case.context, seed=seed))
        low, high = result.cycles_ci95
        holds += low <= exact(case).cycles <= high
        sampled += high > low
    assert sampled >= 50
    assert holds >= 51  # 95 % of 60 is 57; fewer than 51 happen in 0.3 % of the cases


def test_a_layer_that_waits_for_memory_is_known_better_than_its_groups():
    free, bound = uniform_case(K=100).run(), uniform_case(K=100, bytes_per_s=1e8).run()
    assert bound.stack["memory"] > 0
    assert bound.cycles_ci95 == (bound.cycles, bound.cycles)
    assert free.cycles_ci95[0] < free.cycles_ci95[1]


def test_the_interval_holds_the_estimate_where_shorter_groups_make_a_longer_layer(tmp_path):
    # Groups drain longer than they compute, and all temporal tiles but the first wait for this memory.
    path = tmp_path / "drains.toml"
    layer = '{name = "a", kind = "conv", K = 512, kernel = 1}'
    path.write_text(f'title = "Drains"\nsource = "a test"\ninputs = {{image = [38, 64, 64]}}\nlayers = [{layer}]\n')
    slow = ("ppu.output_words_per_cycle=1", "memory.bytes_per_s=79167950155.0", "memory.latency_s=0.0")
    zeros = {"weights": "density=0.4", "activations": "density=0.45"}
    for seed in (3, 6, 8, 23):
        run = simulate("scnn", str(path), fidelity="sampled", seed=seed, batch=2, assignments=slow, **zeros)
        assert run.cycles_ci95[0] <= run.cycles <= run.cycles_ci95[1]


def test_images_are_one_population():
    result, walked, _, _ = look_inside(uniform_case(K=100, batch=3))
    assert walked.cycles.size == 3 * 50
    assert PILOT_UNITS <= walked.units.size < 20
    assert result.cycle_map.shape[0] == 150


def test_short_groups_are_always_walked():
    for seed in range(3):
        _, walked, _, _ = look_inside(uniform_case(K=101, seed=seed))
        assert walked.units[-1] == 50
        assert PILOT_UNITS + 1 <= walked.units.size < 20


def test_a_layer_of_few_groups_is_exact():
    case = uniform_case(K=20)
    assert dataclasses.replace(case.run(), cycles_ci95=None) == exact(case)


def test_an_fc_layer_is_exact():
    layer = Layer("fc", "fc", ("x",), (40, 1, 1), 300)
    rng = np.random.default_rng(0)
    operands = Operands(rng.integers(0, 2, layer.weight_shape, np.uint8), np.ones((1, 40, 1, 1), np.uint8), 0.5)
    results = [run_layer(load(), layer, operands, Context(memory(), fidelity=f)) for f in ("exact", "sampled")]
    assert results[0] == results[1]


def test_two_threads_choose_and_measure_as_one():
    case = uniform_case(K=100, batch=2)
    assert case.run() == case.run(context=dataclasses.replace(case.context, threads=2))


def test_the_expected_work_is_spread_over_the_pes():
    # Two parts: in the first the slowest PE issues 30 of 40 cycles, in the second 10 of 40.
    issuing = [np.array([[10, 0], [20, 10]]), np.array([[5, 5, 0], [5, 5, 20]])]
    conv = unit_stride(Layer("c", "conv", ("x",), (1, 2, 2), 4))
    part = type("Part", (), {"accumulators": type("Accumulators", (), {"Kc": 3})})
    expected = scnn_walk.expect_groups(conv, [part, part], issuing)
    assert expected.work.tolist() == pytest.approx([10 * 30 / 40, 30 * 30 / 40, 10 * 25 / 40, 30 * 25 / 40])
    assert expected.least.tolist() == [5, 15, 4, 10]
    assert expected.certain.tolist() == [False, True, False, True]


def test_the_last_group_of_every_conv_group_can_be_short():
    conv = unit_stride(Layer("c", "conv", ("x",), (4, 2, 2), 12, groups=4))  # 3 kernels each, in groups of 2
    part = type("Part", (), {"accumulators": type("Accumulators", (), {"Kc": 2})})
    assert scnn_walk.expect_groups(conv, [part], [np.ones((2, 4), np.int64)]).certain.tolist() == [False, True]


@pytest.mark.parametrize(
    ("cycles", "waiting", "stalls", "emptying"),
    [
        (100, 0, [0, 0], [0, 0]),  # the least: nothing but issues
        (103, 3, [0, 0], [0, 0]),  # the walked group would have it wait for 6
        (107, 6, [1, 1], [0, 0]),  # 2 cycles of PEs are left, for 20 of stalls
        (110, 6, [4, 4], [0, 0]),
        (118, 7, [10, 10], [1, 1]),  # 2 of 10 cycles of emptying
        (200, 11, [10, 10], [5, 5]),
    ],
)
def test_a_group_that_is_not_walked_has_room_for_its_stalls(cycles, waiting, stalls, emptying):
    # Walked: 122 cycles, of which 7 of waiting; each of two PEs issues for 100, stalls for 10 and empties for 5.
    measured = np.array([[122, 7, 115, 115, 10, 10, 5, 5]])
    spans = np.array([122, cycles])
    walked = Walked(np.array([0]), measured, spans, spans, spans)
    work = scnn_walk.complete(walked, lambda: [np.array([[100, 100], [100, 100]])])
    assert [column.tolist() for column in (work.span, work.waiting)] == [[122, cycles], [7, waiting]]
    assert work.stalls.tolist() == [[10, 10], stalls]
    assert work.emptying.tolist() == [[5, 5], emptying]
    assert work.work.tolist() == [[115, 115], [100 + a + b for a, b in zip(stalls, emptying, strict=True)]]


@pytest.mark.parametrize(("K", "short"), [(24, False), (22, True)])
def test_groups_are_expected_from_what_all_pes_issue_and_only_a_short_last_one_is_always_walked(K, short):
    # Three groups of up to four channels on two PEs; the slowest PEs issue 3 + 2 + 2 of all 10.
    conv, part = SimpleNamespace(K=K, groups=2), SimpleNamespace(accumulators=SimpleNamespace(Kc=4))
    expected = scnn_walk.expect_groups(conv, [part], [np.array([[1, 3], [2, 2], [0, 2]])])
    assert expected.work.tolist() == pytest.approx([2.8, 2.8, 1.4])
    assert expected.least.tolist() == [2, 2, 1]
    assert expected.certain.tolist() == [False, False, short]


@pytest.mark.parametrize("seed", range(10))
def test_some_rows_of_blocks_are_the_blocks_of_some_rows(seed):
    rng = np.random.default_rng(seed)
    rows, columns, length = 9, 4, 20
    mask = (rng.random((rows * columns, length)) < rng.choice([0.0, 0.1, 0.5, 1.0])).astype(np.uint8)
    chosen = np.flatnonzero(rng.random(rows) < 0.5) if seed else np.arange(rows)
    if not chosen.size:
        chosen = np.array([3])
    of_rows = mask.reshape(rows, columns, length)[chosen].reshape(-1, length)
    expected = Blocks.compress(of_rows, (chosen.size, columns), 3)
    found = Blocks.compress(mask, (rows, columns), 3).rows(chosen)
    assert found.shape == expected.shape
    assert found.entry_ptr.tolist() == expected.entry_ptr.tolist()
    assert found.position.tolist() == expected.position.tolist()
    assert found.num_entries.tolist() == expected.num_entries.tolist()
