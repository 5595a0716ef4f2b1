"""DRAM parts: their files against the values that DRAMsim3 resolves, what follows from a part, and what is no part."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archmodel import config
from archmodel.errors import ConfigError
from archmodel.memory.dram import IdealMemoryConfig, load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.part_sections import FIELDS
from archmodel.validation.published import csv_rows

ROWS = {row["memory"]: row for row in csv_rows("dramsim3_parts.csv")}
PARTS = [name for name in config.names("memory") if config.read("memory", name)[0]["model"] == "banks"]
GDDR = ("gddr5", "gddr5x")  # without bank groups, with t32AW and tPPD, with tRCDRD and tRCDWR
HBM = ("hbm1", "hbm2", "hbm2_channel_low")
PER_BANK = (*HBM, "gddr5")  # whose ini has a tREFIb


def data_of(name, **sections):
    """The keys of a file, `section={key: value}` put in; None takes a key out."""
    data, _ = config.read("memory", name)
    for section, changes in sections.items():
        data[section] = {**data.get(section, {}), **changes}
        data[section] = {key: value for key, value in data[section].items() if value is not None}
    return data


def part(name="hbm2", **sections):
    return config.validate(BankMemoryConfig, data_of(name, **sections), "m.toml")


# The files


def test_every_part_of_the_table_has_a_file_and_every_file_its_part():
    assert set(PARTS) - set(ROWS) == {"hbm2_4stacks"}
    assert set(ROWS) - set(PARTS) == set()
    one, four = load_memory("hbm2"), load_memory("hbm2_4stacks")
    assert four.peak_bytes_per_s == 4 * one.peak_bytes_per_s
    assert four.capacity_bytes == 4 * one.capacity_bytes
    assert four.field_widths == one.field_widths | {"ch": 5}
    assert (four.timing, four.energy) == (one.timing, one.energy)


@pytest.mark.parametrize("name", ROWS)
def test_the_organisation_is_that_of_dramsim3(name):
    row, memory = ROWS[name], load_memory(name)
    names = {
        "channels": "channels",
        "ranks": "ranks",
        "bankgroups": "bank_groups",
        "banks_per_group": "banks_per_group",
        "banks": "banks",
        "rows": "rows",
        "columns": "columns",
        "device_width": "device_bits",
        "bus_width": "bus_bits",
        "devices_per_rank": "devices",
        "BL": "burst_length",
        "burst_cycle": "burst_cycles",
        "request_size_bytes": "access_bytes",
    }
    for theirs, ours in names.items():
        assert getattr(memory.organization, ours) == int(row[theirs]), ours
    assert memory.organization.command_buses == 1 + int(row["enable_hbm_dual_cmd"])
    assert memory.capacity_bytes == int(row["channels"]) * int(row["channel_size"]) * 2**20
    # Rounded to six digits there.
    assert memory.peak_bytes_per_s == pytest.approx(float(row["peak_GBps"]) * 1e9, rel=5e-6)


@pytest.mark.parametrize("name", ROWS)
def test_the_timings_are_those_of_dramsim3(name):
    row, timing = ROWS[name], load_memory(name).timing
    assert timing.tCK_ns == float(row["tCK"])
    same = ("CL", "CWL", "tRP", "tRAS", "tRC", "tRRD_S", "tCCD_S", "tFAW", "tWR", "tWTR_S", "tRTP", "tRTRS")
    for key in (*same, "tRFC", "tREFI"):
        assert getattr(timing, key) == int(row[key]), key
    assert (int(row["RL"]), int(row["WL"])) == (timing.CL, timing.CWL)  # AL is zero in all
    own = name in (*GDDR, *HBM)
    assert timing.tRCDRD == int(row["tRCDRD" if own else "tRCD"])
    assert timing.tRCDWR == int(row["tRCDWR" if own else "tRCD"])
    for key in ("tRRD", "tCCD", "tWTR"):  # the times of other bank groups where these are switched off
        assert getattr(timing, f"{key}_L") == int(row[f"{key}_S" if name in GDDR else f"{key}_L"]), key
    assert (timing.t32AW, timing.tPPD) == ((int(row["t32AW"]), int(row["tPPD"])) if name in GDDR else (None, None))
    refresh = (int(row["tRFCb"]), int(row["tREFIb"])) if name in PER_BANK else (None, None)
    assert (timing.tRFCB, timing.tREFIB) == refresh


@pytest.mark.parametrize("name", ROWS)
def test_an_address_is_cut_as_dramsim3_cuts_it(name):
    row, memory = ROWS[name], load_memory(name)
    assert memory.mapping.order == row["address_mapping"]
    assert memory.access_bytes == 1 << int(row["shift_bits"])
    for field in FIELDS:
        assert memory.field_positions[field] == int(row[f"{field}_pos"]), field
    for field in set(FIELDS) - {"ra"}:  # a mask of ranks is not in the table
        assert (1 << memory.field_widths[field]) - 1 == int(row[f"{field}_mask"]), field
    assert 1 << memory.field_widths["ra"] == int(row["ranks"])


@pytest.mark.parametrize("name", ROWS)
def test_the_controller_is_that_of_dramsim3(name):
    row, controller = ROWS[name], load_memory(name).controller
    assert controller.page_policy == {"OPEN_PAGE": "open", "CLOSE_PAGE": "closed"}[row["row_buf_policy"]]
    assert controller.queue == ("separate", "unified")[int(row["unified_queue"])]
    assert (controller.bank_queue_depth, controller.buffer_depth) == (
        int(row["cmd_queue_size"]),
        int(row["trans_queue_size"]),
    )


@pytest.mark.parametrize("name", ROWS)
def test_the_energy_of_commands_follows_from_currents(name):
    row, memory = ROWS[name], load_memory(name)
    ours = {
        "act_energy_inc": memory.act_pj,
        "read_energy_inc": memory.read_pj,
        "write_energy_inc": memory.write_pj,
        "ref_energy_inc": memory.refresh_pj,
        "act_stb_energy_inc": memory.active_standby_pj_per_cycle,
        "pre_stb_energy_inc": memory.precharge_standby_pj_per_cycle,
    }
    # To the last digit of a double: the table has decimal numbers.
    assert ours == pytest.approx({key: float(row[key]) for key in ours}, rel=1e-14)


@pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name]["num_links"]])
def test_links_are_those_of_dramsim3(name):
    row, links = ROWS[name], load_memory(name).links
    assert (links.num_links, links.lanes) == (int(row["num_links"]), int(row["link_width"]))
    assert links.lane_bits_per_s == float(row["link_speed"]) * 1e6


@pytest.mark.parametrize("name", config.names("memory"))
def test_every_value_has_its_source_in_the_line(name):
    _, text, _ = config.written("memory", name)
    values = [line for line in text.splitlines() if "=" in line.partition("#")[0]]
    heads = [line for line in values if line.split()[0] in ("model", "base", "name")]
    assert all("#" in line.partition("=")[2] for line in values if line not in heads)
    assert text.startswith("# ")  # what `model`, `base` and `name` are from


# What follows from a part


def test_unloaded_reads_of_ddr4_are_those_of_ramulator():
    # Ramulator 2, DDR4-2400 17-17-17: cycles from arrival at an idle memory to the last data.
    assert load_memory("ddr4_2400").read_cycles == {"row_hit": 21, "closed_bank": 38, "row_conflict": 55}


def test_a_read_takes_the_cycles_of_its_commands():
    memory = part(timing={"CL": 5, "tRCDRD": 70, "tRCDWR": 3, "tRP": 900, "tRC": 1000})
    assert memory.read_cycles == {"row_hit": 7, "closed_bank": 77, "row_conflict": 977}
    assert memory.read_ns == {"row_hit": 7.0, "closed_bank": 77.0, "row_conflict": 977.0}
    assert part("hbm1").read_ns == {"row_hit": 18.0, "closed_bank": 32.0, "row_conflict": 46.0}


def test_a_closed_page_has_no_hits():
    memory = part(controller={"page_policy": "closed", "row_hit_cap": None})
    assert memory.read_cycles == {"closed_bank": 30}


def test_an_unloaded_read_of_a_cube_takes_46_ns():
    memory = load_memory("hmc1")
    # tRCD, CL and burst of the vault; a flit there, five back; the crossbar twice.
    assert memory.read_ns["closed_bank"] == pytest.approx(42 * 0.8 + 6 * 128 / (16 * 15) + 2 * 4.6)
    assert memory.read_ns["closed_bank"] == pytest.approx(46.0, abs=0.05)


def test_headers_and_tails_take_a_fifth_of_a_link():
    one, two = load_memory("hmc1"), load_memory("hmc2")
    assert one.links.bytes_per_s == 120e9
    assert (one.links.flits(0), one.links.flits(64), one.links.flits(65)) == (1, 5, 6)
    assert one.peak_read_bytes_per_s == pytest.approx(96e9, rel=1e-12)
    assert two.peak_read_bytes_per_s == pytest.approx(160e9, rel=1e-12)
    wide = part("hmc1", links={"lanes": 64})  # the vaults' buses are narrower than these
    assert wide.peak_read_bytes_per_s == wide.peak_bytes_per_s == 160e9
    assert load_memory("hbm2").peak_read_bytes_per_s == 256e9


def test_the_least_energy_of_a_stream_counts_everything_once():
    # HBM2: a row is 32 accesses; an access 2 cycles of standby and of refreshes.
    by_hand = (804 + 828 / 32 + 2 * (66 + 60840 / 3900)) / 512
    assert load_memory("hbm2").sequential_pj_per_bit == pytest.approx(by_hand, rel=1e-12)
    assert part(controller={"refresh": "none"}).sequential_pj_per_bit == pytest.approx((804 + 828 / 32 + 132) / 512)
    two = load_memory("ddr4_2400_2rank")
    standby = 2 * 4 * (412.8 + 834624 / 9360)
    assert two.sequential_pj_per_bit == pytest.approx((3532.8 + 4156.8 / 128 + standby) / 512)
    closed = load_memory("hmc1")
    assert closed.sequential_pj_per_bit == pytest.approx((412.8 + 285.6 + 8 * (25.2 + 65016 / 9364)) / 512)


def test_refreshes_bank_by_bank_take_the_power_of_their_own_interval():
    memory = part(controller={"refresh": "per_bank"})
    assert memory.refresh_bank_pj == memory.refresh_pj / 16
    by_hand = (804 + 828 / 32 + 2 * (66 + 60840 / 16 / 128)) / 512
    assert memory.sequential_pj_per_bit == pytest.approx(by_hand)


def test_a_cycle_is_charged_as_long_as_the_file_says():
    as_published, physical = load_memory("hbm1"), part("hbm1", energy={"charged_ns_per_cycle": 2.0})
    for name in ("act_pj", "read_pj", "write_pj", "refresh_pj", "active_standby_pj_per_cycle", "sequential_pj_per_bit"):
        assert getattr(physical, name) == pytest.approx(2 * getattr(as_published, name))


counts = st.integers(0, 6).map(lambda bits: 1 << bits)


@given(counts, counts, st.integers(0, 1), st.integers(0, 2), st.integers(0, 2), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_fields_cover_the_capacity_without_a_gap(channels, rows, ranks, groups, banks, seed):
    order = list(FIELDS)
    random.Random(seed).shuffle(order)
    sizes = {"channels": channels, "rows": rows, "ranks": 1 << ranks, "bank_groups": 1 << groups}
    same = {"tRRD_L": 4, "tCCD_L": 1, "tWTR_L": 6}  # as _S, for one bank group
    memory = part(organization={**sizes, "banks_per_group": 1 << banks}, mapping={"order": "".join(order)}, timing=same)
    bits = [memory.field_positions[field] + bit for field in FIELDS for bit in range(memory.field_widths[field])]
    assert sorted(bits) == list(range(int(math.log2(memory.capacity_bytes / memory.access_bytes))))
    widths = [memory.field_widths[field] for field in order]
    assert [memory.field_positions[field] for field in order] == [sum(widths[at + 1 :]) for at in range(6)]


# What is no part


@pytest.mark.parametrize(
    ("name", "section", "fits", "fails", "message"),
    [
        ("hbm2", "timing", {"tRC": 47}, {"tRC": 46}, "[timing]: tRC = 46: must be at least tRAS + tRP - 1 = 47"),
        ("hbm2", "timing", {"tRRD_L": 4}, {"tRRD_L": 3}, "[timing]: tRRD_L = 3: must be at least tRRD_S = 4"),
        ("hbm2", "timing", {"tCCD_L": 1}, {"tCCD_S": 3}, "[timing]: tCCD_L = 2: must be at least tCCD_S = 3"),
        ("hbm2", "timing", {"tWTR_L": 6}, {"tWTR_L": 5}, "[timing]: tWTR_L = 5: must be at least tWTR_S = 6"),
        ("gddr5", "timing", {"t32AW": 320}, {"t32AW": 319}, "t32AW = 319: must be at least 8 * tFAW = 320"),
        ("hbm2", "timing", {"tREFIB": 21}, {"tREFIB": 20}, "tREFIB = 20: must be at least tRFCB + 1 = 21"),
        ("ddr4_2400", "timing", {"tRFC": 9359 - 200}, {"tRFC": 9360}, "tREFI = 9360: must be at least tRFC + 1 = 9361"),
        ("hbm2", "timing", {"tRFCB": None, "tREFIB": None}, {"tRFCB": None}, "tRFCB is missing: tREFIB needs it"),
        ("hbm2", "timing", {}, {"tREFIB": None}, "tREFIB is missing: tRFCB needs it"),
        ("gddr5", "timing", {}, {"tCCD_L": 3}, "timing.tCCD_L = 3: must be tCCD_S = 2 with one bank group"),
        ("gddr5", "timing", {}, {"tRRD_L": 11}, "timing.tRRD_L = 11: must be tRRD_S = 10 with one bank group"),
        ("gddr5", "timing", {}, {"tWTR_L": 11}, "timing.tWTR_L = 11: must be tWTR_S = 10 with one bank group"),
        ("hbm2", "organization", {"rows": 4}, {"rows": 3}, "[organization]: rows = 3: must be a power of two"),
        ("hbm2", "organization", {"columns": 4}, {"columns": 2}, "columns = 2: must be at least burst_length = 4"),
        (
            "hbm2",
            "organization",
            {"device_bits": 64},
            {"device_bits": 256},
            "device_bits = 256: must be at most",
        ),
        ("hbm2", "organization", {"channels": 64}, {"channels": 128}, "128 channels in all: at most 64"),
        (
            "hbm2",
            "organization",
            {"rows": 2**20, "columns": 2**19},
            {"rows": 2**20, "columns": 2**20},
            f"{2**51} bytes in all; at most {2**50}",
        ),
        (
            "hbm2",
            "mapping",
            {"order": "corabgbachro"},
            {"order": "rorabgbachch"},
            "[mapping]: order must have each of",
        ),
        ("hbm2", "mapping", {}, {"order": "rorabgbachc"}, "order must have each of"),
        (
            "hbm2",
            "controller",
            {"write_idle": 31},
            {"write_idle": 32},
            "write_idle = 32: must be less than write_high",
        ),
        (
            "hbm2",
            "controller",
            {"buffer_depth": 32},
            {"buffer_depth": 31},
            "write_high = 32: must be at most",
        ),
        ("hbm2", "energy", {"IDD2N_mA": 55.0}, {"IDD2N_mA": 56.0}, "IDD2N_mA = 56.0: must be at most IDD3N_mA = 55.0"),
        ("hbm2", "energy", {"IDD4R_mA": 55.0}, {"IDD4R_mA": 54.0}, "IDD4R_mA = 54.0: must be at least IDD3N_mA = 55.0"),
        ("hbm2", "energy", {"IDD4W_mA": 55.0}, {"IDD4W_mA": 54.0}, "IDD4W_mA = 54.0: must be at least IDD3N_mA = 55.0"),
        ("hbm2", "energy", {"IDD5AB_mA": 55.0}, {"IDD5AB_mA": 54.0}, "IDD5AB_mA = 54.0: must be at least IDD3N_mA"),
        ("hmc1", "links", {"crossbar_s": 0.0}, {"crossbar_s": -1e-9}, "links.crossbar_s = -1e-09: must be at least 0"),
        ("hmc1", "links", {}, {"flit_bytes": None}, "links.flit_bytes: required key is missing"),
        ("hbm2", "timing", {}, {"tRCD": 14}, "timing.tRCD = 14: unknown key in [timing]"),
        ("hbm2", "timing", {}, {"tWR": 16.0}, "timing.tWR = 16.0: must be an integer"),
    ],
)
def test_a_rule_holds_up_to_its_edge(name, section, fits, fails, message):
    assert part(name, **{section: fits})
    assert message in refused(name, **{section: fails})


def refused(name, **sections):
    with pytest.raises(ConfigError) as error:
        part(name, **sections)
    text = str(error.value)
    assert text.startswith("m.toml: ")
    assert text.isprintable()
    return text


def test_a_choice_has_its_keys_and_no_others():
    unified = {"queue": "unified", "write_high": None, "write_idle": None}
    assert part(controller=unified).controller.write_high is None
    for key in ("write_high", "write_idle"):
        assert f"{key} is missing: queue = 'separate' needs it" in refused("hbm2", controller={key: None})
        text = refused("hbm2", controller=unified | {key: 5})
        assert f"{key} = 5: queue = 'unified' does not use it; 'none' takes it away" in text
    assert "row_hit_cap is missing: page_policy = 'open'" in refused("hbm2", controller={"row_hit_cap": None})
    assert "row_hit_cap = 4: page_policy = 'closed' does not" in refused("hbm2", controller={"page_policy": "closed"})
    assert "refresh = 'per_bank': needs timing.tRFCB and timing.tREFIB" in refused(
        "ddr4_2400", controller={"refresh": "per_bank"}
    )


def test_a_choice_is_changed_from_the_command_line():
    closed = ("controller.page_policy=closed", "controller.row_hit_cap=none")
    assert load_memory("hbm2", closed).controller.row_hit_cap is None
    unified = ("controller.queue=unified", "controller.write_high=none", "controller.write_idle=none")
    assert load_memory("hbm2", unified).controller.write_idle is None
    without = load_memory("gddr5", ("timing.t32AW=none", "timing.tPPD=none", "timing.tRFCB=none", "timing.tREFIB=none"))
    assert (without.timing.t32AW, without.timing.tPPD, without.timing.tRFCB, without.timing.tREFIB) == (None,) * 4
    with pytest.raises(ConfigError, match=r"^--set memory\.timing\.tRC=none: must be an integer$"):
        load_memory("hbm2", ("timing.tRC=none",))


def test_refreshes_leave_time_for_an_access():
    # tRFC 260, tRC 48, tRP 14, then tRCD 14, CWL 4, a burst of 2 and tWR 16.
    least = 260 + 48 + 14 + 14 + 4 + 2 + 16
    assert part(timing={"tREFI": least})
    assert f"timing.tREFI = {least - 1}: must be at least {least}" in refused("hbm2", timing={"tREFI": least - 1})
    assert part(timing={"tREFI": least - 1}, controller={"refresh": "none"})
    banks = {"bank_groups": 1, "banks_per_group": 2}
    timing = {"tRRD_L": 4, "tCCD_L": 1, "tWTR_L": 6, "tRFCB": 20}
    least = 20 + 98
    for refresh, fits in (("per_bank", False), ("all_bank", True)):
        sections = {"organization": banks, "controller": {"refresh": refresh}}
        assert part(**sections, timing=timing | {"tREFIB": least // 2})
        short = sections | {"timing": timing | {"tREFIB": least // 2 - 1}}
        if fits:
            assert part(**short)
        else:
            assert f"timing.tREFIB = 58: times 2 banks must be at least {least}" in refused("hbm2", **short)


# Which kind of memory


def test_a_memory_is_of_the_kind_that_its_model_names(tmp_path):
    assert isinstance(load_memory("ideal"), IdealMemoryConfig)
    assert isinstance(load_memory("hmc2"), BankMemoryConfig)
    path = tmp_path / "mine.toml"
    path.write_text("base = 'hbm2'\nname = 'mine'\n[organization]\nstacks = 2\n")
    assert load_memory(str(path)).num_channels == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = 'bank'\n", "model = 'bank': must be 'ideal' or 'banks'; did you mean 'banks'?"),
        ("model = 3\n", "model = 3: must be 'ideal' or 'banks'"),
        ("model = ['banks']\n", "model = ['banks']: must be 'ideal' or 'banks'"),
        ("name = 'x'\n", "model: required key is missing; allowed: 'ideal' or 'banks'"),
        ("model = 'banks'\n", "name: required key is missing"),
        ("model = 'banks'\norganization = 3\n", "organization = 3: must be a section"),
        ("model = 'ideal'\n[timing]\nCL = 3\n", "unknown section at the top level"),
    ],
)
def test_what_is_neither_is_one_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_memory("m.toml")
    assert str(error.value).startswith("m.toml: ")
    assert message in str(error.value)
