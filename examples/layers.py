"""Layers that learn, in numpy: each has its part of the network's file as `layer`, a forward and a backward pass."""

import math

import numpy as np
import numpy.typing as npt

from archmodel.network import Layer
from archmodel.weights.gradual_pruning import narrowed
from archmodel.weights.shared_weights import share_weights

Array = npt.NDArray[np.floating]

MOMENTUM = 0.9


class Conv:
    """A convolution; a fully connected layer is one of a single position.

    weights : [K, C, R, S], biases : [K]; where `mask` is False a weight is pruned and stays zero
    """

    def __init__(self, layer: Layer, rng: np.random.Generator) -> None:
        if layer.groups > 1 or layer.dilation != (1, 1):
            raise ValueError(f"{layer.name}: groups and dilation are not trained here")
        spread = math.sqrt(2 / math.prod(layer.weight_shape[1:]))  # He et al., ICCV 2015: keeps variances behind a ReLU
        self.layer = layer
        self.weights: Array = rng.normal(0, spread, layer.weight_shape).astype(np.float32)
        self.biases: Array = np.zeros(layer.K, np.float32)
        self.mask = np.ones(layer.weight_shape, bool)
        self.codes: npt.NDArray[np.int32] | None = None  # of weights that share values
        self.velocities: tuple[Array, Array] = (np.zeros_like(self.weights), np.zeros_like(self.biases))

    def forward(self, tensor: Array) -> Array:
        """[N, C, H, W] to [N, K, P, Q]: a matrix product with the patch that each output sees (im2col)."""
        layer = self.layer
        self.shape = tensor.shape
        self.inputs = tensor.reshape(-1, *layer.input_shape)
        top, bottom, left, right = layer.padding
        padded = np.pad(self.inputs, ((0, 0), (0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.R, layer.S), axis=(2, 3))
        windows = windows[:, :, :: layer.stride[0], :: layer.stride[1]]  # [N, C, P, Q, R, S]
        self.patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, layer.C * layer.R * layer.S)
        outputs = self.patches @ self.weights.reshape(layer.K, -1).T + self.biases
        return outputs.reshape(-1, layer.P, layer.Q, layer.K).transpose(0, 3, 1, 2)

    def backward(self, gradient: Array) -> Array:
        """Gradient of the loss by the outputs to that by the inputs; keeps those by weights and biases."""
        layer = self.layer
        K, (N, C, H, W) = layer.K, self.inputs.shape
        rows = gradient.transpose(0, 2, 3, 1).reshape(-1, K)
        self.weight_gradient = (rows.T @ self.patches).reshape(self.weights.shape)
        self.bias_gradient = rows.sum(axis=0)
        patches = (rows @ self.weights.reshape(K, -1)).reshape(N, layer.P, layer.Q, C, layer.R, layer.S)
        patches = patches.transpose(4, 5, 0, 3, 1, 2)  # [R, S, N, C, P, Q]
        top, bottom, left, right = layer.padding
        (down, across), padded = layer.stride, np.zeros((N, C, H + top + bottom, W + left + right), rows.dtype)
        for r in range(layer.R):
            for s in range(layer.S):
                padded[:, :, r : r + down * layer.P : down, s : s + across * layer.Q : across] += patches[r, s]
        return padded[:, :, top : top + H, left : left + W].reshape(self.shape)

    def step(self, rate: float) -> None:
        """One step of gradient descent with momentum."""
        of_weights, of_biases = self.velocities
        gradient = self.weight_gradient
        if self.codes is not None:  # weights of a code move together (Deep Compression, ICLR 2016, sec. 3.3)
            gradient = np.bincount(self.codes.ravel(), gradient.ravel())[self.codes].astype(gradient.dtype)
        of_weights *= MOMENTUM
        of_weights -= rate * gradient
        of_biases *= MOMENTUM
        of_biases -= rate * self.bias_gradient
        self.weights = (self.weights + of_weights) * self.mask
        self.biases = self.biases + of_biases

    def prune(self, density: float) -> None:
        """Keep that share of the weights, the largest magnitudes (Han et al., NIPS 2015)."""
        self.mask = narrowed(self.mask, self.weights, density)
        self.weights = self.weights * self.mask

    def share(self, bits: int) -> None:
        """Make non-zero weights share few values, which learn from then on (Deep Compression, ICLR 2016, sec. 3)."""
        shared = share_weights(self.weights, bits)
        self.codes, self.weights = shared.codes, shared.values()
        self.velocities = (np.zeros_like(self.weights), np.zeros_like(self.biases))


class Relu:
    """max(0, x)."""

    def __init__(self, layer: Layer, rng: np.random.Generator) -> None:
        if layer.mode != "relu":
            raise ValueError(f"{layer.name}: {layer.mode} is not trained here, relu is")
        self.layer = layer

    def forward(self, tensor: Array) -> Array:
        self.positive = tensor > 0
        return tensor * self.positive

    def backward(self, gradient: Array) -> Array:
        return gradient * self.positive


class MaxPool:
    """The largest of each window; windows stand side by side."""

    def __init__(self, layer: Layer, rng: np.random.Generator) -> None:
        tiled = layer.stride == (layer.R, layer.S) and (layer.P * layer.R, layer.Q * layer.S) == (layer.H, layer.W)
        if layer.mode != "max" or not tiled or any(layer.padding):
            raise ValueError(f"{layer.name}: only max pools whose windows tile the plane are trained here")
        self.layer = layer

    def forward(self, tensor: Array) -> Array:
        layer = self.layer
        tiles = tensor.reshape(-1, layer.C, layer.P, layer.R, layer.Q, layer.S).transpose(0, 1, 2, 4, 3, 5)
        windows = tiles.reshape(*tiles.shape[:4], -1)
        self.largest = windows.argmax(axis=4, keepdims=True)
        return np.take_along_axis(windows, self.largest, axis=4)[..., 0]

    def backward(self, gradient: Array) -> Array:
        layer = self.layer
        windows = np.zeros((*gradient.shape, layer.R * layer.S), gradient.dtype)
        np.put_along_axis(windows, self.largest, gradient[..., np.newaxis], axis=4)
        tiles = windows.reshape(*gradient.shape, layer.R, layer.S).transpose(0, 1, 2, 4, 3, 5)
        return tiles.reshape(-1, *layer.input_shape)
