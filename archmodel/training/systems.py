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
from archmodel.training.pool import MAX_BYTES
from archmodel.training.step_times import Device, Mode


class SystemConfig(config.FrozenModel):
    """A file of configs/systems/; another file that it names has a bare name, or a path from its own folder."""

    name: str
    device: str  # of configs/devices/ or configs/accelerators/
    link: str  # of configs/links/
    mode: Mode  # of convolutions, where a run is not told another one
    memory: str | None = None  # of configs/memory/, behind a machine of configs/accelerators/
    memory_bytes: Annotated[int, Field(ge=1, le=MAX_BYTES)] | None = None  # in the place of the device's own


@dataclass(frozen=True)
class System:
    """What a file of configs/systems/ names, opened.

    config : as it is written, or as if it were, where parts are others
    memory_bytes : capacity; None where nothing is known of it
    """

    config: SystemConfig
    device: Device
    link: LinkConfig
    memory_bytes: int | None

    @property
    def name(self) -> str:
        """Of the file; of the device where no file describes the system."""
        return self.config.name

    @property
    def mode(self) -> Mode:
        """Of convolutions, where a run is not told another one."""
        return self.config.mode


def load_system(
    name_or_path: str | Path,
    assignments: tuple[str, ...] = (),
    option: str = "--set system.",
    *,
    device: str | None = None,
    link: str | None = None,
    memory: str | None = None,
) -> System:
    """Read and check a system of configs/systems/ or a TOML file, its device and its link; ConfigError in one line.

    device, link : in the place of those that the file names; with another device comes its own memory
    memory : behind a machine of `sim`
    """
    checked = config.load("systems", name_or_path, SystemConfig, assignments, option)
    path, source = config.locate("systems", name_or_path)
    if device is not None:
        checked = checked.model_copy(update={"memory": None, "memory_bytes": None})
    if memory is None and checked.memory is not None:
        memory = _from(path, checked.memory)
    try:
        named = None if device is not None else open_device(_from(path, checked.device), memory=memory)
        linked = None if link is not None else load_link(_from(path, checked.link))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    asked = {"device": device, "link": link, "memory": memory}
    checked = checked.model_copy(update={key: value for key, value in asked.items() if value is not None})
    opened = named or open_device(checked.device, memory=memory)
    memory_bytes = opened.memory_bytes if checked.memory_bytes is None else checked.memory_bytes
    return System(checked, opened, linked or load_link(checked.link), memory_bytes)


def system_of(device: str | Path, link: str | Path, memory: str | None = None, mode: Mode = "performance") -> System:
    """A system that no file describes: a device of `archmodel list devices`, or a machine of `sim` and a memory."""
    opened = open_device(device, memory=memory)
    described = SystemConfig(name=opened.name, device=str(device), link=str(link), mode=mode, memory=memory)
    return System(described, opened, load_link(str(link)), opened.memory_bytes)


def _from(path: Path, name: str) -> str:
    """A bare name as it is, a file's own path from the folder of the file that names it."""
    return str(path.parent / name) if name.endswith(".toml") else name
