"""What a DMA engine puts on the link for a tensor: its bytes as they are, or less."""

from dataclasses import dataclass
from typing import Protocol

from archmodel.training.steps import Tensor


class Dma(Protocol):
    """An engine between the device's memory and a link.

    fetch_bytes_per_s : of tensors, at which it reads and writes the device's memory at most; None: never the limit
    """

    @property
    def name(self) -> str: ...

    @property
    def fetch_bytes_per_s(self) -> float | None: ...

    def link_bytes(self, tensor: Tensor) -> int:
        """Bytes on the link for the whole tensor, in either direction."""
        ...


@dataclass(frozen=True)
class PlainDma:
    """Moves every byte of a tensor."""

    name: str = "plain"
    fetch_bytes_per_s: float | None = None

    def link_bytes(self, tensor: Tensor) -> int:
        """All of them."""
        return tensor.num_bytes
