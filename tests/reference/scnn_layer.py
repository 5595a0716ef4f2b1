"""Naive twin of accelerators/scnn.py for a convolution: from masks to cycles, stack and counts, entry by entry.

Everything is a set or a list of coordinates. An input cell and a kernel tap are moved to the unit-stride form one at a
time, dealt to sub-planes and PEs by their position, coded by a walk over the cells, and their products are stepped
through `scnn_pe_array`. `config`, `layer` and the rest are only read.
"""

import math
from collections import Counter
from fractions import Fraction
from itertools import product

from tests.reference import bank_hashes, scnn_pe_array
from tests.reference.run_length import in_vectors, stored_positions


class Geometry:
    """The layer at stride 1: sizes, and where the layer's cells and taps go."""

    def __init__(self, config, layer):
        self.top, self.left = layer.padding[0], layer.padding[2]
        self.stride, self.dilation, self.groups = layer.stride, layer.dilation, layer.groups
        rows = layer.H + layer.padding[0] + layer.padding[1]
        columns = layer.W + layer.padding[2] + layer.padding[3]
        self.P = len(range(0, rows - self.dilation[0] * (layer.R - 1), self.stride[0]))
        self.Q = len(range(0, columns - self.dilation[1] * (layer.S - 1), self.stride[1]))
        beyond = self.top > self.dilation[0] * (layer.R - 1) or self.left > self.dilation[1] * (layer.S - 1)
        self.pads_are_cells = config.tile_plane == "padded" or self.stride != (1, 1) or beyond
        self.pad = (0, 0) if self.pads_are_cells else (self.top, self.left)
        last_cell = (rows - 1, columns - 1) if self.pads_are_cells else (layer.H - 1, layer.W - 1)
        last_tap = self.dilation[0] * (layer.R - 1), self.dilation[1] * (layer.S - 1)
        self.H, self.W = (last // stride + 1 for last, stride in zip(last_cell, self.stride, strict=True))
        self.R, self.S = (last // stride + 1 for last, stride in zip(last_tap, self.stride, strict=True))
        # The PE with input (h, w) owns output (h, w) - owner: the kernel's centre, if the plane has its padding.
        self.owner = (0, 0)
        if self.pads_are_cells:
            self.owner = min(self.top // self.stride[0], self.R - 1), min(self.left // self.stride[1], self.S - 1)
        self.phases = self.stride[0] * self.stride[1]
        self.C, self.K = layer.C * self.phases, layer.K
        self.channels, self.kernels = self.C // self.groups, self.K // self.groups

    def unit(self, channel, row, column):
        """Channel, row and column at stride 1 of a cell or of a tap that spans from (0, 0)."""
        (row, phase_v), (column, phase_h) = divmod(row, self.stride[0]), divmod(column, self.stride[1])
        return channel * self.phases + phase_v * self.stride[1] + phase_h, row, column

    def cells(self, image):
        """Non-zero inputs."""
        offset = (self.top, self.left) if self.pads_are_cells else (0, 0)
        return {
            self.unit(c, h + offset[0], w + offset[1])
            for c, h, w in product(*map(range, image.shape))
            if image[c, h, w]
        }

    def taps(self, weights):
        """Non-zero weights as (k, channel within its group, r, s)."""
        return {
            (k, *self.unit(c, r * self.dilation[0], s * self.dilation[1]))
            for k, c, r, s in product(*map(range, weights.shape))
            if weights[k, c, r, s]
        }


def dealt(size, num_pes, splits):
    """(first, tile, end) of each part of an axis: a PE's positions are dealt to the parts one by one."""
    tiles = [0] * splits
    for turn in range(math.ceil(size / num_pes)):
        tiles[turn % splits] += 1
    parts, first = [], 0
    for tile in tiles:
        end = min(first + tile * num_pes, size)
        if first < end:
            parts.append((first, tile, end))
        first = end
    return parts


class Tile:
    """One sub-plane: all PEs at one time."""

    def __init__(self, config, vertical, horizontal):
        (self.top, self.tile_h, self.bottom), (self.left, self.tile_w, self.right) = vertical, horizontal
        self.grid = config.pe.rows, config.pe.cols

    def place(self, row, column):
        """PE and position in its tile, or None for a cell of another sub-plane."""
        if not (self.top <= row < self.bottom and self.left <= column < self.right):
            return None
        i, y = divmod(row - self.top, self.tile_h)
        j, x = divmod(column - self.left, self.tile_w)
        return i * self.grid[1] + j, y, x

    def stored(self, config, cells, channel):
        """Stored entries (y, x) of one channel in every PE."""
        masks = [[0] * (self.tile_h * self.tile_w) for _ in range(config.pe.rows * config.pe.cols)]
        for c, row, column in cells:
            place = self.place(row, column) if c == channel else None
            if place is not None:
                masks[place[0]][place[1] * self.tile_w + place[2]] = 1
        longest_run = 2**config.compression.index_bits - 1
        return [[divmod(cell, self.tile_w) for cell in stored_positions(mask, longest_run)] for mask in masks]


def candidate_cuts(config, geometry):
    """Lists of sub-planes, fewest first; among equally many the squarest, then the one with fewer cuts of rows."""
    plane = max(geometry.H, geometry.P), max(geometry.W, geometry.Q)
    most = math.ceil(plane[0] / config.pe.rows), math.ceil(plane[1] / config.pe.cols)
    for number in range(1, most[0] * most[1] + 1):
        pairs = [(v, number // v) for v in range(1, number + 1) if number % v == 0]
        for v, h in sorted(pairs, key=lambda pair: (abs(pair[0] - pair[1]), pair[0])):
            if v > most[0] or h > most[1]:
                continue
            # Nearly square, unless the tile is one position wide already and can be cut along its length only.
            if max(v, h) <= 2 * min(v, h) or (v > h and h == most[1]) or (h > v and v == most[0]):
                vertical, horizontal = dealt(plane[0], config.pe.rows, v), dealt(plane[1], config.pe.cols, h)
                yield [Tile(config, one, other) for one in vertical for other in horizontal]


def entry_bits(config, sparse):
    """A dense operand needs no zero runs."""
    return config.compression.data_bits + (config.compression.index_bits if sparse else 0)


def choose(config, geometry, images, output_density):
    """Sub-planes, Kc, and whether the activation RAMs were too small for a coarser cut."""
    pe, bits = config.pe, entry_bits(config, config.compression.sparse_activations)
    wanted = min(pe.Kc, geometry.kernels) if isinstance(pe.Kc, int) else 1
    chosen, capacity, through_dram = None, 0, False
    for tiles in candidate_cuts(config, geometry):
        area = max(t.tile_h for t in tiles) + geometry.R - 1, max(t.tile_w for t in tiles) + geometry.S - 1
        if wanted * area[0] * area[1] > pe.accumulator_entries:
            continue
        chosen, capacity = tiles, pe.accumulator_entries // (area[0] * area[1])
        if fits(config, geometry, tiles, images, output_density, bits):
            break
        through_dram = True
    Kc = {"published": min(8, capacity), "accumulator": capacity}.get(pe.Kc, pe.Kc)
    Kc = min(Kc, geometry.kernels)
    together = 1  # images, each with tiles in the RAMs and accumulators of its own
    for number in range(2, min(config.weight_fifo.images, len(images)) + 1):
        if number * Kc <= capacity and fits(config, geometry, chosen, images, output_density, number * bits):
            together = number
    return chosen, Kc, through_dram, together


def fits(config, geometry, tiles, images, output_density, bits):
    largest = max(t.tile_h for t in tiles) * max(t.tile_w for t in tiles)
    if Fraction(output_density) * largest * geometry.K * bits > 8 * config.buffers.oaram_bytes:
        return False
    for cells in images:
        for tile in tiles:
            stored = [tile.stored(config, cells, channel) for channel in range(geometry.C)]
            for pe in range(config.pe.rows * config.pe.cols):
                if sum(len(channel[pe]) for channel in stored) * bits > 8 * config.buffers.iaram_bytes:
                    return False
    return True


def stored_weights(config, geometry, taps, kernels, channel, Kc):
    """Stored entries (k, r, s) of one channel for up to Kc output channels; a block has the cells of Kc channels."""
    if config.pe.weight_order == "krs":
        order = [(k, r, s) for k in range(Kc) for r in range(geometry.R) for s in range(geometry.S)]
    else:
        order = [(k, r, s) for r in range(geometry.R) for s in range(geometry.S) for k in range(Kc)]
    mask = [k < len(kernels) and (kernels[k], channel, r, s) in taps for k, r, s in order]
    return [order[cell] for cell in stored_positions(mask, 2**config.compression.index_bits - 1)]


class Unit:
    """What a barrier separates: a group of output channels on a sub-plane; or all groups, with barrier = "layer"."""

    def __init__(self, measured, drain):
        self.span, self.waiting, self.drain = measured.span, measured.waiting, drain
        self.work, self.stalls, self.emptying = measured.work, measured.stalls, measured.emptying

    def merge(self, other, overlap):
        """Append a group that follows without a barrier; its outputs drain beside it, unless nothing overlaps."""
        self.work = [a + b for a, b in zip(self.work, other.work, strict=True)]
        self.stalls = [a + b for a, b in zip(self.stalls, other.stalls, strict=True)]
        self.emptying = [a + b for a, b in zip(self.emptying, other.emptying, strict=True)]
        self.waiting += other.waiting
        self.span = max(self.work) + self.waiting
        self.drain = other.drain if overlap else self.drain + other.drain


class Account:
    """Sums over a layer."""

    def __init__(self, config, geometry, cut, output_density, context):
        self.config, self.geometry, self.context = config, geometry, context
        self.tiles, self.Kc, self.through_dram, self.together = cut
        self.output_density = output_density
        self.units = []  # (temporal tile, Unit)
        self.issuing = self.issued = self.pairs = self.queued = 0
        self.read, self.written = Counter(), Counter()
        self.streams = []

    def run_part(self, number, tile, group, cells, taps, weights_come):
        """One conv group on one sub-plane; `number` is the temporal tile; cells and taps are (non-zeros, stored)."""
        (cells, stored_cells), (taps, stored_taps) = cells, taps
        config, geometry = self.config, self.geometry
        first_channel, first_kernel = group * geometry.channels, group * geometry.kernels
        activations = [tile.stored(config, stored_cells, first_channel + c) for c in range(geometry.channels)]
        by_pe = [[of_channel[pe] for of_channel in activations] for pe in range(config.pe.rows * config.pe.cols)]
        units, weight_entries = [], 0
        for first in range(0, geometry.kernels, self.Kc):
            kernels = range(first_kernel + first, first_kernel + min(first + self.Kc, geometry.kernels))
            weights = [
                stored_weights(config, geometry, stored_taps, kernels, c, self.Kc) for c in range(geometry.channels)
            ]
            weight_entries += sum(map(len, weights))
            measured = self.step(tile, weights, by_pe)
            units.append(Unit(measured, self.drain_cycles(tile, len(kernels))))
            self.count_group(tile, kernels, first_channel, weights, by_pe, measured, cells, taps)
        if config.pe.barrier == "layer":
            while len(units) > 1:
                units[0].merge(units.pop(1), config.ppu.overlap)
        self.units += [(number, unit) for unit in units]
        if weights_come:
            self.written["weight_fifo"] += weight_entries * len(by_pe)
        self.count_part(number, tile, weight_entries if weights_come else 0, by_pe)

    def step(self, tile, weights, by_pe):
        """Step one output-channel group through the PE array."""
        config, geometry = self.config, self.geometry
        height, width = tile.tile_h + geometry.R - 1, tile.tile_w + geometry.S - 1

        def address(k, y, x):
            return (k * height + y) * width + x

        def bank_of(pe, location):
            k, y, x = location // (height * width), location // width % height, location % width
            row, column = self.output_position(tile, pe, y, x)
            if config.pe.out_of_range == "drop" and not (0 <= row < geometry.P and 0 <= column < geometry.Q):
                return None
            banks = config.pe.accumulator_banks
            return bank_hashes.bank_of(config.pe.bank_hash, banks, location, k, y, x, row, column)

        weight_blocks = [
            in_vectors([address(k, geometry.R - 1 - r, geometry.S - 1 - s) for k, r, s in entries], config.pe.F)
            for entries in weights
        ]
        activation_blocks = [
            [in_vectors([address(0, y, x) for y, x in entries], config.pe.I) for entries in channels]
            for channels in by_pe
        ]
        fifo = (0, 0)
        if config.weight_fifo.broadcast == "fifo":
            fifo = config.weight_fifo.entries, config.weight_fifo.vectors_per_cycle
        barrier = geometry.phases if config.pe.barrier == "channel" else 0
        return scnn_pe_array.run_group(weight_blocks, activation_blocks, bank_of, config.pe.queue_depth, fifo, barrier)

    def output_position(self, tile, pe, y, x):
        """Row and column of the layer's output that accumulator (y, x) of a PE holds."""
        i, j = divmod(pe, self.config.pe.cols)
        row = tile.top + i * tile.tile_h + y - (self.geometry.R - 1) + self.geometry.pad[0]
        column = tile.left + j * tile.tile_w + x - (self.geometry.S - 1) + self.geometry.pad[1]
        return row, column

    def count_group(self, tile, kernels, first_channel, weights, by_pe, measured, cells, taps):
        """Products pair by pair, and the words that their operands take from the buffers."""
        self.issuing += sum(measured.work) - sum(measured.stalls) - sum(measured.emptying)
        self.issued += measured.products
        self.read["iaram"] += measured.activation_reads
        self.written["activation_registers"] += measured.activation_reads
        self.read["weight_fifo"] += measured.weight_reads
        self.queued += measured.queued
        for component in ("bank_queues", "accumulators"):
            self.read[component] += measured.queued
            self.written[component] += measured.queued
        for c, entries in enumerate(weights):
            weight_nonzeros = sum(k < len(kernels) and (kernels[k], c, r, s) in taps for k, r, s in entries)
            for pe, channels in enumerate(by_pe):
                i, j = divmod(pe, self.config.pe.cols)
                corner = tile.top + i * tile.tile_h, tile.left + j * tile.tile_w
                nonzeros = sum((first_channel + c, corner[0] + y, corner[1] + x) in cells for y, x in channels[c])
                self.pairs += weight_nonzeros * nonzeros

    def regions(self, tile):
        """Accumulators of one channel of a PE by the neighbour (-1, 0, 1 down, -1, 0, 1 right) that owns the output."""
        geometry = self.geometry
        found = Counter()
        for y in range(tile.tile_h + geometry.R - 1):
            for x in range(tile.tile_w + geometry.S - 1):
                row = y - (geometry.R - 1) + geometry.pad[0] + geometry.owner[0]
                column = x - (geometry.S - 1) + geometry.pad[1] + geometry.owner[1]
                found[(row >= tile.tile_h) - (row < 0), (column >= tile.tile_w) - (column < 0)] += 1
        return found

    def drain_cycles(self, tile, num_channels):
        """Halo exchange on eight links, then the outputs to the OARAM."""
        ppu = self.config.ppu
        halo = max([words for side, words in self.regions(tile).items() if side != (0, 0)], default=0)
        cycles = 0
        for words, rate in ((halo, ppu.halo_words_per_cycle), (tile.tile_h * tile.tile_w, ppu.output_words_per_cycle)):
            if rate:
                cycles += math.ceil(Fraction(num_channels * words, rate))
        return cycles

    def count_part(self, number, tile, weight_entries, by_pe):
        config, geometry = self.config, self.geometry
        in_tile = {
            (row, column)
            for row, column in product(range(geometry.P), range(geometry.Q))
            if tile.place(row + geometry.owner[0], column + geometry.owner[1]) is not None
        }
        reached = {
            (row, column)
            for h, w in product(range(tile.top, tile.bottom), range(tile.left, tile.right))
            for row in range(h + geometry.pad[0] - geometry.R + 1, h + geometry.pad[0] + 1)
            for column in range(w + geometry.pad[1] - geometry.S + 1, w + geometry.pad[1] + 1)
            if 0 <= row < geometry.P and 0 <= column < geometry.Q
        }
        halo = sum(words for side, words in self.regions(tile).items() if side != (0, 0))
        outputs = geometry.kernels * len(in_tile)
        sent = geometry.kernels * halo * len(by_pe)
        self.written["halo"] += sent
        self.read["accumulators"] += sent + outputs
        self.read["accumulators"] += sent  # the neighbour reads its own sum, adds, and writes it back
        self.written["accumulators"] += sent
        output_words = outputs * Fraction(self.output_density)
        self.written["oaram"] += math.ceil(output_words)
        weight_bits = entry_bits(config, config.compression.sparse_weights)
        activation_bits = entry_bits(config, config.compression.sparse_activations)
        stored = sum(len(entries) for channels in by_pe for entries in channels)
        psums = geometry.kernels * len(reached - in_tile) if self.through_dram else 0
        self.move("weight", "read", weight_entries * weight_bits, number)
        self.move("psum", "write", psums * config.compression.psum_bits, number)
        self.move("psum", "read", psums * config.compression.psum_bits, number)
        if not self.context.input_on_chip:
            self.move("input", "read", stored * activation_bits, number)
        if not self.context.output_on_chip:
            self.move("output", "write", output_words * activation_bits, number)

    def move(self, kind, direction, bits, number):
        if bits:
            self.streams.append((kind, direction, math.ceil(Fraction(bits) / 8), number))

    def exposed(self):
        """Drain cycles of every unit that the next unit's computation does not hide."""
        cycles = []
        for index, (_, unit) in enumerate(self.units):
            hidden = 0
            if self.config.ppu.overlap and index + 1 < len(self.units):
                hidden = self.units[index + 1][1].span
            cycles.append(max(0, unit.drain - hidden))
        return cycles

    def cycles(self, compute):
        """First inputs, then tile after tile, each as long as the slower of its computation and its traffic."""
        memory, clock_hz = self.context.memory, Fraction(self.config.clock_hz)

        def transfer(num_bytes):
            return math.ceil(num_bytes * clock_hz / Fraction(memory.bytes_per_s))

        first = sum(moved for kind, _, moved, tile in self.streams if kind == "input" and tile == 0)
        total = transfer(first)
        if self.streams:
            total += math.ceil(memory.latency_s * self.config.clock_hz)
        for tile, busy in enumerate(compute):
            moved = sum(
                size for kind, _, size, of in self.streams if of == tile and not (kind == "input" and tile == 0)
            )
            total += max(busy, transfer(moved))
        return total


def effectual_products(layer, weights, image):
    """Products of two non-zeros, output by output on the layer's own geometry."""
    rows = layer.H + layer.padding[0] + layer.padding[1] - layer.dilation[0] * (layer.R - 1)
    columns = layer.W + layer.padding[2] + layer.padding[3] - layer.dilation[1] * (layer.S - 1)
    channels, kernels = layer.C // layer.groups, layer.K // layer.groups
    found = 0
    for k, c, r, s in product(*map(range, weights.shape)):
        if weights[k, c, r, s]:
            for corner_v in range(0, rows, layer.stride[0]):
                for corner_h in range(0, columns, layer.stride[1]):
                    h = corner_v + r * layer.dilation[0] - layer.padding[0]
                    w = corner_h + s * layer.dilation[1] - layer.padding[2]
                    if 0 <= h < layer.H and 0 <= w < layer.W:
                        found += bool(image[k // kernels * channels + c, h, w])
    return found


def run_layer(config, layer, weights, inputs, output_density, context):
    """Cycles, stack, counts and streams of a convolution of all images, as a dictionary."""
    geometry = Geometry(config, layer)
    kept = config.compression
    if not kept.sparse_activations:
        output_density = 1
    taps = geometry.taps(weights), geometry.taps(weights if kept.sparse_weights else weights * 0 + 1)
    images = [
        (geometry.cells(image), geometry.cells(image if kept.sparse_activations else image * 0 + 1)) for image in inputs
    ]
    cut = choose(config, geometry, [stored for _, stored in images], output_density)
    account = Account(config, geometry, cut, output_density, context)
    number = 0
    for first in range(0, len(images), account.together):
        for tile in account.tiles:
            for index, image in enumerate(images[first : first + account.together]):
                for group in range(geometry.groups):
                    account.run_part(number, tile, group, image, taps, weights_come=index == 0)
            number += 1
    exposed = account.exposed()
    compute = [0] * number
    for (tile, unit), drain in zip(account.units, exposed, strict=True):
        compute[tile] += unit.span + drain
    cycles = account.cycles(compute)
    units = [unit for _, unit in account.units]
    lanes, num_pes = config.pe.F * config.pe.I, config.pe.rows * config.pe.cols
    effectual = sum(effectual_products(layer, weights, image) for image in inputs)
    idle = sum(unit.span - unit.waiting - work for unit in units for work in unit.work)
    return {
        "cycles": cycles,
        "stack": {
            "busy": effectual,
            "stored_zero": account.issued - account.pairs,
            "out_of_range": account.pairs - effectual,
            "fragmentation": account.issuing * lanes - account.issued,
            "bank_conflict": sum(map(sum, (unit.stalls for unit in units))) * lanes,
            "imbalance": idle * lanes,
            "weight_stall": sum(unit.waiting for unit in units) * lanes * num_pes,
            "drain": (sum(map(sum, (unit.emptying for unit in units))) + sum(exposed) * num_pes) * lanes,
            "memory": (cycles - sum(compute)) * lanes * num_pes,
        },
        "effectual": effectual,
        "issued": account.issued,
        "read": dict(account.read),
        "written": dict(account.written),
        "operations": {
            "multipliers": account.issued,
            "coordinates": account.issued,
            "crossbar": account.queued,
            "adders": account.queued + account.written["halo"],
        },
        "streams": account.streams,
        "cycle_map": [unit.work for unit in units],
        "details": {
            "Kc": account.Kc,
            "sub_planes": len(account.tiles),
            "tiled_through_dram": int(account.through_dram),
            **({"images_at_a_time": account.together} if config.weight_fifo.images > 1 else {}),
            "compute_cycles": sum(compute),
        },
    }
