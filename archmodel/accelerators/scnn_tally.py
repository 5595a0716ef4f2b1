"""Accounts of an SCNN convolution: slots by cause, buffer accesses, DRAM streams, the time of its tiles."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from archmodel.accelerators.account import layer_account
from archmodel.accelerators.cartesian import Int64
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import (
    SubPlane,
    UnitStrideConv,
    halo_outputs,
    largest_halo,
    owned_outputs,
    unfold_inputs,
    unfold_weights,
)
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_cells import Cells
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import GroupWork, Part, products_in_range
from archmodel.accelerators.scnn_tiling import Cut
from archmodel.memory.dram import Stream
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands


@dataclass(frozen=True)
class Counts:
    """What one conv group on one sub-plane stores, fetches and multiplies, measured or expected.

    num_groups : output groups; accumulated : products that reach the accumulators; input_reads, weight_reads : entries
    fetched from the IARAMs and from the weight FIFOs; nonzero_activations : without explicit zeros
    """

    sub_plane: SubPlane
    conv_group: int
    num_groups: int
    stored_weights: int
    stored_activations: int
    issued: int
    accumulated: int
    input_reads: int
    weight_reads: int
    nonzero_activations: int

    @classmethod
    def of(cls, config: Config, conv: UnitStrideConv, part: Part) -> "Counts":
        """Those of compressed operands."""
        pe, weights, activations = config.pe, part.weights, part.activations
        vectors = weights.num_vectors(pe.F)
        entries = config.fifo[0]
        passes = -(-vectors // entries) if entries else np.minimum(vectors, 1)  # over a channel's activations
        weight_words, activation_words = weights.num_entries.sum(axis=0), activations.num_entries.sum(axis=1)
        issued = int(weight_words @ activation_words)
        return cls(
            sub_plane=part.sub_plane,
            conv_group=part.conv_group,
            num_groups=weights.shape[0],
            stored_weights=weights.position.size,
            stored_activations=activations.position.size,
            issued=issued,
            accumulated=issued if pe.out_of_range == "accumulate" else products_in_range(config, conv, part),
            input_reads=int(passes.sum(axis=0) @ activation_words),
            weight_reads=int(weight_words @ activations.num_vectors(pe.I).sum(axis=1)),
            nonzero_activations=part.nonzeros,
        )


@dataclass
class Tally:
    """Sums over the parts of a layer, added in the order of their execution.

    batch : images
    nonzero_weights : of each conv group
    """

    config: Config
    cells: Cells
    cut: Cut
    batch: int
    nonzero_weights: Sequence[float]
    works: list[GroupWork] = field(default_factory=list)
    ends: list[tuple[Int64, Int64]] = field(default_factory=list)  # spans at the ends of a sampled layer's interval
    drains: list[Int64] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)  # temporal tile of each part
    num_tiles: int = 0
    num_parts: int = 0  # of the temporal tile that is not complete
    issued: int = 0
    accumulated: int = 0
    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    streams: list[Stream] = field(default_factory=list)

    @property
    def conv(self) -> UnitStrideConv:
        """The layer as the PEs see it."""
        return self.cells.conv

    @cached_property
    def num_sub_planes(self) -> int:
        """Temporal tiles of a set of images."""
        return len(list(self.cut.tiling.sub_planes()))

    @property
    def num_images(self) -> int:
        """Images that share the weights of the temporal tile that parts are added to."""
        first = self.num_tiles // self.num_sub_planes * self.cut.images
        return min(self.cut.images, self.batch - first)

    @property
    def fetches_weights(self) -> bool:
        """Whether the next part is the first image's; further ones find its weights in the FIFOs."""
        return self.num_parts < self.conv.groups

    def add(self, part: Counts, work: GroupWork, output_density: float, context: Context) -> None:
        """Account one part; the last conv group of the last image of a sub-plane completes a temporal tile."""
        self.issued += part.issued
        self.accumulated += part.accumulated
        self.works.append(work)
        drains = self._drain_cycles(part)
        if work.span.size < drains.size:  # no barriers between the groups: they drain on the way, or all at the end
            drains = drains[-1:] if self.config.ppu.overlap else drains.sum(keepdims=True)
        self.drains.append(drains)
        self.tiles.append(self.num_tiles)
        self._count_words(part, output_density)
        self._add_streams(part, output_density, context)
        self.num_parts += 1
        if self.num_parts == self.num_images * self.conv.groups:
            self.num_tiles, self.num_parts = self.num_tiles + 1, 0

    def _group_channels(self, num_groups: int) -> Int64:
        """Output channels of each group: Kc, and what is left for the last."""
        first = np.arange(num_groups) * self.cut.Kc
        return np.minimum(self.cut.Kc, self.conv.K // self.conv.groups - first)

    def _drain_cycles(self, part: Counts) -> Int64:
        """Cycles from the barrier until halos are exchanged and the outputs are in the OARAM, for each group.

        A PE has a link to each of its eight neighbours; the largest halo region decides.
        """
        ppu, tile = self.config.ppu, part.sub_plane
        channels = self._group_channels(part.num_groups)
        cycles = np.zeros(channels.size, np.int64)
        if ppu.halo_words_per_cycle:
            cycles += -(-channels * largest_halo(self.conv, tile) // ppu.halo_words_per_cycle)
        if ppu.output_words_per_cycle:
            cycles += -(-channels * tile.tile_h * tile.tile_w // ppu.output_words_per_cycle)
        return cycles

    def _count_words(self, part: Counts, output_density: float) -> None:
        pe, tile = self.config.pe, part.sub_plane
        self.read["iaram"] += part.input_reads
        self.written["activation_registers"] += part.input_reads
        self.written["weight_fifo"] += part.stored_weights * pe.num_pes * self.fetches_weights
        self.read["weight_fifo"] += part.weight_reads
        for component in ("bank_queues", "accumulators"):
            self.read[component] += part.accumulated
            self.written[component] += part.accumulated
        channels = self.conv.K // self.conv.groups
        held = (tile.tile_h + self.conv.R - 1) * (tile.tile_w + self.conv.S - 1)
        halos = channels * (held - tile.tile_h * tile.tile_w) * pe.num_pes
        self.written["halo"] += halos
        outputs = channels * owned_outputs(self.conv, tile)
        self.read["accumulators"] += 2 * halos + outputs  # sent, and added to the sums of the neighbour
        self.written["accumulators"] += halos
        self.written["oaram"] += math.ceil(self.config.compression.stored_activations(outputs, output_density))

    def _add_streams(self, part: Counts, output_density: float, context: Context) -> None:
        config, cells = self.config, self.cells
        channels = self.conv.K // self.conv.groups
        psums = channels * halo_outputs(self.conv, part.sub_plane) if self.cut.through_dram else 0
        nonzeros = self.nonzero_weights[part.conv_group]
        weights = config.weight_dram_bits(part.stored_weights, cells.weight_words, nonzeros)
        inputs = config.activation_dram_bits(
            part.stored_activations, cells.input_words(part.sub_plane), part.nonzero_activations
        )
        outputs = config.output_dram_bits(channels * owned_outputs(self.conv, part.sub_plane), output_density)
        moved = [
            Stream("weight", "read", _bytes(weights) * self.fetches_weights, self.num_tiles),
            Stream("psum", "write", _bytes(psums * config.compression.psum_bits), self.num_tiles),
            Stream("psum", "read", _bytes(psums * config.compression.psum_bits), self.num_tiles),
        ]
        if not context.input_on_chip:
            moved.append(Stream("input", "read", _bytes(inputs), self.num_tiles))
        if not context.output_on_chip:
            moved.append(Stream("output", "write", _bytes(outputs), self.num_tiles))
        self.streams += [stream for stream in moved if stream.num_bytes]

    def _exposed_drain(self, spans: list[Int64]) -> list[Int64]:
        """Drain cycles of the units of each part that no computation hides: the next group computes meanwhile."""
        drain = np.concatenate(self.drains)
        if self.config.ppu.overlap:
            following = np.append(np.concatenate(spans)[1:], 0)
            drain = np.maximum(0, drain - following)
        return np.split(drain, np.cumsum([part.size for part in self.drains])[:-1])

    def _compute_cycles(self, spans: list[Int64]) -> list[int]:
        """Cycles of each temporal tile without memory, from the spans of the groups of each part."""
        compute = [0] * self.num_tiles
        for span, drain, tile in zip(spans, self._exposed_drain(spans), self.tiles, strict=True):
            compute[tile] += int(span.sum() + drain.sum())
        return compute

    def result(
        self, layer: Layer, operands: Operands | Densities, effectual: int, pairs: int, context: Context
    ) -> LayerResult:
        """The layer's account; `pairs` as `nonzero_pairs` has them.

        A shorter group hides less of the drain before it: where another tile waits for DRAM, shorter groups can make a
        longer layer, so that the ends of a sampled layer are taken whatever their order.
        """
        pe, num_multipliers = self.config.pe, self.config.num_multipliers
        spans = [work.span for work in self.works]
        exposed, compute = self._exposed_drain(spans), self._compute_cycles(spans)
        of_ends = zip(*self.ends, strict=True) if context.sampled else ()
        ends = [self._compute_cycles(list(spans_at_end)) for spans_at_end in of_ends]
        all_work = GroupWork.join(self.works)
        lanes = pe.multipliers_per_pe
        issuing = int((all_work.work - all_work.stalls - all_work.emptying).sum())
        explained = (all_work.span - all_work.waiting)[:, np.newaxis]
        return layer_account(
            self.config, layer, operands, context, compute, tuple(self.streams),
            effectual=effectual,
            issued=self.issued,
            lost={
                "out_of_range": pairs - effectual,
                "fragmentation": issuing * lanes - self.issued,
                "bank_conflict": int(all_work.stalls.sum()) * lanes,
                "imbalance": int((explained - all_work.work).sum()) * lanes,
                "weight_stall": int(all_work.waiting.sum()) * num_multipliers,
                "drain": int(all_work.emptying.sum()) * lanes
                + sum(int(part.sum()) for part in exposed) * num_multipliers,
            },
            ends=ends,
            words_read=dict(self.read),
            words_written=dict(self.written),
            operations={
                "multipliers": self.issued,
                "coordinates": self.issued,
                "crossbar": self.accumulated,
                "adders": self.accumulated + self.written["halo"],
            },
            cycle_map=all_work.work,
            details={
                "Kc": self.cut.Kc,
                "sub_planes": self.num_sub_planes,
                "tiled_through_dram": int(self.cut.through_dram),
                **({"images_at_a_time": self.cut.images} if self.config.weight_fifo.images > 1 else {}),
            },
        )


def nonzero_pairs(layer: Layer, conv: UnitStrideConv, operands: Operands) -> int:
    """Pairs of a non-zero weight and a non-zero activation of the same channel of the unit-stride form."""
    kernels = unfold_weights(layer, conv, operands.weights)
    planes = [unfold_inputs(layer, conv, image) for image in operands.inputs]
    split = kernels.reshape(conv.groups, conv.K // conv.groups, conv.C // conv.groups, conv.R * conv.S)
    weight_counts = split.sum(axis=(1, 3), dtype=np.int64).ravel()
    return sum(int(plane.sum(axis=(1, 2), dtype=np.int64) @ weight_counts) for plane in planes)


def _bytes(bits: float) -> int:
    return math.ceil(bits / 8)
