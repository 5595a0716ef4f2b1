"""What a layer moves to and from DRAM, and how long a memory takes for it."""

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from archmodel import config
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.transfers import Int64, Phases, Transfers

StreamKind = Literal["weight", "input", "output", "psum"]
Direction = Literal["read", "write"]
STREAM_ORDER = tuple(product(get_args(StreamKind), get_args(Direction)))  # of the streams of a phase


@dataclass(frozen=True)
class Stream:
    """Consecutive bytes that one tile of a layer reads from or writes to DRAM, after encoding."""

    kind: StreamKind
    direction: Direction
    num_bytes: int
    tile: int = 0  # index of the temporal tile that needs it


class IdealMemoryConfig(config.FrozenModel):
    """A memory with a fixed bandwidth, latency and energy of a bit."""

    model: Literal["ideal"]
    name: str
    bytes_per_s: Annotated[float, Field(ge=1e6, le=1e15)]
    latency_s: Annotated[float, Field(ge=0, le=1e-3)]
    pj_per_bit: Annotated[float, Field(ge=0, le=1e6)]

    @property
    def extent(self) -> None:
        """Nothing is run: time follows from the bytes."""
        return None

    def transfers(self, phases: Phases, clock_hz: float, port_bytes_per_s: float | None = None) -> Transfers:
        """The time of phases; every one begins with a cycle."""
        port = self
        if port_bytes_per_s is not None:
            port = self.model_copy(update={"bytes_per_s": min(self.bytes_per_s, port_bytes_per_s)})
        sizes, phase = np.unique(phases.num_bytes.sum(axis=1), return_inverse=True)  # few sizes, of many phases
        cycles = integers([port.transfer_cycles(int(size), clock_hz) for size in sizes])
        return Transfers(self.latency_cycles(clock_hz) if phases.streams else 0, cycles[phase])

    def idle_pj(self, seconds: float) -> float:
        """Nothing: a bit is all that takes energy."""
        return 0.0

    def transfer_cycles(self, num_bytes: int, clock_hz: float) -> int:
        """Cycles of `clock_hz` that a transfer takes at full bandwidth, latency apart."""
        return math.ceil(num_bytes * clock_hz / self.bytes_per_s)

    def transfer_pj(self, num_bytes: int) -> float:
        """Energy of a transfer in either direction."""
        return 8 * num_bytes * self.pj_per_bit

    def latency_cycles(self, clock_hz: float) -> int:
        """Cycles from a request to its first byte."""
        # The decimal number that was written: 61e-9 s as a binary float is 61.00000000000001 cycles of 1 GHz.
        return math.ceil(Fraction(str(self.latency_s)) * Fraction(clock_hz))


def integers(values: list[int]) -> Int64:
    """An array of them; of Python's own where 64 bits do not hold the largest."""
    return np.array(values, np.int64 if max(values, default=0) < 2**63 else object)


MODELS: dict[str, type[IdealMemoryConfig] | type[BankMemoryConfig]] = {
    "ideal": IdealMemoryConfig,
    "banks": BankMemoryConfig,
}


def load_memory(
    name_or_path: str, assignments: tuple[str, ...] = (), option: str = "--set memory."
) -> IdealMemoryConfig | BankMemoryConfig:
    """Read and check a memory of configs/memory/ or a TOML file by its key `model`; `option` as in `config.load`."""
    data, source = config.read("memory", name_or_path)
    model = data.get("model")
    if not isinstance(model, str) or model not in MODELS:
        allowed = " or ".join(map(repr, MODELS))
        if "model" not in data:
            raise ConfigError(f"{source}: model: required key is missing; allowed: {allowed}")
        raise ConfigError(f"{source}: model = {show(model)}: must be {allowed}{did_you_mean(str(model), MODELS)}")
    return config.checked(data, source, MODELS[model], assignments, option)
