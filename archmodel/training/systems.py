"""One device, its memory and its link to the host: what an iteration is timed on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.interconnect.link import load_link
from archmodel.interconnect.sharing import LinkConfig
from archmodel.training.devices import open_device
from archmodel.training.step_times import Device, Mode

MAX_MEMORY_BYTES = 2**62


class SystemConfig(config.FrozenModel):
    """A file of configs/systems/; another file that it names has a bare name, or a path from its own folder."""

    name: str
    device: str  # of configs/devices/ or configs/accelerators/
    link: str  # of configs/links/
    mode: Mode  # of convolutions, where a run is not told another one
    memory: str | None = None  # of configs/memory/, behind a machine of configs/accelerators/
    memory_bytes: Annotated[int, Field(ge=1, le=MAX_MEMORY_BYTES)] | None = None  # in the place of the device's own


@dataclass(frozen=True)
class System:
    """What a file of configs/systems/ names, opened.

    memory_bytes : capacity; None where nothing is known of it
    """

    name: str
    device: Device
    link: LinkConfig
    mode: Mode
    memory_bytes: int | None


def load_system(name_or_path: str | Path, assignments: tuple[str, ...] = (), option: str = "--set system.") -> System:
    """Read and check a system of configs/systems/ or a TOML file, its device and its link; ConfigError in one line."""
    checked = config.load("systems", name_or_path, SystemConfig, assignments, option)
    path, source = config.locate("systems", name_or_path)
    try:
        memory = None if checked.memory is None else _from(path, checked.memory)
        device, link = open_device(_from(path, checked.device), memory=memory), load_link(_from(path, checked.link))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    memory_bytes = device.memory_bytes if checked.memory_bytes is None else checked.memory_bytes
    return System(checked.name, device, link, checked.mode, memory_bytes)


def system_of(device: str | Path, link: str | Path, memory: str | None = None, mode: Mode = "performance") -> System:
    """A system that no file describes: a device of `archmodel list devices`, or a machine of `sim` and a memory."""
    opened = open_device(device, memory=memory)
    return System(opened.name, opened, load_link(str(link)), mode, opened.memory_bytes)


def _from(path: Path, name: str) -> str:
    """A bare name as it is, a file's own path from the folder of the file that names it."""
    return str(path.parent / name) if name.endswith(".toml") else name
