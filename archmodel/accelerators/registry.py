"""From a name to a machine: a configuration and the module that models it."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from archmodel import config
from archmodel.accelerators.context import Context
from archmodel.accelerators.result import LayerResult
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands


class MachineConfig(Protocol):
    """What a run asks of any machine's configuration."""

    name: str
    clock_hz: float

    @property
    def num_multipliers(self) -> int:
        """Multipliers of the machine."""

    @property
    def activation_bytes(self) -> int:
        """Bytes of the buffers in which feature maps can stay between layers."""

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

    def run_layer(self, layer: Layer, operands: Operands, context: Context) -> LayerResult:
        """Exact cycles and counts of a conv or fc layer."""
        result = import_module(f"archmodel.accelerators.{self.model}").run_layer(self.config, layer, operands, context)
        assert isinstance(result, LayerResult)
        return result


def load_machine(name_or_path: str, assignments: tuple[str, ...] = ()) -> Machine:
    """Read and check a machine of configs/accelerators/ or a TOML file; its key `model` names the module."""
    data, source = config.read("accelerators", name_or_path)
    model = data.get("model")
    known = sorted({config.read("accelerators", name)[0].get("model", "") for name in config.names("accelerators")})
    home = f"archmodel.accelerators.{model}"
    if not isinstance(model, str) or not model.isidentifier() or find_spec(home) is None:
        nearest = did_you_mean(str(model), known)
        raise ConfigError(f"{source}: model = {show(model)}: unknown model; allowed: {', '.join(known)}{nearest}")
    module = import_module(home)
    if not hasattr(module, "Config") or not hasattr(module, "run_layer"):
        raise ConfigError(f"{source}: model = {show(model)}: is not a machine; allowed: {', '.join(known)}")
    checked = config.load("accelerators", name_or_path, module.Config, assignments)
    return Machine(arch=source_name(name_or_path), model=model, config=checked)


def source_name(name_or_path: str) -> str:
    """The short name of a configuration: a file's stem."""
    return name_or_path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".toml")
