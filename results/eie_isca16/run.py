"""Sweeps of EIE over queue depth, PEs and width of the matrix SRAM, as in figures 8, 9 and 11 to 13 of the paper.

python results/eie_isca16/run.py           writes sweeps.csv, sweeps.md and, with matplotlib, sweeps.png; a minute
archmodel validate eie -o results          writes compare.md and the runs behind it
"""

import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.memory.energy import cost_of
from archmodel.validation.eie import SRAM_BITS, load_balance, run

HERE = Path(__file__).parent
POWERS_OF_TWO = tuple(2**power for power in range(9))
VECTOR = 4096  # activations that the registers hold in all, at least 64 a PE: the vectors of most layers in one batch


class Row(NamedTuple):
    """A layer at a point of a sweep."""

    sweep: str
    value: int
    layer: str
    cycles: int
    expected_percent: float  # cycles of the statistical fidelity over these, less 100
    speedup: float  # over the first point of the sweep
    load_balance: float
    real_work: float
    line_reads: int
    read_pj: float
    matrix_read_nj: float


def rows_of(sweep: str, value: int, *assignments: str) -> Iterator[Row]:
    """All layers at one point."""
    result: RunResult = run(assignments=assignments)
    expected: RunResult = run(assignments=assignments, fidelity="statistical")
    machine = load_machine("eie", assignments)
    matrix = next(part for part in machine.config.components if part.name == "matrix_sram")
    for layer, guess in zip(result.layers, expected.layers, strict=True):
        yield Row(
            sweep,
            value,
            layer.name,
            layer.cycles,
            100 * (guess.cycles / layer.cycles - 1),
            1.0,
            load_balance(layer),
            layer.macs_effectual / layer.macs_issued,
            layer.words_read["matrix_sram"] // matrix.words_per_row,
            cost_of(machine.technology, matrix).read_pj * matrix.words_per_row,
            layer.energy_pj["matrix_sram"] / 1e3,
        )


def sweeps() -> Iterator[Row]:
    """Every point of every sweep."""
    for depth in POWERS_OF_TWO:
        yield from rows_of("queue depth", depth, f"pe.queue_depth={depth}")
    for pes in POWERS_OF_TWO:
        yield from rows_of("PEs", pes, f"pe.count={pes}", f"pe.registers={max(64, VECTOR // pes)}")
    for bits in SRAM_BITS:
        yield from rows_of("SRAM width", bits, f"buffers.matrix_row_bits={bits}")


def table(rows: list[Row], sweep: str, quantity: str, shown: str) -> list[str]:
    """Points of a sweep down, layers across."""
    chosen = [row for row in rows if row.sweep == sweep]
    layers = list(dict.fromkeys(row.layer for row in chosen))
    lines = [f"| {sweep} | " + " | ".join(layers) + " |", "|---:|" + "---:|" * len(layers)]
    for value in dict.fromkeys(row.value for row in chosen):
        cells = [shown.format(getattr(row, quantity)) for row in chosen if row.value == value]
        lines.append(f"| {value} | " + " | ".join(cells) + " |")
    return ["", *lines]


def with_speedups(rows: list[Row]) -> list[Row]:
    """Rows with the speed-up over the first point of their sweep."""
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        first.setdefault((row.sweep, row.layer), row.cycles)
    return [row._replace(speedup=first[row.sweep, row.layer] / row.cycles) for row in rows]


def page(rows: list[Row]) -> str:
    """The sweeps as a page."""
    lines = [
        PAGE,
        "## Queue depth (figure 8): load balance",
        *table(rows, "queue depth", "load_balance", "{:.3f}"),
        "",
        "Around half of the cycles are idle with queues of one, as the paper says; beyond eight little is gained.",
        "",
        "## PEs (figures 11 to 13): speed-up over one PE",
        *table(rows, "PEs", "speedup", "{:.1f}"),
        "",
        "Real work over all work (padding zeros are the rest):",
        *table(rows, "PEs", "real_work", "{:.3f}"),
        "",
        "Load balance:",
        *table(rows, "PEs", "load_balance", "{:.3f}"),
        "",
        "More PEs store fewer padding zeros and are less balanced. NT-We has 600 rows, is the least balanced and gains",
        "little beyond 64 PEs, as the paper says: an empty column costs a PE a cycle.",
        "",
        "## Cycles expected from densities alone, deviation in %",
        *table(rows, "queue depth", "expected_percent", "{:+.2f}"),
        *table(rows, "PEs", "expected_percent", "{:+.2f}"),
        "",
        "## Width of the matrix SRAM (figure 9): reads",
        *table(rows, "SRAM width", "line_reads", "{:,}"),
        "",
        "Energy of the reads, nJ:",
        *table(rows, "SRAM width", "matrix_read_nj", "{:,.0f}"),
        "",
        "Energy of a read, pJ: "
        + ", ".join(f"{row.value} bits {row.read_pj:.1f}" for row in rows if (row.sweep, row.layer) == WIDTHS)
        + ".",
    ]
    return "\n".join(lines) + "\n"


WIDTHS = ("SRAM width", "Alex-6")
PAGE = """# Sweeps of EIE

Made by `python results/eie_isca16/run.py`: the nine layers of Table III (`workloads/eie_layers.toml`), one parameter
changed at a time, behind a memory that takes no time, seed 0. Numbers of every point are in `sweeps.csv`, figures in
`sweeps.png`. In the sweep over PEs all registers together hold at least 4,096 activations, as those of 64 PEs do.
"""


def draw(rows: list[Row]) -> None:
    """Figures of the three sweeps."""
    from matplotlib.figure import Figure

    figure = Figure((15, 4), layout="constrained")
    panels = (
        ("queue depth", "load_balance", "load balance"),
        ("PEs", "speedup", "speed-up over one PE"),
        ("SRAM width", "matrix_read_nj", "energy of matrix reads, nJ"),
    )
    for axes, (sweep, quantity, label) in zip(figure.subplots(1, 3), panels, strict=True):
        for layer in dict.fromkeys(row.layer for row in rows):
            line = [(row.value, getattr(row, quantity)) for row in rows if (row.sweep, row.layer) == (sweep, layer)]
            axes.plot(*zip(*line, strict=True), marker=".", label=layer)
        axes.set_xscale("log", base=2)
        axes.set_xlabel(sweep + (", bit" if sweep == "SRAM width" else ""))
        axes.set_ylabel(label)
        if sweep == "PEs":
            axes.set_yscale("log", base=2)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(HERE / "sweeps.png", dpi=110)


def main() -> None:
    """Run everything and write the files."""
    rows = with_speedups(list(sweeps()))
    with (HERE / "sweeps.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    (HERE / "sweeps.md").write_text(page(rows), "utf-8")
    if find_spec("matplotlib"):
        draw(rows)


if __name__ == "__main__":
    main()
