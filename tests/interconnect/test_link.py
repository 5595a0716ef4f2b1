"""Links by name: measured NVLinks, the size curve of PCIe, transfers that share a link."""

import itertools
import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.interconnect.link import load_link
from archmodel.interconnect.sharing import DIRECTIONS, Transfer

NAMES = config.names("links")
# KiB -> GiB/s: 2 x 12 / pi x atan(0.07292 KiB), fitted to cudaMemcpy by gpgpu-sim_UVMSmart, src/gpgpu-sim/gpu-sim.cc.
SIZE_CURVE = {4: 2.168, 16: 6.587, 64: 10.387, 256: 11.591, 1024: 11.898}


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_file_has_its_source(name):
    for line in config.written("links", name)[1].splitlines():
        key, _, value = line.partition(" = ")
        if value and key not in ("model", "name", "base"):
            assert len(line.partition("# ")[2]) > 8, line


@pytest.mark.parametrize("name", NAMES)
def test_no_direction_beats_its_raw_rate_and_both_at_once_no_direction_alone(name):
    link = load_link(name)
    both = link.both_bytes_per_s()
    for direction in DIRECTIONS:
        assert both[direction] <= link.bytes_per_s(direction)
        assert link.bytes_per_s(direction) <= getattr(link, "raw_bytes_per_s", math.inf)


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_bytes_take_longer_but_less_than_twice_as_long(name):
    link = load_link(name)
    for direction in DIRECTIONS:
        times = [link.seconds(direction, 2**power) for power in range(8, 30)]
        if name != "infinite":
            assert all(short < long <= 2 * short for short, long in itertools.pairwise(times))
        assert link.seconds(direction, 0) == 0


@pytest.mark.parametrize(("kib", "published"), SIZE_CURVE.items())
def test_the_measured_size_curve_of_gen3_is_met_within_15_percent(kib, published):
    assert kib / 2**20 / load_link("pcie3_x16").seconds("upload", kib * 1024) == pytest.approx(published, rel=0.15)


@pytest.mark.parametrize(("name", "published"), [("nvlink1_x1", 18.31), ("nvlink1_x2", 36.39), ("nvlink2_x2", 47.9)])
def test_fewer_links_have_the_efficiency_of_all(name, published):
    assert load_link(name).bytes_per_s("download") == pytest.approx(published * 1e9, rel=0.01)


def test_an_infinite_link_takes_no_time():
    link = load_link("infinite")
    assert [link.seconds(direction, 2**40) for direction in DIRECTIONS] == [0, 0]
    assert link.end_s([Transfer("upload", 2**40, 1.0), Transfer("download", 2**30, 2.0)]) == [1, 2]
    assert link.limited_by("upload") == ""


def test_the_dram_of_the_host_is_a_limit_for_both_directions_together():
    link = load_link("pcie3_x16", ("host_bytes_per_s=10e9",))
    assert [link.bytes_per_s(direction) for direction in DIRECTIONS] == [10e9, 10e9]
    assert link.limited_by("download") == "host"
    assert link.both_bytes_per_s() == pytest.approx({"upload": 5e9, "download": 5e9})
    assert load_link("infinite", ("host_bytes_per_s=10e9",)).seconds("upload", 10**10) == pytest.approx(1)


def test_transfers_of_one_direction_halve_it_and_set_up_apart():
    link = load_link("pcie3_x16_vdnn", ("setup_s=1e-3",))
    first, second = link.end_s([Transfer("upload", 128 * 10**5), Transfer("upload", 64 * 10**5, 1.0)])
    assert first == pytest.approx(2e-3)
    assert second == pytest.approx(1.0 + 1.5e-3)
    shared = link.end_s([Transfer("upload", 128 * 10**5), Transfer("upload", 128 * 10**5)])
    assert shared == pytest.approx([3e-3, 3e-3])
    apart = link.end_s([Transfer("upload", 128 * 10**5), Transfer("download", 128 * 10**5)])
    assert apart == pytest.approx([2e-3, 2e-3])


def test_nothing_to_move_is_not_even_set_up():
    link = load_link("pcie3_x16")
    assert link.end_s([Transfer("upload", 0, 3.0)]) == [3.0]
    assert link.end_s([]) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([name for name in NAMES if name != "infinite"]), st.sampled_from(DIRECTIONS), st.data())
def test_a_transfer_alone_ends_after_its_seconds_and_another_one_never_helps(name, direction, data):
    link, size = load_link(name), data.draw(st.integers(1, 10**8))
    other = Transfer(data.draw(st.sampled_from(DIRECTIONS)), data.draw(st.integers(0, 10**8)))
    alone = link.end_s([Transfer(direction, size)])[0]
    assert alone == pytest.approx(link.seconds(direction, size), rel=1e-9)
    assert link.end_s([Transfer(direction, size), other])[0] >= alone * (1 - 1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"', "model: required key is missing; allowed: 'pcie' or 'nvlink' or 'measured' or 'infinite'"),
        ('model = "pci"', "did you mean 'pcie'"),
        ("model = 3", "must be 'pcie' or"),
        ('base = "infinite"\nlinks = 2', "unknown key"),
        ('base = "nvlink1"\nefficiency_calibration = 1.5', "efficiency_calibration"),
        ('base = "pcie3_x16"\nhost_bytes_per_s = 0.0', "host_bytes_per_s"),
    ],
)
def test_a_file_of_ones_own_is_checked(tmp_path, text, message):
    path = tmp_path / "link.toml"
    path.write_text(text)
    assert tomllib.loads(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_link(str(path))
    assert "link.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_has_the_nearest_one():
    with pytest.raises(ConfigError, match=r"unknown link; .* did you mean 'pcie3_x16'"):
        load_link("pcie3x16")
