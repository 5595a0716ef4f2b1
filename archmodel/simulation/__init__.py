"""`archmodel sim`: one network on one machine, or on several beside each other, layer by layer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archmodel import config
from archmodel.accelerators.context import Fidelity
from archmodel.accelerators.registry import Machine, load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.errors import SHOWN_CHARACTERS, ConfigError, WorkloadError, did_you_mean, one_line, show
from archmodel.memory.bank_memory import open_memory
from archmodel.network.layer import Layer
from archmodel.simulation.given import check_texts, given_network
from archmodel.simulation.study import Progress, Study

MEMORY_PREFIX = "memory."
ASSIGNMENTS = "'section.key=value', for instance ['pe.rows=4']"


def simulate(
    arch: str,
    net: str,
    *,
    fidelity: Fidelity = "exact",
    baseline: str | None = None,
    memory: str = "ideal",
    dram: str = "sampled",
    technology: str | None = None,
    precision: str | None = None,
    batch: int = 1,
    seed: int = 0,
    seeds: int = 1,
    layers: str | Sequence[str] | None = None,
    assignments: Sequence[str] = (),
    baseline_assignments: Sequence[str] = (),
    weights: str = "network",
    activations: str = "network",
    zeros: str = "uniform",
    threads: int | None = None,
    check: bool = False,
    inputs: Sequence[str] = (),
    preprocess: Sequence[str] = (),
    input_limit: str | None = None,
    skip_unsupported: bool = False,
    progress: Progress | None = None,
) -> RunResult:
    """Run the layers of a network that multiply on a machine.

    Parameters
    ----------
    arch, net, baseline, memory : names of `archmodel list`, or paths of TOML files
    dram : of a memory of banks: 'sampled', the first part of every long mix of streams, or 'full', every request
    technology : a node for all machines; None for the one that each machine's file names
    precision : of all machines, a name that each one's file has in [precisions]; None for the widths that it has
    fidelity : 'exact'; 'sampled', a random part of each layer with confidence intervals; 'statistical', densities only
    seeds : placements of the zeros; with more than one, the result has mean and 95 % interval over seed, seed + 1, ...
    layers : globs of layer names, a list or comma-separated; all when None. Tensors of layers left out go through DRAM,
        so a layer alone can differ from the same layer in its network
    assignments : 'section.key=value' for the machine, 'memory.key=value' for the memory
    weights, activations : 'network' for what the network's file states, 'density=0.4', or the path of an npz or
        safetensors file
    zeros : 'uniform', 'correlated' (as measured) or the path of a TOML file; ':key=value,...' behind changes it
    threads : worker threads, all cores when None; the numbers do not depend on it
    check : compute real outputs through the modelled dataflow and compare them with a reference, and with those of
        onnxruntime where there are `inputs`
    inputs : files for an ONNX network, 'photo.png' or 'name=photo.png', several are a batch; its layers then have the
        zeros that they have on these
    preprocess : 'key=value', what is done with the files before (docs/networks.md)
    input_limit : bounds of that run, for instance 'seconds=600,memory_gib=16'
    skip_unsupported : leave out layers that one of the machines does not run, and what of an ONNX file cannot be read;
        an error otherwise

    Raises ConfigError, WorkloadError or ResultError with one line that says what is wrong and what is allowed.
    """
    check_texts("assignments", assignments, ASSIGNMENTS)
    check_texts("baseline_assignments", baseline_assignments, ASSIGNMENTS)
    if baseline is None and baseline_assignments:
        raise ConfigError(f"--set-baseline {one_line(baseline_assignments[0], SHOWN_CHARACTERS)}: needs --baseline")
    of_memory, of_machine = split_assignments(assignments)
    machines = [load_machine(arch, of_machine, technology, precision=precision)]
    if baseline is not None:
        machines.append(load_machine(baseline, tuple(baseline_assignments), technology, "--set-baseline ", precision))
    with given_network(net, inputs, preprocess, input_limit, skip_unsupported, check) as network:
        study = Study.of(
            net,
            network,
            open_memory(memory, of_memory, dram),
            fidelity=fidelity,
            batch=batch,
            seed=seed,
            seeds=seeds,
            layers=layers,
            weights=weights,
            activations=activations,
            zeros=zeros,
            threads=threads,
            check=check,
        )
        chosen = supported_layers(machines, study.layers, skip_unsupported)
        run, *beside = study.run([(machine, chosen) for machine in machines], progress)
    return replace(run, baseline=beside[0]) if beside else run


def simulate_machines(
    archs: Sequence[str],
    net: str,
    *,
    memory: str = "ideal",
    dram: str = "sampled",
    technology: str | None = None,
    precision: str | None = None,
    assignments: Sequence[str] = (),
    inputs: Sequence[str] = (),
    preprocess: Sequence[str] = (),
    input_limit: str | None = None,
    skip_unsupported: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[RunResult, ...]:
    """A network on several machines, the same zeros for all.

    archs : names of `archmodel list` or paths of TOML files, or 'all' alone for every name that has the precision
    dram : as that of `simulate`
    assignments : 'memory.key=value' for the memory, which is behind all of them
    skip_unsupported : leave out what of an ONNX file cannot be read
    inputs, preprocess, input_limit, options : as those of `simulate` that do not name a machine

    A machine leaves out the layers that it does not run (`run.unsupported`), and a machine that runs none of them has
    no result, unless no machine has one: then WorkloadError.
    """
    check_texts("archs", archs, "names of machines, for instance ['scnn', 'dcnn']")
    check_texts("assignments", assignments, ASSIGNMENTS)
    of_memory, of_machine = split_assignments(assignments)
    if of_machine:
        raise ConfigError(
            f"--set {one_line(of_machine[0], SHOWN_CHARACTERS)}: several machines; allowed: {MEMORY_PREFIX}KEY=VALUE"
        )
    chosen = all_machines(precision) if list(archs) == ["all"] else list(dict.fromkeys(archs))
    machines = [load_machine(arch, technology=technology, precision=precision) for arch in chosen]
    with given_network(net, inputs, preprocess, input_limit, skip_unsupported, bool(options.get("check"))) as network:
        study = Study.of(net, network, open_memory(memory, of_memory, dram), **options)
        own = [(machine, tuple(layer for layer in study.layers if machine.runs(layer))) for machine in machines]
        able = [(machine, layers) for machine, layers in own if layers]
        if not able:
            raise WorkloadError(f"{study.source.network.name}: none of {', '.join(chosen)} runs any of the layers")
        return tuple(study.run(able, progress))


def all_machines(precision: str | None) -> list[str]:
    """Names of all machines that have a precision; ConfigError with the precisions that there are if none has it."""
    known = {name: config.variants("accelerators", name) for name in config.names("accelerators")}
    able = [name for name, sets in known.items() if precision is None or precision in sets]
    if not able:
        allowed = list(dict.fromkeys(one for sets in known.values() for one in sets))
        nearest = did_you_mean(str(precision), allowed)
        raise ConfigError(f"--precision {show(precision)}: no machine has it; allowed: {', '.join(allowed)}{nearest}")
    return able


def split_assignments(assignments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of the memory, without their prefix, and those of the machine."""
    of_memory = tuple(text.removeprefix(MEMORY_PREFIX) for text in assignments if text.startswith(MEMORY_PREFIX))
    return of_memory, tuple(text for text in assignments if not text.startswith(MEMORY_PREFIX))


def supported_layers(machines: Sequence[Machine], layers: tuple[Layer, ...], skip: bool) -> tuple[Layer, ...]:
    """The layers that all machines run; WorkloadError if there are others and they are not to be skipped, or none."""
    runs = tuple(layer for layer in layers if all(machine.runs(layer) for machine in machines))
    if skip and not runs:
        raise WorkloadError(f"--skip-unsupported: no layer is left for {' and '.join(one.arch for one in machines)}")
    if not skip:
        for machine in machines:
            for layer in layers:
                machine.check_runs(layer)
    return runs
