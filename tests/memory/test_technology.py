"""Technology nodes: figures with sources, the rules between them, and what independent designs say of the results."""

import math
import re

import pytest

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.memory.technology import ascends, interpolate, load_technology

NODES = config.names("technology")
# Stillmaker and Baas, 2017: energy is a quadratic in the supply; 65 nm bulk, the others high-performance transistors.
STILLMAKER_ENERGY = {
    65: (3.755, -4.398, 1.975),
    45: (1.018, -0.3107, 0.1539),
    32: (0.8367, -0.4341, 0.1701),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
}
STILLMAKER_AREA = {65: 1.5, 45: 1.0, 32: 0.46, 20: 0.21, 16: 0.19}  # over 45 nm


def lines_of(name):
    return (config.folder("technology") / f"{name}.toml").read_text("utf-8").splitlines()


def energy_at(node_nm, supply_v):
    a, b, c = STILLMAKER_ENERGY[node_nm]
    return a * supply_v**2 + b * supply_v + c


def between(low, high, node_nm=28, nodes=(32, 20)):
    share = math.log(node_nm / nodes[0]) / math.log(nodes[1] / nodes[0])
    return low * (high / low) ** share


@pytest.mark.parametrize("name", NODES)
def test_every_number_has_its_source_in_the_line(name):
    numbers = [line for line in lines_of(name) if re.search(r"(=|^ *\[).*\d", line) and not line.startswith(("#", "["))]
    assert len(numbers) >= 6
    for line in numbers:
        if not re.match(r"(base|name|node_nm) = ", line):
            assert "#" in line, line
            assert line.split("#")[1].strip(), line


@pytest.mark.parametrize("name", [name for name in NODES if name != "45nm"])
def test_a_node_is_the_anchor_and_four_factors(name):
    node, anchor = load_technology(name), load_technology("45nm")
    changed = {key for key in type(node).model_fields if getattr(node, key) != getattr(anchor, key)}
    assert changed <= {"name", "node_nm", "supply_v", "scale"}


@pytest.mark.parametrize("name", ["65nm", "45nm", "16nm"])
def test_scale_factors_are_those_of_the_published_equations(name):
    node = load_technology(name)
    over_anchor = energy_at(int(node.node_nm), node.supply_v) / energy_at(45, 0.9)
    assert node.scale.energy == pytest.approx(over_anchor, rel=1e-3)
    assert node.scale.area == pytest.approx(STILLMAKER_AREA[int(node.node_nm)])


def test_28_nm_lies_between_the_published_nodes():
    scale = load_technology("28nm").scale
    energy = between(energy_at(32, 0.9), energy_at(20, 0.9)) / energy_at(45, 0.9)
    assert scale.energy == pytest.approx(energy, rel=1e-3)
    assert scale.area == pytest.approx(between(STILLMAKER_AREA[32], STILLMAKER_AREA[20]), rel=1e-3)


@pytest.mark.parametrize(("name", "cell_um2"), [("16nm", 0.07), ("28nm", 0.127), ("65nm", 146 * 0.065**2)])
def test_srams_scale_with_their_cells(name, cell_um2):
    assert load_technology(name).scale.sram_area == pytest.approx(cell_um2 / (146 * 0.045**2), rel=1e-3)


@pytest.mark.parametrize("factor", ["energy", "area", "sram_area", "leakage"])
def test_a_smaller_node_costs_less(factor):
    nodes = sorted((load_technology(name) for name in NODES), key=lambda node: node.node_nm)
    factors = [getattr(node.scale, factor) for node in nodes]
    assert factors == sorted(factors)
    assert len(set(factors)) == len(NODES)


@pytest.mark.parametrize(("bits", "published_pj"), [(8, 0.2), (32, 3.1)])
def test_a_multiplier_grows_with_both_operands_as_horowitz_has_it(bits, published_pj):
    multiplier = load_technology("45nm").multiplier
    assert multiplier.energy_pj * (bits / multiplier.bits) ** 2 == pytest.approx(published_pj, rel=0.05)


@pytest.mark.parametrize(("bits", "published_pj"), [(8, 0.03), (16, 0.05), (32, 0.1)])
def test_an_adder_grows_with_its_bits_as_horowitz_has_it(bits, published_pj):
    adder = load_technology("45nm").adder
    assert adder.energy_pj * bits / adder.bits == pytest.approx(published_pj, rel=0.2)


# EIE (ISCA 2016, Table II), at 45 nm, which the library was not made from: 128 KB of 64 bits; two banks of 16 KB of 16.
@pytest.mark.parametrize(
    ("words", "word_bits", "banks", "published_um2"), [(16384, 64, 1, 469_412), (8192, 16, 2, 121_849)]
)
def test_sram_areas_are_those_of_eie(words, word_bits, banks, published_um2):
    table = load_technology("45nm").sram.one_port
    assert banks * table.at(words, word_bits, table.area_um2) == pytest.approx(published_um2, rel=0.2)


# Horowitz, ISSCC 2014: a cache of 8 KB with 64 bits takes 10 pJ (32 KB 20 pJ, 1 MB 100 pJ: recalled); ours has no tags.
@pytest.mark.parametrize(("words", "published_pj"), [(1024, 10), (4096, 20), (131072, 100)])
def test_sram_energies_are_near_horowitz(words, published_pj):
    table = load_technology("45nm").sram.one_port
    assert 0.5 * published_pj < table.at(words, 64, table.read_pj) < 1.5 * published_pj


@pytest.mark.parametrize("ports", ["one_port", "two_port"])
@pytest.mark.parametrize("table", ["read_pj", "write_pj", "area_um2", "leakage_mw"])
def test_a_larger_or_wider_sram_costs_more(ports, table):
    sram = getattr(load_technology("45nm").sram, ports)
    values = getattr(sram, table)
    sizes, widths = (32, 64, 100, 256, 1000, 4096, 2**18), (8, 16, 24, 64, 80, 512, 1024)
    for bits in widths:
        column = [sram.at(words, bits, values) for words in sizes]
        assert column == sorted(column)
        assert len(set(column)) == len(sizes)
    for words in sizes:
        row = [sram.at(words, bits, values) for bits in widths]
        assert row == sorted(row)
        assert len(set(row)) == len(widths)


def test_a_second_port_costs_energy_area_and_leakage():
    srams = load_technology("45nm").sram
    for table in ("read_pj", "write_pj", "area_um2", "leakage_mw"):
        for words, bits in ((64, 16), (1024, 80), (65536, 512)):
            one, two = (sram.at(words, bits, getattr(sram, table)) for sram in (srams.one_port, srams.two_port))
            assert two > one


def test_interpolation_is_straight_in_logarithms():
    positions, values = (1.0, 4.0, 16.0), (10.0, 20.0, 160.0)
    assert [interpolate(at, positions, values) for at in positions] == pytest.approx(values)
    assert interpolate(2.0, positions, values) == pytest.approx(math.sqrt(10 * 20))
    assert interpolate(8.0, positions, values) == pytest.approx(math.sqrt(20 * 160))


def test_beyond_the_table_the_last_segment_goes_on():
    positions, values = (1.0, 4.0, 16.0), (10.0, 20.0, 160.0)
    assert interpolate(0.25, positions, values) == pytest.approx(5.0)
    assert interpolate(64.0, positions, values) == pytest.approx(1280.0)


def test_positions_ascend():
    assert ascends((1, 2, 3))
    assert not ascends((1, 3, 2))
    assert not ascends((1, 1))
    assert ascends((10, 11))
    assert not ascends((10, 10.9))


@pytest.mark.parametrize("values", [(1e-15, 1e12), (1e12, 1e-15)])
def test_no_figure_is_without_end(values):
    """A slope of 27 decades from 10 to 11, far beyond both."""
    for at in (1e-9, 1e9):
        far = interpolate(at, (10, 11), values)
        expected = values[0] * (1e30 if (at > 10) == (values[1] > values[0]) else 1e-30)
        assert far == pytest.approx(expected, rel=1e-12, abs=0.0)
    between = math.log(1.05) / math.log(1.1)
    assert interpolate(10.5, (10, 11), values) == pytest.approx(values[0] * (values[1] / values[0]) ** between)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("size_bytes = [2, 522]", "size_bytes = [522, 2]", "size_bytes must ascend, by a tenth"),
        ("size_bytes = [2, 522]", "size_bytes = [2, 5, 522]", "size_bytes must ascend, by a tenth"),
        ("energy = 1.0", "energy = 0.0", "scale.energy"),
        ("[3.801e-06, ", "[", "leakage_mw: must have 6 rows of 6 values"),
        ("words = [64, 256,", "words = [256, 64,", "words and word_bits must ascend"),
        ("words = [64, 256,", "words = [64, 65,", "words and word_bits must ascend, by a tenth or more"),
        ("words = [64, 256,", "words = [64, 100, 256,", "read_pj: must have 7 rows of 6 values"),
        ("[adder]", "[addder]", "did you mean 'adder'?"),
        ("clock_energy = 0.2573", "clock_energy = -1.0", "clock_energy"),
    ],
)
def test_what_is_no_technology_is_one_line(tmp_path, old, new, named):
    text = "\n".join(lines_of("45nm"))
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_technology(str(path))
    assert named in str(error.value)
    assert str(error.value).isprintable()


def test_a_node_of_ours_is_one_object_and_a_file_is_read_again(tmp_path):
    assert load_technology("45nm") is load_technology("45nm")
    path = tmp_path / "mine.toml"
    for clock_energy in ("0.5", "0.75"):
        path.write_text("\n".join(lines_of("45nm")).replace("clock_energy = 0.2573", f"clock_energy = {clock_energy}"))
        assert load_technology(str(path)).overhead.clock_energy == float(clock_energy)


def test_an_unknown_node_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'16': unknown technology; allowed: 16nm, 28nm, 45nm, 65nm"):
        load_technology("16")
