"""What the examples share: train, prune, retrain, say what came out, write the files."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from files import write_onnx, write_operands, write_pictures
from layers import Array
from training import NUM_TEST_IMAGES, Digits, Model

from archmodel.network import Network

LOWEST_ACCURACY = 0.95  # of the retrained network; guessing has 0.1, six seeds of either example gave 0.96 or more


def run(network: Network, prepare: Callable[[Array], Array] = lambda images: images) -> None:
    """The command line of an example. `prepare` makes the network's input of images [N, 1, 8, 8]."""
    parser = argparse.ArgumentParser(description=f"Train, prune and retrain {network.title} on scikit-learn's digits.")
    parser.add_argument("-o", dest="folder", type=Path, default=Path(__file__).parent, help="where the files go")
    parser.add_argument("--images", type=int, default=1, help="test images that are written, with activations (1)")
    chosen = parser.parse_args()
    if not 1 <= chosen.images <= NUM_TEST_IMAGES:
        parser.error(f"--images {chosen.images}: allowed: 1 to {NUM_TEST_IMAGES}")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    digits = Digits.load()
    digits = Digits(prepare(digits.images), digits.labels)
    dense = chosen.folder / f"{network.name}_dense.onnx"
    model = trained_and_pruned(network, digits, lambda trained: write_onnx(dense, trained))
    images = digits.to_test[0][: chosen.images]
    write_operands(chosen.folder / f"{network.name}.npz", model, images)
    written = write_onnx(chosen.folder / f"{network.name}.onnx", model)
    drawn = write_pictures(chosen.folder / f"{network.name}_pictures", images)
    print_densities(model)
    print(f"{network.name}.npz: weights, and inputs for {len(images)} of {NUM_TEST_IMAGES} test images")
    print(f"{network.name}.onnx: the network" if written else "no ONNX file: pip install onnx")
    if written:
        print(f"{dense.name}: the network before it was pruned")
    print(f"{network.name}_pictures: these images" if drawn else "no pictures: pip install pillow")


def trained_and_pruned(network: Network, digits: Digits, keep_dense: Callable[[Model], object]) -> Model:
    """The pruned model; AssertionError if it recognizes too little to be worth a simulation."""
    model = Model(network)
    print(f"{'':9}  non-zero weights  accuracy on {NUM_TEST_IMAGES} test images")
    model.train(*digits.to_train)
    print_accuracy("trained", model, digits)
    keep_dense(model)
    model.prune()
    print_accuracy("pruned", model, digits)
    model.train(*digits.to_train)
    accuracy = print_accuracy("retrained", model, digits)
    assert accuracy >= LOWEST_ACCURACY, f"{network.name}: accuracy {accuracy:.1%}, expected {LOWEST_ACCURACY:.0%}"
    return model


def print_accuracy(stage: str, model: Model, digits: Digits) -> float:
    """Print and return the share of the test images that the model recognizes."""
    accuracy = model.accuracy(*digits.to_test)
    print(f"{stage:9}  {model.num_nonzeros:16,}  {accuracy:8.1%}")
    return accuracy


def print_densities(model: Model) -> None:
    """Each layer's weights, and the non-zero fractions of these and of the inputs it saw last."""
    print("\nlayer    weights  density  input density")
    for layer in model.weighted:
        weights, inputs = layer.weights, layer.inputs
        densities = [np.count_nonzero(tensor) / tensor.size for tensor in (weights, inputs)]
        print(f"{layer.layer.name:6}  {weights.size:8,}  {densities[0]:7.3f}  {densities[1]:13.3f}")
    print()
