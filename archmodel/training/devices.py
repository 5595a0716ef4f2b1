"""From a name to what computes the steps of an iteration: a GPU, a table of times, an array of PEs, a machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from archmodel import config
from archmodel.accelerators.gpu_config import DeviceConfig, load_device
from archmodel.accelerators.measured_times import load_measured
from archmodel.accelerators.plug_in import SUFFIX
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.spatial import SpatialConfig
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.memory.bank_memory import BankMemory
from archmodel.memory.dram import IdealMemoryConfig, load_memory
from archmodel.training.gpu_device import GpuDevice
from archmodel.training.machine_device import MachineDevice
from archmodel.training.measured_device import MeasuredDevice
from archmodel.training.spatial_device import SpatialDevice
from archmodel.training.step_times import Device

TIMES = (".csv",)
OPTION = "--set device."


class MeasuredDeviceConfig(config.FrozenModel):
    """A table of layer times and the device that it was measured on."""

    model: Literal["measured"]
    name: str
    times: str  # a CSV file of configs/published/, or beside the file itself
    device: str  # a GPU of configs/devices/: for the memory and for what a backward pass spends on which gradient


def open_device(
    name_or_path: str | Path, assignments: tuple[str, ...] = (), option: str = OPTION, memory: str | None = None
) -> Device:
    """A device of configs/devices/, a machine of configs/accelerators/, or a TOML file of one of them.

    memory : behind a machine, a name of configs/memory/ or a TOML file, `ideal` when None; other devices have their own
    option : as in `config.load`
    """
    if kind_of(str(name_or_path)) == "accelerators":
        machine = load_machine(str(name_or_path), assignments, option=option)
        behind = load_memory("ideal" if memory is None else memory)
        return MachineDevice(machine, behind if isinstance(behind, IdealMemoryConfig) else BankMemory(behind))
    data, source = config.read("devices", name_or_path)
    model = data.get("model")
    if not isinstance(model, str) or model not in MODELS:
        allowed = " or ".join(map(repr, MODELS))
        if "model" not in data:
            raise ConfigError(f"{source}: model: required key is missing; allowed: {allowed}")
        raise ConfigError(f"{source}: model = {show(model)}: must be {allowed}{did_you_mean(str(model), MODELS)}")
    if memory is not None:
        raise ConfigError(f"memory = {show(memory)}: {source} has its own; allowed: behind a machine of 'sim'")
    return MODELS[model](name_or_path, assignments, option)


def kind_of(name: str) -> str:
    """The folder of configurations that a device is of; ConfigError with the names of both where neither has it."""
    known = {kind: config.names(kind) for kind in ("devices", "accelerators")}
    if any(name in names for names in known.values()):
        return "devices" if name in known["devices"] else "accelerators"
    if not name.endswith(".toml"):
        names = [one for of_kind in known.values() for one in of_kind]
        allowed = f"{', '.join(names)} or the path of a .toml file"
        raise ConfigError(f"{show(name)}: unknown device; allowed: {allowed}{did_you_mean(name, names)}")
    data, _, _ = config.written("devices", name)
    if "base" in data:
        return "accelerators" if data["base"] in known["accelerators"] else "devices"
    machines = {config.read("accelerators", one)[0]["model"] for one in known["accelerators"]}
    model = data.get("model")
    is_machine = isinstance(model, str) and (model in machines or model.endswith(SUFFIX))
    return "accelerators" if is_machine else "devices"


def _gpu(name_or_path: str | Path, assignments: tuple[str, ...], option: str) -> GpuDevice:
    return GpuDevice(config.load("devices", name_or_path, DeviceConfig, assignments, option))


def _measured(name_or_path: str | Path, assignments: tuple[str, ...], option: str) -> MeasuredDevice:
    checked = config.load("devices", name_or_path, MeasuredDeviceConfig, assignments, option)
    path, source = config.locate("devices", name_or_path)
    if not checked.times.endswith(TIMES):
        raise ConfigError(f"{source}: times = {show(checked.times)}: must be the name of a .csv file")
    published = config.folder("published") / checked.times
    rows = load_measured(published if published.is_file() else path.parent / checked.times)
    return MeasuredDevice(checked.name, rows, GpuDevice(load_device(checked.device)))


def _spatial(name_or_path: str | Path, assignments: tuple[str, ...], option: str) -> SpatialDevice:
    return SpatialDevice(config.load("devices", name_or_path, SpatialConfig, assignments, option))


MODELS: dict[str, Callable[[str | Path, tuple[str, ...], str], Device]] = {
    "gpu": _gpu,
    "measured": _measured,
    "spatial": _spatial,
}
