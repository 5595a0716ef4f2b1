"""DaDianNao, one node (Chen et al., MICRO 2014): 16 units of 16 neuron lanes and 16 filters, weights in eDRAM.

A window of inputs is broadcast to all units, 16 neurons along C a cycle; a unit multiplies them with 16 filters of its
own. More filters than the units have together are more passes over the window. Groups follow one another. Zeros cost
as much as other values. Cnvlutin (cnvlutin.py) shares all but the order in which a window's neurons are taken.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.account import layer_account, share
from archmodel.accelerators.check import Outputs, check_images, exact_type
from archmodel.accelerators.context import Context
from archmodel.accelerators.dadiannao_config import Config, NodeConfig
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.stored_tensors import Masks, Stored, all_dense
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, Values, effectual_macs, window_length

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = ("conv", "fc")

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """All windows of a layer, every image and group, in one pass over its filters.

    cycles : of all windows, then the ends of their 95 % interval
    neurons : that reach a lane, zeros among them where they are not skipped
    stored : of these, read from the NM and not padding
    sums : cycles in which the adders add to the partial sums, as far as they do not depend on who waits for whom
    lost : cycles of a lane in which it multiplies nothing, by cause; with `neurons` they sum to cycles x lanes
    """

    cycles: tuple[int, int, int]
    neurons: int
    stored: int
    sums: int
    lost: dict[str, int]


def run_layer(config: NodeConfig, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of a conv or fc layer, over all images."""
    if context.check:
        check_images(layer, operands, context.seed, partial(stepped_outputs, config, layer))
    effectual = effectual_macs(layer, operands)
    return account(config, layer, operands, context, effectual, dense_windows(config, layer, operands))


def expect_layer(config: NodeConfig, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts: those of `run_layer`, for zeros change no cycle."""
    effectual = densities.effectual_macs(layer)
    return account(config, layer, densities, context, effectual, dense_windows(config, layer, densities))


def dense_windows(config: NodeConfig, layer: Layer, operands: Operands | Densities) -> Windows:
    """Windows whose neurons all pass, as many of a kernel position as there are lanes."""
    num_windows = operands.batch * layer.groups * layer.P * layer.Q
    cycles = num_windows * window_steps(config, layer)
    neurons = num_windows * layer.weight_words // layer.K
    lost = {"fragmentation": cycles * config.array.lanes - neurons}
    return Windows((cycles, cycles, cycles), neurons, operands.batch * stored_neurons(layer), cycles, lost)


def is_image(config: NodeConfig, layer: Layer) -> bool:
    """Whether a layer reads an image: a convolution over fewer channels than there are lanes."""
    return layer.kind == "conv" and layer.groups == 1 and config.array.lanes > layer.C


def window_steps(config: NodeConfig, layer: Layer) -> int:
    """Cycles of a window."""
    channels, lanes = layer.C // layer.groups, config.array.lanes
    if is_image(config, layer) and config.array.image_layers == "flattened":
        return -(-channels * layer.R * layer.S // lanes)
    return layer.R * layer.S * -(-channels // lanes)


def stored_neurons(layer: Layer) -> int:
    """Neurons of all windows of an image, padding left out."""
    rows = sum(window_length(layer, 0, r) for r in range(layer.R))
    columns = sum(window_length(layer, 1, s) for s in range(layer.S))
    return layer.C * rows * columns


def account(
    config: NodeConfig,
    layer: Layer,
    operands: Operands | Densities,
    context: Context,
    effectual: int,
    windows: Windows,
) -> LayerResult:
    """The layer's account; `effectual` of the products that its neurons take part in have no zero."""
    array, batch = config.array, operands.batch
    filters = layer.K // layer.groups
    passes = -(-filters // array.filters_a_pass)
    provided = passes * array.filters_a_pass  # filters that a neuron meets, those that the layer does not have too
    streams, num_tiles = moved(config, layer, batch, context)
    portions, num_rows = weight_portions(config, layer), passes * window_steps(config, layer)
    rows_of_portions = [share(num_rows, portion, portions) for portion in range(portions)]
    stalls = config.synapse_stall_cycles(rows_of_portions, batch * layer.groups * layer.P * layer.Q)

    def of_tiles(cycles: int) -> list[int]:
        compute = [share(passes * cycles + stalls, tile, num_tiles) for tile in range(num_tiles)]
        compute[-1] += array.pipeline_cycles
        return compute

    compute, *ends = map(of_tiles, windows.cycles)
    issued = windows.neurons * filters
    lost = {cause: lane_cycles * provided for cause, lane_cycles in windows.lost.items()}
    lost["fragmentation"] += windows.neurons * (provided - filters)
    lost["bank_conflict"] = lost.get("bank_conflict", 0) + stalls * config.num_multipliers
    lost["drain"] = array.pipeline_cycles * config.num_multipliers
    return layer_account(
        config, layer, operands, context, compute, streams,
        effectual=effectual,
        issued=issued,
        lost=lost,
        ends=ends,
        operations=dict.fromkeys(("multipliers", "adders"), issued),
        details={"passes": passes, "tiles": num_tiles},
        **buffer_words(config, layer, batch, windows, context),
    )


def buffer_words(
    config: NodeConfig, layer: Layer, batch: int, windows: Windows, context: Context
) -> dict[str, Any]:
    """Words read and written."""
    array, times = config.array, broadcasts(config, layer)
    filters = layer.K // layer.groups
    passes = -(-filters // array.filters_a_pass)
    in_last_pass = filters - (passes - 1) * array.filters_a_pass
    listeners = (passes - 1) * array.units + min(array.units, in_last_pass)  # a pass deals its filters to the units
    summed = windows.sums * filters
    loaded = 0 if context.input_on_chip else batch * layer.input_words * weight_portions(config, layer)
    outputs = batch * layer.output_words
    fetched = layer.weight_words
    if config.buffers.weights_preloaded:
        fetched = max(0, fetched - 8 * config.weight_bytes // config.buffers.word_bits)
    return {
        "words_read": {
            "nm": batch * stored_neurons(layer) * times + (0 if context.output_on_chip else outputs),
            "nbin": windows.neurons * listeners,
            "sb": windows.neurons * filters,
            "nbout": summed,
        },
        "words_written": {
            "nm": outputs + loaded,
            "nbin": windows.stored * times * min(array.units, filters),
            "sb": fetched,
            "nbout": summed,
        },
    }


def broadcasts(config: NodeConfig, layer: Layer) -> int:
    """Times that a window is read from the NM: it stays in NBin for as many passes as NBout has entries for."""
    passes = -(-(layer.K // layer.groups) // config.array.filters_a_pass)
    return max(-(-passes // config.buffers.nbout_entries), weight_portions(config, layer))


def weight_portions(config: NodeConfig, layer: Layer) -> int:
    """Parts of the filters that are in the SBs one after the other."""
    return -(-config.stored_bytes(layer.weight_words, 1.0) // config.weight_bytes)


def moved(config: NodeConfig, layer: Layer, batch: int, context: Context) -> tuple[tuple[Stream, ...], int]:
    """Streams, and the number of tiles: a portion of the filters, for each image, for each part that the NM holds.

    The first portion of the filters was loaded before, or is loaded as the others are, while the one before is used up.
    Inputs that do not stay on chip are read again for every portion.
    """
    portions = weight_portions(config, layer)
    feature_bytes = config.stored_bytes(layer.input_words + layer.output_words, 1.0)
    planes = -(-feature_bytes // config.activation_bytes)
    tiles = batch * planes  # of a portion
    weights = config.stored_bytes(layer.weight_words, 1.0)
    inputs, outputs = (config.stored_bytes(words, 1.0) for words in (layer.input_words, layer.output_words))
    streams = []
    for tile in range(portions * tiles):
        portion, plane = tile // tiles, tile % planes
        if portion or not config.buffers.weights_preloaded:
            begin, end = (min(weights, (portion + part) * config.weight_bytes) for part in (0, 1))
            streams.append(Stream("weight", "read", share(end - begin, tile % tiles, tiles), tile))
        if not context.input_on_chip:
            streams.append(Stream("input", "read", share(inputs, plane, planes), tile))
        if not context.output_on_chip:
            part = share(outputs, portion * planes + plane, portions * planes)
            streams.append(Stream("output", "write", part, tile))
    return tuple(stream for stream in streams if stream.num_bytes), portions * tiles


def stepped_outputs(config: NodeConfig, layer: Layer, weights: Values, image: Values) -> Outputs:
    """Outputs of all windows: each step adds the products of as many cells as lanes, pass by pass.  int64[K, P, Q]"""
    exact = exact_type(layer, weights, image)
    top, bottom, left, right = layer.padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right)))
    outputs: npt.NDArray[Any] = np.zeros((layer.K, layer.P, layer.Q), exact)
    channels, filters = layer.C // layer.groups, layer.K // layer.groups
    for group in range(layer.groups):
        for cells in steps(config, layer):
            neurons = np.stack([over_windows(layer, padded, group * channels + c, r, s) for c, r, s in cells])
            c, r, s = np.array(cells).T
            for first in range(group * filters, (group + 1) * filters, config.array.filters_a_pass):
                in_pass = slice(first, min(first + config.array.filters_a_pass, (group + 1) * filters))
                synapses = weights[in_pass, c, r, s].astype(exact)
                outputs[in_pass] += np.tensordot(synapses, neurons.astype(exact), 1)
    return outputs.astype(np.int64)


def steps(config: NodeConfig, layer: Layer) -> list[list[tuple[int, int, int]]]:
    """Cells (channel of the group, kernel row, kernel column) that a window's cycles multiply."""
    lanes, channels = config.array.lanes, layer.C // layer.groups
    positions = [[(c, r, s) for c in range(channels)] for r in range(layer.R) for s in range(layer.S)]
    if is_image(config, layer) and config.array.image_layers == "flattened":
        positions = [[cell for cells in positions for cell in cells]]
    return [cells[first : first + lanes] for cells in positions for first in range(0, len(cells), lanes)]


def over_windows(layer: Layer, padded: Values, channel: int, r: int, s: int) -> Values:
    """The neuron of one cell in every window.  [P, Q]"""
    top, left = r * layer.dilation[0], s * layer.dilation[1]
    bottom, right = top + (layer.P - 1) * layer.stride[0] + 1, left + (layer.Q - 1) * layer.stride[1] + 1
    return padded[channel, top : bottom : layer.stride[0], left : right : layer.stride[1]]

def stored_tensors(config: NodeConfig, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    return all_dense(masks, *config.operand_bits)
