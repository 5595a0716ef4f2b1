"""What `archmodel prune` and `archmodel quantize` are asked for: read, checked and said in words."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from archmodel.errors import WorkloadError, did_you_mean, show
from archmodel.network.network import Network
from archmodel.weights.magnitude import Keep, Layers, Weights, check_density
from archmodel.weights.narrow_floats import BF16, FP16, quantize_floats
from archmodel.weights.pruning import (
    Densities,
    Pruned,
    density_of,
    profile,
    pruned_by_deviation,
    pruned_by_layer,
    pruned_globally,
)
from archmodel.weights.quantization import (
    LINEAR_BITS,
    Quantized,
    quantize_binary,
    quantize_linear,
    quantize_ternary,
)
from archmodel.weights.shared_weights import share_weights
from archmodel.weights.structured_pruning import keep_blocks, keep_channels, keep_filters, keep_n_of_m

STRUCTURES = "none, N:M as 2:4, filters, channels, blocks:HxW as blocks:4x4"
SCOPES = ("layer", "global")
SPARSE = r"(\d{1,4}):(\d{1,4})"
BLOCKS = r"blocks:(\d{1,6})x(\d{1,6})"
WHOLE = {"filters": keep_filters, "channels": keep_channels}
LARGEST_M = 64  # of N:M, whose ranks take M x M comparisons
FORMS: dict[str, Callable[[Weights], Quantized]] = {
    "ternary": quantize_ternary,
    "binary": quantize_binary,
    "shared8": lambda weights: share_weights(weights, 8),
    "shared5": lambda weights: share_weights(weights, 5),
    "shared4": lambda weights: share_weights(weights, 4),
    "fp16": lambda weights: quantize_floats(weights, FP16),
    "bf16": lambda weights: quantize_floats(weights, BF16),
}
INTEGERS = {f"int{bits}": bits for bits in reversed(LINEAR_BITS)}
PER = ("tensor", "channel")
NARROW_FLOATS = ("fp16", "bf16")
# Bits of a code of each form.
FORM_BITS = {
    **INTEGERS,
    "ternary": 2, "binary": 1, "shared8": 8, "shared5": 5, "shared4": 4,
    **dict.fromkeys(NARROW_FLOATS, 16),
}


@dataclass(frozen=True)
class Rule:
    """How layers are pruned, and that in words."""

    description: str
    prune: Callable[[Layers], Pruned]


def pruning_rule(
    density: float | None,
    of_network: Network | None,
    quality: float | None,
    scope: str,
    structure: str,
) -> Rule:
    """The rule of --density, --profile, --quality, --scope and --structure; WorkloadError if they conflict."""
    if scope not in SCOPES:
        raise WorkloadError(f"--scope {show(scope)}: allowed: {', '.join(SCOPES)}{did_you_mean(scope, SCOPES)}")
    given = {"--density": density, "--profile": of_network, "--quality": quality}
    options = [option for option, value in given.items() if value is not None]
    sparse, blocks = re.fullmatch(SPARSE, structure), re.fullmatch(BLOCKS, structure)
    if structure != "none" and structure not in WHOLE and not sparse and not blocks:
        raise WorkloadError(f"--structure {show(structure)}: allowed: {STRUCTURES}{did_you_mean(structure, WHOLE)}")
    if scope == "global" and (options != ["--density"] or structure != "none"):
        raise WorkloadError("--scope global: goes with --density alone")
    if sparse:
        if options:
            raise WorkloadError(f"{options[0]}: --structure {structure} says already how many are kept")
        return _sparse_rule(int(sparse[1]), int(sparse[2]))
    if len(options) != 1:
        what = " and ".join(options) if options else "nothing says how many weights are kept"
        raise WorkloadError(f"{what}; allowed: one of {', '.join(given)}, or --structure N:M")
    if quality is not None:
        if structure != "none":
            raise WorkloadError(f"--quality: goes with --structure none, not {structure}")
        return Rule(f"magnitude above {quality:g} deviations", lambda layers: pruned_by_deviation(layers, quality))
    densities: Densities = profile(of_network) if of_network is not None else density or 0.0
    amount = f"to those of {of_network.name}" if of_network is not None else f"to {density:g}"
    if density is not None:
        check_density(density)
    if structure == "none" and scope == "global":
        return Rule(f"magnitude globally {amount}", lambda layers: pruned_globally(layers, density or 0.0))
    if structure == "none":
        return Rule(f"magnitude per layer {amount}", lambda layers: pruned_by_layer(layers, densities))
    return Rule(f"{structure} per layer {amount}", lambda layers: Pruned(layers, _structured(structure, densities)))


def _sparse_rule(N: int, M: int) -> Rule:
    """N of M neighbours; WorkloadError for numbers that cannot be."""
    if not 1 <= N <= M <= LARGEST_M:
        raise WorkloadError(f"--structure {N}:{M}: allowed: 1 <= N <= M <= {LARGEST_M}")
    return Rule(
        f"{N}:{M} along channels", lambda layers: Pruned(layers, lambda name, weights: keep_n_of_m(weights, N, M, name))
    )


def _structured(structure: str, densities: Densities) -> Callable[[str, Weights], Keep]:
    """The mask of a layer for filters, channels or blocks."""
    blocks = re.fullmatch(BLOCKS, structure)

    def mask_of(name: str, weights: Weights) -> Keep:
        density = density_of(name, densities)
        if blocks:
            return keep_blocks(weights, density, int(blocks[1]), int(blocks[2]), name)
        return WHOLE[structure](weights, density, name)

    return mask_of


@dataclass(frozen=True)
class Quantizer:
    """How weights become codes, and that in words."""

    description: str
    quantize: Callable[[Weights], Quantized]
    has_book: bool = False  # a code book of its own for each layer

    @classmethod
    def parse(cls, to: str, per: str, affine: bool) -> "Quantizer":
        """Read `--to`, `--per` and `--affine`; WorkloadError naming what is allowed."""
        allowed = [*INTEGERS, *FORMS]
        if to not in allowed:
            raise WorkloadError(f"--to {show(to)}: allowed: {', '.join(allowed)}{did_you_mean(to, allowed)}")
        if per not in PER:
            raise WorkloadError(f"--per {show(per)}: allowed: {', '.join(PER)}{did_you_mean(per, PER)}")
        if to in FORMS:
            for option, given in (("--per channel", per == "channel"), ("--affine", affine)):
                if given:
                    raise WorkloadError(f"{option}: goes with --to {', '.join(INTEGERS)}, not {to}")
            return cls(to, FORMS[to], to.startswith("shared"))
        return cls(
            f"{to}{' affine' if affine else ''} per {per}",
            lambda weights: quantize_linear(weights, INTEGERS[to], symmetric=not affine, per_channel=per == "channel"),
        )
