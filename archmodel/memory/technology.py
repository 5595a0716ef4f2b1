"""What an action costs and how large a part is at a technology node; configs/technology/ has the figures and sources.

A file gives figures of one published width or a table over sizes. What they become for another width, size or node:
adders and registers are proportional to their bits, multipliers to the product of the bits of both operands; SRAMs and
register files are interpolated in logarithms, beyond the table along its last segment; a transfer through a crossbar
drives a wire over all outputs and one over all inputs, its area is that of the crossings; the node's [scale] multiplies
energy, area (SRAM apart) and leakage.
"""

from functools import cache
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from archmodel import config

Positive = Annotated[float, Field(ge=1e-15, le=1e12)]
LEAST_STEP = 1.1  # from a position of a table to the next: a slope is of two figures, not of their rounding
FURTHEST = 1e30  # times a figure of a table: no size of a component is further beyond it
Share = Annotated[float, Field(ge=0, le=10)]
Points = Annotated[tuple[Positive, ...], Field(strict=False, min_length=2)]
Table = Annotated[tuple[Points, ...], Field(strict=False, min_length=2)]


class Scale(config.FrozenModel):
    """Factors from the figures of a file to those of its node."""

    energy: Positive
    area: Positive
    sram_area: Positive
    leakage: Positive


class Cell(config.FrozenModel):
    """Area and leakage of one bit."""

    area_um2: Positive
    leakage_mw: Positive


class Unit(Cell):
    """An arithmetic unit of `bits`, with the energy of an operation; area and leakage of all of it."""

    bits: Annotated[int, Field(ge=1, le=1024)]
    energy_pj: Positive


class Crossbar(Cell):
    """A crossbar of `ports` inputs and outputs of `bits`, with the energy of one bit through it."""

    ports: Annotated[int, Field(ge=1, le=65536)]
    bits: Annotated[int, Field(ge=1, le=65536)]
    energy_pj_per_bit: Positive


class RegisterFile(config.FrozenModel):
    """Energy of reading or writing one bit, by the size of the file."""

    size_bytes: Points
    energy_pj_per_bit: Points

    @model_validator(mode="after")
    def _one_energy_a_size(self) -> "RegisterFile":
        if len(self.size_bytes) != len(self.energy_pj_per_bit) or not ascends(self.size_bytes):
            raise ValueError("size_bytes must ascend, by a tenth or more, with an energy_pj_per_bit for each")
        return self


class SramTable(config.FrozenModel):
    """SRAMs by words (rows of the tables) and bits of a word (columns): energy of an access, area, leakage."""

    words: Points
    word_bits: Points
    read_pj: Table
    write_pj: Table
    area_um2: Table
    leakage_mw: Table

    @model_validator(mode="after")
    def _full_tables(self) -> "SramTable":
        shape = (len(self.words), len(self.word_bits))
        if not (ascends(self.words) and ascends(self.word_bits)):
            raise ValueError("words and word_bits must ascend, by a tenth or more")
        for name in ("read_pj", "write_pj", "area_um2", "leakage_mw"):
            rows = getattr(self, name)
            if (len(rows), *{len(row) for row in rows}) != shape:
                raise ValueError(f"{name}: must have {shape[0]} rows of {shape[1]} values")
        return self

    def at(self, words: float, word_bits: float, table: Table) -> float:
        """A value of one of the tables for any size."""
        column = [interpolate(word_bits, self.word_bits, row) for row in table]
        return interpolate(words, self.words, tuple(column))


class Srams(config.FrozenModel):
    """SRAMs with one port for both directions, and with a port for each."""

    one_port: SramTable
    two_port: SramTable


class Overhead(config.FrozenModel):
    """Shares added to what the components take: the clock network to dynamic energy, filler cells to area."""

    clock_energy: Share
    filler_area: Share


class Technology(config.FrozenModel):
    """A technology node."""

    name: str
    node_nm: Annotated[float, Field(gt=0, le=1000)]
    supply_v: Annotated[float, Field(gt=0, le=10)]
    scale: Scale
    multiplier: Unit
    adder: Unit
    flip_flop: Cell
    register_file: RegisterFile
    crossbar: Crossbar
    sram: Srams
    overhead: Overhead

    def __hash__(self) -> int:
        """Of the head alone: costs are looked up for every layer, and all the tables take long to hash."""
        return hash((self.name, self.node_nm, self.supply_v))


def load_technology(name_or_path: str) -> Technology:
    """Read and check a node of configs/technology/ or a TOML file."""
    return _built_in(name_or_path) if name_or_path in config.names("technology") else _read(name_or_path)


def _read(name_or_path: str) -> Technology:
    return config.load("technology", name_or_path, Technology)


_built_in = cache(_read)  # one object a node: sweeps of thousands of points look costs up by it


def ascends(values: tuple[float, ...]) -> bool:
    """Whether each value is larger than the one before, by a tenth or more."""
    return all(LEAST_STEP * low <= high for low, high in pairwise(values))


def interpolate(at: float, positions: tuple[float, ...], values: tuple[float, ...]) -> float:
    """The value at `at`, along straight lines in the logarithms of both; beyond the ends along the last of them."""
    index = min(max(int(np.searchsorted(positions, at)), 1), len(positions) - 1)
    low, high = positions[index - 1], positions[index]
    share = np.log(at / low) / np.log(high / low)
    before, after = values[index - 1], values[index]
    if abs(share * np.log(after / before)) > np.log(FURTHEST):
        return before * (FURTHEST if (share > 0) == (after > before) else 1 / FURTHEST)
    return float(before * (after / before) ** share)
