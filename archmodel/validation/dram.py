"""What configs/published/dram.toml measures: memories of banks beside DRAMsim3, Ramulator 2 and closed forms."""

from functools import cache
from types import MappingProxyType

from archmodel.memory.dram import load_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.trace import Trace
from archmodel.simulation.memory_trace import trace_memory
from archmodel.validation.published import Kind, PublishedRow, csv_rows
from archmodel.validation.scnn import Measured

LATENCIES_FILE = "dram_latencies.csv"
QUIET = 1000  # cycles after which the first read has left an open row and nothing else; no refresh is due so early
NUM_READS = 200_000  # at least 50 refresh intervals of every part
GIGA = 1e9

SEQUENTIAL = ("ddr4_2400", "gddr5", "gddr5x", "hbm1", "hbm2")
RANDOM = (
    *("ddr4_2400", "ddr4_2400_2rank", "gddr5", "gddr5x"),
    *("hbm1", "hbm2", "hbm2_4stacks", "hbm2_channel_low", "hmc1", "hmc2"),
)
WITH_ENERGY = ("ddr4_2400", "hbm2")
UNLOADED = "hmc1"

Place = tuple[int, int, int]  # row, number of a bank, column
START: Place = (0, 0, 0)
# What each example asks for at once, and whether START was read long before.
EXAMPLES = MappingProxyType(
    {
        "closed_bank_read": ("a read of a closed bank", False, (START,)),
        "row_hit": ("a read of an open row", True, ((0, 0, 1),)),
        "row_conflict": ("a read of a row while another one is open", True, ((1, 0, 0),)),
        "two_rows": ("two rows of a bank at once", False, (START, (1, 0, 0))),
        "eight_hits": ("eight reads of a row at once", False, tuple((0, 0, column) for column in range(8))),
        "eight_banks": ("reads of eight banks at once", False, tuple((0, bank, 0) for bank in range(8))),
    }
)
OF_TWO_SIMULATORS = "within two cycles of both simulators, which differ by one"
OF_BANKS = "the form leaves out that commands share a bus: at most two cycles more"
OF_TIMINGS = "follows from the timings"


def rows_of_latencies() -> tuple[PublishedRow, ...]:
    """Cycles of single reads, from the CSV file."""
    return tuple(row_of_latency(row) for row in csv_rows(LATENCIES_FILE))


def row_of_latency(row: dict[str, str]) -> PublishedRow:
    """A read of an example; a line without limits is a closed form."""
    what, _, places = EXAMPLES[row["example"]]
    kind: Kind = "gate" if row["low"] else "identity"
    judged = OF_BANKS if row["provenance"].startswith("computed") else OF_TWO_SIMULATORS
    which = f", number {row['request']}" if len(places) > 1 else ""
    return PublishedRow(
        id=id_of(row),
        what=f"{row['memory']}, {what}{which}, cycles",
        kind=kind,
        published=int(row["cycles"]),
        provenance=row["provenance"],
        low=float(row["low"]) if kind == "gate" else None,
        high=float(row["high"]) if kind == "gate" else None,
        reason=judged if kind == "gate" else OF_TIMINGS,
    )


def id_of(row: dict[str, str]) -> str:
    """Of a line of the CSV file."""
    return f"{row['memory']}.{row['example']}.{row['request']}"


def measure_dram() -> Measured:
    """Values of configs/published/dram.toml."""
    values: dict[str, float] = {
        id_of(row): read_cycles(row["memory"], row["example"])[int(row["request"]) - 1]
        for row in csv_rows(LATENCIES_FILE)
    }
    for pattern, memories in (("sequential", SEQUENTIAL), ("random", RANDOM)):
        for memory in memories:
            result = trace_memory(memory, pattern=pattern, requests=NUM_READS)
            values[f"{memory}.{pattern}"] = result.bandwidth_bytes_per_s / GIGA
            if memory in WITH_ENERGY:
                values[f"{memory}.{pattern}.energy"] = result.as_dict()["pj_per_bit"]
    alone = trace_memory(UNLOADED, Trace.of([0], [0], [False]))
    return values | {f"{UNLOADED}.unloaded": alone.read_latency_ns["mean"] or 0.0}, {}


@cache
def read_cycles(memory: str, example: str) -> list[int]:
    """From arrival to last data, of the reads that an example asks for at once, in the order of the trace."""
    part = load_memory(memory)
    assert isinstance(part, BankMemoryConfig)
    _, after_start, asked = EXAMPLES[example]
    places = (START, *asked) if after_start else asked
    cycles = [0, QUIET] if after_start else [0] * len(asked)
    result = trace_memory(
        memory, Trace.of(cycles, [address_of(part, place) for place in places], [False] * len(places))
    )
    return (result.completed - result.arrived)[-len(asked) :].tolist()


def address_of(part: BankMemoryConfig, place: Place) -> int:
    """First byte of an access; banks are counted through the bank groups, so that neighbours are of different ones."""
    row, bank, column = place
    num_groups = part.organization.bank_groups
    fields = {"ro": row, "bg": bank % num_groups, "ba": bank // num_groups, "co": column}
    return sum(value << part.field_positions[field] for field, value in fields.items()) * part.access_bytes
