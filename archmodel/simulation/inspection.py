"""`archmodel inspect`: what a network is made of, before a machine is chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archmodel.accelerators.registry import Machine, load_machine, source_name
from archmodel.accelerators.run_result import frame_of
from archmodel.errors import ConfigError, show
from archmodel.network.layer import WORD_BITS
from archmodel.operands.correlated import load_zeros
from archmodel.operands.sources import OperandSource, Source
from archmodel.simulation.formats import Formats
from archmodel.simulation.given import given_network
from archmodel.simulation.study import Progress, check_batch, check_limits, chosen_layers
from archmodel.simulation.word_bits import weight_words
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
    words: str = ""  # whose the bits are, where not those of `bits`
    encoding_bits: Mapping[str, int] = field(default_factory=dict)  # of the codes of weight and input in formats
    arch: str | None = None  # the machine whose formats are beside the others
    formats: Mapping[str, str] = field(default_factory=dict)  # of its weights and inputs, by name

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
            "words": self.words,
            "encoding_bits": dict(self.encoding_bits),
            "arch": self.arch,
            "formats": dict(self.formats),
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
        stored = key.replace("encodings", "stored_bytes")
        parts = [getattr(layer, stored) for layer in among]
        found[stored] = None if None in parts or not parts else sum(parts)
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


def check_bits(bits: int | None, encodings: bool) -> None:
    """Raise ConfigError unless a word, where it is encoded a code, can have so many bits."""
    if bits is None:
        return
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
    bits: int | None = None,
    encodings: bool = False,
    arch: str | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Count non-zeros, MACs and bytes of the layers of a network that multiply, one layer in memory at a time.

    skip_unsupported : leave out what of an ONNX file cannot be read
    bits : of a word, for the bytes; None for those of a quantized network's weights, or else 16
    encodings : also the bytes of weights and inputs in every format that stores zeros in less
    arch : with `encodings`, a machine whose own formats are set beside; all formats then have its widths, or `bits`
    The other parameters are those of `simulate`. What nothing states, with these options, is None in the result.

    Raises ConfigError or WorkloadError with one line that says what is wrong and what is allowed.
    """
    pattern = load_zeros(zeros)
    check_limits(batch, seed, seeds=1, threads=None)
    check_bits(bits, encodings)
    if arch is not None and not encodings:
        raise ConfigError(f"--arch {show(arch)}: goes with --encodings")
    machine = None if arch is None else load_machine(arch)
    names = {} if machine is None else machine.formats
    found = []
    with given_network(net, inputs, preprocess, input_limit, skip_unsupported) as given:
        chosen, batch = chosen_layers(given.network, net, layers), given.batch(batch)
        check_batch(chosen, batch)
        sources = Source.parse(weights, "--weights"), given.activations(activations)
        source = OperandSource(given.network, *sources, seed, batch, pattern)
        own = weight_words(source, chosen)
        words = "those of the network's weights" if bits is None and own is not None else ""
        word_bits = bits or (WORD_BITS if own is None else own.bits)
        formats = formats_of(machine, bits, word_bits) if encodings else None
        all_macs = sum(layer.macs for layer in chosen)
        for layer in chosen:
            found.append(ZeroCounts.of(layer, source, word_bits, formats))
            if progress is not None:
                progress(layer.name, layer.macs, all_macs)
    of_codes = {} if formats is None else {"weight": formats.weight_bits, "input": formats.input_bits}
    of_machine = None if machine is None else machine.arch
    counted = tuple(found), given.network.left_out, words, of_codes, of_machine, names
    return Inspection(source_name(net), batch, seed, word_bits, *counted)


def formats_of(machine: Machine | None, bits: int | None, word_bits: int) -> Formats:
    """Formats of codes of `bits`, or as wide as the machine has them, or the words."""
    if bits is None and machine is not None:
        weight_bits, input_bits = getattr(machine.config, "operand_bits", (word_bits, word_bits))
        return Formats(weight_bits, input_bits, machine)
    return Formats(word_bits, word_bits, machine)
