"""`archmodel sim`: one network on one machine, layer by layer."""

import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, get_args

from archmodel import config
from archmodel.accelerators.context import Context, Fidelity
from archmodel.accelerators.registry import Machine, load_machine, source_name
from archmodel.accelerators.result import LayerResult, RunResult
from archmodel.accelerators.seeds import SeedRuns
from archmodel.errors import SHOWN_CHARACTERS, ConfigError, WorkloadError, did_you_mean, one_line, show
from archmodel.memory.dram import load_memory
from archmodel.network.footprint import Placement, StoredLayer, plan_residency
from archmodel.network.layer import MAX_WORDS, Layer
from archmodel.network.toml_reader import read_network
from archmodel.operands.correlated import UNIFORM, load_zeros
from archmodel.operands.operands import Densities
from archmodel.operands.sources import OperandSource, Source

FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)
MEMORY_PREFIX = "memory."
MOST_THREADS = 1024
MOST_SEEDS = 10_000
Progress = Callable[[str, int, int], None]
"""Called with a layer's name, its dense MACs and those of the whole run, when the layer is done."""


def simulate(
    arch: str,
    net: str,
    *,
    fidelity: Fidelity = "exact",
    baseline: str | None = None,
    memory: str = "ideal",
    technology: str | None = None,
    batch: int = 1,
    seed: int = 0,
    seeds: int = 1,
    layers: str | None = None,
    assignments: Sequence[str] = (),
    baseline_assignments: Sequence[str] = (),
    weights: str = "network",
    activations: str = "network",
    zeros: str = "uniform",
    threads: int | None = None,
    check: bool = False,
    skip_unsupported: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Run the layers of a network that multiply on a machine.

    Parameters
    ----------
    arch, net, baseline, memory : names of `archmodel list`, or paths of TOML files
    technology : a node for all machines; None for the one that each machine's file names
    fidelity : 'exact'; 'sampled', a random part of each layer with confidence intervals; 'statistical', densities only
    seeds : placements of the zeros; with more than one, the result has mean and 95 % interval over seed, seed + 1, ...
    layers : comma-separated globs of layer names; all when None
    assignments : 'section.key=value' for the machine, 'memory.key=value' for the memory
    weights, activations : 'network' for what the network's file states, 'density=0.4', or the path of an npz file
    zeros : 'uniform', 'correlated' (as measured) or the path of a TOML file; ':key=value,...' behind changes it
    threads : worker threads, all cores when None; the numbers do not depend on it
    skip_unsupported : leave out layers that one of the machines does not run; an error otherwise
    check : compute real outputs through the modelled dataflow and compare them with a reference

    Raises ConfigError, WorkloadError or ResultError with one line that says what is wrong and what is allowed.
    """
    start = time.perf_counter()
    if fidelity not in FIDELITIES:
        nearest = did_you_mean(fidelity, FIDELITIES)
        raise ConfigError(f"--fidelity {show(fidelity)}: allowed: {', '.join(FIDELITIES)}{nearest}")
    if check and fidelity == "statistical":
        raise ConfigError("--check: statistical runs have no operands; allowed with --fidelity exact or sampled")
    pattern = load_zeros(zeros)
    if pattern is not None and fidelity == "statistical":
        raise ConfigError(
            f"--zeros {show(zeros)}: statistical runs know densities only; allowed with --fidelity exact or sampled"
        )
    if seeds != 1 and fidelity == "statistical":
        raise ConfigError("--seeds: statistical runs place no zeros; allowed with --fidelity exact or sampled")
    limits = (("--batch", batch, 1, MAX_WORDS), ("--seed", seed, 0, None), ("--seeds", seeds, 1, MOST_SEEDS))
    for option, value, least, most in (*limits, ("--threads", threads, 1, MOST_THREADS)):
        if value is not None and value < least:
            raise ConfigError(f"{option} {show(value)}: must be at least {least}")
        if value is not None and most is not None and value > most:
            raise ConfigError(f"{option} {show(value)}: must be at most {most}")
    if baseline is None and baseline_assignments:
        raise ConfigError(f"--set-baseline {one_line(baseline_assignments[0], SHOWN_CHARACTERS)}: needs --baseline")
    of_memory = tuple(text.removeprefix(MEMORY_PREFIX) for text in assignments if text.startswith(MEMORY_PREFIX))
    of_machine = tuple(text for text in assignments if not text.startswith(MEMORY_PREFIX))
    machines = [load_machine(arch, of_machine, technology)]
    if baseline is not None:
        with errors_naming("--set-baseline "):
            machines.append(load_machine(baseline, tuple(baseline_assignments), technology))
    with errors_naming(f"--set {MEMORY_PREFIX}"):
        dram = load_memory(memory, of_memory)
    network = read_network(net)
    chosen = network.compute_layers if layers is None else network.select(layers)
    chosen = tuple(layer for layer in chosen if layer.is_compute)
    if not chosen:
        raise ConfigError(f"--layers {show(layers)}: no layer that multiplies among them")
    chosen, unsupported = supported_layers(machines, chosen, skip_unsupported)
    for layer in chosen:
        most_words = max(math.prod(layer.multiplied_shape), layer.weight_words if layer.kind == "matmul" else 0)
        if batch * most_words > MAX_WORDS:
            allowed = MAX_WORDS // most_words
            raise ConfigError(f"--batch {show(batch)}: layer {show(layer.name)} takes at most {allowed} images")
    sources = Source.parse(weights, "--weights"), Source.parse(activations, "--activations")
    if seeds != 1 and all(one.path is not None for one in sources):
        raise ConfigError("--seeds: nothing is placed at random, weights and activations are of files")
    source = OperandSource(network, *sources, seed, batch, pattern)
    workers = available_cores() if threads is None else threads
    surroundings = Context(dram, threads=workers, check=check, fidelity=fidelity)
    all_macs = seeds * sum(layer.macs for layer in chosen)

    def advance(layer: Layer) -> None:
        if progress is not None:
            progress(layer.name, layer.macs, all_macs)

    runs = []
    for one in range(seed, seed + seeds):
        placed, around = replace(source, seed=one), replace(surroundings, seed=one)
        runs.append(run_layers(machines, chosen, placed, around, advance))
    skipped = tuple(layer.name for layer in network.layers if layer not in chosen)
    wall_s = time.perf_counter() - start

    def as_run(index: int, beside: RunResult | None) -> RunResult:
        machine = machines[index]
        return RunResult(
            arch=machine.arch,
            net=source_name(net),
            fidelity=fidelity,
            seed=seed,
            batch=batch,
            clock_hz=machine.config.clock_hz,
            config={
                "accelerator": machine.config.model_dump(),
                "memory": dram.model_dump(),
                "technology": machine.technology.model_dump(mode="json"),
                "zeros": {"name": UNIFORM} if pattern is None else pattern.model_dump(),
            },
            area_mm2=machine.area_mm2,
            layers=tuple(runs[0][index]),
            skipped=skipped,
            unsupported=unsupported,
            baseline=beside,
            seeds=None if seeds == 1 else SeedRuns.of(seed, [results[index] for results in runs]),
            provenance=versions(),
            wall_s=wall_s,
        )

    return as_run(0, as_run(1, None) if baseline is not None else None)


def simulate_machines(archs: Sequence[str], net: str, **options: Any) -> tuple[RunResult, ...]:
    """A network on several machines, the same zeros for all; `options` as those of `simulate` that suit every machine.

    archs : names of `archmodel list` or paths of TOML files, or 'all' alone for every name
    A machine leaves out the layers that it does not run (`run.unsupported`), and a machine that runs none of them has
    no result, unless no machine has one: then WorkloadError.
    """
    chosen = config.names("accelerators") if list(archs) == ["all"] else list(dict.fromkeys(archs))
    machines = [load_machine(arch) for arch in chosen]
    network = read_network(net)
    layers = network.compute_layers if options.get("layers") is None else network.select(options["layers"])
    able = [
        arch
        for arch, machine in zip(chosen, machines, strict=True)
        if any(layer.is_compute and machine.runs(layer) for layer in layers)
    ]
    if not able:
        raise WorkloadError(f"{network.name}: none of {', '.join(chosen)} runs any of the layers")
    return tuple(simulate(arch, net, skip_unsupported=True, **options) for arch in able)


@contextmanager
def errors_naming(option: str) -> Iterator[None]:
    """Let an error about an override name the option as the user spelt it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error).replace("--set ", option)) from None


def run_layers(
    machines: list[Machine],
    layers: tuple[Layer, ...],
    source: OperandSource,
    surroundings: Context,
    layer_done: Callable[[Layer], None],
) -> list[list[LayerResult]]:
    """Results of every machine; a layer's operands are made once, shown to all machines and dropped."""
    placements = [place_activations(machine, layers, source) for machine in machines]
    results: list[list[LayerResult]] = [[] for _ in machines]
    for layer in layers:
        statistical = surroundings.fidelity == "statistical"
        operands = source.densities(layer) if statistical else source.operands(layer)
        for machine, placement, done in zip(machines, placements, results, strict=True):
            where = placement[layer.name]
            context = replace(surroundings, input_on_chip=where.input_on_chip, output_on_chip=where.output_on_chip)
            if isinstance(operands, Densities):
                done.append(machine.expect_layer(layer, operands, context))
            else:
                done.append(machine.run_layer(layer, operands, context))
        layer_done(layer)
    return results


def supported_layers(
    machines: list[Machine], layers: tuple[Layer, ...], skip: bool
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers that all machines run, and the names of the others; WorkloadError if there are some, or only these."""
    runs = tuple(layer for layer in layers if all(machine.runs(layer) for machine in machines))
    if skip and not runs:
        raise WorkloadError(f"--skip-unsupported: no layer is left for {' and '.join(one.arch for one in machines)}")
    if not skip:
        for machine in machines:
            for layer in layers:
                machine.check_runs(layer)
    return runs, tuple(layer.name for layer in layers if layer not in runs)


def place_activations(machine: Machine, layers: tuple[Layer, ...], source: OperandSource) -> dict[str, Placement]:
    """Which feature maps the machine keeps on chip, at the densities known before the run."""
    stored = {}
    for layer in layers:
        input_density, output_density = source.input_density(layer), source.output_density(layer)[0]
        input_fits, output_fits = machine.fits(layer, input_density, output_density)
        stored[layer.name] = StoredLayer(
            machine.config.stored_bytes(layer.input_words, input_density),
            machine.config.stored_bytes(layer.output_words, output_density),
            input_fits,
            output_fits,
        )
    return plan_residency(source.network, stored, machine.config.activation_bytes)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """What produced a result."""
    packages = {name: version(name) for name in ("archmodel", "numpy", "numba")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine()}


