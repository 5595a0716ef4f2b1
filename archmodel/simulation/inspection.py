"""`archmodel inspect`: what a network is made of, before a machine is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archmodel.accelerators.registry import source_name
from archmodel.accelerators.run_result import frame_of
from archmodel.errors import ConfigError, show
from archmodel.network.layer import WORD_BITS
from archmodel.operands.correlated import load_zeros
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation.given import given_network
from archmodel.simulation.study import Progress, check_batch, check_limits, chosen_layers
from archmodel.simulation.zero_counts import ZeroCounts

MOST_BITS = 64
MOST_ENCODED_BITS = 32
# What a machine skips -> the MACs that are left.
LEFT = {
    "weights": "macs_of_nonzero_weights",
    "activations": "macs_of_nonzero_inputs",
    "both": "macs_effectual",
}
COUNTS = ("macs_dense", *LEFT.values(), "input_words", "input_nonzeros", "input_bytes")
ENCODINGS = ("weight_encodings", "input_encodings")
OF_WEIGHTS = ("weight_words", "weight_nonzeros", "weight_bytes")
Layers = Sequence[ZeroCounts]


@dataclass(frozen=True)
class Inspection:
    """A network's layers that multiply, counted on the zeros of one seed; `left_out` of an ONNX file was not read."""

    net: str
    batch: int
    seed: int
    word_bits: int
    layers: tuple[ZeroCounts, ...]
    left_out: tuple[str, ...] = ()  # `node (operator)`

    @property
    def totals(self) -> dict[str, Any]:
        """Sums over all layers; the kernels of a matmul are activations and not among the weights."""
        return sums(self.layers, [layer for layer in self.layers if layer.kind != "matmul"])

    @property
    def kinds(self) -> dict[str, dict[str, Any]]:
        """Sums over the layers of each kind."""
        found: dict[str, list[ZeroCounts]] = {}
        for layer in self.layers:
            found.setdefault(layer.kind, []).append(layer)
        return {kind: sums(layers, layers) for kind, layers in found.items()}

    def as_dict(self) -> dict[str, Any]:
        """The object of `inspect --json`, of plain dictionaries and lists."""
        return {
            **{key: getattr(self, key) for key in ("net", "batch", "seed", "word_bits")},
            "left_out": list(self.left_out),
            "totals": self.totals,
            "kinds": self.kinds,
            "layers": [layer.as_dict() for layer in self.layers],
        }

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame: one row for each layer; `attrs` has the rest. ResultError without pandas."""
        return frame_of(self.as_dict())


def sums(layers: Layers, weighted: Layers) -> dict[str, Any]:
    """Sums over layers, of weights over those of `weighted`; None where a part of one is not known.

    `speedup` is dense MACs over those left when zeros are skipped: what a machine without any loss would gain.
    """
    found: dict[str, Any] = {"num_layers": len(layers)}
    for key, among in (*((key, layers) for key in COUNTS), *((key, weighted) for key in OF_WEIGHTS)):
        parts = [getattr(layer, key) for layer in among]
        found[key] = None if None in parts else sum(parts)
    for key, among in zip(ENCODINGS, (weighted, layers), strict=True):
        found[key] = sum_of_encodings([getattr(layer, key) for layer in among])
    left = {skipped: found[key] for skipped, key in LEFT.items()}
    return found | {
        "weight_density": ratio(found["weight_nonzeros"], found["weight_words"]),
        "input_density": ratio(found["input_nonzeros"], found["input_words"]),
        "effectual_share": ratio(found["macs_effectual"], found["macs_dense"]),
        "speedup": {skipped: ratio(found["macs_dense"], macs) for skipped, macs in left.items()},
    }


def sum_of_encodings(parts: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    """Bytes by format, and as `smallest` those of every layer in its own; None where a part is not known."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    by_format = {name: sum(part[name] for part in known) for name in known[0]}
    return by_format | {"smallest": sum(min(part.values()) for part in known)}


def check_bits(bits: int, encodings: bool) -> None:
    """Raise ConfigError unless a word, where it is encoded a code, can have so many bits."""
    most, where = (MOST_ENCODED_BITS, " with --encodings") if encodings else (MOST_BITS, "")
    if not 1 <= bits <= most:
        raise ConfigError(f"--bits {show(bits)}: must be from 1 to {most}{where}")


def ratio(part: int | None, whole: int | None) -> float | None:
    """`part` over `whole`; None where one of them is not known or there is no whole."""
    return None if part is None or not whole else part / whole


def inspect(
    net: str,
    *,
    batch: int = 1,
    seed: int = 0,
    layers: str | Sequence[str] | None = None,
    weights: str = "network",
    activations: str = "network",
    zeros: str = "uniform",
    inputs: Sequence[str] = (),
    preprocess: Sequence[str] = (),
    input_limit: str | None = None,
    skip_unsupported: bool = False,
    bits: int = WORD_BITS,
    encodings: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Count non-zeros, MACs and bytes of the layers of a network that multiply, one layer in memory at a time.

    skip_unsupported : leave out what of an ONNX file cannot be read
    bits : of a word, for the bytes
    encodings : also the bytes of weights and inputs in every format that stores zeros in less
    The other parameters are those of `simulate`. What nothing states, with these options, is None in the result.

    Raises ConfigError or WorkloadError with one line that says what is wrong and what is allowed.
    """
    pattern = load_zeros(zeros)
    check_limits(batch, seed, seeds=1, threads=None)
    check_bits(bits, encodings)
    found = []
    with given_network(net, inputs, preprocess, input_limit, skip_unsupported) as given:
        chosen, batch = chosen_layers(given.network, net, layers), given.batch(batch)
        check_batch(chosen, batch)
        sources = Source.parse(weights, "--weights"), given.activations(activations)
        source = OperandSource(given.network, *sources, seed, batch, pattern)
        all_macs = sum(layer.macs for layer in chosen)
        for layer in chosen:
            found.append(ZeroCounts.of(layer, source, bits, encodings))
            if progress is not None:
                progress(layer.name, layer.macs, all_macs)
    return Inspection(source_name(net), batch, seed, bits, tuple(found), given.network.left_out)
