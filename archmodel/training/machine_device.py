"""A machine of `sim` as what computes the steps of an iteration."""

import math
from contextlib import suppress
from dataclasses import dataclass, field

from archmodel.accelerators.context import Context, Fidelity, layer_phases
from archmodel.accelerators.lowering import lowered_kinds
from archmodel.accelerators.registry import Machine
from archmodel.errors import UnknownDensityError, WorkloadError, show
from archmodel.memory.bank_memory import BankMemory
from archmodel.memory.dram import IdealMemoryConfig, Stream
from archmodel.network import Layer, Network
from archmodel.network.layer import MAX_WORDS
from archmodel.operands.operands import Densities, Operands, kernels_shape
from archmodel.operands.source import STATED, Source
from archmodel.operands.sources import OperandSource
from archmodel.operands.synthetic import generator, place
from archmodel.training.choices import TrainingChoices
from archmodel.training.gradient_layers import PassLayer, pass_layers
from archmodel.training.step_bytes import Shape, shape_of, step_bytes
from archmodel.training.step_times import StepTime
from archmodel.training.steps import Operation

DENSE = Source(density=1.0)
Key = tuple[Operation, Shape, int, TrainingChoices, tuple[object, ...]]
Known = tuple[Network, OperandSource, Densities]  # of a layer; the network, so that its id is no other's


@dataclass(frozen=True)
class MachineDevice:
    """A machine and the memory behind it; there is one way to run a step, without workspace.

    weights, activations : densities or files in the place of what the network states; what nobody states is dense
    gradient_density : of the gradients of feature maps, which nobody states
    fidelity : of the layers that multiply; other than statistical, gradients have zeros that `seed` places
    known, sources : what was asked before; layers of one shape and of equal densities are computed once
    """

    machine: Machine
    memory: IdealMemoryConfig | BankMemory
    weights: Source = STATED
    activations: Source = STATED
    gradient_density: float = 1.0
    fidelity: Fidelity = "statistical"
    seed: int = 0
    known: dict[Key, tuple[StepTime, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    sources: dict[tuple[int, str, int], Known] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """As its file spells it."""
        return self.machine.config.name

    @property
    def memory_bytes(self) -> int | None:
        """Of the DRAM part; an ideal memory has no capacity."""
        return self.memory.part.capacity_bytes if isinstance(self.memory, BankMemory) else None

    @property
    def dram_bytes_per_s(self) -> float:
        """Of the data buses, or of the ideal memory."""
        if isinstance(self.memory, BankMemory):
            return self.memory.part.peak_bytes_per_s
        return self.memory.bytes_per_s

    def options(
        self, network: Network, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices
    ) -> tuple[StepTime, ...]:
        """A layer that multiplies on the machine, its gradients as layers of as many MACs; the rest by their bytes.

        Maps come from and go to the memory, since the backward pass reads them. WorkloadError for a layer that
        multiplies and that the machine does not run.
        """
        if not layer.is_compute or operation in ("loss", "update"):
            key: Key = (operation, shape_of(layer), batch, choices, ())
            if key not in self.known:
                self.known[key] = (self._moved(layer, operation, batch, choices),)
            return self.known[key]
        if not self.machine.runs(layer):
            raise WorkloadError(self._refusal(layer))
        source, densities = self._operands(network, layer, batch)
        own = (densities.weight_density, densities.input_density, densities.output_density)
        placed_by = () if self.fidelity == "statistical" else (id(network), layer.name)
        key = (operation, shape_of(layer), batch, choices, own + placed_by)
        if key not in self.known:
            times = [self._run(source, layer, densities, part) for part in pass_layers(layer, operation)]
            self.known[key] = (StepTime(sum(time.seconds for time in times), sum(time.dram_s for time in times)),)
        return self.known[key]

    def _refusal(self, layer: Layer) -> str:
        kinds = self.machine.kinds
        allowed = ", ".join(dict.fromkeys((*kinds, *lowered_kinds(kinds))))
        return f"layer {show(layer.name)}: {self.machine.arch} runs no {layer.kind}; allowed: {allowed}"

    def _operands(self, network: Network, layer: Layer, batch: int) -> tuple[OperandSource, Densities]:
        """Where the operands of a layer come from and what is known of them; what nobody states is dense."""
        key = (id(network), layer.name, batch)
        if key not in self.sources:
            stated = (self.weights, self.activations)
            for sources in (stated, (DENSE, stated[1]), (stated[0], DENSE), (DENSE, DENSE)):
                source = OperandSource(network, *sources, self.seed, batch)
                with suppress(UnknownDensityError):
                    self.sources[key] = network, source, source.densities(layer)
                    break
        return self.sources[key][1:]

    def _run(self, source: OperandSource, layer: Layer, of_layer: Densities, part: PassLayer) -> StepTime:
        """A pass on the machine."""
        context = Context(self.memory, seed=self.seed, fidelity=self.fidelity)
        known = {"W": of_layer.weight_density, "X": of_layer.input_density, "gradient": self.gradient_density}
        forward = part == PassLayer(layer, "W", "X")
        output_density = of_layer.output_density if forward else self.gradient_density
        densities = Densities(source.batch, known[part.kernels], known[part.inputs], output_density)
        if self.fidelity == "statistical":
            result = self.machine.expect_layer(part.layer, densities, context)
        else:
            check_words(part.layer, source.batch)
            place_of = source.network.places[layer.name]
            operands = source.operands(layer) if forward else placed(part.layer, densities, self.seed, place_of)
            result = self.machine.run_layer(part.layer, operands, context)
        seconds = result.cycles / self.machine.config.clock_hz
        return StepTime(seconds, min(seconds, result.dram_bytes / self.dram_bytes_per_s))

    def _moved(self, layer: Layer, operation: Operation, batch: int, choices: TrainingChoices) -> StepTime:
        """A step that only reads and writes, as fast as the memory does it."""
        read, written = step_bytes(layer, operation, batch, choices)
        streams = [Stream("input", "read", read), Stream("output", "write", written)]
        clock_hz = self.machine.config.clock_hz
        moved = self.memory.transfers(layer_phases(1, [one for one in streams if one.num_bytes]), clock_hz)
        seconds = (moved.latency_cycles + int(moved.cycles.sum())) / clock_hz
        return StepTime(seconds, min(seconds, (read + written) / self.dram_bytes_per_s))


def placed(layer: Layer, densities: Densities, seed: int, index: int) -> Operands:
    """Operands of a gradient: non-zeros at random places, of the stream of a layer's index."""
    shapes = kernels_shape(layer, densities.batch), (densities.batch, *layer.multiplied_shape)
    shares = densities.weight_density, densities.input_density
    weights, inputs = (
        place(generator(seed, index, operand), shape, round(share * math.prod(shape)))
        for operand, (shape, share) in enumerate(zip(shapes, shares, strict=True))
    )
    return Operands(weights, inputs, densities.output_density)


def check_words(layer: Layer, batch: int) -> None:
    """Raise WorkloadError where the images of a batch are more words than an operand may have."""
    most_words = max(math.prod(layer.multiplied_shape), layer.weight_words if layer.kind == "matmul" else 0)
    if batch * most_words > MAX_WORDS:
        raise WorkloadError(
            f"layer {show(layer.name)}: batch = {batch}: takes at most {MAX_WORDS // most_words} images"
        )
