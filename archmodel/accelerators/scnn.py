"""SCNN: PlanarTiled-InputStationary-CartesianProduct-sparse (Parashar et al., ISCA 2017).

Every PE keeps a planar tile of the compressed activations of all channels. For each group of Kc output channels the
weights of channel after channel are broadcast; a PE multiplies each vector of I non-zero activations with each vector
of F non-zero weights and sends the products to its accumulator banks. PEs meet at the end of a group, exchange output
halos with their neighbours, and their PPUs drain the outputs while the next group computes.
"""

from functools import partial

import numpy as np

from archmodel.accelerators import scnn_fc
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import unfold_inputs, unfold_weights, unit_stride
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_cells import Cells
from archmodel.accelerators.scnn_check import check_conv
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import compress_parts, compress_weights
from archmodel.accelerators.scnn_expected import expect_layer
from archmodel.accelerators.scnn_stored import stored_tensors
from archmodel.accelerators.scnn_tally import Counts, Tally, nonzero_pairs
from archmodel.accelerators.scnn_tiling import cut_layer, fits_iaram
from archmodel.accelerators.scnn_walk import run_parts
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands, effectual_macs

__all__ = ["KINDS", "Config", "expect_layer", "run_layer", "stored_tensors"]

KINDS = ("conv", "fc")


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Cycles and counts of a conv or fc layer on the non-zeros of `operands`, over all images.

    A sampled layer is one population of groups over all images, so that a sample is small beside it. The few rounds
    of an fc layer have no barriers between which groups could be left out: it is exact in both fidelities.
    """
    if layer.kind == "fc":
        return scnn_fc.run_layer(config, layer, operands, context)
    conv = unit_stride(layer, config.tile_plane == "padded")
    stored = config.stored(operands)
    planes = [unfold_inputs(layer, conv, image) for image in stored.inputs]
    fits = partial(fits_iaram, config, planes)
    cut = cut_layer(config, layer.name, conv, operands.output_density, operands.batch, fits)
    kernels = unfold_weights(layer, conv, stored.weights)
    weights = compress_weights(config, conv, kernels, cut.Kc, context)
    pairs = context.start(lambda: nonzero_pairs(layer, conv, operands))
    effectual = context.start(lambda: effectual_macs(layer, operands))
    nonzero_weights = [int(np.count_nonzero(group)) for group in np.split(kernels, conv.groups)]
    tally = Tally(config, Cells.of(layer, conv), cut, operands.batch, nonzero_weights)
    sets = cut.sets(planes)
    for walked in [sets] if context.sampled else [[images] for images in sets]:
        parts = [part for images in walked for part in compress_parts(config, conv, cut, weights, images, context)]
        for part, of_part in zip(parts, run_parts(config, layer.name, conv, parts, context), strict=True):
            tally.add(Counts.of(config, conv, part), of_part.work, operands.output_density, context)
            tally.ends.append((of_part.low, of_part.high))
    if context.check:
        check_conv(config, layer, conv, cut, operands, context)
    return tally.result(layer, operands, effectual(), pairs(), context)
