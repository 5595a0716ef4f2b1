"""How SCNN cuts a layer: planes into sub-planes that fit its buffers, output channels into groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from archmodel.accelerators.cartesian import Blocks
from archmodel.accelerators.planar import PlanarTiling, UnitStrideConv, tile_masks, tilings
from archmodel.accelerators.scnn_config import PUBLISHED_KC, Config
from archmodel.errors import ConfigError
from archmodel.operands.operands import Mask

Image = TypeVar("Image")
FitsIaram = Callable[[PlanarTiling, int], bool]
"""Whether no PE stores more than so many entries of the inputs."""


@dataclass(frozen=True)
class Cut:
    """The chosen tiling, the output channels of a group, and whether the activation RAMs forced sub-planes.

    images : at most so many share the weights of a sub-plane
    """

    tiling: PlanarTiling
    Kc: int
    through_dram: bool
    images: int

    def sets(self, images: Sequence[Image]) -> list[Sequence[Image]]:
        """Images that share weights; what is left of a batch is the last set."""
        return [images[first : first + self.images] for first in range(0, len(images), self.images)]


def cut_layer(
    config: Config, layer: str, conv: UnitStrideConv, output_density: float, batch: int, fits_iaram: FitsIaram
) -> Cut:
    """The fewest sub-planes of the layer of this name whose tiles fit accumulators, IARAM and OARAM of every PE.

    The IARAM holds the stored entries of a tile of all channels, the OARAM the expected non-zeros of its outputs.
    Where nothing fits, the finest tiling is used and streams through the RAMs.
    """
    pe = config.pe
    least_Kc = min(pe.Kc, conv.K // conv.groups) if isinstance(pe.Kc, int) else 1
    if least_Kc * conv.R * conv.S > pe.accumulator_entries:
        raise ConfigError(
            f"{layer}: pe.accumulator_entries = {pe.accumulator_entries}: must be at least"
            f" {least_Kc * conv.R * conv.S}, for one position of Kc = {least_Kc} with {conv.R}x{conv.S} taps"
        )
    through_dram, chosen = False, None
    for tiling in tilings(conv.plane, pe.rows, pe.cols):
        if least_Kc * accumulators_per_channel(conv, tiling) > pe.accumulator_entries:
            continue
        chosen = tiling
        if rams_hold(1, config, conv, tiling, output_density, fits_iaram):
            break
        through_dram = True
    assert chosen is not None  # 1x1 tiles fit the accumulators, checked above
    Kc = group_channels(config, conv, chosen)
    accumulated = pe.accumulator_entries // (Kc * accumulators_per_channel(conv, chosen))
    for images in range(min(config.weight_fifo.images, batch, accumulated), 1, -1):
        if rams_hold(images, config, conv, chosen, output_density, fits_iaram):
            return Cut(chosen, Kc, through_dram, images)
    return Cut(chosen, Kc, through_dram, 1)


def rams_hold(
    images: int,
    config: Config,
    conv: UnitStrideConv,
    tiling: PlanarTiling,
    output_density: float,
    fits_iaram: FitsIaram,
) -> bool:
    """Whether so many images, the fullest of the batch, find room in every IARAM and OARAM at a time."""
    most_entries = 8 * config.buffers.iaram_bytes // (images * config.compression.activation_bits)
    return fits_oaram(images, config, conv, tiling, output_density) and fits_iaram(tiling, most_entries)


def accumulators_per_channel(conv: UnitStrideConv, tiling: PlanarTiling) -> int:
    """Accumulators of one output channel: the largest tile with its halo."""
    tile_h, tile_w = tiling.largest_tile
    return (tile_h + conv.R - 1) * (tile_w + conv.S - 1)


def group_channels(config: Config, conv: UnitStrideConv, tiling: PlanarTiling) -> int:
    """Kc: output channels that the PEs accumulate at a time."""
    channels = conv.K // conv.groups
    capacity = config.pe.accumulator_entries // accumulators_per_channel(conv, tiling)
    if config.pe.Kc == "published":
        return min(PUBLISHED_KC, channels, capacity)
    if config.pe.Kc == "accumulator":
        return min(channels, capacity)
    return min(config.pe.Kc, channels)


def fits_oaram(
    images: int, config: Config, conv: UnitStrideConv, tiling: PlanarTiling, output_density: float
) -> bool:
    """Whether the expected outputs of the largest tile of so many images fit the OARAM."""
    compression = config.compression
    tile_h, tile_w = tiling.largest_tile
    outputs = images * compression.stored_activations(tile_h * tile_w * conv.K, output_density)
    return outputs * compression.activation_bits <= 8 * config.buffers.oaram_bytes


def fits_iaram(config: Config, planes: list[Mask], tiling: PlanarTiling, most_entries: int) -> bool:
    """Whether no PE stores more entries of a tile of all channels, of any image; planes : uint8[C, H, W] each."""
    return all(plane_fits(config, tiling, plane, most_entries) for plane in planes)


def plane_fits(config: Config, tiling: PlanarTiling, plane: Mask, most_entries: int) -> bool:
    """Whether no PE stores more than `most_entries` of a tile of all channels, explicit zeros included."""
    pe, longest_run = config.pe, config.compression.longest_run
    nonzeros = plane.sum(axis=0, dtype=np.int32)[np.newaxis]
    sub_planes = list(tiling.sub_planes())
    fullest = max(int(tile_masks(sub, nonzeros, pe.rows, pe.cols).sum(axis=1).max()) for sub in sub_planes)
    tile_h, tile_w = tiling.largest_tile
    most_explicit = plane.shape[0] * (tile_h * tile_w // (longest_run + 1))
    if fullest > most_entries or fullest + most_explicit <= most_entries:
        return fullest <= most_entries
    for sub_plane in sub_planes:
        tiles = tile_masks(sub_plane, plane, pe.rows, pe.cols)
        stored = Blocks.compress(tiles, (plane.shape[0], pe.num_pes), longest_run).num_entries
        if stored.sum(axis=0).max() > most_entries:
            return False
    return True
