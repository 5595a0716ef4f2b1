"""From a name to a machine: a configuration and the module that models it."""

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.result import LayerResult
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.energy import Component, Counts, area_mm2, energy_pj
from archmodel.memory.technology import Technology, load_technology
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands

PARTS = ("KINDS", "Config", "run_layer")  # of a module that models a machine


class MachineConfig(Protocol):
    """What a run asks of any machine's configuration."""

    name: str
    clock_hz: float
    technology: str

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""

    @property
    def activation_bytes(self) -> int:
        """Bytes of the buffers in which feature maps can stay between layers."""

    @property
    def components(self) -> tuple[Component, ...]:
        """What the machine is built of; a component has the name under which its actions are counted."""

    def stored_bytes(self, words: int, density: float) -> int:
        """Bytes of a feature map as it is stored."""

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether all inputs and all outputs of a layer fit the buffers."""

    def model_dump(self) -> dict[str, Any]:
        """The configuration as a dictionary."""


@dataclass(frozen=True)
class Machine:
    """A configured accelerator."""

    arch: str
    model: str
    config: MachineConfig
    module: ModuleType
    technology: Technology

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of layers that the machine runs."""
        return tuple(self.module.KINDS)

    @property
    def area_mm2(self) -> dict[str, float]:
        """Area by component, then the filler cells."""
        return area_mm2(self.technology, self.config.components)

    def run_layer(self, layer: Layer, operands: Operands, context: Context) -> LayerResult:
        """Cycles and counts of a layer: all its units when `context.fidelity` is exact, a sample when it is sampled."""
        return self._with_energy(self.module.run_layer(self.config, layer, operands, context), context)

    def expect_layer(self, layer: Layer, densities: Densities, context: Context) -> LayerResult:
        """Expected cycles and counts of a layer of which only the densities are known."""
        return self._with_energy(self.module.expect_layer(self.config, layer, densities, context), context)

    def _with_energy(self, result: LayerResult, context: Context) -> LayerResult:
        assert isinstance(result, LayerResult)
        counts = Counts(result.words_read, result.words_written, result.operations)
        time_s, dram_pj = result.cycles / self.config.clock_hz, context.memory.transfer_pj(result.dram_bytes)
        return replace(result, energy_pj=energy_pj(self.technology, self.config.components, counts, time_s, dram_pj))


def load_machine(name_or_path: str, assignments: tuple[str, ...] = (), technology: str | None = None) -> Machine:
    """Read and check a machine of configs/accelerators/ or a TOML file; its key `model` names the module.

    technology : a node of configs/technology/ or a TOML file; the machine's own when None
    """
    data, source = config.read("accelerators", name_or_path)
    model = data.get("model")
    known = sorted({config.read("accelerators", name)[0].get("model", "") for name in config.names("accelerators")})
    home = f"archmodel.accelerators.{model}"
    if not isinstance(model, str) or not model.isidentifier() or find_spec(home) is None:
        nearest = did_you_mean(str(model), known)
        raise ConfigError(f"{source}: model = {show(model)}: unknown model; allowed: {', '.join(known)}{nearest}")
    module = import_module(home)
    if not all(hasattr(module, name) for name in PARTS):
        raise ConfigError(f"{source}: model = {show(model)}: is not a machine; allowed: {', '.join(known)}")
    checked = config.load("accelerators", name_or_path, module.Config, assignments)
    node = load_technology(checked.technology if technology is None else technology)
    return Machine(source_name(name_or_path), model, checked, module, node)


def source_name(name_or_path: str) -> str:
    """The short name of a configuration: a file's stem."""
    return name_or_path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".toml")
