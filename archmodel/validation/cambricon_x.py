"""What configs/published/cambricon_x.toml measures: Cambricon-X beside DianNao in time, energy, area and power."""

from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.simulation import simulate
from archmodel.validation.scnn import Measured

# Networks whose pruned densities were published before the study (Han et al., NIPS 2015); the study's own are unknown.
PRUNED = ("lenet300_100", "lenet5", "alexnet", "vgg16")
OTHERS = ("googlenet", "squeezenet_pruned")
POWER_NET = "alexnet"  # whose convolutions keep the multipliers of both machines busy
FREE_DRAM = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")
PJ_PER_MW_S = 1e9


def measure_cambricon_x() -> Measured:
    """Values of configs/published/cambricon_x.toml."""
    runs = {net: simulate("cambricon_x", net, baseline="diannao") for net in (*PRUNED, *OTHERS)}
    values: dict[str, float] = {}
    for net, run in runs.items():
        values[f"speedup.{net}"] = speedup(run)
        values[f"energy.{net}"] = energy_ratio(run)
        for kind in ("conv", "fc"):
            if any(layer.kind == kind for layer in run.layers):
                values[f"speedup.{kind}.{net}"] = speedup(run, kind)
    free = {net: simulate("cambricon_x", net, baseline="diannao", assignments=FREE_DRAM) for net in PRUNED}
    flattened = {
        net: simulate("cambricon_x", net, baseline="diannao", baseline_assignments=("nfu.dot_product=flattened",))
        for net in PRUNED
    }
    values["speedup.mean"] = mean([speedup(runs[net]) for net in PRUNED])
    values["speedup.mean.free_dram"] = mean([speedup(run) for run in free.values()])
    values["speedup.mean.flattened"] = mean([speedup(run) for run in flattened.values()])
    values["energy.mean"] = mean([energy_ratio(runs[net]) for net in PRUNED])
    values["energy.mean.on_chip"] = mean([energy_ratio(runs[net], dram=False) for net in PRUNED])
    return values | machine_values(runs[POWER_NET]), runs


def mean(values: list[float]) -> float:
    """Arithmetic, as averages over networks are."""
    return sum(values) / len(values)


def dense_twin(run: RunResult) -> RunResult:
    """The same layers on DianNao."""
    assert run.baseline is not None
    return run.baseline


def time_s(run: RunResult, kind: str | None = None) -> float:
    """Seconds of all layers, or of those of one kind."""
    return sum(layer.cycles for layer in run.layers if kind in (None, layer.kind)) / run.clock_hz


def speedup(run: RunResult, kind: str | None = None) -> float:
    """Time of DianNao over that of Cambricon-X, each at its clock."""
    return time_s(dense_twin(run), kind) / time_s(run, kind)


def spent_pj(layers: tuple[LayerResult, ...] | list[LayerResult], *, dram: bool) -> float:
    """Energy of layers, with or without DRAM."""
    return sum(part for layer in layers for name, part in layer.energy_pj.items() if dram or name != "dram")


def energy_ratio(run: RunResult, *, dram: bool = True) -> float:
    """Energy of DianNao over that of Cambricon-X."""
    return spent_pj(dense_twin(run).layers, dram=dram) / spent_pj(run.layers, dram=dram)


def on_chip_mw(run: RunResult) -> float:
    """Mean power without DRAM while the convolutions run."""
    convolutions = [layer for layer in run.layers if layer.kind == "conv"]
    return spent_pj(convolutions, dram=False) / time_s(run, "conv") / PJ_PER_MW_S


def machine_values(run: RunResult) -> dict[str, float]:
    """Peaks, areas and powers of both machines."""
    sparse, dense = load_machine("cambricon_x"), load_machine("diannao")
    nfu = dense.config.model_dump()["nfu"]
    return {
        "peak.cambricon_x": 2 * sparse.config.num_multipliers * sparse.config.clock_hz / 1e9,
        "peak.diannao": (2 * dense.config.num_multipliers - nfu["Tn"]) * dense.config.clock_hz / 1e9,
        "area.cambricon_x": sum(sparse.area_mm2.values()),
        "area.diannao": sum(dense.area_mm2.values()),
        "area.ratio": sum(sparse.area_mm2.values()) / sum(dense.area_mm2.values()),
        "power.cambricon_x": on_chip_mw(run),
        "power.diannao": on_chip_mw(dense_twin(run)),
    }
