"""A GPU as configs/devices/ states it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from archmodel import config
from archmodel.accelerators.conv_algorithms import PASSES, Algorithm, Pass
from archmodel.config import FrozenModel
from archmodel.errors import did_you_mean, show

PerSecond = Annotated[float, Field(ge=1e3, le=1e18)]
Efficiency = Annotated[float, Field(gt=0, le=1)]


class Efficiencies(FrozenModel):
    """Calibrations: the fraction of a peak that kernels reach."""

    implicit_gemm: Efficiency
    precomputed_gemm: Efficiency
    fft: Efficiency
    fft_tiled: Efficiency
    winograd_2x2: Efficiency
    winograd_4x4: Efficiency
    gemm: Efficiency  # matrix products outside convolutions
    dram: Efficiency  # of the memory's bytes per second, any kernel
    pool_gradient: Efficiency  # of the memory's bytes per second


class Library(FrozenModel):
    """The algorithms that a library has for each pass."""

    forward: tuple[Algorithm, ...] = Field(min_length=1, strict=False)
    data_gradient: tuple[Algorithm, ...] = Field(min_length=1, strict=False)
    weight_gradient: tuple[Algorithm, ...] = Field(min_length=1, strict=False)
    splits_dot_products: bool  # several blocks add up one tile of a result

    def algorithms(self, which: Pass) -> tuple[Algorithm, ...]:
        """Of one pass."""
        found: tuple[Algorithm, ...] = getattr(self, which)
        return found

    @model_validator(mode="after")
    def _takes_any_layer(self) -> "Library":
        for which in PASSES:
            if "implicit_gemm" not in self.algorithms(which):
                raise ValueError(f"{which} lacks implicit_gemm, the one that takes every layer without workspace")
        return self


class DeviceConfig(FrozenModel):
    """A GPU: its arithmetic, its memory, its libraries and what of the peaks they reach."""

    model: Literal["gpu"]
    name: str
    multiprocessors: PositiveInt
    lanes: PositiveInt  # multiply-adds of FP32 a cycle, of all multiprocessors
    clock_hz: PerSecond
    fp16_rate: Annotated[float, Field(ge=1)]  # FP16 multiply-adds of matrix products over FP32's
    dram_bytes_per_s: PerSecond
    memory_bytes: PositiveInt
    library: str
    libraries: dict[str, Library] = Field(min_length=1)
    efficiency: Efficiencies

    @model_validator(mode="after")
    def _library_is_there(self) -> "DeviceConfig":
        if self.library not in self.libraries:
            nearest = did_you_mean(self.library, self.libraries)
            raise ValueError(f"library = {show(self.library)}: allowed: {', '.join(self.libraries)}{nearest}")
        return self

    @property
    def operations_per_s(self) -> float:
        """Multiply-adds of FP32 a second, at best."""
        return self.lanes * self.clock_hz


def load_device(name_or_path: str | Path, assignments: tuple[str, ...] = ()) -> DeviceConfig:
    """Read and check a device of configs/devices/ or a TOML file."""
    return config.load("devices", name_or_path, DeviceConfig, assignments)
