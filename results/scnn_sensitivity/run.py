"""How far SCNN's speed-up over DCNN moves with every choice that the study leaves open.

python results/scnn_sensitivity/run.py     writes compare.md beside this file, a few minutes on two cores
"""

from pathlib import Path

from archmodel import simulate
from archmodel.validation.scnn import STUDY_ROWS

Variant = tuple[str, tuple[str, ...], tuple[str, ...]]  # name, --set, --set-baseline
UNCOUPLED = ("weight_fifo.broadcast=ideal",)
FREE_DRAM = ("memory.latency_s=0.0", "memory.bytes_per_s=1e15")
FREE_DRAIN = ("ppu.output_words_per_cycle=0", "ppu.halo_words_per_cycle=0")
LARGE_GROUPS = ("pe.Kc=accumulator",)

VARIANTS: dict[str, list[Variant]] = {
    "default": [("configs/accelerators/scnn.toml", (), ())],
    "Kc": [
        ("4", ("pe.Kc=4",), ()),
        ("capacity of the accumulators", ("pe.Kc=accumulator",), ()),
    ],
    "Queue depth": [(f"{depth}", (f"pe.queue_depth={depth}",), ()) for depth in (0, 1, 2, 4, 16)],
    "Bank hash, queue depth 8": [(name, (f"pe.bank_hash={name}",), ()) for name in ("prime", "xor", "dnnsim")],
    "Bank hash, queue depth 2": [
        (name, (f"pe.bank_hash={name}", "pe.queue_depth=2"), ()) for name in ("linear", "prime", "xor", "dnnsim")
    ],
    "Products outside the plane": [("dropped before the banks", ("pe.out_of_range=drop",), ())],
    "Barrier": [
        ("layer", ("pe.barrier=layer",), ()),
        ("group, weights always there", UNCOUPLED, ()),
        ("channel, weights always there", (*UNCOUPLED, "pe.barrier=channel"), ()),
    ],
    "Weight broadcast, vectors a cycle": [
        (f"{rate}", (f"weight_fifo.vectors_per_cycle={rate}",), ()) for rate in (1, 2, 50)
    ],
    "Weight FIFO, entries": [(f"{entries}", (f"weight_fifo.entries={entries}",), ()) for entries in (25, 100, 1000)],
    "Order of a weight block": [("r, s, k", ("pe.weight_order=rsk",), ())],
    "Tiles": [("of the padded plane", ("tile_plane=padded",), ())],
    "Zero-run bits": [(f"{bits}", (f"compression.index_bits={bits}",), ()) for bits in (2, 3, 8)],
    "PPU": [
        ("one word a cycle", ("ppu.output_words_per_cycle=1", "ppu.halo_words_per_cycle=1"), ()),
        ("not overlapped", ("ppu.overlap=false",), ()),
    ],
    "DRAM": [
        ("no latency", ("memory.latency_s=0.0",), ()),
        ("10 GB/s", ("memory.bytes_per_s=10e9",), ()),
        ("4 GB/s", ("memory.bytes_per_s=4e9",), ()),
    ],
    "Multiplier cycles alone, step by step": [
        ("weights always there", UNCOUPLED, ()),
        ("and a DRAM that costs nothing", (*UNCOUPLED, *FREE_DRAM), ()),
        ("and a drain that costs nothing", (*UNCOUPLED, *FREE_DRAM, *FREE_DRAIN), ()),
        ("and Kc of the accumulators", (*UNCOUPLED, *FREE_DRAM, *FREE_DRAIN, *LARGE_GROUPS), ()),
        ("and no explicit zeros", (*UNCOUPLED, *FREE_DRAM, *FREE_DRAIN, *LARGE_GROUPS, "compression.index_bits=8"), ()),
    ],
    "DCNN": [("dot products along C only", (), ("pe.dot_product=channels",))],
}
POINTS = {
    "AlexNet": ("alexnet", "network"),
    "VGG-16": ("vgg16", "network"),
    "GoogLeNet": ("googlenet", "network"),
    "GoogLeNet, density 1.0": ("googlenet", "density=1.0"),
    "GoogLeNet, density 0.1": ("googlenet", "density=0.1"),
}


def speedup(study: str, operands: str, variant: Variant) -> float:
    """Cycles of DCNN over cycles of SCNN on the study's convolution rows."""
    net, layers = STUDY_ROWS[study]
    run = simulate(
        "scnn", net, baseline="dcnn", layers=layers, weights=operands, activations=operands,
        assignments=variant[1], baseline_assignments=variant[2],
    )  # fmt: skip
    assert run.speedup is not None
    return run.speedup


def main() -> None:
    """Run every variant and write the table."""
    lines = [
        "# What SCNN's open choices are worth",
        "",
        "Speed-up over DCNN on the study's convolution rows; one choice changed at a time, seed 0, both machines",
        "behind the same DRAM. Made by `python results/scnn_sensitivity/run.py`. The published values are 2.37",
        "(AlexNet), 3.52 (VGG-16), 0.79 at density 1.0 and 24 at density 0.1; `archmodel validate scnn` sets the",
        "default beside them.",
        "",
        "The last steps explain the miss at density 0.1: counted in multiplier cycles alone, with the largest groups,",
        "the model brackets the published value; short layers pay most for everything else.",
        "",
        "| choice | value | " + " | ".join(POINTS) + " |",
        "|---|---|" + "---:|" * len(POINTS),
    ]
    for choice, variants in VARIANTS.items():
        for variant in variants:
            row = [f"{speedup(*point, variant):.2f}" for point in POINTS.values()]
            lines.append(f"| {choice} | {variant[0]} | " + " | ".join(row) + " |")
            print(lines[-1], flush=True)
    (Path(__file__).parent / "compare.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
