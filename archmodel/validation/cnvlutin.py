"""What configs/published/cnvlutin.toml measures: the convolutions of the study's six networks over DaDianNao."""

from collections.abc import Iterable, Mapping

import numpy as np

from archmodel.accelerators.context import Fidelity
from archmodel.accelerators.registry import load_machine
from archmodel.accelerators.run_result import RunResult
from archmodel.simulation import simulate
from archmodel.validation.scnn import Measured
from archmodel.views.bars import Bar, Bars
from archmodel.views.figure import Drawing, Rows

# Convolutions of each network.
NETWORKS = {
    "alexnet": "conv*",
    "googlenet": "conv*,inception_*",
    "nin": "conv*,cccp*",
    "vgg19": "conv*",
    "cnn_m": "conv*",
    "cnn_s": "conv*",
}
STATED = "density=0.56"  # 44 % of the inputs are zero, the study's mean over its networks
PRUNING_GAIN = 1.52 / 1.37  # of the study: with its dynamic thresholds over without, both lossless
SHARES = (0.0, 0.1, 0.2, 0.3)  # of pruned non-zeros, between which the gain is interpolated


def measure_cnvlutin() -> Measured:
    """Values of configs/published/cnvlutin.toml."""
    runs = {name: over_dadiannao(name, "exact") for name in NETWORKS}
    speedups = {name: gain(run) for name, run in runs.items()}
    values = {f"speedup.{name}": speedup for name, speedup in speedups.items()}
    values |= {"least": min(speedups.values()), "most": max(speedups.values()), "mean": mean(speedups.values())}
    energies = {name: chip_pj(dense_twin(run)) / chip_pj(run) for name, run in runs.items()}
    values["energy"] = mean(energies.values())
    values["edp"] = mean(energies[name] * speedups[name] for name in NETWORKS)
    values["ed2p"] = mean(energies[name] * speedups[name] ** 2 for name in NETWORKS)
    cnvlutin, dadiannao = (sum(load_machine(arch).area_mm2.values()) for arch in ("cnvlutin", "dadiannao"))
    values["area"] = 100 * (cnvlutin / dadiannao - 1)
    values["mean.own"] = mean(gain(over_dadiannao(name, "statistical", activations="network")) for name in NETWORKS)
    values["mean.expected"] = expected_mean()
    values["mean.dealt"] = expected_mean("dispatch.assignment=dealt")
    values["mean.channels"] = expected_mean(image_layers="channels")
    values["mean.whole"] = mean(gain(over_dadiannao(name, "statistical", layers=None)) for name in NETWORKS)
    values["pruned"] = pruned_share(values["mean.expected"])
    return values, runs


def over_dadiannao(
    name: str,
    fidelity: Fidelity,
    *options: str,
    layers: str | None = "",
    activations: str = STATED,
    image_layers: str = "flattened",
) -> RunResult:
    """A network on both machines; its convolutions, or the given layers."""
    images = f"array.image_layers={image_layers}"
    return simulate(
        "cnvlutin",
        name,
        baseline="dadiannao",
        fidelity=fidelity,
        layers=NETWORKS[name] if layers == "" else layers,
        activations=activations,
        assignments=(images, *options),
        baseline_assignments=(images,),
    )


def dense_twin(run: RunResult) -> RunResult:
    """The baseline of a run."""
    assert run.baseline is not None
    return run.baseline


def gain(run: RunResult) -> float:
    """Speed-up over the baseline."""
    return dense_twin(run).cycles / run.cycles


def chip_pj(run: RunResult) -> float:
    """Energy of a run without DRAM, which the study does not count."""
    return sum(sum(layer.energy_pj.values()) - layer.energy_pj["dram"] for layer in run.layers)


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean."""
    listed = list(values)
    return sum(listed) / len(listed)


def expected_mean(*options: str, image_layers: str = "flattened") -> float:
    """Mean of the networks' expected speed-ups."""
    return mean(gain(over_dadiannao(name, "statistical", *options, image_layers=image_layers)) for name in NETWORKS)


def pruned_share(unpruned: float) -> float:
    """The share of the non-zero inputs, in %, whose pruning gains as much as that of the study."""
    gains = [unpruned, *(expected_mean(f"pruning.share={share}") for share in SHARES[1:])]
    return 100 * float(np.interp(PRUNING_GAIN * unpruned, gains, SHARES))


def cnvlutin_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """Speed-ups of the networks; published are the least, the most and the mean."""
    bars = [Bar(rows[f"speedup.{name}"]["what"], rows[f"speedup.{name}"]["ours"]) for name in runs]
    bars.append(Bar.of("mean", rows["mean"]))
    caption = "Speed-up over DaDianNao on the convolutions; published are the range of the six networks and their mean."
    between = (rows["least"]["published"], rows["most"]["published"])
    speedups = Bars(caption, "speed-up over DaDianNao", {"": bars}, published_range=between, reference=1)
    return {"speedups": speedups}
