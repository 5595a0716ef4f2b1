"""A systolic array register by register, and a layer pushed through it; naive twin of accelerators/systolic.py.

Every cycle all PEs take what their neighbours had in the cycle before. The edge of the array follows local rules: a
tile is shifted in as soon as its operands are there and the registers it goes to are free, operands stream as soon as
they and the tile are there. Nothing is computed from a formula for fill, shift or drain.

A word on the wires is a list of operands, one for each lane of a PE; an operand is a pair of the layer's value and of
what the PE takes it to be.
"""

import math

TICKS = 1024


class Lanes:
    """The arithmetic of a PE, and what is counted of it."""

    used = effectual = steps = 0

    def dot(self, left, right):
        """The sum of the products of the lanes that have operands."""
        assert len(left) == len(right)
        self.steps += 1
        self.used += len(left)
        self.effectual += sum(bool(one[0] and other[0]) for one, other in zip(left, right, strict=True))
        return sum(one[1] * other[1] for one, other in zip(left, right, strict=True))


class ShiftedArray(Lanes):
    """Operands of a tile stay in the PEs (weights or inputs); others move right, partial sums move down.

    The word for row r enters its column at the top in the r-th cycle, top row first, and moves down to it.
    """

    def __init__(self, rows, cols, shadow):
        self.rows, self.cols, self.shadow = rows, cols, shadow
        grid = [(r, c) for r in range(rows) for c in range(cols)]
        self.passing = dict.fromkeys(grid)  # (destination row, word) on its way down
        self.waiting = dict.fromkeys(grid)  # shadow register
        self.staying = dict.fromkeys(grid)
        self.moving = dict.fromkeys(grid)  # (stream index, first of its tile, word)
        self.sums = dict.fromkeys(grid)  # (stream index, sum)
        self.entering_words, self.entering_operands = {}, {}  # by (cycle, column) and (cycle, row)
        self.cycle = 0
        self.chained = 0

    def send_tile(self, matrix):
        """Shift a [rows][cols] matrix in, from this cycle on; columns one cycle later each."""
        for r in range(self.rows):
            for c in range(self.cols):
                self.entering_words[self.cycle + r + c, c] = (r, matrix[r][c])

    def send_vector(self, index, first, vector):
        """Stream one operand into each row, rows one cycle later each."""
        for r in range(self.rows):
            self.entering_operands[self.cycle + r, r] = (index, first, vector[r])

    def step(self):
        """One cycle; the sums that leave the last row, as (stream index, column, sum)."""
        passing, moving, sums, leaving = {}, {}, {}, []
        for r in range(self.rows):
            for c in range(self.cols):
                above = self.entering_words.pop((self.cycle, c), None) if r == 0 else self.passing[r - 1, c]
                if above is not None and r > 0 and above[0] < r:
                    above = None  # it has stayed above
                passing[r, c] = above
                operand = self.entering_operands.pop((self.cycle, r), None) if c == 0 else self.moving[r, c - 1]
                moving[r, c] = operand
                if operand is not None:
                    index, first, word = operand
                    if first and self.shadow:
                        assert self.waiting[r, c] is not None, "the tile is not there"
                        self.staying[r, c], self.waiting[r, c] = self.waiting[r, c], None
                    weight = self.staying[r, c]
                    partial = 0 if r == 0 else self.sums[r - 1, c][1]
                    assert r == 0 or self.sums[r - 1, c][0] == index
                    if word is not None and weight is not None and weight[0] is not None:
                        partial += self.dot(word, weight[0])
                    sums[r, c] = (index, partial)
                    if r == self.rows - 1:
                        leaving.append((index, c, partial))
                else:
                    sums[r, c] = None
                if above is not None:
                    self.chained += 1
                    if above[0] == r:
                        if self.shadow:
                            assert self.waiting[r, c] is None, "the shadow register is in use"
                            self.waiting[r, c] = (above[1],)
                        else:
                            self.staying[r, c] = (above[1],)
        self.passing, self.moving, self.sums = passing, moving, sums
        self.cycle += 1
        return leaving

    def is_empty(self):
        """Whether nothing is on its way any more."""
        rightwards = any(operand for (_, c), operand in self.moving.items() if c < self.cols - 1)
        downwards = any(total for (r, _), total in self.sums.items() if r < self.rows - 1)
        return not (rightwards or downwards or self.entering_operands)


class StayingArray(Lanes):
    """Sums stay in the PEs; one operand moves right, the other down; finished sums move down in a chain."""

    def __init__(self, rows, cols, shadow):
        self.rows, self.cols, self.shadow = rows, cols, shadow
        grid = [(r, c) for r in range(rows) for c in range(cols)]
        self.right, self.down = dict.fromkeys(grid), dict.fromkeys(grid)
        self.sums = dict.fromkeys(grid, 0)
        self.held = dict.fromkeys(grid)  # (cycle in which it goes, tile, sum)
        self.chain = dict.fromkeys(grid)  # (tile, row, sum)
        self.entering_right, self.entering_down = {}, {}
        self.cycle = self.chained = 0

    def send_vectors(self, tile, position, inputs, weights):
        """One step of the dot products of a tile; `position` is "first", "last", "only" or "" in it."""
        for r in range(self.rows):
            self.entering_right[self.cycle + r, r] = (tile, position, inputs[r])
        for c in range(self.cols):
            self.entering_down[self.cycle + c, c] = weights[c]

    def step(self):
        """One cycle; the sums that leave the last row, as (tile, (row, column), sum)."""
        right, down, chain, leaving = {}, {}, {}, []
        for r in range(self.rows):
            for c in range(self.cols):
                chain[r, c] = None if r == 0 else self.chain[r - 1, c]
                held = self.held[r, c]
                if held is not None and held[0] == self.cycle:
                    assert chain[r, c] is None, "two sums in one register of the chain"
                    chain[r, c], self.held[r, c] = (held[1], r, held[2]), None
                if chain[r, c] is not None:
                    self.chained += 1
                    if r == self.rows - 1:
                        tile, row, total = chain[r, c]
                        leaving.append((tile, (row, c), total))
                operand = self.entering_right.pop((self.cycle, r), None) if c == 0 else self.right[r, c - 1]
                right[r, c] = operand
                down[r, c] = self.entering_down.pop((self.cycle, c), None) if r == 0 else self.down[r - 1, c]
                if operand is not None:
                    tile, position, word = operand
                    self.sums[r, c] = 0 if position in ("first", "only") else self.sums[r, c]
                    weight = down[r, c]
                    if word is not None and weight is not None:
                        self.sums[r, c] += self.dot(word, weight)
                    if position in ("last", "only"):
                        assert self.held[r, c] is None, "the sum before has not left"
                        self.held[r, c] = (self.cycle + 1 + r, tile, self.sums[r, c])
        self.right, self.down, self.chain = right, down, chain
        self.cycle += 1
        return leaving

    def is_empty(self):
        """Whether nothing is on its way any more."""
        rightwards = any(operand for (_, c), operand in self.right.items() if c < self.cols - 1)
        downwards = any(total for (r, _), total in self.chain.items() if r < self.rows - 1)
        return not (rightwards or downwards or self.entering_right or any(self.held.values()))


class Queue:
    """Weights on their way: entries arrive one after the other, each into the place of one that was let go."""

    def __init__(self, fetches, entries):
        self.left, self.free, self.progress, self.arrived = list(fetches), entries, 0, 0

    def step(self):
        budget = TICKS
        while self.left and budget:
            if self.progress == 0:
                if not self.free:
                    return
                self.free -= 1
            done = min(budget, self.left[0] - self.progress)
            budget -= done
            self.progress += done
            if self.progress == self.left[0]:
                self.left.pop(0)
                self.progress = 0
                self.arrived += 1


class Edge:
    """The edge of an array: what it sends in, and what it waits for."""

    def __init__(self, dataflow, array, tiles, entries):
        self.dataflow, self.array, self.tiles = dataflow, array, tiles
        self.output = dataflow == "output_stationary"
        self.queue = Queue([tile["ticks"] for tile in tiles if tile["ticks"]], entries)
        self.needs = [sum(bool(earlier["ticks"]) for earlier in tiles[: at + 1]) for at in range(len(tiles))]
        self.streaming = self.at = 0  # tile and step that enter next
        self.begun = 0  # tiles whose first vector has entered
        self.sent = self.shifted = 0  # tiles that have begun to shift in, and that are in
        self.shift_left = 0
        self.last_start = None
        self.released = {}  # entries of the queue that are free from a cycle on
        self.ends, self.causes = [], []

    def weights_of(self, tile):
        return self.queue.arrived >= self.needs[tile]

    def step(self):
        """One cycle of the edge, before the cycle of the array."""
        now = self.array.cycle
        self.queue.free += self.released.pop(now, 0)
        entered = self.streaming < len(self.tiles) and (self.at > 0 or self.may_begin(now))
        if entered:
            self.enter(now)
        if not self.output:
            self.shift(now)
        self.causes.append("active" if entered else self.reason(now))
        if self.shift_left:
            self.shift_left -= 1
            self.shifted += self.shift_left == 0
        self.queue.step()

    def may_begin(self, now):
        if not self.weights_of(self.streaming):
            return False
        return self.outputs_are_free(now) if self.output else self.shifted > self.streaming

    def outputs_are_free(self, now):
        """Whether the first PE may begin another sum: finished ones leave in time, or all have left."""
        if self.last_start is None:
            return True
        if self.array.shadow:  # a column has one way out: a sum a cycle
            return now >= self.last_start + self.array.rows
        return self.array.is_empty()

    def enter(self, now):
        tile, last = self.tiles[self.streaming], self.at == len(self.tiles[self.streaming]["stream"]) - 1
        if self.output:
            position = "only" if last and self.at == 0 else "last" if last else "first" if self.at == 0 else ""
            self.array.send_vectors(self.streaming, position, *tile["stream"][self.at])
        else:
            self.array.send_vector((self.streaming, self.at), self.at == 0, tile["stream"][self.at])
        if self.at == 0:
            self.last_start, self.begun = now, self.begun + 1
        self.at += 1
        if last:
            self.ends.append(now + 1)
            if self.dataflow != "weight_stationary":
                self.release(self.streaming, now + 1)
            self.streaming, self.at = self.streaming + 1, 0

    def shift(self, now):
        """Begin to shift the next tile in if its registers are free and it is there."""
        tile = self.sent
        free = self.begun == self.sent if self.array.shadow else self.streaming == self.sent and self.array.is_empty()
        there = tile < len(self.tiles) and (self.dataflow != "weight_stationary" or self.weights_of(tile))
        if self.shift_left == 0 and free and there:
            self.array.send_tile(self.tiles[tile]["stay"])
            self.sent += 1
            self.shift_left = self.array.rows
            if self.dataflow == "weight_stationary":
                self.release(tile, now + self.array.rows)

    def release(self, tile, cycle):
        """Let go of the weights of a tile, unless the next one uses them too."""
        following = self.tiles[tile + 1 :][:1]
        if self.needs[tile] and (not following or following[0]["ticks"]):
            self.released[cycle] = self.released.get(cycle, 0) + 1

    def reason(self, now):
        """What the edge waits for in a cycle in which nothing enters."""
        if self.streaming == len(self.tiles):
            return "drain"
        if self.output:
            return "weight_stall" if self.outputs_are_free(now) else "drain"
        if self.shift_left:
            return "tile_shift"
        if not self.array.shadow and self.shifted == self.streaming and not self.array.is_empty():
            return "drain"
        assert not self.weights_of(self.streaming)
        return "weight_stall"


def run_tiles(dataflow, rows, cols, shadow, tiles, entries):
    """Push tiles through an array.

    tiles : dictionaries with `stay` [rows][cols] or None, `stream` [T] of what enters in a cycle, `ticks` of its fetch
    Returns sums by tile, the cycle in which the stream of each ended, what every cycle at the edge was, and the array.
    """
    array = (StayingArray if dataflow == "output_stationary" else ShiftedArray)(rows, cols, shadow)
    edge, sums = Edge(dataflow, array, tiles, entries), [{} for _ in tiles]
    missing = sum((rows if edge.output else len(tile["stream"])) * cols for tile in tiles)
    while missing:
        edge.step()
        for left in array.step():
            tile, place, total = left if edge.output else (left[0][0], (left[0][1], left[1]), left[2])
            assert place not in sums[tile]
            sums[tile][place] = total
            missing -= 1
    return sums, edge.ends, edge.causes, array


def input_code(kind, value):
    """What a PE takes an input to be: a bit is the sign."""
    return (1 if value >= 0 else -1) if kind == "xnor" else value


def weight_code(kind, value):
    """What a PE takes a weight to be: a bit or a ternary weight is the sign."""
    if kind == "ternary":
        return (value > 0) - (value < 0)
    return input_code(kind, value)


def windows_of(layer, images, group, kind="multiplier"):
    """The inputs under each output position: [positions][depth]."""
    (stride_v, stride_h), (dilation_v, dilation_h) = layer.stride, layer.dilation
    channels = layer.C // layer.groups
    windows = []
    for image in images:
        for p in range(layer.P):
            for q in range(layer.Q):
                window = []
                for c in range(group * channels, (group + 1) * channels):
                    for r in range(layer.R):
                        for s in range(layer.S):
                            h = p * stride_v + r * dilation_v - layer.padding[0]
                            w = q * stride_h + s * dilation_h - layer.padding[2]
                            inside = 0 <= h < layer.H and 0 <= w < layer.W
                            value = int(image[c][h][w]) if inside else 0
                            outside = -1 if kind == "xnor" else 0
                            window.append((value, input_code(kind, value) if inside else outside))
                windows.append(window)
    return windows


def parts(total, count):
    """Ranges whose sizes differ by at most one."""
    return [range(total * i // count, total * (i + 1) // count) for i in range(count)]


def chunks(indices, size):
    return [indices[at : at + size] for at in range(0, len(indices), size)]


class Layout:
    """The tiles of a layer, walked in their order with what each multiplies and fetches."""

    def __init__(self, config, layer, weights, images):
        self.config, self.layer, self.images = config, layer, images
        self.kernels, self.depth = layer.K // layer.groups, layer.C // layer.groups * layer.R * layer.S
        self.positions = len(images) * layer.P * layer.Q
        self.lanes, kind = config.pe.lanes, config.pe.kind
        self.deep = config.array.rows * self.lanes
        self.weights = [
            [
                [(int(w), weight_code(kind, int(w))) for w in weights[g * self.kernels + k].reshape(-1)]
                for k in range(self.kernels)
            ]
            for g in range(layer.groups)
        ]
        self.windows = [windows_of(layer, images, g, kind) for g in range(layer.groups)]
        words = len(images) * (layer.C * layer.H * layer.W + layer.K * layer.P * layer.Q)
        count = math.ceil(self.bytes(words) / config.activations.buffer_bytes)
        if config.array.dataflow == "weight_stationary":
            count = max(count, math.ceil(self.positions / self.half()))
        self.blocks = parts(self.positions, min(count, self.positions))
        self.fetched, self.tiles, self.window_reads, self.weight_reads = set(), [], 0, 0
        stored = [self.entries(columns, depth) for columns in self.weight_columns() for depth in self.weight_rows()]
        stored_bytes = self.weight_bytes(layer.groups * sum(stored))
        self.all_fit = config.weights.kept and stored_bytes <= config.weights.buffer_bytes
        self.largest = max(stored)

    def bytes(self, words):
        return math.ceil(words * self.config.input_bits / 8)

    def weight_bytes(self, words):
        return math.ceil(words * self.config.weight_bits / 8)

    def half(self):
        accumulators = self.config.accumulators
        return accumulators.rows // 2 if accumulators.double_buffered else accumulators.rows

    def weight_columns(self):
        whole = range(self.kernels)
        return [whole] if self.config.array.dataflow == "input_stationary" else chunks(whole, self.config.array.cols)

    def weight_rows(self):
        whole = range(self.depth)
        return [whole] if self.config.array.dataflow == "output_stationary" else chunks(whole, self.deep)

    def entries(self, columns, depth):
        """Stored words of some weights; a whole tile is filled up where it is cut by the array."""
        if not self.config.weights.whole_tiles:
            return len(columns) * len(depth)
        dataflow, array = self.config.array.dataflow, self.config.array
        wide = len(columns) if dataflow == "input_stationary" else array.cols
        deep = len(depth) if dataflow == "output_stationary" else self.deep
        return wide * deep

    def add(self, block, group, positions, columns, depth):
        """A tile: with its operands as the edge of the array sees them, None where there are none."""
        rows, cols, dataflow = self.config.array.rows, self.config.array.cols, self.config.array.dataflow

        def weight(few, k):
            return [self.weights[group][k][d] for d in few]

        def window(few, m):
            return [self.windows[group][m][d] for d in few]

        steps = chunks(depth, self.lanes)
        if dataflow == "weight_stationary":
            stay = grid(rows, cols, steps, columns, weight)
            stream = [fill([window(few, m) for few in steps], rows) for m in positions]
            key = (group, columns, depth)
            reuse = self.all_fit
        elif dataflow == "input_stationary":
            stay = grid(rows, cols, steps, positions, window)
            stream = [fill([weight(few, k) for few in steps], rows) for k in columns]
            key = (group, columns, depth)
            reuse = self.all_fit
        else:
            stay = None
            stream = [(fill([window(few, m) for m in positions], rows), fill([weight(few, k) for k in columns], cols))
                      for few in steps]  # fmt: skip
            key = (group, columns)
            reuse = self.all_fit
            two = self.config.weights.kept and 2 * self.weight_bytes(self.largest) <= self.config.weights.buffer_bytes
            if two and self.tiles and self.tiles[-1]["key"] == (block, key):
                reuse = True
        new = not reuse or (key not in self.fetched)
        self.fetched.add(key)
        self.window_reads += len(positions) * len(depth)
        self.weight_reads += self.entries(columns, depth)
        self.tiles.append({
            "stay": stay, "stream": stream, "block": block, "key": (block, key), "group": group,
            "bytes": self.weight_bytes(self.entries(columns, depth)) if new else 0,
            "positions": positions, "columns": columns,
        })  # fmt: skip

    def walk(self):
        rows, cols, dataflow = self.config.array.rows, self.config.array.cols, self.config.array.dataflow
        kernels, depths = range(self.kernels), chunks(range(self.depth), self.deep)
        for number, block in enumerate(self.blocks):
            for group in range(self.layer.groups):
                if dataflow == "weight_stationary":
                    for columns in chunks(kernels, cols):
                        for depth in depths:
                            self.add(number, group, block, columns, depth)
                elif dataflow == "output_stationary":
                    for columns in chunks(kernels, cols):
                        for positions in chunks(block, rows):
                            self.add(number, group, positions, columns, range(self.depth))
                else:
                    for columns in parts(self.kernels, math.ceil(self.kernels / self.half())):
                        for positions in chunks(block, cols):
                            for depth in depths:
                                self.add(number, group, positions, columns, depth)


def fill(values, size):
    return [*values, *[None] * (size - len(values))]


def grid(rows, cols, down, across, value):
    return [
        [value(down[r], across[c]) if r < len(down) and c < len(across) else None for c in range(cols)]
        for r in range(rows)
    ]


def ticks(num_bytes, clock_hz, bytes_per_s):
    return math.ceil(num_bytes * (TICKS * clock_hz) / bytes_per_s)


def run_layer(config, layer, weights, images, context):
    """A layer of real values: its outputs, cycles and counts."""
    layout = Layout(config, layer, weights, images)
    layout.walk()
    memory, clock = context.memory, config.clock_hz
    own = config.weights.memory_bytes_per_s
    rate = memory.bytes_per_s if own == "memory" else min(own, memory.bytes_per_s)
    for tile in layout.tiles:
        tile["ticks"] = ticks(tile["bytes"], clock, rate)
    most = max(tile["bytes"] for tile in layout.tiles)
    entries = max(2, config.weights.buffer_bytes // max(1, most))
    array = config.array
    sums, ends, causes, pushed = run_tiles(
        array.dataflow, array.rows, array.cols, array.double_buffered, layout.tiles, entries
    )
    outputs = {}
    for tile, of_tile in zip(layout.tiles, sums, strict=True):
        for place, total in of_tile.items():
            m, k = place if array.dataflow != "input_stationary" else place[::-1]
            if m < len(tile["positions"]) and k < len(tile["columns"]):
                key = (tile["group"], tile["positions"][m], tile["columns"][k])
                outputs[key] = outputs.get(key, 0) + total
    block_ends = [max(end for end, tile in zip(ends, layout.tiles, strict=True) if tile["block"] == b)
                  for b in range(len(layout.blocks))]  # fmt: skip
    block_ends[-1] = len(causes)
    compute = [end - start for start, end in zip([0, *block_ends], block_ends, strict=False)]
    streams, cycles = move(config, layout, compute, context)
    moved = {
        kind: sum(8 * stream[2] // bits for stream in streams if stream[0] == kind)
        for kind, bits in (("weight", config.weight_bits), ("input", config.input_bits), ("output", config.input_bits))
    }
    count, slots = {cause: causes.count(cause) for cause in set(causes)}, array.rows * array.cols * config.pe.lanes
    issued = layer.macs * len(images)
    stack = {
        "busy": pushed.effectual,
        "stored_zero": issued - pushed.effectual,
        "fragmentation": count["active"] * slots - issued,
        **{cause: count.get(cause, 0) * slots for cause in ("weight_stall", "tile_shift", "drain")},
        "memory": (cycles - len(causes)) * slots,
    }
    results = len(images) * layer.K * layer.P * layer.Q
    read = {
        "activation_buffer": layout.window_reads + moved["output"],
        "weight_buffer": layout.weight_reads,
        **dict.fromkeys(("stationary_registers", "moving_registers", "downward_registers"), pushed.steps),
    }
    written = {
        "activation_buffer": results + moved["input"],
        "weight_buffer": moved["weight"],
        "stationary_registers": pushed.chained + (pushed.steps if array.dataflow == "output_stationary" else 0),
        **dict.fromkeys(("moving_registers", "downward_registers"), pushed.steps),
    }
    product = {"multiplier": "multipliers", "ternary": "negations", "xnor": "xnors"}[config.pe.kind]
    operations = {product: pushed.used, "adders": pushed.steps}
    if config.pe.lanes > 1:
        operations["lane_adders"] = pushed.steps
    if array.dataflow != "output_stationary":
        adds = sum(len(tile["positions"]) * len(tile["columns"]) for tile in layout.tiles)
        read["accumulators"] = written["accumulators"] = operations["accumulator_adders"] = adds
    return outputs, {
        "cycles": cycles,
        "stack": {cause: amount for cause, amount in stack.items() if amount},
        "effectual": pushed.effectual,
        "issued": pushed.used,
        "read": read,
        "written": written,
        "operations": operations,
        "streams": streams,
    }


def move(config, layout, compute, context):
    """Streams (kind, direction, bytes, block) and the cycles of the layer with them."""
    layer, images, clock = layout.layer, len(layout.images), config.clock_hz
    sizes = {"input": layout.bytes(images * layer.input_words), "output": layout.bytes(images * layer.output_words)}
    spill = sum(sizes.values()) > config.activations.buffer_bytes
    outside = {"input": spill or not context.input_on_chip, "output": spill or not context.output_on_chip}
    host = config.activations.host_bytes_per_s
    rate = context.memory.bytes_per_s if host == "memory" else min(host, context.memory.bytes_per_s)
    streams, cycles = [], 0
    for number, block in enumerate(layout.blocks):
        of_weights, passing = sum(tile["bytes"] for tile in layout.tiles if tile["block"] == number), 0
        if of_weights:
            streams.append(("weight", "read", of_weights, number))
        for kind, direction in (("input", "read"), ("output", "write")):
            size = sizes[kind] * block.stop // layout.positions - sizes[kind] * block.start // layout.positions
            if outside[kind] and size:
                streams.append((kind, direction, size, number))
                if kind == "input" and number == 0:
                    cycles += math.ceil(size * clock / rate)
                else:
                    passing += size
        from_dram = passing + (of_weights if config.weights.memory_bytes_per_s == "memory" else 0)
        on_port, on_dram = passing * clock / rate, from_dram * clock / context.memory.bytes_per_s
        cycles += max(compute[number], math.ceil(on_port), math.ceil(on_dram))
    if streams:
        cycles += math.ceil(round(context.memory.latency_s * clock, 6))
    return streams, cycles
