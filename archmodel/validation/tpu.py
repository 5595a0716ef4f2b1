"""What configs/published/tpu_v1.toml measures: six applications of the TPU v1, as proxies, at their published batches.

Statistical runs: the machine is dense, so that its cycles are the same in every fidelity.
"""

from collections.abc import Mapping

from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.accelerators.summary import energy
from archmodel.exchange import read_network
from archmodel.simulation import simulate
from archmodel.validation.scnn import Measured
from archmodel.views.figure import Drawing, Rows
from archmodel.views.roofline import Application, Roofline

BATCHES = {"mlp0": 200, "mlp1": 168, "lstm0": 64, "lstm1": 96, "cnn0": 8, "cnn1": 32}  # the paper, Table 1
LARGER_BATCH = 250  # of MLP0; the paper, Table 4
WEIGHT_BYTES_PER_S = 34e9  # the paper, Table 2
TERA, MEGA = 1e12, 1e6


def measure_tpu() -> Measured:
    """Values of configs/published/tpu_v1.toml."""
    machine = load_machine("tpu_v1")
    peak = 2 * machine.config.num_multipliers * machine.config.clock_hz
    runs = {
        app: simulate("tpu_v1", f"tpu_{app}", batch=batch, fidelity="statistical") for app, batch in BATCHES.items()
    }
    weight_bytes_per_s = machine.config.model_dump()["weights"]["memory_bytes_per_s"]
    values = {"peak": peak / TERA, "ridge": peak / 2 / weight_bytes_per_s}
    for app, run in runs.items():
        layers = read_network(run.net).compute_layers
        weights = sum(layer.weight_words for layer in layers)
        intensity = run.total("macs_dense") / weights
        tops = 2 * run.total("macs_dense") / run.time_s
        values |= {f"{app}.tops": tops / TERA, f"{app}.roofline": tops / min(peak, 2 * WEIGHT_BYTES_PER_S * intensity)}
        values |= {f"{app}.weights": weights / MEGA, f"{app}.intensity": intensity}
        values |= {f"{app}.{part}": share for part, share in matrix_time(run).items()}
    mlp0 = runs["mlp0"]
    values["mlp0.useful"] = 100 * mlp0.total("macs_issued") / active_slots(mlp0)
    larger = simulate("tpu_v1", "tpu_mlp0", batch=LARGER_BATCH, fidelity="statistical")
    values |= {f"mlp0.per_s.{run.batch}": run.batch / run.time_s for run in (mlp0, larger)}
    area = machine.area_mm2
    values |= {"area": sum(area.values()), "area.datapath": sum(area.values()) - area["filler"]}
    values["power.mlp0"] = float(energy(mlp0.layers)["energy_pj"]) / TERA / mlp0.time_s
    return values, runs


def active_slots(run: RunResult) -> int:
    """Multiplier-slots of cycles in which operands stream through the array."""
    return sum(run.stack[cause] for cause in ("busy", "stored_zero", "fragmentation"))


def matrix_time(run: RunResult) -> dict[str, float]:
    """Shares in % of what the paper's Table 3 divides matrix time into."""
    parts = {"active": active_slots(run), "stall": run.stack["weight_stall"], "shift": run.stack["tile_shift"]}
    return {part: 100 * slots / sum(parts.values()) for part, slots in parts.items()}


def tpu_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """The six applications under the roofline of the paper's figure 5."""
    applications = [
        Application(
            app.upper(),
            rows[f"{app}.intensity"]["ours"],
            rows[f"{app}.tops"]["ours"],
            rows[f"{app}.intensity"]["published"],
            rows[f"{app}.tops"]["published"],
        )
        for app in runs
    ]
    weights = next(iter(runs.values())).config["accelerator"]["weights"]
    caption = "The applications under the roofline of the machine; a line joins what is published of one and ours."
    return {"roofline": Roofline(caption, rows["peak"]["ours"], weights["memory_bytes_per_s"], applications)}
