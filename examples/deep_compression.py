"""Deep Compression of LeNet-300-100 (Han et al., ICLR 2016): prune, share weights, Huffman.

Pruned to 8, 9 and 26 % of the weights, retrained, indices of 6 bits into a code book a layer, whose values are trained,
then a Huffman code of the indices and one of the runs of zeros. The images are those of examples/lenet300_100.py.

python examples/deep_compression.py
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy starts: the same sums on any number of cores

from collections.abc import Callable

from layers import Conv
from lenet300_100 import enlarged
from storage import dense_bytes, huffman_bytes, pruned_bytes, shared_bytes
from training import NUM_TEST_IMAGES, Digits, Model

from archmodel.exchange import read_network

BITS = 6  # of an index, in LeNet-300-100 of that paper
SHARED_RATE = 0.0002  # a value has the gradients of some hundred weights


def compress(model: Model, digits: Digits) -> None:
    """Run the stages and print a line for each."""
    print(f"{'':22} {'bytes':>9}  ratio  accuracy on {NUM_TEST_IMAGES} test images")
    model.train(*digits.to_train)
    print_stage("dense", dense_bytes, model, digits)
    model.prune()
    model.train(*digits.to_train)
    print_stage("pruned", pruned_bytes, model, digits)
    for layer in model.weighted:
        layer.share(BITS)
    print_stage("shared, not retrained", lambda layer: shared_bytes(layer, BITS), model, digits)
    model.train(*digits.to_train, rate=SHARED_RATE)
    print_stage("shared", lambda layer: shared_bytes(layer, BITS), model, digits)
    print_stage("Huffman", lambda layer: huffman_bytes(layer, BITS), model, digits)


def print_stage(stage: str, bytes_of: Callable[[Conv], int], model: Model, digits: Digits) -> None:
    """What is stored, by how much that is less than dense, and what the model recognizes with it."""
    stored, dense = (sum(of(layer) for layer in model.weighted) for of in (bytes_of, dense_bytes))
    print(f"{stage:22} {stored:9,}  {dense / stored:4.1f}x  {model.accuracy(*digits.to_test):8.1%}")


if __name__ == "__main__":
    small = Digits.load()
    compress(Model(read_network("lenet300_100")), Digits(enlarged(small.images), small.labels))
