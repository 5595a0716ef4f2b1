"""How far the results of Cambricon-X over DianNao move with every choice that public text leaves open.

python results/cambricon_x_micro16/run.py     writes sensitivity.md beside this file, about two minutes on two cores
"""

from pathlib import Path

from archmodel import simulate
from archmodel.validation.cambricon_x import PRUNED, dense_twin, energy_ratio, mean, on_chip_mw, speedup

Variant = tuple[str, tuple[str, ...], tuple[str, ...]]  # name, --set, --set-baseline
Memory = tuple[str, ...]

VARIANTS: dict[str, list[Variant]] = {
    "default": [("configs/accelerators/cambricon_x.toml and diannao.toml", (), ())],
    "Bits of a step": [(f"{bits}", (f"index.step_bits={bits}",), ()) for bits in (2, 3, 4, 5, 6, 10)],
    "Window, neurons": [(f"{size}", (f"index.window={size}",), ()) for size in (32, 64, 128, 512, 1024)],
    "PEs meet": [("after every window", ("pe.barrier=window",), ())],
    "SB of a PE, bytes": [(f"{size:,}", (f"buffers.synapse_bytes={size}",), ()) for size in (512, 1024, 8192)],
    "NBin, bytes": [(f"{size:,}", (f"buffers.nbin_bytes={size}",), ()) for size in (2048, 32768)],
    "NBout, bytes": [(f"{size:,}", (f"buffers.nbout_bytes={size}",), ()) for size in (2048, 32768)],
    "DRAM, both machines": [
        ("12.5 GB/s", ("memory.bytes_per_s=12.5e9",), ()),
        ("250 GB/s", ("memory.bytes_per_s=250e9",), ()),
        ("never waited for", ("memory.bytes_per_s=1e15", "memory.latency_s=0.0"), ()),
        ("15 pJ a bit", ("memory.pj_per_bit=15.0",), ()),
    ],
    "DianNao": [
        ("dot products over kernel positions too", (), ("nfu.dot_product=flattened",)),
        ("buffers of 256 entries", (), ("buffers.entries=256",)),
        ("1 GHz", (), ("clock_hz=1e9",)),
    ],
}
HEAD = """# Cambricon-X: what each open choice is worth

Made by `python results/cambricon_x_micro16/run.py`. Ratios are DianNao over Cambricon-X, exact, each
machine at its clock; means over LeNet-300-100, LeNet-5, AlexNet and VGG-16. Power is
without DRAM, while the convolutions of AlexNet run.

| choice | value | speed-up | of conv | of fc | energy | power, mW |
|---|---|---:|---:|---:|---:|---:|"""


def measure(of_machine: tuple[str, ...], of_baseline: tuple[str, ...]) -> tuple[float, ...]:
    """Mean speed-ups, mean energy ratio and power."""
    runs = {
        net: simulate(
            "cambricon_x", net, baseline="diannao", assignments=of_machine, baseline_assignments=of_baseline
        )
        for net in PRUNED
    }
    of_conv = [run for run in runs.values() if any(layer.kind == "conv" for layer in dense_twin(run).layers)]
    return (
        mean([speedup(run) for run in runs.values()]),
        mean([speedup(run, "conv") for run in of_conv]),
        mean([speedup(run, "fc") for run in runs.values()]),
        mean([energy_ratio(run) for run in runs.values()]),
        on_chip_mw(runs["alexnet"]),
    )


def main() -> None:
    """Write the table."""
    lines = [HEAD]
    for choice, variants in VARIANTS.items():
        for name, of_machine, of_baseline in variants:
            *ratios, power = measure(of_machine, of_baseline)
            cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(f"| {choice} | {name} | {cells} | {power:.0f} |")
    Path(__file__).with_name("sensitivity.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
