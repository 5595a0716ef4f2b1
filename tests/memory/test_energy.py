"""Energy and area of components: layers added up by hand, and what must hold whatever the figures are."""

import dataclasses

import pytest

from archmodel.memory.energy import Component, Counts, area_mm2, cost_of, energy_pj
from archmodel.memory.technology import load_technology

ANCHOR = load_technology("45nm")
NOTHING = Counts({}, {}, {})
PARTS = (
    Component("ram", "sram", 2, 16, words=1024, words_per_row=4),
    Component("file", "register_file", 3, 20, words=50),
    Component("multipliers", "multiplier", 16, 16),
    Component("adders", "adder", 8, 24),
    Component("crossbar", "crossbar", 1, 24, ports=(16, 32)),
)


def cost(kind="sram", technology=ANCHOR, **changes):
    described = {"name": "x", "kind": kind, "instances": 1, "bits": 16, "words": 64} | changes
    return cost_of(technology, Component(**described))


def at_node(name):
    return load_technology(name)


def test_a_tiny_layer_adds_up_by_hand():
    # 45 nm: a row of 4 x 16 bits of 256 rows is a CACTI point, 2.756 pJ to read and 4.239 pJ to write, 7,542 um2
    counts = Counts({"ram": 8, "file": 2}, {"ram": 4}, {"multipliers": 10, "adders": 5, "crossbar": 3})
    energy = energy_pj(ANCHOR, PARTS, counts, time_s=2e-6, dram_pj=7.0)
    file_pj = 20 * 0.009 * (0.0328 / 0.009) ** (4.135 / 5.564)  # ln(125 / 2) / ln(522 / 2): 125 bytes
    expected = {
        "ram": 8 * 2.756 / 4 + 4 * 4.239 / 4,
        "file": 2 * file_pj,
        "multipliers": 10 * 3.1 / 4,
        "adders": 5 * 0.1 * 24 / 32,
        # 24 bits over 16 x 24 and 32 x 24 wires, of a crossbar with 32 x 64 and 32 x 64
        "crossbar": 3 * 24 * 0.0449 * (16 * 24 + 32 * 24) / 4096,
    }
    assert {name: energy[name] for name in expected} == pytest.approx(expected, rel=1e-2)
    assert energy["clock"] == pytest.approx(0.2573 * sum(energy[name] for name in expected))
    leakage_mw = (
        2 * 4.701e-5 + 3 * 1000 * 7.40e-5 + 16 * 7.79e-2 / 4 + 8 * 2.25e-3 * 24 / 32
        + 1.888 * (16 * 24) * (32 * 24) / (32 * 64) ** 2
    )  # fmt: skip
    assert energy["leakage"] == pytest.approx(leakage_mw * 2e-6 * 1e9, rel=1e-3)
    assert energy["dram"] == 7.0
    assert list(energy) == [*expected, "clock", "leakage", "dram"]


def test_a_tiny_machine_adds_up_by_hand():
    area = area_mm2(ANCHOR, PARTS)
    expected = {
        "ram": 2 * 7542.0,
        "file": 3 * 1000 * 5.98,
        "multipliers": 16 * 6350 / 4,
        "adders": 8 * 278 * 24 / 32,
        "crossbar": 2.333e5 * (16 * 24) * (32 * 24) / (32 * 64) ** 2,
    }
    assert {name: area[name] for name in expected} == pytest.approx({name: um2 / 1e6 for name, um2 in expected.items()})
    assert area["filler"] == pytest.approx(0.039 * sum(expected.values()) / 1e6)
    assert list(area) == [*expected, "filler"]


@pytest.mark.parametrize(("bits", "other_bits"), [(8, 2), (2, 8), (1, 1), (16, 16), (5, 24)])
def test_a_multiplier_is_as_large_as_the_product_of_the_bits_of_both_operands(bits, other_bits):
    one, known = cost("multiplier", bits=bits, other_bits=other_bits), ANCHOR.multiplier
    for value, published in (
        (one.read_pj, known.energy_pj),
        (one.area_mm2 * 1e6, known.area_um2),
        (one.leakage_mw, known.leakage_mw),
    ):
        assert value == pytest.approx(published * bits * other_bits / 32**2)


def test_a_second_operand_is_as_wide_as_the_first_unless_told():
    assert cost("multiplier", bits=12) == cost("multiplier", bits=12, other_bits=12)


@pytest.mark.parametrize(("kind", "other_bits"), [("adder", 8), ("sram", 8), ("multiplier", 0), ("multiplier", -1)])
def test_only_a_multiplier_has_a_second_operand(kind, other_bits):
    with pytest.raises(ValueError, match=rf"component x: other_bits = {other_bits}: must be those of a multiplier"):
        cost(kind, other_bits=other_bits)


def test_without_actions_there_is_only_leakage():
    energy = energy_pj(ANCHOR, PARTS, NOTHING, time_s=1e-3, dram_pj=0.0)
    assert {name for name, spent in energy.items() if spent} == {"leakage"}
    assert not any(energy_pj(ANCHOR, PARTS, NOTHING, time_s=0.0, dram_pj=0.0).values())


def test_leakage_grows_with_the_time_and_nothing_else():
    counts = Counts({"ram": 8}, {}, {"adders": 3})
    short, long = (energy_pj(ANCHOR, PARTS, counts, time_s, 1.0) for time_s in (1e-6, 3e-6))
    assert long.pop("leakage") == pytest.approx(3 * short.pop("leakage"))
    assert long == short


@pytest.mark.parametrize(
    "counts",
    [
        Counts({"iaram": 1}, {}, {}),
        Counts({}, {"multipliers": 1}, {}),  # an operation, not a word
        Counts({}, {}, {"ram": 1}),
        Counts({}, {}, {"dividers": 0}),
    ],
    ids=str,
)
def test_what_is_counted_and_no_component_is_an_error(counts):
    with pytest.raises(ValueError, match="counted, but no component"):
        energy_pj(ANCHOR, PARTS, counts, 0.0, 0.0)


def test_a_calibration_scales_the_energy_of_an_action_and_nothing_else():
    part = PARTS[4]
    plain, scaled = cost_of(ANCHOR, part), cost_of(ANCHOR, dataclasses.replace(part, calibration=0.25))
    assert scaled.read_pj == pytest.approx(plain.read_pj / 4)
    assert scaled.write_pj == pytest.approx(plain.write_pj / 4)
    assert (scaled.area_mm2, scaled.leakage_mw) == (plain.area_mm2, plain.leakage_mw)


def test_instances_cost_area_and_leakage_and_no_energy():
    counts = Counts({"ram": 8}, {"file": 2}, {"multipliers": 4, "adders": 4, "crossbar": 4})
    twice = tuple(dataclasses.replace(part, instances=2 * part.instances) for part in PARTS)
    one, two = (energy_pj(ANCHOR, parts, counts, 1e-6, 0.0) for parts in (PARTS, twice))
    assert two.pop("leakage") == pytest.approx(2 * one.pop("leakage"))
    assert two == one
    assert area_mm2(ANCHOR, twice) == pytest.approx({name: 2 * area for name, area in area_mm2(ANCHOR, PARTS).items()})


@pytest.mark.parametrize("kind", ["sram", "register_file"])
def test_a_larger_store_costs_more_for_every_word(kind):
    small, large = cost(kind, words=64), cost(kind, words=256)
    for figure in ("read_pj", "write_pj", "area_mm2", "leakage_mw"):
        assert getattr(large, figure) > getattr(small, figure)


@pytest.mark.parametrize("kind", ["sram", "register_file", "multiplier", "adder", "crossbar"])
def test_wider_words_cost_more(kind):
    narrow, wide = cost(kind, bits=16), cost(kind, bits=24)
    for figure in ("read_pj", "write_pj", "area_mm2", "leakage_mw"):
        assert getattr(wide, figure) > getattr(narrow, figure)


def test_words_of_one_row_share_its_access():
    single, of_four = cost(bits=16, words=4096), cost(bits=16, words=4096, words_per_row=4)
    row = cost(bits=64, words=1024)
    assert of_four.read_pj == pytest.approx(row.read_pj / 4)
    assert of_four.write_pj == pytest.approx(row.write_pj / 4)
    assert of_four.area_mm2 == row.area_mm2
    assert of_four.read_pj < single.read_pj


def test_two_ports_are_another_table():
    assert cost(two_port=True).area_mm2 == pytest.approx(1215.0e-6)
    assert cost(two_port=False).area_mm2 == pytest.approx(568.2e-6)


def test_a_register_file_is_made_of_flip_flops():
    assert cost("register_file", bits=8, words=10).area_mm2 == pytest.approx(80 * 5.98e-6)
    assert cost("register_file", bits=16, words=1).read_pj == pytest.approx(16 * 0.009)
    assert cost("register_file", bits=16, words=261).read_pj == pytest.approx(16 * 0.0328)


@pytest.mark.parametrize("ports", [(32, 16), (16, 64)])
def test_more_ports_of_a_crossbar_cost_more(ports):
    few, many = cost("crossbar", ports=(16, 16)), cost("crossbar", ports=ports)
    assert many.read_pj > few.read_pj
    assert many.area_mm2 > few.area_mm2


def test_a_crossbar_as_published_costs_what_is_published():
    swift = cost("crossbar", at_node("65nm"), bits=64, ports=(32, 32))
    assert swift.area_mm2 == pytest.approx(0.35, rel=1e-3)
    assert swift.read_pj / 64 == pytest.approx(1 / 7.39 * 1.906 / 3.012, rel=1e-2)  # at 1 V, published at 1.2 V


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.kind)
def test_a_smaller_node_costs_less(part):
    costs = [cost_of(at_node(name), part) for name in ("65nm", "45nm", "28nm", "16nm")]
    for figure in ("read_pj", "write_pj", "area_mm2", "leakage_mw"):
        figures = [getattr(one, figure) for one in costs]
        assert figures == sorted(figures, reverse=True)
        assert len(set(figures)) == len(figures)


def test_srams_and_logic_have_their_own_area_factors():
    node = at_node("16nm")
    for part in PARTS:
        factor = cost_of(node, part).area_mm2 / cost_of(ANCHOR, part).area_mm2
        assert factor == pytest.approx(0.2368 if part.kind == "sram" else 0.19)
        assert cost_of(node, part).read_pj / cost_of(ANCHOR, part).read_pj == pytest.approx(0.1721)
        assert cost_of(node, part).leakage_mw / cost_of(ANCHOR, part).leakage_mw == pytest.approx(0.1689)
