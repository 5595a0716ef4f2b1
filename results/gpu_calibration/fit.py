"""The efficiencies of configs/devices/titanx_maxwell.toml: fitted on AlexNet and OverFeat, nothing else.

python results/gpu_calibration/fit.py         prints them and writes fit.md beside this file, about ten seconds

One after the other, each on what it decides, to two digits, with the least sum of |ln(ours / measured)|:
the memory on forward pools, then backward pools, convolutions and fully connected layers in Caffe's logs; the Fourier
transforms on Torch's three passes with cuDNN R4; Winograd on neon's totals.
"""

import math
from collections.abc import Callable
from pathlib import Path

from archmodel.accelerators.gpu_config import DeviceConfig, load_device
from archmodel.accelerators.measured_times import load_measured
from archmodel.validation import published_table
from archmodel.validation.titanx_times import DEVICE, FITTED, caffe_times, measured_ms, network_of, torch_times

GRID = [step / 100 for step in range(5, 101)]
Pairs = list[tuple[float, float]]  # ours and measured, in milliseconds
Fit = tuple[tuple[str, ...], str, Callable[[DeviceConfig], Pairs]]


def layers(kind: str, *directions: str) -> Callable[[DeviceConfig], Pairs]:
    """The rows of Caffe's logs that are of a kind."""

    def pairs(device: DeviceConfig) -> Pairs:
        ours = caffe_times(device)
        return [
            (ours[row.network, row.layer, direction], measured_ms(row, direction))
            for row in load_measured()
            for direction in directions
            if row.network in FITTED and network_of(row.network).layer(row.layer).kind == kind
        ]

    return pairs


def totals(library: str) -> Callable[[DeviceConfig], Pairs]:
    """What the published table has of a library: by pass where it is published so, else the sum."""
    rows = {row.id: row.published for row in published_table("titanx_times").rows}

    def pairs(device: DeviceConfig) -> Pairs:
        found = []
        for name in FITTED:
            ours = torch_times(device, name, library)
            by_pass = [which for which in ours if which != "total" and f"{library}.{name}.{which}" in rows]
            for which in by_pass or ["total"]:
                found.append((ours[which], float(rows[f"{library}.{name}.{which}"] or 0)))
        return found

    return pairs


FITS: list[Fit] = [
    (("dram",), "forward pools, Caffe", layers("pool", "forward")),
    (("pool_gradient",), "backward pools, Caffe", layers("pool", "backward")),
    (("precomputed_gemm", "implicit_gemm"), "convolutions, Caffe", layers("conv", "forward", "backward")),
    (("gemm",), "fully connected layers, Caffe", layers("fc", "forward", "backward")),
    (("fft", "fft_tiled"), "passes, Torch with cuDNN R4", totals("cudnn4")),
    (("winograd_2x2", "winograd_4x4"), "totals, neon", totals("neon")),
]


def with_efficiency(device: DeviceConfig, names: tuple[str, ...], value: float) -> DeviceConfig:
    """The device with another value of these efficiencies."""
    changed = device.efficiency.model_copy(update=dict.fromkeys(names, value))
    return device.model_copy(update={"efficiency": changed})


def deviation(pairs: Pairs) -> float:
    """Mean |ln(ours / measured)|."""
    return sum(abs(math.log(ours / measured)) for ours, measured in pairs) / len(pairs)


def fit(device: DeviceConfig) -> tuple[DeviceConfig, list[str]]:
    """The device with fitted efficiencies, and a line of the table for each fit."""
    lines = []
    for names, on, pairs in FITS:
        best = min(GRID, key=lambda value: deviation(pairs(with_efficiency(device, names, value))))
        device = with_efficiency(device, names, best)
        found = pairs(device)
        lines.append(
            f"| {', '.join(f'`{name}`' for name in names)} | {best} | {on} | {len(found)} | {deviation(found):.1%} |"
        )
    return device, lines


def main() -> None:
    """Fit, print and write."""
    _, lines = fit(load_device(DEVICE))
    page = [
        "# Efficiencies of the Titan X",
        "",
        "Written by `python results/gpu_calibration/fit.py`, which says how; fitted on AlexNet and OverFeat only.",
        "",
        "| efficiency | value | fitted on | times | mean deviation |",
        "|---|---:|---|---:|---:|",
        *lines,
        "",
    ]
    print("\n".join(page))
    Path(__file__).with_name("fit.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
