"""From a name to what computes the steps of an iteration: a GPU or a table of times."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from archmodel import config
from archmodel.accelerators.gpu_config import DeviceConfig, load_device
from archmodel.accelerators.measured_times import load_measured
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.training.gpu_device import GpuDevice
from archmodel.training.measured_device import MeasuredDevice
from archmodel.training.step_times import Device

TIMES = (".csv",)
OPTION = "--set device."


class MeasuredDeviceConfig(config.FrozenModel):
    """A table of layer times and the device that it was measured on."""

    model: Literal["measured"]
    name: str
    times: str  # a CSV file of configs/published/, or beside the file itself
    device: str  # a GPU of configs/devices/: for the memory and for what a backward pass spends on which gradient


def open_device(name_or_path: str | Path, assignments: tuple[str, ...] = (), option: str = OPTION) -> Device:
    """Read and check a device of configs/devices/ or a TOML file by its key `model`; `option` as in `config.load`."""
    data, source = config.read("devices", name_or_path)
    model = data.get("model")
    if not isinstance(model, str) or model not in MODELS:
        allowed = " or ".join(map(repr, MODELS))
        if "model" not in data:
            raise ConfigError(f"{source}: model: required key is missing; allowed: {allowed}")
        raise ConfigError(f"{source}: model = {show(model)}: must be {allowed}{did_you_mean(str(model), MODELS)}")
    return MODELS[model](name_or_path, assignments, option)


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


MODELS: dict[str, Callable[[Any, tuple[str, ...], str], Device]] = {"gpu": _gpu, "measured": _measured}
