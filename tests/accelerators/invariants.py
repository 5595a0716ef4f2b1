"""What must hold of every machine, in every fidelity; `arch` is a name or the path of a TOML file.

Each function takes `arch` and asserts; INVARIANTS has them all, for `pytest.mark.parametrize`.
"""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from archmodel import results
from archmodel.accelerators.columns import CAUSES
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.sampling import WIDEST
from archmodel.exchange import read_network
from archmodel.memory.dram import load_memory
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation import simulate
from archmodel.simulation.study import FIDELITIES

NET = "lenet5"  # conv and fc layers, the largest of which have units to leave out on small machines
MID_SIZE = {  # by the kind that a machine runs: a layer whose units are many enough to sample, and large
    "conv": ("alexnet_scnn", "conv3"),
    "fc": ("lenet300_100", "ip1"),
}
DENSITIES = {"weights": "density=0.3", "activations": "density=0.4"}
STATISTICAL_BAND = 0.1  # of the cycles of one mid-size layer with uniform zeros
UNLIMITED = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")


def run(arch, fidelity, **changes):
    """What the machine runs of a small network."""
    return simulate(arch, NET, fidelity=fidelity, skip_unsupported=True, **(DENSITIES | {"threads": 1} | changes))


def mid_size_layer(machine):
    """A layer that the machine runs, and its operands' source."""
    net, name = next(MID_SIZE[kind] for kind in MID_SIZE if kind in machine.kinds)
    sources = {key: Source.parse(text, key) for key, text in DENSITIES.items()}
    source = OperandSource(read_network(net), **sources)
    return source.network.layer(name), source


def surroundings(**changes):
    """Behind a memory that is never waited for, so that nothing hides the machine."""
    return Context(load_memory("ideal", ("bytes_per_s=1e15", "latency_s=0.0")), **changes)


def every_slot_has_a_cause(arch):
    """Stacks sum to the slots; effectual work is issued, and issued work needs a multiplier."""
    for fidelity in FIDELITIES:
        done = run(arch, fidelity)
        assert {layer.kind for layer in done.layers} == {"conv", "fc"} & set(load_machine(arch).kinds)
        for layer in done.layers:
            assert set(layer.stack) <= set(CAUSES)
            assert sum(layer.stack.values()) == layer.cycles * layer.num_multipliers
            assert min(layer.stack.values()) >= 0
            assert layer.stack["busy"] == layer.macs_effectual
            assert 0 < layer.macs_effectual <= layer.macs_issued <= layer.slots
            assert layer.macs_effectual <= layer.macs_dense
        assert sum(done.stack.values()) == sum(layer.slots for layer in done.layers)


def more_bandwidth_never_hurts(arch):
    for fidelity in FIDELITIES:
        offers = ["0.1e9", "1e9", "50e9", "1e15"]
        runs = [run(arch, fidelity, assignments=(f"memory.bytes_per_s={offer}",)) for offer in offers]
        for slower, faster in pairwise(runs):
            assert all(a.cycles >= b.cycles for a, b in zip(slower.layers, faster.layers, strict=True))
        assert runs[0].cycles > runs[-1].cycles
        assert len({done.total("dram_bytes") for done in runs}) == 1


def threads_change_nothing(arch):
    for fidelity in ("exact", "sampled"):
        assert run(arch, fidelity).layers == run(arch, fidelity, threads=2).layers


def a_layer_does_not_depend_on_the_others(arch):
    """Neither on their order nor on whether they run."""
    machine, network = load_machine(arch), read_network(NET)
    sources = {key: Source.parse(text, key) for key, text in DENSITIES.items()}
    layers = [layer for layer in network.compute_layers if layer.kind in machine.kinds]
    for fidelity in ("exact", "sampled"):

        def results_of(chosen, fidelity=fidelity):
            source = OperandSource(network, **sources, seed=3)
            context = surroundings(fidelity=fidelity, seed=3)
            return {layer.name: machine.run_layer(layer, source.operands(layer), context) for layer in chosen}

        forwards = results_of(layers)
        assert results_of(layers[::-1]) == forwards
        assert results_of(layers[1:2]) == {layers[1].name: forwards[layers[1].name]}


def samples_hold_what_they_promise(arch):
    """Intervals are narrow and hold the exact cycles as often as 20 seeds can show; counts are not estimated."""
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    operands = source.operands(layer)
    exact = machine.run_layer(layer, operands, surroundings())
    assert exact.cycles_ci95 is None
    holds = 0
    for seed in range(20):
        sampled = machine.run_layer(layer, operands, surroundings(fidelity="sampled", seed=seed))
        low, high = sampled.cycles_ci95
        assert low <= sampled.cycles <= high
        assert (high - low) / 2 <= WIDEST * sampled.cycles
        holds += low <= exact.cycles <= high
        for quantity in ("macs_dense", "macs_effectual", "macs_issued", "words_read", "words_written", "operations",
                         "streams", "origins"):  # fmt: skip
            assert getattr(sampled, quantity) == getattr(exact, quantity), quantity
    assert holds >= 16  # 0.3 % of the machines whose coverage is 95 % have fewer


def densities_are_enough_for_an_expectation(arch):
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    exact = machine.run_layer(layer, source.operands(layer), surroundings())
    expected = machine.expect_layer(layer, source.densities(layer), surroundings(fidelity="statistical"))
    assert expected.cycles == pytest.approx(exact.cycles, rel=STATISTICAL_BAND)
    assert expected.cycles_ci95 is None
    assert expected.macs_effectual == pytest.approx(exact.macs_effectual, rel=0.01)
    assert expected.dram_bytes == pytest.approx(exact.dram_bytes, rel=0.02)


def energy_is_the_sum_of_its_parts(arch):
    machine = load_machine(arch)
    names = [component.name for component in machine.config.components]
    assert len(set(names)) == len(names)
    assert min(machine.area_mm2.values()) > 0
    for fidelity in FIDELITIES:
        done = run(arch, fidelity)
        document = done.as_dict()
        for layer, row in zip(done.layers, document["layers"], strict=True):
            assert {"leakage", "dram"} <= set(layer.energy_pj)
            assert min(layer.energy_pj.values()) >= 0
            assert row["energy_pj"] == pytest.approx(sum(layer.energy_pj.values()))
            assert row["energy_by_component_pj"] == dict(layer.energy_pj)
            counted = {*layer.words_read, *layer.words_written, *layer.operations}
            assert counted <= set(names) <= set(layer.energy_pj)
        assert document["totals"]["energy_pj"] == pytest.approx(sum(row["energy_pj"] for row in document["layers"]))


def every_action_costs_energy(arch):
    """More of anything that is counted takes more energy."""
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    result = machine.run_layer(layer, source.operands(layer), surroundings())
    spent = {name: picojoules for name, picojoules in result.energy_pj.items() if name not in ("leakage", "dram")}
    counted = {**result.words_read, **result.words_written, **result.operations}
    for name, actions in counted.items():
        assert actions == 0 or spent[name] > 0, name


def outputs_through_the_dataflow_are_the_layers(arch):
    for fidelity in ("exact", "sampled"):
        done = run(arch, fidelity, check=True, batch=2, weights="density=0.05")
        assert all(layer.checked for layer in done.layers)
    assert not any(layer.checked for layer in run(arch, "exact").layers)


def totals_cover_all_images(arch):
    for fidelity in FIDELITIES:
        one, two = run(arch, fidelity, assignments=UNLIMITED), run(arch, fidelity, batch=2, assignments=UNLIMITED)
        assert two.total("macs_dense") == 2 * one.total("macs_dense")
        assert one.cycles < two.cycles <= 2.1 * one.cycles  # other zeros; weights may be fetched once for both


def results_survive_a_file(arch, tmp_path):
    for fidelity in FIDELITIES:
        done = run(arch, fidelity, baseline="dcnn")
        results.save(done, tmp_path / "run.h5")
        assert results.load(tmp_path / "run.h5") == done
        assert (done.cycles_ci95 is not None) == (fidelity == "sampled")


def configurations_do_not_change_under_a_run(arch):
    machine = load_machine(arch)
    layer, source = mid_size_layer(machine)
    operands = source.operands(layer)
    weights, inputs = operands.weights.copy(), operands.inputs.copy()
    first = machine.run_layer(layer, operands, surroundings())
    assert np.array_equal(operands.weights, weights)
    assert np.array_equal(operands.inputs, inputs)
    assert machine.run_layer(layer, dataclasses.replace(operands), surroundings()) == first


INVARIANTS = (
    every_slot_has_a_cause,
    more_bandwidth_never_hurts,
    threads_change_nothing,
    a_layer_does_not_depend_on_the_others,
    samples_hold_what_they_promise,
    densities_are_enough_for_an_expectation,
    energy_is_the_sum_of_its_parts,
    every_action_costs_energy,
    outputs_through_the_dataflow_are_the_layers,
    totals_cover_all_images,
    configurations_do_not_change_under_a_run,
)
