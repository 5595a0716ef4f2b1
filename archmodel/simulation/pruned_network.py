"""`archmodel prune`: a network with fewer weights, in a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archmodel.config.targets import PathLike
from archmodel.exchange import read_network
from archmodel.network import Layer
from archmodel.simulation.changed_network import ChangedLayer, ChangedNetwork
from archmodel.simulation.changed_weights import Array, Arrays, Change, Changed, Request, change_weights, num_nonzeros
from archmodel.simulation.study import Progress
from archmodel.weights.pruning import pruned
from archmodel.weights.weight_rules import pruning_rule


@dataclass(frozen=True)
class PrunedLayer(ChangedLayer):
    """A layer before and after; a filter is kept where one of its weights is not zero."""

    filters: int
    filters_kept: int

    @property
    def density_before(self) -> float:
        """Non-zero fraction of the weights before."""
        return self.nonzeros_before / self.weight_words

    @property
    def density(self) -> float:
        """Non-zero fraction of the weights after."""
        return self.nonzeros / self.weight_words

    def as_dict(self) -> dict[str, Any]:
        """The layer of `prune --json`."""
        return super().as_dict() | {"density_before": self.density_before, "density": self.density}


class PrunedNetwork(ChangedNetwork[PrunedLayer]):
    """What `prune` wrote, and what it does to the outputs."""

    described_as = "rule"
    summed = ("weight_words", "nonzeros_before", "nonzeros")

    @property
    def rule(self) -> str:
        """Which weights are kept, in words."""
        return self.description

    @property
    def totals(self) -> dict[str, Any]:
        """Sums over the layers that were pruned."""
        sums = super().totals
        return sums | {
            "density_before": sums["nonzeros_before"] / sums["weight_words"],
            "density": sums["nonzeros"] / sums["weight_words"],
        }


def prune(
    net: str,
    output: PathLike,
    *,
    density: float | None = None,
    profile: str | None = None,
    quality: float | None = None,
    scope: str = "layer",
    structure: str = "none",
    layers: str | Sequence[str] | None = None,
    weights: str | None = None,
    inputs: Sequence[str] = (),
    preprocess: Sequence[str] = (),
    input_limit: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PrunedNetwork:
    """Set weights of a network to zero and write it.

    Parameters
    ----------
    net : an ONNX file, or any network with `weights`
    output : an .onnx file for an ONNX network, or an .npz file with `<layer>.weights`, for `simulate(weights=...)`
    density : share of the weights that survive
    profile : a network whose stated density each layer of the same name gets
    quality : magnitudes above so many standard deviations of the layer survive
    scope : 'layer', or 'global': one threshold for all, so that the layers' own densities differ
    structure : 'none'; '2:4', which says the density; 'filters', 'channels' or 'blocks:4x4', which survive whole
    layers : globs of layer names; the others stay as they are
    weights : the path of an npz or safetensors file, for a network that is no ONNX file
    inputs, preprocess, input_limit : as those of `simulate`: what an ONNX network is run on, before and after
    seed : of the noise that it is run on without `inputs`

    Raises ConfigError, WorkloadError or ResultError with one line; `output` is then as it was.
    """
    rule = pruning_rule(density, None if profile is None else read_network(profile), quality, scope, structure)
    request = Request(net, output, layers, weights, inputs, preprocess, input_limit, seed)

    def change_of(chosen: Arrays) -> Change[PrunedLayer]:
        mask_of = rule.prune(chosen).mask_of

        def change(layer: Layer, before: Array) -> Changed[PrunedLayer]:
            after = pruned(before, mask_of(layer.name, before))
            kept = int(after.reshape(len(after), -1).any(axis=1).sum())
            numbers = before.size, num_nonzeros(before), num_nonzeros(after), len(after), kept
            return Changed(after, {"weights": after}, PrunedLayer(layer.name, layer.kind, *numbers))

        return change

    outcome = change_weights(request, f"pruned: {rule.description}", change_of, progress)
    return PrunedNetwork.of(request, rule.description, outcome)
