"""Random networks of layers of many kinds that fork and join, on planes of 4x4."""

from archmodel.network import Layer, Network

MODES = {"activation": ("relu", "clipped_relu", "gelu", "sigmoid", "tanh"), "norm": ("lrn", "batch", "layer", "rms")}
KINDS = ("conv", "conv", "activation", "activation", "dropout", "pool", "norm", "add", "multiply", "concat", "softmax")


def random_network(rng, num_layers):
    """Every layer reads one or two of the maps above it; a map that nobody reads is an output."""
    shapes, layers = {"image": (2, 4, 4)}, []
    for place in range(num_layers):
        kind = str(rng.choice(KINDS))
        first = str(rng.choice(list(shapes)[-3:])) if place else "image"
        others = [name for name, shape in shapes.items() if shape == shapes[first] and name != first]
        inputs, shape = (first,), shapes[first]
        if kind in ("add", "multiply", "concat"):
            if not others:
                kind = "conv"
            else:
                inputs = (first, str(rng.choice(others)))
                shape = (2 * shape[0], 4, 4) if kind == "concat" else shape
        K = int(rng.integers(1, 4)) if kind == "conv" else shape[0]
        window = {"R": 3, "S": 3, "padding": (1, 1, 1, 1)} if kind in ("conv", "pool") else {}
        mode = str(rng.choice(MODES[kind])) if kind in MODES else ("max", "average")[place % 2] * (kind == "pool")
        layer = Layer(f"{kind}{place}", kind, inputs, shape, K, mode=mode, **window)
        layers.append(layer)
        shapes[layer.name] = layer.output_shape
    return Network("random", "random", "made up", {"image": (2, 4, 4)}, tuple(layers))
