"""What ports and banks of on-chip memories cost, where a machine's paper has them: Cnvlutin, EIE, DaDianNao.

python results/sram_banks/run.py     writes compare.md beside this file, about a minute
"""

from pathlib import Path

from archmodel import simulate
from archmodel.validation.cnvlutin import NETWORKS, STATED

BUFFERS = "dispatch.fetch_ahead=buffers"
DEALT = "dispatch.assignment=dealt"
CNVLUTIN = [
    *((f"slabs, {banks} banks", (f"buffers.nm_banks={banks}",)) for banks in (16, 8, 4)),
    *((f"dealt, {banks} banks", (f"buffers.nm_banks={banks}", DEALT)) for banks in (16, 8)),
]
DEPTHS = (1, 2, 4, 16)
TEXT = """# What ports and banks of on-chip memories cost

Made by `python results/sram_banks/run.py`, exact, seed 0. Each table changes one thing of a machine; the first row or
column is the machine as its paper has it. [docs/sram.md](../../docs/sram.md) says what each paper states and what is
conflict-free by construction; SCNN's accumulator banks are in
[scnn_sensitivity](../scnn_sensitivity/compare.md).
"""
OF_CNVLUTIN = """
## Cnvlutin: banks of the neuron memory

Speed-up over DaDianNao, mean of the study's six networks, convolutions, 44 % zeros in every layer. `window`: bricks are
fetched any time in their window. Otherwise a window begins with empty buffers and bricks are fetched as far ahead as
the buffer of a lane holds; a machine that fetches for the next window while lanes wait is between the two. In brackets
the share of multiplier-slots that wait for a bank.
"""
OF_EIE = """
## EIE: banks of the pointer memory

Cycles of the nine layers of the paper's Table III. The paper has two banks, so that both pointers of a column are read
in a cycle.
"""
OF_DADIANNAO = """
## DaDianNao: synapse banks

Cycles over those with banks that are busy for one cycle. A unit reads a row a cycle from four banks in turn; each
window begins at the first bank again. The study has no cycle time of a bank.
"""


def cnvlutin(assignments: tuple[str, ...]) -> str:
    """Mean speed-up, and the share of slots that wait for a bank."""
    speedups, waiting, slots = [], 0, 0
    for name, layers in NETWORKS.items():
        run = simulate(
            "cnvlutin", name, baseline="dadiannao", layers=layers, activations=STATED, assignments=assignments
        )
        speedups.append(run.speedup)
        waiting += sum(layer.stack["bank_conflict"] for layer in run.layers)
        slots += sum(layer.slots for layer in run.layers)
    return f"{sum(speedups) / len(speedups):.3f} ({waiting / slots:.1%})"


def of_cnvlutin() -> list[str]:
    """A row for each arrangement, a column for each depth."""
    lines = [OF_CNVLUTIN, f"| | window | {' | '.join(f'buffers of {depth}' for depth in DEPTHS)} |"]
    lines.append("|---|" + (1 + len(DEPTHS)) * "---:|")
    for name, own in CNVLUTIN:
        cells = [cnvlutin(own)]
        cells += [cnvlutin((*own, BUFFERS, f"dispatch.brick_buffers={depth}")) for depth in DEPTHS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def of_eie() -> list[str]:
    """A row for each layer."""
    two, one = (simulate("eie", "eie_layers", assignments=(f"buffers.pointer_banks={n}",)).layers for n in (2, 1))
    lines = [OF_EIE, "| layer | two banks | one bank | more | slots that wait |", "|---|---:|---:|---:|---:|"]
    for paper, single in zip(two, one, strict=True):
        more, waiting = single.cycles / paper.cycles - 1, single.stack["bank_conflict"] / single.slots
        lines.append(f"| {paper.name} | {paper.cycles:,} | {single.cycles:,} | {more:.1%} | {waiting:.1%} |")
    return lines


def of_dadiannao() -> list[str]:
    """A row for each network."""
    head = " | ".join(f"busy for {busy}" for busy in (1, 2, 3, 4))
    lines = [OF_DADIANNAO, f"| network | {head} |", "|---|---:|---:|---:|---:|"]
    for name, layers in NETWORKS.items():
        cycles = [
            simulate("dadiannao", name, layers=layers, assignments=(f"synapse_banks.busy_cycles={busy}",)).cycles
            for busy in (1, 2, 3, 4)
        ]
        lines.append(f"| {name} | {' | '.join(f'{one / cycles[0]:.4f}' for one in cycles)} |")
    return lines


def main() -> None:
    """Write the page."""
    lines = [TEXT, *of_cnvlutin(), *of_eie(), *of_dadiannao()]
    Path(__file__).with_name("compare.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
