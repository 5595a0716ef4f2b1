"""From a name to a machine: a configuration and the module that models it."""

from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from archmodel import config
from archmodel.accelerators import lowering, plug_in
from archmodel.accelerators.context import Context
from archmodel.accelerators.result import LayerResult
from archmodel.errors import ConfigError, WorkloadError, did_you_mean, show
from archmodel.memory.energy import Component, Counts, area_mm2, energy_pj
from archmodel.memory.technology import Technology, load_technology
from archmodel.network.layer import Layer
from archmodel.operands.operands import Densities, Operands


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


REQUIRED = (*MachineConfig.__annotations__, *(name for name in vars(MachineConfig) if name[0] != "_"))


@dataclass(frozen=True)
class Machine:
    """A configured accelerator."""

    arch: str
    model: str
    config: MachineConfig
    module: ModuleType
    technology: Technology
    precision: str | None = None  # what was asked for in the place of the widths of its file

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of layers that the machine has; lowering.py says which others run on these."""
        return tuple(self.module.KINDS)

    @property
    def area_mm2(self) -> dict[str, float]:
        """Area by component, then the filler cells."""
        return area_mm2(self.technology, self.config.components)

    def runs(self, layer: Layer) -> bool:
        """Whether the machine runs the layer, itself or lowered."""
        return lowering.runs(self.kinds, layer)

    def check_runs(self, layer: Layer) -> None:
        """Raise WorkloadError unless the machine runs the layer."""
        if not self.runs(layer):
            allowed = ", ".join(dict.fromkeys((*self.kinds, *lowering.lowered_kinds(self.kinds))))
            raise WorkloadError(
                f"layer {show(layer.name)}: {self.arch} runs no {layer.kind}; allowed: {allowed},"
                " or --skip-unsupported, which leaves such layers out"
            )

    def fits(self, layer: Layer, input_density: float, output_density: float) -> tuple[bool, bool]:
        """Whether all inputs and all outputs of a layer fit the buffers."""
        return self.config.fits(lowering.stored_as(self.kinds, layer), input_density, output_density)

    def run_layer(self, layer: Layer, operands: Operands, context: Context) -> LayerResult:
        """Cycles and counts of a layer: all its units when `context.fidelity` is exact, a sample when it is sampled."""
        self.check_runs(layer)

        def run(part: Layer, own: Operands, surroundings: Context) -> LayerResult:
            return with_interval(self.module.run_layer(self.config, part, own, surroundings), surroundings)

        with plug_in.errors_of(self.module, f"{self.model}: layer {show(layer.name)}"):
            result = lowering.run_lowered(self.kinds, self.config, layer, operands, context, run)
            return self._with_energy(result, context)

    def expect_layer(self, layer: Layer, densities: Densities, context: Context) -> LayerResult:
        """Expected cycles and counts of a layer of which only the densities are known."""
        self.check_runs(layer)

        def run(part: Layer, own: Densities, surroundings: Context) -> LayerResult:
            return with_interval(self.module.expect_layer(self.config, part, own, surroundings), surroundings)

        with plug_in.errors_of(self.module, f"{self.model}: layer {show(layer.name)}"):
            result = lowering.expect_lowered(self.kinds, self.config, layer, densities, context, run)
            return self._with_energy(result, context)

    def _with_energy(self, result: LayerResult, context: Context) -> LayerResult:
        counts = Counts(result.words_read, result.words_written, result.operations)
        time_s, dram_pj = result.cycles / self.config.clock_hz, result.energy_pj.get("dram")
        if dram_pj is None:
            dram_pj = context.memory.transfer_pj(result.dram_bytes)
        energy = energy_pj(self.technology, self.config.components, counts, time_s, dram_pj)
        return replace(result, energy_pj=energy)


def with_interval(result: LayerResult, context: Context) -> LayerResult:
    """A machine's result; a sampled layer of which nothing was left out gets its cycles as the interval."""
    if not isinstance(result, LayerResult):
        raise TypeError(f"the machine returned {type(result).__name__}, not LayerResult")
    point = (result.cycles, result.cycles) if context.sampled else None
    return replace(result, cycles_ci95=result.cycles_ci95 or point)


def load_machine(
    name_or_path: str,
    assignments: tuple[str, ...] = (),
    technology: str | None = None,
    option: str = "--set ",
    precision: str | None = None,
) -> Machine:
    """Read and check a machine of configs/accelerators/ or a TOML file; `option` as in `config.load`.

    Its key `model` names a module of archmodel.accelerators, or with '.py' a Python file beside the TOML file.
    technology : a node of configs/technology/ or a TOML file; the machine's own when None
    precision : one of the file's [precisions], put in before the assignments
    """
    data, source = config.read("accelerators", name_or_path)
    known = config.variants("accelerators", name_or_path)
    if precision is not None and precision not in known:
        raise unknown_precision(name_or_path, precision, list(known))
    model, where = data.get("model"), f"{source}: model = {show(data.get('model'))}"
    if isinstance(model, str) and model.endswith(plug_in.SUFFIX):
        path, _ = config.locate("accelerators", name_or_path)
        module = plug_in.load(path.parent, model, where)
    else:
        module = built_in(model, where)
    checked = config.checked(data, source, module.Config, assignments if precision is None else (), option)
    for name, changes in known.items():  # a mistake in any of them is one of the file
        place, own = f"{source} [precisions.{name}]", assignments if name == precision else ()
        other = config.checked(config.merged(data, changes), place, module.Config, own, option)
        checked = other if name == precision else checked
    with plug_in.errors_of(module, where):
        missing = [name for name in REQUIRED if not hasattr(checked, name)]
    if missing:
        raise ConfigError(f"{where}: Config lacks {', '.join(missing)}; it needs {', '.join(REQUIRED)}")
    node = load_technology(checked.technology if technology is None else technology)
    return Machine(source_name(name_or_path), str(model), checked, module, node, precision)


def unknown_precision(name_or_path: str, precision: str, known: list[str]) -> ConfigError:
    """What to say of a precision that a machine does not have."""
    has = f"has {', '.join(known)}" if known else "has no precision but its own"
    nearest = did_you_mean(precision, known)
    return ConfigError(f"--precision {show(precision)}: {show(source_name(name_or_path))} {has}{nearest}")


def built_in(model: object, where: str) -> ModuleType:
    """The module of a machine of the package; ConfigError starting with `where` if it is none."""
    known = sorted({config.read("accelerators", name)[0].get("model", "") for name in config.names("accelerators")})
    allowed = f"allowed: {', '.join(known)} or the name of a Python file beside it"
    home = f"archmodel.accelerators.{model}"
    if not isinstance(model, str) or not model.isidentifier() or find_spec(home) is None:
        raise ConfigError(f"{where}: unknown model; {allowed}{did_you_mean(str(model), known)}")
    module = import_module(home)
    if not all(hasattr(module, name) for name in plug_in.PARTS):
        raise ConfigError(f"{where}: is not a machine; {allowed}")
    return module


def source_name(name_or_path: str) -> str:
    """The short name of a configuration: a file's stem."""
    return name_or_path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".toml").removesuffix(".onnx")
