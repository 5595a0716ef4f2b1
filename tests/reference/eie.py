"""Naive twin of accelerators/eie.py: real queues, filled and emptied cycle by cycle, entry after entry.

`config`, `layer` and the rest are only read; masks are [K][C] and [N][C].
"""

import math
from collections import Counter, deque
from fractions import Fraction


def run_layer(config, layer, weights, inputs, context):
    """What the machine does with a layer."""
    num_pes, length = config.pe.count, config.pe.count * config.pe.registers
    row_parts, column_parts = in_parts(range(len(weights)), length), in_parts(range(len(weights[0])), length)
    memories = [stored_matrix(config, weights, rows) for rows in row_parts]
    counts, compute, cycle_map = Counter(), [], []
    for image in inputs:
        cycles = 0
        for memory in memories:
            counts["lines"] += lines_fetched(config, memory, image)
            for columns in column_parts:
                sent = [column for column in columns if image[column]]
                span, work = run_batch(config, memory, sent, counts)
                counts["imbalance"] += sum(span - worked for worked in work)
                cycle_map.append(work)
                overhead = levels(config) + config.pe.pipeline_stages
                if len(column_parts) > 1 or (memory is memories[0] and not context.input_on_chip):
                    overhead += transfer(config, columns, counts, "loaded")
                cycles += span + overhead
                counts["drain"] += overhead * num_pes
        for rows in row_parts:
            if len(row_parts) > 1 or not context.output_on_chip:
                writing = transfer(config, rows, counts, "saved")
                cycles += writing
                counts["drain"] += writing * num_pes
        compute.append(cycles)
    stored = [sum(len(memory[pe]) for memory in memories) for pe in range(num_pes)]
    fits = max(stored) * entry_bits(config) <= 8 * config.buffers.matrix_bytes
    fetches = (0 if config.weights.preloaded else 1) if fits else len(inputs)
    pointers = num_pes * len(row_parts) * (len(weights[0]) + 1)
    weight_bits = sum(stored) * entry_bits(config) + pointers * config.buffers.pointer_bits
    streams = moved(config, layer, len(inputs), fetches, math.ceil(weight_bits / 8), context)
    total = timed(compute, streams, context.memory, config.clock_hz)
    counts["memory"] = (total - sum(compute)) * num_pes
    received = 0 if context.input_on_chip else len(inputs) * len(weights[0])
    returned = 0 if context.output_on_chip else len(inputs) * len(weights)
    issued = counts["busy"] + counts["stored_zero"]
    causes = ("busy", "stored_zero", "fragmentation", "bank_conflict", "imbalance", "drain", "memory")
    return {
        "cycles": total,
        "stack": {cause: counts[cause] for cause in causes if counts[cause]},
        "effectual": counts["busy"],
        "issued": issued,
        "read": {
            "activation_queue": counts["queued"],
            "pointer_sram": 2 * counts["queued"],
            "matrix_sram": counts["lines"] * (config.buffers.matrix_row_bits // entry_bits(config)),
            "codebook": issued,
            "activation_registers": counts["sent"] + issued + counts["saved"],
            "activation_sram": counts["loaded"] + returned,
        },
        "written": {
            "activation_queue": counts["queued"],
            "pointer_sram": pointers * fetches,
            "matrix_sram": sum(stored) * fetches,
            "activation_registers": issued + counts["loaded"],
            "activation_sram": received + counts["saved"],
        },
        "operations": {"multipliers": issued, "adders": issued},
        "streams": streams,
        "cycle_map": cycle_map,
        "stored_entries": sum(stored),
        "compute_cycles": sum(compute),
        "batches": len(row_parts) * len(column_parts),
    }


def in_parts(indices, length):
    return [indices[first : first + length] for first in range(0, len(indices), length)]


def entry_bits(config):
    return config.weights.code_bits + config.weights.index_bits


def stored_matrix(config, weights, rows):
    """The entries of every PE in the order of its memory: (column, whether it is a weight and not a padding zero)."""
    memory = []
    for pe in range(config.pe.count):
        own = [row for row in rows if (row - rows[0]) % config.pe.count == pe]
        memory.append(
            [(column, real) for column in range(len(weights[0])) for real in encoded(config, weights, own, column)]
        )
    return memory


def encoded(config, weights, own, column):
    """Entries of a column in the rows of a PE: a run that the index cannot say is broken by a padding zero."""
    entries, pending, run = [], [], 0
    for row in own:
        if weights[row][column]:
            entries += [*pending, True]
            pending, run = [], 0
        elif run == 2**config.weights.index_bits - 1:
            pending.append(False)  # stored only if a weight follows
            run = 0
        else:
            run += 1
    return entries


def run_batch(config, memory, sent, counts):
    """Cycles until the last PE is done, and cycles in which each PE had a column to work on."""
    queues = [deque() for _ in memory]
    contents = [{} for _ in memory]
    for own, entries in zip(contents, memory, strict=True):
        for column, real in entries:
            own.setdefault(column, []).append(real)
    waiting, cycle, work = deque(sent), 0, [0] * len(memory)
    while waiting or any(queues):
        if waiting and all(len(queue) < config.pe.queue_depth for queue in queues):
            column = waiting.popleft()
            counts["sent"] += 1
            counts["queued"] += len(queues)
            for queue, own in zip(queues, contents, strict=True):
                queue.append(list(own.get(column, ())) or [None])  # nothing to do still takes a look
                addresses = (column, column + 1)  # of its pointers
                banks = [address % config.buffers.pointer_banks for address in addresses]
                queue[-1] += ["pointer"] * (max(map(banks.count, banks)) - len(queue[-1]))
        for pe, queue in enumerate(queues):
            if not queue:
                continue
            work[pe] += 1
            causes = {True: "busy", False: "stored_zero", None: "fragmentation", "pointer": "bank_conflict"}
            counts[causes[queue[0].pop(0)]] += 1
            if not queue[0]:
                queue.popleft()
        cycle += 1
    return cycle, work


def lines_fetched(config, memory, image):
    """Lines that leave the memories when the columns of an image pass, the last one being held."""
    per_line = config.buffers.matrix_row_bits // entry_bits(config)
    fetched = 0
    for entries in memory:
        held = None
        for address, (column, _) in enumerate(entries):
            if image[column] and address // per_line != held:
                fetched += 1
                held = address // per_line
    return fetched


def levels(config):
    """Nodes on the way from a PE to the root of the tree."""
    nodes, depth = config.pe.count, 0
    while nodes > 1:
        nodes = math.ceil(nodes / config.pe.lnzd_fan_in)
        depth += 1
    return depth


def transfer(config, words, counts, name):
    """Cycles in which words, dealt to the PEs, pass between registers and SRAM, all PEs at once."""
    counts[name] += len(words)
    of_first_pe = words[:: config.pe.count]
    return len(in_parts(of_first_pe, config.buffers.activation_row_bits // config.buffers.activation_bits))


def moved(config, layer, batch, fetches, weight_bytes, context):
    """(kind, direction, bytes, image) of every stream."""
    streams = []
    for image in range(batch):
        if not context.input_on_chip:
            streams.append(("input", "read", math.ceil(layer.C * config.buffers.activation_bits / 8), image))
        if not context.output_on_chip:
            streams.append(("output", "write", math.ceil(layer.K * config.buffers.activation_bits / 8), image))
    return streams + [("weight", "read", weight_bytes, image) for image in range(fetches)]


def timed(compute, streams, memory, clock_hz):
    """The first inputs arrive, then each image takes as long as its computation or its other transfers."""
    rate = Fraction(str(memory.bytes_per_s)) / Fraction(str(clock_hz))
    first = sum(size for kind, _, size, image in streams if (kind, image) == ("input", 0))
    cycles = math.ceil(first / rate)
    if streams:
        cycles += math.ceil(Fraction(str(memory.latency_s)) * Fraction(str(clock_hz)))
    for image, working in enumerate(compute):
        others = sum(size for kind, _, size, at in streams if at == image and (kind, image) != ("input", 0))
        cycles += max(working, math.ceil(others / rate))
    return cycles
