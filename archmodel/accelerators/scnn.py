"""SCNN: PlanarTiled-InputStationary-CartesianProduct-sparse (Parashar et al., ISCA 2017).

Every PE keeps a planar tile of the compressed activations of all channels. For each group of Kc output channels the
weights of channel after channel are broadcast; a PE multiplies each vector of I non-zero activations with each vector
of F non-zero weights and sends the products to its accumulator banks. PEs meet at the end of a group, exchange output
halos with their neighbours, and their PPUs drain the outputs while the next group computes.
"""

from archmodel.accelerators import scnn_fc
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import unfold_inputs, unfold_weights, unit_stride
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_check import check_conv
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import compress_parts, compress_weights, run_parts
from archmodel.accelerators.scnn_tally import Tally, nonzero_pairs
from archmodel.accelerators.scnn_tiling import cut_layer
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands, effectual_macs

__all__ = ["KINDS", "Config", "run_layer"]

KINDS = ("conv", "fc")


def run_layer(config: Config, layer: Layer, operands: Operands, context: Context) -> LayerResult:
    """Exact cycles and counts of a conv or fc layer on the non-zeros of `operands`, over all images."""
    if layer.kind == "fc":
        return scnn_fc.run_layer(config, layer, operands, context)
    conv = unit_stride(layer, config.tile_plane == "padded")
    stored = config.stored(operands)
    planes = [unfold_inputs(layer, conv, image) for image in stored.inputs]
    cut = cut_layer(config, conv, planes, operands.output_density)
    weights = compress_weights(config, conv, unfold_weights(layer, conv, stored.weights), cut.Kc, context)
    pairs = context.start(lambda: nonzero_pairs(layer, conv, operands))
    effectual = context.start(lambda: effectual_macs(layer, operands))
    tally = Tally(config, conv, cut)
    for plane in planes:
        parts = compress_parts(config, conv, cut, weights, plane, context)
        for part, work in zip(parts, run_parts(config, conv, parts, context), strict=True):
            tally.add(part, work, operands.output_density, context)
    if context.check:
        check_conv(config, layer, conv, cut, operands, context)
    return tally.result(layer, operands, effectual(), pairs(), context)
