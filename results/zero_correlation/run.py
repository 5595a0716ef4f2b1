"""What zeros that gather do to SCNN's speed-up over DCNN, each way of gathering alone and all together.

python results/zero_correlation/run.py     writes compare.md and the runs beside this file, some minutes on two cores
"""

from pathlib import Path

from archmodel import simulate
from archmodel.accelerators.result import RunResult
from archmodel.accelerators.seeds import speedup_over_seeds
from archmodel.results import save
from archmodel.validation import STUDY_ROWS

FOLDER = Path(__file__).parent
PARAMETERS = (
    *("length", "channel_spread", "position_spread"),
    *("weight_filter_spread", "weight_channel_spread", "weight_kernel_spread"),
)
# What is left of the measured pattern; the other parameters are 0.
PATTERNS: dict[str, tuple[str, ...]] = {
    "patches: length alone": ("length",),
    "busy positions: length and position spread": ("length", "position_spread"),
    "busy channels: channel spread alone": ("channel_spread",),
    "activations, all three": PARAMETERS[:3],
    "weights, all three": PARAMETERS[3:],
    "weights, kernel spread alone": ("weight_kernel_spread",),
}
NETWORKS = {"AlexNet": "alexnet", "VGG-16": "vgg16", "GoogLeNet": "googlenet"}
# SCNN, ISCA 2017, Fig. 8 (transcribed); for GoogLeNet what the published mean of the three leaves.
PUBLISHED = {"AlexNet": "2.37", "VGG-16": "3.52", "GoogLeNet": "2.21, from the mean"}
CAUSES = ("busy", "fragmentation", "imbalance", "bank_conflict", "weight_stall", "memory")
NUM_SEEDS = 5


def run_study(network: str, zeros: str, seeds: int = 1) -> RunResult:
    """SCNN beside DCNN on the study's convolution rows."""
    net, layers = STUDY_ROWS[NETWORKS[network]]
    return simulate("scnn", net, baseline="dcnn", layers=layers, zeros=zeros, seeds=seeds)


def row(pattern: str, run: RunResult) -> str:
    """Cycles, their causes and the speed-up of a run."""
    slots = sum(run.stack.values())
    shares = " | ".join(f"{100 * run.stack.get(cause, 0) / slots:.1f}" for cause in CAUSES)
    return f"| {pattern} | {run.cycles:,} | {shares} | {run.speedup:.2f} |"


def table(network: str) -> list[str]:
    """The patterns of one network."""
    lines = [
        f"## {network}, published speed-up {PUBLISHED[network]}",
        "",
        "| zeros | SCNN cycles | " + " | ".join(f"{cause}, %" for cause in CAUSES) + " | speed-up |",
        "|---|---:|" + "---:|" * (len(CAUSES) + 1),
        row("uniform", run_study(network, "uniform")),
    ]
    for pattern, kept in PATTERNS.items():
        absent = ",".join(f"{key}=0.0" for key in PARAMETERS if key not in kept)
        lines.append(row(pattern, run_study(network, f"correlated:{absent}")))
        print(network, lines[-1], flush=True)
    run = run_study(network, "correlated", NUM_SEEDS)
    save(run, FOLDER / f"{NETWORKS[network]}.h5")
    interval = speedup_over_seeds(run)
    assert interval is not None
    over_seeds = (
        f"Speed-up of the last row over {NUM_SEEDS} placements: {interval.mean:.2f}, 95 % interval"
        f" {interval.low:.2f} to {interval.high:.2f}."
    )
    return [*lines, row("all, as measured", run), "", over_seeds, ""]


def main() -> None:
    """Run every pattern and write the tables."""
    lines = ["# What zeros that gather do to SCNN"]
    for network in NETWORKS:
        lines += table(network)
    (FOLDER / "compare.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
