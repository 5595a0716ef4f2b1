"""What a result guarantees whoever makes it."""

import dataclasses

import numpy as np
import pytest

from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.memory.dram import Stream

LAYER = LayerResult(
    name="conv1",
    kind="conv",
    num_multipliers=4,
    cycles=10,
    stack={"busy": 25, "imbalance": 10, "memory": 5},
    macs_dense=100,
    macs_effectual=25,
    macs_issued=30,
    weight_density=0.5,
    input_density=0.5,
    output_density=0.5,
    words_read={},
    words_written={},
    operations={},
    streams=(
        Stream("weight", "read", 100),
        Stream("psum", "write", 7),
        Stream("psum", "read", 7, 1),
        Stream("output", "write", 11, 1),
    ),
)


def run_of(*layers, clock_hz=1e9, baseline=None):
    return RunResult("scnn", "net", "exact", 0, 1, clock_hz, {}, layers, baseline=baseline)


def with_stack(cycles, **stack):
    return dataclasses.replace(LAYER, cycles=cycles, stack=stack)


def test_a_layer_accounts_for_every_slot():
    assert LAYER.slots == 40
    assert LAYER.multiplier_utilization == 25 / 40
    assert LAYER.stall_cycles == {"busy": 25 / 4, "imbalance": 10 / 4, "memory": 5 / 4}
    assert sum(LAYER.stall_cycles.values()) == LAYER.cycles


@pytest.mark.parametrize("stack", [{"busy": 39}, {"busy": 41}, {"busy": 41, "memory": -1}, {"busy": 20}])
def test_a_stack_that_does_not_sum_or_is_negative_is_refused(stack):
    with pytest.raises(ValueError, match=r"conv1: the stack .* does not sum to 40 slots"):
        with_stack(10, **stack)


@pytest.mark.parametrize("interval", [(11, 12), (8, 9), (12, 8)])
def test_cycles_outside_their_interval_are_refused(interval):
    with pytest.raises(ValueError, match=r"conv1: 10 cycles are not within their interval"):
        dataclasses.replace(LAYER, cycles_ci95=interval)
    assert dataclasses.replace(LAYER, cycles_ci95=(10, 10)).cycles_ci95 == (10, 10)


def test_a_cause_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"conv1: unknown causes \['bored'\]; allowed: busy, stored_zero"):
        with_stack(10, busy=30, bored=10)


def test_bytes_are_those_of_the_streams():
    assert LAYER.dram_bytes == 125
    assert [LAYER.dram_bytes_of(kind) for kind in ("weight", "input", "output", "psum")] == [100, 0, 11, 14]


def mapped(*cycles):
    return dataclasses.replace(LAYER, cycle_map=np.array([cycles]))


def test_layers_are_equal_if_all_that_they_report_is():
    assert mapped(1, 2) == mapped(1, 2)
    assert dataclasses.replace(LAYER) == LAYER
    assert mapped(1, 2) != mapped(1, 3)
    assert (mapped(1, 2) == LAYER, LAYER.__eq__(mapped(1, 2))) == (False, False)
    assert dataclasses.replace(LAYER, checked=True) != LAYER
    assert dataclasses.replace(mapped(1, 2), checked=True) != mapped(1, 2)
    assert LAYER != "conv1"
    assert not LAYER.checked


def test_results_cannot_be_changed():
    for result in (LAYER, run_of(LAYER)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.cycles = 1


def test_an_idle_layer_has_no_utilization():
    assert with_stack(0, busy=0).multiplier_utilization == 0.0


def test_a_run_is_the_sum_of_its_layers():
    run = run_of(LAYER, with_stack(5, bank_conflict=8, busy=12), clock_hz=2e9)
    assert run.cycles == 15
    assert run.time_s == 15 / 2e9
    assert run.stack == {"busy": 37, "bank_conflict": 8, "imbalance": 10, "memory": 5}
    assert list(run.stack) == [cause for cause in CAUSES if cause in run.stack]
    assert run.total("macs_dense") == 200
    assert run.total("dram_bytes") == 250
    assert run.total("slots") == 60


def test_the_speed_up_is_the_ratio_of_the_times():
    run = run_of(LAYER, baseline=run_of(LAYER, LAYER, LAYER))
    assert run.speedup == pytest.approx(3.0)
    assert run_of(LAYER, baseline=run_of(LAYER, LAYER, LAYER, clock_hz=2e9)).speedup == pytest.approx(1.5)
    assert run_of(LAYER).speedup is None
    assert run_of(with_stack(0, busy=0), baseline=run_of(LAYER)).speedup is None
