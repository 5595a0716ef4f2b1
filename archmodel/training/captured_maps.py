"""Feature maps of a run on real inputs, and what a compressing DMA engine makes of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.encodings.dma_sizes import cdma_bytes, nonzero_words
from archmodel.network import Layer
from archmodel.operands.captured import Capture
from archmodel.training.dma_config import DmaConfig
from archmodel.training.map_densities import CLIPPING
from archmodel.training.steps import TrainingGraph

READERS = ("conv", "fc")  # whose inputs are a map as it is


def captured_shares(
    capture: Capture, graph: TrainingGraph, engine: DmaConfig
) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes sent for a byte of each captured map, by the layer that it belongs to, and densities by who wrote last."""
    shares, densities, word_bytes = {}, {}, graph.choices.storage_bytes
    for owner, writer, values in captured_maps(capture, graph):
        sent = cdma_bytes(values, engine.codec, word_bytes, engine.layout, engine.window_bytes)
        shares[owner] = sent / (values.size * word_bytes)
        densities[writer.name] = int(np.count_nonzero(nonzero_words(values))) / values.size
    return shares, densities


def captured_maps(capture: Capture, graph: TrainingGraph) -> Iterator[tuple[str, Layer, npt.NDArray[np.floating[Any]]]]:
    """The layer that a map belongs to, the last one that writes it and its values [N, C, H, W], one map at a time.

    A map is known where a convolution or fully connected layer reads it, and behind a clipping activation whose layer's
    sums were kept. Others, as in front of a pool behind a norm, are not in a capture. Maps without zeros are left out.
    """
    network = capture.network
    last = {graph.tensors[graph.maps[layer.name]].layer: layer for layer in network.layers}
    for owner, writer in last.items():
        shape = (capture.batch, *writer.output_shape)
        readers = [network.layer(name) for name in network.consumers[writer.name]]
        known = [one for one in readers if one.kind in READERS and one.name in capture.builder.sources]
        if writer.kind in READERS:
            continue
        if known:
            yield owner, writer, capture.inputs(known[0]).astype(np.float32, copy=False).reshape(shape)
        elif writer.kind == "activation" and writer.mode in CLIPPING and writer.inputs[0] not in network.inputs:
            values = clipped(capture, network.layer(writer.inputs[0]))
            if values is not None:
                yield owner, writer, values.reshape(shape)


def clipped(capture: Capture, layer: Layer) -> npt.NDArray[np.floating[Any]] | None:
    """What a clipping activation makes of the sums of a layer; None where they were not kept."""
    made = capture.made(layer) if layer.kind in READERS and layer.name in capture.builder.sources else None
    if made is None or made.rule != "sum":
        return None
    return np.maximum(made.outputs, 0).astype(np.float32, copy=False)
