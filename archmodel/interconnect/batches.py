"""Batches of inputs that reach a device over a link and whose results come back, with double buffers at the device."""

from dataclasses import asdict, dataclass
from typing import Any

from archmodel.interconnect.sharing import LinkConfig, Transfer


@dataclass(frozen=True)
class HostTransfers:
    """What moves between a host and a device for a batch, and when.

    end_to_end_s : the first batch, from weights in the host's memory to its results there, one step after the other
    interval_s : from batch to batch after that: the inputs of the next one and the results of the former one are moved
        while the device computes; the slowest of the three decides
    """

    upload_bytes: int
    download_bytes: int
    weight_bytes: int
    weights_stay: bool  # in the device's memory, beside two batches; if not, they come with every batch
    upload_s: float
    download_s: float
    weights_s: float
    interval_s: float
    end_to_end_s: float

    @classmethod
    def of(
        cls,
        link: LinkConfig,
        device_s: float,
        *,
        upload_bytes: int,
        download_bytes: int,
        weight_bytes: int,
        capacity_bytes: int | None,
    ) -> "HostTransfers":
        """device_s : time of a batch on the device; capacity_bytes : of its memory, None where it is not known."""
        needed_bytes = weight_bytes + 2 * (upload_bytes + download_bytes)
        stay = capacity_bytes is None or needed_bytes <= capacity_bytes
        weights, upload = Transfer("upload", weight_bytes), Transfer("upload", upload_bytes)
        download = Transfer("download", download_bytes)
        weights_s, upload_s, download_s = (
            link.seconds(one.direction, one.num_bytes) for one in (weights, upload, download)
        )
        moved = [upload, download] if stay else [weights, upload, download]
        return cls(
            upload_bytes=upload_bytes,
            download_bytes=download_bytes,
            weight_bytes=weight_bytes,
            weights_stay=stay,
            upload_s=upload_s,
            download_s=download_s,
            weights_s=weights_s,
            interval_s=max(device_s, *link.end_s(moved)),
            end_to_end_s=weights_s + upload_s + device_s + download_s,
        )

    @property
    def totals(self) -> dict[str, float]:
        """Times under the names that they have among the totals of a run."""
        return {
            **{f"link_{name}": getattr(self, name) for name in ("upload_s", "download_s", "weights_s", "interval_s")},
            "end_to_end_s": self.end_to_end_s,
        }

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)
