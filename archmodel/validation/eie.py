"""What configs/published/eie.toml measures: times, frames, power and area of EIE, and its sweeps' end points.

Behind a memory that takes no time: the paper counts neither the transfer of activations nor that of weights.
"""

from collections.abc import Mapping

from archmodel.accelerators.context import Fidelity
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.result import LayerResult
from archmodel.accelerators.run_result import RunResult
from archmodel.simulation import simulate
from archmodel.validation.scnn import Measured
from archmodel.views.bars import Bar, Bars
from archmodel.views.figure import Drawing, Rows

NET = "eie_layers"
FREE_MEMORY = ("memory.bytes_per_s=1e15", "memory.latency_s=0.0")
FRAMES_LAYER = "Alex-7"  # whose frames a second and power are published
# Alex-8 in data/ of the authors' simulator, github.com/RalphMao/EIE-simulator: stored entries (16 rows a PE need no
# padding), weights, density of its inputs. Read once, unchecked since.
RELEASED_ENTRIES, RELEASED_WORDS, RELEASED_INPUTS = 1_051_991, 4096 * 1000, 0.429
PRUNED = 10  # weights for one that is kept, the paper, sec. VI
SRAM_BITS = (32, 64, 128, 256, 512)
MEMORIES = ("pointer_sram", "matrix_sram", "activation_sram")
REGISTERS = ("activation_queue", "codebook", "activation_registers")
ARITHMETIC = ("multipliers", "adders")
MODULES = {  # of Table II
    "queue": ("activation_queue",),
    "pointers": ("pointer_sram",),
    "matrix": ("matrix_sram",),
    "arithmetic": ("codebook", *ARITHMETIC),
    "activations": ("activation_registers", "activation_sram"),
}


def run(
    arch: str = "eie",
    layers: str = "*",
    assignments: tuple[str, ...] = (),
    weights: str = "network",
    activations: str = "network",
    fidelity: Fidelity = "exact",
) -> RunResult:
    """Layers of Table III behind a memory that takes no time."""
    return simulate(
        arch,
        NET,
        layers=layers,
        assignments=(*FREE_MEMORY, *assignments),
        weights=weights,
        activations=activations,
        fidelity=fidelity,
    )


def measure_eie() -> Measured:
    """Values of configs/published/eie.toml."""
    layers = run()
    shallow = run(assignments=("pe.queue_depth=1",))
    wide = run("eie_256", FRAMES_LAYER)
    released = run(
        layers="Alex-8",
        weights=f"density={RELEASED_ENTRIES / RELEASED_WORDS}",
        activations=f"density={RELEASED_INPUTS}",
    )
    values = {f"theoretical.{layer.name}": theoretical_us(layers, layer) for layer in layers.layers}
    values |= {f"ratio.{layer.name}": time_us(layers, layer) / theoretical_us(layers, layer) for layer in layers.layers}
    values |= {f"actual.{layer.name}": time_us(layers, layer) for layer in layers.layers}
    values["released.Alex-8"] = theoretical_us(released, released.layers[0])
    seventh = next(layer for layer in layers.layers if layer.name == FRAMES_LAYER)
    values["frames.64"] = 1e6 / time_us(layers, seventh)
    values["frames.256"] = 1e6 / time_us(wide, wide.layers[0])
    values["balance.1"] = sum(map(load_balance, shallow.layers)) / len(shallow.layers)
    values["width.least"] = width_of_least_energy()
    values |= powers(layers, seventh) | areas()
    values["power.256"] = powers(wide, wide.layers[0])["power.machine"]
    values |= {"weights.64": largest_network("eie"), "weights.256": largest_network("eie_256")}
    config = load_machine("eie").config
    values["peak"] = 2 * config.num_multipliers * config.clock_hz / 1e9
    return values, {"layers": layers, "alex7_256": wide}


def theoretical_us(run: RunResult, layer: LayerResult) -> float:
    """Microseconds of the stored entries that meet a non-zero activation, one a cycle in every PE."""
    return 1e6 * layer.macs_issued / layer.num_multipliers / run.clock_hz


def time_us(run: RunResult, layer: LayerResult) -> float:
    """Microseconds of a layer."""
    return 1e6 * layer.cycles / run.clock_hz


def load_balance(layer: LayerResult) -> float:
    """Share of the PE-cycles of the computation in which a PE multiplies, as the authors' simulator measures it.

    github.com/RalphMao/EIE-simulator, src/system.cpp: results that PEs write over cycles and PEs, called efficiency. A
    column without an entry starves the multiplier too.
    """
    return layer.macs_issued / (layer.slots - layer.stack["drain"] - layer.stack["memory"])


def width_of_least_energy() -> int:
    """Bits of a row of the matrix SRAM for which the AlexNet layers read it at the least energy."""
    spent = {}
    for bits in SRAM_BITS:
        swept = run(layers="Alex-*", assignments=(f"buffers.matrix_row_bits={bits}",))
        spent[bits] = sum(layer.energy_pj["matrix_sram"] for layer in swept.layers)
    return min(spent, key=spent.__getitem__)


def powers(run: RunResult, layer: LayerResult) -> dict[str, float]:
    """Milliwatts of a PE by type of component and by module, of all of a PE, and watts of the machine, in a layer.

    A module has its share of the clock, by energy, and no leakage.
    """

    def of(*names: str) -> float:
        return sum(layer.energy_pj[name] for name in names) / layer.num_multipliers / (1e3 * time_us(run, layer))

    by_type = {
        "power.memory": of(*MEMORIES),
        "power.registers": of(*REGISTERS),
        "power.combinational": of(*ARITHMETIC),
        "power.clock": of("clock"),
        "power.leakage": of("leakage"),
    }
    whole = sum(by_type.values())
    clocked = 1 + by_type["power.clock"] / of(*(name for names in MODULES.values() for name in names))
    by_module = {f"power.{module}": clocked * of(*names) for module, names in MODULES.items()}
    return {**by_type, **by_module, "power.pe": whole, "power.machine": whole * layer.num_multipliers / 1e3}


def largest_network(arch: str) -> float:
    """Millions of weights of a network that is pruned to one weight of ten and fills the matrix SRAMs."""
    matrix = next(part for part in load_machine(arch).config.components if part.name == "matrix_sram")
    return PRUNED * matrix.instances * matrix.words / 1e6


def areas() -> dict[str, float]:
    """Square micrometres of the modules of a PE, and square millimetres of the machines."""
    machine = load_machine("eie")
    parts, num_pes = machine.area_mm2, machine.config.num_multipliers
    modules = {
        f"area.{module}": 1e6 * sum(parts[name] for name in names) / num_pes for module, names in MODULES.items()
    }
    return {
        **modules,
        "area.pe": 1e6 * sum(parts.values()) / num_pes,
        "area.machine": sum(parts.values()),
        "area.256": sum(load_machine("eie_256").area_mm2.values()),
    }


def eie_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """Times of the nine layers, as in Table IV."""
    panels = {
        time: [Bar.of(layer.name, rows[f"{time}.{layer.name}"]) for layer in runs["layers"].layers]
        for time in ("theoretical", "actual")
    }
    caption = "Times of the nine layers on 64 PEs. Theoretical is the work over the peak."
    return {"times": Bars(caption, "time, us", panels, logarithmic=True)}
