"""The kernels of DRAM banks and of packet links equal their twins command by command, which break no rule."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from numba import config as numba_config

from archmodel.memory.banks import serve
from archmodel.memory.part import BankMemoryConfig
from tests.memory.random_parts import as_written, cases, crowded_case, random_cube_case
from tests.reference import dram_controller, packet_links
from tests.reference.dram_checker import violations

FIELDS = ("cycle", "channel", "rank", "bank_group", "bank", "command", "row")
# Records of numpy are slow without the compiler.
NUM_PARTS, NUM_CUBES, NUM_REQUESTS = (14, 5, 60) if numba_config.DISABLE_JIT else (150, 40, 100)


def rows_of(commands):
    """Commands as the twin lists them: by cycle, then channel."""
    columns = [commands[field].tolist() for field in FIELDS]
    return sorted(zip(*columns, strict=True), key=lambda row: row[:2])


def served_by(part, trace):
    cycles, addresses, writes = (np.array(column) for column in zip(*trace, strict=True))
    return serve(BankMemoryConfig.model_validate(part), cycles, addresses, writes, commands=True)


def assert_equal(part, trace, expected):
    served = served_by(as_written(random.Random(0), part), trace)
    assert served.entered.tolist() == expected["entered"]
    assert served.completed.tolist() == expected["completed"]
    assert rows_of(served.commands) == expected["commands"]
    counts = Counter(expected["counts"])
    assert served.row_hits == counts.pop("row_hits")
    assert Counter(served.counts) == counts
    assert served.cycles == expected["cycles"]
    assert served.energy_pj == pytest.approx(expected["energy_pj"], rel=1e-12)
    organization = part["organization"]
    num_channels = organization["stacks"] * organization["channels"]
    assert min(served.bus.values()) >= 0
    assert sum(served.bus.values()) == num_channels * served.cycles
    assert served.bus["data"] == organization["burst_cycles"] * (counts["RD"] + counts["WR"])
    assert (served.bus["refresh"] > 0) <= (part["controller"]["refresh"] != "none")


@given(cases(NUM_REQUESTS))
@settings(max_examples=NUM_PARTS, deadline=None)
def test_the_kernel_equals_its_twin(case):
    part, trace = case
    assert_equal(part, trace, dram_controller.serve(part, trace))


@given(cases(NUM_REQUESTS, random_cube_case))
@settings(max_examples=NUM_CUBES, deadline=None)
def test_links_equal_their_twin(case):
    part, trace = case
    assert_equal(part, trace, packet_links.serve(part, trace))


@given(cases(NUM_REQUESTS, crowded_case))
@settings(max_examples=NUM_PARTS, deadline=None)
def test_crowded_buffers_equal_their_twin(case):
    part, trace = case
    assert_equal(part, trace, dram_controller.serve(part, trace))


@given(cases(NUM_REQUESTS))
@settings(max_examples=NUM_PARTS, deadline=None)
def test_no_command_breaks_a_rule(case):
    part, trace = case
    served = served_by(part, trace)
    requests = {"requests": trace, "entered": served.entered.tolist(), "completed": served.completed.tolist()}
    assert violations(part, rows_of(served.commands), until=served.cycles, **requests) == []
