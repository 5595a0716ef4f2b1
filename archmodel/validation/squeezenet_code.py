"""What configs/published/squeezenet_code.toml measures: the run-length code of the pruned SqueezeNet by layer."""

import numpy as np

from archmodel.exchange import read_network
from archmodel.kernels.compression import run_length_entries
from archmodel.network import Layer, Network
from archmodel.operands.archive import packed_mask
from archmodel.operands.operands import Mask
from archmodel.validation.published import PublishedRow, csv_rows
from archmodel.validation.scnn import Measured

NET = "squeezenet_pruned"
LAYERS_FILE = "squeezenet_code_layers.csv"
LONGEST_RUN = 2**4 - 1  # a stored entry of the released file has a gap of 4 bits
QUANTITIES = {"stored_entries": "stored entries", "nonzero": "non-zeros", "padding_entries": "padding entries"}
REASONS = {
    "stored_entries": "our codec on the masks stores as many entries as the released file holds",
    "nonzero": "a count of the masks that come with archmodel",
    "padding_entries": "our codec puts in as many zeros as the released file holds",
}


def rows_of_layers() -> tuple[PublishedRow, ...]:
    """Three counts of each layer, from the CSV file."""
    return tuple(
        PublishedRow(
            id=f"{row['layer']}.{quantity}",
            what=f"{row['layer']}, {shown}",
            kind="identity",
            published=int(row[quantity]),
            provenance="primary, compressed_SqueezeNet.net, decoded",
            reason=REASONS[quantity],
        )
        for row in csv_rows(LAYERS_FILE)
        for quantity, shown in QUANTITIES.items()
    )


def measure_squeezenet_code() -> Measured:
    """Values of configs/published/squeezenet_code.toml."""
    network = read_network(NET)
    counts = {layer.name: code_of_layer(network, layer) for layer in network.compute_layers}
    values: dict[str, float] = {
        f"{name}.{quantity}": count for name, of_layer in counts.items() for quantity, count in of_layer.items()
    }
    totals = {quantity: sum(of_layer[quantity] for of_layer in counts.values()) for quantity in QUANTITIES}
    weights = sum(layer.weight_words for layer in network.compute_layers)
    return values | totals | {"weights": weights, "density": totals["nonzero"] / weights}, {}


def code_of_layer(network: Network, layer: Layer) -> dict[str, int]:
    """Counts of a layer whose weights are one stream in the order K, C, R, S."""
    mask = weight_mask(network, layer)
    _, position = run_length_entries(mask[np.newaxis], LONGEST_RUN)
    return {
        "stored_entries": position.size,
        "nonzero": int(mask.sum()),
        "padding_entries": int(np.count_nonzero(mask[position] == 0)),
    }


def weight_mask(network: Network, layer: Layer) -> Mask:
    """The flat real mask of a layer, uint8[K*C*R*S]."""
    stored = network.weight_mask_file(layer.name)
    assert stored is not None
    return packed_mask(*stored, layer.weight_shape).reshape(-1)
