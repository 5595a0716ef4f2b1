"""Devices, links and iterations of random networks for tests of virtualization."""

from dataclasses import dataclass

import numpy as np

from archmodel.interconnect.link import MeasuredLinkConfig, load_link
from archmodel.training import TrainingChoices
from archmodel.training.step_times import StepTime
from tests.training.random_networks import random_network

INFINITE = load_link("infinite")


@dataclass(frozen=True)
class RandomDevice:
    """Every step has options that nobody could guess, but the same ones each time."""

    seed: int
    memory_bytes: int | None = None
    dram_bytes_per_s: float | None = 1e7
    name: str = "random"

    def options(self, network, layer, operation, batch, choices):
        rng = np.random.default_rng([self.seed, *f"{layer.name}.{operation}".encode()])
        if rng.random() < 0.1:
            return (StepTime(0.0, workspace_bytes=3000), StepTime(0.0))
        seconds = rng.integers(1, 1000, size=int(rng.integers(1, 4))) * 1e-6
        workspaces = sorted({0, *(int(one) for one in rng.integers(1, 4000, size=len(seconds) - 1))}, reverse=True)
        return tuple(
            StepTime(float(one), float(one) * rng.random(), workspace, f"way{workspace}")
            for one, workspace in zip(sorted(seconds), workspaces, strict=False)
        )


def link_of(bytes_per_s, setup_s=0.0, host_bytes_per_s=None):
    return MeasuredLinkConfig(
        name="a rate",
        model="measured",
        setup_s=setup_s,
        bytes_per_s_calibration=bytes_per_s,
        host_bytes_per_s=host_bytes_per_s,
    )


def network_of(seed, most_layers=25):
    rng = np.random.default_rng(seed)
    return random_network(rng, int(rng.integers(1, most_layers)))


def choices_of(seed):
    rng = np.random.default_rng([seed, 1])
    return TrainingChoices(
        in_place=bool(rng.random() < 0.7),
        max_pool=str(rng.choice(["values", "indices"])),
        update=str(rng.choice(["end", "layer"])),
        optimizer=str(rng.choice(["sgd", "adam"])),
    )
