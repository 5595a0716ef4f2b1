"""Refits the one calibrated number of SCNN's energy, and shows what the choices behind the energies are worth.

python results/scnn_energy/run.py               prints the fit, writes sensitivity.md beside this file, about a minute
archmodel validate scnn_energy -o results       writes compare.md
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from archmodel import simulate
from archmodel.accelerators.registry import Machine, load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.memory.energy import Counts, energy_pj
from archmodel.memory.technology import Technology
from archmodel.validation.scnn import STUDY_ROWS
from archmodel.validation.scnn_energy import DENSE_RATIO, SWEEP, at_density, crossing, dense_twin, fitted_calibration

HBM2, LPDDR4, LPDDR3 = 3.92, 8.0, 15.0  # pJ per bit: configs/memory/ideal.toml; Accelergy's CACTI plug-in; nn_dataflow
ALADDIN = {"multiplier": 12.68, "adder": 0.21}  # pJ of 32 bits, 40 nm at 1 ns: Shao et al., ISCA 2014


@dataclass(frozen=True)
class Variant:
    """A choice that differs from the configurations; the calibration is refitted under it."""

    name: str
    pj_per_bit: float = HBM2
    assignments: tuple[str, ...] = ()
    change: Callable[[Technology], Technology] = lambda technology: technology


def with_aladdin(technology: Technology) -> Technology:
    """Arithmetic with the energies of the library that its areas come from."""
    units = {name: getattr(technology, name).model_copy(update={"energy_pj": pj}) for name, pj in ALADDIN.items()}
    return technology.model_copy(update=units)


def without_clock(technology: Technology) -> Technology:
    """No energy for the clock network."""
    return technology.model_copy(update={"overhead": technology.overhead.model_copy(update={"clock_energy": 0.0})})


VARIANTS = (
    Variant("as configured"),
    Variant("DRAM: LPDDR4, 8 pJ a bit", LPDDR4),
    Variant("DRAM: LPDDR3, 15 pJ a bit", LPDDR3),
    Variant("no energy of DRAM", 0.0),
    Variant("arithmetic: energies of Aladdin", change=with_aladdin),
    Variant("arithmetic of Aladdin and no energy of DRAM", 0.0, change=with_aladdin),
    Variant("activation SRAMs with one port", assignments=("buffers.two_port=false",)),
    Variant("no clock network", change=without_clock),
)


@dataclass(frozen=True)
class Runs:
    """Where the counts come from: the networks and the densities of GoogLeNet, each over DCNN, and on DCNN-opt."""

    networks: list[tuple[RunResult, RunResult]]
    swept: dict[float, tuple[RunResult, RunResult]]

    @classmethod
    def measure(cls) -> "Runs":
        """Run all of them."""
        networks = [
            (
                simulate("scnn", net, baseline="dcnn", layers=rows),
                simulate("dcnn_opt", net, layers=rows, fidelity="statistical"),
            )
            for net, rows in STUDY_ROWS.values()
        ]
        return cls(networks, {density: at_density(density) for density in (0.1, *SWEEP)})


def energy(run: RunResult, machine: Machine, pj_per_bit: float) -> float:
    """Energy of what a run counted, on a machine and a memory with other prices."""
    total = 0.0
    for layer in run.layers:
        counts = Counts(layer.words_read, layer.words_written, layer.operations)
        time_s, dram_pj = layer.cycles / run.clock_hz, 8 * layer.dram_bytes * pj_per_bit
        total += sum(energy_pj(machine.technology, machine.config.components, counts, time_s, dram_pj).values())
    return total


def evaluate(runs: Runs, variant: Variant) -> list[str]:
    """Cells of a row of the table."""

    def machine(arch: str, *assignments: str) -> Machine:
        loaded = load_machine(arch, (*variant.assignments, *assignments))
        return replace(loaded, technology=variant.change(loaded.technology))

    def scaled(scale: float) -> Machine:
        return machine("scnn", f"pe.scatter_energy_calibration={scale}")

    dcnn, optimized = machine("dcnn"), machine("dcnn_opt")
    dense = runs.swept[1.0][0]
    target = DENSE_RATIO * energy(dense_twin(dense), dcnn, variant.pj_per_bit)
    free, whole = (energy(dense, scaled(scale), variant.pj_per_bit) for scale in (0.0, 1.0))
    fit = (target - free) / (whole - free)
    scnn = scaled(max(0.0, fit))

    def gains(run: RunResult, opt: RunResult) -> tuple[float, float]:
        base = energy(dense_twin(run), dcnn, variant.pj_per_bit)
        return base / energy(run, scnn, variant.pj_per_bit), base / energy(opt, optimized, variant.pj_per_bit)

    swept = {density: gains(*pair) for density, pair in runs.swept.items()}
    over_dcnn = [1 / swept[density][0] for density in SWEEP]
    over_opt = [swept[density][1] / swept[density][0] for density in SWEEP]
    networks = [gains(*pair) for pair in runs.networks]
    means = [sum(column) / len(networks) for column in zip(*networks, strict=True)]
    values = (fit, over_dcnn[-1], crossing(SWEEP, over_dcnn), crossing(SWEEP, over_opt), 1 / swept[0.1][0], *means)
    areas = (sum(one.area_mm2.values()) for one in (scnn, dcnn))
    return [variant.name, *(f"{value:.3f}" for value in values), *(f"{area:.2f}" for area in areas)]


def main() -> None:
    """Print the fit and write the table."""
    runs = Runs.measure()
    print(f"scatter_energy_calibration = {fitted_calibration(runs.swept[1.0][0]):.4f}")
    headings = ["choice", "fit", "dense", "crossover DCNN", "crossover DCNN-opt", "density 0.1", "SCNN", "DCNN-opt"]
    headings += ["area SCNN", "area DCNN"]
    rows = [headings, ["---", *["---:"] * (len(headings) - 1)], *(evaluate(runs, variant) for variant in VARIANTS)]
    published = ["the study", "", "1.33", "0.83", "0.60", "0.06", "2.3", "2.0", "7.9", "5.9"]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [*rows, published])
    (Path(__file__).parent / "sensitivity.md").write_text(f"{PAGE}\n{table}\n", "utf-8")


PAGE = """# What the choices behind the energies are worth

Made by `python results/scnn_energy/run.py`. The counts are those of `archmodel validate scnn_energy`, only prices
change. In every row the scale of SCNN's scatter network is refitted to 1.33 times DCNN at density 1 (`fit`; a negative
one is taken as 0, and `dense` then misses 1.33). Energies at a density are over DCNN on GoogLeNet; `SCNN` and
`DCNN-opt` are the gains over DCNN, means of three networks; areas are in mm2.
"""

if __name__ == "__main__":
    main()
