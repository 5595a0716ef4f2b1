"""A link by its name: PCI Express, NVLink, one of measured rates, and one that takes no time."""

from typing import Annotated, Literal

from pydantic import Field

from archmodel import config
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.interconnect.pcie import PcieConfig
from archmodel.interconnect.sharing import BytesPerSecond, Direction, LinkConfig


class SymmetricLinkConfig(LinkConfig):
    """A link of which each direction has a rate of its own and no packets are modelled."""

    @property
    def rate_bytes_per_s(self) -> float:
        """Payload per second and direction."""
        raise NotImplementedError

    @property
    def own_limits(self) -> dict[str, float]:
        """Both directions, at the same rate."""
        return {"down": self.rate_bytes_per_s, "up": self.rate_bytes_per_s}

    def own_usage(self, direction: Direction, num_bytes: int) -> dict[str, float]:
        """The bytes themselves, in their direction."""
        return {"down" if direction == "upload" else "up": float(num_bytes)}


class NvlinkConfig(SymmetricLinkConfig):
    """Links between two devices, ganged: a transfer goes over all of them."""

    model: Literal["nvlink"]
    links: Annotated[int, Field(ge=1, le=64)]
    link_bytes_per_s: BytesPerSecond  # of a link and direction
    efficiency_calibration: Annotated[float, Field(gt=0, le=1)]  # of the raw rate, in long transfers

    @property
    def raw_bytes_per_s(self) -> float:
        """Bytes per second and direction."""
        return self.links * self.link_bytes_per_s

    @property
    def rate_bytes_per_s(self) -> float:
        """The measured share of the raw rate."""
        return self.raw_bytes_per_s * self.efficiency_calibration


class MeasuredLinkConfig(SymmetricLinkConfig):
    """A link of which only the rate of long transfers is known."""

    model: Literal["measured"]
    bytes_per_s_calibration: BytesPerSecond

    @property
    def rate_bytes_per_s(self) -> float:
        """As measured."""
        return self.bytes_per_s_calibration


class InfiniteLinkConfig(LinkConfig):
    """A link that takes no time, the oracle of studies; a host's DRAM may still limit it."""

    model: Literal["infinite"]

    @property
    def own_limits(self) -> dict[str, float]:
        """None."""
        return {}

    def own_usage(self, direction: Direction, num_bytes: int) -> dict[str, float]:
        """Nothing."""
        return {}


MODELS: dict[str, type[LinkConfig]] = {
    "pcie": PcieConfig,
    "nvlink": NvlinkConfig,
    "measured": MeasuredLinkConfig,
    "infinite": InfiniteLinkConfig,
}


def load_link(name_or_path: str, assignments: tuple[str, ...] = (), option: str = "--set link.") -> LinkConfig:
    """Read and check a link of configs/links/ or a TOML file by its key `model`; `option` as in `config.load`."""
    data, source = config.read("links", name_or_path)
    model = data.get("model")
    if not isinstance(model, str) or model not in MODELS:
        allowed = " or ".join(map(repr, MODELS))
        if "model" not in data:
            raise ConfigError(f"{source}: model: required key is missing; allowed: {allowed}")
        raise ConfigError(f"{source}: model = {show(model)}: must be {allowed}{did_you_mean(str(model), MODELS)}")
    return config.checked(data, source, MODELS[model], assignments, option)
