"""A memory as what a trace is sent to: of every kind the same questions."""

from dataclasses import dataclass

from archmodel.memory import ideal_requests
from archmodel.memory.banks import Served, serve
from archmodel.memory.dram import IdealMemoryConfig, load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.trace import Accesses

NS_PER_S = 1e9


@dataclass(frozen=True)
class Target:
    """A memory, the bytes of its accesses, and its clock, in which traces count."""

    config: IdealMemoryConfig | BankMemoryConfig
    access_bytes: int
    capacity_bytes: int
    cycle_s: float
    peak_bytes_per_s: float
    io_pj_per_bit: float

    @classmethod
    def of(cls, name_or_path: str, assignments: tuple[str, ...] = ()) -> "Target":
        """A name of `archmodel list memory` or a TOML file; `assignments` are keys of that file."""
        config = load_memory(name_or_path, assignments)
        if isinstance(config, IdealMemoryConfig):
            sizes = ideal_requests.ACCESS_BYTES, ideal_requests.CAPACITY_BYTES
            return cls(config, *sizes, ideal_requests.CYCLE_S, config.bytes_per_s, 0.0)
        sizes = config.access_bytes, config.capacity_bytes
        cycle_s = config.timing.tCK_ns / NS_PER_S
        return cls(config, *sizes, cycle_s, config.peak_bytes_per_s, config.energy.io_pj_per_bit)

    @property
    def peak_bytes_per_cycle(self) -> float:
        """Of all data buses."""
        return self.peak_bytes_per_s * self.cycle_s

    @property
    def has_commands(self) -> bool:
        """Whether there are banks that commands are sent to."""
        return not isinstance(self.config, IdealMemoryConfig)

    def serve(self, accesses: Accesses, commands: bool) -> Served:
        """What becomes of accesses, with every command if they are asked for."""
        if isinstance(self.config, IdealMemoryConfig):
            return ideal_requests.serve_ideal(self.config, accesses.cycles, accesses.writes)
        return serve(self.config, accesses.cycles, accesses.addresses, accesses.writes, commands)
