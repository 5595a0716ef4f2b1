"""What a user says of operands: nothing, a density, or a file."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from archmodel.errors import WorkloadError, show
from archmodel.operands.archive import Archive
from archmodel.operands.safetensors_file import SafetensorsFile

if TYPE_CHECKING:
    from archmodel.operands.captured import Capture

FORMS = "density=<0..1> or the path of an npz or safetensors file"
SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Source:
    """One of `--weights` and `--activations`: what the network states, a density, arrays of a file or of a real run."""

    density: float | None = None
    path: Path | None = None
    capture: "Capture | None" = None

    @classmethod
    def parse(cls, text: str, option: str) -> "Source":
        """Read `text`; WorkloadError naming `option` and what is allowed."""
        if text == "network":
            return cls()
        if text.startswith("density="):
            try:
                density = float(text.removeprefix("density="))
            except ValueError:
                density = math.nan
            if not 0 <= density <= 1:
                raise WorkloadError(f"{option} {show(text)}: a density is from 0 to 1")
            return cls(density=density)
        if text.endswith((".npz", SAFETENSORS)):
            return cls(path=Path(text))
        raise WorkloadError(f"{option} {show(text)}: allowed: network, {FORMS}")

    @property
    def is_real(self) -> bool:
        """Whether there are tensors, not only densities."""
        return self.path is not None or self.capture is not None

    @cached_property
    def archive(self) -> Archive | SafetensorsFile:
        """The opened file."""
        assert self.path is not None
        return SafetensorsFile(self.path) if self.path.suffix == SAFETENSORS else Archive(self.path)


STATED = Source()  # what the network states
