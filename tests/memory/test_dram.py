"""A memory of fixed bandwidth and latency: when bytes are there, and what is not a memory."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ConfigError
from archmodel.memory.dram import IdealMemoryConfig, load_memory

GOOD = 'model = "ideal"\nname = "test"\nbytes_per_s = 1e9\nlatency_s = 1e-7\npj_per_bit = 0.0\n'


def memory(bytes_per_s=1e9, latency_s=0.0):
    return IdealMemoryConfig(model="ideal", name="test", bytes_per_s=bytes_per_s, latency_s=latency_s, pj_per_bit=0.0)


@pytest.mark.parametrize(
    ("num_bytes", "bytes_per_s", "clock_hz", "cycles"),
    [
        (0, 50e9, 1e9, 0),
        (1, 50e9, 1e9, 1),
        (50, 50e9, 1e9, 1),
        (51, 50e9, 1e9, 2),
        (100, 50e9, 1e9, 2),
        (1, 1e9, 3e9, 3),
        (7, 3e9, 1e9, 3),
        (10**12, 1e6, 1e10, 10**16),
    ],
)
def test_a_started_cycle_counts(num_bytes, bytes_per_s, clock_hz, cycles):
    assert memory(bytes_per_s).transfer_cycles(num_bytes, clock_hz) == cycles


@given(num_bytes=st.integers(0, 2**30), megabytes_per_s=st.integers(1, 10**6), clock_mhz=st.integers(1, 4000))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_bytes_are_not_there_a_cycle_earlier(num_bytes, megabytes_per_s, clock_mhz):
    cycles = memory(megabytes_per_s * 1e6).transfer_cycles(num_bytes, clock_mhz * 1e6)
    assert num_bytes * clock_mhz <= cycles * megabytes_per_s
    assert num_bytes == 0 or num_bytes * clock_mhz > (cycles - 1) * megabytes_per_s


@pytest.mark.parametrize(
    ("latency_s", "clock_hz", "cycles"),
    [(0.0, 1e9, 0), (1e-12, 1e9, 1), (100e-9, 1e9, 100), (100.1e-9, 1e9, 101), (1.5e-9, 1e9, 2), (99e-9, 1.5e9, 149)],
)
def test_the_first_byte_comes_after_the_latency(latency_s, clock_hz, cycles):
    assert memory(latency_s=latency_s).latency_cycles(clock_hz) == cycles


def test_a_whole_number_of_nanoseconds_is_as_many_cycles_of_1_ghz():
    # 61e-9 s times 1e9 Hz is above 61 in binary floating point
    for nanoseconds in range(2000):
        assert memory(latency_s=float(f"{nanoseconds}e-9")).latency_cycles(1e9) == nanoseconds


@given(picoseconds=st.integers(0, 10**9), clock_mhz=st.integers(1, 4000))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_first_byte_is_not_there_a_cycle_earlier(picoseconds, clock_mhz):
    cycles = memory(latency_s=float(f"{picoseconds}e-12")).latency_cycles(clock_mhz * 1e6)
    assert cycles == math.ceil(Fraction(picoseconds, 10**12) * clock_mhz * 10**6)


def test_every_bit_costs_the_same_in_both_directions():
    memory = load_memory("ideal", ("pj_per_bit=2.5",))
    assert memory.transfer_pj(0) == 0
    assert memory.transfer_pj(3) == 3 * 8 * 2.5


def test_the_shipped_memory_is_the_nominal_dram_of_the_study():
    ideal = load_memory("ideal")
    assert (ideal.bytes_per_s, ideal.latency_s) == (50e9, 100e-9)
    assert ideal.latency_cycles(1e9) == 100


def test_a_memory_is_set_from_the_command_line():
    changed = load_memory("ideal", ("bytes_per_s=4e9", "latency_s=0.0"))
    assert (changed.bytes_per_s, changed.latency_s) == (4e9, 0.0)


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_text(text):
        (tmp_path / "m.toml").write_text(text)
        return load_memory("m.toml")

    return load_text


def test_a_memory_is_read_from_a_file(load):
    assert load(GOOD) == memory(1e9, 1e-7)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("1e9", "0.0", ("bytes_per_s", "0.0", "1000000")),
        ("1e9", "999_999.0", ("bytes_per_s", "999999.0", "1000000")),
        ("1e9", "1e-300", ("bytes_per_s", "1e-300")),  # more cycles than a number has
        ("1e9", "1.1e15", ("bytes_per_s",)),
        ("1e9", "inf", ("bytes_per_s", "inf")),
        ("1e9", "nan", ("bytes_per_s", "nan")),
        ("1e9", "'fast'", ("bytes_per_s", "'fast'", "number")),
        ("1e-7", "-1e-9", ("latency_s", "-1e-09", "0")),
        ("1e-7", "1.1e-3", ("latency_s", "0.0011", "0.001")),
        ("bytes_per_s", "bytes_per_second", ("bytes_per_second", "did you mean 'bytes_per_s'?")),
        ("latency_s = 1e-7\n", "", ("latency_s", "missing")),
        ("pj_per_bit = 0.0", "pj_per_bit = -1.0", ("pj_per_bit", "-1.0", "0")),
        ("pj_per_bit = 0.0\n", "", ("pj_per_bit", "missing")),
        ('"ideal"', '"dramsim"', ("model", "'dramsim'", "'ideal'")),
        ('name = "test"', "name = 3", ("name", "3")),
    ],
)
def test_what_is_no_memory_is_one_line(load, old, new, named):
    with pytest.raises(ConfigError) as error:
        load(GOOD.replace(old, new))
    text = str(error.value)
    assert text.startswith("m.toml")
    assert text.isprintable()
    for part in named:
        assert part in text


def test_the_limits_themselves_are_memories(load):
    assert load(GOOD.replace("1e9", "1e6")).bytes_per_s == 1e6
    assert load(GOOD.replace("1e9", "1e15")).bytes_per_s == 1e15
    assert load(GOOD.replace("1e-7", "1e-3")).latency_s == 1e-3


def test_an_unknown_memory_names_the_nearest():
    with pytest.raises(ConfigError, match=r"^'ideel': unknown memory; .*did you mean 'ideal'\?$"):
        load_memory("ideel")
