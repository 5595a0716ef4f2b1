"""DCNN: the dense baseline of the SCNN study, PlanarTiled-InputStationary-DotProduct (Parashar et al., ISCA 2017).

The same grid of PEs, tiles, barriers and memory as SCNN; a PE multiplies, every cycle, 16 weights with 16 activations
of one output, zeros included. Stride is moved into channels as in SCNN. A PE reads its input halo from its neighbours
as part of the dot product. Fully connected layers deal the output neurons to the PEs.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from archmodel.accelerators.account import layer_account, share
from archmodel.accelerators.check import Outputs, check_images, exact_type
from archmodel.accelerators.context import Context
from archmodel.accelerators.dcnn_config import Config
from archmodel.accelerators.planar import (
    PlanarTiling,
    UnitStrideConv,
    unfold_inputs,
    unfold_weights,
    unit_stride,
)
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.stored_tensors import Masks, Stored, StoredTensor, all_dense, mask_codec
from archmodel.encodings.codec import Codec
from archmodel.encodings.sparse_encodings import ZeroRun
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands, Values, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = ("conv", "fc")

Int64 = npt.NDArray[np.int64]


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of a conv or fc layer, over all images; zeros cost as much time as other values."""
    if context.check:
        check_images(layer, operands, context.seed, partial(tiled_outputs, config, layer))
    return account(config, layer, operands, effectual_macs(layer, operands), context)


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts: those of `run_layer`, for zeros change no cycle of the array."""
    return account(config, layer, densities, densities.effectual_macs(layer), context)


def account(
    config: Config, layer: Layer, operands: Operands | Densities, effectual: int, context: Context
) -> LayerResult:
    """The layer's account, of which zeros decide only what is gated and what DRAM carries compressed."""
    pe, batch = config.pe, operands.batch
    conv = unit_stride(layer) if layer.kind == "conv" else None
    depth = layer.C if conv is None else tapped_channels(conv) // conv.groups * conv.R * conv.S
    dots = dot_cycles(config, conv, depth)
    outputs = outputs_of_pes(config, layer)
    drains = exposed_drains(config, layer, int(outputs.max()), batch)
    num_tiles = -(-config.stored_bytes(layer.input_words + layer.output_words, 1.0) // config.activation_bytes)
    working = int(outputs.max()) * dots
    compute = [share(working, tile, num_tiles) for tile in range(num_tiles)] * batch
    for image, drain in enumerate(drains):
        compute[(image + 1) * num_tiles - 1] += drain
    streams = activation_streams(config, layer, num_tiles, operands, context)
    multiplied = layer.output_words * depth * batch
    steps = layer.output_words * dots * batch
    multiplying = steps * pe.multipliers
    sram_reads = activation_reads(config, layer, depth, int(outputs.max())) * batch
    return layer_account(
        config, layer, operands, context, compute, streams,
        effectual=effectual,
        issued=multiplied,
        lost={
            "fragmentation": multiplying - multiplied,
            "imbalance": working * batch * config.num_multipliers - multiplying,
            "drain": sum(drains) * config.num_multipliers,
        },
        words_read={"activation_sram": sram_reads, "weight_fifo": multiplied, "accumulators": steps},
        words_written={
            "activation_sram": layer.output_words * batch,
            "activation_registers": sram_reads * (np.count_nonzero(outputs) if conv is None else 1),
            "halo": 0 if conv is None else halo_reads(config, layer, conv) * batch,
            "accumulators": steps,
            "weight_fifo": layer.weight_words * (1 if conv is None else batch * num_tiles * pe.num_pes),
        },
        operations=dict.fromkeys(("multipliers", "adders"), effectual if pe.zero_gating else multiplied),
        cycle_map=outputs[np.newaxis] * dots * batch,
        details={"Kc": pe.Kc, "sub_planes": num_tiles},
    )


def dot_cycles(config: Config, conv: UnitStrideConv | None, depth: int) -> int:
    """Cycles of one output: its dot product of length `depth`, along everything or along C for each kernel position."""
    if conv is None or config.pe.dot_product == "flattened":
        return -(-depth // config.pe.multipliers)
    return -(-(tapped_channels(conv) // conv.groups) // config.pe.multipliers) * conv.R * conv.S


def tapped_channels(conv: UnitStrideConv) -> int:
    """Channels of the unit-stride form that take part in dot products: no kernel has a weight in the others."""
    return conv.C // conv.phases * conv.tapped_phases


def activation_reads(config: Config, layer: Layer, depth: int, most_outputs: int) -> int:
    """Words that leave the SRAM for an image: the operand of an output position stays for Kc output channels.

    The neurons of an fc layer get their operand by one broadcast, which stays for Kc neurons of each PE.
    """
    if layer.kind == "fc":
        return depth * -(-most_outputs // config.pe.Kc)
    groups_of_channels = layer.groups * -(-(layer.K // layer.groups) // config.pe.Kc)
    return layer.P * layer.Q * depth * groups_of_channels


def halo_reads(config: Config, layer: Layer, conv: UnitStrideConv) -> int:
    """Words of an image that a PE reads from the SRAM of another one: its windows reach beyond its own tile."""
    pairs, local = 1, 1
    for size, num_outputs, taps, pad, own, num_pes in (
        (conv.H, conv.P, conv.R, conv.pad_top, conv.own_top, config.pe.rows),
        (conv.W, conv.Q, conv.S, conv.pad_left, conv.own_left, config.pe.cols),
    ):
        tile = -(-num_outputs // num_pes)
        output, tap = np.indices((num_outputs, taps))
        at = output + tap - pad
        inside = (at >= 0) & (at < size)
        owner = np.clip((at - own) // tile, 0, num_pes - 1)
        pairs *= int(inside.sum())
        local *= int((inside & (owner == output // tile)).sum())
    groups_of_channels = -(-(layer.K // layer.groups) // config.pe.Kc)
    return (pairs - local) * tapped_channels(conv) * groups_of_channels


def outputs_of_pes(config: Config, layer: Layer) -> Int64:
    """Outputs that each PE computes for an image: its tile of every channel, or its share of the neurons.  int64[T]"""
    pe = config.pe
    if layer.kind == "fc":
        per_pe = -(-layer.K // pe.num_pes)
        return np.clip(layer.K - per_pe * np.arange(pe.num_pes), 0, per_pe)
    (sub_plane,) = PlanarTiling((layer.P, layer.Q), pe.rows, pe.cols).sub_planes()
    return sub_plane.tile_sizes(pe.rows, pe.cols) * layer.K


def exposed_drains(config: Config, layer: Layer, most_outputs: int, batch: int) -> list[int]:
    """Cycles in which the outputs of each image leave and nothing is multiplied.

    A dot product takes at least a cycle and the PPU at least a word a cycle, so only the last group of the last image
    is exposed when the accumulators are double-buffered. The neurons of an fc layer are one group.
    """
    rate, Kc = config.ppu.output_words_per_cycle, config.pe.Kc
    if not rate:
        return [0] * batch
    if layer.kind == "fc":
        groups = [most_outputs]
    else:
        tile = most_outputs // layer.K
        groups = [tile * min(Kc, layer.K - first) for first in range(0, layer.K, Kc)]
    drains = [-(-words // rate) for words in groups]
    return [0] * (batch - 1) + [drains[-1]] if config.ppu.overlap else [sum(drains)] * batch


def activation_streams(
    config: Config, layer: Layer, num_tiles: int, operands: Operands | Densities, context: Context
) -> tuple[Stream, ...]:
    """Words of every temporal tile; a convolution fetches its weights, which are dense, for each, an fc layer once."""
    streams = []
    weights = config.stored_bytes(layer.weight_words, 1.0)
    inputs = config.dram_bytes(layer.input_words, operands.input_density)
    outputs = config.dram_bytes(layer.output_words, operands.output_density)
    for tile in range(num_tiles * operands.batch):
        if layer.kind == "conv" or tile == 0:
            streams.append(Stream("weight", "read", weights, tile))
        if not context.input_on_chip:
            streams.append(Stream("input", "read", share(inputs, tile % num_tiles, num_tiles), tile))
        if not context.output_on_chip:
            streams.append(Stream("output", "write", share(outputs, tile % num_tiles, num_tiles), tile))
    return tuple(stream for stream in streams if stream.num_bytes)


def tiled_outputs(config: Config, layer: Layer, weights: Values, image: Values) -> Outputs:
    """Outputs PE by PE: each takes its tile of outputs and the space-to-depth inputs under it, halo included.

    The neurons of an fc layer are whole dot products.  int64[K, P, Q]
    """
    if layer.kind == "fc":
        return (weights[:, :, 0, 0].astype(np.int64) @ image[:, 0, 0].astype(np.int64)).reshape(-1, 1, 1)
    conv = unit_stride(layer)
    exact = exact_type(layer, weights, image)
    kernels = unfold_weights(layer, conv, weights).astype(exact)
    around = ((0, 0), (conv.pad_top, conv.R), (conv.pad_left, conv.S))
    plane = np.pad(unfold_inputs(layer, conv, image), around).astype(exact)
    outputs = np.zeros((layer.K, layer.P, layer.Q), np.int64)
    tile_h, tile_w = -(-layer.P // config.pe.rows), -(-layer.Q // config.pe.cols)
    channels, per_group = conv.C // conv.groups, conv.K // conv.groups
    for top in range(0, layer.P, tile_h):
        for left in range(0, layer.Q, tile_w):
            target = outputs[:, top : top + tile_h, left : left + tile_w]
            _, height, width = target.shape
            under = plane[:, top : top + height + conv.R - 1, left : left + width + conv.S - 1]
            windows = np.lib.stride_tricks.sliding_window_view(under, (conv.R, conv.S), (1, 2))[:, :height, :width]
            for group in range(conv.groups):
                of_group = slice(group * per_group, (group + 1) * per_group)
                operand = windows[group * channels : (group + 1) * channels]
                target[of_group] = np.tensordot(kernels[of_group], operand, ((1, 2, 3), (0, 3, 4)))
    return outputs

def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names."""
    bits, encoding = config.buffers.word_bits, config.encoding.activations
    stored = all_dense(masks, bits, bits)
    if "inputs" in masks and encoding != "dense":
        N, C, H, W = masks["inputs"].shape
        rows = masks["inputs"].reshape(N * C, H * W)
        if encoding == "zero_run":
            codec: Codec = ZeroRun(config.buffers.index_bits, "row")
        else:
            codec = mask_codec(encoding)
        stored["inputs"] = StoredTensor(codec, bits, (rows,), uncounted=("counts",))
    return stored
