"""Tasks over threads, and the time of a layer whose tiles compute and move data at once."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.accelerators import context as under_test
from archmodel.accelerators.context import Context, layer_phases
from archmodel.memory.dram import IdealMemoryConfig, Stream

THREADS = [1, 2, 3, 4]
GHZ = 1e9


def memory(bytes_per_s=GHZ, latency_s=0.0):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


def context(bytes_per_cycle=1, latency_cycles=0, threads=1):
    """Surroundings at 1 GHz."""
    return Context(memory(bytes_per_cycle * GHZ, float(f"{latency_cycles}e-9")), threads=threads)


def layer_cycles(compute, streams, around, clock_hz):
    """Behind a memory without reasons."""
    moved = around.memory.transfers(layer_phases(len(compute), streams), clock_hz)
    return under_test.layer_cycles(compute, moved)


def read(kind, num_bytes, tile=0):
    return Stream(kind, "read", num_bytes, tile)


def write(num_bytes, tile=0):
    return Stream("output", "write", num_bytes, tile)


@pytest.mark.parametrize("threads", THREADS)
def test_outcomes_are_in_the_order_of_their_tasks(threads):
    def work(task):
        time.sleep(0.001 * (9 - task))  # later tasks are done sooner
        return task * task

    assert context(threads=threads).run(work, iter(range(10))) == [task * task for task in range(10)]


@pytest.mark.parametrize("threads", THREADS)
def test_as_many_tasks_run_at_once_as_there_are_threads(threads):
    together = threading.Barrier(threads)
    lock, running, most = threading.Lock(), 0, 0

    def work(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=10)
        time.sleep(0.01)
        with lock:
            running -= 1

    context(threads=threads).run(work, range(3 * threads))
    assert most == threads


@pytest.mark.parametrize("threads", THREADS)
def test_a_started_task_runs_beside_the_caller_where_there_are_threads(threads):
    ran = []
    outcome = context(threads=threads).start(lambda: ran.append(threading.current_thread()) or len(ran))
    assert outcome() == 1
    assert (ran == [threading.current_thread()]) == (threads == 1)


def test_one_thread_is_the_callers():
    assert set(context().run(lambda _: threading.current_thread(), range(3))) == {threading.current_thread()}


@pytest.mark.parametrize("threads", THREADS)
def test_no_tasks_have_no_outcomes(threads):
    assert context(threads=threads).run(str, []) == []


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("failing", [0, 3, 7])
def test_the_exception_of_a_task_reaches_the_caller(threads, failing):
    def work(task):
        if task == failing:
            raise KeyError(task)
        return task

    with pytest.raises(KeyError, match=str(failing)):
        context(threads=threads).run(work, range(8))


@pytest.mark.parametrize("threads", THREADS)
def test_of_two_failing_tasks_the_first_is_reported(threads):
    def work(task):
        time.sleep(0.001 * (4 - task))
        raise KeyError(task)

    with pytest.raises(KeyError, match="0"):
        context(threads=threads).run(work, range(4))


def test_without_streams_a_layer_takes_what_it_computes():
    assert layer_cycles([20, 50, 0], (), context(latency_cycles=100), GHZ) == 70


def test_the_first_inputs_and_the_latency_come_before_the_first_tile():
    around = context(latency_cycles=5)
    assert layer_cycles([20], (read("input", 10),), around, GHZ) == 5 + 10 + 20
    assert layer_cycles([20], (read("input", 6), read("input", 4)), around, GHZ) == 5 + 10 + 20
    assert layer_cycles([20], (read("weight", 10),), around, GHZ) == 5 + 20
    assert layer_cycles([20], (write(10),), around, GHZ) == 5 + 20


def test_every_tile_takes_the_longer_of_computation_and_traffic():
    streams = (read("input", 10), read("weight", 30), read("input", 8, tile=1), write(60, tile=1), read("weight", 9, 2))
    # fill 5 + 10; max(20, 30); max(50, 8 + 60); max(40, 9)
    assert layer_cycles([20, 50, 40], streams, context(latency_cycles=5), GHZ) == 15 + 30 + 68 + 40


def test_later_inputs_are_hidden_by_the_computation_of_their_tile():
    streams = (read("input", 10), read("input", 20, tile=1), write(30, tile=1))
    assert layer_cycles([7, 50], streams, context(), GHZ) == 10 + 7 + 50


@pytest.mark.parametrize(("num_bytes", "cycles"), [(19, 20), (20, 20), (21, 21)])
def test_traffic_counts_from_the_first_byte_that_computation_does_not_hide(num_bytes, cycles):
    for kind in ("weight", "output", "psum"):
        assert layer_cycles([20], (Stream(kind, "read", num_bytes),), context(), GHZ) == cycles


def test_a_tile_does_not_hide_the_traffic_of_another():
    assert layer_cycles([10, 0], (read("weight", 10, tile=1),), context(), GHZ) == 20
    assert layer_cycles([10, 0], (read("weight", 10, tile=0),), context(), GHZ) == 10


def test_streams_of_a_tile_share_its_last_started_cycle():
    streams = (read("weight", 1), write(1), read("psum", 1))
    assert layer_cycles([0], streams, context(bytes_per_cycle=2), GHZ) == 2
    apart = (read("weight", 1, 0), write(1, 1), read("psum", 1, 2))
    assert layer_cycles([0, 0, 0], apart, context(bytes_per_cycle=2), GHZ) == 3


def test_a_faster_clock_waits_more_cycles():
    streams = (read("input", 10), write(30))
    assert layer_cycles([20], streams, context(latency_cycles=5), 2 * GHZ) == 2 * 5 + 2 * 10 + 2 * 30


@st.composite
def tiles_and_streams(draw):
    compute = draw(st.lists(st.integers(0, 100), min_size=1, max_size=4))
    stream = st.builds(
        Stream,
        st.sampled_from(["weight", "input", "output", "psum"]),
        st.sampled_from(["read", "write"]),
        st.integers(0, 500),
        st.integers(0, len(compute) - 1),
    )
    return compute, tuple(draw(st.lists(stream, max_size=6)))


@given(tiles_and_streams(), st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(0, 9))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_more_bandwidth_never_hurts(work, bytes_per_cycle, latency_cycles):
    slow, fast = (layer_cycles(*work, context(rate, latency_cycles), GHZ) for rate in sorted(bytes_per_cycle))
    assert fast <= slow


@given(tiles_and_streams(), st.integers(1, 20), st.integers(0, 30))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_layer_is_no_faster_than_either_and_no_slower_than_both(work, bytes_per_cycle, latency_cycles):
    compute, streams = work
    cycles = layer_cycles(compute, streams, context(bytes_per_cycle, latency_cycles), GHZ)
    moved = sum(stream.num_bytes for stream in streams)
    latency = latency_cycles if streams else 0
    assert cycles >= latency + max(sum(compute), -(-moved // bytes_per_cycle))
    assert cycles <= latency + sum(compute) + moved // bytes_per_cycle + len(compute) + 1
