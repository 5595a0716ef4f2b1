"""Naive twin of accelerators/output_blocks.py, block_account.py, diannao.py and cambricon_x.py.

Every output neuron of every position is walked cycle by cycle; tiles are sets of positions, and their inputs sets of
coordinates. `config`, `layer` and the rest are only read.
"""

import math
from collections import Counter
from itertools import product

from tests.reference.dcnn import dealt, multiplies, output_plane, timed
from tests.reference.run_length import in_vectors, stored_positions


def run_layer(config, layer, weights, inputs, context, sparse):
    """What a machine with blocks of output neurons does with masks [K, C / groups, R, S] and [N, C, H, W]."""
    sizes = sizes_of(config, sparse)
    blocks = blocks_of(layer, sizes["pes"])
    P, Q = output_plane(layer)
    slots, pe_cycles, block_cycles = Counter(), [], []
    work = {k: dot_of(config, layer, weights[k], sparse) for k in range(layer.K)}
    for block in blocks:
        cycles, spent = [0] * sizes["pes"], 0
        for image, p, q in product(inputs, range(P), range(Q)):
            for pe, k in enumerate(block):
                groups = [group for window in work[k] for group in window]
                cycles[pe] += len(groups)
                for group in groups:
                    slots["fragmentation"] += sizes["lanes"] - len(group)
                    for cell in group:
                        used = multiplies(layer, weights, image, (k, p, q), cell)
                        slots["busy" if used else "stored_zero"] += 1
            spent += cycles_of_block(config, [work[k] for k in block], sparse)
        slots["imbalance"] += sum(spent - each for each in cycles) * sizes["lanes"]
        pe_cycles.append(cycles)
        block_cycles.append(spent)
    stored = {k: sum(len(group) for window in work[k] for group in window) for k in work}
    return account(config, layer, len(inputs), context, sparse, blocks, stored, slots, pe_cycles, block_cycles)


def account(config, layer, batch, context, sparse, blocks, stored, slots, pe_cycles, block_cycles):
    sizes, (P, Q) = sizes_of(config, sparse), output_plane(layer)
    tiling = best_tiling(layer, batch, sizes, blocks, stored)
    streams = moved(layer, batch, sizes, tiling, context)
    compute = [0] + [sum(block_cycles[blocks.index(block)] for block in step) for _, step, _ in tiling["steps"]]
    cycles = timed(compute, streams, context.memory, config.clock_hz)
    slots["memory"] = (cycles - sum(compute)) * sizes["pes"] * sizes["lanes"]
    issued = slots["busy"] + slots["stored_zero"]
    loaded = sum(fetches * sum(stored[k] for block in step for k in block) for fetches, step, _ in tiling["steps"])
    windows = len(blocks) * P * Q * batch * (layer.C // layer.groups) * layer.R * layer.S
    sums = layer.K * P * Q * batch * tiling["passes"]
    busy = sum(map(sum, pe_cycles))
    read = {"nbin": windows, "nbout": sums, "sb": issued, "accumulators": busy}
    written = {"nbin": tiling["inputs"], "nbout": sums, "sb": loaded, "accumulators": busy}
    operations = {"multipliers": issued, "adders": issued}
    if sparse:
        read |= {"steps": issued}
        written |= {"steps": loaded, "window": windows}
        operations |= {"step_adders": issued, "selectors": issued}
    return {
        "cycles": cycles,
        "stack": {cause: count for cause, count in slots.items() if count},
        "effectual": slots["busy"],
        "issued": issued,
        "read": read,
        "written": written,
        "operations": operations,
        "streams": streams,
        "cycle_map": pe_cycles,
        "details": tiling["shape"] | {"compute_cycles": sum(compute)},
    }


def sizes_of(config, sparse):
    if not sparse:
        entries, Tn, Ti = config.buffers.entries, config.nfu.Tn, config.nfu.Ti
        word = config.buffers.word_bits
        return {"pes": Tn, "lanes": Ti, "in": entries * Ti, "out": entries * Tn, "synapses": entries * Ti,
                "word": word, "stored": word}  # fmt: skip
    buffers = config.buffers
    word = buffers.word_bits
    return {"pes": config.pe.pes, "lanes": config.pe.multipliers, "in": buffers.nbin_bytes * 8 // word,
            "out": buffers.nbout_bytes * 8 // word, "synapses": buffers.synapse_bytes * 8 // word,
            "word": word, "stored": word + config.index.step_bits}  # fmt: skip


def blocks_of(layer, num_pes):
    """Output channels that are computed at one time: consecutive ones of a group."""
    of_group = layer.K // layer.groups
    groups = [list(range(first, first + of_group)) for first in range(0, layer.K, of_group)]
    return [block for group in groups for block in in_vectors(group, num_pes)]


def dot_of(config, layer, kernel, sparse):
    """Windows of a dot product, each the groups of cells (c, r, s) that are multiplied in a cycle."""
    taps = list(product(range(layer.R), range(layer.S)))
    if not sparse:
        by_tap = [[(c, r, s) for c in range(layer.C // layer.groups)] for r, s in taps]
        if config.nfu.dot_product == "flattened":
            by_tap = [[cell for cells in by_tap for cell in cells]]
        return [in_vectors(cells, config.nfu.Ti) for cells in by_tap]
    cells = [(c, r, s) for r, s in taps for c in range(layer.C // layer.groups)]
    kept = set(stored_positions([bool(kernel[cell]) for cell in cells], 2**config.index.step_bits - 1))
    windows = []
    for window in in_vectors(list(enumerate(cells)), config.index.window):
        needed = in_vectors([cell for place, cell in window if place in kept], config.pe.multipliers)
        windows.append(needed or [[]])  # it passes by in a cycle
    return windows


def cycles_of_block(config, dots, sparse):
    if sparse and config.pe.barrier == "window":
        return sum(max(len(window) for window in at) for at in zip(*dots, strict=True))
    return max(sum(len(window) for window in windows) for windows in dots)


def best_tiling(layer, batch, sizes, blocks, stored):
    """The tiling with the fewest bytes; of equal ones, the first with fewer blocks, then rows, then synapses kept."""
    of_group = [[block for block in blocks if block[0] // (layer.K // layer.groups) == g] for g in range(layer.groups)]
    num_blocks, plane = len(of_group[0]), output_plane(layer) if layer.kind == "conv" else (batch, 1)
    options = []
    entries = max(1, sizes["out"] // sizes["pes"])
    for together in doublings(min(num_blocks, entries)):
        for rows in doublings(min(plane[0], entries // together)):
            cols = widest(layer, batch, sizes, plane, rows, entries // (together * rows))
            if cols is None:
                continue
            options += tilings(layer, batch, sizes, of_group, stored, plane, (rows, cols, together))
    return min(options, key=lambda option: option["bytes"])


def doublings(most):
    values = [1]
    while values[-1] * 2 < most:
        values.append(values[-1] * 2)
    return values if most == 1 else [*values, most]


def widest(layer, batch, sizes, plane, rows, most):
    """The most columns of a tile whose slice of input channels fits; one where the only row is streamed."""
    height, width = (layer.H, layer.W) if layer.kind == "conv" else (batch, 1)
    slice_words = min(sizes["lanes"], layer.C // layer.groups)
    span_v = min(height, (rows - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1)
    for cols in range(min(plane[1], most), 0, -1):
        span_h = min(width, (cols - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1)
        if slice_words * span_v * span_h <= sizes["in"]:
            return cols
    return 1 if rows == 1 else None


def tilings(layer, batch, sizes, of_group, stored, plane, shape):
    """Both orders of a shape (rows, columns, blocks together), of which the second needs the inputs to stay."""
    rows, cols, together = shape
    tiles = [inputs_of_tile(layer, batch, ps, qs) for ps in in_vectors(range(plane[0]), rows)
             for qs in in_vectors(range(plane[1]), cols)]  # fmt: skip
    images = batch if layer.kind == "conv" else 1
    num_tiles, largest = len(tiles) * images, max(tiles)
    stay = largest <= sizes["in"]
    found = []
    for blocks_outer in (True, False):
        if not blocks_outer and not (stay and math.ceil(len(of_group[0]) / together) > 1):
            continue
        steps, inputs, fullest = [], 0, 0
        for blocks in of_group:
            parts = in_vectors(blocks, together)
            needs = [sum(max(stored[k] for k in block) for block in part) for part in parts]
            fullest = max(fullest, *needs)
            for part, need in zip(parts, needs, strict=True):
                room = need if blocks_outer else sum(needs)
                weight = sum(math.ceil(sum(stored[k] for k in block) * sizes["stored"] / 8) for block in part)
                steps.append((1 if room <= sizes["synapses"] else num_tiles, part, weight))
            inputs += sum(tiles) * images * (len(parts) if blocks_outer else 1)
        passes = max(math.ceil(largest / sizes["in"]), math.ceil(fullest / sizes["synapses"]), 1)
        total = sum(fetches * weight for fetches, _, weight in steps) + math.ceil(inputs * sizes["word"] / 8)
        found.append({"bytes": total, "steps": steps, "inputs": inputs, "first": min(largest, sizes["in"]),
                      "passes": 1 if shape == (1, 1, 1) else passes,
                      "shape": {"tile_rows": rows, "tile_cols": cols, "blocks_together": together,
                                "outer_loop": "blocks" if blocks_outer else "tiles"}})  # fmt: skip
    return found


def inputs_of_tile(layer, batch, ps, qs):
    """Input words of a group of channels under a tile of outputs."""
    if layer.kind == "fc":
        return layer.C * len(ps)
    needed = set()
    for p, q, r, s in product(ps, qs, range(layer.R), range(layer.S)):
        h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
        w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
        if 0 <= h < layer.H and 0 <= w < layer.W:
            needed.add((h, w))
    return len(needed) * layer.C // layer.groups


def moved(layer, batch, sizes, tiling, context):
    """(kind, direction, bytes, tile) of every stream that moves anything; tile 0 fills NBin."""
    (P, Q), word = output_plane(layer), sizes["word"]
    everything = math.ceil(tiling["inputs"] * word / 8)
    fill = min(everything, math.ceil(tiling["first"] * word / 8))
    shares = dealt(everything - fill, len(tiling["steps"]))
    streams = [] if context.input_on_chip else [("input", "read", fill, 0)]
    for at, (fetches, part, weight) in enumerate(tiling["steps"]):
        streams.append(("weight", "read", fetches * weight, at + 1))
        if not context.input_on_chip:
            streams.append(("input", "read", shares[at], at + 1))
        if not context.output_on_chip:
            outputs = sum(map(len, part)) * P * Q * batch
            streams.append(("output", "write", math.ceil(outputs * word / 8), at + 1))
    return [stream for stream in streams if stream[2]]
