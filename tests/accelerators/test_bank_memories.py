"""Every machine behind memories of banks: what must hold whatever the controller does."""

import dataclasses
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from archmodel import config, results
from archmodel.accelerators.account import layer_account
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.memory.bank_memory import BankMemory
from archmodel.memory.dram import IdealMemoryConfig, Stream, load_memory
from archmodel.memory.steady_rate import _steady_rate
from archmodel.memory.transfers import REASONS, Transfers
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from archmodel.simulation import simulate, simulate_machines
from tests.accelerators.invariants import mid_size_layer

MACHINES = config.names("accelerators")
PARTS = [name for name in config.names("memory") if config.read("memory", name)[0]["model"] == "banks"]
DENSITIES = {"weights": "density=0.3", "activations": "density=0.4"}
OFTEN = ("timing.tREFI=2000", "sampling.refresh_intervals=4")  # of DDR4: 128 kB; lenet5's first fc layer has up to 800
SHORT = tuple(f"memory.{text}" for text in OFTEN)


@cache
def run(arch, part="hbm2", assignments=(), **changes):
    return simulate(
        arch, "lenet5", memory=part, skip_unsupported=True, assignments=assignments, **(DENSITIES | changes)
    )


def peak_of(part):
    """A memory that loses nothing."""
    known = {"bytes_per_s": part.peak_bytes_per_s, "latency_s": 0.0, "pj_per_bit": 0.0}
    return IdealMemoryConfig(model="ideal", name="peak", **known)


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("part", ["hbm2", "ddr4_2400", "hmc1"])
def test_waiting_has_reasons_and_every_byte_an_access(arch, part):
    memory = load_memory(part)
    for layer in run(arch, part).layers:
        counts = layer.details
        assert sum(layer.memory_stack.values()) == layer.stack["memory"]
        if not layer.dram_bytes:
            assert layer.memory_stack == {}
            continue
        assert set(layer.memory_stack) == set(REASONS)
        assert counts["dram_accesses"] * memory.access_bytes >= layer.dram_bytes
        assert counts["dram_accesses"] * memory.access_bytes < layer.dram_bytes + 4 * 2 * memory.access_bytes
        assert counts["dram_RD"] + counts["dram_WR"] <= counts["dram_accesses"]  # writes may be forwarded to reads
        assert counts["dram_row_hits"] <= counts["dram_accesses"] <= counts["dram_row_hits"] + counts["dram_ACT"]


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("part", ["hbm2", "ddr4_2400"])
def test_banks_are_never_faster_than_their_peak(arch, part):
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    operands, memory = source.operands(layer), load_memory(part)
    least = machine.run_layer(layer, operands, Context(peak_of(memory)))
    banks = machine.run_layer(layer, operands, Context(BankMemory(memory, full=True)))
    assert banks.dram_bytes == least.dram_bytes
    assert banks.cycles >= least.cycles - len(least.streams) - 1  # which rounds up at every tile


@pytest.mark.parametrize("arch", MACHINES)
def test_energy_of_dram_is_that_of_its_commands_its_pins_and_its_time(arch):
    part, done = load_memory("hbm2"), run(arch)
    for layer in done.layers:
        counts, time_s = layer.details, layer.cycles / done.clock_hz
        pins = 8 * part.access_bytes * counts.get("dram_accesses", 0) * part.energy.io_pj_per_bit
        commands = {"RD": part.read_pj, "WR": part.write_pj, "ACT": part.act_pj}
        least = sum(counts.get(f"dram_{name}", 0) * pj for name, pj in commands.items())
        ranks, cycles = part.num_channels * part.organization.ranks, time_s * part.clock_hz
        least += pins + cycles * ranks * part.precharge_standby_pj_per_cycle
        most = least + cycles * ranks * (part.active_standby_pj_per_cycle - part.precharge_standby_pj_per_cycle)
        most += ranks * (cycles / part.timing.tREFI + 1) * part.refresh_pj
        assert (
            0.999 * least <= layer.energy_pj["dram"] <= 1.001 * most + 1000 * part.active_standby_pj_per_cycle * ranks
        )


@pytest.mark.parametrize("arch", MACHINES)
def test_a_layer_run_in_part_is_within_its_error(arch):
    whole, part = (run(arch, "ddr4_2400", SHORT, dram=extent) for extent in ("full", "sampled"))
    assert (whole.config["dram"], part.config["dram"]) == ("full", "sampled")
    most = load_memory("ddr4_2400", OFTEN).sampled_bytes
    in_part = [layer.name for layer in part.layers if "dram_error_cycles" in layer.details]
    assert in_part == [layer.name for layer in whole.layers if layer.dram_bytes > 2 * most]
    for all_of_it, some in zip(whole.layers, part.layers, strict=True):
        assert "dram_error_cycles" not in all_of_it.details
        assert some.details.get("dram_accesses") == all_of_it.details.get("dram_accesses")
        error = some.details.get("dram_error_cycles", 0)
        assert abs(some.cycles - all_of_it.cycles) <= error + 0.01 * all_of_it.cycles
        if some.dram_bytes <= 2 * most:
            assert some == all_of_it


@dataclasses.dataclass(frozen=True)
class Answers:
    """A memory that always gives the same answer."""

    moved: Transfers

    def transfers(self, phases, clock_hz, port_bytes_per_s=None):
        assert phases.num_bytes.shape == (self.moved.cycles.size, 1)
        return self.moved

    def idle_pj(self, seconds):
        return 1e9 * seconds  # a picojoule a nanosecond


def of_two_tiles(compute, fidelity="exact", ends=(), **changes):
    """A layer of a multiplier at 1 GHz: a fill of 10 cycles, tiles that move 200 and 400, all give or take a tenth."""
    moved = Transfers(5, np.array([10, 200, 400]), energy_pj=7.0, time_s=615e-9, reasons={"refresh": 1.0},
                      relative_error=0.1, counts={"accesses": 3})  # fmt: skip
    machine = SimpleNamespace(clock_hz=1e9, num_multipliers=1)
    layer = Layer("ip", "fc", ("x",), (1, 1, 1), 1)
    operands = Operands(np.ones((1, 1, 1, 1), np.uint8), np.ones((1, 1, 1, 1), np.uint8), 1.0)
    return layer_account(
        machine, layer, operands, Context(Answers(dataclasses.replace(moved, **changes)), fidelity=fidelity),
        compute, (Stream("weight", "read", 1, 0),),
        effectual=1, issued=1, lost={"imbalance": sum(compute) - 1}, ends=ends,
        words_read={}, words_written={}, operations={},
    )  # fmt: skip


def test_the_error_of_dram_is_what_the_computation_does_not_hide():
    waits, hidden, half = (of_two_tiles(tiles) for tiles in ([1, 1], [300, 500], [300, 1]))
    assert (waits.cycles, waits.details["dram_error_cycles"]) == (5 + 610, 61)
    assert (hidden.cycles, hidden.details["dram_error_cycles"]) == (5 + 10 + 800, 1)  # of the fill
    assert (half.cycles, half.details["dram_error_cycles"]) == (5 + 10 + 300 + 400, 41)
    assert "dram_error_cycles" not in of_two_tiles([1, 1], relative_error=0.0).details


def test_the_interval_of_a_sampled_layer_has_both_errors():
    assert of_two_tiles([300, 1]).cycles_ci95 is None
    assert of_two_tiles([300, 1], "sampled").cycles_ci95 == (715 - 41, 715 + 41)
    assert of_two_tiles([300, 1], "sampled", ends=([280, 1], [320, 1])).cycles_ci95 == (715 - 41 - 20, 715 + 41 + 20)
    sure = of_two_tiles([300, 1], "sampled", ends=([280, 1], [320, 1]), relative_error=0.0)
    assert sure.cycles_ci95 == (715 - 20, 715 + 20)


def test_what_is_waited_for_has_the_first_latency_and_the_memorys_reasons():
    layer = of_two_tiles([300, 1])
    assert layer.stack["memory"] == 715 - 301
    assert layer.memory_stack == {"bandwidth": 0, "latency": 5, "turnaround": 0, "refresh": 409}
    assert layer.details["dram_accesses"] == 3


def test_a_memory_that_is_done_before_the_machine_stands_by():
    assert of_two_tiles([1, 1]).energy_pj == {"dram": 7.0}
    assert of_two_tiles([300, 500]).energy_pj["dram"] == pytest.approx(7 + 815 - 615)
    assert of_two_tiles([1, 1], energy_pj=None).energy_pj == {}


@pytest.mark.parametrize("fidelity", ["sampled", "statistical"])
@pytest.mark.parametrize("arch", ["scnn", "eie", "tpu_v1", "cambricon_x"])
def test_every_fidelity_moves_through_banks(arch, fidelity):
    exact, other = run(arch), run(arch, fidelity=fidelity)
    assert other.total("dram_bytes") == pytest.approx(exact.total("dram_bytes"), rel=0.02)
    assert other.cycles == pytest.approx(exact.cycles, rel=0.1)
    assert (other.cycles_ci95 is None) == (fidelity == "statistical")


@pytest.mark.parametrize("arch", ["scnn", "systolic_16x16_os"])
def test_threads_and_other_layers_change_nothing(arch):
    one, two = run(arch, "ddr4_2400", SHORT, threads=1), run(arch, "ddr4_2400", SHORT, threads=2)
    assert one.layers == two.layers
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    operands, context = source.operands(layer), Context(BankMemory(load_memory("ddr4_2400", OFTEN)))
    first = machine.run_layer(layer, operands, context)
    _steady_rate.cache_clear()
    assert machine.run_layer(layer, operands, context) == first


@pytest.mark.parametrize("part", PARTS)
def test_every_part_stands_behind_a_machine(part, tmp_path):
    done = run("scnn", part)
    results.save(done, tmp_path / "run.h5")
    assert results.load(tmp_path / "run.h5") == done
    assert done.config["memory"]["name"] == load_memory(part).name
    assert sum(done.as_dict()["totals"]["memory_stalls"].values()) == pytest.approx(
        done.as_dict()["totals"]["stalls"]["memory"]
    )


def test_several_machines_stand_behind_the_same_banks():
    for one in simulate_machines(["scnn", "dcnn"], "lenet5", memory="hbm2", dram="full", **DENSITIES):
        alone = run(one.arch, dram="full")
        assert dataclasses.replace(one, wall_s=0.0) == dataclasses.replace(alone, wall_s=0.0)
