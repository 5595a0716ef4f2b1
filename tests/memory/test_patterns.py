"""Patterns: their addresses by hand, their arrivals and writes by count, and options that cannot be."""

import numpy as np
import pytest

from archmodel.errors import ConfigError
from archmodel.memory.patterns import PATTERNS, Pattern

CAPACITY, PEAK = 2**20, 16.0  # bytes, bytes a cycle


def made(name, rate=None, seed=0, access_bytes=64, **options):
    return Pattern.of(name, options, access_bytes, rate, seed)


def trace(name, **options):
    return made(name, **options).trace(CAPACITY, PEAK)


def test_sequential_requests_touch():
    found = trace("sequential", requests=4, request_bytes=100)
    assert found.addresses.tolist() == [0, 100, 200, 300]
    assert found.cycles.tolist() == [0, 0, 0, 0]
    assert not found.writes.any()


def test_strides_are_those_asked_for():
    assert trace("strided", requests=3, stride_bytes=1000).addresses.tolist() == [0, 1000, 2000]
    assert trace("strided", requests=3).addresses.tolist() == [0, 4096, 8192]


def test_random_addresses_are_aligned_and_everywhere():
    found = trace("random", requests=10_000).addresses
    assert (found % 64 == 0).all()
    assert found.min() < 1000
    assert CAPACITY - 1000 < found.max() < CAPACITY
    counts = np.bincount(found * 16 // CAPACITY, minlength=16)
    assert abs(counts - 625).max() < 5 * 625**0.5
    assert np.unique(trace("random", requests=100, alignment_bytes=CAPACITY // 2).addresses).tolist() == [0, 2**19]
    assert np.unique(trace("random", requests=100, alignment_bytes=2 * CAPACITY).addresses).tolist() == [0]


def test_the_seed_decides():
    one, same, other = (trace("random", seed=seed, write_share=0.5) for seed in (1, 1, 2))
    assert (one.addresses == same.addresses).all()
    assert (one.writes == same.writes).all()
    assert (one.addresses != other.addresses).any()
    assert (one.writes != other.writes).any()


def test_streams_take_turns_behind_each_other():
    found = trace("streams", requests=8, streams=2, chunk_bytes=128, request_bytes=64)
    assert found.addresses.tolist() == [0, 64, 256, 320, 128, 192, 384, 448]


def test_streams_begin_at_multiples_of_the_alignment():
    found = trace("streams", requests=6, streams=3, chunk_bytes=64, alignment_bytes=1000)
    assert found.addresses.tolist() == [0, 1000, 2000, 64, 1064, 2064]
    longer = trace("streams", requests=64, streams=2, chunk_bytes=64, alignment_bytes=1000)
    assert longer.addresses[1] == 3000  # a stream of 32 x 64 bytes lies below it


def test_whole_streams_write():
    found = trace("streams", requests=6, streams=3, chunk_bytes=64, write_share=1 / 3)
    assert found.writes.tolist() == [False, False, True] * 2
    assert trace("streams", requests=6, streams=3, chunk_bytes=64, write_share=0.67).writes.sum() == 4
    with pytest.raises(ConfigError, match=r"--write-share 0\.5: of 3 streams; allowed: 0, 0\.333, 0\.667, 1"):
        made("streams", streams=3, write_share=0.5)


@pytest.mark.parametrize("name", ["sequential", "random", "strided"])
def test_exactly_as_many_requests_write_as_asked_for(name):
    writes = trace(name, requests=1000, write_share=0.25).writes
    assert writes.sum() == 250
    assert 80 < writes[:500].sum() < 170  # spread


def test_a_rate_is_bytes_over_cycles_at_even_distances():
    found = trace("sequential", requests=5, rate=0.5, request_bytes=100).cycles
    assert found.tolist() == [0, 12, 25, 37, 50]  # 12.5 cycles of 8 bytes


def test_a_turn_is_of_whole_requests():
    assert made("streams", request_bytes=1000).chunk_bytes == 5000
    assert made("streams", access_bytes=256).chunk_bytes == 4096
    with pytest.raises(ConfigError, match="--chunk-bytes 100: must be a multiple of the 64 of a request"):
        made("streams", chunk_bytes=100)


def test_a_pattern_says_what_it_uses():
    common = {"requests": 100_000, "request_bytes": 64, "write_share": 0.0, "rate": 0.5, "seed": 3}
    own = {"sequential": {}, "random": {"alignment_bytes": 64}, "strided": {"stride_bytes": 4096}}
    own["streams"] = {"streams": 3, "chunk_bytes": 4096, "alignment_bytes": 64}
    for name in PATTERNS:
        assert made(name, rate=0.5, seed=3).as_dict() == {"name": name, **common, **own[name]}


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("sequental", {}, "--pattern 'sequental': allowed: sequential, random, strided, streams; did you mean 'seq"),
        ("sequential", {"stride_bytes": 5}, "--stride-bytes 5: not used by --pattern sequential; allowed with strided"),
        ("strided", {"alignment_bytes": 5}, "--alignment-bytes 5: .* allowed with random or streams"),
        ("random", {"requests": 0}, "--requests 0: must be a whole number from 1 to 100000000"),
        ("random", {"requests": 10**9}, "--requests 1000000000: must be a whole number from 1"),
        ("random", {"requests": True}, "--requests true: must be a whole number"),
        ("random", {"request_bytes": 2**20 + 1}, "--request-bytes 1048577: must be a whole number from 1 to 1048576"),
        ("random", {"write_share": 1.1}, r"--write-share 1\.1: must be from 0 to 1"),
        ("random", {"write_share": float("nan")}, "--write-share nan: must be from 0 to 1"),
        ("random", {"write_share": "1"}, "--write-share '1': must be from 0 to 1"),
        ("random", {"rate": 0}, "--rate 0: must be above 0 and at most 1"),
        ("random", {"rate": 1.5}, r"--rate 1\.5: must be above 0 and at most 1"),
        ("random", {"seed": -1}, "--seed -1: must be a whole number, at least 0"),
        ("random", {"size": 4}, "'size': unknown option; allowed: requests, request_bytes"),
        ("streams", {"streams": 0}, "--streams 0: must be a whole number from 1 to 1024"),
    ],
)
def test_what_cannot_be_is_one_line(name, options, reason):
    with pytest.raises(ConfigError, match=reason):
        made(name, **options)


def test_a_trace_that_would_never_end_is_refused():
    with pytest.raises(ConfigError, match="the last request would arrive after cycle 10000000000"):
        trace("sequential", rate=1e-9)
