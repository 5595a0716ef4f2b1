"""Train a network of archmodel on scikit-learn's digits, prune it by magnitude, retrain what is left.

The network is a chain of conv, fc, relu, max pool and a softmax at its end; its file says how dense each layer's
weights are to be. Everything is seeded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from layers import Array, Conv, MaxPool, Relu
from sklearn.datasets import load_digits

from archmodel.network import Network

Labels = npt.NDArray[np.int64]

SEED = 0
NUM_TEST_IMAGES = 500  # of 1,797
BATCH = 50
EPOCHS = 10
RATE = 0.05  # falls to nothing in a straight line over the epochs of each training

KINDS: dict[str, Callable[..., Conv | Relu | MaxPool]] = {"conv": Conv, "fc": Conv, "activation": Relu, "pool": MaxPool}


@dataclass(frozen=True)
class Digits:
    """Images [N, 1, 8, 8] of handwritten digits, 0 to 1, and what they show; the last ones are for the test."""

    images: Array
    labels: Labels

    @classmethod
    def load(cls) -> "Digits":
        """The set that comes with scikit-learn, in an order of our own: nothing is downloaded."""
        digits = load_digits()
        order = np.random.default_rng(SEED).permutation(len(digits.target))
        images = (digits.images[order, np.newaxis] / 16).astype(np.float32)
        return cls(images, digits.target[order])

    @property
    def to_train(self) -> tuple[Array, Labels]:
        return self.images[:-NUM_TEST_IMAGES], self.labels[:-NUM_TEST_IMAGES]

    @property
    def to_test(self) -> tuple[Array, Labels]:
        return self.images[-NUM_TEST_IMAGES:], self.labels[-NUM_TEST_IMAGES:]


class Model:
    """The layers of a network with weights that learn."""

    def __init__(self, network: Network) -> None:
        rng = np.random.default_rng(SEED)
        self.network = network
        self.layers = [KINDS[layer.kind](layer, rng) for layer in network.layers if layer.kind != "softmax"]
        self.weighted = [layer for layer in self.layers if isinstance(layer, Conv)]

    def forward(self, images: Array) -> Array:
        """Scores [N, classes], before the softmax; every layer remembers its inputs."""
        tensor = images
        for layer in self.layers:
            tensor = layer.forward(tensor)
        return tensor.reshape(len(images), -1)

    def backward(self, images: Array, labels: Labels) -> None:
        """Gradients of the mean cross-entropy of a batch."""
        scores = self.forward(images)
        likelihoods = np.exp(scores - scores.max(axis=1, keepdims=True))
        likelihoods /= likelihoods.sum(axis=1, keepdims=True)
        gradient = (likelihoods - np.eye(scores.shape[1], dtype=scores.dtype)[labels]) / len(labels)
        gradient = gradient[:, :, np.newaxis, np.newaxis]
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)

    def train(self, images: Array, labels: Labels, rate: float = RATE) -> None:
        """Gradient descent over all images, EPOCHS times, each time in another order."""
        rng = np.random.default_rng(SEED)
        for epoch in range(EPOCHS):
            for batch in np.array_split(rng.permutation(len(images)), len(images) // BATCH):
                self.backward(images[batch], labels[batch])
                for layer in self.weighted:
                    layer.step(rate * (1 - epoch / EPOCHS))

    def prune(self) -> None:
        """Bring every layer to the density that the network's file states."""
        for layer in self.weighted:
            zeros = self.network.zeros.get(layer.layer.name)
            if zeros is None or zeros.weight_density is None:
                raise ValueError(f"{layer.layer.name}: the network's file states no weight_density to prune to")
            layer.prune(zeros.weight_density)

    def accuracy(self, images: Array, labels: Labels) -> float:
        """Share of the images that are recognized."""
        return float((self.forward(images).argmax(axis=1) == labels).mean())

    @property
    def num_nonzeros(self) -> int:
        """Weights that are not zero."""
        return sum(int(np.count_nonzero(layer.weights)) for layer in self.weighted)
