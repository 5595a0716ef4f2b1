"""Naive twin of accelerators/dadiannao.py and cnvlutin.py: the lanes of every window, cell after cell.

A lane's feed is a list of what it does in each cycle: a cell (channel, row, column, kernel row, kernel column) or None.
`config`, `layer` and `context` are only read.
"""

import math
from collections import Counter
from itertools import product

from tests.reference import brick_dispatch
from tests.reference.dcnn import dealt, num_bytes, output_plane, timed


def run_layer(config, layer, weights, inputs, context):
    """What a node does with masks [K, C / groups, R, S] and [N, C, H, W]."""
    P, Q = output_plane(layer)
    skips = config.model == "cnvlutin" and not is_image(config, layer)
    filters = layer.K // layer.groups
    passes = in_parts(range(filters), config.array.units * config.array.filters)
    provided = config.array.units * config.array.filters
    slots, totals = Counter(), Counter()
    for image, group, p, q in product(inputs, range(layer.groups), range(P), range(Q)):
        if skips:
            feeds, lanes = skipping_feeds(config, layer, image, group, p, q)
        else:
            feeds, lanes = dense_feeds(config, layer, group, p, q), []
        slowest = max(map(len, feeds))
        cycles = max(slowest, delivered(config, lanes))
        totals["cycles"] += cycles * len(passes)
        totals["window_cycles"] += cycles
        totals["windows"] += 1
        totals["read"] += sum(1 for cell in window_cells(config, layer, group, p, q) if on_plane(layer, cell))
        for feed in feeds:
            cells = [cell for cell in feed if cell is not None]
            totals["neurons"] += len(cells)
            totals["stored"] += sum(1 for cell in cells if on_plane(layer, cell))
            for kept in passes:
                slots["imbalance"] += (slowest - len(feed)) * provided
                slots["bank_conflict"] += (cycles - slowest) * provided
                slots["fragmentation"] += (len(feed) - len(cells)) * provided + len(cells) * (provided - len(kept))
                for (c, h, w, r, s), k in product(cells, kept):
                    both = on_plane(layer, (c, h, w, r, s)) and image[c, h, w] and weights[
                        group * filters + k, c - group * (layer.C // layer.groups), r, s
                    ]  # fmt: skip
                    slots["busy" if both else "stored_zero"] += 1
    return finished(config, layer, len(inputs), context, slots, totals, skips)


def is_image(config, layer):
    return layer.kind == "conv" and layer.groups == 1 and config.array.lanes > layer.C


def in_parts(cells, width):
    return [cells[first : first + width] for first in range(0, len(cells), width)]


def positions(layer, p, q):
    for r, s in product(range(layer.R), range(layer.S)):
        h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
        w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
        yield h, w, r, s


def channels(layer, group):
    each = layer.C // layer.groups
    return list(range(group * each, (group + 1) * each))


def window_cells(config, layer, group, p, q):
    return [(c, h, w, r, s) for h, w, r, s in positions(layer, p, q) for c in channels(layer, group)]


def on_plane(layer, cell):
    return 0 <= cell[1] < layer.H and 0 <= cell[2] < layer.W


def dense_feeds(config, layer, group, p, q):
    """Lanes in step: as many cells of a kernel position at a time, of an image also across positions."""
    lanes = config.array.lanes
    if is_image(config, layer) and config.array.image_layers == "flattened":
        steps = in_parts(window_cells(config, layer, group, p, q), lanes)
    else:
        steps = []
        for h, w, r, s in positions(layer, p, q):
            steps += in_parts([(c, h, w, r, s) for c in channels(layer, group)], lanes)
    return [[step[lane] if lane < len(step) else None for step in steps] for lane in range(lanes)]


def skipping_feeds(config, layer, image, group, p, q):
    """Feed of each lane, and its bricks: (bank that each lies in, cycles that it takes)."""
    lanes, width = config.array.lanes, config.dispatch.brick_neurons
    feeds, taken = [[] for _ in range(lanes)], [[] for _ in range(lanes)]
    bricks_of_a_position = math.ceil(len(channels(layer, group)) / width)
    padded_width = layer.W + layer.padding[2] + layer.padding[3]
    mine = channels(layer, group)
    slabs = in_parts(mine, math.ceil(len(mine) / lanes))
    turn = 0
    for h, w, r, s in positions(layer, p, q):
        if config.dispatch.assignment == "slab":
            bricks = [(lane, brick) for lane, slab in enumerate(slabs) for brick in in_parts(slab, width)]
        else:
            bricks = []
            for brick in in_parts(mine, width):
                bricks.append((turn % lanes, brick))
                turn += 1
        for lane, brick in bricks:
            cells = [(c, h, w, r, s) for c in brick]
            cells = [cell for cell in cells if on_plane(layer, cell) and image[cell[0], h, w]]
            feeds[lane] += cells or [None]
            place = lane
            if config.dispatch.assignment == "dealt" and config.dispatch.fetch_ahead == "buffers":
                position = (h + layer.padding[0]) * padded_width + w + layer.padding[2]
                place = position * bricks_of_a_position + (brick[0] - mine[0]) // width
            taken[lane].append((place % config.buffers.nm_banks, max(1, len(cells))))
    return feeds, taken


def delivered(config, lanes):
    """Cycles in which the banks can deliver the bricks of all lanes."""
    if config.model == "cnvlutin" and config.dispatch.fetch_ahead == "buffers":
        return brick_dispatch.window_cycles(lanes, config.buffers.nm_banks, config.dispatch.brick_buffers)
    return max(Counter(bank for bricks in lanes for bank, _ in bricks).values(), default=0)


def waits(banks, rows, windows):
    """Cycles in which the bank of the next row is busy; a window begins at bank 0."""
    free, cycle, waited = [0] * banks.count, 0, 0
    for of_portion in rows:
        for _ in range(windows):
            for row in range(of_portion):
                wait = max(0, free[row % banks.count] - cycle)
                waited += wait
                free[row % banks.count] = cycle + wait + banks.busy_cycles
                cycle += wait + 1
    return waited


def finished(config, layer, batch, context, slots, totals, skips):
    """The account: memory, buffers, time."""
    array, buffers = config.array, config.buffers
    filters = layer.K // layer.groups
    capacity = array.units * buffers.sb_bytes
    portions = in_parts(range(num_bytes(config, layer.weight_shape[1] * layer.K * layer.R * layer.S)), capacity)
    P, Q = output_plane(layer)
    words = {"input": layer.C * layer.H * layer.W, "output": layer.K * P * Q}
    planes = 1
    while planes * buffers.nm_bytes < num_bytes(config, sum(words.values())):
        planes += 1
    streams, tile = [], 0
    outputs = dealt(num_bytes(config, words["output"]), len(portions) * planes)
    inputs = dealt(num_bytes(config, words["input"]), planes)
    for number, portion in enumerate(portions):
        fetched = dealt(len(portion), batch * planes)
        for image, plane in product(range(batch), range(planes)):
            if number or not buffers.weights_preloaded:
                streams.append(("weight", "read", fetched[image * planes + plane], tile))
            if not context.input_on_chip:
                streams.append(("input", "read", inputs[plane], tile))
            if not context.output_on_chip:
                streams.append(("output", "write", outputs[number * planes + plane], tile))
            tile += 1
    streams = [stream for stream in streams if stream[2]]
    waited = 0
    if config.model == "dadiannao":
        rows = totals["cycles"] // totals["windows"]
        waited = waits(config.synapse_banks, dealt(rows, len(portions)), totals["windows"])
    slots["bank_conflict"] += waited * array.units * array.lanes * array.filters
    compute = dealt(totals["cycles"] + waited, tile)
    compute[-1] += array.pipeline_cycles
    cycles = timed(compute, streams, context.memory, config.clock_hz)
    slots["drain"] = array.pipeline_cycles * array.units * array.lanes * array.filters
    slots["memory"] = (cycles - sum(compute)) * array.units * array.lanes * array.filters
    passes = in_parts(range(filters), array.units * array.filters)
    listening = [{k % array.units for k in kept} for kept in passes]
    broadcasts = max(len(in_parts(passes, buffers.nbout_entries)), len(portions))
    sums = math.ceil(totals["neurons"] / array.lanes) if skips else totals["window_cycles"]
    weight_words = layer.K * layer.weight_shape[1] * layer.R * layer.S
    held = capacity * 8 // buffers.word_bits if buffers.weights_preloaded else 0
    read = {
        "nm": totals["read"] * broadcasts + (0 if context.output_on_chip else batch * words["output"]),
        "nbin": totals["neurons"] * sum(map(len, listening)),
        "sb": totals["neurons"] * filters,
        "nbout": sums * filters,
    }
    loaded = 0 if context.input_on_chip else words["input"] * len(portions)
    written = {
        "nm": batch * (words["output"] + loaded),
        "nbin": totals["stored"] * broadcasts * len(set().union(*listening)),
        "sb": max(0, weight_words - held),
        "nbout": sums * filters,
    }
    if config.model == "cnvlutin":
        written["dispatcher"] = totals["read"] * broadcasts if skips else 0
        read["dispatcher"] = totals["stored"] * broadcasts if skips else 0
    issued = slots["busy"] + slots["stored_zero"]
    return {
        "cycles": cycles,
        "stack": {cause: count for cause, count in slots.items() if count},
        "effectual": slots["busy"],
        "issued": issued,
        "read": read,
        "written": written,
        "operations": {"multipliers": issued, "adders": issued},
        "streams": streams,
    }
