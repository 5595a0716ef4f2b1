"""What is computed: layers, the graph they form, and its file."""

from archmodel.network.layer import Layer, LayerKind, Shape
from archmodel.network.network import Network, joined_shape
from archmodel.network.published import PublishedTotal
from archmodel.network.zeros import Zeros

__all__ = ["Layer", "LayerKind", "Network", "PublishedTotal", "Shape", "Zeros", "joined_shape"]
