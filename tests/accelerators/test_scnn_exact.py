"""SCNN's convolutions against a twin that walks entry by entry, and what must hold of every result."""

import dataclasses
import functools
import random

import numpy as np
import pytest

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.planar import tilings, unit_stride
from archmodel.accelerators.scnn import Config, run_layer
from archmodel.accelerators.scnn_tiling import accumulators_per_channel, plane_fits
from archmodel.errors import ConfigError
from archmodel.memory.dram import IdealMemoryConfig
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from tests.reference import scnn_layer

DENSITIES = (0.0, 0.1, 0.3, 0.6, 1.0)
LAYERS_A_TEST = 10


def load(*assignments):
    return config.load("accelerators", "scnn", Config, assignments)


def memory(bytes_per_s=50e9, latency_s=100e-9):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


@dataclasses.dataclass
class Case:
    """A machine, a layer and its zeros."""

    assignments: dict
    layer: Layer
    operands: Operands
    context: Context

    @property
    def config(self):
        return load(*(f"{key}={value}" for key, value in self.assignments.items()))

    def run(self, *, context=None, **changes):
        """Result with some of the machine's values changed; double underscores stand for the dot."""
        assignments = self.assignments | {key.replace("__", "."): value for key, value in changes.items()}
        changed = dataclasses.replace(self, assignments=assignments)
        return run_layer(changed.config, self.layer, self.operands, context or self.context)


def random_layer(draw):
    groups = draw.choice([1, 1, 1, 2, 3])
    padding = tuple(draw.choice([0, 0, 1, 2]) for _ in range(4))
    stride = draw.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2), (3, 2), (2, 4)])
    dilation = draw.choice([(1, 1), (1, 1), (2, 1), (1, 3)])
    height, width, R, S = draw.randint(1, 9), draw.randint(1, 9), draw.randint(1, 3), draw.randint(1, 3)
    R = max(r for r in (1, 2, 3) if r == 1 or (r <= R and dilation[0] * (r - 1) < height + sum(padding[:2])))
    S = max(s for s in (1, 2, 3) if s == 1 or (s <= S and dilation[1] * (s - 1) < width + sum(padding[2:])))
    # No halo where the padding exceeds the kernel's reach: a test of its own.
    if stride == (1, 1):
        top, _, left, _ = padding
        reach = dilation[0] * (R - 1), dilation[1] * (S - 1)
        padding = (min(top, reach[0]), padding[1], min(left, reach[1]), padding[3])
    shape = (groups * draw.randint(1, 3), max(height, dilation[0] * (R - 1) + 1), max(width, dilation[1] * (S - 1) + 1))
    return Layer("conv", "conv", ("x",), shape, groups * draw.randint(1, 6), R, S, stride, padding, dilation, groups)


def random_zeros(draw, layer, batch):
    rng = np.random.default_rng(draw.randrange(2**32))
    weights = rng.random(layer.weight_shape) < draw.choice(DENSITIES)
    inputs = rng.random((batch, *layer.input_shape)) < draw.choice(DENSITIES)
    if draw.random() < 0.3:  # an empty channel
        inputs[:, draw.randrange(layer.C)] = False
    return Operands(weights.astype(np.uint8), inputs.astype(np.uint8), draw.choice([0.0, 0.25, 0.5, 1.0]))


def random_machine(draw, layer):
    bank_hash = draw.choice(["linear", "prime", "xor", "dnnsim"])
    banks = {"dnnsim": [32], "xor": [32, 1, 4, 64], "linear": [32, 32, 3, 8], "prime": [32, 32, 5, 16]}[bank_hash]
    broadcast = draw.choice(["fifo", "fifo", "ideal"])
    Kc = draw.choice(["published", "accumulator", 1, 2, 5, 16])
    rows, cols, tile_plane = draw.randint(1, 3), draw.randint(1, 3), draw.choice(["input", "padded"])
    conv = unit_stride(layer, tile_plane == "padded")
    least = min(accumulators_per_channel(conv, tiling) for tiling in tilings(conv.plane, rows, cols))
    least *= Kc if isinstance(Kc, int) else 1
    chosen = {
        "pe.rows": rows,
        "pe.cols": cols,
        "pe.F": draw.choice([1, 2, 3, 4, 4, 5]),
        "pe.I": draw.choice([1, 2, 4, 4, 5]),
        "pe.accumulator_banks": draw.choice(banks),
        "pe.accumulator_entries": max(least, draw.choice([16, 40, 100, 1024])),
        "pe.bank_hash": bank_hash,
        "pe.queue_depth": draw.choice([0, 1, 2, 8]),
        "pe.out_of_range": draw.choice(["accumulate", "drop"]),
        "pe.Kc": Kc,
        "pe.barrier": draw.choice(["group", "layer"] if broadcast == "fifo" else ["group", "channel", "layer"]),
        "pe.weight_order": draw.choice(["krs", "rsk"]),
        "weight_fifo.entries": draw.choice([1, 2, 3, 5, 50]),
        "weight_fifo.vectors_per_cycle": draw.choice([1, 1, 2, 5]),
        "weight_fifo.broadcast": broadcast,
        "tile_plane": tile_plane,
        "buffers.iaram_bytes": draw.choice([64, 100, 10240]),
        "buffers.oaram_bytes": draw.choice([64, 100, 10240]),
        "compression.data_bits": draw.choice([7, 16]),
        "compression.index_bits": draw.choice([1, 2, 4]),
        "compression.sparse_weights": draw.choice(["true", "true", "false"]),
        "compression.sparse_activations": draw.choice(["true", "true", "false"]),
        "ppu.output_words_per_cycle": draw.choice([0, 1, 4]),
        "ppu.halo_words_per_cycle": draw.choice([0, 1, 4]),
        "ppu.overlap": draw.choice(["true", "false"]),
    }
    return chosen | {
        f"encoding.{operand}": "dense"
        for operand in ("weights", "activations")
        if chosen[f"compression.sparse_{operand}"] == "false"
    }


def random_case(seed):
    """A small random layer on a random small machine."""
    draw = random.Random(seed)
    layer = random_layer(draw)
    operands = random_zeros(draw, layer, draw.choice([1, 1, 1, 2]))
    context = Context(
        memory(draw.choice([0.25e9, 2e9, 50e9]), draw.choice([0.0, 5e-9, 100e-9])),
        input_on_chip=draw.random() < 0.3,
        output_on_chip=draw.random() < 0.3,
    )
    return Case(random_machine(draw, layer), layer, operands, context)


def account(result):
    """A result in the form of the twin's."""
    return {
        "cycles": result.cycles,
        "stack": dict(result.stack),
        "effectual": result.macs_effectual,
        "issued": result.macs_issued,
        "read": dict(result.words_read),
        "written": dict(result.words_written),
        "operations": dict(result.operations),
        "streams": [dataclasses.astuple(stream) for stream in result.streams],
        "cycle_map": result.cycle_map.tolist(),
        "details": dict(result.details),
    }


@functools.cache
def result_of(seed):
    return random_case(seed).run()


@functools.cache
def expected(seed):
    return expected_of(random_case(seed))


def expected_of(case):
    operands = case.operands
    return scnn_layer.run_layer(
        case.config, case.layer, operands.weights, operands.inputs, operands.output_density, case.context
    )


@pytest.mark.parametrize("block", range(30))
def test_a_layer_is_its_naive_twin(block):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        result, twin = account(result_of(seed)), expected(seed)
        for quantity in ("cycles", "stack", "effectual", "issued", "streams", "cycle_map", "details"):
            assert result[quantity] == twin[quantity], (seed, quantity)


@pytest.mark.parametrize("quantity", ["read", "written", "operations"])
@pytest.mark.parametrize("block", range(30))
def test_words_of_every_buffer_are_those_of_the_twin(block, quantity):
    for seed in range(block * LAYERS_A_TEST, (block + 1) * LAYERS_A_TEST):
        assert account(result_of(seed))[quantity] == expected(seed)[quantity], seed


def test_the_random_layers_reach_every_policy():
    cases = [random_case(seed) for seed in range(30 * LAYERS_A_TEST)]
    for key in ("pe.barrier", "pe.bank_hash", "pe.out_of_range", "pe.weight_order", "pe.Kc", "pe.queue_depth"):
        assert min(len([c for c in cases if c.assignments[key] == value]) for value in seen(cases, key)) >= 15, key
    assert len(seen(cases, "pe.bank_hash")) == 4
    assert len(seen(cases, "pe.barrier")) == 3
    assert len([c for c in cases if c.layer.groups > 1]) >= 30
    assert len([c for c in cases if c.layer.stride != (1, 1)]) >= 60
    assert len([c for c in cases if c.layer.dilation != (1, 1)]) >= 60
    results = [result_of(seed) for seed in range(30 * LAYERS_A_TEST)]
    assert len([r for r in results if r.details["tiled_through_dram"]]) >= 30
    assert len([r for r in results if r.details["sub_planes"] > 1]) >= 30
    for cause in ("stored_zero", "out_of_range", "fragmentation", "bank_conflict", "weight_stall", "drain", "memory"):
        assert len([r for r in results if r.stack[cause]]) >= 10, cause


def seen(cases, key):
    return {case.assignments[key] for case in cases}


@pytest.mark.parametrize("seed", range(1000, 1040))
def test_work_is_conserved_and_nothing_beats_the_multipliers(seed):
    case = random_case(seed)
    result = case.run()
    operands = case.operands
    effectual = sum(scnn_layer.effectual_products(case.layer, operands.weights, image) for image in operands.inputs)
    assert sum(result.stack.values()) == result.cycles * result.num_multipliers
    assert min(result.stack.values()) >= 0
    assert result.stack["busy"] == result.macs_effectual == effectual
    assert result.cycles * result.num_multipliers >= result.macs_issued >= effectual
    assert result.macs_dense >= effectual
    assert result.multiplier_utilization <= 1


@pytest.mark.parametrize("seed", range(1100, 1130))
def test_deeper_queues_never_cost_cycles(seed):
    case = random_case(seed)
    cycles = [case.run(pe__queue_depth=depth).cycles for depth in (0, 1, 2, 3, 8, 100)]
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("seed", range(1200, 1230))
def test_a_bigger_fifo_never_costs_cycles_where_every_block_fits(seed):
    case = random_case(seed)
    # A block that does not fit passes in pieces, in another order, which may be the faster one.
    conv = unit_stride(case.layer)
    largest = -(-case.run().details["Kc"] * conv.R * conv.S // case.config.pe.F)
    fifo = {"weight_fifo__broadcast": "fifo", "pe__barrier": "group"}
    cycles = [case.run(weight_fifo__entries=largest + more, **fifo).cycles for more in (0, 1, 2, 5, 20, 1000)]
    cycles.append(case.run(weight_fifo__broadcast="ideal", pe__barrier="group").cycles)
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("seed", range(1300, 1330))
def test_more_bandwidth_and_less_latency_never_hurt(seed):
    case = random_case(seed)
    offers = [(1e8, 1e-6), (1e9, 1e-6), (1e9, 1e-7), (3e9, 1e-7), (1e15, 1e-7), (1e15, 0.0)]
    cycles = [case.run(context=dataclasses.replace(case.context, memory=memory(*offer))).cycles for offer in offers]
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("seed", range(1400, 1425))
def test_two_threads_give_the_numbers_of_one(seed):
    case = random_case(seed)
    threaded = case.run(context=dataclasses.replace(case.context, threads=2))
    assert account(threaded) == account(case.run())


@pytest.mark.parametrize("seed", range(1500, 1525))
def test_a_layer_kept_on_chip_moves_weights_and_partial_sums_only(seed):
    case = random_case(seed)
    on_chip = dataclasses.replace(case.context, input_on_chip=True, output_on_chip=True)
    result = case.run(context=on_chip)
    assert {stream.kind for stream in result.streams} <= {"weight", "psum"}
    assert result.cycles <= case.run(context=dataclasses.replace(on_chip, input_on_chip=False)).cycles


def padded_pointwise():
    """SqueezeNet's conv10: a 1x1 kernel on a padded plane."""
    layer = Layer("conv10", "conv", ("x",), (2, 4, 4), 3, 1, 1, padding=(1, 1, 1, 1))
    ones = Operands(np.ones(layer.weight_shape, np.uint8), np.ones((1, *layer.input_shape), np.uint8), 0.5)
    machine = {"pe.rows": 2, "pe.cols": 2, "ppu.halo_words_per_cycle": 1, "ppu.output_words_per_cycle": 0}
    return Case(machine, layer, ones, Context(memory()))


def test_padding_beyond_the_reach_of_the_kernel_is_part_of_the_plane():
    case = padded_pointwise()
    result, twin = account(case.run()), expected_of(case)
    for quantity, value in twin.items():
        assert result[quantity] == value, quantity


def dense(layer, machine):
    ones = Operands(np.ones(layer.weight_shape, np.uint8), np.ones((1, *layer.input_shape), np.uint8), 1.0)
    return Case(machine, layer, ones, Context(memory(1e15, 0.0), True, True))


def test_a_long_thin_plane_is_cut_until_it_fits_the_accumulators():
    # 20,000 columns on 8 PEs are tiles of 2,500; with a halo of 2, three parts fit the 1,024 accumulators.
    layer = Layer("signal", "conv", ("x",), (1, 1, 20000), 1, 1, 3)
    result = dense(layer, {"buffers.iaram_bytes": 65536, "buffers.oaram_bytes": 65536}).run()
    assert result.details["sub_planes"] == 3


def test_explicit_zeros_take_room_in_the_fullest_iaram():
    # Two PEs with 8 columns each; the only non-zero is the last of PE 0, behind seven zeros: three explicit ones.
    plane = np.zeros((1, 1, 16), np.uint8)
    plane[0, 0, 7] = 1
    machine = load("pe.rows=1", "pe.cols=2", "compression.index_bits=1")
    [tiling] = [tiling for tiling in tilings((1, 16), 1, 2) if tiling.splits_h == 1]
    assert [plane_fits(machine, tiling, plane, most) for most in (3, 4)] == [False, True]


@pytest.mark.parametrize(("Kc", "least"), [("published", 6), (4, 24), (5, 30), (100, 30)])
def test_accumulators_must_hold_a_position_of_a_group(Kc, least):
    # five output channels of a group; 2x3 taps
    layer = Layer("narrow", "conv", ("x",), (2, 4, 4), 10, 2, 3, groups=2)
    enough, fewer = (dense(layer, {"pe.Kc": Kc, "pe.accumulator_entries": least - short}) for short in (0, 1))
    assert enough.run().details["Kc"] == (min(Kc, 5) if isinstance(Kc, int) else 1)
    with pytest.raises(ConfigError, match=rf"^narrow: pe.accumulator_entries = {least - 1}: .* at least {least}, "):
        fewer.run()


def test_a_dense_pointwise_layer_by_hand():
    # 2x2 PEs with a 2x2 tile each: one full activation vector a channel, 8 output channels in 2 weight vectors.
    layer = Layer("by_hand", "conv", ("x",), (3, 4, 4), 8)
    result = dense(layer, {"pe.rows": 2, "pe.cols": 2, "ppu.output_words_per_cycle": 2}).run()
    # 3 channels x 1 activation vector x 2 weight vectors. Linear hash: k adds 4 banks, the tile 0 to 3: 16 banks of 32
    # a step, each once: no queues. Then 8 x 4 outputs at 2 words a cycle.
    assert result.details["Kc"] == 8
    assert result.cycle_map.tolist() == [[6, 6, 6, 6]]
    assert result.cycles == 6 + 16  # 2x2 x 8 outputs of every PE; the weights arrive meanwhile
    assert result.stack["busy"] == 8 * 3 * 16


def test_the_slowest_pe_decides_and_pes_without_a_tile_idle():
    layer = Layer("by_hand", "conv", ("x",), (1, 3, 4), 4)
    result = dense(layer, {"pe.rows": 2, "pe.cols": 3, "ppu.output_words_per_cycle": 0}).run()
    # tiles of 2x2; the lower row of PEs has one row, the third column none
    assert result.cycle_map.tolist() == [[1, 1, 0, 1, 1, 0]]
    assert result.stack["imbalance"] == 2 * 16
    assert result.stack["fragmentation"] == 2 * 8


def test_a_group_drains_while_the_next_one_computes():
    layer = Layer("by_hand", "conv", ("x",), (4, 2, 2), 12)
    machine = {"pe.rows": 1, "pe.cols": 1, "pe.Kc": 4}  # three groups of 4 cycles; a drain is 4 x 4 words
    hidden = {rate: dense(layer, machine | {"ppu.output_words_per_cycle": rate}).run().cycles for rate in (4, 2, 0)}
    assert hidden == {4: 12 + 4, 2: 12 + 4 + 4 + 8, 0: 12}
    machine |= {"ppu.overlap": "false"}
    assert dense(layer, machine).run().cycles == 12 + 3 * 4
