"""A memory of banks behind a machine: from what a controller does with requests to the time of phases.

The controller here is a metronome, whose times are known: an access every so many cycles on each channel's bus, a pause
for every refresh, writes slower than reads.
"""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from archmodel.errors import ConfigError
from archmodel.memory import bank_memory, bank_session, steady_rate
from archmodel.memory.bank_memory import BankMemory, open_memory
from archmodel.memory.dram import load_memory
from archmodel.memory.transfers import Phases

PART = load_memory("hbm2")
WEIGHTS, BOTH = (("weight", "read"),), (("weight", "read"), ("output", "write"))
LATENCY, GHZ = 28, 1e9
KIB = 1024
LIMIT = PART.sampled_bytes


@dataclass(frozen=True)
class Metronome:
    """Serves accesses at a fixed rate: `cycles` for a read, `write_cycles` for a write, at all channels together."""

    cycles: float = 0.25
    write_cycles: float = 0.25
    pause: int = 0
    jitter: int = 0

    def serve(self, part, cycles, addresses, writes):
        start = int(cycles[0])
        assert (cycles == start).all()
        assert (addresses % part.access_bytes == 0).all()
        steps = np.where(writes, self.write_cycles, self.cycles)
        if self.jitter:
            steps = (
                steps
                + np.random.default_rng(1).exponential(self.jitter, steps.size // 512 + 1).repeat(512)[: steps.size]
            )
        busy = np.cumsum(steps)
        entered = np.floor(start + busy - steps).astype(np.int64)
        completed = np.ceil(start + LATENCY + part.organization.burst_cycles + busy - steps[0]).astype(np.int64)
        if self.pause:  # a refresh at every multiple of tREFI that was passed
            for due in range(part.timing.tREFI, 10**9, part.timing.tREFI):
                late = completed > due
                if not late.any():
                    break
                completed[late] += self.pause
                entered[entered > due] += self.pause
        data = part.organization.burst_cycles * addresses.size
        return SimpleNamespace(
            entered=entered,
            completed=completed,
            counts={"ACT": addresses.size // 32, "RD": int((~writes).sum()), "WR": int(writes.sum())},
            row_hits=addresses.size - addresses.size // 32,
            cycles=int(completed.max()),
            energy_pj=1.5 * addresses.size + bank_session.standby_pj(part) * int(completed.max()),
            bus={"data": data, "turnaround": 30, "refresh": 20, "latency": 10, "idle": 40 + part.num_channels * start},
        )


@pytest.fixture
def behind(monkeypatch):
    """A BankMemory whose controller is a metronome."""

    def make(full=False, intervals=4, **beats):
        monkeypatch.setattr(bank_session, "serve", Metronome(**beats).serve)
        steady_rate._steady_rate.cache_clear()
        sampling = PART.sampling.model_copy(update={"refresh_intervals": intervals})
        return BankMemory(PART.model_copy(update={"sampling": sampling}), full)

    yield make
    steady_rate._steady_rate.cache_clear()


def moved(memory, num_bytes, streams=WEIGHTS, clock_hz=GHZ, port=None):
    return memory.transfers(Phases(streams, np.array(num_bytes, np.int64)), clock_hz, port)


def test_a_phase_takes_from_the_last_data_of_the_former_to_its_own(behind):
    found = moved(behind(cycles=2.0), [[64 * 5], [0], [64], [64 * 3]])
    assert found.latency_cycles == LATENCY
    assert found.cycles.tolist() == [10, 0, 2, 6]
    assert found.time_s == pytest.approx((LATENCY + 18) * 1e-9)


def test_phases_end_with_a_cycle_of_the_machine_counted_from_the_first(behind):
    # 5 and 10 cycles of 1 GHz are 1.5 and 3 cycles of 300 MHz; rounded up one by one they would be 2 and 2
    found = moved(behind(cycles=5.0), [[64], [64]], clock_hz=0.3e9)
    assert found.latency_cycles == math.ceil(0.3 * LATENCY)
    assert found.cycles.tolist() == [1, 2] or found.cycles.tolist() == [2, 1]
    assert found.cycles.sum() == math.ceil(0.3 * (5 + 2))  # the first data comes after the latency and a burst


def test_a_machine_that_is_faster_waits_more_cycles(behind):
    found = moved(behind(cycles=2.0), [[64 * 50]], clock_hz=3e9)
    assert (found.latency_cycles, found.cycles.tolist()) == (3 * LATENCY, [300])


def test_the_slower_of_port_and_memory_decides(behind):
    memory = behind(cycles=2.0)
    assert moved(memory, [[6400], [64]], port=64e9).cycles.tolist() == [200, 2]
    slow = moved(memory, [[6400], [64]], port=1e9)
    assert slow.cycles.tolist() == [6400, 64]
    assert slow.reasons["bandwidth"] == pytest.approx(101 / 4 + 6464 - 202)


def test_without_streams_nothing_is_run(behind):
    found = moved(behind(), np.zeros((3, 0)), ())
    assert (found.latency_cycles, found.cycles.tolist(), found.energy_pj) == (0, [0, 0, 0], 0.0)


def test_streams_without_bytes_have_a_latency_and_nothing_else(behind):
    found = moved(behind(), [[0], [0]])
    assert (found.latency_cycles, found.cycles.tolist()) == (LATENCY, [0, 0])
    assert found.energy_pj == pytest.approx(LATENCY * bank_session.standby_pj(PART))
    assert found.relative_error == 0.0
    assert found.waited(LATENCY) == {"bandwidth": 0, "latency": LATENCY, "turnaround": 0, "refresh": 0}


@pytest.mark.parametrize("beats", [{"cycles": 0.25}, {"cycles": 3.0}, {"cycles": 0.5, "write_cycles": 2.0}])
def test_a_layer_run_in_part_takes_as_long_as_one_run_whole(behind, beats):
    num_bytes = [[9000 * KIB, 3000 * KIB], [8000 * KIB, 0], [0, 6000 * KIB], [3000, 1000], [17_000 * KIB, 5655 * KIB]]
    whole = moved(behind(full=True, **beats), num_bytes, BOTH)
    part = moved(behind(**beats), num_bytes, BOTH)
    assert part.cycles == pytest.approx(whole.cycles, rel=0.01, abs=LATENCY + 4)  # for which no write is waited
    assert part.counts["accesses"] == whole.counts["accesses"]
    assert part.energy_pj == pytest.approx(whole.energy_pj, rel=0.02)
    assert whole.relative_error == 0.0


def test_all_of_a_layer_below_the_limit_is_run(behind):
    memory = behind(jitter=9)
    assert moved(memory, [[2 * LIMIT - 64]]).relative_error == 0.0
    assert moved(memory, [[2 * LIMIT + 64]]).relative_error > 0.0
    assert moved(memory, [[LIMIT, 0], [0, LIMIT + 64]], BOTH).relative_error == 0.0  # of each mix


def test_refreshes_count_as_often_as_they_come(behind):
    for intervals in (3, 4, 5):
        whole = moved(behind(full=True, cycles=1.0, pause=260), [[20_000 * KIB]])
        part = moved(behind(intervals=intervals, cycles=1.0, pause=260), [[20_000 * KIB]])
        assert part.cycles[0] == pytest.approx(whole.cycles[0], rel=0.001)


def test_a_long_layer_may_meet_a_refresh_more_or_less(behind):
    found = moved(behind(cycles=1.0), [[64_000 * KIB]])
    pause = PART.timing.tRP + PART.timing.tRFC + PART.timing.tRCDRD
    assert found.relative_error * found.cycles[0] == pytest.approx(pause, rel=1e-6)
    never = PART.model_copy(update={"controller": PART.controller.model_copy(update={"refresh": "none"})})
    assert moved(BankMemory(never), [[64_000 * KIB]]).relative_error == 0.0


def test_the_interval_holds_the_whole_layer_and_narrows_with_what_is_run(behind):
    whole = moved(behind(full=True, jitter=4), [[64_000 * KIB]])
    errors = []
    for intervals in (3, 9, 30):
        part = moved(behind(intervals=intervals, jitter=4), [[64_000 * KIB]])
        assert abs(part.cycles[0] - whole.cycles[0]) <= 1.5 * part.relative_error * part.cycles[0]
        errors.append(part.relative_error)
    assert errors[0] > errors[1] > errors[2] > 0


def test_short_layers_meet_as_many_refreshes_as_a_long_one(behind):
    memory = behind(full=True, cycles=1.0, pause=260)
    sizes = 64 * np.arange(200, 4000, 100)
    excess = sum(int(moved(memory, [[int(size)]]).cycles[0]) - int(size) // 64 for size in sizes)
    share = excess / (260 * (sizes // 64).sum() / PART.timing.tREFI)
    assert share == pytest.approx(1, abs=0.1)


def test_portions_of_a_long_layer_add_up(behind, monkeypatch):
    memory, num_bytes = behind(full=True, cycles=2.0), [[64 * 500], [64 * 3], [0], [64 * 1000]]
    once = moved(memory, num_bytes)
    monkeypatch.setattr(bank_memory, "MOST_ACCESSES", 100)
    portions = moved(memory, num_bytes)
    assert portions.cycles.tolist() == once.cycles.tolist()
    assert portions.counts["accesses"] == once.counts["accesses"]
    assert portions.latency_cycles == once.latency_cycles


def test_energy_is_that_of_the_accesses_of_the_time_and_of_the_pins(behind):
    found = moved(behind(cycles=2.0), [[64 * 100]])
    standby = bank_session.standby_pj(PART) * (LATENCY + 200)
    assert found.energy_pj == pytest.approx(150 + standby + 8 * 6400 * PART.energy.io_pj_per_bit)
    assert behind(cycles=2.0).transfer_pj(6400) == pytest.approx(found.energy_pj)


def test_an_idle_memory_stands_by_and_is_refreshed():
    ranks, second = PART.num_channels * PART.organization.ranks, 1e-3
    refreshes = ranks * second * PART.clock_hz / PART.timing.tREFI * PART.refresh_pj
    standby = ranks * second * PART.clock_hz * PART.precharge_standby_pj_per_cycle
    assert BankMemory(PART).idle_pj(second) == pytest.approx(standby + refreshes)
    never = load_memory("hbm2", ("controller.refresh=none",))
    assert BankMemory(never).idle_pj(second) == pytest.approx(standby)


def test_reasons_are_the_peak_rate_and_shares_of_the_idle_buses(behind):
    found = moved(behind(cycles=2.0), [[64 * 400]])  # 800 cycles, 100 at the peak of 4 accesses a cycle
    assert found.reasons == pytest.approx({"bandwidth": 100, "latency": 350, "turnaround": 210, "refresh": 140})
    assert moved(behind(cycles=0.25), [[64 * 400]]).reasons["bandwidth"] == pytest.approx(100)


def test_links_have_a_peak_in_each_direction(behind, monkeypatch):
    hmc = load_memory("hmc1")  # buses of the vaults: 128 B a cycle of 1.25 GHz; links: 76.8 each way
    monkeypatch.setattr(bank_session, "serve", Metronome(cycles=2.0).serve)
    both = moved(BankMemory(hmc), [[64 * 300, 64 * 100]], BOTH, clock_hz=1.25e9)
    assert both.reasons["bandwidth"] == pytest.approx(64 * 300 / 76.8)
    reads = moved(BankMemory(hmc), [[64 * 400]], clock_hz=1.25e9)
    assert reads.reasons["bandwidth"] == pytest.approx(64 * 400 / 76.8)
    even = moved(BankMemory(hmc), [[64 * 200, 64 * 200]], BOTH, clock_hz=1.25e9)
    assert even.reasons["bandwidth"] == pytest.approx(64 * 400 / 128)


def test_mixes_are_told_apart(behind):
    spans = bank_memory.placed(
        Phases(BOTH, np.array([[64 * 90, 0], [6400, 6400], [0, 0], [64 * 1000, 64 * 1010], [0, 64]])), PART.layout, 64
    )
    assert [rows.tolist() for rows in bank_memory.mixes(spans)] == [[4], [1, 3], [0]]


@pytest.mark.parametrize(("text", "nearest"), [("fll", "; did you mean 'full'?"), ("", ""), ("all", "")])
def test_what_is_run_is_sampled_or_full(text, nearest):
    with pytest.raises(ConfigError) as error:
        open_memory("hbm2", (), text)
    assert str(error.value).startswith(f"--dram '{text}': allowed: sampled, full")
    assert nearest in str(error.value)


def test_a_file_says_what_a_memory_is():
    assert open_memory("ideal").extent is None
    assert open_memory("hbm2").extent == "sampled"
    assert open_memory("hbm2", (), "full").full
    assert open_memory("hbm2").model_dump()["layout"]["chunk_bytes"] == PART.layout.chunk_bytes
