"""What configs/published/links.toml measures: bandwidths of PCI Express and NVLink, beside models and measurements."""

from archmodel.interconnect.link import load_link
from archmodel.interconnect.pcie import PcieConfig
from archmodel.validation.scnn import Measured

GIGA, GIBI, KIBI = 1e9, 2**30, 1024
CURVE_KIB = (4, 16, 64, 256, 1024, 2048, 16384)
LONG_BYTES = 2**30
# Links by name -> rows.
NVLINKS = {
    "nvlink1_x1": "nvlink1.links1",
    "nvlink1_x2": "nvlink1.links2",
    "nvlink1": "nvlink1.links4",
    "nvlink2_x2": "nvlink2.links2",
    "nvlink2": "nvlink2.links6",
}


def gen3(max_payload_bytes: int) -> PcieConfig:
    """PCIe 3.0 x16 at a maximum payload."""
    link = load_link("pcie3_x16")
    assert isinstance(link, PcieConfig)
    return link.with_payload(max_payload_bytes)


def measure_links() -> Measured:
    """Values of configs/published/links.toml."""
    link = gen3(256)
    packets, dllp = link.packets, link.acknowledgements
    assert dllp is not None
    values: dict[str, float] = {
        "raw": link.raw_bytes_per_s / GIGA,
        "bytes.write": packets.request_bytes,
        "bytes.read": packets.request_bytes,
        "bytes.completion": packets.completion_bytes,
        **{f"limit.{size}": dllp.limit_bytes(size, link.lanes.lanes) for size in (128, 256, 512)},
    }
    for size in (128, 256):
        other = gen3(size)
        values |= {
            f"tlp.{size}": 8 * other.packet_bytes_per_s / GIGA,
            f"write.{size}": other.bytes_per_s("download") / GIGA,
            f"read.{size}": other.bytes_per_s("upload") / GIGA,
        }
    for kib in CURVE_KIB:
        values[f"curve.{kib}"] = kib * KIBI / link.seconds("upload", kib * KIBI) / GIBI
    copied = 16 * KIBI**2
    values["forum"] = copied / gen3(128).seconds("upload", copied) / GIGA
    for name, row in NVLINKS.items():
        values[row] = LONG_BYTES / load_link(name).seconds("download", LONG_BYTES) / GIGA
    return values, {}
