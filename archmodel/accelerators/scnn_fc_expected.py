"""SCNN's fully connected layers from densities alone; the account is that of the exact model."""

import numpy as np

from archmodel.accelerators.context import Context
from archmodel.accelerators.random_blocks import RandomBlock
from archmodel.accelerators.random_queues import Banks, Fills, random_queues
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.scnn_config import Config
from archmodel.accelerators.scnn_conv import GroupWork
from archmodel.accelerators.scnn_expected_work import ExpectedGroup, group_works, whole
from archmodel.accelerators.scnn_fc import Round, RoundWork, account, rounds_of
from archmodel.accelerators.slowest_pe import Broadcast, Own
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities


def expect_layer(config: Config, layer: Layer, densities: Densities, context: Context) -> LayerResult:
    """Expected cycles and counts of an fc layer, over all images."""
    rounds = rounds_of(config, layer, densities.batch)
    expected = [expect_round(config, layer, round_, densities) for round_ in rounds]
    counts = np.stack([whole(list(column), upwards=True) for column in zip(*(of for of, _ in expected), strict=True)])
    works = [
        RoundWork(by_pe(work), *of_round)
        for (_, group), of_round in zip(expected, counts.T.tolist(), strict=True)
        for work in group_works([[group]])
    ]
    return account(config, layer, rounds, works, densities, densities.effectual_macs(layer), context)


def expect_round(
    config: Config, layer: Layer, round_: Round, densities: Densities
) -> tuple[tuple[float, ...], ExpectedGroup]:
    """Counts in the order of `RoundWork`, and cycles of the PEs that have neurons.

    Here the activations are what all PEs share, and the weights what each has for itself; nobody waits for weights.
    """
    pe, stored = config.pe, config.compression
    input_density = densities.input_density if stored.sparse_activations else 1.0
    weight_density = densities.weight_density if stored.sparse_weights else 1.0
    inputs = RandomBlock.of(np.full(round_.num_images, input_density), stored.longest_run, pe.I)
    neurons = min(layer.K - round_.first_neuron, round_.per_pe * pe.num_pes)
    full, left = divmod(neurons, round_.per_pe)
    kinds = [(number, size) for number, size in ((full, round_.per_pe), (1, left)) if number and size]
    blocks = [
        RandomBlock.of(np.full(size, weight_density), stored.longest_run, pe.F) for _, size in kinds
    ]
    num_pes = np.array([number for number, _ in kinds])
    weights = layer.C * float(num_pes @ [block.entries.mean for block in blocks])
    used = layer.C * float(num_pes @ [1.0 - block.entries.none for block in blocks])
    counts = (
        layer.C * inputs.entries.mean,
        weights,
        used * inputs.entries.mean,
        weights * inputs.entries.mean,
        weights * inputs.vectors.mean,
        layer.C * round_.num_images * densities.input_density,
        layer.C * neurons * densities.weight_density,
    )
    banks = Banks.of(round_.accumulators, np.ones(1), np.ones(round_.num_images))
    fills = Fills.of(num_pes, [[block] for block in blocks]), Fills.of(np.ones(1, np.int64), [[inputs]])
    queues = random_queues(*fills, banks, pe.queue_depth)
    owns = [Own(int(number), [block.vectors]) for number, block in zip(num_pes, blocks, strict=True)]
    shared = [Broadcast.of(layer.C, inputs.vectors)]
    pe_kinds = np.repeat(np.arange(num_pes.size), num_pes)
    return counts, ExpectedGroup.of(shared, owns, pe_kinds, queues, (0, 0))


def by_pe(work: GroupWork) -> GroupWork:
    """A round in the form in which it is walked: each PE is a group of its own."""
    num_busy = work.work.shape[1]
    return GroupWork(
        np.repeat(work.span, num_busy), np.zeros(num_busy, np.int64), work.work.T, work.stalls.T, work.emptying.T
    )
