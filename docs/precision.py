"""The tables of precision.md, from runs of the machines in configs/accelerators/.

python docs/precision.py     writes them again
"""

from collections.abc import Callable
from pathlib import Path

from archmodel import config, simulate
from archmodel.accelerators.run_result import RunResult

PAGE = Path(__file__).with_suffix(".md")
MACHINES = ("scnn", "dcnn", "cnvlutin", "dadiannao", "cambricon_x", "diannao", "eie", "tpu_v1")
ARRAYS = ("systolic_16x16_ws", "systolic_ternary", "systolic_xnor")
NETWORKS = ("alexnet", "vgg16", "resnet50")
PJ_PER_UJ, PJ_PER_MJ, FJ_PER_PJ, BYTES_PER_MB = 1e6, 1e9, 1e3, 1e6
OPS_PER_MAC = 2


def run(arch: str, net: str, precision: str | None, **changes: object) -> RunResult:
    """All layers that the machine runs, one image, from densities alone."""
    options = {"fidelity": "statistical", "skip_unsupported": True} | changes
    return simulate(arch, net, precision=precision, **options)  # type: ignore[arg-type]


def figure(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def on_chip_pj(done: RunResult) -> float:
    """Energy without that of the DRAM."""
    return sum(energy for part, energy in done.energy_pj.items() if part != "dram")


def machines_table() -> str:
    """Every machine on AlexNet at each of its precisions."""
    rows = [
        "| machine | precision | cycles | DRAM, MB | energy on chip, uJ | with DRAM, uJ | area, mm2 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for arch in MACHINES:
        for precision in config.variants("accelerators", arch):
            done = run(arch, "alexnet", precision)
            rows.append(
                f"| `{arch}` | {precision} | {done.cycles:,} | {figure(done.total('dram_bytes') / BYTES_PER_MB)}"
                f" | {figure(on_chip_pj(done) / PJ_PER_UJ)} | {figure(sum(done.energy_pj.values()) / PJ_PER_UJ)}"
                f" | {figure(sum(done.area_mm2.values()))} |"
            )
    return "\n".join([*rows, ""])


def arrays_table() -> str:
    """Systolic arrays of every kind of PE on three networks."""
    rows = [
        "| array | precision | area, mm2 | " + " | ".join(f"{net}: cycles, mJ" for net in NETWORKS) + " |",
        "|---|---|---:|" + "---:|" * len(NETWORKS),
    ]
    for arch in ARRAYS:
        for precision in config.variants("accelerators", arch):
            runs = [run(arch, net, precision) for net in NETWORKS]
            cells = [f"{figure(one.cycles / 1e6)} M, {figure(sum(one.energy_pj.values()) / PJ_PER_MJ)}" for one in runs]
            area = figure(sum(runs[0].area_mm2.values()))
            rows.append(f"| `{arch}` | {precision} | {area} | {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def operations_table() -> str:
    """Energy on chip of an operation, by what takes it, in VGG-16's convolutions."""
    rows = [
        "| array | precision | fJ an operation | products, tree | sums | registers | buffers | clock, leakage |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    parts = (
        ("multipliers", "negations", "xnors", "lane_adders"),
        ("adders", "accumulators", "accumulator_adders"),
        ("stationary_registers", "moving_registers", "downward_registers"),
        ("activation_buffer", "weight_buffer"),
        ("clock", "leakage"),
    )
    for arch in ARRAYS:
        for precision in config.variants("accelerators", arch):
            done = run(arch, "vgg16", precision, layers="conv*", technology="28nm")
            operations = OPS_PER_MAC * done.total("macs_dense")
            shares = [sum(done.energy_pj.get(part, 0.0) for part in group) for group in parts]
            cells = " | ".join(figure(FJ_PER_PJ * energy / operations) for energy in (on_chip_pj(done), *shares))
            rows.append(f"| `{arch}` | {precision} | {cells} |")
    return "\n".join([*rows, ""])


TABLES: dict[str, Callable[[], str]] = {
    "machines": machines_table,
    "arrays": arrays_table,
    "operations": operations_table,
}


def page(text: str) -> str:
    """The page with its tables made again."""
    for name, table in TABLES.items():
        before, start, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        text = before + start + table() + end + after
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
