"""How SCNN lays operands out to store them: zero runs of blocks, or in DRAM another format of all words."""

from functools import partial

import numpy as np

from archmodel.accelerators.cartesian import weight_cells
from archmodel.accelerators.planar import tile_masks, unfold_inputs, unfold_weights, unit_stride
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_fc import PES_PER_TASK, image_cells, neuron_cells, neurons_of, rounds_of
from archmodel.accelerators.scnn_tiling import cut_layer, fits_iaram
from archmodel.accelerators.stored_tensors import InDram, Masks, Stored, StoredTensor, mask_codec
from archmodel.encodings.sparse_encodings import ZeroRun
from archmodel.network.layer import Layer
from archmodel.operands.operands import Mask


def stored_tensors(config: Config, layer: Layer, masks: Masks, output_density: float) -> Stored:
    """The operands in the formats that the file names; zero runs of weights need the inputs, whose tiles set Kc."""
    stored = {}
    named: dict[str, InDram] = {"weights": config.encoding.weights, "inputs": config.encoding.activations}
    blocks = blocks_of(config, layer, masks, output_density) if len(masks) == len(named) else {}
    for operand, mask in masks.items():
        bits = config.compression.data_bits
        if named[operand] != "zero_run":
            stored[operand] = StoredTensor(mask_codec(named[operand]), bits, (mask,))
        elif operand in blocks:
            codec = ZeroRun(config.compression.index_bits, "row")
            stored[operand] = StoredTensor(codec, bits, blocks[operand], uncounted=("counts",))
    return stored


def blocks_of(config: Config, layer: Layer, masks: Masks, output_density: float) -> dict[str, list[Mask]]:
    """Cells of the blocks in which runs of zeros begin anew, a block a row."""
    if layer.kind == "fc":
        return blocks_of_rounds(config, layer, masks)
    weights, inputs = masks["weights"], masks["inputs"]
    conv, pe = unit_stride(layer, config.tile_plane == "padded"), config.pe
    of_tiles = inputs if config.compression.sparse_activations else np.ones_like(inputs)
    planes = [unfold_inputs(layer, conv, image) for image in of_tiles]
    cut = cut_layer(config, layer.name, conv, output_density, len(planes), partial(fits_iaram, config, planes))
    kernels = np.split(unfold_weights(layer, conv, weights), conv.groups)
    return {
        "weights": [weight_cells(group, cut.Kc, pe.weight_order) for group in kernels],
        "inputs": [
            tile_masks(sub_plane, plane, pe.rows, pe.cols) for plane in planes for sub_plane in cut.tiling.sub_planes()
        ],
    }


def blocks_of_rounds(config: Config, layer: Layer, masks: Masks) -> dict[str, list[Mask]]:
    """The same of an fc layer: what each PE has of a channel, and the images of a round."""
    rounds, pes = rounds_of(config, layer, masks["inputs"].shape[0]), config.pe.num_pes
    weights, inputs = [], []
    for round_ in rounds:
        if round_.first_neuron == 0:
            inputs.append(image_cells(round_, masks["inputs"]))
        if round_.images.start == 0:
            for first in range(0, pes, PES_PER_TASK):
                some = range(first, min(first + PES_PER_TASK, pes))
                weights.append(neuron_cells(round_, some, masks["weights"][neurons_of(round_, some), :, 0, 0]))
    return {"weights": weights, "inputs": inputs}
