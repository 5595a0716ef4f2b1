"""What configs/published/cdma.toml measures: a compressing DMA engine on six networks, its ratios and gains."""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import get_args

import numpy as np

from archmodel.accelerators.run_result import RunResult
from archmodel.encodings.dma_sizes import Layout, cdma_ratio
from archmodel.exchange import read_network
from archmodel.network import Network
from archmodel.training import STUDY, TrainingGraph, training_graph
from archmodel.training.compressing_dma import CompressingDma, load_dma
from archmodel.training.dma import Dma, PlainDma
from archmodel.training.dma_config import load_dma_config
from archmodel.training.map_densities import STAGES, TrainedDensities, by_map, load_profile
from archmodel.training.policies import load_policy
from archmodel.training.systems import System, load_system
from archmodel.training.virtualization import Iteration, virtualize
from archmodel.validation.scnn import Measured
from archmodel.views.bars import Bar, Bars
from archmodel.views.figure import Drawing, Rows

# The study's networks with its batches (recalled).
NETWORKS = {"alexnet": 256, "overfeat_fast": 256, "nin": 128, "vgg16": 128, "squeezenet": 512, "googlenet": 256}
TITLES = dict(zip(NETWORKS, ("AlexNet", "OverFeat", "NiN", "VGG-16", "SqueezeNet", "GoogLeNet"), strict=True))
CODECS = ("zvc", "rle", "zlib")
MASK_WORDS = 10_000 * 32  # so that densities of four digits are whole words
SYSTEMS = {"": "titanx_pcie3", "hpca.": "p100_pcie3"}  # of the arXiv version; in the place of the other's Titan Xp
PLACED = ("zeros=correlated",)  # runs and zlib see where zeros lie


def study() -> Iterator[tuple[str, Network, TrainingGraph]]:
    """The networks with an iteration of each."""
    for name, batch in NETWORKS.items():
        network = read_network(name)
        yield name, network, training_graph(network, batch, STUDY)


def measure_cdma() -> Measured:
    """Values of configs/published/cdma.toml."""
    values: dict[str, float] = {
        "zvc.353": ratio_of(0.353),
        "zvc.0412": ratio_of(0.0412),
        "zvc.none": ratio_of(0.0),
        "zvc.none.fp16": ratio_of(0.0, 2),
    }
    engine = load_dma_config("cdma_zvc")
    values["buffer"] = engine.fetch_bytes_per_s * engine.delay_s
    zeros: dict[str, tuple[float, float]] = {}
    trained: dict[str, list[tuple[float, float]]] = {which: [] for which in SYSTEMS}
    for name, network, graph in study():
        zeros[name] = share_of_zeros(network, graph)
        values |= {f"ratio.{key}.{name}": ratio for key, ratio in ratios(network, graph).items()}
        for which, system in SYSTEMS.items():
            trained[which].append(loss_and_gain(load_system(system), network, graph))
    for which, of_networks in trained.items():
        for key, found in zip(("loss", "gain"), zip(*of_networks, strict=True), strict=True):
            values |= {f"{key}.{which}average": fmean(found), f"{key}.{which}most": max(found)}
    for codec in ("rle", "zlib"):
        for layout in get_args(Layout):
            values[f"ratio.{codec}.{layout}"] = fmean(values.pop(f"ratio.{codec}.{layout}.{name}") for name in NETWORKS)
    values |= {
        "ratio.average": fmean(values[f"ratio.zvc.{name}"] for name in NETWORKS),
        "ratio.most": 1 / (1 - max(most for _, most in zeros.values()) / 100 + 1 / 32),
        "zeros.average": fmean(share for share, _ in zeros.values()),
        "zeros.most": max(most for _, most in zeros.values()),
        "zeros.alexnet": zeros["alexnet"][0],
    }
    return values, {}


def ratio_of(density: float, word_bytes: int = 4) -> float:
    """Of a mask of a density by zero-value compression."""
    mask = np.arange(MASK_WORDS) % 10_000 < round(density * 10_000)
    ratio = cdma_ratio(mask, "zvc", word_bytes)
    return int(ratio) if ratio == int(ratio) else ratio


def ratios(network: Network, graph: TrainingGraph) -> dict[str, float]:
    """Bytes of a network's maps over those sent: by codec; of runs and zlib by codec and layout, too."""
    found = {"zvc": ratio("cdma_zvc", network, graph)}
    for codec in ("rle", "zlib"):
        for layout in get_args(Layout):
            found[f"{codec}.{layout}"] = ratio(f"cdma_{codec}", network, graph, *PLACED, f"layout={layout}")
        found[codec] = found[f"{codec}.NCHW"]
    return found


def ratio(engine: str, network: Network, graph: TrainingGraph, *assignments: str) -> float:
    """Of all maps, over the whole training."""
    dma = load_dma(engine, network, graph, assignments=assignments)
    assert isinstance(dma, CompressingDma)
    return dma.ratio(graph)


def loss_and_gain(system: System, network: Network, graph: TrainingGraph) -> tuple[float, float]:
    """% of the oracle's performance that vDNN loses, all maps offloaded, and % that masks gain over it."""

    def iteration(dma: Dma) -> Iteration:
        return virtualize(
            network,
            graph.batch,
            device=system.device,
            link=system.link,
            policy=load_policy("vdnn_all"),
            mode=system.mode,
            choices=graph.choices,
            dma=dma,
        )

    plain, compressed = iteration(PlainDma()), iteration(load_dma("cdma_zvc", network, graph))
    gain = plain.timeline.iteration_s / compressed.timeline.iteration_s - 1
    return 100 * (1 - plain.performance), 100 * gain


def share_of_zeros(network: Network, graph: TrainingGraph) -> tuple[float, float]:
    """% of the words of all maps that are zero over the training, and the most of a map at a stage."""
    profile = load_profile("u_shape")
    trained = TrainedDensities.of(network, profile.unknown_density)
    maps = {
        one.layer: one for one in graph.tensors.values() if one.kind == "feature_map" and one.id not in graph.inputs
    }
    all_bytes = sum(one.num_bytes for one in maps.values())
    shares, least = [], 1.0
    for stage in (*STAGES, *profile.stages):
        density = by_map(graph, trained.at(network, profile, stage))
        least = min(least, *(density[name] for name in maps))
        shares.append(1 - sum(density[name] * one.num_bytes for name, one in maps.items()) / all_bytes)
    return 100 * fmean(shares[: len(STAGES)]), 100 * (1 - least)


def cdma_figures(rows: Rows, runs: Mapping[str, RunResult]) -> dict[str, Drawing]:
    """Ratios by network and codec, and by codec and layout."""
    panels = {
        title: [Bar.of(codec, rows[f"ratio.{codec}.{name}"]) for codec in CODECS] for name, title in TITLES.items()
    }
    for codec in ("rle", "zlib"):
        panels[f"mean, {codec}"] = [Bar.of(one, rows[f"ratio.{codec}.{one}"]) for one in get_args(Layout)]
    caption = (
        "Bytes of all feature maps over those that a compressing DMA engine sends; the line is the published average"
    )
    return {"ratios": Bars(caption, "ratio", panels, reference=rows["ratio.average"]["published"])}
