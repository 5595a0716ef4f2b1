"""What configs/published/dadiannao.toml measures: one node on the layer that the EIE study gives a rate for."""

from archmodel.accelerators.registry import load_machine
from archmodel.simulation import simulate
from archmodel.validation.scnn import Measured

NEVER_WAITED_FOR = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")


def measure_dadiannao() -> Measured:
    """Values of configs/published/dadiannao.toml."""
    run = simulate("dadiannao", "alexnet", layers="fc7", fidelity="statistical", assignments=NEVER_WAITED_FOR)
    machine = load_machine("dadiannao")
    (fc7,) = run.layers
    chip_pj = sum(energy for name, energy in fc7.energy_pj.items() if name != "dram")
    buffers = run.config["accelerator"]["buffers"]
    edram_bytes = run.config["accelerator"]["array"]["units"] * buffers["sb_bytes"] + buffers["nm_bytes"]
    values = {
        "fc7": 1 / run.time_s,
        "multipliers": fc7.num_multipliers,
        "capacity": 8 * edram_bytes / buffers["word_bits"] / 2**20,
        "peak": 2 * fc7.num_multipliers * run.clock_hz / 1e12,
        "area": sum(machine.area_mm2.values()),
        "power": chip_pj * 1e-12 / run.time_s,
    }
    return values, {"fc7": run}
