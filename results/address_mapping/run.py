"""What streams get of a memory by where they begin, by how they take turns, and by the mapping of addresses.

python results/address_mapping/run.py     writes compare.md, points.csv and, with matplotlib, streams.png; a minute
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from archmodel import simulate, trace_memory
from archmodel.memory.bank_memory import BankMemory, open_memory
from archmodel.memory.part import BankMemoryConfig
from archmodel.memory.trace import Trace
from archmodel.memory.transfers import Phases
from archmodel.views.figure import BOUND, MISSED, OURS, PAGE_INCHES, SHADE, can_draw, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent
PARTS = ("hbm2", "hbm2_channel_low", "ddr4_2400")
STREAMS = (2, 3, 4)  # of which the last one writes
CHUNKS = (64, 256, 1024, 4096, 16384, 65536)  # bytes of a stream's turn
# The field of the address in which each stream's first access differs from that of the stream before.
BASES = {"same bank, another row": "ro", "next bank": "ba", "next bank group": "bg", "next channel": "ch"}
NUM_ROWS = 64  # between two streams, and more than each goes through
NUM_ACCESSES = 60_000
PUBLISHED = (11, 47)  # % of the peak, of three streams on one bank

KINDS = (("weight", "read"), ("input", "read"), ("output", "write"))
STREAM_BYTES, NUM_PHASES = 2**20, 16
MACHINES = (("diannao", "vgg16"), ("dcnn", "vgg16"), ("scnn", "vgg16"))
HZ = 1e9


class Point(NamedTuple):
    """Streams on a part."""

    part: str
    streams: int
    base: str
    chunk_bytes: int
    peak_percent: float
    row_hit_rate: float


def part_of(memory: str, *assignments: str) -> BankMemory:
    """A part behind a machine, every request of which is run."""
    opened = open_memory(memory, assignments, "full")
    assert isinstance(opened, BankMemory)
    return opened


def field_bytes(part: BankMemoryConfig, field: str) -> int:
    """How far apart two addresses are that differ by one in a field."""
    return part.access_bytes << part.field_positions[field]


def accesses(part: BankMemoryConfig, streams: int, field: str, chunk_bytes: int) -> Trace:
    """Streams that take turns, all there at once; each begins in the field's next place and other rows."""
    index, in_turn = np.arange(NUM_ACCESSES), chunk_bytes // part.access_bytes
    turn = index // in_turn
    place = turn // streams * in_turn + index % in_turn
    distance = NUM_ROWS * field_bytes(part, "ro") + (field_bytes(part, field) if field != "ro" else 0)
    addresses = turn % streams * distance + place * part.access_bytes
    return Trace.of(np.zeros(NUM_ACCESSES, np.int64), addresses, turn % streams == streams - 1)


def swept() -> Iterator[Point]:
    """Every number of streams, base and chunk on every part."""
    for memory in PARTS:
        part = part_of(memory).part
        for streams in STREAMS:
            for base, field in BASES.items():
                for chunk_bytes in CHUNKS if part.field_widths[field] else ():
                    result = trace_memory(memory, accesses(part, streams, field, chunk_bytes))
                    share = 100 * result.bandwidth_bytes_per_s / result.peak_bytes_per_s
                    yield Point(memory, streams, base, chunk_bytes, share, result.row_hit_rate or 0.0)


def layouts(part: BankMemoryConfig) -> dict[str, list[str]]:
    """Sections [layout] that place three streams, as assignments."""
    aligned = [f"layout.base_alignment_bytes={field_bytes(part, 'ro')}"]

    def shifted(field: str) -> list[str]:
        step = field_bytes(part, field)
        return [*aligned, f"layout.input_offset_bytes={step}", f"layout.output_offset_bytes={2 * step}"]

    return {"as the file has it": [], "one bank": aligned, "next bank": shifted("ba"), "next bank group": shifted("bg")}


def layout_percent(memory: str, assignments: list[str], chunk_bytes: int) -> float:
    """Share of the peak that a layer of three equal streams gets."""
    behind = part_of(memory, *assignments, f"layout.chunk_bytes={chunk_bytes}")
    moved = behind.transfers(Phases(KINDS, np.full((NUM_PHASES, 3), STREAM_BYTES // NUM_PHASES)), HZ)
    return 100 * 3 * STREAM_BYTES / moved.time_s / behind.part.peak_bytes_per_s


def machine_cycles(machine: str, net: str, memory: str) -> dict[str, int]:
    """Cycles of the convolutions by layout; the last one has turns of 4 KiB too."""
    part = part_of(memory).part
    chosen = layouts(part)
    chosen["next bank group, turns of 4096"] = [*chosen["next bank group"], "layout.chunk_bytes=4096"]
    cycles = {}
    for name, assignments in chosen.items():
        of_memory = [f"memory.{one}" for one in assignments]
        run = simulate(machine, net, layers="conv*", memory=memory, fidelity="statistical", assignments=of_memory)
        cycles[name] = run.cycles
    return cycles


@dataclass(frozen=True)
class ThreeStreams:
    """Share of the peak over the bytes of a turn, a frame for each part, a line for each base."""

    points: list[Point]
    caption: str = "Three streams, one of which writes."
    inches: tuple[float, float] = (PAGE_INCHES, 2.4)

    def draw(self, figure: "Figure") -> None:
        """Draw all parts beside each other."""
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02)
        looks = (("o", "-", MISSED), ("s", "--", OURS), ("^", "-.", BOUND), ("D", ":", "black"))
        for axes, part in zip(figure.subplots(1, len(PARTS), sharey=True), PARTS, strict=True):
            axes.axhspan(*PUBLISHED, color=SHADE, lw=0, label="three streams on one bank, as stated")
            for base, (marker, line, colour) in zip(BASES, looks, strict=True):
                chosen = [p for p in self.points if (p.part, p.streams, p.base) == (part, 3, base)]
                where = [p.chunk_bytes for p in chosen], [p.peak_percent for p in chosen]
                axes.plot(*where, marker=marker, ls=line, color=colour, mfc="none", lw=1, label=base)
            axes.set_xscale("log", base=2)
            axes.set_xticks(CHUNKS, [f"{chunk}" if chunk < 1024 else f"{chunk // 1024} Ki" for chunk in CHUNKS])
            axes.minorticks_off()
            axes.set_ylim(0, 100)
            axes.set_title(part)
            axes.set_xlabel("bytes of a turn")
            axes.grid()
        figure.axes[0].set_ylabel("% of the peak")
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)


HEADER = """# Addresses and bandwidth

Made by `python results/address_mapping/run.py`; the numbers of every point are in `points.csv`. Two to four streams go
through a memory side by side, so many bytes of each in turn, all requests there at once; the last stream writes, the
others read. What their addresses have in common decides on most of the bandwidth. Users of such memories report
11 to 47 % of the peak for three streams on one bank.

![three streams](streams.png)

Three streams on one bank get {hbm2:.0f} % of HBM2 and {ddr4:.0f} % of DDR4-2400 in turns of {chunk} bytes. By hand:

```
archmodel memory-trace --memory hbm2 --pattern streams --streams 3 --write-share 0.333 \\
  --chunk-bytes 256 --alignment-bytes 262144
```

* A bank has one row open. Streams that want different rows of it close each other's: an access costs up to a row
  cycle, `tRC`, 48 ns of HBM2, in which the data bus could move 24 accesses. The queues hold eight requests of a bank:
  what lets some accesses of one row go together.
* In DDR4's mapping a stream goes to the next bank group after a row of 8 KiB; there is one channel, which a bank alone
  can keep half busy. In HBM2's it goes to the next channel after a row of 2 KiB: three streams in step are not only on
  one bank, but all on one of eight channels.
* With channels in the lowest bits (`hbm2_channel_low`) every turn of 512 bytes uses all channels, and nothing is below
  {low:.0f} % of the peak.
* One bank or bank group further, streams no longer close each other's rows; on HBM2 they are still on one channel.
  One channel further they are on three, but with turns of 4 KiB, two channels, the end of one turn and the beginning
  of the next are on one bank again.
* With turns of 4 KiB HBM2 reads whole rows and uses two channels a turn: `chunk_bytes` is worth more than any base.
"""
LAYOUT = """## What `[layout]` does

The section `[layout]` of a part ([docs/dram.md](../../docs/dram.md)) says where a layer's streams begin and how they
take turns. A layer of three equal streams of 1 MiB, two read and one written, in % of the peak, by `chunk_bytes`:
"""
SET = """\
For HBM2 the rows are `base_alignment_bytes = 262144` (one bank), with `input_offset_bytes = 16384` and
`output_offset_bytes = 32768` (next bank), or with 65536 and 131072 (next bank group); from the command line
`--set memory.layout.chunk_bytes=4096`. Streams of 1 MiB begin on one bank with the files' own layout too, because
1 MiB is a multiple of what all banks of a row hold; sizes of real layers seldom are.
"""
REAL = """## Machines

Cycles of the convolutions (`--fidelity statistical`), in % over those with the layout of the file:
"""
LITTLE = """\
Machines feel little of it. Streams of a layer are asked for in proportion to their sizes, so that unequal ones drift
through the banks at unequal paces, wherever they begin: of the layers of DianNao that wait for DDR4, 80 to 85 % of
the bytes are weights. And behind HBM2 the computation hides nearly all.
"""


def streams_table(points: list[Point]) -> list[str]:
    """Bases down, bytes of a turn across."""
    lines = ["| part | streams | base of the next stream | " + " | ".join(f"{chunk}" for chunk in CHUNKS) + " |"]
    lines.append("|---|---:|---|" + "---:|" * len(CHUNKS))
    for part, streams, base in dict.fromkeys(point[:3] for point in points):
        cells = [f"{p.peak_percent:.1f}" for p in points if p[:3] == (part, streams, base)]
        lines.append(f"| {part} | {streams} | {base} | " + " | ".join(cells) + " |")
    return lines


def layout_table() -> list[str]:
    """Layouts down, bytes of a turn across."""
    lines = ["| part | streams begin | " + " | ".join(f"{chunk}" for chunk in CHUNKS) + " |"]
    lines.append("|---|---|" + "---:|" * len(CHUNKS))
    for memory in PARTS:
        for name, assignments in layouts(part_of(memory).part).items():
            cells = [f"{layout_percent(memory, assignments, chunk):.1f}" for chunk in CHUNKS]
            lines.append(f"| {memory} | {name} | " + " | ".join(cells) + " |")
    return lines


def machine_table() -> list[str]:
    """Machines and parts down, layouts across."""
    lines = []
    for machine, net in MACHINES:
        for memory in PARTS:
            cycles = machine_cycles(machine, net, memory)
            first, *others = cycles.values()
            if not lines:
                lines = [
                    "| run | memory | cycles | " + " | ".join(list(cycles)[1:]) + " |",
                    "|---|---|---:|" + "---:|" * len(others),
                ]
            cells = " | ".join(f"{100 * (other / first - 1):+.2f}" for other in others)
            lines.append(f"| {machine}, {net} | {memory} | {first:,} | {cells} |")
    return lines


def page(points: list[Point]) -> str:
    """All tables."""
    on_one = {p.part: p.peak_percent for p in points if p[1:4] == (3, "same bank, another row", CHUNKS[1])}
    low = min(point.peak_percent for point in points if point.part == "hbm2_channel_low")
    head = HEADER.format(hbm2=on_one["hbm2"], ddr4=on_one["ddr4_2400"], low=low, chunk=CHUNKS[1])
    lines = [head, "## Streams", "", "Share of the peak, in %, by the bytes of a turn.", "", *streams_table(points), ""]
    lines += [LAYOUT, *layout_table(), "", SET, REAL, *machine_table(), "", LITTLE]
    return "\n".join(lines)


def main() -> None:
    """Run everything; write the page, the points and the figure."""
    points = list(swept())
    with (FOLDER / "points.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        rounded = ((*p[:4], round(p.peak_percent, 3), round(p.row_hit_rate, 4)) for p in points)
        writer.writerows(rounded)
    (FOLDER / "compare.md").write_text(page(points), "utf-8")
    if can_draw():
        save_figure(ThreeStreams(points), FOLDER / "streams.png")


if __name__ == "__main__":
    main()
