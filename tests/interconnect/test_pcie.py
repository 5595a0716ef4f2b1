"""PCI Express: the tables of the specification, packets byte by byte, the model of pcie-bench, and both directions."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel.errors import ConfigError
from archmodel.interconnect.link import load_link
from archmodel.interconnect.pcie import PACKET_SIZES, Packets
from tests.reference import pcie_packets

GENERATIONS, WIDTHS = (1, 2, 3, 4, 5, 6), (1, 2, 4, 8, 16)
SIZES = st.sampled_from(PACKET_SIZES)


def gen3(*assignments):
    return load_link("pcie3_x16", assignments)


def rows():
    lines = (Path(__file__).parent / "pcie_dllp_limits.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if line[0] != "#"))


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"gen{row['generation']}-x{row['lanes']}")
def test_limits_of_acknowledgements_are_those_of_the_specification(row):
    same = (3, 4, 5) if row["generation"] == "3" else (int(row["generation"]),)
    for generation in same:
        link = load_link(f"pcie{generation}_x{row['lanes']}")
        for size in PACKET_SIZES:
            assert link.acknowledgements.limit_bytes(size, link.lanes.lanes) == int(row[str(size)])


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_width_of_every_generation_has_its_raw_rate(generation, lanes):
    link = load_link(f"pcie{generation}_x{lanes}")
    giga_transfers = {1: 2.5, 2: 5, 3: 8, 4: 16, 5: 32, 6: 64}[generation]
    code = 0.8 if generation < 3 else 128 / 130 if generation < 6 else 236 / 256
    assert link.raw_bytes_per_s == pytest.approx(lanes * giga_transfers * 1e9 * code / 8, rel=1e-12)
    assert link.name == f"PCIe {generation}.0 x{lanes}"


def test_more_lanes_and_later_generations_are_faster():
    for direction in ("upload", "download"):
        for generation in GENERATIONS:
            rates = [load_link(f"pcie{generation}_x{lanes}").bytes_per_s(direction) for lanes in WIDTHS]
            assert rates == sorted(set(rates))
        for lanes in WIDTHS:
            rates = [load_link(f"pcie{generation}_x{lanes}").bytes_per_s(direction) for generation in GENERATIONS]
            assert rates == sorted(set(rates))


def test_headers_are_those_of_pcie_bench():
    packets = gen3().packets
    assert (packets.request_bytes, packets.completion_bytes) == (24, 20)
    short = gen3("packets.address_bits=32").packets
    assert (short.request_bytes, short.completion_bytes) == (20, 20)
    checked = gen3("packets.ecrc=true").packets
    assert (checked.request_bytes, checked.completion_bytes) == (28, 24)
    flit = load_link("pcie6_x16").packets
    assert (flit.request_bytes, flit.completion_bytes) == (16, 12)  # no start token and no LCRC


def packets(max_payload, max_request, boundary, completions):
    given_sizes = (
        f"packets.max_payload_bytes={max_payload}",
        f"packets.max_read_request_bytes={max_request}",
        f"packets.read_completion_boundary_bytes={boundary}",
        f"packets.completions={completions}",
    )
    found = gen3(*given_sizes).packets
    assert isinstance(found, Packets)
    return found


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9000), st.integers(0, 4095), SIZES, SIZES, st.sampled_from((64, 128)), st.booleans())
def test_packets_are_those_that_a_walk_over_the_bytes_makes(num_bytes, offset, payload, request, boundary, at_boundary):
    cut = packets(payload, request, boundary, "boundary" if at_boundary else "payload")
    assert cut.num_writes(num_bytes, offset) == pcie_packets.writes(num_bytes, offset, payload)
    assert cut.num_requests(num_bytes, offset) == pcie_packets.reads(num_bytes, offset, request)
    most = boundary if at_boundary else payload
    expected = pcie_packets.completions(num_bytes, offset, request, most, boundary)
    assert cut.num_completions(num_bytes, offset) == expected


def test_nothing_needs_no_packets_and_a_byte_more_than_the_payload_another_one():
    cut = packets(256, 512, 64, "payload")
    assert (cut.num_writes(0), cut.num_requests(0), cut.num_completions(0)) == (0, 0, 0)
    assert (cut.num_writes(256), cut.num_writes(257)) == (1, 2)
    assert (cut.num_requests(512), cut.num_requests(513)) == (1, 2)
    assert (cut.num_completions(256), cut.num_completions(257)) == (1, 2)


def test_a_transfer_across_a_boundary_needs_a_packet_more():
    link = gen3()
    whole, across = (link.usage_at("download", 256, offset)["up"] for offset in (0, 4))
    assert across == whole + link.packets.request_bytes
    whole, across = (link.usage_at("upload", 256, offset)["down"] for offset in (0, 4))
    assert across == whole + link.packets.completion_bytes


@pytest.mark.parametrize(("max_payload", "download", "upload"), [(128, 11.758e9, 12.076e9), (256, 12.994e9, 13.183e9)])
def test_gen3_has_the_bandwidths_of_pcie_bench(max_payload, download, upload):
    link = gen3(f"packets.max_payload_bytes={max_payload}")
    for size in (4096, 2**20, 2**30):
        assert link.bytes_per_s("download", size) == pytest.approx(download, rel=1e-4)
        assert link.bytes_per_s("upload", size) == pytest.approx(upload, rel=1e-4)


def test_a_read_takes_of_the_other_direction_what_its_requests_are():
    link = gen3()
    usage = link.usage("upload", 4096)
    assert usage["down"] == 4096 + 16 * 20
    assert usage["up"] == 8 * 24
    assert link.usage("download", 4096)["up"] == 4096 + 16 * 24
    assert "down" not in link.usage("download", 4096)
    both = link.both_bytes_per_s(4096)
    rate = link.packet_bytes_per_s * 4096 / (4096 + 16 * 24 + 8 * 24)  # up: writes and requests
    assert both == pytest.approx({"upload": rate, "download": rate})


def test_few_tags_bound_reads_and_leave_writes_alone():
    few, many = gen3("reads.tags=8"), gen3()
    assert few.bytes_per_s("upload", 4096) == pytest.approx(8 * 512 / 547e-9)
    assert few.limited_by("upload") == "tags"
    assert many.limited_by("upload") == "down"
    assert few.bytes_per_s("download") == many.bytes_per_s("download")
    assert few.bytes_per_s("upload", 64) == pytest.approx(8 * 64 / 547e-9)  # a tag for a request of any size
    assert gen3("reads.tags=8", "reads.latency_s=0.0").bytes_per_s("upload") == many.bytes_per_s("upload")


def test_a_completion_is_of_one_request_however_large_payloads_may_be():
    link = gen3("packets.max_read_request_bytes=128")
    assert link.usage("upload", 4096)["up"] == 32 * 24
    assert link.usage("upload", 4096)["down"] == 4096 + 32 * 20  # a completion is of one request


def test_completions_at_the_boundary_are_slower():
    assert gen3("packets.completions=boundary").bytes_per_s("upload") == pytest.approx(
        gen3().packet_bytes_per_s * 64 / 84
    )


def test_the_acknowledgements_and_ordered_sets_are_taken_from_both_directions():
    link = gen3()
    assert link.overhead == pytest.approx(16 / 168 + 4 / 1538)
    flit = load_link("pcie6_x16")
    assert flit.overhead == pytest.approx(4 / 1538)  # FLITs have room for acknowledgements


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lanes.lanes=3", "must be 1, 2, 4, 8 or 16"),
        ("packets.max_payload_bytes=200", "must be 128, 256"),
        ("packets.read_completion_boundary_bytes=256", "must be 64 or 128"),
        ("lanes.coded_bits=127", "data_bits must be at most coded_bits"),
        ("acknowledgements.ack_factors=[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]", "ack_factors must be 0.1 to 100"),
        ("acknowledgements.ack_factors=[1.0, 1.0, 1.0, 1.0, 1.0, 100.5]", "ack_factors must be 0.1 to 100"),
        ("acknowledgements.ack_bytes=1000", "take all of the link"),
        ("reads.tag=3", "did you mean 'tags'"),
        ("packets.ecrc=1", "ecrc"),
    ],
)
def test_what_no_link_has_is_refused(assignment, message):
    with pytest.raises(ConfigError, match=message) as caught:
        gen3(assignment)
    assert "\n" not in str(caught.value)
