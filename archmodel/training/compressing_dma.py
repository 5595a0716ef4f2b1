"""A DMA engine that compresses feature maps on their way to the host (Rhu et al., HPCA 2018); rules: docs/cdma.md."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from archmodel import config
from archmodel.errors import ConfigError, did_you_mean, show
from archmodel.network import Network
from archmodel.operands.captured import Capture
from archmodel.operands.correlated import load_zeros
from archmodel.training.captured_maps import captured_shares
from archmodel.training.dma import Dma, PlainDma
from archmodel.training.dma_config import DmaConfig, load_dma_config
from archmodel.training.map_densities import STAGES, TrainedDensities, by_map, load_profile
from archmodel.training.map_sizes import share_of_map
from archmodel.training.steps import Tensor, TrainingGraph

PLAIN = "plain"
TRAINED = "trained"  # the profile of what a capture does not have: its network is trained


@dataclass(frozen=True)
class CompressingDma:
    """Sends what a codec makes of feature maps; other tensors, and maps without zeros, go as they are.

    shares : bytes on the link for a byte of a map, by the layer that the map belongs to
    """

    name: str
    config: DmaConfig
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def fetch_bytes_per_s(self) -> float | None:
        """Of tensors: the rate that the memory gives the engine, or what its buffer sustains, if that is less."""
        return self.config.sustained_bytes_per_s

    def link_bytes(self, tensor: Tensor) -> int:
        """Bytes on the link for the whole tensor, rounded up."""
        if tensor.kind != "feature_map" or tensor.layer not in self.shares:
            return tensor.num_bytes
        return math.ceil(tensor.num_bytes * self.shares[tensor.layer])

    def ratio(self, graph: TrainingGraph) -> float:
        """Bytes of all maps that layers write over what is sent for them."""
        maps = [one for one in graph.tensors.values() if one.kind == "feature_map" and one.id not in graph.inputs]
        return sum(one.num_bytes for one in maps) / sum(map(self.link_bytes, maps))


def load_dma(
    name_or_path: str,
    network: Network,
    graph: TrainingGraph,
    *,
    stage: float | None = None,
    capture: Capture | None = None,
    assignments: tuple[str, ...] = (),
) -> Dma:
    """The engine that `--dma` names: plain, one of configs/dma/ or a TOML file; ConfigError for another.

    stage : of the training, from 0 to 1; None for the mean of all
    capture : a run on real inputs, whose maps are counted as they are
    """
    known = [PLAIN, *config.names("dma")]
    if name_or_path == PLAIN:
        if assignments:
            raise ConfigError(f"{assignments[0]}: plain has no keys")
        return PlainDma()
    if name_or_path not in known and not name_or_path.endswith(".toml"):
        nearest = did_you_mean(name_or_path, known)
        raise ConfigError(
            f"--dma {show(name_or_path)}: allowed: {', '.join(known)} or the path of a .toml file{nearest}"
        )
    engine = load_dma_config(name_or_path, assignments)
    shares = map_shares(network, graph, engine, stage, capture)
    return CompressingDma(name_or_path, engine, shares)


def map_shares(
    network: Network,
    graph: TrainingGraph,
    engine: DmaConfig,
    stage: float | None = None,
    capture: Capture | None = None,
) -> dict[str, float]:
    """Bytes sent for a byte of each map that has zeros, by the layer that it belongs to.

    The mean over the training is that of the sizes; of correlated zeros, which are drawn, the size at the mean density.
    """
    profile, zeros = load_profile(engine.densities), load_zeros(engine.zeros)
    counted: dict[str, float] = {}
    measured: dict[str, float] = {}
    if capture is not None:
        profile = load_profile(TRAINED)
        counted, measured = captured_shares(capture, graph, engine)
    trained = TrainedDensities.of(network, profile.unknown_density, measured)
    stages = STAGES if stage is None else (stage,)
    at_stages = [by_map(graph, trained.at(network, profile, one)) for one in stages]
    shares = {}
    for owner in at_stages[0]:
        densities = [one[owner] for one in at_stages]
        if owner in network.inputs or min(densities) == 1:
            continue
        shares[owner] = counted.get(owner, 0.0) or share_of_map(
            network.layer(owner).output_shape,
            graph.batch,
            densities,
            engine,
            graph.choices.storage_bytes,
            zeros,
            network.places[owner],
        )
    return shares
