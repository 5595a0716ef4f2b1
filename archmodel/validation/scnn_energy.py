"""What configs/published/scnn_energy.toml measures: energy and area of SCNN beside DCNN and DCNN-opt.

One number is fitted, scatter_energy_calibration of configs/accelerators/scnn.toml, to the ratio at density 1; it is
refitted by results/scnn_energy/run.py. All others follow from it.
"""

import math
from collections.abc import Iterable, Sequence

from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import energy
from archmodel.simulation import simulate
from archmodel.validation.scnn import STUDY_ROWS, Measured

DENSE_RATIO = 1.33  # energy of SCNN over DCNN, GoogLeNet at density 1: the study's figure 7, transcribed
SWEEP = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # densities between which the energies cross
SCATTER = ("crossbar", "bank_queues")  # what the calibration scales
MEMORIES = ("iaram", "oaram", "accumulators")  # whose share of a PE the study gives


def measure_scnn_energy() -> Measured:
    """Values of configs/published/scnn_energy.toml."""
    networks = {name: simulate("scnn", net, baseline="dcnn", layers=rows) for name, (net, rows) in STUDY_ROWS.items()}
    optimized = {
        name: simulate("dcnn_opt", net, layers=rows, fidelity="statistical") for name, (net, rows) in STUDY_ROWS.items()
    }
    values = {f"scnn.{name}": spent(dense_twin(run)) / spent(run) for name, run in networks.items()}
    values["scnn.mean"] = sum(values.values()) / len(networks)
    gains = {f"opt.{name}": spent(dense_twin(run)) / spent(optimized[name]) for name, run in networks.items()}
    values |= gains | {"opt.mean": sum(gains.values()) / len(networks)}
    values |= layer_range(networks.values())
    swept = {density: at_density(density) for density in (0.1, 0.4, *SWEEP)}
    over_dcnn = {density: spent(scnn) / spent(dense_twin(scnn)) for density, (scnn, _) in swept.items()}
    over_opt = [spent(swept[density][0]) / spent(swept[density][1]) for density in SWEEP]
    values |= {"dense": over_dcnn[1.0], "sparse": over_dcnn[0.1]}
    values["dense.uncalibrated"] = uncalibrated(swept[1.0][0]) / spent(dense_twin(swept[1.0][0]))
    values["crossover.dcnn"] = crossing(SWEEP, [over_dcnn[density] for density in SWEEP])
    values["crossover.opt"] = crossing(SWEEP, over_opt)
    values["sparse_w"] = spent(at_density(0.4, arch="scnn_sparse_w")[0]) / spent(swept[0.4][0])
    return values | areas(), {**networks, "dense": swept[1.0][0], "sparse": swept[0.1][0]}


def spent(run: RunResult) -> float:
    """Energy of a run in pJ, DRAM included."""
    return float(energy(run.layers)["energy_pj"])


def dense_twin(run: RunResult) -> RunResult:
    """The baseline of a run."""
    assert run.baseline is not None
    return run.baseline


def at_density(density: float, arch: str = "scnn") -> tuple[RunResult, RunResult]:
    """Convolutions of GoogLeNet with both operands at one density: SCNN over DCNN, and DCNN-opt."""
    net, rows = STUDY_ROWS["googlenet"]
    stated = f"density={density}"
    return (
        simulate(arch, net, baseline="dcnn", layers=rows, weights=stated, activations=stated),
        simulate("dcnn_opt", net, layers=rows, weights=stated, activations=stated, fidelity="statistical"),
    )


def crossing(densities: Sequence[float], ratios: Sequence[float]) -> float:
    """The density at which a rising ratio is 1, on straight lines between the densities; nan if there is none."""
    for index in range(1, len(densities)):
        low, high = ratios[index - 1 : index + 1]
        if low <= 1 <= high:
            share = (1 - low) / (high - low)
            return densities[index - 1] + share * (densities[index] - densities[index - 1])
    return math.nan


def layer_range(runs: Iterable[RunResult]) -> dict[str, float]:
    """The least and the most that a layer gains over DCNN."""
    gains = [
        sum(dense.energy_pj.values()) / sum(layer.energy_pj.values())
        for run in runs
        for layer, dense in zip(run.layers, dense_twin(run).layers, strict=True)
    ]
    return {"layer.least": min(gains), "layer.most": max(gains)}


def areas() -> dict[str, float]:
    """Areas of the machines, and of the parts of an SCNN PE."""
    scnn, dcnn = load_machine("scnn"), load_machine("dcnn")
    parts, num_pes = scnn.area_mm2, scnn.config.model_dump()["pe"]["rows"] * scnn.config.model_dump()["pe"]["cols"]
    whole = sum(parts.values())
    return {
        "area.scnn": whole,
        "area.dcnn": sum(dcnn.area_mm2.values()),
        "area.pe": whole / num_pes,
        "area.multipliers": parts["multipliers"] / num_pes,
        "area.scatter": sum(parts[name] for name in SCATTER) / num_pes,
        "area.memories": sum(parts[name] for name in MEMORIES) / whole,
    }


def uncalibrated(run: RunResult) -> float:
    """Energy of an SCNN run in pJ with the scatter network as the library has it."""
    scale = run.config["accelerator"]["pe"]["scatter_energy_calibration"]
    return spent(run) + scatter_pj(run) * (1 / scale - 1)


def fitted_calibration(run: RunResult) -> float:
    """The scale of the scatter network at which a run of SCNN takes DENSE_RATIO times its baseline's energy."""
    scale = run.config["accelerator"]["pe"]["scatter_energy_calibration"]
    scatter, others = scatter_pj(run) / scale, spent(run) - scatter_pj(run)
    return (DENSE_RATIO * spent(dense_twin(run)) - others) / scatter


def scatter_pj(run: RunResult) -> float:
    """Energy of the scatter network and of the clock's share for it."""
    clock = run.config["technology"]["overhead"]["clock_energy"]
    return (1 + clock) * sum(layer.energy_pj[name] for layer in run.layers for name in SCATTER)
