"""Naive twin of accelerators/dcnn.py: every output of every PE, one step of its dot product after the other.

Cells of a dot product are named by the taps that they hold; a stride leaves cells without one. `config`, `layer` and
the rest are only read.
"""

import math
from collections import Counter
from fractions import Fraction
from itertools import product


def run_layer(config, layer, weights, inputs, output_density, context):
    """What a dense machine does with masks [K, C / groups, R, S] and [N, C, H, W]."""
    steps = fc_steps(config, layer) if layer.kind == "fc" else conv_steps(config, layer)
    shares = neurons_of_pes(config, layer) if layer.kind == "fc" else tiles_of_pes(config, layer)
    lanes, num_pes, batch = config.pe.multipliers, config.pe.rows * config.pe.cols, len(inputs)
    slots, work = Counter(), [0] * num_pes
    for pe, share in enumerate(shares):
        for k, p, q in share:
            work[pe] += len(steps) * batch
            for step in steps:
                slots["fragmentation"] += (lanes - len(step)) * batch
                for cell, image in product(step, inputs):
                    slots["busy" if multiplies(layer, weights, image, (k, p, q), cell) else "stored_zero"] += 1
    slots["imbalance"] = sum(max(work) - cycles for cycles in work) * lanes
    drains = drains_of_images(config, layer, max(len(share) for share in shares), batch)
    slots["drain"] = sum(drains) * num_pes * lanes
    num_tiles = temporal_tiles(config, layer)
    compute = []
    for drain in drains:
        compute += dealt(max(work) // batch, num_tiles)
        compute[-1] += drain
    densities = Fraction(int(inputs.sum()), inputs.size), Fraction(output_density)
    streams = moved(config, layer, num_tiles, batch, densities, context)
    cycles = timed(compute, streams, context.memory, config.clock_hz)
    slots["memory"] = (cycles - sum(compute)) * num_pes * lanes
    multiplied = slots["busy"] + slots["stored_zero"]
    summed = sum(map(len, shares)) * len(steps) * batch
    sram_words, from_neighbours = operand_words(config, layer, steps, shares)
    busy = sum(1 for share in shares if share)
    fifo_fills = 1 if layer.kind == "fc" else batch * num_tiles * num_pes
    return {
        "cycles": cycles,
        "stack": {cause: count for cause, count in slots.items() if count},
        "effectual": slots["busy"],
        "issued": multiplied,
        "read": {"activation_sram": batch * sram_words, "weight_fifo": multiplied, "accumulators": summed},
        "written": {
            "activation_sram": sum(map(len, shares)) * batch,
            "activation_registers": batch * sram_words * (busy if layer.kind == "fc" else 1),
            "halo": batch * from_neighbours,
            "accumulators": summed,
            "weight_fifo": weights.size * fifo_fills,
        },
        "operations": dict.fromkeys(("multipliers", "adders"), slots["busy"] if config.pe.zero_gating else multiplied),
        "streams": streams,
        "cycle_map": [work],
        "details": {"Kc": config.pe.Kc, "sub_planes": num_tiles, "compute_cycles": sum(compute)},
    }


def conv_steps(config, layer):
    """Steps of one output's dot product: lists of cells (channel of the group, kernel row, kernel column) or None."""
    stride_v, stride_h = layer.stride
    rows, columns = taps(layer.R, layer.dilation[0], stride_v), taps(layer.S, layer.dilation[1], stride_h)
    held_v, held_h = with_a_tap(rows, stride_v), with_a_tap(columns, stride_h)
    phases = list(product(range(layer.C // layer.groups), held_v, held_h))
    along_c = {
        (r, s): [
            (c, rows[r * stride_v + v], columns[s * stride_h + h])
            if rows[r * stride_v + v] is not None and columns[s * stride_h + h] is not None
            else None
            for c, v, h in phases
        ]
        for r, s in product(range(len(rows) // stride_v), range(len(columns) // stride_h))
    }
    if config.pe.dot_product == "channels":
        return [step for cells in along_c.values() for step in in_steps(cells, config.pe.multipliers)]
    return in_steps([cell for cells in along_c.values() for cell in cells], config.pe.multipliers)


def taps(size, dilation, stride):
    """The tap at each position of a kernel that is spread by its dilation and filled up to whole strides."""
    spread = [index // dilation if index % dilation == 0 else None for index in range((size - 1) * dilation + 1)]
    while len(spread) % stride:
        spread.append(None)
    return spread


def with_a_tap(spread, stride):
    """Phases of a stride that hold a weight; the inputs of the others are never fetched."""
    return [phase for phase in range(stride) if any(tap is not None for tap in spread[phase::stride])]


def fc_steps(config, layer):
    return in_steps([(c, 0, 0) for c in range(layer.C)], config.pe.multipliers)


def in_steps(cells, width):
    return [cells[first : first + width] for first in range(0, len(cells), width)]


def multiplies(layer, weights, image, output, cell):
    """Whether the product of a cell is one of two non-zeros."""
    if cell is None:
        return False
    (k, p, q), (c, r, s) = output, cell
    h = p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0]
    w = q * layer.stride[1] + s * layer.dilation[1] - layer.padding[2]
    if not (0 <= h < image.shape[1] and 0 <= w < image.shape[2]):
        return False
    first_channel = k // (layer.K // layer.groups) * (layer.C // layer.groups)
    return bool(weights[k, c, r, s]) and bool(image[first_channel + c, h, w])


def tiles_of_pes(config, layer):
    """Outputs of each PE: a rectangle of the plane in every channel."""
    P, Q = output_plane(layer)
    tile_h, tile_w = math.ceil(P / config.pe.rows), math.ceil(Q / config.pe.cols)
    shares = [[] for _ in range(config.pe.rows * config.pe.cols)]
    for k, p, q in product(range(layer.K), range(P), range(Q)):
        shares[p // tile_h * config.pe.cols + q // tile_w].append((k, p, q))
    return shares


def neurons_of_pes(config, layer):
    """Neurons of each PE: the first PEs have equal shares, the last one with any has the rest."""
    num_pes = config.pe.rows * config.pe.cols
    neurons, per_pe = [(k, 0, 0) for k in range(layer.K)], math.ceil(layer.K / num_pes)
    return [neurons[pe * per_pe : (pe + 1) * per_pe] for pe in range(num_pes)]


def operand_words(config, layer, steps, shares):
    """Words of an image that leave the SRAM, and of those, words that a PE gets from the SRAM of another one.

    An operand stays for Kc output channels of its position; an fc layer's goes to all PEs, for Kc neurons of each.
    """
    width = sum(map(len, steps))
    if layer.kind == "fc":
        return width * math.ceil(max(map(len, shares)) / config.pe.Kc), 0
    P, Q = output_plane(layer)
    residencies = math.ceil(layer.K // layer.groups / config.pe.Kc) * layer.groups
    padded = layer.stride != (1, 1) or any(
        before >= (num_taps - 1) * dilation + 1
        for before, num_taps, dilation in zip(layer.padding[::2], (layer.R, layer.S), layer.dilation, strict=True)
    )
    sides = []
    for axis, (outputs, size, num_taps, pes) in enumerate(
        ((P, layer.H, layer.R, config.pe.rows), (Q, layer.W, layer.S, config.pe.cols))
    ):
        stride, before, after = layer.stride[axis], layer.padding[2 * axis], layer.padding[2 * axis + 1]
        reach = math.ceil(((num_taps - 1) * layer.dilation[axis] + 1) / stride)
        rows = math.ceil((size + before + after) / stride) if padded else size
        shift = 0 if padded else before
        own = min(before // stride, reach - 1) if padded else 0
        side, tile = Counter(), math.ceil(outputs / pes)
        for output, tap in product(range(outputs), range(reach)):
            row = output + tap - shift
            if 0 <= row < rows:
                owner = min(max((row - own) // tile, 0), pes - 1)
                side[owner == output // tile] += 1
        sides.append(side)
    everything = sum(sides[0].values()) * sum(sides[1].values())
    phases = math.prod(
        len(with_a_tap(taps(size, dilation, stride), stride))
        for size, dilation, stride in zip((layer.R, layer.S), layer.dilation, layer.stride, strict=True)
    )
    remote = everything - sides[0][True] * sides[1][True]
    return P * Q * width * residencies, remote * layer.C * phases * residencies // layer.groups


def output_plane(layer):
    if layer.kind == "fc":
        return 1, 1
    height, width = layer.H + sum(layer.padding[:2]), layer.W + sum(layer.padding[2:])
    return (
        len(range(0, height - layer.dilation[0] * (layer.R - 1), layer.stride[0])),
        len(range(0, width - layer.dilation[1] * (layer.S - 1), layer.stride[1])),
    )


def drains_of_images(config, layer, most_outputs, batch):
    """The slowest PE's outputs of a group of Kc channels leave while the next group, of any image, is computed."""
    ppu = config.ppu
    if ppu.output_words_per_cycle == 0:
        return [0] * batch
    group = most_outputs if layer.kind == "fc" else most_outputs // layer.K * config.pe.Kc
    drains = [math.ceil(len(words) / ppu.output_words_per_cycle) for words in in_steps(range(most_outputs), group)]
    exposed = [0 if ppu.overlap else sum(drains)] * batch
    if ppu.overlap:
        exposed[-1] = drains[-1]
    return exposed


def temporal_tiles(config, layer):
    """The fewest parts of a layer whose inputs and outputs fit the SRAM."""
    num_tiles = 1
    while num_tiles * config.buffers.activation_bytes < num_bytes(config, inputs_of(layer) + outputs_of(layer)):
        num_tiles += 1
    return num_tiles


def inputs_of(layer):
    return layer.C * layer.H * layer.W


def outputs_of(layer):
    P, Q = output_plane(layer)
    return layer.K * P * Q


def num_bytes(config, words):
    return math.ceil(words * config.buffers.word_bits / 8)


def dealt(total, num_parts):
    """Units in nearly equal parts: unit i of `total` is in the part in which i / total lies."""
    parts = [0] * num_parts
    for unit in range(1, total + 1):
        parts[math.ceil(Fraction(unit * num_parts, total)) - 1] += 1
    return parts


def compressed(config, words, density):
    """Bytes of activations in DRAM."""
    dense, word = num_bytes(config, words), config.buffers.word_bits
    nonzeros = words * density
    bits = {
        "dense": words * word,
        "zero_run": nonzeros * (word + config.buffers.index_bits),
        "bitmask": words + nonzeros * word,
        "zvc": 32 * math.ceil(words / 32) + nonzeros * word,
    }
    return min(dense, math.ceil(bits[config.encoding.activations] / 8))


def moved(config, layer, num_tiles, batch, densities, context):
    """(kind, direction, bytes, tile) of every stream that moves anything."""
    weights = num_bytes(config, layer.K * (layer.C // layer.groups) * layer.R * layer.S)
    inputs = dealt(compressed(config, inputs_of(layer), densities[0]), num_tiles)
    outputs = dealt(compressed(config, outputs_of(layer), densities[1]), num_tiles)
    streams = []
    for image, tile in product(range(batch), range(num_tiles)):
        at = image * num_tiles + tile
        if layer.kind == "conv" or at == 0:
            streams.append(("weight", "read", weights, at))
        if not context.input_on_chip:
            streams.append(("input", "read", inputs[tile], at))
        if not context.output_on_chip:
            streams.append(("output", "write", outputs[tile], at))
    return [stream for stream in streams if stream[2]]


def timed(compute, streams, memory, clock_hz):
    """The first inputs arrive, then each tile takes as long as its computation or its other transfers."""
    rate = Fraction(str(memory.bytes_per_s)) / Fraction(str(clock_hz))  # as their files spell them
    first = sum(size for kind, _, size, tile in streams if kind == "input" and tile == 0)
    cycles = math.ceil(first / rate)
    if streams:
        cycles += math.ceil(Fraction(str(memory.latency_s)) * Fraction(str(clock_hz)))
    for tile, working in enumerate(compute):
        others = sum(size for kind, _, size, at in streams if at == tile and not (kind == "input" and tile == 0))
        cycles += max(working, math.ceil(others / rate))
    return cycles
