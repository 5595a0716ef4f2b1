"""Traces that are made rather than read: sequential, random, strided, several streams."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.trace import MAX_CYCLE, MAX_REQUEST_BYTES, MAX_REQUESTS, Bool, Int64, Trace

PATTERNS = ("sequential", "random", "strided", "streams")
# Which patterns use an option; one that is given and not used is an error.
USED_BY = {
    "stride_bytes": ("strided",),
    "streams": ("streams",),
    "chunk_bytes": ("streams",),
    "alignment_bytes": ("random", "streams"),
}
DEFAULTS = {"requests": 100_000, "write_share": 0.0, "stride_bytes": 4096, "streams": 3}
LARGEST = {"requests": MAX_REQUESTS, "stride_bytes": 2**32, "streams": 1024, "chunk_bytes": 2**30}
LARGEST |= {"alignment_bytes": 2**40, "request_bytes": MAX_REQUEST_BYTES}
SHARE_ERROR = 0.05  # of a stream, between the share of writes that is asked for and whole streams


class PatternOptions(TypedDict, total=False):
    """What a pattern can be given; None as if it were not."""

    requests: int | None  # 100,000 by default
    request_bytes: int | None  # the memory's access
    write_share: float | None  # 0
    stride_bytes: int | None  # 4096
    streams: int | None  # 3
    chunk_bytes: int | None  # the whole requests that make up 4096
    alignment_bytes: int | None  # request_bytes


@dataclass(frozen=True)
class Pattern:
    """Requests of one size to be made.

    stride_bytes : between requests of `strided`
    streams : of `streams`, each through consecutive bytes; they take turns of `chunk_bytes` and begin at multiples of
        `alignment_bytes`, one behind the other; the last ones write, as many as make up `write_share`
    alignment_bytes : of `random`, what its addresses are multiples of
    write_share : requests that write, placed at random in the other patterns
    rate : bytes asked for in a cycle, as a share of the peak, at even distances; None: all at once
    """

    name: str
    requests: int
    request_bytes: int
    write_share: float
    stride_bytes: int
    streams: int
    chunk_bytes: int
    alignment_bytes: int
    rate: float | None
    seed: int

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any], access_bytes: int, rate: float | None, seed: int) -> "Pattern":
        """A checked pattern of the options that are `given`, those that are None left out; ConfigError otherwise."""
        values = {key: value for key, value in given.items() if value is not None}
        check_options(name, values)
        if rate is not None and not (is_number(rate) and 0 < rate <= 1):
            raise ConfigError(f"--rate {show(rate)}: must be above 0 and at most 1, a share of the peak")
        if type(seed) is not int or seed < 0:
            raise ConfigError(f"--seed {show(seed)}: must be a whole number, at least 0")
        values = {**DEFAULTS, "request_bytes": access_bytes, **values}
        size = values["request_bytes"]
        values.setdefault("alignment_bytes", size)
        values.setdefault("chunk_bytes", math.ceil(4096 / size) * size)
        if name == "streams" and values["chunk_bytes"] % size:
            raise ConfigError(f"--chunk-bytes {values['chunk_bytes']}: must be a multiple of the {size} of a request")
        made = cls(name=name, rate=rate, seed=seed, **values)
        if name == "streams":
            made.num_writing_streams()
        return made

    def as_dict(self) -> dict[str, Any]:
        """The options that the pattern uses."""
        unused = [key for key, names in USED_BY.items() if self.name not in names]
        return {key: value for key, value in vars(self).items() if key not in unused}

    def trace(self, capacity_bytes: int, peak_bytes_per_cycle: float) -> Trace:
        """The requests to a memory of this size and speed."""
        rng = np.random.default_rng([self.seed, PATTERNS.index(self.name)])
        addresses = ADDRESSES[self.name](self, rng, capacity_bytes)
        writes = self._writing_streams() if self.name == "streams" else self._random_writes(rng)
        if self.rate is None:
            return Trace(np.zeros(self.requests, np.int64), addresses, writes)
        distance = self.request_bytes / (self.rate * peak_bytes_per_cycle)
        if distance * self.requests > MAX_CYCLE:
            raise ConfigError(f"--rate {self.rate}: the last request would arrive after cycle {MAX_CYCLE}")
        return Trace((np.arange(self.requests) * distance).astype(np.int64), addresses, writes)

    def _random_writes(self, rng: np.random.Generator) -> Bool:
        writes = np.zeros(self.requests, np.bool_)
        writes[: round(self.write_share * self.requests)] = True
        rng.shuffle(writes)
        return writes

    def _writing_streams(self) -> Bool:
        return self.stream_and_place()[0] >= self.streams - self.num_writing_streams()

    def num_writing_streams(self) -> int:
        """How many streams write; ConfigError if no whole number of them is near the share."""
        exact = self.write_share * self.streams
        if abs(exact - round(exact)) > SHARE_ERROR:
            allowed = ", ".join(f"{count / self.streams:.3g}" for count in range(min(self.streams, 8) + 1))
            raise ConfigError(f"--write-share {self.write_share:g}: of {self.streams} streams; allowed: {allowed}")
        return round(exact)

    def stream_and_place(self) -> tuple[Int64, Int64]:
        """The stream of each request, and how many requests of it came before."""
        in_turn = self.chunk_bytes // self.request_bytes
        index = np.arange(self.requests)
        turn = index // in_turn
        return turn % self.streams, turn // self.streams * in_turn + index % in_turn


def sequential(pattern: Pattern, _rng: np.random.Generator, _capacity_bytes: int) -> Int64:
    """One request behind the other."""
    return np.arange(pattern.requests) * pattern.request_bytes


def strided(pattern: Pattern, _rng: np.random.Generator, _capacity_bytes: int) -> Int64:
    """At even distances; a memory wraps what lies beyond its end."""
    return np.arange(pattern.requests) * pattern.stride_bytes


def random(pattern: Pattern, rng: np.random.Generator, capacity_bytes: int) -> Int64:
    """Anywhere, each place as likely."""
    num_places = max(1, capacity_bytes // pattern.alignment_bytes)
    return rng.integers(0, num_places, pattern.requests) * pattern.alignment_bytes


def streams(pattern: Pattern, _rng: np.random.Generator, _capacity_bytes: int) -> Int64:
    """Several that take turns, each through a place of its own."""
    stream, place = pattern.stream_and_place()
    longest_bytes = (int(place.max()) + 1) * pattern.request_bytes
    distance = math.ceil(longest_bytes / pattern.alignment_bytes) * pattern.alignment_bytes
    return stream * distance + place * pattern.request_bytes


ADDRESSES: dict[str, Callable[[Pattern, np.random.Generator, int], Int64]] = {
    function.__name__: function for function in (sequential, random, strided, streams)
}


def check_names(names: list[str]) -> None:
    """Raise ConfigError unless all are patterns, each once."""
    for name in names:
        if name not in PATTERNS or names.count(name) > 1:
            reason = "given twice" if name in PATTERNS else f"allowed: {', '.join(PATTERNS)}"
            raise ConfigError(f"--pattern {show(name)}: {reason}{did_you_mean(name, set(PATTERNS) - set(names))}")


def check_options(name: str, values: Mapping[str, Any]) -> None:
    """Raise ConfigError about an option that the pattern does not use, or whose value cannot be."""
    check_names([name])
    for key, value in values.items():
        if key not in PatternOptions.__annotations__:
            raise ConfigError(f"{show(key)}: unknown option; allowed: {', '.join(PatternOptions.__annotations__)}")
        option = f"--{key.replace('_', '-')} {show(value)}"
        if name not in USED_BY.get(key, PATTERNS):
            raise ConfigError(f"{option}: not used by --pattern {name}; allowed with {' or '.join(USED_BY[key])}")
        if key == "write_share" and not (is_number(value) and 0 <= value <= 1):
            raise ConfigError(f"{option}: must be from 0 to 1")
        if key in LARGEST and not (type(value) is int and 1 <= value <= LARGEST[key]):
            raise ConfigError(f"{option}: must be a whole number from 1 to {LARGEST[key]}")


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, and no boolean."""
    return type(value) in (int, float)
