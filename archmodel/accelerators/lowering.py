"""Layers of kinds that a machine does not have, as the layers that it has (docs/recurrent.md).

A recurrent layer is its T steps: each is a fully connected layer from x_t and h_(t-1) to all gates, over the batch, and
the next one waits for it, so the weights are fetched at every step. A matmul is a grouped 1x1 convolution whose kernels
are its second input, image after image. A plane of one row or column has no neighbourhoods under a 1x1 kernel: its
positions are dealt to the rows and columns of a PE array as the most square plane that has as many.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from archmodel.accelerators.account import DRAM_PREFIX, dram_details, in_slots
from archmodel.accelerators.context import Context, layer_phases
from archmodel.accelerators.result import LayerResult
from archmodel.memory.dram import Stream
from archmodel.network.layer import GATES, Layer
from archmodel.operands.operands import Densities, Operands

LOWERED = {**dict.fromkeys(GATES, "fc"), "matmul": "conv"}

SUMMED = ("stack", "memory_stack", "words_read", "words_written", "operations", "energy_pj")  # of parts

Known = TypeVar("Known", Operands, Densities)
Run = Callable[[Layer, Known, Context], LayerResult]


class Storage(Protocol):
    """What is asked of a machine's configuration here."""

    clock_hz: float

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored."""


def runs(kinds: Sequence[str], layer: Layer) -> bool:
    """Whether a machine with these kinds runs the layer, itself or lowered."""
    return layer.kind in (*kinds, *lowered_kinds(kinds))


def lowered_kinds(kinds: Sequence[str]) -> list[str]:
    """Kinds that run as one of `kinds`."""
    return [kind for kind, runs_as in LOWERED.items() if runs_as in kinds]


def part_of(kinds: Sequence[str], layer: Layer) -> Layer:
    """The layer that a machine with these kinds runs: the whole layer, a step of it, or the layer of one image."""
    if layer.kind in GATES and layer.kind not in kinds:
        gates, features = layer.weight_shape[:2]
        return Layer(layer.name, "fc", layer.inputs, (features, 1, 1), gates, bias=layer.bias)
    if layer.kind == "matmul" and layer.kind not in kinds:
        layer = Layer(layer.name, "conv", layer.inputs[:1], layer.input_shape, layer.K, groups=layer.groups, bias=False)
    return folded(layer)


def folded(layer: Layer) -> Layer:
    """A 1x1 convolution over a line of positions, over the most square plane of as many; other layers as they are."""
    plain = (layer.R, layer.S, layer.stride, layer.padding) == (1, 1, (1, 1), (0, 0, 0, 0))
    if layer.kind != "conv" or not plain or min(layer.H, layer.W) > 1:
        return layer
    positions = layer.H * layer.W
    rows = max(rows for rows in range(1, math.isqrt(positions) + 1) if positions % rows == 0)
    return replace(layer, input_shape=(layer.C, rows, positions // rows))


def stored_as(kinds: Sequence[str], layer: Layer) -> Layer:
    """A layer with the feature maps of `layer`, to ask whether they fit a machine's buffers.

    Of sequences it is a 1x1 convolution, also for a machine without: an fc layer of as many words has no bounds.
    """
    if layer.kind not in GATES or layer.kind in kinds:
        return part_of(kinds, layer)
    return folded(Layer(layer.name, "conv", layer.inputs, layer.input_shape, layer.K))


def run_lowered(
    kinds: Sequence[str], config: Storage, layer: Layer, operands: Operands, context: Context, run: Run[Operands]
) -> LayerResult:
    """`run` on every part of the layer, steps with the same zeros once, as the result of the layer."""
    part = part_of(kinds, layer)
    if layer.kind in kinds:
        return run(part, on_plane(operands, part), context)
    if layer.kind == "matmul":
        images = (on_plane(operands.image(index), part) for index in range(operands.batch))
        return joined(layer, operands, [(run(part, image, context), 1) for image in images])
    inside = replace(context, input_on_chip=True, output_on_chip=True)
    steps = [(run(part, step, inside), times) for step, times in distinct_steps(operands, context.check)]
    return with_sequences(joined(layer, operands, steps), config, layer, operands, context)


def expect_lowered(
    kinds: Sequence[str], config: Storage, layer: Layer, densities: Densities, context: Context, run: Run[Densities]
) -> LayerResult:
    """As `run_lowered` from densities alone: all steps, and all images of a matmul, are expected to be alike."""
    part = part_of(kinds, layer)
    if layer.kind in kinds:
        return run(part, densities, context)
    if layer.kind == "matmul":
        return joined(layer, densities, [(run(part, replace(densities, batch=1), context), densities.batch)])
    step = run(part, densities, replace(context, input_on_chip=True, output_on_chip=True))
    return with_sequences(joined(layer, densities, [(step, layer.H)]), config, layer, densities, context)


def on_plane(operands: Operands, part: Layer) -> Operands:
    """The operands of a convolution with the inputs on the plane of `part`."""
    if part.kind != "conv" or operands.inputs.shape[1:] == part.input_shape:
        return operands
    shape, values = (operands.batch, *part.input_shape), operands.input_values
    reshaped = None if values is None else values.reshape(shape)
    return replace(operands, inputs=operands.inputs.reshape(shape), input_values=reshaped)


def distinct_steps(operands: Operands, with_values: bool) -> list[tuple[Operands, int]]:
    """Operands [N, C + K, 1, 1] of the steps that differ and how many steps are like each, in order of the first.

    States and inputs without zeros, as after a tanh, make all steps of a layer alike. Steps whose values will be used
    differ in these too.
    """
    steps: dict[bytes, tuple[Operands, int]] = {}
    for index in range(operands.inputs.shape[2]):
        at = slice(index, index + 1)
        values = None if operands.input_values is None else operands.input_values[:, :, at]
        step = replace(operands, inputs=operands.inputs[:, :, at], input_values=values)
        key = step.inputs.tobytes() + (b"" if values is None or not with_values else values.tobytes())
        first, times = steps.get(key, (step, 0))
        steps[key] = (first, times + 1)
    return list(steps.values())


def joined(layer: Layer, known: Operands | Densities, parts: Sequence[tuple[LayerResult, int]]) -> LayerResult:
    """One result of parts that run one after the other; a part stands for a number of equal ones.

    Errors of sampled parts may agree, since steps share their weights, so that their intervals add up.
    """

    def total(name: str) -> int:
        return sum(getattr(part, name) * times for part, times in parts)

    def totals(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        sums: dict[str, Any] = {}
        for mapping, (_, times) in zip(mappings, parts, strict=True):
            sums = added(sums, mapping, times)
        return sums

    first, num_parts = parts[0][0], sum(times for _, times in parts)
    intervals = [(part.cycles_ci95 or (part.cycles, part.cycles), times) for part, times in parts]
    ends = [sum(interval[end] * times for interval, times in intervals) for end in (0, 1)]
    details = {**first.details, "lowered_to": first.kind, "parts": num_parts}
    if "compute_cycles" in details:
        details["compute_cycles"] = sum(int(part.details["compute_cycles"]) * times for part, times in parts)
    details |= totals(dram_counts(part.details) for part, _ in parts)
    summed: dict[str, Any] = {
        **{name: total(name) for name in ("cycles", "macs_dense", "macs_effectual", "macs_issued")},
        **{name: totals(getattr(part, name) for part, _ in parts) for name in SUMMED},
    }
    return replace(
        first,
        kind=layer.kind,
        weight_density=known.weight_density,
        input_density=known.input_density,
        output_density=known.output_density,
        **summed,
        streams=tuple(joined_streams(parts)),
        cycle_map=first.cycle_map if num_parts == 1 else None,
        cycles_ci95=None if first.cycles_ci95 is None else (ends[0], ends[1]),
        details=details,
    )


def joined_streams(parts: Sequence[tuple[LayerResult, int]]) -> Iterator[Stream]:
    """The streams of all parts; temporal tiles are counted on from part to part."""
    first_tile = 0
    for part, times in parts:
        num_tiles = 1 + max((stream.tile for stream in part.streams), default=0)
        for _ in range(times):
            yield from (replace(stream, tile=first_tile + stream.tile) for stream in part.streams)
            first_tile += num_tiles


def with_sequences(
    result: LayerResult, config: Storage, layer: Layer, known: Operands | Densities, context: Context
) -> LayerResult:
    """The result of a recurrent layer with the inputs and outputs of its steps, where they are in DRAM.

    The state stays on chip from step to step. What x_t and h_t take is not hidden behind the weights of a step, which
    are 4 * (C + K) times as many words: exact where the weights bound the step, else an upper bound.
    """
    moved = []
    if not context.input_on_chip:
        words = known.batch * layer.input_words
        moved.append(Stream("input", "read", config.stored_bytes(words, known.input_density), 0))
    if not context.output_on_chip:
        words, last = known.batch * layer.output_words, max((stream.tile for stream in result.streams), default=0)
        moved.append(Stream("output", "write", config.stored_bytes(words, known.output_density), last))
    moved = [stream for stream in moved if stream.num_bytes]
    alone = layer_phases(1, [replace(stream, tile=0) for stream in moved])  # inputs, then outputs
    transfers = context.memory.transfers(alone, config.clock_hz)
    cycles, interval = int(transfers.cycles.sum()), result.cycles_ci95
    waited = in_slots(transfers.waited(cycles), result.num_multipliers)
    return replace(
        result,
        cycles=result.cycles + cycles,
        cycles_ci95=None if interval is None else (interval[0] + cycles, interval[1] + cycles),
        stack=added(result.stack, {"memory": cycles * result.num_multipliers}),
        memory_stack=added(result.memory_stack, waited),
        energy_pj=added(result.energy_pj, {} if transfers.energy_pj is None else {"dram": transfers.energy_pj}),
        streams=(*result.streams, *moved),
        details={**result.details, **added(dram_counts(result.details), dram_details(transfers))},
    )


def added(counts: Mapping[str, Any], others: Mapping[str, Any], times: int = 1) -> dict[str, Any]:
    """Counts, and so many times others."""
    return {key: counts.get(key, 0) + others.get(key, 0) * times for key in dict.fromkeys((*counts, *others))}


def dram_counts(details: Mapping[str, Any]) -> dict[str, Any]:
    """Of the details those that a memory counts."""
    return {key: count for key, count in details.items() if key.startswith(DRAM_PREFIX)}
