"""Weights of a network by layer name, of a file that has them, and npz files of weights, one layer at a time."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.network.network import Network
from archmodel.operands.archive import NOTE_KEY, Archive
from archmodel.operands.named_weights import stored_weights
from archmodel.operands.safetensors_file import SafetensorsFile

FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of all files: the same arrays are the same bytes


class FileWeights(Mapping[str, npt.NDArray[Any]]):
    """Weights of the layers that have some, each read when it is asked for, in its `weight_shape`."""

    def __init__(self, network: Network, archive: Archive | SafetensorsFile) -> None:
        self._archive = archive
        self._layers = {layer.name: layer for layer in network.compute_layers if layer.kind != "matmul"}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        layer = self._layers[name]
        return stored_weights(self._archive, layer, layer.weight_shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def write_npz(path: Path | str, arrays: Iterable[tuple[str, npt.NDArray[Any]]], note: str) -> None:
    """Write arrays under their keys, each dropped before the next is made, and what was done to them."""
    noted = np.frombuffer(note.encode(), np.uint8)
    with zipfile.ZipFile(path, "x", allowZip64=True) as archive:
        for pairs in (arrays, ((NOTE_KEY, noted),)):
            for key, array in pairs:
                entry = zipfile.ZipInfo(f"{key}.npy", FIRST_DATE)
                with archive.open(entry, "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
