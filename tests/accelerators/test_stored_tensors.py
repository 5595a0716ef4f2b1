"""What machines store is what the format that their files name stores: bytes of runs beside bytes of codecs."""

import dataclasses
import math
import random
from typing import get_args

import numpy as np
import pytest

from archmodel import config as files
from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.stored_tensors import InDram
from archmodel.encodings.encoding_sizes import CATALOGUE
from archmodel.errors import ConfigError
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities
from tests.accelerators.cases import at_densities, memory

CONV = Layer("conv", "conv", ("x",), (24, 11, 13), 20, 3, 3, padding=(1, 1, 1, 1))
STRIDED = Layer("conv", "conv", ("x",), (6, 23, 17), 12, 5, 5, stride=(2, 2), groups=2)
FC = Layer("fc", "fc", ("x",), (700, 1, 1), 150)
DENSITIES = (0.0, 0.1, 0.4, 1.0)
FROM_DRAM = Context(memory())


def case(layer, seed, batch=1):
    draw = random.Random(seed)
    return at_densities(layer, draw.choice(DENSITIES), draw.choice(DENSITIES), batch, seed)


def both(arch, layer, operands, *assignments):
    """The result of a run that finds nothing on chip, and the stored tensors."""
    machine = load_machine(arch, assignments)
    masks = {"weights": operands.weights, "inputs": operands.inputs}
    stored = machine.stored_tensors(layer, masks, operands.output_density)
    return machine.run_layer(layer, operands, FROM_DRAM), stored


@pytest.mark.parametrize("arch", files.names("accelerators"))
def test_every_machine_names_formats_of_the_catalogue(arch):
    machine = load_machine(arch)
    assert set(machine.formats.values()) <= set(CATALOGUE)
    for layer in (CONV, FC):
        operands = case(layer, 0)
        masks = {"weights": operands.weights, "inputs": operands.inputs}
        stored = machine.stored_tensors(layer, masks, 0.5)
        if layer.kind not in machine.kinds:
            assert stored == {}
            continue
        for operand, tensor in stored.items():
            named = CATALOGUE[machine.formats[operand]]
            assert type(tensor.codec) is type(named)
            assert sum(int(np.count_nonzero(matrix)) for matrix in tensor.matrices) == np.count_nonzero(masks[operand])
            assert tensor.parts(bits=4) != tensor.parts(bits=8) or not np.count_nonzero(masks[operand])


def test_formats_that_a_file_may_name_are_of_the_catalogue():
    assert set(get_args(InDram)) <= set(CATALOGUE)


@pytest.mark.parametrize("layer", [CONV, STRIDED, FC], ids=lambda layer: str(layer.input_shape))
@pytest.mark.parametrize("seed", range(8))
def test_scnn_moves_the_zero_runs_of_its_blocks(layer, seed):
    operands = case(layer, seed, batch=1 + seed % 2)
    result, stored = both("scnn", layer, operands)
    weight_fetches = operands.batch * result.details["sub_planes"] if layer.kind == "conv" else 1
    for kind, operand, fetches in (("weight", "weights", weight_fetches), ("input", "inputs", 1)):
        expected, parts = stored[operand].num_bytes(), max(len(stored[operand].matrices), layer.groups)
        assert result.dram_bytes_of(kind) == pytest.approx(fetches * expected, abs=fetches * parts)  # whole bytes each
    for tensor in stored.values():  # what the machine leaves out: how many entries each block has
        assert set(tensor.parts()) == {"counts", "values", "runs"}
        assert tensor.parts()["values"] + tensor.parts()["runs"] == tensor.num_bytes()


@pytest.mark.parametrize("assignments", [
    ("tile_plane=padded",),
    ("tile_plane=input", "pe.weight_order=rsk"),
    ("compression.sparse_activations=false", "encoding.activations=dense", "buffers.iaram_bytes=128",
     "pe.Kc=accumulator", "pe.accumulator_entries=100"),
    ("buffers.iaram_bytes=64", "pe.rows=2", "pe.cols=2", "pe.Kc=accumulator"),
])  # fmt: skip
def test_scnns_blocks_are_those_of_its_tiles_and_groups(assignments):
    """Runs of a bit make every cut of the tensors show in the bytes."""
    operands = at_densities(CONV, 0.3, 0.3)
    result, stored = both("scnn", CONV, operands, "compression.index_bits=1", *assignments)
    tiles = result.details["sub_planes"]
    assert result.dram_bytes_of("weight") == pytest.approx(tiles * stored["weights"].num_bytes(), abs=tiles)
    assert result.dram_bytes_of("input") == pytest.approx(stored["inputs"].num_bytes(), abs=tiles)


@pytest.mark.parametrize("layer", [CONV, STRIDED, FC], ids=lambda layer: str(layer.input_shape))
@pytest.mark.parametrize("encoding", [one for one in get_args(InDram) if one != "zero_run"])
@pytest.mark.parametrize("seed", range(4))
def test_another_format_of_scnn_changes_what_dram_moves_and_nothing_else(layer, encoding, seed):
    operands = case(layer, seed)
    free = dataclasses.replace(FROM_DRAM, memory=memory(1e15, 0.0))
    changes = "compression.index_bits=1", f"encoding.weights={encoding}", f"encoding.activations={encoding}"
    machine, other = load_machine("scnn", changes[:1]), load_machine("scnn", changes)  # with many explicit zeros
    own, changed = (one.run_layer(layer, operands, free) for one in (machine, other))
    for unchanged in ("words_read", "words_written", "operations", "macs_issued", "details"):
        assert getattr(changed, unchanged) == getattr(own, unchanged)
    assert np.array_equal(changed.cycle_map, own.cycle_map)
    groups, tiles = layer.groups, changed.details["sub_planes"]

    def num_bytes(mask):
        """By hand; each part of the layer may fill up a byte, and its mask a window."""
        window = {"bitmask": 1, "zvc": 32, "dense": 1}[encoding]
        bits = 16 * mask.size if encoding == "dense" else window * math.ceil(mask.size / window)
        bits += 0 if encoding == "dense" else 16 * np.count_nonzero(mask)
        return math.ceil(bits / 8)

    of_groups = sum(num_bytes(group) for group in np.split(operands.weights, groups))
    assert changed.dram_bytes_of("weight") == of_groups * (tiles if layer.kind == "conv" else 1)
    slack = 4 * groups * tiles
    assert 0 <= changed.dram_bytes_of("input") - num_bytes(operands.inputs) < slack
    half = np.zeros(layer.output_words, np.uint8)
    half[: math.ceil(layer.output_words / 2)] = 1  # the outputs' density is a half
    assert -2 <= changed.dram_bytes_of("output") - num_bytes(half) < slack
    if tiles * groups == 1:
        stored = other.stored_tensors(layer, {"weights": operands.weights, "inputs": operands.inputs}, 0.5)
        assert changed.dram_bytes_of("weight") == stored["weights"].num_bytes()
        assert changed.dram_bytes_of("input") == stored["inputs"].num_bytes()


@pytest.mark.parametrize("layer", [CONV, STRIDED, FC], ids=lambda layer: str(layer.input_shape))
@pytest.mark.parametrize("encoding", get_args(InDram))
def test_what_scnn_is_expected_to_move_is_near_what_it_moves(layer, encoding):
    machine = load_machine("scnn", (f"encoding.weights={encoding}", f"encoding.activations={encoding}"))
    operands = at_densities(layer, 0.4, 0.5)
    known = Densities(1, operands.weights.mean(), operands.inputs.mean(), operands.output_density)
    exact, expected = machine.run_layer(layer, operands, FROM_DRAM), machine.expect_layer(layer, known, FROM_DRAM)
    for kind in ("weight", "input", "output"):
        assert expected.dram_bytes_of(kind) == pytest.approx(exact.dram_bytes_of(kind), rel=0.05), kind


def test_an_operand_that_scnn_does_not_compress_is_dense():
    for arch, operand in (("scnn_sparse_a", "weights"), ("scnn_sparse_w", "inputs")):
        result, stored = both(arch, CONV, case(CONV, 3))
        kind = {"weights": "weight", "inputs": "input"}[operand]
        assert result.dram_bytes_of(kind) == stored[operand].num_bytes() == 2 * stored[operand].matrices[0].size


@pytest.mark.parametrize(("assignment", "demand"), [
    ("scnn:encoding.weights=zero_runs", "must be 'zero_run', 'bitmask', 'zvc' or 'dense'; did you mean 'zero_run'?"),
    ("scnn:encoding.weights=csr", "must be 'zero_run', 'bitmask', 'zvc' or 'dense'"),
    ("eie:encoding.weights=bitmask", "must be 'interleaved_csc'"),
    ("cambricon_x:encoding.weights=bitmask", "must be 'step_index'"),
    ("cnvlutin:encoding.activations=bitmask", "must be 'zfnaf'"),
    ("dcnn_opt:encoding.weights=bitmask", "must be 'dense'"),
    ("tpu_v1:encoding.activations=zvc", "must be 'dense'"),
    ("scnn:compression.sparse_weights=false", "encoding.weights must be 'dense'"),
])  # fmt: skip
def test_a_format_that_a_machine_does_not_have_is_refused_in_one_line(assignment, demand):
    arch, _, text = assignment.partition(":")
    with pytest.raises(ConfigError) as error:
        load_machine(arch, (text,))
    assert demand in str(error.value)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["zero_run", "bitmask", "zvc"])
@pytest.mark.parametrize("density", [0.3, 0.6, 1.0])
def test_dcnn_opt_moves_its_format_without_zeros_behind_long_runs_and_never_more_than_dense(encoding, density):
    operands = at_densities(CONV, 1.0, density)
    result, stored = both("dcnn_opt", CONV, operands, f"encoding.activations={encoding}")
    tensor, dense = stored["inputs"], 2 * operands.inputs.size
    assert result.dram_bytes_of("weight") == stored["weights"].num_bytes() == 2 * CONV.weight_words
    explicit = tensor.parts()["values"] // 2 - np.count_nonzero(operands.inputs)
    without = tensor.num_bytes() - (math.floor(2.5 * explicit) if encoding == "zero_run" else 0)
    assert result.dram_bytes_of("input") == pytest.approx(min(dense, without), abs=1)
    assert (encoding == "zero_run") == (density == 0.3 and explicit > 0) or not explicit


@pytest.mark.parametrize("K", [150, 5000])
def test_eie_fetches_the_columns_of_its_pes_with_their_pointers(K):
    layer = Layer("fc", "fc", ("x",), (90, 1, 1), K)  # 5,000 outputs are two batches of the registers
    for density in DENSITIES:
        operands = at_densities(layer, density, 0.5)
        result, stored = both("eie", layer, operands, "weights.preloaded=false")
        parts = stored["weights"].parts()
        assert result.dram_bytes_of("weight") == pytest.approx(sum(parts.values()), abs=-(-K // 4096))  # values, runs
        assert parts["pointers"] == -(-K // 4096) * 64 * 91 * 2
        assert result.dram_bytes_of("input") == stored["inputs"].num_bytes() == 2 * 90


def test_eies_pointers_are_wider_where_a_pe_has_more_entries():
    operands = at_densities(FC, 0.5, 0.5)
    narrow = both("eie", FC, operands, "buffers.pointer_bits=4")[1]["weights"].parts()
    usual = both("eie", FC, operands)[1]["weights"].parts()
    assert narrow == {**usual, "pointers": 2 * usual["pointers"]}


@pytest.mark.parametrize("layer", [CONV, STRIDED, FC], ids=lambda layer: str(layer.input_shape))
@pytest.mark.parametrize("seed", range(6))
def test_cambricon_x_fetches_synapses_with_their_steps(layer, seed):
    operands = case(layer, seed)
    result, stored = both("cambricon_x", layer, operands, "buffers.synapse_bytes=1000000", "index.step_bits=4")
    assert result.dram_bytes_of("weight") == pytest.approx(stored["weights"].num_bytes(), abs=layer.K)
    assert result.stack["fragmentation"] or not operands.weights.any()
    assert set(stored["weights"].parts()) == {"counts", "values", "runs"}


def test_cnvlutin_has_values_in_dram_and_offsets_beside_them_in_the_nm():
    operands = case(CONV, 5)
    result, stored = both("cnvlutin", CONV, operands)
    parts, machine = stored["inputs"].parts(), load_machine("cnvlutin")
    assert result.dram_bytes_of("input") == stored["inputs"].num_bytes() == parts["values"]
    assert machine.config.neuron_bits * CONV.input_words == 8 * (parts["values"] + parts["offsets"])
    image = Layer("conv", "conv", ("x",), (3, 11, 13), 20, 3, 3)
    assert set(both("cnvlutin", image, case(image, 5))[1]["inputs"].parts()) == {"values"}


@pytest.mark.parametrize("arch", ["dcnn", "diannao", "dadiannao", "tpu_v1", "systolic_16x16_ws"])
def test_dense_machines_move_all_words(arch):
    operands = case(CONV, 1)
    result, stored = both(arch, CONV, operands)
    word = 1 if arch.startswith(("tpu", "systolic")) else 2
    assert stored["inputs"].num_bytes() == word * CONV.input_words
    assert stored["weights"].num_bytes() == word * CONV.weight_words
    assert result.dram_bytes_of("input") % stored["inputs"].num_bytes() == 0 or arch == "diannao"
    if arch == "tpu_v1":  # the difference: tiles of 256 x 256, filled up with zeros
        assert result.dram_bytes_of("weight") % 65536 == 0
    elif arch not in ("dadiannao", "systolic_16x16_ws", "diannao"):
        assert result.dram_bytes_of("weight") == stored["weights"].num_bytes()
