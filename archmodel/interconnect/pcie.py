"""PCI Express: what packets, acknowledgements and clocks leave of the raw rate (docs/links.md).

The device's DMA engine moves everything: an upload is its memory reads, whose requests go up and whose completions come
down; a download is its posted memory writes, which go up.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from archmodel.config import FrozenModel
from archmodel.interconnect.sharing import Direction, LinkConfig, Seconds

PacketBytes = Literal[128, 256, 512, 1024, 2048, 4096]
ECRC_BYTES = 4  # PCIe Base Specification: the digest is one double word
PACKET_SIZES = (128, 256, 512, 1024, 2048, 4096)  # of ack_factors, in this order
Count = Annotated[int, Field(ge=0, le=1024)]


class Lanes(FrozenModel):
    """Lanes and their code: of `coded_bits` on the wire `data_bits` are of packets.

    skip_bytes of every skip_interval_bytes are ordered sets that make up for the difference of the two clocks.
    """

    lanes: Literal[1, 2, 4, 8, 16]
    transfers_per_s: Annotated[float, Field(ge=1e6, le=1e12)]  # of a lane
    data_bits: Annotated[int, Field(ge=1, le=4096)]
    coded_bits: Annotated[int, Field(ge=1, le=4096)]
    skip_bytes: Count
    skip_interval_bytes: Annotated[int, Field(ge=1, le=10**6)]

    @property
    def raw_bytes_per_s(self) -> float:
        """Bytes per second and direction behind the code."""
        return self.lanes * self.transfers_per_s * self.data_bits / self.coded_bits / 8


class Packets(FrozenModel):
    """Transaction layer packets (TLP): bytes of each, and how a transfer is cut into them."""

    frame_bytes: Count  # start, end, sequence number and LCRC
    common_header_bytes: Count
    request_header_bytes: Count  # the address apart
    address_bits: Literal[32, 64]
    completion_header_bytes: Count
    ecrc: bool
    max_payload_bytes: PacketBytes
    max_read_request_bytes: PacketBytes
    read_completion_boundary_bytes: Literal[64, 128]
    completions: Literal["payload", "boundary"]  # as large as the payload may be, or as the boundary

    @property
    def _outside_bytes(self) -> int:
        return self.frame_bytes + self.common_header_bytes + (ECRC_BYTES if self.ecrc else 0)

    @property
    def request_bytes(self) -> int:
        """Of a write without its payload, and of a read request."""
        return self._outside_bytes + self.request_header_bytes + self.address_bits // 8

    @property
    def completion_bytes(self) -> int:
        """Of a completion without its payload."""
        return self._outside_bytes + self.completion_header_bytes

    def num_writes(self, num_bytes: int, offset_bytes: int = 0) -> int:
        """Packets of a write that starts `offset_bytes` behind a multiple of 4 KiB, cut at multiples of their size."""
        return blocks(num_bytes, offset_bytes, self.max_payload_bytes)

    def num_requests(self, num_bytes: int, offset_bytes: int = 0) -> int:
        """Read requests, which end at multiples of their size, so that none crosses 4 KiB."""
        return blocks(num_bytes, offset_bytes, self.max_read_request_bytes)

    def num_completions(self, num_bytes: int, offset_bytes: int = 0) -> int:
        """Completions of a read: the first one ends at a multiple of the boundary, so that all but the last one do."""
        boundary = self.read_completion_boundary_bytes
        size = self.max_payload_bytes if self.completions == "payload" else boundary
        of_request = self.max_read_request_bytes
        first = min(num_bytes, of_request - offset_bytes % of_request)  # of the first request
        lead = (offset_bytes + size) // boundary * boundary - offset_bytes
        count = 1 + math.ceil(max(first - lead, 0) / size) if first else 0
        whole, rest = divmod(num_bytes - first, of_request)
        return count + whole * math.ceil(of_request / size) + math.ceil(rest / size)


class Acknowledgements(FrozenModel):
    """Data link layer packets (DLLP): an ACK and a flow-control update at least every `limit_bytes`.

    ack_factors : of this width, by PACKET_SIZES, as in the tables of the specification
    """

    ack_bytes: Count
    flow_control_bytes: Count
    packet_overhead_bytes: Count
    internal_delay_symbols: Count
    ack_factors: Annotated[tuple[float, ...], Field(min_length=6, max_length=6, strict=False)]

    def limit_bytes(self, max_payload_bytes: int, lanes: int) -> int:
        """(payload + overhead) x factor / lanes + delay, rounded down: the unit of the tables, taken as bytes."""
        factor = self.ack_factors[PACKET_SIZES.index(max_payload_bytes)]
        return int((max_payload_bytes + self.packet_overhead_bytes) * factor / lanes + self.internal_delay_symbols)


class Reads(FrozenModel):
    """How many read requests may be under way, and for how long one is."""

    tags: Annotated[int, Field(ge=1, le=16384)]
    latency_s: Seconds


class PcieConfig(LinkConfig):
    """A PCI Express link."""

    model: Literal["pcie"]
    lanes: Lanes
    packets: Packets
    reads: Reads
    acknowledgements: Acknowledgements | None = None  # None: in a part of every FLIT that the code counts

    @model_validator(mode="after")
    def _has_room(self) -> "PcieConfig":
        if self.lanes.data_bits > self.lanes.coded_bits:
            raise ValueError("data_bits must be at most coded_bits")
        acknowledgements = self.acknowledgements
        if acknowledgements is not None and not all(0.1 <= one <= 100 for one in acknowledgements.ack_factors):
            raise ValueError("ack_factors must be 0.1 to 100")
        if self.overhead >= 1:
            raise ValueError("acknowledgements and ordered sets take all of the link")
        return self

    @property
    def raw_bytes_per_s(self) -> float:
        """Bytes per second and direction behind the code."""
        return self.lanes.raw_bytes_per_s

    @property
    def overhead(self) -> float:
        """Share of the raw rate that goes to acknowledgements, flow control and ordered sets."""
        skips = self.lanes.skip_bytes / self.lanes.skip_interval_bytes
        dllp = self.acknowledgements
        if dllp is None:
            return skips
        limit_bytes = dllp.limit_bytes(self.packets.max_payload_bytes, self.lanes.lanes)
        return skips + (dllp.ack_bytes + dllp.flow_control_bytes) / limit_bytes if limit_bytes else math.inf

    @property
    def packet_bytes_per_s(self) -> float:
        """Bytes per second and direction that are left for packets."""
        return self.raw_bytes_per_s * (1 - self.overhead)

    def with_payload(self, max_payload_bytes: int) -> "PcieConfig":
        """The same link at another maximum payload, at which acknowledgements may take all of it."""
        packets = self.packets.model_copy(update={"max_payload_bytes": max_payload_bytes})
        return self.model_copy(update={"packets": packets})

    @property
    def own_limits(self) -> dict[str, float]:
        """Packets down to the device and up from it; bytes of reads that the tags let be under way."""
        limits = {"down": self.packet_bytes_per_s, "up": self.packet_bytes_per_s}
        if self.reads.latency_s:
            under_way = self.reads.tags * self.packets.max_read_request_bytes
            limits["tags"] = under_way / self.reads.latency_s
        return limits

    def own_usage(self, direction: Direction, num_bytes: int) -> dict[str, float]:
        """Bytes of packets; a tag is held by a request however small it is."""
        return self.usage_at(direction, num_bytes, 0)

    def usage_at(self, direction: Direction, num_bytes: int, offset_bytes: int) -> dict[str, float]:
        """As `own_usage` of a transfer that starts `offset_bytes` behind a multiple of 4 KiB."""
        packets = self.packets
        if direction == "download":
            return {"up": float(num_bytes + packets.num_writes(num_bytes, offset_bytes) * packets.request_bytes)}
        requests = packets.num_requests(num_bytes, offset_bytes)
        completions = packets.num_completions(num_bytes, offset_bytes)
        usage = {
            "down": float(num_bytes + completions * packets.completion_bytes),
            "up": float(requests * packets.request_bytes),
        }
        return usage | ({"tags": float(requests * packets.max_read_request_bytes)} if self.reads.latency_s else {})


def blocks(num_bytes: int, offset_bytes: int, size_bytes: int) -> int:
    """How many aligned blocks of `size_bytes` the bytes from `offset_bytes` on touch."""
    return (offset_bytes + num_bytes - 1) // size_bytes - offset_bytes // size_bytes + 1 if num_bytes else 0
