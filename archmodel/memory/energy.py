"""Energy of a layer and area of a machine: actions times energy, leakage times time, DRAM apart.

A machine lists what it is built of, with the sizes that follow from its own parameters. A component is charged for what
a layer counts under its name: words read and written for storage, operations for arithmetic and transfers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

from archmodel.memory.technology import Technology, Unit, interpolate

Kind = Literal["sram", "register_file", "multiplier", "adder", "crossbar"]
STORAGE: tuple[Kind, ...] = ("sram", "register_file")
MM2_PER_UM2 = 1e-6
PJ_PER_MW_S = 1e9


@dataclass(frozen=True)
class Component:
    """A part of a machine, `instances` times.

    bits : of a stored word, of an operand, or of what a crossbar transfers at a time
    other_bits : of a multiplier's second operand; None, as many
    words : stored words of an instance; words_per_row : of them, those that one access reads or writes
    two_port : an SRAM that is read and written in the same cycle
    ports : inputs and outputs of a crossbar
    calibration : factor on the energy of an action, fitted as the machine's configuration says
    area_factor : factor on area and leakage, where the cells are not those of the library
    """

    name: str
    kind: Kind
    instances: int
    bits: int
    words: int = 1
    words_per_row: int = 1
    two_port: bool = False
    ports: tuple[int, int] = (1, 1)
    calibration: float = 1.0
    area_factor: float = 1.0
    other_bits: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"component {self.name}: kind {self.kind!r}; allowed: {', '.join(get_args(Kind))}")
        sizes = {name: getattr(self, name) for name in ("instances", "bits", "words", "words_per_row")}
        for name, size in (*sizes.items(), ("ports", min(self.ports))):
            if size < 1:
                raise ValueError(f"component {self.name}: {name} = {size}: must be at least 1")
        if self.other_bits is not None and (self.kind != "multiplier" or self.other_bits < 1):
            raise ValueError(f"component {self.name}: other_bits = {self.other_bits}: must be those of a multiplier")

    @property
    def stores(self) -> bool:
        """Whether it is charged for words, and not for operations."""
        return self.kind in STORAGE


@dataclass(frozen=True)
class Cost:
    """Of one instance: energy of reading and writing a word, or of an operation; its area and leakage."""

    read_pj: float
    write_pj: float
    area_mm2: float
    leakage_mw: float


@dataclass(frozen=True)
class Counts:
    """Actions of a layer by component."""

    words_read: Mapping[str, int]
    words_written: Mapping[str, int]
    operations: Mapping[str, int]

    def unknown(self, components: Sequence[Component]) -> set[str]:
        """Names that are counted and are no component of that kind: their energy would be lost."""
        stores = {component.name for component in components if component.stores}
        works = {component.name for component in components if not component.stores}
        return ({*self.words_read, *self.words_written} - stores) | (self.operations.keys() - works)


@cache
def cost_of(technology: Technology, component: Component) -> Cost:
    """Cost of one instance at the node."""
    cost = _at_anchor(technology, component)
    scale = technology.scale
    area = (scale.sram_area if component.kind == "sram" else scale.area) * component.area_factor
    energy, leakage = scale.energy * component.calibration, scale.leakage * component.area_factor
    return Cost(cost.read_pj * energy, cost.write_pj * energy, cost.area_mm2 * area, cost.leakage_mw * leakage)


def _at_anchor(technology: Technology, component: Component) -> Cost:
    bits = component.bits
    match component.kind:
        case "sram":
            return _sram(technology, component)
        case "register_file":
            stored = component.words * bits
            file = technology.register_file
            access = bits * interpolate(stored / 8, file.size_bytes, file.energy_pj_per_bit)
            return _cost(access, stored * technology.flip_flop.area_um2, stored * technology.flip_flop.leakage_mw)
        case "multiplier":
            other, reference = component.other_bits or bits, technology.multiplier.bits
            return _unit(technology.multiplier, bits / reference * (other / reference))
        case "adder":
            return _unit(technology.adder, bits / technology.adder.bits)
        case "crossbar":
            crossbar, (inputs, outputs) = technology.crossbar, component.ports
            wires = 2 * crossbar.ports * crossbar.bits
            transfer = bits * crossbar.energy_pj_per_bit * (inputs + outputs) * bits / wires
            crossings = inputs * outputs * (bits / (crossbar.ports * crossbar.bits)) ** 2
            return _cost(transfer, crossings * crossbar.area_um2, crossings * crossbar.leakage_mw)


def _sram(technology: Technology, component: Component) -> Cost:
    table = technology.sram.two_port if component.two_port else technology.sram.one_port
    rows, row_bits = component.words / component.words_per_row, component.bits * component.words_per_row
    read, write, area, leakage = (
        table.at(rows, row_bits, values) for values in (table.read_pj, table.write_pj, table.area_um2, table.leakage_mw)
    )
    of_a_row = _cost(read / component.words_per_row, area, leakage)
    return replace(of_a_row, write_pj=write / component.words_per_row)


def _unit(unit: Unit, size: float) -> Cost:
    return _cost(unit.energy_pj * size, unit.area_um2 * size, unit.leakage_mw * size)


def _cost(action_pj: float, area_um2: float, leakage_mw: float) -> Cost:
    return Cost(action_pj, action_pj, area_um2 * MM2_PER_UM2, leakage_mw)


def energy_pj(
    technology: Technology, components: Sequence[Component], counts: Counts, time_s: float, dram_pj: float
) -> dict[str, float]:
    """Energy of a layer by component, then clock, leakage and dram; ValueError if what is counted is no component."""
    if unknown := counts.unknown(components):
        raise ValueError(f"counted, but no component: {', '.join(sorted(unknown))}")
    energy = {}
    for component in components:
        cost = cost_of(technology, component)
        energy[component.name] = (
            counts.words_read.get(component.name, 0) * cost.read_pj
            + counts.words_written.get(component.name, 0) * cost.write_pj
            + counts.operations.get(component.name, 0) * cost.read_pj
        )
    energy["clock"] = technology.overhead.clock_energy * sum(energy.values())
    leakage_mw = sum(component.instances * cost_of(technology, component).leakage_mw for component in components)
    return energy | {"leakage": leakage_mw * time_s * PJ_PER_MW_S, "dram": dram_pj}


def area_mm2(technology: Technology, components: Sequence[Component]) -> dict[str, float]:
    """Area of a machine by component, then the filler cells."""
    area = {component.name: component.instances * cost_of(technology, component).area_mm2 for component in components}
    return area | {"filler": technology.overhead.filler_area * sum(area.values())}
