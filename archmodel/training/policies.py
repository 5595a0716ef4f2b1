"""Virtualization policies: which feature maps leave the device's memory, and how they come back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network import Network
from archmodel.training.recomputation import recomputed
from archmodel.training.steps import TrainingGraph

Offload = Literal["none", "conv", "all", "dyn"]
Prefetch = Literal["window", "ideal"]
Recompute = Callable[[TrainingGraph, Network], TrainingGraph]  # drops maps and repeats forward steps


@dataclass(frozen=True)
class Policy:
    """What vDNN decides before an iteration; ConfigError for what is not allowed.

    offload : X of no layer, of those that a convolution reads, of all layers of the feature extraction; or dyn, the
        least of these, with the fastest algorithms, that fits
    prefetch : window, one layer's X beside each backward layer, not beyond the nearest convolution; ideal, every tensor
        as early as memory allows
    recompute : what is made again rather than kept, before anything is offloaded
    """

    name: str
    offload: Offload = "none"
    prefetch: Prefetch = "window"
    recompute: Recompute | None = None

    def __post_init__(self) -> None:
        allowed_values: dict[str, tuple[str, ...]] = {"offload": get_args(Offload), "prefetch": get_args(Prefetch)}
        for field, allowed in allowed_values.items():
            value = getattr(self, field)
            if value not in allowed:
                raise ConfigError(
                    f"policy {show(self.name)}: {field} = {show(value)}: must be {', '.join(allowed[:-1])}"
                    f" or {allowed[-1]}{did_you_mean(str(value), allowed)}"
                )
        if (self.offload, self.prefetch) == ("dyn", "ideal"):
            raise ConfigError(f"policy {show(self.name)}: prefetch = 'ideal': dyn tries its plans with the window")


def cheap(graph: TrainingGraph, network: Network) -> TrainingGraph:
    """Maps of layers without weights to multiply are made again."""
    return recomputed(graph, network, "cheap")


def sqrt(graph: TrainingGraph, network: Network) -> TrainingGraph:
    """Only the ends of segments are kept (Chen et al. 2016)."""
    return recomputed(graph, network, "sqrt")


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("none"),
        Policy("vdnn_conv", "conv"),
        Policy("vdnn_all", "all"),
        Policy("vdnn_dyn", "dyn"),
        Policy("ideal_prefetch", "all", "ideal"),
        Policy("recompute", recompute=cheap),
        Policy("vdnn_conv_recompute", "conv", recompute=cheap),
        Policy("checkpoint", recompute=sqrt),
    )
}


def load_policy(name: str) -> Policy:
    """A policy by its name; ConfigError with those that there are."""
    if name not in POLICIES:
        allowed = ", ".join(POLICIES)
        raise ConfigError(f"policy = {show(name)}: must be one of {allowed}{did_you_mean(name, POLICIES)}")
    return POLICIES[name]
