"""What the machines of a run share: a network's layers, their zeros and the memory; and the walk over all of it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from archmodel.accelerators.context import Context, Fidelity
from archmodel.accelerators.registry import Machine, source_name
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult, versions
from archmodel.accelerators.seeds import SeedRuns
from archmodel.capture.onnx_run import available_cores
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.transfers import Memory
from archmodel.network.footprint import Placement, StoredLayer, plan_residency
from archmodel.network.layer import MAX_WORDS, Layer
from archmodel.network.network import Network
from archmodel.operands.correlated import UNIFORM, CorrelatedZeros, load_zeros
from archmodel.operands.operands import Densities, Operands
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation.given import Given, check_texts
from archmodel.simulation.word_bits import words_differ

FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)
MOST_THREADS = 1024
MOST_SEEDS = 10_000
Progress = Callable[[str, int, int], None]
"""Called with a layer's name, its dense MACs and those of the whole run, when the layer is done."""


@dataclass(frozen=True)
class Study:
    """A network with its zeros in front of a memory; machines are put between the two.

    net : the network as the user spelt it
    layers : those chosen of the network that multiply
    source : operands at the first seed
    seeds : placements of the zeros, from that seed on
    """

    net: str
    layers: tuple[Layer, ...]
    source: OperandSource
    context: Context
    seeds: int = 1

    @classmethod
    def of(
        cls,
        net: str,
        given: Given,
        memory: Memory,
        *,
        fidelity: Fidelity = "exact",
        batch: int = 1,
        seed: int = 0,
        seeds: int = 1,
        layers: str | Sequence[str] | None = None,
        weights: str = "network",
        activations: str = "network",
        zeros: str = "uniform",
        threads: int | None = None,
        check: bool = False,
    ) -> "Study":
        """Check all of it; `given` is the network `net`, the other parameters are those of `simulate`."""
        check_fidelity(fidelity, check, seeds)
        pattern = load_zeros(zeros)
        if pattern is not None and fidelity == "statistical":
            raise ConfigError(
                f"--zeros {show(zeros)}: statistical runs know densities only; allowed with --fidelity exact or sampled"
            )
        check_limits(batch, seed, seeds, threads)
        chosen = chosen_layers(given.network, net, layers)
        sources = Source.parse(weights, "--weights"), given.activations(activations)
        source = OperandSource(given.network, *sources, seed, given.batch(batch), pattern, with_values=check)
        if seeds != 1 and not source.is_random:
            raise ConfigError("--seeds: nothing is placed at random, weights and activations are of files")
        workers = available_cores() if threads is None else threads
        return cls(net, chosen, source, Context(memory, threads=workers, check=check, fidelity=fidelity), seeds)

    @property
    def pattern(self) -> CorrelatedZeros | None:
        """How zeros gather that no file states; None where every placement is equally likely."""
        return self.source.zeros

    def run(
        self, machines: Sequence[tuple[Machine, tuple[Layer, ...]]], progress: Progress | None = None
    ) -> list[RunResult]:
        """Results of machines, each with the layers that it is to run; the same zeros for all."""
        start = time.perf_counter()
        run = {layer.name for _, own in machines for layer in own}
        shown = [layer for layer in self.layers if layer.name in run]
        check_batch(shown, self.source.batch)
        all_macs = self.seeds * sum(layer.macs for layer in shown)

        def done(layer: Layer) -> None:
            if progress is not None:
                progress(layer.name, layer.macs, all_macs)

        first, runs = self.source.seed, []
        for seed in range(first, first + self.seeds):
            runs.append(run_layers(machines, replace(self.source, seed=seed), replace(self.context, seed=seed), done))
        wall_s = time.perf_counter() - start
        return [
            self._result(machine, own, [results[index] for results in runs], wall_s)
            for index, (machine, own) in enumerate(machines)
        ]

    def _result(
        self, machine: Machine, layers: tuple[Layer, ...], of_seeds: list[list[LayerResult]], wall_s: float
    ) -> RunResult:
        """What a machine did at every seed; the layers are those of the first one."""
        run, network = {layer.name for layer in layers}, self.source.network
        return RunResult(
            arch=machine.arch,
            net=source_name(self.net),
            fidelity=self.context.fidelity,
            seed=self.source.seed,
            batch=self.source.batch,
            clock_hz=machine.config.clock_hz,
            config={
                "accelerator": machine.config.model_dump(),
                "memory": self.context.memory.model_dump(),
                "technology": machine.technology.model_dump(mode="json"),
                "zeros": {"name": UNIFORM} if self.pattern is None else self.pattern.model_dump(),
                **({} if self.context.memory.extent is None else {"dram": self.context.memory.extent}),
                **({} if machine.precision is None else {"precision": machine.precision}),
            },
            area_mm2=machine.area_mm2,
            layers=tuple(of_seeds[0]),
            skipped=(*(layer.name for layer in network.layers if layer.name not in run), *network.left_out),
            unsupported=(*(layer.name for layer in self.layers if layer.name not in run), *network.left_out),
            seeds=None if self.seeds == 1 else SeedRuns.of(self.source.seed, of_seeds),
            provenance=versions(),
            wall_s=wall_s,
            words=words_differ(machine, self.source, layers),
        )


def run_layers(
    machines: Sequence[tuple[Machine, tuple[Layer, ...]]],
    source: OperandSource,
    surroundings: Context,
    layer_done: Callable[[Layer], None],
) -> list[list[LayerResult]]:
    """Results of every machine; a layer's operands are made once, shown to the machines that run it and dropped."""
    placements = [place_activations(machine, layers, source) for machine, layers in machines]
    results: list[list[LayerResult]] = [[] for _ in machines]
    for layer in source.network.compute_layers:
        running = [index for index, placement in enumerate(placements) if layer.name in placement]
        if not running:
            continue
        statistical = surroundings.fidelity == "statistical"
        operands = source.densities(layer) if statistical else compared(layer, source.operands(layer), surroundings)
        for index in running:
            machine, where = machines[index][0], placements[index][layer.name]
            context = replace(surroundings, input_on_chip=where.input_on_chip, output_on_chip=where.output_on_chip)
            if isinstance(operands, Densities):
                results[index].append(machine.expect_layer(layer, operands, context))
            else:
                results[index].append(machine.run_layer(layer, operands, context))
        del operands  # before those of the next layer are made
        layer_done(layer)
    return results


def compared(layer: Layer, operands: Operands, context: Context) -> Operands:
    """The operands; with `--check` of a real run their outputs were found to be those of the program that ran it."""
    if not context.check or operands.made is None:
        return operands
    from archmodel.accelerators.made_outputs import compare_made

    found = compare_made(layer, operands, context.seed)
    return replace(operands, origins={**operands.origins, "check": found})


def place_activations(machine: Machine, layers: Sequence[Layer], source: OperandSource) -> dict[str, Placement]:
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


def chosen_layers(network: Network, net: str, layers: str | Sequence[str] | None) -> tuple[Layer, ...]:
    """The layers that multiply among those that `layers` asks for; ConfigError if there is none."""
    if layers is not None and not isinstance(layers, str):
        check_texts("layers", layers, "globs of layer names, for instance ['conv*', 'fc6']")
        layers = ",".join(layers)
    chosen = network.compute_layers if layers is None else network.select(layers)
    chosen = tuple(layer for layer in chosen if layer.is_compute)
    if not chosen:
        where = show(net) if layers is None else f"--layers {show(layers)}"
        raise ConfigError(f"{where}: no layer that multiplies among them")
    return chosen


def check_batch(layers: Sequence[Layer], batch: int) -> None:
    """Raise ConfigError where the images of a batch are more words than an operand may have."""
    for layer in layers:
        most_words = max(math.prod(layer.multiplied_shape), layer.weight_words if layer.kind == "matmul" else 0)
        if batch * most_words > MAX_WORDS:
            allowed = MAX_WORDS // most_words
            raise ConfigError(f"--batch {show(batch)}: layer {show(layer.name)} takes at most {allowed} images")


def check_fidelity(fidelity: str, check: bool, seeds: int) -> None:
    """Raise ConfigError for a fidelity that there is not, or one that cannot do what is asked."""
    if fidelity not in FIDELITIES:
        nearest = did_you_mean(fidelity, FIDELITIES)
        raise ConfigError(f"--fidelity {show(fidelity)}: allowed: {', '.join(FIDELITIES)}{nearest}")
    if check and fidelity == "statistical":
        raise ConfigError("--check: statistical runs have no operands; allowed with --fidelity exact or sampled")
    if seeds != 1 and fidelity == "statistical":
        raise ConfigError("--seeds: statistical runs place no zeros; allowed with --fidelity exact or sampled")


def check_limits(batch: int, seed: int, seeds: int, threads: int | None) -> None:
    """Raise ConfigError for a number out of its limits."""
    limits = (("--batch", batch, 1, MAX_WORDS), ("--seed", seed, 0, None), ("--seeds", seeds, 1, MOST_SEEDS))
    for option, value, least, most in (*limits, ("--threads", threads, 1, MOST_THREADS)):
        if value is not None and value < least:
            raise ConfigError(f"{option} {show(value)}: must be at least {least}")
        if value is not None and most is not None and value > most:
            raise ConfigError(f"{option} {show(value)}: must be at most {most}")
