"""Small random memory parts and request traces, and the hand-made part that the tests of the bank model start from."""

import copy
import random

from hypothesis import strategies as st

FIELDS = ("ro", "ra", "bg", "ba", "ch", "co")

# DDR4-2400 17-17-17 (JESD79-4), one rank of x8 devices, with few rows and no refresh. Currents: any.
HAND_PART = {
    "model": "banks",
    "name": "hand-made",
    "organization": {
        "stacks": 1,
        "channels": 1,
        "ranks": 1,
        "bank_groups": 4,
        "banks_per_group": 4,
        "rows": 64,
        "columns": 1024,
        "bus_bits": 64,
        "device_bits": 8,
        "burst_length": 8,
        "burst_cycles": 4,
        "command_buses": 1,
    },
    "timing": {
        "tCK_ns": 0.83,
        "CL": 17,
        "CWL": 12,
        "tRCDRD": 17,
        "tRCDWR": 17,
        "tRP": 17,
        "tRAS": 39,
        "tRC": 56,
        "tRRD_S": 4,
        "tRRD_L": 6,
        "tCCD_S": 4,
        "tCCD_L": 6,
        "tFAW": 26,
        "tWR": 18,
        "tWTR_S": 3,
        "tWTR_L": 9,
        "tRTP": 9,
        "tRTRS": 1,
        "tRFC": 420,
        "tREFI": 9360,
    },
    "mapping": {"order": "rochrababgco"},
    "controller": {
        "page_policy": "open",
        "queue": "separate",
        "bank_queue_depth": 8,
        "buffer_depth": 32,
        "row_hit_cap": 4,
        "write_high": 26,
        "write_idle": 6,
        "feed": "in_order",
        "refresh": "none",
    },
    "energy": {
        "supply_v": 1.2,
        "IDD0_mA": 57.0,
        "IDD2N_mA": 37.0,
        "IDD3N_mA": 52.0,
        "IDD4R_mA": 168.0,
        "IDD4W_mA": 150.0,
        "IDD5AB_mA": 250.0,
        "charged_ns_per_cycle": 1.0,
        "io_pj_per_bit": 0.0,
    },
    "layout": {
        "base_alignment_bytes": 4096,
        "weight_offset_bytes": 0,
        "input_offset_bytes": 0,
        "output_offset_bytes": 0,
        "psum_offset_bytes": 0,
        "chunk_bytes": 256,
    },
    "sampling": {"refresh_intervals": 4},
}


def hand_part(**changes):
    """HAND_PART with other values; a key is named as in its table, `order` is the mapping's."""
    part = copy.deepcopy(HAND_PART)
    for key, value in changes.items():
        homes = [table for table in part.values() if isinstance(table, dict) and key in table]
        home = homes[0] if homes else part["timing"]  # t32AW, tPPD, tRFCB, tREFIB: only some parts have them
        if value is None:
            del home[key]
        else:
            home[key] = value
    return part


def address_of(part, *, row=0, rank=0, bank_group=0, bank=0, channel=0, column=0):
    """First byte of an access, by the mapping of the part."""
    organization = part["organization"]
    value = {"ro": row, "ra": rank, "bg": bank_group, "ba": bank, "ch": channel, "co": column}
    size = {
        "ro": organization["rows"],
        "ra": organization["ranks"],
        "bg": organization["bank_groups"],
        "ba": organization["banks_per_group"],
        "ch": organization["stacks"] * organization["channels"],
        "co": organization["columns"] // organization["burst_length"],
    }
    order, granule = part["mapping"]["order"], 0
    for position in range(0, 12, 2):
        field = order[position : position + 2]
        granule = granule * size[field] + value[field]
    return granule * organization["bus_bits"] // 8 * organization["burst_length"]


def random_part(rng):
    """A part as its file would state it; every policy and every optional rule comes up, and 64 banks of a channel."""
    burst_length = rng.choice([2, 4, 8])
    ranks, bank_groups, banks_per_group = rng.choice(
        [(1, 1, 1), (1, 1, 16), (1, 2, 2), (1, 4, 4), (2, 1, 4), (2, 2, 1), (2, 4, 2), (4, 1, 2), (4, 2, 4), (4, 4, 4)]
    )
    organization = {
        "stacks": rng.choice([1, 1, 2]),
        "channels": rng.choice([1, 1, 1, 2, 4]),
        "ranks": ranks,
        "bank_groups": bank_groups,
        "banks_per_group": banks_per_group,
        "rows": rng.choice([4, 16, 64]),
        "columns": burst_length * rng.choice([1, 4, 16]),
        "bus_bits": rng.choice([32, 64, 128]),
        "device_bits": rng.choice([8, 32]),
        "burst_length": burst_length,
        "burst_cycles": rng.choice([burst_length // 2, 1, 2, 4]),
        "command_buses": rng.choice([1, 2]),
    }
    timing = random_timing(rng, organization)
    order = rng.sample(FIELDS, len(FIELDS))
    buffer_depth = rng.choice([2, 4, 8, 16])
    write_idle = rng.randrange(buffer_depth)
    controller = {
        "page_policy": rng.choice(["open", "open", "closed"]),
        "queue": rng.choice(["separate", "separate", "unified"]),
        "bank_queue_depth": rng.choice([1, 2, 4, 8]),
        "buffer_depth": buffer_depth,
        "feed": rng.choice(["in_order", "per_channel"]),
        "refresh": rng.choice(["all_bank", "per_bank", "none"]),
    }
    if controller["page_policy"] == "open":
        controller["row_hit_cap"] = rng.choice([1, 2, 4])
    if controller["queue"] == "separate":
        controller |= {"write_high": rng.randint(write_idle + 1, buffer_depth), "write_idle": write_idle}
    if controller["refresh"] == "per_bank" or rng.random() < 0.1:
        timing["tRFCB"] = rng.randint(1, 30)
        banks = organization["ranks"] * organization["bank_groups"] * organization["banks_per_group"]
        turn = timing["tRFCB"] + access_cycles(timing, organization)  # of each bank, at least
        timing["tREFIB"] = max(timing["tRFCB"] + 1, -(-turn // banks)) + rng.randint(0, 60)
    return HAND_PART | {
        "name": "random",
        "organization": organization,
        "timing": timing,
        "mapping": {"order": "".join(order)},
        "controller": controller,
    }


def as_written(rng, part):
    """The part as a file with a base may state it: optional keys that it does not have are "none", or not there."""
    optional = {
        "timing": ("t32AW", "tPPD", "tRFCB", "tREFIB"),
        "controller": ("row_hit_cap", "write_high", "write_idle"),
    }
    written = copy.deepcopy(part)
    for table, keys in optional.items():
        written[table] |= {key: "none" for key in keys if key not in part[table] and rng.random() < 0.3}
    return written


def access_cycles(timing, organization):
    """Cycles in which an open bank ends its work and another row is written: more than a refresh may have to wait."""
    written = timing["CWL"] + organization["burst_cycles"] + timing["tWR"]
    return timing["tRC"] + timing["tRP"] + max(timing["tRCDRD"], timing["tRCDWR"]) + written


def random_timing(rng, organization):
    CL = rng.randint(2, 24)
    tRAS, tRP = rng.randint(3, 40), rng.randint(1, 24)
    tRRD_S, tCCD_S, tWTR_S = rng.randint(1, 6), rng.randint(1, 5), rng.randint(0, 8)
    more = 0 if organization["bank_groups"] == 1 else 4  # within a bank group
    timing = {
        "tCK_ns": rng.choice([0.5, 0.83, 1.0]),
        "CL": CL,
        "CWL": rng.randint(1, CL),
        "tRCDRD": rng.randint(1, 20),
        "tRCDWR": rng.randint(1, 20),
        "tRP": tRP,
        "tRAS": tRAS,
        "tRC": tRAS + tRP + rng.choice([-1, 0, 0, 5]),
        "tRRD_S": tRRD_S,
        "tRRD_L": tRRD_S + rng.randint(0, more),
        "tCCD_S": tCCD_S,
        "tCCD_L": tCCD_S + rng.randint(0, more),
        "tFAW": 4 * tRRD_S + rng.randint(0, 30),
        "tWR": rng.randint(1, 20),
        "tWTR_S": tWTR_S,
        "tWTR_L": tWTR_S + rng.randint(0, more),
        "tRTP": rng.randint(1, 10),
        "tRTRS": rng.randint(0, 3),
    }
    if rng.random() < 0.3:
        timing["t32AW"] = 8 * timing["tFAW"] + rng.randint(0, 100)
    if rng.random() < 0.4:
        timing["tPPD"] = rng.randint(1, 6)
    timing["tRFC"] = rng.randint(10, 80)
    timing["tREFI"] = timing["tRFC"] + access_cycles(timing, organization) + rng.randint(8, 600)
    return timing


def random_trace(rng, part, num_requests):
    """(cycle, address, is a write) in order of arrival: stretches of one pattern each, some crowded, some far apart."""
    organization = part["organization"]
    access_bytes = organization["bus_bits"] // 8 * organization["burst_length"]
    num_granules = organization["stacks"] * organization["channels"] * organization["ranks"] * organization["rows"]
    num_granules *= organization["bank_groups"] * organization["banks_per_group"]
    num_granules *= organization["columns"] // organization["burst_length"]
    few = [rng.randrange(2 * num_granules) * access_bytes for _ in range(3)]
    trace, cycle, address = [], 0, few[0]
    while len(trace) < num_requests:
        pattern = rng.choice(["sequential", "strided", "random", "few addresses", "few banks"])
        write_share = rng.choice([0.0, 0.0, 0.2, 0.5, 0.8, 1.0])
        longest_gap = rng.choice([0, 0, 0, 1, 3, 12, 60])
        stride = rng.choice([1, 3, 16, num_granules // 4 + 1])
        for _ in range(rng.choice([1, 4, 10, 30])):
            cycle += rng.randint(0, longest_gap)
            if pattern in ("sequential", "strided"):
                address += access_bytes * (1 if pattern == "sequential" else stride)
            elif pattern == "random":
                address = rng.randrange(2 * num_granules * access_bytes)
            elif pattern == "few addresses":
                address = rng.choice(few)
            else:
                rows, columns = (
                    range(min(3, organization["rows"])),
                    range(min(4, organization["columns"] // organization["burst_length"])),
                )
                groups = range(min(2, organization["bank_groups"]))
                place = {"row": rng.choice(rows), "column": rng.choice(columns), "bank_group": rng.choice(groups)}
                address = address_of(part, rank=rng.randrange(organization["ranks"]), **place)
            trace.append((cycle, address, rng.random() < write_share))
        cycle += rng.choice([0, 0, 20, 700])
    return trace[:num_requests]


def random_case(seed, num_requests):
    rng = random.Random(seed)
    part = random_part(rng)
    return part, random_trace(rng, part, num_requests)


def crowded_case(seed, num_requests):
    """Many more requests than there is room for, half of them writes, so that one drain follows another."""
    rng = random.Random(seed)
    part = random_part(rng)
    part["controller"] |= {"queue": "separate", "bank_queue_depth": rng.choice([1, 2, 8])}
    part["controller"] |= {"buffer_depth": rng.choice([8, 16]), "write_high": rng.randint(3, 6)}
    part["controller"]["write_idle"] = rng.randint(0, 2)
    num_addresses = rng.choice([30, 300])
    access_bytes = part["organization"]["bus_bits"] // 8 * part["organization"]["burst_length"]
    few = [rng.randrange(2**20) * access_bytes for _ in range(num_addresses)]
    cycles = sorted(rng.randrange(3 * num_requests) for _ in range(num_requests))
    return part, [(cycle, rng.choice(few), rng.random() < 0.5) for cycle in cycles]


def random_cube(rng):
    """A part behind links, where requests leave the host in order and a vault has one buffer."""
    part = copy.deepcopy(random_part(rng))
    for key in ("write_high", "write_idle"):
        part["controller"].pop(key, None)
    part["controller"] |= {"queue": "unified", "feed": "in_order"}
    part["links"] = {
        "num_links": rng.choice([1, 2, 4]),
        "lanes": rng.choice([8, 16]),
        "lane_bits_per_s": rng.choice([8e9, 15e9, 25e9]),
        "flit_bytes": 16,
        "header_and_tail_bytes": 16,
        "crossbar_s": rng.choice([0.0, 2e-9, 5.3e-9]),
        "max_outstanding": rng.choice([1, 2, 8, 64]),
    }
    return part


def random_cube_case(seed, num_requests):
    rng = random.Random(seed)
    part = random_cube(rng)
    return part, random_trace(rng, part, num_requests)


def cases(max_requests=150, case=random_case):
    """Hypothesis strategy of (part, trace); a failing trace is cut to its shortest failing prefix."""
    return st.builds(case, st.integers(0, 2**32 - 1), st.integers(1, max_requests))
