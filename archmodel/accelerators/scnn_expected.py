"""SCNN's convolutions from densities alone: what the exact model measures, as expectations over all placements.

Weights and activations are non-zero independently with their densities, so every block of a kind has the same
distribution of entries and of vectors (`random_blocks`); the PEs' work, the slowest of them and what the FIFOs make of
it follow (`slowest_pe`), and the banks (`random_queues`). The account is that of the exact model.
"""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np

from archmodel.accelerators import scnn_fc_expected
from archmodel.accelerators.cartesian import Int64
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import PlanarTiling, SubPlane, unit_stride
from archmodel.accelerators.random_blocks import Float64, RandomBlock
from archmodel.accelerators.random_queues import Banks, Fills, RandomQueues, random_queues
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_cells import Cells, Pattern, Tiles
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import accumulators_of
from archmodel.accelerators.scnn_expected_work import ExpectedGroup, group_works, whole
from archmodel.accelerators.scnn_tally import Counts, Tally
from archmodel.accelerators.scnn_tiling import Cut, cut_layer
from archmodel.accelerators.slowest_pe import Broadcast, Own, slowest_work
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities

LIKELY = math.log(0.5)  # of the chance that no tile overflows, above which a tiling is expected to fit


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts of a conv or fc layer, over all images."""
    if layer.kind == "fc":
        return scnn_fc_expected.expect_layer(config, layer, densities, context)
    conv = unit_stride(layer, config.tile_plane == "padded")
    cells = Cells.of(layer, conv)
    inputs = RandomInputs(config, cells, densities)
    cut = cut_layer(config, layer.name, conv, densities.output_density, densities.batch, inputs.fit)
    weights = RandomWeights.of(config, cells, cut, densities.weight_density)
    sets = cut.sets(range(densities.batch))
    sub_planes = [sub_plane for images in sets for sub_plane in cut.tiling.sub_planes() for _ in images]
    known: dict[tuple[object, float], ExpectedPart] = {}
    parts = []
    for sub_plane in sub_planes:
        tiles, kept = inputs.tiles(sub_plane), kept_products(config, cells, sub_plane)
        if (tiles, kept) not in known:
            banks = banks_of(config, cells, cut, sub_plane)
            known[tiles, kept] = expect_part(config, cells.channels, weights, inputs, tiles, banks, kept)
        parts += [known[tiles, kept]] * conv.groups
    counts = np.stack([whole(column, upwards=True) for column in np.array([part.counts for part in parts]).T], axis=1)
    works = group_works([part.groups for part in parts])
    tally = Tally(config, cells, cut, densities.batch, [cells.weight_words * densities.weight_density] * conv.groups)
    for index, (of_part, work) in enumerate(zip(counts.tolist(), works, strict=True)):
        sub_plane, conv_group = sub_planes[index // conv.groups], index % conv.groups
        tally.add(Counts(sub_plane, conv_group, weights.num_groups, *of_part), work, densities.output_density, context)
    effectual = densities.effectual_macs(layer)
    whole_plane = SubPlane(0, 0, *conv.plane, *conv.plane)
    pairs = conv.K * cells.channels * cells.meetings(whole_plane)[0] * densities.batch
    nonzero = min(max(round(pairs * densities.weight_density * densities.input_density), effectual), tally.issued)
    return tally.result(layer, densities, effectual, nonzero, context)


@dataclass(frozen=True, eq=False)
class RandomWeights:
    """Blocks of the output groups of a conv group.

    numbers : full groups, and a last one with fewer output channels; blocks : of each kind and phase
    """

    numbers: list[int]
    blocks: list[list[RandomBlock]]

    @classmethod
    def of(cls, config: Config, cells: Cells, cut: Cut, density: float) -> "RandomWeights":
        """Weights that are stored of a layer of this density."""
        pe, stored = config.pe, density if config.compression.sparse_weights else 1.0
        full, left = divmod(cells.conv.K // cells.conv.groups, cut.Kc)
        kinds = [(kernels, number) for kernels, number in ((cut.Kc, full), (left, 1)) if kernels and number]
        blocks = [
            [
                RandomBlock.of(
                    cells.kernel(phase, kernels, cut.Kc, pe.weight_order) * stored, config.compression.longest_run, pe.F
                )
                for phase in cells.phases
            ]
            for kernels, _ in kinds
        ]
        return cls([number for _, number in kinds], blocks)

    @property
    def num_groups(self) -> int:
        """Output groups of a conv group."""
        return sum(self.numbers)


@dataclass(frozen=True, eq=False)
class RandomInputs:
    """Activations of a layer of which the density is known."""

    config: Config
    cells: Cells
    densities: Densities

    @property
    def stored_density(self) -> float:
        """Fraction that is stored, explicit zeros apart."""
        return self.densities.input_density if self.config.compression.sparse_activations else 1.0

    def tiles(self, sub_plane: SubPlane) -> Tiles:
        """Inputs in the PEs' tiles."""
        return self.cells.tiles(sub_plane, self.config.pe.rows, self.config.pe.cols)

    def blocks(self, tall: Pattern, wide: Pattern) -> list[RandomBlock]:
        """Blocks of each phase of a PE with these rows and columns."""
        longest_run, width = self.config.compression.longest_run, self.config.pe.I
        return [
            RandomBlock.of(self.cells.tile(tall, wide, phase) * self.stored_density, longest_run, width)
            for phase in self.cells.phases
        ]

    def words(self, tall: Pattern, wide: Pattern) -> float:
        """Inputs of a channel, all phases, of a PE with these rows and columns."""
        return sum(float(self.cells.tile(tall, wide, phase).sum()) for phase in self.cells.phases)

    def fit(self, tiling: PlanarTiling, most_entries: int) -> bool:
        """Whether no PE is expected to store more than `most_entries` of a tile of all channels, for any image.

        Their sums over the channels are taken as normal; the median of the fullest tile decides.
        """
        kinds: Counter[tuple[Pattern, Pattern]] = Counter()
        for sub_plane in tiling.sub_planes():
            rows, columns = (Counter(patterns).items() for patterns in self.tiles(sub_plane))
            kinds.update({(tall, wide): one * other for tall, one in rows for wide, other in columns})
        channels = self.cells.channels * self.cells.conv.groups
        fullest = max(self.words(*kind) for kind in kinds)
        if fullest * channels * self.stored_density > most_entries:
            return False
        log_chance = 0.0
        for kind, number in kinds.items():
            blocks = self.blocks(*kind)
            entries = channels * sum(block.entries.mean for block in blocks)
            deviation = math.sqrt(channels * sum(block.entries.variance for block in blocks))
            log_chance += number * self.densities.batch * log_normal_cdf(most_entries + 0.5 - entries, deviation)
        return log_chance >= LIKELY


@dataclass(frozen=True, eq=False)
class ExpectedPart:
    """Expectations of a conv group on a sub-plane; `counts` in the order of `Counts`, from the stored weights on."""

    counts: tuple[float, ...]
    groups: list[ExpectedGroup]


def kept_products(config: Config, cells: Cells, sub_plane: SubPlane) -> float:
    """Fraction of a sub-plane's products that go to the accumulators."""
    if config.pe.out_of_range == "accumulate":
        return 1.0
    meetings, in_range = cells.meetings(sub_plane)
    return in_range / meetings if meetings else 1.0


def banks_of(config: Config, cells: Cells, cut: Cut, sub_plane: SubPlane) -> Banks:
    """The banks of a PE with a full tile."""
    conv = cells.conv
    rows, columns = cells.products(sub_plane)
    first = sub_plane.top + conv.pad_top - conv.R + 1, sub_plane.left + conv.pad_left - conv.S + 1
    return Banks.of(accumulators_of(config, conv, cut, sub_plane), rows, columns, first)


def expect_part(
    config: Config,
    channels: int,
    weights: RandomWeights,
    inputs: RandomInputs,
    tiles: Tiles,
    banks: Banks,
    kept: float,
) -> ExpectedPart:
    """What the PEs do in all output groups of a sub-plane; channels : of a phase; kept : fraction of products."""
    kinds = {kind: number for number, kind in enumerate(product(*(dict.fromkeys(patterns) for patterns in tiles)))}
    pe_kinds = np.array([kinds[kind] for kind in product(*tiles)])
    num_pes = np.bincount(pe_kinds)
    activations = [inputs.blocks(*kind) for kind in kinds]
    numbers = np.array(weights.numbers)

    def summed(of_weights: Float64, of_activations: Float64) -> float:
        """Sum over channels of what all groups have times what all PEs have."""
        return float(channels * (numbers @ of_weights) @ (num_pes @ of_activations))

    entries = np.array([[block.entries.mean for block in kind] for kind in weights.blocks])
    passes = np.array([[block.mean_passes(config.fifo[0]) for block in kind] for kind in weights.blocks])
    stored = np.array([[block.entries.mean for block in kind] for kind in activations])
    words = np.array([inputs.words(*kind) for kind in kinds])
    fetched = np.array([[block.vectors.mean for block in kind] for kind in activations])
    issued = summed(entries, stored)
    counts = (
        float(channels * (numbers @ entries).sum()),
        float(channels * (num_pes @ stored).sum()),
        issued,
        issued * kept,
        summed(passes, stored),
        summed(entries, fetched),
        channels * float(num_pes @ words) * inputs.densities.input_density,
    )
    fills = Fills.of(numbers, weights.blocks), Fills.of(num_pes, activations)
    queues = random_queues(*fills, banks.times(kept), config.pe.queue_depth)
    owns = [
        Own(int(number), [block.vectors for block in kind])
        for number, kind in zip(num_pes, activations, strict=True)
    ]
    groups = [
        (number, [Broadcast.of(channels, block.vectors) for block in kind])
        for number, kind in zip(weights.numbers, weights.blocks, strict=True)
    ]
    return ExpectedPart(counts, expected_groups(config, channels, groups, owns, pe_kinds, queues))


def expected_groups(
    config: Config,
    channels: int,
    groups: list[tuple[int, list[Broadcast]]],
    owns: list[Own],
    pe_kinds: Int64,
    queues: RandomQueues,
) -> list[ExpectedGroup]:
    """Cycles of the output groups, or of all as one without barriers; groups : of each kind how many, and weights."""
    barrier = config.pe.barrier
    meetings = channels if barrier == "channel" else 1
    kinds = [
        (number, ExpectedGroup.of(phases, owns, pe_kinds, queues, config.fifo, meetings)) for number, phases in groups
    ]
    if barrier != "layer":
        return [group for number, group in kinds for _ in range(number)]
    together = [Broadcast.together(list(zip((number for number, _ in groups), phase, strict=True)))
                for phase in zip(*(phases for _, phases in groups), strict=True)]  # fmt: skip
    return [ExpectedGroup.without_barriers(kinds, slowest_work(together, owns))]


def log_normal_cdf(excess: float, deviation: float) -> float:
    """Logarithm of the probability that a centred normal variable stays below `excess`."""
    if deviation <= 0.0:
        return 0.0 if excess >= 0.0 else -math.inf
    chance = 0.5 * math.erfc(-excess / deviation / math.sqrt(2.0))
    return math.log(chance) if chance else -math.inf
