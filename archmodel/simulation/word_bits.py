"""How wide a quantized network's weights are, beside the words of a machine, which stay what its file says."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from archmodel.accelerators.registry import Machine
from archmodel.network.layer import Layer
from archmodel.operands.sources import OperandSource
from archmodel.weights.weight_rules import FORM_BITS

QUANTIZED = re.compile(r"quantized: (\w+)")
IN_PART = re.compile(r" in \d+ of \d+ layers$")


class WeightWords(NamedTuple):
    """Bits of a weight, and the name of such words: int8, shared4."""

    bits: int
    form: str


def weight_words(source: OperandSource, layers: Sequence[Layer]) -> WeightWords | None:
    """The widest weights of some layers, as `archmodel quantize` noted or an ONNX file stores them; None if not known.

    A network of floats of 32 bits says nothing: machines with other words are what it is simulated for.
    """
    last = source.weights_note.split("; ")[-1]
    if match := QUANTIZED.match(last):
        form = match[1]
        known = form in FORM_BITS and not IN_PART.search(last)
        return WeightWords(FORM_BITS[form], form) if known else None
    if source.weights.path is not None or source.weights.density is not None:
        return None
    stored = [source.network.weight_bits.get(layer.name) for layer in layers if layer.kind != "matmul"]
    widths = [bits for bits in stored if bits is not None]
    if not widths or len(widths) < len(stored):
        return None
    return WeightWords(max(widths), f"int{max(widths)}")


def words_differ(machine: Machine, source: OperandSource, layers: Sequence[Layer]) -> str:
    """A line where the machine has other words than the weights, and the precision that fits; else empty."""
    words, widths = weight_words(source, layers), getattr(machine.config, "operand_bits", None)
    if words is None or widths is None or machine.precision == words.form or words.bits == widths[0]:
        return ""
    known = machine.precisions
    fitting = next((name for name, bits in known.items() if name == words.form or bits[0] == words.bits), None)
    if fitting is not None:
        hint = f"--precision {fitting} has {words.bits}"
    else:
        hint = f"no --precision of it has {words.bits}" + (f": {', '.join(known)}" if known else "")
    here = f"{widths[0]} on {machine.arch}, as all numbers here"
    return f"weights have {words.bits} bits in the network and {here}; {hint}"
