"""SCNN's real outputs, computed through the modelled dataflow: vectors, accumulators, halos, sub-planes."""

import numpy as np

from archmodel.accelerators.cartesian import activation_vectors, weight_cells, weight_vectors
from archmodel.accelerators.check import Outputs, compare_outputs, reference_outputs, values_of
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import UnitStrideConv, tile_masks, unfold_inputs, unfold_weights
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import Part, compress_parts, compress_weights
from archmodel.accelerators.scnn_tiling import Cut
from archmodel.kernels.cartesian_product import accumulate_products
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands, Values


def check_conv(
    config: Config, layer: Layer, conv: UnitStrideConv, cut: Cut, operands: Operands, context: Context
) -> None:
    """Raise ResultError unless the dataflow computes the layer's outputs bit for bit."""
    weights, inputs = values_of(layer, operands, context.seed)
    kernels = unfold_weights(layer, conv, weights)
    stored = config.stored(operands)
    blocks = compress_weights(config, conv, unfold_weights(layer, conv, stored.weights), cut.Kc, context)
    for mask, image in zip(stored.inputs, inputs, strict=True):
        plane = unfold_inputs(layer, conv, image)
        outputs = np.zeros((conv.K, conv.P, conv.Q), np.int64)
        for part in compress_parts(config, conv, cut, blocks, [unfold_inputs(layer, conv, mask)], context):
            add_part(config, conv, part, kernels, plane, outputs)
        compare_outputs(layer, outputs, reference_outputs(layer, weights, image))


def add_part(
    config: Config, conv: UnitStrideConv, part: Part, kernels: Values, plane: Values, outputs: Outputs
) -> None:
    """Multiply and accumulate one part in every PE, then exchange the halos: add them to the outputs they belong to."""
    pe, accumulators, tile = config.pe, part.accumulators, part.sub_plane
    channels, group_kernels = conv.C // conv.groups, conv.K // conv.groups
    first_k = part.conv_group * group_kernels
    cells = weight_cells(kernels[first_k : first_k + group_kernels], accumulators.Kc, pe.weight_order)
    tiles = tile_masks(tile, plane[part.conv_group * channels : (part.conv_group + 1) * channels], pe.rows, pe.cols)
    weight_ptr, weight_address = weight_vectors(part.weights, accumulators, pe.weight_order, pe.F, rotate=False)
    activation_ptr, activation_address = activation_vectors(part.activations, accumulators, pe.I, rotate=False)
    accumulated = accumulate_products(
        weight_ptr,
        weight_address,
        part.weights.pack_values(cells, pe.F),
        activation_ptr,
        activation_address,
        part.activations.pack_values(tiles, pe.I),
        accumulators.size,
    )
    by_pe = accumulated.reshape(-1, pe.rows, pe.cols, accumulators.Kc, accumulators.height, accumulators.width)
    for row in range(pe.rows):
        top = tile.top + row * tile.tile_h + conv.pad_top - conv.R + 1
        for column in range(pe.cols):
            left = tile.left + column * tile.tile_w + conv.pad_left - conv.S + 1
            outside_v, outside_h = max(0, -top), max(0, -left)
            target = outputs[
                first_k : first_k + group_kernels,
                top + outside_v : top + accumulators.height,
                left + outside_h : left + accumulators.width,
            ]
            held = by_pe[:, row, column].reshape(-1, accumulators.height, accumulators.width)
            target += held[
                :group_kernels, outside_v : outside_v + target.shape[1], outside_h : outside_h + target.shape[2]
            ]
