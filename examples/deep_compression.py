"""Deep Compression of LeNet-300-100 (Han et al., ICLR 2016): prune, share weights, Huffman.

Pruned to 8, 9 and 26 % of the weights, retrained, indices of 6 bits into a code book a layer, whose values are trained,
then a Huffman code of the indices and one of the runs of zeros. The images are those of examples/lenet300_100.py.

python examples/deep_compression.py
python examples/deep_compression.py --borders blank     digits of 20x20 pixels in the middle of 28x28, as MNIST's
python examples/deep_compression.py --borders pruned    and the weights of pixels that are always blank go first
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy starts: the same sums on any number of cores

import argparse
from collections.abc import Callable

import numpy as np
from layers import Array, Conv
from lenet300_100 import enlarged
from storage import dense_bytes, huffman_bytes, huffman_lengths, pruned_bytes, shared_bytes
from training import NUM_TEST_IMAGES, Digits, Model

from archmodel.exchange import read_network

BITS = 6  # of an index, in LeNet-300-100 of that paper
SHARED_RATE = 0.0002  # a value has the gradients of some hundred weights
BORDERS = ("none", "blank", "pruned")
MARGIN = 4  # pixels around MNIST's digits, which fill 20x20 of 28x28


def with_borders(images: Array) -> Array:
    """Images [N, 1, 8, 8] on the middle 20x20 of 28x28 pixels, each the nearest of the small ones; 0 around them."""
    nearest = np.arange(28 - 2 * MARGIN) * 8 // (28 - 2 * MARGIN)
    middle = images[:, :, nearest][:, :, :, nearest]
    return np.pad(middle, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))


def without_blank_pixels(layer: Conv, images: Array) -> None:
    """Take the weights of pixels that are 0 in all images: no gradient ever moved them, no output depends on them."""
    seen = (images != 0).any(axis=0).reshape(1, -1, 1, 1)
    layer.weights = layer.weights * seen


def compress(model: Model, digits: Digits, borders: str = "none") -> None:
    """Run the stages and print a line for each."""
    print(f"{'':22} {'bytes':>9}  ratio  accuracy on {NUM_TEST_IMAGES} test images")
    model.train(*digits.to_train)
    print_stage("dense", dense_bytes, model, digits)
    if borders == "pruned":
        without_blank_pixels(model.weighted[0], digits.to_train[0])
    model.prune()
    model.train(*digits.to_train)
    print_stage("pruned", pruned_bytes, model, digits)
    for layer in model.weighted:
        layer.share(BITS)
    print_stage("shared, not retrained", lambda layer: shared_bytes(layer, BITS), model, digits)
    model.train(*digits.to_train, rate=SHARED_RATE)
    print_stage("shared", lambda layer: shared_bytes(layer, BITS), model, digits)
    print_stage("Huffman", lambda layer: huffman_bytes(layer, BITS), model, digits)
    for layer in model.weighted:
        stored = huffman_lengths(layer, BITS)
        print(
            f"{layer.layer.name}: {stored.entries:,} entries, {stored.explicit_zeros:,} of them zeros behind long runs;"
            f" a code takes {stored.code_bits:.2f} bits, a run {stored.run_bits:.2f}"
        )


def print_stage(stage: str, bytes_of: Callable[[Conv], int], model: Model, digits: Digits) -> None:
    """What is stored, by how much that is less than dense, and what the model recognizes with it."""
    stored, dense = (sum(of(layer) for layer in model.weighted) for of in (bytes_of, dense_bytes))
    print(f"{stage:22} {stored:9,}  {dense / stored:4.1f}x  {model.accuracy(*digits.to_test):8.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deep Compression of LeNet-300-100 on scikit-learn's digits.")
    parser.add_argument("--borders", choices=BORDERS, default="none", help="what is around the digits (none)")
    chosen = parser.parse_args().borders
    small = Digits.load()
    pixels = enlarged(small.images) if chosen == "none" else with_borders(small.images)
    compress(Model(read_network("lenet300_100")), Digits(pixels, small.labels), chosen)
