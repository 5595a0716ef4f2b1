"""Naive twin of accelerators/scnn_fc.py: neurons dealt to PEs one at a time, each PE stepped on its own.

`config`, `layer` and the rest are only read.
"""

import math
from collections import Counter
from fractions import Fraction

from tests.reference import bank_hashes, scnn_pe_array
from tests.reference.run_length import in_vectors, stored_positions


def shares(config, num_neurons, batch):
    """Rounds: (neurons of every PE with work, images), images outermost."""
    num_pes, capacity = config.pe.rows * config.pe.cols, config.pe.accumulator_entries
    per_pe = min(math.ceil(num_neurons / num_pes), capacity)
    per_round = 1
    while per_round < batch and (per_round + 1) * per_pe <= capacity:
        per_round += 1
    rounds = []
    for images in in_vectors(range(batch), per_round):
        for dealt in in_vectors(in_vectors(range(num_neurons), per_pe), num_pes):
            rounds.append((dealt, images))
    return rounds


class Account:
    """Sums over the rounds of a layer."""

    def __init__(self, config, layer, operands, context):
        self.config, self.layer, self.operands, self.context = config, layer, operands, context
        self.output_density = Fraction(operands.output_density) if config.compression.sparse_activations else 1
        self.read, self.written = Counter(), Counter()
        self.spans, self.drains, self.streams = [], [], []
        self.work = self.stalls = self.emptying = self.issued = 0

    def bits(self, sparse):
        return self.config.compression.data_bits + (self.config.compression.index_bits if sparse else 0)

    def run_round(self, dealt, images):
        config, longest_run = self.config, 2**self.config.compression.index_bits - 1
        channels = range(self.layer.C)
        all_inputs = not config.compression.sparse_activations
        all_weights = not config.compression.sparse_weights
        stored = [
            stored_positions([all_inputs or self.operands.inputs[n, c, 0, 0] for n in images], longest_run)
            for c in channels
        ]
        activations = [in_vectors(entries, config.pe.I) for entries in stored]
        size, span, weight_entries = len(images), 0, 0

        def bank_of(_, address):
            k, n = divmod(address, size)
            return bank_hashes.bank_of(config.pe.bank_hash, config.pe.accumulator_banks, address, k, 0, n, 0, n)

        for neurons in dealt:
            weights = [
                stored_positions([all_weights or self.operands.weights[k, c, 0, 0] for k in neurons], longest_run)
                for c in channels
            ]
            weight_entries += sum(map(len, weights))
            vectors = [in_vectors([k * size for k in entries], config.pe.F) for entries in weights]
            seen = scnn_pe_array.run_group(vectors, [activations], bank_of, config.pe.queue_depth, (0, 0), 0)
            span = max(span, seen.span)
            self.work, self.stalls = self.work + seen.work[0], self.stalls + seen.stalls[0]
            self.emptying, self.issued = self.emptying + seen.emptying[0], self.issued + seen.products
            self.read["iaram"] += seen.activation_reads
            self.written["activation_registers"] += seen.activation_reads
            self.read["weight_fifo"] += seen.weight_reads
            self.written["weight_fifo"] += sum(map(len, weights))
        rate = config.ppu.output_words_per_cycle
        self.drains.append(math.ceil(Fraction(max(map(len, dealt)) * size, rate)) if rate else 0)
        self.add_streams(weight_entries, sum(map(len, stored)), dealt, size)
        self.spans.append(span)

    def add_streams(self, weights, inputs, dealt, num_images):
        kept, tile = self.config.compression, len(self.spans)
        moved = [("weight", "read", Fraction(weights * self.bits(kept.sparse_weights), 8))]
        bits = self.bits(kept.sparse_activations)
        if dealt[0][0] == 0:
            outputs = num_images * self.layer.K * self.output_density
            if not self.context.input_on_chip:
                moved.append(("input", "read", Fraction(inputs * bits, 8)))
            if not self.context.output_on_chip:
                moved.append(("output", "write", outputs * bits / 8))
        self.streams += [(kind, way, math.ceil(amount), tile) for kind, way, amount in moved if amount]


def run(config, layer, operands, context):
    """Cycles, stack, words and streams of an fc layer."""
    account = Account(config, layer, operands, context)
    batch = operands.inputs.shape[0]
    for dealt, images in shares(config, layer.K, batch):
        account.run_round(dealt, images)
    hidden = [*account.spans[1:], 0] if config.ppu.overlap else [0] * len(account.spans)
    exposed = [max(0, drain - behind) for drain, behind in zip(account.drains, hidden, strict=True)]
    compute = [span + drain for span, drain in zip(account.spans, exposed, strict=True)]
    effectual = sum(
        int(operands.inputs[n, c, 0, 0]) * int(operands.weights[k, c, 0, 0])
        for n in range(batch)
        for c in range(layer.C)
        for k in range(layer.K)
    )
    per_byte = Fraction(config.clock_hz) / Fraction(context.memory.bytes_per_s)
    moved = Counter()
    for kind, _, amount, tile in account.streams:
        moved["fill" if (kind, tile) == ("input", 0) else tile] += amount
    fill = math.ceil(moved["fill"] * per_byte)
    fill += math.ceil(Fraction(str(context.memory.latency_s)) * Fraction(config.clock_hz)) if account.streams else 0
    cycles = fill + sum(max(spent, math.ceil(moved[tile] * per_byte)) for tile, spent in enumerate(compute))
    lanes, num_pes = config.pe.F * config.pe.I, config.pe.rows * config.pe.cols
    account.read["bank_queues"] = account.written["bank_queues"] = account.issued
    account.read["accumulators"] = account.issued + layer.K * batch
    account.written["accumulators"] = account.issued
    account.written["oaram"] = math.ceil(layer.K * batch * account.output_density)
    stack = {
        "busy": effectual,
        "stored_zero": account.issued - effectual,
        "fragmentation": (account.work - account.stalls - account.emptying) * lanes - account.issued,
        "bank_conflict": account.stalls * lanes,
        "imbalance": (sum(account.spans) * num_pes - account.work) * lanes,
        "drain": (account.emptying + sum(exposed) * num_pes) * lanes,
        "memory": (cycles - sum(compute)) * num_pes * lanes,
    }
    return {
        "cycles": cycles,
        "stack": stack,
        "issued": account.issued,
        "read": dict(account.read),
        "written": dict(account.written),
        "operations": dict.fromkeys(("multipliers", "coordinates", "crossbar", "adders"), account.issued),
        "streams": account.streams,
    }
