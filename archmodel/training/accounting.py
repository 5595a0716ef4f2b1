"""Bytes that Caffe says it needs: the line "Memory required for data" of its log."""

from collections import Counter
from typing import Literal, get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network import Layer, Network
from archmodel.training.graph import check_batch

CaffeForm = Literal["benchmark", "deploy", "train"]

WORD_BYTES = 4  # Caffe's blobs are FP32


def check_form(form: CaffeForm, key: str = "form") -> None:
    """ConfigError for a form that is not known; `key` is what the option is called."""
    if form not in get_args(CaffeForm):
        allowed = get_args(CaffeForm)
        raise ConfigError(
            f"{key} = {show(form)}: must be {', '.join(allowed[:-1])} or {allowed[-1]}"
            f"{did_you_mean(str(form), allowed)}"
        )


def caffe_data_bytes(network: Network, batch: int, form: CaffeForm = "benchmark") -> int:
    """4 bytes for every word of every output ("top") of every layer of the prototxt.

    The network's inputs are tops of an input layer. A layer that works in place counts again, as its top is the same
    blob. A map that n > 1 layers read counts n times more: Caffe inserts a split layer with n tops. A batch norm is
    two layers, BatchNorm and Scale. Weights, gradients and workspace are not in it.

    form : benchmark, as the prototxts of convnet-benchmarks end: no dropout, no softmax or loss, no activation behind
    a fully connected layer; deploy, every layer of the network; train, a softmax at the end is a loss of one word, and
    the label of every image is a top of the data layer, too
    """
    check_batch(batch)
    check_form(form)
    words = {name: C * H * W for name, (C, H, W) in network.inputs.items()}  # of a map, for one image
    held = {name: name for name in network.inputs}  # whose top the reader of a layer's output gets
    counted, losses, readers = sum(words.values()), 0, Counter[str]()
    for layer in network.layers:
        if form == "benchmark" and _not_measured(network, layer):
            held[layer.name] = held[layer.inputs[0]]
            continue
        readers.update(held[name] for name in layer.inputs)
        held[layer.name], words[layer.name] = layer.name, layer.output_words
        if form == "train" and layer.kind == "softmax" and not network.consumers[layer.name]:
            losses += 1
        else:
            counted += layer.output_words * (2 if layer.mode == "batch" else 1)
    counted += sum(words[name] * count for name, count in readers.items() if count > 1)
    labels = batch if form == "train" else 0
    return WORD_BYTES * (batch * counted + labels + losses)


def _not_measured(network: Network, layer: Layer) -> bool:
    """Whether the prototxts of convnet-benchmarks leave such a layer out."""
    if layer.kind in ("dropout", "softmax"):
        return True
    if layer.kind != "activation":
        return False
    producer = layer.inputs[0]
    while producer not in network.inputs and network.layer(producer).kind in ("activation", "dropout"):
        producer = network.layer(producer).inputs[0]
    return producer not in network.inputs and network.layer(producer).kind == "fc"
