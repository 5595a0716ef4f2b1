"""In which formats `inspect` wants the bytes of operands: those that can be compared, and that of a machine."""

from dataclasses import dataclass
from typing import Any

from archmodel.accelerators.registry import Machine
from archmodel.encodings.encoding_sizes import bytes_of_inputs, bytes_of_weights
from archmodel.network.layer import Layer
from archmodel.operands.operands import Mask

DENSE_OUTPUTS = 1.0  # of outputs of which nothing is known: what leaves least room for inputs


@dataclass(frozen=True)
class Formats:
    """Bits of the codes of weights and inputs, and the machine whose formats are set beside the others."""

    weight_bits: int
    input_bits: int
    machine: Machine | None = None

    def sizes(
        self, layer: Layer, weights: Mask | None, inputs: Mask | None, output_density: float | None
    ) -> dict[str, Any]:
        """Of a layer; None for an operand whose zeros are not known, and for a layer that the machine lowers."""
        bits = {"weights": self.weight_bits, "inputs": self.input_bits}
        masks = {name: mask for name, mask in (("weights", weights), ("inputs", inputs)) if mask is not None}
        stored = {}
        if self.machine is not None:
            density = DENSE_OUTPUTS if output_density is None else output_density
            stored = self.machine.stored_tensors(layer, masks, density)
        return {
            "weight_encodings": None if weights is None else bytes_of_weights(weights, self.weight_bits),
            "input_encodings": None if inputs is None else bytes_of_inputs(inputs, self.input_bits),
            **{f"{name[:-1]}_stored_bytes": one.num_bytes(bits[name]) for name, one in stored.items()},
        }
