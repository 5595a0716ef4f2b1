"""What configs/published/scnn.toml and dnnsim.toml measure."""

import math
from collections.abc import Mapping

import numpy as np

from archmodel.accelerators.context import Context
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.memory.bank_memory import open_memory
from archmodel.network.layer import Layer
from archmodel.operands.operands import Operands
from archmodel.simulation import simulate
from archmodel.validation.published import csv_rows
from archmodel.views.bars import Bar, Bars
from archmodel.views.curves import Curves, Published
from archmodel.views.figure import Drawing, Rows

Measured = tuple[dict[str, float], dict[str, RunResult]]  # a value for each row, and the runs behind them by name

# Networks and layers of the study's convolution rows, scnn_layers.csv.
STUDY_ROWS = {
    "alexnet": ("alexnet_scnn", "conv*"),
    "vgg16": ("vgg16", "conv*"),
    "googlenet": ("googlenet", "inception_*"),
}
ROWS = STUDY_ROWS["googlenet"][1]
WITH_STEM = f"conv*,{ROWS}"
CROSSOVER_SEARCH = (0.5, 1.0)  # densities; the speed-up falls through 1 between them
CROSSOVER_STEPS = 7  # halvings: a width of 0.004


def measure_scnn() -> Measured:
    """Values of configs/published/scnn.toml."""
    runs = {
        name: simulate("scnn", net, baseline="dcnn", layers=layers) for name, (net, layers) in STUDY_ROWS.items()
    }
    tiled = {name: sum(int(layer.details["tiled_through_dram"]) for layer in run.layers) for name, run in runs.items()}
    speedups = {name: run.speedup or math.nan for name, run in runs.items()}
    values = {f"speedup.{name}": speedup for name, speedup in speedups.items()}
    values["speedup.mean"] = sum(speedups.values()) / len(speedups)
    values |= {"tiled.layers": sum(tiled.values()), "tiled.vgg16": tiled["vgg16"]}
    values["bank_conflict.most"] = max(100 * run.stack["bank_conflict"] / slots(run) for run in runs.values())
    for name, run in runs.items():
        values[f"oracle.{name}"] = sum(-(-x.macs_effectual // x.num_multipliers) for x in run.layers) / run.cycles
    for rule in ("published", "accumulator"):
        runs[f"dense_{rule}"], runs[f"sparse_{rule}"] = at_density(1.0, rule), at_density(0.1, rule)
        values[f"dense.{rule}"] = runs[f"dense_{rule}"].speedup or math.nan
        values[f"sparse.{rule}"] = runs[f"sparse_{rule}"].speedup or math.nan
        values[f"crossover.{rule}"] = crossover(rule)
    runs["dense_stem"] = at_density(1.0, "published", WITH_STEM)
    values["dense.stem"] = runs["dense_stem"].speedup or math.nan
    for one, layers in (("sparse_w", ROWS), ("sparse_a", ROWS), ("sparse_w.stem", WITH_STEM)):
        runs[one] = at_density(0.4, "published", layers, baseline=f"scnn_{one.removesuffix('.stem')}")
        values[one] = runs[one].speedup or math.nan
    return values, runs


def slots(run: RunResult) -> int:
    """Multiplier-slots of a run."""
    return run.total("slots")


def at_density(density: float, rule: str, layers: str = ROWS, baseline: str = "dcnn") -> RunResult:
    """Convolutions of GoogLeNet with both operands at one density, under a rule for Kc."""
    net = STUDY_ROWS["googlenet"][0]
    stated = f"density={density}"
    assignments = (f"pe.Kc={rule}",)
    return simulate(
        "scnn", net, baseline=baseline, layers=layers, weights=stated, activations=stated, assignments=assignments
    )


def crossover(rule: str) -> float:
    """The density at which SCNN takes as long as DCNN, by halving."""
    low, high = CROSSOVER_SEARCH
    for _ in range(CROSSOVER_STEPS):
        middle = (low + high) / 2
        if (at_density(middle, rule).speedup or math.nan) > 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


NAMES = {"alexnet": "AlexNet", "vgg16": "VGG-16", "googlenet": "GoogLeNet"}


def scnn_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """Figure 8 of the paper, speed-ups of layers and networks, and its figure 7, speed-ups over density."""
    panels = {}
    for name, title in NAMES.items():
        row = rows[f"speedup.{name}"]
        panels[title] = [
            *layer_speedups(runs[name]),
            Bar.of("network", row, bound=row["ours"] / rows[f"oracle.{name}"]["ours"]),
        ]
    panels[""] = [Bar.of("mean", rows["speedup.mean"])]
    speedups = Bars(
        "Speed-up over DCNN of each layer (GoogLeNet: of each inception module), of the networks and their mean, as in "
        "figure 8 of the paper. The oracle never leaves a multiplier idle.",
        "speed-up over DCNN",
        panels,
        bound_is="oracle",
        reference=1,
    )
    measured = {
        f"Kc = {'8' if rule == 'published' else 'capacity'}": [
            (density_of(runs[f"sparse_{rule}"]), rows[f"sparse.{rule}"]["ours"]),
            (rows[f"crossover.{rule}"]["ours"], 1),
            (density_of(runs[f"dense_{rule}"]), rows[f"dense.{rule}"]["ours"]),
        ]
        for rule in ("published", "accumulator")
    }
    sparse, equal, dense = (rows[f"{point}.published"] for point in ("sparse", "crossover", "dense"))
    published = [
        Published(density_of(runs["sparse_published"]), sparse["published"], accepted_y=sparse["accepted"]),
        Published(equal["published"], 1, accepted_x=equal["accepted"]),
        Published(density_of(runs["dense_published"]), dense["published"], accepted_y=dense["accepted"]),
    ]
    density = Curves(
        "Speed-up over DCNN on GoogLeNet with weights and activations at one density; only the marks are measured.",
        "density of weights and of activations",
        "speed-up over DCNN",
        measured,
        published,
    )
    return {"speedups": speedups, "density": density}


def layer_speedups(run: RunResult) -> list[Bar]:
    """Speed-up of each layer, or of the layers whose names agree up to a slash, with that of the oracle."""
    assert run.baseline is not None
    cycles: dict[str, np.ndarray] = {}
    for layer, dense in zip(run.layers, run.baseline.layers, strict=True):
        name = layer.name.partition("/")[0].removeprefix("inception_")
        ideal = -(-layer.macs_effectual // layer.num_multipliers)
        cycles[name] = cycles.get(name, 0) + np.array([dense.cycles, layer.cycles, ideal])
    return [Bar(name, dense / ours, bound=dense / ideal) for name, (dense, ours, ideal) in cycles.items()]


def density_of(run: RunResult) -> float:
    """The density at which all operands of a run are."""
    return run.layers[0].input_density


DNNSIM_POLICIES = (
    "tile_plane=padded",
    "pe.barrier=channel",
    "pe.bank_hash=dnnsim",
    "pe.queue_depth=0",
    "pe.out_of_range=drop",
    "pe.weight_order=rsk",
    "pe.Kc=64",  # the accumulators hold all channels of every layer, without a halo
    "pe.accumulator_entries=65536",
    "weight_fifo.broadcast=ideal",
    "compression.index_bits=16",  # no explicit zeros
    "ppu.overlap=false",
    "ppu.halo_words_per_cycle=1",
    "ppu.output_words_per_cycle=0",
)


def measure_dnnsim() -> Measured:
    """Values of configs/published/dnnsim.toml: products and cycles without DRAM, outputs checked."""
    machine, memory = load_machine("scnn", DNNSIM_POLICIES), open_memory("ideal")
    values: dict[str, float] = {}
    for row in csv_rows("dnnsim_micro_layers.csv"):
        layer, operands = dnnsim_layer(row)
        result = machine.run_layer(layer, operands, Context(memory, check=True))
        values[f"{layer.name}.products"] = result.macs_effectual
        values[f"{layer.name}.cycles"] = int(result.details["compute_cycles"])
    return values, {}


def dnnsim_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """Cycles of the layers."""
    of_layers = {row_id.partition(".")[0]: row for row_id, row in rows.items() if row_id.endswith(".cycles")}
    bars = [Bar.of(layer, row) for layer, row in of_layers.items()]
    caption = "Cycles of each layer; those of DNNsim are the published ones."
    return {"layers": Bars(caption, "cycles", {"": bars}, logarithmic=True)}


def dnnsim_layer(row: Mapping[str, str]) -> tuple[Layer, Operands]:
    """A layer of dnnsim_micro_layers.csv with its seeded operands."""
    C, H, W, K, groups, R, S = (int(row[key]) for key in ("C", "H", "W", "K", "groups", "R", "S"))
    stride, pad = int(row["stride"]), int(row["pad"])
    layer = Layer(
        row["layer"], "conv", ("image",), (C, H, W), K, R, S, (stride, stride), (pad,) * 4, groups=groups
    )
    rng = np.random.default_rng(int(row["seed"]))
    inputs = rng.random((1, C, H, W)) < float(row["act_density"])
    weights = rng.random(layer.weight_shape) < float(row["wgt_density"])
    return layer, Operands(weights.astype(np.uint8), inputs.astype(np.uint8), output_density=1.0)
