"""Cnvlutin (Albericio et al., ISCA 2016): DaDianNao whose neuron lanes skip zeros on their own.

Neurons are stored in bricks of 16 along C, non-zeros with their offsets first. Each lane has its own bricks of a window
and broadcasts one non-zero neuron a cycle to all units, where its offset picks the synapses; a brick of zeros costs a
cycle. The lanes meet at the end of a window. Layers that read an image run as in DaDianNao (dadiannao.py).
"""

import zlib
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from archmodel.accelerators import dadiannao
from archmodel.accelerators.check import check_images
from archmodel.accelerators.cnvlutin_bricks import Bricks, coverage
from archmodel.accelerators.cnvlutin_config import Config
from archmodel.accelerators.cnvlutin_expected import expected_windows
from archmodel.accelerators.context import Context
from archmodel.accelerators.dadiannao import Windows, account, broadcasts, is_image, stored_neurons
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.sampling import Expectation
from archmodel.accelerators.stored_tensors import Masks, Stored, StoredTensor
from archmodel.encodings.cell_encodings import ZeroFreeBricks
from archmodel.errors import ConfigError
from archmodel.kernels.brick_dispatch import banked_window_cycles
from archmodel.kernels.zero_skip import accumulate_bricks, slowest_lane_cycles
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, Values, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = dadiannao.KINDS
PRUNING = 200  # number of the random stream of pruned activations; others count from 0 and 100

Int64 = npt.NDArray[np.int64]


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Cycles and counts of a conv or fc layer, over all images; the independent units are windows."""
    if is_image(config, layer):
        return with_dispatcher(dadiannao.run_layer(config, layer, operands, context), 0, 0)
    operands = pruned(config, layer, operands, context)
    if context.check:
        check_images(layer, operands, context.seed, partial(skipped_outputs, config, layer))
    windows = walked_windows(config, layer, operands, context)
    return skipping(config, layer, operands, context, windows, effectual_macs(layer, operands))


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts where every placement of the zeros is equally likely."""
    if is_image(config, layer):
        return with_dispatcher(dadiannao.expect_layer(config, layer, densities, context), 0, 0)
    if config.pruning.threshold:
        raise needs_values(layer)
    if config.pruning.share:
        kept = densities.input_density * (1 - config.pruning.share)
        densities = replace(densities, input_density=kept, origins=pruned_origins(config, densities))
    windows = expected_windows(config, layer, densities)
    return skipping(config, layer, densities, context, windows, densities.effectual_macs(layer))


def skipping(
    config: Config,
    layer: Layer,
    operands: Operands | Densities,
    context: Context,
    windows: Windows,
    effectual: int,
) -> LayerResult:
    """The account of a layer whose zeros are skipped."""
    result = account(config, layer, operands, context, effectual, windows)
    times = broadcasts(config, layer)
    return with_dispatcher(result, operands.batch * stored_neurons(layer) * times, windows.neurons * times)


def with_dispatcher(result: LayerResult, written: int, read: int) -> LayerResult:
    """The account with what passes the dispatcher: bricks come with their zeros, neurons leave without."""
    return replace(
        result,
        words_written={**result.words_written, "dispatcher": written},
        words_read={**result.words_read, "dispatcher": read},
    )


def walked_windows(config: Config, layer: Layer, operands: Operands, context: Context) -> Windows:
    """Windows on the positions of the non-zeros; which lanes wait is known where the windows are walked."""
    bricks = Bricks.of(config, layer)
    nonzeros = bricks.nonzeros(operands.inputs)
    cycles = bricks.padded_cycles(nonzeros)
    covered = coverage(layer)
    neurons = int((nonzeros.sum(axis=(0, 1)) * covered).sum())
    of_padding = nonzeros.shape[0] * bricks.first.size * (layer.P * layer.Q * layer.R * layer.S - int(covered.sum()))
    empty = int(((nonzeros == 0).sum(axis=(0, 1)) * covered).sum()) + of_padding
    lane_of = bricks.lane_of

    def walk(chosen: Int64) -> Int64:
        slowest = slowest_lane_cycles(
            cycles, lane_of, chosen, (layer.P, layer.Q), layer.stride, layer.dilation, bricks.num_lanes
        )
        if config.dispatch.fetch_ahead == "window":
            return np.stack([np.maximum(slowest, bricks.bank_cycles), slowest], axis=1)
        shape = ((layer.P, layer.Q), layer.stride, layer.dilation)
        banked = banked_window_cycles(cycles, lane_of, bricks.bank_of, chosen, *shape, bricks.dispatcher)
        return np.stack([banked, slowest], axis=1)

    def expect() -> Expectation:
        work = bricks.work_of_windows(cycles)
        return Expectation(work.astype(np.float64), -(-work // bricks.num_lanes), np.zeros(work.size, np.bool_))

    walked = context.walk(layer.name, nonzeros.shape[0] * layer.P * layer.Q, walk, expect)
    total, low, high = (int(one.sum()) for one in (walked.cycles, walked.low, walked.high))
    taken, by_lanes = (int(one) for one in walked.measured.sum(axis=0))
    idle = total * bricks.num_lanes - neurons - empty
    conflicts = min(idle, total * bricks.num_lanes * (taken - by_lanes) // taken)
    lost = {"fragmentation": empty, "bank_conflict": conflicts, "imbalance": idle - conflicts}
    return Windows((total, low, high), neurons, neurons, -(-neurons // bricks.num_lanes), lost)


def pruned(config: Config, layer: Layer, operands: Operands, context: Context) -> Operands:
    """Operands without the activations that are taken for zeros."""
    threshold, share = config.pruning.threshold, config.pruning.share
    kept = operands.inputs
    if threshold:
        if operands.input_values is None:
            raise needs_values(layer)
        kept = kept & (np.abs(operands.input_values.astype(np.int64)) >= threshold)
    if share:
        rng = np.random.default_rng([context.seed, zlib.crc32(layer.name.encode()), PRUNING])
        kept = kept & (rng.random(kept.shape, np.float32) >= share)
    if kept is operands.inputs:
        return operands
    return replace(operands, inputs=kept.astype(np.uint8), origins=pruned_origins(config, operands))


def pruned_origins(config: Config, operands: Operands | Densities) -> dict[str, str]:
    """What the operands rest on, the pruning with it."""
    rule = [f"below {config.pruning.threshold}"] if config.pruning.threshold else []
    rule += [f"{config.pruning.share:g} of the non-zeros"] if config.pruning.share else []
    return operands.origins | {"inputs": f"{operands.origins.get('inputs', '')}; pruned: {' and '.join(rule)}"}


def needs_values(layer: Layer) -> ConfigError:
    """Why a threshold cannot be applied."""
    return ConfigError(
        f"{layer.name}: pruning.threshold needs the values of the activations, which masks and densities do not have;"
        " allowed: --activations with an npz file of values, or pruning.share"
    )


def skipped_outputs(config: Config, layer: Layer, weights: Values, image: Values) -> Int64:
    """Outputs through zero-free neuron arrays and lanes.  int64[K, P, Q]"""
    bricks = Bricks.of(config, layer)
    top, bottom, left, right = layer.padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
    outputs = []
    for group in range(layer.groups):
        plane = np.split(padded, layer.groups)[group]
        synapses = np.ascontiguousarray(np.split(weights, layer.groups)[group].transpose(2, 3, 1, 0))
        values, offsets = bricks.encode(plane)
        shape = ((layer.P, layer.Q), layer.stride, layer.dilation)
        computed = accumulate_bricks(values, offsets, bricks.first, bricks.lane_of, synapses, *shape)
        outputs.append(computed.transpose(2, 0, 1))
    return np.concatenate(outputs)

def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    stored = dadiannao.stored_tensors(config, layer, masks, output_density)
    if "inputs" in masks and not is_image(config, layer):
        rows = masks["inputs"].transpose(0, 2, 3, 1).reshape(-1, layer.C)
        codec = ZeroFreeBricks(config.dispatch.brick_neurons, config.dispatch.offset_bits)
        stored["inputs"] = StoredTensor(codec, config.buffers.word_bits, (rows,), uncounted=("offsets",))
    return stored
